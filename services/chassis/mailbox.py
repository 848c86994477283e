"""Outbox, inbox and parked events: what makes an event sent at least once count exactly once."""

import uuid
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from uuid import UUID

from google.protobuf.message import DecodeError, Message
from sqlalchemy import (
    BigInteger,
    Column,
    Connection,
    DateTime,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    Uuid,
    delete,
    func,
    insert,
    select,
    text,
    update,
)
from sqlalchemy import (
    Sequence as DatabaseSequence,
)
from sqlalchemy.dialects import postgresql

from protos.common_pb2 import Envelope
from services.chassis.logs import describe, request_id

CONTENT_TYPE = "application/x-lokos-event"
OUTBOX_KEPT = timedelta(days=14)
# Longer than the outbox is kept: what could still come twice is still known.
INBOX_KEPT = timedelta(days=30)

metadata = MetaData()

outbox_sequence = DatabaseSequence("outbox_sequence", metadata=metadata)

outbox = Table(
    "outbox",
    metadata,
    Column("id", BigInteger, primary_key=True, autoincrement=True),
    Column("event_id", Uuid, nullable=False),
    Column("event", Text, nullable=False),
    Column("subject", Text, nullable=False),
    Column("version", BigInteger, nullable=False),
    Column("occurred_at", DateTime(timezone=True), nullable=False),
    Column("request_id", Text, nullable=False),
    Column("body", LargeBinary, nullable=False),
    Column("destination", Text),  # A hearer, where the event is restated for that one alone.
    Column("sequence", BigInteger),  # Given by the relay when it publishes.
    Column("refusals", Integer, nullable=False, server_default="0"),  # How often the broker would not take it,
    Column("not_before", DateTime(timezone=True)),  # and so when to try again.
    Column("sent_at", DateTime(timezone=True)),
)
Index("outbox_unsent", outbox.c.id, postgresql_where=outbox.c.sent_at.is_(None))
Index("outbox_sent", outbox.c.sent_at, postgresql_where=outbox.c.sent_at.is_not(None))

inbox = Table(
    "inbox",
    metadata,
    Column("source", Text, primary_key=True),
    Column("event_id", Uuid, primary_key=True),
    Column("sequence", BigInteger, nullable=False),
    Column("heard_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
)
Index("inbox_heard", inbox.c.heard_at)

# What was pruned from the inbox: every event of the source up to this sequence has been heard, and every delta that
# occurred before this moment is in, so that one restated long after is not added again. A rebuilding empties it.
inbox_pruned = Table(
    "inbox_pruned",
    metadata,
    Column("source", Text, primary_key=True),
    Column("through", BigInteger, nullable=False),
    Column("before", DateTime(timezone=True), nullable=False),
)

parked = Table(
    "parked",
    metadata,
    Column("id", BigInteger, primary_key=True, autoincrement=True),
    Column("source", Text, nullable=False),
    Column("event", Text, nullable=False),
    Column("event_id", Uuid, nullable=False),
    Column("envelope", LargeBinary, nullable=False),
    Column("error", Text, nullable=False),
    Column("parked_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    Column("replayed_at", DateTime(timezone=True)),
    Index("parked_once", "source", "event_id", unique=True),
)


def tell(
    connection: Connection,
    message: Message,
    *,
    subject: object,
    version: int,
    event_id: UUID | None = None,
    occurred_at: datetime | None = None,
    to: str | None = None,
) -> None:
    """Put an event into the outbox, in the caller's own transaction.

    A state gives its subject's version and leaves the id to chance. A delta gives an id derived from its subject
    (kernel.ids.derived), so that telling it again, as a restatement does, counts once. `to` names one hearer.
    """
    connection.execute(insert(outbox).values(outbox_row(message, subject, version, event_id, occurred_at, to)))


def outbox_row(
    message: Message,
    subject: object,
    version: int,
    event_id: UUID | None = None,
    occurred_at: datetime | None = None,
    to: str | None = None,
) -> dict[str, object]:
    """The outbox row of an event, for a writer that stores many in one statement."""
    return {
        "event_id": event_id or uuid.uuid4(),
        "event": message.DESCRIPTOR.name,
        "subject": str(subject),
        "version": version,
        "occurred_at": occurred_at or datetime.now(UTC),
        "request_id": request_id.get(),
        "body": message.SerializeToString(deterministic=True),
        "destination": to,
    }


def open_envelope(raw: bytes) -> Envelope:
    """The envelope that came off the wire; DecodeError or ValueError where it is none."""
    envelope = Envelope.FromString(raw)
    if not envelope.source or not envelope.event:
        raise DecodeError("an envelope names its source and event")
    UUID(envelope.event_id)
    return envelope


# In the order of the key, so that two hearers that note the same events wait for each other and never for a deadlock.
_NOTE = text(
    "insert into inbox (source, event_id, sequence)"
    " select distinct on (source, event_id) source, event_id, sequence"
    " from unnest(cast(:sources as text[]), cast(:ids as uuid[]), cast(:sequences as bigint[]), cast(:restated as timestamptz[]))"
    "   as came (source, event_id, sequence, restated)"
    " where :replayed or not exists ("
    "   select from inbox_pruned p where p.source = came.source and (p.through >= came.sequence or p.before > came.restated))"
    " order by source, event_id on conflict do nothing returning source, event_id",
)


def unheard(connection: Connection, envelopes: Sequence[Envelope], *, replayed: bool = False) -> list[Envelope]:
    """Note the events in the inbox and give back those that were not in it; run in the handler's own transaction.

    A replayed event was parked, which the pruning never takes for heard, however long ago it came.
    """
    noted = connection.execute(
        _NOTE,
        {
            "sources": [e.source for e in envelopes],
            "ids": [UUID(e.event_id) for e in envelopes],
            "sequences": [e.sequence for e in envelopes],
            "replayed": replayed,
            "restated": [e.occurred_at.ToDatetime(UTC) if e.restated else None for e in envelopes],
        },
    )
    new = {(source, event_id) for source, event_id in noted}
    first = {(e.source, UUID(e.event_id)): e for e in envelopes}
    return [envelope for key, envelope in first.items() if key in new]


def park(connection: Connection, source: str, event: str, raw: bytes, error: BaseException | str) -> None:
    """Keep an event that could not be handled until `make replay` hands it back; once, however often it comes."""
    try:
        event_id = UUID(open_envelope(raw).event_id)
    except (DecodeError, ValueError):
        event_id = uuid.uuid5(uuid.NAMESPACE_OID, raw.hex())
    words = error if isinstance(error, str) else describe(error)
    values = {"source": source, "event": event, "event_id": event_id, "envelope": raw, "error": words[:500]}
    # One that was replayed and, after a rebuilding, comes and fails again is parked again.
    again = {"envelope": raw, "error": words[:500], "parked_at": func.now(), "replayed_at": None}
    connection.execute(
        postgresql.insert(parked)
        .values(values)
        .on_conflict_do_update(index_elements=["source", "event_id"], set_=again, where=parked.c.replayed_at.is_not(None)),
    )


def prune(connection: Connection, now: datetime, restored_at: datetime | None = None) -> None:
    """Forget what was sent and heard long ago; what is pruned from the inbox stays known by its sequence.

    After a restore, of `restored_at`, the inbox is kept for as long again: events of the time of the backup are on their way once
    more, and one with a lower sequence than another that was heard must not be taken for heard.
    """
    connection.execute(delete(outbox).where(outbox.c.sent_at < now - OUTBOX_KEPT))
    # A parked event that came again and was handled needs no replaying; said while the inbox still knows it.
    came_again = (inbox.c.source == parked.c.source) & (inbox.c.event_id == parked.c.event_id) & parked.c.replayed_at.is_(None)
    connection.execute(update(parked).where(came_again).values(replayed_at=func.now()))
    before = now - INBOX_KEPT
    connection.execute(delete(parked).where(parked.c.replayed_at < before))
    if restored_at and restored_at > before:
        return
    old = inbox.c.heard_at < before
    marks = connection.execute(select(inbox.c.source, func.max(inbox.c.sequence)).where(old).group_by(inbox.c.source)).all()
    for source, through in marks:
        statement = postgresql.insert(inbox_pruned).values(source=source, through=through, before=before)
        connection.execute(
            statement.on_conflict_do_update(
                index_elements=["source"], set_={"through": func.greatest(inbox_pruned.c.through, through), "before": before}
            ),
        )
    connection.execute(delete(inbox).where(old))


def waiting(connection: Connection) -> tuple[int, float]:
    """How many events wait to be sent (counted to 10,000), and the age in seconds of the oldest."""
    count, age = connection.execute(
        text(
            "select count(*), coalesce(extract(epoch from now() - min(occurred_at)), 0) from"
            " (select occurred_at from outbox where sent_at is null order by id limit 10000) as waiting",
        ),
    ).one()
    return int(count), float(age)
