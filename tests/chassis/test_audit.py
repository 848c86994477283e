"""The audit's chain shows every change made to it afterwards."""

import time

import pytest
from sqlalchemy import delete, select, update

from services.chassis import audit, database
from services.kernel.caller import Caller, Role

SERVICE = "profiles"
CALLER = Caller("IUP_SITA", Role.SHG_BOOKKEEPER, "9.1")


@pytest.fixture
def sealed(connection):
    connection.execute(delete(audit.audit))
    for number in range(5):
        audit.changed(connection, CALLER, "member.submit", number, revision=number)
    assert audit.seal(connection) == 5
    audit.changed(connection, CALLER, "member.approve", 9)
    assert audit.seal(connection) == 1
    return connection


def test_an_untouched_chain_holds(sealed):
    assert audit.broken_at(sealed) is None
    assert audit.seal(sealed) == 0


@pytest.mark.parametrize(
    "tamper",
    [
        update(audit.audit).where(audit.audit.c.place == 3).values(user_id="IUP_GITA"),
        update(audit.audit).where(audit.audit.c.place == 3).values(facts={"revision": 8}),
        delete(audit.audit).where(audit.audit.c.place == 3),
    ],
)
def test_a_changed_or_missing_row_breaks_it_where_it_stands(sealed, tamper):
    sealed.execute(tamper)
    assert audit.broken_at(sealed) == 3


def test_what_was_seen_is_noted_before_a_process_ends(up):
    reads = audit.Reads(SERVICE)
    marker = f"test-{time.monotonic_ns()}"
    for number in range(3):
        reads.seen(CALLER, marker, [number])
    reads.stop()
    with database.transaction(SERVICE) as connection:
        rows = connection.execute(select(audit.audit.c.subjects).where(audit.audit.c.action == marker)).scalars().all()
    assert sorted(rows) == [["0"], ["1"], ["2"]]


def test_a_read_is_noted_after_the_answer(up):
    reads = audit.Reads(SERVICE)
    marker = f"test-{time.monotonic_ns()}"
    reads.seen(CALLER, marker, ["a", "b"])
    for _ in range(100):
        with database.transaction(SERVICE) as connection:
            rows = connection.execute(select(audit.audit.c.subjects).where(audit.audit.c.action == marker)).scalars().all()
        if rows:
            break
        time.sleep(0.05)
    assert rows == [["a", "b"]]
