"""Names of people and institutions: cleaned on the way in, and keyed so that spellings of one name meet.

Two keys a token: `fold` keeps the vowels and evens out how they are written (Suneeta, Sunita, सुनीता); `skeleton` keeps
the consonants alone, by how they sound (Vimla, Bimala), and is what blocking and "sounds alike" stand on.
"""

import re
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

from services.kernel.errors import Invalid

NAME_LENGTH_MAX = 100


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


# --- Script to Latin. The nine Brahmic blocks from Devanagari to Malayalam follow one order (ISCII's), 128 code points
# apart, so that one table by offset serves them all. `_SCHWA` is the vowel that a consonant has where none is written.

_SCHWA = "ə"
_FIRST, _LAST, _BLOCK = 0x0900, 0x0D7F, 0x80
_SAYS_SCHWA_FROM = 0x0B00  # Odia and the scripts of the south say the last vowel: సునీత is sunita, but सुनीत is sunit.
_SAYS_M_FROM = 0x0C00  # Telugu, Kannada and Malayalam end in m where the north ends in n: సత్యం is satyam.
_VIRAMA, _NUKTA, _NASALS = 0x4D, 0x3C, (0x01, 0x02)


def _row(start: int, sounds: str) -> dict[int, str]:
    return dict(enumerate(sounds.split(), start))


_CONSONANTS = _row(0x15, "k kh g gh n ch chh j jh n t th d dh n t th d dh n n p ph b bh m y r r l l zh v sh sh s h") | _row(0x58, "k kh g z r rh f y")
_VOWELS = _row(0x05, "a a i i u u ri li e e e ai o o o au") | _row(0x60, "ri li")
_SIGNS = _row(0x3E, "a i i u u ri ri e e e ai o o o au")
_DOTTED = {0x1C: "z", 0x21: "r", 0x22: "rh", 0x2B: "f", 0x38: "sh"}  # What a nukta makes of a consonant.
# Where a script goes its own way. Tamil's one letter for s and ch is more often s.
_OWN_CONSONANTS = {"ৰ": "r", "ৱ": "v", "ୱ": "v", "ச": "s"}
_OWN_CLOSED = {"ৎ": "t", "ੰ": "n", "ੱ": "", "ൺ": "n", "ൻ": "n", "ർ": "r", "ൽ": "l", "ൾ": "l", "ൿ": "k"}  # No vowel follows.


def _sounds(letters: str) -> list[str]:
    """The consonants and vowels of a word in a Brahmic script, one by one."""
    sounds: list[str] = []
    before = ""
    for letter in letters:
        offset = (ord(letter) - _FIRST) % _BLOCK
        if letter in _OWN_CLOSED:
            sounds.append(_OWN_CLOSED[letter])
        elif consonant := _OWN_CONSONANTS.get(letter) or _CONSONANTS.get(offset):
            sounds += [consonant, _SCHWA]
        elif offset in _VOWELS:
            sounds.append(_VOWELS[offset])
        elif offset in _NASALS:
            sounds.append("n")
        elif sounds[-1:] == [_SCHWA]:  # What follows changes the consonant before it.
            if offset in _SIGNS:
                sounds[-1] = _SIGNS[offset]
            elif offset == _VIRAMA:
                sounds.pop()
            elif offset == _NUKTA:
                sounds[-2] = _DOTTED.get((ord(before) - _FIRST) % _BLOCK, sounds[-2])
        before = letter
    return [sound for sound in sounds if sound]


def _is_vowel(sound: str) -> bool:
    return sound[0] in "aeiou" + _SCHWA or sound in ("ri", "li")


def _without_silent(sounds: list[str]) -> list[str]:
    """Hindi and its neighbours do not say every schwa: कमला is kamla, रमेश is ramesh."""
    said = list(sounds)
    for place in range(len(said) - 1, 1, -1):
        after = [_is_vowel(sound) for sound in said[place + 1 : place + 3]]
        if said[place] == _SCHWA and _is_vowel(said[place - 2]) and after in ([], [False, True]):
            del said[place]
    return said


def to_latin(token: str) -> str:
    """The token in small Latin letters. What is in a script without a table stays as it is, and then meets only itself."""
    brahmic = "".join(letter for letter in unicodedata.normalize("NFC", token) if _FIRST <= ord(letter) <= _LAST)
    if not brahmic:
        return "".join(letter for letter in unicodedata.normalize("NFKD", token.casefold()) if unicodedata.category(letter) in {"Ll", "Lo", "Mc"})
    sounds = _sounds(brahmic)
    if ord(brahmic[-1]) >= _SAYS_M_FROM and (ord(brahmic[-1]) - _FIRST) % _BLOCK in _NASALS:
        sounds[-1] = "m"
    if ord(brahmic[0]) < _SAYS_SCHWA_FROM:
        sounds = _without_silent(sounds)
    return "".join(sounds).replace(_SCHWA, "a")


# --- Spelling to sound: habits of writing Indian names in Latin letters, applied one after the other.

_END = "(?=[^aeiouy]|$)"  # The syllable ends here.
_FOLD = (
    ("(?<=[ao])w" + _END, "u"),  # Chowdhury
    ("ck|q", "k"),
    ("x", "ks"),
    ("ph", "f"),
    ("w", "v"),
    ("zh", "l"),
    ("chh|chch|cch", "ch"),
    ("jn|dny", "gy"),  # Jnan, Dnyan, Gyan
    ("aa+", "a"),
    ("ee+|ii+|ie", "i"),
    ("oo+|uu+", "u"),
    ("(?<=[^aeiou])y" + _END, "i"),  # Chowdhury
    ("iy(?=[aeou])", "i"),  # Priya, Pria
    ("a(?:y[ei]|[eiy])" + _END + "|e[iy]" + _END, "e"),  # Aisha, Ayesha
    ("[ao]u", "o"),
    ("(?<=[aeiou])h$", ""),  # Fatimah
    (r"(.)\1+", r"\1"),
    ("n(?=[pb])", "m"),  # Champa
)
_SKELETON = (
    ("c(?=[eiy])", "s"),
    ("c(?!h)", "k"),
    ("v", "b"),  # Vimla, Bimla
    ("f", "p"),
    ("z", "j"),
    ("sh", "s"),
    ("ks", "ch"),  # Lakshmi, Laxmi, Lachhmi
    ("(?<=[bcdgjkprt])h", ""),
    ("^y(?=[aeou])", "j"),  # Yashoda, Jasoda
    ("^a", "A"),
    ("^[ei]", "I"),
    ("^[ou]", "U"),
    ("(?<=.)[aeiouhy]", ""),
)
NAMES_KEPT = 1 << 16  # Whole names; the common ones come again and again.
TOKENS_KEPT = 1 << 17  # A state of a crore has some three lakh distinct tokens; the common ones are what counts.


# Compiled here once: looking a pattern up each time takes as long as applying it.
_FOLDED, _SOUNDED = (tuple((re.compile(spelt).sub, said) for spelt, said in habits) for habits in (_FOLD, _SKELETON))


def _apply(habits: tuple[tuple[Callable[[str, str], str], str], ...], word: str) -> str:
    for replaced, said in habits:
        word = replaced(said, word)
    return word


@lru_cache(TOKENS_KEPT)
def fold(token: str) -> str:
    """The token with its vowels, evenly spelt: Suneeta, Sunita and सुनीता are one."""
    return _apply(_FOLDED, to_latin(token))


@lru_cache(TOKENS_KEPT)
def skeleton(token: str) -> str:
    """The consonants as they sound, and the kind of a vowel at the start: Vimla and Bimala are one, Usha and Asha are two."""
    return sound(fold(token))


def sound(folded: str) -> str:
    """The skeleton of what is folded already."""
    return _apply(_SOUNDED, folded) or folded


# --- Whole names.

_PREFIX_WORDS = "smt shrimati srimati shrimti sushri shri sri shree km kum ku miss mrs mr ms late lt dr md mohd mohammad mohammed sk"
_TITLE_WORDS = "devi debi kumari kumar kunwar begum begam bibi bewa khatoon khatum bano banu kaur bai ben behen bahen rani amma ammal"
_PREFIXES = frozenset(map(fold, _PREFIX_WORDS.split()))
_TITLES = frozenset(map(fold, _TITLE_WORDS.split()))  # Some are names too, where nothing else is there.
_FUSED = re.compile(r"(?<=...)(?:devi|debi|kumari|bai|ben|begum|begam|bibi|khatoon|khatun)$")  # Sunitadevi
_RELATION = re.compile(r"^\s*[cdsw]\s*/\s*o\b", re.IGNORECASE)  # "W/o Ramesh"
_BETWEEN = re.compile(r"[\s.,;:()/_\-]+")


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


@lru_cache(NAMES_KEPT)
def name_key(name: str) -> NameKey:
    """The keys of a whole name. Titles and honorifics are split off, unless they are all there is; initials go last."""
    words: list[str] = []
    titles: list[str] = []
    for token in _BETWEEN.split(_RELATION.sub("", name)):
        latin = to_latin(token)
        fused = _FUSED.search(latin)
        for part in (latin[: fused.start()], fused.group()) if fused else (latin,):
            if part and fold(part) not in _PREFIXES:
                (titles if fold(part) in _TITLES else words).append(part)
    if not words:
        words, titles = titles[:1], titles[1:]
    words.sort(key=lambda word: len(word) == 1)
    return NameKey(" ".join(titles), " ".join(map(fold, words)), " ".join(map(skeleton, words)))
