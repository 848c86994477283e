"""Replaces every program that runs by this tree's version of it, one at a time, while calls go on being answered.

A program's successor starts beside it, in a slot of its own (Program.next); once that is well the program itself is
replaced under its own name, and the slot is given up. So at every moment one of the two answers, and a run that was cut
short is completed by the next.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from deploy.machine import provision
from deploy.machine.layout import MachineError, Program, say
from deploy.machine.wellness import is_left
from services.chassis.process import STOP_SECONDS_MAX
from services.chassis.version import VERSION

if TYPE_CHECKING:
    from deploy.machine.machine import Machine

POLL_SECONDS = 0.2


def upgrade(machine: Machine) -> None:
    """Set up, write settings, migrate, replace. Raises MachineError, with the old programs running, when a new one is not well."""
    running = {state.name for state in machine.states() if state.pid}
    if not running:
        raise MachineError("Nothing runs, so there is nothing to replace: start this version with `python3 -m deploy.machine up`.")
    codes = {name.partition("-")[0].upper() for name in running if "-" in name}
    if strangers := sorted(codes - set(machine.instances)):
        raise MachineError(f"{', '.join(strangers)} runs and is not among the states of this command: let LOKOS_STATES name it too.")
    machine.write_settings()
    instances = [instance for code, instance in machine.instances.items() if code in codes]
    machine.open_places(instances)
    provision.migrate(instances)
    added, _, _ = machine.supervisor.reread()
    chosen = [
        program
        for program in machine.layout.applications()
        if program.name in running or program.next.name in running or (program.name in added and program.instance and program.instance.code in codes)
    ]
    # First what a run that was cut short left half done: its slot is wanted. Then who hears before who tells, so that what
    # only the new version tells is heard by nobody who does not know it.
    chosen.sort(key=lambda program: (program.next.name not in running, program.proof == "serves"))
    for number, program in enumerate(chosen, 1):
        say(f"upgrade: {program.name}, {number} of {len(chosen)}")
        replace(machine, program)
    _, altered, removed = machine.supervisor.reread()
    for name in removed:  # What this version does without.
        machine.supervisor.remove(name)
    for name in altered:  # What somebody stopped stays stopped; the servers run on until the next `down`.
        if not machine.pid(name):
            machine.supervisor.renew(name)
    say(f"upgrade: {len(chosen)} programs run version {VERSION}")


def replace(machine: Machine, program: Program) -> None:
    """Replace one program by what this tree says it is. Until the end of it one of the two answers."""
    successor = program.next
    machine.supervisor.reread(successor)
    if machine.pid(program.name) and not _stands_in(machine, successor):
        machine.supervisor.renew(successor.name)
        machine.start(successor.name)
        try:
            machine.tell_well(successor, at_first_try=True)
        except MachineError as error:
            machine.supervisor.remove(successor.name)
            raise MachineError(f"The upgrade stopped at {program.name}, whose old version runs on. {error}") from None
    _retire(machine, program)
    machine.supervisor.renew(program.name)
    machine.start(program.name)
    machine.tell_well(program)
    _retire(machine, successor)
    machine.supervisor.remove(successor.name)


def _stands_in(machine: Machine, successor: Program) -> bool:
    """Whether the slot of a run that was cut short is at work; where it is, the program itself may listen no more already."""
    if machine.pid(successor.name) is None:
        return False
    try:
        machine.tell_well(successor, at_first_try=True)
    except MachineError:
        return False
    return True


def _retire(machine: Machine, program: Program) -> None:
    """Stop a program whose work another one does now; one that is called, once those who are connected to it have left."""
    if machine.pid(program.name) is None:
        return
    if program.proof == "serves" and program.instance:
        machine.supervisor.signal(program.name, "USR1")
        # gRPC ends a connection up to a tenth later than told, and then lets the calls on it end.
        deadline = time.monotonic() + 1.1 * int(program.instance.env["LOKOS_CONNECTION_SECONDS_MAX"]) + STOP_SECONDS_MAX
        while not is_left(program) and time.monotonic() < deadline:
            time.sleep(POLL_SECONDS)
    machine.stop(program.name)
