"""gRPC in: what a device sends in one go, and what became of it."""

from collections import Counter
from uuid import UUID

import grpc

from protos import profiles_pb2
from services.chassis import contracts
from services.chassis.interceptors import caller, show_refusal
from services.kernel.canonical import content_hash
from services.kernel.errors import Forbidden, Invalid, Refused
from services.kernel.ids import parse_id
from services.profiles.commands import batch
from services.profiles.commands.batch import Item
from services.profiles.queries import AnyRow
from services.profiles.queries import uploads as queries
from services.profiles.rules import batch as rules
from services.profiles.rules.batch import ItemKind
from services.profiles.servicer import given
from services.profiles.servicer.given import said
from services.profiles.servicer.show import SERVICE, transaction

Context = grpc.ServicerContext

# The call that an item stands for: who may make that, may send it.
_CALLS = {
    ItemKind.INSTITUTION: "SubmitInstitution",
    ItemKind.MEMBER: "SubmitMember",
    ItemKind.MEMBER_EVENT: "SubmitMemberEvent",
    ItemKind.INSTITUTION_EVENT: "SubmitInstitutionEvent",
}
_ID_LENGTH_MAX = 36


class Uploads:
    """The part of the servicer that takes uploads."""

    def UploadProfiles(self, request: profiles_pb2.UploadProfilesRequest, _context: Context) -> profiles_pb2.UploadStatus:
        upload_id = parse_id(request.upload_id, "upload_id")
        rules.check_size(len(request.items), request.ByteSize())
        items = [_item(place, one) for place, one in enumerate(request.items)]
        with transaction() as connection:
            batch.take(connection, caller(), upload_id, items, content_hash(said(request)))
            return _show(upload_id, queries.answers(connection, caller(), upload_id))

    def GetUpload(self, request: profiles_pb2.GetUploadRequest, _context: Context) -> profiles_pb2.UploadStatus:
        upload_id = parse_id(request.upload_id, "upload_id")
        with transaction() as connection:
            return _show(upload_id, queries.answers(connection, caller(), upload_id))


def _item(place: int, one: profiles_pb2.UploadItem) -> Item:
    """An item as it is to be carried out; one that cannot be is answered at once, and holds up no other."""
    name = one.WhichOneof("item")
    if name is None:
        raise Invalid("ITEM_EMPTY", "This item says nothing.", field=f"items[{place}]")
    kind = ItemKind(name.upper())
    record_id, revision = _key(one, kind)
    try:
        rpc = contracts.rpcs(SERVICE)[f"/{contracts.service_name(SERVICE)}/{_CALLS[kind]}"]
        role = caller().role
        if role not in rpc.roles:
            raise Forbidden("ROLE_NOT_ALLOWED", "A {role} may not do this.", role=role.label if role else "stranger")
        parsed_id = parse_id(record_id, "record_id")
        if kind is ItemKind.INSTITUTION:
            return Item(kind, record_id, revision, given.institution(one.institution))
        if kind is ItemKind.MEMBER:
            evidence = given.evidence_of(one.member.attestation, parsed_id)
            return Item(kind, record_id, revision, given.member(one.member.member), evidence)
        return Item(kind, record_id, revision, given.event(getattr(one, name)))
    except Refused as refused:
        return Item(kind, record_id, revision, {}, refused=refused)


def _key(one: profiles_pb2.UploadItem, kind: ItemKind) -> tuple[str, int]:
    """The record and the revision that it speaks of; an id that is none, cut short, since the device must know it again."""
    if kind is ItemKind.INSTITUTION:
        record_id, revision = one.institution.institution_id, one.institution.revision
    elif kind is ItemKind.MEMBER:
        record_id, revision = one.member.member.member_id, one.member.member.revision
    else:
        event = one.member_event if kind is ItemKind.MEMBER_EVENT else one.institution_event
        record_id, revision = event.record_id, event.revision
    return record_id[:_ID_LENGTH_MAX], revision


def _show(upload_id: UUID, items: list[AnyRow]) -> profiles_pb2.UploadStatus:
    made = profiles_pb2.UploadStatus(upload_id=str(upload_id))
    counts = Counter[str]()
    for item in items:
        answer = made.answers.add(record_id=item.record_id, revision=item.revision, status=f"STATUS_{item.status or 'UNSPECIFIED'}")
        if item.refusal:
            kept = item.refusal
            answer.refusal.CopyFrom(show_refusal(Refused(kept["code"], kept["sentence"], field=kept["field"], **kept["params"])))
        counts["taken_in" if item.status else "refused" if item.refusal else "waiting"] += 1
    made.waiting, made.taken_in, made.refused = counts["waiting"], counts["taken_in"], counts["refused"]
    return made
