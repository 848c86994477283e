"""What a device hands in again after something else than a submission has changed the record: the answer of before, and no trace left behind."""

from datetime import UTC, date, datetime

import pytest
from sqlalchemy import select

from services.chassis import places as geographies
from services.kernel import geography
from services.kernel.caller import OPERATOR
from services.kernel.ids import uuid7
from services.profiles import queries
from services.profiles.commands import image, institution, life, places, review
from services.profiles.rules.image import Found
from services.profiles.tables import images
from tests.profiles.builders import (
    NEXT_VILLAGE,
    PLACES,
    TODAY,
    VILLAGE,
    active_shg,
    approve_institution,
    bookkeeper,
    code_of,
    edited,
    emptied,
    manager,
    new_shg,
    office,
    reject_institution,
    said_of,
    screen_institution,
    submit,
    vo_bookkeeper,
)

pytestmark = pytest.mark.usefixtures("land")

SERVICE = "profiles"
ON = "2026-03-20"


@pytest.fixture
def connection(connection):
    return emptied(connection)


def befalls(connection, maker, institution_id, act, revision=2, **more):
    return life.submit(connection, maker, "", institution_id, revision, {"act": act, "on": ON, **more}, TODAY)


def split(connection, maker, old, going, revision=2, **changes):
    """An SHG splits; the id of the new one, which waits."""
    seats = office(*going[:3], **{"from": ON})
    new = said_of(name="Nayi Ujala", formed_on=ON, seats=seats, institution_id=str(uuid7())) | changes
    befalls(connection, maker, old, "SPLIT", revision, ids=[str(one) for one in going], new_institution=new)
    return queries.UUID(new["institution_id"])


def test_a_woman_who_went_with_a_split_and_came_to_another_with_a_merger_is_handed_in_again(connection):
    old, maker, women = active_shg(connection, members=11)
    she = women[10]
    new = split(connection, maker, old, women[5:])
    approve_institution(connection, old, 2)
    of_both = bookkeeper(old, new)
    moved = queries.member(connection, of_both, she)
    assert (moved.row.institution_id, moved.content["joined_on"]) == (new, ON)
    same = {"name": "Member k"}
    assert submit(connection, of_both, old, she, 1, **same) == moved
    assert submit(connection, of_both, new, she, 1, joined_on=ON, **same) == moved
    # What she did not say then, she says under another revision.
    assert code_of(submit, connection, of_both, old, she, 1, name="Kamla") == "REVISION_CONTENT"
    third, _ = new_shg(connection, name="Roshni")
    assert code_of(submit, connection, bookkeeper(new, third), third, she, 1, **same) == "REVISION_CONTENT"
    assert code_of(submit, connection, of_both, old, she, 2, **same) == "FIELD_FIXED"
    # What she was in has ended.
    befalls(connection, of_both, new, "MERGE", on="2026-03-25", to_institution_id=str(old))
    approve_institution(connection, new, 2)
    assert submit(connection, of_both, new, she, 1, joined_on=ON, **same).row.institution_id == old
    assert code_of(submit, connection, of_both, new, uuid7(), joined_on=ON) == "INSTITUTION_INACTIVE"


def federated(connection):
    """A VO over two SHGs, of which the second comes with its bookkeeper and what she said of it, its federation named."""
    shgs = [active_shg(connection, members=9, name=name) for name in ("Ujala", "Roshni")]
    vo = uuid7()
    seats = [seat | {"institution_id": str(shgs[0][0])} for seat in office(*shgs[0][2][:3])]
    institution.submit(connection, vo_bookkeeper(), vo, 1, said_of("VO", seats=seats), TODAY)
    approve_institution(connection, vo)
    for shg_id, maker, _ in shgs:
        content = edited(queries.institution(connection, maker, shg_id), parent_id=str(vo))
        institution.submit(connection, maker, shg_id, 2, content, TODAY)
        screen_institution(connection, shg_id, 2)
        review.approve(connection, manager(), "", shg_id, 2, (), date(2026, 3, 1))
    return vo, *shgs[1], content


def test_an_shg_whose_federation_was_split_is_handed_in_again(connection):
    vo, shg_id, maker, women, content = federated(connection)
    seats = [seat | {"institution_id": str(shg_id)} for seat in office(*women[:3], **{"from": ON})]
    new = said_of("VO", name="Nayi Pragati", formed_on=ON, seats=seats, institution_id=str(uuid7()))
    befalls(connection, vo_bookkeeper(vo), vo, "SPLIT", ids=[str(shg_id)], new_institution=new)
    approve_institution(connection, vo, 2)
    moved = queries.institution(connection, maker, shg_id)
    assert str(moved.row.parent_id) == new["institution_id"]
    assert institution.submit(connection, maker, shg_id, 2, content, TODAY) == moved
    assert code_of(institution.submit, connection, maker, shg_id, 2, content | {"name": "Kiran"}, TODAY) == "REVISION_CONTENT"
    assert code_of(institution.submit, connection, maker, shg_id, 2, content | {"parent_id": ""}, TODAY) == "REVISION_CONTENT"


def test_an_institution_whose_place_ended_is_handed_in_again(connection, tmp_path, monkeypatch):
    shg_id, maker = new_shg(connection)
    assert code_of(institution.submit, connection, maker, shg_id, 1, said_of(name="Kiran"), TODAY) == "REVISION_CONTENT"
    ended = {VILLAGE: date(2026, 3, 1)}
    path = tmp_path / "later.csv"
    geography.save(path, [geography.Place(one, one, "", date(1900, 1, 1), ended.get(one)) for one in PLACES])
    monkeypatch.setenv("LOKOS_GEOGRAPHY_FILE", str(path))
    assert not geographies.geography().place(VILLAGE, TODAY)
    places.move(connection, OPERATOR, [shg_id], NEXT_VILLAGE)
    moved = queries.institution(connection, maker, shg_id)
    assert institution.submit(connection, maker, shg_id, 1, said_of(), TODAY) == moved
    assert code_of(institution.submit, connection, maker, shg_id, 1, said_of(name="Kiran"), TODAY) == "REVISION_CONTENT"


def put(connection, who, institution_id):
    """An image, as a profile names it."""
    found, now = Found("image/png", 1000, institution_id.bytes * 2), datetime(2026, 4, 1, tzinfo=UTC)
    image_id = image.begin(connection, who, institution_id, found, now)
    image.finish(connection, who, image_id, "0123abcd", now)
    return {"image_id": str(image_id), "media_type": found.media_type, "size_bytes": found.size_bytes, "sha256": found.sha256.hex()}


def test_a_split_that_is_replaced_names_images_no_more(connection):
    old, maker, women = active_shg(connection, members=11)
    going = women[5:]

    def loose():
        return {str(one) for one in connection.scalars(select(images.c.id).where(images.c.loose_since.is_not(None)))}

    def wait(revision, new_id):
        photo = put(connection, maker, new_id)
        split(connection, maker, old, going, revision, institution_id=str(new_id), resolution=photo)
        return photo["image_id"]

    first, second = uuid7(), uuid7()
    of_first = wait(2, first)
    reject_institution(connection, old, 2)
    assert wait(3, first) == of_first
    assert loose() == set(), "it is handed in anew under the same id, with the same image"
    reject_institution(connection, old, 3)
    of_second = wait(4, second)
    assert loose() == {of_first}
    reject_institution(connection, old, 4)
    institution.submit(connection, maker, old, 5, edited(queries.institution(connection, maker, old)), TODAY)
    assert loose() == {of_first, of_second}
    # One that has come about by itself in the meantime keeps what it names.
    approve_institution(connection, old, 5)
    of_third = wait(6, third := uuid7())
    reject_institution(connection, old, 6)
    institution.submit(connection, bookkeeper(), third, 1, said_of(name="Kiran", resolution=put(connection, maker, third)), TODAY)
    befalls(connection, maker, old, "CLOSE", 7, reason="DEFUNCT")
    assert of_third not in loose()
