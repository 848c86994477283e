"""The books of batches: how far a run is, who goes out to be compared, which pairs come back, whose screening says otherwise."""

from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Connection, RowMapping, and_, delete, exists, func, or_, select, text, tuple_, union_all, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import DBAPIError

from services.chassis import audit, database
from services.chassis.sight import within
from services.dedup.rules import Override, Verdict
from services.dedup.rules import batch as rules
from services.dedup.rules.batch import State
from services.dedup.tables import batch_pairs, batches, people
from services.kernel.approval import Status
from services.kernel.caller import Caller
from services.kernel.errors import Conflict, NotFound

# Whoever holds it carries a batch out. It falls with its connection, so that nobody needs to clear up after the dead.
_LOCK, _UNLOCK = (text(f"select {function}(hashtextextended('dedup batch', 0))") for function in ("pg_try_advisory_lock", "pg_advisory_unlock"))
_READ_BYTES = 1 << 20
NOW = func.now()


# --- How far a run is.


def start(connection: Connection, caller: Caller, batch_id: UUID) -> None:
    """Ask for a batch; the same one again is the first."""
    if connection.execute(select(batches.c.id).where(batches.c.id == batch_id)).one_or_none():
        return
    asked = insert(batches).values(id=batch_id, state=State.RUNNING, phase=rules.PHASES[0]).on_conflict_do_nothing().returning(batches.c.id)
    if connection.execute(asked).one_or_none() is None:
        raise Conflict("BATCH_RUNNING", "A batch is running already: look how far it is, and ask again when it has ended.", field="batch_id")
    audit.changed(connection, caller, "batch.start", batch_id)


def running(connection: Connection) -> UUID | None:
    return connection.execute(select(batches.c.id).where(batches.c.state == State.RUNNING)).scalar_one_or_none()


def find(connection: Connection, batch_id: UUID | None) -> RowMapping:
    """A batch, or the last that was asked for."""
    asked = select(batches).order_by(batches.c.asked_at.desc()).limit(1)
    row = connection.execute(asked.where(batches.c.id == batch_id) if batch_id else asked).mappings().one_or_none()
    if row is None:
        raise NotFound("BATCH_UNKNOWN", "There is no such batch.", field="batch_id")
    return row


def note(connection: Connection, batch_id: UUID, **known: Any) -> None:  # noqa: ANN401 - columns of batches
    """Note what is known of a running batch."""
    connection.execute(update(batches).where(batches.c.id == batch_id, batches.c.state == State.RUNNING).values(**known))


def begin(connection: Connection, batch_id: UUID) -> bool:
    """Count a start; False where it has been cut short too often, and fails."""
    counted = update(batches).where(batches.c.id == batch_id).values(starts=batches.c.starts + 1).returning(batches.c.starts)
    if connection.execute(counted).scalar_one() <= rules.STARTS_MAX:
        return True
    fail(connection, batch_id, f"cut short {rules.STARTS_MAX} times")
    return False


def fail(connection: Connection, batch_id: UUID, error: str) -> None:
    note(connection, batch_id, state=State.FAILED, error=error, ended_at=func.now())


@contextmanager
def alone(service: str) -> Iterator[bool]:
    """Whether nobody else carries a batch out, and for as long nobody will."""
    with database.reading(service) as connection:
        mine = bool(connection.execute(_LOCK).scalar_one())
        try:
            yield mine
        finally:
            if mine:  # The pool keeps the connection.
                with suppress(DBAPIError):
                    connection.execute(_UNLOCK)


# --- Out.


def write_people(service: str, columns: Collection[str], file: Path) -> datetime:
    """All who are on the books as of one moment, as CSV; no lock is taken. Returns the moment."""
    names = ", ".join(columns)
    with database.reading(service, of_one_moment=True) as connection:
        moment: datetime = connection.execute(text("select now()")).scalar_one()
        connection.execute(text("set local statement_timeout = 0"))
        raw: Any = connection.connection.driver_connection
        partial = file.with_suffix(".part")
        with (
            partial.open("wb", buffering=_READ_BYTES) as out,
            raw.cursor().copy(f"copy (select {names} from {people.name} where status <> '{Status.REJECTED}') to stdout (format csv)") as copy,
        ):
            for block in copy:
                out.write(block)
    partial.replace(file)
    return moment


# --- In.

PAIR = ("one_id", "other_id", "one_revision", "other_revision", "one_region", "other_region", "weight_centibits", "verdict", "override", "cluster_id")


def store(connection: Connection, batch_id: UUID, file: Path) -> None:
    """The pairs of a CSV file, the batch's id before each, in the place of those of the batch before."""
    connection.execute(text("set local statement_timeout = 0"))
    connection.execute(delete(batch_pairs))
    raw: Any = connection.connection.driver_connection
    with file.open("rb") as made, raw.cursor().copy(f"copy {batch_pairs.name} (batch_id, {', '.join(PAIR)}) from stdin (format csv)") as copy:
        while block := made.read(_READ_BYTES):
            copy.write(block)
    counts = select(func.count(), func.count(batch_pairs.c.cluster_id.distinct())).select_from(batch_pairs)
    pairs, clusters = connection.execute(counts).one()
    note(connection, batch_id, pairs=pairs, clusters=clusters)


# Of whom the batch says otherwise than her screening. Who awaits her approval: a pair that the screening lacks or judges otherwise, or a
# match that the batch lacks although neither record has changed. Who is active: a proof against her that is no case yet.
_SAYS_OTHERWISE = text("""
    with side as (
        select one_id as member_id, other_id, verdict from batch_pairs
        union all select other_id, one_id, verdict from batch_pairs
    )
    select side.member_id from side
    join people mine on mine.member_id = side.member_id and mine.status = 'SUBMITTED'
    left join screenings told on told.member_id = side.member_id
    left join matches found on found.member_id = side.member_id and found.version = told.version and found.other_id = side.other_id
    where found.verdict is distinct from side.verdict
    union
    select side.member_id from side
    join people mine on mine.member_id = side.member_id and mine.status = 'ACTIVE'
    left join contested on contested.member_id = side.member_id and contested.other_id = side.other_id and settled_at is null
    where side.verdict = 'CONFIRMED' and contested.member_id is null
    union
    select told.member_id from screenings told
    join matches found on found.member_id = told.member_id and found.version = told.version
    join people mine on mine.member_id = told.member_id and mine.status = 'SUBMITTED' and mine.revision = found.revision
    join people theirs on theirs.member_id = found.other_id and theirs.revision = found.other_revision
    where told.screened_at < (select taken_at from batches where id = :batch_id)
    and not exists (select from side where side.member_id = found.member_id and side.other_id = found.other_id)
    order by 1
""")


def says_otherwise(connection: Connection, batch_id: UUID) -> list[UUID]:
    """The members who are to be screened again, by the one way that decides."""
    connection.execute(text("set local statement_timeout = 0"))
    return list(connection.execute(_SAYS_OTHERWISE, {"batch_id": batch_id}).scalars())


# --- The work list.

Place = tuple[int, UUID, UUID]  # The weight, below zero, and the two ids: the gravest come first.

_REGIONS = (batch_pairs.c.one_region, batch_pairs.c.other_region)


def pairs(connection: Connection, caller: Caller, region: str, after: Place | None, size: int) -> list[RowMapping]:
    """The pairs of which one record lies in the region and in the caller's sight; `changed` where a record is another since, or is none."""
    changed = or_(~_is(batch_pairs.c.one_id, batch_pairs.c.one_revision), ~_is(batch_pairs.c.other_id, batch_pairs.c.other_revision))
    place = (-batch_pairs.c.weight_centibits, batch_pairs.c.one_id, batch_pairs.c.other_id)
    asked = (
        select(batch_pairs, changed.label("changed"))
        .where(or_(*(and_(within(column, [region]), within(column, caller.regions)) for column in _REGIONS)))
        .order_by(*place)
        .limit(size)
    )
    return list(connection.execute(asked.where(tuple_(*place) > after) if after else asked).mappings())


def _is(member_id: ColumnElement[UUID], revision: ColumnElement[int]) -> ColumnElement[bool]:
    """Whether she is still compared by this record."""
    return exists().where(people.c.member_id == member_id, people.c.revision == revision)


def _block(region: ColumnElement[str]) -> ColumnElement[str]:
    return func.coalesce(func.substring(region, r"^\d+\.\d+\.\d+"), region)


def blocks(connection: Connection, caller: Caller) -> list[RowMapping]:
    """How much each block in the caller's sight has to look at; a pair that lies in two is work of both."""
    said = (batch_pairs.c.verdict, batch_pairs.c.override)
    one, other = _REGIONS
    of_one = select(_block(one).label("block"), *said).where(within(one, caller.regions))
    of_other = select(_block(other), *said).where(within(other, caller.regions), _block(other) != _block(one))
    side = union_all(of_one, of_other).subquery()
    asked = select(
        side.c.block,
        func.count().label("pairs"),
        func.count().filter(side.c.verdict == Verdict.CONFIRMED).label("confirmed"),
        func.count().filter(side.c.verdict != Verdict.CONFIRMED, side.c.override == Override.SUPERVISOR).label("for_supervisors"),
    )
    return list(connection.execute(asked.group_by(side.c.block).order_by(side.c.block)).mappings())
