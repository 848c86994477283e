"""Who did, saw, changed what and when: a row with the change, sealed into a hash chain off the hot path (decision 37)."""

import hashlib
import json
import queue
import threading
import time
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import BigInteger, Column, Connection, DateTime, Index, LargeBinary, Table, Text, insert, select, update
from sqlalchemy.dialects.postgresql import JSONB

from services.chassis import database, mailbox
from services.chassis.logs import request_id
from services.kernel.caller import Caller

SEAL_MAX = 5000
READS_WAITING_MAX = 10_000
GATHER_SECONDS = 0.2

audit = Table(
    "audit",
    mailbox.metadata,
    Column("id", BigInteger, primary_key=True, autoincrement=True),
    Column("at", DateTime(timezone=True), nullable=False),
    Column("user_id", Text, nullable=False),
    Column("role", Text, nullable=False),
    Column("action", Text, nullable=False),
    Column("subjects", JSONB, nullable=False),
    Column("facts", JSONB, nullable=False),
    Column("request_id", Text, nullable=False),
    # The chain: its place, and the hash of the row together with the hash before it.
    Column("place", BigInteger, unique=True),
    Column("seal", LargeBinary),
)
Index("audit_unsealed", audit.c.id, postgresql_where=audit.c.place.is_(None))


def row(caller: Caller, action: str, subjects: Iterable[object], facts: dict[str, Any]) -> dict[str, Any]:
    """The audit row of a change, for a writer that stores it in a statement of its own."""
    return {
        "at": datetime.now(UTC),
        "user_id": caller.user_id,
        "role": caller.role or "",
        "action": action,
        "subjects": [str(subject) for subject in subjects],
        "facts": facts,
        "request_id": request_id.get(),
    }


def changed(connection: Connection, caller: Caller, action: str, *subjects: object, **facts: Any) -> None:  # noqa: ANN401 - any JSON
    """Note a change in its own transaction. `facts` are ids, statuses and reasons: no name, phone or number."""
    connection.execute(insert(audit).values(row(caller, action, subjects, facts)))


_readers: list["Reads"] = []


def flush_reads() -> None:
    """Write what was seen and not yet noted; called when a process that serves ends."""
    for reads in _readers:
        reads.flush()


class Reads:
    """Notes what was seen, a row a query, after the answer has gone; a full queue makes the reader wait, never forget."""

    def __init__(self, service: str) -> None:
        self._service = service
        self._rows: queue.Queue[dict[str, Any]] = queue.Queue(READS_WAITING_MAX)
        threading.Thread(target=self._run, name=f"audit-{service}", daemon=True).start()
        _readers.append(self)

    def seen(self, caller: Caller, action: str, subjects: Iterable[object]) -> None:
        self._rows.put(row(caller, action, subjects, {}), timeout=5)

    def _run(self) -> None:
        while True:
            first = self._rows.get()
            time.sleep(GATHER_SECONDS)  # So that under load a transaction carries many.
            self.flush([first])

    def flush(self, rows: list[dict[str, Any]] | None = None) -> None:
        """Write what waits; while the database is away it goes on waiting."""
        rows = rows or []
        while len(rows) < SEAL_MAX:
            try:
                rows.append(self._rows.get_nowait())
            except queue.Empty:
                break
        while rows:
            try:
                with database.transaction(self._service) as connection:
                    connection.execute(insert(audit), rows)
                return
            except Exception as error:
                if not database.is_away(error):
                    raise
                time.sleep(1)


def _seal(before: bytes, row: Any) -> bytes:  # noqa: ANN401 - a row of audit
    content = [row.id, row.at.astimezone(UTC).isoformat(), row.user_id, row.role, row.action, row.subjects, row.facts, row.request_id]
    return hashlib.sha256(before + json.dumps(content, sort_keys=True, ensure_ascii=False).encode()).digest()


def seal(connection: Connection) -> int:
    """Add the rows not yet sealed to the chain, in the order of their ids; returns how many."""
    last = connection.execute(
        select(audit.c.place, audit.c.seal).where(audit.c.place.is_not(None)).order_by(audit.c.place.desc()).limit(1)
    ).one_or_none()
    place, before = (last.place, last.seal) if last else (0, b"")
    rows = connection.execute(select(audit).where(audit.c.place.is_(None)).order_by(audit.c.id).limit(SEAL_MAX)).all()
    for row in rows:
        place, before = place + 1, _seal(before, row)
        connection.execute(update(audit).where(audit.c.id == row.id).values(place=place, seal=before))
    return len(rows)


def broken_at(connection: Connection) -> int | None:
    """The place of the first sealed row that does not fit the chain; None where all fit."""
    before = b""
    rows = connection.execute(select(audit).where(audit.c.place.is_not(None)).order_by(audit.c.place))
    for expected, row in enumerate(rows, 1):
        before = _seal(before, row)
        if row.place != expected or row.seal != before:
            return expected
    return None
