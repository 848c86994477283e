"""Files that are replaced whole while others read them."""

import os
import secrets
import threading
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Generic, TypeVar

T = TypeVar("T")


def replace(path: Path, chunks: Iterable[bytes], mode: int = 0o666) -> None:
    """Write a file whole or not at all: a reader sees the old one or the new one, also after the power has failed."""
    draft = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
            file.writelines(chunks)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


class Latest(Generic[T]):
    """What `load` makes of a file, made once and again whenever the file was replaced; None is given for a file that is not there."""

    def __init__(self, load: Callable[[Path | None], T]) -> None:
        self._load = load
        self._lock = threading.Lock()
        self._of: tuple[str, int, int] | None = None
        self._made: T

    def of(self, path: Path | None) -> T:
        try:
            status = path.stat() if path else None
        except FileNotFoundError:
            status = None
        # A file may be replaced twice within a tick of its clock: then it is another file all the same.
        of = (str(path), status.st_ino, status.st_mtime_ns) if status else (str(path), 0, 0)
        with self._lock:
            if self._of != of:
                self._made = self._load(path if status else None)
                self._of = of
            return self._made
