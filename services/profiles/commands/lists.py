"""The lists that forms offer: as rules ask them, as a device takes what has changed, and edited by the state.

Read here too, and not in `queries`, which are bounded by what a caller may see: lists are everybody's.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from uuid import UUID, uuid4

from sqlalchemy import Connection, select, tuple_, update
from sqlalchemy.dialects.postgresql import insert

from services.chassis import audit
from services.chassis.sheets import Row
from services.kernel.caller import Caller
from services.kernel.errors import Invalid, Refused
from services.kernel.page import page_unknown
from services.profiles.queries import AnyRow
from services.profiles.rules.list_edits import EDITS_MAX, Edit, Entry, decide, from_sheet
from services.profiles.rules.lists import Lists, Value
from services.profiles.tables import list_values, lists_version

_kept: dict[UUID, Lists] = {}  # The last lists that this process has read, by their stamp.


@dataclass(frozen=True, slots=True)
class Answer:
    """What became of an edit: the value as it stands now, or why it was refused."""

    entry: Entry | None = None
    refused: Refused | None = None
    changed: bool = False


def lists(connection: Connection) -> Lists:
    """The lists as they stand, from this process's memory unless they have changed."""
    stamp: UUID = connection.execute(select(lists_version.c.stamp)).scalar_one()
    held = _kept.get(stamp)
    if held is None:
        held = Lists({name: {code: entry.value for code, entry in entries.items()} for name, entries in entries_by_list(connection).items()})
        _kept.clear()
        _kept[stamp] = held
    return held


def entries_by_list(connection: Connection) -> dict[str, dict[str, Entry]]:
    """Every value by its list and code, in the order of the screen."""
    found: dict[str, dict[str, Entry]] = {}
    in_order = select(list_values).order_by(list_values.c.list, list_values.c.order, list_values.c.code)
    for row in connection.execute(in_order):
        found.setdefault(row.list, {})[row.code] = _entry(row)
    return found


def version(connection: Connection) -> int:
    current: int = connection.execute(select(lists_version.c.version)).scalar_one()
    return current


def changed_since(connection: Connection, since: int, after: str, size: int) -> tuple[int, list[tuple[str, Entry]], str]:
    """The lists' version, a page of what changed after `since` in the order of change, and what the next page comes after.

    The version is read first, so that a change in between is sent twice rather than not at all.
    """
    current = version(connection)
    if not 0 <= since <= current:
        raise Invalid("VERSION_UNKNOWN", "The lists here have not come to that version; begin again from 0.", field="since_version")
    key = tuple_(list_values.c.version, list_values.c.list, list_values.c.code)
    asked = select(list_values).where(list_values.c.version > since).order_by(*key.clauses).limit(size)
    if after:
        asked = asked.where(key > tuple_(*_place(after)))
    rows = connection.execute(asked).all()
    following = ":".join(map(str, (rows[-1].version, rows[-1].list, rows[-1].code))) if len(rows) == size else ""
    return current, [(row.list, _entry(row)) for row in rows], following


def edit(connection: Connection, caller: Caller, edits: Sequence[Edit], languages: Sequence[str], *, dry_run: bool = False) -> list[Answer]:
    """Each edit answered: the good ones are in, in one new version of the lists; the same again changes nothing."""
    if len(edits) > EDITS_MAX:
        raise Invalid("EDITS_TOO_MANY", "At most {most} edits are taken in one go; send them in parts.", field="values", most=EDITS_MAX)
    # The lock makes edits wait for each other, so that each is decided on what stands.
    coming = connection.execute(select(lists_version.c.version).with_for_update()).scalar_one() + 1
    held = entries_by_list(connection)
    answers = []
    changed: dict[tuple[str, str], Entry] = {}
    for one in edits:
        try:
            wanted = decide(held, one, languages)
        except Refused as refused:
            answers.append(Answer(refused=refused))
            continue
        if wanted:
            held[one.list][one.code] = changed[one.list, one.code] = replace(wanted, version=coming)
        answers.append(Answer(held[one.list][one.code], changed=wanted is not None))
    if changed and not dry_run:
        _store(connection, coming, changed)
        audit.changed(connection, caller, "masters.edit", *(f"{name}.{code}" for name, code in changed), version=coming)
    return answers


def edit_by_sheet(
    connection: Connection, caller: Caller, rows: Sequence[Row], languages: Sequence[str], *, dry_run: bool
) -> list[tuple[int, Answer]]:
    """The same for the rows of a sheet, each answered by its number."""
    edits: dict[int, Edit] = {}
    answers: dict[int, Answer] = {}
    for row in rows:
        try:
            edits[row.number] = from_sheet(row.check().cells, languages)
        except Refused as refused:
            answers[row.number] = Answer(refused=refused)
    answers |= zip(edits, edit(connection, caller, list(edits.values()), languages, dry_run=dry_run), strict=True)
    return sorted(answers.items())


def _store(connection: Connection, coming: int, entries: Mapping[tuple[str, str], Entry]) -> None:
    rows = [
        {
            "list": name,
            "code": code,
            "national_code": entry.value.national_code,
            "labels": dict(entry.value.labels),
            "order": entry.order,
            "active": entry.value.active,
            "valid_from": entry.value.valid_from,
            "valid_to": entry.value.valid_to,
            "version": entry.version,
        }
        for (name, code), entry in entries.items()
    ]
    statement = insert(list_values)
    replaced = {column.name: statement.excluded[column.name] for column in list_values.c if not column.primary_key}
    connection.execute(statement.on_conflict_do_update(index_elements=["list", "code"], set_=replaced), rows)
    connection.execute(update(lists_version).values(version=coming, stamp=uuid4()))


def _entry(row: AnyRow) -> Entry:
    return Entry(Value(row.code, row.national_code, row.valid_from, row.valid_to, row.active, row.labels), row.order, row.version)


def _place(after: str) -> tuple[int, str, str]:
    number, _, key = after.partition(":")
    name, _, code = key.partition(":")
    if not (number.isascii() and number.isdecimal() and len(number) <= 18 and code) or "\0" in after:
        raise page_unknown()
    return int(number), name, code
