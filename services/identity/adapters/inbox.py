"""The sandbox's inbox: a folder with one file a message, in place of the outside."""

import json
import os
from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime
from pathlib import Path

from services.chassis import settings
from services.kernel.errors import Unavailable


class Inbox:
    """Only the system's own user reads it: one-time passwords and numbers are in it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def put(self, name: str, message: Mapping[str, object]) -> None:
        """Write one message as `<name>.json`; it is never there half written."""
        draft = self._folder / f".{name}.partial"
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
                json.dump(message, file, ensure_ascii=False, indent=1)
            draft.replace(self._folder / f"{name}.json")
        except OSError:
            raise Unavailable("INBOX_AWAY", "The sandbox's inbox cannot be written; see that LOKOS_MESSAGE_INBOX names a folder.") from None

    def forget(self, before: datetime) -> int:
        """Delete what was written before then; returns how many."""
        forgotten = 0
        for file in self._folder.glob("*"):
            with suppress(FileNotFoundError):  # A draft takes its name meanwhile.
                if file.stat().st_mtime < before.timestamp():
                    file.unlink()
                    forgotten += 1
        return forgotten


def inbox() -> Inbox:
    return Inbox(Path(settings.text("LOKOS_MESSAGE_INBOX")))
