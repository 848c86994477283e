"""Which instances exist, where, and how many members each has registered: a port that a folder of files fills on one
machine, and Consul in the field.
"""

import json
import logging
import os
import threading
import time
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Protocol

from services.chassis import settings

log = logging.getLogger(__name__)

WATCH_SECONDS = 10
POLL_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Instance:
    """One state's instance. `certificate` is the PEM of the authority that its server certificate must come from."""

    code: str
    address: str
    version: str
    registered_members: int
    certificate: str
    lgd_code: int


class RegistryAwayError(Exception):
    """The registry does not answer, or refuses; it has said so in the log, once."""


class Registry(Protocol):
    """What a state does for it, and what the gateway needs of it. Both raise RegistryAwayError."""

    def put(self, instance: Instance) -> None: ...

    def take_out(self, code: str) -> None:
        """Forget an instance; nothing happens where it is not known."""

    def watch(self, index: str = "") -> tuple[list[Instance] | None, str]:
        """Every instance that can be read, by code, and the index to watch from; one that cannot is logged and left out.

        Given that index, waits until something has changed; None where nothing did for WATCH_SECONDS.
        """


class FileRegistry:
    """A folder with one JSON file an instance; a file is replaced whole."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def put(self, instance: Instance) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        partial = self._folder / f".{instance.code}.{os.getpid()}.{threading.get_ident()}.partial"
        partial.write_text(json.dumps(asdict(instance), indent=1), encoding="utf-8")
        partial.replace(self._folder / f"{instance.code}.json")

    def watch(self, index: str = "") -> tuple[list[Instance] | None, str]:
        ends = time.monotonic() + WATCH_SECONDS
        while (now := self._index()) == index:
            if time.monotonic() > ends:
                return None, index
            time.sleep(POLL_SECONDS)
        return self._read(), now

    def take_out(self, code: str) -> None:
        (self._folder / f"{code}.json").unlink(missing_ok=True)

    def _index(self) -> str:
        """Other whenever a file came, went or was replaced; never empty."""
        try:
            found = [(path.name, path.stat()) for path in sorted(self._folder.glob("*.json"))]
        except FileNotFoundError:  # One went just now, so another look will differ from this one.
            return "changing"
        return " ".join(["files", *(f"{name}:{stat.st_ino}:{stat.st_mtime_ns}" for name, stat in found)])

    def _read(self) -> list[Instance]:
        found = []
        for path in sorted(self._folder.glob("*.json")):
            try:
                found.append(Instance(**json.loads(path.read_text(encoding="utf-8"))))
            except (OSError, ValueError, TypeError) as error:
                log.warning("an entry of the registry cannot be read", extra={"entry": path.name, "error": type(error).__name__})
        return found


def _is_consul() -> bool:
    kind = settings.text("LOKOS_REGISTRY", "file")
    if kind not in {"file", "consul"}:
        raise SystemExit(f"The setting LOKOS_REGISTRY must be file or consul, not {kind!r}.")
    return kind == "consul"


@cache
def registry() -> Registry:
    """The one that LOKOS_REGISTRY names. A setting of it that is missing or wrong ends the process by its name."""
    if not _is_consul():
        return FileRegistry(Path(settings.text("LOKOS_REGISTRY_DIR")))
    from services.chassis import consul  # With all that it needs, of no use to an instance that has files.

    return consul.ConsulRegistry(consul.Agent.from_settings())


def check() -> None:
    """End the process by the name of a setting that is missing or wrong, and without which the instance would not be found."""
    settings.text("LOKOS_ADVERTISE")
    registry()
    if _is_consul():
        from services.chassis import consul  # As above.

        consul.users_address()


def announced(health_names: Mapping[str, str]) -> AbstractContextManager[None]:
    """Within it Consul's catalogue has this process's services, each under the name that its health goes by. Files have no such catalogue."""
    if not _is_consul():
        return nullcontext()
    from services.chassis import consul  # As above.

    return consul.announced(consul.Agent.from_settings(), health_names)
