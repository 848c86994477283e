"""What keeps a query within a caller's sight."""

from collections.abc import Collection
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Table, Text, Uuid, and_, any_, false, func, literal, or_, select, true, union_all
from sqlalchemy.dialects.postgresql import ARRAY

from services.kernel.caller import Caller, Sight
from services.kernel.region import NATION


def among(column: ColumnElement[Any], values: Collection[UUID] | Collection[str]) -> ColumnElement[bool]:
    """One parameter, however many values."""
    kind = Text if isinstance(column.type, Text) else Uuid
    return column == any_(literal(list(values), ARRAY(kind)))


def within(column: ColumnElement[str], regions: Collection[str]) -> ColumnElement[bool]:
    """These regions and all in them: "/" is the character after ".", so that an index serves whatever the planner knows of the value."""
    if NATION in regions:
        return true()
    return or_(false(), *(or_(column == region, and_(column >= region + ".", column < region + "/")) for region in regions))


def in_sight(caller: Caller, institution_id: ColumnElement[UUID], region: ColumnElement[str], institutions: Table) -> ColumnElement[bool]:
    """Rows of institutions that she sees. `institutions` is the service's own table of them."""
    if caller.sight is Sight.REGION:
        return within(region, caller.regions)
    if caller.sight is Sight.MAPPED:
        return among(institution_id, caller.institutions)
    # One array, so that an index on the id serves: a CLF's VOs and their SHGs are two steps down, and there is no third.
    key, vos, shgs = next(iter(institutions.primary_key)).name, institutions.alias(), institutions.alias()
    mapped = select(func.unnest(literal(list(caller.institutions), ARRAY(Uuid))))
    children = select(vos.c[key]).where(among(vos.c.parent_id, caller.institutions))
    grandchildren = select(shgs.c[key]).join(vos, vos.c[key] == shgs.c.parent_id).where(among(vos.c.parent_id, caller.institutions))
    return institution_id == any_(func.array(union_all(mapped, children, grandchildren).scalar_subquery()))
