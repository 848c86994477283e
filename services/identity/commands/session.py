"""Sessions: begun."""

from sqlalchemy import Connection

from services.chassis import audit
from services.identity import queries
from services.identity.commands import password as passwords
from services.identity.rules import user as rules
from services.identity.rules.user import Status
from services.kernel.caller import Caller, Role


def log_in(connection: Connection, user_id: str, password: str, role: str, person_key: bytes) -> Caller | None:
    """Who enters in that role; None whatever is wrong, after the same work. A refusal here would undo its own audit."""
    user_id = user_id if rules.is_user_id(user_id) else ""
    user = queries.user(connection, user_id)
    right = passwords.is_right(password, queries.password_hash(connection, user_id))
    if not (right and user and user.status is Status.ACTIVE and role in user.roles):
        audit.changed(connection, Caller(user_id), "login.fail", user_id)
        return None
    [held] = [one for one in user.assignments if one.role == role]
    caller = Caller(user_id, Role(role), held.region, held.institution_ids, rules.person(person_key, user.mobile))
    audit.changed(connection, caller, "login", user_id)
    return caller
