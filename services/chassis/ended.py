"""Sessions whose tokens are worth nothing before they end by themselves: a table in every service, and a view of it at its door.

A session that ended has the generation ENDED. A lower one says that the session goes on, and only tokens up to it do not.
"""

import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any
from uuid import UUID

from sqlalchemy import Column, Connection, DateTime, Index, Integer, Row, Table, Uuid, delete, func, select
from sqlalchemy.dialects import postgresql

from protos.identity_pb2 import SessionEnded
from services.chassis import mailbox, metrics
from services.kernel.caller import Session
from services.kernel.errors import Unauthenticated, Unavailable

ENDED = 2**31 - 1
# Whoever checks a token goes by a clock of its own, which may be behind that of the worker.
FORGOTTEN_AFTER = timedelta(hours=1)

ended_sessions = Table(
    "ended_sessions",
    mailbox.metadata,
    Column("session_id", Uuid, primary_key=True),
    Column("generation", Integer, nullable=False),
    Column("until", DateTime(timezone=True), nullable=False),  # When the last of those tokens ends by itself.
    Index("ended_sessions_until", "until"),
)


def keep(connection: Connection, session_id: UUID, generation: int, until: datetime) -> None:
    """Tokens of the session up to this generation are refused from now on; what was kept of it before stays at least."""
    made = postgresql.insert(ended_sessions).values(session_id=session_id, generation=generation, until=until)
    newest = {name: func.greatest(ended_sessions.c[name], made.excluded[name]) for name in ("generation", "until")}
    connection.execute(made.on_conflict_do_update(index_elements=["session_id"], set_=newest))


def heard(connection: Connection, told: SessionEnded) -> None:
    """Keep what identity told."""
    keep(connection, UUID(told.session_id), told.generation, told.until.ToDatetime(UTC))


def forget(connection: Connection, now: datetime) -> None:
    """Delete what no token is left of."""
    connection.execute(delete(ended_sessions).where(ended_sessions.c.until < now - FORGOTTEN_AFTER))


def standing(connection: Connection) -> Sequence[Row[Any]]:
    """What is refused now: session_id, generation, until."""
    return connection.execute(select(ended_sessions).where(ended_sessions.c.until > datetime.now(UTC))).all()


def session_ended() -> Unauthenticated:
    return Unauthenticated("SESSION_ENDED", "This session has ended; log in again.")


class View:
    """What is refused, in memory, since every call asks. It stays as it is for as long as nobody can renew it."""

    def __init__(self, service: str) -> None:
        self._generations: Mapping[UUID, int] | None = None
        self._renewed_at = time.monotonic()
        metrics.ENDED_SESSIONS_AGE_SECONDS.labels(service).set_function(lambda: time.monotonic() - self._renewed_at)

    def read(self, connection: Connection) -> None:
        """Renew it from the service's own table."""
        self.renew({row.session_id: row.generation for row in standing(connection)})

    def renew(self, generations: Mapping[UUID, int]) -> None:
        self._generations, self._renewed_at = generations, time.monotonic()

    def must_admit(self, session: Session | None) -> None:
        """Refuse a token whose session has ended, or goes on without it. One that names no session is of none that could end."""
        if session is None:
            return
        if self._generations is None:
            raise Unavailable("NOT_READY", "This server does not know yet which sessions have ended; try again in a moment.")
        ended = self._generations.get(session.session_id, -1)
        if session.generation > ended:
            return
        if ended == ENDED:
            raise session_ended()
        raise Unauthenticated("TOKEN_STALE", "What you may do has changed; refresh the session.")


@cache
def view(service: str) -> View:
    """The one of a service in this process; empty until somebody renews it."""
    return View(service)
