"""Users: made, changed, told."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, bindparam, delete, insert, update
from sqlalchemy.dialects import postgresql

from protos.identity_pb2 import UserChanged
from services.chassis import audit
from services.chassis.mailbox import outbox, outbox_row
from services.chassis.sight import among
from services.identity import queries
from services.identity.commands import message, session
from services.identity.commands import password as passwords
from services.identity.rules import assignment as assignments
from services.identity.rules import user as rules
from services.identity.rules.user import Assignment, Here, Search, Status, User
from services.identity.tables import user_roles, users
from services.kernel.caller import OPERATOR, Caller
from services.kernel.errors import Conflict
from services.kernel.month import month_of
from services.kernel.names import clean_name
from services.kernel.phone import check_mobile
from services.kernel.region import NATION


def add(connection: Connection, caller: Caller, wanted: User, password_hash: str) -> User:
    """Make the user; the one that is there already if it is the very same. Its password then stays what it was."""
    if add_all(connection, caller, [wanted], password_hash):
        return wanted
    there = queries.user(connection, wanted.user_id)
    if there is None or not there.is_what_was_asked(wanted):
        raise Conflict("USER_EXISTS", "There already is a user {user_id}, and it is another one.", field="user_id", user_id=wanted.user_id)
    return there


def add_all(connection: Connection, caller: Caller, wanted: Sequence[User], password_hash: str = "") -> set[str]:
    """Make these users, in the order of their ids; the ids of those that it made, since somebody else may have one of that id."""
    columns = ("user_id", "full_name", "mobile", "email", "language", "status", "made_on", "version")
    rows = [{name: getattr(user, name) for name in columns} | {"password_hash": password_hash} for user in wanted]
    statement = postgresql.insert(users).on_conflict_do_nothing().returning(users.c.user_id)
    made_ids = set(connection.execute(statement, sorted(rows, key=lambda row: row["user_id"])).scalars())
    made = [user for user in wanted if user.user_id in made_ids]
    _assign_all(connection, made)
    _note_all(connection, caller, "user.create", made)
    return made_ids


def _assign_all(connection: Connection, made: Sequence[User]) -> None:
    rows = [_assigned(user.user_id, one) for user in made for one in user.assignments]
    if rows:
        connection.execute(insert(user_roles), rows)


def _assigned(user_id: str, one: Assignment) -> dict[str, Any]:
    ids = {"institution_ids": sorted(one.institution_ids), "cluster_ids": sorted(one.cluster_ids)}
    return {"user_id": user_id, "role": one.role, "region": one.region, "side": one.side, **ids}


def change(connection: Connection, caller: Caller, action: str, changed: User, **facts: str) -> User:
    """Store what a user now is, and what she is assigned; her row is held since it was read."""
    return change_all(connection, caller, action, [changed], **facts)[0]


def change_all(connection: Connection, caller: Caller, action: str, changed: Sequence[User], **facts: str) -> list[User]:
    """`change` for many; the users as they now are."""
    stored = [replace(user, version=user.version + 1) for user in changed]
    columns = ("full_name", "mobile", "email", "language", "status", "version")
    rows = [{"of": user.user_id} | {name: getattr(user, name) for name in columns} for user in stored]
    connection.execute(update(users).where(users.c.user_id == bindparam("of")).values({name: bindparam(name) for name in columns}), rows)
    connection.execute(delete(user_roles).where(among(user_roles.c.user_id, [user.user_id for user in stored])))
    _assign_all(connection, stored)
    _note_all(connection, caller, action, stored, **facts)
    return stored


def _note_all(connection: Connection, caller: Caller, action: str, stored: Sequence[User], **facts: str) -> None:
    if stored:
        notes = [audit.row(caller, action, [user.user_id], {**_facts(user), **facts}) for user in stored]
        connection.execute(insert(audit.audit), notes)
        connection.execute(insert(outbox), [_told(user) for user in stored])


def _facts(user: User) -> dict[str, Any]:
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
    return {"status": user.status, "assignments": held, "version": user.version}


def _told(user: User, to: str | None = None) -> dict[str, object]:
    message = UserChanged(
        user_id=user.user_id,
        active=user.status is Status.ACTIVE,
        month=month_of(user.made_on),
        places=[UserChanged.Place(role=one.role, region=one.region, institutions=len(one.institution_ids)) for one in user.assignments],
    )
    return outbox_row(message, user.user_id, user.version, to=to)


@dataclass(frozen=True, slots=True)
class Asked:
    """A user as somebody asks for her; `password` is empty where she is to set it herself."""

    user_id: str
    full_name: str
    mobile: str
    assignment: assignments.Asked
    password: str = ""
    email: str = ""
    language: str = ""


def create(connection: Connection, caller: Caller, here: Here, asked: Asked) -> User:
    """A user below the caller (domain 7.1)."""
    made = _assignment(connection, caller, here, asked.assignment)
    user_id = rules.check_user_id(asked.user_id, here.state.user_prefix)
    if asked.password:
        rules.check_password(asked.password, user_id)
    wanted = User(
        user_id,
        clean_name(asked.full_name, "full_name"),
        check_mobile(asked.mobile, "mobile"),
        (made,),
        here.today,
        email=rules.check_email(asked.email),
        language=rules.check_language(asked.language, here),
    )
    stored = add(connection, caller, wanted, passwords.hashed(asked.password) if asked.password else "")
    if stored is wanted:  # And not one that was there already.
        message.post(connection, key=made_key(user_id), template="user_made", user_id=user_id)
    return stored


def made_key(user_id: str) -> str:
    """Of the message that tells her that she was made."""
    return f"user_made:{user_id}"


def _assignment(connection: Connection, caller: Caller, here: Here, asked: assignments.Asked) -> Assignment:
    known = queries.institutions_of(connection, asked.institution_ids)
    blocks = {one.cluster_id: one.block for one in queries.clusters_of(connection, asked.cluster_ids)}
    return assignments.assign(caller, here, asked, known, blocks)


def _held(connection: Connection, caller: Caller, user_id: str) -> User:
    """The user, whom the caller may change, held until the transaction ends."""
    return rules.must_manage(caller, queries.users_for_change(connection, [rules.must_be_user_id(user_id)]).get(user_id))


def _changed(connection: Connection, caller: Caller, action: str, held: User, changed: User) -> User:
    """Store a change to what she may do, or to who she is; nothing where there is none."""
    rules.must_not_be_deleted(held)
    if changed == held:
        return held
    if (changed.assignments, changed.mobile) != (held.assignments, held.mobile):  # By her mobile a token tells which woman she is.
        session.stale(connection, held.user_id)
    return change(connection, caller, action, changed)


def edit(connection: Connection, caller: Caller, here: Here, user_id: str, given: Mapping[str, str]) -> User:
    held = _held(connection, caller, user_id)
    return _changed(connection, caller, "user.edit", held, rules.edited(held, here, given))


def assign_role(connection: Connection, caller: Caller, here: Here, user_id: str, asked: assignments.Asked) -> User:
    """The role, or for one that she has its new place."""
    made = _assignment(connection, caller, here, asked)
    held = _held(connection, caller, user_id)
    return _changed(connection, caller, "user.assign", held, assignments.given(held, made, here))


def remove_role(connection: Connection, caller: Caller, user_id: str, role: str) -> User:
    held = _held(connection, caller, user_id)
    return _changed(connection, caller, "user.remove_role", held, rules.without(held, rules.parse_role(role)))


def link(connection: Connection, caller: Caller, here: Here, user_id: str, role: str, more: frozenset[UUID], less: frozenset[UUID]) -> User:
    """Link institutions to one of her roles, and unlink others."""
    held = _held(connection, caller, user_id)
    made = assignments.linked(caller, held, role, more, less, queries.institutions_of(connection, more))
    return _changed(connection, caller, "user.link", held, assignments.given(held, made, here))


def set_password(connection: Connection, caller: Caller, user_id: str, password: str) -> User:
    """A password that somebody else chose for her; the one that she has already changes nothing."""
    held = _held(connection, caller, user_id)
    rules.must_not_be_deleted(held)
    rules.check_password(password, user_id)
    if passwords.is_right(password, queries.password_hash(connection, user_id)):
        return held
    session.set_password(connection, caller, user_id, passwords.hashed(password), "user.set_password")
    session.end_all(connection, caller, user_id, "PASSWORD_SET")
    return held


def set_status(connection: Connection, caller: Caller, user_id: str, status: Status, reason: str) -> User:
    """Stop the user, delete her, or let her work again."""
    return _set_status(connection, caller, _held(connection, caller, user_id), status, reason)


def stop(connection: Connection, user_id: str, reason: str) -> User:
    """The operator's way to stop whom nobody in the state may stop."""
    held = queries.users_for_change(connection, [rules.must_be_user_id(user_id)]).get(user_id)
    if held is None:
        raise rules.unknown_user()
    return _set_status(connection, OPERATOR, held, Status.INACTIVE, reason)


def _set_status(connection: Connection, caller: Caller, held: User, status: Status, reason: str) -> User:
    facts = {} if status is Status.ACTIVE else {"reason": rules.check_reason(reason)}
    if held.status is status:
        return held
    rules.must_not_be_deleted(held)
    if status is not Status.ACTIVE:
        session.end_all(connection, caller, held.user_id, status)
    if held.status is Status.ACTIVE:
        message.post(connection, key=f"account_stopped:{held.user_id}:{held.version}", template="account_stopped", user_id=held.user_id)
    return change(connection, caller, f"user.{status.lower()}", replace(held, status=status), **facts)


def create_national_admin(connection: Connection, wanted: User, password: str, instance: str) -> User:
    """The first user of the nation, whom nobody could make but the operator."""
    if instance != "IN":
        raise Conflict("NATION_ONLY", "Only the national instance has national admins.")
    rules.check_password(password, wanted.user_id)
    return add(connection, OPERATOR, wanted, passwords.hashed(password))


def restate_users(connection: Connection, hearer: str, after: str, size: int) -> Sequence[User]:
    """Tell the next users again, to one hearer."""
    page = queries.list_users(connection, Search((NATION,), statuses=frozenset(Status)), after, size)
    if page:
        connection.execute(insert(outbox), [_told(user, to=hearer) for user in page])
    return page
