"""Books out: one group worked by hand, and what must hold between the books of any group whatever it did."""

from collections import Counter
from datetime import date, timedelta
from itertools import groupby
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.kernel.errors import Invalid
from services.transactions.rules.heads import CHART, ITEMS, MONEY, PLACES, Head, SubLedger
from services.transactions.rules.journal import Account, Held, Line, effect
from services.transactions.rules.statements import (
    HeadSum,
    PassbookAccount,
    Place,
    cash_book,
    check_range,
    opening,
    passbook,
    receipts_and_payments,
    trial_balance,
)


def an_id(number):
    return str(UUID(int=number))


MEMBERS = [an_id(n) for n in range(1, 4)]
LOANS = {an_id(10 + n): MEMBERS[n % 2] for n in range(4)}  # The third member never borrowed.
BORROWINGS = [an_id(n) for n in range(20, 22)]
BANKS = [an_id(n) for n in range(30, 32)]
ACCOUNTS = {SubLedger.MEMBER: MEMBERS, SubLedger.LOAN: list(LOANS), SubLedger.BORROWING: BORROWINGS, SubLedger.BANK: BANKS}
ACCOUNTS[SubLedger.INSTITUTION] = [an_id(40)]
HER_HEADS = (Head.COMPULSORY_SAVINGS, Head.VOLUNTARY_SAVINGS, Head.SHARE_CAPITAL, Head.MEMBER_LOANS, Head.INSTITUTION_LOANS)
FIRST_ON = date(2026, 1, 1)
NUMBER = 5  # The meetings before are on paper.


# Any history: items of the screens, what was taken back, and lines between any two heads of the chart but the one that a cut-off opens.
MOVED = [head for head in Head if head != Head.RETAINED_SURPLUS]


def owners(head):
    """Whose a side may be: of a head with accounts one of them; of another that is no place perhaps a member's or that of her loan."""
    if owned := ACCOUNTS.get(CHART[head].sub_ledger):
        return st.sampled_from(owned)
    return st.just("") if head in PLACES else st.sampled_from(["", *MEMBERS, *LOANS])


@st.composite
def lines(draw):
    posted = []
    for number in range(1, draw(st.integers(0, 8)) + 1):
        if posted and draw(st.integers(0, 4)) == 0:
            back = draw(st.sampled_from(posted))
            posted.append(Line(number, back.credit, back.debit, back.amount_paise, back.credit_of, back.debit_of))
            continue
        if draw(st.booleans()):
            item = draw(st.sampled_from(sorted(ITEMS)))
            money = draw(st.sampled_from([Head.CASH, Head.BANK]))
            debit, credit = (money if side == MONEY else Head(side) for side in (ITEMS[item].debit, ITEMS[item].credit))
        else:
            debit, credit = draw(st.sampled_from(MOVED)), draw(st.sampled_from(MOVED))
        posted.append(Line(number, debit, credit, draw(st.integers(1, 1000_00)), draw(owners(debit)), draw(owners(credit))))
    return tuple(posted)


@st.composite
def histories(draw):
    """Meetings by number, some of them on one day."""
    held_on, meetings = FIRST_ON, []
    for number in range(NUMBER, NUMBER + draw(st.integers(0, 6))):
        held_on += timedelta(days=draw(st.sampled_from([0, 1, 7, 30])))
        meetings.append(Held(an_id(100 + number), number, held_on, draw(lines())))
    return meetings


days = st.integers(-3, 100).map(lambda after: FIRST_ON + timedelta(days=after))
ranges = st.tuples(days, days).map(sorted)


def position(meetings):
    return effect(line for held in meetings for line in held.lines)


def held_until(meetings, day):
    return [held for held in meetings if held.held_on <= day]


def held_from(meetings, day):
    return [held for held in meetings if held.held_on >= day]


def stands(meetings):
    """Where the books stand, added up forwards from nothing and in no way of the code's: debits less credits."""
    sums = Counter()
    for held in meetings:
        for line in held.lines:
            for head, of, paise in ((line.debit, line.debit_of, line.amount_paise), (line.credit, line.credit_of, -line.amount_paise)):
                sums[head, ""] += paise
                if CHART[head].sub_ledger:
                    sums[head, of] += paise
    return sums


def grown(sums, head, of=""):
    """On the side that the head grows on."""
    return sums[head, of] if head[0] in "AE" else -sums[head, of]


def before(meetings, day):
    return stands(held_until(meetings, day - timedelta(days=1)))


def of_place(one):
    return one.head, one.bank_id


def asked(book, meetings, *rest):
    """A book as the service asks for it: with the meetings since the range began, and no earlier one."""
    *_, from_on, _ = rest
    return book(position(meetings), held_from(meetings, from_on), *rest)


@given(histories(), days)
def test_working_backwards_is_adding_up_forwards(meetings, day):
    sums = before(meetings, day)
    position_then = opening(position(meetings), held_from(meetings, day))
    assert {account: paise for account, paise in position_then.items() if paise} == {
        Account(*one): grown(sums, *one) for one, paise in sums.items() if paise
    }


@given(histories(), ranges)
def test_each_place_of_the_cash_book_goes_from_what_it_held_to_what_it_holds(meetings, between):
    from_on, to_on = between
    book = asked(cash_book, meetings, from_on, to_on)
    opened, closed = before(meetings, from_on), stands(held_until(meetings, to_on))
    assert [one.head for one in book.places] == [Head.CASH, Head.CASH_IN_TRANSIT] + [Head.BANK] * (len(book.places) - 2)
    entries = {one: list(of_it) for one, of_it in groupby(sorted(book.entries, key=of_place), of_place)}
    for place in book.places:
        assert (place.opening_paise, place.closing_paise) == (opened[of_place(place)], closed[of_place(place)])
        balance, paid_in, paid_out = place.opening_paise, 0, 0
        for entry in entries.pop(of_place(place), []):
            assert 0 in {entry.in_paise, entry.out_paise}
            paid_in, paid_out = paid_in + entry.in_paise, paid_out + entry.out_paise
            balance += entry.in_paise - entry.out_paise
            if (entry.against, entry.against_of) != (place.head, place.bank_id):  # Out of it and into it again: both say what is there then.
                assert entry.balance_paise == balance
        assert (place.in_paise, place.out_paise, place.closing_paise) == (paid_in, paid_out, balance)
    assert not entries
    for which, sums in (("opening_paise", opened), ("closing_paise", closed)):
        assert sum(getattr(one, which) for one in book.places) == sum(sums[head, ""] for head in PLACES)


@given(histories(), ranges)
def test_the_cash_book_has_both_sides_of_every_move_in_the_order_of_meetings_and_lines(meetings, between):
    from_on, to_on = between
    expected = []
    for held in meetings:
        for line in held.lines if from_on <= held.held_on <= to_on else ():
            if line.credit in PLACES:
                expected.append((held.meeting_id, line.line, line.credit, line.credit_of, line.debit, line.debit_of, 0, line.amount_paise))
            if line.debit in PLACES:
                expected.append((held.meeting_id, line.line, line.debit, line.debit_of, line.credit, line.credit_of, line.amount_paise, 0))
    entries = asked(cash_book, meetings, from_on, to_on).entries
    shown = [(one.meeting_id, one.line, one.head, one.bank_id, one.against, one.against_of, one.in_paise, one.out_paise) for one in entries]
    assert shown == expected
    facts = {held.meeting_id: (held.number, held.held_on) for held in meetings}
    assert all((one.number, one.held_on) == facts[one.meeting_id] for one in entries)


@given(histories(), ranges)
def test_receipts_less_payments_are_what_the_places_gained(meetings, between):
    from_on, to_on = between
    book = asked(receipts_and_payments, meetings, from_on, to_on)
    gained = sum(one.closing_paise - one.opening_paise for one in book.places)
    assert sum(one.paise for one in book.receipts) - sum(one.paise for one in book.payments) == gained
    paid_in, paid_out = Counter(), Counter()
    for held in held_from(held_until(meetings, to_on), from_on):
        for line in held.lines:
            if line.debit in PLACES and line.credit not in PLACES:
                paid_in[line.credit] += line.amount_paise
            if line.credit in PLACES and line.debit not in PLACES:
                paid_out[line.debit] += line.amount_paise
    for shown, sums in ((book.receipts, paid_in), (book.payments, paid_out)):
        assert list(shown) == [HeadSum(head, CHART[head].title, sums[head]) for head in CHART if sums[head]]
    assert book.places == asked(cash_book, meetings, from_on, to_on).places


@given(histories(), days)
def test_the_trial_balance_of_any_day_comes_to_nothing(meetings, as_of):
    sums = stands(held_until(meetings, as_of))
    later = [held for held in meetings if held.held_on > as_of]
    found = trial_balance(position(meetings), later, NUMBER - 1 + len(meetings))
    assert found.debit_total_paise == found.credit_total_paise
    assert found.debit_total_paise == sum(paise for (_, of), paise in sums.items() if of == "" and paise > 0)
    shown = [(one.head, one.name, one.debit_paise, one.credit_paise) for one in found.heads]
    assert shown == [(head, CHART[head].title, max(net, 0), max(-net, 0)) for head in CHART if (net := sums[head, ""])]
    assert found.through_number == NUMBER - 1 + len(held_until(meetings, as_of))


@given(histories(), ranges)
def test_the_passbooks_come_to_the_heads_of_the_group(meetings, between):
    from_on, to_on = between
    passbooks = [asked(passbook, meetings, one, LOANS, from_on, to_on) for one in MEMBERS]
    opened, closed = before(meetings, from_on), stands(held_until(meetings, to_on))
    accounts = [account for one in passbooks for account in one.accounts]
    for head in HER_HEADS:
        assert sum(one.opening_paise for one in accounts if one.head == head) == grown(opened, head)
        assert sum(one.closing_paise for one in accounts if one.head == head) == grown(closed, head)
    # Every side that names somebody is in her passbook, and in no other.
    sides = Counter()
    for held in held_from(held_until(meetings, to_on), from_on):
        for line in held.lines:
            for head, of, paid_in, paid_out in (
                (line.debit, line.debit_of, 0, line.amount_paise),
                (line.credit, line.credit_of, line.amount_paise, 0),
            ):
                if of in MEMBERS or of in LOANS:
                    loan_id = of if of in LOANS else ""
                    sides[LOANS.get(of, of), held.meeting_id, held.number, line.line, held.held_on, head, loan_id, paid_in, paid_out] += 1
    assert sides == Counter(
        (whose, one.meeting_id, one.number, one.line, one.held_on, one.head, one.loan_id, one.in_paise, one.out_paise)
        for whose, book in zip(MEMBERS, passbooks, strict=True)
        for one in book.entries
    )


@given(histories(), ranges, st.sampled_from(MEMBERS))
def test_each_account_of_a_passbook_goes_from_its_opening_to_its_closing(meetings, between, member_id):
    from_on, to_on = between
    book = asked(passbook, meetings, member_id, LOANS, from_on, to_on)
    opened = before(meetings, from_on)
    balances = {(one.head, one.loan_id): one.opening_paise for one in book.accounts}
    assert balances == {(head, loan_id): grown(opened, head, loan_id or member_id) for head, loan_id in balances}
    for line, entries in groupby(book.entries, lambda one: (one.number, one.line)):
        sides = list(entries)  # Both may be hers.
        for one in sides:
            if CHART[one.head].sub_ledger:
                gained = one.out_paise - one.in_paise if one.loan_id else one.in_paise - one.out_paise
                balances[one.head, one.loan_id] += gained
        for one in sides:
            assert one.balance_paise == (balances[one.head, one.loan_id] if CHART[one.head].sub_ledger else 0), line
    assert balances == {(one.head, one.loan_id): one.closing_paise for one in book.accounts}


def over(accounts, name):
    """A figure account by account; what was not in use in one half of a range is not shown there, and held nothing."""
    key = "bank_id" if isinstance(next(iter(accounts)), Place) else "loan_id"
    return Counter({(one.head, getattr(one, key)): getattr(one, name) for one in accounts if getattr(one, name)})


@given(histories(), st.tuples(days, days, days).map(sorted))
def test_a_range_in_two_halves_is_the_whole(meetings, between):
    from_on, middle, to_on = between
    halves = ((from_on, middle), (middle + timedelta(days=1), max(to_on, middle + timedelta(days=1))))
    whole = (from_on, halves[1][1])
    for book, of, parts in (
        (cash_book, (), ("places", "entries")),
        (receipts_and_payments, (), ("places",)),
        *((passbook, (one, LOANS), ("accounts", "entries")) for one in MEMBERS),
    ):
        first, second, both = (asked(book, meetings, *of, *dates) for dates in (*halves, whole))
        opened, passed, passed_on, closed = (
            over(getattr(one, parts[0]), name)
            for one, name in ((first, "opening_paise"), (first, "closing_paise"), (second, "opening_paise"), (second, "closing_paise"))
        )
        assert passed == passed_on
        assert (opened, closed) == tuple(over(getattr(both, parts[0]), name) for name in ("opening_paise", "closing_paise"))
        if "entries" in parts:
            assert first.entries + second.entries == both.entries
    first, second, both = (asked(receipts_and_payments, meetings, *dates) for dates in (*halves, whole))
    for name in ("receipts", "payments"):
        summed = Counter()
        for one in (*getattr(first, name), *getattr(second, name)):
            summed[one.head] += one.paise
        assert summed == {one.head: one.paise for one in getattr(both, name)}


@given(histories(), ranges)
def test_neither_empty_accounts_that_are_kept_nor_earlier_meetings_change_a_book(meetings, between):
    now = position(meetings)
    kept = {account: paise for account, paise in now.items() if paise} | {Account(Head.BANK, an_id(39)): 0}
    assert cash_book(kept, meetings, *between) == asked(cash_book, meetings, *between)
    for one in MEMBERS:
        # Nor those of other members, which a passbook need not be given.
        hers = {account: paise for account, paise in kept.items() if account.of == one or LOANS.get(account.of) == one}
        assert passbook(hers, meetings, one, LOANS, *between) == asked(passbook, meetings, one, LOANS, *between)


# One group worked by hand.
ONE, TWO, _ = MEMBERS
LOAN, BANK = next(iter(LOANS)), BANKS[0]
GROUP = [
    Held(
        an_id(1001),
        5,
        date(2026, 4, 6),
        (
            Line(1, Head.CASH, Head.COMPULSORY_SAVINGS, 200_00, "", ONE),
            Line(2, Head.CASH, Head.COMPULSORY_SAVINGS, 300_00, "", TWO),
            Line(3, Head.BANK, Head.FUNDS, 1000_00, BANK, ""),
        ),
    ),
    Held(
        an_id(1002),
        6,
        date(2026, 5, 4),
        (
            Line(1, Head.MEMBER_LOANS, Head.CASH, 400_00, LOAN, ""),
            Line(2, Head.CASH, Head.FINES, 5_00, "", ONE),
            Line(3, Head.BANK, Head.CASH, 50_00, BANK, ""),
        ),
    ),
    Held(
        an_id(1003),
        7,
        date(2026, 5, 4),
        (
            Line(1, Head.CASH, Head.MEMBER_LOANS, 100_00, "", LOAN),
            Line(2, Head.CASH, Head.LOAN_INTEREST, 8_00, "", LOAN),
            # A reversal: of TWO's saving ₹100 was entered too much.
            Line(3, Head.COMPULSORY_SAVINGS, Head.CASH, 100_00, TWO, ""),
        ),
    ),
    Held(
        an_id(1004),
        8,
        date(2026, 6, 1),
        (
            # No money moves: her savings are set against her loan.
            Line(1, Head.COMPULSORY_SAVINGS, Head.MEMBER_LOANS, 60_00, ONE, LOAN),
            Line(2, Head.BANK_CHARGES, Head.BANK, 12_00, "", BANK),
        ),
    ),
]
NOW = position(GROUP)
MAY, JUNE = (date(2026, 5, 1), date(2026, 5, 31)), (date(2026, 6, 1), date(2026, 6, 30))


def test_the_cash_book_of_a_month():
    book = asked(cash_book, GROUP, *MAY)
    assert book.places == (
        Place(Head.CASH, "", 500_00, 113_00, 550_00, 63_00),
        Place(Head.CASH_IN_TRANSIT, "", 0, 0, 0, 0),
        Place(Head.BANK, BANK, 1000_00, 50_00, 0, 1050_00),
    )
    assert [(one.number, one.line, one.head, one.against, one.in_paise, one.out_paise, one.balance_paise) for one in book.entries] == [
        (6, 1, "A03", "A01", 0, 400_00, 100_00),
        (6, 2, "A03", "I02", 5_00, 0, 105_00),
        (6, 3, "A03", "A05", 0, 50_00, 55_00),
        (6, 3, "A05", "A03", 50_00, 0, 1050_00),
        (7, 1, "A03", "A01", 100_00, 0, 155_00),
        (7, 2, "A03", "I01", 8_00, 0, 163_00),
        (7, 3, "A03", "L01", 0, 100_00, 63_00),
    ]


def test_what_is_taken_back_is_a_payment_and_a_deposit_is_neither():
    book = asked(receipts_and_payments, GROUP, *MAY)
    assert [(one.head, one.name, one.paise) for one in book.receipts] == [
        ("A01", "Loans to members", 100_00),
        ("I01", "Interest on loans", 8_00),
        ("I02", "Fines", 5_00),
    ]
    assert [(one.head, one.paise) for one in book.payments] == [("A01", 400_00), ("L01", 100_00)]


def test_the_trial_balance_at_the_end_of_a_month():
    found = trial_balance(NOW, GROUP[3:], 8)
    assert [(one.head, one.debit_paise, one.credit_paise) for one in found.heads] == [
        ("A01", 300_00, 0),
        ("A03", 63_00, 0),
        ("A05", 1050_00, 0),
        ("L01", 0, 400_00),
        ("L06", 0, 1000_00),
        ("I01", 0, 8_00),
        ("I02", 0, 5_00),
    ]
    assert (found.debit_total_paise, found.credit_total_paise, found.through_number) == (1413_00, 1413_00, 7)


def test_a_balance_that_has_turned_stands_in_the_other_column():
    paid = [Held(an_id(1), 1, FIRST_ON, (Line(1, Head.SUSPENSE, Head.CASH, 7_00),))]
    assert [(one.head, one.debit_paise, one.credit_paise) for one in trial_balance(position(paid), [], 1).heads] == [
        ("A03", 0, 7_00),
        ("L09", 7_00, 0),
    ]


def test_the_passbook_of_a_month():
    book = asked(passbook, GROUP, ONE, LOANS, *MAY)
    assert book.accounts == (
        PassbookAccount(Head.COMPULSORY_SAVINGS, "", 200_00, 200_00),
        PassbookAccount(Head.VOLUNTARY_SAVINGS, "", 0, 0),
        PassbookAccount(Head.SHARE_CAPITAL, "", 0, 0),
        PassbookAccount(Head.MEMBER_LOANS, LOAN, 0, 300_00),
    )
    assert [(one.number, one.line, one.head, one.loan_id, one.in_paise, one.out_paise, one.balance_paise) for one in book.entries] == [
        (6, 1, "A01", LOAN, 0, 400_00, 400_00),
        (6, 2, "I02", "", 5_00, 0, 0),
        (7, 1, "A01", LOAN, 100_00, 0, 300_00),
        (7, 2, "I01", LOAN, 8_00, 0, 0),
    ]
    (taken_back,) = asked(passbook, GROUP, TWO, LOANS, *MAY).entries
    assert (taken_back.head, taken_back.in_paise, taken_back.out_paise, taken_back.balance_paise) == ("L01", 0, 100_00, 200_00)


def test_savings_set_against_a_loan_are_two_entries_of_a_passbook_and_none_of_the_cash_book():
    entries = asked(passbook, GROUP, ONE, LOANS, *JUNE).entries
    assert [(one.head, one.in_paise, one.out_paise, one.balance_paise) for one in entries] == [("A01", 60_00, 0, 240_00), ("L01", 0, 60_00, 140_00)]
    assert [(one.head, one.out_paise) for one in asked(cash_book, GROUP, *JUNE).entries] == [("A05", 12_00)]


TODAY = date(2026, 11, 20)


@pytest.mark.parametrize(
    ("from_on", "to_on", "refused"),
    [
        (TODAY, TODAY, None),
        (TODAY - timedelta(days=365), TODAY, None),
        (TODAY - timedelta(days=366), TODAY, ("RANGE_TOO_LONG", "from_on")),
        (TODAY, TODAY - timedelta(days=1), ("RANGE_INVALID", "from_on")),
        (TODAY, TODAY + timedelta(days=1), ("RANGE_INVALID", "to_on")),
        (TODAY + timedelta(days=2), TODAY + timedelta(days=1), ("RANGE_INVALID", "from_on")),
    ],
)
def test_a_range_is_at_most_a_leap_year_and_has_come_already(from_on, to_on, refused):
    if refused is None:
        check_range(from_on, to_on, TODAY)
        return
    with pytest.raises(Invalid) as raised:
        check_range(from_on, to_on, TODAY)
    assert (raised.value.code, raised.value.field) == refused
    assert str(raised.value)
