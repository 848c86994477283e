"""Jobs: due ones in turn, under a lease, effects at most once."""

import math
import threading
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
from prometheus_client import REGISTRY
from sqlalchemy import delete, select, update

from services.chassis import database, upkeep
from services.chassis.jobs import Job, enqueue, jobs
from services.chassis.work import EFFECT_WORKERS, Worker, bodies, jobs_of

SERVICE = "profiles"


@pytest.fixture
def worker(up):
    """A worker with jobs of the test's own; what the test enqueues is deleted after it."""
    made = Worker(SERVICE, threading.Event())
    made._jobs = {}
    name = f"toy-{uuid4()}"
    made.toy = name
    yield made
    with database.transaction(SERVICE) as connection:
        connection.execute(delete(jobs).where(jobs.c.name == name))


def ask(worker, function, key="k", effect=False, run_at=None):
    worker._jobs = {worker.toy: Job(worker.toy, function, None, effect)}
    with database.transaction(SERVICE) as connection:
        enqueue(connection, worker.toy, key, {"n": 1}, run_at)


def row(worker, key="k"):
    with database.transaction(SERVICE) as connection:
        return connection.execute(select(jobs).where(jobs.c.name == worker.toy, jobs.c.key == key)).one()


def test_a_job_is_done_once_however_often_it_is_asked_for(worker):
    done = []
    for _ in range(3):
        ask(worker, lambda service, arguments: done.append((service, arguments["n"])))
    assert worker.step()
    assert not worker.step()
    assert done == [(SERVICE, 1)]
    assert row(worker).done_at


def test_a_job_waits_for_its_time(worker):
    ask(worker, lambda *_: None, run_at=datetime.now(UTC) + timedelta(hours=1))
    assert not worker.step()


def broken(*_):
    raise RuntimeError("Sita Devi's number is 1234")


def test_a_job_that_fails_is_tried_again_later_and_its_error_quotes_nothing(worker):
    ask(worker, broken)
    assert worker.step()
    assert not worker.step()
    assert (row(worker).error, row(worker).done_at) == ("RuntimeError", None)


def test_an_effect_that_was_cut_short_is_not_tried_again(worker):
    happened = []
    ask(worker, lambda *_: happened.append(1), effect=True)
    taken = worker._take()
    assert taken is not None
    with database.transaction(SERVICE) as connection:
        connection.execute(update(jobs).where(jobs.c.name == worker.toy).values(leased_until=datetime.now(UTC) - timedelta(seconds=1)))
    assert worker.step()
    assert happened == []
    assert row(worker).done_at
    assert "cut short" in row(worker).error


def test_a_job_whose_worker_died_is_taken_over_when_its_lease_ends(worker):
    done = []
    ask(worker, lambda *_: done.append(1))
    assert worker._take() is not None
    assert not worker.step()
    with database.transaction(SERVICE) as connection:
        connection.execute(update(jobs).where(jobs.c.name == worker.toy).values(leased_until=datetime.now(UTC) - timedelta(seconds=1)))
    assert worker.step()
    assert done == [1]


def test_two_workers_never_take_the_same_job(worker):
    taken = []
    ask(worker, lambda *_: None)
    threads = [threading.Thread(target=lambda: taken.append(worker._take())) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(one is not None for one in taken) == 1


def test_what_was_done_long_ago_is_forgotten(worker):
    def key_done(key, days):
        ask(worker, lambda *_: None, key=key)
        with database.transaction(SERVICE) as connection:
            done_at = None if days is None else datetime.now(UTC) - timedelta(days=days)
            connection.execute(update(jobs).where(jobs.c.name == worker.toy, jobs.c.key == key).values(done_at=done_at))

    for key, days in {"old": 31, "young": 29, "waiting": None}.items():
        key_done(key, days)
    upkeep.prune_jobs.function(SERVICE, {})
    with database.transaction(SERVICE) as connection:
        assert set(connection.execute(select(jobs.c.key).where(jobs.c.name == worker.toy)).scalars()) == {"young", "waiting"}


def test_a_worker_for_effects_and_one_for_the_rest_leave_each_other_theirs(worker):
    done = []
    inside, outside = (Worker(SERVICE, threading.Event(), effects=effects) for effects in (False, True))
    ask(worker, lambda *_: done.append(1), effect=True)
    inside._jobs = outside._jobs = worker._jobs
    assert not inside.step()
    assert late_seconds() >= 0, "and yet it counts what waits for the other"
    assert outside.step()
    ask(worker, lambda *_: done.append(2), key="k2")
    inside._jobs = outside._jobs = worker._jobs
    assert not outside.step()
    assert inside.step()
    assert done == [1, 2]


@pytest.mark.parametrize(("service", "workers"), [(SERVICE, 1 + EFFECT_WORKERS), ("transactions", 1)])
def test_a_service_with_effects_has_workers_for_them(service, workers):
    assert len(bodies(service)) == workers


def late_seconds():
    return REGISTRY.get_sample_value("lokos_jobs_age_seconds", {"service": SERVICE})


def test_how_late_a_job_is_counts_those_that_this_version_knows(worker):
    ask(worker, lambda *_: None, run_at=datetime.now(UTC) - timedelta(minutes=10))
    assert worker._take() is not None
    assert 600 <= late_seconds() < 700
    worker._jobs = {}
    assert worker._take() is None
    assert late_seconds() < 1, "a timer that was taken out of the code is not late for ever"


def test_queues_have_a_figure_while_the_broker_is_there_and_none_while_it_is_not(up, monkeypatch):
    def waiting():
        return REGISTRY.get_sample_value("lokos_queue_waiting", {"service": SERVICE, "event": "MemberScreened"})

    upkeep.gauge_queues.function(SERVICE, {})
    assert waiting() >= 0
    monkeypatch.setenv("PROFILES_AMQP_URL", "amqp://nobody:nothing@127.0.0.1:1/nowhere")
    upkeep.gauge_queues.function(SERVICE, {})
    assert math.isnan(waiting())


def test_every_service_has_the_chassis_upkeep():
    assert {"seal_audit", "prune_mailbox", "prune_jobs", "park_dead_letters", "gauge_tables", "gauge_queues", "check_audit"} <= set(jobs_of(SERVICE))
