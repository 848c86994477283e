"""Note what was refused and is worth an officer's look: once, however often a device sends it, and of an institution the newest alone."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import Connection, delete, select
from sqlalchemy.dialects.postgresql import insert

from services.chassis import audit
from services.kernel.caller import Caller
from services.kernel.errors import Refused
from services.transactions.rules import anomaly
from services.transactions.rules.sheet import Sheet
from services.transactions.tables import refused

KEPT_MAX = 100  # Of one institution: whoever tries more than that is found by any of them, and all are in the audit.
FIELD_LENGTH_MAX = 100


def note(connection: Connection, caller: Caller, sheet: Sheet, answered: Refused, at: datetime) -> None:
    """Where the refusal is one of those that officers are shown."""
    if answered.code not in anomaly.REFUSED:
        return
    member_id = anomaly.refused_member(sheet, answered.field)
    of = {"institution_id": UUID(sheet.institution_id), "meeting_id": UUID(sheet.meeting_id), "revision": sheet.revision, "code": answered.code}
    about = {"number": sheet.number, "held_on": sheet.held_on, "field": answered.field, "member_id": UUID(member_id) if member_id else None}
    row = insert(refused).values(**of, **about, maker_user=caller.user_id, refused_at=at)
    if connection.execute(row.on_conflict_do_nothing().returning(refused.c.code)).first():
        audit.changed(connection, caller, "meeting.refuse", sheet.meeting_id, revision=sheet.revision, code=answered.code)
        of_it = refused.c.institution_id == of["institution_id"]
        newest = select(refused.c.refused_at).where(of_it).order_by(refused.c.refused_at.desc()).offset(KEPT_MAX - 1).limit(1)
        connection.execute(delete(refused).where(of_it, refused.c.refused_at < newest.scalar_subquery()))


def forget(connection: Connection, before: datetime) -> None:
    """What was refused long ago."""
    connection.execute(delete(refused).where(refused.c.refused_at < before))
