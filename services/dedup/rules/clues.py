"""Clues for and against two records being one woman. In each comparison the first clue that holds counts, and no other; an empty
value never holds.

The weights are Fellegi-Sunter's, log2(m/u) in hundredths of a bit, set by hand for a state of a crore members until they
are learnt from its labels. They count every name as equally common, which favours no Sunita over a Zarina.
"""

from collections.abc import Callable
from dataclasses import dataclass

from rapidfuzz.distance import JaroWinkler

from services.dedup.rules.arms import BIRTH_YEARS_APART_MAX
from services.dedup.rules.person import Person

NAMES_ALIKE_FROM = 0.88
SKELETON_SAYS_MUCH_FROM = 3  # Consonants: Meena and Mona share two, and are two names.


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
