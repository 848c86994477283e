"""The settlement of a member who leaves or died: what she has, what of her loans is set against it, what is paid, and what that comes to."""

from dataclasses import dataclass, replace
from datetime import date, timedelta
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import select

from protos import transactions_pb2 as pb
from protos.profiles_pb2 import EndedStay
from services.chassis import settings
from services.chassis.database import transaction
from services.chassis.mailbox import outbox
from services.kernel.errors import Refused
from services.kernel.ids import derived
from services.kernel.money import rupees
from services.kernel.policies import Period, Policies
from services.transactions import queries
from services.transactions.rules import statements
from services.transactions.rules.agreed import AS_USUAL, Agreed
from services.transactions.rules.heads import CHART, Head
from services.transactions.rules.journal import Account, Line
from services.transactions.rules.loan import interest_owed
from services.transactions.rules.meeting import take_in
from services.transactions.rules.record import admit, admit_all
from services.transactions.rules.settlement import Owes, Quote, quote
from services.transactions.rules.sheet import (
    NOTE_LENGTH_MAX,
    TEXT_LENGTH_MAX,
    Attendance,
    BankMove,
    Entry,
    LoanGiven,
    Paid,
    Repayment,
    Reversal,
    Saving,
    SetOff,
    Settlement,
    Withdrawal,
    WriteOff,
)
from services.transactions.servicer import Servicer
from tests.transactions.builders import RUPEE, TODAY, Desk, Group, entered, final, following, hear, hear_member, new_id, savings, upload
from tests.transactions.test_servicer import FIRST as FIRST_DAY
from tests.transactions.test_servicer import LAST, approve, as_, made, next_of, saved, send, wire  # noqa: F401 - made is a fixture
from tests.transactions.test_servicer import refusal as refusal_of

SERVICE = "transactions"
GIVEN_ON, DAY = date(2026, 8, 10), date(2026, 10, 12)
NOT_SHARED = Policies({"settlement_shares_surplus": (Period(0, GIVEN_ON, TODAY),)})


def beginning(group, loan_id, second_id, others_id):
    """The lists of a first meeting: the first member saves 200 and 30, has a share of 10 and borrows 100 and 50, the second borrows 60.
    Fines of 15 are all that the group earns.
    """
    one, two, *_ = group.members
    return {
        "held_on": GIVEN_ON,
        "savings": (Saving(one, 200 * RUPEE, 30 * RUPEE), *savings(group, 200)[1:]),
        "entries": (Entry("SHARE_CAPITAL", 10 * RUPEE, one), Entry("FINE", 15 * RUPEE, two)),
        "loans": (
            LoanGiven(loan_id, one, 100 * RUPEE, 2400, 10),
            LoanGiven(second_id, one, 50 * RUPEE, 2400, 10),
            LoanGiven(others_id, two, 60 * RUPEE, 0, 10),
        ),
        "bank_moves": (BankMove("DEPOSIT", 300 * RUPEE, group.bank_ids[0]),),
    }


GROUP = Group(bank_ids=sorted((new_id(), new_id())))
SHE, OTHER, *_ = GROUP.members
BANK = GROUP.bank_ids[0]
LOAN, SECOND, OTHERS = new_id(), new_id(), new_id()
FIRST = following(GROUP.books(), GROUP, **beginning(GROUP, LOAN, SECOND, OTHERS))
BOOKS = final(FIRST, GROUP.books())
CHEQUE = Paid("CHEQUE", BANK, "004711")

# By the twelfth of October two months' interest is owed: of 100 rupees 4, of 50 rupees 2. 240 and 3 less 5, less 156, are 82.
HERS = Settlement(
    SHE,
    "LEFT",
    compulsory_paise=200 * RUPEE,
    voluntary_paise=30 * RUPEE,
    share_capital_paise=10 * RUPEE,
    surplus_share_paise=3 * RUPEE,
    other_paise=5 * RUPEE,
    other_reason="A broken lamp",
    paid_paise=82 * RUPEE,
)
OFF = (SetOff(LOAN, 100 * RUPEE, 4 * RUPEE), SetOff(SECOND, 50 * RUPEE, 2 * RUPEE))


def settled(books=BOOKS, **changes):
    """The next meeting on BOOKS, at which she is settled, its sums right."""
    return following(books, GROUP, **{"held_on": DAY, "settlements": (HERS,), "set_offs": OFF, **changes})


def hers(books):
    """All that the books have under her name or her loans'."""
    lent = {loan_id for loan_id, loan in books.loans.items() if loan.borrower_id == SHE}
    return {account: paise for account, paise in books.balances.items() if account.of in {SHE, *lent} and paise}


def refusal(one, books=BOOKS, policies=None):
    with pytest.raises(Refused) as refused:
        admit(upload(one), books, GROUP.bookkeeper(), policies or Policies(), TODAY)
    assert str(refused.value), "the sentence has all that it names"
    return refused.value.code, refused.value.field


# What it posts.

INTO_PAYABLE = (
    Line(1, Head.COMPULSORY_SAVINGS, Head.SETTLEMENT_PAYABLE, 200 * RUPEE, SHE, SHE),
    Line(2, Head.VOLUNTARY_SAVINGS, Head.SETTLEMENT_PAYABLE, 30 * RUPEE, SHE, SHE),
    Line(3, Head.SHARE_CAPITAL, Head.SETTLEMENT_PAYABLE, 10 * RUPEE, SHE, SHE),
    Line(4, Head.SAVINGS_INTEREST, Head.SETTLEMENT_PAYABLE, 3 * RUPEE, SHE, SHE),
    Line(5, Head.SETTLEMENT_PAYABLE, Head.OTHER_INCOME, 5 * RUPEE, SHE, SHE),
)
TO_HER_LOANS = (
    Line(6, Head.SETTLEMENT_PAYABLE, Head.MEMBER_LOANS, 100 * RUPEE, SHE, LOAN),
    Line(7, Head.SETTLEMENT_PAYABLE, Head.LOAN_INTEREST, 4 * RUPEE, SHE, LOAN),
    Line(8, Head.SETTLEMENT_PAYABLE, Head.MEMBER_LOANS, 50 * RUPEE, SHE, SECOND),
    Line(9, Head.SETTLEMENT_PAYABLE, Head.LOAN_INTEREST, 2 * RUPEE, SHE, SECOND),
)


@pytest.mark.parametrize(("paid", "money"), [(Paid(), (Head.CASH, "")), (CHEQUE, (Head.BANK, BANK))])
def test_a_settlement_goes_through_what_is_payable_to_her_loans_and_to_her(paid, money):
    posted = take_in(settled(settlements=(HERS._replace(paid=paid),)), BOOKS, Policies(), TODAY).lines
    head, of = money
    assert posted == (*INTO_PAYABLE, *TO_HER_LOANS, Line(10, Head.SETTLEMENT_PAYABLE, head, 82 * RUPEE, SHE, of))


def test_a_deficit_is_kept_back_as_income_with_what_else_is():
    lost = HERS._replace(surplus_share_paise=0, deficit_share_paise=3 * RUPEE, paid_paise=76 * RUPEE)
    posted = take_in(settled(settlements=(lost,)), BOOKS, Policies(), TODAY).lines
    assert posted[3:5] == tuple(
        Line(number, Head.SETTLEMENT_PAYABLE, Head.OTHER_INCOME, rupees * RUPEE, SHE, SHE) for number, rupees in ((4, 3), (5, 5))
    )
    assert Head.SAVINGS_INTEREST not in {line.debit for line in posted}


def test_after_it_she_has_and_owes_nothing_and_the_books_balance():
    books = entered(settled(), BOOKS)
    assert hers(books) == {}
    assert [books.loans[one].standing.interest_unpaid_paise for one in (LOAN, SECOND)] == [0, 0]
    assert sum(paise if CHART[head].side.by_debit else -paise for (head, of), paise in books.balances.items() if not of) == 0
    assert books.balances[Account(Head.CASH)] == BOOKS.balances[Account(Head.CASH)] - 82 * RUPEE


def test_a_loan_is_repaid_partly_in_cash_and_the_rest_set_off_in_one_meeting():
    cash, rest = Repayment(LOAN, 40 * RUPEE, 4 * RUPEE), (SetOff(LOAN, 60 * RUPEE), OFF[1])
    books = entered(settled(repayments=(cash,), set_offs=rest, settlements=(HERS._replace(paid_paise=126 * RUPEE),)), BOOKS)
    assert hers(books) == {}
    assert books.loans[LOAN].standing.interest_unpaid_paise == 0
    assert books.balances[Account(Head.LOAN_INTEREST)] == 6 * RUPEE


MORE = new_id()
IN_DEBT = final(following(BOOKS, GROUP, held_on=DAY, loans=(LoanGiven(MORE, SHE, 200 * RUPEE, 0, 10),)), BOOKS)
ALL_OFF = {"settlements": (HERS._replace(paid_paise=0),), "set_offs": (*OFF, SetOff(MORE, 82 * RUPEE))}


def test_what_she_has_need_not_cover_what_she_owes():
    """The rest she goes on owing, and nothing is payable to her."""
    assert hers(entered(settled(IN_DEBT, **ALL_OFF), IN_DEBT)) == {Account(Head.MEMBER_LOANS, MORE): 118 * RUPEE}


def test_what_she_has_does_not_cover_may_be_repaid_or_written_off_in_the_same_meeting():
    repaid = settled(IN_DEBT, **ALL_OFF, repayments=(Repayment(MORE, 118 * RUPEE, 0),))
    lost = settled(IN_DEBT, **ALL_OFF, write_offs=(WriteOff(MORE, 118 * RUPEE, "She is gone"),))
    assert hers(entered(repaid, IN_DEBT)) == hers(entered(lost, IN_DEBT)) == {}
    part = settled(IN_DEBT, **ALL_OFF, write_offs=(WriteOff(MORE, 200 * RUPEE, "She is gone"),))
    assert refusal(part, IN_DEBT) == ("WRITE_OFF_PARTIAL", "write_offs[0].principal_paise")


def test_what_is_not_paid_at_once_is_payable():
    books = entered(settled(settlements=(HERS._replace(paid_paise=0),)), BOOKS)
    assert hers(books) == {Account(Head.SETTLEMENT_PAYABLE, SHE): 82 * RUPEE}


# What is refused.


def saying(**changes):
    return {"settlements": (HERS._replace(**changes),)}


DIED = {"reason": "DIED", "receiver_name": "राम", "receiver_relation": "Son"}


@pytest.mark.parametrize(
    ("changes", "code", "field"),
    [
        (saying(reason="BORED"), "REASON_UNKNOWN", "reason"),
        (saying(reason=""), "REASON_UNKNOWN", "reason"),
        (saying(reason="MOVED"), "REASON_UNKNOWN", "reason"),
        (saying(other_reason=" "), "REASON_MISSING", "other_reason"),
        (saying(reason="DIED"), "RECEIVER_MISSING", "receiver_name"),
        (saying(**{**DIED, "receiver_name": " "}), "RECEIVER_MISSING", "receiver_name"),
        (saying(**{**DIED, "receiver_relation": ""}), "RECEIVER_MISSING", "receiver_relation"),
        (saying(deficit_share_paise=1), "SURPLUS_INVALID", "deficit_share_paise"),
        (saying(other_reason="x" * (TEXT_LENGTH_MAX + 1)), "TEXT_TOO_LONG", "other_reason"),
        (saying(receiver_name="x" * (TEXT_LENGTH_MAX + 1)), "TEXT_TOO_LONG", "receiver_name"),
        (saying(receiver_relation="x" * (TEXT_LENGTH_MAX + 1)), "TEXT_TOO_LONG", "receiver_relation"),
        (saying(narration="x" * (NOTE_LENGTH_MAX + 1)), "TEXT_TOO_LONG", "narration"),
        (saying(narration="a\0"), "TEXT_INVALID", "narration"),
        (saying(paid_paise=-1), "AMOUNT_NEGATIVE", "paid_paise"),
        (saying(paid=Paid("CHEQUE")), "BANK_MISSING", "paid.bank_id"),
        (saying(paid=Paid("CHEQUE", BANK, "47")), "CHEQUE_INVALID", "paid.cheque_number"),
        (saying(compulsory_paise=199 * RUPEE, paid_paise=81 * RUPEE), "SAVINGS_LEFT", "compulsory_paise"),
        (saying(voluntary_paise=0, paid_paise=52 * RUPEE), "SAVINGS_LEFT", "voluntary_paise"),
        (saying(share_capital_paise=0, paid_paise=72 * RUPEE), "SAVINGS_LEFT", "share_capital_paise"),
        (saying(compulsory_paise=201 * RUPEE), "SAVINGS_NEGATIVE", "compulsory_paise"),
        (saying(share_capital_paise=11 * RUPEE), "SAVINGS_NEGATIVE", "share_capital_paise"),
        (saying(other_paise=88 * RUPEE), "SETTLEMENT_NEGATIVE", ""),
        (saying(paid_paise=83 * RUPEE), "SETTLEMENT_NEGATIVE", ""),
        ({"set_offs": (OFF[0], SetOff(SECOND, 49 * RUPEE, 3 * RUPEE))}, "LOAN_STILL_OWED", "paid_paise"),
        ({"set_offs": (), **saying(paid_paise=0)}, "LOAN_STILL_OWED", "paid_paise"),
        ({"loans": (LoanGiven(new_id(), SHE, 1, 0, 1),)}, "LOAN_STILL_OWED", "paid_paise"),
        (saying(surplus_share_paise=10**9), "SURPLUS_TOO_LARGE", "surplus_share_paise"),
        ({"entries": (Entry("SETTLEMENT_PAID", 1, SHE),)}, "PAID_TWICE", "paid_paise"),
    ],
)
def test_what_is_refused_of_a_settlement_names_its_field(changes, code, field):
    assert refusal(settled(**changes)) == (code, f"settlements[0].{field}" if field else "settlements[0]")


def test_nobody_is_settled_twice_in_one_meeting():
    nothing = Settlement(SHE, "LEFT")
    assert refusal(settled(settlements=(HERS, nothing))) == ("MEMBER_TWICE", "settlements[1].member_id")


def test_of_who_died_nothing_need_be_said_before_anything_is_paid():
    assert admit(upload(settled(**saying(reason="DIED", paid_paise=0))), BOOKS, GROUP.bookkeeper(), Policies(), TODAY)


@pytest.mark.parametrize("name", ["surplus_share_paise", "deficit_share_paise"])
def test_where_the_state_does_not_share_the_surplus_nobody_has_a_part_in_it(name):
    one = settled(settlements=(HERS._replace(surplus_share_paise=0, paid_paise=79 * RUPEE)._replace(**{name: RUPEE}),))
    assert refusal(one, policies=NOT_SHARED) == ("SURPLUS_NOT_SHARED", f"settlements[0].{name}")
    without = settled(settlements=(HERS._replace(surplus_share_paise=0, paid_paise=79 * RUPEE),))
    assert admit(upload(without), BOOKS, GROUP.bookkeeper(), NOT_SHARED, TODAY)


def test_only_loans_of_who_is_settled_are_set_off():
    assert refusal(settled(set_offs=(*OFF, SetOff(OTHERS, 1)))) == ("SET_OFF_UNSETTLED", "set_offs[2].loan_id")


def test_only_loans_that_there_are_are_set_off_once():
    unknown = replace(settled(), set_offs=(SetOff(new_id(), 1),))
    assert refusal(unknown) == ("LOAN_UNKNOWN", "set_offs[0].loan_id")
    elsewhere = replace(BOOKS, loans={**BOOKS.loans, LOAN: replace(BOOKS.loans[LOAN], institution_id=new_id())})
    assert refusal(settled(), elsewhere) == ("LOAN_UNKNOWN", "set_offs[0].loan_id")
    assert refusal(settled(set_offs=(OFF[0], OFF[0]))) == ("LOAN_TWICE", "set_offs[1].loan_id")


def test_a_repayment_and_a_set_off_together_are_no_more_than_is_outstanding():
    assert refusal(settled(set_offs=(OFF[0]._replace(principal_paise=101 * RUPEE),))) == ("REPAYMENT_TOO_LARGE", "set_offs[0].principal_paise")
    both = settled(repayments=(Repayment(LOAN, 1 * RUPEE, 0),))
    assert refusal(both) == ("REPAYMENT_TOO_LARGE", "repayments[0].principal_paise")


def test_more_cash_than_there_is_is_refused_where_it_is_paid():
    poor = final(following(BOOKS, GROUP, held_on=DAY, bank_moves=(BankMove("DEPOSIT", 500 * RUPEE, BANK),)), BOOKS)
    assert poor.balances[Account(Head.CASH)] < 82 * RUPEE
    assert refusal(settled(poor), poor) == ("CASH_NEGATIVE", "settlements")


def test_she_who_draws_and_is_settled_has_it_once():
    drawn = (Withdrawal(SHE, 0, 5 * RUPEE),)
    assert refusal(settled(withdrawals=drawn)) == ("SAVINGS_NEGATIVE", "settlements[0].voluntary_paise")
    once = settled(withdrawals=drawn, settlements=(HERS._replace(voluntary_paise=25 * RUPEE, paid_paise=77 * RUPEE),))
    assert hers(entered(once, BOOKS)) == {}


def test_a_loan_given_in_the_same_upload_is_owed_too():
    """What is not stored yet is among what she owes."""
    lent = following(BOOKS, GROUP, held_on=DAY, loans=(LoanGiven(new_id(), SHE, 10 * RUPEE, 0, 10),))
    after = settled(entered(lent, BOOKS))
    answered = admit_all({0: upload(after), 1: upload(lent)}, BOOKS, GROUP.bookkeeper(), Policies(), TODAY)
    assert answered.outcomes[0].code == "LOAN_STILL_OWED"


# The rest, paid later.


LATER = date(2026, 10, 19)
UNPAID = settled(settlements=(HERS._replace(paid_paise=0),))
PAYABLE = final(UNPAID, BOOKS)


ALL_REPAID = (Repayment(LOAN, 100 * RUPEE, 0), Repayment(SECOND, 50 * RUPEE, 0))


def paying(amount, books=PAYABLE, **changes):
    return following(books, GROUP, **{"held_on": LATER, "entries": (Entry("SETTLEMENT_PAID", amount * RUPEE, SHE),), **changes})


def test_the_rest_is_paid_later_and_no_more():
    assert hers(entered(paying(82), PAYABLE)) == {}
    assert refusal(paying(83), PAYABLE) == ("SETTLEMENT_NEGATIVE", "entries[0]")
    assert refusal(paying(1, BOOKS, repayments=ALL_REPAID), BOOKS) == ("SETTLEMENT_NEGATIVE", "entries[0]"), "of who was never settled"


def test_nothing_is_paid_while_a_loan_stands_again():
    """What was set against it is taken back: the loan is owed, and what is payable to her is for that."""
    back = tuple(Reversal(UNPAID.meeting_id, line) for line in (8, 9))
    books = final(following(PAYABLE, GROUP, held_on=LATER, reversals=back), PAYABLE)
    assert hers(books) == {
        Account(Head.SETTLEMENT_PAYABLE, SHE): 134 * RUPEE,
        Account(Head.MEMBER_LOANS, SECOND): 50 * RUPEE,
    }
    assert refusal(paying(82, books), books) == ("LOAN_STILL_OWED", "entries[0].amount_paise")
    repaid = paying(134, books, repayments=(Repayment(SECOND, 50 * RUPEE, 2 * RUPEE),))
    assert hers(entered(repaid, books)) == {}


def test_a_reversal_that_leaves_less_than_was_paid_is_refused():
    books = final(settled(), BOOKS)
    at = books.chain.last_meeting_id
    assert refusal(following(books, GROUP, held_on=LATER, reversals=(Reversal(at, 1),)), books) == ("SETTLEMENT_NEGATIVE", "reversals")


# What it comes to.


def test_a_quote_has_what_she_has_what_she_owes_and_her_part_of_the_surplus():
    assert quote(SHE, BOOKS.balances, BOOKS.loans, DAY, shared=True) == Quote(
        compulsory_paise=200 * RUPEE,
        voluntary_paise=30 * RUPEE,
        share_capital_paise=10 * RUPEE,
        surplus_share_paise=3 * RUPEE,
        deficit_share_paise=0,
        payable_paise=0,
        loans=(Owes(LOAN, 100 * RUPEE, 4 * RUPEE), Owes(SECOND, 50 * RUPEE, 2 * RUPEE)),
        available_paise=87 * RUPEE,
    )


def test_of_a_deficit_she_bears_an_equal_part_in_whole_rupees():
    books = final(following(BOOKS, GROUP, held_on=DAY, entries=(Entry("RENT", 39 * RUPEE),)), BOOKS)
    comes_to = quote(SHE, books.balances, books.loans, DAY, shared=True)
    assert (comes_to.surplus_share_paise, comes_to.deficit_share_paise, comes_to.available_paise) == (0, 4 * RUPEE, 80 * RUPEE)


def test_where_it_is_not_shared_the_surplus_is_no_part_of_it():
    comes_to = quote(SHE, BOOKS.balances, BOOKS.loans, DAY, shared=False)
    assert (comes_to.surplus_share_paise, comes_to.available_paise) == (0, 84 * RUPEE)


def test_who_was_settled_has_no_second_part_and_the_others_have_the_same():
    """Whether she has left the group's list by then or not."""
    comes_to = quote(SHE, PAYABLE.balances, PAYABLE.loans, LATER, shared=True)
    assert (comes_to.surplus_share_paise, comes_to.payable_paise, comes_to.available_paise) == (0, 82 * RUPEE, 82 * RUPEE)
    # 15 of fines, 6 of interest and 5 kept back, less her 3: 23 for four.
    assert quote(OTHER, PAYABLE.balances, PAYABLE.loans, LATER, shared=True).surplus_share_paise == 5 * RUPEE


# In the books as they are stored.


@dataclass
class Leaver:
    """The first member of a group that has met once, with two loans; `first` is that meeting, and final."""

    desk: Desk
    loan_id: str
    second_id: str
    first: object

    @property
    def she(self):
        return self.desk.group.members[0]

    def lists(self, **changes):
        off = (OFF[0]._replace(loan_id=self.loan_id), OFF[1]._replace(loan_id=self.second_id))
        return {"held_on": DAY, "settlements": (HERS._replace(member_id=self.she, **changes),), "set_offs": off}

    def settle(self, **changes):
        """A meeting at which nobody saves, taken in."""
        return self.meet(**self.lists(**changes))

    def meet(self, **changes):
        return self.desk.save(**{"savings": (), "held_on": LATER, **changes})

    def go(self, left_on="2026-10-01"):
        """Profiles tell that she left; the list that it gives is who comes from then on."""
        stay = EndedStay(institution_id=self.desk.group.id, from_on="", to_on=left_on)
        hear_member(self.desk.connection, self.desk.group, self.she, version=2, status="STATUS_INACTIVE", ended_stays=[stay])
        return tuple(Attendance(one, True) for one in self.desk.group.members[1:])

    @property
    def hers(self):
        return {account: paise for account, paise in self.desk.balances.items() if account.of in {self.she, self.loan_id, self.second_id}}

    @property
    def standing(self):
        stands = self.desk.standing()
        return self.desk.balances, {loan_id: loan for loan_id, (_, loan) in stands.loans.items()}


@pytest.fixture
def leaver(connection):
    desk = Desk(connection, hear(connection, Group()))
    loan_id, second_id = new_id(), new_id()
    first = desk.save(**beginning(desk.group, loan_id, second_id, new_id()))
    assert desk.approve(first) == [""]
    yield Leaver(desk, loan_id, second_id, first)
    assert queries.adrift(connection) == []


def row_of(leaver, one):
    return queries.meeting(leaver.desk.connection, leaver.desk.group.approver(), UUID(one.meeting_id))


def told(desk, event, subject):
    of = select(outbox).where(outbox.c.event == event, outbox.c.subject == subject).order_by(outbox.c.event_id)
    return desk.connection.execute(of).all()


def figures(desk, one):
    [event] = told(desk, "MeetingApproved", one.meeting_id)
    return pb.MeetingApproved.FromString(event.body)


def test_she_is_settled_while_she_is_still_of_the_group(leaver):
    leaver.settle()
    assert leaver.hers == {}
    assert leaver.desk.standing().loans.keys().isdisjoint({leaver.loan_id, leaver.second_id})


def test_she_is_settled_after_she_has_left(leaver):
    without = leaver.go()
    assert leaver.desk.send(leaver.desk.next(**leaver.lists())) == ["MEMBER_LEFT"], "she stands in the attendance"
    leaver.meet(**leaver.lists(), attendance=without)
    assert leaver.hers == {}


def test_of_who_died_the_heir_is_paid_by_cheque(leaver):
    without = leaver.go()
    cheque = CHEQUE._replace(bank_id=leaver.desk.group.bank_ids[0])
    one = leaver.meet(**leaver.lists(**DIED, paid=cheque), attendance=without)
    assert leaver.hers == {}
    assert leaver.desk.balances[Account(Head.BANK, cheque.bank_id)] == (300 - 82) * RUPEE
    assert queries.recorded_sheet(leaver.desk.connection, one.meeting_id).settlements[0].receiver_name == "राम"


def test_the_rest_is_paid_after_she_has_left(leaver):
    leaver.settle(paid_paise=50 * RUPEE)
    assert leaver.hers == {Account(Head.SETTLEMENT_PAYABLE, leaver.she): 32 * RUPEE}
    without = leaver.go(left_on="2026-10-15")
    rest = (Entry("SETTLEMENT_PAID", 32 * RUPEE, leaver.she),)
    leaver.meet(attendance=without, entries=rest)
    assert leaver.hers == {}


def test_to_her_who_left_nothing_else_is_entered(leaver):
    without = leaver.go()
    one = leaver.desk.next(held_on=LATER, attendance=without, entries=(Entry("FINE", 1, leaver.she),))
    assert leaver.desk.send(one) == ["MEMBER_LEFT"]


def test_the_settlement_of_a_stranger_waits_for_her(leaver):
    stranger = new_id()
    one = leaver.desk.next(held_on=DAY, settlements=(Settlement(stranger, "LEFT"),))
    assert leaver.desk.send(one) == ["MEMBER_WAITING"]


def test_she_still_owes_what_the_settlement_does_not_name(leaver):
    """The books know her loans though the sheet names none of them."""
    silent = {**leaver.lists(paid_paise=238 * RUPEE), "set_offs": ()}
    assert leaver.desk.send(leaver.desk.next(**silent)) == ["LOAN_STILL_OWED"]


def test_a_settlement_handed_back_was_never_made_and_sent_again_is_the_same(leaver):
    before = leaver.standing
    one = leaver.settle()
    after = leaver.standing
    leaver.desk.reject(one)
    assert leaver.standing == before
    assert leaver.desk.send(leaver.desk.again(one)) == ["APPLIED"]
    assert leaver.standing == after


def test_with_a_settlement_goes_what_was_paid_of_it_later(leaver):
    before = leaver.standing
    one = leaver.settle(paid_paise=0)
    leaver.meet(entries=(Entry("SETTLEMENT_PAID", 82 * RUPEE, leaver.she),))
    leaver.desk.reject(one)
    assert leaver.standing == before


def test_a_set_off_taken_back_after_approval_leaves_the_loan_as_if_nothing_had_been_paid(leaver):
    one = leaver.settle()
    assert leaver.desk.approve(one) == [""]
    after = leaver.standing
    back = leaver.meet(reversals=(Reversal(one.meeting_id, 8), Reversal(one.meeting_id, 9)))
    assert leaver.hers == {Account(Head.SETTLEMENT_PAYABLE, leaver.she): 52 * RUPEE, Account(Head.MEMBER_LOANS, leaver.second_id): 50 * RUPEE}
    loan = leaver.desk.standing().loans[leaver.second_id][1]
    assert interest_owed(loan.terms, loan.standing, date(2026, 11, 12)) == 3 * RUPEE
    leaver.desk.reject(back)
    assert leaver.standing == after


def test_a_settlement_taken_back_line_by_line_leaves_the_books_as_they_were(leaver):
    balances, loans = leaver.standing
    one = leaver.settle()
    assert leaver.desk.approve(one) == [""]
    back = leaver.meet(reversals=tuple(Reversal(one.meeting_id, line) for line in range(1, 11)))
    assert leaver.desk.balances == balances
    assert {of: interest_owed(loan.terms, loan.standing, LATER) for of, loan in leaver.standing[1].items()} == {
        of: interest_owed(loan.terms, loan.standing, LATER) for of, loan in loans.items()
    }
    assert leaver.desk.approve(back) == [""]
    posted, gone = figures(leaver.desk, one), figures(leaver.desk, back)
    names = ("savings_paise", "savings_withdrawn_paise", "principal_repaid_paise", "interest_received_paise")
    assert [getattr(gone, name) for name in names] == [-getattr(posted, name) for name in names]
    dues = [{due.due_on: (sign * due.collected_paise, sign * due.outstanding_paise) for due in one.dues} for one, sign in ((posted, -1), (gone, 1))]
    assert dues[0] == dues[1]


# What the approval tells.


def test_that_a_member_was_settled_is_told_once_when_it_is_final(leaver):
    handed_back = leaver.settle()
    leaver.desk.reject(handed_back)
    one = leaver.desk.again(handed_back)
    assert leaver.desk.send(one) == ["APPLIED"]
    assert told(leaver.desk, "MemberSettled", leaver.she) == []
    assert leaver.desk.approve(one) == leaver.desk.approve(one) == [""]
    [event] = told(leaver.desk, "MemberSettled", leaver.she)
    assert (event.event_id, event.destination) == (derived("MemberSettled", UUID(one.meeting_id), leaver.she), None)
    assert pb.MemberSettled.FromString(event.body) == pb.MemberSettled(
        member_id=leaver.she, institution_id=leaver.desk.group.id, meeting_id=one.meeting_id, settled_on=DAY.isoformat(), reason="LEFT"
    )


def test_each_of_two_who_are_settled_in_one_meeting_is_told_of(leaver):
    third = leaver.desk.group.members[2]
    died = Settlement(third, "DIED", compulsory_paise=200 * RUPEE)
    one = leaver.meet(**{**leaver.lists(), "settlements": (*leaver.lists()["settlements"], died)})
    assert leaver.desk.approve(one) == [""]
    events = [event for of in (leaver.she, third) for event in told(leaver.desk, "MemberSettled", of)]
    assert [(event.subject, pb.MemberSettled.FromString(event.body).reason) for event in events] == [(leaver.she, "LEFT"), (third, "DIED")]


def test_the_figures_have_what_was_withdrawn_repaid_and_received_of_her(leaver):
    one = leaver.settle()
    assert leaver.desk.approve(one) == [""]
    told_of = figures(leaver.desk, one)
    assert (told_of.savings_paise, told_of.savings_withdrawn_paise) == (0, 230 * RUPEE)
    assert (told_of.principal_repaid_paise, told_of.interest_received_paise) == (150 * RUPEE, 6 * RUPEE)
    assert {head.head: (head.debit_paise, head.credit_paise) for head in told_of.heads} == {
        "A01": (0, 150 * RUPEE),
        "A03": (0, 82 * RUPEE),
        "E08": (3 * RUPEE, 0),
        "I01": (0, 6 * RUPEE),
        "I06": (0, 5 * RUPEE),
        "L01": (200 * RUPEE, 0),
        "L02": (30 * RUPEE, 0),
        "L03": (10 * RUPEE, 0),
        "L08": (243 * RUPEE, 243 * RUPEE),
    }


def test_of_a_loan_closed_by_a_set_off_every_instalment_is_collected(connection):
    desk, loan_id = Desk(connection, hear(connection, Group())), new_id()
    she = desk.group.members[0]
    lent = desk.save(held_on=GIVEN_ON, savings=savings(desk.group, 100), loans=(LoanGiven(loan_id, she, 100 * RUPEE, 0, 2),))
    one = desk.save(held_on=DAY, savings=(), settlements=(Settlement(she, "LEFT", 100 * RUPEE),), set_offs=(SetOff(loan_id, 100 * RUPEE),))
    assert desk.approve(lent, one) == ["", ""]
    dues = figures(desk, one).dues
    assert {(due.head, due.due_on): (due.scheduled_paise, due.collected_paise, due.loans, due.outstanding_paise) for due in dues} == {
        ("A01", "2026-09-30"): (0, 50 * RUPEE, -1, -100 * RUPEE),
        ("A01", "2026-10-31"): (0, 50 * RUPEE, 0, 0),
    }


# In the books out.


def books_of(leaver):
    return queries.approved_from(leaver.desk.connection, leaver.desk.group.approver(), leaver.desk.group.institution_id, GIVEN_ON)


def test_only_what_was_paid_to_her_is_a_payment(leaver):
    assert leaver.desk.approve(leaver.settle()) == [""]
    books = books_of(leaver)
    book = statements.receipts_and_payments(books.now, books.meetings, DAY, DAY)
    assert (book.receipts, [(one.head, one.paise) for one in book.payments]) == ((), [(Head.SETTLEMENT_PAYABLE, 82 * RUPEE)])


def test_her_passbook_ends_at_nothing_with_every_entry(leaver):
    assert leaver.desk.approve(leaver.settle()) == [""]
    books, lent = books_of(leaver), dict.fromkeys((leaver.loan_id, leaver.second_id), leaver.she)
    book = statements.passbook(books.now, books.meetings, leaver.she, lent, DAY, DAY)
    accounts = {(one.head, one.loan_id): (one.opening_paise // RUPEE, one.closing_paise) for one in book.accounts}
    assert accounts == {
        ("L01", ""): (200, 0),
        ("L02", ""): (30, 0),
        ("L03", ""): (10, 0),
        ("L08", ""): (0, 0),
        ("A01", leaver.loan_id): (100, 0),
        ("A01", leaver.second_id): (50, 0),
    }
    entries = [(one.line, one.head, one.in_paise // RUPEE, one.out_paise // RUPEE, one.balance_paise // RUPEE) for one in book.entries]
    assert entries == [
        (1, "L08", 200, 0, 200),
        (1, "L01", 0, 200, 0),
        (2, "L08", 30, 0, 230),
        (2, "L02", 0, 30, 0),
        (3, "L08", 10, 0, 240),
        (3, "L03", 0, 10, 0),
        (4, "L08", 3, 0, 243),
        (4, "E08", 0, 3, 0),
        (5, "I06", 5, 0, 0),
        (5, "L08", 0, 5, 238),
        (6, "A01", 100, 0, 0),
        (6, "L08", 0, 100, 138),
        (7, "I01", 4, 0, 0),
        (7, "L08", 0, 4, 134),
        (8, "A01", 50, 0, 0),
        (8, "L08", 0, 50, 84),
        (9, "I01", 2, 0, 0),
        (9, "L08", 0, 2, 82),
        (10, "L08", 0, 82, 0),
    ]


def test_a_settlement_is_looked_at_before_it_is_final(leaver):
    one = leaver.settle()
    assert row_of(leaver, one).flags == ["SETTLEMENT"]
    assert leaver.desk.approve(one, unseen=True) == ["MEETING_FLAGGED"]
    assert leaver.desk.approve(one) == [""]


# Asked over the servicer.


@pytest.fixture
def group(made):  # noqa: F811 - the fixture
    return made()


@pytest.fixture
def servicer(up):
    return Servicer()


@pytest.fixture
def begun(servicer, group):
    """The ids of her loans, and how many months' interest of them is owed."""
    lent = sorted((new_id(), new_id()))
    first = saved(servicer, group, **{**beginning(group, *lent, new_id()), "held_on": FIRST_DAY})
    assert approve(servicer, group, first) == [""]
    return lent, (LAST.year - FIRST_DAY.year) * 12 + LAST.month - FIRST_DAY.month


def quoted(servicer, group, member_id, on=LAST):
    as_(group.bookkeeper())
    return servicer.QuoteSettlement(pb.QuoteSettlementRequest(institution_id=group.id, member_id=member_id, on=on.isoformat()), None)


def by_the_quote(one, member_id, **changes):
    """The lists of a meeting that enter what was quoted of a member who has more than she owes."""
    said = Settlement(
        member_id,
        "LEFT",
        one.compulsory_paise,
        one.voluntary_paise,
        one.share_capital_paise,
        one.surplus_share_paise,
        one.deficit_share_paise,
        paid_paise=one.available_paise,
    )
    off = tuple(SetOff(loan.loan_id, loan.outstanding_paise, loan.interest_paise) for loan in one.loans)
    return {"held_on": LAST, "savings": (), "settlements": (said._replace(**changes),), "set_offs": off}


def test_what_is_quoted_is_what_may_be_entered_and_leaves_her_with_nothing(servicer, group, begun):
    (loan_id, second_id), months = begun
    she = group.members[0]
    one = quoted(servicer, group, she)
    assert one == pb.QuoteSettlementResponse(
        compulsory_paise=200 * RUPEE,
        voluntary_paise=30 * RUPEE,
        share_capital_paise=10 * RUPEE,
        surplus_share_paise=3 * RUPEE,
        loans=[
            pb.SettlementLoan(loan_id=loan_id, outstanding_paise=100 * RUPEE, interest_paise=2 * months * RUPEE),
            pb.SettlementLoan(loan_id=second_id, outstanding_paise=50 * RUPEE, interest_paise=1 * months * RUPEE),
        ],
        available_paise=(93 - 3 * months) * RUPEE,
    )
    entered_so = next_of(group, **by_the_quote(one, she))
    assert send(servicer, group, wire(entered_so)) == [("APPLIED", "")]
    assert quoted(servicer, group, she) == pb.QuoteSettlementResponse()
    assert quoted(servicer, group, group.members[2]).surplus_share_paise == (12 + 3 * months) // 4 * RUPEE


def test_a_paisa_more_than_is_quoted_is_refused(servicer, group, begun):
    one = quoted(servicer, group, group.members[0])
    more = by_the_quote(one, group.members[0], paid_paise=one.available_paise + 1)
    assert send(servicer, group, wire(next_of(group, **more))) == [("REFUSED", "SETTLEMENT_NEGATIVE")]


def test_of_a_deficit_her_part_is_quoted_and_less_than_nothing_is_hers_to_pay(servicer, group, begun):
    she, months = group.members[0], begun[1]
    more = LoanGiven(new_id(), she, 150 * RUPEE, 0, 10)
    saved(servicer, group, held_on=LAST, savings=(), entries=(Entry("RENT", 32 * RUPEE),), loans=(more,))
    one = quoted(servicer, group, she)
    assert (one.surplus_share_paise, one.deficit_share_paise) == (0, 3 * RUPEE)
    assert len(one.loans) == 3
    assert one.available_paise == (240 - 3 - 300 - 3 * months) * RUPEE


def test_where_the_state_does_not_share_it_no_surplus_is_quoted(servicer, group, begun, monkeypatch):
    state = replace(settings.state(), policies=Policies({"settlement_shares_surplus": (Period(0, FIRST_DAY, LAST),)}))
    monkeypatch.setattr(settings, "state", lambda: state)
    one = quoted(servicer, group, group.members[0])
    assert (one.surplus_share_paise, one.available_paise) == (0, (90 - 3 * begun[1]) * RUPEE)


def test_what_is_quoted_of_who_left_is_what_she_left_with(servicer, group, begun):
    """What was settled and is not paid is in it, and no part of the surplus is given twice."""
    she = group.members[0]
    before = quoted(servicer, group, she)
    stay = EndedStay(institution_id=group.id, from_on="", to_on=FIRST_DAY.isoformat())
    with transaction(SERVICE) as connection:
        hear_member(connection, group, she, 2, status="STATUS_INACTIVE", ended_stays=[stay])
    assert quoted(servicer, group, she) == before
    there = tuple(Attendance(one, True) for one in group.members[1:])
    unpaid = next_of(group, **by_the_quote(before, she, paid_paise=0), attendance=there)
    assert send(servicer, group, wire(unpaid)) == [("APPLIED", "")]
    rest = before.available_paise
    assert quoted(servicer, group, she) == pb.QuoteSettlementResponse(payable_paise=rest, available_paise=rest)


def test_no_quote_of_a_stranger_nor_of_another_group_nor_of_no_day(servicer, group):
    as_(group.bookkeeper())
    of = {"institution_id": group.id, "member_id": group.members[0]}
    assert refusal_of(servicer.QuoteSettlement, pb.QuoteSettlementRequest(**{**of, "member_id": new_id()})) == ("MEMBER_UNKNOWN", "member_id")
    assert refusal_of(servicer.QuoteSettlement, pb.QuoteSettlementRequest(**of, on="2026-02-30")) == ("DATE_INVALID", "on")
    assert servicer.QuoteSettlement(pb.QuoteSettlementRequest(**of), None) == pb.QuoteSettlementResponse(), "who has nothing"
    as_(group.bookkeeper(institutions=frozenset()))
    assert refusal_of(servicer.QuoteSettlement, pb.QuoteSettlementRequest(**of)) == ("INSTITUTION_UNKNOWN", "institution_id")


def test_a_settlement_is_not_approved_among_many_and_is_listed_by_her_name(servicer, group, begun):
    she = group.members[0]
    one = next_of(group, **by_the_quote(quoted(servicer, group, she), she))
    assert send(servicer, group, wire(one)) == [("APPLIED", "")]
    assert approve(servicer, group, one) == ["MEETING_FLAGGED"]
    paid = one.settlements[0].paid_paise
    as_(group.approver())
    asked = pb.ListAnomaliesRequest(institution_id=group.id, from_on=FIRST_DAY.isoformat(), to_on=LAST.isoformat(), kinds=["SETTLEMENT"])
    [listed] = servicer.ListAnomalies(asked, None).anomalies
    [reason] = listed.reasons
    assert (listed.meeting_id, reason.field, reason.member_id, reason.amount_paise) == (one.meeting_id, "settlements[0]", she, paid)
    assert reason.sentence == f"A member was settled, and paid {rupees(paid)}."


# Whatever she has and owes.

WHOLE_RUPEES = st.integers(0, 300)
MONTHLY = st.sampled_from([AS_USUAL, Agreed(method="FLAT"), Agreed(method="EQUAL_PRINCIPAL", frequency="MONTHLY")])
WEEKLY = st.integers(1, 30).map(lambda count: Agreed(frequency="WEEKLY", instalments=count))
TERMS = st.one_of(st.tuples(st.integers(1, 24), MONTHLY), st.tuples(st.just(0), WEEKLY))
LOANS = st.lists(st.tuples(st.integers(0, 1), st.integers(1, 40_000), st.integers(0, 2400), TERMS, st.integers(0, 100)), max_size=4)


@given(
    saved_=st.lists(st.tuples(WHOLE_RUPEES, st.integers(0, 30_000), WHOLE_RUPEES), min_size=5, max_size=5),
    lent=LOANS,
    earned=st.integers(0, 20_000),
    spent=st.integers(0, 20_000),
    days=st.integers(0, 60),
    shared=st.booleans(),
)
def test_settling_by_the_quote_leaves_her_with_nothing_anywhere(saved_, lent, earned, spent, days, shared):
    """Set off interest first, the rest repaid in cash; of a deficit what she has not is paid in."""
    books = lived(saved_, lent, earned, spent)
    on = date(2026, 9, 21) + timedelta(days=days)
    comes_to = quote(SHE, books.balances, books.loans, on, shared=shared)
    left = comes_to.compulsory_paise + comes_to.voluntary_paise + comes_to.share_capital_paise + comes_to.surplus_share_paise
    kept = min(left, comes_to.deficit_share_paise)
    left -= kept
    off, repaid = [], []
    for owed in comes_to.loans:
        interest = min(left, owed.interest_paise)
        principal = min(left - interest, owed.outstanding_paise)
        left -= interest + principal
        off.append(SetOff(owed.loan_id, principal, interest))
        repaid.append(Repayment(owed.loan_id, owed.outstanding_paise - principal, owed.interest_paise - interest))
    paid_in = comes_to.deficit_share_paise - kept
    assert comes_to.available_paise == left - paid_in - sum(one.principal_paise + one.interest_paise for one in repaid)
    has = (comes_to.compulsory_paise, comes_to.voluntary_paise, comes_to.share_capital_paise, comes_to.surplus_share_paise)
    one = following(
        books,
        GROUP,
        held_on=on,
        settlements=(Settlement(SHE, "LEFT", *has, kept, paid_paise=left),),
        set_offs=tuple(off),
        repayments=tuple(repaid),
        entries=some(Entry("OTHER_FROM_MEMBER", paid_in, SHE)),
    )
    assert admit(upload(one), books, GROUP.bookkeeper(), Policies() if shared else NOT_SHARED, TODAY)
    after = entered(one, books)
    assert hers(after) == {}
    assert {loan.standing.interest_unpaid_paise for loan in after.loans.values() if loan.borrower_id == SHE} <= {0}
    assert sum(paise if CHART[head].side.by_debit else -paise for (head, of), paise in after.balances.items() if not of) == 0
    assert quote(SHE, after.balances, after.loans, on, shared=shared).available_paise == 0


def lived(saved_, lent, earned, spent):
    """The books of a group with so much, of which loans were repaid in part since."""
    loans = [(LoanGiven(new_id(), GROUP.members[of], paise, rate, months, agreed=agreed), part) for of, paise, rate, (months, agreed), part in lent]
    entries = [Entry("SHARE_CAPITAL", share * RUPEE, one) for one, (_, _, share) in zip(GROUP.members, saved_, strict=True)]
    first = following(
        GROUP.books(),
        GROUP,
        held_on=GIVEN_ON,
        savings=tuple(Saving(one, own * RUPEE, more) for one, (own, more, _) in zip(GROUP.members, saved_, strict=True)),
        entries=some(*entries, Entry("FINE", earned, OTHER), Entry("RENT", spent), Entry("REVOLVING_FUND", 10_000 * RUPEE)),
        loans=tuple(one for one, _ in loans),
    )
    books = final(first, GROUP.books())
    paid = tuple(Repayment(one.loan_id, one.principal_paise * part // 100, part) for one, part in loans)
    return final(following(books, GROUP, held_on=date(2026, 9, 14), repayments=paid), books)


def some(*entries):
    return tuple(one for one in entries if one.amount_paise)
