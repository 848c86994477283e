"""Partial answers as a table: what goes in, what comes out."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.merge import Column, Part, Row, Whole, merge

MEMBERS = Column("members_active", "STOCK", "members")
SAVINGS = Column("savings_paise", "FLOW", "paise")
SAVERS = Column("savers", "DISTINCT", "members")


def part(region, columns=(MEMBERS, SAVINGS), *values):
    return Part(tuple(columns), (Row(region, f"State {region}", tuple(values)),))


UP, BR = part("9", (MEMBERS, SAVINGS), 10, 500), part("10", (MEMBERS, SAVINGS), 7, 300)

CASES = {
    "nobody answered": ({}, True, Whole((), (), {})),
    "one state is its own sum": ({"UP": UP}, True, Whole((MEMBERS, SAVINGS), (Row("", "India", (10, 500)),), {"UP": ()})),
    "the nation is one row": ({"UP": UP, "BR": BR}, True, Whole((MEMBERS, SAVINGS), (Row("", "India", (17, 800)),), {"UP": (), "BR": ()})),
    "states are rows by region": (
        {"UP": UP, "BR": BR},
        False,
        Whole((MEMBERS, SAVINGS), (Row("10", "State 10", (7, 300)), Row("9", "State 9", (10, 500))), {"UP": (), "BR": ()}),
    ),
    "columns are matched by name, not by place": (
        {"UP": UP, "BR": part("10", (SAVINGS, MEMBERS), 300, 7)},
        True,
        Whole((MEMBERS, SAVINGS), (Row("", "India", (17, 800)),), {"UP": (), "BR": ()}),
    ),
    "an older state's missing column is told": (
        {"UP": UP, "BR": part("10", (MEMBERS,), 7)},
        True,
        Whole((MEMBERS, SAVINGS), (Row("", "India", (17, 500)),), {"UP": (), "BR": ("savings_paise",)}),
    ),
    "a newer state's column is missing from the others": (
        {"UP": part("9", (MEMBERS, SAVINGS, SAVERS), 10, 500, 4), "BR": BR},
        True,
        Whole((MEMBERS, SAVINGS, SAVERS), (Row("", "India", (17, 800, 4)),), {"UP": (), "BR": ("savers",)}),
    ),
    "another unit is another column": (
        {"UP": UP, "BR": part("10", (MEMBERS, Column("savings_paise", "FLOW", "rupees")), 7, 3), "MP": part("23", (MEMBERS, SAVINGS), 1, 1)},
        True,
        Whole((MEMBERS, SAVINGS), (Row("", "India", (18, 501)),), {"UP": (), "BR": ("savings_paise",), "MP": ()}),
    ),
    "a kind that we do not know is not added up": (
        {"UP": part("9", (MEMBERS, Column("largest_loan", "", "paise")), 10, 9)},
        True,
        Whole((MEMBERS,), (Row("", "India", (10,)),), {"UP": ()}),
    ),
    "a row shorter than its header says nothing of the rest": (
        {"UP": part("9", (MEMBERS, SAVINGS), 10)},
        False,
        Whole((MEMBERS, SAVINGS), (Row("9", "State 9", (10, 0)),), {"UP": ()}),
    ),
}


@pytest.mark.parametrize(("parts", "into_one", "whole"), CASES.values(), ids=CASES.keys())
def test_parts_become_one(parts, into_one, whole):
    assert merge(parts, into_one=into_one) == whole


@given(st.dictionaries(st.sampled_from("ABCDEFGH"), st.tuples(st.integers(0, 10**12), st.integers(-(10**15), 10**15)), min_size=1))
def test_the_nation_is_the_sum_of_its_states_whatever_order_they_answered_in(values):
    parts = {state: part(str(ord(state)), (MEMBERS, SAVINGS), *pair) for state, pair in values.items()}
    nation = merge(parts, into_one=True)
    assert nation.rows[0].values == tuple(map(sum, zip(*values.values(), strict=True)))
    assert merge(dict(reversed(parts.items())), into_one=True).rows == nation.rows
