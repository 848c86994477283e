"""Months as "YYYY-MM", business dates in Indian Standard Time, and years from April to March (decision 12)."""

import re
from datetime import UTC, date, datetime, timedelta, timezone

from services.kernel.errors import Invalid

YEAR_MIN = 1900
_WRITTEN = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")  # Python would take week dates too.
IST = timezone(timedelta(hours=5, minutes=30), "IST")


def business_date(moment: datetime) -> date:
    """The date that a moment falls on in India."""
    return moment.astimezone(IST).date()


def today() -> date:
    """The business date of now. For servicers and jobs, which then hand it to the rules."""
    return business_date(datetime.now(UTC))


def month_of(day: date) -> str:
    return f"{day.year:04}-{day.month:02}"


def parse_date(text: str, field: str) -> date:
    """A date written YYYY-MM-DD."""
    try:
        if _WRITTEN.fullmatch(text) and (day := date.fromisoformat(text)).year >= YEAR_MIN:
            return day
    except ValueError:
        pass
    raise Invalid("DATE_INVALID", "{text} is no date; write it as 2026-01-31.", field=field, text=text[:20])


def parse_month(text: str, field: str, latest: str | None = None) -> str:
    """A month written YYYY-MM, and not after `latest`."""
    try:
        if len(text) != len("2026-01"):
            raise ValueError(text)
        month = month_of(date.fromisoformat(text + "-01"))
    except ValueError:
        raise Invalid("MONTH_INVALID", "{text} is no month; write it as 2026-01.", field=field, text=text[:20]) from None
    if latest is not None and month > latest:
        raise Invalid("MONTH_IN_FUTURE", "The month {month} has not come yet.", field=field, month=month)
    return month


def financial_year(day: date) -> str:
    """Name the year "2026-27" for every day from April 2026 to March 2027."""
    start = day.year if day.month >= 4 else day.year - 1
    return f"{start}-{(start + 1) % 100:02}"


def parse_period(first: str, last: str, latest: str) -> tuple[str, str]:
    """Two months, both included, the first not after the last and neither after `latest`; fields from_month, to_month."""
    period = parse_month(first, "from_month", latest), parse_month(last, "to_month", latest)
    if period[0] > period[1]:
        raise Invalid("MONTH_ORDER", "The period begins after it ends.", field="from_month")
    return period
