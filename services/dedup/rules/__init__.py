"""Decides whether two records may be one woman, by clues that an officer can read and argue about."""

from services.dedup.rules.arms import ARMS, BIRTH_YEARS_APART_MAX, Arm, lookups
from services.dedup.rules.labels import BAND_BELOW, BANDS, DUPLICATE, MONTHS_MAX, NOT_A_DUPLICATE, REFERRED, is_fraud, period
from services.dedup.rules.model import Artefact, Clue
from services.dedup.rules.person import Person, Record, person, status_of
from services.dedup.rules.thresholds import Thresholds, thresholds_of
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
    "BANDS",
    "BAND_BELOW",
    "BIRTH_YEARS_APART_MAX",
    "DUPLICATE",
    "MATCHES_MAX",
    "MONTHS_MAX",
    "NOT_A_DUPLICATE",
    "REFERRED",
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
    "is_fraud",
    "judge",
    "lookups",
    "match",
    "period",
    "person",
    "screen",
    "status_of",
    "thresholds_of",
]
