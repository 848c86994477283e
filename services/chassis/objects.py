"""Objects, too large for the database and sealed before they leave the process: in an S3 store, or in a folder (decision 13)."""

import hashlib
import hmac
import logging
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from services.chassis import settings
from services.chassis.outside import Away, Outside
from services.kernel import files
from services.kernel.errors import Unavailable

log = logging.getLogger(__name__)

ANSWER_SECONDS_MAX = 10
OBJECT_BYTES_MAX = 4 * 1024 * 1024
KEY_BYTES, KEY_ID_BYTES, NONCE_BYTES = 32, 4, 12
_NAME = re.compile(r"[a-z0-9-]+(/[a-z0-9-]+)*")


class Store(Protocol):
    """Where bytes lie under a name. Asked outside of any transaction. Raises Unavailable OBJECTS_AWAY where it does not answer."""

    def put(self, name: str, content: bytes) -> None:
        """Keep them; what has the name already is replaced."""

    def get(self, name: str) -> bytes | None:
        """None where nothing has the name."""

    def erase(self, name: str) -> None:
        """Also where nothing has the name."""


def _away() -> Unavailable:
    return Unavailable("OBJECTS_AWAY", "The store of files does not answer; try again in a moment.")


class Folder:
    """For one machine. A file is never there half written, and only the system's own user reads it."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def put(self, name: str, content: bytes) -> None:
        path = self._root / name
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            files.replace(path, [content], mode=0o600)
        except OSError:
            raise _away() from None

    def get(self, name: str) -> bytes | None:
        try:
            return (self._root / name).read_bytes()
        except FileNotFoundError:
            return None
        except OSError:
            raise _away() from None

    def erase(self, name: str) -> None:
        try:
            (self._root / name).unlink(missing_ok=True)
        except OSError:
            raise _away() from None


@dataclass(frozen=True, slots=True)
class Access:
    """Who asks an S3 store: AWS Signature Version 4, which every S3 store takes."""

    region: str
    key_id: str
    secret: str = field(repr=False)

    def signed(self, method: str, path: str, headers: Mapping[str, str], payload_hash: str, now: datetime) -> dict[str, str]:
        """The headers, Host among them, with what proves that they and the payload come from us."""
        moment = now.strftime("%Y%m%dT%H%M%SZ")
        whole = {**headers, "x-amz-content-sha256": payload_hash, "x-amz-date": moment}
        lines = sorted((name.lower(), value.strip()) for name, value in whole.items())
        names = ";".join(name for name, _ in lines)
        request = "\n".join([method, path, "", *(f"{name}:{value}" for name, value in lines), "", names, payload_hash])
        scope = f"{moment[:8]}/{self.region}/s3/aws4_request"
        to_sign = "\n".join(["AWS4-HMAC-SHA256", moment, scope, hashlib.sha256(request.encode()).hexdigest()])
        key = f"AWS4{self.secret}".encode()
        for part in scope.split("/"):
            key = hmac.digest(key, part.encode(), "sha256")
        seal = hmac.digest(key, to_sign.encode(), "sha256").hex()
        return {**whole, "Authorization": f"AWS4-HMAC-SHA256 Credential={self.key_id}/{scope},SignedHeaders={names},Signature={seal}"}


class S3:
    """One bucket, whose address is the store's with the bucket's name as its path."""

    def __init__(self, bucket: Outside, access: Access) -> None:
        self._bucket = bucket
        self._access = access

    def put(self, name: str, content: bytes) -> None:
        self._ask("PUT", name, content)

    def get(self, name: str) -> bytes | None:
        return self._ask("GET", name)

    def erase(self, name: str) -> None:
        self._ask("DELETE", name)

    def _ask(self, method: str, name: str, content: bytes = b"") -> bytes | None:
        path = f"/{name}"
        headers = self._access.signed(
            method, self._bucket.path + path, {"host": self._bucket.place}, hashlib.sha256(content).hexdigest(), datetime.now(UTC)
        )
        try:
            status, answer = self._bucket.ask(method, path, content, headers, bytes_max=OBJECT_BYTES_MAX)
        except Away:
            raise _away() from None
        if status == 404 and method != "PUT":
            # A bucket that is not there answers 404 too, and says so.
            if b"NoSuchBucket" not in answer:
                return None
        elif status in {200, 204}:
            return answer
        log.error("the store of objects refused", extra={"method": method, "status": status})
        raise _away()


def _key_id(key: bytes) -> bytes:
    return hashlib.sha256(b"lokos objects" + key).digest()[:KEY_ID_BYTES]


class Objects:
    """What others use: all that lies in the store is sealed (AES-256-GCM), under a key's id, a nonce of its own, and bound to its name."""

    def __init__(self, store: Store, key: bytes, old_keys: Sequence[bytes] = ()) -> None:
        self._store = store
        self._keys = {_key_id(one): AESGCM(one) for one in (key, *old_keys)}
        self._newest = _key_id(key)

    @property
    def key_id(self) -> str:
        """Of the key that seals from now on."""
        return self._newest.hex()

    def put(self, name: str, content: bytes) -> None:
        nonce = os.urandom(NONCE_BYTES)
        self._store.put(_named(name), self._newest + nonce + self._keys[self._newest].encrypt(nonce, content, name.encode()))

    def get(self, name: str) -> bytes | None:
        """None where nothing has the name."""
        sealed = self._store.get(_named(name))
        if sealed is None:
            return None
        key_id, nonce, rest = sealed[:KEY_ID_BYTES], sealed[KEY_ID_BYTES:][:NONCE_BYTES], sealed[KEY_ID_BYTES + NONCE_BYTES :]
        try:
            return self._keys[key_id].decrypt(nonce, rest, name.encode())
        except (KeyError, InvalidTag, ValueError) as error:
            log.error("an object does not open", extra={"object": name, "key_id": key_id.hex(), "error": type(error).__name__})  # noqa: TRY400 - the trace says no more
            raise Unavailable("OBJECT_SEALED", "This file cannot be opened; tell your state's system administrator.") from None

    def erase(self, name: str) -> None:
        self._store.erase(_named(name))


def _named(name: str) -> str:
    if not _NAME.fullmatch(name):
        raise ValueError("An object's name is small letters, digits, - and /.")
    return name


def _key(name: str, text: str) -> bytes:
    try:
        key = bytes.fromhex(text)
    except ValueError:
        key = b""
    if len(key) != KEY_BYTES:
        raise SystemExit(f"The setting {name} must be {KEY_BYTES} bytes in hexadecimal digits.")
    return key


def objects() -> Objects:
    """The store that the setting LOKOS_OBJECTS names."""
    named = settings.text("LOKOS_OBJECTS")
    key = _key("LOKOS_OBJECTS_KEY", settings.text("LOKOS_OBJECTS_KEY"))
    old_keys = [_key("LOKOS_OBJECTS_OLD_KEYS", text) for text in settings.text("LOKOS_OBJECTS_OLD_KEYS", "").split()]
    if named == "folder":
        return Objects(Folder(Path(settings.text("LOKOS_OBJECTS_FOLDER"))), key, old_keys)
    if named != "s3":
        raise SystemExit(f"The setting LOKOS_OBJECTS is {named!r}; it must be s3 or folder.")
    bucket = Outside("LOKOS_OBJECTS_URL", settings.text("LOKOS_OBJECTS_URL"), ANSWER_SECONDS_MAX)
    key_id, secret = settings.text("LOKOS_OBJECTS_ACCESS_KEY_ID"), settings.text("LOKOS_OBJECTS_SECRET_ACCESS_KEY")
    return Objects(S3(bucket, Access(settings.text("LOKOS_OBJECTS_REGION", "us-east-1"), key_id, secret)), key, old_keys)
