"""Findings: who may decide on which, what each word leaves behind, two records side by side, and what a duplicate comes to."""

from dataclasses import replace

import pytest
from sqlalchemy import select

from protos import dedup_pb2, profiles_pb2
from services.chassis import audit
from services.kernel.approval import Act, Status
from services.kernel.errors import Refused
from services.kernel.ids import uuid7
from services.profiles import queries
from services.profiles.commands import finding, institution, life, member, places, restate
from services.profiles.queries import MEMBER, tasks
from services.profiles.rules import compare
from services.profiles.rules.compare import Agreement, Clue, Side
from services.profiles.rules.review import Decided, Decision
from tests.profiles.builders import (
    GP,
    NEXT_VILLAGE,
    NOT_HER,
    SERVICE,  # noqa: F401 - whose connection the tests have
    TODAY,
    VILLAGE,
    account,
    active_shg,
    approve,
    bookkeeper,
    code_of,
    edited,
    emptied,
    enrol,
    events,
    last,
    manager,
    new_shg,
    phone,
    reject,
    said_of,
    screen,
    screened,
    submit,
    supervisor,
)

pytestmark = pytest.mark.usefixtures("land")

POTENTIAL, CONFIRMED = dedup_pb2.VERDICT_POTENTIAL, dedup_pb2.VERDICT_CONFIRMED
SUPERVISED = dedup_pb2.OVERRIDE_SUPERVISOR
MOVED = [Decided("f1", Decision.DUPLICATE_TRANSFER, "she lives here now")]
REFERRED = [Decided("f1", Decision.FIELD_VERIFICATION, "the names are the same")]


@pytest.fixture
def connection(connection):
    return emptied(connection)


def found(connection, member_id):
    return queries.member_anywhere(connection, member_id)


def flagged(connection, other=None, override=SUPERVISED):
    """A new member with one finding."""
    shg_id, maker = new_shg(connection)
    made = submit(connection, maker, shg_id)
    screen(connection, made, ("f1", POTENTIAL, other or uuid7(), override))
    return made.row.id, maker


def listed(connection, who):
    return [row.record_id for row in tasks.page(connection, who, tasks.Wanted(for_supervisor=True), None, 25)]


# --- Who may decide


def test_what_says_much_a_supervisor_clears_beside_the_approval(connection):
    her, _ = flagged(connection)
    assert listed(connection, supervisor()) == listed(connection, manager()) == [her]
    assert code_of(approve, connection, her, 1, NOT_HER) == "FINDING_NEEDS_SUPERVISOR"
    assert code_of(reject, connection, her, decisions=NOT_HER) == "FINDING_NEEDS_SUPERVISOR"
    assert code_of(finding.decide, connection, manager(), her, 1, NOT_HER) == "FINDING_NEEDS_SUPERVISOR"
    finding.decide(connection, manager(), her, 1, REFERRED)
    assert listed(connection, supervisor()) == [her]
    assert code_of(approve, connection, her) == "FINDING_UNDECIDED"
    assert code_of(finding.decide, connection, supervisor(person="bookkeeper"), her, 1, NOT_HER) == "OWN_ENTRY"
    assert code_of(finding.decide, connection, supervisor(region="9.179"), her, 1, NOT_HER) == "MEMBER_UNKNOWN"
    assert code_of(finding.decide, connection, supervisor(), her, 2, NOT_HER) == "REVISION_OLD"
    cleared = finding.decide(connection, supervisor(), her, 1, NOT_HER)
    assert listed(connection, supervisor()) == []
    told, version = last(connection, profiles_pb2.FindingsDecided)
    assert ([(one.finding_id, one.decision) for one in told.decisions], version) == (
        [("f1", profiles_pb2.DECISION_NOT_A_DUPLICATE)],
        cleared.row.version,
    )
    assert last(connection, profiles_pb2.MemberChanged)[1] == version
    count = len(events(connection))
    assert finding.decide(connection, supervisor(), her, 1, NOT_HER) == cleared
    assert len(events(connection)) == count
    # She who approves may say it again; who cleared it stays who she is.
    active = approve(connection, her, 1, [Decided("f1", Decision.NOT_A_DUPLICATE, "as the district says")])
    [row] = queries.findings_of(connection, [active])[her]
    assert (active.row.status, row.decided_by, row.decided_role, row.reason) == ("ACTIVE", "IUP_DPM", "DISTRICT_PROGRAM_MANAGER", "I met both")
    past = queries.life_of(connection, manager(), her).decisions
    assert [(one.decided_by, one.decision, one.reason) for one in past] == [
        ("IUP_BPM", "FIELD_VERIFICATION", "the names are the same"),
        ("IUP_DPM", "NOT_A_DUPLICATE", "I met both"),
    ]
    audited = connection.execute(select(audit.audit.c.user_id).where(audit.audit.c.action == "member.findings")).scalars().all()
    assert audited == ["IUP_BPM", "IUP_DPM"]


def test_an_officers_own_decisions_wait_with_her_for_the_approval(connection):
    her, _ = flagged(connection, override=dedup_pb2.OVERRIDE_OFFICER)
    assert listed(connection, supervisor()) == []
    finding.decide(connection, manager(), her, 1, NOT_HER)
    assert approve(connection, her).row.status == "ACTIVE"


def test_a_clearing_does_not_count_where_the_finding_came_to_say_more(connection):
    other = uuid7()
    her, _ = flagged(connection, other, dedup_pb2.OVERRIDE_OFFICER)
    finding.decide(connection, manager(), her, 1, NOT_HER)
    screen(connection, found(connection, her), ("f1", POTENTIAL, other, SUPERVISED))
    assert listed(connection, supervisor()) == [her]
    assert code_of(approve, connection, her) == "FINDING_UNDECIDED"
    screen(connection, found(connection, her), ("f1", CONFIRMED, other, dedup_pb2.OVERRIDE_NOBODY))
    assert code_of(finding.decide, connection, supervisor(), her, 1, NOT_HER) == "FINDING_CONFIRMED"
    assert reject(connection, her).row.status == "REJECTED", "what was said of it before does not hold up her going back"


def test_what_was_decided_and_is_found_no_more_holds_nobody_up_and_is_remembered(connection):
    her, _ = flagged(connection)
    finding.decide(connection, manager(), her, 1, REFERRED)
    screen(connection, found(connection, her))
    assert (queries.findings_of(connection, [found(connection, her)])[her], listed(connection, supervisor())) == ([], [])
    assert [one.decision for one in queries.decisions_of(connection, her)] == ["FIELD_VERIFICATION"]
    assert approve(connection, her).row.status == "ACTIVE"


def test_what_is_handed_in_again_is_decided_on_anew_and_what_was_said_is_read(connection):
    her, maker = flagged(connection)
    finding.decide(connection, supervisor(), her, 1, NOT_HER)
    reject(connection, her)
    assert code_of(finding.decide, connection, supervisor(), her, 1, REFERRED) == "NOTHING_WAITS"
    again = submit(connection, maker, found(connection, her).row.institution_id, her, 2, name="Sunita Rani")
    screen(connection, again, ("f2", POTENTIAL, uuid7(), SUPERVISED))
    assert listed(connection, supervisor()) == [her]
    assert code_of(approve, connection, her, 2, [Decided("f2", Decision.NOT_A_DUPLICATE, "as before")]) == "FINDING_NEEDS_SUPERVISOR"
    assert [(one.member_revision, one.finding_id) for one in queries.decisions_of(connection, her)] == [(1, "f1")]


def test_of_who_is_live_findings_are_decided_too_and_told_anew(connection):
    shg_id, maker = new_shg(connection)
    active = enrol(connection, maker, shg_id)
    her = active.row.id
    screen(connection, active, ("f1", POTENTIAL, uuid7(), SUPERVISED))
    assert code_of(finding.decide, connection, supervisor(user_id="IUP_BK"), her, 1, NOT_HER) == "OWN_ENTRY"
    assert finding.decide(connection, supervisor(), her, 1, NOT_HER).row.status == "ACTIVE"
    waiting = submit(connection, maker, shg_id, name="Sita Devi")
    screen(connection, waiting, ("f9", POTENTIAL, her, SUPERVISED))
    finding.decide(connection, manager(), waiting.row.id, 1, [Decided("f9", Decision.FIELD_VERIFICATION, "")])
    restate.restate_submissions(connection, "dedup", None)
    anew = events(connection, "FindingsDecided", to="dedup")
    assert [(one.subject, one.version) for one in anew] == [(str(waiting.row.id), found(connection, waiting.row.id).row.version)]
    [live] = [one for one in events(connection, "MemberDecided", to="dedup") if one.subject == str(her)]
    assert [one.finding_id for one in profiles_pb2.MemberDecided.FromString(live.body).decisions] == ["f1"]


def test_tasks_count_what_waits_for_a_supervisor(connection, serving):
    her, _ = flagged(connection)
    servicer, calling = serving
    calling["who"] = supervisor()
    [count] = [one for one in servicer.CountTasks(profiles_pb2.CountTasksRequest(), None).counts if one.kind == profiles_pb2.TASK_KIND_MEMBER]
    assert (count.waiting, count.for_supervisor) == (1, 1)
    [task] = servicer.ListTasks(profiles_pb2.ListTasksRequest(for_supervisor=True), None).tasks
    assert (task.record_id, task.for_supervisor) == (str(her), True)
    asked = profiles_pb2.DecideFindingsRequest(member_id=str(her), revision=1)
    asked.decisions.add(finding_id="f1", decision=profiles_pb2.DECISION_NOT_A_DUPLICATE, reason="I met both")
    [shown] = servicer.DecideFindings(asked, None).findings
    assert (shown.override, shown.decided_by, shown.decided_role) == (profiles_pb2.OVERRIDE_SUPERVISOR, "IUP_DPM", "DISTRICT_PROGRAM_MANAGER")
    assert [(one.code, one.words, one.weight_centibits) for one in shown.clue_list] == [("SAME_VILLAGE", "the same village", 1300)]
    assert shown.HasField("decided_at")
    assert not servicer.ListTasks(profiles_pb2.ListTasksRequest(for_supervisor=True), None).tasks
    [past] = servicer.GetHistory(profiles_pb2.GetHistoryRequest(record_id=str(her)), None).decisions
    assert (past.decision, past.reason, past.revision) == (profiles_pb2.DECISION_NOT_A_DUPLICATE, "I met both", 1)


# --- Side by side


CLUES = [Clue("NAME_SOUNDS_ALIKE", "the same name, spelt otherwise", 650), Clue("BIRTH_OTHER", "but another birth year", -450)]
ONE = {"name": "Sunita Devi", "birth_year": 1985, "phones": [phone()], "accounts": [account()]}


def test_each_field_says_whether_the_two_agree_and_no_number_is_whole():
    other = {"name": "Suneeta Devi", "born_on": "1987-03-02", "phones": [phone("7000917401")], "relation_name": "Ramesh"}
    fields = {field.name: field for field in compare.compare(Side(ONE, VILLAGE, "t1"), Side(other, VILLAGE, "t1"), CLUES)}
    assert {name: field.agreement for name, field in fields.items()} == {
        "name": Agreement.ALIKE,
        "born_on": Agreement.OTHER,
        "relation_name": Agreement.OPEN,
        "village": Agreement.SAME,
        "mobile": Agreement.OTHER,
        "account": Agreement.OPEN,
        "identity": Agreement.SAME,
    }
    assert [field.clue for field in fields.values() if field.clue] == CLUES
    shown = {name: (field.one, field.other) for name, field in fields.items()}
    assert (shown["mobile"], shown["account"], shown["identity"]) == (("7401", "7401"), ("7401", ""), ("", ""))
    assert shown["born_on"] == ("1985", "1987-03-02")


def test_two_records_side_by_side_also_where_the_other_lies_elsewhere(connection, serving, monkeypatch):
    servicer, calling = serving
    shg_id, maker = new_shg(connection)
    far_id = uuid7()
    institution.submit(connection, replace(bookkeeper(), region=GP), far_id, 1, said_of(name="Roshni", region=NEXT_VILLAGE), TODAY)
    other = enrol(connection, bookkeeper(far_id), far_id, name="Suneeta Devi").row
    made = submit(connection, maker, shg_id)
    screen(connection, made, ("f1", POTENTIAL, other.id, dedup_pb2.OVERRIDE_OFFICER))
    her = made.row.id
    finding.decide(connection, manager(), her, 1, REFERRED)
    calling["who"] = manager(region=VILLAGE)
    noted = []
    monkeypatch.setattr(servicer.reads, "seen", lambda _caller, *seen: noted.append(seen))
    shown = servicer.CompareMembers(profiles_pb2.CompareMembersRequest(member_id=str(her), finding_id="f1"), None)
    assert noted == [("member.compare", [her, other.id])]
    assert (shown.member.member_id, shown.member.waits, shown.member.code) == (str(her), True, "")
    assert (shown.other.member_id, shown.other.waits, shown.other.code, shown.other.institution_name) == (str(other.id), False, other.code, "Roshni")
    assert [(stay.institution_id, stay.to) for stay in shown.other.stays] == [(str(far_id), "")]
    assert shown.other.activated_on == TODAY.isoformat()
    assert not shown.member.stays
    fields = {field.field: field for field in shown.fields}
    assert (fields["name"].agreement, fields["name"].HasField("clue")) == (profiles_pb2.AGREEMENT_OTHER, False)
    assert (fields["village"].member, fields["village"].other, fields["village"].clue.code) == (VILLAGE, NEXT_VILLAGE, "SAME_VILLAGE")
    assert (fields["mobile"].member, fields["mobile"].agreement) == ("7401", profiles_pb2.AGREEMENT_SAME)
    whole = {found_phone["number"] for found_phone in made.content["phones"]} | {one["account_number"] for one in made.content["accounts"]}
    assert not any(number in str(shown) for number in whole)
    assert [(one.decision, one.decided_by) for one in shown.decisions] == [(profiles_pb2.DECISION_FIELD_VERIFICATION, "IUP_BPM")]
    for asked, code in (
        ({"member_id": str(her), "finding_id": "f2"}, "FINDING_UNKNOWN"),
        ({"member_id": str(other.id), "finding_id": "f1"}, "MEMBER_UNKNOWN"),
    ):
        assert code_of(servicer.CompareMembers, profiles_pb2.CompareMembersRequest(**asked), None) == code


# --- What a duplicate comes to


def entered_again(connection, other_id, shg_id, maker):
    made = submit(connection, maker, shg_id)
    screen(connection, made, ("f1", POTENTIAL, other_id, dedup_pb2.OVERRIDE_OFFICER))
    return made.row.id


def taken(connection, her):
    return reject(connection, her, 1, ["DUPLICATE"], "enrolled in another SHG", MOVED)


def test_who_is_entered_in_another_shg_moves_there_once_the_checker_approves(connection, serving):
    servicer, calling = serving
    old_id, _, ids = active_shg(connection, members=6)
    new_id, maker, _ = active_shg(connection, name="Roshni")
    other = ids[-1]
    her = entered_again(connection, other, new_id, maker)
    rejected = taken(connection, her)
    assert (rejected.row.status, rejected.row.merged_into) == ("REJECTED", other)
    waits = found(connection, other)
    assert (waits.waiting.act, waits.waiting.status, waits.waiting.institution_id, waits.waiting.maker_user) == (
        Act.TRANSFER,
        Status.SUBMITTED,
        old_id,
        "IUP_BK",
    )
    assert waits.waiting.content == {"on": TODAY.isoformat(), "to_institution_id": str(new_id)}
    assert taken(connection, her) == rejected
    calling["who"] = manager()
    for one, merged in ((her, (str(other), [])), (other, ("", [str(her)]))):
        shown = servicer.GetMember(profiles_pb2.GetMemberRequest(member_id=str(one)), None)
        assert (shown.merged_into, list(shown.merged_from)) == merged
    moved = approve(connection, other, 2)
    assert (moved.row.institution_id, moved.row.status) == (new_id, "ACTIVE")
    told, _ = last(connection, profiles_pb2.MemberSubmitted)
    assert (told.member_id, told.institution_id, told.revision) == (str(other), str(new_id), 2), "the duplicate check hears where she is"
    # Handed in anew after all, she is another woman.
    assert submit(connection, maker, new_id, her, 2, name="Sita Devi").row.merged_into is None


def test_who_had_left_comes_back_there(connection):
    _, old, ids = active_shg(connection, members=6)
    new_id, maker, _ = active_shg(connection, name="Roshni")
    other = ids[-1]
    life.submit(connection, old, MEMBER, other, 2, {"act": "LEAVE", "on": "2025-03-01", "reason": "MARRIAGE"}, TODAY)
    approve(connection, other, 2)
    taken(connection, entered_again(connection, other, new_id, maker))
    back = approve(connection, other, 3)
    assert (back.row.institution_id, back.row.status, back.row.inactive_reason) == (new_id, "ACTIVE", "")


def test_entered_twice_in_her_own_shg_the_records_are_one(connection):
    shg_id, maker, ids = active_shg(connection)
    her = entered_again(connection, ids[0], shg_id, maker)
    assert taken(connection, her).row.merged_into == ids[0]
    assert found(connection, ids[0]).waiting is None
    assert queries.merged_into(connection, ids) == {ids[0]: [her]}


def refused(connection, her, **changes):
    before = len(events(connection))
    with connection.begin_nested() as undone:
        with pytest.raises(Refused) as told:
            reject(connection, her, 1, ["DUPLICATE"], "enrolled in another SHG", **({"decisions": MOVED} | changes))
        undone.rollback()
    assert (found(connection, her).row.status, len(events(connection))) == ("SUBMITTED", before), "nothing is half done"
    assert told.value.field == "decisions"
    return told.value.code


def test_where_she_cannot_move_the_checker_is_told_why(connection):
    _, old, ids = active_shg(connection, members=6)
    new_id, maker, _ = active_shg(connection, name="Roshni")
    young_id, young = new_shg(connection, name="Navin")
    pending = submit(connection, old, found(connection, ids[0]).row.institution_id, name="Sita Devi").row.id
    for other, shg_id, who, code in (
        (uuid7(), new_id, maker, "MEMBER_UNKNOWN"),
        (pending, new_id, maker, "ACT_NOT_ALLOWED"),
        (ids[0], new_id, maker, "OFFICE_HELD"),
        (ids[-1], young_id, young, "INSTITUTION_INACTIVE"),
    ):
        assert refused(connection, entered_again(connection, other, shg_id, who)) == code
    her = entered_again(connection, ids[-1], new_id, maker)
    live = found(connection, ids[-1])
    member.submit(connection, old, ids[-1], 2, edited(live, name="Sunita Rani"), None, TODAY)
    assert refused(connection, her) == "LOCKED"
    both = [("f1", POTENTIAL, ids[-1], dedup_pb2.OVERRIDE_OFFICER), ("f2", POTENTIAL, ids[-2], dedup_pb2.OVERRIDE_OFFICER)]
    screen(connection, found(connection, her), *both)
    assert refused(connection, her, decisions=[*MOVED, Decided("f2", Decision.DUPLICATE_TRANSFER, "")]) == "TRANSFER_ONE"


def leaves_as_double(connection, maker, her, stays, revision=2):
    said = {"act": "LEAVE", "on": "2026-03-01", "reason": "DUPLICATE", "merged_into": str(stays)}
    return life.submit(connection, maker, MEMBER, her, revision, said, TODAY)


def test_of_two_live_records_one_is_ended_and_an_approved_change_undoes_it(connection, serving):
    servicer, calling = serving
    calling["who"] = manager()
    _, one, (*_, stays) = active_shg(connection, members=6)
    _, maker, (*_, her) = active_shg(connection, members=6, name="Roshni")
    leaves_as_double(connection, maker, her, stays)
    assert servicer.GetMember(profiles_pb2.GetMemberRequest(member_id=str(her)), None).waiting_event.merged_into == str(stays)
    ended = approve(connection, her, 2).row
    assert (ended.status, ended.inactive_reason, ended.merged_into) == ("INACTIVE", "DUPLICATE", stays)
    told, _ = last(connection, profiles_pb2.MemberDecided)
    assert (told.member_id, told.status) == (str(her), profiles_pb2.STATUS_REJECTED), "nobody's double any more"
    assert last(connection, profiles_pb2.MemberChanged)[0].status == profiles_pb2.STATUS_INACTIVE
    assert code_of(leaves_as_double, connection, one, stays, her) == "EVENT_TARGET"
    again_id, again, _ = active_shg(connection, name="Asha")
    assert refused(connection, entered_again(connection, her, again_id, again)) == "MEMBER_MERGED"
    restate.restate_submissions(connection, "dedup", None)
    [anew] = [row for row in events(connection, "MemberDecided", to="dedup") if row.subject == str(her)]
    assert profiles_pb2.MemberDecided.FromString(anew.body).status == profiles_pb2.STATUS_REJECTED
    life.submit(connection, maker, MEMBER, her, 3, {"act": "REVIVE", "on": "2026-03-20"}, TODAY)
    back = approve(connection, her, 3).row
    assert (back.status, back.merged_into) == ("ACTIVE", None)
    assert last(connection, profiles_pb2.MemberDecided)[0].status == profiles_pb2.STATUS_ACTIVE


@pytest.mark.parametrize(
    ("said", "code"),
    [
        ({"reason": "DUPLICATE"}, "VALUE_MISSING"),
        ({"reason": "MARRIAGE", "merged_into": str(uuid7())}, "FIELD_NOT_OF_ACT"),
        ({"reason": "DUPLICATE", "merged_into": str(uuid7())}, "EVENT_TARGET"),
    ],
)
def test_who_is_ended_as_a_double_names_the_record_that_stays(connection, said, code):
    _, maker, (*_, her) = active_shg(connection, members=6)
    assert code_of(life.submit, connection, maker, MEMBER, her, 2, {"act": "LEAVE", "on": "2026-03-01", **said}, TODAY) == code
    assert code_of(leaves_as_double, connection, maker, her, her) == "EVENT_TARGET"


# --- Screened again


def test_an_older_verdict_never_overwrites_a_newer_one_also_after_an_edit_and_a_move(connection):
    _, maker, (*_, her) = active_shg(connection, members=6)
    to_id, _, _ = active_shg(connection, name="Roshni")
    live = found(connection, her)
    late = screened(her, 1, ("old", CONFIRMED), version=live.row.screening_version - 1)
    edit = member.submit(connection, maker, her, 2, edited(live, name="Sunita Rani"), None, TODAY)
    screen(connection, edit, ("f1", POTENTIAL), version=live.row.screening_version + 5)
    member.note_screening(connection, *late)
    member.note_screening(connection, *screened(her, 2, ("older", CONFIRMED), version=live.row.screening_version + 4))
    assert [one.finding_id for one in queries.findings_of(connection, [found(connection, her)])[her]] == ["f1"]
    approve(connection, her, 2, NOT_HER)
    life.submit(connection, maker, MEMBER, her, 3, {"act": "TRANSFER", "on": "2026-03-01", "to_institution_id": str(to_id)}, TODAY)
    moved = approve(connection, her, 3)
    member.note_screening(connection, *screened(her, 2, ("older", CONFIRMED), version=live.row.screening_version + 6))
    assert (found(connection, her).row.verdict, queries.findings_of(connection, [moved])[her]) == ("POTENTIAL", [])
    screen(connection, moved, version=live.row.screening_version + 7)
    assert found(connection, her).row.verdict == "CLEAR"


def moves(connection):
    """How she comes to lie elsewhere, or is there no more, each with what has her so."""
    old_id, maker, ids = active_shg(connection, members=11)
    to_id, _, _ = active_shg(connection, name="Roshni")
    return old_id, maker, ids, to_id


def told_where(connection, her):
    hers = [one for one in events(connection, "MemberSubmitted") if one.subject == str(her)]
    body = profiles_pb2.MemberSubmitted.FromString(max(hers, key=lambda one: one.version).body)
    return body.institution_id, body.region, body.revision


def test_the_duplicate_check_hears_of_every_move(connection):
    old_id, maker, ids, to_id = moves(connection)
    her = ids[-1]

    def happens(revision, **said):
        life.submit(connection, maker, MEMBER, her, revision, {"on": f"2026-03-{revision:02}", **said}, TODAY)
        approve(connection, her, revision)
        row = found(connection, her).row
        assert told_where(connection, her) == (str(row.institution_id), row.region, revision)
        return row

    assert happens(2, act="LEAVE", reason="MARRIAGE").status == "INACTIVE"
    assert happens(3, act="REVIVE", to_institution_id=str(to_id)).institution_id == to_id
    places.move(connection, manager(), [to_id, old_id], NEXT_VILLAGE)
    for one in (her, ids[0]):
        assert told_where(connection, one)[1] == NEXT_VILLAGE
    life.submit(connection, bookkeeper(old_id), "", old_id, 2, {"act": "MERGE", "on": "2026-03-20", "to_institution_id": str(to_id)}, TODAY)
    approve(connection, old_id, 2, kind="")
    assert {told_where(connection, one)[0] for one in ids} == {str(to_id)}
