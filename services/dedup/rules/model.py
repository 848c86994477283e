"""The model that weighs two records: Fellegi and Sunter's, with comparisons as data, each level a test here and the same in SQL.

An artefact holds what training found of it: how often each level holds for one woman's two records (m) and for two women's (u),
and how common each name is. In each comparison the first level that holds counts. Within a comparison the levels are weighed
among those that know as much, so that what is left out speaks neither for nor against.
"""

import gzip
import json
import zlib
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from functools import cache, cached_property
from math import floor, log2
from pathlib import Path
from typing import Any

from rapidfuzz.distance import JaroWinkler

from services.dedup.rules.arms import ARMS
from services.dedup.rules.person import Person

VERSION = 1  # Of the comparisons below. Whoever changes what a level means gives it another, and keeps this one for its artefacts.
DEFAULT = Path(__file__).parents[1] / "models" / "default.json.gz"
NAMES_ALIKE_FROM = 0.88
SKELETON_SAYS_MUCH_FROM = 3  # Consonants: Meena and Mona share two, and are two names.
# Two tokens of the vault are two women, whatever else agrees: this is decided, not learnt.
IDENTITY_OTHER_BITS = -60.0


# --- Tests, each beside itself in SQL, where what is empty is null and a column has _l or _r behind it.


@dataclass(frozen=True, slots=True)
class Test:
    """Whether something holds of two records."""

    holds: Callable[[Person, Person], bool]
    sql: str

    def __and__(self, also: "Test") -> "Test":
        mine, other = self.holds, also.holds
        return Test(lambda a, b: mine(a, b) and other(a, b), f"({self.sql}) and ({also.sql})")

    def __or__(self, also: "Test") -> "Test":
        mine, other = self.holds, also.holds
        return Test(lambda a, b: mine(a, b) or other(a, b), f"({self.sql}) or ({also.sql})")


def _known(column: str) -> Test:
    return Test(lambda a, b: bool(getattr(a, column) and getattr(b, column)), f"{column}_l is not null and {column}_r is not null")


def _lacks(column: str) -> Test:
    return Test(lambda a, b: not (getattr(a, column) and getattr(b, column)), f"{column}_l is null or {column}_r is null")


def _same(column: str) -> Test:
    return Test(lambda a, b: bool(getattr(a, column)) and getattr(a, column) == getattr(b, column), f"{column}_l = {column}_r")


def _says_much(column: str) -> Test:
    return Test(lambda a, _b: len(getattr(a, column)) >= SKELETON_SAYS_MUCH_FROM, f"length({column}_l) >= {SKELETON_SAYS_MUCH_FROM}")


def _same_first_word(column: str) -> Test:
    one, other = (f"split_part({column}_{side}, ' ', 1)" for side in "lr")
    return Test(
        lambda a, b: bool(getattr(a, column)) and getattr(a, column).partition(" ")[0] == getattr(b, column).partition(" ")[0], f"{one} = {other}"
    )


def _alike(column: str) -> Test:
    """Of names in Latin letters: in others the two libraries measure differently."""

    def holds(one: Person, other: Person) -> bool:
        first, second = sorted((getattr(one, column), getattr(other, column)))
        return first.isascii() and second.isascii() and bool(first) and JaroWinkler.similarity(first, second) >= NAMES_ALIKE_FROM

    least, greatest = (f"{which}({column}_l, {column}_r)" for which in ("least", "greatest"))
    latin = " and ".join(f"strlen({column}_{side}) = length({column}_{side})" for side in "lr")
    return Test(holds, f"{latin} and jaro_winkler_similarity({least}, {greatest}) >= {NAMES_ALIKE_FROM}")


def _swapped(one: Person, other: Person) -> bool:
    a, b = one.born_on, other.born_on
    return a is not None and b is not None and (a.year, a.month, a.day) == (b.year, b.day, b.month)


def _two_parts_same(one: Person, other: Person) -> bool:
    a, b = one.born_on, other.born_on
    return a is not None and b is not None and (a.year == b.year) + (a.month == b.month) + (a.day == b.day) >= 2


def _years_apart(most: int) -> Test:
    def holds(one: Person, other: Person) -> bool:
        a, b = one.birth_year, other.birth_year
        return a is not None and b is not None and abs(a - b) <= most

    return Test(holds, f"abs(birth_year_l - birth_year_r) <= {most}")


_PARTS = ("year", "month", "day")
_SWAPPED = Test(
    _swapped,
    "year(born_on_l) = year(born_on_r) and month(born_on_l) = day(born_on_r) and day(born_on_l) = month(born_on_r)",
)
_TWO_PARTS = Test(_two_parts_same, " + ".join(f"cast({part}(born_on_l) = {part}(born_on_r) as integer)" for part in _PARTS) + " >= 2")
_NO_DATE = Test(lambda a, b: a.born_on is None and b.born_on is None, "born_on_l is null and born_on_r is null")
_ALWAYS = Test(lambda _a, _b: True, "true")


# --- The comparisons.


@dataclass(frozen=True, slots=True)
class Level:
    """One outcome of a comparison, in words for the officer. `terms` names the column by whose values it is the rarer, the stronger."""

    code: str
    words: str
    test: Test
    terms: str = ""
    group: str = ""  # Levels that know as much of both records.
    exact: bool = False  # How often strangers agree so is counted over all pairs, not sampled; it falls as a state grows.


@dataclass(frozen=True, slots=True)
class Comparison:
    """The levels in their order; `unknown` is where there is nothing to compare."""

    name: str
    unknown: Test
    levels: tuple[Level, ...]


def _of_names(column: str, code: str, whose: str) -> Comparison:
    fold, skeleton, first = f"{column}_fold", f"{column}_skeleton", f"{column}_first"
    return Comparison(
        column,
        _lacks(fold),
        (
            Level(f"SAME_{code}", f"the same {whose}", _same(fold), terms=fold),
            Level(f"{code}_SOUNDS_ALIKE", f"the same {whose}, spelt otherwise", _same(skeleton) & _says_much(first), terms=skeleton),
            Level(f"SAME_FIRST_{code}", f"the same {whose}, but for the surname", _same_first_word(fold), terms=first),
            Level(
                f"FIRST_{code}_SOUNDS_ALIKE",
                f"the same {whose}, spelt otherwise, but for the surname",
                _same(first) & _says_much(first),
                terms=first,
            ),
            Level(f"{code}_ALIKE", f"a {whose} much alike", _alike(fold)),
            Level(f"{code}_SOUNDS_LIKE", f"a {whose} that sounds like it", _same(skeleton)),
            Level(f"{code}_OTHER", f"but another {whose}", _ALWAYS),
        ),
    )


# Devi, Kumari, Khatoon: where both have one. It may change when she marries.
_TITLE = Comparison(
    "title",
    _lacks("name_title"),
    (
        Level("SAME_TITLE", "the same title behind the name", _same("name_title")),
        Level("TITLE_OTHER", "but another title behind the name", _ALWAYS),
    ),
)

_DATES, _YEARS, _ONE_DATE = "dates", "years", "a date and a year"
_BIRTH = Comparison(
    "birth",
    _lacks("birth_year"),
    (
        Level("SAME_BIRTH_DATE", "the same birth date", _same("born_on"), group=_DATES),
        Level("BIRTH_DATE_SWAPPED", "the same birth date with day and month exchanged", _SWAPPED, group=_DATES),
        Level("BIRTH_DATE_ALIKE", "a birth date that differs in one part", _TWO_PARTS, group=_DATES),
        Level("BIRTH_DATE_NEAR", "birth dates at most 2 years apart", _known("born_on") & _years_apart(2), group=_DATES),
        Level("BIRTH_DATE_OTHER", "but another birth date", _known("born_on"), group=_DATES),
        Level("SAME_BIRTH_YEAR", "the same birth year", _NO_DATE & _years_apart(0), group=_YEARS),
        Level("BIRTH_YEAR_NEXT", "birth years one apart", _NO_DATE & _years_apart(1), group=_YEARS),
        Level("BIRTH_YEAR_NEAR", "birth years 2 apart", _NO_DATE & _years_apart(2), group=_YEARS),
        Level("BIRTH_YEAR_OTHER", "but another birth year", _NO_DATE, group=_YEARS),
        Level("BIRTH_DATE_IN_YEAR", "a birth date in the same birth year", _years_apart(0), group=_ONE_DATE),
        Level("BIRTH_DATE_IN_NEXT_YEAR", "a birth date one year off the birth year", _years_apart(1), group=_ONE_DATE),
        Level("BIRTH_DATE_NEAR_YEAR", "a birth date 2 years off the birth year", _years_apart(2), group=_ONE_DATE),
        Level("BIRTH_OTHER", "but another birth date or year", _ALWAYS, group=_ONE_DATE),
    ),
)

_BOTH, _PLACE, _MOBILE = "phone and place", "place", "phone"
_MOBILES, _PLACES = _known("mobile"), _known("block")
# Phone and place as one comparison: women of one household share both, and as two they would count twice.
_REACH = Comparison(
    "reach",
    _lacks("mobile") & _lacks("block"),
    (
        Level("SAME_MOBILE_AND_VILLAGE", "the same mobile number in the same village", _same("mobile") & _same("village"), group=_BOTH, exact=True),
        Level("SAME_MOBILE_AND_BLOCK", "the same mobile number in the same block", _same("mobile") & _same("block"), group=_BOTH, exact=True),
        Level("SAME_MOBILE_ELSEWHERE", "the same mobile number in another block", _same("mobile") & _PLACES, group=_BOTH, exact=True),
        Level("SAME_MOBILE", "the same mobile number", _same("mobile"), group=_MOBILE, exact=True),
        Level("SAME_VILLAGE_OTHER_MOBILE", "the same village, with another mobile number", _same("village") & _MOBILES, "village", _BOTH, exact=True),
        Level("SAME_BLOCK_OTHER_MOBILE", "the same block, with another mobile number", _same("block") & _MOBILES, group=_BOTH, exact=True),
        Level("BLOCK_AND_MOBILE_OTHER", "but another block and another mobile number", _PLACES & _MOBILES, group=_BOTH, exact=True),
        Level("SAME_VILLAGE", "the same village", _same("village"), "village", _PLACE, exact=True),
        Level("SAME_BLOCK", "the same block", _same("block"), group=_PLACE, exact=True),
        Level("BLOCK_OTHER", "but another block", _PLACES, group=_PLACE, exact=True),
        Level("MOBILE_OTHER", "but another mobile number", _ALWAYS, group=_MOBILE, exact=True),
    ),
)
_ACCOUNT = Comparison(
    "account",
    _lacks("account"),
    (
        Level("SAME_ACCOUNT", "the same bank account, held by one person", _same("account"), exact=True),
        Level("ACCOUNT_OTHER", "but another bank account", _ALWAYS, exact=True),
    ),
)
_IDENTITY = Comparison(
    "identity",
    _lacks("identity_token"),
    (
        Level("SAME_IDENTITY", "the same identity by e-KYC", _same("identity_token"), exact=True),
        Level("IDENTITY_OTHER", "but another identity by e-KYC", _ALWAYS, exact=True),
    ),
)

_NAME, _RELATION = _of_names("name", "NAME", "name"), _of_names("relation", "RELATION", "husband's or parent's name")

MODELS: Mapping[int, tuple[Comparison, ...]] = {1: (_NAME, _TITLE, _RELATION, _BIRTH, _REACH, _ACCOUNT, _IDENTITY)}


# --- What training found.


@dataclass(frozen=True, slots=True)
class Rates:
    """How often a level holds: for two records of one woman, and for those of two."""

    m: float
    u: float

    @property
    def bits(self) -> float:
        return log2(self.m) - log2(self.u)


@dataclass(frozen=True, slots=True)
class Terms:
    """How common the values of a column are; what is not listed is as common as the floor. `same` is how often two people's are the same."""

    same: float
    floor: float
    shares: Mapping[str, float]

    def share(self, value: object) -> float:
        return self.shares.get(str(value), self.floor)

    def times(self, factor: float) -> "Terms":
        return Terms(self.same * factor, self.floor * factor, {value: share * factor for value, share in self.shares.items()})


class ArtefactError(Exception):
    """A file that holds no artefact which this code can answer from; the message says why."""


@dataclass(frozen=True)
class Artefact:
    """All that a score depends on besides the two records. `prior` is the share of pairs that are one woman, in a state of `members`."""

    version: int
    name: str
    state: str
    trained_on: str
    trained_at: str
    members: int
    normaliser: int  # The version of services/kernel/names whose keys its frequencies are of.
    prior: float
    rates: Mapping[str, Rates]  # By the level's code.
    terms: Mapping[str, Terms]  # By column.
    caps: Mapping[str, int]  # By arm: how many may answer.

    @property
    def comparisons(self) -> tuple[Comparison, ...]:
        return MODELS[self.version]

    @property
    def prior_bits(self) -> float:
        return log2(self.prior) - log2(1 - self.prior)

    @cached_property
    def levels(self) -> tuple[tuple[Comparison, tuple[tuple[Level, float, Terms | None], ...]], ...]:
        """The levels with the bits that each gives; where it is a name that agrees, before how common it is."""
        return tuple((one, tuple(self._level(level) for level in one.levels)) for one in self.comparisons)

    def _level(self, level: Level) -> tuple[Level, float, Terms | None]:
        rates = self.rates[level.code]
        terms = self.terms[level.terms] if level.terms else None
        return level, rates.bits + (log2(terms.same) if terms else 0), terms

    def for_state_of(self, members: int) -> "Artefact":
        """The same for a state of another size: among more women her double is rarer, and so are those who share her village."""
        factor, rates = self.members / members, dict(self.rates)
        for comparison in self.comparisons:
            for group in {level.group for level in comparison.levels if level.exact}:
                *agree, otherwise = [level.code for level in comparison.levels if level.group == group]
                for code in agree:
                    rates[code] = replace(rates[code], u=min(rates[code].u * factor, 0.5))
                if otherwise != "IDENTITY_OTHER":
                    rates[otherwise] = replace(rates[otherwise], u=max(1 - sum(rates[code].u for code in agree), 0.01))
        terms = {**self.terms, "village": self.terms["village"].times(factor)}
        return replace(self, members=members, prior=self.prior * factor, rates=rates, terms=terms)

    def with_villages(self, members_of: Mapping[int, int]) -> "Artefact":
        """The same where it is known how many members each village has: in a small one, who shares it says more."""
        whole = sum(members_of.values())
        same = sum(held * (held - 1) for held in members_of.values()) / max(whole * (whole - 1), 1)
        if not same:
            return self
        terms = Terms(same, same, {str(village): held / whole for village, held in members_of.items()})
        return replace(self, terms={**self.terms, "village": terms})


def dump(artefact: Artefact) -> bytes:
    """As it is stored: the same artefact gives the same bytes."""
    content = asdict(artefact)
    content["rates"] = {code: [rates.m, rates.u] for code, rates in artefact.rates.items()}
    return gzip.compress(json.dumps(content, ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode(), mtime=0)


def load(file: Path) -> Artefact:
    """Read an artefact from a file. Raises ArtefactError."""
    try:
        return read(file.read_bytes(), str(file))
    except OSError as fault:
        raise ArtefactError(f"{file} holds no model: {fault}") from fault


def read(raw: bytes, where: str) -> Artefact:
    """Read an artefact. Raises ArtefactError."""
    try:
        content: dict[str, Any] = json.loads(gzip.decompress(raw) if raw[:1] == b"\x1f" else raw)
        rates = {code: Rates(*pair) for code, pair in content.pop("rates").items()}
        terms = {column: Terms(**one) for column, one in content.pop("terms").items()}
        artefact = Artefact(**content, rates=rates, terms=terms)
    except (OSError, EOFError, ValueError, TypeError, KeyError, AttributeError, zlib.error) as fault:
        raise ArtefactError(f"{where} holds no model: {fault}") from fault
    if artefact.version not in MODELS:
        raise ArtefactError(f"{where} is of version {artefact.version}, and this code knows {', '.join(map(str, MODELS))}.")
    levels = [level for comparison in artefact.comparisons for level in comparison.levels]
    lacking = [level.code for level in levels if level.code not in rates] + [level.terms for level in levels if level.terms not in {"", *terms}]
    if lacking:
        raise ArtefactError(f"{where} lacks {', '.join(lacking)}.")
    return artefact


@cache
def default() -> Artefact:
    """What ships: trained on invented members, and it says so."""
    return load(DEFAULT)


def caps() -> dict[str, int]:
    return {arm.name: arm.most for arm in ARMS}


# --- The score.


@dataclass(frozen=True, slots=True)
class Clue:
    """A reason for or against, in words for the officer."""

    code: str
    words: str
    weight_centibits: int


@dataclass(frozen=True, slots=True)
class Score:
    """The odds that two records are one woman's, as a power of two: 0 is as likely as not. Each clue's share is in it; so is the prior."""

    bits: float
    clues: tuple[Clue, ...]

    @property
    def centibits(self) -> int:
        return floor(self.bits * 100)


def score(one: Person, other: Person, artefact: Artefact) -> Score:
    """The same from either side."""
    bits, clues = artefact.prior_bits, []
    for comparison, levels in artefact.levels:
        if comparison.unknown.holds(one, other):
            continue
        for level, weight, terms in levels:
            if level.test.holds(one, other):
                own = weight - log2(max(terms.share(getattr(one, level.terms)), terms.share(getattr(other, level.terms)))) if terms else weight
                bits += own
                clues.append(Clue(level.code, level.words, round(own * 100)))
                break
    return Score(bits, tuple(clues))
