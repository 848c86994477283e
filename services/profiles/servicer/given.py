"""What a device handed in, as the rules read it."""

from typing import Any
from uuid import UUID

from protos import profiles_pb2
from services.chassis import tokens
from services.kernel.errors import Invalid, Unauthenticated
from services.profiles.commands.member import Evidence
from services.profiles.servicer.show import named, said


def institution(given: profiles_pb2.Institution) -> dict[str, Any]:
    return said(given) | {"kind": named(profiles_pb2.Kind.DESCRIPTOR, given.kind, "kind") or "", "region": given.region}


def member(given: profiles_pb2.Member) -> dict[str, Any]:
    return said(given) | {"institution_id": given.institution_id}


def event(given: profiles_pb2.LifeEvent) -> dict[str, Any]:
    """An act of life."""
    texts = said(given) | {"act": named(profiles_pb2.Act.DESCRIPTOR, given.act, "act") or ""}
    return texts | {"new_institution": institution(given.new_institution)} if given.HasField("new_institution") else texts


def evidence_of(attestation: str, member_id: UUID) -> Evidence | Invalid | None:
    """What identity attests, if the bookkeeper hands in an attestation: it must be genuine, and this member's.

    One that is merely too old comes back as the refusal that it is, unless the submission was stored before.
    """
    if not attestation:
        return None
    try:
        claims = tokens.verify(attestation, "kyc")
    except Unauthenticated as refused:
        # It is the attestation that is wrong, not the caller's login.
        if refused.code == "TOKEN_EXPIRED":
            return Invalid("ATTESTATION_EXPIRED", "This verification is too old; verify her again.", field="attestation")
        raise Invalid("ATTESTATION_INVALID", "This is no verification of this state; verify her again.", field="attestation") from None
    if claims.get("sub") != str(member_id):
        raise Invalid("ATTESTATION_NOT_HERS", "This verification is another member's.", field="attestation")
    return Evidence(str(claims["identity_token"]), int(claims.get("birth_year") or 0), str(claims.get("gender") or ""))
