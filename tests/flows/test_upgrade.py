"""A new version is rolled out over a machine at work, and back: nobody's call fails, nothing is lost, nothing is counted twice.

The machine is one of its own beside the tests', with one state. The new version is a copy of this tree with a version, a
column, its migration, and a field that shows it planted into it.
"""

import http.client
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import pytest
from google.protobuf.unknown_fields import UnknownFieldSet

from deploy.demo import books
from deploy.demo.cast import Nation, State, invite_state_admin, make_officers, take_in_geography
from deploy.demo.client import RefusedError
from deploy.machine import Machine
from deploy.machine.layout import VENV, Layout
from protos import gateway_pb2, reporting_pb2, transactions_pb2
from services.chassis.version import VERSION
from services.kernel import month
from tests.flows.test_kills import MEMBERS, SAVED_PAISE, expect_all_once
from tests.flows.world import ROOT, World, database, figures, make_groups

pytestmark = [pytest.mark.flow, pytest.mark.timeout(900)]

GROUPS = 4
NEW = "0.2.0"
CONNECTION_SECONDS = "4"  # Connections grow old quickly here, so that servers are left quickly.
PORTS_ASIDE = 400  # The tests' machine uses the first half of its thousand ports: two states and the nation.
BLESSINGS = 7
BLESSINGS_FIELD = 100
MIGRATION = """
import sqlalchemy as sa
from alembic import op

revision = "transactions_9999"
down_revision = "{newest}"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("chains", sa.Column("blessings", sa.Integer(), nullable=False, server_default="7"))
"""


def copy_tree(to):
    """This tree as somebody would check it out, with the working tree's changes, and with what setup would make in it."""
    listed = subprocess.run(["git", "ls-files", "-co", "--exclude-standard"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split("\n")
    made = [str(path.relative_to(ROOT)) for path in ROOT.glob("protos/*_pb2*")]
    for name in (*filter(None, listed), *made):
        if (ROOT / name).is_file():
            (to / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, to / name)
    (to / ".venv").symlink_to(VENV.resolve())
    return to


def plant(tree, name, old, new):
    text = (tree / name).read_text()
    assert old in text, f"{name} has no {old!r} any more"
    (tree / name).write_text(text.replace(old, new, 1))


@pytest.fixture(scope="module")
def new_version(tmp_path_factory):
    tree = copy_tree(tmp_path_factory.mktemp("new"))
    plant(tree, "services/chassis/version.py", VERSION, NEW)
    plant(
        tree,
        "services/transactions/tables.py",
        '    CheckConstraint("approved_through between',
        '    Column("blessings", Integer),\n    CheckConstraint("approved_through between',
    )
    plant(tree, "services/transactions/rules/books.py", "    lock: int = 0\n", "    lock: int = 0\n    blessings: int = 0\n")
    plant(tree, "services/transactions/queries.py", "    chains.c.lock,\n", "    chains.c.lock,\n    chains.c.blessings,\n")
    plant(
        tree,
        "services/transactions/servicer/showing.py",
        "approved_through=chain.approved_through,",
        "approved_through=chain.approved_through, blessings=chain.blessings,",
    )
    plant(
        tree, "protos/transactions.proto", "  int32 approved_through = 6;", f"  int32 approved_through = 6;\n  int32 blessings = {BLESSINGS_FIELD};"
    )
    migrations = tree / "services/transactions/migrations"
    newest = max(path.stem for path in migrations.glob("transactions_*.py"))
    (migrations / "transactions_9999_blessings.py").write_text(MIGRATION.format(newest=re.match(r"transactions_\d+", newest)[0]))
    return tree


@pytest.fixture(scope="module")
def world(machine):
    beside = machine.layout
    own = Machine(Layout(beside.run / "upgrade", beside.port_base + PORTS_ASIDE, ("UP",)))
    os.environ["LOKOS_CONNECTION_SECONDS_MAX"] = CONNECTION_SECONDS
    own.down(wipe=True)  # What an earlier run left behind is of another version.
    own.up()
    made = World(own, Nation(own), State(own, "UP"), State(own, "BR"))
    made.nation.found()
    take_in_geography(made.up, ROOT / "samples" / "lgd")
    invite_state_admin(made.nation, made.up)
    make_officers(made.up)
    yield made
    del os.environ["LOKOS_CONNECTION_SECONDS_MAX"]
    made.nation.close()
    made.up.close()
    own.down(wipe=True)


@pytest.fixture(scope="module")
def groups(world):
    made = make_groups(world, world.up, GROUPS)
    books.wait_until("the nation knows the state", lambda: national(world).parts)
    return made


def national(world):
    question = gateway_pb2.NationalReportRequest(report="summary", level="STATE", from_month="2000-01", to_month=month.month_of(month.today()))
    gateway = world.nation.gateway()
    return gateway(gateway.gateway.NationalReport, question)


def upgrading(world, tree, **more):
    """The command, started from a tree; what it prints comes through a pipe."""
    layout = world.machine.layout
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": os.environ.get("HOME", "/"),
        "LOKOS_RUN": str(layout.run),
        "LOKOS_PORT_BASE": str(layout.port_base),
        "LOKOS_CONNECTION_SECONDS_MAX": CONNECTION_SECONDS,
    }
    command = [sys.executable, "-m", "deploy.machine", "upgrade"]
    return subprocess.Popen(command, cwd=tree, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **more)


def versions(world):
    """The version that each program says it is; one that does not answer just now is left out."""
    found = {}
    for program in world.machine.layout.applications():
        connection = http.client.HTTPConnection("127.0.0.1", program.metrics_port, timeout=2)
        try:
            connection.request("GET", "/metrics")
            if said := re.search(r'lokos_build_info{version="(.+)"} 1.0', connection.getresponse().read().decode()):
                found[program.name] = said[1]
        except (OSError, http.client.HTTPException):
            continue
        finally:
            connection.close()
    return found


def pids(world):
    return {program.name: world.machine.pid(program.name) for program in world.machine.layout.applications()}


@dataclass
class Work:
    """People at work, none of whose calls is made again by itself: what fails is counted, and only then tried again."""

    world: World
    groups: list
    over: threading.Event = field(default_factory=threading.Event)
    answered: Counter = field(default_factory=Counter)
    failed: Counter = field(default_factory=Counter)
    mixed: int = 0

    def call(self, client, method, request):
        for _ in range(20):
            try:
                answer = client(method, request)
            except RefusedError as error:
                self.failed[f"{method._method.decode().rpartition('/')[2]} {error.status.name} {error.sentence}"] += 1
                time.sleep(0.2)
            else:
                self.answered[type(answer).__name__] += 1
                return answer
        raise AssertionError(f"twenty times in vain: {self.failed}")

    def meet(self, group):
        """One group meets again and again, sends, and has it approved."""
        kept, sent = group.ledger(), 0
        while not self.over.wait(0.1):
            made = group.meeting(kept, SAVED_PAISE)
            keeper, approver = group.keeper, group.approver
            (answer,) = self.call(keeper, keeper.transactions.SyncMeetings, transactions_pb2.SyncMeetingsRequest(meetings=[made])).answers
            assert answer.outcome in {transactions_pb2.OUTCOME_APPLIED, transactions_pb2.OUTCOME_ALREADY_APPLIED}, answer.refusal
            self.call(approver, approver.transactions.ApproveMeeting, transactions_pb2.ApproveMeetingRequest(meeting_id=made.meeting_id, revision=1))
            sent += 1
        return sent

    def read_report(self):
        reader, this_month = self.world.up.reader, month.month_of(month.today())
        question = reporting_pb2.ReportRequest(report="summary", region="9", level="STATE", from_month="2000-01", to_month=this_month)
        while not self.over.wait(0.1):
            self.call(reader, reader.reporting.Report, question)

    def read_nation(self):
        gateway = self.world.nation.gateway()
        question = gateway_pb2.NationalReportRequest(report="summary", level="STATE", from_month="2000-01", to_month=month.month_of(month.today()))
        while not self.over.wait(0.1):
            for part in self.call(gateway, gateway.gateway.NationalReport, question).parts:
                if part.freshness != gateway_pb2.FRESHNESS_FRESH:
                    self.failed[f"part {gateway_pb2.Freshness.Name(part.freshness)} {part.reason}"] += 1

    def look(self):
        """How often both versions were at work at once, with calls answered since the last look."""
        before = 0
        while not self.over.wait(0.5):
            answered = self.answered.total()
            if len(set(versions(self.world).values())) > 1 and answered > before:
                self.mixed += 1
            before = answered

    def during(self, what):
        """Do something in the middle of it; how many meetings were sent in all."""
        with ThreadPoolExecutor(len(self.groups) + 3) as pool:
            beside = [pool.submit(task) for task in (self.read_report, self.read_nation, self.look)]
            meeting = [pool.submit(self.meet, group) for group in self.groups]
            try:
                what()
            finally:
                self.over.set()
            for one in beside:
                one.result()
            return sum(one.result() for one in meeting)


def run_to_end(world, tree):
    process = upgrading(world, tree)
    printed, complained = process.communicate(timeout=600)
    assert process.returncode == 0, printed[-2000:] + complained
    return printed


def breakage(tree, kind):
    if kind == "a setting that is missing":
        plant(tree, "services/chassis/process.py", "    metrics.start()\n", '    settings.text("LOKOS_UNHEARD_OF")\n    metrics.start()\n')
        return "up-consume", "The setting LOKOS_UNHEARD_OF is missing"
    plant(tree, "services/transactions/servicer/__init__.py", "class Servicer", "clasp Servicer")
    return "up-serve", "SyntaxError"


@pytest.mark.parametrize("kind", ["a setting that is missing", "a module that cannot be read"])
def test_a_version_that_does_not_start_leaves_the_old_one_running(world, groups, tmp_path, kind):
    tree = copy_tree(tmp_path)
    plant(tree, "services/chassis/version.py", VERSION, "0.1.9")
    program, word = breakage(tree, kind)
    before = pids(world)
    process = upgrading(world, tree)
    printed, complained = process.communicate(timeout=600)
    assert process.returncode == 1, printed
    assert f"The upgrade stopped at {program}, whose old version runs on." in complained
    assert word in complained
    assert world.machine.pid(program) == before[program]
    assert not [state.name for state in world.machine.states() if state.name.endswith("-next")]
    assert figures(world.up)["members_active"] >= GROUPS * MEMBERS
    assert books.position(groups[0].keeper, groups[0].institution_id).institution_id


def test_a_new_version_is_rolled_out_while_calls_go_on(world, groups, new_version):
    before, old = figures(world.up), pids(world)
    work = Work(world, groups)
    sent = work.during(lambda: run_to_end(world, new_version))
    sys.stdout.write(f"rolled out: {work.answered.total()} calls answered, {sent} meetings; failed {dict(work.failed)}; mixed {work.mixed} looks\n")
    assert not work.failed
    assert work.answered["NationalReportResponse"] > 10
    assert work.mixed > 3
    assert sent > 20
    expect_all_once(world, groups, before, sent)
    new = pids(world)
    assert set(versions(world).items()) == {(name, NEW) for name in new}
    assert not [name for name, pid in new.items() if pid is None or pid == old[name]]
    # This process is a client of the old version: it goes on, and carries what it does not know.
    position = books.position(groups[0].keeper, groups[0].institution_id)
    unknown = {one.field_number: one.data for one in UnknownFieldSet(position)}
    assert unknown == {BLESSINGS_FIELD: BLESSINGS}


def kill_half_way(world, tree):
    """Kill -9 while a server is being replaced."""
    process = upgrading(world, tree, start_new_session=True)
    for line in process.stdout:
        if line.startswith("up: up-serve-next is well"):
            time.sleep(1)
            os.killpg(process.pid, signal.SIGKILL)
    process.communicate(timeout=60)
    assert process.returncode == -signal.SIGKILL
    assert world.machine.pid("up-serve-next")


def test_the_old_version_is_rolled_back_to_even_by_a_run_that_was_killed_and_run_again(world, groups):
    before, new = figures(world.up), pids(world)
    work = Work(world, groups)
    printed = []

    def killed_and_again():
        kill_half_way(world, ROOT)
        printed.append(run_to_end(world, ROOT))

    sent = work.during(killed_and_again)
    sys.stdout.write(f"rolled back: {work.answered.total()} calls answered, {sent} meetings; failed {dict(work.failed)}\n")
    assert not work.failed
    assert "UP: transactions is ahead of this version (transactions_9999) and is left as it is" in printed[0]
    expect_all_once(world, groups, before, sent)
    old = pids(world)
    assert set(versions(world).items()) == {(name, VERSION) for name in old}
    assert not [name for name, pid in old.items() if pid is None or pid == new[name]]
    assert {state.name for state in world.machine.states()} == set(world.machine.programs)
    with database(world.up, "transactions") as kept:
        assert kept.execute("select distinct blessings from chains").fetchall() == [(BLESSINGS,)]


def test_a_machine_where_nothing_runs_has_nothing_to_upgrade(tmp_path):
    ended = subprocess.run(
        [sys.executable, "-m", "deploy.machine", "upgrade"],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], "LOKOS_RUN": str(tmp_path / "run")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 1
    assert "deploy.machine up" in ended.stderr
