"""e-KYC: which numbers can be numbers at all, and how long and how often a one-time password may be tried."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from services.kernel.codes import is_checked
from services.kernel.errors import Conflict, Invalid

NUMBER_LENGTH = 12
KYC_LIFE = timedelta(minutes=10)
ATTESTATION_LIFE = timedelta(hours=24)
UNCONFIRMED_KEPT = timedelta(days=1)
TRIES_MAX = 3


@dataclass(frozen=True, slots=True)
class Kyc:
    """An e-KYC under way; `reference` is the vault's, `provider_txn` the provider's."""

    kyc_id: UUID
    member_id: UUID
    reference: UUID
    provider_txn: str
    expires_at: datetime
    tries: int
    confirmed: bool
    consent_id: UUID | None = None  # None of one from before consents were recorded.


def check_number(number: str, *, never_issued_too: bool) -> str:
    """The number itself. A first digit of 0 or 1 is never issued, and so is what a sandbox knows, and nobody else."""
    right = len(number) == NUMBER_LENGTH and is_checked(number) and (never_issued_too or number[0] not in "01")
    if not right:
        raise Invalid("AADHAAR_INVALID", "This is no Aadhaar number; a digit may be wrong.", field="aadhaar_number")
    return number


def mask(number: str) -> str:
    return f"XXXX XXXX {number[-4:]}"


def check_try(kyc: Kyc, now: datetime) -> None:
    """Refuse one more try where the time is over, the tries are used up, or it was confirmed already."""
    if kyc.confirmed or kyc.tries >= TRIES_MAX or kyc.expires_at <= now:
        raise Conflict("KYC_EXPIRED", "This verification is over; start it again.", field="kyc_id")
