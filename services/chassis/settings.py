"""Settings come from the environment and from the state's file; what is missing or wrong stops the process at its start, by name."""

import os
from functools import cache
from pathlib import Path

from services.kernel import statefile
from services.kernel.statefile import StateFile


class MissingSetting(SystemExit):
    """Ends the process with a sentence for the operator."""

    def __init__(self, name: str) -> None:
        super().__init__(f"The setting {name} is missing. Set it in the environment of this process (docs/operate.md, Settings).")


def text(name: str, default: str | None = None) -> str:
    """The setting of that name; without a default it must be there."""
    value = os.environ.get(name) or default
    if value is None:
        raise MissingSetting(name)
    return value


def number(name: str, default: int | None = None) -> int:
    value = text(name, None if default is None else str(default))
    if not value.isdecimal():
        raise SystemExit(f"The setting {name} must be a whole number, not {value!r}.")
    return int(value)


def file(name: str) -> Path:
    """The path of a file that must exist."""
    path = Path(text(name))
    if not path.is_file():
        raise SystemExit(f"The setting {name} names {path}, and there is no such file.")
    return path


def state() -> StateFile:
    """Who this instance is and what it has set, from its state's file."""
    return _state(file("LOKOS_STATE_FILE"))


@cache
def _state(path: Path) -> StateFile:
    try:
        return statefile.load(path)
    except statefile.StateFileError as invalid:
        raise SystemExit(f"The state's file {invalid}") from None


def instance() -> str:
    """The code of this instance: "UP", or "IN" for the nation."""
    return state().code


def state_lgd() -> int:
    """The LGD code of this instance's state; 0 for the nation."""
    return state().lgd_code


def services() -> list[str]:
    """The services that this instance runs, wherever they run."""
    return text("LOKOS_SERVICES", "identity profiles transactions dedup reporting").split()


def service_setting(service: str, name: str) -> str:
    """A setting that each service has of its own: PROFILES_DATABASE_URL."""
    return text(f"{service.upper()}_{name}")
