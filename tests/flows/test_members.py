"""The member flow over real processes: verified, compared, decided, counted; with exactly the verdicts that are due."""

from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from deploy.demo import books, cast
from deploy.machine.provision import SAMPLE_RESIDENTS
from protos import dedup_pb2, profiles_pb2, transactions_pb2
from services.kernel.ids import uuid7
from tests.flows.world import database, figures, hold_meeting, make_groups, strange_name

pytestmark = [pytest.mark.flow, pytest.mark.timeout(300)]

CLEAR, POTENTIAL, CONFIRMED = profiles_pb2.VERDICT_CLEAR, profiles_pb2.VERDICT_POTENTIAL, profiles_pb2.VERDICT_CONFIRMED


@pytest.fixture(scope="module")
def groups(world):
    return make_groups(world, world.up, 2)


@pytest.fixture(scope="module")
def residents(world):
    """Invented residents of this run alone, each drawn once."""
    everybody = cast.residents(Path(world.up.instance.env["LOKOS_SANDBOX_RESIDENTS_FILE"]))
    return iter(everybody[len(cast.residents(SAMPLE_RESIDENTS)) :])


def enrol(group, name, relation_name, resident=None, **changes):
    """Hand a new woman in, as the device makes her; the answer once she has been compared."""
    member = profiles_pb2.Member(
        member_id=str(uuid7()),
        institution_id=group.institution_id,
        name=name,
        gender="FEMALE",
        birth_year=1985,
        relation="SPOUSE",
        relation_name=relation_name,
        social_category="OBC",
        joined_on=date(2016, 1, 1).isoformat(),
        **changes,
    )
    attestation = cast.verify_identity(group.keeper, member.member_id, group.institution_id, resident).attestation if resident else ""
    books.submit(group.keeper, member, attestation)
    return books.screened(group.state.manager, member.member_id, 1)


def test_the_same_identity_is_confirmed_under_any_spelling_and_nobody_clears_it(world, groups, residents):
    first, second = groups
    resident = next(residents)
    one = enrol(first, strange_name(), strange_name(), resident)
    other = enrol(second, strange_name(), strange_name(), resident)
    assert other.verdict == CONFIRMED
    assert one.member_id in {finding.other_member_id for finding in other.findings if finding.verdict == CONFIRMED}
    manager = world.up.manager
    assert books.refusal_of(lambda: books.approve(manager, other, reason="She says she is another")).code == "FINDING_CONFIRMED"
    screening = manager(manager.dedup.GetScreening, dedup_pb2.GetScreeningRequest(member_id=other.member_id))
    assert screening.verdict == dedup_pb2.VERDICT_CONFIRMED


def test_a_look_alike_is_potential_and_is_cleared_with_a_reason_alone(world, groups, residents):
    name, husband = strange_name(), strange_name()
    enrol(groups[0], name, husband)
    alike = enrol(groups[0], name, husband, next(residents))
    potential = [finding for finding in alike.findings if finding.verdict == POTENTIAL]
    assert potential
    assert all(finding.clues for finding in potential)
    manager = world.up.manager
    undecided = profiles_pb2.ApproveMemberRequest(member_id=alike.member_id, revision=1)
    assert books.refusal_of(lambda: manager(manager.profiles.ApproveMember, undecided)).code == "FINDING_UNDECIDED"


def test_the_same_account_is_the_supervisors_to_clear_and_both_records_are_seen_side_by_side(world, groups):
    account = {"ifsc": "ZZZZ0KLD001", "account_number": f"{uuid7().int % 10**12:012}", "holding": "SINGLE", "is_default": "YES"}
    accounts = [[profiles_pb2.BankAccount(row_id=str(uuid7()), **account)] for _ in range(2)]
    one = enrol(groups[0], strange_name(), strange_name(), accounts=accounts[0])
    other = enrol(groups[1], strange_name(), strange_name(), accounts=accounts[1])
    [found] = [finding for finding in other.findings if finding.other_member_id == one.member_id]
    assert found.override == profiles_pb2.OVERRIDE_SUPERVISOR
    assert "SAME_ACCOUNT" in {clue.code for clue in found.clue_list if clue.weight_centibits > 0}
    manager, supervisor = world.up.manager, world.up.reader
    assert books.refusal_of(lambda: books.approve(manager, other, reason="Her mother")).code == "FINDING_NEEDS_SUPERVISOR"
    compared = profiles_pb2.CompareMembersRequest(member_id=other.member_id, finding_id=found.finding_id)
    shown = supervisor(supervisor.profiles.CompareMembers, compared)
    assert {field.field: field.agreement for field in shown.fields}["account"] == profiles_pb2.AGREEMENT_SAME
    assert account["account_number"] not in str(shown)
    waits = profiles_pb2.ListTasksRequest(for_supervisor=True, institution_id=groups[1].institution_id)
    assert [task.record_id for task in supervisor(supervisor.profiles.ListTasks, waits).tasks] == [other.member_id]
    assert books.approve(manager, other, "Her mother", supervisor).code
    with database(world.up, "dedup") as kept:
        label = "select decision, revision from labels where finding_id = %s"
        books.wait_until("the label", lambda: kept.execute(label, [found.finding_id]).fetchone() == ("NOT_A_DUPLICATE", 1))


def test_who_is_enrolled_in_a_second_group_goes_there_by_an_approved_move(world, groups):
    old, new = groups
    name, husband, manager = strange_name(), strange_name(), world.up.manager
    number = f"9{uuid7().int % 10**9:09}"
    phones = [[profiles_pb2.Phone(row_id=str(uuid7()), number=number, is_default="YES")] for _ in groups]
    hers = enrol(old, name, husband, phones=phones[0])
    books.approve(manager, hers, "Seen at home: another woman", world.up.reader)
    double = enrol(new, name, husband, phones=phones[1])
    [found] = [finding for finding in double.findings if finding.other_member_id == hers.member_id]
    moved = profiles_pb2.FindingDecision(finding_id=found.finding_id, decision=profiles_pb2.DECISION_DUPLICATE_TRANSFER, reason="She lives here now")
    request = profiles_pb2.RejectMemberRequest(member_id=double.member_id, revision=1, reasons=["DUPLICATE"], remark="Moved", decisions=[moved])
    assert manager(manager.profiles.RejectMember, request).merged_into == hers.member_id
    waits = manager(manager.profiles.GetMember, profiles_pb2.GetMemberRequest(member_id=hers.member_id))
    assert (waits.waiting_event.act, waits.waiting_event.to_institution_id) == (profiles_pb2.ACT_TRANSFER, new.institution_id)
    assert list(waits.merged_from) == [double.member_id]
    key = profiles_pb2.ApproveMemberRequest(member_id=hers.member_id, revision=waits.waiting_event.revision)
    assert manager(manager.profiles.ApproveMember, key).institution_id == new.institution_id
    with database(world.up, "dedup") as kept:
        known = "select member_id::text, institution_id::text from people where member_id in (%s, %s) and status <> 'REJECTED'"
        there = [(hers.member_id, new.institution_id)]
        books.wait_until("where she is", lambda: kept.execute(known, [hers.member_id, double.member_id]).fetchall() == there)


def test_two_women_with_different_identities_are_clear_however_alike_they_look(groups, residents):
    name, husband = strange_name(), strange_name()
    enrol(groups[0], name, husband, next(residents))
    other = enrol(groups[0], name, husband, next(residents))
    assert not [finding for finding in other.findings if finding.other_member_id and finding.verdict == POTENTIAL and len(finding.clues) > 3]


def test_a_rejected_member_is_corrected_approved_and_counted_once(world, groups):
    group, manager = groups[1], world.up.manager
    before = figures(world.up, world.up.block)
    member = enrol(group, strange_name(), strange_name())
    assert member.verdict == CLEAR
    request = profiles_pb2.RejectMemberRequest(member_id=member.member_id, revision=1, reasons=["NAME_WRONG"], remark="As the passbook has it")
    rejected = manager(manager.profiles.RejectMember, request)
    assert (rejected.status, rejected.remark) == (profiles_pb2.STATUS_REJECTED, "As the passbook has it")
    books.wait_until("she is counted as rejected", lambda: figures(world.up, world.up.block)["members_rejected"] == before["members_rejected"] + 1)
    corrected = books.submit(group.keeper, rejected, name=strange_name())
    assert corrected.revision == 2
    approved = books.approve(manager, books.screened(manager, corrected.member_id, 2))
    assert approved.code.startswith("M09")
    assert books.approve(manager, approved) == approved
    books.wait_until("she is counted as active", lambda: figures(world.up, world.up.block)["members_active"] == before["members_active"] + 1)
    after = figures(world.up, world.up.block)
    assert after["members_rejected"] == before["members_rejected"]


def test_the_vault_alone_knows_the_number(world, groups, residents):
    resident = next(residents)
    member = enrol(groups[0], strange_name(), strange_name(), resident)
    assert member.identity_verified
    number = resident["number"]
    for program in world.machine.programs:
        for log in world.machine.log_files(program):
            assert number not in log.read_text(errors="replace"), program


def test_whoever_saw_her_is_in_the_audit_of_each_service(world, groups):
    group, manager = groups[0], world.up.manager
    meeting_id, member_id = hold_meeting(group), str(group.members[0])
    of_group = {"institution_id": group.institution_id}
    begun = datetime.now(UTC)
    manager(manager.profiles.GetMember, profiles_pb2.GetMemberRequest(member_id=member_id))
    manager(manager.profiles.ListMembers, profiles_pb2.ListMembersRequest(**of_group))
    manager(manager.transactions.GetMeeting, transactions_pb2.GetMeetingRequest(meeting_id=meeting_id))
    manager(manager.transactions.ListMeetings, transactions_pb2.ListMeetingsRequest(**of_group))
    manager(manager.transactions.Pull, transactions_pb2.PullRequest(**of_group))
    manager(manager.transactions.Journal, transactions_pb2.JournalRequest(**of_group))
    manager(manager.dedup.GetScreening, dedup_pb2.GetScreeningRequest(member_id=member_id))
    books.approve_meeting(group.approver, meeting_id)  # Again: nothing changes, and he sees it all the same.
    seen = {
        "profiles": ["member.get", "member.list"],
        "transactions": ["books.journal", "books.pull", "meeting.get", "meeting.get", "meeting.list"],
        "dedup": ["screening.get"],
    }
    noted = "select action from audit where subjects ? %s and at >= %s order by action"
    for service, actions in seen.items():
        with database(world.up, service) as tables:
            books.wait_until("it is noted", lambda t=tables, a=actions: [row[0] for row in t.execute(noted, [member_id, begun]).fetchall()] == a)
