"""Logins, devices and sessions (domain 7.2, decision 17): who may begin one, how long it lasts, and how guessing is slowed."""

import hashlib
import hmac
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import TypeGuard
from uuid import UUID

from services.identity.rules.user import Assignment, Status, User, is_user_id
from services.kernel.caller import COMMUNITY, Role
from services.kernel.errors import Conflict, Exhausted, Invalid, Unauthenticated

OTP_LIFE = timedelta(minutes=5)
OTP_TRIES_MAX = 5
OTP_SENDS_MAX = 3
OTP_AGAIN = timedelta(seconds=30)
SECRET_BYTES = 32
DEVICE_NAME_LENGTH_MAX = 60
UNSENT_ITEMS_MAX = 1_000_000
PERSONS_MAX = 20  # Claims of others who used a device of hers; they travel in every token.


class DeviceKind(StrEnum):
    APP = "APP"
    BROWSER = "BROWSER"


class Purpose(StrEnum):
    """What a one-time password is for."""

    LOGIN = "LOGIN"
    PASSWORD = "PASSWORD"  # noqa: S105 - a purpose


@dataclass(frozen=True, slots=True)
class Device:
    """The phone or browser at which somebody logs in, known by a keyed hash of its id."""

    device: bytes
    kind: DeviceKind
    name: str
    unsent_items: int = 0
    discard_unsent: bool = False


@dataclass(frozen=True, slots=True)
class Known:
    """What is stored of a user's device. `bound`: it is the one on which she works."""

    bound: bool
    otp_at: datetime


@dataclass(frozen=True, slots=True)
class Session:
    """A user at work on a device, until it ends or is ended."""

    session_id: UUID
    user_id: str
    role: str
    device: bytes
    generation: int
    secret_hash: bytes
    spent_hash: bytes | None
    ends_at: datetime
    ended_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Challenge:
    """A one-time password asked for, and the login that it will complete."""

    challenge_id: UUID
    purpose: Purpose
    user_id: str
    role: str
    device: Device
    secret_hash: bytes
    keep: bool
    language: str
    expires_at: datetime
    sends: int
    sent_at: datetime

    def again_at(self) -> datetime:
        return self.sent_at + OTP_AGAIN


@dataclass(frozen=True, slots=True)
class Limits:
    """What the state's policies say of sessions, on a day."""

    session_hours: int
    keep_logged_in_days: int
    otp_every_days: int


def keyed(key: bytes, kind: str, text: str) -> bytes:
    """What stands for a device's id, or an address, where it is stored: nobody tells it from the row."""
    return hmac.new(key, f"{kind}:{text}".encode(), "sha256").digest()


def check_device(key: bytes, device_id: str, kind: str, name: str, unsent_items: int, *, discard_unsent: bool) -> Device:
    try:
        UUID(device_id)
    except ValueError:
        raise Invalid("DEVICE_INVALID", "Give the UUID that the device made for itself.", field="device.device_id") from None
    if kind not in set(DeviceKind):
        raise Invalid("DEVICE_INVALID", "Say whether this is the app or a browser.", field="device.kind")
    if len(name) > DEVICE_NAME_LENGTH_MAX:
        raise Invalid("DEVICE_INVALID", "A device's name has at most {most} characters.", field="device.name", most=DEVICE_NAME_LENGTH_MAX)
    check_unsent(unsent_items, "device.unsent_items")
    return Device(keyed(key, "device", device_id.lower()), DeviceKind(kind), name, unsent_items, discard_unsent)


def check_unsent(unsent_items: int, field: str) -> None:
    if not 0 <= unsent_items <= UNSENT_ITEMS_MAX:
        raise Invalid("DEVICE_INVALID", "So many items cannot wait on a device.", field=field)


def check_secret_hash(secret_hash: bytes, field: str) -> bytes:
    if len(secret_hash) != SECRET_BYTES:
        raise Invalid("SECRET_INVALID", "Give the SHA-256, 32 bytes, of a secret that the device made.", field=field)
    return secret_hash


def may_work(user: User | None, role: str) -> Assignment | None:
    """Where she works in that role; None where nobody does."""
    return user.assignment(role) if user and user.status is Status.ACTIVE else None


def needs_otp(known: Known | None, limits: Limits, now: datetime) -> bool:
    """Another device than the bound one does always, and the bound one after so many days (0: at every login)."""
    return known is None or not known.bound or now - known.otp_at >= timedelta(days=limits.otp_every_days)


def is_own(known: Known | None) -> bool:
    """Whether it is the device that is bound to her."""
    return known is not None and known.bound


def goes_on(session: Session | None, now: datetime) -> TypeGuard[Session]:
    """Whether a session has neither been ended nor ended by itself."""
    return session is not None and session.ended_at is None and session.ends_at > now


def typed(user_id: str) -> str:
    """What stands for a user id that can be none, so that those who mistype theirs do not count against each other."""
    return user_id if is_user_id(user_id) else f"?{hashlib.sha256(user_id.encode()).hexdigest()[:20]}"


def lasts_until(role: Role, kind: DeviceKind, limits: Limits, now: datetime, *, keep: bool) -> datetime:
    """An online session ends after 24 hours; web staff may be kept logged in for longer, where the state lets them."""
    if keep and kind is DeviceKind.BROWSER and role not in COMMUNITY and limits.keep_logged_in_days:
        return now + timedelta(days=limits.keep_logged_in_days)
    return now + timedelta(hours=limits.session_hours)


def lasts_after_switch(role: Role, ends_at: datetime, limits: Limits, now: datetime) -> datetime:
    """Nobody takes the longer session of web staff into a role of the community."""
    return min(ends_at, now + timedelta(hours=limits.session_hours)) if role in COMMUNITY else ends_at


def unsent_work(before: tuple[str, str] | None, now: tuple[str, str], unsent_items: int, *, discard: bool) -> Conflict | None:
    """Why nobody may begin in another role yet: (user id, role) worked on the device before, and not all of it was sent."""
    if before is None or before == now or not unsent_items or discard:
        return None
    return Conflict(
        "UNSENT_WORK",
        "{count} items of the work in another role wait on this device; send them first, or say that they may be lost.",
        field="unsent_items",
        count=unsent_items,
    )


class Turn(StrEnum):
    """What a refreshing comes to."""

    NEXT = "NEXT"  # The secret's successor stands from now on.
    AGAIN = "AGAIN"  # It does already: the client missed the answer.
    STOLEN = "STOLEN"  # Somebody else used the secret, or made one up.


def turn(session: Session, secret: bytes, next_hash: bytes) -> Turn:
    shown = hashlib.sha256(secret).digest()
    if hmac.compare_digest(shown, session.secret_hash):
        return Turn.NEXT
    if session.spent_hash and hmac.compare_digest(shown, session.spent_hash) and hmac.compare_digest(next_hash, session.secret_hash):
        return Turn.AGAIN
    return Turn.STOLEN


# --- Guessing is slowed, and never so that a stranger keeps a user away from her own device.


@dataclass(frozen=True, slots=True)
class Slowing:
    """So many failures are free; each further one doubles the wait before the next try."""

    free: int
    first: timedelta
    longest: timedelta

    def wait(self, failures: int) -> timedelta:
        if failures < self.free:
            return timedelta(0)
        return min(self.first * (1 << min(failures - self.free, 20)), self.longest)


FORGOTTEN_AFTER = timedelta(hours=1)
OF_USER = Slowing(5, timedelta(seconds=2), timedelta(minutes=15))
# On the device that is bound to her: strangers' failures do not count there, and hers do not count elsewhere.
OF_OWN_DEVICE = Slowing(10, timedelta(seconds=2), timedelta(minutes=5))
OF_DEVICE = Slowing(20, timedelta(seconds=2), timedelta(minutes=15))
# Thousands of phones may share a carrier's one address.
OF_ADDRESS = Slowing(300, timedelta(seconds=1), timedelta(minutes=1))
OF_MESSAGES = Slowing(3, timedelta(minutes=1), timedelta(hours=1))
# Whoever asks for others' one-time passwords costs the state a message each: by address, since user ids and devices are easily made up.
OF_FORGETTING = Slowing(100, timedelta(seconds=10), timedelta(minutes=10))


@dataclass(frozen=True, slots=True)
class Failures:
    """How often somebody failed of late."""

    count: int
    last_at: datetime

    def of_late(self, now: datetime) -> int:
        return self.count if now - self.last_at < FORGOTTEN_AFTER else 0


def slowings(key: bytes, user_id: str, device: bytes, address: str, *, own: bool) -> dict[bytes, Slowing]:
    """What a try at a user's password or one-time password counts against."""
    of_own, of_user = of_one_user(key, user_id, device)
    by_user = {of_own: OF_OWN_DEVICE} if own else {of_user: OF_USER}
    return {**by_user, keyed(key, "tries", device.hex()): OF_DEVICE, keyed(key, "address", address): OF_ADDRESS}


def of_one_user(key: bytes, user_id: str, device: bytes) -> tuple[bytes, bytes]:
    """The counts that a login wipes out: of her own device, and of all others."""
    return keyed(key, "own", f"{user_id} {device.hex()}"), keyed(key, "user", user_id)


def of_messages(key: bytes, purpose: Purpose, user_id: str, own: bytes | None = None) -> dict[bytes, Slowing]:
    """What a message sent to a user counts against. Those of a login, which only the password brings, by themselves; those on her `own`
    device too.
    """
    of = f"{user_id} {own.hex()}" if own and purpose is Purpose.LOGIN else user_id
    return {keyed(key, f"messages {purpose}", of): OF_MESSAGES}


def of_forgetting(key: bytes, user_id: str, address: str) -> dict[bytes, Slowing]:
    """What a forgotten password counts against, whether there is such a user or not."""
    return {**of_messages(key, Purpose.PASSWORD, user_id), keyed(key, "forgetting", address): OF_FORGETTING}


def wait_seconds(slowed: dict[bytes, Slowing], failures: dict[bytes, Failures], now: datetime) -> int:
    """In how many seconds the next try is taken; 0 at once."""
    left = [failed.last_at + slowed[key].wait(failed.of_late(now)) - now for key, failed in failures.items()]
    longest = max(left, default=timedelta(0))
    return -(-longest // timedelta(seconds=1)) if longest > timedelta(0) else 0


def slow_down(seconds: int) -> Exhausted:
    return Exhausted("SLOW_DOWN", "Too many tries; try again in {seconds} seconds.", seconds=seconds)


def login_failed() -> Unauthenticated:
    """The same whatever is wrong, and whether there is such a user."""
    return Unauthenticated("LOGIN_FAILED", "User id, password or role is wrong.")


def otp_wrong() -> Unauthenticated:
    """The same whatever is wrong with it."""
    return Unauthenticated("OTP_WRONG", "This one-time password is wrong, used or too old; ask for another one.", field="otp")
