"""Names of people and institutions: cleaned on the way in, and keyed so that spellings of one name meet.

Two keys a token: `fold` keeps the vowels and evens out how they are written (Suneeta, Sunita, सुनीता); `skeleton` keeps
the consonants alone, by how they sound (Vimla, Bimala), and is what blocking and "sounds alike" stand on.
"""

import re
import unicodedata
from dataclasses import dataclass
from functools import lru_cache

from services.kernel.errors import Invalid
from services.kernel.names.scripts import seen, to_latin
from services.kernel.names.spelling import COARSE, folded, sounded

__all__ = ["KEYED_LENGTH_MAX", "NAME_LENGTH_MAX", "NORMALISER_VERSION", "NameKey", "clean_name", "fold", "name_key", "skeleton", "sound", "to_latin"]

# Keys are stored, and weights are trained on them: whatever changes a key of any name raises this.
NORMALISER_VERSION = 1
NAME_LENGTH_MAX = 100
NAMES_KEPT = 1 << 16  # Whole names; the common ones come again and again.
TOKENS_KEPT = 1 << 17  # A state of a crore has some three lakh distinct tokens; the common ones are what counts.
KEYED_LENGTH_MAX = 200  # No name is as long; what stands beyond is not looked at.
READ_LENGTH_MAX = 1000  # Of marks that nobody sees there may be more.


def clean_name(text: str, field: str, *, longest: int = NAME_LENGTH_MAX, needed: bool = True) -> str:
    """The name in NFC with single spaces; refused where it is empty, too long, or holds what no name holds."""
    if len(text) > longest:
        raise Invalid("NAME_TOO_LONG", "A name has at most {longest} characters.", field=field, longest=longest)
    name = " ".join(unicodedata.normalize("NFC", text).split())
    if not name:
        if needed:
            raise Invalid("NAME_MISSING", "A name is needed.", field=field)
        return ""
    if any(unicodedata.category(letter) in {"Cc", "Co", "Cs", "Cn"} or letter in "<>{}=@|\\" for letter in name):
        raise Invalid("NAME_INVALID", "A name has letters only.", field=field)
    if not any(unicodedata.category(letter).startswith("L") for letter in name):
        raise Invalid("NAME_INVALID", "A name has letters only.", field=field)
    return name


# --- Keys of a token. `coarse` is for a state whose own script writes hard and soft consonants alike: Tamil Nadu, Puducherry.


@lru_cache(TOKENS_KEPT)
def fold(token: str) -> str:
    """The token with its vowels, evenly spelt: Suneeta, Sunita and सुनीता are one."""
    return folded(to_latin(token[:READ_LENGTH_MAX])[:KEYED_LENGTH_MAX])


@lru_cache(TOKENS_KEPT)
def skeleton(token: str, *, coarse: bool = False) -> str:
    """The consonants as they sound, and the kind of a vowel at the start: Vimla and Bimala are one, Usha and Asha are two."""
    return sound(fold(token), coarse=coarse)


def sound(fold: str, *, coarse: bool = False) -> str:
    """The skeleton of what is folded already. What meets in the fine one meets in the coarse one too."""
    return sounded(fold).translate(COARSE) if coarse else sounded(fold)


# --- Whole names.


def _spelt(*rows: str) -> dict[str, str]:
    """Every spelling's fold, with the word that its row begins with."""
    return {fold(spelling): row.partition(" ")[0] for row in rows for spelling in row.split()}


# A word in its own script stands here only where its fold is none of the Latin ones.
_PREFIXES = _spelt(
    "smt shrimati srimati shrimti sreemathi thirumathi tmt திருமதி محترمہ mohtarma",
    "sri shri sh sree shree thiru திரு sushri सौ",
    "km kum ku कु miss ms mrs mr",
    "late lt स्व swargiya marhoom marhuma مرحوم مرحومہ",
    "dr डॉ",
    "md mohd mohammad mohammed mohamed muhammad muhammed محمد मो sk",
    "mst mosammat mosamat musammat musamat মোছা মোসা مسماۃ",
)
# Told in the row's first spelling. Some are names too, where nothing else is there.
_TITLES = _spelt(
    "devi debi தேவி",
    "kumari",
    "kumar",
    "kunwar kuwar کنور",
    "begum begam بیگم பேகம்",
    "bibi bi beevi பீவி",
    "bewa beva বেওয়া",
    "khatoon khatum",
    "bano பானு",
    "kaur کور",
    "bai",
    "ben behen bahen",
    "rani",
    "amma",
    "ammal",
)
_ALSO_FIRST = frozenset({"kumari", "bibi", "begum"})  # These stand before a name too. Rani Yadav is Rani.
_FUSED = re.compile(r"(?<=...)(?:devi|debi|kumari|bai|ben|begum|begam|bibi|khatoon|khatun)$")  # Sunitadevi
_RELATION = re.compile(r"^\s*[cdsw]\s*/\s*o\b", re.IGNORECASE)  # "W/o Ramesh"
_BETWEEN = re.compile("[\\s.,;:()/_\\-\u060c\u06d4\u0964]+")  # With Urdu's comma and full stop, and Hindi's.


@dataclass(frozen=True, slots=True)
class NameKey:
    """What two spellings of one name have in common, token by token; `title` is what was split off."""

    title: str
    fold: str
    skeleton: str

    @property
    def first(self) -> str:
        """The skeleton of the first name, which candidates are looked up by: surnames come and go."""
        return self.skeleton.partition(" ")[0]


def name_key(name: str, *, coarse: bool = False) -> NameKey:
    """The keys of a whole name. Titles and honorifics are split off, unless they are all there is; initials go last."""
    return _kept_key(name, coarse) if len(name) <= NAME_LENGTH_MAX else _key(name[:READ_LENGTH_MAX], coarse)


def _key(name: str, coarse: bool) -> NameKey:  # noqa: FBT001 - by place, which is faster to remember by
    words: list[str] = []
    titles: list[tuple[str, str]] = []
    prefixes: list[str] = []
    is_named = False
    for token in _BETWEEN.split(_RELATION.sub("", seen(name)[:KEYED_LENGTH_MAX])):
        for part in _parts(token):
            title = _TITLES.get(part)
            if part in _PREFIXES:
                prefixes.append(part)
            elif title and (is_named or titles or title in _ALSO_FIRST):
                titles.append((title, part))
            else:
                words.append(part)
                is_named = is_named or len(part) > 1
    if not is_named and titles:
        words.append(titles.pop(0)[1])
    words = sorted(words or prefixes[-1:], key=_is_initial)
    return NameKey(" ".join(dict.fromkeys(title for title, _ in titles)), " ".join(words), " ".join([_kept_sound(word, coarse) for word in words]))


def _is_initial(word: str) -> bool:
    return len(word) == 1


@lru_cache(TOKENS_KEPT)
def _parts(token: str) -> tuple[str, ...]:
    """The folds of what a token holds: a name, and perhaps the title that is written in one with it."""
    latin = to_latin(token)
    fused = _FUSED.search(latin)
    if fused and fold(latin[: fused.start()]) not in _PREFIXES:  # Sridevi is a name.
        return fold(latin[: fused.start()]), fold(fused.group())
    return (fold(latin),) if latin else ()


_kept_key = lru_cache(NAMES_KEPT)(_key)


@lru_cache(TOKENS_KEPT)
def _kept_sound(fold: str, coarse: bool) -> str:  # noqa: FBT001 - by place, which is faster to remember by
    return sound(fold, coarse=coarse)
