"""What is no backup of this state is refused with a sentence, before anything is touched; what fails later leaves all as it was."""

import json
import os
import resource
import shutil
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

import pytest

from deploy.machine import Machine, backup, keys, postgres
from deploy.machine.__main__ import main
from deploy.machine.layout import PROJECT, MachineError
from services.chassis import objects
from services.kernel.ids import uuid7


@pytest.fixture(scope="module")
def good(machine, tmp_path_factory):
    return backup.back_up(machine, "UP", tmp_path_factory.mktemp("backups") / "good")


@pytest.fixture
def copy(good, tmp_path):
    """A backup to spoil."""
    return shutil.copytree(good, tmp_path / "copy")


@pytest.fixture
def up_stays(machine):
    """Whatever happens to UP's database shows: which databases there are, under which ids, and how far they are."""

    def look():
        with postgres.connect(machine.layout) as server:
            databases = server.execute("select datname, oid from pg_database order by 1").fetchall()
        with postgres.connect(machine.layout, "lokos_up") as own:
            return databases, own.execute("select max(epoch) from identity.epochs").fetchall(), machine.instances["UP"].restoring_file.exists()

    before = look()
    yield
    assert look() == before


@pytest.fixture
def run(monkeypatch, capsys):
    """The command as an operator types it: its exit code, and what it said."""

    def run(*words):
        monkeypatch.setattr(sys, "argv", ["deploy.machine", *map(str, words)])
        code = main()
        return code, capsys.readouterr().err

    return run


def change(folder, **changes):
    """Another manifest, sealed as if a backup had written it."""
    file = folder / backup.MANIFEST
    said = json.loads(file.read_text()) | changes
    said.pop("seal")
    manifest = backup.Manifest(**said)
    file.write_text(json.dumps({**asdict(manifest), "seal": manifest.seal}))
    return said


def keep_only(folder):
    shutil.rmtree(folder / backup.DATABASE)
    (folder / backup.MANIFEST).unlink()


def halve(file):
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])


def alter(file):
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)


SPOILT = {
    "nothing in it": (keep_only, "no manifest.json"),
    "the manifest cut short": (lambda folder: halve(folder / backup.MANIFEST), "altered or cut short"),
    "a byte of the manifest altered": (lambda folder: alter(folder / backup.MANIFEST), "altered or cut short"),
    "a manifest of something else": (lambda folder: (folder / backup.MANIFEST).write_text("[]"), "altered or cut short"),
    "a file cut short": (lambda folder: halve(folder / backup.DATABASE / "toc.dat"), "toc.dat is cut short, altered"),
    "a byte altered": (lambda folder: alter(folder / backup.DATABASE / "toc.dat"), "toc.dat is cut short, altered"),
    "a file missing": (lambda folder: (folder / backup.DATABASE / "toc.dat").unlink(), "toc.dat is cut short, altered, missing"),
    "a file too many": (lambda folder: (folder / "notes.txt").write_text("x"), "notes.txt is cut short, altered, missing or added"),
    "another state's": (lambda folder: change(folder, code="BR", lgd_code=10), "is a backup of BR, not of UP"),
    "a newer version's": (lambda folder: change(folder, lokos_version="99.0.0"), "of LokOS 99.0.0, which is newer than this one"),
    "tables of a newer version": (lambda folder: change(folder, revisions={"profiles": ["profiles_0999"]}), "it has profiles_0999"),
    "a newer format": (lambda folder: change(folder, format=backup.FORMAT + 1), "in a format that this one does not read"),
    "other keys": (lambda folder: change(folder, keys=dict.fromkeys(backup.KEYS, "0")), "keys of UP are not those of this backup"),
}


@pytest.mark.parametrize(("spoil", "sentence"), SPOILT.values(), ids=SPOILT)
def test_what_is_no_backup_of_this_state_is_refused_before_anything_is_touched(copy, up_stays, run, spoil, sentence):
    spoil(copy)
    code, said = run("restore", "UP", copy)
    assert (code, sentence in said) == (1, True), said
    assert "Traceback" not in said


@pytest.mark.parametrize("spoil", [halve, alter])
def test_every_file_is_looked_at(machine, good, copy, spoil):
    [up] = machine.chosen(["UP"])
    files = [path for path in copy.rglob("*") if path.is_file() and path.stat().st_size > 1]
    assert len(files) > 50
    for file in files:
        spoil(file)
        with pytest.raises(MachineError, match="altered"):
            backup._check(up, copy, other_keys=False)
        shutil.copyfile(good / file.relative_to(copy), file)
    assert backup._check(up, copy, other_keys=False).code == "UP"


def test_a_backup_that_was_cut_short_is_not_taken_for_one(copy, up_stays, run):
    partial = copy.rename(copy.with_name("copy.partial"))
    assert run("restore", "UP", partial) == (1, f"{partial} is a backup that was cut short. Take an earlier one.\n")
    assert run("restore", "UP", copy)[0] == 1


def test_bad_words(good, up_stays, run):
    there = ", ".join(Machine.from_environment().instances)  # More than BR, UP and IN where another test has run before.
    assert {"BR", "UP", "IN"} <= set(there.split(", "))
    assert run("backup", "XX") == (1, f"There is no instance XX. Take from: {there}.\n")
    assert run("restore", "XX", good)[0] == 1
    assert "is there already" in run("backup", "UP", good)[1]
    for words in (["restore", "UP"], ["backup"], ["restore", "UP", good, "--above", "many"]):
        with pytest.raises(SystemExit, match="2"):
            run(*words)


@pytest.mark.parametrize("leftover", ["database", "my_letters"])
def test_what_an_earlier_try_left_is_cleared_and_what_is_ones_own_is_not(run, tmp_path, leftover):
    partial = tmp_path / "new.partial"
    (partial / leftover).mkdir(parents=True)
    code, said = run("backup", "UP", tmp_path / "new")
    if leftover == "my_letters":
        assert (code, "my_letters" in said, (partial / leftover).exists()) == (1, True, True)
    else:
        assert (code, partial.exists(), (tmp_path / "new" / backup.MANIFEST).exists()) == (0, False, True)


def test_a_full_disk_leaves_no_backup(machine, tmp_path):
    """As where the disk is full: no file may grow beyond a few bytes."""
    done = subprocess.run(
        [sys.executable, "-m", "deploy.machine", "backup", "UP", str(tmp_path / "new")],
        cwd=PROJECT,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (2000, 2000)),
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
    )
    assert done.returncode == 1
    assert "pg_dump ended" in done.stderr
    assert "Traceback" not in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_dump_that_cannot_be_read_leaves_all_as_it_was(copy, up_stays, run):
    """A manifest that is right about files that are wrong: as if they had been written so."""
    halve(copy / backup.DATABASE / "toc.dat")
    change(copy, files=backup._describe(copy))
    code, said = run("restore", "UP", copy)
    assert (code, "pg_restore ended with 1" in said) == (1, True), said


def test_rows_that_are_missing_leave_all_as_it_was(copy, up_stays, run):
    rows = json.loads((copy / backup.MANIFEST).read_text())["rows"]
    change(copy, rows=rows | {"profiles.members": rows["profiles.members"] + 1})
    code, said = run("restore", "UP", copy)
    assert (code, "profiles.members has" in said) == (1, True), said


def test_no_secret_is_in_a_backup(machine, good):
    up = machine.instances["UP"]
    secrets = [*keys.Secrets(up.folder / "secrets.json").known(), *keys.vault_keys(up).values()]
    for path in good.rglob("*"):
        assert path.is_dir() or not any(secret.encode() in path.read_bytes() for secret in secrets), path
    assert good.stat().st_mode & 0o077 == 0


def test_a_backup_asks_for_every_key_that_the_vault_had(machine, good, copy):
    [up] = machine.chosen(["UP"])
    held = up.vault_keys_file.read_text()
    try:
        up.vault_keys_file.write_text(f"{held}data 99 {'9' * 64}\n")  # More than there were then is no fault.
        assert backup._check(up, copy, other_keys=False).code == "UP"
        up.vault_keys_file.write_text(held.replace("index 1 ", "index 98 "))
        with pytest.raises(MachineError, match=r"not those of this backup .vault token key"):
            backup._check(up, copy, other_keys=False)
    finally:
        up.vault_keys_file.write_text(held)


def test_images_are_in_a_backup_sealed_and_come_back_from_it(machine, good, tmp_path, monkeypatch):
    [up] = machine.chosen(["UP"])
    store, image = Path(up.env["LOKOS_OBJECTS_FOLDER"]), f"images/7f/{uuid7()}"
    for name, value in up.env.items():
        monkeypatch.setenv(name, value)
    objects.objects().put(image, b"a face")
    (store / ".half-written").write_bytes(b"x")
    folder = backup.back_up(machine, "UP", tmp_path / "new")
    kept = folder / backup.OBJECTS / image
    assert kept.read_bytes() == (store / image).read_bytes() != b"a face"
    assert f"{backup.OBJECTS}/{image}" in backup._read(folder).files
    assert not list(folder.rglob(".half-written"))
    objects.objects().erase(image)
    for _ in range(2):
        backup._copy_missing(folder / backup.OBJECTS, store, "")
    assert objects.objects().get(image) == b"a face"
    assert (store / image).stat().st_mode & 0o077 == 0
    objects.objects().erase(image)
    (store / ".half-written").unlink()


def test_a_backup_knows_the_key_of_its_images_again_be_it_an_old_one(machine, good, copy):
    [up] = machine.chosen(["UP"])
    key = up.env["LOKOS_OBJECTS_KEY"]
    try:
        up.messages_file.write_text(f"LOKOS_OBJECTS_KEY={'0' * 64}\n")
        with pytest.raises(MachineError, match=f"not those of this backup .objects key.*{up.messages_file}"):
            backup._check(up, copy, other_keys=False)
        up.messages_file.write_text(f"LOKOS_OBJECTS_KEY={'0' * 64}\nLOKOS_OBJECTS_OLD_KEYS={'1' * 64} {key}\n")
        assert backup._check(up, copy, other_keys=False).code == "UP"
    finally:
        up.messages_file.unlink()
