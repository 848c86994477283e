"""Hand parked events back to their handlers: python -m services.chassis.replay NAME [NAME...]

Each event in a transaction of its own, with the inbox, so that one that came again meanwhile is not counted twice. What
fails once more stays parked, with its new reason.
"""

import sys

from sqlalchemy import func, select, update

from services.chassis import broker, database, logs, process, settings
from services.chassis.hears import consumer_of, run_new
from services.chassis.mailbox import open_envelope, parked


def replay(service: str) -> tuple[int, int]:
    """Replays all that is parked of one service; returns how many were handled and how many stay."""
    hearings = {(hearing.source, hearing.event): hearing for hearing in broker.routes(settings.services()) if hearing.hearer == service}
    with database.transaction(service) as connection:
        ids = connection.execute(select(parked.c.id).where(parked.c.replayed_at.is_(None)).order_by(parked.c.id)).scalars().all()
    handled = 0
    for row_id in ids:
        try:
            with database.transaction(service) as connection:
                row = connection.execute(select(parked).where(parked.c.id == row_id).with_for_update()).one()
                envelope = open_envelope(row.envelope)
                run_new(hearings[envelope.source, envelope.event], consumer_of(service), connection, [envelope], replayed=True)
                connection.execute(update(parked).where(parked.c.id == row_id).values(replayed_at=func.now()))
            handled += 1
        except Exception as error:  # noqa: BLE001 - whatever it is, the event stays parked
            with database.transaction(service) as connection:
                connection.execute(update(parked).where(parked.c.id == row_id).values(error=logs.describe(error)))
    return handled, len(ids) - handled


def main() -> None:
    services = process.names("replay", __doc__)
    logs.start("replay")
    left = 0
    for service in services:
        handled, stay = replay(service)
        left += stay
        sys.stdout.write(f"{service}: {handled} handled, {stay} still parked\n")
    sys.exit(1 if left else 0)


if __name__ == "__main__":
    main()
