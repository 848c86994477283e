"""Who leaves: quoted, settled in a meeting, approved, and then shown as settled in her record, over real processes."""

import pytest

from deploy.demo import books
from protos import profiles_pb2
from protos import transactions_pb2 as pb
from services.kernel import month
from services.kernel.ids import uuid7
from tests.flows.world import make_groups

pytestmark = [pytest.mark.flow, pytest.mark.timeout(300)]


def held(group, **screens):
    """A meeting of today at which all are present, sent and approved."""
    kept = group.ledger()
    attendance = [pb.Attendance(member_id=one, present=True) for one in group.members]
    sheet = kept.close(kept.begin(str(uuid7()), month.today().isoformat(), attendance=attendance, **screens))
    [answer] = books.sync(group.keeper, [sheet])
    assert answer.outcome == pb.OUTCOME_APPLIED, answer
    books.approve_meeting(group.approver, sheet.meeting_id)


def quoted(group, member_id):
    request = pb.QuoteSettlementRequest(institution_id=group.institution_id, member_id=member_id)
    return group.keeper(group.keeper.transactions.QuoteSettlement, request)


def record(group, member_id):
    return group.keeper(group.keeper.profiles.GetMember, profiles_pb2.GetMemberRequest(member_id=member_id))


def test_two_leave_one_owing_more_than_she_saved_and_one_who_is_paid(world):
    [group] = make_groups(world, world.up, 1)
    owing, saver, *_ = group.members
    saved = [pb.Saving(member_id=one, compulsory_paise=50_00) for one in group.members]
    lent = pb.LoanGiven(loan_id=str(uuid7()), member_id=owing, principal_paise=80_00, annual_rate_basis_points=2400, months=4)
    held(group, savings=saved, loans=[lent], entries=[pb.Entry(item="GROUP_INCOME", amount_paise=52_00, party="the market")])
    hers, savers = quoted(group, owing), quoted(group, saver)
    assert (hers.compulsory_paise, hers.surplus_share_paise, hers.loans[0].outstanding_paise, hers.available_paise) == (50_00, 10_00, 80_00, -20_00)
    assert (savers.surplus_share_paise, savers.available_paise) == (10_00, 60_00)
    held(
        group,
        repayments=[pb.Repayment(loan_id=lent.loan_id, principal_paise=20_00)],
        set_offs=[pb.SetOff(loan_id=lent.loan_id, principal_paise=60_00)],
        settlements=[
            pb.Settlement(member_id=owing, reason="LEFT", compulsory_paise=50_00, surplus_share_paise=10_00),
            pb.Settlement(member_id=saver, reason="LEFT", compulsory_paise=50_00, surplus_share_paise=10_00, paid_paise=60_00),
        ],
    )
    for member_id in (owing, saver):
        of = {"institution_id": group.institution_id, "member_id": member_id}
        days = {"from_on": month.today().isoformat(), "to_on": month.today().isoformat()}
        book = group.keeper(group.keeper.transactions.Passbook, pb.PassbookRequest(**of, **days))
        assert not any(one.closing_paise for one in book.accounts)
        told = books.wait_until("profiles know of it", lambda one=member_id: record(group, one) if record(group, one).settled_on else None)
        assert (told.settled_on, told.settled_with) == (month.today().isoformat(), group.institution_id)
