"""A loan in a member's name, from the approval to the SMS, over real processes, however often it is told and whatever is killed."""

import json
import os
import signal
from pathlib import Path

import pytest

from deploy.demo import books
from protos import transactions_pb2 as pb
from services.kernel import month
from services.kernel.ids import uuid7
from tests.flows.world import database, make_groups

pytestmark = [pytest.mark.flow, pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def group(world):
    return make_groups(world, world.up, 1)[0]


def lend(group, count=1):
    """A meeting that gives loans, and is approved; their ids."""
    loans = [
        pb.LoanGiven(loan_id=str(uuid7()), member_id=member_id, principal_paise=1_00_00, annual_rate_basis_points=2400, months=10)
        for member_id in group.members[:count]
    ]
    kept = group.ledger()
    sheet = kept.begin(
        str(uuid7()),
        month.today().isoformat(),
        attendance=[pb.Attendance(member_id=one, present=True) for one in group.members],
        savings=[pb.Saving(member_id=one, compulsory_paise=50_00) for one in group.members],
        loans=loans,
    )
    [answer] = books.sync(group.keeper, [kept.close(sheet)])
    assert answer.outcome == pb.OUTCOME_APPLIED, answer
    books.approve_meeting(group.approver, sheet.meeting_id)
    return [loan.loan_id for loan in loans]


def inbox(group):
    return Path(group.state.instance.env["LOKOS_MESSAGE_INBOX"])


def sent(group, loan_id):
    return (inbox(group) / f"loan_given:{loan_id}.json").exists()


def told_again(group, service, loan_id):
    """As after a crash between publishing and marking: the relay sends it again."""
    with database(group.state, service) as tables:
        tables.execute("update outbox set sent_at = null where subject = %s", [loan_id])
        again = "select 1 from outbox where subject = %s and sent_at is not null"
        books.wait_until("the relay sent it again", lambda: tables.execute(again, [loan_id]).fetchone())


def test_each_member_is_told_of_her_loan_in_the_sandbox(group):
    loan_ids = lend(group, 2)
    books.wait_until("both are told", lambda: all(sent(group, one) for one in loan_ids), 60)
    with database(group.state, "profiles") as tables:
        code = tables.execute("select code from institutions where id = %s", [group.institution_id]).fetchone()[0]
        mobiles = {row[0] for row in tables.execute("select content #>> '{phones,0,number}' from members where id = any(%s)", [group.members[:2]])}
    said = [json.loads((inbox(group) / f"loan_given:{one}.json").read_text(encoding="utf-8")) for one in loan_ids]
    assert {one["mobile"] for one in said} == mobiles
    assert all(code in one["text"] and " 100 " in one["text"] and one["language"] == "hi" for one in said)
    with database(group.state, "identity") as tables:
        assert tables.execute("select count(*) from alerts where loan_id = any(%s::uuid[])", [loan_ids]).fetchone() == (0,)


def test_a_loan_told_three_times_with_programs_killed_between_is_one_sms(world, group):
    [loan_id] = lend(group)
    books.wait_until("she is told", lambda: sent(group, loan_id), 60)
    (inbox(group) / f"loan_given:{loan_id}.json").unlink()
    for _ in range(2):
        told_again(group, "transactions", loan_id)
        os.kill(world.machine.pid("up-consume"), signal.SIGKILL)
        told_again(group, "profiles", loan_id)
        os.kill(world.machine.pid("up-work"), signal.SIGKILL)
    [behind] = lend(group)
    books.wait_until("one that was told after it is sent", lambda: sent(group, behind), 120)
    assert not sent(group, loan_id)
    with database(group.state, "identity") as tables:
        once = "select count(*) from jobs where name = 'send_loan_alert' and key like %s"
        assert tables.execute(once, [f"%{loan_id}"]).fetchone() == (1,)
