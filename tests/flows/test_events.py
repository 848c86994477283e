"""Events over the real broker: thrice is once, a poison one stands aside, a late hearer has lost nothing."""

import time

import pika
import pytest

from deploy.demo import books
from deploy.demo.cast import run_in
from services.reporting import rules
from tests.flows.world import database, figures, hold_meeting, known, make_groups

pytestmark = [pytest.mark.flow, pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def groups(world):
    return make_groups(world, world.up, 2)


def settled(state, measure, value):
    books.wait_until(f"{measure} is {value}", lambda: figures(state)[measure] == value)


def test_an_event_delivered_three_times_counts_once(world, groups):
    before = figures(world.up)["meetings_held"]
    meeting_id = hold_meeting(groups[0])
    settled(world.up, "meetings_held", before + 1)
    with database(world.up, "transactions") as outbox, database(world.up, "reporting") as inbox:
        for _ in range(2):
            # As after a crash between publishing and marking: the relay sends it again.
            outbox.execute("update outbox set sent_at = null where subject = %s", [meeting_id])
            books.wait_until(
                "the relay sent it again",
                lambda: outbox.execute("select 1 from outbox where subject = %s and sent_at is not null", [meeting_id]).fetchone(),
            )
        # Another one behind it on the same queue: when that is in, the repetitions have been heard too.
        hold_meeting(groups[0])
        settled(world.up, "meetings_held", before + 2)
        event_id = outbox.execute("select event_id from outbox where subject = %s", [meeting_id]).fetchone()
        assert inbox.execute("select count(*) from inbox where event_id = %s", event_id).fetchone() == (1,)


@pytest.mark.parametrize(
    ("service", "table"),
    [("reporting", "figures"), ("transactions", "institutions")],
    ids=["in micro-batches", "one at a time"],
)
def test_a_handler_bug_parks_one_event_while_the_next_still_lands_and_replay_hands_it_back(world, service, table):
    """The bug: a constraint that the handler trips over for one village, in the hearer's own table."""
    first, second = make_groups(world, world.up, 2)
    assert first.region != second.region
    with database(world.up, service) as hearer:
        if service == "reporting":
            # Of meetings held: nothing but the parked event moves that, so that nothing else is parked beside it.
            bug = f"region <> '{first.region}' or measure <> {rules.MEETINGS_HELD.number}"
            hearer.execute(f"alter table {table} add constraint bug check ({bug}) not valid")
            before = figures(world.up)["meetings_held"]
            parked_event = "MeetingApproved"
        else:
            hearer.execute(f"delete from {table} where institution_id = %s", [first.institution_id])
            hearer.execute(f"alter table {table} add constraint bug check (institution_id <> '{first.institution_id}') not valid")
            parked_event = "InstitutionChanged"
        try:
            if service == "reporting":
                hold_meeting(first)
                hold_meeting(second)
                settled(world.up, "meetings_held", before + 1)
            else:
                with database(world.up, "profiles") as outbox:
                    outbox.execute(
                        "update outbox set sent_at = null, event_id = gen_random_uuid(), sequence = null"
                        " where id in (select max(id) from outbox where event = 'InstitutionChanged' and subject = %s)",
                        [first.institution_id],
                    )
            parked = "select count(*) from parked where event = %s and replayed_at is null"
            books.wait_until("the event is parked", lambda: hearer.execute(parked, [parked_event]).fetchone() == (1,))
        finally:
            hearer.execute(f"alter table {table} drop constraint bug")
        assert "1 handled, 0 still parked" in run_in(world.up.instance, "services.chassis.replay", service)
        assert hearer.execute(parked, [parked_event]).fetchone() == (0,)
    if service == "reporting":
        settled(world.up, "meetings_held", before + 2)
    assert known(first)
    hold_meeting(first)


def test_a_hearer_that_starts_late_has_lost_nothing(world, groups):
    """Its queue was declared before it ever ran, and keeps what it has not heard."""
    before = books.wait_until("the figures stand still", lambda: steady(world.up))["meetings_held"]
    for program in ("up-drain", "up-consume"):
        world.machine.stop(program)
    try:
        for group in groups:
            hold_meeting(group)
        assert figures(world.up)["meetings_held"] == before
    finally:
        for program in ("up-drain", "up-consume"):
            world.machine.start(program)
            world.machine.wait_well(program)
    settled(world.up, "meetings_held", before + 2)


def test_an_undecodable_body_ends_in_parked_and_the_queue_goes_on(world, groups):
    for service, queue, exchange in (
        ("reporting", "reporting.transactions.MeetingApproved", "transactions.events"),
        ("transactions", "transactions.profiles.MemberChanged", "profiles.events"),
    ):
        garbage = f"not an envelope for {queue}".encode()
        with pika.BlockingConnection(pika.URLParameters(world.up.instance.env["MIGRATE_AMQP_URL"])) as connection:
            properties = pika.BasicProperties(content_type="application/x-lokos-event", content_encoding="binary", delivery_mode=2)
            connection.channel().basic_publish(exchange, queue.rpartition(".")[2], garbage, properties)
        with database(world.up, service) as hearer:
            error = books.wait_until(
                "the body is parked",
                lambda find=hearer.execute, body=garbage: find("select error from parked where envelope = %s", [body]).fetchone(),
            )
            assert error[0].startswith("dead letter")
            hearer.execute("delete from parked where envelope = %s", [garbage])
    before = figures(world.up)["meetings_held"]
    hold_meeting(groups[1])
    settled(world.up, "meetings_held", before + 1)


def test_a_full_queue_refuses_and_the_event_waits_in_its_outbox(world, groups):
    """Bounded queues lose nothing: the broker says no to the relay, which tries again until there is room."""
    before = books.wait_until("the figures stand still", lambda: steady(world.up))["meetings_held"]
    with pika.BlockingConnection(pika.URLParameters(world.up.instance.env["MIGRATE_AMQP_URL"])) as connection:
        channel = connection.channel()
        channel.queue_declare("full", durable=True, arguments={"x-max-length": 0, "x-overflow": "reject-publish"})
        channel.queue_bind("full", "transactions.events", "MeetingApproved")
        try:
            meeting_id = hold_meeting(groups[0])
            settled(world.up, "meetings_held", before + 1)  # The reporting queue has room, and takes it each time.
            with database(world.up, "transactions") as outbox:
                unsent = "select 1 from outbox where subject = %s and sent_at is null and sequence is not null"
                time.sleep(5)
                assert outbox.execute(unsent, [meeting_id]).fetchone()
                channel.queue_delete("full")
                books.wait_until("it is sent", lambda: not outbox.execute(unsent, [meeting_id]).fetchone())
        finally:
            channel.queue_delete("full")
    hold_meeting(groups[0])
    settled(world.up, "meetings_held", before + 2)


def test_figures_rebuilt_from_what_the_services_know_are_the_same(world, groups):
    hold_meeting(groups[0])
    with database(world.up, "transactions") as books_kept:
        books.wait_until("all is told", lambda: books_kept.execute("select 1 from outbox where sent_at is null").fetchone() is None)
    before = books.wait_until("the figures stand still", lambda: steady(world.up))
    run_in(world.up.instance, "services.reporting", "rebuild")
    for owner in ("identity", "profiles", "transactions"):
        run_in(world.up.instance, f"services.{owner}", "restate", "--to", "reporting")
    books.wait_until("the figures are as they were", lambda: figures(world.up) == before)


def steady(state):
    first = figures(state)
    time.sleep(1.5)
    return first if figures(state) == first else None
