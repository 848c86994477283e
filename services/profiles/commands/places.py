"""Institutions and their members follow when the place that they lie in has moved, or ended in favour of another."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import date
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Connection, case, func, select, update
from sqlalchemy.exc import IntegrityError

from services.chassis import audit, places
from services.chassis.sight import among
from services.kernel.caller import Caller
from services.kernel.errors import Conflict, Invalid
from services.kernel.region import Level, at_level, level
from services.profiles import queries
from services.profiles.commands.events import as_checked, institution_changed, member_submitted, members_changed, tell_all
from services.profiles.queries import MEMBER, AnyRow
from services.profiles.tables import institutions, members, submissions

OPERATOR = Caller("operator")
BATCH = 100  # Institutions of one transaction; with their members some 1,200 rows.


@dataclass(frozen=True, slots=True)
class Moved:
    """What a batch did: who has a new path, who could not have it since another of that name is there, and what to go on after."""

    institutions: int = 0
    members: int = 0
    hindered: tuple[UUID, ...] = ()
    after: UUID | None = None


def move(connection: Connection, institution_ids: Collection[UUID], region: str) -> Moved:
    """Give institutions and all their members another path."""
    moved, hindered = _move_institutions(connection, institution_ids, region)
    with_them = [row.id for row in moved]
    there = {"region": region, "version": members.c.version + 1, "submitted_version": members.c.version + 1}
    of_members = connection.execute(update(members).where(among(members.c.institution_id, with_them)).values(there).returning(members)).all()
    _move_what_waits(connection, with_them, region)
    for action, rows in (("institution.place", moved), ("member.place", of_members)):
        if rows:
            audit.changed(connection, OPERATOR, action, *(row.id for row in rows), region=region)
    women = queries.subjects(connection, of_members, MEMBER)
    told = [institution_changed(one) for one in queries.subjects(connection, moved)]
    told += [member_submitted(checked) for one in women if (checked := as_checked(one))]
    tell_all(connection, [*told, *members_changed(connection, women)])
    return Moved(len(moved), len(of_members), tuple(hindered))


def _there(content: ColumnElement[Any], region: str) -> ColumnElement[Any]:
    """A content that says where it lies says the new place; one that does not, as a member's, stays as it is."""
    return case((content.has_key("region"), func.jsonb_set(content, ["region"], func.to_jsonb(region))), else_=content)


def _move_what_waits(connection: Connection, institution_ids: Collection[UUID], region: str) -> None:
    at = {"region": region, "block": at_level(region, Level.BLOCK), "gp": at_level(region, Level.GP)}
    contents = {name: _there(submissions.c[name], region) for name in ("content", "previous")}
    connection.execute(update(submissions).where(among(submissions.c.institution_id, institution_ids)).values(at | contents))


def place(connection: Connection, institution_ids: Collection[UUID], region: str, today: date) -> Moved:
    """Move those whose place ended to the one that a person says; those that are there already stay as they are."""
    here = places.geography()
    here.must_know(region, today, "to")
    rows = queries.institutions_among(connection, institution_ids)
    if len(rows) < len(set(institution_ids)):
        raise queries.unknown_institution()
    strays = [one.row for one in rows if one.row.region != region]
    for row in strays:
        if level(row.region) != level(region):
            raise Invalid("PLACE_LEVEL", "{who} sits at {path}, which is of another level than {to}.", who=row.id, path=row.region, to=region)
        if here.place(row.region, today):
            raise Conflict("PLACE_STANDS", "{who} sits at {path}, which stands; it moves by an edit of its own.", who=row.id, path=row.region)
    return move(connection, [row.id for row in strays], region)


def move_batch(connection: Connection, old: str, region: str, after: UUID | None) -> Moved:
    """Give the next batch of the institutions at a path another one."""
    at_old = select(institutions.c.id).where(institutions.c.region == old).order_by(institutions.c.id).limit(BATCH)
    ids = connection.execute((at_old.where(institutions.c.id > after) if after else at_old).with_for_update()).scalars().all()
    done = move(connection, ids, region)
    return Moved(done.institutions, done.members, done.hindered, ids[-1] if len(ids) == BATCH else None)


def _move_institutions(connection: Connection, ids: Collection[UUID], region: str) -> tuple[list[AnyRow], list[UUID]]:
    """Together; or one by one, where one of them has a name that another bears at the new place."""
    try:
        return _update(connection, among(institutions.c.id, ids), region), []
    except IntegrityError:
        moved, hindered = [], []
        for one in ids:
            try:
                moved += _update(connection, institutions.c.id == one, region)
            except IntegrityError:
                hindered.append(one)
        return moved, hindered


def _update(connection: Connection, which: ColumnElement[bool], region: str) -> list[AnyRow]:
    with connection.begin_nested():
        changed = (
            update(institutions)
            .where(which)
            .values(region=region, version=institutions.c.version + 1, content=_there(institutions.c.content, region))
        )
        return list(connection.execute(changed.returning(institutions)).all())
