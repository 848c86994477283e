"""Users: made, changed, told."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import date
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, delete, insert, update
from sqlalchemy.dialects import postgresql

from protos.identity_pb2 import UserChanged
from services.chassis import audit
from services.chassis.mailbox import tell
from services.identity import queries
from services.identity.commands import password as passwords
from services.identity.rules import user as rules
from services.identity.rules.user import Assignment, Side, Status, User
from services.identity.tables import user_roles, users
from services.kernel.caller import Caller, may_create
from services.kernel.errors import Conflict, NotFound
from services.kernel.geography import Geography
from services.kernel.month import month_of
from services.kernel.names import clean_name
from services.kernel.phone import check_mobile
from services.kernel.region import NATION


def add(connection: Connection, caller: Caller, wanted: User, password_hash: str) -> User:
    """Make the user; the one that is there already if it is the very same. Its password then stays what it was."""
    values = {name: getattr(wanted, name) for name in ("user_id", "full_name", "mobile", "email", "language", "status", "made_on", "version")}
    values |= {"password_hash": password_hash}
    made = connection.execute(postgresql.insert(users).values(values).on_conflict_do_nothing().returning(users.c.user_id)).scalar()
    if not made:
        there = queries.user(connection, wanted.user_id)
        if there is None or not there.is_what_was_asked(wanted):
            raise Conflict("USER_EXISTS", "There already is a user {user_id}, and it is another one.", field="user_id", user_id=wanted.user_id)
        return there
    connection.execute(insert(user_roles), [_assigned(wanted.user_id, one) for one in wanted.assignments])
    _note(connection, caller, "user.create", wanted)
    return wanted


def _assigned(user_id: str, one: Assignment) -> dict[str, Any]:
    ids = {"institution_ids": sorted(one.institution_ids), "cluster_ids": sorted(one.cluster_ids)}
    return {"user_id": user_id, "role": one.role, "region": one.region, "side": one.side, **ids}


def change(connection: Connection, caller: Caller, action: str, changed: User) -> User:
    """Store what a user now is, and what she is assigned; her row is held since it was read."""
    changed = replace(changed, version=changed.version + 1)
    values = {name: getattr(changed, name) for name in ("full_name", "mobile", "email", "language", "status", "version")}
    connection.execute(update(users).where(users.c.user_id == changed.user_id).values(values))
    connection.execute(delete(user_roles).where(user_roles.c.user_id == changed.user_id))
    connection.execute(insert(user_roles), [_assigned(changed.user_id, one) for one in changed.assignments])
    _note(connection, caller, action, changed)
    return changed


def _note(connection: Connection, caller: Caller, action: str, user: User) -> None:
    held = [
        {
            "role": one.role,
            "region": one.region,
            "side": one.side,
            "institutions": sorted(map(str, one.institution_ids)),
            "clusters": sorted(map(str, one.cluster_ids)),
        }
        for one in user.assignments
    ]
    audit.changed(connection, caller, action, user.user_id, status=user.status, assignments=held, version=user.version)
    _tell(connection, user)


def _tell(connection: Connection, user: User, to: str | None = None) -> None:
    message = UserChanged(
        user_id=user.user_id,
        active=user.status is Status.ACTIVE,
        month=month_of(user.made_on),
        places=[UserChanged.Place(role=one.role, region=one.region, institutions=len(one.institution_ids)) for one in user.assignments],
    )
    tell(connection, message, subject=user.user_id, version=user.version, to=to)


def create(  # noqa: PLR0913 - the parts of one request
    connection: Connection,
    caller: Caller,
    *,
    user_id: str,
    full_name: str,
    mobile: str,
    password: str,
    role: str,
    region: str,
    side: str,
    institution_ids: list[UUID],
    cluster_ids: list[UUID],
    email: str,
    language: str,
    geography: Geography,
    prefix: str,
    today: date,
) -> User:
    """A user below the caller (domain 7.1)."""
    given = rules.parse_role(role)
    may_create(caller.role, [given])
    caller.must_see_region(region)
    rules.check_level(given, geography.must_know(region, today))
    mapped = rules.check_institutions(given, institution_ids)
    _check_in_sight(connection, caller, mapped)
    rules.check_user_id(user_id, prefix)
    if password:
        rules.check_password(password, user_id)
    assigned = Assignment(given, region, mapped, Side(side), frozenset(cluster_ids))
    wanted = User(user_id, clean_name(full_name, "full_name"), check_mobile(mobile, "mobile"), (assigned,), today, email=email, language=language)
    return add(connection, caller, wanted, passwords.hashed(password) if password else "")


def _check_in_sight(connection: Connection, caller: Caller, institution_ids: frozenset[UUID]) -> None:
    known = queries.institutions_of(connection, institution_ids)
    if len(known) < len(institution_ids):
        raise NotFound("INSTITUTION_UNKNOWN", "There is no such institution, or it has just been made; try again.", field="institution_ids")
    for institution in known:
        caller.must_see(institution.institution_id, institution.region, "institution_ids")


def create_national_admin(connection: Connection, wanted: User, password: str, instance: str) -> User:
    """The first user of the nation, whom nobody could make but the operator."""
    if instance != "IN":
        raise Conflict("NATION_ONLY", "Only the national instance has national admins.")
    rules.check_password(password, wanted.user_id)
    return add(connection, Caller("operator"), wanted, passwords.hashed(password))


def restate_users(connection: Connection, hearer: str, after: str, size: int) -> Sequence[User]:
    """Tell the next users again, to one hearer."""
    page = queries.list_users(connection, [NATION], after, size)
    for user in page:
        _tell(connection, user, to=hearer)
    return page
