"""Jobs and timers: python -m services.chassis.work NAME [NAME...]

One jobs table a service. A worker takes the job that has been due longest (SKIP LOCKED), under a lease; a worker that
dies loses the lease and another takes over. An outside effect is marked as begun before it begins, and so happens at
most once: whether one that was cut short did happen, a person must say. Effects wait for somebody else, each in its turn, so
they have workers of their own: no gateway that hangs holds up what is done inside, and no long walk a one-time password.
"""

import logging
import threading
import time
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

from sqlalchemy import func, select, update
from sqlalchemy.dialects import postgresql
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from services.chassis import database, metrics, process, upkeep
from services.chassis.jobs import Job, NotBegun, jobs, room
from services.chassis.logs import describe
from services.kernel.errors import Refused

log = logging.getLogger(__name__)

LEASE_SECONDS = 600
TIMER_LEASE_SECONDS_MIN = 30
IDLE_SECONDS = 0.5
# With the worker for what is done inside, one for each connection that a pod's pool has.
EFFECT_WORKERS = 3
RETRY_SECONDS_MAX = 3600
ATTEMPTS_MAX = 20


def jobs_of(service: str) -> dict[str, Job]:
    """The service's own jobs and those that the chassis does for every service."""
    rooms = (upkeep, room(service))
    return {made.name: made for one in rooms if one for made in vars(one).values() if isinstance(made, Job)}


def _lease(every_seconds: int | None) -> timedelta:
    """How long a job is its worker's alone. A frequent timer's is short, so that one whose worker died is soon taken over."""
    return timedelta(seconds=min(max(every_seconds or LEASE_SECONDS, TIMER_LEASE_SECONDS_MIN), LEASE_SECONDS))


class Worker:
    """Does one service's jobs until stopped: all of them, or with `effects` those that reach outside or the others alone.

    `pace` lengthens the pauses while none is due.
    """

    def __init__(self, service: str, stopping: threading.Event, pace: float = 1.0, *, effects: bool | None = None) -> None:
        self._service = service
        self._stopping = stopping
        self._jobs = jobs_of(service)
        self._effects = effects
        self._pace = pace
        self._timers_set = False
        for name in self._jobs:
            for outcome in ("done", "failed"):
                metrics.JOBS.labels(service, name, outcome)

    def run(self) -> None:
        while not self._stopping.is_set():
            try:
                if not self._timers_set:
                    self._set_timers()
                    metrics.READY.labels(self._service, "work").set(1)
                if not self.step():
                    self._stopping.wait(IDLE_SECONDS * self._pace)
            except (DBAPIError, PoolTimeout, Refused) as error:
                log.warning("the worker lost its database", extra={"service": self._service, "error": describe(error)})
                self._stopping.wait(1)

    def _set_timers(self) -> None:
        with database.transaction(self._service) as connection:
            for made in self._jobs.values():
                if made.every_seconds:
                    values = {"name": made.name, "key": "timer", "run_at": datetime.now(UTC), "every_seconds": made.every_seconds}
                    insert = postgresql.insert(jobs).values(values)
                    connection.execute(insert.on_conflict_do_update(index_elements=["name", "key"], set_={"every_seconds": made.every_seconds}))
        self._timers_set = True

    def step(self) -> bool:
        """Take one due job and run it; False where none is due."""
        taken = self._take()
        if taken is None:
            return False
        made = self._jobs[taken.name]
        if made.effect and taken.begun:
            log.warning("an effect was cut short", extra={"service": self._service, "job": made.name, "key": taken.key})
            metrics.JOBS.labels(self._service, made.name, "failed").inc()
            self._end(taken, done=True, error="cut short: whether it happened must be looked up")
            return True
        started = time.monotonic()
        try:
            made.function(self._service, taken.arguments)
        except NotBegun as error:  # Nothing has reached outside yet, so it may be tried again.
            log.warning("an effect could not begin", extra={"service": self._service, "job": made.name, "error": describe(error)})
            self._end(taken, done=taken.attempts >= ATTEMPTS_MAX, error=describe(error))
        except Exception as error:
            if database.is_away(error):
                raise
            log.exception("a job failed", extra={"service": self._service, "job": made.name})
            metrics.JOBS.labels(self._service, made.name, "failed").inc()
            self._end(taken, done=made.effect or taken.attempts >= ATTEMPTS_MAX, error=describe(error))
        else:
            metrics.JOBS.labels(self._service, made.name, "done").inc()
            self._end(taken, done=True)
            log.debug("job done", extra={"job": made.name, "seconds": time.monotonic() - started})
        return True

    def _take(self) -> Any:  # noqa: ANN401 - a row of jobs
        with database.transaction(self._service) as connection:
            due = jobs.c.done_at.is_(None) & (jobs.c.run_at <= func.now()) & (jobs.c.leased_until.is_(None) | (jobs.c.leased_until < func.now()))
            known = jobs.c.name.in_(self._jobs)
            mine = jobs.c.name.in_([name for name, made in self._jobs.items() if self._effects in {None, made.effect}])
            row = connection.execute(
                select(jobs).where(due, mine).order_by(jobs.c.urgent.desc(), jobs.c.run_at).limit(1).with_for_update(skip_locked=True),
            ).one_or_none()
            oldest: datetime = connection.execute(
                select(func.coalesce(func.min(jobs.c.run_at), func.now())).where(jobs.c.done_at.is_(None), known)
            ).scalar_one()
            # It goes on growing while the job that was taken hangs.
            metrics.JOB_AGE_SECONDS.labels(self._service).set_function(lambda: max(time.time() - oldest.timestamp(), 0))
            if row is not None:
                connection.execute(
                    update(jobs)
                    .where(jobs.c.name == row.name, jobs.c.key == row.key)
                    .values(leased_until=func.now() + _lease(row.every_seconds), attempts=jobs.c.attempts + 1, begun=True),
                )
            return row

    def _end(self, taken: Any, *, done: bool, error: str = "") -> None:  # noqa: ANN401 - a row of jobs
        """A timer is set again; a job is done, or tried again after a pause that doubles."""
        values: dict[str, Any] = {"leased_until": None, "begun": False, "error": error}
        if taken.every_seconds:
            values |= {"run_at": datetime.now(UTC) + timedelta(seconds=taken.every_seconds), "attempts": 0}
        elif done:
            values |= {"done_at": func.now()}
        else:
            values |= {"run_at": datetime.now(UTC) + timedelta(seconds=min(2**taken.attempts, RETRY_SECONDS_MAX))}
        with database.transaction(self._service) as connection:
            connection.execute(update(jobs).where(jobs.c.name == taken.name, jobs.c.key == taken.key).values(values))


def bodies(service: str, pace: float = 1.0, effect_workers: int = EFFECT_WORKERS, effect_pace: float = EFFECT_WORKERS) -> process.Bodies:
    """The threads of one service's workers. Those for effects look the more seldom the more they are, so that together they look as often as one."""

    def body(stopping: threading.Event, *, effects: bool) -> None:
        Worker(service, stopping, effect_pace if effects else pace, effects=effects).run()

    reaches_outside = any(made.effect for made in jobs_of(service).values())
    outside = {f"{service}-effects-{number}": partial(body, effects=True) for number in range(effect_workers if reaches_outside else 0)}
    return {f"{service}-work": partial(body, effects=False), **outside}


if __name__ == "__main__":
    process.run_threads("work", __doc__, bodies)
