"""Invented members of a whole state, put before the duplicate check as fast as it goes."""

from collections.abc import Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import fields

import psycopg

from loadtests.nation import records
from loadtests.nation.plan import Plan
from services.dedup.rules import Person, person
from services.kernel.approval import Status

COLUMNS = (*(field.name for field in fields(Person) if field.name != "documents"), "version")  # Nobody here shows one.
PROCESSES = 2


# As the migrations made them: whatever is on `people` now is made again behind the rows.
_INDEXES = "select indexname, indexdef from pg_indexes where schemaname = current_schema() and tablename = 'people' and indexname <> 'people_pkey'"


def fill(url: str, code: str, size: int, seed: int) -> Iterator[tuple[int, int]]:
    """Replace all whom the check knows by invented members, all active; says how many are there of how many as it goes."""
    plan = records.plan(size, seed, code)
    with psycopg.connect(url, autocommit=True) as connection:
        indexes: Mapping[str, str] = dict(connection.execute(_INDEXES).fetchall())
        for name in indexes:
            connection.execute(f"drop index {name}")
        connection.execute("truncate people, statuses, screenings, matches, labels, contested")
        try:
            with ProcessPoolExecutor(PROCESSES) as pool:
                there = 0
                for count in pool.map(_fill_block, [(url, code, size, seed, number) for number in range(len(plan.blocks))]):
                    there += count
                    yield there, size
        finally:
            connection.execute("set maintenance_work_mem = '2GB'")
            for made in indexes.values():
                connection.execute(made)
        connection.execute("vacuum (analyze) people")


_plans: dict[tuple[str, int, int], Plan] = {}


def _fill_block(task: tuple[str, str, int, int, int]) -> int:
    url, code, size, seed, number = task
    plan = _plans.setdefault((code, size, seed), records.plan(size, seed, code))
    women, _ = records.of_block(plan, plan.blocks[number])
    with psycopg.connect(url, autocommit=True) as connection, connection.cursor() as cursor:
        cursor.execute("set synchronous_commit = off")
        with cursor.copy(f"copy people ({', '.join(COLUMNS)}) from stdin") as stream:
            for one in women:
                known = person(one, Status.ACTIVE)
                stream.write_row([*(getattr(known, name) for name in COLUMNS[:-1]), 1])
    return len(women)
