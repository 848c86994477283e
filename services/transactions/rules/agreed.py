"""How a loan is repaid, as a sheet says it, and as terms: what the sheet leaves out is as usual."""

from collections.abc import Mapping
from datetime import date, timedelta
from typing import Any, NamedTuple, Protocol

from services.kernel.errors import Invalid
from services.kernel.month import parse_date
from services.transactions.rules.schedule import DAYS, KINDS, MONTHS, MONTHS_A_YEAR, Frequency, Terms, usual_day_count

WEEKS_A_YEAR = 52
FIRST_DUE_DAYS_MAX = 366


class Agreed(NamedTuple):
    """How a loan is repaid; what is empty is as Terms has it."""

    method: str = ""
    frequency: str = ""
    day_count: str = ""
    first_due_on: str = ""
    month_end: str = ""
    moratorium: int = 0
    moratorium_interest: str = ""
    rounding: str = ""
    instalments: int = 0


AS_USUAL = Agreed()


class Lent(Protocol):
    """What loans, borrowings and new schedules say alike."""

    @property
    def annual_rate_basis_points(self) -> int: ...
    @property
    def months(self) -> int: ...
    @property
    def agreed(self) -> Agreed: ...


def terms_of(loan: Lent, principal_paise: int, begun_on: date) -> Terms:
    """The terms of what is lent or rescheduled on that day; `check_agreed` has seen it."""
    if loan.agreed == AS_USUAL:
        return Terms(principal_paise, loan.annual_rate_basis_points, loan.months, begun_on)
    said: dict[str, Any] = {name: kind(getattr(loan.agreed, name)) for name, kind in KINDS.items() if getattr(loan.agreed, name)}
    frequency = said.get("frequency", Frequency.MEETING)
    said.setdefault("day_count", usual_day_count(frequency))
    instalments = loan.agreed.instalments or loan.months // MONTHS[frequency]
    first_due_on = parse_date(loan.agreed.first_due_on, "first_due_on") if loan.agreed.first_due_on else None
    return Terms(
        principal_paise, loan.annual_rate_basis_points, instalments, begun_on, first_due_on=first_due_on, moratorium=loan.agreed.moratorium, **said
    )


def kept(terms: Terms) -> dict[str, Any] | None:
    """What of the terms is not as usual, under the names of Agreed; nothing where all is. The books keep it beside the loan."""
    amounts = (terms.principal_paise, terms.annual_rate_basis_points, terms.instalments, terms.given_on)
    usual = Terms(*amounts, day_count=usual_day_count(terms.frequency))
    found = {name: str(getattr(terms, name)) for name in KINDS if getattr(terms, name) is not getattr(usual, name)}
    if terms.first_due_on:
        found["first_due_on"] = terms.first_due_on.isoformat()
    return {**found, **({"moratorium": terms.moratorium} if terms.moratorium else {})} or None


def terms_kept(principal_paise: int, rate: int, instalments: int, begun_on: date, rounding_paise: int, agreed: Mapping[str, Any] | None) -> Terms:
    """The terms again, from what the books keep. What a newer version wrote and this one does not know is left out."""
    if not agreed:
        return Terms(principal_paise, rate, instalments, begun_on, rounding_paise)
    said: dict[str, Any] = {name: kind(agreed[name]) for name, kind in KINDS.items() if name in agreed}
    first_due_on = date.fromisoformat(agreed["first_due_on"]) if "first_due_on" in agreed else None
    said.setdefault("day_count", usual_day_count(said.get("frequency", Frequency.MEETING)))
    said |= {"first_due_on": first_due_on, "moratorium": agreed.get("moratorium", 0)}
    return Terms(principal_paise, rate, instalments, begun_on, rounding_paise, **said)


def months_of(terms: Terms) -> int:
    """How long the instalments run; 0 where weeks are counted."""
    return terms.instalments * MONTHS.get(terms.frequency, 0)


def shown(terms: Terms) -> dict[str, Any]:
    """What is not as usual, as a sheet would say it."""
    return (kept(terms) or {}) | ({} if terms.frequency in MONTHS else {"instalments": terms.instalments})


def check_agreed(field: str, loan: Lent, begun_on: date, months_max: int) -> None:
    """That the terms are ones that the schedule knows, and end within the time that the state allows."""
    agreed = loan.agreed
    for name, kind in KINDS.items():
        if (said := getattr(agreed, name)) and said not in list(kind):
            raise Invalid("TERMS_UNKNOWN", "This is one of {kinds}.", field=f"{field}.agreed.{name}", kinds=", ".join(kind))
    frequency = Frequency(agreed.frequency or Frequency.MEETING)
    _check_count(field, loan, frequency, months_max)
    step_days = DAYS.get(frequency) or MONTHS[frequency] * 28
    if not 0 <= agreed.moratorium <= months_max * 28 // step_days:
        raise Invalid("MORATORIUM_INVALID", "A loan rests for at most {most} months.", field=f"{field}.agreed.moratorium", most=months_max)
    if agreed.first_due_on:
        first = parse_date(agreed.first_due_on, f"{field}.agreed.first_due_on")
        if not timedelta() < first - begun_on <= timedelta(days=FIRST_DUE_DAYS_MAX):
            sentence = "The first instalment falls due within {days} days after the loan began."
            raise Invalid("FIRST_DUE_INVALID", sentence, field=f"{field}.agreed.first_due_on", days=FIRST_DUE_DAYS_MAX)
        if frequency is Frequency.MEETING and (first.year, first.month) == (begun_on.year, begun_on.month):
            raise Invalid("FIRST_DUE_INVALID", "Of a loan repaid at meetings the first month is a later one.", field=f"{field}.agreed.first_due_on")


def _check_count(field: str, loan: Lent, frequency: Frequency, months_max: int) -> None:
    """Months, or weeks and fortnights by how many."""
    if days := DAYS.get(frequency):
        most = months_max * WEEKS_A_YEAR * 7 // (MONTHS_A_YEAR * days)
        if loan.months or not 1 <= loan.agreed.instalments <= most:
            sentence = "A loan repaid by the week or fortnight says how many instalments there are, 1 to {most}, and no months."
            raise Invalid("INSTALMENTS_INVALID", sentence, field=f"{field}.agreed.instalments", most=most)
        return
    if not 1 <= loan.months <= months_max:
        raise Invalid("MONTHS_INVALID", "A loan runs for 1 to {most} months.", field=f"{field}.months", most=months_max)
    if loan.months % MONTHS[frequency]:
        sentence = "Instalments of {step} months each do not fill {months} months."
        raise Invalid("MONTHS_INVALID", sentence, field=f"{field}.months", step=MONTHS[frequency], months=loan.months)
    if loan.agreed.instalments:
        sentence = "The months say how many instalments there are; leave the count out."
        raise Invalid("INSTALMENTS_INVALID", sentence, field=f"{field}.agreed.instalments")
