"""Identity's copy of the institutions, by which users are mapped."""

from uuid import UUID

from sqlalchemy import Connection
from sqlalchemy.dialects import postgresql

from protos.profiles_pb2 import InstitutionChanged, Kind, Status
from services.identity.tables import institutions


def keep(connection: Connection, version: int, changed: InstitutionChanged) -> None:
    """Keep what profiles told, unless something newer is kept already."""
    statement = postgresql.insert(institutions).values(
        institution_id=UUID(changed.institution_id),
        kind=Kind.Name(changed.kind).removeprefix("KIND_"),
        name=changed.name,
        region=changed.region,
        parent_id=UUID(changed.parent_id) if changed.parent_id else None,
        status=Status.Name(changed.status).removeprefix("STATUS_"),
        version=version,
    )
    new = {column.name: column for column in statement.excluded if column.name != "institution_id"}
    connection.execute(
        statement.on_conflict_do_update(index_elements=["institution_id"], set_=new, where=statement.excluded.version > institutions.c.version),
    )
