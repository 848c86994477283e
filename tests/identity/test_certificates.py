"""The trust store: two State Admins' yes, and one's no; on a real database, and a child that reads what they hand in."""

import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding

from protos import identity_pb2
from services.chassis import interceptors
from services.identity import queries
from services.identity.adapters import papers
from services.identity.commands import certificate
from services.identity.rules.certificate import Read, Status
from services.identity.rules.verified import Mode
from services.identity.servicer import Servicer
from services.kernel.caller import Caller, Role
from services.kernel.errors import Refused
from services.kernel.ids import uuid7
from tests.identity.builders import audited
from tests.identity.papers import made

SERVICE = "identity"
NOW = datetime(2026, 7, 1, 12, tzinfo=UTC)
BEGINS, ENDS = datetime(2021, 1, 1, tzinfo=UTC), datetime(2024, 1, 1, tzinfo=UTC)
ADMIN, SECOND = (Caller(f"IUP_{name}", Role.STATE_ADMIN, "9", person=name) for name in ("FIRST", "SECOND"))
QR, OFFLINE = Mode.SECURE_QR, Mode.OFFLINE_EKYC


def code_of(call, *arguments, **named):
    with pytest.raises(Refused) as refused:
        call(*arguments, **named)
    return refused.value.code


def read(**changes):
    plain = {"fingerprint": uuid4().hex * 2, "pem": "PEM", "subject": "CN=UIDAI", "valid_from": BEGINS, "valid_until": ENDS}
    return Read(**plain | changes)


def propose(connection, of, kind=QR, begins=None, ends=None, who=ADMIN):
    return certificate.propose(connection, who, kind, of, begins, ends, NOW)


def confirm(connection, proposed, who=SECOND):
    return certificate.confirm(connection, who, proposed.certificate_id, NOW)


def windows(connection, of, kind=QR):
    return [(one.trusted_from, one.trusted_until) for one in queries.trusted_certificates(connection, kind) if one.fingerprint == of.fingerprint]


def test_a_certificate_is_trusted_by_two_and_for_one_kind_of_paper(connection):
    of = read()
    proposed = propose(connection, of)
    assert (proposed.status, windows(connection, of)) == (Status.PROPOSED, [])
    for who in (ADMIN, Caller("IUP_OTHER", Role.STATE_ADMIN, "9", person="FIRST"), Caller("IUP_OTHER", Role.STATE_ADMIN, "9", persons={"FIRST"})):
        assert code_of(confirm, connection, proposed, who) == "OWN_ENTRY"
    assert windows(connection, of) == []
    confirmed = confirm(connection, proposed)
    assert (confirmed.status, confirmed.confirmed_by) == (Status.TRUSTED, "IUP_SECOND")
    assert windows(connection, of) == [(BEGINS, ENDS)]
    assert windows(connection, of, OFFLINE) == []
    assert [row.action for row in audited(connection)[:2]] == ["certificate.confirm", "certificate.propose"]


def test_the_same_again_changes_nothing(connection):
    of = read()
    proposed = propose(connection, of)
    assert propose(connection, of, who=SECOND) == proposed  # Whose yes it still needs.
    confirmed = confirm(connection, proposed)
    assert confirm(connection, proposed) == confirmed == propose(connection, of)
    assert code_of(confirm, connection, proposed, Caller("IUP_THIRD", Role.STATE_ADMIN, "9")) == "CERTIFICATE_DECIDED"
    assert len(queries.certificates(connection, of.fingerprint)) == 1


def test_other_times_need_another_yes_and_until_then_the_old_ones_stand(connection):
    of = read()
    confirm(connection, propose(connection, of))
    wider = propose(connection, of, ends=ENDS + timedelta(days=365))
    assert windows(connection, of) == [(BEGINS, ENDS)]
    confirm(connection, wider)
    assert windows(connection, of) == [(BEGINS, ENDS + timedelta(days=365))]
    confirm(connection, propose(connection, of, begins=BEGINS + timedelta(days=1)))
    assert windows(connection, of) == [(BEGINS + timedelta(days=1), ENDS)]
    assert [one.status for one in queries.certificates(connection, of.fingerprint)] == [Status.TRUSTED, Status.REPLACED, Status.REPLACED]
    assert code_of(propose, connection, of, begins=ENDS, ends=BEGINS) == "CERTIFICATE_WINDOW"


def test_what_was_revoked_is_never_trusted_again(connection):
    of = read()
    confirm(connection, propose(connection, of))
    confirm(connection, propose(connection, of, OFFLINE))
    open_one = propose(connection, of, ends=ENDS + timedelta(days=1))
    revoked = certificate.revoke(connection, SECOND, of.fingerprint, "The key is in wrong hands", NOW)
    assert {one.status for one in revoked} == {Status.REVOKED}
    assert (windows(connection, of), windows(connection, of, OFFLINE)) == ([], [])
    assert code_of(confirm, connection, open_one) == "CERTIFICATE_REVOKED"
    assert code_of(propose, connection, of, begins=ENDS - timedelta(days=1)) == "CERTIFICATE_REVOKED"
    assert certificate.revoke(connection, ADMIN, of.fingerprint, "Again", NOW) == revoked
    assert audited(connection)[0].action == "certificate.revoke"


def test_who_names_none_revokes_none(connection):
    of = read()
    confirm(connection, propose(connection, of))
    for fingerprint in ("", "0" * 64):
        assert code_of(certificate.revoke, connection, SECOND, fingerprint, "By mistake", NOW) == "CERTIFICATE_UNKNOWN"
    assert code_of(certificate.confirm, connection, SECOND, uuid7(), NOW) == "CERTIFICATE_UNKNOWN"
    assert windows(connection, of) == [(BEGINS, ENDS)]


# --- What a certificate says of itself, read by the child.


def signed_by(key, name="No RSA"):
    subject = x509.Name([x509.NameAttribute(x509.oid.NameOID.COMMON_NAME, name)])
    built = x509.CertificateBuilder(subject, subject, key.public_key(), x509.random_serial_number(), BEGINS, ENDS)
    return built.sign(key, SHA256()).public_bytes(Encoding.PEM)


DER = x509.load_pem_x509_certificate(made.pem()).public_bytes(Encoding.DER)


def test_a_certificate_is_read_as_it_is_and_nothing_around_it():
    pem = made.pem()
    found = papers.read_certificate(b"Bag Attributes\n" + pem + b"and more\n")
    assert found == papers.read_certificate(pem) == papers.read_certificate(DER)
    assert found.fingerprint == x509.load_pem_x509_certificate(pem).fingerprint(SHA256()).hex()
    assert (found.pem.encode(), found.subject, found.valid_from, found.valid_until) == (pem, "CN=UIDAI\\, in jest", made.BEGINS, made.ENDS)


@pytest.mark.parametrize(
    "content",
    [
        b"x",
        b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
        made.pem() + made.pem("Another"),
        DER[:-1],
        DER + made.pem(),
        signed_by(ec.generate_private_key(ec.SECP256R1())),
        signed_by(rsa.generate_private_key(65537, 1024)),
    ],
    ids=["nothing", "no certificate", "two", "DER cut short", "DER and more", "no RSA", "a short key"],
)
def test_what_is_no_certificate_that_papers_may_be_signed_by_is_refused(content):
    assert code_of(papers.read_certificate, content) == "CERTIFICATE_UNREADABLE"


def test_two_state_admins_over_the_wire(up):
    serving, name = Servicer(), f"UIDAI {uuid4()}"
    ask = {"kind": "CERTIFICATE_KIND_SECURE_QR", "certificate": made.pem(name)}
    interceptors._caller.set(ADMIN)
    for wrong, code in (
        ({"kind": 0}, "CERTIFICATE_KIND"),
        ({"certificate": b""}, "CERTIFICATE_MISSING"),
        ({"certificate": made.pem() + b" " * 2**14}, "CERTIFICATE_TOO_LARGE"),
    ):
        assert code_of(serving.ProposeCertificate, identity_pb2.ProposeCertificateRequest(**ask | wrong), None) == code
    request = identity_pb2.ProposeCertificateRequest(**ask)
    request.trusted_until.FromDatetime(ENDS)
    proposed = serving.ProposeCertificate(request, None)
    assert (proposed.status, proposed.trusted_until.ToDatetime(UTC)) == (identity_pb2.CERTIFICATE_STATUS_PROPOSED, ENDS)
    assert proposed.valid_until.ToDatetime(UTC) == made.ENDS
    interceptors._caller.set(SECOND)
    confirmed = serving.ConfirmCertificate(identity_pb2.ConfirmCertificateRequest(certificate_id=proposed.certificate_id), None)
    assert (confirmed.status, confirmed.confirmed_by) == (identity_pb2.CERTIFICATE_STATUS_TRUSTED, "IUP_SECOND")
    listed = subprocess.run(
        [sys.executable, "-m", "services.identity", "certificates"],
        cwd=Path(__file__).parents[2],
        env=dict(up.instances["UP"].env),
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    [line] = [line for line in listed.splitlines() if proposed.fingerprint in line]
    assert line.startswith("TRUSTED  SECURE_QR")
    assert "2020-01-01 to 2024-01-01" in line
    assert code_of(serving.RevokeCertificate, identity_pb2.RevokeCertificateRequest(fingerprint=proposed.fingerprint), None) == "REASON_MISSING"
    answer = serving.RevokeCertificate(identity_pb2.RevokeCertificateRequest(fingerprint=proposed.fingerprint.upper(), reason="A test"), None)
    assert [one.status for one in answer.certificates] == [identity_pb2.CERTIFICATE_STATUS_REVOKED]
    held = serving.ListCertificates(identity_pb2.ListCertificatesRequest(), None).certificates
    assert [one.revoke_reason for one in held if one.fingerprint == proposed.fingerprint] == ["A test"]
