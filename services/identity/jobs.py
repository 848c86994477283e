"""Timers: the vault keeps no number that nobody proved to be hers."""

from datetime import UTC, datetime

from services.chassis import database
from services.chassis.jobs import Arguments, job
from services.identity.commands import vault
from services.identity.rules.kyc import UNCONFIRMED_KEPT


@job(every_seconds=3600)
def forget_unconfirmed(_service: str, _arguments: Arguments) -> None:
    with database.transaction("vault") as connection:
        vault.forget_unconfirmed(connection, datetime.now(UTC) - UNCONFIRMED_KEPT)
