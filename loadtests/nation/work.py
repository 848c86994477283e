"""What the worker processes do, one block or one handful of pending members at a time; each makes its plan from the inputs alone."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from loadtests.nation import load
from loadtests.nation.people import Pair
from loadtests.nation.plan import Inputs, Plan
from loadtests.nation.rows import Made, Rows, User, Waits
from services.kernel.caller import Role


@dataclass(frozen=True, slots=True)
class Task:
    """What all blocks of a load have in common. Without `env` the rows are counted and go nowhere."""

    inputs: Inputs
    env: Mapping[str, str]
    password_hash: str
    bookkeepers_told: int  # Of each block, in the people file.


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
    users: list[dict[str, Any]] = field(default_factory=list)


_plans: dict[int, tuple[Task, Plan]] = {}


def begin(task: Task) -> None:
    """The first thing in each process."""
    _plans[0] = (task, Plan(task.inputs))
    load.use(task.env)


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
    done.users = [_told(user, made) for user in _sample(made.users, task.bookkeepers_told)]
    return done


def _size(rows: Rows) -> int:
    """Bytes of the rows as COPY's text, near enough: a tab or a line's end follows each value."""
    return sum(len(str(value).encode()) + 1 for row in rows.rows for value in row)


def screen(waiting: Sequence[Waits]) -> dict[str, int]:
    return load.screen(waiting)


def _sample(users: Sequence[User], bookkeepers: int) -> list[User]:
    """Some bookkeepers, and the officers whom their work comes to."""
    officers = [user for user in users if user.role in {Role.SHG_TRANS_APPROVER, Role.BLOCK_PROGRAM_MANAGER, Role.STATE_PROGRAM_MANAGER}]
    return [user for user in users if user.role == Role.SHG_BOOKKEEPER][:bookkeepers] + officers


def _told(user: User, made: Made) -> dict[str, Any]:
    """A user as the people file tells of her, with the active members of her groups."""
    of_group: dict[str, list[str]] = {str(one): [] for one in user.institution_ids}
    for woman in made.women:
        if woman.active and (shg := str(woman.said.institution_id)) in of_group:
            of_group[shg].append(str(woman.member_id))
    institutions = [{"institution_id": one, "block": made.block.path, "member_ids": held} for one, held in of_group.items()]
    return {"user_id": user.user_id, "role": user.role.value, "region": user.region, "institutions": institutions}
