"""What the books hold before a meeting: all that the rules need, fetched at once (examples 17)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import NamedTuple

from services.kernel.approval import MeetingStatus
from services.transactions.rules.heads import Head
from services.transactions.rules.journal import Account, Held, Id, Line
from services.transactions.rules.loan import Standing
from services.transactions.rules.schedule import Terms
from services.transactions.rules.sheet import LoanIn, Sheet, Transfer


@dataclass(frozen=True, slots=True)
class Span:
    """Days on end, the last one included. The first span of all has no first day: the books ask only what came after it."""

    from_on: date | None
    to_on: date

    def holds(self, day: date) -> bool:
        return (self.from_on is None or self.from_on <= day) and day <= self.to_on


@dataclass(frozen=True, slots=True)
class Institution:
    """As profiles told it; `kind` is SHG, VO or CLF. `ended` is when it was in being before, `since_on` since when it is again.

    `banks` are the ids of its accounts, with the last day of each that ended; `compulsory_paise` is what each member saves regularly.
    """

    kind: str
    region: str
    active: bool
    formed_on: date | None
    since_on: date | None = None
    ended: Sequence[Span] = ()
    banks: Mapping[Id, date | None] = field(default_factory=dict)
    compulsory_paise: int = 0

    def closed_on(self, day: date) -> date | None:
        """When it was closed, where it was not in being on that day."""
        if any(span.holds(day) for span in self.ended) or (self.since_on and self.since_on <= day):
            return None
        return max((span.to_on for span in self.ended if span.to_on < day), default=None)


@dataclass(frozen=True, slots=True)
class Member:
    """Whose she is and was."""

    institution_id: Id
    active: bool
    since_on: date | None = None
    ended: Sequence[tuple[Id, Span]] = ()

    @property
    def known_through(self) -> date | None:
        """The day up to which nothing that is told later can change where she was."""
        return self.since_on or max((span.to_on for _, span in self.ended), default=None)

    def has_stay(self, institution_id: Id, day: date) -> bool:
        """Whether that is where she is, and was on that day. With what ended and no word of a new beginning she is nowhere."""
        return self.institution_id == institution_id and (self.since_on <= day if self.since_on else not self.ended)

    def had_stay(self, institution_id: Id, day: date) -> bool:
        """Whether it is a stay since ended that holds that day."""
        return bool(self.ended) and any(of == institution_id and span.holds(day) for of, span in self.ended)

    def was_ever(self, institution_id: Id) -> bool:
        """Whether she is or was there at any time."""
        return self.institution_id == institution_id or any(of == institution_id for of, _ in self.ended)

    def left_on(self, institution_id: Id, day: date) -> date | None:
        """When she last left it before that day."""
        return max((span.to_on for of, span in self.ended if of == institution_id and span.to_on < day), default=None)


@dataclass(frozen=True, slots=True)
class Chain:
    """Where an institution stands, meetings not yet approved included. Version 0: nothing is stored yet."""

    last_number: int = 0
    last_meeting_id: Id = ""
    last_held_on: date | None = None
    approved_through: int = 0
    highest_number: int = 0  # What lies above the last was handed back, and not sent again.
    version: int = 0
    lock: int = 0


@dataclass(frozen=True, slots=True)
class Loan:
    """A loan given (heads A01, A02), or what was borrowed. `borrower_id` is the member, SHG or VO, empty for the group's own.

    Where it was rescheduled, `earlier` are the terms before, each with the meeting that ended them, the oldest first.
    """

    institution_id: Id
    head: Head
    borrower_id: Id
    terms: Terms
    standing: Standing
    earlier: tuple[tuple[Id, Terms], ...] = ()


@dataclass(frozen=True, slots=True)
class Recorded:
    """A meeting as it is stored."""

    institution_id: Id
    revision: int
    number: int
    status: MeetingStatus
    content_hash: bytes
    sheet: Sheet | None = None  # Where its content is asked for.
    earlier: Mapping[int, bytes] = field(default_factory=dict)  # Where they are asked for, the hashes of the revisions before.


@dataclass(frozen=True, slots=True)
class Reversible:
    """A line of an earlier meeting, and the meeting that has taken it back already, if any. `takes_back`: it is a reversal itself."""

    line: Line
    institution_id: Id
    status: MeetingStatus
    reversed_by: Id = ""
    takes_back: bool = False


class Other(NamedTuple):
    """An institution between which and this one something moves."""

    kind: str
    active: bool


@dataclass(frozen=True, slots=True)
class GivenOver:
    """What went out of other books, as those that it comes to must say it; `loans` by their ids there, as they were."""

    from_id: Id
    to_id: Id
    held_on: date
    approved: bool
    taken_in: Id
    said: Transfer
    loans: Mapping[Id, Loan]

    @property
    def kept(self) -> dict[str, object]:
        """The transfer without its id and group, and without what is empty."""
        return {name: value for name, value in self.said._asdict().items() if value and name not in {"transfer_id", "institution_id"}}

    def comes(self, transfer_id: Id) -> tuple[Transfer, tuple[LoanIn, ...]]:
        """What the group to which it goes is to say, but for the new ids of the loans."""
        stood = ((loan_id, loan.standing) for loan_id, loan in sorted(self.loans.items()))
        loans = (
            LoanIn("", transfer_id, loan_id, one.outstanding_paise, one.interest_unpaid_paise, one.accrued_through.isoformat())
            for loan_id, one in stood
        )
        return self.said._replace(institution_id=self.from_id), tuple(loans)


@dataclass(frozen=True, slots=True)
class Books:
    """What is known of those that meetings name; who is not known is not there. `balances` are all of the institution's, and
    `members` besides those named all who are there now.

    `others` are the institutions that transfers and entries name, and `given_over` the transfers that are named and known.
    Of who is settled `loans` are all that she has.

    Where a line of a loan is taken back, `given_in` says in which meeting the loan began, and `history` is the meetings that count from
    then on, with the lines that still stand.
    """

    institution: Institution | None = None
    chain: Chain = Chain()
    balances: Mapping[Account, int] = field(default_factory=dict)
    members: Mapping[Id, Member] = field(default_factory=dict)
    loans: Mapping[Id, Loan] = field(default_factory=dict)
    recorded: Mapping[Id, Recorded] = field(default_factory=dict)
    reversible: Mapping[tuple[Id, int], Reversible] = field(default_factory=dict)
    contested: frozenset[Id] = frozenset()  # Of the members named, those to whom nothing new is lent without a supervisor (decision 4).
    below: frozenset[Id] = frozenset()  # Of the borrowers named, the active institutions directly below this one.
    others: Mapping[Id, Other] = field(default_factory=dict)
    given_over: Mapping[Id, GivenOver] = field(default_factory=dict)
    given_in: Mapping[Id, Id] = field(default_factory=dict)
    history: Sequence[Held] = ()
