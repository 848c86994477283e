"""What keeps the service going: partitions made ahead, and the journal told anew to a hearer."""

from datetime import date
from uuid import UUID

from sqlalchemy import Connection, text

from services.transactions import queries
from services.transactions.commands.decide import tell_approved
from services.transactions.rules.partitions import MONTHS_AHEAD, Partition, months_from, partition

PAGE_SIZE = 500


def make_partitions(connection: Connection, today: date) -> list[str]:
    """Make the partitions of this and the next months that are missing; returns their names."""
    made = [part for part in map(partition, months_from(today, 1 + MONTHS_AHEAD)) if not _exists(connection, part)]
    for part in made:
        _make(connection, part)
    return [part.name for part in made]


def _exists(connection: Connection, part: Partition) -> bool:
    return connection.execute(text("select to_regclass(:name)"), {"name": part.name}).scalar_one() is not None


def _make(connection: Connection, part: Partition) -> None:
    """Lines whose device's clock ran ahead lie in the default partition already: they move, or the month could not be made."""
    connection.exec_driver_sql("lock table lines_default in access exclusive mode")
    connection.exec_driver_sql(f"create table {part.name} (like lines including all)")
    connection.exec_driver_sql(
        f"with early as (delete from lines_default where meeting_id >= '{part.first}' and meeting_id < '{part.beyond}' returning *)"  # noqa: S608 - our own ids
        f" insert into {part.name} select * from early"
    )
    connection.exec_driver_sql(f"alter table lines attach partition {part.name} for values from ('{part.first}') to ('{part.beyond}')")


def restate_approved(connection: Connection, hearer: str, after: UUID | None) -> tuple[UUID | None, int]:
    """Tell a page of approved meetings to one hearer; returns the last id of the page (None: the end) and how many."""
    rows = queries.approved_after(connection, after, PAGE_SIZE)
    lines = queries.lines_of(connection, [row.meeting_id for row in rows])
    for row in rows:
        tell_approved(connection, row, lines[row.meeting_id], to=hearer)
    return (rows[-1].meeting_id if rows else None), len(rows)
