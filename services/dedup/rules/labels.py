"""What officers said of findings, counted: of which tier they were, and how many were one woman's after all."""

from collections.abc import Iterable, Mapping
from types import MappingProxyType

from services.dedup.rules.model import Clue
from services.dedup.rules.verdicts import FOR_A_SUPERVISOR
from services.kernel.errors import Invalid
from services.kernel.month import parse_period

# Bands of a finding's weight in hundredths of a bit, by where each begins; below the first is what came by its account alone.
BANDS: Mapping[str, int] = MappingProxyType({"0_TO_4": 0, "4_TO_8": 400, "8_UP": 800})
BAND_BELOW = "BELOW_0"
DUPLICATE = ("DUPLICATE_REJECT", "DUPLICATE_TRANSFER")
NOT_A_DUPLICATE = "NOT_A_DUPLICATE"
REFERRED = "FIELD_VERIFICATION"
MONTHS_MAX = 12


def is_fraud(clues: Iterable[Clue]) -> bool:
    """Two women by e-KYC with one account that is held by one person, or one document: one's is entered for the other (decision 2)."""
    codes = {clue.code for clue in clues}
    return "IDENTITY_OTHER" in codes and not codes.isdisjoint(FOR_A_SUPERVISOR)


def period(first: str, last: str, latest: str) -> tuple[str, str]:
    """Two months, both included, at most MONTHS_MAX of them."""
    first, last = parse_period(first, last, latest)
    (from_year, from_month), (to_year, to_month) = (map(int, month.split("-")) for month in (first, last))
    if 12 * (to_year - from_year) + to_month - from_month >= MONTHS_MAX:
        raise Invalid("RANGE_TOO_LONG", "Ask for at most {most} months at once.", field="from_month", most=MONTHS_MAX)
    return first, last
