"""Which instances exist, where, and how many members each has registered: a port that a folder of files fills on one
machine, and Consul in the field.
"""

import json
import logging
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Protocol

from services.chassis import settings

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Instance:
    """One state's instance. `certificate` is the PEM of the authority that its server certificate must come from."""

    code: str
    address: str
    version: str
    registered_members: int
    certificate: str
    lgd_code: int


class Registry(Protocol):
    """What the gateway needs of it, and what a state does for it."""

    def put(self, instance: Instance) -> None: ...

    def all(self) -> list[Instance]: ...


class FileRegistry:
    """A folder with one JSON file an instance; a file is replaced whole."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def put(self, instance: Instance) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        partial = self._folder / f".{instance.code}.{os.getpid()}.partial"
        partial.write_text(json.dumps(asdict(instance), indent=1), encoding="utf-8")
        partial.replace(self._folder / f"{instance.code}.json")

    def all(self) -> list[Instance]:
        """Every instance that can be read, by code; one that cannot is logged and left out."""
        found = []
        for path in sorted(self._folder.glob("*.json")):
            try:
                found.append(Instance(**json.loads(path.read_text(encoding="utf-8"))))
            except (OSError, ValueError, TypeError) as error:
                log.warning("an entry of the registry cannot be read", extra={"entry": path.name, "error": type(error).__name__})
        return found


def registry() -> Registry:
    """The registry of this machine."""
    return FileRegistry(Path(settings.text("LOKOS_REGISTRY_DIR")))
