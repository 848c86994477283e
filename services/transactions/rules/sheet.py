"""A meeting's sheet as its device closed it: all screens of domain 3.3, and what must hold of them whatever the books say."""

import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import date
from typing import Any, NamedTuple

from services.kernel.canonical import Content
from services.kernel.errors import Invalid
from services.kernel.money import AMOUNT_PAISE_MAX, check_amount
from services.kernel.month import parse_date
from services.kernel.policies import Policies
from services.transactions.rules.agreed import AS_USUAL, Agreed, Lent, check_agreed
from services.transactions.rules.heads import ENTRY_SCREENS, ITEMS, Head
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
HEAD_OF = {lender: ITEMS[lent].credit or Head.SUSPENSE for lender, (lent, _) in LENDERS.items()}


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
    institution_id: Id = ""


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


class Settlement(NamedTuple):
    """Of a member who leaves. `reason` is one of SETTLED_FOR."""

    member_id: Id
    reason: str
    compulsory_paise: int = 0
    voluntary_paise: int = 0
    share_capital_paise: int = 0
    surplus_share_paise: int = 0
    deficit_share_paise: int = 0
    other_paise: int = 0
    other_reason: str = ""
    paid_paise: int = 0
    paid: Paid = IN_CASH
    receiver_name: str = ""
    receiver_relation: str = ""
    narration: str = ""


class SetOff(NamedTuple):
    loan_id: Id
    principal_paise: int
    interest_paise: int = 0


class Transfer(NamedTuple):
    """To another group or from one; `institution_id` is the other, and without a member it is the group's own that goes."""

    transfer_id: Id
    institution_id: Id
    member_id: Id = ""
    compulsory_paise: int = 0
    voluntary_paise: int = 0
    share_capital_paise: int = 0
    funds_paise: int = 0
    investments_paise: int = 0
    savings_with_federation_paise: int = 0
    surplus_paise: int = 0
    deficit_paise: int = 0


class LoanOut(NamedTuple):
    loan_id: Id
    transfer_id: Id
    outstanding_paise: int


class LoanIn(NamedTuple):
    loan_id: Id
    transfer_id: Id
    of_loan_id: Id
    outstanding_paise: int
    interest_unpaid_paise: int = 0
    counted_through: str = ""


class BankMove(NamedTuple):
    kind: str
    amount_paise: int
    bank_id: Id = ""
    to_bank_id: Id = ""
    reference: str = ""


class Reversal(NamedTuple):
    meeting_id: Id
    line: int


class OpeningMember(NamedTuple):
    member_id: Id
    meetings_attended: int = 0
    compulsory_paise: int = 0
    voluntary_paise: int = 0
    share_capital_paise: int = 0
    fees_paise: int = 0
    closed_loans: int = 0
    closed_loans_paise: int = 0
    settlement_payable_paise: int = 0


class NewSchedule(NamedTuple):
    """For what is outstanding at the cut-off."""

    annual_rate_basis_points: int = 0
    months: int = 0
    agreed: Agreed = AS_USUAL


class ActiveLoan(NamedTuple):
    loan_id: Id
    member_id: Id
    principal_paise: int
    outstanding_paise: int
    given_on: str
    annual_rate_basis_points: int
    months: int
    arrears_paise: int = 0
    interest_due_paise: int = 0
    interest_paid_paise: int = 0
    fund: str = ""
    purpose: str = ""
    agreed: Agreed = AS_USUAL
    anew: NewSchedule | None = None
    paid: Paid = IN_CASH
    borrower_id: Id = ""


class ActiveBorrowing(NamedTuple):
    borrowing_id: Id
    lender: str
    principal_paise: int
    outstanding_paise: int
    given_on: str
    annual_rate_basis_points: int
    months: int
    arrears_paise: int = 0
    interest_due_paise: int = 0
    interest_paid_paise: int = 0
    lender_id: Id = ""
    lender_name: str = ""
    account_number: str = ""
    fund: str = ""
    loan_type: str = ""
    effective_on: str = ""
    agreed: Agreed = AS_USUAL
    anew: NewSchedule | None = None
    paid: Paid = IN_CASH


class ClosedBorrowing(NamedTuple):
    lender: str
    lender_name: str = ""
    fund: str = ""
    closed_loans: int = 0
    total_paise: int = 0


class OpeningInvestment(NamedTuple):
    item: str
    amount_paise: int
    party: str = ""


class OpeningFund(NamedTuple):
    item: str
    received_paise: int
    returned_paise: int = 0
    party: str = ""
    paid: Paid = IN_CASH


class CutOff(NamedTuple):
    """What a group had on paper, besides the cash and the passbooks of its sheet (domain 3.2)."""

    meetings_held: int = 0
    last_meeting_on: str = ""
    members: tuple[OpeningMember, ...] = ()
    active_loans: tuple[ActiveLoan, ...] = ()
    active_borrowings: tuple[ActiveBorrowing, ...] = ()
    closed_borrowings: tuple[ClosedBorrowing, ...] = ()
    investments: tuple[OpeningInvestment, ...] = ()
    funds: tuple[OpeningFund, ...] = ()
    cash_in_transit_paise: int = 0


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
    cut_off: CutOff | None = None
    reschedules: tuple[Reschedule, ...] = ()
    write_offs: tuple[WriteOff, ...] = ()
    settlements: tuple[Settlement, ...] = ()
    set_offs: tuple[SetOff, ...] = ()
    transfers_out: tuple[Transfer, ...] = ()
    loans_out: tuple[LoanOut, ...] = ()
    transfers_in: tuple[Transfer, ...] = ()
    loans_in: tuple[LoanIn, ...] = ()


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
    "settlements": Settlement,
    "set_offs": SetOff,
    "transfers_out": Transfer,
    "loans_out": LoanOut,
    "transfers_in": Transfer,
    "loans_in": LoanIn,
}
# The lists of a cut-off; none has the name of a list of the sheet.
OPENINGS: Mapping[str, Any] = {
    "members": OpeningMember,
    "active_loans": ActiveLoan,
    "active_borrowings": ActiveBorrowing,
    "closed_borrowings": ClosedBorrowing,
    "investments": OpeningInvestment,
    "funds": OpeningFund,
}
# Parts of entries that have fields themselves.
PARTS: Mapping[str, Any] = {"paid": Paid, "agreed": Agreed, "anew": NewSchedule}
# Every member in these was of the institution that day; to whom a settlement is paid, she left.
MEMBER_LISTS = ("attendance", "savings", "withdrawals", "entries", "requests", "plans", "loans")
SETTLEMENT_PAID = "SETTLEMENT_PAID"


def _written(entry: Any) -> dict[str, Content]:  # noqa: ANN401 - any of KINDS, OPENINGS and PARTS
    """An entry under its names, without what is empty."""
    return {
        name: _written(value) if name in PARTS else value for name, value in zip(entry._fields, entry, strict=True) if value and value not in _EMPTY
    }


_EMPTY = (IN_CASH, AS_USUAL)


def _opening(cut_off: CutOff) -> dict[str, Content]:
    said = {name: getattr(cut_off, name) for name in cut_off._fields}
    return {name: [_written(entry) for entry in value] if name in OPENINGS else value for name, value in said.items() if value}


def content(sheet: Sheet) -> dict[str, Content]:
    """What the canonical hash is of (docs/canonical.md): the fields that are not empty, named as in the proto."""
    written: dict[str, Content] = {"held_on": sheet.held_on.isoformat()}
    for name in NAMES:
        value = getattr(sheet, name)
        if name in KINDS:
            if value:
                written[name] = [_written(entry) for entry in value]
        elif name == "cut_off":
            if value is not None:
                written[name] = _opening(value)
        elif value and name != "held_on":
            written[name] = value
    return written


def listed_members(sheet: Sheet) -> set[Id]:
    """Those who were of the institution that day."""
    return {entry.member_id for name in MEMBER_LISTS for entry in getattr(sheet, name) if entry.member_id and not _of_who_left(entry)}


def _of_who_left(entry: Any) -> bool:  # noqa: ANN401 - of any of MEMBER_LISTS
    return isinstance(entry, Entry) and entry.item == SETTLEMENT_PAID


def named_members(sheet: Sheet) -> set[Id]:
    return listed_members(sheet) | {entry.member_id for _, entry in may_have_left(sheet)}


def may_have_left(sheet: Sheet) -> Iterator[tuple[str, Any]]:
    """The field of each member who is or was of the institution, and the entry: of a cut-off, of a settlement, of who goes to another group."""
    for name in ("members", "active_loans") if sheet.cut_off else ():
        for place, entry in enumerate(getattr(sheet.cut_off, name)):
            if entry.member_id:
                yield f"cut_off.{name}[{place}].member_id", entry
    for name in ("settlements", "transfers_out", "entries"):
        for place, entry in enumerate(getattr(sheet, name)):
            if entry.member_id and (name != "entries" or _of_who_left(entry)):
                yield f"{name}[{place}].member_id", entry


def leaving(sheet: Sheet) -> set[Id]:
    """Who is settled, paid of her settlement, or goes to another group."""
    gone = {one.member_id for one in sheet.settlements} | {one.member_id for one in sheet.transfers_out}
    return (gone | {one.member_id for one in sheet.entries if _of_who_left(one)}) - {""}


def named_loans(sheet: Sheet) -> set[Id]:
    """Loans and borrowings, new ones too; of those that come from another group also what they were there."""
    member_loans = {one.loan_id for name in _LOAN_LISTS for one in getattr(sheet, name)} | {one.of_loan_id for one in sheet.loans_in}
    if sheet.cut_off:
        member_loans |= {one.loan_id for one in sheet.cut_off.active_loans} | {one.borrowing_id for one in sheet.cut_off.active_borrowings}
    return member_loans | {one.borrowing_id for one in sheet.borrowings} | {one.borrowing_id for one in sheet.borrowing_repayments}


_LOAN_LISTS = ("loans", "repayments", "reschedules", "write_offs", "set_offs", "loans_out", "loans_in")


def named_borrowers(sheet: Sheet) -> set[Id]:
    """The institutions that are lent to."""
    lent: Sequence[LoanGiven | ActiveLoan] = sheet.cut_off.active_loans if sheet.cut_off else sheet.loans
    return {one.borrower_id for one in lent if one.borrower_id}


def named_banks(sheet: Sheet) -> set[Id]:
    paid = (entry.paid.bank_id for name in PAID_LISTS for entry in getattr(sheet, name))
    moved = (bank_id for move in sheet.bank_moves for bank_id in (move.bank_id, move.to_bank_id))
    return {*paid, *moved, *(one.bank_id for one in sheet.bank_statements)} - {""}


# Where entries say how they were paid.
PAID_LISTS = ("savings", "withdrawals", "repayments", "entries", "loans", "borrowings", "borrowing_repayments", "settlements")


def check_sheet(sheet: Sheet, policies: Policies) -> None:
    """Refuse what no state of the books could make right."""
    check_amount(sheet.counted_cash_paise, "counted_cash_paise")
    check_line("manual_books_differ", sheet.manual_books_differ, NOTE_LENGTH_MAX)
    for name in KINDS:
        entries = getattr(sheet, name)
        if not entries:
            continue
        check_length(name, entries)
        check_amounts(name, name, entries)
        if name in PAID_LISTS:
            _check_paid(name, entries)
        if name in _ONCE:
            check_once(name, *_ONCE[name], entries)
    for check in (_check_entries, _check_terms, _check_lent, _check_anew, _check_moves, _check_asked):
        check(sheet, policies)


def check_length(field: str, entries: Sequence[Any]) -> None:
    """A list has an end."""
    if len(entries) > ENTRIES_MAX:
        sentence = "{count} entries are too many; a meeting has at most {most} of a kind."
        raise Invalid("LIST_TOO_LONG", sentence, field=field, count=len(entries), most=ENTRIES_MAX)


# Where one stands at most once, by what, and with which code and sentence that is said.
MEMBER_ONCE = ("member_id", "MEMBER_TWICE", "A member stands at most once in each list of a meeting.")
LOAN_ONCE = ("LOAN_TWICE", "A loan stands at most once in a meeting.")
TRANSFER_ONCE = ("TRANSFER_TWICE", "A transfer stands at most once in a meeting.")
_ONCE = {
    "attendance": MEMBER_ONCE,
    "savings": MEMBER_ONCE,
    "withdrawals": MEMBER_ONCE,
    "repayments": ("loan_id", *LOAN_ONCE),
    "loans": ("loan_id", *LOAN_ONCE),
    "borrowings": ("borrowing_id", *LOAN_ONCE),
    "borrowing_repayments": ("borrowing_id", *LOAN_ONCE),
    "bank_statements": ("bank_id", "BANK_TWICE", "An account stands at most once among the passbooks read."),
    "reschedules": ("loan_id", *LOAN_ONCE),
    "write_offs": ("loan_id", *LOAN_ONCE),
    "settlements": MEMBER_ONCE,
    "set_offs": ("loan_id", *LOAN_ONCE),
    "transfers_out": ("transfer_id", *TRANSFER_ONCE),
    "loans_out": ("loan_id", *LOAN_ONCE),
    "transfers_in": ("transfer_id", *TRANSFER_ONCE),
    "loans_in": ("loan_id", *LOAN_ONCE),
    "requests": ("request_id", "REQUEST_TWICE", "A request stands at most once in a meeting."),
    "plans": ("plan_id", "PLAN_TWICE", "A line of the plan stands at most once in a meeting."),
}
_AMOUNTS = {name: tuple(field for field in kind._fields if field.endswith("_paise")) for name, kind in {**KINDS, **OPENINGS}.items()}
# What must be there, and more than nothing.
_REQUIRED = {("entries", "amount_paise"), ("loans", "principal_paise"), ("borrowings", "principal_paise"), ("bank_moves", "amount_paise")}
_REQUIRED |= {("requests", "amount_paise"), ("plans", "amount_paise"), ("write_offs", "principal_paise")}
_REQUIRED |= {("active_loans", "principal_paise"), ("active_borrowings", "principal_paise")}
_REQUIRED |= {("investments", "amount_paise"), ("funds", "received_paise")}
_REQUIRED |= {("loans_out", "outstanding_paise"), ("loans_in", "outstanding_paise")}


def check_amounts(field: str, name: str, entries: Sequence[Any]) -> None:
    """Every amount in the entries of a list; `field` is where it stands, `name` one of KINDS or OPENINGS."""
    for key in _AMOUNTS[name]:
        least = 1 if (name, key) in _REQUIRED else 0
        for place, entry in enumerate(entries):
            if not least <= getattr(entry, key) <= AMOUNT_PAISE_MAX:
                check_amount(getattr(entry, key), f"{field}[{place}].{key}", at_least=least)


def check_once(name: str, key: str, code: str, sentence: str, entries: Sequence[Any]) -> None:
    """Each stands once in its list, by its key."""
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
        check_paid(field, paid)
        if (paid.mode in {"", "CASH"}) == bool(paid.bank_id):
            raise Invalid("BANK_MISSING", "What is paid by cheque or transfer names the account, and cash names none.", field=f"{field}.bank_id")


def check_paid(field: str, paid: Paid) -> None:
    """How something was paid, whatever account it was by."""
    if (paid.mode or "CASH") not in MODES:
        raise Invalid("MODE_UNKNOWN", "Money is paid in CASH, by CHEQUE or by TRANSFER.", field=f"{field}.mode")
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
        if item.of_institution != bool(entry.institution_id):
            sentence = (
                "Say which group it is between." if item.of_institution else "This is between no groups; say in the party from whom or to whom."
            )
            raise Invalid("GROUP_MISSING" if item.of_institution else "GROUP_NOT_ASKED", sentence, field=f"{field}.institution_id")
        if item.by_bank_only and not entry.paid.bank_id:
            raise Invalid("BANK_MISSING", "This comes from the bank or goes to it: name the account.", field=f"{field}.paid.bank_id")
        check_line(f"{field}.party", entry.party)


def _check_terms(sheet: Sheet, policies: Policies) -> None:
    for name in ("loans", "borrowings", "reschedules"):
        for place, loan in enumerate(getattr(sheet, name)):
            field, effective_on = f"{name}[{place}]", getattr(loan, "effective_on", "")
            check_rate(field, loan, sheet.held_on, policies)
            if effective_on:
                check_effective(f"{field}.effective_on", effective_on, sheet.held_on, policies)
            begun_on = date.fromisoformat(effective_on) if effective_on else sheet.held_on
            check_agreed(field, loan, begun_on, policies.value("loan_months_max", sheet.held_on))


def _check_lent(sheet: Sheet, _policies: Policies) -> None:
    for place, given in enumerate(sheet.loans):
        check_line(f"loans[{place}].purpose", given.purpose)
        check_line(f"loans[{place}].fund", given.fund)
    given_ids = {given.loan_id for given in sheet.loans}
    for place, one in enumerate(sheet.borrowings):
        if one.borrowing_id in given_ids:
            raise Invalid(*LOAN_ONCE, field=f"borrowings[{place}].borrowing_id")
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
            raise Invalid(*LOAN_ONCE, field=f"write_offs[{place}].loan_id")


def check_effective(field: str, effective_on: str, held_on: date, policies: Policies) -> None:
    """A slip in the year would let interest count for years, or never."""
    days = policies.value("meeting_entry_days_max", held_on)
    if not -days <= (parse_date(effective_on, field) - held_on).days <= EFFECTIVE_AHEAD_DAYS_MAX:
        sentence = "Interest counts from a day at most {days} days before the meeting and {ahead} after it."
        raise Invalid("EFFECTIVE_TOO_FAR", sentence, field=field, days=days, ahead=EFFECTIVE_AHEAD_DAYS_MAX)


def check_rate(field: str, loan: Lent, on: date, policies: Policies) -> None:
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
