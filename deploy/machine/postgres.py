"""The private PostgreSQL: how it is made and started, and one database a state with a schema and a role a service."""

from __future__ import annotations

import os
import pwd
import secrets
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote, unquote, urlsplit, urlunsplit

from deploy.machine.layout import MachineError, say
from deploy.machine.setup import postgres_programs, run

if TYPE_CHECKING:
    from collections.abc import Mapping

    import psycopg

    from deploy.machine.layout import Instance, Layout

SYSTEM_USER = "postgres"
# Ids and LGD paths are compared and indexed in the order of their bytes, whatever the server was made with.
CREATE_DATABASE = "CREATE DATABASE {} TEMPLATE template0 ENCODING 'UTF8' LC_COLLATE 'C' LC_CTYPE 'C.UTF-8'"
ADMIN = "postgres"
CONNECT_SECONDS_MAX = 5
RENAME_TRIES_MAX = 5  # Somebody may connect between being cut off and the renaming.

# The two Linux capabilities that let a process walk through folders which others closed to it, the weaker one first.
CAPABILITIES = {"dac_read_search": 2, "dac_override": 1}

CONFIGURATION = """\
# Written by `python3 -m deploy.machine up`; changes here are lost.
listen_addresses = '127.0.0.1'
port = {port}
# TCP only: a unix socket's path would have to be short, and a run folder may lie deep.
unix_socket_directories = ''
max_connections = {connections}
shared_buffers = 256MB
# A meeting that was acknowledged is on the disk.
synchronous_commit = on
password_encryption = scram-sha-256
timezone = 'UTC'
log_timezone = 'UTC'
log_line_prefix = '%m [%p] %u@%d '
log_error_verbosity = terse
"""


def _folder(layout: Layout) -> Path:
    return layout.run / "postgres"


def admin_url(layout: Layout, database: str | None = None) -> str:
    """Return the address of the database server, or of one database, with a login that may create databases and roles."""
    given = os.environ.get("DATABASE_URL")
    if given:
        # Libraries other than SQLAlchemy do not know the driver in the scheme.
        address = given.replace("postgresql+psycopg://", "postgresql://", 1)
    else:
        password = (_folder(layout) / "password").read_text(encoding="utf-8").strip()
        address = f"postgresql://{ADMIN}:{password}@127.0.0.1:{layout.postgres_port}/postgres"
    return urlunsplit(urlsplit(address)._replace(path=f"/{database}")) if database else address


def service_url(layout: Layout, instance: Instance, role: str, password: str) -> str:
    """Return the address with which one service of one instance reaches its own schema, for SQLAlchemy."""
    server = urlsplit(admin_url(layout))
    login = f"{instance.prefix}_{role}:{quote(password, safe='')}"
    place = server.netloc.rpartition("@")[2]
    return urlunsplit(("postgresql+psycopg", f"{login}@{place}", f"/{instance.database}", server.query, ""))


def _as_owner(folder: Path) -> list[str]:
    """Return what to put before a command so that it runs as the owner of the data.

    PostgreSQL refuses to run as root, so root hands over to the system user of the Debian package. That user may be
    unable to walk down to the folder, as in a clone below a 0700 folder. Only then it is given the capability to walk
    through, and no more than that where the machine allows the weaker of the two.
    """
    if os.getuid() != 0:
        return []
    prefix = ["setpriv", f"--reuid={SYSTEM_USER}", f"--regid={SYSTEM_USER}", "--clear-groups"]
    reaches = subprocess.run([*prefix, "test", "-x", str(folder)], check=False).returncode == 0
    if reaches:
        return prefix
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    allowed = int(next(line.split()[1] for line in status.splitlines() if line.startswith("CapEff:")), base=16)
    for name, bit in CAPABILITIES.items():
        if allowed >> bit & 1:
            return [*prefix, f"--inh-caps=+{name}", f"--ambient-caps=+{name}"]
    raise MachineError(
        f"The system user {SYSTEM_USER} cannot reach {folder}, since a folder above it is closed to others. Set LOKOS_RUN "
        "to a folder that it can reach, such as /var/tmp/lokos."
    )


def _programs() -> Path:
    programs = postgres_programs()
    if programs is None:
        raise MachineError("PostgreSQL is not installed. Run `python3 -m deploy.machine setup`.")
    return programs


def command(layout: Layout) -> list[str]:
    """How to run the server in the foreground; the process is the postmaster itself."""
    folder = _folder(layout)
    server = [str(_programs() / "postgres"), "-D", str(folder / "data")]
    return [*_as_owner(folder), *server, "-c", f"config_file={folder / 'postgresql.conf'}"]


def initialise(layout: Layout) -> None:
    """Make the data folder once, and write the configuration each time."""
    folder = _folder(layout)
    data, password = folder / "data", folder / "password"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if not (data / "PG_VERSION").exists():
        say("postgres: making the data folder")
        shutil.rmtree(data, ignore_errors=True)  # What an earlier try left half done.
        password.touch(mode=0o600)
        password.write_text(secrets.token_hex(16) + "\n", encoding="utf-8")
    text = CONFIGURATION.format(port=layout.postgres_port, connections=layout.database_connections_max)
    (folder / "postgresql.conf").write_text(text, encoding="utf-8")
    if os.getuid() == 0:
        _give_away(folder, password, folder / "postgresql.conf")
    if not (data / "PG_VERSION").exists():
        # The socket does not exist, so nobody comes in by it; over TCP everybody needs a password.
        ways = ("--auth-local=reject", "--auth-host=scram-sha-256", f"--username={ADMIN}", f"--pwfile={password}")
        form = ("--encoding=UTF8", "--locale=C.UTF-8")
        run(*_as_owner(folder), _programs() / "initdb", "-D", data, *ways, *form, cwd=Path("/"))


def _give_away(*paths: Path) -> None:
    try:
        user = pwd.getpwnam(SYSTEM_USER)
    except KeyError:
        raise MachineError(
            f"There is no system user {SYSTEM_USER}, which the Debian package makes: `apt-get install postgresql`, or set "
            "DATABASE_URL to the address of another PostgreSQL."
        ) from None
    for path in paths:
        os.chown(path, user.pw_uid, user.pw_gid)


def connect(layout: Layout, database: str | None = None) -> psycopg.Connection[tuple[object, ...]]:
    """Connect as the administrator, each statement a transaction of its own. Raises psycopg.OperationalError."""
    import psycopg  # Not there yet while setup runs.

    return psycopg.connect(admin_url(layout, database), autocommit=True, connect_timeout=CONNECT_SECONDS_MAX)


def provision(layout: Layout, instance: Instance, passwords: Mapping[str, str], database_name: str) -> None:
    """Make a database of this name for the instance, and in it a schema and a role for each service (and the vault); idempotent.

    A role reaches its own schema in its own database and nothing else: neither another service's tables nor another
    state's database. `passwords` has one for each role of the instance.
    """
    from psycopg.sql import SQL, Identifier, Literal  # Not there yet while setup runs.

    database = Identifier(database_name)
    roles = {role: Identifier(f"{instance.prefix}_{role}") for role in instance.roles}
    with connect(layout) as server:
        known = {name for (name,) in server.execute("SELECT rolname FROM pg_roles")}
        for role, name in roles.items():
            verb = SQL("ALTER" if f"{instance.prefix}_{role}" in known else "CREATE")
            server.execute(SQL("{} ROLE {} LOGIN PASSWORD {}").format(verb, name, Literal(passwords[role])))
            # An administrator who is no superuser may hand a schema only to a role that he is a member of.
            server.execute(SQL("GRANT {} TO CURRENT_USER").format(name))
        if not server.execute("SELECT 1 FROM pg_database WHERE datname = %s", [database_name]).fetchone():
            server.execute(SQL(CREATE_DATABASE).format(database))
        # Everybody may connect to a new database by default, which would let one state's roles into another's.
        server.execute(SQL("REVOKE ALL ON DATABASE {} FROM PUBLIC").format(database))
        names = SQL(", ").join(roles.values())
        server.execute(SQL("GRANT CONNECT, TEMPORARY ON DATABASE {} TO {}").format(database, names))
        if not os.environ.get("DATABASE_URL"):
            server.execute("REVOKE CONNECT ON DATABASE postgres, template1 FROM PUBLIC")
    with connect(layout, database_name) as own:
        own.execute("REVOKE ALL ON SCHEMA public FROM PUBLIC")
        for role, name in roles.items():
            schema = Identifier(role)
            own.execute(SQL("CREATE SCHEMA IF NOT EXISTS {} AUTHORIZATION {}").format(schema, name))
            own.execute(SQL("ALTER ROLE {} IN DATABASE {} SET search_path = {}").format(name, database, schema))


def client(program: str, login: str) -> tuple[list[str], dict[str, str]]:
    """How to run one of PostgreSQL's own programs with a login, postgresql://...: the command's beginning, the environment."""
    url = urlsplit(login)
    place = url.netloc.rpartition("@")[2]
    # The password by the environment: a command line can be read by everybody on the machine.
    address = urlunsplit(url._replace(netloc=f"{url.username}@{place}"))
    return [str(_programs() / program), f"--dbname={address}"], {**os.environ, "PGPASSWORD": unquote(url.password or "")}


def create(layout: Layout, database: str) -> None:
    """An empty database."""
    from psycopg.sql import SQL, Identifier  # Not there yet while setup runs.

    with connect(layout) as server:
        server.execute(SQL(CREATE_DATABASE).format(Identifier(database)))


def drop(layout: Layout, database: str) -> None:
    """Drop a database, whoever is connected; nothing happens where there is none."""
    from psycopg.sql import SQL, Identifier  # Not there yet while setup runs.

    with connect(layout) as server:
        server.execute(SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(Identifier(database)))


def drop_all_of(layout: Layout, instance: Instance) -> None:
    """Drop the instance's database, those that restores have kept, and its roles; idempotent."""
    from psycopg.sql import SQL, Identifier  # Not there yet while setup runs.

    with connect(layout) as server:
        own = "SELECT datname FROM pg_database WHERE datname = %s OR starts_with(datname, %s)"
        for (database,) in server.execute(own, [instance.database, instance.database + "_"]).fetchall():
            drop(layout, str(database))
        for role in instance.roles:
            server.execute(SQL("DROP ROLE IF EXISTS {}").format(Identifier(f"{instance.prefix}_{role}")))


def replace(layout: Layout, instance: Instance, by: str, kept_as: str) -> None:
    """Let another database take the place of the instance's own, which is kept under a name of its own: both or neither.

    The instance's roles may not enter what is kept.
    """
    import psycopg.errors  # Not there yet while setup runs.
    from psycopg.sql import SQL, Identifier  # The same.

    rename = SQL("ALTER DATABASE {} RENAME TO {}")
    roles = SQL(", ").join(Identifier(f"{instance.prefix}_{role}") for role in instance.roles)
    with connect(layout) as server:
        for tries_left in reversed(range(RENAME_TRIES_MAX)):
            # Not autovacuum's, which an administrator who is no superuser may not end, and which gives way by itself.
            connected = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = ANY(%s) AND backend_type = 'client backend'"
            server.execute(connected, [[instance.database, by]])
            try:
                with server.transaction():
                    server.execute(rename.format(Identifier(instance.database), Identifier(kept_as)))
                    server.execute(rename.format(Identifier(by), Identifier(instance.database)))
                    server.execute(SQL("REVOKE ALL ON DATABASE {} FROM {}").format(Identifier(kept_as), roles))
            except psycopg.errors.ObjectInUse:
                if not tries_left:
                    raise
            else:
                return
