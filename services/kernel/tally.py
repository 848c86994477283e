"""One number for many members, so that an owner and her copies can compare what they hold (decision 23)."""

import hashlib
from collections.abc import Iterable
from datetime import timedelta
from uuid import UUID

MODULUS = 1 << 63
# How long events told before a tally may still be on their way when the tally is heard.
ON_THE_WAY = timedelta(minutes=5)


def fingerprint(member_id: UUID, version: int) -> int:
    """63 bits of the SHA-256 of the id's 16 bytes and the version's 8, big end first."""
    digest = hashlib.sha256(member_id.bytes + version.to_bytes(8, "big")).digest()
    return int.from_bytes(digest[:8], "big") % MODULUS


def total(members: Iterable[tuple[UUID, int]]) -> int:
    """The sum of their fingerprints modulo 2^63: the same in whatever order they come."""
    return sum(fingerprint(member_id, version) for member_id, version in members) % MODULUS
