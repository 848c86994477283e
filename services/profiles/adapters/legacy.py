"""Files of the old MIS: read row by row, however long they are, and answered in a file beside."""

import csv
import hashlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from services.kernel.errors import Invalid

INSTITUTIONS, MEMBERS = "institutions.csv", "members.csv"
ANSWER_COLUMNS = ("row", "legacy_code", "outcome", "record_id", "code", "column", "sentence")


@dataclass(frozen=True, slots=True)
class File:
    """A file that can be read to its end."""

    path: Path
    sha256: bytes
    rows: int
    columns_unread: list[str]


@dataclass(frozen=True, slots=True)
class Line:
    """A row that is not empty: its number as a spreadsheet counts, and its cells that are not empty, by the columns that are read."""

    number: int
    cells: Mapping[str, str]
    too_long: bool


def look(path: Path, columns: Sequence[str], needed: Sequence[str]) -> File:
    """Read it once to the end, so that no file is half taken in because of what stands further below."""
    with path.open("rb") as raw:
        sha256 = hashlib.file_digest(raw, "sha256").digest()
    try:
        with path.open(encoding="utf-8-sig", newline="") as text:
            reader = csv.reader(text)
            header = _names(next(reader, []))
            rows = sum(1 for row in reader if any(row))
    except UnicodeDecodeError:
        raise Invalid("FILE_ENCODING", "{file} is not in UTF-8; save it as CSV in UTF-8.", file=path.name) from None
    except csv.Error:
        raise Invalid("FILE_UNREADABLE", "{file} is no CSV that can be read; save it anew.", file=path.name) from None
    lacking = [column for column in needed if column not in header]
    if lacking:
        raise Invalid("FILE_COLUMN_MISSING", "{file} has no column {columns}.", file=path.name, columns=", ".join(lacking))
    return File(path, sha256, rows, [column for column in header if column and column not in columns])


def lines(file: File, columns: Sequence[str]) -> Iterator[Line]:
    with file.path.open(encoding="utf-8-sig", newline="") as text:
        reader = csv.reader(text)
        header = _names(next(reader, []))
        for number, row in enumerate(reader, 2):
            cells = {column: cell.strip() for column, cell in zip(header, row, strict=False) if column in columns and cell.strip()}
            if any(row):
                yield Line(number, cells, any(row[len(header) :]))


def _names(header: Sequence[str]) -> list[str]:
    return [name.strip().lower() for name in header]


class Writes(Protocol):
    """Writes the cells of one answer."""

    def __call__(self, *cells: object) -> None: ...


@contextmanager
def answers(file: Path) -> Iterator[Writes]:
    """Beside the file: members.answers.csv."""
    with file.with_suffix(".answers.csv").open("w", encoding="utf-8-sig", newline="") as text:
        writer = csv.writer(text)
        writer.writerow(ANSWER_COLUMNS)
        # A spreadsheet would run what begins otherwise.
        yield lambda *cells: writer.writerow([cell if not cell or cell[0].isalnum() else f"'{cell}" for cell in map(str, cells)])


def template(file: Path, columns: Sequence[str]) -> None:
    """An empty file with its header."""
    with file.open("x", encoding="utf-8-sig", newline="") as text:
        csv.writer(text).writerow(columns)
