"""Decides whether two records may be one woman, by clues that an officer can read and argue about."""

from services.dedup.rules.arms import ARMS, BIRTH_YEARS_APART_MAX, Arm, lookups
from services.dedup.rules.model import Artefact, Clue
from services.dedup.rules.person import Person, Record, person, status_of
from services.dedup.rules.thresholds import Thresholds
from services.dedup.rules.verdicts import (
    MATCHES_MAX,
    Match,
    Override,
    Screening,
    Verdict,
    Yardstick,
    gravest_first,
    judge,
    match,
    screen,
)

__all__ = [
    "ARMS",
    "BIRTH_YEARS_APART_MAX",
    "MATCHES_MAX",
    "Arm",
    "Artefact",
    "Clue",
    "Match",
    "Override",
    "Person",
    "Record",
    "Screening",
    "Thresholds",
    "Verdict",
    "Yardstick",
    "gravest_first",
    "judge",
    "lookups",
    "match",
    "person",
    "screen",
    "status_of",
]
