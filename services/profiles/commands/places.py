"""Institutions, their members and what federations serve follow when a place has moved, or ended in favour of another."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Connection, case, func, select, update
from sqlalchemy.exc import IntegrityError

from services.chassis import audit, places, settings
from services.chassis.sight import among
from services.kernel.caller import Caller
from services.kernel.errors import Conflict, Invalid
from services.kernel.region import level
from services.profiles import queries
from services.profiles.commands import record
from services.profiles.commands.events import as_checked, institutions_changed, member_submitted, members_changed, tell_all
from services.profiles.queries import MEMBER, AnyRow
from services.profiles.rules.form import Held, words_of
from services.profiles.tables import institutions, members, memberships, submissions

BATCH = 100  # Institutions of one transaction; with their members some 1,200 rows.


@dataclass(frozen=True, slots=True)
class Moved:
    """What a batch did: who has a new path, who could not have it since another of that name is there, and what to go on after."""

    institutions: int = 0
    members: int = 0
    hindered: tuple[UUID, ...] = ()
    after: UUID | None = None


def move(connection: Connection, caller: Caller, institution_ids: Collection[UUID], region: str) -> Moved:
    """Give institutions and all their members another path."""
    moved, hindered = _move_institutions(connection, institution_ids, region)
    with_them = [row.id for row in moved]
    _move_what_waits(connection, with_them, region)
    if moved:
        audit.changed(connection, caller, "institution.place", *with_them, region=region)
    tell_all(connection, institutions_changed(connection, queries.subjects(connection, moved)))
    return Moved(len(moved), members_follow(connection, caller, with_them, region), tuple(hindered))


def members_follow(connection: Connection, caller: Caller, institution_ids: Collection[UUID], region: str) -> int:
    """All members of these institutions, and what waits of them, lie where those do now; how many they are."""
    once = select(memberships.c.member_id).where(among(memberships.c.institution_id, institution_ids))
    here_or_once = among(members.c.institution_id, institution_ids) | members.c.id.in_(once)
    # In one order with all who lock members: those who were once here may be moved with where they are now at the same time.
    connection.execute(select(members.c.id).where(here_or_once).order_by(members.c.id).with_for_update())
    there = {"region": region, "version": members.c.version + 1, "submitted_version": members.c.version + 1}
    rows = connection.execute(update(members).where(among(members.c.institution_id, institution_ids)).values(there).returning(members)).all()
    waiting = among(submissions.c.institution_id, institution_ids), submissions.c.kind == MEMBER
    connection.execute(update(submissions).where(*waiting).values(record.place_at(region)))
    if rows:
        audit.changed(connection, caller, "member.place", *(row.id for row in rows), region=region)
    women = queries.subjects(connection, rows, MEMBER)
    # Of who was there once and is elsewhere now, others keep where those institutions lie, and so are told again.
    elsewhere = members.c.id.in_(once) & ~among(members.c.institution_id, institution_ids)
    told_again = connection.execute(update(members).where(elsewhere).values(version=members.c.version + 1).returning(members)).all()
    told = [member_submitted(checked) for one in women if (checked := as_checked(one))]
    tell_all(connection, told + members_changed(connection, [*women, *queries.subjects(connection, told_again, MEMBER)]))
    return len(rows)


def _there(content: ColumnElement[Any], lies_at: ColumnElement[str], region: str) -> ColumnElement[Any]:
    """A content that says the old place says the new one; one that says another, or none as an act's, stays as it is."""
    return case((content["region"].astext == lies_at, func.jsonb_set(content, ["region"], func.to_jsonb(region))), else_=content)


def _move_what_waits(connection: Connection, institution_ids: Collection[UUID], region: str) -> None:
    contents = {name: _there(submissions.c[name], submissions.c.region, region) for name in ("content", "previous")}
    connection.execute(update(submissions).where(among(submissions.c.record_id, institution_ids)).values(record.place_at(region) | contents))


def place(connection: Connection, caller: Caller, institution_ids: Collection[UUID], region: str, today: date) -> Moved:
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
    return move(connection, caller, [row.id for row in strays], region)


def move_batch(connection: Connection, caller: Caller, old: str, region: str, after: UUID | None) -> Moved:
    """Give the next batch of the institutions at a path another one."""
    at_old = select(institutions.c.id).where(institutions.c.region == old).order_by(institutions.c.id).limit(BATCH)
    ids = connection.execute((at_old.where(institutions.c.id > after) if after else at_old).with_for_update()).scalars().all()
    done = move(connection, caller, ids, region)
    return Moved(done.institutions, done.members, done.hindered, ids[-1] if len(ids) == BATCH else None)


def follow_areas(connection: Connection, caller: Caller, now: Mapping[str, Sequence[str]], after: UUID | None) -> Moved:
    """Have the next batch of federations serve what the places of their areas are now, however many."""
    rows = queries.federations_serving(connection, now, after, BATCH)
    waiting = queries.submissions_of(connection, rows)
    for one in waiting.values():
        contents = {name: _served(held, now) for name, held in (("content", one.content), ("previous", one.previous)) if held}
        connection.execute(update(submissions).where(submissions.c.record_id == one.record_id).values(contents))
    changed = [record.change(connection, institutions, row, **({"content": _served(row.content, now)} if row.content else {})) for row in rows]
    if changed:
        audit.changed(connection, caller, "institution.area", *(row.id for row in changed))
    tell_all(connection, institutions_changed(connection, queries.subjects(connection, changed)))
    return Moved(len(changed), after=rows[-1].id if len(rows) == BATCH else None)


def _served(content: Held, now: Mapping[str, Sequence[str]]) -> Held:
    if "area" not in content:
        return content
    return {**content, "area": sorted({one for path in words_of(content, "area") for one in now.get(path, [path])})}


def note_import(connection: Connection, caller: Caller, on: date, file_sha256: str) -> None:
    """Who had the places be as this file says, from that day on."""
    audit.changed(connection, caller, "geography.import", str(settings.state_lgd()), on=on.isoformat(), file_sha256=file_sha256)


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
            .values(region=region, version=institutions.c.version + 1, content=_there(institutions.c.content, institutions.c.region, region))
        )
        return list(connection.execute(changed.returning(institutions)).all())
