"""What an app keeps on a device: its id, its session, and the secret with which the session is refreshed. Imports no service."""

import hashlib
import json
import re
import secrets
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from uuid import uuid4

from protos import identity_pb2

SECRET_BYTES = 32
OTP_WAIT_SECONDS = 30
OTP_LOOK_SECONDS = 0.05
TOKEN_LEFT_SECONDS = 60
_OTP = re.compile(r"\b[0-9]{6}\b")


def _hash(secret: str) -> bytes:
    return hashlib.sha256(bytes.fromhex(secret)).digest()


@dataclass
class Device:
    """One user's device. Secrets are hexadecimal; times are Unix seconds by this device's own clock."""

    device_id: str = ""
    name: str = "Demo device"
    kind: str = "DEVICE_KIND_APP"
    session_id: str = ""
    role: str = ""
    secret: str = ""
    next_secret: str = ""
    token: str = ""
    token_ends: float = 0.0

    def __post_init__(self) -> None:
        self.device_id = self.device_id or str(uuid4())

    @property
    def told(self) -> identity_pb2.Device:
        return identity_pb2.Device(device_id=self.device_id, kind=self.kind, name=self.name)

    def has_token(self, role: str, left_seconds: float = TOKEN_LEFT_SECONDS) -> bool:
        return self.role == role and time.time() < self.token_ends - left_seconds

    def login(self, user_id: str, password: str, role: str) -> identity_pb2.LoginRequest:
        self.secret, self.next_secret, self.session_id, self.token_ends = secrets.token_hex(SECRET_BYTES), "", "", 0.0
        return identity_pb2.LoginRequest(user_id=user_id, password=password, role=role, device=self.told, secret_hash=_hash(self.secret))

    def refresh(self) -> identity_pb2.RefreshRequest:
        """To be kept before it is sent, so that the same request can be sent again."""
        self.next_secret = self.next_secret or secrets.token_hex(SECRET_BYTES)
        return identity_pb2.RefreshRequest(session_id=self.session_id, secret=bytes.fromhex(self.secret), next_secret_hash=_hash(self.next_secret))

    def begin(self, session: identity_pb2.Session) -> None:
        """Go on with what a login or a refreshing gave."""
        self.secret, self.next_secret = self.next_secret or self.secret, ""
        self.session_id, self.role = session.session_id, session.assignment.role
        self.token, self.token_ends = session.access_token, time.time() + session.access_seconds

    def end(self) -> None:
        """Nothing is left of the session but the device's id."""
        self.session_id, self.secret, self.next_secret, self.token, self.token_ends = "", "", "", "", 0.0

    def to_json(self) -> str:
        return json.dumps(asdict(self))


def otp_file(inbox: Path, challenge_id: str, sends: int = 1) -> Path:
    """Where the sandbox puts the message with a challenge's one-time password."""
    return inbox / f"otp-{challenge_id}-{sends}.json"


def read_otp(file: Path) -> str:
    """The one-time password of a message in the sandbox's inbox; empty where it has not come yet."""
    try:
        found = _OTP.search(json.loads(file.read_text(encoding="utf-8"))["text"])
    except FileNotFoundError:
        return ""
    return found[0] if found else ""


def wait_for_otp(inbox: Path, challenge_id: str, sends: int = 1, pause: Callable[[float], None] = time.sleep) -> str:
    """As its owner reads it off her phone. Raises TimeoutError."""
    until = time.monotonic() + OTP_WAIT_SECONDS
    while not (otp := read_otp(otp_file(inbox, challenge_id, sends))):
        if time.monotonic() > until:
            raise TimeoutError(f"No one-time password came into {inbox}.")
        pause(OTP_LOOK_SECONDS)
    return otp
