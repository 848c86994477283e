"""LGD's files, told apart by their columns, into the effective-dated places of one state."""

import csv
import io
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from itertools import groupby

from services.kernel.geography import Place
from services.kernel.region import NO_GP

# LGD says nothing of dates. What the first import brings is taken to have stood before any institution was formed.
BEGINNING = date(1900, 1, 1)
HEADER_WITHIN_ROWS = 5  # Some of LGD's files have a title above their header.

# The columns by what they mean. LGD spells them in several ways; `_plain` takes the ways together.
_COLUMNS = {
    "statecode": "state",
    "statename": "state_name",
    "districtcode": "district",
    "districtname": "district_name",
    "subdistrictcode": "subdistrict",
    "blockcode": "block",
    "developmentblockcode": "block",
    "blockname": "block_name",
    "developmentblockname": "block_name",
    "localbodycode": "gp",
    "localbodyname": "gp_name",
    "grampanchayatcode": "gp",
    "grampanchayatname": "gp_name",
    "villagecode": "village",
    "villagename": "village_name",
}


@dataclass(frozen=True, slots=True)
class Bad:
    """A row that is refused, and why. `row` counts as a spreadsheet does: the header is row 1."""

    file: str
    row: int
    reason: str


@dataclass(slots=True)
class Directory:
    """What the files say of one state: names by code, and what lies in what."""

    state: str
    names: dict[tuple[str, str], tuple[str, str]] = field(default_factory=dict)  # (level, code) -> English, local
    district_of: dict[str, str] = field(default_factory=dict)  # a block's
    block_of: dict[str, str] = field(default_factory=dict)  # a village's
    gps_of: dict[str, set[str]] = field(default_factory=dict)  # a village's: it may lie in several
    came: dict[tuple[str, str], tuple[str, int]] = field(default_factory=dict)  # (level, code) -> file, row
    bad: list[Bad] = field(default_factory=list)

    def name(self, level: str, code: str, file: str, row: int, names: tuple[str, str]) -> None:
        """Keep a name; a local one from one file is not lost to another file that has none."""
        _, local = self.names.get((level, code), ("", ""))
        self.names[level, code] = (names[0], names[1] or local)
        self.came.setdefault((level, code), (file, row))


def _plain(header: str) -> str:
    """One form for the ways in which LGD writes a column: with or without "(In English)", misspelt or not, "Sub-District" or "Subdistrict"."""
    return re.sub(r"[^a-z0-9]", "", re.sub(r"\(\s*in\s+engl\w*\s*\)", "", header.casefold()))


def _places_of(header: Sequence[str]) -> dict[str, int]:
    """Where each meaning stands. A second column of the same name is the local one, as in LGD's lists of blocks and states."""
    places: dict[str, int] = {}
    for place, words in enumerate(header):
        plain = _plain(words.removeprefix("\ufeff"))
        if plain.endswith("inlocal") and plain.removesuffix("inlocal") in _COLUMNS:
            places[_COLUMNS[plain.removesuffix("inlocal")] + "_local"] = place
        elif plain in _COLUMNS:
            meaning = _COLUMNS[plain]
            places[meaning + "_local" if meaning in places and meaning.endswith("name") else meaning] = place
    return places


def _rows(text: str) -> Iterator[tuple[int, dict[str, str]]]:
    """The rows of a CSV file as number and cells by meaning; none where it has no header of LGD's."""
    delimiter = ";" if text[:1000].count(";") > text[:1000].count(",") else ","
    places: dict[str, int] = {}
    for number, cells in enumerate(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter), 1):
        if not places:
            if number > HEADER_WITHIN_ROWS:
                return
            places = _places_of(cells)
        elif any(cell.strip() for cell in cells):
            yield number, {meaning: cells[place].strip() if place < len(cells) else "" for meaning, place in places.items()}


def read(files: Mapping[str, str], state_lgd: int) -> Directory:
    """Take in LGD's files (name -> text) for one state; rows of other states are passed over, wrong ones refused."""
    directory = Directory(str(state_lgd))
    for file, text in sorted(files.items()):
        try:
            _read_file(directory, file, text)
        except csv.Error as error:
            directory.bad.append(Bad(file, 0, f"the file cannot be read to its end: {error}"))
    return directory


def _read_file(directory: Directory, file: str, text: str) -> None:
    for number, row in _rows(text):
        if row.get("state", "").lstrip("0") not in {directory.state, ""}:
            continue
        try:
            _take(directory, file, number, row)
        except _WrongError as wrong:
            directory.bad.append(Bad(file, number, str(wrong)))


class _WrongError(Exception):
    """Why a row is refused."""


def _code(row: Mapping[str, str], level: str) -> str:
    """The code of that level in the row, empty where it has none."""
    code = row.get(level, "").lstrip("0")
    if code and not (code.isascii() and code.isdecimal() and len(code) <= 7):
        raise _WrongError(f"{code[:20]!r} is no LGD code of a {level}")
    return code


def _check_name(row: Mapping[str, str], level: str, code: str) -> None:
    """A column for the name must hold one, in letters that could be read."""
    if f"{level}_name" in row and not row[f"{level}_name"]:
        raise _WrongError(f"the name of the {level} {code} is missing")
    if "\ufffd" in row.get(f"{level}_name", "") + row.get(f"{level}_name_local", ""):
        raise _WrongError(f"the name of the {level} {code} is not written in UTF-8")


def _take(directory: Directory, file: str, number: int, row: Mapping[str, str]) -> None:
    """Take in one row; its finest column says what it is about. Sub-districts are no level of ours."""
    about = next((level for level in ("village", "gp", "block", "subdistrict", "district", "state") if level in row), "")
    if about in {"", "subdistrict"}:
        return
    code = _code(row, about)
    if not code:
        raise _WrongError(f"the code of the {about} is missing")
    wider = {level: _code(row, level) for level in ("gp", "block", "district")}
    names = row.get(f"{about}_name", ""), row.get(f"{about}_name_local", "")
    _check_name(row, about, code)
    if names[0]:
        directory.name(about, code, file, number, names)
    if about == "block":
        directory.district_of[code] = wider["district"]
    if about == "village":
        directory.came.setdefault(("village", code), (file, number))
        _lay(directory, code, wider)
    if about == "village" and wider["gp"] and row.get("gp_name"):
        directory.name("gp", wider["gp"], file, number, (row["gp_name"], row.get("gp_name_local", "")))


def _lay(directory: Directory, village: str, wider: Mapping[str, str]) -> None:
    """Keep what a row says of the block and the Gram Panchayat that a village lies in."""
    if wider["block"]:
        directory.block_of[village] = wider["block"]
    if wider["gp"]:
        directory.gps_of.setdefault(village, set()).add(wider["gp"])


def places(directory: Directory) -> tuple[list[Place], list[Bad]]:
    """The state's places as they stand now, and all rows that are refused. No places at all where no file names the state."""
    state = directory.state
    if ("state", state) not in directory.names:
        return [], [*directory.bad, Bad("", 0, f"no file names the state {state}")]
    found = {state: directory.names["state", state]}
    bad = list(directory.bad)
    found |= {f"{state}.{code}": names for (level, code), names in directory.names.items() if level == "district"}
    for about, place in (("block", _place_block), ("village", _place_village)):
        for code in sorted(key[1] for key in directory.came if key[0] == about):
            try:
                place(directory, code, found)
            except _WrongError as wrong:
                bad.append(Bad(*directory.came[about, code], str(wrong)))
    found_places = [Place(path, " ".join(name.split()), " ".join(local.split()), BEGINNING) for path, (name, local) in sorted(found.items())]
    return found_places, sorted(bad, key=lambda one: (one.file, one.row))


_Found = dict[str, tuple[str, str]]  # path -> English, local


def _place_block(directory: Directory, block: str, found: _Found) -> None:
    district = directory.district_of[block]
    if f"{directory.state}.{district}" not in found:
        raise _WrongError(f"the district {district or '(none)'} of the block {block} is not known")
    found[f"{directory.state}.{district}.{block}"] = directory.names["block", block]


def _place_village(directory: Directory, village: str, found: _Found) -> None:
    block = directory.block_of.get(village, "")
    wider = f"{directory.state}.{directory.district_of.get(block, '')}.{block}"
    if ("village", village) not in directory.names:
        raise _WrongError(f"the village {village} has no name in any file")
    if wider not in found:
        raise _WrongError(f"the block {block or '(none)'} of the village {village} is not known")
    for gp in sorted(directory.gps_of.get(village, {NO_GP})):
        if gp != NO_GP and ("gp", gp) not in directory.names:
            raise _WrongError(f"the Gram Panchayat {gp} of the village {village} is not known")
        found[f"{wider}.{gp}"] = directory.names.get(("gp", gp), ("No Gram Panchayat", ""))
        found[f"{wider}.{gp}.{village}"] = directory.names["village", village]


def revise(old: Iterable[Place], new: Iterable[Place], on: date) -> list[Place]:
    """The places of before with what changed on a day: new ones begin, renamed ones end and begin, missing ones end."""
    held = {path: list(rows) for path, rows in groupby(sorted(old, key=lambda place: (place.path, place.valid_from)), key=lambda place: place.path)}
    now = {place.path: place for place in new}
    revised: list[Place] = []
    for path in sorted(held.keys() | now.keys()):
        past = held.get(path, [])
        open_one = next((place for place in past if place.valid_to is None), None)
        wanted = now.get(path)
        if open_one and wanted and (open_one.name, open_one.name_local) == (wanted.name, wanted.name_local):
            revised += past
            continue
        revised += [place for place in past if place is not open_one]
        if open_one and open_one.valid_from < on:
            revised.append(replace(open_one, valid_to=on))
        if wanted:
            revised.append(replace(wanted, valid_from=on if held else BEGINNING))
    return revised
