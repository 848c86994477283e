"""Consul's agent as a registry: state instances in its catalogue, and the services of this very process (docs/decisions/0009)."""

import contextlib
import logging
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit
from uuid import uuid4

import consul
import requests

from services.chassis import settings
from services.chassis.discovery import WATCH_SECONDS, Instance, RegistryAwayError
from services.chassis.version import VERSION

log = logging.getLogger(__name__)

STATE = "lokos-state"
ANSWER_SECONDS_MAX = 5
ANNOUNCE_SECONDS = 10
META_VALUE_LENGTH_MAX = 512
# A state that is away is a gap that the nation must be told of, so its entry outlives long failures; a process's does not.
STATE_FORGOTTEN_AFTER = "168h"
SERVICE_FORGOTTEN_AFTER = "5m"

Answer = TypeVar("Answer")


class Agent:
    """The agent beside this process. Says in the log when it stops answering and when it answers again, and nothing in between."""

    def __init__(self, client: consul.Consul, token_file: Path | None) -> None:
        self._client = client
        self._client.http.session.trust_env = False  # No proxy stands between a process and its agent.
        self._token_file = token_file
        self._trouble = ""

    @classmethod
    def from_settings(cls) -> "Agent":
        """One that is missing or wrong ends the process by its name."""
        address = settings.text("CONSUL_HTTP_ADDR")
        parts = urlsplit(address if "//" in address else f"http://{address}")
        if parts.scheme not in {"http", "https"} or not _is_place(parts.netloc):
            raise SystemExit(f"The setting CONSUL_HTTP_ADDR must be host:port or https://host:port, not {address!r}.")
        authority = settings.text("CONSUL_CACERT", "") and str(settings.file("CONSUL_CACERT"))
        token_file = settings.file("CONSUL_HTTP_TOKEN_FILE") if settings.text("CONSUL_HTTP_TOKEN_FILE", "") else None
        client = consul.Consul(parts.hostname, parts.port, scheme=parts.scheme, verify=authority or True, connections_timeout=ANSWER_SECONDS_MAX)
        return cls(client, token_file)

    def ask(self, question: Callable[[consul.Consul], Answer]) -> Answer:
        try:
            if self._token_file:
                self._client.token = self._token_file.read_text(encoding="ascii").strip()  # Each time, so that it may be changed.
            answer = question(self._client)
        except (requests.RequestException, consul.ConsulException, OSError, ValueError) as error:  # ValueError: what is no JSON.
            trouble = type(error).__name__
            if trouble != self._trouble:
                log.warning("Consul does not answer as it should; what is known of it is kept, and it is asked again", extra={"error": trouble})
            self._trouble = trouble
            raise RegistryAwayError from error
        if self._trouble:
            log.info("Consul answers again")
            self._trouble = ""
        return answer

    def register(self, entry: "Entry") -> None:
        self.ask(
            lambda client: client.agent.service.register(
                entry.service, entry.key, entry.host, entry.port, meta=entry.meta, check=entry.check, replace_existing_checks=True
            )
        )

    def deregister(self, key: str) -> None:
        self.ask(lambda client: client.agent.service.deregister(key))

    def registered(self, filter_expression: str) -> dict[str, dict[str, Any]]:
        """What is registered with this agent, by key, as Consul writes it."""
        found: dict[str, dict[str, Any]] = self.ask(lambda client: client.agent.services(filter_expression))
        return found


@dataclass(frozen=True, slots=True)
class Entry:
    """What is registered with the agent. `health` is where it asks whether that is well: host:port, or host:port/name."""

    service: str
    key: str
    address: str
    meta: dict[str, str]
    health: str
    forgotten_after: str

    @property
    def host(self) -> str:
        return self.address.rpartition(":")[0]

    @property
    def port(self) -> int:
        return int(self.address.rpartition(":")[2])

    @property
    def check(self) -> dict[str, str | bool]:
        """A gRPC health check that does not verify the certificate.

        That comes from the instance's own authority, which the agent does not have; the agent says nothing there, and what
        it hears decides nothing. The names are the API's own, since older agents do not know those of py-consul's helper.
        """
        return {
            "GRPC": self.health,
            "GRPCUseTLS": True,
            "TLSSkipVerify": True,
            "Interval": "5s",
            "Timeout": "3s",
            "DeregisterCriticalServiceAfter": self.forgotten_after,
        }


def users_address() -> str:
    """Where others find the users' port of this process: the one for health, since the federation's lets in the nation alone."""
    advertised = _host_and_port("LOKOS_ADVERTISE")
    return _host_and_port("LOKOS_USERS_ADVERTISE", f"{advertised.rpartition(':')[0]}:{settings.number('LOKOS_GRPC_PORT')}")


def _host_and_port(name: str, default: str | None = None) -> str:
    value = settings.text(name, default)
    if not _is_place(value):
        raise SystemExit(f"The setting {name} must be host:port, not {value!r}.")
    return value


def _is_place(address: str) -> bool:
    host, _, port = address.rpartition(":")
    return bool(host) and port.isdecimal() and 0 < int(port) < 2**16


def _state_key(code: str) -> str:
    return f"{STATE}-{code}"


class ConsulRegistry:
    """State instances as the service "lokos-state". All of one lies in its meta, so that it comes, changes and goes as one."""

    def __init__(self, agent: Agent) -> None:
        self._agent = agent

    def put(self, instance: Instance) -> None:
        pieces = range(0, len(instance.certificate), META_VALUE_LENGTH_MAX)
        certificate = {f"certificate_{at:05}": instance.certificate[at : at + META_VALUE_LENGTH_MAX] for at in pieces}
        meta = {
            "state": instance.code,
            "lgd_code": str(instance.lgd_code),
            "version": instance.version,
            "registered_members": str(instance.registered_members),
            **certificate,
        }
        entry = Entry(STATE, _state_key(instance.code), instance.address, meta, users_address(), STATE_FORGOTTEN_AFTER)
        there = self._agent.registered(f'ID == "{entry.key}"').get(entry.key, {})
        if (there.get("Address"), there.get("Port"), there.get("Meta")) != (entry.host, entry.port, meta):
            self._agent.register(entry)

    def take_out(self, code: str) -> None:
        self._agent.deregister(_state_key(code))

    def watch(self, index: str = "") -> tuple[list[Instance] | None, str]:
        now, entries = self._agent.ask(lambda client: client.catalog.service(STATE, index=index or None, wait=f"{WATCH_SECONDS}s"))
        if now == index:
            return None, index
        # Of two entries of a state, which are its work's on two nodes, the one that was written last.
        instances = {found.code: found for entry in sorted(entries, key=lambda entry: int(entry["ModifyIndex"])) if (found := _read(entry))}
        # An index that went back is another Consul's, or an emptied one's: all is to be read anew.
        return sorted(instances.values(), key=lambda one: one.code), "" if index and int(now) < int(index) else now


def _read(entry: dict[str, Any]) -> Instance | None:
    try:
        meta = entry["ServiceMeta"]
        pieces = [meta[name] for name in sorted(meta) if name.startswith("certificate_")]
        return Instance(
            code=meta["state"],
            address=f"{entry['ServiceAddress']}:{entry['ServicePort']}",
            version=meta["version"],
            registered_members=int(meta["registered_members"]),
            certificate="".join(pieces),
            lgd_code=int(meta["lgd_code"]),
        )
    except (KeyError, TypeError, ValueError) as error:
        log.warning("an entry of the registry cannot be read", extra={"entry": entry.get("ServiceID"), "error": type(error).__name__})
        return None


@contextlib.contextmanager
def announced(agent: Agent, health_names: Mapping[str, str]) -> Iterator[None]:
    """Have this process's services in the catalogue, as "lokos-profiles" and so on, whenever Consul comes or comes back."""
    process = uuid4().hex
    meta = {"state": settings.instance(), "version": VERSION, "process": process}
    address = users_address()
    entries = [
        Entry(f"lokos-{service}", f"lokos-{service}-{settings.instance()}-{address}", address, meta, f"{address}/{name}", SERVICE_FORGOTTEN_AFTER)
        for service, name in health_names.items()
    ]
    stopping = threading.Event()
    thread = threading.Thread(target=_keep_announced, args=(agent, entries, process, stopping), name="announce", daemon=True)
    thread.start()
    try:
        yield
    finally:
        stopping.set()
        thread.join(2 * ANSWER_SECONDS_MAX)  # Serving ends, whether Consul hears of it or not.


def _keep_announced(agent: Agent, entries: list[Entry], process: str, stopping: threading.Event) -> None:
    """The last process to start at an address has its entries: one that it takes over from does not take them away."""
    mine = f'Meta.state == "{settings.instance()}"'
    begun: set[str] = set()
    while not stopping.is_set():
        with contextlib.suppress(RegistryAwayError):
            there = agent.registered(mine)
            for entry in entries:
                if entry.key not in begun or entry.key not in there:
                    agent.register(entry)
                    begun.add(entry.key)
                    log.info("announced to Consul", extra={"entry": entry.key})
        stopping.wait(ANNOUNCE_SECONDS)
    with contextlib.suppress(RegistryAwayError):
        for key, there in agent.registered(mine).items():
            if there["Meta"].get("process") == process:
                agent.deregister(key)
