"""What became of uploads: whoever sent one sees it, and nobody else."""

from uuid import UUID

from sqlalchemy import Connection, func, select

from services.kernel.caller import Caller
from services.kernel.errors import NotFound
from services.profiles.queries import AnyRow
from services.profiles.tables import upload_items, uploads


def answers(connection: Connection, caller: Caller, upload_id: UUID) -> list[AnyRow]:
    """The items in the order in which they were sent, with what became of each."""
    hers = select(uploads.c.id).where(uploads.c.id == upload_id, uploads.c.user_id == caller.user_id)
    asked = select(upload_items).where(upload_items.c.upload_id.in_(hers)).order_by(upload_items.c.place)
    found = list(connection.execute(asked).all())
    if not found:
        raise NotFound("UPLOAD_UNKNOWN", "There is no such upload of yours, or it was too long ago; send it again.", field="upload_id")
    return found


def waiting(connection: Connection, user_id: str) -> int:
    """How many uploads of hers are not done."""
    asked = select(func.count()).select_from(uploads).where(uploads.c.user_id == user_id, uploads.c.done_at.is_(None))
    return connection.execute(asked).scalar_one()


def for_update(connection: Connection, upload_id: UUID) -> AnyRow | None:
    """An upload that is not done, locked: of two workers that have the same one, the second sees what the first did."""
    return connection.execute(select(uploads).where(uploads.c.id == upload_id, uploads.c.done_at.is_(None)).with_for_update()).one_or_none()


def next_item(connection: Connection, upload_id: UUID) -> AnyRow | None:
    """The first of its items that is not answered."""
    waits = select(upload_items).where(upload_items.c.upload_id == upload_id, upload_items.c.said.is_not(None))
    return connection.execute(waits.order_by(upload_items.c.turn).limit(1)).one_or_none()
