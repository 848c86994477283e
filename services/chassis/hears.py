"""The one decorator for event handlers, and what becomes of an event: handled, parked, or left with the broker."""

import importlib
import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Any, Generic, TypeVar
from uuid import UUID

from google.protobuf.message import Message
from sqlalchemy import Connection

from protos.common_pb2 import Envelope
from services.chassis import metrics
from services.chassis.database import is_away, may_try_again, transaction
from services.chassis.logs import describe, request_id
from services.chassis.mailbox import park, unheard
from services.kernel.errors import Exhausted

log = logging.getLogger(__name__)

TRIES_MAX = 5
M = TypeVar("M", bound=Message)


class DatabaseAway(Exception):  # noqa: N818 - a state of the world, not an error of ours
    """The event stays with the broker; whoever carries it waits until the database is back."""


@dataclass(frozen=True, slots=True)
class Event(Generic[M]):
    """An event as its handler gets it: the envelope's facts and the message."""

    event_id: UUID
    subject: str
    version: int
    occurred_at: datetime
    body: M


@dataclass(frozen=True, slots=True)
class Hearing:
    """One line of the table of routes: who hears what from whom, by which method."""

    hearer: str
    source: str
    message: type[Message]
    method: str
    batched: bool

    @property
    def event(self) -> str:
        return self.message.DESCRIPTOR.name

    @property
    def queue(self) -> str:
        """Its queue; the name does not depend on the method's, so that a method may be renamed."""
        return f"{self.hearer}.{self.source}.{self.event}"


def hears(source: str, message: type[Message], *, batched: bool = False) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Mark a consumer's method as the handler of an event that a service tells.

    The method takes (connection, event), or with `batched` (connection, events): a list of one or many. It runs in a
    transaction with the inbox, so whatever it changes happens once.
    """

    def mark(method: Callable[..., None]) -> Callable[..., None]:
        method.hears = (source, message, batched)  # type: ignore[attr-defined]  # the mark is the point
        return method

    return mark


def hearings(service: str) -> list[Hearing]:
    """All that a service hears; nothing where it has no consumer."""
    try:
        consumer = importlib.import_module(f"services.{service}.consumer").Consumer
    except ModuleNotFoundError as error:
        if error.name != f"services.{service}.consumer":
            raise
        return []
    return [
        Hearing(service, source, message, name, batched)
        for name, method in sorted(vars(consumer).items())
        if hasattr(method, "hears")
        for source, message, batched in [method.hears]
    ]


def consumer_of(service: str) -> Any:  # noqa: ANN401 - each service has its own Consumer
    return importlib.import_module(f"services.{service}.consumer").Consumer()


# When each event occurred that came and is not handled yet, by queue and event. What came first is the oldest of its queue.
_in_hand: dict[str, dict[str, float]] = {}


def show_at_zero(hearing: Hearing) -> None:
    """Its figures, before the first event comes."""
    held = _in_hand[hearing.queue] = {}
    metrics.HEARD_LAG_SECONDS.labels(hearing.hearer, hearing.event).set_function(partial(_age_seconds, held))
    metrics.REDELIVERED.labels(hearing.hearer, hearing.event)
    for outcome in ("handled", "again", "parked"):
        metrics.HEARD.labels(hearing.hearer, hearing.event, outcome)


def _age_seconds(held: dict[str, float]) -> float:
    oldest = min(list(held.values()), default=None)  # A copy, since handlers go on meanwhile.
    return 0 if oldest is None else max(time.time() - oldest, 0)


def handle(hearing: Hearing, consumer: Any, envelopes: Sequence[Envelope]) -> None:  # noqa: ANN401
    """Handle events of one kind in one transaction; park the one that our bug breaks; DatabaseAway if there is none to use."""
    held = _in_hand.setdefault(hearing.queue, {})
    # A restated event is as old as what it tells, and not late for that.
    held.update({envelope.event_id: envelope.occurred_at.ToMicroseconds() / 1e6 for envelope in envelopes if not envelope.restated})
    away = False
    try:
        _handle(hearing, consumer, envelopes)
    except DatabaseAway:
        away = True  # They stay in hand: whoever carries them waits until the database is back.
        raise
    finally:
        for envelope in () if away else envelopes:
            held.pop(envelope.event_id, None)


def _handle(hearing: Hearing, consumer: Any, envelopes: Sequence[Envelope]) -> None:  # noqa: ANN401
    try:
        handled = _with_tries(hearing, consumer, envelopes)
    except DatabaseAway:
        raise
    except Exception as error:  # noqa: BLE001 - whatever our bug is, the event is kept
        if len(envelopes) > 1:
            for envelope in envelopes:
                _handle(hearing, consumer, [envelope])
            return
        _park(hearing, envelopes[0], error)
        return
    metrics.HEARD.labels(hearing.hearer, hearing.event, "handled").inc(handled)
    metrics.HEARD.labels(hearing.hearer, hearing.event, "again").inc(len(envelopes) - handled)


def _with_tries(hearing: Hearing, consumer: Any, envelopes: Sequence[Envelope]) -> int:  # noqa: ANN401
    for tries in range(1, TRIES_MAX + 1):
        try:
            with transaction(hearing.hearer) as connection:
                return run_new(hearing, consumer, connection, envelopes)
        except Exception as error:
            if is_away(error) or isinstance(error, Exhausted):
                raise DatabaseAway from error
            if tries == TRIES_MAX or not may_try_again(error):
                raise
            time.sleep(0.02 * tries)
    raise AssertionError


def run_new(hearing: Hearing, consumer: Any, connection: Connection, envelopes: Sequence[Envelope], *, replayed: bool = False) -> int:  # noqa: ANN401
    """Run the handler for the events not heard before, inside the given transaction; returns how many there were."""
    new = unheard(connection, envelopes, replayed=replayed)
    method = getattr(consumer, hearing.method)
    events = [_event(hearing, envelope) for envelope in new]
    if hearing.batched:
        if events:
            method(connection, events)
        return len(events)
    for envelope, event in zip(new, events, strict=True):
        request_id.set(envelope.request_id)
        method(connection, event)
    return len(events)


def _event(hearing: Hearing, envelope: Envelope) -> Event[Any]:
    return Event(
        UUID(envelope.event_id),
        envelope.subject,
        envelope.version,
        envelope.occurred_at.ToDatetime(UTC),
        hearing.message.FromString(envelope.body),
    )


def _park(hearing: Hearing, envelope: Envelope, error: Exception) -> None:
    log.error("parked an event", extra={"queue": hearing.queue, "event_id": envelope.event_id}, exc_info=error)
    try:
        with transaction(hearing.hearer) as connection:
            park(connection, hearing.source, hearing.event, envelope.SerializeToString(), describe(error))
    except Exception as second:
        if is_away(second):
            raise DatabaseAway from second
        raise
    metrics.HEARD.labels(hearing.hearer, hearing.event, "parked").inc()
