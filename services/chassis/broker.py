"""The broker's shape: every exchange, queue and binding from one table (decision 21), and how to reach it."""

from urllib.parse import urlsplit

import pika
from pika.adapters.blocking_connection import BlockingChannel

from services.chassis import settings
from services.chassis.hears import Hearing, hearings

DELIVERIES_MAX = 20
QUEUE_LENGTH_MAX = 2_000_000
DEAD = "dead"  # The exchange that takes what could not be delivered.


def routes(services: list[str]) -> list[Hearing]:
    """The table: who hears what from whom, among these services."""
    return [hearing for service in services for hearing in hearings(service) if hearing.source in services]


def exchange(service: str) -> str:
    return f"{service}.events"


def dead_queue(service: str) -> str:
    return f"{service}.dead"


def restated(hearer: str, event: str) -> str:
    """The routing key of an event that is told to one hearer alone."""
    return f"to.{hearer}.{event}"


def parameters(service: str) -> pika.URLParameters:
    """How this service's own user reaches the broker."""
    return pika.URLParameters(settings.service_setting(service, "AMQP_URL"))


def address(url: str) -> str:
    """Host and port of a broker's URL, for messages: never the password."""
    parts = urlsplit(url)
    return f"{parts.hostname}:{parts.port}"


def delete(channel: BlockingChannel, services: list[str]) -> None:
    """Delete the queues that these services hear from, with all that is in them; again is harmless."""
    for service in services:
        for queue in (*(hearing.queue for hearing in hearings(service)), dead_queue(service)):
            channel.queue_delete(queue)


def declare(channel: BlockingChannel, services: list[str]) -> None:
    """Declare all that these services need; again is harmless. Runs in the migrate step, before any relay starts."""
    channel.exchange_declare(DEAD, "direct", durable=True)
    for service in services:
        channel.exchange_declare(exchange(service), "topic", durable=True)
        channel.queue_declare(dead_queue(service), durable=True, arguments={"x-queue-type": "quorum"})
        channel.queue_bind(dead_queue(service), DEAD, service)
    for hearing in routes(services):
        channel.queue_declare(
            hearing.queue,
            durable=True,
            arguments={
                "x-queue-type": "quorum",
                "x-delivery-limit": DELIVERIES_MAX,
                # Full is no loss: the relay is told no, and the event waits in its outbox.
                "x-max-length": QUEUE_LENGTH_MAX,
                "x-overflow": "reject-publish",
                "x-dead-letter-exchange": DEAD,
                "x-dead-letter-routing-key": hearing.hearer,
                "x-dead-letter-strategy": "at-least-once",
            },
        )
        channel.queue_bind(hearing.queue, exchange(hearing.source), hearing.event)
        channel.queue_bind(hearing.queue, exchange(hearing.source), restated(hearing.hearer, hearing.event))
