"""Invented members of a state as the duplicate check knows them, and the pairs planted among them."""

from collections.abc import Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import fields
from datetime import timedelta

import numpy as np
import psycopg

from deploy.machine.layout import state_file
from loadtests.nation import people
from loadtests.nation.people import Pair, Woman
from loadtests.nation.plan import Block, Inputs, Plan
from services.dedup.rules import Person, Record, person
from services.kernel import statefile
from services.kernel.approval import Status

LAST_MONTH = "2026-03"
COLUMNS = (*(field.name for field in fields(Person) if field.name != "documents"), "version")  # Nobody here shows one.
PROCESSES = 2


def plan_of(code: str, size: int, seed: int) -> Plan:
    return Plan(Inputs(statefile.load(state_file(code)), size, 0, LAST_MONTH, seed))


def of_block(plan: Plan, block: Block) -> tuple[list[Record], list[Pair]]:
    """The members of a block, and who of them is there twice."""
    women, planted = _women(plan, block)
    return [record(block, woman) for woman in women], planted


def _women(plan: Plan, block: Block) -> tuple[list[Woman], list[Pair]]:
    dice, groups = plan.inputs.dice(11, block.number), len(block.shg_sizes)
    entered = plan.entered_on(block.first_member)
    formed = [entered - timedelta(days=days) for days in dice.integers(180, 4380, groups).tolist()]
    ids = people.uuid7s(dice, np.array([people.moment_ms(entered, block.first_shg + place) for place in range(groups)], np.int64))
    return people.make(plan, block, ids, formed, people.mobiles(dice, block.bookkeepers))


def record(block: Block, woman: Woman) -> Record:
    """As profiles tells of her."""
    said = woman.said
    told = (said.name, said.relation_name, said.born_on, said.birth_year, said.mobile, said.ifsc, said.account_number, said.account_holding)
    return Record(woman.member_id, 1, said.institution_id, block.shg_villages[woman.shg], *told, woman.identity_token)


def invented(code: str, size: int, seed: int) -> tuple[list[Record], list[Pair]]:
    """All of them at once."""
    plan = plan_of(code, size, seed)
    records: list[Record] = []
    pairs: list[Pair] = []
    for block in plan.blocks:
        mine, planted = of_block(plan, block)
        records += mine
        pairs += planted
    return records, pairs


# --- Into a state's schema.

# As the migrations made them: whatever is on `people` now is made again behind the rows.
_INDEXES = "select indexname, indexdef from pg_indexes where schemaname = current_schema() and tablename = 'people' and indexname <> 'people_pkey'"


def fill(url: str, code: str, size: int, seed: int) -> Iterator[tuple[int, int]]:
    """Replace all whom the check knows by invented members, all active; says how many are there of how many as it goes."""
    plan = plan_of(code, size, seed)
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
    plan = _plans.setdefault((code, size, seed), plan_of(code, size, seed))
    records, _ = of_block(plan, plan.blocks[number])
    with psycopg.connect(url, autocommit=True) as connection, connection.cursor() as cursor:
        cursor.execute("set synchronous_commit = off")
        with cursor.copy(f"copy people ({', '.join(COLUMNS)}) from stdin") as stream:
            for one in records:
                known = person(one, Status.ACTIVE)
                stream.write_row([*(getattr(known, name) for name in COLUMNS[:-1]), 1])
    return len(records)
