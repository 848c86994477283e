"""What must hold of a meeting, with nothing running."""

from dataclasses import replace
from datetime import date, timedelta
from itertools import product
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.kernel.approval import MeetingStatus
from services.kernel.caller import Role
from services.kernel.canonical import content_hash
from services.kernel.errors import Conflict, Forbidden, Invalid, Refused
from services.kernel.ids import uuid7
from services.kernel.money import AMOUNT_PAISE_MAX
from services.kernel.policies import Period, Policies
from services.transactions.rules.books import Chain, Institution, Loan, Member, Recorded, Span
from services.transactions.rules.heads import HEADS_OF, TITLES, Head, Item
from services.transactions.rules.meeting import Attendance, Fine, LoanGiven, Repayment, Saving, Waiting, check, content, effect, lines
from services.transactions.rules.partitions import partition
from services.transactions.rules.record import Pending, admit, approve, check_remark, must_decide, totals
from tests.transactions.builders import FORMED_ON, TODAY, Group, History, Position, meeting, savings

GROUP = Group()
ONE, TWO, *_ = GROUP.member_ids
LOAN, GIVEN = uuid7(), uuid7()
CHAIN = Chain(last_number=0, cash_paise=1000_00, bank_paise=500_00, version=1)
BOOKS = GROUP.books(chain=CHAIN, loans={LOAN: Loan(GROUP.institution_id, ONE, 300_00)})


def sound(**changes):
    """A meeting that stands on BOOKS."""
    return meeting(GROUP, **{"counted_cash_paise": 1000_00, "passbook_bank_paise": 500_00, **changes})


def loan(**changes):
    plain = LoanGiven(loan_id=GIVEN, member_id=TWO, principal_paise=100_00, annual_rate_basis_points=2400, months=10, purpose="goats")
    return replace(plain, **changes)


def refusal(one, books=BOOKS, today=TODAY):
    with pytest.raises(Refused) as refused:
        check(one, books, Policies(), today)
    str(refused.value)  # The sentence has all that it names.
    return refused.value.code, refused.value.field


def test_a_sound_meeting_gives_its_lines():
    posted = check(
        sound(
            savings=(Saving(ONE, 50_00, 10_00), Saving(TWO, 50_00, 0)),
            repayments=(Repayment(LOAN, 100_00, 6_00),),
            loans=(loan(principal_paise=150_00),),
            fines=(Fine(TWO, 5_00),),
            deposited_paise=200_00,
            withdrawn_paise=20_00,
            counted_cash_paise=891_00,
            passbook_bank_paise=680_00,
        ),
        BOOKS,
        Policies(),
        TODAY,
    )
    assert [(line.line, str(line.debit), str(line.credit), line.amount_paise, line.member_id, line.loan_id) for line in posted] == [
        (1, "A03", "L01", 50_00, ONE, None),
        (2, "A03", "L02", 10_00, ONE, None),
        (3, "A03", "L01", 50_00, TWO, None),
        (4, "A03", "A01", 100_00, ONE, LOAN),
        (5, "A03", "I01", 6_00, ONE, LOAN),
        (6, "A03", "I02", 5_00, TWO, None),
        (7, "A01", "A03", 150_00, TWO, GIVEN),
        (8, "A05", "A03", 200_00, None, None),
        (9, "A03", "A05", 20_00, None, None),
    ]
    figures = totals(posted)
    assert (figures.savings_paise, figures.loans_disbursed_paise, figures.principal_repaid_paise) == (110_00, 150_00, 100_00)
    assert (figures.interest_received_paise, figures.fines_paise) == (6_00, 5_00)


BAD = {
    "in the future": (sound(held_on=TODAY + timedelta(days=1)), "HELD_IN_FUTURE", "held_on"),
    "before its formation": (sound(held_on=FORMED_ON - timedelta(days=1)), "HELD_TOO_EARLY", "held_on"),
    "out of sequence": (sound(number=3), "MEETING_OUT_OF_SEQUENCE", "number"),
    "number nought": (sound(number=0), "MEETING_OUT_OF_SEQUENCE", "number"),
    "attends twice": (sound(attendance=(Attendance(ONE, True), Attendance(ONE, False))), "MEMBER_TWICE", "attendance[1].member_id"),
    "saves twice": (sound(savings=(Saving(ONE, 0, 0), Saving(TWO, 0, 0), Saving(ONE, 0, 0))), "MEMBER_TWICE", "savings[2].member_id"),
    "fined twice": (sound(fines=(Fine(ONE, 0), Fine(ONE, 0))), "MEMBER_TWICE", "fines[1].member_id"),
    "two loans": (sound(loans=(loan(), loan(loan_id=uuid7()))), "MEMBER_TWICE", "loans[1].member_id"),
    "one loan to two": (sound(loans=(loan(), loan(member_id=ONE))), "LOAN_TWICE", "loans[1].loan_id"),
    "repaid twice": (sound(repayments=(Repayment(LOAN, 1, 0), Repayment(LOAN, 1, 0))), "LOAN_TWICE", "repayments[1].loan_id"),
    "negative saving": (sound(savings=(Saving(ONE, -1, 0),)), "AMOUNT_NEGATIVE", "savings[0].compulsory_paise"),
    "negative voluntary": (sound(savings=(Saving(ONE, 0, -1),)), "AMOUNT_NEGATIVE", "savings[0].voluntary_paise"),
    "negative repayment": (sound(repayments=(Repayment(LOAN, -1, 0),)), "AMOUNT_NEGATIVE", "repayments[0].principal_paise"),
    "negative interest": (sound(repayments=(Repayment(LOAN, 0, -1),)), "AMOUNT_NEGATIVE", "repayments[0].interest_paise"),
    "negative fine": (sound(fines=(Fine(ONE, -1),)), "AMOUNT_NEGATIVE", "fines[0].amount_paise"),
    "negative deposit": (sound(deposited_paise=-1), "AMOUNT_NEGATIVE", "deposited_paise"),
    "negative withdrawal": (sound(withdrawn_paise=-1), "AMOUNT_NEGATIVE", "withdrawn_paise"),
    "negative count": (sound(counted_cash_paise=-1), "AMOUNT_NEGATIVE", "counted_cash_paise"),
    "negative passbook": (sound(passbook_bank_paise=-1), "AMOUNT_NEGATIVE", "passbook_bank_paise"),
    "paise for rupees": (sound(savings=(Saving(ONE, AMOUNT_PAISE_MAX + 1, 0),)), "AMOUNT_TOO_LARGE", "savings[0].compulsory_paise"),
    "half a paisa": (sound(savings=(Saving(ONE, 0.5, 0),)), "AMOUNT_FRACTIONAL", "savings[0].compulsory_paise"),
    "a loan of nothing": (sound(loans=(loan(principal_paise=0),)), "AMOUNT_MISSING", "loans[0].principal_paise"),
    "usury": (sound(loans=(loan(annual_rate_basis_points=6001),)), "RATE_INVALID", "loans[0].annual_rate_basis_points"),
    "negative rate": (sound(loans=(loan(annual_rate_basis_points=-1),)), "RATE_INVALID", "loans[0].annual_rate_basis_points"),
    "no months": (sound(loans=(loan(months=0),)), "MONTHS_INVALID", "loans[0].months"),
    "too many months": (sound(loans=(loan(months=121),)), "MONTHS_INVALID", "loans[0].months"),
    "a long purpose": (sound(loans=(loan(purpose="x" * 101),)), "PURPOSE_INVALID", "loans[0].purpose"),
    "a purpose with a nought": (sound(loans=(loan(purpose="go\0ats"),)), "PURPOSE_INVALID", "loans[0].purpose"),
    "a loan given before": (sound(loans=(loan(loan_id=LOAN),)), "LOAN_EXISTS", "loans[0].loan_id"),
    "an unknown loan": (sound(repayments=(Repayment(uuid7(), 1, 0),)), "LOAN_UNKNOWN", "repayments[0].loan_id"),
    "repaid too much": (sound(repayments=(Repayment(LOAN, 300_01, 0),)), "REPAYMENT_TOO_LARGE", "repayments[0].principal_paise"),
    "lent too much": (sound(loans=(loan(principal_paise=1000_01),)), "CASH_NEGATIVE", "loans"),
    "deposited too much": (sound(deposited_paise=1000_01), "CASH_NEGATIVE", "deposited_paise"),
    "withdrawn too much": (sound(withdrawn_paise=500_01), "BANK_NEGATIVE", "withdrawn_paise"),
    "a paisa missing": (sound(counted_cash_paise=999_99), "MEETING_UNBALANCED", "counted_cash_paise"),
    "a rupee too much": (sound(counted_cash_paise=1001_00), "MEETING_UNBALANCED", "counted_cash_paise"),
    "the bank differs": (sound(passbook_bank_paise=499_99), "BANK_UNBALANCED", "passbook_bank_paise"),
    "too many members": (sound(attendance=tuple(Attendance(uuid7(), True) for _ in range(101))), "LIST_TOO_LONG", "attendance"),
    "too many repayments": (sound(repayments=tuple(Repayment(uuid7(), 1, 0) for _ in range(501))), "LIST_TOO_LONG", "repayments"),
    "a member not known": (sound(attendance=(Attendance(uuid7(), True),)), "MEMBER_WAITING", "attendance[0].member_id"),
    "a saver not known": (sound(savings=(Saving(uuid7(), 0, 0),)), "MEMBER_WAITING", "savings[0].member_id"),
}


@pytest.mark.parametrize("what", BAD)
def test_what_is_wrong_is_refused_by_name_and_field(what):
    one, code, field = BAD[what]
    assert refusal(one) == (code, field)


def test_a_day_before_the_last_meeting_is_too_early():
    books = replace(BOOKS, chain=replace(CHAIN, last_number=4, last_held_on=date(2026, 10, 6)))
    assert refusal(sound(number=5, held_on=date(2026, 10, 5)), books) == ("HELD_TOO_EARLY", "held_on")
    assert check(sound(number=5, held_on=date(2026, 10, 6)), books, Policies(), TODAY) == []


def test_the_sentence_says_what_is_missing():
    books = replace(BOOKS, chain=replace(CHAIN, cash_paise=1250_00))
    with pytest.raises(Conflict) as refused:
        check(sound(counted_cash_paise=1240_00), books, Policies(), TODAY)
    assert str(refused.value) == "The cash counted is ₹1,240, and the book says ₹1,250: ₹10 is missing."


def test_a_states_policy_of_the_day_of_the_meeting_bounds_a_loan():
    policies = Policies({"loan_months_max": (Period(9, date(2026, 10, 6)),)})
    before, after = (sound(held_on=date(2026, 10, day), loans=(loan(months=10),), counted_cash_paise=900_00) for day in (5, 6))
    assert check(before, BOOKS, policies, TODAY)
    with pytest.raises(Invalid) as refused:
        check(after, BOOKS, policies, TODAY)
    assert (refused.value.code, str(refused.value)) == ("MONTHS_INVALID", "A loan runs for 1 to 9 months.")


HERE, THERE = GROUP.institution_id, uuid7()
DAY = sound().held_on
BEFORE, AFTER = DAY - timedelta(days=1), DAY + timedelta(days=1)


@pytest.mark.parametrize(
    ("member", "code"),
    [
        (Member(HERE, active=False, ended=[(HERE, Span(None, AFTER))]), ""),
        (Member(HERE, active=False, ended=[(HERE, Span(None, DAY))]), ""),
        (Member(HERE, active=False, ended=[(HERE, Span(None, BEFORE))]), "MEMBER_LEFT"),
        # Transferred from here: the day itself is of both.
        (Member(THERE, active=True, since_on=AFTER, ended=[(HERE, Span(None, AFTER))]), ""),
        (Member(THERE, active=True, since_on=DAY, ended=[(HERE, Span(None, DAY))]), ""),
        (Member(THERE, active=True, since_on=BEFORE, ended=[(HERE, Span(None, BEFORE))]), "MEMBER_LEFT"),
        # Transferred to here.
        (Member(HERE, active=True, since_on=BEFORE, ended=[(THERE, Span(None, BEFORE))]), ""),
        (Member(HERE, active=True, since_on=DAY, ended=[(THERE, Span(None, DAY))]), ""),
        (Member(HERE, active=True, since_on=AFTER, ended=[(THERE, Span(None, AFTER))]), "MEMBER_ELSEWHERE"),
        # She left and came back: here at once, after a gap, or elsewhere in between.
        (Member(HERE, active=True, since_on=AFTER, ended=[(HERE, Span(None, DAY))]), ""),
        (Member(HERE, active=True, since_on=AFTER, ended=[(HERE, Span(None, BEFORE))]), "MEMBER_LEFT"),
        (Member(HERE, active=True, since_on=BEFORE, ended=[(HERE, Span(None, FORMED_ON))]), ""),
        (Member(THERE, active=True, since_on=AFTER, ended=[(THERE, Span(None, FORMED_ON)), (HERE, Span(FORMED_ON, AFTER))]), ""),
        (Member(THERE, active=False, ended=[(THERE, Span(None, DAY)), (HERE, Span(AFTER, AFTER))]), "MEMBER_ELSEWHERE"),
        # News that she is here may still come: she is not active yet, or was elsewhere when last heard of.
        (Member(HERE, active=False), "MEMBER_WAITING"),
        (Member(HERE, active=False, since_on=BEFORE, ended=[(THERE, Span(None, BEFORE))]), "MEMBER_WAITING"),
        (Member(THERE, active=True), "MEMBER_WAITING"),
        (Member(THERE, active=False), "MEMBER_WAITING"),
        (Member(THERE, active=True, since_on=BEFORE, ended=[(uuid7(), Span(None, BEFORE))]), "MEMBER_WAITING"),
        (Member(THERE, active=False, ended=[(THERE, Span(None, BEFORE))]), "MEMBER_WAITING"),
        # It can come no more: she was elsewhere that very day, or later.
        (Member(THERE, active=True, since_on=DAY, ended=[(uuid7(), Span(None, DAY))]), "MEMBER_ELSEWHERE"),
        (Member(THERE, active=False, ended=[(THERE, Span(None, AFTER))]), "MEMBER_ELSEWHERE"),
    ],
)
def test_a_member_is_judged_by_where_she_was_on_the_meetings_day(member, code):
    books = replace(BOOKS, members={**BOOKS.members, TWO: member})
    if not code:
        assert check(sound(), books, Policies(), TODAY) == []
        return
    assert refusal(sound(), books) == (code, "attendance[1].member_id")
    with pytest.raises(Refused) as refused:
        check(sound(), books, Policies(), TODAY)
    assert isinstance(refused.value, Waiting) == (code == "MEMBER_WAITING")


def test_who_left_is_refused_before_anybody_is_waited_for():
    left = Member(HERE, active=False, ended=[(HERE, Span(None, BEFORE))])
    books = replace(BOOKS, members={**BOOKS.members, ONE: Member(HERE, active=False), TWO: left})
    assert refusal(sound(), books) == ("MEMBER_LEFT", "attendance[1].member_id")
    with pytest.raises(Invalid) as refused:
        check(sound(), books, Policies(), TODAY)
    assert str(refused.value) == "This member was of this institution until 2026-10-04; take her off the lists of a meeting held later."


def test_who_is_not_active_is_waited_for_and_may_repay():
    pending = replace(BOOKS, members={**BOOKS.members, TWO: Member(GROUP.institution_id, active=False)})
    with pytest.raises(Waiting):
        check(sound(), pending, Policies(), TODAY)
    # She who has a loan may leave; what she still owes can be paid.
    attendance = tuple(Attendance(one, True) for one in GROUP.member_ids if one != TWO)
    owed = replace(pending, loans={LOAN: Loan(GROUP.institution_id, TWO, 300_00)})
    assert check(sound(attendance=attendance, repayments=(Repayment(LOAN, 1_00, 0),), counted_cash_paise=1001_00), owed, Policies(), TODAY)


def test_a_loan_of_another_institution_is_not_known_here():
    books = replace(BOOKS, loans={LOAN: Loan(uuid7(), ONE, 300_00)})
    assert refusal(sound(repayments=(Repayment(LOAN, 1, 0),)), books) == ("LOAN_UNKNOWN", "repayments[0].loan_id")


def admitted(one, books=BOOKS, caller=None):
    try:
        return "STORE" if admit(one, books, caller or GROUP.bookkeeper(), Policies(), TODAY) else "ALREADY"
    except Refused as refused:
        return f"{type(refused).__name__} {refused.code} {refused.field}".strip()


def test_who_may_bring_which_meeting():
    assert admitted(sound()) == "STORE"
    assert admitted(sound(), caller=GROUP.bookkeeper(institutions=frozenset())) == "Forbidden INSTITUTION_NOT_YOURS institution_id"
    assert admitted(sound(), caller=GROUP.bookkeeper(role=Role.VO_BOOKKEEPER)) == "Forbidden BOOKKEEPER_KIND institution_id"
    assert admitted(sound(), replace(BOOKS, institution=None)) == "Waiting INSTITUTION_WAITING institution_id"
    draft = Institution("SHG", GROUP.region, active=False, formed_on=FORMED_ON)
    assert admitted(sound(), replace(BOOKS, institution=draft)) == "Waiting INSTITUTION_WAITING institution_id"


@pytest.mark.parametrize(
    ("active", "since_on", "ended", "outcome"),
    [
        (False, None, [Span(None, AFTER)], "STORE"),
        (False, None, [Span(None, DAY)], "STORE"),
        (False, None, [Span(None, BEFORE)], "Conflict INSTITUTION_CLOSED held_on"),
        (True, AFTER, [Span(None, DAY)], "STORE"),
        (True, AFTER, [Span(None, BEFORE)], "Conflict INSTITUTION_CLOSED held_on"),
        (True, DAY, [Span(None, BEFORE)], "STORE"),
        (False, None, [Span(None, FORMED_ON), Span(BEFORE, DAY)], "STORE"),
        (False, None, [Span(None, FORMED_ON), Span(AFTER, AFTER)], "Conflict INSTITUTION_CLOSED held_on"),
        # It came from the old MIS, was closed there and revived, and is not verified yet.
        (False, BEFORE, [Span(None, FORMED_ON)], "Waiting INSTITUTION_WAITING institution_id"),
    ],
)
def test_an_institutions_meetings_are_those_held_while_it_was_in_being(active, since_on, ended, outcome):
    institution = Institution("SHG", GROUP.region, active, FORMED_ON, since_on, ended)
    assert admitted(sound(), replace(BOOKS, institution=institution)) == outcome


def recorded(one, status=MeetingStatus.CLOSED, **changes):
    sent = content(one)
    plain = {"institution_id": one.institution_id, "revision": one.revision, "number": one.number, "status": status}
    return replace(BOOKS, recorded=Recorded(**{**plain, "content_hash": content_hash(sent), "content": sent, **changes}))


@pytest.mark.parametrize("status", MeetingStatus)
def test_the_same_revision_is_the_same_meeting_whatever_became_of_it(status):
    one = sound()
    books = recorded(one, status)
    assert admitted(one, books) == "ALREADY"
    assert admitted(replace(one, counted_cash_paise=1), books) == "Conflict REVISION_CONTENT counted_cash_paise"
    assert admitted(replace(one, fines=(Fine(ONE, 1),)), books) == "Conflict REVISION_CONTENT fines"
    after = replace(one, revision=2)
    assert admitted(after, books) == ("STORE" if status == MeetingStatus.REJECTED else "Conflict MOVE_NOT_ALLOWED")


def test_revisions_count_up_and_a_device_may_be_ahead_of_restored_books():
    one = sound(revision=2)
    books = recorded(one, MeetingStatus.REJECTED)
    assert admitted(replace(one, revision=1), books) == "Conflict REVISION_OLD revision"
    assert admitted(replace(one, revision=4), books) == "STORE"
    assert admitted(replace(one, revision=3, number=2), books) == "Conflict MEETING_OUT_OF_SEQUENCE number"
    assert admitted(replace(one, revision=3), books) == "STORE"
    assert admitted(sound(revision=0)) == "Invalid REVISION_INVALID revision"
    assert admitted(sound(revision=2)) == "STORE"
    other = recorded(one, institution_id=uuid7())
    assert admitted(one, other) == "Conflict REVISION_CONTENT institution_id"


PENDING = Pending(uuid7(), "SHG", revision=2, number=4, status=MeetingStatus.CLOSED, maker_user="IUP_BK", maker_person="maker")


def test_who_may_decide():
    must_decide(PENDING, 2, GROUP.approver())
    for caller, error, code in (
        (GROUP.approver(role=Role.VO_TRANS_APPROVER), Forbidden, "APPROVER_KIND"),
        (GROUP.approver(person="maker"), Forbidden, "OWN_ENTRY"),
        (GROUP.approver(user_id="IUP_BK", person=""), Forbidden, "OWN_ENTRY"),
    ):
        with pytest.raises(error) as refused:
            must_decide(PENDING, 2, caller)
        assert refused.value.code == code
    for revision in (1, 3):
        with pytest.raises(Conflict) as old:
            must_decide(PENDING, revision, GROUP.approver())
        assert old.value.code == "REVISION_OLD"


@pytest.mark.parametrize(("status", "through"), list(product(MeetingStatus, range(6))))
def test_a_meeting_is_approved_next_in_sequence_or_not_at_all(status, through):
    pending, chain = replace(PENDING, status=status), Chain(last_number=5, approved_through=through)
    if status == MeetingStatus.CLOSED and through == 3:
        assert approve(pending, chain) == MeetingStatus.APPROVED
    else:
        with pytest.raises(Conflict):
            approve(pending, chain)


@pytest.mark.parametrize(
    ("remark", "code"), [("", "REMARK_MISSING"), ("  ", "REMARK_MISSING"), ("x" * 501, "REMARK_TOO_LONG"), ("a\0", "REMARK_TOO_LONG")]
)
def test_a_remark_says_something_and_not_too_much(remark, code):
    with pytest.raises(Invalid) as refused:
        check_remark(remark)
    assert refused.value.code == code


def test_the_chart_has_a_title_for_each_head_and_two_heads_for_each_item():
    assert TITLES.keys() == set(Head)
    assert HEADS_OF.keys() == set(Item)
    assert all(debit != credit for debit, credit in HEADS_OF.values())


@given(st.integers(min_value=2020, max_value=2199), st.integers(1, 12), st.integers(0, 27 * 86400))
def test_an_id_lies_in_the_partition_of_its_month(year, month, second):
    from datetime import UTC, datetime

    moment = datetime(year, month, 1, tzinfo=UTC).timestamp() + second
    part = partition(date(year, month, 1))
    assert part.first <= uuid7(moment) < part.beyond
    assert part.name == f"lines_{year}_{month:02}"


@given(st.randoms(use_true_random=False))
def test_any_history_of_meetings_keeps_the_books_sound(random):
    """Meetings, rejections, resubmissions and approvals at random; after each, all that must hold of the books."""
    history = History(Group(), random)
    before: list[Position] = [Position()]
    for _ in range(12):
        step = random.random()
        undecided = len(history.stored) - history.approved_through
        if step < 0.6 or not undecided:
            one = history.next_meeting()
            history.keep(one, check(one, history.books(), Policies(), TODAY))
            _refuses_a_slip(history, one, random)
            before.append(history.position)
        elif step < 0.8:
            history.approved_through += 1
        else:
            number = random.randint(history.approved_through + 1, len(history.stored))
            history.hand_back(number)
            del before[number:]
        _sound(history)
        assert history.position.cash_paise == before[-1].cash_paise
        assert history.position.saved == before[-1].saved


def _refuses_a_slip(history, one, random):
    """The same meeting with any other cash or bank would not have been stored."""
    history.stored.pop()
    slip = random.choice([-1, 1]) * random.randint(1, 10_000)
    for name in ("counted_cash_paise", "passbook_bank_paise"):
        with pytest.raises(Refused):
            check(replace(one, **{name: getattr(one, name) + slip}), history.books(), Policies(), TODAY)
    history.keep(one, check(one, history.books(), Policies(), TODAY))


def _sound(history):
    position, posted = history.position, history.lines
    heads: dict[str, int] = {}
    for line in posted:
        assert line.amount_paise > 0
        heads[line.debit] = heads.get(line.debit, 0) + line.amount_paise
        heads[line.credit] = heads.get(line.credit, 0) - line.amount_paise
    assert sum(heads.values()) == 0
    assert position.cash_paise >= 0
    assert position.bank_paise >= 0
    assert min((paise for both in position.saved.values() for paise in both), default=0) >= 0
    assert min(position.outstanding.values(), default=0) >= 0
    # What the group owns is what it owes its members and has earned.
    earned = -heads.get("I01", 0) - heads.get("I02", 0)
    owed = sum(map(sum, position.saved.values()))
    assert position.cash_paise + position.bank_paise + sum(position.outstanding.values()) == owed + earned
    if history.stored:
        last = history.stored[-1].meeting
        assert (position.cash_paise, position.bank_paise) == (last.counted_cash_paise, last.passbook_bank_paise)


@given(st.randoms(use_true_random=False))
def test_what_lines_change_is_taken_back_exactly(random):
    history = History(Group(), random)
    for _ in range(4):
        one = history.next_meeting()
        history.keep(one, check(one, history.books(), Policies(), TODAY))
    undone = effect(line for stored in history.stored[1:] for line in stored.lines)
    full, first = history.position, Position.of(history.stored[0].lines)
    assert full.cash_paise - undone.cash_paise == first.cash_paise
    assert full.bank_paise - undone.bank_paise == first.bank_paise
    for one in full.saved:
        back = full.saved[one][0] - undone.compulsory_paise.get(one, 0), full.saved[one][1] - undone.voluntary_paise.get(one, 0)
        assert back == first.saved.get(one, (0, 0))


def test_what_is_nothing_gives_no_line():
    assert lines(meeting(GROUP, savings=savings(GROUP, 0)), {}) == []
    assert isinstance(lines(meeting(GROUP, savings=savings(GROUP, 1)), {})[0].member_id, UUID)
