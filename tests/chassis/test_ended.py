"""Sessions that ended, as a service keeps them: the newest word stands, in whatever order it came and however often."""

from datetime import UTC, datetime, timedelta
from itertools import permutations
from uuid import uuid4

import pytest

from services.chassis import ended
from services.kernel.caller import Session
from services.kernel.errors import Unauthenticated

SERVICE = "dedup"


def kept(connection, *sessions):
    return [(row.generation, row.until) for session in sessions for row in ended.standing(connection) if row.session_id == session]


def test_the_newest_word_stands_whatever_the_order(connection):
    now = datetime.now(UTC)
    words = [(2, now + timedelta(minutes=9)), (1, now + timedelta(minutes=10)), (ended.ENDED, now + timedelta(minutes=5))]
    for order in permutations(words):
        session = uuid4()
        for generation, until in (*order, order[0]):
            ended.keep(connection, session, generation, until)
        assert kept(connection, session) == [(ended.ENDED, now + timedelta(minutes=10))]


def test_what_no_token_is_left_of_is_no_more_looked_at_and_later_forgotten(connection):
    now = datetime.now(UTC)
    past, going, long_past = uuid4(), uuid4(), uuid4()
    ended.keep(connection, past, 1, now - timedelta(seconds=1))
    ended.keep(connection, going, 1, now + timedelta(minutes=1))
    ended.keep(connection, long_past, 1, now - ended.FORGOTTEN_AFTER - timedelta(seconds=1))
    assert len(kept(connection, past, going, long_past)) == 1
    ended.forget(connection, now)
    there = {row.session_id for row in connection.execute(ended.ended_sessions.select())}
    assert {past, going, long_past} & there == {past, going}


def test_a_view_reads_the_table(connection):
    session = uuid4()
    ended.keep(connection, session, 4, datetime.now(UTC) + timedelta(minutes=1))
    view = ended.View("a test's")
    view.read(connection)
    view.must_admit(Session(session, 5))
    with pytest.raises(Unauthenticated, match="refresh the session"):
        view.must_admit(Session(session, 4))
