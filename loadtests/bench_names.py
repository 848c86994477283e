"""How well spellings of one name meet in its keys, and how fast: python -m loadtests.bench_names [--misses]

Over tests/vectors/names.csv, which holds names in their scripts with Latin spellings, Latin spellings by region, and names
that are not one. Half of the names, told by a hash, is what the normaliser's tables were tuned on; the other half was held
out. A key that finds is of use only as far as it does not lump together: so all pairs of distinct names are tried too.
"""

import argparse
import csv
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from hashlib import sha256
from itertools import combinations
from pathlib import Path

from services.kernel.names import NameKey, name_key

NAMES = Path(__file__).parents[1] / "tests/vectors/names.csv"
COARSE_WHERE = frozenset({"taml", "tamil"})  # Read as Tamil Nadu and Puducherry read them.
FAST_ENOUGH_ROUNDS = 5


@dataclass(frozen=True, slots=True)
class Pair:
    """Two spellings of one name, or of two where the kind is "apart". `where` is a script or a region."""

    kind: str
    where: str
    one: str
    other: str
    tuned: bool


def is_tuned(name: str) -> bool:
    """Whether that name, in Latin letters, is of the half that is tuned on: all of its spellings are, in all scripts."""
    return sha256(name.casefold().encode()).digest()[0] % 2 == 0


def pairs() -> list[Pair]:
    """The test set, a pair of spellings at a time."""
    found = []
    with NAMES.open(encoding="utf-8", newline="") as lines:
        for row in csv.DictReader(lines):
            others = row["others"].split()
            for other in others:
                named = {"script": others[0], "variant": row["name"], "apart": "/".join(sorted((row["name"], other)))}[row["kind"]]
                found.append(Pair(row["kind"], row["where"], row["name"], other, is_tuned(named)))
    return found


def of(kind: str, *, tuned: bool) -> list[Pair]:
    return [pair for pair in pairs() if (pair.kind, pair.tuned) == (kind, tuned)]


def meets(pair: Pair, key: str, coarse: bool | None = None) -> bool:
    """Whether the two have that key in common: "fold" or "skeleton", the coarse one where it is asked for or the state reads so."""
    coarse = pair.where in COARSE_WHERE if coarse is None else coarse
    return getattr(name_key(pair.one, coarse=coarse), key) == getattr(name_key(pair.other, coarse=coarse), key)


def share(found: Sequence[Pair], key: str, coarse: bool | None = None) -> float:
    """How many of the pairs meet."""
    return sum(meets(pair, key, coarse) for pair in found) / len(found)


def distinct_names() -> list[frozenset[str]]:
    """All names in Latin letters, each with its spellings: what stands in one row, or shares a spelling with it, is one name."""
    name_of: dict[str, set[str]] = {}
    for pair in pairs():
        if pair.kind != "apart":
            spelt = {pair.other} if pair.kind == "script" else {pair.one, pair.other}
            together = spelt.union(*(name_of.get(one, ()) for one in spelt))
            name_of |= dict.fromkeys(together, together)
    scripts: dict[str, set[str]] = defaultdict(set)
    for pair in pairs():
        if pair.kind == "script":
            scripts[pair.one].add(pair.other)
    for spelt in scripts.values():
        together = set[str]().union(*(name_of[one] for one in spelt))
        name_of |= dict.fromkeys(together, together)
    return list({min(one): frozenset(one) for one in name_of.values()}.values())


def collisions_per_10k(key: Callable[[str], str]) -> float:
    """Of ten thousand random pairs of distinct names how many meet; all pairs are counted, so that there is no chance in it."""
    alone = [min(name) for name in distinct_names()]
    held = Counter(map(key, alone))
    return 10_000 * sum(count * (count - 1) for count in held.values()) / (len(alone) * (len(alone) - 1))
