"""After the database came back from a backup: codes that were issued since are on paper in the villages."""

from sqlalchemy import Connection, text

from services.profiles.tables import serials

# More than there are women in any state's groups (1.4 crore), so that whatever was issued since the backup lies below, and
# the nine digits of a serial are enough for some fifty restores.
SERIALS_SKIPPED = 2 * 10**7


def settle(connection: Connection, epochs_gone: int) -> None:
    """Go on beyond all codes that any of the epochs since the backup can have issued."""
    for serial in serials.values():
        connection.execute(
            text(f"select setval('{serial.name}', last_value + :ahead) from {serial.name}"),  # noqa: S608 - our own name
            {"ahead": SERIALS_SKIPPED * epochs_gone},
        )
