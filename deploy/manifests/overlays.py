"""What is generated below deploy/k8s, from the states' files, site.toml and deploy/watch: written, or compared with what is there."""

from __future__ import annotations

import json
import tomllib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from deploy.machine.layout import NATION_SERVICES, PROJECT, STATE_SERVICES, VENV, MachineError, read_state
from deploy.machine.setup import run
from deploy.manifests.agrees import MONITORING
from services.chassis.version import VERSION

if TYPE_CHECKING:
    from collections.abc import Iterator

    from services.kernel.statefile import StateFile

Object = dict[str, Any]
"""One Kubernetes object."""

SITE = ("image", "version", "domain", "backup_store", "backup_name", "object_store", "object_region", "places_class", "database_class", "consul")
GENERATED = "# Made by `make k8s`; changes here are lost.\n"


@dataclass(frozen=True)
class Tree:
    """The files of one clone of the project."""

    root: Path = PROJECT

    @property
    def k8s(self) -> Path:
        return self.root / "deploy" / "k8s"

    @property
    def watch(self) -> Path:
        return self.root / "deploy" / "watch"

    @cached_property
    def state_files(self) -> dict[Path, StateFile]:
        """Every instance by its file; the nation last. Raises MachineError where one is wrong."""
        files = [*sorted((self.root / "deploy" / "states").glob("*.toml")), self.root / "deploy" / "nation.toml"]
        return {file: read_state(file) for file in files}

    def overlay(self, state: StateFile) -> Path:
        return self.k8s / "nation" if state.is_nation else self.k8s / "states" / state.code.lower()

    def overlays(self) -> list[Path]:
        return [*(self.overlay(state) for state in self.state_files.values()), self.k8s / "watch"]


def write(tree: Tree) -> list[Path]:
    """Bring the generated files up to date; what was changed, be it that it went."""
    wanted = _wanted(tree)
    changed = [file for file, text in wanted.items() if _read(file) != text]
    for file in changed:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(wanted[file], encoding="utf-8")
    gone = [file for file in _present(tree) if file not in wanted]
    for file in gone:
        file.unlink()
        if not any(file.parent.iterdir()):
            file.parent.rmdir()
    return [*changed, *gone]


def stale(tree: Tree) -> list[str]:
    """What `write` would change, as sentences."""
    wanted = _wanted(tree)
    odd = [file for file in _present(tree) if file not in wanted] + [file for file, text in wanted.items() if _read(file) != text]
    return [f"{file.relative_to(tree.root)} is not what its sources say. Run `make k8s`, and commit what it made." for file in odd]


def render(overlay: Path) -> list[Object]:
    """All objects of an overlay, as kubectl's own kustomize makes them. Raises MachineError with its words."""
    return list(yaml.load_all(run(VENV / "bin" / "kubectl", "kustomize", overlay), Loader=yaml.CSafeLoader))


def _read(file: Path) -> str | None:
    return file.read_text(encoding="utf-8") if file.exists() else None


def _present(tree: Tree) -> list[Path]:
    folders = (tree.k8s / "states", tree.k8s / "nation", tree.k8s / "watch")
    return [file for folder in folders for file in sorted(folder.rglob("*")) if file.is_file()]


def _wanted(tree: Tree) -> dict[Path, str]:
    site = _site(tree)
    wanted = dict(_watch(tree))
    for file, state in tree.state_files.items():
        folder = tree.overlay(state)
        wanted[folder / "kustomization.yaml"] = _kustomization(state, file.name, site[""] | site.get(state.code, {}))
        # Kustomize reads nothing from outside of an overlay's folder, so the state's file stands here once more.
        wanted[folder / file.name] = file.read_text(encoding="utf-8")
    return wanted


def _site(tree: Tree) -> dict[str, dict[str, str]]:
    """Read site.toml: what holds for all under "", what is an instance's own under its code."""
    file = tree.k8s / "site.toml"
    read = tomllib.loads(file.read_text(encoding="utf-8"))
    own = {code: table for code, table in read.items() if isinstance(table, dict)}
    site = {"": {"version": VERSION} | {key: value for key, value in read.items() if key not in own}, **own}
    codes = {"", *(state.code for state in tree.state_files.values())}
    faults = [f"{code} is no instance's code." for code in site if code not in codes]
    faults += [f"{key} is no key of it. Known: {', '.join(SITE)}." for table in site.values() for key in table if key not in SITE]
    faults += [f"{key} is missing." for key in SITE if not site[""].get(key)]
    if faults:
        raise MachineError(f"{file} is wrong:\n" + "\n".join(f"  {fault}" for fault in faults))
    return site


def _kustomization(state: StateFile, file: str, site: dict[str, str]) -> str:
    name = state.code.lower()
    namespace = f"lokos-{name}"
    host, federation = f"{name}.{site['domain']}", f"federation.{name}.{site['domain']}"
    up = ".." if state.is_nation else "../.."
    settings = {
        "LOKOS_STATE_FILE": f"/etc/lokos/state/{file}",
        "LOKOS_SERVICES": " ".join(NATION_SERVICES if state.is_nation else STATE_SERVICES),
        "LOKOS_ADVERTISE": f"{federation}:8444",
        # Where Consul asks whether the state is well: at those who answer the nation.
        "LOKOS_USERS_ADVERTISE": f"{NATION_SERVICES[0] if state.is_nation else 'reporting'}.{namespace}.svc.cluster.local:8443",
        "CONSUL_HTTP_ADDR": site["consul"],
        # Apart from the backups: another bucket, and another key to it.
        **({} if state.is_nation else {"LOKOS_OBJECTS_URL": f"{site['object_store']}/{namespace}-objects"}),
        **({} if state.is_nation else {"LOKOS_OBJECTS_REGION": site["object_region"]}),
    }
    place = {
        "host": host,
        "federation": federation,
        "cluster": f"*.{namespace}.svc.cluster.local",
        "backups": f"s3://{namespace}/",
        "store": site["backup_store"],
        "backup_name": site["backup_name"],
        "places_class": site["places_class"],
        "database_class": site["database_class"],
    }
    components = [*(["nation"] if state.is_nation else []), "process", state.size or "small"]
    return GENERATED + _yaml(
        {
            "apiVersion": "kustomize.config.k8s.io/v1beta1",
            "kind": "Kustomization",
            "namespace": namespace,
            "resources": [f"{up}/base"],
            "components": [f"{up}/components/{component}" for component in components],
            "configMapGenerator": [
                {"name": "state", "files": [file]},
                {"name": "settings", "behavior": "merge", "literals": _literals(settings)},
                {"name": "place", "literals": _literals(place), "options": {"annotations": {"config.kubernetes.io/local-config": "true"}}},
            ],
            "images": [{"name": "lokos", "newName": site["image"], "newTag": site["version"]}],
        }
    )


def _literals(pairs: dict[str, str]) -> list[str]:
    return [f"{name}={value}" for name, value in pairs.items()]


def _watch(tree: Tree) -> Iterator[tuple[Path, str]]:
    """Yield Prometheus's rules and Grafana's dashboard in the form that their operators read: once a cluster, for all instances in it."""
    rules = yaml.safe_load((tree.watch / "rules.yaml").read_text(encoding="utf-8"))
    dashboard = json.loads((tree.watch / "dashboard.json").read_text(encoding="utf-8"))
    about = {"name": "lokos-dashboard", "labels": {"grafana_dashboard": "1"}}
    files = {
        "kustomization.yaml": {
            "apiVersion": "kustomize.config.k8s.io/v1beta1",
            "kind": "Kustomization",
            "namespace": MONITORING,
            "resources": ["dashboard.yaml", "rules.yaml"],
        },
        "rules.yaml": {"apiVersion": "monitoring.coreos.com/v1", "kind": "PrometheusRule", "metadata": {"name": "lokos"}, "spec": rules},
        "dashboard.yaml": {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": about,
            "data": {"lokos.json": json.dumps(dashboard, separators=(",", ":"))},
        },
    }
    for name, content in files.items():
        yield tree.k8s / "watch" / name, GENERATED + _yaml(content)


def _yaml(content: Any) -> str:  # noqa: ANN401 - whatever YAML can hold
    text: str = yaml.safe_dump(content, sort_keys=False, width=10_000)
    return text
