"""A signing key is rotated while people work: nobody is sent away before the old key is ended, and everybody is after."""

import contextlib
import os
import subprocess
import sys
import threading
from collections import Counter
from pathlib import Path

import jwt
import psycopg
import pytest

from deploy.demo import books
from deploy.demo.client import RefusedError
from protos import gateway_pb2, identity_pb2, profiles_pb2, reporting_pb2
from services.chassis import database
from services.kernel import month
from tests.flows.world import LET_IN, all_say, answers, figures, make_groups

pytestmark = [pytest.mark.flow, pytest.mark.timeout(600)]

REPORT = reporting_pb2.ReportRequest(report="summary", level="STATE", from_month="2001-01", to_month="2001-01")


@pytest.fixture(autouse=True)
def this_process_follows(world):
    """It has UP's settings, too."""
    yield
    for role in world.up.instance.roles:
        database.engine(role).dispose()
    database.engine.cache_clear()
    os.environ.update(world.up.instance.env)


def rotate(*words):
    command = [sys.executable, "-m", "deploy.machine", "rotate", *words]
    return subprocess.run(command, cwd=Path(__file__).parents[2], capture_output=True, text=True, check=False)


def key_of(token):
    return jwt.get_unverified_header(token)["kid"]


@contextlib.contextmanager
def people_at_work(state):
    """They call without a pause, and none of them is ever refused."""
    stopping, made, told = threading.Event(), Counter(), []
    calls = {
        "reporting": (state.reader, state.reader.reporting.Report, REPORT),
        "profiles": (state.clerk, state.clerk.profiles.ListInstitutions, profiles_pb2.ListInstitutionsRequest()),
        "identity": (state.block_admin, state.block_admin.identity.ListUsers, identity_pb2.ListUsersRequest()),
    }

    def work(service, client, method, request):
        while not stopping.is_set():
            try:
                client(method, request, retry_seconds=60)
            except RefusedError as error:
                told.append((service, str(error)))
            made[service] += 1

    threads = [threading.Thread(target=work, args=(service, *call)) for service, call in calls.items()]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        stopping.set()
        for thread in threads:
            thread.join()
    assert told == []
    assert made.keys() == calls.keys()


def own_keys(state):
    """The ids of the keys that the instance says its tokens are signed with."""
    return [key.key_id for key in jwt.PyJWKSet.from_json(state.nobody().identity.Keys(identity_pb2.KeysRequest(), timeout=20).jwks)]


def test_a_states_key(world):
    state = world.up
    old = state.reader.token
    with people_at_work(state):
        assert rotate("UP").returncode == 0
        state.reader.forget_token()
        assert figures(state)  # Which goes on trying until the server has started anew.
        new = state.reader.token
        assert answers(state.instance, new) == answers(state.instance, old) == all_say(LET_IN)
    assert key_of(new) != key_of(old)
    assert own_keys(state)[-2:] == [key_of(old), key_of(new)]
    early = rotate("UP", "--end-old")
    assert early.returncode == 1
    assert "may hold until" in early.stderr
    assert answers(state.instance, old) == all_say(LET_IN)
    try:
        assert rotate("UP", "--end-old", "--now").returncode == 0
    finally:
        for client in state.clients.values():
            client.forget_token()
    assert answers(state.instance, old) == all_say("TOKEN_FOREIGN")
    assert answers(state.instance, new) == all_say(LET_IN)
    assert own_keys(state) == [key_of(new)]
    assert figures(state)


def parts(nation):
    """UP's and BR's parts of the nation's answer: how fresh each is, and why it is not. A third state that a test before has ended stays MISSING."""
    gateway = nation.gateway()
    request = gateway_pb2.NationalReportRequest(report="summary", level="STATE", from_month="2000-01", to_month=month.month_of(month.today()))
    answer = gateway(gateway.gateway.NationalReport, request, retry_seconds=60)
    return {part.state: (gateway_pb2.Freshness.Name(part.freshness), part.reason) for part in answer.parts if part.state in {"UP", "BR"}}


def all_answer(nation):
    fresh = ("FRESHNESS_FRESH", "")
    try:
        books.wait_until("the states answer", lambda: set(parts(nation).values()) == {fresh})
    except RuntimeError:
        assert parts(nation) == dict.fromkeys(parts(nation), fresh)  # It says which did not, and why.


def test_the_nations_keys(world):
    all_answer(world.nation)
    old = world.nation.admin.token
    for words in ((), ("--end-old", "--now")):
        assert rotate("IN", *words).returncode == 0
        for client in world.nation.clients.values():
            client.forget_token()
        all_answer(world.nation)
    assert key_of(world.nation.admin.token) != key_of(old)


def test_passwords(world):
    old = world.up.instance.env["PROFILES_DATABASE_URL"].replace("+psycopg", "")
    assert rotate("UP", "--passwords").returncode == 0
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(old)
    assert figures(world.up)
    make_groups(world, world.up, 1)  # Which takes all services and the broker between them.


def test_whose_key_there_is_none(world):
    unknown = rotate("XX")
    assert (unknown.returncode, "There is no instance XX" in unknown.stderr) == (1, True)
