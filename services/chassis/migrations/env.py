"""Alembic's environment for every service; `services.chassis.migrate` hands in the connection."""

import importlib

from alembic import context
from sqlalchemy import MetaData

from services.chassis import audit, mailbox, work  # noqa: F401 - their tables are in mailbox.metadata

service = context.config.attributes["service"]
tables: MetaData = importlib.import_module(f"services.{service}.tables").metadata
connection = context.config.attributes["connection"]

context.configure(connection=connection, target_metadata=[mailbox.metadata, tables], compare_server_default=False)
with context.begin_transaction():
    context.run_migrations()
