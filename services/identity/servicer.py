"""gRPC in: users, logins, invitations, mapping sheets and e-KYC."""

from datetime import UTC, datetime

import grpc

from protos import common_pb2, identity_pb2, identity_pb2_grpc
from services.chassis import database, places, settings, sheets, tokens
from services.chassis.audit import Reads
from services.chassis.interceptors import caller, show_refusal
from services.identity import queries
from services.identity.adapters import ekyc
from services.identity.commands import invitation, kyc, session, sheet, user, vault
from services.identity.rules import kyc as kyc_rules
from services.identity.rules import sheet as sheet_rules
from services.identity.rules.user import Assignment, User, is_user_id
from services.kernel.errors import Conflict, Unauthenticated
from services.kernel.ids import parse_id
from services.kernel.month import today
from services.kernel.page import page_size, page_unknown

SERVICE = "identity"
PURPOSE = "e-kyc"
transaction = database.of(SERVICE)
vault_transaction = database.of("vault")

Context = grpc.ServicerContext


class Servicer(identity_pb2_grpc.IdentityServiceServicer):
    """Reads the request, runs a command or query, shows the answer."""

    def __init__(self) -> None:
        vault.must_have_keys()
        self._person_key = settings.text("LOKOS_PERSON_KEY").encode()
        self._prefix = settings.state().user_prefix
        self._ekyc = ekyc.provider()
        self._reads = Reads(SERVICE)

    def Login(self, request: identity_pb2.LoginRequest, _context: Context) -> identity_pb2.LoginResponse:
        with transaction() as connection:
            caller = session.log_in(connection, request.user_id, request.password, request.role, self._person_key)
            who = queries.user(connection, request.user_id)
        if caller is None or who is None:
            raise Unauthenticated("LOGIN_FAILED", "User id, password or role is wrong.")
        token, ends = tokens.sign_caller(caller)
        begun = identity_pb2.Session(access_token=token, user=show(who))
        begun.access_expires_at.FromDatetime(ends)
        return identity_pb2.LoginResponse(session=begun)

    def InviteStateAdmin(self, request: identity_pb2.InviteStateAdminRequest, _context: Context) -> identity_pb2.InviteStateAdminResponse:
        with transaction() as connection:
            token, ends = invitation.invite(connection, caller(), request.state, request.full_name, request.mobile)
        answer = identity_pb2.InviteStateAdminResponse(invitation=token)
        answer.expires_at.FromDatetime(ends)
        return answer

    def RedeemInvitation(self, request: identity_pb2.RedeemInvitationRequest, _context: Context) -> identity_pb2.User:
        claims = tokens.verify(request.invitation, "invitation")
        with transaction() as connection:
            return show(invitation.redeem(connection, claims, request.user_id, request.password, self._prefix, today()))

    def CreateUser(self, request: identity_pb2.CreateUserRequest, _context: Context) -> identity_pb2.User:
        assignment = request.assignment
        institution_ids = [parse_id(text, "assignment.institution_ids") for text in assignment.institution_ids]
        cluster_ids = [parse_id(text, "assignment.cluster_ids") for text in assignment.cluster_ids]
        with transaction() as connection:
            made = user.create(
                connection,
                caller(),
                user_id=request.user_id,
                full_name=request.full_name,
                mobile=request.mobile,
                password=request.password,
                role=assignment.role,
                region=assignment.region,
                side=assignment.side,
                institution_ids=institution_ids,
                cluster_ids=cluster_ids,
                email=request.email,
                language=request.language,
                geography=places.geography(),
                prefix=self._prefix,
                today=today(),
            )
        return show(made)

    def UploadBookkeepers(self, request: identity_pb2.UploadBookkeepersRequest, _context: Context) -> common_pb2.SheetAnswer:
        rows = sheets.read(request.workbook, sheet_rules.COLUMNS)
        with transaction() as connection:
            answers = sheet.upload(connection, caller(), rows, places.geography(), self._prefix, today(), dry_run=request.dry_run)
        shown = [_show_answer(answer) for answer in answers]
        refused = sum(answer.refused is not None for answer in answers)
        return common_pb2.SheetAnswer(rows=shown, accepted=len(answers) - refused, refused=refused)

    def ListUsers(self, request: identity_pb2.ListUsersRequest, _context: Context) -> identity_pb2.ListUsersResponse:
        size, after = page_size(request.page.size), request.page.after
        if after and not is_user_id(after):
            raise page_unknown()
        with transaction() as connection:
            found = queries.list_users(connection, caller().regions, after, size)
        self._reads.seen(caller(), "user.list", [one.user_id for one in found])
        return identity_pb2.ListUsersResponse(users=map(show, found), next=found[-1].user_id if len(found) == size else "")

    def StartKyc(self, request: identity_pb2.StartKycRequest, _context: Context) -> identity_pb2.StartKycResponse:
        member_id = parse_id(request.member_id, "member_id")
        kyc_rules.check_consent(consent=request.consent)
        number = kyc_rules.check_number(request.aadhaar_number, never_issued_too=self._ekyc.takes_never_issued)
        provider_txn = self._ekyc.request_otp(number)  # Outside of any transaction, and first: what it does not know is not stored.
        with vault_transaction() as connection:
            reference = vault.store(connection, number, PURPOSE, caller().user_id)
        with transaction() as connection:
            begun = kyc.start(connection, caller(), member_id, reference, provider_txn, datetime.now(UTC))
        answer = identity_pb2.StartKycResponse(kyc_id=str(begun.kyc_id))
        answer.expires_at.FromDatetime(begun.expires_at)
        return answer

    def ConfirmKyc(self, request: identity_pb2.ConfirmKycRequest, _context: Context) -> identity_pb2.ConfirmKycResponse:
        kyc_id = parse_id(request.kyc_id, "kyc_id")
        with transaction() as connection:
            begun = kyc.take_try(connection, caller(), kyc_id, datetime.now(UTC))
        result = self._ekyc.confirm(begun.provider_txn, request.otp)
        if result is None:
            raise Conflict("KYC_OTP_WRONG", "The one-time password is wrong.", field="otp")
        with vault_transaction() as connection:
            identity = vault.identify(connection, begun.reference, PURPOSE, caller().user_id)
        with transaction() as connection:
            attestation = kyc.confirm(connection, caller(), begun, identity, result.birth_year, result.gender, datetime.now(UTC))
        return identity_pb2.ConfirmKycResponse(
            attestation=attestation,
            name=result.name,
            birth_year=result.birth_year,
            number_masked=identity.masked,
        )


def show(made: User) -> identity_pb2.User:
    return identity_pb2.User(
        user_id=made.user_id,
        full_name=made.full_name,
        mobile_masked=f"XXXXXX{made.mobile[-4:]}",
        email=made.email,
        language=made.language,
        assignments=map(show_assignment, made.assignments),
        status=f"USER_STATUS_{made.status}",
    )


def show_assignment(one: Assignment) -> identity_pb2.Assignment:
    return identity_pb2.Assignment(
        role=one.role,
        region=one.region,
        side=one.side,
        institution_ids=sorted(map(str, one.institution_ids)),
        cluster_ids=sorted(map(str, one.cluster_ids)),
    )


def _show_answer(answer: sheet.Answer) -> common_pb2.RowAnswer:
    return common_pb2.RowAnswer(row=answer.row, id=answer.user_id, refusal=show_refusal(answer.refused) if answer.refused else None)
