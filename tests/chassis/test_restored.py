"""After a restore: what was with the broker alone goes out again, and nothing of the time that is gone can be used twice."""

import uuid
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import create_engine, text

from deploy.machine import postgres
from services.chassis import restored
from services.profiles.commands.restored import SERIALS_A_DAY

SERVICES = ["identity", "profiles", "transactions", "dedup", "reporting"]
NOW = datetime.now(UTC)


@pytest.fixture
def administrator(up):
    """The database as an administrator has it; whatever the test does is rolled back."""
    url = postgres.admin_url(up.layout, up.instances["UP"].database).replace("postgresql:", "postgresql+psycopg:", 1)
    engine = create_engine(url)
    with engine.connect() as opened:
        transaction = opened.begin()
        serials = {kind: one(opened, f"select last_value from profiles.{kind}_serial") for kind in ("member", "shg", "vo", "clf")}
        yield opened
        transaction.rollback()
        for kind, serial in serials.items():  # A sequence is not rolled back with the transaction.
            opened.execute(text(f"select setval('profiles.{kind}_serial', :serial)"), {"serial": serial})
    engine.dispose()


def tell(connection, event, *, sent=True, to=None):
    """An event in transactions' or profiles' outbox; its id."""
    event_id = uuid.uuid4()
    source = "transactions" if event == "MeetingApproved" else "profiles"
    connection.execute(
        text(
            f"insert into {source}.outbox (event_id, event, subject, version, occurred_at, request_id, body, destination, sequence, refusals,"
            " sent_at) values (:id, :event, 's', 1, now(), '', '', :to, 7, 3, :sent)"
        ),
        {"id": event_id, "event": event, "to": to, "sent": NOW if sent else None},
    )
    return event_id


def hear(connection, hearer, source, event_id):
    connection.execute(text(f"insert into {hearer}.inbox (source, event_id, sequence) values (:source, :id, 7)"), {"source": source, "id": event_id})


def waits(connection, source, event_id):
    """Whether the relay will take it, under the sequence that it had."""
    row = connection.execute(text(f"select sent_at, refusals, sequence from {source}.outbox where event_id = :id"), {"id": event_id}).one()
    return row.sent_at is None and row.refusals == 0 and row.sequence == 7


def test_what_was_sent_and_not_heard_by_all_goes_out_again_and_nothing_else(administrator):
    unheard, heard = tell(administrator, "MeetingApproved"), tell(administrator, "MeetingApproved")
    hear(administrator, "reporting", "transactions", heard)
    half, whole = tell(administrator, "MemberChanged"), tell(administrator, "MemberChanged")
    hear(administrator, "reporting", "profiles", half)
    for hearer in ("identity", "reporting", "transactions"):
        hear(administrator, hearer, "profiles", whole)
    to_one = tell(administrator, "MemberChanged", to="reporting")
    hear(administrator, "reporting", "profiles", to_one)
    parked = tell(administrator, "MeetingApproved")
    administrator.execute(
        text("insert into reporting.parked (source, event, event_id, envelope, error) values ('transactions', 'MeetingApproved', :id, '', 'bug')"),
        {"id": parked},
    )
    restored.settle(administrator, SERVICES, "a backup", "IUP_OPERATOR")
    assert [waits(administrator, "transactions", one) for one in (unheard, heard, parked)] == [True, False, False]
    assert [waits(administrator, "profiles", one) for one in (half, whole, to_one)] == [True, False, False]


def one(connection, query):
    return connection.execute(text(query)).scalar_one()


def test_the_epoch_grows_in_every_service_once_a_backup_and_beyond_what_anybody_saw(administrator):
    before = one(administrator, "select max(epoch) from identity.epochs")
    assert restored.settle(administrator, SERVICES, "first", "IUP_OPERATOR") == before + 1
    assert restored.settle(administrator, SERVICES, "first", "IUP_OPERATOR") is None
    assert restored.settle(administrator, SERVICES, "second", "IUP_OPERATOR", above=before + 6) == before + 7
    for service in SERVICES:
        assert one(administrator, f"select max(epoch) from {service}.epochs") == before + 7
        assert one(administrator, f"select count(*) from {service}.epochs where queues_made_at is null") == 2
        assert one(administrator, f"select facts->>'backup' from {service}.audit order by id desc limit 1") == "second"


@pytest.mark.parametrize(("hours_gone", "epochs_gone"), [(1, 1), (1, 3), (60, 1), (60, 2)])
def test_codes_go_on_beyond_all_that_can_have_been_issued_since(administrator, hours_gone, epochs_gone):
    """Also where an epoch in between has gone beyond the same backup already, and issued codes all the time."""
    administrator.execute(text("truncate profiles.audit"))
    last_word = "insert into profiles.audit (at, user_id, role, action, subjects, facts, request_id) values (:at, '', '', 'toy', '[]', '{}', '')"
    administrator.execute(text(last_word), {"at": NOW - timedelta(hours=hours_gone)})
    before = one(administrator, "select max(epoch) from profiles.epochs")
    serial = one(administrator, "select nextval('profiles.member_serial')")
    restored.settle(administrator, SERVICES, "a backup", "IUP_OPERATOR", above=before + epochs_gone - 1)
    gone = {1: 1, 60: 3}[hours_gone] + epochs_gone
    assert one(administrator, "select nextval('profiles.member_serial')") == serial + gone * SERIALS_A_DAY + 1


def test_an_e_kyc_under_way_ends(administrator):
    for confirmed in (None, NOW):
        administrator.execute(
            text(
                "insert into identity.kycs (kyc_id, member_id, reference, provider_txn, user_id, consented_at, expires_at, tries, confirmed_at)"
                " values (gen_random_uuid(), gen_random_uuid(), gen_random_uuid(), 'toy', 'IUP_X', now(), :ends, 0, :confirmed)"
            ),
            {"ends": NOW + timedelta(minutes=9), "confirmed": confirmed},
        )
    restored.settle(administrator, SERVICES, "a backup", "IUP_OPERATOR")
    assert one(administrator, "select count(*) from identity.kycs where provider_txn = 'toy' and expires_at > now()") == 1


def test_an_effect_that_waited_is_not_tried_again_by_itself(administrator, monkeypatch):
    from services.chassis import work
    from services.chassis.jobs import Job

    sms = Job("send_sms", lambda *_: None, effect=True)
    monkeypatch.setattr(work, "jobs_of", lambda _service: {"send_sms": sms})
    for name in ("send_sms", "seal_audit_of_toys"):
        administrator.execute(text("insert into identity.jobs (name, key, run_at) values (:name, 'toy', now())"), {"name": name})
    restored.settle(administrator, SERVICES, "a backup", "IUP_OPERATOR")
    begun = administrator.execute(text("select name, begun from identity.jobs where key = 'toy' order by name")).all()
    assert begun == [("seal_audit_of_toys", False), ("send_sms", True)]
