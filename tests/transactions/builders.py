"""Groups, meetings and whole histories for the tests of the books."""

from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from random import Random
from uuid import UUID

from services.kernel.caller import Caller, Role
from services.kernel.ids import uuid7
from services.transactions.rules.books import Books, Chain, Institution, Loan, Member
from services.transactions.rules.meeting import Attendance, Fine, Line, LoanGiven, Meeting, Repayment, Saving, effect

FORMED_ON = date(2026, 4, 1)
TODAY = date(2026, 11, 20)
BLOCK = "9.178.1204"
RUPEE = 100


@dataclass
class Group:
    """An institution with its members, and who keeps and checks its books."""

    institution_id: UUID = field(default_factory=uuid7)
    parent_id: UUID = field(default_factory=uuid7)  # The federation on whose side the checker stands.
    member_ids: list[UUID] = field(default_factory=lambda: [uuid7() for _ in range(5)])
    kind: str = "SHG"
    region: str = f"{BLOCK}.77.5"

    def bookkeeper(self, **changes) -> Caller:
        plain = {"user_id": "IUP_BK", "role": Role(f"{self.kind}_BOOKKEEPER"), "institutions": frozenset({self.institution_id}), "person": "maker"}
        return Caller(**{**plain, "region": BLOCK, **changes})

    def approver(self, **changes) -> Caller:
        plain = {"user_id": "IUP_AP", "role": Role(f"{self.kind}_TRANS_APPROVER"), "region": BLOCK, "person": "checker"}
        plain |= {"institutions": frozenset({self.parent_id})}
        return Caller(**{**plain, **changes})

    def books(self, **changes) -> Books:
        institution = Institution(self.kind, self.region, active=True, formed_on=FORMED_ON)
        members = {member_id: Member(self.institution_id, active=True) for member_id in self.member_ids}
        return replace(Books(institution=institution, members=members), **changes)


def meeting(group: Group, **changes) -> Meeting:
    """The first meeting, in which nothing was paid."""
    plain = Meeting(
        meeting_id=uuid7(),
        institution_id=group.institution_id,
        revision=1,
        number=1,
        held_on=date(2026, 10, 5),
        attendance=tuple(Attendance(member_id, True) for member_id in group.member_ids),
        savings=(),
        repayments=(),
        loans=(),
        fines=(),
        deposited_paise=0,
        withdrawn_paise=0,
        counted_cash_paise=0,
        passbook_bank_paise=0,
    )
    return replace(plain, **changes)


def savings(group: Group, rupees: int = 50) -> tuple[Saving, ...]:
    return tuple(Saving(member_id, rupees * RUPEE, 0) for member_id in group.member_ids)


@dataclass
class Position:
    """Where a group stands, added up from lines alone."""

    cash_paise: int = 0
    bank_paise: int = 0
    saved: dict[UUID, tuple[int, int]] = field(default_factory=dict)
    outstanding: dict[UUID, int] = field(default_factory=dict)

    @classmethod
    def of(cls, lines: list[Line]) -> "Position":
        change = effect(lines)
        savers = change.compulsory_paise.keys() | change.voluntary_paise.keys()
        saved = {one: (change.compulsory_paise.get(one, 0), change.voluntary_paise.get(one, 0)) for one in savers}
        return cls(change.cash_paise, change.bank_paise, saved, dict(change.outstanding_paise))


@dataclass
class Stored:
    meeting: Meeting
    lines: list[Line]


class History:
    """A group's meetings as they should be, kept in the plainest way: a list."""

    def __init__(self, group: Group, random: Random) -> None:
        self.group, self.random = group, random
        self.stored: list[Stored] = []
        self.handed_back: dict[int, Meeting] = {}
        self.approved_through = 0

    @property
    def lines(self) -> list[Line]:
        return [line for one in self.stored for line in one.lines]

    @property
    def position(self) -> Position:
        return Position.of(self.lines)

    def books(self) -> Books:
        position = self.position
        last = self.stored[-1].meeting if self.stored else None
        chain = Chain(
            len(self.stored), last.held_on if last else None, self.approved_through, position.cash_paise, position.bank_paise, len(self.stored)
        )
        of = self.group.institution_id
        members = {one: Member(of, True, *position.saved.get(one, (0, 0))) for one in self.group.member_ids}
        borrowers = {line.loan_id: line.member_id for line in self.lines if line.loan_id}
        loans = {one: Loan(of, borrowers[one], paise) for one, paise in position.outstanding.items()}
        return self.group.books(chain=chain, members=members, loans=loans)

    def next_meeting(self) -> Meeting:
        """Any sound meeting: what was handed back comes again as its next revision, with other amounts."""
        pick, books, number = self.random.randint, self.books(), len(self.stored) + 1
        again = self.handed_back.get(number)
        saved = tuple(Saving(one, pick(0, 300), pick(0, 99)) for one in self.group.member_ids if pick(0, 3))
        repaid = tuple(Repayment(one, pick(0, loan.outstanding_paise), pick(0, 50)) for one, loan in books.loans.items() if pick(0, 1))
        fined = tuple(Fine(one, pick(0, 20)) for one in self.group.member_ids if not pick(0, 4))
        bank = books.chain.bank_paise
        withdrawn = pick(0, bank) if pick(0, 1) else 0
        cash = books.chain.cash_paise + sum(s.compulsory_paise + s.voluntary_paise for s in saved)
        cash += sum(r.principal_paise + r.interest_paise for r in repaid) + sum(f.amount_paise for f in fined) + withdrawn
        given = ()
        if cash and pick(0, 1):
            given = (LoanGiven(uuid7(), self.random.choice(self.group.member_ids), pick(1, cash), 2400, 10, "goats"),)
            cash -= given[0].principal_paise
        deposited = pick(0, cash) if pick(0, 1) else 0
        return meeting(
            self.group,
            meeting_id=again.meeting_id if again else uuid7(),
            revision=again.revision + 1 if again else 1,
            number=number,
            held_on=(books.chain.last_held_on or FORMED_ON) + timedelta(days=pick(0, 7) if number < 15 else 0),
            savings=saved,
            repayments=repaid,
            fines=fined,
            loans=given,
            deposited_paise=deposited,
            withdrawn_paise=withdrawn,
            counted_cash_paise=cash - deposited,
            passbook_bank_paise=bank + deposited - withdrawn,
        )

    def keep(self, one: Meeting, lines: list[Line]) -> None:
        self.handed_back.pop(one.number, None)
        self.stored.append(Stored(one, lines))

    def hand_back(self, number: int) -> None:
        """As a rejection does: it and all that stands on it."""
        for one in self.stored[number - 1 :]:
            self.handed_back[one.meeting.number] = one.meeting
        del self.stored[number - 1 :]
