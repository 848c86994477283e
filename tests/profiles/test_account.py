"""Bank accounts: rules, the list of branches, the penny-drop service through HTTP, and what work asks it, each attempt once."""

import json
import logging
import threading
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import delete, select, text, update

from services.chassis import audit, database
from services.chassis.jobs import jobs as jobs_table
from services.chassis.work import Worker, jobs_of
from services.kernel.caller import Caller, Role
from services.kernel.errors import Refused
from services.kernel.ids import uuid7
from services.profiles import __main__ as command_line
from services.profiles import jobs, queries
from services.profiles.adapters import bank, bank_sandbox, ifsc
from services.profiles.commands import account
from services.profiles.rules import account as rules
from services.profiles.rules.account import Answer, Branch, Outcome
from services.profiles.servicer import show
from services.profiles.tables import account_checks
from tests.profiles import rows

SERVICE = "profiles"
VILLAGE = "9.178.1504.999011.999111"
NUMBER, IFSC = "1000200917401", "ZZZZ0KLD001"


def code_of(call, *arguments, **named):
    with pytest.raises(Refused) as refused:
        call(*arguments, **named)
    return refused.value.code, refused.value.field


# Rules


@pytest.mark.parametrize(
    ("one", "other", "least", "most"),
    [
        ("Sunita Devi", "SUNITA DEVI", 100, 100),
        ("Sunita Kumari Sharma", "SHARMA SUNITA KUMARI", 100, 100),  # the order of words
        ("Smt. Sunita Sharma", "MRS SUNITA SHARMA", 100, 100),  # honorifics
        ("सुनीता शर्मा", "SUNITA SHARMA", 90, 100),  # script
        ("சுனிதா", "Sunita", 85, 100),
        ("SUNITASHARMA", "Sunita Sharma", 100, 100),  # in one word
        ("Lakshmi Sharma", "LAXMI SHARMA", 90, 99),  # spelling
        ("Sunita Sharma", "S SHARMA", 75, 95),  # initials
        ("Sunita Kumari Sharma", "SUNITA KUMARI SHAR", 80, 99),  # cut off
        ("Sunita", "SUNITA SHARMA", 70, 90),  # a surname that is not there
        ("Sunita Sharma", "SUNITA VERMA", 40, 60),  # another surname
        ("Sunita Sharma", "KAMLA BAI", 0, 20),
        ("Sunita", "", 0, 0),
        ("", "", 0, 0),
        ("12345", "Sunita", 0, 0),
    ],
)
def test_how_well_two_names_fit(one, other, least, most):
    assert least <= rules.name_match(one, other) <= most
    assert rules.name_match(one, other) == rules.name_match(other, one)


@given(st.text(max_size=60), st.text(max_size=60))
def test_any_two_names_have_a_figure_and_the_same_one_from_either_side(one, other):
    assert 0 <= rules.name_match(one, other) == rules.name_match(other, one) <= 100


@pytest.mark.parametrize(("text", "ifsc_code"), [("sbin0 001234", "SBIN0001234"), ("ZZZZ0KLD001", "ZZZZ0KLD001")])
def test_an_ifsc_is_taken_as_people_write_it(text, ifsc_code):
    assert rules.check_ifsc(text, "ifsc") == ifsc_code


@pytest.mark.parametrize("text", ["", "SBIN1001234", "SBI00001234", "SBIN000123", "SBIN00012345", "SBIN0००1234"])
def test_what_has_not_its_form_is_no_ifsc(text):
    assert code_of(rules.check_ifsc, text, "accounts[0].ifsc") == ("IFSC_INVALID", "accounts[0].ifsc")


@pytest.mark.parametrize(
    ("text", "taken"),
    [
        ("123 456", "123456"),
        ("0" * 19 + "1", "0" * 19 + "1"),
        ("sb/12345", ""),
        ("sb 012 345", "SB012345"),
        ("12345", ""),
        ("1" * 21, ""),
        ("ABCDEF", ""),
        ("000000", ""),
        ("ABC000", ""),
        ("१२३४५६", ""),
        ("12345\n6\0", ""),
    ],
)
def test_an_account_number_has_six_to_twenty_digits_or_letters_and_a_digit_that_counts(text, taken):
    if taken:
        assert rules.check_number(text, "n") == taken
    else:
        assert code_of(rules.check_number, text, "n") == ("ACCOUNT_INVALID", "n")


def test_a_bank_that_does_not_answer_is_asked_ever_more_seldom_and_then_no_more():
    pauses = [rules.pause_seconds(tries) for tries in range(1, rules.TRIES_MAX + 1)]
    assert pauses[:3] == [60, 120, 240]
    assert pauses[-2:] == [rules.PAUSE_SECONDS_MAX, None]
    assert timedelta(days=1) < timedelta(seconds=sum(pauses[:-1])) < timedelta(days=2)


# The list of branches

CSV = """BANK,IFSC,BRANCH,DISTRICT
Sample Bank,SBIN0000002,"KHAND,
MAIN ROAD",Zila
Sample Bank ,sbin0000001, Zila  Road,Zila
Other Bank,ZZZZ0KLD001,खंड,Zila
Other Bank,ZZZZ1,Nowhere,Zila
"""
DIGITS = "BANK,DIGITS\nsbin,11 14\nODD,x\n"


@pytest.fixture
def listed(up, tmp_path, monkeypatch):
    path = tmp_path / "ifsc.list"
    monkeypatch.setenv("LOKOS_IFSC_FILE", str(path))
    return path


def test_a_list_is_taken_in_and_looked_up(listed):
    count, bad = ifsc.install(CSV, DIGITS, listed)
    assert (count, [one.row for one in bad]) == (3, [6, 3])
    found = ifsc.branches()
    assert found.find("SBIN0000001") == Branch("Sample Bank", "Zila Road")
    assert found.find("SBIN0000002") == Branch("Sample Bank", "KHAND, MAIN ROAD")
    assert found.find("ZZZZ0KLD001") == Branch("Other Bank", "खंड")
    assert [found.find(code) for code in ("AAAA0000001", "SBIN0000000", "SBIN0000003", "ZZZZ0KLD002", "ZZZZ1")] == [None] * 5
    assert (found.digits("SBIN0000001"), found.digits("ZZZZ0KLD001")) == ((11, 14), ())


@pytest.mark.parametrize("text", ['{"SBIN": [1, 2], "ZZZZ": ["KLD001"]}', '["SBIN0000001", "SBIN0000002", "ZZZZ0KLD001"]'])
def test_a_list_of_codes_alone_says_that_they_are(listed, text):
    assert ifsc.install(text, "", listed) == (3, [])
    assert [ifsc.branches().find(code) for code in ("SBIN0000002", "ZZZZ0KLD001", "SBIN0000003")] == [Branch("", ""), Branch("", ""), None]


@given(st.sets(st.from_regex(rules.IFSC, fullmatch=True), min_size=1), st.from_regex(rules.IFSC, fullmatch=True))
def test_each_code_of_a_list_is_found_and_no_other(tmp_path_factory, codes, other):
    path = tmp_path_factory.mktemp("list") / "ifsc.list"
    ifsc.install(json.dumps(sorted(codes, reverse=True)), "", path)
    found = ifsc.Branches(path)
    assert all(found.find(code) for code in codes)
    assert (found.find(other) is not None) == (other in codes)


def test_a_list_that_was_replaced_is_read_anew_and_without_one_it_is_said(listed, caplog):
    caplog.set_level(logging.WARNING)
    assert ifsc.branches() is None
    assert "no list of IFSC" in caplog.text
    ifsc.install('["SBIN0000001"]', "", listed)
    first = ifsc.branches()
    assert ifsc.branches() is first
    ifsc.install('["SBIN0000002"]', "", listed)
    assert ifsc.branches().find("SBIN0000001") is None
    assert first.find("SBIN0000001"), "who has it open reads on"
    second = ifsc.branches()
    listed.write_bytes(b"")
    assert second.find("SBIN0000002"), "even where somebody wrote into it"
    assert ifsc.branches().find("SBIN0000002") is None


def test_an_operator_installs_a_list(listed, tmp_path, monkeypatch, capsys):
    def run(*words):
        monkeypatch.setattr("sys.argv", ["profiles", *map(str, words)])
        return command_line.main(), capsys.readouterr().out

    (tmp_path / "list.csv").write_text(CSV, encoding="utf-8")
    (tmp_path / "digits.csv").write_text(DIGITS)
    for _ in range(2):
        code, said = run("ifsc", tmp_path / "list.csv", "--digits", tmp_path / "digits.csv")
        assert code == 0
        assert "left out: row 6: 'ZZZZ1' is no IFSC" in said
        assert "UP: 3 branches are known from now on, 2 rows were left out." in said
    held = listed.read_bytes()
    for content in ("A,B\n1,2\n", "{broken", ""):
        (tmp_path / "none.csv").write_text(content)
        code, said = run("ifsc", tmp_path / "none.csv")
        assert (code, "Nothing was changed" in said) == (1, True)
    assert listed.read_bytes() == held


def test_an_unknown_branch_and_a_wrong_length_are_refused_but_not_in_what_stands(listed):
    ifsc.install(CSV, DIGITS, listed)
    known = ifsc.branches()
    good = {"account_number": "12345678901", "ifsc": "SBIN0000001"}
    gone = {"account_number": "12345678901", "ifsc": "SBIN0000009"}
    short = {"account_number": "123456", "ifsc": "SBIN0000001"}
    rules.must_be_known([good, {}, {"account_number": "123456", "ifsc": IFSC}], [], known)
    assert code_of(rules.must_be_known, [good, gone], [], known) == ("IFSC_UNKNOWN", "accounts[1].ifsc")
    assert code_of(rules.must_be_known, [short], [], known) == ("ACCOUNT_LENGTH", "accounts[0].account_number")
    rules.must_be_known([gone, short], [gone, short], known)
    assert code_of(rules.must_be_known, [gone | {"account_number": "12345678902"}], [gone], known)[0] == "IFSC_UNKNOWN"
    rules.must_be_known([gone, short], [], None)


# The penny-drop service, through HTTP. The same tests may be run against a provider's own test host.


@pytest.fixture
def sandbox():
    made = bank_sandbox.start()
    yield made
    made.stop()


@pytest.fixture(params=["sync", "async"])
def way(request):
    return request.param


def connect(monkeypatch, sandbox, way="sync", **more):
    for name, value in ({"": "sandbox", "_URL": sandbox.url, "_WAY": way} | more).items():
        monkeypatch.setenv(f"LOKOS_BANK{name}", value)
    return bank.banks()


def settled(banks, number, name="Sunita Sharma", reference="r-1", polls=5):
    """The answer in the end, polled for where it is to come."""
    answer = banks.verify(number, IFSC, name, reference)
    for _ in range(polls):
        if answer.outcome is not Outcome.ASKED:
            break
        answer = banks.answer_to(answer.reference)
    return answer


def test_an_account_is_valid_anothers_invalid_or_still_to_come(monkeypatch, sandbox, way):
    banks = connect(monkeypatch, sandbox, way)
    assert settled(banks, NUMBER) == Answer(Outcome.VALID, "", "SUNITA SHARMA", None, "ACCOUNT_IS_VALID")
    assert settled(banks, f"1000{bank_sandbox.ANOTHERS}", reference="r-2").name_at_bank == bank_sandbox.OTHER_NAME
    assert settled(banks, f"1000{bank_sandbox.NAMELESS}", reference="r-3") == Answer(Outcome.VALID, reason="ACCOUNT_IS_VALID")
    assert settled(banks, f"1000{bank_sandbox.INVALID}", reference="r-4") == Answer(Outcome.INVALID, reason="INVALID_BANK_ACCOUNT")
    assert settled(banks, f"1000{bank_sandbox.PENDING_ONCE}", reference="r-5").outcome is Outcome.VALID
    for_ever = settled(banks, f"1000{bank_sandbox.PENDING_FOR_EVER}", reference="r-6")
    assert for_ever.outcome is Outcome.ASKED
    assert for_ever.reference


def test_the_same_question_is_asked_once_and_paid_for_once(monkeypatch, sandbox, way):
    banks = connect(monkeypatch, sandbox, way)
    for _ in range(3):
        settled(banks, NUMBER, reference="one")
    settled(banks, NUMBER, reference="another")
    assert len(sandbox.drops) == 2


def test_a_question_that_the_service_forgot_may_be_asked_anew(monkeypatch, sandbox):
    assert connect(monkeypatch, sandbox).answer_to("gone") == Answer(Outcome.UNKNOWN, reason="FORGOTTEN")


def test_a_service_that_fails_or_hangs_leaves_it_open_and_then_rests(monkeypatch, sandbox):
    banks = connect(monkeypatch, sandbox, _SECONDS_MAX="1")
    assert banks.verify(f"1000{bank_sandbox.FAILS}", IFSC, "A", "r") == Answer(Outcome.UNKNOWN, reason="HTTP_503")
    assert banks.verify(f"1000{bank_sandbox.HANGS}", IFSC, "A", "r") == Answer(Outcome.UNKNOWN, reason="AWAY")
    assert banks.verify(NUMBER, IFSC, "A", "r").outcome is Outcome.VALID, "one good answer, and the count begins anew"
    for _ in range(bank.FAILURES_MAX):
        assert banks.verify(f"1000{bank_sandbox.FAILS}", IFSC, "A", "r").reason == "HTTP_503"
    assert banks.verify(NUMBER, IFSC, "A", "r") == Answer(Outcome.UNKNOWN, reason="RESTS")
    assert banks.answer_to("kept") == Answer(Outcome.UNKNOWN, "kept", reason="RESTS")
    monkeypatch.setattr(banks, "_rests_until", 0)
    assert banks.verify(NUMBER, IFSC, "A", "r").outcome is Outcome.VALID


@pytest.mark.parametrize(
    ("said", "answer"),
    [
        ({"id": 7, "status": "pending"}, Answer(Outcome.ASKED, "7", reason="PENDING")),
        ({"account_status": "VALID", "name_at_bank": " A  B ", "name_match_score": "90.00"}, Answer(Outcome.VALID, "", "A B", 90, "VALID")),
        ({"account_status": "VALID", "name_match_score": 300}, Answer(Outcome.VALID, score=100, reason="VALID")),
        ({"account_status": "FAILED", "reference_id": 7}, Answer(Outcome.UNKNOWN, reason="FAILED")),
        ({"account_status": "SOMETHING_NEW"}, Answer(Outcome.UNKNOWN, reason="SOMETHING_NEW")),
        ({"account_status": "PENDING"}, None),  # nothing to ask for it by
        ({"account_status": "VALID", "name_match_score": "much"}, None),
        (["VALID"], None),
        ("VALID", None),
    ],
)
def test_what_services_say_is_read_as_they_mean_it(said, answer):
    assert bank._read(json.dumps(said).encode()) == answer
    assert bank._read(json.dumps(said).encode()[:-1]) is None


def test_a_stranger_to_the_service_learns_that_it_is_none(monkeypatch, sandbox):
    monkeypatch.setattr(bank_sandbox, "CLIENT_SECRET", "right")
    monkeypatch.setenv("LOKOS_BANK_CLIENT_ID", bank_sandbox.CLIENT_ID)
    monkeypatch.setenv("LOKOS_BANK_CLIENT_SECRET", "wrong")
    assert connect(monkeypatch, sandbox, **{"": "penny-drop"}).verify(NUMBER, IFSC, "A", "r") == Answer(Outcome.UNKNOWN, reason="HTTP_401")
    assert sandbox.drops == {}


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({"": "pigeon"}, "must be none, sandbox or penny-drop"),
        ({"": "sandbox", "_URL": "https://bank.example"}, "on this machine's loopback"),
        ({"": "sandbox", "_URL": "http://bank.example"}, "https address"),
        ({"": "penny-drop", "_URL": "http://bank.example", "_CLIENT_ID": "a", "_CLIENT_SECRET": "b"}, "https address"),
        ({"": "penny-drop", "_URL": "https://bank.example", "_CLIENT_ID": "a", "_CLIENT_SECRET": ""}, "LOKOS_BANK_CLIENT_SECRET is missing"),
        ({"_WAY": "later"}, "must be sync or async"),
    ],
)
def test_a_service_that_could_not_be_asked_ends_the_process_in_words(monkeypatch, sandbox, values, says):
    with pytest.raises(SystemExit, match=says):
        connect(monkeypatch, sandbox, **values)


def test_nobody_is_asked_where_there_is_nobody(monkeypatch):
    monkeypatch.setenv("LOKOS_BANK", "none")
    assert bank.banks() is None


def test_the_sandbox_says_so_and_needs_no_address(monkeypatch, caplog):
    caplog.set_level(logging.WARNING)
    monkeypatch.setenv("LOKOS_BANK", "sandbox")
    monkeypatch.delenv("LOKOS_BANK_URL", raising=False)
    assert bank.banks().verify(NUMBER, IFSC, "A", "r").outcome is Outcome.VALID
    assert "SANDBOX bank" in caplog.text
    bank_sandbox.started().stop()
    bank_sandbox.started.cache_clear()


# What work asks, each attempt once


@pytest.fixture
def desk(up, monkeypatch, sandbox):
    """Work's jobs of accounts, with the sandbox behind them. What is here is committed, since work has transactions of its own."""
    connect(monkeypatch, sandbox, _SECONDS_MAX="1")
    jobs._banks.cache_clear()
    worker = Worker(SERVICE, threading.Event())
    mine = {name: job for name, job in jobs_of(SERVICE).items() if name == account.JOB}
    worker._jobs = mine
    made = SimpleNamespace(worker=worker, sandbox=sandbox, record_id=uuid7(), mine=mine)
    clear()
    yield made
    clear()
    jobs._banks.cache_clear()


def clear():
    with database.transaction(SERVICE) as connection:
        connection.execute(delete(jobs_table).where(jobs_table.c.name == account.JOB))
        connection.execute(delete(account_checks))


def said(number=NUMBER, row_id="row-1", **more):
    return {"row_id": row_id, "holder_name": "Sunita Sharma", "ifsc": IFSC, "account_number": number} | more


def hand_in(desk, *accounts):
    with database.transaction(SERVICE) as connection:
        account.ask_for_checks(connection, desk.record_id, "Sunita Devi", accounts)


def work(desk):
    while desk.worker.step():
        pass
    with database.transaction(SERVICE) as connection:
        return list(connection.execute(select(account_checks).order_by(account_checks.c.row_id, account_checks.c.account_number)))


def later(desk, *, by=timedelta(days=1)):
    """As if so much time had gone by; how many are asked again."""
    with database.transaction(SERVICE) as connection:
        return account.ask_due(connection, datetime.now(UTC) + by)


def test_each_account_is_asked_about_once_however_often_it_is_handed_in(desk, caplog):
    caplog.set_level(logging.INFO)
    accounts = [said(), said(f"1000{bank_sandbox.INVALID}", "row-2"), {"row_id": "row-3"}, said(row_id="row-4", ended_on="2026-01-01")]
    for _ in range(3):
        hand_in(desk, *accounts)
    first, second = work(desk)
    assert (first.outcome, first.name_at_bank, first.name_match, first.attempts) == ("VALID", "SUNITA SHARMA", 100, 1)
    assert (second.outcome, second.reason, second.name_match) == ("INVALID", "INVALID_BANK_ACCOUNT", 0)
    assert first.checked_at
    assert first.next_at is None
    hand_in(desk, *accounts)
    work(desk)
    assert len(desk.sandbox.drops) == 2
    assert later(desk) == 0
    logged = [vars(record) for record in caplog.records if record.msg == "a bank was asked about an account"]
    assert [(one["account_ends"], one["outcome"]) for one in logged] == [("7401", "VALID"), ("9901", "INVALID")]
    assert NUMBER not in str([vars(record) for record in caplog.records])


def test_another_number_is_another_question_and_the_old_answer_stays(desk):
    hand_in(desk, said())
    work(desk)
    hand_in(desk, said("2000200917401"))
    assert [row.outcome for row in work(desk)] == ["VALID", "VALID"]
    with database.transaction(SERVICE) as connection:
        checks = queries.checks_of(connection, [desk.record_id])
    assert {(row_id, number) for _, row_id, _, number in checks} == {("row-1", NUMBER), ("row-1", "2000200917401")}
    assert {key[0] for key in checks} == {desk.record_id}


def test_another_holders_name_is_compared_with_what_the_bank_said(desk):
    hand_in(desk, said(holder_name="Sunita Sharma"))
    work(desk)
    hand_in(desk, said(holder_name="Kamla Verma"))
    [row] = work(desk)
    assert (row.holder_name, row.name_at_bank, row.name_match < 40, len(desk.sandbox.drops)) == ("Kamla Verma", "SUNITA SHARMA", True, 1)


def test_an_answer_to_come_is_asked_for_until_it_comes(desk):
    hand_in(desk, said(f"1000{bank_sandbox.PENDING_ONCE}"))
    [row] = work(desk)
    assert (row.outcome, row.attempts) == ("ASKED", 1)
    assert row.bank_reference
    assert later(desk, by=timedelta(seconds=30)) == 0, "not before its time"
    outcomes = []
    for _ in range(2):
        assert later(desk) == 1
        [row] = work(desk)
        outcomes.append(row.outcome)
    assert (outcomes, row.attempts, len(desk.sandbox.drops)) == (["ASKED", "VALID"], 3, 1)


def test_a_bank_that_never_answers_is_given_up_and_handing_in_asks_anew(desk):
    hand_in(desk, said(f"1000{bank_sandbox.PENDING_FOR_EVER}"), said(f"1000{bank_sandbox.FAILS}", "row-2"))
    work(desk)
    rounds = 1
    while later(desk):
        jobs._banks.cache_clear()  # It does not rest here.
        pending, failing = work(desk)
        rounds += 1
    assert rounds == rules.TRIES_MAX
    assert (pending.outcome, pending.next_at, failing.outcome, failing.reason) == ("UNKNOWN", None, "UNKNOWN", "HTTP_503")
    hand_in(desk, said(f"1000{bank_sandbox.FAILS}", "row-2"))
    assert later(desk) == 1
    assert [row.tries for row in work(desk)] == [rules.TRIES_MAX, 1]


def test_an_attempt_that_was_cut_short_is_made_again_and_costs_nothing_more(desk):
    hand_in(desk, said())
    taken = desk.worker._take()
    desk.mine[account.JOB].function(SERVICE, taken.arguments)
    with database.transaction(SERVICE) as connection:  # The bank was asked, and the process died before it noted what it heard.
        undone = {"outcome": "ASKED", "next_at": datetime.now(UTC), "name_at_bank": "", "checked_at": None}
        connection.execute(update(account_checks).values(undone))
        connection.execute(update(jobs_table).where(jobs_table.c.name == account.JOB).values(leased_until=datetime.now(UTC) - timedelta(seconds=1)))
    [row] = work(desk)
    assert row.outcome == "ASKED", "the effect itself is not done twice"
    assert later(desk) == 1
    [row] = work(desk)
    assert (row.outcome, row.attempts, len(desk.sandbox.drops)) == ("VALID", 2, 1)


def test_an_answer_to_an_attempt_of_before_changes_nothing(desk):
    hand_in(desk, said())
    assert later(desk) == 0, "it has not had its turn yet"
    now = datetime.now(UTC)
    with database.transaction(SERVICE) as connection:
        connection.execute(update(jobs_table).where(jobs_table.c.name == account.JOB).values(done_at=now))
    assert later(desk) == 1
    with database.transaction(SERVICE) as connection:
        check_id = connection.scalar(select(account_checks.c.check_id))
        assert account.note_answer(connection, check_id, 1, Answer(Outcome.INVALID), now) is None
        assert account.note_answer(connection, check_id, 2, Answer(Outcome.VALID, score=88), now).name_match == 88
        assert account.note_answer(connection, check_id, 2, Answer(Outcome.INVALID), now) is None


def test_where_nobody_is_to_be_asked_it_stays_open_until_somebody_is(desk, monkeypatch, capsys):
    monkeypatch.setenv("LOKOS_BANK", "none")
    hand_in(desk, said())
    [row] = work(desk)
    assert (row.outcome, row.reason, later(desk)) == ("UNKNOWN", "NOBODY_TO_ASK", 0)
    monkeypatch.setenv("LOKOS_BANK", "sandbox")
    jobs._banks.cache_clear()
    monkeypatch.setattr("sys.argv", ["profiles", "ask-banks"])
    assert command_line.main() == 0
    assert capsys.readouterr().out == "UP: the banks will be asked about 1 accounts.\n"
    assert command_line.main() == 0
    assert capsys.readouterr().out == "UP: the banks will be asked about 0 accounts.\n", "they are about to be"
    jobs.ask_banks_again.function(SERVICE, {})
    assert [row.outcome for row in work(desk)] == ["VALID"]


def test_what_is_handed_in_waits_behind_no_more_than_a_few_that_are_asked_again(desk, monkeypatch):
    monkeypatch.setattr(account, "DUE_MAX", 3)
    hand_in(desk, *(said(f"10002009174{number:02}", f"row-{number}") for number in range(5)))
    with database.transaction(SERVICE) as connection:
        connection.execute(delete(jobs_table).where(jobs_table.c.name == account.JOB))
    assert [later(desk), later(desk)] == [3, 0]
    work(desk)
    assert later(desk) == 2


def test_all_are_asked_about_again_a_page_a_transaction_and_the_audit_has_who_wished_it(desk, monkeypatch, capsys):
    monkeypatch.setenv("LOKOS_BANK", "none")
    hand_in(desk, *(said(f"10002009174{number:02}", f"row-{number}") for number in range(5)))
    work(desk)
    monkeypatch.setattr(account, "AGAIN_MAX", 2)
    monkeypatch.setattr("sys.argv", ["profiles", "ask-banks", "--by", "IUP_TEST"])
    at = datetime.now(UTC)
    assert command_line.main() == 0
    assert capsys.readouterr().out == "UP: the banks will be asked about 5 accounts.\n"
    with database.transaction(SERVICE) as connection:
        assert all(due <= datetime.now(UTC) for due in connection.scalars(select(account_checks.c.next_at)))
        noted = connection.execute(select(audit.audit).where(audit.audit.c.at >= at, audit.audit.c.action == "account.check_all")).all()
    assert [(one.user_id, one.facts) for one in noted] == [("operator IUP_TEST", {"accounts": count}) for count in (2, 2, 1)]


# CheckAccount


@pytest.fixture
def connection(connection):
    for table in ("institutions", "members", "account_checks", "jobs", "audit"):
        connection.execute(text(f"create temporary table {table} (like {table} including all) on commit drop"))
    return connection


def bookkeeper(*institution_ids):
    return Caller("IUP_BK", Role.SHG_BOOKKEEPER, VILLAGE, frozenset(institution_ids), "bookkeeper")


def answered(connection, record_id, outcome, **values):
    """An account of a record, and what the bank said of it."""
    account.ask_for_checks(connection, record_id, "Sunita Devi", [said(**values)])
    connection.execute(update(account_checks).where(account_checks.c.outcome == "ASKED").values(outcome=outcome, next_at=None))


def test_she_has_the_bank_asked_again_of_her_own_records_alone(connection):
    shg = rows.institution(connection, VILLAGE)
    hers = rows.member(connection, shg, VILLAGE)
    for record_id in (shg, hers):
        answered(connection, record_id, "UNKNOWN")
    now = datetime(2026, 4, 1, 12, tzinfo=UTC)
    manager = Caller("IUP_BPM", Role.BLOCK_PROGRAM_MANAGER, "9.178.1504")
    for who in (bookkeeper(shg), manager):
        for record_id in (shg, hers):
            connection.execute(update(account_checks).values(outcome="INVALID", asked_times=0))
            assert account.check_again(connection, who, record_id, "row-1", now).outcome == "ASKED"
    strangers = (bookkeeper(uuid7()), Caller("IUP_B2", Role.BLOCK_PROGRAM_MANAGER, "9.178.1505"))
    for who in strangers:
        assert code_of(account.check_again, connection, who, hers, "row-1", now) == ("ACCOUNT_UNKNOWN", "row_id")
    for record_id, row_id in ((hers, "row-9"), (uuid7(), "row-1")):
        assert code_of(account.check_again, connection, bookkeeper(shg), record_id, row_id, now) == ("ACCOUNT_UNKNOWN", "row_id")
    noted = connection.execute(select(audit.audit.c.action, audit.audit.c.subjects)).all()
    assert [(one.action, one.subjects) for one in noted] == [("account.check", [str(shg)]), ("account.check", [str(hers)])] * 2


def test_asking_again_is_a_new_question_after_a_no_and_the_same_one_where_there_was_no_answer(connection):
    shg = rows.institution(connection, VILLAGE)
    now = datetime(2026, 4, 1, 12, tzinfo=UTC)
    answered(connection, shg, "UNKNOWN")
    first = connection.scalar(select(account_checks.c.reference))
    row = account.check_again(connection, bookkeeper(shg), shg, "row-1", now)
    assert (row.reference, row.attempts, row.tries, row.asked_times) == (first, 2, 1, 1)
    assert account.check_again(connection, bookkeeper(shg), shg, "row-1", now).attempts == 2, "while it is being asked nothing happens"
    connection.execute(update(account_checks).values(outcome="INVALID"))
    assert account.check_again(connection, bookkeeper(shg), shg, "row-1", now).reference != first
    connection.execute(update(account_checks).values(outcome="VALID"))
    assert account.check_again(connection, bookkeeper(shg), shg, "row-1", now).attempts == 3
    keys = connection.scalars(select(jobs_table.c.key).where(jobs_table.c.name == account.JOB)).all()
    assert len(keys) == len(set(keys)) == 3


def test_it_is_asked_three_times_a_day_in_india(connection):
    shg = rows.institution(connection, VILLAGE)
    answered(connection, shg, "UNKNOWN")
    evening = datetime(2026, 4, 1, 18, tzinfo=UTC)  # 23:30 there.
    for _ in range(rules.ASKED_A_DAY_MAX):
        account.check_again(connection, bookkeeper(shg), shg, "row-1", evening)
        connection.execute(update(account_checks).values(outcome="UNKNOWN"))
    assert code_of(account.check_again, connection, bookkeeper(shg), shg, "row-1", evening)[0] == "CHECKS_TOO_MANY"
    row = account.check_again(connection, bookkeeper(shg), shg, "row-1", evening + timedelta(hours=1))
    assert row.asked_times == 1


def test_a_check_is_shown_with_bank_and_branch(connection, listed):
    shg = rows.institution(connection, VILLAGE)
    answered(connection, shg, "VALID")
    connection.execute(update(account_checks).values(name_at_bank="SUNITA", name_match=83, checked_at=datetime(2026, 4, 1, tzinfo=UTC)))
    row = connection.execute(select(account_checks)).one()
    assert show.show_check(row).bank == ""
    ifsc.install(CSV, "", listed)
    shown = show.show_check(row)
    assert (shown.outcome, shown.name_at_bank, shown.name_match, shown.bank, shown.branch) == ("VALID", "SUNITA", 83, "Other Bank", "खंड")
    assert shown.checked_at.ToDatetime(UTC) == datetime(2026, 4, 1, tzinfo=UTC)
