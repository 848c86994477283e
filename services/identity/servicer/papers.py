"""gRPC in: papers that UIDAI signed, and the certificates by which they are believed."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any

import grpc

from protos import identity_pb2
from services.chassis.interceptors import caller
from services.identity import queries
from services.identity.adapters import papers
from services.identity.commands import certificate, evidence
from services.identity.rules import certificate as rules
from services.identity.rules.certificate import Certificate
from services.identity.rules.consent import missing
from services.identity.rules.kyc import mask
from services.identity.rules.user import check_reason
from services.identity.rules.verified import Mode, TrustedCertificate, VerifiedIdentity
from services.identity.servicer.show import here, moment, stamp, transaction
from services.kernel.errors import Conflict, Exhausted, Invalid
from services.kernel.ids import parse_id
from services.kernel.phone import check_mobile

Context = grpc.ServicerContext
Request = identity_pb2.VerifySecureQrRequest | identity_pb2.VerifyOfflineEkycRequest
Reader = Callable[[Sequence[TrustedCertificate], str, str], VerifiedIdentity]


class Papers:
    """Reads the request, asks a child to read the paper, runs a command, shows the answer."""

    _fingerprint_key: bytes

    def VerifySecureQr(self, request: identity_pb2.VerifySecureQrRequest, _context: Context) -> identity_pb2.VerifiedPaper:
        field = request.WhichOneof("paper") or "text"
        content: str | bytes = request.image if field == "image" else request.text
        return self._verify(
            request, Mode.SECURE_QR, field, lambda trusted, mobile, email: papers.read_qr(content, trusted, mobile=mobile, email=email)
        )

    def VerifyOfflineEkyc(self, request: identity_pb2.VerifyOfflineEkycRequest, _context: Context) -> identity_pb2.VerifiedPaper:
        file, code = request.file, request.share_code
        return self._verify(
            request,
            Mode.OFFLINE_EKYC,
            "file",
            lambda trusted, mobile, email: papers.read_offline_ekyc(file, code, trusted, mobile=mobile, email=email),
        )

    def _verify(self, request: Request, mode: Mode, field: str, read: Reader) -> identity_pb2.VerifiedPaper:
        member_id = parse_id(request.member_id, "member_id")
        if not request.consent_id:
            raise missing()
        consent_id = parse_id(request.consent_id, "consent_id")
        mobile, email = check_mobile(request.mobile, "mobile", needed=False), request.email.strip()
        with transaction() as connection:
            trusted = evidence.begin(connection, caller(), member_id, consent_id, mode, self._fingerprint_key, datetime.now(UTC))
        try:
            said = read(trusted, mobile, email)  # Outside of any transaction: it takes its time.
        except Exhausted:
            self._give_back_try()
            raise
        except Invalid as refused:
            if refused.code == "CERTIFICATES_MISSING":
                self._give_back_try()
            # What an unsigned QR holds stays with the device, which has read it too.
            params = refused.params if refused.code != "QR_UNSIGNED" else {}
            raise Invalid(refused.code, refused.sentence, field=field if refused.field == "content" else refused.field, **params) from None
        try:
            with transaction() as connection:
                evidence_id, attestation = evidence.keep(
                    connection, caller(), member_id, consent_id, said, here(), self._fingerprint_key, datetime.now(UTC)
                )
        except Conflict:  # The paper is good; what speaks against it is not hers to try out.
            self._give_back_try()
            raise
        return identity_pb2.VerifiedPaper(
            attestation=attestation,
            evidence_id=str(evidence_id),
            mode=said.mode.value,
            name=said.name,
            born_on=said.born_on.isoformat() if said.born_on else "",
            birth_year=said.birth_year,
            gender=said.gender,
            number_masked=mask(said.last4),
            care_of=said.care_of,
            address={part: text for part, text in said.address.items() if text},
            photo=said.photo,
            mobile_matches=said.mobile_matches,
            email_matches=said.email_matches,
            referenced_at=stamp(said.referenced_at),
        )

    def _give_back_try(self) -> None:
        with transaction() as connection:
            evidence.give_back_try(connection, self._fingerprint_key, caller().user_id)

    def ProposeCertificate(self, request: identity_pb2.ProposeCertificateRequest, _context: Context) -> identity_pb2.Certificate:
        kind, content = _kind(request.kind), rules.check_size(request.certificate)
        begins, ends = (moment(request, name) for name in ("trusted_from", "trusted_until"))
        read = papers.read_certificate(content)
        with transaction() as connection:
            return _show(certificate.propose(connection, caller(), kind, read, begins, ends, datetime.now(UTC)))

    def ConfirmCertificate(self, request: identity_pb2.ConfirmCertificateRequest, _context: Context) -> identity_pb2.Certificate:
        certificate_id = parse_id(request.certificate_id, "certificate_id")
        with transaction() as connection:
            return _show(certificate.confirm(connection, caller(), certificate_id, datetime.now(UTC)))

    def RevokeCertificate(self, request: identity_pb2.RevokeCertificateRequest, _context: Context) -> identity_pb2.ListCertificatesResponse:
        fingerprint, reason = request.fingerprint.lower(), check_reason(request.reason)
        with transaction() as connection:
            revoked = certificate.revoke(connection, caller(), fingerprint, reason, datetime.now(UTC))
        return identity_pb2.ListCertificatesResponse(certificates=map(_show, revoked))

    def ListCertificates(self, _request: identity_pb2.ListCertificatesRequest, _context: Context) -> identity_pb2.ListCertificatesResponse:
        with transaction() as connection:
            held = queries.certificates(connection)
        return identity_pb2.ListCertificatesResponse(certificates=map(_show, held))


def _kind(number: int) -> Mode:
    known = {identity_pb2.CertificateKind.Value(f"CERTIFICATE_KIND_{one}"): one for one in rules.KINDS}
    if number not in known:
        raise Invalid("CERTIFICATE_KIND", "A certificate signs Secure QRs or files of Offline e-KYC; say which.", field="kind")
    return known[number]


def _show(one: Certificate) -> identity_pb2.Certificate:
    texts = ("fingerprint", "pem", "subject", "added_by", "confirmed_by", "revoked_by", "revoke_reason")
    moments = ("valid_from", "valid_until", "trusted_from", "trusted_until", "added_at", "confirmed_at", "revoked_at")
    said: dict[str, Any] = {name: getattr(one, name) for name in texts} | {name: stamp(getattr(one, name)) for name in moments}
    return identity_pb2.Certificate(
        certificate_id=str(one.certificate_id),
        kind=f"CERTIFICATE_KIND_{one.kind}",
        status=f"CERTIFICATE_STATUS_{one.status}",
        **said,
    )
