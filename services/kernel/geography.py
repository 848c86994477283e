"""Geography: the effective-dated places of one instance, from the one file that every service loads (decision 11).

The file is CSV in UTF-8 with the columns of `Place`, one row a place and validity; `python -m services.profiles geography`
makes it from the LGD's files.
"""

import csv
import os
from collections.abc import Iterable
from dataclasses import astuple, dataclass, fields
from datetime import date
from pathlib import Path

from services.kernel.errors import Invalid
from services.kernel.region import NATION, check_region, contains, level


@dataclass(frozen=True, slots=True)
class Place:
    """A place as it stood from `valid_from` until the day before `valid_to` (None: still)."""

    path: str
    name: str
    name_local: str
    valid_from: date
    valid_to: date | None = None


class Geography:
    """All places of an instance, by path."""

    def __init__(self, places: Iterable[Place]) -> None:
        self._by_path: dict[str, list[Place]] = {}
        self._by_code: dict[tuple[int, str], str] = {}
        for place in places:
            self._by_path.setdefault(place.path, []).append(place)
            key = level(place.path), place.path.rpartition(".")[2]
            if place.valid_to is None or key not in self._by_code:  # What still stands goes before what has moved away.
                self._by_code[key] = place.path

    def __len__(self) -> int:
        return len(self._by_path)

    def place(self, path: str, on: date) -> Place | None:
        """The place as it stood on a day."""
        valid = (p for p in self._by_path.get(path, ()) if p.valid_from <= on and (p.valid_to is None or on < p.valid_to))
        return next(valid, None)

    def name(self, path: str, on: date) -> str:
        place = self.place(path, on)
        return place.name if place else path

    def path_of(self, depth: int, code: str) -> str | None:
        """The path of the place with that LGD code at that level; codes are unique a level."""
        return self._by_code.get((depth, code))

    def below(self, path: str) -> list[str]:
        """The paths directly below a region, in the order of their codes."""
        return sorted(p for p in self._by_path if p.rpartition(".")[0] == path)

    def within(self, path: str) -> list[str]:
        """The paths that lie in a region, at whatever level."""
        return [p for p in self._by_path if p != path and contains(path, p)]

    def must_know(self, path: str, on: date, field: str = "region") -> str:
        """The path itself, or a refusal where no such place stands on that day. The nation always does."""
        if check_region(path, field) != NATION and self.place(path, on) is None:
            raise Invalid("REGION_UNKNOWN", "There is no place {path} in this state.", field=field, path=path)
        return path


_COLUMNS = [field.name for field in fields(Place)]


def load(path: Path) -> Geography:
    """The geography of the file; an empty one where there is no file yet."""
    return Geography(read_places(path))


def read_places(path: Path) -> list[Place]:
    """The lines of the file; none where there is no file yet."""
    if not path.exists():
        return []
    with path.open(newline="", encoding="utf-8") as file:
        return [
            Place(
                row["path"],
                row["name"],
                row["name_local"],
                date.fromisoformat(row["valid_from"]),
                date.fromisoformat(row["valid_to"]) if row["valid_to"] else None,
            )
            for row in csv.DictReader(file)
        ]


def save(path: Path, places: Iterable[Place]) -> None:
    """Write the file whole or not at all: a reader sees the old one or the new one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    with partial.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(_COLUMNS)
        writer.writerows(["" if value is None else value for value in astuple(place)] for place in places)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)
