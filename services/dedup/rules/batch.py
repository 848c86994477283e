"""A batch compares a whole state with itself. It nominates: the screening, under its locks, decides."""

from collections.abc import Iterable, Mapping
from enum import StrEnum
from uuid import UUID

from services.dedup.rules.arms import ARMS
from services.dedup.rules.model import Artefact
from services.dedup.rules.thresholds import Thresholds
from services.dedup.rules.verdicts import RULES, SAME_DOCUMENT, SAME_PAPER, Override, Verdict

STARTS_MAX = 5  # A batch that is cut short so often fails.


class State(StrEnum):
    """Where a batch stands."""

    RUNNING = "RUNNING"
    DONE = "DONE"
    FAILED = "FAILED"


# In their order, each a step of the progress.
PHASES = ("READ", "KEYS", *(f"ARM_{arm.name.upper()}" for arm in ARMS), "PAIRS", "STORE", "RESCREEN")


OTHER_IDENTITY_SQL = "coalesce(identity_token_l <> identity_token_r, false)"
_IN_COMMON = "coalesce(list_has_any(list_filter(documents_l, lambda number: number % 2 = {odd}), documents_r), false)"
# What clues that tell enough by themselves are in SQL, of one row that holds both sides. Documents are numbers there, papers odd ones.
_CLUES = {
    "SAME_IDENTITY": "coalesce(identity_token_l = identity_token_r, false)",
    "SAME_ACCOUNT": "coalesce(account_l = account_r, false)",
    SAME_DOCUMENT.code: _IN_COMMON.format(odd=0),
    SAME_PAPER.code: f"({_IN_COMMON.format(odd=1)} and not {OTHER_IDENTITY_SQL})",
}
# Whatever the rest comes to.
ALWAYS_SHOWN_SQL = f"({' or '.join(_CLUES[code] for rule in RULES for code in sorted(rule.codes))})"


def judged_sql(thresholds: Thresholds) -> tuple[str, str]:
    """verdicts.judge in SQL of `bits` and both sides: the verdict, and who may overrule it."""
    verdicts, overrides = [], []
    for rule in RULES:
        holds = [_CLUES[code] for code in sorted(rule.codes)]
        if rule.threshold:
            holds.append(f"floor(bits * 100) >= {getattr(thresholds, rule.threshold)}")
        verdicts.append(f"when {' or '.join(holds)} then '{rule.verdict}'")
        overrides.append(f"when {' or '.join(holds)} then '{rule.override}'")
    return f"case {' '.join(verdicts)} else '{Verdict.CLEAR}' end", f"case {' '.join(overrides)} else '{Override.OFFICER}' end"


# With fewer than these a state is one that has only begun: counted as it is, any two of its women would seem one.
MEMBERS_LEAST = 50_000


def of_state(artefact: Artefact, members_of: Mapping[int, int], members: int) -> Artefact:
    """The artefact for a state of so many members, in villages of these sizes."""
    if members < min(artefact.members, MEMBERS_LEAST):
        return artefact.for_state_of(min(artefact.members, MEMBERS_LEAST))
    return artefact.for_state_of(members).with_villages(members_of)


def joins(verdict: Verdict, centibits: int, thresholds: Thresholds, *, other_identity: bool) -> bool:
    """Whether a pair makes its two records one woman's, as far as clusters go; those of two identities are two women's."""
    return verdict is Verdict.CONFIRMED or (centibits >= thresholds.decided_centibits and not other_identity)


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
