"""Alembic's environment for every service; `services.chassis.migrate` hands in the connection."""

import importlib
from typing import Any

from alembic import context
from sqlalchemy import MetaData

from services.chassis import audit, ended, epochs, jobs  # noqa: F401 - their tables are in mailbox.metadata

connection = context.config.attributes["connection"]
# The chassis's own tables are compared where its own migration is made; a service's where its is.
target: MetaData = importlib.import_module(context.config.attributes["tables"]).metadata


def ours(_item: Any, _name: str | None, kind: str, reflected: bool, compare_to: Any) -> bool:  # noqa: ANN401, FBT001 - Alembic's shape
    """Partitions, and the tables of the other metadata, are not differences."""
    return not (kind == "table" and reflected and compare_to is None)


context.configure(connection=connection, target_metadata=target, include_object=ours, compare_server_default=False)
with context.begin_transaction():
    connection.exec_driver_sql("set local statement_timeout = 0")  # A table of a crore rows takes the time that it takes.
    context.run_migrations()
