"""What lies where on one machine: the folders, the ports, the instances and the programs. Standard library only."""

from __future__ import annotations

import hashlib
import os
import sys
import tempfile
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Literal

from services.kernel import statefile
from services.kernel.statefile import NATION, StateFile

PROJECT = Path(__file__).resolve().parents[2]
STATES = PROJECT / "deploy" / "states"
VENV = PROJECT / ".venv"
VENV_PYTHON = VENV / "bin" / "python"
# What makes load has an environment of its own: gevent and eventlet patch the same modules.
LOAD_VENV = PROJECT / ".venv-load"
# So has what trains and measures the model of duplicates: it is larger than all that the services run on.
DEDUP_VENV = PROJECT / ".venv-dedup"

PORT_BASE_DEFAULT = 26000
# supervisord first binds "<path>.<pid>", and the kernel takes 107 characters for a unix socket.
SOCKET_PATH_MAX = 95

STATE_SERVICES = ("identity", "profiles", "transactions", "dedup", "reporting")
NATION_SERVICES = ("identity",)
# The vault is a part of identity with a database role of its own; it speaks to no broker and runs no process.
VAULT = "vault"
STATES_DEFAULT = "UP BR"
REGISTRIES = ("file", "consul")
# An instance's block of ports is found by its LGD code (the nation's is 0), so that adding a state moves no other one's ports.
BLOCKS_START = 100
BLOCK_SIZE = 20
# A file in the run folder.
FORM = "form"

# The place for the metrics of a program's successor: one is enough, since an upgrade replaces one program at a time.
NEXT_OFFSET = 16
NEXT = "-next"
# What runs in the one process of an instance in its small form.
WHOLE = ("serve", "drain", "relay", "work")
# Of one service in one process.
DATABASE_CONNECTIONS_MAX = 10
# Beside the services: the administrator, and what comes and goes, such as the migrate step and an operator's commands.
CONNECTIONS_BESIDE = 60
# Room for another state or two, since PostgreSQL takes another number only when it starts.
CONNECTIONS_MIN = 1000

# How a program shows that it is well: it takes a login, it says of itself that it is ready, or it answers a call besides.
Proof = Literal["port", "postgres", "rabbitmq", "ready", "serves"]


class MachineError(Exception):
    """Something that the person at the keyboard can put right; the message says how."""


def say(line: str) -> None:
    """Tell the person at the keyboard, at once even when the output is a pipe."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def state_file(code: str) -> Path:
    """The file, in this very tree, that says who an instance is."""
    return PROJECT / "deploy" / "nation.toml" if code == NATION else STATES / f"{code}.toml"


def read_env(file: Path) -> dict[str, str]:
    """Read KEY=VALUE lines. Raises MachineError when the file is not there."""
    try:
        text = file.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise MachineError(f"There is no {file}. Run `python3 -m deploy.machine up` first: it writes that file.") from None
    pairs = (line.partition("=") for line in text.splitlines() if line and not line.startswith("#"))
    return {name: value for name, _, value in pairs}


def read_form(run: Path) -> dict[str, str]:
    """The form that a run folder's machine has; nothing for a new one."""
    file = run / FORM
    return read_env(file) if file.exists() else {}


@cache
def read_state(file: Path) -> StateFile:
    """One state's file. Raises MachineError with every fault in it."""
    try:
        return statefile.load(file)
    except statefile.StateFileError as invalid:
        raise MachineError(str(invalid)) from None


@dataclass(frozen=True)
class Instance:
    """One state, or the nation, as it stands on this machine."""

    state: StateFile
    state_file: Path
    folder: Path
    port: int

    @property
    def code(self) -> str:
        return self.state.code

    @property
    def name(self) -> str:
        return self.state.name

    @property
    def is_nation(self) -> bool:
        return self.state.is_nation

    @property
    def services(self) -> tuple[str, ...]:
        return NATION_SERVICES if self.is_nation else STATE_SERVICES

    @property
    def roles(self) -> tuple[str, ...]:
        """The database roles of the instance, without its prefix; each has a schema of the same name."""
        return (*self.services, VAULT)

    @property
    def prefix(self) -> str:
        """What the instance's own database roles, broker users and programs start with."""
        return self.code.lower()

    @property
    def database(self) -> str:
        return f"lokos_{self.prefix}"

    @property
    def virtual_host(self) -> str:
        return self.prefix

    @property
    def keys(self) -> Path:
        return self.folder / "keys"

    @property
    def ca_file(self) -> Path:
        """The certificate authority that signed this instance's server certificate (PEM)."""
        return self.keys / "ca.pem"

    @property
    def trust_file(self) -> Path:
        return self.folder / "trust.json"

    @property
    def env_file(self) -> Path:
        return self.folder / "env"

    @property
    def vault_keys_file(self) -> Path:
        return self.keys / "vault.keys"

    @property
    def messages_file(self) -> Path:
        """Settings of SMS and mail that an operator wrote, KEY=VALUE a line; there only where messages are truly sent."""
        return self.folder / "messages.env"

    @property
    def restoring_file(self) -> Path:
        """There from the moment when a restored database takes its place until the instance is up with it. Lines: the backup's name,
        what the old database is kept as, the backup's folder, and PLACED once the places are those of the backup too.
        """
        return self.folder / "restoring"

    def must_not_be_half_restored(self) -> None:
        """Raise MachineError where the books are a backup's and the places are not yet."""
        if self.restoring_file.exists():
            _name, _kept, folder, *placed = self.restoring_file.read_text(encoding="utf-8").splitlines()
            if not placed:
                raise MachineError(f"A restore of {self.code} was cut short. Run it again: python3 -m deploy.machine restore {self.code} {folder}")

    @property
    def env(self) -> dict[str, str]:
        """The settings of this instance's processes, secrets included; there after `provision`."""
        return read_env(self.env_file)

    @property
    def grpc_address(self) -> str:
        """Where users call (TLS)."""
        return f"127.0.0.1:{self.port}"

    @property
    def federation_address(self) -> str:
        """Where the nation asks (mutual TLS)."""
        return f"127.0.0.1:{self.port + 1}"

    @property
    def gateway_address(self) -> str:
        """Where national users ask (TLS); only the nation has it."""
        return f"127.0.0.1:{self.port + 2}"


@dataclass(frozen=True)
class Program:
    """One supervised process."""

    name: str
    proof: Proof
    address: str
    module: tuple[str, ...] = ()
    instance: Instance | None = None
    metrics_port: int = 0

    @property
    def services(self) -> tuple[str, ...]:
        """What it works for; empty where it is none of ours."""
        return self.module[1:] or self.module

    @property
    def kind(self) -> str:
        """serve, relay, ..., gateway."""
        return self.module[0].rpartition(".")[2]

    @property
    def next(self) -> Program:
        """The same program beside itself, on the same port for calls and another one for metrics: its successor."""
        if self.instance is None:
            raise ValueError(f"{self.name} belongs to no instance.")
        port = self.instance.port + NEXT_OFFSET
        address = self.address if self.proof == "serves" else f"127.0.0.1:{port}"
        return replace(self, name=self.name + NEXT, address=address, metrics_port=port)


@dataclass(frozen=True)
class Layout:
    """One run folder, one base port and the states that run there: everything else follows from these."""

    run: Path
    port_base: int
    states: tuple[str, ...] = tuple(STATES_DEFAULT.split())
    registry: str = REGISTRIES[0]
    """Where the nation finds the states."""
    small: bool = False
    """Each instance in one process."""

    @classmethod
    def from_environment(cls) -> Layout:
        """Take LOKOS_RUN, LOKOS_PORT_BASE, LOKOS_STATES, LOKOS_REGISTRY and LOKOS_SMALL; deploy/machine/__main__.py tells what they mean."""
        base = os.environ.get("LOKOS_PORT_BASE") or str(PORT_BASE_DEFAULT)
        if not base.isdecimal() or not 1024 <= int(base) <= 65000:
            raise MachineError(f"LOKOS_PORT_BASE is {base!r}; give a number from 1024 to 65000.")
        run = (PROJECT / (os.environ.get("LOKOS_RUN") or "run")).resolve()
        if "%" in str(run) or '"' in str(run):
            raise MachineError(f"The supervisor cannot keep its logs below {run}: set LOKOS_RUN to a path without % and quotes.")
        known = tuple(sorted(file.stem for file in STATES.glob("*.toml")))
        there = sorted(file.parent.name for file in run.glob("instances/*/env"))
        # A machine whose last state was removed has none; a new one, which has not even the nation, gets the default.
        own = " ".join(code for code in there if code != NATION) if there else STATES_DEFAULT
        asked = (os.environ.get("LOKOS_STATES") or own).split()
        states = known if asked == ["all"] else tuple(dict.fromkeys(asked))
        if unknown := [code for code in states if code not in known]:
            raise MachineError(f"LOKOS_STATES names {', '.join(unknown)}, which deploy/states lacks. It has {', '.join(known)}.")
        form = read_form(run)
        registry = os.environ.get("LOKOS_REGISTRY") or form.get("registry") or REGISTRIES[0]
        if registry not in REGISTRIES:
            raise MachineError(f"LOKOS_REGISTRY is {registry!r}; give {' or '.join(REGISTRIES)}.")
        small = os.environ.get("LOKOS_SMALL") or form.get("small") or "0"
        if small not in {"0", "1"}:
            raise MachineError(f"LOKOS_SMALL is {small!r}; give 1 or 0.")
        return cls(run, int(base), states, registry=registry, small=small == "1")

    @property
    def postgres_port(self) -> int:
        return self.port_base

    @property
    def amqp_port(self) -> int:
        return self.port_base + 1

    @property
    def erlang_port(self) -> int:
        return self.port_base + 2

    @property
    def epmd_port(self) -> int:
        return self.port_base + 3

    @property
    def broker_metrics_port(self) -> int:
        return self.port_base + 4

    @property
    def consul_port(self) -> int:
        """Of its HTTP; the next two are its server's and its gossip's."""
        return self.port_base + 5

    @property
    def logs(self) -> Path:
        return self.run / "logs"

    @property
    def marker(self) -> Path:
        """A file that says that this folder is a run folder, so that `down --wipe` deletes nothing else."""
        return self.run / ".lokos-run"

    @property
    def socket(self) -> Path:
        """Where supervisord listens: in the run folder, or under a hashed name where that path is too long."""
        path = self.run / "supervisor.sock"
        if len(os.fsencode(path)) <= SOCKET_PATH_MAX:
            return path
        digest = hashlib.sha256(os.fsencode(path)).hexdigest()[:16]
        return Path(tempfile.gettempdir()) / f"lokos-{os.getuid()}-{digest}.sock"

    @property
    def form(self) -> dict[str, str]:
        """What every later command on this machine goes by, unless it is told otherwise while nothing runs."""
        return {"registry": self.registry, "small": "1" if self.small else "0"}

    def instances(self) -> dict[str, Instance]:
        """The states of this machine and the nation, which comes last. Raises MachineError where a file is wrong."""
        files = [state_file(code) for code in (*self.states, NATION)]
        found = [(file, read_state(file)) for file in files]
        return {
            state.code: Instance(
                state=state,
                state_file=file,
                folder=self.run / "instances" / state.code,
                port=self.port_base + BLOCKS_START + state.lgd_code * BLOCK_SIZE,
            )
            for file, state in found
        }

    def infrastructure(self) -> list[Program]:
        """List the programs under all instances, in the order in which they start."""
        return [
            Program("postgres", "postgres", f"127.0.0.1:{self.postgres_port}"),
            Program("epmd", "port", f"127.0.0.1:{self.epmd_port}"),
            Program("rabbitmq", "rabbitmq", f"127.0.0.1:{self.amqp_port}"),
            *([Program("consul", "port", f"127.0.0.1:{self.consul_port}")] if self.registry == "consul" else []),
        ]

    def applications(self) -> list[Program]:
        """List the programs of all instances, in the order in which they start."""
        return [program for instance in self.instances().values() for program in _programs_of(instance, small=self.small)]

    @property
    def database_connections_max(self) -> int:
        """What all pools together may take; the largest program's twice, since an upgrade runs it beside itself."""
        pools = [len(program.services) for program in self.applications()]
        return max((sum(pools) + max(pools)) * DATABASE_CONNECTIONS_MAX + CONNECTIONS_BESIDE, CONNECTIONS_MIN)


def _programs_of(instance: Instance, *, small: bool) -> list[Program]:
    def program(kind: str, offset: int, *services: str) -> Program:
        metrics_port = instance.port + offset
        serves = kind in {"serve", "whole"}
        return Program(
            name=f"{instance.prefix}-{kind}",
            proof="serves" if serves else "ready",
            address=instance.grpc_address if serves else f"127.0.0.1:{metrics_port}",
            module=(f"services.chassis.{kind}", *services),
            instance=instance,
            metrics_port=metrics_port,
        )

    every = instance.services
    gateway = [Program("in-gateway", "serves", instance.gateway_address, ("gateway",), instance, instance.port + 15)] if instance.is_nation else []
    if small:
        return [program("whole", 10, *every), *gateway]
    if instance.is_nation:
        return [program("serve", 10, *every), program("relay", 13, *every), program("work", 14, *every), *gateway]
    # Reporting hears most of what happens, so it takes its events in batches, in a process of its own.
    return [
        program("serve", 10, *every),
        program("consume", 11, *(service for service in every if service != "reporting")),
        program("drain", 12, "reporting"),
        program("relay", 13, *every),
        program("work", 14, *every),
    ]
