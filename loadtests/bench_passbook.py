"""How long a passbook and a pull take with few and with very many books present: python -m loadtests.bench_passbook --state UP

Once with 1 lakh members whose groups have met for 12 months, and once with 10 lakh such and 1 crore members in all: the groups made by
SyncMeetings and ApproveMeetings are copied within the books by SQL under new ids, so that their rows look no different. It fails where
the p99 of either RPC with all present is more than the gate above that with few. It needs a machine of its own, as `make bench-passbook`
makes it.
"""

import argparse
import asyncio
import os
import random
import sys
import time
from collections.abc import Sequence
from datetime import date, timedelta

import numpy as np
import psycopg
from rich.progress import track

from deploy.machine import Machine, MachineError
from loadtests.bench_meetings import MEMBERS, SERVICE, Group, Wire, address, approvals, checker, found, must_be_approved, said, send
from loadtests.nation.__main__ import CRORE, LAKH, members
from protos import transactions_pb2 as pb
from services.kernel.month import today

TEMPLATES, MONTHS = 100, 12
READS, READS_BEFORE = 3000, 200  # Of each RPC; the first are not counted.
SMALL, HELD = 100, 10  # The smaller state is a hundredth of the larger; a tenth of the larger has met.
RATIO_MAX = 1.5

# A copy of every id, of the same age, so that it lies among the others as ids do.
_NEW = "(left({id}::text, 15) || regexp_replace(md5({id}::text || '-{number}'), '^(...)(...)(.{{12}}).*', '\\1-a\\2-\\3'))::uuid"
_TABLES = {
    "institutions": ("institution_id", "parent_id"),
    "members": ("member_id", "institution_id"),
    "chains": ("institution_id", "last_meeting_id"),
    "balances": ("institution_id", "of_id"),
    "loans": ("loan_id", "institution_id", "meeting_id", "member_id"),
    "meetings": ("meeting_id", "institution_id", "ids"),
}
_COPIES = ("institutions", "members")  # Of those that have not met.


def first_of_month(months_ago: int) -> date:
    on = today().replace(day=1)
    for _ in range(months_ago):
        on = (on - timedelta(days=1)).replace(day=1)
    return on


async def make(wire: Wire) -> list[Group]:
    """Groups that have met twelve times, all approved. Their days are put a month apart afterwards: a closed year takes no meeting."""
    groups = found(TEMPLATES, formed_on=first_of_month(MONTHS + 1))
    for group in track(groups, "groups that meet", transient=True):
        for _ in range(MONTHS):
            await send(wire, group, [group.next_meeting()])
            must_be_approved(await wire.call("ApproveMeetings", approvals([group.last_meeting_id]), checker(group.vo_id, group.keeper.region)))
    apart = "update meetings set held_on = %s - make_interval(months => %s - number) where institution_id = any(%s::uuid[])"
    with psycopg.connect(address(SERVICE)) as connection:
        connection.execute(apart, (first_of_month(0), MONTHS, [group.institution_id for group in groups]))
    return groups


def multiply(groups: Sequence[Group], numbers: range, tables: Sequence[str]) -> None:
    """Copies of these groups and of the VOs that they are of under new ids, one for each number: no VO has more groups than before."""
    templates = {group.institution_id for group in groups} | {str(group.vo_id) for group in groups}
    with psycopg.connect(address(SERVICE), autocommit=True) as connection:
        connection.execute("set synchronous_commit = off")
        connection.execute("create temporary table templates as select unnest(%s::uuid[]) as institution_id", (sorted(templates),))
        for table in tables:
            connection.execute(f"create temporary table one_{table} as select t.* from {table} t join templates using (institution_id)")  # noqa: S608 - our own names
        for number in track(numbers, "copies", transient=True):
            for table in tables:
                connection.execute(_copied(connection, table, number))
        for table in tables:
            connection.execute(f"vacuum (analyze) {table}")


def _copied(connection: psycopg.Connection[tuple[object, ...]], table: str, number: int) -> str:
    names = [column.name for column in connection.execute(f"select * from one_{table} limit 0").description or ()]  # noqa: S608 - our own names
    values = [_value(name, number) if name in _TABLES[table] else name for name in names]
    return f"insert into {table} ({', '.join(names)}) select {', '.join(values)} from one_{table}"  # noqa: S608 - our own names


def _value(name: str, number: int) -> str:
    if name == "ids":
        return f"array(select {_NEW.format(id='one', number=number)} from unnest(ids) with ordinality as of (one, place) order by place)"  # noqa: S608 - our own names
    new = _NEW.format(id=name, number=number)
    return f"case when {name} = '{'0' * 8}-0000-0000-0000-{'0' * 12}' then {name} else {new} end" if name == "of_id" else new


async def read(wire: Wire, seed: int) -> dict[str, float]:
    """The p99 in milliseconds of a passbook of 12 months and of a pull of everything, of members drawn among all that have met."""
    dice = random.Random(seed)  # noqa: S311 - no secret
    with psycopg.connect(address(SERVICE)) as connection:
        drawn = connection.execute(
            "select m.member_id::text, m.institution_id::text, i.parent_id from members m join institutions i using (institution_id)"
            " where exists (select from chains c where c.institution_id = m.institution_id and c.last_number = %s)"
            " order by md5(m.member_id::text || %s) limit %s",
            (MONTHS, str(seed), READS + READS_BEFORE),
        ).fetchall()
        region = (connection.execute("select region from institutions where kind = 'VO' limit 1").fetchone() or ("",))[0]
    days = {"from_on": first_of_month(MONTHS - 1).isoformat(), "to_on": today().isoformat()}
    took: dict[str, list[float]] = {"Passbook": [], "Pull": []}
    dice.shuffle(drawn)
    for number, (member_id, institution_id, vo_id) in enumerate(track(drawn, "passbooks and pulls", transient=True)):
        caller = checker(vo_id, region)
        asked = {
            "Passbook": pb.PassbookRequest(institution_id=institution_id, member_id=member_id, **days),
            "Pull": pb.PullRequest(institution_id=institution_id),
        }
        for rpc, request in asked.items():
            begun = time.perf_counter()
            answer = await wire.call(rpc, request, caller)
            if number >= READS_BEFORE:
                took[rpc].append((time.perf_counter() - begun) * 1000)
            if rpc == "Passbook" and len(answer.entries) < 2 * MONTHS:
                raise MachineError(f"A passbook of {MONTHS} months has {len(answer.entries)} entries.")
    return {rpc: float(np.percentile(times, 99)) for rpc, times in took.items()}


async def measure(count: int) -> tuple[dict[str, float], dict[str, float]]:
    wire = Wire()
    groups = await make(wire)
    of_templates = TEMPLATES * MEMBERS
    small = max(count // SMALL // of_templates, 1)
    held = max(count // HELD // of_templates, small)
    multiply(groups, range(1, small), list(_TABLES))
    few = await read(wire, 1)
    said(f"with {small * of_templates} members who met for {MONTHS} months: p99 {_shown(few)}")
    multiply(groups, range(small, held), list(_TABLES))
    multiply(groups, range(held, max(count // of_templates, held)), _COPIES)
    many = await read(wire, 2)
    said(f"with {held * of_templates} such, and {max(count // of_templates, held) * of_templates} in all: p99 {_shown(many)}")
    await wire.close()
    return few, many


def _shown(p99: dict[str, float]) -> str:
    return ", ".join(f"{rpc} {ms:.1f} ms" for rpc, ms in p99.items())


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m loadtests.bench_passbook", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--state", default="UP", help="which of this machine's states (UP)")
    parser.add_argument("--members", type=members, default=CRORE, help=f"in the larger of the two (1crore); at least {LAKH}")
    given = parser.parse_args()
    try:
        machine = Machine.from_environment()
        if given.state not in machine.instances:
            raise MachineError(f"There is no state {given.state} on this machine.")
        os.environ.update(machine.instances[given.state].env)
        few, many = asyncio.run(measure(given.members))
    except MachineError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    ratios = {rpc: many[rpc] / few[rpc] for rpc in few}
    said(
        f"bench-passbook passbook_p99_ms={many['Passbook']:.1f} pull_p99_ms={many['Pull']:.1f} "
        f"passbook_ratio={ratios['Passbook']:.2f} pull_ratio={ratios['Pull']:.2f}"
    )
    if max(ratios.values()) > RATIO_MAX:
        sys.stderr.write(f"Missed: a p99 is more than {RATIO_MAX} times that with few.\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
