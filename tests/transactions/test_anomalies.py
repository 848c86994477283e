"""What officers are shown: meetings with a flag and attempts that were refused, each with its reasons, of those whom she sees alone."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import select, text

from protos import transactions_pb2 as pb
from protos.common_pb2 import Page
from services.chassis.audit import audit
from services.chassis.database import transaction
from services.kernel.caller import Caller, Role
from services.kernel.errors import Conflict, NotFound
from services.kernel.ids import uuid7
from services.transactions import jobs, queries
from services.transactions.commands import refuse
from services.transactions.rules import anomaly
from services.transactions.rules.anomaly import Reason, reasons
from services.transactions.rules.sheet import Attendance, Entry, LoanGiven, Repayment, Reversal, Saving, Withdrawal
from services.transactions.servicer import Servicer
from services.transactions.tables import refused
from tests.transactions.builders import BLOCK, RUPEE, Group, new_id, savings, sheet
from tests.transactions.test_servicer import FIRST, LAST, MIDDLE, SERVICE, approve, as_, days, made, next_of, refusal, saved, send, wire  # noqa: F401 - made is a fixture

SLIP = 100 * 50 * RUPEE  # A hundred times what a group of these tests saves.


@pytest.fixture
def group(made):  # noqa: F811 - the fixture
    return made()


@pytest.fixture
def servicer(up):
    return Servicer()


def absent(group, *members):
    """Who is there: all but these."""
    return tuple(Attendance(one, place not in members) for place, one in enumerate(group.members))


def manager(region=BLOCK, **changes):
    return Caller("IUP_BPM", Role.BLOCK_PROGRAM_MANAGER, region, **changes)


def listed(servicer, caller, **changes):
    as_(caller)
    return list(servicer.ListAnomalies(pb.ListAnomaliesRequest(**{**days(), **changes}), None).anomalies)


def of_groups(found, *groups):
    ids = {group.id for group in groups}
    return [one for one in found if one.institution_id in ids]


# The reasons, in sentences.


def test_a_reason_names_the_entry_whom_it_is_about_and_how_much():
    group = Group()
    one, two, three, *_ = group.members
    loan = LoanGiven(new_id(), two, 1_20_000 * RUPEE, 2400, 10)
    full = sheet(
        group,
        attendance=absent(group, 1),
        loans=(LoanGiven(new_id(), one, 5, 2400, 10), loan),
        savings=(Saving(one, 50 * RUPEE, 0), Saving(two, 0, SLIP), Saving(three, SLIP - 1, SLIP - 1)),
        entries=(Entry("TRAVEL", 9 * SLIP), Entry("FINE", SLIP, three)),
        repayments=(Repayment(loan.loan_id, 5, SLIP + 1),),
        reversals=(Reversal(new_id(), 1), Reversal(new_id(), 2)),
        revision=3,
    )
    found = reasons(["LOAN_WHILE_ABSENT", "SAVING_UNUSUAL", "AMOUNT_UNUSUAL"], full, 50 * RUPEE, 0)
    assert found == [
        Reason(
            "LOAN_WHILE_ABSENT", "A loan of ₹1,20,000 was given to a member who was not present.", "loans[1]", two, loan.loan_id, loan.principal_paise
        ),
        Reason("SAVING_UNUSUAL", "A member saved ₹5,000, a hundred times the compulsory saving or more.", "savings[1]", two, "", SLIP),
        Reason("AMOUNT_UNUSUAL", "A member paid or was paid ₹5,000, a hundred times the compulsory saving or more.", "entries[1]", three, "", SLIP),
        Reason(
            "AMOUNT_UNUSUAL",
            "A member paid or was paid ₹5,000.01, a hundred times the compulsory saving or more.",
            "repayments[0]",
            "",
            loan.loan_id,
            SLIP + 1,
        ),
    ]
    said = [one.sentence for one in reasons(["REVERSAL", "REVISED", "NOBODY_PRESENT", "ATTENDANCE_INCOMPLETE"], full, 0, 4)]
    assert [part.rpartition(" ")[2] for part in said] == ["2.", "3.", "present.", "4."]
    assert all(one.sentence == anomaly.FLAGS["MANUAL_BOOKS_DIFFER"] for one in reasons(["MANUAL_BOOKS_DIFFER"], full, 0, 0))


@pytest.mark.parametrize("compulsory_paise", [0, 10 * SLIP])
def test_where_the_group_saves_another_amount_now_the_largest_is_named(compulsory_paise):
    group = Group()
    full = sheet(group, savings=(Saving(group.members[0], 1, 7), Saving(group.members[1], 9, 0)))
    assert [(one.field, one.amount_paise) for one in reasons(["SAVING_UNUSUAL"], full, compulsory_paise, 0)] == [("savings[1]", 9)]


@pytest.mark.parametrize(
    ("field", "place"),
    [
        ("withdrawals[0]", 1),
        ("withdrawals[0].member_id", 1),
        ("savings[2].compulsory_paise", 2),
        ("loans", None),
        ("bank_moves[0]", None),
        ("", None),
    ],
)
def test_whom_a_refusal_is_about_stands_in_the_entry_that_it_names(field, place):
    group = Group()
    full = sheet(group, savings=savings(group), withdrawals=(Withdrawal(group.members[1], 1, 0),), bank_moves=("no member has it",))
    assert anomaly.refused_member(full, field) == ("" if place is None else group.members[place])


def test_every_flag_and_refusal_that_is_listed_is_one_that_the_books_raise():
    import inspect

    from services.transactions.rules import meeting, settlement

    code = inspect.getsource(meeting) + inspect.getsource(settlement)
    for kind in anomaly.KINDS:
        assert f'"{kind}"' in code, kind
    raised = inspect.getsource(meeting._flags)
    assert [line.split('"')[1] for line in raised.splitlines() if line.strip().startswith('"') and "look at" not in line] == list(anomaly.FLAGS)


# The list.


def test_a_loan_to_an_absent_member_is_listed_waiting_and_approved_the_newest_first(servicer, group):
    first = saved(servicer, group)
    loan = LoanGiven(new_id(), group.members[2], 100 * RUPEE, 2400, 10)
    lent = saved(servicer, group, held_on=MIDDLE, attendance=absent(group, 2), loans=(loan,))
    last = saved(servicer, group, held_on=LAST, manual_books_differ="by ₹2")
    approve(servicer, group, first)
    as_(group.approver())
    servicer.ApproveMeeting(pb.ApproveMeetingRequest(meeting_id=lent.meeting_id, revision=1), None)
    newest, older = listed(servicer, group.approver())
    assert (newest.meeting_id, newest.status, [one.kind for one in newest.reasons]) == (
        last.meeting_id,
        pb.MEETING_STATUS_CLOSED,
        ["MANUAL_BOOKS_DIFFER"],
    )
    assert (older.institution_id, older.meeting_id, older.number, older.held_on) == (group.id, lent.meeting_id, 2, MIDDLE.isoformat())
    assert (older.status, older.maker_user, older.revision) == (pb.MEETING_STATUS_APPROVED, "IUP_BK", 1)
    [reason] = older.reasons
    assert (reason.kind, reason.field, reason.member_id, reason.loan_id, reason.amount_paise) == (
        "LOAN_WHILE_ABSENT",
        "loans[0]",
        group.members[2],
        loan.loan_id,
        100 * RUPEE,
    )
    assert "by ₹2" not in str(newest), "in what, the meeting says"
    assert [one.meeting_id for one in listed(servicer, group.approver(), kinds=["LOAN_WHILE_ABSENT"])] == [lent.meeting_id]
    assert [one.meeting_id for one in listed(servicer, group.approver(), **days(MIDDLE, MIDDLE))] == [lent.meeting_id]
    assert listed(servicer, group.approver(), kinds=["SAVINGS_NEGATIVE"]) == []


def test_what_was_handed_back_is_listed_no_more(servicer, group):
    one = saved(servicer, group, manual_books_differ="by ₹2")
    assert len(listed(servicer, group.approver())) == 1
    as_(group.approver())
    servicer.RejectMeeting(pb.RejectMeetingRequest(meeting_id=one.meeting_id, revision=1, remark="which two?"), None)
    assert listed(servicer, group.approver()) == []


def overdrawn(group, **changes):
    """A meeting that pays a member more than she has."""
    one = next_of(group, savings=savings(group), **changes)
    return replace(one, withdrawals=(Withdrawal(group.members[3], 0, 60 * RUPEE),))


def kept(group):
    with transaction(SERVICE) as connection:
        return connection.execute(select(refused).where(refused.c.institution_id == group.institution_id)).all()


def test_savings_withdrawn_beyond_what_she_has_are_refused_and_listed_once(servicer, group):
    one = overdrawn(group)
    for _ in range(3):
        assert send(servicer, group, wire(one)) == [("REFUSED", "SAVINGS_NEGATIVE")]
    [shown] = listed(servicer, group.approver())
    assert (shown.meeting_id, shown.revision, shown.held_on, shown.status) == (one.meeting_id, 1, FIRST.isoformat(), pb.MEETING_STATUS_UNSPECIFIED)
    assert (shown.maker_user, abs(shown.refused_at.ToDatetime(UTC) - datetime.now(UTC)) < timedelta(minutes=1)) == ("IUP_BK", True)
    [reason] = shown.reasons
    assert (reason.kind, reason.field, reason.member_id) == ("SAVINGS_NEGATIVE", "withdrawals[0]", group.members[3])
    assert reason.sentence == anomaly.REFUSED["SAVINGS_NEGATIVE"]
    with transaction(SERVICE) as connection:
        noted = connection.execute(select(audit).where(audit.c.action == "meeting.refuse", audit.c.subjects.has_key(one.meeting_id))).all()
    assert [note.facts for note in noted] == [{"revision": 1, "code": "SAVINGS_NEGATIVE"}]
    assert send(servicer, group, wire(replace(one, withdrawals=(), counted_cash_paise=1))) == [("REFUSED", "CASH_UNBALANCED")]
    assert len(kept(group)) == 1, "a sum that is off is no business of theirs"
    assert send(servicer, group, wire(replace(one, revision=2))) == [("REFUSED", "SAVINGS_NEGATIVE")]
    assert [one.revision for one in listed(servicer, group.approver())] == [2, 1]


def test_an_attempt_stays_listed_beside_the_meeting_that_was_put_right(servicer, group):
    tried = overdrawn(group, manual_books_differ="a page is lost")
    assert send(servicer, group, wire(tried)) == [("REFUSED", "SAVINGS_NEGATIVE")]
    assert send(servicer, group, wire(replace(tried, withdrawals=()))) == [("APPLIED", "")]
    found = listed(servicer, group.approver())
    assert [[one.kind for one in shown.reasons] for shown in found] == [["SAVINGS_NEGATIVE"], ["MANUAL_BOOKS_DIFFER"]]
    assert {shown.meeting_id for shown in found} == {tried.meeting_id}


def test_nothing_is_noted_of_an_institution_that_is_not_hers(servicer, group):
    assert send(servicer, group, wire(overdrawn(group)), institutions=frozenset({uuid7()})) == [("REFUSED", "INSTITUTION_NOT_YOURS")]
    assert kept(group) == []


def test_of_an_institution_the_newest_attempts_are_kept_and_none_for_ever(up, group):
    one, now = overdrawn(group), datetime.now(UTC)
    answered = Conflict("SAVINGS_NEGATIVE", "More.", field="withdrawals[0]")
    with transaction(SERVICE) as connection:
        for number in range(refuse.KEPT_MAX + 5):
            refuse.note(connection, group.bookkeeper(), replace(one, meeting_id=new_id(), number=number), answered, now + timedelta(seconds=number))
    assert sorted(row.number for row in kept(group)) == list(range(5, refuse.KEPT_MAX + 5))
    with transaction(SERVICE) as connection:
        connection.execute(refused.update().where(refused.c.number == 5).values(refused_at=now - timedelta(days=401)))
        connection.execute(refused.update().where(refused.c.number == 6).values(refused_at=now - timedelta(days=399)))
    jobs.forget_refused.function(SERVICE, {})
    assert min(row.number for row in kept(group)) == 6


def test_a_list_is_paged_without_gap_or_repetition(servicer, made):  # noqa: F811 - the fixture
    parent = uuid7()
    groups = [made(parent_id=parent) for _ in range(3)]
    for group in groups:
        for day in (FIRST, MIDDLE, MIDDLE):
            one = next_of(group, savings=savings(group), held_on=day, manual_books_differ="a page is lost")
            assert send(servicer, group, wire(replace(one, withdrawals=(Withdrawal(group.members[0], 10_000 * RUPEE, 0),))))[0][0] == "REFUSED"
            assert send(servicer, group, wire(one)) == [("APPLIED", "")]
    everything = listed(servicer, groups[0].approver())
    assert len(everything) == 18
    assert [one.held_on for one in everything] == sorted((one.held_on for one in everything), reverse=True)
    for size in (1, 4, 17):
        found, after = [], ""
        while len(found) < 50:
            page = servicer.ListAnomalies(pb.ListAnomaliesRequest(**days(), page=Page(size=size, after=after)), None)
            found += page.anomalies
            after = page.next
            if not after:
                break
        assert found == everything


# Who sees what.


def test_an_officer_sees_her_region_and_an_approver_what_lies_below_her(servicer, made):  # noqa: F811 - the fixture
    near, far = made(region=f"{BLOCK}.901.1"), made(region=f"{BLOCK}.902.1")
    for group in (near, far):
        saved(servicer, group, manual_books_differ="by ₹2")
    both = {near.id, far.id}

    def seen(caller, **changes):
        return {one.institution_id for one in of_groups(listed(servicer, caller, **changes), near, far)}

    assert seen(manager()) == both
    assert seen(manager(clusters=(f"{BLOCK}.902",))) == {far.id}
    assert seen(manager("9.178.1205")) == set()
    assert seen(manager(), region=f"{BLOCK}.901") == {near.id}
    assert seen(manager(), region=near.region, institution_id=near.id) == {near.id}
    assert seen(manager(), region=near.region, institution_id=far.id) == set()
    assert seen(near.approver()) == {near.id}
    assert seen(near.approver(), region=f"{BLOCK}.902") == set()
    for caller, of in ((manager("9.178.1205"), near), (near.approver(), far)):
        with pytest.raises(NotFound) as unknown:
            listed(servicer, caller, institution_id=of.id)
        assert unknown.value.code == "INSTITUTION_UNKNOWN"


def test_whoever_is_shown_a_member_is_noted(servicer, group):
    lent = saved(servicer, group, attendance=absent(group, 2), loans=(LoanGiven(new_id(), group.members[2], 100 * RUPEE, 2400, 10),))
    seen = []
    servicer._reads.seen = lambda caller, action, subjects: seen.append((caller.user_id, action, list(subjects)))
    listed(servicer, manager(group.region))
    [(who, action, subjects)] = seen
    assert (who, action) == ("IUP_BPM", "meeting.anomalies")
    assert {lent.meeting_id, group.members[2]} <= set(subjects)


@pytest.mark.parametrize(
    ("said", "refused_with"),
    [
        ({"kinds": ["LOAN_WHILE_ABSENT", "GHOST"]}, ("ANOMALY_UNKNOWN", "kinds[1]")),
        ({"from_on": "yesterday"}, ("DATE_INVALID", "from_on")),
        (days(LAST, FIRST), ("RANGE_INVALID", "from_on")),
        (days(LAST - timedelta(days=366), LAST), ("RANGE_TOO_LONG", "from_on")),
        ({"institution_id": "x"}, ("ID_INVALID", "institution_id")),
        *(
            ({"page": Page(after=after)}, ("PAGE_INVALID", "page.after"))
            for after in ("x", "2026-01-01/x/", "2026-01-01/01890a5d-ac96-7ab2-80e2-4536629c90de/GHOST.1", "2026-01-01//", "1/2/3/4")
        ),
    ],
)
def test_what_is_no_list_is_refused_in_words(servicer, group, said, refused_with):
    as_(group.approver())
    assert refusal(servicer.ListAnomalies, pb.ListAnomaliesRequest(**{**days(), **said})) == refused_with


def test_a_page_of_a_block_reads_an_index_of_flagged_meetings_alone(up, connection):
    connection.execute(text("set local enable_seqscan = off"))
    wanted = anomaly.Wanted(FIRST, LAST, BLOCK)
    statement = queries._newest(manager(), wanted, queries.meetings, queries.literal("").label("attempt"), (queries.FLAGGED,), None, 50)
    plan = "\n".join(connection.execute(text("explain " + str(statement.compile(connection, compile_kwargs={"literal_binds": True})))).scalars())
    assert plan.count("meetings_") >= 1, plan
    assert "institutions_region" in plan, plan
    assert "held_on_meeting_id_idx" in plan, plan
