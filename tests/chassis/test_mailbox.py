"""What makes an event sent at least once count exactly once."""

import uuid
from datetime import UTC, datetime, timedelta

import pytest
from google.protobuf.message import DecodeError
from prometheus_client import REGISTRY
from sqlalchemy import delete, insert, select, update

from protos.common_pb2 import Envelope
from protos.profiles_pb2 import MemberDecided
from services.chassis import database, mailbox
from services.chassis.hears import DatabaseAway, Hearing, handle, hears, run_new, show_at_zero
from services.kernel.errors import busy
from services.kernel.ids import derived

SERVICE = "profiles"


def envelope(sequence=1, **changes):
    plain = {
        "event_id": str(uuid.uuid4()),
        "source": "toy",
        "event": "MemberDecided",
        "sequence": sequence,
        "subject": "s",
        "version": 1,
        "body": MemberDecided(member_id="m").SerializeToString(),
    }
    return Envelope(**{**plain, **changes})


class Toy:
    """A consumer that notes what it hears, and breaks on what it is told to."""

    def __init__(self):
        self.heard = []
        self.waits = False

    @hears("toy", MemberDecided)
    def decided(self, _connection, event):
        if self.waits:
            raise busy()
        if event.subject == "poison":
            raise ValueError(event.subject)
        self.heard.append(event.subject)

    @hears("toy", MemberDecided, batched=True)
    def many(self, connection, events):
        for event in events:
            self.decided(connection, event)


HEARING = Hearing(SERVICE, "toy", MemberDecided, "decided", batched=False)
BATCHED = Hearing(SERVICE, "toy", MemberDecided, "many", batched=True)


def test_an_event_is_new_once(connection):
    one, two = envelope(1), envelope(2)
    assert mailbox.unheard(connection, [one, one]) == [one]
    assert mailbox.unheard(connection, [one, two]) == [two]


@pytest.mark.parametrize("hearing", [HEARING, BATCHED])
def test_the_lag_is_the_age_of_what_came_and_is_not_handled(request, up, hearing):
    request.addfinalizer(forget_toys)

    def lag():
        return REGISTRY.get_sample_value("lokos_events_lag_seconds", {"service": SERVICE, "event": "MemberDecided"})

    show_at_zero(hearing)
    assert lag() == 0
    events = [envelope(number, subject="a", occurred_at=datetime.now(UTC) - timedelta(minutes=number)) for number in (1, 2)]
    # As old as what it tells, and not late for that.
    events.append(envelope(3, subject="a", occurred_at=datetime.now(UTC) - timedelta(days=100), restated=True))
    toy = Toy()
    toy.waits = True
    with pytest.raises(DatabaseAway):
        handle(hearing, toy, events)
    assert 120 <= lag() < 180
    toy.waits = False
    handle_all(hearing, toy, events)
    assert lag() == 0


@pytest.mark.parametrize("hearing", [HEARING, BATCHED])
def test_a_repeated_event_is_handled_once(connection, hearing):
    toy, one = Toy(), envelope(subject="a")
    assert run_new(hearing, toy, connection, [one]) == 1
    assert run_new(hearing, toy, connection, [one, one]) == 0
    assert toy.heard == ["a"]


def test_what_was_pruned_stays_known_and_what_is_newer_does_not(connection):
    old, new = envelope(7), envelope(8)
    mailbox.unheard(connection, [old])
    long_ago = datetime.now(UTC) - mailbox.INBOX_KEPT - timedelta(days=1)
    connection.execute(update(mailbox.inbox).where(mailbox.inbox.c.source == "toy").values(heard_at=long_ago))
    mailbox.prune(connection, datetime.now(UTC))
    assert connection.execute(select(mailbox.inbox).where(mailbox.inbox.c.source == "toy")).all() == []
    assert mailbox.unheard(connection, [old, new]) == [new]


def test_a_delta_restated_after_its_inbox_row_was_pruned_is_known_by_its_time(connection):
    long_ago = datetime.now(UTC) - mailbox.INBOX_KEPT - timedelta(days=1)
    delta = envelope(7)
    delta.occurred_at.FromDatetime(long_ago)
    mailbox.unheard(connection, [delta])
    connection.execute(update(mailbox.inbox).where(mailbox.inbox.c.source == "toy").values(heard_at=long_ago))
    mailbox.prune(connection, datetime.now(UTC))
    again = Envelope()
    again.CopyFrom(delta)
    again.sequence, again.restated = 900, True
    assert mailbox.unheard(connection, [again]) == []
    connection.execute(delete(mailbox.inbox_pruned))  # As a rebuilding does.
    assert mailbox.unheard(connection, [again]) == [again]


def test_the_outbox_is_pruned_of_what_was_sent_alone(connection):
    told = {"version": 0, "occurred_at": datetime.now(UTC), "request_id": "", "body": b"", "event": "toy", "event_id": uuid.uuid4()}
    long_ago = datetime.now(UTC) - mailbox.OUTBOX_KEPT - timedelta(days=1)
    connection.execute(insert(mailbox.outbox), [{**told, "subject": "sent", "sent_at": long_ago}, {**told, "subject": "unsent", "sent_at": None}])
    mailbox.prune(connection, datetime.now(UTC))
    assert connection.execute(select(mailbox.outbox.c.subject).where(mailbox.outbox.c.event == "toy")).scalars().all() == ["unsent"]


def test_a_told_event_waits_in_the_outbox_under_the_request_that_told_it(connection):
    before, _ = mailbox.waiting(connection)
    mailbox.tell(connection, MemberDecided(member_id="m"), subject="m", version=3, event_id=derived("x", 1))
    row = connection.execute(select(mailbox.outbox).where(mailbox.outbox.c.event_id == derived("x", 1))).one()
    assert (row.event, row.subject, row.version, row.destination, row.sent_at) == ("MemberDecided", "m", 3, None, None)
    assert mailbox.waiting(connection)[0] == before + 1


@pytest.mark.parametrize("raw", [b"", b"\xff\xff", b"not an envelope", Envelope(source="a").SerializeToString()])
def test_what_is_no_envelope_is_not_opened(raw):
    with pytest.raises((DecodeError, ValueError)):
        mailbox.open_envelope(raw)


@pytest.mark.parametrize("hearing", [HEARING, BATCHED])
def test_a_poison_event_is_parked_alone_and_the_others_land(request, connection, hearing):
    """In transactions of its own, since a parked event must outlive the handler's; so this test cleans up itself."""
    toy = Toy()
    request.addfinalizer(forget_toys)
    events = [envelope(1, subject="before"), envelope(2, subject="poison"), envelope(3, subject="after")]
    handle_all(hearing, toy, events)
    # A batch that broke was tried whole, rolled back, and taken apart.
    assert [subject for subject in toy.heard if subject != "poison"][-2:] == ["before", "after"]
    poison = mailbox.parked.c.event_id == uuid.UUID(events[1].event_id)
    row = connection.execute(select(mailbox.parked).where(poison)).one()
    assert (row.source, row.event, row.error, row.replayed_at) == ("toy", "MemberDecided", "ValueError", None)
    handle_all(hearing, toy, events)
    assert len(connection.execute(select(mailbox.parked).where(poison)).all()) == 1


def test_what_was_parked_is_replayed_however_long_ago_and_is_parked_again_if_it_fails_again(connection):
    old, later = envelope(3), envelope(4)
    mailbox.park(connection, "toy", "MemberDecided", old.SerializeToString(), "ValueError")
    mailbox.unheard(connection, [later])
    long_ago = datetime.now(UTC) - mailbox.INBOX_KEPT - timedelta(days=1)
    connection.execute(update(mailbox.inbox).where(mailbox.inbox.c.source == "toy").values(heard_at=long_ago))
    mailbox.prune(connection, datetime.now(UTC))
    toy = Toy()
    assert run_new(HEARING, toy, connection, [old], replayed=True) == 1
    of_toy = mailbox.parked.c.source == "toy"
    connection.execute(update(mailbox.parked).where(of_toy).values(replayed_at=datetime.now(UTC)))
    mailbox.park(connection, "toy", "MemberDecided", old.SerializeToString(), "KeyError")
    assert connection.execute(select(mailbox.parked.c.error, mailbox.parked.c.replayed_at).where(of_toy)).all() == [("KeyError", None)]


def test_a_parked_event_that_came_again_and_was_handled_needs_no_replaying(connection):
    event = envelope(3)
    mailbox.park(connection, "toy", "MemberDecided", event.SerializeToString(), "ValueError")
    mailbox.unheard(connection, [event])
    mailbox.prune(connection, datetime.now(UTC))
    assert connection.execute(select(mailbox.parked.c.replayed_at).where(mailbox.parked.c.source == "toy")).scalar_one()


def forget_toys():
    with database.transaction(SERVICE) as own:
        for table in (mailbox.inbox, mailbox.parked):
            own.execute(delete(table).where(table.c.source == "toy"))


def handle_all(hearing, toy, events):
    if hearing.batched:
        handle(hearing, toy, events)
    else:
        for event in events:
            handle(hearing, toy, [event])
