"""What one state costs on this machine: memory, the way from approval to the nation's report, calls a second.

Run it after `make demo`, with nothing else running: .venv/bin/python -m loadtests.budget. With --nation it starts all states of
this machine (`make nation`) and shows what they cost together.
"""

import argparse
import asyncio
import os
import statistics
import sys
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc
from rich.console import Console
from rich.table import Table

from deploy.demo import books
from deploy.demo.__main__ import ask, keeper_of, sheet_user
from deploy.demo.cast import Nation, State, institutions_of, members_of
from deploy.demo.ledger import Ledger
from deploy.machine import Machine, MachineError
from protos import gateway_pb2, profiles_pb2, reporting_pb2, reporting_pb2_grpc, transactions_pb2
from services.kernel import month
from services.kernel.ids import uuid7

CONCURRENT = 32
CHANNELS = 4
SAVINGS_PAISE = 50_00


def memory(machine: Machine, prefix: str) -> dict[str, int]:
    """Memory of each program whose name begins so, with the processes that it has started, in MiB."""
    pids = {state.name: state.pid for state in machine.states() if state.pid and state.name.startswith(prefix)}
    return {program: sum(map(_pss_kib, _family(pid))) // 1024 for program, pid in pids.items()}


def _pss_kib(pid: int) -> int:
    """Proportional set size: what several share is shared out. 0 for a process that ended meanwhile."""
    try:
        return int(Path(f"/proc/{pid}/smaps_rollup").read_text().split("\nPss:")[1].split()[0])
    except (OSError, IndexError):
        return 0


def _family(pid: int) -> list[int]:
    """A process and all below it."""
    try:
        children = [int(child) for task in Path(f"/proc/{pid}/task").iterdir() for child in (task / "children").read_text().split()]
    except OSError:
        return []
    return [pid, *(one for child in children for one in _family(child))]


def cores_in_use(machine: Machine, seconds: float) -> float:
    """How much of a core all programs take together while nobody asks anything."""

    def ticks() -> int:
        total = 0
        for state in machine.states():
            for pid in _family(state.pid) if state.pid else ():
                with suppress(OSError):
                    total += sum(map(int, Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11:13]))
        return total

    before = ticks()
    time.sleep(seconds)
    return (ticks() - before) / os.sysconf("SC_CLK_TCK") / seconds


def whole_nation(machine: Machine, times: int, seconds: float) -> None:
    """Start every state and the nation, see every part of the report fresh, and show what that costs."""
    was_down, was_new = not machine.states(), not machine.run.exists()
    begun = time.perf_counter()
    machine.up()
    started = time.perf_counter() - begun
    nation = Nation(machine)
    nation.found()
    states = machine.layout.states
    took, fresh = _ask_all(nation, len(states), times)
    idle = cores_in_use(machine, seconds)
    one = machine.programs[f"{states[-1].lower()}-whole"] if machine.layout.small else None
    if one:
        machine.stop(one.name)
        again = time.perf_counter()
        machine.start(one.name)
        machine.wait_well(one.name)
    rows = {
        "states": f"{len(states)}",
        "memory of one state, median": f"{statistics.median(sum(memory(machine, f'{code.lower()}-').values()) for code in states):.0f} MiB",
        "memory of all states": f"{sum(sum(memory(machine, f'{code.lower()}-').values()) for code in states)} MiB",
        "memory of the nation": f"{sum(memory(machine, 'in-').values())} MiB",
        "memory of PostgreSQL": f"{sum(memory(machine, 'postgres').values())} MiB",
        "memory of RabbitMQ": f"{sum(memory(machine, 'rabbitmq').values())} MiB",
        "one state starts in": f"{time.perf_counter() - again:.1f} s" if one else "-",
        "all are up in": f"{started:.0f} s, {'databases and queues made on the way' if was_new else 'databases and queues were there'}"
        if was_down
        else "- (they ran)",
        "cores in use while nobody asks": f"{idle:.2f}",
        "the nation's report, median": f"{statistics.median(took):.3f} s, the slowest of {len(took)} {max(took):.3f} s",
        "parts that were fresh": f"{len(states)} of {len(states)}; in the worst of {times} answers {fresh}",
    }
    table = Table(show_header=False)
    for what, figure in rows.items():
        table.add_row(what, figure)
    Console().print(table)
    nation.close()


def _ask_all(nation: Nation, states: int, times: int) -> tuple[list[float], int]:
    """Seconds that each question took once every state was known, and how many parts were fresh in the worst answer."""
    gateway, this_month = nation.gateway(), month.month_of(month.today())
    question = gateway_pb2.NationalReportRequest(report="summary", level="NATION", from_month=this_month, to_month=this_month)

    def fresh() -> int:
        parts = gateway(gateway.gateway.NationalReport, question, retry_seconds=60).parts
        return sum(part.freshness == gateway_pb2.FRESHNESS_FRESH for part in parts)

    books.wait_until(f"{states} states answer the nation", lambda: fresh() == states, 180)
    took, worst = [], states
    for _ in range(times):
        begun = time.perf_counter()
        worst = min(worst, fresh())
        took.append(time.perf_counter() - begun)
    return took, worst


def approval_to_nation(up: State, nation: Nation, times: int) -> list[float]:
    """Seconds from sending an approval until the nation's report shows it."""
    keeper, approver = keeper_of(up), sheet_user(up, "SHG_TRANS_APPROVER")
    shg = institutions_of(keeper)["Ujala"]
    active = [one.member_id for one in members_of(keeper, shg.institution_id) if one.status == profiles_pb2.STATUS_ACTIVE]
    this_month = month.month_of(month.today())

    def held() -> int:
        answer = ask(nation, this_month)
        place = [column.name for column in answer.columns].index("meetings_held")
        return sum(row.values[place] for row in answer.rows)

    chart = keeper(keeper.transactions.GetChart, transactions_pb2.GetChartRequest())
    take = transactions_pb2.TakeBooksRequest(institution_id=shg.institution_id, take_over=True)
    ledger = Ledger(shg.institution_id, chart, lock=keeper(keeper.transactions.TakeBooks, take).lock)
    ledger.know(books.position(keeper, shg.institution_id))
    attendance = [transactions_pb2.Attendance(member_id=one, present=True) for one in active]
    savings = [transactions_pb2.Saving(member_id=one, compulsory_paise=SAVINGS_PAISE) for one in active]
    took = []
    for _ in range(times):
        made = ledger.close(ledger.begin(str(uuid7()), month.today().isoformat(), attendance=attendance, savings=savings))
        if refused := [answer.refusal.sentence for answer in books.sync(keeper, [made]) if answer.refusal.code]:
            raise RuntimeError(f"A meeting is not in the books: {refused[0]}")
        before, begun = held(), time.perf_counter()
        books.approve_meeting(approver, made.meeting_id)
        while held() <= before:
            time.sleep(0.005)
        took.append(time.perf_counter() - begun)
    return took


async def calls_per_second(up: State, seconds: float) -> tuple[float, float]:
    """Reports a second of one serve process, and health checks a second: what the server does without our work."""
    token = up.reader.token
    request = reporting_pb2.ReportRequest(report="summary", region="9", level="STATE", from_month="2026-04", to_month=month.month_of(month.today()))
    credentials = grpc.ssl_channel_credentials(up.instance.ca_file.read_bytes())
    channels = [
        grpc.aio.secure_channel(up.instance.grpc_address, credentials, options=[("grpc.use_local_subchannel_pool", 1)]) for _ in range(CHANNELS)
    ]
    reports = [reporting_pb2_grpc.ReportingServiceStub(channel).Report for channel in channels]
    checks = [health_pb2_grpc.HealthStub(channel).Check for channel in channels]  # type: ignore[attr-defined]  # its stubs forget it

    async def rate(call: Callable[[int], Awaitable[object]]) -> float:
        until, counts = time.perf_counter() + seconds, [0] * CONCURRENT

        async def caller(number: int) -> None:
            while time.perf_counter() < until:
                await call(number % CHANNELS)
                counts[number] += 1

        await asyncio.gather(*(caller(number) for number in range(CONCURRENT)))
        return sum(counts) / seconds

    metadata = (("authorization", f"Bearer {token}"),)
    asked = await rate(lambda place: reports[place](request, metadata=metadata, timeout=10))
    ceiling = await rate(lambda place: checks[place](health_pb2.HealthCheckRequest(), timeout=10))
    for channel in channels:
        await channel.close()
    return asked, ceiling


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m loadtests.budget", description=__doc__)
    parser.add_argument("--times", type=int, default=30, help="approvals to time (30)")
    parser.add_argument("--seconds", type=float, default=10, help="how long to call for (10)")
    parser.add_argument("--nation", action="store_true", help="start all states of this machine and measure them together")
    arguments = parser.parse_args()
    machine = Machine.from_environment()
    if arguments.nation:
        try:
            whole_nation(machine, arguments.times, arguments.seconds)
        except (MachineError, RuntimeError) as error:
            sys.stderr.write(f"{error}\n")
            return 1
        return 0
    up, nation = State(machine, "UP"), Nation(machine)
    took = sorted(approval_to_nation(up, nation, arguments.times))
    reports, checks = asyncio.run(calls_per_second(up, arguments.seconds))
    sizes = memory(machine, "up-")
    for program, size in sizes.items():
        sys.stdout.write(f"{program}: {size} MiB\n")
    sys.stdout.write(
        f"budget memory_mib={sum(sizes.values())} approval_to_nation_p50_seconds={statistics.median(took):.3f}"
        f" approval_to_nation_max_seconds={took[-1]:.3f} reports_per_second={reports:.0f} health_checks_per_second={checks:.0f}"
        f" ratio={reports / checks:.2f}\n",
    )
    for state in (up, nation):
        state.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
