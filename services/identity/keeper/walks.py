"""Operators' walks over all records, a batch a transaction, while enrolments go on: other keys, and whether all fits.

A walk that was cut short goes on when it is asked for again: what it has still to do stands in the records themselves.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Connection, Row, exists, func, or_, select, text, tuple_

from services.chassis import database
from services.chassis.sight import among
from services.identity.adapters.keys import KeyProvider
from services.identity.commands import vault
from services.identity.commands.vault import kept
from services.identity.keeper.vault import opened, seal, wrapped_anew
from services.identity.rules.vault import FIRST_KEY, DoesNotOpen, Kind, Walk
from services.identity.tables.vault import entries, numbers, tombstones, uses, walks
from services.kernel.errors import Conflict

BATCH = 200
PASSES_MAX = 1000
NOBODY = UUID(int=0)  # Before all references, which are random.

Advance = Callable[[int, int], None]  # So many records further, of so many.


@dataclass(frozen=True, slots=True)
class Rotated:
    """`left` are records that could not be moved: their seals do not open."""

    key_id: int | None
    records: int
    left: int


@dataclass(slots=True)
class Checked:
    """What a check found, in counts."""

    records: int = 0
    entries: int = 0
    closed: int = 0  # Seals that do not open.
    unfit: int = 0  # Entries that are not what their key makes of the number.
    missing: int = 0  # Records that cannot be found by their number.
    twice: int = 0  # Numbers that are in two records.

    @property
    def faults(self) -> int:
        return self.closed + self.unfit + self.missing + self.twice


# --- Other keys


def rotate(keys: KeyProvider, what: Walk, user_id: str, advance: Advance) -> Rotated:
    """Bring all records under a new key, or under the newest where some are not under that yet. Raises Conflict VAULT_WALKING."""
    with _alone():
        key_id = None if what is Walk.DATA_KEYS else _wanted(keys, what)
        with database.transaction("vault") as connection:
            walk_id, begun_at = vault.begin_walk(connection, what, key_id, user_id)
        total, done = _count(_due(what, key_id, begun_at)), 0
        for _ in range(PASSES_MAX):  # What was stored behind the first one's back is found by the next.
            moved = 0
            for rows in _batches(_due(what, key_id, begun_at)):
                moved += _move(keys, what, walk_id, key_id, rows)
                advance(len(rows), total)
            done += moved
            if not moved:
                break
        left = _count(_due(what, key_id, begun_at))
        if not left:
            _end(what, walk_id, key_id)
        return Rotated(key_id, done, left)


def _wanted(keys: KeyProvider, what: Walk) -> int:
    """The newest key while some records are not under it; else a new one. Key 1 is one of before the first rotation."""
    kind = Kind.DATA if what is Walk.KEYS else Kind.INDEX
    newest = keys.ids(kind)[-1]
    return newest if newest > FIRST_KEY and _count(_due(what, newest, None)) else keys.make(kind)


def _due(what: Walk, key_id: int | None, begun_at: datetime | None) -> ColumnElement[bool]:
    """Which records a walk has still to do."""
    if what is Walk.KEYS:
        return or_(numbers.c.key_id != key_id, numbers.c.wrapped.is_(None))
    if what is Walk.DATA_KEYS:
        return or_(numbers.c.sealed_at < begun_at, numbers.c.sealed_at.is_(None))
    return ~exists().where(entries.c.reference == numbers.c.reference, entries.c.key_id == key_id)


def _move(keys: KeyProvider, what: Walk, walk_id: int, key_id: int | None, rows: list[Row[Any]]) -> int:
    """One batch: the keys are asked first, then it is one transaction. What was erased meanwhile stays erased."""
    made: list[Any] = []
    for row in rows:
        was = kept(row).seal
        try:
            if what is Walk.INDEX_KEY:
                assert key_id
                made.append((row.reference, key_id, keys.index(opened(keys, was))[key_id]))
            else:
                anew = wrapped_anew(keys, was) if what is Walk.KEYS else seal(keys, opened(keys, was), was.reference, was.version + 1)
                made.append((was, anew))
        except DoesNotOpen:
            continue
    with database.transaction("vault") as connection:
        if what is Walk.INDEX_KEY:
            moved = sum(vault.index_anew(connection, *one) for one in made)
        else:
            moved = sum(vault.seal_anew(connection, was, anew, other_data_key=anew.version > was.version) for was, anew in made)
        vault.note_walk(connection, walk_id, moved)
    return moved


def _end(what: Walk, walk_id: int, key_id: int | None) -> None:
    more = 1 if what is Walk.INDEX_KEY else 0
    while more:  # To the last entry under an older key.
        assert key_id
        with database.transaction("vault") as connection:
            more = vault.forget_entries(connection, key_id, BATCH)
    with database.transaction("vault") as connection:
        vault.note_walk(connection, walk_id, 0, ended=True)


@contextmanager
def _alone() -> Iterator[None]:
    """One rotation at a time: two would make two keys."""
    with database.reading("vault") as connection:
        lock = text("select pg_try_advisory_lock(hashtext('vault rotation'))")
        if not connection.execute(lock).scalar_one():
            raise Conflict("VAULT_WALKING", "Another rotation of the vault is under way; wait until it has ended.")
        try:
            yield
        finally:
            connection.execute(text("select pg_advisory_unlock(hashtext('vault rotation'))"))


def _batches(due: ColumnElement[bool]) -> Iterator[list[Row[Any]]]:
    after = NOBODY
    while True:  # To the last reference.
        asked = select(numbers).where(due, numbers.c.reference > after).order_by(numbers.c.reference).limit(BATCH)
        with database.reading("vault") as connection:
            rows = list(connection.execute(asked))
        if not rows:
            return
        yield rows
        after = rows[-1].reference


def _count(due: ColumnElement[bool] | None = None) -> int:
    asked = select(func.count()).select_from(numbers)
    with database.reading("vault") as connection:
        found: int = connection.execute(asked if due is None else asked.where(due)).scalar_one()
    return found


# --- Whether all fits


def check(keys: KeyProvider, user_id: str, advance: Advance) -> Checked:
    """Open every record, and see that the blind index finds it."""
    total, after, found = _count(), NOBODY, Checked()
    with database.transaction("vault") as connection:
        walk_id, _begun_at = vault.begin_walk(connection, Walk.CHECK, None, user_id)
    while True:  # To the last reference.
        asked = select(numbers).where(numbers.c.reference > after).order_by(numbers.c.reference).limit(BATCH)
        with database.reading("vault", of_one_moment=True) as connection:
            rows = list(connection.execute(asked))
            indexed = _entries(connection, [row.reference for row in rows])
            found.twice += _twice(connection, [row.token for row in rows])
        if not rows:
            break
        for row in rows:
            _check(keys, row, indexed.get(row.reference, {}), found)
        with database.transaction("vault") as connection:
            vault.note_walk(connection, walk_id, len(rows))
        after = rows[-1].reference
        advance(len(rows), total)
    with database.transaction("vault") as connection:
        vault.note_walk(connection, walk_id, 0, ended=True)
    return found


def _check(keys: KeyProvider, row: Row[Any], indexed: dict[int, bytes], found: Checked) -> None:
    found.records += 1
    found.entries += len(indexed)
    try:
        known = keys.index(opened(keys, kept(row).seal))
    except DoesNotOpen:
        found.closed += 1
        return
    found.unfit += sum(known.get(key_id) != entry for key_id, entry in indexed.items())
    found.missing += not indexed and row.token != known.get(FIRST_KEY)


def _entries(connection: Connection, references: list[UUID]) -> dict[UUID, dict[int, bytes]]:
    found: dict[UUID, dict[int, bytes]] = {}
    for row in connection.execute(select(entries).where(among(entries.c.reference, references))):
        found.setdefault(row.reference, {})[row.key_id] = row.entry
    return found


def _twice(connection: Connection, tokens: list[bytes]) -> int:
    """Records of before whose number another record has, too: their token is what its entry is."""
    of_before = tuple_(entries.c.key_id, entries.c.entry).in_([(FIRST_KEY, token) for token in tokens])
    asked = select(func.count()).select_from(entries.join(numbers, numbers.c.token == entries.c.entry))
    found: int = connection.execute(asked.where(of_before, entries.c.reference != numbers.c.reference)).scalar_one()
    return found


# --- How it stands


@dataclass(frozen=True, slots=True)
class Standing:
    """`sealed` and `indexed` say how many records are under which key; `of_before` are those of the first version."""

    records: int
    proved: int
    of_before: int
    erased: int
    sealed: dict[int, int]
    indexed: dict[int, int]
    walks: list[Row[Any]]


def standing() -> Standing:
    with database.reading("vault", of_one_moment=True) as connection:
        proved, of_before = func.count(numbers.c.confirmed_at), func.count().filter(numbers.c.wrapped.is_(None))
        counted = connection.execute(select(func.count(), proved, of_before).select_from(numbers)).one()
        stones = connection.execute(select(func.count()).select_from(tombstones)).scalar_one()
        sealed, indexed = (
            {int(key_id): int(count) for key_id, count in connection.execute(select(column, func.count()).group_by(column))}
            for column in (numbers.c.key_id, entries.c.key_id)
        )
        latest = select(walks).where(walks.c.id.in_(select(func.max(walks.c.id)).group_by(walks.c.what))).order_by(walks.c.what)
        return Standing(counted[0], counted[1], counted[2], stones, sealed, indexed, list(connection.execute(latest)))


def used(since: datetime) -> list[tuple[str, ...]]:
    """Who had the vault do what, and for what: act, purpose, user, times, the last one. Walks stand among them, by records."""
    times = func.count(), func.max(uses.c.at)
    each = select(uses.c.act, uses.c.purpose, uses.c.user_id, *times).where(uses.c.at >= since).group_by(uses.c.act, uses.c.purpose, uses.c.user_id)
    walked = func.sum(walks.c.records), func.max(walks.c.begun_at)
    of_walks = select(walks.c.what, walks.c.what, walks.c.user_id, *walked).where(walks.c.begun_at >= since).group_by(walks.c.what, walks.c.user_id)
    with database.reading("vault", of_one_moment=True) as connection:
        rows = [*connection.execute(each), *(("WALK", *row[1:]) for row in connection.execute(of_walks))]
    return sorted((act or "-", purpose, user_id, str(count), f"{last:%Y-%m-%d %H:%M}") for act, purpose, user_id, count, last in rows)
