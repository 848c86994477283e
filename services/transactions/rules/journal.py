"""Double entry: lines of one debit and one credit each, and the balances that they come to."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import date
from types import MappingProxyType
from typing import NamedTuple

from services.transactions.rules.heads import CHART, Head, SubLedger
from services.transactions.rules.loan import Standing

# Ids are text in lower case here: they are compared and handed on, never computed with.
Id = str
# One side of a line: a head, and whose.
Half = tuple[Head, Id]


class Line(NamedTuple):
    """One debit and one credit of one amount. `line` counts from 1 within the meeting.

    `debit_of` and `credit_of` say whose: the member, loan, borrowing or account of that side's head. Where the head has no
    sub-ledger they may still say of whom it came (a fine, the interest of a loan); balances do not keep that.
    """

    line: int
    debit: Head
    credit: Head
    amount_paise: int
    debit_of: Id = ""
    credit_of: Id = ""


class Account(NamedTuple):
    """A head as a whole (`of` is empty), or one member's, loan's, borrowing's or bank account's part of it."""

    head: Head
    of: Id = ""


# An amount in paise on the side that the head grows on: savings of ₹10 are 1000, and so is cash of ₹10.
Balances = Mapping[Account, int]

GROWS_BY_DEBIT: Mapping[Head, bool] = MappingProxyType({head: about.side.by_debit for head, about in CHART.items()})
WHOLE: Mapping[Head, Account] = MappingProxyType({head: Account(head) for head in CHART})
HAS_ACCOUNTS = frozenset(head for head, about in CHART.items() if about.sub_ledger is not SubLedger.NONE)


def effect(lines: Iterable[Line]) -> dict[Account, int]:
    """What lines change, head by head and account by account; a head with a sub-ledger moves by what its accounts move."""
    moved: dict[Account, int] = {}
    for _, debit, credit, paise, debit_of, credit_of in lines:
        for head, of, grown in (
            (debit, debit_of, paise if GROWS_BY_DEBIT[debit] else -paise),
            (credit, credit_of, -paise if GROWS_BY_DEBIT[credit] else paise),
        ):
            whole = WHOLE[head]
            moved[whole] = moved.get(whole, 0) + grown
            if head in HAS_ACCOUNTS:
                assert of, head
                account = Account(head, of)
                moved[account] = moved.get(account, 0) + grown
    return moved


def is_opening(line: Line) -> bool:
    """Whether a cut-off brought it in: nothing else lets an asset, or what is owed, grow against retained surplus, but for what goes to
    another group.
    """
    if line.credit == Head.RETAINED_SURPLUS:
        return GROWS_BY_DEBIT[line.debit]
    return line.debit == Head.RETAINED_SURPLUS and not GROWS_BY_DEBIT[line.credit] and line.credit != Head.BETWEEN_GROUPS


def added(balances: Balances, change: Balances, sign: int = 1) -> dict[Account, int]:
    """The balances after a change, or with sign -1 before it."""
    return {account: balances.get(account, 0) + sign * change.get(account, 0) for account in {**balances, **change}}


@dataclass(frozen=True, slots=True)
class Held:
    """A meeting with its lines, as the books keep it. `brought` is how loans stood that a cut-off carries on or that come from another group,
    `gave` how those stood that go to one.
    """

    meeting_id: Id
    number: int
    held_on: date
    lines: tuple[Line, ...]
    brought: Mapping[Id, Standing] = field(default_factory=dict)
    gave: Mapping[Id, Standing] = field(default_factory=dict)

    @property
    def named(self) -> set[Id]:
        """The members, loans, borrowings and accounts that its lines are of."""
        return {of for line in self.lines for of in (line.debit_of, line.credit_of) if of}


def still_standing(meetings: Iterable[Held], taken_back: Mapping[Id, Collection[tuple[Id, int]]]) -> tuple[Held, ...]:
    """The meetings without the lines that were taken back, and without those that took them back: as if neither had been entered.

    `taken_back` are the lines that each meeting took back; its own lines for that are its last.
    """
    gone = {key for keys in taken_back.values() for key in keys}
    return tuple(
        replace(held, lines=tuple(line for line in held.lines[: len(held.lines) - own] if (held.meeting_id, line.line) not in gone))
        for held in meetings
        for own in [len(taken_back.get(held.meeting_id, ()))]
    )
