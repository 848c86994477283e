"""Evidence by a signed paper: for whom and until when it counts, and what of it is attested."""

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from services.identity.rules.consent import CLOCK_SLACK
from services.identity.rules.session import Slowing, keyed
from services.identity.rules.verified import Mode, VerifiedIdentity
from services.kernel.errors import Conflict
from services.kernel.month import business_date
from services.kernel.names import name_key

# Of papers that could not be verified, and of contacts that were not hers: so that nobody tries out share codes or mobile numbers.
OF_PAPERS = Slowing(20, timedelta(seconds=2), timedelta(minutes=1))
FIELDS = {Mode.SECURE_QR: "text", Mode.OFFLINE_EKYC: "file"}
# The policy that says how many days old a paper may be; 0 for any age.
DAYS_MAX = {Mode.SECURE_QR: "secure_qr_days_max", Mode.OFFLINE_EKYC: "offline_ekyc_days_max"}


def tries_of(key: bytes, user_id: str) -> dict[bytes, Slowing]:
    return {keyed(key, "papers", user_id): OF_PAPERS}


def fingerprint(key: bytes, said: VerifiedIdentity) -> str:
    """What two papers of one woman have in common, and hardly two women; no token of her number (decision 1), and a guess without the key.

    Fold and date are those of the paper: whoever changes how names are folded makes earlier papers look like another woman's.
    """
    born = said.born_on.isoformat() if said.born_on else str(said.birth_year)
    return keyed(key, "fingerprint", f"{said.last4} {born} {said.gender} {name_key(said.name).fold}").hex()


def reference_key(key: bytes, said: VerifiedIdentity) -> bytes:
    """The paper itself, by its reference id: last four digits and the moment at which UIDAI made it."""
    return keyed(key, "reference", f"{said.mode} {said.last4} {said.referenced_at.isoformat()}")


def check_age(said: VerifiedIdentity, days_max: int, now: datetime) -> None:
    field = FIELDS[said.mode]
    if said.referenced_at > now + CLOCK_SLACK:
        raise Conflict("EVIDENCE_IN_FUTURE", "This paper is dated in the future; enter her without it, and tell your officer.", field=field)
    if days_max and now - said.referenced_at > timedelta(days=days_max):
        old = "This paper is older than {days} days; have a new one made, or enter her without it."
        raise Conflict("EVIDENCE_OLD", old, field=field, days=days_max)


def used() -> Conflict:
    return Conflict("EVIDENCE_USED", "This paper has verified another member; enter her without it, and tell your officer.", field="member_id")


def is_contradicted(said: VerifiedIdentity) -> bool:
    """Whether a contact that was given is not the one on the paper: one such answer is a try, as a wrong share code is."""
    return False in {said.mobile_matches, said.email_matches}


def claims(key: bytes, member_id: UUID, evidence_id: UUID, consent_id: UUID, said: VerifiedIdentity, now: datetime) -> dict[str, Any]:
    """What profiles is told of it: nothing that it does not compare, and no identity token."""
    return {
        "sub": str(member_id),
        "evidence_id": str(evidence_id),
        "consent_id": str(consent_id),
        "mode": said.mode.value,
        "fingerprint": fingerprint(key, said),
        "last4": said.last4,
        "name_fold": name_key(said.name).fold,
        "born_on": said.born_on.isoformat() if said.born_on else "",
        "birth_year": said.birth_year,
        "gender": said.gender,
        "verified_on": business_date(now).isoformat(),
    }
