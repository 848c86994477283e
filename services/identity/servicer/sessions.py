"""gRPC in: logins, sessions, forgotten passwords, and whose tokens stand."""

from datetime import UTC, datetime, timedelta
from typing import TypeVar

import grpc

from protos import identity_pb2
from services.chassis import database, ended, settings, tokens
from services.chassis.interceptors import address, caller
from services.identity.commands import password as passwords
from services.identity.commands import session
from services.identity.rules import session as rules
from services.identity.rules.user import check_language, check_password
from services.identity.servicer.show import SERVICE, here, show, show_assignment, transaction
from services.kernel.errors import Refused
from services.kernel.ids import parse_id

Context = grpc.ServicerContext


class Sessions:
    """How somebody begins to work, goes on, and ends."""

    def __init__(self) -> None:
        self._key = settings.text("LOKOS_PERSON_KEY").encode()

    def Login(self, request: identity_pb2.LoginRequest, context: Context) -> identity_pb2.LoginResponse:
        asked = session.Asked(
            rules.typed(request.user_id),
            request.role,
            self._device(request.device),
            rules.check_secret_hash(request.secret_hash, "secret_hash"),
            request.keep_logged_in,
            check_language(request.language, here()),
            address(context),
        )
        with transaction() as connection:
            password_hash, wait = session.look(connection, asked.user_id, asked.device.device, asked.address, self._key, datetime.now(UTC))
        if wait:
            raise rules.slow_down(wait)
        proved = password_hash if passwords.is_right(request.password, password_hash) else ""  # Outside of any transaction: it takes its time.
        with transaction() as connection:
            entered = session.enter(connection, asked, _limits(), self._key, datetime.now(UTC), proved=proved)
        if isinstance(entered, rules.Challenge):
            return identity_pb2.LoginResponse(challenge=_show_challenge(entered))
        return identity_pb2.LoginResponse(session=_show_session(_or_refuse(entered)))

    def ConfirmLogin(self, request: identity_pb2.ConfirmLoginRequest, context: Context) -> identity_pb2.Session:
        tried = session.Tried(parse_id(request.challenge_id, "challenge_id"), request.otp, address(context))
        with transaction() as connection:
            begun = session.confirm(connection, tried, _limits(), self._key, datetime.now(UTC))
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
            asked = session.Switch(request.role, request.unsent_items, request.discard_unsent)
            begun = session.switch_role(connection, caller(), asked, _limits(), self._key, datetime.now(UTC))
        return _show_session(_or_refuse(begun))

    def Logout(self, _request: identity_pb2.LogoutRequest, _context: Context) -> identity_pb2.LogoutResponse:
        with transaction() as connection:
            session.log_out(connection, caller(), datetime.now(UTC))
        return identity_pb2.LogoutResponse()

    def ForgotPassword(self, request: identity_pb2.ForgotPasswordRequest, context: Context) -> identity_pb2.Challenge:
        user_id = rules.typed(request.user_id)
        device = self._device(request.device)
        with transaction() as connection:
            asked = session.forgot(connection, user_id, device, address(context), self._key, datetime.now(UTC))
        return _show_challenge(_or_refuse(asked))

    def SetForgottenPassword(self, request: identity_pb2.SetForgottenPasswordRequest, context: Context) -> identity_pb2.SetForgottenPasswordResponse:
        tried = session.Tried(parse_id(request.challenge_id, "challenge_id"), request.otp, address(context))
        with transaction() as connection:
            proved = session.prove_forgotten(connection, tried, request.new_password, self._key, datetime.now(UTC))
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
            refused = session.change_password(connection, caller(), password_hash, new_hash, where, self._key, datetime.now(UTC))
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


T = TypeVar("T")


def _or_refuse(done: T | Refused) -> T:
    """What a command did; what it refused is raised only now that its audit and counts are kept."""
    if isinstance(done, Refused):
        raise done
    return done


def _limits() -> rules.Limits:
    now = here()
    return rules.Limits(*map(now.policy, ("session_hours", "keep_logged_in_days", "otp_every_days")))


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
    shown = identity_pb2.Session(
        session_id=str(begun.session.session_id),
        access_token=token,
        access_seconds=_seconds(ends - now),
        ends_seconds=_seconds(begun.session.ends_at - now),
        user=show(begun.user),
        assignment=show_assignment(begun.assignment),
    )
    shown.access_expires_at.FromDatetime(ends)
    shown.ends_at.FromDatetime(begun.session.ends_at)
    return shown


def _seconds(left: timedelta) -> int:
    return max(int(left.total_seconds()), 0)
