"""From Latin letters to sound: habits of writing Indian names, as tables that are applied from top to bottom."""

import re
from collections.abc import Callable

_END = "(?=[^aeiouy]|$)"  # The syllable ends here.
_FOLD = (
    ("(?<=[ao])w(?=[^aeiouyw])", "u"),  # Chowdhury
    ("(?<=.)ao$", "av"),  # Rao, రావు
    ("ck", "k"),
    ("ique$", "iki"),  # Siddique, Siddiqui
    ("qu(?=[ei])|q", "k"),
    ("x", "ks"),
    ("shr", "sr"),  # Shri, Sri
    ("aiah$", "aya"),  # Ramaiah, Ramayya
    ("(?<=nd)[ae]r$", "ar"),  # Surinder
    ("^m[ou]ham+[ae]d$", "mohamad"),
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
    ("khs", "ks"),  # Rukhsana, Ruksana
    ("ks", "ch"),  # Lakshmi, Laxmi, Lachhmi
    ("tch", "ch"),  # Latchumi
    ("th?s|ls(?=ala)", "s"),  # Jyotsna, Jyosna; Valsala
    ("ny(?=[ou])", "nj"),  # Sanyukta, Sanjukta
    ("(?<=n)iam$", "ian"),  # Subramaniam
    ("(?<=s)b(?=am[iy]|apn)", ""),  # Ramaswamy, Ramasamy; Swapna, Sapna
    ("n(?:gha?|g|h)$", "n"),  # Singh, सिंह
    ("(?<=[bcdgjkprt])h", ""),
    ("^y(?=[aou])", "j"),  # Yashoda, Jasoda
    ("^ye", "e"),  # Yellamma, Ellamma
    ("^a", "A"),
    ("^[ei]", "I"),
    ("^[ou]", "U"),
    ("(?<=.)[aeiouhy]", ""),
)
COARSE = str.maketrans("gdbcj", "ktpss")  # A script that writes hard and soft alike leaves the ear no other choice.

_Habits = tuple[tuple[Callable[[str, str], str], str], ...]


def _compiled(habits: tuple[tuple[str, str], ...]) -> _Habits:
    # Once: looking a pattern up each time takes as long as applying it.
    return tuple((re.compile(spelt).sub, said) for spelt, said in habits)


_FOLDED, _SOUNDED = _compiled(_FOLD), _compiled(_SKELETON)


def _apply(habits: _Habits, word: str) -> str:
    for replaced, said in habits:
        word = replaced(said, word)
    return word


def folded(latin: str) -> str:
    """Evenly spelt, its vowels kept."""
    return _apply(_FOLDED, latin)


def sounded(fold: str) -> str:
    """The consonants of what is folded, as they sound, and the kind of a vowel at the start."""
    return _apply(_SOUNDED, fold) or fold
