"""How long PAR and demand, collection and balance take with very many loans: python -m loadtests.bench_portfolio --state UP

The districts and blocks of a large state, and in them loans of 12 instalments given in the last three years, most of them due at the end of
months, a tenth on days of their own; most are repaid in time, some late, some never. What approved meetings would have told of them is made
by SQL, at every level as the books' hearer adds it up. Then officers of blocks, districts and the state ask for ranges of days drawn by
chance. It fails where a gate is missed. It needs a machine of its own, as `make bench-portfolio` makes it.
"""

import argparse
import asyncio
import os
import random
import sys
import time
from collections.abc import Sequence
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import psycopg
from rich.progress import track

from deploy.machine import Machine, MachineError
from loadtests.bench_meetings import Wire, address, said
from loadtests.nation.__main__ import LAKH, members
from protos import reporting_pb2 as pb
from protos.reporting_pb2_grpc import ReportingServiceStub
from services.chassis import settings
from services.kernel import geography
from services.kernel.caller import Caller, Role
from services.kernel.month import today

DISTRICTS, BLOCKS_A_DISTRICT = 75, 11
DAYS = 1095
STEP = 50_000  # Loans made by one statement.
ASKED, ASKED_BEFORE = {"block": 600, "district": 300, "state": 100}, 20  # Of each level; the first are not counted.
GATES_MS = {"block": 50.0, "district": 200.0, "state": 1000.0}

# Of each loan what its giving tells of 12 due dates, and what each payment tells of the one that it pays and of the next.
_LOANS = """
create temporary table told as
with loan as (
    select n, '9.' || (900 + at %% %(districts)s) || '.' || (9000 + at) as block,
        current_date - (1 + random() * %(days)s)::int as given_on, random() < 0.1 as dated, (1 + (random() * 4)::int) * 100000 as paise,
        case when random() < 0.05 then (random() * 11)::int else 12 end as paid, (random() * 40 - 20)::int as late
    from generate_series(%(first)s, %(last)s) as n, lateral (select n::bigint * %(blocks)s / %(count)s as at) as place
), due as (
    select loan.*, k, case when dated then (given_on + k * interval '1 month')::date
        else (date_trunc('month', given_on) + (k + 1) * interval '1 month')::date - 1 end as due_on
    from loan, generate_series(1, 12) as k
), paid as (
    select *, greatest(due_on + late, given_on + k) as paid_on, lead(due_on) over (partition by n order by k) as next_on from due
)
select block, given_on as changed_on, due_on, paise as scheduled, 0 as collected, (k = 1)::int as loans, case when k = 1 then 12 * paise else 0 end
    as outstanding from due
union all
select block, paid_on, due_on, 0, paise, -1, -(13 - k) * paise from paid where k <= paid and paid_on <= current_date
union all
select block, paid_on, next_on, 0, 0, 1, (12 - k) * paise from paid where k <= paid and paid_on <= current_date and k < 12
"""
_GATHERED = """
insert into gathered select block, changed_on, due_on, sum(scheduled), sum(collected), sum(loans), sum(outstanding) from told group by 1, 2, 3
"""
# As they come: day by day, each block's beside those of all others.
_ADDED = """
insert into ageing (level, region, head, changed_on, due_on, scheduled, collected, loans, outstanding)
select 3, block, 'A01', changed_on, due_on, sum(scheduled), sum(collected), sum(loans), sum(outstanding) from gathered group by 2, 4, 5 order by 4, 2
"""
_WIDER = """
insert into ageing (level, region, head, changed_on, due_on, scheduled, collected, loans, outstanding)
select %(level)s, array_to_string((string_to_array(region, '.'))[:%(level)s], '.'), head, changed_on, due_on,
    sum(scheduled), sum(collected), sum(loans), sum(outstanding) from ageing where level = %(level)s + 1 group by 2, 3, 4, 5 order by 4, 2
"""


def blocks(state: str) -> list[str]:
    """Their paths: a number counted modulo the blocks lies in the district that it gives modulo the districts, since these divide them."""
    return [f"{state}.{900 + number % DISTRICTS}.{9000 + number}" for number in range(DISTRICTS * BLOCKS_A_DISTRICT)]


def make_places(state: str) -> None:
    """What officers name must be known; services read the file anew."""
    path, since = Path(settings.text("LOKOS_GEOGRAPHY_FILE")), date(2020, 1, 1)
    held = geography.read_places(path)
    made = sorted({one.rsplit(".", 1)[0] for one in blocks(state)} | set(blocks(state)))
    known = {place.path for place in held}
    geography.save(path, [*held, *(geography.Place(one, f"Place {one}", "", since) for one in made if one not in known)])


def make_loans(count: int, state: str) -> int:
    """How many rows came of them."""
    with psycopg.connect(address("reporting"), autocommit=True) as connection:
        connection.execute("set synchronous_commit = off")
        connection.execute("truncate ageing")
        connection.execute(
            "create temporary table gathered as select region as block, changed_on, due_on, scheduled, collected, loans, outstanding from ageing"
        )
        for first in track(range(0, count, STEP), "loans", transient=True):
            known = {"districts": DISTRICTS, "blocks": DISTRICTS * BLOCKS_A_DISTRICT, "days": DAYS, "first": first, "count": count}
            with connection.cursor() as cursor:
                psycopg.ClientCursor(connection).execute(_LOANS.replace("'9.'", f"'{state}.'"), {**known, "last": min(first + STEP, count) - 1})
                cursor.execute(_GATHERED)
                cursor.execute("drop table told")
        connection.execute(_ADDED)
        for level in (2, 1):
            connection.execute(_WIDER, {"level": level})
        connection.execute("vacuum (analyze) ageing")
        row = connection.execute("select count(*) from ageing").fetchone()
        return int(row[0]) if row else 0


def officer(region: str) -> Caller:
    role = {1: Role.STATE_ADMIN, 2: Role.DISTRICT_ADMIN, 3: Role.BLOCK_ADMIN}[region.count(".") + 1]
    return Caller(f"{settings.state().user_prefix}OFFICER{region.replace('.', '')}", role, region)


async def ask(wire: Wire, regions: Sequence[str], count: int, dice: random.Random) -> list[float]:
    """Milliseconds of each answer but the first."""
    took = []
    for number in track(range(count + ASKED_BEFORE), f"as {officer(regions[0]).role}", transient=True):
        region, last = dice.choice(regions), today() - timedelta(days=dice.randrange(DAYS // 2))
        days = {"from_on": (last - timedelta(days=dice.choice((0, 29, 89, 364)))).isoformat(), "to_on": last.isoformat()}
        begun = time.perf_counter()
        answer = await wire.call("Portfolio", pb.PortfolioRequest(region=region, **days), officer(region))
        if number >= ASKED_BEFORE:
            took.append((time.perf_counter() - begun) * 1000)
        if not answer.rows or answer.rows[0].loans <= 0:
            raise MachineError(f"Nothing is outstanding in {region} on {last}.")
    return took


def ceiling(state: str) -> float:
    """The median of a plain count over the rows that the state's answer reads, in milliseconds."""
    took = []
    with psycopg.connect(address("reporting"), autocommit=True) as connection:
        for _ in range(20):
            begun = time.perf_counter()
            connection.execute("select count(*), sum(outstanding) from ageing where level = 1 and region = %s", (state,)).fetchone()
            took.append((time.perf_counter() - begun) * 1000)
    return float(np.median(took))


async def measure(count: int, state: str) -> dict[str, float]:
    make_places(state)
    begun = time.perf_counter()
    rows = make_loans(count, state)
    said(f"{count} loans, {rows} rows at all levels, made in {time.perf_counter() - begun:.0f} s")
    dice, found = random.Random(1), {}  # noqa: S311 - no secret
    wire = Wire(ReportingServiceStub)
    of_level = {"block": blocks(state), "district": sorted({one.rsplit(".", 1)[0] for one in blocks(state)}), "state": [state]}
    for name, regions in of_level.items():
        took = await ask(wire, regions, ASKED[name], dice)
        found[name] = float(np.percentile(took, 99))
        said(f"{name}: p50 {np.percentile(took, 50):.1f} ms, p99 {found[name]:.1f} ms")
    await wire.close()
    plain = ceiling(state)
    said(f"a plain count of the state's rows: {plain:.1f} ms, {found['state'] / plain:.1f} times as fast as the state's p99")
    return found


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m loadtests.bench_portfolio", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--state", default="UP", help="which of this machine's states (UP)")
    parser.add_argument("--loans", type=members, default=10 * LAKH, help="how many (10lakh)")
    given = parser.parse_args()
    try:
        machine = Machine.from_environment()
        if given.state not in machine.instances:
            raise MachineError(f"There is no state {given.state} on this machine.")
        os.environ.update(machine.instances[given.state].env)
        p99_ms = asyncio.run(measure(given.loans, str(settings.state_lgd())))
    except MachineError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    said("bench-portfolio " + " ".join(f"{name}_p99_ms={ms:.1f}" for name, ms in p99_ms.items()))
    if missed := [name for name, ms in p99_ms.items() if ms > GATES_MS[name]]:
        sys.stderr.write(f"Missed: the p99 of {', '.join(missed)} is above the gate.\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
