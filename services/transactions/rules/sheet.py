"""A meeting's sheet as its device closed it: all screens of domain 3.3, and what must hold of them whatever the books say."""

import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import date
from typing import Any, NamedTuple

from services.kernel.canonical import Content
from services.kernel.errors import Invalid
from services.kernel.money import AMOUNT_PAISE_MAX, check_amount
from services.kernel.month import parse_date
from services.kernel.policies import Policies
from services.transactions.rules.agreed import AS_USUAL, Agreed, check_agreed
from services.transactions.rules.heads import ENTRY_SCREENS, ITEMS
from services.transactions.rules.journal import Id

ENTRIES_MAX = 500  # Of one list.
TEXT_LENGTH_MAX = 100
NOTE_LENGTH_MAX = 500
EFFECTIVE_AHEAD_DAYS_MAX = 92  # What is borrowed bears interest within a quarter.
CHEQUE_DIGITS = 6
MODES = frozenset({"CASH", "CHEQUE", "TRANSFER"})
# Items of the chart by what a move and a lender are called.
MOVES = ("DEPOSIT", "WITHDRAWAL", "SENT", "ARRIVED", "TRANSFER")
LENDERS = {"BANK": ("BORROWED_FROM_BANK", "BANK_REPAID"), "VO": ("BORROWED_FROM_VO", "VO_REPAID"), "CLF": ("BORROWED_FROM_CLF", "CLF_REPAID")}


class Paid(NamedTuple):
    """How an amount was paid. `mode` is CASH, CHEQUE or TRANSFER; `bank_id` the institution's account, empty for cash."""

    mode: str = ""
    bank_id: Id = ""
    cheque_number: str = ""
    reference: str = ""


IN_CASH = Paid()


class Attendance(NamedTuple):
    member_id: Id
    present: bool


class Saving(NamedTuple):
    member_id: Id
    compulsory_paise: int
    voluntary_paise: int
    paid: Paid = IN_CASH


class Withdrawal(NamedTuple):
    member_id: Id
    compulsory_paise: int
    voluntary_paise: int
    paid: Paid = IN_CASH


class Repayment(NamedTuple):
    loan_id: Id
    principal_paise: int
    interest_paise: int
    paid: Paid = IN_CASH


class Entry(NamedTuple):
    item: str
    amount_paise: int
    member_id: Id = ""
    party: str = ""
    paid: Paid = IN_CASH


class LoanRequest(NamedTuple):
    request_id: Id
    member_id: Id
    amount_paise: int
    purpose: str = ""
    sanctioned_paise: int = 0
    fund: str = ""
    priority: int = 0
    valid_until: str = ""
    plan_id: Id = ""


class Plan(NamedTuple):
    plan_id: Id
    member_id: Id
    amount_paise: int
    purpose: str = ""
    valid_until: str = ""
    proposed_instalment_paise: int = 0


class LoanGiven(NamedTuple):
    loan_id: Id
    member_id: Id
    principal_paise: int
    annual_rate_basis_points: int
    months: int
    purpose: str = ""
    fund: str = ""
    request_id: Id = ""
    paid: Paid = IN_CASH
    agreed: Agreed = AS_USUAL
    borrower_id: Id = ""


class Borrowing(NamedTuple):
    borrowing_id: Id
    lender: str
    principal_paise: int
    annual_rate_basis_points: int
    months: int
    lender_id: Id = ""
    lender_name: str = ""
    account_number: str = ""
    fund: str = ""
    loan_type: str = ""
    effective_on: str = ""
    paid: Paid = IN_CASH
    agreed: Agreed = AS_USUAL


class BorrowingRepayment(NamedTuple):
    borrowing_id: Id
    principal_paise: int
    interest_paise: int
    paid: Paid = IN_CASH


class Reschedule(NamedTuple):
    """Of a loan or a borrowing."""

    loan_id: Id
    annual_rate_basis_points: int
    months: int
    agreed: Agreed = AS_USUAL
    reason: str = ""


class WriteOff(NamedTuple):
    loan_id: Id
    principal_paise: int
    reason: str = ""


class BankMove(NamedTuple):
    kind: str
    amount_paise: int
    bank_id: Id = ""
    to_bank_id: Id = ""
    reference: str = ""


class Reversal(NamedTuple):
    meeting_id: Id
    line: int


class BankStatement(NamedTuple):
    bank_id: Id
    passbook_paise: int
    not_debited_paise: int = 0
    not_credited_paise: int = 0

    @property
    def book_paise(self) -> int:
        """What the book must say (domain 4.1)."""
        return self.passbook_paise - self.not_debited_paise + self.not_credited_paise


@dataclass(frozen=True, slots=True)
class Sheet:
    """The proto's MeetingSheet without the lock, under the same names."""

    meeting_id: Id
    institution_id: Id
    revision: int
    number: int
    held_on: date
    previous_meeting_id: Id = ""
    attendance: tuple[Attendance, ...] = ()
    savings: tuple[Saving, ...] = ()
    withdrawals: tuple[Withdrawal, ...] = ()
    repayments: tuple[Repayment, ...] = ()
    entries: tuple[Entry, ...] = ()
    requests: tuple[LoanRequest, ...] = ()
    plans: tuple[Plan, ...] = ()
    loans: tuple[LoanGiven, ...] = ()
    borrowings: tuple[Borrowing, ...] = ()
    borrowing_repayments: tuple[BorrowingRepayment, ...] = ()
    bank_moves: tuple[BankMove, ...] = ()
    reversals: tuple[Reversal, ...] = ()
    counted_cash_paise: int = 0
    bank_statements: tuple[BankStatement, ...] = ()
    manual_books_differ: str = ""
    closing_hash: str = ""
    reschedules: tuple[Reschedule, ...] = ()
    write_offs: tuple[WriteOff, ...] = ()


NAMES = tuple(one.name for one in fields(Sheet))
KINDS: Mapping[str, Any] = {
    "attendance": Attendance,
    "savings": Saving,
    "withdrawals": Withdrawal,
    "repayments": Repayment,
    "entries": Entry,
    "requests": LoanRequest,
    "plans": Plan,
    "loans": LoanGiven,
    "borrowings": Borrowing,
    "borrowing_repayments": BorrowingRepayment,
    "bank_moves": BankMove,
    "reversals": Reversal,
    "bank_statements": BankStatement,
    "reschedules": Reschedule,
    "write_offs": WriteOff,
}
# Parts of entries that have fields themselves.
PARTS: Mapping[str, Any] = {"paid": Paid, "agreed": Agreed}
# Every member in these stands in the lists of who was of the institution that day.
MEMBER_LISTS = ("attendance", "savings", "withdrawals", "entries", "requests", "plans", "loans")


def _written(entry: Any) -> dict[str, Content]:  # noqa: ANN401 - any of KINDS
    """An entry under its names, without what is empty."""
    return {name: _part(value) if name in PARTS else value for name, value in zip(entry._fields, entry, strict=True) if value and value not in _EMPTY}


_EMPTY = (IN_CASH, AS_USUAL)


def _part(part: Any) -> dict[str, Content]:  # noqa: ANN401 - any of PARTS
    return {name: value for name, value in zip(part._fields, part, strict=True) if value}


def content(sheet: Sheet) -> dict[str, Content]:
    """What the canonical hash is of (docs/canonical.md): the fields that are not empty, named as in the proto."""
    written: dict[str, Content] = {"held_on": sheet.held_on.isoformat()}
    for name in NAMES:
        value = getattr(sheet, name)
        if name in KINDS:
            if value:
                written[name] = [_written(entry) for entry in value]
        elif value and name != "held_on":
            written[name] = value
    return written


def named_members(sheet: Sheet) -> set[Id]:
    return {entry.member_id for name in MEMBER_LISTS for entry in getattr(sheet, name) if entry.member_id}


def named_loans(sheet: Sheet) -> set[Id]:
    """Loans and borrowings, new ones too."""
    member_loans = {one.loan_id for one in sheet.loans} | {one.loan_id for one in sheet.repayments}
    member_loans |= {one.loan_id for one in sheet.reschedules} | {one.loan_id for one in sheet.write_offs}
    return member_loans | {one.borrowing_id for one in sheet.borrowings} | {one.borrowing_id for one in sheet.borrowing_repayments}


def named_banks(sheet: Sheet) -> set[Id]:
    paid = (entry.paid.bank_id for name in PAID_LISTS for entry in getattr(sheet, name))
    moved = (bank_id for move in sheet.bank_moves for bank_id in (move.bank_id, move.to_bank_id))
    return {*paid, *moved, *(one.bank_id for one in sheet.bank_statements)} - {""}


# Where entries say how they were paid.
PAID_LISTS = ("savings", "withdrawals", "repayments", "entries", "loans", "borrowings", "borrowing_repayments")


def check_sheet(sheet: Sheet, policies: Policies) -> None:
    """Refuse what no state of the books could make right."""
    check_amount(sheet.counted_cash_paise, "counted_cash_paise")
    check_line("manual_books_differ", sheet.manual_books_differ, NOTE_LENGTH_MAX)
    for name in KINDS:
        entries = getattr(sheet, name)
        if not entries:
            continue
        if len(entries) > ENTRIES_MAX:
            raise Invalid(
                "LIST_TOO_LONG",
                "{count} entries are too many; a meeting has at most {most} of a kind.",
                field=name,
                count=len(entries),
                most=ENTRIES_MAX,
            )
        _check_amounts(name, entries)
        if name in PAID_LISTS:
            _check_paid(name, entries)
        if name in _ONCE:
            _once(name, *_ONCE[name], entries)
    for check in (_check_entries, _check_terms, _check_lent, _check_anew, _check_moves, _check_asked):
        check(sheet, policies)


# Where one stands at most once, by what, and with which code and sentence that is said.
_MEMBER_ONCE = ("member_id", "MEMBER_TWICE", "A member stands at most once in each list of a meeting.")
_LOAN_ONCE = ("LOAN_TWICE", "A loan stands at most once in a meeting.")
_ONCE = {
    "attendance": _MEMBER_ONCE,
    "savings": _MEMBER_ONCE,
    "withdrawals": _MEMBER_ONCE,
    "repayments": ("loan_id", *_LOAN_ONCE),
    "loans": ("loan_id", *_LOAN_ONCE),
    "borrowings": ("borrowing_id", *_LOAN_ONCE),
    "borrowing_repayments": ("borrowing_id", *_LOAN_ONCE),
    "bank_statements": ("bank_id", "BANK_TWICE", "An account stands at most once among the passbooks read."),
    "reschedules": ("loan_id", *_LOAN_ONCE),
    "write_offs": ("loan_id", *_LOAN_ONCE),
    "requests": ("request_id", "REQUEST_TWICE", "A request stands at most once in a meeting."),
    "plans": ("plan_id", "PLAN_TWICE", "A line of the plan stands at most once in a meeting."),
}
_AMOUNTS = {name: tuple(field for field in kind._fields if field.endswith("_paise")) for name, kind in KINDS.items()}
# What must be there, and more than nothing.
_REQUIRED = {("entries", "amount_paise"), ("loans", "principal_paise"), ("borrowings", "principal_paise"), ("bank_moves", "amount_paise")}
_REQUIRED |= {("requests", "amount_paise"), ("plans", "amount_paise"), ("write_offs", "principal_paise")}


def _check_amounts(name: str, entries: Sequence[Any]) -> None:
    for field in _AMOUNTS[name]:
        least = 1 if (name, field) in _REQUIRED else 0
        for place, entry in enumerate(entries):
            if not least <= getattr(entry, field) <= AMOUNT_PAISE_MAX:
                check_amount(getattr(entry, field), f"{name}[{place}].{field}", at_least=least)


def _once(name: str, key: str, code: str, sentence: str, entries: Sequence[Any]) -> None:
    if len({getattr(entry, key) for entry in entries}) == len(entries):
        return
    seen: set[str] = set()
    for place, entry in enumerate(entries):
        if getattr(entry, key) in seen:
            raise Invalid(code, sentence, field=f"{name}[{place}].{key}")
        seen.add(getattr(entry, key))


def _check_paid(name: str, entries: Iterable[Any]) -> None:
    for place, entry in enumerate(entries):
        paid = entry.paid
        if paid == IN_CASH:
            continue
        field = f"{name}[{place}].paid"
        if (paid.mode or "CASH") not in MODES:
            raise Invalid("MODE_UNKNOWN", "Money is paid in CASH, by CHEQUE or by TRANSFER.", field=f"{field}.mode")
        if (paid.mode in {"", "CASH"}) == bool(paid.bank_id):
            raise Invalid("BANK_MISSING", "What is paid by cheque or transfer names the account, and cash names none.", field=f"{field}.bank_id")
        if paid.cheque_number and not (paid.mode == "CHEQUE" and _digits(paid.cheque_number)):
            raise Invalid("CHEQUE_INVALID", "A cheque has a number of {digits} digits.", field=f"{field}.cheque_number", digits=CHEQUE_DIGITS)
        check_line(f"{field}.reference", paid.reference)


def _digits(text: str) -> bool:
    return len(text) == CHEQUE_DIGITS and text.isascii() and text.isdecimal()


def check_line(field: str, text: str, most: int = TEXT_LENGTH_MAX) -> None:
    """One line of text, which need not be there. What is no character, or none that all devices agree on, is none here."""
    if len(text) > most:
        raise Invalid("TEXT_TOO_LONG", "This is one line of at most {most} letters.", field=field, most=most)
    if not text.isprintable() and any(unicodedata.category(letter) in _NO_LETTERS for letter in text):
        raise Invalid("TEXT_INVALID", "This holds a character that is no letter, digit or sign.", field=field)


_NO_LETTERS = {"Cc", "Cn", "Co", "Cs"}


def _check_entries(sheet: Sheet, _policies: Policies) -> None:
    for place, entry in enumerate(sheet.entries):
        field = f"entries[{place}]"
        item = ITEMS.get(entry.item)
        if item is None or item.screen not in ENTRY_SCREENS:
            raise Invalid("ITEM_UNKNOWN", "There is no such receipt or payment.", field=f"{field}.item")
        if item.of_member != bool(entry.member_id):
            sentence = "Say which member it is of." if item.of_member else "This is no member's; say in the party from whom or to whom."
            raise Invalid("MEMBER_MISSING" if item.of_member else "MEMBER_NOT_ASKED", sentence, field=f"{field}.member_id")
        if item.by_bank_only and not entry.paid.bank_id:
            raise Invalid("BANK_MISSING", "This comes from the bank or goes to it: name the account.", field=f"{field}.paid.bank_id")
        check_line(f"{field}.party", entry.party)


def _check_terms(sheet: Sheet, policies: Policies) -> None:
    for name in ("loans", "borrowings", "reschedules"):
        for place, loan in enumerate(getattr(sheet, name)):
            field, effective_on = f"{name}[{place}]", getattr(loan, "effective_on", "")
            check_rate(field, loan, sheet.held_on, policies)
            if effective_on:
                _check_effective(f"{field}.effective_on", effective_on, sheet.held_on, policies)
            begun_on = date.fromisoformat(effective_on) if effective_on else sheet.held_on
            check_agreed(field, loan, begun_on, policies.value("loan_months_max", sheet.held_on))


def _check_lent(sheet: Sheet, _policies: Policies) -> None:
    for place, given in enumerate(sheet.loans):
        check_line(f"loans[{place}].purpose", given.purpose)
        check_line(f"loans[{place}].fund", given.fund)
    given_ids = {given.loan_id for given in sheet.loans}
    for place, one in enumerate(sheet.borrowings):
        if one.borrowing_id in given_ids:
            raise Invalid(*_LOAN_ONCE, field=f"borrowings[{place}].borrowing_id")
        if one.lender not in LENDERS:
            raise Invalid("LENDER_UNKNOWN", "A group borrows from a BANK, a VO or a CLF.", field=f"borrowings[{place}].lender")
        for field in ("lender_name", "account_number", "fund", "loan_type"):
            check_line(f"borrowings[{place}].{field}", getattr(one, field))


def _check_anew(sheet: Sheet, _policies: Policies) -> None:
    for name in ("reschedules", "write_offs"):
        for place, one in enumerate(getattr(sheet, name)):
            check_line(f"{name}[{place}].reason", one.reason)
            if not one.reason.strip():
                raise Invalid("REASON_MISSING", "Say why, in one line.", field=f"{name}[{place}].reason")
    rescheduled = {one.loan_id for one in sheet.reschedules}
    for place, lost in enumerate(sheet.write_offs):
        if lost.loan_id in rescheduled:
            raise Invalid(*_LOAN_ONCE, field=f"write_offs[{place}].loan_id")


def _check_effective(field: str, effective_on: str, held_on: date, policies: Policies) -> None:
    """A slip in the year would let interest count for years, or never."""
    days = policies.value("meeting_entry_days_max", held_on)
    if not -days <= (parse_date(effective_on, field) - held_on).days <= EFFECTIVE_AHEAD_DAYS_MAX:
        sentence = "Interest counts from a day at most {days} days before the meeting and {ahead} after it."
        raise Invalid("EFFECTIVE_TOO_FAR", sentence, field=field, days=days, ahead=EFFECTIVE_AHEAD_DAYS_MAX)


def check_rate(field: str, loan: LoanGiven | Borrowing | Reschedule, on: date, policies: Policies) -> None:
    """Interest within the state's bounds on that day."""
    rate_max = policies.value("loan_rate_basis_points_max", on)
    if not 0 <= loan.annual_rate_basis_points <= rate_max:
        raise Invalid(
            "RATE_INVALID", "Interest is between 0% and {most}% a year.", field=f"{field}.annual_rate_basis_points", most=f"{rate_max / 100:g}"
        )


def _check_moves(sheet: Sheet, _policies: Policies) -> None:
    for place, move in enumerate(sheet.bank_moves):
        field = f"bank_moves[{place}]"
        if move.kind not in MOVES:
            kinds = ", ".join(MOVES)
            raise Invalid("MOVE_UNKNOWN", "The group's money moves by one of {kinds}.", field=f"{field}.kind", kinds=kinds)
        if (move.kind != "SENT") != bool(move.bank_id):
            raise Invalid("BANK_MISSING", "Name the account; what is only on its way has none yet.", field=f"{field}.bank_id")
        if (move.kind == "TRANSFER") != bool(move.to_bank_id) or (move.to_bank_id and move.to_bank_id == move.bank_id):
            raise Invalid("BANK_MISSING", "A transfer goes to another account of the group, and nothing else does.", field=f"{field}.to_bank_id")
        check_line(f"{field}.reference", move.reference)


def _check_asked(sheet: Sheet, _policies: Policies) -> None:
    for name in ("requests", "plans"):
        for place, asked in enumerate(getattr(sheet, name)):
            check_line(f"{name}[{place}].purpose", asked.purpose)
            check_line(f"{name}[{place}].fund", getattr(asked, "fund", ""))
            if asked.valid_until:
                parse_date(asked.valid_until, f"{name}[{place}].valid_until")
