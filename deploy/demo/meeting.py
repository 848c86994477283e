"""The next meeting of a group, added up as the bookkeeper's device adds it up."""

from collections.abc import Sequence
from typing import Any

from deploy.demo.ledger import Ledger
from protos import transactions_pb2 as pb
from services.kernel import month
from services.kernel.ids import uuid7

OF_BANK = "L04"  # The head of what banks lent.
SAVINGS_PAISE = 5_000
LOAN_PAISE = 40_000
BORROWED_PAISE = 100_000
REPAID_PAISE = 10_000
FINE_PAISE = 500
TRAVEL_PAISE = 1_000
DEPOSIT_PAISE = 10_000
WITHDRAWN_PAISE = 500


def next_meeting(kept: Ledger, told: Any, member_ids: Sequence[str]) -> Any:  # noqa: ANN401 - a Position, and a MeetingSheet
    """Attendance, compulsory savings, what is due of one loan to a member and of the bank's, a loan, a fine, an expense, something withdrawn by
    whoever has saved longest; where the group has an account a deposit, and a loan from its bank unless it owes one; closed.
    """
    present, absent = member_ids[:-1], member_ids[-1]
    dues = told.loans if kept.number == told.last_number else ()  # As told they hold while nothing is unsent.
    standing = [loan for loan in dues if loan.member_id and loan.outstanding_paise >= REPAID_PAISE]
    owed = [loan for loan in dues if not loan.member_id and loan.overdue_paise + loan.due_paise + loan.interest_due_paise]
    borrows = told.bank_ids and not any(account.startswith(f"{OF_BANK}/") and paise for account, paise in kept.balances.items())
    by_bank = pb.Paid(mode="TRANSFER", bank_id=told.bank_ids[0]) if told.bank_ids else None
    borrower = member_ids[kept.number % len(present)]
    sheet = kept.begin(
        str(uuid7()),
        month.today().isoformat(),
        attendance=[pb.Attendance(member_id=member, present=member != absent) for member in member_ids],
        savings=[pb.Saving(member_id=member, compulsory_paise=told.compulsory_paise or SAVINGS_PAISE) for member in present],
        repayments=[
            pb.Repayment(
                loan_id=loan.loan_id, principal_paise=loan.overdue_paise + loan.due_paise or REPAID_PAISE, interest_paise=loan.interest_due_paise
            )
            for loan in standing[:1]
        ],
        loans=[
            pb.LoanGiven(
                loan_id=str(uuid7()), member_id=borrower, principal_paise=LOAN_PAISE, annual_rate_basis_points=2400, months=10, purpose="Goats"
            )
        ],
        entries=[
            pb.Entry(item="FINE", amount_paise=FINE_PAISE, member_id=absent),
            pb.Entry(item="TRAVEL", amount_paise=TRAVEL_PAISE, party="Bus to the bank"),
        ],
        borrowings=[
            pb.Borrowing(
                borrowing_id=str(uuid7()),
                lender="BANK",
                lender_name="Invented Gramin Bank",
                loan_type="TERM_LOAN",
                principal_paise=BORROWED_PAISE,
                annual_rate_basis_points=700,
                months=12,
                paid=by_bank,
            )
        ]
        if borrows
        else [],
        borrowing_repayments=[
            pb.BorrowingRepayment(
                borrowing_id=loan.loan_id, principal_paise=loan.overdue_paise + loan.due_paise, interest_paise=loan.interest_due_paise, paid=by_bank
            )
            for loan in owed
        ],
        withdrawals=[pb.Withdrawal(member_id=present[0], compulsory_paise=WITHDRAWN_PAISE)],
        bank_moves=[pb.BankMove(kind="DEPOSIT", amount_paise=DEPOSIT_PAISE, bank_id=told.bank_ids[0])] if told.bank_ids else [],
    )
    return kept.close(sheet)
