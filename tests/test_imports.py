"""Each import rule, broken on purpose in a copy of the tree, is seen to bite."""

import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[1]

# The contract's name, and a line that breaks it.
PLANTED = {
    "The kernel imports nothing of ours, and only the standard library": ("services/kernel/money.py", "import services.chassis.settings"),
    "The chassis imports no service, and nothing above it": ("services/chassis/settings.py", "import services.profiles.rules"),
    "Services never import each other": ("services/profiles/rules/__init__.py", "import services.identity.rules"),
    "A service's rooms lean one way": ("services/dedup/rules/__init__.py", "import services.dedup.commands"),
    "Rules know no wire and no store": ("services/transactions/rules/__init__.py", "import sqlalchemy"),
    "gRPC and the broker never reach commands, queries or tables": ("services/reporting/queries.py", "import grpc"),
    "No gRPC where nameko runs": ("services/identity/consumer.py", "import grpc"),
    "No nameko where gRPC runs": ("services/chassis/serve.py", "import nameko"),
}


def lint(folder):
    program = Path(sys.executable).with_name("lint-imports")
    environment = {**os.environ, "PYTHONPATH": str(folder), "COLUMNS": "300"}
    done = subprocess.run([program, "--no-cache", "--verbose"], cwd=folder, env=environment, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr


def test_every_rule_bites(tmp_path):
    for room in ("services", "gateway", "deploy", "protos"):
        shutil.copytree(ROOT / room, tmp_path / room, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    contracts = {contract["name"] for contract in tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]}
    assert set(PLANTED) == contracts
    code, said = lint(tmp_path)
    assert code == 0, said
    for name, (file, line) in PLANTED.items():
        path = tmp_path / file
        whole = path.read_text()
        path.write_text(whole + f"\n{line}\n")
        code, said = lint(tmp_path)
        assert code != 0, name
        assert f"{name} BROKEN" in said, said
        path.write_text(whole)


def test_a_room_that_is_no_room_is_refused(tmp_path):
    for room in ("services", "gateway", "deploy", "protos"):
        shutil.copytree(ROOT / room, tmp_path / room, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    (tmp_path / "services/profiles/utils.py").write_text('"""Nothing in particular."""\n')
    code, said = lint(tmp_path)
    assert code != 0
    assert "utils" in said
