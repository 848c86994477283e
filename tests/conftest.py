"""What tests stand on: a machine of their own with real PostgreSQL and RabbitMQ, migrated, and a connection rolled back after each test."""

import os
from collections.abc import Iterator

import pytest
from sqlalchemy import Connection

os.environ.setdefault("LOKOS_RUN", "run/test")
os.environ.setdefault("LOKOS_PORT_BASE", "27000")

from deploy.machine import Machine


@pytest.fixture(scope="session")
def machine() -> Iterator[Machine]:
    """PostgreSQL and RabbitMQ, with the databases, broker users, keys and tables of UP, BR and the nation. Stays up between runs."""
    made = Machine.from_environment()
    made.provision()
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
