"""The vault: what is sealed opens as itself and for whoever says why, whoever holds the keys; away it refuses, and is made anew when it is back."""

import os
import shutil
import signal
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from uuid import UUID, uuid4

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from sqlalchemy import delete, insert, select, text, update
from sqlalchemy.exc import ProgrammingError

from services.chassis import database
from services.identity.adapters import keys
from services.identity.adapters.keys import FileKeys, Pkcs11Keys
from services.identity.commands import retention, vault
from services.identity.keeper import Keeper
from services.identity.keeper.vault import Vault, opened, seal, wrapped_anew
from services.identity.rules.kyc import UNCONFIRMED_KEPT
from services.identity.rules.vault import DoesNotOpen, Kind, Purpose
from services.identity.tables.vault import entries, numbers, tombstones, uses, walks
from services.kernel.errors import Conflict, Invalid, Unavailable
from tests.identity.builders import number

SERVICE = "identity"
MODULE = Path("/usr/lib/softhsm/libsofthsm2.so")
TABLES = (entries, numbers, tombstones, uses, walks)
ASKED = Purpose.E_KYC, "IUP_SITA1"


@pytest.fixture
def vaulted(up):
    """A connection as the vault's own role, rolled back."""
    with database.engine("vault").connect() as opened_:
        transaction = opened_.begin()
        for table in TABLES:
            opened_.execute(delete(table))
        yield opened_
        transaction.rollback()


@pytest.fixture
def empty(up):
    """The vault's tables, to commit to, with nothing in them before and after."""
    transaction = database.of("vault")

    def clear():
        with transaction() as connection:
            for table in TABLES:
                connection.execute(delete(table))

    clear()
    yield transaction
    clear()


def in_file(folder, name="vault.keys"):
    file = folder / name
    file.write_text(f"# Of a test.\ndata 1 {os.urandom(32).hex()}\nindex 1 {os.urandom(32).hex()}\n")
    return FileKeys(file)


@pytest.fixture
def hsm(tmp_path, monkeypatch):
    """SoftHSM2 with a token of its own: a module as a hardware's is, in software."""
    if not MODULE.exists() or not shutil.which("softhsm2-util"):
        pytest.skip("NOT TESTED: the vault's keys in a PKCS#11 module. apt-get install softhsm2, as `make setup` does as root.")
    tokens = tmp_path / "tokens"
    tokens.mkdir()
    (tmp_path / "softhsm2.conf").write_text(f"directories.tokendir={tokens}\nobjectstore.backend=file\nlog.level=ERROR\n")
    (tmp_path / "pin").write_text("1234\n")
    monkeypatch.setenv("SOFTHSM2_CONF", str(tmp_path / "softhsm2.conf"))
    words = ["softhsm2-util", "--init-token", "--free", "--label", "lokos", "--pin", "1234", "--so-pin", "5678"]
    subprocess.run(words, check=True, capture_output=True)
    made = Pkcs11Keys(MODULE, "lokos", tmp_path / "pin")
    for kind in Kind:
        assert made.make(kind) == 1
    return SimpleNamespace(keys=made, tokens=tokens, pin=tmp_path / "pin", conf=tmp_path / "softhsm2.conf")


def at_work(hsm, monkeypatch):
    """The settings name it."""
    for name, value in {
        "LOKOS_VAULT_KEYS": "pkcs11",
        "LOKOS_VAULT_PKCS11_MODULE": str(MODULE),
        "LOKOS_VAULT_PKCS11_TOKEN": "lokos",
        "LOKOS_VAULT_PKCS11_PIN_FILE": str(hsm.pin),
        "LOKOS_VAULT_PKCS11_VARIABLES": "SOFTHSM2_CONF",
    }.items():
        monkeypatch.setenv(name, value)


@pytest.fixture(params=["file", "pkcs11"])
def provider(request, tmp_path):
    return in_file(tmp_path) if request.param == "file" else request.getfixturevalue("hsm").keys


@pytest.fixture
def made(provider, vaulted):
    return Vault(provider, lambda: nullcontext(vaulted))


def record(connection, reference):
    return connection.execute(select(numbers).where(numbers.c.reference == reference)).one()


def noted(connection, reference):
    return connection.execute(select(uses.c.act, uses.c.purpose, uses.c.user_id).where(uses.c.reference == reference).order_by(uses.c.id)).all()


# --- What is kept, and what leaves


def test_one_number_is_one_reference_and_is_nowhere_in_clear(made, vaulted):
    one = number()
    reference = made.store(one, *ASKED)
    assert made.store(one, Purpose.E_KYC, "IUP_GITA1") == reference
    assert made.store(number(), *ASKED) != reference
    rows = [record(vaulted, reference), *vaulted.execute(select(entries).where(entries.c.reference == reference))]
    stored = b"".join(value if isinstance(value, bytes) else str(value).encode() for row in rows for value in row)
    for written in (one.encode(), bytes.fromhex(one), one[::-1].encode(), one.encode().hex().encode()):
        assert written not in stored
    assert reference.version == 4
    assert noted(vaulted, reference) == [("STORE", "e-kyc", "IUP_SITA1"), ("STORE", "e-kyc", "IUP_GITA1")]


def test_reference_and_token_are_not_made_of_the_number(provider, empty):
    one, seen = number(), set()
    for _ in range(2):
        made = Vault(provider, empty)
        reference = made.store(one, *ASKED)
        seen |= {reference, made.identify(reference, *ASKED).token}
        with empty() as connection:
            vault.erase(connection, [reference], "a test", "X", datetime.now(UTC))
    assert len(seen) == 4


def test_what_leaves_is_a_token_and_four_digits_and_the_number_for_who_says_why(made, vaulted):
    one = number()
    reference = made.store(one, *ASKED)
    identity = made.identify(reference, *ASKED)
    assert identity.masked == f"XXXX XXXX {one[-4:]}"
    assert len(identity.token) == 64
    assert made.identify(made.store(one, *ASKED), *ASKED) == identity
    assert made.open_number(reference, Purpose.E_KYC, "IUP_GITA1") == one
    assert [row.act for row in noted(vaulted, reference)] == ["STORE", "IDENTIFY", "STORE", "IDENTIFY", "OPEN"]
    assert noted(vaulted, reference)[-1] == ("OPEN", "e-kyc", "IUP_GITA1")
    assert not any(one in str(row) or one[-4:] in row.purpose + row.user_id for row in vaulted.execute(select(uses)))


def test_it_is_noted_who_asked_before_anything_is_opened(up, empty, tmp_path):
    class Gone(FileKeys):
        def unwrap(self, *_wrapped):
            with empty() as connection:
                assert [row.act for row in noted(connection, reference)] == ["STORE", "OPEN"]
            raise keys.away()

    file = in_file(tmp_path)._file
    reference = Vault(FileKeys(file), empty).store(number(), *ASKED)
    with pytest.raises(Unavailable):
        Vault(Gone(file), empty).open_number(reference, *ASKED)


def test_each_record_has_a_data_key_of_its_own(made, vaulted, provider):
    rows = [record(vaulted, made.store(number(), *ASKED)) for _ in range(3)]
    assert len({row.wrapped for row in rows}) == 3
    assert all(len(row.wrapped) == 12 + 32 + 16 and row.version == 1 and row.key_id == 1 for row in rows)


@pytest.mark.parametrize("part", ["sealed", "wrapped", "both", "version", "altered"])
def test_a_seal_opens_as_its_own_record_and_version_only(made, vaulted, part):
    one, other = (made.store(number(), *ASKED) for _ in range(2))
    its = record(vaulted, one)
    altered = {
        "sealed": {"sealed": its.sealed},
        "wrapped": {"wrapped": its.wrapped},
        "both": {"sealed": its.sealed, "wrapped": its.wrapped},
        "version": {"version": 2},
        "altered": {"sealed": record(vaulted, other).sealed[:-1] + b"\0"},
    }[part]
    vaulted.execute(update(numbers).where(numbers.c.reference == other).values(altered))
    with pytest.raises(DoesNotOpen):
        made.identify(other, *ASKED)


def test_a_purpose_that_is_none_is_refused(up, tmp_path, keeper):
    with pytest.raises(Invalid) as refused:
        keeper.store(number(), "curiosity", "IUP_SITA1")
    assert refused.value.code == "VAULT_PURPOSE_UNKNOWN"


# --- Records of the first version


def of_before(connection, provider, one):
    """As LokOS 0.1 stored it: sealed with the one key, its token made with the other."""
    reference, nonce = uuid4(), os.urandom(12)
    data, index = (provider._key(kind, 1) for kind in Kind)
    sealed = nonce + AESGCM(data).encrypt(nonce, one.encode(), reference.bytes)
    token = keys.hmac.digest(index, one.encode(), "sha256")
    connection.execute(insert(numbers).values(reference=reference, token=token, sealed=sealed, stored_at=datetime.now(UTC)))
    return reference, token


def test_a_record_of_before_is_found_and_opens_and_keeps_its_token(vaulted, tmp_path):
    provider, one = in_file(tmp_path), number()
    made = Vault(provider, lambda: nullcontext(vaulted))
    reference, token = of_before(vaulted, provider, one)
    assert made.store(one, *ASKED) == reference
    assert made.identify(reference, *ASKED).token == token.hex()
    assert made.open_number(reference, *ASKED) == one
    was = vault.kept(record(vaulted, reference)).seal
    vault.seal_anew(vaulted, was, wrapped_anew(provider, was), other_data_key=True)
    assert record(vaulted, reference).wrapped
    assert made.open_number(reference, *ASKED) == one
    assert made.identify(reference, *ASKED).token == token.hex()


# --- Erasing


def test_an_erased_number_is_gone_its_tombstone_stays_and_it_begins_anew(made, vaulted):
    one = number()
    reference = made.store(one, *ASKED)
    token = made.identify(reference, *ASKED).token
    for _ in range(2):
        vault.erase(vaulted, [reference], "she withdrew", "IUP_SITA1", datetime.now(UTC))
    for table in (numbers, entries):
        assert vaulted.execute(select(table).where(table.c.reference == reference)).all() == []
    [stone] = vaulted.execute(select(tombstones))
    assert (stone.reference, stone.reason) == (reference, "she withdrew")
    assert noted(vaulted, reference)[2:] == [("ERASE", "erase: she withdrew", "IUP_SITA1")] * 2
    for ask in (made.identify, made.open_number):
        with pytest.raises(Conflict) as refused:
            ask(reference, *ASKED)
        assert refused.value.code == "KYC_EXPIRED"
    anew = made.store(one, *ASKED)
    assert anew != reference
    assert made.identify(anew, *ASKED).token != token


def test_a_number_that_nobody_proved_is_forgotten(made, vaulted):
    proved, not_proved = (made.store(number(), *ASKED) for _ in range(2))
    vault.prove(vaulted, proved)
    later = datetime.now(UTC) + UNCONFIRMED_KEPT + timedelta(seconds=1)
    assert retention.erase(vaulted, "UNCONFIRMED_NUMBERS", later, lambda _policy: 0) == [str(not_proved)]
    assert vaulted.scalars(select(numbers.c.reference)).all() == [proved]
    assert vaulted.scalars(select(tombstones.c.reference)).all() == [not_proved]


# --- Who may


@pytest.mark.parametrize("table", [table.name for table in TABLES])
def test_identitys_own_role_cannot_read_the_vault(connection, table):
    with pytest.raises(ProgrammingError, match="permission denied"):
        connection.execute(text(f"select * from vault.{table}"))


def test_the_vault_cannot_read_identity(vaulted):
    with pytest.raises(ProgrammingError, match="permission denied"):
        vaulted.execute(text("select * from identity.users"))


@pytest.mark.parametrize("named", ["", "paper", "pkcs11"])
def test_keys_that_nobody_holds_stop_the_process_by_the_settings_name(up, monkeypatch, named):
    monkeypatch.setenv("LOKOS_VAULT_KEYS", named)
    with pytest.raises(SystemExit, match="LOKOS_VAULT_"):
        Keeper()


# --- Keys


@pytest.mark.parametrize("content", ["", "data 1 00", "data 1 " + "00" * 32, "data 1 zz\nindex 1 zz\n", "\0"])
def test_a_file_that_is_none_of_keys_is_a_vault_that_is_away(tmp_path, content):
    (tmp_path / "vault.keys").write_text(content)
    with pytest.raises(Unavailable) as refused:
        FileKeys(tmp_path / "vault.keys").ids(Kind.DATA)
    assert refused.value.code == "VAULT_AWAY"


def test_a_new_key_is_used_at_once_and_by_others_and_the_old_one_still_opens(provider, tmp_path):
    was = seal(provider, one := number(), uuid4(), 1)
    other = FileKeys(provider._file) if isinstance(provider, FileKeys) else provider
    assert other.ids(Kind.DATA) == [1]
    assert [provider.make(kind) for kind in Kind] == [2, 2]
    assert (other.ids(Kind.DATA), other.ids(Kind.INDEX)) == ([1, 2], [1, 2])
    assert opened(other, was) == one
    now = wrapped_anew(other, was)
    assert (now.key_id, now.sealed) == (2, was.sealed)
    assert opened(provider, now) == one
    known = provider.index(one)
    assert list(known) == [1, 2]
    assert len(set(known.values())) == 2
    if isinstance(provider, FileKeys):
        assert (provider._file.stat().st_mode & 0o777) == 0o600


def test_a_file_that_cannot_be_written_says_which_key_to_add(tmp_path, monkeypatch):
    held = in_file(tmp_path)
    monkeypatch.setattr(keys.os, "open", lambda *_: (_ for _ in ()).throw(PermissionError))
    with pytest.raises(Conflict, match="Add key 2 of kind index"):
        held.make(Kind.INDEX)


def test_a_key_of_the_module_never_leaves_it(hsm):
    import pkcs11

    for of_kind in hsm.keys._keys.values() or [hsm.keys._look(), *hsm.keys._keys.values()][1:]:
        for key in of_kind.values():
            assert (key[pkcs11.Attribute.SENSITIVE], key[pkcs11.Attribute.EXTRACTABLE]) == (True, False)
            with pytest.raises(pkcs11.AttributeSensitive):
                key[pkcs11.Attribute.VALUE]


def test_a_module_whose_token_is_away_says_so_and_is_back_when_it_is(hsm):
    was = seal(hsm.keys, one := number(), uuid4(), 1)
    hsm.tokens.rename(hsm.tokens.with_name("away"))
    for ask in (lambda: opened(hsm.keys, was), lambda: hsm.keys.index(one), lambda: Pkcs11Keys(MODULE, "lokos", hsm.pin)):
        with pytest.raises(Unavailable) as refused:
            ask()
        assert refused.value.code == "VAULT_AWAY"
    hsm.tokens.with_name("away").rename(hsm.tokens)
    assert opened(Pkcs11Keys(MODULE, "lokos", hsm.pin), was) == one


# --- The keeper


@pytest.fixture
def keeper(up, empty, tmp_path, monkeypatch):
    monkeypatch.setenv("LOKOS_VAULT_KEYS_FILE", str(in_file(tmp_path)._file))
    made = Keeper()
    yield made
    made.close()


def test_the_keeper_stores_identifies_and_opens(keeper, empty):
    one = number()
    reference = keeper.store(one, *ASKED)
    assert isinstance(reference, UUID)
    assert keeper.store(one, *ASKED) == reference
    assert keeper.identify(reference, *ASKED).masked == f"XXXX XXXX {one[-4:]}"
    assert keeper.open_number(reference, *ASKED) == one
    with pytest.raises(Conflict) as refused:
        keeper.open_number(uuid4(), *ASKED)
    assert refused.value.code == "KYC_EXPIRED"
    with empty() as connection:
        assert len(noted(connection, reference)) == 4


def test_many_at_once_of_one_number_are_one_record(keeper, empty):
    one = number()
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda _: keeper.store(one, *ASKED), range(32)))
    assert len(set(found)) == 1
    with empty() as connection:
        assert connection.scalars(select(numbers.c.reference)).all() == [found[0]]
        assert len(connection.scalars(select(entries.c.reference)).all()) == 1


def test_a_keeper_that_was_killed_is_made_anew(keeper):
    reference = keeper.store(number(), *ASKED)
    was = keeper._child._process.pid
    os.kill(was, signal.SIGKILL)
    deadline = time.monotonic() + 10
    while not keeper._child.has_ended and time.monotonic() < deadline:
        time.sleep(0.01)
    assert keeper.identify(reference, *ASKED)
    assert keeper._child._process.pid != was


def test_a_keeper_ends_with_its_serve(keeper):
    keeper.must_be_there()
    child = keeper._child
    while not child._lines.empty():
        child._lines.get().close()
    assert child._process.wait(10) == 0


def test_keys_that_are_away_are_a_stable_refusal_until_they_are_back(keeper, tmp_path):
    one = number()
    reference = keeper.store(one, *ASKED)
    (tmp_path / "vault.keys").rename(tmp_path / "away")
    asks = keeper.must_be_there, lambda: keeper.store(one, *ASKED), lambda: keeper.identify(reference, *ASKED)
    for ask in asks:
        with pytest.raises(Unavailable) as refused:
            ask()
        assert refused.value.code == "VAULT_AWAY"
    (tmp_path / "away").rename(tmp_path / "vault.keys")
    for ask in asks:
        ask()


def test_a_vault_whose_database_is_away_is_away(keeper, monkeypatch):
    monkeypatch.setenv("VAULT_DATABASE_URL", "postgresql+psycopg://vault:x@127.0.0.1:1/nowhere")
    for ask in (keeper.must_be_there, lambda: keeper.store(number(), *ASKED)):
        with pytest.raises(Unavailable) as refused:
            ask()
        assert refused.value.code == "VAULT_AWAY"


def test_the_keeper_works_with_a_module_and_takes_it_up_again(hsm, empty, monkeypatch):
    at_work(hsm, monkeypatch)
    held = Keeper()
    try:
        reference = held.store(one := number(), *ASKED)
        hsm.tokens.rename(hsm.tokens.with_name("away"))
        for _ in range(2):
            with pytest.raises(Unavailable):
                held.open_number(reference, *ASKED)
        hsm.tokens.with_name("away").rename(hsm.tokens)
        assert held.open_number(reference, *ASKED) == one
    finally:
        held.close()


def test_serve_does_not_have_the_keys_and_the_keeper_has_nothing_else(keeper, tmp_path):
    """Its environment, its open files, and its memory, which a reader of strangers' papers could spill."""
    keeper.store(number(), *ASKED)
    key = bytes.fromhex((tmp_path / "vault.keys").read_text().split()[-1])
    child = keeper._child._process.pid
    environment = Path(f"/proc/{child}/environ").read_bytes()
    for name in ("IDENTITY_DATABASE_URL", "LOKOS_SIGNING_KEY", "LOKOS_PERSON_KEY", "LOKOS_AUDIT_KEY", "AMQP"):
        assert name.encode() not in environment
    script = (
        "import os, time\nfrom services.identity.keeper import Keeper\nfrom services.identity.rules.vault import Purpose\n"
        "held = Keeper()\n"
        f"held.identify(held.store('{number()}', Purpose.E_KYC, 'X'), Purpose.E_KYC, 'X')\n"
        "print(held._child._process.pid, flush=True)\ntime.sleep(60)\n"
    )
    with subprocess.Popen([shutil.which("python3") and os.sys.executable, "-c", script], stdout=subprocess.PIPE) as serve:
        try:
            its_keeper = int(serve.stdout.readline())
            held = {pid: holds(pid, key) for pid in (serve.pid, its_keeper)}
        finally:
            serve.kill()
    assert held == {serve.pid: False, its_keeper: True}


def holds(pid, key):
    """Whether the key is anywhere in a process's memory, as bytes or in hex."""
    try:
        with Path(f"/proc/{pid}/mem").open("rb", 0) as memory:
            for line in Path(f"/proc/{pid}/maps").read_text().splitlines():
                place, rights, *_, name = (*line.split(), "")[:6] if len(line.split()) < 6 else line.split()[:6]
                if "r" not in rights or name.startswith("[v"):
                    continue
                begin, end = (int(part, 16) for part in place.split("-"))
                memory.seek(begin)
                found = memory.read(end - begin)
                if key in found or key.hex().encode() in found:
                    return True
    except PermissionError:
        pytest.skip("NOT TESTED: another process's memory cannot be read here")
    return False
