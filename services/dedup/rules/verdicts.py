"""What follows from the clues."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from uuid import UUID

from services.dedup.rules.clues import Clue, compare
from services.dedup.rules.person import Person
from services.kernel.approval import Status
from services.kernel.ids import derived

# Policy. How rare a double is among all pairs, some 27 bits, is in the thresholds, so that a match's weight is its clues'.
SHOWN_FROM_CENTIBITS = 2700
SUPERVISOR_FROM_CENTIBITS = 3500
MATCHES_MAX = 20


class Verdict(StrEnum):
    """From nothing to proof."""

    CLEAR = "CLEAR"
    POTENTIAL = "POTENTIAL"
    CONFIRMED = "CONFIRMED"


class Override(StrEnum):
    """Who may say that a match is another woman after all (decision 2)."""

    OFFICER = "OFFICER"
    SUPERVISOR = "SUPERVISOR"
    NOBODY = "NOBODY"


@dataclass(frozen=True, slots=True)
class Match:
    """One record that may be the same woman. Its id stays while both records stay as they were compared."""

    finding_id: UUID
    other_id: UUID
    other_revision: int
    verdict: Verdict
    override: Override
    weight_centibits: int
    clues: tuple[Clue, ...]


@dataclass(frozen=True, slots=True)
class Screening:
    """What the comparison of one revision of a record with all others found, the gravest match first."""

    member_id: UUID
    revision: int
    region: str
    verdict: Verdict
    matches: tuple[Match, ...]


def judge(clues: Iterable[Clue]) -> tuple[Verdict, Override]:
    """The same identity is proof; the same account is for a supervisor, and with another identity it smells of fraud (decision 2)."""
    codes = {clue.code for clue in clues}
    weight = sum(clue.weight_centibits for clue in clues)
    if "SAME_IDENTITY" in codes:
        return Verdict.CONFIRMED, Override.NOBODY
    if "SAME_ACCOUNT" in codes or weight >= SUPERVISOR_FROM_CENTIBITS:
        return Verdict.POTENTIAL, Override.SUPERVISOR
    return (Verdict.POTENTIAL if weight >= SHOWN_FROM_CENTIBITS else Verdict.CLEAR), Override.OFFICER


def match(one: Person, other: Person) -> Match:
    clues = compare(one, other)
    verdict, override = judge(clues)
    finding_id = derived("finding", one.member_id, one.revision, other.member_id, other.revision)
    return Match(finding_id, other.member_id, other.revision, verdict, override, sum(clue.weight_centibits for clue in clues), clues)


def gravest_first(matches: Iterable[Match]) -> tuple[Match, ...]:
    grave = list(Verdict)
    return tuple(sorted(matches, key=lambda found: (-grave.index(found.verdict), -found.weight_centibits, found.other_id)))


def screen(one: Person, others: Iterable[Person]) -> Screening:
    """Compare a record with its candidates; a rejected record is nobody's double."""
    rivals = (other for other in others if other.status is not Status.REJECTED and other.member_id != one.member_id)
    found = gravest_first(found for found in (match(one, other) for other in rivals) if found.verdict is not Verdict.CLEAR)[:MATCHES_MAX]
    return Screening(one.member_id, one.revision, one.region, found[0].verdict if found else Verdict.CLEAR, found)
