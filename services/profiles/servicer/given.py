"""What a device asked for or handed in, as the rules read it."""

from collections.abc import Iterable, Sequence
from typing import Any
from uuid import UUID

from google.protobuf import json_format
from google.protobuf.descriptor import EnumDescriptor
from google.protobuf.message import Message

from protos import common_pb2, profiles_pb2
from services.chassis import tokens
from services.kernel.errors import Invalid, Unauthenticated
from services.kernel.ids import parse_id
from services.kernel.page import page_size, page_unknown
from services.profiles.rules import review
from services.profiles.rules.evidence import ONLINE, Evidence
from services.profiles.rules.form import Section


def said(message: Message) -> dict[str, Any]:
    """A form as it was handed in, by the contract's names."""
    return json_format.MessageToDict(message, preserving_proto_field_name=True)


def page(asked: common_pb2.Page) -> tuple[UUID | None, int]:
    try:
        return (parse_id(asked.after, "page.after") if asked.after else None), page_size(asked.size)
    except Invalid as refused:
        raise refused if refused.code == "PAGE_INVALID" else page_unknown() from None


def named(enum: EnumDescriptor, number: int, field: str) -> str | None:
    """The name of an enum's value without its prefix, None where it is unspecified."""
    value = enum.values_by_number.get(number)
    if value is None and field == "status":
        raise Invalid("STATUS_UNKNOWN", "There is no such status.", field=field)
    if value is None:
        raise Invalid("KIND_UNKNOWN", "An institution is an SHG, a VO or a CLF.", field=field)
    return value.name.removeprefix(f"{field.upper()}_") if number else None


def decisions(given: Iterable[profiles_pb2.FindingDecision]) -> list[review.Decided]:
    known = profiles_pb2.Decision.DESCRIPTOR.values_by_number
    made = []
    for one in given:
        value = known.get(one.decision) if one.decision else None
        if value is None:
            raise Invalid("DECISION_UNKNOWN", "A decision is missing or unknown.", field="decisions")
        made.append(review.Decided(one.finding_id, review.Decision(value.name.removeprefix("DECISION_")), one.reason))
    return made


def section_reviews(given: Sequence[profiles_pb2.SectionReview]) -> list[review.SectionReview]:
    known = profiles_pb2.Section.DESCRIPTOR.values_by_number
    made = []
    for place, one in enumerate(given):
        value = known.get(one.section) if one.section else None
        if value is None:
            raise Invalid("SECTION_UNKNOWN", "A profile has no such section.", field=f"sections[{place}].section")
        made.append(review.SectionReview(Section(value.name.removeprefix("SECTION_")), one.accepted, list(one.reasons), one.remark))
    return made


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
    names = ("identity_token", "gender", "consent_id", "fingerprint", "last4", "verified_on", "born_on", "name_fold")
    texts = {name: str(claims.get(name) or "") for name in names}
    return Evidence(birth_year=int(claims.get("birth_year") or 0), mode=str(claims.get("mode") or ONLINE), **texts)
