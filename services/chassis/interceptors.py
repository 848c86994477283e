"""What stands before every RPC: request id, back-pressure, token to caller, permission, refusals to statuses, metrics."""

import gettext
import logging
import re
import time
import uuid
from collections.abc import Awaitable, Callable, Iterable, Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from functools import cache
from io import BytesIO
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Any, Final
from urllib.parse import unquote

import grpc
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po
from google.protobuf import any_pb2, duration_pb2
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import DecodeError, Message
from google.rpc import code_pb2, error_details_pb2, status_pb2
from grpc_status import rpc_status

from protos.common_pb2 import Refusal
from services.chassis import ended, metrics, settings, tokens
from services.chassis.contracts import Rpc
from services.chassis.database import is_away, may_try_again
from services.chassis.logs import request_id
from services.kernel import errors
from services.kernel.caller import Caller, Sight
from services.kernel.ids import parse_id
from services.kernel.region import NATION

log = logging.getLogger(__name__)

RETRY_SECONDS = 1
WAITING_MAX = 256  # Calls that may wait for a thread; while more do, each that gets one is refused, with a delay to retry after.
ENGLISH = "en"
_LOCALES = Path(__file__).parents[1] / "locale"
_NUMBER = re.compile(r"\d+")

CODES: Final[Mapping[type[errors.Refused], int]] = {
    errors.Invalid: code_pb2.INVALID_ARGUMENT,
    errors.NotFound: code_pb2.NOT_FOUND,
    errors.Conflict: code_pb2.FAILED_PRECONDITION,
    errors.Forbidden: code_pb2.PERMISSION_DENIED,
    errors.Unauthenticated: code_pb2.UNAUTHENTICATED,
    errors.Unavailable: code_pb2.UNAVAILABLE,
    errors.Exhausted: code_pb2.RESOURCE_EXHAUSTED,
}
_RETRIED = {code_pb2.UNAVAILABLE, code_pb2.RESOURCE_EXHAUSTED}

_caller: ContextVar[Caller] = ContextVar("caller")
_spoken: ContextVar[str] = ContextVar("spoken", default=ENGLISH)


def caller() -> Caller:
    """Who makes the call that is being answered."""
    return _caller.get()


@cache
def _catalogues() -> dict[str, gettext.NullTranslations]:
    """The languages that services/locale has a catalogue of, and English, in which the sentences are written."""
    return {ENGLISH: gettext.NullTranslations(), **{path.stem: _catalogue(path) for path in _LOCALES.glob("*.po")}}


def _catalogue(path: Path) -> gettext.GNUTranslations:
    """Compiled here, so that nobody has to remember to."""
    compiled = BytesIO()
    with path.open("rb") as written:
        write_mo(compiled, read_po(written, abort_invalid=True))
    compiled.seek(0)
    return gettext.GNUTranslations(compiled)


def _language(accepted: str) -> str:
    """The first language that the caller would accept and we have; English where there is none."""
    wanted = (part.partition(";")[0].strip().partition("-")[0] for part in accepted.split(",")[:10])
    return next((language for language in wanted if language in _catalogues()), ENGLISH)


def in_her_language(words: str) -> str:
    """Words of ours for whoever makes the call that is being answered; in English where the catalogue lacks them.

    The catalogue has # for each number.
    """
    plain = _NUMBER.sub("#", words)
    said = _catalogues()[_spoken.get()].gettext(plain) if words else ""
    numbers = iter(_NUMBER.findall(words))
    return words if said == plain else re.sub("#", lambda _: next(numbers), said)


def sentence(refused: errors.Refused, language: str = ENGLISH) -> str:
    """The refusal's sentence in one of our languages."""
    return refused.said_as(_catalogues()[language].gettext(refused.sentence))


def status_of(refused: errors.Refused, language: str = ENGLISH) -> status_pb2.Status:
    """google.rpc.Status with ErrorInfo (code and parameters), LocalizedMessage, BadRequest (the field), RetryInfo, RequestInfo."""
    code = CODES[type(refused)]
    words = sentence(refused, language)
    details: list[Message] = [
        error_details_pb2.ErrorInfo(reason=refused.code, domain="lokos", metadata={key: str(value) for key, value in refused.params.items()}),
        error_details_pb2.LocalizedMessage(locale=language, message=words),
        error_details_pb2.RequestInfo(request_id=request_id.get()),
    ]
    if refused.field:
        violation = error_details_pb2.BadRequest.FieldViolation(field=refused.field, description=words)
        details.append(error_details_pb2.BadRequest(field_violations=[violation]))
    if code in _RETRIED:
        seconds = int(str(refused.params.get("seconds", RETRY_SECONDS)))  # Some refusals know how long it will take.
        details.append(error_details_pb2.RetryInfo(retry_delay=duration_pb2.Duration(seconds=seconds)))
    packed = []
    for detail in details:
        box = any_pb2.Any()
        box.Pack(detail)
        packed.append(box)
    return status_pb2.Status(code=code, message=words, details=packed)


def show_refusal(refused: errors.Refused, field: str = "") -> Refusal:
    """A refusal as the answer to one item of many; `field` is what the item calls the field at fault."""
    return Refusal(code=refused.code, sentence=sentence(refused), field=field or refused.field)


@dataclass(frozen=True, slots=True)
class Told:
    """What a client reads out of a refusal that `status_of` wrote; empty where it says nothing of the kind."""

    code: str
    field: str
    params: Mapping[str, str]
    retry_seconds: float


def read_refusal(error: grpc.RpcError) -> Told:
    """The refusal in a gRPC error's rich details, whoever it came from."""
    try:
        status = rpc_status.from_call(error)  # type: ignore[arg-type]  # what is raised is the call itself, or has all that is read of one
    except ValueError:  # Details that contradict the status: somebody else's.
        status = None
    info, bad, retry = error_details_pb2.ErrorInfo(), error_details_pb2.BadRequest(), error_details_pb2.RetryInfo()
    for detail in status.details if status else ():
        for kind in (info, bad, retry):
            detail.Unpack(kind)  # Does nothing where it is of another kind.
    field = bad.field_violations[0].field if bad.field_violations else ""
    return Told(info.reason, field, dict(info.metadata), retry.retry_delay.ToTimedelta().total_seconds())


def _status_of_any(error: BaseException, rpc: Rpc, metadata: Mapping[str, str]) -> status_pb2.Status:
    """A refusal's own status; anything else is our bug: logged in full, answered without detail."""
    if isinstance(error, errors.Refused):
        return status_of(error, _language(metadata.get("accept-language", "")))
    log.error("our bug", extra={"rpc": rpc.path}, exc_info=error)
    box = any_pb2.Any()
    box.Pack(error_details_pb2.RequestInfo(request_id=request_id.get()))
    return status_pb2.Status(code=code_pb2.INTERNAL, message="Something is wrong on our side; it has been noted.", details=[box])


def _later(*, away: bool) -> errors.Refused:
    if away:
        return errors.Unavailable("DATABASE_AWAY", "The database does not answer; try again in a moment.")
    return errors.Unavailable("LOST_RACE", "Somebody else was writing the same; try again in a moment.")


def admit(rpc: Rpc, metadata: Mapping[str, str], *, over_federation: bool) -> Caller:
    """The caller, if she may make this call at all.

    Over the federation's port, which asks for the nation's certificate, only a scope of trust lets in; over the users'
    port, only a user's token does.
    """
    if over_federation:
        if not rpc.scope:
            raise errors.Forbidden("SCOPE_NOT_ALLOWED", "The nation may not make this call.")
        return tokens.caller_of(_bearer(metadata), rpc.scope)
    if rpc.anyone:
        return Caller(user_id="")
    who = tokens.caller_of(_bearer(metadata), "")
    ended.view(rpc.service).must_admit(who.session)
    if not rpc.any_role and who.role not in rpc.roles:
        raise errors.Forbidden(
            "ROLE_NOT_ALLOWED",
            "A {role} may not do this.",
            role=who.role.label if who.role else "stranger",
        )
    return who


def must_reach(rpc: Rpc, who: Caller, request: Message) -> None:
    """Refuse a request for a region or an institution that is not hers, as far as her token tells. The queries bound the rest."""
    region = _named(request, rpc.region)
    if region:
        who.must_see_region(region, rpc.region)
    institution = _named(request, rpc.institution) if who.sight is Sight.MAPPED else ""
    if institution:
        who.must_see(parse_id(institution, rpc.institution), NATION, rpc.institution)


def _named(request: Message, path: str) -> str:
    """What the request says in the field of that path, "assignment.region"; empty where there is no such rule."""
    named: Any = request if path else ""
    for name in path.split(".") if path else ():
        named = getattr(named, name)
    return str(named)


def _bearer(metadata: Mapping[str, str]) -> str:
    kind, _, token = metadata.get("authorization", "").partition(" ")
    if kind.lower() != "bearer" or not token:
        raise errors.Unauthenticated("TOKEN_MISSING", "Log in first: this call needs a token.")
    return token


def _take_request_id(metadata: Mapping[str, str]) -> str:
    given = metadata.get("x-request-id", "")
    taken = given if 0 < len(given) <= 64 and given.replace("-", "").isalnum() and given.isascii() else uuid.uuid4().hex
    request_id.set(taken)
    return taken


def _metadata(context: Any) -> dict[str, str]:  # noqa: ANN401 - of the sync or the asyncio server
    return {key: value for key, value in context.invocation_metadata() or () if isinstance(value, str)}


def address(context: grpc.ServicerContext) -> str:
    """Where the caller calls from, without its port; behind LOKOS_PROXIES proxies what the outermost of them noted."""
    proxies = settings.number("LOKOS_PROXIES", 0)
    noted = [one.strip() for one in _metadata(context).get("x-forwarded-for", "").split(",")]
    if proxies and len(noted) >= proxies and noted[-proxies]:
        return _network(noted[-proxies])
    kind, _, peer = str(context.peer()).partition(":")
    return _network(unquote(peer).rpartition(":")[0].strip("[]")) if kind in {"ipv4", "ipv6"} else kind


def _network(text: str) -> str:
    """Of IPv6 the first half, since whoever has one address has all of those."""
    try:
        found = ip_address(text)
    except ValueError:
        return text[:64]
    return str(ip_network((found, 64), strict=False)) if found.version == 6 else str(found)


def _over_federation(context: Any) -> bool:  # noqa: ANN401 - of the sync or the asyncio server
    return "x509_common_name" in context.auth_context()


def _read(deserialize: Callable[[bytes], Any], raw: bytes) -> Any:  # noqa: ANN401 - a request message
    try:
        request = deserialize(raw)
    except DecodeError:
        raise errors.Invalid("REQUEST_UNREADABLE", "The request could not be read.") from None
    # No text has a NUL where not even the whole has one, as nearly always. Others have one in a number, or where something is empty.
    if b"\0" in raw and (field := _field_with_nul(request)):
        raise errors.Invalid("TEXT_INVALID", "This holds a character that is no letter, digit or sign.", field=field)
    return request


def _field_with_nul(message: Message) -> str:
    """The path of the first text that holds the one character which PostgreSQL keeps nowhere, "accounts[0].holder_name"; empty without one."""
    for field, value in message.ListFields():
        if field.type not in {field.TYPE_STRING, field.TYPE_MESSAGE}:
            continue
        for place, one in _entries(field, value):
            if isinstance(one, Message):
                inner = _field_with_nul(one)
                if inner:
                    return f"{field.name}{place}.{inner}"
            elif isinstance(one, str) and "\0" in one:  # Keys of a map may be numbers.
                return f"{field.name}{place}"
    return ""


def _entries(field: FieldDescriptor, value: Any) -> Iterable[tuple[str, Any]]:  # noqa: ANN401 - of any field
    """All that stands in a field, each with its place."""
    if not field.is_repeated:
        return [("", value)]
    if isinstance(value, Mapping):  # Its keys are text too.
        return [entry for key, one in value.items() for entry in (("", key), (f"[{key}]", one))]
    return [(f"[{place}]", one) for place, one in enumerate(value)]


def _count(rpc: Rpc, started: float, code: int) -> None:
    metrics.CALLS.labels(rpc.name, code_pb2.Code.Name(code)).inc()
    metrics.CALL_SECONDS.labels(rpc.name).observe(time.perf_counter() - started)


def _show_at_zero(rpcs: Iterable[Rpc]) -> None:
    """Every RPC, before the first call comes."""
    for rpc in rpcs:
        for code in (code_pb2.OK, code_pb2.INTERNAL):
            metrics.CALLS.labels(rpc.name, code_pb2.Code.Name(code))


class Door(grpc.ServerInterceptor):
    """The one interceptor of `serve`. `waiting` tells how many calls wait for a thread."""

    def __init__(self, rpcs: Mapping[str, Rpc], waiting: Callable[[], int]) -> None:
        self._rpcs = rpcs
        _show_at_zero(rpcs.values())
        self._waiting = waiting

    def intercept_service(self, continuation: Any, details: Any) -> Any:  # noqa: ANN401 - grpc's shapes
        handler = continuation(details)
        rpc = self._rpcs.get(details.method)
        if handler is None or rpc is None:
            return handler  # Health and reflection.

        def answer(raw: bytes, context: grpc.ServicerContext) -> Any:  # noqa: ANN401 - a response message
            return self._answer(rpc, handler, raw, context)

        # The request is read inside, so that one that cannot be read is refused rather than called our bug.
        return grpc.unary_unary_rpc_method_handler(answer, None, handler.response_serializer)

    def _answer(self, rpc: Rpc, handler: Any, raw: bytes, context: grpc.ServicerContext) -> Any:  # noqa: ANN401
        started = time.perf_counter()
        metadata = _metadata(context)
        context.send_initial_metadata((("x-request-id", _take_request_id(metadata)),))
        try:
            if self._waiting() > WAITING_MAX:
                metrics.CALLS_SHED.inc()
                raise errors.busy()
            left = context.time_remaining()
            if left is not None and left <= 0:
                raise errors.Unavailable("TOO_LATE", "The answer would come too late.")
            _caller.set(admit(rpc, metadata, over_federation=_over_federation(context)))
            _spoken.set(_language(metadata.get("accept-language", "")))
            request = _read(handler.request_deserializer, raw)
            must_reach(rpc, caller(), request)
            response = self._run(rpc, handler, request, context)
        except (Exception, SystemExit) as error:  # noqa: BLE001 - whatever it is, a missing setting too, the caller gets a status
            status = _status_of_any(error, rpc, metadata)
        else:
            _count(rpc, started, code_pb2.OK)
            return response
        _count(rpc, started, status.code)
        return context.abort_with_status(rpc_status.to_status(status))

    def _run(self, rpc: Rpc, handler: Any, request: Message, context: grpc.ServicerContext) -> Any:  # noqa: ANN401
        """Once more after a lost connection or a lost race, where the call may safely be run twice."""
        for last in (False, True):
            try:
                return handler.unary_unary(request, context)
            except errors.Refused:
                raise
            except Exception as error:
                away = is_away(error)
                if not away and not may_try_again(error):
                    raise
                if last or not rpc.idempotent:
                    raise _later(away=away) from error
        raise AssertionError


class AioDoor(grpc.aio.ServerInterceptor):
    """The same for the gateway, which is asyncio because it fans out."""

    def __init__(self, rpcs: Mapping[str, Rpc]) -> None:
        self._rpcs = rpcs
        _show_at_zero(rpcs.values())

    async def intercept_service(self, continuation: Callable[[Any], Awaitable[Any]], details: Any) -> Any:  # noqa: ANN401
        handler = await continuation(details)
        rpc = self._rpcs.get(details.method)
        if handler is None or rpc is None:
            return handler

        async def answer(raw: bytes, context: Any) -> Any:  # noqa: ANN401 - a response message
            started = time.perf_counter()
            metadata = _metadata(context)
            await context.send_initial_metadata((("x-request-id", _take_request_id(metadata)),))
            try:
                _caller.set(admit(rpc, metadata, over_federation=False))
                request = _read(handler.request_deserializer, raw)
                must_reach(rpc, caller(), request)
                response = await handler.unary_unary(request, context)
            except (Exception, SystemExit) as error:  # noqa: BLE001 - whatever it is, a missing setting too, the caller gets a status
                status = _status_of_any(error, rpc, metadata)
            else:
                _count(rpc, started, code_pb2.OK)
                return response
            _count(rpc, started, status.code)
            rich = rpc_status.to_status(status)
            return await context.abort(rich.code, rich.details, rich.trailing_metadata)

        return grpc.unary_unary_rpc_method_handler(answer, None, handler.response_serializer)
