"""From how much evidence on a pair is shown, must be decided, and is a supervisor's to decide: what a state has set."""

from dataclasses import dataclass
from datetime import date
from itertools import accumulate

from services.kernel.policies import Policies

NAMES = ("duplicate_shown_centibits", "duplicate_decided_centibits", "duplicate_supervisor_centibits")


@dataclass(frozen=True, slots=True)
class Thresholds:
    """In hundredths of a bit, each at least the one before: 0 is as likely as not, 400 is 16 to 1."""

    shown_centibits: int = 0
    decided_centibits: int = 400
    supervisor_centibits: int = 800

    def __post_init__(self) -> None:
        if not self.shown_centibits <= self.decided_centibits <= self.supervisor_centibits:
            raise ValueError(f"thresholds in no order: {self}")


def thresholds_of(policies: Policies, on: date) -> Thresholds:
    """Those of a day. Each policy is set by itself, from a date of its own; where two cross, the lower one is raised to the one before it,
    since who is not shown a pair decides nothing, and what nobody must decide needs no supervisor.
    """
    return Thresholds(*accumulate((policies.value(name, on) for name in NAMES), max))
