"""The effective-dated places."""

from datetime import date

import pytest

from services.kernel.errors import Invalid
from services.kernel.geography import Geography, Place, load, save

OLD, NEW = date(2011, 1, 1), date(2026, 4, 1)
PLACES = [
    Place("9", "UTTAR PRADESH", "उत्तर प्रदेश", OLD),
    Place("9.1", "Purana", "", OLD, NEW),
    Place("9.1", "Naya", "", NEW),
    Place("9.2", "Doosra", "", NEW),
]


def test_a_place_is_what_it_was_on_the_day():
    geography = Geography(PLACES)
    assert geography.name("9.1", date(2026, 3, 31)) == "Purana"
    assert geography.name("9.1", NEW) == "Naya"
    assert geography.place("9.2", date(2026, 3, 31)) is None
    assert geography.below("9") == ["9.1", "9.2"]
    assert geography.path_of(2, "2") == "9.2"
    assert geography.within("9") == ["9.1", "9.2"]
    assert geography.within("9.1") == []


def test_an_unknown_place_is_refused_and_the_nation_never_is():
    geography = Geography(PLACES)
    assert geography.must_know("", NEW) == ""
    with pytest.raises(Invalid) as refused:
        geography.must_know("9.3", NEW)
    assert refused.value.code == "REGION_UNKNOWN"


def test_what_is_saved_is_loaded_again(tmp_path):
    path = tmp_path / "folder" / "geography.csv"
    assert len(load(path)) == 0
    save(path, PLACES)
    first = path.read_bytes()
    loaded = load(path)
    assert loaded.name("9.1", OLD) == "Purana"
    assert loaded.name("9", NEW) == "UTTAR PRADESH"
    save(path, PLACES)
    assert path.read_bytes() == first
