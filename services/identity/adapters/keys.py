"""The vault's keys: what it needs of whoever holds them, a file for development and a PKCS#11 module for production.

Keys have a kind and a number, which counts up; the newest of a kind is what is sealed or indexed with from then on.
"""

import hmac
import logging
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from threading import Lock
from typing import Any, Protocol

import pkcs11
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from pkcs11 import Attribute, GCMParams, KeyType, Mechanism, MechanismFlag, ObjectClass

from services.chassis import settings
from services.identity.rules.vault import DoesNotOpen, Kind, away
from services.kernel.errors import Conflict

log = logging.getLogger(__name__)

KEY_BYTES = 32
NONCE_BYTES = 12
TAG_BITS = 128
NEEDS = {
    "file": ("LOKOS_VAULT_KEYS_FILE",),
    "pkcs11": ("LOKOS_VAULT_PKCS11_MODULE", "LOKOS_VAULT_PKCS11_TOKEN", "LOKOS_VAULT_PKCS11_PIN_FILE"),
}


class KeyProvider(Protocol):
    """Asked outside of any transaction. Raises Unavailable VAULT_AWAY where it does not answer or has no such key (yet), DoesNotOpen."""

    def has(self, kind: Kind) -> bool:
        """Whether there is a key of that kind; only a vault that was not begun has none."""

    def ids(self, kind: Kind) -> list[int]:
        """The numbers of its keys, the newest last; never empty."""

    def wrap(self, key_id: int, content: bytes, context: bytes) -> bytes:
        """Seal with a data key's key, bound to its context: nonce, AES-256-GCM, tag."""

    def unwrap(self, key_id: int, wrapped: bytes, context: bytes) -> bytes: ...

    def index(self, number: str) -> dict[int, bytes]:
        """What each index key makes of a number (HMAC-SHA256), the newest last."""

    def make(self, kind: Kind) -> int:
        """A new key, the newest from now on. Raises Conflict VAULT_KEYS_FIXED where keys are made elsewhere."""


class FileKeys:
    """Keys in a file, a line each: kind, number, 32 bytes in hex. Read anew whenever it has changed, so that a new key needs no restart."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._seen: object = None
        self._keys: Mapping[Kind, Mapping[int, bytes]] = {}

    def has(self, kind: Kind) -> bool:
        return bool(self._now()[kind])

    def ids(self, kind: Kind) -> list[int]:
        return sorted(self._now()[kind])

    def wrap(self, key_id: int, content: bytes, context: bytes) -> bytes:
        nonce = os.urandom(NONCE_BYTES)
        return nonce + AESGCM(self._key(Kind.DATA, key_id)).encrypt(nonce, content, context)

    def unwrap(self, key_id: int, wrapped: bytes, context: bytes) -> bytes:
        try:
            return AESGCM(self._key(Kind.DATA, key_id)).decrypt(wrapped[:NONCE_BYTES], wrapped[NONCE_BYTES:], context)
        except (InvalidTag, ValueError):
            raise DoesNotOpen from None

    def index(self, number: str) -> dict[int, bytes]:
        return {key_id: hmac.digest(key, number.encode(), "sha256") for key_id, key in sorted(self._now()[Kind.INDEX].items())}

    def make(self, kind: Kind) -> int:
        newest = self.ids(kind)[-1] + 1
        draft = self._file.with_name(f"{self._file.name}.draft")
        try:
            with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="ascii") as written:
                written.write(f"{self._file.read_text(encoding='ascii').rstrip()}\n{kind} {newest} {os.urandom(KEY_BYTES).hex()}\n")
                written.flush()
                os.fsync(written.fileno())
            draft.replace(self._file)
        except OSError:
            raise keys_fixed(kind, newest) from None
        return newest

    def _key(self, kind: Kind, key_id: int) -> bytes:
        try:
            return self._now()[kind][key_id]
        except KeyError:
            log.warning("a key of the vault is not there", extra={"kind": kind, "key_id": key_id})
            raise away() from None

    def _now(self) -> Mapping[Kind, Mapping[int, bytes]]:
        try:
            is_now = self._file.stat()
            if (is_now.st_mtime_ns, is_now.st_ino) != self._seen:
                self._keys = _read(self._file.read_text(encoding="ascii"))
                self._seen = is_now.st_mtime_ns, is_now.st_ino
        except (OSError, ValueError):
            self._seen, self._keys = None, {}
            log.warning("the keys of the vault cannot be read", extra={"file": str(self._file)})
            raise away() from None
        return self._keys


def _read(text: str) -> Mapping[Kind, Mapping[int, bytes]]:
    keys: dict[Kind, dict[int, bytes]] = {kind: {} for kind in Kind}
    for line in text.splitlines():
        if line.strip() and not line.startswith("#"):
            kind, key_id, key = line.split()
            keys[Kind(kind)][int(key_id)] = bytes.fromhex(key)
    if not all(keys.values()) or any(len(key) != KEY_BYTES for of_kind in keys.values() for key in of_kind.values()):
        raise ValueError("keys")
    return keys


class Pkcs11Keys:
    """Keys of a token that never leave it, labelled "lokos data 1", "lokos index 1". One session, one call at a time.

    After VAULT_AWAY whoever holds it makes another one: its handles may be dead for good.
    """

    def __init__(self, module: Path, token: str, pin_file: Path) -> None:
        self._lock = Lock()
        self._keys: dict[Kind, dict[int, Any]] = {}
        with _answers():
            library = pkcs11.lib(str(module))
            library.reinitialize()  # What a module remembers of a token that was away is not to be relied on.
            # To read and to write from the beginning: one session a process, since the login is the whole process's.
            self._session = library.get_token(token_label=token).open(rw=True, user_pin=pin_file.read_text(encoding="ascii").strip())

    def has(self, kind: Kind) -> bool:
        with self._lock, _answers():
            self._look()
            return kind in self._keys

    def ids(self, kind: Kind) -> list[int]:
        with self._lock, _answers():
            self._look()
            return self._there(kind)

    def wrap(self, key_id: int, content: bytes, context: bytes) -> bytes:
        nonce = os.urandom(NONCE_BYTES)
        with self._lock, _answers():
            sealed: bytes = self._key(Kind.DATA, key_id).encrypt(content, mechanism=Mechanism.AES_GCM, mechanism_param=_gcm(nonce, context))
        return nonce + sealed

    def unwrap(self, key_id: int, wrapped: bytes, context: bytes) -> bytes:
        nonce, sealed = wrapped[:NONCE_BYTES], wrapped[NONCE_BYTES:]
        with self._lock, _answers():
            key = self._key(Kind.DATA, key_id)
            try:
                opened: bytes = key.decrypt(sealed, mechanism=Mechanism.AES_GCM, mechanism_param=_gcm(nonce, context))
            except pkcs11.PKCS11Error:  # Modules disagree on how they say that a tag is wrong; one that still seals is there.
                key.encrypt(b"there?", mechanism=Mechanism.AES_GCM, mechanism_param=_gcm(os.urandom(NONCE_BYTES), b""))
                raise DoesNotOpen from None
        return opened

    def index(self, number: str) -> dict[int, bytes]:
        with self._lock, _answers():
            self._look()
            made: dict[int, bytes] = {
                key_id: self._key(Kind.INDEX, key_id).sign(number.encode(), mechanism=Mechanism.SHA256_HMAC) for key_id in self._there(Kind.INDEX)
            }
        return made

    def make(self, kind: Kind) -> int:
        with self._lock, _answers():
            self._look()
            newest = max(self._keys.get(kind, {}), default=0) + 1
            of_kind, may = {
                Kind.DATA: (KeyType.AES, MechanismFlag.ENCRYPT | MechanismFlag.DECRYPT),
                Kind.INDEX: (KeyType.GENERIC_SECRET, MechanismFlag.SIGN),
            }[kind]
            never_out = {Attribute.SENSITIVE: True, Attribute.EXTRACTABLE: False}
            self._session.generate_key(of_kind, KEY_BYTES * 8, label=_label(kind, newest), store=True, capabilities=may, template=never_out)
        return newest

    def _look(self) -> None:
        """Which keys there are now: another process may have made one."""
        found: dict[Kind, dict[int, Any]] = {}
        for key in self._session.get_objects({Attribute.CLASS: ObjectClass.SECRET_KEY}):
            words = str(key[Attribute.LABEL]).split()
            if len(words) == 3 and words[0] == "lokos" and words[1] in set(Kind) and words[2].isdecimal():
                found.setdefault(Kind(words[1]), {})[int(words[2])] = key
        self._keys = found

    def _there(self, kind: Kind) -> list[int]:
        if kind not in self._keys:
            raise away()
        return sorted(self._keys[kind])

    def _key(self, kind: Kind, key_id: int) -> Any:  # noqa: ANN401 - pkcs11 makes its classes at run time
        if key_id not in self._keys.get(kind, {}):
            self._look()
        if key_id not in self._keys.get(kind, {}):
            log.warning("a key of the vault is not there", extra={"kind": kind, "key_id": key_id})
            raise away()
        return self._keys[kind][key_id]


def _label(kind: Kind, key_id: int) -> str:
    return f"lokos {kind} {key_id}"


def _gcm(nonce: bytes, context: bytes) -> GCMParams:
    return GCMParams(nonce, context, TAG_BITS)


@contextmanager
def _answers() -> Iterator[None]:
    try:
        yield
    except (pkcs11.PKCS11Error, OSError, RuntimeError) as error:
        log.warning("the module that holds the vault's keys does not answer", extra={"error": type(error).__name__})
        raise away() from None


def keys_fixed(kind: Kind, key_id: int) -> Conflict:
    sentence = "The vault's keys cannot be written from here. Add key {key_id} of kind {kind} where they are kept, and run this again."
    return Conflict("VAULT_KEYS_FIXED", sentence, kind=kind, key_id=key_id)


def must_be_named() -> str:
    """Which holder of keys the settings name; where they do not, or leave out what it needs, the process ends by that setting's name."""
    named = settings.text("LOKOS_VAULT_KEYS")
    if named not in NEEDS:
        raise SystemExit(f"The setting LOKOS_VAULT_KEYS is {named!r}: it is {' or '.join(NEEDS)}.")
    for name in NEEDS[named]:
        settings.text(name)
    return named


def provider() -> KeyProvider:
    """Whoever holds the keys by the setting LOKOS_VAULT_KEYS. Raises Unavailable VAULT_AWAY."""
    named = must_be_named()
    if named == "file":
        return FileKeys(Path(settings.text("LOKOS_VAULT_KEYS_FILE")))
    module, pin = (Path(settings.text(f"LOKOS_VAULT_PKCS11_{what}")) for what in ("MODULE", "PIN_FILE"))
    return Pkcs11Keys(module, settings.text("LOKOS_VAULT_PKCS11_TOKEN"), pin)
