"""The arithmetic of a loan, given or borrowed (domain 4.2): a declining balance, repaid in equal monthly instalments."""

from dataclasses import dataclass
from datetime import date
from fractions import Fraction
from functools import lru_cache
from itertools import pairwise

from services.kernel.month import month_of

# A rate of 1 is 10,000 basis points a year.
_BASIS_POINTS = 10_000 * 12
# At most 20 MB, if all were loans of ten years.
_SCHEDULES_MAX = 4096


@dataclass(frozen=True, slots=True)
class Terms:
    """What was agreed: some principal, for at least one month. Instalments and interest are multiples of `rounding_paise`."""

    principal_paise: int
    annual_rate_basis_points: int
    months: int
    given_on: date
    rounding_paise: int = 100


@dataclass(frozen=True, slots=True)
class Instalment:
    """One row of a schedule. `balance_paise` is the principal left after it."""

    number: int
    due_month: str
    interest_paise: int
    principal_paise: int
    balance_paise: int

    @property
    def total_paise(self) -> int:
        return self.interest_paise + self.principal_paise


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a loan stands in the books. Unpaid interest is a memo until it is received, and bears none itself.

    It includes the month of `accrued_through`, which is at first the day on which the loan was given.
    """

    outstanding_paise: int
    interest_unpaid_paise: int
    accrued_through: date


@dataclass(frozen=True, slots=True)
class Dues:
    """Principal that fell due before the month asked for and principal that falls due in it, both unpaid; interest of both."""

    overdue_paise: int
    due_paise: int
    interest_due_paise: int


def exact_instalment(terms: Terms) -> Fraction:
    """In paise, before any rounding."""
    if not terms.annual_rate_basis_points:
        return Fraction(terms.principal_paise, terms.months)
    monthly_rate = Fraction(terms.annual_rate_basis_points, _BASIS_POINTS)
    growth = (1 + monthly_rate) ** terms.months
    return terms.principal_paise * monthly_rate * growth / (growth - 1)


def instalment_paise(terms: Terms) -> int:
    """What each month asks, principal and interest; only the last may differ."""
    first_balance, next_balance, *_ = _balances(terms)
    return first_balance - next_balance + _interest_of_a_month(terms, first_balance)


def schedule(terms: Terms) -> tuple[Instalment, ...]:
    """The k-th instalment falls due in the k-th month after the one in which the loan was given, on whatever day the group meets."""
    given = _month_number(terms.given_on)
    return tuple(
        Instalment(
            number=number,
            due_month=month_of(date((given + number) // 12, (given + number) % 12 + 1, 1)),
            interest_paise=_interest_of_a_month(terms, before),
            principal_paise=before - after,
            balance_paise=after,
        )
        for number, (before, after) in enumerate(pairwise(_balances(terms)), start=1)
    )


def interest_owed(terms: Terms, standing: Standing, on: date) -> int:
    """Paise unpaid by `on`: a month's interest is owed from its first day; the month in which the loan was given bears none."""
    months = max(_month_number(on) - _month_number(standing.accrued_through), 0)
    return standing.interest_unpaid_paise + months * _interest_of_a_month(terms, standing.outstanding_paise)


def after_payment(terms: Terms, standing: Standing, principal_paise: int, interest_paise: int, on: date) -> Standing:
    """Where the loan stands when so much was paid; interest beyond what is owed is income, and no credit for later months."""
    return Standing(
        outstanding_paise=standing.outstanding_paise - principal_paise,
        interest_unpaid_paise=max(interest_owed(terms, standing, on) - interest_paise, 0),
        accrued_through=max(on, standing.accrued_through),
    )


def dues(terms: Terms, standing: Standing, on: date) -> Dues:
    """What is to be paid by the end of the month of `on`. What was paid ahead counts towards the instalments that come next."""
    balances = _balances(terms)
    last = len(balances) - 1
    number = _month_number(on) - _month_number(terms.given_on)
    should_be_before, should_be_after = (balances[min(max(at, 0), last)] for at in (number - 1, number))
    overdue = max(standing.outstanding_paise - should_be_before, 0)
    return Dues(
        overdue_paise=overdue,
        due_paise=max(standing.outstanding_paise - should_be_after, 0) - overdue,
        interest_due_paise=interest_owed(terms, standing, on),
    )


@lru_cache(maxsize=_SCHEDULES_MAX)
def _balances(terms: Terms) -> tuple[int, ...]:
    """The principal at first, and what is left of it after each instalment when all are paid in their months."""
    exact = exact_instalment(terms)
    instalment = _half_up(exact.numerator, exact.denominator, terms.rounding_paise)
    balances = _repaid_by(terms, instalment)
    # Rounding may take so much off a small instalment, or all of it, that more than another whole one is left for the end: then the
    # months do not repay the loan. One unit more always does: the instalment was rounded down by at most half a unit, and each month's
    # interest is rounded up by at most that.
    if balances[-2] + _interest_of_a_month(terms, balances[-2]) > 2 * instalment:
        return _repaid_by(terms, instalment + terms.rounding_paise)
    return balances


def _repaid_by(terms: Terms, instalment: int) -> tuple[int, ...]:
    """The balances when this is paid every month and the last instalment takes what is left; a small loan may need fewer than its months."""
    balances = [terms.principal_paise]
    while balances[-1] and len(balances) < terms.months:
        principal = instalment - _interest_of_a_month(terms, balances[-1])
        balances.append(max(balances[-1] - principal, 0))
    return (*balances, 0) if balances[-1] else tuple(balances)


def _interest_of_a_month(terms: Terms, outstanding_paise: int) -> int:
    return _half_up(outstanding_paise * terms.annual_rate_basis_points, _BASIS_POINTS, terms.rounding_paise)


def _half_up(numerator: int, denominator: int, unit: int) -> int:
    return (2 * numerator + denominator * unit) // (2 * denominator * unit) * unit


def _month_number(day: date) -> int:
    return day.year * 12 + day.month - 1
