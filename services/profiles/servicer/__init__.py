"""gRPC in: institutions and members here; My Task, uploads, lists, places, accounts, images and digital ids in rooms of their own."""

from collections.abc import Iterable, Sequence
from uuid import UUID

import grpc

from protos import common_pb2, profiles_pb2, profiles_pb2_grpc
from services.chassis import epochs, sheets
from services.chassis.audit import Reads
from services.chassis.interceptors import caller, show_refusal
from services.kernel.ids import parse_id
from services.kernel.month import today
from services.profiles import queries
from services.profiles.adapters import ifsc, images
from services.profiles.commands import finding, institution, life, member, review, sheet
from services.profiles.queries import MEMBER, AnyRow, Subject
from services.profiles.servicer import given, show
from services.profiles.servicer.assets import Assets
from services.profiles.servicer.digital_ids import DigitalIds
from services.profiles.servicer.given import named, page
from services.profiles.servicer.masters import Masters
from services.profiles.servicer.places import Places
from services.profiles.servicer.show import SERVICE, transaction
from services.profiles.servicer.tasks import Tasks
from services.profiles.servicer.uploads import Uploads

Context = grpc.ServicerContext


class Servicer(Tasks, Assets, Masters, Places, Uploads, DigitalIds, profiles_pb2_grpc.ProfilesServiceServicer):
    """Reads the request, runs a command or query, shows the answer."""

    def __init__(self) -> None:
        super().__init__()
        self.reads = Reads(SERVICE)
        images.store()  # What it needs is there, or the process ends by its name.
        ifsc.branches()  # Where there is no list, the log says so.

    def _seen(self, action: str, findings: dict[UUID, list[AnyRow]]) -> None:
        """These members were shown, and whom they may be the same as; also where a change had been made before, and so is not noted again."""
        others = (finding.other_member_id for found in findings.values() for finding in found)
        self.reads.seen(caller(), action, dict.fromkeys((*findings, *others)))

    def UploadInstitutions(self, request: profiles_pb2.UploadInstitutionsRequest, _context: Context) -> common_pb2.SheetAnswer:
        rows = sheets.read(request.workbook, list(sheet.INSTITUTION_COLUMNS.values()))
        with transaction() as connection:
            return _sheet_answer(sheet.take_institutions(connection, caller(), rows, today(), dry_run=request.dry_run))

    def UploadMembers(self, request: profiles_pb2.UploadMembersRequest, _context: Context) -> common_pb2.SheetAnswer:
        rows = sheets.read(request.workbook, list(sheet.MEMBER_COLUMNS.values()))
        with transaction() as connection:
            return _sheet_answer(sheet.take_members(connection, caller(), rows, today(), dry_run=request.dry_run))

    def SubmitInstitution(self, request: profiles_pb2.SubmitInstitutionRequest, _context: Context) -> profiles_pb2.Institution:
        one = request.institution
        institution_id, texts = parse_id(one.institution_id, "institution_id"), given.institution(one)
        with transaction() as connection:
            made = institution.submit(connection, caller(), institution_id, one.revision, texts, today(), branches=ifsc.branches())
            return show.institutions(connection, [made])[0]

    def SubmitMember(self, request: profiles_pb2.SubmitMemberRequest, _context: Context) -> profiles_pb2.Member:
        one = request.member
        member_id = parse_id(one.member_id, "member_id")
        evidence, texts = given.evidence_of(request.attestation, member_id), given.member(one)
        with transaction() as connection:
            made = member.submit(connection, caller(), member_id, one.revision, texts, evidence, today(), branches=ifsc.branches())
            [shown], findings = show.members(connection, [made])
        self._seen("member.get", findings)
        return shown

    def SubmitMemberEvent(self, request: profiles_pb2.SubmitMemberEventRequest, _context: Context) -> profiles_pb2.Member:
        one = request.event
        record_id, texts = parse_id(one.record_id, "record_id"), given.event(one)
        with transaction() as connection:
            made = life.submit(connection, caller(), MEMBER, record_id, one.revision, texts, today())
            [shown], findings = show.members(connection, [made])
        self._seen("member.get", findings)
        return shown

    def SubmitInstitutionEvent(self, request: profiles_pb2.SubmitInstitutionEventRequest, _context: Context) -> profiles_pb2.Institution:
        one = request.event
        record_id, texts = parse_id(one.record_id, "record_id"), given.event(one)
        with transaction() as connection:
            made = life.submit(connection, caller(), "", record_id, one.revision, texts, today())
            return show.institutions(connection, [made])[0]

    def WithdrawInstitution(self, request: profiles_pb2.WithdrawInstitutionRequest, _context: Context) -> profiles_pb2.Institution:
        institution_id = parse_id(request.institution_id, "institution_id")
        with transaction() as connection:
            made = institution.withdraw(connection, caller(), institution_id, request.revision)
            return show.institutions(connection, [made])[0]

    def WithdrawMember(self, request: profiles_pb2.WithdrawMemberRequest, _context: Context) -> profiles_pb2.Member:
        member_id = parse_id(request.member_id, "member_id")
        with transaction() as connection:
            made = member.withdraw(connection, caller(), member_id, request.revision)
            [shown], findings = show.members(connection, [made])
        self._seen("member.get", findings)
        return shown

    def GetInstitution(self, request: profiles_pb2.GetInstitutionRequest, _context: Context) -> profiles_pb2.Institution:
        institution_id = parse_id(request.institution_id, "institution_id")
        with transaction() as connection:
            [shown] = show.institutions(connection, [queries.institution(connection, caller(), institution_id)])
        self.reads.seen(caller(), "institution.get", [institution_id])
        return shown

    def GetMember(self, request: profiles_pb2.GetMemberRequest, _context: Context) -> profiles_pb2.Member:
        member_id = parse_id(request.member_id, "member_id")
        with transaction() as connection:
            [shown], findings = show.members(connection, [queries.member(connection, caller(), member_id)])
        self._seen("member.get", findings)
        return shown

    def ListInstitutions(self, request: profiles_pb2.ListInstitutionsRequest, _context: Context) -> profiles_pb2.ListInstitutionsResponse:
        after, size = page(request.page)
        status = named(profiles_pb2.Status.DESCRIPTOR, request.status, "status")
        kind = named(profiles_pb2.Kind.DESCRIPTOR, request.kind, "kind")
        with transaction() as connection:
            found = queries.institutions_page(connection, caller(), request.region, status=status, kind=kind, after=after, size=size)
            shown = show.institutions(connection, found)
            epoch = epochs.current(connection)
        self.reads.seen(caller(), "institution.list", [one.row.id for one in found])
        return profiles_pb2.ListInstitutionsResponse(institutions=shown, next=_next(found, size), instance_epoch=epoch)

    def ListMembers(self, request: profiles_pb2.ListMembersRequest, _context: Context) -> profiles_pb2.ListMembersResponse:
        after, size = page(request.page)
        institution_id = parse_id(request.institution_id, "institution_id") if request.institution_id else None
        status = named(profiles_pb2.Status.DESCRIPTOR, request.status, "status")
        with transaction() as connection:
            found = queries.members_page(connection, caller(), institution_id=institution_id, status=status, after=after, size=size)
            shown, findings = show.members(connection, found)
            epoch = epochs.current(connection)
        self._seen("member.list", findings)
        return profiles_pb2.ListMembersResponse(members=shown, next=_next(found, size), instance_epoch=epoch)

    def ApproveMember(self, request: profiles_pb2.ApproveMemberRequest, _context: Context) -> profiles_pb2.Member:
        member_id, decisions = parse_id(request.member_id, "member_id"), given.decisions(request.decisions)
        with transaction() as connection:
            made = review.approve(connection, caller(), MEMBER, member_id, request.revision, decisions, today())
            [shown], findings = show.members(connection, [made])
        self._seen("member.get", findings)
        return shown

    def RejectMember(self, request: profiles_pb2.RejectMemberRequest, _context: Context) -> profiles_pb2.Member:
        member_id, decisions = parse_id(request.member_id, "member_id"), given.decisions(request.decisions)
        sections = given.section_reviews(request.sections)
        with transaction() as connection:
            words = review.words(connection, request.reasons, request.remark, sections, today())
            made = review.reject(connection, caller(), MEMBER, member_id, request.revision, words, decisions, today())
            [shown], findings = show.members(connection, [made])
        self._seen("member.get", findings)
        return shown

    def DecideFindings(self, request: profiles_pb2.DecideFindingsRequest, _context: Context) -> profiles_pb2.Member:
        member_id, decisions = parse_id(request.member_id, "member_id"), given.decisions(request.decisions)
        with transaction() as connection:
            made = finding.decide(connection, caller(), member_id, request.revision, decisions)
            [shown], findings = show.members(connection, [made])
        self._seen("member.get", findings)
        return shown

    def CompareMembers(self, request: profiles_pb2.CompareMembersRequest, _context: Context) -> profiles_pb2.Comparison:
        member_id = parse_id(request.member_id, "member_id")
        with transaction() as connection:
            pair = queries.pair(connection, caller(), member_id, request.finding_id)
            shown = show.comparison(connection, pair)
        self.reads.seen(caller(), "member.compare", [one.row.id for one in (pair.member, pair.other)])
        return shown

    def ApproveInstitution(self, request: profiles_pb2.ApproveInstitutionRequest, _context: Context) -> profiles_pb2.Institution:
        institution_id, decisions = parse_id(request.institution_id, "institution_id"), given.decisions(request.decisions)
        with transaction() as connection:
            made = review.approve(connection, caller(), "", institution_id, request.revision, decisions, today())
            return show.institutions(connection, [made])[0]

    def RejectInstitution(self, request: profiles_pb2.RejectInstitutionRequest, _context: Context) -> profiles_pb2.Institution:
        institution_id, decisions = parse_id(request.institution_id, "institution_id"), given.decisions(request.decisions)
        sections = given.section_reviews(request.sections)
        with transaction() as connection:
            words = review.words(connection, request.reasons, request.remark, sections, today())
            made = review.reject(connection, caller(), "", institution_id, request.revision, words, decisions, today())
            return show.institutions(connection, [made])[0]

    def GetHistory(self, request: profiles_pb2.GetHistoryRequest, _context: Context) -> profiles_pb2.GetHistoryResponse:
        record_id = parse_id(request.record_id, "record_id")
        with transaction() as connection:
            shown = show.history(queries.life_of(connection, caller(), record_id))
        self.reads.seen(caller(), "history.get", [record_id])
        return shown


def _next(found: Sequence[Subject], size: int) -> str:
    return str(found[-1].row.id) if len(found) == size else ""


def _sheet_answer(answers: Iterable[sheet.Answer]) -> common_pb2.SheetAnswer:
    rows = []
    for one in answers:
        refusal = show_refusal(one.refused, one.column) if one.refused else None
        rows.append(common_pb2.RowAnswer(row=one.row, id=str(one.id) if one.id else "", refusal=refusal))
    refused = sum(row.HasField("refusal") for row in rows)
    return common_pb2.SheetAnswer(rows=rows, accepted=len(rows) - refused, refused=refused)
