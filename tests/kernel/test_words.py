"""Region, month, money, ids, codes and phones: the small words, as tables."""

import random
from datetime import UTC, date, datetime
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.kernel import codes, ids, money, month, phone, region
from services.kernel.errors import Invalid


@pytest.mark.parametrize(
    ("wider", "path", "within"),
    [
        ("", "9", True),
        ("", "", True),
        ("9", "9", True),
        ("9", "9.178.1204", True),
        ("9.178", "9.1789", False),
        ("9.178.1204", "9.178", False),
        ("9", "90.1", False),
        ("10", "1", False),
    ],
)
def test_a_wider_region_is_a_prefix_of_whole_codes(wider, path, within):
    assert region.contains(wider, path) is within


def test_ancestors_begin_at_the_state_and_end_at_the_region_itself():
    assert region.ancestors("9.178.1204") == ["9", "9.178", "9.178.1204"]
    assert region.ancestors("") == []
    assert region.at_level("9.178.1204.77.5", region.Level.BLOCK) == "9.178.1204"
    assert region.at_level("9.178", region.Level.NATION) == ""


@pytest.mark.parametrize("path", ["x", "9..1", "9.178.1.2.3.4", "9.-1", "9.१", "9.12345678", ".9", "9 ", "9;drop"])
def test_what_is_no_path_is_refused(path):
    with pytest.raises(Invalid) as refused:
        region.check_region(path)
    assert refused.value.code == "REGION_INVALID"


@pytest.mark.parametrize(
    ("text", "code"),
    [("2026-13", "MONTH_INVALID"), ("26-01", "MONTH_INVALID"), ("2026-1-", "MONTH_INVALID"), ("2027-01", "MONTH_IN_FUTURE"), ("", "MONTH_INVALID")],
)
def test_a_month_is_a_month_that_has_come(text, code):
    with pytest.raises(Invalid) as refused:
        month.parse_month(text, "from_month", latest="2026-11")
    assert refused.value.code == code
    assert refused.value.field == "from_month"


def test_the_business_date_is_indias():
    assert month.business_date(datetime(2026, 3, 31, 18, 29, tzinfo=UTC)) == date(2026, 3, 31)
    assert month.business_date(datetime(2026, 3, 31, 18, 30, tzinfo=UTC)) == date(2026, 4, 1)
    assert month.financial_year(date(2026, 3, 31)) == "2025-26"
    assert month.financial_year(date(2026, 4, 1)) == "2026-27"


@pytest.mark.parametrize("text", ["2026-02-30", "20260101", "01-01-2026", "2026-1-1", "", "tomorrow"])
def test_a_date_is_written_one_way(text):
    with pytest.raises(Invalid):
        month.parse_date(text, "held_on")


@pytest.mark.parametrize(
    ("text", "paise"),
    [("0", 0), ("1,250", 125000), ("1250.5", 125050), ("₹12,34,567.05", 123456705), (" 7 ", 700)],
)
def test_rupees_are_read_as_people_write_them(text, paise):
    assert money.parse_rupees(text, "amount") == paise


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("-5", "AMOUNT_NEGATIVE"),
        ("1.005", "AMOUNT_FRACTIONAL"),
        ("ten", "AMOUNT_INVALID"),
        ("", "AMOUNT_INVALID"),
        ("1e5", "AMOUNT_INVALID"),
        ("99999999999999", "AMOUNT_TOO_LARGE"),
    ],
)
def test_what_is_no_amount_is_refused(text, code):
    with pytest.raises(Invalid) as refused:
        money.parse_rupees(text, "amount")
    assert refused.value.code == code


@pytest.mark.parametrize("amount", [1.0, True, "5"])
def test_an_amount_that_is_no_integer_is_refused(amount):
    with pytest.raises(Invalid) as refused:
        money.check_amount(amount, "amount_paise")
    assert refused.value.code == "AMOUNT_FRACTIONAL"


@given(st.integers(min_value=0, max_value=money.AMOUNT_PAISE_MAX))
def test_what_a_screen_shows_reads_back_as_the_same_amount(amount_paise):
    assert money.parse_rupees(money.rupees(amount_paise), "amount") == amount_paise


def test_numbers_are_spoken_in_lakh_and_crore():
    assert money.in_words(100_300_000) == "10.03 crore"
    assert money.in_words(99_999) == "99,999"
    assert money.in_words(199_999) == "1.99 lakh"
    assert money.grouped(-1234567) == "-12,34,567"


@given(st.integers(min_value=1, max_value=codes.SERIAL_MAX), st.sampled_from("MSVC"), st.integers(1, 38), st.data())
def test_a_code_shows_every_wrong_digit_and_every_swapped_pair(serial, letter, state, data):
    code = codes.issue(letter, state, serial)
    assert len(code) == codes.CODE_LENGTH
    assert codes.check_code(code, "code") == code
    place = data.draw(st.integers(1, len(code) - 2))
    wrong = data.draw(st.sampled_from([digit for digit in "0123456789" if digit != code[place]]))
    for spoilt in (code[:place] + wrong + code[place + 1 :], code[:place] + code[place + 1] + code[place] + code[place + 2 :]):
        if spoilt != code:
            with pytest.raises(Invalid):
                codes.check_code(spoilt, "code")


def test_ids_sort_by_their_millisecond_and_only_they_are_taken():
    moments = [1_000.0, 1_000.001, 2_000_000_000.0]
    made = [ids.uuid7(moment) for moment in moments]
    assert made == sorted(made)
    assert ids.parse_id(str(made[0]), "id") == made[0]
    assert made[0].variant == UUID("00000000-0000-7000-8000-000000000000").variant
    for wrong in (str(uuid4()), "", "7", made[0].hex, str(made[0]) + " "):
        with pytest.raises(Invalid):
            ids.parse_id(wrong, "id")
    assert ids.derived("a", 1) == ids.derived("a", 1) != ids.derived("a", 2)


@pytest.mark.parametrize("text", ["5123456789", "98765", "9876543210987", "98765४३२१०", "", "+919876"])
def test_what_is_no_mobile_number_is_refused(text):
    with pytest.raises(Invalid):
        phone.check_mobile(text, "mobile")


def test_a_mobile_number_is_kept_as_ten_digits():
    assert phone.check_mobile("+91 98765 43210", "mobile") == "9876543210"
    assert phone.check_mobile("", "mobile", needed=False) == ""


def test_uuid7_is_random_beyond_its_time():
    random.seed(0)
    assert len({ids.uuid7(5.0) for _ in range(100)}) == 100
