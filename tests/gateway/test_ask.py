"""The gateway against states that are well, slow, away, back, old or wrong; the states are real servers on loopback."""

import asyncio
import contextlib
import json
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address

import grpc
import jwt
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID
from google.rpc import error_details_pb2
from grpc_status import rpc_status

from deploy.machine.keys import trusted_key
from gateway import ask
from gateway.__main__ import build
from gateway.ask import Asker, Breaker
from gateway.registry import States
from gateway.servicer import Servicer
from gateway.snapshots import Snapshot, Snapshots
from protos import gateway_pb2, gateway_pb2_grpc, reporting_pb2, reporting_pb2_grpc
from protos.gateway_pb2 import FRESHNESS_FRESH as FRESH
from protos.gateway_pb2 import FRESHNESS_MISSING as MISSING
from protos.gateway_pb2 import FRESHNESS_STALE as STALE
from protos.gateway_pb2 import FRESHNESS_UNSUPPORTED as UNSUPPORTED
from services.chassis import tokens
from services.chassis.discovery import FileRegistry, Instance
from services.chassis.interceptors import status_of
from services.kernel.caller import Caller, Role
from services.kernel.errors import Invalid, NotFound, Unauthenticated
from services.kernel.month import today

DEADLINE_SECONDS = 0.6
COLUMNS = (("members_active", "COLUMN_KIND_STOCK", "members"), ("savings_paise", "COLUMN_KIND_FLOW", "paise"))


def pem(key):
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def name(words):
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, words)])


def certificate(subject, key, issuer, issuer_key, *, authority=False):
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(name(subject))
        .issuer_name(name(issuer))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(IPv4Address("127.0.0.1"))]), critical=False)
        .sign(issuer_key, hashes.SHA256())
        .public_bytes(Encoding.PEM)
    )


class Authority:
    """A small certificate authority of a state or of the nation."""

    def __init__(self, code):
        self._code, self._key = code, generate_private_key(SECP256R1())
        self.certificate = certificate(code, self._key, code, self._key, authority=True)

    def pair(self, subject):
        key = generate_private_key(SECP256R1())
        return pem(key), certificate(subject, key, self._code, self._key)


class State(reporting_pb2_grpc.ReportingServiceServicer):
    """The other side of the wire: a state that answers as the test wants."""

    def __init__(self, world, code, lgd, members, savings):
        self.code, self.lgd, self.world = code, lgd, world
        self.columns, self.values = COLUMNS, (members, savings)
        self.delay_seconds = 0
        self.joined_since = 0  # Members that the registry has not heard of yet.
        self.refusal = None
        self.asked = []
        self._authority = Authority(code)
        self._server = None
        self.port = 0
        self.start()
        entry = Instance(code, f"127.0.0.1:{self.port}", "0.1.0", members, self._authority.certificate.decode(), lgd)
        world.registry.put(entry)

    def start(self):
        self._server = grpc.server(ThreadPoolExecutor(4))
        reporting_pb2_grpc.add_ReportingServiceServicer_to_server(self, self._server)
        pair = self._authority.pair(f"lokos-{self.code}")
        credentials = grpc.ssl_server_credentials([pair], self.world.nation.certificate, require_client_auth=True)
        self.port = self._server.add_secure_port(f"127.0.0.1:{self.port}", credentials)
        self._server.start()

    def stop(self):
        self._server.stop(0).wait()

    def Report(self, request, context):  # noqa: N802
        metadata = dict(context.invocation_metadata())
        token = metadata["authorization"].removeprefix("Bearer ")
        claims = jwt.decode(token, self.world.gateway_key.public_key(), algorithms=["EdDSA"], audience=self.code, issuer="IN")
        assert claims["purpose"] == "aggregates"
        self.asked.append((request, metadata["x-request-id"]))
        threading.Event().wait(self.delay_seconds)
        if self.refusal is UNSUPPORTED:
            context.abort(grpc.StatusCode.UNIMPLEMENTED, "Method not found!")
        if self.refusal:
            context.abort_with_status(rpc_status.to_status(status_of(self.refusal)))
        return reporting_pb2.ReportResponse(
            columns=[reporting_pb2.Column(name=name, kind=kind, unit=unit) for name, kind, unit in self.columns],
            rows=[reporting_pb2.Row(region=request.region or str(self.lgd), name=self.code, values=self.values[: len(self.columns)])],
            next="9.178" if request.page.size == 1 else "",
            registered_members=self.values[0] + self.joined_since,
        )


class World:
    """A nation's keys, a registry, and what is started on the way."""

    def __init__(self, folder, environment):
        self.registry = FileRegistry(folder / "registry")
        self.snapshots = folder / "snapshots"
        self.nation = Authority("IN")
        self.gateway_key, users_key = Ed25519PrivateKey.generate(), Ed25519PrivateKey.generate()
        key, chain = self.nation.pair("lokos-gateway")
        trust = {"keys": [trusted_key(users_key, "IN-identity", "IN", ["users"])]}
        files = {
            "GATEWAY_TLS_KEY_FILE": key,
            "GATEWAY_TLS_CERT_FILE": chain,
            "GATEWAY_SIGNING_KEY_FILE": pem(self.gateway_key),
            "LOKOS_SIGNING_KEY_FILE": pem(users_key),
            "LOKOS_TRUST_FILE": json.dumps(trust).encode(),
        }
        for setting, content in files.items():
            (folder / setting).write_bytes(content)
            environment.setenv(setting, str(folder / setting))
        environment.setenv("LOKOS_STATE_FILE", "deploy/nation.toml")
        environment.setenv("LOKOS_SIGNING_KEY_ID", "IN-identity")
        environment.setenv("GATEWAY_SIGNING_KEY_ID", "IN-gateway")
        self.up = State(self, "UP", 9, 100, 5000)
        self.br = State(self, "BR", 10, 60, 3000)

    @contextlib.asynccontextmanager
    async def gateway(self, role=Role.NATIONAL_ADMIN):
        """A gateway with its own server; what is asked of it is asked over the wire."""
        states, snapshots = States(self.registry), Snapshots(self.snapshots)
        snapshots.load()
        states.read()
        asker = Asker(states, snapshots, DEADLINE_SECONDS)
        server, _ = await build(Servicer(states, asker))
        port = server.add_insecure_port("127.0.0.1:0")
        await server.start()
        token, _ = tokens.sign_caller(Caller("IIN_ADMIN", role, ""))
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            stub = gateway_pb2_grpc.GatewayServiceStub(channel)

            async def national(seconds=5, **changes):
                plain = {"report": "summary", "level": "NATION", "from_month": "2026-04", "to_month": "2026-04"}
                metadata = (("authorization", f"Bearer {token}"), ("x-request-id", "a-test"))
                request = gateway_pb2.NationalReportRequest(**{**plain, **changes})
                try:
                    return await stub.NationalReport(request, timeout=seconds, metadata=metadata)
                except grpc.aio.AioRpcError as error:
                    details = error_details_pb2.ErrorInfo()
                    for detail in rpc_status.from_call(error).details:
                        detail.Unpack(details)
                    raise Refusal(details.reason, error.details()) from None

            national.asker, national.snapshots = asker, snapshots
            yield national
        await server.stop(None)
        await asker.close()
        snapshots.write()


class Refusal(Exception):  # noqa: N818
    def __init__(self, code, sentence):
        super().__init__(code, sentence)
        self.code, self.sentence = code, sentence


@pytest.fixture
def world(tmp_path, monkeypatch):
    made = World(tmp_path, monkeypatch)
    yield made
    made.up.stop()
    made.br.stop()


@pytest.fixture
def impatient(monkeypatch):
    """Probes come soon, so that the test need not wait for them."""
    monkeypatch.setattr(ask, "PROBE_SECONDS", 0.3)


def freshness(answer):
    return {part.state: part.freshness for part in answer.parts}


def figures(answer):
    columns = [column.name for column in answer.columns]
    return {row.region: dict(zip(columns, row.values, strict=True)) for row in answer.rows}


def run(test):
    asyncio.run(asyncio.wait_for(test, 60))


def test_all_states_are_asked_and_added_up(world):
    async def test():
        async with world.gateway() as national:
            answer = await national()
            assert figures(answer) == {"": {"members_active": 160, "savings_paise": 8000}}
            assert answer.rows[0].name == "India"
            assert freshness(answer) == {"UP": FRESH, "BR": FRESH}
            assert (answer.members_covered, answer.members_registered) == (160, 160)
            by_state = await national(level="STATE", complete=True)
            assert figures(by_state) == {
                "9": {"members_active": 100, "savings_paise": 5000},
                "10": {"members_active": 60, "savings_paise": 3000},
            }
            assert {request_id for _, request_id in world.up.asked} == {"a-test"}

    run(test())


def test_a_states_own_answer_knows_its_members_better_than_the_registry(world):
    world.up.joined_since = 7

    async def test():
        async with world.gateway() as national:
            answer = await national()
            assert (answer.members_covered, answer.members_registered) == (167, 167)

    run(test())


def test_a_slow_state_costs_its_own_part_and_not_the_answer(world):
    world.br.delay_seconds = 3

    async def test():
        async with world.gateway() as national:
            started = time.monotonic()
            answer = await national()
            assert time.monotonic() - started < 2 * DEADLINE_SECONDS
            assert freshness(answer) == {"UP": FRESH, "BR": MISSING}
            assert figures(answer)[""]["members_active"] == 100
            assert (answer.members_covered, answer.members_registered) == (100, 160)
            assert next(part for part in answer.parts if part.state == "BR").reason == "It did not answer in time."

    run(test())


def test_a_callers_own_deadline_is_kept_and_is_no_evidence_against_a_state(world):
    world.br.delay_seconds = 0.4

    async def test():
        async with world.gateway() as national:
            await national()
            for _ in range(4):
                answer = await national(seconds=0.35)
                assert freshness(answer) == {"UP": FRESH, "BR": STALE}
            assert freshness(await national()) == {"UP": FRESH, "BR": FRESH}

    run(test())


@pytest.mark.usefixtures("impatient")
def test_a_state_goes_away_and_comes_back(world):
    async def test():
        async with world.gateway() as national:
            await national()
            await asyncio.to_thread(world.br.stop)
            for _ in range(4):
                answer = await national()
                assert freshness(answer) == {"UP": FRESH, "BR": STALE}
                assert figures(answer)[""]["members_active"] == 160
                assert answer.members_covered == 160
            assert next(part for part in answer.parts if part.state == "BR").reason
            assert freshness(await national(from_month="2026-03")) == {"UP": FRESH, "BR": MISSING}
            await asyncio.to_thread(world.br.start)
            await asyncio.sleep(0.4)
            assert freshness(await national()) == {"UP": FRESH, "BR": FRESH}

    run(test())


def test_a_state_that_is_away_is_not_asked_again_at_once(world):
    world.br.delay_seconds = 1

    async def test():
        async with world.gateway() as national:
            for _ in range(ask.FAILURES_MAX):
                await national()
            started = time.monotonic()
            assert freshness(await national()) == {"UP": FRESH, "BR": MISSING}
            assert time.monotonic() - started < DEADLINE_SECONDS / 2
            assert len(world.br.asked) == ask.FAILURES_MAX

    run(test())


def test_an_old_version_is_unsupported_and_not_a_failure(world):
    async def test():
        async with world.gateway() as national:
            for refusal in (UNSUPPORTED, Invalid("REPORT_UNKNOWN", "There is no such report.")):
                world.br.refusal = refusal
                answer = await national()
                assert freshness(answer) == {"UP": FRESH, "BR": UNSUPPORTED}
                assert (answer.members_covered, answer.members_registered) == (100, 160)
            world.up.refusal = UNSUPPORTED
            with pytest.raises(Refusal) as refused:
                await national()
            assert refused.value.code == "REPORT_UNKNOWN"

    run(test())


def test_a_column_that_one_state_does_not_send_is_told(world):
    world.br.columns = COLUMNS[:1]

    async def test():
        async with world.gateway() as national:
            answer = await national()
            assert figures(answer)[""] == {"members_active": 160, "savings_paise": 5000}
            assert {part.state: list(part.columns_missing) for part in answer.parts} == {"UP": [], "BR": ["savings_paise"]}
            with pytest.raises(Refusal) as refused:
                await national(complete=True)
            assert refused.value.sentence == "The answer has gaps: BR (without savings_paise)."

    run(test())


def test_who_demands_completeness_hears_what_is_missing(world):
    async def test():
        async with world.gateway() as national:
            await national()
            await asyncio.to_thread(world.br.stop)
            with pytest.raises(Refusal) as refused:
                await national(complete=True)
            assert (refused.value.code, refused.value.sentence) == ("ANSWER_INCOMPLETE", "The answer has gaps: BR (stale).")

    run(test())


def test_a_snapshot_outlives_the_gateway(world):
    async def first():
        async with world.gateway() as national:
            await national()

    async def second():
        async with world.gateway() as national:
            answer = await national()
            assert freshness(answer) == {"UP": FRESH, "BR": STALE}
            assert figures(answer)[""]["members_active"] == 160
            assert next(part for part in answer.parts if part.state == "BR").as_of.ToDatetime(UTC) <= datetime.now(UTC)

    run(first())
    world.br.stop()
    run(second())


def test_the_standard_questions_are_asked_ahead(world):
    async def test():
        async with world.gateway() as national:
            question = ask.standard_questions(today())[0]
            ahead = asyncio.create_task(national.asker.keep_ready())
            for _ in range(200):
                if national.snapshots.get("BR", question):
                    break
                await asyncio.sleep(0.02)
            ahead.cancel()
            await asyncio.to_thread(world.br.stop)
            answer = await national(level="STATE", from_month=question.from_month, to_month=question.to_month)
            assert freshness(answer) == {"UP": FRESH, "BR": STALE}

    run(test())


def test_a_region_asks_its_own_state_and_no_other(world):
    async def test():
        async with world.gateway() as national:
            answer = await national(region="9", level="DISTRICT", page={"size": 1})
            assert freshness(answer) == {"UP": FRESH}
            assert (answer.next, answer.members_registered) == ("9.178", 100)
            assert world.br.asked == []
            assert world.up.asked[0][0].page.size == 1

    run(test())


def test_a_states_own_refusal_is_passed_on_as_it_was(world):
    world.up.refusal = NotFound("PLACE_GONE", "There is no {odd} place here {x}.", field="region", odd="{odd}", x="1")

    async def test():
        async with world.gateway() as national:
            with pytest.raises(Refusal) as refused:
                await national(region="9.999", level="DISTRICT")
            assert (refused.value.code, refused.value.sentence) == ("PLACE_GONE", "There is no {odd} place here 1.")
            # Among many, it costs that state's part alone.
            assert freshness(await national()) == {"UP": MISSING, "BR": FRESH}

    run(test())


@pytest.mark.parametrize("code", ["CLOCK_SKEW", "TOKEN_EXPIRED"])
def test_a_state_whose_clock_is_off_is_told_to_be_so(world, code):
    world.up.refusal = Unauthenticated(code, "No.")

    async def test():
        async with world.gateway() as national:
            answer = await national()
            assert freshness(answer) == {"UP": MISSING, "BR": FRESH}
            assert {part.state: part.reason for part in answer.parts}["UP"] == "Its clock and the nation's differ; one of them must be set right."

    run(test())


def test_a_state_speaks_for_its_own_regions_alone(world):
    world.br.lgd = 9

    async def test():
        async with world.gateway() as national:
            assert figures(await national(level="STATE")) == {"9": {"members_active": 100, "savings_paise": 5000}}

    run(test())


def test_states_are_paged_by_region(world):
    async def test():
        async with world.gateway() as national:
            first = await national(level="STATE", page={"size": 1})
            second = await national(level="STATE", page={"size": 1, "after": first.next})
            assert [row.region for answer in (first, second) for row in answer.rows] == ["10", "9"]
            assert second.next == ""

    run(test())


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"report": ""}, "REPORT_UNKNOWN"),
        ({"report": "x" * 1000}, "REPORT_UNKNOWN"),
        ({"level": "HAMLET"}, "REGION_LEVEL"),
        ({"level": "DISTRICT"}, "REGION_LEVEL"),
        ({"region": "9", "level": "NATION"}, "REGION_LEVEL"),
        ({"region": "77", "level": "STATE"}, "REGION_UNKNOWN"),
        ({"region": "9; drop", "level": "STATE"}, "REGION_INVALID"),
        ({"from_month": "soon"}, "MONTH_INVALID"),
        ({"to_month": "2099-01"}, "MONTH_IN_FUTURE"),
        ({"from_month": "2026-04", "to_month": "2026-03"}, "MONTH_ORDER"),
        ({"page": {"size": 501}}, "PAGE_INVALID"),
        ({"page": {"after": "9"}}, "PAGE_INVALID"),
        ({"level": "STATE", "page": {"after": "9.178"}}, "PAGE_INVALID"),
    ],
)
def test_what_may_not_be_asked_is_refused_by_code(world, changes, code):
    async def test():
        async with world.gateway() as national:
            with pytest.raises(Refusal) as refused:
                await national(**changes)
            assert refused.value.code == code
        assert world.up.asked == []

    run(test())


def test_only_national_users_may_ask(world):
    async def test():
        async with world.gateway(Role.STATE_ADMIN) as national:
            with pytest.raises(Refusal) as refused:
                await national()
            assert refused.value.code == "ROLE_NOT_ALLOWED"

    run(test())


def test_a_state_that_leaves_the_registry_is_still_a_gap(world):
    async def test():
        states = States(world.registry)
        states.read()
        (world.snapshots.parent / "registry" / "BR.json").unlink()
        states.read()
        assert [instance.code for instance in states.all()] == ["BR", "UP"]

    run(test())


def test_a_breaker_opens_probes_once_and_closes():
    now = 0.0
    breaker = Breaker(lambda: now)
    for _ in range(ask.FAILURES_MAX):
        assert breaker.lets_through()
        breaker.failed()
    assert not breaker.lets_through()
    now = ask.PROBE_SECONDS
    assert breaker.lets_through()
    assert not breaker.lets_through(), "one probe at a time"
    breaker.failed()
    assert not breaker.lets_through()
    now *= 2
    assert breaker.lets_through()
    breaker.given_up()
    assert breaker.lets_through(), "a probe whose caller left told nothing"
    breaker.answered()
    assert breaker.lets_through()
    assert not breaker.open


def snapshot(members, at, epoch=0):
    return Snapshot(reporting_pb2.ReportResponse(registered_members=members, instance_epoch=epoch), at)


def test_snapshots_are_bounded_whole_and_read_again(tmp_path):
    at = datetime(2026, 5, 1, 12, 30, 15, 123456, tzinfo=UTC)
    kept = Snapshots(tmp_path, most=3)
    for members in range(5):
        question = reporting_pb2.ReportRequest(region=f"9.{members}")
        kept.put("UP", question, snapshot(members, at + timedelta(seconds=members)))
        kept.write()
    assert len(list(tmp_path.iterdir())) == 3
    newest = reporting_pb2.ReportRequest(region="9.4")
    again = Snapshots(tmp_path)
    again.load()
    assert again.get("UP", newest) == snapshot(4, at + timedelta(seconds=4))
    assert again.get("BR", newest) is None
    assert again.get("UP", reporting_pb2.ReportRequest(region="9.0")) is None
    for path in tmp_path.iterdir():
        path.write_bytes(path.read_bytes()[:-1])
    broken = Snapshots(tmp_path)
    broken.load()
    assert broken.get("UP", newest) is None


def test_a_state_that_came_back_from_a_backup_does_not_stand_by_its_older_figures(tmp_path):
    at = datetime(2026, 5, 1, 12, 30, 15, tzinfo=UTC)
    questions = [reporting_pb2.ReportRequest(region=f"9.{number}") for number in range(4)]
    kept = Snapshots(tmp_path)
    for question, epoch in zip(questions, (0, 1, 1), strict=False):
        kept.put("UP", question, snapshot(1, at, epoch))
    kept.put("BR", questions[0], snapshot(1, at, 1))
    assert all(kept.get("UP", question) for question in questions[:3]), "the first epoch, and a version that knows none, are the same books"
    kept.write()
    kept.put("UP", questions[3], snapshot(2, at, 2))
    kept.put("UP", questions[0], snapshot(2, at, 1))  # Was on its way when the state was restored.
    kept.write()
    again = Snapshots(tmp_path)
    again.load()
    for one in (kept, again):
        assert [bool(one.get("UP", question)) for question in questions] == [False, False, False, True]
        assert one.get("BR", questions[0])
    again.put("UP", questions[0], snapshot(3, at, 1))
    assert again.get("UP", questions[0]) is None, "what a restarted gateway has read, it minds"
