"""Months of meetings of one group, each put before the books' own rules and taken in only as they take it in."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from uuid import UUID

import numpy as np

from loadtests.nation.people import moment_ms, uuid7s
from services.kernel.caller import Caller
from services.kernel.canonical import content_hash
from services.kernel.policies import Policies
from services.transactions.rules.books import Books, Institution, Loan, Member
from services.transactions.rules.heads import Head
from services.transactions.rules.journal import Account, Id, added, effect
from services.transactions.rules.loan import interest_owed
from services.transactions.rules.meeting import closing_hash, lines
from services.transactions.rules.record import Posting, Upload, admit, after
from services.transactions.rules.sheet import Attendance, BankMove, BankStatement, Entry, LoanGiven, Repayment, Saving, Sheet, content

VOLUNTARY_SHARE, VOLUNTARY_PAISE = 0.1, 50_00
FINE_PAISE = 5_00
CASH_KEPT_PAISE = 200_00
LOAN_STEP_PAISE, LOAN_MAX_PAISE = 500_00, 20_000_00
LOAN_RATE_BASIS_POINTS, LOAN_MONTHS = 2400, 10
PURPOSES = ("Goats", "Seed", "School fees", "Treatment", "Shop", "Sewing machine")
DAYS = 27  # Meetings fall on the 1st to the 27th.
CASH = Account(Head.CASH)


@dataclass(slots=True)
class Group:
    """An SHG with its one bank account, and where its books stand."""

    institution_id: UUID
    region: str
    formed_on: date
    compulsory_paise: int
    bank_id: Id
    member_ids: list[Id]
    keeper: Caller
    books: Books = field(init=False)
    given_in: dict[Id, Id] = field(default_factory=dict)  # Of each loan the meeting.
    moved_in: dict[Account, int] = field(default_factory=dict)  # Of each balance the number of the meeting that changed it last.

    def __post_init__(self) -> None:
        banks = {self.bank_id: None}
        institution = Institution("SHG", self.region, active=True, formed_on=self.formed_on, banks=banks, compulsory_paise=self.compulsory_paise)
        self.books = Books(institution, members={one: Member(str(self.institution_id), active=True) for one in self.member_ids})

    def paise(self, head: Head, of: Id = "") -> int:
        return self.books.balances.get(Account(head, of), 0)


def hold(group: Group, months: list[date], rates: Mapping[str, float], policies: Policies, dice: np.random.Generator) -> Iterator[Posting]:
    """One meeting a month, as the books take it in; the group stands after it then."""
    days = dice.integers(0, DAYS, len(months)).tolist()
    held = [month + timedelta(days=day) for month, day in zip(months, days, strict=True)]
    within = dice.integers(0, 86_400_000, len(months))
    ids = uuid7s(dice, np.array([moment_ms(day) for day in held], np.int64) + within)
    for meeting_id, held_on in zip(map(str, ids), held, strict=True):
        sheet = _closed(group, _sheet(group, meeting_id, held_on, rates, dice))
        said = content(sheet)
        posting = admit(Upload(sheet, 0, said, content_hash(said)), group.books, group.keeper, policies, held_on)
        assert posting is not None
        group.books = replace(after(posting, group.books), recorded={})  # None comes again.
        group.given_in |= dict.fromkeys(posting.given, meeting_id)
        touched = (Account(loan.head, loan_id) for loan_id, loan in posting.taken.loans.items())
        group.moved_in |= dict.fromkeys((*posting.taken.balances, *touched), sheet.number)
        yield posting


def _sheet(group: Group, meeting_id: Id, held_on: date, rates: Mapping[str, float], dice: np.random.Generator) -> Sheet:
    """What was said and paid; the sums come when it is closed."""
    chances = dice.random((3, len(group.member_ids))).tolist()
    attendance = tuple(Attendance(one, chance < rates["present"]) for one, chance in zip(group.member_ids, chances[0], strict=True))
    savings = tuple(
        Saving(one.member_id, group.compulsory_paise, VOLUNTARY_PAISE if chance < VOLUNTARY_SHARE else 0)
        for one, chance in zip(attendance, chances[1], strict=True)
        if one.present
    )
    fines = tuple(
        Entry("FINE", FINE_PAISE, one.member_id)
        for one, chance in zip(attendance, chances[2], strict=True)
        if not one.present and chance < rates["fined"]
    )
    owed = {loan_id: loan for loan_id, loan in group.books.loans.items() if loan.standing.outstanding_paise}
    repayments = tuple(_repayment(loan_id, loan, held_on) for loan_id, loan in owed.items())
    cash = group.paise(Head.CASH) + sum(one.compulsory_paise + one.voluntary_paise for one in savings) + sum(one.amount_paise for one in fines)
    cash += sum(one.principal_paise + one.interest_paise for one in repayments)
    withdrawn, loans = 0, tuple[LoanGiven, ...]()
    if dice.random() < rates["borrows"]:
        withdrawn = group.paise(Head.BANK) * 4 // 5 // LOAN_STEP_PAISE * LOAN_STEP_PAISE
        lent = min((cash + withdrawn) * 4 // 5 // LOAN_STEP_PAISE * LOAN_STEP_PAISE, LOAN_MAX_PAISE)
        owing = {loan.borrower_id for loan in owed.values()}
        free = [one.member_id for one in attendance if one.present and one.member_id not in owing]
        loans = _loans(free, moment_ms(held_on), lent, dice)
        withdrawn = withdrawn if loans else 0
    cash += withdrawn - sum(one.principal_paise for one in loans)
    deposited = max(0, (cash - CASH_KEPT_PAISE) // 100_00 * 100_00)
    chain = group.books.chain
    return Sheet(
        meeting_id,
        str(group.institution_id),
        1,
        chain.last_number + 1,
        held_on,
        chain.last_meeting_id,
        attendance,
        savings,
        repayments=repayments,
        entries=fines,
        loans=loans,
        bank_moves=tuple(BankMove(kind, paise, group.bank_id) for kind, paise in (("WITHDRAWAL", withdrawn), ("DEPOSIT", deposited)) if paise),
    )


def _closed(group: Group, sheet: Sheet) -> Sheet:
    """With what a careful bookkeeper counts and reads, and the seal on what it comes to."""
    balances = added(group.books.balances, effect(lines(sheet, group.books.loans, {})))
    bank = Account(Head.BANK, group.bank_id)
    statements = (BankStatement(group.bank_id, balances[bank]),) if bank in balances else ()
    return replace(sheet, counted_cash_paise=balances.get(CASH, 0), bank_statements=statements, closing_hash=closing_hash(sheet, balances))


def _repayment(loan_id: Id, loan: Loan, on: date) -> Repayment:
    """A month's part of the loan, and the interest that is owed."""
    part = -(-loan.terms.principal_paise // loan.terms.instalments // 100) * 100
    return Repayment(loan_id, min(part, loan.standing.outstanding_paise), interest_owed(loan.terms, loan.standing, on))


def _loans(free: Sequence[Id], moment: int, principal_paise: int, dice: np.random.Generator) -> tuple[LoanGiven, ...]:
    """To one who is there and owes nothing, where there is one and enough to give."""
    if not free or not principal_paise:
        return ()
    borrower = free[int(dice.integers(len(free)))]
    purpose = PURPOSES[int(dice.integers(len(PURPOSES)))]
    loan_id = str(uuid7s(dice, np.array([moment], np.int64))[0])
    return (LoanGiven(loan_id, borrower, principal_paise, LOAN_RATE_BASIS_POINTS, LOAN_MONTHS, purpose),)
