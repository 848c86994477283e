"""The jobs that every service has: sealing the audit, pruning the mailbox, parking dead letters, counting what is parked."""

from datetime import UTC, datetime

import pika
from google.protobuf.message import DecodeError
from pika.exceptions import AMQPError
from sqlalchemy import func, select

from services.chassis import audit, broker, database, mailbox, metrics
from services.chassis.work import Arguments, job

DEAD_LETTERS_MAX = 1000


@job(every_seconds=5)
def seal_audit(service: str, _arguments: Arguments) -> None:
    with database.transaction(service) as connection:
        audit.seal(connection)
        unsealed = connection.execute(select(func.count()).select_from(audit.audit).where(audit.audit.c.place.is_(None))).scalar_one()
    metrics.AUDIT_UNSEALED.labels(service).set(unsealed)


@job(every_seconds=3600)
def prune_mailbox(service: str, _arguments: Arguments) -> None:
    with database.transaction(service) as connection:
        mailbox.prune(connection, datetime.now(UTC))


@job(every_seconds=5)
def park_dead_letters(service: str, _arguments: Arguments) -> None:
    """Move what the broker gave up on into the parked table, where `make replay` finds it."""
    try:
        with pika.BlockingConnection(broker.parameters(service)) as connection:
            channel = connection.channel()
            for _ in range(DEAD_LETTERS_MAX):
                method, properties, body = channel.basic_get(broker.dead_queue(service))
                if method is None or body is None:
                    break
                deaths = (properties.headers or {}).get("x-death") or [{}]
                queue = str(deaths[0].get("queue", ""))
                try:
                    envelope = mailbox.open_envelope(body)
                    source, event = envelope.source, envelope.event
                except (DecodeError, ValueError):
                    _, _, rest = queue.partition(".")
                    source, _, event = rest.partition(".")
                with database.transaction(service) as parking:
                    mailbox.park(parking, source, event, body, f"dead letter: {deaths[0].get('reason', 'unknown')}")
                channel.basic_ack(method.delivery_tag)
    except (AMQPError, OSError):
        return  # The broker is away; the dead letters wait for the next round.


@job(every_seconds=5)
def count_parked(service: str, _arguments: Arguments) -> None:
    with database.transaction(service) as connection:
        count = connection.execute(select(func.count()).select_from(mailbox.parked).where(mailbox.parked.c.replayed_at.is_(None))).scalar_one()
    metrics.PARKED.labels(service).set(count)
