"""Inside of the keeper: seals, opens and finds numbers. No plaintext is given before it is noted who asked for it, and why."""

import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from uuid import UUID, uuid4

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from services.chassis import database
from services.identity.adapters.keys import KEY_BYTES, NONCE_BYTES, KeyProvider
from services.identity.commands import vault
from services.identity.commands.vault import Kept, Taken
from services.identity.rules.kyc import mask
from services.identity.rules.vault import FIRST_VERSION, Act, DoesNotOpen, Identity, Kind, Purpose, Sealed, away, context

TOKEN_BYTES = 32
STORE_TRIES_MAX = 3
KEY_OF = b"data key of "  # So that a wrapped key is taken for nothing else.


class Vault:
    """What may be asked of it. Each asks the keys outside of a transaction, and raises Unavailable VAULT_AWAY where they, or the rows, are away."""

    def __init__(self, keys: KeyProvider, transaction: Callable[[], AbstractContextManager[Connection]]) -> None:
        self.keys = keys
        self._transaction = transaction

    def must_be_there(self) -> bool:
        """That it is; raises where it is not."""
        for kind in Kind:
            self.keys.ids(kind)
        if not database.is_back("vault"):
            raise away()
        return True

    def store(self, number: str, purpose: Purpose, user_id: str) -> UUID:
        """The reference of the number, sealed under it; the one it has where the number is there already."""
        known = self.keys.index(number)
        made = Kept(seal(self.keys, number, uuid4(), FIRST_VERSION + 1), os.urandom(TOKEN_BYTES))
        for _ in range(STORE_TRIES_MAX):
            try:
                with _there(), self._transaction() as connection:
                    found = vault.find(connection, known)
                    if found:
                        vault.touch(connection, found, purpose, user_id)
                    else:
                        vault.keep(connection, made, known, purpose, user_id)
                    return found or made.seal.reference
            except Taken:
                continue
        raise away()

    def identify(self, reference: UUID, purpose: Purpose, user_id: str) -> Identity:
        """What may be known of a number: the token by which one woman is found again, and four digits."""
        kept = self._taken(reference, Act.IDENTIFY, purpose, user_id)
        return Identity(kept.token.hex(), mask(opened(self.keys, kept.seal)))

    def open_number(self, reference: UUID, purpose: Purpose, user_id: str) -> str:
        """The number itself, for the one who must hand it on to UIDAI."""
        return opened(self.keys, self._taken(reference, Act.OPEN, purpose, user_id).seal)

    def _taken(self, reference: UUID, act: Act, purpose: Purpose, user_id: str) -> Kept:
        with _there(), self._transaction() as connection:
            return vault.take(connection, reference, act, purpose, user_id)


@contextmanager
def _there() -> Iterator[None]:
    """The vault is away where its database is."""
    try:
        yield
    except DBAPIError as error:
        if database.is_away(error) or database.may_try_again(error):
            raise away() from None
        raise


def seal(keys: KeyProvider, number: str, reference: UUID, version: int) -> Sealed:
    """The number under a data key of its own, and that under the newest key."""
    bound, data_key, nonce = context(reference, version), os.urandom(KEY_BYTES), os.urandom(NONCE_BYTES)
    newest = keys.ids(Kind.DATA)[-1]
    sealed = nonce + AESGCM(data_key).encrypt(nonce, number.encode(), bound)
    return Sealed(reference, version, newest, keys.wrap(newest, data_key, KEY_OF + bound), sealed)


def wrapped_anew(keys: KeyProvider, was: Sealed) -> Sealed:
    """The same data key under the newest key; the number is not opened. What has no data key gets one."""
    if was.wrapped is None:
        return seal(keys, opened(keys, was), was.reference, was.version + 1)
    newest, bound = keys.ids(Kind.DATA)[-1], KEY_OF + context(was.reference, was.version)
    return replace(was, key_id=newest, wrapped=keys.wrap(newest, keys.unwrap(was.key_id, was.wrapped, bound), bound))


def opened(keys: KeyProvider, kept: Sealed) -> str:
    """The number. Raises DoesNotOpen where the seal is another record's, or altered."""
    bound = context(kept.reference, kept.version)
    if kept.wrapped is None:
        return keys.unwrap(kept.key_id, kept.sealed, bound).decode()
    data_key = keys.unwrap(kept.key_id, kept.wrapped, KEY_OF + bound)
    try:
        return AESGCM(data_key).decrypt(kept.sealed[:NONCE_BYTES], kept.sealed[NONCE_BYTES:], bound).decode()
    except (InvalidTag, ValueError):
        raise DoesNotOpen from None
