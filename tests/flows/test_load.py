"""Load over real processes: people made through the front door, the sender and Locust at work, nothing lost or twice."""

import asyncio
import csv
import json
import os
import random
import re
import subprocess
import sys
import threading

import pytest

from deploy.demo import books
from deploy.machine import MachineError
from deploy.machine.layout import LOAD_VENV
from deploy.machine.setup import prepare
from loadtests import journeys, people
from loadtests.client import Network, people_json
from loadtests.sender import Asyncio
from tests.flows.world import ROOT, database

pytestmark = [pytest.mark.flow, pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def crowd(world, tmp_path_factory):
    """Two groups that can meet, and the file that says so."""
    file = tmp_path_factory.mktemp("load") / "UP.json"
    return people.make(world.machine, "UP", 2, file), file


@pytest.fixture(scope="module")
def python():
    """The interpreter of the load's own virtual environment."""
    try:
        prepare(load=True)
    except MachineError as error:
        if os.environ.get("CI"):
            raise
        pytest.skip(f"LOAD IS NOT TESTED: its packages cannot be installed here: {error}")
    return str(LOAD_VENV / "bin" / "python")


def meetings_stored(world, crowd):
    ids = [group.institution_id for user in crowd[0].users for group in user.institutions]
    with database(world.up, "transactions") as kept:
        return kept.execute("select count(*) from meetings where institution_id = any(%s)", [ids]).fetchone()[0]


def run(*words):
    return subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False)


def acknowledged(done):
    """How many meetings the run says were acknowledged, all told and found again in the books."""
    return int(re.search(r"checked: ([\d,]+) acknowledged meetings are in the books, each once", done.stdout)[1].replace(",", ""))


def test_people_are_made_once(world, crowd):
    made, file = crowd
    assert [len(group.member_ids) for user in made.in_role("SHG_BOOKKEEPER") for group in user.institutions] == [people.MEMBERS] * 2
    before = meetings_stored(world, crowd)
    again = people.make(world.machine, "UP", 2, file.with_name("again.json"))
    assert again == made
    assert meetings_stored(world, crowd) == before


def test_the_sender_loses_nothing_while_the_server_restarts(world, crowd, python):
    before = meetings_stored(world, crowd)

    def restart():
        books.wait_until("the sender has begun", lambda: meetings_stored(world, crowd) > before)
        world.machine.stop("up-serve")
        world.machine.start("up-serve")

    restarting = threading.Thread(target=restart)
    restarting.start()
    done = run(python, "-m", "loadtests.sender", "--people", str(crowd[1]), "--seconds", "8", "--devices", "2")
    restarting.join()
    world.machine.wait_well("up-serve")
    assert done.returncode == 0, done.stdout + done.stderr
    assert acknowledged(done) > 0
    assert meetings_stored(world, crowd) == before + acknowledged(done)
    # Whatever was under way met the restart, an officer's reading as well as a meeting.
    steps = re.findall(r"^ +\w+ +\w+ +[\d,]+ +([\d,]+) +([\d,]+) ", done.stdout, re.MULTILINE)
    assert {failures for failures, _ in steps} == {"0"}, done.stdout
    assert {again for _, again in steps} != {"0"}, done.stdout


def test_the_sender_keeps_an_open_rate_or_says_that_it_does_not(world, crowd, python):
    before = meetings_stored(world, crowd)
    done = run(python, "-m", "loadtests.sender", "--people", str(crowd[1]), "--seconds", "3", "--rate", "4")
    assert done.returncode == 0 or "journeys had no group by the end" in done.stdout, done.stdout + done.stderr
    assert "from when they were due" in done.stdout
    assert meetings_stored(world, crowd) == before + acknowledged(done)


def test_locust_plays_everybody_and_leaves_its_reports(world, crowd, python):
    before = meetings_stored(world, crowd)
    done = run(sys.executable, "-m", "loadtests", "--people", str(crowd[1]), "--users", "10", "-r", "10", "--seconds", "5", "--think-seconds", "0.2")
    assert done.returncode == 0, done.stdout + done.stderr
    assert acknowledged(done) > 0
    assert meetings_stored(world, crowd) == before + acknowledged(done)
    newest = max(file for file in (world.machine.run / "load").glob("*/locust.html"))
    assert "<html" in newest.read_text()
    with newest.with_name("locust_stats.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert {row["Failure Count"] for row in rows} == {"0"}
    assert {"SyncMeetings", "ApproveMeetings", "NationalReport", "ListTasks", "Login"} <= {row["Name"] for row in rows}


def test_a_day_is_played_through_its_phases(crowd, python):
    done = run(sys.executable, "-m", "loadtests", "--people", str(crowd[1]), "--day-seconds", "24", "--peak-users", "4", "--think-seconds", "0.2")
    assert done.returncode == 0, done.stdout + done.stderr
    told = [line.partition(",")[0] for line in done.stderr.splitlines() if ", until " in line]
    # A busy machine may sleep through a phase of three seconds.
    assert told == [phase.name for phase in journeys.DAY if phase.name in told]
    assert len(told) >= 4
    assert acknowledged(done) > 0


def test_wrong_passwords_and_a_system_that_is_away_are_a_failed_run(crowd, python, tmp_path):
    told = json.loads(people_json(crowd[0]))
    for user in told["users"]:
        user["password"] = "another one, not hers"
    file = tmp_path / "wrong.json"
    file.write_text(json.dumps(told))
    done = run(python, "-m", "loadtests.sender", "--people", str(file), "--seconds", "1")
    assert (done.returncode, "LOGIN_FAILED" in done.stderr) == (1, True), done.stderr
    done = run(sys.executable, "-m", "loadtests", "--people", str(file), "--users", "3", "--seconds", "2")
    assert (done.returncode, "requests failed; at most 1% may" in done.stdout) == (1, True), done.stdout
    told["state"]["address"] = "127.0.0.1:9"
    file.write_text(json.dumps(told))
    done = run(sys.executable, "-m", "loadtests", "--people", str(file))
    assert (done.returncode, "Nobody answers at 127.0.0.1:9" in done.stderr) == (1, True), done.stderr


def test_the_check_sees_what_is_missing_and_what_another_stored(crowd):
    def seats():
        return journeys.Roster(crowd[0], Network(Asyncio(), 1), lambda _: None, random.Random())

    async def story():
        (device, book), (other_device, other_book) = seats().books
        await journeys.hold_meetings(device, book)
        await journeys.hold_meetings(device, book, 3)
        await journeys.hold_meetings(other_device, other_book)
        assert await journeys.check_books([(device, book), (other_device, other_book)]) == []
        # Acknowledged by another group's books, and so not in these.
        book.acknowledged.append(other_book.acknowledged[0])
        assert await journeys.check_book(device, book) == "1 meetings lost"
        book.acknowledged.pop()
        # A second device of the same bookkeeper.
        (second_device, second_book), _ = seats().books
        await journeys.hold_meetings(second_device, second_book)
        assert await journeys.check_book(device, book) == "the books stand otherwise than the device left them"
        book.ledger = second_book.ledger
        assert await journeys.check_book(device, book) == "1 meetings stored that nobody here sent"

    asyncio.run(story())
