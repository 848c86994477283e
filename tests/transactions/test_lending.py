"""Loans of every kind in the books: how they are repaid, agreed anew, written off, and lent to institutions."""

from dataclasses import replace
from datetime import date
from uuid import UUID

import pytest
from sqlalchemy import select

from protos.transactions_pb2 import MeetingApproved
from services.transactions import queries
from services.transactions.commands.events import approved
from services.transactions.rules import packed
from services.transactions.rules.agreed import Agreed, kept, shown, terms_kept
from services.transactions.rules.heads import Head
from services.transactions.rules.journal import Account
from services.transactions.rules.loan import dues, interest_owed, unpaid_since
from services.transactions.rules.record import totals
from services.transactions.rules.schedule import DayCount, Frequency, Method, MonthEnd, Moratorium, Rounding, Terms, schedule
from services.transactions.rules.sheet import Borrowing, BorrowingRepayment, LoanGiven, Repayment, Reschedule, Reversal, Saving, WriteOff
from services.transactions.tables import loans
from tests.transactions.builders import RUPEE, Desk, Group, entered, following, hear, hear_institution, new_id, savings

SERVICE = "transactions"
GIVEN_ON, LATER = date(2026, 8, 10), date(2026, 9, 14)


@pytest.fixture
def desk(connection):
    return Desk(connection, hear(connection, Group()))


def lend(desk, rupees=200, months=10, rate=2400, **changes):
    """The first meeting, at which so much is lent; its id and the loan's."""
    loan_id = new_id()
    given = LoanGiven(loan_id, desk.group.members[0], rupees * RUPEE, rate, months, **changes)
    return desk.save(held_on=GIVEN_ON, loans=(given,)), loan_id


def stands(desk, loan_id):
    return desk.standing().loans[loan_id][1]


def left(desk, loan_id):
    return desk.balances.get(Account(Head.MEMBER_LOANS, loan_id), 0)


def row_of(desk, loan_id):
    return desk.connection.execute(select(loans).where(loans.c.loan_id == UUID(loan_id))).one()


ODD = Terms(
    7 * RUPEE,
    1200,
    9,
    GIVEN_ON,
    50,
    Method.FLAT,
    Frequency.FORTNIGHTLY,
    DayCount.ACTUAL_ACTUAL,
    LATER,
    MonthEnd.ROLL,
    2,
    Moratorium.ACCRUED,
    Rounding.HALF_EVEN,
)


@pytest.mark.parametrize("terms", [ODD, replace(ODD, first_due_on=None, moratorium=0), Terms(5, 0, 3, GIVEN_ON), Terms(5, 0, 3, GIVEN_ON, 1)])
def test_terms_come_back_from_what_is_kept_of_them(terms):
    again = (terms.principal_paise, terms.annual_rate_basis_points, terms.instalments, terms.given_on, terms.rounding_paise)
    assert terms_kept(*again, kept(terms)) == terms
    assert terms_kept(*again, {**(kept(terms) or {}), "colour": "red"}) == terms, "what a newer version wrote"


def test_what_is_as_usual_is_kept_in_no_words():
    assert kept(Terms(5, 0, 3, GIVEN_ON)) is None
    assert shown(Terms(5, 0, 3, GIVEN_ON)) == {}
    weeks = Terms(5, 0, 3, GIVEN_ON, frequency=Frequency.WEEKLY, day_count=DayCount.ACTUAL_365)
    assert shown(weeks) == {"frequency": "WEEKLY", "instalments": 3}
    assert shown(replace(weeks, day_count=DayCount.THIRTY_360))["day_count"] == "30/360"


def test_a_loan_by_the_week_falls_due_by_the_week(desk):
    agreed = Agreed(method="EQUAL_PRINCIPAL", frequency="WEEKLY", day_count="ACTUAL/365", instalments=10)
    _, loan_id = lend(desk, months=0, agreed=agreed)
    loan = stands(desk, loan_id)
    assert [row.due_on for row in schedule(loan.terms)][:2] == [date(2026, 8, 17), date(2026, 8, 24)]
    assert dues(loan.terms, loan.standing, date(2026, 8, 24)).overdue_paise == 20 * RUPEE
    assert dues(loan.terms, loan.standing, date(2026, 8, 24)).due_paise == 20 * RUPEE
    # 200 rupees at 24% for a week: 92 paise, rounded.
    assert interest_owed(loan.terms, loan.standing, date(2026, 8, 17)) == 1 * RUPEE
    desk.save(held_on=date(2026, 8, 17), repayments=(Repayment(loan_id, 20 * RUPEE, 1 * RUPEE),))
    loan = stands(desk, loan_id)
    assert (loan.standing.interest_unpaid_paise, unpaid_since(loan.terms, loan.standing)) == (0, date(2026, 8, 24))
    assert row_of(desk, loan_id).agreed == {"method": "EQUAL_PRINCIPAL", "frequency": "WEEKLY"}, "which is how weeks are counted"


def test_in_a_moratorium_interest_alone_is_asked_or_nothing(desk):
    paid, accrued = (Agreed(moratorium=2, moratorium_interest=one) for one in ("PAID", "ACCRUED"))
    _, loan_id = lend(desk, agreed=paid)
    other_id = new_id()
    desk.save(held_on=GIVEN_ON, loans=(LoanGiven(other_id, desk.group.members[1], 200 * RUPEE, 2400, 10, agreed=accrued),))
    at = date(2026, 10, 20)
    one, other = (dues(stands(desk, of).terms, stands(desk, of).standing, at) for of in (loan_id, other_id))
    assert (one.overdue_paise + one.due_paise, one.interest_due_paise, one.interest_overdue_paise) == (0, 8 * RUPEE, 4 * RUPEE)
    assert (other.overdue_paise + other.due_paise, other.interest_due_paise) == (0, 0), "it is asked with the instalments"
    assert interest_owed(stands(desk, other_id).terms, stands(desk, other_id).standing, at) == 8 * RUPEE
    assert [unpaid_since(stands(desk, of).terms, stands(desk, of).standing) for of in (loan_id, other_id)] == [date(2026, 9, 30), date(2026, 11, 30)]


# Agreed anew.


def anew(loan_id, months=5, rate=1200, reason="The rains failed", **changes):
    return Reschedule(loan_id, rate, months, reason=reason, **changes)


def test_what_is_rescheduled_is_as_if_what_is_outstanding_had_been_lent_that_day(desk):
    given, loan_id = lend(desk)
    paid = desk.save(held_on=LATER, repayments=(Repayment(loan_id, 50 * RUPEE, 1 * RUPEE),), reschedules=(anew(loan_id),))
    loan = stands(desk, loan_id)
    assert loan.terms == Terms(150 * RUPEE, 1200, 5, LATER)
    assert loan.earlier == ((paid.meeting_id, Terms(200 * RUPEE, 2400, 10, GIVEN_ON)),)
    assert (loan.standing.outstanding_paise, loan.standing.interest_unpaid_paise) == (150 * RUPEE, 3 * RUPEE), "of August's 4 rupees 3 stay owed"
    assert dues(loan.terms, loan.standing, date(2026, 10, 5)).interest_due_paise == (3 + 2) * RUPEE
    assert unpaid_since(loan.terms, loan.standing) == date(2026, 10, 31)
    assert desk.approve(given, paid, unseen=True) == ["", "MEETING_FLAGGED"]


def test_handed_back_a_loan_has_the_terms_again_that_it_had(desk):
    _, loan_id = lend(desk)
    first = desk.save(held_on=LATER, reschedules=(anew(loan_id),))
    between = stands(desk, loan_id)
    again = desk.save(held_on=date(2026, 10, 5), reschedules=(anew(loan_id, months=21, agreed=Agreed(frequency="QUARTERLY", method="FLAT")),))
    assert len(stands(desk, loan_id).earlier) == 2
    desk.reject(again)
    assert stands(desk, loan_id) == between
    desk.reject(first)
    assert (stands(desk, loan_id).terms, stands(desk, loan_id).earlier) == (Terms(200 * RUPEE, 2400, 10, GIVEN_ON), ())
    assert row_of(desk, loan_id).earlier is None


def test_a_loan_given_and_rescheduled_in_one_upload(connection, desk):
    """What is not stored yet has no row to change."""
    loan_id = new_id()
    lent = desk.next(held_on=GIVEN_ON, savings=savings(desk.group), loans=(LoanGiven(loan_id, desk.group.members[0], 100 * RUPEE, 0, 10),))
    books = entered(lent, queries.books(connection, [lent]))
    later = following(books, desk.group, held_on=LATER, reschedules=(anew(loan_id),))
    assert desk.send(later, lent) == ["APPLIED", "APPLIED"]
    assert (stands(desk, loan_id).terms.instalments, len(stands(desk, loan_id).earlier)) == (5, 1)


def test_a_borrowing_is_rescheduled_too(desk):
    borrowing_id = new_id()
    desk.save(held_on=GIVEN_ON, borrowings=(Borrowing(borrowing_id, "VO", 1000 * RUPEE, 1200, 10),))
    desk.save(held_on=LATER, borrowing_repayments=(BorrowingRepayment(borrowing_id, 100 * RUPEE, 0),), reschedules=(anew(borrowing_id),))
    assert stands(desk, borrowing_id).terms == Terms(900 * RUPEE, 1200, 5, LATER)


# Written off.


def test_what_is_written_off_is_an_expense_no_repayment_and_owes_no_interest(desk):
    given, loan_id = lend(desk)
    gone = WriteOff(loan_id, 150 * RUPEE, "She is gone")
    lost = desk.save(held_on=LATER, repayments=(Repayment(loan_id, 50 * RUPEE, 1 * RUPEE),), write_offs=(gone,))
    assert (left(desk, loan_id), desk.balances[Account(Head.WRITE_OFF)]) == (0, 150 * RUPEE)
    assert loan_id not in desk.standing().loans
    row = queries.meeting(desk.connection, desk.group.approver(), UUID(lost.meeting_id))
    assert totals(packed.unpack_lines(row), 0).principal_repaid_paise == 50 * RUPEE
    assert desk.approve(given, lost, unseen=True) == ["", "MEETING_FLAGGED"]
    assert desk.approve(lost) == [""]
    line = next(line.line for line in packed.unpack_lines(row) if line.debit == Head.WRITE_OFF)
    back = desk.save(held_on=date(2026, 10, 5), reversals=(Reversal(lost.meeting_id, line),))
    assert left(desk, loan_id) == 150 * RUPEE
    again = stands(desk, loan_id)
    assert interest_owed(again.terms, again.standing, date(2026, 10, 5)) == (4 - 1 + 3) * RUPEE, "as if it had never been written off"
    desk.reject(back)
    assert left(desk, loan_id) == 0
    assert queries.adrift(desk.connection) == []


def test_a_write_off_that_is_handed_back_leaves_the_loan_as_it_was(desk):
    _, loan_id = lend(desk)
    desk.save(held_on=LATER)
    before = stands(desk, loan_id)
    desk.reject(desk.save(held_on=LATER, write_offs=(WriteOff(loan_id, 200 * RUPEE, "She is gone"),)))
    assert stands(desk, loan_id) == before


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        (lambda loan_id: {"write_offs": (WriteOff(loan_id, 199 * RUPEE, "Half is gone"),)}, "WRITE_OFF_PARTIAL"),
        (lambda loan_id: {"write_offs": (WriteOff(new_id(), 200 * RUPEE, "Whose?"),)}, "LOAN_UNKNOWN"),
        (lambda loan_id: {"reschedules": (anew(new_id()),)}, "LOAN_UNKNOWN"),
        (lambda loan_id: {"repayments": (Repayment(loan_id, 200 * RUPEE, 0),), "reschedules": (anew(loan_id),)}, "NOTHING_OUTSTANDING"),
    ],
)
def test_only_what_is_outstanding_is_rescheduled_or_written_off(desk, changes, code):
    _, loan_id = lend(desk)
    sent = changes(loan_id)
    for name, lists in (("write_offs", sent.pop("write_offs", ())), ("reschedules", sent.pop("reschedules", ()))):
        if lists:
            one = desk.next(held_on=LATER, **sent)
            assert desk.send(replace(one, **{name: lists})) == [code]


def test_what_was_borrowed_is_not_written_off_by_who_borrowed_it(desk):
    borrowing_id = new_id()
    desk.save(held_on=GIVEN_ON, borrowings=(Borrowing(borrowing_id, "VO", 100 * RUPEE, 1200, 10),))
    one = desk.next(held_on=LATER)
    assert desk.send(replace(one, write_offs=(WriteOff(borrowing_id, 100 * RUPEE, "Forgotten"),))) == ["LOAN_UNKNOWN"]


# Lent to institutions.


@pytest.fixture
def vo(connection):
    """A VO with an SHG below it, and one that is not."""
    vo = Desk(connection, hear(connection, Group(kind="VO")))
    below, beside = Group(parent_id=vo.group.institution_id), Group()
    for one in (below, beside):
        hear_institution(connection, one)
    return vo, below, beside


def test_a_vo_lends_to_an_shg_below_it(vo):
    desk, below, _ = vo
    loan_id = new_id()
    given = desk.save(held_on=GIVEN_ON, loans=(LoanGiven(loan_id, "", 100 * RUPEE, 1200, 10, fund="CIF", borrower_id=below.id),))
    assert desk.balances[Account(Head.INSTITUTION_LOANS, loan_id)] == 100 * RUPEE
    loan = stands(desk, loan_id)
    assert (loan.head, loan.borrower_id) == (Head.INSTITUTION_LOANS, below.id)
    desk.save(held_on=LATER, repayments=(Repayment(loan_id, 40 * RUPEE, 1 * RUPEE),))
    assert desk.balances[Account(Head.INSTITUTION_LOANS, loan_id)] == 60 * RUPEE
    assert desk.balances[Account(Head.LOAN_INTEREST)] == 1 * RUPEE
    lost = desk.save(held_on=date(2026, 10, 5), write_offs=(WriteOff(loan_id, 60 * RUPEE, "It is dissolved"),))
    assert (desk.balances[Account(Head.WRITE_OFF)], Account(Head.INSTITUTION_LOANS, loan_id) in desk.balances) == (60 * RUPEE, False)
    assert desk.approve(given, unseen=True) == [""]
    desk.reject(lost)


def test_an_institution_lends_to_whom_it_may(vo, desk):
    lender, below, beside = vo
    member_id = lender.group.members[0]
    for of, borrower in (("", beside.id), (member_id, ""), ("", ""), (member_id, below.id)):
        one = lender.next(held_on=GIVEN_ON, savings=(Saving(member_id, 500 * RUPEE, 0),))
        loan = LoanGiven(new_id(), of, 1 * RUPEE, 0, 1, borrower_id=borrower)
        expected = "BORROWER_UNKNOWN" if borrower == beside.id else "BORROWER_MISSING"
        assert lender.send(replace(one, loans=(loan,))) == [expected]
    for of, borrower in (("", below.id), (desk.group.members[0], below.id)):
        one = desk.next(held_on=GIVEN_ON)
        assert desk.send(replace(one, loans=(LoanGiven(new_id(), of, 1 * RUPEE, 0, 1, borrower_id=borrower),))) == ["BORROWER_MISSING"]


# What is told.


def test_a_meeting_tells_what_it_changed_of_due_dates(desk):
    given, loan_id = lend(desk, rate=0, rupees=100, months=2)
    paid = desk.save(held_on=LATER, repayments=(Repayment(loan_id, 60 * RUPEE, 0),))
    september, october = "2026-09-30", "2026-10-31"

    def told(one):
        row = queries.pending(desk.connection, desk.group.approver(), [UUID(one.meeting_id)])[UUID(one.meeting_id)][2]
        body = approved(row, row.lies_in, row.stored_at)["body"]
        message = MeetingApproved.FromString(body)
        return {(due.head, due.due_on): (due.scheduled_paise, due.collected_paise, due.loans, due.outstanding_paise) for due in message.dues}

    assert told(given) == {("A01", september): (5000, 0, 1, 10000), ("A01", october): (5000, 0, 0, 0)}
    assert told(paid) == {("A01", september): (0, 5000, -1, -10000), ("A01", october): (0, 1000, 1, 4000)}
    again = desk.save(held_on=date(2026, 10, 5), reschedules=(anew(loan_id, months=4, rate=0),))
    assert told(again) == {
        ("A01", october): (-4000, 0, -1, -4000),
        ("A01", "2026-11-30"): (1000, 0, 1, 4000),
        **{("A01", day): (1000, 0, 0, 0) for day in ("2026-12-31", "2027-01-31", "2027-02-28")},
    }
    lost = desk.save(held_on=date(2026, 10, 5), write_offs=(WriteOff(loan_id, 4000, "She is gone"),))
    assert told(lost)["A01", "2026-11-30"] == (-1000, 0, -1, -4000)
