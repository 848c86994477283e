"""A sheet by itself: what must hold of it whatever the books say, and how it is read off the wire."""

import unicodedata
from dataclasses import fields, replace
from datetime import date, timedelta

import pytest
from google.protobuf.json_format import MessageToDict

from protos import transactions_pb2 as pb
from services.kernel.canonical import content_hash
from services.kernel.errors import Invalid
from services.kernel.money import AMOUNT_PAISE_MAX
from services.kernel.policies import Period, Policies
from services.transactions.rules.agreed import Agreed
from services.transactions.rules.heads import ITEMS
from services.transactions.rules.meeting import Waiting
from services.transactions.rules.schedule import KINDS as AGREED_KINDS
from services.transactions.rules.sheet import (
    CHEQUE_DIGITS,
    ENTRIES_MAX,
    KINDS,
    NOTE_LENGTH_MAX,
    OPENINGS,
    TEXT_LENGTH_MAX,
    Attendance,
    BankMove,
    BankStatement,
    Borrowing,
    BorrowingRepayment,
    CutOff,
    Entry,
    LoanGiven,
    LoanRequest,
    NewSchedule,
    Paid,
    Plan,
    Repayment,
    Reschedule,
    Reversal,
    Saving,
    Sheet,
    Withdrawal,
    WriteOff,
    check_sheet,
    content,
    named_banks,
    named_loans,
    named_members,
)
from services.transactions.servicer.reading import read_sheet, read_upload
from tests.transactions.builders import Group, everything, leaving, new_id, sheet

GROUP = Group()
ONE, TWO, *_ = GROUP.members
FIRST, SECOND = GROUP.bank_ids
LOAN, OTHER = new_id(), new_id()
LONG = "x" * (TEXT_LENGTH_MAX + 1)
BY_BANK = Paid("TRANSFER", FIRST)
HERS = Paid("CHEQUE", FIRST, "123456", "slip")
GIVEN = LoanGiven(LOAN, ONE, 100, 2400, 10, "goats", "OWN")
TAKEN = Borrowing(LOAN, "BANK", 100, 1100, 24)


def refusal(one, policies=None):
    with pytest.raises(Invalid) as refused:
        check_sheet(one, policies or Policies())
    assert str(refused.value), "the sentence has all that it names"
    return refused.value.code, refused.value.field


UNUSUAL = Agreed("FLAT", "WEEKLY", "ACTUAL/365", "2026-10-20", "ROLL", 2, "ACCRUED", "HALF_EVEN", 40)
FULL = sheet(
    GROUP,
    **everything(GROUP),
    **leaving(GROUP, new_id()),
    repayments=(Repayment(new_id(), 100, 20), Repayment(new_id(), 0, 5, Paid("CASH"))),
    borrowing_repayments=(BorrowingRepayment(new_id(), 200, 30, HERS),),
    reversals=(Reversal(new_id(), 1),),
    reschedules=(Reschedule(new_id(), 1200, 0, UNUSUAL, "flood"),),
    write_offs=(WriteOff(new_id(), 300, "she died"),),
    bank_statements=(BankStatement(FIRST, 5000, 30, 4), BankStatement(SECOND, 0)),
    counted_cash_paise=77,
    manual_books_differ="two rupees",
    closing_hash="ab" * 32,
    previous_meeting_id=new_id(),
)


def test_a_sheet_with_every_screen_is_sound():
    assert all(getattr(FULL, name) for name in KINDS)
    check_sheet(FULL, Policies())
    check_sheet(sheet(GROUP, attendance=()), Policies())


AMOUNTS = [(name, field) for name, kind in KINDS.items() for field in kind._fields if field.endswith("_paise")]
# Without which an entry says nothing.
MUST_BE = {(name, "amount_paise") for name in ("entries", "bank_moves", "requests", "plans")} | {
    (name, "principal_paise") for name in ("loans", "borrowings", "write_offs")
}
MUST_BE |= {(name, "outstanding_paise") for name in ("loans_out", "loans_in")}


@pytest.mark.parametrize(("name", "field"), AMOUNTS)
def test_an_amount_is_neither_negative_nor_absurd_nor_left_out(name, field):
    entries = getattr(FULL, name)
    at = len(entries) - 1

    def with_amount(paise):
        return replace(FULL, **{name: (*entries[:at], entries[at]._replace(**{field: paise}))})

    place = f"{name}[{at}].{field}"
    assert refusal(with_amount(-1)) == ("AMOUNT_NEGATIVE", place)
    assert refusal(with_amount(AMOUNT_PAISE_MAX + 1)) == ("AMOUNT_TOO_LARGE", place)
    check_sheet(with_amount(AMOUNT_PAISE_MAX), Policies())
    if (name, field) in MUST_BE:
        assert refusal(with_amount(0)) == ("AMOUNT_MISSING", place)
    else:
        check_sheet(with_amount(0), Policies())


def test_the_cash_counted_is_an_amount():
    assert refusal(replace(FULL, counted_cash_paise=-1)) == ("AMOUNT_NEGATIVE", "counted_cash_paise")
    assert refusal(replace(FULL, counted_cash_paise=AMOUNT_PAISE_MAX + 1)) == ("AMOUNT_TOO_LARGE", "counted_cash_paise")


ONCE = {
    "attendance": ("member_id", "MEMBER_TWICE"),
    "savings": ("member_id", "MEMBER_TWICE"),
    "withdrawals": ("member_id", "MEMBER_TWICE"),
    "repayments": ("loan_id", "LOAN_TWICE"),
    "loans": ("loan_id", "LOAN_TWICE"),
    "borrowings": ("borrowing_id", "LOAN_TWICE"),
    "borrowing_repayments": ("borrowing_id", "LOAN_TWICE"),
    "bank_statements": ("bank_id", "BANK_TWICE"),
    "requests": ("request_id", "REQUEST_TWICE"),
    "plans": ("plan_id", "PLAN_TWICE"),
    "reschedules": ("loan_id", "LOAN_TWICE"),
    "write_offs": ("loan_id", "LOAN_TWICE"),
}


@pytest.mark.parametrize("name", ONCE)
def test_each_stands_at_most_once_in_its_list(name):
    entries, (key, code) = getattr(FULL, name), ONCE[name]
    twice = (*entries, entries[0])
    assert refusal(replace(FULL, **{name: twice})) == (code, f"{name}[{len(entries)}].{key}")


@pytest.mark.parametrize("name", KINDS)
def test_a_list_has_an_end(name):
    one = getattr(FULL, name)[0]
    keys = [key for key in one._fields if key.endswith("_id")]
    many = tuple(one._replace(**{key: new_id() for key in keys if getattr(one, key)}) for _ in range(ENTRIES_MAX + 1))
    if name == "borrowings":
        many = tuple(each._replace(borrowing_id=new_id()) for each in many)
    assert refusal(replace(sheet(GROUP, attendance=()), **{name: many})) == ("LIST_TOO_LONG", name)
    check_sheet(replace(sheet(GROUP, attendance=()), **{name: many[:-1]}), Policies())


def effective(days):
    """So many days after the meeting of FULL."""
    return TAKEN._replace(borrowing_id=new_id(), effective_on=(FULL.held_on + timedelta(days=days)).isoformat())


WEEKS = Agreed(frequency="WEEKLY")


def first_due(days):
    """So many days after the meeting."""
    return Agreed(first_due_on=(sheet(GROUP).held_on + timedelta(days=days)).isoformat())


BAD = {
    "an unknown mode": ({"savings": (Saving(ONE, 1, 0, Paid("GOLD", FIRST)),)}, "MODE_UNKNOWN", "savings[0].paid.mode"),
    "a mode in small letters": ({"savings": (Saving(ONE, 1, 0, Paid("cash")),)}, "MODE_UNKNOWN", "savings[0].paid.mode"),
    "a cheque on no account": ({"loans": (GIVEN._replace(paid=Paid("CHEQUE", "", "123456")),)}, "BANK_MISSING", "loans[0].paid.bank_id"),
    "a transfer from no account": ({"repayments": (Repayment(LOAN, 1, 0, Paid("TRANSFER")),)}, "BANK_MISSING", "repayments[0].paid.bank_id"),
    "cash in an account": ({"withdrawals": (Withdrawal(ONE, 1, 0, Paid("CASH", FIRST)),)}, "BANK_MISSING", "withdrawals[0].paid.bank_id"),
    "an account and no mode": ({"borrowings": (TAKEN._replace(paid=Paid("", FIRST)),)}, "BANK_MISSING", "borrowings[0].paid.bank_id"),
    "a cheque of five digits": ({"loans": (GIVEN._replace(paid=Paid("CHEQUE", FIRST, "12345")),)}, "CHEQUE_INVALID", "loans[0].paid.cheque_number"),
    "a cheque in Devanagari": ({"loans": (GIVEN._replace(paid=Paid("CHEQUE", FIRST, "१२३४५६")),)}, "CHEQUE_INVALID", "loans[0].paid.cheque_number"),
    "a cheque in letters": ({"loans": (GIVEN._replace(paid=Paid("CHEQUE", FIRST, "12345x")),)}, "CHEQUE_INVALID", "loans[0].paid.cheque_number"),
    "a transfer with a cheque's number": (
        {"borrowing_repayments": (BorrowingRepayment(LOAN, 1, 0, Paid("TRANSFER", FIRST, "123456")),)},
        "CHEQUE_INVALID",
        "borrowing_repayments[0].paid.cheque_number",
    ),
    "cash with a cheque's number": ({"savings": (Saving(ONE, 1, 0, Paid("CASH", "", "123456")),)}, "CHEQUE_INVALID", "savings[0].paid.cheque_number"),
    "a long reference": ({"savings": (Saving(ONE, 1, 0, Paid("TRANSFER", FIRST, "", LONG)),)}, "TEXT_TOO_LONG", "savings[0].paid.reference"),
    "an item that there is not": ({"entries": (Entry("BRIBE", 1, ONE),)}, "ITEM_UNKNOWN", "entries[0].item"),
    "no item": ({"entries": (Entry("FINE", 1, ONE), Entry("", 1))}, "ITEM_UNKNOWN", "entries[1].item"),
    "whose fine": ({"entries": (Entry("FINE", 1),)}, "MEMBER_MISSING", "entries[0].member_id"),
    "a member's rent": ({"entries": (Entry("RENT", 1, ONE),)}, "MEMBER_NOT_ASKED", "entries[0].member_id"),
    "bank interest in cash": ({"entries": (Entry("BANK_INTEREST", 1),)}, "BANK_MISSING", "entries[0].paid.bank_id"),
    "bank charges in cash": ({"entries": (Entry("BANK_CHARGES", 1, paid=Paid("CASH")),)}, "BANK_MISSING", "entries[0].paid.bank_id"),
    "a long party": ({"entries": (Entry("RENT", 1, party=LONG),)}, "TEXT_TOO_LONG", "entries[0].party"),
    "a party on two lines": ({"entries": (Entry("RENT", 1, party="a\nb"),)}, "TEXT_INVALID", "entries[0].party"),
    "usury": ({"loans": (GIVEN._replace(annual_rate_basis_points=6001),)}, "RATE_INVALID", "loans[0].annual_rate_basis_points"),
    "a negative rate": ({"loans": (GIVEN._replace(annual_rate_basis_points=-1),)}, "RATE_INVALID", "loans[0].annual_rate_basis_points"),
    "usury of a lender": ({"borrowings": (TAKEN._replace(annual_rate_basis_points=6001),)}, "RATE_INVALID", "borrowings[0].annual_rate_basis_points"),
    "no months": ({"loans": (GIVEN._replace(months=0),)}, "MONTHS_INVALID", "loans[0].months"),
    "too many months": ({"loans": (GIVEN._replace(months=121),)}, "MONTHS_INVALID", "loans[0].months"),
    "too many months of a lender": ({"borrowings": (TAKEN._replace(months=121),)}, "MONTHS_INVALID", "borrowings[0].months"),
    **{
        f"{name} of another kind": ({"loans": (GIVEN._replace(agreed=Agreed(**{name: "NONE"})),)}, "TERMS_UNKNOWN", f"loans[0].agreed.{name}")
        for name in AGREED_KINDS
    },
    "quarters that do not fill the months": (
        {"loans": (GIVEN._replace(months=10, agreed=Agreed(frequency="QUARTERLY")),)},
        "MONTHS_INVALID",
        "loans[0].months",
    ),
    "weeks that are not counted": ({"loans": (GIVEN._replace(months=0, agreed=WEEKS),)}, "INSTALMENTS_INVALID", "loans[0].agreed.instalments"),
    "weeks and months": ({"loans": (GIVEN._replace(agreed=WEEKS._replace(instalments=4)),)}, "INSTALMENTS_INVALID", "loans[0].agreed.instalments"),
    "too many weeks": (
        {"loans": (GIVEN._replace(months=0, agreed=WEEKS._replace(instalments=521)),)},
        "INSTALMENTS_INVALID",
        "loans[0].agreed.instalments",
    ),
    "months that are counted twice": (
        {"loans": (GIVEN._replace(agreed=Agreed(instalments=10)),)},
        "INSTALMENTS_INVALID",
        "loans[0].agreed.instalments",
    ),
    "a rest without an end": ({"loans": (GIVEN._replace(agreed=Agreed(moratorium=121)),)}, "MORATORIUM_INVALID", "loans[0].agreed.moratorium"),
    "a negative rest": ({"loans": (GIVEN._replace(agreed=Agreed(moratorium=-1)),)}, "MORATORIUM_INVALID", "loans[0].agreed.moratorium"),
    "due before it began": ({"loans": (GIVEN._replace(agreed=first_due(0)),)}, "FIRST_DUE_INVALID", "loans[0].agreed.first_due_on"),
    "due in a year and a week": ({"loans": (GIVEN._replace(agreed=first_due(372)),)}, "FIRST_DUE_INVALID", "loans[0].agreed.first_due_on"),
    "due in its own month": ({"loans": (GIVEN._replace(agreed=first_due(3)),)}, "FIRST_DUE_INVALID", "loans[0].agreed.first_due_on"),
    "due on no day": ({"loans": (GIVEN._replace(agreed=Agreed(first_due_on="soon")),)}, "DATE_INVALID", "loans[0].agreed.first_due_on"),
    "usury anew": ({"reschedules": (Reschedule(LOAN, 6001, 10, reason="flood"),)}, "RATE_INVALID", "reschedules[0].annual_rate_basis_points"),
    "no months anew": ({"reschedules": (Reschedule(LOAN, 1200, 0, reason="flood"),)}, "MONTHS_INVALID", "reschedules[0].months"),
    "rescheduled for no reason": ({"reschedules": (Reschedule(LOAN, 1200, 10, reason=" "),)}, "REASON_MISSING", "reschedules[0].reason"),
    "written off for a long reason": ({"write_offs": (WriteOff(LOAN, 1, LONG),)}, "TEXT_TOO_LONG", "write_offs[0].reason"),
    "rescheduled and written off": (
        {"reschedules": (Reschedule(LOAN, 1200, 10, reason="flood"),), "write_offs": (WriteOff(LOAN, 1, "flood"),)},
        "LOAN_TWICE",
        "write_offs[0].loan_id",
    ),
    "a long purpose": ({"loans": (GIVEN._replace(purpose=LONG),)}, "TEXT_TOO_LONG", "loans[0].purpose"),
    "a purpose with a nought": ({"loans": (GIVEN._replace(purpose="go\0ats"),)}, "TEXT_INVALID", "loans[0].purpose"),
    "a long fund": ({"loans": (GIVEN._replace(fund=LONG),)}, "TEXT_TOO_LONG", "loans[0].fund"),
    "an unknown lender": ({"borrowings": (TAKEN._replace(lender="MONEYLENDER"),)}, "LENDER_UNKNOWN", "borrowings[0].lender"),
    "one id for what is lent and borrowed": ({"loans": (GIVEN,), "borrowings": (TAKEN,)}, "LOAN_TWICE", "borrowings[0].borrowing_id"),
    **{
        f"a long {field} of a lender": ({"borrowings": (TAKEN._replace(**{field: LONG}),)}, "TEXT_TOO_LONG", f"borrowings[0].{field}")
        for field in ("lender_name", "account_number", "fund", "loan_type")
    },
    "a day to count from that is too early": ({"borrowings": (effective(days=-366),)}, "EFFECTIVE_TOO_FAR", "borrowings[0].effective_on"),
    "a day to count from that is too late": ({"borrowings": (TAKEN, effective(days=93))}, "EFFECTIVE_TOO_FAR", "borrowings[1].effective_on"),
    "no day to count from": ({"borrowings": (TAKEN._replace(effective_on="2026-02-30"),)}, "DATE_INVALID", "borrowings[0].effective_on"),
    "an unknown move": ({"bank_moves": (BankMove("GIFT", 1, FIRST),)}, "MOVE_UNKNOWN", "bank_moves[0].kind"),
    "a deposit nowhere": ({"bank_moves": (BankMove("DEPOSIT", 1),)}, "BANK_MISSING", "bank_moves[0].bank_id"),
    "a withdrawal from nowhere": ({"bank_moves": (BankMove("WITHDRAWAL", 1),)}, "BANK_MISSING", "bank_moves[0].bank_id"),
    "an arrival nowhere": ({"bank_moves": (BankMove("ARRIVED", 1),)}, "BANK_MISSING", "bank_moves[0].bank_id"),
    "sent to an account already": ({"bank_moves": (BankMove("SENT", 1, FIRST),)}, "BANK_MISSING", "bank_moves[0].bank_id"),
    "a transfer to nowhere": ({"bank_moves": (BankMove("TRANSFER", 1, FIRST),)}, "BANK_MISSING", "bank_moves[0].to_bank_id"),
    "a transfer to itself": ({"bank_moves": (BankMove("TRANSFER", 1, FIRST, FIRST),)}, "BANK_MISSING", "bank_moves[0].to_bank_id"),
    "a deposit to two": ({"bank_moves": (BankMove("DEPOSIT", 1, FIRST, SECOND),)}, "BANK_MISSING", "bank_moves[0].to_bank_id"),
    "a long slip": ({"bank_moves": (BankMove("DEPOSIT", 1, FIRST, reference=LONG),)}, "TEXT_TOO_LONG", "bank_moves[0].reference"),
    "a long wish": ({"requests": (LoanRequest(LOAN, ONE, 1, LONG),)}, "TEXT_TOO_LONG", "requests[0].purpose"),
    "a wish of a long fund": ({"requests": (LoanRequest(LOAN, ONE, 1, fund=LONG),)}, "TEXT_TOO_LONG", "requests[0].fund"),
    "a wish until no day": ({"requests": (LoanRequest(LOAN, ONE, 1, valid_until="soon"),)}, "DATE_INVALID", "requests[0].valid_until"),
    "a long plan": ({"plans": (Plan(LOAN, ONE, 1, LONG),)}, "TEXT_TOO_LONG", "plans[0].purpose"),
    "a plan until no day": ({"plans": (Plan(LOAN, ONE, 1, valid_until="31-03-2027"),)}, "DATE_INVALID", "plans[0].valid_until"),
    "a long note": ({"manual_books_differ": "x" * (NOTE_LENGTH_MAX + 1)}, "TEXT_TOO_LONG", "manual_books_differ"),
    "a note of what is no letter": ({"manual_books_differ": "\ue000"}, "TEXT_INVALID", "manual_books_differ"),
}


def test_what_is_borrowed_may_bear_interest_from_within_a_year_before_or_a_quarter_after():
    check_sheet(replace(FULL, borrowings=(effective(days=-365), effective(days=92))), Policies())
    short = Policies({"meeting_entry_days_max": (Period(10, date(2026, 1, 1)),)})
    check_sheet(replace(FULL, borrowings=(effective(days=-10),)), short)
    assert refusal(replace(FULL, borrowings=(effective(days=-11),)), short) == ("EFFECTIVE_TOO_FAR", "borrowings[0].effective_on")
    assert refusal(replace(FULL, held_on=date.min, borrowings=(TAKEN._replace(effective_on="9999-12-31"),)))[0] == "EFFECTIVE_TOO_FAR"


@pytest.mark.parametrize("case", BAD)
def test_what_is_wrong_by_itself_is_refused_with_its_field(case):
    changes, code, field = BAD[case]
    assert refusal(sheet(GROUP, **changes)) == (code, field)


@pytest.mark.parametrize(
    "item",
    [code for code, item in ITEMS.items() if item.screen in {"SAVINGS", "WITHDRAWALS", "REPAYMENTS", "LOANS", "BORROWINGS", "BANK", "WRITE_OFFS"}],
)
def test_what_has_a_screen_of_its_own_is_no_entry(item):
    assert refusal(sheet(GROUP, entries=(Entry(item, 1, ONE),))) == ("ITEM_UNKNOWN", "entries[0].item")


SOUND = {
    "the same member twice where each is one act": {
        "entries": (Entry("FINE", 1, ONE), Entry("FINE", 2, ONE)),
        "loans": (GIVEN, GIVEN._replace(loan_id=OTHER)),
    },
    "at the bounds": {"loans": (GIVEN._replace(annual_rate_basis_points=6000, months=120, purpose="x" * TEXT_LENGTH_MAX),)},
    "by the week, after a rest": {"loans": (GIVEN._replace(months=0, agreed=UNUSUAL._replace(instalments=520)),)},
    "by the quarter, first due in a year": {"loans": (GIVEN._replace(months=12, agreed=first_due(366)._replace(frequency="QUARTERLY")),)},
    "free of interest, for a month": {"loans": (GIVEN._replace(annual_rate_basis_points=0, months=1),)},
    "a cheque whose number is not told": {"savings": (Saving(ONE, 1, 0, Paid("CHEQUE", FIRST)),)},
    "cash that says so": {"savings": (Saving(ONE, 1, 0, Paid("CASH", reference="receipt 7")),)},
    "letters that are joined": {"manual_books_differ": "क्\u200dष ₹2 की कमी"},
    "a note as long as may be": {"manual_books_differ": "x" * NOTE_LENGTH_MAX},
}


@pytest.mark.parametrize("case", SOUND)
def test_what_is_allowed_is_taken(case):
    check_sheet(sheet(GROUP, **SOUND[case]), Policies())


def test_a_states_policy_of_the_day_of_the_meeting_bounds_a_loan():
    policies = Policies({"loan_months_max": (Period(9, date(2026, 10, 6)),), "loan_rate_basis_points_max": (Period(1200, date(2026, 10, 6)),)})
    before, after = (sheet(GROUP, held_on=date(2026, 10, day), loans=(GIVEN,)) for day in (5, 6))
    check_sheet(before, policies)
    assert refusal(after, policies) == ("RATE_INVALID", "loans[0].annual_rate_basis_points")
    fair = replace(after, loans=(GIVEN._replace(annual_rate_basis_points=1200),))
    with pytest.raises(Invalid) as refused:
        check_sheet(fair, policies)
    assert (refused.value.code, str(refused.value)) == ("MONTHS_INVALID", "A loan runs for 1 to 9 months.")
    check_sheet(replace(fair, loans=(fair.loans[0]._replace(months=9),)), policies)


def test_the_book_follows_from_the_passbook_and_the_cheques_on_their_way():
    assert BankStatement(FIRST, 1000, not_debited_paise=300, not_credited_paise=50).book_paise == 750


LOANS_OF = ("repayments", "reschedules", "write_offs", "set_offs", "loans_out", "loans_in")


def test_who_is_named():
    assert named_members(FULL) == set(GROUP.members)
    assert named_members(sheet(GROUP, attendance=(), plans=(Plan(LOAN, TWO, 1),))) == {TWO}
    lent = {FULL.loans[0].loan_id, FULL.borrowings[0].borrowing_id}
    assert named_loans(FULL) == lent | {one.loan_id for name in LOANS_OF for one in getattr(FULL, name)} | {
        FULL.borrowing_repayments[0].borrowing_id,
        FULL.loans_in[0].of_loan_id,
    }
    assert named_banks(FULL) == {FIRST, SECOND}
    assert named_banks(sheet(GROUP, attendance=(Attendance(ONE, True),))) == set()
    for changes in (
        {"bank_moves": (BankMove("TRANSFER", 1, FIRST, SECOND),)},
        {"bank_statements": (BankStatement(FIRST, 0), BankStatement(SECOND, 0))},
    ):
        assert named_banks(sheet(GROUP, **changes)) == {FIRST, SECOND}


def wire(one):
    return pb.MeetingSheet(**content(one))


def test_a_sheet_is_read_off_the_wire_as_it_was_written():
    assert read_sheet(wire(FULL)) == FULL
    empty = sheet(GROUP, attendance=())
    assert read_sheet(wire(empty)) == empty


def test_every_field_of_the_contract_is_read_and_the_lock_is_no_part_of_the_content():
    """A field that is added to the proto and not read would be lost without a word."""
    for kind, read in (
        (pb.MeetingSheet, Sheet),
        (pb.Paid, Paid),
        (pb.Agreed, Agreed),
        (pb.CutOff, CutOff),
        (pb.NewSchedule, NewSchedule),
        *((pb.MeetingSheet.DESCRIPTOR.fields_by_name[name].message_type, kind) for name, kind in KINDS.items()),
        *((pb.CutOff.DESCRIPTOR.fields_by_name[name].message_type, kind) for name, kind in OPENINGS.items()),
    ):
        told = {one.name for one in getattr(kind, "DESCRIPTOR", kind).fields} - {"lock"}
        assert told == ({one.name for one in fields(read)} if read is Sheet else set(read._fields)), read
    sent = wire(FULL)
    sent.lock = 9
    taken = read_upload(sent)
    assert (taken.lock, taken.content_hash, taken.sheet) == (9, read_upload(wire(FULL)).content_hash, FULL)


@pytest.mark.parametrize("place", ["the sheet", "a saving", "how a saving was paid"])
def test_what_only_a_newer_app_can_say_is_not_dropped_in_silence(place):
    sent = wire(FULL)
    sent.savings[0].paid.mode = "CASH"
    message = {"the sheet": sent, "a saving": sent.savings[0], "how a saving was paid": sent.savings[0].paid}[place]
    assert read_upload(sent)
    message.MergeFromString(b"\xfa\x3f\x03new")  # Field 1023, which no version has.
    with pytest.raises(Waiting) as waits:
        read_upload(sent)
    assert (waits.value.code, waits.value.awaited) == ("SHEET_NEWER", "")


def test_the_hash_is_that_of_the_fields_as_they_were_sent():
    """A device hashes what it sends, by the names of the contract."""
    sent = wire(FULL)
    said = MessageToDict(sent, preserving_proto_field_name=True)
    assert read_upload(sent).content_hash == content_hash(said)


def test_ids_may_be_written_in_capitals_and_text_in_another_form():
    one = replace(FULL, manual_books_differ=unicodedata.normalize("NFC", "é क़"))
    shouted = wire(one)
    shouted.meeting_id = shouted.meeting_id.upper()
    shouted.savings[0].member_id = shouted.savings[0].member_id.upper()
    shouted.loans[0].paid.bank_id = shouted.loans[0].paid.bank_id.upper()
    shouted.manual_books_differ = unicodedata.normalize("NFD", shouted.manual_books_differ)
    assert read_upload(shouted).content_hash == read_upload(wire(one)).content_hash


ID_FIELDS = [("meeting_id", True), ("institution_id", True), ("previous_meeting_id", False)]
OF_ROWS = {"bank_id", "to_bank_id"}  # Of profiles' rows: a UUID of any version.
MAY_BE_EMPTY = {
    ("entries", "member_id"),
    ("entries", "institution_id"),
    ("transfers_out", "member_id"),
    ("transfers_in", "member_id"),
    ("requests", "plan_id"),
    ("loans", "request_id"),
    ("loans", "member_id"),
    ("loans", "borrower_id"),
    ("borrowings", "lender_id"),
    *(("bank_moves", one) for one in OF_ROWS),
}


@pytest.mark.parametrize(("name", "must"), ID_FIELDS)
def test_an_id_of_the_sheet_is_an_id(name, must):
    for bad in ("Sita", "00000000-0000-4000-8000-000000000000", *([""] if must else [])):
        sent = wire(FULL)
        setattr(sent, name, bad)
        with pytest.raises(Invalid) as refused:
            read_sheet(sent)
        assert (refused.value.code, refused.value.field) == ("ID_INVALID", name)


@pytest.mark.parametrize(("name", "key"), [(name, key) for name, kind in KINDS.items() for key in kind._fields if key.endswith("_id")])
def test_an_id_in_a_list_is_an_id(name, key):
    plain = "00000000-0000-4000-8000-000000000000"
    for bad in ("Sita", *([] if key in OF_ROWS else [plain]), *([] if (name, key) in MAY_BE_EMPTY else [""])):
        sent = wire(FULL)
        at = len(getattr(sent, name)) - 1
        setattr(getattr(sent, name)[at], key, bad)
        with pytest.raises(Invalid) as refused:
            read_sheet(sent)
        assert (refused.value.code, refused.value.field) == ("ID_INVALID", f"{name}[{at}].{key}")
    if key in OF_ROWS:
        sent = wire(FULL)
        setattr(getattr(sent, name)[0], key, plain)
        assert getattr(getattr(read_sheet(sent), name)[0], key) == plain


def test_an_account_and_a_day_are_read_with_their_field():
    sent = wire(FULL)
    sent.loans[0].paid.bank_id = "Gramin Bank"
    with pytest.raises(Invalid) as refused:
        read_sheet(sent)
    assert (refused.value.code, refused.value.field) == ("ID_INVALID", "loans[0].paid.bank_id")
    for day in ("", "05-10-2026", "2026-13-01"):
        sent = wire(FULL)
        sent.held_on = day
        with pytest.raises(Invalid) as refused:
            read_sheet(sent)
        assert (refused.value.code, refused.value.field) == ("DATE_INVALID", "held_on")


def test_a_cheque_number_has_the_digits_that_the_sentence_says():
    with pytest.raises(Invalid) as refused:
        check_sheet(sheet(GROUP, savings=(Saving(ONE, 1, 0, Paid("CHEQUE", FIRST, "1")),)), Policies())
    assert str(refused.value) == f"A cheque has a number of {CHEQUE_DIGITS} digits."
