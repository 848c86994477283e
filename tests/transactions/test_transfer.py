"""From one group to another: a member with her savings and loans, and what is the group's own where groups split or merge."""

from collections import Counter
from dataclasses import replace
from datetime import date, timedelta
from uuid import UUID

import pytest
from hypothesis import given as drawn
from hypothesis import settings
from hypothesis import strategies as st
from sqlalchemy import select

from protos import transactions_pb2 as pb
from services.chassis.database import transaction
from services.chassis.mailbox import outbox
from services.kernel.errors import Refused
from services.kernel.policies import Policies
from services.transactions import queries
from services.transactions.rules import packed, statements
from services.transactions.rules.agreed import Agreed
from services.transactions.rules.books import Loan, Member, Other, Span
from services.transactions.rules.heads import Head
from services.transactions.rules.journal import Account, Line, added, effect, is_opening
from services.transactions.rules.loan import Order, Standing, dues, interest_owed, unpaid_since
from services.transactions.rules.meeting import Waiting, lines, take_in
from services.transactions.rules.record import Outcome, Posting, admit, admit_all, gone, totals
from services.transactions.rules.settlement import HERS
from services.transactions.rules.sheet import (
    ActiveLoan,
    Borrowing,
    BorrowingRepayment,
    CutOff,
    Entry,
    LoanGiven,
    LoanIn,
    LoanOut,
    OpeningMember,
    Paid,
    Repayment,
    Reschedule,
    Reversal,
    Saving,
    SetOff,
    Settlement,
    Transfer,
    Withdrawal,
    WriteOff,
)
from services.transactions.rules.transfer import is_transfer
from services.transactions.servicer import showing
from services.transactions.tables import transfers
from tests.transactions.builders import (
    RUPEE,
    TODAY,
    Desk,
    Group,
    clear,
    cut_off,
    entered,
    final,
    following,
    hear,
    hear_institution,
    hear_member,
    savings,
    sheet,
    upload,
)
from tests.transactions.builders import drawn_id as new_id
from tests.transactions.test_commands import at_once, desks

SERVICE = "transactions"
GIVEN_ON, THEN, MOVED_ON, LATER = date(2026, 8, 10), date(2026, 9, 14), date(2026, 10, 5), date(2026, 11, 2)

# The rules alone.

OLD, NEW = Group(), Group()
OWN = ("funds_paise", "investments_paise", "savings_with_federation_paise", "surplus_paise", "deficit_paise")
SHE, ANOTHER, *_ = OLD.members
LOAN, HERS_TOO, BORROWED = new_id(), new_id(), new_id()
TRANSFER = new_id()
WENT = Transfer(TRANSFER, NEW.id, SHE, 150 * RUPEE, 7 * RUPEE, 30 * RUPEE)
LOANS_OUT = (LoanOut(LOAN, TRANSFER, 90 * RUPEE), LoanOut(HERS_TOO, TRANSFER, 20 * RUPEE))
OF_HER = {"transfers_out": (WENT,), "loans_out": LOANS_OUT}


def books_of_old():
    """Two meetings: she saved, took two loans and repaid something of the first, of which interest is unpaid; the group borrowed."""
    books = OLD.books(others={NEW.id: Other("SHG", True)})
    first = {
        "savings": (Saving(SHE, 150 * RUPEE, 7 * RUPEE), *savings(OLD)[1:]),
        "entries": (Entry("SHARE_CAPITAL", 30 * RUPEE, SHE), Entry("GRANT", 40 * RUPEE)),
        "loans": (LoanGiven(LOAN, SHE, 100 * RUPEE, 2400, 10), LoanGiven(HERS_TOO, SHE, 20 * RUPEE, 0, 4)),
        "borrowings": (Borrowing(BORROWED, "BANK", 500 * RUPEE, 1200, 10),),
    }
    books = final(following(books, OLD, held_on=GIVEN_ON, **first), books)
    return final(following(books, OLD, held_on=THEN, repayments=(Repayment(LOAN, 10 * RUPEE, 50),)), books)


BOOKS = books_of_old()


def books_of_new(given_over=None, **changes):
    """Its books as they know of what was given over there; she is a member already."""
    plain = NEW.books(others={OLD.id: Other("SHG", True)}, given_over=given_over or {}, loans=BOOKS.loans, **changes)
    she = Member(NEW.id, active=True, since_on=MOVED_ON, ended=[(OLD.id, Span(None, MOVED_ON))])
    return replace(plain, members={**plain.members, SHE: she})


def out(books=BOOKS, group=OLD, **changes):
    return following(books, group, **{"held_on": MOVED_ON, **changes})


def given_over(one, books=BOOKS, *, approved=True):
    posting = Posting(upload(one), take_in(one, books, Policies(), TODAY))
    return {transfer_id: replace(of, approved=approved) for transfer_id, of in gone(posting).items()}


def said(given, loan_ids=()):
    """What the other group is to enter of all that was given over to it, with new ids of the loans or these."""
    both = [of.comes(transfer_id) for transfer_id, of in given.items()]
    loans = [loan for _, found in both for loan in found]
    ids = loan_ids or [new_id() for _ in loans]
    taken = tuple(loan._replace(loan_id=loan_id) for loan, loan_id in zip(loans, ids, strict=True))
    return {"transfers_in": tuple(one for one, _ in both), "loans_in": taken}


def posted(one, books):
    return lines(one, books.loans, books.reversible)


def mirrored(lines_there, loan_ids):
    """The lines as the other group has them, in whatever order."""
    ids = {**loan_ids, NEW.id: OLD.id}
    return Counter((one.credit, one.debit, one.amount_paise, *(ids.get(of, of) for of in (one.credit_of, one.debit_of))) for one in lines_there)


def of_heads(found):
    return {account.head: paise for account, paise in found.items() if not account.of and paise}


def test_what_a_member_has_goes_against_what_is_between_the_two_and_comes_as_it_went():
    one = out(**OF_HER)
    assert posted(one, BOOKS) == (
        Line(1, Head.COMPULSORY_SAVINGS, Head.BETWEEN_GROUPS, 150 * RUPEE, SHE, NEW.id),
        Line(2, Head.VOLUNTARY_SAVINGS, Head.BETWEEN_GROUPS, 7 * RUPEE, SHE, NEW.id),
        Line(3, Head.SHARE_CAPITAL, Head.BETWEEN_GROUPS, 30 * RUPEE, SHE, NEW.id),
        Line(4, Head.BETWEEN_GROUPS, Head.MEMBER_LOANS, 90 * RUPEE, NEW.id, LOAN),
        Line(5, Head.BETWEEN_GROUPS, Head.MEMBER_LOANS, 20 * RUPEE, NEW.id, HERS_TOO),
    )
    assert of_heads(effect(posted(one, BOOKS))) == {"L01": -15000, "L02": -700, "L03": -3000, "A01": -11000, "L11": 7700}
    given = given_over(one)
    books = books_of_new(given)
    entry = said(given)
    comes = out(books, NEW, **entry)
    new_ids = {loan.of_loan_id: loan.loan_id for loan in entry["loans_in"]}
    assert Counter(line[1:] for line in posted(comes, books)) == mirrored(posted(one, BOOKS), new_ids)
    taken = take_in(comes, books, Policies(), TODAY)
    assert taken.balances[Account(Head.BETWEEN_GROUPS, OLD.id)] == -77 * RUPEE
    assert "TRANSFER" in taken.flags
    for of, loan_id in new_ids.items():
        was = BOOKS.loans[of]
        assert taken.loans[loan_id] == Loan(NEW.id, Head.MEMBER_LOANS, SHE, was.terms, was.standing)
    assert taken.loans[new_ids[LOAN]].standing == Standing(90 * RUPEE, 150, THEN), "of August's 2 rupees 50 paise are paid"


OF_GROUP = Transfer(TRANSFER, NEW.id, "", 0, 0, 0, 40 * RUPEE, 15 * RUPEE, 5 * RUPEE)


@pytest.mark.parametrize(("field", "swapped"), [("surplus_paise", False), ("deficit_paise", True)])
def test_what_is_the_groups_own_goes_and_comes_likewise(field, swapped):
    spent = (Entry("INVESTED", 15 * RUPEE), Entry("SHARE_IN_FEDERATION", 5 * RUPEE))
    books = final(out(entries=spent), BOOKS)
    one = out(books, transfers_out=(OF_GROUP._replace(**{field: 6 * RUPEE}),), loans_out=(LoanOut(BORROWED, TRANSFER, 500 * RUPEE),))
    surplus = (Head.RETAINED_SURPLUS, Head.BETWEEN_GROUPS, 6 * RUPEE, "", NEW.id)
    deficit = (Head.BETWEEN_GROUPS, Head.RETAINED_SURPLUS, 6 * RUPEE, NEW.id, "")
    assert posted(one, books) == (
        Line(1, Head.FUNDS, Head.BETWEEN_GROUPS, 40 * RUPEE, "", NEW.id),
        Line(2, Head.BETWEEN_GROUPS, Head.INVESTMENTS, 15 * RUPEE, NEW.id, ""),
        Line(3, Head.BETWEEN_GROUPS, Head.SAVINGS_WITH_FEDERATION, 5 * RUPEE, NEW.id, ""),
        Line(4, *(deficit if swapped else surplus)),
        Line(5, Head.BORROWING_BANK, Head.BETWEEN_GROUPS, 500 * RUPEE, BORROWED, NEW.id),
    )
    told = totals(posted(one, books), 0)
    assert (told.heads, {head: debit - credit for head, (debit, credit) in told.openings.items()}) == (
        {},
        {"A06": -1500, "A07": -500, "L04": 50000, "L06": 4000, "L10": -600 if swapped else 600, "L11": -51400 if swapped else -52600},
    )
    assert not any(is_opening(line) for line in posted(one, books)), "which only a cut-off brings"
    given = given_over(one, books)
    there = replace(books_of_new(given), loans=books.loans)
    entry = said(given)
    comes = out(there, NEW, **entry)
    [new] = entry["loans_in"]
    assert Counter(line[1:] for line in posted(comes, there)) == mirrored(posted(one, books), {BORROWED: new.loan_id})
    taken = take_in(comes, there, Policies(), TODAY)
    assert taken.loans[new.loan_id] == Loan(NEW.id, Head.BORROWING_BANK, "", books.loans[BORROWED].terms, books.loans[BORROWED].standing)


def test_of_what_is_nothing_there_is_no_line():
    one = out(transfers_out=(Transfer(TRANSFER, NEW.id, ANOTHER, 50 * RUPEE),))
    assert len(posted(one, BOOKS)) == 1
    nothing = Transfer(TRANSFER, NEW.id, "")
    assert posted(out(transfers_out=(nothing,)), BOOKS) == ()
    assert take_in(out(transfers_out=(nothing,)), BOOKS, Policies(), TODAY).flags == ("TRANSFER",)


def test_money_between_groups_is_no_transfer():
    money = (Entry("GROUP_PAID", 3 * RUPEE, institution_id=NEW.id), Entry("GROUP_RECEIVED", 2 * RUPEE, institution_id=NEW.id))
    one = out(entries=money)
    assert posted(one, BOOKS) == (
        Line(1, Head.BETWEEN_GROUPS, Head.CASH, 3 * RUPEE, NEW.id, ""),
        Line(2, Head.CASH, Head.BETWEEN_GROUPS, 2 * RUPEE, "", NEW.id),
    )
    assert not any(is_transfer(line) for line in posted(one, BOOKS))
    taken = take_in(one, BOOKS, Policies(), TODAY)
    assert (taken.balances[Account(Head.BETWEEN_GROUPS, NEW.id)], taken.flags) == (-1 * RUPEE, ())
    books = final(one, BOOKS)
    assert posted(out(books, reversals=(Reversal(one.meeting_id, 1),)), books)[0].debit == Head.CASH, "it is taken back as any money is"


# What went, as it was given.


def carried(books=BOOKS, **changes):
    """How her first loan stood when it went."""
    return given_over(out(books, **{**OF_HER, **changes}), books)[TRANSFER].loans[LOAN].standing


def test_a_loan_goes_as_it_stands_and_as_the_meeting_leaves_it():
    assert carried() == BOOKS.loans[LOAN].standing, "days are not counted twice, so that no interest is rounded twice"
    paid = {"repayments": (Repayment(LOAN, 30 * RUPEE, 1 * RUPEE),), "loans_out": (LOANS_OUT[0]._replace(outstanding_paise=60 * RUPEE), LOANS_OUT[1])}
    # 1.50 of August, 1.80 of September as 2, less 1.
    assert carried(**paid) == Standing(60 * RUPEE, 250, MOVED_ON)


def test_a_payment_taken_back_in_the_meeting_in_which_she_goes_is_owed_with_its_interest():
    [paid_in] = {meeting_id for meeting_id, recorded in BOOKS.recorded.items() if recorded.number == 2}
    back = {"reversals": (Reversal(paid_in, 1), Reversal(paid_in, 2))}
    loans_out = (LOANS_OUT[0]._replace(outstanding_paise=100 * RUPEE), LOANS_OUT[1])
    went = carried(**back, loans_out=loans_out)
    was = BOOKS.loans[LOAN]
    assert went.outstanding_paise == 100 * RUPEE
    assert interest_owed(was.terms, went, LATER) == interest_owed(was.terms, Standing(100 * RUPEE, 0, GIVEN_ON), LATER)


def test_a_payment_of_before_taken_back_after_she_went_is_owed_here_with_its_interest():
    """Also where one upload holds both."""
    [paid_in] = {meeting_id for meeting_id, recorded in BOOKS.recorded.items() if recorded.number == 2}
    one = out(**OF_HER)
    after = final(one, BOOKS)
    back = out(after, reversals=(Reversal(paid_in, 1), Reversal(paid_in, 2)))
    # Of 100 rupees 4 of interest are owed by then, of 90 and 1.50 that went 3.50.
    assert entered(back, after).loans[LOAN].standing == Standing(10 * RUPEE, 50, MOVED_ON)
    answered = admit_all({0: upload(one), 1: upload(back)}, BOOKS, OLD.bookkeeper(), Policies(), TODAY)
    assert answered.books.loans[LOAN].standing == Standing(10 * RUPEE, 50, MOVED_ON)


def test_nothing_is_left_of_a_loan_that_went():
    books = entered(out(**OF_HER), BOOKS)
    assert [books.loans[one].standing for one in (LOAN, HERS_TOO)] == [Standing(0, 0, MOVED_ON)] * 2
    assert {account: paise for account, paise in books.balances.items() if paise and account.of in {SHE, LOAN, HERS_TOO}} == {}


# Refused.


def refused_of(one, books, group):
    with pytest.raises(Refused) as caught:
        admit(upload(one), books, group.bookkeeper(), Policies(), TODAY)
    return caught.value.code, caught.value.field


def refused_out(books=BOOKS, **changes):
    """Of a meeting of the old group; where its books cannot close it, closed without these changes."""
    try:
        one = out(books, **changes)
    except (KeyError, AssertionError):
        one = replace(out(books), **changes)
    return refused_of(one, books, OLD)


OWN_OUT = {"transfers_out": (OF_GROUP._replace(investments_paise=0, savings_with_federation_paise=0),)}
NEW_ID = new_id()


@pytest.mark.parametrize(
    ("changes", "code", "field"),
    [
        ({"transfers_out": (WENT._replace(institution_id=OLD.id),)}, "TRANSFER_TO_ITSELF", "transfers_out[0].institution_id"),
        ({"transfers_in": (WENT._replace(institution_id=OLD.id),)}, "TRANSFER_TO_ITSELF", "transfers_in[0].institution_id"),
        ({"entries": (Entry("GROUP_PAID", 1, institution_id=OLD.id),)}, "TRANSFER_TO_ITSELF", "entries[0].institution_id"),
        *(({"transfers_out": (WENT._replace(**{name: 1}),)}, "TRANSFER_MIXED", f"transfers_out[0].{name}") for name in OWN),
        *(
            ({"transfers_out": (WENT, OF_GROUP._replace(transfer_id=NEW_ID, **{name: 1}))}, "TRANSFER_MIXED", f"transfers_out[1].{name}")
            for name in HERS
        ),
        ({"transfers_in": (WENT._replace(funds_paise=1),)}, "TRANSFER_MIXED", "transfers_in[0].funds_paise"),
        ({"transfers_out": (OF_GROUP._replace(surplus_paise=1, deficit_paise=1),)}, "SURPLUS_INVALID", "transfers_out[0].deficit_paise"),
        ({"transfers_in": (OF_GROUP._replace(surplus_paise=1, deficit_paise=1),)}, "SURPLUS_INVALID", "transfers_in[0].deficit_paise"),
        ({"transfers_out": (WENT, OF_GROUP)}, "TRANSFER_TWICE", "transfers_out[1].transfer_id"),
        ({"transfers_in": (WENT, OF_GROUP)}, "TRANSFER_TWICE", "transfers_in[1].transfer_id"),
        ({"transfers_out": (WENT, WENT._replace(transfer_id=NEW_ID))}, "MEMBER_TWICE", "transfers_out[1].member_id"),
        ({"transfers_in": (WENT, WENT._replace(transfer_id=NEW_ID))}, "MEMBER_TWICE", "transfers_in[1].member_id"),
        ({"settlements": (Settlement(SHE, "LEFT"),), **OF_HER}, "MEMBER_TWICE", "transfers_out[0].member_id"),
        ({"loans_out": LOANS_OUT}, "TRANSFER_UNKNOWN", "loans_out[0].transfer_id"),
        ({"loans_in": (LoanIn(new_id(), TRANSFER, LOAN, 1, 0, "2026-10-05"),)}, "TRANSFER_UNKNOWN", "loans_in[0].transfer_id"),
        ({"transfers_in": (WENT,), "loans_out": LOANS_OUT}, "TRANSFER_UNKNOWN", "loans_out[0].transfer_id"),
        ({"transfers_in": (WENT,), "loans_in": (LoanIn(NEW_ID, TRANSFER, LOAN, 1, 0, "soon"),)}, "DATE_INVALID", "loans_in[0].counted_through"),
        ({"transfers_out": (WENT,), "loans_out": (LOANS_OUT[0]._replace(outstanding_paise=0),)}, "AMOUNT_MISSING", "loans_out[0].outstanding_paise"),
        # A loan stands once.
        ({**OF_HER, "loans_out": (LOANS_OUT[0],) * 2}, "LOAN_TWICE", "loans_out[1].loan_id"),
        ({**OF_HER, "reschedules": (Reschedule(HERS_TOO, 0, 5, reason="Rains"),)}, "LOAN_TWICE", "loans_out[1].loan_id"),
        ({**OF_HER, "write_offs": (WriteOff(LOAN, 90 * RUPEE, "Gone"),)}, "LOAN_TWICE", "loans_out[0].loan_id"),
        (
            {"transfers_in": (WENT,), "loans_in": (LoanIn(NEW_ID, TRANSFER, LOAN, 1, 0, "2026-10-05"),) * 2},
            "LOAN_TWICE",
            "loans_in[1].loan_id",
        ),
        ({"transfers_in": (WENT,), "loans_in": (LoanIn(LOAN, TRANSFER, LOAN, 1, 0, "2026-10-05"),)}, "LOAN_TWICE", "loans_in[0].loan_id"),
        (
            {
                "transfers_in": (WENT,),
                "loans_in": (LoanIn(NEW_ID, TRANSFER, LOAN, 1, 0, "2026-10-05"),),
                "loans": (LoanGiven(NEW_ID, SHE, 1, 0, 1),),
            },
            "LOAN_TWICE",
            "loans_in[0].loan_id",
        ),
        (
            {
                "transfers_in": (WENT,),
                "loans_in": (LoanIn(NEW_ID, TRANSFER, LOAN, 1, 0, "2026-10-05"),),
                "borrowings": (Borrowing(NEW_ID, "BANK", 1, 0, 1),),
            },
            "LOAN_TWICE",
            "loans_in[0].loan_id",
        ),
        ({"transfers_in": (WENT,), "loans_in": (LoanIn(HERS_TOO, TRANSFER, LOAN, 1, 0, "2026-10-05"),)}, "LOAN_EXISTS", "loans_in[0].loan_id"),
        # Whose the loans are.
        ({**OF_HER, "loans_out": (LoanOut(new_id(), TRANSFER, 1),)}, "LOAN_UNKNOWN", "loans_out[0].loan_id"),
        ({"transfers_out": (WENT._replace(member_id=ANOTHER),), "loans_out": LOANS_OUT}, "LOAN_NOT_HERS", "loans_out[0].transfer_id"),
        ({**OWN_OUT, "loans_out": LOANS_OUT}, "LOAN_NOT_HERS", "loans_out[0].transfer_id"),
        ({**OF_HER, "loans_out": (LoanOut(BORROWED, TRANSFER, 500 * RUPEE),)}, "LOAN_NOT_HERS", "loans_out[0].transfer_id"),
        ({**OF_HER, "loans_out": (LOANS_OUT[0]._replace(outstanding_paise=89 * RUPEE),)}, "TRANSFER_PARTIAL", "loans_out[0].outstanding_paise"),
        ({**OF_HER, "loans_out": (LOANS_OUT[0]._replace(outstanding_paise=91 * RUPEE),)}, "TRANSFER_PARTIAL", "loans_out[0].outstanding_paise"),
        ({**OF_HER, "repayments": (Repayment(LOAN, 1, 0),)}, "TRANSFER_PARTIAL", "loans_out[0].outstanding_paise"),
        (
            {**OWN_OUT, "loans_out": (LoanOut(BORROWED, TRANSFER, 500 * RUPEE),), "borrowing_repayments": (BorrowingRepayment(BORROWED, 1, 0),)},
            "TRANSFER_PARTIAL",
            "loans_out[0].outstanding_paise",
        ),
        ({**OF_HER, "repayments": (Repayment(LOAN, 90 * RUPEE, 0),)}, "NOTHING_OUTSTANDING", "loans_out[0].loan_id"),
        # All that she has.
        *(
            ({**OF_HER, "transfers_out": (WENT._replace(**{name: getattr(WENT, name) - 1}),)}, "SAVINGS_LEFT", f"transfers_out[0].{name}")
            for name in HERS
        ),
        *(
            ({**OF_HER, "transfers_out": (WENT._replace(**{name: getattr(WENT, name) + 1}),)}, "SAVINGS_NEGATIVE", f"transfers_out[0].{name}")
            for name in HERS
        ),
        ({**OF_HER, "savings": (Saving(SHE, 1, 0),)}, "SAVINGS_LEFT", "transfers_out[0].compulsory_paise"),
        ({**OF_HER, "withdrawals": (Withdrawal(SHE, 0, 1),)}, "SAVINGS_NEGATIVE", "transfers_out[0].voluntary_paise"),
        ({"transfers_out": (OF_GROUP,)}, "BALANCE_NEGATIVE", ""),
        # The other group.
        ({"entries": (Entry("GROUP_PAID", 1),)}, "GROUP_MISSING", "entries[0].institution_id"),
        ({"entries": (Entry("RENT", 1, institution_id=NEW.id),)}, "GROUP_NOT_ASKED", "entries[0].institution_id"),
        ({"transfers_out": (WENT._replace(institution_id=NEW_ID),)}, "INSTITUTION_WAITING", "transfers_out[0].institution_id"),
        (
            {"entries": (Entry("GROUP_PAID", 1, institution_id=NEW.id), Entry("GROUP_RECEIVED", 1, institution_id=NEW_ID))},
            "INSTITUTION_WAITING",
            "entries[1].institution_id",
        ),
        ({"transfers_in": (WENT._replace(institution_id=NEW.id),)}, "TRANSFER_WAITING", "transfers_in[0].transfer_id"),
        # Who is strange.
        ({"transfers_out": (Transfer(TRANSFER, NEW.id, NEW_ID),)}, "MEMBER_WAITING", "transfers_out[0].member_id"),
    ],
)
def test_a_refusal_names_its_field(changes, code, field):
    assert refused_out(**changes) == (code, field)


def test_between_groups_of_one_kind_alone():
    vo = new_id()
    books = replace(BOOKS, others={vo: Other("VO", True)})
    moved = {"transfers_out": (WENT._replace(institution_id=vo),), "loans_out": LOANS_OUT}
    assert refused_out(books, **moved) == ("GROUP_OTHER", "transfers_out[0].institution_id")
    assert refused_out(books, entries=(Entry("GROUP_PAID", 1, institution_id=vo),)) == ("GROUP_OTHER", "entries[0].institution_id")


def test_what_a_federation_has_lent_does_not_go_to_another():
    vo, other, below = Group(kind="VO"), new_id(), new_id()
    books = vo.books(others={other: Other("VO", True)}, below=frozenset({below}))
    lent = LoanGiven(new_id(), "", 100 * RUPEE, 0, 10, borrower_id=below)
    books = entered(following(books, vo, entries=(Entry("GRANT", 100 * RUPEE),), loans=(lent,)), books)
    one = following(books, vo, transfers_out=(Transfer(TRANSFER, other),))
    one = replace(one, loans_out=(LoanOut(lent.loan_id, TRANSFER, 100 * RUPEE),))
    assert refused_of(one, books, vo) == ("LOAN_UNKNOWN", "loans_out[0].loan_id")
    one = following(books, vo, transfers_out=(Transfer(TRANSFER, other, funds_paise=100 * RUPEE),))
    assert admit(upload(one), books, vo.bookkeeper(), Policies(), TODAY)


def test_a_loan_of_another_group_is_not_given_over():
    foreign = {LOAN: replace(BOOKS.loans[LOAN], institution_id=NEW.id)}
    assert refused_out(replace(BOOKS, loans={**BOOKS.loans, **foreign}), **OF_HER) == ("LOAN_UNKNOWN", "loans_out[0].loan_id")


def test_a_transfer_is_given_over_once():
    went = final(out(**OF_HER), BOOKS)
    again = {"transfers_out": (Transfer(TRANSFER, NEW.id, ANOTHER, 50 * RUPEE),)}
    assert refused_out(went, **again) == ("TRANSFER_EXISTS", "transfers_out[0].transfer_id")


def test_what_went_to_another_group_is_not_taken_back_line_by_line():
    one = out(**OF_HER)
    books = final(one, BOOKS)
    assert refused_out(books, reversals=(Reversal(one.meeting_id, 4),)) == ("LINE_OF_TRANSFER", "reversals[0]")
    there = books_of_new(given_over(one))
    comes = out(there, NEW, **said(given_over(one)))
    there = final(comes, there)
    back = following(there, NEW, held_on=MOVED_ON, reversals=(Reversal(comes.meeting_id, 1),))
    assert refused_of(back, there, NEW) == ("LINE_OF_TRANSFER", "reversals[0]")


def test_who_has_left_already_may_still_go_with_what_she_has_and_who_never_was_there_waits():
    gone_on = date(2026, 9, 20)
    left = Member(NEW.id, active=True, since_on=gone_on, ended=[(OLD.id, Span(None, gone_on))])
    books = replace(BOOKS, members={**BOOKS.members, SHE: left})
    without = tuple(one for one in sheet(OLD).attendance if one.member_id != SHE)
    assert admit(upload(out(books, attendance=without, **OF_HER)), books, OLD.bookkeeper(), Policies(), TODAY)
    moved_on = replace(BOOKS, members={**BOOKS.members, SHE: Member(NEW.id, active=True)})
    assert take_in(out(moved_on, attendance=without, **OF_HER), moved_on, Policies(), TODAY), "another group may have brought what she has"
    stranger = new_id()
    with pytest.raises(Waiting) as waits:
        take_in(out(transfers_out=(Transfer(TRANSFER, NEW.id, stranger),)), BOOKS, Policies(), TODAY)
    assert (waits.value.code, waits.value.awaited) == ("MEMBER_WAITING", stranger)


# Taken in.

GIVEN = given_over(out(**OF_HER))
ENTRY = said(GIVEN)


def refused_in(given=GIVEN, books=None, entry=ENTRY, **changes):
    there = books or books_of_new(given)
    try:
        one = out(there, NEW, **{**entry, **changes})
    except KeyError:
        one = replace(out(there, NEW), **{**entry, **changes})
    return refused_of(one, there, NEW)


def test_what_is_left_there_and_agreed_anew_changes_nothing_of_what_went():
    plain = books_of_new(GIVEN)
    anew = replace(BOOKS.loans[LOAN], terms=replace(BOOKS.loans[LOAN].terms, annual_rate_basis_points=0, instalments=1))
    there = replace(plain, loans={**plain.loans, LOAN: anew})
    taken = take_in(out(there, NEW, **ENTRY), there, Policies(), TODAY)
    [now] = [one.loan_id for one in ENTRY["loans_in"] if one.of_loan_id == LOAN]
    assert taken.loans[now].terms == BOOKS.loans[LOAN].terms


def test_it_waits_until_the_other_group_is_final():
    for given in ({}, given_over(out(**OF_HER), approved=False)):
        there = books_of_new(given)
        with pytest.raises(Waiting) as waits:
            take_in(out(there, NEW, **ENTRY), there, Policies(), TODAY)
        assert (waits.value.code, waits.value.field, waits.value.awaited) == ("TRANSFER_WAITING", "transfers_in[0].transfer_id", TRANSFER)


def test_what_she_had_comes_whoever_she_is_by_then_and_may_be_settled_or_go_on():
    """She died, or moved on, before the group met; what its books then hold of her can leave them."""
    there = replace(books_of_new(GIVEN), members=NEW.books().members)
    here = final(out(there, NEW, **ENTRY), there)
    hers = {"compulsory_paise": 150 * RUPEE, "voluntary_paise": 7 * RUPEE, "share_capital_paise": 30 * RUPEE}
    offs = tuple(SetOff(one.loan_id, one.outstanding_paise) for one in ENTRY["loans_in"])
    settled = following(here, NEW, held_on=LATER, settlements=(Settlement(SHE, "DIED", **hers),), set_offs=offs)
    assert take_in(settled, here, Policies(), TODAY).balances[Account(Head.SETTLEMENT_PAYABLE, SHE)] == (187 - 110) * RUPEE
    back = Transfer(new_id(), OLD.id, SHE, **hers)
    loans_out = tuple(LoanOut(one.loan_id, back.transfer_id, one.outstanding_paise) for one in ENTRY["loans_in"])
    assert take_in(following(here, NEW, held_on=LATER, transfers_out=(back,), loans_out=loans_out), here, Policies(), TODAY)


def test_who_goes_takes_all_that_she_owes_with_her():
    assert refused_out(**{**OF_HER, "loans_out": LOANS_OUT[:1]}) == ("LOAN_STILL_OWED", "transfers_out[0].member_id")


def test_to_a_group_that_was_closed_nothing_goes():
    books = replace(BOOKS, others={NEW.id: Other("SHG", False)})
    assert refused_out(books, **OF_HER) == ("GROUP_CLOSED", "transfers_out[0].institution_id")


def test_it_comes_to_the_group_to_which_it_went_and_not_before_and_once():
    elsewhere = {TRANSFER: replace(GIVEN[TRANSFER], to_id=new_id())}
    assert refused_in(elsewhere) == ("TRANSFER_ELSEWHERE", "transfers_in[0].transfer_id")
    assert refused_in(held_on=MOVED_ON - timedelta(days=1)) == ("TRANSFER_EARLY", "transfers_in[0].transfer_id")
    later = {TRANSFER: replace(GIVEN[TRANSFER], held_on=MOVED_ON + timedelta(days=1))}
    assert refused_in(later) == ("TRANSFER_EARLY", "transfers_in[0].transfer_id")
    taken = {TRANSFER: replace(GIVEN[TRANSFER], taken_in=new_id())}
    assert refused_in(taken) == ("TRANSFER_TAKEN", "transfers_in[0].transfer_id")


def test_within_one_upload_it_is_taken_in_once():
    there = books_of_new(GIVEN)
    one = out(there, NEW, **ENTRY)
    after = entered(one, there)
    again = replace(following(after, NEW, held_on=MOVED_ON), transfers_in=ENTRY["transfers_in"], loans_in=said(GIVEN)["loans_in"])
    answered = admit_all({0: upload(again), 1: upload(one)}, there, NEW.bookkeeper(), Policies(), TODAY)
    assert answered.outcomes[1] is Outcome.APPLIED
    assert (answered.outcomes[0].code, answered.outcomes[0].field) == ("TRANSFER_TAKEN", "transfers_in[0].transfer_id")


def test_what_another_meeting_of_the_upload_gives_over_is_no_second_time_given_over():
    first = out(**OF_HER)
    after = entered(first, BOOKS)
    second = following(after, OLD, held_on=MOVED_ON, transfers_out=(Transfer(TRANSFER, NEW.id, ANOTHER, 50 * RUPEE),))
    answered = admit_all(dict(enumerate(map(upload, (first, second)))), BOOKS, OLD.bookkeeper(), Policies(), TODAY)
    assert (answered.outcomes[0], answered.outcomes[1].code) == (Outcome.APPLIED, "TRANSFER_EXISTS")


THEY = ENTRY["transfers_in"][0]
FIRST, SECOND = ENTRY["loans_in"]
STRANGE = new_id()


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"transfers_in": (THEY._replace(institution_id=STRANGE),)}, "transfers_in[0].institution_id"),
        ({"transfers_in": (THEY._replace(member_id=NEW.members[0]),)}, "transfers_in[0].member_id"),
        *(({"transfers_in": (THEY._replace(**{name: getattr(THEY, name) + 1}),)}, f"transfers_in[0].{name}") for name in HERS),
        *(({"transfers_in": (THEY._replace(**{name: getattr(THEY, name) - 1}),)}, f"transfers_in[0].{name}") for name in HERS),
        ({"loans_in": (FIRST,)}, "loans_in"),
        ({"loans_in": ()}, "loans_in"),
        ({"loans_in": (FIRST, SECOND, SECOND._replace(loan_id=NEW_ID))}, "loans_in"),
        ({"loans_in": (FIRST, SECOND, SECOND._replace(loan_id=NEW_ID, of_loan_id=BORROWED))}, "loans_in"),
        ({"loans_in": (FIRST._replace(outstanding_paise=FIRST.outstanding_paise - 1), SECOND)}, "loans_in"),
        ({"loans_in": (FIRST._replace(interest_unpaid_paise=FIRST.interest_unpaid_paise + 1), SECOND)}, "loans_in"),
        ({"loans_in": (FIRST._replace(counted_through="2026-09-15"), SECOND)}, "loans_in"),
        ({"loans_in": (FIRST._replace(of_loan_id=STRANGE), SECOND)}, "loans_in"),
    ],
)
def test_it_is_said_as_it_was_given(changes, field):
    assert refused_in(**changes) == ("TRANSFER_DIFFERS", field)


@pytest.mark.parametrize("field", [name for name in OWN if name != "deficit_paise"])
def test_what_is_the_groups_own_is_said_as_it_was_given(field):
    given = {TRANSFER: replace(GIVEN[TRANSFER], said=OF_GROUP._replace(surplus_paise=9), loans={})}
    entry = said(given)
    less = entry["transfers_in"][0]._replace(**{field: getattr(entry["transfers_in"][0], field) - 1})
    assert refused_in(given, entry=entry, transfers_in=(less,)) == ("TRANSFER_DIFFERS", f"transfers_in[0].{field}")
    assert admit(upload(out(books_of_new(given), NEW, **entry)), books_of_new(given), NEW.bookkeeper(), Policies(), TODAY)


def test_the_order_in_which_the_loans_are_said_is_nobodys_business():
    there = books_of_new(GIVEN)
    one = out(there, NEW, **{**ENTRY, "loans_in": (SECOND, FIRST)})
    assert admit(upload(one), there, NEW.bookkeeper(), Policies(), TODAY)


def test_of_a_group_that_was_closed_since_the_money_still_comes():
    money = (Entry("GROUP_RECEIVED", 5 * RUPEE, institution_id=OLD.id),)
    assert refused_in(books=replace(books_of_new(GIVEN), others={}), entry={"entries": money}) == ("INSTITUTION_WAITING", "entries[0].institution_id")
    there = replace(books_of_new(GIVEN), others={OLD.id: Other("SHG", False)})
    one = out(there, NEW, **ENTRY, entries=money)
    assert admit(upload(one), there, NEW.bookkeeper(), Policies(), TODAY)


# In the books of two groups.


class Pair:
    """Two groups of a VO, each at its desk, and who moves from the one to the other."""

    def __init__(self, connection, members=(5, 5)):
        parent_id = UUID(new_id())
        made = [Group(parent_id=parent_id, member_ids=[UUID(new_id()) for _ in range(size)]) for size in members]
        self.old, self.new = (Desk(connection, hear(connection, group)) for group in made)
        self.connection = connection
        self.stays = Counter()

    @property
    def desks(self):
        return self.old, self.new

    def out(self, *member_ids, loan_ids=(), own=None, old=None, new=None):
        """The lists of a meeting in which these go with all that they have, and with all of their loans unless these are said."""
        old, new = old or self.old, new or self.new
        has, lent = old.balances, old.standing().loans
        gone = [Transfer(new_id(), new.group.id, one, *(has.get(Account(head, one), 0) for head in HERS.values())) for one in member_ids]
        going = [(one.transfer_id, of) for one in gone for of, (_, loan) in lent.items() if loan.borrower_id == one.member_id]
        if own:
            gone.append(Transfer(new_id(), new.group.id, **own))
            going += [(gone[-1].transfer_id, of) for of, (_, loan) in lent.items() if not loan.borrower_id]
        loans_out = tuple(LoanOut(of, to, lent[of][1].standing.outstanding_paise) for to, of in going if not loan_ids or of in loan_ids)
        return {"transfers_out": tuple(gone), "loans_out": loans_out}

    def move(self, *member_ids, on=MOVED_ON, old=None, new=None):
        """Profiles tell that they are of the other group from that day on."""
        old, new = old or self.old, new or self.new
        ended = [{"institution_id": old.group.id, "region": old.group.region, "to_on": on.isoformat()}]
        for one in member_ids:
            self.stays[one] += 1
            hear_member(self.connection, new.group, one, version=1 + self.stays[one], ended_stays=ended, since_on=on.isoformat())
            old.group.member_ids.remove(UUID(one))
            new.group.member_ids.append(UUID(one))

    def incoming(self, new=None):
        """The lists of a meeting that takes in all that waits, as Pull says it; and the new ids of the loans by the old."""
        shown = shown_of(new or self.new).incoming
        moves = tuple(Transfer(**{name: getattr(one.transfer, name) for name in Transfer._fields}) for one in shown)
        loans = tuple(
            LoanIn(**{**{name: getattr(loan, name) for name in LoanIn._fields}, "loan_id": new_id()}) for one in shown for loan in one.loans
        )
        return {"transfers_in": moves, "loans_in": loans}, {loan.of_loan_id: loan.loan_id for loan in loans}

    def over(self, *member_ids, on=MOVED_ON, **changes):
        """They go, and are taken in on the same day: both meetings, and the new ids of the loans by the old."""
        went = keep(self.old, held_on=on, **{**self.out(*member_ids), **changes})
        assert approve_all(self.old)
        self.move(*member_ids, on=on)
        lists, ids = self.incoming()
        return went, keep(self.new, held_on=on, **lists), ids


def shown_of(desk, known=None, on=LATER):
    found = desk.standing(known)
    return showing.position(found, (known or queries.Known()).version, on, on if known else None, 1, Order.INTEREST_FIRST)


def keep(desk, **changes):
    one = desk.next(**changes)
    assert desk.send(one) == ["APPLIED"]
    return one


def approve_all(desk):
    """All that wait, in order."""
    chain = desk.standing().chain
    rows = queries.undecided_from(desk.connection, desk.group.institution_id, chain.approved_through + 1)
    sheets = [packed.unpack_sheet(row) for row in rows]
    return desk.approve(*sheets) == [""] * len(sheets)


def summed(*desks):
    found = {}
    for desk in desks:
        found = added(found, {of: paise for of, paise in desk.balances.items() if not of.of})
    return {of.head: paise for of, paise in found.items() if paise}


def between(desk, other):
    return desk.balances.get(Account(Head.BETWEEN_GROUPS, other.group.id), 0)


def lent(desk, loan_id):
    return desk.standing().loans[loan_id][1]


def owed(loan):
    """What is asked of it on every day of the next year, what interest is owed, and since when."""
    days = [LATER + timedelta(days=one) for one in range(365)]
    asked = [(dues(loan.terms, loan.standing, on), interest_owed(loan.terms, loan.standing, on)) for on in days]
    return asked, unpaid_since(loan.terms, loan.standing)


def taken_in(desk):
    """By which meetings what comes to it was, if by any."""
    return desk.connection.execute(select(transfers.c.taken_in).where(transfers.c.to_id == desk.group.institution_id)).scalars().all()


def told(desk, subject, event):
    return desk.connection.execute(select(outbox.c.body).where(outbox.c.subject == str(subject), outbox.c.event == event)).scalars().all()


def approved_of(desk, one):
    [body] = told(desk, one.meeting_id, "MeetingApproved")
    return pb.MeetingApproved.FromString(body)


@pytest.fixture
def pair(connection):
    made = Pair(connection)
    yield made
    assert queries.adrift(connection) == []


KINDS_OF_LOANS = {
    "at meetings": {"months": 10},
    "the same principal": {"months": 10, "agreed": Agreed(method="EQUAL_PRINCIPAL")},
    "flat": {"months": 10, "agreed": Agreed(method="FLAT")},
    "by the month": {"months": 10, "agreed": Agreed(frequency="MONTHLY")},
    "by the day": {"months": 9, "agreed": Agreed(frequency="QUARTERLY", day_count="ACTUAL/365")},
    "by the week": {"months": 0, "agreed": Agreed(frequency="WEEKLY", instalments=30)},
    "after a rest": {"months": 10, "agreed": Agreed(moratorium=3, moratorium_interest="ACCRUED")},
}


def lend(desk, member_id, rupees=333, rate=2400, months=10, agreed=None, held_on=GIVEN_ON, **changes):
    """A meeting at which so much is lent to her, and the loan's id."""
    loan_id = new_id()
    given_her = LoanGiven(loan_id, member_id, rupees * RUPEE, rate, months, **({"agreed": agreed} if agreed else {}))
    enough = (Saving(member_id, rupees * RUPEE, 9 * RUPEE), *savings(desk.group)[1:])
    return keep(desk, held_on=held_on, savings=enough, loans=(given_her,), **changes), loan_id


@pytest.mark.parametrize("kind", KINDS_OF_LOANS)
def test_of_her_loans_the_same_is_owed_where_she_comes_as_where_she_was(pair, kind):
    """Of the one interest is unpaid, the other was rescheduled."""
    she = pair.old.group.members[0]
    _, loan_id = lend(pair.old, she, **KINDS_OF_LOANS[kind])
    _, other_id = lend(pair.old, she, rupees=77, entries=(Entry("SHARE_CAPITAL", 30 * RUPEE, she),))
    some = (Repayment(loan_id, 31 * RUPEE, 50), Repayment(other_id, 7 * RUPEE, 0))
    anew = Reschedule(other_id, 1800, KINDS_OF_LOANS[kind]["months"], KINDS_OF_LOANS[kind].get("agreed", Agreed()), "Rains")
    keep(pair.old, held_on=THEN, repayments=some, reschedules=(anew,))
    before = {of: lent(pair.old, of) for of in (loan_id, other_id)}
    had = pair.old.balances
    version = pair.old.standing().chain.version

    went, came, ids = pair.over(she)

    assert set(ids) == {loan_id, other_id}
    for of, now in ids.items():
        after = lent(pair.new, now)
        assert (after.institution_id, after.borrower_id, after.head) == (pair.new.group.id, she, Head.MEMBER_LOANS)
        assert (after.terms, after.standing) == (before[of].terms, before[of].standing)
        assert owed(after) == owed(before[of])
    assert any(lent(pair.new, now).standing.interest_unpaid_paise for now in ids.values())
    for head in HERS.values():
        assert pair.new.balances[Account(head, she)] == had[Account(head, she)] > 0
    assert not {of for of in pair.old.balances if of.of in {she, loan_id, other_id}}
    assert between(pair.old, pair.new) == -between(pair.new, pair.old) != 0
    assert pair.old.standing().loans == {}
    shown = shown_of(pair.old, queries.Known(version, 0, 0))
    assert {(one.loan_id, one.outstanding_paise, one.borrower_id if hasattr(one, "borrower_id") else "") for one in shown.loans} == {
        (loan_id, 0, ""),
        (other_id, 0, ""),
    }
    assert approve_all(pair.new)
    assert (approved_of(pair.old, went).number, approved_of(pair.new, came).number) == (went.number, came.number)


@pytest.mark.parametrize("kind", KINDS_OF_LOANS)
def test_what_she_pays_where_she_comes_counts_as_it_would_have_where_she_was(pair, connection, kind):
    """Also what she pays in the meeting in which she goes. Beside her a twin pays the same, and stays."""
    twin = Desk(connection, hear(connection, Group(parent_id=pair.old.group.parent_id)))
    found = {}
    for desk in (pair.old, twin):
        she = desk.group.members[0]
        _, loan_id = lend(desk, she, **KINDS_OF_LOANS[kind])
        found[desk.group.id] = she, loan_id
    she, loan_id = found[pair.old.group.id]
    paid = 20 * RUPEE, 1 * RUPEE
    leaves = pair.out(she)
    leaves["loans_out"] = (leaves["loans_out"][0]._replace(outstanding_paise=313 * RUPEE),)
    _, _, ids = pair.over(she, repayments=(Repayment(loan_id, *paid),), **leaves)
    keep(twin, held_on=MOVED_ON, repayments=(Repayment(found[twin.group.id][1], *paid),))
    assert owed(lent(pair.new, ids[loan_id])) == owed(lent(twin, found[twin.group.id][1]))
    for desk, of in ((pair.new, ids[loan_id]), (twin, found[twin.group.id][1])):
        keep(desk, held_on=LATER, repayments=(Repayment(of, 40 * RUPEE, 3 * RUPEE),))
    assert owed(lent(pair.new, ids[loan_id])) == owed(lent(twin, found[twin.group.id][1]))
    assert summed(*pair.desks) == summed(twin)


def test_the_new_group_waits_until_the_old_one_is_final(pair):
    she = pair.old.group.members[0]
    _, loan_id = lend(pair.old, she)
    assert approve_all(pair.old)
    assert list(shown_of(pair.new).incoming) == []
    went = keep(pair.old, held_on=MOVED_ON, **pair.out(she))
    pair.move(she)
    assert list(shown_of(pair.new).incoming) == [], "it is not final"
    # What will be said is known to who gives it over; nobody else can say it yet.
    undone = pair.connection.begin_nested()
    assert pair.old.approve(went) == [""]
    lists, ids = pair.incoming()
    one = pair.new.next(held_on=MOVED_ON, **lists)
    undone.rollback()
    assert pair.new.send(one) == ["TRANSFER_WAITING"]
    assert pair.old.approve(went, unseen=True) == ["MEETING_FLAGGED"]
    assert pair.old.approve(went) == [""]
    [incoming] = shown_of(pair.new).incoming
    assert (incoming.held_on, incoming.transfer.institution_id, incoming.transfer.member_id) == ("2026-10-05", pair.old.group.id, she)
    assert (incoming.transfer.compulsory_paise, incoming.transfer.voluntary_paise) == (333 * RUPEE, 9 * RUPEE)
    assert [(loan.loan_id, loan.of_loan_id, loan.outstanding_paise, loan.counted_through) for loan in incoming.loans] == [
        ("", loan_id, 333 * RUPEE, "2026-08-10")
    ]
    assert list(shown_of(pair.old).incoming) == []
    assert pair.new.send(one) == ["APPLIED"]
    assert list(shown_of(pair.new).incoming) == []
    assert lent(pair.new, ids[loan_id]).standing.outstanding_paise == 333 * RUPEE
    assert pair.new.approve(one, unseen=True) == ["MEETING_FLAGGED"]
    assert approve_all(pair.new)
    assert [pair.old.send(went), pair.new.send(one)] == [["ALREADY_APPLIED"]] * 2
    assert pair.new.send(pair.new.next(held_on=LATER, **lists)) == ["LOAN_EXISTS"]
    again = {**lists, "loans_in": tuple(loan._replace(loan_id=new_id()) for loan in lists["loans_in"])}
    assert pair.new.send(pair.new.next(held_on=LATER, **again)) == ["TRANSFER_TAKEN"]


def test_handed_back_she_has_not_gone_and_may_go_with_something_else(pair):
    she = pair.old.group.members[0]
    _, loan_id = lend(pair.old, she)
    keep(pair.old, held_on=THEN, repayments=(Repayment(loan_id, 30 * RUPEE, 1 * RUPEE),))
    before, had = lent(pair.old, loan_id), pair.old.balances
    went = keep(pair.old, held_on=MOVED_ON, **pair.out(she))
    pair.old.reject(went)
    assert (lent(pair.old, loan_id), pair.old.balances) == (before, had)
    assert taken_in(pair.new) == []
    # The same transfer, after a payment, with more saved.
    [one], [loan] = went.transfers_out, went.loans_out
    changed = {
        "savings": (Saving(she, 5 * RUPEE, 0),),
        "repayments": (Repayment(loan_id, 3 * RUPEE, 12 * RUPEE),),
        "transfers_out": (one._replace(compulsory_paise=one.compulsory_paise + 5 * RUPEE),),
        "loans_out": (loan._replace(outstanding_paise=300 * RUPEE),),
    }
    again = pair.old.again(went, **changed)
    assert pair.old.send(again) == ["APPLIED"]
    assert approve_all(pair.old)
    pair.move(she)
    [incoming] = shown_of(pair.new).incoming
    assert incoming.transfer.compulsory_paise == 338 * RUPEE
    # Of August 6.66 as 7, of September 6.06 as 6, less 13.
    assert [(of.outstanding_paise, of.interest_unpaid_paise, of.counted_through) for of in incoming.loans] == [(300 * RUPEE, 0, "2026-10-05")]
    lists, ids = pair.incoming()
    keep(pair.new, held_on=MOVED_ON, **lists)
    assert lent(pair.new, ids[loan_id]).standing == Standing(300 * RUPEE, 0, MOVED_ON)


def test_handed_back_where_she_comes_she_may_be_taken_in_again(pair):
    she = pair.old.group.members[0]
    _, loan_id = lend(pair.old, she)
    _, came, ids = pair.over(she)
    had, stood = pair.new.balances, lent(pair.new, ids[loan_id])
    pair.new.reject(came)
    assert (pair.new.balances, pair.new.standing().loans) == ({}, {})
    assert len(shown_of(pair.new).incoming) == 1
    again = pair.new.again(came)
    assert pair.new.send(again) == ["APPLIED"]
    assert (pair.new.balances, lent(pair.new, ids[loan_id])) == (had, stood)
    pair.new.reject(again)
    # Or in another meeting, under another id.
    lists, others = pair.incoming()
    keep(pair.new, held_on=MOVED_ON, **lists)
    assert lent(pair.new, others[loan_id]) == stood
    assert pair.new.send(pair.new.again(again)) == ["TRANSFER_TAKEN"]


def test_a_payment_of_before_taken_back_where_she_was_is_owed_there(pair):
    she = pair.old.group.members[0]
    _, loan_id = lend(pair.old, she)
    paid = keep(pair.old, held_on=THEN, repayments=(Repayment(loan_id, 33 * RUPEE, 7 * RUPEE),))
    _, _, ids = pair.over(she)
    now = lent(pair.new, ids[loan_id])
    back = {"held_on": LATER, "reversals": (Reversal(paid.meeting_id, 1), Reversal(paid.meeting_id, 2))}
    pair.old.reject(keep(pair.old, **back))
    assert pair.old.standing().loans == {}, "neither principal nor interest"
    keep(pair.old, **back)
    assert lent(pair.new, ids[loan_id]) == now, "what went is what went"
    left = lent(pair.old, loan_id)
    # Of 333 rupees she owed 14 by then, and with her went the 6 of September that she owed of 300.
    assert (left.borrower_id, left.standing) == (she, Standing(33 * RUPEE, 8 * RUPEE, MOVED_ON))
    assert approve_all(pair.old)
    # It follows her in a transfer of its own, and is a loan of its own there.
    keep(pair.old, held_on=LATER, **pair.out(she))
    assert approve_all(pair.old)
    assert approve_all(pair.new)
    lists, more = pair.incoming()
    keep(pair.new, held_on=LATER, **lists)
    assert (lent(pair.new, more[loan_id]).terms, lent(pair.new, more[loan_id]).standing) == (left.terms, left.standing)
    assert between(pair.old, pair.new) + between(pair.new, pair.old) == 0
    assert summed(*pair.desks).get(Head.MEMBER_LOANS) == 333 * RUPEE


def test_a_payment_taken_back_where_she_came_is_as_if_it_had_never_been_made(pair):
    she = pair.old.group.members[0]
    _, loan_id = lend(pair.old, she)
    keep(pair.old, held_on=THEN, repayments=(Repayment(loan_id, 33 * RUPEE, 1 * RUPEE),))
    _, _, ids = pair.over(she)
    came = lent(pair.new, ids[loan_id])
    assert came.standing.interest_unpaid_paise == 6 * RUPEE
    paid = keep(pair.new, held_on=LATER, repayments=(Repayment(ids[loan_id], 50 * RUPEE, 20 * RUPEE),))
    assert owed(lent(pair.new, ids[loan_id])) != owed(came)
    assert approve_all(pair.new)
    back = keep(pair.new, held_on=LATER, reversals=(Reversal(paid.meeting_id, 1), Reversal(paid.meeting_id, 2)))
    assert owed(lent(pair.new, ids[loan_id])) == owed(came)
    pair.new.reject(back)
    assert lent(pair.new, ids[loan_id]).standing.outstanding_paise == 250 * RUPEE
    keep(pair.new, held_on=LATER, reversals=(Reversal(paid.meeting_id, 2),))
    assert lent(pair.new, ids[loan_id]).standing.outstanding_paise == 250 * RUPEE
    assert interest_owed(came.terms, lent(pair.new, ids[loan_id]).standing, LATER) == interest_owed(came.terms, came.standing, LATER)


def test_four_meetings_of_an_upload_may_hold_it(pair):
    """Where she goes, and where she comes: meetings held before and after it go with it, in whatever order."""
    she, stays, *_ = pair.old.group.members
    loan_id, others_id = new_id(), new_id()
    given_them = {
        "savings": savings(pair.old.group, 200),
        "loans": (LoanGiven(loan_id, she, 100 * RUPEE, 2400, 10), LoanGiven(others_id, stays, 100 * RUPEE, 2400, 10)),
    }
    goes = (Transfer(new_id(), pair.new.group.id, she, 200 * RUPEE),)
    meetings = [
        {"held_on": GIVEN_ON, **given_them},
        {"held_on": THEN, "transfers_out": goes, "loans_out": (LoanOut(loan_id, goes[0].transfer_id, 100 * RUPEE),)},
        {"held_on": MOVED_ON, "repayments": (Repayment(others_id, 10 * RUPEE, 0),)},
        {"held_on": LATER, "savings": savings(pair.old.group)[1:]},
    ]

    def offline(desk, meetings):
        """As a device closes them one on the other, before anything is sent."""
        probe = sheet(desk.group, **{name: value for one in meetings for name, value in one.items() if name != "held_on"})
        books, closed_ones = queries.books(desk.connection, [probe]), []
        for one in meetings:
            closed_ones.append(following(books, desk.group, **one))
            books = entered(closed_ones[-1], books)
        return closed_ones

    sent = offline(pair.old, meetings)
    assert pair.old.send(*reversed(sent)) == ["APPLIED"] * 4
    assert pair.old.send(*sent) == ["ALREADY_APPLIED"] * 4
    assert approve_all(pair.old)
    pair.move(she, on=THEN)
    lists, ids = pair.incoming()
    there = offline(
        pair.new,
        [
            {"held_on": THEN, "savings": savings(pair.new.group)[:-1]},
            {"held_on": THEN, **lists},
            {"held_on": MOVED_ON, "repayments": (Repayment(ids[loan_id], 30 * RUPEE, 2 * RUPEE),)},
            {"held_on": LATER, "savings": savings(pair.new.group)},
        ],
    )
    assert pair.new.send(*reversed(there)) == ["APPLIED"] * 4
    assert pair.new.send(*there) == ["ALREADY_APPLIED"] * 4
    assert lent(pair.new, ids[loan_id]).standing.outstanding_paise == 70 * RUPEE
    assert taken_in(pair.new) == [UUID(there[1].meeting_id)]
    pair.new.reject(there[0])
    assert taken_in(pair.new) == [None]
    assert pair.new.balances == {}


# What is told.


def test_what_is_told_of_it_is_no_saving_no_loan_and_no_repayment(pair):
    she = pair.old.group.members[0]
    _, loan_id = lend(pair.old, she)
    keep(pair.old, held_on=THEN, repayments=(Repayment(loan_id, 33 * RUPEE, 1 * RUPEE),))
    assert approve_all(pair.old)
    went, came, ids = pair.over(she)
    assert approve_all(pair.new)
    out, into = approved_of(pair.old, went), approved_of(pair.new, came)
    for one in (out, into):
        flows = (one.savings_paise, one.savings_withdrawn_paise, one.loans_disbursed_paise, one.loans_disbursed)
        assert (*flows, one.principal_repaid_paise, one.interest_received_paise, one.fines_paise) == (0,) * 7
        assert list(one.heads) == []
    between_them = 342 * RUPEE - 300 * RUPEE
    assert {of.head: (of.debit_paise, of.credit_paise) for of in out.openings} == {
        "A01": (0, 300 * RUPEE),
        "L01": (333 * RUPEE, 0),
        "L02": (9 * RUPEE, 0),
        "L11": (300 * RUPEE, 300 * RUPEE + between_them),
    }
    assert {of.head: (of.credit_paise, of.debit_paise) for of in into.openings} == {of.head: (of.debit_paise, of.credit_paise) for of in out.openings}
    changed = Counter()
    for due in (*out.dues, *into.dues):
        changed.update(
            {(due.head, due.due_on, name): getattr(due, name) for name in ("scheduled_paise", "collected_paise", "loans", "outstanding_paise")}
        )
    assert len(out.dues) == len(into.dues) == 10, "of September the interest alone is unpaid"
    assert set(changed.values()) == {0}
    [body] = told(pair.old, she, "MemberSettled")
    moved = pb.MemberSettled.FromString(body)
    assert (moved.institution_id, moved.meeting_id, moved.settled_on, moved.reason) == (pair.old.group.id, went.meeting_id, "2026-10-05", "MOVED")
    assert pair.old.approve(went) == [""]
    assert len(told(pair.old, she, "MemberSettled")) == 1
    assert told(pair.new, ids[loan_id], "LoanBooked") == told(pair.old, ids[loan_id], "LoanBooked") == []


def books_out(desk, book, *asked):
    found = queries.approved_from(desk.connection, desk.group.approver(), desk.group.institution_id, GIVEN_ON)
    return book(found.now, found.meetings, *asked, GIVEN_ON, TODAY)


def test_receipts_and_payments_hold_the_money_between_groups_and_passbooks_what_went(pair):
    she = pair.old.group.members[0]
    _, loan_id = lend(pair.old, she)
    assert approve_all(pair.old)
    before = {desk.group.id: books_out(desk, statements.receipts_and_payments) for desk in pair.desks}
    goes = {"entries": (Entry("GROUP_PAID", 5 * RUPEE, institution_id=pair.new.group.id),)}
    went = keep(pair.old, held_on=MOVED_ON, **pair.out(she), **goes)
    assert approve_all(pair.old)
    pair.move(she)
    lists, ids = pair.incoming()
    came = keep(pair.new, held_on=MOVED_ON, **lists, entries=(Entry("GROUP_RECEIVED", 5 * RUPEE, institution_id=pair.old.group.id),))
    assert approve_all(pair.new)
    after = {desk.group.id: books_out(desk, statements.receipts_and_payments) for desk in pair.desks}

    def more(desk, name):
        heads = [{one.head: one.paise for one in getattr(found[desk.group.id], name)} for found in (before, after)]
        return {head: paise for head, paise in heads[1].items() if heads[0].get(head) != paise}

    assert (more(pair.old, "receipts"), more(pair.old, "payments")) == ({}, {Head.BETWEEN_GROUPS: 5 * RUPEE})
    assert (more(pair.new, "receipts"), more(pair.new, "payments")) == ({Head.BETWEEN_GROUPS: 5 * RUPEE}, {})
    assert between(pair.old, pair.new) == (342 - 333 - 5) * RUPEE == -between(pair.new, pair.old)

    there, here = (
        books_out(desk, statements.passbook, she, dict.fromkeys(queries.loans_of(pair.connection, desk.group.institution_id, UUID(she)), she))
        for desk in pair.desks
    )
    assert {(one.head, one.loan_id): one.closing_paise for one in there.accounts} == {
        ("L01", ""): 0,
        ("L02", ""): 0,
        ("L03", ""): 0,
        ("A01", loan_id): 0,
    }
    assert [(one.head, one.in_paise, one.out_paise, one.balance_paise) for one in there.entries if one.meeting_id == went.meeting_id] == [
        ("L01", 0, 333 * RUPEE, 0),
        ("L02", 0, 9 * RUPEE, 0),
        ("A01", 333 * RUPEE, 0, 0),
    ]
    assert [(one.head, one.loan_id, one.in_paise, one.out_paise, one.balance_paise) for one in here.entries if one.meeting_id == came.meeting_id] == [
        ("L01", "", 333 * RUPEE, 0, 333 * RUPEE),
        ("L02", "", 9 * RUPEE, 0, 9 * RUPEE),
        ("A01", ids[loan_id], 0, 333 * RUPEE, 333 * RUPEE),
    ]


def test_the_other_group_is_one_that_there_is_and_of_the_same_kind(pair, connection):
    she = pair.old.group.members[0]
    lend(pair.old, she)
    unheard = Group()
    far = Desk(connection, unheard)
    lists = pair.out(she, new=far)
    for changes, field in ((lists, "transfers_out"), ({"entries": (Entry("GROUP_PAID", RUPEE, institution_id=unheard.id),)}, "entries")):
        undone = connection.begin_nested()
        one = pair.old.next(held_on=MOVED_ON, **changes)
        assert pair.old.send(one) == ["INSTITUTION_WAITING"], field
        hear_institution(connection, unheard, status="STATUS_SUBMITTED")
        assert pair.old.send(one) == ["INSTITUTION_WAITING"], field
        hear_institution(connection, unheard, 2, kind="KIND_VO")
        assert pair.old.send(one) == ["GROUP_OTHER"], field
        hear_institution(connection, unheard, 3)
        assert pair.old.send(one) == ["APPLIED"], field
        undone.rollback()


def test_who_goes_may_have_gone_and_moved_on(pair):
    """Profiles may tell that she moved before what she has goes with her, and that she moved on before it comes."""
    she = pair.old.group.members[0]
    lend(pair.old, she)
    lists = pair.out(she)
    pair.move(she, on=THEN)
    keep(pair.old, held_on=MOVED_ON, **lists)
    assert approve_all(pair.old)
    taken, _ = pair.incoming()
    pair.move(she, on=MOVED_ON, old=pair.new, new=pair.old)
    one = pair.new.next(held_on=LATER, **taken)
    assert pair.new.send(one) == ["APPLIED"]


def test_she_comes_back_with_what_she_went_with(pair):
    """Her loan goes on under its third id; what she paid where she came, and what was agreed anew there, counts."""
    she = pair.old.group.members[0]
    _, loan_id = lend(pair.old, she)
    _, _, ids = pair.over(she)
    assert approve_all(pair.new)
    there = ids[loan_id]
    came = lent(pair.new, there)
    anew = keep(pair.new, held_on=MOVED_ON, reschedules=(Reschedule(there, 1200, 6, reason="Rains"),))
    pair.new.reject(anew)
    assert (lent(pair.new, there).terms, owed(lent(pair.new, there))) == (came.terms, owed(came))
    paid = keep(pair.new, held_on=LATER, repayments=(Repayment(there, 33 * RUPEE, 5 * RUPEE),))
    keep(pair.new, held_on=LATER, reschedules=(Reschedule(there, 1200, 6, reason="Rains"),))
    had, before = summed(*pair.desks), lent(pair.new, there)
    assert (before.terms.principal_paise, len(before.earlier)) == (300 * RUPEE, 1)
    keep(pair.new, held_on=LATER, **pair.out(she, old=pair.new, new=pair.old))
    assert approve_all(pair.new)
    pair.move(she, on=LATER, old=pair.new, new=pair.old)
    lists, back = pair.incoming(pair.old)
    keep(pair.old, held_on=LATER, **lists)
    now = lent(pair.old, back[there])
    assert (now.terms, now.standing, now.earlier) == (before.terms, before.standing, ())
    assert summed(*pair.desks) == had
    assert [desk.balances.get(Account(Head.COMPULSORY_SAVINGS, she), 0) for desk in pair.desks] == [333 * RUPEE, 0]
    # What she paid there and was taken back is owed there.
    keep(pair.new, held_on=LATER, reversals=(Reversal(paid.meeting_id, 1),))
    assert lent(pair.new, there).standing.outstanding_paise == 33 * RUPEE


def test_a_loan_that_a_cut_off_brought_goes_as_it_stood_on_paper(connection):
    pair = Pair(connection)
    she, loan_id = pair.old.group.members[0], new_id()
    on_paper = ActiveLoan(loan_id, she, 1000 * RUPEE, 700 * RUPEE, "2026-05-10", 2400, 10, arrears_paise=200 * RUPEE, interest_due_paise=44 * RUPEE)
    said_here = CutOff(40, "2026-08-03", (OpeningMember(she, 30, 500 * RUPEE, 20 * RUPEE),), (on_paper,))
    assert pair.old.send(cut_off(pair.old.group, said_here, held_on=GIVEN_ON)) == ["APPLIED"]
    assert approve_all(pair.old)
    before = lent(pair.old, loan_id)
    assert before.standing.interest_unpaid_paise == 44 * RUPEE
    paid = keep(pair.old, held_on=THEN, savings=savings(pair.old.group), repayments=(Repayment(loan_id, 50 * RUPEE, 10 * RUPEE),))
    keep(pair.old, held_on=MOVED_ON, **pair.out(she))
    pair.old.reject(paid)
    assert lent(pair.old, loan_id) == before, "the meeting in which it went stood on that one"
    assert taken_in(pair.new) == []
    _, _, ids = pair.over(she)
    assert owed(lent(pair.new, ids[loan_id])) == owed(before)
    assert queries.adrift(connection) == []


@pytest.mark.parametrize("handed_back", [False, True])
def test_two_devices_that_take_her_in_at_once_take_her_in_once(up, handed_back):
    """In the first meeting of a group, of which nothing is stored yet, and in one whose first was handed back."""
    with transaction(SERVICE) as connection:
        pair = Pair(connection)
        she = pair.old.group.members[0]
        _, loan_id = lend(pair.old, she)
        keep(pair.old, held_on=MOVED_ON, **pair.out(she))
        assert approve_all(pair.old)
        pair.move(she)
        if handed_back:
            pair.new.reject(keep(pair.new, held_on=MOVED_ON))
        lists, ids = pair.incoming()
        mine = pair.new.next(held_on=MOVED_ON, **lists)
        theirs = pair.new.next(held_on=MOVED_ON, **pair.incoming()[0])
    try:
        first, second, waited = at_once(*(desks(pair.new.group, lambda desk, one=one: desk.send(one)) for one in (mine, theirs)))
        assert (first, second, waited) == (["APPLIED"], ["MEETING_OUT_OF_SEQUENCE"], True)
        with transaction(SERVICE) as connection:
            new = Desk(connection, pair.new.group)
            assert taken_in(new) == [UUID(mine.meeting_id)]
            assert set(new.standing().loans) == {ids[loan_id]}
            assert queries.adrift(connection) == []
    finally:
        with transaction(SERVICE) as connection:
            for desk in pair.desks:
                clear(connection, desk.group)


# Groups that merge, and that split.


def surplus(heads):
    """What it has earned and not given away."""
    net = {"I": 1, "E": -1}
    return sum(net.get(head[0], 0) * paise for head, paise in heads.items()) + heads.get(Head.RETAINED_SURPLUS, 0)


def at_work(desk, earned):
    """Two months of a group that saves, lends, borrows of a bank and a VO, has funds and puts money by; the ids of what it borrowed."""
    one, two, three, *_ = desk.group.members
    in_bank = Paid("TRANSFER", desk.group.bank_ids[0])
    of_bank, of_vo = new_id(), new_id()
    lent_to = {each: new_id() for each in (one, two, three)}
    keep(
        desk,
        held_on=GIVEN_ON,
        savings=tuple(Saving(each, 300 * RUPEE, 20 * RUPEE) for each in desk.group.members),
        entries=(
            *(Entry("SHARE_CAPITAL", 10 * RUPEE, each) for each in desk.group.members),
            Entry("REVOLVING_FUND", 1500 * RUPEE, paid=in_bank),
            Entry("INVESTED", 400 * RUPEE, paid=in_bank),
            Entry("SAVED_WITH_FEDERATION", 150 * RUPEE),
            Entry("FINE", 3 * RUPEE, two),
        ),
        borrowings=(Borrowing(of_bank, "BANK", 5000 * RUPEE, 700, 24, paid=in_bank), Borrowing(of_vo, "VO", 1000 * RUPEE, 1200, 12)),
        loans=(
            LoanGiven(lent_to[one], one, 700 * RUPEE, 2400, 10),
            LoanGiven(lent_to[two], two, 333 * RUPEE, 1800, 0, agreed=Agreed(frequency="WEEKLY", instalments=30)),
            LoanGiven(lent_to[three], three, 600 * RUPEE, 1200, 12, paid=in_bank, agreed=Agreed(method="FLAT")),
        ),
    )
    keep(
        desk,
        held_on=THEN,
        repayments=(Repayment(lent_to[one], 70 * RUPEE, 5 * RUPEE), Repayment(lent_to[three], 50 * RUPEE, 6 * RUPEE)),
        borrowing_repayments=(BorrowingRepayment(of_bank, 200 * RUPEE, 20 * RUPEE, in_bank), BorrowingRepayment(of_vo, 90 * RUPEE, 9 * RUPEE)),
        entries=(Entry("BANK_INTEREST", 11 * RUPEE, paid=in_bank), Entry("GROUP_INCOME", earned * RUPEE), Entry("RENT", 7 * RUPEE)),
    )
    assert approve_all(desk)
    return of_bank, of_vo


@pytest.mark.parametrize("earned", [1, 100])
def test_a_group_that_merges_with_another_gives_over_all_and_ends_with_nothing(pair, connection, earned):
    """One that has earned something, and one that has lost something."""
    borrowed = at_work(pair.old, earned)
    at_work(pair.new, 2)
    members, bank_id, there = pair.old.group.members, pair.old.group.bank_ids[0], pair.new.group.id
    had, has = summed(pair.old), summed(pair.new)
    lent_there = {of: loan for of, (_, loan) in pair.old.standing().loans.items()}
    assert (surplus(had) > 0) == (earned == 100)
    own = {
        "funds_paise": had[Head.FUNDS],
        "investments_paise": had[Head.INVESTMENTS],
        "savings_with_federation_paise": had[Head.SAVINGS_WITH_FEDERATION],
        "surplus_paise": max(surplus(had), 0),
        "deficit_paise": max(-surplus(had), 0),
    }
    money = (
        Entry("GROUP_PAID", had[Head.CASH], institution_id=there),
        Entry("GROUP_PAID", had[Head.BANK], institution_id=there, paid=Paid("TRANSFER", bank_id)),
    )
    went = keep(pair.old, held_on=MOVED_ON, **pair.out(*members, own=own), entries=money)
    assert {one.loan_id for one in went.loans_out} == lent_there.keys() > set(borrowed)
    assert approve_all(pair.old)
    assert {head: paise for head, paise in summed(pair.old).items() if head[0] in "AL"} == {Head.RETAINED_SURPLUS: -surplus(had)}
    assert [of for of in pair.old.balances if of.of] == []
    assert pair.old.standing().loans == {}

    # It is closed before the other group meets.
    ended = [{"to_on": MOVED_ON.isoformat()}]
    hear_institution(connection, pair.old.group, 2, status="STATUS_INACTIVE", ended_periods=ended)
    pair.move(*members)
    lists, ids = pair.incoming()
    assert len(lists["transfers_in"]) == 6
    came_by = (
        Entry("GROUP_RECEIVED", had[Head.CASH], institution_id=pair.old.group.id),
        Entry("GROUP_RECEIVED", had[Head.BANK], institution_id=pair.old.group.id, paid=Paid("TRANSFER", pair.new.group.bank_ids[0])),
    )
    came = keep(pair.new, held_on=LATER, **lists, entries=came_by)
    assert approve_all(pair.new)
    assert between(pair.new, pair.old) == 0
    together = Counter(has)
    together.update({head: paise for head, paise in had.items() if head[0] in "AL"} | {Head.RETAINED_SURPLUS: surplus(had)})
    assert summed(pair.new) == {head: paise for head, paise in together.items() if paise}
    for of, loan in lent_there.items():
        now = lent(pair.new, ids[of])
        assert (now.head, now.borrower_id, owed(now)) == (loan.head, loan.borrower_id, owed(loan))
    dues_of_both = Counter()
    for due in (*approved_of(pair.old, went).dues, *approved_of(pair.new, came).dues):
        dues_of_both.update({(due.head, due.due_on): due.scheduled_paise, (due.head, due.due_on, "owed"): due.outstanding_paise})
    assert set(dues_of_both.values()) == {0}
    assert [len(told(pair.old, one, "MemberSettled")) for one in members] == [1] * 5
    # What was borrowed is repaid by the group that has it now.
    keep(pair.new, held_on=LATER, borrowing_repayments=(BorrowingRepayment(ids[borrowed[1]], 910 * RUPEE, 18 * RUPEE),))
    assert Account(Head.BORROWING_VO, ids[borrowed[1]]) not in pair.new.balances


def test_a_group_that_splits_gives_a_new_one_its_part(connection):
    """Three of eight go, with three eighths of the fund, of the surplus and of the money, and with what the VO has lent."""
    pair = Pair(connection, (8, 0))
    of_bank, of_vo = at_work(pair.old, 100)
    go = pair.old.group.members[2:5]
    had = summed(pair.old)
    lent_there = {of: loan for of, (_, loan) in pair.old.standing().loans.items()}
    part = {name: had[head] * 3 // 8 for name, head in (("funds_paise", Head.FUNDS), ("investments_paise", Head.INVESTMENTS))}
    lists = pair.out(*go, own={**part, "surplus_paise": surplus(had) * 3 // 8})
    lists["loans_out"] = tuple(one for one in lists["loans_out"] if one.loan_id != of_bank)
    assert {one.loan_id for one in lists["loans_out"]} == {of_vo, *(of for of, loan in lent_there.items() if loan.borrower_id == go[0])}
    money = Entry("GROUP_PAID", had[Head.CASH] * 3 // 8, institution_id=pair.new.group.id)
    keep(pair.old, held_on=MOVED_ON, **lists, entries=(money,))
    assert approve_all(pair.old)
    pair.move(*go)
    taken, ids = pair.incoming()
    first = keep(pair.new, held_on=MOVED_ON, **taken, entries=(money._replace(item="GROUP_RECEIVED", institution_id=pair.old.group.id),))
    assert (first.number, list(shown_of(pair.new).incoming)) == (1, [])
    assert pair.new.send(pair.new.next(held_on=MOVED_ON, **{**taken, "loans_in": ()})) == ["TRANSFER_TAKEN"]
    assert approve_all(pair.new)
    assert summed(*pair.desks) == had
    assert between(pair.old, pair.new) + between(pair.new, pair.old) == 0
    assert set(pair.old.standing().loans) == lent_there.keys() - ids.keys()
    for of, now in ids.items():
        assert owed(lent(pair.new, now)) == owed(lent_there[of])
    for one in go:
        assert pair.new.balances[Account(Head.COMPULSORY_SAVINGS, one)] == 300 * RUPEE
    keep(pair.new, held_on=LATER, savings=savings(pair.new.group))
    keep(pair.old, held_on=LATER, savings=savings(pair.old.group))
    assert queries.adrift(connection) == []


# To and fro.


class Fro:
    """Two groups in the rules alone."""

    def __init__(self, sizes):
        self.groups = [Group(member_ids=[UUID(new_id()) for _ in range(size)]) for size in sizes]
        first, second = self.groups
        self.books = [first.books(others={second.id: Other("SHG", True)}), second.books(others={first.id: Other("SHG", True)})]

    @property
    def loans(self):
        return {of: loan for at in (0, 1) for of, loan in self.books[at].loans.items() if loan.institution_id == self.groups[at].id}

    @property
    def heads(self):
        both = added(self.books[0].balances, self.books[1].balances)
        return {of.head: paise for of, paise in both.items() if not of.of and paise}

    def keep(self, at, **changes):
        books = replace(self.books[at], loans={**self.books[at].loans, **self.loans})
        one = following(books, self.groups[at], **changes)
        went = given_over(one, books) if one.transfers_out else {}
        self.books[at] = final(one, books)
        return went

    def move(self, at, member_id, on):
        """She goes to the other; the new ids of her loans by the old."""
        other, books = 1 - at, self.books[at]
        has = (books.balances.get(Account(head, member_id), 0) for head in HERS.values())
        goes = Transfer(new_id(), self.groups[other].id, member_id, *has)
        hers = [(of, loan) for of, loan in self.loans.items() if loan.borrower_id == member_id and loan.standing.outstanding_paise]
        loans_out = tuple(LoanOut(of, goes.transfer_id, loan.standing.outstanding_paise) for of, loan in hers)
        went = self.keep(at, held_on=on, transfers_out=(goes,), loans_out=loans_out)
        she = self.books[at].members[member_id]
        ended = (*she.ended, (self.groups[at].id, Span(she.since_on, on)))
        for place in (0, 1):
            members = {**self.books[place].members, member_id: Member(self.groups[other].id, active=True, since_on=on, ended=ended)}
            self.books[place] = replace(self.books[place], members=members, given_over={**self.books[place].given_over, **went})
        self.groups[at].member_ids.remove(UUID(member_id))
        self.groups[other].member_ids.append(UUID(member_id))
        lists = said(went)
        self.keep(other, held_on=on, **lists)
        return {loan.of_loan_id: loan.loan_id for loan in lists["loans_in"]}


AMOUNTS = st.integers(1, 500 * RUPEE)


@settings(max_examples=60, deadline=None)
@drawn(st.data())
def test_moved_to_and_fro_nothing_is_won_or_lost_and_the_same_is_owed(data):
    fro = Fro(data.draw(st.tuples(st.integers(1, 3), st.integers(1, 2))))
    for at in (0, 1):
        members = fro.groups[at].members
        save = tuple(Saving(one, 2000 * RUPEE, data.draw(AMOUNTS)) for one in members)
        lend_to = data.draw(st.lists(st.tuples(st.sampled_from(members), st.sampled_from(sorted(KINDS_OF_LOANS))), max_size=3))
        loans = tuple(LoanGiven(new_id(), one, data.draw(AMOUNTS), data.draw(st.integers(0, 3600)), **KINDS_OF_LOANS[kind]) for one, kind in lend_to)
        fro.keep(at, held_on=GIVEN_ON, savings=save, loans=loans, entries=(Entry("SHARE_CAPITAL", data.draw(AMOUNTS), members[0]),))
    on = GIVEN_ON
    for _ in range(data.draw(st.integers(1, 5))):
        on += timedelta(days=data.draw(st.integers(0, 20)))
        for of, loan in fro.loans.items():
            if loan.standing.outstanding_paise and data.draw(st.booleans()):
                at = [group.id for group in fro.groups].index(loan.institution_id)
                paid = Repayment(of, data.draw(st.integers(0, loan.standing.outstanding_paise)), data.draw(st.integers(0, 20 * RUPEE)))
                fro.keep(at, held_on=on, repayments=(paid,))
        at, member_id = data.draw(st.sampled_from([(at, one) for at in (0, 1) for one in fro.groups[at].members]))
        heads, loans = fro.heads, fro.loans
        ids = fro.move(at, member_id, on)
        assert fro.heads == heads
        assert Head.BETWEEN_GROUPS not in heads
        for of, now in ids.items():
            assert fro.loans[of].standing.outstanding_paise == 0
            for day in (on, on + timedelta(days=1), on + timedelta(days=100)):
                assert asked(fro.loans[now], day) == asked(loans[of], day)
        moved = {*ids, *ids.values()}
        assert {of: loan for of, loan in fro.loans.items() if of not in moved} == {of: loan for of, loan in loans.items() if of not in moved}


def asked(loan, on):
    return dues(loan.terms, loan.standing, on), interest_owed(loan.terms, loan.standing, on), unpaid_since(loan.terms, loan.standing)
