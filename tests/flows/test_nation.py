"""A synthetic state, loaded into an instance of its own, is one that the services go on with as if they had made it."""

import csv
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest

from deploy.demo import books
from deploy.demo.cast import members_of, run_in
from deploy.demo.client import Client, Login
from deploy.demo.ledger import Ledger
from deploy.machine import Machine
from protos import profiles_pb2, transactions_pb2
from services.kernel import month
from services.kernel.ids import uuid7
from tests.flows.world import ROOT, State, figures

pytestmark = [pytest.mark.flow, pytest.mark.timeout(600)]

CODE, MEMBERS = "SK", 1000
SERVICES = ("identity", "profiles", "transactions", "dedup", "reporting")


@pytest.fixture(scope="module")
def sikkim(machine):
    """A small state beside those of the other tests, which hold what the tests made; its programs are down while it is loaded.

    It is gone afterwards: to the tests that the nation is asked in, now and in the next run, it would be a third that is away.
    """
    own = Machine(replace(machine.layout, states=(*machine.layout.states, CODE)))
    own.provision([CODE])
    stop(own)
    run(own, "--clear")
    yield own
    ended = subprocess.run(
        [sys.executable, "-m", "deploy.machine", "remove", CODE, "--yes"], cwd=ROOT, env=environment(own), capture_output=True, text=True, check=False
    )
    assert ended.returncode == 0, ended.stderr
    shutil.rmtree(own.run / "removed")


def stop(machine):
    for program in machine.states():
        if program.name.startswith("sk-") and program.pid:
            machine.stop(program.name)


def command(*words):
    return [sys.executable, "-m", "loadtests.nation", "--state", CODE, *words]


def environment(machine):
    return {**os.environ, "LOKOS_STATES": " ".join(machine.layout.states)}


def run(machine, *words, code=0):
    done = subprocess.run(command(*words), cwd=ROOT, env=environment(machine), capture_output=True, text=True, check=False)
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout + done.stderr


def database(machine, service):
    return psycopg.connect(machine.instances[CODE].env[f"{service.upper()}_DATABASE_URL"].replace("+psycopg", ""), autocommit=True)


def built(machine):
    """Every index and constraint of the services' tables."""
    asked = "select indexdef from pg_indexes where schemaname = current_schema()"
    constraints = "select conrelid::regclass::text, pg_get_constraintdef(oid) from pg_constraint where connamespace = current_schema()::regnamespace"
    found = set()
    for service in SERVICES:
        with database(machine, service) as connection:
            found |= set(connection.execute(asked)) | set(connection.execute(constraints))
    return found


def test_a_load_that_is_killed_is_mended_by_the_next(sikkim):
    whole = built(sikkim)
    running = subprocess.Popen(
        command("--members", "5000"), cwd=ROOT, env=environment(sikkim), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    )
    with database(sikkim, "reporting") as connection:
        last = "select action = 'synthetic.begin' from audit where action like 'synthetic.%' order by id desc limit 1"
        books.wait_until("the last schema is begun", lambda: connection.execute(last).fetchone() == (True,), seconds=120)
    # The parent alone: its workers must not go on without it.
    os.kill(running.pid, signal.SIGKILL)
    running.wait()
    assert built(sikkim) < whole
    with database(sikkim, "profiles") as connection:
        loading = "select count(*) from pg_stat_activity where application_name like 'lokos-load-%' and usename = current_user"
        books.wait_until("the workers are gone", lambda: connection.execute(loading).fetchone() == (0,))
    said = run(sikkim, "--members", str(MEMBERS), "--rate", "duplicates=0.1", "--pending-share", "0.3")
    assert "cut short" in said
    assert "Checked" in said
    assert built(sikkim) == whole
    with database(sikkim, "profiles") as connection:
        assert connection.execute("select count(*) from members").fetchone() == (MEMBERS,)


def test_the_same_again_changes_nothing_and_another_is_refused(sikkim):
    same = ("--rate", "duplicates=0.1", "--pending-share", "0.3", "--no-check")
    assert "holds these 1,000 members already" in run(sikkim, "--members", str(MEMBERS), *same)
    assert "another synthetic load (seed 1, not 2)" in run(sikkim, "--members", str(MEMBERS), "--seed", "2", *same, code=1)
    assert "| 1000 |" in run(sikkim, "--measure")


@pytest.mark.parametrize(
    ("service", "spoil", "mend", "words"),
    [
        (
            "profiles",
            """update members set content = content || '{"gender": "QUEEN"}'""",
            """update members set content = content || '{"gender": "FEMALE"}'""",
            "no form takes",
        ),
        ("profiles", "select setval('member_serial', 5)", "select setval('member_serial', 1000)", "The next code of a MEMBER"),
        ("transactions", "update balances set paise = paise + 1", "update balances set paise = paise - 1", "another position"),
        ("transactions", "update balances set paise = paise + 1", "update balances set paise = paise - 1", "where its last meeting was sealed"),
        (
            "transactions",
            "update balances set interest_paise = interest_paise + 1",
            "update balances set interest_paise = interest_paise - 1",
            "otherwise than its payments say",
        ),
        ("transactions", "update members set version = version + 1", "update members set version = version - 1", "The copies of block"),
        ("dedup", "update people set birth_year = birth_year + 1", "update people set birth_year = birth_year - 1", "Dedup knows"),
        ("reporting", "update figures set amount = amount + 1", "update figures set amount = amount - 1", "figures are not what"),
        ("reporting", "update bookkeeping set meetings = meetings + 1", "update bookkeeping set meetings = meetings - 1", "bookkeepers' months"),
        ("reporting", "update ageing set collected = collected + 1", "update ageing set collected = collected - 1", "due dates are not what"),
        ("reporting", "update ageing set outstanding = outstanding + 1", "update ageing set outstanding = outstanding - 1", "by due dates is not"),
        (
            "reporting",
            "update contributions set version = version + 1 where subject like 'books:%'",
            "update contributions set version = version - 1 where subject like 'books:%'",
            "other books than there are",
        ),
    ],
)
def test_the_check_finds_what_is_spoilt(sikkim, service, spoil, mend, words):
    with database(sikkim, service) as connection:
        connection.execute(spoil)
        try:
            assert words in run(sikkim, "--members", str(MEMBERS), "--rate", "duplicates=0.1", "--pending-share", "0.3", "--check", code=1)
        finally:
            connection.execute(mend)


@pytest.fixture(scope="module")
def people(sikkim):
    """The state with its programs up, and the users that the load told of, by role."""
    sikkim.up(["sk-serve", "sk-consume", "sk-drain", "sk-relay", "sk-work"], [CODE])  # The last sends their one-time passwords.
    told = json.loads((sikkim.run / "load" / f"{CODE}.json").read_text())
    users = {}
    for user in told["users"]:
        client = Client(
            told["state"]["address"],
            Path(told["state"]["ca_file"]),
            Login(user["user_id"], user["password"], user["role"]),
            pocket=State(sikkim, CODE).pocket,
        )
        users.setdefault(user["role"], (client, user["institutions"]))
    yield users
    for client, _ in users.values():
        client.close()


def report(sikkim, people):
    state = State(sikkim, CODE)
    state.clients[f"{state.user_id('SPM')}/STATE_PROGRAM_MANAGER"] = people["STATE_PROGRAM_MANAGER"][0]
    return figures(state)


def test_while_its_programs_run_nothing_is_loaded(sikkim, people):
    assert "sk-serve" in run(sikkim, "--members", "2000", code=1)
    assert "Stop them" in run(sikkim, "--clear", code=1)


def test_a_planted_duplicate_is_found_online_and_by_screening_again(sikkim, people):
    keeper, groups = people["SHG_BOOKKEEPER"]
    manager = people["BLOCK_PROGRAM_MANAGER"][0]
    original = next(one for one in members_of(keeper, groups[0]["institution_id"]) if one.accounts and one.phones)
    again = profiles_pb2.Member()
    again.CopyFrom(original)
    again.member_id, again.revision = str(uuid7()), 0
    books.submit(keeper, again)
    found = books.screened(manager, again.member_id, 1)
    assert original.member_id in {finding.other_member_id for finding in found.findings}
    run_in(sikkim.instances[CODE], "services.dedup", "rescreen", "--region", "11")
    with (sikkim.run / "load" / f"{CODE}-duplicates.csv").open() as file:
        same = {(row["member_id"], row["duplicate_of"]) for row in csv.DictReader(file) if row["shares_identity"] == "1" and row["pending"] == "0"}
    assert same
    with database(sikkim, "dedup") as connection:
        contested = {(str(one), str(other)) for one, other in connection.execute("select member_id, other_id from contested")}
    assert same <= contested


def test_a_pending_member_is_decided_and_a_meeting_comes_in(sikkim, people):
    before = report(sikkim, people)
    manager, keeper = people["BLOCK_PROGRAM_MANAGER"][0], people["SHG_BOOKKEEPER"][0]
    page = manager(manager.profiles.ListMembers, profiles_pb2.ListMembersRequest(status=profiles_pb2.STATUS_SUBMITTED)).members
    pending = next(one for one in page if one.verdict != profiles_pb2.VERDICT_CONFIRMED)
    approved = books.approve(manager, pending, "Seen at home: another woman", people["STATE_PROGRAM_MANAGER"][0])
    assert int(approved.code[3:-1]) > MEMBERS
    shg, group = next(
        (one["institution_id"], position)
        for one in people["SHG_BOOKKEEPER"][1]
        if (position := books.position(keeper, one["institution_id"])).last_number
    )
    active = [one.member_id for one in members_of(keeper, shg) if one.status == profiles_pb2.STATUS_ACTIVE]
    books.wait_until("the last meeting is approved", lambda: approve_all(people, shg))
    ledger = Ledger(shg, keeper(keeper.transactions.GetChart, transactions_pb2.GetChartRequest()))
    ledger.know(group)
    savings = [transactions_pb2.Saving(member_id=one, compulsory_paise=50_00) for one in active]
    held = ledger.close(ledger.begin(str(uuid7()), month.today().isoformat(), savings=savings))
    assert books.sync(keeper, [held])[0].outcome == transactions_pb2.OUTCOME_APPLIED
    approver = people["SHG_TRANS_APPROVER"][0]
    books.approve_meeting(approver, held.meeting_id)
    trial = keeper(keeper.transactions.TrialBalance, transactions_pb2.TrialBalanceRequest(institution_id=shg))
    assert trial.debit_total_paise == trial.credit_total_paise > 0
    books.wait_until("she and the meeting are counted", lambda: counted(sikkim, people, before))


def approve_all(people, shg):
    """Whatever of the group was left for the approver."""
    approver = people["SHG_TRANS_APPROVER"][0]
    request = transactions_pb2.ListMeetingsRequest(institution_id=shg, status=transactions_pb2.MEETING_STATUS_CLOSED)
    for meeting in approver(approver.transactions.ListMeetings, request).meetings:
        books.approve_meeting(approver, meeting.sheet.meeting_id)
    return True


def counted(sikkim, people, before):
    after = report(sikkim, people)
    return after["members_active"] == before["members_active"] + 1 and after["meetings_held"] > before["meetings_held"]


def test_the_figures_told_anew_are_the_figures_that_were_loaded(sikkim, people):
    def stand():
        with database(sikkim, "reporting") as connection:
            figures = connection.execute("select level, region, month, measure, amount from figures where amount <> 0").fetchall()
            ageing = connection.execute("select * from ageing where (scheduled, collected, loans, outstanding) <> (0, 0, 0, 0)").fetchall()
            return set(figures), set(ageing)

    settled = stand()
    time.sleep(1)
    books.wait_until("nothing is on its way", lambda: stand() == settled)
    instance = sikkim.instances[CODE]
    # Without emptying them first: whatever was loaded is known to be in, and is not added twice.
    for owner in ("identity", "profiles", "transactions"):
        run_in(instance, f"services.{owner}", "restate", "--to", "reporting")
    told_all(sikkim)
    assert stand() == settled
    run_in(instance, "services.reporting", "rebuild")
    assert stand() == (set(), set())
    for owner in ("identity", "profiles", "transactions"):
        run_in(instance, f"services.{owner}", "restate", "--to", "reporting")
    books.wait_until("the figures are told anew", lambda: stand() == settled, seconds=120)


def test_a_load_is_taken_away_with_its_files_and_other_peoples_stay(sikkim, people):
    stop(sikkim)
    files = [sikkim.run / "load" / name for name in (f"{CODE}.json", f"{CODE}-duplicates.csv")]
    assert all(file.exists() for file in files)
    run(sikkim, "--clear")
    assert not any(file.exists() for file in files)
    files[0].write_text("of groups that were made at the front door")
    run(sikkim, "--clear")
    assert files[0].exists()
    files[0].unlink()


def told_all(sikkim):
    """Every outbox is sent and every queue is drained."""
    waiting = "select count(*) from outbox where sent_at is null"
    for owner in ("identity", "profiles", "transactions"):
        with database(sikkim, owner) as connection:
            books.wait_until("all is sent", lambda connection=connection: connection.execute(waiting).fetchone() == (0,), seconds=120)
    with database(sikkim, "reporting") as connection:
        heard = "select count(*) from inbox"
        counts = [-1]

        def quiet():
            counts.append(connection.execute(heard).fetchone()[0])
            time.sleep(1)
            return counts[-1] == counts[-2]

        books.wait_until("all is heard", quiet, seconds=120)
