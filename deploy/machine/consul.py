"""The private Consul: a real agent that is a server of its own. Debian has none any more, so it comes from an older suite."""

from __future__ import annotations

import json
import platform
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from deploy.machine.layout import VENV, MachineError, say
from deploy.machine.setup import run

if TYPE_CHECKING:
    from deploy.machine.layout import Layout

SUITE = "bullseye"
PROGRAM = VENV / "consul" / "usr" / "bin" / "consul"
KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")


def obtain() -> None:
    """Unpack Debian's package of the agent beside the virtual environment's; nothing is installed in the system.

    Raises MachineError when it cannot be had.
    """
    if PROGRAM.exists():
        return
    say("setup: unpacking Consul's agent")
    with tempfile.TemporaryDirectory(dir=VENV, prefix="consul-") as name:
        folder = Path(name)
        try:
            apt = _apt(folder)
            run(*apt, "update")
            run(*apt, "download", "consul", cwd=folder)
            run("dpkg-deb", "--extract", next(folder.glob("consul_*.deb")), folder / "agent")
        except (MachineError, StopIteration) as error:
            raise MachineError(
                f"Consul's agent could not be had from Debian's suite {SUITE}. Let CONSUL_HTTP_ADDR name one that runs elsewhere, or take "
                f"LOKOS_REGISTRY=file. What failed: {error}"
            ) from None
        shutil.rmtree(VENV / "consul", ignore_errors=True)
        (folder / "agent").rename(VENV / "consul")


def _apt(folder: Path) -> tuple[str, ...]:
    """apt-get with lists of its own, and where this machine has its Debian from as its source, but for the older suite."""
    targets = run("apt-get", "indextargets", "--format", "$(RELEASE) $(COMPONENT) $(REPO_URI)", "Created-By: Packages").splitlines()
    wanted = f"{platform.freedesktop_os_release().get('VERSION_CODENAME', '')} main "
    places = [target.removeprefix(wanted) for target in targets if target.startswith(wanted)]
    if not places:
        raise MachineError(f"apt has no source for {wanted.strip()}.")
    for needed in ("lists/partial", "cache/archives/partial"):
        (folder / needed).mkdir(parents=True)
    (folder / "sources.list").write_text(f"deb [signed-by={KEYRING}] {places[0]} {SUITE} main\n", encoding="utf-8")
    options = {
        "Dir::Etc::sourcelist": folder / "sources.list",
        "Dir::Etc::sourceparts": "/dev/null",
        "Dir::State::lists": folder / "lists",
        "Dir::Cache": folder / "cache",
        "Acquire::Languages": "none",
        "APT::Update::Error-Mode": "any",
        "APT::Sandbox::User": "",  # The folder is closed to the one whom apt would become.
    }
    return ("apt-get", "-q", *(word for name, value in options.items() for word in ("-o", f"{name}={value}")))


def _folder(layout: Layout) -> Path:
    return layout.run / "consul"


def data(layout: Layout) -> Path:
    """Where the agent keeps its catalogue."""
    return _folder(layout) / "data"


def initialise(layout: Layout) -> None:
    """Have the agent, and write its configuration."""
    obtain()
    _folder(layout).mkdir(mode=0o700, parents=True, exist_ok=True)
    configuration = {
        "node_name": "lokos",
        "server": True,
        "bootstrap_expect": 1,
        "data_dir": str(data(layout)),
        "bind_addr": "127.0.0.1",
        "client_addr": "127.0.0.1",
        "ports": {
            "http": layout.consul_port,
            "server": layout.consul_port + 1,
            "serf_lan": layout.consul_port + 2,
            **dict.fromkeys(("serf_wan", "dns", "grpc", "https"), -1),
        },
        "performance": {"raft_multiplier": 1},  # There is nobody to elect but itself.
        "disable_host_node_id": True,
        "disable_update_check": True,
        "log_level": "warn",
    }
    (_folder(layout) / "agent.json").write_text(json.dumps(configuration, indent=1), encoding="utf-8")


def command(layout: Layout) -> list[str]:
    """How to run the agent in the foreground."""
    return [str(PROGRAM), "agent", f"-config-file={_folder(layout) / 'agent.json'}"]
