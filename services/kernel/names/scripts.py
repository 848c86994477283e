"""From a script to small Latin letters: what is written is looked up letter by letter, after each script's own habits.

The nine Brahmic blocks from Devanagari to Malayalam follow one order (ISCII's), 128 code points apart, so that one table by
offset serves them all. Urdu, Ol Chiki and Meetei Mayek have tables of their own.
"""
# ruff: noqa: RUF001 - letters of other scripts are what stands here

import re
import unicodedata
from collections.abc import Callable, Iterable
from enum import IntEnum

SCHWA = "ə"  # The vowel that a consonant has where none is written.


class _Is(IntEnum):
    """What a letter does to the sounds before it."""

    NOTHING = 0
    CONSONANT = 1  # A vowel follows, if only the unwritten one.
    CLOSED = 2  # A consonant that no vowel follows.
    VOWEL = 3
    SIGN = 4  # Takes the unwritten vowel's place, and is nothing elsewhere.
    LENGTH = 5  # Takes the unwritten vowel's place, and is a vowel elsewhere.
    STRIKES = 6  # Takes the unwritten vowel away.
    DOT = 7
    BREATH = 8


_Letters = dict[str, tuple[_Is, str]]

_BRAHMIC_FIRST, _BRAHMIC_LAST, _BLOCK = 0x0900, 0x0D7F, 0x80
_SAYS_SCHWA_FROM = "\u0b00"  # Odia and the scripts of the south say the last vowel: సునీత is sunita, but सुनीत is sunit.
_SAYS_M = "ంಂം"  # Telugu, Kannada and Malayalam end in m where the north ends in n: సత్యం is satyam.

# By offset in a block: the sounds from there on, one code point after the other.
_BRAHMIC_ROWS = (
    (0x01, _Is.CLOSED, "n n"),
    (0x05, _Is.VOWEL, "a a i i u u ri li e e e ai o o o au"),
    (0x15, _Is.CONSONANT, "k kh g gh n ch chh j jh n t th d dh n t th d dh n n p ph b bh m y r r l l zh v sh sh s h"),
    (0x3C, _Is.DOT, "-"),
    (0x3E, _Is.SIGN, "a i i u u ri ri e e e ai o o o au"),
    (0x4D, _Is.STRIKES, "-"),
    (0x58, _Is.CONSONANT, "k kh g z r rh f y"),
    (0x60, _Is.VOWEL, "ri li"),
)
# Where a script goes its own way. Tamil's one letter for s and ch is more often s; Bengali's and Odia's y is j, and v is b.
_OWN_ROWS = (
    (_Is.CONSONANT, "ৰ:r ৱ:v ୱ:v ச:s য:j ଯ:j ౘ:ch ౙ:j ౚ:r ೞ:l"),
    (_Is.CLOSED, "ৎ:t ੰ:n ൺ:n ൻ:n ർ:r ൽ:l ൾ:l ൿ:k ൔ:m ൕ:y ൖ:l"),
    (_Is.VOWEL, "ॲ:a"),
    (_Is.SIGN, "ൗ:au"),
    (_Is.NOTHING, "ੱ: ஃ:"),
    # Urdu, with the letters that Sindhi and Kashmiri add. A vowel that is not written is the unwritten one.
    (_Is.CONSONANT, "ب:b پ:p ت:t ٹ:t ث:s ج:j چ:ch ح:h خ:kh د:d ڈ:d ذ:z ر:r ڑ:r ز:z ژ:z س:s ش:sh ص:s ض:z ط:t ظ:z غ:gh ف:f ق:k ک:k گ:g"),
    (_Is.CONSONANT, "ل:l م:m ن:n ہ:h ٻ:b ڀ:bh ٿ:th ٽ:t ٺ:t ڄ:j ڃ:n ڇ:ch ڌ:dh ڏ:d ڊ:d ڍ:d ڦ:ph ڪ:k ڳ:g ڱ:n ڻ:n ڙ:r"),
    (_Is.CLOSED, "ں:n ً:n"),
    (_Is.VOWEL, "آ:a ئ:i ؤ:o"),
    (_Is.LENGTH, "ا:a ع:a ی:i و:u ے:e ۓ:e ٰ:a َ:a ِ:i ُ:u ۆ:o ۄ:o ۍ:e"),
    (_Is.STRIKES, "ْ:-"),
    (_Is.BREATH, "ھ:h"),
    # Ol Chiki writes every vowel.
    (_Is.CLOSED, "ᱛ:t ᱜ:g ᱝ:n ᱞ:l ᱠ:k ᱡ:j ᱢ:m ᱣ:w ᱥ:s ᱦ:h ᱧ:n ᱨ:r ᱪ:ch ᱫ:d ᱬ:n ᱭ:y ᱯ:p ᱰ:d ᱱ:n ᱲ:r ᱴ:t ᱵ:b ᱶ:w ᱷ:h ᱸ:n"),
    (_Is.VOWEL, "ᱚ:o ᱟ:a ᱤ:i ᱩ:u ᱮ:e ᱳ:o"),
    # Meetei Mayek.
    (_Is.CONSONANT, "ꯀ:k ꯁ:s ꯂ:l ꯃ:m ꯄ:p ꯅ:n ꯆ:ch ꯇ:t ꯈ:kh ꯉ:ng ꯊ:th ꯋ:w ꯌ:y ꯍ:h ꯐ:ph ꯒ:g ꯓ:jh ꯔ:r ꯕ:b ꯖ:j ꯗ:d ꯘ:gh ꯙ:dh ꯚ:bh"),
    (_Is.CLOSED, "ꯛ:k ꯜ:l ꯝ:m ꯞ:p ꯟ:n ꯠ:t ꯡ:ng ꯪ:ng"),
    (_Is.VOWEL, "ꯎ:u ꯏ:i ꯑ:a ꯢ:i"),
    (_Is.LENGTH, "ꯣ:o ꯤ:i ꯥ:a ꯦ:e ꯧ:ou ꯨ:u ꯩ:ei"),
    (_Is.STRIKES, "꯭:-"),
)
_DOTTED = dict(zip("jdd", ("z", "r", "r"), strict=True)) | {"dh": "rh", "ph": "f", "s": "sh"}  # What a dot makes of a consonant.


def _letters() -> _Letters:
    found: _Letters = {}
    for block in range(_BRAHMIC_FIRST, _BRAHMIC_LAST, _BLOCK):
        for start, kind, sounds in _BRAHMIC_ROWS:
            found |= {chr(block + place): (kind, sound) for place, sound in enumerate(sounds.split(), start)}
    for kind, row in _OWN_ROWS:
        found |= {letter: (kind, sound) for letter, _, sound in (one.partition(":") for one in row.split())}
    return found


_LETTERS = _letters()

# --- Habits of a script, in its own letters; where it has none for a sound it borrows Devanagari's.

_SHORT_I = (
    "قبال|سلام|سماع|رشاد|براہ|کرام|نعام|حسان|ظہار|متیاز|شتیاق|فتخار|لیاس|دریس|مران|شرت|صمت|فت|نایت|رفان|لہام|رم|سرار|عجاز|فشاں|نتظار|خلاص|شا|مام"
)
_SHORT_U = "مر|ثما|مید|میش|سام|ظمی|بید|روج|لفت|ذرا|رمی"
_TAMIL_VOICES = "(?:(?<=[^்])|(?<=[ஙஞணநமன]்))"  # Between vowels and after a nasal.
_HABITS: dict[str, tuple[tuple[str, str], ...]] = {
    "BENGALI": (
        ("য\u09bc|(?<=্)য", "य"),  # সন্ধ্যা is sandhya and মায়া maya, but যমুনা is jamuna.
        ("(?<=[সশষতদধজ]্)ব", "ৱ"),  # স্বপ্না is swapna.
    ),
    "ORIYA": (("(?<=୍)ଯ", "ୟ"),),
    "TAMIL": (
        ("ட்சு?(?=மி)", "க்ஷ்"),  # லட்சுமி is Lakshmi.
        ("ட்ச", "க்ஷ"),
        ("^இ(?=[லர])", ""),  # இராணி is Rani.
        ("(?<=^ம)க(?=[ாே])", "ஹ"),  # மகாலட்சுமி is Mahalakshmi.
        ("ஃப", "फ़"),
        ("ற்ற", "ட்ர"),
        ("ச்ச", "च"),
        ("ஞ்ச", "ஞ்ज"),
        (f"{_TAMIL_VOICES}க(?!்)", "ग"),
        (f"{_TAMIL_VOICES}ட(?!்)", "ड"),
        (f"{_TAMIL_VOICES}ப(?!்|ூர்)", "ब"),  # But ராம்பூர் is Rampur.
    ),
    "MALAYALAM": (
        ("ന്റ", "ന്ട"),
        ("റ്റ", "ട"),
        ("പത്മ", "പദ്മ"),
        ("ഞ്ഞ", "ഞ്ജ"),  # കുഞ്ഞമ്മ is Kunjamma.
    ),
    "ARABIC": (
        ("[يى]", "ی"),
        ("[كڪ]", "ک"),
        ("[ههةۃۂەۀ]", "ہ"),
        ("[أإٱ]", "ا"),
        ("[ءّٓٔـ]", ""),
        ("یٰ", "ا"),  # سلمیٰ is Salma.
        ("(?:(?<=^.ا[^اوی])|(?<=^آ[^اوی]))(?=[^اویہےں]ہ?$)(?<!ن)", "ِ"),  # فاطمہ is Fatima and طاہر Tahir, but چاند is Chand.
        ("ن(?=[دڈ])", "نْ"),
        ("^م(?=.تا.$)", "मु"),  # ممتاز is Mumtaz.
        ("^محمد$", "मोहम्मद"),
        ("(?<=ج)(?=ہا)", "َ"),  # جہاں is Jahan.
        ("(?<=.)النسا", "ुन्निसा"),  # مہرالنساء is Mehrunnisa.
        ("(?<=عبد)ال", "ुल"),
        ("(?<=^[ام]ن)و(?=ر)", "व"),  # انور is Anwar, but نور is Noor.
        (f"^[اع](?={_SHORT_I})", "इ"),
        (f"^[اع](?={_SHORT_U})", "उ"),
        ("^[اع]ی(?![اوی])", "ए"),
        ("^[اع]و", "ओ"),
        ("^عا", "ا"),
        ("(?<!ی)وتی$", "वती"),  # پاروتی is Parvati, but جیوتی is Jyoti.
        ("^ی|ی(?=[اآ]|و(?![اآیےہ]))", "य"),
        ("^و|و(?=[اآیے])|(?<=ا)و|و(?=ہ$)", "व"),
        ("(?<=[^اوआ])ہ$", "ا"),  # شبانہ is Shabana, but شاہ is Shah.
        ("ئ(?=[یے])", ""),
    ),
}
_Habit = tuple[Callable[[str, str], str], str]


def _compiled(habits: Iterable[tuple[str, str]]) -> tuple[_Habit, ...]:
    return tuple((re.compile(written).sub, meant) for written, meant in habits)


# Which letters are whose; the first that a letter fits. What is nobody's is read as Latin.
_BLOCKS = {
    "BENGALI": "\u0980-\u09ff",
    "ORIYA": "\u0b00-\u0b7f",
    "TAMIL": "\u0b80-\u0bff",
    "MALAYALAM": "\u0d00-\u0d7f",
    "BRAHMIC": "\u0900-\u0d7f",
    "ARABIC": "\u0600-\u06ff\u0750-\u077f\ufb50-\ufdff\ufe70-\ufefe",
    "LETTERED": "\u1c50-\u1c7f\uabc0-\uabff",  # Ol Chiki and Meetei Mayek, which have no habits.
}
_RUNS = re.compile("|".join(f"(?P<{script}>[{letters}]+)" for script, letters in _BLOCKS.items()) + f"|(?P<LATIN>[^{''.join(_BLOCKS.values())}]+)")
_OF_SCRIPT = {script: _compiled(habits) for script, habits in _HABITS.items()}
_STOPS = frozenset({"k", "kh", "g", "gh", "ch", "j", "t", "th", "d", "dh", "p", "b", "bh", "h"})
_CLOSES_ON_NASALS = frozenset({"BRAHMIC", "ARABIC"})  # सिंह is singh and چاند chand, but আনন্দ is ananda.
_UNSEEN = re.compile("[\u00ad\u034f\u061c\u180b-\u180e\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufe00-\ufe0f\ufeff\ufff9-\ufffb\U000e0000-\U000e0fff]")
_LOOKALIKES = str.maketrans("аеорсухіѕјһԁ", "aeopcyxisjhd")  # Cyrillic letters that pass for Latin ones.
_KEPT = frozenset({"Ll", "Lo", "Mc"})


def _sounds(letters: str) -> list[str]:
    """The consonants and vowels of a word, one by one."""
    sounds: list[str] = []
    for letter in letters:
        kind, sound = _LETTERS.get(letter, (_Is.NOTHING, ""))
        if kind == _Is.CONSONANT:
            sounds += (sound, SCHWA)
        elif kind in (_Is.CLOSED, _Is.VOWEL):
            sounds.append(sound)
        elif sounds and sounds[-1] == SCHWA:  # What follows changes the consonant before it.
            if kind in (_Is.SIGN, _Is.LENGTH):
                sounds[-1] = sound
            elif kind == _Is.STRIKES:
                sounds.pop()
            elif kind == _Is.DOT:
                sounds[-2] = _DOTTED.get(sounds[-2], sounds[-2])
            elif kind == _Is.BREATH:
                sounds[-2] += sound
        elif kind == _Is.LENGTH:
            sounds.append(sound)
    return sounds


def _is_vowel(sound: str) -> bool:
    return sound[0] in "aeiou" + SCHWA or sound in ("ri", "li")


def _without_silent(sounds: list[str], script: str) -> list[str]:
    """Hindi and its neighbours do not say every schwa: कमला is kamla, रमेश is ramesh; Bengali leaves out the last alone."""
    said = list(sounds)
    if said[-1:] == [SCHWA] and len(said) > 2 and (_is_vowel(said[-3]) or (said[-3] == "n" and said[-2] in _STOPS and script in _CLOSES_ON_NASALS)):
        said.pop()
    for place in range(len(said) - 3 if script != "BENGALI" else 1, 1, -1):
        if said[place] == SCHWA and _is_vowel(said[place - 2]) and not _is_vowel(said[place + 1]) and _is_vowel(said[place + 2]):
            del said[place]
    return said


def _said(script: str, written: str) -> str:
    if script == "LATIN":
        spelt = unicodedata.normalize("NFKD", written.casefold().translate(_LOOKALIKES))
        return "".join(letter for letter in spelt if unicodedata.category(letter) in _KEPT)
    word = unicodedata.normalize("NFKC" if script == "ARABIC" else "NFC", written)
    for replaced, meant in _OF_SCRIPT.get(script, ()):
        word = replaced(meant, word)
    sounds = _sounds(word)
    if word[-1:] in _SAYS_M and sounds[-1:] == ["n"]:
        sounds[-1] = "m"
    if written[0] < _SAYS_SCHWA_FROM:
        sounds = _without_silent(sounds, script)
    return "".join(sounds).replace(SCHWA, "a")


def seen(text: str) -> str:
    """The text without the marks that no eye sees: joiners, directions, variants."""
    return text if text.isascii() else _UNSEEN.sub("", text)


def to_latin(token: str) -> str:
    """The token in small Latin letters. What is in a script without a table stays as it is, and then meets only itself."""
    if token.isascii():
        return token.lower() if token.isalpha() else "".join(filter(str.isalpha, token)).lower()
    return "".join(_said(str(run.lastgroup), run.group()) for run in _RUNS.finditer(unicodedata.normalize("NFC", seen(token))))
