"""One question to all states at once, each with a deadline: who answered, who did not, and why."""

import asyncio
import logging
import time
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from enum import StrEnum
from pathlib import Path
from typing import Final

import grpc
from prometheus_client import Gauge, Histogram

from gateway.registry import States
from gateway.snapshots import Snapshot, Snapshots
from protos.reporting_pb2 import ReportRequest, ReportResponse
from protos.reporting_pb2_grpc import ReportingServiceStub
from services.chassis import settings, tokens
from services.chassis.interceptors import read_refusal
from services.chassis.logs import request_id
from services.kernel.errors import Invalid, NotFound, Refused
from services.kernel.month import financial_year, month_of, today
from services.kernel.region import contains

log = logging.getLogger(__name__)

DEADLINE_SECONDS = 1.5
# Of the caller's own deadline, what is kept for merging and for the way back.
KEPT_BACK_SECONDS = 0.1
FAILURES_MAX = 3
PROBE_SECONDS = 5.0
STANDARD_SECONDS = 60.0
TOKEN_LIFE = timedelta(minutes=5)
TOKEN_RENEWED = timedelta(minutes=1)

PARTS = Gauge("lokos_parts", "1 for how fresh a state's part of the standard report is, 0 for what it is not", ["state", "freshness"])
PART_AGE_SECONDS = Gauge("lokos_part_age_seconds", "Age of a state's part of the standard report", ["state"])
STATE_SECONDS = Histogram("lokos_gateway_state_seconds", "Time a state took to answer, or to fail", ["state"])

_AWAY: Final = {
    grpc.StatusCode.UNAVAILABLE: "It cannot be reached.",
    grpc.StatusCode.DEADLINE_EXCEEDED: "It did not answer in time.",
    grpc.StatusCode.RESOURCE_EXHAUSTED: "It has too much to do.",
}
# Our token is neither old nor of a time to come by our own clock.
_CLOCK_CODES: Final = {"CLOCK_SKEW", "TOKEN_EXPIRED"}
_CLOCK: Final = "Its clock and the nation's differ; one of them must be set right."
_REFUSALS: Final[dict[grpc.StatusCode, type[Refused]]] = {grpc.StatusCode.INVALID_ARGUMENT: Invalid, grpc.StatusCode.NOT_FOUND: NotFound}


class Freshness(StrEnum):
    """As in protos/gateway.proto."""

    FRESH = "FRESH"
    STALE = "STALE"
    MISSING = "MISSING"
    UNSUPPORTED = "UNSUPPORTED"


@dataclass(frozen=True, slots=True)
class Answer:
    """What came of asking one state. `refused` is the state's own refusal of the question."""

    state: str
    freshness: Freshness
    report: ReportResponse | None = None
    at: datetime | None = None
    reason: str = ""
    refused: Refused | None = None


class Breaker:
    """Keeps calls from a state that does not answer; lets one through now and then to see whether it is back."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._failures = 0
        self._probe_at: float | None = None
        self._probing = False

    @property
    def open(self) -> bool:
        return self._probe_at is not None

    def lets_through(self) -> bool:
        """Whether to call. Whoever is let through must say how it went."""
        if self._probe_at is None:
            return True
        if self._probing or self._clock() < self._probe_at:
            return False
        self._probing = True
        return True

    def answered(self) -> None:
        self._failures, self._probe_at, self._probing = 0, None, False

    def failed(self) -> None:
        self._failures += 1
        if self._failures >= FAILURES_MAX:
            self._probe_at, self._probing = self._clock() + PROBE_SECONDS, False

    def given_up(self) -> None:
        """The caller left before it could be known."""
        self._probing = False


class Line:
    """The way to one instance: its channel, the token that it takes from us for one purpose, its breaker."""

    def __init__(self, state: str, address: str, certificate: str, purpose: str = "aggregates") -> None:
        self.state = state
        self.address = address
        self.certificate = certificate
        self.breaker = Breaker()
        self._purpose = purpose
        self._channel: grpc.aio.Channel | None = None
        self._token = ""
        self._token_ends = datetime.now(UTC)
        self._closing: set[asyncio.Task[None]] = set()

    async def report(self, question: ReportRequest, seconds: float) -> ReportResponse:
        answer: ReportResponse = await ReportingServiceStub(self.channel()).Report(question, timeout=seconds, metadata=self.metadata())
        return answer

    def metadata(self) -> tuple[tuple[str, str], ...]:
        return (("authorization", f"Bearer {self._fresh_token()}"), ("x-request-id", request_id.get() or uuid.uuid4().hex))

    def channel(self) -> grpc.aio.Channel:
        if self._channel is None:
            self._channel = self._open()
        return self._channel

    def _open(self) -> grpc.aio.Channel:
        credentials = grpc.ssl_channel_credentials(
            self.certificate.encode(),
            Path(settings.text("GATEWAY_TLS_KEY_FILE")).read_bytes(),
            Path(settings.text("GATEWAY_TLS_CERT_FILE")).read_bytes(),
        )
        # A pool of its own: a new channel then is a new connection, and not the broken one with its growing pauses.
        return grpc.aio.secure_channel(self.address, credentials, [("grpc.use_local_subchannel_pool", 1)])

    def _fresh_token(self) -> str:
        if datetime.now(UTC) > self._token_ends - TOKEN_RENEWED:
            key_file, key_id = Path(settings.text("GATEWAY_SIGNING_KEY_FILE")), settings.text("GATEWAY_SIGNING_KEY_ID")
            self._token, self._token_ends = tokens.sign(self._purpose, self.state, TOKEN_LIFE, {}, key_file=key_file, key_id=key_id)
        return self._token

    def hang_up(self) -> None:
        """Connect anew next time. Calls under way may end: one that is cut off would look as if its caller had left."""
        if self._channel is not None:
            task = asyncio.create_task(self._channel.close(grace=2 * DEADLINE_SECONDS))
            self._closing.add(task)
            task.add_done_callback(self._closing.discard)
            self._channel = None

    async def close(self) -> None:
        if self._channel is not None:
            await self._channel.close()
        await asyncio.gather(*self._closing)


class Asker:
    """Asks, and keeps what it takes to ask again."""

    def __init__(self, states: States, snapshots: Snapshots, deadline_seconds: float = DEADLINE_SECONDS) -> None:
        self._states = states
        self._snapshots = snapshots
        self._deadline_seconds = deadline_seconds
        self._lines: dict[str, Line] = {}

    async def ask(self, states: Sequence[str], question: ReportRequest, seconds_left: float | None = None) -> list[Answer]:
        """One answer a state, in the order given, within the deadline, whoever is away."""
        known = {instance.code: instance for instance in self._states.all()}
        patience = self._deadline_seconds if seconds_left is None else min(self._deadline_seconds, max(seconds_left - KEPT_BACK_SECONDS, 0.001))
        lines = [self._line(state, known[state].address, known[state].certificate) for state in states]
        return await asyncio.gather(
            *(self._ask(line, str(known[line.state].lgd_code), question, patience) for line in lines),
        )

    def _line(self, state: str, address: str, certificate: str) -> Line:
        line = self._lines.get(state)
        if line is None or (line.address, line.certificate) != (address, certificate):
            if line is not None:
                line.hang_up()
            line = self._lines[state] = Line(state, address, certificate)
        return line

    async def _ask(self, line: Line, region: str, question: ReportRequest, patience: float) -> Answer:
        breaker = line.breaker
        if not breaker.lets_through():
            return self._stand_in(line.state, question, "It did not answer the last times, and is asked again in a moment.")
        started = time.perf_counter()
        known = False
        try:
            report = await line.report(question, patience)
            known = True
        except grpc.aio.AioRpcError as error:
            # A caller in a hurry is no evidence against a state.
            known = not (error.code() is grpc.StatusCode.DEADLINE_EXCEEDED and patience < self._deadline_seconds)
            if known and error.code() in _AWAY:
                breaker.failed()
                if breaker.open:
                    line.hang_up()
            elif known:
                breaker.answered()
            return self._without_report(line.state, question, error)
        except Exception:  # A file that cannot be read, an address that is none: it costs this state's part alone.
            log.exception("a state could not be asked", extra={"state": line.state})
            return self._stand_in(line.state, question, "It could not be asked.")
        finally:
            STATE_SECONDS.labels(line.state).observe(time.perf_counter() - started)
            if not known:
                breaker.given_up()
        breaker.answered()
        _keep_own_rows(report, region)
        snapshot = Snapshot(report, datetime.now(UTC))
        self._snapshots.put(line.state, question, snapshot)
        return Answer(line.state, Freshness.FRESH, snapshot.answer, snapshot.at)

    def _without_report(self, state: str, question: ReportRequest, error: grpc.aio.AioRpcError) -> Answer:
        refused = refusal_of(error)
        if error.code() is grpc.StatusCode.UNIMPLEMENTED or (refused and refused.code == "REPORT_UNKNOWN"):
            return Answer(state, Freshness.UNSUPPORTED, reason="Its version does not know this report.")
        if refused:
            return replace(self._stand_in(state, question, str(refused)), refused=refused)
        told = read_refusal(error).code
        log.info("a state did not answer", extra={"state": state, "code": told or error.code().name})
        if told in _CLOCK_CODES:
            return self._stand_in(state, question, _CLOCK)
        return self._stand_in(state, question, _AWAY.get(error.code(), f"It answered with an error ({error.code().name})."))

    def _stand_in(self, state: str, question: ReportRequest, reason: str) -> Answer:
        snapshot = self._snapshots.get(state, question)
        if snapshot is None:
            return Answer(state, Freshness.MISSING, reason=reason)
        return Answer(state, Freshness.STALE, snapshot.answer, snapshot.at, reason)

    async def keep_ready(self) -> None:
        """Until cancelled: ask the standard questions ahead, so that there is an answer to stand in (decision 33)."""
        while True:
            codes = [instance.code for instance in self._states.all()]
            try:
                for question in standard_questions(today()):
                    for answer in await self.ask(codes, question):
                        _gauge(answer)
            except Exception:  # The next round may do better; a gateway without fresh snapshots still answers.
                log.exception("the standard questions could not be asked")
            await asyncio.sleep(STANDARD_SECONDS if codes else 1)

    async def close(self) -> None:
        await asyncio.gather(*(line.close() for line in self._lines.values()))


def standard_questions(on: date) -> list[ReportRequest]:
    """The summary of every state for this month, and for the financial year so far."""
    month = month_of(on)
    starts = (month, f"{financial_year(on)[:4]}-04")
    return [ReportRequest(report="summary", level="STATE", from_month=start, to_month=month) for start in dict.fromkeys(starts)]


def _gauge(answer: Answer) -> None:
    for freshness in Freshness:
        PARTS.labels(answer.state, freshness).set(freshness is answer.freshness)
    if answer.at:
        at = answer.at.timestamp()
        PART_AGE_SECONDS.labels(answer.state).set_function(lambda: time.time() - at)


def refusal_of(error: grpc.aio.AioRpcError) -> Refused | None:
    """The state's refusal of the question itself, as ours; None where the answer is none of that kind."""
    kind = _REFUSALS.get(error.code())
    if kind is None:
        return None
    told = read_refusal(error)
    if not told.code:
        return None
    # The state has filled in the parameters already: what looks like one in its sentence is none.
    sentence = (error.details() or "").replace("{", "{{").replace("}", "}}")
    refused = kind(told.code, sentence, field=told.field)
    refused.params = dict(told.params)
    return refused


def _keep_own_rows(report: ReportResponse, region: str) -> None:
    """A state speaks for its own regions alone."""
    own = [row for row in report.rows if contains(region, row.region)]
    if len(own) < len(report.rows):
        log.warning("a state sent rows of another", extra={"region": region})
        del report.rows[:]
        report.rows.extend(own)
