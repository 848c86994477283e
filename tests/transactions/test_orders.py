"""Two devices with the same meetings, three copies of each upload, in every order, an approver in between: one outcome."""

import random
import threading
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import date
from itertools import permutations
from uuid import UUID

import pytest
from sqlalchemy import text

from services.chassis import database
from services.kernel.errors import Conflict, Exhausted, Refused
from services.kernel.policies import Policies
from services.transactions import queries
from services.transactions.commands import decide, sync, take
from services.transactions.rules.meeting import Waiting
from services.transactions.rules.record import UNSENT_MAX, Handback, Outcome
from services.transactions.rules.sheet import (
    Attendance,
    BankMove,
    Borrowing,
    Entry,
    LoanGiven,
    Paid,
    Repayment,
    Saving,
    Sheet,
    Withdrawal,
)
from tests.transactions.builders import RUPEE, TODAY, Group, hear_institution, hear_member, new_id, upload
from tests.transactions.model import closed

SERVICE = "transactions"
POLICIES = Policies()
DEVICES = ("IUP_BK1", "IUP_BK2")
COPIES = 3
ROUNDS_MAX = 200  # Of sending again what waits.
DAYS = (date(2026, 8, 3), date(2026, 9, 7), date(2026, 10, 5), date(2026, 11, 2))


class Story:
    """Four meetings of a group as its device closed them, and as it closes those from some number on anew."""

    def __init__(self):
        self.group = Group()
        self.meeting_ids = [new_id() for _ in DAYS]
        self.loan_ids = [new_id(), new_id()]
        self.borrowing_id = new_id()

    def sheets(self, again_from=99):
        """By number. What is closed anew says that one member saved more and another less, so that no later position is as it was."""
        kept = []
        for number, held_on in enumerate(DAYS, 1):
            revision = 2 if number >= again_from else 1
            previous = kept[-1].sheet.meeting_id if kept else ""
            plain = Sheet(self.meeting_ids[number - 1], self.group.id, revision, number, held_on, previous)
            kept.append(closed(replace(plain, **self.screens(number, 10 * RUPEE * (number == again_from))), kept, self.group.bank_ids))
        return {one.sheet.number: one.sheet for one in kept}

    def screens(self, number, more):
        one, other, *rest = self.group.members
        bank_id, other_bank_id = self.group.bank_ids
        in_bank = Paid("TRANSFER", bank_id)
        saved = [Saving(one, 50 * RUPEE + more, 0), Saving(other, 50 * RUPEE - more, 7), *(Saving(each, 50 * RUPEE, 0) for each in rest)]
        screens = {"attendance": tuple(Attendance(each, True) for each in self.group.members), "savings": tuple(saved)}
        return (
            screens
            | {
                1: {
                    "borrowings": (Borrowing(self.borrowing_id, "BANK", 5000 * RUPEE, 700, 12, paid=in_bank),),
                    "bank_moves": (BankMove("DEPOSIT", 20 * RUPEE, other_bank_id),),
                },
                2: {
                    "loans": (LoanGiven(self.loan_ids[0], other, 300 * RUPEE, 2400, 10, paid=in_bank),),
                    "entries": (Entry("FINE", 5 * RUPEE, one),),
                },
                3: {
                    "repayments": (Repayment(self.loan_ids[0], 30 * RUPEE, 6 * RUPEE),),
                    "withdrawals": (Withdrawal(one, 20 * RUPEE, 0),),
                },
                4: {
                    "repayments": (Repayment(self.loan_ids[0], 40 * RUPEE, 0),),
                    "loans": (LoanGiven(self.loan_ids[1], one, 100 * RUPEE, 1200, 5),),
                },
            }[number]
        )

    def hear(self, connection):
        hear_institution(connection, self.group)
        for one in self.group.members:
            hear_member(connection, self.group, one)

    def send(self, connection, device, sheets, lock=0):
        caller = self.group.bookkeeper(user_id=device, person=f"person of {device}")
        answers = sync.sync_meetings(connection, caller, {place: upload(one, lock) for place, one in enumerate(sheets)}, POLICIES, TODAY)
        return [answers[place] for place in range(len(sheets))]

    def approve(self, connection, sheet):
        """None, or why not."""
        wanted = {UUID(sheet.meeting_id): sheet.revision}
        [refused] = decide.approve_meetings(connection, self.group.approver(), wanted, POLICIES, TODAY, unseen=False).values()
        return refused

    def hand_back(self, connection, sheet):
        said = Handback("Whose is it?", ("AMOUNT_WRONG",))
        decide.reject_meeting(connection, self.group.approver(), UUID(sheet.meeting_id), sheet.revision, said, POLICIES, TODAY)

    def status(self, connection, number):
        """Of the meeting's newest revision that was taken in; nothing where there is none."""
        where = text("select status from meetings where meeting_id = :one")
        return connection.execute(where, {"one": self.meeting_ids[number - 1]}).scalar_one_or_none()

    def rows(self, connection):
        """All that was stored, but for versions and times, and for who sent it."""
        of = {"one": self.group.institution_id}
        return {
            name: sorted(map(str, connection.execute(text(query), of)))
            for name, query in {
                "meetings": "select meeting_id, revision, number, held_on, status, content_hash, ids, content, debit, credit, debit_of, credit_of,"
                " paise, flags, decided_by, reasons, remark from meetings where institution_id = :one",
                "balances": "select head, of_id, paise, interest_paise, counted_through from balances where institution_id = :one",
                "loans": "select * from loans where institution_id = :one",
                "chains": "select last_number, last_meeting_id, last_held_on, approved_through, highest_number, lock from chains"
                " where institution_id = :one",
            }.items()
        }


@dataclass
class Answers:
    """What was answered to each revision; an answer that the contract does not know is a failure."""

    handed_back: int
    applied: list[tuple[int, int]] = field(default_factory=list)
    waiting: list[Sheet] = field(default_factory=list)

    def take(self, sheet, answer):
        if isinstance(answer, Outcome):
            assert answer in {Outcome.APPLIED, Outcome.ALREADY_APPLIED}
            if answer is Outcome.APPLIED:
                assert (sheet.number, sheet.revision) not in self.applied
                self.applied.append((sheet.number, sheet.revision))
        elif isinstance(answer, Waiting):
            assert (answer.code, answer.awaited) == ("MEETING_WAITING", sheet.previous_meeting_id)
            self.waiting.append(sheet)
        else:  # A newer revision stands there, or the position that it stood on was handed back.
            assert sheet.revision == 1
            assert sheet.number >= self.handed_back
            assert answer.code in {"REVISION_OLD", "CLOSING_DIFFERS"}, answer


def play(connection, story, handed_back, order, seed):
    """Let it all arrive; the answers. `handed_back` is the number of the meeting that the approver hands back once."""
    chance, answers = random.Random(seed), Answers(handed_back)
    sheets, renewed, is_back = story.sheets(), story.sheets(handed_back), False
    queue = uploads(chance, [sheets[number] for number in order])
    patience = chance.randint(0, 9)  # After so many uploads she hands it back, if it is there.
    for turn in range(ROUNDS_MAX):
        device, sent = queue.pop(0) if queue else (DEVICES[0], [])
        for sheet, answer in zip(sent, story.send(connection, device, sent), strict=True) if sent else ():
            answers.take(sheet, answer)
        if not is_back and (turn >= patience or not queue) and story.status(connection, handed_back) == "CLOSED":
            story.hand_back(connection, sheets[handed_back])
            is_back = True
            for one in uploads(chance, [renewed[number] for number in order if number >= handed_back]):
                queue.insert(chance.randint(0, len(queue)), one)
        elif chance.random() < 0.5 or not queue:
            approve_next(connection, story, renewed if is_back else sheets, 5 if is_back else handed_back)
        if not queue and answers.waiting:
            queue = [(chance.choice(DEVICES), answers.waiting[-UNSENT_MAX:])]
            del answers.waiting[-UNSENT_MAX:]
        if not queue and story.status(connection, 4) == "APPROVED":
            return answers
    raise AssertionError("it does not come to rest")


def uploads(chance, first):
    """Three copies of each, the first in their order, the last from the other device; single, or some in one upload."""
    made = []
    for copy in range(COPIES):
        left = list(first) if not copy else chance.sample(first, len(first))
        while left:
            size = chance.randint(1, len(left))
            made.append((DEVICES[copy == COPIES - 1], left[:size]))
            left = left[size:]
    return made


def approve_next(connection, story, sheets, before):
    """Whatever is next and there, below the number that is to be handed back."""
    for number in range(1, before):
        status = story.status(connection, number)
        if status != "APPROVED":
            if status == "CLOSED":
                assert story.approve(connection, sheets[number]) is None
            return


@contextmanager
def undone(connection):
    """What is done in it, and then as if it had not been."""
    nested = connection.begin_nested()
    yield
    nested.rollback()


def outcome(connection, story, handed_back, order, seed):
    """The rows that it comes to, whatever the order."""
    with undone(connection):
        story.hear(connection)
        answers = play(connection, story, handed_back, order, seed)
        final = story.sheets(handed_back)
        assert {(one.number, one.revision) for one in final.values()} <= set(answers.applied)
        assert queries.adrift(connection) == []
        return story.rows(connection)


def quiet_outcome(connection, story, handed_back):
    """Everything sent once and in its order, as a reference."""
    with undone(connection):
        story.hear(connection)
        sheets, renewed = story.sheets(), story.sheets(handed_back)
        assert set(story.send(connection, DEVICES[0], list(sheets.values()))) == {Outcome.APPLIED}
        story.hand_back(connection, sheets[handed_back])
        assert set(story.send(connection, DEVICES[0], [renewed[number] for number in range(handed_back, 5)])) == {Outcome.APPLIED}
        assert [story.approve(connection, one) for one in renewed.values()] == [None] * 4
        return story.rows(connection)


@pytest.fixture(scope="module")
def story():
    """The same ids in every order, so that rows can be compared."""
    return Story()


@pytest.mark.parametrize("order", list(permutations((1, 2, 3, 4))), ids=lambda order: "".join(map(str, order)))
def test_two_devices_and_three_copies_of_each_upload_come_to_one_outcome_in_every_order(connection, story, order):
    for handed_back in (2, 3):
        expected = quiet_outcome(connection, story, handed_back)
        for seed in range(3):
            assert outcome(connection, story, handed_back, order, f"{order} {seed}") == expected


@pytest.fixture
def committed(up):
    """A story whose group the service has heard of for good; all of it is taken away after the test."""
    made = Story()
    with database.transaction(SERVICE) as connection:
        made.hear(connection)
    yield made
    ids = {"one": made.group.institution_id, "ids": [made.group.id, *made.meeting_ids], "members": made.group.member_ids}
    with database.transaction(SERVICE) as connection:
        for table in ("meetings", "superseded", "balances", "loans", "chains", "institutions"):
            connection.execute(text(f"delete from {table} where institution_id = :one"), ids)
        connection.execute(text("delete from members where member_id = any(:members)"), ids)
        connection.execute(text("delete from outbox where subject = any(:ids)"), ids)
        connection.execute(
            text("delete from audit where place is null and exists (select from jsonb_array_elements_text(subjects) as one where one = any(:ids))"),
            ids,
        )


def at_once(*works):
    """Run them in threads that begin together; what any raises is raised."""
    begin, failed = threading.Barrier(len(works)), []

    def run(work):
        try:
            begin.wait(30)
            work()
        except BaseException as error:  # noqa: BLE001 - told to the test below
            failed.append(error)

    threads = [threading.Thread(target=run, args=(work,)) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
        assert not thread.is_alive()
    if failed:
        raise failed[0]


def patiently(work):
    """As a client does: what says that it is busy is asked again."""
    for _ in range(ROUNDS_MAX):
        try:
            with database.transaction(SERVICE) as connection:
                return work(connection)
        except (Exhausted, sync.NotStoredError):
            continue
    raise AssertionError("busy for ever")


def send_until_quiet(story, device, sheets, answers, chance, is_over):
    """What waits again and again, until nothing does, or it is over."""
    left = chance.sample(sheets, len(sheets))
    for _ in range(20 * ROUNDS_MAX):
        if not left or is_over():
            return
        size = chance.randint(1, UNSENT_MAX)
        sent, left = left[:size], left[size:]
        said = patiently(lambda connection, sent=sent: story.send(connection, device, sent))
        for sheet, answer in zip(sent, said, strict=True):
            answers.take(sheet, answer)
        left += [sheet for sheet, answer in zip(sent, said, strict=True) if isinstance(answer, Waiting)]
    raise AssertionError("it does not come to rest")


@pytest.mark.parametrize("seed", range(6))
def test_threads_come_to_the_same_outcome(up, committed, seed):
    story, handed_back = committed, 2 + seed % 2
    sheets, renewed = story.sheets(), story.sheets(handed_back)
    answers, is_back = Answers(handed_back), threading.Event()

    def device(name, copy):
        """It learns of what was handed back, and goes on sending its old copies besides."""
        chance, left = random.Random(f"{seed} {name} {copy}"), list(sheets.values())
        send_until_quiet(story, name, left, answers, chance, is_back.is_set)
        assert is_back.wait(60)
        send_until_quiet(story, name, [*left, *(renewed[number] for number in range(handed_back, 5))], answers, chance, lambda: False)

    def approver(hands_back):
        """Two of them; one hands back besides."""
        for _ in range(50 * ROUNDS_MAX):
            with database.transaction(SERVICE) as connection:
                approve_next(connection, story, renewed if is_back.is_set() else sheets, 5 if is_back.is_set() else handed_back)
                there = story.status(connection, handed_back) == "CLOSED"
                if story.status(connection, 4) == "APPROVED":
                    return
            if there and hands_back and not is_back.is_set():
                with database.transaction(SERVICE) as connection:
                    story.hand_back(connection, sheets[handed_back])
                is_back.set()

    approvers = (lambda: approver(hands_back=True), lambda: approver(hands_back=False))
    at_once(*approvers, *(lambda name=name, copy=copy: device(name, copy) for name in DEVICES for copy in range(COPIES)))
    with database.transaction(SERVICE) as connection:
        found = story.rows(connection)
        assert queries.adrift(connection) == []
        kept = text("select revision from superseded where institution_id = :one")
        assert set(connection.execute(kept, {"one": story.group.institution_id}).scalars()) == {1}
        told = text("select subject from outbox where event = 'MeetingApproved' and subject = any(:ids)")
        assert sorted(connection.execute(told, {"ids": story.meeting_ids}).scalars()) == sorted(story.meeting_ids)
    assert len(answers.applied) == len(set(answers.applied))
    assert {(one.number, one.revision) for one in renewed.values()} <= set(answers.applied)
    with database.engine(SERVICE).connect() as connection, connection.begin() as again:
        for table in ("meetings", "superseded", "balances", "loans", "chains"):
            connection.execute(text(f"delete from {table} where institution_id = :one"), {"one": story.group.institution_id})
        assert found == quiet_outcome(connection, story, handed_back)
        again.rollback()


def stories_that_part(story):
    """The first meeting, and two that two devices held on it."""
    first = story.sheets()[1]
    made = closed(first, [], story.group.bank_ids)
    plain = Sheet("", story.group.id, 1, 2, DAYS[1], first.meeting_id)
    saved = {"attendance": first.attendance, "savings": first.savings}
    mine, yours = (
        closed(
            replace(plain, meeting_id=new_id(), entries=(Entry("FINE", rupees * RUPEE, story.group.members[0]),), **saved),
            [made],
            story.group.bank_ids,
        )
        for rupees in (5, 10)
    )
    after = Sheet(new_id(), story.group.id, 1, 3, DAYS[2], yours.sheet.meeting_id)
    return first, mine.sheet, yours.sheet, closed(after, [made, yours], story.group.bank_ids).sheet


@pytest.mark.parametrize("batched", [False, True])
@pytest.mark.parametrize("order", list(permutations(range(4))), ids=lambda order: "".join(map(str, order)))
def test_of_two_meetings_on_the_same_one_the_first_to_come_is_taken_and_the_other_refused(connection, order, batched):
    """Two copies of each; a meeting that stands on the refused one is refused with it."""
    story = Story()
    story.hear(connection)
    first, mine, yours, after_yours = stories_that_part(story)
    assert story.send(connection, DEVICES[0], [first]) == [Outcome.APPLIED]
    copies = [(mine, yours)[one % 2] for one in order]
    winner = copies[0]
    if batched:
        said = story.send(connection, DEVICES[0], copies)
    else:
        said = [answer for at, one in enumerate(copies) for answer in story.send(connection, DEVICES[at % 2], [one])]
    for at, (sheet, answer) in enumerate(zip(copies, said, strict=True)):
        if sheet is winner:
            assert answer is (Outcome.ALREADY_APPLIED if at else Outcome.APPLIED)
        else:
            assert isinstance(answer, Conflict)
            assert answer.code == "MEETING_OUT_OF_SEQUENCE"
    before = story.rows(connection)
    [answer] = story.send(connection, DEVICES[1], [after_yours])
    if winner is mine:
        assert code(answer) == "MEETING_OUT_OF_SEQUENCE"
        assert story.rows(connection) == before
    else:
        assert answer is Outcome.APPLIED


def test_of_two_meetings_on_the_same_one_sent_at_once_one_is_taken(committed):
    first, mine, yours, _ = stories_that_part(committed)
    patiently(lambda connection: committed.send(connection, DEVICES[0], [first]))
    said = {}

    def device(name, sheet):
        said[name] = patiently(lambda connection: committed.send(connection, name, [sheet]))[0]

    at_once(lambda: device(DEVICES[0], mine), lambda: device(DEVICES[1], yours))
    [refused] = [one for one in said.values() if one is not Outcome.APPLIED]
    assert isinstance(refused, Refused)
    assert refused.code == "MEETING_OUT_OF_SEQUENCE"


@pytest.mark.parametrize("moves", list(permutations(("send old", "take", "send new"))), ids=" ".join)
def test_who_lost_the_books_sends_nothing_any_more(connection, moves):
    """Whatever she had sent before stands, and her copies of it are answered as ever; what she had not is refused for good."""
    story = Story()
    story.hear(connection)
    sheets = story.sheets()
    old, new = DEVICES
    taken = stored = False
    locks = {old: take_books(connection, story, old, take_over=False)}
    assert story.send(connection, old, [sheets[1]], lock=locks[old]) == [Outcome.APPLIED]
    for move in moves:
        if move == "take":
            with pytest.raises(Conflict, match="another device") as held:
                take_books(connection, story, new, take_over=False)
            assert held.value.code == "BOOKS_HELD"
            locks[new] = take_books(connection, story, new, take_over=True)
            assert locks[new] > locks[old]
            taken = True
        else:
            device = old if move == "send old" else new
            [answer] = story.send(connection, device, [sheets[2]], locks.get(device, 0))
            has_them = taken == (device is new)
            assert code(answer) == (Outcome.ALREADY_APPLIED if stored else Outcome.APPLIED if has_them else "LOCK_LOST")
            stored = stored or has_them
    assert story.send(connection, old, [sheets[1]], locks[old]) == [Outcome.ALREADY_APPLIED]
    assert [code(one) for one in story.send(connection, old, [sheets[3], sheets[4]], locks[old])] == ["LOCK_LOST"] * 2
    assert take_books(connection, story, old, take_over=True) > locks[new]
    assert [code(one) for one in story.send(connection, new, [sheets[4]], locks[new])] == ["LOCK_LOST"]


def code(answer):
    return answer.code if isinstance(answer, Refused) else answer


def take_books(connection, story, device, *, take_over):
    caller = story.group.bookkeeper(user_id=device, person=f"person of {device}")
    return take.take_books(connection, caller, story.group.institution_id, take_over=take_over)


def test_of_two_who_take_the_books_at_once_one_has_them(committed):
    said = {}

    def device(name):
        try:
            said[name] = patiently(lambda connection: take_books(connection, committed, name, take_over=False))
        except Conflict as refused:
            said[name] = refused.code

    at_once(*(lambda name=name: device(name) for name in DEVICES))
    [lock] = [one for one in said.values() if isinstance(one, int)]
    assert lock > 0
    assert [one for one in said.values() if one != lock] == ["BOOKS_HELD"]
