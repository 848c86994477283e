"""What must hold of every schedule, and tables that others have published."""

from dataclasses import replace
from datetime import date, timedelta
from fractions import Fraction
from itertools import accumulate, pairwise, product

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from services.transactions.rules.schedule import (
    DayCount,
    Frequency,
    Method,
    MonthEnd,
    Moratorium,
    Rounding,
    Terms,
    due_days,
    exact_instalment,
    instalment_paise,
    interest_of,
    regular_years,
    rounded,
    schedule,
    worked_out,
    years,
    years_between,
)

GIVEN_ON = date(2026, 11, 30)
ALL_KINDS = list(product(Method, Frequency, DayCount, MonthEnd, Moratorium, Rounding))
IN_MONTHS = [one for one in Frequency if one not in {Frequency.WEEKLY, Frequency.FORTNIGHTLY}]


def loan(rupees, percent, instalments, **changes):
    return Terms(rupees * 100, round(percent * 100), instalments, **{"given_on": GIVEN_ON, **changes})


def asked(terms, unit=100):
    """Interest, principal and balance of each, in rupees."""
    return [(row.interest_paise / unit, row.principal_paise / unit, row.balance_paise / unit) for row in schedule(terms)]


def totals(terms):
    return [row.total_paise for row in schedule(terms)]


def days(*written):
    return [date.fromisoformat(one) for one in written]


TEN_THOUSAND = loan(10_000, 24, 10)


@st.composite
def any_terms(draw, least_paise=1, **changes):
    """Of every kind: tiny and large, with and without a first period of its own."""
    plain = {
        "principal_paise": st.one_of(st.integers(least_paise, max(500_00, least_paise)), st.integers(least_paise, 10**9), st.integers(10**9, 10**12)),
        "annual_rate_basis_points": st.one_of(st.just(0), st.sampled_from((700, 1200, 2400)), st.integers(0, 10_000)),
        "instalments": st.one_of(st.integers(1, 12), st.integers(1, 60)),
        "given_on": st.dates(date(2020, 1, 1), date(2030, 12, 31)),
        "rounding_paise": st.sampled_from((1, 10, 50, 100, 500, 1000)),
        "method": st.sampled_from(Method),
        "frequency": st.sampled_from(Frequency),
        "day_count": st.sampled_from(DayCount),
        "month_end": st.sampled_from(MonthEnd),
        "moratorium": st.one_of(st.just(0), st.integers(0, 12)),
        "moratorium_interest": st.sampled_from(Moratorium),
        "rounding": st.sampled_from(Rounding),
    }
    terms = Terms(**{name: draw(one) for name, one in {**plain, **changes}.items()})
    later = draw(st.one_of(st.none(), st.integers(1, 400)))
    if later is None:
        return terms
    first = terms.given_on + timedelta(days=later)
    if terms.frequency is Frequency.MEETING:
        first = (first.replace(day=1) + timedelta(days=31)).replace(day=draw(st.integers(1, 28)))
    return replace(terms, first_due_on=first)


# The domain's vectors.


@pytest.mark.parametrize(
    ("terms", "exact", "exact_interest"),
    [
        (loan(10_000, 24, 10), "1113.2653", "1132.65"),
        (loan(12_000, 12, 12), "1066.1855", "794.23"),
        (loan(50_000, 18, 24), "2496.2051", "9908.92"),
        (loan(5_000, 24, 5), "1060.7920", "303.96"),
        (loan(20_000, 0, 10), "2000", "0"),
    ],
)
def test_the_exact_instalments_of_the_domain(terms, exact, exact_interest):
    instalment = exact_instalment(terms)
    assert round(instalment / 100, 4) == Fraction(exact)
    assert round((instalment * terms.instalments - terms.principal_paise) / 100, 2) == Fraction(exact_interest)


@pytest.mark.parametrize(
    ("terms", "instalment", "last", "interest"),
    [(loan(10_000, 24, 10), 1113, 1116, 1133), (loan(12_000, 12, 12), 1066, 1070, 796), (loan(20_000, 0, 10), 2000, 2000, 0)],
)
def test_the_rounded_instalments_of_the_domain(terms, instalment, last, interest):
    assert instalment_paise(terms) == instalment * 100
    assert totals(terms) == [instalment * 100] * (terms.instalments - 1) + [last * 100]
    assert sum(row.interest_paise for row in schedule(terms)) == interest * 100


def test_the_schedule_of_the_domain():
    assert [row.number for row in schedule(TEN_THOUSAND)] == list(range(1, 11))
    assert asked(TEN_THOUSAND) == [
        (200, 913, 9087),
        (182, 931, 8156),
        (163, 950, 7206),
        (144, 969, 6237),
        (125, 988, 5249),
        (105, 1008, 4241),
        (85, 1028, 3213),
        (64, 1049, 2164),
        (43, 1070, 1094),
        (22, 1094, 0),
    ]


@pytest.mark.parametrize("frequency", [Frequency.MEETING, Frequency.MONTHLY])
def test_equal_principal_and_flat_interest_of_the_domain(frequency):
    equal = replace(TEN_THOUSAND, method=Method.EQUAL_PRINCIPAL, frequency=frequency)
    assert asked(equal) == [(200 - 20 * at, 1000, 9000 - 1000 * at) for at in range(10)]
    assert sum(row.interest_paise for row in schedule(equal)) == 1_100_00
    flat = replace(TEN_THOUSAND, method=Method.FLAT, frequency=frequency)
    assert asked(flat) == [(200, 1000, 9000 - 1000 * at) for at in range(10)]
    assert instalment_paise(equal) == instalment_paise(flat) == exact_instalment(equal) == exact_instalment(flat) == 1_200_00


def test_weeks_bear_interest_by_their_days_of_365_in_the_domain():
    weekly = loan(10_000, 24, 52, frequency=Frequency.WEEKLY, day_count=DayCount.ACTUAL_365, rounding_paise=1)
    first, second, *_ = schedule(weekly)
    assert first.interest_paise == rounded(Fraction(10_000_00 * 24 * 7, 36_500), 1, Rounding.HALF_UP) == 46_03
    assert second.interest_paise == rounded(Fraction(first.balance_paise * 24 * 7, 36_500), 1, Rounding.HALF_UP)
    fortnightly = replace(weekly, frequency=Frequency.FORTNIGHTLY, instalments=26)
    assert schedule(fortnightly)[0].interest_paise == 92_05
    assert [regular_years(replace(fortnightly, day_count=one)) for one in DayCount] == [Fraction(14, 360), Fraction(14, 365), Fraction(14, 365)]
    assert schedule(replace(weekly, day_count=DayCount.THIRTY_360))[0].interest_paise == 46_67


# What others have published. Each is to the cent, and a cent is a paisa here.


def to_the_cent(principal, percent, instalments, **changes):
    return loan(principal, percent, instalments, **{"rounding_paise": 1, "frequency": Frequency.MONTHLY, "given_on": date(2024, 1, 1), **changes})


@pytest.mark.parametrize(
    ("terms", "cents"),
    [
        pytest.param(to_the_cent(10_000, 8, 10), 1_037_03, id="Microsoft's PMT: 8%/12, 10, 10000"),
        pytest.param(to_the_cent(200_000, 6.5, 360), 1_264_14, id="Wikipedia's Mortgage calculator: $200,000 at 6.5% for 30 years"),
        pytest.param(to_the_cent(100, 7, 6), 17_01, id="Apache Fineract's ProgressiveEMICalculatorTest: 100 at 7% for 6 months by 30/360"),
    ],
)
def test_instalments_that_others_have_published(terms, cents):
    """And the equation that the formula comes from: what the instalments are worth today is the principal."""
    discount = 1 / (1 + Fraction(terms.annual_rate_basis_points, 120_000))
    exact = exact_instalment(terms)
    assert sum(exact * discount**month for month in range(1, terms.instalments + 1)) == terms.principal_paise
    assert rounded(exact, 1, Rounding.HALF_UP) == cents
    assert instalment_paise(terms) == cents
    assert totals(terms)[:-1] == [cents] * (terms.instalments - 1)


def test_the_first_period_that_fineract_publishes():
    assert asked(to_the_cent(100, 7, 6))[0] == (0.58, 16.43, 83.57)


def test_interest_and_principal_that_microsoft_publishes():
    """The examples of IPMT, PPMT, CUMIPMT and CUMPRINC in its reference of Excel; what it adds up is not rounded, and ours is each month."""
    assert schedule(to_the_cent(8_000, 10, 36))[0].interest_paise == 66_67
    assert schedule(to_the_cent(8_000, 10, 3, frequency=Frequency.YEARLY))[2].interest_paise == 292_45
    assert schedule(to_the_cent(2_000, 10, 24))[0].principal_paise == 75_62
    of_thirty_years = schedule(to_the_cent(125_000, 9, 360))
    assert of_thirty_years[0].interest_paise == 937_50
    assert of_thirty_years[0].principal_paise == 68_28
    second_year = of_thirty_years[12:24]
    assert abs(sum(row.interest_paise for row in second_year) - 11_135_23) <= 12
    assert abs(sum(row.principal_paise for row in second_year) - 934_11) <= 12


def test_a_year_of_the_table_of_emi_calc_com():
    """1,00,000 at 12% for 60 months, Reducing Balance EMI Calculator: it shows whole rupees of what it does not round."""
    rows = schedule(to_the_cent(100_000, 12, 60))[:12]
    assert [
        tuple((paise + 50) // 100 for paise in (row.total_paise, row.interest_paise, row.principal_paise, row.balance_paise)) for row in rows
    ] == [
        (2224, 1000, 1224, 98776),
        (2224, 988, 1237, 97539),
        (2224, 975, 1249, 96290),
        (2224, 963, 1262, 95028),
        (2224, 950, 1274, 93754),
        (2224, 938, 1287, 92467),
        (2224, 925, 1300, 91167),
        (2224, 912, 1313, 89855),
        (2224, 899, 1326, 88529),
        (2224, 885, 1339, 87190),
        (2224, 872, 1353, 85837),
        (2224, 858, 1366, 84471),
    ]


@pytest.mark.parametrize(
    ("first", "then", "day_count", "fraction"),
    [
        pytest.param("2012-01-01", "2012-07-30", DayCount.THIRTY_360, "0.58055556", id="Microsoft's YEARFRAC, basis 0"),
        pytest.param("2012-01-01", "2012-07-30", DayCount.ACTUAL_ACTUAL, "0.57650273", id="Microsoft's YEARFRAC, basis 1"),
        pytest.param("2012-01-01", "2012-07-30", DayCount.ACTUAL_365, "0.57808219", id="Microsoft's YEARFRAC, basis 3"),
        pytest.param("2003-11-01", "2004-05-01", DayCount.ACTUAL_ACTUAL, "0.49772438", id="ISDA's memorandum on ACTUAL/ACTUAL"),
    ],
)
def test_parts_of_a_year_that_others_have_published(first, then, day_count, fraction):
    assert round(years_between(*days(first, then), day_count), 8) == Fraction(fraction)


# Days.


@pytest.mark.parametrize(
    ("first", "then", "parts"),
    [
        ("2027-01-31", "2027-02-28", 28),
        ("2027-01-30", "2027-03-31", 60),
        ("2027-01-31", "2027-03-31", 60),
        ("2027-01-29", "2027-03-31", 62),
        ("2027-02-28", "2027-03-31", 33),
        ("2027-01-15", "2027-04-15", 90),
        ("2027-11-30", "2028-02-29", 89),
    ],
)
def test_the_bond_basis(first, then, parts):
    assert years_between(*days(first, then), DayCount.THIRTY_360) == Fraction(parts, 360)


@pytest.mark.parametrize(
    ("terms", "expected"),
    [
        pytest.param(loan(1, 0, 3), days("2026-12-31", "2027-01-31", "2027-02-28"), id="the group may meet until the month ends"),
        pytest.param(loan(1, 0, 2, given_on=date(2027, 1, 31), month_end=MonthEnd.ROLL), days("2027-02-28", "2027-03-31"), id="no month is left out"),
        pytest.param(loan(1, 0, 2, first_due_on=date(2027, 3, 5)), days("2027-03-31", "2027-04-30"), id="the month of the first"),
        pytest.param(loan(1, 0, 3, frequency=Frequency.WEEKLY), days("2026-12-07", "2026-12-14", "2026-12-21"), id="weeks"),
        pytest.param(loan(1, 0, 2, frequency=Frequency.FORTNIGHTLY), days("2026-12-14", "2026-12-28"), id="fortnights"),
        pytest.param(
            loan(1, 0, 2, frequency=Frequency.WEEKLY, first_due_on=date(2026, 12, 3)), days("2026-12-03", "2026-12-10"), id="weeks after the first"
        ),
        pytest.param(
            loan(1, 0, 4, frequency=Frequency.MONTHLY, given_on=date(2028, 1, 31)),
            days("2028-02-29", "2028-03-31", "2028-04-30", "2028-05-31"),
            id="the 31st comes back",
        ),
        pytest.param(
            loan(1, 0, 4, frequency=Frequency.MONTHLY, given_on=date(2027, 1, 31), month_end=MonthEnd.ROLL),
            days("2027-03-01", "2027-03-31", "2027-05-01", "2027-05-31"),
            id="the first of the next, and the 31st comes back",
        ),
        pytest.param(
            loan(1, 0, 3, frequency=Frequency.MONTHLY, given_on=date(2027, 1, 10), first_due_on=date(2027, 3, 31)),
            days("2027-03-31", "2027-04-30", "2027-05-31"),
            id="counted from the first",
        ),
        pytest.param(
            loan(1, 0, 3, frequency=Frequency.MONTHLY, given_on=date(2027, 1, 31), first_due_on=date(2027, 2, 28)),
            days("2027-02-28", "2027-03-28", "2027-04-28"),
            id="on the day of the first where that is said",
        ),
        pytest.param(loan(1, 0, 2, frequency=Frequency.QUARTERLY), days("2027-02-28", "2027-05-30"), id="quarters"),
        pytest.param(loan(1, 0, 2, frequency=Frequency.HALF_YEARLY), days("2027-05-30", "2027-11-30"), id="half years"),
        pytest.param(
            loan(1, 0, 4, frequency=Frequency.YEARLY, given_on=date(2024, 2, 29)),
            days("2025-02-28", "2026-02-28", "2027-02-28", "2028-02-29"),
            id="the leap day comes back",
        ),
        pytest.param(
            loan(1, 0, 1, frequency=Frequency.MONTHLY, moratorium=2), days("2026-12-30", "2027-01-30", "2027-02-28"), id="a moratorium's periods too"
        ),
    ],
)
def test_due_days(terms, expected):
    assert list(due_days(terms)) == expected


@given(any_terms())
def test_due_days_come_one_after_another_and_after_the_loan(terms):
    ends = due_days(terms)
    assert len(ends) == terms.moratorium + terms.instalments
    assert all(first < then for first, then in pairwise((terms.given_on, *ends)))
    if terms.frequency is Frequency.MEETING:
        return
    first = terms.first_due_on or ends[0]
    assert ends[0] == first
    if terms.frequency in IN_MONTHS and terms.first_due_on:
        # Each is as many months after the first, on its day where the month has it.
        assert {end.day for end in ends if end.day not in {1, 28, 29, 30}} <= {first.day}


@given(any_terms(frequency=st.sampled_from([one for one in Frequency if one is not Frequency.MEETING])))
def test_actual_days_are_counted_once(terms):
    """However they fall into periods, from the loan to its end every day counts."""
    last = due_days(terms)[-1]
    for day_count in (DayCount.ACTUAL_365, DayCount.ACTUAL_ACTUAL):
        assert sum(years(replace(terms, day_count=day_count))) == years_between(terms.given_on, last, day_count)


@given(st.dates(date(1950, 1, 1), date(2200, 12, 31)), st.integers(0, 1500), st.integers(0, 1500))
def test_a_year_is_a_year_and_time_adds_up(first, days, more):
    then, later = first + timedelta(days=days), first + timedelta(days=days + more)
    for day_count in (DayCount.ACTUAL_365, DayCount.ACTUAL_ACTUAL):
        assert years_between(first, then, day_count) + years_between(then, later, day_count) == years_between(first, later, day_count)
    new_year = date(first.year, 1, 1)
    assert years_between(new_year, new_year.replace(year=first.year + 1), DayCount.ACTUAL_ACTUAL) == 1
    assert years_between(new_year, new_year.replace(year=first.year + 1), DayCount.THIRTY_360) == 1


def test_a_leap_year_makes_a_day_cheaper():
    of_february = [
        schedule(loan(36_600, 10, 1, frequency=Frequency.MONTHLY, day_count=day_count, given_on=date(2028, 2, 1), rounding_paise=1))[0].interest_paise
        for day_count in DayCount
    ]
    assert of_february == [305_00, 290_79, 290_00]


# A first period of its own.


def test_a_long_first_month_of_meetings_is_so_many_months_each_rounded():
    long = loan(1_025, 12, 10, first_due_on=date(2027, 2, 10))
    assert schedule(long)[0].interest_paise == 3 * 10_00
    assert schedule(long)[0].due_on == date(2027, 2, 28)
    assert schedule(loan(1_050, 12, 10, first_due_on=date(2027, 2, 10)))[0].interest_paise == 3 * 11_00


@pytest.mark.parametrize(
    ("first_due_on", "interest"),
    [("2027-02-28", 100_00), ("2027-02-15", 50_00), ("2027-03-31", 200_00), ("2027-04-30", 300_00)],
)
def test_a_regular_first_period_is_regular_and_another_is_by_the_bond_basis(first_due_on, interest):
    terms = loan(10_000, 12, 12, frequency=Frequency.MONTHLY, given_on=date(2027, 1, 31), first_due_on=date.fromisoformat(first_due_on))
    assert schedule(terms)[0].interest_paise == interest
    assert all(year == Fraction(1, 12) for year in years(terms)[1:])


def test_interest_of_a_long_first_period_is_asked_as_the_instalments_allow_and_bears_none_itself():
    long = loan(12_000, 36, 12, frequency=Frequency.MONTHLY, given_on=date(2027, 1, 1), first_due_on=date(2028, 1, 1), day_count=DayCount.ACTUAL_365)
    first, second, third, fourth, fifth, *_ = schedule(long)
    asked_each = instalment_paise(long)
    assert asked_each > exact_instalment(long)  # The difference is spread.
    # Of a year: 4,320; it takes some instalments before any principal is repaid, and each month meanwhile bears as much as its days.
    assert [row.total_paise for row in (first, second, third, fourth, fifth)] == [asked_each] * 5
    assert first.principal_paise == second.principal_paise == 0
    months = [31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30]
    owed = 4_320_00
    for row, days_of in zip(schedule(long)[1:], months, strict=True):
        owed += rounded(Fraction((row.balance_paise + row.principal_paise) * 36 * days_of, 36_500), 100, Rounding.HALF_UP)
    assert sum(row.interest_paise for row in schedule(long)) == owed


def test_what_no_instalment_had_room_for_is_asked_with_the_last():
    """At 50% an instalment is hardly more than a quarter's interest, so that of a first period of 199 days is never caught up with."""
    terms = loan(1_000, 50, 60, frequency=Frequency.QUARTERLY, given_on=date(2027, 1, 1), first_due_on=date(2027, 7, 20))
    assert totals(terms)[:-1] == [125_00] * 59
    assert asked(terms)[-1] == (276, 1000, 0)
    assert sum(row.interest_paise for row in schedule(terms)) == 276_00 + 59 * 125_00


# A moratorium.


@pytest.mark.parametrize("method", Method)
def test_interest_of_a_moratorium_is_paid_in_it(method):
    terms = replace(TEN_THOUSAND, method=method, moratorium=3)
    assert asked(terms)[:3] == [(200, 0, 10_000)] * 3
    assert asked(terms)[3:] == asked(replace(TEN_THOUSAND, method=method))
    assert instalment_paise(terms) == instalment_paise(replace(TEN_THOUSAND, method=method))
    assert [row.due_on for row in schedule(terms)] == list(due_days(terms))


@pytest.mark.parametrize("method", Method)
def test_interest_that_a_moratorium_accrues_is_asked_with_the_instalments_and_never_compounded(method):
    terms = replace(TEN_THOUSAND, method=method, moratorium=4, moratorium_interest=Moratorium.ACCRUED, instalments=9)
    rows, plain = schedule(terms), schedule(replace(TEN_THOUSAND, method=method, instalments=9))
    assert asked(terms)[:4] == [(0, 0, 10_000)] * 4
    # 800 in nine: 89 each, and what is left.
    assert [row.of_moratorium_paise for row in rows[4:]] == [89_00] * 8 + [88_00]
    assert [(row.interest_paise - row.of_moratorium_paise, row.principal_paise, row.balance_paise) for row in rows[4:]] == [
        (row.interest_paise, row.principal_paise, row.balance_paise) for row in plain
    ]
    assert instalment_paise(terms) == instalment_paise(replace(TEN_THOUSAND, method=method, instalments=9))


def test_what_a_moratorium_left_is_asked_from_the_first_instalments_where_there_is_less_than_a_unit_for_each():
    terms = loan(100, 36, 12, moratorium=2, moratorium_interest=Moratorium.ACCRUED)
    assert [row.of_moratorium_paise for row in schedule(terms)] == [0, 0] + [1_00] * 6 + [0] * 6
    assert sum(row.of_moratorium_paise for row in schedule(replace(terms, rounding=Rounding.HALF_EVEN))) == 6_00


def test_the_first_period_may_be_one_of_the_moratorium():
    terms = loan(10_000, 24, 10, moratorium=2, first_due_on=date(2027, 2, 1))
    assert asked(terms)[:3] == [(600, 0, 10_000), (200, 0, 10_000), (200, 913, 9087)]


# Rounding, small loans, the last instalment.


@pytest.mark.parametrize(
    ("exact", "unit", "half_up", "half_even"),
    [
        ("0", 100, 0, 0),
        ("49.99", 100, 0, 0),
        ("50", 100, 100, 0),
        ("150", 100, 200, 200),
        ("250", 100, 300, 200),
        ("250.001", 100, 300, 300),
        ("0.5", 1, 1, 0),
        ("75", 50, 100, 100),
        ("25", 50, 50, 0),
        ("1500", 1000, 2000, 2000),
        ("2500", 1000, 3000, 2000),
        ("15", 10, 20, 20),
        ("2.5", 1, 3, 2),
    ],
)
def test_rounding(exact, unit, half_up, half_even):
    assert rounded(Fraction(exact), unit, Rounding.HALF_UP) == half_up
    assert rounded(Fraction(exact), unit, Rounding.HALF_EVEN) == half_even


@given(st.fractions(0, 10**9), st.sampled_from((1, 10, 50, 100, 500, 1000)), st.sampled_from(Rounding))
def test_what_is_rounded_is_the_nearest_multiple(exact, unit, rounding):
    found = rounded(exact, unit, rounding)
    assert found % unit == 0
    assert abs(found - exact) <= Fraction(unit, 2)


@pytest.mark.parametrize(
    ("terms", "expected"),
    [
        pytest.param(loan(3, 0, 12), [1_00] * 3, id="a rupee is the least"),
        pytest.param(Terms(3_50, 0, 12, GIVEN_ON), [1_00] * 3 + [50], id="odd paise come last"),
        pytest.param(Terms(40, 0, 6, GIVEN_ON), [40], id="less than a unit"),
        pytest.param(loan(1_000, 0, 52, rounding_paise=1000), [20_00] * 50, id="19.23 rounded up is done in 50 weeks"),
        pytest.param(loan(6, 0, 5), [1_00] * 4 + [2_00], id="the last may be twice the others"),
        pytest.param(loan(170, 0, 120), [1_00] * 119 + [51_00], id="the last takes what is left, up to half a unit each"),
        pytest.param(loan(50, 12, 120), [1_00] * 119 + [51_00], id="rounded interest eats the instalment"),
        pytest.param(loan(1_000, 24, 1), [1_020_00], id="one month"),
        pytest.param(loan(10_000, 24, 2, rounding_paise=1), [5150_50, 5150_49], id="to the paisa"),
        pytest.param(Terms(1, 2400, 12, GIVEN_ON, 1), [1], id="a paisa"),
    ],
)
def test_small_and_short_loans(terms, expected):
    assert totals(terms) == expected
    assert instalment_paise(terms) == expected[0]


@pytest.mark.parametrize("method", [Method.EQUAL_PRINCIPAL, Method.FLAT])
def test_equal_parts_of_small_loans(method):
    parts = [row.principal_paise for row in schedule(loan(1_000, 0, 52, rounding_paise=1000, method=method))]
    assert parts == [20_00] * 50
    assert [row.principal_paise for row in schedule(loan(1_000, 12, 3, method=method))] == [333_00, 333_00, 334_00]
    assert [row.principal_paise for row in schedule(Terms(40, 1200, 6, GIVEN_ON, method=method))] == [40]


def test_flat_interest_is_of_all_the_time_agreed_in_equal_parts():
    terms = loan(5_000, 18, 12, method=Method.FLAT)
    assert [row.interest_paise for row in schedule(terms)] == [75_00] * 12
    assert [row.principal_paise for row in schedule(terms)] == [417_00] * 11 + [413_00]
    assert [row.interest_paise for row in schedule(loan(1_000, 10, 7, method=Method.FLAT))] == [8_00] * 6 + [10_00]
    # 250 in the 50 instalments that there are, and not in 52: five each, which by tens are ten.
    tens = loan(1_000, 5.77, 52, method=Method.FLAT, rounding_paise=1000)
    assert [row.interest_paise for row in schedule(tens)] == [10_00] * 25 + [0] * 25
    # By the days from the loan to its end, of any year.
    actual = loan(36_500, 10, 4, method=Method.FLAT, frequency=Frequency.WEEKLY, day_count=DayCount.ACTUAL_365)
    assert sum(row.interest_paise for row in schedule(actual)) == 280_00


def test_a_difference_that_is_large_is_spread_once_and_kept_where_it_grows_smaller():
    """Ten lakh at 12% for ten years by the days of each month: more days of interest than the formula knows."""
    terms = loan(1_000_000, 12, 120, frequency=Frequency.MONTHLY, day_count=DayCount.ACTUAL_365, given_on=date(2026, 1, 1))
    by_formula = rounded(exact_instalment(terms), 100, Rounding.HALF_UP)
    assert by_formula == 14_347_00
    each, last = instalment_paise(terms), totals(terms)[-1]
    assert each > by_formula
    as_asked = left_at_the_end(terms, by_formula) - by_formula
    assert as_asked > 60_00
    assert each - by_formula == rounded(Fraction(as_asked, 120), 100, Rounding.HALF_UP)
    assert abs(last - each) < as_asked


def test_a_difference_that_would_grow_is_not_spread():
    """At 36% for fifty years a rupee less a month is lakhs at the end; what is spread evenly overshoots."""
    terms = loan(100_000, 36, 600)
    assert instalment_paise(terms) == 3_000_00
    assert totals(terms) == [3_000_00] * 599 + [103_000_00]


def test_a_difference_of_half_a_unit_an_instalment_is_left_to_the_last():
    assert totals(loan(15, 0, 10)) == [2_00] * 7 + [1_00]
    assert totals(loan(15, 0, 10, rounding=Rounding.HALF_EVEN)) == [2_00] * 7 + [1_00]
    assert totals(loan(25, 0, 10, rounding=Rounding.HALF_EVEN)) == [2_00] * 9 + [7_00]


def left_at_the_end(terms, each):
    """What the last instalment takes where the others ask so much, worked out without the engine's rows."""
    balance, parts = terms.principal_paise, years(terms)
    for part in parts[:-1]:
        balance -= each - rounded(balance * part * terms.annual_rate_basis_points / 10_000, terms.rounding_paise, terms.rounding)
    return balance + rounded(balance * parts[-1] * terms.annual_rate_basis_points / 10_000, terms.rounding_paise, terms.rounding)


# Of every schedule.


def check_schedule(terms):
    rows, parts = schedule(terms), years(terms)
    before, after = rows[: terms.moratorium], rows[terms.moratorium :]
    assert [row.number for row in rows] == list(range(1, len(rows) + 1))
    assert [row.due_on for row in rows] == list(due_days(terms))[: len(rows)]
    assert 1 <= len(after) <= terms.instalments
    # Principal: all of it, none in the moratorium, never more than there is.
    assert sum(row.principal_paise for row in rows) == terms.principal_paise
    assert all(row.principal_paise >= 0 for row in rows)
    assert [row.balance_paise for row in rows] == [terms.principal_paise - paid for paid in accumulate(row.principal_paise for row in rows)]
    assert min(row.balance_paise for row in rows) == rows[-1].balance_paise == 0
    assert all(row.principal_paise == 0 for row in before)
    # Interest: each period's once, on what was outstanding in it, no sooner asked than it was owed.
    accrued = [interest_of(terms, terms.principal_paise, part) for part in parts[: terms.moratorium]]
    assert all(row.interest_paise >= row.of_moratorium_paise >= 0 for row in rows)
    if terms.moratorium_interest is Moratorium.PAID:
        assert [row.interest_paise for row in before] == accrued
        assert not any(row.of_moratorium_paise for row in rows)
    else:
        assert not any(row.interest_paise for row in before)
        assert sum(row.of_moratorium_paise for row in after) == sum(accrued)
    of_instalments = [row.interest_paise - row.of_moratorium_paise for row in after]
    if terms.method is Method.FLAT:
        exact = terms.principal_paise * sum(parts[terms.moratorium :]) * terms.annual_rate_basis_points / 10_000
        assert sum(of_instalments) == rounded(exact, terms.rounding_paise, terms.rounding)
    else:
        owed = list(
            accumulate(
                interest_of(terms, row.balance_paise + row.principal_paise, part) for row, part in zip(after, parts[len(before) :], strict=False)
            )
        )
        asked = list(accumulate(of_instalments))
        assert asked[-1] == owed[-1]
        assert all(one <= most for one, most in zip(asked, owed, strict=True))
        assert terms.method is Method.DECLINING or asked == owed
    # What is asked is in the unit, but for the last.
    assert all(row.interest_paise % terms.rounding_paise == row.of_moratorium_paise % terms.rounding_paise == 0 for row in rows)
    assert all(row.principal_paise % terms.rounding_paise == 0 for row in rows[:-1])


@given(any_terms())
def test_every_schedule_repays_the_principal_and_asks_all_interest_once(terms):
    check_schedule(terms)


@pytest.mark.parametrize("kinds", ALL_KINDS, ids="-".join)
def test_every_kind_of_loan(kinds):
    """One ordinary loan and a tiny one of each, so that none depends on what the property above happens to draw."""
    method, frequency, day_count, month_end, moratorium_interest, rounding = kinds
    for principal_paise, instalments, first_due_on in ((10_000_00, 24, None), (37_41, 10, date(2027, 3, 31))):
        terms = Terms(
            principal_paise,
            2400,
            instalments,
            date(2026, 12, 31),
            100,
            method,
            frequency,
            day_count,
            first_due_on,
            month_end,
            2,
            moratorium_interest,
            rounding,
        )
        check_schedule(terms)


@given(any_terms(method=st.just(Method.DECLINING)))
def test_equal_instalments_are_equal_but_the_last(terms):
    rows = schedule(terms)[terms.moratorium :]
    each = [row.total_paise - row.of_moratorium_paise for row in rows]
    assert each[:-1] == [instalment_paise(terms)] * (len(rows) - 1)
    assert each[-1] > 0


@given(any_terms(), st.data())
def test_regular_instalments_are_within_a_unit_of_the_closed_formula(terms, data):
    """Of all methods, where each period is of the regular length; one that may take fewer instalments is too small to ask a unit each."""
    regular = replace(terms, first_due_on=None, day_count=DayCount.THIRTY_360)
    assume(regular.instalments > 1)
    assume(regular.method is Method.DECLINING or regular.principal_paise >= regular.instalments * regular.rounding_paise)
    assume(regular.method is not Method.FLAT or len(schedule(regular)) == regular.periods)
    assume(len(schedule(regular)) > regular.moratorium + 1)
    assert abs(instalment_paise(regular) - exact_instalment(regular)) <= regular.rounding_paise


@given(any_terms(least_paise=10_000_00, method=st.just(Method.DECLINING), rounding_paise=st.just(100), annual_rate_basis_points=st.integers(0, 3600)))
def test_an_instalment_is_the_closed_formula_rounded_unless_the_difference_is_spread(terms):
    """Of all day counts and first periods: either the nearest unit, or moved by its share of a difference that then grew smaller."""
    assume(terms.instalments > 1)
    each, nearest = instalment_paise(terms), max(rounded(exact_instalment(terms), 100, terms.rounding), 100)
    if each != nearest:
        difference = (each - nearest) * terms.instalments
        assert abs(difference) >= 100 * terms.instalments
        rows = schedule(terms)[terms.moratorium :]
        left = sum(row.total_paise - row.of_moratorium_paise for row in rows) - each * terms.instalments
        assert abs(left) < abs(difference) + 50 * terms.instalments


@given(any_terms())
def test_at_no_interest_none_is_asked_by_any_method(terms):
    free = replace(terms, annual_rate_basis_points=0)
    assert not any(row.interest_paise for row in schedule(free))
    assert {method: sum(row.principal_paise for row in schedule(replace(free, method=method))) for method in Method} == dict.fromkeys(
        Method, terms.principal_paise
    )


def test_what_is_worked_out_is_what_is_remembered():
    assert schedule(TEN_THOUSAND) is schedule(replace(TEN_THOUSAND))
    assert worked_out(TEN_THOUSAND) == schedule(TEN_THOUSAND)
    assert regular_years(TEN_THOUSAND) == Fraction(1, 12)
