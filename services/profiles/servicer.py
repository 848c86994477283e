"""gRPC in: institutions and members, listed, submitted, decided, shown."""

from collections.abc import Iterable, Sequence
from typing import Any
from uuid import UUID

import grpc
from google.protobuf.descriptor import EnumDescriptor

from protos import common_pb2, profiles_pb2, profiles_pb2_grpc
from services.chassis import database, epochs, sheets, tokens
from services.chassis.audit import Reads
from services.chassis.interceptors import caller, show_refusal
from services.kernel.errors import Invalid, Unauthenticated
from services.kernel.ids import parse_id
from services.kernel.month import today
from services.kernel.page import page_size, page_unknown
from services.profiles import queries
from services.profiles.commands import institution, member, upload
from services.profiles.queries import AnyRow
from services.profiles.rules import institution as institution_rules
from services.profiles.rules.member import Member
from services.profiles.rules.review import Decided, Decision

SERVICE = "profiles"
transaction = database.of(SERVICE)

Context = grpc.ServicerContext


class Servicer(profiles_pb2_grpc.ProfilesServiceServicer):
    """Reads the request, runs a command or query, shows the answer."""

    def __init__(self) -> None:
        self._reads = Reads(SERVICE)

    def _seen(self, action: str, rows: Sequence[AnyRow], findings: dict[UUID, list[AnyRow]]) -> None:
        """These members were shown, and whom they may be the same as; also where a change had been made before, and so is not noted again."""
        others = (finding.other_member_id for row in rows for finding in findings[row.id])
        self._reads.seen(caller(), action, dict.fromkeys((*(row.id for row in rows), *others)))

    def UploadInstitutions(self, request: profiles_pb2.UploadInstitutionsRequest, _context: Context) -> common_pb2.SheetAnswer:
        rows = sheets.read(request.workbook, list(upload.INSTITUTION_COLUMNS.values()))
        with transaction() as connection:
            return _sheet_answer(upload.upload_institutions(connection, caller(), rows, today(), dry_run=request.dry_run))

    def UploadMembers(self, request: profiles_pb2.UploadMembersRequest, _context: Context) -> common_pb2.SheetAnswer:
        rows = sheets.read(request.workbook, list(upload.MEMBER_COLUMNS.values()))
        with transaction() as connection:
            return _sheet_answer(upload.upload_members(connection, caller(), rows, today(), dry_run=request.dry_run))

    def SubmitInstitution(self, request: profiles_pb2.SubmitInstitutionRequest, _context: Context) -> profiles_pb2.Institution:
        said = request.institution
        institution_id = parse_id(said.institution_id, "institution_id")
        texts = {name: getattr(said, name) for name in ("name", "name_local", "region", "formed_on", "parent_id")}
        texts["kind"] = _named(profiles_pb2.Kind.DESCRIPTOR, said.kind, "kind") or ""
        content = institution_rules.parse(texts, said.compulsory_savings_paise, today())
        with transaction() as connection:
            return show_institution(institution.submit(connection, caller(), institution_id, said.revision, content, today()))

    def SubmitMember(self, request: profiles_pb2.SubmitMemberRequest, _context: Context) -> profiles_pb2.Member:
        said = request.member
        member_id = parse_id(said.member_id, "member_id")
        texts = {name: str(getattr(said, name)) for name in Member.__dataclass_fields__}
        evidence = _evidence(request.attestation, member_id)
        with transaction() as connection:
            row = member.submit(connection, caller(), member_id, said.revision, texts, evidence, today())
            findings = queries.findings_of(connection, [row])
        self._seen("member.get", [row], findings)
        return show_members([row], findings)[0]

    def GetInstitution(self, request: profiles_pb2.GetInstitutionRequest, _context: Context) -> profiles_pb2.Institution:
        institution_id = parse_id(request.institution_id, "institution_id")
        with transaction() as connection:
            row = queries.institution(connection, caller(), institution_id)
        self._reads.seen(caller(), "institution.get", [row.id])
        return show_institution(row)

    def GetMember(self, request: profiles_pb2.GetMemberRequest, _context: Context) -> profiles_pb2.Member:
        member_id = parse_id(request.member_id, "member_id")
        with transaction() as connection:
            row = queries.member(connection, caller(), member_id)
            findings = queries.findings_of(connection, [row])
        self._seen("member.get", [row], findings)
        return show_members([row], findings)[0]

    def ListInstitutions(self, request: profiles_pb2.ListInstitutionsRequest, _context: Context) -> profiles_pb2.ListInstitutionsResponse:
        after, size = _page(request.page)
        status = _named(profiles_pb2.Status.DESCRIPTOR, request.status, "status")
        kind = _named(profiles_pb2.Kind.DESCRIPTOR, request.kind, "kind")
        with transaction() as connection:
            rows = queries.institutions_page(connection, caller(), request.region, status=status, kind=kind, after=after, size=size)
            epoch = epochs.current(connection)
        self._reads.seen(caller(), "institution.list", [row.id for row in rows])
        return profiles_pb2.ListInstitutionsResponse(institutions=map(show_institution, rows), next=_next(rows, size), instance_epoch=epoch)

    def ListMembers(self, request: profiles_pb2.ListMembersRequest, _context: Context) -> profiles_pb2.ListMembersResponse:
        after, size = _page(request.page)
        institution_id = parse_id(request.institution_id, "institution_id") if request.institution_id else None
        status = _named(profiles_pb2.Status.DESCRIPTOR, request.status, "status")
        with transaction() as connection:
            rows = queries.members_page(connection, caller(), institution_id=institution_id, status=status, after=after, size=size)
            findings = queries.findings_of(connection, rows)
            epoch = epochs.current(connection)
        self._seen("member.list", rows, findings)
        return profiles_pb2.ListMembersResponse(members=show_members(rows, findings), next=_next(rows, size), instance_epoch=epoch)

    def ApproveMember(self, request: profiles_pb2.ApproveMemberRequest, _context: Context) -> profiles_pb2.Member:
        member_id, decisions = parse_id(request.member_id, "member_id"), _decisions(request.decisions)
        with transaction() as connection:
            row = member.approve(connection, caller(), member_id, request.revision, decisions, today())
            findings = queries.findings_of(connection, [row])
        self._seen("member.get", [row], findings)
        return show_members([row], findings)[0]

    def RejectMember(self, request: profiles_pb2.RejectMemberRequest, _context: Context) -> profiles_pb2.Member:
        member_id, decisions = parse_id(request.member_id, "member_id"), _decisions(request.decisions)
        with transaction() as connection:
            row = member.reject(connection, caller(), member_id, request.revision, request.reasons, request.remark, decisions)
            findings = queries.findings_of(connection, [row])
        self._seen("member.get", [row], findings)
        return show_members([row], findings)[0]

    def ApproveInstitution(self, request: profiles_pb2.ApproveInstitutionRequest, _context: Context) -> profiles_pb2.Institution:
        institution_id = parse_id(request.institution_id, "institution_id")
        with transaction() as connection:
            return show_institution(institution.approve(connection, caller(), institution_id, request.revision, today()))

    def RejectInstitution(self, request: profiles_pb2.RejectInstitutionRequest, _context: Context) -> profiles_pb2.Institution:
        institution_id = parse_id(request.institution_id, "institution_id")
        with transaction() as connection:
            return show_institution(institution.reject(connection, caller(), institution_id, request.revision, request.remark))


def _evidence(attestation: str, member_id: UUID) -> member.Evidence | Invalid | None:
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
    return member.Evidence(str(claims["identity_token"]), int(claims.get("birth_year") or 0), str(claims.get("gender") or ""))


def _page(page: common_pb2.Page) -> tuple[UUID | None, int]:
    try:
        return (parse_id(page.after, "page.after") if page.after else None), page_size(page.size)
    except Invalid as refused:
        raise refused if refused.code == "PAGE_INVALID" else page_unknown() from None


def _next(rows: Sequence[AnyRow], size: int) -> str:
    return str(rows[-1].id) if len(rows) == size else ""


def _named(enum: EnumDescriptor, number: int, field: str) -> str | None:
    """The name of an enum's value without its prefix, None where it is unspecified."""
    value = enum.values_by_number.get(number)
    if value is None and field == "status":
        raise Invalid("STATUS_UNKNOWN", "There is no such status.", field=field)
    if value is None:
        raise Invalid("KIND_UNKNOWN", "An institution is an SHG, a VO or a CLF.", field=field)
    return value.name.removeprefix(f"{field.upper()}_") if number else None


def _decisions(given: Iterable[profiles_pb2.FindingDecision]) -> list[Decided]:
    known = profiles_pb2.Decision.DESCRIPTOR.values_by_number
    made = []
    for one in given:
        value = known.get(one.decision) if one.decision else None
        if value is None:
            raise Invalid("DECISION_UNKNOWN", "A decision is missing or unknown.", field="decisions")
        made.append(Decided(one.finding_id, Decision(value.name.removeprefix("DECISION_")), one.reason))
    return made


def _sheet_answer(answers: Sequence[upload.Answer]) -> common_pb2.SheetAnswer:
    rows = []
    for one in answers:
        refusal = show_refusal(one.refused, one.column) if one.refused else None
        rows.append(common_pb2.RowAnswer(row=one.row, id=str(one.id) if one.id else "", refusal=refusal))
    refused = sum(one.refused is not None for one in answers)
    return common_pb2.SheetAnswer(rows=rows, accepted=len(answers) - refused, refused=refused)


def show_institution(row: AnyRow) -> profiles_pb2.Institution:
    return profiles_pb2.Institution(
        institution_id=str(row.id),
        revision=row.revision,
        kind=f"KIND_{row.kind}",
        name=row.name,
        name_local=row.name_local,
        region=row.region,
        formed_on=row.formed_on.isoformat(),
        parent_id=str(row.parent_id) if row.parent_id else "",
        compulsory_savings_paise=row.compulsory_savings_paise,
        status=f"STATUS_{row.status}",
        code=row.code or "",
        remark=row.remark,
        version=row.version,
    )


# The fields that travel as the table keeps them.
_AS_KEPT = (
    *("revision", "name", "name_local", "gender", "birth_year", "relation", "relation_name", "social_category", "mobile"),
    *("account_number", "ifsc", "account_holding", "remark", "reasons", "version", "region", "identity_notes"),
)


def show_members(rows: Iterable[AnyRow], findings: dict[UUID, list[AnyRow]]) -> list[profiles_pb2.Member]:
    return [_show_member(row, findings[row.id]) for row in rows]


def _show_member(row: AnyRow, findings: Iterable[AnyRow]) -> profiles_pb2.Member:
    kept: dict[str, Any] = {name: getattr(row, name) for name in _AS_KEPT}
    return profiles_pb2.Member(
        member_id=str(row.id),
        institution_id=str(row.institution_id),
        born_on=row.born_on.isoformat() if row.born_on else "",
        joined_on=row.joined_on.isoformat(),
        status=f"STATUS_{row.status}",
        code=row.code or "",
        identity_verified=row.identity_token is not None,
        verdict=f"VERDICT_{row.verdict or 'UNSPECIFIED'}",
        findings=map(_show_finding, findings),
        **kept,
    )


def _show_finding(row: AnyRow) -> profiles_pb2.Finding:
    return profiles_pb2.Finding(
        finding_id=row.finding_id,
        verdict=f"VERDICT_{row.verdict}",
        other_member_id=str(row.other_member_id),
        clues=row.clues,
        decision=f"DECISION_{row.decision or 'UNSPECIFIED'}",
        reason=row.reason,
    )
