"""Signed papers over real processes: from the device to identity, profiles and the duplicate check; and members who have none."""

from datetime import UTC, date, datetime
from uuid import uuid4

import pytest

from deploy.demo import books, cast
from protos import identity_pb2, profiles_pb2
from services.kernel.ids import uuid7
from tests.flows.world import database, make_groups, strange_name
from tests.identity.papers import made
from tests.identity.papers import made_offline as offline

pytestmark = [pytest.mark.flow, pytest.mark.timeout(300)]

POTENTIAL = profiles_pb2.VERDICT_POTENTIAL
PURPOSES = {"SECURE_QR": "AADHAAR_QR", "OFFLINE_EKYC": "AADHAAR_OFFLINE"}
SHARE_CODE = "Ab1d"


@pytest.fixture(scope="module")
def groups(world):
    return make_groups(world, world.up, 2)


@pytest.fixture(scope="module")
def second_admin(world):
    """Another woman who is a State Admin too; of this run alone."""
    nation, state, tag = world.nation, world.up, uuid4().hex[:6].upper()
    mobile = f"7{uuid4().int % 10**9:09}"
    invited = identity_pb2.InviteStateAdminRequest(state="UP", full_name="Second Admin", mobile=mobile)
    invitation = nation.admin(nation.admin.identity.InviteStateAdmin, invited).invitation
    user_id, nobody = state.user_id(f"SA{tag}"), state.nobody()
    redeemed = identity_pb2.RedeemInvitationRequest(invitation=invitation, user_id=user_id, password=cast.password(user_id))
    nobody(nobody.identity.RedeemInvitation, redeemed)
    return state.client(f"SA{tag}", "STATE_ADMIN")


@pytest.fixture(scope="module")
def signer(world, second_admin):
    """The name of a key of this run alone, whose certificate both admins trust for both kinds of paper."""
    name, admin = f"UIDAI, in jest {uuid4()}", world.up.admin
    for kind in ("SECURE_QR", "OFFLINE_EKYC"):
        request = identity_pb2.ProposeCertificateRequest(kind=f"CERTIFICATE_KIND_{kind}", certificate=made.pem(name))
        proposed = admin(admin.identity.ProposeCertificate, request)
        yes = identity_pb2.ConfirmCertificateRequest(certificate_id=proposed.certificate_id)
        assert books.refusal_of(lambda yes=yes: admin(admin.identity.ConfirmCertificate, yes)).code == "OWN_ENTRY"
        trusted = second_admin(second_admin.identity.ConfirmCertificate, yes)
        assert trusted.status == identity_pb2.CERTIFICATE_STATUS_TRUSTED
    yield name
    revoked = identity_pb2.RevokeCertificateRequest(fingerprint=trusted.fingerprint, reason="The test is over")
    admin(admin.identity.RevokeCertificate, revoked)


class Resident:
    """An invented woman whose papers are made here; her number begins with 0, and nobody has it whole."""

    def __init__(self, signer):
        self.signer, self.name, self.last4 = signer, strange_name(), f"{uuid4().int % 10**4:04}"

    def reference(self):
        return f"{self.last4}{datetime.now(UTC):%Y%m%d%H%M%S}{uuid4().int % 1000:03}"

    def qr(self):
        signed = made.signed_part(reference_id=self.reference(), name=self.name)
        return made.digits(made.packed(made.sealed(signed, self.signer)))

    def file(self):
        document = offline.document(SHARE_CODE, self.reference(), name=self.name)
        return offline.zipped(offline.xml(document, self.signer), SHARE_CODE)


def verify(group, member_id, **paper):
    """Her consent, then the paper."""
    keeper = group.keeper
    mode = "OFFLINE_EKYC" if "file" in paper else "SECURE_QR"
    agreed = cast.consent(keeper, member_id, group.institution_id, PURPOSES[mode])
    key = {"member_id": member_id, "consent_id": agreed.consent_id}
    if mode == "SECURE_QR":
        return keeper(keeper.identity.VerifySecureQr, identity_pb2.VerifySecureQrRequest(**key, **paper))
    return keeper(keeper.identity.VerifyOfflineEkyc, identity_pb2.VerifyOfflineEkycRequest(**key, **paper))


def enrol(group, name, shown=None, member_id=None, **changes):
    """Hand a new woman in, as the device makes her; the answer once she has been compared."""
    member = profiles_pb2.Member(
        member_id=member_id or str(uuid7()),
        institution_id=group.institution_id,
        name=name,
        gender="FEMALE",
        birth_year=1985,
        relation="SPOUSE",
        relation_name=strange_name(),
        social_category="OBC",
        joined_on=date(2016, 1, 1).isoformat(),
        **changes,
    )
    books.submit(group.keeper, member, shown.attestation if shown else "")
    return books.screened(group.state.manager, member.member_id, 1)


def test_two_papers_of_one_woman_are_found_and_a_supervisor_decides(world, groups, signer):
    resident, ids = Resident(signer), [str(uuid7()) for _ in groups]
    by_qr = verify(groups[0], ids[0], text=resident.qr(), mobile=made.MOBILE)
    assert (by_qr.name, by_qr.born_on, by_qr.number_masked, by_qr.mobile_matches) == (
        resident.name,
        "1985-02-01",
        f"XXXX XXXX {resident.last4}",
        True,
    )
    one = enrol(groups[0], resident.name, by_qr, ids[0], born_on="1985-02-01")
    assert (one.aadhaar.mode, one.aadhaar.number_masked, one.identity_verified) == ("SECURE_QR", by_qr.number_masked, False)
    assert list(one.identity_notes) == []
    # Elsewhere, under a name that sounds otherwise: her file says who she is.
    file = resident.file()
    wrong = books.refusal_of(lambda: verify(groups[1], ids[1], file=file, share_code="0000"))
    assert (wrong.code, wrong.field) == ("EKYC_FILE_SHARE_CODE_WRONG", "share_code")
    by_file = verify(groups[1], ids[1], file=file, share_code=SHARE_CODE, mobile=made.MOBILE)
    assert (by_file.mode, by_file.name, by_file.mobile_matches) == ("OFFLINE_EKYC", resident.name, True)
    other = enrol(groups[1], strange_name(), by_file, ids[1])
    assert list(other.identity_notes) == ["NAME"]
    [found] = [finding for finding in other.findings if finding.other_member_id == one.member_id]
    assert (found.verdict, found.override) == (POTENTIAL, profiles_pb2.OVERRIDE_SUPERVISOR)
    assert "SAME_PAPER" in {clue.code for clue in found.clue_list}
    manager, supervisor = world.up.manager, world.up.reader
    assert books.refusal_of(lambda: books.approve(manager, other, reason="Her sister")).code == "FINDING_NEEDS_SUPERVISOR"
    shown = supervisor(supervisor.profiles.CompareMembers, profiles_pb2.CompareMembersRequest(member_id=other.member_id, finding_id=found.finding_id))
    assert {field.field: field.agreement for field in shown.fields}["paper"] == profiles_pb2.AGREEMENT_SAME
    assert books.approve(manager, other, "Her twin", supervisor).code


def test_one_paper_is_one_womans_and_who_has_none_left_is_enrolled_without(world, groups, signer):
    resident, ids = Resident(signer), [str(uuid7()) for _ in groups]
    text = resident.qr()
    first = verify(groups[0], ids[0], text=text)
    assert verify(groups[0], ids[0], text=text).evidence_id != first.evidence_id
    assert books.refusal_of(lambda: verify(groups[1], ids[1], text=text)).code == "EVIDENCE_USED"
    assert books.refusal_of(lambda: verify(groups[1], ids[1], text=made.legacy_xml())).code == "QR_UNSIGNED"
    file = {"file": resident.file(), "share_code": SHARE_CODE}
    assert verify(groups[0], ids[0], **file).number_masked == first.number_masked
    assert books.refusal_of(lambda: verify(groups[1], ids[1], **file)).code == "EVIDENCE_USED"
    without = enrol(groups[1], strange_name(), member_id=ids[1])
    assert without.aadhaar.status == profiles_pb2.AADHAAR_STATUS_NONE
    assert books.approve(world.up.manager, without).code


def test_whoever_has_another_document_or_none_is_screened_and_approved(world, groups):
    voter = [profiles_pb2.Document(row_id=str(uuid7()), kind="VOTER_ID", number=f"ZZZ{uuid4().int % 10**7:07}")]
    by_voter_card = enrol(groups[0], strange_name(), documents=voter)
    by_nothing = enrol(groups[0], strange_name(), no_document_reason="NEVER_HAD")
    for member in (by_voter_card, by_nothing):
        assert (member.verdict, member.aadhaar.status) == (profiles_pb2.VERDICT_CLEAR, profiles_pb2.AADHAAR_STATUS_NONE)
        assert books.approve(world.up.manager, member).code
    assert by_nothing.no_document_reason == "NEVER_HAD"
    again = [profiles_pb2.Document(row_id=str(uuid7()), kind="VOTER_ID", number=voter[0].number)]
    double = enrol(groups[1], strange_name(), documents=again)
    [found] = [finding for finding in double.findings if finding.other_member_id == by_voter_card.member_id]
    assert found.override == profiles_pb2.OVERRIDE_SUPERVISOR


def test_of_what_a_paper_says_identity_keeps_nothing(world, groups, signer):
    resident, member_id = Resident(signer), str(uuid7())
    verify(groups[0], member_id, text=resident.qr())
    with database(world.up, "identity") as kept:
        tables = [row[0] for row in kept.execute("select tablename from pg_tables where schemaname = 'identity'").fetchall()]
        assert "evidence" in tables
        holding = [table for table in tables if kept.execute(f"select 1 from {table} t where t::text like %s", [f"%{resident.name}%"]).fetchone()]
    assert holding == []
    for program in world.machine.programs:
        for log in world.machine.log_files(program):
            assert resident.name not in log.read_text(errors="replace"), program
