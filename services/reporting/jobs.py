"""Timers: telling the nation's registry that this state is there, and watching for copies that drift and figures that age."""

import time
from contextlib import suppress
from datetime import UTC, datetime

from prometheus_client import Gauge

from services.chassis import database, discovery, metrics, settings, version
from services.chassis.discovery import Instance, RegistryAwayError
from services.chassis.jobs import Arguments, job
from services.reporting import commands, queries

FIGURES_AGE_SECONDS = Gauge("lokos_figures_age_seconds", "Age of the newest event in the figures; while nobody works it grows, too", ["service"])


@job(every_seconds=15)
def register(service: str, _arguments: Arguments) -> None:
    """Write this state into the registry. Here, because reporting alone knows how many members the state has."""
    with database.transaction(service) as connection:
        registered = queries.registered_members(connection, str(settings.state_lgd()))
    instance = Instance(
        code=settings.instance(),
        address=settings.text("LOKOS_ADVERTISE"),
        version=version.VERSION,
        registered_members=registered,
        certificate=settings.file("LOKOS_TLS_CA_FILE").read_text(encoding="ascii"),
        lgd_code=settings.state_lgd(),
    )
    with suppress(RegistryAwayError):  # The next round is soon.
        discovery.registry().put(instance)


@job(every_seconds=30)
def compare_members(service: str, _arguments: Arguments) -> None:
    with database.transaction(service) as connection:
        differing = commands.compare_tallies(connection, datetime.now(UTC))
    metrics.COPY_DRIFT.labels(service, "members").set(differing)


@job(every_seconds=15)
def gauge_figures(service: str, _arguments: Arguments) -> None:
    with database.reading(service) as connection:
        as_of = queries.as_of(connection)
    if as_of:
        FIGURES_AGE_SECONDS.labels(service).set_function(lambda: max(time.time() - as_of.timestamp(), 0))
