"""Events out: python -m services.chassis.relay NAME [NAME...]

Carries the outbox to the broker with windowed publisher confirms, persistent and mandatory, and marks as sent what the
broker confirmed. A crash between the two sends twice, never zero times. One relay a service works at a time; another
stands by behind an advisory lock.
"""

import logging
import threading
from dataclasses import dataclass
from typing import Any

import pika
from google.protobuf.timestamp_pb2 import Timestamp
from pika.adapters.select_connection import SelectConnection
from pika.exceptions import AMQPError
from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from protos.common_pb2 import Envelope
from services.chassis import broker, database, metrics, process, settings
from services.chassis.logs import describe
from services.chassis.mailbox import CONTENT_TYPE
from services.kernel.errors import Refused

log = logging.getLogger(__name__)

WINDOW = 500
IDLE_SECONDS = 0.05
IDLE_SECONDS_MAX = 0.5
SPACED_SECONDS = 0.2  # After a window that was not full, so that under load the next one carries many.
RECONNECT_SECONDS = 1.0

# Sequence numbers are given in the order of publishing, and kept when the same event is published again.
_CLAIM = text(
    "with next as (select id from outbox where sent_at is null and (not_before is null or not_before < now()) order by id limit :window),"
    " numbered as (update outbox set sequence = nextval('outbox_sequence')"
    "   from next where outbox.id = next.id and outbox.sequence is null returning outbox.id, outbox.sequence)"
    " select o.id, o.event_id, o.event, o.subject, o.version, o.occurred_at, o.request_id, o.body, o.destination,"
    "   coalesce(o.sequence, numbered.sequence) as sequence"
    " from outbox o join next on next.id = o.id left join numbered on numbered.id = o.id order by o.id",
)
_SENT = text("update outbox set sent_at = now() where id = any(:ids)")
# A refused event steps back, longer each time, so that those behind it go on and the queues that did take it are not flooded.
_REFUSED = text(
    "update outbox set refusals = refusals + 1, not_before = now() + least(power(2, refusals + 1), 60) * interval '1 second' where id = any(:ids)",
)


@dataclass(slots=True)
class _InFlight:
    """What was published in this window, by delivery tag, and what came back."""

    ids: dict[int, int]
    events: dict[int, str]
    refused: set[int]


class Relay:
    """One service's relay. All of it runs in its connection's own loop, in one thread. `pace` lengthens the pauses while nothing is told."""

    def __init__(self, service: str, stopping: threading.Event, pace: float = 1.0) -> None:
        self._service = service
        self._stopping = stopping
        self._pace = pace
        self._routed = {hearing.event for hearing in broker.routes(settings.services()) if hearing.source == service}
        for event in self._routed:
            metrics.TOLD.labels(service, event)
        self._connection: SelectConnection | None = None
        self._channel: Any = None
        self._window = _InFlight({}, {}, set())
        self._confirmed: list[int] = []
        self._tag = 0
        self._idle = IDLE_SECONDS
        self._leaving = False

    def run(self) -> None:
        """Until stopped: hold the lock, carry, and begin again whenever the broker or the database goes away."""
        while not self._stopping.is_set():
            try:
                with database.engine(self._service).connect() as lock:
                    lock.detach()  # Closed, not pooled, when it ends: the lock belongs to the session.
                    locked = self._locked(lock)
                    metrics.READY.labels(self._service, "relay").set(1)  # To stand by is a relay's work too.
                    if locked:
                        self._carry()
            except (AMQPError, OSError, DBAPIError, PoolTimeout, Refused) as error:
                log.warning("the relay lost its broker or database", extra={"service": self._service, "error": describe(error)})
            self._stopping.wait(RECONNECT_SECONDS)

    def _locked(self, connection: Connection) -> bool:
        locked = bool(connection.execute(text("select pg_try_advisory_lock(hashtext('relay'), hashtext(current_schema()))")).scalar())
        connection.commit()
        return locked

    def _carry(self) -> None:
        connection = SelectConnection(
            broker.parameters(self._service),
            on_open_callback=lambda opened: opened.channel(on_open_callback=self._ready),
            on_open_error_callback=lambda failed, _error: failed.ioloop.stop(),
            on_close_callback=lambda closed, _error: closed.ioloop.stop(),
        )
        self._connection = connection
        self._channel = None
        self._window = _InFlight({}, {}, set())
        self._confirmed = []
        self._tag = 0
        self._leaving = False
        try:
            connection.ioloop.start()
        finally:
            self._leaving = True
            if not (connection.is_closed or connection.is_closing):
                connection.close()
                connection.ioloop.start()

    def _ready(self, channel: Any) -> None:  # noqa: ANN401 - pika has no types
        self._channel = channel
        channel.add_on_close_callback(lambda _channel, _error: self._leave())
        channel.add_on_return_callback(self._returned)
        channel.confirm_delivery(self._answered)
        self._pump()

    def _leave(self) -> None:
        assert self._connection is not None
        self._connection.ioloop.stop()

    def _later(self, seconds: float) -> None:
        assert self._connection is not None
        self._connection.ioloop.call_later(seconds, self._pump)

    def _pump(self) -> None:
        """Publish the next window, or look again in a moment."""
        if self._leaving:
            return
        if self._stopping.is_set() or self._channel is None or not self._channel.is_open:
            self._leave()
            return
        with database.transaction(self._service) as connection:
            rows = connection.execute(_CLAIM, {"window": WINDOW}).all()
        if not rows:
            self._idle = min(self._idle * 1.5, IDLE_SECONDS_MAX * self._pace)
            self._later(self._idle)
            return
        self._idle = IDLE_SECONDS
        for row in rows:
            self._tag += 1
            self._window.ids[self._tag] = row.id
            self._window.events[row.id] = row.event
        for row in rows:
            self._publish(row)

    def _publish(self, row: Any) -> None:  # noqa: ANN401 - a row of _CLAIM
        occurred_at = Timestamp()
        occurred_at.FromDatetime(row.occurred_at)
        envelope = Envelope(
            event_id=str(row.event_id),
            source=self._service,
            event=row.event,
            sequence=row.sequence,
            subject=row.subject,
            version=row.version,
            occurred_at=occurred_at,
            request_id=row.request_id,
            body=row.body,
            restated=bool(row.destination),
        )
        self._channel.basic_publish(
            broker.exchange(self._service),
            broker.restated(row.destination, row.event) if row.destination else row.event,
            envelope.SerializeToString(),
            pika.BasicProperties(
                content_type=CONTENT_TYPE,
                content_encoding="binary",
                delivery_mode=2,
                message_id=str(row.event_id),
                correlation_id=str(row.id),
            ),
            mandatory=row.event in self._routed,
        )

    def _returned(self, _channel: object, method: Any, properties: Any, _body: bytes) -> None:  # noqa: ANN401 - pika has no types
        """Nobody is bound to it: the migrate step has not run. It stays in the outbox."""
        log.error("an event has no queue to go to; run the migrate step", extra={"service": self._service, "event": method.routing_key})
        self._window.refused.add(int(properties.correlation_id))

    def _answered(self, frame: Any) -> None:  # noqa: ANN401 - pika has no types
        """The broker has it (ack) or will not take it (nack: a queue is full); `multiple` speaks for all before it too."""
        window, answer = self._window, frame.method
        tags = [tag for tag in window.ids if tag <= answer.delivery_tag] if answer.multiple else [answer.delivery_tag]
        for tag in tags:
            row_id = window.ids.pop(tag)
            if answer.NAME == "Basic.Ack" and row_id not in window.refused:
                self._confirmed.append(row_id)
            else:
                window.refused.add(row_id)
        if not window.ids and not self._leaving:
            self._finish()

    def _finish(self) -> None:
        with database.transaction(self._service) as connection:
            connection.execute(_SENT, {"ids": self._confirmed})
            if self._window.refused:
                connection.execute(_REFUSED, {"ids": list(self._window.refused)})
        for row_id in self._confirmed:
            metrics.TOLD.labels(self._service, self._window.events[row_id]).inc()
        full = len(self._window.events) == WINDOW
        self._window, self._confirmed = _InFlight({}, {}, set()), []
        self._later(0 if full else SPACED_SECONDS)


if __name__ == "__main__":
    process.run_threads("relay", __doc__, lambda service: {service: lambda stopping: Relay(service, stopping).run()})
