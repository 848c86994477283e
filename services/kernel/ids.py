"""Ids: a UUIDv7 that whoever makes the record makes; the first 48 bits are the millisecond, so ids sort by time."""

import os
import re
import time
from uuid import UUID, uuid5

from services.kernel.errors import Invalid

_ANY = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_WRITTEN = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}")
_DERIVED = UUID("6f1f8e0a-3c68-5d6c-9a51-0b6a4f0c7e11")


def uuid7(moment_seconds: float | None = None) -> UUID:
    """A new id, of now unless a moment (Unix seconds) is given."""
    milliseconds = int((time.time() if moment_seconds is None else moment_seconds) * 1000)
    random = int.from_bytes(os.urandom(10), "big")
    return UUID(int=milliseconds << 80 | 0x7 << 76 | (random >> 68) << 64 | 0b10 << 62 | random & (1 << 62) - 1)


def derived(*parts: object) -> UUID:
    """The same id for the same parts, always: how a restated delta is known again."""
    return uuid5(_DERIVED, "/".join(str(part) for part in parts))


def parse_id(text: str, field: str) -> UUID:
    """An id made elsewhere; only UUIDv7 will do, since records are stored by its time."""
    return UUID(written_id(text, field))


def written_id(text: str, field: str) -> str:
    """The same as text in lower case, for those who only compare it: a tenth of the cost."""
    written = text.lower()
    if not _WRITTEN.fullmatch(written) or written[19] not in "89ab":
        raise Invalid("ID_INVALID", "An id must be a UUID of version 7.", field=field)
    return written


def row_id(text: str, field: str) -> str:
    """The id of a row within a record: a UUID of any version, since those of the old MIS are derived."""
    written = text.lower()
    if not _ANY.fullmatch(written):
        raise Invalid("ID_INVALID", "An id is a UUID.", field=field)
    return written
