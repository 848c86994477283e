"""The books over their servicer: uploads item by item, what a device pulls, and the books out."""

import threading
from contextlib import ExitStack
from dataclasses import replace
from datetime import timedelta
from uuid import UUID

import pytest
from sqlalchemy import select, text

from deploy.demo.ledger import Ledger
from protos import transactions_pb2 as pb
from protos.common_pb2 import Page
from services.chassis import interceptors
from services.chassis.database import transaction
from services.kernel.errors import Exhausted, Invalid, NotFound, Refused
from services.kernel.ids import uuid7
from services.kernel.month import today
from services.transactions import queries
from services.transactions.rules.heads import CHART, ITEMS
from services.transactions.rules.record import APPROVALS_MAX, MEETINGS_MAX
from services.transactions.rules.sheet import (
    BankMove,
    BankStatement,
    Borrowing,
    BorrowingRepayment,
    Entry,
    LoanGiven,
    Paid,
    Repayment,
    Reversal,
    Saving,
    content,
)
from services.transactions.servicer import Servicer
from services.transactions.tables import chains, meetings, superseded
from tests.transactions.builders import RUPEE, Desk, Group, clear, hear, hear_institution, hear_member, new_id, savings

SERVICE = "transactions"
SAVED = 250 * RUPEE  # By a group at one meeting.
# The servicer asks the clock, so meetings are held in these days.
LAST, FIRST = today(), today() - timedelta(days=40)
MIDDLE = today() - timedelta(days=20)


@pytest.fixture
def made(up):
    """Makes groups whose books are really committed, and clears them away afterwards."""
    groups = []

    def make(**changes):
        group = Group(bank_ids=sorted((new_id(), new_id())), **changes)
        groups.append(group)
        with transaction(SERVICE) as connection:
            hear(connection, group)
            hear_institution(connection, group, 2, formed_on=(FIRST - timedelta(days=400)).isoformat())
        return group

    yield make
    with transaction(SERVICE) as connection:
        for group in groups:
            clear(connection, group)


@pytest.fixture
def group(made):
    return made()


@pytest.fixture
def servicer(up):
    return Servicer()


def as_(caller):
    interceptors._caller.set(caller)


def wire(one, lock=0):
    return pb.MeetingSheet(**content(one), lock=lock)


def next_of(group, **changes):
    with transaction(SERVICE) as connection:
        return Desk(connection, group).next(**{"held_on": FIRST, **changes})


def send(servicer, group, *sent, **caller):
    as_(group.bookkeeper(**caller))
    answers = servicer.SyncMeetings(pb.SyncMeetingsRequest(meetings=sent), None).answers
    assert [one.meeting_id for one in answers] == [one.meeting_id for one in sent]
    return [(pb.Outcome.Name(one.outcome).removeprefix("OUTCOME_"), one.refusal.code) for one in answers]


def saved(servicer, group, **changes):
    one = next_of(group, **{"savings": savings(group), **changes})
    assert send(servicer, group, wire(one)) == [("APPLIED", "")]
    return one


def approve(servicer, group, *sheets):
    as_(group.approver())
    wanted = [pb.ApproveMeetingRequest(meeting_id=one.meeting_id, revision=one.revision) for one in sheets]
    return [answer.refusal.code for answer in servicer.ApproveMeetings(pb.ApproveMeetingsRequest(meetings=wanted), None).answers]


def refusal(call, request):
    with pytest.raises(Refused) as refused:
        call(request, None)
    return refused.value.code, refused.value.field


# In.


def test_an_upload_is_answered_one_by_one(servicer, group):
    first = next_of(group, savings=savings(group))
    bad_id, bad_day, unbalanced, nul = (wire(replace(first, meeting_id=new_id())) for _ in range(4))
    bad_id.savings[1].member_id = "Sita"
    bad_day.held_on = "31-01-2026"
    unbalanced.counted_cash_paise -= 100
    nul.entries.add(item="RENT", amount_paise=1, party="land\0lord")
    elsewhere = wire(replace(first, meeting_id=new_id(), institution_id=Group().id))
    answers = send(servicer, group, wire(first), unbalanced, bad_id, elsewhere)
    assert answers == [("APPLIED", ""), ("REFUSED", "MEETING_OUT_OF_SEQUENCE"), ("REFUSED", "ID_INVALID"), ("REFUSED", "INSTITUTION_NOT_YOURS")]
    assert send(servicer, group, bad_day, nul, wire(first)) == [("REFUSED", "DATE_INVALID"), ("REFUSED", "TEXT_INVALID"), ("ALREADY_APPLIED", "")]
    with transaction(SERVICE) as connection:
        assert connection.execute(select(meetings.c.meeting_id).where(meetings.c.institution_id == group.institution_id)).all() == [
            (UUID(first.meeting_id),)
        ]


def test_a_refusal_says_which_field_and_in_words_what_to_do(servicer, group):
    one = next_of(group, savings=savings(group))
    as_(group.bookkeeper())
    short = wire(one)
    short.counted_cash_paise -= 100
    [answer] = servicer.SyncMeetings(pb.SyncMeetingsRequest(meetings=[short]), None).answers
    assert (answer.refusal.field, answer.revision) == ("counted_cash_paise", 1)
    assert answer.refusal.sentence == "The cash counted is ₹249, and the book says ₹250: ₹1 is missing."
    assert answer.waiting_for == ""


def test_a_meeting_waits_by_name_with_the_one_before(servicer, group):
    stranger = new_id()
    first = next_of(group, savings=(Saving(stranger, SAVED, 0),))
    second = replace(first, meeting_id=new_id(), number=2, previous_meeting_id=first.meeting_id)
    as_(group.bookkeeper())
    answers = servicer.SyncMeetings(pb.SyncMeetingsRequest(meetings=[wire(second), wire(first)]), None).answers
    assert [(pb.Outcome.Name(one.outcome), one.refusal.code, one.waiting_for) for one in answers] == [
        ("OUTCOME_WAITING", "MEETING_WAITING", first.meeting_id),
        ("OUTCOME_WAITING", "MEMBER_WAITING", stranger),
    ]


def test_a_call_has_an_end_and_so_have_the_meetings_of_one_institution(servicer, group):
    one = wire(next_of(group, savings=savings(group)))
    as_(group.bookkeeper())
    assert refusal(servicer.SyncMeetings, pb.SyncMeetingsRequest(meetings=[one] * (MEETINGS_MAX + 1))) == ("MEETINGS_TOO_MANY", "meetings")
    assert send(servicer, group, *[one] * 5) == [("REFUSED", "UNSENT_TOO_MANY")] * 5
    assert send(servicer, group, *[one] * 4) == [("APPLIED", ""), *[("ALREADY_APPLIED", "")] * 3]
    as_(group.approver())
    many = pb.ApproveMeetingsRequest(meetings=[pb.ApproveMeetingRequest(meeting_id=new_id(), revision=1)] * (APPROVALS_MAX + 1))
    assert refusal(servicer.ApproveMeetings, many) == ("MEETINGS_TOO_MANY", "meetings")


def test_twenty_groups_of_four_meetings_come_in_one_call(servicer, made):
    groups = [made(member_ids=[uuid7()]) for _ in range(20)]
    sent = []
    for group in groups:
        first = next_of(group, savings=savings(group))
        sent.append(wire(first))
    mapped = frozenset(group.institution_id for group in groups)
    assert send(servicer, groups[0], *sent, institutions=mapped) == [("APPLIED", "")] * 20
    parents = frozenset(group.parent_id for group in groups)
    as_(groups[0].approver(institutions=parents))
    seen, after = [], ""
    while True:
        page = servicer.ListWaiting(pb.ListWaitingRequest(page=Page(size=7, after=after)), None)
        seen += [(one.institution_id, one.number) for one in page.meetings]
        after = page.next
        if not after:
            break
    assert seen == sorted((group.id, 1) for group in groups)
    wanted = [pb.ApproveMeetingRequest(meeting_id=one.meeting_id, revision=1) for one in sent]
    answers = servicer.ApproveMeetings(pb.ApproveMeetingsRequest(meetings=wanted), None).answers
    assert [(one.meeting_id, one.refusal.code) for one in answers] == [(one.meeting_id, "") for one in sent]
    assert servicer.ListWaiting(pb.ListWaitingRequest(), None).meetings == []


def test_an_item_that_the_database_will_not_take_loses_no_other(servicer, made):
    group, other = made(), made()
    one = saved(servicer, group)
    as_(group.approver())
    servicer.RejectMeeting(pb.RejectMeetingRequest(meeting_id=one.meeting_id, revision=1, remark="Once more."), None)
    with transaction(SERVICE) as connection:
        # What was handed back is there already where it is to be kept.
        names = ", ".join(column.name for column in superseded.c)
        connection.execute(text(f"insert into superseded ({names}) select {names} from meetings where meeting_id = :one"), {"one": one.meeting_id})
    second = next_of(group, savings=savings(group), meeting_id=one.meeting_id, revision=2)
    fine = next_of(other, savings=savings(other))
    both = group.bookkeeper(institutions=frozenset({group.institution_id, other.institution_id}))
    as_(both)
    answers = servicer.SyncMeetings(pb.SyncMeetingsRequest(meetings=[wire(second), wire(fine)]), None).answers
    assert [(pb.Outcome.Name(one.outcome), one.refusal.code, one.waiting_for) for one in answers] == [
        ("OUTCOME_WAITING", "NOT_STORED", ""),
        ("OUTCOME_APPLIED", "", ""),
    ]
    assert send(servicer, other, wire(fine)) == [("ALREADY_APPLIED", "")]
    with transaction(SERVICE) as connection:
        assert connection.execute(select(meetings.c.revision).where(meetings.c.meeting_id == UUID(one.meeting_id))).scalar_one() == 1


def test_books_that_never_stand_still_hide_no_others(servicer, made, monkeypatch):
    group, other = made(), made()
    saved(servicer, group)
    mine, fine = next_of(group, savings=savings(group)), next_of(other, savings=savings(other))
    behind = queries.books

    def read(connection, sheets):
        books = behind(connection, sheets)
        never = books.chain.version + (books.chain.last_number == 1)
        return replace(books, chain=replace(books.chain, version=never))

    monkeypatch.setattr(queries, "books", read)
    both = frozenset({group.institution_id, other.institution_id})
    assert send(servicer, group, wire(mine), wire(fine), institutions=both) == [("WAITING", "NOT_STORED"), ("APPLIED", "")]
    monkeypatch.undo()
    assert send(servicer, group, wire(mine)) == [("APPLIED", "")]


def test_where_no_connection_is_free_the_call_is_to_be_made_again(servicer, group, monkeypatch):
    """Nothing is known of any of its meetings: no item is answered as if it were."""
    one = wire(next_of(group, savings=savings(group)))
    as_(group.bookkeeper())
    with ExitStack() as all_taken:
        for _ in range(10):
            all_taken.enter_context(transaction(SERVICE))
        with pytest.raises(Exhausted) as refused:
            servicer.SyncMeetings(pb.SyncMeetingsRequest(meetings=[one]), None)
    assert refused.value.code == "BUSY"
    assert send(servicer, group, one) == [("APPLIED", "")]


def test_an_id_that_another_institution_takes_at_the_same_instant_is_refused(servicer, made):
    """The other's meeting is not seen while this one is judged, and is there when it is written."""
    group, other = made(), made()
    mine, theirs = next_of(group, savings=savings(group)), next_of(other, savings=savings(other))
    mine = next_of(group, savings=savings(group), meeting_id=theirs.meeting_id)
    answers = []

    def later():
        answers.extend(send(servicer, group, wire(mine)))

    thread = threading.Thread(target=later)
    with transaction(SERVICE) as connection:
        assert Desk(connection, other).send(theirs) == ["APPLIED"]
        thread.start()
        thread.join(0.7)
        assert thread.is_alive(), "it did not wait for the other's word"
    thread.join(30)
    assert answers == [("REFUSED", "REVISION_CONTENT")]
    with transaction(SERVICE) as connection:
        assert Desk(connection, group).standing().chain.last_number == 0
        assert queries.recorded_sheet(connection, theirs.meeting_id) == theirs


# Decided.


def test_a_decision_shows_the_meeting_as_it_was_sent(servicer, group):
    one = saved(servicer, group, manual_books_differ="“₹2”\u200c {और}")
    as_(group.approver())
    [waiting] = servicer.ListWaiting(pb.ListWaitingRequest(), None).meetings
    assert (waiting.meeting_id, waiting.number, list(waiting.flags), waiting.held_on) == (
        one.meeting_id,
        1,
        ["MANUAL_BOOKS_DIFFER"],
        FIRST.isoformat(),
    )
    assert approve(servicer, group, one) == ["MEETING_FLAGGED"]
    handed = servicer.RejectMeeting(pb.RejectMeetingRequest(meeting_id=one.meeting_id, revision=1, remark=" ₹2 क्यों? ", reasons=["OTHER"]), None)
    assert (handed.status, handed.remark, list(handed.reasons)) == (pb.MEETING_STATUS_REJECTED, "₹2 क्यों?", ["OTHER"])
    assert refusal(servicer.RejectMeeting, pb.RejectMeetingRequest(meeting_id=one.meeting_id, revision=1, remark="a\0")) == ("TEXT_INVALID", "remark")
    again = next_of(group, savings=savings(group), meeting_id=one.meeting_id, revision=2)
    assert send(servicer, group, wire(again)) == [("APPLIED", "")]
    as_(group.approver())
    shown = servicer.ApproveMeeting(pb.ApproveMeetingRequest(meeting_id=one.meeting_id, revision=2), None)
    assert (shown.status, shown.decided_by, shown.sheet, shown.remark) == (pb.MEETING_STATUS_APPROVED, "IUP_AP", wire(again), "")
    assert shown == servicer.GetMeeting(pb.GetMeetingRequest(meeting_id=one.meeting_id), None)
    assert shown.HasField("decided_at")
    assert servicer.ListWaiting(pb.ListWaitingRequest(), None).meetings == []


def test_a_list_to_approve_names_each_meeting_once(servicer, group):
    one = saved(servicer, group)
    as_(group.approver())
    twice = [pb.ApproveMeetingRequest(meeting_id=written, revision=1) for written in (one.meeting_id, one.meeting_id.upper())]
    assert refusal(servicer.ApproveMeetings, pb.ApproveMeetingsRequest(meetings=twice)) == ("MEETING_TWICE", "meetings[1].meeting_id")
    assert approve(servicer, group, one) == [""]


def test_taking_the_books_is_asked_again_without_harm(servicer, group):
    as_(group.bookkeeper())
    asked = pb.TakeBooksRequest(institution_id=group.id)
    lock = servicer.TakeBooks(asked, None).lock
    assert servicer.TakeBooks(asked, None).lock == lock
    one = next_of(group, savings=savings(group))
    assert send(servicer, group, wire(one)) == [("REFUSED", "LOCK_LOST")]
    assert send(servicer, group, wire(one, lock=lock)) == [("APPLIED", "")]
    as_(group.bookkeeper(user_id="IUP_BK2"))
    assert refusal(servicer.TakeBooks, asked) == ("BOOKS_HELD", "take_over")
    assert servicer.TakeBooks(pb.TakeBooksRequest(institution_id=group.id, take_over=True), None).lock > lock


def test_books_that_came_back_from_a_backup_are_still_the_right_devices(servicer, group):
    """The backup knows the lock of the device before; the right one goes on, and the other comes in no more, neither anew."""
    taken = pb.TakeBooksRequest(institution_id=group.id, take_over=True)
    as_(group.bookkeeper())
    old = servicer.TakeBooks(taken, None).lock
    one = next_of(group, savings=savings(group))
    assert send(servicer, group, wire(one, old)) == [("APPLIED", "")]
    with transaction(SERVICE) as connection:
        backup = connection.execute(select(chains).where(chains.c.institution_id == group.institution_id)).one()._mapping
    as_(group.bookkeeper(user_id="IUP_BK2"))
    right = servicer.TakeBooks(taken, None).lock
    with transaction(SERVICE) as connection:
        connection.execute(chains.update().where(chains.c.institution_id == group.institution_id).values(**backup))
    second = next_of(group, savings=savings(group))
    assert send(servicer, group, wire(second, right), user_id="IUP_BK2") == [("APPLIED", "")]
    assert send(servicer, group, wire(next_of(group, savings=savings(group)), old)) == [("REFUSED", "LOCK_LOST")]
    as_(group.bookkeeper())
    assert refusal(servicer.TakeBooks, pb.TakeBooksRequest(institution_id=group.id)) == ("BOOKS_HELD", "take_over")
    as_(group.bookkeeper(user_id="IUP_BK2"))
    assert servicer.TakeBooks(pb.TakeBooksRequest(institution_id=group.id), None).lock == right, "she has them still"
    assert send(servicer, group, wire(next_of(group, savings=savings(group)), right), user_id="IUP_BK2") == [("APPLIED", "")]


def test_books_that_came_back_without_a_row_are_those_of_the_device_that_sends_first(servicer, group):
    as_(group.bookkeeper())
    lock = servicer.TakeBooks(pb.TakeBooksRequest(institution_id=group.id), None).lock
    with transaction(SERVICE) as connection:
        connection.execute(chains.delete().where(chains.c.institution_id == group.institution_id))
    one = next_of(group, savings=savings(group))
    assert send(servicer, group, wire(one, lock)) == [("APPLIED", "")]
    assert send(servicer, group, wire(next_of(group, savings=savings(group)))) == [("REFUSED", "LOCK_LOST")]
    as_(group.bookkeeper(user_id="IUP_BK2"))
    assert refusal(servicer.TakeBooks, pb.TakeBooksRequest(institution_id=group.id)) == ("BOOKS_HELD", "take_over")


# What a device pulls.


def pull(servicer, group, held=None, on=LAST, since_on=LAST):
    as_(group.bookkeeper())
    asked = pb.PullRequest(institution_id=group.id, on=on.isoformat())
    if held:
        asked.since_version, asked.since_roster, asked.since_approved_through = held.version, held.roster, held.approved_through
        asked.since_on, asked.since_epoch = since_on.isoformat(), held.instance_epoch
    return servicer.Pull(asked, None)


def balances(position):
    return {f"{one.head}/{one.of}" if one.of else one.head: (one.paise, one.provisional_paise) for one in position.balances}


def test_a_device_that_holds_nothing_is_told_all(servicer, group):
    empty = pull(servicer, group)
    assert (empty.version, empty.last_number, empty.closing_hash, list(empty.balances)) == (0, 0, "", [])
    assert sorted(one.member_id for one in empty.members) == sorted(group.members)
    assert (sorted(empty.bank_ids), len(empty.chart_version)) == (group.bank_ids, 16)
    assert (empty.compulsory_paise, empty.savings_frequency) == (50 * RUPEE, "WEEKLY")
    one = saved(servicer, group, loans=(LoanGiven(new_id(), group.members[1], 100 * RUPEE, 2400, 10),))
    full = pull(servicer, group)
    assert (full.last_number, full.last_meeting_id, full.last_held_on, full.approved_through) == (1, one.meeting_id, FIRST.isoformat(), 0)
    assert full.closing_hash == one.closing_hash
    assert balances(full)["A03"] == (150 * RUPEE, 150 * RUPEE)
    assert balances(full)[f"L01/{group.members[0]}"] == (50 * RUPEE, 50 * RUPEE)
    [loan] = full.loans
    assert (loan.loan_id, loan.head, loan.member_id, loan.outstanding_paise) == (one.loans[0].loan_id, "A01", group.members[1], 100 * RUPEE)
    assert [(one.number, one.status) for one in full.decisions] == [(1, pb.MEETING_STATUS_CLOSED)]


def test_to_what_a_payment_goes_is_told_in_the_states_order(servicer, group):
    one = saved(servicer, group, loans=(LoanGiven(new_id(), group.members[1], 100 * RUPEE, 2400, 10),), held_on=FIRST)
    loan_id, on = one.loans[0].loan_id, (FIRST.replace(day=1) + timedelta(days=62)).isoformat()

    def split(rupees, of=loan_id):
        as_(group.bookkeeper())
        return servicer.SplitRepayment(pb.SplitRepaymentRequest(institution_id=group.id, loan_id=of, amount_paise=rupees * RUPEE, on=on), None)

    # Two months of 2 rupees of interest, an instalment of 11 unpaid and one that falls due.
    assert split(50) == pb.SplitRepaymentResponse(
        interest_overdue_paise=200, interest_due_paise=200, principal_overdue_paise=900, principal_due_paise=900, prepaid_paise=2800
    )
    assert split(3) == pb.SplitRepaymentResponse(interest_overdue_paise=200, interest_due_paise=100)
    assert pull(servicer, group).repayment_order == "INTEREST_FIRST"
    for rupees, of, code in ((105, loan_id, "PAYMENT_TOO_LARGE"), (0, loan_id, "AMOUNT_MISSING"), (5, new_id(), "LOAN_UNKNOWN")):
        with pytest.raises(Refused) as refused:
            split(rupees, of)
        assert refused.value.code == code


def test_a_device_is_told_only_what_changed_since(servicer, group):
    first = saved(servicer, group)
    held = pull(servicer, group)
    same = pull(servicer, group, held)
    assert (same.version, same.roster) == (held.version, held.roster)
    assert [list(getattr(same, name)) for name in ("loans", "members")] == [[], []]
    # One member saves: the head, her account and the cash have changed, and no other account.
    one = saved(servicer, group, savings=(Saving(group.members[0], 7, 0),), held_on=MIDDLE)
    approve(servicer, group, first)
    approve(servicer, group, one)
    held = pull(servicer, group)
    saved(servicer, group, savings=(Saving(group.members[1], 9, 0),), held_on=LAST)
    news = pull(servicer, group, held)
    assert balances(news) == {
        "A03": (SAVED + 16, 9),
        "L01": (SAVED + 16, 9),
        f"L01/{group.members[1]}": (50 * RUPEE + 9, 9),
    }
    assert [(one.number, one.status) for one in news.decisions] == [(3, pb.MEETING_STATUS_CLOSED)]
    assert news.members == []


def test_what_is_provisional_is_marked_until_it_is_approved_and_told_when_it_is(servicer, group):
    first = saved(servicer, group)
    held = pull(servicer, group)
    assert balances(held)["A03"] == (SAVED, SAVED)
    approve(servicer, group, first)
    news = pull(servicer, group, held)
    assert news.version > held.version
    assert balances(news)["A03"] == (SAVED, 0), "that it is final now is news"
    assert [(one.number, one.status) for one in news.decisions] == [(1, pb.MEETING_STATUS_APPROVED)]
    assert list(pull(servicer, group, news).decisions) == []
    assert balances(pull(servicer, group, news)) == {}


def test_a_rejection_is_told_with_its_reasons_and_what_the_books_stand_at_again(servicer, group):
    loan_id = new_id()
    first = saved(servicer, group)
    approve(servicer, group, first)
    second = saved(servicer, group, held_on=MIDDLE, loans=(LoanGiven(loan_id, group.members[0], 100 * RUPEE, 2400, 10),))
    held = pull(servicer, group)
    assert [one.loan_id for one in held.loans] == [loan_id]
    as_(group.approver())
    servicer.RejectMeeting(pb.RejectMeetingRequest(meeting_id=second.meeting_id, revision=1, reasons=["MEMBER_WRONG"]), None)
    news = pull(servicer, group, held)
    assert balances(news)["A03"] == (SAVED, 0)
    assert balances(news)[f"A01/{loan_id}"] == (0, 0), "the loan was never given"
    assert list(news.loans) == [pb.LoanPosition(loan_id=loan_id, head="A01")], "the device drops it"
    assert [(one.number, one.status, list(one.reasons)) for one in news.decisions] == [(2, pb.MEETING_STATUS_REJECTED, ["MEMBER_WRONG"])]
    assert (news.last_number, news.last_meeting_id, news.closing_hash) == (1, first.meeting_id, first.closing_hash)


def test_a_loan_on_which_nothing_is_owed_any_more_is_told_once(servicer, group):
    loan_id, borrowing_id = new_id(), new_id()
    given, taken = LoanGiven(loan_id, group.members[0], 100 * RUPEE, 2400, 10), Borrowing(borrowing_id, "BANK", 30 * RUPEE, 1200, 12)
    saved(servicer, group, loans=(given,), borrowings=(taken,))
    held = pull(servicer, group)
    kept = Ledger(group.id, servicer.GetChart(pb.GetChartRequest(), None))
    kept.know(held)
    assert set(kept.loans) == {loan_id, borrowing_id}
    repaid = {"repayments": (Repayment(loan_id, 100 * RUPEE, 0),), "borrowing_repayments": (BorrowingRepayment(borrowing_id, 30 * RUPEE, 0),)}
    saved(servicer, group, **repaid)
    news = pull(servicer, group, held)
    assert {one.loan_id: (one.head, one.principal_paise, one.outstanding_paise) for one in news.loans} == {
        loan_id: ("A01", 0, 0),
        borrowing_id: ("L04", 0, 0),
    }
    kept.know(news)
    assert kept.loans == {}
    assert [list(pull(servicer, group, known).loans) for known in (news, None)] == [[], []]


def test_a_device_drops_what_it_knew_of_books_that_came_back_from_a_backup(servicer, group):
    """They went on differently, and have come as far as it knows of them, or farther."""
    loan_id = new_id()
    first = saved(servicer, group, loans=(LoanGiven(loan_id, group.members[0], 100 * RUPEE, 2400, 10),))
    now = pull(servicer, group)
    held = pb.Position(version=now.version, roster=now.roster, approved_through=1, instance_epoch=now.instance_epoch + 1)
    held.balances.add(head="I02", paise=7)
    kept = Ledger(group.id, servicer.GetChart(pb.GetChartRequest(), None))
    kept.know(held)
    news = pull(servicer, group, held)
    assert news == now
    kept.know(news)
    assert kept.closing_hash() == first.closing_hash


def test_a_device_and_the_approver_are_told_where_the_manual_books_differ(servicer, group):
    """The block is, once the meeting is approved: MeetingApproved has it."""
    one = saved(servicer, group, manual_books_differ="two rupees less")
    [told] = pull(servicer, group).decisions
    assert (told.meeting_id, list(told.flags)) == (one.meeting_id, ["MANUAL_BOOKS_DIFFER"])
    as_(group.approver())
    [waits] = servicer.ListWaiting(pb.ListWaitingRequest(), None).meetings
    assert list(waits.flags) == ["MANUAL_BOOKS_DIFFER"]
    assert approve(servicer, group, one) == ["MEETING_FLAGGED"]
    shown = servicer.GetMeeting(pb.GetMeetingRequest(meeting_id=one.meeting_id), None)
    assert (shown.sheet.manual_books_differ, list(shown.flags)) == ("two rupees less", ["MANUAL_BOOKS_DIFFER"])


def test_what_the_next_revision_leaves_out_is_told_at_what_it_was_before(servicer, group):
    """By then no meeting names her account any more, and the device still holds what was handed back."""
    she, other = group.members[:2]
    first = saved(servicer, group)
    approve(servicer, group, first)
    second = saved(servicer, group, held_on=MIDDLE, savings=(Saving(she, 7, 0),))
    held = pull(servicer, group)
    assert balances(held)[f"L01/{she}"] == (50 * RUPEE + 7, 7)
    as_(group.approver())
    servicer.RejectMeeting(pb.RejectMeetingRequest(meeting_id=second.meeting_id, revision=1, reasons=["MEMBER_WRONG"]), None)
    again = next_of(group, held_on=MIDDLE, savings=(Saving(other, 7, 0),), meeting_id=second.meeting_id, revision=2)
    assert send(servicer, group, wire(again)) == [("APPLIED", "")]
    news = balances(pull(servicer, group, held))
    assert (news[f"L01/{she}"], news[f"L01/{other}"]) == ((50 * RUPEE, 0), (50 * RUPEE + 7, 7))


def test_the_roster_is_told_when_anybody_of_it_or_an_account_changed(servicer, group):
    held = pull(servicer, group)
    with transaction(SERVICE) as connection:
        hear_member(connection, group, group.members[0], 2, status="STATUS_INACTIVE")
    news = pull(servicer, group, held)
    assert news.roster != held.roster
    assert {one.member_id: one.active for one in news.members} == {one: one != group.members[0] for one in group.members}
    with transaction(SERVICE) as connection:
        ended = [{"row_id": group.bank_ids[0], "ended_on": FIRST.isoformat()}, {"row_id": group.bank_ids[1]}]
        hear_institution(connection, group, 3, accounts=ended)
    again = pull(servicer, group, news)
    assert again.roster != news.roster
    assert len(again.members) == 5
    assert again.bank_ids == group.bank_ids[1:]


def test_a_loan_whose_dues_change_with_the_day_is_told_though_nobody_met(servicer, group):
    loan_id, free_id = new_id(), new_id()
    loans = (LoanGiven(loan_id, group.members[0], 100 * RUPEE, 2400, 10), LoanGiven(free_id, group.members[1], 10 * RUPEE, 0, 120))
    saved(servicer, group, loans=loans)
    held = pull(servicer, group, on=FIRST)
    assert {one.loan_id: (one.overdue_paise, one.interest_due_paise) for one in held.loans} == {loan_id: (0, 0), free_id: (0, 0)}
    assert list(pull(servicer, group, held, on=FIRST, since_on=FIRST).loans) == []
    next_month = (FIRST.replace(day=1) + timedelta(days=32)).replace(day=1)
    [due] = [one for one in pull(servicer, group, held, on=next_month, since_on=FIRST).loans if one.loan_id == loan_id]
    assert due.interest_due_paise == 2 * RUPEE
    assert due.due_paise > 0
    assert list(pull(servicer, group, held, on=next_month, since_on=next_month).loans) == []


# Books out.


def whole(call, request, name):
    """All pages of a list, three at a time."""
    found = []
    while True:
        request.page.size = 3
        page = call(request, None)
        found += getattr(page, name)
        assert len(getattr(page, name)) <= 3
        if not page.next:
            return found
        request.page.after = page.next


def test_lists_are_paged_and_bounded(servicer, group):
    sent = [saved(servicer, group) for _ in range(5)]
    approve(servicer, group, *sent[:2])
    as_(group.bookkeeper())
    listed = whole(servicer.ListMeetings, pb.ListMeetingsRequest(institution_id=group.id), "meetings")
    assert [one.sheet for one in listed] == [wire(one) for one in sent]
    closed = whole(servicer.ListMeetings, pb.ListMeetingsRequest(institution_id=group.id, status=pb.MEETING_STATUS_CLOSED), "meetings")
    assert [one.sheet.number for one in closed] == [3, 4, 5]
    posted = whole(servicer.Journal, pb.JournalRequest(institution_id=group.id), "lines")
    assert [(line.number, line.line, line.approved) for line in posted] == [
        (number, line, number <= 2) for number in range(1, 6) for line in range(1, 6)
    ]
    assert {(line.debit, line.credit, line.amount_paise) for line in posted} == {("A03", "L01", 50 * RUPEE)}
    assert [line.credit_of for line in posted[:5]] == group.members
    as_(group.approver())
    waiting = whole(servicer.ListWaiting, pb.ListWaitingRequest(), "meetings")
    assert [one.number for one in waiting] == [3, 4, 5]


@pytest.mark.parametrize(
    "page", [Page(size=501), Page(size=-1), Page(after="nonsense"), Page(after="1.2.3"), Page(after="१.१"), Page(after="9999999999.1")]
)
def test_what_is_no_page_is_refused(servicer, group, page):
    as_(group.approver())
    for call, request in (
        (servicer.ListMeetings, pb.ListMeetingsRequest(institution_id=group.id, page=page)),
        (servicer.Journal, pb.JournalRequest(institution_id=group.id, page=page)),
        (servicer.ListWaiting, pb.ListWaitingRequest(page=page)),
    ):
        assert refusal(call, request)[0] == "PAGE_INVALID"
    assert refusal(servicer.ListMeetings, pb.ListMeetingsRequest(institution_id=group.id, page=Page(after=new_id())))[0] == "PAGE_INVALID"
    assert refusal(servicer.ListMeetings, pb.ListMeetingsRequest(institution_id=group.id, status=9)) == ("STATUS_UNKNOWN", "status")


def a_year(servicer, group):
    """Two approved meetings and one that is not; a reversal in the second."""
    loan_id, bank = new_id(), group.bank_ids[0]
    first = saved(
        servicer,
        group,
        loans=(LoanGiven(loan_id, group.members[0], 100 * RUPEE, 2400, 10),),
        borrowings=(Borrowing(new_id(), "BANK", 500 * RUPEE, 700, 12, paid=Paid("TRANSFER", bank)),),
        bank_moves=(BankMove("DEPOSIT", 50 * RUPEE, bank),),
    )
    approve(servicer, group, first)
    second = saved(
        servicer,
        group,
        held_on=MIDDLE,
        savings=(Saving(group.members[0], 10 * RUPEE, 0),),
        repayments=(Repayment(loan_id, 20 * RUPEE, 2 * RUPEE),),
        entries=(Entry("FINE", 1 * RUPEE, group.members[0]), Entry("BANK_CHARGES", 3 * RUPEE, paid=Paid("TRANSFER", bank))),
        reversals=(Reversal(first.meeting_id, 5),),
    )
    as_(group.approver())
    servicer.ApproveMeeting(pb.ApproveMeetingRequest(meeting_id=second.meeting_id, revision=1), None)
    third = saved(servicer, group, held_on=LAST)
    return loan_id, bank, (first, second, third)


def days(from_on=FIRST, to_on=LAST):
    return {"from_on": from_on.isoformat(), "to_on": to_on.isoformat()}


def test_the_trial_balance_is_of_what_is_approved_until_a_day(servicer, group):
    a_year(servicer, group)
    for as_of, through, cash, bank in ((FIRST - timedelta(days=1), 0, 0, 0), (FIRST, 1, 100, 550), (MIDDLE, 2, 83, 547), (LAST, 2, 83, 547)):
        book = servicer.TrialBalance(pb.TrialBalanceRequest(institution_id=group.id, as_of=as_of.isoformat()), None)
        stands = {head.head: head.debit_paise - head.credit_paise for head in book.heads}
        assert (book.through_number, stands.get("A03", 0), stands.get("A05", 0)) == (through, cash * RUPEE, bank * RUPEE)
        assert book.debit_total_paise == book.credit_total_paise == sum(head.debit_paise for head in book.heads)
        assert all(head.name == CHART[head.head].title for head in book.heads)
    now = servicer.TrialBalance(pb.TrialBalanceRequest(institution_id=group.id), None)
    assert now == book


def test_the_cash_book_shows_every_movement_of_a_range(servicer, group):
    _, bank, (first, second, _) = a_year(servicer, group)
    book = servicer.CashBook(pb.CashBookRequest(institution_id=group.id, **days()), None)
    places = {(one.head, one.bank_id): (one.opening_paise, one.in_paise, one.out_paise, one.closing_paise) for one in book.places}
    assert places == {
        ("A03", ""): (0, 283 * RUPEE, 200 * RUPEE, 83 * RUPEE),
        ("A04", ""): (0, 0, 0, 0),
        ("A05", bank): (0, 550 * RUPEE, 3 * RUPEE, 547 * RUPEE),
    }
    assert {one.meeting_id for one in book.entries} == {first.meeting_id, second.meeting_id}, "what is not approved is not shown"
    assert book.entries[-1].out_paise == 50 * RUPEE, "the saving taken back"
    assert (book.entries[-1].against, book.entries[-1].against_of) == ("L01", group.members[4])
    later = servicer.CashBook(pb.CashBookRequest(institution_id=group.id, **days(MIDDLE)), None)
    assert [one.opening_paise for one in later.places] == [100 * RUPEE, 0, 550 * RUPEE]
    assert {one.meeting_id for one in later.entries} == {second.meeting_id}
    nothing = servicer.CashBook(pb.CashBookRequest(institution_id=group.id, **days(MIDDLE + timedelta(days=1))), None)
    assert [one.opening_paise for one in nothing.places] == [one.closing_paise for one in nothing.places] == [83 * RUPEE, 0, 547 * RUPEE]
    assert nothing.entries == []


def test_receipts_and_payments_are_the_cash_book_by_head(servicer, group):
    a_year(servicer, group)
    book = servicer.ReceiptsAndPayments(pb.ReceiptsAndPaymentsRequest(institution_id=group.id, **days()), None)
    assert {one.head: one.paise for one in book.receipts} == {
        "A01": 20 * RUPEE,
        "L01": 260 * RUPEE,
        "L04": 500 * RUPEE,
        "I01": 2 * RUPEE,
        "I02": 1 * RUPEE,
    }
    assert {one.head: one.paise for one in book.payments} == {"A01": 100 * RUPEE, "L01": 50 * RUPEE, "E05": 3 * RUPEE}
    assert [one.closing_paise for one in book.places] == [83 * RUPEE, 0, 547 * RUPEE]


def test_a_passbook_shows_hers_and_no_other(servicer, group):
    loan_id, _, _ = a_year(servicer, group)
    book = servicer.Passbook(pb.PassbookRequest(institution_id=group.id, member_id=group.members[0], **days()), None)
    assert {(one.head, one.loan_id): (one.opening_paise, one.closing_paise) for one in book.accounts} == {
        ("L01", ""): (0, 60 * RUPEE),
        ("L02", ""): (0, 0),
        ("L03", ""): (0, 0),
        ("A01", loan_id): (0, 80 * RUPEE),
    }
    assert [(one.number, one.head, one.in_paise, one.out_paise, one.balance_paise) for one in book.entries] == [
        (1, "L01", 50 * RUPEE, 0, 50 * RUPEE),
        (1, "A01", 0, 100 * RUPEE, 100 * RUPEE),
        (2, "L01", 10 * RUPEE, 0, 60 * RUPEE),
        (2, "A01", 20 * RUPEE, 0, 80 * RUPEE),
        (2, "I01", 2 * RUPEE, 0, 0),
        (2, "I02", 1 * RUPEE, 0, 0),
    ]
    other = servicer.Passbook(pb.PassbookRequest(institution_id=group.id, member_id=group.members[4], **days()), None)
    assert [(one.head, one.in_paise, one.out_paise) for one in other.entries] == [("L01", 50 * RUPEE, 0), ("L01", 0, 50 * RUPEE)]
    stranger = pb.PassbookRequest(institution_id=group.id, member_id=new_id(), **days())
    assert refusal(servicer.Passbook, stranger) == ("MEMBER_UNKNOWN", "member_id")


def test_a_line_that_takes_back_says_which(servicer, group):
    _, _, (first, second, _) = a_year(servicer, group)
    posted = whole(servicer.Journal, pb.JournalRequest(institution_id=group.id), "lines")
    back = [(line.meeting_id, line.reverses.meeting_id, line.reverses.line) for line in posted if line.HasField("reverses")]
    assert back == [(second.meeting_id, first.meeting_id, 5)]


@pytest.mark.parametrize(
    ("range_", "code", "field"),
    [
        ({"from_on": "2026-02-30", "to_on": "2026-03-01"}, "DATE_INVALID", "from_on"),
        ({"from_on": "2026-03-01"}, "DATE_INVALID", "to_on"),
        (days(LAST, FIRST), "RANGE_INVALID", "from_on"),
        (days(LAST, LAST + timedelta(days=1)), "RANGE_INVALID", "to_on"),
        (days(LAST - timedelta(days=366), LAST), "RANGE_TOO_LONG", "from_on"),
    ],
)
def test_what_is_no_range_is_refused(servicer, group, range_, code, field):
    as_(group.bookkeeper())
    for call, request in (
        (servicer.CashBook, pb.CashBookRequest(institution_id=group.id, **range_)),
        (servicer.ReceiptsAndPayments, pb.ReceiptsAndPaymentsRequest(institution_id=group.id, **range_)),
        (servicer.Passbook, pb.PassbookRequest(institution_id=group.id, member_id=group.members[0], **range_)),
    ):
        assert refusal(call, request) == (code, field)
    assert servicer.CashBook(pb.CashBookRequest(institution_id=group.id, **days(LAST - timedelta(days=365))), None).entries == []


def test_of_an_institution_out_of_sight_nothing_is_shown(servicer, group):
    one = saved(servicer, group)
    as_(group.bookkeeper(institutions=frozenset({uuid7()})))
    of = {"institution_id": group.id}
    for call, request in (
        (servicer.Pull, pb.PullRequest(**of)),
        (servicer.TakeBooks, pb.TakeBooksRequest(**of)),
        (servicer.Journal, pb.JournalRequest(**of)),
        (servicer.ListMeetings, pb.ListMeetingsRequest(**of)),
        (servicer.TrialBalance, pb.TrialBalanceRequest(**of)),
        (servicer.CashBook, pb.CashBookRequest(**of, **days())),
        (servicer.ReceiptsAndPayments, pb.ReceiptsAndPaymentsRequest(**of, **days())),
        (servicer.Passbook, pb.PassbookRequest(**of, member_id=group.members[0], **days())),
        (servicer.GetMeeting, pb.GetMeetingRequest(meeting_id=one.meeting_id)),
    ):
        with pytest.raises(NotFound):
            call(request, None)
    for call, request in ((servicer.Pull, pb.PullRequest(institution_id="1")), (servicer.GetMeeting, pb.GetMeetingRequest(meeting_id="1"))):
        with pytest.raises(Invalid) as refused:
            call(request, None)
        assert refused.value.code == "ID_INVALID"


def test_the_chart_over_the_wire_is_the_charts_heads_and_items(servicer, group):
    as_(group.bookkeeper())
    chart = servicer.GetChart(pb.GetChartRequest(), None)
    assert [one.code for one in chart.heads] == list(CHART)
    assert {one.code: (one.debit, one.credit, one.of_member) for one in chart.items} == {
        code: (item.debit or "MONEY", item.credit or "MONEY", item.of_member) for code, item in ITEMS.items()
    }
    assert chart.version == pull(servicer, group).chart_version


def test_a_passbook_read_with_cheques_on_their_way_is_taken(servicer, group):
    one = next_of(group, savings=(Saving(group.members[0], SAVED, 0, Paid("CHEQUE", group.bank_ids[0], "000042")),))
    read = replace(one, bank_statements=(BankStatement(group.bank_ids[0], 0, 0, SAVED),))
    assert send(servicer, group, wire(replace(read, bank_statements=(BankStatement(group.bank_ids[0], 0, SAVED, 0),)))) == [
        ("REFUSED", "BANK_UNBALANCED")
    ]
    assert send(servicer, group, wire(read)) == [("APPLIED", "")]
