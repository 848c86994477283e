"""A machine whose states each run in one process: all that the five do, the one does; and a state is taken off it and brought back."""

import os
import subprocess
import sys
from uuid import uuid4

import pika
import psycopg
import pytest
from pika.exceptions import AMQPError

from deploy.demo import books
from deploy.demo.cast import Nation, State
from deploy.machine import Machine
from deploy.machine.backup import Wish, restore
from deploy.machine.layout import Layout
from deploy.machine.postgres import connect
from deploy.machine.remove import BACKUP
from protos import gateway_pb2
from services.kernel import month
from tests.flows.world import LET_IN, ROOT, all_say, answers, at_once, end, figures, found, hold_meeting, make_groups, token

pytestmark = [pytest.mark.flow, pytest.mark.timeout(600)]

PORTS_ASIDE = 400  # The tests' machine uses the first half of its thousand ports: two states and the nation.


@pytest.fixture(scope="module")
def world(machine):
    beside = machine.layout
    own = Machine(Layout(beside.run / "small", beside.port_base + PORTS_ASIDE, ("UP", "BR"), small=True))
    own.down(wipe=True)
    own.up()
    made = found(own)
    yield made
    for state in (made.nation, made.up, made.br):
        state.close()
    own.down(wipe=True)


def freshness(nation: Nation) -> dict[str, int]:
    this_month = month.month_of(month.today())
    question = gateway_pb2.NationalReportRequest(report="summary", level="STATE", from_month="2000-01", to_month=this_month)
    gateway = nation.gateway()
    return {part.state: part.freshness for part in gateway(gateway.gateway.NationalReport, question, retry_seconds=30).parts}


def wait_for_nation(world, *codes):
    wanted = dict.fromkeys(codes, gateway_pb2.FRESHNESS_FRESH)
    books.wait_until(f"the nation hears {codes}", lambda: freshness(world.nation) == wanted)


def remove(world, *words):
    layout = world.machine.layout
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": os.environ.get("HOME", "/"),
        "LOKOS_RUN": str(layout.run),
        "LOKOS_PORT_BASE": str(layout.port_base),
        "LOKOS_SMALL": "1",
    }
    command = [sys.executable, "-m", "deploy.machine", "remove", *words]
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)


def test_one_process_takes_a_meeting_all_the_way_to_the_nation(world):
    assert {name for name in world.machine.programs if name.startswith("up-")} == {"up-whole"}
    (group,) = make_groups(world, world.up, 1)
    before = figures(world.up)["meetings_held"]
    hold_meeting(group)
    books.wait_until("the report has the meeting", lambda: figures(world.up)["meetings_held"] == before + 1)
    wait_for_nation(world, "UP", "BR")


def test_what_ended_is_known_here_as_soon_as_elsewhere(world):
    session = uuid4()
    held = token(world.up.instance, session)
    assert answers(world.up.instance, held) == all_say(LET_IN)
    end(world.up.instance, session)
    at_once(lambda: answers(world.up.instance, held) == all_say("SESSION_ENDED"))


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["BR"], "This stops Bihar (BR), backs it up, deletes it"),
        (["IN", "--yes"], "The nation stays"),
        (["KL", "--yes"], "There is no state KL on this machine. It has BR, UP."),
    ],
)
def test_what_is_not_to_be_removed_stays(world, words, sentence):
    ended = remove(world, *words)
    assert ended.returncode == 1
    assert sentence in ended.stderr
    assert world.machine.pid("br-whole")


def bring_back(world, state: State, folder):
    """As docs/operate.md has it: the folder in its place, and its backup restored."""
    folder.rename(state.instance.folder)
    world.machine.provision()
    restore(world.machine, state.code, state.instance.folder / BACKUP, Wish(by="the tests", drop_old=True))


def test_a_state_is_removed_and_brought_back_with_all_that_it_had(world):
    make_groups(world, world.br, 1)
    before = figures(world.br)
    url = world.br.instance.env["REPORTING_DATABASE_URL"].replace("+psycopg", "")
    broker = world.br.instance.env["REPORTING_AMQP_URL"]
    wait_for_nation(world, "UP", "BR")
    ended = remove(world, "BR", "--yes")
    assert ended.returncode == 0, ended.stderr
    assert freshness(world.nation) == {"UP": gateway_pb2.FRESHNESS_FRESH}
    assert "br-whole" not in {state.name for state in world.machine.states()}
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(url)
    with pytest.raises((AMQPError, OSError)):
        pika.BlockingConnection(pika.URLParameters(broker))
    with connect(world.machine.layout) as server:
        assert server.execute("select rolname from pg_roles where rolname like 'br\\_%'").fetchall() == []
    again = remove(world, "BR", "--yes")
    assert again.returncode == 1
    assert "There is no state BR" in again.stderr
    (folder,) = (world.machine.run / "removed").iterdir()
    bring_back(world, world.br, folder)
    assert figures(world.br) == before
    wait_for_nation(world, "UP", "BR")
