"""The audit's chain: each row sealed together with the seal before it, and whether all still is as it was sealed.

The seals are made with LOKOS_AUDIT_KEY, which the database does not hold: whoever may write to it can alter what is there,
and cannot seal it anew. Heads say how far the chain went, so that rows taken from its end are missed; whoever takes the
heads as well is found out by a head that was noted elsewhere, and by nothing else: so every check of the chain logs one.
"""

import hmac
import itertools
import json
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, Text, bindparam, cast, extract, func, select, update
from sqlalchemy.dialects.postgresql import insert

from services.chassis import settings
from services.chassis.audit import ROWS_MAX, audit, heads
from services.kernel.month import IST

KEY_BYTES = 32
HEAD_ROWS_MAX = 100_000  # Of one part: what a check walks in some seconds.
WALK_EVERY = timedelta(days=7)  # Each part; the last one, each time.
CHECK_SECONDS_MAX = 60
_EPOCH = datetime.fromtimestamp(0, UTC)


class What(StrEnum):
    """What became of the first place that does not fit."""

    CHANGED = "changed"
    DELETED = "deleted"
    INSERTED = "inserted"
    REORDERED = "reordered"
    CUT = "cut"


@dataclass(frozen=True, slots=True)
class Fault:
    """The first broken link."""

    place: int
    what: What
    why: str
    found: Row[Any] | None = None
    """The row that stands there."""

    def __str__(self) -> str:
        there = ""
        if self.found:  # Quoted, since whoever wrote it may have written anything.
            there = f"; there stands id {self.found.id} of {local_time(self.found.at)} IST, {self.found.action!a}"
        return f"place {self.place}: {self.what}: {self.why}{there}"


@dataclass(frozen=True, slots=True)
class Head:
    """The end of a part of the chain: the seal of the row at a place. Moments in microseconds, as text."""

    number: int
    place: int
    seal: bytes
    at: str
    walked_at: str | None = None
    mark: bytes = b""


def show(service: str, place: int, seal: bytes) -> str:
    """A head as it is logged, printed and given to `verify`."""
    return f"{service}:{place}:{seal.hex()}"


class Key:
    """The instance's key, for one service's chain: another service's rows do not fit into it."""

    def __init__(self, service: str) -> None:
        try:
            key = bytes.fromhex(settings.text("LOKOS_AUDIT_KEY"))
        except ValueError:
            key = b""
        if len(key) != KEY_BYTES:
            raise SystemExit(f"The setting LOKOS_AUDIT_KEY must be {KEY_BYTES} bytes in hexadecimal digits.")
        self._key = hmac.digest(key, f"lokos audit {service}".encode(), "sha256")

    def _digest(self, before: bytes, content: Sequence[object]) -> bytes:
        return hmac.digest(self._key, before + json.dumps(content, ensure_ascii=False).encode(), "sha256")

    def seal(self, before: bytes, row: Row[Any]) -> bytes:
        """The seal of a row that comes after the row with the seal `before`."""
        return self._digest(before, row[: len(_CONTENT)])

    def mark(self, head: Head) -> bytes:
        return self._digest(b"head", [head.number, head.place, head.seal.hex(), head.at, head.walked_at])


def moment(column: ColumnElement[Any]) -> ColumnElement[str]:
    """In microseconds, as text: no time zone of a session shows in it, and no value that Python does not know breaks a walk."""
    return cast(func.trunc(extract("epoch", column) * 1_000_000), Text)


def _microseconds(moment: datetime) -> str:
    return str((moment - _EPOCH) // timedelta(microseconds=1))


_AS_TEXT = (moment(audit.c.at).label("at"), cast(audit.c.subjects, Text).label("subjects"), cast(audit.c.facts, Text).label("facts"))
_CONTENT = (audit.c.id, *_AS_TEXT, audit.c.user_id, audit.c.role, audit.c.action, audit.c.request_id)
_HEADS = select(heads.c.number, heads.c.place, heads.c.seal, moment(heads.c.at), moment(heads.c.walked_at), heads.c.mark)


# --- Sealing.


def seal(connection: Connection, service: str) -> int:
    """Add the rows not yet sealed to the chain, in the order of their ids; returns how many. None while somebody else does."""
    alone = func.pg_try_advisory_xact_lock(func.hashtext(f"lokos audit {service}"))
    if not connection.execute(select(alone)).scalar_one():
        return 0
    key = Key(service)
    newest, before, *_ = *(Head(*row) for row in connection.execute(_HEADS.order_by(heads.c.number.desc()).limit(2))), None, None
    head = newest if newest and newest.mark == key.mark(newest) else None
    place, last = _end(connection, head)
    sealed = []
    for row in connection.execute(select(*_CONTENT).where(audit.c.place.is_(None)).order_by(audit.c.id).limit(ROWS_MAX)):
        place, last = place + 1, key.seal(last, row)
        sealed.append({"sealed_id": row.id, "place": place, "seal": last})
    if not sealed:
        return 0
    connection.execute(update(audit).where(audit.c.id == bindparam("sealed_id")).values(place=bindparam("place"), seal=bindparam("seal")), sealed)
    # A head that somebody altered stays as it is, for `verify` to name.
    goes_on = head is not None and head.place - (before.place if before else 0) < HEAD_ROWS_MAX
    number = newest.number + (not goes_on) if newest else 1
    now = datetime.now(UTC)
    values = {"place": place, "seal": last, "at": now, "walked_at": None, "mark": key.mark(Head(number, place, last, _microseconds(now)))}
    connection.execute(insert(heads).values(number=number, **values).on_conflict_do_update(index_elements=["number"], set_=values))
    return len(sealed)


def _end(connection: Connection, head: Head | None) -> tuple[int, bytes]:
    """The place and seal after which the chain goes on.

    Where the head is ahead of the rows, those that are gone leave their hole. Where rows are ahead of it, somebody put them
    there: nothing is sealed upon the seal that they claim.
    """
    sealed = select(audit.c.place, audit.c.seal).where(audit.c.place.is_not(None))
    row = connection.execute(sealed.order_by(audit.c.place.desc()).limit(1)).one_or_none()
    if head:
        return max(head.place, row.place if row else 0), head.seal
    return (row.place, row.seal) if row else (0, b"")


# --- Walking.


class Walk:
    """Along the chain, from its beginning or from a head: how far it came, with which seal."""

    def __init__(self, connection: Connection, key: Key, since: Head | None = None, advance: Callable[[int], None] | None = None) -> None:
        self.place, self.seal = (since.place, since.seal) if since else (0, b"")
        self._connection, self._key, self._advance = connection, key, advance

    def to(self, end: int | None) -> Fault | None:
        """Walk to this place, or to the end of the chain."""
        while page := self._page(end):
            for row in page:
                if row.place > self.place + 1:
                    return Fault(self.place + 1, What.DELETED, f"there is no such row; the next one stands at place {row.place}")
                if row.place <= self.place or row.seal != self._key.seal(self.seal, row):
                    return Fault(self.place + 1, What.CHANGED, "this is not what was sealed here", row)
                self.place, self.seal = row.place, row.seal
            if self._advance:
                self._advance(len(page))
        if end is not None and self.place != end:
            return Fault(self.place + 1, What.DELETED, f"the rows from here to place {end} are gone")
        return None

    def to_head(self, place: int, seal: bytes) -> Fault | None:
        """Walk to a head, whose seal must be the one of its row."""
        fault = self.to(place)
        if fault is None and self.seal != seal:
            fault = Fault(
                place, What.CUT, "a head tells of another row here; the end was cut off and the chain went on without it, or a backup came back"
            )
        return fault

    def _page(self, end: int | None) -> Sequence[Row[Any]]:
        # By pages, each a statement of its own: the chain is as long as the instance is old, and no transaction may be.
        rows = select(*_CONTENT, audit.c.place, audit.c.seal).where(audit.c.place.is_not(None))
        if self.place:  # At the beginning whatever stands before it is seen too.
            rows = rows.where(audit.c.place > self.place)
        if end is not None:
            rows = rows.where(audit.c.place <= end)
        return self._connection.execute(rows.order_by(audit.c.place).limit(ROWS_MAX)).all()

    def explain(self, fault: Fault, kept: Sequence[Head]) -> Fault:
        """What is wrong with the place after this one, by where the rows stand that do not fit, and the heads: two more walks."""
        found = fault.found
        # The row that was sealed for this place may stand elsewhere, with its own seal or with that of the row found here.
        here = {bytes(found.seal)} if found and found.seal else set()
        belongs = next((row for row in self._everywhere() if self._key.seal(self.seal, row) in {row.seal, *here}), None)
        if belongs:
            where = "no place at all" if belongs.place is None else f"place {belongs.place}"
            if found is None or self._is_sealed(found, here | {belongs.seal}):
                return replace(fault, what=What.REORDERED, why=f"its row was moved to {where}")
            return replace(fault, what=What.INSERTED, why=f"this row was never sealed; the one of this place was moved to {where}")
        if found is None:
            return fault
        ahead = next((head for head in kept if head.place >= fault.place), None)
        if ahead is None:
            return replace(fault, what=What.INSERTED, why="this row was never sealed, and no head tells of one here")
        stands = self._connection.execute(select(func.min(audit.c.place)).where(audit.c.seal == ahead.seal)).scalar_one()
        if self._is_sealed(found, here) or (stands or ahead.place) < ahead.place:
            return replace(fault, what=What.DELETED, why="the row of this place is gone, and another was moved into it")
        return fault

    def _is_sealed(self, found: Row[Any], seals: set[bytes]) -> bool:
        """Whether one of these seals was made for that row, after any other."""
        befores = itertools.chain([b""], (row.seal for row in self._everywhere()))
        return any(self._key.seal(before, found) in seals for before in befores)

    def _everywhere(self) -> Iterator[Row[Any]]:
        """Every row with a seal, in the order of the ids."""
        rows = select(*_CONTENT, audit.c.place, audit.c.seal).where(audit.c.seal.is_not(None)).order_by(audit.c.id).limit(ROWS_MAX)
        page = self._connection.execute(rows).all()
        while page:
            yield from page
            page = self._connection.execute(rows.where(audit.c.id > page[-1].id)).all()


def local_time(microseconds: str) -> str:
    """A moment in India, to the second; what is none is told as it is."""
    try:
        return f"{datetime.fromtimestamp(int(microseconds) // 1_000_000, IST):%Y-%m-%d %H:%M:%S}"
    except (ValueError, OverflowError, OSError):
        return microseconds


# --- Judging.


def _kept_heads(connection: Connection, key: Key) -> tuple[list[Head], Fault | None]:
    """The heads that are as they were written, and what is wrong with the others."""
    # The rows first: a head is written with them, so that none that is read afterwards may be behind.
    last: int = connection.execute(select(func.coalesce(func.max(audit.c.place), 0))).scalar_one()
    kept: list[Head] = []
    fault = None
    place = number = 0
    for head in (Head(*row) for row in connection.execute(_HEADS.order_by(heads.c.number))):
        number += 1
        if head.mark != key.mark(head):
            fault = fault or Fault(place + 1, What.CHANGED, f"the head of number {head.number}, of what comes after here, is not as it was written")
        elif head.number != number:
            fault = fault or Fault(place + 1, What.DELETED, f"the head of number {number}, of what comes after here, is gone")
            number = head.number
        if head.mark == key.mark(head):
            kept.append(head)
            place = head.place
    if last > place:
        fault = fault or Fault(place + 1, What.DELETED, f"the chain goes on to place {last}, and the head of that is gone")
    return kept, fault


@dataclass(frozen=True, slots=True)
class Checked:
    """What a check found: the first fault, the last head, and each part that was walked, with whether it fits."""

    fault: Fault | None
    head: str
    walked: list[tuple[Head, bool]]


def check(connection: Connection, service: str, now: datetime) -> Checked:
    """Walk the last part, and those that were not walked for a week, the longest first, for about a minute."""
    key, until = Key(service), time.monotonic() + CHECK_SECONDS_MAX
    kept, fault = _kept_heads(connection, key)
    faults, walked = [fault] if fault else [], []
    fresh = int(_microseconds(now - WALK_EVERY))
    parts = zip([None, *kept], kept, strict=False)
    due = [(since, head) for since, head in parts if head is kept[-1] or int(head.walked_at or 0) <= fresh]
    for since, head in sorted(due, key=lambda part: (part[1] is not kept[-1], int(part[1].walked_at or 0))):
        if time.monotonic() > until:
            break
        found = Walk(connection, key, since).to_head(head.place, head.seal)
        faults += [found] if found else []
        walked.append((head, found is None))
    return Checked(min(faults, key=lambda one: one.place, default=None), show(service, kept[-1].place, kept[-1].seal) if kept else "", walked)


def note(connection: Connection, service: str, checked: Checked, now: datetime) -> None:
    """Note which parts fit and when that was seen; one that does not is walked again by the next check."""
    key = Key(service)
    for head, fits in checked.walked:
        moment = now if fits else None
        mark = key.mark(replace(head, walked_at=_microseconds(moment) if moment else None))
        same = (heads.c.number == head.number) & (heads.c.place == head.place)  # The last one may have gone on meanwhile.
        connection.execute(update(heads).where(same).values(walked_at=moment, mark=mark))


@dataclass(frozen=True, slots=True)
class Verified:
    """What a walk along the whole chain found: the first row that does not fit, and the first head; rows that fit; rows that are not
    sealed yet; ids that no row has; the head.
    """

    faults: list[Fault]
    rows: int
    unsealed: int
    missing_ids: int
    head: str


def verify(connection: Connection, service: str, noted: Sequence[tuple[int, bytes]] = (), advance: Callable[[int], None] | None = None) -> Verified:
    """Walk the whole chain, and look for the heads: those that are kept, and those noted elsewhere (place and seal)."""
    key = Key(service)
    kept, of_heads = _kept_heads(connection, key)
    walk = Walk(connection, key, advance=advance)
    for place, there in sorted([*((head.place, head.seal) for head in kept), *noted]):
        if fault := walk.to_head(place, there):
            break
    else:
        fault = walk.to(None)
    if fault and fault.what != What.CUT:
        fault = walk.explain(fault, kept)
    # Of one moment, so that the ids add up; what is being written meanwhile has its id already and no row yet.
    beyond = audit.c.place.is_(None) | (audit.c.place > walk.place)
    counts = select(func.count().filter(audit.c.place.is_(None)), func.count(), func.pg_sequence_last_value(_SEQUENCE))
    unsealed, others, last_id = connection.execute(counts.select_from(audit).where(beyond)).one()
    return Verified(
        faults=[one for one in (fault, of_heads) if one],
        rows=walk.place,
        unsealed=unsealed,
        missing_ids=max((last_id or 0) - walk.place - others, 0),
        head=show(service, walk.place, walk.seal) if walk.place else "",
    )


_SEQUENCE = func.pg_get_serial_sequence("audit", "id")
