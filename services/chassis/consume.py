"""Events in, one at a time: python -m services.chassis.consume NAME [NAME...]

nameko through its ServiceRunner, with its losses mended: an event is acked when it is handled or parked, an undecodable
body goes to the dead letters, and while the database is away the event is held. No gRPC here (docs/decisions/0001).
"""

# ruff: noqa: E402 - the order of the imports is the point: eventlet patches before anything else looks
import os
import warnings

# psycopg must wait in Python, where eventlet can switch; its own way of waiting freezes every other green thread.
os.environ["PSYCOPG_WAIT_FUNC"] = "wait_selector"
warnings.filterwarnings("ignore", message="\\s*Eventlet is deprecated")

import eventlet

eventlet.monkey_patch()

import logging
import signal
import sys
from contextlib import suppress
from typing import Any

from eventlet.event import Event
from kombu.entity import Queue
from kombu.serialization import register
from nameko.messaging import Consumer, QueueConsumer
from nameko.runners import ServiceRunner

from protos.common_pb2 import Envelope
from services.chassis import broker, database, metrics, process, settings
from services.chassis.hears import DatabaseAway, Hearing, consumer_of, handle, show_at_zero
from services.chassis.mailbox import CONTENT_TYPE, open_envelope

log = logging.getLogger(__name__)

WORKERS = 10  # As many as the service has database connections; also what the broker hands out ahead.
SERIALIZER = "lokos-event"

register(SERIALIZER, None, open_envelope, content_type=CONTENT_TYPE, content_encoding="binary")


class StrictQueueConsumer(QueueConsumer):
    """Sends what it cannot read to the dead letters; nameko's own would ack it, and so lose it."""

    def on_decode_error(self, message: Any, exc: Exception) -> None:  # noqa: ANN401 - kombu's message
        log.error("an undecodable body", extra={"queue": message.delivery_info.get("routing_key"), "error": type(exc).__name__})
        message.reject(requeue=False)

    # A broken pipe here would end the whole container; the broker hands the event out again, and the inbox knows it.
    def ack_message(self, message: Any) -> None:  # noqa: ANN401 - kombu's message
        with suppress(OSError):
            super().ack_message(message)

    def requeue_message(self, message: Any) -> None:  # noqa: ANN401 - kombu's message
        with suppress(OSError):
            super().requeue_message(message)


class Hear(Consumer):
    """nameko's consumer, on a queue that the migrate step declared."""

    queue_consumer = StrictQueueConsumer()

    def __init__(self, hearing: Hearing) -> None:
        # An error here is not the handler's (that one is parked) but the parking's: hand the event back, never ack it.
        super().__init__(Queue(hearing.queue, no_declare=True), requeue_on_error=True)
        self.hearing = hearing

    def handle_message(self, body: Any, message: Any) -> None:  # noqa: ANN401 - kombu's message
        if message.delivery_info.get("redelivered"):
            metrics.REDELIVERED.labels(self.hearing.hearer, self.hearing.event).inc()
        super().handle_message(body, message)


class Consuming:
    """One service's handlers as nameko runs them."""

    def __init__(self, service: str, hearings: list[Hearing]) -> None:
        self._service = service
        self._consumer = consumer_of(service)
        self._stopping = False
        methods = {hearing.method: self._entrypoint(hearing) for hearing in hearings}
        self._runner = ServiceRunner(
            {
                "AMQP_URI": settings.service_setting(service, "AMQP_URL"),
                "ACCEPT": [SERIALIZER],
                "max_workers": WORKERS,
                "serializer": SERIALIZER,
            },
        )
        self._runner.add_service(type(service.capitalize(), (), {"name": service, **methods}))

    def _entrypoint(self, hearing: Hearing) -> Any:  # noqa: ANN401 - what nameko's decorator makes
        def method(_service: object, envelope: Envelope) -> None:
            self._handle(hearing, envelope)

        method.__name__ = hearing.method
        show_at_zero(hearing)
        return Hear.decorator(hearing)(method)

    def _handle(self, hearing: Hearing, envelope: Envelope) -> None:
        while True:
            try:
                handle(hearing, self._consumer, [envelope])
            except DatabaseAway:
                # Held here, unacked, so that the broker does not count a delivery; all workers end up here.
                while not database.is_back(self._service):
                    if self._stopping:
                        raise
                    eventlet.sleep(1)
            else:
                return

    def start(self) -> None:
        self._runner.start()

    def stop(self) -> None:
        """Finish what is begun and hand back what is held. Once: a runner that is asked again while it stops never ends."""
        if not self._stopping:
            self._stopping = True
            self._runner.stop()

    def wait(self) -> None:
        self._runner.wait()


def main() -> None:
    services = process.names("consume", __doc__)
    process.start("consume", services)
    routes = broker.routes(settings.services())
    consuming = [Consuming(service, heard) for service in services if (heard := [route for route in routes if route.hearer == service])]

    stopping: list[int] = []

    def asked(number: int, _frame: object) -> None:
        stopping.append(number)
        for one in consuming:
            eventlet.spawn_n(one.stop)

    signal.signal(signal.SIGTERM, asked)
    signal.signal(signal.SIGINT, asked)
    for one in consuming:
        one.start()
    for service in services:
        metrics.READY.labels(service, "consume").set(1)
    log.info("consume is up", extra={"services": " ".join(services)})
    # The first that ends, asked or not, ends the process; one dead among living ones nobody would notice.
    ended = Event()
    for one in consuming:
        eventlet.spawn(one.wait).link(lambda _thread: None if ended.ready() else ended.send())
    ended.wait()
    for one in consuming:
        one.stop()
    for one in consuming:
        with suppress(Exception):  # Why it ended stands in the log already.
            one.wait()
    sys.exit(0 if stopping else 1)


if __name__ == "__main__":
    main()
