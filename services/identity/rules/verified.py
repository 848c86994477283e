"""Who she is, by a paper or a service of UIDAI that proves it: one form whatever the way, and never the number."""

import hmac
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from enum import StrEnum
from hashlib import sha256
from ssl import PEM_cert_to_DER_cert

from services.kernel.errors import Invalid
from services.kernel.month import IST, YEAR_MIN

GENDERS = frozenset("FMT")
# The parts of an address, in the order in which they are written on a letter. The relative in whose care she is stands apart.
ADDRESS_PARTS = ("house", "street", "landmark", "location", "vtc", "postoffice", "subdistrict", "district", "state", "pincode")

_REFERENCE = re.compile(r"([0-9]{4})([0-9]{4})([0-9]{2})([0-9]{2})([0-9]{2})([0-9]{2})([0-9]{2})([0-9]{3})")
_DAY = re.compile(r"([0-9]{2})[-/]([0-9]{2})[-/]([0-9]{4})")
_FOUR = re.compile(r"[0-9]{4}")


class Mode(StrEnum):
    """How it was proved. The first two carry no number and give no identity token (decision 1)."""

    SECURE_QR = "SECURE_QR"
    OFFLINE_EKYC = "OFFLINE_EKYC"
    ONLINE_EKYC = "ONLINE_EKYC"


@dataclass(frozen=True, slots=True, repr=False)
class VerifiedIdentity:
    """What is proved of her. It has no field for the number, and does not print itself into a log.

    `born_on` is None where UIDAI knows the year alone. `referenced_at` is when UIDAI made the paper or the answer. A contact matches, does
    not, or (None) there is nothing to compare. `photo` is PNG or JPEG, or empty.
    """

    mode: Mode
    name: str
    born_on: date | None
    birth_year: int
    gender: str
    last4: str
    care_of: str
    address: Mapping[str, str]
    referenced_at: datetime
    mobile_matches: bool | None
    email_matches: bool | None
    photo: bytes
    signed_by: str = ""  # The fingerprint of the certificate that a paper is signed by.


@dataclass(frozen=True, slots=True)
class TrustedCertificate:
    """A certificate (PEM) by which UIDAI signs, and for papers of which time it is trusted, both ends included."""

    pem: str
    trusted_from: datetime
    trusted_until: datetime

    @property
    def fingerprint(self) -> str:
        return sha256(PEM_cert_to_DER_cert(self.pem)).hexdigest()

    def covers(self, moment: datetime) -> bool:
        return self.trusted_from <= moment <= self.trusted_until


def read_reference(reference_id: str) -> tuple[str, datetime]:
    """The last four digits of the number, and the moment in IST, of a reference id such as 1234 2024-02-15 10:30:15.123, digits alone."""
    found = _REFERENCE.fullmatch(reference_id)
    try:
        if found:
            last4, *parts, milliseconds = found.groups()
            return last4, datetime(*map(int, parts), tzinfo=IST) + timedelta(milliseconds=int(milliseconds))  # type: ignore[misc, arg-type]  # six
    except ValueError:
        pass
    raise Invalid("EVIDENCE_REFERENCE_INVALID", "The reference id on it cannot be read.", field="reference_id")


def read_birth(text: str) -> tuple[date | None, int]:
    """The date of birth where it is there, and the year, of 31-12-1979, 31/12/1979 or 1979."""
    try:
        if found := _DAY.fullmatch(text):
            day, month, year = map(int, found.groups())
            born_on: date | None = date(year, month, day)
        else:
            born_on, year = None, int(text) if _FOUR.fullmatch(text) else 0
        if year >= YEAR_MIN:
            return born_on, year
    except ValueError:
        pass
    raise Invalid("EVIDENCE_BIRTH_INVALID", "The date of birth on it cannot be read.", field="dob")


def read_gender(text: str) -> str:
    """F, M or T."""
    if text not in GENDERS:
        raise Invalid("EVIDENCE_GENDER_INVALID", "The gender on it cannot be read.", field="gender")
    return text


def contact_hash(value: str, last4: str, share_code: str = "") -> str:
    """UIDAI's hash of a mobile number or e-mail address: SHA-256 over the hex of the one before, as often as the number's last digit says.

    Ten thousand million mobile numbers are soon tried: whoever has the hash has the number, so it is never kept.
    """
    said = value + share_code
    for _ in range(max(1, int(last4[-1]))):
        said = sha256(said.encode()).hexdigest()
    return said


def contact_matches(said: str, value: str, last4: str, share_code: str = "") -> bool | None:
    """Whether the hash is that of the mobile number or e-mail address given; None where one of them is not there."""
    absent = contact_hash("", last4, share_code)  # Some papers hash what is not there.
    if not said or not value or hmac.compare_digest(said.encode(), absent.encode()):
        return None
    spellings = {value, value.lower()}  # Nobody says how UIDAI writes an e-mail address.
    return any(hmac.compare_digest(said.encode(), contact_hash(one, last4, share_code).encode()) for one in sorted(spellings))


def mobile_ends_alike(said: str, mobile: str) -> bool | None:
    """Whether the mobile number ends as the paper says, which shows its last four digits, masked or alone; None where one is not there."""
    if not _FOUR.fullmatch(said[-4:]) or not mobile:
        return None
    return hmac.compare_digest(said[-4:].encode(), mobile[-4:].encode())
