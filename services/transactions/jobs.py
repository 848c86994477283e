"""Timers: partitions made ahead, the gauge of blocks whose copy drifted, and refusals of long ago forgotten."""

from datetime import UTC, datetime, timedelta

from services.chassis import metrics
from services.chassis.database import transaction
from services.chassis.jobs import Arguments, job
from services.kernel.month import today
from services.transactions.commands import copies, refuse, upkeep

REFUSED_KEPT = timedelta(days=400)  # Longer than any list of theirs reaches back.


@job(every_seconds=24 * 3600)
def make_partitions(service: str, _arguments: Arguments) -> None:
    with transaction(service) as connection:
        upkeep.make_partitions(connection, today())


@job(every_seconds=60)
def count_drift(service: str, _arguments: Arguments) -> None:
    with transaction(service) as connection:
        blocks = copies.compare_again(connection, datetime.now(UTC))
    metrics.COPY_DRIFT.labels(service, "members").set(blocks)


@job(every_seconds=24 * 3600)
def forget_refused(service: str, _arguments: Arguments) -> None:
    with transaction(service) as connection:
        refuse.forget(connection, datetime.now(UTC) - REFUSED_KEPT)
