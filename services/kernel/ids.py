"""Ids: a UUIDv7 that whoever makes the record makes; the first 48 bits are the millisecond, so ids sort by time."""

import os
import time
from uuid import UUID, uuid5

from services.kernel.errors import Invalid

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
    try:
        parsed = UUID(text) if len(text) == 36 else None
    except ValueError:
        parsed = None
    if parsed is None or parsed.version != 7:
        raise Invalid("ID_INVALID", "An id must be a UUID of version 7.", field=field)
    return parsed
