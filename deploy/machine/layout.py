"""What lies where on one machine: the folders, the ports, the instances and the programs. Standard library only."""

from __future__ import annotations

import hashlib
import os
import sys
import tempfile
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal

from services.kernel import statefile
from services.kernel.statefile import StateFile

PROJECT = Path(__file__).resolve().parents[2]
STATES = PROJECT / "deploy" / "states"
VENV = PROJECT / ".venv"
VENV_PYTHON = VENV / "bin" / "python"
# What makes load has an environment of its own: gevent and eventlet patch the same modules.
LOAD_VENV = PROJECT / ".venv-load"

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

# How a program shows that it is well: it takes a login, it answers gRPC's health check, or its metrics can be read.
Proof = Literal["port", "postgres", "rabbitmq", "health", "metrics"]


class MachineError(Exception):
    """Something that the person at the keyboard can put right; the message says how."""


def say(line: str) -> None:
    """Tell the person at the keyboard, at once even when the output is a pipe."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def read_env(file: Path) -> dict[str, str]:
    """Read KEY=VALUE lines. Raises MachineError when the file is not there."""
    try:
        text = file.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise MachineError(f"There is no {file}. Run `python3 -m deploy.machine up` first: it writes that file.") from None
    pairs = (line.partition("=") for line in text.splitlines() if line and not line.startswith("#"))
    return {name: value for name, _, value in pairs}


@cache
def read_state(file: Path) -> StateFile:
    """One state's file. Raises MachineError with every fault in it."""
    try:
        return statefile.read(file.read_text(encoding="utf-8"), file.stem)
    except statefile.StateFileError as invalid:
        raise MachineError(f"{file} is wrong:\n" + "\n".join(f"  {fault}" for fault in invalid.faults)) from None


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
    def restoring_file(self) -> Path:
        """There from the moment when a restored database takes its place until the instance is up with it; names the backup."""
        return self.folder / "restoring"

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


@dataclass(frozen=True)
class Layout:
    """One run folder, one base port and the states that run there: everything else follows from these."""

    run: Path
    port_base: int
    states: tuple[str, ...] = tuple(STATES_DEFAULT.split())
    registry: str = REGISTRIES[0]
    """Where the nation finds the states."""

    @classmethod
    def from_environment(cls) -> Layout:
        """Take LOKOS_RUN (default: run/ in the project), LOKOS_PORT_BASE (26000), LOKOS_STATES (UP BR; or "all") and LOKOS_REGISTRY (file)."""
        base = os.environ.get("LOKOS_PORT_BASE") or str(PORT_BASE_DEFAULT)
        if not base.isdecimal() or not 1024 <= int(base) <= 65000:
            raise MachineError(f"LOKOS_PORT_BASE is {base!r}; give a number from 1024 to 65000.")
        run = (PROJECT / (os.environ.get("LOKOS_RUN") or "run")).resolve()
        if "%" in str(run) or '"' in str(run):
            raise MachineError(f"The supervisor cannot keep its logs below {run}: set LOKOS_RUN to a path without % and quotes.")
        known = tuple(sorted(file.stem for file in STATES.glob("*.toml")))
        asked = (os.environ.get("LOKOS_STATES") or STATES_DEFAULT).split()
        states = known if asked == ["all"] else tuple(dict.fromkeys(asked))
        if unknown := [code for code in states if code not in known]:
            raise MachineError(f"LOKOS_STATES names {', '.join(unknown)}, which deploy/states lacks. It has {', '.join(known)}.")
        registry = os.environ.get("LOKOS_REGISTRY") or REGISTRIES[0]
        if registry not in REGISTRIES:
            raise MachineError(f"LOKOS_REGISTRY is {registry!r}; give {' or '.join(REGISTRIES)}.")
        return cls(run, int(base), states, registry=registry)

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

    def instances(self) -> dict[str, Instance]:
        """The states of this machine and the nation, which comes last. Raises MachineError where a file is wrong."""
        files = [*(STATES / f"{code}.toml" for code in self.states), PROJECT / "deploy" / "nation.toml"]
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
        return [program for instance in self.instances().values() for program in _programs_of(instance)]


def _programs_of(instance: Instance) -> list[Program]:
    def program(kind: str, offset: int, *services: str) -> Program:
        metrics_port = instance.port + offset
        return Program(
            name=f"{instance.prefix}-{kind}",
            proof="health" if kind == "serve" else "metrics",
            address=instance.grpc_address if kind == "serve" else f"127.0.0.1:{metrics_port}",
            module=(f"services.chassis.{kind}", *services),
            instance=instance,
            metrics_port=metrics_port,
        )

    every = instance.services
    if instance.is_nation:
        gateway = Program("in-gateway", "health", instance.gateway_address, ("gateway",), instance, instance.port + 15)
        return [program("serve", 10, *every), program("relay", 13, *every), program("work", 14, *every), gateway]
    # Reporting hears most of what happens, so it takes its events in batches, in a process of its own.
    return [
        program("serve", 10, *every),
        program("consume", 11, *(service for service in every if service != "reporting")),
        program("drain", 12, "reporting"),
        program("relay", 13, *every),
        program("work", 14, *every),
    ]
