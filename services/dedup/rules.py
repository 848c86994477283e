"""Decides whether two records may be one woman, by clues that an officer can read and argue about.

The weights are Fellegi-Sunter's, log2(m/u) in hundredths of a bit, set by hand for a state of a crore members until they
are learnt from its labels. They count every name as equally common, which favours no Sunita over a Zarina.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from uuid import UUID

from rapidfuzz.distance import JaroWinkler

from services.kernel.approval import Status
from services.kernel.ids import derived
from services.kernel.names import name_key
from services.kernel.region import NO_GP, Level, level

# Policy. How rare a double is among all pairs, some 27 bits, is in the thresholds, so that a match's weight is its clues'.
SHOWN_FROM_CENTIBITS = 2700
SUPERVISOR_FROM_CENTIBITS = 3500
NAMES_ALIKE_FROM = 0.88
SKELETON_SAYS_MUCH_FROM = 3  # Consonants: Meena and Mona share two, and are two names.
BIRTH_YEARS_APART_MAX = 2
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
class Person:
    """What a comparison needs of a record, and no more: keys of names, not names. What is not known is empty."""

    member_id: UUID
    revision: int
    institution_id: UUID
    region: str
    block: int | None
    village: int | None
    name_fold: str
    name_skeleton: str
    name_first: str
    relation_fold: str
    relation_skeleton: str
    relation_first: str
    born_on: date | None
    birth_year: int | None
    mobile: str
    account: str
    identity_token: str
    status: Status


@dataclass(frozen=True, slots=True)
class Record:
    """A member as she was submitted."""

    member_id: UUID
    revision: int
    institution_id: UUID
    region: str
    name: str
    relation_name: str = ""
    born_on: date | None = None
    birth_year: int = 0
    mobile: str = ""
    ifsc: str = ""
    account_number: str = ""
    account_holding: str = ""
    identity_token: str = ""


def person(record: Record, status: Status) -> Person:
    """What of a record is compared."""
    name, relation = name_key(record.name), name_key(record.relation_name)
    born_on = record.born_on
    single = record.account_holding == "SINGLE" and record.account_number
    return Person(
        member_id=record.member_id,
        revision=record.revision,
        institution_id=record.institution_id,
        region=record.region,
        block=_place(record.region, Level.BLOCK),
        village=_place(record.region, Level.VILLAGE),
        name_fold=name.fold,
        name_skeleton=name.skeleton,
        name_first=name.first,
        relation_fold=relation.fold,
        relation_skeleton=relation.skeleton,
        relation_first=relation.first,
        # The first of January is what is written where only the year is known.
        born_on=born_on if born_on and (born_on.month, born_on.day) != (1, 1) else None,
        birth_year=born_on.year if born_on else record.birth_year or None,
        # 9999999999 and the like are what is written where there is no phone.
        mobile=record.mobile if len(set(record.mobile)) > 2 else "",
        # A joint account and the group's own say nothing about who she is.
        account=f"{record.ifsc}{record.account_number}".upper() if single else "",
        identity_token=record.identity_token,
        status=status,
    )


def _place(region: str, at: Level) -> int | None:
    """The LGD code of the block or village that the region lies in; codes are unique a level."""
    code = region.split(".")[at - 1] if level(region) >= at else NO_GP
    return None if code == NO_GP else int(code)


def status_of(revision: int, decided: tuple[int, Status] | None) -> Status:
    """A decision stands until the record comes back with a later revision, whichever of the two was heard first.

    That somebody came from the old MIS is none: until she is verified her screening follows what is known.
    """
    return decided[1] if decided and decided[0] >= revision and decided[1] is not Status.LEGACY else Status.SUBMITTED


# --- Where candidates are looked for.


@dataclass(frozen=True, slots=True)
class Arm:
    """A lookup by columns that must be equal, and perhaps by birth years that are near; a B-tree each.

    Where more than `most` records answer, the value tells nobody apart and the arm is dropped: whoever could reach the
    threshold agrees in something else too, which another arm finds. A `certain` arm is never dropped.
    """

    name: str
    columns: tuple[str, ...]
    most: int
    near_year: bool = False
    certain: bool = False

    def serves(self, one: Person) -> bool:
        """An empty value finds nobody."""
        return all(getattr(one, column) for column in self.columns) and (not self.near_year or one.birth_year is not None)


ARMS = (
    Arm("identity", ("identity_token",), 50, certain=True),
    Arm("account", ("account",), 20),
    Arm("mobile", ("mobile",), 20),
    Arm("name_village", ("name_first", "village"), 200),
    Arm("name_birth", ("name_first", "born_on"), 60),
    Arm("name_relation", ("name_first", "relation_first"), 40, near_year=True),
    Arm("name_relation_block", ("name_first", "relation_first", "block"), 100),
    Arm("relation_village", ("relation_first", "village"), 60, near_year=True),
    Arm("birth_village", ("born_on", "village"), 60),
)


def lookups(one: Person) -> set[str]:
    """What two records must share to find each other. Who holds a lock on each of hers sees all who could be her."""
    return {f"{arm.name}:{[str(getattr(one, column)) for column in arm.columns]}" for arm in ARMS if arm.serves(one)}


# --- Clues. In each comparison the first clue that holds counts, and no other; an empty value never holds.


@dataclass(frozen=True, slots=True)
class Clue:
    """A reason for or against, in words for the officer."""

    code: str
    words: str
    weight_centibits: int


Test = Callable[[Person, Person], bool]


def _same(*columns: str) -> Test:
    return lambda one, other: all(getattr(one, column) and getattr(one, column) == getattr(other, column) for column in columns)


def _known(column: str) -> Test:
    return lambda one, other: bool(getattr(one, column) and getattr(other, column))


def _same_skeleton(column: str) -> Test:
    return lambda one, other: getattr(one, column) == getattr(other, column) and len(getattr(one, column)) >= SKELETON_SAYS_MUCH_FROM


def _same_first_word(column: str) -> Test:
    return lambda one, other: getattr(one, column).split()[:1] == getattr(other, column).split()[:1] != []


def _much_alike(column: str) -> Test:
    def test(one: Person, other: Person) -> bool:
        first, second = sorted((getattr(one, column), getattr(other, column)))
        return bool(first) and JaroWinkler.similarity(first, second) >= NAMES_ALIKE_FROM

    return test


def _swapped(one: Person, other: Person) -> bool:
    a, b = one.born_on, other.born_on
    return a is not None and b is not None and (a.year, a.month, a.day) == (b.year, b.day, b.month)


def _two_parts_same(one: Person, other: Person) -> bool:
    a, b = one.born_on, other.born_on
    return a is not None and b is not None and [a.year == b.year, a.month == b.month, a.day == b.day].count(True) == 2


def _years_apart(most: int) -> Test:
    """By the year alone: where both dates are known, the dates say more."""

    def test(one: Person, other: Person) -> bool:
        if not one.birth_year or not other.birth_year or (one.born_on and other.born_on):
            return False
        return abs(one.birth_year - other.birth_year) <= most

    return test


Comparison = tuple[tuple[Clue, Test], ...]


def _names(column: str, code: str, whose: str) -> Comparison:
    return (
        (Clue(f"SAME_{code}", f"the same {whose}", 850), _same(f"{column}_fold")),
        (Clue(f"{code}_SOUNDS_ALIKE", f"the same {whose}, spelt otherwise", 650), _same_skeleton(f"{column}_skeleton")),
        (Clue(f"SAME_FIRST_{code}", f"the same {whose}, but for the surname", 600), _same_first_word(f"{column}_fold")),
        (Clue(f"{code}_ALIKE", f"a {whose} much alike", 300), _much_alike(f"{column}_fold")),
        (Clue(f"{code}_SOUNDS_LIKE", f"a {whose} that sounds like it", 300), _same(f"{column}_skeleton")),
    )


COMPARISONS: tuple[Comparison, ...] = (
    (*_names("name", "NAME", "name"), (Clue("NAME_OTHER", "but another name", -500), _known("name_fold"))),
    # A father's name before marriage, a husband's after: another name says little.
    (
        *_names("relation", "RELATION", "husband's or parent's name"),
        (Clue("RELATION_OTHER", "but another husband's or parent's name", -300), _known("relation_fold")),
    ),
    (
        (Clue("SAME_BIRTH_DATE", "the same birth date", 1250), _same("born_on")),
        (Clue("BIRTH_DATE_SWAPPED", "the same birth date with day and month exchanged", 900), _swapped),
        (Clue("BIRTH_DATE_ALIKE", "a birth date that differs in one part", 400), _two_parts_same),
        (Clue("SAME_BIRTH_YEAR", "the same birth year", 350), _years_apart(0)),
        (Clue("BIRTH_YEAR_NEAR", f"birth years at most {BIRTH_YEARS_APART_MAX} apart", 150), _years_apart(BIRTH_YEARS_APART_MAX)),
        (Clue("BIRTH_OTHER", "but another birth date or year", -450), _known("birth_year")),
    ),
    # Phone and place as one comparison: women of one household share both, and as two clues they would count twice.
    (
        (Clue("SAME_MOBILE_AND_VILLAGE", "the same mobile number in the same village", 1800), _same("mobile", "village")),
        (Clue("SAME_MOBILE", "the same mobile number", 1700), _same("mobile")),
        (Clue("SAME_VILLAGE", "the same village", 1300), _same("village")),
        (Clue("SAME_BLOCK", "the same block", 600), _same("block")),
        (Clue("BLOCK_OTHER", "but another block", -250), _known("block")),
    ),
    (
        (Clue("SAME_ACCOUNT", "the same bank account, held by one person", 2200), _same("account")),
        (Clue("ACCOUNT_OTHER", "but another bank account", -150), _known("account")),
    ),
    # Two tokens of the vault are two women, whatever else agrees.
    (
        (Clue("SAME_IDENTITY", "the same identity by e-KYC", 3500), _same("identity_token")),
        (Clue("IDENTITY_OTHER", "but another identity by e-KYC", -6000), _known("identity_token")),
    ),
)


def compare(one: Person, other: Person) -> tuple[Clue, ...]:
    """What speaks for and against the two being one woman; the same from either side."""
    first = (next((clue for clue, holds in comparison if holds(one, other)), None) for comparison in COMPARISONS)
    return tuple(clue for clue in first if clue)


# --- Verdicts.


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
