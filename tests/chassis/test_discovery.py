"""One contract for every registry: a folder of files, and Consul with a real agent."""

import json
import logging
import os
import re
import shutil
import signal
import subprocess
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import grpc
import pytest
import requests
from consul import Consul, ConsulException
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

from deploy.machine import MachineError, consul, keys
from deploy.machine.layout import Layout
from services.chassis import consul as adapter
from services.chassis import discovery
from services.chassis.consul import ConsulRegistry
from services.chassis.discovery import FileRegistry, Instance, RegistryAwayError

ROOT = Path(__file__).parents[2]
CERTIFICATE = "-----BEGIN CERTIFICATE-----\n" + ("MIIB" * 16 + "\n") * 10 + "-----END CERTIFICATE-----\n"
UP = Instance("UP", "up.example:8444", "0.1.0", 4_20_00_000, CERTIFICATE, 9)
WAKES_SECONDS = discovery.WATCH_SECONDS - 2  # One that was not woken would take all of it.


class Agent:
    """A Consul of the tests' own."""

    def __init__(self, run):
        # Above the last instance's block of ports of the tests' machine.
        self.layout = Layout(run, Layout.from_environment().port_base + 990)
        self.url = f"http://127.0.0.1:{self.layout.consul_port}"
        self.client = Consul("127.0.0.1", self.layout.consul_port)
        self.process = None
        consul.initialise(self.layout)

    def start(self, **besides):
        """`besides` is configuration that the private Consul does not have."""
        file = self.layout.run / "besides.json"
        file.write_text(json.dumps(besides))
        with (self.layout.run / "agent.log").open("ab") as out:
            self.process = subprocess.Popen([*consul.command(self.layout), f"-config-file={file}"], stdout=out, stderr=out)
        until("Consul has a leader", self._leads)

    def _leads(self):
        try:
            return self.client.status.leader() and self.client.catalog.nodes()[1]
        except (requests.ConnectionError, ConsulException):
            return False

    def kill(self):
        self.process.kill()
        self.process.wait()

    def empty(self):
        """As after the loss of its disk."""
        self.kill()
        shutil.rmtree(consul.data(self.layout))

    def frozen(self, seconds):
        os.kill(self.process.pid, signal.SIGSTOP)
        threading.Timer(seconds, os.kill, (self.process.pid, signal.SIGCONT)).start()

    def forget(self):
        for key in self.client.agent.services():
            self.client.agent.service.deregister(key)

    def write(self, what, body):
        requests.put(f"{self.url}/v1/{what}", json=body, headers={"X-Consul-Token": self.client.token}, timeout=5).raise_for_status()

    def checks(self, service):
        return [check["Status"] for check in self.client.health.checks(service)[1]]


def until(what, done, seconds=30):
    ends = time.monotonic() + seconds
    while not (found := done()):
        assert time.monotonic() < ends, f"not within {seconds} seconds: {what}"
        time.sleep(0.05)
    return found


@pytest.fixture(scope="module")
def running(tmp_path_factory):
    try:
        made = Agent(tmp_path_factory.mktemp("consul"))
    except MachineError as error:
        pytest.skip(str(error))
    made.start()
    yield made
    made.kill()


@pytest.fixture
def agent(running, monkeypatch):
    """Consul as an instance's process has it."""
    running.forget()
    monkeypatch.setenv("LOKOS_STATE_FILE", str(ROOT / "deploy/states/UP.toml"))
    monkeypatch.setenv("LOKOS_REGISTRY", "consul")
    monkeypatch.setenv("CONSUL_HTTP_ADDR", running.url)
    monkeypatch.setenv("LOKOS_ADVERTISE", "127.0.0.1:1")
    monkeypatch.setenv("LOKOS_GRPC_PORT", "2")
    return running


class Files:
    def __init__(self, folder):
        self._folder = folder

    def open(self):
        return FileRegistry(self._folder)

    def spoil(self):
        (self._folder / "XX.json").write_text('{"code": "XX"}')
        (self._folder / "YY.json").write_text("{")


class Catalogue:
    def __init__(self, agent):
        self._agent = agent

    def open(self):
        return ConsulRegistry(adapter.Agent.from_settings())

    def spoil(self):
        register = self._agent.client.agent.service.register
        register("lokos-state", "lokos-state-XX", "127.0.0.1", 1)
        register("lokos-state", "lokos-state-YY", "127.0.0.1", 1, meta={"state": "YY", "version": "1", "lgd_code": "1", "registered_members": "many"})


@pytest.fixture(params=["file", "consul"])
def place(request, tmp_path):
    return Files(tmp_path / "registry") if request.param == "file" else Catalogue(request.getfixturevalue("agent"))


def known(place):
    return place.open().watch()[0]


def test_what_was_put_is_read_by_others_to_the_last_field(place):
    assert known(place) == []
    place.open().put(UP)
    assert known(place) == [UP]
    changed = replace(UP, address="10.0.0.7:9000", version="0.2.0", registered_members=0, certificate=CERTIFICATE * 5)
    place.open().put(changed)
    assert known(place) == [changed]
    place.open().put(replace(changed, certificate="short"))
    assert known(place) == [replace(changed, certificate="short")]


def test_all_states_come_by_their_code(place):
    states = [replace(UP, code=f"{chr(65 + at % 26)}{chr(65 + at // 26)}", lgd_code=at + 1) for at in range(36)]
    registry = place.open()
    for state in reversed(states):
        registry.put(state)
    assert known(place) == sorted(states, key=lambda state: state.code)


def test_an_entry_that_cannot_be_read_is_logged_and_left_out(place, caplog):
    place.open().put(UP)
    place.spoil()
    assert known(place) == [UP]
    told = [record for record in caplog.records if "cannot be read" in record.message]
    assert len(told) == 2
    assert all("XX" in record.entry or "YY" in record.entry for record in told)


def test_a_watch_wakes_when_a_state_appears_or_changes(place):
    watcher, writer = place.open(), place.open()
    writer.put(UP)
    found, index = watcher.watch()
    for state in (replace(UP, code="BR", lgd_code=10), replace(UP, address="elsewhere:1"), replace(UP, registered_members=7)):
        with ThreadPoolExecutor(1) as pool:
            watching = pool.submit(watcher.watch, index)
            time.sleep(0.3)
            assert not watching.done()
            writer.put(state)
            found, index = watching.result(WAKES_SECONDS)
        assert state in found


def test_a_watch_of_what_does_not_change_ends_with_nothing_new(place, monkeypatch):
    for module in (discovery, adapter):
        monkeypatch.setattr(module, "WATCH_SECONDS", 1)
    registry = place.open()
    registry.put(UP)
    _, index = registry.watch()
    assert registry.watch(index) == (None, index)


def test_many_put_at_the_same_time_and_each_state_is_there_once_and_whole(place):
    def put(at):
        code = ("UP", "BR", "MP")[at % 3]
        place.open().put(replace(UP, code=code, lgd_code=at % 3 + 1, registered_members=at, certificate=f"{at:04}" * 200))

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(put, range(60)))
    found = known(place)
    assert [state.code for state in found] == ["BR", "MP", "UP"]
    for state in found:
        assert state.certificate == f"{state.registered_members:04}" * 200


def test_a_put_that_changes_nothing_writes_nothing(agent):
    registry = ConsulRegistry(adapter.Agent.from_settings())
    registry.put(UP)
    before = agent.client.catalog.service("lokos-state")[1]
    registry.put(UP)
    assert agent.client.catalog.service("lokos-state")[1] == before


def test_of_a_states_two_entries_the_one_written_last_holds(agent):
    """Its work may move to another node, whose agent is another."""
    ConsulRegistry(adapter.Agent.from_settings()).put(UP)
    entry = agent.client.catalog.service("lokos-state")[1][0]
    service = {"ID": "lokos-state-UP", "Service": "lokos-state", "Address": "moved.example", "Port": 5, "Meta": entry["ServiceMeta"]}
    moved = {"Node": "another", "Address": "127.0.0.2", "Service": service}
    agent.write("catalog/register", moved)
    try:
        assert ConsulRegistry(adapter.Agent.from_settings()).watch()[0] == [replace(UP, address="moved.example:5")]
    finally:
        agent.write("catalog/deregister", {"Node": "another"})


def test_a_slow_answer_is_waited_for(agent):
    registry = ConsulRegistry(adapter.Agent.from_settings())
    agent.frozen(seconds=2)
    registry.put(UP)
    agent.frozen(seconds=2)
    assert registry.watch()[0] == [UP]


def test_consul_goes_away_and_comes_back_empty_and_each_is_said_once(agent, caplog, monkeypatch):
    caplog.set_level(logging.INFO)
    monkeypatch.setattr(adapter, "WATCH_SECONDS", 2)
    registry = ConsulRegistry(adapter.Agent.from_settings())
    for members in range(40):  # So that its index is well ahead of that of a fresh Consul.
        registry.put(replace(UP, registered_members=members))
    _, index = registry.watch()
    agent.empty()
    try:
        for _ in range(3):
            with pytest.raises(RegistryAwayError):
                registry.put(UP)
            with pytest.raises(RegistryAwayError):
                registry.watch(index)
    finally:
        agent.start()
    registry.put(UP)
    found, lower = registry.watch(index)
    assert (found, lower) == ([UP], ""), "what a fresh Consul says is read from its beginning"
    assert registry.watch(lower)[0] == [UP]
    said = [record.message for record in caplog.records if record.name == adapter.__name__]
    assert len(said) == 2
    assert "does not answer" in said[0]
    assert "answers again" in said[1]


def page_policy(name):
    """What docs/operate.md says that a token needs."""
    return re.search(rf"^    # {name}\n((?:    .+\n)+)", (ROOT / "docs/operate.md").read_text(), re.MULTILINE)[1]


def test_the_rights_that_the_page_names_suffice(agent, tmp_path, monkeypatch):
    """And a token that is written anew is taken without a restart."""
    agent.empty()
    agent.client.token = "root"
    try:
        agent.start(acl={"enabled": True, "default_policy": "deny", "tokens": {"master": "root", "agent": "root"}})
        tokens = {}
        for name in ("state", "gateway"):
            agent.write("acl/policy", {"Name": name, "Rules": page_policy(name)})
            tokens[name] = agent.client.acl.token.create(policies_name=[name])["SecretID"]
        file = tmp_path / "token"
        file.write_text("nobody\n")
        monkeypatch.setenv("CONSUL_HTTP_TOKEN_FILE", str(file))
        registry = ConsulRegistry(adapter.Agent.from_settings())
        with pytest.raises(RegistryAwayError):
            registry.put(UP)
        file.write_text(tokens["state"] + "\n")
        registry.put(UP)
        with adapter.announced(adapter.Agent.from_settings(), {"profiles": "lokos.profiles"}):
            until("the service is there", lambda: agent.client.catalog.service("lokos-profiles")[1])
        assert not agent.client.catalog.service("lokos-profiles")[1]
        file.write_text(tokens["gateway"])
        assert registry.watch()[0] == [UP]
        with pytest.raises(RegistryAwayError):
            registry.put(replace(UP, registered_members=1))
    finally:
        agent.client.token = None
        agent.empty()
        agent.start()


@pytest.fixture
def instances(tmp_path):
    """UP and the nation, with their keys and authorities."""
    made = Layout(tmp_path, 1024, ("UP",)).instances()
    keys.make_keys(made)
    return made


def test_an_agent_behind_tls_must_be_of_the_authority_named(agent, instances, monkeypatch):
    folder, port = instances["UP"].keys, agent.layout.consul_port + 3
    agent.kill()
    try:
        agent.start(ports={"https": port}, cert_file=str(folder / "tls.pem"), key_file=str(folder / "tls.key"))
        monkeypatch.setenv("CONSUL_HTTP_ADDR", f"https://127.0.0.1:{port}")
        monkeypatch.setenv("CONSUL_CACERT", str(instances["UP"].ca_file))
        ConsulRegistry(adapter.Agent.from_settings()).put(UP)
        for wrong in (str(instances["IN"].ca_file), ""):
            monkeypatch.setenv("CONSUL_CACERT", wrong)
            with pytest.raises(RegistryAwayError):
                ConsulRegistry(adapter.Agent.from_settings()).watch()
    finally:
        agent.empty()
        agent.start()


@pytest.fixture
def server(agent, instances, monkeypatch):
    """Health over TLS, with a certificate of the instance's own authority, as a serve process has it."""
    folder = instances["UP"].keys
    made = grpc.server(ThreadPoolExecutor(4))
    checks = health.HealthServicer()
    health_pb2_grpc.add_HealthServicer_to_server(checks, made)
    port = made.add_secure_port("127.0.0.1:0", grpc.ssl_server_credentials([((folder / "tls.key").read_bytes(), (folder / "tls.pem").read_bytes())]))
    monkeypatch.setenv("LOKOS_GRPC_PORT", str(port))
    made.start()
    yield checks
    made.stop(0).wait()


NAMES = {"profiles": "lokos.profiles.v1.ProfilesService", "dedup": "lokos.dedup.v1.DedupService"}


def test_services_are_in_the_catalogue_with_their_own_health_until_they_stop(agent, server):
    for name in NAMES.values():
        server.set(name, health_pb2.HealthCheckResponse.SERVING)
    with adapter.announced(adapter.Agent.from_settings(), NAMES):
        until("both are well", lambda: agent.checks("lokos-profiles") == agent.checks("lokos-dedup") == ["passing"])
        (entry,) = agent.client.catalog.service("lokos-profiles")[1]
        assert f"{entry['ServiceAddress']}:{entry['ServicePort']}" == adapter.users_address()
        assert {**entry["ServiceMeta"], "process": ""} == {"state": "UP", "version": adapter.VERSION, "process": ""}
        server.set(NAMES["dedup"], health_pb2.HealthCheckResponse.NOT_SERVING)
        until("one is not", lambda: agent.checks("lokos-dedup") == ["critical"])
        assert agent.checks("lokos-profiles") == ["passing"]
    assert agent.client.agent.services() == {}


def test_a_process_that_was_taken_over_from_leaves_its_successors_entries(agent):
    with adapter.announced(adapter.Agent.from_settings(), NAMES):
        until("the first is there", lambda: len(agent.client.agent.services()) == len(NAMES))
        before = agent.client.agent.services()
        successor = adapter.announced(adapter.Agent.from_settings(), NAMES)
        successor.__enter__()
        until("the second has taken over", lambda: all(entry != before[key] for key, entry in agent.client.agent.services().items()))
    assert set(agent.client.agent.services()) == set(before)
    successor.__exit__(None, None, None)
    assert agent.client.agent.services() == {}


def test_serving_does_not_wait_until_consul_has_heard_of_it(agent):
    agent.frozen(seconds=4)
    started = time.monotonic()
    with adapter.announced(adapter.Agent.from_settings(), NAMES):
        assert time.monotonic() - started < 3
        until("both are there", lambda: len(agent.client.agent.services()) == len(NAMES))


def test_services_are_announced_once_consul_comes_and_again_where_it_forgot_them(agent, monkeypatch):
    monkeypatch.setattr(adapter, "ANNOUNCE_SECONDS", 0.5)
    agent.empty()
    with adapter.announced(adapter.Agent.from_settings(), NAMES):
        agent.start()
        until("both are there", lambda: len(agent.client.agent.services()) == len(NAMES))
        agent.forget()
        until("both are there again", lambda: len(agent.client.agent.services()) == len(NAMES))


@pytest.mark.parametrize(
    ("setting", "value", "sentence"),
    [
        ("LOKOS_REGISTRY", "etcd", "LOKOS_REGISTRY must be file or consul"),
        ("CONSUL_HTTP_ADDR", "", "CONSUL_HTTP_ADDR is missing"),
        ("CONSUL_HTTP_ADDR", "consul", "must be host:port or https://host:port, not 'consul'"),
        ("CONSUL_HTTP_ADDR", "ftp://consul:8500", "must be host:port"),
        ("CONSUL_HTTP_TOKEN_FILE", "/nowhere", "CONSUL_HTTP_TOKEN_FILE names /nowhere"),
        ("CONSUL_CACERT", "/nowhere", "CONSUL_CACERT names /nowhere"),
        ("LOKOS_ADVERTISE", "up.example", "LOKOS_ADVERTISE must be host:port"),
        ("LOKOS_USERS_ADVERTISE", "up.example:many", "LOKOS_USERS_ADVERTISE must be host:port"),
    ],
)
def test_a_wrong_setting_ends_the_process_by_its_name(monkeypatch, setting, value, sentence):
    plain = {"LOKOS_REGISTRY": "consul", "CONSUL_HTTP_ADDR": "https://consul.example:8501", "LOKOS_ADVERTISE": "a:1", "LOKOS_GRPC_PORT": "2"}
    for name, given in {**plain, setting: value}.items():
        monkeypatch.setenv(name, given)
    discovery.registry.cache_clear()
    try:
        with pytest.raises(SystemExit, match=re.escape(sentence)):
            discovery.check()
    finally:
        discovery.registry.cache_clear()
