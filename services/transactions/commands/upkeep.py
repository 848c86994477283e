"""What keeps the service going: partitions made ahead, and the journal told anew to a hearer."""

from datetime import date
from uuid import UUID

from sqlalchemy import Connection, text

from services.transactions import queries
from services.transactions.commands.events import approved, moved, tell_all
from services.transactions.rules.partitions import Partition, partition

PAGE_SIZE = 500


def make_partitions(connection: Connection, today: date) -> list[str]:
    """Make the partitions of this and the next year that are missing; returns their names."""
    made = [part for part in map(partition, (today.year, today.year + 1)) if not _exists(connection, part)]
    for part in made:
        _make(connection, part)
    return [part.name for part in made]


def _exists(connection: Connection, part: Partition) -> bool:
    return connection.execute(text("select to_regclass(:name)"), {"name": part.name}).scalar_one() is not None


def _make(connection: Connection, part: Partition) -> None:
    """Meetings whose device's clock ran ahead lie in the default partition already: they move, or the year could not be made."""
    connection.exec_driver_sql("lock table meetings_default in access exclusive mode")
    connection.exec_driver_sql(f"create table {part.name} (like meetings including all)")
    connection.exec_driver_sql(
        f"with early as (delete from meetings_default where meeting_id >= '{part.first}' and meeting_id < '{part.beyond}' returning *)"  # noqa: S608 - our own ids
        f" insert into {part.name} select * from early"
    )
    connection.exec_driver_sql(f"alter table meetings attach partition {part.name} for values from ('{part.first}') to ('{part.beyond}')")


def restate_moved(connection: Connection, hearer: str, after: UUID | None) -> tuple[UUID | None, int]:
    """Tell where a page of institutions' books stand to one hearer; returns as restate_approved."""
    rows = queries.chains_after(connection, after, PAGE_SIZE)
    tell_all(connection, [moved(institution_id, region, stands, to=hearer) for institution_id, region, stands in rows])
    return (rows[-1][0] if rows else None), len(rows)


def restate_approved(connection: Connection, hearer: str, after: UUID | None) -> tuple[UUID | None, int]:
    """Tell a page of approved meetings to one hearer; returns the last id of the page (None: the end) and how many."""
    rows = queries.approved_after(connection, after, PAGE_SIZE)
    tell_all(connection, [approved(row, row.region, row.decided_at, to=hearer) for row in rows])
    return (rows[-1].meeting_id if rows else None), len(rows)
