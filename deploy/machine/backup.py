"""Back an instance up into a folder, and bring it back from one: its database as it was at one moment, its places, its folder of images.

A folder is a backup once its manifest is in it and it has its own name; until then it is called `.partial`. A restore works
on a database beside the one in use, which takes its place in one step when all is well, and keeps the old one.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import re
import shutil
import subprocess
import time
from collections import deque
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, fields
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg
from alembic.script import ScriptDirectory
from psycopg.sql import SQL, Identifier
from rich.console import Console
from rich.filesize import decimal
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from deploy.machine import keys, postgres, provision
from deploy.machine.layout import PROJECT, VENV_PYTHON, Instance, MachineError, say
from deploy.machine.setup import run
from services.chassis import migrate
from services.chassis.version import VERSION
from services.kernel import files
from services.kernel.money import in_words

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from deploy.machine.machine import Machine

FORMAT = 1
MANIFEST = "manifest.json"
DATABASE = "database"
GEOGRAPHY = "geography.csv"
OBJECTS = "objects"
PARTIAL = ".partial"
JOBS = 2
CHUNK_BYTES = 1 << 20
LINES_SHOWN = 5
# Of a restore that was cut short when only the programs were still to start: later than this, the state has gone on working, and who
# restores wants the backup's books.
PLACED = "placed"
GO_ON_SECONDS_MAX = 3600
# What the books and images cannot be read or continued without, and the setting that has each. They are not in a backup, but it knows
# them again.
OBJECTS_KEY = "objects key"
KEYS = {
    "person key": "LOKOS_PERSON_KEY",
    "fingerprint key": "LOKOS_FINGERPRINT_KEY",
    "audit key": "LOKOS_AUDIT_KEY",
    OBJECTS_KEY: "LOKOS_OBJECTS_KEY",
}


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a backup says of itself."""

    format: int
    code: str
    lgd_code: int
    lokos_version: str
    postgres_version: str
    epoch: int
    taken_at: str
    keys: dict[str, str]  # Of each key what tells it from another one, and nothing more.
    revisions: dict[str, list[str]]  # Of each schema.
    files: dict[str, dict[str, Any]]  # Bytes and sha256 of each, by its path in the folder.
    rows: dict[str, int]  # Of each table.

    @property
    def seal(self) -> str:
        return hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()

    @property
    def name(self) -> str:
        """As the audit has it."""
        return f"{self.code} {self.taken_at} {self.seal[:16]}"


# --- Backing up.


def back_up(machine: Machine, code: str, folder: Path | None) -> Path:
    """Make a backup; the folder that it is in. It is there whole or not at all."""
    [instance] = machine.chosen([code])
    now = datetime.now(UTC)
    folder = (folder or PROJECT / "backups" / f"{code}-{now:%Y%m%dT%H%M%SZ}").resolve()
    partial = folder.with_name(folder.name + PARTIAL)
    if folder.exists():
        raise MachineError(f"{folder} is there already. Name a folder that is not.")
    _clear(partial)
    try:
        partial.mkdir(mode=0o700, parents=True)
        manifest = _take(machine, instance, partial)
        (partial / MANIFEST).write_text(json.dumps({**asdict(manifest), "seal": manifest.seal}, indent=1), encoding="utf-8")
        _sync(partial / MANIFEST, partial)
        partial.replace(folder)
        _sync(folder.parent)
    except psycopg.Error as error:
        raise MachineError(f"{code} could not be backed up. PostgreSQL says: {str(error).strip()}") from None
    except OSError as error:
        raise MachineError(f"{code} could not be backed up: {error}") from None
    finally:
        if partial.exists():
            shutil.rmtree(partial, ignore_errors=True)
    size = sum(file["bytes"] for file in manifest.files.values())
    say(f"backup: {code} as of {manifest.taken_at}: {in_words(sum(manifest.rows.values()))} rows, {decimal(size)}, in {folder}")
    say(f"backup: its keys are not in it; keep {_where_keys_lie(instance)}, apart from it")
    return folder


def _clear(partial: Path) -> None:
    """Delete what a backup that was cut short left behind, and nothing else."""
    if not partial.exists():
        return
    if strange := {entry.name for entry in partial.iterdir()} - {MANIFEST, DATABASE, GEOGRAPHY, OBJECTS}:
        raise MachineError(f"{partial} is no backup that was cut short: it holds {', '.join(sorted(strange))}. Name another folder.")
    shutil.rmtree(partial)


def _take(machine: Machine, instance: Instance, folder: Path) -> Manifest:
    """Dump and count what one snapshot shows; writers go on meanwhile."""
    geography = Path(instance.env["LOKOS_GEOGRAPHY_FILE"])
    with postgres.connect(machine.layout, instance.database) as connection, connection.transaction():
        connection.execute("set transaction isolation level repeatable read, read only")
        [(snapshot, taken_at)] = connection.execute("select pg_export_snapshot(), now()").fetchall()
        assert isinstance(taken_at, datetime)
        rows = _count(connection, instance)
        revisions = _revisions(connection, instance)
        epoch = _epoch(connection, instance)
        command, environment = postgres.client("pg_dump", postgres.admin_url(machine.layout, instance.database))
        # A quick compression: while it runs, nothing that was deleted can be forgotten.
        ways = ["--format=directory", f"--jobs={JOBS}", "--compress=1", "--verbose", f"--snapshot={snapshot}", f"--file={folder / DATABASE}"]
        _run_shown([*command, *ways], environment, "dumping tables", _tables(connection, instance), "dumping contents of table")
        version = connection.info.server_version
    if geography.exists():
        shutil.copyfile(geography, folder / GEOGRAPHY)
    if store := _store(instance):  # After the dump, so that each image which it names is there.
        _copy_missing(store, folder / OBJECTS, "copying images")
    return Manifest(
        format=FORMAT,
        code=instance.code,
        lgd_code=instance.state.lgd_code,
        lokos_version=VERSION,
        postgres_version=f"{version // 10000}.{version % 10000}",
        epoch=epoch,
        taken_at=taken_at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        keys=_keys_of(instance),
        revisions=revisions,
        files=_describe(folder),
        rows=rows,
    )


def _store(instance: Instance) -> Path | None:
    """The folder that images lie in; None where they lie in a store outside, which keeps itself."""
    return Path(instance.env["LOKOS_OBJECTS_FOLDER"]) if instance.env.get("LOKOS_OBJECTS") == "folder" else None


def _copy_missing(source: Path, target: Path, what: str) -> None:
    """Copy each object that is not there yet. One that has its name is whole, and of the same content for ever."""
    found = [path for path in source.rglob("*") if path.is_file() and not path.name.startswith(".")]
    with _shown(what, len(found)) as advance:
        for path in found:
            copy = target / path.relative_to(source)
            if not copy.exists():
                copy.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
                with suppress(FileNotFoundError):  # It was erased meanwhile.
                    files.replace(copy, [path.read_bytes()], 0o600)
            advance(1)


def _mark(key: str) -> str:
    return hmac.digest(key.encode(), b"lokos backup", "sha256").hex()[:16]


def _keys_of(instance: Instance) -> dict[str, str]:
    secrets, own = provision.secrets_of(instance), provision.own_settings(instance)
    held = {name: own.get(setting) or secrets.peek(name) for name, setting in KEYS.items()}
    of_the_vault = keys.vault_keys(instance) or {name: secrets.peek(name) for name in ("vault key", "vault token key")}
    return {name: _mark(key) for name, key in (of_the_vault | held).items()}


def _where_keys_lie(instance: Instance) -> str:
    own = [instance.messages_file] if instance.messages_file.exists() else []
    return " and ".join(map(str, (instance.folder / "secrets.json", instance.keys, *own)))


_Connection = psycopg.Connection[tuple[Any, ...]]
_IN_SCHEMAS = "from pg_class c join pg_namespace n on n.oid = c.relnamespace where n.nspname = any(%s)"


def _tables(connection: _Connection, instance: Instance) -> int:
    """How many tables have rows of their own, each partition one."""
    [(count,)] = connection.execute(f"select count(*) {_IN_SCHEMAS} and c.relkind = 'r'", [list(instance.roles)]).fetchall()
    return int(count)


def _count(connection: _Connection, instance: Instance) -> dict[str, int]:
    """The rows of every table, exactly."""
    whole = f"select n.nspname, c.relname {_IN_SCHEMAS} and c.relkind in ('r', 'p') and not c.relispartition order by 1, 2"
    tables = connection.execute(whole, [list(instance.roles)]).fetchall()
    rows = {}
    with _shown("counting rows", len(tables)) as advance:
        for schema, table in tables:
            [(count,)] = connection.execute(SQL("select count(*) from {}").format(Identifier(schema, table))).fetchall()
            rows[f"{schema}.{table}"] = int(count)
            advance(1)
    return rows


def _revisions(connection: _Connection, instance: Instance) -> dict[str, list[str]]:
    of_schema = {
        schema: connection.execute(SQL("select version_num from {}").format(Identifier(schema, "alembic_version"))).fetchall()
        for schema in instance.roles
    }
    return {schema: sorted(str(revision) for (revision,) in found) for schema, found in of_schema.items()}


def _epoch(connection: _Connection, instance: Instance) -> int:
    """The epoch of a database; 0 where it has no tables yet."""
    table = f"{instance.services[0]}.epochs"
    if connection.execute("select to_regclass(%s)", [table]).fetchone() == (None,):
        return 0
    [(epoch,)] = connection.execute(SQL("select max(epoch) from {}").format(SQL(table))).fetchall()
    return int(epoch)


def _describe(folder: Path) -> dict[str, dict[str, Any]]:
    """Size and digest of every file but the manifest; each is on the disk afterwards."""
    found = sorted(path for path in folder.rglob("*") if path.is_file() and path != folder / MANIFEST)
    described = {}
    with _shown("reading what is kept", sum(path.stat().st_size for path in found)) as advance:
        for path in found:
            digest = hashlib.sha256()
            with path.open("rb") as stream:
                while chunk := stream.read(CHUNK_BYTES):
                    digest.update(chunk)
                    advance(len(chunk))
                os.fsync(stream.fileno())
            described[path.relative_to(folder).as_posix()] = {"bytes": path.stat().st_size, "sha256": digest.hexdigest()}
    return described


def _sync(*paths: Path) -> None:
    for path in paths:
        number = os.open(path, os.O_RDONLY)
        try:
            os.fsync(number)
        finally:
            os.close(number)


# --- Restoring.


@dataclass(frozen=True, slots=True)
class Wish:
    """How a restore is wanted."""

    by: str
    drop_old: bool = False
    other_keys: bool = False
    above: int = 0


def restore(machine: Machine, code: str, folder: Path, wish: Wish) -> None:
    """Bring an instance back from a backup. Cut short at any point, it completes when it is run again."""
    [instance] = machine.chosen([code])
    folder = folder.resolve()
    manifest = _check(instance, folder, other_keys=wish.other_keys)
    say(f"restore: {folder} is whole: {code} as of {manifest.taken_at}, LokOS {manifest.lokos_version}, epoch {manifest.epoch}")
    try:
        machine.ground([instance])
        kept = _kept_when_cut_short(machine, instance, manifest) or _restore_beside(machine, instance, folder, manifest, wish)
        _put_places_back(instance, folder, kept)
        if store := _store(instance):
            _copy_missing(folder / OBJECTS, store, "putting images back")
        instance.restoring_file.write_text("\n".join((manifest.name, kept, str(folder), PLACED)), encoding="utf-8")
        machine.up(codes=[code])
        if wish.drop_old:
            postgres.drop(machine.layout, kept)
    except psycopg.Error as error:
        raise MachineError(f"{code} could not be restored. PostgreSQL says: {str(error).strip()}") from None
    except OSError as error:
        raise MachineError(f"{code} could not be restored: {error}") from None
    what = "is dropped" if wish.drop_old else f"is kept as {kept}, and no service may enter it"
    say(f"restore: {code} is up with its books as of {manifest.taken_at}; the database that it had {what}")


def _check(instance: Instance, folder: Path, *, other_keys: bool) -> Manifest:
    """The manifest of a backup that may be restored here; nothing is touched before."""
    if folder.name.endswith(PARTIAL):
        raise MachineError(f"{folder} is a backup that was cut short. Take an earlier one.")
    manifest = _read(folder)
    if (manifest.code, manifest.lgd_code) != (instance.code, instance.state.lgd_code):
        raise MachineError(f"{folder} is a backup of {manifest.code}, not of {instance.code}.")
    unknown = sorted({revision for schema, found in manifest.revisions.items() for revision in found} - _known_revisions(instance))
    if _version(manifest.lokos_version) > _version(VERSION) or unknown:
        why = f" (it has {', '.join(unknown)})" if unknown else ""
        raise MachineError(
            f"{folder} is of LokOS {manifest.lokos_version}{why}, which is newer than this one, {VERSION}. Install that version first."
        )
    found = _describe(folder)
    if found != manifest.files:
        wrong = sorted(name for name in found.keys() | manifest.files.keys() if found.get(name) != manifest.files.get(name))
        raise MachineError(f"{folder} is not what was backed up: {', '.join(wrong[:3])} is cut short, altered, missing or added. Take another copy.")
    ours = _keys_of(instance)  # Which may be more than there were when an older version took the backup.
    opens_too = {_mark(key) for key in provision.own_settings(instance).get("LOKOS_OBJECTS_OLD_KEYS", "").split()}
    wrong = sorted(name for name, mark in manifest.keys.items() if ours.get(name) != mark and not (name == OBJECTS_KEY and mark in opens_too))
    if wrong and not other_keys:
        raise MachineError(
            f"The keys of {instance.code} are not those of this backup ({', '.join(wrong)}). Put "
            f"{_where_keys_lie(instance)} back first, or say --other-keys: then what the vault holds cannot be read again, known women look "
            "new, no image opens, and no row of the audit fits its chain."
        )
    return manifest


def _read(folder: Path) -> Manifest:
    try:
        said = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        if isinstance(said["format"], int) and said["format"] > FORMAT:
            raise MachineError(f"{folder} is of a newer LokOS, in a format that this one does not read. Install that version first.")
        manifest = Manifest(**{field.name: said[field.name] for field in fields(Manifest)})
        if said["seal"] != manifest.seal:
            raise ValueError("seal")
    except FileNotFoundError:
        raise MachineError(f"{folder} is no backup: there is no {MANIFEST} in it, which is written last.") from None
    except (OSError, ValueError, KeyError, TypeError):
        raise MachineError(f"The {MANIFEST} of {folder} is altered or cut short. Take another copy of the backup.") from None
    return manifest


def _version(text: str) -> tuple[int, ...]:
    return tuple(int(number) for number in re.findall(r"\d+", text))


def _known_revisions(instance: Instance) -> set[str]:
    schemas = [(service, schema) for service in instance.services for schema in migrate.schemas(service)]
    scripts = [ScriptDirectory.from_config(migrate.config(service, schema)) for service, schema in schemas]
    return {script.revision for directory in scripts for script in directory.walk_revisions()}


def _kept_when_cut_short(machine: Machine, instance: Instance, manifest: Manifest) -> str | None:
    """What the old database is kept as, where this very backup has taken its place and the restore was then cut short."""
    with suppress(FileNotFoundError):
        name, kept, *_ = instance.restoring_file.read_text(encoding="utf-8").splitlines()
        if time.time() - instance.restoring_file.stat().st_mtime > GO_ON_SECONDS_MAX:
            return None
        with postgres.connect(machine.layout) as server:
            if name == manifest.name and server.execute("select 1 from pg_database where datname = %s", [kept]).fetchone():
                say("restore: it was cut short after the database had taken its place, and goes on from there")
                return kept
    return None


def _restore_beside(machine: Machine, instance: Instance, folder: Path, manifest: Manifest, wish: Wish) -> str:
    """Fill a database beside, then let it take the place of the old one; what that is kept as."""
    moment = f"{datetime.now(UTC):%Y%m%d_%H%M%S}"
    # A name of its own: what an earlier try started, and was killed before it ended, does not come in between.
    beside, kept = f"{instance.database}_restoring_{moment}", f"{instance.database}_before_{moment}"
    stopped: list[str] = []
    try:
        _fill(machine, instance, folder, manifest, beside)
        stopped.extend(machine.stop_programs(instance))
        with postgres.connect(machine.layout, instance.database) as old:
            above = max(_epoch(old, instance), wish.above)
        _settle(machine, instance, manifest, beside, above, wish.by)
        _erase_again(machine, instance, beside)
        instance.restoring_file.write_text("\n".join((manifest.name, kept, str(folder))), encoding="utf-8")
        postgres.replace(machine.layout, instance, beside, kept)
    except BaseException:
        # As it was: the old database is in its place, untouched.
        with suppress(MachineError, psycopg.Error):
            postgres.drop(machine.layout, beside)
        instance.restoring_file.unlink(missing_ok=True)
        for program in stopped:
            machine.start(program)
        raise
    return kept


def _fill(machine: Machine, instance: Instance, folder: Path, manifest: Manifest, beside: str) -> None:
    """Fill the database beside with what the backup holds, and count it."""
    with postgres.connect(machine.layout) as server:
        begun = server.execute("select datname from pg_database where starts_with(datname, %s)", [f"{instance.database}_restoring"]).fetchall()
    for (unfinished,) in begun:
        postgres.drop(machine.layout, str(unfinished))
    say(f"restore: filling {beside}")
    postgres.create(machine.layout, beside)
    command, environment = postgres.client("pg_restore", postgres.admin_url(machine.layout, beside))
    ways = ["--format=directory", f"--jobs={JOBS}", "--exit-on-error", "--verbose", str(folder / DATABASE)]
    tables = len([name for name in manifest.files if name.startswith(f"{DATABASE}/") and name != f"{DATABASE}/toc.dat"])
    _run_shown([*command, *ways], environment, "filling tables", tables, " TABLE DATA ", "finished item")
    provision.provision_database(machine.layout, instance, beside)
    with postgres.connect(machine.layout, beside) as connection:
        rows, revisions = _count(connection, instance), _revisions(connection, instance)
    if wrong := sorted(table for table in rows.keys() | manifest.rows.keys() if rows.get(table) != manifest.rows.get(table)):
        first = wrong[0]
        raise MachineError(
            f"{first} has {rows.get(first)} rows where the backup had {manifest.rows.get(first)}. Nothing was changed; take another backup."
        )
    if revisions != manifest.revisions:
        raise MachineError("The tables are not of the version that the manifest names. Nothing was changed; take another backup.")
    say(f"restore: {in_words(sum(rows.values()))} rows are there again")


def _settle(machine: Machine, instance: Instance, manifest: Manifest, beside: str, above: int, by: str) -> None:
    """Bring the tables to this version and begin the next epoch, in the database beside."""
    urls = {name: url.replace(f"/{instance.database}", f"/{beside}") for name, url in instance.env.items() if name.endswith("_DATABASE_URL")}
    admin = re.sub("^postgresql:", "postgresql+psycopg:", postgres.admin_url(machine.layout, beside))
    environment = {**os.environ, **instance.env, **urls, "RESTORED_DATABASE_URL": admin}
    words = ["--backup", manifest.name, "--by", by, "--above", str(above)]
    say(f"restore: {run(VENV_PYTHON, '-m', 'services.chassis.restored', *instance.services, *words, env=environment).strip()}")


def _erase_again(machine: Machine, instance: Instance, beside: str) -> None:
    """What was erased from the vault after the backup was taken is erased from what came back of it."""
    with postgres.connect(machine.layout, instance.database) as old, postgres.connect(machine.layout, beside) as restored:
        if old.execute("select to_regclass('vault.tombstones')").fetchone() == (None,):  # Of a version that kept none.
            return
        stones = old.execute("select reference, erased_at, reason from vault.tombstones").fetchall()
        with restored.transaction(), restored.cursor() as cursor:
            cursor.executemany("insert into vault.tombstones values (%s, %s, %s) on conflict do nothing", stones)
            erased = restored.execute("delete from vault.numbers where reference in (select reference from vault.tombstones)").rowcount
    say(f"restore: {in_words(erased)} numbers that were erased since are erased from the vault again")


def _put_places_back(instance: Instance, folder: Path, kept: str) -> None:
    """The geography that the books were kept by; the newer one stays beside it."""
    backed_up, current = folder / GEOGRAPHY, Path(instance.env["LOKOS_GEOGRAPHY_FILE"])
    if not backed_up.exists() or (current.exists() and current.read_bytes() == backed_up.read_bytes()):
        return
    if current.exists():
        shutil.copyfile(current, current.with_name(f"{current.stem}{kept.removeprefix(instance.database)}{current.suffix}"))
    draft = current.with_suffix(PARTIAL)
    shutil.copyfile(backed_up, draft)
    draft.replace(current)


# --- What a person sees meanwhile.


@contextmanager
def _shown(what: str, total: int) -> Iterator[Callable[[int], None]]:
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
    console = Console(stderr=True)
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task(what, total=total)
        yield lambda count: progress.advance(task, count)


def _run_shown(command: list[str], environment: dict[str, str], what: str, total: int, *marks: str) -> None:
    """Run one of PostgreSQL's programs, which says a line for each table. Raises MachineError with its last words."""
    lines: deque[str] = deque(maxlen=LINES_SHOWN)
    with _shown(what, total) as advance, subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True, cwd="/") as process:
        assert process.stderr
        for line in process.stderr:
            lines.append(line.strip())
            if all(mark in line for mark in marks):
                advance(1)
    if process.returncode:
        how = f"with {process.returncode}" if process.returncode > 0 else f"by signal {-process.returncode}"
        raise MachineError(f"{Path(command[0]).name} ended {how}:\n" + "\n".join(lines))
