"""Adds up the states' partial answers. Pure; refuses nothing: what one state does not send is told, not guessed."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

NATION: Final = ""
NATION_NAME: Final = "India"
# All of these add up over regions (decision 29); over time a state has added up already. A kind that a newer state knows
# and we do not may not add up, and is left out.
ADDABLE: Final = frozenset({"FLOW", "STOCK", "DISTINCT"})


@dataclass(frozen=True, slots=True)
class Column:
    """A measure as a state names it; two columns are the same where all three agree."""

    name: str
    kind: str
    unit: str


@dataclass(frozen=True, slots=True)
class Row:
    """One region's values, one a column."""

    region: str
    name: str
    values: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Part:
    """What one state answered."""

    columns: tuple[Column, ...]
    rows: tuple[Row, ...]


@dataclass(frozen=True, slots=True)
class Whole:
    """All answers as one. `missing` names the columns that a state does not send: their sums are without it."""

    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    missing: Mapping[str, tuple[str, ...]]


def merge(parts: Mapping[str, Part], *, into_one: bool) -> Whole:
    """The parts by state as one: a row a region, or with `into_one` a single row for the nation."""
    columns = _columns(parts)
    sums: dict[str, Counter[Column]] = {}
    names: dict[str, str] = {}
    for part in parts.values():
        for row in part.rows:
            region, name = (NATION, NATION_NAME) if into_one else (row.region, row.name)
            names[region] = name
            # A row that is shorter than its header says nothing of the rest.
            sums.setdefault(region, Counter()).update(dict(zip(part.columns, row.values, strict=False)))
    return Whole(
        columns,
        tuple(Row(region, names[region], tuple(sums[region][column] for column in columns)) for region in sorted(sums)),
        {state: tuple(column.name for column in columns if column not in part.columns) for state, part in sorted(parts.items())},
    )


def _columns(parts: Mapping[str, Part]) -> tuple[Column, ...]:
    """Every column that any part sends, by name; where states differ in what a name means, as most of them mean it."""
    votes = Counter(column for part in parts.values() for column in part.columns if column.kind in ADDABLE)
    meant: dict[str, Column] = {}
    for column, count in votes.items():
        if column.name not in meant or count > votes[meant[column.name]]:
            meant[column.name] = column
    return tuple(meant.values())
