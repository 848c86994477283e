"""The women of a state as dedup hears of them, block by block, with the pairs planted among them."""

from collections.abc import Iterator
from datetime import timedelta

import numpy as np

from deploy.machine.layout import state_file
from loadtests.nation import people
from loadtests.nation.people import Pair
from loadtests.nation.plan import Block, Inputs, Plan
from services.dedup.rules import Record
from services.kernel import statefile

LAST_MONTH = "2026-03"


def plan(size: int, seed: int, code: str = "UP") -> Plan:
    return Plan(Inputs(statefile.load(state_file(code)), size, 0, LAST_MONTH, seed))


def of_block(made: Plan, block: Block) -> tuple[list[Record], list[Pair]]:
    dice, groups = made.inputs.dice(11, block.number), len(block.shg_sizes)
    entered = made.entered_on(block.first_member)
    formed = [entered - timedelta(days=days) for days in dice.integers(180, 4380, groups).tolist()]
    ids = people.uuid7s(dice, np.array([people.moment_ms(entered, block.first_shg + place) for place in range(groups)], np.int64))
    women, planted = people.make(made, block, ids, formed, people.mobiles(dice, block.bookkeepers))
    records = []
    for woman in women:
        said = woman.said
        told = (said.name, said.relation_name, said.born_on, said.birth_year, said.mobile, said.ifsc, said.account_number, said.account_holding)
        records.append(Record(woman.member_id, 1, said.institution_id, block.shg_villages[woman.shg], *told, woman.identity_token))
    return records, planted


def invented(size: int, seed: int, code: str = "UP") -> tuple[list[Record], list[Pair]]:
    """The members of one state, and the pairs planted among them."""
    records: list[Record] = []
    pairs: list[Pair] = []
    for women, planted in blocks(size, seed, code):
        records += women
        pairs += planted
    return records, pairs


def blocks(size: int, seed: int, code: str = "UP") -> Iterator[tuple[list[Record], list[Pair]]]:
    made = plan(size, seed, code)
    return (of_block(made, block) for block in made.blocks)
