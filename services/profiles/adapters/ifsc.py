"""The list of bank branches: taken in from a bank list's CSV or Razorpay's IFSC.json, kept as one sorted file, looked up by halves."""

import csv
import io
import json
import logging
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from services.chassis import settings
from services.kernel import files
from services.kernel.files import Latest
from services.profiles.rules.account import BANK_LETTERS, IFSC, Branch

log = logging.getLogger(__name__)

# A list without them is no list of branches.
IFSC_COLUMNS, BANK_COLUMNS, BRANCH_COLUMNS = ("IFSC", "IFSC CODE"), ("BANK", "BANK NAME"), ("BRANCH", "BRANCH NAME")
DIGITS_COLUMNS = ("DIGITS",)
BAD_SHOWN = 20


class Branches:
    """Lines `IFSC, bank, branch` and, under a bank's four letters, how many digits its accounts have; sorted.

    Held as the bytes that they are, some ten million for 1.8 lakh branches, and not mapped: a file that somebody cuts short under a
    process which has it mapped ends that process.
    """

    def __init__(self, path: Path) -> None:
        self._lines = path.read_bytes()

    def find(self, ifsc: str) -> Branch | None:
        found = self._find(ifsc)
        return Branch(*found) if found else None

    def digits(self, ifsc: str) -> tuple[int, ...]:
        found = self._find(ifsc[:BANK_LETTERS])
        return tuple(map(int, found[0].split())) if found else ()

    def _find(self, code: str) -> tuple[str, str] | None:
        key, low, high = code.encode(), 0, len(self._lines)
        while low < high:
            middle = (low + high) // 2
            start = max(self._lines.rfind(b"\n", low, middle) + 1, low)
            end = self._lines.find(b"\n", middle)
            found, first, second = self._lines[start:end].split(b"\t")
            if found == key:
                return first.decode(), second.decode()
            low, high = (end + 1, high) if found < key else (low, start)
        return None


def _open(path: Path | None) -> Branches | None:
    if path is None:
        log.warning("there is no list of IFSC: they are looked at for their form alone (docs/operate.md, Banks and images)")
    return Branches(path) if path else None


_latest = Latest(_open)


def branches() -> Branches | None:
    """The list that LOKOS_IFSC_FILE names, opened again when it was replaced; None where there is none."""
    path = settings.text("LOKOS_IFSC_FILE", "")
    return _latest.of(Path(path) if path else None)


# --- Taking a list in.


@dataclass(frozen=True, slots=True)
class Bad:
    row: int
    reason: str


def install(list_text: str, digits_text: str, path: Path) -> tuple[int, list[Bad]]:
    """Put the list of these texts where `path` names it; how many branches it has, and the rows that were left out.

    Where not one is good, nothing is changed.
    """
    known: dict[str, tuple[str, str]] = {}
    bad: list[Bad] = []
    for row, ifsc, bank, branch in _rows(list_text):
        if IFSC.fullmatch(ifsc):
            known[ifsc] = (bank, branch)
        else:
            bad.append(Bad(row, f"{ifsc[:20]!r} is no IFSC"))
    count = len(known)
    if not count:
        return 0, bad
    for row, bank, digits in _digits(digits_text):
        if len(bank) == BANK_LETTERS and bank.isascii() and bank.isalpha() and digits and all(one.isdecimal() for one in digits.split()):
            known[bank] = (digits, "")
        else:
            bad.append(Bad(row, f"{bank[:20]!r} is no bank's four letters, or {digits[:20]!r} no numbers of digits"))
    files.replace(path, ("\t".join((code, *known[code])).encode() + b"\n" for code in sorted(known)))
    return count, bad


def _rows(text: str) -> Iterator[tuple[int, str, str, str]]:
    """Row, IFSC, bank and branch."""
    if text.lstrip().startswith(("{", "[")):
        for place, ifsc in enumerate(_codes(json.loads(text)), 1):
            yield place, ifsc, "", ""
        return
    for row, line in _lines(text):
        ifsc, bank, branch = (_first(line, names) for names in (IFSC_COLUMNS, BANK_COLUMNS, BRANCH_COLUMNS))
        yield row, ifsc.upper(), bank, branch


def _codes(read: Any) -> Iterator[str]:  # noqa: ANN401 - whatever JSON holds
    """A list of codes, or of each bank's letters what comes after the zero: a number stands for one with zeros before it."""
    if isinstance(read, dict):
        for bank, branches_of in read.items():
            yield from (f"{bank}0{str(branch).zfill(6)}" for branch in branches_of)
    else:
        yield from map(str, read)


def _digits(text: str) -> Iterator[tuple[int, str, str]]:
    for row, line in _lines(text):
        yield row, _first(line, BANK_COLUMNS).upper(), _first(line, DIGITS_COLUMNS)


def _lines(text: str) -> Iterator[tuple[int, dict[str, str]]]:
    """Each row by its columns' names in capitals, with its last line in the file."""
    reader = csv.DictReader(io.StringIO(text, newline=""))
    for line in reader:
        yield reader.line_num, {name.strip().upper(): value or "" for name, value in line.items() if isinstance(name, str)}


def _first(line: dict[str, str], names: tuple[str, ...]) -> str:
    """What stands in the first of these columns that there is, with single spaces."""
    return " ".join(next((line[name] for name in names if name in line), "").split())
