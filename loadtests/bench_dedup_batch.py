"""How long a whole state takes to be compared with itself, from PostgreSQL and back: python -m loadtests.bench_dedup_batch --state UP

Invented members (loadtests.nation) stand in the table of dedup; making them is not counted. Then the very program that an operator runs
reads them out, finds and weighs the pairs, and stores them. It is stopped where it would begin to screen again, since that goes at
the live service's own pace. Beside it, the ceiling: DuckDB joining the same candidates on the same keys, and only counting them.
It fails where a gate is missed. It needs a machine of its own, as `make bench-dedup-batch` makes it: the state is emptied.
"""

import argparse
import contextlib
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from importlib import metadata
from pathlib import Path

from rich.progress import Progress
from sqlalchemy import select, text

from deploy.machine import Machine, MachineError
from loadtests import dedup_people
from loadtests.bench_meetings import address
from loadtests.nation.plan import RATES
from services.chassis import database
from services.dedup.adapters.whole import Limits, Whole
from services.dedup.rules import ARMS, Thresholds
from services.dedup.tables import batch_pairs

SERVICE = "dedup"
LAKHS_10, CRORES_1_4 = 1_000_000, 14_000_000
SEED = 42
GATES_SECONDS = {LAKHS_10: 30.0, CRORES_1_4: 540.0}
THREADS = 2
MEMORY_GIB, DUCKDB_GIB = 14, 10  # Of the program, and of DuckDB in it, which counts not all that it takes.

Pairs = set[tuple[str, str]]


def say(line: str = "") -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


# --- The run.


def _run(folder: Path) -> tuple[dict[str, float], float]:
    """Seconds by phase, and the most memory that the program took, in GiB."""
    environment = os.environ | {
        "DEDUP_BATCH_FOLDER": str(folder),
        "DEDUP_BATCH_THREADS": str(THREADS),
        "DEDUP_BATCH_MEMORY_MB": str(DUCKDB_GIB * 1024),
    }
    seconds: dict[str, float] = {}
    phase, since = "start", time.monotonic()
    child = subprocess.Popen([sys.executable, "-m", "services.dedup", "batch", "--start"], stdout=subprocess.PIPE, text=True, env=environment)
    assert child.stdout
    for line in child.stdout:
        now, said = time.monotonic(), line.rpartition("] ")[2].strip()
        seconds[phase] = now - since
        if said == "rescreen":
            break
        phase, since = said, now
    else:
        raise MachineError("the batch ended too early: see above")
    child.terminate()
    return seconds, os.wait4(child.pid, 0)[2].ru_maxrss / 2**20


def _ceiling(folder: Path) -> tuple[int, float]:
    """How many candidates the arms give, and how long DuckDB takes to join and count them."""
    [left] = folder.glob("*/*")
    with contextlib.closing(Whole(left, Limits(THREADS, DUCKDB_GIB * 1024))) as made:
        began, candidates = time.monotonic(), 0
        for arm in ARMS:
            one, other, joined = made.met(arm)
            candidates += made.run(f"select count(*) from {one} one join {other} other on {joined}")[0][0]
        return candidates, time.monotonic() - began


def _found() -> Pairs:
    with database.reading(SERVICE) as connection:
        decided = select(batch_pairs.c.one_id, batch_pairs.c.other_id).where(batch_pairs.c.weight_centibits >= Thresholds().decided_centibits)
        return {(str(one), str(other)) for one, other in connection.execute(decided)}


def measure(state: str, size: int, seed: int, folder: Path) -> dict[str, float]:
    began = time.monotonic()
    planted: Pairs = set()
    with Progress(transient=True) as progress:
        task = progress.add_task(f"{size} members", total=size)
        # Indexes are not what is measured: a batch uses none.
        for count, pairs in dedup_people.fill(address(SERVICE), state, size, seed, indexes=False):
            progress.advance(task, count)
            planted |= {(min(pair), max(pair)) for pair in (tuple(map(str, one)) for one in pairs)}
    own = list(RATES)
    rates = {name: RATES[name] for name in own[own.index("muslim") : own.index("identity_kept") + 1]}
    say(f"{size} invented members, seed {seed}, {time.monotonic() - began:.0f} s to make; {len(planted)} pairs planted. Rates: {rates}")
    say(f"DuckDB {metadata.version('duckdb')}, Python {platform.python_version()}, {os.cpu_count()} cores, {THREADS} threads")
    seconds, peak_gib = _run(folder)
    whole = sum(seconds.values())
    for phase, took in seconds.items():
        say(f"  {phase:24} {took:8.1f} s")
    candidates, ceiling = _ceiling(folder)
    found = _found()
    with database.transaction(SERVICE) as connection:
        stored = connection.execute(text("select count(*) from batch_pairs")).scalar_one()
        connection.execute(text("truncate batches, batch_pairs"))  # A live service would go on with what was left here.
    say(f"{whole:.1f} s end to end, {peak_gib:.1f} GiB; {candidates} candidates, which DuckDB joins and counts in {ceiling:.1f} s")
    return {
        "members": size,
        "seconds": whole,
        "gate_seconds": gate(size),
        "peak_gib": peak_gib,
        "candidates": candidates,
        "candidates_per_second": candidates / sum(took for phase, took in seconds.items() if phase.startswith("arm_")),
        "ceiling_seconds": ceiling,
        "pairs": stored,
        "recall_planted": len(found & planted) / len(planted),
    }


def gate(size: int) -> float:
    """Between the two that are set, in a straight line."""
    (small, few), (large, many) = GATES_SECONDS.items()
    return max(few, few + (many - few) * (size - small) / (large - small))


def missed(figures: dict[str, float]) -> Iterable[str]:
    if figures["seconds"] > figures["gate_seconds"]:
        yield f"it took {figures['seconds']:.0f} s, and its gate is {figures['gate_seconds']:.0f} s"
    if figures["peak_gib"] > MEMORY_GIB:
        yield f"it took {figures['peak_gib']:.1f} GiB, and its limit is {MEMORY_GIB}"


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m loadtests.bench_dedup_batch", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--state", default="UP", help="which of this machine's states (UP)")
    parser.add_argument("--size", type=int, default=CRORES_1_4, help=f"members ({CRORES_1_4})")
    parser.add_argument("--seed", type=int, default=SEED)
    given = parser.parse_args()
    try:
        machine = Machine.from_environment()
        if given.state not in machine.instances:
            raise MachineError(f"There is no state {given.state} on this machine.")
        os.environ.update(machine.instances[given.state].env)
        with tempfile.TemporaryDirectory(dir=machine.run) as folder:
            figures = measure(given.state, given.size, given.seed, Path(folder))
    except MachineError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    faults = list(missed(figures))
    for fault in faults:
        say(f"MISSED: {fault}")
    say("bench-dedup-batch " + " ".join(f"{name}={value:.5g}" if isinstance(value, float) else f"{name}={value}" for name, value in figures.items()))
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
