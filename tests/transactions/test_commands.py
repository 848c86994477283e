"""The books against a real PostgreSQL."""

import threading
from collections import Counter
from dataclasses import replace
from datetime import UTC, date, datetime
from uuid import UUID

import psycopg.errors
import pytest
from sqlalchemy import event, select, text
from sqlalchemy.exc import IntegrityError

from protos import profiles_pb2
from protos import transactions_pb2 as pb
from services.chassis.audit import audit
from services.chassis.database import transaction
from services.chassis.hears import Event
from services.chassis.mailbox import outbox
from services.kernel import tally
from services.kernel.caller import Role, Session
from services.kernel.errors import Conflict, Invalid, NotFound, Refused
from services.kernel.ids import derived, uuid7
from services.kernel.policies import Period, Policies
from services.transactions import __main__ as operators
from services.transactions import queries
from services.transactions.commands import decide, sync, take, upkeep
from services.transactions.consumer import Consumer
from services.transactions.rules.heads import Head
from services.transactions.rules.journal import Account
from services.transactions.rules.partitions import partition
from services.transactions.rules.sheet import Borrowing, BorrowingRepayment, Entry, LoanGiven, Paid, Repayment, Reversal, Saving, Withdrawal
from services.transactions.tables import balances, chains, drift, meetings, reversals, superseded
from tests.transactions.builders import (
    BLOCK,
    RUPEE,
    TODAY,
    Desk,
    Group,
    clear,
    entered,
    everything,
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
def group(connection):
    return hear(connection, Group())


@pytest.fixture
def desk(connection, group):
    return Desk(connection, group)


@pytest.fixture
def kept(up):
    """A group whose books are really committed, and cleared away afterwards."""
    made = Group()
    with transaction(SERVICE) as connection:
        hear(connection, made)
    yield made
    with transaction(SERVICE) as connection:
        clear(connection, made)


def told(connection, subject, event=""):
    statement = select(outbox).where(outbox.c.subject == str(subject)).order_by(outbox.c.version)
    return [row for row in connection.execute(statement) if not event or row.event == event]


def noted(connection, action, subject):
    return connection.execute(select(audit).where(audit.c.action == action, audit.c.subjects.has_key(str(subject))).order_by(audit.c.id)).all()


def code_of(refused):
    return refused.value.code, refused.value.field


# Taken in once, in the order in which they stand on each other.


def test_a_meeting_is_stored_once_however_often_it_comes(connection, desk):
    one = desk.save()
    version = desk.standing().chain.version
    assert desk.send(one) == ["ALREADY_APPLIED"]
    assert desk.send(one, one) == ["ALREADY_APPLIED"] * 2
    assert desk.send(replace(one, counted_cash_paise=1)) == ["REVISION_CONTENT"]
    assert connection.execute(text("select count(*) from lines where meeting_id = :one"), {"one": one.meeting_id}).scalar_one() == 5
    assert desk.balances[Account(Head.CASH)] == SAVED
    assert desk.standing().chain.version == version, "what changes nothing tells nobody"
    assert [note.facts["revision"] for note in noted(connection, "meeting.store", one.meeting_id)] == [1]
    assert len(told(connection, desk.group.id)) == 1


def test_other_content_under_the_same_revision_names_the_field(connection, desk):
    one = desk.save()
    for field, changes in (
        ("counted_cash_paise", {"counted_cash_paise": 1}),
        ("savings", {"savings": ()}),
        ("held_on", {"held_on": date(2026, 10, 6)}),
    ):
        uploads = {0: upload(replace(one, **changes))}
        [refused] = sync.sync_meetings(connection, desk.group.bookkeeper(), uploads, desk.policies, TODAY).values()
        assert isinstance(refused, Conflict)
        assert (refused.code, refused.field) == ("REVISION_CONTENT", field)


def test_an_id_of_another_institutions_meeting_is_refused(connection, desk):
    one, other = desk.save(), Desk(connection, hear(connection, Group()))
    [refused] = sync.sync_meetings(
        connection, other.group.bookkeeper(), {0: upload(other.next(meeting_id=one.meeting_id))}, desk.policies, TODAY
    ).values()
    assert (refused.code, refused.field) == ("REVISION_CONTENT", "institution_id")


def test_a_meeting_with_every_screen_is_kept_as_it_was_sent(connection, desk):
    first = desk.next(**everything(desk.group))
    assert desk.send(first) == ["APPLIED"]
    assert desk.approve(first, unseen=False) == [""]
    full = desk.next(
        **everything(desk.group),
        repayments=(Repayment(first.loans[0].loan_id, 100, 20),),
        borrowing_repayments=(BorrowingRepayment(first.borrowings[0].borrowing_id, 200, 30, Paid("CHEQUE", desk.group.bank_ids[0], "123456")),),
        reversals=(Reversal(first.meeting_id, 1),),
        manual_books_differ='“₹2” {and} \\ "quotes" \' %s 🙂 क्ष',
    )
    assert desk.send(full) == ["APPLIED"]
    row = queries.meeting(connection, desk.group.approver(), UUID(full.meeting_id))
    assert queries.recorded_sheet(connection, full.meeting_id) == full
    assert row.flags == ["MANUAL_BOOKS_DIFFER", "REVERSAL", "LOAN_WHILE_ABSENT"]
    assert (row.maker_user, row.maker_person, row.status) == ("IUP_BK", "maker", "CLOSED")
    assert queries.adrift(connection) == []
    back = connection.execute(select(reversals).where(reversals.c.of_meeting_id == UUID(first.meeting_id))).all()
    assert [(row.of_line, str(row.meeting_id)) for row in back] == [(1, full.meeting_id)]


def test_an_account_that_ended_before_the_meeting_is_refused(connection, desk):
    first, second = desk.group.bank_ids
    paid = {"savings": (Saving(desk.group.members[0], 5, 0, Paid("TRANSFER", first)),)}
    hear_institution(connection, desk.group, 2, accounts=[{"row_id": first, "ended_on": "2026-10-05"}, {"row_id": second}])
    one = desk.save(**paid)
    late = desk.next(held_on=on(6), **paid)
    [refused] = sync.sync_meetings(connection, desk.group.bookkeeper(), {0: upload(late)}, desk.policies, TODAY).values()
    assert (refused.code, refused.field) == ("BANK_ENDED", "savings[0].paid.bank_id")
    assert desk.standing().chain.last_meeting_id == one.meeting_id


def test_a_meeting_waits_for_who_is_not_heard_of(connection):
    group = Group()
    desk = Desk(connection, group)
    # Closed on a device, which knows the group before the books have heard of it.
    hear_nobody = connection.begin_nested()
    hear(connection, group)
    one = desk.next(savings=(Saving(group.members[0], 50, 0),))
    hear_nobody.rollback()
    assert desk.send(one) == ["INSTITUTION_WAITING"]
    hear_institution(connection, group, accounts=[], status="STATUS_LEGACY")
    assert desk.send(one) == ["INSTITUTION_WAITING"], "nobody has verified what came from the old MIS"
    hear_institution(connection, group, 2, accounts=[])
    for member_id in group.members:
        hear_member(connection, group, member_id, status="STATUS_LEGACY")
    assert desk.send(one) == ["MEMBER_WAITING"]
    # The members come in any order, and the news of one of them twice, the older last.
    for member_id in group.members[::-1]:
        hear_member(connection, group, member_id, version=3)
        hear_member(connection, group, member_id, version=2, status="STATUS_SUBMITTED")
    assert desk.send(one) == ["APPLIED"]


def test_what_waits_is_not_kept(connection, desk):
    strange = "00000000-0000-4000-8000-00000000abcd"
    one = desk.next(savings=(Saving(desk.group.members[0], 50, 0, Paid("TRANSFER", strange)),))
    assert desk.send(one) == ["BANK_WAITING"]
    assert desk.standing().chain.version == 0
    hear_institution(connection, desk.group, 2, accounts=[{"row_id": strange, "ended_on": "2026-11-01"}])
    assert desk.send(one) == ["APPLIED"], "an account that was closed since had money then"


def ended_in(group, to_on, from_on=""):
    return {"institution_id": group.id, "region": group.region, "from_on": from_on, "to_on": to_on}


def among(group, member_ids):
    """The same institution, its lists of these members."""
    return replace(group, member_ids=[UUID(str(one)) for one in member_ids])


def on(day):
    return date(2026, 10, day)


def test_what_was_held_before_she_left_is_taken_when_it_is_handed_in_after(connection, desk):
    group = desk.group
    she, goes, *_ = group.members
    other = hear(connection, Group())
    left, transferred = ended_in(group, "2026-10-06"), ended_in(group, "2026-10-07")
    hear_member(connection, group, she, version=2, status="STATUS_INACTIVE", ended_stays=[left])
    hear_member(connection, other, goes, version=2, ended_stays=[transferred], since_on="2026-10-07")
    for day in (5, 6):
        desk.save(held_on=on(day))
    assert desk.send(desk.next(held_on=on(7))) == ["MEMBER_LEFT"]
    without = Desk(connection, among(group, group.members[1:]))
    without.save(held_on=on(7))
    assert without.send(without.next(held_on=on(8))) == ["MEMBER_LEFT"]
    # Where she came, she is on the same day.
    joined = Desk(connection, among(other, [*other.members, goes]))
    assert joined.send(joined.next(held_on=on(6))) == ["MEMBER_ELSEWHERE"]
    joined.save(held_on=on(7))
    # She who left comes back; what an older version says of her changes nothing.
    hear_member(connection, group, she, version=3, ended_stays=[left], since_on="2026-10-09")
    hear_member(connection, group, she, version=2, status="STATUS_INACTIVE", ended_stays=[left])
    back = Desk(connection, among(group, [she, *group.members[2:]]))
    assert back.send(back.next(held_on=on(8))) == ["MEMBER_LEFT"]
    back.save(held_on=on(9))
    assert queries.adrift(connection) == []


def test_a_meeting_waits_for_who_may_have_come_from_elsewhere(connection, desk):
    other = hear(connection, Group())
    joined = Desk(connection, among(desk.group, [*desk.group.members, other.members[0]]))
    one = joined.next()
    assert joined.send(one) == ["MEMBER_WAITING"]
    hear_member(connection, desk.group, other.members[0], version=2, ended_stays=[ended_in(other, "2026-10-05")], since_on="2026-10-05")
    assert joined.send(one) == ["APPLIED"]


def test_what_was_held_before_an_institution_was_closed_is_taken_after_it(connection, desk):
    group, ended = desk.group, [{"to_on": "2026-10-06"}]
    hear_institution(connection, group, version=2, status="STATUS_INACTIVE", ended_periods=ended)
    for member_id in group.members:
        hear_member(connection, group, member_id, version=2, status="STATUS_INACTIVE", ended_stays=[ended_in(group, "2026-10-06")])
    for day in (5, 6):
        desk.save(held_on=on(day))
    assert desk.send(desk.next(held_on=on(7))) == ["INSTITUTION_CLOSED"]
    hear_institution(connection, group, version=3, ended_periods=ended, since_on="2026-10-08")
    assert desk.send(desk.next(held_on=on(7))) == ["INSTITUTION_CLOSED"]
    assert desk.send(desk.next(held_on=on(8))) == ["MEMBER_LEFT"]
    for member_id in group.members:
        hear_member(connection, group, member_id, version=3, ended_stays=[ended_in(group, "2026-10-06")], since_on="2026-10-08")
    desk.save(held_on=on(8))


def test_the_database_itself_refuses_books_that_cannot_be(connection, desk):
    one = desk.save()
    for statement in (
        chains.update().where(chains.c.institution_id == desk.group.institution_id).values(approved_through=2),
        chains.update().where(chains.c.institution_id == desk.group.institution_id).values(last_number=2),
        meetings.update().where(meetings.c.meeting_id == UUID(one.meeting_id)).values(paise=[1, 2]),
        meetings.update().where(meetings.c.meeting_id == UUID(one.meeting_id)).values(paise=[1, 2, 3, 4, 0]),
    ):
        with pytest.raises(IntegrityError) as refused, connection.begin_nested():
            connection.execute(statement)
        assert isinstance(refused.value.orig, psycopg.errors.CheckViolation)


# Final, or handed back.


def test_approval_tells_the_figures_and_is_final(connection, desk):
    group = desk.group
    one = desk.save(
        savings=(Saving(group.members[0], 100, 20), Saving(group.members[1], 50, 0)),
        loans=(LoanGiven(new_id(), group.members[0], 60, 2400, 10, "goats"),),
        withdrawals=(Withdrawal(group.members[1], 10, 0),),
        entries=(Entry("FINE", 5, group.members[2]), Entry("RENT", 7)),
        attendance=tuple(replaced for replaced in desk.next().attendance[:4]),
    )
    assert desk.approve(one) == [""]
    row = queries.meeting(connection, group.approver(), UUID(one.meeting_id))
    assert (row.status, row.decided_by, row.decided_person, row.region) == ("APPROVED", "IUP_AP", "checker", group.region)
    assert desk.approve(one) == [""], "approving it again is the same answer"
    assert queries.meeting(connection, group.approver(), UUID(one.meeting_id)).decided_at == row.decided_at
    assert len(noted(connection, "meeting.approve", one.meeting_id)) == 1
    [event] = told(connection, one.meeting_id)
    assert (event.event_id, event.event) == (derived("MeetingApproved", UUID(one.meeting_id)), "MeetingApproved")
    figures = pb.MeetingApproved.FromString(event.body)
    assert (figures.region, figures.month, figures.held_on, figures.number) == (group.region, "2026-10", "2026-10-05", 1)
    assert (figures.members_present, figures.members_due, figures.maker_user) == (4, 5, "IUP_BK")
    assert row.flags == ["ATTENDANCE_INCOMPLETE"]
    assert (figures.savings_paise, figures.savings_withdrawn_paise, figures.fines_paise) == (170, 10, 5)
    assert (figures.loans_disbursed_paise, figures.loans_disbursed) == (60, 1)
    assert {head.head: (head.debit_paise, head.credit_paise) for head in figures.heads} == {
        "A01": (60, 0),
        "A03": (175, 77),
        "E07": (7, 0),
        "I02": (0, 5),
        "L01": (10, 150),
        "L02": (0, 20),
    }
    with pytest.raises(Conflict) as refused:
        desk.reject(one)
    assert refused.value.code == "MOVE_NOT_ALLOWED"
    assert desk.send(replace(one, revision=2)) == ["MOVE_NOT_ALLOWED"]


def test_what_is_taken_back_is_told_as_less(connection, desk):
    one = desk.save()
    desk.approve(one)
    back = desk.next(
        held_on=on(6), savings=(Saving(desk.group.members[0], 7, 0),), reversals=(Reversal(one.meeting_id, 1), Reversal(one.meeting_id, 2))
    )
    desk.send(back)
    desk.approve(back)
    figures = pb.MeetingApproved.FromString(told(connection, back.meeting_id)[0].body)
    assert figures.savings_paise == 7 - 100 * RUPEE
    assert figures.savings_withdrawn_paise == 0, "nobody withdrew"
    assert figures.loans_disbursed == 0
    assert {head.head: (head.debit_paise, head.credit_paise) for head in figures.heads} == {
        "A03": (7 - 100 * RUPEE, 0),
        "L01": (0, 7 - 100 * RUPEE),
    }


def test_a_loan_taken_back_was_not_given(connection, desk):
    one = desk.save(loans=(LoanGiven(new_id(), desk.group.members[0], 60, 2400, 10), LoanGiven(new_id(), desk.group.members[1], 70, 2400, 10)))
    desk.approve(one)
    given = [line.line for _, line, _ in lines_of(desk, one) if line.debit == "A01"]
    back = desk.save(held_on=on(6), loans=(LoanGiven(new_id(), desk.group.members[2], 80, 0, 1),), reversals=(Reversal(one.meeting_id, given[1]),))
    assert desk.approve(back) == [""]
    figures = pb.MeetingApproved.FromString(told(connection, back.meeting_id)[0].body)
    assert (figures.loans_disbursed, figures.loans_disbursed_paise) == (0, 10)
    own = Reversal(back.meeting_id, len(lines_of(desk, back)))
    assert desk.send(desk.next(held_on=on(7), reversals=(own,))) == ["LINE_IS_REVERSAL"]


def loans_told(connection, *given):
    """The loans of which their members are to be told, of those given."""
    rows = [row for one in given for row in told(connection, one.loan_id)]
    assert {row.event for row in rows} <= {"LoanBooked"}
    return rows


def given(desk, member, principal_paise):
    return LoanGiven(new_id(), desk.group.members[member], principal_paise, 2400, 10)


def test_each_loan_that_is_final_is_told_once_by_ids_alone(connection, desk):
    lent = given(desk, 0, 60), given(desk, 1, 70)
    handed_back = desk.save(loans=lent)
    desk.reject(handed_back)
    one = desk.again(handed_back, loans=lent)
    assert desk.send(one) == ["APPLIED"]
    assert loans_told(connection, *lent) == [], "it is not final yet"
    assert desk.approve(one) == desk.approve(one) == [""]
    rows = loans_told(connection, *lent)
    assert [(row.event_id, row.destination) for row in rows] == [(derived("LoanBooked", loan.loan_id), None) for loan in lent]
    decided_at = queries.meeting(connection, desk.group.approver(), UUID(one.meeting_id)).decided_at
    assert {row.occurred_at for row in rows} == {decided_at}, "by which whoever hears it late knows how old it is"
    assert pb.LoanBooked.FromString(rows[1].body) == pb.LoanBooked(
        loan_id=lent[1].loan_id, member_id=desk.group.members[1], institution_id=desk.group.id, principal_paise=70, given_on="2026-10-05"
    )
    upkeep.restate_approved(connection, "reporting", UUID(int=UUID(one.meeting_id).int - 1))
    assert loans_told(connection, *lent) == rows, "a restatement tells nobody of old loans"


def test_a_loan_that_is_taken_back_is_told_of_no_more(connection, desk):
    lent = given(desk, 0, 60)
    one = desk.save(loans=(lent,))
    desk.approve(one)
    place = next(line.line for _, line, _ in lines_of(desk, one) if line.debit == "A01")
    back = desk.save(held_on=on(6), reversals=(Reversal(one.meeting_id, place),))
    assert desk.approve(back) == [""]
    assert len(loans_told(connection, lent)) == 1
    assert connection.execute(select(outbox.c.subject).where(outbox.c.event == "LoanBooked")).scalars().all().count(lent.loan_id) == 1


def test_a_state_that_wants_no_alerts_tells_of_no_loan(connection, desk):
    lent = given(desk, 0, 60)
    one = desk.save(loans=(lent,))
    desk.policies = Policies({"loan_alerts": (Period(0, TODAY, TODAY),)})
    assert desk.approve(one) == [""]
    assert told(connection, one.meeting_id) != []
    assert loans_told(connection, lent) == []


def test_a_restatement_says_the_same_again_wherever_the_institution_lies_now(connection, desk):
    one = desk.save()
    desk.approve(one)
    before = told(connection, one.meeting_id)
    hear_institution(connection, desk.group, version=9, region="9.178.1204.78.1")
    last, count = upkeep.restate_approved(connection, "reporting", UUID(int=UUID(one.meeting_id).int - 1))
    assert (str(last), count) == (one.meeting_id, 1)
    [again] = [row for row in told(connection, one.meeting_id) if row.destination == "reporting"]
    assert (again.event_id, again.body) == (before[0].event_id, before[0].body)
    of, count = upkeep.restate_moved(connection, "reporting", UUID(int=desk.group.institution_id.int - 1))
    assert (of, count) == (desk.group.institution_id, 1)
    [stands] = [row for row in told(connection, desk.group.id) if row.destination == "reporting"]
    assert stands.version == desk.standing().chain.version
    assert pb.BooksMoved.FromString(stands.body).region == "9.178.1204.78.1"
    assert upkeep.restate_approved(connection, "reporting", UUID(int=2**128 - 1)) == (None, 0)
    assert upkeep.restate_moved(connection, "reporting", UUID(int=2**128 - 1)) == (None, 0)


def test_who_may_not_decide(connection, desk):
    first, second = desk.save(), desk.save()
    for caller, code in (
        ({"person": "maker"}, "OWN_ENTRY"),
        ({"user_id": "IUP_BK"}, "OWN_ENTRY"),
        ({"role": Role.VO_TRANS_APPROVER}, "APPROVER_KIND"),
        ({"institutions": frozenset()}, "MEETING_UNKNOWN"),
        ({"institutions": frozenset({uuid7()})}, "MEETING_UNKNOWN"),
    ):
        assert desk.approve(first, **caller) == [code]
        with pytest.raises(Refused) as refused:
            desk.reject(first, **caller)
        assert refused.value.code == code
    assert desk.approve(second) == ["APPROVAL_OUT_OF_SEQUENCE"]
    assert desk.approve(replace(first, revision=2)) == ["REVISION_OLD"]
    assert desk.approve(replace(first, meeting_id=new_id())) == ["MEETING_UNKNOWN"]
    with pytest.raises(NotFound):
        desk.reject(replace(first, meeting_id=new_id()))
    with pytest.raises(Conflict) as refused:
        desk.reject(replace(first, revision=2))
    assert refused.value.code == "REVISION_OLD"
    for remark, code in ((" ", "REMARK_MISSING"), ("a\0b", "TEXT_INVALID")):
        with pytest.raises(Invalid) as refused:
            desk.reject(first, remark)
        assert refused.value.code == code
    assert desk.standing().chain.approved_through == 0


@pytest.mark.parametrize("side", ["VO", "CLF"])
def test_an_approver_stands_on_the_side_of_the_vo_or_of_the_clf(connection, desk, side):
    vo, clf = Group(institution_id=desk.group.parent_id, kind="VO"), uuid7()
    hear_institution(connection, vo, parent_id=str(clf))
    one = desk.save()
    mapped = frozenset({vo.institution_id if side == "VO" else clf})
    pending, _, _ = queries.pending(connection, desk.group.approver(institutions=mapped), [UUID(one.meeting_id)])[UUID(one.meeting_id)]
    assert (pending.vo_id, pending.clf_id) == (vo.institution_id, clf)
    assert desk.approve(one, institutions=mapped) == [""]


@pytest.mark.parametrize("side", [0, 1, 2])
def test_an_approver_is_shown_what_she_may_decide_on(connection, side):
    """Groups with a VO and a CLF above them, with a VO alone, and with a CLF alone; and the VO's own meetings."""
    vo, lone_vo, clf = (Group(kind=kind) for kind in ("VO", "VO", "CLF"))
    vo.parent_id = clf.institution_id
    for federation in (vo, lone_vo, clf):
        hear_institution(connection, federation, parent_id=str(vo.parent_id) if federation is vo else "")
    policies = Policies({"shg_approver_side": (Period(side, date(2026, 4, 1)),)})
    groups = [hear(connection, Group(parent_id=one.institution_id)) for one in (vo, lone_vo, clf)]
    saved = {Desk(connection, one).save().meeting_id: one for one in groups}
    hear(connection, vo)
    saved[Desk(connection, vo).save().meeting_id] = vo
    for federation in (vo, lone_vo, clf):
        for role in (Role.SHG_TRANS_APPROVER, Role.VO_TRANS_APPROVER):
            caller = groups[0].approver(role=role, institutions=frozenset({federation.institution_id}))
            shown = {str(row.meeting_id) for row in queries.waiting(connection, caller, None, 99, side)}
            with connection.begin_nested() as aside:
                wanted = dict.fromkeys(map(UUID, saved), 1)
                answers = decide.approve_meetings(connection, caller, wanted, policies, TODAY, unseen=False)
                aside.rollback()
            assert shown == {str(one) for one, refused in answers.items() if refused is None}


def test_of_a_group_directly_under_a_clf_there_is_no_vo(connection, desk):
    clf = Group(institution_id=desk.group.parent_id, kind="CLF")
    hear_institution(connection, clf, parent_id="")
    one = desk.save()
    pending, _, _ = queries.pending(connection, desk.group.approver(), [UUID(one.meeting_id)])[UUID(one.meeting_id)]
    assert (pending.vo_id, pending.clf_id) == (None, clf.institution_id)


def test_a_rejection_takes_back_the_meeting_and_all_that_stand_on_it(connection, desk):
    loan = LoanGiven(new_id(), desk.group.members[0], 100 * RUPEE, 2400, 10, "goats")
    first = desk.save()
    desk.approve(first)
    stood = desk.balances
    second = desk.save(held_on=on(6), loans=(loan,))
    third = desk.save(held_on=on(7), repayments=(Repayment(loan.loan_id, 40 * RUPEE, 2 * RUPEE),))
    assert desk.balances[Account(Head.MEMBER_LOANS, loan.loan_id)] == 60 * RUPEE
    desk.reject(second, reasons=("AMOUNT_WRONG", "VOUCHER_MISSING"))
    desk.reject(second, reasons=("AMOUNT_WRONG", "VOUCHER_MISSING"))
    assert len(noted(connection, "meeting.reject", second.meeting_id)) == 1, "saying it twice is saying it once"
    with pytest.raises(Conflict) as refused:
        desk.reject(second, "Said otherwise.")
    assert refused.value.code == "MOVE_NOT_ALLOWED"
    assert desk.balances == stood
    chain = desk.standing().chain
    assert (chain.last_number, chain.last_meeting_id, chain.last_held_on, chain.highest_number) == (1, first.meeting_id, on(5), 3)
    said = {row.number: (row.status, row.reasons, row.remark, row.decided_by) for row in desk.standing().decisions}
    assert said == {
        2: ("REJECTED", ["AMOUNT_WRONG", "VOUCHER_MISSING"], "The cash was counted wrong.", "IUP_AP"),
        3: ("REJECTED", ["AMOUNT_WRONG", "VOUCHER_MISSING"], "Meeting 2 was handed back, and this one stands on it.", "IUP_AP"),
    }
    moved = pb.BooksMoved.FromString(told(connection, desk.group.id)[-1].body)
    assert (moved.last_number, moved.approved_through, moved.handed_back, moved.last_held_on) == (1, 1, 2, "2026-10-05")
    assert desk.send(third) == ["ALREADY_APPLIED"], "that revision was taken in, whatever became of it"
    assert desk.send(replace(third, revision=2)) == ["MEETING_WAITING"]
    # The same loan comes again with the next revision; what was sent before stays to be read, and does not count.
    again = desk.again(second)
    assert desk.send(again) == ["APPLIED"]
    assert desk.send(desk.again(third)) == ["APPLIED"]
    assert desk.balances[Account(Head.MEMBER_LOANS, loan.loan_id)] == 60 * RUPEE
    assert queries.adrift(connection) == []
    assert desk.send(second) == ["ALREADY_APPLIED"], "a copy that was long on its way: its own revision was taken in"
    assert desk.send(replace(second, counted_cash_paise=1)) == ["REVISION_OLD"]
    old = connection.execute(select(superseded).where(superseded.c.meeting_id == UUID(second.meeting_id))).one()
    assert (old.revision, old.status, old.remark, old.decided_by) == (1, "REJECTED", "The cash was counted wrong.", "IUP_AP")
    assert [old.paise[0], len(old.paise)] == [50 * RUPEE, 6]
    now = queries.meeting(connection, desk.group.approver(), UUID(second.meeting_id))
    assert (now.revision, now.status, now.reasons, now.remark, now.decided_by, now.flags) == (2, "CLOSED", None, None, None, ["REVISED"])


def test_a_third_revision_keeps_both_before_it(connection, desk):
    one = desk.save()
    sent = [one]
    for _ in range(2):
        desk.reject(one)
        one = desk.again(one)
        assert desk.send(one) == ["APPLIED"]
        sent.append(one)
    kept = connection.execute(select(superseded.c.revision).where(superseded.c.meeting_id == UUID(one.meeting_id)).order_by("revision")).scalars()
    assert list(kept) == [1, 2]
    assert one.revision == 3
    assert desk.send(*sent) == ["ALREADY_APPLIED"] * 3
    connection.execute(superseded.delete().where(superseded.c.meeting_id == UUID(one.meeting_id), superseded.c.revision == 2))
    assert desk.send(*sent) == ["ALREADY_APPLIED", "REVISION_OLD", "ALREADY_APPLIED"], "a revision that never came in is old"


def test_a_first_number_that_was_mistyped_is_put_right(connection, desk):
    """Handed back with all after it the books are empty again: its revision may begin them anywhere, and the others follow."""
    first = desk.save(number=9)
    others = [desk.save(), desk.save()]
    desk.reject(first)
    chain = desk.standing().chain
    assert (chain.last_number, chain.last_meeting_id, chain.approved_through) == (0, "", 0)
    moved = pb.BooksMoved.FromString(told(connection, desk.group.id)[-1].body)
    assert (moved.last_number, moved.approved_through, moved.handed_back) == (0, 0, 3)
    assert desk.send(desk.again(first, number=13)) == ["CUT_OFF_NEEDED"]
    again = [desk.again(first, number=6)]
    assert desk.send(*again) == ["APPLIED"]
    for handed_back, one in ((2, others[0]), (1, others[1])):
        moved = pb.BooksMoved.FromString(told(connection, desk.group.id)[-1].body)
        assert (moved.last_number, moved.approved_through, moved.handed_back) == (again[-1].number, 5, handed_back)
        assert desk.send(desk.again(one, number=one.number)) == ["MEETING_OUT_OF_SEQUENCE"]
        again.append(desk.again(one))
        assert desk.send(again[-1]) == ["APPLIED"]
    assert [one.number for one in desk.standing().decisions] == [6, 7, 8]
    assert desk.approve(*again[::-1]) == [""] * 3
    chain = desk.standing().chain
    assert (chain.last_number, chain.highest_number, chain.approved_through) == (8, 8, 8)
    kept = connection.execute(select(superseded.c.number).where(superseded.c.institution_id == desk.group.institution_id)).scalars()
    assert sorted(kept) == [9, 10, 11]
    assert queries.adrift(connection) == []


def test_another_meeting_may_take_the_number_of_one_handed_back(connection, desk):
    first = desk.save()
    desk.reject(first)
    other = desk.save()
    assert (other.number, desk.send(replace(first, revision=2))) == (1, ["MEETING_OUT_OF_SEQUENCE"])
    on_the_first = desk.next(previous_meeting_id=first.meeting_id)
    assert desk.send(on_the_first) == ["MEETING_OUT_OF_SEQUENCE"], "it would wait for ever"
    listed = queries.meetings_of(connection, desk.group.bookkeeper(), desk.group.institution_id, "", None, 50)
    assert {row.status for row in listed} == {"REJECTED", "CLOSED"}
    assert desk.balances[Account(Head.CASH)] == SAVED


def test_a_loan_of_a_rejected_meeting_may_be_given_again_but_never_twice(connection, desk):
    loan = LoanGiven(new_id(), desk.group.members[0], 10 * RUPEE, 2400, 10)
    first = desk.save(loans=(loan,))
    assert desk.send(desk.next(held_on=on(6), loans=(loan,))) == ["LOAN_EXISTS"]
    elsewhere = Desk(connection, hear(connection, Group()))
    hers = loan._replace(member_id=elsewhere.group.members[0])
    assert elsewhere.send(elsewhere.next(savings=(Saving(elsewhere.group.members[0], 100 * RUPEE, 0),), loans=(hers,))) == ["LOAN_EXISTS"]
    desk.reject(first)
    assert desk.send(desk.again(first)) == ["APPLIED"]


def test_a_line_taken_back_may_be_taken_back_again_once_that_was_handed_back(connection, desk):
    first = desk.save()
    desk.approve(first)
    back = desk.save(held_on=on(6), reversals=(Reversal(first.meeting_id, 1),))
    assert desk.send(desk.next(held_on=on(7), reversals=(Reversal(first.meeting_id, 1),))) == ["LINE_REVERSED"]
    desk.reject(back)
    assert connection.execute(select(reversals).where(reversals.c.meeting_id == UUID(back.meeting_id))).all() == []
    assert desk.send(desk.again(back)) == ["APPLIED"]
    assert desk.balances[Account(Head.COMPULSORY_SAVINGS, desk.group.members[0])] == 50 * RUPEE
    assert queries.adrift(connection) == []


def memo(connection, desk, loan_id):
    row = connection.execute(select(balances).where(balances.c.institution_id == desk.group.institution_id, balances.c.of_id == UUID(loan_id))).one()
    return row.paise, row.interest_paise, row.counted_through


def test_the_interest_owed_after_a_rejection_is_what_it_was(connection, desk):
    loan_id, borrowed_id = new_id(), new_id()
    desk.save(
        held_on=date(2026, 6, 8),
        loans=(LoanGiven(loan_id, desk.group.members[0], 200 * RUPEE, 2400, 10),),
        borrowings=(Borrowing(borrowed_id, "VO", 1000 * RUPEE, 1200, 10),),
    )
    both = {
        "repayments": (Repayment(loan_id, 20 * RUPEE, 3 * RUPEE),),
        "borrowing_repayments": (BorrowingRepayment(borrowed_id, 100 * RUPEE, 4 * RUPEE),),
    }
    desk.save(held_on=date(2026, 8, 10), **both)
    owed = memo(connection, desk, loan_id), memo(connection, desk, borrowed_id)
    # Two months of 4 rupees, 3 paid; two months of 10 rupees, 4 paid.
    assert owed == ((180 * RUPEE, 5 * RUPEE, date(2026, 8, 10)), (900 * RUPEE, 16 * RUPEE, date(2026, 8, 10)))
    wrong = desk.save(held_on=date(2026, 10, 12), **both)
    assert memo(connection, desk, loan_id) != owed[0]
    desk.reject(wrong)
    assert (memo(connection, desk, loan_id), memo(connection, desk, borrowed_id)) == owed
    assert desk.send(desk.again(wrong)) == ["APPLIED"]
    assert memo(connection, desk, loan_id) == (160 * RUPEE, (5 + 2 * 4 - 3) * RUPEE, date(2026, 10, 12))


def test_a_line_of_a_loan_taken_back_is_as_if_it_had_never_been_entered(connection, desk):
    """Interest is owed on what truly was owed; and what follows in the same upload, or is handed back after it, counts the same."""
    loan_id, other_id = new_id(), new_id()
    given = desk.save(
        held_on=date(2026, 6, 8), loans=tuple(LoanGiven(one, desk.group.members[0], 100 * RUPEE, 2400, 10) for one in (loan_id, other_id))
    )
    slip = desk.save(held_on=date(2026, 7, 8), repayments=(Repayment(loan_id, 90 * RUPEE, 60 * RUPEE), Repayment(other_id, 0, 1 * RUPEE)))
    desk.approve(given)
    desk.approve(slip)
    assert memo(connection, desk, loan_id) == (10 * RUPEE, 0, date(2026, 7, 8))
    principal, interest = (
        next(line.line for _, line, _ in lines_of(desk, slip) if (line.credit, line.credit_of) == (head, loan_id)) for head in ("A01", "I01")
    )
    lent = next(line.line for _, line, _ in lines_of(desk, given) if line.debit_of == other_id)
    keys = [Reversal(slip.meeting_id, principal), Reversal(slip.meeting_id, interest), Reversal(given.meeting_id, lent)]
    first = desk.next(
        held_on=date(2026, 9, 8), savings=savings(desk.group), reversals=tuple(keys), repayments=(Repayment(loan_id, 9 * RUPEE, 3 * RUPEE),)
    )
    books = entered(first, queries.books(connection, [first]))
    second = following(books, desk.group, held_on=date(2026, 10, 8), repayments=(Repayment(loan_id, 1 * RUPEE, 0),))
    assert desk.send(second, first) == ["APPLIED"] * 2
    # Three months of 2 rupees of interest, and 3 paid; then a month of 91 rupees.
    owed = (90 * RUPEE, (3 * 2 - 3 + 2) * RUPEE, date(2026, 10, 8)), (0, 0, date(2026, 7, 8))
    assert (memo(connection, desk, loan_id), memo(connection, desk, other_id)) == owed
    desk.reject(second)
    desk.send(desk.again(second))
    assert (memo(connection, desk, loan_id), memo(connection, desk, other_id)) == owed
    desk.reject(first)
    assert memo(connection, desk, loan_id) == (10 * RUPEE, 0, date(2026, 7, 8))
    assert memo(connection, desk, other_id) == (100 * RUPEE, 1 * RUPEE, date(2026, 7, 8))


def lines_of(desk, one):
    return queries.with_reversals(queries.meeting(desk.connection, desk.group.approver(), UUID(one.meeting_id)))


def test_interest_may_be_paid_of_a_loan_that_is_repaid(connection, desk):
    """What stands at nothing is not read with the books; what more is paid is income all the same."""
    loan_id = new_id()
    desk.save(loans=(LoanGiven(loan_id, desk.group.members[0], 100 * RUPEE, 0, 10),))
    desk.save(held_on=on(6), repayments=(Repayment(loan_id, 100 * RUPEE, 0),))
    late = desk.save(held_on=on(7), repayments=(Repayment(loan_id, 0, 5 * RUPEE),))
    assert desk.balances[Account(Head.LOAN_INTEREST)] == 5 * RUPEE
    assert memo(connection, desk, loan_id) == (0, 0, on(7))
    desk.reject(late)
    assert memo(connection, desk, loan_id) == (0, 0, on(6))
    assert queries.adrift(connection) == []


# Many at once.


def test_clean_meetings_of_many_institutions_are_approved_in_any_order(connection, desk):
    parent = desk.group.parent_id
    other = Desk(connection, hear(connection, Group(parent_id=parent)))
    strange = Desk(connection, hear(connection, Group()))
    mine = [desk.save() for _ in range(3)]
    clean, flagged, after = other.save(), other.save(manual_books_differ="two rupees"), other.save()
    unseen = strange.save()
    wanted = [mine[2], flagged, unseen, mine[0], after, clean, mine[1], replace(clean, meeting_id=new_id())]
    assert desk.approve(*wanted, unseen=True) == [
        "",
        "MEETING_FLAGGED",
        "MEETING_UNKNOWN",
        "",
        "APPROVAL_OUT_OF_SEQUENCE",
        "",
        "",
        "MEETING_UNKNOWN",
    ]
    assert (desk.standing().chain.approved_through, other.standing().chain.approved_through) == (3, 1)
    assert all(len(told(connection, one.meeting_id)) == 1 for one in [*mine, clean])
    assert not any(told(connection, one.meeting_id) for one in (flagged, after, unseen))
    moved = told(connection, desk.group.id, "BooksMoved")
    assert pb.BooksMoved.FromString(moved[-1].body).approved_through == 3
    assert other.approve(flagged) == [""]
    said = [pb.MeetingApproved.FromString(told(connection, one.meeting_id)[0].body) for one in (clean, flagged)]
    assert [one.manual_books_differ for one in said] == [False, True]
    assert b"two rupees" not in said[1].SerializeToString(), "in what is not told"
    assert desk.approve(*wanted[:2], after, unseen=True) == ["", "", ""], "what is final is answered as such, flagged or not"


def test_of_those_handed_back_none_is_approved_among_many(desk):
    first, second = desk.save(), desk.save()
    desk.reject(second)
    assert desk.approve(second, first, unseen=True) == ["MOVE_NOT_ALLOWED", ""]


# What is told.


def test_every_change_of_the_books_tells_where_they_stand_with_a_growing_version(connection, desk):
    first, second = desk.save(), desk.save(held_on=on(6))
    desk.approve(first)
    desk.reject(second)
    again = desk.again(second)
    desk.send(again)
    desk.approve(again)
    events = told(connection, desk.group.id, "BooksMoved")
    versions = [row.version for row in events]
    assert versions == sorted(set(versions))
    assert versions[-1] == desk.standing().chain.version
    said = [pb.BooksMoved.FromString(row.body) for row in events]
    assert [(one.last_number, one.approved_through, one.handed_back) for one in said] == [
        (1, 0, 0),
        (2, 0, 0),
        (2, 1, 0),
        (1, 1, 1),
        (2, 1, 0),
        (2, 2, 0),
    ]
    assert {(one.institution_id, one.region) for one in said} == {(desk.group.id, desk.group.region)}


def test_what_is_noted_of_a_meeting_has_no_word_of_it(connection, desk):
    one = desk.save(manual_books_differ="Sita owes two rupees")
    desk.approve(one)
    notes = [*noted(connection, "meeting.store", one.meeting_id), *noted(connection, "meeting.approve", one.meeting_id)]
    assert [(note.user_id, note.role, note.subjects) for note in notes] == [
        ("IUP_BK", "SHG_BOOKKEEPER", [one.meeting_id]),
        ("IUP_AP", "SHG_TRANS_APPROVER", [one.meeting_id]),
    ]
    assert notes[0].facts == {"revision": 1, "content": upload(one).content_hash.hex()}
    assert notes[1].facts == {"revision": 1}


# Whose device has the books.


def test_the_books_are_on_one_device(connection, desk):
    def take_them(session_id, *, over=False):
        caller = desk.group.bookkeeper(session=Session(session_id, 1))
        return take.take_books(connection, caller, desk.group.institution_id, take_over=over)

    one, other = uuid7(), uuid7()
    lock = take_them(one)
    assert take_them(one) == lock
    with pytest.raises(Conflict) as refused:
        take_them(other)
    assert code_of(refused) == ("BOOKS_HELD", "take_over")
    first = desk.next()
    assert desk.send(first) == ["LOCK_LOST"]
    desk.lock = lock
    assert desk.send(first) == ["APPLIED"]
    later = take_them(other, over=True)
    assert later > lock
    assert desk.send(first) == ["ALREADY_APPLIED"]
    assert desk.send(desk.next()) == ["LOCK_LOST"]
    desk.lock = later
    assert desk.send(desk.next()) == ["APPLIED"]
    assert [note.facts for note in noted(connection, "books.take", desk.group.id)] == [
        {"lock": lock, "take_over": False},
        {"lock": later, "take_over": True},
    ]
    with pytest.raises(NotFound):
        take.take_books(connection, desk.group.bookkeeper(institutions=frozenset()), desk.group.institution_id, take_over=True)


# At the same instant.


def at_once(first, second):
    """Run `first` and leave it uncommitted while `second` starts; returns what both gave or raised."""
    begun, answers = threading.Event(), []

    def later():
        try:
            with transaction(SERVICE) as connection:
                begun.set()
                answers.append(second(connection))
        except Exception as error:  # noqa: BLE001 - whatever it is, the test looks at it
            answers.append(error)

    thread = threading.Thread(target=later)
    with transaction(SERVICE) as connection:
        mine = first(connection)
        thread.start()
        assert begun.wait(30)
        thread.join(0.5)
        waited = thread.is_alive()
    thread.join(30)
    return mine, answers[0], waited


def stored(group, *changes):
    """Meetings that are committed, each on the one before."""
    with transaction(SERVICE) as connection:
        return [Desk(connection, group).save(**one) for one in changes or ({},)]


def final_state(group):
    with transaction(SERVICE) as connection:
        assert group.institution_id not in queries.adrift(connection)
        return Desk(connection, group).standing().chain


def desks(group, act):
    return lambda connection: act(Desk(connection, group))


def test_two_uploads_of_one_meeting_at_once_store_it_once(kept):
    with transaction(SERVICE) as connection:
        one = Desk(connection, kept).next()
    assert at_once(*[desks(kept, lambda desk: desk.send(one))] * 2) == (["APPLIED"], ["ALREADY_APPLIED"], True)
    assert final_state(kept).last_number == 1
    with transaction(SERVICE) as connection:
        assert [row.version for row in told(connection, kept.id)] == [1]


def test_two_meetings_of_one_number_at_once_cannot_both_be_stored(kept):
    stored(kept)
    with transaction(SERVICE) as connection:
        one, other = (Desk(connection, kept).next() for _ in range(2))
    answers = at_once(desks(kept, lambda desk: desk.send(one)), desks(kept, lambda desk: desk.send(other)))
    assert answers == (["APPLIED"], ["MEETING_OUT_OF_SEQUENCE"], True)
    assert final_state(kept).last_meeting_id == one.meeting_id


def test_two_approvers_of_one_meeting_at_once_make_it_final_once(kept):
    [one] = stored(kept)
    assert at_once(*[desks(kept, lambda desk: desk.approve(one))] * 2) == ([""], [""], True)
    with transaction(SERVICE) as connection:
        assert len(told(connection, one.meeting_id, "MeetingApproved")) == 1
        assert len(noted(connection, "meeting.approve", one.meeting_id)) == 1
        assert [row.version for row in told(connection, kept.id)] == [1, 2]


def test_the_next_meeting_cannot_be_approved_past_the_one_before(kept):
    first, second = stored(kept, {}, {})
    # Seen from outside, the first is not final yet: the second is refused, and nobody waits.
    assert at_once(desks(kept, lambda desk: desk.approve(first)), desks(kept, lambda desk: desk.approve(second))) == (
        [""],
        ["APPROVAL_OUT_OF_SEQUENCE"],
        False,
    )
    assert final_state(kept).approved_through == 1


def test_two_who_approve_overlapping_lists_at_once_lose_none(kept):
    three = stored(kept, {}, {}, {})
    mine, theirs, _ = at_once(desks(kept, lambda desk: desk.approve(*three[:2])), desks(kept, lambda desk: desk.approve(*three[::-1])))
    assert (mine, theirs) == (["", ""], ["", "", ""])
    assert final_state(kept).approved_through == 3
    with transaction(SERVICE) as connection:
        assert all(len(told(connection, one.meeting_id)) == 1 for one in three)


def test_what_stands_on_a_rejected_meeting_cannot_be_approved_at_the_same_time(kept):
    first, second = stored(kept, {}, {})
    answers = at_once(desks(kept, lambda desk: desk.reject(first)), desks(kept, lambda desk: desk.approve(first, second)))
    assert answers == (None, ["MOVE_NOT_ALLOWED", "MOVE_NOT_ALLOWED"], True)
    assert final_state(kept).last_number == 0


def test_what_is_approved_cannot_be_handed_back_at_the_same_time(kept):
    first, _ = stored(kept, {}, {})
    _, lost, waited = at_once(desks(kept, lambda desk: desk.approve(first)), desks(kept, lambda desk: desk.reject(first)))
    assert waited
    assert isinstance(lost, Conflict)
    assert lost.code == "MOVE_NOT_ALLOWED"
    assert (final_state(kept).approved_through, final_state(kept).last_number) == (1, 2)


@pytest.mark.parametrize("approval_first", [True, False])
def test_an_upload_and_an_approval_at_once_lose_neither(kept, approval_first):
    [first] = stored(kept)
    with transaction(SERVICE) as connection:
        second = Desk(connection, kept).next(savings=(Saving(kept.members[0], 7, 0),))
    both = [desks(kept, lambda desk: desk.approve(first)), desks(kept, lambda desk: desk.send(second))]
    mine, theirs, waited = at_once(*(both if approval_first else both[::-1]))
    assert waited
    assert sorted([mine, theirs]) == [[""], ["APPLIED"]]
    chain = final_state(kept)
    assert (chain.approved_through, chain.last_number, chain.version) == (1, 2, 3)


def test_an_upload_on_a_meeting_that_is_handed_back_at_the_same_time_waits_for_it(kept):
    [first] = stored(kept)
    with transaction(SERVICE) as connection:
        second = Desk(connection, kept).next()
    answers = at_once(desks(kept, lambda desk: desk.reject(first)), desks(kept, lambda desk: desk.send(second)))
    assert answers == (None, ["MEETING_WAITING"], True)
    assert final_state(kept).last_number == 0


def test_into_books_that_never_stand_still_nothing_is_written(connection, desk, monkeypatch):
    """The version never is the one that was read: after some tries the caller is told, and not kept for ever."""
    one = desk.save()
    behind = queries.books

    def read(*given):
        books = behind(*given)
        return replace(books, chain=replace(books.chain, version=books.chain.version + 1))

    monkeypatch.setattr(queries, "books", read)
    with pytest.raises(sync.NotStoredError):
        sync.sync_meetings(connection, desk.group.bookkeeper(), {0: upload(desk.next())}, desk.policies, TODAY)
    assert desk.standing().chain.last_meeting_id == one.meeting_id


# What operators see.


def test_verify_finds_whatever_is_not_the_sum_of_the_lines(kept, capsys):
    stored(kept, {"loans": (LoanGiven(new_id(), kept.members[0], 10 * RUPEE, 2400, 10),)}, {})
    with transaction(SERVICE) as connection:
        others = [one for one in queries.adrift(connection) if one != kept.institution_id]
    assert not others, "another test left books that are adrift"
    assert operators.verify() == 0
    assert "0 institutions are adrift." in capsys.readouterr().out
    hers = {"one": kept.institution_id, "her": kept.member_ids[0], "other": uuid7()}
    cash, savings_of_her = "head = 'A03'", "head = 'L01' and of_id = :her"
    for fault in (
        f"update balances set paise = paise + 1 where institution_id = :one and {cash}",
        f"update balances set paise = paise - 1 where institution_id = :one and {savings_of_her}",
        f"delete from balances where institution_id = :one and {savings_of_her}",
        "delete from balances where institution_id = :one and head = 'A01' and of_id <> '00000000-0000-0000-0000-000000000000'",
        "insert into balances (institution_id, head, of_id, paise, version) values (:one, 'L02', :other, 1, 1)",
        "update meetings set paise[1] = paise[1] + 1 where institution_id = :one and number = 2",
        "update meetings set status = 'REJECTED' where institution_id = :one and number = 2",
        "update meetings set debit[1] = 104 where institution_id = :one and number = 2",
    ):
        with transaction(SERVICE) as connection:
            planted = connection.begin_nested()
            assert connection.execute(text(fault), hers).rowcount == 1, fault
            assert queries.adrift(connection) == [kept.institution_id], fault
            planted.rollback()
    with transaction(SERVICE) as connection:
        connection.execute(text(f"update balances set paise = paise + 1 where institution_id = :one and {cash}"), hers)
    assert operators.verify() == 1
    assert f"The position of {kept.id} is not the sum of its lines.\n1 institutions are adrift." in capsys.readouterr().out


def test_the_operators_restatement_tells_all_to_one_hearer(kept, capsys, monkeypatch):
    three = stored(kept, {}, {}, {})
    with transaction(SERVICE) as connection:
        Desk(connection, kept).approve(*three)
    monkeypatch.setattr(upkeep, "PAGE_SIZE", 2)
    assert operators.restate("reporting") == 0
    said = capsys.readouterr().out
    assert "approved meetings told to reporting" in said
    assert "institutions' books told to reporting" in said
    with transaction(SERVICE) as connection:
        for one in (*(sheet.meeting_id for sheet in three), kept.id):
            assert [row.destination for row in told(connection, one)].count("reporting") == 1
        connection.execute(outbox.delete().where(outbox.c.destination == "reporting"))


def test_meetings_lie_in_their_year_and_those_of_a_clock_run_ahead_move_there(connection, desk):
    ahead = datetime(2041, 5, 7, tzinfo=UTC).timestamp()
    one = desk.save(meeting_id=str(uuid7(ahead)))
    where = text("select tableoid::regclass::text from meetings where meeting_id = :one")
    assert connection.execute(where, {"one": one.meeting_id}).scalars().all() == ["meetings_default"]
    assert upkeep.make_partitions(connection, date(2040, 4, 30)) == ["meetings_2040", "meetings_2041"]
    assert connection.execute(where, {"one": one.meeting_id}).scalars().all() == ["meetings_2041"]
    assert upkeep.make_partitions(connection, date(2040, 4, 30)) == []
    assert queries.recorded_sheet(connection, one.meeting_id) == one
    now = datetime.now(UTC).date()
    upkeep.make_partitions(connection, now)
    assert connection.execute(text("select to_regclass(:name)"), {"name": partition(now.year).name}).scalar_one()


def test_a_copy_that_drifted_is_noted_until_it_is_equal(connection, group):
    def hear_tally(members, of):
        told_of = profiles_pb2.MembersTallied(block=block, members=members, fingerprint=tally.total(of))
        Consumer().members_tallied(connection, Event(uuid7(), "", 1, datetime.now(UTC), told_of))

    block = BLOCK + "9"
    for version, member_id in enumerate(group.members, 1):
        hear_member(connection, group, member_id, version + 1, region=f"{block}.1.1")
    hear_member(connection, group, group.members[0], 9, region=f"{block}.1.1", status="STATUS_REJECTED")
    held = [(member_id, version + 1) for version, member_id in enumerate(group.member_ids, 1)][1:]
    rows = select(drift.c.members_told, drift.c.members_held).where(drift.c.block == block)
    hear_tally(4, held[1:])
    assert connection.execute(rows).all() == [(4, 4)]
    hear_tally(4, held)
    assert connection.execute(rows).all() == []


YEARS = range(2041, 2046)


def scans(plan):
    """Of every node that reads the meetings: of which partition, and how many rows it looked at."""
    if plan.get("Relation Name", "").startswith("meetings"):
        looked_at = plan["Actual Loops"] * (
            plan["Actual Rows"] + plan.get("Rows Removed by Filter", 0) + plan.get("Rows Removed by Index Recheck", 0)
        )
        yield plan["Relation Name"], looked_at
    for child in plan.get("Plans", ()):
        yield from scans(child)


def test_the_book_of_a_month_of_old_books_reads_the_end_of_them(connection, group):
    """Each year's partition is looked into by its index, and of what was held before the range one meeting is read."""
    for year in YEARS:
        upkeep.make_partitions(connection, date(year, 1, 1))
    a_line = {"ids": [uuid7()], "debit": [103], "credit": [201], "debit_of": [0], "credit_of": [1], "paise": [100]}
    same = {**a_line, "revision": 1, "status": "APPROVED", "content_hash": b"", "content": bytes(500), "flags": []}
    same |= {"maker_user": "IUP_BK", "maker_person": "", "stored_at": datetime.now(UTC)}
    held_on = [date(year, month, 10) for year in YEARS for month in range(1, 13)]
    for of in (group.institution_id, *(uuid7() for _ in range(60))):
        rows = [
            {"meeting_id": uuid7(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp()), "institution_id": of, "number": at, "held_on": day}
            for at, day in enumerate(held_on, 1)
        ]
        connection.execute(meetings.insert(), [{**one, **same} for one in rows])
    stands = {"last_number": 60, "last_held_on": held_on[-1], "approved_through": 60, "highest_number": 60, "version": 60}
    connection.execute(chains.insert().values(institution_id=group.institution_id, **stands))
    connection.execute(text("analyze meetings"))
    asked = []

    def listen(_connection, _cursor, statement, parameters, *_):
        asked.append((statement, parameters))

    event.listen(connection, "before_cursor_execute", listen)
    found = queries.approved_from(connection, group.approver(), group.institution_id, date(2045, 12, 1))
    queries.loans_of(connection, group.institution_id, group.member_ids[0])
    event.remove(connection, "before_cursor_execute", listen)
    assert [one.number for one in found.meetings] == [60]
    assert len(asked) == 4, "so many statements has a passbook"
    statement, parameters = asked[2]
    [plan] = connection.exec_driver_sql(f"explain (analyze, buffers, timing off, format json) {statement}", parameters).scalar_one()
    read = Counter[str]()
    for name, rows in scans(plan["Plan"]):
        read[name] += rows
    of_years = {year: read[f"meetings_{year}"] for year in YEARS}
    assert of_years == {**dict.fromkeys(YEARS, 1), YEARS[-1]: 3}, "the last held before, of each; and the one in the range, twice"
    assert sum(plan["Plan"][f"Shared {how} Blocks"] for how in ("Hit", "Read")) < 100, plan
