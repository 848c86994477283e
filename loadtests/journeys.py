"""What people do with LokOS, call by call, and the valid documents that their devices make. Shared by Locust and the sender."""

import random
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date
from itertools import cycle, zip_longest
from typing import Any, TypeVar

from rich.progress import track

from deploy.demo.answers import complete_member
from deploy.demo.ledger import BANK, CASH, Ledger
from loadtests.client import CallFailedError, Device, Institution, Network, People, Sample, User
from protos import gateway_pb2, profiles_pb2, reporting_pb2, transactions_pb2
from services.kernel import month
from services.kernel.caller import Role
from services.kernel.ids import uuid7

T = TypeVar("T")

# With so many unsent meetings a device takes no further one: each stands on those before it, and a refusal would undo them all.
UNSENT_MAX = 4
PAGE = 200
TASKS_AT_ONCE = 5
APPROVED_AT_ONCE = 100
LENT = "A01/"  # What is outstanding of a loan, in a ledger's balances.

COMPULSORY_PAISE = 50_00
VOLUNTARY_PAISE = 20_00
FINE_PAISE = 5_00
LOAN_PAISE = 2_000_00
LOAN_MONTHS = 10
RATE_BASIS_POINTS = 2400
CASH_KEPT_PAISE = 1_000_00

_STORED = (transactions_pb2.OUTCOME_APPLIED, transactions_pb2.OUTCOME_ALREADY_APPLIED)
READERS = (Role.BLOCK_PROGRAM_MANAGER, Role.DISTRICT_PROGRAM_MANAGER, Role.STATE_PROGRAM_MANAGER)
_LEVEL_BELOW = {Role.BLOCK_PROGRAM_MANAGER: "GP", Role.DISTRICT_PROGRAM_MANAGER: "BLOCK", Role.STATE_PROGRAM_MANAGER: "DISTRICT"}


@dataclass(frozen=True, slots=True)
class Phase:
    """A part of the day: until which hour, how many of the peak's users are at work, and which of Locust's users these are."""

    name: str
    until_hour: int
    share_percent: int
    users: tuple[str, ...]


_OFFICE = ("Bookkeeper", "Approver", "BlockManager", "NationalReader")
DAY = (
    Phase("night", 6, 5, ("NationalReader", "BlockManager")),
    Phase("morning logins", 9, 50, ("MorningLogin", "BlockManager")),
    Phase("forenoon meetings", 13, 80, _OFFICE),
    Phase("afternoon", 17, 40, _OFFICE),
    Phase("evening reconnect", 20, 100, (*_OFFICE, "Reconnecting")),
    Phase("late evening", 24, 10, ("Bookkeeper", "NationalReader")),
)


def phase_at(second: float, day_seconds: float) -> Phase | None:
    """The phase of a day compressed into `day_seconds`; None when the day is over."""
    return next((phase for phase in DAY if second * 24 < phase.until_hour * day_seconds), None)


def users_in(phase: Phase, peak_users: int) -> int:
    return max(1, peak_users * phase.share_percent // 100)


def next_meeting(ledger: Ledger, bank_id: str, group: Institution, held_on: date, dice: random.Random) -> transactions_pb2.MeetingSheet:
    """The meeting that follows, closed: all save, one may be absent and fined, every loan is repaid by an instalment, one may be given.

    Cash above a limit goes to the bank, where the group has an account, and comes back for a loan; so amounts and loans stay as
    they are in a real group however many meetings are held.
    """
    members = list(group.member_ids)
    absent = dice.choice(members) if len(members) > 1 and dice.random() < 0.5 else ""
    present = [member for member in members if member != absent]
    owed = {account.removeprefix(LENT): paise for account, paise in ledger.balances.items() if paise and account.startswith(LENT)}
    sheet = ledger.begin(
        str(uuid7()),
        held_on.isoformat(),
        attendance=[transactions_pb2.Attendance(member_id=member, present=member != absent) for member in members],
        savings=[
            transactions_pb2.Saving(
                member_id=member, compulsory_paise=COMPULSORY_PAISE, voluntary_paise=VOLUNTARY_PAISE if dice.random() < 0.5 else 0
            )
            for member in present
        ],
        repayments=[
            transactions_pb2.Repayment(
                loan_id=loan_id,
                principal_paise=min(LOAN_PAISE // LOAN_MONTHS, outstanding),
                interest_paise=outstanding * RATE_BASIS_POINTS // (12 * 10_000),
            )
            for loan_id, outstanding in owed.items()
        ],
        entries=[transactions_pb2.Entry(item="FINE", amount_paise=FINE_PAISE, member_id=absent)] if absent else [],
    )
    cash = ledger.balances.get(CASH, 0) + sum(one.compulsory_paise + one.voluntary_paise for one in sheet.savings)
    cash += sum(one.principal_paise + one.interest_paise for one in sheet.repayments) + sum(one.amount_paise for one in sheet.entries)
    if len(owed) < len(members) // 2 and cash + ledger.balances.get(f"{BANK}/{bank_id}", 0) >= LOAN_PAISE:
        loan = {"loan_id": str(uuid7()), "member_id": dice.choice(present), "principal_paise": LOAN_PAISE}
        sheet.loans.add(**loan, annual_rate_basis_points=RATE_BASIS_POINTS, months=LOAN_MONTHS, purpose="Goats")
        cash -= LOAN_PAISE
    if bank_id and not 0 <= cash <= CASH_KEPT_PAISE:
        kind, paise = ("DEPOSIT", cash - CASH_KEPT_PAISE) if cash > 0 else ("WITHDRAWAL", -cash)
        sheet.bank_moves.add(kind=kind, amount_paise=paise, bank_id=bank_id)
    return ledger.close(sheet)


@dataclass
class Book:
    """One group's books on its bookkeeper's device: where they stand, what is not sent yet, what the server has acknowledged."""

    group: Institution
    dice: random.Random
    ledger: Ledger | None = None
    bank_id: str = ""
    unsent: list[transactions_pb2.MeetingSheet] = field(default_factory=list)
    acknowledged: list[str] = field(default_factory=list)
    refused: int = 0

    def hold_meeting(self, held_on: date) -> None:
        assert self.ledger is not None, "the device pulls before it holds a meeting"
        self.unsent.append(next_meeting(self.ledger, self.bank_id, self.group, held_on, self.dice))

    def settle(self, answers: Any) -> None:  # noqa: ANN401 - MeetingAnswers
        """What was applied is no longer kept; what waits is sent again; after a refusal the device starts from what the server says."""
        done = {answer.meeting_id for answer in answers if answer.outcome in _STORED}
        self.acknowledged.extend(meeting.meeting_id for meeting in self.unsent if meeting.meeting_id in done)
        self.unsent = [meeting for meeting in self.unsent if meeting.meeting_id not in done]
        if any(answer.outcome == transactions_pb2.OUTCOME_REFUSED for answer in answers):
            self.refused += 1
            self.ledger, self.unsent = None, []

    def differs(self, position: transactions_pb2.Position) -> str:
        """The server's position must be the device's own, once the device has one."""
        if self.ledger is None or not self.ledger.version or position.closing_hash == (self.ledger.closing_hash() if self.ledger.number else ""):
            return ""
        return "the books stand otherwise than the device left them"


def _refusals(answer: Any) -> str:  # noqa: ANN401 - a SyncMeetingsResponse
    refused = [one.refusal for one in answer.answers if one.outcome == transactions_pb2.OUTCOME_REFUSED]
    return f"REFUSED {refused[0].code}: {refused[0].sentence}" if refused else ""


async def hold_meetings(device: Device, book: Book, count: int = 1) -> None:
    """See where the books stand, hold so many meetings without a network, and send them all at once."""
    journey = "bookkeeper" if count == 1 else "reconnect"
    if not book.unsent:
        await _pull(device, book, journey)
    while len(book.unsent) < min(count, UNSENT_MAX):
        book.hold_meeting(month.today())
    request = transactions_pb2.SyncMeetingsRequest(meetings=book.unsent)
    step = "SyncMeetings" if len(book.unsent) == 1 else f"SyncMeetings of {len(book.unsent)}"
    answer = await device.call(journey, "transactions.SyncMeetings", request, step=step, fault=_refusals)
    book.settle(answer.answers)


async def _pull(device: Device, book: Book, journey: str) -> None:
    """What has changed since the device last asked; the first time it takes the books to itself, and asks for all."""
    institution_id, on = book.group.institution_id, month.today().isoformat()
    if book.ledger is None:
        take = transactions_pb2.TakeBooksRequest(institution_id=institution_id, take_over=True)
        lock = (await device.call(journey, "transactions.TakeBooks", take)).lock
        book.ledger = Ledger(institution_id, await chart(device, journey), lock=lock)
    ledger = book.ledger
    position = await device.call(journey, "transactions.Pull", ledger.pull(on), fault=book.differs)
    ledger.know(position, on)
    book.bank_id = next(iter(position.bank_ids), "")


async def chart(device: Device, journey: str) -> transactions_pb2.Chart:
    """As the device keeps it."""
    if device.chart is None:
        device.chart = await device.call(journey, "transactions.GetChart", transactions_pb2.GetChartRequest())
    return device.chart


async def read_books(device: Device, journey: str, group: Institution, dice: random.Random) -> None:
    """The group's cash book of this month, and a member's passbook of this year."""
    today = month.today()
    days = {"institution_id": group.institution_id, "to_on": today.isoformat()}
    cash = transactions_pb2.CashBookRequest(**days, from_on=today.replace(day=1).isoformat())
    await device.call(journey, "transactions.CashBook", cash, fault=_unlike_cash)
    hers = transactions_pb2.PassbookRequest(**days, member_id=dice.choice(group.member_ids), from_on=_year_began(today).isoformat())
    await device.call(journey, "transactions.Passbook", hers, fault=_unlike_savings)


def _unlike_cash(book: Any) -> str:  # noqa: ANN401 - a CashBookResponse
    well = all(one.opening_paise + one.in_paise - one.out_paise == one.closing_paise for one in book.places)
    return "" if well else "a cash book does not add up"


def _unlike_savings(book: Any) -> str:  # noqa: ANN401 - a PassbookResponse
    grown = {one.head: one.closing_paise - one.opening_paise for one in book.accounts if not one.loan_id}
    for entry in book.entries:
        if entry.head in grown:
            grown[entry.head] -= entry.in_paise - entry.out_paise
    return "a passbook does not add up" if any(grown.values()) else ""


async def enrol_member(device: Device, group: Institution, dice: random.Random) -> None:
    """Look at the list of members, and hand in a woman who is new."""
    request = profiles_pb2.ListMembersRequest(institution_id=group.institution_id)
    await device.call("bookkeeper", "profiles.ListMembers", request)
    await device.call("bookkeeper", "profiles.SubmitMember", profiles_pb2.SubmitMemberRequest(member=new_member(group.institution_id, dice)))


def new_member(institution_id: str, dice: random.Random) -> Any:  # noqa: ANN401 - a Member
    """A woman of nowhere, whose name is no name, so that she resembles nobody."""
    made = profiles_pb2.Member(
        member_id=str(uuid7()),
        revision=1,
        institution_id=institution_id,
        name=invented_name(dice),
        gender="FEMALE",
        birth_year=dice.randrange(1960, 2000),
        relation="SPOUSE",
        relation_name=invented_name(dice),
        social_category=dice.choice(("SC", "ST", "OBC", "OTHER")),
        joined_on=month.today().isoformat(),
    )
    complete_member(made)
    return made


def invented_name(dice: random.Random) -> str:
    return " ".join("".join(dice.choice("bdgjklmnprst") + dice.choice("aiu") for _ in range(5)).capitalize() for _ in range(2))


async def approve_meetings(device: Device) -> None:
    """What waits for the approver: at once where no meeting of an institution has a flag, else each by itself, after a look."""
    request = transactions_pb2.ListWaitingRequest()
    request.page.size = APPROVED_AT_ONCE
    waiting = (await device.call("approver", "transactions.ListWaiting", request)).meetings
    flagged = {one.institution_id for one in waiting if one.flags}
    clean, to_see = ([_decided(one) for one in waiting if (one.institution_id in flagged) == seen] for seen in (False, True))
    if clean:
        await device.call("approver", "transactions.ApproveMeetings", transactions_pb2.ApproveMeetingsRequest(meetings=clean), fault=_not_approved)
    for one in to_see[:TASKS_AT_ONCE]:
        await device.call("approver", "transactions.GetMeeting", transactions_pb2.GetMeetingRequest(meeting_id=one.meeting_id))
        await device.call("approver", "transactions.ApproveMeeting", one)


def _decided(waiting: Any) -> transactions_pb2.ApproveMeetingRequest:  # noqa: ANN401 - a WaitingMeeting
    return transactions_pb2.ApproveMeetingRequest(meeting_id=waiting.meeting_id, revision=waiting.revision)


def _not_approved(answer: Any) -> str:  # noqa: ANN401 - an ApproveMeetingsResponse
    refused = [one.refusal for one in answer.answers if one.refusal.code]
    return f"NOT APPROVED {refused[0].code}: {refused[0].sentence}" if refused else ""


async def do_tasks(device: Device) -> None:
    """My Task: how much waits, its first page; a few members who are screened are looked at and decided."""
    await device.call("block manager", "profiles.CountTasks", profiles_pb2.CountTasksRequest())
    request = profiles_pb2.ListTasksRequest(kinds=[profiles_pb2.TASK_KIND_MEMBER])
    listed = await device.call("block manager", "profiles.ListTasks", request)
    screened = [task for task in listed.tasks if task.verdict]
    for task in screened[:TASKS_AT_ONCE]:
        member = await device.call("block manager", "profiles.GetMember", profiles_pb2.GetMemberRequest(member_id=task.record_id))
        await decide(device, member)


async def decide(device: Device, member: Any) -> None:  # noqa: ANN401 - a Member
    """Approve her, with a reason where she resembles somebody; who is a duplicate as far as the manager may say is handed back."""
    is_duplicate = any(one.override != profiles_pb2.OVERRIDE_OFFICER for one in member.findings)
    decision = profiles_pb2.DECISION_DUPLICATE_REJECT if is_duplicate else profiles_pb2.DECISION_NOT_A_DUPLICATE
    reason = "Enrolled already" if is_duplicate else "Seen at home: another woman"
    decisions = [profiles_pb2.FindingDecision(finding_id=one.finding_id, decision=decision, reason=reason) for one in member.findings]
    key = {"member_id": member.member_id, "revision": member.revision}
    if is_duplicate:
        back = profiles_pb2.RejectMemberRequest(**key, reasons=["DUPLICATE"], remark=reason, decisions=decisions)
        await device.call("block manager", "profiles.RejectMember", back)
    else:
        await device.call("block manager", "profiles.ApproveMember", profiles_pb2.ApproveMemberRequest(**key, decisions=decisions))


async def read_report(device: Device, journey: str) -> None:
    """Her region's summary of this year, a row for each place below."""
    request = reporting_pb2.ReportRequest(report="summary", region=device.user.region, level=_LEVEL_BELOW[device.user.role], **_this_year())
    await device.call(journey, "reporting.Report", request)


async def read_national_report(device: Device) -> None:
    request = gateway_pb2.NationalReportRequest(report="summary", level="STATE", **_this_year())
    await device.call("national reader", "gateway.NationalReport", request)


def _this_year() -> dict[str, Any]:
    today = month.today()
    return {"from_month": month.month_of(_year_began(today)), "to_month": month.month_of(today)}


def _year_began(day: date) -> date:
    return date(day.year if day.month >= 4 else day.year - 1, 4, 1)


async def check_book(device: Device, book: Book) -> str:
    """What is wrong with a group's books after a run, in words: every acknowledged meeting must be there once, and no other."""
    if book.unsent:
        unsent = transactions_pb2.SyncMeetingsRequest(meetings=book.unsent)
        book.settle((await device.call("check", "transactions.SyncMeetings", unsent, fault=_refusals)).answers)
    if not book.acknowledged:
        return ""
    institution_id = book.group.institution_id
    position = await device.call("check", "transactions.Pull", transactions_pb2.PullRequest(institution_id=institution_id))
    if fault := book.differs(position):
        return fault
    told = Ledger(institution_id, await chart(device, "check"))
    told.know(position)
    if told.closing_hash() != position.closing_hash:
        return "a device that asks for the first time is not told what its hash is of"
    first, *later = book.acknowledged
    stored = [(await device.call("check", "transactions.GetMeeting", transactions_pb2.GetMeetingRequest(meeting_id=first))).sheet.meeting_id]
    request = transactions_pb2.ListMeetingsRequest(institution_id=institution_id)
    request.page.size, request.page.after = PAGE, first
    while request.page.after:
        page = await device.call("check", "transactions.ListMeetings", request)
        stored.extend(meeting.sheet.meeting_id for meeting in page.meetings)
        request.page.after = page.next
    return differences([first, *later], stored)


async def check_books(books: Sequence[tuple[Device, Book]]) -> list[str]:
    """Every fault that is found in the books after a run; empty where nothing is lost and nothing is there twice."""
    faults = []
    for device, book in track(books, "checking the books", transient=True):
        try:
            fault = await check_book(device, book)
        except CallFailedError as error:
            fault = f"could not be checked: {error}"
        if fault:
            faults.append(f"{book.group.institution_id}: {fault}")
    return faults


def differences(acknowledged: list[str], stored: list[str]) -> str:
    lost, strange = set(acknowledged) - set(stored), set(stored) - set(acknowledged)
    twice = len(stored) - len(set(stored))
    found = ((len(lost), "lost"), (len(strange), "stored that nobody here sent"), (twice, "stored twice"))
    return ", ".join(f"{count} meetings {what}" for count, what in found if count)


@contextmanager
def taken(idle: deque[T]) -> Iterator[T | None]:
    """The one that has rested longest, for nobody else meanwhile; None where all are at work."""
    one = idle.popleft() if idle else None
    try:
        yield one
    finally:
        if one is not None:
            idle.append(one)


@dataclass
class Desk:
    """A person's device and what she works on, of which each thing is in one hand at a time."""

    device: Device
    books: deque[Book] = field(default_factory=deque)
    groups: deque[Institution] = field(default_factory=deque)


class Roster:
    """Everybody of a people file at her desk. Virtual users sit down at the desks of their role in turn."""

    def __init__(self, people: People, network: Network, note: Callable[[Sample], None], dice: random.Random) -> None:
        def device(user: User) -> Device:
            return Device(network.wire, network.stubs(people.state), user, note, people.state.inbox)

        keepers = [user for user in people.in_role(Role.SHG_BOOKKEEPER) if user.institutions]
        self.keepers = [Desk(device(user), deque(Book(group, dice) for group in user.institutions)) for user in keepers]
        # The first book of every bookkeeper, then the second of each: neighbours in the list are kept by different women.
        rows = ([(desk.device, book) for book in desk.books] for desk in self.keepers)
        self.books = [one for column in zip_longest(*rows) for one in column if one is not None]
        approvers = people.in_role(Role.SHG_TRANS_APPROVER)
        self.approvers = [Desk(device(user), groups=deque(user.institutions)) for user in approvers if user.institutions]
        self.managers = [Desk(device(user)) for user in people.in_role(Role.BLOCK_PROGRAM_MANAGER)]
        self.readers = [Desk(device(user)) for user in people.in_role(*READERS)]
        self.national = []
        if people.nation and people.gateway:
            for user in people.national_users:
                stubs = network.stubs(people.gateway) | {"identity": network.stubs(people.nation)["identity"]}
                self.national.append(Desk(Device(network.wire, stubs, user, note, people.nation.inbox)))
        self._turns = {name: cycle(desks) for name, desks in self.desks().items() if desks}

    def desks(self) -> dict[str, list[Desk]]:
        """The desks that each of Locust's users may sit at."""
        return {
            "Bookkeeper": self.keepers,
            "Reconnecting": self.keepers,
            "MorningLogin": [*self.keepers, *self.approvers, *self.managers],
            "Approver": self.approvers,
            "BlockManager": self.managers,
            "NationalReader": self.national,
        }

    def next_desk(self, name: str) -> Desk:
        return next(self._turns[name])

    @property
    def acknowledged(self) -> int:
        return sum(len(book.acknowledged) for _, book in self.books)
