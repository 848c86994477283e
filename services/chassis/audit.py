"""Who did, saw, changed what and when: a row with the change, which `chain` seals off the hot path (decision 37)."""

import logging
import queue
import threading
import time
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import BigInteger, Column, Connection, DateTime, Index, LargeBinary, Table, Text, insert, select
from sqlalchemy.dialects.postgresql import JSONB

from services.chassis import database, mailbox
from services.chassis.logs import describe, request_id
from services.kernel.caller import Caller
from services.kernel.errors import busy

ROWS_MAX = 5000  # Of one statement.
READS_WAITING_MAX = 10_000
GATHER_SECONDS = 0.2
SEEN_SECONDS_MAX = 5
STOP_SECONDS_MAX = 3

log = logging.getLogger(__name__)

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
    # The chain: its place, and the row under the key together with the seal before it.
    Column("place", BigInteger, unique=True),
    Column("seal", LargeBinary),
)
Index("audit_unsealed", audit.c.id, postgresql_where=audit.c.place.is_(None))
# An auditor asks of some days, now and then, and every call writes: so no index of subjects or users, which each row would pay
# for twice, when it is written and when it is sealed. This one costs next to nothing, and days are read in one go.
Index("audit_at", audit.c.at, postgresql_using="brin")

# How far the chain went: each head ends a part of it, the last one is where the chain ends now.
heads = Table(
    "audit_heads",
    mailbox.metadata,
    Column("number", BigInteger, primary_key=True, autoincrement=False),
    Column("place", BigInteger, nullable=False),
    Column("seal", LargeBinary, nullable=False),
    Column("at", DateTime(timezone=True), nullable=False),
    Column("walked_at", DateTime(timezone=True)),  # When its part was last walked, and fitted.
    Column("mark", LargeBinary, nullable=False),  # All of it under the key.
)


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
        reads.stop()


class Reads:
    """Notes what was seen, a row a query, after the answer has gone; a full queue makes the reader wait, never forget."""

    def __init__(self, service: str) -> None:
        self._service = service
        self._rows: queue.Queue[dict[str, Any]] = queue.Queue(READS_WAITING_MAX)
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"audit-{service}", daemon=True)
        self._thread.start()
        _readers.append(self)

    def seen(self, caller: Caller, action: str, subjects: Iterable[object]) -> None:
        try:
            self._rows.put(row(caller, action, subjects, {}), timeout=SEEN_SECONDS_MAX)
        except queue.Full:
            raise busy() from None

    def stop(self) -> None:
        """Write what waits, for as long as the end of a process may take."""
        self._stopping.set()
        self._thread.join(STOP_SECONDS_MAX)

    def _run(self) -> None:
        while not (self._stopping.is_set() and self._rows.empty()):
            self._stopping.wait(GATHER_SECONDS)  # So that under load a transaction carries many.
            rows = [self._rows.get_nowait() for _ in range(min(self._rows.qsize(), ROWS_MAX))]
            while rows and not self._written(rows):
                time.sleep(1)

    def _written(self, rows: list[dict[str, Any]]) -> bool:
        """False where they could not be: whatever the reason, they wait, and the log says so."""
        try:
            with database.transaction(self._service) as connection:
                connection.execute(insert(audit), rows)
        except Exception as error:  # noqa: BLE001 - a thread that ends here would forget all reads to come
            log.error("reads are not noted yet", extra={"service": self._service, "rows": len(rows), "error": describe(error)})  # noqa: TRY400 - the trace may quote people's data
            return False
        return True


def unsealed_age_seconds(connection: Connection) -> float:
    """Age of the oldest row that is not in the chain yet; 0 where all are."""
    oldest = select(audit.c.at).where(audit.c.place.is_(None)).order_by(audit.c.id).limit(1)
    at: datetime | None = connection.execute(oldest).scalar_one_or_none()
    return max((datetime.now(UTC) - at).total_seconds(), 0) if at else 0
