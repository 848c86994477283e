"""The cut-off: what a group had on paper becomes its first meeting here, each amount against retained surplus (domain 3.1, 3.2)."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import date

from services.kernel.errors import Conflict, Invalid
from services.kernel.money import check_amount, rupees
from services.kernel.month import parse_date
from services.kernel.policies import Policies
from services.transactions.rules.agreed import check_agreed, terms_of
from services.transactions.rules.books import Books, Loan
from services.transactions.rules.heads import ITEMS, Head
from services.transactions.rules.journal import GROWS_BY_DEBIT, Id, Line
from services.transactions.rules.loan import Standing, counted_through, dues
from services.transactions.rules.schedule import Terms
from services.transactions.rules.sheet import (
    HEAD_OF,
    KINDS,
    LENDERS,
    LOAN_ONCE,
    MEMBER_ONCE,
    OPENINGS,
    ActiveBorrowing,
    ActiveLoan,
    CutOff,
    Sheet,
    check_amounts,
    check_effective,
    check_length,
    check_line,
    check_once,
    check_paid,
    check_rate,
)

# R-MTG-2: more than eleven after the last one in the books, of which there is none. A group with eleven meetings on paper may begin with its
# twelfth either way, since R-MTG-1 lets it start without a cut-off as well.
CUT_OFF_NUMBER_MIN = 12
NUMBER_MAX = 9999  # Of meetings, loans: a group that meets every week comes to it in two lifetimes.
ALLOWED = ("attendance", "bank_statements")
INVESTMENTS = {code: item.debit for code, item in ITEMS.items() if item.debit in {Head.INVESTMENTS, Head.SAVINGS_WITH_FEDERATION}}
FUNDS = frozenset(code for code, item in ITEMS.items() if item.credit is Head.FUNDS)


def check_cut_off(sheet: Sheet, cut_off: CutOff, policies: Policies) -> None:
    """Refuse what no state of the books could make right. Without a meeting held there is nothing to cut off."""
    if not CUT_OFF_NUMBER_MIN <= sheet.number <= NUMBER_MAX:
        sentence = "A cut-off is number {least} to {most}; a group with fewer meetings behind it begins without one."
        raise Invalid("CUT_OFF_NUMBER", sentence, field="number", least=CUT_OFF_NUMBER_MIN, most=NUMBER_MAX)
    if sheet.previous_meeting_id:
        raise Conflict("CUT_OFF_NOT_FIRST", _NOT_FIRST, field="previous_meeting_id")
    for name in KINDS:
        if name not in ALLOWED and getattr(sheet, name):
            raise Invalid("CUT_OFF_ONLY", "A cut-off says what there was; what came in and went out is entered at the meetings after it.", field=name)
    _check_count("meetings_held", cut_off.meetings_held, 1, NUMBER_MAX)
    if cut_off.last_meeting_on and parse_date(cut_off.last_meeting_on, "cut_off.last_meeting_on") > sheet.held_on:
        raise Invalid("LAST_MEETING_INVALID", "The last meeting on paper was not after the cut-off.", field="cut_off.last_meeting_on")
    check_amount(cut_off.cash_in_transit_paise, "cut_off.cash_in_transit_paise")
    for name in OPENINGS:
        entries = getattr(cut_off, name)
        check_length(f"cut_off.{name}", entries)
        check_amounts(f"cut_off.{name}", name, entries)
        if name in _ONCE:
            check_once(f"cut_off.{name}", *_ONCE[name], entries)
    _check_members(cut_off)
    _check_had(cut_off)
    for field, loan in _carried(cut_off):
        _check_carried(field, loan, sheet.held_on, policies)
    _check_ids(cut_off)


_NOT_FIRST = "A cut-off is the first meeting in the books of an institution, and stands on no other."
_ONCE = {"members": MEMBER_ONCE, "active_loans": ("loan_id", *LOAN_ONCE), "active_borrowings": ("borrowing_id", *LOAN_ONCE)}


def _check_count(field: str, count: int, least: int, most: int) -> None:
    if not least <= count <= most:
        raise Invalid("COUNT_INVALID", "This is a number from {least} to {most}.", field=f"cut_off.{field}", least=least, most=most)


def _check_members(cut_off: CutOff) -> None:
    for place, one in enumerate(cut_off.members):
        _check_count(f"members[{place}].meetings_attended", one.meetings_attended, 0, cut_off.meetings_held)
        _check_count(f"members[{place}].closed_loans", one.closed_loans, 0, NUMBER_MAX)
        if bool(one.closed_loans) != bool(one.closed_loans_paise):
            raise Invalid("CLOSED_LOANS_INVALID", _CLOSED, field=f"cut_off.members[{place}].closed_loans_paise")


_CLOSED = "Say how many loans were repaid, and what they came to."


def _check_had(cut_off: CutOff) -> None:
    """What was repaid to lenders, what is invested, what was received of funds."""
    for place, one in enumerate(cut_off.closed_borrowings):
        field = f"closed_borrowings[{place}]"
        _check_lender(f"cut_off.{field}", one.lender)
        _check_count(f"{field}.closed_loans", one.closed_loans, 0, NUMBER_MAX)
        if not (one.closed_loans and one.total_paise):
            raise Invalid("CLOSED_LOANS_INVALID", _CLOSED, field=f"cut_off.{field}.total_paise")
        check_line(f"cut_off.{field}.lender_name", one.lender_name)
        check_line(f"cut_off.{field}.fund", one.fund)
    for place, invested in enumerate(cut_off.investments):
        _check_item(f"cut_off.investments[{place}]", invested.item, INVESTMENTS)
        check_line(f"cut_off.investments[{place}].party", invested.party)
    for place, fund in enumerate(cut_off.funds):
        field = f"cut_off.funds[{place}]"
        _check_item(field, fund.item, FUNDS)
        check_line(f"{field}.party", fund.party)
        check_paid(f"{field}.paid", fund.paid)
        if fund.returned_paise > fund.received_paise:
            raise Invalid("RETURNED_TOO_LARGE", "No more is returned of a fund than was received.", field=f"{field}.returned_paise")


def _check_item(field: str, item: str, items: Mapping[str, object] | frozenset[str]) -> None:
    if item not in items:
        raise Invalid("OPENING_UNKNOWN", "This is one of {items}.", field=f"{field}.item", items=", ".join(sorted(items)))


def _check_lender(field: str, lender: str) -> None:
    if lender not in LENDERS:
        raise Invalid("LENDER_UNKNOWN", "A group borrows from a BANK, a VO or a CLF.", field=f"{field}.lender")


def _carried(cut_off: CutOff) -> Iterator[tuple[str, ActiveLoan | ActiveBorrowing]]:
    """What is still owed to the group and by it, each with its field."""
    for place, lent in enumerate(cut_off.active_loans):
        yield f"cut_off.active_loans[{place}]", lent
    for place, borrowed in enumerate(cut_off.active_borrowings):
        yield f"cut_off.active_borrowings[{place}]", borrowed


def _check_carried(field: str, loan: ActiveLoan | ActiveBorrowing, held_on: date, policies: Policies) -> None:
    """The terms by the policies of the day on which it was given, a new schedule by those of the cut-off."""
    given_on = parse_date(loan.given_on, f"{field}.given_on")
    if given_on > held_on:
        raise Invalid("GIVEN_AFTER", "What was given after the cut-off is entered at a meeting after it.", field=f"{field}.given_on")
    check_rate(field, loan, given_on, policies)
    if isinstance(loan, ActiveBorrowing):
        _check_lender(field, loan.lender)
        for name in ("lender_name", "account_number", "fund", "loan_type"):
            check_line(f"{field}.{name}", getattr(loan, name))
        if loan.effective_on:
            check_effective(f"{field}.effective_on", loan.effective_on, given_on, policies)
    else:
        check_line(f"{field}.purpose", loan.purpose)
        check_line(f"{field}.fund", loan.fund)
    check_agreed(field, loan, _begun_on(loan), policies.value("loan_months_max", given_on))
    check_paid(f"{field}.paid", loan.paid)
    _check_owed(field, loan)
    if loan.anew:
        check_rate(f"{field}.anew", loan.anew, held_on, policies)
        check_agreed(f"{field}.anew", loan.anew, held_on, policies.value("loan_months_max", held_on))


def _check_owed(field: str, loan: ActiveLoan | ActiveBorrowing) -> None:
    if loan.outstanding_paise > loan.principal_paise:
        sentence = "More is outstanding than the {principal} that was lent."
        raise Invalid("OUTSTANDING_TOO_LARGE", sentence, field=f"{field}.outstanding_paise", principal=rupees(loan.principal_paise))
    if loan.arrears_paise > loan.outstanding_paise:
        sentence = "The arrears are part of the {outstanding} that is outstanding."
        raise Invalid("ARREARS_TOO_LARGE", sentence, field=f"{field}.arrears_paise", outstanding=rupees(loan.outstanding_paise))
    if not loan.outstanding_paise and (loan.anew or not loan.interest_due_paise):
        sentence = "Of this loan nothing is outstanding; count it among those that were repaid."
        raise Invalid("LOAN_REPAID", sentence, field=f"{field}.outstanding_paise")


def _check_ids(cut_off: CutOff) -> None:
    lent = {one.loan_id for one in cut_off.active_loans}
    for place, one in enumerate(cut_off.active_borrowings):
        if one.borrowing_id in lent:
            raise Invalid(*LOAN_ONCE, field=f"cut_off.active_borrowings[{place}].borrowing_id")


def check_first(cut_off: CutOff, books: Books) -> None:
    """It begins the books; of its loans none is there yet, and none was given before the institution was formed."""
    if books.chain.last_number:
        raise Conflict("CUT_OFF_NOT_FIRST", _NOT_FIRST, field="cut_off")
    formed_on = books.institution.formed_on if books.institution else None
    for field, loan in _carried(cut_off):
        if _id(loan) in books.loans:
            key = "loan_id" if isinstance(loan, ActiveLoan) else "borrowing_id"
            raise Conflict("LOAN_EXISTS", "A loan of this id was given already.", field=f"{field}.{key}")
        if formed_on and date.fromisoformat(loan.given_on) < formed_on:
            sentence = "The institution was formed on {formed_on}; nothing was lent or borrowed before."
            raise Conflict("GIVEN_TOO_EARLY", sentence, field=f"{field}.given_on", formed_on=formed_on.isoformat())


def _id(loan: ActiveLoan | ActiveBorrowing) -> Id:
    return loan.loan_id if isinstance(loan, ActiveLoan) else loan.borrowing_id


def _begun_on(loan: ActiveLoan | ActiveBorrowing) -> date:
    """From when interest counts."""
    return date.fromisoformat((isinstance(loan, ActiveBorrowing) and loan.effective_on) or loan.given_on)


def opening_lines(sheet: Sheet, cut_off: CutOff) -> tuple[Line, ...]:
    """One for every amount that there was, against retained surplus: so that balances, whatever there was. What is nothing gives no line."""
    return tuple(_opened(number, *one) for number, one in enumerate((one for one in _there_was(sheet, cut_off) if one[2]), 1))


def _opened(number: int, head: Head, of: Id, paise: int) -> Line:
    """An account that was overdrawn falls by it, and is then refused as any."""
    if GROWS_BY_DEBIT[head] == (paise > 0):
        return Line(number, head, Head.RETAINED_SURPLUS, abs(paise), of, "")
    return Line(number, Head.RETAINED_SURPLUS, head, abs(paise), "", of)


def _there_was(sheet: Sheet, cut_off: CutOff) -> Iterator[tuple[Head, Id, int]]:
    """Head, whose, and how much on the side that the head grows on."""
    yield Head.CASH, "", sheet.counted_cash_paise
    yield Head.CASH_IN_TRANSIT, "", cut_off.cash_in_transit_paise
    for read in sheet.bank_statements:
        yield Head.BANK, read.bank_id, read.book_paise
    for one in cut_off.members:
        yield Head.COMPULSORY_SAVINGS, one.member_id, one.compulsory_paise
        yield Head.VOLUNTARY_SAVINGS, one.member_id, one.voluntary_paise
        yield Head.SHARE_CAPITAL, one.member_id, one.share_capital_paise
        yield Head.SETTLEMENT_PAYABLE, one.member_id, one.settlement_payable_paise
    for lent in cut_off.active_loans:
        yield _head(lent), lent.loan_id, lent.outstanding_paise
    for borrowed in cut_off.active_borrowings:
        yield _head(borrowed), borrowed.borrowing_id, borrowed.outstanding_paise
    for invested in cut_off.investments:
        yield INVESTMENTS[invested.item] or Head.INVESTMENTS, "", invested.amount_paise
    for fund in cut_off.funds:
        yield Head.FUNDS, "", fund.received_paise - fund.returned_paise


def _head(loan: ActiveLoan | ActiveBorrowing) -> Head:
    if isinstance(loan, ActiveBorrowing):
        return HEAD_OF[loan.lender]
    return Head.MEMBER_LOANS if loan.member_id else Head.INSTITUTION_LOANS


def opening_loans(sheet: Sheet, cut_off: CutOff) -> dict[Id, Loan]:
    """The loans and borrowings as they are carried on: on their own terms, or anew on what is outstanding, with their own as those before."""
    found = {}
    for _, loan in _carried(cut_off):
        borrower_id = loan.member_id or loan.borrower_id if isinstance(loan, ActiveLoan) else ""
        carried = Loan(sheet.institution_id, _head(loan), borrower_id, _terms(loan), _standing(loan, sheet.held_on))
        if loan.anew:
            anew = terms_of(loan.anew, loan.outstanding_paise, sheet.held_on)
            carried = replace(carried, terms=anew, earlier=((sheet.meeting_id, carried.terms),))
        found[_id(loan)] = carried
    return found


def _terms(loan: ActiveLoan | ActiveBorrowing) -> Terms:
    return terms_of(loan, loan.principal_paise, _begun_on(loan))


def _standing(loan: ActiveLoan | ActiveBorrowing, held_on: date) -> Standing:
    """Paper says what interest fell due. Where it grows from day to day, that since the last due date is still to be counted."""
    return Standing(loan.outstanding_paise, loan.interest_due_paise, max(counted_through(_terms(loan), held_on), _begun_on(loan)))


def brought(sheet: Sheet) -> dict[Id, Standing]:
    """How what a cut-off carries on stood: its lines do not say what interest was owed."""
    return {_id(loan): _standing(loan, sheet.held_on) for _, loan in _carried(sheet.cut_off)} if sheet.cut_off else {}


def arrears_differ(sheet: Sheet) -> bool:
    """Whether of any loan other arrears are told than its schedule comes to."""
    carried = _carried(sheet.cut_off) if sheet.cut_off else ()
    return any(dues(_terms(loan), _standing(loan, sheet.held_on), sheet.held_on).overdue_paise != loan.arrears_paise for _, loan in carried)
