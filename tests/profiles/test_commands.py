"""Profiles on a real PostgreSQL: lists, the way of a member from maker to checker, and what others hear of it."""

import io
import subprocess
import sys
import threading
import time
from collections import Counter
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from uuid import UUID, uuid4

import openpyxl
import pytest
from sqlalchemy import delete, event, select, text

from protos import dedup_pb2, profiles_pb2
from services.chassis import audit, database, sheets, tokens
from services.chassis.mailbox import outbox
from services.kernel import codes, geography
from services.kernel.approval import Status
from services.kernel.caller import Caller, Role
from services.kernel.errors import Invalid, NotFound, Refused
from services.kernel.ids import uuid7
from services.kernel.tally import total
from services.profiles import queries, servicer
from services.profiles.commands import institution, member, restate, upload
from services.profiles.rules import institution as institution_rules
from services.profiles.rules.review import Decided, Decision
from services.profiles.tables import findings, institutions, members

SERVICE = "profiles"
ROOT = Path(__file__).parents[2]
TODAY = date(2026, 4, 1)
BLOCK = "9.178.1504"
GP = f"{BLOCK}.999011"
VILLAGE = f"{GP}.999111"
PLACES = (
    "9",
    "9.178",
    BLOCK,
    GP,
    VILLAGE,
    f"{GP}.999112",
    f"{BLOCK}.999012",
    f"{BLOCK}.999012.999121",
    "9.178.1505",
    "9.178.1505.88",
    "9.178.1505.88.881",
)


@pytest.fixture(autouse=True)
def lie_of_the_land(up, tmp_path, monkeypatch):
    path = tmp_path / "geography.csv"
    geography.save(path, [geography.Place(place, place, "", date(1900, 1, 1)) for place in PLACES])
    monkeypatch.setenv("LOKOS_GEOGRAPHY_FILE", str(path))


@pytest.fixture
def connection(connection):
    """The test's own connection, with empty tables of its own in front of those that hold what flows have left there."""
    for table in ("institutions", "members", "findings", "outbox", "audit"):
        connection.execute(text(f"create temporary table {table} (like {table} including all) on commit drop"))
    return connection


def code_of(call, *arguments, **named):
    with pytest.raises(Refused) as refused:
        call(*arguments, **named)
    return refused.value.code


def clerk():
    return Caller("IUP_MIS", Role.BLOCK_THEMATIC_USER, BLOCK, person="clerk")


def bookkeeper(*institution_ids, person="bookkeeper", user="IUP_BK"):
    return Caller(user, Role.SHG_BOOKKEEPER, VILLAGE, frozenset(institution_ids), person)


def manager(**changes):
    plain = {"user_id": "IUP_BPM", "role": Role.BLOCK_PROGRAM_MANAGER, "region": BLOCK, "person": "manager"}
    return Caller(**{**plain, **changes})


def said(institution_id, **changes):
    plain = {
        "institution_id": str(institution_id),
        "name": "Sunita Devi",
        "name_local": "",
        "gender": "FEMALE",
        "born_on": "",
        "birth_year": "1985",
        "relation": "SPOUSE",
        "relation_name": "Ramesh Kumar",
        "social_category": "OBC",
        "mobile": "6000917401",
        "account_number": "1000200917401",
        "ifsc": "ZZZZ0KLD001",
        "account_holding": "SINGLE",
        "joined_on": "2023-04-14",
    }
    return plain | changes


def shg(**changes):
    plain = {"kind": "SHG", "name": "Ujala", "name_local": "", "region": VILLAGE, "formed_on": "2023-04-14", "parent_id": ""}
    return institution_rules.parse(plain | changes, 10000, TODAY)


def new_shg(connection, **changes):
    """An SHG that its bookkeeper has submitted, and the bookkeeper who then has it."""
    shg_id = uuid7()
    institution.submit(connection, bookkeeper(), shg_id, 1, shg(**changes), TODAY)
    return shg_id, bookkeeper(shg_id)


def submit(connection, who, shg_id, member_id=None, revision=1, evidence=None, **changes):
    return member.submit(connection, who, member_id or uuid7(), revision, said(shg_id, **changes), evidence, TODAY)


def screened(row, *found, version=None):
    """What dedup says: nothing, or findings as (id, verdict)."""
    verdicts = [verdict for _, verdict in found] or [dedup_pb2.VERDICT_CLEAR]
    return (
        version or time.monotonic_ns(),
        dedup_pb2.MemberScreened(
            member_id=str(row.id),
            revision=row.revision,
            verdict=max(verdicts),
            matches=[
                dedup_pb2.Match(
                    finding_id=finding_id,
                    other_member_id=str(uuid7()),
                    verdict=verdict,
                    weight_centibits=3000,
                    clues=[dedup_pb2.Clue(code="SAME_VILLAGE", words="the same village", weight_centibits=1300)],
                )
                for finding_id, verdict in found
            ],
        ),
    )


def screen(connection, row, *found, version=None):
    member.note_screening(connection, *screened(row, *found, version=version))


def events(connection, name=None, to=None):
    asked = select(outbox).where(outbox.c.destination == to if to else outbox.c.destination.is_(None)).order_by(outbox.c.id)
    return [row for row in connection.execute(asked) if name in {None, row.event}]


def last(connection, message):
    row = events(connection, message.DESCRIPTOR.name)[-1]
    return message.FromString(row.body), row.version


NOT_HER = [Decided("f1", Decision.NOT_A_DUPLICATE, "I met both")]

# --- The way of a member


def test_a_member_from_maker_to_checker(connection):
    shg_id, maker = new_shg(connection)
    row = submit(connection, maker, shg_id)
    assert (row.status, row.revision, row.code, row.region, row.verdict) == ("SUBMITTED", 1, None, VILLAGE, None)
    submitted, version = last(connection, profiles_pb2.MemberSubmitted)
    assert (submitted.name, submitted.mobile, submitted.revision, submitted.birth_year, version) == (
        "Sunita Devi",
        "6000917401",
        1,
        1985,
        row.version,
    )
    assert code_of(member.approve, connection, manager(), row.id, 1, [], TODAY) == "NOT_SCREENED"

    screen(connection, row, ("f1", dedup_pb2.VERDICT_POTENTIAL))
    changed, version = last(connection, profiles_pb2.MemberChanged)
    assert (changed.verdict, changed.status, version) == (profiles_pb2.VERDICT_POTENTIAL, profiles_pb2.STATUS_SUBMITTED, row.version + 1)
    assert code_of(member.approve, connection, manager(), row.id, 1, [], TODAY) == "FINDING_UNDECIDED"
    active = member.approve(connection, manager(), row.id, 1, NOT_HER, TODAY)
    assert (active.status, active.activated_on) == ("ACTIVE", TODAY)
    assert codes.check_code(active.code, "code").startswith("M09")
    decided, version = last(connection, profiles_pb2.MemberDecided)
    assert (decided.status, decided.decisions[0].reason, version) == (profiles_pb2.STATUS_ACTIVE, "I met both", active.version)
    [finding] = queries.findings_of(connection, [active])[row.id]
    assert (finding.decision, finding.decided_by, finding.clues) == ("NOT_A_DUPLICATE", "IUP_BPM", ["the same village"])

    told = len(events(connection))
    assert member.approve(connection, manager(), row.id, 1, NOT_HER, TODAY) == active
    assert submit(connection, maker, shg_id, row.id) == active
    assert code_of(member.reject, connection, manager(), row.id, 1, ["OTHER"], "late", []) == "MOVE_NOT_ALLOWED"
    assert len(events(connection)) == told


def test_events_to_reporting_name_nobody(connection):
    shg_id, maker = new_shg(connection)
    row = submit(connection, maker, shg_id)
    bodies = b"".join(one.body for one in events(connection, "MemberChanged"))
    assert not any(word.encode() in bodies for word in (row.name, row.relation_name, row.mobile, row.account_number))
    facts = connection.execute(select(audit.audit.c.facts)).scalars().all()
    assert not any(word in str(facts) for word in (row.name, row.mobile, row.account_number))


def test_each_active_member_has_her_own_code(connection):
    shg_id, maker = new_shg(connection)
    given = set()
    for number in range(3):
        row = submit(connection, maker, shg_id, name=f"Member {'abc'[number]}")
        screen(connection, row)
        given.add(member.approve(connection, manager(), row.id, 1, [], TODAY).code)
    assert len(given) == 3


def test_nobody_approves_her_own_entry(connection):
    shg_id, maker = new_shg(connection)
    row = submit(connection, maker, shg_id)
    screen(connection, row)
    for own in (manager(person="bookkeeper"), manager(user_id="IUP_BK", person="other")):
        assert code_of(member.approve, connection, own, row.id, 1, [], TODAY) == "OWN_ENTRY"
        assert code_of(institution.approve, connection, own, shg_id, 1, TODAY) == "OWN_ENTRY"


def test_who_is_handed_back_comes_again_as_the_next_revision(connection):
    shg_id, maker = new_shg(connection)
    row = submit(connection, maker, shg_id, name="Sunita Dvei")
    screen(connection, row)
    rejected = member.reject(connection, manager(), row.id, 1, ["OTHER", "NAME_WRONG"], " look at the  name ", [])
    assert (rejected.status, rejected.reasons, rejected.remark) == ("REJECTED", ["NAME_WRONG", "OTHER"], "look at the name")
    assert member.reject(connection, manager(), row.id, 1, ["NAME_WRONG", "OTHER"], "look at the name", []) == rejected
    assert code_of(member.reject, connection, manager(), row.id, 1, ["OTHER"], "another thing", []) == "MOVE_NOT_ALLOWED"
    assert code_of(submit, connection, maker, shg_id, row.id, 1) == "REVISION_CONTENT"
    again = submit(connection, maker, shg_id, row.id, 2)
    assert (again.status, again.revision, again.name, again.remark, again.reasons, again.verdict) == ("SUBMITTED", 2, "Sunita Devi", "", [], None)
    assert code_of(member.approve, connection, manager(), row.id, 1, [], TODAY) == "REVISION_OLD"
    assert code_of(member.approve, connection, manager(), row.id, 2, [], TODAY) == "NOT_SCREENED"
    assert code_of(submit, connection, maker, shg_id, row.id, 1, name="Sunita Dvei") == "REVISION_OLD"


def test_a_stale_screening_does_not_count(connection):
    shg_id, maker = new_shg(connection)
    row = submit(connection, maker, shg_id)
    stale = screened(row, version=7)
    screen(connection, row, ("f1", dedup_pb2.VERDICT_POTENTIAL), version=5)
    member.reject(connection, manager(), row.id, 1, ["OTHER"], "again please", [])
    again = submit(connection, maker, shg_id, row.id, 2, mobile="6000917402")
    member.note_screening(connection, *stale)
    assert code_of(member.approve, connection, manager(), row.id, 2, [], TODAY) == "NOT_SCREENED"
    assert queries.findings_of(connection, [again])[row.id] == []
    screen(connection, again, ("f2", dedup_pb2.VERDICT_POTENTIAL), version=8)
    told = len(events(connection))
    screen(connection, again, version=8)  # The same again, and an older one: no news.
    screen(connection, again, version=6)
    assert len(events(connection)) == told
    assert code_of(member.approve, connection, manager(), row.id, 2, NOT_HER, TODAY) == "FINDING_UNKNOWN"
    screen(connection, again, ("f3", dedup_pb2.VERDICT_POTENTIAL), version=9)  # f2 is gone; the verdict is the same.
    assert len(events(connection)) == told
    assert [finding.finding_id for finding in queries.findings_of(connection, [again])[row.id]] == ["f3"]


def test_a_screening_of_nobody_is_kept_for_us_to_look_at(connection):
    with pytest.raises(LookupError):
        member.note_screening(connection, 1, dedup_pb2.MemberScreened(member_id=str(uuid7()), revision=1))


def test_a_confirmed_duplicate_is_never_cleared_and_holds_nobody_up(connection):
    shg_id, maker = new_shg(connection)
    for number in range(5):
        row = submit(connection, maker, shg_id, name=f"Member {'abcde'[number]}")
        screen(connection, row)
        member.approve(connection, manager(), row.id, 1, [], TODAY)
    double = submit(connection, maker, shg_id, name="Suneeta Devi")
    screen(connection, double, ("f1", dedup_pb2.VERDICT_CONFIRMED))
    assert code_of(member.approve, connection, manager(), double.id, 1, NOT_HER, TODAY) == "FINDING_CONFIRMED"
    assert code_of(institution.approve, connection, manager(), shg_id, 1, TODAY) == "MEMBERS_PENDING"
    member.reject(connection, manager(), double.id, 1, ["DUPLICATE"], "enrolled in Roshni", [Decided("f1", Decision.DUPLICATE_REJECT, "")])
    active = institution.approve(connection, manager(), shg_id, 1, TODAY)
    assert active.code.startswith("S09")
    assert institution.approve(connection, manager(), shg_id, 1, TODAY) == active
    # After activation a screening may still come: it flags her, and undoes nothing.
    late = connection.execute(select(members).where(members.c.id == row.id)).one()
    screen(connection, late, ("f9", dedup_pb2.VERDICT_CONFIRMED))
    changed, _ = last(connection, profiles_pb2.MemberChanged)
    assert (changed.status, changed.verdict) == (profiles_pb2.STATUS_ACTIVE, profiles_pb2.VERDICT_CONFIRMED)


def test_revisions_conflict_naming_the_field(connection):
    shg_id, maker = new_shg(connection)
    row = submit(connection, maker, shg_id)
    for changes, field in (({"name": "Sita"}, "name"), ({"birth_year": "1986"}, "birth_year"), ({"mobile": ""}, "mobile")):
        with pytest.raises(Refused) as refused:
            submit(connection, maker, shg_id, row.id, **changes)
        assert (refused.value.code, refused.value.field) == ("REVISION_CONTENT", field)
    assert code_of(submit, connection, maker, shg_id, row.id, 2, name="Sita") == "LOCKED"
    assert code_of(submit, connection, maker, shg_id, row.id, 3) == "LOCKED"
    other_id, _ = new_shg(connection, name="Roshni")
    member.reject(connection, manager(), row.id, 1, ["OTHER"], "again", [])
    assert code_of(submit, connection, bookkeeper(shg_id, other_id), other_id, row.id, 2) == "FIELD_FIXED"


def test_an_attestation_that_grew_too_old_refuses_what_is_new_and_not_what_was_stored(connection):
    shg_id, maker = new_shg(connection)
    row = submit(connection, maker, shg_id, evidence=member.Evidence("token-1", 1985, "F"))
    too_old = Invalid("ATTESTATION_EXPIRED", "Too old.")
    assert submit(connection, maker, shg_id, row.id, evidence=too_old) == row
    assert code_of(submit, connection, maker, shg_id, None, evidence=too_old) == "ATTESTATION_EXPIRED"


def test_a_revision_that_tells_of_another_woman_than_the_evidence_is_noted(connection):
    shg_id, maker = new_shg(connection)
    row = submit(connection, maker, shg_id, evidence=member.Evidence("token-1", 1985, "F"))
    assert row.identity_notes == []
    member.reject(connection, manager(), row.id, 1, ["OTHER"], "again", [])
    again = submit(connection, maker, shg_id, row.id, 2, birth_year="1960")
    assert (again.identity_token, again.identity_notes) == ("token-1", ["BIRTH_YEAR"])


def test_evidence_is_kept_as_a_token_and_is_part_of_what_was_said(connection):
    shg_id, maker = new_shg(connection)
    evidence = member.Evidence("token-1", 1979, "F")
    row = submit(connection, maker, shg_id, evidence=evidence)
    assert (row.identity_token, row.identity_notes) == ("token-1", ["BIRTH_YEAR"])
    assert last(connection, profiles_pb2.MemberSubmitted)[0].identity_token == "token-1"
    assert last(connection, profiles_pb2.MemberChanged)[0].identity_verified
    assert submit(connection, maker, shg_id, row.id) == row
    assert submit(connection, maker, shg_id, row.id, evidence=evidence) == row
    assert code_of(submit, connection, maker, shg_id, row.id, evidence=member.Evidence("token-2")) == "REVISION_CONTENT"
    member.reject(connection, manager(), row.id, 1, ["NAME_WRONG"], "again", [])
    assert submit(connection, maker, shg_id, row.id, 2, name="Sunita").identity_token == "token-1"


def test_only_her_own_bookkeeper_submits_a_member(connection):
    shg_id, maker = new_shg(connection)
    row = submit(connection, maker, shg_id)
    stranger = bookkeeper(uuid7())
    assert code_of(submit, connection, stranger, shg_id) == "INSTITUTION_NOT_YOURS"
    assert code_of(submit, connection, maker, uuid7()) == "INSTITUTION_UNKNOWN"
    other_id, other = new_shg(connection, name="Roshni")
    assert code_of(submit, connection, other, other_id, row.id) == "INSTITUTION_NOT_YOURS"
    vo = uuid7()
    vo_maker = Caller("IUP_VO", Role.VO_BOOKKEEPER, GP, person="vo")
    institution.submit(connection, vo_maker, vo, 1, shg(kind="VO", name="Pragati", region=GP), TODAY)
    assert code_of(submit, connection, bookkeeper(vo), vo) == "INSTITUTION_KIND"


# --- Institutions


def test_an_institution_from_maker_to_checker(connection):
    clf, vo = uuid7(), uuid7()
    clf_maker = Caller("IUP_CLF", Role.CLF_BOOKKEEPER, BLOCK, person="clf")
    vo_maker = Caller("IUP_VO", Role.VO_BOOKKEEPER, GP, person="vo")
    institution.submit(connection, clf_maker, clf, 1, shg(kind="CLF", name="Sankul", region=BLOCK), TODAY)
    row = institution.submit(connection, vo_maker, vo, 1, shg(kind="VO", name="Pragati", region=GP, parent_id=str(clf)), TODAY)
    assert institution.submit(connection, vo_maker, vo, 1, shg(kind="VO", name="Pragati", region=GP, parent_id=str(clf)), TODAY) == row
    assert code_of(institution.submit, connection, vo_maker, vo, 1, shg(kind="VO", name="Pragati", region=GP), TODAY) == "REVISION_CONTENT"
    assert code_of(institution.reject, connection, manager(), vo, 1, "") == "REMARK_MISSING"
    rejected = institution.reject(connection, manager(), vo, 1, "whose VO is this?")
    assert institution.reject(connection, manager(), vo, 1, "whose VO is this?") == rejected
    assert code_of(institution.approve, connection, manager(), vo, 1, TODAY) == "MOVE_NOT_ALLOWED"
    again = shg(kind="VO", name="Pragati", region=f"{BLOCK}.999012", parent_id=str(clf))
    assert code_of(institution.submit, connection, vo_maker, vo, 2, again, TODAY) == "FIELD_FIXED"
    institution.submit(connection, vo_maker, vo, 2, shg(kind="VO", name="Pragati Naya", region=GP, parent_id=str(clf)), TODAY)
    assert code_of(institution.approve, connection, manager(), vo, 1, TODAY) == "REVISION_OLD"
    assert institution.approve(connection, manager(), vo, 2, TODAY).code.startswith("V09")
    assert institution.approve(connection, manager(), clf, 1, TODAY).code.startswith("C09")
    changed, version = last(connection, profiles_pb2.InstitutionChanged)
    assert (changed.institution_id, changed.status, version) == (str(clf), profiles_pb2.STATUS_ACTIVE, 2)
    assert [one.version for one in events(connection, "InstitutionChanged") if one.subject == str(vo)] == [1, 2, 3, 4]


def test_an_institution_needs_its_place_its_parent_and_its_name(connection):
    maker = bookkeeper()
    cases = {
        "REGION_UNKNOWN": shg(region=f"{GP}.777"),
        "REGION_NOT_YOURS": shg(region=f"{GP}.999112"),
        "PARENT_UNKNOWN": shg(parent_id=str(uuid7())),
    }
    for code, content in cases.items():
        assert code_of(institution.submit, connection, maker, uuid7(), 1, content, TODAY) == code
    vo_maker = Caller("IUP_VO", Role.VO_BOOKKEEPER, GP)
    assert code_of(institution.submit, connection, vo_maker, uuid7(), 1, shg(), TODAY) == "KIND_NOT_YOURS"
    shg_id, _ = new_shg(connection)
    assert code_of(institution.submit, connection, maker, uuid7(), 1, shg(name=" UJALA "), TODAY) == "NAME_TAKEN"
    assert code_of(institution.submit, connection, bookkeeper(user="IUP_OTHER"), shg_id, 1, shg(), TODAY) == "INSTITUTION_NOT_YOURS"
    assert code_of(institution.approve, connection, manager(), shg_id, 1, TODAY) == "MEMBERS_TOO_FEW"
    for outside in (manager(region="9.178.1505"), manager(region="9.178.150")):
        assert code_of(institution.approve, connection, outside, shg_id, 1, TODAY) == "INSTITUTION_UNKNOWN"


# --- Lists


def workbook(columns, *rows):
    book = openpyxl.Workbook(write_only=True)
    sheet = book.create_sheet()
    for row in (columns, *rows):
        sheet.append(row)
    file = io.BytesIO()
    book.save(file)
    return file.getvalue()


def sample(name):
    return (ROOT / "samples" / f"{name}.xlsx").read_bytes()


def read(name, columns):
    return sheets.read(sample(name), list(columns.values()))


def uploaded(connection):
    """The samples of UP: the ids of institutions by name, and the bookkeeper of its SHGs."""
    rows = read("institutions_up", upload.INSTITUTION_COLUMNS)
    answers = upload.upload_institutions(connection, clerk(), rows, TODAY, dry_run=False)
    assert [one.refused for one in answers] == [None] * 4
    ids = {row.cells["Name"]: one.id for row, one in zip(rows, answers, strict=True)}
    return ids, bookkeeper(ids["Roshni"], ids["Ujala"])


def test_the_samples_go_in_once(connection):
    rows = read("institutions_up", upload.INSTITUTION_COLUMNS)
    dry = upload.upload_institutions(connection, clerk(), rows, TODAY, dry_run=True)
    assert [(one.id, one.refused) for one in dry] == [(None, None)] * 4
    assert events(connection) == []
    ids, maker = uploaded(connection)
    ujala = queries.institution(connection, maker, ids["Ujala"])
    assert (ujala.status, ujala.revision, ujala.parent_id, ujala.compulsory_savings_paise) == ("DRAFT", 0, ids["Pragati Gram Sangathan"], 10000)
    assert len(events(connection, "InstitutionChanged")) == 4
    assert uploaded(connection)[0] == ids
    assert len(events(connection, "InstitutionChanged")) == 4

    rows = read("members_up", upload.MEMBER_COLUMNS)
    assert [one.id for one in upload.upload_members(connection, maker, rows, TODAY, dry_run=True)] == [None] * 19
    answers = upload.upload_members(connection, maker, rows, TODAY, dry_run=False)
    assert [(one.row, one.refused.code, one.column) for one in answers if one.refused] == [(20, "BIRTH_IN_FUTURE", "Birth year")]
    assert len({one.id for one in answers if one.id}) == 18
    assert upload.upload_members(connection, maker, rows, TODAY, dry_run=False)[:18] == answers[:18]
    assert queries.member_counts(connection, ids["Ujala"]) == {Status.DRAFT: 12}
    changed = [profiles_pb2.MemberChanged.FromString(one.body) for one in events(connection, "MemberChanged")]
    assert Counter(one.status for one in changed) == {profiles_pb2.STATUS_DRAFT: 18}


def test_a_listed_member_is_submitted_corrected_and_known_again_by_the_old_list(connection):
    ids, maker = uploaded(connection)
    rows = read("members_up", upload.MEMBER_COLUMNS)
    answers = upload.upload_members(connection, maker, rows, TODAY, dry_run=False)
    mamta = answers[8].id
    assert rows[8].cells["Name"] == "Mamta Dvei"
    row = submit(connection, maker, ids["Ujala"], mamta, 1, name="Mamta Devi")
    assert (row.status, row.revision, row.name) == ("SUBMITTED", 1, "Mamta Devi")
    assert upload.upload_members(connection, maker, rows, TODAY, dry_run=False)[8].id == mamta
    renamed = shg(name="Ujala Nayi", parent_id=str(ids["Pragati Gram Sangathan"]))
    institution.submit(connection, maker, ids["Ujala"], 1, renamed, TODAY)
    assert uploaded(connection)[0]["Ujala"] == ids["Ujala"]


@pytest.mark.parametrize(
    ("changes", "code", "column"),
    [
        ({"Kind": "BANK"}, "KIND_UNKNOWN", "Kind"),
        ({"Region": "123"}, "REGION_UNKNOWN", "Region"),
        ({"Region": "881"}, "REGION_NOT_YOURS", "Region"),
        ({"Region": GP}, "REGION_LEVEL", "Region"),
        ({"Parent": "Nobody"}, "PARENT_UNKNOWN", "Parent"),
        ({"Formed on": "14/04/2023"}, "DATE_INVALID", "Formed on"),
        ({"Name": ""}, "NAME_MISSING", "Name"),
        ({"Compulsory savings (₹)": "ten"}, "AMOUNT_INVALID", "Compulsory savings (₹)"),
        ({"Compulsory savings (₹)": "0.005"}, "AMOUNT_FRACTIONAL", "Compulsory savings (₹)"),
    ],
)
def test_a_bad_institution_is_refused_and_the_good_ones_go_in(connection, changes, code, column):
    plain = dict.fromkeys(upload.INSTITUTION_COLUMNS.values(), "") | {"Kind": "SHG", "Name": "Asha", "Region": "999111", "Formed on": "2023-04-14"}
    rows = [sheets.Row(2, plain | changes), sheets.Row(3, plain), sheets.Row(4, plain | {"Name": "ASHA "})]
    bad, good, same = upload.upload_institutions(connection, clerk(), rows, TODAY, dry_run=False)
    assert (bad.refused.code, bad.column) == (code, column)
    assert good.id == same.id is not None


def test_two_parents_of_one_name_are_told_apart_by_the_gram_panchayat(connection):
    plain = dict.fromkeys(upload.INSTITUTION_COLUMNS.values(), "") | {"Formed on": "2023-04-14"}
    vo = {"Kind": "VO", "Name": "Sangam"}
    rows = [
        sheets.Row(2, plain | {"Kind": "SHG", "Name": "Asha", "Region": "999111", "Parent": "sangam"}),
        sheets.Row(3, plain | vo | {"Region": "999011"}),
        sheets.Row(4, plain | vo | {"Region": "999012"}),
        sheets.Row(5, plain | {"Kind": "CLF", "Name": "Sankul", "Region": "1504"}),
        sheets.Row(6, plain | vo | {"Name": "Sangam Do", "Region": "999012", "Parent": "Sankul"}),
    ]
    answers = upload.upload_institutions(connection, clerk(), rows, TODAY, dry_run=False)
    assert [one.row for one in answers] == [2, 3, 4, 5, 6]
    parents = {row.id: row.parent_id for row in queries.institutions_within(connection, [BLOCK])}
    assert parents[answers[0].id] == answers[1].id
    assert parents[answers[4].id] == answers[3].id


def test_a_member_of_somebody_elses_shg_is_refused(connection):
    ids, _ = uploaded(connection)
    rows = read("members_up", upload.MEMBER_COLUMNS)
    answers = upload.upload_members(connection, bookkeeper(ids["Ujala"]), rows, TODAY, dry_run=False)
    assert [one.refused.code for one in answers[:6]] == ["INSTITUTION_UNKNOWN"] * 6
    assert all(one.id for one in answers[6:18])


def test_formulas_are_refused_and_columns_are_needed(connection):
    _, maker = uploaded(connection)
    columns = list(upload.MEMBER_COLUMNS.values())
    row = ["Ujala", 999111, "=1+1", "", "Female", "", 1990, "Spouse", "Ramesh", "OBC", "", "", "", "", date(2024, 1, 1)]
    fine = [*row[:2], "Rekha", *row[3:]]
    answers = upload.upload_members(connection, maker, sheets.read(workbook(columns, row, fine), columns), TODAY, dry_run=False)
    assert (answers[0].refused.code, answers[0].column, answers[1].refused) == ("SHEET_FORMULA", "Name", None)
    with pytest.raises(Invalid) as refused:
        sheets.read(workbook(columns[:-1], row[:-1]), columns)
    assert refused.value.code == "SHEET_COLUMN_MISSING"
    with pytest.raises(Invalid) as refused:
        sheets.read(workbook(columns, *(["Ujala"] for _ in range(100_000))), columns)
    assert refused.value.code == "SHEET_ROWS_TOO_MANY"


def test_ten_thousand_rows_take_seconds_and_few_statements(connection):
    ids, maker = uploaded(connection)
    plain = dict.fromkeys(upload.MEMBER_COLUMNS.values(), "") | {
        "SHG": "Ujala",
        "Village": "999111",
        "Gender": "Female",
        "Birth year": "1990",
        "Relation": "Spouse",
        "Social category": "OBC",
        "Relation name": "Ramesh Kumar",
        "Joined on": "2024-01-01",
    }
    letters = "abcdefghij"
    rows = [sheets.Row(n + 2, plain | {"Name": "Asha " + "".join(letters[int(digit)] for digit in f"{n:05}")}) for n in range(10_000)]
    statements = []
    event.listen(connection, "before_cursor_execute", lambda *_: statements.append(1))
    started = time.monotonic()
    answers = upload.upload_members(connection, maker, rows, TODAY, dry_run=False)
    assert time.monotonic() - started < 30
    assert len(statements) < 100
    assert len({one.id for one in answers}) == 10_000
    assert queries.member_counts(connection, ids["Ujala"]) == {Status.DRAFT: 10_000}
    at = datetime.now(UTC)
    assert restate.tally(connection, at) == 1


# --- What is in sight


def test_everybody_sees_her_own(connection):
    shg_id, maker = new_shg(connection)
    row = submit(connection, maker, shg_id)
    seeing = [manager(), manager(region="9"), manager(region=""), manager(region=VILLAGE), maker]
    blind = [manager(region="9.178.1505"), manager(region="9.178.150"), manager(region="10"), bookkeeper(uuid7()), bookkeeper()]
    page = {"status": None, "after": None, "size": 50}
    for caller in seeing:
        assert queries.member(connection, caller, row.id).id == row.id
        assert queries.institution(connection, caller, shg_id).id == shg_id
        assert [one.id for one in queries.members_page(connection, caller, institution_id=None, **page)] == [row.id]
        assert [one.id for one in queries.institutions_page(connection, caller, kind="SHG", **page)] == [shg_id]
    for caller in blind:
        for call, wanted in ((queries.member, row.id), (queries.institution, shg_id)):
            with pytest.raises(NotFound):
                call(connection, caller, wanted)
        assert queries.members_page(connection, caller, institution_id=shg_id, **page) == []
        assert queries.institutions_page(connection, caller, kind=None, **page) == []
    for outside in blind[:3]:
        assert code_of(member.approve, connection, outside, row.id, 1, [], TODAY) == "MEMBER_UNKNOWN"
        assert code_of(member.reject, connection, outside, row.id, 1, ["OTHER"], "x", []) == "MEMBER_UNKNOWN"


def test_pages_follow_each_other(connection):
    shg_id, maker = new_shg(connection)
    ids = sorted(submit(connection, maker, shg_id, name=f"Member {letter}").id for letter in "abcde")
    found, after = [], None
    while page := queries.members_page(connection, maker, institution_id=shg_id, status="SUBMITTED", after=after, size=2):
        found += [row.id for row in page]
        after = found[-1]
    assert found == ids


# --- Told anew, and counted


def test_a_restatement_tells_the_same_versions_to_one_hearer(connection):
    shg_id, maker = new_shg(connection)
    row = submit(connection, maker, shg_id)
    screen(connection, row, ("f1", dedup_pb2.VERDICT_POTENTIAL))
    member.approve(connection, manager(), row.id, 1, NOT_HER, TODAY)
    uploaded(connection)
    newest = {(one.event, one.subject): (one.version, one.body) for one in events(connection)}
    for hearer, pages in restate.PAGES.items():
        for page in pages.values():
            assert page(connection, hearer, None) is None
        anew = {(one.event, one.subject): (one.version, one.body) for one in events(connection, to=hearer)}
        assert anew == {key: newest[key] for key in anew}
        assert len(anew) == {"identity": 4, "transactions": 5, "reporting": 5, "dedup": 2}[hearer]  # Ujala was there before the list


def test_a_restatement_goes_page_by_page(connection, monkeypatch):
    monkeypatch.setattr(restate, "PAGE", 2)
    uploaded(connection)
    after, pages = restate.restate_institutions(connection, "identity", None), 1
    while after:
        after, pages = restate.restate_institutions(connection, "identity", after), pages + 1
    assert pages == 3
    assert len(events(connection, to="identity")) == 4


def test_the_tally_counts_the_active_of_each_block(connection):
    shg_id, maker = new_shg(connection)
    rows = [submit(connection, maker, shg_id, name=f"Member {letter}") for letter in "abc"]
    active = []
    for row in rows[:2]:
        screen(connection, row)
        active.append(member.approve(connection, manager(), row.id, 1, [], TODAY))
    assert restate.tally(connection, datetime.now(UTC)) == 1
    told, _ = last(connection, profiles_pb2.MembersTallied)
    assert (told.block, told.members) == (BLOCK, 2)
    assert told.fingerprint == total((row.id, row.version) for row in active)
    versions = {one.subject: one.version for one in events(connection, "MemberChanged")}
    assert all(versions[str(row.id)] == row.version for row in active), "a copy holds the version that the tally counts"


# --- At once, on connections of their own


@pytest.fixture
def lasting(up, monkeypatch):
    """An SHG that is committed, and taken away again with its members; the services of the test machine hear nothing of it."""
    for room in (institution, member, upload):
        monkeypatch.setattr(room, "tell_all", lambda *_: None)
    with database.transaction(SERVICE) as connection:
        shg_id, maker = new_shg(connection, name=f"Ujala {uuid4().hex}")
    yield shg_id, maker
    with database.transaction(SERVICE) as connection:
        hers = select(members.c.id).where(members.c.institution_id == shg_id)
        connection.execute(delete(findings).where(findings.c.member_id.in_(hers)))
        connection.execute(delete(members).where(members.c.institution_id == shg_id))
        connection.execute(delete(institutions).where(institutions.c.id == shg_id))


def at_once(*calls):
    """Each call in a transaction and thread of its own; what each gave or refused with."""
    outcomes = [None] * len(calls)
    barrier = threading.Barrier(len(calls))

    def run(number, call):
        barrier.wait()
        try:
            with database.transaction(SERVICE) as connection:
                outcomes[number] = call(connection)
        except Refused as refused:
            outcomes[number] = refused.code

    threads = [threading.Thread(target=run, args=one) for one in enumerate(calls)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    return outcomes


def test_two_checkers_at_once_have_one_outcome(lasting):
    shg_id, maker = lasting
    with database.transaction(SERVICE) as connection:
        row = submit(connection, maker, shg_id)
        screen(connection, row)
    other = manager(user_id="IUP_BPM2", person="manager2")
    one, two = at_once(
        lambda connection: member.approve(connection, manager(), row.id, 1, [], TODAY),
        lambda connection: member.approve(connection, other, row.id, 1, [], TODAY),
    )
    assert one == two
    with database.transaction(SERVICE) as connection:
        row = submit(connection, maker, shg_id, name="Another")
        screen(connection, row)
    outcomes = at_once(
        lambda connection: member.approve(connection, manager(), row.id, 1, [], TODAY).status,
        lambda connection: member.reject(connection, other, row.id, 1, ["OTHER"], "wait", []).status,
    )
    assert sorted(outcomes) in (["ACTIVE", "MOVE_NOT_ALLOWED"], ["MOVE_NOT_ALLOWED", "REJECTED"])


def test_the_same_submission_twice_at_once_is_one(lasting):
    shg_id, maker = lasting
    member_id = uuid7()
    one, two = at_once(*[lambda connection: submit(connection, maker, shg_id, member_id)] * 2)
    assert one == two
    third = uuid7()
    outcomes = at_once(
        lambda connection: submit(connection, maker, shg_id, third).status,
        lambda connection: submit(connection, maker, shg_id, third, name="Sita").status,
    )
    assert sorted(outcomes) == ["REVISION_CONTENT", "SUBMITTED"]


def test_the_same_list_twice_at_once_is_one(lasting):
    shg_id, maker = lasting
    with database.transaction(SERVICE) as connection:
        name = queries.institution(connection, maker, shg_id).name
    rows = [sheets.Row(row.number, row.cells | {"SHG": name, "Joined on": "2024-01-01"}) for row in read("members_up", upload.MEMBER_COLUMNS)[:18]]
    one, two = at_once(*[lambda connection: [a.id for a in upload.upload_members(connection, maker, rows, TODAY, dry_run=False)]] * 2)
    assert one == two
    assert len(set(one)) == 18


# --- The servicer: what a request says, and what it may not


@pytest.fixture
def serving(connection, monkeypatch):
    """The servicer, answering `who` inside the test's own transaction."""
    from contextlib import nullcontext

    calling = {"who": clerk()}
    monkeypatch.setattr(servicer, "transaction", lambda: nullcontext(connection))
    monkeypatch.setattr(servicer, "caller", lambda: calling["who"])
    made = servicer.Servicer()
    monkeypatch.setattr(made._reads, "seen", lambda *_: None)
    return made, calling


def test_a_block_begins_over_the_wire(serving):
    made, calling = serving
    answer = made.UploadInstitutions(profiles_pb2.UploadInstitutionsRequest(workbook=sample("institutions_up")), None)
    assert (answer.accepted, answer.refused) == (4, 0)
    listed = made.ListInstitutions(profiles_pb2.ListInstitutionsRequest(kind=profiles_pb2.KIND_SHG), None)
    assert [one.name for one in listed.institutions] == ["Roshni", "Ujala"]
    calling["who"] = bookkeeper(*(UUID(one.institution_id) for one in listed.institutions))
    answer = made.UploadMembers(profiles_pb2.UploadMembersRequest(workbook=sample("members_up")), None)
    assert (answer.accepted, answer.refused, answer.rows[18].refusal.code, answer.rows[18].id) == (18, 1, "BIRTH_IN_FUTURE", "")
    request = profiles_pb2.ListMembersRequest(status=profiles_pb2.STATUS_DRAFT)
    request.page.size = 10
    page = made.ListMembers(request, None)
    assert [one.name for one in page.members][5:8] == ["Jyoti Gautam", "Suneeta Devi", "Phulmati Nishad"]
    assert len(page.members) == 10
    request.page.after = page.next
    assert len(made.ListMembers(request, None).members) == 8
    one = page.members[0]
    one.revision = 1
    sent = made.SubmitMember(profiles_pb2.SubmitMemberRequest(member=one), None)
    assert (sent.status, sent.name, sent.version) == (profiles_pb2.STATUS_SUBMITTED, one.name, 2)
    assert made.SubmitMember(profiles_pb2.SubmitMemberRequest(member=sent), None) == sent
    assert made.GetMember(profiles_pb2.GetMemberRequest(member_id=sent.member_id), None) == sent
    group = listed.institutions[1]
    group.revision = 1
    group = made.SubmitInstitution(profiles_pb2.SubmitInstitutionRequest(institution=group), None)
    assert group.status == profiles_pb2.STATUS_SUBMITTED
    calling["who"] = manager()
    back = made.RejectInstitution(profiles_pb2.RejectInstitutionRequest(institution_id=group.institution_id, revision=1, remark="too few"), None)
    assert (back.status, back.remark) == (profiles_pb2.STATUS_REJECTED, "too few")


def test_what_no_request_may_say(serving):
    made, _ = serving
    page = profiles_pb2.ListMembersRequest()
    page.page.after = "x"
    wide = profiles_pb2.ListMembersRequest()
    wide.page.size = 501
    decided = profiles_pb2.ApproveMemberRequest(member_id=str(uuid7()), decisions=[profiles_pb2.FindingDecision(finding_id="f")])
    cases = [
        (made.ListMembers, page, "PAGE_INVALID"),
        (made.ListMembers, wide, "PAGE_INVALID"),
        (made.ListMembers, profiles_pb2.ListMembersRequest(status=9), "STATUS_UNKNOWN"),
        (made.ListInstitutions, profiles_pb2.ListInstitutionsRequest(kind=9), "KIND_UNKNOWN"),
        (made.GetMember, profiles_pb2.GetMemberRequest(member_id="x"), "ID_INVALID"),
        (made.GetMember, profiles_pb2.GetMemberRequest(member_id=str(uuid7())), "MEMBER_UNKNOWN"),
        (made.GetInstitution, profiles_pb2.GetInstitutionRequest(institution_id=str(uuid7())), "INSTITUTION_UNKNOWN"),
        (made.SubmitMember, profiles_pb2.SubmitMemberRequest(), "ID_INVALID"),
        (made.SubmitInstitution, profiles_pb2.SubmitInstitutionRequest(), "ID_INVALID"),
        (made.ApproveMember, decided, "DECISION_UNKNOWN"),
        (made.UploadMembers, profiles_pb2.UploadMembersRequest(workbook=b"x"), "SHEET_UNREADABLE"),
        (made.UploadInstitutions, profiles_pb2.UploadInstitutionsRequest(), "SHEET_MISSING"),
    ]
    for call, request, code in cases:
        assert code_of(call, request, None) == code


def attestation(member_id, life=timedelta(hours=24), purpose="kyc"):
    claims = {"sub": str(member_id), "identity_token": "token-1", "birth_year": 1985, "gender": "F"}
    return tokens.sign(purpose, "UP", life, claims)[0]


def test_an_attestation_is_hers_and_genuine(up):
    hers = uuid7()
    assert servicer._evidence("", hers) is None
    assert servicer._evidence(attestation(hers), hers) == member.Evidence("token-1", 1985, "F")
    for token, code in (
        (attestation(uuid7()), "ATTESTATION_NOT_HERS"),
        (attestation(hers, purpose="users"), "ATTESTATION_INVALID"),
        (attestation(hers)[:-8] + "AAAAAAAA", "ATTESTATION_INVALID"),
        ("x", "ATTESTATION_INVALID"),
    ):
        assert code_of(servicer._evidence, token, hers) == code
    too_old = servicer._evidence(attestation(hers, timedelta(minutes=-2)), hers)
    assert too_old.code == "ATTESTATION_EXPIRED"


# --- The command line


def run(up, *arguments, **settings):
    command = [sys.executable, "-m", "services.profiles", *arguments]
    return subprocess.run(command, cwd=ROOT, env={**up.instances["UP"].env, **settings}, capture_output=True, text=True, check=False)


def test_the_same_geography_twice_is_the_same_file(up, tmp_path):
    path = tmp_path / "made.csv"
    first = run(up, "geography", "samples/lgd", LOKOS_GEOGRAPHY_FILE=str(path))
    assert first.returncode == 0, first.stderr
    assert "refused: villages.csv, row 10:" in first.stdout
    content = path.read_bytes()
    second = run(up, "geography", "samples/lgd", "--on", "2030-01-01", LOKOS_GEOGRAPHY_FILE=str(path))
    assert "0 lines are new" in second.stdout
    assert path.read_bytes() == content
    land = geography.load(path)
    assert land.path_of(5, "999111") == VILLAGE
    assert not any(place.startswith("10") for place in land.below(""))
    assert run(up, "geography", str(tmp_path), LOKOS_GEOGRAPHY_FILE=str(path)).returncode == 1
    assert path.read_bytes() == content
    assert "usage" in run(up, "--help").stdout


def test_the_operator_restates_to_whom_there_is(up):
    assert run(up, "restate", "--to", "nobody").returncode == 2
    assert "identity" in run(up, "restate", "--help").stdout
