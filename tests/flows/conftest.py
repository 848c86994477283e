"""A whole machine of real processes, with its states founded once."""

from collections.abc import Iterator

import pytest
from sqlalchemy import text

from deploy.machine import Machine
from services.chassis import database, settings
from tests.flows.world import World, found


@pytest.fixture(scope="session")
def running(up: Machine) -> Machine:
    """Every program runs. Whoever needs that asks for it here: what lies in an outbox is taken away once, before any story begins."""
    for service in settings.services():
        # What tests of commands told and committed has no place in the story.
        with database.transaction(service) as connection:
            connection.execute(text("delete from outbox where sent_at is null"))
            connection.execute(text("truncate parked"))
    up.up()
    return up


@pytest.fixture(scope="session")
def world(running: Machine) -> Iterator[World]:
    made = found(running)
    yield made
    for state in (made.nation, made.up, made.br):
        state.close()
