"""What is here of the old MIS: found by the keys of its codes, and locked for an import."""

from collections.abc import Collection
from uuid import UUID

from sqlalchemy import Connection, Table, select

from services.chassis.sight import among
from services.profiles.queries import AnyRow, submissions_of
from services.profiles.tables import institutions, provenance


def held(connection: Connection, table: Table, keys: Collection[UUID]) -> dict[UUID, AnyRow]:
    """The records that rows have made before, by the rows' keys."""
    found = connection.execute(select(table).where(among(table.c.listed_as, keys)).order_by(table.c.id).with_for_update())
    return {row.listed_as: row for row in found}


def waiting(connection: Connection, rows: Collection[AnyRow]) -> set[UUID]:
    """Those of which something waits for a checker, or came back from her."""
    return set(submissions_of(connection, rows))


def provenances(connection: Connection, record_ids: Collection[UUID]) -> dict[UUID, AnyRow]:
    found = connection.execute(select(provenance).where(among(provenance.c.record_id, record_ids)))
    return {row.record_id: row for row in found}


def institutions_listed_as(connection: Connection, keys: Collection[UUID]) -> dict[UUID, AnyRow]:
    """The institutions of these keys, held so that none is closed meanwhile."""
    asked = select(institutions).where(among(institutions.c.listed_as, keys)).order_by(institutions.c.id).with_for_update(read=True)
    return {row.listed_as: row for row in connection.execute(asked)}
