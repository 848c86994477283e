"""Reads institutions and members, bounded by what the caller may see."""

from collections.abc import Collection, Iterator
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Connection, Row, Select, and_, func, select

from services.chassis import sight
from services.chassis.sight import among, within
from services.kernel.approval import Status
from services.kernel.caller import Caller
from services.kernel.errors import NotFound
from services.kernel.region import Level, at_level
from services.profiles.tables import findings, institutions, members

AnyRow = Row[Any]


def in_sight(caller: Caller, institution_id: ColumnElement[UUID], region: ColumnElement[str]) -> ColumnElement[bool]:
    return sight.in_sight(caller, institution_id, region, institutions)


def unknown_institution() -> NotFound:
    return NotFound("INSTITUTION_UNKNOWN", "There is no such institution among yours.", field="institution_id")


def unknown_member() -> NotFound:
    return NotFound("MEMBER_UNKNOWN", "There is no such member among yours.", field="member_id")


def institution(connection: Connection, caller: Caller, institution_id: UUID, *, for_update: bool = False) -> AnyRow:
    asked = select(institutions).where(institutions.c.id == institution_id, in_sight(caller, institutions.c.id, institutions.c.region))
    row = connection.execute(asked.with_for_update() if for_update else asked).one_or_none()
    if row is None:
        raise unknown_institution()
    return row


def member(connection: Connection, caller: Caller, member_id: UUID, *, for_update: bool = False) -> AnyRow:
    asked = select(members).where(members.c.id == member_id, in_sight(caller, members.c.institution_id, members.c.region))
    row = connection.execute(asked.with_for_update() if for_update else asked).one_or_none()
    if row is None:
        raise unknown_member()
    return row


def institutions_page(
    connection: Connection, caller: Caller, region: str = "", *, status: str | None, kind: str | None, after: UUID | None, size: int
) -> list[AnyRow]:
    """By id, which is by the time of making; only those after `after`, and where a region is named those in it."""
    asked = select(institutions).where(in_sight(caller, institutions.c.id, institutions.c.region))
    if region:
        asked = asked.where(within(institutions.c.region, [region]))
    if kind:
        asked = asked.where(institutions.c.kind == kind)
    return _page(connection, asked, institutions.c.id, institutions.c.status, status, after, size)


def members_page(
    connection: Connection, caller: Caller, *, institution_id: UUID | None, status: str | None, after: UUID | None, size: int
) -> list[AnyRow]:
    asked = select(members).where(in_sight(caller, members.c.institution_id, members.c.region))
    if institution_id:
        asked = asked.where(members.c.institution_id == institution_id)
    return _page(connection, asked, members.c.id, members.c.status, status, after, size)


def _page(
    connection: Connection,
    asked: Select[Any],
    id_column: ColumnElement[UUID],
    status_column: ColumnElement[str],
    status: str | None,
    after: UUID | None,
    size: int,
) -> list[AnyRow]:
    if status:
        asked = asked.where(status_column == status)
    if after:
        asked = asked.where(id_column > after)
    return list(connection.execute(asked.order_by(id_column).limit(size)).all())


def findings_of(connection: Connection, rows: Collection[AnyRow]) -> dict[UUID, list[AnyRow]]:
    """The findings of these members' current revisions, the weightiest first."""
    of: dict[UUID, list[AnyRow]] = {row.id: [] for row in rows}
    if not of:
        return of
    current = and_(findings.c.member_id == members.c.id, findings.c.member_revision == members.c.revision)
    asked = select(findings).join(members, current).where(among(members.c.id, of))
    for finding in connection.execute(asked.order_by(findings.c.weight_centibits.desc(), findings.c.finding_id)):
        of[finding.member_id].append(finding)
    return of


# What a maker's commands read: locked, and not yet bounded; they refuse in the rules' words.


def institution_for_update(connection: Connection, institution_id: UUID) -> AnyRow | None:
    return connection.execute(select(institutions).where(institutions.c.id == institution_id).with_for_update()).one_or_none()


def institution_held(connection: Connection, institution_id: UUID) -> AnyRow | None:
    """Held so that it cannot be decided while one of its members is being submitted."""
    return connection.execute(select(institutions).where(institutions.c.id == institution_id).with_for_update(read=True)).one_or_none()


def member_for_update(connection: Connection, member_id: UUID) -> AnyRow | None:
    return connection.execute(select(members).where(members.c.id == member_id).with_for_update()).one_or_none()


def institution_named(connection: Connection, region: str, kind: str, name_key: str) -> UUID | None:
    named = and_(institutions.c.region == region, institutions.c.kind == kind, institutions.c.name_key == name_key)
    return connection.execute(select(institutions.c.id).where(named)).scalar_one_or_none()


def institutions_within(connection: Connection, regions: Collection[str]) -> list[AnyRow]:
    return list(connection.execute(select(institutions).where(within(institutions.c.region, regions)).order_by(institutions.c.id)).all())


def institutions_among(connection: Connection, ids: Collection[UUID]) -> list[AnyRow]:
    return list(connection.execute(select(institutions).where(among(institutions.c.id, ids))).all())


def members_listed_as(connection: Connection, keys: Collection[UUID]) -> dict[UUID, UUID]:
    """The members that rows of a list have made already: the row's key to her id."""
    asked = select(members.c.listed_as, members.c.id).where(among(members.c.listed_as, keys))
    return {row.listed_as: row.id for row in connection.execute(asked)}


def member_counts(connection: Connection, institution_id: UUID) -> dict[Status, int]:
    asked = select(members.c.status, func.count()).where(members.c.institution_id == institution_id).group_by(members.c.status)
    return {Status(status): count for status, count in connection.execute(asked)}


def members_by_block(connection: Connection) -> Iterator[tuple[str, UUID, int, bool]]:
    """Block, id, version, and whether she is active, of every member, streamed."""
    asked = select(members.c.region, members.c.id, members.c.version, members.c.status == Status.ACTIVE)
    for region, member_id, version, active in connection.execute(asked, execution_options={"yield_per": 5000}):
        yield at_level(region, Level.BLOCK), member_id, version, active


def institutions_after(connection: Connection, after: UUID | None, size: int) -> list[AnyRow]:
    """All institutions by id, a page at a time, for a restatement."""
    return _page(connection, select(institutions), institutions.c.id, institutions.c.status, None, after, size)


def members_after(connection: Connection, after: UUID | None, size: int) -> list[AnyRow]:
    return _page(connection, select(members), members.c.id, members.c.status, None, after, size)
