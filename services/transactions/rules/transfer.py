"""What goes from one group to another: a member with her savings and loans, or where groups split or merge the group's own.

Each side posts against what is between the two (L11), in a meeting of its own that is approved as any; what comes in says the same as what
went out (docs/decisions/0021).
"""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import date

from services.kernel.errors import Conflict, Invalid
from services.kernel.month import parse_date
from services.kernel.policies import Policies
from services.transactions.rules.books import Books, Loan
from services.transactions.rules.heads import ITEMS, PLACES, Head
from services.transactions.rules.journal import Half, Id, Line
from services.transactions.rules.loan import Standing
from services.transactions.rules.settlement import halves
from services.transactions.rules.sheet import LOAN_ONCE, MEMBER_ONCE, Sheet, Transfer

# Items of the chart: of what is a member's and of what is the group's own by the fields that say how much, of loans by their head.
_HERS = {"compulsory_paise": "COMPULSORY_MOVED", "voluntary_paise": "VOLUNTARY_MOVED", "share_capital_paise": "SHARE_MOVED"}
_OWN = {
    "funds_paise": "FUNDS_MOVED",
    "investments_paise": "INVESTMENTS_MOVED",
    "savings_with_federation_paise": "WITH_FEDERATION_MOVED",
    "surplus_paise": "SURPLUS_MOVED",
    "deficit_paise": "DEFICIT_MOVED",
}
_LOANS = {
    Head.MEMBER_LOANS: "LOAN_MOVED",
    Head.BORROWING_BANK: "BANK_LOAN_MOVED",
    Head.BORROWING_VO: "VO_LOAN_MOVED",
    Head.BORROWING_CLF: "CLF_LOAN_MOVED",
}


def transfer_lines(sheet: Sheet, loans: Mapping[Id, Loan]) -> Iterator[tuple[Half, Half, int]]:
    """What is debited and credited, and how much, which may be nothing."""
    with_whom = {one.transfer_id: one.institution_id for name in _BOTH for one in getattr(sheet, name)}
    for name, goes in _BOTH.items():
        for one in getattr(sheet, name):
            for field, code in {**_HERS, **_OWN}.items():
                yield *_sides(code, one.member_id, one.institution_id, goes=goes), getattr(one, field)
    for out in sheet.loans_out:
        yield *_sides(_LOANS[loans[out.loan_id].head], out.loan_id, with_whom[out.transfer_id], goes=True), out.outstanding_paise
    for come in sheet.loans_in:
        yield *_sides(_LOANS[loans[come.of_loan_id].head], come.loan_id, with_whom[come.transfer_id], goes=False), come.outstanding_paise


_BOTH = {"transfers_out": True, "transfers_in": False}


def _sides(code: str, of: Id, institution_id: Id, *, goes: bool) -> tuple[Half, Half]:
    """As the chart has it for what goes, and the other way for what comes."""
    by_debit = ITEMS[code].debit is Head.BETWEEN_GROUPS
    debit, credit = halves(code, institution_id if by_debit else of, of if by_debit else institution_id)
    return (debit, credit) if goes else (credit, debit)


def is_transfer(line: Line) -> bool:
    """Whether it went to another group or came from one; money that is paid between them is no transfer."""
    heads = {line.debit, line.credit}
    return Head.BETWEEN_GROUPS in heads and not heads & set(PLACES)


def given_away(line: Line) -> tuple[Id, int]:
    """Of which loan or borrowing this line takes away what nobody repaid, and how much: none, 0 where it does not."""
    if is_transfer(line):
        return (line.credit_of if line.debit == Head.BETWEEN_GROUPS else line.debit_of), line.amount_paise
    return "", 0


def check_transfers(sheet: Sheet, _policies: Policies) -> None:
    """Refuse what no state of the books could make right."""
    for name in (*_BOTH, "entries"):
        for place, one in enumerate(getattr(sheet, name)):
            if one.institution_id == sheet.institution_id:
                raise Invalid("TRANSFER_TO_ITSELF", "Name the other group.", field=f"{name}[{place}].institution_id")
    for name in _BOTH:
        for place, one in enumerate(getattr(sheet, name)):
            field = f"{name}[{place}]"
            others = _OWN if one.member_id else _HERS
            if mixed := next((key for key in others if getattr(one, key)), ""):
                sentence = "With a member goes what she has; what is the group's own goes by itself."
                raise Invalid("TRANSFER_MIXED", sentence, field=f"{field}.{mixed}")
            if one.surplus_paise and one.deficit_paise:
                raise Invalid("SURPLUS_INVALID", "A group has a surplus or a deficit, not both.", field=f"{field}.deficit_paise")
        _check_members(sheet, name)
    _check_loans(sheet)


def _check_loans(sheet: Sheet) -> None:
    """Each goes with a transfer of the sheet, as it was agreed, and has a new id where it comes."""
    for name, loans in (("transfers_out", "loans_out"), ("transfers_in", "loans_in")):
        named = {one.transfer_id for one in getattr(sheet, name)}
        for place, one in enumerate(getattr(sheet, loans)):
            if one.transfer_id not in named:
                raise Invalid("TRANSFER_UNKNOWN", "This meeting has no such transfer.", field=f"{loans}[{place}].transfer_id")
    ended = {one.loan_id for one in sheet.reschedules} | {one.loan_id for one in sheet.write_offs}
    for place, out in enumerate(sheet.loans_out):
        if out.loan_id in ended:
            raise Invalid(*LOAN_ONCE, field=f"loans_out[{place}].loan_id")
    for place, come in enumerate(sheet.loans_in):
        parse_date(come.counted_through, f"loans_in[{place}].counted_through")
    new = [*(one.loan_id for one in sheet.loans), *(one.borrowing_id for one in sheet.borrowings)]
    for place, come in enumerate(sheet.loans_in):
        if come.loan_id in new or come.loan_id == come.of_loan_id:
            raise Invalid(*LOAN_ONCE, field=f"loans_in[{place}].loan_id")


def _check_members(sheet: Sheet, name: str) -> None:
    """Nobody goes twice, and nobody who goes is settled as well."""
    seen = {one.member_id for one in sheet.settlements} if name == "transfers_out" else set()
    for place, one in enumerate(getattr(sheet, name)):
        if one.member_id in seen:
            raise Invalid(*MEMBER_ONCE[1:], field=f"{name}[{place}].member_id")
        seen |= {one.member_id} - {""}


def check_out(sheet: Sheet, books: Books) -> None:
    """To a group of the same kind that is in being; and with a member go her loans alone, with the group's own what it borrowed."""
    kind = books.institution.kind if books.institution else ""
    whose = {one.transfer_id: one.member_id for one in sheet.transfers_out}
    for place, one in enumerate(sheet.transfers_out):
        if one.transfer_id in books.given_over:
            raise Conflict("TRANSFER_EXISTS", "This transfer was entered already.", field=f"transfers_out[{place}].transfer_id")
    for name in ("transfers_out", "entries"):
        for place, named in enumerate(getattr(sheet, name)):
            other = books.others.get(named.institution_id)
            if other and other.kind != kind:
                sentence = "Between groups of one kind only: this is a {other}."
                raise Conflict("GROUP_OTHER", sentence, field=f"{name}[{place}].institution_id", other=other.kind)
            if other and name == "transfers_out" and not other.active:
                sentence = "This group was closed: it could not take it in. Name the one that its members went to."
                raise Conflict("GROUP_CLOSED", sentence, field=f"{name}[{place}].institution_id")
    for place, out in enumerate(sheet.loans_out):
        loan = books.loans.get(out.loan_id)
        of_member = loan is not None and loan.head == Head.MEMBER_LOANS
        if loan is None or loan.institution_id != sheet.institution_id or loan.head == Head.INSTITUTION_LOANS:
            raise Conflict("LOAN_UNKNOWN", "This institution has no such loan.", field=f"loans_out[{place}].loan_id")
        if of_member != bool(whose[out.transfer_id]) or (of_member and loan.borrower_id != whose[out.transfer_id]):
            sentence = "With a member go her own loans, and with what is the group's own what it borrowed."
            raise Conflict("LOAN_NOT_HERS", sentence, field=f"loans_out[{place}].transfer_id")


def check_in(sheet: Sheet, books: Books) -> None:
    """It says what went out of the other books, once, and not before it did. Of what has not come yet nothing is said here: it waits."""
    for place, one in enumerate(sheet.transfers_in):
        field, went = f"transfers_in[{place}]", books.given_over.get(one.transfer_id)
        if went is None or not went.approved:
            continue
        if went.to_id != sheet.institution_id:
            raise Conflict("TRANSFER_ELSEWHERE", "This transfer comes to another group.", field=f"{field}.transfer_id")
        if went.taken_in:
            raise Conflict("TRANSFER_TAKEN", "This transfer was taken in already.", field=f"{field}.transfer_id")
        if sheet.held_on < went.held_on:
            sentence = "It left the other group on {held_on}; it cannot come in before."
            raise Conflict("TRANSFER_EARLY", sentence, field=f"{field}.transfer_id", held_on=went.held_on.isoformat())
        said, loans = went.comes(one.transfer_id)
        mine = [come._replace(loan_id="") for come in sheet.loans_in if come.transfer_id == one.transfer_id]
        if one != said or sorted(mine) != sorted(loans):
            sentence = "The other group gave over something else. Pull, and enter it as it was given."
            raise Conflict("TRANSFER_DIFFERS", sentence, field=_differs(one, said, field))


def _differs(one: Transfer, said: Transfer, field: str) -> str:
    return next((f"{field}.{name}" for name in Transfer._fields if getattr(one, name) != getattr(said, name)), "loans_in")


def awaited(sheet: Sheet, books: Books) -> Iterator[tuple[str, str, Id]]:
    """By field and kind, what is still to come: approval at the other group, or a group that has never been active yet."""
    for place, one in enumerate(sheet.transfers_in):
        went = books.given_over.get(one.transfer_id)
        if went is None or not went.approved:
            yield f"transfers_in[{place}].transfer_id", "TRANSFER", one.transfer_id
    for name in ("transfers_out", "entries"):
        for place, named in enumerate(getattr(sheet, name)):
            if named.institution_id and named.institution_id not in books.others:
                yield f"{name}[{place}].institution_id", "INSTITUTION", named.institution_id


def given_over(sheet: Sheet, loans: Mapping[Id, Loan]) -> dict[Id, Loan]:
    """The loans that went, of which nothing is left here."""
    return {out.loan_id: replace(loans[out.loan_id], standing=Standing(0, 0, sheet.held_on)) for out in sheet.loans_out}


def come_in(sheet: Sheet, books: Books) -> dict[Id, Loan]:
    """The loans that come, on the terms that they had there when they went; what is left of one there may be agreed anew since."""
    found, standing = {}, stood(sheet)
    for come in sheet.loans_in:
        was = books.given_over[come.transfer_id].loans[come.of_loan_id]
        found[come.loan_id] = Loan(sheet.institution_id, was.head, was.borrower_id, was.terms, standing[come.loan_id])
    return found


def stood(sheet: Sheet) -> dict[Id, Standing]:
    """How the loans that come stood in the other books: lines do not say what interest was owed."""
    return {
        come.loan_id: Standing(come.outstanding_paise, come.interest_unpaid_paise, date.fromisoformat(come.counted_through))
        for come in sheet.loans_in
    }
