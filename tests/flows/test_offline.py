"""Books kept without a network, over real processes: whose meetings still come in, and that each does once, whatever is killed."""

import os
import random
import signal
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from uuid import uuid4

import grpc
import pytest

from deploy.demo import books
from deploy.demo.bookkeeping import take_books
from deploy.demo.cast import create_user, run_in
from deploy.demo.client import Client, Pocket, refused
from protos import identity_pb2
from protos import transactions_pb2 as pb
from services.kernel import month
from services.kernel.ids import uuid7
from tests.flows.world import journal, make_groups

pytestmark = [pytest.mark.flow, pytest.mark.timeout(600)]

UNSENT = 4  # As many as are held before they are sent.
UPLOADS_MAX = 200  # Some ten are enough.
KILLS = 6
SAVED_PAISE, LENT_PAISE, REPAID_PAISE, INTEREST_PAISE, FINE_PAISE, DRAWN_PAISE = 5_000, 20_000, 4_000, 300, 500, 100


@pytest.fixture(scope="module")
def groups(world):
    """Of one bookkeeper and one approver; a test has one of them to itself."""
    return iter(make_groups(world, world.up, 4))


@pytest.fixture
def group(groups):
    return next(groups)


def held(kept, group, meeting_id="", **screens):
    """The next meeting, closed on the device: everybody saves, and what else is said."""
    sheet = kept.begin(
        meeting_id or str(uuid7()),
        month.today().isoformat(),
        attendance=[pb.Attendance(member_id=one, present=True) for one in group.members],
        savings=[pb.Saving(member_id=one, compulsory_paise=SAVED_PAISE) for one in group.members],
        **screens,
    )
    return kept.close(sheet)


def lent(loan_id, group):
    return pb.LoanGiven(loan_id=loan_id, member_id=group.members[0], principal_paise=LENT_PAISE, annual_rate_basis_points=2400, months=10)


def send(keeper, *sheets):
    return list(keeper(keeper.transactions.SyncMeetings, pb.SyncMeetingsRequest(meetings=sheets), retry_seconds=60).answers)


def said(answers):
    """The code of each refusal, else the outcome."""
    return [one.refusal.code or pb.Outcome.Name(one.outcome).removeprefix("OUTCOME_") for one in answers]


def in_the_books(group):
    return {line.meeting_id for line in journal(group)}


def wait_until_stale(keeper, token, code):
    """Until the books take the token no more; what a device sends before with it is another matter."""

    def refused_with():
        try:
            keeper.transactions.GetChart(pb.GetChartRequest(), metadata=(("authorization", f"Bearer {token}"),), timeout=10)
        except grpc.RpcError as error:
            return refused(error).code
        return ""

    books.wait_until(f"the books say {code}", lambda: refused_with() == code)


def link(state, keeper, token, **change):
    """Link or unlink an institution of the bookkeeper's, and wait until everybody knows."""
    admin = state.block_admin
    admin(admin.identity.LinkInstitutions, identity_pb2.LinkInstitutionsRequest(user_id=keeper.login.user_id, role=keeper.login.role, **change))
    wait_until_stale(keeper, token, "TOKEN_STALE")


@pytest.fixture
def another(world, group):
    """A second bookkeeper of the group's."""
    name = f"SECOND{uuid4().hex[:8].upper()}"
    create_user(
        world.up, world.up.block_admin, name, group.keeper.login.role, world.up.block, f"9{random.randrange(10**8, 10**9)}", [group.institution_id]
    )
    return world.up.client(name, group.keeper.login.role)


def test_whoever_is_unlinked_sends_nothing_and_afterwards_only_what_still_fits(world, group, another):
    keeper, of = group.keeper, group.institution_id
    kept = take_books(keeper, of)
    draft = held(kept, group)
    link(world.up, keeper, keeper.token, unlink=[of])
    assert said(send(keeper, draft)) == ["INSTITUTION_NOT_YOURS"]
    assert books.refusal_of(lambda: take_books(keeper, of)).code == "INSTITUTION_NOT_YOURS"
    link(world.up, keeper, keeper.token, link=[of])
    assert said(send(keeper, draft)) == ["APPLIED"], "nobody had the books meanwhile: what was held is good"

    drafts = [held(kept, group), held(kept, group)]
    link(world.up, keeper, keeper.token, unlink=[of])
    asked = pb.TakeBooksRequest(institution_id=of)
    assert books.refusal_of(lambda: another(another.transactions.TakeBooks, asked)).code == "BOOKS_HELD"
    theirs = held(take_books(another, of), group)
    assert said(send(another, theirs)) == ["APPLIED"]
    assert said(send(keeper, *drafts)) == ["INSTITUTION_NOT_YOURS"] * 2
    link(world.up, keeper, keeper.token, link=[of])
    assert said(send(keeper, *drafts)) == ["LOCK_LOST"] * 2
    assert in_the_books(group) == {draft.meeting_id, theirs.meeting_id}
    again = held(take_books(keeper, of), group)
    assert said(send(keeper, again)) == ["APPLIED"]
    assert again.number == theirs.number + 1


def test_of_two_devices_the_one_that_took_over_goes_on_and_the_others_drafts_are_refused_whole(world, group, another):
    own, of = another, group.institution_id
    kept = take_books(own, of)
    assert said(send(own, held(kept, group))) == ["APPLIED"]
    drafts = [held(kept, group), held(kept, group)]
    token = own.token

    pocket = Pocket(world.up.pocket.devices / "second", world.up.pocket.inbox)
    second = Client(world.up.instance.grpc_address, world.up.instance.ca_file, own.login, pocket=pocket)
    taken = take_books(second, of)
    assert taken.lock > kept.lock
    before = books.position(second, of)
    wait_until_stale(own, token, "SESSION_ENDED")

    assert said(send(own, *drafts)) == ["LOCK_LOST"] * 2, "logged in again, which sent the second device away"
    assert books.position(own, of) == before
    assert in_the_books(group) == {before.last_meeting_id}
    theirs = held(taken, group)
    assert said(send(second, theirs)) == ["APPLIED"], "in another session, and with the lock"
    assert books.refusal_of(lambda: own(own.transactions.TakeBooks, pb.TakeBooksRequest(institution_id=of))).code == "BOOKS_HELD"
    anew = held(take_books(own, of), group)
    assert said(send(own, anew)) == ["APPLIED"]
    assert (anew.number, anew.previous_meeting_id) == (theirs.number + 1, theirs.meeting_id)
    second.close()


def four(kept, group):
    """Four meetings of which each needs the one before: a loan is given, and repaid in part."""
    loan_id, woman = str(uuid7()), group.members[1]
    return [
        held(kept, group, loans=[lent(loan_id, group)]),
        held(kept, group, entries=[pb.Entry(item="FINE", amount_paise=FINE_PAISE, member_id=woman)]),
        held(kept, group, repayments=[pb.Repayment(loan_id=loan_id, principal_paise=REPAID_PAISE, interest_paise=INTEREST_PAISE)]),
        held(kept, group, withdrawals=[pb.Withdrawal(member_id=woman, compulsory_paise=DRAWN_PAISE)]),
    ]


def send_in_disorder(keeper, sheets, seed):
    """Copies in any order, some and not others, until the books have said of each that they have it; what they applied."""
    dice, left, applied = random.Random(seed), {sheet.meeting_id for sheet in sheets}, []
    for _ in range(UPLOADS_MAX):
        answers = send(keeper, *dice.choices(sheets, k=dice.randint(1, UNSENT)))
        assert {one.outcome for one in answers} <= {pb.OUTCOME_APPLIED, pb.OUTCOME_ALREADY_APPLIED, pb.OUTCOME_WAITING}, (seed, said(answers))
        applied += [one.meeting_id for one in answers if one.outcome == pb.OUTCOME_APPLIED]
        left -= {one.meeting_id for one in answers if one.outcome != pb.OUTCOME_WAITING}
        if not left:
            return applied
    raise AssertionError(f"what the books said that they have they wait for: {seed}")


class Killer:
    """kill -9 of a program, again and again; each time it must come back."""

    def __init__(self, machine, program, dice):
        self.machine, self.program, self.dice = machine, program, dice
        self.done = threading.Event()

    def run(self):
        for _ in range(KILLS):
            if self.done.wait(self.dice.uniform(0.1, 1.5)):
                return
            os.kill(books.wait_until(f"{self.program} runs", lambda: self.machine.pid(self.program)), signal.SIGKILL)
            self.machine.wait_well(self.program, 90)


def test_uploads_in_any_order_and_twice_while_the_server_dies_are_in_the_books_once(world, group):
    seed = random.randrange(2**32)
    killer = Killer(world.machine, "up-serve", random.Random(seed))
    kept, sheets, applied = take_books(group.keeper, group.institution_id), [], Counter()
    with ThreadPoolExecutor(3) as pool:
        killing = pool.submit(killer.run)
        try:
            while not killing.done():
                sheets.append(four(kept, group))
                seeds = seed + len(sheets), seed - len(sheets)
                for one in pool.map(lambda own, now=sheets[-1]: send_in_disorder(group.keeper, now, own), seeds):
                    applied.update(one)
        finally:
            killer.done.set()
        killing.result()
    stored = [sheet for of_once in sheets for sheet in of_once]
    assert len(stored) > UNSENT, seed
    assert set(applied.values()) == {1}, seed
    lines = journal(group)
    assert len({(line.meeting_id, line.line) for line in lines}) == len(lines)
    assert list(dict.fromkeys(line.meeting_id for line in lines)) == [sheet.meeting_id for sheet in stored], seed
    told = books.position(group.keeper, group.institution_id)
    assert (told.last_number, told.closing_hash) == (stored[-1].number, kept.closing_hash()), seed
    assert run_in(world.up.instance, "services.transactions", "verify") == "0 institutions are adrift.\n"


def since(keeper, kept):
    """What is new to the device."""
    return keeper(keeper.transactions.Pull, kept.pull(month.today().isoformat()))


def decided(told):
    return [(one.number, one.revision, pb.MeetingStatus.Name(one.status)[15:], list(one.reasons), one.remark) for one in told.decisions]


def test_a_device_hears_what_was_decided_as_what_is_new_to_it(group):
    keeper, approver = group.keeper, group.approver
    kept, loan_id = take_books(keeper, group.institution_id), str(uuid7())
    repaid = pb.Repayment(loan_id=loan_id, principal_paise=REPAID_PAISE)
    sheets = [held(kept, group), held(kept, group, loans=[lent(loan_id, group)]), held(kept, group, repayments=[repaid])]
    assert said(send(keeper, *sheets)) == ["APPLIED"] * 3
    books.approve_meeting(approver, sheets[0].meeting_id)
    why = {"reasons": ["AMOUNT_WRONG"], "remark": "She asked for less."}
    approver(approver.transactions.RejectMeeting, pb.RejectMeetingRequest(meeting_id=sheets[1].meeting_id, revision=1, **why))

    told = since(keeper, kept)
    assert decided(told) == [
        (1, 1, "APPROVED", [], ""),
        (2, 1, "REJECTED", ["AMOUNT_WRONG"], "She asked for less."),
        (3, 1, "REJECTED", ["AMOUNT_WRONG"], "Meeting 2 was handed back, and this one stands on it."),
    ]
    assert not told.members
    kept.know(told, month.today().isoformat())
    assert (kept.number, kept.closing_hash()) == (1, told.closing_hash), "the loan that was never given is gone here too"

    again = [held(kept, group, sheet.meeting_id) for sheet in sheets[1:]]
    for sheet in again:
        sheet.revision = 2
    assert said(send(keeper, *again)) == ["APPLIED"] * 2
    for sheet in again:
        books.approve_meeting(approver, sheet.meeting_id, revision=2)
    told = since(keeper, kept)
    assert decided(told) == [(2, 2, "APPROVED", [], ""), (3, 2, "APPROVED", [], "")]
    kept.know(told, month.today().isoformat())
    assert kept.closing_hash() == told.closing_hash
    told = since(keeper, kept)
    assert [*told.balances, *told.loans, *told.members, *told.decisions] == []
