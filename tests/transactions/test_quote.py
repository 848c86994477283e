"""A loan as others write it, its schedule over the servicer and from the command line: one set of rules, no books."""

import json
import subprocess
import sys
from datetime import date
from fractions import Fraction
from itertools import product
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protos import transactions_pb2 as pb
from services.kernel.errors import Invalid
from services.transactions.rules import quote
from services.transactions.rules.schedule import KINDS, DayCount, Frequency, Method, MonthEnd, Moratorium, Rounding, Terms, schedule
from services.transactions.servicer import Servicer

ROOT = Path(__file__).parents[2]
RESPONSE_BYTES_MAX = 4 * 2**20  # What a gRPC client takes unless told otherwise.
TEN_THOUSAND = {"principal_paise": 10_000_00, "annual_rate_basis_points": 2400, "instalments": 10, "given_on": "2026-11-30"}
OF_WEEKS = {**TEN_THOUSAND, "frequency": "WEEKLY"}
MONTHLY = {**TEN_THOUSAND, "frequency": "MONTHLY"}


def refused(loan):
    with pytest.raises(Invalid) as refusal:
        quote.read(loan)
    assert str(refusal.value)
    return refusal.value.code, refusal.value.field


# The rules.


def test_what_is_left_out_is_as_usual():
    assert quote.read(TEN_THOUSAND) == Terms(10_000_00, 2400, 10, date(2026, 11, 30))
    assert quote.read({**TEN_THOUSAND, "method": "", "first_due_on": None, "moratorium": None, "rounding_paise": ""}) == quote.read(TEN_THOUSAND)


def test_all_that_may_be_said():
    said = {
        **TEN_THOUSAND,
        "rounding_paise": 1000,
        "method": "FLAT",
        "frequency": "HALF_YEARLY",
        "day_count": "ACTUAL/ACTUAL",
        "first_due_on": "2027-01-31",
        "month_end": "ROLL",
        "moratorium": 3,
        "moratorium_interest": "ACCRUED",
        "rounding": "HALF_EVEN",
    }
    assert set(said) == set(quote.NAMES)
    assert quote.read(said) == Terms(
        principal_paise=10_000_00,
        annual_rate_basis_points=2400,
        instalments=10,
        given_on=date(2026, 11, 30),
        rounding_paise=1000,
        method=Method.FLAT,
        frequency=Frequency.HALF_YEARLY,
        day_count=DayCount.ACTUAL_ACTUAL,
        first_due_on=date(2027, 1, 31),
        month_end=MonthEnd.ROLL,
        moratorium=3,
        moratorium_interest=Moratorium.ACCRUED,
        rounding=Rounding.HALF_EVEN,
    )


@pytest.mark.parametrize(("name", "kind"), [(name, one) for name, kind in KINDS.items() for one in kind])
def test_each_kind_is_read_as_it_is_written_and_by_its_name(name, kind):
    assert getattr(quote.read({**TEN_THOUSAND, name: kind.value}), name) is kind
    assert getattr(quote.read({**TEN_THOUSAND, name: kind.name}), name) is kind


@pytest.mark.parametrize("frequency", Frequency)
def test_days_are_counted_as_the_domain_does_unless_said(frequency):
    usual = DayCount.ACTUAL_365 if frequency in {Frequency.WEEKLY, Frequency.FORTNIGHTLY} else DayCount.THIRTY_360
    assert quote.read({**TEN_THOUSAND, "frequency": frequency}).day_count is usual
    assert quote.read({**TEN_THOUSAND, "frequency": frequency, "day_count": "30/360"}).day_count is DayCount.THIRTY_360


@pytest.mark.parametrize(
    ("changes", "code", "field"),
    [
        ({"balloon_paise": 1}, "FIELD_UNKNOWN", "balloon_paise"),
        ({"Method": "FLAT"}, "FIELD_UNKNOWN", "Method"),
        ({"principal_paise": None}, "AMOUNT_MISSING", "principal_paise"),
        ({"principal_paise": 0}, "AMOUNT_MISSING", "principal_paise"),
        ({"principal_paise": -1}, "AMOUNT_NEGATIVE", "principal_paise"),
        ({"principal_paise": 10_000.0}, "AMOUNT_FRACTIONAL", "principal_paise"),
        ({"principal_paise": "1000000"}, "AMOUNT_FRACTIONAL", "principal_paise"),
        ({"principal_paise": True}, "AMOUNT_FRACTIONAL", "principal_paise"),
        ({"principal_paise": 10**12 + 1}, "AMOUNT_TOO_LARGE", "principal_paise"),
        ({"annual_rate_basis_points": None}, "RATE_INVALID", "annual_rate_basis_points"),
        ({"annual_rate_basis_points": -1}, "RATE_INVALID", "annual_rate_basis_points"),
        ({"annual_rate_basis_points": 10_001}, "RATE_INVALID", "annual_rate_basis_points"),
        ({"annual_rate_basis_points": 24.5}, "RATE_INVALID", "annual_rate_basis_points"),
        ({"annual_rate_basis_points": False}, "RATE_INVALID", "annual_rate_basis_points"),
        ({"instalments": None}, "INSTALMENTS_INVALID", "instalments"),
        ({"instalments": 0}, "INSTALMENTS_INVALID", "instalments"),
        ({"instalments": 601}, "INSTALMENTS_INVALID", "instalments"),
        ({"instalments": "10"}, "INSTALMENTS_INVALID", "instalments"),
        ({"moratorium": -1}, "MORATORIUM_INVALID", "moratorium"),
        ({"moratorium": 121}, "MORATORIUM_INVALID", "moratorium"),
        ({"rounding_paise": 25}, "ROUNDING_INVALID", "rounding_paise"),
        ({"rounding_paise": 0}, "ROUNDING_INVALID", "rounding_paise"),
        ({"rounding_paise": 100.0}, "ROUNDING_INVALID", "rounding_paise"),
        ({"method": "EMI"}, "TERMS_UNKNOWN", "method"),
        ({"method": "flat"}, "TERMS_UNKNOWN", "method"),
        ({"frequency": "DAILY"}, "TERMS_UNKNOWN", "frequency"),
        ({"day_count": "ACTUAL/360"}, "TERMS_UNKNOWN", "day_count"),
        ({"day_count": 30}, "TERMS_UNKNOWN", "day_count"),
        ({"month_end": ["CLAMP"]}, "TERMS_UNKNOWN", "month_end"),
        ({"moratorium_interest": "WAIVED"}, "TERMS_UNKNOWN", "moratorium_interest"),
        ({"rounding": "UP"}, "TERMS_UNKNOWN", "rounding"),
        ({"given_on": None}, "DATE_INVALID", "given_on"),
        ({"given_on": "30-11-2026"}, "DATE_INVALID", "given_on"),
        ({"given_on": 20261130}, "DATE_INVALID", "given_on"),
        ({"given_on": "1949-12-31"}, "GIVEN_ON_TOO_FAR", "given_on"),
        ({"given_on": "2101-01-01"}, "GIVEN_ON_TOO_FAR", "given_on"),
        ({"first_due_on": "2027-02-30"}, "DATE_INVALID", "first_due_on"),
    ],
)
def test_what_is_no_loan_is_refused_by_code_and_field(changes, code, field):
    assert refused({**TEN_THOUSAND, **changes}) == (code, field)


@pytest.mark.parametrize("loan", [None, 7, "loan", [TEN_THOUSAND]])
def test_what_is_no_object_is_no_loan(loan):
    assert refused(loan) == ("LOAN_INVALID", "")


@pytest.mark.parametrize(
    ("loan", "first", "last"),
    [
        (TEN_THOUSAND, "2026-12-01", "2028-01-01"),
        (OF_WEEKS, "2026-12-01", "2027-12-08"),
        (MONTHLY, "2026-12-01", "2027-12-31"),
        ({**TEN_THOUSAND, "frequency": "YEARLY"}, "2026-12-01", "2028-11-30"),
    ],
)
def test_the_first_period_ends_after_the_loan_and_within_a_year_and_a_period(loan, first, last):
    too_early, too_late = date.fromordinal(date.fromisoformat(first).toordinal() - 1), date.fromordinal(date.fromisoformat(last).toordinal() + 1)
    for good in (first, last):
        assert quote.read({**loan, "first_due_on": good}).first_due_on == date.fromisoformat(good)
    for bad in (too_early, too_late):
        assert refused({**loan, "first_due_on": bad.isoformat()}) == ("FIRST_DUE_INVALID", "first_due_on")


def test_a_loan_repaid_at_meetings_is_not_due_in_the_month_in_which_it_was_given():
    assert refused({**TEN_THOUSAND, "given_on": "2026-11-03", "first_due_on": "2026-11-30"}) == ("FIRST_DUE_INVALID", "first_due_on")
    assert quote.read({**MONTHLY, "given_on": "2026-11-03", "first_due_on": "2026-11-30"})


def test_a_schedule_ends_by_2200():
    late = {**TEN_THOUSAND, "given_on": "2100-12-31", "frequency": "YEARLY"}
    assert quote.read({**late, "instalments": 100})
    assert refused({**late, "instalments": 101}) == ("ENDS_TOO_LATE", "instalments")
    assert refused({**late, "instalments": 1, "moratorium": 100}) == ("ENDS_TOO_LATE", "instalments")
    assert refused({**late, "instalments": 600, "moratorium": 120}) == ("ENDS_TOO_LATE", "instalments")


def test_the_limits_themselves_are_within():
    for changes in ({"instalments": 600}, {"moratorium": 120}, {"annual_rate_basis_points": 0}, {"annual_rate_basis_points": 10_000}):
        assert quote.read({**TEN_THOUSAND, **changes})
    for principal_paise, given_on in product((1, 10**12), ("1950-01-01", "2100-12-31")):
        assert quote.read({**TEN_THOUSAND, "principal_paise": principal_paise, "given_on": given_on})


@pytest.mark.parametrize(
    ("exact", "text"),
    [
        (Fraction(0), "0.000000"),
        (Fraction(2_000_00), "200000.000000"),
        (Fraction(2, 3), "0.666667"),
        (Fraction(1, 2_000_000), "0.000001"),
        (Fraction(1, 2_000_001), "0.000000"),
        (Fraction(19_999_999, 10_000_000), "2.000000"),
        (Fraction(105, 100), "1.050000"),
    ],
)
def test_a_fraction_as_decimals(exact, text):
    assert quote.decimal(exact) == text


def test_a_quote_adds_up():
    shown = quote.plain(quote.quote(quote.read({**TEN_THOUSAND, "moratorium": 2, "moratorium_interest": "ACCRUED"})))
    assert (shown["instalment_paise"], shown["exact_instalment"]) == (1113_00, "111326.527865")
    assert shown["interest_paise"] == 1133_00 + 400_00 == sum(row["interest_paise"] for row in shown["instalments"])
    assert shown["instalments"][2] == {
        "number": 3,
        "due_on": "2027-02-28",
        "interest_paise": 240_00,
        "of_moratorium_paise": 40_00,
        "principal_paise": 913_00,
        "total_paise": 1153_00,
        "balance_paise": 9087_00,
    }


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.floats() | st.text(), st.lists), st.sampled_from(quote.NAMES))
def test_whatever_stands_in_a_field_is_read_or_refused(value, name):
    try:
        field = quote.quote(quote.read({**TEN_THOUSAND, name: value})) and name
    except Invalid as refusal:
        field = refusal.field if str(refusal) else ""
    assert field in quote.NAMES


# Over the servicer.


def wire(loan):
    own = {"principal_paise", "annual_rate_basis_points", "given_on", "rounding_paise"}
    return pb.LoanTerms(
        **{name: value for name, value in loan.items() if name in own}, agreed={name: value for name, value in loan.items() if name not in own}
    )


def ask(*loans):
    return Servicer().QuoteSchedule(pb.QuoteScheduleRequest(loans=loans), None).schedules


def test_the_schedule_of_the_domain_over_the_servicer():
    [answer] = ask(wire(TEN_THOUSAND))
    assert not answer.HasField("refusal")
    assert (answer.instalment_paise, answer.exact_instalment, answer.interest_paise) == (1113_00, "111326.527865", 1133_00)
    assert answer.instalments[9] == pb.QuotedInstalment(
        number=10, due_on="2027-09-30", interest_paise=22_00, principal_paise=1094_00, total_paise=1116_00, balance_paise=0
    )


def test_a_bad_loan_has_its_refusal_in_its_place_and_the_others_their_schedules():
    newer = pb.LoanTerms.FromString(wire(TEN_THOUSAND).SerializeToString() + b"\xa2\x06\x00")  # Its field 100.
    answers = ask(
        wire(TEN_THOUSAND),
        wire({**TEN_THOUSAND, "principal_paise": 0}),
        wire({**TEN_THOUSAND, "method": "EMI"}),
        wire({**TEN_THOUSAND, "instalments": 0}),
        newer,
        pb.LoanTerms(),
        wire(OF_WEEKS),
    )
    assert [(one.refusal.code, one.refusal.field, len(one.instalments)) for one in answers] == [
        ("", "", 10),
        ("AMOUNT_MISSING", "principal_paise", 0),
        ("TERMS_UNKNOWN", "agreed.method", 0),
        ("INSTALMENTS_INVALID", "agreed.instalments", 0),
        ("FIELD_UNKNOWN", "", 0),
        ("AMOUNT_MISSING", "principal_paise", 0),
        ("", "", 10),
    ]
    assert answers[2].refusal.sentence == "This is one of DECLINING, EQUAL_PRINCIPAL, FLAT."


def test_no_interest_may_be_asked_over_the_servicer():
    assert ask(wire({**TEN_THOUSAND, "annual_rate_basis_points": 0}))[0].interest_paise == 0


def test_the_servicer_and_the_rules_read_alike():
    for kinds in product(*KINDS.values()):
        said = {**TEN_THOUSAND, "moratorium": 1, "rounding_paise": 50, **dict(zip(KINDS, map(str, kinds), strict=True))}
        assert ask(wire(said))[0] == pb.QuotedSchedule(**quote.plain(quote.quote(quote.read(said))))


def test_more_loans_than_a_request_may_have_are_refused():
    assert len(ask(*[wire(TEN_THOUSAND)] * quote.LOANS_MAX)) == quote.LOANS_MAX
    with pytest.raises(Invalid) as refusal:
        ask(*[wire(TEN_THOUSAND)] * (quote.LOANS_MAX + 1))
    assert (refusal.value.code, refusal.value.field) == ("LOANS_TOO_MANY", "loans")


def test_the_longest_answer_is_one_that_clients_take():
    longest = {**MONTHLY, "principal_paise": 10**12, "annual_rate_basis_points": 10_000, "rounding_paise": 1, "instalments": 600, "moratorium": 120}
    [answer] = ask(wire({**longest, "moratorium_interest": "ACCRUED", "method": "FLAT"}))
    assert len(answer.instalments) == 720
    assert answer.ByteSize() * quote.LOANS_MAX < RESPONSE_BYTES_MAX


def test_what_others_ask_for_has_no_place_among_what_the_books_remember():
    before = schedule.cache_info().currsize
    ask(wire({**TEN_THOUSAND, "principal_paise": 10_000_07}))
    assert schedule.cache_info().currsize == before


# From the command line.


def run(*words, said=b""):
    """Without any environment, as on a machine that has nothing but the code."""
    return subprocess.run(
        [sys.executable, "-m", "services.transactions", *map(str, words)], cwd=ROOT, env={}, input=said, capture_output=True, check=False
    )


def test_a_file_is_answered_loan_by_loan(tmp_path):
    file = tmp_path / "loans.json"
    file.write_text(json.dumps([TEN_THOUSAND, {**TEN_THOUSAND, "instalments": 0}, 7, OF_WEEKS]))
    ended = run("quote", file)
    assert (ended.returncode, ended.stderr) == (1, b"")
    first, second, third, fourth = json.loads(ended.stdout)
    assert first == quote.plain(quote.quote(quote.read(TEN_THOUSAND)))
    assert second == {"refusal": {"code": "INSTALMENTS_INVALID", "sentence": "Say how many instalments there are, 1 to 600.", "field": "instalments"}}
    assert third["refusal"]["code"] == "LOAN_INVALID"
    assert fourth["instalments"][0]["due_on"] == "2026-12-07"


def test_standard_input_is_a_file_too():
    ended = run("quote", "-", "--indent", said=json.dumps([TEN_THOUSAND]).encode())
    assert (ended.returncode, ended.stderr) == (0, b"")
    assert json.loads(ended.stdout)[0]["instalment_paise"] == 1113_00
    assert ended.stdout.startswith(b'[\n  {\n    "instalment_paise": 111300,\n')


@pytest.mark.parametrize(
    ("said", "sentence"),
    [
        (b"", b"- is no JSON: "),
        (b"principal_paise;10000", b"- is no JSON: "),
        (b"\xff\xfe\xfa", b"- is no JSON: "),
        (b"[" * 100_000, b"- is no JSON: "),
        (json.dumps(TEN_THOUSAND).encode(), b"- is JSON, but no list of loans.\n"),
    ],
)
def test_what_is_no_list_is_said_to_be_none(said, sentence):
    ended = run("quote", "-", said=said)
    assert (ended.returncode, ended.stdout) == (2, b"")
    assert ended.stderr.startswith(sentence)
    assert ended.stderr.count(b"\n") == 1


def test_a_file_that_is_not_there_is_named(tmp_path):
    ended = run("quote", tmp_path / "none.json")
    assert (ended.returncode, ended.stdout) == (2, b"")
    assert ended.stderr == f"{tmp_path}/none.json cannot be read: No such file or directory.\n".encode()


def test_the_page_shows_what_the_command_prints():
    page = (ROOT / "docs/quote.md").read_text()
    asked, answered = (part.partition("```")[0] for part in page.split("```json\n")[1:3])
    assert [quote.plain(quote.quote(quote.read(loan))) for loan in json.loads(asked)] == json.loads(answered)


def test_the_page_names_every_field_kind_and_refusal():
    page = (ROOT / "docs/quote.md").read_text()
    for name in (*quote.NAMES, *(one.value for kind in KINDS.values() for one in kind)):
        assert f"`{name}`" in page, name
    comment = (ROOT / "protos/transactions.proto").read_text().partition("rpc QuoteSchedule")[0].rpartition("Errors:")[2]
    for code in comment.replace("//", "").split("in the items")[1].replace(".", ",").split(","):
        word = code.split("(")[0].strip().rstrip("*_")
        if word.isupper():
            assert f"`{word}" in page, word
