"""The vault: for what a number may be asked for, what leaves it, and what a seal is bound to."""

from dataclasses import dataclass
from enum import StrEnum
from uuid import UUID

from services.kernel.errors import Conflict, Invalid, Unavailable


class Purpose(StrEnum):
    """What a number is stored, known again or opened for; there is no other. The value is what the vault's `uses` say."""

    E_KYC = "e-kyc"


class Act(StrEnum):
    """What the vault did."""

    STORE = "STORE"
    IDENTIFY = "IDENTIFY"
    OPEN = "OPEN"
    ERASE = "ERASE"


class Walk(StrEnum):
    """A walk over all records: under another key that wraps, with other data keys, under another index key, or to look whether all fits."""

    KEYS = "KEYS"
    DATA_KEYS = "DATA_KEYS"
    INDEX_KEY = "INDEX_KEY"
    CHECK = "CHECK"


class Kind(StrEnum):
    """What a key is for: it wraps the records' data keys, or makes the blind index."""

    DATA = "data"
    INDEX = "index"


# The first version of LokOS sealed with the key that now wraps, and made tokens with the key that is now the first of the index.
FIRST_KEY = 1
FIRST_VERSION = 0


class DoesNotOpen(Exception):  # noqa: N818 - what a check looks for
    """A seal that its key does not open: it is another record's, or altered."""


@dataclass(frozen=True, slots=True)
class Identity:
    """All that leaves the vault of a number: the token that says which two are the same, and its last four digits."""

    token: str
    masked: str


@dataclass(frozen=True, slots=True)
class Sealed:
    """A number under a data key of its own, and that key under the key `key_id`. `wrapped` is None where the first version sealed it."""

    reference: UUID
    version: int
    key_id: int
    wrapped: bytes | None
    sealed: bytes


def context(reference: UUID, version: int) -> bytes:
    """What a seal is bound to: it opens as this version of this record, and as nothing else."""
    return reference.bytes + (version.to_bytes(4) if version > FIRST_VERSION else b"")


def check_purpose(name: str) -> Purpose:
    try:
        return Purpose(name)
    except ValueError:
        raise Invalid("VAULT_PURPOSE_UNKNOWN", "The vault opens for no such purpose.", field="purpose") from None


def away() -> Unavailable:
    return Unavailable("VAULT_AWAY", "The vault does not answer. Enrol her without it, and verify her later.")


def erased() -> Conflict:
    return Conflict("KYC_EXPIRED", "This verification is over; start it again.", field="kyc_id")
