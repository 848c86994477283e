"""Decides whether two SHGs, two VOs or two CLFs may be one (domain 7.5), by clues in words. What is of another kind never is.

Nothing here is weighed: an account, a name with its place and day, and members in common each say enough by themselves, or nothing.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from uuid import UUID

from services.dedup.rules.model import Clue
from services.dedup.rules.verdicts import MATCHES_MAX, Verdict
from services.kernel.approval import Status
from services.kernel.ids import derived
from services.kernel.names import fold, name_key, skeleton
from services.kernel.region import NO_GP

# Policy (domain 7.5).
FORMED_DAYS_APART_MAX = 30
COMMON_POTENTIAL_PERCENT = 50  # Of the smaller group's members.
COMMON_CONFIRMED_PERCENT = 80
MEMBERS_COUNTED_MIN = 5  # An SHG needs as many: one woman who is enrolled in a group that has only begun is not all of it.

SKELETON_SAYS_MUCH_FROM = 3  # Consonants: Usha and Asha have two, and are two names.

# Where candidates are looked for, at most so many each.
SAME_ACCOUNT_MOST = 50
SAME_NAME_MOST = 100
COMMON_MOST = 20
MEMBERS_LOOKED_AT_MOST = 200  # Of a group, for those in common: no group has as many.

# Who is nobody's double, and is in no group any more.
GONE = frozenset({Status.REJECTED, Status.WITHDRAWN, Status.INACTIVE})


@dataclass(frozen=True, slots=True)
class Group:
    """What a comparison needs of an SHG, a VO or a CLF: the keys of its name, not the name. What is not known is empty."""

    institution_id: UUID
    revision: int
    kind: str
    region: str
    place: str  # The LGD code of its village, Gram Panchayat or block.
    name_fold: str
    name_key: str
    formed_on: date | None
    accounts: tuple[str, ...]
    status: Status


@dataclass(frozen=True, slots=True)
class InCommon:
    """How many women two groups share, and how many are in either."""

    shared: int
    own: int
    others: int

    @property
    def smaller(self) -> int:
        return min(self.own, self.others)

    @property
    def percent(self) -> int:
        return 100 * self.shared // max(self.smaller, MEMBERS_COUNTED_MIN)


NOBODY = InCommon(0, 0, 0)


# --- Keys.

# Words that say what it is or praise a goddess, and do not tell one group of a village from the next.
_GENERIC = frozenset(
    fold(word)
    for row in (
        "self help group groups grup shg vo clf village organisation organization cluster level federation committee",
        "swayam swayamsahayata sahayata sahayta sahayatha sahayak samuh samooh samoh samuha mahila mahilla mahilaa mandal mandali mandli bachat gat",
        "gram grama gramin sangathan sangatan sangathana sangh sangha sangham sangam samakhya samiti samithi sankul dal goshthi gosthi gut",
        "jai jay joy maa ma mata",
        "स्वयं सहायता समूह महिला बचत गट मंडल ग्राम संगठन संघ संकुल समिति ग्रुप जय माँ मां माता",
        "স্বয়ং সহায়তা গোষ্ঠী দল মহিলা সংঘ গ্রাম সংগঠন জয় মা ସ୍ୱୟଂ ସହାୟତା ଗୋଷ୍ଠୀ ମହିଳା ସଂଘ ଜୟ ମା સખી મંડળ મહિલા",
        "మహిళా సంఘం సమాఖ్య గ్రామ மகளிர் சுய உதவி குழு ಸ್ವಸಹಾಯ ಸಂಘ ಮಹಿಳಾ സ്വയം സഹായ സംഘം ਗਰੁੱਪ ਮਹਿਲਾ",
    )
    for word in row.split()
)
_INITIALS = re.compile(r"\b(?:s\W{0,2}h\W{0,2}g|v\W{0,2}o|c\W{0,2}l\W{0,2}f)\b", re.IGNORECASE)  # "S.H.G."
_NUMBERS = re.compile(r"\d+")  # In any script's digits. Groups of one name are told apart by them.
_KEYED_LENGTH_MAX = 200


def name_keys(name: str) -> tuple[str, str]:
    """The words of a name that tell it apart, in no order, with its numbers: evenly spelt, and by how they sound."""
    name = name[:_KEYED_LENGTH_MAX]
    words = name_key(_INITIALS.sub(" ", name)).fold.split() or name_key(name).fold.split()
    telling = sorted(word for word in words if word not in _GENERIC) or sorted(words)
    numbers = [str(int(number)) for number in _NUMBERS.findall(name)]
    return " ".join([*telling, *numbers]), " ".join([*sorted(map(_sound, telling)), *numbers])


def _sound(word: str) -> str:
    consonants = skeleton(word)
    return consonants if len(consonants) >= SKELETON_SAYS_MUCH_FROM else word


def group(
    institution_id: UUID,
    revision: int,
    kind: str,
    region: str,
    name: str,
    formed_on: date | None,
    accounts: Iterable[tuple[str, str]],
    status: Status,
) -> Group:
    """What of an institution is compared; `accounts` are those in use, each by IFSC and number."""
    code = region.rpartition(".")[2]
    spelt, key = name_keys(name)
    return Group(
        institution_id=institution_id,
        revision=revision,
        kind=kind,
        region=region,
        place=region if code == NO_GP else code,
        name_fold=spelt,
        name_key=key,
        formed_on=formed_on,
        accounts=tuple(sorted({f"{ifsc}{number}".upper() for ifsc, number in accounts if ifsc and number})),
        # Who only came from the old MIS is let in with its verification: until then its screening follows what is known.
        status=Status.SUBMITTED if status is Status.LEGACY else status,
    )


def in_being(one: Group) -> bool:
    return one.status not in GONE


def lookups(one: Group) -> set[str]:
    """What two institutions must share to find each other, but for members. Who holds a lock on each of its sees all that could be it."""
    named = {f"{one.kind}/{one.place}/{one.name_key}"} if one.place and one.name_key else set()
    return named | {f"account {account}" for account in one.accounts}


# --- Clues and verdict.

_PLACE_OF = {"SHG": ("SAME_VILLAGE", "the same village"), "VO": ("SAME_GP", "the same Gram Panchayat"), "CLF": ("SAME_BLOCK", "the same block")}


def _account(one: Group, other: Group) -> tuple[str, str] | None:
    return ("SAME_ACCOUNT", "the same bank account") if set(one.accounts) & set(other.accounts) else None


def _name(one: Group, other: Group) -> tuple[str, str] | None:
    if not one.name_key or one.name_key != other.name_key:
        return None
    return ("SAME_NAME", "the same name") if one.name_fold == other.name_fold else ("NAME_SOUNDS_ALIKE", "the same name, spelt otherwise")


def _place(one: Group, other: Group) -> tuple[str, str] | None:
    return _PLACE_OF[one.kind] if one.place and one.place == other.place else None


def _formed(one: Group, other: Group) -> tuple[str, str] | None:
    if not one.formed_on or not other.formed_on or abs(one.formed_on - other.formed_on).days > FORMED_DAYS_APART_MAX:
        return None
    if one.formed_on == other.formed_on:
        return "FORMED_SAME_DAY", "formed on the same day"
    return "FORMED_NEAR", f"formed at most {FORMED_DAYS_APART_MAX} days apart"


_COMPARISONS: tuple[Callable[[Group, Group], tuple[str, str] | None], ...] = (_account, _name, _place, _formed)


def compare(one: Group, other: Group, common: InCommon = NOBODY) -> tuple[Clue, ...]:
    """What speaks for the two being one; the same from either side. A clue that holds for nothing is not there."""
    if one.kind != other.kind:
        return ()
    found = [held for held in (holds(one, other) for holds in _COMPARISONS) if held]
    if common.percent >= COMMON_POTENTIAL_PERCENT:
        found.append(("MEMBERS_IN_COMMON", f"{common.shared} women are members of both, by e-KYC; the smaller has {common.smaller}"))
    return tuple(Clue(code, words, 0) for code, words in found)


def judge(clues: Iterable[Clue], common: InCommon = NOBODY) -> Verdict:
    codes = {clue.code for clue in clues}
    if "SAME_ACCOUNT" in codes or ("MEMBERS_IN_COMMON" in codes and common.percent >= COMMON_CONFIRMED_PERCENT):
        return Verdict.CONFIRMED
    named = codes & {"SAME_NAME", "NAME_SOUNDS_ALIKE"}
    placed = codes & {code for code, _ in _PLACE_OF.values()}
    formed = codes & {"FORMED_SAME_DAY", "FORMED_NEAR"}
    return Verdict.POTENTIAL if "MEMBERS_IN_COMMON" in codes or (named and placed and formed) else Verdict.CLEAR


@dataclass(frozen=True, slots=True)
class GroupMatch:
    """An institution that may be the same one. Its id stays while both stay as they were compared."""

    finding_id: UUID
    other_id: UUID
    other_revision: int
    verdict: Verdict
    clues: tuple[Clue, ...]


@dataclass(frozen=True, slots=True)
class GroupScreening:
    """What the comparison of one revision of an institution with all others found, the gravest first."""

    institution_id: UUID
    revision: int
    verdict: Verdict
    matches: tuple[GroupMatch, ...]


def gravest_first(matches: Iterable[GroupMatch]) -> tuple[GroupMatch, ...]:
    grave = list(Verdict)
    return tuple(sorted(matches, key=lambda found: (-grave.index(found.verdict), -len(found.clues), found.other_id)))


def screen(one: Group, others: Iterable[Group], common: Mapping[UUID, InCommon]) -> GroupScreening:
    """Compare an institution with its candidates; `common` says of those that share members with it how many."""
    found = []
    for other in others:
        if other.institution_id == one.institution_id or not in_being(other):
            continue
        shared = common.get(other.institution_id, NOBODY)
        clues = compare(one, other, shared)
        verdict = judge(clues, shared)
        if verdict is not Verdict.CLEAR:
            finding_id = derived("finding", one.institution_id, one.revision, other.institution_id, other.revision)
            found.append(GroupMatch(finding_id, other.institution_id, other.revision, verdict, clues))
    gravest = gravest_first(found)[:MATCHES_MAX]
    return GroupScreening(one.institution_id, one.revision, gravest[0].verdict if gravest else Verdict.CLEAR, gravest)
