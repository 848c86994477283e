"""Other keys for the vault while enrolments and erasings go on, cut short and begun again; and a check that finds what does not fit."""

import os
import signal
import subprocess
import sys
import threading
import time
from datetime import UTC, datetime

import pytest
from sqlalchemy import delete, func, select, update

from services.identity import __main__ as command_line
from services.identity.adapters.keys import FileKeys
from services.identity.adapters.keys import provider as provider_of_settings
from services.identity.commands import vault
from services.identity.keeper import walks as rotation
from services.identity.keeper.vault import Vault
from services.identity.rules.vault import Kind, Walk
from services.identity.tables.vault import entries, numbers, tombstones, walks
from services.kernel.errors import Conflict, Unavailable
from tests.identity.builders import number
from tests.identity.test_vault import ASKED, at_work, empty, hsm, in_file, of_before, provider  # noqa: F401 - fixtures

SERVICE = "identity"
ROTATIONS = (Walk.KEYS, Walk.DATA_KEYS, Walk.INDEX_KEY)


def nothing(*_records):
    pass


def say(monkeypatch, capsys, *words):
    """What `python -m services.identity vault ...` says, and its exit code."""
    monkeypatch.setattr(sys, "argv", ["services.identity", "vault", *words])
    code = command_line.main()
    said = capsys.readouterr()
    return code, said.out + said.err


@pytest.fixture
def held(empty, tmp_path, monkeypatch):  # noqa: F811 - the fixture
    """Keys in a file, which the settings name, and some numbers, two of them as the first version stored them."""
    made = in_file(tmp_path)
    monkeypatch.setenv("LOKOS_VAULT_KEYS_FILE", str(tmp_path / "vault.keys"))
    opened = Vault(made, empty)
    known = {}
    for _ in range(30):
        one = number()
        known[opened.store(one, *ASKED)] = one
    with empty() as connection:
        for _ in range(2):
            one = number()
            known[of_before(connection, made, one)[0]] = one
    return opened, known


def all_is_there(opened, known, empty):  # noqa: F811
    """Nothing lost, nothing twice, no orphan."""
    assert {reference: opened.store(one, *ASKED) for reference, one in known.items()} == {reference: reference for reference in known}
    assert {reference: opened.open_number(reference, *ASKED) for reference in known} == known
    with empty() as connection:
        assert set(connection.scalars(select(numbers.c.reference))) == set(known)
        assert set(connection.scalars(select(entries.c.reference))) <= set(known)
    assert rotation.check(opened.keys, "operator test", nothing).faults == 0


# --- Rotation


@pytest.mark.parametrize("what", ROTATIONS)
def test_all_records_come_under_another_key_and_stay_what_they_are(provider, empty, what):  # noqa: F811
    opened = Vault(provider, empty)
    known = {opened.store(one, *ASKED): one for one in (number() for _ in range(12))}
    tokens = {reference: opened.identify(reference, *ASKED) for reference in known}

    def kept():
        with empty() as connection:
            return {row.reference: row for row in connection.execute(select(numbers))}, set(connection.execute(select(entries)))

    before, index_before = kept()
    done = rotation.rotate(provider, what, "operator test", nothing)
    after, index_after = kept()
    assert (done.records, done.left) == (12, 0)
    for reference in known:
        was, now = before[reference], after[reference]
        assert (now.sealed != was.sealed, now.wrapped != was.wrapped) == (what is Walk.DATA_KEYS, what is not Walk.INDEX_KEY)
        assert now.key_id == (2 if what is Walk.KEYS else 1)
        assert now.version == (2 if what is Walk.DATA_KEYS else 1)
    assert {row.key_id for row in index_after} == ({2} if what is Walk.INDEX_KEY else {1})
    assert len(index_after) == 12
    assert (index_after == index_before) == (what is not Walk.INDEX_KEY)
    assert {reference: opened.identify(reference, *ASKED) for reference in known} == tokens
    all_is_there(opened, known, empty)


def test_what_the_first_version_stored_is_sealed_and_indexed_as_all_others(held, empty, monkeypatch, capsys):  # noqa: F811
    opened, known = held
    assert "2 are sealed as by the first version" in say(monkeypatch, capsys, "status")[1]
    assert say(monkeypatch, capsys, "rotate") == (0, "32 records brought under key 2: all are.\n")
    assert say(monkeypatch, capsys, "rotate", "--index-key") == (0, "32 records brought under index key 2: all are.\n")
    assert say(monkeypatch, capsys, "rotate", "--data-keys") == (0, "32 records brought under data keys of their own, made anew: all are.\n")
    code, said = say(monkeypatch, capsys, "status")
    assert code == 0
    assert "0 are sealed as by the first version" in said
    rows = {tuple(line.split()) for line in said.splitlines()}
    assert {("data", "1", "0"), ("data", "2", "32"), ("index", "1", "0"), ("index", "2", "32")} <= rows
    all_is_there(opened, known, empty)


@pytest.mark.parametrize("what", ROTATIONS)
def test_enrolments_and_erasings_go_on_meanwhile(held, empty, what, monkeypatch):  # noqa: F811
    """Each enrolment by another reader of the keys, as pods are."""
    opened, known = held
    monkeypatch.setattr(rotation, "BATCH", 3)
    stopping, lock, wrong = threading.Event(), threading.Lock(), []

    def enrol():
        mine = Vault(FileKeys(opened.keys._file), empty)
        while not stopping.is_set():
            one = number()
            try:
                reference = mine.store(one, *ASKED)
                assert mine.store(one, *ASKED) == reference
                assert mine.open_number(reference, *ASKED) == one
            except Unavailable:
                continue
            except Exception as error:  # noqa: BLE001 - told by the test
                wrong.append(error)
                return
            with lock:
                known[reference] = one

    def erase():
        while not stopping.is_set():
            with lock:
                reference = next(iter(known))
                del known[reference]
            with empty() as connection:
                vault.erase(connection, [reference], "a test", "X", datetime.now(UTC))
            gone.add(reference)
            time.sleep(0.02)

    gone = set()
    threads = [threading.Thread(target=work) for work in (enrol, enrol, erase)]
    for thread in threads:
        thread.start()
    time.sleep(0.2)
    done = rotation.rotate(opened.keys, what, "operator test", nothing)
    time.sleep(0.2)
    stopping.set()
    for thread in threads:
        thread.join()
    assert not wrong
    assert done.left == 0
    assert gone
    all_is_there(opened, known, empty)
    with empty() as connection:
        assert set(connection.scalars(select(tombstones.c.reference))) == gone


@pytest.mark.parametrize("way", [(), ("--data-keys",), ("--index-key",)])
def test_a_rotation_that_was_killed_goes_on(held, empty, way, monkeypatch, capsys):  # noqa: F811
    opened, known = held
    for _ in range(600):
        one = number()
        known[opened.store(one, *ASKED)] = one
    script = "from services.identity import __main__\nfrom services.identity.keeper import walks\nwalks.BATCH = 5\n__main__.main()"
    killed = 0
    while killed < 2:
        with subprocess.Popen([sys.executable, "-c", script, "vault", "rotate", *way], stdout=subprocess.PIPE) as running:
            before = records(empty)
            while records(empty) < before + 40 and running.poll() is None:
                time.sleep(0.005)
            assert running.poll() is None, "it ended before it could be killed"
            os.kill(running.pid, signal.SIGKILL)
        killed += 1
    walked = records(empty)
    assert 80 <= walked < len(known)
    assert rotation.check(opened.keys, "operator test", nothing).faults == 0  # Half done is whole, too.
    code, said = say(monkeypatch, capsys, "rotate", *way)
    assert code == 0
    assert f"{len(known) - walked} records brought" in said
    assert opened.keys.ids(Kind.DATA) == ([1, 2] if not way else [1])
    assert opened.keys.ids(Kind.INDEX) == ([1, 2] if way == ("--index-key",) else [1])
    with empty() as connection:
        [walk] = connection.execute(select(walks).where(walks.c.what != Walk.CHECK))
    assert walk.ended_at
    assert walk.records == len(known)
    all_is_there(opened, known, empty)


def records(empty):  # noqa: F811
    with empty() as connection:
        return connection.execute(select(func.coalesce(func.sum(walks.c.records), 0)).where(walks.c.what != Walk.CHECK)).scalar_one()


def test_two_rotations_at_once_are_one(held, empty):  # noqa: F811
    with rotation._alone(), pytest.raises(Conflict) as refused:
        rotation.rotate(held[0].keys, Walk.KEYS, "operator test", nothing)
    assert refused.value.code == "VAULT_WALKING"
    assert rotation.rotate(held[0].keys, Walk.KEYS, "operator test", nothing).left == 0


def test_who_has_not_the_newest_keys_yet_waits_and_makes_no_second_record(held, empty, tmp_path):  # noqa: F811
    """As a pod whose copy of the keys' file is a minute old."""
    opened, known = held
    (tmp_path / "old").mkdir()
    (tmp_path / "old" / "vault.keys").write_text((tmp_path / "vault.keys").read_text())
    lagging = Vault(FileKeys(tmp_path / "old" / "vault.keys"), empty)
    for what in (Walk.KEYS, Walk.INDEX_KEY):
        rotation.rotate(opened.keys, what, "operator test", nothing)
    reference, one = next(iter(known.items()))
    for ask in (lambda: lagging.store(one, *ASKED), lambda: lagging.open_number(reference, *ASKED), lambda: lagging.store(number(), *ASKED)):
        with pytest.raises(Unavailable) as refused:
            ask()
        assert refused.value.code == "VAULT_AWAY"
    (tmp_path / "old" / "vault.keys").write_text((tmp_path / "vault.keys").read_text())
    assert lagging.store(one, *ASKED) == reference
    all_is_there(lagging, known, empty)


def test_while_the_index_key_is_changed_those_who_know_the_old_one_alone_still_meet_the_others(empty, tmp_path):  # noqa: F811
    old, new = in_file(tmp_path), in_file(tmp_path, "new")
    reference = Vault(old, empty).store(number(), *ASKED)
    (tmp_path / "new").write_text((tmp_path / "vault.keys").read_text())
    new.make(Kind.INDEX)
    one = number()
    assert Vault(new, empty).store(number(), *ASKED) != reference
    with empty() as connection:  # Both keys are in use, and so is each for what is stored.
        connection.execute(delete(entries).where(entries.c.key_id == 2))
    first = Vault(old, empty).store(one, *ASKED)
    assert Vault(new, empty).store(one, *ASKED) == first


def test_keys_made_elsewhere_are_walked_to_without_making_one(held, empty, tmp_path, monkeypatch, capsys):  # noqa: F811
    opened, known = held
    monkeypatch.setattr(FileKeys, "make", lambda _self, kind: (_ for _ in ()).throw(Conflict("VAULT_KEYS_FIXED", "Add it.", kind=kind)))
    assert say(monkeypatch, capsys, "rotate") == (1, "Add it.\n")
    with (tmp_path / "vault.keys").open("a") as file:
        file.write(f"data 2 {os.urandom(32).hex()}\n")
    assert say(monkeypatch, capsys, "rotate")[0] == 0
    all_is_there(opened, known, empty)


# --- Checks


@pytest.mark.parametrize("fault", ["seal", "key", "entry", "no entry", "twice"])
def test_a_check_finds_what_does_not_fit_and_prints_counts_only(held, empty, fault, monkeypatch, capsys):  # noqa: F811
    _opened, known = held
    assert say(monkeypatch, capsys, "check") == (
        0,
        "32 records opened but 0; 30 entries of the index fit but 0; 0 records have none, 0 numbers are in two records.\n",
    )
    with empty() as connection:
        one = connection.scalars(select(entries.c.reference).limit(1)).one()
        before = connection.execute(select(numbers).where(numbers.c.wrapped.is_(None)).limit(1)).one()
        other = {
            "seal": lambda: update(numbers).where(numbers.c.reference == one).values(sealed=os.urandom(40)),
            "key": lambda: update(numbers).where(numbers.c.reference == one).values(wrapped=os.urandom(60)),
            "entry": lambda: update(entries).where(entries.c.reference == one).values(entry=os.urandom(32)),
            "no entry": lambda: delete(entries).where(entries.c.reference == one),
            "twice": lambda: update(entries).where(entries.c.reference == one).values(entry=before.token),
        }[fault]
        connection.execute(other())
    code, said = say(monkeypatch, capsys, "check")
    assert code == 1
    counted = {"seal": "opened but 1;", "key": "opened but 1;", "entry": "fit but 1;", "no entry": "1 records have none", "twice": "1 numbers are"}
    assert counted[fault] in said
    assert not any(one in said or str(reference) in said for reference, one in known.items())
    if fault in {"seal", "key"}:
        code, said = say(monkeypatch, capsys, "rotate", "--data-keys")
        assert (code, "1 could not be" in said) == (1, True)


def test_a_key_that_is_gone_is_named_by_the_status_and_the_walks_refuse(held, empty, tmp_path, monkeypatch, capsys):  # noqa: F811
    assert say(monkeypatch, capsys, "rotate")[0] == 0
    lines = (tmp_path / "vault.keys").read_text().splitlines()
    (tmp_path / "vault.keys").write_text("\n".join(line for line in lines if not line.startswith("data 2")))
    code, said = say(monkeypatch, capsys, "status")
    assert code == 1
    assert "data   2       32 - NOT THERE" in said
    code, said = say(monkeypatch, capsys, "check")
    assert (code, said.splitlines()[-1]) == (1, "The vault does not answer. Enrol her without it, and verify her later.")


def test_who_used_it_for_what_is_counted(held, empty, monkeypatch, capsys):  # noqa: F811
    opened, known = held
    opened.open_number(next(iter(known)), *ASKED)
    say(monkeypatch, capsys, "check")
    code, said = say(monkeypatch, capsys, "uses")
    rows = [line.split()[:5] for line in said.splitlines()]
    assert code == 0
    assert ["OPEN", "e-kyc", "IUP_SITA1", "1"] in [row[:4] for row in rows]
    assert ["STORE", "e-kyc", "IUP_SITA1", "30"] in [row[:4] for row in rows]
    assert any(row[:3] == ["WALK", "CHECK", "operator"] and row[4] == "32" for row in rows)
    assert len(say(monkeypatch, capsys, "uses", "--since", "2100-01-01")[1].splitlines()) == 1


def test_the_first_keys_of_a_module_are_made_once_and_never_for_a_vault_that_has_records(hsm, empty, monkeypatch, capsys):  # noqa: F811
    at_work(hsm, monkeypatch)
    for key in hsm.keys._session.get_objects():
        key.destroy()
    assert say(monkeypatch, capsys, "rotate")[0] == 1
    assert say(monkeypatch, capsys, "begin") == (0, "Made: data 1, index 1.\n")
    assert say(monkeypatch, capsys, "begin") == (0, "There is a key of each kind; nothing was made.\n")
    keys_ = provider_of_settings()
    opened = Vault(keys_, empty)
    known = {opened.store(one, *ASKED): one for one in (number() for _ in range(3))}
    assert say(monkeypatch, capsys, "begin")[0] == 1
    for way in ((), ("--data-keys",), ("--index-key",)):
        assert say(monkeypatch, capsys, "rotate", *way)[0] == 0
    all_is_there(Vault(provider_of_settings(), empty), known, empty)
