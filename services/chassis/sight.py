"""What keeps a query within a caller's sight."""

from collections.abc import Collection
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Table, Text, Uuid, and_, any_, false, literal, or_, select, true
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
    """Rows of institutions that she sees. `institutions` is the service's own table of them, whose first column is the id."""
    if caller.sight is Sight.REGION:
        return within(region, caller.regions)
    mapped = caller.institutions
    if caller.sight is Sight.MAPPED:
        return among(institution_id, mapped)
    key, above = next(iter(institutions.primary_key)), institutions.c.parent_id
    children = select(key).where(among(above, mapped))
    grandchildren = select(key).where(above.in_(children))
    return or_(among(institution_id, mapped), institution_id.in_(children), institution_id.in_(grandchildren))
