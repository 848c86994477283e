"""Each kind of process ends at its start, and says by name what is missing."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PLAIN = {"PATH": os.environ["PATH"], "LOKOS_STATE_FILE": "deploy/states/UP.toml"}


def start(kind, *arguments, **settings):
    return subprocess.run(
        [sys.executable, "-m", f"services.chassis.{kind}", *arguments],
        cwd=ROOT,
        env={**PLAIN, **settings},
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )


@pytest.mark.parametrize("kind", ["serve", "consume", "drain", "relay", "work", "whole"])
def test_a_missing_setting_ends_it_by_name(kind):
    ended = start(kind, "reporting")
    assert ended.returncode != 0
    assert "The setting REPORTING_DATABASE_URL is missing" in ended.stderr
    if kind != "serve":
        ended = start(kind, "reporting", REPORTING_DATABASE_URL="postgresql+psycopg://x@127.0.0.1:1/x")
        assert "The setting REPORTING_AMQP_URL is missing" in ended.stderr


def test_a_file_that_is_not_there_ends_it_by_name():
    ended = start("serve", "reporting", REPORTING_DATABASE_URL="x", LOKOS_TLS_CERT_FILE="/nowhere.pem")
    assert ended.returncode != 0
    assert "LOKOS_TLS_CERT_FILE" in ended.stderr
    assert "/nowhere.pem" in ended.stderr


def test_a_file_that_holds_no_certificate_ends_it_by_name(tmp_path):
    file = tmp_path / "garbage.pem"
    file.write_text("garbage")
    names = ("LOKOS_TLS_CERT_FILE", "LOKOS_TLS_KEY_FILE", "LOKOS_TLS_CA_FILE", "LOKOS_SIGNING_KEY_FILE", "LOKOS_TRUST_FILE")
    ended = start("serve", "reporting", REPORTING_DATABASE_URL="x", LOKOS_SIGNING_KEY_ID="x", **dict.fromkeys(names, str(file)))
    assert ended.returncode == 1
    assert ended.stderr == f"The setting LOKOS_TLS_CERT_FILE names {file}, which holds no certificate in PEM.\n"


def test_an_unknown_service_is_refused_with_those_that_there_are():
    ended = start("relay", "gossip")
    assert ended.returncode == 2
    assert "profiles" in ended.stderr


@pytest.mark.parametrize("kind", ["serve", "consume", "drain", "relay", "work", "whole", "replay", "migrate"])
def test_each_explains_itself(kind):
    ended = start(kind, "--help")
    assert ended.returncode == 0
    assert "SERVICE" in ended.stdout
