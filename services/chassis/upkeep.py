"""The jobs that every service has: sealing the audit, pruning mailbox and jobs, parking dead letters, and its figures."""

import logging
import math
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from typing import Any

import pika
from google.protobuf.message import DecodeError
from pika.adapters.blocking_connection import BlockingChannel
from pika.exceptions import AMQPConnectionError, ProbableAccessDeniedError, ProbableAuthenticationError
from sqlalchemy import func, select

from services.chassis import audit, broker, chain, database, ended, epochs, jobs, mailbox, metrics, settings
from services.chassis.jobs import Arguments, job

log = logging.getLogger(__name__)

DEAD_LETTERS_MAX = 1000


@job(every_seconds=5)
def seal_audit(service: str, _arguments: Arguments) -> None:
    with database.transaction(service) as connection:
        chain.seal(connection, service)


@job(every_seconds=3600)
def prune_mailbox(service: str, _arguments: Arguments) -> None:
    with database.transaction(service) as connection:
        mailbox.prune(connection, datetime.now(UTC), epochs.restored_at(connection))
        ended.forget(connection, datetime.now(UTC))


@job(every_seconds=86400)
def prune_jobs(service: str, _arguments: Arguments) -> None:
    with database.transaction(service) as connection:
        jobs.prune(connection, datetime.now(UTC))


@job(every_seconds=5)
def park_dead_letters(service: str, _arguments: Arguments) -> None:
    """Move what the broker gave up on into the parked table, where `make replay` finds it."""
    _at_broker(service, partial(_park_dead_letters, service))


def _at_broker(service: str, work: Callable[[BlockingChannel], None]) -> None:
    """Do what is to be done there; while the broker is away, it waits for the next round."""
    try:
        with pika.BlockingConnection(broker.parameters(service)) as connection:
            work(connection.channel())
    except (ProbableAuthenticationError, ProbableAccessDeniedError):
        raise
    except (AMQPConnectionError, OSError):
        return


def _park_dead_letters(service: str, channel: BlockingChannel) -> None:
    for _ in range(DEAD_LETTERS_MAX):
        method, properties, body = channel.basic_get(broker.dead_queue(service))
        if method is None or method.delivery_tag is None or body is None:
            break
        _park_dead(service, properties, body)
        channel.basic_ack(method.delivery_tag)


def _park_dead(service: str, properties: Any, body: bytes) -> None:  # noqa: ANN401 - pika's properties
    death: dict[str, Any] = next(iter((properties.headers or {}).get("x-death") or ()), {})
    try:
        envelope = mailbox.open_envelope(body)
        source, event = envelope.source, envelope.event
    except (DecodeError, ValueError):
        _hearer, source, event = [*str(death.get("queue", "")).split(".", 2), "", ""][:3]
    with database.transaction(service) as connection:
        mailbox.park(connection, source, event, body, f"dead letter: {death.get('reason', 'unknown')}")


@job(every_seconds=5)
def gauge_tables(service: str, _arguments: Arguments) -> None:
    """Here and not where each is worked off, so that what waits is seen to rise while its worker is away or fails."""
    with database.transaction(service) as connection:
        parked = connection.execute(select(func.count()).select_from(mailbox.parked).where(mailbox.parked.c.replayed_at.is_(None))).scalar_one()
        unsent, age = mailbox.waiting(connection)
        unsealed_age = audit.unsealed_age_seconds(connection)
    metrics.PARKED.labels(service).set(parked)
    metrics.OUTBOX_WAITING.labels(service).set(unsent)
    metrics.OUTBOX_AGE_SECONDS.labels(service).set(age)
    metrics.AUDIT_UNSEALED_AGE_SECONDS.labels(service).set(unsealed_age)


@job(every_seconds=10)
def gauge_queues(service: str, _arguments: Arguments) -> None:
    """Here and not in the consumer, so that its queues are seen to fill while it is away. No broker, no figure."""
    hearings = [hearing for hearing in broker.routes(settings.services()) if hearing.hearer == service]
    waiting = {hearing.event: math.nan for hearing in hearings}

    def count(channel: BlockingChannel) -> None:
        for hearing in hearings:
            waiting[hearing.event] = channel.queue_declare(hearing.queue, passive=True).method.message_count

    if hearings:
        _at_broker(service, count)
    for event, events in waiting.items():
        metrics.QUEUE_WAITING.labels(service, event).set(events)


@job(every_seconds=3600)
def check_audit(service: str, _arguments: Arguments) -> None:
    """Walk what was added to the chain, and the rest in turn. Its head goes to where the logs are kept: out of the database's reach."""
    now = datetime.now(UTC)
    with database.reading(service) as connection:
        checked = chain.check(connection, service, now)
    with database.transaction(service) as connection:
        chain.note(connection, service, checked, now)
    metrics.AUDIT_BROKEN_AT.labels(service).set(checked.fault.place if checked.fault else 0)
    if checked.fault:
        log.error("the audit's chain is broken", extra={"service": service, "place": checked.fault.place})
    log.info("the audit's head", extra={"service": service, "head": checked.head})
