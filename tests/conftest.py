"""What tests stand on: a machine of their own with real PostgreSQL and RabbitMQ, migrated, and a connection rolled back after each test."""

import os
import random
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Connection

os.environ.setdefault("LOKOS_RUN", "run/test")
os.environ.setdefault("LOKOS_PORT_BASE", "27000")

from deploy.machine import Machine, MachineError
from deploy.machine.provision import SAMPLE_RESIDENTS
from services.kernel.codes import check_digit

RESIDENTS = 300


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Flows last: they run every program, and what the command tests commit is none of those programs' business."""
    items.sort(key=lambda item: item.get_closest_marker("flow") is not None)


def invent_residents(file: Path) -> None:
    """The sandbox's residents and some of this run alone: a number that an earlier run enrolled would be a duplicate now."""
    fresh = []
    for _ in range(RESIDENTS):
        digits = f"0{random.randrange(10**10):010}"
        fresh.append(f"{digits}{check_digit(digits)},123456,Invented Woman,1985,F\n")
    file.write_text(SAMPLE_RESIDENTS.read_text(encoding="utf-8") + "".join(fresh), encoding="utf-8")


@pytest.fixture(scope="session")
def machine() -> Iterator[Machine]:
    """PostgreSQL and RabbitMQ, with the databases, broker users, keys and tables of UP, BR and the nation. Stays up between runs."""
    made = Machine.from_environment()
    os.environ["LOKOS_SANDBOX_RESIDENTS_FILE"] = str(made.run / "residents.csv")
    try:
        made.provision()
    except MachineError as error:
        pytest.exit(f"The tests' own machine does not come up: {error}", returncode=1)
    invent_residents(made.run / "residents.csv")
    # Command tests have the instances to themselves; the flows, which come last, start the programs again.
    for program in made.programs:
        if program not in {one.name for one in made.infrastructure} and made.pid(program):
            made.stop(program)
    yield made
    if os.environ.get("CI"):
        made.down()


@pytest.fixture(scope="session")
def up(machine: Machine) -> Machine:
    """This test process is one of UP's: it has UP's settings."""
    os.environ.update(machine.instances["UP"].env)
    return machine


@pytest.fixture
def connection(up: Machine, request: pytest.FixtureRequest) -> Iterator[Connection]:
    """A connection as the service that the test's module names in SERVICE; whatever the test does is rolled back."""
    from services.chassis import database

    with database.engine(request.module.SERVICE).connect() as opened:
        transaction = opened.begin()
        yield opened
        transaction.rollback()
