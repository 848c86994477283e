"""Geography: the effective-dated places of one instance, from the one file that every service loads (decision 11).

The file is CSV in UTF-8 with the columns of `Place`, one row a place and validity, in the order of the paths;
`python -m services.profiles geography` makes it from the LGD's files. In memory it stays the text that it is, and a place is
found by halving: as objects the places of a state would cost each process many times as much, and a second at its start. It is
a copy, no mapping of the file, since a file that is replaced on a volume of the network may take its pages with it.
"""

import csv
import io
import threading
from array import array
from bisect import bisect_left
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, fields
from datetime import date
from enum import Enum, auto
from functools import lru_cache
from hashlib import blake2b
from itertools import chain, groupby, islice, pairwise
from operator import attrgetter
from pathlib import Path
from zlib import crc32

from services.kernel import files
from services.kernel.errors import Conflict, Invalid
from services.kernel.gazetteer import Gazetteer
from services.kernel.page import page_unknown
from services.kernel.region import NATION, NO_GP, Level, ancestors, check_region, level

CANDIDATES_SHOWN = 5


@dataclass(frozen=True, slots=True)
class Place:
    """A place as it stood from `valid_from` until the day before `valid_to` (None: still).

    Three systems of codes stand beside each other, and none is ever made from another: the LGD's, which the path is made of,
    the census's of 2011, and the old NRLM MIS's, where a place of today may have been several. `successors` are the LGD codes
    of those that took the place of one that ended.
    """

    path: str
    name: str
    name_local: str
    valid_from: date
    valid_to: date | None = None
    lgd_version: str = ""
    census_code: str = ""
    legacy_codes: tuple[str, ...] = ()
    successors: tuple[str, ...] = ()

    @property
    def code(self) -> str:
        """Its LGD code."""
        return self.path.rpartition(".")[2]

    def stands(self, on: date) -> bool:
        return self.valid_from <= on and (self.valid_to is None or on < self.valid_to)


class Codes(Enum):
    """Whose codes."""

    LGD = auto()
    CENSUS = auto()
    LEGACY = auto()


@dataclass(frozen=True, slots=True)
class Page:
    """Some rows of a region, and what to go on after; empty at the end."""

    places: list[Place]
    next: str


_COLUMNS = [field.name for field in fields(Place)]
_values = attrgetter(*_COLUMNS)


class Geography:
    """All places of an instance."""

    def __init__(self, places: Iterable[Place], text: bytes = b"") -> None:
        self._text = text or b"".join(_lines(places))
        self._first = self._text.find(b"\n") + 1  # Below the header.
        header = self._text[: self._first].decode().split()[0].split(",")
        self._columns = [header.index(column) if column in header else -1 for column in _COLUMNS]
        self._by_code: dict[Codes, array[int]] = {}
        self._named: tuple[Gazetteer, array[int]] | None = None
        self._naming = threading.Lock()

    def places(self) -> Iterator[Place]:
        """All rows, in the order of the file."""
        return self._rows(self._first, len(self._text))

    def __len__(self) -> int:
        return sum(1 for _ in self.within(NATION))

    def place(self, path: str, on: date) -> Place | None:
        """The place as it stood on a day."""
        return next((place for place in self._rows(self._start(path), self._start(f"{path},")) if place.stands(on)), None)

    def name(self, path: str, on: date) -> str:
        place = self.place(path, on)
        return place.name if place else path

    def find(self, depth: int, text: str, on: date, field: str = "region", codes: Codes = Codes.LGD) -> str:
        """Where a place of that level lies on a day, by its path or its code; a refusal where there is none, or it may be one of several.

        A village may lie in several Gram Panchayats, and what ended may have several successors: a person must say which.
        """
        if codes is Codes.LGD and "." in text:
            paths = {check_region(text, field)}
            if level(text) != depth:
                raise Invalid("REGION_LEVEL", "This place must be a {level}.", field=field, level=Level(depth).name)
        else:
            paths = {place.path for place in self._coded(depth, text.lstrip("0") if codes is Codes.LGD else text, codes)}
        found = sorted({now for path in paths for now in self.now(path, on)})
        if not found:
            raise Invalid("REGION_UNKNOWN", "There is no place {path} in this state.", field=field, path=text[:60])
        if len(found) > 1:
            raise self.several(text, found, on, field)
        return found[0]

    def several(self, text: str, paths: Sequence[str], on: date, field: str) -> Invalid:
        """The refusal of what may be any of these places, which it names with what they lie in."""
        named = "; ".join(f"{path} ({self.name(path.rpartition('.')[0], on)})" for path in paths[:CANDIDATES_SHOWN])
        return Invalid(
            "REGION_SEVERAL", "{path} may be one of several places; give the right one's path: {places}.", field=field, path=text[:60], places=named
        )

    def ended(self, path: str) -> date | None:
        """When the place ended for the last time; None where it stands, or there never was one."""
        lines = list(self._rows(*self._own(path)))
        return lines[-1].valid_to if lines else None

    def below(self, path: str) -> list[str]:
        """The paths directly below a region, in their order."""
        found = []
        at, end = self._below(path)
        while at < end:
            wider = ".".join(self._path(at).split(".")[: level(path) + 1])
            if wider == self._path(at):
                found.append(wider)
            at = self._start(f"{wider}/")
        return found

    def within(self, path: str) -> list[str]:
        """The paths that lie in a region, at whatever level."""
        return [key for key, _ in groupby(self._path(at) for at in self._starts(*self._below(path)))]

    def must_know(self, path: str, on: date, field: str = "region") -> str:
        """The path itself, or a refusal where no such place stands on that day. The nation always does."""
        if check_region(path, field) != NATION and self.place(path, on) is None:
            raise Invalid("REGION_UNKNOWN", "There is no place {path} in this state.", field=field, path=path)
        return path

    def now(self, path: str, on: date) -> list[str]:
        """Where what lay at a path lies on a day: there, where its code has moved to, or at its only successor.

        Several where a person must say which; none where it ended and nothing is said to follow it.
        """
        if path == NATION or self.place(path, on):
            return [path]
        depth, (wider, _, code) = level(path), path.rpartition(".")
        if depth == Level.GP and code == NO_GP:  # It has no code of its own, and goes where its block goes.
            return [gp for gp in (f"{block}.{NO_GP}" for block in self.now(wider, on)) if self.place(gp, on)]
        found = sorted({place.path for heir in self._heirs(depth, code, on) for place in self._coded(depth, heir) if place.stands(on)})
        # A village may lie in several Gram Panchayats: then the one that it lay in before goes on.
        same = [other for other in found if other.split(".")[-2:-1] == wider.split(".")[-1:]]
        return same if len(same) == 1 else found

    def _heirs(self, depth: int, code: str, on: date, before: frozenset[str] = frozenset()) -> list[str]:
        """The codes that stand in place of one: itself, or its successors and theirs."""
        places, before = self._coded(depth, code), before | {code}
        if any(place.stands(on) for place in places):
            return [code]
        return [heir for place in places for one in place.successors if one not in before for heir in self._heirs(depth, one, on, before)]

    def search(self, text: str, within: str = NATION, levels: Collection[Level] = tuple(Level), *, on: date, most: int) -> list[Place]:
        """The places of a region that are called so or alike, in whatever script, best first."""
        gazetteer, starts = self._names()
        low, high = self._start(within), self._start(f"{within}/") if within else len(self._text)
        rows = gazetteer.find(text, range(bisect_left(starts, low), bisect_left(starts, high)), levels)
        return list(islice((place for place in map(self._row, (starts[row] for row in rows)) if place.stands(on)), most))

    def mark(self, path: str) -> str:
        """A short text that changes whenever a place in the region does, or one that it lies in."""
        digest = blake2b(path.encode() + self._text[: self._first], digest_size=8)
        for start, end in (*map(self._own, ancestors(path)[:-1]), self._whole(path)):
            digest.update(memoryview(self._text)[start:end])
        return digest.hexdigest()

    def page(self, path: str, after: str, size: int) -> Page:
        """All rows of a region, ended ones too; those that it lies in before the first page, where `after` is empty."""
        mark = self.mark(path)
        of, _, given = after.partition("-")
        if after and not (given.isascii() and given.isdecimal() and len(given) < 10):
            raise page_unknown()
        if after and of != mark:
            raise Conflict("PLACES_CHANGED", "The places have changed since the first page; begin again without `after`.", field="page.after")
        wider = [] if after else [place for one in ancestors(path)[:-1] for place in self._rows(*self._own(one))]
        first = int(given or 0)
        starts = list(islice(self._starts(*self._whole(path)), first, first + size + 1))
        return Page([*wider, *map(self._row, starts[:size])], f"{mark}-{first + size}" if len(starts) > size else "")

    # --- The text: rows from the one that starts at a place of it to another.

    def _path(self, start: int) -> str:
        return self._text[start : self._text.find(b",", start)].decode()

    def _end(self, start: int) -> int:
        return self._text.find(b"\n", start) + 1

    def _start(self, path: str) -> int:
        """Where the first row starts that does not come before a path. "," and "." and "/" come in this order, before all digits."""
        wanted, low, high = path.encode(), self._first, len(self._text)
        while low < high:
            start = self._text.rfind(b"\n", low - 1, (low + high) // 2) + 1
            if self._text[start : self._text.find(b",", start)] < wanted:
                low = self._end(start)
            else:
                high = start
        return low

    def _own(self, path: str) -> tuple[int, int]:
        return self._start(path), self._start(f"{path},")

    def _below(self, path: str) -> tuple[int, int]:
        return (self._start(f"{path}."), self._start(f"{path}/")) if path else (self._first, len(self._text))

    def _whole(self, path: str) -> tuple[int, int]:
        return self._start(path), self._below(path)[1]

    def _starts(self, start: int, end: int) -> Iterator[int]:
        while start < end:
            yield start
            start = self._end(start)

    def _rows(self, start: int, end: int) -> Iterator[Place]:
        return map(self._row, self._starts(start, end))

    def _cells(self, start: int) -> list[str]:
        line = self._text[start : self._end(start)].decode().rstrip("\r\n")
        return next(csv.reader([line])) if '"' in line else line.split(",")

    def _row(self, start: int) -> Place:
        cells = [*self._cells(start), ""]  # The last is what a column holds that a file of before has not.
        path, name, local, begins, ends, version, census, legacy, successors = [cells[place] for place in self._columns]
        return Place(path, name, local, _day(begins), _day(ends) if ends else None, version, census, tuple(legacy.split()), tuple(successors.split()))

    # --- What is looked up by something else than the path is put in order when it is first asked for.

    def _coded(self, depth: int, code: str, codes: Codes = Codes.LGD) -> list[Place]:
        """The rows with that code at that level, in the order of the file."""
        index = self._by_code.get(codes)
        if index is None:
            index = self._by_code[codes] = self._index(codes)
        hashed = _hashed(depth, code)
        between = index[bisect_left(index, hashed << 32) : bisect_left(index, hashed + 1 << 32)]
        places = (self._row(number & 0xFFFFFFFF) for number in between)
        return [place for place in places if level(place.path) == depth and code in _codes(place, codes)]

    def _index(self, codes: Codes) -> "array[int]":
        """A hash of level and code above where its row starts: eight bytes a row."""
        numbers = []
        for start in self._starts(self._first, len(self._text)):
            path = self._path(start)  # Which is all that the LGD's code needs, and no row need be read.
            found = (path.rpartition(".")[2],) if codes is Codes.LGD else _codes(self._row(start), codes)
            numbers += [_hashed(level(path), code) << 32 | start for code in found]
        return array("Q", sorted(numbers))

    def _names(self) -> "tuple[Gazetteer, array[int]]":
        """The names, and where the row of each starts. Seconds and tens of megabytes, for those processes alone that are asked for names."""
        with self._naming:
            if self._named is None:
                starts = array("I", self._starts(self._first, len(self._text)))
                _, name, local, *_ = self._columns
                rows = ((level(cells[0]), cells[name], cells[local]) for cells in map(self._cells, starts))
                self._named = Gazetteer(rows), starts
            return self._named


@lru_cache(1024)
def _day(text: str) -> date:
    return date.fromisoformat(text)


def _codes(place: Place, codes: Codes) -> tuple[str, ...]:
    if codes is Codes.LEGACY:
        return place.legacy_codes
    code = place.code if codes is Codes.LGD else place.census_code
    return (code,) if code else ()


def _hashed(depth: int, code: str) -> int:
    return crc32(f"{depth} {code}".encode())


def _lines(places: Iterable[Place]) -> Iterator[bytes]:
    """The file, line by line."""
    line = io.StringIO()
    writer = csv.writer(line, lineterminator="\n")
    for row in chain([_COLUMNS], map(_values, sorted(places, key=attrgetter("path", "valid_from")))):
        writer.writerow(map(_cell, row))
        yield line.getvalue().encode()
        line.seek(0)
        line.truncate()


def _cell(value: object) -> object:
    return " ".join(value) if isinstance(value, tuple) else "" if value is None else value


def load(path: Path) -> Geography:
    """The geography of the file; an empty one where there is no file yet."""
    text = path.read_bytes() if path.exists() else b""
    text += b"\n" if text and not text.endswith(b"\n") else b""
    read = Geography((), text)
    if all(one <= other for one, other in pairwise(map(read._path, read._starts(read._first, len(text))))):  # noqa: SLF001 - its own file
        return read
    return Geography(read.places())  # Of before the rows were in order, or changed by hand.


def read_places(path: Path) -> list[Place]:
    """The rows of the file; none where there is no file yet."""
    return list(load(path).places())


def save(path: Path, places: Iterable[Place]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    files.replace(path, _lines(places))
