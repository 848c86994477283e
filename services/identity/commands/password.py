"""Passwords, as Argon2id keeps them."""

import unicodedata

from argon2 import PasswordHasher
from argon2.exceptions import VerificationError

# OWASP's first choice but for less memory: eight threads at once then need 150 MiB and not half a GiB.
_HASHER = PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1)
_NOBODYS = _HASHER.hash("the password of nobody")
_TAKEN_MAX = 1024  # Of letters; a longer one is not hers anyway.


def _plain(password: str) -> str:
    """One password whichever keyboard wrote it."""
    return unicodedata.normalize("NFKC", password[:_TAKEN_MAX])


def hashed(password: str) -> str:
    return _HASHER.hash(_plain(password))


def is_right(password: str, password_hash: str) -> bool:
    """The same work whether there is a hash or none, so that the time does not tell who is a user."""
    try:
        _HASHER.verify(password_hash or _NOBODYS, _plain(password))
    except VerificationError:
        return False
    return bool(password_hash)
