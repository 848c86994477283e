"""The nation finds a state through a real Consul, whatever becomes of the state's processes and of Consul itself."""

import json
import os
import shutil
import signal
import time
import urllib.request
from dataclasses import replace
from itertools import pairwise

import grpc
import pytest
import requests
from consul import Consul, ConsulException

from deploy.demo import books
from deploy.machine import Machine, MachineError
from deploy.machine.consul import data, obtain
from protos import gateway_pb2, gateway_pb2_grpc
from services.chassis import tokens
from services.chassis.discovery import WATCH_SECONDS
from services.kernel import month
from services.kernel.caller import Caller, Role

pytestmark = [pytest.mark.flow, pytest.mark.timeout(400)]

PROGRAMS = ["up-serve", "up-work", "in-gateway"]
SERVICES = [f"lokos-{name}" for name in ("identity", "profiles", "transactions", "dedup", "reporting")]
FRESH = gateway_pb2.FRESHNESS_FRESH
# A serve process asks again after 10 seconds, reporting's work after 15; the rest is for the election, the checks and a busy machine.
RETRY_SECONDS = 15 + 60


class Nation:
    """The tests' machine while its states are found through Consul."""

    def __init__(self, machine):
        self.machine = machine
        self.consul = Consul("127.0.0.1", machine.layout.consul_port)
        own = machine.instances["IN"]
        credentials = grpc.ssl_channel_credentials(own.ca_file.read_bytes())
        self._channel = grpc.secure_channel(own.gateway_address, credentials)
        with pytest.MonkeyPatch.context() as environment:
            for name, value in own.env.items():
                environment.setenv(name, value)
            self._token, _ = tokens.sign_caller(Caller("IIN_ADMIN", Role.NATIONAL_ADMIN, ""))
        self._log = machine.layout.logs / "in-gateway.log"

    def close(self):
        self._channel.close()

    def parts(self):
        this_month = month.month_of(month.today())
        question = gateway_pb2.NationalReportRequest(report="summary", level="STATE", from_month="2000-01", to_month=this_month)
        stub = gateway_pb2_grpc.GatewayServiceStub(self._channel)
        answer = stub.NationalReport(question, timeout=30, wait_for_ready=True, metadata=(("authorization", f"Bearer {self._token}"),))
        return {part.state: part.freshness for part in answer.parts}

    def expect_up_to_be_asked(self):
        """On a busy machine a state may miss the gateway's deadline now and then."""
        books.wait_until("UP is fresh", lambda: self.parts().get("UP") == FRESH, 60)

    def checks(self, service):
        """Of UP's entry: no other instance goes over to Consul."""
        return [check["Status"] for check in self.consul.health.checks(service)[1]]

    def all_well(self):
        return all(self.checks(service) == ["passing"] for service in ("lokos-state", *SERVICES))

    def age_seconds(self):
        port = self.machine.programs["in-gateway"].metrics_port
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as answer:
            lines = answer.read().decode().splitlines()
        return float(next(line.split()[1] for line in lines if line.startswith("lokos_registry_age_seconds ")))

    def said_of_consul(self):
        """By the gateway that runs now."""
        lines = [json.loads(line) for line in self._log.read_text().splitlines() if line.startswith("{")]
        last_up = max(at for at, line in enumerate(lines) if line["message"] == "the gateway is up")
        return [(line["message"], line.get("error")) for line in lines[last_up:] if "Consul" in line["message"]]

    def signal_consul(self, number):
        os.kill(self.machine.pid("consul"), number)

    def end_consul(self):
        """kill -9, and its successor is not let up."""
        self.signal_consul(signal.SIGKILL)
        self.machine.stop("consul")


@pytest.fixture(scope="module")
def nation(machine):
    """UP and the gateway go over to Consul, and back to files when all is seen; the other programs stay as they are."""
    try:
        obtain()
    except MachineError as error:
        pytest.skip(str(error))
    ran = [program for program in PROGRAMS if machine.pid(program)]
    for program in PROGRAMS:
        machine.stop(program)
    switched = Machine(replace(machine.layout, registry="consul"))
    shutil.rmtree(data(switched.layout), ignore_errors=True)
    made = None
    try:
        switched.up(PROGRAMS, ["UP", "IN"])
        made = Nation(switched)
        books.wait_until("all is well in Consul", made.all_well, 60)
        yield made
    finally:
        if made:
            made.close()
        for program in PROGRAMS:
            machine.stop(program)
        machine.provision(["UP", "IN"])
        for program in ran:
            machine.start(program)
            machine.wait_well(program)


def test_the_gateway_finds_the_state_and_nothing_else(nation):
    """BR, where it runs, is in the files alone."""
    nation.expect_up_to_be_asked()
    assert set(nation.parts()) == {"UP"}
    books.wait_until("the registry is heard", lambda: nation.age_seconds() < 12, 30)
    assert nation.said_of_consul() == []


def test_a_state_that_appears_reaches_the_gateway_at_once(nation):
    entry = nation.consul.catalog.service("lokos-state")[1][0]
    meta = {**entry["ServiceMeta"], "state": "MP", "lgd_code": "23"}
    nation.consul.agent.service.register("lokos-state", "lokos-state-MP", "127.0.0.1", 1, meta=meta)
    try:
        books.wait_until("MP is a part", lambda: "MP" in nation.parts(), WATCH_SECONDS - 2)
    finally:
        nation.consul.agent.service.deregister("lokos-state-MP")
    time.sleep(2)
    assert set(nation.parts()) == {"UP", "MP"}, "a state that left is a gap, and is told"


def test_a_killed_serve_is_critical_and_is_asked_all_the_same_and_comes_back(nation):
    os.kill(nation.machine.pid("up-serve"), signal.SIGKILL)
    nation.machine.stop("up-serve")
    books.wait_until("all of it is critical", lambda: all(nation.checks(name) == ["critical"] for name in ("lokos-state", *SERVICES)), 60)
    assert "UP" in nation.parts()
    nation.machine.start("up-serve")
    nation.expect_up_to_be_asked()
    books.wait_until("all of it passes", nation.all_well, 60)


def test_a_graceful_stop_takes_the_services_out_and_leaves_the_state_in(nation):
    nation.machine.stop("up-serve")
    try:
        assert all(nation.checks(name) == [] for name in SERVICES)
        assert len(nation.checks("lokos-state")) == 1
    finally:
        nation.machine.start("up-serve")
    books.wait_until("all of it passes", nation.all_well, 60)


def test_consul_is_frozen_and_killed_and_comes_back_with_nothing(nation):
    said = len(nation.said_of_consul())
    nation.signal_consul(signal.SIGSTOP)
    books.wait_until("the gateway has noticed", lambda: nation.said_of_consul()[said:], 60)
    nation.expect_up_to_be_asked()
    assert nation.age_seconds() > 12
    nation.end_consul()
    books.wait_until("another trouble", lambda: len(nation.said_of_consul()) > said + 1, 60)
    nation.expect_up_to_be_asked()
    time.sleep(10)  # It is asked several times in between.
    assert all(one != other for one, other in pairwise(nation.said_of_consul())), "each trouble is said once"

    shutil.rmtree(data(nation.machine.layout))
    nation.machine.start("consul")
    nation.machine.wait_well("consul")
    books.wait_until("all is there again", lambda: no_error(nation.all_well), RETRY_SECONDS)
    books.wait_until("the gateway hears it", lambda: nation.age_seconds() < 12, 30)
    nation.expect_up_to_be_asked()


def no_error(question):
    """Consul refuses while it has no leader."""
    try:
        return question()
    except (ConsulException, requests.RequestException):
        return False


def test_a_gateway_that_starts_without_consul_waits_for_it(nation):
    nation.end_consul()
    nation.machine.stop("in-gateway")
    nation.machine.start("in-gateway")
    time.sleep(8)
    with pytest.raises(MachineError):
        nation.machine.wait_well("in-gateway", 0)
    nation.machine.start("consul")
    nation.machine.wait_well("in-gateway", 60)
    nation.expect_up_to_be_asked()
    assert set(nation.parts()) == {"UP"}
