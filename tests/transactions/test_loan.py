"""What must hold of the arithmetic of a loan."""

from dataclasses import replace
from datetime import date, timedelta

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from services.kernel.month import month_of
from services.transactions.rules.loan import Dues, Order, Standing, after_payment, dues, interest_owed, split, unpaid_since
from services.transactions.rules.schedule import (
    DayCount,
    Frequency,
    Method,
    MonthEnd,
    Moratorium,
    Rounding,
    Terms,
    schedule,
)

GIVEN_ON = date(2026, 11, 30)


def loan(rupees, percent, months, **changes):
    return Terms(rupees * 100, percent * 100, months, GIVEN_ON, **changes)


TEN_THOUSAND = loan(10_000, 24, 10)

any_day = st.dates(date(2020, 1, 1), date(2030, 12, 31))
any_terms = st.builds(
    Terms,
    principal_paise=st.one_of(st.integers(1, 500_00), st.integers(1, 10**9), st.integers(1, 10**12)),
    annual_rate_basis_points=st.one_of(st.just(0), st.integers(0, 3600), st.sampled_from((700, 1200, 2400))),
    instalments=st.integers(1, 120),
    given_on=any_day,
    rounding_paise=st.sampled_from((1, 50, 100, 1000)),
)


def given_now(terms):
    return Standing(terms.principal_paise, 0, terms.given_on)


def months_after(day, count, on_day=1):
    month = day.year * 12 + day.month - 1 + count
    return date(month // 12, month % 12 + 1, on_day)


@st.composite
def loans_in_the_books(draw):
    """Terms, and where the loan stands after some payments in some months, of whatever size."""
    terms = draw(any_terms)
    standing, day = given_now(terms), terms.given_on
    for _ in range(draw(st.integers(0, 5))):
        day += timedelta(days=draw(st.integers(0, 400)))
        principal = draw(st.integers(0, standing.outstanding_paise))
        interest = draw(st.integers(0, 2 * interest_owed(terms, standing, day)))
        standing = after_payment(terms, standing, principal, interest, day)
    return terms, standing, day


@pytest.mark.parametrize(
    ("on", "rupees"),
    [
        (date(2026, 11, 30), 0),
        (date(2026, 12, 1), 200),
        (date(2026, 12, 31), 200),
        (date(2027, 1, 1), 400),
        (date(2027, 11, 30), 2400),
        (date(2026, 10, 31), 0),
    ],
)
def test_interest_is_owed_from_the_first_of_each_month_after_the_one_given(on, rupees):
    assert interest_owed(TEN_THOUSAND, given_now(TEN_THOUSAND), on) == rupees * 100


def test_half_a_rupee_of_interest_is_a_rupee():
    fifty = loan(50, 12, 12)
    assert interest_owed(fifty, given_now(fifty), date(2026, 12, 1)) == 1_00
    assert interest_owed(fifty, replace(given_now(fifty), outstanding_paise=49_99), date(2026, 12, 1)) == 0


def test_a_month_bears_interest_once_and_on_what_was_owed_before_it_was_repaid():
    first = after_payment(TEN_THOUSAND, given_now(TEN_THOUSAND), 913_00, 150_00, date(2026, 12, 5))
    assert first == Standing(9087_00, 50_00, date(2026, 12, 5))
    second = after_payment(TEN_THOUSAND, first, 87_00, 0, date(2026, 12, 31))
    assert second == Standing(9000_00, 50_00, date(2026, 12, 31))
    # Of January: 180, and none on the 50 unpaid.
    assert interest_owed(TEN_THOUSAND, second, date(2027, 1, 1)) == 230_00


def test_what_is_paid_before_interest_counts_does_not_make_it_count_earlier():
    later = Standing(10_000_00, 0, date(2027, 1, 10))
    paid = after_payment(TEN_THOUSAND, later, 1_000_00, 0, date(2026, 12, 5))
    assert paid == Standing(9_000_00, 0, date(2027, 1, 10))


def test_interest_beyond_what_is_owed_is_no_credit():
    paid = after_payment(TEN_THOUSAND, given_now(TEN_THOUSAND), 0, 500_00, date(2026, 12, 5))
    assert paid == Standing(10_000_00, 0, date(2026, 12, 5))
    assert interest_owed(TEN_THOUSAND, paid, date(2027, 1, 5)) == 200_00


def test_the_last_month_is_due_and_after_it_all_is_overdue():
    unpaid = given_now(TEN_THOUSAND)
    assert dues(TEN_THOUSAND, unpaid, date(2026, 11, 30)) == Dues(0, 0, 0, 0)
    assert dues(TEN_THOUSAND, unpaid, date(2026, 12, 1)) == Dues(0, 913_00, 200_00, 0)
    assert dues(TEN_THOUSAND, unpaid, date(2027, 1, 31)) == Dues(913_00, 931_00, 400_00, 200_00)
    assert dues(TEN_THOUSAND, unpaid, date(2027, 9, 30)) == Dues(8906_00, 1094_00, 2000_00, 1800_00)
    assert dues(TEN_THOUSAND, unpaid, date(2027, 10, 1)) == Dues(10_000_00, 0, 2200_00, 2000_00)


def test_what_was_paid_ahead_counts_towards_the_next_instalments():
    # December's 913, all of January's 931 and 100 of February's 950.
    ahead = after_payment(TEN_THOUSAND, given_now(TEN_THOUSAND), 1944_00, 200_00, date(2026, 12, 5))
    assert dues(TEN_THOUSAND, ahead, date(2026, 12, 31)) == Dues(0, 0, 0, 0)
    assert dues(TEN_THOUSAND, ahead, date(2027, 1, 5)) == Dues(0, 0, 161_00, 0)
    assert dues(TEN_THOUSAND, ahead, date(2027, 2, 5)) == Dues(0, 850_00, 322_00, 161_00)
    assert dues(TEN_THOUSAND, ahead, date(2027, 3, 5)) == Dues(850_00, 969_00, 483_00, 322_00)


@given(loans_in_the_books(), any_day)
def test_dues_are_what_the_schedule_asks_less_what_was_repaid(books, on):
    terms, standing, _ = books
    month, repaid = month_of(on), terms.principal_paise - standing.outstanding_paise
    before, by_its_end = (
        max(sum(row.principal_paise for row in rows) - repaid, 0)
        for rows in (
            [row for row in schedule(terms) if month_of(row.due_on) < month],
            [row for row in schedule(terms) if month_of(row.due_on) <= month],
        )
    )
    asked = dues(terms, standing, on)
    assert (asked.overdue_paise, asked.due_paise) == (before, by_its_end - before)
    assert 0 <= asked.interest_overdue_paise <= asked.interest_due_paise <= interest_owed(terms, standing, on)
    assert by_its_end <= standing.outstanding_paise


@given(loans_in_the_books(), st.integers(0, 2000), st.integers(0, 2000))
def test_dues_only_grow_until_something_is_paid(books, days, more_days):
    terms, standing, last_day = books
    first, later = (dues(terms, standing, last_day + timedelta(days=count)) for count in (days, days + more_days))
    assert 0 <= first.overdue_paise <= later.overdue_paise
    assert first.due_paise >= 0
    assert first.overdue_paise + first.due_paise <= later.overdue_paise + later.due_paise <= standing.outstanding_paise
    assert 0 <= first.interest_due_paise <= later.interest_due_paise


@given(loans_in_the_books(), st.lists(st.integers(0, 100), max_size=12))
def test_interest_is_the_same_asked_meeting_by_meeting_or_at_once(books, gaps_days):
    terms, asked_at_once, day = books
    step_by_step = asked_at_once
    for gap in gaps_days:
        day += timedelta(days=gap)
        step_by_step = after_payment(terms, step_by_step, 0, 0, day)
    assert step_by_step.interest_unpaid_paise == interest_owed(terms, asked_at_once, day)
    assert after_payment(terms, asked_at_once, 0, 0, day) == step_by_step


@given(any_terms, st.data())
def test_paying_the_dues_every_month_ends_the_loan_with_its_last_instalment(terms, data):
    standing = given_now(terms)
    for row in schedule(terms):
        assert standing.outstanding_paise > 0
        on = months_after(terms.given_on, row.number, data.draw(st.integers(1, 28)))
        asked = dues(terms, standing, on)
        assert asked == Dues(0, row.principal_paise, row.interest_paise, 0)
        standing = after_payment(terms, standing, asked.due_paise, asked.interest_due_paise, on)
    assert standing == Standing(0, 0, on)
    assert dues(terms, standing, on + timedelta(days=400)) == Dues(0, 0, 0, 0)


@pytest.mark.parametrize(
    ("order", "rupees", "expected"),
    [
        (Order.INTEREST_FIRST, 300, (200, 100, 0, 0, 0)),
        (Order.INTEREST_FIRST, 1500, (200, 200, 913, 187, 0)),
        (Order.INTEREST_FIRST, 3000, (200, 200, 913, 931, 756)),
        (Order.OVERDUE_FIRST, 1500, (200, 200, 913, 187, 0)),
        (Order.OVERDUE_FIRST, 1200, (200, 87, 913, 0, 0)),
        (Order.PRINCIPAL_FIRST, 1000, (0, 0, 913, 87, 0)),
        (Order.PRINCIPAL_FIRST, 2100, (200, 56, 913, 931, 0)),
    ],
)
def test_a_payment_goes_in_the_order_of_the_state(order, rupees, expected):
    assert split(TEN_THOUSAND, given_now(TEN_THOUSAND), rupees * 100, date(2027, 1, 31), order) == tuple(one * 100 for one in expected)


@given(loans_in_the_books(), any_day, st.sampled_from(Order), st.data())
def test_all_of_a_payment_goes_somewhere_and_no_more_than_is_asked(books, on, order, data):
    terms, standing, _ = books
    falls = dues(terms, standing, on)
    owed = standing.outstanding_paise + falls.interest_due_paise
    if owed:
        paise = data.draw(st.integers(1, owed))
        parts = split(terms, standing, paise, on, order)
        assert sum(parts) == paise
        assert min(parts) >= 0
        assert parts.interest_overdue_paise + parts.interest_due_paise <= falls.interest_due_paise
        assert parts.principal_overdue_paise + parts.principal_due_paise + parts.prepaid_paise <= standing.outstanding_paise


any_way = st.builds(
    Terms,
    principal_paise=st.integers(1_000, 10**6).map(lambda rupees: rupees * 100),
    annual_rate_basis_points=st.sampled_from((0, 700, 1200, 2400, 3600)),
    instalments=st.integers(1, 60),
    given_on=any_day,
    rounding_paise=st.sampled_from((1, 100)),
    method=st.sampled_from(Method),
    frequency=st.sampled_from(Frequency),
    day_count=st.sampled_from(DayCount),
    month_end=st.sampled_from(MonthEnd),
    moratorium=st.integers(0, 6),
    moratorium_interest=st.sampled_from(Moratorium),
    rounding=st.sampled_from(Rounding),
)


@given(any_way)
def test_whoever_pays_what_is_due_on_each_due_date_has_paid_the_schedule(terms):
    """Of every kind: no interest twice, none left, nothing overdue on the way."""
    # Where a period's interest is more than an instalment, the schedule asks the rest of it with the next; the books ask what is owed.
    assume(all(row.principal_paise for row in schedule(terms)[terms.moratorium :]))
    standing = given_now(terms)
    for row in schedule(terms):
        asked = dues(terms, standing, row.due_on)
        assert asked == Dues(0, row.principal_paise, row.interest_paise, 0)
        assert unpaid_since(terms, standing) == next(one.due_on for one in schedule(terms) if one.total_paise and one.due_on >= row.due_on)
        standing = after_payment(terms, standing, asked.due_paise, asked.interest_due_paise, row.due_on)
    assert standing == Standing(0, 0, row.due_on)
    assert unpaid_since(terms, standing) is None


@given(any_way, st.data())
def test_nothing_paid_is_unpaid_since_the_first_due_date_on_whatever_day_it_is_asked(terms, data):
    first = next(row for row in schedule(terms) if row.total_paise)
    standing = given_now(terms)
    for day in data.draw(st.lists(st.dates(terms.given_on, schedule(terms)[-1].due_on), max_size=3).map(sorted)):
        standing = after_payment(terms, standing, 0, 0, day)
        assert unpaid_since(terms, standing) == first.due_on
