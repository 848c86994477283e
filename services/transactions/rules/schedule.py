"""When what of a loan falls due (domain 4.2): every method, frequency and way to count days that members, federations and banks use.

All arithmetic is of whole numbers and fractions; what is asked is rounded once, to the unit agreed. docs/quote.md says each rule in words.
"""

import calendar
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from enum import StrEnum
from fractions import Fraction
from functools import lru_cache
from itertools import pairwise

BASIS_POINTS = 10_000  # A rate of 1.
MONTHS_A_YEAR, DAYS_A_MONTH, DAYS_OF_360, DAYS_A_YEAR, DAYS_A_LEAP_YEAR = 12, 30, 360, 365, 366
# At most 30 MB, if all were loans of ten years.
_SCHEDULES_MAX = 1024


class Method(StrEnum):
    """DECLINING asks the same each time, EQUAL_PRINCIPAL the same principal; FLAT asks interest on what was lent at first."""

    DECLINING = "DECLINING"
    EQUAL_PRINCIPAL = "EQUAL_PRINCIPAL"
    FLAT = "FLAT"


class Frequency(StrEnum):
    """How far instalments lie apart. MEETING: one in each month, at whatever day of it the group meets."""

    MEETING = "MEETING"
    WEEKLY = "WEEKLY"
    FORTNIGHTLY = "FORTNIGHTLY"
    MONTHLY = "MONTHLY"
    QUARTERLY = "QUARTERLY"
    HALF_YEARLY = "HALF_YEARLY"
    YEARLY = "YEARLY"


class DayCount(StrEnum):
    """What part of a year a period is. Under MEETING each month is a twelfth, whatever is said here."""

    THIRTY_360 = "30/360"
    ACTUAL_365 = "ACTUAL/365"
    ACTUAL_ACTUAL = "ACTUAL/ACTUAL"


class MonthEnd(StrEnum):
    """What falls due on the 31st in a shorter month: on its last day, or on the first of the next."""

    CLAMP = "CLAMP"
    ROLL = "ROLL"


class Rounding(StrEnum):
    """Where what lies in the middle goes: up, or to the even one."""

    HALF_UP = "HALF_UP"
    HALF_EVEN = "HALF_EVEN"


class Moratorium(StrEnum):
    """Whether the interest of the periods before the first instalment is PAID in them, or ACCRUED and asked with the instalments."""

    PAID = "PAID"
    ACCRUED = "ACCRUED"


# By the field of Terms.
KINDS: Mapping[str, type[StrEnum]] = {
    "method": Method,
    "frequency": Frequency,
    "day_count": DayCount,
    "month_end": MonthEnd,
    "moratorium_interest": Moratorium,
    "rounding": Rounding,
}
MONTHS = {Frequency.MEETING: 1, Frequency.MONTHLY: 1, Frequency.QUARTERLY: 3, Frequency.HALF_YEARLY: 6, Frequency.YEARLY: 12}
DAYS = {Frequency.WEEKLY: 7, Frequency.FORTNIGHTLY: 14}


@dataclass(frozen=True, slots=True)
class Terms:
    """What was agreed: some principal, repaid in at least one instalment, after `moratorium` periods of the same length without any.

    Amounts asked are multiples of `rounding_paise`, but for the last principal. `first_due_on` is the end of the first period; without it
    that is as long as the others.
    """

    principal_paise: int
    annual_rate_basis_points: int
    instalments: int
    given_on: date
    rounding_paise: int = 100
    method: Method = Method.DECLINING
    frequency: Frequency = Frequency.MEETING
    day_count: DayCount = DayCount.THIRTY_360
    first_due_on: date | None = None
    month_end: MonthEnd = MonthEnd.CLAMP
    moratorium: int = 0
    moratorium_interest: Moratorium = Moratorium.PAID
    rounding: Rounding = Rounding.HALF_UP

    @property
    def periods(self) -> int:
        return self.moratorium + self.instalments


@dataclass(frozen=True, slots=True)
class Instalment:
    """One period of a schedule. `interest_paise` is what is asked at its end, of which `of_moratorium_paise` was accrued in the moratorium;
    `balance_paise` the principal left after it.
    """

    number: int
    due_on: date
    interest_paise: int
    principal_paise: int
    balance_paise: int
    of_moratorium_paise: int = 0

    @property
    def total_paise(self) -> int:
        return self.interest_paise + self.principal_paise


def rounded(exact: Fraction, unit: int, rounding: Rounding) -> int:
    """The nearest multiple of the unit; from the middle up, or to the even one. `exact` is not negative."""
    whole = exact.denominator * unit
    units, rest = divmod(exact.numerator, whole)
    up = 2 * rest > whole or (2 * rest == whole and (rounding is Rounding.HALF_UP or units % 2 == 1))
    return (units + up) * unit


# --- Days.


def due_days(terms: Terms) -> tuple[date, ...]:
    """The end of each period. Under MEETING the last day of the month, until which the group may meet."""
    count = range(terms.periods)
    if terms.frequency is Frequency.MEETING:
        anchor, ahead = (terms.first_due_on, 0) if terms.first_due_on else (terms.given_on, 1)
        return tuple(_last_of_month(anchor, ahead + number) for number in count)
    if days := DAYS.get(terms.frequency):
        first = terms.first_due_on or terms.given_on + timedelta(days=days)
        return tuple(first + timedelta(days=days * number) for number in count)
    step = MONTHS[terms.frequency]
    anchor, ahead = (terms.first_due_on, 0) if terms.first_due_on else (terms.given_on, step)
    return tuple(_month_later(anchor, ahead + step * number, terms.month_end) for number in count)


def usually_due_on(terms: Terms) -> date:
    """When the first period ends where nobody says otherwise."""
    return due_days(replace(terms, instalments=1, moratorium=0, first_due_on=None))[0]


def month_number(day: date) -> int:
    return day.year * MONTHS_A_YEAR + day.month - 1


def _last_of_month(anchor: date, months: int) -> date:
    number = month_number(anchor) + months
    year, month = number // MONTHS_A_YEAR, number % MONTHS_A_YEAR + 1
    return date(year, month, calendar.monthrange(year, month)[1])


def _month_later(anchor: date, months: int, month_end: MonthEnd) -> date:
    """Always counted from the anchor, so that the 31st comes back after a shorter month."""
    last = _last_of_month(anchor, months)
    if anchor.day <= last.day:
        return last.replace(day=anchor.day)
    return last if month_end is MonthEnd.CLAMP else last + timedelta(days=1)


def usual_day_count(frequency: Frequency) -> DayCount:
    """How days are counted where nobody says: months are alike, of weeks and fortnights the days count (domain 4.2)."""
    return DayCount.ACTUAL_365 if frequency in DAYS else DayCount.THIRTY_360


def regular_years(terms: Terms) -> Fraction:
    """What part of a year a period is when the calendar is left aside; the closed formula is of it."""
    if days := DAYS.get(terms.frequency):
        return Fraction(days, DAYS_OF_360 if terms.day_count is DayCount.THIRTY_360 else DAYS_A_YEAR)
    return Fraction(MONTHS[terms.frequency], MONTHS_A_YEAR)


def years(terms: Terms) -> tuple[Fraction, ...]:
    """What part of a year each period is. Under 30/360 a period of the regular length is regular, whatever days it has."""
    regular, days = regular_years(terms), due_days(terms)
    if terms.frequency is Frequency.MEETING:
        return ((month_number(days[0]) - month_number(terms.given_on)) * regular, *[regular] * (terms.periods - 1))
    if terms.day_count is not DayCount.THIRTY_360:
        return tuple(years_between(first, then, terms.day_count) for first, then in pairwise((terms.given_on, *days)))
    first = regular if days[0] == usually_due_on(terms) else years_between(terms.given_on, days[0], terms.day_count)
    return (first, *[regular] * (terms.periods - 1))


def years_between(first: date, then: date, day_count: DayCount) -> Fraction:
    """30/360 by the bond basis; ACTUAL/ACTUAL counts the days of leap years by 366. `then` is not before `first`."""
    if day_count is DayCount.ACTUAL_365:
        return Fraction((then - first).days, DAYS_A_YEAR)
    if day_count is DayCount.ACTUAL_ACTUAL:
        return sum((Fraction(days, DAYS_A_LEAP_YEAR if calendar.isleap(year) else DAYS_A_YEAR) for year, days in _by_year(first, then)), Fraction())
    # From the 30th or 31st to a 31st are whole months; a 31st is a day more than the 30th for whoever began earlier in a month.
    from_day = min(first.day, DAYS_A_MONTH)
    to_day = DAYS_A_MONTH if then.day > DAYS_A_MONTH and from_day == DAYS_A_MONTH else then.day
    return Fraction((month_number(then) - month_number(first)) * DAYS_A_MONTH + to_day - from_day, DAYS_OF_360)


def _by_year(first: date, then: date) -> Iterator[tuple[int, int]]:
    while first < then:
        beyond = min(date(first.year + 1, 1, 1), then)
        yield first.year, (beyond - first).days
        first = beyond


# --- Amounts.


def exact_instalment(terms: Terms) -> Fraction:
    """The closed formula: what each of so many equal instalments at regular distances would ask, in paise before any rounding; of
    EQUAL_PRINCIPAL what the first would, of FLAT what each would.
    """
    rate = Fraction(terms.annual_rate_basis_points, BASIS_POINTS) * regular_years(terms)
    if terms.method is not Method.DECLINING or not rate:
        return Fraction(terms.principal_paise, terms.instalments) + terms.principal_paise * rate
    growth = (1 + rate) ** terms.instalments
    return terms.principal_paise * rate * growth / (growth - 1)


def instalment_paise(terms: Terms) -> int:
    """What each instalment asks, but for the last and for what the moratorium left; of EQUAL_PRINCIPAL what the first does."""
    first = schedule(terms)[terms.moratorium]
    return first.total_paise - first.of_moratorium_paise


@lru_cache(maxsize=_SCHEDULES_MAX)
def schedule(terms: Terms) -> tuple[Instalment, ...]:
    """As `worked_out`, and remembered: the books ask for the same loans again and again."""
    return worked_out(terms)


def worked_out(terms: Terms) -> tuple[Instalment, ...]:
    """All periods, those of the moratorium too. A loan so small that rounding asks too much may be repaid in fewer."""
    of_year = years(terms)
    before, after = of_year[: terms.moratorium], of_year[terms.moratorium :]
    of_moratorium = [interest_of(terms, terms.principal_paise, part) for part in before]
    if terms.method is Method.DECLINING:
        rows = _equal(terms, after)
    elif terms.method is Method.FLAT:
        rows = _flat(terms, after)
    else:
        rows = _equal_principal(terms, after)
    paid = terms.moratorium_interest is Moratorium.PAID
    accrued = 0 if paid else sum(of_moratorium)
    shares = _shares(accrued, _rounded(terms, Fraction(accrued, len(rows))), len(rows))
    asked = [(interest if paid else 0, 0, 0) for interest in of_moratorium]
    asked += [(interest + share, principal, share) for (interest, principal), share in zip(rows, shares, strict=True)]
    balance, found = terms.principal_paise, []
    for number, (due_on, (interest_paise, principal_paise, share)) in enumerate(zip(due_days(terms), asked, strict=False), 1):
        balance -= principal_paise
        found.append(Instalment(number, due_on, interest_paise, principal_paise, balance, share))
    return tuple(found)


def interest_of(terms: Terms, outstanding_paise: int, part: Fraction) -> int:
    """Of this part of a year; of a loan repaid at meetings month by month, each rounded."""
    months = int(part * MONTHS_A_YEAR) if terms.frequency is Frequency.MEETING else 1
    if not months:
        return 0
    exact = Fraction(outstanding_paise * terms.annual_rate_basis_points * part.numerator, BASIS_POINTS * part.denominator * months)
    return months * _rounded(terms, exact)


def _rounded(terms: Terms, exact: Fraction) -> int:
    return rounded(exact, terms.rounding_paise, terms.rounding)


def _shares(paise: int, share: int, count: int) -> list[int]:
    """Equal parts, none more than what is left; the last takes the difference."""
    found: list[int] = []
    for _ in range(count - 1):
        found.append(min(share, paise))
        paise -= found[-1]
    return [*found, paise]


def _equal(terms: Terms, parts: Sequence[Fraction]) -> list[tuple[int, int]]:
    """Interest and principal of each. The last takes the difference; where that is more than half a unit an instalment, it is tried once
    to spread it, and kept if the difference grows smaller.
    """
    unit, count = terms.rounding_paise, terms.instalments
    asked = max(_rounded(terms, exact_instalment(terms)), unit)
    rows, difference = _repaid_by(terms, parts, asked)
    if 2 * abs(difference) > count * unit:
        share = _rounded(terms, Fraction(abs(difference), count))
        other = asked + (share if difference > 0 else -share)
        if other >= unit:
            spread, left = _repaid_by(terms, parts, other)
            if abs(left) < abs(difference):
                return spread
    return rows


def _repaid_by(terms: Terms, parts: Sequence[Fraction], asked: int) -> tuple[list[tuple[int, int]], int]:
    """What is paid when each instalment asks this and the last what is left; and how far all of it is from so many equal ones.

    Interest of a long first period may be more than one instalment: what is not asked then is asked next, and bears none itself.
    """
    balance, owed, rows = terms.principal_paise, 0, list[tuple[int, int]]()
    for number, part in enumerate(parts, 1):
        owed += interest_of(terms, balance, part)
        interest = min(owed, asked)
        principal = min(asked - interest, balance)
        if number == len(parts):
            interest, principal = owed, balance
        rows.append((interest, principal))
        balance, owed = balance - principal, owed - interest
        if not balance:  # Interest was paid before any of it.
            break
    return rows, sum(interest + principal for interest, principal in rows) - asked * len(parts)


def _principal_parts(terms: Terms) -> list[int]:
    """At least a unit each, so that a small loan is repaid in fewer."""
    share = max(_rounded(terms, Fraction(terms.principal_paise, terms.instalments)), terms.rounding_paise)
    return [part for part in _shares(terms.principal_paise, share, terms.instalments) if part]


def _equal_principal(terms: Terms, parts: Sequence[Fraction]) -> list[tuple[int, int]]:
    balance, rows = terms.principal_paise, list[tuple[int, int]]()
    for principal, part in zip(_principal_parts(terms), parts, strict=False):
        rows.append((interest_of(terms, balance, part), principal))
        balance -= principal
    return rows


def _flat(terms: Terms, parts: Sequence[Fraction]) -> list[tuple[int, int]]:
    """Interest on the first principal for all the time agreed, in equal parts."""
    principal = _principal_parts(terms)
    exact = terms.principal_paise * Fraction(terms.annual_rate_basis_points, BASIS_POINTS) * sum(parts, Fraction())
    interest = _shares(_rounded(terms, exact), _rounded(terms, exact / len(principal)), len(principal))
    return list(zip(interest, principal, strict=True))
