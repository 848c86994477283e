"""The nation's word that makes a State Admin: given on one side, redeemed once on the other."""

from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import Connection
from sqlalchemy.dialects import postgresql

from services.chassis import audit, epochs, settings, tokens
from services.identity import queries
from services.identity.commands import password as passwords
from services.identity.commands import user as users
from services.identity.rules import user as rules
from services.identity.rules.user import Assignment, User
from services.identity.tables import redeemed
from services.kernel.caller import Caller, Role
from services.kernel.errors import Conflict, Invalid
from services.kernel.ids import uuid7
from services.kernel.names import clean_name
from services.kernel.phone import check_mobile
from services.kernel.states import STATE_LGD

INVITATION_LIFE = timedelta(days=7)


def invite(connection: Connection, caller: Caller, state: str, full_name: str, mobile: str) -> tuple[str, datetime]:
    """A signed invitation for one state, and when it ends."""
    if settings.instance() != "IN":
        raise Conflict("NATION_ONLY", "Only the nation invites State Admins.")
    if state not in STATE_LGD:
        raise Invalid("STATE_UNKNOWN", "There is no state {state}; give its two letters, as UP.", field="state", state=state[:20])
    # Name and mobile travel inside: nothing in a state asks the nation, so it could not learn them otherwise. The token
    # is signed, not sealed; it goes to the invited person, whose own data they are.
    claims = {
        "invitation_id": str(uuid7()),
        "full_name": clean_name(full_name, "full_name"),
        "mobile": check_mobile(mobile, "mobile"),
    }
    token, ends = tokens.sign("invitation", state, INVITATION_LIFE, claims)
    audit.changed(connection, caller, "state_admin.invite", claims["invitation_id"], state=state)
    return token, ends


def redeem(connection: Connection, claims: Mapping[str, Any], user_id: str, password: str, prefix: str, today: date) -> User:
    """The State Admin that a verified invitation makes. Of two who redeem it at once the second waits, and is refused."""
    rules.check_user_id(user_id, prefix)
    rules.check_password(password, user_id)
    restored_at = epochs.restored_at(connection)
    if restored_at and datetime.fromtimestamp(claims["iat"], UTC) < restored_at:
        # Whether it was redeemed after the backup was taken, nobody knows any more.
        raise Conflict("INVITATION_TOO_OLD", "This invitation is older than the state's restored books; ask for another one.", field="invitation")
    invitation_id = UUID(claims["invitation_id"])
    values = {"invitation_id": invitation_id, "user_id": user_id}
    first = connection.execute(postgresql.insert(redeemed).values(values).on_conflict_do_nothing().returning(redeemed.c.user_id)).scalar()
    if not first:
        raise Conflict("INVITATION_USED", "This invitation has been used; ask for another one.", field="invitation")
    region = str(settings.state_lgd())
    wanted = User(user_id, claims["full_name"], claims["mobile"], (Assignment(Role.STATE_ADMIN, region),), today)
    if queries.user(connection, user_id) is not None:
        # Else a second invitation would seem to set a new password and would not.
        raise Conflict("USER_EXISTS", "There already is a user {user_id}; take another user id.", field="user_id", user_id=user_id)
    caller = Caller(user_id, Role.STATE_ADMIN, region)
    audit.changed(connection, caller, "state_admin.redeem", invitation_id, user_id)
    return users.add(connection, caller, wanted, passwords.hashed(password))
