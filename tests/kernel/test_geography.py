"""The effective-dated places."""

from datetime import date

import pytest

from services.kernel.errors import Conflict, Invalid
from services.kernel.geography import Codes, Geography, Place, load, read_places, save
from services.kernel.region import Level

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
    assert geography.find(2, "2", NEW) == "9.2"
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


def test_a_path_that_begins_like_another_does_not_lie_in_it():
    paths = ["9", "9.17", "9.17.5", "9.178", "9.178.15", "9.178.15.2", "9.178.4", "9.18"]
    geography = Geography(Place(path, path, "", OLD) for path in reversed(paths))
    assert geography.within("") == paths
    assert geography.within("9.17") == ["9.17.5"]
    assert geography.below("9.178") == ["9.178.15", "9.178.4"]
    assert geography.below("") == ["9"]
    assert len(geography) == len(paths)
    assert all(geography.name(path, NEW) == path for path in paths)
    assert geography.place("9.1", NEW) is None
    assert geography.place("9.178.15.2.1", NEW) is None


def test_an_empty_geography_knows_nothing():
    geography = Geography([])
    assert (len(geography), geography.below(""), geography.within("9"), geography.ended("9.1")) == (0, [], [], None)
    with pytest.raises(Invalid):
        geography.find(2, "1", NEW)
    assert geography.search("ram", on=NEW, most=5) == []


def test_what_hands_have_written_is_read_all_the_same(tmp_path):
    path = tmp_path / "geography.csv"
    path.write_bytes('path,name,name_local,valid_from,valid_to\r\n9.2,"Pul, Naya",,2011-01-01,\r\n9,UP,यूपी,2011-01-01,2026-04-01'.encode())
    read = [(one.path, one.name, one.name_local, one.valid_to) for one in read_places(path)]
    assert read == [("9", "UP", "यूपी", NEW), ("9.2", "Pul, Naya", "", None)]
    save(path, read_places(path))
    assert load(path).name("9.2", NEW) == "Pul, Naya"


def test_codes_of_three_systems_stand_beside_each_other():
    first = Place("9.1", "Purana", "", OLD, NEW, census_code="7", legacy_codes=("0900001",))
    moved = Place("9.3.7", "Naya", "", NEW, census_code="7", legacy_codes=("0900001", "0900002"))
    geography = Geography([Place("9", "UP", "", OLD, census_code="09"), first, moved])
    assert geography.find(Level.BLOCK, "7", NEW) == geography.find(Level.BLOCK, "007", NEW) == "9.3.7"
    assert geography.find(Level.BLOCK, "9.3.7", NEW) == "9.3.7"
    assert geography.find(Level.DISTRICT, "7", OLD, codes=Codes.CENSUS) == "9.1"
    assert geography.find(Level.STATE, "09", NEW, codes=Codes.CENSUS) == "9"
    assert geography.find(Level.BLOCK, "0900002", NEW, codes=Codes.LEGACY) == "9.3.7"
    assert geography.find(Level.DISTRICT, "0900001", OLD, codes=Codes.LEGACY) == "9.1"
    for depth, text, codes, code in (
        (Level.DISTRICT, "7", Codes.LGD, "REGION_UNKNOWN"),
        (Level.DISTRICT, "1", Codes.LGD, "REGION_UNKNOWN"),
        (Level.STATE, "9", Codes.CENSUS, "REGION_UNKNOWN"),
        (Level.DISTRICT, "9.3.7", Codes.LGD, "REGION_LEVEL"),
        (Level.DISTRICT, "9.x", Codes.LGD, "REGION_INVALID"),
    ):
        with pytest.raises(Invalid) as refused:
            geography.find(depth, text, NEW, "place", codes)
        assert (refused.value.code, refused.value.field) == (code, "place")


def test_what_may_be_one_of_several_places_is_refused_with_each():
    split = [gone("9.1.5.6.7", "8", "9"), stays("9.1.5.6.8"), stays("9.1.5.6.9")]
    shared = [stays("9.1.5.6", OLD), stays("9.1.5.6.3"), stays("9.1.5.7.3"), Place("9.1.5.7", "Rampatti", "", OLD)]
    geography = Geography([*split, *shared])
    for text, named in (("7", "9.1.5.6.8 (9.1.5.6); 9.1.5.6.9 (9.1.5.6)"), ("3", "9.1.5.6.3 (9.1.5.6); 9.1.5.7.3 (Rampatti)")):
        with pytest.raises(Invalid) as refused:
            geography.find(Level.VILLAGE, text, NEW)
        assert (refused.value.code, refused.value.params["places"]) == ("REGION_SEVERAL", named)
    assert geography.find(Level.VILLAGE, "9.1.5.7.3", NEW) == "9.1.5.7.3"
    assert geography.find(Level.VILLAGE, "7", OLD) == "9.1.5.6.7"


def test_a_place_ended_when_its_last_line_did():
    geography = Geography([*PLACES, gone("9.4")])
    assert [geography.ended(path) for path in ("9.1", "9.3", "9.4")] == [None, None, NEW]


def gone(path, *successors):
    return Place(path, path, "", OLD, NEW, successors=successors)


def stays(path, begins=OLD):
    return Place(path, path, "", begins)


@pytest.mark.parametrize(
    ("path", "places", "now"),
    [
        ("9.1.5.6.7", [stays("9.1.5.6.7")], ["9.1.5.6.7"]),
        ("", [], [""]),
        ("9.1.5.6.7", [gone("9.1.5.6.7"), stays("9.2.5.6.7")], ["9.2.5.6.7"]),  # Its block moved to another district.
        ("9.1.5.6.7", [gone("9.1.5.6.7", "8"), stays("9.1.5.6.8")], ["9.1.5.6.8"]),
        ("9.1.5.6.7", [gone("9.1.5.6.7", "8"), gone("9.1.5.6.8", "9"), stays("9.1.5.6.9")], ["9.1.5.6.9"]),
        ("9.1.5.6.7", [gone("9.1.5.6.7", "8"), gone("9.1.5.6.8", "7")], []),  # Two that name each other.
        ("9.1.5.6.7", [gone("9.1.5.6.7", "8", "9"), stays("9.1.5.6.8"), stays("9.1.5.6.9")], ["9.1.5.6.8", "9.1.5.6.9"]),
        ("9.1.5.6.7", [gone("9.1.5.6.7")], []),
        ("9.1.5.6.7", [stays("9.1.5.6.8")], []),
        # In two Gram Panchayats: the one of before goes on, and where it has none of them nobody knows.
        ("9.1.5.6.7", [gone("9.1.5.6.7"), stays("9.2.5.6.7"), stays("9.2.5.8.7")], ["9.2.5.6.7"]),
        ("9.1.5.6.7", [gone("9.1.5.6.7"), stays("9.1.5.3.7"), stays("9.1.5.8.7")], ["9.1.5.3.7", "9.1.5.8.7"]),
        # A GP's place that is held for none has no code: it goes where its block goes.
        ("9.1.5.0", [gone("9.1.5"), gone("9.1.5.0"), stays("9.2.5"), stays("9.2.5.0"), stays("9.4.8.0")], ["9.2.5.0"]),
        ("9.1.5.0", [gone("9.1.5"), gone("9.1.5.0"), stays("9.2.5")], []),
    ],
)
def test_what_lay_somewhere_lies_where_its_place_is_now(path, places, now):
    assert Geography(places).now(path, NEW) == now


def test_before_the_day_nothing_has_moved():
    assert Geography([gone("9.1.5"), stays("9.2.5", NEW)]).now("9.1.5", date(2026, 3, 31)) == ["9.1.5"]


# --- By name.

NAMED = [
    ("9", "Uttar Pradesh", "उत्तर प्रदेश"),
    ("9.1", "Rampur", "रामपुर"),
    ("9.1.5", "Bilaspur", ""),
    ("9.1.5.6", "Rampur Khurd", "रामपुर खुर्द"),
    ("9.1.5.6.1", "Ramnagar", "रामनगर"),
    ("9.1.5.6.2", "Naya Rampur", ""),
    ("9.1.5.6.3", "Chandan Patti", ""),
    ("9.1.5.6.4", "", "लक्ष्मीपुर"),
    ("9.1.5.6.5", "Chak 12 GB", "चक १२ जीबी"),
    ("9.1.5.6.6", "Chak 1 GB", ""),
    ("9.2.7.8.1", "Raampoor", ""),
    ("9.2.7.8.2", "సునీతపురం", ""),
]


@pytest.fixture(scope="module")
def named():
    return Geography([*(Place(path, name, local, OLD) for path, name, local in NAMED), Place("9.2.7.8.3", "Rampur", "", OLD, NEW)])


@pytest.mark.parametrize(
    ("text", "found"),
    [
        # The same name, wider places first; then a word of it; its beginning; and none that stands no more.
        ("Rampur", ["9.1", "9.2.7.8.1", "9.1.5.6", "9.1.5.6.2"]),
        ("रामपुर", ["9.1", "9.2.7.8.1", "9.1.5.6", "9.1.5.6.2"]),
        ("ramp", ["9.1", "9.1.5.6", "9.2.7.8.1", "9.1.5.6.2"]),
        ("ராம்பூர்", ["9.1", "9.2.7.8.1", "9.1.5.6", "9.1.5.6.2"]),
        ("khurd rampur", ["9.1.5.6"]),
        ("ram nagar", ["9.1.5.6.1"]),
        ("chandanpatti", ["9.1.5.6.3"]),
        ("laxmipur", ["9.1.5.6.4"]),
        ("lachhmip", ["9.1.5.6.4"]),
        ("Vilaspur", ["9.1.5"]),
        ("sunithapuram", ["9.2.7.8.2"]),
        ("chak 12", ["9.1.5.6.5"]),
        ("चक १", ["9.1.5.6.6", "9.1.5.6.5"]),
        ("(Uttar)-Pradesh", ["9"]),
        ("zzyzx", []),
    ],
)
def test_a_place_is_found_by_name_in_any_script_best_first(named, text, found):
    assert [place.path for place in named.search(text, on=NEW, most=9)] == found


def test_a_search_keeps_to_region_level_day_and_number(named):
    assert [one.path for one in named.search("rampur", "9.1.5", on=NEW, most=9)] == ["9.1.5.6", "9.1.5.6.2"]
    assert [one.path for one in named.search("rampur", "9.1.5.6", on=NEW, most=9)] == ["9.1.5.6", "9.1.5.6.2"]
    assert [one.path for one in named.search("rampur", levels=[Level.VILLAGE], on=NEW, most=9)] == ["9.2.7.8.1", "9.1.5.6.2"]
    assert [one.path for one in named.search("rampur", "9.2", on=OLD, most=9)] == ["9.2.7.8.1", "9.2.7.8.3"]
    assert [one.path for one in named.search("rampur", on=NEW, most=2)] == ["9.1", "9.2.7.8.1"]


@pytest.mark.parametrize(("text", "code"), [("", "SEARCH_EMPTY"), (" - ", "SEARCH_EMPTY"), ("r" * 101, "SEARCH_TOO_LONG")])
def test_a_search_for_nothing_is_refused(named, text, code):
    with pytest.raises(Invalid) as refused:
        named.search(text, on=NEW, most=9)
    assert refused.value.code == code


# --- For a device.


def test_a_region_is_paged_with_what_it_lies_in_and_its_mark_tells_a_change(named):
    first = named.page("9.1.5.6", "", 4)
    assert [one.path for one in first.places] == ["9", "9.1", "9.1.5", "9.1.5.6", "9.1.5.6.1", "9.1.5.6.2", "9.1.5.6.3"]
    second = named.page("9.1.5.6", first.next, 4)
    assert ([one.path for one in second.places], second.next) == (["9.1.5.6.4", "9.1.5.6.5", "9.1.5.6.6"], "")
    elsewhere = Geography([*named.places(), stays("9.4")])
    assert elsewhere.mark("9.1.5.6") == named.mark("9.1.5.6")
    above = Geography([*named.places(), Place("9.1", "Rampur", "", date(2000, 1, 1), OLD)])
    assert len({above.mark("9.1.5.6"), named.mark("9.1.5.6"), named.mark("9.1.5")}) == 3
    with pytest.raises(Conflict) as refused:
        above.page("9.1.5.6", first.next, 4)
    assert refused.value.code == "PLACES_CHANGED"
    for wrong in ("x", first.next + "x", f"{named.mark('9.1.5.6')}-"):
        with pytest.raises(Invalid):
            named.page("9.1.5.6", wrong, 4)
