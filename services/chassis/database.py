"""One engine a service, as that service's own role; a transaction is the unit of work."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import cache, partial
from typing import Any

import psycopg.errors
from sqlalchemy import Connection, Engine, create_engine, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.pool import NullPool

from services.chassis import metrics, settings
from services.kernel.errors import busy

STATEMENT_SECONDS_MAX = 30
WAIT_FOR_CONNECTION_SECONDS = 5
STATEMENT_LENGTH_KEPT_MAX = 4096

# A statement that lost against another one and may simply be tried again.
_TRY_AGAIN = (
    psycopg.errors.SerializationFailure,
    psycopg.errors.DeadlockDetected,
    psycopg.errors.LockNotAvailable,
    psycopg.errors.QueryCanceled,
)
_AWAY = (psycopg.errors.AdminShutdown, psycopg.errors.CrashShutdown, psycopg.errors.CannotConnectNow)


def _connect_args(service: str) -> dict[str, Any]:
    return {
        "connect_timeout": 5,
        "application_name": f"lokos-{service}",
        "options": f"-c statement_timeout={STATEMENT_SECONDS_MAX}s -c idle_in_transaction_session_timeout=60s -c lock_timeout=10s",
    }


def one_line(statement: str) -> str:
    """A statement for a hot path: psycopg keeps what it made of a text only up to 4,096 characters, and does it anew otherwise."""
    written = " ".join(statement.split())
    assert len(written) <= STATEMENT_LENGTH_KEPT_MAX, len(written)
    return written


@cache
def engine(service: str) -> Engine:
    """The pool of a service (its <SERVICE>_DATABASE_URL). Made on first use, so that importing opens nothing."""
    size = settings.number("DATABASE_CONNECTIONS_MAX", 10)
    made = create_engine(
        settings.service_setting(service, "DATABASE_URL"),
        pool_size=size,
        max_overflow=0,
        pool_timeout=WAIT_FOR_CONNECTION_SECONDS,
        connect_args=_connect_args(service),
        # Errors quote their parameters otherwise, and those are people's data.
        hide_parameters=True,
    )
    metrics.POOL_SIZE.labels(service).set(size)
    metrics.POOL_REFUSED.labels(service)
    metrics.POOL_IN_USE.labels(service).set_function(made.pool.checkedout)  # type: ignore[attr-defined]  # of QueuePool
    return made


@contextmanager
def transaction(service: str) -> Iterator[Connection]:
    """A connection inside a transaction: committed when the block ends, rolled back when it raises."""
    with _connect(service) as connection, connection.begin():
        yield connection


@contextmanager
def reading(service: str, *, of_one_moment: bool = False) -> Iterator[Connection]:
    """A connection for queries alone: no transaction around them, which spares two of its round trips.

    With `of_one_moment` there is one, and all its queries see the books as they were at the first.
    """
    with _connect(service).execution_options(isolation_level="REPEATABLE READ" if of_one_moment else "AUTOCOMMIT") as connection:
        yield connection


def _connect(service: str) -> Connection:
    try:
        return engine(service).connect()
    except PoolTimeout:
        metrics.POOL_REFUSED.labels(service).inc()
        raise busy() from None


def of(service: str) -> Callable[[], AbstractContextManager[Connection]]:
    """`transaction` for one service."""
    return partial(transaction, service)


def is_away(error: BaseException) -> bool:
    """Whether an error means that the database cannot be reached, rather than that it said no."""
    if not isinstance(error, DBAPIError):
        return False
    original = error.orig
    if error.connection_invalidated or isinstance(original, _AWAY):
        return True
    return isinstance(original, psycopg.OperationalError) and original.sqlstate is None


def may_try_again(error: BaseException) -> bool:
    """Whether the transaction lost against another one, and may win when it is run again."""
    return isinstance(error, DBAPIError) and isinstance(error.orig, _TRY_AGAIN)


def _look(connection: Connection) -> None:
    connection.execute(text("select 1"))


@cache
def _aside(service: str) -> Engine:
    """Connections outside of the pool, each made for one look."""
    return create_engine(engine(service).url, poolclass=NullPool, connect_args=_connect_args(service), hide_parameters=True)


def is_back(service: str, look: Callable[[Connection], None] = _look) -> bool:
    """Whether the database answers what `look` asks it; where it does not, the old connections are thrown away.

    Busy is not away: while all connections are in use, and the look must not wait for one, it has one of its own.
    """
    pool = engine(service)
    busy = pool.pool.checkedout() >= pool.pool.size()  # type: ignore[attr-defined]  # of QueuePool
    try:
        with (_aside(service) if busy else pool).connect() as connection:
            look(connection)
    except PoolTimeout:
        back = True
    except DBAPIError:
        engine(service).dispose()
        back = False
    else:
        back = True
    metrics.DATABASE_AWAY.labels(service).set(not back)
    return back
