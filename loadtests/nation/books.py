"""Months of meetings of one group, each put before the books' own rules and taken in only as they take it in."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta
from uuid import UUID

import numpy as np

from loadtests.nation.people import moment_ms, uuid7s
from services.kernel.caller import Caller
from services.kernel.policies import Policies
from services.transactions.rules.books import Books, Chain, Institution, Loan, Member
from services.transactions.rules.meeting import Attendance, Fine, LoanGiven, Meeting, Repayment, Saving, effect
from services.transactions.rules.record import Posting, admit

VOLUNTARY_SHARE, VOLUNTARY_PAISE = 0.1, 50_00
FINE_PAISE = 5_00
CASH_KEPT_PAISE = 200_00
LOAN_STEP_PAISE, LOAN_MAX_PAISE = 500_00, 20_000_00
LOAN_RATE_BASIS_POINTS, LOAN_MONTHS = 2400, 10
PURPOSES = ("Goats", "Seed", "School fees", "Treatment", "Shop", "Sewing machine")
DAYS = 27  # Meetings fall on the 1st to the 27th.


@dataclass(slots=True)
class Group:
    """An SHG and where its books stand."""

    institution_id: UUID
    region: str
    formed_on: date
    compulsory_paise: int
    member_ids: list[UUID]
    keeper: Caller
    chain: Chain = field(default_factory=Chain)
    members: dict[UUID, Member] = field(default_factory=dict)
    loans: dict[UUID, Loan] = field(default_factory=dict)
    given: dict[UUID, tuple[UUID, LoanGiven]] = field(default_factory=dict)  # loan -> the meeting, and what was given

    def __post_init__(self) -> None:
        self.members = {member_id: Member(self.institution_id, active=True) for member_id in self.member_ids}


def hold(
    group: Group, months: list[date], rates: Mapping[str, float], policies: Policies, dice: np.random.Generator
) -> Iterator[tuple[Meeting, Posting]]:
    """One meeting a month, with what the books make of it; the group stands after it then."""
    institution = Institution("SHG", group.region, active=True, formed_on=group.formed_on)
    days = dice.integers(0, DAYS, len(months)).tolist()
    held = [month + timedelta(days=day) for month, day in zip(months, days, strict=True)]
    within = dice.integers(0, 86_400_000, len(months))
    ids = uuid7s(dice, np.array([moment_ms(day) for day in held], np.int64) + within)
    for meeting_id, held_on in zip(ids, held, strict=True):
        meeting = _meeting(group, meeting_id, held_on, rates, dice)
        known = Books(institution, group.chain, group.members, group.loans)
        posting = admit(meeting, known, group.keeper, policies, held_on)
        assert posting is not None
        _take_in(group, meeting, posting)
        yield meeting, posting


def _meeting(group: Group, meeting_id: UUID, held_on: date, rates: Mapping[str, float], dice: np.random.Generator) -> Meeting:
    chances = dice.random((3, len(group.member_ids))).tolist()
    present = [one < rates["present"] for one in chances[0]]
    attendance = tuple(Attendance(member_id, here) for member_id, here in zip(group.member_ids, present, strict=True))
    savings = tuple(
        Saving(one.member_id, group.compulsory_paise, VOLUNTARY_PAISE if chance < VOLUNTARY_SHARE else 0)
        for one, chance in zip(attendance, chances[1], strict=True)
        if one.present
    )
    fines = tuple(
        Fine(one.member_id, FINE_PAISE) for one, chance in zip(attendance, chances[2], strict=True) if not one.present and chance < rates["fined"]
    )
    repayments = tuple(_repayment(loan_id, group) for loan_id, loan in group.loans.items() if loan.outstanding_paise)
    received = sum(one.compulsory_paise + one.voluntary_paise for one in savings) + sum(one.amount_paise for one in fines)
    cash = group.chain.cash_paise + received + sum(one.principal_paise + one.interest_paise for one in repayments)
    lent, withdrawn, loans = 0, 0, tuple[LoanGiven, ...]()
    if dice.random() < rates["borrows"]:
        withdrawn = group.chain.bank_paise * 4 // 5 // LOAN_STEP_PAISE * LOAN_STEP_PAISE
        lent = min((cash + withdrawn) * 4 // 5 // LOAN_STEP_PAISE * LOAN_STEP_PAISE, LOAN_MAX_PAISE)
        loans = _loans(group, moment_ms(held_on), lent, dice)
        lent = sum(one.principal_paise for one in loans)
        withdrawn = withdrawn if loans else 0
    deposited = max(0, (cash + withdrawn - lent - CASH_KEPT_PAISE) // 100_00 * 100_00)
    return Meeting(
        meeting_id,
        group.institution_id,
        1,
        group.chain.last_number + 1,
        held_on,
        attendance,
        savings,
        repayments,
        loans,
        fines,
        deposited,
        withdrawn,
        cash + withdrawn - lent - deposited,
        group.chain.bank_paise - withdrawn + deposited,
    )


def _repayment(loan_id: UUID, group: Group) -> Repayment:
    """A month's part of the loan, and two per cent of what is outstanding."""
    outstanding, given = group.loans[loan_id].outstanding_paise, group.given[loan_id][1]
    part = -(-given.principal_paise // given.months // 100) * 100
    return Repayment(loan_id, min(part, outstanding), outstanding * 2 // 100 // 100 * 100)


def _loans(group: Group, moment: int, principal_paise: int, dice: np.random.Generator) -> tuple[LoanGiven, ...]:
    """To one who owes nothing, where there is one and enough to give."""
    owing = {loan.member_id for loan in group.loans.values() if loan.outstanding_paise}
    free = [member_id for member_id in group.member_ids if member_id not in owing]
    if not free or not principal_paise:
        return ()
    borrower = free[int(dice.integers(len(free)))]
    purpose = PURPOSES[int(dice.integers(len(PURPOSES)))]
    loan_id = uuid7s(dice, np.array([moment], np.int64))[0]
    return (LoanGiven(loan_id, borrower, principal_paise, LOAN_RATE_BASIS_POINTS, LOAN_MONTHS, purpose),)


def _take_in(group: Group, meeting: Meeting, posting: Posting) -> None:
    """What the lines change, as the service stores it."""
    change = effect(posting.lines)
    before = group.chain
    group.chain = Chain(
        meeting.number,
        meeting.held_on,
        before.approved_through,
        before.cash_paise + change.cash_paise,
        before.bank_paise + change.bank_paise,
        before.version + 1,
    )
    for member_id in change.compulsory_paise.keys() | change.voluntary_paise.keys():
        held = group.members[member_id]
        compulsory = held.compulsory_paise + change.compulsory_paise.get(member_id, 0)
        voluntary = held.voluntary_paise + change.voluntary_paise.get(member_id, 0)
        group.members[member_id] = Member(group.institution_id, held.active, compulsory, voluntary)
    for loan in meeting.loans:
        group.given[loan.loan_id] = (meeting.meeting_id, loan)
        group.loans[loan.loan_id] = Loan(group.institution_id, loan.member_id, 0)
    for loan_id, paise in change.outstanding_paise.items():
        owed = group.loans[loan_id]
        group.loans[loan_id] = Loan(group.institution_id, owed.member_id, owed.outstanding_paise + paise)
