"""Timers: partitions made ahead, and the gauge of blocks whose copy drifted."""

from sqlalchemy import func, select

from services.chassis import metrics
from services.chassis.database import transaction
from services.chassis.jobs import Arguments, job
from services.kernel.month import today
from services.transactions.commands import upkeep
from services.transactions.tables import drift


@job(every_seconds=24 * 3600)
def make_partitions(service: str, _arguments: Arguments) -> None:
    with transaction(service) as connection:
        upkeep.make_partitions(connection, today())


@job(every_seconds=60)
def count_drift(service: str, _arguments: Arguments) -> None:
    with transaction(service) as connection:
        blocks = connection.execute(select(func.count()).select_from(drift)).scalar_one()
    metrics.COPY_DRIFT.labels(service, "members").set(blocks)
