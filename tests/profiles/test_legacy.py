"""The old MIS: its files taken in row by row, once, until records are verified; and the day from which a block enters here."""

import csv
import os
import subprocess
import sys
from collections import Counter
from datetime import date, timedelta
from pathlib import Path
from uuid import UUID

import pytest
from sqlalchemy import delete, func, select

from protos import dedup_pb2, profiles_pb2
from services.chassis import audit, database
from services.chassis.mailbox import outbox
from services.kernel import codes as public_codes
from services.kernel import geography
from services.kernel.caller import Caller, Role
from services.kernel.codes import check_digit
from services.kernel.errors import Refused
from services.kernel.ids import derived, uuid7
from services.profiles import queries
from services.profiles.adapters import legacy as files
from services.profiles.commands import cutover, institution, legacy, life, member, restate, review
from services.profiles.commands.legacy import Row, Source
from services.profiles.queries import MEMBER
from services.profiles.rules import legacy as rules
from services.profiles.tables import cutovers, institutions, mappings, members, provenance, submissions

SERVICE = "profiles"
ROOT = Path(__file__).parents[2]
TODAY = date(2026, 4, 1)
BLOCK = "9.178.1597"
GP, VILLAGE = f"{BLOCK}.997", f"{BLOCK}.997.9971"
OPERATOR = Caller("operator test")
FIRST, SECOND = Source("first.csv", b"1" * 32, "test"), Source("second.csv", b"2" * 32, "test")


@pytest.fixture(autouse=True)
def lie_of_the_land(up, tmp_path, monkeypatch):
    path = tmp_path / "geography.csv"
    old = {VILLAGE: ("1208005032001", "1208005032002"), GP: ("1208005032",), BLOCK: ("1208005",)}
    paths = ("9", "9.178", BLOCK, GP, VILLAGE, f"{GP}.9972")
    geography.save(path, [geography.Place(one, one, "", date(1900, 1, 1), legacy_codes=old.get(one, ())) for one in paths])
    monkeypatch.setenv("LOKOS_GEOGRAPHY_FILE", str(path))


def code_of(call, *arguments, **named):
    with pytest.raises(Refused) as refused:
        call(*arguments, **named)
    return refused.value.code


def shg(code="771", **changes):
    plain = {
        "legacy_code": code,
        "kind": "SHG",
        "name": f"Ujala {code}",
        "place_legacy_code": "1208005032001",
        "formed_on": "2019-06-03",
        "type": "Regular",
        "promoted_by": "NRLM",
        "compulsory_savings_rupees": "50",
        "savings_frequency": "MONTHLY",
        "account_number": "1000200917401",
        "ifsc": "ZZZZ0KLD001",
        "account_holding": "GROUP",
    }
    return plain | changes


def woman(code="9001", of="771", **changes):
    plain = {
        "legacy_code": code,
        "shg_legacy_code": of,
        "name": "Sunita Devi",
        "gender": "FEMALE",
        "birth_year": "1985",
        "relation": "SPOUSE",
        "relation_name": "Ramesh Kumar",
        "social_category": "OBC",
        "religion": "Hindu",
        "joined_on": "2019-06-03",
        "mobile": "6000917401",
    }
    return plain | changes


def rows(*cells, first=2):
    """As a file gives them: without what is empty."""
    return [Row(number, {column: cell for column, cell in one.items() if cell}) for number, one in enumerate(cells, first)]


def take(connection, *cells, source=FIRST, today=TODAY, first=2):
    """SHGs, VOs and CLFs, or members."""
    taking = legacy.take_members if "shg_legacy_code" in cells[0] else legacy.take_institutions
    return taking(connection, OPERATOR, source, rows(*cells, first=first), today)


def outcomes(answers):
    return [one.refused.code if one.refused else one.outcome for one in answers]


def held(connection, table, record_id):
    return connection.execute(select(table).where(table.c.id == record_id)).one()


def told(connection, *record_ids):
    return [row.event for row in connection.execute(select(outbox).where(outbox.c.subject.in_(map(str, record_ids))).order_by(outbox.c.id))]


# --- Rows become records


def test_rows_become_live_records_that_are_to_be_verified(connection):
    [clf] = take(
        connection, shg("7", kind="CLF", name="Ekta", place_legacy_code="1208005", type="", savings_frequency="", compulsory_savings_rupees="")
    )
    [vo] = take(connection, shg("71", kind="VO", name="Pragati", place_legacy_code="1208005032", type="", parent_legacy_code="7"))
    [group] = take(connection, shg(parent_legacy_code="71"))
    row = held(connection, institutions, group.record_id)
    assert (row.status, row.source, row.code, row.revision, row.version) == ("LEGACY", "LEGACY", None, 0, 1)
    assert (row.region, row.parent_id, row.entered_on, row.activated_on) == (VILLAGE, vo.record_id, TODAY, None)
    assert row.content["compulsory_savings_paise"] == 5000
    [other] = row.content["external_ids"]
    assert (other["system"], other["value"]) == ("NRLM_MIS", "771")
    assert held(connection, institutions, vo.record_id).parent_id == clf.record_id
    [mapped] = connection.execute(select(mappings).where(mappings.c.child_id == group.record_id))
    assert (mapped.parent_id, mapped.from_on, mapped.to_on) == (vo.record_id, TODAY, None)
    changed, checked = connection.execute(select(outbox.c.event, outbox.c.body).where(outbox.c.subject == str(group.record_id)).order_by(outbox.c.id))
    heard = profiles_pb2.InstitutionChanged.FromString(changed.body)
    assert (changed.event, heard.status, heard.compulsory_savings_paise) == ("InstitutionChanged", profiles_pb2.STATUS_LEGACY, 5000)
    assert [(one.row_id, one.ended_on) for one in heard.accounts] == [(row.content["accounts"][0]["row_id"], "")]
    compared = profiles_pb2.InstitutionSubmitted.FromString(checked.body)
    assert (checked.event, compared.status, compared.revision) == ("InstitutionSubmitted", profiles_pb2.STATUS_LEGACY, 0)

    [one] = take(connection, woman())
    her = held(connection, members, one.record_id)
    assert (her.status, her.source, her.code, her.revision, her.institution_id, her.region) == ("LEGACY", "LEGACY", None, 0, group.record_id, VILLAGE)
    assert (her.content["religion"], her.content["phones"][0]["number"]) == ("HINDU", "6000917401")
    assert told(connection, one.record_id) == ["MemberSubmitted", "MemberChanged"]
    [submitted] = connection.execute(select(outbox.c.body).where(outbox.c.subject == str(one.record_id), outbox.c.event == "MemberSubmitted"))
    hers = profiles_pb2.MemberSubmitted.FromString(submitted.body)
    assert (hers.name, hers.mobile, hers.revision) == ("Sunita Devi", "6000917401", 0)


def test_a_record_says_which_row_of_which_file_it_is(connection):
    [one] = take(connection, shg(), first=17)
    [said_by] = connection.execute(select(provenance).where(provenance.c.record_id == one.record_id))
    assert (said_by.file_name, said_by.file_sha256, said_by.row, said_by.imported_by) == ("first.csv", b"1" * 32, 17, "test")
    [noted] = connection.execute(select(audit.audit).where(audit.audit.c.subjects == [str(one.record_id)]))
    assert (noted.user_id, noted.action, noted.facts) == ("operator test", "legacy.institutions", {"file_sha256": "31" * 32})


@pytest.mark.parametrize(
    "place",
    [
        {"place_legacy_code": "1208005032002"},
        {"place_legacy_code": "", "place_lgd_code": "9971"},
        {"place_legacy_code": "", "place_lgd_code": "009971"},
        {"place_legacy_code": "", "place_lgd_code": VILLAGE},
    ],
)
def test_a_place_is_found_by_either_system_of_codes(connection, place):
    [one] = take(connection, shg(**place))
    assert held(connection, institutions, one.record_id).region == VILLAGE


def test_a_place_that_may_be_one_of_several_is_refused_with_each(connection, tmp_path):
    other = f"{BLOCK}.998"
    old = {VILLAGE: ("1208005032001",), f"{other}.9971": ("1208005032001",)}
    paths = ("9", "9.178", BLOCK, GP, VILLAGE, other, f"{other}.9971")
    geography.save(tmp_path / "geography.csv", [geography.Place(one, one, "", date(1900, 1, 1), legacy_codes=old.get(one, ())) for one in paths])
    by_code = shg(place_legacy_code="", place_lgd_code="9971")
    answers = take(connection, by_code, shg("772"), shg("773", place_legacy_code="", place_lgd_code=f"{other}.9971"))
    assert outcomes(answers) == ["REGION_SEVERAL", "REGION_SEVERAL", "MADE"]
    assert [one.refused.field for one in answers[:2]] == ["place_lgd_code", "place_legacy_code"]
    assert {one.refused.params["places"] for one in answers[:2]} == {f"{VILLAGE} ({GP}); {other}.9971 ({other})"}
    assert held(connection, institutions, answers[2].record_id).region == f"{other}.9971"


def aadhaar_like():
    digits = "20000000001"
    return f"{digits}{check_digit(digits)}"


@pytest.mark.parametrize(
    ("cells", "code", "column"),
    [
        (shg(legacy_code=""), "VALUE_MISSING", "legacy_code"),
        (shg(kind="JLG"), "KIND_UNKNOWN", "kind"),
        (shg(place_legacy_code=""), "VALUE_MISSING", "place_lgd_code"),
        (shg(place_legacy_code="9971"), "REGION_UNKNOWN", "place_legacy_code"),
        (shg(place_legacy_code="", place_lgd_code="1208005032001"), "REGION_UNKNOWN", "place_lgd_code"),
        (shg(place_legacy_code="", place_lgd_code="9.x"), "REGION_INVALID", "place_lgd_code"),
        (shg(place_legacy_code="", place_lgd_code=GP), "REGION_LEVEL", "place_lgd_code"),
        (shg(formed_on=""), "VALUE_MISSING", "formed_on"),
        (shg(formed_on="3-6-2019"), "DATE_INVALID", "formed_on"),
        (shg(parent_legacy_code="99"), "PARENT_UNKNOWN", "parent_legacy_code"),
        (shg(compulsory_savings_rupees="fifty"), "AMOUNT_INVALID", "compulsory_savings_rupees"),
        (shg(ifsc="KLD001"), "IFSC_INVALID", "ifsc"),
        (shg(account_holding=""), "VALUE_MISSING", "account_holding"),
        (shg(document_kind="PAN", document_number="1"), "DOCUMENT_INVALID", "document_number"),
        (shg(legacy_code=aadhaar_like()), "NUMBER_LIKE_AADHAAR", "legacy_code"),
        (woman(of="772"), "LEGACY_SHG_UNKNOWN", "shg_legacy_code"),
        (woman(name=""), "VALUE_MISSING", "name"),
        (woman(gender="MALE"), "GENDER_NOT_HERE", "gender"),
        (woman(religion="JEDI"), "VALUE_UNKNOWN", "religion"),
        (woman(joined_on="2018-01-01"), "JOINED_TOO_EARLY", "joined_on"),
        (woman(mobile="12"), "MOBILE_INVALID", "mobile"),
        (woman(document_kind="VOTER_ID", document_number=aadhaar_like()), "NUMBER_LIKE_AADHAAR", "document_number"),
    ],
)
def test_a_row_that_cannot_be_is_refused_by_its_column_and_holds_up_no_other(connection, cells, code, column):
    take(connection, shg())
    other = shg("772", name="Asha") if "kind" in cells else woman("9002")
    bad, good = take(connection, cells, other)
    assert (bad.refused.code, rules.column_of(bad.refused.field)) == (code, column)
    assert bad.record_id is None
    assert good.outcome == "MADE"
    assert str(bad.refused)


def test_a_draft_may_lack_what_a_submission_may_not_and_a_name_stands_once_in_a_place(connection):
    bare = {"legacy_code": "771", "kind": "SHG", "name": "Ujala", "place_legacy_code": "1208005032001", "formed_on": "2019-06-03"}
    assert outcomes(take(connection, bare, shg("772", name="UJALA "), shg("773", name="Ujala", place_legacy_code="", place_lgd_code="9972"))) == [
        "MADE",
        "NAME_TAKEN",
        "MADE",
    ]
    assert outcomes(take(connection, {"legacy_code": "1", "shg_legacy_code": "771", "name": "Sunita"})) == ["MADE"]


def test_columns_are_the_contracts_names_and_hold_no_id_of_ours():
    for columns, message in ((rules.INSTITUTION_COLUMNS, profiles_pb2.Institution), (rules.MEMBER_COLUMNS, profiles_pb2.Member)):
        assert len(set(columns)) == len(columns)
        assert not {"region", "parent_id", "institution_id", "photo", "resolution", "area"} & set(columns)
        ours = {"legacy_code", "shg_legacy_code", "parent_legacy_code", "place_lgd_code", "place_legacy_code", *rules._OF_ROWS}
        fields = {name.removesuffix("_rupees") + "_paise" if name.endswith("_rupees") else name for name in set(columns) - ours}
        assert fields <= set(message.DESCRIPTOR.fields_by_name)
    assert "compulsory_savings_rupees" in rules.INSTITUTION_COLUMNS
    assert {"name", "bpl_number", "mobile", "pincode"} <= set(rules.MEMBER_COLUMNS)


# --- The same again, changed, and verified


def test_the_same_rows_again_change_nothing(connection):
    groups = [shg("771"), shg("772")]
    women = [woman(str(number)) for number in range(9001, 9011)]
    made = take(connection, *groups), take(connection, *women)
    ids = [one.record_id for answers in made for one in answers]
    before = told(connection, *ids)
    again = take(connection, *groups), take(connection, *women)
    assert [one.record_id for answers in again for one in answers] == ids
    assert {one.outcome for answers in again for one in answers} == {"SAME"}
    assert told(connection, *ids) == before
    assert {row.version for row in connection.execute(select(members.c.version).where(members.c.id.in_(ids)))} == {1}
    moved = take(connection, *reversed(women), source=SECOND)
    assert {one.outcome for one in moved} == {"SAME"}, "in another file, in another order"
    [said_by] = connection.execute(select(provenance).where(provenance.c.record_id == moved[0].record_id))
    assert (said_by.file_name, said_by.row) == ("second.csv", 2), "which said it last"


def test_a_row_that_changed_changes_what_is_not_verified_and_is_told(connection):
    [group], [one] = take(connection, shg()), take(connection, woman())
    [changed] = take(connection, woman(name="Sunita Kumari"), source=SECOND)
    assert (changed.outcome, changed.record_id) == ("CHANGED", one.record_id)
    her = held(connection, members, one.record_id)
    assert (her.content["name"], her.version, her.submitted_version, her.status) == ("Sunita Kumari", 2, 2, "LEGACY")
    assert told(connection, one.record_id) == ["MemberSubmitted", "MemberChanged"] * 2
    take(connection, shg("70", kind="VO", name="Pragati", place_legacy_code="1208005032", type=""))
    [changed] = take(connection, shg(name="Asha", parent_legacy_code="70"), source=SECOND)
    row = held(connection, institutions, group.record_id)
    assert (changed.outcome, row.name, row.version) == ("CHANGED", "Asha", 2)
    assert connection.execute(select(mappings.c.parent_id).where(mappings.c.child_id == row.id)).scalar_one() == row.parent_id
    take(connection, shg("772", name="Jyoti"))
    assert outcomes(take(connection, shg("772", name="Asha"), source=SECOND)) == ["NAME_TAKEN"]
    assert outcomes(take(connection, shg(place_legacy_code="", place_lgd_code="9972", name="Asha"), source=SECOND, first=2)) == ["FIELD_FIXED"]
    assert outcomes(take(connection, woman(of="772"), source=SECOND)) == ["FIELD_FIXED"]


def test_a_code_stands_once_in_a_file_wherever_its_rows_stand(connection):
    take(connection, shg())
    for first in ("MADE", "SAME"):
        assert outcomes(take(connection, woman(), woman(name="Geeta Devi"))) == [first, "CODE_TWICE"]
        assert outcomes(take(connection, woman(name="Mamta Devi"), first=1002)) == ["CODE_TWICE"], "in another batch"
    assert outcomes(take(connection, woman(), source=SECOND)) == ["SAME"]
    assert outcomes(take(connection, woman(name="Mamta Devi"), source=SECOND, first=1002)) == ["CODE_TWICE"]
    assert outcomes(take(connection, woman("9002", name="1"), woman("9002"))) == ["NAME_INVALID", "MADE"], "what was refused is no record"


def test_a_code_is_of_one_kind_alone(connection):
    group, vo = take(connection, shg("5"), shg("5", kind="VO", place_legacy_code="1208005032", type=""))
    assert outcomes([group, vo]) == ["MADE", "MADE"]
    assert outcomes(take(connection, woman("5", of="5"))) == ["MADE"]


def bookkeeper(*mapped):
    return Caller("IUP_BK", Role.SHG_BOOKKEEPER, VILLAGE, frozenset(mapped), "bookkeeper")


def manager():
    return Caller("IUP_BPM", Role.BLOCK_PROGRAM_MANAGER, BLOCK, person="manager")


def verify(connection, her, **changes):
    """Her bookkeeper completes her and hands her in."""
    missing = {"marital_status": "MARRIED", "minority": "NO", "bpl": "YES", "birth_year": "1985"}
    said = dict(her.content) | missing | changes
    return member.submit(connection, bookkeeper(her.institution_id), her.id, 1, said, None, TODAY)


def test_verifying_makes_her_a_member_with_a_code_and_no_file_changes_her_again(connection):
    take(connection, shg())
    [one] = take(connection, woman())
    verify(connection, held(connection, members, one.record_id))
    assert outcomes(take(connection, woman(name="Geeta"), source=SECOND)) == ["LEGACY_VERIFIED"], "it waits for the checker"
    assert outcomes(take(connection, woman(), source=SECOND)) == ["SAME"]
    screened = dedup_pb2.MemberScreened(member_id=str(one.record_id), revision=1, verdict=dedup_pb2.VERDICT_CLEAR)
    member.note_screening(connection, 1, screened)
    approved = review.approve(connection, manager(), MEMBER, one.record_id, 1, (), TODAY)
    assert (approved.row.status, approved.row.activated_on, approved.row.source) == ("ACTIVE", TODAY, "LEGACY")
    assert public_codes.is_checked(approved.row.code[1:])
    assert [row["system"] for row in approved.row.content["external_ids"]] == ["NRLM_MIS"]
    assert outcomes(take(connection, woman(name="Geeta"), source=SECOND)) == ["LEGACY_VERIFIED"]
    assert outcomes(take(connection, woman(), source=SECOND)) == ["SAME"]


def test_a_restatement_decides_on_nobody_on_whom_the_import_did_not(connection):
    take(connection, shg())
    she = take(connection, woman())[0].record_id
    restate.restate_submissions(connection, "dedup", None)

    def heard(to):
        rows = connection.execute(select(outbox).where(outbox.c.subject == str(she), outbox.c.destination.is_not_distinct_from(to)))
        return {(one.event, one.version, one.body) for one in rows if one.event != "MemberChanged"}

    assert {event for event, *_ in heard("dedup")} == {"MemberSubmitted"}
    assert heard("dedup") == heard(None)


def test_what_the_duplicate_check_finds_shows_when_she_is_verified(connection):
    take(connection, shg())
    [one] = take(connection, woman())
    match = dedup_pb2.Match(finding_id="f1", other_member_id=str(uuid7()), verdict=dedup_pb2.VERDICT_POTENTIAL, weight_centibits=3000)
    for revision in (0, 1):
        screened = dedup_pb2.MemberScreened(member_id=str(one.record_id), revision=revision, verdict=dedup_pb2.VERDICT_POTENTIAL, matches=[match])
        member.note_screening(connection, revision + 1, screened)
        subject = queries.member(connection, manager(), one.record_id)
        assert [found.finding_id for found in queries.findings_of(connection, [subject])[one.record_id]] == ["f1"]
        if not revision:
            assert subject.row.verdict == "POTENTIAL"
            verify(connection, subject.row)
    assert code_of(review.approve, connection, manager(), MEMBER, one.record_id, 1, (), TODAY).startswith("FINDING_")


# --- From which day on a block enters here


def enter(connection, **changes):
    said = {
        "kind": "SHG",
        "name": "Nayi Roshni",
        "region": VILLAGE,
        "formed_on": "2022-06-03",
        "type": "REGULAR",
        "origin": "NEW",
        "promoted_by": "NRLM",
        "bookkeeper": "NONE",
        "meeting_frequency": "WEEKLY",
        "meeting_weekday": "MONDAY",
        "savings_frequency": "WEEKLY",
        "compulsory_savings_paise": 10_000,
        "seats": [
            {"row_id": str(derived(post)), "body": "OFFICE", "post": post, "member_id": str(uuid7()), "is_signatory": "YES", "from": "2024-06-03"}
            for post in ("PRESIDENT", "SECRETARY", "TREASURER")
        ],
    }
    institution_id = uuid7()
    return lambda: institution.submit(connection, bookkeeper(), institution_id, 1, said | changes, TODAY)


def test_a_block_without_a_day_enters_here_and_takes_files(connection):
    assert enter(connection)().waiting.status == "SUBMITTED"
    assert outcomes(take(connection, shg())) == ["MADE"]


def test_until_its_day_a_block_enters_on_the_old_mis_and_from_then_on_here(connection):
    one_shg = take(connection, shg())[0].record_id
    before = enter(connection)
    before()
    cutover.set_day(connection, OPERATOR, BLOCK, TODAY + timedelta(days=1))
    assert code_of(enter(connection, name="Kiran")) == "NOT_CUT_OVER"
    [one] = take(connection, woman())
    assert code_of(verify, connection, held(connection, members, one.record_id)) == "NOT_CUT_OVER"
    left = {"act": "LEAVE", "on": "2026-03-31", "reason": "MIGRATION"}
    assert code_of(life.submit, connection, bookkeeper(one_shg), MEMBER, one.record_id, 1, left, TODAY) == "NOT_CUT_OVER"
    assert before().waiting.status == "SUBMITTED", "what was taken in before stays answered"
    cutover.set_day(connection, OPERATOR, BLOCK, TODAY)
    assert enter(connection, name="Kiran")().waiting.status == "SUBMITTED"
    assert verify(connection, held(connection, members, one.record_id)).waiting.status == "SUBMITTED"
    assert outcomes(take(connection, woman(), woman("9002"))) == ["SAME", "CUT_OVER"]
    assert outcomes(take(connection, shg("779", name="Deepa"))) == ["CUT_OVER"]
    cutover.forget_day(connection, OPERATOR, BLOCK)
    assert outcomes(take(connection, shg("779", name="Deepa"))) == ["MADE"]
    noted = connection.execute(
        select(audit.audit).where(audit.audit.c.subjects == [BLOCK], audit.audit.c.user_id == OPERATOR.user_id).order_by(audit.audit.c.id)
    ).all()
    assert [(row.action, row.facts) for row in noted] == [
        ("cutover.set", {"on": "2026-04-02"}),
        ("cutover.set", {"on": "2026-04-01"}),
        ("cutover.forget", {}),
    ]


# --- At the operator's command line


@pytest.fixture
def folder(up, tmp_path):
    yield tmp_path
    with database.transaction(SERVICE) as connection:
        ours = select(institutions.c.id).where(institutions.c.region.like(f"{BLOCK}%")).scalar_subquery()
        hers = select(members.c.id).where(members.c.region.like(f"{BLOCK}%")).scalar_subquery()
        connection.execute(delete(provenance).where(provenance.c.record_id.in_(ours) | provenance.c.record_id.in_(hers)))
        connection.execute(delete(submissions).where(submissions.c.block == BLOCK))
        connection.execute(delete(mappings).where(mappings.c.child_id.in_(ours)))
        connection.execute(delete(members).where(members.c.region.like(f"{BLOCK}%")))
        connection.execute(delete(institutions).where(institutions.c.region.like(f"{BLOCK}%")))
        connection.execute(delete(cutovers).where(cutovers.c.block == BLOCK))


def run(*words):
    return subprocess.run([sys.executable, "-m", "services.profiles", *map(str, words)], cwd=ROOT, capture_output=True, text=True, check=False)


def write(path, cells):
    columns = list(dict.fromkeys(column for one in cells for column in one))
    with path.open("w", newline="", encoding="utf-8-sig") as file:
        writer = csv.DictWriter(file, columns)
        writer.writeheader()
        writer.writerows(cells)


def answers(path):
    with path.open(newline="", encoding="utf-8-sig") as file:
        return list(csv.DictReader(file))


def counted():
    with database.reading(SERVICE) as connection:
        return tuple(
            connection.execute(select(func.count()).select_from(table).where(table.c.region.like(f"{BLOCK}%"))).scalar_one()
            for table in (institutions, members)
        )


def test_files_are_taken_in_by_one_command_after_a_dry_run(folder):
    vo = shg("71", kind="VO", name="Pragati", place_legacy_code="1208005032", type="")
    write(folder / files.INSTITUTIONS, [shg("771", parent_legacy_code="71"), vo, shg("772"), shg("773", kind="?")])
    women = [woman(str(number), of="771" if number % 2 else "772") for number in range(9001, 9031)]
    write(folder / files.MEMBERS, [*women, woman("=1", of="774", aadhaar="x")])
    dry = run("legacy", folder, "--dry-run")
    assert dry.returncode == 1, dry.stderr
    assert "3 would be made, 0 would change, 0 as they were, 1 refused" in dry.stdout
    assert "30 would be made" in dry.stdout
    assert counted() == (0, 0)
    assert Counter(one["outcome"] for one in answers(folder / "members.answers.csv")) == {"MADE": 30, "REFUSED": 1}
    done = run("legacy", folder, "--by", "IUP_X")
    assert done.returncode == 1, done.stderr
    assert "institutions.csv: 3 made, 0 changed, 0 as they were, 1 refused" in done.stdout
    assert "members.csv: these columns are not read: aadhaar" in done.stdout
    assert counted() == (3, 30)
    refused = [one for one in answers(folder / "members.answers.csv") if one["code"]]
    assert [(one["row"], one["legacy_code"], one["code"], one["column"]) for one in refused] == [
        ("32", "'=1", "LEGACY_SHG_UNKNOWN", "shg_legacy_code")
    ]
    [first] = [one for one in answers(folder / "institutions.answers.csv") if one["legacy_code"] == "771"]
    with database.reading(SERVICE) as connection:
        [said_by] = connection.execute(select(provenance).where(provenance.c.record_id == UUID(first["record_id"])))
        assert (said_by.file_name, said_by.row, said_by.imported_by) == ("institutions.csv", 2, "IUP_X")
    again = run("legacy", folder)
    assert "0 made, 0 changed, 3 as they were, 1 refused" in again.stdout
    assert "0 made, 0 changed, 30 as they were, 1 refused" in again.stdout


def test_a_file_that_cannot_be_read_to_its_end_is_not_begun(folder):
    write(folder / files.INSTITUTIONS, [shg()])
    for content, words in (
        (b"legacy_code,shg_legacy_code,name\n1,771,\xff\xfe\n", "not in UTF-8"),
        (b"legacy_code,name\n1,X\n", "no column shg_legacy_code"),
        (b'legacy_code,shg_legacy_code,name\n1,771,"' + b"x" * 200_000 + b'"\n', "no CSV"),
    ):
        (folder / files.MEMBERS).write_bytes(content)
        refused = run("legacy", folder)
        assert refused.returncode == 1
        assert words in refused.stderr
        assert counted() == (0, 0)
    (folder / files.MEMBERS).write_bytes(b"Legacy_Code,SHG_legacy_code,name\n1,771,Sunita,Devi\n\n2,771,Geeta\n")
    assert "1 made, 0 changed, 0 as they were, 1 refused" in run("legacy", folder).stdout
    assert [one["code"] for one in answers(folder / "members.answers.csv")] == ["ROW_TOO_LONG", ""]


def test_one_import_runs_at_a_time(folder):
    write(folder / files.INSTITUTIONS, [shg()])
    with database.transaction(SERVICE) as running:
        take(running, shg("779"))
        refused = run("legacy", folder)
        running.rollback()
    assert (refused.returncode, refused.stderr) == (1, "Another import from the old MIS is running; run this one again when it has ended.\n")
    assert counted() == (0, 0)
    assert run("legacy", folder).returncode == 0


def test_templates_have_the_headers_and_replace_nothing(folder):
    assert run("legacy", "--template", folder / "new").returncode == 0
    assert (folder / "new" / files.MEMBERS).read_text(encoding="utf-8-sig").strip().split(",") == list(rules.MEMBER_COLUMNS)
    again = run("legacy", "--template", folder / "new")
    assert again.returncode == 1
    assert "is there already" in again.stderr
    empty = run("legacy", folder / "new")
    assert empty.returncode == 0, empty.stdout


def test_the_days_of_blocks_are_set_and_shown(folder):
    assert run("cutover", "1597", "--on", "2026-05-01").stdout == f"UP: {BLOCK} {BLOCK}: 2026-05-01\n"
    assert f"{BLOCK} {BLOCK}: 2026-05-01" in run("cutover").stdout
    assert run("cutover", BLOCK, "--on", "2026-05-02", "--by", "IUP_X").returncode == 0
    with database.reading(SERVICE) as connection:
        of_block = select(audit.audit.c.user_id).where(audit.audit.c.subjects == [BLOCK]).order_by(audit.audit.c.id.desc())
        login = os.environ.get("USER") or f"uid {os.getuid()}"
        assert connection.scalars(of_block.limit(2)).all() == ["operator IUP_X", f"operator {login}"]
    assert run("cutover", BLOCK, "--forget").stdout == f"UP: {BLOCK} {BLOCK}: no day\n"
    assert BLOCK not in run("cutover").stdout
    for wrong in (
        ("cutover", "999999", "--on", "2026-05-01"),
        ("cutover", GP, "--forget"),
        ("cutover", "--forget"),
        ("cutover", BLOCK, "--on", "May"),
    ):
        failed = run(*wrong)
        assert failed.returncode
        assert failed.stderr
        assert "Traceback" not in failed.stderr
