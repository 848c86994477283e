"""Locust's users: bookkeepers, approvers, block managers and national readers at their desks. `make load` runs it; by hand:

.venv-load/bin/python -m locust -f loadtests/locustfile.py --headless -u 20 -r 5 -t 60s --people run/load/UP.json
"""

import random
import sys
import time
from collections import deque
from collections.abc import Callable, Coroutine
from contextlib import suppress
from pathlib import Path
from typing import Any, NoReturn, TypeVar

import gevent
import grpc
import grpc.experimental.gevent
from google.protobuf.message import Message
from locust import LoadTestShape, User, events, task
from locust.env import Environment
from locust.runners import LocalRunner

from loadtests import journeys
from loadtests.client import (
    DEADLINE_SECONDS,
    OPTIONS,
    RETRY_SECONDS_MAX,
    CallFailedError,
    Metadata,
    Network,
    PeopleError,
    Sample,
    Server,
    credentials,
    read_people,
)
from loadtests.journeys import Desk, Roster
from loadtests.tally import Tally, show, verdict
from services.kernel.money import grouped

T = TypeVar("T")

CONNECT_SECONDS = 10
TELL_SECONDS = 10

grpc.experimental.gevent.init_gevent()  # Without it a call holds up every other user.


class Gevent:
    """Calls that block their own greenlet alone, made inside coroutines that therefore never wait."""

    def open(self, server: Server) -> grpc.Channel:
        return grpc.secure_channel(server.address, credentials(server), OPTIONS)

    async def send(self, method: Any, request: Message, metadata: Metadata) -> Any:  # noqa: ANN401 - a stub's method, a response
        return method(request, metadata=metadata, timeout=DEADLINE_SECONDS)

    async def pause(self, seconds: float) -> None:
        gevent.sleep(seconds)


def run_now(journey: Coroutine[Any, Any, Any]) -> Any:  # noqa: ANN401 - whatever it returns
    """Run a coroutine that never waits to its end."""
    try:
        journey.send(None)
    except StopIteration as done:
        return done.value
    raise AssertionError("a journey under gevent waited")


class Load:
    """One Locust process at work: its people, its figures, and at the end what is to be thought of them."""

    def __init__(self, environment: Environment) -> None:
        self.environment = environment
        self.options = environment.parsed_options
        self.people = read_people(Path(self.options.people))
        self.network = Network(Gevent(), self.options.connections)
        self.tally = Tally()
        self.dice = random.Random()  # noqa: S311 - no secret
        self.roster = self._seat()
        self.without_group = 0
        _must_answer([server for server in (self.people.state, self.people.nation, self.people.gateway) if server])

    def _seat(self) -> Roster:
        return Roster(self.people, self.network, self.note, self.dice)

    def note(self, sample: Sample) -> None:
        self.tally.note(sample)
        if self.tally.running:
            self.environment.events.request.fire(
                request_type=sample.journey,
                name=sample.step,
                response_time=sample.seconds * 1000,
                response_length=0,
                exception=RuntimeError(sample.fault) if sample.fault else None,
                context={},
            )

    def begin(self, **_: object) -> None:
        self.roster = self._seat()  # The web page may start again, and the groups stand elsewhere by then.
        self.without_group = 0
        self.tally.start()
        gevent.spawn(self._tell)
        gevent.spawn(run_now, self.tally.watch(self.network.wire))

    def _tell(self) -> None:
        begun = time.monotonic()
        while True:
            gevent.sleep(TELL_SECONDS)
            if not self.tally.running:
                return
            seconds, users = time.monotonic() - begun, self.environment.runner.user_count
            counts = (grouped(count) for count in (users, self.tally.requests, self.tally.failures, self.roster.acknowledged))
            sys.stderr.write("{:.0f} s: {} users, {} requests, {} failed, {} meetings\n".format(seconds, *counts))

    def end(self, **_: object) -> None:
        self.tally.stop()
        show(self.tally, self.roster.acknowledged)
        if self.without_group:
            groups = grouped(len(self.roster.books))
            sys.stdout.write(f"{grouped(self.without_group)} turns found no free group: more groups than {groups} are needed for so many users\n")
        faults = run_now(journeys.check_books(self.roster.books))
        well = verdict(self.tally, faults, self.roster.acknowledged, self.options.failures_percent_max)
        self.environment.process_exit_code = 0 if well else 1


def _must_answer(servers: list[Server]) -> None:
    for server in servers:
        channel = grpc.secure_channel(server.address, credentials(server), OPTIONS)
        try:
            grpc.channel_ready_future(channel).result(timeout=CONNECT_SECONDS)
        except grpc.FutureTimeoutError:
            raise PeopleError(f"Nobody answers at {server.address}: is the system up (make status), and is this people file its own?") from None
        finally:
            channel.close()


class Day(LoadTestShape):
    """A day from midnight to midnight, compressed. `abstract` keeps Locust from taking it where no day was asked for."""

    abstract = True

    def __init__(self, runner: LocalRunner, day_seconds: float, peak_users: int, users: dict[str, type[User]]) -> None:
        super().__init__()
        self.runner = runner
        self.day_seconds, self.peak_users, self.users = day_seconds, peak_users, users
        self.phase = ""

    def tick(self) -> tuple[int, float, list[type[User]]] | None:
        phase = journeys.phase_at(self.get_run_time(), self.day_seconds)
        if phase is None:
            return None
        count = journeys.users_in(phase, self.peak_users)
        if phase.name != self.phase:
            self.phase = phase.name
            sys.stderr.write(f"{phase.name}, until {phase.until_hour}:00\n")
            if self.get_current_user_count():
                # Locust lets those who are there stay; for a moment nobody is, so that each phase has its own people.
                return 0, float(self.peak_users), []
        return count, float(count), [self.users[name] for name in phase.users if name in self.users]


@events.init_command_line_parser.add_listener
def _arguments(parser: Any) -> None:  # noqa: ANN401 - Locust's own kind of parser
    def add(name: str, default: object, about: str, **more: Any) -> None:  # noqa: ANN401 - argparse's words
        parser.add_argument(name, default=default, include_in_web_ui=False, help=f"{about} (default: %(default)s)", **more)

    add("--people", "run/load/UP.json", "the people file: who works where, see python -m loadtests.people --help")
    add("--day-seconds", 0.0, "play a whole day, compressed into so many seconds, in place of -u, -r and -t; 600 is a good day", type=float)
    add("--peak-users", 50, "users in the busiest hours of that day", type=int)
    add("--connections", 8, "connections to each server, shared by the devices", type=int)
    add("--think-seconds", 1.0, "how long a user rests between two journeys, on average", type=float)
    add("--failures-percent-max", 1.0, "exit with 1 where more of the requests fail", type=float)


@events.init.add_listener
def _prepare(environment: Environment, **_: object) -> None:
    if not isinstance(environment.runner, LocalRunner):
        _refuse("A group's chain of meetings is kept in one process: run Locust without --processes, --master and --worker.")
    try:
        load = Load(environment)
    except PeopleError as error:
        _refuse(str(error))
    environment.load = load
    # Where the people file has nobody in a role, nobody plays it.
    environment.user_classes = [users for users in environment.user_classes if load.roster.desks()[users.__name__]]
    # A journey ends before its user does, so that hardly a meeting is in doubt; what is, the check sends again.
    environment.stop_timeout = environment.stop_timeout or RETRY_SECONDS_MAX + DEADLINE_SECONDS
    if load.options.day_seconds > 0:
        users = {users.__name__: users for users in environment.user_classes}
        environment.shape_class = Day(environment.runner, load.options.day_seconds, load.options.peak_users, users)
    environment.events.test_start.add_listener(load.begin)
    environment.events.test_stop.add_listener(load.end)
    # Interrupted, Locust would take its exit code before the run is judged.
    environment.events.quitting.add_listener(lambda **_: environment.runner.stop())


def _refuse(sentence: str) -> NoReturn:
    sys.stderr.write(f"{sentence}\n")
    sys.exit(1)


class Person(User):
    """A virtual user at a desk of her role."""

    abstract = True
    desk: Desk

    def on_start(self) -> None:
        self.desk = self.environment.load.roster.next_desk(type(self).__name__)

    def wait_time(self) -> float:
        return random.uniform(0.5, 1.5) * float(self.environment.parsed_options.think_seconds)  # noqa: S311 - no secret

    def go(self, journey: Coroutine[Any, Any, None]) -> None:
        with suppress(CallFailedError):  # It is in the statistics, and the person tries something else.
            run_now(journey)

    def go_with(self, idle: deque[T], journey: Callable[[T], Coroutine[Any, Any, None]]) -> None:
        """With the group that has rested longest. A turn without one is no load, and is told at the end."""
        with journeys.taken(idle) as one:
            if one is None:
                self.environment.load.without_group += 1
            else:
                self.go(journey(one))


class Bookkeeper(Person):
    """Holds one meeting after another, and now and then shows a woman her passbook or enrols one."""

    weight = 8

    @task(8)
    def hold_meeting(self) -> None:
        self.go_with(self.desk.books, lambda book: journeys.hold_meetings(self.desk.device, book))

    @task(1)
    def read_books(self) -> None:
        self.go_with(self.desk.books, lambda book: journeys.read_books(self.desk.device, "bookkeeper", book.group, book.dice))

    @task(1)
    def enrol_member(self) -> None:
        self.go_with(self.desk.books, lambda book: journeys.enrol_member(self.desk.device, book.group, book.dice))


class Reconnecting(Person):
    """A bookkeeper who finds a network after four meetings without one."""

    weight = 2

    @task
    def reconnect(self) -> None:
        self.go_with(self.desk.books, lambda book: journeys.hold_meetings(self.desk.device, book, journeys.UNSENT_MAX))


class Approver(Person):
    """Approves what the bookkeepers sent, and looks into their books."""

    weight = 4

    @task(3)
    def approve_meetings(self) -> None:
        self.go(journeys.approve_meetings(self.desk.device))

    @task(1)
    def read_books(self) -> None:
        self.go_with(self.desk.groups, lambda group: journeys.read_books(self.desk.device, "approver", group, self.environment.load.dice))


class BlockManager(Person):
    """Works on her tasks, and looks at her block's figures."""

    weight = 2

    @task(2)
    def do_tasks(self) -> None:
        self.go(journeys.do_tasks(self.desk.device))

    @task(1)
    def read_report(self) -> None:
        self.go(journeys.read_report(self.desk.device, "block manager"))


class NationalReader(Person):
    """Asks the nation's gateway."""

    weight = 2

    @task
    def read_report(self) -> None:
        self.go(journeys.read_national_report(self.desk.device))


class MorningLogin(Person):
    """Opens the app in the morning, and closes it again."""

    weight = 2

    @task
    def log_in(self) -> None:
        self.go(self.desk.device.log_in("morning"))
