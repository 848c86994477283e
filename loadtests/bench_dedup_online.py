"""How long a duplicate check takes with 10 lakh and with 1.4 crore members on the books: python -m loadtests.bench_dedup_online --state UP

The members are loadtests/nation's, as the check knows them. Asked are women of another seed, half of them doubles of who is there: in the
service itself, candidates fetched and weighed; and over gRPC, RefreshScreening of members on the books at a steady rate. Beside it, on the same
rows, the same statement whose answer nobody looks at (what PostgreSQL takes of it), and pg_trgm's similarity of the same names. It fails
where a gate is missed. It needs a machine of its own, as `make bench-dedup-online` makes it.
"""

import argparse
import asyncio
import os
import random
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID

import numpy as np
import psycopg
from rich.progress import Progress, track
from sqlalchemy import Connection, insert, select, text

from deploy.machine import Machine, MachineError
from deploy.machine.postgres import admin_url
from loadtests import dedup_people
from loadtests.bench_meetings import Wire, address, said
from loadtests.nation import records
from loadtests.nation.__main__ import LAKH, members
from loadtests.nation.plan import RATES
from protos.dedup_pb2 import RefreshScreeningRequest
from protos.dedup_pb2_grpc import DedupServiceStub
from services.chassis import database, settings
from services.dedup import commands, queries, rules
from services.dedup.rules import ARMS, Person, model
from services.dedup.tables import models, people
from services.kernel.approval import Status
from services.kernel.caller import Caller, Role
from services.kernel.ids import uuid7

SERVICE = "dedup"
SIZE, SMALL, SEED = 14_000_000, 1_000_000, 42
ASKED, ASKED_BEFORE = 4000, 500  # The first are not counted: their pages come from disk.
RATE, SECONDS = 100, 60.0
TRIGRAMS_ASKED, SIMILAR_FROM = 40, 0.6
GATES = {"check_p99_ms": 8.0, "grpc_p99_ms": 40.0, "growth": 2.5, "index_bytes_a_member": 130.0}
STRETCHES = {"check_p99_ms": 4.0, "grpc_p99_ms": 25.0, "index_bytes_a_member": 90.0}
CERTAIN = {"identity", "account"}  # Counted apart, as the key is.


@dataclass(frozen=True)
class Figures:
    """Milliseconds, but what says otherwise."""

    check: Sequence[float]
    ceiling: Sequence[float]
    grpc: Sequence[float]
    found: float  # The share of doubles whose first one was found.
    candidates: Sequence[int]
    index_bytes: float

    def p(self, name: str, part: float) -> float:
        return float(np.percentile(getattr(self, name), part))


def fill(state: str, size: int, seed: int) -> None:
    begun = time.monotonic()
    with Progress(transient=True) as progress:
        task = progress.add_task(f"{size} members", total=size)
        for count, _ in dedup_people.fill(address(SERVICE), state, size, seed):
            progress.advance(task, count)
    said(f"{size} members made and indexed in {time.monotonic() - begun:.0f} s")


def fit(size: int) -> None:
    """The default model for a state of this size and its villages, as it would be put to use."""
    with database.transaction(SERVICE) as connection:
        connection.exec_driver_sql("set local statement_timeout = 0")
        held = connection.exec_driver_sql("select village, count(*) from people where village is not null group by 1").all()
        fitted = model.default().for_state_of(size).with_villages(dict(held))
        connection.execute(insert(models).values(content=model.dump(fitted)))


# --- Who asks.


def asked(state: str, size: int, seed: int) -> list[tuple[Person, UUID | None]]:
    """Women of other blocks' making, and doubles of who is there, by turns: under new ids, with whom each is a double of."""
    dice = random.Random(seed)  # noqa: S311 - no secret
    count = (ASKED + ASKED_BEFORE) // 2
    plan, other = records.plan(size, seed, state), records.plan(size, seed + 1, state)
    there: list[tuple[Person, UUID | None]] = []
    strange: list[tuple[Person, UUID | None]] = []
    numbers = list(range(len(plan.blocks)))
    dice.shuffle(numbers)
    for number in numbers:
        women, pairs = records.of_block(plan, plan.blocks[number])
        by_id = {one.member_id: one for one in women}
        there += [(_anew(by_id[pair.member_id]), pair.duplicate_of) for pair in dice.sample(pairs, min(len(pairs), 100))]
        women, _ = records.of_block(other, other.blocks[number % len(other.blocks)])
        strange += [(_anew(one), None) for one in dice.sample(women, min(len(women), 100))]
        if min(len(there), len(strange)) >= count:
            break
    drawn = there[:count] + strange[:count]
    dice.shuffle(drawn)
    return drawn


def _anew(record: rules.Record) -> Person:
    return rules.person(replace(record, member_id=uuid7()), Status.SUBMITTED)


# --- What is measured.


def timed(of: Callable[[], Any], into: list[float]) -> Any:  # noqa: ANN401 - whatever it gives
    begun = time.perf_counter()
    made = of()
    into.append((time.perf_counter() - begun) * 1000)
    return made


def checks(state: str, size: int, seed: int) -> tuple[list[float], list[float], float, list[int]]:
    took: list[float] = []
    ceiling: list[float] = []
    met: Counter[bool] = Counter()
    candidates: list[int] = []
    with database.transaction(SERVICE) as connection:
        by = queries.yardstick(connection)
        for number, (one, double_of) in enumerate(track(asked(state, size, seed), "checks", transient=True)):
            found = timed(lambda one=one: queries.screen(connection, one, by), took)  # type: ignore[misc]
            timed(lambda one=one: _unread(connection, one), ceiling)  # type: ignore[misc]
            if double_of:
                met[any(match.other_id == double_of for match in found.matches)] += 1
            if number % 10 == 0:
                candidates.append(len(queries.candidates(connection, one)[1]))
    return took[ASKED_BEFORE:], ceiling[ASKED_BEFORE:], met[True] / max(met.total(), 1), candidates


def _unread(connection: Connection, one: Person) -> None:
    """The statement of a check, of whose answer nothing is made: pages are warm by then."""
    serving, statement, values = queries.asked_of(one)
    if serving:
        connection.exec_driver_sql(statement, values).all()


def sizes() -> float:
    """Bytes of the arms' indexes a member."""
    names = [f"people_{arm.name}" for arm in ARMS if arm.name not in CERTAIN]
    with psycopg.connect(address(SERVICE)) as connection:
        each: dict[str, int] = dict(connection.execute("select i, pg_relation_size(i::regclass) from unnest(%s::text[]) as i", [names]).fetchall())
        count = (connection.execute("select count(*) from people").fetchone() or (1,))[0]
    said("  bytes a member: " + ", ".join(f"{name.removeprefix('people_')} {size / count:.1f}" for name, size in each.items()))
    return float(sum(each.values()) / count)


def known(count: int) -> list[str]:
    """Members on the books whose screening is told already, as everybody's is whom an officer looks at."""
    with database.transaction(SERVICE) as connection:
        ids = connection.execute(select(people.c.member_id).order_by(text("random()")).limit(count)).scalars().all() if count < SMALL // 50 else []
    for member_id in track(ids, "screenings", transient=True):
        with database.transaction(SERVICE) as connection:
            commands.rescreen(connection, member_id)
    return [str(one) for one in ids]


async def steadily(rate: int, seconds: float, ids: Sequence[str]) -> list[float]:
    """Milliseconds from when each was due: who has to wait for a free program has waited too."""
    wire, officer = Wire(DedupServiceStub), Caller("BENCHSPM", Role.STATE_PROGRAM_MANAGER, str(settings.state().lgd_code))
    took: list[float] = []
    begun = time.perf_counter()

    async def one(number: int) -> None:
        due = begun + number / rate
        await asyncio.sleep(max(due - time.perf_counter(), 0))
        await wire.call("RefreshScreening", RefreshScreeningRequest(member_id=ids[number % len(ids)]), officer)
        took.append((time.perf_counter() - due) * 1000)

    await asyncio.gather(*(one(number) for number in range(int(rate * seconds))))
    await wire.close()
    return took[int(rate * seconds / 10) :]


def trigrams(state: str, size: int, seed: int, administrator: str) -> tuple[list[float], float]:
    """What pg_trgm takes to find who is called alike, and of how many doubles it finds the first record."""
    took: list[float] = []
    met: Counter[bool] = Counter()
    with psycopg.connect(administrator, autocommit=True) as connection:
        connection.execute("create extension if not exists pg_trgm")
        connection.execute("set search_path to dedup, public")
        connection.execute("set maintenance_work_mem = '1GB'")
        connection.execute("create index people_trigrams on people using gin ((name_fold || ' ' || relation_fold) gin_trgm_ops)")
        connection.execute(f"set pg_trgm.similarity_threshold = {SIMILAR_FROM}")
        alike = "select member_id from people where (name_fold || ' ' || relation_fold) %% %s"
        for one, double_of in asked(state, size, seed)[:TRIGRAMS_ASKED]:
            sought = f"{one.name_fold} {one.relation_fold}"
            found = timed(lambda sought=sought: connection.execute(alike, [sought]).fetchall(), took)  # type: ignore[misc]
            if double_of:
                met[(double_of,) in found] += 1
        connection.execute("drop index people_trigrams")
    return took, met[True] / max(met.total(), 1)


def measure(state: str, size: int, seed: int) -> Figures:
    fill(state, size, seed)
    fit(size)
    index_bytes = sizes()
    check, ceiling, found, candidates = checks(state, size, seed)
    ids = known(int(RATE * SECONDS) // 2)
    grpc = asyncio.run(steadily(RATE, SECONDS, ids))
    figures = Figures(check, ceiling, grpc, found, candidates, index_bytes)
    said(
        f"  {size} members: a check p50 {figures.p('check', 50):.2f} ms, p99 {figures.p('check', 99):.2f}, most {max(check):.1f};"
        f" the bare statement p50 {figures.p('ceiling', 50):.2f}, p99 {figures.p('ceiling', 99):.2f};"
        f" candidates p50 {np.percentile(candidates, 50):.0f}, p99 {np.percentile(candidates, 99):.0f}; of doubles found {found:.3f}"
    )
    said(f"  over gRPC at {RATE} a second for {SECONDS:.0f} s: p50 {figures.p('grpc', 50):.1f} ms, p99 {figures.p('grpc', 99):.1f}")
    return figures


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m loadtests.bench_dedup_online", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--state", default="UP", help="which of this machine's states (UP)")
    parser.add_argument("--size", type=members, default=SIZE, help=f"members in the larger of the two (140lakh); at least {LAKH}")
    parser.add_argument("--seed", type=int, default=SEED)
    parser.add_argument("--without-trigrams", action="store_true")
    given = parser.parse_args()
    try:
        machine = Machine.from_environment()
        if given.state not in machine.instances:
            raise MachineError(f"There is no state {given.state} on this machine.")
        os.environ.update(machine.instances[given.state].env)
        said(f"rates: {dict(RATES)}; seed {given.seed}; model: {model.default().name}")
        small = measure(given.state, min(SMALL, given.size // 2), given.seed)
        large = measure(given.state, given.size, given.seed)
        administrator = admin_url(machine.layout, machine.instances[given.state].database)
        alike, met = ([], 0.0) if given.without_trigrams else trigrams(given.state, given.size, given.seed, administrator)
    except MachineError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    figures = {
        "check_p50_ms": large.p("check", 50),
        "check_p99_ms": large.p("check", 99),
        "small_check_p99_ms": small.p("check", 99),
        "growth": large.p("check", 99) / small.p("check", 99),
        "ratio": large.p("ceiling", 50) / large.p("check", 50),
        "grpc_p99_ms": large.p("grpc", 99),
        "index_bytes_a_member": large.index_bytes,
        "found_share": large.found,
    }
    if alike:
        figures |= {"trigrams_p50_ms": float(np.percentile(alike, 50)), "trigrams_p99_ms": float(np.percentile(alike, 99)), "trigrams_found": met}
    for name, stretch in STRETCHES.items():
        said(f"{name}: {figures[name]:.2f}, gate {GATES[name]}, stretch {stretch}{'' if figures[name] <= stretch else ' (not reached)'}")
    missed = [f"{name} is {figures[name]:.2f}, and its gate {gate}" for name, gate in GATES.items() if figures[name] > gate]
    for fault in missed:
        sys.stderr.write(f"MISSED: {fault}\n")
    said("bench-dedup-online " + " ".join(f"{name}={value:.3f}" for name, value in figures.items()))
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
