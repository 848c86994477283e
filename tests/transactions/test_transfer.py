"""From one group to another: a member with her savings and loans, and what is the group's own where groups split or merge."""

from collections import Counter
from dataclasses import replace
from datetime import date, timedelta

import pytest

from services.kernel.errors import Refused
from services.kernel.policies import Policies
from services.transactions.rules.books import Loan, Member, Span
from services.transactions.rules.heads import Head
from services.transactions.rules.journal import Account, Line, effect
from services.transactions.rules.loan import Standing, interest_owed
from services.transactions.rules.meeting import Waiting, lines, take_in
from services.transactions.rules.record import Outcome, Posting, admit, admit_all, gone
from services.transactions.rules.settlement import HERS
from services.transactions.rules.sheet import (
    Borrowing,
    BorrowingRepayment,
    Entry,
    LoanGiven,
    LoanIn,
    LoanOut,
    Repayment,
    Reschedule,
    Reversal,
    Saving,
    Settlement,
    Transfer,
    Withdrawal,
    WriteOff,
)
from services.transactions.rules.transfer import OWN, is_transfer
from tests.transactions.builders import (
    RUPEE,
    TODAY,
    Group,
    entered,
    final,
    following,
    new_id,
    savings,
    sheet,
    upload,
)

SERVICE = "transactions"
GIVEN_ON, THEN, MOVED_ON, LATER = date(2026, 8, 10), date(2026, 9, 14), date(2026, 10, 5), date(2026, 11, 2)

# The rules alone.

OLD, NEW = Group(), Group()
SHE, ANOTHER, *_ = OLD.members
LOAN, HERS_TOO, BORROWED = new_id(), new_id(), new_id()
TRANSFER = new_id()
WENT = Transfer(TRANSFER, NEW.id, SHE, 150 * RUPEE, 7 * RUPEE, 30 * RUPEE)
LOANS_OUT = (LoanOut(LOAN, TRANSFER, 90 * RUPEE), LoanOut(HERS_TOO, TRANSFER, 20 * RUPEE))
OF_HER = {"transfers_out": (WENT,), "loans_out": LOANS_OUT}


def books_of_old():
    """Two meetings: she saved, took two loans and repaid something of the first, of which interest is unpaid; the group borrowed."""
    books = OLD.books(others={NEW.id: "SHG"})
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
    plain = NEW.books(others={OLD.id: "SHG"}, given_over=given_over or {}, loans=BOOKS.loans, **changes)
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
    return given_over(out(books, **{**OF_HER, **changes}), books)[TRANSFER].loans[LOAN]


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
    books = replace(BOOKS, others={vo: "VO"})
    moved = {"transfers_out": (WENT._replace(institution_id=vo),), "loans_out": LOANS_OUT}
    assert refused_out(books, **moved) == ("GROUP_OTHER", "transfers_out[0].institution_id")
    assert refused_out(books, entries=(Entry("GROUP_PAID", 1, institution_id=vo),)) == ("GROUP_OTHER", "entries[0].institution_id")


def test_what_a_federation_has_lent_does_not_go_to_another():
    vo, other, below = Group(kind="VO"), new_id(), new_id()
    books = vo.books(others={other: "VO"}, below=frozenset({below}))
    lent = LoanGiven(new_id(), "", 100 * RUPEE, 0, 10, borrower_id=below)
    books = entered(following(books, vo, entries=(Entry("GRANT", 100 * RUPEE),), loans=(lent,)), books)
    one = following(books, vo, transfers_out=(Transfer(TRANSFER, other),), loans_out=(LoanOut(lent.loan_id, TRANSFER, 100 * RUPEE),))
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
    stranger = replace(BOOKS, members={**BOOKS.members, SHE: Member(NEW.id, active=True)})
    with pytest.raises(Waiting) as waits:
        take_in(out(stranger, attendance=without, **OF_HER), stranger, Policies(), TODAY)
    assert (waits.value.code, waits.value.awaited) == ("MEMBER_WAITING", SHE)


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


def test_it_waits_until_the_other_group_is_final():
    for given in ({}, given_over(out(**OF_HER), approved=False)):
        there = books_of_new(given)
        with pytest.raises(Waiting) as waits:
            take_in(out(there, NEW, **ENTRY), there, Policies(), TODAY)
        assert (waits.value.code, waits.value.field, waits.value.awaited) == ("TRANSFER_WAITING", "transfers_in[0].transfer_id", TRANSFER)


def test_she_who_comes_must_be_a_member():
    there = replace(books_of_new(GIVEN), members=NEW.books().members)
    with pytest.raises(Waiting) as waits:
        take_in(out(there, NEW, **ENTRY), there, Policies(), TODAY)
    assert (waits.value.code, waits.value.field, waits.value.awaited) == ("MEMBER_WAITING", "transfers_in[0].member_id", SHE)
    early = Member(NEW.id, active=True, since_on=LATER, ended=[(OLD.id, Span(None, LATER))])
    there = replace(there, members={**there.members, SHE: early})
    assert refused_in(books=there) == ("MEMBER_ELSEWHERE", "transfers_in[0].member_id")


def test_it_comes_to_the_group_to_which_it_went_and_not_before_and_once():
    elsewhere = {TRANSFER: replace(GIVEN[TRANSFER], to_id=new_id())}
    assert refused_in(elsewhere) == ("TRANSFER_ELSEWHERE", "transfers_in[0].transfer_id")
    assert refused_in(held_on=MOVED_ON - timedelta(days=1)) in {("MEMBER_ELSEWHERE", "transfers_in[0].member_id")}
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
    there = replace(books_of_new(GIVEN), others={})
    assert refused_in(books=there, entry={"entries": money}) == ("INSTITUTION_WAITING", "entries[0].institution_id")
    one = out(there, NEW, **ENTRY, entries=money)
    assert admit(upload(one), there, NEW.bookkeeper(), Policies(), TODAY), "what comes with it says that there is one"
    after = entered(out(there, NEW, **ENTRY), there)
    later = following(after, NEW, held_on=LATER, entries=money)
    assert admit(upload(later), after, NEW.bookkeeper(), Policies(), TODAY), "something is between the two"
