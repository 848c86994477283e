"""A meeting in few bytes: each id is kept once, lines are arrays of small numbers, and the sheet refers to both.

A row a line, with its key, costs four times as much on disk and in time (docs/decisions/0015).
"""

import json
import zlib
from collections.abc import Callable, Mapping, Sequence
from datetime import date
from types import MappingProxyType
from typing import Any, NamedTuple

from services.kernel.canonical import Content
from services.transactions.rules.ageing import Change
from services.transactions.rules.heads import Head
from services.transactions.rules.journal import Id, Line
from services.transactions.rules.sheet import KINDS, NAMES, OPENINGS, PARTS, CutOff, Paid, Sheet

LETTERS = "ALIE"
NUMBER_OF: Mapping[Head, int] = MappingProxyType({head: (LETTERS.index(head[0]) + 1) * 100 + int(head[1:]) for head in Head})
HEAD_OF: Mapping[int, Head] = MappingProxyType({number: head for head, number in NUMBER_OF.items()})
# What stands beside the content in columns of its own.
COLUMNS = ("meeting_id", "institution_id", "revision", "number", "held_on")
# The fields that hold ids.
IDS = frozenset(name for kind in (*KINDS.values(), *OPENINGS.values(), Paid) for name in kind._fields if name.endswith("_id")) | {
    "previous_meeting_id"
}
_JSON = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"))
_UNLISTED, _AGEING = "unlisted", "ageing"  # No fields of a sheet.
_LEVEL = 1  # Of compression: more saves a hundredth.


class Packed(NamedTuple):
    """`debit_of` and `credit_of` are places in `ids`, counted from 1; 0 is nobody."""

    ids: Sequence[Id]
    content: bytes
    debit: Sequence[int]
    credit: Sequence[int]
    debit_of: Sequence[int]
    credit_of: Sequence[int]
    paise: Sequence[int]


def pack(content: Mapping[str, Content], lines: Sequence[Line], unlisted: int = 0, ageing: Sequence[Change] = ()) -> Packed:
    """`content` as sheet.content makes it; beside it go how many active members the attendance left out, and what is to be told of due
    dates once it is approved.
    """
    places: dict[Id, int] = {}

    def place(one: Id) -> int:
        return places.setdefault(one, len(places) + 1) if one else 0

    kept = {name: _small(name, value, place) for name, value in content.items() if name not in COLUMNS}
    if unlisted:
        kept[_UNLISTED] = unlisted
    if ageing:
        kept[_AGEING] = [[NUMBER_OF[one.head], one.due_on.toordinal(), *one[2:]] for one in ageing]
    debit_of, credit_of = [place(line.debit_of) for line in lines], [place(line.credit_of) for line in lines]
    written = _JSON.encode(kept).encode()
    return Packed(
        list(places),
        zlib.compress(written, _LEVEL),
        [NUMBER_OF[line.debit] for line in lines],
        [NUMBER_OF[line.credit] for line in lines],
        debit_of,
        credit_of,
        [line.amount_paise for line in lines],
    )


def _small(name: str, value: Any, place: Callable[[Id], int]) -> Any:  # noqa: ANN401 - of any field
    if name in IDS:
        return place(value)
    if type(value) is list:
        return [_small(name, one, place) for one in value]
    if type(value) is dict:
        return {key: _small(key, one, place) for key, one in value.items()}
    return value


def unpack_content(row: Any) -> dict[str, Any]:  # noqa: ANN401 - a row of meetings
    """The content again, as sheet.content made it, but for names that this version does not know.

    A newer one may have written them, while programs are replaced one by one; in the store they stay, and the hash is of all of it.
    """
    ids = [str(one) for one in row.ids]
    columns = {"meeting_id": str(row.meeting_id), "institution_id": str(row.institution_id), "revision": row.revision, "number": row.number}
    kept = _large("", json.loads(zlib.decompress(row.content)), ids)
    return {**columns, "held_on": row.held_on.isoformat(), **kept}


_KNOWN = {"": frozenset(NAMES), **{name: frozenset(kind._fields) for name, kind in {**KINDS, **OPENINGS, **PARTS, "cut_off": CutOff}.items()}}


def _large(name: str, value: Any, ids: Sequence[Id]) -> Any:  # noqa: ANN401 - of any field
    if name in IDS:
        return ids[value - 1]
    if isinstance(value, list):
        return [_large(name, one, ids) for one in value]
    if isinstance(value, dict):
        return {key: _large(key, one, ids) for key, one in value.items() if key in _KNOWN[name]}
    return value


def unlisted(row: Any) -> int:  # noqa: ANN401 - a row of meetings
    """How many active members its attendance left out, as far as was known when it was taken in."""
    return json.loads(zlib.decompress(row.content)).get(_UNLISTED, 0) if "ATTENDANCE_INCOMPLETE" in row.flags else 0


def ageing(row: Any) -> tuple[Change, ...]:  # noqa: ANN401 - a row of meetings
    """What the meeting changes of the due dates of loans."""
    told = json.loads(zlib.decompress(row.content)).get(_AGEING, ())
    return tuple(Change(HEAD_OF[head], date.fromordinal(day), *amounts) for head, day, *amounts in told)


def unpack_sheet(row: Any) -> Sheet:  # noqa: ANN401 - a row of meetings
    content = unpack_content(row)
    content["held_on"] = date.fromisoformat(content["held_on"])
    for name, kind in KINDS.items():
        content[name] = tuple(_entry(kind, entry) for entry in content.get(name, ()))
    if "cut_off" in content:
        said = content["cut_off"]
        content["cut_off"] = CutOff(**{**said, **{name: tuple(_entry(OPENINGS[name], one) for one in said[name]) for name in OPENINGS.keys() & said}})
    return Sheet(**content)


def _entry(kind: Any, written: dict[str, Any]) -> Any:  # noqa: ANN401 - one of KINDS
    empty = {name: False if name == "present" else 0 if name.endswith(_NUMBERS) else "" for name in kind._fields if name not in kind._field_defaults}
    parts = {name: _entry(part, written[name]) for name, part in PARTS.items() if name in written}
    return kind(**{**empty, **written, **parts})


_NUMBERS = ("_paise", "_points", "months", "line", "priority")


def unpack_lines(row: Any) -> tuple[Line, ...]:  # noqa: ANN401 - a row of meetings
    ids = ["", *(str(one) for one in row.ids)]
    packed = zip(row.debit, row.credit, row.paise, row.debit_of, row.credit_of, strict=True)
    return tuple(
        Line(line, HEAD_OF[debit], HEAD_OF[credit], paise, ids[debit_of], ids[credit_of])
        for line, (debit, credit, paise, debit_of, credit_of) in enumerate(packed, 1)
    )
