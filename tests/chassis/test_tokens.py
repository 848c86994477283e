"""Tokens: for one instance, one purpose, a short time."""

import json
import time
from datetime import timedelta
from uuid import UUID

import jwt
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


def test_who_signs_in_the_time_to_come_has_another_clock(keys):
    def issued(seconds):
        """A token of an instance whose clock is so far ahead of ours."""
        now = time.time() + seconds
        claims = {"iss": "UP", "aud": "UP", "iat": now, "exp": now + 600, "purpose": "users", "jti": "x", "sub": "x"}
        return jwt.encode(claims, (keys / "UP-1.pem").read_bytes(), algorithm=tokens.ALGORITHM, headers={"kid": "UP-1"})

    counted = tokens.metrics.CLOCK_SKEW.labels("UP")
    before = counted._value.get()
    assert tokens.verify(issued(tokens.CLOCK_SKEW_SECONDS - 5), "users")["sub"] == "x"
    with pytest.raises(Unauthenticated) as refused:
        tokens.verify(issued(300), "users")
    assert refused.value.code == "CLOCK_SKEW"
    assert str(refused.value) == "The clocks of the two machines differ by more than 30 seconds; set them right."
    assert counted._value.get() == before + 1
    assert tokens.verify(issued(-300), "users")["sub"] == "x", "behind by less than a token's life does no harm"
    assert refusal(issued(-900)) == "TOKEN_EXPIRED"


def rewrite(folder, change):
    """Replace the trust file as Kubernetes and `rotate` do: another file in its place."""
    trust = json.loads((folder / "trust.json").read_text())
    change(trust["keys"])
    (folder / "draft").write_text(json.dumps(trust))
    (folder / "draft").replace(folder / "trust.json")


def test_a_new_key_is_taken_at_once_and_one_taken_away_within_a_second(keys, monkeypatch):
    old, _ = tokens.sign_caller(CALLER)
    assert tokens.caller_of(old, "") == CALLER
    key = Ed25519PrivateKey.generate()
    (keys / "UP-2.pem").write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    rewrite(keys, lambda trusted: trusted.append(trusted_key(key, "UP-2", "UP", ["users"])))
    monkeypatch.setenv("LOKOS_SIGNING_KEY_FILE", str(keys / "UP-2.pem"))
    monkeypatch.setenv("LOKOS_SIGNING_KEY_ID", "UP-2")
    new, _ = tokens.sign_caller(CALLER)
    assert tokens.caller_of(new, "") == CALLER
    assert tokens.caller_of(old, "") == CALLER
    rewrite(keys, lambda trusted: trusted.pop(0))
    time.sleep(tokens.LOOK_SECONDS)
    assert tokens.caller_of(new, "") == CALLER
    with pytest.raises(Unauthenticated) as refused:
        tokens.caller_of(old, "")
    assert refused.value.code == "TOKEN_FOREIGN", "who was remembered by the key that is gone is known no more"


@pytest.mark.parametrize("broken", ["", "x", "[]", '{"keys": [{"kid": "UP-1"}]}', '{"keys": ["UP-1"]}', None])
def test_a_broken_file_leaves_the_old_keys_in_use_and_is_told_of_once(keys, caplog, broken):
    token, _ = tokens.sign("users", "UP", timedelta(minutes=1), {"sub": "x"})
    tokens.verify(token, "users")
    whole = (keys / "trust.json").read_text()
    (keys / "trust.json").unlink()
    if broken is not None:
        (keys / "trust.json").write_text(broken)
    unknown = jwt.encode({}, Ed25519PrivateKey.generate(), algorithm=tokens.ALGORITHM, headers={"kid": "UP-9"})
    for _ in range(3):
        assert refusal(unknown) == "TOKEN_FOREIGN"  # Which looks at the file each time.
        assert tokens.verify(token, "users")["sub"] == "x"
    assert [record.levelname for record in caplog.records] == ["ERROR"]
    (keys / "trust.json").write_text(whole)
    rewrite(keys, lambda trusted: trusted.pop(0))
    assert refusal(unknown) == "TOKEN_FOREIGN"
    assert refusal(token) == "TOKEN_FOREIGN"


def test_a_process_does_not_start_with_a_broken_file(keys, monkeypatch):
    (keys / "other.json").write_text('{"keys": [{"kty": "oct", "alg": "HS256", "k": "c2VjcmV0", "kid": "x", "issuer": "UP", "scopes": ["users"]}]}')
    monkeypatch.setenv("LOKOS_TRUST_FILE", str(keys / "other.json"))
    with pytest.raises(SystemExit, match="LOKOS_TRUST_FILE"):
        tokens.must_have_trust()


def test_the_instances_own_keys_are_a_set_that_others_can_use(keys):
    token, _ = tokens.sign("users", "UP", timedelta(minutes=1), {"sub": "x"})
    shown = json.loads(tokens.own_keys())["keys"]
    assert [set(key) for key in shown] == [{"kty", "crv", "x", "kid", "use", "alg"}]
    checks = jwt.PyJWKSet.from_json(tokens.own_keys())[jwt.get_unverified_header(token)["kid"]]
    assert jwt.decode(token, checks, algorithms=["EdDSA"], audience="UP")["sub"] == "x"
