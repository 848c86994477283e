"""New signing keys and passwords for an instance. Of signing keys the old one stays trusted meanwhile: nobody is sent away."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from deploy.machine import keys, provision
from deploy.machine.layout import MachineError, say
from services.chassis.tokens import LOOK_SECONDS

if TYPE_CHECKING:
    from deploy.machine.layout import Instance
    from deploy.machine.machine import Machine

# What an identity's key signs holds for so long at most: attestations of an e-KYC in a state, the nation's invitations.
STATE_OVERLAP = timedelta(days=1)
NATION_OVERLAP = timedelta(days=7)


def rotate(machine: Machine, code: str) -> None:
    """Make new signing keys and use them; what the old ones signed stays good until `end_old`."""
    [instance] = machine.chosen([code])
    _must_be_provisioned(instance)
    for name in _names(instance):
        keys.add_signing_key(instance.keys, name)
    _spread(machine, instance)
    say(f"rotate: {code} signs with {', '.join(instance.env[setting] for setting in instance.env if setting.endswith('_SIGNING_KEY_ID'))}")
    say(f"rotate: end the old key when nothing that it signed holds any more: python3 -m deploy.machine rotate {code} --end-old")


def end_old(machine: Machine, code: str, *, now: bool) -> None:
    """Trust the newest keys alone. `now` does not wait for what the old ones signed to end by itself."""
    [instance] = machine.chosen([code])
    _must_be_provisioned(instance)
    files = [keys.signing_keys(instance.keys, name) for name in _names(instance)]
    newest = max(of_one[-1].stat().st_mtime for of_one in files)
    until = datetime.fromtimestamp(newest, UTC) + (NATION_OVERLAP if instance.is_nation else STATE_OVERLAP)
    old = [file for of_one in files for file in of_one[:-1]]
    if old and not now and until.timestamp() > time.time():
        raise MachineError(
            f"What the old key of {code} signed may hold until {until:%Y-%m-%d %H:%M} UTC. Come back then; or say --now, "
            "as when the key is in wrong hands: then whoever works logs in again, and what it attested must be done anew."
        )
    for file in old:
        file.unlink()
    _spread(machine, instance)
    say(f"rotate: {len(old)} old keys of {code} are trusted no more")


def change_passwords(machine: Machine, code: str) -> None:
    """Give the instance's database roles and broker users new passwords; its programs stand still meanwhile."""
    [instance] = machine.chosen([code])
    _must_be_provisioned(instance)
    stopped = list(machine.stop_programs(instance))
    provision.secrets_of(instance).forget("postgres ", "rabbitmq ")
    machine.provision([code])
    for program in stopped:
        machine.start(program)
    for program in stopped:
        machine.wait_well(program)
    say(f"rotate: the services of {code} have new passwords at their database and broker")


def _must_be_provisioned(instance: Instance) -> None:
    _ = instance.env


def _names(instance: Instance) -> tuple[str, ...]:
    return ("identity", "gateway") if instance.is_nation else ("identity",)


def _spread(machine: Machine, instance: Instance) -> None:
    """Write who trusts what. Those who check read it again by themselves; once they have, those who sign start anew."""
    provision.write_settings(machine.layout)
    time.sleep(2 * LOOK_SECONDS)
    for program in machine.serving(instance):
        say(f"rotate: {program} starts anew")
        machine.stop(program)
        machine.start(program)
        machine.wait_well(program)
