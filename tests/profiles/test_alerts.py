"""Whom the books' loans concern: her number goes to identity, once, and to nobody else."""

from datetime import UTC, datetime

import pytest
from sqlalchemy import delete, select, update

from protos.common_pb2 import Envelope
from protos.profiles_pb2 import LoanAlertDue
from protos.transactions_pb2 import LoanBooked
from services.chassis import broker
from services.chassis.hears import hearings, run_new
from services.chassis.mailbox import inbox, outbox
from services.chassis.settings import services as all_services
from services.kernel.ids import derived, uuid7
from services.profiles import consumer
from services.profiles.rules.alert import Outcome, reached
from services.profiles.tables import institutions
from tests.profiles.builders import SERVICE, TODAY, approve, emptied, enrol, events, live_at_once, new_shg, phone, screen, submit

pytestmark = pytest.mark.usefixtures("land")

[HEARING] = [one for one in hearings(SERVICE) if one.event == "LoanBooked"]
APPROVED_AT = datetime(2026, 11, 20, 9, 30, tzinfo=UTC)


@pytest.fixture
def connection(connection):
    return emptied(connection)


@pytest.fixture
def shg(connection):
    shg_id, maker = new_shg(connection)
    live_at_once(connection, shg_id)
    connection.execute(update(institutions).where(institutions.c.id == shg_id).values(code="S091"))
    return shg_id, maker


def booked(member_id, shg_id, loan_id=None):
    """As the relay of the books publishes it."""
    loan_id = loan_id or uuid7()
    message = LoanBooked(loan_id=str(loan_id), member_id=str(member_id), institution_id=str(shg_id), principal_paise=60_00, given_on="2026-11-18")
    envelope = Envelope(source="transactions", event="LoanBooked", subject=str(loan_id), sequence=1, body=message.SerializeToString())
    envelope.event_id = str(derived("LoanBooked", loan_id))
    envelope.occurred_at.FromDatetime(APPROVED_AT)
    return envelope


def hear(connection, *envelopes):
    return run_new(HEARING, consumer.Consumer(), connection, envelopes)


def due(connection):
    return [LoanAlertDue.FromString(one.body) for one in events(connection, "LoanAlertDue")]


def counted(outcome):
    return consumer.ALERTS.labels(outcome)._value.get()


def test_her_number_goes_to_identity_with_the_loan_and_no_name(connection, shg):
    shg_id, maker = shg
    member_id = enrol(connection, maker, shg_id).row.id
    before = counted("told")
    came = booked(member_id, shg_id)
    assert hear(connection, came) == 1
    [event] = events(connection, "LoanAlertDue")
    assert (event.subject, event.event_id, event.occurred_at) == (came.subject, derived("LoanAlertDue", came.subject), APPROVED_AT)
    plain = {"loan_id": came.subject, "principal_paise": 60_00, "given_on": "2026-11-18", "member_id": str(member_id)}
    assert due(connection) == [LoanAlertDue(**plain, mobile="6000917401", institution_code="S091")]
    assert b"Sunita" not in event.body
    assert [route.hearer for route in broker.routes(all_services()) if route.event == "LoanAlertDue"] == ["identity"]
    assert counted("told") == before + 1


def test_a_loan_told_three_times_and_long_after_once_more_is_one_event(connection, shg):
    shg_id, maker = shg
    came = booked(enrol(connection, maker, shg_id).row.id, shg_id)
    assert [hear(connection, came, came), hear(connection, came)] == [1, 0]
    assert len(due(connection)) == 1
    connection.execute(delete(inbox).where(inbox.c.source == "transactions"))
    hear(connection, came)
    ids = connection.execute(select(outbox.c.event_id).where(outbox.c.event == "LoanAlertDue")).scalars().all()
    assert len(set(ids)) == 1, "as known to identity as the first"


def test_who_has_no_phone_or_wants_no_messages_is_not_told_and_counted(connection, shg):
    shg_id, maker = shg
    before = {outcome: counted(outcome) for outcome in Outcome}
    for said in ({"phones": []}, {"messages_refused": "YES"}):
        hear(connection, booked(enrol(connection, maker, shg_id, **said).row.id, shg_id))
    hear(connection, booked(uuid7(), shg_id))
    assert due(connection) == []
    assert {outcome: counted(outcome) - before[outcome] for outcome in Outcome} == {Outcome.TOLD: 0, Outcome.REFUSED: 1, Outcome.NO_PHONE: 2}


def test_what_waits_for_a_checker_counts_once_she_let_it_in(connection, shg):
    shg_id, maker = shg
    made = enrol(connection, maker, shg_id)
    waits = submit(connection, maker, shg_id, made.row.id, 2, messages_refused="YES")
    hear(connection, booked(made.row.id, shg_id))
    assert [one.mobile for one in due(connection)] == ["6000917401"]
    screen(connection, waits)
    approve(connection, made.row.id, 2)
    hear(connection, booked(made.row.id, shg_id))
    assert len(due(connection)) == 1


def test_messages_go_to_the_phone_that_is_for_them_and_in_use():
    other, ended = phone("6000917402", is_default=""), phone("6000917403", ended_on=TODAY.isoformat())
    del other["is_default"]
    assert reached({"phones": [other, ended, phone("6000917401")]}) == (Outcome.TOLD, "6000917401")
    assert reached({"phones": [other, ended]}) == (Outcome.NO_PHONE, "")
