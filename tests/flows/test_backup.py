"""A state comes back from a backup: nothing acknowledged before it is missing, devices bring the rest, and no code is another woman's."""

import signal
import subprocess
import sys
import threading
from pathlib import Path
from uuid import uuid4

import psycopg
import pytest

from deploy.demo import books
from deploy.demo.cast import run_in
from deploy.demo.ledger import CASH
from deploy.machine import postgres
from protos import gateway_pb2, profiles_pb2, transactions_pb2
from services.chassis import chain
from services.chassis import database as chassis_database
from services.kernel import month
from services.kernel.ids import uuid7
from tests.flows.world import database, figures, journal, make_groups

pytestmark = [pytest.mark.flow, pytest.mark.timeout(900)]

ROOT = Path(__file__).parents[2]
MACHINE = [sys.executable, "-m", "deploy.machine"]
APPLIED, ALREADY_APPLIED = transactions_pb2.OUTCOME_APPLIED, transactions_pb2.OUTCOME_ALREADY_APPLIED
UNSENT_MAX = 4  # Of one institution in a call.
HEARERS = ("up-drain", "up-consume")
ASKED_BEFORE = "2001-03"  # The first month of a question that is asked before the restore alone.
SERVICES = ("identity", "profiles", "transactions", "dedup", "reporting")


def run(*words):
    done = subprocess.run([*MACHINE, *map(str, words)], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


class Device:
    """A bookkeeper's device: what it sent it still holds, and it remembers the epoch that it saw."""

    def __init__(self, group):
        self.group, self.keeper = group, group.keeper
        self.members, self.held, self.enrolled = list(group.members), [], []
        self.epoch = self.position().instance_epoch

    def position(self):
        return books.position(self.keeper, self.group.institution_id)

    def hold_meeting(self, *, approve=True):
        meeting = books.savings_meeting(self.group.ledger(), month.today(), self.members, 5000)
        self.held.append(meeting)
        [answer] = books.sync(self.keeper, [meeting])
        assert answer.outcome == APPLIED, answer
        if approve:
            books.approve_meeting(self.group.approver, meeting.meeting_id)
        return meeting.meeting_id

    def enrol(self, manager, name):
        """A member handed in by this device and approved; her code."""
        member = profiles_pb2.Member(
            member_id=str(uuid7()),
            institution_id=self.group.institution_id,
            name=name,
            gender="FEMALE",
            birth_year=1979,
            relation="SPOUSE",
            relation_name="Invented Husband",
            social_category="OBC",
            phones=[profiles_pb2.Phone(row_id=str(uuid7()), number=f"9{uuid7().int % 10**9:09}", is_default="YES")],
            joined_on="2016-01-01",
        )
        self.enrolled.append(member)
        self.members.append(member.member_id)
        return self.hand_in(manager, member)

    def hand_in(self, manager, member):
        books.submit(self.keeper, member)
        return books.approve(manager, books.screened(manager, member.member_id, 1), "Seen at home: another woman", self.group.state.reader).code

    def send_again(self):
        """All that it holds, as often as it takes; the outcomes."""
        outcomes = []
        for start in range(0, len(self.held), UNSENT_MAX):
            outcomes += [answer.outcome for answer in books.sync(self.keeper, self.held[start : start + UNSENT_MAX])]
        for meeting in self.held:
            books.approve_meeting(self.group.approver, meeting.meeting_id)
        return outcomes


def quiet(state):
    """The figures, once every event told is heard."""

    def settled():
        first = figures(state)
        for service in SERVICES:
            with database(state, service) as own:
                if own.execute("select 1 from outbox where sent_at is null limit 1").fetchone():
                    return None
        threading.Event().wait(1.5)
        return first if figures(state) == first else None

    return books.wait_until("all is told and heard", settled, 120)


def national(world, **changes):
    plain = {"report": "summary", "level": "STATE", "from_month": "2000-01", "to_month": month.month_of(month.today())}
    gateway = world.nation.gateway()
    answer = gateway(gateway.gateway.NationalReport, gateway_pb2.NationalReportRequest(**{**plain, **changes}))
    return next(part for part in answer.parts if part.state == "UP")


def rows(state, service, query, *values):
    with database(state, service) as own:
        return own.execute(query, values).fetchall()


def check_books(device):
    """The ledger adds up, and holds each line once."""
    lines = journal(device.group)
    assert len({(line.meeting_id, line.line) for line in lines}) == len(lines)
    assert device.group.ledger().balances[CASH] == sum(line.amount_paise for line in lines)
    trial = device.keeper(device.keeper.transactions.TrialBalance, transactions_pb2.TrialBalanceRequest(institution_id=device.group.institution_id))
    assert trial.debit_total_paise == trial.credit_total_paise
    return {line.meeting_id for line in lines}


def check_audit(state, epoch):
    """Every service's says who restored, and its chain holds."""
    for service in SERVICES:
        said = "select user_id, facts->>'epoch' from audit where action = 'instance.restore' and place is not null order by id desc limit 1"
        books.wait_until("it is sealed", lambda s=service, q=said: rows(state, s, q) == [("operator IUP_OPERATOR", str(epoch))])
        chassis_database.is_back(service)  # The connections of this very process were cut, too.
        with chassis_database.transaction(service) as own:
            assert chain.verify(own, service).faults == []


def check_rights(state, kept):
    """As from the first day: each schema and all in it is its role's, and what is kept is nobody's of them."""
    roles = list(state.instance.roles)
    owned = (
        "select n.nspname, pg_get_userbyid(n.nspowner), array_agg(distinct pg_get_userbyid(c.relowner)::text)"
        " from pg_namespace n join pg_class c on c.relnamespace = n.oid where n.nspname = any(%s) group by 1, 2"
    )
    with postgres.connect(state.machine.layout, state.instance.database) as admin:
        found = admin.execute(owned, [roles]).fetchall()
    assert sorted(found) == sorted((role, f"up_{role}", [f"up_{role}"]) for role in roles)
    for role in roles:
        url = state.instance.env[f"{role.upper()}_DATABASE_URL"].replace("+psycopg", "")
        with psycopg.connect(url, autocommit=True) as own:
            seen = own.execute("select distinct table_schema from information_schema.tables where table_schema = any(%s)", [roles])
            assert seen.fetchall() == [(role,)]
        with pytest.raises(psycopg.OperationalError, match="permission denied"):
            psycopg.connect(url.replace(state.instance.database, kept))


def kept_databases(state):
    with postgres.connect(state.machine.layout) as server:
        found = server.execute("select datname from pg_database where datname like 'lokos\\_up\\_%' order by 1").fetchall()
    return [name for (name,) in found]


@pytest.fixture
def devices(world):
    drop_kept(world.up)
    yield [Device(group) for group in make_groups(world, world.up, 3)]
    drop_kept(world.up)


def drop_kept(state):
    for name in kept_databases(state):
        postgres.drop(state.machine.layout, name)


def hang_an_event(world, device):
    """An approved meeting whose event the broker has, and reporting has not heard; its event id."""
    for program in HEARERS:
        world.machine.stop(program)
    meeting_id = device.hold_meeting()
    sent = "select event_id from outbox where subject = %s and sent_at is not null"
    [(event_id,)] = books.wait_until("the relay has sent it", lambda: rows(world.up, "transactions", sent, meeting_id))
    assert not rows(world.up, "reporting", "select 1 from inbox where event_id = %s", event_id)
    return event_id


def back_up_under_load(device, folder):
    """Writes go on while the backup is taken; the meetings that were acknowledged before it began."""
    stop, acknowledged = threading.Event(), []

    def load():
        while not stop.is_set():
            acknowledged.append(device.hold_meeting())

    writing = threading.Thread(target=load)
    writing.start()
    books.wait_until("writing has begun", lambda: len(acknowledged) > 3)
    surely = list(acknowledged)
    assert "its keys are not in it" in run("backup", "UP", folder)
    written = len(acknowledged)
    books.wait_until("writing goes on", lambda: len(acknowledged) > written)
    stop.set()
    writing.join()
    return surely


def sealed_number(state):
    """A record of the vault; what is in it is nobody's number."""
    reference = uuid4()
    with database(state, "vault") as own:
        own.execute("insert into numbers (reference, token, sealed, stored_at) values (%s, %s, '', now())", [reference, reference.bytes])
        own.execute("insert into entries (key_id, entry, reference) values (1, %s, %s)", [reference.bytes, reference])
    return reference


def erase(state, reference):
    with database(state, "vault") as own:
        own.execute("delete from numbers where reference = %s", [reference])
        own.execute("insert into tombstones values (%s, now(), 'withdrew since')", [reference])


def check_figures(state):
    """They are what the ledger says, and what rebuilding them gives."""
    stands = quiet(state)
    [(approved,)] = rows(state, "transactions", "select count(*) from meetings where status = 'APPROVED'")
    assert stands["meetings_held"] == approved
    run_in(state.instance, "services.reporting", "rebuild")
    for owner in ("identity", "profiles", "transactions"):
        run_in(state.instance, f"services.{owner}", "restate", "--to", "reporting")
    books.wait_until("rebuilt, they are the same", lambda: figures(state) == stands)
    return stands


def check_nation(world, epoch):
    """It hears of the new epoch, and does not fill a gap with what the state no longer stands by."""
    fresh = books.wait_until("the nation asks again", lambda: (part := national(world)).freshness == gateway_pb2.FRESHNESS_FRESH and part)
    assert fresh.instance_epoch == epoch
    world.machine.stop("up-serve")
    try:
        assert national(world).freshness == gateway_pb2.FRESHNESS_STALE
        assert national(world, from_month=ASKED_BEFORE).freshness == gateway_pb2.FRESHNESS_MISSING
    finally:
        world.machine.start("up-serve")
        world.machine.wait_well("up-serve")


def ledger(devices):
    return [[(line.meeting_id, line.line, line.amount_paise) for line in journal(device.group)] for device in devices]


def test_what_was_acknowledged_before_is_there_and_devices_bring_the_rest(world, devices, tmp_path):
    up = world.up
    first, second, busy = devices
    for device in devices:
        device.hold_meeting()
    kept_code = first.enrol(up.manager, "Kamla Nishad")
    first.hold_meeting()
    quiet(up)
    erased_since, stays = sealed_number(up), sealed_number(up)
    hung = hang_an_event(world, first)
    surely = {device: [meeting.meeting_id for meeting in device.held] for device in (first, second)}
    surely[busy] = back_up_under_load(busy, tmp_path / "backup")

    # What the backup does not know.
    erase(up, erased_since)
    for program in HEARERS:
        world.machine.start(program)
        world.machine.wait_well(program)
    second.hold_meeting()
    lost_code = second.enrol(up.manager, "Lata Saini")
    second.hold_meeting()
    first.hold_meeting()
    wanted, wanted_ledger, epoch = quiet(up), ledger(devices), first.epoch
    assert national(world, from_month=ASKED_BEFORE).instance_epoch == epoch

    assert f"epoch {epoch + 1} begins" in run("restore", "UP", tmp_path / "backup", "--by", "IUP_OPERATOR")
    [kept] = kept_databases(up)
    check_rights(up, kept)
    assert rows(up, "vault", "select reference from numbers where reference in (%s, %s)", erased_since, stays) == [(stays,)]
    assert rows(up, "vault", "select reason from tombstones where reference = %s", erased_since) == [("withdrew since",)]
    erase(up, stays)
    quiet(up)
    assert rows(up, "reporting", "select count(*) from inbox where event_id = %s", hung) == [(1,)]
    assert check_figures(up)["meetings_held"] < wanted["meetings_held"]
    for device in devices:
        assert device.position().instance_epoch == epoch + 1
        assert set(surely[device]) <= check_books(device)
    check_nation(world, epoch + 1)

    # Devices see another epoch and send again all that they hold. A meeting waits for the members in it.
    waiting = second.keeper(second.keeper.transactions.SyncMeetings, transactions_pb2.SyncMeetingsRequest(meetings=second.held))
    assert waiting.instance_epoch == epoch + 1
    assert waiting.answers[-1].outcome == transactions_pb2.OUTCOME_WAITING
    new_code = second.hand_in(up.manager, second.enrolled[0])
    assert first.hand_in(up.manager, first.enrolled[0]) == kept_code, "whom the backup knows keeps her code"
    assert len({kept_code, lost_code, new_code}) == 3
    for device in devices:
        assert set(device.send_again()) <= {APPLIED, ALREADY_APPLIED}
    assert quiet(up) == wanted
    assert ledger(devices) == wanted_ledger
    for device in devices:
        assert set(device.send_again()) == {ALREADY_APPLIED}
    run_in(up.instance, "services.transactions", "verify")
    check_audit(up, epoch + 1)


MOMENTS = ["restore: filling", "down: stopping up-work", "begins;", "queues are ready", "up: up-serve is well"]


def test_a_restore_that_is_killed_completes_when_it_is_run_again(world, devices, tmp_path):
    up = world.up
    device = devices[0]
    device.hold_meeting()
    stands = quiet(up)
    run("backup", "UP", tmp_path / "backup")
    device.hold_meeting()
    for number, moment in enumerate(MOMENTS, 1):
        killed = subprocess.Popen([*MACHINE, "restore", "UP", str(tmp_path / "backup"), "--drop-old"], cwd=ROOT, stdout=subprocess.PIPE, text=True)
        with killed:
            for line in killed.stdout:
                if moment in line:
                    killed.send_signal(signal.SIGKILL)
                    break
        assert killed.returncode == -signal.SIGKILL, moment
        run("restore", "UP", tmp_path / "backup", "--drop-old")
        assert device.position().instance_epoch == device.epoch + number, moment
        assert quiet(up) == stands, moment
        assert kept_databases(up) == [], moment
        check_books(device)
        assert device.send_again() == [ALREADY_APPLIED, APPLIED], moment
