"""Reads: one function a question."""

from collections.abc import Collection
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Connection, Select, exists, select

from services.chassis.sight import among, within
from services.identity.rules.kyc import Kyc
from services.identity.rules.sheet import Institution
from services.identity.rules.user import Assignment, Side, Status, User
from services.identity.tables import institutions, kycs, user_roles, users
from services.kernel.caller import Role


def _assignments(connection: Connection, user_ids: Collection[str]) -> dict[str, list[Assignment]]:
    held: dict[str, list[Assignment]] = {}
    rows = connection.execute(select(user_roles).where(among(user_roles.c.user_id, user_ids)).order_by(user_roles.c.role))
    for row in rows:
        one = Assignment(Role(row.role), row.region, frozenset(row.institution_ids), Side(row.side), frozenset(row.cluster_ids))
        held.setdefault(row.user_id, []).append(one)
    return held


def _users(connection: Connection, asked: Select[Any]) -> list[User]:
    """The users of a statement on `users`, with all that they are assigned."""
    rows = connection.execute(asked).all()
    held = _assignments(connection, [row.user_id for row in rows])
    return [
        User(
            row.user_id,
            row.full_name,
            row.mobile,
            tuple(held.get(row.user_id, ())),
            row.made_on,
            Status(row.status),
            row.email,
            row.language,
            row.version,
        )
        for row in rows
    ]


def user(connection: Connection, user_id: str) -> User | None:
    return next(iter(_users(connection, select(users).where(users.c.user_id == user_id))), None)


def password_hash(connection: Connection, user_id: str) -> str:
    """Empty where there is no such user, and where she has been given no password."""
    return connection.execute(select(users.c.password_hash).where(users.c.user_id == user_id)).scalar() or ""


def users_for_change(connection: Connection, user_ids: Collection[str]) -> dict[str, User]:
    """These users, in the order in which everybody locks them, held until the transaction ends."""
    held = select(users).where(among(users.c.user_id, user_ids)).order_by(users.c.user_id).with_for_update()
    return {one.user_id: one for one in _users(connection, held)}


def list_users(connection: Connection, regions: Collection[str], after: str, size: int) -> list[User]:
    """The users with a role in these regions whose id comes after `after`, by id."""
    there = exists().where(user_roles.c.user_id == users.c.user_id, within(user_roles.c.region, regions))
    return _users(connection, select(users).where(there, users.c.user_id > after).order_by(users.c.user_id).limit(size))


def _institutions(connection: Connection, condition: ColumnElement[bool]) -> list[Institution]:
    known = select(institutions.c.institution_id, institutions.c.kind, institutions.c.name, institutions.c.region).where(condition)
    return [Institution(*row) for row in connection.execute(known)]


def institutions_within(connection: Connection, region: str) -> list[Institution]:
    return _institutions(connection, within(institutions.c.region, [region]))


def institutions_of(connection: Connection, institution_ids: Collection[UUID]) -> list[Institution]:
    return _institutions(connection, among(institutions.c.institution_id, institution_ids))


def kyc_for_change(connection: Connection, kyc_id: UUID, user_id: str) -> Kyc | None:
    """The e-KYC that this user began, held until the transaction ends."""
    row = connection.execute(select(kycs).where(kycs.c.kyc_id == kyc_id, kycs.c.user_id == user_id).with_for_update()).one_or_none()
    if row is None:
        return None
    return Kyc(row.kyc_id, row.member_id, row.reference, row.provider_txn, row.expires_at, row.tries, row.confirmed_at is not None)
