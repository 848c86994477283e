"""What was measured, step by step, and whether the generator itself was the bottleneck."""

import math
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from rich import box
from rich.console import Console
from rich.table import Table

from loadtests.client import Sample, Wire
from services.kernel.money import grouped

# Beyond these the generator waits for itself, and its own queue is in the latencies.
GENERATOR_SHARE_MAX = 0.8
LATE_SECONDS_MAX = 0.1
WATCH_SECONDS = 0.1
BOTTLENECK = "the generator was the bottleneck: figures are its, not the system's"
FAULTS_SHOWN = 10

console = Console(highlight=False, width=None if Console().is_terminal else 160)


@dataclass
class Step:
    """All samples of one step."""

    seconds: list[float] = field(default_factory=list)
    failures: int = 0
    again: int = 0


@dataclass
class Tally:
    """Counts from `start` to `stop`; what comes later, the check for instance, is not in the figures."""

    steps: dict[tuple[str, str], Step] = field(default_factory=dict)
    faults: Counter[str] = field(default_factory=Counter)
    # How late the generator itself was; and at an open rate how long journeys took from when they were due.
    late_seconds: list[float] = field(default_factory=list)
    due_seconds: list[float] = field(default_factory=list)
    never_begun: int = 0  # Journeys that were due, and had no group to the end.
    elapsed_seconds: float = 0.0
    cpu_seconds: float = 0.0
    running: bool = False

    def start(self) -> None:
        for kept in (self.steps, self.faults, self.late_seconds, self.due_seconds):
            kept.clear()
        self.never_begun = 0
        self.elapsed_seconds, self.cpu_seconds = -time.perf_counter(), -time.process_time()
        self.running = True

    def stop(self) -> None:
        self.elapsed_seconds += time.perf_counter()
        self.cpu_seconds += time.process_time()
        self.running = False

    def note(self, sample: Sample) -> None:
        if not self.running:
            return
        step = self.steps.setdefault((sample.journey, sample.step), Step())
        step.seconds.append(sample.seconds)
        step.again += sample.again
        if sample.fault:
            step.failures += 1
            self.faults[f"{sample.journey} {sample.step}: {sample.fault}"] += 1

    async def watch(self, wire: Wire) -> None:
        """See by how much the generator comes too late to what it means to do, while it runs."""
        while self.running:
            begun = time.perf_counter()
            await wire.pause(WATCH_SECONDS)
            self.late_seconds.append(time.perf_counter() - begun - WATCH_SECONDS)

    @property
    def requests(self) -> int:
        return sum(len(step.seconds) for step in self.steps.values())

    @property
    def failures(self) -> int:
        return sum(step.failures for step in self.steps.values())

    @property
    def generator_share(self) -> float:
        """How much of one core the generator took."""
        return self.cpu_seconds / self.elapsed_seconds if self.elapsed_seconds > 0 else 0.0

    @property
    def was_bottleneck(self) -> bool:
        return self.generator_share > GENERATOR_SHARE_MAX or percentile(self.late_seconds, 99) > LATE_SECONDS_MAX


def percentile(values: Sequence[float], percent: int) -> float:
    """The smallest of the values that at least `percent` of them do not exceed; 0 of none."""
    ordered = sorted(values)
    return ordered[math.ceil(len(ordered) * percent / 100) - 1] if ordered else 0.0


def show(tally: Tally, meetings: int) -> None:
    """Print the table, what failed, and what to think of the figures."""
    table = Table(box=box.SIMPLE_HEAD)
    for name in ("journey", "step", "requests", "failures", "tried again", "p50 ms", "p95 ms", "p99 ms"):
        table.add_column(name, justify="left" if name in {"journey", "step"} else "right", no_wrap=True)
    for (journey, name), step in sorted(tally.steps.items()):
        table.add_row(journey, name, *map(grouped, (len(step.seconds), step.failures, step.again)), *_milliseconds(step.seconds))
    console.print(table)
    for fault, times in tally.faults.most_common(FAULTS_SHOWN):
        console.print(f"  {grouped(times)} x {fault}", markup=False)
    rate, calls = (count / max(tally.elapsed_seconds, 0.001) for count in (meetings, tally.requests))
    console.print(
        f"{grouped(meetings)} meetings acknowledged in {tally.elapsed_seconds:.1f} s: {rate:.1f} meetings a second; {calls:.1f} requests a second"
    )
    if tally.due_seconds:
        p50, p95, p99 = _milliseconds(tally.due_seconds)
        console.print(f"{grouped(len(tally.due_seconds))} journeys took p50 {p50}, p95 {p95}, p99 {p99} ms from when they were due")
    late_ms = _milliseconds(tally.late_seconds)[-1]
    console.print(f"the generator took {tally.generator_share:.0%} of a core, and was up to {late_ms} ms late (p99)")
    if tally.was_bottleneck:
        console.print(f"[bold red]WARNING: {BOTTLENECK}[/bold red]")


def _milliseconds(seconds: Sequence[float]) -> list[str]:
    return [f"{percentile(seconds, percent) * 1000:.0f}" for percent in (50, 95, 99)]


def verdict(tally: Tally, faults: list[str], acknowledged: int, failures_percent_max: float) -> bool:
    """Say whether the books are whole and few enough requests failed, and whether both hold."""
    for fault in faults[:FAULTS_SHOWN]:
        console.print(f"  {fault}", markup=False)
    if faults:
        console.print(f"[bold red]the books of {grouped(len(faults))} groups are not what was acknowledged[/bold red]")
    else:
        console.print(f"checked: {grouped(acknowledged)} acknowledged meetings are in the books, each once")
    if tally.never_begun:
        due = tally.never_begun + len(tally.due_seconds)
        console.print(
            f"[bold red]{grouped(tally.never_begun)} of {grouped(due)} journeys had no group by the end, and failed: "
            "the system is too slow for this rate, or the groups too few for it[/bold red]"
        )
    failures, asked = tally.failures + tally.never_begun, tally.requests + tally.never_begun
    too_many = failures * 100 > asked * failures_percent_max
    if too_many:
        failed = f"{grouped(failures)} of {grouped(asked)} requests failed"
        console.print(f"[bold red]{failed}; at most {failures_percent_max:g}% may[/bold red]")
    if not tally.requests:
        console.print("[bold red]nothing was asked: there is nothing to judge[/bold red]")
    return bool(tally.requests) and not faults and not too_many
