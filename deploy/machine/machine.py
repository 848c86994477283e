"""The machine as an object: for the command line, for the flow tests and for the demo."""

from __future__ import annotations

import os
import shutil
import time
from typing import TYPE_CHECKING

from deploy.machine.layout import FORM, Instance, Layout, MachineError, Program, read_form, say
from deploy.machine.setup import prepare
from deploy.machine.supervisor import ProcessState, Supervisor

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

WELL_SECONDS_MAX = 120.0
POLL_SECONDS = 0.1
STARTING_MAX = 4
LOG_LINES_SHOWN = 10
LOG_LINE_LENGTH_SHOWN = 800


class Machine:
    """One run folder with everything that runs from it.

    Two machines live side by side when their run folders and base ports differ. Every method raises MachineError with
    a message for a person when it cannot do its work.
    """

    def __init__(self, layout: Layout) -> None:
        self.layout = layout
        self.supervisor = Supervisor(layout)

    @classmethod
    def from_environment(cls) -> Machine:
        """Take the machine that LOKOS_RUN and LOKOS_PORT_BASE name."""
        return cls(Layout.from_environment())

    @property
    def run(self) -> Path:
        """The run folder."""
        return self.layout.run

    @property
    def instances(self) -> dict[str, Instance]:
        """The instances by code; an instance's `env` is there after `provision`."""
        return self.layout.instances()

    @property
    def infrastructure(self) -> list[Program]:
        """PostgreSQL, RabbitMQ and, where asked for, Consul, as far as this machine runs them itself."""
        given = {"postgres": "DATABASE_URL", "epmd": "AMQP_URL", "rabbitmq": "AMQP_URL", "consul": "CONSUL_HTTP_ADDR"}
        return [program for program in self.layout.infrastructure() if not os.environ.get(given[program.name])]

    @property
    def programs(self) -> dict[str, Program]:
        """Every program of this machine by name."""
        return {program.name: program for program in (*self.infrastructure, *self.layout.applications())}

    def up(self, programs: Iterable[str] | None = None, codes: Iterable[str] | None = None) -> None:
        """Bring the machine up: setup, servers, databases, tables, then the programs, until each is well.

        PostgreSQL and RabbitMQ always come up. `codes` narrows the instances; `programs` narrows the programs of these,
        so that ["postgres", "rabbitmq"] starts no service.
        """
        instances = self.chosen(codes)
        names = None if programs is None else set(programs)
        if names is not None and (unknown := names - set(self.programs)):
            raise MachineError(f"There is no program {', '.join(sorted(unknown))}. Take from: {', '.join(self.programs)}.")
        for instance in instances:
            instance.must_not_be_half_restored()
        self.provision(instance.code for instance in instances)
        codes_chosen = {instance.code for instance in instances}
        applications = [
            program
            for program in self.layout.applications()
            if program.instance and program.instance.code in codes_chosen and (names is None or program.name in names)
        ]
        self.start_all(applications)
        for instance in instances:
            instance.restoring_file.unlink(missing_ok=True)

    def start_all(self, programs: list[Program]) -> None:
        """Start programs until each is well, some at a time: a machine that starts two hundred at once starts none in time."""
        for number, program in enumerate(programs):
            self.start(program.name)
            if number >= STARTING_MAX:
                self.tell_well(programs[number - STARTING_MAX], f" [{number - STARTING_MAX + 1} of {len(programs)}]")
        for program in programs[-STARTING_MAX:]:
            self.tell_well(program)

    def provision(self, codes: Iterable[str] | None = None) -> None:
        """Bring up the servers, and give the instances databases, broker users, keys, settings and tables."""
        from deploy.machine import provision  # It needs what setup installs.

        instances = self.chosen(codes)
        self.ground(instances)
        provision.migrate(instances)

    def ground(self, instances: list[Instance]) -> None:
        """All that tables stand on: the servers, and the instances' databases, broker users, keys and settings."""
        self.write_settings()
        self.supervisor.ensure()
        self.open_places(instances)

    def write_settings(self) -> None:
        """Write what everything on this machine starts with; what is there keeps its secrets."""
        from deploy.machine import consul, postgres, provision, rabbitmq  # They need what setup installs.

        prepare()
        self._claim_folder()
        form = "".join(f"{name}={value}\n" for name, value in self.layout.form.items())
        (self.run / FORM).write_text(form, encoding="utf-8")
        own = [program.name for program in self.infrastructure]
        if "postgres" in own:
            postgres.initialise(self.layout)
        provision.write_settings(self.layout)
        if "rabbitmq" in own:
            rabbitmq.initialise(self.layout, provision.broker_admin_password(self.layout))
        if "consul" in own:
            consul.initialise(self.layout)

    def open_places(self, instances: list[Instance]) -> None:
        """Bring up the servers, and in them databases and broker users; programs that run already may run on."""
        from deploy.machine import provision  # It needs what setup installs.

        self.start_all(self.infrastructure)
        provision.provision_databases(self.layout, instances)
        provision.provision_broker(self.layout)

    def _claim_folder(self) -> None:
        """Mark the run folder as ours, which is what a later wipe goes by; a folder with other things in it is not."""
        self.run.mkdir(parents=True, exist_ok=True)
        strange = [entry.name for entry in self.run.iterdir() if not (entry / self.layout.marker.name).exists()]
        if strange and not self.layout.marker.exists():
            raise MachineError(f"{self.run} holds other things ({', '.join(sorted(strange)[:3])}). Let LOKOS_RUN name a folder of its own.")
        self.layout.marker.touch()

    def must_keep_its_form(self) -> None:
        """Raise MachineError where programs run in another form than this one, which would take them apart."""
        kept = read_form(self.run)
        if kept not in ({}, self.layout.form) and any(state.pid for state in self.states()):
            raise MachineError(f"This machine runs with {_words(kept)}, not with {_words(self.layout.form)}. Run `down` first to change that.")

    def chosen(self, codes: Iterable[str] | None) -> list[Instance]:
        """The instances of these codes, or all."""
        wanted = list(codes or [])
        if unknown := [code for code in wanted if code not in self.instances]:
            raise MachineError(f"There is no instance {', '.join(unknown)}. Take from: {', '.join(self.instances)}.")
        return [instance for code, instance in self.instances.items() if not wanted or code in wanted]

    def down(self, *, wipe: bool = False) -> None:
        """Stop everything and wait until it is gone. With `wipe` delete the run folder too, the books in it included."""
        self.supervisor.end()
        if wipe and self.layout.marker.exists():
            self._wipe()

    def _wipe(self) -> None:
        # The run folder of the tests lies inside the one of the demo, and is another machine's.
        for entry in self.run.iterdir():
            if (entry / self.layout.marker.name).exists():
                continue
            if entry.is_dir() and not entry.is_symlink():
                shutil.rmtree(entry)
            else:
                entry.unlink()
        if not any(self.run.iterdir()):
            self.run.rmdir()

    def states(self) -> list[ProcessState]:
        """Tell what every program does; nothing when the machine is down."""
        return self.supervisor.states()

    def pid(self, program: str) -> int | None:
        """Return the process id of a program, or None when it does not run; it is the process itself, not a wrapper."""
        return next((state.pid or None for state in self.states() if state.name == program), None)

    def start(self, program: str) -> None:
        """Start a program; `wait_well` tells when it answers."""
        self.supervisor.start(program)

    def stop(self, program: str) -> None:
        """Stop a program and wait until it is gone; it stays stopped until it is started again."""
        self.supervisor.stop(program)

    def serving(self, instance: Instance) -> list[str]:
        """Those of an instance's programs that run and answer calls, whatever its form; the gateway after what serves its users."""
        of_it = (program for program in self.layout.applications() if program.instance == instance and program.proof == "serves")
        return [program.name for program in of_it if self.pid(program.name)]

    def stop_programs(self, instance: Instance) -> Iterator[str]:
        """Stop whatever runs for one instance; each as it is stopped."""
        for state in self.states():
            if state.pid and state.name.startswith(f"{instance.prefix}-"):
                say(f"down: stopping {state.name}")
                self.stop(state.name)
                yield state.name

    def wait_well(self, program: str, deadline_seconds: float = WELL_SECONDS_MAX) -> None:
        """Wait until a program answers. Raises MachineError with the end of its log when the time is over."""
        known = self.programs.get(program)
        if known is None:
            raise MachineError(f"There is no program {program}. Take from: {', '.join(self.programs)}.")
        self._wait_well(known, deadline_seconds)

    def _wait_well(self, program: Program, deadline_seconds: float, *, at_first_try: bool = False) -> None:
        """Wait until the program is well; `at_first_try` gives up as soon as it has ended once."""
        from deploy.machine.wellness import is_well  # It needs what setup installs.

        deadline = time.monotonic() + deadline_seconds
        pids: set[int] = set()
        while True:
            state = next((state for state in self.states() if state.name == program.name), None)
            if state and state.pid:
                pids.add(state.pid)
            if state and state.state == "RUNNING" and is_well(self.layout, program):
                return
            ended = at_first_try and (len(pids) > 1 or (state and state.state in {"BACKOFF", "EXITED", "FATAL"}))
            if ended or time.monotonic() > deadline:
                raise MachineError(
                    f"{program.name} {'ended' if ended else f'is not well after {deadline_seconds:.0f} seconds'}; the supervisor says "
                    f"{state.state if state else 'UNKNOWN'}. The end of {self._log(program.name)}:\n{self._log_end(program.name)}"
                )
            time.sleep(POLL_SECONDS)

    def tell_well(self, program: Program, progress: str = "", *, at_first_try: bool = False) -> None:
        """Wait until a program answers, and say that it does."""
        start = time.monotonic()
        self._wait_well(program, WELL_SECONDS_MAX, at_first_try=at_first_try)
        say(f"up: {program.name} is well at {program.address} ({time.monotonic() - start:.1f} s){progress}")

    def _log(self, program: str) -> Path:
        return self.layout.logs / f"{program}.log"

    def _log_end(self, program: str) -> str:
        try:
            lines = self._log(program).read_text(encoding="utf-8", errors="replace").splitlines()
        except FileNotFoundError:
            return "    (it printed nothing)"
        # What went wrong stands at the end of a long line too.
        return "\n".join(f"    {line[-LOG_LINE_LENGTH_SHOWN:]}" for line in lines[-LOG_LINES_SHOWN:])

    def log_files(self, program: str | None = None) -> list[Path]:
        """Return the log of one program, or all of them."""
        if program is None:
            return sorted(self.layout.logs.glob("*.log"))
        if not self._log(program).exists():
            raise MachineError(f"There is no log of {program} in {self.layout.logs}.")
        return [self._log(program)]


def _words(form: dict[str, str]) -> str:
    return " ".join(f"LOKOS_{name.upper()}={value}" for name, value in form.items())
