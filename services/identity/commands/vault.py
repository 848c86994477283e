"""The vault's rows: what is kept of sealed numbers, and who had what done with them. Sealing and opening is the keeper's.

It works on a connection of its own role, whose schema identity's role cannot read (interfaces 3, law: data vault).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, delete, exists, func, insert, literal, or_, select, tuple_, update
from sqlalchemy.dialects import postgresql

from services.chassis.logs import request_id
from services.chassis.sight import among
from services.identity.rules.vault import FIRST_KEY, Act, Purpose, Sealed, Walk, away, erased
from services.identity.tables.vault import entries, numbers, tombstones, uses, walks

UNPROVED = "nobody proved it to be hers"

Entries = Mapping[int, bytes]  # What each index key makes of one number.


class Taken(Exception):  # noqa: N818 - a race, which is run again
    """Somebody else stored the same number at the same moment."""


@dataclass(frozen=True, slots=True)
class Kept:
    """A record as it is kept."""

    seal: Sealed
    token: bytes


def find(connection: Connection, known: Entries) -> UUID | None:
    """The reference of a number by its blind index, under whichever key it was made. Its row waits for no eraser from here on."""
    if connection.execute(select(exists().where(entries.c.key_id > max(known)))).scalar_one():
        raise away()  # Of whoever has not the newest key yet: it would take a number that is there for a new one.
    by_entry = numbers.c.reference.in_(select(entries.c.reference).where(tuple_(entries.c.key_id, entries.c.entry).in_(list(known.items()))))
    # Records of the first version have no entry until a walk gives them one: their token is what it would be.
    of_before = numbers.c.token == known.get(FIRST_KEY, b"")
    found: UUID | None = connection.scalars(select(numbers.c.reference).where(or_(by_entry, of_before)).limit(1).with_for_update()).first()
    return found


def touch(connection: Connection, reference: UUID, purpose: Purpose, user_id: str) -> None:
    """The number was handed in once more: if nobody proved it, its day begins anew."""
    connection.execute(update(numbers).where(numbers.c.reference == reference).values(stored_at=datetime.now(UTC)))
    note(connection, reference, Act.STORE, purpose, user_id)


def keep(connection: Connection, made: Kept, known: Entries, purpose: Purpose, user_id: str) -> None:
    """A number that was not there. Raises Taken where it is now."""
    now = datetime.now(UTC)
    seal = made.seal
    values = {"token": made.token, "stored_at": now, "sealed_at": now, **_columns(seal)}
    connection.execute(insert(numbers).values(reference=seal.reference, **values))
    # While the index key is changed under the old one too, so that two who know different newest ones still meet.
    used = [key_id for key_id in known if key_id == max(known) or _is_used(connection, key_id)]
    rows = [{"key_id": key_id, "entry": known[key_id], "reference": seal.reference} for key_id in used]
    added = connection.execute(postgresql.insert(entries).on_conflict_do_nothing().returning(entries.c.key_id), rows)
    if len(added.all()) < len(rows):
        raise Taken
    note(connection, seal.reference, Act.STORE, purpose, user_id)


def _is_used(connection: Connection, key_id: int) -> bool:
    return bool(connection.execute(select(exists().where(entries.c.key_id == key_id))).scalar_one())


def take(connection: Connection, reference: UUID, act: Act, purpose: Purpose, user_id: str) -> Kept:
    """A record, to be opened when this was committed: that it was asked for is noted with it. Raises Conflict where it was erased."""
    row = connection.execute(select(numbers).where(numbers.c.reference == reference)).one_or_none()
    if row is None:
        raise erased()
    note(connection, reference, act, purpose, user_id)
    return kept(row)


def prove(connection: Connection, reference: UUID) -> None:
    """She proved that it is hers: from now on it is kept as long as her consent holds."""
    proved = func.coalesce(numbers.c.confirmed_at, func.now())
    connection.execute(update(numbers).where(numbers.c.reference == reference).values(confirmed_at=proved))


def erase(
    connection: Connection, references: Sequence[UUID], reason: str, user_id: str, before: datetime, *, unproved_alone: bool = False
) -> list[UUID]:
    """Erase numbers for good: seal, data key and index; but those that were handed in anew since `before`, or proved meanwhile.

    What is erased, or was before, is noted. Returns what is gone now.
    """
    if not references:
        return []
    newer = numbers.c.stored_at > before
    stays = or_(newer, numbers.c.confirmed_at.is_not(None)) if unproved_alone else newer
    of_these = among(numbers.c.reference, references)
    connection.execute(delete(numbers).where(of_these, ~stays))
    left = set(connection.scalars(select(numbers.c.reference).where(of_these)))
    gone = [reference for reference in references if reference not in left]
    if gone:
        stones = [{"reference": reference, "erased_at": datetime.now(UTC), "reason": reason} for reference in gone]
        connection.execute(postgresql.insert(tombstones).on_conflict_do_nothing(), stones)
    for reference in gone:
        note(connection, reference, Act.ERASE, f"erase: {reason}", user_id)
    return gone


def note(connection: Connection, reference: UUID, act: Act, purpose: str, user_id: str) -> None:
    """Who had the vault do what. No number, and nothing made of one."""
    values = {"at": datetime.now(UTC), "reference": reference, "act": act, "purpose": purpose, "user_id": user_id}
    connection.execute(insert(uses).values(request_id=request_id.get(), **values))


def kept(row: Any) -> Kept:  # noqa: ANN401 - a row of numbers
    return Kept(Sealed(row.reference, row.version, row.key_id, row.wrapped, row.sealed), row.token)


# --- What a walk changes. Each change looks whether the record is still as it was read; if not, the next round has it again.


def seal_anew(connection: Connection, was: Sealed, made: Sealed, *, other_data_key: bool) -> int:
    """1 where it was done, 0 where the record is another one by now, or gone."""
    same = numbers.c.reference == was.reference, numbers.c.version == was.version, numbers.c.key_id == was.key_id
    values = _columns(made) | ({"sealed_at": datetime.now(UTC)} if other_data_key else {})
    return connection.execute(update(numbers).where(*same).values(values)).rowcount


def index_anew(connection: Connection, reference: UUID, key_id: int, entry: bytes) -> int:
    """One more entry. 0 where the record is gone or has it; or where another one has, which a check finds."""
    still = select(literal(key_id), literal(entry), numbers.c.reference).where(numbers.c.reference == reference).with_for_update()
    added = postgresql.insert(entries).from_select(["key_id", "entry", "reference"], still).on_conflict_do_nothing()
    return len(connection.execute(added.returning(entries.c.key_id)).all())


def forget_entries(connection: Connection, newest: int, batch: int) -> int:
    """Some entries under older keys, of records that have one under the newest."""
    newer = entries.alias("newer")
    has = exists().where(newer.c.reference == entries.c.reference, newer.c.key_id == newest)
    some = select(entries.c.key_id, entries.c.entry).where(entries.c.key_id < newest, has).limit(batch)
    return connection.execute(delete(entries).where(tuple_(entries.c.key_id, entries.c.entry).in_(some))).rowcount


def begin_walk(connection: Connection, what: Walk, key_id: int | None, user_id: str) -> tuple[int, datetime]:
    """Note a walk before it opens a record; its id and beginning. The one of its kind that was cut short goes on."""
    same = walks.c.what == what, walks.c.key_id.is_not_distinct_from(key_id), walks.c.ended_at.is_(None)
    begun = connection.execute(select(walks).where(*same)).first() if what is not Walk.CHECK else None
    if begun is None:
        values = {"what": what, "key_id": key_id, "user_id": user_id, "begun_at": datetime.now(UTC)}
        begun = connection.execute(insert(walks).values(values).returning(walks)).one()
    return begun.id, begun.begun_at


def note_walk(connection: Connection, walk_id: int, records: int, *, ended: bool = False) -> None:
    """So many records further."""
    values = {"records": walks.c.records + records} | ({"ended_at": datetime.now(UTC)} if ended else {})
    connection.execute(update(walks).where(walks.c.id == walk_id).values(values))


def _columns(seal: Sealed) -> dict[str, Any]:
    return {"version": seal.version, "key_id": seal.key_id, "wrapped": seal.wrapped, "sealed": seal.sealed}
