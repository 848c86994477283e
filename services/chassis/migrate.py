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


def config(service: str) -> Config:
    """Alembic's configuration for one service: the chassis's own tables and the service's."""
    made = Config()
    made.set_main_option("script_location", str(_HERE / "migrations"))
    locations = [_HERE / "migrations" / "versions", _HERE.parent / service / "migrations"]
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


def main() -> None:
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
