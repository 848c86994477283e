"""A client as a device has one: a channel, a user's token, retries that are safe, and refusals in words."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc

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


class Client:
    """Speaks to one instance (or the gateway) as nobody yet, or as one user in one role."""

    def __init__(self, address: str, ca_file: Path, login: Login | None = None, *, identity_address: str | None = None) -> None:
        credentials = grpc.ssl_channel_credentials(ca_file.read_bytes())
        options = [("grpc.initial_reconnect_backoff_ms", 200), ("grpc.max_reconnect_backoff_ms", 1000), ("grpc.use_local_subchannel_pool", 1)]
        self._channel = grpc.secure_channel(address, credentials, options)
        self._identity_channel = grpc.secure_channel(identity_address, credentials, options) if identity_address else self._channel
        self._login = login
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
        if self._login is not None and time.time() > self._token_ends - 60:
            answer = self._call(
                self.identity.Login,
                identity_pb2.LoginRequest(user_id=self._login.user_id, password=self._login.password, role=self._login.role),
                (),
                DEADLINE_SECONDS,
            )
            self._token, self._token_ends = answer.access_token, answer.expires_at.seconds
        return self._token

    def forget_token(self) -> None:
        """Log in anew at the next call, for instance because the user's institutions changed."""
        self._token_ends = 0.0

    def __call__(self, method: Call, request: Any, *, deadline_seconds: float = DEADLINE_SECONDS, retry_seconds: float = 0.0) -> Any:  # noqa: ANN401 - a response message
        """Make a call; RefusedError where it is refused. With `retry_seconds` go on trying while the server is away."""
        until = time.monotonic() + min(retry_seconds, RETRY_SECONDS_MAX)
        while True:
            try:
                token = self.token
                return self._call(method, request, (("authorization", f"Bearer {token}"),) if token else (), deadline_seconds)
            except RefusedError as error:
                if error.status not in _AGAIN or time.monotonic() > until:
                    raise
                time.sleep(max(error.retry_seconds, PAUSE_SECONDS))

    @staticmethod
    def _call(method: Call, request: Any, metadata: tuple[tuple[str, str], ...], deadline_seconds: float) -> Any:  # noqa: ANN401
        try:
            return method(request, metadata=metadata, timeout=deadline_seconds)
        except grpc.RpcError as error:
            raise refused(error) from None
