"""Institutions on a real PostgreSQL: from maker to checker, their place, parent, name and seats, told anew page by page."""

from datetime import date

import pytest
from sqlalchemy import select

from protos import dedup_pb2, profiles_pb2
from services.kernel.ids import uuid7
from services.profiles import queries
from services.profiles.commands import institution, restate
from services.profiles.rules.review import Decided, Decision
from services.profiles.tables import mappings
from tests.profiles.builders import (
    BLOCK,
    GP,
    NEXT_VILLAGE,
    NOT_HER,
    OTHER_GP,
    SERVICE,  # noqa: F401 - whose connection the tests have
    TODAY,
    active_shg,
    approve,
    approve_institution,
    bookkeeper,
    clf_bookkeeper,
    code_of,
    edited,
    emptied,
    enrol,
    events,
    last,
    manager,
    new_shg,
    office,
    reject,
    reject_institution,
    said_of,
    screen,
    submit,
    vo_bookkeeper,
)

pytestmark = pytest.mark.usefixtures("land")


@pytest.fixture
def connection(connection):
    return emptied(connection)


def hand_in(connection, maker, institution_id, revision=1, kind="SHG", **changes):
    return institution.submit(connection, maker, institution_id, revision, said_of(kind, **changes), TODAY)


def sitting(ids, below):
    """The office of a federation: members who stand for what is below it."""
    return [seat | {"institution_id": str(below)} for seat in office(*ids)]


def test_an_institution_from_maker_to_checker(connection):
    shg_id, _, women = active_shg(connection)
    clf, vo = uuid7(), uuid7()
    hand_in(connection, clf_bookkeeper(), clf, kind="CLF", seats=sitting(women[:3], vo))
    of_vo = {"kind": "VO", "parent_id": str(clf), "seats": sitting(women[:3], shg_id)}
    made = hand_in(connection, vo_bookkeeper(), vo, **of_vo)
    assert hand_in(connection, vo_bookkeeper(), vo, **of_vo) == made
    assert code_of(hand_in, connection, vo_bookkeeper(), vo, **of_vo | {"parent_id": ""}) == "REVISION_CONTENT"
    assert code_of(reject_institution, connection, vo, remark="") == "REMARK_MISSING"
    rejected = reject_institution(connection, vo, remark="whose VO is this?")
    assert reject_institution(connection, vo, remark="whose VO is this?") == rejected
    assert code_of(approve_institution, connection, vo) == "MOVE_NOT_ALLOWED"
    assert code_of(hand_in, connection, vo_bookkeeper(vo), vo, 2, **of_vo, region=OTHER_GP) == "FIELD_FIXED"
    hand_in(connection, vo_bookkeeper(), vo, 2, **of_vo, name="Pragati Naya")
    assert code_of(approve_institution, connection, vo) == "REVISION_OLD"

    # Who sits in a federation is a member of an SHG below it, so an SHG goes into its VO before the VO is let in, and so on up.
    assert code_of(approve_institution, connection, vo, 2) == "SEAT_NOT_ACTIVE"
    shg = queries.institution(connection, manager(), shg_id)
    institution.submit(connection, bookkeeper(shg_id), shg_id, 2, edited(shg, parent_id=str(vo)), TODAY)
    approve_institution(connection, shg_id, 2)
    assert approve_institution(connection, vo, 2).row.code.startswith("V09")
    active = approve_institution(connection, clf)
    assert active.row.code.startswith("C09")
    assert approve_institution(connection, clf) == active
    changed, version = last(connection, profiles_pb2.InstitutionChanged)
    assert (changed.institution_id, changed.status, version) == (str(clf), profiles_pb2.STATUS_ACTIVE, 2)
    assert [one.version for one in events(connection, "InstitutionChanged") if one.subject == str(vo)] == [1, 2, 3, 4]
    mapped = connection.execute(select(mappings.c.child_id, mappings.c.parent_id, mappings.c.from_on, mappings.c.to_on)).all()
    assert sorted(mapped) == sorted([(shg_id, vo, TODAY, None), (vo, clf, TODAY, None)])


def test_an_shg_is_activated_after_its_members(connection):
    ids = sorted(uuid7() for _ in range(6))
    shg_id, maker = new_shg(connection, seats=office(*ids[:3]))
    for place, member_id in enumerate(ids[:4]):
        enrol(connection, maker, shg_id, member_id, name=f"Member {'abcdef'[place]}")
    assert code_of(approve_institution, connection, shg_id) == "MEMBERS_TOO_FEW"
    enrol(connection, maker, shg_id, ids[4], name="Member e")
    double = submit(connection, maker, shg_id, ids[5], name="Suneeta Devi")
    screen(connection, double, ("f1", dedup_pb2.VERDICT_CONFIRMED))
    assert code_of(approve_institution, connection, shg_id) == "MEMBERS_PENDING"
    assert code_of(approve, connection, ids[5], 1, NOT_HER) == "FINDING_CONFIRMED"
    reject(connection, ids[5], 1, ["DUPLICATE"], "enrolled in Roshni", [Decided("f1", Decision.DUPLICATE_REJECT, "")])
    active = approve_institution(connection, shg_id)
    assert (active.row.status, active.row.code[:3], active.row.activated_on, active.waiting) == ("ACTIVE", "S09", TODAY, None)
    assert approve_institution(connection, shg_id) == active


def test_who_holds_an_office_is_an_active_member_of_it(connection):
    _, _, strangers = active_shg(connection, name="Roshni")
    shg_id, maker, ids = active_shg(connection)
    live = queries.institution(connection, maker, shg_id)
    pending = submit(connection, maker, shg_id, name="Member z").row.id
    for revision, president in ((2, strangers[0]), (3, pending), (4, uuid7())):
        seats = [seat | {"ended_on": "2025-01-01"} if seat["post"] == "PRESIDENT" else seat for seat in live.content["seats"]]
        [new, *_] = office(president, *ids[1:3], **{"from": "2025-01-02"})
        seats.append(new | {"row_id": str(uuid7())})
        institution.submit(connection, maker, shg_id, revision, edited(live, seats=seats), TODAY)
        assert code_of(approve_institution, connection, shg_id, revision) == "SEAT_NOT_ACTIVE"
        reject_institution(connection, shg_id, revision)
    assert queries.institution(connection, maker, shg_id).content == live.content


def test_an_institution_needs_its_place_its_parent_and_its_name(connection):
    maker = bookkeeper()
    cases = {
        "REGION_UNKNOWN": {"region": f"{GP}.777"},
        "REGION_NOT_YOURS": {"region": NEXT_VILLAGE},
        "PARENT_UNKNOWN": {"parent_id": str(uuid7())},
    }
    for code, changes in cases.items():
        assert code_of(hand_in, connection, maker, uuid7(), **changes) == code
    assert code_of(hand_in, connection, vo_bookkeeper(), uuid7()) == "KIND_NOT_YOURS"
    shg_id, _ = new_shg(connection)
    assert code_of(hand_in, connection, maker, uuid7(), name=" UJALA ") == "NAME_TAKEN"
    assert code_of(hand_in, connection, bookkeeper(user="IUP_OTHER"), shg_id) == "INSTITUTION_NOT_YOURS"
    assert code_of(approve_institution, connection, shg_id) == "MEMBERS_TOO_FEW"
    for outside in (manager(region="9.178.1505"), manager(region="9.178.150")):
        assert code_of(approve_institution, connection, shg_id, who=outside) == "INSTITUTION_UNKNOWN"


def test_a_federation_is_mapped_with_its_history(connection):
    """Which VO an SHG belonged to, and until when, is kept (R-SHG-7); the same day twice is one."""
    shg_id, maker, _ = active_shg(connection)
    vos = [uuid7() for _ in range(2)]
    for number, vo in enumerate(vos):
        hand_in(connection, vo_bookkeeper(), vo, kind="VO", name=f"Pragati {'ab'[number]}")
    days = [date(2026, 4, 1), date(2026, 4, 1), date(2026, 5, 1), date(2026, 6, 1)]
    parents = [vos[0], vos[1], vos[0], None]
    for revision, (day, parent) in enumerate(zip(days, parents, strict=True), start=2):
        said = edited(queries.institution(connection, maker, shg_id), parent_id=str(parent or ""))
        institution.submit(connection, maker, shg_id, revision, said, day)
        subject = queries.institution(connection, manager(), shg_id, for_update=True)
        institution.let_in(connection, manager(), subject, day)
    rows = connection.execute(select(mappings.c.parent_id, mappings.c.from_on, mappings.c.to_on).order_by(mappings.c.from_on)).all()
    assert rows == [(vos[1], days[0], days[2]), (vos[0], days[2], days[3])]


def test_a_restatement_tells_the_same_versions_to_one_hearer(connection):
    shg_id, maker, women = active_shg(connection)
    made = submit(connection, maker, shg_id)
    screen(connection, made, ("f1", dedup_pb2.VERDICT_POTENTIAL))
    approve(connection, made.row.id, 1, NOT_HER)
    hand_in(connection, vo_bookkeeper(), uuid7(), kind="VO")
    hand_in(connection, clf_bookkeeper(), uuid7(), kind="CLF")
    newest = {(one.event, one.subject): (one.version, one.body) for one in events(connection)}
    people = len(women) + 1
    for hearer, pages in restate.PAGES.items():
        for page in pages.values():
            assert page(connection, hearer, None) is None
        anew = {(one.event, one.subject): (one.version, one.body) for one in events(connection, to=hearer)}
        assert anew == {key: newest[key] for key in anew}
        assert len(anew) == {"identity": 3, "transactions": 3 + people, "reporting": 3 + people, "dedup": 2 * people}[hearer]


def test_a_restatement_goes_page_by_page(connection, monkeypatch):
    monkeypatch.setattr(restate, "PAGE", 2)
    for name in ("Asha", "Roshni", "Ujala", "Jyoti"):
        new_shg(connection, name=name)
    after, pages = restate.restate_institutions(connection, "identity", None), 1
    while after:
        after, pages = restate.restate_institutions(connection, "identity", after), pages + 1
    assert pages == 3
    assert len(events(connection, to="identity")) == 4
    assert {one.subject for one in events(connection, to="identity")} == {str(one.id) for one in queries.institutions_within(connection, [BLOCK])}
