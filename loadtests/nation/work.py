"""What the worker processes do, one block or one handful of pending members at a time; each makes its plan from the inputs alone."""

import os
import threading
import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from uuid import UUID

from loadtests import client
from loadtests.nation import load
from loadtests.nation.people import Pair
from loadtests.nation.plan import Inputs, Plan
from loadtests.nation.rows import Made, Rows, User, Waits
from services.kernel.caller import Role

PARENT_SECONDS = 0.1  # Less than another load needs to start.
# Everybody can read it here: for invented people on a machine of one's own, and for nothing else.
PASSWORD = "the password of everybody who was made up"  # noqa: S105 - it guards nothing


@dataclass(frozen=True, slots=True)
class Task:
    """What all blocks of a load have in common. Without `env` the rows are counted and go nowhere."""

    inputs: Inputs
    env: Mapping[str, str]
    password_hash: str
    bookkeepers_told: int  # Of each block, in the people file.
    # Told, and not asked for in the child: that may begin when its parent is dead already.
    parent: int = field(default_factory=os.getpid)


@dataclass(slots=True)
class Done:
    """What became of a block."""

    number: int
    members: int
    meetings: int = 0
    rows: Counter[str] = field(default_factory=Counter)
    bytes: Counter[str] = field(default_factory=Counter)
    pairs: list[Pair] = field(default_factory=list)
    waiting: list[Waits] = field(default_factory=list)
    users: list[client.User] = field(default_factory=list)


_plans: dict[int, tuple[Task, Plan]] = {}


def begin(task: Task) -> None:
    """The first thing in each process."""
    threading.Thread(target=_end_with, args=(task.parent,), daemon=True).start()
    _plans[0] = (task, Plan(task.inputs))
    load.use(task.env)


def _end_with(parent: int) -> None:
    """Nobody goes on loading for a parent that was killed."""
    while os.getppid() == parent:
        time.sleep(PARENT_SECONDS)
    os._exit(1)


def block(number: int) -> Done:
    task, plan = _plans[0]
    of_block = plan.blocks[number]
    key = bytes.fromhex(task.env.get("LOKOS_PERSON_KEY", "00"))
    made = Made(plan, of_block, key, task.password_hash)
    done = Done(number, int(of_block.shg_sizes.sum()))
    if task.env:
        load.load_block(task.env, made)
    else:
        for rows in made.everything():
            done.rows[f"{rows.service}.{rows.table}"] += len(rows.rows)
            done.bytes[rows.service] += _size(rows)
    done.meetings, done.pairs, done.waiting = made.meetings, made.pairs, made.waiting
    done.users = _sample(made, task.bookkeepers_told)
    return done


def _size(rows: Rows) -> int:
    """Bytes of the rows as COPY's text, near enough: a tab or a line's end follows each value."""
    return sum(len(str(value).encode()) + 1 for row in rows.rows for value in row)


def screen(waiting: Sequence[Waits]) -> dict[str, int]:
    return load.screen(waiting)


def _sample(made: Made, bookkeepers: int) -> list[client.User]:
    """Some bookkeepers as the people file tells of them, and the officers whom their work comes to."""
    held: dict[UUID, list[str]] = {one: [] for one in made.shg_ids}
    for woman in made.women:
        if woman.active:
            held[woman.said.institution_id].append(str(woman.member_id))

    def told(user: User, institution_ids: Iterable[UUID]) -> client.User:
        institutions = tuple(client.Institution(str(one), made.block.path, tuple(held[one])) for one in institution_ids)
        return client.User(user.user_id, PASSWORD, user.role, user.region, institutions)

    keepers = [user for user in made.users if user.role == Role.SHG_BOOKKEEPER][:bookkeepers]
    kept = {one for keeper in keepers for one in keeper.institution_ids}
    approvers = [user for user in made.users if user.role == Role.SHG_TRANS_APPROVER and not kept.isdisjoint(user.institution_ids)]
    officers = [user for user in made.users if user.role in {Role.BLOCK_PROGRAM_MANAGER, Role.STATE_PROGRAM_MANAGER}]
    return [
        *(told(user, user.institution_ids) for user in keepers),
        *(told(user, [one for one in user.institution_ids if one in kept]) for user in approvers),
        *(told(user, ()) for user in officers),
    ]
