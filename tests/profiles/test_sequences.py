"""Whatever makers and checkers do, in whatever order: no record leaves the table of moves, and nothing that was approved is lost."""

from uuid import UUID

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from protos import dedup_pb2
from services.kernel.approval import ACTS, LIVE, MOVES, Act, Status, Step
from services.kernel.errors import Refused
from services.kernel.ids import uuid7
from services.profiles import queries
from services.profiles.commands import institution, life, member, review
from services.profiles.queries import MEMBER, tasks
from services.profiles.rules.form import Section, rows_in
from services.profiles.rules.review import Decided, Decision, SectionReview
from tests.profiles.builders import (
    SERVICE,  # noqa: F401 - whose connection the tests have
    TODAY,
    account,
    active_shg,
    bookkeeper,
    emptied,
    enrol,
    manager,
    new_shg,
    office,
    phone,
    reject,
    row,
    said,
    screen,
)

pytestmark = pytest.mark.usefixtures("land")

NAMES = ("Sunita Devi", "Sunita Rani", "Sita Devi", "Mamta Kumari")
CHECKERS = (
    manager(),
    manager(user_id="IUP_BPM2", person="manager2"),
    # Makers once more: by the same mobile, by a device that she shares, by her own user id.
    manager(user_id="IUP_BPM3", person="bookkeeper"),
    manager(user_id="IUP_BPM4", person="x", persons=frozenset({"second"})),
    manager(user_id="IUP_BK", person="y"),
)
VERDICTS = (dedup_pb2.VERDICT_CLEAR, dedup_pb2.VERDICT_POTENTIAL, dedup_pb2.VERDICT_CONFIRMED)

ROW_ACTS = ("add", "end", "leave out", "change")

a_number = st.integers(0, 99)


@pytest.fixture
def block(connection):
    """An active SHG, one that lacks a fifth member, and women who are in neither yet."""
    emptied(connection)
    one, _, women = active_shg(connection)
    other_women = sorted(uuid7() for _ in range(4))
    other, maker = new_shg(connection, name="Roshni", seats=office(*other_women[:3]))
    for place, her in enumerate(other_women):
        enrol(connection, maker, other, her, name=f"Member {'abcd'[place]}")
    shg_of = dict.fromkeys(women, one) | dict.fromkeys(other_women, other) | {uuid7(): shg for shg in (one, one, other, other)}
    return connection, (one, other), shg_of


class Desk(RuleBasedStateMachine):
    """Two makers and five checkers at the same records, each example undone before the next."""

    def __init__(self, block):
        super().__init__()
        self.connection, self.shgs, self.shg_of = block
        self.women = list(self.shg_of)
        self.makers = (bookkeeper(*self.shgs), bookkeeper(*self.shgs, person="second", user="IUP_BK2"))
        self.undone = self.connection.begin_nested()
        self.live_rows = {}
        self.records = self.read()
        self.activated = {record_id for record_id, one in self.records.items() if one.live}
        self.keep_rows()

    def teardown(self):
        self.undone.rollback()

    def read(self):
        page = {"status": None, "after": None, "size": 500}
        found = queries.members_page(self.connection, manager(), institution_id=None, **page)
        found += queries.institutions_page(self.connection, manager(), kind=None, **page)
        return {one.row.id: one for one in found}

    def keep_rows(self):
        for record_id, one in self.records.items():
            rows = {str(part["row_id"]) for value in (one.row.content or {}).values() for part in rows_in(value) if "row_id" in part}
            assert self.live_rows.get(record_id, set()) <= rows, "a row that was approved was lost"
            self.live_rows[record_id] = rows

    def step(self, step, record_id, call, *arguments, who=None):
        """Take a step as a transaction of its own, and compare what became of each record with the tables."""
        before = self.records
        try:
            with self.connection.begin_nested():
                call(self.connection, *arguments)
        except Refused:
            assert self.read() == before, "what is refused is not done"
            return
        self.records = self.read()
        for other_id, one in self.records.items():
            was = before.get(other_id)
            if other_id != record_id:
                assert one == was, "one step, one record"
            elif was is None:
                assert (step, one.row.status) == (Step.SUBMIT, Status.SUBMITTED)
            elif was != one:
                self.compare(step, was, one, who)
        self.keep_rows()

    def compare(self, step, was, one, who):
        if step is Step.APPROVE:
            assert was.waiting is not None
            assert was.waiting.maker_user != who.user_id
            assert was.waiting.maker_person not in {who.person, *who.persons}
            assert (one.waiting, one.live) == (None, ACTS[was.live, Act(was.waiting.act)])
            assert one.content == was.waiting.content or was.waiting.act != Act.PROFILE
            self.activated.add(one.row.id)
        elif not was.live:
            assert one.row.status == one.waiting.status == MOVES[Status(was.row.status), step]
        else:
            assert one.waiting.status == {Step.SUBMIT: Status.SUBMITTED, Step.REJECT: Status.REJECTED}[step]
            assert step is Step.REJECT or was.waiting is None or was.waiting.status == Status.REJECTED, "one change waits at most"
            assert self.lasting(one) == self.lasting(was), "what waits leaves no trace in what is live"

    @staticmethod
    def lasting(subject):
        return {name: value for name, value in subject.row._mapping.items() if name not in {"version", "submitted_version"}}

    def pick(self, number, step=None):
        """A record; where a step is asked for, rather one of which something waits."""
        waiting = [record_id for record_id, one in self.records.items() if one.waiting is not None and one.waiting.status == Status.SUBMITTED]
        ids = waiting if step and waiting and number % 4 else [*self.shgs, *self.women]
        return ids[number % len(ids)]

    def revision(self, record_id, ahead):
        one = self.records.get(record_id)
        return (one.held.revision if one else 0) + ahead

    def form_of(self, record_id):
        """What her form holds: what came back to her, what is live, or an empty one."""
        one = self.records.get(record_id)
        if one is None:
            return said(self.shg_of[record_id])
        handed_back = one.waiting is not None and one.waiting.act == Act.PROFILE
        return dict(one.waiting.content if handed_back else one.content)

    @rule(
        her=a_number,
        maker=st.sampled_from([0, 1]),
        ahead=st.sampled_from([0, 1, 1, 1, 2]),
        name=st.sampled_from(NAMES),
        rows=st.lists(
            st.tuples(st.sampled_from(["phones", "accounts"]), st.sampled_from(["add", "end", "leave out", "change"]), a_number), max_size=3
        ),
    )
    def hand_in_a_member(self, her, maker, ahead, name, rows):
        her = self.women[her % len(self.women)]
        form = self.form_of(her) | {"name": name}
        for kind, act, number in rows:
            form[kind] = changed(form.get(kind, []), kind, act, number)
        self.step(Step.SUBMIT, her, member.submit, self.makers[maker], her, self.revision(her, ahead), form, None, TODAY)

    @rule(
        her=a_number,
        maker=st.sampled_from([0, 1]),
        ahead=st.sampled_from([0, 1, 1, 1]),
        act=st.sampled_from([Act.LEAVE, Act.DEATH, Act.TRANSFER, Act.REVIVE, Act.REVIVE]),
    )
    def hand_in_what_happened(self, her, maker, ahead, act):
        her = self.women[her % len(self.women)]
        one = self.records.get(her)
        event = {"act": act, "on": "2026-03-31"}
        if act is Act.LEAVE:
            event["reason"] = "MIGRATION"
        if act is Act.TRANSFER:
            event["to_institution_id"] = str(next(shg for shg in self.shgs if one is None or shg != one.row.institution_id))
        self.step(Step.SUBMIT, her, life.submit, self.makers[maker], MEMBER, her, self.revision(her, ahead), event, TODAY)

    @rule(
        shg=st.sampled_from([0, 1]),
        maker=st.sampled_from([0, 1]),
        ahead=st.sampled_from([0, 1, 1, 1]),
        name=st.sampled_from(["Ujala", "Roshni", "Asha"]),
        act=st.sampled_from(["none", "new president", "no president", "leave out", "two presidents"]),
        her=a_number,
    )
    def hand_in_an_shg(self, shg, maker, ahead, name, act, her):
        shg_id = self.shgs[shg]
        form = self.form_of(shg_id) | {"name": name}
        seats = list(form["seats"])
        president = next(place for place, seat in enumerate(seats) if seat["post"] == "PRESIDENT" and "ended_on" not in seat)
        if act in {"new president", "no president"}:
            last_day = max(seats[president]["from"], "2025-12-31")
            seats[president] = seats[president] | {"ended_on": last_day}
        if act == "leave out":
            del seats[president]
        if act in {"new president", "leave out", "two presidents"}:
            woman = self.women[her % len(self.women)]
            seats.append({**row(str(uuid7()), body="OFFICE", post="PRESIDENT", member_id=str(woman)), "from": "2026-01-01"})
        arguments = (self.makers[maker], shg_id, self.revision(shg_id, ahead), form | {"seats": seats}, TODAY)
        self.step(Step.SUBMIT, shg_id, institution.submit, *arguments)

    @rule(her=a_number, verdict=st.sampled_from([VERDICTS[0], *VERDICTS]))
    def speak_of_a_member(self, her, verdict):
        one = self.records.get(self.women[her % len(self.women)])
        if one is not None:
            found = [("f1", verdict)] if verdict != dedup_pb2.VERDICT_CLEAR else []
            screen(self.connection, one, *found)
            now = self.read()
            assert {key: each for key, each in now.items() if key != one.row.id} == {
                key: each for key, each in self.records.items() if key != one.row.id
            }
            assert (now[one.row.id].row.status, now[one.row.id].content) == (one.row.status, one.content)
            self.records = now

    @rule(
        record=a_number,
        who=st.sampled_from(CHECKERS),
        ahead=st.sampled_from([0, 0, 0, 0, -1, 1]),
        decision=st.sampled_from([None, Decision.NOT_A_DUPLICATE, Decision.DUPLICATE_REJECT]),
        plain=st.booleans(),
    )
    def let_in(self, record, who, ahead, decision, plain):
        record_id = self.pick(record, Step.APPROVE)
        kind, revision = self.kind(record_id), self.revision(record_id, ahead)
        decisions = [Decided("f1", decision, "I met both")] if decision else []
        if plain:
            self.step(Step.APPROVE, record_id, review.approve_plain, who, kind, record_id, revision, TODAY, who=who)
        else:
            self.step(Step.APPROVE, record_id, review.approve, who, kind, record_id, revision, decisions, TODAY, who=who)

    @rule(
        record=a_number, who=st.sampled_from(CHECKERS), ahead=st.sampled_from([0, 0, 0, 1]), sections=st.lists(st.sampled_from(Section), max_size=3)
    )
    def hand_back(self, record, who, ahead, sections):
        record_id = self.pick(record, Step.REJECT)
        reviews = [SectionReview(one, place % 2 == 0, ["OTHER"]) for place, one in enumerate(sections)]

        def call(connection):
            kind = self.kind(record_id)
            reject(connection, record_id, self.revision(record_id, ahead), remark=f"again {record}", sections=reviews, who=who, kind=kind)

        self.step(Step.REJECT, record_id, call)

    @precondition(lambda self: len(self.activated) < len(self.women) + len(self.shgs))
    @rule(her=a_number)
    def enrol_a_member(self, her):
        """The whole way at once, so that sequences come to what is live."""
        new = [one for one in self.women if one not in self.activated]
        if new:
            her = new[her % len(new)]
            one = self.records.get(her)
            if one is None or one.waiting.status == Status.REJECTED:
                form = self.form_of(her)
                self.step(Step.SUBMIT, her, member.submit, self.makers[0], her, self.revision(her, 1), form, None, TODAY)
            screen(self.connection, self.read()[her])
            self.records = self.read()
            self.step(Step.APPROVE, her, review.approve, CHECKERS[1], MEMBER, her, self.revision(her, 0), [], TODAY, who=CHECKERS[1])

    def kind(self, record_id):
        return "" if record_id in self.shgs else MEMBER

    @invariant()
    def every_live_shg_has_one_active_president(self):
        for shg_id in self.shgs:
            one = self.records[shg_id]
            if one.live in {Status.ACTIVE, Status.LEGACY}:
                seated = [seat for seat in one.content["seats"] if seat["post"] == "PRESIDENT" and "ended_on" not in seat]
                assert [self.records[UUID(seat["member_id"])].live for seat in seated] == [Status.ACTIVE]

    @invariant()
    def as_many_codes_as_were_ever_activated(self):
        codes = [one.row.code for one in self.records.values() if one.row.code]
        assert len(set(codes)) == len(codes) == len(self.activated)
        assert {record_id for record_id, one in self.records.items() if one.row.code} == self.activated
        assert all(one.row.status in LIVE for record_id, one in self.records.items() if record_id in self.activated)

    @invariant()
    def my_task_shows_what_is_submitted(self):
        waiting = {(one.kind, record_id, one.waiting.revision) for record_id, one in self.records.items() if is_submitted(one)}
        page = tasks.page(self.connection, manager(), tasks.Wanted(), None, 500)
        assert {(one.kind, one.record_id, one.revision) for one in page} == waiting
        assert len(page) == len(waiting)


def is_submitted(subject):
    return subject.waiting is not None and subject.waiting.status == Status.SUBMITTED


def changed(rows, kind, act, number):
    """The rows with one of them changed; not all of it may be taken."""
    rows = [dict(one) for one in rows]
    if act == "add":
        made = phone(f"60009{number:05}") if kind == "phones" else account(f"10002009{number:05}")
        rows.append(made | {"is_default": "YES" if not any(one.get("is_default") and "ended_on" not in one for one in rows) else ""})
    elif rows:
        place = number % len(rows)
        if act == "leave out":
            del rows[place]
        elif act == "end":
            rows[place]["ended_on"] = "2026-03-31"
        else:
            rows[place]["is_default"] = "" if rows[place].get("is_default") else "YES"
    return rows


def test_whatever_they_do_records_stay_within_the_table(block):
    plain = settings(
        max_examples=15,
        stateful_step_count=60,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    run_state_machine_as_test(lambda: Desk(block), settings=plain)
