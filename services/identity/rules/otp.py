"""One-time passwords: derived from the instance's key and the challenge that they answer, so that none is ever stored."""

import hmac
from uuid import UUID

DIGITS = 6


def key_of(secret: bytes) -> bytes:
    """The key of one-time passwords, of a secret (LOKOS_PERSON_KEY) that serves other ends too."""
    return hmac.digest(secret, b"lokos one-time password", "sha256")


def code(key: bytes, challenge_id: UUID) -> str:
    """Of 256 bits the remainder is as good as uniform."""
    number = int.from_bytes(hmac.digest(key, challenge_id.bytes, "sha256"), "big") % 10**DIGITS
    return f"{number:0{DIGITS}}"


def is_right(key: bytes, challenge_id: UUID, given: str) -> bool:
    return hmac.compare_digest(code(key, challenge_id).encode(), given.encode())
