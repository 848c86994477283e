"""How well spellings of one name meet in its keys, and how fast: python -m loadtests.bench_names [--misses]

Over tests/vectors/names.csv, which holds names in their scripts with Latin spellings, Latin spellings by region, and names
that are not one. Half of the names, told by a hash, is what the normaliser's tables were tuned on; the other half was held
out. A key that finds is of use only as far as it does not lump together: so all pairs of distinct names are tried too.
"""

import argparse
import csv
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from pathlib import Path

from services.kernel import names
from services.kernel.names import fold, name_key, skeleton

NAMES = Path(__file__).parents[1] / "tests/vectors/names.csv"
COARSE_WHERE = frozenset({"taml", "tamil"})  # Read as Tamil Nadu and Puducherry read them.
ROUNDS = 7
HOSTILE = (
    "a" * 10_000,
    "अ" * 10_000,
    "क\u200d" * 5_000,
    "e" + "\u0301\u0316" * 5_000,
    "\u202eس" * 5_000,
    "a " * 5_000,
    "😀7" * 5_000,
    "\ufdfa" * 10_000,
)
_SOUNDEX = {letter: str(code) for code, letters in enumerate(("BFPV", "CGJKQSXZ", "DT", "L", "MN", "R"), 1) for letter in letters}


@dataclass(frozen=True, slots=True)
class Pair:
    """Two spellings of one name, or of two where the kind is "apart". `where` is a script or a region."""

    kind: str
    where: str
    one: str
    other: str
    is_tuned: bool


def is_tuned(name: str) -> bool:
    """Whether that name, in Latin letters, is of the half that is tuned on: all of its spellings are, in all scripts."""
    return sha256(name.casefold().encode()).digest()[0] % 2 == 0


@cache
def pairs() -> Sequence[Pair]:
    """The test set, two spellings at a time."""
    found = []
    with NAMES.open(encoding="utf-8", newline="") as lines:
        for row in csv.DictReader(lines):
            others = row["others"].split()
            for other in others:
                named = {"script": others[0], "variant": row["name"], "apart": "/".join(sorted((row["name"], other)))}[row["kind"]]
                found.append(Pair(row["kind"], row["where"], row["name"], other, is_tuned(named)))
    return found


def of(kind: str, *, tuned: bool, where: str = "") -> list[Pair]:
    """One half of a kind, perhaps of one script or region."""
    return [pair for pair in pairs() if (pair.kind, pair.is_tuned) == (kind, tuned) and where in ("", pair.where)]


def meets(pair: Pair, key: str) -> bool:
    """Whether the two have that key in common: "fold", "skeleton" as the states there read, or "coarse"."""
    if key == "fold":
        return fold(pair.one) == fold(pair.other)
    coarse = key == "coarse" or pair.where in COARSE_WHERE
    return skeleton(pair.one, coarse=coarse) == skeleton(pair.other, coarse=coarse)


def share(found: Sequence[Pair], key: str) -> float:
    """How many of the pairs meet."""
    return sum(meets(pair, key) for pair in found) / len(found)


def soundex(name: str) -> str:
    """The key that is always at hand, to compare with."""
    letters = name.upper()
    key, before = letters[:1], _SOUNDEX.get(letters[:1], "")
    for letter in letters[1:]:
        code = _SOUNDEX.get(letter, "")
        key += code if code != before else ""
        before = before if letter in "HW" else code
    return key[:4].ljust(4, "0")


def distinct_names() -> list[str]:
    """One Latin spelling of every name. What stands in one row, or shares a spelling with it, is one name."""
    named: dict[str, set[str]] = {}
    for pair in pairs():
        if pair.kind != "apart":
            together = named.setdefault(pair.one, {pair.one}) | named.setdefault(pair.other, {pair.other})
            named |= dict.fromkeys(together, together)
    return sorted({min(together) for together in named.values()})


def collisions_per_10k(key: Callable[[str], str]) -> float:
    """Of ten thousand random pairs of distinct names how many meet; all pairs are counted, so that there is no chance in it."""
    alone = distinct_names()
    held = Counter(map(key, alone))
    return 10_000 * sum(count * (count - 1) for count in held.values()) / (len(alone) * (len(alone) - 1))


def forget() -> None:
    """Every key that was remembered."""
    for kept in (names.fold, names.skeleton, names._parts, names._kept_key, names._kept_sound):  # noqa: SLF001 - a cold start is what is timed
        kept.cache_clear()


def microseconds(told: Sequence[str], *, cold: bool) -> float:
    """For each name, in the best of some rounds: other work on the machine only ever adds."""
    best = float("inf")
    for _ in range(ROUNDS):
        if cold:
            forget()
        started = time.perf_counter()
        for name in told:
            name_key(name)
        best = min(best, time.perf_counter() - started)
    return best / len(told) * 1e6


def table(kind: str) -> str:
    """Recall by script or by region, in both halves."""
    rows = [f"{kind:10} {'tuned':>6} {'fold':>6} {'skel':>6} {'coarse':>6} | {'held out':>8} {'fold':>6} {'skel':>6} {'coarse':>6}"]
    for where in (*sorted({pair.where for pair in pairs() if pair.kind == kind}), ""):
        halves = []
        for tuned in (True, False):
            found = of(kind, tuned=tuned, where=where)
            shares = " ".join(f"{share(found, key):6.3f}" if found else f"{'-':>6}" for key in ("fold", "skeleton", "coarse"))
            halves.append(f"{len(found):{6 if tuned else 8}} {shares}")
        rows.append(f"{where or 'all':10} {' | '.join(halves)}")
    return "\n".join(rows)


def compared() -> str:
    """What each key finds among the Latin spellings of a name, and what it lumps together."""
    keys: dict[str, Callable[[str], str]] = {
        "exact": str.casefold,
        "soundex": soundex,
        "fold": fold,
        "skeleton": skeleton,
        "coarse": lambda name: skeleton(name, coarse=True),
    }
    rows = [f"{'key':10} {'recall':>6} {'held out':>8} {'of near names':>13} {'per 10,000 pairs':>16}"]
    for said, key in keys.items():
        met = {
            (kind, tuned): sum(key(pair.one) == key(pair.other) for pair in found) / len(found)
            for kind in ("variant", "apart")
            for tuned in (True, False)
            if (found := of(kind, tuned=tuned))
        }
        near = sum(key(pair.one) == key(pair.other) for pair in pairs() if pair.kind == "apart") / sum(pair.kind == "apart" for pair in pairs())
        rows.append(f"{said:10} {met['variant', True]:6.3f} {met['variant', False]:8.3f} {near:13.3f} {collisions_per_10k(key):16.2f}")
    return "\n".join(rows)


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m loadtests.bench_names", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--misses", action="store_true", help="show what does not meet, of the tuned half alone")
    given = parser.parse_args()
    told = sorted({name for pair in pairs() for name in (pair.one, pair.other)})
    cold, cached, hostile = microseconds(told, cold=True), microseconds(told, cold=False), microseconds(HOSTILE, cold=True)
    lines = [table("script"), table("variant"), compared(), f"{len(told)} spellings, {len(distinct_names())} distinct names"]
    if given.misses:
        missed = [pair for kind in ("script", "variant") for pair in of(kind, tuned=True) if not meets(pair, "skeleton")]
        lines += [f"{pair.where:10} {pair.one} {pair.other}: {skeleton(pair.one)} {skeleton(pair.other)}" for pair in missed]
    recalls = {
        f"{half}{kind}_recall": share(of(kind, tuned=tuned), "skeleton")
        for half, tuned in (("", True), ("held_out_", False))
        for kind in ("script", "variant")
    }
    lines.append(
        f"bench-names {' '.join(f'{name}={recall:.3f}' for name, recall in recalls.items())} collisions_per_10k={collisions_per_10k(skeleton):.1f} "
        f"us_cold={cold:.1f} us_cached={cached:.2f} us_hostile={hostile:.0f} version={names.NORMALISER_VERSION}"
    )
    sys.stdout.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
