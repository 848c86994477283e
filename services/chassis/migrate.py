"""Bring schemas and broker up to this version: python -m services.chassis.migrate NAME [NAME...]

Each service's schema as that service's own role, then every exchange, queue and binding. Runs before any process of the
new version starts, while those of the old one run on; running it again changes nothing. A schema that a newer version has
been at is left as it is: this version knows nothing of what was added, and rolls back by that.
Where the database came back from a backup, the queues are made anew: they hold events of a past that never was.

A service may keep some tables apart, in a schema that its own role cannot read, as identity does with its vault: then
its folder `vault_migrations` makes the tables of `tables/vault.py`, as the role that VAULT_DATABASE_URL names. The
chassis's tables are not in such a schema: it tells and hears nothing.
"""

import sys
import time
from contextlib import ExitStack
from pathlib import Path

import pika
from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection

from services.chassis import broker, database, epochs, logs, process, settings

_HERE = Path(__file__).parent


def _versions(service: str, room: str) -> Path:
    if room == "chassis":
        return _HERE / "migrations" / "versions"
    return _HERE.parent / service / ("migrations" if room == service else f"{room}_migrations")


def schemas(service: str) -> list[str]:
    """The service's own schema, and those that it keeps apart; each role has its schema's name."""
    return [service, *_apart(service)]


def _apart(service: str) -> list[str]:
    return sorted(folder.name.removesuffix("_migrations") for folder in (_HERE.parent / service).glob("*_migrations"))


def _tables(service: str, room: str) -> str:
    """The module whose `metadata` says what a room's tables are."""
    if room == "chassis":
        return "services.chassis.mailbox"
    return f"services.{service}.tables" if room == service else f"services.{service}.tables.{room}"


def config(service: str, schema: str) -> Config:
    """Alembic's configuration for one schema: the service's own, which has the chassis's tables too, or one kept apart."""
    made = Config()
    made.set_main_option("script_location", str(_HERE / "migrations"))
    locations = [_versions(service, room) for room in (("chassis", service) if schema == service else (schema,))]
    made.set_main_option("version_locations", " ".join(str(location) for location in locations))
    made.set_main_option("path_separator", "space")
    made.attributes["tables"] = _tables(service, schema)
    return made


def migrate(service: str) -> None:
    """Upgrade the service's schema, and those that it keeps apart, to the newest revision of each branch."""
    for schema in schemas(service):
        with database.engine(schema).connect() as connection:
            made = config(service, schema)
            if ahead := _ahead(connection, made):
                sys.stdout.write(f"{settings.instance()}: {schema} is ahead of this version ({', '.join(ahead)}) and is left as it is\n")
                continue
            made.attributes["connection"] = connection
            command.upgrade(made, "heads")


def _ahead(connection: Connection, made: Config) -> list[str]:
    """The revisions in the database that this version does not have."""
    known = {script.revision for script in ScriptDirectory.from_config(made).walk_revisions()}
    there = set(MigrationContext.configure(connection).get_current_heads())
    connection.rollback()  # Alembic begins its own transaction.
    return sorted(there - known)


def make_queues(services: list[str]) -> None:
    with ExitStack() as held:
        connections = {service: held.enter_context(database.transaction(service)) for service in services}
        stale = [service for service, connection in connections.items() if epochs.queues_are_stale(connection)]
        channel = held.enter_context(pika.BlockingConnection(pika.URLParameters(settings.text("MIGRATE_AMQP_URL")))).channel()
        broker.delete(channel, stale)
        broker.declare(channel, services)
        for service in stale:
            epochs.note_queues(connections[service])


def new(service: str, words: str, room: str) -> None:
    """Write the migration that brings the migrated schema to what the tables of `room` (it, chassis, or one kept apart) now say."""
    versions = _versions(service, room)
    number = len(list(versions.glob("*.py"))) + 1
    schema = room if room in _apart(service) else service
    with database.engine(schema).connect() as connection:
        made = config(service, schema)
        made.attributes |= {"connection": connection, "tables": _tables(service, room)}
        command.revision(
            made,
            words,
            autogenerate=True,
            rev_id=f"{room}_{number:04}",
            head=f"{room}@head" if number > 1 else "base",
            branch_label=room if number == 1 else None,
            version_path=str(versions),
        )


def main() -> None:
    if sys.argv[1:2] == ["new"]:
        # For engineers: python -m services.chassis.migrate new profiles "Members have a photo" [ROOM]
        _, _, service, words, *room = sys.argv
        new(service, words, room[0] if room else service)
        return
    services = process.names("migrate", __doc__)
    logs.start("migrate")
    started = time.monotonic()
    for service in services:
        migrate(service)
    make_queues(services)
    routes = broker.routes(services)
    sys.stdout.write(f"{settings.instance()}: {len(services)} schemas and {len(routes)} queues are ready ({time.monotonic() - started:.1f} s)\n")


if __name__ == "__main__":
    main()
