"""A new loan to a member of whom another record proved to be the same woman: taken in, flagged, and approved once a supervisor allows it."""

from datetime import UTC, datetime
from uuid import UUID

import pytest
from sqlalchemy import delete, select

from protos import transactions_pb2 as pb
from protos.common_pb2 import Page
from protos.dedup_pb2 import MemberContested
from services.chassis.audit import audit
from services.chassis.database import transaction
from services.chassis.hears import Event
from services.kernel.caller import Caller, Role
from services.kernel.ids import uuid7
from services.transactions.consumer import Consumer
from services.transactions.rules.sheet import LoanGiven, Saving
from services.transactions.servicer import Servicer
from services.transactions.tables import allowed, contested
from tests.transactions.builders import BLOCK, RUPEE, new_id, savings
from tests.transactions.test_servicer import LAST, MIDDLE, SERVICE, approve, as_, days, made, next_of, refusal, saved, send, wire  # noqa: F401 - made is a fixture

DISTRICT = BLOCK.rpartition(".")[0]


@pytest.fixture
def group(made):  # noqa: F811 - the fixture
    grouped = made()
    yield grouped
    with transaction(SERVICE) as connection:
        for table in (contested, allowed):
            connection.execute(delete(table).where(table.c.member_id.in_(grouped.member_ids)))


@pytest.fixture
def servicer(up):
    return Servicer()


def supervisor(region=DISTRICT, **changes):
    return Caller("IUP_DPM", Role.DISTRICT_PROGRAM_MANAGER, region, **changes)


def contest(member_id, version=1, *, is_open=True):
    body = MemberContested(member_id=member_id, open=is_open)
    with transaction(SERVICE) as connection:
        Consumer().member_contested(connection, Event(uuid7(), member_id, version, datetime.now(UTC), body))


def lent(servicer, group, *to, **changes):
    """A meeting that lends to these members, on savings of one before it that is approved."""
    approve(servicer, group, saved(servicer, group))
    loans = tuple(LoanGiven(new_id(), one, 100 * RUPEE, 2400, 10) for one in to)
    return saved(servicer, group, held_on=MIDDLE, loans=loans, **changes)


def approve_one(servicer, group, one, revision=1):
    as_(group.approver())
    return servicer.ApproveMeeting(pb.ApproveMeetingRequest(meeting_id=one.meeting_id, revision=revision), None)


def refused_approval(servicer, group, one, revision=1):
    as_(group.approver())
    return refusal(servicer.ApproveMeeting, pb.ApproveMeetingRequest(meeting_id=one.meeting_id, revision=revision))


def asking(one, **changes):
    return pb.AllowContestedLoansRequest(**{"meeting_id": one.meeting_id, "revision": 1, "reason": "Seen at home: her sister", **changes})


def allow(servicer, one, caller=None, **changes):
    as_(caller or supervisor())
    servicer.AllowContestedLoans(asking(one, **changes), None)


def waiting(servicer, caller=None, **changes):
    as_(caller or supervisor())
    return servicer.ListContestedLoans(pb.ListContestedLoansRequest(**changes), None)


def test_a_loan_to_a_contested_member_is_kept_and_final_only_once_a_supervisor_allows_it(servicer, group):
    contest(group.members[2])
    one = lent(servicer, group, group.members[1], group.members[2])
    assert refused_approval(servicer, group, one) == ("MEMBER_CONTESTED", "loans[1]")
    assert approve(servicer, group, one) == ["MEMBER_CONTESTED"]
    allow(servicer, one)
    allow(servicer, one)
    assert approve_one(servicer, group, one).status == pb.MEETING_STATUS_APPROVED
    with transaction(SERVICE) as connection:
        [kept] = connection.execute(select(allowed).where(allowed.c.meeting_id == UUID(one.meeting_id))).all()
        noted = connection.execute(select(audit).where(audit.c.action == "meeting.allow", audit.c.subjects.has_key(one.meeting_id))).all()
    assert (kept.member_id, kept.revision, kept.allowed_by) == (group.member_ids[2], 1, "IUP_DPM")
    assert kept.reason == "Seen at home: her sister"
    assert [(row.user_id, row.facts, row.subjects) for row in noted] == [("IUP_DPM", {"revision": 1}, [one.meeting_id, group.members[2]])]


def test_her_savings_and_loans_to_others_go_on(servicer, group):
    contest(group.members[2])
    one = lent(servicer, group, group.members[1], savings=(Saving(group.members[2], 50 * RUPEE, 0),))
    assert approve(servicer, group, one) == [""]


def test_a_settled_case_lifts_it_and_old_news_does_not_bring_it_back(servicer, group):
    contest(group.members[2], 3)
    one = lent(servicer, group, group.members[2])
    contest(group.members[2], 2, is_open=False)
    assert refused_approval(servicer, group, one) == ("MEMBER_CONTESTED", "loans[0]")
    contest(group.members[2], 4, is_open=False)
    contest(group.members[2], 3)
    assert approve_one(servicer, group, one).status == pb.MEETING_STATUS_APPROVED


def test_contested_after_the_meeting_came_in_counts_too(servicer, group):
    one = lent(servicer, group, group.members[2])
    contest(group.members[2])
    assert refused_approval(servicer, group, one) == ("MEMBER_CONTESTED", "loans[0]")
    assert [found.meeting_id for found in waiting(servicer).loans] == [one.meeting_id]


def test_what_is_final_stays_final(servicer, group):
    one = lent(servicer, group, group.members[2])
    approve_one(servicer, group, one)
    contest(group.members[2])
    assert approve_one(servicer, group, one).status == pb.MEETING_STATUS_APPROVED


def test_it_may_be_handed_back_and_what_was_allowed_was_that_revision(servicer, group):
    contest(group.members[2])
    one = lent(servicer, group, group.members[2])
    allow(servicer, one)
    as_(group.approver())
    servicer.RejectMeeting(pb.RejectMeetingRequest(meeting_id=one.meeting_id, revision=1, remark="Half of it"), None)
    as_(supervisor())
    assert refusal(servicer.AllowContestedLoans, asking(one)) == ("MOVE_NOT_ALLOWED", "")
    loans = (LoanGiven(new_id(), group.members[2], 50 * RUPEE, 2400, 10),)
    again = next_of(group, meeting_id=one.meeting_id, revision=2, held_on=MIDDLE, loans=loans, savings=savings(group))
    assert send(servicer, group, wire(again)) == [("APPLIED", "")]
    assert refused_approval(servicer, group, one, revision=2) == ("MEMBER_CONTESTED", "loans[0]")
    allow(servicer, one, revision=2)
    assert approve_one(servicer, group, one, revision=2).status == pb.MEETING_STATUS_APPROVED


def test_who_is_contested_after_it_was_allowed_was_not_allowed(servicer, group):
    contest(group.members[2])
    one = lent(servicer, group, group.members[1], group.members[2])
    allow(servicer, one)
    contest(group.members[1])
    assert refused_approval(servicer, group, one) == ("MEMBER_CONTESTED", "loans[0]")
    assert [(found.field, found.member_id) for found in waiting(servicer).loans] == [("loans[0]", group.members[1])]


def test_what_waits_for_a_supervisor_page_by_page_in_her_region_alone(servicer, group):
    contest(group.members[2])
    first = lent(servicer, group, group.members[2])
    second = saved(servicer, group, held_on=LAST, loans=(LoanGiven(new_id(), group.members[2], 70 * RUPEE, 2400, 10),))
    found, after = [], ""
    for _ in range(9):
        page = waiting(servicer, page=Page(size=1, after=after))
        found, after = [*found, *page.loans], page.next
        if not after:
            break
    assert [(one.meeting_id, one.number, one.held_on, one.revision, one.principal_paise) for one in found] == [
        (first.meeting_id, 2, MIDDLE.isoformat(), 1, 100 * RUPEE),
        (second.meeting_id, 3, LAST.isoformat(), 1, 70 * RUPEE),
    ]
    assert {(one.institution_id, one.field, one.member_id) for one in found} == {(group.id, "loans[0]", group.members[2])}
    assert found[0].loan_id == first.loans[0].loan_id
    assert not waiting(servicer, supervisor("9.140")).loans
    allow(servicer, first)
    assert [one.meeting_id for one in waiting(servicer).loans] == [second.meeting_id]
    assert refusal(servicer.ListContestedLoans, pb.ListContestedLoansRequest(page=Page(after="x")))[0] == "PAGE_INVALID"


@pytest.mark.parametrize(
    ("caller", "changes", "refused_with"),
    [
        (supervisor("9.140"), {}, ("MEETING_UNKNOWN", "meeting_id")),
        (supervisor(person="maker"), {}, ("OWN_ENTRY", "")),
        (supervisor(), {"revision": 2}, ("REVISION_OLD", "revision")),
        (supervisor(), {"reason": "  "}, ("REASON_MISSING", "reason")),
        (supervisor(), {"reason": "a" * 501}, ("TEXT_TOO_LONG", "reason")),
        (supervisor(), {"reason": "a\nb"}, ("TEXT_INVALID", "reason")),
        (supervisor(), {"meeting_id": "x"}, ("ID_INVALID", "meeting_id")),
    ],
)
def test_who_may_allow_it_and_how(servicer, group, caller, changes, refused_with):
    contest(group.members[2])
    one = lent(servicer, group, group.members[2])
    as_(caller)
    assert refusal(servicer.AllowContestedLoans, asking(one, **changes)) == refused_with


def test_a_meeting_that_lends_to_nobody_contested_needs_no_supervisor(servicer, group):
    contest(group.members[2])
    one = lent(servicer, group, group.members[1])
    as_(supervisor())
    assert refusal(servicer.AllowContestedLoans, asking(one)) == ("LOANS_UNCONTESTED", "meeting_id")


def test_the_approver_and_the_block_are_shown_it(servicer, group):
    contest(group.members[2])
    one = lent(servicer, group, group.members[1], group.members[2])
    contest(group.members[2], 2, is_open=False)
    for caller in (group.approver(), Caller("IUP_BPM", Role.BLOCK_PROGRAM_MANAGER, BLOCK)):
        as_(caller)
        [shown] = servicer.ListAnomalies(pb.ListAnomaliesRequest(**days(), kinds=["LOAN_CONTESTED"], institution_id=group.id), None).anomalies
        assert shown.meeting_id == one.meeting_id
        [reason] = shown.reasons
        assert (reason.kind, reason.field, reason.member_id, reason.amount_paise) == ("LOAN_CONTESTED", "loans[1]", group.members[2], 100 * RUPEE)
        assert "₹100" in reason.sentence
