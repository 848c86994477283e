"""Certificates by which UIDAI signs papers: proposed by one State Admin, confirmed by another, trusted for papers of a time, perhaps revoked."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from services.identity.rules.verified import Mode, TrustedCertificate
from services.kernel.caller import Caller
from services.kernel.errors import Conflict, Forbidden, Invalid

KINDS = (Mode.SECURE_QR, Mode.OFFLINE_EKYC)  # Papers of which a certificate may be trusted; each by a yes of its own.
CERTIFICATE_BYTES_MAX = 16 * 1024


class Status(StrEnum):
    PROPOSED = "PROPOSED"
    TRUSTED = "TRUSTED"
    REPLACED = "REPLACED"  # By a later yes to the same certificate, for other times.
    REVOKED = "REVOKED"


@dataclass(frozen=True, slots=True)
class Read:
    """What a certificate says of itself: SHA-256 of it, whose it is, and when it is valid."""

    fingerprint: str
    pem: str
    subject: str
    valid_from: datetime
    valid_until: datetime


@dataclass(frozen=True, slots=True)
class Certificate:
    """One proposal of a certificate for one kind of paper, and what became of it. Of several that were confirmed the newest stands."""

    certificate_id: UUID
    kind: Mode
    fingerprint: str
    pem: str
    subject: str
    valid_from: datetime
    valid_until: datetime
    trusted_from: datetime
    trusted_until: datetime
    added_by: str
    added_person: str
    added_at: datetime
    confirmed_by: str = ""
    confirmed_at: datetime | None = None
    replaced_at: datetime | None = None
    revoked_by: str = ""
    revoked_at: datetime | None = None
    revoke_reason: str = ""

    @property
    def status(self) -> Status:
        if self.revoked_at:
            return Status.REVOKED
        if self.replaced_at:
            return Status.REPLACED
        return Status.TRUSTED if self.confirmed_at else Status.PROPOSED

    @property
    def trusted(self) -> TrustedCertificate:
        return TrustedCertificate(self.pem, self.trusted_from, self.trusted_until)


def check_size(content: bytes) -> bytes:
    if not content:
        raise Invalid("CERTIFICATE_MISSING", "No certificate was sent.", field="certificate")
    if len(content) > CERTIFICATE_BYTES_MAX:
        raise Invalid(
            "CERTIFICATE_TOO_LARGE", "A certificate has at most {most} KiB; send one alone.", field="certificate", most=CERTIFICATE_BYTES_MAX >> 10
        )
    return content


def window(read: Read, trusted_from: datetime | None, trusted_until: datetime | None) -> tuple[datetime, datetime]:
    """For papers of which time it is to be trusted: those of its own validity, unless it is said otherwise, which the second admin sees too."""
    begins, ends = trusted_from or read.valid_from, trusted_until or read.valid_until
    if ends <= begins:
        raise Invalid("CERTIFICATE_WINDOW", "It must be trusted until a later time than from which.", field="trusted_until")
    return begins, ends


def check_confirm(proposed: Certificate, caller: Caller) -> None:
    """A second one says yes, who is somebody else (decision 10)."""
    if caller.user_id == proposed.added_by:
        raise Forbidden("OWN_ENTRY", "Nobody confirms what she proposed: another State Admin must.")
    caller.must_not_be(proposed.added_person)
    if proposed.status is not Status.PROPOSED:
        raise Conflict("CERTIFICATE_DECIDED", "This proposal is not open any more; look at the list.", field="certificate_id")


def revoked() -> Conflict:
    return Conflict("CERTIFICATE_REVOKED", "This certificate was revoked, and is never trusted again.", field="certificate")
