"""Take the books of an institution to a device, so that another one's old work cannot come in later."""

from datetime import UTC, datetime
from uuid import UUID

from sqlalchemy import Connection, select
from sqlalchemy.dialects.postgresql import insert

from services.chassis import audit
from services.kernel.caller import Caller
from services.kernel.errors import Conflict
from services.kernel.ids import derived
from services.transactions import queries
from services.transactions.tables import chains


def take_books(connection: Connection, caller: Caller, institution_id: UUID, *, take_over: bool) -> int:
    """The lock that meetings must bring from now on; the same session's is the same."""
    queries.must_see(connection, caller, institution_id)
    session = session_of(caller)
    none = {"last_number": 0, "approved_through": 0, "highest_number": 0, "version": 1}
    connection.execute(insert(chains).values(institution_id=institution_id, **none).on_conflict_do_nothing())
    of = chains.c.institution_id == institution_id
    held = connection.execute(select(chains.c.lock, chains.c.lock_session).where(of).with_for_update()).one()
    if held.lock_session == session:
        return int(held.lock)
    if held.lock_session and not take_over:
        sentence = "These books are on another device. What lies unsent there is lost when you take them over; say so if you mean it."
        raise Conflict("BOOKS_HELD", sentence, field="take_over")
    # By the clock, so that what is taken after a backup is newer than all that the backup knows of.
    lock = max(held.lock + 1, int(datetime.now(UTC).timestamp() * 1000))
    connection.execute(chains.update().where(of).values(lock=lock, lock_session=session, version=chains.c.version + 1))
    audit.changed(connection, caller, "books.take", institution_id, lock=lock, take_over=take_over)
    return int(lock)


def session_of(caller: Caller) -> UUID:
    """By what it is known whether the books are hers already."""
    return caller.session.session_id if caller.session else derived("user", caller.user_id)
