"""A signing key is rotated while people work: nobody is sent away before the old key is ended, and everybody is after."""

import os
import subprocess
import sys
from pathlib import Path

import grpc
import jwt
import psycopg
import pytest

from deploy.demo import books
from deploy.demo.client import refused
from protos import gateway_pb2, reporting_pb2
from services.chassis import database
from services.kernel import month
from tests.flows.world import figures, make_groups

pytestmark = [pytest.mark.flow, pytest.mark.timeout(600)]


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


def code_with(state, token):
    """What a report is answered with to this very token."""
    request = reporting_pb2.ReportRequest(report="summary", level="STATE", from_month="2001-01", to_month="2001-01")
    try:
        state.nobody().reporting.Report(request, metadata=(("authorization", f"Bearer {token}"),), timeout=20)
    except grpc.RpcError as error:
        return refused(error).code
    return "OK"


def test_a_states_key(world):
    state = world.up
    old = state.reader.token
    assert rotate("UP").returncode == 0
    assert code_with(state, old) == "OK"
    state.reader.forget_token()
    new = state.reader.token
    assert key_of(new) != key_of(old)
    assert code_with(state, new) == "OK"
    early = rotate("UP", "--end-old")
    assert early.returncode == 1
    assert "may hold until" in early.stderr
    assert code_with(state, old) == "OK"
    try:
        assert rotate("UP", "--end-old", "--now").returncode == 0
    finally:
        for client in state.clients.values():
            client.forget_token()
    assert code_with(state, old) == "TOKEN_FOREIGN"
    assert code_with(state, new) == "OK"
    assert figures(state)


def test_the_nations_keys(world):
    def all_fresh():
        gateway = world.nation.gateway()
        request = gateway_pb2.NationalReportRequest(report="summary", level="STATE", from_month="2000-01", to_month=month.month_of(month.today()))
        answer = gateway(gateway.gateway.NationalReport, request, retry_seconds=60)
        return {part.freshness for part in answer.parts} == {gateway_pb2.FRESHNESS_FRESH}

    books.wait_until("the states answer", all_fresh)
    old = world.nation.admin.token
    for words in ((), ("--end-old", "--now")):
        assert rotate("IN", *words).returncode == 0
        for client in world.nation.clients.values():
            client.forget_token()
        books.wait_until("the states answer", all_fresh)
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
