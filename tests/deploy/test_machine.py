"""The parts of the machine that need nothing running."""

from __future__ import annotations

import base64
import fcntl
import hashlib
import json
import os
import stat
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from cryptography import x509

from deploy.machine import keys, postgres, provision, rabbitmq, supervisor
from deploy.machine.layout import DATABASE_CONNECTIONS_MAX, FORM, PROJECT, SOCKET_PATH_MAX, STATES, Layout, MachineError, read_env
from deploy.machine.machine import Machine


@pytest.fixture
def layout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Layout:
    monkeypatch.setenv("DATABASE_URL", "postgresql+psycopg://root:secret@db.example:5432/postgres?sslmode=require")
    monkeypatch.setenv("AMQP_URL", "amqp://root:secret@mq.example:5672/")
    return Layout(tmp_path / "run", 30000)


def test_the_environment_names_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOKOS_RUN", "run/other")
    monkeypatch.setenv("LOKOS_PORT_BASE", "31000")
    machine = Machine.from_environment()
    assert machine.run == PROJECT / "run" / "other"
    assert machine.instances["BR"].grpc_address == "127.0.0.1:31300"


def test_a_port_base_that_is_no_number_is_refused_with_advice(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOKOS_PORT_BASE", "many")
    with pytest.raises(MachineError, match="from 1024 to 65000"):
        Layout.from_environment()


def test_an_unknown_registry_is_refused_with_those_that_there_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOKOS_REGISTRY", "etcd")
    with pytest.raises(MachineError, match="file or consul"):
        Layout.from_environment()


def test_consul_runs_where_it_is_asked_for_and_does_not_run_elsewhere(layout: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "[program:consul]" not in supervisor.configuration(layout)
    asked = replace(layout, registry="consul")
    assert "[program:consul]" in supervisor.configuration(asked)
    provision.write_settings(asked)
    assert asked.instances()["UP"].env["CONSUL_HTTP_ADDR"] == "127.0.0.1:30005"
    monkeypatch.setenv("CONSUL_HTTP_ADDR", "https://consul.example:8501")
    assert "[program:consul]" not in supervisor.configuration(asked)
    provision.write_settings(asked)
    assert asked.instances()["UP"].env["CONSUL_HTTP_ADDR"] == "https://consul.example:8501"


def test_no_two_programs_share_a_port_or_a_name(layout: Layout) -> None:
    programs = [*replace(layout, registry="consul").infrastructure(), *layout.applications()]
    ports = {program.address for program in programs} | {f"127.0.0.1:{p.metrics_port}" for p in programs if p.metrics_port}
    serving = [program for program in programs if program.proof == "serves"]
    assert len(ports) == len(programs) + len(serving)
    assert len({program.name for program in programs}) == len(programs)
    for successor in (program.next for program in layout.applications()):
        assert f"127.0.0.1:{successor.metrics_port}" not in ports
        assert successor.name not in {program.name for program in programs}


def test_the_machine_has_the_states_that_are_there_unless_it_is_told_which(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("LOKOS_RUN", str(tmp_path))
    monkeypatch.delenv("LOKOS_STATES", raising=False)
    assert Layout.from_environment().states == ("UP", "BR")
    for code in ("KL", "IN"):
        (tmp_path / "instances" / code).mkdir(parents=True)
        (tmp_path / "instances" / code / "env").touch()
    assert Layout.from_environment().states == ("KL",)
    monkeypatch.setenv("LOKOS_STATES", "BR")
    assert Layout.from_environment().states == ("BR",)


def test_the_database_has_room_for_every_pool_of_all_states_at_once() -> None:
    every = Layout(Path("/run"), 30000, tuple(sorted(file.stem for file in STATES.glob("*.toml"))), small=True)
    assert len(every.applications()) == 34 + 2
    assert every.database_connections_max >= 34 * 5 * DATABASE_CONNECTIONS_MAX
    assert max(program.metrics_port for program in every.applications()) < 31000


def test_a_socket_path_that_would_be_too_long_moves_to_a_short_one(layout: Layout) -> None:
    deep = replace(layout, run=Path("/") / ("deep" * 30))
    assert len(str(deep.socket)) <= SOCKET_PATH_MAX
    assert deep.socket != replace(deep, run=deep.run / "other").socket


def test_settings_are_private_and_keep_their_secrets(layout: Layout) -> None:
    provision.write_settings(layout)
    before = {code: instance.env for code, instance in layout.instances().items()}
    certificates = {code: instance.ca_file.read_bytes() for code, instance in layout.instances().items()}
    provision.write_settings(layout)
    assert before == {code: instance.env for code, instance in layout.instances().items()}
    assert certificates == {code: instance.ca_file.read_bytes() for code, instance in layout.instances().items()}
    for file in (layout.run / "instances").rglob("*"):
        assert stat.S_IMODE(file.stat().st_mode) == (0o700 if file.is_dir() else 0o600), file


def test_a_services_address_keeps_the_servers_place_and_options_but_not_its_administrator(layout: Layout) -> None:
    provision.write_settings(layout)
    url = urlsplit(layout.instances()["UP"].env["PROFILES_DATABASE_URL"])
    assert (url.scheme, url.username, url.hostname) == ("postgresql+psycopg", "up_profiles", "db.example")
    assert (url.path, url.query) == ("/lokos_up", "sslmode=require")
    assert "root" not in layout.instances()["UP"].env["PROFILES_AMQP_URL"]
    assert postgres.admin_url(layout).startswith("postgresql://root:")


def test_the_nation_gets_a_gateway_and_no_members_services(layout: Layout) -> None:
    provision.write_settings(layout)
    nation = layout.instances()["IN"].env
    assert {name for name in nation if name.endswith("_DATABASE_URL")} == {"IDENTITY_DATABASE_URL", "VAULT_DATABASE_URL"}
    assert nation["GATEWAY_SIGNING_KEY_ID"] == "IN-gateway"
    assert nation["LOKOS_STATE_FILE"].endswith("nation.toml")


def test_whom_a_state_and_the_nation_trust_for_what(layout: Layout) -> None:
    provision.write_settings(layout)

    def trusted(code: str) -> list[tuple[str, str, list[str]]]:
        keys = json.loads(layout.instances()[code].trust_file.read_text(encoding="utf-8"))["keys"]
        assert {(key["kty"], key["crv"], key["use"], key["alg"]) for key in keys} == {("OKP", "Ed25519", "sig", "EdDSA")}
        return [(key["issuer"], key["kid"], key["scopes"]) for key in keys]

    assert trusted("UP") == [
        ("UP", "UP-identity", ["users", "kyc"]),
        ("IN", "IN-identity", ["invitation"]),
        ("IN", "IN-gateway", ["aggregates"]),
    ]
    assert trusted("IN") == [("IN", "IN-identity", ["users"]), ("IN", "IN-gateway", ["sessions"])]


def test_certificates_are_signed_by_their_own_instance(layout: Layout) -> None:
    provision.write_settings(layout)
    up, nation = (layout.instances()[code] for code in ("UP", "IN"))
    server = x509.load_pem_x509_certificate((up.keys / "tls.pem").read_bytes())
    gateway = x509.load_pem_x509_certificate((nation.keys / "gateway-tls.pem").read_bytes())
    server.verify_directly_issued_by(x509.load_pem_x509_certificate(up.ca_file.read_bytes()))
    gateway.verify_directly_issued_by(x509.load_pem_x509_certificate(nation.ca_file.read_bytes()))


def test_a_broker_user_writes_to_its_own_exchange_only(layout: Layout) -> None:
    instances = layout.instances()
    passwords = {code: dict.fromkeys((*i.services, rabbitmq.MIGRATE), "word") for code, i in instances.items()}
    made = rabbitmq.definitions(instances, passwords)
    rights = {right["user"]: right for right in made["permissions"]}
    assert rights["up_profiles"] == {
        "user": "up_profiles",
        "vhost": "up",
        "configure": "^$",
        "write": r"^profiles\.events$",
        "read": r"^profiles\..*",
    }
    assert "in_profiles" not in rights
    raw = base64.b64decode(next(user["password_hash"] for user in made["users"] if user["name"] == "up_profiles"))
    assert raw[4:] == hashlib.sha256(raw[:4] + b"word").digest()
    assert made == rabbitmq.definitions(instances, passwords)


def test_the_supervisors_file_holds_no_secret(layout: Layout) -> None:
    provision.write_settings(layout)
    text = supervisor.configuration(layout)
    assert "deploy.machine with UP -- " in text
    assert "[program:postgres]" not in text, "DATABASE_URL names a server that runs elsewhere"
    for instance in layout.instances().values():
        assert not any(secret in text for secret in keys.Secrets(instance.folder / "secrets.json").known())


def test_a_missing_env_file_tells_what_to_run(tmp_path: Path) -> None:
    with pytest.raises(MachineError, match=r"deploy\.machine up"):
        read_env(tmp_path / "env")


def command(run: Path, *words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    settings = {**os.environ, "LOKOS_RUN": str(run), "LOKOS_PORT_BASE": "30000", **environment}
    return subprocess.run([sys.executable, "-m", "deploy.machine", *words], cwd=PROJECT, env=settings, capture_output=True, text=True, check=False)


def test_one_command_at_a_time_changes_a_machine(tmp_path: Path) -> None:
    folder = os.open(tmp_path, os.O_RDONLY)
    fcntl.flock(folder, fcntl.LOCK_EX)
    refused = command(tmp_path, "down")
    assert (refused.returncode, "Another command is at work" in refused.stderr) == (1, True)
    os.close(folder)
    assert command(tmp_path, "down").returncode == 0


def test_a_machine_keeps_its_form(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOKOS_RUN", str(tmp_path))
    monkeypatch.delenv("LOKOS_REGISTRY", raising=False)
    (tmp_path / FORM).write_text("registry=consul\nsmall=1\n")
    kept = Layout.from_environment()
    assert (kept.small, kept.registry) == (True, "consul")
    monkeypatch.setenv("LOKOS_SMALL", "0")
    assert not Layout.from_environment().small
    monkeypatch.setenv("LOKOS_SMALL", "yes")
    with pytest.raises(MachineError, match="give 1 or 0"):
        Layout.from_environment()


def test_a_half_restored_state_is_not_brought_up(layout: Layout) -> None:
    up = layout.instances()["UP"]
    up.folder.mkdir(parents=True)
    up.restoring_file.write_text("UP 2026\nlokos_up_before\n/backups/UP")
    with pytest.raises(MachineError, match=r"deploy\.machine restore UP /backups/UP"):
        up.must_not_be_half_restored()
    up.restoring_file.write_text("UP 2026\nlokos_up_before\n/backups/UP\nplaced")
    up.must_not_be_half_restored()


def test_a_machine_sends_nothing_until_its_operator_says_how(layout: Layout) -> None:
    provision.write_settings(layout)
    up = layout.instances()["UP"]
    assert (up.env["LOKOS_SMS"], up.env["LOKOS_MAIL"], up.env["LOKOS_MESSAGE_INBOX"]) == ("sandbox", "sandbox", str(up.folder / "inbox"))
    up.messages_file.write_text("LOKOS_SMS=mobile-seva\nLOKOS_SMS_URL=https://sms.example/esms\n")
    provision.write_settings(layout)
    assert (up.env["LOKOS_SMS"], up.env["LOKOS_SMS_URL"], up.env["LOKOS_MAIL"]) == ("mobile-seva", "https://sms.example/esms", "sandbox")
    assert layout.instances()["BR"].env["LOKOS_SMS"] == "sandbox"
