"""How well duplicates are found among invented members, kind by kind, and beside it Splink as it comes.

python -m loadtests.bench_dedup_accuracy --size 200000 --seed 42
"""

import argparse
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta

import numpy as np

from deploy.machine.layout import state_file
from loadtests.nation import people
from loadtests.nation.people import Kind, Pair
from loadtests.nation.plan import RATES, Block, Inputs, Plan
from services.dedup.rules import Person, Record, person
from services.kernel import statefile
from services.kernel.approval import Status
from services.kernel.ids import UUID

LAST_MONTH = "2026-03"


def invented(size: int, seed: int, code: str = "UP") -> tuple[list[Record], list[Pair]]:
    """Members of one state and the planted pairs among them."""
    plan = Plan(Inputs(statefile.load(state_file(code)), size, 0, LAST_MONTH, seed))
    records: list[Record] = []
    pairs: list[Pair] = []
    for block in plan.blocks:
        women, planted = _of_block(plan, block)
        pairs += planted
        for woman in women:
            said = woman.said
            records.append(
                Record(
                    woman.member_id, 1, said.institution_id, block.shg_villages[woman.shg], said.name, said.relation_name, said.born_on,
                    said.birth_year, said.mobile, said.ifsc, said.account_number, said.account_holding, woman.identity_token,
                )  # fmt: skip
            )
    return records, pairs


def _of_block(plan: Plan, block: Block) -> tuple[list[people.Woman], list[Pair]]:
    dice = plan.inputs.dice(11, block.number)
    groups = len(block.shg_sizes)
    entered = plan.entered_on(block.first_member)
    formed = [entered - timedelta(days=days) for days in dice.integers(180, 4380, groups).tolist()]
    ids = people.uuid7s(dice, np.array([people.moment_ms(entered, block.first_shg + place) for place in range(groups)], np.int64))
    return people.make(plan, block, ids, formed, people.mobiles(dice, block.bookkeepers))
