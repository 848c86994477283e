"""Maker and checker on a real PostgreSQL: every step from every status, section by section, own entries, many at once, edits of what is live."""

from dataclasses import replace
from itertools import product

import pytest
from sqlalchemy import func, select, update

from protos import dedup_pb2, profiles_pb2
from services.chassis import sheets
from services.kernel.approval import ACTS, LIVE, MOVES, Act, Status, Step, move, outcome
from services.kernel.errors import Conflict, Refused
from services.kernel.ids import uuid7
from services.profiles import queries
from services.profiles.commands import institution, member, restate, sheet
from services.profiles.queries import MEMBER, tasks
from services.profiles.rules.form import Section
from services.profiles.rules.review import SectionReview
from services.profiles.tables import history, institutions, mappings, members, submissions
from tests.profiles.builders import (
    SERVICE,  # noqa: F401 - whose connection the tests have
    TODAY,
    account,
    active_shg,
    approve,
    approve_institution,
    bookkeeper,
    clerk,
    code_of,
    edited,
    emptied,
    enrol,
    events,
    last,
    live_at_once,
    manager,
    new_shg,
    office,
    phone,
    reject,
    reject_institution,
    row,
    said,
    said_of,
    screen,
    submit,
    vo_bookkeeper,
)

pytestmark = pytest.mark.usefixtures("land")


@pytest.fixture
def connection(connection):
    return emptied(connection)


# --- Every step from every status


@pytest.mark.parametrize(("live", "act"), list(product([None, *Status], Act)))
def test_an_act_is_in_the_table_or_refused(live, act):
    if (live, act) in ACTS:
        assert outcome(live, act) in LIVE
    else:
        with pytest.raises(Conflict) as refused:
            outcome(live, act)
        assert refused.value.code == "ACT_NOT_ALLOWED"


@pytest.mark.parametrize(("status", "step"), list(product(Status, Step)))
def test_a_step_is_in_the_table_or_refused(status, step):
    if (status, step) in MOVES:
        assert move(status, step) is MOVES[status, step]
    else:
        with pytest.raises(Conflict) as refused:
            move(status, step)
        assert refused.value.code == "MOVE_NOT_ALLOWED"


class Case:
    """A record of a kind in a state: its own status, and that of what waits of it."""

    def __init__(self, connection, kind, state):
        self.connection, self.kind = connection, kind
        own, _, waits = state.partition("+")
        self.shg_id, self.maker, women = active_shg(connection)
        self.seats = [seat | {"institution_id": str(self.shg_id)} for seat in office(*women[:3])]
        self.id, self.revision = (self.listed(), 0) if own == "DRAFT" else (uuid7(), 1)
        if own != "DRAFT":
            self.submit(1, "Sunita Devi")
        if own in {"REJECTED", "WITHDRAWN"}:
            self.reject()
        if own == "WITHDRAWN":
            self.withdraw()
        if own in LIVE:
            self.approve()
            table = members if kind == MEMBER else institutions
            # How a record becomes LEGACY or INACTIVE is not what is asked here.
            connection.execute(update(table).where(table.c.id == self.id).values(status=own))
        if waits:
            self.revision = 2
            self.submit(2, "Sunita Rani")
        if waits == "REJECTED":
            self.reject()

    def listed(self):
        if self.kind != MEMBER:
            cells = dict.fromkeys(sheet.INSTITUTION_COLUMNS.values(), "") | {"Kind": "VO", "Region": "999011", "Formed on": "2023-04-14"}
            rows = [sheets.Row(2, cells | {"Name": "Sunita Devi"})]
            return sheet.take_institutions(self.connection, clerk(), rows, TODAY, dry_run=False)[0].id
        cells = dict.fromkeys(sheet.MEMBER_COLUMNS.values(), "") | {"SHG": "Ujala", "Village": "999111", "Name": "Sunita Devi"}
        return sheet.take_members(self.connection, self.maker, [sheets.Row(2, cells)], TODAY, dry_run=False)[0].id

    def submit(self, revision, name):
        if self.kind == MEMBER:
            return submit(self.connection, self.maker, self.shg_id, self.id, revision, name=name)
        maker = vo_bookkeeper(self.id)
        return institution.submit(self.connection, maker, self.id, revision, said_of("VO", name=name, seats=self.seats), TODAY)

    def approve(self):
        if self.kind == MEMBER:
            screen(self.connection, self.held())
            return approve(self.connection, self.id, self.revision)
        return approve_institution(self.connection, self.id, self.revision)

    def reject(self, remark="again"):
        return reject(self.connection, self.id, self.revision, remark=remark, kind=MEMBER if self.kind == MEMBER else "")

    def withdraw(self):
        if self.kind == MEMBER:
            return member.withdraw(self.connection, self.maker, self.id, self.revision)
        return institution.withdraw(self.connection, vo_bookkeeper(self.id), self.id, self.revision)

    def held(self):
        find = queries.member if self.kind == MEMBER else queries.institution
        return find(self.connection, manager(), self.id)

    def state(self):
        """In words, as a case is."""
        subject = self.held()
        beside = subject.live and subject.waiting is not None
        assert beside or subject.live or subject.waiting.status == subject.row.status
        return f"{subject.row.status}+{subject.waiting.status}" if beside else subject.row.status


# What a step makes of a record, or its refusal: to submit, approve, reject, withdraw. A repeated approval or withdrawal is the same answer.
STEPS = {
    "DRAFT": ("SUBMITTED", "MOVE_NOT_ALLOWED", "MOVE_NOT_ALLOWED", "WITHDRAWN"),
    "SUBMITTED": ("LOCKED", "ACTIVE", "REJECTED", "MOVE_NOT_ALLOWED"),
    "REJECTED": ("SUBMITTED", "MOVE_NOT_ALLOWED", "MOVE_NOT_ALLOWED", "WITHDRAWN"),
    "WITHDRAWN": ("SUBMITTED", "MOVE_NOT_ALLOWED", "MOVE_NOT_ALLOWED", "WITHDRAWN"),
    "ACTIVE": ("ACTIVE+SUBMITTED", "ACTIVE", "NOTHING_WAITS", "MOVE_NOT_ALLOWED"),
    "ACTIVE+SUBMITTED": ("LOCKED", "ACTIVE", "ACTIVE+REJECTED", "MOVE_NOT_ALLOWED"),
    "ACTIVE+REJECTED": ("ACTIVE+SUBMITTED", "MOVE_NOT_ALLOWED", "MOVE_NOT_ALLOWED", "MOVE_NOT_ALLOWED"),
    "LEGACY": ("LEGACY+SUBMITTED", "LEGACY", "NOTHING_WAITS", "MOVE_NOT_ALLOWED"),
    "LEGACY+SUBMITTED": ("LOCKED", "ACTIVE", "LEGACY+REJECTED", "MOVE_NOT_ALLOWED"),
    "LEGACY+REJECTED": ("LEGACY+SUBMITTED", "MOVE_NOT_ALLOWED", "MOVE_NOT_ALLOWED", "MOVE_NOT_ALLOWED"),
    "INACTIVE": ("ACT_NOT_ALLOWED", "INACTIVE", "NOTHING_WAITS", "MOVE_NOT_ALLOWED"),
}


@pytest.mark.parametrize(("kind", "state"), list(product((MEMBER, "VO"), STEPS)))
def test_each_step_leads_where_the_table_says(connection, kind, state):
    case = Case(connection, kind, state)
    assert case.state() == state
    steps = (lambda: case.submit(case.revision + 1, "Sunita Kumari"), case.approve, lambda: case.reject("otherwise"), case.withdraw)
    for step, expected in zip(steps, STEPS[state], strict=True):
        with connection.begin_nested() as tried:
            try:
                step()
                found = case.state()
            except Refused as refused:
                found = refused.code
            assert found == expected
            tried.rollback()


def waits(connection, record_id):
    return [one.record_id for one in tasks.page(connection, manager(), tasks.Wanted(), None, 25) if one.record_id == record_id]


def test_what_is_withdrawn_is_its_makers_to_bring_again(connection):
    shg_id, maker = new_shg(connection)
    her = submit(connection, maker, shg_id).row.id
    reject(connection, her)
    assert code_of(member.withdraw, connection, maker, her, 0) == "REVISION_OLD"
    assert code_of(member.withdraw, connection, bookkeeper(uuid7()), her, 1) == "MEMBER_UNKNOWN"
    gone = member.withdraw(connection, maker, her, 1)
    told = len(events(connection))
    assert member.withdraw(connection, maker, her, 1) == gone
    assert len(events(connection)) == told
    changed, version = last(connection, profiles_pb2.MemberChanged)
    assert (changed.status, version) == (profiles_pb2.STATUS_WITHDRAWN, gone.row.version)
    assert gone.content["name"] == "Sunita Devi"  # Nothing of it is lost.
    # Told anew, to the duplicate check she is who was handed back: nobody's double.
    restate.restate_submissions(connection, "dedup", None)
    [decided] = events(connection, "MemberDecided", to="dedup")
    assert profiles_pb2.MemberDecided.FromString(decided.body).status == profiles_pb2.STATUS_REJECTED
    made = submit(connection, maker, shg_id, her, 2)
    screen(connection, made)
    assert waits(connection, her) == [her]
    assert approve(connection, her, 2).row.status == "ACTIVE"


def test_an_shg_is_let_in_once_the_wrong_rows_of_its_list_are_withdrawn(connection):
    ids = sorted(uuid7() for _ in range(5))
    shg_id, maker = new_shg(connection, seats=office(*ids[:3]))
    for place, member_id in enumerate(ids):
        enrol(connection, maker, shg_id, member_id, name=f"Member {'abcde'[place]}")
    cells = dict.fromkeys(sheet.MEMBER_COLUMNS.values(), "") | {"SHG": "Ujala", "Village": "999111", "Name": "Sunita Devi"}
    rows = [sheets.Row(2, cells)]
    [listed] = sheet.take_members(connection, maker, rows, TODAY, dry_run=False)
    assert code_of(approve_institution, connection, shg_id) == "MEMBERS_PENDING"
    member.withdraw(connection, maker, listed.id, 0)
    assert approve_institution(connection, shg_id).row.status == "ACTIVE"
    assert sheet.take_members(connection, maker, rows, TODAY, dry_run=False) == [listed]  # The list again does not bring her back.
    assert queries.member(connection, maker, listed.id).row.status == "WITHDRAWN"


def test_an_institution_is_withdrawn_by_whoever_brought_it_and_its_name_is_free(connection):
    cells = dict.fromkeys(sheet.INSTITUTION_COLUMNS.values(), "") | {"Kind": "SHG", "Region": "999111", "Formed on": "2023-04-14", "Name": "Ujala"}
    rows = [sheets.Row(2, cells)]
    [listed] = sheet.take_institutions(connection, clerk(), rows, TODAY, dry_run=False)
    maker = bookkeeper(listed.id)
    assert code_of(institution.withdraw, connection, clerk_elsewhere(), listed.id, 0) == "INSTITUTION_UNKNOWN"
    assert code_of(institution.withdraw, connection, bookkeeper(uuid7(), user="IUP_BK2"), listed.id, 0) == "INSTITUTION_UNKNOWN"
    assert code_of(institution.withdraw, connection, clerk(), uuid7(), 0) == "INSTITUTION_UNKNOWN"
    her = submit(connection, maker, listed.id).row.id
    assert code_of(institution.withdraw, connection, clerk(), listed.id, 0) == "MEMBERS_LEFT"
    reject(connection, her)
    assert institution.withdraw(connection, clerk(), listed.id, 0).row.status == "WITHDRAWN"
    assert code_of(submit, connection, maker, listed.id, her, 2) == "INSTITUTION_INACTIVE"
    assert sheet.take_institutions(connection, clerk(), rows, TODAY, dry_run=False) == [listed]
    other, others_maker = new_shg(connection)  # Of the same name.
    assert code_of(institution.submit, connection, maker, listed.id, 1, said_of(), TODAY) == "NAME_TAKEN"
    reject_institution(connection, other)
    assert institution.withdraw(connection, bookkeeper(), other, 1).row.status == "WITHDRAWN"  # Hers, though not mapped to her yet.
    assert institution.submit(connection, maker, listed.id, 1, said_of(), TODAY).row.status == "SUBMITTED"
    vo = uuid7()
    institution.submit(connection, vo_bookkeeper(), vo, 1, said_of("VO"), TODAY)
    reject_institution(connection, vo)
    institution.withdraw(connection, vo_bookkeeper(vo), vo, 1)
    assert code_of(institution.submit, connection, others_maker, other, 2, said_of(name="Roshni", parent_id=str(vo)), TODAY) == "INSTITUTION_INACTIVE"


def clerk_elsewhere():
    return replace(clerk(), user_id="IUP_MIS2", region="9.178.1505")


def test_withdrawn_over_the_wire(connection, serving):
    shg_id, maker = new_shg(connection)
    her = submit(connection, maker, shg_id).row.id
    reject(connection, her)
    reject_institution(connection, shg_id)
    made, calling = serving
    calling["who"] = maker
    withdrawn = profiles_pb2.STATUS_WITHDRAWN
    assert made.WithdrawMember(profiles_pb2.WithdrawMemberRequest(member_id=str(her), revision=1), None).status == withdrawn
    asked = profiles_pb2.WithdrawInstitutionRequest(institution_id=str(shg_id), revision=1)
    assert made.WithdrawInstitution(asked, None).status == withdrawn
    found = made.ListMembers(profiles_pb2.ListMembersRequest(status=withdrawn), None).members
    assert [one.member_id for one in found] == [str(her)]


# --- Section by section


def shown(serving, subject):
    made, calling = serving
    calling["who"] = manager()
    if subject.kind == MEMBER:
        return made.GetMember(profiles_pb2.GetMemberRequest(member_id=str(subject.row.id)), None)
    return made.GetInstitution(profiles_pb2.GetInstitutionRequest(institution_id=str(subject.row.id)), None)


def reviews_of(profile):
    return {profiles_pb2.Section.Name(one.section).removeprefix("SECTION_"): (one.accepted, one.unchanged) for one in profile.reviews}


def test_a_checker_accepts_and_hands_back_section_by_section(connection, serving):
    shg_id, maker = new_shg(connection)
    made = submit(connection, maker, shg_id)
    her = made.row.id
    screen(connection, made)
    sections = [
        SectionReview(Section.BASIC, accepted=True),
        SectionReview(Section.PHONE, accepted=True),
        SectionReview(Section.BANK, accepted=False, reasons=["OTHER", "ACCOUNT_WRONG"], remark=" see the  passbook "),
    ]
    back = reject(connection, her, 1, ["PHOTO_MISSING"], "two things", sections=sections)
    # All reasons together, in the list's order.
    assert back.waiting.reasons == ["PHOTO_MISSING", "ACCOUNT_WRONG", "OTHER"]
    assert back.waiting.reviews["BANK"] == {"accepted": False, "reasons": ["ACCOUNT_WRONG", "OTHER"], "remark": "see the passbook"}
    profile = shown(serving, back)
    assert (profile.remark, list(profile.reasons)) == ("two things", back.waiting.reasons)
    assert reviews_of(profile) == {"BASIC": (True, True), "PHONE": (True, True), "BANK": (False, False)}
    assert [one.status for one in profile.accounts] == [profiles_pb2.ROW_STATUS_REJECTED]
    assert [one.status for one in profile.phones] == [profiles_pb2.ROW_STATUS_PENDING]

    # She corrects the account, and the name besides: what was accepted and has not changed need not be looked at again.
    again = submit(connection, maker, shg_id, her, 2, name="Sunita Rani", accounts=[account("1000200917499")])
    profile = shown(serving, again)
    assert reviews_of(profile) == {"BASIC": (True, False), "PHONE": (True, True), "BANK": (False, False)}
    changes = {(one.section, one.field.partition(".")[0], one.before, one.after) for one in profile.changes}
    assert (profiles_pb2.SECTION_BASIC, "name", "Sunita Devi", "Sunita Rani") in changes
    assert {one[:2] for one in changes} == {(profiles_pb2.SECTION_BASIC, "name"), (profiles_pb2.SECTION_BANK, "accounts")}
    screen(connection, again)
    profile = shown(serving, approve(connection, her, 2))
    assert (list(profile.reviews), list(profile.changes), profile.remark, list(profile.reasons)) == ([], [], "", [])
    assert [one.status for one in profile.accounts] == [profiles_pb2.ROW_STATUS_ACTIVE]


def test_why_something_is_handed_back_is_said_in_the_words_of_the_list(connection):
    shg_id, maker = new_shg(connection)
    her = submit(connection, maker, shg_id).row.id
    bank = SectionReview(Section.BANK, accepted=False, reasons=["ACCOUNT_WRONG"])
    assert code_of(reject, connection, her, 1, []) == "REASON_MISSING"
    assert code_of(reject, connection, her, 1, ["BECAUSE"]) == "VALUE_UNKNOWN"
    assert code_of(reject, connection, her, 1, ["OTHER"], " ") == "REMARK_MISSING"
    assert code_of(reject, connection, her, 1, ["OTHER"], "x" * 501) == "REMARK_TOO_LONG"
    assert code_of(reject, connection, her, sections=[bank, bank]) == "SECTION_TWICE"
    assert code_of(reject, connection, her, sections=[replace(bank, reasons=[])]) == "REASON_MISSING"
    assert code_of(reject, connection, her, sections=[replace(bank, remark="x" * 501)]) == "REMARK_TOO_LONG"
    assert code_of(reject, connection, her, 1, ["DUPLICATE"]) == "REASON_UNFOUNDED"
    assert queries.submission(connection, her).status == "SUBMITTED"
    # The reason of a section is reason enough.
    assert reject(connection, her, 1, [], "the account", sections=[bank]).waiting.reasons == ["ACCOUNT_WRONG"]


# --- An edit of what is live


TABLES = (members, institutions, mappings, history)


def everything(connection, but=()):
    """All rows of what is live, without what every change counts."""
    return {
        table.name: sorted(
            str({name: value for name, value in one._mapping.items() if name not in {"version", "submitted_version", *but}})
            for one in connection.execute(select(table))
        )
        for table in TABLES
    }


def test_a_members_edit_waits_beside_what_is_live(connection, serving):
    shg_id, maker = new_shg(connection)
    live = enrol(connection, maker, shg_id)
    her = live.row.id
    before = everything(connection)
    new_phone = phone("6000917409", is_default="")
    edit = submit(connection, maker, shg_id, her, 2, name="Sunita Rani", phones=[phone(), new_phone])
    assert everything(connection) == before
    assert (edit.live, edit.content["name"], edit.waiting.content["name"]) == (Status.ACTIVE, "Sunita Devi", "Sunita Rani")
    assert code_of(submit, connection, maker, shg_id, her, 3, name="Sunita Kumari") == "LOCKED"
    assert connection.execute(select(func.count()).select_from(submissions).where(submissions.c.record_id == her)).scalar_one() == 1
    profile = shown(serving, edit)
    assert (profile.name, profile.revision, profile.status) == ("Sunita Devi", 1, profiles_pb2.STATUS_ACTIVE)
    assert (profile.waiting.name, profile.waiting.revision, profile.waiting.status) == ("Sunita Rani", 2, profiles_pb2.STATUS_SUBMITTED)
    assert {one.number: one.status for one in profile.waiting.phones} == {
        "6000917401": profiles_pb2.ROW_STATUS_ACTIVE,
        "6000917409": profiles_pb2.ROW_STATUS_PENDING,
    }
    assert {(one.field.partition(".")[0], one.before[:11]) for one in profile.changes} == {("name", "Sunita Devi"), ("phones", "")}

    assert code_of(approve, connection, her, 2) == "NOT_SCREENED"
    screen(connection, edit, ("f1", dedup_pb2.VERDICT_CONFIRMED))
    assert everything(connection) == before  # What is said of the edit is not said of her who is live.
    reject(connection, her, 2, sections=[SectionReview(Section.PHONE, accepted=False, reasons=["PHONE_WRONG"])])
    assert everything(connection) == before
    profile = shown(serving, queries.member(connection, manager(), her))
    assert (profile.name, profile.remark, profile.waiting.remark) == ("Sunita Devi", "", "again")
    assert [one.status for one in profile.phones] == [profiles_pb2.ROW_STATUS_ACTIVE]
    assert {one.number: one.status for one in profile.waiting.phones}["6000917409"] == profiles_pb2.ROW_STATUS_REJECTED

    again = submit(connection, maker, shg_id, her, 3, name="Sunita Rani")
    screen(connection, again)
    active = approve(connection, her, 3)
    assert (active.content["name"], active.row.code, active.row.revision, active.row.activated_on) == ("Sunita Rani", live.row.code, 3, TODAY)
    past = connection.execute(select(history).where(history.c.record_id == her, history.c.revision == 3)).one()
    assert (past.revision, past.act, past.content, past.maker_user, past.decided_by) == (3, "PROFILE", live.content, "IUP_BK", "IUP_BPM")


def test_dedup_hears_of_an_edit_and_that_it_was_handed_back(connection):
    shg_id, maker = new_shg(connection)
    her = enrol(connection, maker, shg_id).row.id
    submit(connection, maker, shg_id, her, 2, name="Sunita Rani")
    reject(connection, her, 2)
    told = [(one.version, profiles_pb2.MemberSubmitted.FromString(one.body)) for one in events(connection, "MemberSubmitted")]
    assert [(one.name, one.revision) for _, one in told] == [("Sunita Devi", 1), ("Sunita Rani", 2), ("Sunita Devi", 1)]
    assert sorted({version for version, _ in told}) == [version for version, _ in told]
    [*_, decided] = [profiles_pb2.MemberDecided.FromString(one.body) for one in events(connection, "MemberDecided")]
    assert (decided.revision, decided.status) == (2, profiles_pb2.STATUS_ACTIVE)
    assert len({one.event_id for one in events(connection)}) == len(events(connection))


def test_an_institutions_edit_waits_beside_what_is_live(connection):
    shg_id, maker, women = active_shg(connection)
    live = queries.institution(connection, maker, shg_id)
    vo = uuid7()
    institution.submit(connection, vo_bookkeeper(), vo, 1, said_of("VO"), TODAY)
    live_at_once(connection, vo)
    before, told = everything(connection), len(events(connection))
    seats = [seat | {"ended_on": "2026-03-31"} if seat["post"] == "PRESIDENT" else seat for seat in live.content["seats"]]
    seats.append(row("new", body="OFFICE", post="PRESIDENT", member_id=str(women[3]), **{"from": "2026-04-01"}))
    changed = edited(live, name="Ujala Nayi", parent_id=str(vo), seats=seats, accounts=[account(holding="GROUP")])
    edit = institution.submit(connection, maker, shg_id, 2, changed, TODAY)
    assert edit.content == live.content
    assert everything(connection) == before
    reject_institution(connection, shg_id, 2)
    assert everything(connection) == before
    # Others know what is live, and that has not changed; the duplicate check compares what waits, and then what is live again.
    heard = [profiles_pb2.InstitutionSubmitted.FromString(one.body) for one in events(connection)[told:]]
    statuses = [profiles_pb2.STATUS_SUBMITTED, profiles_pb2.STATUS_ACTIVE]
    assert [(one.revision, one.name, one.status) for one in heard] == list(zip((2, 1), ("Ujala Nayi", "Ujala"), statuses, strict=True))
    institution.submit(connection, maker, shg_id, 3, changed, TODAY)
    active = approve_institution(connection, shg_id, 3)
    assert (active.row.name, active.row.parent_id, active.row.code, active.row.revision) == ("Ujala Nayi", vo, live.row.code, 3)
    assert len(active.content["seats"]) == 4


def test_what_was_approved_is_ended_and_never_left_out(connection):
    shg_id, maker = new_shg(connection)
    her = enrol(connection, maker, shg_id).row.id
    assert code_of(submit, connection, maker, shg_id, her, 2, phones=[]) == "ROW_MISSING"
    submit(connection, maker, shg_id, her, 2, phones=[phone(), phone("6000917409", is_default="")])
    reject(connection, her, 2)
    # A row that no checker has let in may be left out again.
    made = submit(connection, maker, shg_id, her, 3, phones=[phone(is_default="", ended_on="2026-03-31"), phone("6000917408")])
    screen(connection, made)
    numbers = {one["number"]: one.get("ended_on") for one in approve(connection, her, 3).content["phones"]}
    assert numbers == {"6000917401": "2026-03-31", "6000917408": None}


# --- Whose entry it is


def test_nobody_approves_her_own_entry(connection):
    shg_id, maker = new_shg(connection)
    made = submit(connection, maker, shg_id)
    screen(connection, made)
    # The same mobile or device (one claim), a device that she shares, and her very user id.
    hers = [manager(person="bookkeeper"), manager(persons=frozenset({"x", "bookkeeper"})), manager(user_id="IUP_BK", person="other")]
    for own in hers:
        assert code_of(approve, connection, made.row.id, who=own) == "OWN_ENTRY"
        assert code_of(approve_institution, connection, shg_id, who=own) == "OWN_ENTRY"
    approve(connection, made.row.id)
    # Of an edit it is who made the edit, not who made the record.
    other = bookkeeper(shg_id, person="second", user="IUP_BK2")
    edit = submit(connection, other, shg_id, made.row.id, 2, name="Sunita Rani")
    screen(connection, edit)
    for own in (manager(person="second"), manager(user_id="IUP_BK2", person="")):
        assert code_of(approve, connection, made.row.id, 2, who=own) == "OWN_ENTRY"
    assert approve(connection, made.row.id, 2, who=manager(person="bookkeeper")).content["name"] == "Sunita Rani"


def test_no_claim_is_nobodys_claim(connection):
    """Who has no mobile on record shares it with nobody."""
    shg_id, _ = new_shg(connection)
    made = submit(connection, bookkeeper(shg_id, person=""), shg_id)
    screen(connection, made)
    assert approve(connection, made.row.id, who=manager(person="")).live is Status.ACTIVE


# --- Many at once


def many(serving, *keys, who=None):
    made, calling = serving
    calling["who"] = who or manager()
    asked = [profiles_pb2.TaskKey(kind=f"TASK_KIND_{kind}", record_id=str(record_id), revision=revision) for kind, record_id, revision in keys]
    return made.ApproveMany(profiles_pb2.ApproveManyRequest(tasks=asked), None)


def test_many_are_let_in_item_by_item(connection, serving):
    shg_id, maker = new_shg(connection)
    plain, flagged, unscreened, old, noted = (submit(connection, maker, shg_id, name=f"Member {letter}").row.id for letter in "abcde")
    her_own = submit(connection, bookkeeper(shg_id, person="manager"), shg_id, name="Member f").row.id
    for one in (plain, old, her_own):
        screen(connection, queries.member(connection, maker, one))
    screen(connection, queries.member(connection, maker, flagged), ("f1", dedup_pb2.VERDICT_POTENTIAL))
    reject(connection, noted)
    again = member.submit(connection, maker, noted, 2, said(shg_id, name="Member e"), member.Evidence("token", 1970, "F"), TODAY)
    screen(connection, again)
    stranger = uuid7()
    keys = [(MEMBER, one, 1) for one in (plain, flagged, unscreened, her_own, stranger)] + [(MEMBER, old, 2), (MEMBER, noted, 2), ("SHG", shg_id, 1)]
    answer = many(serving, *keys)
    assert [one.refusal.code for one in answer.answers] == [
        "",
        "QUESTIONS_OPEN",
        "QUESTIONS_OPEN",
        "OWN_ENTRY",
        "MEMBER_UNKNOWN",
        "REVISION_OLD",
        "QUESTIONS_OPEN",
        "QUESTIONS_OPEN",
    ]
    assert [one.record_id for one in answer.answers] == [str(record_id) for _, record_id, _ in keys]
    assert answer.approved == 1
    assert answer.answers[0].code.startswith("M09")
    assert many(serving, *keys) == answer  # Again: nobody gets a second code.
    waiting = {one.record_id for one in tasks.page(connection, manager(), tasks.Wanted(), None, 25)}
    assert waiting == {flagged, unscreened, her_own, old, noted, shg_id}


def test_many_are_a_hundred_at_most_and_of_a_kind(serving):
    assert code_of(many, serving, *[(MEMBER, uuid7(), 1)] * 101) == "TASKS_TOO_MANY"
    made, _ = serving
    answer = made.ApproveMany(
        profiles_pb2.ApproveManyRequest(tasks=[profiles_pb2.TaskKey(record_id=str(uuid7())), profiles_pb2.TaskKey(kind=1)]), None
    )
    assert [one.refusal.code for one in answer.answers] == ["TASK_KIND_UNKNOWN", "ID_INVALID"]


# --- Codes


def test_a_code_is_issued_at_activation_alone_and_none_twice(connection):
    shg_id, maker, women = active_shg(connection)
    codes = {queries.member(connection, maker, one).row.code for one in women}
    assert len(codes) == 5
    pending = submit(connection, maker, shg_id, name="Member z")
    assert pending.row.code is None
    assert reject(connection, pending.row.id).row.code is None
    assert submit(connection, maker, shg_id, pending.row.id, 2, name="Member z").row.code is None
    before = queries.member(connection, maker, women[0]).row.code
    for revision, name in ((2, "Sunita Rani"), (3, "Sunita Kumari")):
        made = member.submit(connection, maker, women[0], revision, edited(queries.member(connection, maker, women[0]), name=name), None, TODAY)
        screen(connection, made)
        assert approve(connection, women[0], revision).row.code == before
