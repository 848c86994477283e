"""The instance's epoch: it grows by one whenever the database came back from a backup, so that whoever was ahead of it knows.

A device that sees another epoch than before sends again all that it still holds; the nation drops the figures of an older
one. Each service keeps the same epochs in its own schema, since it sees no other.
"""

from datetime import datetime

from sqlalchemy import BigInteger, Column, Connection, DateTime, Table, Text, func, insert, select, update

from services.chassis import mailbox

epochs = Table(
    "epochs",
    mailbox.metadata,
    Column("epoch", BigInteger, primary_key=True, autoincrement=False),
    Column("began_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    Column("backup", Text, nullable=False, server_default=""),  # What the database came back from; the first epoch came from nothing.
    # The queues hold events of a past that never was, until the migrate step has made them anew.
    Column("queues_made_at", DateTime(timezone=True)),
)


def current(connection: Connection) -> int:
    """The epoch, read once a database connection: when it grows, every connection is cut."""
    epoch: int = connection.info.get("epoch") or connection.execute(select(func.max(epochs.c.epoch))).scalar_one()
    connection.info["epoch"] = epoch
    return epoch


def restored_at(connection: Connection) -> datetime | None:
    """When the database last came back from a backup; None where it never did."""
    began_at: datetime | None = connection.execute(select(func.max(epochs.c.began_at)).where(epochs.c.epoch > 1)).scalar_one()
    return began_at


def begin(connection: Connection, epoch: int, backup: str) -> None:
    connection.execute(insert(epochs).values(epoch=epoch, backup=backup))


def queues_are_stale(connection: Connection) -> bool:
    """Whether they are to be made anew; whoever is told so alone is, until the transaction ends."""
    return bool(connection.execute(select(epochs.c.epoch).where(epochs.c.queues_made_at.is_(None)).with_for_update()).all())


def note_queues(connection: Connection) -> None:
    connection.execute(update(epochs).where(epochs.c.queues_made_at.is_(None)).values(queues_made_at=func.now()))
