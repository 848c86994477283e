"""The places of the tests' block, the servicer inside a test's transaction, and an SHG that is committed and taken away again."""

from contextlib import contextmanager
from datetime import date
from uuid import uuid4

import pytest
from sqlalchemy import delete, select

from services.chassis import database
from services.chassis.mailbox import outbox
from services.kernel import geography
from services.profiles import servicer
from services.profiles.servicer import tasks
from services.profiles.tables import findings, history, institutions, mappings, members, submissions
from tests.profiles.builders import PLACES, SERVICE, clerk, new_shg


@pytest.fixture
def land(up, tmp_path, monkeypatch):
    path = tmp_path / "geography.csv"
    geography.save(path, [geography.Place(place, place, "", date(1900, 1, 1)) for place in PLACES])
    monkeypatch.setenv("LOKOS_GEOGRAPHY_FILE", str(path))


@pytest.fixture
def serving(connection, monkeypatch):
    """The servicer, answering `who` inside the test's own transaction, in which each call is undone as a whole."""

    @contextmanager
    def transaction():
        with connection.begin_nested():
            yield connection

    calling = {"who": clerk()}
    for room in (servicer, tasks):
        monkeypatch.setattr(room, "transaction", transaction)
        monkeypatch.setattr(room, "caller", lambda: calling["who"])
    made = servicer.Servicer()
    monkeypatch.setattr(made.reads, "seen", lambda *_: None)
    return made, calling


@pytest.fixture
def lasting(land):
    """An SHG that is committed, and taken away again with its members and with what was told of them before anybody hears it."""
    with database.transaction(SERVICE) as connection:
        shg_id, maker = new_shg(connection, name=f"Ujala {uuid4().hex}")
    yield shg_id, maker
    with database.transaction(SERVICE) as connection:
        hers = connection.scalars(select(members.c.id).where(members.c.institution_id == shg_id)).all()
        ids = [shg_id, *hers]
        connection.execute(delete(outbox).where(outbox.c.subject.in_([str(one) for one in ids])))
        connection.execute(delete(findings).where(findings.c.member_id.in_(hers)))
        connection.execute(delete(submissions).where(submissions.c.record_id.in_(ids)))
        connection.execute(delete(history).where(history.c.record_id.in_(ids)))
        connection.execute(delete(mappings).where(mappings.c.child_id.in_(ids)))
        connection.execute(delete(members).where(members.c.id.in_(hers)))
        connection.execute(delete(institutions).where(institutions.c.id == shg_id))
