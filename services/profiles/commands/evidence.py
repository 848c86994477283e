"""What was verified of a member, as a row of hers keeps it."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any
from uuid import UUID

from services.profiles.queries import AnyRow
from services.profiles.rules.evidence import Evidence, Verified
from services.profiles.rules.form import Held

# What of an online e-KYC has a column of its own; the rest stands together.
_OWN = {"identity_token", "birth_year", "gender", "consent_id", "mode"}


def verified_of(row: AnyRow | None) -> Verified:
    """As she is live, or as she waits."""
    if row is None:
        return Verified()
    online = None
    if row.identity_token:
        consent_id = str(row.evidence_consent_id or "")
        online = Evidence(row.identity_token, row.attested_birth_year, row.attested_gender, consent_id, **(row.attested or {}))
    return Verified(online, Evidence(**row.paper) if row.paper else None)


def columns(content: Held, verified: Verified) -> dict[str, Any]:
    """What is kept of it, and where it tells of another woman than this content does."""
    online, paper = verified.online or Evidence(), verified.paper
    more: Mapping[str, Any] = {name: said for name, said in asdict(online).items() if said and name not in _OWN}
    return {
        "identity_token": online.identity_token or None,
        "attested_birth_year": online.birth_year,
        "attested_gender": online.gender,
        "attested": more or None,
        "evidence_consent_id": UUID(online.consent_id) if online.consent_id else None,
        "paper": asdict(paper) if paper else None,
        "identity_notes": verified.notes(content),
    }


NAMES = tuple(columns({}, Verified()))
