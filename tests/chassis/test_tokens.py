"""Tokens: for one instance, one purpose, a short time."""

import json
from datetime import timedelta
from uuid import UUID

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from deploy.machine.keys import trusted_key
from services.chassis import tokens
from services.kernel.caller import Caller, Role
from services.kernel.errors import Unauthenticated

CALLER = Caller("IUP_SITA", Role.SHG_BOOKKEEPER, "9.1", frozenset({UUID(int=7)}), "person")


@pytest.fixture
def keys(tmp_path, monkeypatch):
    """Two states and a nation whose invitations UP trusts."""
    trust = []
    for key_id, issuer, scopes in (("UP-1", "UP", ["users", "kyc"]), ("IN-1", "IN", ["invitation"])):
        key = Ed25519PrivateKey.generate()
        (tmp_path / f"{key_id}.pem").write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        trust.append(trusted_key(key, key_id, issuer, scopes))
    (tmp_path / "trust.json").write_text(json.dumps({"keys": trust}))
    for name, value in {
        "LOKOS_STATE_FILE": "deploy/states/UP.toml",
        "LOKOS_SIGNING_KEY_FILE": str(tmp_path / "UP-1.pem"),
        "LOKOS_SIGNING_KEY_ID": "UP-1",
        "LOKOS_TRUST_FILE": str(tmp_path / "trust.json"),
    }.items():
        monkeypatch.setenv(name, value)
    return tmp_path


def refusal(token, purpose="users"):
    with pytest.raises(Unauthenticated) as refused:
        tokens.verify(token, purpose)
    return refused.value.code


def test_a_caller_comes_back_as_she_went_in(keys):
    token, _ = tokens.sign_caller(CALLER)
    assert tokens.caller_of(token, "") == CALLER


def test_every_changed_byte_is_seen(keys):
    token, _ = tokens.sign_caller(CALLER)
    for place in range(0, len(token) - 1, 7):
        changed = token[:place] + ("A" if token[place] != "A" else "B") + token[place + 1 :]
        with pytest.raises(Unauthenticated):
            tokens.verify(changed, "users")


def test_a_token_ends(keys):
    token, _ = tokens.sign("users", "UP", timedelta(seconds=-1), {})
    assert refusal(token) == "TOKEN_EXPIRED"


def test_a_token_of_another_state_is_foreign(keys, monkeypatch):
    token, _ = tokens.sign("users", "BR", timedelta(minutes=1), {})
    assert refusal(token) == "TOKEN_FOREIGN"
    monkeypatch.setenv("LOKOS_SIGNING_KEY_ID", "BR-1")
    token, _ = tokens.sign("users", "UP", timedelta(minutes=1), {})
    assert refusal(token) == "TOKEN_FOREIGN"


def test_the_nations_key_is_trusted_for_its_scope_alone(keys, monkeypatch):
    monkeypatch.setenv("LOKOS_STATE_FILE", "deploy/nation.toml")
    nation = {"key_file": keys / "IN-1.pem", "key_id": "IN-1"}
    invitation, _ = tokens.sign("invitation", "UP", timedelta(minutes=1), {}, **nation)
    user, _ = tokens.sign("users", "UP", timedelta(minutes=1), {}, **nation)
    monkeypatch.setenv("LOKOS_STATE_FILE", "deploy/states/UP.toml")
    assert tokens.verify(invitation, "invitation")["iss"] == "IN"
    assert refusal(invitation, "users") == "TOKEN_PURPOSE"
    assert refusal(user, "users") == "TOKEN_PURPOSE"


def test_an_attestation_logs_nobody_in(keys):
    attestation, _ = tokens.sign("kyc", "UP", timedelta(hours=1), {"sub": "x"})
    assert refusal(attestation) == "TOKEN_PURPOSE"


@pytest.mark.parametrize("token", ["", "x", "a.b.c", "..", "é.é.é"])
def test_what_is_no_token_is_not_genuine(keys, token):
    assert refusal(token) == "TOKEN_INVALID"
