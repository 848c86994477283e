"""A session ends, and within 5 seconds no service and no gateway takes its tokens any more: also one that was away meanwhile."""

import urllib.request
from uuid import uuid4

import pytest

from deploy.demo.books import wait_until
from tests.flows.world import AT_ONCE_SECONDS, LET_IN, all_say, answers, at_once, end, token

pytestmark = [pytest.mark.flow, pytest.mark.timeout(300)]


def test_every_service_knows_at_once_what_ended_and_what_goes_on(running):
    instance, session, other = running.instances["UP"], uuid4(), uuid4()
    old, new, others = (token(instance, *one) for one in ((session, 3), (session, 4), (other, 3)))
    assert answers(instance, old) == all_say(LET_IN)
    end(instance, session, 3)
    at_once(lambda: answers(instance, old) == all_say("TOKEN_STALE"))
    assert answers(instance, new) == all_say(LET_IN)
    end(instance, session)
    at_once(lambda: answers(instance, new) == all_say("SESSION_ENDED"))
    assert answers(instance, old) == all_say("SESSION_ENDED")
    assert answers(instance, others) == all_say(LET_IN)


def test_who_was_away_meanwhile_has_missed_nothing(running):
    instance, session = running.instances["UP"], uuid4()
    held = token(instance, session)
    for program in ("up-consume", "up-drain"):
        running.stop(program)
    try:
        end(instance, session)
        own = all_say(LET_IN) | {"identity": "SESSION_ENDED"}
        at_once(lambda: answers(instance, held) == own)
    finally:
        for program in ("up-consume", "up-drain"):
            running.start(program)
        for program in ("up-consume", "up-drain"):
            running.wait_well(program)
    at_once(lambda: answers(instance, held) == all_say("SESSION_ENDED"))
    running.stop("up-serve")
    running.start("up-serve")
    running.wait_well("up-serve")
    assert answers(instance, held) == all_say("SESSION_ENDED"), "before the first call"


def test_the_gateway_refuses_the_ended_session_of_a_national_user_also_while_identity_is_away(running):
    instance, session = running.instances["IN"], uuid4()
    held, others = token(instance, session), token(instance, uuid4())

    def gateway(one):
        return answers(instance, one, ("gateway",))["gateway"]

    def age_seconds():
        with urllib.request.urlopen(f"http://127.0.0.1:{running.programs['in-gateway'].metrics_port}/metrics") as page:
            lines = page.read().decode().splitlines()
        return float(next(line.split()[1] for line in lines if line.startswith('lokos_ended_sessions_age_seconds{service="gateway"}')))

    assert gateway(held) == LET_IN
    end(instance, session)
    at_once(lambda: gateway(held) == "SESSION_ENDED")
    running.stop("in-serve")
    try:
        wait_until("the age tells", lambda: age_seconds() > AT_ONCE_SECONDS)
        assert (gateway(held), gateway(others)) == ("SESSION_ENDED", LET_IN)
    finally:
        running.start("in-serve")
        running.wait_well("in-serve")
    wait_until("the age tells", lambda: age_seconds() < AT_ONCE_SECONDS)
