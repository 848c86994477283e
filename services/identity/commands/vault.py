"""The vault: stores Aadhaar numbers and gives references; nothing else in the house reads one, or makes a token of one.

It works on a connection of its own role, whose schema identity's role cannot read (interfaces 3, law: data vault).
"""

import hmac
import os
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID, uuid4

from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from sqlalchemy import Connection, delete, func, insert, select, update
from sqlalchemy.dialects import postgresql

from services.chassis import settings
from services.chassis.logs import request_id
from services.identity.rules.kyc import mask
from services.identity.tables.vault import numbers, uses

KEY_BYTES = 32
NONCE_BYTES = 12


@dataclass(frozen=True, slots=True)
class Identity:
    """All that leaves the vault of a number: the token that says which two are the same, and its last four digits."""

    token: str
    masked: str


def _key(name: str) -> bytes:
    try:
        key = bytes.fromhex(settings.text(name))
    except ValueError:
        key = b""
    if len(key) != KEY_BYTES:
        raise SystemExit(f"The setting {name} must be {KEY_BYTES} bytes in hexadecimal digits.")
    return key


def must_have_keys() -> None:
    """Stop the process at its start where a key is missing or is none."""
    _key("LOKOS_VAULT_KEY")
    _key("LOKOS_VAULT_TOKEN_KEY")


def store(connection: Connection, number: str, purpose: str, user_id: str) -> UUID:
    """The reference of the number, sealed under it; the one it has where the number is there already."""
    reference, nonce = uuid4(), os.urandom(NONCE_BYTES)
    statement = postgresql.insert(numbers).values(
        reference=reference,
        token=hmac.digest(_key("LOKOS_VAULT_TOKEN_KEY"), number.encode(), "sha256"),
        # Bound to its reference: a row's seal opens in no other row.
        sealed=nonce + AESGCM(_key("LOKOS_VAULT_KEY")).encrypt(nonce, number.encode(), reference.bytes),
        stored_at=datetime.now(UTC),
    )
    kept = statement.on_conflict_do_update(index_elements=["token"], set_={"stored_at": statement.excluded.stored_at})
    stored: UUID = connection.execute(kept.returning(numbers.c.reference)).scalar_one()
    _note(connection, stored, purpose, user_id)
    return stored


def open_number(connection: Connection, reference: UUID, purpose: str, user_id: str) -> str:
    """The number itself, for the provider of e-KYC alone: the use is noted before it leaves."""
    row = connection.execute(select(numbers).where(numbers.c.reference == reference)).one()
    _note(connection, reference, purpose, user_id)
    return AESGCM(_key("LOKOS_VAULT_KEY")).decrypt(row.sealed[:NONCE_BYTES], row.sealed[NONCE_BYTES:], reference.bytes).decode()


def identify(connection: Connection, reference: UUID, purpose: str, user_id: str) -> Identity:
    """What may be known of a number that its holder has just proved to be hers."""
    row = connection.execute(select(numbers).where(numbers.c.reference == reference)).one()
    number = AESGCM(_key("LOKOS_VAULT_KEY")).decrypt(row.sealed[:NONCE_BYTES], row.sealed[NONCE_BYTES:], reference.bytes).decode()
    confirmed = {"confirmed_at": func.coalesce(numbers.c.confirmed_at, func.now())}
    connection.execute(update(numbers).where(numbers.c.reference == reference).values(confirmed))
    _note(connection, reference, purpose, user_id)
    return Identity(row.token.hex(), mask(number))


def erase(connection: Connection, reference: UUID, reason: str, user_id: str) -> None:
    """Erase a number for good; one that is gone already is noted once more, and that is all."""
    connection.execute(delete(numbers).where(numbers.c.reference == reference))
    _note(connection, reference, f"erase: {reason}", user_id)


def _note(connection: Connection, reference: UUID, purpose: str, user_id: str) -> None:
    values = {"at": datetime.now(UTC), "reference": reference, "purpose": purpose, "user_id": user_id, "request_id": request_id.get()}
    connection.execute(insert(uses).values(values))
