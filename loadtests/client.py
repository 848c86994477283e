"""Who works with which device (the people file), and what a device does on the wire: its token, its calls, its tries again.

Locust runs on gevent and the sender on asyncio; both drive this code, and only a Wire knows which of the two it is.
Runs in .venv-load: imports grpc, protos, the kernel and what a device keeps.
"""

import json
import random
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from itertools import cycle
from pathlib import Path
from typing import Any, NoReturn, Protocol

import grpc
from google.protobuf.message import Message
from google.rpc import error_details_pb2, status_pb2

from deploy.demo import device
from protos import gateway_pb2_grpc, identity_pb2, identity_pb2_grpc, profiles_pb2_grpc, reporting_pb2_grpc, transactions_pb2, transactions_pb2_grpc
from services.kernel.caller import Role

DEADLINE_SECONDS = 10.0
RETRY_SECONDS_MAX = 60.0
PAUSE_SECONDS = 0.3
TOKEN_LEFT_SECONDS = 60
STUBS: Mapping[str, Callable[[Any], Any]] = {
    "identity": identity_pb2_grpc.IdentityServiceStub,
    "profiles": profiles_pb2_grpc.ProfilesServiceStub,
    "transactions": transactions_pb2_grpc.TransactionsServiceStub,
    "reporting": reporting_pb2_grpc.ReportingServiceStub,
    "gateway": gateway_pb2_grpc.GatewayServiceStub,
}
# The server is away, busy or going down, and every call that a device makes may be sent twice.
_AGAIN = {
    grpc.StatusCode.UNAVAILABLE,
    grpc.StatusCode.RESOURCE_EXHAUSTED,
    grpc.StatusCode.DEADLINE_EXCEEDED,
    grpc.StatusCode.CANCELLED,
}

Metadata = tuple[tuple[str, str], ...]
# What is wrong with an answer, in words; empty where nothing is.
Fault = Callable[[Any], str]


def _no_fault(_: object) -> str:
    return ""


class PeopleError(ValueError):
    """The people file cannot be used; the message says why and what to do."""


@dataclass(frozen=True, slots=True)
class Institution:
    """A group that meets. `block` is the LGD path of its block."""

    institution_id: str
    block: str
    member_ids: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class User:
    """Who works, in which role, for whom."""

    user_id: str
    password: str
    role: Role
    region: str
    institutions: tuple[Institution, ...] = ()


@dataclass(frozen=True, slots=True)
class Server:
    """Where users call (TLS), who signed its certificate, and the folder that its sandbox puts messages into, if there is one here."""

    address: str
    ca_file: Path
    inbox: Path | None = None


@dataclass(frozen=True, slots=True)
class People:
    """One state and those who use it, and those who ask the nation, if any. Servers name the sandbox inbox of their one-time passwords."""

    code: str
    state: Server
    users: tuple[User, ...]
    nation: Server | None = None
    gateway: Server | None = None
    national_users: tuple[User, ...] = ()

    def in_role(self, *roles: Role) -> list[User]:
        return [user for user in self.users if user.role in roles]

    @property
    def groups(self) -> list[Institution]:
        """Those for which somebody keeps the books."""
        return [group for user in self.in_role(Role.SHG_BOOKKEEPER) for group in user.institutions]


def people_file(run: Path, code: str) -> Path:
    """Where a state's is kept, in the run folder of its machine."""
    return run / "load" / f"{code}.json"


def read_people(file: Path) -> People:
    """The people file. Raises PeopleError with a sentence where it will not do."""
    try:
        told = json.loads(file.read_text(encoding="utf-8"))
        people = _people(told, file.parent)
    except OSError:
        raise PeopleError(f"There is no people file {file}: `python -m loadtests.people` makes one on this machine's demo.") from None
    except json.JSONDecodeError as error:
        raise PeopleError(f"{file} is no JSON: {error}.") from None
    except KeyError as missing:
        raise PeopleError(f"{file} lacks {missing}: see `python -m loadtests.people --help` for what it holds.") from None
    except (TypeError, AttributeError, ValueError) as error:
        raise PeopleError(f"{file} is no people file: {error}.") from None
    if not any(user.institutions for user in people.in_role(Role.SHG_BOOKKEEPER)):
        raise PeopleError(f"{file} has no {Role.SHG_BOOKKEEPER} with an institution, and so nobody who could send a meeting.")
    for server in (people.state, people.nation):
        if server and not server.ca_file.is_file():
            raise PeopleError(f"{file} names the ca_file {server.ca_file}, which is not there.")
    return people


def _people(told: Mapping[str, Any], folder: Path) -> People:
    state, nation = told["state"], told.get("nation")
    users = tuple(map(_user, told["users"]))
    server = Server(state["address"], folder / state["ca_file"], _inbox(state, folder))
    if not nation:
        return People(state["code"], server, users)
    ca_file = folder / nation["ca_file"]
    gateway = Server(nation["gateway_address"], ca_file)
    identity = Server(nation["address"], ca_file, _inbox(nation, folder))
    return People(state["code"], server, users, identity, gateway, tuple(map(_user, nation["users"])))


def _inbox(told: Mapping[str, Any], folder: Path) -> Path | None:
    return folder / told["inbox"] if told.get("inbox") else None


def _user(told: Mapping[str, Any]) -> User:
    groups = tuple(Institution(one["institution_id"], one["block"], tuple(one["member_ids"])) for one in told.get("institutions", ()))
    for group in groups:
        if not group.member_ids:
            raise ValueError(f"the institution {group.institution_id} of {told['user_id']} has no members")
    return User(told["user_id"], told["password"], Role(told["role"]), told["region"], groups)


def people_json(people: People) -> str:
    """What `read_people` reads."""
    told: dict[str, Any] = {
        "state": {"code": people.code, "address": people.state.address, "ca_file": str(people.state.ca_file), "inbox": str(people.state.inbox or "")},
        "users": [asdict(user) for user in people.users],
    }
    if people.nation and people.gateway:
        told["nation"] = {
            "address": people.nation.address,
            "gateway_address": people.gateway.address,
            "ca_file": str(people.nation.ca_file),
            "inbox": str(people.nation.inbox or ""),
            "users": [asdict(user) for user in people.national_users],
        }
    return json.dumps(told, indent=1) + "\n"


class Wire(Protocol):
    """How a call is made and how time passes: blocking under gevent, awaited under asyncio."""

    def open(self, server: Server) -> Any: ...  # noqa: ANN401 - a channel of grpc or of grpc.aio

    async def send(self, method: Any, request: Message, metadata: Metadata) -> Any: ...  # noqa: ANN401 - a stub's method, a response

    async def pause(self, seconds: float) -> None: ...


def credentials(server: Server) -> grpc.ChannelCredentials:
    return grpc.ssl_channel_credentials(server.ca_file.read_bytes())


# One channel is one connection, and so one server process: only with a pool of its own does each get another.
OPTIONS = (("grpc.use_local_subchannel_pool", 1), ("grpc.initial_reconnect_backoff_ms", 200), ("grpc.max_reconnect_backoff_ms", 1000))


@dataclass
class Network:
    """A few connections to each server; devices are put onto them in turn."""

    wire: Wire
    connections: int
    _turns: dict[Server, Iterator[dict[str, Any]]] = field(default_factory=dict)

    def stubs(self, server: Server) -> dict[str, Any]:
        """The services behind the next connection, by name."""
        if server not in self._turns:
            channels = [self.wire.open(server) for _ in range(self.connections)]
            self._turns[server] = cycle([{name: stub(channel) for name, stub in STUBS.items()} for channel in channels])
        return next(self._turns[server])


@dataclass(frozen=True, slots=True)
class Sample:
    """One step of a journey, as the person at the device felt it: tries again included. `fault` is empty where all went well."""

    journey: str
    step: str
    seconds: float
    fault: str = ""
    again: int = 0


class CallFailedError(Exception):
    """A call that failed for good; it is in the statistics already, and its journey ends here."""


class Device:
    """One user at work: her session, refreshed before its token ends, and calls that are made again while the server is away or busy."""

    def __init__(self, wire: Wire, stubs: Mapping[str, Any], user: User, note: Callable[[Sample], None], inbox: Path | None = None) -> None:
        self.user = user
        self._wire = wire
        self._stubs = stubs
        self._note = note
        self._inbox = inbox
        self._kept = device.Device(name="Load test")
        self.chart: transactions_pb2.Chart | None = None  # Once it was asked for.

    async def log_in(self, journey: str) -> None:
        """With a one-time password where the server asks for it."""
        request = self._kept.login(self.user.user_id, self.user.password, self.user.role)
        answer = await self._call(journey, "identity.Login", request, (), "", _no_fault)
        session = answer.session
        if answer.HasField("challenge"):
            challenge_id = answer.challenge.challenge_id
            proof = identity_pb2.ConfirmLoginRequest(challenge_id=challenge_id, otp=await self._otp(journey, challenge_id))
            session = await self._call(journey, "identity.ConfirmLogin", proof, (), "", _no_fault)
        self._kept.begin(session)

    async def _otp(self, journey: str, challenge_id: str) -> str:
        begun = time.perf_counter()
        while not (otp := device.read_otp(device.otp_file(self._inbox, challenge_id)) if self._inbox else ""):
            waited = time.perf_counter() - begun
            if self._inbox is None or waited > device.OTP_WAIT_SECONDS:
                self._fail(Sample(journey, "OTP", waited, "OTP_MISSING: the people file names no inbox, or nothing came into it"))
            await self._wire.pause(device.OTP_LOOK_SECONDS)
        return otp

    async def _renew(self, journey: str) -> None:
        """By the session's secret; by a login where the session has ended, as it does after a day."""
        if self._kept.session_id:
            session = await self._call(journey, "identity.Refresh", self._kept.refresh(), (), "", _no_fault, none_if="SESSION_ENDED")
            if session:
                self._kept.begin(session)
                return
            self._kept.end()
        await self.log_in(journey)

    async def call(self, journey: str, rpc: str, request: Message, *, step: str = "", fault: Fault = _no_fault) -> Any:  # noqa: ANN401 - a response
        """Make a call, "transactions.Pull", and note how it went. Raises CallFailedError where no answer comes."""
        if not self._kept.has_token(self.user.role):
            await self._renew(journey)
        return await self._call(journey, rpc, request, (("authorization", f"Bearer {self._kept.token}"),), step, fault)

    async def _call(self, journey: str, rpc: str, request: Message, metadata: Metadata, step: str, fault: Fault, none_if: str = "") -> Any:  # noqa: ANN401 - as above; None where it is refused with that code
        service, _, name = rpc.partition(".")
        step, begun, again = step or name, time.perf_counter(), 0
        while True:
            try:
                answer = await self._wire.send(getattr(self._stubs[service], name), request, metadata)
            except grpc.RpcError as error:
                waited = time.perf_counter() - begun
                if none_if and _told(error)[0] == none_if:
                    return None
                if error.code() not in _AGAIN or waited > RETRY_SECONDS_MAX:
                    self._fail(Sample(journey, step, waited, _words(error), again))
                again += 1
                # Devices that were sent away together do not come back together.
                await self._wire.pause(max(_told(error)[1], PAUSE_SECONDS) * random.uniform(1, 2))  # noqa: S311 - no secret
                continue
            self._note(Sample(journey, step, time.perf_counter() - begun, fault(answer), again))
            return answer

    def _fail(self, sample: Sample) -> NoReturn:
        self._note(sample)
        raise CallFailedError(f"{sample.step}: {sample.fault}") from None


def _told(error: grpc.RpcError) -> tuple[str, float]:
    """A refusal's stable code, and after how many seconds the server asks to be called again; from its rich details."""
    trailing: Any = error.trailing_metadata() or ()
    raw = next((value for key, value in trailing if key == "grpc-status-details-bin"), b"")
    info, retry = error_details_pb2.ErrorInfo(), error_details_pb2.RetryInfo()
    for detail in status_pb2.Status.FromString(raw).details:
        for kind in (info, retry):
            detail.Unpack(kind)  # Does nothing where it is of another kind.
    return info.reason, retry.retry_delay.ToTimedelta().total_seconds()


def _words(error: grpc.RpcError) -> str:
    return f"{_told(error)[0] or error.code().name}: {error.details()}"
