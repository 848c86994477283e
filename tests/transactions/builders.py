"""Groups, sheets and books for the tests of the books."""

import random
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime
from uuid import UUID

from sqlalchemy import Connection, text

from protos import profiles_pb2
from services.chassis.hears import Event
from services.kernel.approval import MeetingStatus
from services.kernel.caller import Caller, Role
from services.kernel.canonical import content_hash
from services.kernel.errors import Refused
from services.kernel.ids import uuid7
from services.kernel.policies import Policies
from services.transactions import queries
from services.transactions.commands import decide, sync
from services.transactions.consumer import Consumer
from services.transactions.rules.books import Books, Institution, Member, Reversible
from services.transactions.rules.heads import Head
from services.transactions.rules.journal import Account, added, effect
from services.transactions.rules.meeting import closing_hash, history_after, lines, take_in
from services.transactions.rules.record import Handback, Posting, Upload, after
from services.transactions.rules.sheet import (
    KINDS,
    Attendance,
    BankMove,
    BankStatement,
    Borrowing,
    CutOff,
    Entry,
    LoanGiven,
    LoanIn,
    LoanOut,
    LoanRequest,
    Paid,
    Plan,
    Saving,
    SetOff,
    Settlement,
    Sheet,
    Transfer,
    Withdrawal,
    content,
)

FORMED_ON = date(2026, 4, 1)
TODAY = date(2026, 11, 20)
BLOCK = "9.178.1204"
RUPEE = 100


def new_id() -> str:
    return str(uuid7())


def drawn_id() -> str:
    """A UUIDv7 of the first half of 2026 by the chance that Hypothesis sets anew for each case: one that failed can be had again."""
    drawn = f"{random.getrandbits(96):024x}"
    return str(UUID(f"019e{drawn[:8]}7{drawn[8:11]}8{drawn[11:]}{drawn[:2]}"))


@dataclass
class Group:
    """An institution with its members, and who keeps and checks its books."""

    institution_id: UUID = field(default_factory=uuid7)
    parent_id: UUID = field(default_factory=uuid7)  # The federation on whose side the checker stands.
    member_ids: list[UUID] = field(default_factory=lambda: [uuid7() for _ in range(5)])
    bank_ids: list[str] = field(default_factory=lambda: [new_id(), new_id()])
    kind: str = "SHG"
    region: str = f"{BLOCK}.77.5"
    compulsory_paise: int = 50 * RUPEE

    @property
    def id(self) -> str:
        return str(self.institution_id)

    @property
    def members(self) -> list[str]:
        return [str(one) for one in self.member_ids]

    def bookkeeper(self, **changes) -> Caller:
        plain = {"user_id": "IUP_BK", "role": Role(f"{self.kind}_BOOKKEEPER"), "institutions": frozenset({self.institution_id}), "person": "maker"}
        return Caller(**{**plain, "region": BLOCK, **changes})

    def approver(self, **changes) -> Caller:
        plain = {"user_id": "IUP_AP", "role": Role(f"{self.kind}_TRANS_APPROVER"), "region": BLOCK, "person": "checker"}
        plain |= {"institutions": frozenset({self.parent_id})}
        return Caller(**{**plain, **changes})

    def institution(self, **changes) -> Institution:
        plain = Institution(self.kind, self.region, True, FORMED_ON, banks=dict.fromkeys(self.bank_ids), compulsory_paise=self.compulsory_paise)
        return replace(plain, **changes)

    def books(self, **changes) -> Books:
        members = {member_id: Member(self.id, active=True) for member_id in self.members}
        return replace(Books(institution=self.institution(), members=members), **changes)


def sheet(group: Group, **changes) -> Sheet:
    """The first meeting, at which everybody was present and nothing was paid; its sums are not right yet (see `closed`)."""
    attendance = tuple(Attendance(member_id, True) for member_id in group.members)
    return replace(Sheet(new_id(), group.id, 1, 1, date(2026, 10, 5), attendance=attendance), **changes)


def cut_off(group: Group, said: CutOff, **changes) -> Sheet:
    """A cut-off of a group that met for 40 months on paper, closed as a careful bookkeeper does."""
    one = sheet(group, **{"number": 41, "cut_off": said, **changes})
    return replace(one, closing_hash=closing_hash(one, effect(lines(one, {}, {}))))


def savings(group: Group, rupees: int = 50) -> tuple[Saving, ...]:
    return tuple(Saving(member_id, rupees * RUPEE, 0) for member_id in group.members)


def following(books: Books, group: Group, **changes) -> Sheet:
    """The next meeting on these books, its sums right."""
    chain = books.chain
    place = {"number": chain.last_number + 1, "previous_meeting_id": chain.last_meeting_id, "held_on": chain.last_held_on or date(2026, 10, 5)}
    return closed(sheet(group, **{**place, **changes}), books)


def closed(one: Sheet, books: Books) -> Sheet:
    """The sheet as a careful bookkeeper closes it: the cash counted and passbooks read are what the books come to."""
    balances = added(books.balances, effect(lines(one, books.loans, books.reversible)))
    banks = {of: paise for (head, of), paise in balances.items() if head == Head.BANK and of}
    # Of an account that is overdrawn the passbook does not say so yet: the cheque is on its way.
    statements = tuple(BankStatement(of, max(paise, 0), not_debited_paise=max(-paise, 0)) for of, paise in sorted(banks.items()))
    one = replace(one, counted_cash_paise=max(balances.get(Account(Head.CASH), 0), 0), bank_statements=statements)
    return replace(one, closing_hash=closing_hash(one, balances))


def upload(one: Sheet, lock: int = 0) -> Upload:
    said = content(one)
    return Upload(one, lock, said, content_hash(said))


def entered(one: Sheet, books: Books) -> Books:
    """The books with the meeting in them, and all of their history."""
    posting = Posting(upload(one), take_in(one, books, Policies(), TODAY))
    given_in = {**books.given_in, **dict.fromkeys(posting.given, one.meeting_id)}
    return replace(after(posting, books), given_in=given_in, history=history_after(one, posting.taken.lines, books, posting.taken.carried))


def final(one: Sheet, books: Books) -> Books:
    """The books with the meeting in them, and approved: its lines may be taken back."""
    made = lines(one, books.loans, books.reversible)
    own = len(made) - len(one.reversals)
    posted = {(one.meeting_id, line.line): Reversible(line, one.institution_id, MeetingStatus.APPROVED, takes_back=line.line > own) for line in made}
    books = entered(one, books)
    recorded = replace(books.recorded[one.meeting_id], status=MeetingStatus.APPROVED)
    chain = replace(books.chain, approved_through=one.number)
    return replace(books, chain=chain, reversible={**books.reversible, **posted}, recorded={**books.recorded, one.meeting_id: recorded})


def everything(group: Group) -> dict[str, tuple]:
    """Every list of a sheet, no field of them left empty where it may be filled."""
    one, two, *_ = group.members
    first, second = group.bank_ids
    cheque = Paid("CHEQUE", first, "004711", "पर्ची 9")
    plan_id = new_id()
    return {
        "attendance": tuple(Attendance(member_id, member_id != two) for member_id in group.members),
        "savings": (Saving(one, 5000, 700), Saving(two, 5000, 0, Paid("TRANSFER", first, reference="UTR1"))),
        "withdrawals": (Withdrawal(one, 0, 100), Withdrawal(two, 100, 0, cheque)),
        "entries": (Entry("FINE", 500, two), Entry("TRAVEL", 1200, party="बस"), Entry("BANK_INTEREST", 333, paid=Paid("TRANSFER", first))),
        "requests": (LoanRequest(new_id(), two, 90000, "बकरी", 50000, "CIF", 1, "2027-03-31", plan_id),),
        "plans": (Plan(plan_id, two, 90000, "goats", "2027-03-31", 5000),),
        "loans": (LoanGiven(new_id(), two, 6000, 2400, 10, "goats", "OWN", new_id(), Paid("CHEQUE", first, "000001")),),
        "borrowings": (
            Borrowing(
                new_id(), "BANK", 100000, 1100, 24, new_id(), "Gramin Bank", "0042", "BANK", "TERM_LOAN", "2026-10-01", Paid("TRANSFER", first)
            ),
        ),
        "bank_moves": (BankMove("DEPOSIT", 1000, first, reference="slip"), BankMove("SENT", 200), BankMove("TRANSFER", 50, first, second)),
    }


def leaving(group: Group, loan_id: str) -> dict[str, tuple]:
    """The lists of who leaves, as full; a loan of the second member is set off, goes away and comes again, which no meeting could hold."""
    one, two, *_ = group.members
    hers = Settlement(two, "DIED", 5000, 700, 300, 200, 0, 50, "a fine", 4000, Paid("CHEQUE", group.bank_ids[0], "004712"), "राम", "son", "the fever")
    hers_elsewhere, own = Transfer(new_id(), new_id(), one, 5000, 700, 300), Transfer(new_id(), new_id(), "", 0, 0, 0, 900, 800, 700, 60)
    back = (Transfer(new_id(), new_id(), group.members[2], 5000), own._replace(transfer_id=new_id(), surplus_paise=0, deficit_paise=70))
    return {
        "settlements": (hers,),
        "set_offs": (SetOff(loan_id, 1500, 20),),
        "transfers_out": (hers_elsewhere, own),
        "loans_out": (LoanOut(loan_id, hers_elsewhere.transfer_id, 1000),),
        "transfers_in": back,
        "loans_in": (LoanIn(new_id(), back[0].transfer_id, loan_id, 2000, 40, "2026-09-30"),),
    }


@dataclass
class Desk:
    """A group's bookkeeper with one device, and its checker, at work on one connection. `changes` of a caller may be given to each."""

    connection: Connection
    group: Group
    lock: int = 0
    policies: Policies = field(default_factory=Policies)

    def next(self, **changes) -> Sheet:
        """The next meeting on the books as they are stored."""
        return following(queries.books(self.connection, [sheet(self.group, **changes)]), self.group, **changes)

    def again(self, one: Sheet, **changes) -> Sheet:
        """What was handed back, put right and closed anew."""
        same = {name: getattr(one, name) for name in KINDS} | {"meeting_id": one.meeting_id, "held_on": one.held_on}
        return self.next(**{**same, "revision": one.revision + 1, **changes})

    def send(self, *sheets: Sheet, **caller) -> list[str]:
        """What became of each: an outcome, or the code of the refusal."""
        uploads = {place: upload(one, self.lock) for place, one in enumerate(sheets)}
        answers = sync.sync_meetings(self.connection, self.group.bookkeeper(**caller), uploads, self.policies, TODAY)
        return [_said(answers[place]) for place in range(len(sheets))]

    def save(self, **changes) -> Sheet:
        """The next meeting, at which everybody saves, taken in."""
        one = self.next(**{"savings": savings(self.group), **changes})
        assert self.send(one) == ["APPLIED"]
        return one

    def approve(self, *sheets: Sheet, unseen: bool = False, **caller) -> list[str]:
        """Of each nothing where it is final now, or the code of the refusal."""
        wanted = {UUID(one.meeting_id): one.revision for one in sheets}
        answers = decide.approve_meetings(self.connection, self.group.approver(**caller), wanted, self.policies, TODAY, unseen=unseen)
        return [_said(answers[UUID(one.meeting_id)]) for one in sheets]

    def reject(self, one: Sheet, remark: str = "The cash was counted wrong.", reasons: tuple[str, ...] = (), **caller) -> None:
        said = Handback(remark, reasons)
        decide.reject_meeting(self.connection, self.group.approver(**caller), UUID(one.meeting_id), one.revision, said, self.policies, TODAY)

    def standing(self, known: queries.Known | None = None) -> queries.Standing:
        return queries.standing(self.connection, self.group.approver(), self.group.institution_id, known or queries.Known())

    @property
    def balances(self) -> dict[Account, int]:
        """Every one that is not nothing."""
        return {account: paise for account, paise in self.standing().balances.items() if paise}


def _said(answer) -> str:
    return answer.code if isinstance(answer, Refused) else str(answer or "")


def hear(connection, group: Group) -> Group:
    """The service knows the group and its members."""
    hear_institution(connection, group)
    for member_id in group.members:
        hear_member(connection, group, member_id)
    return group


def hear_institution(connection, group: Group, version: int = 1, **changes) -> None:
    """What profiles tell of a group: active, with its accounts."""
    plain = {
        "institution_id": group.id,
        "kind": f"KIND_{group.kind}",
        "region": group.region,
        "status": "STATUS_ACTIVE",
        "formed_on": FORMED_ON.isoformat(),
        "parent_id": str(group.parent_id),
        "accounts": [{"row_id": bank_id} for bank_id in group.bank_ids],
        "compulsory_savings_paise": group.compulsory_paise,
        "savings_frequency": "WEEKLY",
    }
    told = profiles_pb2.InstitutionChanged(**{**plain, **changes})
    Consumer().institution_changed(connection, Event(uuid7(), "", version, datetime.now(UTC), told))


def hear_member(connection, group: Group, member_id: str, version: int = 1, **changes) -> None:
    """What profiles tell of a member of the group: active, and never elsewhere."""
    told = profiles_pb2.MemberChanged(
        **{"member_id": member_id, "institution_id": group.id, "region": group.region, "status": "STATUS_ACTIVE", **changes}
    )
    Consumer().member_changed(connection, Event(uuid7(), "", version, datetime.now(UTC), told))


def clear(connection, group: Group) -> None:
    """Take away all that is kept of a group whose books were committed."""
    of = {"one": group.institution_id}
    # What it told and noted of its meetings goes with them.
    connection.execute(text("delete from outbox where subject in (select meeting_id::text from meetings where institution_id = :one)"), of)
    connection.execute(text("delete from outbox where subject in (select loan_id::text from loans where institution_id = :one)"), of)
    connection.execute(text("delete from outbox where subject = cast(:one as uuid)::text"), of)
    noted = "select from meetings m where m.institution_id = :one and audit.subjects ? m.meeting_id::text"
    connection.execute(text(f"delete from audit where place is null and exists ({noted})"), of)
    connection.execute(text("delete from transfers where :one in (from_id, to_id)"), of)
    for table in ("meetings", "superseded", "balances", "loans", "refused", "chains", "institutions", "members"):
        connection.execute(text(f"delete from {table} where institution_id = :one"), of)
