"""After the database came back from a backup: codes that were issued since are on paper in the villages."""

from datetime import UTC, datetime, timedelta

from sqlalchemy import Connection, func, select, text

from services.chassis.audit import audit
from services.profiles.tables import serials

# As if the largest state enrolled all its women, 1.4 crore, within a month: no state issues more codes in a day.
SERIALS_A_DAY = 5 * 10**5


def settle(connection: Connection, epochs_gone: int) -> None:
    """Go on beyond all codes that can have been issued since the last word that the database knows.

    Each epoch since then counts for a day more, for it may have begun and ended within one.
    """
    now = datetime.now(UTC)
    last_word = connection.execute(select(func.max(audit.c.at))).scalar_one() or now
    days = (now - last_word) // timedelta(days=1) + 1
    for serial in serials.values():
        connection.execute(
            text(f"select setval('{serial.name}', last_value + :ahead) from {serial.name}"),  # noqa: S608 - our own name
            {"ahead": SERIALS_A_DAY * (days + epochs_gone)},
        )
