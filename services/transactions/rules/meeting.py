"""A meeting as its device closed it: its content, its lines, what they change, and what must hold of it."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from uuid import UUID

from services.kernel.canonical import Content
from services.kernel.errors import Conflict, Invalid
from services.kernel.money import check_amount, rupees
from services.kernel.policies import Policies
from services.transactions.rules.books import Books, Chain, Loan, Member
from services.transactions.rules.heads import HEADS_OF, Head, Item

MEMBERS_MAX = 100
REPAYMENTS_MAX = 500
PURPOSE_LENGTH_MAX = 100


class Waiting(Conflict):
    """Not yet: somebody whom the meeting names has not been heard of; the same meeting may be stored later (decision 16)."""


@dataclass(frozen=True, slots=True)
class Attendance:
    member_id: UUID
    present: bool


@dataclass(frozen=True, slots=True)
class Saving:
    member_id: UUID
    compulsory_paise: int
    voluntary_paise: int


@dataclass(frozen=True, slots=True)
class Repayment:
    loan_id: UUID
    principal_paise: int
    interest_paise: int


@dataclass(frozen=True, slots=True)
class LoanGiven:
    loan_id: UUID
    member_id: UUID
    principal_paise: int
    annual_rate_basis_points: int
    months: int
    purpose: str


@dataclass(frozen=True, slots=True)
class Fine:
    member_id: UUID
    amount_paise: int


@dataclass(frozen=True, slots=True)
class Meeting:
    """The device's part of the proto's message."""

    meeting_id: UUID
    institution_id: UUID
    revision: int
    number: int
    held_on: date
    attendance: tuple[Attendance, ...]
    savings: tuple[Saving, ...]
    repayments: tuple[Repayment, ...]
    loans: tuple[LoanGiven, ...]
    fines: tuple[Fine, ...]
    deposited_paise: int
    withdrawn_paise: int
    counted_cash_paise: int
    passbook_bank_paise: int


@dataclass(frozen=True, slots=True)
class Line:
    """One debit and one credit of one amount. `line` counts from 1 within the meeting."""

    line: int
    debit: str
    credit: str
    amount_paise: int
    member_id: UUID | None = None
    loan_id: UUID | None = None


@dataclass(frozen=True, slots=True)
class Effect:
    """What lines change: cash, bank, each member's savings, and what is outstanding of each loan."""

    cash_paise: int
    bank_paise: int
    compulsory_paise: Mapping[UUID, int]
    voluntary_paise: Mapping[UUID, int]
    outstanding_paise: Mapping[UUID, int]


def content(meeting: Meeting) -> dict[str, Content]:
    """The fields that the device sent, named as in the proto: what the canonical hash is of (docs/canonical.md)."""
    return {
        "meeting_id": str(meeting.meeting_id),
        "institution_id": str(meeting.institution_id),
        "revision": meeting.revision,
        "number": meeting.number,
        "held_on": meeting.held_on.isoformat(),
        "attendance": [{"member_id": str(a.member_id), "present": a.present} for a in meeting.attendance],
        "savings": [
            {"member_id": str(s.member_id), "compulsory_paise": s.compulsory_paise, "voluntary_paise": s.voluntary_paise} for s in meeting.savings
        ],
        "repayments": [
            {"loan_id": str(r.loan_id), "principal_paise": r.principal_paise, "interest_paise": r.interest_paise} for r in meeting.repayments
        ],
        "loans": [
            {
                "loan_id": str(loan.loan_id),
                "member_id": str(loan.member_id),
                "principal_paise": loan.principal_paise,
                "annual_rate_basis_points": loan.annual_rate_basis_points,
                "months": loan.months,
                "purpose": loan.purpose,
            }
            for loan in meeting.loans
        ],
        "fines": [{"member_id": str(f.member_id), "amount_paise": f.amount_paise} for f in meeting.fines],
        "deposited_paise": meeting.deposited_paise,
        "withdrawn_paise": meeting.withdrawn_paise,
        "counted_cash_paise": meeting.counted_cash_paise,
        "passbook_bank_paise": meeting.passbook_bank_paise,
    }


def lines(meeting: Meeting, loans: Mapping[UUID, Loan]) -> list[Line]:
    """The meeting as a journal. What is nothing gives no line. `loans` are those that are repaid."""
    items: list[tuple[Item, int, UUID | None, UUID | None]] = []
    for saving in meeting.savings:
        items.append((Item.COMPULSORY_SAVING, saving.compulsory_paise, saving.member_id, None))
        items.append((Item.VOLUNTARY_SAVING, saving.voluntary_paise, saving.member_id, None))
    for repayment in meeting.repayments:
        borrower = loans[repayment.loan_id].member_id
        items.append((Item.PRINCIPAL_REPAID, repayment.principal_paise, borrower, repayment.loan_id))
        items.append((Item.INTEREST_RECEIVED, repayment.interest_paise, borrower, repayment.loan_id))
    items.extend((Item.FINE, fine.amount_paise, fine.member_id, None) for fine in meeting.fines)
    items.extend((Item.LOAN_GIVEN, loan.principal_paise, loan.member_id, loan.loan_id) for loan in meeting.loans)
    items.append((Item.DEPOSIT, meeting.deposited_paise, None, None))
    items.append((Item.WITHDRAWAL, meeting.withdrawn_paise, None, None))
    entered = (entry for entry in items if entry[1])
    return [Line(place, *HEADS_OF[item], amount, member_id, loan_id) for place, (item, amount, member_id, loan_id) in enumerate(entered, 1)]


def effect(posted: Iterable[Line]) -> Effect:
    """What the lines come to."""
    heads: Counter[str] = Counter()
    members: dict[str, Counter[UUID]] = {Head.COMPULSORY_SAVINGS: Counter(), Head.VOLUNTARY_SAVINGS: Counter()}
    outstanding: Counter[UUID] = Counter()
    for line in posted:
        for head, amount in ((line.debit, line.amount_paise), (line.credit, -line.amount_paise)):
            heads[head] += amount
            if head == Head.MEMBER_LOANS and line.loan_id:
                outstanding[line.loan_id] += amount
            elif head in members and line.member_id:
                members[head][line.member_id] -= amount
    return Effect(heads[Head.CASH], heads[Head.BANK], members[Head.COMPULSORY_SAVINGS], members[Head.VOLUNTARY_SAVINGS], outstanding)


def check(meeting: Meeting, books: Books, policies: Policies, today: date) -> list[Line]:
    """The lines of a new meeting that stands on these books, or a refusal. Waiting comes last: what is wrong is told at once."""
    _check_amounts(meeting, policies)
    _check_lists(meeting)
    _check_members(meeting, books)
    _check_place(meeting, books, today)
    _check_loans(meeting, books)
    posted = lines(meeting, books.loans)
    _check_balance(meeting, books.chain, effect(posted))
    _wait_for_members(meeting, books)
    return posted


def _check_amounts(meeting: Meeting, policies: Policies) -> None:
    for name in ("deposited_paise", "withdrawn_paise", "counted_cash_paise", "passbook_bank_paise"):
        check_amount(getattr(meeting, name), name)
    for place, saving in enumerate(meeting.savings):
        check_amount(saving.compulsory_paise, f"savings[{place}].compulsory_paise")
        check_amount(saving.voluntary_paise, f"savings[{place}].voluntary_paise")
    for place, repayment in enumerate(meeting.repayments):
        check_amount(repayment.principal_paise, f"repayments[{place}].principal_paise")
        check_amount(repayment.interest_paise, f"repayments[{place}].interest_paise")
    for place, fine in enumerate(meeting.fines):
        check_amount(fine.amount_paise, f"fines[{place}].amount_paise")
    rate_max, months_max = (policies.value(name, meeting.held_on) for name in ("loan_rate_basis_points_max", "loan_months_max"))
    for place, loan in enumerate(meeting.loans):
        check_amount(loan.principal_paise, f"loans[{place}].principal_paise", at_least=1)
        if not 0 <= loan.annual_rate_basis_points <= rate_max:
            raise Invalid(
                "RATE_INVALID",
                "Interest is between 0% and {most}% a year.",
                field=f"loans[{place}].annual_rate_basis_points",
                most=f"{rate_max / 100:g}",
            )
        if not 1 <= loan.months <= months_max:
            raise Invalid("MONTHS_INVALID", "A loan runs for 1 to {most} months.", field=f"loans[{place}].months", most=months_max)
        if len(loan.purpose) > PURPOSE_LENGTH_MAX or any(ord(letter) < ord(" ") for letter in loan.purpose):
            raise Invalid(
                "PURPOSE_INVALID", "A purpose is one line of at most {most} letters.", field=f"loans[{place}].purpose", most=PURPOSE_LENGTH_MAX
            )


def _member_lists(meeting: Meeting) -> tuple[tuple[str, Sequence[Attendance | Saving | LoanGiven | Fine]], ...]:
    return ("attendance", meeting.attendance), ("savings", meeting.savings), ("loans", meeting.loans), ("fines", meeting.fines)


def _check_lists(meeting: Meeting) -> None:
    for name, entries in _member_lists(meeting):
        _at_most(name, len(entries), MEMBERS_MAX)
        _once(name, "member_id", [entry.member_id for entry in entries], "MEMBER_TWICE", "A member stands at most once in each list of a meeting.")
    _at_most("repayments", len(meeting.repayments), REPAYMENTS_MAX)
    _once("repayments", "loan_id", [r.loan_id for r in meeting.repayments], "LOAN_TWICE", "A loan stands at most once in a meeting.")
    _once("loans", "loan_id", [loan.loan_id for loan in meeting.loans], "LOAN_TWICE", "A loan stands at most once in a meeting.")


def _at_most(name: str, count: int, most: int) -> None:
    if count > most:
        raise Invalid("LIST_TOO_LONG", "{count} entries are too many; a meeting has at most {most} of a kind.", field=name, count=count, most=most)


def _once(name: str, key: str, ids: Sequence[UUID], code: str, sentence: str) -> None:
    seen: set[UUID] = set()
    for place, one in enumerate(ids):
        if one in seen:
            raise Invalid(code, sentence, field=f"{name}[{place}].{key}")
        seen.add(one)


def _named(meeting: Meeting, books: Books) -> Iterator[tuple[str, Member | None]]:
    """Every member in every list, by the field that names her."""
    for name, entries in _member_lists(meeting):
        for place, entry in enumerate(entries):
            yield f"{name}[{place}].member_id", books.members.get(entry.member_id)


def _check_members(meeting: Meeting, books: Books) -> None:
    """Whoever was not of the institution on the meeting's day, as far as no news to come can change that."""
    of, on = meeting.institution_id, meeting.held_on
    for field, member in _named(meeting, books):
        if member is None or member.had_stay(of, on) or member.has_stay(of, on):
            continue
        if left_on := member.left_on(of, on):
            raise Invalid(
                "MEMBER_LEFT",
                "This member was of this institution until {left_on}; take her off the lists of a meeting held later.",
                field=field,
                left_on=left_on.isoformat(),
            )
        if member.known_through and member.known_through >= on:
            raise Invalid("MEMBER_ELSEWHERE", "This member was not of this institution on {on}; take her off.", field=field, on=on.isoformat())


def _wait_for_members(meeting: Meeting, books: Books) -> None:
    """For who is not heard of, is not active yet, or is of another institution, from where she may have come before it is told."""
    of, on = meeting.institution_id, meeting.held_on
    for field, member in _named(meeting, books):
        if member is None or not (member.had_stay(of, on) or (member.has_stay(of, on) and member.active)):
            raise Waiting("MEMBER_WAITING", "This member is not active here yet; the meeting waits for her.", field=field)


def _check_place(meeting: Meeting, books: Books, today: date) -> None:
    """Its number and its day, after the meeting before."""
    chain = books.chain
    if meeting.number != chain.last_number + 1:
        raise Conflict(
            "MEETING_OUT_OF_SEQUENCE", "The next meeting of this institution is number {next}.", field="number", next=chain.last_number + 1
        )
    if meeting.held_on > today:
        raise Invalid("HELD_IN_FUTURE", "A meeting cannot be held in the future.", field="held_on")
    formed_on = books.institution.formed_on if books.institution else None
    for earliest, words in (
        (formed_on, "The institution was formed on {earliest}; no meeting was held before."),
        (chain.last_held_on, "The meeting before was held on {earliest}; this one cannot be earlier."),
    ):
        if earliest is not None and meeting.held_on < earliest:
            raise Conflict("HELD_TOO_EARLY", words, field="held_on", earliest=earliest.isoformat())


def _check_loans(meeting: Meeting, books: Books) -> None:
    for place, given in enumerate(meeting.loans):
        if given.loan_id in books.loans:
            raise Conflict("LOAN_EXISTS", "A loan of this id was given already.", field=f"loans[{place}].loan_id")
    for place, repayment in enumerate(meeting.repayments):
        loan = books.loans.get(repayment.loan_id)
        if loan is None or loan.institution_id != meeting.institution_id:
            raise Conflict("LOAN_UNKNOWN", "This institution has given no such loan.", field=f"repayments[{place}].loan_id")
        if repayment.principal_paise > loan.outstanding_paise:
            raise Conflict(
                "REPAYMENT_TOO_LARGE",
                "Of this loan {outstanding} is outstanding; no more can be repaid.",
                field=f"repayments[{place}].principal_paise",
                outstanding=rupees(loan.outstanding_paise),
            )


def _check_balance(meeting: Meeting, chain: Chain, change: Effect) -> None:
    """Cash counted and passbook read agree with the book, to the paisa (domain 4.1)."""
    cash, bank = chain.cash_paise + change.cash_paise, chain.bank_paise + change.bank_paise
    if cash < 0:
        field = "deposited_paise" if cash + meeting.deposited_paise >= 0 else "loans"
        raise Conflict("CASH_NEGATIVE", "{missing} more is paid out or deposited than there was cash.", field=field, missing=rupees(-cash))
    if bank < 0:
        raise Conflict("BANK_NEGATIVE", "{missing} more is withdrawn than there was in the bank.", field="withdrawn_paise", missing=rupees(-bank))
    if meeting.counted_cash_paise != cash:
        field, gap = "counted_cash_paise", _gap(meeting.counted_cash_paise, cash)
        if meeting.counted_cash_paise < cash:
            raise Conflict("MEETING_UNBALANCED", "The cash counted is {counted}, and the book says {book}: {gap} is missing.", field=field, **gap)
        raise Conflict("MEETING_UNBALANCED", "The cash counted is {counted}, and the book says {book}: {gap} is too much.", field=field, **gap)
    if meeting.passbook_bank_paise != bank:
        field, gap = "passbook_bank_paise", _gap(meeting.passbook_bank_paise, bank)
        if meeting.passbook_bank_paise < bank:
            raise Conflict("BANK_UNBALANCED", "The passbook says {counted}, and the book says {book}: {gap} is missing.", field=field, **gap)
        raise Conflict("BANK_UNBALANCED", "The passbook says {counted}, and the book says {book}: {gap} is too much.", field=field, **gap)


def _gap(counted: int, book: int) -> dict[str, str]:
    return {"counted": rupees(counted), "book": rupees(book), "gap": rupees(abs(book - counted))}
