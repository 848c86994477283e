"""Takes a state off this machine: a last backup, then its programs, database, virtual host and place in the registry are gone."""

from __future__ import annotations

import os
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from deploy.machine import backup, postgres, provision, rabbitmq, upgrade
from deploy.machine.layout import MachineError, say
from deploy.machine.machine import Machine
from services.chassis import discovery

if TYPE_CHECKING:
    from deploy.machine.layout import Instance

BACKUP = "backup"


def remove(machine: Machine, code: str, *, sure: bool) -> None:
    """Remove a state. Its folder with the backup and the keys, without which it is worth little, goes below run/removed.

    A run that was cut short is completed by the next. The nation's gateway is replaced, since it tells of a state that it
    knows and that is gone as a gap, which this is not.
    """
    instance = machine.instances.get(code)
    if instance is None or not instance.folder.exists():
        raise MachineError(f"There is no state {code} on this machine. It has {', '.join(machine.layout.states)}.")
    if instance.is_nation:
        raise MachineError("The nation stays: the states of this machine trust it. `python3 -m deploy.machine down --wipe` deletes everything.")
    to = machine.run / "removed" / f"{code}-{datetime.now(UTC):%Y%m%dT%H%M%SZ}"
    if not sure:
        raise MachineError(
            f"This stops {instance.name} ({code}), backs it up, deletes it, and keeps backup and keys in {to.parent}. Say --yes to do it."
        )
    rest = Machine(replace(machine.layout, states=tuple(state for state in machine.layout.states if state != code)))
    _stop(rest, instance)
    if not (instance.folder / BACKUP).exists():  # Of a removal that was cut short it is there already, and whole.
        backup.back_up(machine, code, instance.folder / BACKUP)
    say(f"remove: database and roles, virtual host and users of {code}")
    postgres.drop_all_of(machine.layout, instance)
    rabbitmq.drop(machine.layout, instance)
    os.environ.update(instance.env)  # The registry is what the instance's own settings name.
    discovery.registry().take_out(code)
    gateway = next(program for program in rest.layout.applications() if program.module == ("gateway",))
    if rest.pid(gateway.name):
        say("remove: the nation forgets it")
        upgrade.replace(rest, gateway)
        rest.supervisor.reread()
    to.parent.mkdir(mode=0o700, exist_ok=True)
    instance.folder.rename(to)
    provision.provision_broker(rest.layout)
    say(f"remove: {code} is gone; its backup and keys are in {to}")


def _stop(rest: Machine, instance: Instance) -> None:
    """Stop the state's programs and forget them; the servers are up afterwards."""
    if rest.supervisor.runs():
        _, _, removed = rest.supervisor.reread()
        for name in removed:
            if name.startswith(f"{instance.prefix}-"):
                rest.supervisor.remove(name)
    else:
        rest.supervisor.ensure()
    rest.start_all(rest.infrastructure)
