"""Timers: the vault keeps no number that nobody proved to be hers, and nobody keeps tries and sessions of long ago."""

from datetime import UTC, datetime

from services.chassis import database
from services.chassis.jobs import Arguments, job
from services.identity.commands import session, vault
from services.identity.rules.kyc import UNCONFIRMED_KEPT


@job(every_seconds=3600)
def forget_unconfirmed(_service: str, _arguments: Arguments) -> None:
    with database.transaction("vault") as connection:
        vault.forget_unconfirmed(connection, datetime.now(UTC) - UNCONFIRMED_KEPT)


@job(every_seconds=3600)
def forget_logins(service: str, _arguments: Arguments) -> None:
    with database.transaction(service) as connection:
        session.forget(connection, datetime.now(UTC))
