"""After a database came back from a backup: python -m services.chassis.restored --backup NAME --by WHO SERVICE [SERVICE...]

Begins the next epoch, and sets right what a backup cannot know: events that were with the broker alone go out again, codes
and one-time things of the time that is gone are used up, and each service's audit says what happened. Runs as an
administrator of the database (RESTORED_DATABASE_URL), while no process of the instance runs and before the migrate step,
which then makes the queues anew. All of it is one transaction; once more for the same NAME changes nothing.
"""

import argparse
import importlib
import sys
from typing import Any

from sqlalchemy import Connection, create_engine, select, text, update

from services.chassis import audit, broker, epochs, logs, migrate, settings, work
from services.chassis.jobs import jobs
from services.kernel.caller import Caller

# What was sent but neither heard nor parked when the backup was taken was in the broker alone. The inbox makes twice once.
_SEND_AGAIN = """
update {source}.outbox o set sent_at = null, refusals = 0, not_before = null
where o.event = :event and o.sent_at is not null and (o.destination is null or o.destination = :hearer)
  and not exists (select from {hearer}.inbox i where i.source = :source and i.event_id = o.event_id)
  and not exists (select from {hearer}.parked p where p.source = :source and p.event_id = o.event_id)
"""


def settle(connection: Connection, services: list[str], backup: str, by: str, above: int = 0) -> int | None:
    """The new epoch; None where this backup's has begun already. `above` is an epoch that somebody has seen before."""
    known = 0
    for service in services:
        _enter(connection, service)
        newest = connection.execute(select(epochs.epochs).order_by(epochs.epochs.c.epoch.desc()).limit(1)).one()
        if newest.backup == backup:
            return None
        known = max(known, newest.epoch)
    epoch = max(known, above) + 1
    again = sum(_send_again(connection, hearing.source, hearing.hearer, hearing.event) for hearing in broker.routes(services))
    for service in services:
        _enter(connection, service)
        _settle_service(connection, service, epoch - known)
        epochs.begin(connection, epoch, backup)
        facts = {"epoch": epoch, "backup": backup}
        audit.changed(connection, Caller(f"operator {by}"), "instance.restore", settings.instance(), **facts)
        effects = [made.name for made in work.jobs_of(service).values() if made.effect]
        # Whether one that waited has happened since, a person must say.
        connection.execute(update(jobs).where(jobs.c.name.in_(effects), jobs.c.done_at.is_(None)).values(begun=True))
    sys.stdout.write(f"{settings.instance()}: epoch {epoch} begins; {again} events that were on their way go out again\n")
    return epoch


def _enter(connection: Connection, service: str) -> None:
    """Work in this service's schema from here on."""
    connection.execute(text("select set_config('search_path', :service, true)"), {"service": service})


def _send_again(connection: Connection, source: str, hearer: str, event: str) -> int:
    statement = text(_SEND_AGAIN.format(source=source, hearer=hearer))
    return connection.execute(statement, {"source": source, "hearer": hearer, "event": event}).rowcount


def _settle_service(connection: Connection, service: str, epochs_gone: int) -> None:
    """What the service itself must set right: `settle` of its commands/restored.py, where it has one."""
    name = f"services.{service}.commands.restored"
    try:
        own: Any = importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name != name:
            raise
        return
    own.settle(connection, epochs_gone)


def _cut_others(connection: Connection) -> None:
    """Whoever is connected still believes in the old epoch."""
    others = "datname = current_database() and pid <> pg_backend_pid() and backend_type = 'client backend'"
    connection.execute(text(f"select pg_terminate_backend(pid) from pg_stat_activity where {others}"))  # noqa: S608 - our own words


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m services.chassis.restored", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("services", nargs="+", metavar="SERVICE", choices=settings.services(), help=", ".join(settings.services()))
    parser.add_argument("--backup", required=True, metavar="NAME", help="what the database came back from: a backup's name, a recovery's target time")
    parser.add_argument("--by", required=True, metavar="WHO", help="who restores, for the audit: a user id, no person's name")
    parser.add_argument("--above", type=int, default=0, metavar="EPOCH", help="an epoch seen before, where the database may not know of it")
    given = parser.parse_args()
    logs.start("restored")
    for service in given.services:
        migrate.migrate(service)
    engine = create_engine(settings.text("RESTORED_DATABASE_URL"), hide_parameters=True)
    with engine.connect() as connection:
        with connection.begin():
            begun = settle(connection, given.services, given.backup, given.by, given.above)
        with connection.begin():
            _cut_others(connection)
    if begun is None:
        sys.stdout.write(f"{settings.instance()}: what comes after {given.backup} was done already\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
