"""Who leaves: what she has against her loans, the rest to her or to who inherits from her (domain 4.7)."""

from dataclasses import replace
from datetime import date, timedelta

import pytest
from sqlalchemy import select

from protos.transactions_pb2 import MemberSettled
from services.chassis.mailbox import outbox
from services.kernel.errors import Refused
from services.kernel.policies import Period, Policies
from services.transactions import queries
from services.transactions.rules.heads import Head
from services.transactions.rules.journal import Account, Line, effect
from services.transactions.rules.meeting import lines, take_in
from services.transactions.rules.settlement import Owes, check_settlements, quote
from services.transactions.rules.sheet import (
    NOTE_LENGTH_MAX,
    TEXT_LENGTH_MAX,
    Entry,
    LoanGiven,
    Paid,
    Repayment,
    Reversal,
    Saving,
    SetOff,
    Settlement,
    Transfer,
    Withdrawal,
    check_sheet,
)
from services.transactions.rules.transfer import check_transfers
from tests.transactions.builders import RUPEE, TODAY, Desk, Group, final, following, hear, hear_member, new_id, savings, sheet

SERVICE = "transactions"
GIVEN_ON, LATER, LAST = date(2026, 8, 10), date(2026, 9, 14), date(2026, 10, 5)
GROUP = Group()
SHE, ANOTHER, *_ = GROUP.members
LOAN, SECOND, OTHERS = new_id(), new_id(), new_id()
BY_CHEQUE = Paid("CHEQUE", GROUP.bank_ids[0], "004711")
# 200 and 30 saved, 20 of share; 100 and 60 owed.
FIRST = {
    "savings": (Saving(SHE, 200 * RUPEE, 30 * RUPEE), *savings(GROUP, 100)[1:]),
    "entries": (Entry("SHARE_CAPITAL", 20 * RUPEE, SHE), Entry("GROUP_INCOME", 90 * RUPEE, party="the market")),
    "loans": tuple(LoanGiven(one, of, rupees * RUPEE, 2400, 10) for one, of, rupees in ((LOAN, SHE, 100), (SECOND, SHE, 60), (OTHERS, ANOTHER, 50))),
}
ALL = {"compulsory_paise": 200 * RUPEE, "voluntary_paise": 30 * RUPEE, "share_capital_paise": 20 * RUPEE}
LEAVES = Settlement(SHE, "LEFT", **ALL)
OFF = (SetOff(LOAN, 100 * RUPEE, 2 * RUPEE), SetOff(SECOND, 60 * RUPEE))


def books_of(group):
    first = following(group.books(), group, held_on=GIVEN_ON, **FIRST)
    return final(first, group.books())


BOOKS = books_of(GROUP)


def settled(books=BOOKS, **changes):
    return following(books, GROUP, **{"held_on": LATER, "settlements": (LEAVES,), "set_offs": OFF, **changes})


def judged(one, policies):
    """As a meeting is, the sheet by itself first."""
    for check in (check_sheet, check_settlements, check_transfers):
        check(one, policies)
    return take_in(one, BOOKS, policies, TODAY)


def refusal(one, policies=None):
    with pytest.raises(Refused) as refused:
        judged(one, policies or Policies())
    assert str(refused.value)
    return refused.value.code, refused.value.field


def test_what_she_has_comes_into_her_payable_and_from_there_to_her_loans_and_to_her():
    said = LEAVES._replace(surplus_share_paise=9 * RUPEE, other_paise=RUPEE, other_reason="a fine", paid_paise=96 * RUPEE, paid=BY_CHEQUE)
    posted = lines(sheet(GROUP, settlements=(said,), set_offs=OFF), BOOKS.loans, {})
    payable = Head.SETTLEMENT_PAYABLE
    assert posted == (
        Line(1, Head.COMPULSORY_SAVINGS, payable, 200 * RUPEE, SHE, SHE),
        Line(2, Head.VOLUNTARY_SAVINGS, payable, 30 * RUPEE, SHE, SHE),
        Line(3, Head.SHARE_CAPITAL, payable, 20 * RUPEE, SHE, SHE),
        Line(4, Head.SAVINGS_INTEREST, payable, 9 * RUPEE, SHE, SHE),
        Line(5, payable, Head.OTHER_INCOME, RUPEE, SHE, SHE),
        Line(6, payable, Head.MEMBER_LOANS, 100 * RUPEE, SHE, LOAN),
        Line(7, payable, Head.LOAN_INTEREST, 2 * RUPEE, SHE, LOAN),
        Line(8, payable, Head.MEMBER_LOANS, 60 * RUPEE, SHE, SECOND),
        Line(9, payable, Head.BANK, 96 * RUPEE, SHE, BY_CHEQUE.bank_id),
    )
    assert effect(posted)[Account(payable, SHE)] == 0


def test_it_is_taken_in_flagged_and_leaves_her_loans_at_nothing():
    found = take_in(settled(), BOOKS, Policies(), TODAY)
    assert found.flags == ("SETTLEMENT",)
    assert found.balances[Account(Head.SETTLEMENT_PAYABLE, SHE)] == (250 - 162) * RUPEE
    assert {one: loan.standing.outstanding_paise for one, loan in found.loans.items()} == {LOAN: 0, SECOND: 0}


def test_a_loan_is_repaid_in_part_and_the_rest_set_off():
    one = settled(repayments=(Repayment(LOAN, 40 * RUPEE, 0),), set_offs=(SetOff(LOAN, 60 * RUPEE), OFF[1]))
    found = take_in(one, BOOKS, Policies(), TODAY)
    assert found.loans[LOAN].standing.outstanding_paise == 0


def test_who_owes_more_than_she_has_goes_on_owing():
    spent = final(following(BOOKS, GROUP, held_on=GIVEN_ON, withdrawals=(Withdrawal(SHE, 150 * RUPEE, 0),)), BOOKS)
    one = following(
        spent, GROUP, held_on=LATER, settlements=(LEAVES._replace(compulsory_paise=50 * RUPEE),), set_offs=(SetOff(LOAN, 98 * RUPEE, 2 * RUPEE),)
    )
    found = take_in(one, spent, Policies(), TODAY)
    assert found.balances[Account(Head.SETTLEMENT_PAYABLE, SHE)] == 0
    assert found.loans[LOAN].standing.outstanding_paise == 2 * RUPEE


def hers(**changes):
    return {"settlements": (LEAVES._replace(**changes),)}


LONG = "x" * (TEXT_LENGTH_MAX + 1)
BAD = {
    "a reason that there is not": (hers(reason="TIRED"), "REASON_UNKNOWN", "settlements[0].reason"),
    "kept back without a reason": (hers(other_paise=1), "REASON_MISSING", "settlements[0].other_reason"),
    "a surplus and a deficit": (hers(surplus_share_paise=1, deficit_share_paise=1), "SURPLUS_INVALID", "settlements[0].deficit_share_paise"),
    "paid to nobody after her death": (hers(reason="DIED", paid_paise=1), "RECEIVER_MISSING", "settlements[0].receiver_name"),
    "paid to who was nothing to her": (
        hers(reason="DIED", paid_paise=1, receiver_name="Ram"),
        "RECEIVER_MISSING",
        "settlements[0].receiver_relation",
    ),
    **{
        f"a long {name}": (hers(**{name: LONG}), "TEXT_TOO_LONG", f"settlements[0].{name}")
        for name in ("other_reason", "receiver_name", "receiver_relation")
    },
    "a long story": (hers(narration="x" * (NOTE_LENGTH_MAX + 1)), "TEXT_TOO_LONG", "settlements[0].narration"),
    "settled twice": ({"settlements": (LEAVES, LEAVES)}, "MEMBER_TWICE", "settlements[1].member_id"),
    "settled and gone": ({"transfers_out": (Transfer(new_id(), new_id(), SHE),)}, "MEMBER_TWICE", "transfers_out[0].member_id"),
    "another's loan": ({"set_offs": (*OFF, SetOff(OTHERS, 1))}, "SET_OFF_UNSETTLED", "set_offs[2].loan_id"),
    "a loan that there is not": ({"set_offs": (SetOff(new_id(), 1),)}, "LOAN_UNKNOWN", "set_offs[0].loan_id"),
    "more than is outstanding": ({"set_offs": (SetOff(LOAN, 100 * RUPEE + 1), OFF[1])}, "REPAYMENT_TOO_LARGE", "set_offs[0].principal_paise"),
    "more than is outstanding with what she pays": (
        {"repayments": (Repayment(LOAN, 1, 0),)},
        "REPAYMENT_TOO_LARGE",
        "repayments[0].principal_paise",
    ),
    "not all that she saved": (hers(voluntary_paise=30 * RUPEE - 1), "SAVINGS_LEFT", "settlements[0].voluntary_paise"),
    "more than she saved": (hers(voluntary_paise=30 * RUPEE + 1), "SAVINGS_NEGATIVE", "settlements[0].voluntary_paise"),
    "more paid than is left": (hers(paid_paise=88 * RUPEE + 1), "SETTLEMENT_NEGATIVE", "settlements[0]"),
    "paid while she owes": ({"set_offs": OFF[:1]}, "LOAN_STILL_OWED", "settlements[0].paid_paise"),
    "more shared than was earned": (hers(surplus_share_paise=90 * RUPEE + 1), "SURPLUS_TOO_LARGE", "settlements[0].surplus_share_paise"),
    "paid beside the settlement": ({"entries": (Entry("SETTLEMENT_PAID", 1, SHE),)}, "PAID_TWICE", "settlements[0].paid_paise"),
    "paid later what was never settled": (
        {"settlements": (), "set_offs": (), "entries": (Entry("SETTLEMENT_PAID", 1, SHE),)},
        "SETTLEMENT_NEGATIVE",
        "entries[0]",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_what_cannot_be_settled_names_its_field(case):
    changes, code, field = BAD[case]
    try:
        one = settled(**changes)
    except KeyError:  # Of an unknown loan no line can be made: nothing is closed.
        one = replace(settled(), **changes)
    assert refusal(one) == (code, field)


def test_a_state_may_share_no_surplus():
    none = Policies({"settlement_shares_surplus": (Period(0, date(2020, 1, 1)),)})
    for name in ("surplus_share_paise", "deficit_share_paise"):
        assert refusal(settled(**hers(**{name: 1})), policies=none) == ("SURPLUS_NOT_SHARED", f"settlements[0].{name}")
    take_in(settled(), BOOKS, none, TODAY)


def test_the_quote_is_what_she_has_less_what_she_owes():
    owed = {one: loan for one, loan in BOOKS.loans.items() if loan.standing.outstanding_paise}
    four = GROUP.members[:4]
    found = quote(SHE, BOOKS.balances, owed, four, LATER, shared=True)
    assert (found.compulsory_paise, found.voluntary_paise, found.share_capital_paise) == tuple(ALL.values())
    assert (found.surplus_share_paise, found.deficit_share_paise) == (22 * RUPEE, 0), "of 90 rupees a fourth, in whole rupees"
    assert set(found.loans) == {Owes(LOAN, 100 * RUPEE, 2 * RUPEE), Owes(SECOND, 60 * RUPEE, RUPEE)}
    assert found.available_paise == (250 + 22 - 163) * RUPEE
    assert quote(SHE, BOOKS.balances, owed, four[1:], LATER, shared=True) == found, "she is one of them, left or not"
    assert quote(SHE, BOOKS.balances, owed, four, LATER, shared=False).available_paise == (250 - 163) * RUPEE
    assert quote(new_id(), BOOKS.balances, owed, four, LATER, shared=True).surplus_share_paise == 0, "who has nothing has no part"
    poor = {**BOOKS.balances, Account(Head.RETAINED_SURPLUS): -150 * RUPEE}
    assert quote(SHE, poor, owed, four, LATER, shared=True)[3:5] == (0, 15 * RUPEE)


# In the store.


@pytest.fixture
def desk(connection):
    return Desk(connection, hear(connection, Group()))


def of(desk, **changes):
    """The same of the desk's group: two loans, and the settlement of who took them."""
    she, loan, second = desk.group.members[0], new_id(), new_id()
    desk.save(
        held_on=GIVEN_ON,
        savings=(Saving(she, 200 * RUPEE, 30 * RUPEE), *savings(desk.group, 100)[1:]),
        loans=tuple(LoanGiven(one, she, rupees * RUPEE, 2400, 10) for one, rupees in ((loan, 100), (second, 60))),
    )
    said = Settlement(she, "LEFT", 200 * RUPEE, 30 * RUPEE, **changes)
    offs = (SetOff(loan, 100 * RUPEE, 2 * RUPEE), SetOff(second, 60 * RUPEE, RUPEE))
    return she, {"held_on": LATER, "savings": (), "settlements": (said,), "set_offs": offs}


def test_what_is_not_paid_at_once_is_paid_after_she_left(desk):
    she, screens = of(desk, paid_paise=20 * RUPEE)
    desk.save(**screens)
    left_on = LATER + timedelta(days=1)
    gone = [{"institution_id": desk.group.id, "from_on": "", "to_on": left_on.isoformat()}]
    hear_member(desk.connection, desk.group, she, 2, ended_stays=gone, status="STATUS_INACTIVE")
    assert desk.balances[Account(Head.SETTLEMENT_PAYABLE, she)] == 47 * RUPEE
    stay = desk.group.members[1:]
    desk.group.member_ids = desk.group.member_ids[1:]
    desk.save(held_on=LAST, entries=(Entry("SETTLEMENT_PAID", 47 * RUPEE, she),))
    assert she not in {account.of for account in desk.balances}
    assert len(stay) == 4
    assert desk.send(desk.next(held_on=LAST, savings=(Saving(she, 1, 0),))) == ["MEMBER_LEFT"]


def test_who_has_left_already_is_settled_too(desk):
    she, screens = of(desk, paid_paise=67 * RUPEE)
    gone = [{"institution_id": desk.group.id, "from_on": "", "to_on": GIVEN_ON.isoformat()}]
    hear_member(desk.connection, desk.group, she, 2, ended_stays=gone, status="STATUS_INACTIVE")
    desk.group.member_ids = desk.group.member_ids[1:]
    desk.save(**screens)
    assert she not in {account.of for account in desk.balances}
    assert queries.adrift(desk.connection) == []


def test_a_settlement_that_is_handed_back_never_was(desk):
    she, screens = of(desk, paid_paise=67 * RUPEE)
    before, owed = desk.balances, {one: loan for one, (_, loan) in desk.standing().loans.items()}
    one = desk.save(**screens)
    desk.reject(one)
    assert desk.balances == before
    assert {one: loan for one, (_, loan) in desk.standing().loans.items()} == owed
    assert desk.send(desk.again(one)) == ["APPLIED"]
    assert queries.adrift(desk.connection) == []
    assert she not in {account.of for account in desk.balances}


def test_its_approval_is_told_once_and_what_it_says_is_counted(desk):
    she, screens = of(desk, paid_paise=67 * RUPEE)
    first = queries.meetings_of(desk.connection, desk.group.approver(), desk.group.institution_id, "", None, 9)[0]
    one = desk.save(**screens)
    assert desk.approve(replace(one, meeting_id=str(first.meeting_id)), unseen=True) == [""]
    assert desk.approve(one, unseen=True) == ["MEETING_FLAGGED"]
    assert desk.approve(one) == [""]
    assert desk.approve(one) == [""]
    rows = desk.connection.execute(select(outbox.c.body).where(outbox.c.event == "MemberSettled", outbox.c.subject == she)).scalars().all()
    [told] = [MemberSettled.FromString(bytes(body)) for body in rows]
    expected = (she, desk.group.id, one.meeting_id, LATER.isoformat(), "LEFT")
    assert (told.member_id, told.institution_id, told.meeting_id, told.settled_on, told.reason) == expected


def test_a_set_off_that_is_taken_back_is_owed_again(desk):
    she, screens = of(desk)
    first = queries.meetings_of(desk.connection, desk.group.approver(), desk.group.institution_id, "", None, 9)[0]
    one = desk.save(**screens)
    desk.approve(replace(one, meeting_id=str(first.meeting_id)))
    desk.approve(one)
    posted = queries.reversible(desk.connection, {one.meeting_id})
    [number] = [line for (_, line), was in posted.items() if was.line.credit == Head.MEMBER_LOANS and was.line.amount_paise == 60 * RUPEE]
    desk.save(held_on=LAST, reversals=(Reversal(one.meeting_id, number),))
    assert desk.balances[Account(Head.SETTLEMENT_PAYABLE, she)] == (67 + 60) * RUPEE
    [(_, loan)] = desk.standing().loans.values()
    assert loan.standing.outstanding_paise == 60 * RUPEE
    assert queries.adrift(desk.connection) == []
