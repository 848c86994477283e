"""A session ends, and within 5 seconds no service and no gateway takes its tokens any more: also one that was away meanwhile."""

import time
import urllib.request
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import grpc
import pytest
from sqlalchemy import create_engine

from deploy.demo.client import refused
from protos.identity_pb2 import SessionEnded
from services.chassis import contracts, ended, mailbox, tokens
from services.kernel.caller import Caller, Role, Session

pytestmark = [pytest.mark.flow, pytest.mark.timeout(300)]

AT_ONCE_SECONDS = 5
SERVICES = ("identity", "profiles", "transactions", "dedup", "reporting")
ROLE = Role.SHG_BOOKKEEPER
LET_IN = "ROLE_NOT_ALLOWED"  # What a user hears whose token is good, where her role is none that may call.


@pytest.fixture(scope="module")
def running(up):
    up.up()
    return up


@pytest.fixture
def token(running, monkeypatch):
    """Signs a token of a session as the identity of an instance does."""

    def sign(code, session_id, generation):
        with monkeypatch.context() as there:
            for name, value in running.instances[code].env.items():
                there.setenv(name, value)
            return tokens.sign_caller(Caller("IXX_X", ROLE, session=Session(session_id, generation)))[0]

    return sign


def end(instance, session_id, generation=ended.ENDED):
    """As identity does: its own row and the event, in one transaction."""
    until = datetime.now(UTC) + timedelta(minutes=10)
    message = SessionEnded(session_id=str(session_id), generation=generation)
    message.until.FromDatetime(until)
    engine = create_engine(instance.env["IDENTITY_DATABASE_URL"])
    with engine.begin() as connection:
        ended.keep(connection, session_id, generation, until)
        mailbox.tell(connection, message, subject=session_id, version=generation)
    engine.dispose()


def answers(instance, held, services=SERVICES):
    """What each service says to a token, by code."""
    address = instance.gateway_address if services == ("gateway",) else instance.grpc_address
    found = {}
    with grpc.secure_channel(address, grpc.ssl_channel_credentials(instance.ca_file.read_bytes())) as channel:
        for service in services:
            path = next(rpc.path for rpc in contracts.rpcs(service).values() if rpc.roles and ROLE not in rpc.roles)
            with pytest.raises(grpc.RpcError) as error:
                channel.unary_unary(path)(b"", metadata=(("authorization", f"Bearer {held}"),), timeout=20)
            found[service] = refused(error.value).code
    return found


def all_say(code, services=SERVICES):
    return dict.fromkeys(services, code)


def wait_until(question, wanted, seconds=AT_ONCE_SECONDS):
    deadline = time.monotonic() + seconds
    while (answer := question()) != wanted:
        assert time.monotonic() < deadline, answer
        time.sleep(0.1)


def test_every_service_knows_at_once_what_ended_and_what_goes_on(running, token):
    instance, session, other = running.instances["UP"], uuid4(), uuid4()
    old, new, others = token("UP", session, 3), token("UP", session, 4), token("UP", other, 3)
    assert answers(instance, old) == all_say(LET_IN)
    end(instance, session, 3)
    wait_until(lambda: answers(instance, old), all_say("TOKEN_STALE"))
    assert answers(instance, new) == all_say(LET_IN)
    end(instance, session)
    wait_until(lambda: answers(instance, new), all_say("SESSION_ENDED"))
    assert answers(instance, old) == all_say("SESSION_ENDED")
    assert answers(instance, others) == all_say(LET_IN)


def test_who_was_away_meanwhile_has_missed_nothing(running, token):
    instance, session = running.instances["UP"], uuid4()
    held = token("UP", session, 1)
    for program in ("up-consume", "up-drain"):
        running.stop(program)
    try:
        end(instance, session)
        own = all_say(LET_IN) | {"identity": "SESSION_ENDED"}
        wait_until(lambda: answers(instance, held), own)
    finally:
        for program in ("up-consume", "up-drain"):
            running.start(program)
        for program in ("up-consume", "up-drain"):
            running.wait_well(program)
    wait_until(lambda: answers(instance, held), all_say("SESSION_ENDED"))
    running.stop("up-serve")
    running.start("up-serve")
    running.wait_well("up-serve")
    assert answers(instance, held) == all_say("SESSION_ENDED"), "before the first call"


def test_the_gateway_refuses_the_ended_session_of_a_national_user_also_while_identity_is_away(running, token):
    instance, session = running.instances["IN"], uuid4()
    held, others = token("IN", session, 1), token("IN", uuid4(), 1)

    def gateway(one):
        return answers(instance, one, ("gateway",))["gateway"]

    def age_seconds():
        with urllib.request.urlopen(f"http://127.0.0.1:{running.programs['in-gateway'].metrics_port}/metrics") as page:
            lines = page.read().decode().splitlines()
        return float(next(line.split()[1] for line in lines if line.startswith('lokos_ended_sessions_age_seconds{service="gateway"}')))

    assert gateway(held) == LET_IN
    end(instance, session)
    wait_until(lambda: gateway(held), "SESSION_ENDED")
    running.stop("in-serve")
    try:
        wait_until(lambda: age_seconds() > AT_ONCE_SECONDS, wanted=True, seconds=30)
        assert (gateway(held), gateway(others)) == ("SESSION_ENDED", LET_IN)
    finally:
        running.start("in-serve")
        running.wait_well("in-serve")
    wait_until(lambda: age_seconds() < AT_ONCE_SECONDS, wanted=True, seconds=30)
