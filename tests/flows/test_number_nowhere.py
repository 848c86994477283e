"""An Aadhaar number is nowhere but sealed in the vault: a marked one goes every way there is, and then everything is looked through."""

import base64
import json
import mmap
import os
import signal
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pika
import psycopg
import pytest
from psycopg.sql import SQL, Identifier, Literal

from deploy.demo import books, cast
from deploy.demo.cast import run_in
from deploy.demo.client import RefusedError
from deploy.machine import postgres
from deploy.machine.provision import SAMPLE_RESIDENTS
from protos import dedup_pb2, identity_pb2, profiles_pb2, transactions_pb2
from services.chassis import broker
from services.kernel.ids import uuid7
from tests.flows.test_consent import consents, forgotten, withdraw
from tests.flows.test_members import enrol
from tests.flows.test_vault import SERVE, confirm, hand_in, keeper_of, start
from tests.flows.world import database, figures, make_groups, strange_name

pytestmark = [pytest.mark.flow, pytest.mark.timeout(300)]

LEAK = "leaked_here"
# The residents that the sandbox knows; what the servers keep as it was sent to them is looked through as well.
KNOWN_TO_HAVE_IT = "residents.csv"


def written(number: str) -> dict[str, bytes]:
    """The ways in which a number may stand in a text, a dump or a log. Packed digits are what a dump shows of them in hex: the number."""
    four = [number[:4], number[4:8], number[8:]]
    ways = {
        "plain": number,
        "grouped": " ".join(four),
        "dashed": "-".join(four),
        "backwards": number[::-1],
        "groups backwards": " ".join(reversed(four)),
        "hex": number.encode().hex(),
        "hex of UTF-16": number.encode("utf-16-le").hex(),
        "hex of grouped": " ".join(four).encode().hex(),
    }
    for before in range(3):  # Base64 looks otherwise at each place; what is at its edges depends on the neighbours.
        coded = base64.b64encode(b"\0" * before + number.encode()).decode().rstrip("=")
        ways[f"base64 at {before}"] = coded[(before * 8 + 5) // 6 : (before + len(number)) * 8 // 6]
    return {way: text.encode() for way, text in ways.items()}


@dataclass
class Tap:
    """Hears every event of an instance's exchanges, from its making on."""

    channel: pika.adapters.blocking_connection.BlockingChannel
    queue: str

    def heard(self) -> list[bytes]:
        bodies = []
        while True:
            method, properties, body = self.channel.basic_get(self.queue, auto_ack=True)
            if method is None:
                return bodies
            bodies.append(b"\n".join((method.routing_key.encode(), str(properties).encode(), body)))


@contextmanager
def tapped(instance) -> Iterator[Tap]:
    with pika.BlockingConnection(pika.URLParameters(instance.env["MIGRATE_AMQP_URL"])) as connection:
        channel = connection.channel()
        queue = channel.queue_declare("", exclusive=True).method.queue
        for service in instance.services:
            channel.queue_bind(queue, broker.exchange(service), "#")
        yield Tap(channel, queue)


class Search:
    """Looks for numbers, and says where it found which, never showing one."""

    def __init__(self, machine, numbers):
        self.machine = machine
        self.ways = {(number[-4:], way): text for number in numbers for way, text in written(number).items()}

    def inside(self, where, text):
        text = text.encode() if isinstance(text, str) else text
        return [f"{where}: ...{last4} {way}" for (last4, way), one in self.ways.items() if text.find(one) >= 0]

    def databases(self):
        """Every table of every database, its rows as text: bytes as hex, documents as they are written."""
        with postgres.connect(self.machine.layout) as server:
            names = [row[0] for row in server.execute("select datname from pg_database where datallowconn and not datistemplate")]
            found = self.inside("what is being asked", str(server.execute("select query from pg_stat_activity").fetchall()))
        for name in names:
            with postgres.connect(self.machine.layout, name) as connection:
                listed = connection.execute(
                    "select schemaname, tablename from pg_tables where schemaname not in ('pg_catalog', 'information_schema')"
                    " union all select 'pg_catalog', 'pg_statistic' union all select schemaname, matviewname from pg_matviews"
                ).fetchall()
                for schema, table in listed:
                    found += self._table(connection, f"{name}: {schema}.{table}", SQL("{}.{}").format(Identifier(schema), Identifier(table)))
        return found

    def _table(self, connection, where, table):
        matches = SQL(" or ").join(SQL("strpos(row::text, {}) > 0").format(Literal(text.decode())) for text in self.ways.values())
        try:
            row = connection.execute(SQL("select row::text from {} as row where {} limit 1").format(table, matches)).fetchone()
        except psycopg.errors.UndefinedTable:  # Of a test that ended, or a partition that was made anew.
            return []
        return self.inside(where, row[0]) if row else []

    def files(self, *folders):
        """Every file of the run folder and of the servers' own: logs, messages, queues, journals, tables as they lie on the disk."""
        found = []
        for path in (path for folder in folders for path in folder.rglob("*")):
            if not path.is_file() or path.is_symlink() or path.name == KNOWN_TO_HAVE_IT:
                continue
            try:
                with path.open("rb") as file, mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ) as text:
                    found += self.inside(path, text)
            except (OSError, ValueError):  # Gone meanwhile, or empty.
                continue
        return found

    def everywhere(self, said, tap):
        """All of it; `said` is what callers were answered."""
        folders = {self.machine.run, postgres._folder(self.machine.layout)}
        found = [*self.databases(), *self.files(*folders)]
        for program in self.machine.programs.values():
            if program.metrics_port:
                with urllib.request.urlopen(f"http://127.0.0.1:{program.metrics_port}/metrics", timeout=10) as answer:
                    found += self.inside(f"metrics of {program.name}", answer.read())
        for place, one in enumerate(one if isinstance(one, str) else f"{one} {one.SerializeToString()!r}" for one in said):
            found += self.inside(f"answer {place}", one)
        for body in tap.heard():
            found += self.inside("an event", body)
        return found


@pytest.fixture(scope="module")
def group(world):
    return make_groups(world, world.up, 1)[0]


@pytest.fixture(scope="module")
def residents(world):
    """From the first quarter of this run's: others draw from elsewhere."""
    everybody = cast.residents(Path(world.up.instance.env["LOKOS_SANDBOX_RESIDENTS_FILE"]))
    fresh = everybody[len(cast.residents(SAMPLE_RESIDENTS)) :]
    return iter(fresh[len(fresh) // 4 :])


def refusal(ask):
    """What a caller sees of a call that does not go well, whatever it is."""
    try:
        answer = ask()
    except RefusedError as error:
        return f"{error.code} {error.sentence} {error.field} {error!r} {error.__cause__!r}"
    raise AssertionError(f"answered with {type(answer).__name__}")


def went_wrong(world, group, resident, stranger, member_id, consent_id):
    """Refusals of every kind, and faults at every place that has the number in its hands."""
    number, ask = resident["number"], {"resident": resident, "member_id": member_id, "consent_id": consent_id}
    misread = resident | {"number": number[:-1] + str((int(number[-1]) + 1) % 10)}
    yield refusal(lambda: start(group, **ask | {"resident": misread}))
    yield refusal(lambda: start(group, **ask | {"resident": resident | {"number": f"{number} "}}))
    yield refusal(lambda: start(group, **ask | {"consent_id": str(uuid7())}))
    yield refusal(lambda: start(group, **ask | {"consent_id": number}))
    yield refusal(lambda: start(group, **ask | {"member_id": number}))
    yield refusal(lambda: confirm(group, number, resident))
    begun = start(group, **ask)
    yield refusal(lambda: confirm(group, begun.kyc_id, resident | {"otp": number}))
    with database(group.state, "identity") as tables:
        reference = tables.execute("select reference from kycs where kyc_id = %s", [begun.kyc_id]).fetchone()
    os.kill(keeper_of(world), signal.SIGSTOP)  # It hangs: the caller gives up, the keeper is killed.
    yield refusal(lambda: start(group, **ask, deadline_seconds=2))
    os.kill(keeper_of(world), signal.SIGKILL)
    keys, residents_file = world.up.instance.vault_keys_file, Path(world.up.instance.env["LOKOS_SANDBOX_RESIDENTS_FILE"])
    for file in (keys, residents_file):
        hidden = file.with_name(f"hidden {file.name}")
        file.rename(hidden)
        try:
            yield refusal(lambda: start(group, **ask))
        finally:
            hidden.rename(file)
    for service, table in (("vault", "numbers"), ("vault", "entries"), ("vault", "uses"), ("identity", "kycs")):
        with database(group.state, service) as tables:  # A bug of ours: the statement fails, with all its values at hand.
            tables.execute(f"alter table {table} add constraint bug check (false) not valid")
            try:
                yield refusal(lambda: start(group, **ask | {"resident": stranger}))  # Who is not there yet.
            finally:
                tables.execute(f"alter table {table} drop constraint bug")
    with database(group.state, "vault") as tables:  # It is sealed with a key that nobody has: what is in it does not open.
        tables.execute("update numbers set wrapped = sealed where reference = %s", reference)
        try:
            yield refusal(lambda: confirm(group, begun.kyc_id, resident))
        finally:
            tables.execute("delete from numbers where reference = %s", reference)
    yield refusal(lambda: confirm(group, begun.kyc_id, resident))


def asked(world, group, member_id):
    """What may be asked about her, by whoever may."""
    manager, keeper, mine = world.up.manager, group.keeper, {"institution_id": group.institution_id}
    yield manager(manager.profiles.GetMember, profiles_pb2.GetMemberRequest(member_id=member_id))
    yield manager(manager.profiles.ListMembers, profiles_pb2.ListMembersRequest(**mine))
    yield manager(manager.profiles.ListTasks, profiles_pb2.ListTasksRequest(**mine))
    yield manager(manager.dedup.GetScreening, dedup_pb2.GetScreeningRequest(member_id=member_id))
    yield keeper(keeper.identity.AccessSummary, identity_pb2.AccessSummaryRequest(member_id=member_id))
    yield keeper(keeper.transactions.Pull, transactions_pb2.PullRequest(**mine))
    yield from consents(group, member_id)
    yield json.dumps(figures(world.up))
    for words in (["status"], ["check"], ["uses"], ["rotate"], ["rotate", "--data-keys"], ["rotate", "--index-key"]):
        yield run_in(world.up.instance, "services.identity", "vault", *words)


@pytest.fixture(scope="module")
def story(world, group, residents):
    """Enrolments, verifications, refusals and faults with marked numbers; what everybody was told, and a tap on all events."""
    women = [next(residents) for _ in range(4)]
    with tapped(world.up.instance) as tap:
        said = []
        member_id = str(uuid7())
        agreed = cast.consent(group.keeper, member_id, group.institution_id, "AADHAAR_ONLINE")
        said += went_wrong(world, group, women[0], women[1], member_id, agreed.consent_id)
        begun = start(group, member_id, women[0], agreed.consent_id, retry_seconds=30)
        answer = confirm(group, begun.kyc_id, women[0])
        said += [agreed, begun, answer, hand_in(group, member_id, answer.attestation)]
        enrolled = [enrol(group, strange_name(), strange_name(), woman) for woman in women]  # The first of them a second time.
        said += enrolled
        said += asked(world, group, member_id)
        [given] = consents(group, enrolled[-1].member_id)
        said += [withdraw(group, given.consent_id)]
        books.wait_until("she is forgotten", lambda: forgotten(group, enrolled[-1].member_id))
        yield Search(world.machine, [woman["number"] for woman in women]), said, tap


def test_after_all_that_the_number_is_nowhere(world, story):
    search, said, tap = story
    assert len(said) > 30
    assert {text.split()[0] for text in said if isinstance(text, str)} >= {"AADHAAR_INVALID", "VAULT_AWAY", "EKYC_AWAY", "KYC_OTP_WRONG"}
    assert search.everywhere(said, tap) == []
    for program in (SERVE, "up-work", "postgres", "rabbitmq"):
        assert any(log.stat().st_size for log in world.machine.log_files(program)), program


def values(number):
    """The number in each kind of column, and each way of writing it that the search knows."""
    whole = json.dumps({"deep": [{"in it": number}]})
    yield "text", "%s", f"her number is {number}"
    yield "jsonb", "%s::jsonb", whole
    yield "bytea", "%s::bytea", number.encode()
    yield "bytea", "%s::bytea", bytes.fromhex(number)
    yield "bytea", "%s::bytea", number.encode("utf-16-le")
    yield "bigint", "%s::bigint", f"1{number}"
    yield "text[]", "array[%s]", number
    for before in range(3):
        yield "text", "%s", base64.b64encode(b"x" * before + number.encode() + b"yz").decode()
    yield "text", "%s", f"{number[:4]} {number[4:8]} {number[8:]}"
    yield "text", "%s", f"{number[8:]} {number[4:8]} {number[:4]}"
    yield "text", "%s", number[::-1]
    yield "text", "%s", number.encode().hex()


@pytest.mark.parametrize("place", range(14))
def test_the_search_finds_a_leak_in_a_table(world, story, residents, place):
    marked = next(residents)["number"]
    kind, written_, value = list(values(marked))[place]
    search = Search(world.machine, [marked])
    with database(world.up, "reporting") as tables:
        tables.execute(f"create table {LEAK} (id int, it {kind})")
        try:
            tables.execute(f"insert into {LEAK} values (1, {written_})", [value])
            found = search.databases()
        finally:
            tables.execute(f"drop table {LEAK}")
    assert any(f"reporting.{LEAK}" in one for one in found), kind
    assert not any(marked in one for one in found)


def test_the_search_finds_a_leak_in_a_file_an_event_an_answer_and_a_queue(world, story, residents):
    _story, _said, tap = story
    marked = next(residents)["number"]
    search = Search(world.machine, [marked])
    tap.heard()
    log = world.machine.run / "logs" / f"{LEAK}.log"
    log.parent.mkdir(exist_ok=True)
    log.write_text(json.dumps({"message": "stored", "number": marked}))
    try:
        with pika.BlockingConnection(pika.URLParameters(world.up.instance.env["IDENTITY_AMQP_URL"])) as connection:
            connection.channel().basic_publish(broker.exchange("identity"), LEAK, b"\x0a\x0c" + marked.encode())
        books.wait_until("the event", lambda: tap.channel.queue_declare(tap.queue, passive=True).method.message_count)
        found = search.everywhere([identity_pb2.StartKycRequest(aadhaar_number=marked)], tap)
    finally:
        log.unlink()
    assert any(str(log) in one for one in found)
    assert any(one.startswith("an event") for one in found)
    assert any(one.startswith("answer") for one in found)


def test_the_search_sees_the_metrics_and_the_servers_own_files(world, residents):
    """What it would find there is shown by something that is there."""
    search = Search(world.machine, ["000000000000"])
    search.ways = {("", "plain"): b"lokos_calls_total"}
    with tapped(world.up.instance) as tap:
        assert any(one.startswith("metrics of up-serve") for one in search.everywhere([], tap))
    search.ways = {("", "plain"): b"lokos_up"}
    assert any("postgres" in one for one in search.files(postgres._folder(world.machine.layout)))
