"""Two at once, each in a real transaction: one outcome, told once, and the other is answered in words."""

import threading
import time
from contextlib import contextmanager

import pytest
from sqlalchemy import select, text

from protos import profiles_pb2
from services.chassis import database
from services.chassis.mailbox import outbox
from services.kernel.errors import Refused
from services.kernel.ids import uuid7
from services.profiles import queries
from services.profiles.commands import institution
from services.profiles.tables import history, members
from tests.profiles.builders import (
    BLOCK,
    NOBODY_YET,
    SERVICE,
    TODAY,
    approve,
    approve_institution,
    at_once,
    bookkeeper,
    enrol,
    manager,
    reject,
    reject_institution,
    said_of,
    screen,
    screen_institution,
    submit,
)

OTHER = manager(user_id="IUP_BPM2", person="manager2")
PLAIN = {"accounts": []}  # Without an account no bank is asked, and no job is left behind.


def told(name, subject):
    """What others were told of a record."""
    with database.transaction(SERVICE) as connection:
        rows = connection.execute(select(outbox).where(outbox.c.event == name, outbox.c.subject == str(subject)).order_by(outbox.c.id)).all()
    return [getattr(profiles_pb2, name).FromString(one.body) for one in rows]


def handed_in(lasting, revision=1, member_id=None, **changes):
    """A member who waits, screened."""
    shg_id, maker = lasting
    with database.transaction(SERVICE) as connection:
        made = submit(connection, maker, shg_id, member_id, revision, **PLAIN | changes)
        screen(connection, made)
    return made.row.id


def activated(lasting, member_id=None, **changes):
    shg_id, maker = lasting
    with database.transaction(SERVICE) as connection:
        return enrol(connection, maker, shg_id, member_id, **PLAIN | changes).row.id


def waits_for_a_lock():
    """Until some transaction of this service waits for another one."""
    asked = text("select count(*) from pg_stat_activity where application_name = 'lokos-profiles' and wait_event_type = 'Lock'")
    for _ in range(600):
        with database.transaction(SERVICE) as connection:
            if connection.execute(asked).scalar_one():
                return
        time.sleep(0.05)
    pytest.fail("nobody waits")


@contextmanager
def meanwhile(call):
    """`call` begins in a thread of its own while the block's transaction is open, and waits for it to end; its outcome is then in the list."""
    outcomes = []

    def run():
        try:
            with database.transaction(SERVICE) as connection:
                outcomes.append(call(connection))
        except Refused as refused:
            outcomes.append(refused.code)

    thread = threading.Thread(target=run)
    with database.transaction(SERVICE) as connection:
        yield connection, thread, outcomes
        waits_for_a_lock()
    thread.join(60)


def test_two_approvers_at_once_give_one_code_and_one_event(lasting):
    her = handed_in(lasting)
    one, two = at_once(lambda connection: approve(connection, her), lambda connection: approve(connection, her, who=OTHER))
    assert one == two
    assert one.row.code
    assert [event.status for event in told("MemberChanged", her)].count(profiles_pb2.STATUS_ACTIVE) == 1
    assert len(told("MemberDecided", her)) == 1


def screened_before(shg_id, revision=1):
    with database.transaction(SERVICE) as connection:
        screen_institution(connection, shg_id, revision)


def test_two_approvers_of_an_shg_at_once_give_one_code_and_one_event(lasting):
    shg_id, _ = lasting
    for place, her in enumerate([*NOBODY_YET[:3], None, None]):
        activated(lasting, her, name=f"Member {'abcde'[place]}")
    screened_before(shg_id)
    one, two = at_once(
        lambda connection: approve_institution(connection, shg_id), lambda connection: approve_institution(connection, shg_id, who=OTHER)
    )
    assert one == two
    assert [event.code for event in told("InstitutionChanged", shg_id) if event.code] == [one.row.code]


def test_two_approvers_of_an_edit_at_once_keep_one_past(lasting):
    her = activated(lasting)
    handed_in(lasting, 2, her, name="Sunita Rani")
    one, two = at_once(lambda connection: approve(connection, her, 2), lambda connection: approve(connection, her, 2, who=OTHER))
    assert one == two
    with database.transaction(SERVICE) as connection:
        assert sorted(past.revision for past in connection.execute(select(history).where(history.c.record_id == her))) == [1, 2]


def test_many_approvals_at_once_give_each_her_own_code(lasting):
    women = [handed_in(lasting, name=f"Member {letter}") for letter in "abcd"]
    twice = [(her, who) for her in women for who in (manager(), OTHER)]
    outcomes = at_once(*[lambda connection, her=her, who=who: approve(connection, her, who=who).row.code for her, who in twice])
    assert len(set(outcomes)) == 4
    assert outcomes[0::2] == outcomes[1::2]


def test_approve_against_reject_has_one_outcome(lasting):
    for _ in range(3):
        her = handed_in(lasting, name="Another")
        outcomes = at_once(
            lambda connection, her=her: approve(connection, her).row.status,
            lambda connection, her=her: reject(connection, her, who=OTHER).row.status,
        )
        assert outcomes in (["ACTIVE", "NOTHING_WAITS"], ["MOVE_NOT_ALLOWED", "REJECTED"])
        with database.transaction(SERVICE) as connection:
            assert (connection.scalar(select(members.c.code).where(members.c.id == her)) is None) == (outcomes[1] == "REJECTED")


@pytest.mark.parametrize("live", [False, True])
def test_an_approval_of_a_revision_that_has_just_changed_says_so(lasting, live):
    shg_id, maker = lasting
    her = activated(lasting) if live else None
    first = 2 if live else 1
    her = handed_in(lasting, first, her, name="Sunita Rani")
    with meanwhile(lambda connection: approve(connection, her, first)) as (connection, thread, outcomes):
        reject(connection, her, first, who=OTHER)
        submit(connection, maker, shg_id, her, first + 1, **PLAIN | {"name": "Sunita Kumari"})
        thread.start()
    assert outcomes == ["REVISION_OLD"]
    with database.transaction(SERVICE) as connection:
        held = queries.member(connection, maker, her)
    assert (held.waiting.status, held.waiting.revision, held.live is not None) == ("SUBMITTED", first + 1, live)


def test_a_correction_of_what_has_just_been_approved_waits_beside_it(lasting):
    """She was approved while her bookkeeper was sending the same once more, and something else."""
    shg_id, maker = lasting
    her = handed_in(lasting)
    with meanwhile(lambda connection: submit(connection, maker, shg_id, her, **PLAIN).row.status) as (connection, thread, outcomes):
        approve(connection, her)
        thread.start()
    assert outcomes == ["ACTIVE"]
    other = handed_in(lasting, name="Sita Devi")
    with meanwhile(lambda connection: submit(connection, maker, shg_id, other, **PLAIN | {"name": "Sita Rani"})) as (connection, thread, outcomes):
        approve(connection, other)
        thread.start()
    assert outcomes == ["REVISION_CONTENT"]


def test_the_same_submission_twice_at_once_is_one(lasting):
    shg_id, maker = lasting
    her = uuid7()
    one, two = at_once(*[lambda connection: submit(connection, maker, shg_id, her, **PLAIN)] * 2)
    assert one == two
    assert len(told("MemberSubmitted", her)) == 1
    third = uuid7()
    outcomes = at_once(
        lambda connection: submit(connection, maker, shg_id, third, **PLAIN).row.status,
        lambda connection: submit(connection, maker, shg_id, third, **PLAIN | {"name": "Sita"}).row.status,
    )
    assert sorted(outcomes) == ["REVISION_CONTENT", "SUBMITTED"]


def test_the_same_edit_twice_at_once_is_one(lasting):
    shg_id, maker = lasting
    her = activated(lasting)
    second = bookkeeper(shg_id, person="second", user="IUP_BK2")
    edit = PLAIN | {"name": "Sunita Rani"}
    one, two = at_once(*[lambda connection, who=who: submit(connection, who, shg_id, her, 2, **edit) for who in (maker, second)])
    assert one == two
    assert [event.revision for event in told("MemberSubmitted", her)] == [1, 2]
    with database.transaction(SERVICE) as connection:
        reject(connection, her, 2)
    outcomes = at_once(
        lambda connection: submit(connection, maker, shg_id, her, 3, **edit).waiting.revision,
        lambda connection: submit(connection, second, shg_id, her, 4, **edit).waiting.revision,
    )
    assert outcomes in ([3, "LOCKED"], ["REVISION_OLD", 4])


def test_an_shg_is_not_let_in_past_a_member_who_is_just_coming(lasting):
    shg_id, maker = lasting
    for place, her in enumerate([*NOBODY_YET[:3], None, None]):
        activated(lasting, her, name=f"Member {'abcde'[place]}")
    screened_before(shg_id)
    with meanwhile(lambda connection: approve_institution(connection, shg_id)) as (connection, thread, outcomes):
        submit(connection, maker, shg_id, **PLAIN)
        thread.start()
    assert outcomes == ["MEMBERS_PENDING"]


def test_the_same_shg_sent_again_while_it_is_decided_stops_nobody(lasting):
    """Whoever hands an institution in and whoever decides on it take the same locks in the same order."""
    shg_id, maker = lasting
    with database.transaction(SERVICE) as connection:
        name = queries.institution(connection, maker, shg_id).row.name
    with meanwhile(lambda connection: reject_institution(connection, shg_id).row.status) as (connection, thread, outcomes):
        institution.lock_names(connection, BLOCK)
        thread.start()
        waits_for_a_lock()
        assert institution.submit(connection, maker, shg_id, 1, said_of(name=name), TODAY).row.status == "SUBMITTED"
    assert outcomes == ["REJECTED"]
    with database.transaction(SERVICE) as connection:
        institution.submit(connection, maker, shg_id, 2, said_of(name=name), TODAY)
    screened_before(shg_id, 2)
    with meanwhile(lambda connection: approve_institution(connection, shg_id, 2)) as (connection, thread, outcomes):
        institution.lock_names(connection, BLOCK)
        thread.start()
        waits_for_a_lock()
        assert institution.submit(connection, maker, shg_id, 2, said_of(name=name), TODAY).row.status == "SUBMITTED"
    assert outcomes == ["MEMBERS_TOO_FEW"]
