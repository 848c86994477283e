"""A client as a device has one: a channel, a user's session, retries that are safe, and refusals in words."""

import fcntl
import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc

from deploy.demo.device import TOKEN_LEFT_SECONDS, Device, wait_for_otp
from deploy.machine.keys import write_private
from protos import (
    dedup_pb2_grpc,
    gateway_pb2_grpc,
    identity_pb2,
    identity_pb2_grpc,
    profiles_pb2_grpc,
    reporting_pb2_grpc,
    transactions_pb2_grpc,
)
from services.chassis.interceptors import read_refusal

DEADLINE_SECONDS = 10.0
RETRY_SECONDS_MAX = 60.0
PAUSE_SECONDS = 0.3
# Worth another try: the server is away, busy, or going down (it cancels what it had not begun), and every call made here
# is safe to repeat.
_AGAIN = {
    grpc.StatusCode.UNAVAILABLE,
    grpc.StatusCode.RESOURCE_EXHAUSTED,
    grpc.StatusCode.DEADLINE_EXCEEDED,
    grpc.StatusCode.CANCELLED,
}

Call = Callable[..., Any]


class RefusedError(Exception):
    """What the server said no with."""

    def __init__(self, status: grpc.StatusCode, code: str, sentence: str, field: str, retry_seconds: float) -> None:
        super().__init__(f"{code or status.name}: {sentence}")
        self.status = status
        self.code = code
        self.sentence = sentence
        self.field = field
        self.retry_seconds = retry_seconds


def refused(error: grpc.RpcError) -> RefusedError:
    """The refusal that a gRPC error carries in its rich details."""
    told = read_refusal(error)
    return RefusedError(error.code(), told.code, error.details() or "", told.field, told.retry_seconds)


@dataclass(frozen=True, slots=True)
class Login:
    """Who works, in which role."""

    user_id: str
    password: str
    role: str


# Of these a token is worth nothing any more, and her device can get another one.
_WITHOUT_TOKEN = {"SESSION_ENDED", "TOKEN_STALE", "TOKEN_EXPIRED", "TOKEN_FOREIGN"}


@dataclass(frozen=True, slots=True)
class Pocket:
    """Where a machine's users keep their devices, a private file each, and where their one-time passwords arrive.

    Programs that share it are one device, as they must be: a user works on one at a time.
    """

    devices: Path
    inbox: Path

    @contextmanager
    def device(self, user_id: str) -> Iterator[Device]:
        """A user's device, for one program at a time; what it learnt is kept whatever happens."""
        file = self.devices / f"{user_id}.json"
        self.devices.mkdir(mode=0o700, parents=True, exist_ok=True)
        with file.with_suffix(".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            held = Device(**json.loads(file.read_text(encoding="utf-8"))) if file.exists() else Device()
            try:
                yield held
            finally:
                self.keep(user_id, held)

    def keep(self, user_id: str, held: Device) -> None:
        write_private(self.devices / f"{user_id}.json", held.to_json())


class Client:
    """Speaks to one instance (or the gateway) as nobody yet, or as one user in one role."""

    def __init__(
        self, address: str, ca_file: Path, login: Login | None = None, *, pocket: Pocket | None = None, identity_address: str | None = None
    ) -> None:
        credentials = grpc.ssl_channel_credentials(ca_file.read_bytes())
        options = [("grpc.initial_reconnect_backoff_ms", 200), ("grpc.max_reconnect_backoff_ms", 1000), ("grpc.use_local_subchannel_pool", 1)]
        self._channel = grpc.secure_channel(address, credentials, options)
        self._identity_channel = grpc.secure_channel(identity_address, credentials, options) if identity_address else self._channel
        self.login = login
        self._pocket = pocket
        self._token = ""
        self._token_ends = 0.0
        self.identity = identity_pb2_grpc.IdentityServiceStub(self._identity_channel)
        self.profiles = profiles_pb2_grpc.ProfilesServiceStub(self._channel)
        self.transactions = transactions_pb2_grpc.TransactionsServiceStub(self._channel)
        self.dedup = dedup_pb2_grpc.DedupServiceStub(self._channel)
        self.reporting = reporting_pb2_grpc.ReportingServiceStub(self._channel)
        self.gateway = gateway_pb2_grpc.GatewayServiceStub(self._channel)

    def close(self) -> None:
        self._channel.close()
        self._identity_channel.close()

    @property
    def token(self) -> str:
        """The user's token, taken anew a minute before it ends; empty before login."""
        if self.login is not None and time.time() > self._token_ends - TOKEN_LEFT_SECONDS:
            self._renew(self.login)
        return self._token

    def _renew(self, login: Login) -> None:
        """Another token than the one at hand: what the device has got meanwhile, or by its session's secret, or by a login."""
        if self._pocket is None:
            raise ValueError("A user works on a device: give the client its pocket.")
        with self._pocket.device(login.user_id) as device:
            if not device.has_token(login.role) or device.token == self._token:
                if device.session_id and device.role == login.role:
                    request = device.refresh()
                    self._pocket.keep(login.user_id, device)
                    self._refresh(device, request)
                if not device.session_id or device.role != login.role:
                    self._log_in(device, login, self._pocket.inbox)
            self._token, self._token_ends = device.token, device.token_ends

    def _refresh(self, device: Device, request: identity_pb2.RefreshRequest) -> None:
        try:
            device.begin(self._call(self.identity.Refresh, request, (), DEADLINE_SECONDS))
        except RefusedError as error:
            if error.code != "SESSION_ENDED":
                raise
            device.end()

    def _log_in(self, device: Device, login: Login, inbox: Path) -> None:
        answer = self._call(self.identity.Login, device.login(login.user_id, login.password, login.role), (), DEADLINE_SECONDS)
        session = answer.session
        if answer.HasField("challenge"):
            challenge_id = answer.challenge.challenge_id
            proof = identity_pb2.ConfirmLoginRequest(challenge_id=challenge_id, otp=wait_for_otp(inbox, challenge_id))
            session = self._call(self.identity.ConfirmLogin, proof, (), DEADLINE_SECONDS)
        device.begin(session)

    def forget_token(self) -> None:
        """Take another token at the next call, for instance because the user's institutions changed."""
        self._token_ends = 0.0

    def __call__(self, method: Call, request: Any, *, deadline_seconds: float = DEADLINE_SECONDS, retry_seconds: float = 0.0) -> Any:  # noqa: ANN401 - a response message
        """Make a call; RefusedError where it is refused. With `retry_seconds` go on trying while the server is away."""
        until = time.monotonic() + min(retry_seconds, RETRY_SECONDS_MAX)
        renewed = False
        while True:
            try:
                token = self.token
                return self._call(method, request, (("authorization", f"Bearer {token}"),) if token else (), deadline_seconds)
            except RefusedError as error:
                if error.code in _WITHOUT_TOKEN and self.login and not renewed:
                    renewed = True
                    self.forget_token()
                    continue
                pause = max(error.retry_seconds, PAUSE_SECONDS)
                if error.status not in _AGAIN or time.monotonic() + error.retry_seconds > until:
                    raise
                time.sleep(pause)

    @staticmethod
    def _call(method: Call, request: Any, metadata: tuple[tuple[str, str], ...], deadline_seconds: float) -> Any:  # noqa: ANN401
        try:
            return method(request, metadata=metadata, timeout=deadline_seconds)
        except grpc.RpcError as error:
            raise refused(error) from None
