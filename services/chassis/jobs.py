"""A service's jobs: the table that they wait in, and how a function becomes one. `work` runs them."""

import importlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from types import ModuleType
from typing import Any

from sqlalchemy import Boolean, Column, Connection, DateTime, Index, Integer, Table, Text, delete
from sqlalchemy.dialects import postgresql

from services.chassis import mailbox

jobs = Table(
    "jobs",
    mailbox.metadata,
    Column("name", Text, primary_key=True),
    Column("key", Text, primary_key=True),  # The effect key: one effect, one job.
    Column("arguments", postgresql.JSONB, nullable=False, server_default="{}"),
    Column("run_at", DateTime(timezone=True), nullable=False),
    Column("every_seconds", Integer),  # Of a timer.
    Column("leased_until", DateTime(timezone=True)),
    Column("begun", Boolean, nullable=False, server_default="false"),
    Column("urgent", Boolean, nullable=False, server_default="false"),  # Somebody waits for it: it goes before whatever is due longer.
    Column("attempts", Integer, nullable=False, server_default="0"),
    Column("done_at", DateTime(timezone=True)),
    Column("error", Text, nullable=False, server_default=""),
)
Index("jobs_due", jobs.c.urgent.desc(), jobs.c.run_at, postgresql_where=jobs.c.done_at.is_(None))

# For so long a second job of the same name and key is known to be the first.
KEPT = timedelta(days=30)

Arguments = dict[str, Any]


class NotBegun(Exception):  # noqa: N818 - a state of the world, not an error of ours
    """Raised by an outside effect that has not reached outside: what it needs first is away for now."""


@dataclass(frozen=True, slots=True)
class Job:
    """What a service's jobs.py offers: a function of (service, arguments), when it runs, and whether it reaches outside."""

    name: str
    function: Callable[[str, Arguments], None]
    every_seconds: int | None = None
    effect: bool = False


def job(*, every_seconds: int | None = None, effect: bool = False) -> Callable[[Callable[[str, Arguments], None]], Job]:
    """Make a function a job: a timer where `every_seconds` is given; at most once where it is an outside `effect`."""

    def make(function: Callable[[str, Arguments], None]) -> Job:
        return Job(function.__name__, function, every_seconds, effect)

    return make


def enqueue(connection: Connection, name: str, key: str, arguments: Arguments, run_at: datetime | None = None, *, urgent: bool = False) -> None:
    """Ask for a job, in the caller's own transaction; a second one of the same name and key is the first."""
    enqueue_all(connection, name, {key: arguments}, run_at, urgent=urgent)


def enqueue_all(connection: Connection, name: str, asked: Mapping[str, Arguments], run_at: datetime | None = None, *, urgent: bool = False) -> None:
    """Ask for a job a key, in one statement."""
    due = run_at or datetime.now(UTC)
    rows = [{"name": name, "key": key, "arguments": arguments, "run_at": due, "urgent": urgent} for key, arguments in asked.items()]
    connection.execute(postgresql.insert(jobs).on_conflict_do_nothing(), rows)


def prune(connection: Connection, now: datetime) -> None:
    """Forget what was done long ago."""
    connection.execute(delete(jobs).where(jobs.c.done_at < now - KEPT))


def room(service: str) -> ModuleType | None:
    """The service's own jobs.py, where it has one."""
    name = f"services.{service}.jobs"
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name != name:
            raise
        return None


def check(services: Sequence[str]) -> None:
    """Let each service look whether its jobs have what they need, such as settings: `check` of its jobs.py, where it has one."""
    for service in services:
        getattr(room(service), "check", lambda: None)()
