"""Timers: each night, what copies of the members must add up to (decision 23)."""

from datetime import UTC, datetime

from services.chassis import database
from services.chassis.jobs import Arguments, job
from services.profiles.commands import restate


@job(every_seconds=86400)
def tally_members(service: str, _arguments: Arguments) -> None:
    with database.transaction(service) as connection:
        restate.tally(connection, datetime.now(UTC))
