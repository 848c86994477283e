"""What officers should look at (domain 11): the flags of meetings, and what was refused that is no slip of the pen, each in a sentence."""

import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from types import MappingProxyType
from typing import NamedTuple
from uuid import UUID

from services.kernel.errors import Invalid
from services.kernel.money import rupees
from services.transactions.rules.journal import Id
from services.transactions.rules.meeting import UNUSUAL_TIMES, lent_to, lent_while_absent
from services.transactions.rules.sheet import LoanGiven, Sheet

# The flags of rules/meeting, in the order in which they are raised.
FLAGS: Mapping[str, str] = MappingProxyType(
    {
        "CUT_OFF": "The group's books begin with what stood on paper.",
        "ARREARS_DIFFER": "The arrears that the group says are not those that a loan's schedule comes to.",
        "MANUAL_BOOKS_DIFFER": "The manual books say otherwise; the meeting says in what.",
        "REVERSAL": "Lines of approved meetings are taken back: {count}.",
        "RESCHEDULED": "A loan or a borrowing was rescheduled.",
        "WRITTEN_OFF": "A loan of which {amount} was outstanding was written off.",
        "SETTLEMENT": "A member was settled, and paid {amount}.",
        "TRANSFER": "A member or what the group has went to another group, or came from one.",
        "REVISED": "It was handed back before; this is its revision {count}.",
        "NOBODY_PRESENT": "Nobody was present.",
        "ATTENDANCE_INCOMPLETE": "Active members are missing in the attendance: {count}.",
        "LOAN_WHILE_ABSENT": "A loan of {amount} was given to a member who was not present.",
        "LOAN_CONTESTED": "A loan of {amount} was given to a member of whom another record proved to be the same woman; a supervisor must allow it.",
        "SAVING_UNUSUAL": "A member saved {amount}, a hundred times the compulsory saving or more.",
        "AMOUNT_UNUSUAL": "A member paid or was paid {amount}, a hundred times the compulsory saving or more.",
    }
)
# The refusals that say that money or a member was entered of whom or which the books know better.
REFUSED: Mapping[str, str] = MappingProxyType(
    {
        "SAVINGS_NEGATIVE": "Refused: more was paid back to a member than she had.",
        "SETTLEMENT_NEGATIVE": "Refused: more was paid, set off or kept back than a settlement came to.",
        "REPAYMENT_TOO_LARGE": "Refused: more of a loan was repaid than was outstanding.",
        "CASH_NEGATIVE": "Refused: more was paid out or deposited than there was cash.",
        "BANK_NEGATIVE": "Refused: more was taken from an account than it held.",
        "BALANCE_NEGATIVE": "Refused: a head of account fell below nothing.",
        "BANK_ENDED": "Refused: an account was used after its last day.",
        "MEMBER_LEFT": "Refused: a member was entered who had left.",
        "MEMBER_ELSEWHERE": "Refused: a member was entered who was not of this institution.",
    }
)
KINDS = (*FLAGS, *REFUSED)
_ENTRY = re.compile(r"([a-z_]+)\[([0-9]+)\]")


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is asked for: days both included, by the day of the meeting; `region` and `institution_id` are empty where all is hers."""

    from_on: date
    to_on: date
    region: str = ""
    institution_id: UUID | None = None
    flags: Collection[str] = tuple(FLAGS)
    refused: Collection[str] = tuple(REFUSED)


class Mark(NamedTuple):
    """Where an anomaly stands in the list. `attempt` is the code and revision of what was refused; empty of a meeting in the books."""

    held_on: date
    meeting_id: UUID
    attempt: str = ""


class Reason(NamedTuple):
    """Why a meeting is in the list; `field` is the entry of its sheet, and the rest whom and what that is about."""

    kind: str
    sentence: str
    field: str = ""
    member_id: Id = ""
    loan_id: Id = ""
    amount_paise: int = 0


def check_kinds(kinds: Sequence[str]) -> tuple[Collection[str], Collection[str]]:
    """Of these the flags and the refusals; of none all of both."""
    for place, kind in enumerate(kinds):
        if kind not in KINDS:
            raise Invalid("ANOMALY_UNKNOWN", "The kinds are {kinds}.", field=f"kinds[{place}]", kinds=", ".join(KINDS))
    wanted = kinds or KINDS
    return [kind for kind in wanted if kind in FLAGS], [kind for kind in wanted if kind in REFUSED]


def reasons(flags: Collection[str], sheet: Sheet, compulsory_paise: int, unlisted: int, contested: Collection[Id] = ()) -> list[Reason]:
    """One or more a flag. Its compulsory saving may be another than when the meeting was taken in: then the largest amount is named.
    `contested` is who of those named is or was.
    """
    found = []
    for flag in flags:
        if flag in _NAMED or flag == "LOAN_CONTESTED":
            named = list(_NAMED[flag](sheet)) if flag in _NAMED else _given(lent_to(sheet, contested))
            if flag in _UNUSUAL:
                named = _largest(named, compulsory_paise)
            found += [one._replace(kind=flag, sentence=FLAGS[flag].format(amount=rupees(one.amount_paise))) for one in named]
        else:
            count = {"REVERSAL": len(sheet.reversals), "REVISED": sheet.revision, "ATTENDANCE_INCOMPLETE": unlisted}.get(flag, 0)
            found.append(Reason(flag, FLAGS[flag].format(count=count)))
    return found


def _largest(amounts: Collection[Reason], compulsory_paise: int) -> list[Reason]:
    """Those that are unusual, or else the largest of all."""
    most = max((one.amount_paise for one in amounts), default=0)
    least = min(compulsory_paise * UNUSUAL_TIMES or most, most)
    return [one for one in amounts if one.amount_paise >= least]


def _absent(sheet: Sheet) -> Iterator[Reason]:
    yield from _given(lent_while_absent(sheet))


def _given(loans: Iterable[tuple[int, LoanGiven]]) -> list[Reason]:
    return [Reason("", "", f"loans[{place}]", given.member_id, given.loan_id, given.principal_paise) for place, given in loans]


def _savings(sheet: Sheet) -> Iterator[Reason]:
    for place, one in enumerate(sheet.savings):
        yield Reason("", "", f"savings[{place}]", one.member_id, "", max(one.compulsory_paise, one.voluntary_paise))


def _of_members(sheet: Sheet) -> Iterator[Reason]:
    for place, entry in enumerate(sheet.entries):
        if entry.member_id:
            yield Reason("", "", f"entries[{place}]", entry.member_id, "", entry.amount_paise)
    for place, repaid in enumerate(sheet.repayments):
        yield Reason("", "", f"repayments[{place}]", "", repaid.loan_id, repaid.interest_paise)


def _rescheduled(sheet: Sheet) -> Iterator[Reason]:
    for place, one in enumerate(sheet.reschedules):
        yield Reason("", "", f"reschedules[{place}]", "", one.loan_id)


def _written_off(sheet: Sheet) -> Iterator[Reason]:
    for place, lost in enumerate(sheet.write_offs):
        yield Reason("", "", f"write_offs[{place}]", "", lost.loan_id, lost.principal_paise)


def _settled(sheet: Sheet) -> Iterator[Reason]:
    for place, one in enumerate(sheet.settlements):
        yield Reason("", "", f"settlements[{place}]", one.member_id, "", one.paid_paise)


def _transferred(sheet: Sheet) -> Iterator[Reason]:
    for name in ("transfers_out", "transfers_in"):
        for place, one in enumerate(getattr(sheet, name)):
            yield Reason("", "", f"{name}[{place}]", one.member_id)


_UNUSUAL = {"SAVING_UNUSUAL": _savings, "AMOUNT_UNUSUAL": _of_members}
_NAMED = {
    "RESCHEDULED": _rescheduled,
    "WRITTEN_OFF": _written_off,
    "SETTLEMENT": _settled,
    "TRANSFER": _transferred,
    "LOAN_WHILE_ABSENT": _absent,
    **_UNUSUAL,
}


def refused_member(sheet: Sheet, field: str) -> Id:
    """Whom the entry at fault is about; empty where the field names none, or none of hers."""
    entry = _ENTRY.match(field)
    if entry is None:
        return ""
    return str(getattr(getattr(sheet, entry[1])[int(entry[2])], "member_id", ""))
