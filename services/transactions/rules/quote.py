"""Schedules for others to check us by: a loan as names and values, from whoever asks, read into Terms or refused (docs/quote.md)."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import date, timedelta
from fractions import Fraction
from typing import Any

from services.kernel.errors import Invalid
from services.kernel.money import check_amount
from services.kernel.month import parse_date
from services.transactions.rules.schedule import (
    BASIS_POINTS,
    KINDS,
    Frequency,
    Instalment,
    Rounding,
    Terms,
    due_days,
    exact_instalment,
    month_number,
    rounded,
    usual_day_count,
    usually_due_on,
    worked_out,
)

LOANS_MAX = 100  # Of a request; a file has as many as it has.
RATE_BASIS_POINTS_MAX = BASIS_POINTS
INSTALMENTS_MAX = 600
MORATORIUM_MAX = 120
ROUNDINGS_PAISE = (1, 10, 50, 100, 500, 1000)
FIRST_DUE_LATER_DAYS_MAX = 366
YEAR_FIRST, YEAR_LAST, YEAR_ENDED_BY = 1950, 2100, 2200
EXACT_DIGITS = 6
ROUNDING_USUAL_PAISE = 100
TEXT_SHOWN_MAX = 40
NAMES = tuple(one.name for one in fields(Terms))


@dataclass(frozen=True, slots=True)
class Quote:
    """A schedule, what each instalment asks, and the same by the closed formula (of docs/quote.md), in paise; the interest of all periods."""

    instalment_paise: int
    exact_instalment: Fraction
    interest_paise: int
    instalments: tuple[Instalment, ...]


def quote(terms: Terms) -> Quote:
    """Worked out anew: what others ask for has no place among what the books remember."""
    rows = worked_out(terms)
    first = rows[terms.moratorium]
    return Quote(first.total_paise - first.of_moratorium_paise, exact_instalment(terms), sum(row.interest_paise for row in rows), rows)


def plain(shown: Quote) -> dict[str, Any]:
    """As names and values again, those of the proto."""
    return {
        "instalment_paise": shown.instalment_paise,
        "exact_instalment": decimal(shown.exact_instalment),
        "interest_paise": shown.interest_paise,
        "instalments": [
            {
                "number": row.number,
                "due_on": row.due_on.isoformat(),
                "interest_paise": row.interest_paise,
                "of_moratorium_paise": row.of_moratorium_paise,
                "principal_paise": row.principal_paise,
                "total_paise": row.total_paise,
                "balance_paise": row.balance_paise,
            }
            for row in shown.instalments
        ],
    }


def decimal(exact: Fraction) -> str:
    """With six digits after the point, the last one rounded half up: "111326.527865". `exact` is not negative."""
    digits = rounded(exact * 10**EXACT_DIGITS, 1, Rounding.HALF_UP)
    return f"{digits // 10**EXACT_DIGITS}.{digits % 10**EXACT_DIGITS:0{EXACT_DIGITS}}"


def read(loan: object) -> Terms:
    """The terms, from the names of Terms and their values; what is left out, null or empty is as usual."""
    if not isinstance(loan, Mapping):
        raise Invalid("LOAN_INVALID", "A loan is an object of names and values.")
    for name in loan:
        if name not in NAMES:
            raise Invalid("FIELD_UNKNOWN", "Nothing of a loan is known as {name}.", field=str(name)[:TEXT_SHOWN_MAX], name=str(name)[:TEXT_SHOWN_MAX])
    said: dict[str, Any] = {name: value for name, value in loan.items() if value is not None and value != ""}
    of_kind = {name: _kind(name, said[name]) for name in KINDS if name in said}
    terms = Terms(
        principal_paise=check_amount(said.get("principal_paise", 0), "principal_paise", at_least=1),
        annual_rate_basis_points=_rate(said.get("annual_rate_basis_points")),
        instalments=_instalments(said.get("instalments")),
        given_on=_given_on(said.get("given_on", "")),
        rounding_paise=_rounding_paise(said.get("rounding_paise", ROUNDING_USUAL_PAISE)),
        first_due_on=parse_date(str(said["first_due_on"]), "first_due_on") if "first_due_on" in said else None,
        moratorium=_moratorium(said.get("moratorium", 0)),
        **{"day_count": usual_day_count(of_kind.get("frequency", Frequency.MEETING)), **of_kind},
    )
    _check_days(terms)
    return terms


def _kind(name: str, value: object) -> Any:  # noqa: ANN401 - one of the kinds of Terms, each of its own
    """Either as it is written, "30/360", or by its name, THIRTY_360."""
    kind = KINDS[name]
    for one in kind:
        if value in (one.value, one.name):  # No set: what JSON holds need not be hashable.
            return one
    raise Invalid("TERMS_UNKNOWN", "This is one of {kinds}.", field=name, kinds=", ".join(kind))


def _whole(value: object, least: int, most: int) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and least <= value <= most else None


def _rate(value: object) -> int:
    if (rate := _whole(value, 0, RATE_BASIS_POINTS_MAX)) is None:
        sentence = "Interest is a whole number of hundredths of a percent a year, 0 to {most}."
        raise Invalid("RATE_INVALID", sentence, field="annual_rate_basis_points", most=RATE_BASIS_POINTS_MAX)
    return rate


def _instalments(value: object) -> int:
    if (count := _whole(value, 1, INSTALMENTS_MAX)) is None:
        raise Invalid("INSTALMENTS_INVALID", "Say how many instalments there are, 1 to {most}.", field="instalments", most=INSTALMENTS_MAX)
    return count


def _moratorium(value: object) -> int:
    if (periods := _whole(value, 0, MORATORIUM_MAX)) is None:
        sentence = "A moratorium is of 0 to {most} periods before the first instalment."
        raise Invalid("MORATORIUM_INVALID", sentence, field="moratorium", most=MORATORIUM_MAX)
    return periods


def _rounding_paise(value: object) -> int:
    if (unit := _whole(value, 1, max(ROUNDINGS_PAISE))) is None or unit not in ROUNDINGS_PAISE:
        units = ", ".join(map(str, ROUNDINGS_PAISE))
        raise Invalid("ROUNDING_INVALID", "Amounts are rounded to one of {units} paise.", field="rounding_paise", units=units)
    return unit


def _given_on(value: object) -> date:
    given_on = parse_date(str(value), "given_on")
    if not YEAR_FIRST <= given_on.year <= YEAR_LAST:
        raise Invalid("GIVEN_ON_TOO_FAR", "A loan is given in a year from {first} to {last}.", field="given_on", first=YEAR_FIRST, last=YEAR_LAST)
    return given_on


def _check_days(terms: Terms) -> None:
    """That the first period is neither empty nor absurdly long, and that it all ends some day."""
    if terms.first_due_on:
        latest = usually_due_on(terms) + timedelta(days=FIRST_DUE_LATER_DAYS_MAX)
        if not terms.given_on < terms.first_due_on <= latest:
            sentence = "The first period ends after the day on which the loan is given, and by {latest}."
            raise Invalid("FIRST_DUE_INVALID", sentence, field="first_due_on", latest=latest.isoformat())
        if terms.frequency is Frequency.MEETING and month_number(terms.first_due_on) == month_number(terms.given_on):
            raise Invalid("FIRST_DUE_INVALID", "Of a loan repaid at meetings the first month is a later one.", field="first_due_on")
    if due_days(terms)[-1].year > YEAR_ENDED_BY:
        raise Invalid("ENDS_TOO_LATE", "The last instalment falls due by the end of {year}.", field="instalments", year=YEAR_ENDED_BY)
