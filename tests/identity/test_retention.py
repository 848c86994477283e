"""Retention: what is over is erased and noted, what is held is not, and the command proves that nothing was forgotten."""

from contextlib import contextmanager, nullcontext
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest
from sqlalchemy import delete, func, insert, select, update

from protos import identity_pb2, profiles_pb2
from services.chassis import audit, database
from services.identity import __main__ as commands_of_operators
from services.identity import jobs, queries
from services.identity.adapters import keys
from services.identity.commands import alert, consent, kyc, retention, vault
from services.identity.consumer import Consumer
from services.identity.keeper.vault import Vault
from services.identity.rules import consent as rules
from services.identity.rules.retention import CLASSES, GRACE
from services.identity.rules.vault import Identity, Purpose
from services.identity.tables import alerts, consents, kycs, members, messages, retention_runs
from services.identity.tables.vault import entries, numbers, uses
from services.kernel.errors import Refused
from services.kernel.ids import uuid7
from services.kernel.policies import RULES
from tests.identity.builders import GIVEN_AT, VILLAGE, give, keeper, number, outbox, withdraw

SERVICE = "identity"
NOW = GIVEN_AT + timedelta(hours=1)
DAY = timedelta(days=1)


def days(policy):
    return RULES[policy].default


@pytest.fixture
def empty(connection):
    """Nothing is kept of anybody, whatever other tests left."""
    for table in (alerts, messages, kycs, consents, members, retention_runs):
        connection.execute(delete(table))
    return connection


@pytest.fixture
def vaulted(up):
    with database.engine("vault").connect() as opened:
        transaction = opened.begin()
        for table in (entries, numbers, uses):
            opened.execute(delete(table))
        yield opened
        transaction.rollback()


@pytest.fixture
def work(empty, vaulted, monkeypatch):
    """The jobs, inside the test's own transactions, at a moment of the test's."""
    opened = {"identity": empty, "vault": vaulted}

    @contextmanager
    def same(service, **_how):
        yield opened[service]

    monkeypatch.setattr(jobs, "database", SimpleNamespace(transaction=same, reading=same))
    monkeypatch.setattr(commands_of_operators, "database", SimpleNamespace(reading=same))
    monkeypatch.setattr(commands_of_operators, "transaction", lambda: same("identity"))

    def run(now, job=jobs.erase_what_is_over, **arguments):
        monkeypatch.setattr(jobs, "datetime", SimpleNamespace(now=lambda _zone: now))
        job.function(SERVICE, arguments)

    return run


class Woman:
    """A member whose number the vault holds, by a consent of hers."""

    def __init__(self, connection, vaulted, caller, shg, number_, at=NOW, member_id=None, **of_consent):
        self.connection, self.vaulted, self.caller = connection, vaulted, caller
        self.agreed = give(connection, caller, shg, member_id=member_id or uuid7(), now=at, **of_consent).given
        self.member_id = self.agreed.member_id
        self.reference = Vault(keys.provider(), lambda: nullcontext(vaulted)).store(number_, Purpose.E_KYC, caller.user_id)
        begun = kyc.start(connection, caller, self.member_id, self.agreed.consent_id, self.reference, "t", at)
        vaulted.execute(update(numbers).where(numbers.c.reference == self.reference).values(stored_at=at))
        vault.prove(vaulted, self.reference)
        kyc.confirm(connection, caller, begun, Identity("ab" * 32, "XXXX XXXX 1234"), 1985, "F", at)

    @property
    def has_number(self):
        return self.vaulted.execute(select(numbers).where(numbers.c.reference == self.reference)).first() is not None

    @property
    def log(self):
        return self.connection.execute(select(kycs).where(kycs.c.member_id == self.member_id)).one_or_none()

    def withdraw(self, now=NOW + DAY):
        return withdraw(self.connection, self.caller, self.agreed.consent_id, now)

    def hear(self, status, version=7, at=NOW + DAY):
        [shg] = self.caller.institutions
        place = {"institution_id": str(shg), "region": VILLAGE}
        body = profiles_pb2.MemberChanged(member_id=str(self.member_id), status=f"STATUS_{status}", **place)
        Consumer().member_changed(self.connection, SimpleNamespace(version=version, body=body, occurred_at=at))


@pytest.fixture
def woman(empty, vaulted):
    caller, shg = keeper(empty)
    return lambda number_=None, **more: Woman(empty, vaulted, caller, shg, number_ or number(), **more)


def let_go(connection):
    """The consents of whom others were told that nothing rests on them any more."""
    told = [identity_pb2.ConsentWithdrawn.FromString(row.body) for row in outbox(connection, "ConsentWithdrawn")]
    return [(one.member_id, one.purpose, list(one.consent_ids)) for one in told]


def audited(connection):
    mine = audit.audit.c.action == "retention.erase", audit.audit.c.at >= func.now()
    return [(row.facts["kept"], row.facts["rows"]) for row in connection.execute(select(audit.audit).where(*mine).order_by(audit.audit.c.id))]


# --- Numbers


def test_who_withdraws_has_her_number_erased_at_once_and_her_log_stays_without_it(empty, work, woman):
    hers, anothers = woman(), woman()
    hers.withdraw()
    assert hers.has_number
    for _ in range(2):  # A job that was cut short comes again.
        work(NOW + DAY, jobs.erase_numbers, member_id=str(hers.member_id))
    assert (hers.has_number, anothers.has_number) == (False, True)
    assert (hers.log.number_erased_at, hers.log.last4, anothers.log.last4) == (NOW + DAY, "", "1234")
    assert audited(empty) == [("NUMBERS", 1)]


def test_a_number_that_serves_another_record_stays_until_that_one_needs_it_no_more(work, woman):
    shared = number()
    first, second = woman(shared), woman(shared)
    assert first.reference == second.reference
    first.withdraw()
    work(NOW + DAY, jobs.erase_numbers, member_id=str(first.member_id))
    assert second.has_number
    assert first.log.number_erased_at
    second.withdraw()
    work(NOW + DAY, jobs.erase_numbers, member_id=str(second.member_id))
    assert not second.has_number


def test_a_legal_hold_keeps_a_number_and_its_end_lets_it_go(empty, work, woman):
    hers = woman()
    retention.hold(empty, hers.caller, hers.member_id, "order 12/2026", NOW)
    hers.withdraw()
    work(NOW + DAY, jobs.erase_numbers, member_id=str(hers.member_id))
    work(NOW + 9000 * DAY)
    assert hers.has_number
    assert queries.consents_of(empty, hers.member_id)
    assert retention.standing(empty, "NUMBERS", NOW + DAY, days).held == 1
    assert let_go(empty) == []  # Elsewhere nothing is forgotten either.
    retention.release(empty, hers.caller, hers.member_id, "order 13/2026")
    hers_alone = (str(hers.member_id), "AADHAAR_ONLINE", [str(hers.agreed.consent_id)])
    assert let_go(empty) == [hers_alone]
    work(NOW + 2 * DAY)
    assert not hers.has_number
    actions = empty.execute(select(audit.audit.c.action).order_by(audit.audit.c.id.desc()).limit(20)).scalars().all()
    assert {"member.hold", "member.release"} <= set(actions)
    with pytest.raises(Refused) as refused:
        retention.hold(empty, hers.caller, uuid7(), "order", NOW)
    assert refused.value.code == "MEMBER_UNKNOWN"


@pytest.mark.parametrize("status", ["INACTIVE", "WITHDRAWN", "REJECTED"])
def test_a_number_goes_a_year_after_she_left_and_stays_if_she_comes_back(empty, work, woman, status):
    hers, back = woman(), woman()
    for one in (hers, back):
        one.hear(status)
    back.hear("ACTIVE", version=8)
    back.hear(status, version=6)
    work(NOW + DAY + 364 * DAY)
    assert hers.has_number
    hers.hear(status, version=9, at=NOW + 300 * DAY)  # Told again of something else: she left when she left.
    assert let_go(empty) == []
    work(NOW + DAY + 365 * DAY)
    assert (hers.has_number, back.has_number) == (False, True)
    # Her token goes with her number, wherever it is: it would tell her apart from herself if she came again.
    assert let_go(empty) == [(str(hers.member_id), "AADHAAR_ONLINE", [str(hers.agreed.consent_id)])]


def test_a_number_goes_a_year_after_her_last_consent_to_it_ran_out(empty, work, woman):
    hers, renewed = woman(until=GIVEN_AT + 30 * DAY), woman(until=GIVEN_AT + 30 * DAY)
    shg = next(iter(renewed.caller.institutions))
    give(empty, renewed.caller, shg, member_id=renewed.member_id, at=GIVEN_AT + 20 * DAY)
    work(GIVEN_AT + (30 + 365) * DAY - timedelta(seconds=1))
    assert hers.has_number
    work(GIVEN_AT + (30 + 365) * DAY)
    assert (hers.has_number, renewed.has_number) == (False, True)


def test_a_number_whose_confirming_was_cut_short_goes_too(empty, vaulted, work, woman):
    hers = woman()
    empty.execute(update(kycs).where(kycs.c.member_id == hers.member_id).values(confirmed_at=None))  # The vault knows it as confirmed.
    work(NOW + DAY)
    assert hers.has_number
    work(NOW + DAY + timedelta(minutes=11))
    assert not hers.has_number


# --- Logs, records, messages


def test_logs_of_e_kycs_go_after_seven_years_and_never_before_the_number(empty, work, woman):
    gone, held = woman(), woman()
    gone.withdraw()
    over = NOW + timedelta(minutes=10) + 2557 * DAY
    work(over - timedelta(minutes=1))
    assert gone.log
    # Whose consent stood until lately has a number, and the log says whose that is.
    give(empty, held.caller, next(iter(held.caller.institutions)), member_id=held.member_id, at=GIVEN_AT + 1800 * DAY)
    empty.execute(update(kycs).where(kycs.c.member_id == held.member_id).values(number_erased_at=None))
    work(over)
    assert gone.log is None
    assert held.log
    assert ("EKYC_LOGS", 1) in audited(empty)


def test_a_chain_is_erased_from_its_beginning_and_the_rest_still_fits(empty, work, woman):
    hers = woman(until=GIVEN_AT + 10 * DAY)
    caller, shg = hers.caller, next(iter(hers.caller.institutions))
    give(empty, caller, shg, member_id=hers.member_id, purpose="PHOTO", until=GIVEN_AT + 400 * DAY)
    give(empty, caller, shg, member_id=hers.member_id, purpose="MESSAGES", until=GIVEN_AT + 20 * DAY)
    places = []
    for after in (10, 20, 399, 400):
        work(GIVEN_AT + (after + 2557) * DAY + timedelta(minutes=5))
        places.append([one.place for one in queries.consents_of(empty, hers.member_id)])
        faults, _, _, _ = consent.first_faults(empty, None)
        assert faults == {}
    # The third ended long before the second, and still waits for it.
    assert places == [[2, 3], [2, 3], [2, 3], []]
    # What comes next goes on where the chain was.
    at = GIVEN_AT + (400 + 2558) * DAY
    assert give(empty, caller, shg, member_id=hers.member_id, purpose="PHOTO", at=at).given.place == 4
    assert consent.first_faults(empty, None)[0] == {}
    empty.execute(update(members).values(erased_hash=rules.GENESIS))
    assert hers.member_id in consent.first_faults(empty, None)[0]


def test_that_a_message_was_sent_is_forgotten_after_a_year(empty, work, woman):
    hers = woman()
    for key, at in (("old", NOW - 366 * DAY), ("young", NOW - 364 * DAY)):
        alert.note_sent(empty, key, "loan_given", hers.member_id, at)
    work(NOW)
    assert [one.key for one in queries.messages_to(empty, hers.member_id)] == ["young"]


def test_what_the_vault_noted_goes_after_seven_years_but_for_who_is_held(empty, vaulted, work, woman):
    hers, held = woman(), woman()
    retention.hold(empty, held.caller, held.member_id, "order", NOW)
    vaulted.execute(update(uses).values(at=NOW - 2558 * DAY))
    work(NOW)
    left = set(vaulted.execute(select(uses.c.reference)).scalars())
    assert left == {held.reference}
    assert hers.has_number


# --- In batches, and the proof


def test_all_that_is_over_goes_however_much_and_the_run_is_noted(empty, work, monkeypatch):
    monkeypatch.setattr(retention, "BATCH", 3)
    rows = [{"key": f"m{n}", "member_id": uuid7(), "template": "loan_given", "at": NOW - 400 * DAY} for n in range(8)]
    empty.execute(insert(messages), rows)
    work(NOW)
    assert empty.execute(select(func.count()).select_from(messages)).scalar() == 0
    assert audited(empty) == [("MESSAGES", 3), ("MESSAGES", 3), ("MESSAGES", 2)]
    work(NOW + DAY)
    runs = retention.runs(empty)
    assert set(runs) == set(CLASSES)
    assert (runs["MESSAGES"].at, runs["MESSAGES"].erased, runs["MESSAGES"].erased_ever) == (NOW + DAY, 0, 8)


def shown(capsys, monkeypatch, *words):
    monkeypatch.setattr("sys.argv", ["identity", *words])
    code = commands_of_operators.main()
    return code, capsys.readouterr().out


def test_the_command_proves_that_nothing_is_overdue_and_ends_with_1_where_something_is(empty, work, woman, capsys, monkeypatch):
    work(datetime.now(UTC))  # Lets the command see the tests' connections.
    hers = woman(at=datetime.now(UTC) - 2 * DAY)
    code, told = shown(capsys, monkeypatch, "retention")
    lines = {line.split()[0]: line for line in told.splitlines() if line}
    assert code == 0
    assert "0 overdue" in told
    assert set(CLASSES) <= set(lines)
    assert "never" not in told
    hers.withdraw(datetime.now(UTC) - GRACE + timedelta(minutes=1))
    code, told = shown(capsys, monkeypatch, "retention")
    assert code == 0  # Due, and the job comes within the hour.
    empty.execute(update(consents).where(consents.c.kind == "WITHDRAWN").values(recorded_at=datetime.now(UTC) - GRACE - timedelta(minutes=1)))
    code, told = shown(capsys, monkeypatch, "retention")
    assert (code, told.splitlines()[-1]) == (1, "1 overdue")
    assert shown(capsys, monkeypatch, "hold", "--member", str(hers.member_id), "--by", "IUP_STATE1", "--reason", "order")[0] == 0
    code, told = shown(capsys, monkeypatch, "retention")
    assert code == 0
    held = next(line for line in told.splitlines() if line.startswith("NUMBERS"))
    assert held.split()[5:8] == ["0", "0", "1"], held
    assert shown(capsys, monkeypatch, "release", "--member", str(hers.member_id), "--by", "IUP_STATE1", "--reason", "order")[0] == 0
    work(datetime.now(UTC))
    assert shown(capsys, monkeypatch, "retention")[0] == 0
    assert not hers.has_number
    who = select(audit.audit.c.user_id).where(audit.audit.c.action == "member.hold").order_by(audit.audit.c.id.desc()).limit(1)
    assert empty.execute(who).scalar() == "operator IUP_STATE1"
