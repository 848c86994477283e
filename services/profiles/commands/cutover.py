"""From which day on a block enters here, and no more on the old MIS (domain 12: no entry there from then on)."""

from collections.abc import Sequence
from datetime import date

from sqlalchemy import Connection, delete, select
from sqlalchemy.dialects.postgresql import insert

from services.chassis import audit
from services.kernel.caller import Caller
from services.kernel.errors import Conflict
from services.kernel.region import Level, at_level
from services.profiles.tables import cutovers


def days(connection: Connection) -> dict[str, date]:
    """The day of each block that has one."""
    return {row.block: row.on for row in connection.execute(select(cutovers).order_by(cutovers.c.block))}


def set_day(connection: Connection, caller: Caller, block: str, on: date) -> None:
    """Have a block enter here from that day on, in place of the day that it had."""
    made = insert(cutovers).values(block=block, on=on)
    connection.execute(made.on_conflict_do_update(index_elements=["block"], set_={"on": made.excluded.on}))
    audit.changed(connection, caller, "cutover.set", block, on=on.isoformat())


def forget_day(connection: Connection, caller: Caller, block: str) -> None:
    """A block that never had another system, and was given a day by mistake."""
    connection.execute(delete(cutovers).where(cutovers.c.block == block))
    audit.changed(connection, caller, "cutover.forget", block)


def follow(connection: Connection, caller: Caller, block: str, heirs: Sequence[str]) -> None:
    """Give a block's day to what the block is now; where one of these has a day already, that holds."""
    on = connection.execute(delete(cutovers).where(cutovers.c.block == block).returning(cutovers.c.on)).scalar_one_or_none()
    if on is None:  # Another has done it meanwhile.
        return
    made = insert(cutovers).values([{"block": heir, "on": on} for heir in heirs])
    connection.execute(made.on_conflict_do_nothing(index_elements=["block"]))
    audit.changed(connection, caller, "cutover.follow", block, *heirs, on=on.isoformat())


def must_be_cut_over(connection: Connection, region: str, today: date) -> None:
    """Refuse what is handed in for a block that still enters on the old MIS."""
    of_block = select(cutovers.c.on).where(cutovers.c.block == at_level(region, Level.BLOCK), cutovers.c.on > today)
    on = connection.execute(of_block).scalar_one_or_none()
    if on:
        raise Conflict("NOT_CUT_OVER", "This block enters here from {on} on; until then enter on the old MIS.", on=on.isoformat())


def must_not_be_cut_over(days: dict[str, date], region: str, today: date) -> None:
    """Refuse a row of the old MIS for a block that enters here by now."""
    on = days.get(at_level(region, Level.BLOCK))
    if on and on <= today:
        raise Conflict("CUT_OVER", "This block enters here since {on}; what has changed since is handed in here.", on=on.isoformat())
