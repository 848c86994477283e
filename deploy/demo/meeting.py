"""The next meeting of a group, added up as the bookkeeper's device adds it up."""

from collections.abc import Sequence
from typing import Any

from protos import transactions_pb2
from services.kernel import month
from services.kernel.ids import uuid7

SAVINGS_PAISE = 5_000
LOAN_PAISE = 40_000
REPAID_PAISE = 10_000
INTEREST_PAISE = 800
FINE_PAISE = 500
DEPOSIT_PAISE = 10_000


def next_meeting(position: Any, member_ids: Sequence[str]) -> Any:  # noqa: ANN401 - a Position, and a Meeting
    """Attendance, compulsory savings, a repayment where a loan stands, a loan, a fine, a deposit; balanced."""
    present, absent = member_ids[:-1], member_ids[-1]
    standing = [loan for loan in position.loans if loan.outstanding_paise >= REPAID_PAISE]
    borrower = member_ids[position.last_number % len(present)]
    made = transactions_pb2.Meeting(
        meeting_id=str(uuid7()),
        institution_id=position.institution_id,
        revision=1,
        number=position.last_number + 1,
        held_on=month.today().isoformat(),
        attendance=[transactions_pb2.Attendance(member_id=member, present=member != absent) for member in member_ids],
        savings=[transactions_pb2.Saving(member_id=member, compulsory_paise=SAVINGS_PAISE) for member in present],
        repayments=[
            transactions_pb2.Repayment(loan_id=loan.loan_id, principal_paise=REPAID_PAISE, interest_paise=INTEREST_PAISE) for loan in standing[:1]
        ],
        loans=[
            transactions_pb2.LoanGiven(
                loan_id=str(uuid7()),
                member_id=borrower,
                principal_paise=LOAN_PAISE,
                annual_rate_basis_points=2400,
                months=10,
                purpose="Goats",
            ),
        ],
        fines=[transactions_pb2.Fine(member_id=absent, amount_paise=FINE_PAISE)],
        deposited_paise=DEPOSIT_PAISE,
    )
    received = SAVINGS_PAISE * len(present) + FINE_PAISE + sum(one.principal_paise + one.interest_paise for one in made.repayments)
    made.counted_cash_paise = position.cash_paise + received - LOAN_PAISE - DEPOSIT_PAISE
    made.passbook_bank_paise = position.bank_paise + DEPOSIT_PAISE
    return made
