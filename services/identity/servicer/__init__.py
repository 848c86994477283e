"""gRPC in: users, logins, invitations, mapping sheets and e-KYC."""

from datetime import UTC, datetime, timedelta
from typing import TypeVar

import grpc

from protos import common_pb2, identity_pb2, identity_pb2_grpc
from services.chassis import database, ended, places, settings, sheets, tokens
from services.chassis.audit import Reads
from services.chassis.interceptors import address, caller, show_refusal
from services.identity import queries
from services.identity.adapters import ekyc
from services.identity.commands import invitation, kyc, session, sheet, user, vault
from services.identity.commands import password as passwords
from services.identity.rules import kyc as kyc_rules
from services.identity.rules import session as rules
from services.identity.rules import sheet as sheet_rules
from services.identity.rules.user import Assignment, User, check_language, check_password, is_user_id
from services.kernel.errors import Conflict, Refused
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
        self._key = settings.text("LOKOS_PERSON_KEY").encode()
        self._prefix = settings.state().user_prefix
        self._ekyc = ekyc.provider()
        self._reads = Reads(SERVICE)

    def Login(self, request: identity_pb2.LoginRequest, context: Context) -> identity_pb2.LoginResponse:
        asked = session.Asked(
            request.user_id if is_user_id(request.user_id) else "",
            request.role,
            self._device(request.device),
            rules.check_secret_hash(request.secret_hash, "secret_hash"),
            request.keep_logged_in,
            check_language(request.language, settings.state().languages),
            address(context),
        )
        with transaction() as connection:
            password_hash, wait = session.look(connection, asked, self._key, datetime.now(UTC))
        if wait:
            raise rules.slow_down(wait)
        right = passwords.is_right(request.password, password_hash)  # Outside of any transaction: it takes its time.
        with transaction() as connection:
            entered = session.enter(connection, asked, _limits(), self._key, datetime.now(UTC), right=right)
        if isinstance(entered, rules.Challenge):
            return identity_pb2.LoginResponse(challenge=_show_challenge(entered))
        return identity_pb2.LoginResponse(session=_show_session(_or_refuse(entered)))

    def ConfirmLogin(self, request: identity_pb2.ConfirmLoginRequest, _context: Context) -> identity_pb2.Session:
        challenge_id = parse_id(request.challenge_id, "challenge_id")
        with transaction() as connection:
            begun = session.confirm(connection, challenge_id, request.otp, _limits(), self._key, datetime.now(UTC))
        return _show_session(_or_refuse(begun))

    def SendOtpAgain(self, request: identity_pb2.SendOtpAgainRequest, _context: Context) -> identity_pb2.Challenge:
        challenge_id = parse_id(request.challenge_id, "challenge_id")
        with transaction() as connection:
            sent = session.send_again(connection, challenge_id, self._key, datetime.now(UTC))
        return _show_challenge(_or_refuse(sent))

    def Refresh(self, request: identity_pb2.RefreshRequest, _context: Context) -> identity_pb2.Session:
        session_id = parse_id(request.session_id, "session_id")
        next_hash = rules.check_secret_hash(request.next_secret_hash, "next_secret_hash")
        with transaction() as connection:
            begun = session.refresh(connection, session_id, request.secret, next_hash, self._key, datetime.now(UTC))
        return _show_session(_or_refuse(begun))

    def SwitchRole(self, request: identity_pb2.SwitchRoleRequest, _context: Context) -> identity_pb2.Session:
        rules.check_unsent(request.unsent_items, "unsent_items")
        with transaction() as connection:
            begun = session.switch_role(
                connection, caller(), request.role, request.unsent_items, self._key, datetime.now(UTC), discard=request.discard_unsent
            )
        return _show_session(_or_refuse(begun))

    def Logout(self, _request: identity_pb2.LogoutRequest, _context: Context) -> identity_pb2.LogoutResponse:
        with transaction() as connection:
            session.log_out(connection, caller(), datetime.now(UTC))
        return identity_pb2.LogoutResponse()

    def ForgotPassword(self, request: identity_pb2.ForgotPasswordRequest, _context: Context) -> identity_pb2.Challenge:
        user_id = request.user_id if is_user_id(request.user_id) else ""
        device = self._device(request.device)
        with transaction() as connection:
            asked = session.forgot(connection, user_id, device, self._key, datetime.now(UTC))
        return _show_challenge(_or_refuse(asked))

    def SetForgottenPassword(self, request: identity_pb2.SetForgottenPasswordRequest, _context: Context) -> identity_pb2.SetForgottenPasswordResponse:
        challenge_id = parse_id(request.challenge_id, "challenge_id")
        with transaction() as connection:
            proved = session.prove_forgotten(connection, challenge_id, request.otp, request.new_password, self._key, datetime.now(UTC))
        user_id = _or_refuse(proved)
        password_hash = passwords.hashed(request.new_password)
        with transaction() as connection:
            session.set_forgotten(connection, user_id, password_hash)
        return identity_pb2.SetForgottenPasswordResponse()

    def ChangePassword(self, request: identity_pb2.ChangePasswordRequest, context: Context) -> identity_pb2.ChangePasswordResponse:
        user_id, where = caller().user_id, address(context)
        with transaction() as connection:
            password_hash, wait = session.look_at_own(connection, caller(), where, self._key, datetime.now(UTC))
        if wait:
            raise rules.slow_down(wait)
        right = passwords.is_right(request.password, password_hash)
        new_hash = passwords.hashed(check_password(request.new_password, user_id, "new_password")) if right else ""
        with transaction() as connection:
            refused = session.change_password(connection, caller(), new_hash, where, self._key, datetime.now(UTC))
        if refused:
            raise refused
        return identity_pb2.ChangePasswordResponse()

    def _device(self, given: identity_pb2.Device) -> rules.Device:
        kind = identity_pb2.DeviceKind.Name(given.kind).removeprefix("DEVICE_KIND_") if given.kind in identity_pb2.DeviceKind.values() else ""
        return rules.check_device(self._key, given.device_id, kind, given.name, given.unsent_items, discard_unsent=given.discard_unsent)

    def Keys(self, _request: identity_pb2.KeysRequest, _context: Context) -> identity_pb2.KeysResponse:
        return identity_pb2.KeysResponse(jwks=tokens.own_keys())

    def EndedSessions(self, _request: identity_pb2.EndedSessionsRequest, _context: Context) -> identity_pb2.EndedSessionsResponse:
        with database.reading(SERVICE) as connection:
            found = ended.standing(connection)
        answer = identity_pb2.EndedSessionsResponse()
        for one in found:
            answer.sessions.add(session_id=str(one.session_id), generation=one.generation).until.FromDatetime(one.until)
        return answer

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


T = TypeVar("T")


def _or_refuse(done: T | Refused) -> T:
    """What a command did; what it refused is raised only now that its audit and counts are kept."""
    if isinstance(done, Refused):
        raise done
    return done


def _limits() -> rules.Limits:
    policies, day = settings.state().policies, today()
    return rules.Limits(*(policies.value(name, day) for name in ("session_hours", "keep_logged_in_days", "otp_every_days")))


def _show_challenge(made: rules.Challenge) -> identity_pb2.Challenge:
    now = datetime.now(UTC)
    shown = identity_pb2.Challenge(
        challenge_id=str(made.challenge_id), again_seconds=_seconds(made.again_at() - now), expires_seconds=_seconds(made.expires_at - now)
    )
    shown.expires_at.FromDatetime(made.expires_at)
    return shown


def _show_session(begun: session.Begun) -> identity_pb2.Session:
    now = datetime.now(UTC)
    token, ends = tokens.sign_caller(begun.caller, begun.session.ends_at)
    held = begun.user.assignment(begun.session.role)
    shown = identity_pb2.Session(
        session_id=str(begun.session.session_id),
        access_token=token,
        access_seconds=_seconds(ends - now),
        ends_seconds=_seconds(begun.session.ends_at - now),
        user=show(begun.user),
        assignment=show_assignment(held) if held else None,
    )
    shown.access_expires_at.FromDatetime(ends)
    shown.ends_at.FromDatetime(begun.session.ends_at)
    return shown


def _seconds(left: timedelta) -> int:
    return max(int(left.total_seconds()), 0)


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
