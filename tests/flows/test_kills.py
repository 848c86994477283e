"""Whatever is killed, in the middle of 500 meetings being sent: each acknowledged meeting is in the ledger and in the report once."""

import os
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from deploy.demo import books
from deploy.demo.ledger import CASH
from protos import transactions_pb2
from tests.flows.world import figures, journal, make_groups

pytestmark = [pytest.mark.flow, pytest.mark.timeout(600)]

GROUPS = 10
MEETINGS = 50
A_CALL = 4  # As many as a device may hold unsent.
SAVED_PAISE = 5000
MEMBERS = 5


@pytest.fixture(scope="module")
def groups(world):
    return make_groups(world, world.up, GROUPS)


class Sending:
    """500 meetings, sent by ten devices at once and approved as they come; counts what was acknowledged."""

    def __init__(self, groups):
        self._groups = groups
        self._lock = threading.Lock()
        self.acknowledged = 0
        self.half = threading.Event()

    def run(self):
        with ThreadPoolExecutor(len(self._groups)) as pool:
            return sum(pool.map(self._group, self._groups))

    def _group(self, group):
        kept = group.ledger()
        meetings = [group.meeting(kept, SAVED_PAISE) for _ in range(MEETINGS)]
        for start in range(0, MEETINGS, A_CALL):
            self._send(group, meetings[start : start + A_CALL])
        return len(meetings)

    def _send(self, group, meetings):
        answers = books.sync(group.keeper, meetings)
        stored = {transactions_pb2.OUTCOME_APPLIED, transactions_pb2.OUTCOME_ALREADY_APPLIED}
        assert {answer.outcome for answer in answers} <= stored, [answer.refusal for answer in answers]
        for meeting in meetings:
            books.approve_meeting(group.approver, meeting.meeting_id)
        with self._lock:
            self.acknowledged += len(meetings)
            if self.acknowledged >= GROUPS * MEETINGS // 3:
                self.half.set()


def kill(machine, program):
    """kill -9 of the very process; the supervisor must bring it back."""
    pid = machine.pid(program)
    assert pid is not None
    if program == "rabbitmq":
        pid = beam_below(pid)
    os.kill(pid, signal.SIGKILL)


def beam_below(pid):
    """RabbitMQ's start script waits for the Erlang machine, which is what must die."""
    children = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text().rsplit(")", 1)
                children.setdefault(int(fields[1].split()[1]), []).append((int(entry.name), fields[0].split("(", 1)[1]))
            except OSError:
                continue
    waiting, found = [pid], []
    while waiting:
        for child, name in children.get(waiting.pop(), []):
            waiting.append(child)
            if name.startswith("beam"):
                found.append(child)
    return found[0] if found else pid


def expect_all_once(world, groups, before, sent):
    """The ledger and the report, once everything has settled."""
    state = world.up
    wanted = before["meetings_held"] + sent
    books.wait_until("the report has every meeting", lambda: figures(state)["meetings_held"] >= wanted, 120)
    time.sleep(2)  # Long enough for anything that would be counted twice.
    after = figures(state)
    assert after["meetings_held"] == wanted
    assert after["savings_paise"] == before["savings_paise"] + sent * SAVED_PAISE * MEMBERS
    assert after["attendance_present"] == before["attendance_present"] + sent * MEMBERS
    for group in groups:
        kept, lines = group.ledger(), journal(group)
        assert len(lines) == kept.number * MEMBERS
        assert len({(line.meeting_id, line.line) for line in lines}) == len(lines)
        assert kept.approved_through == kept.number
        assert kept.balances[CASH] == sum(line.amount_paise for line in lines)
        trial = group.keeper(group.keeper.transactions.TrialBalance, transactions_pb2.TrialBalanceRequest(institution_id=group.institution_id))
        assert trial.through_number == kept.number
        assert trial.debit_total_paise == trial.credit_total_paise == kept.balances[CASH]


@pytest.mark.parametrize("program", ["up-serve", "up-consume", "up-drain", "up-relay", "up-work", "rabbitmq", "postgres"])
def test_a_kill_loses_nothing_and_doubles_nothing(world, groups, program):
    before = figures(world.up)
    sending = Sending(groups)
    killer = threading.Thread(target=lambda: (sending.half.wait(120), kill(world.machine, program)))
    killer.start()
    sent = sending.run()
    killer.join()
    world.machine.wait_well(program, 90)
    expect_all_once(world, groups, before, sent)


@pytest.mark.parametrize("program", ["up-drain", "up-consume"])
def test_a_consumer_killed_ten_times_in_a_row_counts_each_event_once(world, groups, program):
    before = figures(world.up)
    sending = Sending(groups)
    done = threading.Event()

    def ten_times():
        for _ in range(10):
            pid = books.wait_until(f"{program} runs again", lambda: world.machine.pid(program), 60)
            os.kill(pid, signal.SIGKILL)
            books.wait_until(f"{program} died", lambda old=pid: world.machine.pid(program) != old, 60)
            if done.wait(1.0):
                time.sleep(0.5)

    killer = threading.Thread(target=ten_times)
    killer.start()
    sent = sending.run()
    done.set()
    killer.join()
    world.machine.wait_well(program, 90)
    expect_all_once(world, groups, before, sent)


def test_a_graceful_restart_of_every_process_loses_nothing(world, groups):
    before = figures(world.up)
    sending = Sending(groups)

    def restart():
        sending.half.wait(120)
        for program in ("up-serve", "up-consume", "up-drain", "up-relay", "up-work"):
            world.machine.stop(program)
            world.machine.start(program)
            world.machine.wait_well(program, 90)

    restarter = threading.Thread(target=restart)
    restarter.start()
    sent = sending.run()
    restarter.join()
    expect_all_once(world, groups, before, sent)
