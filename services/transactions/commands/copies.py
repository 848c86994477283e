"""Keep what profiles tells, the newest version whatever the order, and compare it with the owner's nightly tally."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, Table, delete, select
from sqlalchemy.dialects.postgresql import insert

from services.kernel.tally import ON_THE_WAY
from services.transactions import queries
from services.transactions.tables import contested, drift, institutions, members


def _keep_newest(connection: Connection, table: Table, key: str, values: dict[str, Any]) -> None:
    statement = insert(table).values(values)
    newer = table.c.version < statement.excluded.version
    rest = {name: statement.excluded[name] for name in values if name != key}
    connection.execute(statement.on_conflict_do_update(index_elements=[key], set_=rest, where=newer))


def keep_institution(connection: Connection, institution_id: UUID, version: int, **told: Any) -> None:  # noqa: ANN401 - the copy's columns, by name
    _keep_newest(connection, institutions, "institution_id", {"institution_id": institution_id, "version": version, **told})


def keep_member(connection: Connection, member_id: UUID, version: int, **told: Any) -> None:  # noqa: ANN401 - the copy's columns, by name
    _keep_newest(connection, members, "member_id", {"member_id": member_id, "version": version, **told})


def keep_contested(connection: Connection, member_id: UUID, version: int, *, is_open: bool) -> None:
    _keep_newest(connection, contested, "member_id", {"member_id": member_id, "version": version, "open": is_open})


def compare(connection: Connection, block: str, told: int, fingerprint: int, at: datetime) -> bool:
    """Note a block whose copy differs from the newest word of its owner; strike it off once it is equal. Whether it differs."""
    held, held_fingerprint = queries.tally(connection, block)
    if (held, held_fingerprint) == (told, fingerprint):
        connection.execute(delete(drift).where(drift.c.block == block, drift.c.found_at <= at))
        return False
    values = {"members_told": told, "fingerprint_told": fingerprint, "members_held": held, "found_at": at}
    statement = insert(drift).values(block=block, **values)
    connection.execute(statement.on_conflict_do_update(index_elements=["block"], set_=values, where=drift.c.found_at <= at))
    return True


def compare_again(connection: Connection, now: datetime) -> int:
    """Compare the noted blocks once more, since what was told before the tally may have come after it; returns how many differ."""
    noted = connection.execute(select(drift)).all()
    differing = [row for row in noted if compare(connection, row.block, row.members_told, row.fingerprint_told, row.found_at)]
    return sum(now - row.found_at > ON_THE_WAY for row in differing)
