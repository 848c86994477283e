"""Books out: cash book, receipts and payments, trial balance and passbook, each worked out backwards from where the books stand.

`now` is the position after the last approved meeting. `meetings` are the approved ones from some day on until then, none left out, by
number; days never go back from one to the next. So nothing before the range asked for is ever read, however old the books are.
What a cut-off brought in is no movement: a range that holds it opens with it, in every book.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import NamedTuple

from services.kernel.errors import Invalid
from services.transactions.rules.heads import CHART, PLACES, Head
from services.transactions.rules.journal import GROWS_BY_DEBIT, HAS_ACCOUNTS, Account, Balances, Held, Id, added, effect, is_opening

RANGE_DAYS_MAX = 366


@dataclass(frozen=True, slots=True)
class Place:
    """Where money lies: cash, cash in transit, or a bank account."""

    head: Head
    bank_id: Id
    opening_paise: int
    in_paise: int
    out_paise: int
    closing_paise: int


@dataclass(frozen=True, slots=True)
class CashEntry:
    """A movement of one place. Within a meeting its balance may fall below nothing: lines stand in the order of the screens."""

    meeting_id: Id
    number: int
    line: int
    held_on: date
    head: Head
    bank_id: Id
    against: Head
    against_of: Id
    in_paise: int
    out_paise: int
    balance_paise: int


@dataclass(frozen=True, slots=True)
class CashBook:
    places: tuple[Place, ...]
    entries: tuple[CashEntry, ...]


@dataclass(frozen=True, slots=True)
class HeadSum:
    head: Head
    name: str
    paise: int


@dataclass(frozen=True, slots=True)
class ReceiptsAndPayments:
    places: tuple[Place, ...]
    receipts: tuple[HeadSum, ...]
    payments: tuple[HeadSum, ...]


@dataclass(frozen=True, slots=True)
class HeadBalance:
    head: Head
    name: str
    debit_paise: int
    credit_paise: int


@dataclass(frozen=True, slots=True)
class TrialBalance:
    heads: tuple[HeadBalance, ...]
    debit_total_paise: int
    credit_total_paise: int
    through_number: int


@dataclass(frozen=True, slots=True)
class PassbookAccount:
    head: Head
    loan_id: Id
    opening_paise: int
    closing_paise: int


@dataclass(frozen=True, slots=True)
class PassbookEntry:
    meeting_id: Id
    number: int
    line: int
    held_on: date
    head: Head
    loan_id: Id
    in_paise: int
    out_paise: int
    balance_paise: int


@dataclass(frozen=True, slots=True)
class Passbook:
    accounts: tuple[PassbookAccount, ...]
    entries: tuple[PassbookEntry, ...]


def check_day(day: date, today: date, field: str) -> None:
    if day > today:
        raise Invalid("RANGE_INVALID", "This is a day that has not come yet; ask until {today}.", field=field, today=today.isoformat())


def check_range(from_on: date, to_on: date, today: date) -> None:
    """A range of days that may be asked for, both included."""
    if from_on > to_on:
        raise Invalid("RANGE_INVALID", "The range begins after it ends.", field="from_on")
    check_day(to_on, today, "to_on")
    if (to_on - from_on).days >= RANGE_DAYS_MAX:
        raise Invalid("RANGE_TOO_LONG", "Ask for at most {most} days at once.", field="from_on", most=RANGE_DAYS_MAX)


def opening(now: Balances, later: Sequence[Held]) -> dict[Account, int]:
    """The position before the last meetings."""
    return added(now, effect(line for held in later for line in held.lines), -1)


def cash_book(now: Balances, meetings: Sequence[Held], from_on: date, to_on: date) -> CashBook:
    """Cash and cash in transit always; of the bank accounts those that held money or moved."""
    run = _run(now, meetings, from_on, to_on, lambda head, _: head in PLACES)
    paid_in, paid_out = Counter[Account](), Counter[Account]()
    for moved in run.movements:
        paid_in[moved.account] += moved.debit_paise
        paid_out[moved.account] += moved.credit_paise
    banks = [account for account in run.in_use if account.head == Head.BANK and account.of]
    places = (
        Place(one.head, one.of, run.before.get(one, 0), paid_in[one], paid_out[one], run.after.get(one, 0))
        for one in (Account(Head.CASH), Account(Head.CASH_IN_TRANSIT), *banks)
    )
    entries = (
        CashEntry(
            meeting_id=moved.held.meeting_id,
            number=moved.held.number,
            line=moved.line,
            held_on=moved.held.held_on,
            head=moved.account.head,
            bank_id=moved.account.of,
            against=moved.against,
            against_of=moved.against_of,
            in_paise=moved.debit_paise,
            out_paise=moved.credit_paise,
            balance_paise=moved.balance_paise,
        )
        for moved in run.movements
    )
    return CashBook(tuple(places), tuple(entries))


def receipts_and_payments(now: Balances, meetings: Sequence[Held], from_on: date, to_on: date) -> ReceiptsAndPayments:
    """The cash book by head; money that only changes its place is neither.

    What is taken back stands on the other side: a saving reversed is a payment. The receipt has been shown for the range that it came
    in, and money left today; to make that receipt smaller now would leave neither range with what was in the box at its end.
    """
    book = cash_book(now, meetings, from_on, to_on)
    receipts, payments = Counter[Head](), Counter[Head]()
    for entry in book.entries:
        if entry.against not in PLACES:
            receipts[entry.against] += entry.in_paise
            payments[entry.against] += entry.out_paise
    return ReceiptsAndPayments(book.places, _by_head(receipts), _by_head(payments))


def trial_balance(now: Balances, later: Sequence[Held], approved_through: int) -> TrialBalance:
    """What each head stands at before the `later` meetings. A balance that has turned stands in the other column."""
    position = opening(now, later)
    heads = []
    for head, about in CHART.items():
        if paise := position.get(Account(head), 0):
            debit = paise if GROWS_BY_DEBIT[head] else -paise
            heads.append(HeadBalance(head, about.title, max(debit, 0), max(-debit, 0)))
    return TrialBalance(
        heads=tuple(heads),
        debit_total_paise=sum(one.debit_paise for one in heads),
        credit_total_paise=sum(one.credit_paise for one in heads),
        through_number=later[0].number - 1 if later else approved_through,
    )


def passbook(now: Balances, meetings: Sequence[Held], member_id: Id, loans: Mapping[Id, Id], from_on: date, to_on: date) -> Passbook:
    """Her savings and share always; her settlement and of her loans those that she owed or that moved. `loans` says whose each loan is.

    Of `now` no more than her accounts need be there. A line is hers by the side that names her or her loan: credited she paid in, debited
    she was paid. Where both sides are hers, as when savings are set against a loan, it is two entries that come to nothing together.
    """
    her_loans = {loan_id for loan_id, borrower_id in loans.items() if borrower_id == member_id}
    hers = {member_id, *her_loans}
    run = _run(now, meetings, from_on, to_on, lambda _, of: of in hers)
    saved = [Account(head, member_id) for head in (Head.COMPULSORY_SAVINGS, Head.VOLUNTARY_SAVINGS, Head.SHARE_CAPITAL)]
    payable = [account for account in run.in_use if account == Account(Head.SETTLEMENT_PAYABLE, member_id)]
    owed = payable + [account for account in run.in_use if account.head in HAS_ACCOUNTS and account.of in her_loans]
    accounts = (
        PassbookAccount(one.head, one.of if one.of in her_loans else "", run.before.get(one, 0), run.after.get(one, 0)) for one in saved + owed
    )
    entries = (
        PassbookEntry(
            meeting_id=moved.held.meeting_id,
            number=moved.held.number,
            line=moved.line,
            held_on=moved.held.held_on,
            head=moved.account.head,
            loan_id=moved.account.of if moved.account.of in her_loans else "",
            in_paise=moved.credit_paise,
            out_paise=moved.debit_paise,
            balance_paise=moved.balance_paise,
        )
        for moved in run.movements
    )
    return Passbook(tuple(accounts), tuple(entries))


class _Movement(NamedTuple):
    """One side of a line, and what stands against it. The balance is the account's after the line; nothing where its head keeps none."""

    held: Held
    line: int
    account: Account
    against: Head
    against_of: Id
    debit_paise: int
    credit_paise: int
    balance_paise: int


class _Run(NamedTuple):
    """What moved of the accounts asked for; only of these are the positions before and after true."""

    before: Balances
    movements: list[_Movement]
    after: Balances

    @property
    def in_use(self) -> list[Account]:
        """So that what is shown does not hang on whether a store keeps accounts in which there is nothing."""
        return sorted({account for account, paise in self.before.items() if paise} | {moved.account for moved in self.movements})


def _run(now: Balances, meetings: Sequence[Held], from_on: date, to_on: date, is_asked: Callable[[Head, Id], bool]) -> _Run:
    # A meeting is mostly of other members: what touches nothing asked for is passed over before anything is added up.
    asked = [
        (held, line)
        for held in meetings
        if held.held_on >= from_on
        for line in held.lines
        if is_asked(line.debit, line.debit_of) or is_asked(line.credit, line.credit_of)
    ]
    openings = effect(line for held, line in asked if held.held_on <= to_on and is_opening(line))
    before = added(added(now, effect(line for _, line in asked), -1), openings)
    balances, movements = dict(before), []
    for held, line in asked:
        if held.held_on <= to_on and not is_opening(line):
            for account, grown in effect([line]).items():
                balances[account] += grown
            for head, of, against, against_of, debit_paise, credit_paise in (
                # Money first goes out of the one, and then into the other.
                (line.credit, line.credit_of, line.debit, line.debit_of, 0, line.amount_paise),
                (line.debit, line.debit_of, line.credit, line.credit_of, line.amount_paise, 0),
            ):
                if is_asked(head, of):
                    account = Account(head, of)
                    balance_paise = balances.get(account, 0)
                    movements.append(_Movement(held, line.line, account, against, against_of, debit_paise, credit_paise, balance_paise))
    return _Run(before, movements, balances)


def _by_head(sums: Counter[Head]) -> tuple[HeadSum, ...]:
    """In the order of the chart, without what came to nothing."""
    return tuple(HeadSum(head, about.title, sums[head]) for head, about in CHART.items() if sums[head])
