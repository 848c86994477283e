"""Bring schemas and broker up to this version: python -m services.chassis.migrate NAME [NAME...]

Each service's schema as that service's own role, then every exchange, queue and binding. Runs before any process of the
new version starts; running it again changes nothing.
"""

import sys
import time
from pathlib import Path

import pika
from alembic import command
from alembic.config import Config

from services.chassis import broker, database, logs, process, settings

_HERE = Path(__file__).parent


def _versions(room: str) -> Path:
    return _HERE / "migrations" / "versions" if room == "chassis" else _HERE.parent / room / "migrations"


def config(service: str) -> Config:
    """Alembic's configuration for one service: the chassis's own tables, which every schema has, and the service's."""
    made = Config()
    made.set_main_option("script_location", str(_HERE / "migrations"))
    locations = [_versions("chassis"), _versions(service)]
    made.set_main_option("version_locations", " ".join(str(location) for location in locations))
    made.set_main_option("path_separator", "space")
    made.attributes["service"] = service
    return made


def migrate(service: str) -> None:
    """Upgrade the service's schema to the newest revision of each branch."""
    with database.engine(service).connect() as connection:
        made = config(service)
        made.attributes["connection"] = connection
        command.upgrade(made, "heads")


def new(service: str, words: str, room: str) -> None:
    """Write the migration that brings the service's migrated schema to what the tables of `room` (it, or chassis) now say."""
    number = len(list(_versions(room).glob("*.py"))) + 1
    with database.engine(service).connect() as connection:
        made = config(service)
        made.attributes |= {"connection": connection, "service": room}
        command.revision(
            made,
            words,
            autogenerate=True,
            rev_id=f"{room}_{number:04}",
            head=f"{room}@head" if number > 1 else "base",
            branch_label=room if number == 1 else None,
            version_path=str(_versions(room)),
        )


def main() -> None:
    if sys.argv[1:2] == ["new"]:
        # For engineers: python -m services.chassis.migrate new profiles "Members have a photo" [chassis]
        _, _, service, words, *room = sys.argv
        new(service, words, room[0] if room else service)
        return
    services = process.names("migrate", __doc__)
    logs.start("migrate")
    started = time.monotonic()
    for service in services:
        migrate(service)
    with pika.BlockingConnection(pika.URLParameters(settings.text("MIGRATE_AMQP_URL"))) as connection:
        broker.declare(connection.channel(), services)
    routes = broker.routes(services)
    sys.stdout.write(f"{settings.instance()}: {len(services)} schemas and {len(routes)} queues are ready ({time.monotonic() - started:.1f} s)\n")


if __name__ == "__main__":
    main()
