"""Where a loan, given or borrowed, stands in the books, and what is due of it on a day (domain 4.2, 4.3). Of its terms: schedule.py."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from enum import IntEnum
from fractions import Fraction
from itertools import pairwise
from typing import NamedTuple

from services.kernel.errors import Conflict
from services.kernel.money import check_amount, rupees
from services.transactions.rules.schedule import (
    MONTHS_A_YEAR,
    DayCount,
    Frequency,
    Instalment,
    Method,
    Moratorium,
    Terms,
    due_days,
    interest_of,
    month_number,
    schedule,
    years,
    years_between,
)


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a loan stands in the books. Unpaid interest is a memo until it is received, and bears none itself.

    It includes what was owed by `accrued_through`, which is at first the day on which the loan was given.
    """

    outstanding_paise: int
    interest_unpaid_paise: int
    accrued_through: date


@dataclass(frozen=True, slots=True)
class Dues:
    """Principal that fell due before the day asked for and principal that falls due on it, both unpaid; interest of both, and how much of
    that was due before. Of a loan that is repaid at meetings the month of that day is what counts.
    """

    overdue_paise: int
    due_paise: int
    interest_due_paise: int
    interest_overdue_paise: int


def interest_owed(terms: Terms, standing: Standing, on: date) -> int:
    """Paise unpaid by `on`. At meetings a month's interest is owed from its first day, and the month in which the loan was given bears
    none; else interest grows day by day. Flat interest is owed as it falls due.
    """
    return standing.interest_unpaid_paise + _accrued(terms, standing.outstanding_paise, standing.accrued_through, on)


def after_payment(terms: Terms, standing: Standing, principal_paise: int, interest_paise: int, on: date) -> Standing:
    """Where the loan stands when so much was paid; interest beyond what is owed is income, and no credit for later months."""
    return Standing(
        outstanding_paise=standing.outstanding_paise - principal_paise,
        interest_unpaid_paise=max(interest_owed(terms, standing, on) - interest_paise, 0),
        accrued_through=max(on, standing.accrued_through),
    )


def dues(terms: Terms, standing: Standing, on: date) -> Dues:
    """What is to be paid by the end of `on`, or of its month. What was paid ahead counts towards the instalments that come next."""
    rows, then = schedule(terms), _place(terms, on)
    before = [row for row in rows if _place(terms, row.due_on) < then]
    by_now = [row for row in rows if _place(terms, row.due_on) <= then]
    overdue = max(standing.outstanding_paise - _left(terms, before), 0)
    interest = _interest_due(terms, standing, by_now, on)
    return Dues(
        overdue_paise=overdue,
        due_paise=max(standing.outstanding_paise - _left(terms, by_now), 0) - overdue,
        interest_due_paise=interest,
        interest_overdue_paise=min(_interest_due(terms, standing, before, _day_before(terms, on)), interest),
    )


def counted_through(terms: Terms, on: date) -> date:
    """Until when interest has been counted where all of it was that had fallen due by a day: until the last due date, and that day once all
    have passed.
    """
    fell = [day for day in due_days(terms) if _place(terms, day) <= _place(terms, on)]
    if terms.method is Method.FLAT or len(fell) == terms.periods:
        return on
    return min(fell[-1], on) if fell else min(terms.given_on, on)


class Order(IntEnum):
    """In which order a payment goes to what is due (policy repayment_order). What is left over is principal paid ahead."""

    INTEREST_FIRST = 0
    OVERDUE_FIRST = 1
    PRINCIPAL_FIRST = 2


class Split(NamedTuple):
    """Of a payment, in paise."""

    interest_overdue_paise: int = 0
    interest_due_paise: int = 0
    principal_overdue_paise: int = 0
    principal_due_paise: int = 0
    prepaid_paise: int = 0


_ORDERS = {
    Order.INTEREST_FIRST: ("interest_overdue_paise", "interest_due_paise", "principal_overdue_paise", "principal_due_paise"),
    Order.OVERDUE_FIRST: ("interest_overdue_paise", "principal_overdue_paise", "interest_due_paise", "principal_due_paise"),
    Order.PRINCIPAL_FIRST: ("principal_overdue_paise", "principal_due_paise", "interest_overdue_paise", "interest_due_paise"),
}


def split(terms: Terms, standing: Standing, paise: int, on: date, order: Order) -> Split:
    """To what a payment of that day goes where nobody says otherwise."""
    falls = dues(terms, standing, on)
    check_amount(paise, "amount_paise", at_least=1)
    if paise > standing.outstanding_paise + falls.interest_due_paise:
        sentence = "Of this loan {owed} is owed, interest included; no more can be repaid."
        raise Conflict("PAYMENT_TOO_LARGE", sentence, field="amount_paise", owed=rupees(standing.outstanding_paise + falls.interest_due_paise))
    asked = {
        "interest_overdue_paise": falls.interest_overdue_paise,
        "interest_due_paise": falls.interest_due_paise - falls.interest_overdue_paise,
        "principal_overdue_paise": falls.overdue_paise,
        "principal_due_paise": falls.due_paise,
    }
    found = {}
    for name in _ORDERS[order]:
        found[name] = min(paise, asked[name])
        paise -= found[name]
    return Split(**found, prepaid_paise=paise)


def unpaid_since(terms: Terms, standing: Standing) -> date | None:
    """The oldest due date of which something is unpaid as the loan stands, which may be still to come; None where nothing is owed.

    It stays the same until something is paid, so that days past due are counted from it on any day (decision 30).
    """
    if not standing.outstanding_paise:
        return None
    rows, through = schedule(terms), _place(terms, standing.accrued_through)
    days = [next(row.due_on for row in rows if row.balance_paise < standing.outstanding_paise)]
    days += [row.due_on for row in rows if row.interest_paise and _place(terms, row.due_on) > through][:1]
    fell = [row for row in rows if _place(terms, row.due_on) <= through]
    unpaid = _interest_due(terms, standing, fell, standing.accrued_through)
    for row in (row for row in reversed(fell) if row.interest_paise):
        if unpaid <= 0:
            break
        days.append(row.due_on)
        unpaid -= row.interest_paise
    return min(days)


def _place(terms: Terms, day: date) -> int:
    """What is compared: days, or where the loan is repaid at meetings months."""
    return month_number(day) if terms.frequency is Frequency.MEETING else day.toordinal()


def _left(terms: Terms, paid: list[Instalment]) -> int:
    return paid[-1].balance_paise if paid else terms.principal_paise


def _day_before(terms: Terms, on: date) -> date:
    return (on.replace(day=1) if terms.frequency is Frequency.MEETING else on) - timedelta(days=1)


def _interest_due(terms: Terms, standing: Standing, fell: list[Instalment], on: date) -> int:
    """Interest owed as of the last of these due dates, and once all have passed as of that day; without what the moratorium left for
    instalments still to come.
    """
    last = on if len(fell) == len(schedule(terms)) else fell[-1].due_on if fell else standing.accrued_through
    through = max(last, standing.accrued_through)
    owed = interest_owed(terms, standing, through)
    # Flat interest is not owed before it is asked, and of a loan that is repaid nothing is still to come.
    if terms.moratorium_interest is Moratorium.ACCRUED and terms.method is not Method.FLAT and standing.outstanding_paise:
        owed -= sum(row.of_moratorium_paise for row in schedule(terms)[len(fell) :])
    return max(owed, 0)


def _accrued(terms: Terms, outstanding_paise: int, since: date, on: date) -> int:
    if on <= since or not outstanding_paise:
        return 0
    if terms.method is Method.FLAT:
        first, last = _place(terms, since), _place(terms, on)
        return sum(row.interest_paise for row in schedule(terms) if first < _place(terms, row.due_on) <= last)
    if terms.frequency is Frequency.MEETING:
        return interest_of(terms, outstanding_paise, Fraction(month_number(on) - month_number(since), MONTHS_A_YEAR))
    return sum(interest_of(terms, outstanding_paise, part) for part in _parts(terms, since, on))


def _parts(terms: Terms, since: date, on: date) -> Iterator[Fraction]:
    """What part of a year lies between, period by period as each is rounded. Under 30/360 a day is its part of its period."""
    ends = (terms.given_on, *due_days(terms))
    for (begin, end), of_year in zip(pairwise(ends), years(terms), strict=True):
        first, then = max(begin, since), min(end, on)
        if first < then:
            by_days = terms.day_count is not DayCount.THIRTY_360
            yield years_between(first, then, terms.day_count) if by_days else of_year * (then - first).days / (end - begin).days
    if (first := max(ends[-1], since)) < on:
        yield years_between(first, on, terms.day_count)
