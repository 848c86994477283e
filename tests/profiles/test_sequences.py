"""Whatever makers and checkers do, in whatever order: no record leaves the table of moves, and nothing that was approved is lost."""

from collections import Counter
from dataclasses import replace
from datetime import timedelta
from uuid import UUID

import pytest
from hypothesis import HealthCheck, Phase, note, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from protos import dedup_pb2
from services.chassis import sheets
from services.kernel.approval import ACTS, IN_BOOKS, LIVE, MOVES, Act, Status, Step
from services.kernel.errors import Refused
from services.kernel.ids import uuid7
from services.profiles import queries
from services.profiles.commands import institution, life, member, review, sheet
from services.profiles.queries import MEMBER, tasks
from services.profiles.rules.form import Section, rows_in
from services.profiles.rules.review import Decided, Decision, SectionReview
from services.profiles.tables import members
from tests.profiles.builders import (
    GP,
    NEXT_VILLAGE,
    SERVICE,  # noqa: F401 - whose connection the tests have
    TODAY,
    VILLAGE,
    account,
    active_shg,
    bookkeeper,
    clerk,
    emptied,
    enrol,
    manager,
    new_shg,
    office,
    phone,
    reject,
    row,
    said,
    said_of,
    screen,
    screen_institution,
)

pytestmark = pytest.mark.usefixtures("land")

ROUNDS_MAX = 5  # Of examples: a round comes to nearly all that is asked, and a few to all.
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

a_number = range(100)


def several(*of, most=3):
    """Some values, or some tuples of values."""
    return lambda chance: [tuple(map(chance.choice, of)) if len(of) > 1 else chance.choice(of[0]) for _ in range(chance.randint(0, most))]


def by_chance(**choices):
    """A move: what each of its arguments is one of, or how it is made. Drawn evenly: Hypothesis by itself likes to do the same again."""

    def mark(move):
        move.choices = choices
        return move

    return mark


# What is handed in of a member's life, and of an SHG's; what must have been carried out at least once, from which status.
OF_MEMBERS = (Act.LEAVE, Act.DEATH, Act.TRANSFER, Act.REVIVE, Act.REINSTATE)
OF_SHGS = (Act.SPLIT, Act.MERGE, Act.CLOSE, Act.REVIVE)
REACHED = {
    *((MEMBER, live, act) for live, act in ACTS if act in {Act.PROFILE, *OF_MEMBERS}),
    *(("SHG", live, act) for live, act in ACTS if act in {Act.PROFILE, *OF_SHGS} and live is not Status.LEGACY),
    *((kind, status, step) for kind in (MEMBER, "SHG") for status, step in MOVES if step in {Step.SUBMIT, Step.WITHDRAW}),
}


@pytest.fixture
def block(connection):
    """A large SHG with women of the old MIS, one that it may be merged into, one that lacks a fifth member; a list's rows; who is in none yet."""
    emptied(connection)
    large, _, of_large = active_shg(connection, members=16)
    old = members.c.id.in_(of_large[11:])
    connection.execute(members.update().where(old).values(status="LEGACY", code=None))
    small, _, of_small = active_shg(connection, name="Jyoti")
    women = sorted(uuid7() for _ in range(4))
    lacking, maker = new_shg(connection, name="Roshni", seats=office(*women[:3]))
    for place, her in enumerate(women):
        enrol(connection, maker, lacking, her, name=f"Member {'abcd'[place]}")
    cells = dict.fromkeys(sheet.INSTITUTION_COLUMNS.values(), "") | {"Kind": "SHG", "Region": "999111", "Formed on": "2023-04-14", "Name": "Asha"}
    [listed] = sheet.take_institutions(connection, clerk(), [sheets.Row(2, cells)], TODAY, dry_run=False)
    cells = dict.fromkeys(sheet.MEMBER_COLUMNS.values(), "") | {"SHG": "Roshni", "Village": "999111"}
    rows = [sheets.Row(number, cells | {"Name": name}) for number, name in enumerate(NAMES[:2])]
    drafts = [one.id for one in sheet.take_members(connection, maker, rows, TODAY, dry_run=False)]
    shg_of = dict.fromkeys(of_large, large) | dict.fromkeys(of_small, small) | dict.fromkeys([*women, *drafts], lacking)
    return connection, (large, small, lacking, listed.id), shg_of | {uuid7(): shg for shg in (large, small, lacking, lacking)}


class Desk(RuleBasedStateMachine):
    """Two makers and five checkers at the same records, each example undone before the next; `reached` counts what was done in all of them."""

    def __init__(self, block, reached):
        super().__init__()
        self.connection, self.shgs, self.shg_of = block
        self.reached = reached
        self.women = list(self.shg_of)
        self.today = TODAY
        self.undone = self.connection.begin_nested()
        self.live_rows = {}
        self.records = self.read()
        self.activated = {record_id for record_id, one in self.records.items() if one.row.code}
        self.keep_rows()

    def teardown(self):
        self.undone.rollback()

    def maker(self, number):
        """Of all SHGs, also of those that came out of others."""
        who = bookkeeper(*self.shgs, **({"person": "second", "user": "IUP_BK2"} if number else {}))
        return replace(who, region=GP)

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
        assert before.keys() <= self.records.keys()
        was, one = before.get(record_id), self.records[record_id]
        act = Act(was.waiting.act) if step is Step.APPROVE and was.waiting is not None and was != one else None
        if was is None:
            assert (step, one.row.status) == (Step.SUBMIT, Status.SUBMITTED)
        elif was != one:
            self.compare(step, was, one, who)
            self.reached[one.kind, was.live, act] += act is not None
            self.reached[one.kind, Status(was.row.status), step] += was.live is None
        for other_id, other in self.records.items():
            if other_id != record_id and other != before.get(other_id):
                on = str(was.waiting.content.get("on", "")) if act else ""
                self.taken_along(act, on, one, before.get(other_id), other)
        self.shgs = tuple(record_id for record_id, one in self.records.items() if one.kind != MEMBER)
        self.keep_rows()

    def compare(self, step, was, one, who):
        if step is Step.APPROVE:
            act = Act(was.waiting.act)
            assert was.waiting.maker_user != who.user_id
            assert was.waiting.maker_person not in {who.person, *who.persons}
            comes_back = act in {Act.REVIVE, Act.REINSTATE}
            assert (one.waiting, one.live) == (None, ACTS[was.live, act] if one.row.code or not comes_back else Status.LEGACY)
            assert one.content == was.waiting.content or act != Act.PROFILE
            self.activated |= {one.row.id} if act is Act.PROFILE else set()
        elif not was.live:
            assert one.row.status == one.waiting.status == MOVES[Status(was.row.status), step]
            assert step is not Step.WITHDRAW or one.content == was.content
        else:
            assert one.waiting.status == {Step.SUBMIT: Status.SUBMITTED, Step.REJECT: Status.REJECTED}[step]
            assert step is Step.REJECT or was.waiting is None or was.waiting.status == Status.REJECTED, "one change waits at most"
            assert self.lasting(one) == self.lasting(was), "what waits leaves no trace in what is live"

    def taken_along(self, act, on, own, was, one):
        """What became of a record by what was done to another: to its SHG, or one that it comes out of or into."""
        if was is None:
            assert (act, one.kind, one.live) == (Act.SPLIT, own.kind, Status.ACTIVE)
            self.activated.add(one.row.id)
            return
        assert (own.kind, one.kind) == ("SHG", MEMBER), "one step, one record, but an SHG has its members along"
        if act is Act.CLOSE:
            assert (was.live in IN_BOOKS, one.live) == (True, Status.INACTIVE)
        elif act is Act.REVIVE:
            assert (was.live, one.live) == (Status.INACTIVE, Status.ACTIVE if one.row.code else Status.LEGACY)
        elif act in {Act.SPLIT, Act.MERGE}:
            assert (was.live in IN_BOOKS, one.live) == (True, was.live)
            assert was.row.institution_id != one.row.institution_id
        elif was.row.institution_id != own.row.id:  # She was in it once: others are told again where that lies.
            assert dict(one.row._mapping) == dict(was.row._mapping) | {"version": was.row.version + 1}
        else:  # It lies elsewhere.
            assert (was.row.institution_id, one.row.status, was.row.region != one.row.region) == (own.row.id, was.row.status, True)
        moved = {} if act not in {Act.SPLIT, Act.MERGE} else {"institution_id": str(one.row.institution_id), "joined_on": on}
        assert one.content == was.content | moved
        assert (was.waiting is None) == (one.waiting is None)

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
        blank = said_of(name="Asha", seats=office(*self.women[:3])) if record_id in self.shgs else said(self.shg_of[record_id])
        if one is None:
            return blank
        handed_back = one.waiting is not None and one.waiting.act == Act.PROFILE
        held = dict(one.waiting.content if handed_back else one.content)
        return held if one.live or one.held.revision else blank | held

    def possible(self, kind, act):
        """Of which live records the table knows this act."""
        return [record_id for record_id, one in self.records.items() if one.kind == kind and (one.live, act) in ACTS]

    @by_chance(
        her=a_number,
        maker=[0, 1],
        ahead=[0, 1, 1, 1, 2],
        name=NAMES,
        rows=several(("phones", "accounts"), ROW_ACTS, a_number),
    )
    def hand_in_a_member(self, her, maker, ahead, name, rows):
        new = [one for one in self.women if one not in self.records or not self.records[one].live]
        ids = new if new and her % 2 else self.women
        her = ids[her % len(ids)]
        form = self.form_of(her) | {"name": name}
        for kind, act, number in rows:
            form[kind] = changed(form.get(kind, []), kind, act, number)
        self.submit_member(her, form, maker, ahead)

    def submit_member(self, her, form, maker=0, ahead=1):
        self.step(Step.SUBMIT, her, member.submit, self.maker(maker), her, self.revision(her, ahead), form, None, self.today)

    def event(self, record_id, act, number):
        """As it happens today. Whoever or whatever it concerns besides is taken by the number."""
        said_of_it = {"act": act, "on": str(self.today)}
        own = self.records[record_id]
        open_shgs = [shg for shg in self.shgs if self.records[shg].live is Status.ACTIVE and shg not in {record_id, own.row.id}]
        if act in {Act.TRANSFER, Act.MERGE} or (act is Act.REVIVE and own.kind == MEMBER and self.has_closed(own)):
            others = [shg for shg in open_shgs if own.kind != MEMBER or shg != own.row.institution_id]
            said_of_it["to_institution_id"] = str(others[number % len(others)]) if others else str(uuid7())
        if act in {Act.LEAVE, Act.CLOSE}:
            said_of_it["reason"] = "MIGRATION" if act is Act.LEAVE else "DEFUNCT"
        if act is Act.REINSTATE:
            return {"act": act, "words": "It was her namesake."}
        if act is Act.SPLIT:
            seated = {seat["member_id"] for seat in own.content["seats"]}
            going = [her for her, status in self.in_it(record_id) if status is Status.ACTIVE and str(her) not in seated][: 5 + number % 2]
            seats = office(*(going * 3)[:3], **{"from": str(self.today)}) if going else []
            new = said_of(name=f"Nayi {len(self.shgs)}", region=own.row.region, formed_on=str(self.today), seats=seats, institution_id=str(uuid7()))
            said_of_it |= {"ids": [str(her) for her in going], "new_institution": new}
        if act is Act.REVIVE and own.kind != MEMBER:
            gone = [her for her, status in self.in_it(record_id) if status is Status.INACTIVE and self.records[her].row.inactive_reason != "DEATH"]
            said_of_it["ids"] = [str(her) for her in gone]
        return said_of_it

    def has_closed(self, her):
        return self.records[her.row.institution_id].live is Status.INACTIVE

    def in_it(self, shg_id):
        return [(her, one.live) for her, one in self.records.items() if one.kind == MEMBER and one.row.institution_id == shg_id]

    def submit_event(self, record_id, act, number, maker=0, ahead=1):
        event = self.event(record_id, act, number)
        arguments = self.maker(maker), self.kind(record_id), record_id, self.revision(record_id, ahead), event, self.today
        self.step(Step.SUBMIT, record_id, life.submit, *arguments)

    @by_chance(record=a_number, maker=[0, 1], ahead=[0, 1, 1, 1], act=[*OF_MEMBERS, *OF_SHGS])
    def hand_in_what_happened(self, record, maker, ahead, act):
        """To anybody, also where it cannot be."""
        self.today += timedelta(1)
        ids = [one for one, held in self.records.items() if (held.kind == MEMBER) == (act in OF_MEMBERS and (act not in OF_SHGS or record % 2 == 0))]
        record_id = ids[record % len(ids)]
        if self.records[record_id].live or "seats" in self.records[record_id].content:
            self.submit_event(record_id, act, record, maker, ahead)

    @by_chance(
        record=a_number,
        act=OF_MEMBERS,
        of_old=(True, False),
        days=range(1, 10),
    )
    def it_happens_to_her(self, record, act, of_old, days):
        self.it_happens(MEMBER, record, act, days, of_old=of_old)

    @by_chance(record=a_number, act=[*OF_SHGS, Act.REVIVE], days=range(1, 10))
    def it_happens_to_an_shg(self, record, act, days):
        self.it_happens("SHG", record, act, days)

    def it_happens(self, kind, record, act, days, *, of_old=False):
        """The whole way at once, so that sequences come far: what waits of those whom it concerns is handed back first."""
        self.today += timedelta(days)
        ids = self.possible(kind, act)
        ids = [one for one in ids if self.records[one].row.code is None] or ids if of_old else ids
        if act is Act.REINSTATE:
            ids = [one for one in ids if not self.has_closed(self.records[one])]
        if not ids:
            return
        record_id = ids[record % len(ids)]
        concerned = [record_id, *(her for her, _ in self.in_it(record_id))]
        for one in concerned:
            if is_submitted(self.records[one]):
                self.send_back(one, "first what happened")
        self.submit_event(record_id, act, record)
        self.approve(record_id, CHECKERS[1])

    def approve(self, record_id, who, ahead=0, decisions=()):
        arguments = who, self.kind(record_id), record_id, self.revision(record_id, ahead), decisions, self.today
        self.step(Step.APPROVE, record_id, review.approve, *arguments, who=who)

    def send_back(self, record_id, remark, ahead=0, who=CHECKERS[1], **said):
        def call(connection):
            reject(connection, record_id, self.revision(record_id, ahead), remark=remark, who=who, kind=self.kind(record_id), **said)

        self.step(Step.REJECT, record_id, call)

    @by_chance(kind=[MEMBER, "SHG"], record=a_number, maker=[0, 1], ahead=[0, 0, 0, 1, -1])
    def withdraw(self, kind, record, maker, ahead):
        of_kind = [record_id for record_id, one in self.records.items() if one.kind == kind]
        free = [record_id for record_id in of_kind if not self.records[record_id].live and not self.in_it(record_id)]
        ids = free if free and record % 8 else of_kind
        record_id = ids[record % len(ids)]
        if is_submitted(self.records[record_id]) and record % 3:
            self.send_back(record_id, "it was a mistake")
        call = member.withdraw if self.kind(record_id) else institution.withdraw
        self.step(Step.WITHDRAW, record_id, call, self.maker(maker), record_id, self.revision(record_id, ahead))

    @by_chance(
        shg=a_number,
        maker=[0, 1],
        ahead=[0, 1, 1, 1],
        name=["", "", "Ujala", "Roshni", "Asha"],
        region=[VILLAGE, VILLAGE, NEXT_VILLAGE],
        act=["none", "new president", "no president", "leave out", "two presidents"],
        her=a_number,
    )
    def hand_in_an_shg(self, shg, maker, ahead, name, region, act, her):
        self.today += timedelta(2)
        new = [shg_id for shg_id in self.shgs if not self.records[shg_id].live]
        ids = new if new and shg % 2 else self.shgs
        shg_id = ids[shg % len(ids)]
        form = self.form_of(shg_id) | {"region": region}
        form |= {"name": name} if name else {}
        seats = list(form["seats"])
        president = next(place for place, seat in enumerate(seats) if seat["post"] == "PRESIDENT" and "ended_on" not in seat)
        if act in {"new president", "no president"}:
            last_day = max(seats[president]["from"], str(self.today - timedelta(1)))
            seats[president] = seats[president] | {"ended_on": last_day}
        if act == "leave out":
            del seats[president]
        if act in {"new president", "leave out", "two presidents"}:
            those = [one for one, _ in self.in_it(shg_id)] if her % 3 else self.women
            woman = (those or self.women)[her % len(those or self.women)]
            seats.append({**row(str(uuid7()), body="OFFICE", post="PRESIDENT", member_id=str(woman)), "from": str(self.today)})
        arguments = (self.maker(maker), shg_id, self.revision(shg_id, ahead), form | {"seats": seats}, self.today)
        self.step(Step.SUBMIT, shg_id, institution.submit, *arguments)

    @by_chance(one=a_number, verdict=[VERDICTS[0], *VERDICTS])
    def speak_of_an_institution(self, one, verdict):
        known = [each for each in self.records if self.kind(each) != MEMBER and self.records[each].waiting is not None]
        if known:
            subject = self.records[known[one % len(known)]]
            found = [("f1", verdict)] if verdict != dedup_pb2.VERDICT_CLEAR else []
            screen_institution(self.connection, subject.row.id, subject.profile.revision, *found)
            self.records = self.read()

    @by_chance(her=a_number, verdict=[VERDICTS[0], *VERDICTS])
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

    @by_chance(
        record=a_number,
        who=CHECKERS,
        ahead=[0, 0, 0, 0, -1, 1],
        decision=[None, Decision.NOT_A_DUPLICATE, Decision.DUPLICATE_REJECT],
        plain=(True, False),
    )
    def let_in(self, record, who, ahead, decision, plain):
        record_id = self.pick(record, Step.APPROVE)
        decisions = [Decided("f1", decision, "I met both")] if decision else []
        if plain:
            arguments = who, self.kind(record_id), record_id, self.revision(record_id, ahead), self.today
            self.step(Step.APPROVE, record_id, review.approve_plain, *arguments, who=who)
        else:
            self.approve(record_id, who, ahead, decisions)

    @by_chance(record=a_number, who=CHECKERS, ahead=[0, 0, 0, 1], sections=several(list(Section)))
    def hand_back(self, record, who, ahead, sections):
        record_id = self.pick(record, Step.REJECT)
        reviews = [SectionReview(one, place % 2 == 0, ["OTHER"]) for place, one in enumerate(sections)]
        self.send_back(record_id, f"again {record}", ahead, who, sections=reviews)

    @by_chance(her=a_number, whose=[None, None, Status.LEGACY, Status.ACTIVE])
    def enrol_a_member(self, her, whose):
        """The whole way at once: who is new or was withdrawn, who is to be verified, or whose record is edited."""
        ids = [one for one in self.women if (self.records[one].live if one in self.records else None) is whose]
        if not ids:
            return
        her = ids[her % len(ids)]
        if her not in self.records or not is_submitted(self.records[her]):
            self.submit_member(her, self.form_of(her))
        if her in self.records:
            screen(self.connection, self.records[her])
            self.records = self.read()
            self.approve(her, CHECKERS[1])

    @by_chance(shg=a_number)
    def let_an_shg_in(self, shg):
        """Or an edit of it, the whole way at once."""
        shg_id = self.shgs[shg % len(self.shgs)]
        for her, _ in self.in_it(shg_id):
            one = self.records[her]
            if not one.live and is_submitted(one):
                self.send_back(her, "first the SHG")
            elif not one.live and one.row.status != Status.WITHDRAWN:
                self.step(Step.WITHDRAW, her, member.withdraw, self.maker(0), her, self.revision(her, 0))
        if not is_submitted(self.records[shg_id]):
            self.step(Step.SUBMIT, shg_id, institution.submit, self.maker(0), shg_id, self.revision(shg_id, 1), self.form_of(shg_id), self.today)
        if is_submitted(self.records[shg_id]) and self.records[shg_id].waiting.act == Act.PROFILE:
            screen_institution(self.connection, shg_id, self.revision(shg_id, 0))
            self.records = self.read()
        self.approve(shg_id, CHECKERS[1])

    @rule(chance=st.randoms(use_true_random=True))
    def move(self, chance):
        name, made = chance.choice([(name, made) for name, made in vars(Desk).items() if hasattr(made, "choices")])
        arguments = {argument: of(chance) if callable(of) else chance.choice(of) for argument, of in made.choices.items()}
        note(f"{name} {arguments}")
        made(self, **arguments)

    def kind(self, record_id):
        return "" if record_id in self.shgs else MEMBER

    @invariant()
    def every_live_shg_has_one_active_president(self):
        for shg_id in self.shgs:
            one = self.records[shg_id]
            if one.live in IN_BOOKS:
                seated = [seat for seat in one.content["seats"] if seat["post"] == "PRESIDENT" and "ended_on" not in seat]
                [hers] = [self.records[UUID(seat["member_id"])] for seat in seated]
                assert (hers.live, hers.row.institution_id) == (Status.ACTIVE, shg_id)

    @invariant()
    def who_is_in_the_books_is_so_in_a_live_shg_where_that_lies(self):
        for one in self.records.values():
            if one.kind == MEMBER:
                shg = self.records[one.row.institution_id]
                assert shg.live is not Status.INACTIVE or one.live not in IN_BOOKS
                assert one.row.region == shg.row.region

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
        max_examples=20,
        stateful_step_count=60,
        deadline=None,
        database=None,
        phases=[Phase.generate],  # To make a failing sequence shorter would take longer than a test may.
        suppress_health_check=list(HealthCheck),
    )
    reached = Counter()
    for _ in range(ROUNDS_MAX):
        run_state_machine_as_test(lambda: Desk(block, reached), settings=plain)
        if not (missed := {one for one in REACHED if not reached[one]}):
            break
    assert not missed, "what it never comes to it says nothing about"
