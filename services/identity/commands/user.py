"""Users: logged in, made, changed, told."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import date
from uuid import UUID

from sqlalchemy import Connection, insert, update
from sqlalchemy.dialects import postgresql

from protos.identity_pb2 import UserChanged
from services.chassis import audit
from services.chassis.mailbox import tell
from services.identity import queries
from services.identity.commands import password as passwords
from services.identity.rules import user as rules
from services.identity.rules.user import User
from services.identity.tables import user_roles, users
from services.kernel.caller import Caller, Role, may_create
from services.kernel.errors import Conflict, Invalid, NotFound
from services.kernel.geography import Geography
from services.kernel.month import month_of
from services.kernel.names import clean_name
from services.kernel.phone import check_mobile
from services.kernel.region import NATION


def log_in(connection: Connection, user_id: str, password: str, role: str, person_key: bytes) -> tuple[Caller, User] | None:
    """Who enters in that role; None whatever is wrong, after the same work. A refusal here would undo its own audit."""
    user_id = user_id if rules.is_user_id(user_id) else ""
    user = queries.user(connection, user_id)
    right = passwords.is_right(password, queries.password_hash(connection, user_id))
    if not (right and user and user.active and role in user.roles):
        audit.changed(connection, Caller(user_id), "login.fail", user_id)
        return None
    person = rules.person(person_key, user.mobile)
    caller = Caller(user_id, Role(role), user.region, user.institution_ids, person)
    audit.changed(connection, caller, "login", user_id)
    return caller, user


def add(connection: Connection, caller: Caller, wanted: User, password_hash: str) -> User:
    """Make the user; the one that is there already if it is the very same. Its password then stays what it was."""
    values = {name: getattr(wanted, name) for name in ("user_id", "full_name", "mobile", "region", "active", "made_on", "version")}
    values |= {"institution_ids": sorted(wanted.institution_ids), "password_hash": password_hash}
    made = connection.execute(postgresql.insert(users).values(values).on_conflict_do_nothing().returning(users.c.user_id)).scalar()
    if not made:
        there = queries.user(connection, wanted.user_id)
        if there is None or not there.is_what_was_asked(wanted):
            raise Conflict("USER_EXISTS", "There already is a user {user_id}, and it is another one.", field="user_id", user_id=wanted.user_id)
        return there
    connection.execute(insert(user_roles), [{"user_id": wanted.user_id, "role": role} for role in sorted(wanted.roles)])
    _note(connection, caller, "user.create", wanted)
    return wanted


def change(connection: Connection, caller: Caller, changed: User) -> User:
    """Store where a user now works and for whom; her row is held since it was read."""
    changed = replace(changed, version=changed.version + 1)
    values = {"region": changed.region, "institution_ids": sorted(changed.institution_ids), "version": changed.version}
    connection.execute(update(users).where(users.c.user_id == changed.user_id).values(values))
    _note(connection, caller, "user.map", changed)
    return changed


def _note(connection: Connection, caller: Caller, action: str, user: User) -> None:
    facts = {"roles": sorted(user.roles), "region": user.region, "institutions": sorted(map(str, user.institution_ids)), "version": user.version}
    audit.changed(connection, caller, action, user.user_id, **facts)
    _tell(connection, user)


def _tell(connection: Connection, user: User, to: str | None = None) -> None:
    message = UserChanged(
        user_id=user.user_id,
        roles=sorted(user.roles),
        region=user.region,
        institutions=len(user.institution_ids),
        active=user.active,
        month=month_of(user.made_on),
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
    institution_ids: list[UUID],
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
    rules.check_password(password, user_id)
    wanted = User(user_id, clean_name(full_name, "full_name"), check_mobile(mobile, "mobile"), frozenset({given}), region, mapped, today)
    return add(connection, caller, wanted, passwords.hashed(password))


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
    if wanted.roles != {Role.NATIONAL_ADMIN} or wanted.region != NATION:
        raise Invalid("ROLE_UNKNOWN", "{role} is no role that can be given here.", field="role", role=", ".join(wanted.roles))
    return add(connection, Caller("operator"), wanted, passwords.hashed(password))


def restate_users(connection: Connection, hearer: str, after: str, size: int) -> Sequence[User]:
    """Tell the next users again, to one hearer."""
    page = queries.list_users(connection, NATION, after, size)
    for user in page:
        _tell(connection, user, to=hearer)
    return page
