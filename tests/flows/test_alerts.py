"""Every alert fires when its fault is made, in a real Prometheus that watches the machine, and ends when it is mended."""

import json
import os
import re
import shutil
import signal
import subprocess
import threading
import time
import urllib.request
import uuid
from contextlib import contextmanager, suppress
from pathlib import Path
from types import SimpleNamespace

import grpc
import pytest
import yaml

from deploy.demo import books
from deploy.demo.cast import run_in
from deploy.demo.client import RefusedError
from deploy.machine import keys, watch
from deploy.machine.layout import PROJECT
from protos import reporting_pb2
from tests.flows.world import database, hold_meeting, make_groups

pytestmark = [pytest.mark.flow, pytest.mark.timeout(600)]

RULES_TEXT = watch.RULES.read_text(encoding="utf-8")
ALERTS = [rule["alert"] for rule in yaml.safe_load(RULES_TEXT)["groups"][0]["rules"]]
FIRES_SECONDS_MAX = 180
METRIC = r"\b(?:lokos|process)_\w+"
UNITS = {"m": 60, "h": 3600}


def hurried(text):
    """The rules for people in a hurry: the same expressions and thresholds, but an alert waits a second, and a window or
    an offset is a twentieth of its own, within 20 to 60 seconds."""

    def window(found):
        return f"{found[1]}{min(max(int(found[2]) * UNITS[found[3]] // 20, 20), 60)}s"

    return re.sub(r"(\[|offset )(\d+)([mh])\b", window, re.sub(r"\bfor: \w+", "for: 1s", text))


@pytest.fixture(scope="module")
def prometheus(world, tmp_path_factory):
    """A Prometheus of the test's own, which looks every other second: `firing` asks it for the alerts that fire, {name: [alert, ...]},
    and `watch` gives it all targets, or all but one.
    """
    if not shutil.which("prometheus"):
        pytest.skip("NO ALERT IS TESTED: Prometheus is not installed (as root, `make test` installs Debian's)")
    folder = tmp_path_factory.mktemp("prometheus")
    (folder / "rules.yaml").write_text(hurried(RULES_TEXT), encoding="utf-8")
    layout = world.machine.layout
    settings = yaml.safe_load(watch.configuration(layout, with_broker="rabbitmq" in world.machine.programs))
    settings["global"] = {"scrape_interval": "2s", "scrape_timeout": "2s", "evaluation_interval": "1s"}
    settings["rule_files"] = [str(folder / "rules.yaml")]
    configuration, targets = folder / "prometheus.yaml", settings["scrape_configs"][0]["static_configs"]
    configuration.write_text(json.dumps(settings), encoding="utf-8")
    place = f"127.0.0.1:{layout.port_base + 90}"
    command = ["prometheus", f"--config.file={configuration}", f"--storage.tsdb.path={folder}/data", f"--web.listen-address={place}"]

    def firing():
        with urllib.request.urlopen(f"http://{place}/api/v1/alerts", timeout=10) as answer:
            alerts = json.load(answer)["data"]["alerts"]
        found = {}
        for alert in alerts:
            if alert["state"] == "firing":
                found.setdefault(alert["labels"]["alertname"], []).append(alert)
        return found

    with (folder / "log").open("w") as log, subprocess.Popen(command, stdout=log, stderr=log) as process:
        try:
            books.wait_until("Prometheus answers", lambda: answers(firing) or process.poll() is not None)
            assert process.poll() is None, (folder / "log").read_text()

            def watch_all(but=None):
                settings["scrape_configs"][0]["static_configs"] = [target for target in targets if target["labels"]["program"] != but]
                configuration.write_text(json.dumps(settings), encoding="utf-8")
                process.send_signal(signal.SIGHUP)

            yield SimpleNamespace(firing=firing, watch=watch_all)
        finally:
            process.terminate()


def answers(firing):
    with suppress(OSError):
        return firing() is not None
    return False


@pytest.fixture(scope="module")
def stage(world, prometheus):
    """The world, a group in it that meets, and who watches."""
    return SimpleNamespace(world=world, machine=world.machine, up=world.up, group=make_groups(world, world.up, 1)[0], prometheus=prometheus)


def restart(machine, program):
    machine.stop(program)
    machine.start(program)
    machine.wait_well(program)


@contextmanager
def stopped(machine, program):
    machine.stop(program)
    try:
        yield
    finally:
        machine.start(program)
        machine.wait_well(program)


@contextmanager
def repeatedly(action, threads=1):
    """Go on doing it beside the test; what the server refuses is what is wanted."""
    ended = threading.Event()

    def run():
        while not ended.is_set():
            with suppress(RefusedError):
                action()

    running = [threading.Thread(target=run) for _ in range(threads)]
    for thread in running:
        thread.start()
    try:
        yield
    finally:
        ended.set()
        for thread in running:
            thread.join()


@contextmanager
def altered(state, service, does, undoes):
    """A bug, planted in the service's own tables."""
    with database(state, service) as tables:
        tables.execute(does)
        try:
            yield tables
        finally:
            tables.execute(undoes)


@contextmanager
def bug(state, service, table):
    with altered(state, service, f"alter table {table} add constraint bug check (false) not valid", f"alter table {table} drop constraint bug"):
        yield


def ask(stage):
    request = reporting_pb2.ReportRequest(report="summary", region="9", level="STATE", from_month="2000-01", to_month="2000-01")
    return stage.up.reader(stage.up.reader.reporting.Report, request, deadline_seconds=20)


@contextmanager
def locked_figures(stage):
    with database(stage.up, "reporting") as tables, tables.transaction():
        tables.execute("lock table figures in access exclusive mode")
        yield


def run_now(tables, job):
    books.wait_until(
        f"{job} is put forward",
        lambda: tables.execute("update jobs set run_at = now() where name = %s and leased_until is null", [job]).rowcount,
    )


@contextmanager
def hung_job(state, service, job):
    """As when its worker hangs: it is late, and nobody else's for an hour."""
    with database(state, service) as tables:
        late = "update jobs set run_at = now() - interval '1 hour', leased_until = now() + interval '1 hour'"
        books.wait_until(f"{job} hangs", lambda: tables.execute(f"{late} where name = %s and leased_until is null", [job]).rowcount)
        try:
            yield tables
        finally:
            tables.execute("update jobs set leased_until = null where name = %s", [job])


# Each makes its fault, says what the alert must be about, and mends it.


@contextmanager
def process_down(stage):
    with stopped(stage.machine, "up-relay"):
        yield {"program": "up-relay"}


@contextmanager
def process_missing(stage):
    """As when its pod is gone: it is no target any more, so that nothing says it is down."""
    time.sleep(20)  # So that it was watched for a while before.
    stage.prometheus.watch(but="up-relay")
    try:
        yield {"instance_code": "UP", "program": "up-relay"}
    finally:
        stage.prometheus.watch()


@contextmanager
def process_restarting(stage):
    def kill():
        stage.machine.wait_well("up-drain")
        time.sleep(3)  # So that each life is seen.
        os.kill(stage.machine.pid("up-drain"), signal.SIGKILL)

    with repeatedly(kill):
        yield {"program": "up-drain"}
    stage.machine.wait_well("up-drain")


@contextmanager
def database_away(stage):
    with stopped(stage.machine, "postgres"):
        yield {"instance_code": "UP", "service": "profiles"}
    stage.machine.wait_well("up-serve")


@contextmanager
def connections_exhausted(stage):
    """One connection for eight threads, and it waits for a lock."""
    env = stage.up.instance.env_file
    before = env.read_text(encoding="utf-8")
    try:
        env.write_text(before + "DATABASE_CONNECTIONS_MAX=1\n", encoding="utf-8")
        restart(stage.machine, "up-serve")
        with locked_figures(stage), repeatedly(lambda: ask(stage), threads=3):
            yield {"program": "up-serve", "service": "reporting"}
    finally:
        env.write_text(before, encoding="utf-8")
        restart(stage.machine, "up-serve")


@contextmanager
def outbox_old(stage):
    """The ten minutes are not waited for."""
    with stopped(stage.machine, "up-relay"):
        hold_meeting(stage.group)
        with database(stage.up, "transactions") as tables:
            tables.execute("update outbox set occurred_at = occurred_at - interval '10 minutes' where sent_at is null")
        yield {"service": "transactions"}


@contextmanager
def queue_backlog(stage):
    with stopped(stage.machine, "up-drain"):
        hold_meeting(stage.group)
        yield {"service": "reporting", "event": "MeetingApproved"}


@contextmanager
def events_parked(stage):
    with bug(stage.up, "reporting", "freshness"):
        hold_meeting(stage.group)
        yield {"service": "reporting"}
    run_in(stage.up.instance, "services.chassis.replay", "reporting")


@contextmanager
def events_redelivered(stage):
    """Neither handling nor parking succeeds, so that each event goes back to the broker."""
    again = (
        "update outbox set sent_at = null, event_id = gen_random_uuid(), sequence = null"
        " where id in (select max(id) from outbox where event = 'MemberChanged' group by subject order by 1 desc limit 5) returning event_id"
    )
    with bug(stage.up, "transactions", "inbox"), bug(stage.up, "transactions", "parked"):
        with database(stage.up, "profiles") as outbox:
            sent = [event_id for (event_id,) in outbox.execute(again)]
        yield {"program": "up-consume", "service": "transactions"}

    def all_heard():
        # What came 20 times is a dead letter, which the worker parks now that it can.
        run_in(stage.up.instance, "services.chassis.replay", "transactions")
        with database(stage.up, "transactions") as tables:
            return tables.execute("select count(*) from inbox where event_id = any(%s)", [sent]).fetchone() == (len(sent),)

    books.wait_until("all are heard", all_heard, FIRES_SECONDS_MAX)


@contextmanager
def calls_failing(stage):
    """A table that a migration lost."""
    lost, found = "alter table freshness rename to lost", "alter table lost rename to freshness"
    with altered(stage.up, "reporting", lost, found), repeatedly(lambda: ask(stage)):
        yield {"program": "up-serve", "rpc": "Report"}


@contextmanager
def calls_slow(stage):
    def lock():
        with locked_figures(stage):
            time.sleep(2)

    with repeatedly(lock), repeatedly(lambda: ask(stage), threads=3):
        yield {"instance_code": "UP", "rpc": "Report"}


@contextmanager
def calls_shed(stage):
    request = reporting_pb2.ReportRequest(report="summary", region="9", level="STATE")
    metadata = (("authorization", f"Bearer {stage.up.reader.token}"),)

    def flood():
        with locked_figures(stage):
            calls = [stage.up.reader.reporting.Report.future(request, timeout=60, metadata=metadata) for _ in range(600)]
            time.sleep(5)
        for call in calls:
            with suppress(grpc.RpcError):
                call.result()

    with repeatedly(flood):
        yield {"program": "up-serve"}


@contextmanager
def job_late(stage):
    with hung_job(stage.up, "profiles", "tally_members"):
        yield {"service": "profiles"}


@contextmanager
def job_failing(stage):
    with altered(stage.up, "dedup", "alter table parked rename to lost", "alter table lost rename to parked"):
        yield {"service": "dedup", "name": "gauge_tables"}


@contextmanager
def messages_failing(stage):
    """A file lies where the sandbox's inbox should."""
    inbox = Path(stage.up.instance.env["LOKOS_MESSAGE_INBOX"])
    aside = inbox.with_name("inbox-aside")
    if inbox.exists():
        inbox.rename(aside)
    inbox.write_text("")
    asks = (
        "insert into jobs (name, key, arguments, run_at) select 'send_sms', key, jsonb_build_object("
        "'key', key, 'template', 'password_changed', 'user_id', (select min(user_id) from users)), now() from (select %s as key) as asked"
    )
    with database(stage.up, "identity") as tables:

        def ask():
            tables.execute(asks, [f"alert-{uuid.uuid4()}"])
            time.sleep(1)

        try:
            with repeatedly(ask):
                yield {"instance_code": "UP", "channel": "sms"}
        finally:
            inbox.unlink()
            if aside.exists():
                aside.rename(inbox)


@contextmanager
def audit_unsealed(stage):
    """The twenty minutes are not waited for."""
    with hung_job(stage.up, "dedup", "seal_audit") as tables:
        tables.execute(
            "insert into audit (at, user_id, role, action, subjects, facts, request_id)"
            " values (now() - interval '20 minutes', 'TEST', '', 'test.unsealed', '[]', '{}', '')",
        )
        yield {"service": "dedup"}


@contextmanager
def audit_broken(stage):
    with database(stage.up, "identity") as tables:
        place = tables.execute("update audit set user_id = user_id || '!' where place = (select max(place) from audit) returning place").fetchone()[0]
        run_now(tables, "check_audit")
        try:
            yield {"service": "identity"}
        finally:
            tables.execute("update audit set user_id = rtrim(user_id, '!') where place = %s", [place])
            run_now(tables, "check_audit")


@contextmanager
def copies_drift(stage):
    """A member of the copy is lost; the owner's tally, told ten minutes ago, does not fit."""
    block = ".".join(stage.group.region.split(".")[:3])
    noted = "select 1 from drift where block = %s"
    with database(stage.up, "transactions") as copies, database(stage.up, "profiles") as owner:
        copies.execute("delete from members where member_id = %s", [stage.group.members[0]])
        run_now(owner, "tally_members")
        books.wait_until("the drift is noted", lambda: copies.execute(noted, [block]).fetchone())
        copies.execute("update drift set found_at = found_at - interval '10 minutes' where block = %s", [block])
        run_now(copies, "count_drift")
        yield {"service": "transactions", "copy": "members"}
        run_in(stage.up.instance, "services.profiles", "restate", "--to", "transactions")
        restored = "select 1 from members where member_id = %s"
        books.wait_until("the copy is whole again", lambda: copies.execute(restored, [stage.group.members[0]]).fetchone())
        run_now(copies, "count_drift")


@contextmanager
def state_stale(stage):
    with stopped(stage.machine, "br-serve"):
        yield {"state": "BR"}


@contextmanager
def certificate_ending(stage):
    """One for ten days, in place of the one for years."""
    machine = stage.machine

    def renew(years):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(keys, "CERTIFICATE_YEARS", years)
            for name in ("tls.pem", "tls.key"):
                (machine.instances["BR"].keys / name).unlink()
            keys.make_keys(machine.instances)
        restart(machine, "br-serve")

    years = keys.CERTIFICATE_YEARS
    renew(10 / 365)
    try:
        yield {"program": "br-serve", "setting": "LOKOS_TLS_CERT_FILE"}
    finally:
        renew(years)


FAULTS = {
    "ProcessDown": process_down,
    "ProcessMissing": process_missing,
    "ProcessRestarting": process_restarting,
    "DatabaseAway": database_away,
    "ConnectionsExhausted": connections_exhausted,
    "OutboxOld": outbox_old,
    "QueueBacklog": queue_backlog,
    "EventsParked": events_parked,
    "EventsRedelivered": events_redelivered,
    "CallsFailing": calls_failing,
    "CallsSlow": calls_slow,
    "CallsShed": calls_shed,
    "JobLate": job_late,
    "JobFailing": job_failing,
    "MessagesFailing": messages_failing,
    "AuditUnsealed": audit_unsealed,
    "AuditBroken": audit_broken,
    "CopiesDrift": copies_drift,
    "StateStale": state_stale,
    "CertificateEnding": certificate_ending,
}


def test_every_alert_has_its_fault():
    assert list(FAULTS) == ALERTS


def exposed(machine):
    """Name of each metric that the running machine shows, with the names of its labels."""
    found = {}
    for program in machine.layout.applications():
        with urllib.request.urlopen(f"http://127.0.0.1:{program.metrics_port}/metrics", timeout=10) as answer:
            for line in answer.read().decode().splitlines():
                if not line.startswith("#"):
                    name, _, rest = line.partition(" ")[0].partition("{")
                    found.setdefault(name, set()).update(re.findall(r'(\w+)="', rest))
    return found


def test_alerts_dashboard_and_page_speak_of_what_a_running_machine_shows(world):
    with database(world.up, "identity") as tables:
        run_now(tables, "check_audit")  # A figure that comes once an hour.
    page = (PROJECT / "docs/operate.md").read_text(encoding="utf-8").partition("\n## What to watch\n")[2].partition("\n## ")[0]
    explained = set(re.findall(METRIC, page))
    named = set(re.findall(METRIC, RULES_TEXT + (PROJECT / "deploy/watch/dashboard.json").read_text(encoding="utf-8")))
    shown = books.wait_until("all is shown", lambda: (found := exposed(world.machine)) and named <= found.keys() and found, 90)
    assert explained == {re.sub(r"_(bucket|sum|count)$", "", name) for name in shown if name.startswith("lokos_")}
    for name, labels in shown.items():
        assert not labels & {"job", "instance", "instance_code", "program"}, f"{name} takes a label of Prometheus's own"


def test_a_stranger_makes_no_series(world):
    """An RPC that does not exist, a language, a request id: nothing that a caller sends becomes a label."""
    credentials = grpc.ssl_channel_credentials(world.up.instance.ca_file.read_bytes())
    strange = "Sita9876543210"
    with grpc.secure_channel(world.up.instance.grpc_address, credentials) as channel:
        for path in (f"/lokos.profiles.v1.ProfilesService/{strange}", f"/{strange}/Report", "/lokos.reporting.v1.ReportingService/Report"):
            with pytest.raises(grpc.RpcError):
                channel.unary_unary(path)(b"", timeout=10, metadata=(("x-request-id", strange), ("accept-language", strange)))
    with urllib.request.urlopen(f"http://127.0.0.1:{world.machine.programs['up-serve'].metrics_port}/metrics", timeout=10) as answer:
        assert strange not in answer.read().decode()


def about(alerts, labels):
    return next((alert for alert in alerts if labels.items() <= alert["labels"].items()), None)


@pytest.mark.parametrize("name", ALERTS)
def test_an_alert_fires_when_its_fault_is_made(stage, prometheus, name):
    books.wait_until(f"{name} is silent", lambda: name not in prometheus.firing(), FIRES_SECONDS_MAX)
    with FAULTS[name](stage) as labels:
        alert = books.wait_until(f"{name} fires", lambda: about(prometheus.firing().get(name, []), labels), FIRES_SECONDS_MAX)
    summary = alert["annotations"]["summary"]
    assert "<" not in summary, "the template knows its labels"
    assert "  " not in summary


def test_when_all_is_mended_nothing_fires(prometheus):
    books.wait_until("nothing fires", lambda: not prometheus.firing(), 180)
