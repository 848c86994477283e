"""A batch compares a whole state with itself. It nominates: the screening, under its locks, decides."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from uuid import UUID

from services.dedup.rules.arms import ARMS
from services.dedup.rules.model import DECIDED_FROM_BITS, SHOWN_FROM_BITS, Artefact
from services.dedup.rules.verdicts import Override, Verdict

SUPERVISOR_FROM_BITS = 8.0  # Policy.
STARTS_MAX = 5  # A batch that is cut short so often fails.


class State(StrEnum):
    """Where a batch stands."""

    RUNNING = "RUNNING"
    DONE = "DONE"
    FAILED = "FAILED"


# In their order, each a step of the progress.
PHASES = ("READ", "KEYS", *(f"ARM_{arm.name.upper()}" for arm in ARMS), "PAIRS", "STORE", "RESCREEN")


@dataclass(frozen=True, slots=True)
class Finding:
    """What a pair is found to be, where this holds of its clues and bits; the same in SQL."""

    holds: Callable[[set[str], float], bool]
    sql: str
    verdict: Verdict
    override: Override


_SAME_IDENTITY, _SAME_ACCOUNT = "coalesce(identity_token_l = identity_token_r, false)", "coalesce(account_l = account_r, false)"
# Decision 2. The first that holds counts.
FINDINGS = (
    Finding(lambda codes, _: "SAME_IDENTITY" in codes, _SAME_IDENTITY, Verdict.CONFIRMED, Override.NOBODY),
    # With another identity besides it smells of fraud, and is for a supervisor all the more.
    Finding(lambda codes, _: "SAME_ACCOUNT" in codes, _SAME_ACCOUNT, Verdict.POTENTIAL, Override.SUPERVISOR),
    Finding(lambda codes, _: "IDENTITY_OTHER" in codes, "coalesce(identity_token_l <> identity_token_r, false)", Verdict.CLEAR, Override.OFFICER),
    Finding(lambda _, bits: bits >= SUPERVISOR_FROM_BITS, f"bits >= {SUPERVISOR_FROM_BITS}", Verdict.POTENTIAL, Override.SUPERVISOR),
    Finding(lambda _, bits: bits >= SHOWN_FROM_BITS, f"bits >= {SHOWN_FROM_BITS}", Verdict.POTENTIAL, Override.OFFICER),
    Finding(lambda _codes, _bits: True, "true", Verdict.CLEAR, Override.OFFICER),
)
# Whatever the rest comes to.
ALWAYS_SHOWN_SQL = f"({_SAME_IDENTITY} or {_SAME_ACCOUNT})"


def judge(codes: Iterable[str], bits: float) -> tuple[Verdict, Override]:
    held = set(codes)
    return next((one.verdict, one.override) for one in FINDINGS if one.holds(held, bits))


def of_state(artefact: Artefact, members_of: Mapping[int, int], members: int) -> Artefact:
    """The artefact for a state of so many members, in villages of these sizes."""
    return artefact.for_state_of(max(members, 2)).with_villages(members_of)


def joins(verdict: Verdict, bits: float, *, other_identity: bool) -> bool:
    """Whether a pair makes its two records one woman's, as far as clusters go; those of two identities are two women's."""
    return verdict is Verdict.CONFIRMED or (bits >= DECIDED_FROM_BITS and not other_identity)


def clusters(pairs: Iterable[tuple[UUID, UUID]]) -> dict[UUID, UUID]:
    """By whom these pairs join, however far apart: the least id of all whom they hang together with."""
    above: dict[UUID, UUID] = {}

    def top(one: UUID) -> UUID:
        while above.setdefault(one, one) != one:
            above[one] = above[above[one]]
            one = above[one]
        return one

    for pair in pairs:
        least, greatest = sorted(map(top, pair))
        above[greatest] = least
    return {one: top(one) for one in list(above)}
