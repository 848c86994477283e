"""The cut-off: what a group had on paper comes in whole, balanced by its surplus, and goes on as if it had always been here."""

from dataclasses import replace
from datetime import date, timedelta
from uuid import UUID

import pytest
from sqlalchemy import select

from protos import transactions_pb2 as pb
from services.chassis.mailbox import outbox
from services.kernel.canonical import content_hash
from services.kernel.errors import Refused
from services.kernel.money import AMOUNT_PAISE_MAX
from services.kernel.policies import Period, Policies
from services.transactions import queries
from services.transactions.rules import statements
from services.transactions.rules.agreed import Agreed
from services.transactions.rules.books import Member, Span
from services.transactions.rules.cut_off import CUT_OFF_NUMBER_MIN, NUMBER_MAX
from services.transactions.rules.heads import ITEMS, Head
from services.transactions.rules.journal import Account, Held, Line, is_opening
from services.transactions.rules.loan import Order, Standing, dues, interest_owed
from services.transactions.rules.meeting import FIRST_NUMBER_MAX, Waiting, lines
from services.transactions.rules.packed import unpack_content, unpack_sheet
from services.transactions.rules.record import admit, totals
from services.transactions.rules.schedule import Method, Terms
from services.transactions.rules.sheet import (
    ENTRIES_MAX,
    KINDS,
    OPENINGS,
    TEXT_LENGTH_MAX,
    ActiveBorrowing,
    ActiveLoan,
    BankStatement,
    BorrowingRepayment,
    ClosedBorrowing,
    CutOff,
    Entry,
    LoanGiven,
    NewSchedule,
    OpeningFund,
    OpeningInvestment,
    OpeningMember,
    Paid,
    Repayment,
    Reschedule,
    Reversal,
    Saving,
    WriteOff,
    content,
    named_banks,
    named_borrowers,
    named_loans,
    named_members,
)
from services.transactions.servicer import showing
from services.transactions.servicer.reading import read_sheet, read_upload
from services.transactions.tables import loans, meetings
from tests.transactions.builders import (
    TODAY,
    Desk,
    Group,
    cut_off,
    entered,
    everything,
    final,
    following,
    hear,
    hear_institution,
    leaving,
    new_id,
    savings,
    sheet,
    upload,
)
from tests.transactions.test_packed import stored

SERVICE = "transactions"
OLD = date(2020, 4, 1)
DAY = date(2026, 10, 5)
LONG = "x" * (TEXT_LENGTH_MAX + 1)


def old_group(**changes):
    return Group(bank_ids=sorted((new_id(), new_id())), **changes)


def books_of(group, **changes):
    """The empty books of a group that was formed six years ago."""
    return group.books(institution=group.institution(formed_on=OLD), **changes)


GROUP = old_group()
ONE, TWO, THREE, *_ = GROUP.members
BANK, OTHER_BANK = GROUP.bank_ids
LOAN, ANEW, INTEREST_ONLY, FROM_BANK, FROM_CLF = (new_id() for _ in range(5))
# 5,000 at 24% in 10 months since May: what fell due in September she has not paid, nor yet what falls due this month.
LENT = ActiveLoan(
    LOAN, ONE, 5000_00, 3602_00, "2026-05-04", 2400, 10, 485_00, 144_00, 273_00, "CIF", "goats", paid=Paid("CHEQUE", new_id(), "004711")
)
SAID = CutOff(
    40,
    "2026-09-07",
    (OpeningMember(ONE, 38, 2000_00, 300_00, 100_00, 20_00, 2, 4000_00), OpeningMember(TWO, 40, 2000_00), OpeningMember(THREE, voluntary_paise=5)),
    (
        LENT,
        ActiveLoan(ANEW, TWO, 900_00, 600_00, "2024-01-10", 1800, 12, 600_00, 100_00, anew=NewSchedule(1200, 6, Agreed("EQUAL_PRINCIPAL"))),
        ActiveLoan(INTEREST_ONLY, TWO, 100_00, 0, "2025-01-10", 2400, 5, 0, 7_00),
    ),
    (
        ActiveBorrowing(
            FROM_BANK,
            "BANK",
            50000_00,
            20000_00,
            "2025-10-10",
            1100,
            24,
            0,
            183_00,
            4000_00,
            "",
            "Gramin Bank",
            "0042",
            "",
            "TERM_LOAN",
            "2025-11-01",
        ),
        ActiveBorrowing(FROM_CLF, "CLF", 1000_00, 400_00, "2026-01-10", 600, 10, 196_00, 4_00, lender_id=new_id(), fund="CIF", paid=Paid("TRANSFER")),
    ),
    (ClosedBorrowing("BANK", "Gramin Bank", "", 2, 60000_00),),
    (
        OpeningInvestment("INVESTED", 2500_00, "Post office"),
        OpeningInvestment("SHARE_IN_FEDERATION", 10_00),
        OpeningInvestment("SAVED_WITH_FEDERATION", 200_00),
    ),
    (OpeningFund("REVOLVING_FUND", 15000_00, 5000_00, "SRLM", Paid("TRANSFER")), OpeningFund("GRANT", 700_00, 700_00)),
    150_00,
)
READ = (BankStatement(BANK, 9000_00, 300_00, 45_00), BankStatement(OTHER_BANK, 0))
FULL = cut_off(GROUP, SAID, counted_cash_paise=1234_50, bank_statements=READ)
ASSETS = 1234_50 + 150_00 + 8745_00 + 3602_00 + 600_00 + 2500_00 + 10_00 + 200_00
OWED = 2000_00 + 300_00 + 100_00 + 2000_00 + 5 + 20000_00 + 400_00 + 10000_00
BOOKS = final(FULL, books_of(GROUP))


def said(**changes):
    return SAID._replace(**changes)


def taken(one, books=None, policies=None, today=TODAY):
    return admit(upload(one), books or books_of(GROUP), GROUP.bookkeeper(), policies or Policies(), today).taken


def refused(one, books=None, policies=None):
    with pytest.raises(Refused) as refusal:
        taken(one, books, policies)
    assert str(refusal.value), "the sentence has all that it names"
    return refusal.value


def refusal(one, books=None, policies=None):
    found = refused(one, books, policies)
    return found.code, found.field


def refused_of(cut=None, books=None, policies=None, **changes):
    """With the field as it is within the cut-off."""
    code, field = refusal(cut_off(GROUP, cut or SAID, **{"counted_cash_paise": 1, **changes}), books, policies)
    return code, field.removeprefix("cut_off.")


# What it posts.


def test_each_section_posts_against_the_surplus_which_is_what_is_left():
    found = taken(FULL)
    assert [(line.debit, line.debit_of, line.credit, line.credit_of, line.amount_paise) for line in found.lines] == [
        ("A03", "", "L10", "", 1234_50),
        ("A04", "", "L10", "", 150_00),
        ("A05", BANK, "L10", "", 8745_00),
        ("L10", "", "L01", ONE, 2000_00),
        ("L10", "", "L02", ONE, 300_00),
        ("L10", "", "L03", ONE, 100_00),
        ("L10", "", "L01", TWO, 2000_00),
        ("L10", "", "L02", THREE, 5),
        ("A01", LOAN, "L10", "", 3602_00),
        ("A01", ANEW, "L10", "", 600_00),
        ("L10", "", "L04", FROM_BANK, 20000_00),
        ("L10", "", "L07", FROM_CLF, 400_00),
        ("A06", "", "L10", "", 2500_00),
        ("A07", "", "L10", "", 10_00),
        ("A07", "", "L10", "", 200_00),
        ("L10", "", "L06", "", 10000_00),
    ]
    assert found.balances[Account(Head.RETAINED_SURPLUS)] == ASSETS - OWED < 0, "a deficit is shown as one"
    richer = cut_off(GROUP, said(active_borrowings=()), counted_cash_paise=1234_50, bank_statements=READ)
    assert taken(richer).balances[Account(Head.RETAINED_SURPLUS)] == ASSETS - OWED + 20400_00 > 0
    trial = statements.trial_balance(BOOKS.balances, (), 41)
    assert trial.debit_total_paise == trial.credit_total_paise == ASSETS + OWED - ASSETS


def test_the_device_works_out_the_same_surplus_or_is_refused():
    one = replace(FULL, closing_hash="0" * 64)
    assert refusal(one) == ("CLOSING_DIFFERS", "closing_hash")


def test_it_is_flagged_so_that_it_is_looked_at():
    assert taken(FULL).flags == ("CUT_OFF",)
    for paise in (LENT.arrears_paise - 1, LENT.arrears_paise + 1, 0):
        assert taken(cut_off(GROUP, lent(arrears_paise=paise))).flags == ("CUT_OFF", "ARREARS_DIFFER")
    assert taken(cut_off(GROUP, borrowed(arrears_paise=0), counted_cash_paise=1)).flags == ("CUT_OFF", "ARREARS_DIFFER")
    assert taken(cut_off(GROUP, SAID, attendance=(), counted_cash_paise=1)).flags == ("CUT_OFF", "NOBODY_PRESENT", "ATTENDANCE_INCOMPLETE")


@pytest.mark.parametrize("name", [name for name in KINDS if name not in {"attendance", "bank_statements"}])
def test_nothing_came_in_or_went_out_at_a_cut_off(name):
    filled = {
        **everything(GROUP),
        **leaving(GROUP, LOAN),
        "repayments": (Repayment(LOAN, 1, 0),),
        "borrowing_repayments": (BorrowingRepayment(FROM_BANK, 1, 0),),
        "reversals": (Reversal(new_id(), 1),),
        "reschedules": (Reschedule(LOAN, 1200, 6, reason="flood"),),
        "write_offs": (WriteOff(LOAN, 3602_00, "flood"),),
    }
    assert refusal(replace(FULL, **{name: filled[name]})) == ("CUT_OFF_ONLY", name)


AMOUNTS = [(name, field) for name, kind in OPENINGS.items() for field in kind._fields if field.endswith("_paise")]
MUST_BE = {
    ("active_loans", "principal_paise"),
    ("active_borrowings", "principal_paise"),
    ("investments", "amount_paise"),
    ("funds", "received_paise"),
}


@pytest.mark.parametrize(("name", "field"), AMOUNTS)
def test_an_amount_is_neither_negative_nor_absurd_nor_left_out(name, field):
    entries = getattr(SAID, name)

    def with_amount(paise):
        return said(**{name: (entries[0]._replace(**{field: paise}), *entries[1:])})

    place = f"{name}[0].{field}"
    assert refused_of(with_amount(-1)) == ("AMOUNT_NEGATIVE", place)
    assert refused_of(with_amount(AMOUNT_PAISE_MAX + 1)) == ("AMOUNT_TOO_LARGE", place)
    if (name, field) in MUST_BE:
        assert refused_of(with_amount(0)) == ("AMOUNT_MISSING", place)


def test_cash_on_its_way_is_an_amount():
    assert refused_of(said(cash_in_transit_paise=-1)) == ("AMOUNT_NEGATIVE", "cash_in_transit_paise")


@pytest.mark.parametrize("name", OPENINGS)
def test_a_list_has_an_end(name):
    one = getattr(SAID, name)[0]
    assert refused_of(said(**{name: (one,) * (ENTRIES_MAX + 1)})) == ("LIST_TOO_LONG", name)


BORROWED = SAID.active_borrowings[1]


def lent(**changes):
    return said(active_loans=(LENT._replace(**changes),))


def borrowed(**changes):
    return said(active_borrowings=(SAID.active_borrowings[0], BORROWED._replace(**changes)))


def member(**changes):
    return said(members=(SAID.members[0]._replace(**changes),))


BAD = {
    "no meeting held": (said(meetings_held=0), "COUNT_INVALID", "meetings_held"),
    "too many meetings": (said(meetings_held=NUMBER_MAX + 1), "COUNT_INVALID", "meetings_held"),
    "a last meeting after it": (said(last_meeting_on="2026-10-06"), "LAST_MEETING_INVALID", "last_meeting_on"),
    "a last meeting on no day": (said(last_meeting_on="September"), "DATE_INVALID", "last_meeting_on"),
    "a member twice": (said(members=SAID.members[:1] * 2), "MEMBER_TWICE", "members[1].member_id"),
    "more attended than held": (member(meetings_attended=41), "COUNT_INVALID", "members[0].meetings_attended"),
    "fewer than none attended": (member(meetings_attended=-1), "COUNT_INVALID", "members[0].meetings_attended"),
    "fewer than no loans": (member(closed_loans=-1), "COUNT_INVALID", "members[0].closed_loans"),
    "loans that came to nothing": (member(closed_loans_paise=0), "CLOSED_LOANS_INVALID", "members[0].closed_loans_paise"),
    "no loans that came to something": (member(closed_loans=0), "CLOSED_LOANS_INVALID", "members[0].closed_loans_paise"),
    "a loan twice": (said(active_loans=(LENT, LENT)), "LOAN_TWICE", "active_loans[1].loan_id"),
    "a borrowing twice": (said(active_borrowings=(BORROWED, BORROWED)), "LOAN_TWICE", "active_borrowings[1].borrowing_id"),
    "one id for what is lent and borrowed": (borrowed(borrowing_id=LOAN), "LOAN_TWICE", "active_borrowings[1].borrowing_id"),
    "a loan given after it": (lent(given_on="2026-10-06"), "GIVEN_AFTER", "active_loans[0].given_on"),
    "a loan given on no day": (lent(given_on=""), "DATE_INVALID", "active_loans[0].given_on"),
    "a loan given before there was a group": (lent(given_on="2020-03-31"), "GIVEN_TOO_EARLY", "active_loans[0].given_on"),
    "borrowed before there was a group": (borrowed(given_on="2020-03-31"), "GIVEN_TOO_EARLY", "active_borrowings[1].given_on"),
    "usury": (lent(annual_rate_basis_points=6001), "RATE_INVALID", "active_loans[0].annual_rate_basis_points"),
    "no months": (lent(months=0), "MONTHS_INVALID", "active_loans[0].months"),
    "due before it began": (lent(agreed=Agreed(first_due_on="2026-05-04")), "FIRST_DUE_INVALID", "active_loans[0].agreed.first_due_on"),
    "more outstanding than lent": (lent(outstanding_paise=5000_01), "OUTSTANDING_TOO_LARGE", "active_loans[0].outstanding_paise"),
    "more in arrears than outstanding": (lent(arrears_paise=3602_01), "ARREARS_TOO_LARGE", "active_loans[0].arrears_paise"),
    "nothing owed": (lent(outstanding_paise=0, arrears_paise=0, interest_due_paise=0), "LOAN_REPAID", "active_loans[0].outstanding_paise"),
    "nothing to repay anew": (
        lent(outstanding_paise=0, arrears_paise=0, anew=NewSchedule(0, 2)),
        "LOAN_REPAID",
        "active_loans[0].outstanding_paise",
    ),
    "usury anew": (lent(anew=NewSchedule(6001, 2)), "RATE_INVALID", "active_loans[0].anew.annual_rate_basis_points"),
    "no months anew": (lent(anew=NewSchedule(1200)), "MONTHS_INVALID", "active_loans[0].anew.months"),
    "due anew before it": (
        lent(anew=NewSchedule(0, 2, Agreed(first_due_on="2026-10-05"))),
        "FIRST_DUE_INVALID",
        "active_loans[0].anew.agreed.first_due_on",
    ),
    "a long purpose": (lent(purpose=LONG), "TEXT_TOO_LONG", "active_loans[0].purpose"),
    "a long fund": (lent(fund=LONG), "TEXT_TOO_LONG", "active_loans[0].fund"),
    "paid in gold": (lent(paid=Paid("GOLD")), "MODE_UNKNOWN", "active_loans[0].paid.mode"),
    "a cheque of five digits": (lent(paid=Paid("CHEQUE", "", "12345")), "CHEQUE_INVALID", "active_loans[0].paid.cheque_number"),
    "borrowed by a long reference": (borrowed(paid=Paid("", "", "", LONG)), "TEXT_TOO_LONG", "active_borrowings[1].paid.reference"),
    "an unknown lender": (borrowed(lender="MONEYLENDER"), "LENDER_UNKNOWN", "active_borrowings[1].lender"),
    **{
        f"a long {field} of a lender": (borrowed(**{field: LONG}), "TEXT_TOO_LONG", f"active_borrowings[1].{field}")
        for field in ("lender_name", "account_number", "fund", "loan_type")
    },
    "interest from far ahead": (borrowed(effective_on="2026-04-13"), "EFFECTIVE_TOO_FAR", "active_borrowings[1].effective_on"),
    "more borrowed than was": (borrowed(outstanding_paise=1000_01), "OUTSTANDING_TOO_LARGE", "active_borrowings[1].outstanding_paise"),
    "repaid to an unknown lender": (
        said(closed_borrowings=(ClosedBorrowing("", "", "", 1, 1),)),
        "LENDER_UNKNOWN",
        "closed_borrowings[0].lender",
    ),
    "nothing repaid to a lender": (
        said(closed_borrowings=(ClosedBorrowing("VO", "", "", 0, 1),)),
        "CLOSED_LOANS_INVALID",
        "closed_borrowings[0].total_paise",
    ),
    "fewer than none repaid to a lender": (
        said(closed_borrowings=(ClosedBorrowing("VO", "", "", -1, 1),)),
        "COUNT_INVALID",
        "closed_borrowings[0].closed_loans",
    ),
    "a long name of who was repaid": (
        said(closed_borrowings=(ClosedBorrowing("VO", LONG, "", 1, 1),)),
        "TEXT_TOO_LONG",
        "closed_borrowings[0].lender_name",
    ),
    "an investment that ended": (said(investments=(OpeningInvestment("INVESTMENT_ENDED", 1),)), "OPENING_UNKNOWN", "investments[0].item"),
    "invested with a long name": (said(investments=(OpeningInvestment("INVESTED", 1, LONG),)), "TEXT_TOO_LONG", "investments[0].party"),
    "a fund that is none": (said(funds=(OpeningFund("BANK_INTEREST", 1),)), "OPENING_UNKNOWN", "funds[0].item"),
    "a fund that was returned": (said(funds=(OpeningFund("FUND_RETURNED", 1),)), "OPENING_UNKNOWN", "funds[0].item"),
    "more returned than received": (said(funds=(OpeningFund("GRANT", 1, 2),)), "RETURNED_TOO_LARGE", "funds[0].returned_paise"),
    "a fund of a long name": (said(funds=(OpeningFund("GRANT", 1, 0, LONG),)), "TEXT_TOO_LONG", "funds[0].party"),
    "a fund in gold": (said(funds=(OpeningFund("GRANT", 1, 0, "", Paid("GOLD")),)), "MODE_UNKNOWN", "funds[0].paid.mode"),
}


@pytest.mark.parametrize("case", BAD)
def test_what_is_wrong_is_refused_with_its_field(case):
    cut, code, field = BAD[case]
    one = sheet(GROUP, number=41, cut_off=cut)  # Of what is wrong by itself nobody works out a position.
    found, place = refusal(one)
    assert (found, place.removeprefix("cut_off.")) == (code, field)


def test_an_account_that_is_overdrawn_is_refused_as_ever():
    one = cut_off(GROUP, SAID, bank_statements=(BankStatement(BANK, 100, 101),))
    assert refusal(one) == ("BANK_NEGATIVE", "bank_statements[0]")


def test_an_account_that_ended_holds_nothing():
    ended = replace(books_of(GROUP).institution, banks={BANK: DAY - timedelta(days=1), OTHER_BANK: None})
    assert refusal(FULL, replace(books_of(GROUP), institution=ended)) == ("BANK_ENDED", "bank_statements[0]")


def test_a_loan_is_judged_by_the_policies_of_the_day_on_which_it_was_given():
    strict = Policies({"loan_rate_basis_points_max": (Period(1200, date(2026, 6, 1)),), "loan_months_max": (Period(6, date(2026, 6, 1)),)})
    anew = lent(anew=NewSchedule(1200, 6))
    assert taken(cut_off(GROUP, anew, counted_cash_paise=1), policies=strict)
    assert refused_of(lent(given_on="2026-06-01"), policies=strict) == ("RATE_INVALID", "active_loans[0].annual_rate_basis_points")
    assert refused_of(lent(given_on="2026-06-01", annual_rate_basis_points=0), policies=strict) == ("MONTHS_INVALID", "active_loans[0].months")
    assert refused_of(lent(anew=NewSchedule(1300, 6)), policies=strict) == ("RATE_INVALID", "active_loans[0].anew.annual_rate_basis_points")
    assert refused_of(lent(anew=NewSchedule(0, 7)), policies=strict) == ("MONTHS_INVALID", "active_loans[0].anew.months")


# Which meeting it is.


@pytest.mark.parametrize(("number", "code"), [(CUT_OFF_NUMBER_MIN - 1, "CUT_OFF_NUMBER"), (0, "CUT_OFF_NUMBER"), (NUMBER_MAX + 1, "CUT_OFF_NUMBER")])
def test_a_cut_off_is_the_twelfth_meeting_or_a_later_one(number, code):
    assert refused_of(number=number) == (code, "number")


def test_the_twelfth_meeting_may_be_a_cut_off_or_not_and_a_later_one_must():
    assert CUT_OFF_NUMBER_MIN == FIRST_NUMBER_MAX
    for number in (CUT_OFF_NUMBER_MIN, NUMBER_MAX):
        assert taken(cut_off(GROUP, SAID, number=number))
    assert taken(following(books_of(GROUP), GROUP, number=CUT_OFF_NUMBER_MIN))
    assert refusal(following(books_of(GROUP), GROUP, number=CUT_OFF_NUMBER_MIN + 1)) == ("CUT_OFF_NEEDED", "number")


def test_a_cut_off_is_the_first_meeting_and_stands_on_none():
    assert refused_of(previous_meeting_id=new_id()) == ("CUT_OFF_NOT_FIRST", "previous_meeting_id")
    begun = entered(following(books_of(GROUP), GROUP, savings=savings(GROUP)), books_of(GROUP))
    assert refusal(FULL, begun) == ("CUT_OFF_NOT_FIRST", "cut_off")
    assert refusal(cut_off(GROUP, SAID, number=42), BOOKS) == ("CUT_OFF_NOT_FIRST", "cut_off")


def test_a_loan_that_there_is_already_is_not_brought_in_again():
    for loan_id, field in ((LOAN, "active_loans[0].loan_id"), (FROM_BANK, "active_borrowings[0].borrowing_id")):
        assert refused_of(books=books_of(GROUP, loans={loan_id: BOOKS.loans[loan_id]})) == ("LOAN_EXISTS", field)


# Whose it is.


def test_who_left_may_still_have_savings_and_a_loan_but_does_not_attend():
    gone = Member(new_id(), active=True, since_on=date(2026, 9, 2), ended=[(GROUP.id, Span(None, date(2026, 9, 1)))])
    books = books_of(GROUP)
    books = replace(books, members={**books.members, ONE: gone})
    attending = tuple(one for one in FULL.attendance if one.member_id != ONE)
    assert taken(replace(FULL, attendance=attending), books).flags == ("CUT_OFF",)
    assert refusal(FULL, books) == ("MEMBER_LEFT", "attendance[0].member_id")


@pytest.mark.parametrize("name", ["members", "active_loans"])
def test_who_is_not_heard_of_is_waited_for(name):
    stranger = new_id()
    changed = getattr(SAID, name)[0]._replace(member_id=stranger)
    one = cut_off(GROUP, said(**{name: (changed,)}))
    waits = refused(one)
    assert (type(waits), waits.code, waits.field, waits.awaited) == (Waiting, "MEMBER_WAITING", f"cut_off.{name}[0].member_id", stranger)
    of_others = replace(books_of(GROUP), members={**books_of(GROUP).members, stranger: Member(new_id(), active=True)})
    assert refused(one, of_others).code == "MEMBER_WAITING"
    pending = replace(books_of(GROUP), members={**books_of(GROUP).members, stranger: Member(GROUP.id, active=False)})
    assert refused(one, pending).code == "MEMBER_WAITING"


def test_who_came_after_it_had_nothing_then():
    came = Member(GROUP.id, active=True, since_on=DAY + timedelta(days=1))
    books = replace(books_of(GROUP), members={**books_of(GROUP).members, ONE: came})
    assert refusal(cut_off(GROUP, member(), attendance=()), books) == ("MEMBER_ELSEWHERE", "cut_off.members[0].member_id")


def test_an_account_not_heard_of_is_waited_for_and_one_of_long_ago_is_not():
    unknown = new_id()
    one = cut_off(GROUP, SAID, bank_statements=(BankStatement(unknown, 5),))
    waits = refused(one)
    assert (waits.code, waits.awaited) == ("BANK_WAITING", unknown)
    assert SAID.active_loans[0].paid.bank_id not in named_banks(FULL)


def test_a_federation_brings_in_what_it_lent_to_those_below_it():
    vo, below = old_group(kind="VO"), new_id()
    owed = ActiveLoan(LOAN, "", 5000_00, 3602_00, "2026-05-04", 2400, 10, LENT.arrears_paise, borrower_id=below)
    one = cut_off(vo, CutOff(30, active_loans=(owed,)), attendance=())
    caller = vo.bookkeeper()
    posting = admit(upload(one), books_of(vo, below=frozenset({below})), caller, Policies(), TODAY)
    assert posting.taken.lines == (Line(1, Head.INSTITUTION_LOANS, Head.RETAINED_SURPLUS, 3602_00, LOAN, ""),)
    assert posting.taken.loans[LOAN].borrower_id == below
    assert named_borrowers(one) == {below}
    for changed, code, key, known in (
        (owed, "BORROWER_UNKNOWN", "borrower_id", frozenset()),
        (owed._replace(borrower_id=""), "BORROWER_MISSING", "borrower_id", frozenset({below})),
    ):
        with pytest.raises(Refused) as wrong:
            admit(upload(cut_off(vo, CutOff(30, active_loans=(changed,)))), books_of(vo, below=known), caller, Policies(), TODAY)
        assert (wrong.value.code, wrong.value.field) == (code, f"cut_off.active_loans[0].{key}")
    assert refused_of(lent(member_id="", borrower_id=below)) == ("BORROWER_MISSING", "active_loans[0].member_id")


# The same on the wire and in the store.


def test_it_is_read_off_the_wire_and_out_of_the_store_as_it_was_written():
    sent = pb.MeetingSheet(**content(FULL))
    assert read_sheet(sent) == FULL
    assert read_upload(sent).content_hash == content_hash(content(FULL))
    assert unpack_sheet(stored(FULL)) == FULL
    assert unpack_content(stored(FULL)) == content(FULL)
    least = cut_off(GROUP, CutOff(11), number=12, attendance=())
    assert unpack_sheet(stored(least)) == read_sheet(pb.MeetingSheet(**content(least))) == least
    assert content_hash(content(least)) != content_hash(content(replace(least, cut_off=None)))


def test_no_name_within_a_cut_off_is_one_of_the_sheet():
    """The store reads each list by its name."""
    assert not OPENINGS.keys() & KINDS.keys()


def test_what_a_newer_version_wrote_is_read_without_what_this_one_does_not_know():
    said = content(FULL)
    said["cut_off"] = {**said["cut_off"], "witness": "Sarpanch", "members": [{**one, "seal": 1} for one in said["cut_off"]["members"]]}
    assert unpack_sheet(stored(FULL, said=said)) == FULL


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("members", "member_id"),
        ("active_loans", "loan_id"),
        ("active_loans", "member_id"),
        ("active_loans", "borrower_id"),
        ("active_borrowings", "borrowing_id"),
        ("active_borrowings", "lender_id"),
    ],
)
def test_an_id_is_an_id(name, key):
    must = (name, key) in {("members", "member_id"), ("active_loans", "loan_id"), ("active_borrowings", "borrowing_id")}
    for bad in ("Sita", *([""] if must else [])):
        sent = pb.MeetingSheet(**content(FULL))
        setattr(getattr(sent.cut_off, name)[0], key, bad)
        with pytest.raises(Refused) as wrong:
            read_sheet(sent)
        assert (wrong.value.code, wrong.value.field) == ("ID_INVALID", f"cut_off.{name}[0].{key}")


def test_who_and_what_is_named():
    assert named_members(FULL) == set(GROUP.members)
    assert named_members(replace(FULL, attendance=())) == {ONE, TWO, THREE}
    assert named_loans(FULL) == {LOAN, ANEW, INTEREST_ONLY, FROM_BANK, FROM_CLF}
    assert named_banks(FULL) == {BANK, OTHER_BANK}


# As if it had always been here.


def played():
    """The group of LENT as its books would have been: 5,000 lent in May, and the instalments of three months repaid."""
    group = old_group(member_ids=GROUP.member_ids)
    given = LoanGiven(LOAN, ONE, 5000_00, 2400, 10)
    books = entered(following(group.books(), group, held_on=date(2026, 5, 4), entries=(Entry("GRANT", 5000_00),), loans=(given,)), group.books())
    for month, (principal, interest) in zip((6, 7, 8), ((457_00, 100_00), (466_00, 91_00), (475_00, 82_00)), strict=True):
        books = entered(following(books, group, held_on=date(2026, month, 4), repayments=(Repayment(LOAN, principal, interest),)), books)
    return group, books


def test_a_loan_goes_on_as_if_it_had_always_been_here():
    group, always = played()
    loan, there = BOOKS.loans[LOAN], always.loans[LOAN]
    assert (loan.terms, loan.borrower_id, loan.head, loan.earlier) == (there.terms, ONE, Head.MEMBER_LOANS, ())
    for day in (date(2026, 11, 2), date(2026, 12, 31), date(2027, 3, 31), date(2027, 8, 1)):
        assert dues(loan.terms, loan.standing, day) == dues(there.terms, there.standing, day), day
    paid = {"held_on": date(2026, 11, 9), "repayments": (Repayment(LOAN, 1000_00, 150_00),), "attendance": ()}
    after, also = (entered(following(books, of, **paid), books) for books, of in ((BOOKS, GROUP), (always, group)))
    assert after.loans[LOAN].standing == also.loans[LOAN].standing


def test_a_borrowing_goes_on_from_the_day_from_which_interest_counts():
    loan = BOOKS.loans[FROM_BANK]
    assert loan.terms == Terms(50000_00, 1100, 24, date(2025, 11, 1))
    assert loan.standing == Standing(20000_00, 183_00, DAY)
    ahead = borrowed(given_on="2026-09-30", effective_on="2026-12-01", arrears_paise=0, interest_due_paise=0)
    later = entered(cut_off(GROUP, ahead, counted_cash_paise=1), books_of(GROUP)).loans[FROM_CLF]
    assert (later.terms.given_on, later.standing.accrued_through) == (date(2026, 12, 1), date(2026, 12, 1))
    assert interest_owed(later.terms, later.standing, date(2026, 12, 31)) == 0


def test_what_is_agreed_anew_begins_with_what_is_outstanding():
    loan = BOOKS.loans[ANEW]
    assert loan.terms == Terms(600_00, 1200, 6, DAY, method=Method.EQUAL_PRINCIPAL)
    assert loan.earlier == ((FULL.meeting_id, Terms(900_00, 1800, 12, date(2024, 1, 10))),)
    assert loan.standing == Standing(600_00, 100_00, DAY)
    found = dues(loan.terms, loan.standing, date(2026, 11, 30))
    assert (found.overdue_paise, found.due_paise, found.interest_due_paise) == (0, 100_00, 100_00 + 6_00)


def test_interest_alone_is_still_owed():
    loan = BOOKS.loans[INTEREST_ONLY]
    assert interest_owed(loan.terms, loan.standing, date(2027, 1, 1)) == 7_00
    paid = entered(following(BOOKS, GROUP, repayments=(Repayment(INTEREST_ONLY, 0, 5_00),)), BOOKS)
    assert paid.loans[INTEREST_ONLY].standing.interest_unpaid_paise == 2_00
    more = following(BOOKS, GROUP, repayments=(Repayment(INTEREST_ONLY, 1, 0),))
    assert refusal(more, BOOKS) == ("REPAYMENT_TOO_LARGE", "repayments[0].principal_paise")


def repaid_by(books, *payments):
    """The books after final meetings in November, each with a repayment of LENT, and their sheets."""
    held = []
    for day, (principal, interest) in zip((2, 9), payments, strict=False):
        held.append(following(books, GROUP, held_on=date(2026, 11, day), repayments=(Repayment(LOAN, principal, interest),)))
        books = final(held[-1], books)
    return books, held


LATE = date(2026, 11, 16)


def take_back(books, meeting_id, *numbers):
    one = following(books, GROUP, held_on=LATE, reversals=tuple(Reversal(meeting_id, number) for number in numbers))
    return entered(one, books).loans[LOAN]


def test_a_repayment_that_is_taken_back_leaves_the_interest_that_was_brought_in():
    """Worked out again from the cut-off on, of which the lines do not say it."""
    books, (first, second) = repaid_by(BOOKS, (500_00, 100_00), (500_00, 0))
    untouched, _ = repaid_by(BOOKS, (500_00, 100_00))
    found = take_back(books, second.meeting_id, 1)
    assert found.standing.outstanding_paise == untouched.loans[LOAN].standing.outstanding_paise
    assert interest_owed(found.terms, found.standing, LATE) == interest_owed(found.terms, untouched.loans[LOAN].standing, LATE)
    neither = take_back(books, first.meeting_id, 1, 2)
    assert neither.standing.outstanding_paise == 3602_00 - 500_00
    # 144 brought in, 72 of November on all that was outstanding when it began, and 62 of December.
    assert interest_owed(neither.terms, neither.standing, date(2026, 12, 7)) == 144_00 + 72_00 + 62_00


def test_what_was_brought_in_by_mistake_is_taken_back_with_its_interest():
    number = next(line.line for line in lines(FULL, {}, {}) if line.debit_of == LOAN)
    found = take_back(BOOKS, FULL.meeting_id, number)
    assert (found.standing.outstanding_paise, interest_owed(found.terms, found.standing, LATE)) == (0, 0)
    other = next(line.line for line in lines(FULL, {}, {}) if line.debit_of == ANEW)
    one = following(BOOKS, GROUP, held_on=LATE, reversals=(Reversal(FULL.meeting_id, other),))
    assert entered(one, BOOKS).loans[LOAN] == BOOKS.loans[LOAN]


def test_what_was_agreed_anew_is_worked_out_anew_by_its_new_terms():
    paid = following(BOOKS, GROUP, held_on=date(2026, 11, 2), repayments=(Repayment(ANEW, 100_00, 106_00),))
    books = final(paid, BOOKS)
    back = following(books, GROUP, held_on=LATE, reversals=(Reversal(paid.meeting_id, 1), Reversal(paid.meeting_id, 2)))
    found = entered(back, books).loans[ANEW]
    assert interest_owed(found.terms, found.standing, LATE) == interest_owed(BOOKS.loans[ANEW].terms, BOOKS.loans[ANEW].standing, LATE)


# What is told of it, and what books show.


def test_only_a_cut_off_opens_and_what_takes_it_back_does_not():
    moved = [Line(1, item.debit, item.credit, 7) for item in ITEMS.values() if item.debit and item.credit]
    assert not any(is_opening(line) or is_opening(line._replace(debit=line.credit, credit=line.debit)) for line in moved)
    assert Head.RETAINED_SURPLUS not in {head for item in ITEMS.values() if item.screen != "TRANSFERS" for head in (item.debit, item.credit)}
    assert all(is_opening(line) for line in lines(FULL, {}, {}))
    assert not any(is_opening(line._replace(debit=line.credit, credit=line.debit)) for line in lines(FULL, {}, {}))


def test_of_a_cut_off_nothing_is_told_as_having_come_in_or_gone_out():
    told = totals(lines(FULL, {}, {}), 0)
    assert not any(value for name, value in vars_of(told).items() if name not in {"heads", "openings"})
    assert told.heads == {}
    assert told.openings["A01"] == (4202_00, 0)
    assert told.openings["L01"] == (0, 4000_00)
    surplus = told.openings["L10"]
    assert surplus[1] - surplus[0] == ASSETS - OWED
    assert sum(debit for debit, _ in told.openings.values()) == sum(credit for _, credit in told.openings.values())


def vars_of(told):
    return {name: getattr(told, name) for name in told.__slots__}


def test_what_is_taken_back_of_a_cut_off_is_no_flow_either():
    posted = lines(FULL, {}, {})
    back = tuple(Line(at, one.credit, one.debit, one.amount_paise, one.credit_of, one.debit_of) for at, one in enumerate(posted, 1))
    told = totals(back, len(back))
    assert told.heads == {}
    assert (told.loans_disbursed, told.loans_disbursed_paise, told.savings_paise) == (0, 0, 0)
    assert told.openings == {head: (-debit, -credit) for head, (debit, credit) in totals(posted, 0).openings.items()}


def held_of(one, books):
    return Held(one.meeting_id, one.number, one.held_on, lines(one, books.loans, books.reversible))


def test_a_range_that_holds_the_cut_off_opens_with_it():
    after = following(BOOKS, GROUP, held_on=DAY, savings=(Saving(ONE, 50_00, 0),), repayments=(Repayment(LOAN, 100_00, 70_00),))
    books = final(after, BOOKS)
    held = [held_of(FULL, books_of(GROUP)), held_of(after, BOOKS)]
    cash = statements.cash_book(books.balances, held, date(2026, 4, 1), DAY)
    assert {(one.head, one.bank_id): (one.opening_paise, one.in_paise, one.closing_paise) for one in cash.places} == {
        ("A03", ""): (1234_50, 220_00, 1454_50),
        ("A04", ""): (150_00, 0, 150_00),
        ("A05", BANK): (8745_00, 0, 8745_00),
    }
    assert {one.meeting_id for one in cash.entries} == {after.meeting_id}
    sums = statements.receipts_and_payments(books.balances, held, date(2026, 4, 1), DAY)
    assert [(one.head, one.paise) for one in sums.receipts] == [("A01", 100_00), ("L01", 50_00), ("I01", 70_00)]
    assert sums.payments == ()
    hers = statements.passbook(books.balances, held, ONE, {LOAN: ONE}, date(2026, 4, 1), DAY)
    assert {one.head: (one.opening_paise, one.closing_paise) for one in hers.accounts} == {
        "L01": (2000_00, 2050_00),
        "L02": (300_00, 300_00),
        "L03": (100_00, 100_00),
        "A01": (3602_00, 3502_00),
    }
    assert {one.meeting_id for one in hers.entries} == {after.meeting_id}
    before = statements.cash_book(books.balances, held, date(2026, 4, 1), DAY - timedelta(days=1))
    assert [one.opening_paise for one in before.places] == [one.closing_paise for one in before.places] == [0, 0]


def test_what_is_taken_back_of_a_cut_off_stands_in_its_own_month():
    back = following(BOOKS, GROUP, held_on=LATE, reversals=(Reversal(FULL.meeting_id, 1),))
    books = final(back, BOOKS)
    held = [held_of(FULL, books_of(GROUP)), held_of(back, BOOKS)]
    sums = statements.receipts_and_payments(books.balances, held, DAY, LATE)
    assert [(one.head, one.paise) for one in sums.payments] == [("L10", 1234_50)]
    assert (sums.places[0].opening_paise, sums.places[0].closing_paise) == (1234_50, 0)


# In the store.


@pytest.fixture
def desk(connection):
    group = hear(connection, old_group())
    hear_institution(connection, group, 2, formed_on=OLD.isoformat())
    return Desk(connection, group)


def of_desk(desk, **changes):
    """The cut-off of FULL, of the members and accounts of this group."""
    names = dict(zip((*GROUP.members, *GROUP.bank_ids), (*desk.group.members, *desk.group.bank_ids), strict=True))
    cut = SAID._replace(
        members=tuple(one._replace(member_id=names[one.member_id]) for one in SAID.members),
        active_loans=tuple(one._replace(member_id=names[one.member_id], loan_id=new_id()) for one in SAID.active_loans),
        active_borrowings=tuple(one._replace(borrowing_id=new_id()) for one in SAID.active_borrowings),
    )
    read = tuple(one._replace(bank_id=names[one.bank_id]) for one in READ)
    return cut_off(desk.group, cut, **{"counted_cash_paise": 1234_50, "bank_statements": read, **changes})


def brought_into(desk):
    one = of_desk(desk)
    assert desk.send(one) == ["APPLIED"]
    return one


def figures(connection, one):
    told = select(outbox.c.body).where(outbox.c.subject == one.meeting_id, outbox.c.event == "MeetingApproved")
    return pb.MeetingApproved.FromString(connection.execute(told).scalar_one())


def test_it_is_stored_pulled_and_approved_by_itself(connection, desk):
    one = brought_into(desk)
    assert desk.send(one) == ["ALREADY_APPLIED"]
    assert queries.adrift(connection) == []
    assert desk.balances[Account(Head.RETAINED_SURPLUS)] == ASSETS - OWED
    position = showing.position(desk.standing(), 0, date(2026, 10, 31), None, 1, Order.INTEREST_FIRST)
    assert position.closing_hash == one.closing_hash
    shown = {loan.loan_id: loan for loan in position.loans}
    own, anew, interest, bank, _ = (shown[loan_id] for loan_id in sorted_as(one))
    assert (own.principal_paise, own.outstanding_paise, own.overdue_paise, own.interest_due_paise) == (5000_00, 3602_00, 485_00, 144_00)
    assert (own.given_on, own.rescheduled_on) == ("2026-05-04", "")
    assert (anew.principal_paise, anew.given_on, anew.rescheduled_on, anew.agreed.method) == (900_00, "2024-01-10", "2026-10-05", "EQUAL_PRINCIPAL")
    assert (interest.outstanding_paise, interest.interest_due_paise, bank.given_on) == (0, 7_00, "2025-11-01")
    assert desk.approve(one, unseen=True) == ["MEETING_FLAGGED"]
    assert desk.approve(one) == [""]
    row = connection.execute(select(meetings).where(meetings.c.meeting_id == UUID(one.meeting_id))).one()
    found = showing.meeting(row)
    assert (found.retained_surplus_paise, list(found.flags)) == (ASSETS - OWED, ["CUT_OFF"])
    assert read_sheet(found.sheet) == one
    told = figures(connection, one)
    assert (told.number, told.members_present, told.savings_paise, told.loans_disbursed_paise, list(told.heads)) == (41, 5, 0, 0, [])
    assert {head.head: head.debit_paise - head.credit_paise for head in told.openings if head.head in {"A01", "L01"}} == {
        "A01": 4202_00,
        "L01": -4000_00,
    }
    again = desk.save(held_on=date(2026, 10, 12))
    assert (again.number, desk.approve(again, unseen=True)) == (42, [""])
    assert desk.send(of_desk(desk)) == ["CUT_OFF_NOT_FIRST"]


def test_a_device_may_send_the_meetings_after_it_with_it(connection, desk):
    one = of_desk(desk)
    books = entered(one, queries.books(connection, [one]))
    loan_id = one.cut_off.active_loans[0].loan_id
    after = following(
        books,
        desk.group,
        held_on=date(2026, 11, 2),
        repayments=(Repayment(loan_id, 0, 100_00),),
        reschedules=(Reschedule(loan_id, 1200, 12, reason="flood"),),
    )
    assert desk.send(after, one) == ["APPLIED", "APPLIED"]
    found = desk.standing().loans[loan_id][1]
    assert found.standing == Standing(3602_00, 144_00 + 72_00 - 100_00, after.held_on)
    assert found.earlier == ((after.meeting_id, Terms(5000_00, 2400, 10, date(2026, 5, 4))),)
    assert found.terms == Terms(3602_00, 1200, 12, after.held_on)


def sorted_as(one):
    return [loan.loan_id for loan in one.cut_off.active_loans] + [loan.borrowing_id for loan in one.cut_off.active_borrowings]


def test_it_is_handed_back_and_sent_again_with_another_number_and_loan(connection, desk):
    one = brought_into(desk)
    after = desk.save(held_on=date(2026, 10, 12))
    desk.reject(one)
    assert desk.balances == {}
    assert connection.execute(select(loans).where(loans.c.institution_id == desk.group.institution_id)).all() == []
    assert not desk.standing().loans
    fewer = one.cut_off._replace(active_loans=one.cut_off.active_loans[:1], meetings_held=50)
    revised = cut_off(desk.group, fewer, meeting_id=one.meeting_id, revision=2, number=51, counted_cash_paise=1)
    assert desk.send(revised) == ["APPLIED"]
    assert set(desk.standing().loans) == {one.cut_off.active_loans[0].loan_id, *(loan.borrowing_id for loan in fewer.active_borrowings)}
    assert desk.standing().chain.last_number == 51
    assert desk.send(desk.again(after)) == ["APPLIED"]
    assert desk.approve(revised) == [""]
    assert queries.adrift(connection) == []


def test_a_group_that_began_with_a_cut_off_by_mistake_may_begin_without_one(desk):
    one = brought_into(desk)
    desk.reject(one)
    plain = desk.next(meeting_id=one.meeting_id, revision=2, number=3, savings=savings(desk.group))
    assert desk.send(plain) == ["APPLIED"]
    assert desk.standing().chain.last_number == 3


def loan_at(desk, loan_id):
    found = desk.standing().loans[loan_id][1]
    return found.standing.outstanding_paise, interest_owed(found.terms, found.standing, LATE)


def test_what_was_owed_comes_back_when_a_later_meeting_is_handed_back_or_taken_back(connection, desk):
    one = brought_into(desk)
    assert desk.approve(one) == [""]
    for loan in (one.cut_off.active_loans[0], one.cut_off.active_loans[1]):
        before = loan_at(desk, loan.loan_id)
        paid = desk.next(held_on=date(2026, 11, 2), repayments=(Repayment(loan.loan_id, 100_00, 60_00),))
        assert desk.send(paid) == ["APPLIED"]
        assert loan_at(desk, loan.loan_id) != before
        desk.reject(paid)
        assert loan_at(desk, loan.loan_id) == before
    loan_id = one.cut_off.active_loans[0].loan_id
    before = loan_at(desk, loan_id)
    paid = desk.next(held_on=date(2026, 11, 2), repayments=(Repayment(loan_id, 100_00, 60_00),))
    assert desk.send(paid) == ["APPLIED"]
    assert desk.approve(paid) == [""]
    assert desk.send(desk.next(held_on=date(2026, 11, 9), reversals=(Reversal(paid.meeting_id, 1), Reversal(paid.meeting_id, 2)))) == ["APPLIED"]
    assert loan_at(desk, loan_id) == before
    [of_loan] = [line.line for line in lines(one, {}, {}) if line.debit_of == loan_id]
    gone = desk.next(held_on=date(2026, 11, 9), reversals=(Reversal(one.meeting_id, of_loan),))
    assert desk.send(gone) == ["APPLIED"]
    assert loan_id not in desk.standing().loans
    assert queries.adrift(connection) == []


def test_a_federation_brings_in_a_loan_to_an_institution_below_it(connection):
    vo = hear(connection, old_group(kind="VO"))
    hear_institution(connection, vo, 2, formed_on=OLD.isoformat())
    below = hear(connection, Group(parent_id=vo.institution_id))
    owed = ActiveLoan(new_id(), "", 5000_00, 3602_00, "2026-05-04", 2400, 10, LENT.arrears_paise, borrower_id=below.id)
    assert Desk(connection, vo).send(cut_off(vo, CutOff(30, active_loans=(owed,)))) == ["APPLIED"]


def test_who_is_told_what_was_shown(connection, desk):
    """Also those whom only the cut-off names."""
    one = of_desk(desk, attendance=())
    assert desk.send(one) == ["APPLIED"]
    row = connection.execute(select(meetings).where(meetings.c.meeting_id == UUID(one.meeting_id))).one()
    assert showing.members_in(row) == sorted(loan.member_id for loan in one.cut_off.members)
