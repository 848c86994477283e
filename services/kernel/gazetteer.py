"""Names of places, found as people write them: by their beginning or by their sound, in any script, together or apart.

Rows are numbered in the order in which they come. What is kept is text and arrays, for a nation has 6 lakh villages.
"""

import re
from array import array
from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from functools import lru_cache, reduce
from itertools import accumulate

from services.kernel.errors import Invalid
from services.kernel.names import fold, sound
from services.kernel.region import Level

TEXT_LENGTH_MAX = 100
WORDS_KEPT = 1 << 16
SOUND_LENGTH_MIN = 3  # A shorter beginning of a sound is the beginning of too many.

_ROW_BITS = 28  # A number is the level above the row, so that wider places come first, and then those that come first.
_ROW = (1 << _ROW_BITS) - 1
_BETWEEN = re.compile(r"[\s.,;:()/_\-'\"&]+")
_RUNS = re.compile(r"\d+|\D+")  # "12LNP" and "१२" hold numbers, which no letters' key keeps.
_DIGIT = re.compile(r"\d")
_DOUBLED = re.compile(r"(\D)\1+")
_MEETING_N = re.compile("n(?=[pb])")


def _words(text: str, spelt: Callable[[str], str]) -> list[str]:
    """The words of a name, each as `spelt` evens out how it is written."""
    return [word for word in (_word(word, spelt) for word in _BETWEEN.split(text)) if word]


def _word(word: str, spelt: Callable[[str], str]) -> str:
    if not _DIGIT.search(word):
        return spelt(word)
    return "".join(str(int(run)) if run[0].isdecimal() else spelt(run) for run in _RUNS.findall(word))


def _as_one(words: Sequence[str]) -> str:
    """Words written in one, as they are spelt where they meet: Chandan Patti, Chandanpatti."""
    return words[0] if len(words) == 1 else _MEETING_N.sub("m", _DOUBLED.sub(r"\1", "".join(words)))


class _Keys:
    """The numbers of each key, found by the key or its beginning."""

    def __init__(self) -> None:
        self._ids: dict[str, int] = {}
        self._given: tuple[array[int], array[int]] = (array("I"), array("I"))
        self.keys: list[str] = []
        self._starts = array("I")
        self._numbers = array("I")

    def add(self, key: str, number: int) -> None:
        self._given[0].append(self._ids.setdefault(key, len(self._ids)))
        self._given[1].append(number)

    def settle(self) -> None:
        """Put all that were added in order; they can be found from then on."""
        self.keys = sorted(self._ids)
        places = array("I", bytes(4 * len(self.keys)))
        for place, key in enumerate(self.keys):
            places[self._ids[key]] = place
        in_order = sorted(places[key] << 32 | number for key, number in zip(*self._given, strict=True))
        self._numbers = array("I", (pair & 0xFFFFFFFF for pair in in_order))
        counts = Counter(pair >> 32 for pair in in_order)
        self._starts = array("I", accumulate((counts[place] for place in range(len(self.keys))), initial=0))
        self._ids, self._given = {}, (array("I"), array("I"))

    def equal(self, key: str) -> Sequence[int]:
        return self.between(bisect_left(self.keys, key), bisect_right(self.keys, key))

    def starting(self, key: str) -> Sequence[int]:
        return self.between(bisect_left(self.keys, key), bisect_left(self.keys, key + "\U0010ffff"))

    def between(self, low: int, high: int) -> Sequence[int]:
        return self._numbers[self._starts[low] : self._starts[high]]


class _Spelt(_Keys):
    """Keys that are found by their sound too."""

    def settle(self) -> None:
        super().settle()
        self._sounds = _Keys()
        for place, key in enumerate(self.keys):
            self._sounds.add(sound(key), place)
        self._sounds.settle()

    def alike(self, key: str) -> Sequence[int]:
        return self._of(self._sounds.equal(sound(key)))

    def starting_alike(self, key: str) -> Sequence[int]:
        return self._of(self._sounds.starting(sound(key))) if len(sound(key)) >= SOUND_LENGTH_MIN else ()

    def _of(self, places: Iterable[int]) -> Sequence[int]:
        return [number for place in places for number in self.between(place, place + 1)]


class Gazetteer:
    """The names of places: each row is its level, its name, and its name in its own script."""

    def __init__(self, rows: Iterable[tuple[Level, str, str]]) -> None:
        self._wholes, self._words = _Spelt(), _Spelt()
        spelt = lru_cache(WORDS_KEPT)(fold.__wrapped__)  # Some come again and again; a memory of its own, which ends with this.
        for row, (level, *names) in enumerate(rows):
            number = level << _ROW_BITS | row
            given = [words for words in (_words(text, spelt) for text in names) if words]
            for whole in {_as_one(words) for words in given}:  # In both scripts it is mostly the same.
                self._wholes.add(whole, number)
            for word in {word for words in given if len(words) > 1 for word in words}:
                self._words.add(word, number)
        self._wholes.settle()
        self._words.settle()

    def find(self, text: str, rows: range, levels: Collection[Level]) -> Iterator[int]:
        """The rows of those whose name is like the text, best first: the same, its beginning, its sound; wider places before others."""
        if len(text) > TEXT_LENGTH_MAX:
            raise Invalid("SEARCH_TOO_LONG", "Give at most {longest} characters of the name.", field="text", longest=TEXT_LENGTH_MAX)
        words = _words(text, fold)
        if not words:
            raise Invalid("SEARCH_EMPTY", "Give some letters of the name.", field="text")
        seen: set[int] = set()
        for numbers in self._alike(words):
            better = {number for number in numbers if number & _ROW in rows and number >> _ROW_BITS in levels} - seen
            seen |= better
            yield from (number & _ROW for number in sorted(better))

    def _alike(self, words: Sequence[str]) -> Iterator[Collection[int]]:
        whole = _as_one(words)
        yield self._wholes.equal(whole)
        yield _all_of(map(self._words.equal, words))
        yield self._wholes.starting(whole)
        yield _all_of(map(self._words.starting, words))
        yield self._wholes.alike(whole)
        yield _all_of(map(self._words.alike, words))
        yield self._wholes.starting_alike(whole)


def _all_of(found: Iterable[Sequence[int]]) -> Collection[int]:
    return reduce(set.intersection, map(set, found))
