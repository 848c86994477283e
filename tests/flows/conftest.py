"""A whole machine of real processes, with its states founded once."""

from collections.abc import Iterator

import pytest

from deploy.machine import Machine
from tests.flows.world import World, found


@pytest.fixture(scope="session")
def world(up: Machine) -> Iterator[World]:
    up.up()
    made = found(up)
    yield made
    for state in (made.nation, made.up, made.br):
        state.close()
