"""Invented members of a whole state, put before the duplicate check as fast as it goes."""

from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import fields
from multiprocessing import get_context
from uuid import UUID

import psycopg
from sqlalchemy.dialects import postgresql
from sqlalchemy.schema import CreateIndex

from loadtests.nation import records
from loadtests.nation.plan import Plan
from services.dedup.rules import Person, person
from services.dedup.tables import people
from services.kernel.approval import Status

COLUMNS = (*(field.name for field in fields(Person) if field.name != "documents"), "version")  # Nobody here shows one.
PROCESSES = 2


Pairs = list[tuple[UUID, UUID]]  # Each with the one planted as her double.


def fill(url: str, code: str, size: int, seed: int, *, indexes: bool = True) -> Iterator[tuple[int, Pairs]]:
    """Replace all whom the check knows by invented members, all active; gives block by block how many came and who of them is there twice.

    The indexes are made behind the rows; without `indexes` not before the next call.
    """
    plan = records.plan(size, seed, code)
    with psycopg.connect(url, autocommit=True) as connection:
        for index in people.indexes:
            connection.execute(f"drop index if exists {index.name}")
        connection.execute("truncate people, statuses, screenings, matches, labels, contested, batches, batch_pairs, models")
        try:
            with ProcessPoolExecutor(PROCESSES, get_context("spawn")) as pool:  # Forked, they would share this process's connection.
                yield from pool.map(_fill_block, [(url, code, size, seed, number) for number in range(len(plan.blocks))])
            connection.execute("vacuum (freeze, analyze) people")
        finally:
            connection.execute("set maintenance_work_mem = '2GB'")
            for index in people.indexes if indexes else ():
                connection.execute(str(CreateIndex(index).compile(dialect=postgresql.dialect())))  # type: ignore[no-untyped-call]


_plans: dict[tuple[str, int, int], Plan] = {}


def _fill_block(task: tuple[str, str, int, int, int]) -> tuple[int, Pairs]:
    url, code, size, seed, number = task
    plan = _plans.setdefault((code, size, seed), records.plan(size, seed, code))
    women, pairs = records.of_block(plan, plan.blocks[number])
    with psycopg.connect(url, autocommit=True) as connection, connection.cursor() as cursor:
        cursor.execute("set synchronous_commit = off")
        with cursor.copy(f"copy people ({', '.join(COLUMNS)}) from stdin") as stream:
            for one in women:
                known = person(one, Status.ACTIVE)
                stream.write_row([*(getattr(known, name) for name in COLUMNS[:-1]), 1])
    return len(women), [(pair.duplicate_of, pair.member_id) for pair in pairs]
