"""Phones that members of more than one SHG carry (domain 11): a family's mostly, sometimes whoever enters women that there are not."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import Connection, distinct, func, select, tuple_
from sqlalchemy.dialects.postgresql import aggregate_order_by

from services.chassis.sight import within
from services.kernel.approval import IN_BOOKS
from services.profiles.tables import members

CARRIERS_MAX = 100  # Of one phone, those that were entered first.


class Mark(NamedTuple):
    """Where a phone stands in the list: how many SHGs it is in, and the first of its members, so that no number is needed to page."""

    institutions: int
    first_id: UUID


@dataclass(frozen=True, slots=True)
class Shared:
    """`ends_in` are its last four digits. `carriers` are members with their SHGs, by member id; `members` says how many there are."""

    mark: Mark
    ends_in: str
    members: int
    carriers: list[tuple[UUID, UUID]]


def shared(connection: Connection, regions: Collection[str], after: Mark | None, size: int) -> list[Shared]:
    """A page of those that are in the most SHGs of these regions, of members who are there. Read from one index, a block at most at once."""
    of = members.c
    institutions, first = func.count(distinct(of.institution_id)), func.array_agg(aggregate_order_by(of.id, of.id))[1]
    ids = func.array_agg(aggregate_order_by(of.id, of.id))[1:CARRIERS_MAX]
    shgs = func.array_agg(aggregate_order_by(of.institution_id, of.id))[1:CARRIERS_MAX]
    asked = (
        select(institutions.label("institutions"), first.label("first_id"), func.right(of.mobile, 4).label("ends_in"), func.count().label("members"))
        .add_columns(ids.label("ids"), shgs.label("shgs"))
        .where(within(of.region, regions), of.mobile.is_not(None), of.status.in_(sorted(IN_BOOKS)))
        .group_by(of.mobile)
        .having(institutions > 1)
        .order_by(institutions.desc(), first)
        .limit(size)
    )
    if after:
        asked = asked.having(tuple_(-institutions, first) > tuple_(-after.institutions, after.first_id))
    return [
        Shared(Mark(row.institutions, row.first_id), row.ends_in, row.members, list(zip(row.ids, row.shgs, strict=True)))
        for row in connection.execute(asked)
    ]
