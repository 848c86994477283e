"""What goes wrong in reality (domain 11): one test for each way in which meetings are known to fail."""

import threading
from dataclasses import replace
from datetime import date, timedelta
from uuid import UUID

import pytest

from protos import transactions_pb2 as pb
from services.chassis.database import transaction
from services.chassis.mailbox import outbox
from services.kernel.approval import MeetingStatus
from services.kernel.caller import Session
from services.kernel.errors import Conflict, Refused
from services.kernel.ids import uuid7
from services.kernel.money import AMOUNT_PAISE_MAX
from services.kernel.policies import Period, Policies
from services.transactions import queries
from services.transactions.commands import take
from services.transactions.rules.heads import Head
from services.transactions.rules.journal import Account
from services.transactions.rules.meeting import take_in
from services.transactions.rules.record import admit
from services.transactions.rules.sheet import Attendance, BankStatement, Entry, LoanGiven, Paid, Repayment, Reversal, Saving, Withdrawal
from tests.transactions.builders import (
    RUPEE,
    TODAY,
    Desk,
    Group,
    clear,
    following,
    hear,
    hear_institution,
    hear_member,
    new_id,
    savings,
    upload,
)

SERVICE = "transactions"
SAVED = 250 * RUPEE  # By a group at one meeting.


@pytest.fixture
def desk(connection):
    return Desk(connection, hear(connection, Group(bank_ids=sorted((new_id(), new_id())))))


def on(day, month=10):
    return date(2026, month, day)


def among(desk, member_ids):
    """The same books; on their lists are these members."""
    return replace(desk, group=replace(desk.group, member_ids=[UUID(one) for one in member_ids]))


def left(desk, member_id, day):
    """Profiles tell that she was of the group until that day."""
    ended = [{"institution_id": desk.group.id, "region": desk.group.region, "to_on": day.isoformat()}]
    hear_member(desk.connection, desk.group, member_id, 2, status="STATUS_INACTIVE", ended_stays=ended)


def figures(desk, one):
    rows = desk.connection.execute(outbox.select().where(outbox.c.subject == one.meeting_id)).all()
    assert len(rows) == 1
    return pb.MeetingApproved.FromString(rows[0].body)


# Devices and their uploads.


def test_the_same_meeting_is_uploaded_twice(desk):
    """The answer was lost on the way; the device sends it again, alone and among others, before and after it was approved."""
    one = desk.save()
    second = desk.next(held_on=on(6), savings=savings(desk.group))
    assert desk.send(one) == ["ALREADY_APPLIED"]
    assert desk.send(second, one, second) == ["APPLIED", "ALREADY_APPLIED", "ALREADY_APPLIED"]
    desk.approve(one)
    assert desk.send(one) == ["ALREADY_APPLIED"]
    assert desk.balances[Account(Head.CASH)] == 2 * SAVED
    assert queries.adrift(desk.connection) == []


def test_two_devices_enter_the_same_meeting(desk):
    """The bookkeeper's old phone turns up again: it does not have the books any more, and what it held unsent is refused."""

    def take_on(session_id, *, over):
        return take.take_books(desk.connection, desk.group.bookkeeper(session=Session(session_id, 1)), desk.group.institution_id, take_over=over)

    old, new = replace(desk, lock=take_on(uuid7(), over=False)), replace(desk, lock=take_on(uuid7(), over=True))
    unsent, entered = old.next(savings=savings(desk.group)), new.next(savings=savings(desk.group, 60))
    assert old.send(unsent) == ["LOCK_LOST"]
    assert new.send(entered) == ["APPLIED"]
    assert old.send(unsent) == ["LOCK_LOST"]
    assert desk.balances[Account(Head.CASH)] == 300 * RUPEE


def test_two_devices_that_never_took_the_books_do_not_both_count(desk):
    one, other = desk.next(savings=savings(desk.group)), desk.next(savings=savings(desk.group))
    assert desk.send(one) == ["APPLIED"]
    assert desk.send(other) == ["MEETING_OUT_OF_SEQUENCE"]


@pytest.mark.parametrize("days_wrong", [-400, -40, -1, 0, 1, 40])
def test_a_device_whose_clock_is_wrong(desk, days_wrong):
    """Ahead, its meeting would lie in the future; back, before the one before, or in days no longer open. The number decides the order."""
    desk.save(held_on=TODAY - timedelta(days=2))
    code = "HELD_IN_FUTURE" if days_wrong > 0 else "APPLIED" if days_wrong > -40 else "HELD_TOO_EARLY" if days_wrong > -400 else "HELD_LONG_AGO"
    assert desk.send(desk.next(held_on=TODAY + timedelta(days=days_wrong))) == [code]


def test_a_meeting_is_back_dated_into_a_closed_year(desk):
    """What was forgotten is entered in a meeting of this year."""
    hear_institution(desk.connection, desk.group, 2, formed_on="2024-04-01")
    assert desk.send(desk.next(held_on=date(2026, 3, 30))) == ["YEAR_CLOSED"]
    assert desk.send(desk.next(held_on=date(2026, 4, 1))) == ["APPLIED"]


def test_a_meeting_is_approved_after_its_year_was_closed(desk):
    """It was in the books in time, and counts in its year; handed back it could not be entered on its day any more."""
    hear_institution(desk.connection, desk.group, 2, formed_on="2024-04-01")
    late = Policies({"year_closes_after_days": (Period(3650, date(2026, 4, 1)),)})
    in_time = replace(desk, policies=late)
    first, second = (in_time.save(held_on=date(2026, 3, 30)) for _ in range(2))
    assert desk.approve(first) == [""], "the year is closed by now"
    assert (figures(desk, first).month, figures(desk, first).held_on) == ("2026-03", "2026-03-30")
    desk.reject(second)
    assert desk.send(desk.again(second)) == ["YEAR_CLOSED"]
    assert desk.send(desk.again(second, held_on=date(2026, 4, 1))) == ["APPLIED"]


def test_meetings_n_and_n_plus_1_come_in_the_wrong_order(desk):
    first = desk.next(savings=savings(desk.group))
    aside = desk.connection.begin_nested()
    desk.send(first)
    second = desk.next(held_on=on(6), savings=savings(desk.group))
    aside.rollback()
    # In two calls the later one waits, and nothing of it is kept; in one call the order does not matter.
    assert desk.send(second) == ["MEETING_WAITING"]
    assert desk.standing().chain.version == 0
    assert desk.send(second, first) == ["APPLIED", "APPLIED"]
    assert [one.number for one in desk.standing().decisions] == [1, 2]


def test_a_call_is_taken_in_half(desk):
    """Its third item is bad: the ones before it are in, the one that stands on it waits, and another institution's does not care."""
    aside = desk.connection.begin_nested()
    sent = [desk.save(held_on=on(day)) for day in (5, 6, 7, 8)]
    aside.rollback()
    bad = replace(sent[2], counted_cash_paise=sent[2].counted_cash_paise - RUPEE)
    assert desk.send(sent[0], sent[1], bad, sent[3]) == ["APPLIED", "APPLIED", "CASH_UNBALANCED", "MEETING_WAITING"]
    assert desk.standing().chain.last_number == 2
    # The device sends all again once it is put right; the refused one was never stored, so that its revision is still the first.
    assert desk.send(*sent) == ["ALREADY_APPLIED", "ALREADY_APPLIED", "APPLIED", "APPLIED"]
    assert desk.balances[Account(Head.CASH)] == 4 * SAVED


def test_one_child_section_alone_was_wrong(desk):
    """The approver hands the whole meeting back; the second revision differs in one list, and the first one is kept beside it."""
    fine = Entry("FINE", 50 * RUPEE, desk.group.members[0])
    one = desk.save(entries=(fine,), repayments=())
    after = desk.save(held_on=on(6))
    desk.reject(one, "The fine was 5 rupees.", ("AMOUNT_WRONG",))
    assert desk.balances == {}
    again = desk.again(one, entries=(fine._replace(amount_paise=5 * RUPEE),))
    assert (again.savings, again.attendance, again.meeting_id, again.number) == (one.savings, one.attendance, one.meeting_id, one.number)
    assert desk.send(again) == ["APPLIED"]
    assert desk.send(desk.again(after)) == ["APPLIED"]
    assert desk.balances[Account(Head.FINES)] == 5 * RUPEE
    assert desk.balances[Account(Head.CASH)] == 2 * SAVED + 5 * RUPEE


# Sums.


@pytest.mark.parametrize("paise", [RUPEE, -RUPEE, 1, -1])
def test_a_meeting_is_closed_with_one_rupee_mismatch(desk, paise):
    one = desk.next(savings=savings(desk.group))
    assert desk.send(replace(one, counted_cash_paise=one.counted_cash_paise + paise)) == ["CASH_UNBALANCED"]
    deposit = desk.next(savings=(Saving(desk.group.members[0], SAVED, 0, Paid("TRANSFER", desk.group.bank_ids[0])),))
    assert desk.send(replace(deposit, bank_statements=(BankStatement(desk.group.bank_ids[0], SAVED + paise),))) == ["BANK_UNBALANCED"]
    assert desk.standing().chain.version == 0


def test_a_lakh_of_rupees_is_typed_for_a_thousand_paise(desk):
    """The cash counted says that it is wrong; where even that was typed so, the meeting is not approved among many."""
    slip = (Saving(desk.group.members[0], 100 * desk.group.compulsory_paise, 0),)
    right, wrong = desk.next(savings=(Saving(desk.group.members[0], desk.group.compulsory_paise, 0),)), desk.next(savings=slip)
    assert desk.send(replace(wrong, counted_cash_paise=right.counted_cash_paise)) == ["CASH_UNBALANCED"]
    assert desk.send(wrong) == ["APPLIED"]
    assert desk.approve(wrong, unseen=True) == ["MEETING_FLAGGED"]
    assert queries.meeting(desk.connection, desk.group.approver(), UUID(wrong.meeting_id)).flags == ["SAVING_UNUSUAL"]
    assert desk.approve(wrong) == [""]
    absurd = desk.next(held_on=on(6), savings=(Saving(desk.group.members[0], AMOUNT_PAISE_MAX + 1, 0),))
    assert desk.send(absurd) == ["AMOUNT_TOO_LARGE"]


def test_savings_would_fall_below_nothing(desk):
    one, other, *_ = desk.group.members
    desk.save()
    too_much = desk.next(held_on=on(6), withdrawals=(Withdrawal(one, 50 * RUPEE + 1, 0),))
    assert desk.send(too_much) == ["SAVINGS_NEGATIVE"]
    assert desk.send(desk.next(held_on=on(6), withdrawals=(Withdrawal(one, 0, 1),))) == ["SAVINGS_NEGATIVE"]
    assert desk.send(desk.next(held_on=on(6), savings=(Saving(one, -1, 0),))) == ["AMOUNT_NEGATIVE"]
    # What she saves at the meeting she may withdraw at it, and no more; the others' savings are not hers.
    assert desk.send(desk.next(held_on=on(6), savings=(Saving(one, 10, 0),), withdrawals=(Withdrawal(one, 50 * RUPEE + 10, 0),))) == ["APPLIED"]
    assert Account(Head.COMPULSORY_SAVINGS, one) not in desk.balances
    assert desk.balances[Account(Head.COMPULSORY_SAVINGS, other)] == 50 * RUPEE


def test_a_loan_is_larger_than_what_the_group_has(desk):
    """In cash or by cheque; a loan that needs both would be two."""
    bank_id, she = desk.group.bank_ids[0], desk.group.members[0]
    desk.save(savings=(*savings(desk.group)[:4], Saving(desk.group.members[4], 50 * RUPEE, 0, Paid("TRANSFER", bank_id))))
    loan = LoanGiven(new_id(), she, 200 * RUPEE, 2400, 10)
    for paid, most, code in ((Paid(), 200 * RUPEE, "CASH_NEGATIVE"), (Paid("CHEQUE", bank_id, "000001"), 50 * RUPEE, "BANK_NEGATIVE")):
        given = loan._replace(paid=paid, principal_paise=most)
        assert desk.send(desk.next(held_on=on(6), loans=(given._replace(principal_paise=most + 1),))) == [code]
        aside = desk.connection.begin_nested()
        assert desk.send(desk.next(held_on=on(6), loans=(given,))) == ["APPLIED"]
        aside.rollback()


# People.


def test_a_bookkeeper_is_unlinked_while_she_holds_drafts():
    """They are refused by name and stay on her device; linked again, or with another bookkeeper's own, the books go on."""
    group = Group()
    books = group.books()
    draft = following(books, group, savings=savings(group))
    with pytest.raises(Refused) as refused:
        admit(upload(draft), books, group.bookkeeper(institutions=frozenset({uuid7()})), Policies(), TODAY)
    assert (refused.value.code, refused.value.field) == ("INSTITUTION_NOT_YOURS", "institution_id")
    assert admit(upload(draft), books, group.bookkeeper(), Policies(), TODAY)
    assert admit(upload(draft), books, group.bookkeeper(user_id="IUP_BK2", person="another"), Policies(), TODAY)


def test_what_an_unlinked_bookkeeper_had_sent_stands_and_is_not_answered_to_her_any_more(desk):
    one = desk.save()
    nobody = {"institutions": frozenset({uuid7()})}
    assert desk.send(one, **nobody) == ["INSTITUTION_NOT_YOURS"]
    assert desk.send(desk.next(), **nobody) == ["INSTITUTION_NOT_YOURS"]
    assert desk.approve(one) == [""]


def test_a_member_leaves_with_a_loan(desk):
    """What she owes is repaid after she left; she saves no more, is lent nothing and stands on no list."""
    she, *others = desk.group.members
    loan_id = new_id()
    desk.save(loans=(LoanGiven(loan_id, she, 100 * RUPEE, 0, 10),))
    left(desk, she, on(7))
    rest = among(desk, others)
    for changes in (
        {"savings": (Saving(she, 50 * RUPEE, 0),)},
        {"loans": (LoanGiven(new_id(), she, 1, 0, 1),)},
        {"attendance": (Attendance(she, True),)},
        {"entries": (Entry("FINE", 1, she),)},
    ):
        assert rest.send(rest.next(held_on=on(8), **changes)) == ["MEMBER_LEFT"]
    paid = rest.save(held_on=on(8), repayments=(Repayment(loan_id, 60 * RUPEE, 0),))
    assert desk.balances[Account(Head.MEMBER_LOANS, loan_id)] == 40 * RUPEE
    assert desk.balances[Account(Head.COMPULSORY_SAVINGS, she)] == 50 * RUPEE, "her savings are hers until they are settled"
    rest.approve(paid)
    [shown] = desk.standing().loans.values()
    assert (shown[1].borrower_id, shown[1].standing.outstanding_paise) == (she, 40 * RUPEE)


def test_a_member_has_died(desk):
    """Until that day she saves and is lent to, though her death is heard of first; from then on nothing is entered in her name."""
    she, *others = desk.group.members
    left(desk, she, on(7))
    desk.save(held_on=on(7), savings=(Saving(she, 50 * RUPEE, 0),))
    assert desk.send(desk.next(held_on=on(8), savings=(Saving(she, 50 * RUPEE, 0),))) == ["MEMBER_LEFT"]
    rest = among(desk, others)
    rest.save(held_on=on(8))
    assert desk.balances[Account(Head.COMPULSORY_SAVINGS, she)] == 50 * RUPEE


def test_the_approver_made_the_entry(desk):
    """By her user id, by another one of hers, or from a device that was the maker's."""
    one = desk.save()
    assert desk.approve(one, user_id="IUP_BK") == ["OWN_ENTRY"]
    assert desk.approve(one, person="maker") == ["OWN_ENTRY"]
    assert desk.approve(one, persons=frozenset({"maker"})) == ["OWN_ENTRY"]
    assert desk.approve(one, person="maker", unseen=True) == ["OWN_ENTRY"]
    with pytest.raises(Refused) as refused:
        desk.reject(one, person="maker")
    assert refused.value.code == "OWN_ENTRY"
    assert desk.approve(one) == [""]


def test_the_maker_of_the_newest_revision_counts(desk):
    """Who put it right made it; who had sent it first may decide on what another has entered."""
    one = desk.save()
    desk.reject(one)
    again = desk.again(one)
    desk.send(again, user_id="IUP_BK2", person="another")
    assert desk.approve(again, person="another") == ["OWN_ENTRY"]
    assert desk.approve(again, person="maker", user_id="IUP_BK") == [""]


def test_office_bearers_change_while_a_loan_runs(desk):
    """Profiles tell a newer version of the group; the loan, the books and their version are untouched."""
    loan_id = new_id()
    desk.save(loans=(LoanGiven(loan_id, desk.group.members[0], 100 * RUPEE, 2400, 10),))
    before = desk.standing()
    hear_institution(desk.connection, desk.group, 7)
    after = desk.standing()
    assert (after.chain, after.balances, after.loans) == (before.chain, before.balances, before.loans)
    desk.save(held_on=on(12), repayments=(Repayment(loan_id, 10 * RUPEE, 0),))


# Places and federations.


def test_an_shg_is_mapped_to_another_vo_in_the_middle_of_a_cycle(desk):
    """From then on the new VO's approver decides, on what was sent before too; the old one's sees it no more."""
    first, second = desk.save(), desk.save(held_on=on(6))
    old, new = desk.group.parent_id, uuid7()
    assert desk.approve(first) == [""]
    hear_institution(desk.connection, desk.group, 2, parent_id=str(new))
    assert desk.approve(second, institutions=frozenset({old})) == ["MEETING_UNKNOWN"]
    assert queries.waiting(desk.connection, desk.group.approver(institutions=frozenset({old})), None, 9, 0) == []
    newer = desk.group.approver(institutions=frozenset({new}), user_id="IUP_AP2", person="second checker")
    assert [row.number for row in queries.waiting(desk.connection, newer, None, 9, 0)] == [2]
    assert desk.approve(second, institutions=frozenset({new}), user_id="IUP_AP2", person="second checker") == [""]
    assert queries.meeting(desk.connection, newer, UUID(first.meeting_id)).decided_by == "IUP_AP"


def test_the_vo_goes_to_another_clf(desk):
    """Where the state says that the CLF's approver decides, it is the one above the VO now."""
    old, new = uuid7(), uuid7()
    vo = Group(institution_id=desk.group.parent_id, kind="VO")
    desk.policies = Policies({"shg_approver_side": (Period(2, date(2026, 4, 1)),)})
    hear_institution(desk.connection, vo, 1, parent_id=str(old))
    first, second = desk.save(), desk.save(held_on=on(6))
    assert desk.approve(first, institutions=frozenset({vo.institution_id})) == ["APPROVER_SIDE"]
    assert desk.approve(first, institutions=frozenset({old})) == [""]
    hear_institution(desk.connection, vo, 2, parent_id=str(new))
    assert desk.approve(second, institutions=frozenset({old})) == ["MEETING_UNKNOWN"]
    assert desk.approve(second, institutions=frozenset({new})) == [""]


def test_a_village_is_recoded_between_two_approvals(desk):
    """A figure lies where the group lay when it became final, and a restatement says the same."""
    first, second = desk.save(), desk.save(held_on=on(6))
    desk.approve(first)
    hear_institution(desk.connection, desk.group, 2, region="9.178.1204.77.6")
    desk.approve(second)
    assert [figures(desk, one).region for one in (first, second)] == [desk.group.region, "9.178.1204.77.6"]


def test_an_shg_is_split(desk):
    """Those who go are of the new group from that day on, and the old one's meetings until that day are still theirs; the money stays."""
    stay, go = desk.group.members[:3], desk.group.members[3:]
    before = desk.next(held_on=on(7), savings=savings(desk.group))
    new = Group(member_ids=[UUID(one) for one in go])
    hear_institution(desk.connection, new, formed_on="2026-10-07")
    for one in go:
        ended = [{"institution_id": desk.group.id, "region": desk.group.region, "to_on": "2026-10-07"}]
        hear_member(desk.connection, new, one, 2, ended_stays=ended, since_on="2026-10-07")
    assert desk.send(before) == ["APPLIED"]
    assert desk.send(desk.next(held_on=on(8))) == ["MEMBER_LEFT"]
    among(desk, stay).save(held_on=on(8))
    newer = Desk(desk.connection, new)
    assert newer.send(newer.next(held_on=on(6))) == ["HELD_TOO_EARLY"]
    newer.save(held_on=on(8))
    assert desk.balances[Account(Head.COMPULSORY_SAVINGS, go[0])] == 50 * RUPEE
    assert newer.balances[Account(Head.COMPULSORY_SAVINGS, go[0])] == 50 * RUPEE
    assert queries.adrift(desk.connection) == []


def test_an_shg_is_merged_into_another(desk):
    """The one that goes is closed: what it held before is taken, and nothing after; its members are on the other's lists from that day."""
    into = Desk(desk.connection, hear(desk.connection, Group()))
    late = desk.next(held_on=on(7), savings=savings(desk.group))
    ended = [{"institution_id": desk.group.id, "region": desk.group.region, "to_on": "2026-10-07"}]
    hear_institution(desk.connection, desk.group, 2, status="STATUS_INACTIVE", ended_periods=[{"to_on": "2026-10-07"}])
    for one in desk.group.members:
        hear_member(desk.connection, into.group, one, 2, ended_stays=ended, since_on="2026-10-07")
    assert desk.send(late) == ["APPLIED"]
    assert desk.send(desk.next(held_on=on(8))) == ["INSTITUTION_CLOSED"]
    assert desk.approve(late) == [""], "what was held is still decided on"
    both = among(into, [*into.group.members, *desk.group.members])
    assert both.send(both.next(held_on=on(6))) == ["MEMBER_ELSEWHERE"]
    both.save(held_on=on(8))


# In the middle of a decision.


def test_a_meeting_is_handed_back_while_the_next_is_on_its_way(up):
    """The device had closed the next one already: it waits, and comes in with the second revision before it."""
    group = Group()
    try:
        with transaction(SERVICE) as connection:
            desk = Desk(connection, hear(connection, group))
            one = desk.save()
            following_one = desk.next(held_on=on(6), savings=savings(group))
        answers = []

        def on_its_way():
            with transaction(SERVICE) as connection:
                answers.extend(Desk(connection, group).send(following_one))

        thread = threading.Thread(target=on_its_way)
        with transaction(SERVICE) as connection:
            Desk(connection, group).reject(one)
            thread.start()
            thread.join(0.5)
        thread.join(30)
        assert answers == ["MEETING_WAITING"]
        with transaction(SERVICE) as connection:
            desk = Desk(connection, group)
            assert desk.send(following_one, desk.again(one)) == ["APPLIED", "APPLIED"]
    finally:
        with transaction(SERVICE) as connection:
            clear(connection, group)


def test_what_is_final_is_not_changed_but_taken_back(desk):
    """A mistake that is found after approval: no revision, no rejection; the next meeting takes the line back, and an approver looks at it."""
    one = desk.save()
    desk.approve(one)
    with pytest.raises(Conflict):
        desk.reject(one)
    assert desk.send(desk.again(one)) == ["MOVE_NOT_ALLOWED"]
    back = desk.next(held_on=on(6), savings=(Saving(desk.group.members[0], 40 * RUPEE, 0),), reversals=(Reversal(one.meeting_id, 1),))
    assert desk.send(back) == ["APPLIED"]
    assert desk.approve(back, unseen=True) == ["MEETING_FLAGGED"]
    assert desk.approve(back) == [""]
    assert desk.balances[Account(Head.COMPULSORY_SAVINGS, desk.group.members[0])] == 40 * RUPEE
    kept = queries.meeting(desk.connection, desk.group.approver(), UUID(one.meeting_id))
    assert (kept.status, kept.paise) == (MeetingStatus.APPROVED, [50 * RUPEE] * 5)


def test_a_loan_at_a_meeting_that_nobody_attended_is_looked_at():
    """The loan of a ghost group: it is told to whoever approves, and never approved among many."""
    group = Group()
    books = group.books()
    ghost = following(books, group, attendance=(), savings=savings(group), loans=(LoanGiven(new_id(), group.members[0], 100, 2400, 10),))
    assert take_in(ghost, books, Policies(), TODAY).flags == ("NOBODY_PRESENT", "ATTENDANCE_INCOMPLETE", "LOAN_WHILE_ABSENT")
