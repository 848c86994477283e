"""The supervisor: its configuration, the way to talk to it, and the end of everything it started."""

from __future__ import annotations

import contextlib
import http.client
import os
import shlex
import signal
import socket
import time
import xmlrpc.client
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from deploy.machine import consul, postgres, rabbitmq
from deploy.machine.layout import PROJECT, VENV, VENV_PYTHON, Layout, MachineError, Program, say
from deploy.machine.setup import run

if TYPE_CHECKING:
    from collections.abc import Mapping

# Every process that this machine starts carries this variable with the run folder in it, so that `down` finds also those
# that lost their supervisor.
MARK = "LOKOS_SUPERVISED"
START_SECONDS_MAX = 20
STOP_SECONDS_MAX = 60
KILL_AFTER_SECONDS = 10
POLL_SECONDS = 0.1

DAEMON = """\
; Written by `python3 -m deploy.machine up`; changes here are lost.
[supervisord]
{user}logfile={logs}/supervisord.log
logfile_maxbytes=10MB
logfile_backups=3
pidfile={run}/supervisord.pid
childlogdir={logs}
directory={project}
umask=077

[unix_http_server]
file={socket}
chmod=0700

[rpcinterface:supervisor]
supervisor.rpcinterface_factory = supervisor.rpcinterface:make_main_rpcinterface
"""

# A killed program comes back at once. One that does not start is tried again without end, each time a second later
# than before: after a kill -9 of PostgreSQL its orphans need a moment before the next one may start.
PROGRAM = """
[program:{name}]
command={command}
environment={environment}
directory={directory}
autostart=false
autorestart=true
startsecs=1
startretries=1000000
stopsignal={stop}
stopwaitsecs=20
killasgroup=true
redirect_stderr=true
stdout_logfile={logs}/{name}.log
stdout_logfile_maxbytes=10MB
stdout_logfile_backups=3
"""


class ProcessState(NamedTuple):
    """What the supervisor knows about one program."""

    name: str
    state: str
    pid: int
    """0 when it does not run."""
    up_seconds: int


def configuration(layout: Layout, *besides: Program) -> str:
    """Return the whole of supervisord.conf; it holds no secret, since each program reads its instance's env file itself.

    `besides` are programs that stand in it for a while.
    """
    user = "user=root\n" if os.getuid() == 0 else ""  # Supervisord grumbles at root unless this is said aloud.
    places = {"logs": layout.logs, "run": layout.run, "project": PROJECT, "socket": layout.socket}
    text = [DAEMON.format(user=user, **{name: _escape(str(path)) for name, path in places.items()})]
    if not os.environ.get("DATABASE_URL"):
        # INT is PostgreSQL's fast shutdown; at TERM it would wait for the clients to go.
        text.append(_program(layout, "postgres", postgres.command(layout), {}, stop="INT"))
    if not os.environ.get("AMQP_URL"):
        environment = rabbitmq.environment(layout)
        text.append(_program(layout, "epmd", rabbitmq.epmd_command(layout), environment))
        text.append(_program(layout, "rabbitmq", rabbitmq.server_command(), environment))
    if layout.registry == "consul" and not os.environ.get("CONSUL_HTTP_ADDR"):
        text.append(_program(layout, "consul", consul.command(layout), {}))
    text.extend(_application(layout, program) for program in (*layout.applications(), *besides))
    return "".join(text)


def _application(layout: Layout, program: Program) -> str:
    if program.instance is None:
        raise ValueError(f"{program.name} belongs to no instance.")
    python = [str(VENV_PYTHON), "-m"]
    command = [*python, "deploy.machine", "with", program.instance.code, "--", *python, *program.module]
    environment = {
        "LOKOS_RUN": str(layout.run),
        "LOKOS_PORT_BASE": str(layout.port_base),
        "METRICS_PORT": str(program.metrics_port),
        "PYTHONUNBUFFERED": "1",
    }
    return _program(layout, program.name, command, environment, directory=PROJECT)


def _escape(text: str) -> str:
    return text.replace("%", "%%")


def _program(
    layout: Layout,
    name: str,
    command: list[str],
    environment: Mapping[str, str],
    *,
    stop: str = "TERM",
    directory: Path = Path("/"),
) -> str:
    return PROGRAM.format(
        name=name,
        command=_escape(shlex.join(command)),
        environment=_escape(",".join(f'{key}="{value}"' for key, value in environment.items())),
        directory=_escape(str(directory)),
        stop=stop,
        logs=_escape(str(layout.logs)),
    )


class SupervisorAwayError(MachineError):
    """Supervisord does not run, or is just shutting down."""

    def __init__(self) -> None:
        super().__init__("The machine is down. Run `python3 -m deploy.machine up`.")


class _SocketConnection(http.client.HTTPConnection):
    """HTTP over supervisord's unix socket."""

    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=STOP_SECONDS_MAX)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))


class _SocketTransport(xmlrpc.client.Transport):
    """Supervisor has one of its own, but `status` and `down` should work without the virtual environment too."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._path = path

    def make_connection(self, host: tuple[str, dict[str, str]] | str) -> http.client.HTTPConnection:
        connection = _SocketConnection(self._path)
        self._connection = (host, connection)  # So that it is closed with the transport.
        return connection


class Supervisor:
    """The supervisord of one run folder, whether it runs or not."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._file = layout.run / "supervisord.conf"

    def _call(self, method: str, *arguments: object) -> Any:  # noqa: ANN401 - XML-RPC answers with whatever each method has
        """Call supervisord. Raises SupervisorAwayError, and xmlrpc.client.Fault when it refuses."""
        transport = _SocketTransport(self._layout.socket)
        try:
            with xmlrpc.client.ServerProxy("http://localhost", transport=transport) as server:
                return getattr(server.supervisor, method)(*arguments)
        except (OSError, http.client.HTTPException):
            raise SupervisorAwayError from None
        except xmlrpc.client.Fault as fault:
            if "SHUTDOWN_STATE" in fault.faultString:
                raise SupervisorAwayError from None
            raise

    def runs(self) -> bool:
        """Whether supervisord answers."""
        try:
            self._call("getPID")
        except SupervisorAwayError:
            return False
        return True

    def _answers(self) -> bool:
        """Whether a supervisord is there at all, be it that it is shutting down."""
        connection = _SocketConnection(self._layout.socket)
        try:
            connection.connect()
        except OSError:
            return False
        finally:
            connection.close()
        return True

    def ensure(self) -> None:
        """Write the configuration and have a supervisord that follows it; programs whose lines changed are stopped."""
        if not self.runs():
            self._write()
            self._start_daemon()
            return
        added, altered, removed = self.reread()
        for name in (*altered, *removed):
            self.remove(name)
        for name in (*added, *altered):
            self._call("addProcessGroup", name)

    def reread(self, *besides: Program) -> tuple[list[str], list[str], list[str]]:
        """Write the configuration and have supervisord read it; which programs were added to it, altered, removed.

        Nothing is stopped: each program goes on under the lines that it was added with.
        """
        self._write(*besides)
        [[added, altered, removed]] = self._call("reloadConfig")
        return added, altered, removed

    def _write(self, *besides: Program) -> None:
        self._layout.logs.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._file.write_text(configuration(self._layout, *besides), encoding="utf-8")

    def remove(self, program: str) -> None:
        """Stop a program and forget it; nothing happens when it is not there."""
        self._tolerate("stopProcessGroup", program, "BAD_NAME")
        self._tolerate("removeProcessGroup", program, "BAD_NAME")

    def renew(self, program: str) -> None:
        """Stop a program, and have it anew as the configuration last read says, not started."""
        self.remove(program)
        self._call("addProcessGroup", program)

    def signal(self, program: str, name: str) -> None:
        """Send a signal, such as "USR1", to a program that runs."""
        self._tolerate("signalProcess", program, "NOT_RUNNING", name)

    def _start_daemon(self) -> None:
        # A process of an earlier life, whose supervisor was killed, would hold the ports and the data.
        end_marked(self._layout)
        # A short list: whatever else stands in the caller's shell is not meant for the services.
        environment = {
            "HOME": str(Path.home()),
            "PATH": f"{VENV / 'bin'}:/usr/sbin:/usr/bin:/sbin:/bin",
            "LANG": "C.UTF-8",
            MARK: str(self._layout.run),
        }
        run(VENV_PYTHON, "-m", "supervisor.supervisord", "-c", self._file, env=environment)
        deadline = time.monotonic() + START_SECONDS_MAX
        while not self.runs():
            if time.monotonic() > deadline:
                raise MachineError(f"The supervisor does not answer; {self._layout.logs}/supervisord.log tells why.")
            time.sleep(POLL_SECONDS)

    def states(self) -> list[ProcessState]:
        """Tell what every program does; nothing when supervisord does not run."""
        try:
            found = self._call("getAllProcessInfo")
        except SupervisorAwayError:
            return []
        return [
            ProcessState(
                name=info["name"],
                state=info["statename"],
                pid=info["pid"],
                up_seconds=info["now"] - info["start"] if info["pid"] else 0,
            )
            for info in found
        ]

    def start(self, program: str) -> None:
        """Start a program unless it runs or is being tried; returns without waiting for it."""
        self._tolerate("startProcess", program, "ALREADY_STARTED", False)  # noqa: FBT003 - without waiting

    def stop(self, program: str) -> None:
        """Stop a program and wait until it is gone; nothing happens when it does not run."""
        self._tolerate("stopProcess", program, "NOT_RUNNING")

    def _tolerate(self, method: str, program: str, fault_name: str, *arguments: object) -> None:
        try:
            self._call(method, program, *arguments)
        except xmlrpc.client.Fault as fault:
            if fault_name not in fault.faultString:
                raise MachineError(f"The supervisor says of {program}: {fault.faultString}.") from None

    def end(self) -> None:
        """Stop every program, supervisord itself and what may be left of them, and wait until all are gone."""
        with contextlib.suppress(SupervisorAwayError):
            self._call("getPID")
            say("down: stopping all programs")
            self._stop_applications()
            self._call("shutdown")
        deadline = time.monotonic() + STOP_SECONDS_MAX
        while self._answers() and _marked(self._layout) and time.monotonic() < deadline:
            time.sleep(POLL_SECONDS)
        end_marked(self._layout)
        self._layout.socket.unlink(missing_ok=True)

    def _stop_applications(self) -> None:
        """Stop the services all at once, while their servers are still there; `shutdown` alone goes one by one."""
        # Consul, where it runs, is among the servers, also for a `down` that was not told of it.
        below = {program.name for program in replace(self._layout, registry="consul").infrastructure()}
        for state in self.states():
            if state.name not in below and state.state not in ("STOPPED", "STOPPING"):
                self._tolerate("stopProcess", state.name, "NOT_RUNNING", False)  # noqa: FBT003 - without waiting
        deadline = time.monotonic() + STOP_SECONDS_MAX
        while any(state.pid for state in self.states() if state.name not in below) and time.monotonic() < deadline:
            time.sleep(POLL_SECONDS)


def _marked(layout: Layout) -> list[int]:
    """Find the processes that belong to this run folder; one that ended but was not collected yet does not count."""
    mark = f"{MARK}={layout.run}".encode()
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if mark in (process / "environ").read_bytes().split(b"\0"):
                found.append(int(process.name))
        except OSError:  # It ended meanwhile, or is not ours.
            continue
    return found


def end_marked(layout: Layout) -> None:
    """End every process of this run folder: politely first, after some seconds by force."""
    start = time.monotonic()
    asked: set[int] = set()
    while left := _marked(layout):
        seconds = time.monotonic() - start
        if seconds > 2 * KILL_AFTER_SECONDS:
            raise MachineError(f"The processes {left} do not end. Look at them with `ps`, then try again.")
        for pid in left:
            if seconds > KILL_AFTER_SECONDS:
                _signal(pid, signal.SIGKILL)
            elif pid not in asked:
                asked.add(pid)
                name = Path(f"/proc/{pid}/comm")
                # PostgreSQL waits for its clients at TERM; INT is its fast shutdown.
                is_postgres = name.exists() and name.read_text(encoding="utf-8").strip() == "postgres"
                _signal(pid, signal.SIGINT if is_postgres else signal.SIGTERM)
        time.sleep(POLL_SECONDS)


def _signal(pid: int, number: signal.Signals) -> None:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return
