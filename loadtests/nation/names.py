"""Invented names, noted down by their sounds, so that one note gives the Latin spellings and nine scripts.

A capital is the long, breathed or soft one: A aa, I ee, U oo, E ai, O au; K kh, G gh, C chh, J jh, T th, D dh, P ph, B bh, S sh;
w and W are the hard t and d; - is a vowel that no Latin spelling shows. Which names are common, and how common, is assumed here: no
list of real people stands behind it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, lru_cache

import numpy as np

from services.kernel.statefile import StateFile

VOWELS = {"a": 0x05, "A": 0x06, "i": 0x07, "I": 0x08, "u": 0x09, "U": 0x0A, "e": 0x0F, "E": 0x10, "o": 0x13, "O": 0x14}
SIGNS = {"a": 0, "A": 0x3E, "i": 0x3F, "I": 0x40, "u": 0x41, "U": 0x42, "e": 0x47, "E": 0x48, "o": 0x4B, "O": 0x4C}
CONSONANTS = dict(
    zip(
        "kKgGcCjJwWtTdDnpPfbBmyrlvSsh",
        bytes.fromhex("15161718 1A1B1C1D 1F21 2425262728 2A2B2B2C2D2E 2F303235 363839"),
        strict=True,
    )
)
VIRAMA = 0x4D
# The scripts by the languages that are written in them: where the block begins, and the sounds that it writes with another letter.
DEVANAGARI, BENGALI, GURMUKHI, GUJARATI, ODIA, TAMIL, TELUGU, KANNADA, MALAYALAM = range(0x0900, 0x0D80, 0x80)
SCRIPTS = {"hi": DEVANAGARI, "mr": DEVANAGARI, "ne": DEVANAGARI, "kok": DEVANAGARI, "bn": BENGALI, "as": BENGALI, "mni": BENGALI}
SCRIPTS |= {"pa": GURMUKHI, "gu": GUJARATI, "or": ODIA, "ta": TAMIL, "te": TELUGU, "kn": KANNADA, "ml": MALAYALAM}
INSTEAD = {BENGALI: str.maketrans("v", "b"), GURMUKHI: str.maketrans("S", "s"), TAMIL: str.maketrans("KgGCJWTdDPfbB", "kkkcjwtttpppp")}

LATIN = {"K": "kh", "G": "gh", "c": "ch", "C": "chh", "J": "jh", "w": "t", "W": "d", "T": "th", "D": "dh", "P": "ph", "B": "bh", "S": "sh"}
LATIN |= {"A": "a", "I": "i", "U": "u", "E": "ai", "O": "au", "-": ""}
# How registrars write otherwise than most; each habit is one registrar's.
HABITS: Sequence[dict[str, str]] = ({}, {"I": "ee", "U": "oo"}, {"S": "s", "v": "w", "E": "ay"}, {"A": "aa", "P": "f", "v": "b"})

# Name by name how often it comes, in thousandths of all that are not of the tail.
WOMEN = {
    30: "sunItA",
    20: "gItA mInA anItA reKA suSIlA urmilA puSpA mAyA SAnti sarItA",
    13: "rADA sItA mam-tA kam-lA vim-lA nirm-lA sumitrA sAvitrI lakSmI pArv-tI kiran pUnam rInA binA sImA ASA manju saroj rAnI gangA",
    8: "jyoti kAncan rItA nIlam Silpa kusum BAr-tI gOrI campA durgA tArA kalAv-tI prBA pramilA sangItA ramA umA kAlI Anandi"
    " PUlm-tI kavitA babitA suDA indu DanvantI bAsm-tI munnI guddI lal-tA savitA Ar-tI pinkI rUpA mIrA SobA nandini vandnA raj-nI ilA",
}
WOMEN_MUSLIM = {
    40: "SabnA najmA rubInA salmA",
    25: "rehAnA nUrjahAn hasInA SAhIn firdOs sAirA rasIdA mumtAj farjAnA jarInA",
    15: "AbidA ruKsAnA tabassum SamIm kulsum jubEdA sakInA mariyam AISA nasrIn ruksAr bilkIs hamIdA safInA",
}
MEN = {
    28: "rameS",
    20: "rajeS sanjay manoj rAkeS sureS mukeS dineS mahendra vijay rAju",
    12: "aSok rAm mohan kiSan sohan sunIl anil rAmu SyAm rAjendra surendra narendra dilIp pramod vinod santoS arun jag-dIS harI ganeS",
    8: "lAlU Bola Siv-nAT rAm-pAl babUlAl munnA kAlU BImA gopAl kriSnA arjun mahAvIr bisnu Dani naTU pappU guddU kamleS avDeS SatruGan",
}
MEN_MUSLIM = {
    40: "salIm rafIk akbar yusuf",
    25: "rahmat ismAIl iliyAs jAvid KAlid aslam anvar nasIm hAmid raSId",
    15: "SaKIl ikbAl mustAk sAbir kAsim idrIs jamAl faj-l munavar",
}
SURNAMES = {
    40: "yAdav kumAr sinG",
    20: "pAsvAn mahto sahnI rAm gupta mOrya prajApti verma SarmA niSAd",
    10: "kahAr pAl baGel loDI rAjBar binda sonkar GosI dAs rAy munda oraOn soren mAnjI neTAm marAvI BIl mInA gAvit cODrI",
}
SURNAMES_MUSLIM = {40: "KAn ansArI SeK", 20: "manSUrI idrIsI kuresI fakIr sAh"}
TAIL_SHARE = 0.16
TAIL_NAMES = 20_000
TAIL_SHIFT, TAIL_POWER = 10.0, 1.1  # Zipf and Mandelbrot's law.

# What stands after a woman's first name, by language: the usual title, and the one of the unmarried or the second most usual.
TITLES = {
    "hi": ("devI", "kumArI"),
    "mr": ("bAI", "tAI"),
    "gu": ("ben", "bA"),
    "pa": ("kOr", "kumArI"),
    "bn": ("devI", "rAnI"),
    "or": ("devI", "dAsI"),
}
TITLES |= {"ta": ("ammAl", "selvi"), "te": ("ammA", "kumArI"), "kn": ("ammA", "bAI"), "ml": ("ammA", "kumArI")}
TITLES_MUSLIM = ("KAtUn", "bAno")

PLACES = (
    "rAm kiSan lakSman moti hIrA Siv sItA gopAl mADo Bagvan nayA barA cotA kalyAn raGu jagat dIn hari prem sundar",
    "pur nagar ganj gAnv bAd garh",
)


@lru_cache(1 << 17)
def latin(sounds: str, habit: int = 0) -> str:
    """The name in Latin letters, its first a capital."""
    own = LATIN | HABITS[habit]
    return "".join(own.get(sound, sound) for sound in sounds).capitalize()


@lru_cache(1 << 17)
def script(sounds: str, block: int) -> str:
    """The name in the script whose block begins there."""
    written: list[str] = []
    before = ""
    for sound in sounds.translate(INSTEAD.get(block, {})):
        if sound in VOWELS:
            if sign := (SIGNS if before in CONSONANTS else VOWELS)[sound]:
                written.append(chr(block + sign))
        elif sound in CONSONANTS:
            if before in CONSONANTS:
                written.append(chr(block + VIRAMA))
            written.append(chr(block + CONSONANTS[sound]))
        before = sound
    # Where the last vowel is said unless it is struck out, it is struck out.
    return "".join(written) + (chr(block + VIRAMA) if before in CONSONANTS and block >= ODIA else "")


def language(state: StateFile) -> str:
    """The first language of a state that is written in one of the nine scripts; empty where it writes in Latin letters alone."""
    return next((one for one in state.languages if one in SCRIPTS), "")


@dataclass(frozen=True)
class Stock:
    """Names with how often they come. `spelt` has a row a name and a column a habit; `chance` adds up to 1."""

    sounds: list[str]
    spelt: list[tuple[str, ...]]
    chance: np.ndarray[tuple[int], np.dtype[np.float64]]

    def draw(self, dice: np.random.Generator, count: int) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
        """The places of that many names."""
        return np.searchsorted(self.chance, dice.random(count)).clip(max=len(self.sounds) - 1)


def _tail(ending: str, seed: int) -> list[str]:
    """Rare names, made of syllables; the same ones every time."""
    dice = np.random.default_rng(seed)
    syllables = [consonant + vowel for consonant in "bcdgjklmnprstvShBDK" for vowel in "aAiIuUeo"]
    middles = dice.choice(syllables, (TAIL_NAMES, 2))
    long = dice.random(TAIL_NAMES) < 0.6
    lasts = dice.choice([consonant + ending for consonant in "dglmnrtvjk"], TAIL_NAMES)
    made = [one + (two if three else "") + last for (one, two), three, last in zip(middles.tolist(), long.tolist(), lasts.tolist(), strict=True)]
    return list(dict.fromkeys(made))


def _stock(head: dict[int, str], ending: str, seed: int) -> Stock:
    names, weights = zip(*((name, weight) for weight, words in head.items() for name in words.split()), strict=True)
    tail = _tail(ending, seed)
    shares = np.concatenate(
        [
            np.array(weights) / sum(weights) * (1 - TAIL_SHARE),
            (ranks := 1 / (np.arange(len(tail)) + TAIL_SHIFT) ** TAIL_POWER) / ranks.sum() * TAIL_SHARE,
        ]
    )
    sounds = [*names, *tail]
    return Stock(sounds, [tuple(latin(name, habit) for habit in range(len(HABITS))) for name in sounds], np.cumsum(shares))


@cache
def women() -> tuple[Stock, Stock]:
    """The first names of Hindu and of Muslim women; the first stands for all who are not Muslim."""
    return _stock(WOMEN, "A", 1), _stock(WOMEN_MUSLIM, "A", 2)


@cache
def men() -> tuple[Stock, Stock]:
    return _stock(MEN, "", 3), _stock(MEN_MUSLIM, "", 4)


@cache
def surnames() -> tuple[Stock, Stock]:
    return _stock(SURNAMES, "", 5), _stock(SURNAMES_MUSLIM, "", 6)


def place_names(dice: np.random.Generator, count: int) -> list[str]:
    """The sounds of as many names of places."""
    firsts, seconds = (words.split() for words in PLACES)
    return [f"{first}{second}" for first, second in zip(dice.choice(firsts, count).tolist(), dice.choice(seconds, count).tolist(), strict=True)]
