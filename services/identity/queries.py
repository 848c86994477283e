"""Reads: one function a question."""

from collections.abc import Collection
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Connection, func, or_, select

from services.identity.rules.kyc import Kyc
from services.identity.rules.sheet import Institution
from services.identity.rules.user import User
from services.identity.tables import institutions, kycs, user_roles, users
from services.kernel.caller import Role

_ROLES = select(func.array_agg(user_roles.c.role)).where(user_roles.c.user_id == users.c.user_id).scalar_subquery().label("roles")
_USERS = select(users, _ROLES)


def _user(row: Any) -> User:  # noqa: ANN401 - a row of _USERS
    return User(
        row.user_id,
        row.full_name,
        row.mobile,
        frozenset(map(Role, row.roles or ())),
        row.region,
        frozenset(row.institution_ids),
        row.made_on,
        row.active,
        row.version,
    )


def _within(column: ColumnElement[str], region: str) -> ColumnElement[bool]:
    return or_(column == region, column.like(f"{region}.%" if region else "%"))


def user(connection: Connection, user_id: str) -> User | None:
    row = connection.execute(_USERS.where(users.c.user_id == user_id)).one_or_none()
    return _user(row) if row else None


def password_hash(connection: Connection, user_id: str) -> str:
    """Empty where there is no such user, and where she has been given no password."""
    return connection.execute(select(users.c.password_hash).where(users.c.user_id == user_id)).scalar() or ""


def users_for_change(connection: Connection, user_ids: Collection[str]) -> dict[str, User]:
    """These users, in the order in which everybody locks them, held until the transaction ends."""
    held = _USERS.where(users.c.user_id.in_(user_ids)).order_by(users.c.user_id).with_for_update(of=users)
    return {row.user_id: _user(row) for row in connection.execute(held)}


def list_users(connection: Connection, region: str, after: str, size: int) -> list[User]:
    """The users of a region whose id comes after `after`, by id."""
    page = _USERS.where(_within(users.c.region, region), users.c.user_id > after).order_by(users.c.user_id).limit(size)
    return [_user(row) for row in connection.execute(page)]


def _institutions(connection: Connection, condition: ColumnElement[bool]) -> list[Institution]:
    known = select(institutions.c.institution_id, institutions.c.kind, institutions.c.name, institutions.c.region).where(condition)
    return [Institution(*row) for row in connection.execute(known)]


def institutions_within(connection: Connection, region: str) -> list[Institution]:
    return _institutions(connection, _within(institutions.c.region, region))


def institutions_of(connection: Connection, institution_ids: Collection[UUID]) -> list[Institution]:
    return _institutions(connection, institutions.c.institution_id.in_(institution_ids))


def kyc_for_change(connection: Connection, kyc_id: UUID, user_id: str) -> Kyc | None:
    """The e-KYC that this user began, held until the transaction ends."""
    row = connection.execute(select(kycs).where(kycs.c.kyc_id == kyc_id, kycs.c.user_id == user_id).with_for_update()).one_or_none()
    if row is None:
        return None
    return Kyc(row.kyc_id, row.member_id, row.reference, row.provider_txn, row.expires_at, row.tries, row.confirmed_at is not None)
