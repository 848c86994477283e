"""Keep what profiles tells, the newest version whatever the order, and compare it with the owner's nightly tally."""

from datetime import date, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, Table, delete
from sqlalchemy.dialects.postgresql import insert

from services.transactions import queries
from services.transactions.tables import drift, institutions, members


def _keep_newest(connection: Connection, table: Table, key: str, values: dict[str, Any]) -> None:
    statement = insert(table).values(values)
    newer = table.c.version < statement.excluded.version
    rest = {name: statement.excluded[name] for name in values if name != key}
    connection.execute(statement.on_conflict_do_update(index_elements=[key], set_=rest, where=newer))


def keep_institution(
    connection: Connection, institution_id: UUID, version: int, *, kind: str, region: str, status: str, parent_id: UUID | None, formed_on: date | None
) -> None:
    values = {
        "institution_id": institution_id,
        "kind": kind,
        "region": region,
        "status": status,
        "parent_id": parent_id,
        "formed_on": formed_on,
        "version": version,
    }
    _keep_newest(connection, institutions, "institution_id", values)


def keep_member(connection: Connection, member_id: UUID, version: int, *, institution_id: UUID, region: str, status: str) -> None:
    values = {"member_id": member_id, "institution_id": institution_id, "status": status, "region": region, "version": version}
    _keep_newest(connection, members, "member_id", values)


def compare(connection: Connection, block: str, told: int, fingerprint: int, at: datetime) -> None:
    """Note a block whose copy differs; strike it off once it is equal again."""
    held, held_fingerprint = queries.tally(connection, block)
    if (held, held_fingerprint) == (told, fingerprint):
        connection.execute(delete(drift).where(drift.c.block == block))
        return
    statement = insert(drift).values(block=block, members_told=told, members_held=held, found_at=at)
    rest = {"members_told": told, "members_held": held, "found_at": at}
    connection.execute(statement.on_conflict_do_update(index_elements=["block"], set_=rest))
