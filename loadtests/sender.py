"""Sends and approves meetings and reads books and reports from one light asyncio process: for more load than Locust itself can make.

Without --rate so many devices send as fast as they are answered; with it journeys begin at that rate whatever the system does,
and their latency counts from when they were due: one that finds every group at work waits for a group, and failed where it has
none by the end. Logging in comes before the clock starts. Afterwards every acknowledged meeting is looked for in the books.
Exits with 1 where one is missing or too many calls failed.
"""

import argparse
import asyncio
import random
import sys
import time
from contextlib import suppress
from functools import partial
from itertools import cycle
from pathlib import Path
from typing import Any

import grpc
from google.protobuf.message import Message
from rich.progress import Progress

from loadtests import journeys
from loadtests.client import DEADLINE_SECONDS, OPTIONS, CallFailedError, Device, Metadata, Network, PeopleError, Server, credentials, read_people
from loadtests.journeys import Book, Roster
from loadtests.tally import Tally, show, verdict

LOGINS_AT_ONCE = 4


class Asyncio:
    """Calls that are awaited."""

    def open(self, server: Server) -> grpc.aio.Channel:
        return grpc.aio.secure_channel(server.address, credentials(server), OPTIONS)

    async def send(self, method: Any, request: Message, metadata: Metadata) -> Any:  # noqa: ANN401 - a stub's method, a response
        return await method(request, metadata=metadata, timeout=DEADLINE_SECONDS)

    async def pause(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


class Sender:
    """The groups and officers of a people file, and the turns that they take."""

    def __init__(self, roster: Roster, tally: Tally, given: argparse.Namespace) -> None:
        self.given = given
        self.tally = tally
        self.books = roster.books[: given.groups]
        self._dice = dice = random.Random()  # noqa: S311 - no secret
        self.officers = [desk.device for desk in (*roster.readers, *roster.approvers)]
        # What is done beside meetings: of how many in a hundred journeys, and whose turn is next.
        others = (
            (given.reports_percent, [partial(journeys.read_report, desk.device, "reader") for desk in roster.readers]),
            (given.approvals_percent, [partial(journeys.approve_meetings, desk.device) for desk in roster.approvers]),
            (
                given.books_percent,
                [partial(journeys.read_books, desk.device, "approver", group, dice) for desk in roster.approvers for group in desk.groups],
            ),
        )
        self._others = [(percent, cycle(turns)) for percent, turns in others if turns]
        self.idle = asyncio.Queue[tuple[Device, Book]]()
        for one in self.books:
            self.idle.put_nowait(one)

    async def log_in(self) -> None:
        """Everybody once, so that passwords are not what is measured."""
        gate = asyncio.Semaphore(LOGINS_AT_ONCE)
        devices = {id(device): device for device in (*(device for device, _ in self.books), *self.officers)}
        with Progress(transient=True) as progress:
            bar = progress.add_task("logging in", total=len(devices))

            async def enter(device: Device) -> None:
                async with gate:
                    await device.log_in("login")
                progress.advance(bar)

            await asyncio.gather(*map(enter, devices.values()))

    async def turn(self, until: float | None = None) -> bool:
        """One journey: an officer's, or the meeting of the group that has rested longest. False where no group was free by then."""
        with suppress(CallFailedError):  # It is in the figures.
            chance = self._dice.uniform(0, 100)
            for percent, turns in self._others:
                if chance < percent:
                    await next(turns)()
                    return True
                chance -= percent
            try:
                async with asyncio.timeout_at(until):
                    one = await self.idle.get()
            except TimeoutError:
                return False
            try:
                await journeys.hold_meetings(*one)
            finally:
                self.idle.put_nowait(one)
        return True

    async def closed(self) -> None:
        """So many devices, each beginning anew as soon as it is answered."""
        until = time.perf_counter() + self.given.seconds

        async def device() -> None:
            while time.perf_counter() < until:
                await self.turn()

        # More devices than groups would wait for each other.
        await asyncio.gather(*(device() for _ in range(min(self.given.devices, len(self.books)))))

    async def open(self) -> None:
        """Journeys that are due at the rate, however long others take."""
        begun, tasks = time.perf_counter(), set[asyncio.Task[None]]()
        until = asyncio.get_running_loop().time() + self.given.seconds

        async def arrive(due: float) -> None:
            # To leave out who waits for a group would leave out just what a slow system does to her.
            if await self.turn(until):
                self.tally.due_seconds.append(time.perf_counter() - due)
            else:
                self.tally.never_begun += 1

        for number in range(int(self.given.rate * self.given.seconds)):
            due = begun + number / self.given.rate
            await asyncio.sleep(max(due - time.perf_counter(), 0))
            self.tally.late_seconds.append(time.perf_counter() - due)
            task = asyncio.create_task(arrive(due))
            tasks.add(task)
            task.add_done_callback(tasks.discard)
        await asyncio.gather(*tasks)


async def run(given: argparse.Namespace) -> bool:
    tally, wire = Tally(), Asyncio()
    roster = Roster(read_people(given.people), Network(wire, given.connections), tally.note, random.Random())  # noqa: S311 - no secret
    sender = Sender(roster, tally, given)
    try:
        await sender.log_in()
    except CallFailedError as error:
        raise PeopleError(f"Logging in does not work: {error}. Is the system up (make status), and is this people file its own?") from None
    tally.start()
    watching = asyncio.create_task(tally.watch(wire))
    await (sender.open() if given.rate else sender.closed())
    tally.stop()
    await watching
    show(tally, roster.acknowledged)
    return verdict(tally, await journeys.check_books(sender.books), roster.acknowledged, given.failures_percent_max)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m loadtests.sender", description=__doc__)

    def add(name: str, kind: type, default: object, about: str) -> None:
        parser.add_argument(name, type=kind, default=default, help=f"{about} (default: %(default)s)")

    add("--people", Path, "run/load/UP.json", "the people file")
    add("--seconds", float, 30.0, "how long to send for")
    add("--devices", int, 32, "how many send at once, without --rate; at most one a group")
    add("--rate", float, 0.0, "journeys a second that begin, whatever the answers do; 0 is as fast as answers come")
    add("--connections", int, 4, "connections to each server")
    add("--groups", int, 200, "of the people file's groups at most these, whose bookkeepers log in first")
    add("--reports-percent", float, 10.0, "of the journeys so many are a manager reading her report,")
    add("--approvals-percent", float, 5.0, "an approver approving at once what waits for her,")
    add("--books-percent", float, 10.0, "and an approver reading a group's cash book and a member's passbook")
    add("--failures-percent-max", float, 1.0, "exit with 1 where more of the calls fail")
    return parser


def main() -> int:
    parser = _parser()
    given = parser.parse_args()
    if min(given.devices, given.connections, given.groups) < 1 or given.seconds <= 0 or given.rate < 0:
        parser.error("devices, connections, groups and seconds are above 0, and the rate is not below")
    try:
        return 0 if asyncio.run(run(given)) else 1
    except PeopleError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())
