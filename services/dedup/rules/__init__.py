"""Decides whether two records may be one woman, by clues that an officer can read and argue about."""

from services.dedup.rules.arms import ARMS, BIRTH_YEARS_APART_MAX, Arm, lookups
from services.dedup.rules.clues import COMPARISONS, Clue, compare
from services.dedup.rules.person import Person, Record, person, status_of
from services.dedup.rules.verdicts import (
    MATCHES_MAX,
    SHOWN_FROM_CENTIBITS,
    SUPERVISOR_FROM_CENTIBITS,
    Match,
    Override,
    Screening,
    Verdict,
    gravest_first,
    judge,
    match,
    screen,
)

__all__ = [
    "ARMS",
    "BIRTH_YEARS_APART_MAX",
    "COMPARISONS",
    "MATCHES_MAX",
    "SHOWN_FROM_CENTIBITS",
    "SUPERVISOR_FROM_CENTIBITS",
    "Arm",
    "Clue",
    "Match",
    "Override",
    "Person",
    "Record",
    "Screening",
    "Verdict",
    "compare",
    "gravest_first",
    "judge",
    "lookups",
    "match",
    "person",
    "screen",
    "status_of",
]
