"""The cut-off: what a group had on paper comes in whole, balanced by its surplus, and goes on as if it had always been here."""

from dataclasses import replace
from datetime import date, timedelta
from uuid import UUID

import pytest
from sqlalchemy import select

from protos import transactions_pb2 as pb
from services.kernel.canonical import content_hash
from services.kernel.errors import Refused
from services.kernel.ids import uuid7
from services.kernel.money import AMOUNT_PAISE_MAX
from services.kernel.policies import Period, Policies
from services.transactions import queries
from services.transactions.commands import decide
from services.transactions.rules import statements
from services.transactions.rules.agreed import Agreed
from services.transactions.rules.books import Chain, Member, Span
from services.transactions.rules.cut_off import CUT_OFF_NUMBER_MIN, NUMBER_MAX
from services.transactions.rules.heads import CHART, ITEMS, Head
from services.transactions.rules.journal import Account, Held, Line, effect, is_opening
from services.transactions.rules.loan import Standing, dues, interest_owed
from services.transactions.rules.meeting import FIRST_NUMBER_MAX, Waiting, lines
from services.transactions.rules.record import Handback, admit, totals
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
    FORMED_ON,
    RUPEE,
    TODAY,
    Desk,
    Group,
    cut_off,
    entered,
    everything,
    final,
    following,
    hear,
    hear_member,
    new_id,
    savings,
    sheet,
    upload,
)
from tests.transactions.test_packed import stored
from services.transactions.rules.packed import unpack_content, unpack_sheet

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
# 5,000 at 24% in 10 months since May; of five instalments she missed the last.
LENT = ActiveLoan(LOAN, ONE, 5000_00, 3400_00, "2026-05-04", 2400, 10, 491_00, 68_00, 400_00, "CIF", "goats", paid=Paid("CHEQUE", new_id(), "004711"))
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
            FROM_BANK, "BANK", 50000_00, 20000_00, "2025-10-10", 1100, 24, 0, 183_00, 4000_00, "", "Gramin Bank", "0042", "", "TERM_LOAN", "2025-11-01"
        ),
        ActiveBorrowing(FROM_CLF, "CLF", 1000_00, 400_00, "2026-01-10", 600, 10, 100_00, 4_00, lender_id=new_id(), fund="CIF", paid=Paid("TRANSFER")),
    ),
    (ClosedBorrowing("BANK", "Gramin Bank", "", 2, 60000_00),),
    (OpeningInvestment("INVESTED", 2500_00, "Post office"), OpeningInvestment("SHARE_IN_FEDERATION", 10_00), OpeningInvestment("SAVED_WITH_FEDERATION", 200_00)),
    (OpeningFund("REVOLVING_FUND", 15000_00, 5000_00, "SRLM", Paid("TRANSFER")), OpeningFund("GRANT", 700_00, 700_00)),
    150_00,
)
READ = (BankStatement(BANK, 9000_00, 300_00, 45_00), BankStatement(OTHER_BANK, 0))
FULL = cut_off(GROUP, SAID, counted_cash_paise=1234_50, bank_statements=READ)
ASSETS = 1234_50 + 150_00 + 8745_00 + 3400_00 + 600_00 + 2500_00 + 10_00 + 200_00
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
        ("A01", LOAN, "L10", "", 3400_00),
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
    assert taken(replace(FULL, cut_off=said(active_loans=(LENT._replace(arrears_paise=LENT.arrears_paise + 1),)), closing_hash=SMALLER)).flags == (
        "CUT_OFF",
        "ARREARS_DIFFER",
    )


SMALLER = cut_off(GROUP, said(active_loans=(LENT,)), counted_cash_paise=1234_50, bank_statements=READ).closing_hash


@pytest.mark.parametrize("name", [name for name in KINDS if name not in {"attendance", "bank_statements"}])
def test_nothing_came_in_or_went_out_at_a_cut_off(name):
    filled = {
        **everything(GROUP),
        "repayments": (Repayment(LOAN, 1, 0),),
        "borrowing_repayments": (BorrowingRepayment(FROM_BANK, 1, 0),),
        "reversals": (Reversal(new_id(), 1),),
        "reschedules": (Reschedule(LOAN, 1200, 6, reason="flood"),),
        "write_offs": (WriteOff(LOAN, 3400_00, "flood"),),
    }
    assert refusal(replace(FULL, **{name: filled[name]})) == ("CUT_OFF_ONLY", name)


AMOUNTS = [(name, field) for name, kind in OPENINGS.items() for field in kind._fields if field.endswith("_paise")]
MUST_BE = {("active_loans", "principal_paise"), ("active_borrowings", "principal_paise"), ("investments", "amount_paise"), ("funds", "received_paise")}


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
    "a loan given after it": (lent(given_on="2026-10-06"), "GIVEN_INVALID", "active_loans[0].given_on"),
    "a loan given on no day": (lent(given_on=""), "DATE_INVALID", "active_loans[0].given_on"),
    "a loan given before there was a group": (lent(given_on="2020-03-31"), "GIVEN_INVALID", "active_loans[0].given_on"),
    "borrowed before there was a group": (borrowed(given_on="2020-03-31"), "GIVEN_INVALID", "active_borrowings[1].given_on"),
    "usury": (lent(annual_rate_basis_points=6001), "RATE_INVALID", "active_loans[0].annual_rate_basis_points"),
    "no months": (lent(months=0), "MONTHS_INVALID", "active_loans[0].months"),
    "due before it began": (lent(agreed=Agreed(first_due_on="2026-05-04")), "FIRST_DUE_INVALID", "active_loans[0].agreed.first_due_on"),
    "more outstanding than lent": (lent(outstanding_paise=5000_01), "OUTSTANDING_TOO_LARGE", "active_loans[0].outstanding_paise"),
    "more in arrears than outstanding": (lent(arrears_paise=3400_01), "ARREARS_TOO_LARGE", "active_loans[0].arrears_paise"),
    "nothing owed": (lent(outstanding_paise=0, arrears_paise=0, interest_due_paise=0), "LOAN_SETTLED", "active_loans[0].outstanding_paise"),
    "nothing to repay anew": (
        lent(outstanding_paise=0, arrears_paise=0, anew=NewSchedule(0, 2)),
        "LOAN_SETTLED",
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
    "an investment that ended": (said(investments=(OpeningInvestment("INVESTMENT_ENDED", 1),)), "ITEM_UNKNOWN", "investments[0].item"),
    "invested with a long name": (said(investments=(OpeningInvestment("INVESTED", 1, LONG),)), "TEXT_TOO_LONG", "investments[0].party"),
    "a fund that is none": (said(funds=(OpeningFund("BANK_INTEREST", 1),)), "ITEM_UNKNOWN", "funds[0].item"),
    "a fund that was returned": (said(funds=(OpeningFund("FUND_RETURNED", 1),)), "ITEM_UNKNOWN", "funds[0].item"),
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
    assert refusal(FULL, books_of(GROUP, ) if False else replace(books_of(GROUP), institution=ended)) == ("BANK_ENDED", "bank_statements[0]")


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
    one = replace(cut_off(GROUP, member()), attendance=())
    assert refusal(replace(one, closing_hash=cut_off(GROUP, member()).closing_hash), books)[0] in {"MEMBER_ELSEWHERE", "MEMBER_WAITING"}


def test_an_account_not_heard_of_is_waited_for_and_one_of_long_ago_is_not():
    unknown = new_id()
    one = cut_off(GROUP, SAID, bank_statements=(BankStatement(unknown, 5),))
    waits = refused(one)
    assert (waits.code, waits.awaited) == ("BANK_WAITING", unknown)
    assert SAID.active_loans[0].paid.bank_id not in named_banks(FULL)


def test_a_federation_brings_in_what_it_lent_to_those_below_it():
    vo, below = old_group(kind="VO"), new_id()
    owed = ActiveLoan(LOAN, "", 5000_00, 3400_00, "2026-05-04", 2400, 10, LENT.arrears_paise, borrower_id=below)
    one = cut_off(vo, CutOff(30, active_loans=(owed,)), attendance=())
    caller = vo.bookkeeper()
    posting = admit(upload(one), books_of(vo, below=frozenset({below})), caller, Policies(), TODAY)
    assert posting.taken.lines == (Line(1, Head.INSTITUTION_LOANS, Head.RETAINED_SURPLUS, 3400_00, LOAN, ""),)
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
    for bad in ("Sita", *([""] if key == key.removeprefix("l") and (name, key) == ("members", "member_id") else [])):
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
