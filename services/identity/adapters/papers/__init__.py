"""Papers by which UIDAI says who she is. A child reads them (`__main__`), because strangers hand them in; here is who asks it.

What the child says is believed as far as it goes: it has seen the signature, and nobody else looks at the paper.
"""

import base64
import json
from collections.abc import Sequence
from datetime import date, datetime, time
from typing import Any

from cryptography.hazmat.primitives.serialization import Encoding

from services.chassis import child
from services.identity.adapters.papers.certificate import load
from services.identity.rules import verified
from services.identity.rules.certificate import Read
from services.identity.rules.verified import ADDRESS_PARTS, Mode, TrustedCertificate, VerifiedIdentity
from services.kernel.errors import Invalid
from services.kernel.month import IST

CONTENT_BYTES_MAX = 3 * 1024 * 1024  # Less than a call may hold (chassis.serve), so that who sends more is told so.
SECONDS_MAX, CPU_SECONDS_MAX = 10, 3  # A paper that is none of the honest ones takes a hundredth of it.
MEMORY_BYTES_MAX = 768 * 1024 * 1024
ANSWER_BYTES_MAX = 4 * 1024 * 1024
ANY_TIME = datetime(1900, 1, 1, tzinfo=IST)


def read_qr(content: bytes | str, trusted: Sequence[TrustedCertificate], *, mobile: str = "", email: str = "") -> VerifiedIdentity:
    """Who she is by the QR on a picture, or by its text. Raises Invalid: QR_*, EVIDENCE_*, CERTIFICATE_*."""
    answer = _qr(content, trusted)
    fields = answer["fields"]
    last4, _ = reference = verified.read_reference(fields["reference_id"])
    mobile_matches = (
        verified.mobile_ends_alike(fields["mobile_last4"] or "", mobile)
        if fields["mobile_hash"] is None
        else verified.contact_matches(fields["mobile_hash"], mobile, last4)
    )
    email_matches = verified.contact_matches(fields["email_hash"] or "", email, last4)
    return _identity(Mode.SECURE_QR, answer, reference, mobile_matches=mobile_matches, email_matches=email_matches)


def read_offline_ekyc(
    content: bytes, share_code: str, trusted: Sequence[TrustedCertificate], *, mobile: str = "", email: str = ""
) -> VerifiedIdentity:
    """Who she is by a file of Paperless Offline e-KYC. Raises Invalid: EKYC_FILE_*, EVIDENCE_*, CERTIFICATE_*."""
    answer = _ask("offline_ekyc", content, trusted, share_code=share_code)
    fields = answer["fields"]
    last4, _ = reference = verified.read_reference(fields["referenceId"])
    mobile_matches = verified.contact_matches(fields["m"], mobile, last4, share_code)
    email_matches = verified.contact_matches(fields["e"], email, last4, share_code)
    return _identity(Mode.OFFLINE_EKYC, answer, reference, mobile_matches=mobile_matches, email_matches=email_matches)


def _identity(mode: Mode, answer: dict[str, Any], reference: tuple[str, datetime], **matches: bool | None) -> VerifiedIdentity:
    """What both papers say under the same names."""
    fields, (last4, referenced_at) = answer["fields"], reference
    born_on, birth_year = verified.read_birth(fields["dob"])
    return VerifiedIdentity(
        mode=mode,
        name=fields["name"],
        born_on=born_on,
        birth_year=birth_year,
        gender=verified.read_gender(fields["gender"]),
        last4=last4,
        care_of=fields["careof"],
        address={part: fields[part] for part in ADDRESS_PARTS},
        referenced_at=referenced_at,
        photo=base64.b64decode(answer["portrait"]),
        signed_by=answer["signed_by"],
        **matches,
    )


def offline_ekyc_fields(content: bytes, share_code: str, trusted: Sequence[TrustedCertificate]) -> dict[str, Any]:
    """The fields as the file names them; the parts of an address as the QR does. Refusals as for `read_offline_ekyc`."""
    fields: dict[str, Any] = _ask("offline_ekyc", content, trusted, share_code=share_code)["fields"]
    return fields


def qr_fields(content: bytes | str, trusted: Sequence[TrustedCertificate]) -> tuple[dict[str, Any], bytes]:
    """The fields as the QR names them, and the portrait. Refusals as for `read_qr`."""
    answer = _qr(content, trusted)
    return answer["fields"], base64.b64decode(answer["portrait"])


def _qr(content: bytes | str, trusted: Sequence[TrustedCertificate]) -> dict[str, Any]:
    """A picture is read by one child, and its text by another: whoever took the first one over has said digits, and no more."""
    text = content if isinstance(content, str) else _ask("qr_text", content, ())["text"]
    return _ask("secure_qr", str(text).encode(errors="replace"), trusted)


def read_online(content: bytes, kind: str, trusted: Sequence[TrustedCertificate] = (), **more: str) -> dict[str, Any]:
    """What an answer of UIDAI's online services says (uidai.py). Raises Invalid: EKYC_ANSWER_*, EVIDENCE_*."""
    return _ask(f"online_{kind}", content, trusted, **more)


def read_certificate(content: bytes) -> Read:
    """What a certificate says of itself that somebody proposes. Raises Invalid: CERTIFICATE_*, EVIDENCE_UNREADABLE."""
    said = _ask("certificate", content, ())
    valid = {name: datetime.fromisoformat(said[name]) for name in ("valid_from", "valid_until")}
    return Read(said["fingerprint"], said["pem"], said["subject"], **valid)


def trusted_certificate(content: bytes, trusted_from: date | None = None, trusted_until: date | None = None) -> TrustedCertificate:
    """A certificate that the caller vouches for, for papers of those days; without them of any day up to its own end."""
    certificate = load(content, "trust")
    begins = datetime.combine(trusted_from, time.min, IST) if trusted_from else ANY_TIME
    ends = datetime.combine(trusted_until, time.max, IST) if trusted_until else certificate.not_valid_after_utc
    return TrustedCertificate(certificate.public_bytes(Encoding.PEM).decode(), begins, ends)


def _ask(kind: str, content: bytes, trusted: Sequence[TrustedCertificate], **more: str) -> dict[str, Any]:
    if not content:
        raise Invalid("EVIDENCE_MISSING", "Nothing was sent to verify her by.", field="content")
    if len(content) > CONTENT_BYTES_MAX:
        raise Invalid("EVIDENCE_TOO_LARGE", "What was sent is larger than {most} MiB.", field="content", most=CONTENT_BYTES_MAX >> 20)
    certificates = [(one.pem, one.trusted_from.isoformat(), one.trusted_until.isoformat()) for one in trusted]
    request = {"kind": kind, "content": base64.b64encode(content).decode(), "trusted": certificates, **more}
    limits = {"seconds": SECONDS_MAX, "cpu_seconds": CPU_SECONDS_MAX, "memory_bytes": MEMORY_BYTES_MAX, "output_bytes_max": ANSWER_BYTES_MAX}
    answer = child.ask(__name__, json.dumps(request).encode(), **limits)
    if answer is None:
        raise Invalid("EVIDENCE_UNREADABLE", "What was sent cannot be read; send it anew, or enter her details by hand.", field="content")
    return answer
