"""What happens in the course of life, on a real PostgreSQL: handed in, approved, carried out, and to be read afterwards."""

import threading
from uuid import UUID, uuid4

import pytest
from google.protobuf import json_format
from sqlalchemy import delete, event, select

from protos import profiles_pb2
from services.chassis import audit, database
from services.chassis.mailbox import outbox
from services.kernel.approval import ACTS, Act
from services.kernel.caller import OPERATOR
from services.kernel.ids import uuid7
from services.profiles import queries
from services.profiles.commands import institution, life, member, places, restate
from services.profiles.queries import MEMBER, tasks
from services.profiles.rules import life as rules
from services.profiles.servicer import show
from services.profiles.tables import history, image_uses, institutions, mappings, members, memberships, submissions
from tests.profiles import rows
from tests.profiles.builders import (
    BLOCK,
    GP,
    NEXT_VILLAGE,
    OTHER_GP,
    SERVICE,
    TODAY,
    VILLAGE,
    active_shg,
    approve,
    approve_institution,
    at_once,
    bookkeeper,
    clf_bookkeeper,
    code_of,
    edited,
    emptied,
    enrol,
    events,
    manager,
    new_shg,
    office,
    reject,
    reject_institution,
    said_of,
    submit,
    vo_bookkeeper,
)

pytestmark = pytest.mark.usefixtures("land")

ON = "2026-03-20"
FAR_BLOCK, FAR_VILLAGE = "9.178.1505", "9.178.1505.88.881"


@pytest.fixture
def connection(connection):
    return emptied(connection)


def happens(connection, maker, record_id, act, revision=2, on=ON, kind=MEMBER, **said):
    return life.submit(connection, maker, kind, record_id, revision, {"act": act, "on": on, **said}, TODAY)


def befalls(connection, maker, institution_id, act, revision=2, **said):
    """The same of an institution."""
    return happens(connection, maker, institution_id, act, revision, kind="", **said)


def leave(connection, maker, member_id, revision=2, **said):
    return happens(connection, maker, member_id, "LEAVE", revision, **{"reason": "MARRIAGE", **said})


def found(connection, member_id):
    return queries.member(connection, manager(region="9"), member_id)


def found_institution(connection, institution_id):
    return queries.institution(connection, manager(region="9"), institution_id)


def statuses(connection, ids):
    asked = select(members.c.status, members.c.institution_id).where(members.c.id.in_(ids)).distinct()
    return {tuple(row) for row in connection.execute(asked)}


def stays(connection, record_id):
    return [
        (one.institution_id, str(one.from_on), str(one.to_on or ""), one.reason) for one in queries.life_of(connection, manager(), record_id).stays
    ]


def told_of(connection, record_id, since=0):
    return [one.event for one in events(connection)[since:] if one.subject == str(record_id)]


def body(connection, message, record_id):
    return message.FromString([one for one in events(connection, message.DESCRIPTOR.name) if one.subject == str(record_id)][-1].body)


def choose_another(connection, maker, institution_id, post, member_id, revision=2):
    """An edit by which somebody else comes into an office."""
    held = found_institution(connection, institution_id)
    seats = [seat | {"ended_on": "2026-03-01"} if seat["post"] == post and "ended_on" not in seat else seat for seat in held.content["seats"]]
    [new] = [seat for seat in seats if seat["post"] == post]
    seats.append({**new, "row_id": str(uuid4()), "member_id": str(member_id), "from": "2026-03-02", "ended_on": ""})
    institution.submit(connection, maker, institution_id, revision, edited(held, seats=seats), TODAY)
    return approve_institution(connection, institution_id, revision)


def sitting(ids, below):
    return [seat | {"institution_id": str(one)} for seat, one in zip(office(*ids[:3]), below, strict=True)]


def put_under(connection, shg_id, parent_id, revision=2):
    institution.submit(connection, bookkeeper(shg_id), shg_id, revision, edited(found_institution(connection, shg_id), parent_id=parent_id), TODAY)
    return approve_institution(connection, shg_id, revision)


def federation(connection, *shgs, **changes):
    """An active VO over these SHGs, each (id, members), which come to it: whoever is fourth in each, or next, sits in its office."""
    vo_id = uuid7()
    bearers = [(women[3 + place], shg_id) for place, (shg_id, women) in enumerate((shgs * 3)[:3])]
    seats = sitting([one for one, _ in bearers], [shg_id for _, shg_id in bearers])
    institution.submit(connection, vo_bookkeeper(), vo_id, 1, said_of("VO", seats=seats, **changes), TODAY)
    approve_institution(connection, vo_id)
    return vo_id


def another_shg(connection, region=VILLAGE, **content):
    """An active SHG of which no more is needed than that it is there."""
    known = {"kind": "SHG", "status": "ACTIVE", "region": region, "name_key": str(uuid7())}
    return rows.put(connection, institutions, **known, content=said_of(region=region, **content))


def split_off(going, name="Nayi Ujala", **changes):
    """What an SHG is when it comes out of another."""
    return said_of(name=name, formed_on=ON, seats=office(*going[:3], **{"from": ON}), institution_id=str(uuid7())) | changes


# --- A member leaves, dies, comes back


def test_she_leaves_once_it_is_approved(connection):
    shg_id, maker, women = active_shg(connection, members=6)
    she = women[5]
    before = len(events(connection))
    waiting = leave(connection, maker, she)
    assert (waiting.row.status, waiting.waiting.act, waiting.waiting.open_questions) == ("ACTIVE", "LEAVE", True)
    assert leave(connection, maker, she) == waiting
    assert len(events(connection)) == before
    assert code_of(leave, connection, maker, she, reason="MIGRATION") == "REVISION_CONTENT"
    assert code_of(leave, connection, maker, she, 3) == "LOCKED"
    assert code_of(submit, connection, maker, shg_id, she, 3) == "LOCKED"
    assert code_of(approve, connection, she, 1) == "REVISION_OLD"

    [shown], _ = show.members(connection, [found(connection, she)])
    assert (shown.name, shown.waiting_event.act, shown.waiting_event.reason, shown.HasField("waiting")) == (
        "Member f",
        profiles_pb2.ACT_LEAVE,
        "MARRIAGE",
        False,
    )
    assert shown.verdict == profiles_pb2.VERDICT_CLEAR

    gone = approve(connection, she, 2)
    assert (gone.row.status, gone.row.revision, str(gone.row.inactive_on), gone.row.inactive_reason) == ("INACTIVE", 2, ON, "MARRIAGE")
    assert stays(connection, she) == [(shg_id, "2023-04-14", ON, "MARRIAGE")]
    assert sorted(told_of(connection, she, before)) == ["MemberChanged", "MemberDecided", "MemberSubmitted"]
    assert body(connection, profiles_pb2.MemberChanged, she).status == profiles_pb2.STATUS_INACTIVE
    assert body(connection, profiles_pb2.MemberSubmitted, she).revision == body(connection, profiles_pb2.MemberDecided, she).revision == 2
    told = len(events(connection))
    assert approve(connection, she, 2) == gone
    assert leave(connection, maker, she) == gone
    assert len(events(connection)) == told
    assert code_of(leave, connection, maker, she, 2, reason="OTHER", words="x") == "REVISION_CONTENT"
    assert code_of(leave, connection, maker, she, 3) == "ACT_NOT_ALLOWED"
    assert code_of(submit, connection, maker, shg_id, she, 3) == "ACT_NOT_ALLOWED"


def test_nobody_approves_what_she_handed_in_and_who_is_rejected_stays(connection):
    shg_id, maker, women = active_shg(connection, members=6)
    she = women[5]
    leave(connection, maker, she)
    assert code_of(approve, connection, she, 2, who=manager(person="bookkeeper")) == "OWN_ENTRY"
    assert code_of(approve, connection, she, 2, who=manager(region=FAR_BLOCK)) == "MEMBER_UNKNOWN"
    reject(connection, she, 2, remark="She lives here still.")
    assert found(connection, she).row.status == "ACTIVE"
    submit(connection, maker, shg_id, she, 3, name="Sunita Kumari")
    assert code_of(leave, connection, maker, she, 4) == "LOCKED"
    reject(connection, she, 3)
    assert leave(connection, maker, she, 4).waiting.act == "LEAVE"
    assert approve(connection, she, 4).row.status == "INACTIVE"


@pytest.mark.parametrize(
    ("said", "code"),
    [
        ({"act": "SPLIT"}, "EVENT_UNKNOWN"),
        ({"act": "PROFILE"}, "EVENT_UNKNOWN"),
        ({"act": ""}, "EVENT_UNKNOWN"),
        ({"on": "2026-04-02"}, "DATE_IN_FUTURE"),
        ({"on": ""}, "VALUE_MISSING"),
        ({"on": "2023-04-13"}, "EVENT_TOO_EARLY"),
        ({"reason": ""}, "VALUE_MISSING"),
        ({"reason": "BORED"}, "VALUE_UNKNOWN"),
        ({"reason": "DEATH"}, "EVENT_REASON"),
        ({"reason": "TRANSFER"}, "EVENT_REASON"),
        ({"reason": "INSTITUTION_CLOSED"}, "EVENT_REASON"),
        ({"reason": "OTHER"}, "VALUE_MISSING"),
        ({"to_institution_id": str(uuid7())}, "FIELD_NOT_OF_ACT"),
        ({"ids": [str(uuid7())]}, "FIELD_NOT_OF_ACT"),
        ({"act": "DEATH"}, "FIELD_NOT_OF_ACT"),
        ({"act": "TRANSFER", "reason": ""}, "VALUE_MISSING"),
    ],
)
def test_what_is_not_said_right_is_refused(connection, said, code):
    _, maker, women = active_shg(connection)
    plain = {"act": "LEAVE", "on": ON, "reason": "MARRIAGE"} | said
    assert code_of(life.submit, connection, maker, MEMBER, women[4], 2, plain, TODAY) == code
    assert found(connection, women[4]).waiting is None


def test_who_is_not_live_or_not_hers_has_no_life_here(connection):
    shg_id, maker, women = active_shg(connection)
    pending = submit(connection, maker, shg_id, name="Member z").row.id
    assert code_of(leave, connection, maker, pending) == "LOCKED"
    reject(connection, pending)
    assert code_of(leave, connection, maker, pending) == "ACT_NOT_ALLOWED"
    assert code_of(leave, connection, bookkeeper(uuid7()), women[4]) == "INSTITUTION_NOT_YOURS"
    assert code_of(leave, connection, maker, uuid7()) == "MEMBER_UNKNOWN"
    assert code_of(befalls, connection, maker, uuid7(), "CLOSE", reason="DEFUNCT") == "INSTITUTION_UNKNOWN"
    assert code_of(happens, connection, maker, women[4], "REVIVE") == "ACT_NOT_ALLOWED"


def test_an_office_bearer_goes_when_another_was_chosen(connection):
    shg_id, maker, women = active_shg(connection, members=6)
    president, other = women[0], women[5]
    for act in ({"act": "LEAVE", "reason": "MARRIAGE"}, {"act": "DEATH"}):
        assert code_of(happens, connection, maker, president, **act) == "OFFICE_HELD"
    choose_another(connection, maker, shg_id, "PRESIDENT", other)
    leave(connection, maker, president)
    assert approve(connection, president, 2).row.status == "INACTIVE"
    # And who came into an office since it was handed in, stays until another is chosen.
    leave(connection, maker, women[4])
    choose_another(connection, maker, shg_id, "SECRETARY", women[4], 3)
    assert code_of(approve, connection, women[4], 2) == "OFFICE_HELD"
    assert found(connection, women[4]).row.status == "ACTIVE"


def test_an_office_in_a_federation_holds_her_too(connection):
    shg_id, maker, women = active_shg(connection, members=9)
    federation(connection, (shg_id, women))
    assert code_of(leave, connection, maker, women[3]) == "OFFICE_HELD"
    assert leave(connection, maker, women[8]).waiting.act == "LEAVE"


def test_with_few_left_she_may_go_and_the_checker_is_told(connection):
    _, maker, women = active_shg(connection, members=6)

    def warned(member_id):
        [shown], _ = show.members(connection, [found(connection, member_id)])
        return [one.code for one in shown.warnings]

    leave(connection, maker, women[5])
    assert warned(women[5]) == []
    approve(connection, women[5], 2)
    leave(connection, maker, women[4])
    assert warned(women[4]) == ["MEMBERS_TOO_FEW"]
    approve(connection, women[4], 2)
    assert warned(women[4]) == []


def test_who_has_died_stays_dead(connection):
    _, maker, women = active_shg(connection, members=6)
    happens(connection, maker, women[5], "DEATH")
    dead = approve(connection, women[5], 2)
    assert (dead.row.status, dead.row.inactive_reason) == ("INACTIVE", "DEATH")
    assert code_of(happens, connection, maker, women[5], "REVIVE", 3, on="2026-03-25") == "ACT_NOT_ALLOWED"


def test_what_was_noted_wrongly_never_was(connection):
    """The wrong woman was noted to have died or left: she is there, and always was; what was approved of it is kept."""
    shg_id, maker, women = active_shg(connection, members=7)
    for she, what in ((women[5], {"act": "DEATH"}), (women[6], {"act": "LEAVE", "reason": "MARRIAGE"})):
        code = found(connection, she).row.code
        happens(connection, maker, she, **what)
        approve(connection, she, 2)
        wrong = {"act": "REINSTATE", "words": "It was her namesake of Roshni."}
        assert code_of(life.submit, connection, maker, MEMBER, she, 3, wrong | {"words": ""}, TODAY) == "VALUE_MISSING"
        assert code_of(life.submit, connection, maker, MEMBER, she, 3, wrong | {"on": ON}, TODAY) == "FIELD_NOT_OF_ACT"
        waiting = life.submit(connection, maker, MEMBER, she, 3, wrong, TODAY)
        assert (waiting.row.status, waiting.waiting.open_questions) == ("INACTIVE", True)
        assert code_of(approve, connection, she, 3, who=manager(person="bookkeeper")) == "OWN_ENTRY"
        before = len(events(connection))
        back = approve(connection, she, 3)
        assert (back.row.status, back.row.code, back.row.inactive_on, back.row.inactive_reason) == ("ACTIVE", code, None, "")
        assert stays(connection, she) == [(shg_id, "2023-04-14", "", "")]
        assert [entry.act for entry in queries.life_of(connection, manager(), she).acts] == ["PROFILE", what["act"], "REINSTATE"]
        assert sorted(told_of(connection, she, before)) == ["MemberChanged", "MemberDecided", "MemberSubmitted"]
        assert life.submit(connection, maker, MEMBER, she, 3, wrong, TODAY) == approve(connection, she, 3) == back
        assert code_of(life.submit, connection, maker, MEMBER, she, 4, wrong, TODAY) == "ACT_NOT_ALLOWED"
        leave(connection, maker, she, 4, on="2026-03-10")  # Before what never was.
        assert approve(connection, she, 4).row.status == "INACTIVE"


def test_whom_her_shg_took_along_is_not_reinstated(connection):
    shg_id, maker, women = active_shg(connection, members=6)
    wrong = {"act": "REINSTATE", "words": "It was her namesake."}
    happens(connection, maker, women[5], "DEATH")
    approve(connection, women[5], 2)
    befalls(connection, maker, shg_id, "CLOSE", reason="DEFUNCT", on="2026-03-21")
    approve_institution(connection, shg_id, 2)
    assert code_of(life.submit, connection, maker, MEMBER, women[4], 2, wrong, TODAY) == "ACT_NOT_ALLOWED"
    assert code_of(life.submit, connection, maker, MEMBER, women[5], 3, wrong, TODAY) == "INSTITUTION_INACTIVE"
    assert code_of(befalls, connection, maker, shg_id, revision=3, **wrong) == "EVENT_UNKNOWN"
    befalls(connection, maker, shg_id, "REVIVE", 3, on="2026-03-25", ids=[str(one) for one in women[:5]])
    approve_institution(connection, shg_id, 3)
    life.submit(connection, maker, MEMBER, women[5], 3, wrong, TODAY)
    assert approve(connection, women[5], 3).row.status == "ACTIVE"


def test_nobody_comes_back_into_an_shg_that_was_withdrawn(connection):
    shg_id, maker = new_shg(connection)
    she = enrol(connection, maker, shg_id).row.id
    leave(connection, maker, she)
    approve(connection, she, 2)
    reject_institution(connection, shg_id)
    institution.withdraw(connection, maker, shg_id, 1)
    wrong = {"act": "REINSTATE", "words": "It was her namesake."}
    assert code_of(life.submit, connection, maker, MEMBER, she, 3, wrong, TODAY) == "INSTITUTION_INACTIVE"
    assert code_of(happens, connection, maker, she, "REVIVE", 3, on="2026-03-25") == "INSTITUTION_INACTIVE"


def test_of_whom_no_day_of_joining_is_known_things_happened_since_there_is_her_shg(connection):
    """Who came from the old MIS left long before the day on which the file came, if the books say so."""
    shg_id, maker, women = active_shg(connection, members=6)
    she = women[5]
    without = members.c.content.op("-")("joined_on")
    connection.execute(members.update().where(members.c.id == she).values(status="LEGACY", code=None, content=without, entered_on=TODAY))
    assert stays(connection, she) == [(shg_id, "2023-04-14", "", "")]
    assert code_of(leave, connection, maker, she, on="2023-04-13") == "EVENT_TOO_EARLY"
    leave(connection, maker, she, on="2024-05-06")
    approve(connection, she, 2)
    assert stays(connection, she) == [(shg_id, "2023-04-14", "2024-05-06", "MARRIAGE")]


def test_she_comes_back_and_the_gap_is_kept(connection):
    shg_id, maker, women = active_shg(connection, members=6)
    she = women[5]
    leave(connection, maker, she)
    approve(connection, she, 2)
    assert code_of(happens, connection, maker, she, "REVIVE", 3, on=ON) == "EVENT_TOO_EARLY"
    happens(connection, maker, she, "REVIVE", 3, on="2026-03-25")
    back = approve(connection, she, 3)
    assert (back.row.status, back.row.inactive_on, back.row.inactive_reason, back.content["joined_on"]) == ("ACTIVE", None, "", "2023-04-14")
    assert body(connection, profiles_pb2.MemberChanged, she).status == profiles_pb2.STATUS_ACTIVE
    assert stays(connection, she) == [(shg_id, "2023-04-14", ON, "MARRIAGE"), (shg_id, "2026-03-25", "", "")]
    assert code_of(leave, connection, maker, she, 4, on="2026-03-24") == "EVENT_TOO_EARLY"
    leave(connection, maker, she, 4, on="2026-03-28")
    approve(connection, she, 4)
    assert stays(connection, she)[1] == (shg_id, "2026-03-25", "2026-03-28", "MARRIAGE")
    # Another SHG may take her in, also when her own is closed by then.
    other, _, _ = active_shg(connection, name="Roshni")
    befalls(connection, maker, shg_id, "CLOSE", reason="DEFUNCT", on="2026-03-30")
    approve_institution(connection, shg_id, 2)
    assert code_of(happens, connection, maker, she, "REVIVE", 5, on="2026-03-31") == "INSTITUTION_INACTIVE"
    happens(connection, maker, she, "REVIVE", 5, on="2026-03-31", to_institution_id=str(other))
    moved = approve(connection, she, 5)
    assert (moved.row.institution_id, moved.row.status, moved.content["joined_on"]) == (other, "ACTIVE", "2026-03-31")
    assert stays(connection, she)[2:] == [(other, "2026-03-31", "", "")]


def test_who_came_from_the_old_system_comes_back_as_she_was(connection):
    _, maker, women = active_shg(connection, members=6)
    connection.execute(members.update().where(members.c.id == women[5]).values(status="LEGACY", code=None))
    leave(connection, maker, women[5])
    approve(connection, women[5], 2)
    happens(connection, maker, women[5], "REVIVE", 3, on="2026-03-25")
    assert approve(connection, women[5], 3).row.status == "LEGACY"


# --- A member goes to another SHG


def test_she_goes_to_another_shg(connection):
    old, maker, women = active_shg(connection, members=6)
    new, _, _ = active_shg(connection, name="Roshni")
    she = women[5]
    before = len(events(connection))
    happens(connection, maker, she, "TRANSFER", to_institution_id=str(new))
    assert found(connection, she).row.institution_id == old
    moved = approve(connection, she, 2)
    assert (moved.row.status, moved.row.institution_id) == ("ACTIVE", new)
    assert (moved.content["institution_id"], moved.content["joined_on"]) == (str(new), ON)
    assert stays(connection, she) == [(old, "2023-04-14", ON, "TRANSFER"), (new, ON, "", "")]
    assert sorted(told_of(connection, she, before)) == ["MemberChanged", "MemberDecided", "MemberSubmitted"]
    told = body(connection, profiles_pb2.MemberSubmitted, she)
    assert (told.institution_id, told.name, told.revision) == (str(new), "Member f", 2)
    assert code_of(happens, connection, maker, she, "TRANSFER", 3, on="2026-03-25", to_institution_id=str(old)) == "INSTITUTION_NOT_YOURS"
    assert code_of(leave, connection, bookkeeper(new), she, 3, on=ON) == "EVENT_TOO_EARLY"
    hers = edited(moved, name="Member Farida")
    assert member.submit(connection, bookkeeper(new), she, 3, hers, None, TODAY).waiting.institution_id == new


def ended(message):
    return [(UUID(stay.institution_id), stay.region, stay.from_on, stay.to_on) for stay in message.ended_stays]


def assert_restated_as_told(connection, message, tell_page):
    """What a hearer that begins anew is told of each subject is what was told last."""
    newest = {one.subject: (one.version, message.FromString(one.body)) for one in events(connection, message.DESCRIPTOR.name)}
    tell_page(connection, "reporting", None)
    again = {one.subject: (one.version, message.FromString(one.body)) for one in events(connection, message.DESCRIPTOR.name, to="reporting")}
    connection.execute(delete(outbox).where(outbox.c.destination == "reporting"))
    assert again == newest


def test_others_hear_where_she_was_and_until_when(connection):
    old, maker, women = active_shg(connection, members=6)
    new, its_maker, _ = active_shg(connection, name="Roshni")
    she = women[5]

    def hers():
        assert_restated_as_told(connection, profiles_pb2.MemberChanged, restate.restate_members)
        message = body(connection, profiles_pb2.MemberChanged, she)
        return profiles_pb2.Status.Name(message.status), ended(message), message.since_on, message.activated

    assert hers() == ("STATUS_ACTIVE", [], "", True)
    happens(connection, maker, she, "TRANSFER", on="2026-03-10", to_institution_id=str(new))
    assert hers() == ("STATUS_ACTIVE", [], "", True)  # While it waits, she is where she was.
    approve(connection, she, 2)
    went = [(old, VILLAGE, "", "2026-03-10")]
    assert hers() == ("STATUS_ACTIVE", went, "2026-03-10", True)
    leave(connection, its_maker, she, 3, on="2026-03-15")
    approve(connection, she, 3)
    left = [*went, (new, VILLAGE, "2026-03-10", "2026-03-15")]
    assert hers() == ("STATUS_INACTIVE", left, "", True)
    happens(connection, its_maker, she, "REVIVE", 4, on="2026-03-20")
    approve(connection, she, 4)
    assert hers() == ("STATUS_ACTIVE", left, "2026-03-20", True)
    happens(connection, its_maker, she, "TRANSFER", 5, on="2026-03-25", to_institution_id=str(old))
    approve(connection, she, 5)
    came = [*left, (new, VILLAGE, "2026-03-20", "2026-03-25")]
    assert hers() == ("STATUS_ACTIVE", came, "2026-03-25", True)
    # That she joined earlier, as a list may say, does not put her into two places at once.
    earlier = members.c.content.op("||")({"joined_on": "2026-03-01"})
    connection.execute(members.update().where(members.c.id == she).values(content=earlier))
    # Her old SHG lies elsewhere now: whoever was there once is told again, and nobody else.
    before = len(events(connection))
    places.move(connection, OPERATOR, [new], NEXT_VILLAGE)
    assert hers()[1:3] == ([went[0], *((new, NEXT_VILLAGE, *days) for _, _, *days in came[1:])], "2026-03-25")
    assert [told_of(connection, one, before) for one in women[4:]] == [[], ["MemberChanged"]]


def test_who_was_never_let_in_by_a_checker_is_told_as_such(connection):
    _, maker, women = active_shg(connection, members=6)
    connection.execute(members.update().where(members.c.id == women[5]).values(status="LEGACY", code=None, activated_on=None))
    leave(connection, maker, women[5])
    approve(connection, women[5], 2)
    message = body(connection, profiles_pb2.MemberChanged, women[5])
    assert (message.status, message.activated, len(message.ended_stays)) == (profiles_pb2.STATUS_INACTIVE, False, 1)


def test_many_are_told_of_in_one_reading_of_their_stays(connection):
    _, maker, women = active_shg(connection, members=8)
    for one in women[5:]:
        leave(connection, maker, one)
        approve(connection, one, 2)
    read = []
    event.listen(connection, "before_cursor_execute", lambda _c, _u, statement, *_: read.append(statement))
    restate.restate_members(connection, "reporting", None)
    restate.restate_institutions(connection, "reporting", None)
    assert len([one for one in read if "FROM memberships" in one]) == len([one for one in read if "FROM history" in one]) == 1


def test_others_hear_when_an_institution_was_in_being(connection):
    shg_id, maker, women = active_shg(connection, members=6)

    def its():
        assert_restated_as_told(connection, profiles_pb2.InstitutionChanged, restate.restate_institutions)
        assert_restated_as_told(connection, profiles_pb2.MemberChanged, restate.restate_members)
        message = body(connection, profiles_pb2.InstitutionChanged, shg_id)
        periods = [(period.from_on, period.to_on) for period in message.ended_periods]
        return profiles_pb2.Status.Name(message.status), periods, message.since_on

    assert its() == ("STATUS_ACTIVE", [], "")
    befalls(connection, maker, shg_id, "CLOSE", reason="DEFUNCT", on="2026-03-10")
    assert its() == ("STATUS_ACTIVE", [], "")
    approve_institution(connection, shg_id, 2)
    assert its() == ("STATUS_INACTIVE", [("", "2026-03-10")], "")
    assert ended(body(connection, profiles_pb2.MemberChanged, women[0])) == [(shg_id, VILLAGE, "", "2026-03-10")]
    befalls(connection, maker, shg_id, "REVIVE", 3, on="2026-03-15", ids=[str(one) for one in women])
    approve_institution(connection, shg_id, 3)
    assert its() == ("STATUS_ACTIVE", [("", "2026-03-10")], "2026-03-15")
    assert body(connection, profiles_pb2.MemberChanged, women[0]).since_on == "2026-03-15"
    other, _, _ = active_shg(connection, name="Roshni")
    befalls(connection, maker, shg_id, "MERGE", 4, on="2026-03-20", to_institution_id=str(other))
    approve_institution(connection, shg_id, 4)
    assert its() == ("STATUS_INACTIVE", [("", "2026-03-10"), ("2026-03-15", "2026-03-20")], "")
    assert not body(connection, profiles_pb2.InstitutionChanged, other).ended_periods


def test_where_she_may_not_go(connection):
    old, maker, women = active_shg(connection, members=6)
    closed, its_maker, _ = active_shg(connection, name="Roshni")
    pending, _ = new_shg(connection, name="Jyoti")
    young = another_shg(connection, formed_on="2024-01-01")
    vo = federation(connection, active_shg(connection, name="Kiran", members=9)[::2])

    def goes(to, **said):
        return code_of(happens, connection, maker, women[5], "TRANSFER", to_institution_id=str(to), **said)

    assert goes(old) == "EVENT_TARGET"
    assert goes(uuid7()) == "EVENT_TARGET"
    assert goes(vo) == "EVENT_TARGET"
    assert goes(pending) == "INSTITUTION_INACTIVE"
    assert goes(young, on="2023-12-31") == "JOINED_TOO_EARLY"
    happens(connection, maker, women[5], "TRANSFER", to_institution_id=str(closed))
    befalls(connection, its_maker, closed, "CLOSE", reason="DEFUNCT")
    approve_institution(connection, closed, 2)
    assert code_of(approve, connection, women[5], 2) == "INSTITUTION_INACTIVE"
    special, its_maker, _ = active_shg(connection, name="Saathi", type="SPECIAL", special_tags=["PWD"])
    man = enrol(connection, its_maker, special, gender="MALE").row.id
    assert code_of(happens, connection, its_maker, man, "TRANSFER", to_institution_id=str(old)) == "GENDER_NOT_HERE"


def test_what_was_said_of_her_before_goes_with_her(connection):
    _, maker, women = active_shg(connection, members=6)
    new, its_maker, _ = active_shg(connection, name="Roshni")
    member.submit(connection, maker, women[5], 2, edited(found(connection, women[5]), defaulter_on="2025-06-01"), None, TODAY)
    connection.execute(submissions.update().values(verdict="CLEAR"))
    approve(connection, women[5], 2)
    happens(connection, maker, women[5], "TRANSFER", 3, to_institution_id=str(new))
    moved = approve(connection, women[5], 3)
    made = member.submit(connection, its_maker, women[5], 4, edited(moved, name="Farida Bano"), None, TODAY)
    assert made.waiting.content["defaulter_on"] == "2025-06-01"
    reject(connection, women[5], 4)
    marked = edited(moved, defaulter_on="2025-07-01")
    assert code_of(member.submit, connection, its_maker, women[5], 5, marked, None, TODAY) == "DEFAULTER_TOO_EARLY"


def audited(connection, record_id):
    rows_of_her = connection.execute(select(audit.audit).order_by(audit.audit.c.id))
    return [(row.user_id, row.action, row.facts.get("act")) for row in rows_of_her if str(record_id) in row.subjects]


def test_between_blocks_both_managers_approve(connection):
    old, maker, women = active_shg(connection, members=6)
    far = another_shg(connection, FAR_VILLAGE)
    she = women[5]
    here, there = manager(), manager(user_id="IUP_FAR", person="far manager", region=FAR_BLOCK)
    happens(connection, maker, she, "TRANSFER", to_institution_id=str(far))
    assert code_of(approve, connection, she, 2, who=there) == "MEMBER_UNKNOWN"

    released = approve(connection, she, 2, who=here)
    assert (released.row.institution_id, released.waiting.institution_id, released.waiting.block) == (old, far, FAR_BLOCK)
    assert [row.record_id for row in tasks.page(connection, there, tasks.Wanted(), None, 25)] == [she]
    assert tasks.page(connection, here, tasks.Wanted(), None, 25) == []
    assert approve(connection, she, 2, who=here) == released
    assert [one for one in audited(connection, she) if one[1] == "member.approve"][-1:] == [("IUP_BPM", "member.approve", "TRANSFER")]
    assert code_of(leave, connection, maker, she, 3) == "LOCKED"
    for again in ({"user_id": "IUP_BPM"}, {"person": "manager"}, {"persons": frozenset({"manager"})}):
        assert (
            code_of(approve, connection, she, 2, who=manager(**{"user_id": "IUP_FAR", "person": "x", "region": FAR_BLOCK, **again}))
            == "RELEASED_BY_YOU"
        )
    assert code_of(approve, connection, she, 2, who=manager(user_id="IUP_FAR", person="bookkeeper", region=FAR_BLOCK)) == "OWN_ENTRY"

    back = reject(connection, she, 2, who=there, remark="We know nothing of her.")
    assert (back.waiting.institution_id, back.waiting.block, back.waiting.released_by) == (old, BLOCK, "")
    assert code_of(queries.member, connection, there, she) == "MEMBER_UNKNOWN"
    again = happens(connection, maker, she, "TRANSFER", 3, to_institution_id=str(far))
    assert (again.waiting.institution_id, again.waiting.released_by) == (old, "")
    assert code_of(approve, connection, she, 3, who=there) == "MEMBER_UNKNOWN"
    approve(connection, she, 3, who=here)
    moved = approve(connection, she, 3, who=there)
    assert (moved.row.institution_id, moved.row.region, moved.waiting) == (far, FAR_VILLAGE, None)
    approvals = [one[:2] for one in audited(connection, she) if one[1] in {"member.approve", "life.transfer"}]
    assert approvals[-2:] == [("IUP_BPM", "member.approve"), ("IUP_FAR", "member.approve")]
    assert len(approvals) == 4  # Her own as a member, what was handed back, and both of this.
    assert code_of(approve, connection, she, 3, who=here) == "MEMBER_UNKNOWN"
    *_, entry = queries.life_of(connection, there, she).acts
    assert (entry.act, entry.maker_user) == ("TRANSFER", "IUP_BK")
    shown = show.history(queries.life_of(connection, there, she)).entries[-1]
    assert (shown.released_by, shown.decided_by) == ("IUP_BPM", "IUP_FAR")


# --- An SHG is split, merged, closed, revived


def test_an_shg_is_split(connection):
    old, maker, women = active_shg(connection, members=12)
    vo = federation(connection, (old, women))
    staying, going = women[:6], women[6:]
    submit(connection, maker, old, going[5], 2, name="Farida Bano")
    reject(connection, going[5], 2)  # Handed back, and to come again from where she is then.
    new = split_off(going, region=NEXT_VILLAGE, parent_id=str(vo))
    new_id = queries.UUID(new["institution_id"])
    said = {"ids": [str(one) for one in going], "new_institution": new}
    waiting = befalls(connection, maker, old, "SPLIT", 3, **said)
    assert befalls(connection, maker, old, "SPLIT", 3, **said) == waiting
    [shown] = show.institutions(connection, [waiting])
    assert (shown.waiting_event.new_institution.name, shown.waiting_event.new_institution.institution_id) == ("Nayi Ujala", str(new_id))
    before = len(events(connection))
    counted = []
    event.listen(connection, "before_cursor_execute", lambda *call: counted.append(call[2]))
    made = approve_institution(connection, old, 3)
    # However many go: each change of many is one statement, and what they are told of besides the events too.
    assert sum(one.startswith(("UPDATE members", "INSERT INTO memberships", "INSERT INTO outbox")) for one in counted) <= 4

    assert (made.row.status, made.row.revision, made.waiting) == ("ACTIVE", 3, None)
    one = found_institution(connection, new_id)
    assert (one.row.status, one.row.code[:3], one.row.region, one.row.parent_id, one.row.revision) == ("ACTIVE", "S09", NEXT_VILLAGE, vo, 1)
    assert statuses(connection, staying) == {("ACTIVE", old)}
    assert statuses(connection, going) == {("ACTIVE", new_id)}
    assert stays(connection, going[0]) == [(old, "2023-04-14", ON, "SPLIT"), (new_id, ON, "", "")]
    assert stays(connection, new_id) == [(vo, str(TODAY), "", "")]
    [first] = queries.life_of(connection, manager(), new_id).acts
    assert (first.act, first.revision, first.maker_user, first.decided_by) == ("PROFILE", 1, "IUP_BK", "IUP_BPM")
    assert found(connection, going[5]).waiting.institution_id == new_id
    assert {one: told_of(connection, one, before).count("MemberSubmitted") for one in women} == {one: int(one in going) for one in women}
    assert told_of(connection, old, before) == told_of(connection, new_id, before) == ["InstitutionChanged", "InstitutionSubmitted"]
    told = body(connection, profiles_pb2.MemberChanged, going[3])
    assert (told.institution_id, told.region) == (str(new_id), NEXT_VILLAGE)
    assert approve_institution(connection, old, 3) == made
    assert befalls(connection, maker, old, "SPLIT", 3, **said) == made
    subjects = connection.execute(select(audit.audit.c.subjects).where(audit.audit.c.action == "life.split")).scalar_one()
    assert set(subjects) == {str(new_id), *map(str, going)}
    # Both go on: the new one is edited as any other.
    edit = institution.submit(connection, bookkeeper(new_id), new_id, 2, edited(one, name="Nayi Subah"), TODAY)
    assert edit.waiting.act == "PROFILE"


def test_what_a_split_may_not_be(connection):
    old, maker, women = active_shg(connection, members=11)
    _, _, strangers = active_shg(connection, name="Roshni")
    going = women[5:]

    def refused(going=going, **changes):
        said = {"ids": [str(one) for one in going], "new_institution": split_off(going, **changes)}
        return code_of(befalls, connection, maker, old, "SPLIT", **said)

    assert refused(women[7:]) == "MEMBERS_TOO_FEW"
    assert refused(women[4:]) == "MEMBERS_TOO_FEW"
    assert refused([*women[6:], strangers[0]]) == "EVENT_IDS"
    assert refused([women[0], *women[6:]]) == "OFFICE_HELD"
    assert refused(seats=office(*women[:3])) == "SEAT_NOT_ACTIVE"
    vo = said_of("VO", formed_on=ON, institution_id=str(uuid7()))
    assert code_of(befalls, connection, maker, old, "SPLIT", ids=[str(one) for one in going], new_institution=vo) == "EVENT_KIND"
    assert refused(formed_on="2026-03-21") == "EVENT_FORMED_ON"
    assert refused(region=FAR_VILLAGE) == "EVENT_ELSEWHERE"
    assert refused(region=f"{GP}.999999") == "REGION_UNKNOWN"
    assert refused(name="Roshni") == "NAME_TAKEN"
    assert refused(parent_id=str(uuid7())) == "PARENT_UNKNOWN"
    assert refused(institution_id=str(old)) == "ID_TAKEN"
    assert refused(institution_id="") == "VALUE_MISSING"
    assert refused(seats=[]) == "OFFICE_VACANT"
    said = {"ids": [str(one) for one in going], "new_institution": {}}
    assert code_of(befalls, connection, maker, old, "SPLIT", **said) == "VALUE_MISSING"
    leave(connection, maker, women[10])
    assert refused() == "MEMBERS_PENDING"
    assert found_institution(connection, old).waiting is None


def test_a_split_is_looked_at_again_when_it_is_approved(connection):
    old, maker, women = active_shg(connection, members=11)
    going = women[5:10]
    befalls(connection, maker, old, "SPLIT", ids=[str(one) for one in going], new_institution=split_off(going))
    leave(connection, maker, going[4])
    assert code_of(approve_institution, connection, old, 2) == "MEMBERS_PENDING"
    approve(connection, going[4], 2)
    assert code_of(approve_institution, connection, old, 2) == "EVENT_IDS"
    assert statuses(connection, going[:4]) == {("ACTIVE", old)}
    reject_institution(connection, old, 2)
    going = [*going[:4], women[10]]
    taken = split_off(going, name="Roshni")
    befalls(connection, maker, old, "SPLIT", 3, ids=[str(one) for one in going], new_institution=taken)
    new_shg(connection, name="Roshni")
    assert code_of(approve_institution, connection, old, 3) == "NAME_TAKEN"


def test_an_shg_is_merged_into_another(connection):
    old, maker, women = active_shg(connection, members=9)
    to, _, others = active_shg(connection, name="Roshni")
    gone = leave(connection, maker, women[8]).row.id
    approve(connection, gone, 2)
    before = len(events(connection))
    befalls(connection, maker, old, "MERGE", on="2026-03-25", to_institution_id=str(to))
    code = found_institution(connection, old).row.code
    merged = approve_institution(connection, old, 2)
    assert (merged.row.status, merged.row.inactive_reason, merged.row.code) == ("INACTIVE", "MERGED", code)
    assert statuses(connection, [*women[:8], *others]) == {("ACTIVE", to)}
    assert statuses(connection, [gone]) == {("INACTIVE", old)}
    assert stays(connection, women[0]) == [(old, "2023-04-14", "2026-03-25", "MERGED"), (to, "2026-03-25", "", "")]
    assert told_of(connection, old, before) == ["InstitutionChanged", "InstitutionSubmitted"]
    assert told_of(connection, to, before) == []
    assert approve_institution(connection, old, 2) == merged
    assert code_of(submit, connection, maker, old) == "INSTITUTION_INACTIVE"
    assert code_of(befalls, connection, maker, old, "CLOSE", 3, reason="DEFUNCT") == "ACT_NOT_ALLOWED"


def test_into_what_nothing_is_merged(connection):
    old, maker, women = active_shg(connection)
    far = another_shg(connection, FAR_VILLAGE)
    to, _, _ = active_shg(connection, name="Roshni")
    vo = federation(connection, active_shg(connection, name="Kiran", members=9)[::2])

    def refused(to):
        return code_of(befalls, connection, maker, old, "MERGE", to_institution_id=str(to))

    assert (refused(old), refused(vo), refused(uuid7()), refused(far)) == ("EVENT_TARGET", "EVENT_TARGET", "EVENT_TARGET", "EVENT_ELSEWHERE")
    submit(connection, maker, old, name="Member z")
    assert refused(to) == "MEMBERS_PENDING"
    assert statuses(connection, women) == {("ACTIVE", old)}


def test_an_shg_is_closed_and_revived(connection):
    shg_id, maker, women = active_shg(connection, members=8)
    happens(connection, maker, women[7], "DEATH")
    approve(connection, women[7], 2)
    assert code_of(befalls, connection, maker, shg_id, "CLOSE", reason="MERGED") == "EVENT_REASON"
    assert code_of(befalls, connection, maker, shg_id, "CLOSE", reason="DEFUNCT", on="2023-04-13") == "EVENT_TOO_EARLY"
    pending = submit(connection, maker, shg_id, name="Member z").row.id
    assert code_of(befalls, connection, maker, shg_id, "CLOSE", reason="DEFUNCT") == "MEMBERS_PENDING"
    reject(connection, pending)
    before = len(events(connection))
    befalls(connection, maker, shg_id, "CLOSE", reason="DEFUNCT")
    closed = approve_institution(connection, shg_id, 2)
    assert (closed.row.status, closed.row.inactive_reason) == ("INACTIVE", "DEFUNCT")
    assert statuses(connection, women) == {("INACTIVE", shg_id)}
    assert found(connection, women[0]).row.inactive_reason == "INSTITUTION_CLOSED"
    assert sorted(set(told_of(connection, women[0], before))) == ["MemberChanged", "MemberDecided"]
    assert told_of(connection, women[7], before) == []

    back = [str(one) for one in women[1:7]]
    revive = {"act": "REVIVE", "revision": 3, "on": "2026-03-25", "ids": back}
    assert code_of(befalls, connection, maker, shg_id, **revive | {"on": ON}) == "EVENT_TOO_EARLY"
    assert code_of(befalls, connection, maker, shg_id, **revive | {"ids": back[:4]}) == "MEMBERS_TOO_FEW"
    assert code_of(befalls, connection, maker, shg_id, **revive | {"ids": [*back, str(women[7])]}) == "EVENT_IDS"
    assert code_of(befalls, connection, maker, shg_id, **revive | {"ids": []}) == "VALUE_MISSING"
    # Its president does not come back: another is chosen with the revival.
    assert code_of(befalls, connection, maker, shg_id, **revive) == "SEAT_NOT_ACTIVE"
    held = closed.content["seats"]
    seats = [seat | {"ended_on": ON} if seat["post"] == "PRESIDENT" else seat for seat in held]
    [president, *_] = office(women[6], *women[1:3], **{"from": "2026-03-25"})
    anew = edited(closed, seats=[*seats, president | {"row_id": str(uuid4())}])
    lost = edited(closed, seats=[{**seat, "row_id": str(uuid4())} for seat in office(*women[3:6], **{"from": "2026-03-25"})])
    assert code_of(befalls, connection, maker, shg_id, **revive, new_institution=lost) == "ROW_MISSING"
    assert code_of(befalls, connection, maker, shg_id, **revive, new_institution=anew | {"region": NEXT_VILLAGE}) == "FIELD_FIXED"
    befalls(connection, maker, shg_id, **revive, new_institution=anew)
    revived = approve_institution(connection, shg_id, 3)
    assert (revived.row.status, revived.row.inactive_on, revived.row.inactive_reason) == ("ACTIVE", None, "")
    assert [seat["member_id"] for seat in revived.content["seats"] if "ended_on" not in seat and seat["post"] == "PRESIDENT"] == [str(women[6])]
    assert statuses(connection, women[1:7]) == {("ACTIVE", shg_id)}
    assert statuses(connection, [women[0], women[7]]) == {("INACTIVE", shg_id)}
    assert stays(connection, women[1]) == [(shg_id, "2023-04-14", ON, "INSTITUTION_CLOSED"), (shg_id, "2026-03-25", "", "")]
    assert [entry.act for entry in queries.life_of(connection, manager(), shg_id).acts] == ["PROFILE", "CLOSE", "REVIVE"]


def test_who_never_was_verified_does_not_make_a_closed_shg_whole_again(connection):
    shg_id, maker, women = active_shg(connection, members=7)
    connection.execute(members.update().where(members.c.id.in_(women[4:])).values(status="LEGACY", code=None))
    befalls(connection, maker, shg_id, "CLOSE", reason="DEFUNCT")
    approve_institution(connection, shg_id, 2)
    revive = {"act": "REVIVE", "revision": 3, "on": "2026-03-25", "ids": [str(one) for one in women]}
    assert code_of(befalls, connection, maker, shg_id, **revive) == "MEMBERS_TOO_FEW"
    connection.execute(institutions.update().where(institutions.c.id == shg_id).values(code=None))  # But where it never was verified itself.
    befalls(connection, maker, shg_id, **revive)
    assert approve_institution(connection, shg_id, 3).row.status == "LEGACY"
    assert statuses(connection, women[4:]) == {("LEGACY", shg_id)}


# --- Federations


def test_a_federation_closes_when_nothing_belongs_to_it(connection):
    one, other = (active_shg(connection, members=9, name=name)[::2] for name in ("Ujala", "Roshni"))
    vo = federation(connection, one, other)
    maker = vo_bookkeeper(vo)
    assert code_of(befalls, connection, maker, vo, "CLOSE", reason="DEFUNCT") == "CHILDREN_LEFT"
    # An SHG with the office bearers of a federation stays until others are chosen.
    assert code_of(befalls, connection, bookkeeper(one[0]), one[0], "CLOSE", 3, reason="DEFUNCT") == "OFFICE_HELD"
    for shg_id, _ in (one, other):
        put_under(connection, shg_id, "", 3)
    befalls(connection, maker, vo, "CLOSE", reason="DEFUNCT")
    assert approve_institution(connection, vo, 2).row.status == "INACTIVE"
    shg = found_institution(connection, one[0])
    closed = edited(shg, parent_id=str(vo))
    assert code_of(institution.submit, connection, bookkeeper(one[0]), one[0], 4, closed, TODAY) == "INSTITUTION_INACTIVE"

    revive = {"act": "REVIVE", "revision": 3, "on": "2026-03-25"}
    assert code_of(befalls, connection, maker, vo, **revive, ids=[str(one[0])]) == "SEAT_NOT_ACTIVE"
    assert code_of(befalls, connection, maker, vo, **revive, ids=[str(vo)]) == "EVENT_IDS"
    befalls(connection, maker, vo, **revive, ids=[str(one[0]), str(other[0])])
    assert approve_institution(connection, vo, 3).row.status == "ACTIVE"
    assert found_institution(connection, one[0]).row.parent_id == vo
    assert found_institution(connection, one[0]).content["parent_id"] == str(vo)
    assert [(stay.from_on, stay.to_on) for stay in queries.life_of(connection, manager(), one[0]).stays] == [(TODAY, None)]


def test_a_federation_is_split_and_merged(connection):
    one, other, third = (active_shg(connection, members=9, name=name)[::2] for name in ("Ujala", "Roshni", "Kiran"))
    vo = federation(connection, one, one, one)
    put_under(connection, other[0], str(vo))
    put_under(connection, third[0], str(vo))
    new_id = uuid7()
    seats = sitting(other[1][6:9], [other[0]] * 3)
    new = said_of("VO", name="Nayi Pragati", formed_on=ON, region=GP, institution_id=str(new_id), seats=seats)
    ids = [str(other[0]), str(third[0])]

    def split(ids=ids, **changes):
        return befalls(connection, vo_bookkeeper(vo), vo, "SPLIT", ids=ids, new_institution=new | changes)

    assert code_of(split, [*ids, str(one[0])]) == "CHILDREN_TOO_FEW"
    assert code_of(split, [ids[0], str(one[0])]) == "OFFICE_HELD"
    assert code_of(split, [ids[1]]) == "SEAT_NOT_ACTIVE"
    assert code_of(split, region=OTHER_GP, area=[OTHER_GP]) == "PARENT_ELSEWHERE"
    split()
    before = len(events(connection))
    approve_institution(connection, vo, 2)
    assert {found_institution(connection, shg).row.parent_id for shg in (other[0], third[0])} == {new_id}
    assert found_institution(connection, one[0]).row.parent_id == vo
    assert told_of(connection, third[0], before) == ["InstitutionChanged", "InstitutionSubmitted"]
    assert [(stay.institution_id, stay.to_on) for stay in queries.life_of(connection, manager(), third[0]).stays][-1] == (new_id, None)

    edit = edited(found_institution(connection, third[0]), name="Kiran Naya")
    institution.submit(connection, bookkeeper(third[0]), third[0], 3, edit, TODAY)
    merge = {"on": "2026-03-25", "to_institution_id": str(vo)}
    assert code_of(befalls, connection, vo_bookkeeper(new_id), new_id, "MERGE", **merge) == "MEMBERS_PENDING"
    approve_institution(connection, third[0], 3)
    befalls(connection, vo_bookkeeper(new_id), new_id, "MERGE", **merge)
    merged = approve_institution(connection, new_id, 2)
    assert (merged.row.status, merged.row.inactive_reason) == ("INACTIVE", "MERGED")
    assert {found_institution(connection, shg).row.parent_id for shg in (one[0], other[0], third[0])} == {vo}
    open_ones = connection.execute(select(mappings.c.child_id, mappings.c.parent_id).where(mappings.c.to_on.is_(None)))
    assert {tuple(row) for row in open_ones} == {(shg, vo) for shg in (one[0], other[0], third[0])}


def test_a_clf_is_revived_with_its_vos(connection):
    shg = active_shg(connection, members=9)[::2]
    vo = federation(connection, shg)
    clf = uuid7()
    seats = sitting(shg[1][6:9], [vo] * 3)
    institution.submit(connection, clf_bookkeeper(), clf, 1, said_of("CLF", seats=seats), TODAY)
    held = found_institution(connection, vo)
    approve_institution(connection, clf)
    assert found_institution(connection, vo).row.parent_id == clf
    assert code_of(leave, connection, bookkeeper(shg[0]), shg[1][6]) == "OFFICE_HELD"
    assert code_of(befalls, connection, vo_bookkeeper(vo), vo, "CLOSE", 3, reason="DEFUNCT") == "CHILDREN_LEFT"
    institution.submit(connection, vo_bookkeeper(vo), vo, 3, edited(held, parent_id=""), TODAY)
    approve_institution(connection, vo, 3)
    befalls(connection, clf_bookkeeper(clf), clf, "CLOSE", reason="VOLUNTARY")
    approve_institution(connection, clf, 2)
    befalls(connection, clf_bookkeeper(clf), clf, "REVIVE", 3, on="2026-03-25", ids=[str(vo)])
    approve_institution(connection, clf, 3)
    assert found_institution(connection, vo).row.parent_id == clf


# --- What is told again, and read afterwards


def test_while_an_act_waits_what_is_live_is_told_again(connection):
    _, maker, women = active_shg(connection, members=6)
    leave(connection, maker, women[5])
    restate.restate_submissions(connection, "dedup", None)
    [told] = [one for one in events(connection, "MemberSubmitted", to="dedup") if one.subject == str(women[5])]
    message = profiles_pb2.MemberSubmitted.FromString(told.body)
    assert (message.name, message.revision, message.mobile) == ("Member f", 1, "6000917401")


def test_a_life_is_read_by_whoever_sees_the_record(connection):
    shg_id, maker, women = active_shg(connection, members=6)
    she = women[5]
    submit(connection, maker, shg_id, she, 2, name="Farida Bano")
    connection.execute(submissions.update().values(verdict="CLEAR"))
    approve(connection, she, 2)
    leave(connection, maker, she, 3, words="To her husband's village")
    approve(connection, she, 3)
    shown = show.history(queries.life_of(connection, maker, she))
    assert [(entry.act, entry.revision, entry.maker_user, entry.decided_by) for entry in shown.entries] == [
        (profiles_pb2.ACT_PROFILE, 1, "IUP_BK", "IUP_BPM"),
        (profiles_pb2.ACT_PROFILE, 2, "IUP_BK", "IUP_BPM"),
        (profiles_pb2.ACT_LEAVE, 3, "IUP_BK", "IUP_BPM"),
    ]
    kept = connection.execute(select(history.c.content).where(history.c.record_id == she).order_by(history.c.revision)).scalars().all()
    assert (kept[0], kept[1]["name"], shown.entries[0].decided_at.seconds > 0) == ({}, "Member f", True)
    assert not any(entry.HasField("event") for entry in shown.entries[:2])
    assert (shown.entries[2].event.words, shown.entries[2].event.on) == ("To her husband's village", ON)
    assert [(stay.to, stay.reason) for stay in shown.stays] == [(ON, "MARRIAGE")]
    assert code_of(queries.life_of, connection, bookkeeper(uuid7()), she) == "RECORD_UNKNOWN"
    assert code_of(queries.life_of, connection, manager(), uuid7()) == "RECORD_UNKNOWN"


def test_an_act_over_the_wire(connection, serving, monkeypatch):
    shg_id, maker, women = active_shg(connection, members=11)
    made, calling = serving
    calling["who"], seen = maker, []
    monkeypatch.setattr(made.reads, "seen", lambda _caller, action, ids: seen.append((action, *ids)))

    new = json_format.ParseDict({**split_off(women[5:]), "kind": "KIND_SHG"}, profiles_pb2.Institution())
    split = profiles_pb2.LifeEvent(record_id=str(shg_id), revision=2, act="ACT_SPLIT", on=ON, ids=map(str, women[5:]), new_institution=new)
    waiting = made.SubmitInstitutionEvent(profiles_pb2.SubmitInstitutionEventRequest(event=split), None)
    split.status = profiles_pb2.STATUS_SUBMITTED
    assert sorted(waiting.waiting_event.ids) == sorted(split.ids)
    del waiting.waiting_event.ids[:], split.ids[:]
    split.new_institution.seats.sort(key=lambda seat: seat.row_id)
    assert waiting.waiting_event == split

    death = profiles_pb2.LifeEvent(record_id=str(women[4]), revision=2, act="ACT_DEATH", on=ON)
    assert made.SubmitMemberEvent(profiles_pb2.SubmitMemberEventRequest(event=death), None).waiting_event.act == profiles_pb2.ACT_DEATH
    calling["who"] = manager()
    made.ApproveMember(profiles_pb2.ApproveMemberRequest(member_id=str(women[4]), revision=2), None)
    seen.clear()
    told = made.GetHistory(profiles_pb2.GetHistoryRequest(record_id=str(women[4])), None)
    assert (told.entries[1].event, told.stays[0].reason, seen) == (death, "DEATH", [("history.get", women[4])])


# --- At once


@pytest.fixture
def committed(land):
    """Two SHGs and their members, committed; taken away again with all that became of them, before anybody hears of it."""
    with database.transaction(SERVICE) as connection:
        made = [active_shg(connection, name=f"{name} {uuid4().hex}", members=10) for name in ("Ujala", "Roshni")]
    yield made
    with database.transaction(SERVICE) as connection:
        shgs = {shg_id for shg_id, _, _ in made}
        women = [member_id for _, _, ids in made for member_id in ids]
        shgs |= set(connection.scalars(select(members.c.institution_id).where(members.c.id.in_(women))))
        women = connection.scalars(select(members.c.id).where(members.c.institution_id.in_(shgs))).all()
        ids = [*women, *shgs]
        connection.execute(delete(outbox).where(outbox.c.subject.in_([str(one) for one in ids])))
        connection.execute(delete(memberships).where(memberships.c.member_id.in_(women)))
        connection.execute(delete(image_uses).where(image_uses.c.record_id.in_(ids)))
        for table, column in ((submissions, "record_id"), (history, "record_id"), (mappings, "child_id"), (members, "id"), (institutions, "id")):
            connection.execute(delete(table).where(table.c[column].in_(ids)))


def test_two_that_are_to_be_merged_into_each_other_do_not_both_end(committed):
    (one, its_maker, _), (other, others_maker, _) = committed
    with database.transaction(SERVICE) as connection:
        befalls(connection, its_maker, one, "MERGE", to_institution_id=str(other))
        befalls(connection, others_maker, other, "MERGE", to_institution_id=str(one))
    outcomes = at_once(*(lambda connection, shg=shg: approve_institution(connection, shg, 2).row.status for shg in (one, other)))
    assert sorted(outcomes) == ["INACTIVE", "INSTITUTION_INACTIVE"]
    with database.transaction(SERVICE) as connection:
        ended = select(institutions.c.status).where(institutions.c.id.in_([one, other]))
        assert sorted(connection.scalars(ended)) == ["ACTIVE", "INACTIVE"]


def left_over(shgs):
    """Members who are in the books of an SHG that is closed."""
    with database.transaction(SERVICE) as connection:
        closed = select(institutions.c.id).where(institutions.c.id.in_(shgs), institutions.c.status == "INACTIVE")
        in_books = members.c.status.in_(["ACTIVE", "LEGACY", "SUBMITTED"])
        return connection.scalars(select(members.c.id).where(members.c.institution_id.in_(closed), in_books)).all()


def test_nobody_slips_into_an_shg_that_is_just_being_closed(committed):
    (one, its_maker, women), (other, others_maker, _) = committed
    with database.transaction(SERVICE) as connection:
        happens(connection, its_maker, women[9], "TRANSFER", to_institution_id=str(other))
        befalls(connection, others_maker, other, "CLOSE", reason="DEFUNCT")
    outcomes = []

    def come():
        with database.transaction(SERVICE) as connection:
            outcomes.append(code_of(approve, connection, women[9], 2))

    coming = threading.Thread(target=come)
    with database.transaction(SERVICE) as connection:
        approve_institution(connection, other, 2)
        coming.start()
        coming.join(1)
        assert outcomes == []
    coming.join(60)
    assert outcomes == ["INSTITUTION_INACTIVE"]
    assert left_over([one, other]) == []


def test_approvals_at_once_wait_for_each_other_and_never_in_a_circle(committed):
    """Who goes with a split, who is transferred to what is closed, who joins it: one after the other, in any order."""
    (one, its_maker, women), (other, others_maker, others) = committed
    going = women[5:]
    with database.transaction(SERVICE) as connection:
        ids = [str(member_id) for member_id in going]
        befalls(connection, its_maker, one, "SPLIT", ids=ids, new_institution=split_off(going, name=f"Nayi {uuid4().hex}"))
        befalls(connection, others_maker, other, "CLOSE", reason="DEFUNCT")
        happens(connection, its_maker, women[3], "TRANSFER", to_institution_id=str(other))
        happens(connection, others_maker, others[9], "TRANSFER", to_institution_id=str(one))
    outcomes = at_once(
        lambda connection: approve_institution(connection, one, 2).row.status,
        lambda connection: approve_institution(connection, other, 2).row.status,
        lambda connection: approve(connection, women[3], 2).row.status,
        lambda connection: approve(connection, others[9], 2).row.status,
        lambda connection: submit(connection, others_maker, other, name="Member z").row.status,
    )
    assert None not in outcomes  # Each was done or refused in words; none lost against another.
    assert outcomes[0] in {"ACTIVE", "MEMBERS_TOO_FEW"}
    # It is closed unless somebody came in or waits, and who comes when it is closed is refused.
    assert (outcomes[1] == "INACTIVE") == (outcomes[4] == "INSTITUTION_INACTIVE")
    assert left_over([one, other]) == []


def test_every_act_of_the_table_has_a_form():
    assert {*rules._OF_MEMBERS, *rules._OF_INSTITUTIONS} == {act for _, act in ACTS} - {Act.PROFILE}
