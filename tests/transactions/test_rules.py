"""What becomes of a sheet on the books, who may bring it and who decide on it, with nothing running."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from itertools import permutations, product
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.kernel.approval import MeetingStatus
from services.kernel.caller import Role
from services.kernel.canonical import content_hash
from services.kernel.errors import Conflict, Invalid, Refused
from services.kernel.ids import uuid7
from services.kernel.policies import Period, Policies
from services.transactions.rules.books import Chain, Loan, Member, Recorded, Reversible, Span
from services.transactions.rules.heads import CHART, ENTRY_SCREENS, ITEMS, MONEY, Head, SubLedger, chart_version
from services.transactions.rules.journal import Account, Line, added, effect
from services.transactions.rules.loan import Standing, interest_owed
from services.transactions.rules.meeting import FIRST_NUMBER_MAX, UNUSUAL_TIMES, Waiting, closing, lines, payments, take_in
from services.transactions.rules.partitions import partition
from services.transactions.rules.record import (
    REMARK_LENGTH_MAX,
    Handback,
    Outcome,
    Pending,
    admit,
    admit_all,
    approve,
    check_handback,
    must_decide,
    reject,
    totals,
)
from services.transactions.rules.schedule import Terms
from services.transactions.rules.sheet import (
    LENDERS,
    MOVES,
    Attendance,
    BankMove,
    BankStatement,
    Borrowing,
    BorrowingRepayment,
    Entry,
    LoanGiven,
    LoanOut,
    Paid,
    Repayment,
    Reversal,
    Saving,
    SetOff,
    Settlement,
    Transfer,
    Withdrawal,
    WriteOff,
    content,
)
from tests.transactions.builders import FORMED_ON, RUPEE, TODAY, Group, entered, final, following, new_id, savings, sheet, upload

GROUP = Group(bank_ids=sorted((new_id(), new_id())))
ONE, TWO, THREE, *_ = GROUP.members
BANK, OTHER_BANK = GROUP.bank_ids
LOAN, BORROWED, NEW = new_id(), new_id(), new_id()
BY_BANK, BY_CHEQUE = Paid("TRANSFER", BANK), Paid("CHEQUE", BANK, "004711")

# An approved first meeting. Cash: 1,000 saved, 50 of shares, 300 lent, 200 deposited, 40 sent: 510. Bank: 1,000 borrowed, 200 deposited.
FIRST = following(
    GROUP.books(),
    GROUP,
    savings=savings(GROUP, 200),
    entries=tuple(Entry("SHARE_CAPITAL", 10 * RUPEE, one) for one in GROUP.members),
    loans=(LoanGiven(LOAN, ONE, 300 * RUPEE, 2400, 10, "goats"),),
    borrowings=(Borrowing(BORROWED, "BANK", 1000 * RUPEE, 1200, 10, paid=BY_BANK),),
    bank_moves=(BankMove("DEPOSIT", 200 * RUPEE, BANK), BankMove("SENT", 40 * RUPEE)),
)
BOOKS = final(FIRST, GROUP.books())
DAY = date(2026, 10, 12)
BEFORE, AFTER = DAY - timedelta(days=1), DAY + timedelta(days=1)


def sound(books=BOOKS, **changes):
    """The next meeting on BOOKS, its sums right."""
    return following(books, GROUP, **{"held_on": DAY, **changes})


def taken(one, books=BOOKS, policies=None, today=TODAY):
    return take_in(one, books, policies or Policies(), today)


def refused_of(one, books=BOOKS, policies=None, today=TODAY):
    with pytest.raises(Refused) as refused:
        taken(one, books, policies, today)
    assert str(refused.value), "the sentence has all that it names"
    return refused.value


def refusal(*given, **named):
    refused = refused_of(*given, **named)
    return refused.code, refused.field


# The chart and what each screen posts.


def test_the_chart_has_every_head_once_and_each_item_two_sides():
    assert set(CHART) == set(Head)
    assert all(about.title and about.levels for about in CHART.values())
    for code, item in ITEMS.items():
        assert item.debit is not MONEY or item.credit is not MONEY, code
        assert item.debit != item.credit or code == "TRANSFER", code
    assert chart_version() == chart_version()
    assert len(chart_version()) == 16


ANOTHER = new_id()  # An institution.


def screens():
    """Of every item a sheet that enters nothing else, and what it is of; 7 rupees of it."""
    paise = 7 * RUPEE
    own = {
        "COMPULSORY_SAVING": ({"savings": (Saving(TWO, paise, 0),)}, TWO),
        "VOLUNTARY_SAVING": ({"savings": (Saving(TWO, 0, paise),)}, TWO),
        "COMPULSORY_WITHDRAWN": ({"withdrawals": (Withdrawal(TWO, paise, 0),)}, TWO),
        "VOLUNTARY_WITHDRAWN": ({"withdrawals": (Withdrawal(TWO, 0, paise),)}, TWO),
        "PRINCIPAL_REPAID": ({"repayments": (Repayment(LOAN, paise, 0),)}, LOAN),
        "INTEREST_RECEIVED": ({"repayments": (Repayment(LOAN, 0, paise),)}, LOAN),
        "LOAN_GIVEN": ({"loans": (LoanGiven(NEW, TWO, paise, 2400, 10),)}, NEW),
        "LENT_TO_INSTITUTION": ({"loans": (LoanGiven(NEW, "", paise, 1200, 10, borrower_id=ANOTHER),)}, NEW),
        "INSTITUTION_REPAID": ({"repayments": (Repayment("of SHG", paise, 0),)}, "of SHG"),
        "INTEREST_PAID": ({"borrowing_repayments": (BorrowingRepayment(BORROWED, 0, paise),)}, BORROWED),
    }
    for lender, (lent, repaid) in LENDERS.items():
        own[lent] = ({"borrowings": (Borrowing(NEW, lender, paise, 1200, 10),)}, NEW)
        own[repaid] = ({"borrowing_repayments": (BorrowingRepayment(f"of {lender}", paise, 0),)}, f"of {lender}")
    for code, item in ITEMS.items():
        if item.screen in ENTRY_SCREENS:
            of = TWO if item.of_member else ""
            plain = Entry(code, paise, of, "" if of else "somebody", BY_BANK if item.by_bank_only else Paid())
            group = ANOTHER if item.of_institution else ""
            own[code] = ({"entries": (plain._replace(institution_id=group),)}, of or group)
    return own


LENT = {
    "of SHG": Loan(GROUP.id, Head.INSTITUTION_LOANS, ANOTHER, Terms(9, 0, 1, FORMED_ON), Standing(9, 0, FORMED_ON)),
}
BORROWINGS = LENT | {
    f"of {lender}": Loan(GROUP.id, ITEMS[lent].credit, "", Terms(9, 0, 1, FORMED_ON), Standing(9, 0, FORMED_ON))
    for lender, (lent, _) in LENDERS.items()
}


def leaves():
    """Of each item of who leaves a sheet with 7 rupees of it, and whose its two sides are."""
    paise, found = 7 * RUPEE, {}
    for name, code in SETTLED.items():
        found[code] = ({"settlements": (Settlement(TWO, "LEFT", **{name: paise}),)}, TWO, TWO)
    found["PRINCIPAL_SET_OFF"] = ({"set_offs": (SetOff(LOAN, paise),)}, BOOKS.loans[LOAN].borrower_id, LOAN)
    found["INTEREST_SET_OFF"] = ({"set_offs": (SetOff(LOAN, 0, paise),)}, BOOKS.loans[LOAN].borrower_id, LOAN)
    for name, code in MOVED.items():
        whose = TWO if ITEMS[code].of_member else ""
        of = (ANOTHER, whose) if ITEMS[code].debit == Head.BETWEEN_GROUPS else (whose, ANOTHER)
        found[code] = ({"transfers_out": (Transfer(NEW, ANOTHER, whose, **{name: paise}),)}, *of)
    for code, loan_id in MOVED_LOANS.items():
        of = (ANOTHER, loan_id) if ITEMS[code].debit == Head.BETWEEN_GROUPS else (loan_id, ANOTHER)
        found[code] = ({"transfers_out": (Transfer(NEW, ANOTHER),), "loans_out": (LoanOut(loan_id, NEW, paise),)}, *of)
    return found


SETTLED = {
    "compulsory_paise": "COMPULSORY_SETTLED",
    "voluntary_paise": "VOLUNTARY_SETTLED",
    "share_capital_paise": "SHARE_SETTLED",
    "surplus_share_paise": "SURPLUS_SHARED",
    "deficit_share_paise": "KEPT_BACK",
}
MOVED = {
    "compulsory_paise": "COMPULSORY_MOVED",
    "voluntary_paise": "VOLUNTARY_MOVED",
    "share_capital_paise": "SHARE_MOVED",
    "funds_paise": "FUNDS_MOVED",
    "investments_paise": "INVESTMENTS_MOVED",
    "savings_with_federation_paise": "WITH_FEDERATION_MOVED",
    "surplus_paise": "SURPLUS_MOVED",
    "deficit_paise": "DEFICIT_MOVED",
}
MOVED_LOANS = {"LOAN_MOVED": LOAN, "BANK_LOAN_MOVED": "of BANK", "VO_LOAN_MOVED": "of VO", "CLF_LOAN_MOVED": "of CLF"}


@pytest.mark.parametrize("code", [*SETTLED.values(), "PRINCIPAL_SET_OFF", "INTEREST_SET_OFF", *MOVED.values(), *MOVED_LOANS])
def test_who_leaves_posts_one_line_an_item_and_moves_no_money(code):
    changes, debit_of, credit_of = leaves()[code]
    loans = {**BOOKS.loans, **BORROWINGS}
    assert lines(sheet(GROUP, **changes), loans, {}) == (Line(1, ITEMS[code].debit, ITEMS[code].credit, 7 * RUPEE, debit_of, credit_of),)


LOST = {"WRITTEN_OFF": LOAN, "INSTITUTION_WRITTEN_OFF": "of SHG"}


@pytest.mark.parametrize("code", [code for code in ITEMS if code in screens()])
def test_every_item_posts_one_line_to_exactly_its_head(code):
    changes, of = screens()[code]
    item = ITEMS[code]
    loans = {**BOOKS.loans, **BORROWINGS}
    for paid in [BY_BANK] if item.by_bank_only else [Paid(), Paid("CASH"), BY_BANK, BY_CHEQUE]:
        by_place = {name: tuple(entry._replace(paid=paid) for entry in entries) for name, entries in changes.items()}
        money, money_of = (Head.BANK, BANK) if paid.bank_id else (Head.CASH, "")
        into = item.debit is MONEY
        expected = Line(1, money, item.credit, 7 * RUPEE, money_of, of) if into else Line(1, item.debit, money, 7 * RUPEE, of, money_of)
        assert lines(sheet(GROUP, **by_place), loans, {}) == (expected,)


@pytest.mark.parametrize("code", LOST)
def test_what_is_written_off_becomes_an_expense_and_moves_no_money(code):
    one = sheet(GROUP, write_offs=(WriteOff(LOST[code], 7 * RUPEE, "flood"),))
    assert lines(one, {**BOOKS.loans, **BORROWINGS}, {}) == (Line(1, ITEMS[code].debit, ITEMS[code].credit, 7 * RUPEE, "", LOST[code]),)


def test_every_item_is_tried():
    assert set(screens()) | set(leaves()) | set(MOVES) | set(LOST) == set(ITEMS)


@pytest.mark.parametrize(
    ("move", "line"),
    [
        (BankMove("DEPOSIT", 700, BANK), Line(1, Head.BANK, Head.CASH, 700, BANK, "")),
        (BankMove("WITHDRAWAL", 700, BANK), Line(1, Head.CASH, Head.BANK, 700, "", BANK)),
        (BankMove("SENT", 700), Line(1, Head.CASH_IN_TRANSIT, Head.CASH, 700)),
        (BankMove("ARRIVED", 700, BANK), Line(1, Head.BANK, Head.CASH_IN_TRANSIT, 700, BANK, "")),
        (BankMove("TRANSFER", 700, BANK, OTHER_BANK), Line(1, Head.BANK, Head.BANK, 700, OTHER_BANK, BANK)),
    ],
)
def test_money_that_changes_its_place_leaves_the_one_and_enters_the_other(move, line):
    assert lines(sheet(GROUP, bank_moves=(move,)), {}, {}) == (line,)
    assert sum(paise for account, paise in effect([line]).items() if not account.of) == 0


def test_a_meeting_posts_its_screens_in_their_order_and_nothing_for_what_is_nothing():
    one = sound(
        savings=(Saving(ONE, 50, 10), Saving(TWO, 0, 0), Saving(THREE, 0, 5)),
        withdrawals=(Withdrawal(TWO, 3, 2),),
        repayments=(Repayment(LOAN, 100, 6),),
        entries=(Entry("FINE", 5, TWO),),
        loans=(LoanGiven(NEW, TWO, 30, 2400, 10),),
        borrowing_repayments=(BorrowingRepayment(BORROWED, 20, 4, BY_BANK),),
        bank_moves=(BankMove("DEPOSIT", 9, BANK),),
        reversals=(Reversal(FIRST.meeting_id, 2),),
    )
    posted = lines(one, BOOKS.loans, BOOKS.reversible)
    assert [(line.line, f"{line.debit}", f"{line.credit}", line.amount_paise) for line in posted] == [
        (1, "A03", "L01", 50),
        (2, "A03", "L02", 10),
        (3, "A03", "L02", 5),
        (4, "L01", "A03", 3),
        (5, "L02", "A03", 2),
        (6, "A03", "A01", 100),
        (7, "A03", "I01", 6),
        (8, "A03", "I02", 5),
        (9, "A01", "A03", 30),
        (10, "L04", "A05", 20),
        (11, "E01", "A05", 4),
        (12, "A05", "A03", 9),
        (13, "L01", "A03", 200 * RUPEE),
    ]
    assert lines(sheet(GROUP, savings=savings(GROUP, 0)), {}, {}) == ()


def test_what_a_meeting_takes_in_is_what_the_books_become():
    one = sound(
        savings=savings(GROUP),
        repayments=(Repayment(LOAN, 100 * RUPEE, 6 * RUPEE),),
        loans=(LoanGiven(NEW, TWO, 50 * RUPEE, 1200, 5),),
        borrowings=(Borrowing(new_id(), "CLF", 80 * RUPEE, 600, 4, effective_on="2026-10-20"),),
        bank_moves=(BankMove("ARRIVED", 40 * RUPEE, OTHER_BANK),),
    )
    became = taken(one)
    assert became.flags == ()
    assert became.balances[Account(Head.CASH)] == (510 + 250 + 106 - 50 + 80) * RUPEE == one.counted_cash_paise
    assert became.balances[Account(Head.CASH_IN_TRANSIT)] == 0
    assert became.balances[Account(Head.BANK, OTHER_BANK)] == 40 * RUPEE
    assert became.balances[Account(Head.COMPULSORY_SAVINGS, ONE)] == 250 * RUPEE
    assert became.balances[Account(Head.COMPULSORY_SAVINGS)] == 1250 * RUPEE
    assert became.balances[Account(Head.MEMBER_LOANS)] == 250 * RUPEE
    assert set(became.balances) == set(effect(became.lines)), "no more than what it moved is written"
    assert {one: loan.standing.outstanding_paise for one, loan in became.loans.items()} == {
        LOAN: 200 * RUPEE,
        NEW: 50 * RUPEE,
        one.borrowings[0].borrowing_id: 80 * RUPEE,
    }
    given, taken_up = became.loans[NEW], became.loans[one.borrowings[0].borrowing_id]
    assert (given.head, given.borrower_id, given.terms.given_on, given.institution_id) == (Head.MEMBER_LOANS, TWO, DAY, GROUP.id)
    assert (taken_up.head, taken_up.borrower_id, taken_up.terms.given_on) == (Head.BORROWING_CLF, "", date(2026, 10, 20))


# What is refused on the books.


def on_loan(**changes):
    return {"repayments": (Repayment(**{"loan_id": LOAN, "principal_paise": 1, "interest_paise": 0, **changes}),)}


ELSEWHERE = Reversible(Line(1, Head.CASH, Head.FINES, 100), new_id(), MeetingStatus.APPROVED)
LATER = new_id()
ODD = replace(
    BOOKS,
    loans={**BOOKS.loans, "elsewhere": replace(BOOKS.loans[LOAN], institution_id=new_id())},
    recorded={
        **BOOKS.recorded,
        "elsewhere": Recorded(new_id(), 1, 1, MeetingStatus.APPROVED, b""),
        "handed back": Recorded(GROUP.id, 1, 2, MeetingStatus.REJECTED, b""),
        "handed back, its place taken": Recorded(GROUP.id, 1, 1, MeetingStatus.REJECTED, b""),
        "handed back elsewhere": Recorded(new_id(), 1, 2, MeetingStatus.REJECTED, b""),
        "before": Recorded(GROUP.id, 1, 0, MeetingStatus.APPROVED, b""),
    },
    reversible={
        **BOOKS.reversible,
        ("elsewhere", 1): ELSEWHERE,
        ("open", 1): replace(ELSEWHERE, institution_id=GROUP.id, status=MeetingStatus.CLOSED),
        ("handed back", 1): replace(ELSEWHERE, institution_id=GROUP.id, status=MeetingStatus.REJECTED),
        ("back", 1): replace(ELSEWHERE, institution_id=GROUP.id, reversed_by=LATER),
    },
)
# One thing changed in a sheet that was sound.
BAD = {
    "in the future": ({"held_on": TODAY + timedelta(days=1)}, "HELD_IN_FUTURE", "held_on"),
    "before the last meeting": ({"held_on": FIRST.held_on - timedelta(days=1)}, "HELD_TOO_EARLY", "held_on"),
    "the same number again": ({"number": 1}, "MEETING_OUT_OF_SEQUENCE", "number"),
    "a number left out": ({"number": 3}, "MEETING_OUT_OF_SEQUENCE", "number"),
    "on nothing": ({"previous_meeting_id": ""}, "MEETING_OUT_OF_SEQUENCE", "previous_meeting_id"),
    "on one that is not the last": ({"previous_meeting_id": "before"}, "MEETING_OUT_OF_SEQUENCE", "previous_meeting_id"),
    # Of another institution's meeting as of one not heard of.
    "on another institution's": ({"previous_meeting_id": "elsewhere"}, "MEETING_OUT_OF_SEQUENCE", "previous_meeting_id"),
    "on another institution's, early": ({"previous_meeting_id": "elsewhere", "number": 3}, "MEETING_WAITING", "previous_meeting_id"),
    "on another institution's that was handed back": (
        {"previous_meeting_id": "handed back elsewhere"},
        "MEETING_OUT_OF_SEQUENCE",
        "previous_meeting_id",
    ),
    "on one not heard of": ({"previous_meeting_id": NEW, "number": 3}, "MEETING_WAITING", "previous_meeting_id"),
    "on one not heard of, whose place another has": ({"previous_meeting_id": NEW}, "MEETING_OUT_OF_SEQUENCE", "previous_meeting_id"),
    "on one whose place another took": ({"previous_meeting_id": "handed back, its place taken"}, "MEETING_OUT_OF_SEQUENCE", "previous_meeting_id"),
    "on one handed back": ({"previous_meeting_id": "handed back", "number": 3}, "MEETING_WAITING", "previous_meeting_id"),
    # Where the first was handed back, it may come again with another number, after another meeting.
    "on one handed back that may move up": (
        {"previous_meeting_id": "handed back, its place taken", "number": 3},
        "MEETING_WAITING",
        "previous_meeting_id",
    ),
    "a loan given before": ({"loans": (LoanGiven(LOAN, ONE, 1, 0, 1),)}, "LOAN_EXISTS", "loans[0].loan_id"),
    "borrowed before": ({"borrowings": (Borrowing(BORROWED, "BANK", 1, 0, 1),)}, "LOAN_EXISTS", "borrowings[0].borrowing_id"),
    "an unknown loan repaid": (on_loan(loan_id=NEW), "LOAN_UNKNOWN", "repayments[0].loan_id"),
    "another institution's loan repaid": (on_loan(loan_id="elsewhere"), "LOAN_UNKNOWN", "repayments[0].loan_id"),
    "a borrowing repaid as a loan": (on_loan(loan_id=BORROWED), "LOAN_UNKNOWN", "repayments[0].loan_id"),
    "a loan repaid as a borrowing": (
        {"borrowing_repayments": (BorrowingRepayment(LOAN, 1, 0),)},
        "LOAN_UNKNOWN",
        "borrowing_repayments[0].borrowing_id",
    ),
    "more repaid than owed": (on_loan(principal_paise=300 * RUPEE + 1), "REPAYMENT_TOO_LARGE", "repayments[0].principal_paise"),
    "more repaid than borrowed": (
        {"borrowing_repayments": (BorrowingRepayment(BORROWED, 1000 * RUPEE + 1, 0),)},
        "REPAYMENT_TOO_LARGE",
        "borrowing_repayments[0].principal_paise",
    ),
    "an unknown line taken back": ({"reversals": (Reversal(FIRST.meeting_id, 99),)}, "LINE_UNKNOWN", "reversals[0]"),
    "line nought taken back": ({"reversals": (Reversal(FIRST.meeting_id, 0),)}, "LINE_UNKNOWN", "reversals[0]"),
    "another institution's line taken back": ({"reversals": (Reversal("elsewhere", 1),)}, "LINE_UNKNOWN", "reversals[0]"),
    "a line not final taken back": ({"reversals": (Reversal("open", 1),)}, "LINE_NOT_FINAL", "reversals[0]"),
    "a line handed back taken back": ({"reversals": (Reversal("handed back", 1),)}, "LINE_NOT_FINAL", "reversals[0]"),
    "taken back before": ({"reversals": (Reversal("back", 1),)}, "LINE_REVERSED", "reversals[0]"),
    "taken back twice": (
        {"reversals": (Reversal(FIRST.meeting_id, 1), Reversal(FIRST.meeting_id, 2), Reversal(FIRST.meeting_id, 1))},
        "LINE_REVERSED",
        "reversals[2]",
    ),
    "a rupee of cash too little": ({"counted_cash_paise": 509 * RUPEE}, "CASH_UNBALANCED", "counted_cash_paise"),
    "a paisa of cash too much": ({"counted_cash_paise": 510 * RUPEE + 1}, "CASH_UNBALANCED", "counted_cash_paise"),
    "a rupee too much in the bank": ({"bank_statements": (BankStatement(BANK, 1201 * RUPEE),)}, "BANK_UNBALANCED", "bank_statements[0]"),
    "a paisa too little in the bank": ({"bank_statements": (BankStatement(BANK, 1200 * RUPEE - 1),)}, "BANK_UNBALANCED", "bank_statements[0]"),
    "money in an account that is empty": (
        {"bank_statements": (BankStatement(BANK, 1200 * RUPEE), BankStatement(OTHER_BANK, 1))},
        "BANK_UNBALANCED",
        "bank_statements[1]",
    ),
    "a passbook not read": ({"bank_statements": ()}, "BANK_NOT_STATED", "bank_statements"),
    "another account's passbook": ({"bank_statements": (BankStatement(OTHER_BANK, 0),)}, "BANK_NOT_STATED", "bank_statements"),
    "another closing position": ({"closing_hash": "00" * 32}, "CLOSING_DIFFERS", "closing_hash"),
    "no closing position": ({"closing_hash": ""}, "CLOSING_DIFFERS", "closing_hash"),
    "a stranger present": (
        {"attendance": (*sound().attendance, Attendance(NEW, True))},
        "MEMBER_WAITING",
        "attendance[5].member_id",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_what_the_books_say_no_to_names_its_field(case):
    changes, code, field = BAD[case]
    assert taken(sound(), ODD)
    refused = refused_of(replace(sound(), **changes), ODD)
    assert (refused.code, refused.field) == (code, field)
    assert isinstance(refused, Waiting) == code.endswith("_WAITING")
    if isinstance(refused, Waiting):
        assert refused.awaited == changes.get("previous_meeting_id", NEW)


OVERDRAWN = {
    "a loan larger than the cash": ({"loans": (LoanGiven(NEW, TWO, 510 * RUPEE + 1, 0, 1),)}, "CASH_NEGATIVE", "loans"),
    "more deposited than the cash": ({"bank_moves": (BankMove("DEPOSIT", 511 * RUPEE, BANK),)}, "CASH_NEGATIVE", "bank_moves"),
    "more sent than the cash": ({"bank_moves": (BankMove("SENT", 511 * RUPEE),)}, "CASH_NEGATIVE", "bank_moves"),
    "more spent than the cash": ({"entries": (Entry("RENT", 511 * RUPEE),)}, "CASH_NEGATIVE", "entries"),
    "more savings withdrawn than the cash": (
        {"withdrawals": tuple(Withdrawal(one, 200 * RUPEE, 0) for one in GROUP.members)},
        "CASH_NEGATIVE",
        "withdrawals",
    ),
    "more repaid to the bank than the cash": (
        {"borrowing_repayments": (BorrowingRepayment(BORROWED, 511 * RUPEE, 0),)},
        "CASH_NEGATIVE",
        "borrowing_repayments",
    ),
    "more taken back than the cash": (
        {"reversals": tuple(Reversal(FIRST.meeting_id, line) for line in (1, 2, 3))},
        "CASH_NEGATIVE",
        "reversals",
    ),
    "a cheque larger than the account": (
        {"loans": (LoanGiven(NEW, TWO, 1200 * RUPEE + 1, 0, 1, paid=BY_CHEQUE),)},
        "BANK_NEGATIVE",
        "bank_statements[0]",
    ),
    "more moved than the account held": ({"bank_moves": (BankMove("TRANSFER", 1, OTHER_BANK, BANK),)}, "BANK_NEGATIVE", "bank_statements[1]"),
    "more withdrawn than saved": (
        {"withdrawals": (Withdrawal(ONE, 1, 0), Withdrawal(TWO, 200 * RUPEE + 1, 0))},
        "SAVINGS_NEGATIVE",
        "withdrawals[1]",
    ),
    "voluntary savings withdrawn that are not there": ({"withdrawals": (Withdrawal(TWO, 0, 1),)}, "SAVINGS_NEGATIVE", "withdrawals[0]"),
    "more share returned than paid in": ({"entries": (Entry("SHARE_RETURNED", 10 * RUPEE + 1, TWO),)}, "SAVINGS_NEGATIVE", "entries[0]"),
    "a saving taken back that was withdrawn since": (
        {"reversals": (Reversal(FIRST.meeting_id, 1),), "withdrawals": (Withdrawal(TWO, 1, 0), Withdrawal(ONE, 1, 0))},
        "SAVINGS_NEGATIVE",
        "withdrawals[1]",
    ),
    "a share taken back that was returned": (
        {"reversals": (Reversal(FIRST.meeting_id, 6),), "entries": (Entry("FINE", 1, ONE), Entry("SHARE_RETURNED", 1, ONE))},
        "SAVINGS_NEGATIVE",
        "entries[1]",
    ),
    "more arrived than was on its way": ({"bank_moves": (BankMove("ARRIVED", 40 * RUPEE + 1, BANK),)}, "BALANCE_NEGATIVE", ""),
    "a deposit ended that was not made": ({"entries": (Entry("INVESTMENT_ENDED", 1),)}, "BALANCE_NEGATIVE", ""),
    "a fund returned that did not come": ({"entries": (Entry("FUND_RETURNED", 1),)}, "BALANCE_NEGATIVE", ""),
}


@pytest.mark.parametrize("case", OVERDRAWN)
def test_nothing_falls_below_nothing_though_the_sums_are_right(case):
    changes, code, field = OVERDRAWN[case]
    assert refusal(sound(**changes)) == (code, field)


def test_what_is_spent_to_the_last_paisa_is_taken():
    empty = sound(
        loans=(LoanGiven(NEW, TWO, 510 * RUPEE, 0, 1),),
        withdrawals=(Withdrawal(ONE, 200 * RUPEE, 0, BY_CHEQUE),),
        entries=(Entry("OTHER_PAYMENT", 1000 * RUPEE, paid=BY_CHEQUE),),
        bank_moves=(BankMove("ARRIVED", 40 * RUPEE, OTHER_BANK), BankMove("TRANSFER", 40 * RUPEE, OTHER_BANK, BANK)),
    )
    books = entered(empty, BOOKS)
    assert books.balances[Account(Head.CASH)] == books.balances[Account(Head.BANK, OTHER_BANK)] == 0
    assert books.balances[Account(Head.COMPULSORY_SAVINGS, ONE)] == 0
    assert refusal(sound(books, withdrawals=(Withdrawal(ONE, 1, 0),)), books)[0] in {"SAVINGS_NEGATIVE", "CASH_NEGATIVE"}


def test_a_loan_and_a_borrowing_may_be_repaid_to_the_last_paisa():
    paid = BorrowingRepayment(BORROWED, 1000 * RUPEE, 0, BY_BANK)
    repaid = taken(sound(repayments=(Repayment(LOAN, 300 * RUPEE, 0),), borrowing_repayments=(paid,)))
    assert [loan.standing.outstanding_paise for loan in repaid.loans.values()] == [0, 0]


def test_what_is_not_explained_may_stand_below_nothing():
    assert taken(sound(entries=(Entry("UNEXPLAINED_PAYMENT", 9),))).balances[Account(Head.SUSPENSE)] == -9


@pytest.mark.parametrize("share", ["SHARE_RETURNED", "withdrawal"])
def test_where_one_member_has_too_little_the_others_do_not_make_up_for_it(share):
    """The head as a whole has enough; hers has not."""
    changes = {"withdrawals": (Withdrawal(TWO, 201 * RUPEE, 0),)} if share == "withdrawal" else {"entries": (Entry(share, 11 * RUPEE, TWO),)}
    assert refusal(sound(**changes))[0] == "SAVINGS_NEGATIVE"


@pytest.mark.parametrize(
    ("counted", "sentence"),
    [
        (509 * RUPEE, "The cash counted is ₹509, and the book says ₹510: ₹1 is missing."),
        (510 * RUPEE + 1, "The cash counted is ₹510.01, and the book says ₹510: ₹0.01 is too much."),
        (0, "The cash counted is ₹0, and the book says ₹510: ₹510 is missing."),
    ],
)
def test_the_sentence_says_how_much_cash_is_missing(counted, sentence):
    assert str(refused_of(replace(sound(), counted_cash_paise=counted))) == sentence


def test_the_sentence_says_which_account_and_by_how_much():
    both = sound(bank_moves=(BankMove("TRANSFER", 300 * RUPEE, BANK, OTHER_BANK),))
    assert {one.bank_id: one.passbook_paise for one in both.bank_statements} == {BANK: 900 * RUPEE, OTHER_BANK: 300 * RUPEE}
    for at in (0, 1):
        read = list(both.bank_statements)
        read[at] = read[at]._replace(passbook_paise=read[at].passbook_paise - 5 * RUPEE)
        refused = refused_of(replace(both, bank_statements=tuple(read)))
        assert (refused.code, refused.field) == ("BANK_UNBALANCED", f"bank_statements[{at}]")
        assert refused.params["gap"] == "₹5"
        assert refused.params["way"] == "missing"
    unread = refused_of(replace(both, bank_statements=both.bank_statements[:1]))
    assert (unread.code, unread.params["bank_id"], unread.params["book"]) == ("BANK_NOT_STATED", OTHER_BANK, "₹300")


@pytest.mark.parametrize(("passbook", "debited", "credited"), [(1200, 0, 0), (1500, 300, 0), (1100, 0, 100), (1450, 300, 50), (100, 300, 1400)])
def test_cheques_on_their_way_are_reckoned_with(passbook, debited, credited):
    read = (BankStatement(BANK, passbook * RUPEE, debited * RUPEE, credited * RUPEE),)
    assert taken(replace(sound(), bank_statements=read))
    wrong = (BankStatement(BANK, passbook * RUPEE, credited * RUPEE, debited * RUPEE + 1),)
    assert refusal(replace(sound(), bank_statements=wrong))[0] == "BANK_UNBALANCED"


def test_an_account_that_was_emptied_is_read_and_one_never_used_need_not_be():
    emptied = sound(bank_moves=(BankMove("TRANSFER", 1200 * RUPEE, BANK, OTHER_BANK),))
    assert taken(emptied)
    without = tuple(one for one in emptied.bank_statements if one.bank_id != BANK)
    assert refusal(replace(emptied, bank_statements=without)) == ("BANK_NOT_STATED", "bank_statements")
    assert [one.bank_id for one in sound().bank_statements] == [BANK]


ENDED = {
    "saved into it": ({"savings": (Saving(ONE, 1, 0, BY_BANK),)}, "savings[0].paid.bank_id"),
    "some paid out of it": ({"entries": (Entry("RENT", 1), Entry("RENT", 1, paid=BY_CHEQUE))}, "entries[1].paid.bank_id"),
    "put into it": ({"bank_moves": (BankMove("SENT", 1), BankMove("DEPOSIT", 1, BANK))}, "bank_moves[1].bank_id"),
    "some taken from it": ({"bank_moves": (BankMove("WITHDRAWAL", 1, BANK),)}, "bank_moves[0].bank_id"),
    "moved into it": (
        {"bank_moves": (BankMove("ARRIVED", 1, OTHER_BANK), BankMove("TRANSFER", 1, OTHER_BANK, BANK))},
        "bank_moves[1].to_bank_id",
    ),
    "emptied and used": (
        {"borrowing_repayments": (BorrowingRepayment(BORROWED, 1000 * RUPEE, 0, BY_BANK),), "entries": (Entry("BANK_INTEREST", 1, paid=BY_BANK),)},
        "entries[0].paid.bank_id",
    ),
}


@pytest.mark.parametrize("case", ENDED)
def test_an_account_that_has_ended_is_not_used(case):
    changes, field = ENDED[case]
    until = {day: replace(BOOKS, institution=GROUP.institution(banks={BANK: day, OTHER_BANK: None})) for day in (BEFORE, DAY)}
    assert taken(sound(**changes), until[DAY]), "on its last day it is"
    refused = refused_of(sound(**changes), until[BEFORE])
    assert (refused.code, refused.field, refused.params["ended_on"]) == ("BANK_ENDED", field, BEFORE.isoformat())


def test_what_was_left_in_an_account_that_has_ended_is_taken_out_whole():
    books = replace(BOOKS, institution=GROUP.institution(banks={BANK: BEFORE, OTHER_BANK: None}))
    assert taken(sound(), books), "until then it may stand there"
    all_of_it = sound(bank_moves=(BankMove("TRANSFER", 1200 * RUPEE, BANK, OTHER_BANK),))
    assert taken(all_of_it, books).balances[Account(Head.BANK, BANK)] == 0
    lent = next(line.line for line in lines(FIRST, {}, {}) if line.debit == Head.BANK)
    back = sound(reversals=(Reversal(FIRST.meeting_id, lent),))
    assert refusal(back, books) == ("BANK_ENDED", "reversals")


def test_an_account_not_told_yet_is_waited_for():
    strange = "00000000-0000-4000-8000-00000000abcd"
    for changes in (
        {"savings": (Saving(ONE, 5, 0, Paid("TRANSFER", strange)),)},
        {"bank_moves": (BankMove("TRANSFER", 5, BANK, strange),)},
        {"bank_moves": (BankMove("DEPOSIT", 5, strange),)},
    ):
        refused = refused_of(sound(**changes))
        assert (refused.code, refused.awaited) == ("BANK_WAITING", strange)
    extra = replace(sound(), bank_statements=(*sound().bank_statements, BankStatement(strange, 0)))
    assert refusal(extra)[0] == "BANK_WAITING"


# Days.


def test_a_meeting_may_be_held_today_on_the_day_of_the_last_and_on_the_day_of_formation():
    assert taken(sound(held_on=TODAY))
    assert taken(sound(held_on=FIRST.held_on))
    assert taken(following(GROUP.books(), GROUP, held_on=FORMED_ON), GROUP.books())
    unknown = GROUP.books(institution=GROUP.institution(formed_on=None))
    assert taken(following(unknown, GROUP, held_on=FORMED_ON), unknown)


def test_no_meeting_was_held_before_the_institution_was_formed():
    books = GROUP.books(institution=GROUP.institution(formed_on=DAY))
    assert taken(following(books, GROUP, held_on=DAY), books)
    refused = refused_of(following(books, GROUP, held_on=BEFORE), books)
    assert (refused.code, refused.field) == ("HELD_TOO_EARLY", "held_on")
    assert str(refused) == "The institution was formed on 2026-10-12; no meeting was held before."


def test_what_was_held_too_long_ago_is_not_entered():
    policies = Policies({"meeting_entry_days_max": (Period(10, date(2026, 11, 1)),)})
    old, just = sound(held_on=TODAY - timedelta(days=11)), sound(held_on=TODAY - timedelta(days=10))
    assert taken(just, policies=policies)
    assert refusal(old, policies=policies) == ("HELD_LONG_AGO", "held_on")
    # The policy is that of the day of entry: before it came into force, the old one held.
    assert taken(sound(held_on=date(2026, 10, 12)), policies=policies, today=date(2026, 10, 31))


@pytest.mark.parametrize(("today", "code"), [(date(2027, 9, 30), ""), (date(2027, 10, 1), "YEAR_CLOSED")])
def test_a_closed_year_takes_no_meeting(today, code):
    """183 days after 31 March 2027 is 30 September."""
    long = Policies({"meeting_entry_days_max": (Period(3650, date(2026, 1, 1)),)})
    one = sound(held_on=date(2027, 3, 31))
    if code:
        assert refusal(one, policies=long, today=today) == (code, "held_on")
    else:
        assert taken(one, policies=long, today=today)
    assert taken(sound(held_on=date(2027, 4, 1)), policies=long, today=today), "the new year is open"


def test_a_state_may_close_its_years_at_once():
    strict = Policies({"year_closes_after_days": (Period(0, date(2026, 1, 1)),)})
    assert taken(sound(held_on=date(2027, 3, 31)), policies=strict, today=date(2027, 3, 31))
    assert refusal(sound(held_on=date(2027, 3, 31)), policies=strict, today=date(2027, 4, 1)) == ("YEAR_CLOSED", "held_on")


# Numbers.


@pytest.mark.parametrize("number", range(FIRST_NUMBER_MAX + 2))
def test_the_first_meeting_here_has_the_number_after_those_on_paper(number):
    books = GROUP.books()
    one = following(books, GROUP, number=number)
    if 1 <= number <= 12:
        chain = entered(one, books).chain
        assert (chain.last_number, chain.approved_through, chain.highest_number) == (number, number - 1, number)
    else:
        assert refusal(one, books) == ("CUT_OFF_NEEDED", "number")


def test_where_the_books_have_begun_a_first_meeting_is_out_of_sequence():
    assert refusal(replace(sound(), number=1, previous_meeting_id="")) == ("MEETING_OUT_OF_SEQUENCE", "previous_meeting_id")


# Levels.


@pytest.mark.parametrize(
    ("kind", "changes", "head"),
    [
        ("VO", {"borrowings": (Borrowing(NEW, "BANK", 1, 0, 1),)}, "L04"),
        ("VO", {"borrowings": (Borrowing(NEW, "VO", 1, 0, 1),)}, "L05"),
        ("CLF", {"borrowings": (Borrowing(NEW, "CLF", 1, 0, 1),)}, "L07"),
        ("CLF", {"savings": (Saving(ONE, 5, 1),)}, "L02"),
        ("VO", {"borrowings": (Borrowing(NEW, "CLF", 1, 0, 1),)}, ""),
        ("VO", {"savings": (Saving(ONE, 5, 1),)}, ""),
        ("CLF", {"savings": (Saving(ONE, 5, 0),)}, ""),
    ],
)
def test_each_kind_of_institution_has_its_heads(kind, changes, head):
    group = Group(kind=kind, member_ids=GROUP.member_ids)
    one = following(group.books(), group, savings=changes.pop("savings", savings(group)), **changes)
    if not head:
        assert taken(one, group.books())
        return
    refused = refused_of(one, group.books())
    assert (refused.code, refused.params["head"], refused.params["kind"]) == ("HEAD_NOT_HERE", head, kind)


def test_of_several_heads_that_are_not_there_the_first_entered_is_told():
    """Whatever the order in which a set has them."""
    group = Group(kind="CLF", member_ids=GROUP.member_ids)
    wrong = {
        "borrowings": tuple(Borrowing(new_id(), lender, 1, 0, 1) for lender in ("CLF", "VO", "BANK")),
    }
    one = following(group.books(), group, savings=(Saving(ONE, 5, 1),), **wrong)
    assert refused_of(one, group.books()).params["head"] == "L02"
    one = following(group.books(), group, borrowings=wrong["borrowings"])
    assert refused_of(one, group.books()).params["head"] == "L07"


# Reversals.


def test_a_line_taken_back_is_the_line_turned_round_once():
    once = sound(reversals=(Reversal(FIRST.meeting_id, 1),))
    became = taken(once)
    was = lines(FIRST, {}, {})[0]
    assert became.lines == (Line(1, was.credit, was.debit, was.amount_paise, was.credit_of, was.debit_of),)
    assert became.flags == ("REVERSAL",)
    books = entered(once, BOOKS)
    assert books.balances[Account(Head.COMPULSORY_SAVINGS, ONE)] == 0
    again = sound(books, reversals=(Reversal(FIRST.meeting_id, 1),))
    assert refusal(again, books) == ("LINE_REVERSED", "reversals[0]")
    # What was taken back by mistake is entered anew.
    books = final(once, BOOKS)
    assert refusal(sound(books, reversals=(Reversal(once.meeting_id, 1),)), books) == ("LINE_IS_REVERSAL", "reversals[0]")
    anew = sound(books, savings=(Saving(ONE, 200 * RUPEE, 0),))
    assert entered(anew, books).balances[Account(Head.COMPULSORY_SAVINGS, ONE)] == 200 * RUPEE


def test_a_saving_that_was_withdrawn_is_not_taken_back():
    books = final(sound(withdrawals=(Withdrawal(ONE, 1, 0),)), BOOKS)
    assert refusal(sound(books, reversals=(Reversal(FIRST.meeting_id, 1),)), books) == ("SAVINGS_NEGATIVE", "reversals")


def lent_line():
    return next(line.line for line in lines(FIRST, {}, {}) if line.debit == Head.MEMBER_LOANS)


def test_a_loan_partly_repaid_cannot_be_taken_back_unless_its_repayment_is():
    given = Reversal(FIRST.meeting_id, lent_line())
    assert taken(sound(reversals=(given,))).loans[LOAN].standing.outstanding_paise == 0
    repaid = sound(repayments=(Repayment(LOAN, 100 * RUPEE, 0),))
    books = final(repaid, BOOKS)
    assert refusal(sound(books, reversals=(given,)), books) == ("BALANCE_NEGATIVE", "")
    both = sound(books, reversals=(given, Reversal(repaid.meeting_id, 1)))
    assert taken(both, books).loans[LOAN].standing.outstanding_paise == 0


@pytest.mark.parametrize(("name", "kind", "loan_id"), [("repayments", Repayment, LOAN), ("borrowing_repayments", BorrowingRepayment, BORROWED)])
def test_a_repayment_that_was_too_large_is_taken_back_and_entered_anew_in_one_meeting(name, kind, loan_id):
    owed = BOOKS.loans[loan_id].standing.outstanding_paise
    whole = sound(**{name: (kind(loan_id, owed, 0, BY_BANK),)})
    books = final(whole, BOOKS)
    assert books.loans[loan_id].standing.outstanding_paise == 0
    back = {"reversals": (Reversal(whole.meeting_id, 1),), "entries": (Entry("GRANT", 10**6), Entry("GRANT", 10**6, paid=BY_BANK))}
    anew = taken(sound(books, **back, **{name: (kind(loan_id, 200 * RUPEE, 0),)}), books)
    assert anew.loans[loan_id].standing.outstanding_paise == owed - 200 * RUPEE
    more = sound(books, **back, **{name: (kind(loan_id, owed + 1, 0),)})
    assert refusal(more, books) == ("REPAYMENT_TOO_LARGE", f"{name}[0].principal_paise")


def test_of_a_loan_that_is_taken_back_nothing_is_repaid():
    one = sound(repayments=(Repayment(LOAN, 1, 0),), reversals=(Reversal(FIRST.meeting_id, lent_line()),))
    assert refusal(one) == ("REPAYMENT_TOO_LARGE", "repayments[0].principal_paise")


def test_interest_taken_back_is_owed_again():
    month_later = date(2026, 11, 12)
    repaid = sound(held_on=month_later, repayments=(Repayment(LOAN, 0, 6 * RUPEE),))
    books = final(repaid, BOOKS)
    assert books.loans[LOAN].standing.interest_unpaid_paise == 0
    back = sound(books, held_on=month_later, reversals=(Reversal(repaid.meeting_id, 1),))
    loan = taken(back, books).loans[LOAN]
    assert interest_owed(loan.terms, loan.standing, month_later) == 6 * RUPEE


def test_of_a_loan_that_is_taken_back_no_interest_is_owed():
    """Three months bore 6 rupees each; but it was never given."""
    later = date(2026, 11, 12)
    books = final(sound(held_on=later, repayments=(Repayment(LOAN, 0, 2 * RUPEE),)), BOOKS)
    assert interest_owed(books.loans[LOAN].terms, books.loans[LOAN].standing, later) == 4 * RUPEE
    back = sound(books, held_on=later, reversals=(Reversal(FIRST.meeting_id, lent_line()),))
    assert taken(back, books).loans[LOAN].standing == Standing(0, 0, later)
    assert taken(sound(held_on=later, reversals=back.reversals)).loans[LOAN].standing == Standing(0, 0, FIRST.held_on)


def test_interest_that_was_paid_beyond_what_was_owed_and_taken_back_is_not_owed():
    later = date(2026, 11, 12)
    slip = sound(held_on=later, repayments=(Repayment(LOAN, 0, 600 * RUPEE),))
    books = final(slip, BOOKS)
    back = sound(books, held_on=later, entries=(Entry("GRANT", 10**6),), reversals=(Reversal(slip.meeting_id, 1),))
    loan = taken(back, books).loans[LOAN]
    assert interest_owed(loan.terms, loan.standing, later) == 6 * RUPEE
    anew = replace(back, repayments=(Repayment(LOAN, 0, 6 * RUPEE),))
    loan = taken(sound(books, held_on=later, entries=anew.entries, reversals=anew.reversals, repayments=anew.repayments), books).loans[LOAN]
    assert interest_owed(loan.terms, loan.standing, later) == 0


def test_after_a_repayment_is_taken_back_interest_is_owed_on_what_truly_was_owed():
    whole = sound(repayments=(Repayment(LOAN, 300 * RUPEE, 0),))
    books = final(whole, BOOKS)
    later = date(2026, 11, 12)
    books = final(sound(books, held_on=later), books)
    loan = books.loans[LOAN]
    assert interest_owed(loan.terms, loan.standing, later) == 0
    loan = taken(sound(books, held_on=later, reversals=(Reversal(whole.meeting_id, 1),)), books).loans[LOAN]
    assert (loan.standing.outstanding_paise, interest_owed(loan.terms, loan.standing, later)) == (300 * RUPEE, 6 * RUPEE)


def test_what_is_paid_of_a_loan_is_read_off_its_lines():
    posted = (
        Line(1, Head.CASH, Head.MEMBER_LOANS, 100, "", LOAN),
        Line(2, Head.CASH, Head.LOAN_INTEREST, 6, "", LOAN),
        Line(3, Head.MEMBER_LOANS, Head.CASH, 30, NEW, ""),
        Line(4, Head.BORROWING_BANK, Head.BANK, 40, BORROWED, BANK),
        Line(5, Head.INTEREST_PAID, Head.BANK, 7, BORROWED, BANK),
        Line(6, Head.CASH, Head.FINES, 5, "", ONE),
        Line(7, Head.LOAN_INTEREST, Head.CASH, 2, LOAN, ""),
    )
    assert payments(posted) == {LOAN: (100, 4), NEW: (-30, 0), BORROWED: (40, 7)}


# Flags.


SLIP = UNUSUAL_TIMES * GROUP.compulsory_paise


def present(*there):
    """Everybody is listed."""
    return tuple(Attendance(one, one in there) for one in GROUP.members)


@pytest.mark.parametrize(
    ("changes", "flags"),
    [
        ({}, ()),
        ({"manual_books_differ": "two rupees"}, ("MANUAL_BOOKS_DIFFER",)),
        ({"revision": 2}, ("REVISED",)),
        ({"attendance": ()}, ("NOBODY_PRESENT", "ATTENDANCE_INCOMPLETE")),
        ({"attendance": present()}, ("NOBODY_PRESENT",)),
        ({"attendance": present(*GROUP.members)[1:]}, ("ATTENDANCE_INCOMPLETE",)),
        ({"attendance": present(ONE), "loans": (LoanGiven(NEW, TWO, 1, 0, 1),)}, ("LOAN_WHILE_ABSENT",)),
        ({"attendance": present(ONE), "loans": (LoanGiven(NEW, ONE, 1, 0, 1),)}, ()),
        ({"attendance": present(), "loans": (LoanGiven(NEW, ONE, 1, 0, 1),)}, ("NOBODY_PRESENT", "LOAN_WHILE_ABSENT")),
        ({"savings": (Saving(TWO, 1, 1), Saving(ONE, SLIP, 0))}, ("SAVING_UNUSUAL",)),
        ({"savings": (Saving(ONE, 0, SLIP),)}, ("SAVING_UNUSUAL",)),
        ({"savings": (Saving(ONE, SLIP - 1, SLIP - 1),)}, ()),
        ({"entries": (Entry("FINE", 1, TWO), Entry("FINE", SLIP, ONE))}, ("AMOUNT_UNUSUAL",)),
        ({"entries": (Entry("SHARE_CAPITAL", SLIP, ONE),)}, ("AMOUNT_UNUSUAL",)),
        ({"entries": (Entry("GRANT", SLIP), Entry("SAVINGS_INTEREST", SLIP, ONE))}, ("AMOUNT_UNUSUAL",)),
        ({"entries": (Entry("GRANT", SLIP), Entry("FINE", SLIP - 1, ONE))}, ()),
        ({"repayments": (Repayment(LOAN, 1, SLIP),)}, ("AMOUNT_UNUSUAL",)),
        ({"repayments": (Repayment(LOAN, 1, SLIP - 1),)}, ()),
    ],
)
def test_flags_say_what_an_approver_should_look_at(changes, flags):
    assert taken(sound(**changes)).flags == flags


SPAN = Span(None, BEFORE)


@pytest.mark.parametrize(
    ("member", "unlisted"),
    [
        (Member(GROUP.id, active=True), 1),
        (Member(GROUP.id, active=False), 0),
        (Member(GROUP.id, active=True, since_on=DAY), 1),
        (Member(GROUP.id, active=True, since_on=AFTER), 0),
        (Member(GROUP.id, active=True, since_on=AFTER, ended=[(GROUP.id, SPAN)]), 0),
        (Member(GROUP.id, active=True, since_on=AFTER, ended=[(GROUP.id, replace(SPAN, to_on=DAY))]), 1),
        (Member(NEW, active=True), 0),
    ],
)
def test_whoever_was_there_that_day_and_is_active_should_stand_in_the_attendance(member, unlisted):
    books = replace(BOOKS, members={**BOOKS.members, LATER: member})
    became = taken(sound(books), books)
    assert (became.unlisted, became.flags) == (unlisted, ("ATTENDANCE_INCOMPLETE",) * unlisted)
    listed = sound(books, attendance=(*present(ONE), *(Attendance(LATER, False),) * unlisted))
    assert (taken(listed, books).unlisted, taken(listed, books).flags) == (0, ())


def test_where_the_group_has_no_usual_saving_none_is_unusual():
    books = replace(BOOKS, institution=GROUP.institution(compulsory_paise=0))
    assert taken(sound(books, savings=(Saving(ONE, 10**9, 10**9),), entries=(Entry("FINE", 10**9, ONE),)), books).flags == ()


def test_interest_that_was_owed_is_not_unusual_however_much_it_is():
    loan = BOOKS.loans[LOAN]
    books = replace(BOOKS, loans={**BOOKS.loans, LOAN: replace(loan, standing=replace(loan.standing, interest_unpaid_paise=SLIP))})
    assert taken(sound(books, repayments=(Repayment(LOAN, 0, SLIP),)), books).flags == ()
    assert taken(sound(books, repayments=(Repayment(LOAN, 0, SLIP + 1),)), books).flags == ("AMOUNT_UNUSUAL",)


# The closing position.


def test_the_closing_position_has_every_balance_that_is_not_nothing_and_its_place():
    said = closing(GROUP.id, 2, DAY, {Account(Head.CASH): 5, Account(Head.FINES): 0, Account(Head.COMPULSORY_SAVINGS, ONE): 5})
    assert said == {"institution_id": GROUP.id, "number": 2, "held_on": "2026-10-12", "balances": {"A03": 5, f"L01/{ONE}": 5}}


def test_money_and_savings_may_agree_and_a_members_balance_not():
    """Two members' savings are swapped: cash is right, and the books are not."""
    one = sound(savings=(Saving(ONE, 50, 0), Saving(TWO, 60, 0)))
    swapped = sound(savings=(Saving(ONE, 60, 0), Saving(TWO, 50, 0)))
    assert one.counted_cash_paise == swapped.counted_cash_paise
    assert refusal(replace(one, closing_hash=swapped.closing_hash)) == ("CLOSING_DIFFERS", "closing_hash")


# Members.

HERE, THERE = GROUP.id, new_id()


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
        (Member(THERE, active=True, since_on=BEFORE, ended=[(new_id(), Span(None, BEFORE))]), "MEMBER_WAITING"),
        (Member(THERE, active=False, ended=[(THERE, Span(None, BEFORE))]), "MEMBER_WAITING"),
        # It can come no more: she was elsewhere that very day, or later.
        (Member(THERE, active=True, since_on=DAY, ended=[(new_id(), Span(None, DAY)), (HERE, Span(None, FORMED_ON))]), "MEMBER_LEFT"),
        (Member(THERE, active=False, ended=[(HERE, Span(AFTER, AFTER)), (THERE, Span(None, AFTER))]), "MEMBER_ELSEWHERE"),
        # Of who never was here nothing is told, nor whether there is such a member.
        (Member(THERE, active=True, since_on=DAY, ended=[(new_id(), Span(None, DAY))]), "MEMBER_WAITING"),
        (Member(THERE, active=False, ended=[(THERE, Span(None, AFTER))]), "MEMBER_WAITING"),
    ],
)
def test_a_member_is_judged_by_where_she_was_on_the_meetings_day(member, code):
    books = replace(BOOKS, members={**BOOKS.members, TWO: member})
    if not code:
        assert taken(sound(books), books)
        return
    refused = refused_of(sound(books), books)
    assert (refused.code, refused.field) == (code, "attendance[1].member_id")
    assert isinstance(refused, Waiting) == (code == "MEMBER_WAITING")


@pytest.mark.parametrize(
    "changes",
    [
        {"savings": (Saving(TWO, 5, 0),)},
        {"withdrawals": (Withdrawal(TWO, 5, 0),)},
        {"entries": (Entry("FINE", 5, TWO),)},
        {"loans": (LoanGiven(NEW, TWO, 5, 0, 1),)},
    ],
)
def test_whoever_is_named_anywhere_must_have_been_there(changes):
    gone = Member(HERE, active=False, ended=[(HERE, Span(None, BEFORE))])
    books = replace(BOOKS, members={**BOOKS.members, TWO: gone})
    rest = tuple(Attendance(one, True) for one in GROUP.members if one != TWO)
    (name,) = changes
    assert refusal(sound(books, attendance=rest, **changes), books) == ("MEMBER_LEFT", f"{name}[0].member_id")


def test_who_left_is_refused_before_anybody_is_waited_for():
    left = Member(HERE, active=False, ended=[(HERE, Span(None, BEFORE))])
    books = replace(BOOKS, members={**BOOKS.members, ONE: Member(HERE, active=False), TWO: left})
    refused = refused_of(sound(books), books)
    assert (refused.code, refused.field) == ("MEMBER_LEFT", "attendance[1].member_id")
    assert str(refused) == "This member was of this institution until 2026-10-11; take her off the lists of a meeting held later."


def test_what_is_wrong_is_told_before_anybody_is_waited_for():
    books = replace(BOOKS, members={**BOOKS.members, ONE: Member(HERE, active=False)})
    assert refusal(replace(sound(books), counted_cash_paise=1), books) == ("CASH_UNBALANCED", "counted_cash_paise")
    assert refusal(sound(books), books) == ("MEMBER_WAITING", "attendance[0].member_id")


# Who may bring which meeting, and which revision.


def admitted(one, books=BOOKS, caller=None, lock=0):
    try:
        return "STORE" if admit(upload(one, lock), books, caller or GROUP.bookkeeper(), Policies(), TODAY) else "ALREADY"
    except Refused as refused:
        return f"{type(refused).__name__} {refused.code} {refused.field}".strip()


def test_who_may_bring_which_meeting():
    assert admitted(sound()) == "STORE"
    assert admitted(sound(), caller=GROUP.bookkeeper(institutions=frozenset())) == "Forbidden INSTITUTION_NOT_YOURS institution_id"
    assert admitted(sound(), caller=GROUP.bookkeeper(role=Role.VO_BOOKKEEPER)) == "Forbidden BOOKKEEPER_KIND institution_id"
    clf = replace(BOOKS, institution=GROUP.institution(kind="CLF"))
    assert admitted(sound(), clf, GROUP.bookkeeper(role=Role.CLF_BOOKKEEPER)) == "Conflict APPROVER_MISSING institution_id"
    assert admitted(sound(), replace(BOOKS, institution=None)) == "Waiting INSTITUTION_WAITING institution_id"
    assert admitted(sound(), replace(BOOKS, institution=GROUP.institution(active=False))) == "Waiting INSTITUTION_WAITING institution_id"
    assert admitted(replace(sound(), savings=(Saving(ONE, -1, 0),))) == "Invalid AMOUNT_NEGATIVE savings[0].compulsory_paise"


LAST_MOMENT = int(datetime(2026, 11, 21, 23, 59, 59, 999_000, tzinfo=UTC).timestamp() * 1000)  # Of the day after TODAY.


@pytest.mark.parametrize(
    ("held", "sent", "outcome"),
    [
        (0, 0, "STORE"),
        (3, 3, "STORE"),
        (3, 2, "Conflict LOCK_LOST lock"),
        (3, 0, "Conflict LOCK_LOST lock"),
        (3, -1, "Conflict LOCK_LOST lock"),
        (0, -1, "Conflict LOCK_LOST lock"),
        # Books that came back from a backup do not know who took them since.
        (0, 3, "STORE"),
        (3, 4, "STORE"),
        (3, LAST_MOMENT, "STORE"),
        (3, LAST_MOMENT + 1, "Invalid LOCK_INVALID lock"),
        (3, 2**63 - 1, "Invalid LOCK_INVALID lock"),
        (LAST_MOMENT + 1, LAST_MOMENT + 1, "STORE"),
    ],
)
def test_only_who_has_the_books_brings_meetings(held, sent, outcome):
    books = replace(BOOKS, chain=replace(BOOKS.chain, lock=held))
    assert admitted(sound(), books, lock=sent) == outcome


def test_in_one_upload_too_the_newest_lock_fences_the_older_ones():
    sent = {place: upload(one, lock) for place, (one, lock) in enumerate(zip(FOUR, (3, 4, 3, 4), strict=True))}
    answered = admit_all(sent, replace(BOOKS, chain=replace(BOOKS.chain, lock=3)), GROUP.bookkeeper(), Policies(), TODAY)
    assert [getattr(one, "code", one) for _, one in sorted(answered.outcomes.items())] == ["APPLIED", "APPLIED", "LOCK_LOST", "MEETING_WAITING"]
    assert answered.books.chain.lock == 4


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
    institution = GROUP.institution(active=active, since_on=since_on, ended=ended)
    assert admitted(sound(), replace(BOOKS, institution=institution)) == outcome


def recorded(one, status=MeetingStatus.CLOSED, **changes):
    """BOOKS, with the meeting in them as it was sent; handed back it is no part of the chain."""
    plain = {"institution_id": one.institution_id, "revision": one.revision, "number": one.number, "status": status}
    was = Recorded(**{**plain, "content_hash": content_hash(content(one)), "sheet": one, **changes})
    return replace(BOOKS, recorded={**BOOKS.recorded, one.meeting_id: was})


@pytest.mark.parametrize("status", MeetingStatus)
def test_the_same_revision_is_the_same_meeting_whatever_became_of_it(status):
    one = sound()
    books = recorded(one, status)
    assert admitted(one, books) == "ALREADY"
    assert admitted(one, books, lock=7) == "ALREADY", "it is answered as ever, also to who has lost the books"
    assert admitted(replace(one, counted_cash_paise=1), books) == "Conflict REVISION_CONTENT counted_cash_paise"
    assert admitted(replace(one, entries=(Entry("FINE", 1, ONE),)), books) == "Conflict REVISION_CONTENT entries"
    later = sound(meeting_id=one.meeting_id, revision=2)
    assert admitted(later, books) == ("STORE" if status == MeetingStatus.REJECTED else "Conflict MOVE_NOT_ALLOWED")


def test_revisions_count_up_and_a_device_may_be_ahead_of_restored_books():
    one = sound(revision=2)
    books = recorded(one, MeetingStatus.REJECTED)

    def again(**changes):
        return sound(meeting_id=one.meeting_id, **changes)

    assert admitted(again(revision=1), books) == "Conflict REVISION_OLD revision"
    assert admitted(again(revision=4), books) == "STORE"
    assert admitted(again(revision=3), books) == "STORE"
    assert admitted(again(revision=3, number=3), books) == "Conflict MEETING_OUT_OF_SEQUENCE number"
    assert admitted(sound(revision=0)) == "Invalid REVISION_INVALID revision"
    assert admitted(sound(revision=-1)) == "Invalid REVISION_INVALID revision"
    assert admitted(sound(revision=2)) == "STORE"
    assert admitted(one, recorded(one, institution_id=new_id())) == "Conflict REVISION_CONTENT institution_id"


def four(books=BOOKS):
    """Four meetings that stand on each other."""
    made = []
    for _ in range(4):
        made.append(sound(books, savings=savings(GROUP)))
        books = entered(made[-1], books)
    return made


def admitted_all(sent, books=BOOKS):
    answered = admit_all(dict(enumerate(map(upload, sent))), books, GROUP.bookkeeper(), Policies(), TODAY)
    return [one if isinstance(one, Outcome) else one.code for _, one in sorted(answered.outcomes.items())], answered


FOUR = four()


@pytest.mark.parametrize("order", list(permutations(range(4))))
def test_an_upload_is_taken_in_whatever_the_order(order):
    outcomes, answered = admitted_all([FOUR[at] for at in order])
    assert outcomes == [Outcome.APPLIED] * 4
    assert [posting.sheet.number for posting in answered.postings] == [2, 3, 4, 5]
    assert answered.books.chain.last_meeting_id == FOUR[-1].meeting_id
    assert answered.books.balances[Account(Head.COMPULSORY_SAVINGS, ONE)] == 400 * RUPEE


def test_a_bad_one_holds_up_those_that_stand_on_it_and_no_other():
    sent = [*FOUR]
    sent[2] = replace(sent[2], counted_cash_paise=1)
    outcomes, answered = admitted_all(sent)
    assert outcomes == [Outcome.APPLIED, Outcome.APPLIED, "CASH_UNBALANCED", "MEETING_WAITING"]
    assert len(answered.postings) == 2
    again, _ = admitted_all([FOUR[3], FOUR[2], FOUR[0]], answered.books)
    assert again == [Outcome.APPLIED, Outcome.APPLIED, Outcome.ALREADY_APPLIED]


def test_the_same_meeting_twice_in_an_upload_counts_once():
    outcomes, answered = admitted_all([FOUR[0], FOUR[0]])
    assert outcomes == [Outcome.APPLIED, Outcome.ALREADY_APPLIED]
    assert len(answered.postings) == 1


def test_meetings_that_stand_in_a_circle_are_refused():
    """They would wait for each other for ever; what stands on the circle waits for it to be put right."""
    one, other, after, apart = FOUR
    one, other = replace(one, number=4, previous_meeting_id=other.meeting_id), replace(other, number=5)
    assert admitted_all([after, one, other])[0] == ["MEETING_WAITING", "PREVIOUS_CIRCLE", "PREVIOUS_CIRCLE"]
    itself = replace(apart, previous_meeting_id=apart.meeting_id)
    assert admitted_all([itself])[0] == ["PREVIOUS_CIRCLE"]
    handed_back = recorded(apart, MeetingStatus.REJECTED)
    assert admitted_all([replace(itself, revision=2)], handed_back)[0] == ["PREVIOUS_CIRCLE"]
    assert admitted_all([FOUR[0], itself, FOUR[1]])[0] == [Outcome.APPLIED, "PREVIOUS_CIRCLE", Outcome.APPLIED]


def test_a_line_is_taken_back_once_in_an_upload():
    first = sound(reversals=(Reversal(FIRST.meeting_id, 1),))
    books = entered(first, BOOKS)
    second = sound(books, reversals=(Reversal(FIRST.meeting_id, 1),))
    assert admitted_all([first, second])[0] == [Outcome.APPLIED, "LINE_REVERSED"]


# Who may decide.

VO, CLF = uuid7(), uuid7()
PENDING = Pending(new_id(), GROUP.id, "SHG", VO, CLF, 2, 4, DAY, MeetingStatus.CLOSED, (), "IUP_BK", "maker")
SIDES = {side: Policies({"shg_approver_side": (Period(side, date(2026, 11, 1)),)}) for side in (0, 1, 2)}


def decided(pending=PENDING, revision=2, side=0, today=TODAY, **caller):
    try:
        must_decide(pending, revision, GROUP.approver(**caller), SIDES[side], today)
    except Refused as refused:
        return f"{type(refused).__name__} {refused.code}"
    return "YES"


def test_who_may_decide():
    assert decided() == "YES"
    assert decided(role=Role.VO_TRANS_APPROVER) == "Forbidden APPROVER_KIND"
    assert decided(replace(PENDING, kind="VO"), role=Role.VO_TRANS_APPROVER) == "YES"
    assert decided(replace(PENDING, kind="VO")) == "Forbidden APPROVER_KIND"
    assert decided(role=Role.BLOCK_PROGRAM_MANAGER) == "Forbidden APPROVER_KIND"
    assert decided(role=None) == "Forbidden APPROVER_KIND"
    assert decided(revision=1) == decided(revision=3) == "Conflict REVISION_OLD"


def test_nobody_decides_on_her_own_entry_by_person_by_device_or_by_user_id():
    assert decided(person="maker") == "Forbidden OWN_ENTRY"
    assert decided(persons=frozenset({"somebody", "maker"})) == "Forbidden OWN_ENTRY"
    assert decided(user_id="IUP_BK") == "Forbidden OWN_ENTRY"
    assert decided(user_id="IUP_BK", person="") == "Forbidden OWN_ENTRY"
    assert decided(replace(PENDING, maker_person=""), person="") == "YES", "two who are not known are not the same"


@pytest.mark.parametrize(
    ("vo", "clf", "side", "who", "may"),
    [
        (VO, CLF, 0, VO, True),
        (VO, CLF, 0, CLF, True),
        (VO, CLF, 1, VO, True),
        (VO, CLF, 1, CLF, False),
        (VO, CLF, 2, VO, False),
        (VO, CLF, 2, CLF, True),
        # A group directly under a CLF, or whose VO has none yet, is not left without an approver.
        (None, CLF, 0, CLF, True),
        (None, CLF, 1, CLF, True),
        (None, CLF, 2, CLF, True),
        (VO, None, 1, VO, True),
        (VO, None, 2, VO, True),
        (None, CLF, 1, VO, False),
        (VO, None, 2, CLF, False),
    ],
)
def test_a_states_policy_says_on_which_side_the_approver_stands(vo, clf, side, who, may):
    answer = decided(replace(PENDING, vo_id=vo, clf_id=clf), side=side, institutions=frozenset({who}))
    assert answer == ("YES" if may else "Forbidden APPROVER_SIDE")


def test_where_a_state_has_a_side_a_group_must_be_under_a_federation():
    alone = replace(PENDING, vo_id=None, clf_id=None)
    for side in (1, 2):
        assert decided(alone, side=side, institutions=frozenset({UUID(GROUP.id)})) == "Conflict FEDERATION_MISSING"
    assert decided(alone, side=0) == "YES"


def test_the_side_is_that_of_the_day_of_the_decision_and_of_shgs_alone():
    mapped = {"institutions": frozenset({CLF})}
    assert decided(side=1, today=date(2026, 10, 31), **mapped) == "YES"
    assert decided(side=1, today=date(2026, 11, 1), **mapped) == "Forbidden APPROVER_SIDE"
    assert decided(replace(PENDING, kind="VO"), side=1, role=Role.VO_TRANS_APPROVER, **mapped) == "YES"


@pytest.mark.parametrize(("status", "through"), list(product(MeetingStatus, range(6))))
def test_a_meeting_is_approved_next_in_sequence_or_not_at_all(status, through):
    pending, chain = replace(PENDING, status=status), Chain(last_number=5, approved_through=through, version=3)
    if status == MeetingStatus.CLOSED and through == 3:
        assert approve(pending, chain, unseen=True) == replace(chain, approved_through=4)
        return
    with pytest.raises(Conflict) as refused:
        approve(pending, chain, unseen=False)
    assert refused.value.code == ("MOVE_NOT_ALLOWED" if status != MeetingStatus.CLOSED else "APPROVAL_OUT_OF_SEQUENCE")
    if status == MeetingStatus.CLOSED:
        assert str(refused.value) == f"Meeting {through + 1} must be approved first."


def test_what_has_a_flag_is_looked_at_by_itself():
    chain, flagged = Chain(last_number=5, approved_through=3), replace(PENDING, flags=("REVISED", "REVERSAL"))
    assert approve(flagged, chain, unseen=False).approved_through == 4
    with pytest.raises(Conflict) as refused:
        approve(flagged, chain, unseen=True)
    assert (refused.value.code, str(refused.value)) == ("MEETING_FLAGGED", "Look at this meeting and approve it by itself: REVISED, REVERSAL.")


def test_only_what_is_closed_is_handed_back():
    assert reject(PENDING) == MeetingStatus.REJECTED
    for status in (MeetingStatus.APPROVED, MeetingStatus.REJECTED):
        with pytest.raises(Conflict) as refused:
            reject(replace(PENDING, status=status))
        assert refused.value.code == "MOVE_NOT_ALLOWED"


@pytest.mark.parametrize(
    ("said", "code", "field"),
    [
        (Handback(""), "REMARK_MISSING", "remark"),
        (Handback("  \n "), "REMARK_MISSING", "remark"),
        (Handback("", ("OTHER",)), "REMARK_MISSING", "remark"),
        (Handback("x" * (REMARK_LENGTH_MAX + 1)), "REMARK_TOO_LONG", "remark"),
        (Handback("a\0b"), "TEXT_INVALID", "remark"),
        (Handback("x", ("AMOUNT_WRONG", "BAD_HANDWRITING")), "REASON_UNKNOWN", "reasons[1]"),
    ],
)
def test_a_handback_says_why(said, code, field):
    with pytest.raises(Invalid) as refused:
        check_handback(said)
    assert str(refused.value)
    assert (refused.value.code, refused.value.field) == (code, field)


def test_a_reason_or_a_remark_is_enough():
    assert check_handback(Handback(" two\nlines ")) == Handback("two\nlines")
    assert check_handback(Handback("", ("AMOUNT_WRONG", "OTHER"))) == Handback("", ("AMOUNT_WRONG", "OTHER"))
    assert check_handback(Handback("x" * REMARK_LENGTH_MAX)).remark == "x" * REMARK_LENGTH_MAX


# Figures.


def test_the_figures_of_a_meeting_come_from_its_lines_and_what_is_taken_back_is_taken_off():
    one = sound(
        savings=(Saving(ONE, 50, 10), Saving(TWO, 40, 0)),
        withdrawals=(Withdrawal(TWO, 3, 0),),
        repayments=(Repayment(LOAN, 100, 6),),
        entries=(Entry("FINE", 5, TWO),),
        loans=(LoanGiven(NEW, TWO, 30, 2400, 10),),
    )
    posted = lines(one, BOOKS.loans, BOOKS.reversible)
    figures = totals(posted, 0)
    assert (figures.savings_paise, figures.savings_withdrawn_paise, figures.loans_disbursed_paise, figures.loans_disbursed) == (100, 3, 30, 1)
    assert (figures.principal_repaid_paise, figures.interest_received_paise, figures.fines_paise) == (100, 6, 5)
    assert figures.heads[Head.CASH] == (211, 33)
    assert sum(debit for debit, _ in figures.heads.values()) == sum(credit for _, credit in figures.heads.values())
    # The same lines taken back bring every figure to nothing.
    turned = tuple(Line(len(posted) + at, one.credit, one.debit, one.amount_paise, one.credit_of, one.debit_of) for at, one in enumerate(posted, 1))
    figures = totals((*posted, *turned), len(turned))
    assert all(pair == (0, 0) for pair in figures.heads.values())
    assert (figures.savings_paise, figures.loans_disbursed_paise, figures.loans_disbursed, figures.interest_received_paise) == (0, 0, 0, 0)
    back = totals(turned, len(turned))
    assert (back.savings_paise, back.savings_withdrawn_paise, back.loans_disbursed_paise, back.fines_paise) == (-100, -3, -30, -5)
    assert back.loans_disbursed == -1


# Balances.

ACCOUNTS = [Account(head, of) for head in Head for of in (["a", "b"] if CHART[head].sub_ledger is not SubLedger.NONE else [""])]
LINES = st.lists(
    st.tuples(st.sampled_from(ACCOUNTS), st.sampled_from(ACCOUNTS), st.integers(1, 10**12)).map(
        lambda made: Line(1, made[0].head, made[1].head, made[2], made[0].of, made[1].of)
    ),
    max_size=30,
)


@given(LINES, LINES)
def test_balances_are_sums_and_what_is_added_is_taken_off_exactly(some, more):
    moved = effect([*some, *more])
    assert added(effect(some), effect(more)) == {**dict.fromkeys(moved, 0), **moved}
    back = added(moved, effect(more), -1)
    assert {one: paise for one, paise in back.items() if paise} == {one: paise for one, paise in effect(some).items() if paise}
    # Debits are credits, and a head is the sum of its accounts.
    debits = {head: paise if CHART[head].side.by_debit else -paise for (head, of), paise in moved.items() if not of}
    assert sum(debits.values()) == 0
    for head in {account.head for account in moved if account.of}:
        assert moved[Account(head)] == sum(paise for account, paise in moved.items() if account.head == head and account.of)


# Partitions.


@given(st.integers(2020, 2199), st.integers(1, 12), st.integers(0, 27 * 86400))
def test_an_id_lies_in_the_partition_of_its_year(year, month, second):
    moment = datetime(year, month, 1, tzinfo=UTC).timestamp() + second
    part = partition(year)
    assert part.first <= uuid7(moment) < part.beyond
    assert part.name == f"meetings_{year}"
    assert partition(year + 1).first == part.beyond
