"""Decides what each event adds to which figures, and what a report may be asked.

A figure is an amount of one measure, in one region, in one month. A stock is kept as its net change in a month, so its
value at the end of a period is the sum of all changes up to then.
"""

import dataclasses
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from enum import StrEnum
from typing import Final, NamedTuple

from services.kernel import region as regions
from services.kernel.approval import Status
from services.kernel.caller import APPROVERS, BOOKKEEPERS
from services.kernel.errors import Invalid
from services.kernel.geography import Geography
from services.kernel.month import YEAR_MIN, month_of, parse_month, parse_period
from services.kernel.page import page_size, page_unknown
from services.kernel.region import Level


class Kind(StrEnum):
    """How a measure adds up (decision 29)."""

    FLOW = "FLOW"
    STOCK = "STOCK"
    DISTINCT = "DISTINCT"


@dataclass(frozen=True, slots=True)
class Measure:
    """What is counted. `number` is what the tables hold: never given twice, never changed."""

    number: int
    name: str
    kind: Kind
    unit: str


# Figures count approved records only; what is still on its way stands apart, as pending, rejected and flagged.
MEMBERS_ACTIVE: Final = Measure(1, "members_active", Kind.STOCK, "members")
MEMBERS_PENDING: Final = Measure(2, "members_pending", Kind.STOCK, "members")
MEMBERS_REJECTED: Final = Measure(3, "members_rejected", Kind.STOCK, "members")
MEMBERS_FLAGGED: Final = Measure(4, "members_flagged", Kind.STOCK, "members")
MEMBERS_IDENTITY_VERIFIED: Final = Measure(5, "members_identity_verified", Kind.STOCK, "members")
SHGS_ACTIVE: Final = Measure(6, "shgs_active", Kind.STOCK, "institutions")
SHGS_PENDING: Final = Measure(7, "shgs_pending", Kind.STOCK, "institutions")
VOS_ACTIVE: Final = Measure(8, "vos_active", Kind.STOCK, "institutions")
CLFS_ACTIVE: Final = Measure(9, "clfs_active", Kind.STOCK, "institutions")
BOOKKEEPERS_ACTIVE: Final = Measure(10, "bookkeepers", Kind.STOCK, "users")
APPROVERS_ACTIVE: Final = Measure(11, "approvers", Kind.STOCK, "users")
MEETINGS_HELD: Final = Measure(12, "meetings_held", Kind.FLOW, "meetings")
ATTENDANCE_PRESENT: Final = Measure(13, "attendance_present", Kind.FLOW, "attendances")
ATTENDANCE_DUE: Final = Measure(14, "attendance_due", Kind.FLOW, "attendances")
SAVINGS: Final = Measure(15, "savings_paise", Kind.FLOW, "paise")
LOANS_DISBURSED: Final = Measure(16, "loans_disbursed_paise", Kind.FLOW, "paise")
PRINCIPAL_REPAID: Final = Measure(17, "principal_repaid_paise", Kind.FLOW, "paise")
INTEREST_RECEIVED: Final = Measure(18, "interest_received_paise", Kind.FLOW, "paise")
FINES: Final = Measure(19, "fines_paise", Kind.FLOW, "paise")
LOANS_OUTSTANDING: Final = Measure(20, "loans_outstanding_paise", Kind.STOCK, "paise")
# What came from the old MIS and is not verified yet: no approved figure, and so apart.
MEMBERS_LEGACY: Final = Measure(21, "members_legacy", Kind.STOCK, "members")
SHGS_LEGACY: Final = Measure(22, "shgs_legacy", Kind.STOCK, "institutions")
# What came in or went out under a head of account is in one flow at most, so that flows may be added; money that only changes its
# place is in none. Income, expenses and funds are net of what was taken back or returned.
SAVINGS_WITHDRAWN: Final = Measure(23, "savings_withdrawn_paise", Kind.FLOW, "paise")
SAVINGS_BALANCE: Final = Measure(24, "savings_balance_paise", Kind.STOCK, "paise")
LOANS_GIVEN: Final = Measure(25, "loans_disbursed", Kind.FLOW, "loans")
OTHER_INCOME: Final = Measure(26, "other_income_paise", Kind.FLOW, "paise")
EXPENSES: Final = Measure(27, "expenses_paise", Kind.FLOW, "paise")
BORROWED: Final = Measure(28, "borrowed_paise", Kind.FLOW, "paise")
BORROWINGS_REPAID: Final = Measure(29, "borrowings_repaid_paise", Kind.FLOW, "paise")
FUNDS_RECEIVED: Final = Measure(30, "funds_received_paise", Kind.FLOW, "paise")
# The approvers' work: closed meetings, and the institutions that have any.
MEETINGS_WAITING: Final = Measure(31, "meetings_waiting", Kind.STOCK, "meetings")
MEETINGS_HANDED_BACK: Final = Measure(32, "meetings_handed_back", Kind.STOCK, "meetings")
GROUPS_WAITING: Final = Measure(33, "groups_with_meetings_waiting", Kind.STOCK, "institutions")
BOOKS_DIFFER: Final = Measure(34, "meetings_manual_books_differ", Kind.FLOW, "meetings")

# A report is a choice of columns.
REPORTS: Final[Mapping[str, tuple[Measure, ...]]] = {
    "summary": (
        MEMBERS_ACTIVE,
        MEMBERS_PENDING,
        MEMBERS_REJECTED,
        MEMBERS_FLAGGED,
        MEMBERS_IDENTITY_VERIFIED,
        SHGS_ACTIVE,
        SHGS_PENDING,
        VOS_ACTIVE,
        CLFS_ACTIVE,
        BOOKKEEPERS_ACTIVE,
        APPROVERS_ACTIVE,
        MEETINGS_HELD,
        ATTENDANCE_PRESENT,
        ATTENDANCE_DUE,
        SAVINGS,
        LOANS_DISBURSED,
        PRINCIPAL_REPAID,
        INTEREST_RECEIVED,
        FINES,
        LOANS_OUTSTANDING,
        MEMBERS_LEGACY,
        SHGS_LEGACY,
        SAVINGS_WITHDRAWN,
        SAVINGS_BALANCE,
        LOANS_GIVEN,
        OTHER_INCOME,
        EXPENSES,
        BORROWED,
        BORROWINGS_REPAID,
        FUNDS_RECEIVED,
        MEETINGS_WAITING,
        MEETINGS_HANDED_BACK,
        GROUPS_WAITING,
        BOOKS_DIFFER,
    ),
}

# The kinds of subjects, before their ids.
MEMBER: Final = "member:"
INSTITUTION: Final = "institution:"
BOOKS: Final = "books:"

# Region, month, measure's number; and what is to be added to each.
Cell = tuple[str, str, int]
Cells = Counter[Cell]

# What counts only as it is now.
_OF_MEMBER = {
    Status.SUBMITTED: MEMBERS_PENDING,
    Status.REJECTED: MEMBERS_REJECTED,
    Status.LEGACY: MEMBERS_LEGACY,
}
_OF_INSTITUTION = {
    ("SHG", Status.SUBMITTED): SHGS_PENDING,
    ("SHG", Status.LEGACY): SHGS_LEGACY,
}
# What counts from the month of activation on for as long as it lasts.
_ACTIVE = {"SHG": SHGS_ACTIVE, "VO": VOS_ACTIVE, "CLF": CLFS_ACTIVE}


def _cells(region: str, month: str, amounts: Mapping[Measure, int]) -> Cells:
    """Refuses a region or month that is none: a wrong cell could never be asked for, and never be taken back."""
    regions.check_region(region)
    parse_month(month, "month")
    return Counter({(region, month, measure.number): amount for measure, amount in amounts.items() if amount})


@dataclass(frozen=True, slots=True)
class Stay:
    """A time of counting in a region, by months. Empty: since the subject counts at all, and until now."""

    region: str
    from_month: str = ""
    to_month: str = ""


def _lived(stays: Iterable[Stay], month: str, measures: Iterable[Measure]) -> Cells:
    """One more in the month in which each stay began, one less in the one in which it ended; before `month` the subject counts nowhere."""
    each = dict.fromkeys(measures, 1)
    cells: Cells = Counter()
    for stay in stays:
        cells.update(_cells(stay.region, max(stay.from_month, month), each))
        if stay.to_month:
            cells.subtract(_cells(stay.region, max(stay.to_month, month), each))
    return Counter({cell: amount for cell, amount in cells.items() if amount})


def _stays(region: str, status: Status, ended: Iterable[Stay], since_month: str) -> list[Stay]:
    return [*ended, Stay(region, since_month)] if status is Status.ACTIVE else list(ended)


def member(
    region: str, month: str, status: Status, verdict: str, *, identity_verified: bool, ended: Iterable[Stay] = (), since_month: str = ""
) -> Cells:
    """What a member adds: while she is or was active, in each month and place; otherwise only as she is now, where she is now.

    Flagged are those whom the checker has yet to decide on.
    """
    if status in {Status.ACTIVE, Status.INACTIVE}:
        measures = (MEMBERS_ACTIVE, MEMBERS_IDENTITY_VERIFIED) if identity_verified else (MEMBERS_ACTIVE,)
        return _lived(_stays(region, status, ended, since_month), month, measures)
    amounts = {_OF_MEMBER[status]: 1} if status in _OF_MEMBER else {}
    if status is Status.SUBMITTED and verdict in {"POTENTIAL", "CONFIRMED"}:
        amounts[MEMBERS_FLAGGED] = 1
    return _cells(region, month, amounts)


def institution(region: str, month: str, kind: str, status: Status, *, ended: Iterable[Stay] = (), since_month: str = "") -> Cells:
    """As of a member."""
    if status in {Status.ACTIVE, Status.INACTIVE}:
        return _lived(_stays(region, status, ended, since_month), month, [_ACTIVE[kind]] if kind in _ACTIVE else [])
    measure = _OF_INSTITUTION.get((kind, status))
    return _cells(region, month, {measure: 1} if measure else {})


def user(month: str, places: Iterable[tuple[str, str]], *, active: bool) -> Cells:
    """A user counts once as a bookkeeper and once as an approver, in the first region where she is one; `places` are (role, region)."""
    held = list(places) if active else []
    cells: Cells = Counter()
    for measure, roles in ((BOOKKEEPERS_ACTIVE, BOOKKEEPERS), (APPROVERS_ACTIVE, APPROVERS)):
        regions = sorted(region for role, region in held if role in roles)
        cells += _cells(regions[0], month, {measure: 1}) if regions else Counter()
    return cells


class HeadTotal(NamedTuple):
    """What a meeting moved under one head of account ("L01": domain 3.6)."""

    head: str
    debit_paise: int
    credit_paise: int


@dataclass(frozen=True, slots=True)
class Meeting:
    """The totals of an approved meeting. `openings` are what a cut-off brought in, or what went to another group or came
    from one: they stand there, and are no flow.
    """

    present: int
    due: int
    savings_paise: int
    disbursed_paise: int
    repaid_paise: int
    interest_paise: int
    fines_paise: int
    withdrawn_paise: int
    loans_given: int
    heads: tuple[HeadTotal, ...]
    manual_books_differ: bool = False
    openings: tuple[HeadTotal, ...] = ()

    def credited(self, *heads: str) -> int:
        """What was credited beyond what was debited, in paise. A head may be a letter alone, for all of that kind."""
        return sum(moved.credit_paise - moved.debit_paise for moved in self.heads if moved.head.startswith(heads))

    def grown(self, *heads: str) -> int:
        """The same with what was brought in."""
        return self.credited(*heads) + sum(one.credit_paise - one.debit_paise for one in self.openings if one.head.startswith(heads))


_BORROWINGS = ("L04", "L05", "L07")


def meeting(region: str, month: str, held: Meeting) -> Cells:
    return _cells(
        region,
        month,
        {
            MEETINGS_HELD: 1,
            ATTENDANCE_PRESENT: held.present,
            ATTENDANCE_DUE: held.due,
            SAVINGS: held.savings_paise,
            LOANS_DISBURSED: held.disbursed_paise,
            PRINCIPAL_REPAID: held.repaid_paise,
            INTEREST_RECEIVED: held.interest_paise,
            FINES: held.fines_paise,
            SAVINGS_WITHDRAWN: held.withdrawn_paise,
            LOANS_GIVEN: held.loans_given,
            # Stocks are of the heads, whatever moved them: what is written off is outstanding no more, and was not repaid.
            LOANS_OUTSTANDING: -held.grown("A01"),
            SAVINGS_BALANCE: held.grown("L01", "L02"),
            OTHER_INCOME: held.credited("I") - held.credited("I01", "I02"),  # Interest on loans and fines have columns of their own.
            EXPENSES: -held.credited("E"),
            BORROWED: sum(moved.credit_paise for moved in held.heads if moved.head in _BORROWINGS),
            BORROWINGS_REPAID: sum(moved.debit_paise for moved in held.heads if moved.head in _BORROWINGS),
            FUNDS_RECEIVED: held.credited("L06"),
            BOOKS_DIFFER: int(held.manual_books_differ),
        },
    )


class Bookkeeping(NamedTuple):
    """A bookkeeper's work of a month in a block."""

    block: str
    month: str
    maker_user: str


BEFORE_ALL: Final = f"{YEAR_MIN}-01"  # The month of books of which no meeting counts yet.


def books(region: str, last_held_month: str, *, last_number: int, approved_through: int, handed_back: int) -> Cells:
    """What an institution's books add to the approvers' work, as they stand now, in the month of the last meeting that counts."""
    waiting = last_number - approved_through
    return _cells(
        region,
        last_held_month or BEFORE_ALL,
        {MEETINGS_WAITING: waiting, MEETINGS_HANDED_BACK: handed_back, GROUPS_WAITING: int(waiting > 0)},
    )


@dataclass(frozen=True, slots=True)
class Contribution:
    """What a subject adds as of its version. `tallied_in` is the block whose nightly tally counts her, if any does.

    Of institutions and their books also where they lie, and of books when the last meeting that counts was held.
    """

    subject: str
    version: int
    occurred_at: datetime
    cells: Cells
    tallied_in: str = ""
    region: str | None = None
    last_held_on: date | None = None


def tallied_in(region: str, status: Status) -> str:
    """A block's tally counts its active members (decision 23)."""
    return regions.at_level(region, Level.BLOCK) if status is Status.ACTIVE else ""


def of_one_institution(subject: str) -> tuple[str, ...]:
    """The subjects that lie in one place: an institution's books, and then itself. Any other subject stands alone."""
    institution_id = subject.partition(":")[2]
    return (BOOKS + institution_id, INSTITUTION + institution_id) if subject.startswith((BOOKS, INSTITUTION)) else (subject,)


def _moved_along(held: Mapping[str, Contribution], newest: Mapping[str, Contribution]) -> dict[str, Contribution]:
    """The books that do not lie where their institution does: profiles alone knows where, whichever of the two was heard first."""
    moved = {}
    for subjects in {of_one_institution(subject) for subject in newest}:
        match [newest.get(subject) or held.get(subject) for subject in subjects]:
            case [Contribution() as kept, Contribution(region=str(region))] if kept.region != region:
                cells = Counter({(region, month, measure): amount for (_, month, measure), amount in kept.cells.items()})
                moved[kept.subject] = dataclasses.replace(kept, region=region, cells=cells)
    return moved


def replace(held: Mapping[str, Contribution], came: Iterable[Contribution]) -> tuple[list[Contribution], Cells]:
    """The contributions that stand anew, and new minus old of each: an edit or a move takes away where it was (decision 19)."""
    newest: dict[str, Contribution] = {}
    for contribution in came:
        known = newest.get(contribution.subject) or held.get(contribution.subject)
        if known is None or contribution.version > known.version:
            newest[contribution.subject] = contribution
    newest |= _moved_along(held, newest)
    change: Cells = Counter()
    for subject, contribution in newest.items():
        change.update(contribution.cells)
        if subject in held:
            change.subtract(held[subject].cells)
    return [newest[subject] for subject in sorted(newest)], change


def rolled_up(change: Cells) -> Cells:
    """The change of every region touched and of all wider ones up to the state; nothing where it comes to nothing."""
    rolled: Cells = Counter()
    for (region, month, measure), amount in change.items():
        for wider in regions.ancestors(region):
            rolled[wider, month, measure] += amount
    return Counter({cell: amount for cell, amount in rolled.items() if amount})


@dataclass(frozen=True, slots=True)
class Asked:
    """A question as it came."""

    report: str
    region: str
    level: str
    from_month: str
    to_month: str
    size: int = 0
    after: str = ""


@dataclass(frozen=True, slots=True)
class Question:
    """A question that can be answered."""

    measures: tuple[Measure, ...]
    region: str
    level: Level
    from_month: str
    to_month: str
    size: int
    after: str
    stocks: tuple[int, ...] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "stocks", tuple(measure.number for measure in self.measures if measure.kind is Kind.STOCK))


def _is_path(text: str) -> bool:
    try:
        regions.check_region(text)
    except Invalid:
        return False
    return True


def check(asked: Asked, state: str, geography: Geography, today: date) -> Question:
    """The question, or a refusal. The state's own region is known even before its geography is loaded."""
    if asked.report not in REPORTS:
        raise Invalid("REPORT_UNKNOWN", "There is no such report; these are: {reports}.", field="report", reports=", ".join(REPORTS))
    region = asked.region or state
    if region != state:
        geography.must_know(region, today)
    level = regions.parse_level(asked.level)
    if level < max(regions.level(region), Level.STATE):
        raise Invalid("REGION_LEVEL", "The rows cannot be of a level above the region.", field="level")
    from_month, to_month = parse_period(asked.from_month, asked.to_month, month_of(today))
    if asked.after and not _is_path(asked.after):
        raise page_unknown()
    if asked.after and not (asked.after.count(".") + 1 == level and regions.contains(region, asked.after)):
        raise page_unknown()
    return Question(REPORTS[asked.report], region, level, from_month, to_month, page_size(asked.size), asked.after)
