"""What follows from a score."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from enum import StrEnum
from uuid import UUID

from services.dedup.rules.model import Artefact, Clue, Score, score
from services.dedup.rules.person import PAPER, Person
from services.dedup.rules.thresholds import Thresholds
from services.kernel.approval import Status
from services.kernel.ids import derived

MATCHES_MAX = 20
# No training says what it weighs: few have one, and whoever is entered twice shows the same.
SAME_DOCUMENT = Clue("SAME_DOCUMENT", "the same voter card, PAN, driving licence or passport", 0)
SAME_PAPER = Clue("SAME_PAPER", "the same name, birth, gender and last four digits on a signed Aadhaar paper", 0)
FOR_A_SUPERVISOR = frozenset({"SAME_ACCOUNT", SAME_DOCUMENT.code, SAME_PAPER.code})


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
class Yardstick:
    """What records are measured by: the weights, and from where they matter."""

    model: Artefact
    thresholds: Thresholds


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

    @property
    def proofs(self) -> dict[UUID, tuple[Clue, ...]]:
        """Who is certainly the same woman, and why."""
        return {match.other_id: match.clues for match in self.matches if match.verdict is Verdict.CONFIRMED}


@dataclass(frozen=True, slots=True)
class Rule:
    """What a pair is found to be, where one of these clues is among its own, or its score is at least the threshold of that name."""

    codes: frozenset[str]
    threshold: str
    verdict: Verdict
    override: Override


# Decision 2; the first that holds counts. The same identity is proof; the same account or document is for a supervisor, and with another
# identity it smells of fraud. Not so a paper: two women may be called alike, born alike and numbered alike, and their identities tell them apart.
RULES = (
    Rule(frozenset({"SAME_IDENTITY"}), "", Verdict.CONFIRMED, Override.NOBODY),
    Rule(FOR_A_SUPERVISOR, "supervisor_centibits", Verdict.POTENTIAL, Override.SUPERVISOR),
    Rule(frozenset(), "shown_centibits", Verdict.POTENTIAL, Override.OFFICER),
)


def judge(scored: Score, thresholds: Thresholds) -> tuple[Verdict, Override]:
    codes = {clue.code for clue in scored.clues}
    for rule in RULES:
        if not codes.isdisjoint(rule.codes) or (rule.threshold and scored.centibits >= getattr(thresholds, rule.threshold)):
            return rule.verdict, rule.override
    return Verdict.CLEAR, Override.OFFICER


def weigh(one: Person, other: Person, model: Artefact) -> Score:
    """The model's score, and what no model knows."""
    scored = score(one, other, model)
    return replace(scored, clues=(*scored.clues, *_in_common(one, other)))


def _in_common(one: Person, other: Person) -> Iterator[Clue]:
    both = set(one.documents).intersection(other.documents)
    papers = {document for document in both if document.startswith(PAPER)}
    if both - papers:
        yield SAME_DOCUMENT
    if papers and (one.identity_token == other.identity_token or not (one.identity_token and other.identity_token)):
        yield SAME_PAPER


def match(one: Person, other: Person, by: Yardstick) -> Match | None:
    """What the two have in common, unless they are clear of each other."""
    scored = weigh(one, other, by.model)
    verdict, override = judge(scored, by.thresholds)
    if verdict is Verdict.CLEAR:
        return None
    finding_id = derived("finding", one.member_id, one.revision, other.member_id, other.revision)
    return Match(finding_id, other.member_id, other.revision, verdict, override, scored.centibits, scored.clues)


def gravest_first(matches: Iterable[Match]) -> tuple[Match, ...]:
    grave = list(Verdict)
    return tuple(sorted(matches, key=lambda found: (-grave.index(found.verdict), -found.weight_centibits, found.other_id)))


def screen(one: Person, others: Iterable[Person], by: Yardstick) -> Screening:
    """Compare a record with its candidates; a rejected record is nobody's double. Of a woman's two records, live and waiting, the graver counts."""
    rivals = (other for other in others if other.status is not Status.REJECTED and other.member_id != one.member_id)
    found: dict[UUID, Match] = {}
    for each in gravest_first(each for other in rivals if (each := match(one, other, by))):
        found.setdefault(each.other_id, each)
    matches = tuple(found.values())[:MATCHES_MAX]
    return Screening(one.member_id, one.revision, one.region, matches[0].verdict if matches else Verdict.CLEAR, matches)
