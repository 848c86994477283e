"""Makes groups that can meet, through the front door of this machine's demo, and the people file that says who they are.

Institutions come as a sheet, bookkeepers and an approver from the Block Admin, members from the bookkeepers, approvals from the Block
Program Manager; each group holds one meeting. What is there already stays, so that it may be broken off and run again.

The file is JSON: "state" has code, address and ca_file; "users" each user_id, password, role (services/kernel/caller.py), region and
institutions (institution_id, block, member_ids); "nation", if any, has address, gateway_address, ca_file and users. It holds passwords.
"""

import argparse
import random
import sys
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import Any

from rich.progress import Progress

from deploy.demo import books
from deploy.demo.cast import (
    Nation,
    State,
    create_user,
    institutions_of,
    invite_state_admin,
    make_officers,
    members_of,
    password,
    take_in_geography,
    workbook,
)
from deploy.demo.client import Client, RefusedError
from deploy.demo.ledger import Ledger
from deploy.machine import Machine, MachineError
from deploy.machine.keys import write_private
from deploy.machine.layout import PROJECT, say
from loadtests.client import Institution, People, PeopleError, Server, User, people_file, people_json, read_people
from loadtests.journeys import new_member
from protos import profiles_pb2, transactions_pb2
from services.identity.rules.user import INSTITUTIONS_MAX
from services.kernel import month
from services.kernel.caller import Role
from services.kernel.ids import uuid7

GROUPS = 24
GROUPS_OF_A_BOOKKEEPER = 2
MEMBERS = 10
FORMED_ON = date(2015, 1, 1)
SAVINGS_PAISE = 50_00


def kept(file: Path, groups: int | None) -> People | None:
    """Those of the file, whoever wrote it, a synthetic load for instance; None where there is none, or more groups are asked for."""
    people = read_people(file) if file.exists() else None
    return people if people and len(people.groups) >= (groups or 0) else None


def make(machine: Machine, code: str, groups: int | None, file: Path) -> People:
    """The people of at least so many groups, in the file and in the state. Raises MachineError where the state is not running."""
    if code not in machine.instances or machine.instances[code].is_nation:
        raise MachineError(f"There is no state {code} on this machine. Take from: {', '.join(machine.layout.states)}.")
    if not machine.serving(machine.instances[code]):
        raise MachineError(f"{code} is not running here: `make up` first, or name the people file of another system (make load PEOPLE=file).")
    if people := kept(file, groups):
        return people
    keepers = -(-(groups or GROUPS) // GROUPS_OF_A_BOOKKEEPER)
    say(f"making {keepers * GROUPS_OF_A_BOOKKEEPER} groups with their members; some seconds each group, once")
    nation, state = Nation(machine), State(machine, code)
    try:
        made = _make(nation, state, keepers)
    finally:
        nation.close()
        state.close()
    write_private(file, people_json(made))
    return made


def _make(nation: Nation, state: State, keepers: int) -> People:
    nation.found()
    take_in_geography(state, PROJECT / "samples" / "lgd")
    invite_state_admin(nation, state)
    make_officers(state)
    shgs = _institutions(state, keepers * GROUPS_OF_A_BOOKKEEPER)
    users = []
    with Progress(transient=True) as progress:
        for number in progress.track(range(keepers), description=f"making {len(shgs)} groups"):
            first = number * GROUPS_OF_A_BOOKKEEPER
            users.append(_keeper(state, number, shgs[first : first + GROUPS_OF_A_BOOKKEEPER]))
    groups = tuple(group for user in users for group in user.institutions)
    users += [
        _approver(state, number, groups[first : first + INSTITUTIONS_MAX]) for number, first in enumerate(range(0, len(groups), INSTITUTIONS_MAX))
    ]
    manager = _user(state, "BPM", Role.BLOCK_PROGRAM_MANAGER, state.block)
    reader = _user(state, "SPM", Role.STATE_PROGRAM_MANAGER, state.block.split(".")[0])
    return People(
        state.code,
        Server(state.instance.grpc_address, state.instance.ca_file, state.pocket.inbox),
        (*users, manager, reader),
        Server(nation.instance.grpc_address, nation.instance.ca_file, nation.pocket.inbox),
        Server(nation.instance.gateway_address, nation.instance.ca_file),
        (_user(nation, "ADMIN", Role.NATIONAL_ADMIN, ""),),
    )


def _user(state: State, name: str, role: Role, region: str, groups: tuple[Institution, ...] = ()) -> User:
    return User(state.user_id(name), password(state.user_id(name)), role, region, groups)


def _mobile(state: State, number: int) -> str:
    """A number of nobody, another one for each."""
    return f"7{state.instance.state.lgd_code:02}{number:07}"


def _institutions(state: State, count: int) -> list[Any]:
    """So many SHGs, whose names say that they are the load's, in the villages of the demo's block."""
    villages = state.villages
    names = [f"Load {number}" for number in range(1, count + 1)]
    header = ["Kind", "Name", "Local name", "Region", "Formed on", "Parent", "Compulsory savings (₹)"]
    rows = (
        ["SHG", name, "", villages[number % len(villages)].split(".")[-1], FORMED_ON, "", SAVINGS_PAISE // 100] for number, name in enumerate(names)
    )
    request = profiles_pb2.UploadInstitutionsRequest(workbook=workbook(header, rows))
    answer = state.clerk(state.clerk.profiles.UploadInstitutions, request, deadline_seconds=60)
    if refused := [row.refusal.sentence for row in answer.rows if row.refusal.code]:
        raise PeopleError(f"{len(refused)} groups were refused, the first because: {refused[0]}")
    there = institutions_of(state.clerk)
    return [there[name] for name in names]


def _approver(state: State, number: int, groups: tuple[Institution, ...]) -> User:
    """Of as many groups as one user may be mapped to."""
    name = f"LOADAPPROVER{number or ''}"
    ids = [group.institution_id for group in groups]
    create_user(state, state.block_admin, name, Role.SHG_TRANS_APPROVER, state.block, _mobile(state, -number % 10**7), ids)
    return _user(state, name, Role.SHG_TRANS_APPROVER, state.block, groups)


def _keeper(state: State, number: int, shgs: Sequence[Any]) -> User:
    """A bookkeeper with her groups, each brought to where it can meet."""
    name = f"LOADKEEPER{number + 1:05}"
    ids = [shg.institution_id for shg in shgs]
    create_user(state, state.block_admin, name, Role.SHG_BOOKKEEPER, state.block, _mobile(state, number + 1), ids)
    keeper = state.client(name, Role.SHG_BOOKKEEPER)
    groups = tuple(Institution(shg.institution_id, state.block, _members(state, keeper, shg)) for shg in shgs)
    return _user(state, name, Role.SHG_BOOKKEEPER, state.block, groups)


def _members(state: State, keeper: Client, shg: Any) -> tuple[str, ...]:  # noqa: ANN401 - an Institution
    """Her group's members, active, and the group with them; what an earlier run began is taken up where it stands."""
    dice = random.Random()  # noqa: S311 - no secret
    # The oldest: whom load tests enrolled since is the Block Program Manager's business in those.
    listed = [member for member in members_of(keeper, shg.institution_id) if member.status != profiles_pb2.STATUS_REJECTED][:MEMBERS]
    rest = [new_member(shg.institution_id, dice) for _ in range(MEMBERS - len(listed))]
    for member in rest:
        member.revision = 0  # `submit` makes it the first.
    listed += [books.submit(keeper, member) for member in rest]
    for member in listed:
        if member.status == profiles_pb2.STATUS_SUBMITTED:
            found = books.screened(state.manager, member.member_id, member.revision)
            books.approve(state.manager, found, reason="Invented for a load test" if found.findings else "", supervisor=state.reader)
    if shg.status == profiles_pb2.STATUS_DRAFT:
        shg = books.submit_institution(keeper, shg, dict.fromkeys([member.member_id for member in listed], shg.institution_id))
    if shg.status == profiles_pb2.STATUS_SUBMITTED:
        books.approve_institution(state.manager, shg)
    members = tuple(sorted(member.member_id for member in listed))
    _first_meeting(keeper, shg.institution_id, members)
    return members


def _first_meeting(keeper: Client, institution_id: str, members: Sequence[str]) -> None:
    """Held once: the books answer WAITING until they have heard of the group and of everybody in it."""

    def known() -> Any:  # noqa: ANN401 - a Position
        try:
            return books.position(keeper, institution_id)
        except RefusedError as error:
            if error.code != "INSTITUTION_UNKNOWN":
                raise
            return None

    if books.wait_until("the books know the group", known).last_number == 0:
        ledger = Ledger(institution_id, keeper(keeper.transactions.GetChart, transactions_pb2.GetChartRequest(), retry_seconds=30))
        savings = [transactions_pb2.Saving(member_id=one, compulsory_paise=SAVINGS_PAISE) for one in members]
        attendance = [transactions_pb2.Attendance(member_id=one, present=True) for one in members]
        meeting = ledger.close(ledger.begin(str(uuid7()), month.today().isoformat(), attendance=attendance, savings=savings))
        if refused := [answer.refusal.sentence for answer in books.sync(keeper, [meeting]) if answer.refusal.code]:
            raise PeopleError(f"The first meeting of {institution_id} is not in the books: {refused[0]}")


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m loadtests.people", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--state", default="UP", help="which of this machine's states (UP)")
    parser.add_argument("--groups", type=int, help=f"how many groups there are to be, two a bookkeeper (those of the file, or {GROUPS})")
    parser.add_argument("--file", type=Path, help="where the people file goes (load/<STATE>.json in the run folder)")
    given = parser.parse_args()
    if given.groups is not None and given.groups < 1:
        parser.error("there is at least one group")
    machine = Machine.from_environment()
    file = given.file or people_file(machine.run, given.state)
    try:
        people = make(machine, given.state, given.groups, file)
    except (MachineError, PeopleError, RefusedError, RuntimeError) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    members = sum(len(group.member_ids) for group in people.groups)
    sys.stdout.write(f"{file}: {len(people.groups)} groups with {members} members, {len(people.users)} users\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
