"""The books against a real PostgreSQL."""

import threading
from dataclasses import replace
from datetime import UTC, date, datetime
from uuid import UUID

import psycopg.errors
import pytest
from google.protobuf.json_format import ParseDict
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import func, select, text
from sqlalchemy.exc import IntegrityError

from protos import profiles_pb2
from protos import transactions_pb2 as pb
from protos.common_pb2 import Page
from services.chassis import interceptors
from services.chassis.database import transaction
from services.chassis.hears import Event
from services.chassis.mailbox import outbox
from services.kernel import tally
from services.kernel.caller import Role
from services.kernel.errors import Conflict, Forbidden, Invalid, NotFound, Refused, Unavailable
from services.kernel.ids import derived, uuid7
from services.kernel.policies import Policies
from services.transactions import queries
from services.transactions.commands import decide, upkeep
from services.transactions.commands.sync import sync_meeting
from services.transactions.consumer import Consumer
from services.transactions.rules.meeting import LoanGiven, Repayment, Saving, Waiting, content
from services.transactions.rules.partitions import partition
from services.transactions.servicer import Servicer
from services.transactions.tables import chains, drift, institutions, lines, loans, meetings, members
from tests.transactions.builders import BLOCK, FORMED_ON, TODAY, Group, History, meeting, savings

SERVICE = "transactions"


def event(body, version=1):
    return Event(uuid7(), "", version, datetime.now(UTC), body)


def hear_institution(connection, group, version=1, **changes):
    plain = {"kind": f"KIND_{group.kind}", "region": group.region, "status": "STATUS_ACTIVE", "formed_on": FORMED_ON.isoformat()}
    plain |= {"parent_id": str(group.parent_id)}
    told = profiles_pb2.InstitutionChanged(institution_id=str(group.institution_id), **{**plain, **changes})
    Consumer().institution_changed(connection, event(told, version))


def hear_member(connection, group, member_id, version=1, **changes):
    plain = {"institution_id": str(group.institution_id), "region": group.region, "status": "STATUS_ACTIVE"}
    Consumer().member_changed(connection, event(profiles_pb2.MemberChanged(member_id=str(member_id), **{**plain, **changes}), version))


def hear(connection, group):
    hear_institution(connection, group)
    for member_id in group.member_ids:
        hear_member(connection, group, member_id)
    return group


@pytest.fixture
def group(connection):
    return hear(connection, Group())


@pytest.fixture
def kept(up):
    """A group whose books are really committed, and cleared away afterwards."""
    made = Group()
    with transaction(SERVICE) as connection:
        hear(connection, made)
    yield made
    with transaction(SERVICE) as connection:
        for table in (institutions, members, chains, meetings, lines, loans):
            connection.execute(table.delete().where(table.c.institution_id == made.institution_id))
        connection.execute(text("delete from balances where institution_id = :one"), {"one": made.institution_id})


def sync(connection, group, one, **caller):
    return sync_meeting(connection, group.bookkeeper(**caller), one, Policies(), TODAY)


def saved(group, number=1, rupees=50, before=0, **changes):
    """Every member saves; `before` rupees were in the cash box."""
    counted = (before + rupees * len(group.member_ids)) * 100
    return meeting(group, **{"number": number, "savings": savings(group, rupees), "counted_cash_paise": counted, **changes})


def approve(connection, group, one, **caller):
    return decide.approve_meeting(connection, group.approver(**caller), one.meeting_id, one.revision)


def reject(connection, group, one, remark="The cash was counted wrong."):
    return decide.reject_meeting(connection, group.approver(), one.meeting_id, one.revision, remark)


def position(connection, group):
    """The kept position in plain values, without what is nought."""
    chain, balances, owed = queries.position(connection, group.approver(), group.institution_id)
    held = {row.member_id: (row.compulsory_paise, row.voluntary_paise) for row in balances}
    return (
        (chain.last_number, chain.last_held_on, chain.cash_paise, chain.bank_paise),
        {one: both for one, both in held.items() if any(both)},
        {row.loan_id: row.outstanding_paise for row in owed},
    )


def test_a_meeting_is_stored_once(connection, group):
    one = saved(group)
    assert sync(connection, group, one) == "STORED"
    assert sync(connection, group, one) == "ALREADY"
    assert connection.execute(select(func.count()).select_from(lines).where(lines.c.meeting_id == one.meeting_id)).scalar_one() == 5
    with pytest.raises(Conflict) as refused:
        sync(connection, group, replace(one, counted_cash_paise=1))
    assert (refused.value.code, refused.value.field) == ("REVISION_CONTENT", "counted_cash_paise")
    note = connection.execute(
        text("select subjects, facts from audit where action = 'meeting.store' and subjects ? :one"), {"one": str(one.meeting_id)}
    )
    assert [facts["revision"] for _, facts in note] == [1]


def test_a_meeting_waits_for_who_is_not_heard_of(connection):
    group = Group()
    one = saved(group)
    for expected in ("INSTITUTION_WAITING", "MEMBER_WAITING"):
        with pytest.raises(Waiting) as waiting:
            sync(connection, group, one)
        assert waiting.value.code == expected
        hear_institution(connection, group)
    # The members come in any order, and the news of one of them twice, the older last.
    for member_id in group.member_ids[::-1]:
        hear_member(connection, group, member_id, version=3)
        hear_member(connection, group, member_id, version=2, status="STATUS_SUBMITTED")
    assert sync(connection, group, one) == "STORED"


def ended_in(group, to_on, from_on=""):
    return {"institution_id": str(group.institution_id), "region": group.region, "from_on": from_on, "to_on": to_on}


def refusal(connection, group, one):
    with pytest.raises(Refused) as refused:
        sync(connection, group, one)
    return refused.value.code, refused.value.field


def test_what_was_held_before_she_left_is_taken_when_it_is_handed_in_after(connection, group):
    she, goes, *_ = group.member_ids
    other = hear(connection, Group())
    left, transferred = ended_in(group, "2026-10-06"), ended_in(group, "2026-10-07")
    hear_member(connection, group, she, version=2, status="STATUS_INACTIVE", ended_stays=[left])
    hear_member(connection, other, goes, version=2, ended_stays=[transferred], since_on="2026-10-07")
    for number, day in enumerate((5, 6), 1):
        assert sync(connection, group, saved(group, number, before=250 * (number - 1), held_on=date(2026, 10, day))) == "STORED"
    assert refusal(connection, group, saved(group, 3, before=500, held_on=date(2026, 10, 7))) == ("MEMBER_LEFT", "attendance[0].member_id")
    without = Group(group.institution_id, member_ids=group.member_ids[1:])
    assert sync(connection, group, saved(without, 3, before=500, held_on=date(2026, 10, 7))) == "STORED"
    assert refusal(connection, group, saved(without, 4, before=700, held_on=date(2026, 10, 8))) == ("MEMBER_LEFT", "attendance[0].member_id")
    # Where she came, she is on the same day.
    joined = Group(other.institution_id, member_ids=[*other.member_ids, goes])
    assert refusal(connection, other, saved(joined, held_on=date(2026, 10, 6))) == ("MEMBER_ELSEWHERE", "attendance[5].member_id")
    assert sync(connection, other, saved(joined, held_on=date(2026, 10, 7))) == "STORED"
    # She who left comes back; what an older version says of her changes nothing.
    hear_member(connection, group, she, version=3, ended_stays=[left], since_on="2026-10-09")
    hear_member(connection, group, she, version=2, status="STATUS_INACTIVE", ended_stays=[left])
    back = Group(group.institution_id, member_ids=[she, *group.member_ids[2:]])
    assert refusal(connection, group, saved(back, 4, before=700, held_on=date(2026, 10, 8))) == ("MEMBER_LEFT", "attendance[0].member_id")
    assert sync(connection, group, saved(back, 4, before=700, held_on=date(2026, 10, 9))) == "STORED"
    assert queries.adrift(connection) == []


def test_a_meeting_waits_for_who_may_have_come_from_elsewhere(connection, group):
    other = hear(connection, Group())
    joined = saved(Group(group.institution_id, member_ids=[*group.member_ids, other.member_ids[0]]))
    assert refusal(connection, group, joined) == ("MEMBER_WAITING", "attendance[5].member_id")
    ended = [ended_in(other, "2026-10-05")]
    hear_member(connection, group, other.member_ids[0], version=2, ended_stays=ended, since_on="2026-10-05")
    assert sync(connection, group, joined) == "STORED"


def test_what_was_held_before_an_institution_was_closed_is_taken_after_it(connection, group):
    ended = [{"to_on": "2026-10-06"}]
    hear_institution(connection, group, version=2, status="STATUS_INACTIVE", ended_periods=ended)
    for member_id in group.member_ids:
        hear_member(connection, group, member_id, version=2, status="STATUS_INACTIVE", ended_stays=[ended_in(group, "2026-10-06")])
    assert sync(connection, group, saved(group)) == "STORED"
    assert sync(connection, group, saved(group, 2, before=250, held_on=date(2026, 10, 6))) == "STORED"
    after = saved(group, 3, before=500, held_on=date(2026, 10, 7))
    assert refusal(connection, group, after) == ("INSTITUTION_CLOSED", "held_on")
    hear_institution(connection, group, version=3, ended_periods=ended, since_on="2026-10-08")
    assert refusal(connection, group, after) == ("INSTITUTION_CLOSED", "held_on")
    assert refusal(connection, group, replace(after, held_on=date(2026, 10, 8))) == ("MEMBER_LEFT", "attendance[0].member_id")
    for member_id in group.member_ids:
        hear_member(connection, group, member_id, version=3, ended_stays=[ended_in(group, "2026-10-06")], since_on="2026-10-08")
    assert sync(connection, group, replace(after, held_on=date(2026, 10, 8))) == "STORED"


def test_the_version_decides_and_never_the_order(connection):
    group = Group()
    hear_institution(connection, group, version=5, region="9.178.1204.77.6")
    hear_institution(connection, group, version=4, region="9.178.1204.77.7", status="STATUS_DRAFT")
    hear_institution(connection, group, version=5, region="9.178.1204.77.8")
    row = connection.execute(select(institutions).where(institutions.c.institution_id == group.institution_id)).one()
    assert (row.kind, row.region, row.status, row.version, row.formed_on) == ("SHG", "9.178.1204.77.6", "ACTIVE", 5, FORMED_ON)


def test_approval_tells_the_figures_and_is_final(connection, group):
    loan = LoanGiven(uuid7(), group.member_ids[0], 100_00, 2400, 10, "goats")
    one = saved(group, loans=(loan,), counted_cash_paise=150_00)
    sync(connection, group, one)
    shown = approve(connection, group, one)
    assert (shown.status, shown.decided_by) == ("APPROVED", "IUP_AP")
    assert approve(connection, group, one).decided_at == shown.decided_at
    told = connection.execute(select(outbox).where(outbox.c.subject == str(one.meeting_id))).all()
    assert [row.event_id for row in told] == [derived("MeetingApproved", one.meeting_id)]
    figures = pb.MeetingApproved.FromString(told[0].body)
    assert (figures.region, figures.month, figures.members_present, figures.members_due) == (group.region, "2026-10", 5, 5)
    assert (figures.savings_paise, figures.loans_disbursed_paise) == (250_00, 100_00)
    with pytest.raises(Conflict) as refused:
        reject(connection, group, one)
    assert refused.value.code == "MOVE_NOT_ALLOWED"
    # Moved since: a restatement still says where it lay.
    hear_institution(connection, group, version=9, region="9.178.1204.78.1")
    last, count = upkeep.restate_approved(connection, "reporting", UUID(int=one.meeting_id.int - 1))
    assert (last, count) == (one.meeting_id, 1)
    again = connection.execute(select(outbox).where(outbox.c.subject == str(one.meeting_id), outbox.c.destination == "reporting")).one()
    assert (again.event_id, again.body) == (told[0].event_id, told[0].body)


def test_who_may_not_approve(connection, group):
    first, second = saved(group), saved(group, number=2, before=250)
    sync(connection, group, first)
    sync(connection, group, second)
    for caller, error, code in (
        ({"person": "maker"}, Forbidden, "OWN_ENTRY"),
        ({"user_id": "IUP_BK"}, Forbidden, "OWN_ENTRY"),
        ({"role": Role.VO_TRANS_APPROVER}, Forbidden, "APPROVER_KIND"),
        ({"institutions": frozenset()}, NotFound, "MEETING_UNKNOWN"),
        ({"institutions": frozenset({uuid7()})}, NotFound, "MEETING_UNKNOWN"),
    ):
        with pytest.raises(error) as refused:
            approve(connection, group, first, **caller)
        assert refused.value.code == code
    with pytest.raises(Conflict) as refused:
        approve(connection, group, second)
    assert refused.value.code == "APPROVAL_OUT_OF_SEQUENCE"
    with pytest.raises(Conflict) as refused:
        decide.approve_meeting(connection, group.approver(), first.meeting_id, 2)
    assert refused.value.code == "REVISION_OLD"
    with pytest.raises(NotFound):
        approve(connection, group, replace(first, meeting_id=uuid7()))
    with pytest.raises(Invalid) as refused:
        reject(connection, group, first, remark=" ")
    assert refused.value.code == "REMARK_MISSING"


def test_a_rejection_takes_back_the_meeting_and_all_that_stand_on_it(connection, group):
    first = saved(group)
    sync(connection, group, first)
    approve(connection, group, first)
    stood = position(connection, group)
    loan = LoanGiven(uuid7(), group.member_ids[0], 100_00, 2400, 10, "goats")
    second = saved(group, number=2, before=250, loans=(loan,), counted_cash_paise=400_00)
    third = meeting(group, number=3, repayments=(Repayment(loan.loan_id, 40_00, 2_00),), counted_cash_paise=442_00)
    for one in (second, third):
        sync(connection, group, one)
    assert position(connection, group)[2] == {loan.loan_id: 60_00}
    assert reject(connection, group, second).remark == "The cash was counted wrong."
    assert reject(connection, group, second).remark == "The cash was counted wrong."
    with pytest.raises(Conflict) as refused:
        reject(connection, group, second, "Said otherwise.")
    assert refused.value.code == "MOVE_NOT_ALLOWED"
    assert position(connection, group) == stood
    later = queries.meeting(connection, group.bookkeeper(), third.meeting_id)
    assert (later.status, later.remark) == ("REJECTED", "Meeting 2 was handed back, and this one stands on it.")
    assert sync(connection, group, third) == "ALREADY"
    # The same loan comes again with the next revision; the old lines stay to be read, and do not count.
    assert sync(connection, group, replace(second, revision=2)) == "STORED"
    assert sync(connection, group, replace(third, revision=2)) == "STORED"
    assert position(connection, group)[2] == {loan.loan_id: 60_00}
    assert connection.execute(select(func.count()).select_from(lines).where(lines.c.meeting_id == second.meeting_id)).scalar_one() == 12
    assert group.institution_id not in queries.adrift(connection)
    with pytest.raises(Conflict) as refused:
        sync(connection, group, second)
    assert refused.value.code == "REVISION_OLD"


def test_another_meeting_may_take_the_number_of_one_handed_back(connection, group):
    first = saved(group)
    sync(connection, group, first)
    reject(connection, group, first)
    other = saved(group, rupees=60)
    assert sync(connection, group, other) == "STORED"
    with pytest.raises(Conflict) as refused:
        sync(connection, group, replace(first, revision=2))
    assert refused.value.code == "MEETING_OUT_OF_SEQUENCE"
    listed = queries.meetings_of(connection, group.bookkeeper(), group.institution_id, "", None, 50)
    assert {row.status for row in listed} == {"REJECTED", "CLOSED"}


def test_a_loan_of_a_rejected_meeting_may_be_given_again_but_never_twice(connection, group):
    loan = LoanGiven(uuid7(), group.member_ids[0], 10_00, 2400, 10, "")
    first = saved(group, loans=(loan,), counted_cash_paise=240_00)
    sync(connection, group, first)
    second = saved(group, number=2, loans=(loan,), before=240, counted_cash_paise=480_00)
    with pytest.raises(Conflict) as refused:
        sync(connection, group, second)
    assert refused.value.code == "LOAN_EXISTS"
    reject(connection, group, first)
    assert sync(connection, group, replace(first, revision=2)) == "STORED"


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(random=st.randoms(use_true_random=False))
def test_any_history_keeps_the_books_the_sum_of_their_lines(connection, random):
    group = hear(connection, Group())
    history = History(group, random)
    for _ in range(10):
        step = random.random()
        if step < 0.6 or len(history.stored) == history.approved_through:
            one = history.next_meeting()
            assert sync(connection, group, one) == "STORED"
            assert sync(connection, group, one) == "ALREADY"
            history.keep(one, queries.lines_of(connection, [one.meeting_id])[one.meeting_id])
        elif step < 0.8:
            approve(connection, group, history.stored[history.approved_through].meeting)
            history.approved_through += 1
        else:
            number = random.randint(history.approved_through + 1, len(history.stored))
            reject(connection, group, history.stored[number - 1].meeting)
            history.hand_back(number)
        _agrees(connection, group, history)
    assert group.institution_id not in queries.adrift(connection)


@pytest.mark.parametrize("side", ["VO", "CLF"])
def test_an_approver_stands_on_the_side_of_the_vo_or_of_the_clf(connection, group, side):
    vo, clf = Group(institution_id=group.parent_id, kind="VO"), uuid7()
    hear_institution(connection, vo, parent_id=str(clf))
    one = saved(group)
    sync(connection, group, one)
    mapped = frozenset({vo.institution_id if side == "VO" else clf})
    assert approve(connection, group, one, institutions=mapped).status == "APPROVED"


def _agrees(connection, group, history):
    expected = history.position
    (last_number, last_held_on, cash, bank), balances, owed = position(connection, group)
    assert (last_number, last_held_on) == (len(history.stored), history.stored[-1].meeting.held_on if history.stored else None)
    assert (cash, bank) == (expected.cash_paise, expected.bank_paise)
    assert balances == {one: both for one, both in expected.saved.items() if any(both)}
    assert owed == {one: paise for one, paise in expected.outstanding.items() if paise}
    through, heads = queries.trial_balance(connection, group.approver(), group.institution_id)
    assert through == history.approved_through
    approved = [line for one in history.stored[:through] for line in one.lines]
    assert sum(debit for debit, _ in heads.values()) == sum(credit for _, credit in heads.values()) == sum(line.amount_paise for line in approved)
    journal = queries.journal(connection, group.approver(), group.institution_id, None, 500)
    assert [queries.line_of(row) for row in journal] == history.lines


def test_the_database_itself_refuses_negative_books(connection, group):
    sync(connection, group, saved(group))
    with pytest.raises(IntegrityError) as refused, connection.begin_nested():
        connection.execute(chains.update().where(chains.c.institution_id == group.institution_id).values(cash_paise=-1))
    assert isinstance(refused.value.orig, psycopg.errors.CheckViolation)


def in_two(first, second):
    """Run `first` and leave it uncommitted while `second` starts; returns what `second` gave or raised."""
    begun, answers = threading.Event(), []

    def later():
        with transaction(SERVICE) as connection:
            begun.set()
            try:
                answers.append(second(connection))
            except Exception as error:  # noqa: BLE001 - whatever it is, the test looks at it
                answers.append(error)

    thread = threading.Thread(target=later)
    with transaction(SERVICE) as connection:
        first(connection)
        thread.start()
        begun.wait(5)
        thread.join(0.3)
        assert thread.is_alive(), "the second did not wait for the first"
    thread.join(5)
    return answers[0]


def test_two_uploads_of_one_meeting_at_once_store_it_once(kept):
    one = saved(kept)
    outcomes = []
    second = in_two(lambda connection: outcomes.append(sync(connection, kept, one)), lambda connection: sync(connection, kept, one))
    assert [*outcomes, second] == ["STORED", "ALREADY"]


def test_two_meetings_of_one_number_at_once_cannot_both_be_stored(kept):
    with transaction(SERVICE) as connection:
        sync(connection, kept, saved(kept))
    one, other = (saved(kept, number=2, before=250) for _ in range(2))
    lost = in_two(lambda connection: sync(connection, kept, one), lambda connection: sync(connection, kept, other))
    assert isinstance(lost, Conflict)
    assert lost.code == "MEETING_OUT_OF_SEQUENCE"


def test_the_next_meeting_cannot_be_approved_past_the_one_before(kept):
    first, second = saved(kept), saved(kept, number=2, before=250)
    with transaction(SERVICE) as connection:
        sync(connection, kept, first)
        sync(connection, kept, second)
    shown = in_two(lambda connection: approve(connection, kept, first), lambda connection: approve(connection, kept, second))
    assert (shown.number, shown.status) == (2, "APPROVED")


def test_what_stands_on_a_rejected_meeting_cannot_be_approved_at_the_same_time(kept):
    first, second = saved(kept), saved(kept, number=2, before=250)
    with transaction(SERVICE) as connection:
        sync(connection, kept, first)
        sync(connection, kept, second)
        approve(connection, kept, first)
    lost = in_two(lambda connection: reject(connection, kept, second), lambda connection: approve(connection, kept, second))
    assert isinstance(lost, Conflict)
    assert lost.code == "MOVE_NOT_ALLOWED"


def wire(one):
    return ParseDict(content(one), pb.Meeting())


@pytest.fixture
def servicer(up):
    return Servicer()


def upload(servicer, group, *sent):
    interceptors._caller.set(group.bookkeeper())
    answers = servicer.SyncMeetings(pb.SyncMeetingsRequest(meetings=sent), None).answers
    return [(pb.Outcome.Name(one.outcome).removeprefix("OUTCOME_"), one.refusal.code) for one in answers]


def test_an_upload_is_answered_one_by_one(servicer, kept):
    first = saved(kept)
    unbalanced = replace(saved(kept, number=2, before=250), counted_cash_paise=1)
    bad_id, bad_day = wire(first), wire(first)
    bad_id.savings[1].member_id = "Sita"
    bad_day.held_on = "31-01-2026"
    elsewhere = wire(saved(Group()))
    assert upload(servicer, kept, wire(first), wire(unbalanced), bad_id, bad_day, elsewhere, wire(first)) == [
        ("STORED", ""),
        ("REFUSED", "MEETING_UNBALANCED"),
        ("REFUSED", "ID_INVALID"),
        ("REFUSED", "DATE_INVALID"),
        ("REFUSED", "INSTITUTION_NOT_YOURS"),
        ("ALREADY", ""),
    ]
    with pytest.raises(Invalid) as refused:
        upload(servicer, kept, *[wire(first)] * 21)
    assert refused.value.code == "MEETINGS_TOO_MANY"


def test_a_meeting_waits_with_the_one_before(servicer, kept):
    stranger = saved(kept, savings=(Saving(uuid7(), 250_00, 0),))
    assert upload(servicer, kept, wire(stranger), wire(saved(kept, number=2, before=250))) == [
        ("WAITING", "MEMBER_WAITING"),
        ("WAITING", "MEETING_WAITING"),
    ]


def test_an_item_that_the_database_will_not_take_loses_no_other(servicer, kept):
    first, second = saved(kept), saved(kept, number=2, before=250)
    other = Group()
    with transaction(SERVICE) as connection:
        sync(connection, kept, first)
        # Nobody saves so much; one more paisa and the database has no number for it.
        full = text("update balances set compulsory_paise = 9223372036854775807 where institution_id = :one")
        connection.execute(full, {"one": kept.institution_id})
        hear(connection, other)
    both = Group(institution_id=kept.institution_id, member_ids=kept.member_ids)
    interceptors._caller.set(both.bookkeeper(institutions=frozenset({kept.institution_id, other.institution_id})))
    try:
        with pytest.raises(Unavailable) as refused:
            servicer.SyncMeetings(pb.SyncMeetingsRequest(meetings=[wire(second), wire(saved(other))]), None)
        assert refused.value.code == "MEETINGS_NOT_ALL"
        with transaction(SERVICE) as connection:
            assert position(connection, other)[0][0] == 1
            assert position(connection, kept)[0][0] == 1
    finally:
        with transaction(SERVICE) as connection:
            for table in (institutions, members, chains, meetings, lines, loans):
                connection.execute(table.delete().where(table.c.institution_id == other.institution_id))
            connection.execute(text("delete from balances where institution_id = :one"), {"one": other.institution_id})


def test_what_is_read_is_bounded_and_paged(servicer, kept):
    sent = [saved(kept, number=number, before=250 * (number - 1)) for number in (1, 2, 3)]
    upload(servicer, kept, *map(wire, sent))
    interceptors._caller.set(kept.approver())
    shown = servicer.ApproveMeeting(pb.ApproveMeetingRequest(meeting_id=str(sent[0].meeting_id), revision=1), None)
    assert (shown.status, shown.approved_by) == (pb.MEETING_STATUS_APPROVED, "IUP_AP")
    asked = str(kept.institution_id)
    listed, after = [], ""
    while True:
        page = servicer.ListMeetings(pb.ListMeetingsRequest(institution_id=asked, page=Page(size=2, after=after)), None)
        listed += [one.number for one in page.meetings]
        after = page.next
        if not after:
            break
    assert listed == [1, 2, 3]
    closed = servicer.ListMeetings(pb.ListMeetingsRequest(institution_id=asked, status=pb.MEETING_STATUS_CLOSED), None)
    assert [one.number for one in closed.meetings] == [2, 3]
    posted, after = [], ""
    while True:
        page = servicer.Journal(pb.JournalRequest(institution_id=asked, page=Page(size=4, after=after)), None)
        posted += page.lines
        after = page.next
        if not after:
            break
    assert [(line.line, line.approved) for line in posted] == [(line, number == 1) for number in (1, 2, 3) for line in range(1, 6)]
    balance = servicer.TrialBalance(pb.TrialBalanceRequest(institution_id=asked), None)
    assert [(head.head, head.name, head.debit_paise, head.credit_paise) for head in balance.heads] == [
        ("A03", "Cash in hand", 250_00, 0),
        ("L01", "Compulsory savings", 0, 250_00),
    ]
    assert (balance.debit_total_paise, balance.credit_total_paise, balance.approved_through) == (250_00, 250_00, 1)
    pulled = servicer.Pull(pb.PullRequest(institution_id=asked), None)
    assert (pulled.last_number, pulled.approved_through, pulled.cash_paise, len(pulled.members)) == (3, 1, 750_00, 5)
    got = servicer.GetMeeting(pb.GetMeetingRequest(meeting_id=str(sent[1].meeting_id)), None)
    got.ClearField("status")
    assert got == wire(sent[1])
    for page in (Page(size=501), Page(size=-1), Page(after="nonsense")):
        for ask in (
            lambda page=page: servicer.ListMeetings(pb.ListMeetingsRequest(institution_id=asked, page=page), None),
            lambda page=page: servicer.Journal(pb.JournalRequest(institution_id=asked, page=page), None),
        ):
            with pytest.raises(Invalid) as refused:
                ask()
            assert refused.value.code == "PAGE_INVALID"
    interceptors._caller.set(kept.bookkeeper(institutions=frozenset()))
    for unseen in (
        lambda: servicer.Pull(pb.PullRequest(institution_id=asked), None),
        lambda: servicer.Journal(pb.JournalRequest(institution_id=asked), None),
        lambda: servicer.ListMeetings(pb.ListMeetingsRequest(institution_id=asked), None),
        lambda: servicer.TrialBalance(pb.TrialBalanceRequest(institution_id=asked), None),
        lambda: servicer.GetMeeting(pb.GetMeetingRequest(meeting_id=str(sent[0].meeting_id)), None),
    ):
        with pytest.raises(NotFound):
            unseen()


def test_lines_lie_in_their_month_and_those_of_a_clock_run_ahead_move_there(connection, group):
    ahead = datetime(2031, 5, 7, tzinfo=UTC).timestamp()
    one = saved(group, meeting_id=uuid7(ahead))
    sync(connection, group, one)
    where = text("select distinct tableoid::regclass::text from lines where meeting_id = :one")
    assert connection.execute(where, {"one": one.meeting_id}).scalars().all() == ["lines_default"]
    made = upkeep.make_partitions(connection, date(2031, 4, 30))
    assert made == ["lines_2031_04", "lines_2031_05", "lines_2031_06"]
    assert connection.execute(where, {"one": one.meeting_id}).scalars().all() == ["lines_2031_05"]
    assert upkeep.make_partitions(connection, date(2031, 4, 30)) == []
    now = datetime.now(UTC).date()
    assert queries.lines_of(connection, [one.meeting_id])[one.meeting_id]
    upkeep.make_partitions(connection, now)
    assert connection.execute(text("select to_regclass(:name)"), {"name": partition(now.replace(day=1)).name}).scalar_one()


def test_a_copy_that_drifted_is_noted_until_it_is_equal(connection, group):
    block = BLOCK + "9"
    for version, member_id in enumerate(group.member_ids, 1):
        hear_member(connection, group, member_id, version + 1, region=f"{block}.1.1")
    hear_member(connection, group, group.member_ids[0], 9, region=f"{block}.1.1", status="STATUS_REJECTED")
    held = [(member_id, version + 1) for version, member_id in enumerate(group.member_ids, 1)][1:]
    right = profiles_pb2.MembersTallied(block=block, members=4, fingerprint=tally.total(held))
    wrong = profiles_pb2.MembersTallied(block=block, members=4, fingerprint=tally.total(held[1:]))
    rows = select(drift.c.members_told, drift.c.members_held).where(drift.c.block == block)
    Consumer().members_tallied(connection, event(wrong))
    assert connection.execute(rows).all() == [(4, 4)]
    Consumer().members_tallied(connection, event(right))
    assert connection.execute(rows).all() == []
