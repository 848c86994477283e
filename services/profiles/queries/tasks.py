"""My Task: what waits for a checker, a page at a time and counted.

A page merges the oldest keys of each list (place or maker, kind, with questions or plain) that it may show, each read in the order of
an index: two lakh waiting rows cost it as much as two hundred.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Boolean, ColumnElement, Connection, TableValuedAlias, Text, and_, case, column, func, lateral, literal, select, true, tuple_
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.types import TypeEngine

from services.chassis import places
from services.chassis.sight import among, within
from services.kernel.approval import LIVE, Status
from services.kernel.caller import Caller
from services.kernel.region import NOWHERE, Level, contains, level
from services.profiles.queries import AnyRow
from services.profiles.tables import institutions, members, submissions

KINDS = ("MEMBER", "SHG", "VO", "CLF")
SIZE = 25


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a checker asks for; what is empty or None, she does not filter by."""

    kinds: Sequence[str] = KINDS
    region: str = ""
    gps: Sequence[str] = ()  # Such as a cluster's.
    until: datetime | None = None  # What was handed in then or before.
    maker_user: str = ""
    institution_id: UUID | None = None
    plain: bool = False
    for_supervisor: bool = False


@dataclass(frozen=True, slots=True)
class After:
    """The row that the page before ended with."""

    submitted_at: datetime
    record_id: UUID


def _regions(caller: Caller, wanted: Wanted) -> list[str]:
    """What she sees of the region and of the Gram Panchayats that she asks for."""
    seen = _common(caller.regions, [wanted.region])
    return _common(seen, wanted.gps) if wanted.gps else seen


def _common(some: Iterable[str], others: Collection[str]) -> list[str]:
    """What lies in both."""
    return [one if contains(other, one) else other for one in some for other in others if contains(other, one) or contains(one, other)]


@dataclass(frozen=True, slots=True)
class _Scope:
    """The column whose index is read, its values, and what of it is to be looked at row by row."""

    column: ColumnElement[Any]
    values: Sequence[Any]
    filters: Sequence[ColumnElement[bool]] = ()


_OF_LEVEL = {Level.BLOCK: submissions.c.block, Level.GP: submissions.c.gp, Level.VILLAGE: submissions.c.region}


def _scope(caller: Caller, wanted: Wanted) -> _Scope:
    """What one SHG or one bookkeeper has handed in is little, and is looked at; of a region the index says all."""
    regions = [region for region in _regions(caller, wanted) if region != NOWHERE]
    if not regions:
        return _Scope(submissions.c.block, ())
    within_hers = within(submissions.c.region, regions)
    if wanted.institution_id:
        of_maker = [submissions.c.maker_user == wanted.maker_user] if wanted.maker_user else []
        return _Scope(submissions.c.institution_id, [wanted.institution_id], [within_hers, *of_maker])
    if wanted.maker_user:
        return _Scope(submissions.c.maker_user, [wanted.maker_user], [within_hers])
    widest = min(map(level, regions))
    if wanted.for_supervisor and widest > Level.BLOCK:  # So little waits for her that the block's index says where it is.
        return _Scope(submissions.c.block, sorted({".".join(region.split(".")[: Level.BLOCK]) for region in regions}), [within_hers])
    if widest >= Level.BLOCK:  # Clusters are sets of Gram Panchayats, so that all are of one level.
        return _Scope(_OF_LEVEL[widest], sorted(set(regions)), [within_hers] if widest < max(map(level, regions)) else [])
    geography = places.geography()
    blocks = {place for region in regions for place in (region, *geography.within(region)) if level(place) == Level.BLOCK}
    return _Scope(submissions.c.block, sorted(blocks))


def page(connection: Connection, caller: Caller, wanted: Wanted, after: After | None, size: int) -> list[AnyRow]:
    """The oldest first, with the names that a list shows."""
    scope = _scope(caller, wanted)
    if not scope.values:
        return []
    scopes = _each("scope", scope.column.type, scope.values)
    # What waits for a supervisor is a member's, and open.
    kinds = _each("kind", Text(), [kind for kind in dict.fromkeys(wanted.kinds) if kind == "MEMBER" or not wanted.for_supervisor])
    questions = _each("is_open", Boolean(), [False] * (not wanted.for_supervisor) + [True] * (not wanted.plain))
    key = submissions.c.submitted_at, submissions.c.record_id
    asked = (
        select(*key)
        .where(submissions.c.status == Status.SUBMITTED.value, scope.column == scopes.c.scope, submissions.c.kind == kinds.c.kind)
        .where(submissions.c.open_questions == questions.c.is_open, *scope.filters)
        .order_by(*key)
        .limit(size)
    )
    if wanted.for_supervisor:
        asked = asked.where(submissions.c.for_supervisor)
    if wanted.until:
        asked = asked.where(submissions.c.submitted_at <= wanted.until)
    if after:
        asked = asked.where(tuple_(*key) > tuple_(literal(after.submitted_at), literal(after.record_id)))
    # Of each list its oldest keys, and of the oldest of all of them the rows.
    of_each = lateral(asked, "waiting")
    keys = select(of_each).select_from(scopes.join(kinds, true()).join(questions, true()).join(of_each, true()))
    first = keys.order_by(of_each.c.submitted_at, of_each.c.record_id).limit(size).subquery("first")
    status = func.coalesce(members.c.status, institutions.c.status)
    # Of a new record its name is in what waits; of an act of life, in what is live.
    name = func.coalesce(submissions.c.content["name"].astext, members.c.content["name"].astext, institutions.c.name)
    named = (
        select(
            submissions,
            institutions.c.name.label("institution_name"),
            name.label("name"),
            status.in_(sorted(LIVE)).label("live"),
        )
        .join(first, first.c.record_id == submissions.c.record_id)
        .outerjoin(institutions, institutions.c.id == submissions.c.institution_id)
        .outerjoin(members, and_(submissions.c.kind == "MEMBER", members.c.id == submissions.c.record_id))
        .order_by(*key)
    )
    return list(connection.execute(named).all())


def _each(name: str, kind: TypeEngine[Any], values: Sequence[Any]) -> TableValuedAlias:
    """One row for each value."""
    return func.unnest(literal(list(values), ARRAY(kind))).table_valued(column(name, kind), name=f"each_{name}").render_derived()


_BY: dict[str, ColumnElement[str]] = {
    "": literal(""),
    "BLOCK": submissions.c.block,
    "GP": submissions.c.gp,
    "VILLAGE": submissions.c.region,
    "BOOKKEEPER": submissions.c.maker_user,
}
GROUPINGS = tuple(_BY)


def counts(connection: Connection, caller: Caller, wanted: Wanted, by: str, week_ago: datetime, month_ago: datetime) -> list[AnyRow]:
    """How much waits in a place, by kind and by what is asked for."""
    scope = _scope(caller, wanted)
    if not scope.values:
        return []
    group = _BY[by].label("of")

    def older(than: datetime) -> ColumnElement[int]:
        return func.count(case((submissions.c.submitted_at <= than, 1)))

    asked = (
        select(
            submissions.c.kind,
            group,
            func.count().label("waiting"),
            older(week_ago).label("over_7_days"),
            older(month_ago).label("over_30_days"),
            func.count(case((submissions.c.open_questions.is_(False), 1))).label("plain"),
            func.count(case((submissions.c.for_supervisor, 1))).label("for_supervisor"),
        )
        .where(submissions.c.status == Status.SUBMITTED.value, among(scope.column, scope.values), *scope.filters)
        .group_by(submissions.c.kind, group)
        .order_by(submissions.c.kind, group)
    )
    return list(connection.execute(asked).all())
