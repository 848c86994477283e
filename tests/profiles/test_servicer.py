"""The servicer on a real PostgreSQL: what a request says, and what it may not; and the command line."""

import subprocess
import sys
from datetime import date, timedelta
from pathlib import Path
from uuid import UUID

import pytest

from protos import profiles_pb2
from services.chassis import tokens
from services.kernel import geography
from services.kernel.ids import uuid7
from services.profiles.commands import member
from services.profiles.servicer import given
from tests.profiles.builders import (
    NOBODY_YET,
    SERVICE,  # noqa: F401 - whose connection the tests have
    VILLAGE,
    bookkeeper,
    code_of,
    emptied,
    manager,
    office,
)

ROOT = Path(__file__).parents[2]

pytestmark = pytest.mark.usefixtures("land")


@pytest.fixture
def connection(connection):
    return emptied(connection)


def sample(name):
    return (ROOT / "samples" / f"{name}.xlsx").read_bytes()


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
    assert code_of(made.SubmitMember, profiles_pb2.SubmitMemberRequest(member=one), None) == "VALUE_MISSING"
    one.marital_status, one.religion, one.minority, one.bpl = "MARRIED", "HINDU", "NO", "YES"
    sent = made.SubmitMember(profiles_pb2.SubmitMemberRequest(member=one), None)
    assert (sent.status, sent.name, sent.version, sent.revision) == (profiles_pb2.STATUS_SUBMITTED, one.name, 2, 1)
    assert {phone.status for phone in sent.phones} <= {profiles_pb2.ROW_STATUS_PENDING}
    assert made.SubmitMember(profiles_pb2.SubmitMemberRequest(member=sent), None) == sent
    assert made.GetMember(profiles_pb2.GetMemberRequest(member_id=sent.member_id), None) == sent
    group = listed.institutions[1]
    group.revision, group.type, group.origin, group.promoted_by = 1, "REGULAR", "NEW", "NRLM"
    group.bookkeeper, group.meeting_frequency, group.meeting_weekday, group.savings_frequency = "NONE", "WEEKLY", "MONDAY", "WEEKLY"
    for seat in office(*NOBODY_YET[:3]):
        group.seats.add(**{name: value for name, value in seat.items() if name != "from"}, **{"from": "2026-01-01"})
    group = made.SubmitInstitution(profiles_pb2.SubmitInstitutionRequest(institution=group), None)
    assert group.status == profiles_pb2.STATUS_SUBMITTED
    assert [one.code for one in group.warnings] == ["ACCOUNT_MISSING", "SIZE_UNUSUAL", "PARENT_NOT_LIVE"]
    calling["who"] = manager()
    said = profiles_pb2.RejectInstitutionRequest(institution_id=group.institution_id, revision=1, remark="too few", reasons=["INCOMPLETE"])
    said.sections.add(section=profiles_pb2.SECTION_SEATS, reasons=["POST_WRONG"], remark="who is the president?")
    said.sections.add(section=profiles_pb2.SECTION_BASIC, accepted=True)
    back = made.RejectInstitution(said, None)
    assert (back.status, back.remark, list(back.reasons)) == (profiles_pb2.STATUS_REJECTED, "too few", ["POST_WRONG", "INCOMPLETE"])
    assert {(one.section, one.accepted, one.remark, *one.reasons) for one in back.reviews} == {
        (profiles_pb2.SECTION_SEATS, False, "who is the president?", "POST_WRONG"),
        (profiles_pb2.SECTION_BASIC, True, ""),
    }
    assert {seat.status for seat in back.seats} == {profiles_pb2.ROW_STATUS_REJECTED}


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
    assert given.evidence_of("", hers) is None
    assert given.evidence_of(attestation(hers), hers) == member.Evidence("token-1", 1985, "F")
    for token, code in (
        (attestation(uuid7()), "ATTESTATION_NOT_HERS"),
        (attestation(hers, purpose="users"), "ATTESTATION_INVALID"),
        (attestation(hers)[:-8] + "AAAAAAAA", "ATTESTATION_INVALID"),
        ("x", "ATTESTATION_INVALID"),
    ):
        assert code_of(given.evidence_of, token, hers) == code
    too_old = given.evidence_of(attestation(hers, timedelta(minutes=-2)), hers)
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
    assert land.find(5, "999111", date(2026, 4, 1)) == VILLAGE
    assert not any(place.startswith("10") for place in land.below(""))
    assert run(up, "geography", str(tmp_path), LOKOS_GEOGRAPHY_FILE=str(path)).returncode == 1
    assert path.read_bytes() == content
    assert "usage" in run(up, "--help").stdout


def test_the_operator_restates_to_whom_there_is(up):
    assert run(up, "restate", "--to", "nobody").returncode == 2
    assert "identity" in run(up, "restate", "--help").stdout
