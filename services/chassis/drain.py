"""Events in, in micro-batches, for hot projections: python -m services.chassis.drain NAME [NAME...]

One transaction holds up to BATCH_MAX events, which is six times what one transaction an event carries. A batch that our
bug breaks is taken apart, so that only the event at fault is parked.
"""

import logging
import threading
import time
from collections.abc import Iterator
from functools import partial
from typing import Any

import pika
from google.protobuf.message import DecodeError
from pika.adapters.blocking_connection import BlockingChannel
from pika.exceptions import AMQPError

from protos.common_pb2 import Envelope
from services.chassis import broker, database, metrics, process, settings
from services.chassis.hears import DatabaseAway, Hearing, consumer_of, handle, show_at_zero
from services.chassis.mailbox import open_envelope

log = logging.getLogger(__name__)

BATCH_MAX = 200
GATHER_SECONDS = 0.02
GATHER_SECONDS_BUSY = 0.2  # While another batch was handled less than BUSY_SECONDS ago.
BUSY_SECONDS = 1.0
IDLE_SECONDS = 0.5
RECONNECT_SECONDS = 1.0


class Drain:
    """Hears for one service until stopped. `pace` lengthens the time between looks at whether to stop."""

    def __init__(self, service: str, stopping: threading.Event, pace: float = 1.0) -> None:
        self._service = service
        self._stopping = stopping
        self._pace = pace
        self._consumer = consumer_of(service)
        self._hearings = {hearing.queue: hearing for hearing in broker.routes(settings.services()) if hearing.hearer == service}
        self._came: list[tuple[int, Hearing, bytes]] = []
        self._handled_at = 0.0

    def run(self) -> None:
        while not self._stopping.is_set():
            try:
                with pika.BlockingConnection(broker.parameters(self._service)) as connection:
                    self._drain(connection)
            except (AMQPError, OSError) as error:
                log.warning("the broker is away", extra={"service": self._service, "error": type(error).__name__})
                self._stopping.wait(RECONNECT_SECONDS)

    def _drain(self, connection: pika.BlockingConnection) -> None:
        channel = connection.channel()
        channel.basic_qos(prefetch_count=BATCH_MAX)
        self._came = []
        for queue, hearing in self._hearings.items():
            show_at_zero(hearing)  # Also after a lost connection: what was in hand is with the broker again.
            channel.basic_consume(queue, partial(self._take, hearing))
        metrics.READY.labels(self._service, "drain").set(1)
        while not self._stopping.is_set():
            connection.process_data_events(time_limit=IDLE_SECONDS * self._pace)
            if self._came:
                self._gather(connection)
                self._handle(connection, channel)

    def _take(self, hearing: Hearing, _channel: object, method: Any, _properties: object, body: bytes) -> None:  # noqa: ANN401 - pika's
        if method.redelivered:
            metrics.REDELIVERED.labels(hearing.hearer, hearing.event).inc()
        self._came.append((method.delivery_tag, hearing, body))

    def _gather(self, connection: pika.BlockingConnection) -> None:
        """Wait a moment for more, so that under load a transaction carries many."""
        now = time.monotonic()
        until = now + (GATHER_SECONDS_BUSY if now - self._handled_at < BUSY_SECONDS else GATHER_SECONDS)
        while len(self._came) < BATCH_MAX and (left := until - time.monotonic()) > 0:
            connection.process_data_events(time_limit=left)

    def _handle(self, connection: pika.BlockingConnection, channel: BlockingChannel) -> None:
        came, self._came = self._came, []
        for hearing, tags, envelopes in self._groups(channel, came):
            while True:
                try:
                    handle(hearing, self._consumer, envelopes)
                    break
                except DatabaseAway:
                    # Held, not handed back: a redelivery would be counted against the event.
                    if not self._wait_for_database(connection):
                        return
            for tag in tags:
                channel.basic_ack(tag)
        self._handled_at = time.monotonic()

    def _groups(self, channel: BlockingChannel, came: list[tuple[int, Hearing, bytes]]) -> Iterator[tuple[Hearing, list[int], list[Envelope]]]:
        groups: dict[str, tuple[Hearing, list[int], list[Envelope]]] = {}
        for tag, hearing, body in came:
            try:
                envelope = open_envelope(body)
            except (DecodeError, ValueError):
                channel.basic_reject(tag, requeue=False)  # To the dead letters, and from there into `parked`.
                continue
            _, tags, envelopes = groups.setdefault(hearing.queue, (hearing, [], []))
            tags.append(tag)
            envelopes.append(envelope)
        yield from groups.values()

    def _wait_for_database(self, connection: pika.BlockingConnection) -> bool:
        while not self._stopping.is_set():
            connection.process_data_events(time_limit=1.0)  # Answers the broker's heartbeats meanwhile.
            if database.is_back(self._service):
                return True
        return False


if __name__ == "__main__":
    process.run_threads("drain", __doc__, lambda service: {service: lambda stopping: Drain(service, stopping).run()})
