"""The settlement of a member who leaves or died (domain 4.7): what she has, what of her loans is set against it, and what is paid."""

from collections.abc import Iterator, Mapping
from datetime import date
from typing import NamedTuple

from services.kernel.errors import Conflict, Invalid
from services.kernel.money import rupees
from services.kernel.policies import Policies
from services.transactions.rules.books import Books, Loan
from services.transactions.rules.heads import CHART, ITEMS, Head, Side
from services.transactions.rules.journal import Account, Balances, Half, Id
from services.transactions.rules.loan import interest_owed
from services.transactions.rules.sheet import NOTE_LENGTH_MAX, SETTLEMENT_PAID, Settlement, Sheet, check_line

SETTLED_FOR = ("LEFT", "EXPELLED", "DIED")
RUPEE_PAISE = 100
# All that a member has with her group, by the fields that say how much.
HERS = {
    "compulsory_paise": Head.COMPULSORY_SAVINGS,
    "voluntary_paise": Head.VOLUNTARY_SAVINGS,
    "share_capital_paise": Head.SHARE_CAPITAL,
}
_ITEM_OF = {
    "compulsory_paise": "COMPULSORY_SETTLED",
    "voluntary_paise": "VOLUNTARY_SETTLED",
    "share_capital_paise": "SHARE_SETTLED",
    "surplus_share_paise": "SURPLUS_SHARED",
    "deficit_share_paise": "KEPT_BACK",
    "other_paise": "KEPT_BACK",
}


def settled_lines(sheet: Sheet, loans: Mapping[Id, Loan]) -> Iterator[tuple[Half, Half, int]]:
    """What is debited and credited, and how much, which may be nothing: into settlement payable, and from there to her loans and to her."""
    for one in sheet.settlements:
        for field, code in _ITEM_OF.items():
            yield *halves(code, one.member_id, one.member_id), getattr(one, field)
    for off in sheet.set_offs:
        borrower_id = loans[off.loan_id].borrower_id
        yield *halves("PRINCIPAL_SET_OFF", borrower_id, off.loan_id), off.principal_paise
        yield *halves("INTEREST_SET_OFF", borrower_id, off.loan_id), off.interest_paise
    for one in sheet.settlements:
        money = (Head.BANK, one.paid.bank_id) if one.paid.bank_id else (Head.CASH, "")
        yield (Head.SETTLEMENT_PAYABLE, one.member_id), money, one.paid_paise


def halves(code: str, debit_of: Id, credit_of: Id) -> tuple[Half, Half]:
    """The two sides of an item of the chart that moves no money, and whose each is."""
    item = ITEMS[code]
    assert item.debit, code
    assert item.credit, code
    return (item.debit, debit_of), (item.credit, credit_of)


def check_settlements(sheet: Sheet, policies: Policies) -> None:
    """Refuse what no state of the books could make right."""
    shared = policies.value("settlement_shares_surplus", sheet.held_on)
    for place, one in enumerate(sheet.settlements):
        field = f"settlements[{place}]"
        if one.reason not in SETTLED_FOR:
            raise Invalid("REASON_UNKNOWN", "The reasons are {reasons}.", field=f"{field}.reason", reasons=", ".join(SETTLED_FOR))
        for name in ("other_reason", "receiver_name", "receiver_relation"):
            check_line(f"{field}.{name}", getattr(one, name))
        check_line(f"{field}.narration", one.narration, NOTE_LENGTH_MAX)
        if one.other_paise and not one.other_reason.strip():
            raise Invalid("REASON_MISSING", "Say why, in one line.", field=f"{field}.other_reason")
        if (one.surplus_share_paise or one.deficit_share_paise) and not shared:
            name = "surplus_share_paise" if one.surplus_share_paise else "deficit_share_paise"
            raise Invalid("SURPLUS_NOT_SHARED", "In this state a member who leaves has no part in the group's surplus.", field=f"{field}.{name}")
        if one.surplus_share_paise and one.deficit_share_paise:
            raise Invalid("SURPLUS_INVALID", "A group has a surplus or a deficit, not both.", field=f"{field}.deficit_share_paise")
        _check_paid(sheet, one, field)


def _check_paid(sheet: Sheet, one: Settlement, field: str) -> None:
    if any(entry.item == SETTLEMENT_PAID and entry.member_id == one.member_id for entry in sheet.entries):
        raise Invalid("PAID_TWICE", "What is paid at once stands in the settlement itself.", field=f"{field}.paid_paise")
    for name in ("receiver_name", "receiver_relation") if one.reason == "DIED" and one.paid_paise else ():
        if not getattr(one, name).strip():
            sentence = "Say who received it, nominee or heir, and what they were to her."
            raise Invalid("RECEIVER_MISSING", sentence, field=f"{field}.{name}")


def check_set_offs(sheet: Sheet, books: Books) -> None:
    """Against what a member has only her own loans are set; that no more is than is outstanding, meeting.py sees."""
    settled = {one.member_id for one in sheet.settlements}
    for place, off in enumerate(sheet.set_offs):
        loan = books.loans.get(off.loan_id)
        if loan is None or loan.institution_id != sheet.institution_id or loan.head != Head.MEMBER_LOANS:
            raise Conflict("LOAN_UNKNOWN", "This institution has no such loan.", field=f"set_offs[{place}].loan_id")
        if loan.borrower_id not in settled:
            sentence = "Only loans of members who are settled in this meeting are set against what they have."
            raise Conflict("SET_OFF_UNSETTLED", sentence, field=f"set_offs[{place}].loan_id")


def check_settled(sheet: Sheet, balances: Balances, after: Mapping[Id, Loan], books: Books) -> None:
    """Who is settled, or goes to another group, keeps no savings here. Who still owes is paid nothing, and takes her loans with her; and no
    more is shared than the group has.
    """
    for name in ("settlements", "transfers_out"):
        for place, one in enumerate(getattr(sheet, name)):
            for key, head in HERS.items() if one.member_id else ():
                if left := balances.get(Account(head, one.member_id), 0):
                    sentence = "She would still have {left} here: settle all that she has, or nothing."
                    raise Conflict("SAVINGS_LEFT", sentence, field=f"{name}[{place}].{key}", left=rupees(left))
    earned = max(_surplus(books.balances), 0)
    for place, one in enumerate(sheet.settlements):
        if one.surplus_share_paise > earned:
            sentence = "The group has earned {earned} beyond its expenses; no more can be shared."
            raise Conflict("SURPLUS_TOO_LARGE", sentence, field=f"settlements[{place}].surplus_share_paise", earned=rupees(earned))
    for field, member_id in _paid(sheet, balances):
        if owed := _owed(member_id, sheet, {**books.loans, **after}):
            sentence = "She still owes {owed}: set it against what she has before anything is paid, and where she goes it goes with her."
            raise Conflict("LOAN_STILL_OWED", sentence, field=field, owed=rupees(owed))


def _paid(sheet: Sheet, balances: Balances) -> Iterator[tuple[str, Id]]:
    """By the fields that say so, who is paid, is still to be paid, or takes what she has elsewhere."""
    for place, one in enumerate(sheet.settlements):
        if one.paid_paise or balances.get(Account(Head.SETTLEMENT_PAYABLE, one.member_id), 0):
            yield f"settlements[{place}].paid_paise", one.member_id
    for place, entry in enumerate(sheet.entries):
        if entry.item == SETTLEMENT_PAID:
            yield f"entries[{place}].amount_paise", entry.member_id
    for place, goes in enumerate(sheet.transfers_out):
        if goes.member_id:
            yield f"transfers_out[{place}].member_id", goes.member_id


def _owed(member_id: Id, sheet: Sheet, loans: Mapping[Id, Loan]) -> int:
    """Of the principal, but for the loans that go with her."""
    goes = {one.loan_id for one in sheet.loans_out}
    hers = (loan for loan_id, loan in loans.items() if loan.borrower_id == member_id and loan_id not in goes)
    return sum(loan.standing.outstanding_paise for loan in hers if loan.institution_id == sheet.institution_id)


def overdrawn(sheet: Sheet, member_id: Id, missing_paise: int) -> Conflict:
    """Of a settlement payable that would fall below nothing."""
    of_her: list[bool] = [one.member_id == member_id for one in sheet.settlements]
    paid = [one.member_id == member_id and one.item == SETTLEMENT_PAID for one in sheet.entries]
    field = f"settlements[{of_her.index(True)}]" if any(of_her) else f"entries[{paid.index(True)}]" if any(paid) else "reversals"
    sentence = "{missing} more is paid, set off or kept back than her settlement comes to."
    return Conflict("SETTLEMENT_NEGATIVE", sentence, field=field, missing=rupees(missing_paise))


class Owes(NamedTuple):
    loan_id: Id
    outstanding_paise: int
    interest_paise: int


class Quote(NamedTuple):
    """What a settlement comes to; `available_paise` below nothing is for her to pay. `payable_paise` was settled before and is in it."""

    compulsory_paise: int
    voluntary_paise: int
    share_capital_paise: int
    surplus_share_paise: int
    deficit_share_paise: int
    payable_paise: int
    loans: tuple[Owes, ...]
    available_paise: int


def quote(member_id: Id, balances: Balances, loans: Mapping[Id, Loan], on: date, *, shared: bool) -> Quote:
    """`loans` are all on which anything is owed. Of a surplus she has an equal part in whole rupees, which never is more than her part.

    Its parts are of those who have savings or shares here: of who left and is not settled yet too, and not of who was settled before.
    """
    sharing = {of for (head, of), paise in balances.items() if of and paise and head in HERS.values()} if shared else set[Id]()
    has = {field: balances.get(Account(head, member_id), 0) for field, head in HERS.items()}
    part = abs(_surplus(balances)) // len(sharing) // RUPEE_PAISE * RUPEE_PAISE if member_id in sharing else 0
    earned = _surplus(balances) > 0
    owed = tuple(
        Owes(loan_id, loan.standing.outstanding_paise, interest_owed(loan.terms, loan.standing, on))
        for loan_id, loan in loans.items()
        if loan.borrower_id == member_id
    )
    payable = balances.get(Account(Head.SETTLEMENT_PAYABLE, member_id), 0)
    share = (part, 0) if earned else (0, part)
    available = sum(has.values()) + share[0] - share[1] + payable - sum(one.outstanding_paise + one.interest_paise for one in owed)
    return Quote(**has, surplus_share_paise=share[0], deficit_share_paise=share[1], payable_paise=payable, loans=owed, available_paise=available)


def _surplus(balances: Balances) -> int:
    """What the group has earned beyond its expenses since it began, less than nothing a deficit."""
    signs = {Side.INCOME: 1, Side.EXPENSE: -1}
    earned = sum(signs.get(about.side, 0) * balances.get(Account(head), 0) for head, about in CHART.items())
    return earned + balances.get(Account(Head.RETAINED_SURPLUS), 0)
