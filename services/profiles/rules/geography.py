"""LGD's files, told apart by their columns, into the effective-dated places of one state; and two files of ours beside them.

One gives places their codes in the old NRLM MIS (Level, LGD Code, Legacy Code), the other says what followed places that ended
(Level, Code, Successor Codes, On).
"""

import csv
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from heapq import merge
from itertools import chain, groupby, islice

from services.kernel.errors import Invalid
from services.kernel.geography import Place
from services.kernel.month import parse_date
from services.kernel.region import NO_GP, Level, level

# LGD says nothing of dates. What the first import brings is taken to have stood before any institution was formed.
BEGINNING = date(1900, 1, 1)
HEADER_WITHIN_ROWS = 5  # Some of LGD's files have a title above their header.
END_PERCENT_MAX = 5.0  # Of the places of a level, by an import of which nobody said that more is meant.
HANDFUL = 5  # So few places of a level may end by any import.

# A level is named here as the columns name it; the finest comes first. Sub-districts are LGD's, and no level of ours.
_LEVELS = {"village": Level.VILLAGE, "gp": Level.GP, "block": Level.BLOCK, "district": Level.DISTRICT, "state": Level.STATE}
_SPELT = {
    "village": ("village",),
    "gp": ("localbody", "grampanchayat", "gp"),
    "block": ("block", "developmentblock"),
    "subdistrict": ("subdistrict",),
    "district": ("district",),
    "state": ("state",),
}
# The columns by what they mean. LGD spells them in several ways; `_plain` takes the ways together.
_COLUMNS = {
    **{f"{way}code": level for level, ways in _SPELT.items() for way in ways},
    **{f"{way}{part}": f"{level}_{part}" for level, ways in _SPELT.items() for way in ways for part in ("name", "version")},
    **{way: level for level in ("village", "gp", "block") for way in _SPELT[level]},  # A column "State" holds a name.
    "name": "name",
    "version": "version",
    "census2011code": "census",
    "level": "level",
    "code": "lgd",
    "lgdcode": "lgd",
    "legacycode": "legacy",
    "successorcodes": "successors",
    "successorcode": "successors",
    "successors": "successors",
    "on": "on",
}


@dataclass(frozen=True, slots=True)
class _Needs:
    """The columns without which a file says nothing: all of these, and one of those; and how they are asked for."""

    all: tuple[str, ...]
    words: str
    one: tuple[str, ...] = ()


_NEEDS = {
    "state": _Needs(("state", "state_name"), "State Code, State Name"),
    "district": _Needs(("state", "district", "district_name"), "State Code, District Code, District Name"),
    "subdistrict": _Needs(("subdistrict",), "Sub-district Code"),
    "block": _Needs(("district", "block", "block_name"), "District Code, Block Code, Block Name"),
    "gp": _Needs(("gp", "gp_name"), "Local Body Code, Local Body Name"),
    "village": _Needs(("village",), "Village Code and Village Name, Block Code or Local Body Code", ("village_name", "block", "gp")),
    "legacy": _Needs(("level", "lgd", "legacy"), "Level, LGD Code, Legacy Code"),
    "successors": _Needs(("level", "lgd", "successors"), "Level, Code, Successor Codes"),
}
_FOUND_SHOWN = 20
_MAPPED_BY = {"block": ("block", "Village Code, Block Code"), "gp": ("Gram Panchayat", "Village Code, Local Body Code")}


@dataclass(frozen=True, slots=True)
class Bad:
    """A row that is refused, and why. `row` counts as a spreadsheet does: the header is row 1."""

    file: str
    row: int
    reason: str


@dataclass(slots=True)
class Named:
    """What the files say of a place by itself, and the row that said it first."""

    file: str
    row: int
    name: str = ""
    local: str = ""
    version: str = ""
    census: str = ""


@dataclass(frozen=True, slots=True)
class Ended:
    """What the file of successors says of a place that ended; without a day it is the day of the import."""

    file: str
    row: int
    successors: tuple[str, ...]
    on: date | None


_Code = tuple[str, str]  # A level and an LGD code.


@dataclass(slots=True)
class Directory:
    """What the files say of one state: its places by level and code, and what lies in what."""

    state: str
    named: dict[str, dict[str, Named]] = field(default_factory=lambda: {level: {} for level in _LEVELS})
    district_of: dict[str, str] = field(default_factory=dict)  # a block's
    block_of: dict[str, str] = field(default_factory=dict)  # a village's
    gps_of: dict[str, tuple[str, ...]] = field(default_factory=dict)  # a village's: it may lie in several
    legacy: dict[tuple[str, str], tuple[str, str, int]] = field(default_factory=dict)  # level and legacy code: LGD code, file, row
    ended: dict[_Code, Ended] = field(default_factory=dict)
    bad: list[Bad] = field(default_factory=list)
    refused: set[_Code] = field(default_factory=set)  # The places of bad rows: what stood there stays.
    unknown: set[str] = field(default_factory=set)  # The levels of which a bad row does not say which place it is.
    of_villages: set[str] = field(default_factory=set)  # What the files have columns for that speak of villages.
    unreadable: list[Bad] = field(default_factory=list)  # Files of which it is not known what they say: then nothing is taken in.


class _WrongError(Exception):
    """Why a row is refused."""


# --- Reading the files.


def _plain(header: str) -> str:
    """One form for the ways in which LGD writes a column: with or without "(In English)", misspelt or not, "Sub-District" or "sub_district"."""
    plain = re.sub(r"(in)?engl[a-z]*$", "", re.sub(r"[^a-z0-9]", "", header.casefold()))
    local = re.sub(r"local(?=name)|(in)?local$", "", plain)
    return plain if plain == local else f"{local} local"


def _places_of(header: Sequence[str]) -> dict[str, int]:
    """Where each meaning stands. A second column of the same name is the local one, as in LGD's lists of blocks and states."""
    places: dict[str, int] = {}
    for place, words in enumerate(header):
        plain, _, local = _plain(words).partition(" ")
        meaning = _COLUMNS.get(plain, "")
        if meaning.endswith("name") and (local or meaning in places):
            places.setdefault(f"{meaning}_local", place)
        elif meaning and not local:
            places.setdefault(meaning, place)
    return places


def _about(header: Sequence[str], places: dict[str, int]) -> str:
    """What a file is about: one of ours by its own column, one of LGD's by the finest level that a column speaks of, in whatever words."""
    ours = next((one for one in ("legacy", "successors") if one in places), "")
    about = ours or next((of for of, ways in _SPELT.items() if any(_speaks_of(way, words) for way in ways for words in header)), "")
    for meaning in ("name", "name_local", "version", "census"):
        if about and meaning in places:
            places.setdefault(f"{about}_{meaning}", places[meaning])
    return about


def _speaks_of(way: str, words: str) -> bool:
    return way in _plain(words) if len(way) > len("gp") else _plain(words).startswith(way)


def _has_needed(about: str, places: Collection[str]) -> bool:
    needs = _NEEDS[about]
    return all(one in places for one in needs.all) and (not needs.one or any(one in places for one in needs.one))


def _header(rows: Sequence[Sequence[str]]) -> tuple[int, str, dict[str, int]]:
    """Which of the first rows is the header, what the file is about, and where each meaning stands; or what is wrong with it."""
    for number, row in enumerate(rows):
        places = _places_of(row)
        about = _about(row, places)
        if about and _has_needed(about, places):
            return number, about, places
    words = max(rows, key=lambda row: (len(_places_of(row)), sum(bool(cell.strip()) for cell in row)), default=[])
    found = ", ".join(" ".join(cell.split())[:30] for cell in words[:_FOUND_SHOWN]) or "nothing"
    if about := _about(words, _places_of(words)):
        raise _WrongError(f"its columns are not all there: a file of this kind ({about}) needs {_NEEDS[about].words}; found: {found}")
    raise _WrongError(f"its columns are not known; needed are {'; or '.join(one.words for one in _NEEDS.values())}; found: {found}")


def read(files: Mapping[str, Iterable[str]], state_lgd: int) -> Directory:
    """Take in the files (name -> lines) for one state; rows of other states are passed over, wrong ones refused, as are files."""
    directory = Directory(str(state_lgd))
    for file, lines in sorted(files.items()):
        _read_file(directory, file, iter(lines))
    if directory.named["village"]:
        for wider, needed in (("block", True), ("gp", bool(directory.named["gp"]))):
            if needed and wider not in directory.of_villages:
                lie_in, words = _MAPPED_BY[wider]
                directory.unreadable.append(Bad("", 0, f"no file says in which {lie_in} the villages lie; needed are {words}"))
    return directory


def _read_file(directory: Directory, file: str, lines: Iterator[str]) -> None:
    """Take in the rows of a file. One without a known header, or that breaks off, might hold anything."""
    top = list(islice(lines, HEADER_WITHIN_ROWS))
    delimiter = ";" if "".join(top).count(";") > "".join(top).count(",") else ","
    last = top[-1:]

    def told() -> Iterator[str]:
        for line in chain(top, lines):
            last[:] = [line]
            yield line

    # A quote that is not closed would swallow the rows up to the next one: strictly read, it is a fault.
    rows, number = csv.reader(told(), delimiter=delimiter, strict=True), 1
    try:
        first = list(islice(rows, HEADER_WITHIN_ROWS))
        at, about, places = _header(first)
        if about == "village":
            directory.of_villages |= set(places)
        cells = first[at]
        for number, cells in enumerate(chain(first[at + 1 :], rows), at + 2):
            if any(cell.strip() for cell in cells):
                _take(directory, about, (file, number), places, cells)
        if len(cells) < len(first[at]) and not last[0].endswith(("\n", "\r")):
            raise _WrongError("it breaks off in its last row")
    except csv.Error as error:
        directory.unreadable.append(Bad(file, rows.line_num, f"it cannot be read to its end: {error}"))
    except _WrongError as wrong:
        directory.unreadable.append(Bad(file, number, str(wrong)))


def _take(directory: Directory, about: str, came: tuple[str, int], places: Mapping[str, int], cells: Sequence[str]) -> None:
    row = {meaning: cells[place].strip() if place < len(cells) else "" for meaning, place in places.items()}
    if not row.get(f"{about}_census", "").strip("0"):  # LGD writes 000000 for what is younger than the census.
        row[f"{about}_census"] = ""
    if row.get("state", "").lstrip("0") not in {directory.state, ""}:
        return
    try:
        if about == "legacy":
            _take_legacy(directory, *came, row)
        elif about == "successors":
            _take_ended(directory, *came, row)
        elif about != "subdistrict":
            if len(cells) <= max(places.values()):
                raise _WrongError(f"the row of the {about} {row[about][:20]} ends before its last column")
            _take_place(directory, about, *came, row)
    except _WrongError as wrong:
        reason = str(wrong)
        if about in _LEVELS:
            reason += _note_refused(directory, about, row)
        directory.bad.append(Bad(*came, reason))


def _note_refused(directory: Directory, about: str, row: Mapping[str, str]) -> str:
    """Have what stood stay: the place of the row, or whatever is of its level where the row does not say which; in words."""
    try:
        code = _code(row, about)
    except _WrongError:
        code = ""
    if code:
        directory.refused.add((about, code))
        return ""
    directory.unknown.add(about)
    return f"; no {about} ends until this row is corrected or taken out"


def _code(row: Mapping[str, str], level: str) -> str:
    """The code of that level in the row, empty where it has none."""
    return _lgd(row.get(level, ""), level)


def _lgd(text: str, level: str) -> str:
    code = text.lstrip("0")
    if code and not (code.isascii() and code.isdecimal() and len(code) <= 7):
        raise _WrongError(f"{code[:20]!r} is no LGD code of a {level}")
    return code


def _check_name(row: Mapping[str, str], level: str, code: str) -> None:
    """A column for the name must hold one, in letters that could be read."""
    if f"{level}_name" in row and not row[f"{level}_name"]:
        raise _WrongError(f"the name of the {level} {code} is missing")
    if "\ufffd" in row.get(f"{level}_name", "") + row.get(f"{level}_name_local", ""):
        raise _WrongError(f"the name of the {level} {code} is not written in UTF-8")


def _take_place(directory: Directory, about: str, file: str, number: int, row: Mapping[str, str]) -> None:
    """Take in a row of LGD's."""
    code = _code(row, about)
    if not code:
        raise _WrongError(f"the code of the {about} is missing")
    wider = {level: _code(row, level) for level in ("gp", "block", "district")}
    _check_name(row, about, code)
    if about == "block" and directory.district_of.get(code, wider["district"]) != wider["district"]:  # As some of Assam's in LGD's own file.
        raise _WrongError(f"the block {code} lies in the district {directory.district_of[code]} by a row before; it stays there")
    if row.get("state") or row.get(f"{about}_name"):  # A bare pair of codes may be of another state.
        _name(directory, about, code, (file, number), row)
    if about == "block":
        directory.district_of[code] = wider["district"]
    if about == "village":
        if wider["block"]:
            directory.block_of[code] = wider["block"]
        if wider["gp"]:
            gps = directory.gps_of.get(code, ())
            directory.gps_of[code] = gps if wider["gp"] in gps else (*gps, wider["gp"])
            if row.get("gp_name"):
                _name(directory, "gp", wider["gp"], (file, number), row)


def _name(directory: Directory, level: str, code: str, came: tuple[str, int], row: Mapping[str, str]) -> None:
    """Keep what a row says of a place; what one file said is not lost to another that is silent."""
    named = directory.named[level].get(code) or directory.named[level].setdefault(code, Named(*came))
    if row.get(f"{level}_name"):
        named.name = " ".join(row[f"{level}_name"].split())
        named.local = " ".join(row.get(f"{level}_name_local", "").split()) or named.local
    named.version = row.get(f"{level}_version") or named.version
    named.census = row.get(f"{level}_census") or named.census


def _level(row: Mapping[str, str]) -> str:
    plain = _plain(row.get("level", ""))
    level = next((level for level in _LEVELS if plain in _SPELT[level]), None)
    if level is None:
        raise _WrongError(f"{row.get('level', '')[:20]!r} is no level; these are: {', '.join(reversed(_LEVELS))}")
    return level


def _must_have(code: str, what: str) -> str:
    if not code:
        raise _WrongError(f"the {what} is missing")
    return code


def _take_legacy(directory: Directory, file: str, number: int, row: Mapping[str, str]) -> None:
    """Take in a code of the old MIS. Several may be one place of today, but none may be two."""
    level = _level(row)
    code, legacy = _must_have(_lgd(row.get("lgd", ""), level), "LGD code"), _must_have("".join(row["legacy"].split()), "legacy code")
    taken, *_ = directory.legacy.setdefault((level, legacy), (code, file, number))
    if taken != code:
        raise _WrongError(f"the legacy code {legacy} is that of the {level} {taken} already")


def _take_ended(directory: Directory, file: str, number: int, row: Mapping[str, str]) -> None:
    level = _level(row)
    code = _must_have(_lgd(row.get("lgd", ""), level), "code")
    successors = tuple(_lgd(one, level) for one in re.split(r"[\s,;]+", row["successors"]) if one)
    _must_have("".join(successors), "code of the successors")
    try:
        on = parse_date(row["on"], "on") if row.get("on") else None
    except Invalid as refused:
        raise _WrongError(str(refused)) from None
    if (level, code) in directory.ended:
        raise _WrongError(f"the {level} {code} stands here already; name all its successors in one row")
    directory.ended[level, code] = Ended(file, number, successors, on)


# --- The places as they stand now.


def places(directory: Directory, old: Iterable[Place] = ()) -> tuple[list[Place], list[Bad]]:
    """The state's places, in the order of their paths, and all rows that are refused. None at all where no file names the state.

    What is refused is as it stood among `old`.
    """
    state, named = directory.state, directory.named
    if state not in named["state"]:
        return [], [*directory.bad, Bad("", 0, f"no file names the state {state}")]
    found: dict[str, Named] = {state: named["state"][state]}
    bad, refused = list(directory.bad), set(directory.refused)
    for about, put in (("district", _put_district), ("block", _put_block), ("village", _put_village)):
        for code, one in named[about].items():
            if about == "village" and (about, code) in refused:  # What else is said of where it lies may be half of it.
                continue
            try:
                if not one.name:
                    raise _WrongError(f"the {about} {code} has no name in any file")
                put(directory, code, found)
            except _WrongError as wrong:
                bad.append(Bad(one.file, one.row, str(wrong)))
                refused.add((about, code))
    _keep(found, refused, directory.unknown, old)
    legacy, wrong_ones = _legacy_codes(directory, found)
    made = [
        Place(path, one.name, one.local, BEGINNING, None, one.version, one.census, legacy.get(_coded(path), ()))
        for path, one in sorted(found.items())
    ]
    return made, sorted([*bad, *wrong_ones], key=lambda one: (one.file, one.row))


_Found = dict[str, Named]  # by path
_NO_GP = Named("", 0, "No Gram Panchayat")


def _put_district(directory: Directory, district: str, found: _Found) -> None:
    found[f"{directory.state}.{district}"] = directory.named["district"][district]


def _put_block(directory: Directory, block: str, found: _Found) -> None:
    wider = f"{directory.state}.{directory.district_of[block]}"
    if wider not in found:
        raise _WrongError(f"the district {directory.district_of[block] or '(none)'} of the block {block} is not known")
    found[f"{wider}.{block}"] = directory.named["block"][block]


def _put_village(directory: Directory, village: str, found: _Found) -> None:
    block = directory.block_of.get(village, "")
    wider = f"{directory.state}.{directory.district_of.get(block, '')}.{block}"
    if wider not in found:
        raise _WrongError(f"the block {block or '(none)'} of the village {village} is not known")
    gps = {gp: _NO_GP if gp == NO_GP else directory.named["gp"].get(gp) for gp in directory.gps_of.get(village, (NO_GP,))}
    known = {gp: of_gp for gp, of_gp in gps.items() if of_gp and of_gp.name}
    if unknown := [gp for gp in gps if gp not in known]:
        raise _WrongError(f"the Gram Panchayat {unknown[0]} of the village {village} is not known")
    for gp, of_gp in known.items():
        found[f"{wider}.{gp}"] = of_gp
        found[f"{wider}.{gp}.{village}"] = directory.named["village"][village]


def _keep(found: _Found, refused: Collection[_Code], unknown: Collection[str], old: Iterable[Place]) -> None:
    """Add what stood and is refused by its code, or of a level of which any may be: with what it lay in, wherever that is now."""
    if not refused and not unknown:
        return
    standing = {place.path: place for place in old if place.valid_to is None}
    only_path: dict[tuple[Level, str], str] = {}  # By level and code; empty where a village lies in several Gram Panchayats.
    for path in found:
        only_path[_coded(path)] = "" if _coded(path) in only_path else path

    def keep(path: str) -> str:
        wider, _, code = path.rpartition(".")
        there, place = f"{home(wider)}.{code}", standing.get(path)
        if place and there not in found:
            found[there] = Named("", 0, place.name, place.name_local, place.lgd_version, place.census_code)
        return there

    def home(path: str) -> str:
        of = _coded(path)
        return path if path in found else (of[1] != NO_GP and only_path.get(of)) or keep(path)

    names = {at: of for of, at in _LEVELS.items()}
    for path in standing:
        at, code = _coded(path)
        if at > Level.STATE and code != NO_GP and (names[at] in unknown or ((names[at], code) in refused and (at, code) not in only_path)):
            keep(path)


def _coded(path: str) -> tuple[Level, str]:
    return level(path), path.rpartition(".")[2]


def _legacy_codes(directory: Directory, found: Collection[str]) -> tuple[dict[tuple[Level, str], tuple[str, ...]], list[Bad]]:
    """The codes of the old MIS by level and LGD code, and those that are of no place."""
    known = set(map(_coded, found))
    codes: dict[tuple[Level, str], tuple[str, ...]] = {}
    bad = []
    for (of, legacy), (code, file, row) in sorted(directory.legacy.items()):
        if (_LEVELS[of], code) in known:
            codes[_LEVELS[of], code] = (*codes.get((_LEVELS[of], code), ()), legacy)
        else:
            bad.append(Bad(file, row, f"the {of} {code} of the legacy code {legacy} is not known"))
    return codes, bad


# --- What changed since the file of before.


@dataclass(slots=True)
class Revised:
    """The places of before with what changed."""

    places: list[Place] = field(default_factory=list)
    new_lines: int = 0
    ended: int = 0
    alone: list[Place] = field(default_factory=list)  # What ended now, and nothing is said to follow it.
    bad: list[Bad] = field(default_factory=list)


def revise(old: Sequence[Place], new: Sequence[Place], directory: Directory, on: date) -> Revised:
    """What is new begins on the day, what is renamed ends and begins, what is missing ends. Both in the order of their paths.

    The codes of the old MIS stay where no file of them is given.
    """
    standing, held = _by_level(new), _by_level(old)
    revised = Revised()
    ended = _check_ended(directory, standing, held, revised.bad)
    began = {(of, successor): one.on for (of, _), one in ended.items() for successor in one.successors if one.on}
    legacy = {} if directory.legacy else {(level(place.path), place.code): place.legacy_codes for place in old if place.legacy_codes}
    rows = merge(((place, True) for place in old), ((place, False) for place in new), key=lambda row: row[0].path)
    for path, of_path in groupby(rows, key=lambda row: row[0].path):
        together = list(of_path)
        past = [place for place, was in together if was]
        wanted = next((place for place, was in together if not was), None)
        code = _coded(path)
        if wanted:
            wanted = replace(wanted, valid_from=(began.get(code) or on) if old else BEGINNING, legacy_codes=legacy.get(code, wanted.legacy_codes))
        lines = _of_path(past, wanted, ended.get(code), on)
        changed = [line for line in lines if line not in past]
        revised.places += lines
        revised.new_lines += len(changed)
        gone = [line for line in changed if line.valid_to and not line.successors]
        revised.ended += sum(line.valid_to is not None for line in changed)
        revised.alone += [line for line in gone if not wanted and line.code != NO_GP and line.code not in standing[code[0]]]
    return revised


def missing(old: Iterable[Place], new: Iterable[Place]) -> str:
    """The level of which places stood before and the files have none: one of them was forgotten. No Gram Panchayat is none."""
    before, now = _by_level(place for place in old if place.valid_to is None), _by_level(new)
    return next((of for of, at in _LEVELS.items() if before[at] and not now[at]), "")


def ending(old: Iterable[Place], new: Iterable[Place], percent_max: float) -> dict[str, tuple[int, int]]:
    """How many places of how many would end, by those levels of which it is more than the share, and more than a handful."""
    before, now = _by_level(place for place in old if place.valid_to is None), _by_level(new)
    counts = {of: (len(before[at] - now[at]), len(before[at])) for of, at in _LEVELS.items()}
    return {of: (gone, stood) for of, (gone, stood) in counts.items() if gone > HANDFUL and 100 * gone > percent_max * stood}


def _by_level(places: Iterable[Place]) -> dict[Level, set[str]]:
    codes: dict[Level, set[str]] = {level: set() for level in Level}
    for place in places:
        if place.code != NO_GP:
            codes[level(place.path)].add(place.code)
    return codes


def _check_ended(
    directory: Directory, standing: Mapping[Level, set[str]], held: Mapping[Level, set[str]], bad: list[Bad]
) -> dict[tuple[Level, str], Ended]:
    """The rows of the file of successors that fit the places; the others are told."""
    fit = {}
    for (of, code), one in directory.ended.items():
        at = _LEVELS[of]
        unknown = [successor for successor in one.successors if successor not in standing[at] | held[at]]
        if code in standing[at]:
            bad.append(Bad(one.file, one.row, f"the {of} {code} stands in LGD's files still"))
        elif code not in held[at]:
            bad.append(Bad(one.file, one.row, f"the {of} {code} is not known"))
        elif unknown:
            bad.append(Bad(one.file, one.row, f"the successor {unknown[0]} of the {of} {code} is not known"))
        else:
            fit[at, code] = one
    return fit


def _of_path(past: list[Place], wanted: Place | None, ended: Ended | None, on: date) -> list[Place]:
    """The lines of one path."""
    open_one = next((place for place in past if place.valid_to is None), None)
    if open_one and wanted and (open_one.name, open_one.name_local) == (wanted.name, wanted.name_local):
        now = replace(open_one, lgd_version=wanted.lgd_version, census_code=wanted.census_code, legacy_codes=wanted.legacy_codes)
        return [now if place is open_one else place for place in past]
    lines = [place for place in past if place is not open_one]
    if open_one and open_one.valid_from < on:
        lines.append(replace(open_one, valid_to=on))
    if wanted:
        lines.append(replace(wanted, valid_from=max([wanted.valid_from, *(place.valid_to for place in lines if place.valid_to)])))
    elif ended and lines:
        lines[-1] = _with_successors(lines[-1], ended, now=open_one is not None)
    return lines


def _with_successors(last: Place, ended: Ended, *, now: bool) -> Place:
    """The last line of a place that ended, now or before; the day that is told counts, but none that was over comes back."""
    told = ended.on if ended.on and last.valid_from < ended.on else None
    ends = told if told and last.valid_to and (now or told < last.valid_to) else last.valid_to
    return replace(last, valid_to=ends, successors=ended.successors)
