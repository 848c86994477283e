"""What the load's devices make is valid by the books' own rules; a day has its phases; a people file is refused in words."""

import argparse
import asyncio
import json
import os
import random
import subprocess
import sys
from dataclasses import replace
from datetime import date
from pathlib import Path
from uuid import UUID

import pytest

from deploy.demo.ledger import Ledger
from loadtests import journeys, people
from loadtests.client import CallFailedError, Device, Institution, Network, People, PeopleError, Sample, Server, User, people_json, read_people
from loadtests.journeys import Roster
from loadtests.sender import Asyncio, Sender
from loadtests.tally import Tally, percentile, show, verdict
from protos import transactions_pb2
from services.kernel.caller import Caller, Role
from services.kernel.ids import uuid7
from services.kernel.policies import Policies
from services.transactions.rules.books import Books, Member
from services.transactions.rules.books import Institution as KnownInstitution
from services.transactions.rules.heads import Head
from services.transactions.rules.journal import Account
from services.transactions.rules.record import admit, after
from services.transactions.servicer import showing
from services.transactions.servicer.reading import read_upload

ROOT = Path(__file__).parents[2]
TODAY = date(2026, 10, 5)
BLOCK = "9.178.1204"


def group_of(count):
    return Institution(str(uuid7()), BLOCK, tuple(str(uuid7()) for _ in range(count)))


def ledger_of(group):
    return Ledger(group.institution_id, showing.chart())


@pytest.mark.parametrize(("members", "bank_id"), [(1, "b"), (5, "b"), (12, "b"), (20, "b"), (5, "")])
def test_a_chain_of_meetings_is_admitted_by_the_books_own_rules(members, bank_id):
    group, dice = group_of(members), random.Random(members)
    bank_id = bank_id and str(uuid7())
    known = {one: Member(group.institution_id, active=True) for one in group.member_ids}
    institution = KnownInstitution("SHG", BLOCK, True, date(2015, 1, 1), banks={bank_id: None} if bank_id else {})
    books = Books(institution, members=known)
    caller = Caller("IUP_KEEPER", Role.SHG_BOOKKEEPER, BLOCK, frozenset({UUID(group.institution_id)}))
    ledger, seen = ledger_of(group), set()
    for number in range(1, 151):
        sent = journeys.next_meeting(ledger, bank_id, group, TODAY, dice)
        posting = admit(read_upload(sent), books, caller, Policies(), TODAY)
        assert (sent.number, posting.taken.flags) == (number, ())
        books = after(posting, books)
        kept = {f"{head}/{of}" if of else str(head): paise for (head, of), paise in books.balances.items() if paise}
        assert kept == {account: paise for account, paise in ledger.balances.items() if paise}
        assert not bank_id or books.balances[Account(Head.CASH)] <= journeys.CASH_KEPT_PAISE
        seen |= {name for name in ("repayments", "loans", "entries") if getattr(sent, name)} | {move.kind for move in sent.bank_moves}
    if members in {5, 12}:  # One alone never lends, and twenty save so much that nothing is withdrawn.
        assert seen == {"repayments", "loans", "entries"} | ({"DEPOSIT", "WITHDRAWAL"} if bank_id else set())


def settled(book, *outcomes):
    answers = [
        transactions_pb2.MeetingAnswer(meeting_id=meeting.meeting_id, outcome=outcome) for meeting, outcome in zip(book.unsent, outcomes, strict=True)
    ]
    book.settle(answers)


def test_a_device_keeps_what_waits_and_starts_anew_after_a_refusal():
    group = group_of(5)
    book = journeys.Book(group, random.Random(1), ledger_of(group))
    for _ in range(3):
        book.hold_meeting(TODAY)
    sent = [meeting.meeting_id for meeting in book.unsent]
    assert [meeting.previous_meeting_id for meeting in book.unsent] == ["", *sent[:2]]
    settled(book, transactions_pb2.OUTCOME_APPLIED, transactions_pb2.OUTCOME_ALREADY_APPLIED, transactions_pb2.OUTCOME_WAITING)
    assert book.acknowledged == sent[:2]
    assert [meeting.meeting_id for meeting in book.unsent] == sent[2:]
    assert book.ledger.number == 3
    settled(book, transactions_pb2.OUTCOME_REFUSED)
    assert (book.ledger, book.unsent, book.acknowledged) == (None, [], sent[:2])


def test_a_device_sees_that_the_books_stand_otherwise():
    group = group_of(5)
    book = journeys.Book(group, random.Random(1))
    assert book.differs(transactions_pb2.Position(version=7, closing_hash="of others")) == ""
    book.ledger = ledger_of(group)
    book.ledger.know(transactions_pb2.Position(version=1))
    assert book.differs(transactions_pb2.Position(version=1)) == ""
    book.hold_meeting(TODAY)
    assert book.differs(transactions_pb2.Position(version=2, closing_hash=book.unsent[0].closing_hash)) == ""
    for other in ("", "0" * 64):
        assert book.differs(transactions_pb2.Position(version=2, closing_hash=other)) == "the books stand otherwise than the device left them"


@pytest.mark.parametrize(("closing_paise", "words"), [(70, ""), (71, "a cash book does not add up")])
def test_a_cash_book_that_does_not_add_up_is_a_fault(closing_paise, words):
    place = transactions_pb2.Place(opening_paise=50, in_paise=30, out_paise=10, closing_paise=closing_paise)
    assert journeys._unlike_cash(transactions_pb2.CashBookResponse(places=[transactions_pb2.Place(), place])) == words


@pytest.mark.parametrize(("closing_paise", "words"), [(70, ""), (71, "a passbook does not add up")])
def test_a_passbook_that_does_not_add_up_is_a_fault(closing_paise, words):
    account = transactions_pb2.PassbookAccount(head="L01", opening_paise=50, closing_paise=closing_paise)
    entries = [transactions_pb2.PassbookEntry(head=head, in_paise=30, out_paise=10) for head in ("L01", "I02")]
    assert journeys._unlike_savings(transactions_pb2.PassbookResponse(accounts=[account], entries=entries)) == words


@pytest.mark.parametrize(
    ("stored", "words"),
    [
        (["a", "b"], ""),
        (["a"], "1 meetings lost"),
        (["a", "b", "b"], "1 meetings stored twice"),
        (["a", "c"], "1 meetings lost, 1 meetings stored that nobody here sent"),
    ],
)
def test_the_check_finds_what_is_lost_strange_or_twice(stored, words):
    assert journeys.differences(["a", "b"], stored) == words


def test_a_day_has_its_phases_in_order_and_ends():
    phases = [journeys.phase_at(hour, 24) for hour in range(25)]
    assert phases[-1] is None
    assert [phase.name for phase in phases[:-1]] == [next(one.name for one in journeys.DAY if hour < one.until_hour) for hour in range(24)]
    assert journeys.phase_at(25 * 9, 600).name == "forenoon meetings"
    assert journeys.phase_at(25 * 9 - 0.01, 600).name == "morning logins"
    assert journeys.users_in(journeys.phase_at(25 * 18, 600), 200) == 200
    assert journeys.users_in(journeys.phase_at(0, 600), 1) == 1


@pytest.fixture
def told(tmp_path):
    """A people file that is right."""
    (tmp_path / "ca.pem").write_text("a certificate")
    keeper = User("IUP_KEEPER", "a password", Role.SHG_BOOKKEEPER, BLOCK, (group_of(5),))
    national = User("IIN_READER", "a password", Role.NATIONAL_ADMIN, "")
    nation = Server("127.0.0.1:2", tmp_path / "ca.pem")
    return People("UP", Server("127.0.0.1:1", tmp_path / "ca.pem"), (keeper,), nation, Server("127.0.0.1:3", tmp_path / "ca.pem"), (national,))


def test_a_people_file_is_read_as_it_was_written(told, tmp_path):
    file = tmp_path / "UP.json"
    file.write_text(people_json(told))
    assert read_people(file) == told


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda file: file.pop("state"), "lacks 'state'"),
        (lambda file: file["users"][0].pop("password"), "lacks 'password'"),
        (lambda file: file["users"][0].update(role="QUEEN"), "'QUEEN' is not a valid Role"),
        (lambda file: file["users"][0].update(institutions=[]), "nobody who could send a meeting"),
        (lambda file: file["users"][0]["institutions"][0].update(member_ids=[]), "has no members"),
        (lambda file: file["state"].update(ca_file="nowhere.pem"), "which is not there"),
        (lambda file: file.update(users=7), "is no people file"),
    ],
)
def test_a_people_file_that_will_not_do_is_refused_in_words(told, tmp_path, change, words):
    file = tmp_path / "UP.json"
    content = json.loads(people_json(told))
    change(content)
    file.write_text(json.dumps(content))
    with pytest.raises(PeopleError, match=words):
        read_people(file)


def test_no_file_and_no_json_are_refused_in_words(tmp_path):
    with pytest.raises(PeopleError, match="There is no people file"):
        read_people(tmp_path / "UP.json")
    (tmp_path / "UP.json").write_text("{")
    with pytest.raises(PeopleError, match="is no JSON"):
        read_people(tmp_path / "UP.json")


def test_a_people_file_serves_unless_more_groups_are_asked_for(told, tmp_path):
    file = tmp_path / "UP.json"
    assert people.kept(file, None) is None
    keeper = replace(told.users[0], institutions=tuple(group_of(5) for _ in range(7)))
    file.write_text(people_json(replace(told, users=(keeper,))))
    for groups, serves in ((None, True), (7, True), (8, False)):
        assert (people.kept(file, groups) is not None) == serves


def test_a_percentile_is_a_value_that_was_measured():
    assert [percentile(range(1, 101), percent) for percent in (50, 95, 99)] == [50, 95, 99]
    assert percentile([7], 99) == 7
    assert percentile([], 50) == 0


def tallied(*, cpu_seconds=1.0, late=(), faults=0):
    tally = Tally(elapsed_seconds=10.0, cpu_seconds=cpu_seconds, late_seconds=list(late), running=True)
    for number in range(100):
        tally.note(Sample("bookkeeper", "Pull", 0.01, "UNAVAILABLE: away" if number < faults else ""))
    return tally


def test_a_busy_or_late_generator_is_called_the_bottleneck(capsys):
    for well in (tallied(), tallied(late=[0.001] * 100)):
        assert not well.was_bottleneck
    for tally in (tallied(cpu_seconds=8.1), tallied(late=[0.001] * 90 + [0.5] * 10)):
        show(tally, 100)
        assert "the generator was the bottleneck: figures are its, not the system's" in capsys.readouterr().out


def test_failures_above_the_threshold_and_faults_in_the_books_are_a_failed_run():
    assert verdict(tallied(faults=1), [], 5, 1.0)
    assert not verdict(tallied(faults=2), [], 5, 1.0)
    assert not verdict(tallied(), ["1 meetings lost"], 5, 1.0)
    assert not verdict(Tally(), [], 0, 1.0)


def at_fixed_rate(told, monkeypatch, *meeting_seconds):
    """The figures of ten journeys in a second, all of one group, whose meetings take so long one after the other, the last ones as the last."""
    takes = list(meeting_seconds)

    async def hold_meetings(*_):
        await asyncio.sleep(takes.pop(0) if len(takes) > 1 else takes[0])

    monkeypatch.setattr(journeys, "hold_meetings", hold_meetings)

    async def send():
        tally = Tally()
        roster = Roster(told, Network(Asyncio(), 1), tally.note, random.Random(1))
        given = argparse.Namespace(groups=1, seconds=1.0, rate=10.0, reports_percent=10.0, approvals_percent=5.0, books_percent=10.0)
        await Sender(roster, tally, given).open()
        return tally

    return asyncio.run(send())


def test_a_journey_that_waits_for_a_group_is_late_and_not_left_out(told, monkeypatch):
    tally = at_fixed_rate(told, monkeypatch, 0.6, 0.0)
    assert (len(tally.due_seconds), tally.never_begun) == (10, 0)
    # The second to the sixth waited for the first: from half a second down to a tenth.
    assert sum(seconds >= 0.15 for seconds in tally.due_seconds) >= 5


def test_a_journey_that_never_has_a_group_has_failed(told, monkeypatch, capsys):
    slow = at_fixed_rate(told, monkeypatch, 0.4)
    assert len(slow.due_seconds) + slow.never_begun == 10
    assert slow.never_begun >= 7
    tally = tallied()
    assert verdict(tally, [], 5, 1.0)
    tally.never_begun = 2
    assert not verdict(tally, [], 5, 1.0)
    assert "2 of 2 journeys had no group by the end, and failed" in capsys.readouterr().out


def test_a_call_is_made_again_until_it_is_hopeless_and_is_counted_once(told, monkeypatch):
    monkeypatch.setattr("loadtests.client.RETRY_SECONDS_MAX", 0.5)
    samples = []

    async def call_nobody():
        wire = Asyncio()
        device = Device(wire, Network(wire, 1).stubs(replace(told.state, address="127.0.0.1:9")), told.users[0], samples.append)
        await journeys.do_tasks(device)

    with pytest.raises(CallFailedError, match="Login: UNAVAILABLE"):
        asyncio.run(call_nobody())
    (sample,) = samples
    assert (sample.journey, sample.step, sample.again > 0, sample.fault[:11]) == ("block manager", "Login", True, "UNAVAILABLE")


@pytest.mark.parametrize(
    ("words", "code", "sentence"),
    [
        (["loadtests"], 1, "UP is not running here: `make up` first"),
        (["loadtests.people", "--state", "XX"], 1, "There is no state XX on this machine"),
        (["loadtests.people", "--groups", "0"], 2, "there is at least one group"),
        (["loadtests", "--users", "0"], 2, "there is at least one user"),
        (["loadtests.sender", "--people", "nowhere.json"], 1, "There is no people file nowhere.json"),
        (["loadtests.sender", "--seconds", "-1"], 2, "are above 0"),
    ],
)
def test_what_cannot_be_done_is_said_in_a_sentence(tmp_path, words, code, sentence):
    done = subprocess.run(
        [sys.executable, "-m", *words], check=False, cwd=ROOT, env=os.environ | {"LOKOS_RUN": str(tmp_path / "run")}, capture_output=True, text=True
    )
    assert (done.returncode, sentence in done.stderr) == (code, True), done.stderr
    assert "Traceback" not in done.stderr
