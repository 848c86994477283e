"""What one state costs on this machine: memory, the way from approval to the nation's report, calls a second.

Run it after `make demo`, with nothing else running: .venv/bin/python -m loadtests.budget
"""

import argparse
import asyncio
import statistics
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from deploy.demo import books, meeting
from deploy.demo.__main__ import ask, keeper_of, sheet_user
from deploy.demo.cast import Nation, State, institutions_of, members_of
from deploy.machine import Machine
from protos import profiles_pb2, reporting_pb2, reporting_pb2_grpc
from services.kernel import month

CONCURRENT = 32
CHANNELS = 4


def memory(machine: Machine) -> dict[str, int]:
    """Proportional set size of each of UP's processes, in MiB."""
    sizes = {}
    for program in (name for name in machine.programs if name.startswith("up-")):
        pid = machine.pid(program)
        rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
        sizes[program] = int(rollup.split("\nPss:")[1].split()[0]) // 1024
    return sizes


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

    took = []
    for _ in range(times):
        made = meeting.next_meeting(books.position(keeper, shg.institution_id), active)
        books.sync(keeper, [made])
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
    arguments = parser.parse_args()
    machine = Machine.from_environment()
    up, nation = State(machine, "UP"), Nation(machine)
    took = sorted(approval_to_nation(up, nation, arguments.times))
    reports, checks = asyncio.run(calls_per_second(up, arguments.seconds))
    sizes = memory(machine)
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
