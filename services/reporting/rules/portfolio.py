"""How old what is unpaid of loans is, of a block, a district or the state, as of any day (domain 4.3, decision 30).

Approved meetings tell what they changed of due dates (transactions.DueDelta). Kept are the sums by the day on which a meeting was held and
the due date, so that nothing is counted anew as days pass: a day past due is a subtraction, and a past day is asked as a present one.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Final, NamedTuple

from services.kernel import region as regions
from services.kernel.errors import Invalid
from services.kernel.geography import Geography
from services.kernel.month import parse_date
from services.kernel.region import Level

# Below a block nobody asks, and a row a meeting would be as large as the meeting.
LEVELS: Final = (Level.STATE, Level.DISTRICT, Level.BLOCK)


class Due(NamedTuple):
    """The key of a sum: where, under which head, changed on which day, falling due on which. `region` is a block's path or a wider one."""

    region: str
    head: str
    changed_on: date
    due_on: date


class Amounts(NamedTuple):
    """Principal that falls due, and of that collected, in paise; loans whose oldest unpaid due date it is, and their outstanding, in paise."""

    scheduled: int
    collected: int
    loans: int
    outstanding: int


@dataclass(frozen=True, slots=True)
class HeadRow:
    """One head's portfolio; amounts in paise. Of the last day asked: outstanding by how long unpaid, and what is overdue. Of the range of
    days: opening_overdue + ended + demand = collected_arrears + collected_current + closing_overdue.
    """

    head: str
    loans: int
    outstanding_paise: int
    loans_overdue: int
    outstanding_overdue_paise: int
    loans_over_30: int
    par_30_paise: int
    loans_over_60: int
    par_60_paise: int
    loans_over_90: int
    par_90_paise: int
    overdue_paise: int
    opening_overdue_paise: int
    demand_paise: int
    ended_paise: int
    collected_arrears_paise: int
    collected_current_paise: int
    collected_ahead_paise: int
    closing_overdue_paise: int
    scheduled_paise: int
    on_time_paise: int


@dataclass(frozen=True, slots=True)
class Asked:
    region: str
    from_on: date
    to_on: date


def check(region: str, from_on: str, to_on: str, state: str, geography: Geography, today: date) -> Asked:
    """The question, or a refusal. Days both included; the last is today unless said, the first the first of its month."""
    asked = region or state
    if asked != state:
        geography.must_know(asked, today)
    if regions.level(asked) not in LEVELS:
        raise Invalid("REGION_NARROW", "The portfolio is of a block, a district or the state.", field="region")
    last = parse_date(to_on, "to_on") if to_on else today
    first = parse_date(from_on, "from_on") if from_on else last.replace(day=1)
    if last > today:
        raise Invalid("RANGE_INVALID", "This is a day that has not come yet; ask until {today}.", field="to_on", today=today.isoformat())
    if first > last:
        raise Invalid("RANGE_INVALID", "The range begins after it ends.", field="from_on")
    return Asked(asked, first, last)


def rolled_up(change: Mapping[Due, Amounts]) -> dict[Due, Amounts]:
    """The change of every block touched and of what it lies in; nothing where it comes to nothing."""
    sums: dict[Due, list[int]] = {}
    for key, amounts in change.items():
        for level in LEVELS:
            held = sums.setdefault(key._replace(region=regions.at_level(key.region, level)), [0] * len(amounts))
            for place, amount in enumerate(amounts):
                held[place] += amount
    return {key: Amounts(*amounts) for key, amounts in sums.items() if any(amounts)}


def gathered(came: Iterable[tuple[Due, Amounts]]) -> dict[Due, Amounts]:
    """One for each key."""
    sums: dict[Due, Counter[str]] = {}
    for key, amounts in came:
        sums.setdefault(key, Counter()).update(amounts._asdict())
    return {key: Amounts(**{name: held[name] for name in Amounts._fields}) for key, held in sums.items()}
