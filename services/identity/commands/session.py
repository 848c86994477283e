"""Sessions: begun with a password and a one-time password, refreshed, ended (domain 7.2, decision 17).

What comes to nothing is answered with a Refused rather than raised: raised, it would undo its own audit and count.
"""

from collections.abc import Collection
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

from sqlalchemy import Connection, case, delete, insert, update
from sqlalchemy.dialects import postgresql

from protos.identity_pb2 import SessionEnded
from services.chassis import audit, ended, tokens
from services.chassis.mailbox import tell
from services.identity import queries
from services.identity.commands import message
from services.identity.rules import otp, user
from services.identity.rules import session as rules
from services.identity.rules.session import Challenge, Device, Limits, Purpose, Session, Slowing, Turn
from services.identity.rules.user import Assignment, User
from services.identity.tables import attempts, challenges, devices, sessions, users
from services.kernel.caller import Caller, Role
from services.kernel.caller import Session as CallersSession
from services.kernel.errors import Forbidden, Refused
from services.kernel.ids import uuid7

SKEW = timedelta(seconds=tokens.CLOCK_SKEW_SECONDS)
KEPT = timedelta(days=90)  # Of sessions and devices' history; the audit keeps longer.


@dataclass(frozen=True, slots=True)
class Begun:
    """A session that goes on, and the caller that its next token names."""

    session: Session
    caller: Caller
    user: User
    assignment: Assignment


@dataclass(frozen=True, slots=True)
class Asked:
    """What somebody wants to begin."""

    user_id: str
    role: str
    device: Device
    secret_hash: bytes
    keep: bool = False
    language: str = ""
    address: str = ""


@dataclass(frozen=True, slots=True)
class Tried:
    """A one-time password that somebody gives."""

    challenge_id: UUID
    otp: str
    address: str


@dataclass(frozen=True, slots=True)
class Switch:
    """Another role that somebody wants to go on in, on a device where so much is unsent."""

    role: str
    unsent_items: int
    discard_unsent: bool


# --- A login.


def look(connection: Connection, user_id: str, device: bytes, address: str, key: bytes, now: datetime) -> tuple[str, int]:
    """The password's hash, empty where there is none, and in how many seconds a try is taken; before any work is done for it."""
    known = queries.known_device(connection, user_id, device)
    slowed = rules.slowings(key, user_id, device, address, own=rules.is_own(known))
    wait = rules.wait_seconds(slowed, queries.failures(connection, slowed), now)
    return queries.password_hash(connection, user_id), wait


def enter(connection: Connection, asked: Asked, limits: Limits, key: bytes, now: datetime, *, proved: str) -> Begun | Challenge | Refused:
    """What a login comes to; `proved` is the hash that her password fits, empty where it fitted none."""
    # Held, so that of two devices at once the second waits and then takes over.
    who = queries.users_for_change(connection, [asked.user_id]).get(asked.user_id)
    right = bool(proved) and proved == queries.password_hash(connection, asked.user_id)  # It may have been changed meanwhile.
    known = queries.known_device(connection, asked.user_id, asked.device.device)
    own, device = rules.is_own(known), asked.device
    held = rules.may_work(who, asked.role)
    if not right or who is None or held is None:
        _failed_try(connection, "login.fail", asked.user_id, device.device, asked.address, key, now, own=own)
        return rules.login_failed()
    before = queries.worked_before(connection, device.device)
    now_in = (asked.user_id, asked.role)
    if unsent := _unsent(connection, Caller(asked.user_id), before, now_in, device.unsent_items, discard=device.discard_unsent):
        return unsent
    if not rules.needs_otp(known, limits, now):
        return _begin(connection, asked, who, held, uuid7(), limits, key, now)
    if wait := wait_or_count(connection, rules.of_messages(key, Purpose.LOGIN, asked.user_id, device.device if own else None), now):
        return rules.slow_down(wait)
    return _challenge(connection, asked, Purpose.LOGIN, now, send=True)


def _unsent(
    connection: Connection, caller: Caller, before: tuple[str, str] | None, now_in: tuple[str, str], items: int, *, discard: bool
) -> Refused | None:
    """Why she may not begin in this role yet; that she knew what is lost by it goes on record."""
    unsent = rules.unsent_work(before, now_in, items, discard=discard)
    if unsent:
        audit.changed(connection, caller, "login.unsent_work", caller.user_id, items=items)
    elif items and discard:
        audit.changed(connection, caller, "work.discard", caller.user_id, items=items)
    return unsent


def _challenge(connection: Connection, asked: Asked, purpose: Purpose, now: datetime, *, send: bool) -> Challenge:
    made = Challenge(
        uuid7(), purpose, asked.user_id, asked.role, asked.device, asked.secret_hash, asked.keep, asked.language, now + rules.OTP_LIFE, 1, now
    )
    values = {name: getattr(made, name) for name in ("challenge_id", "purpose", "user_id", "role", "secret_hash", "keep", "language")}
    values |= {"device": made.device.device, "device_kind": made.device.kind, "device_name": made.device.name}
    values |= {"expires_at": made.expires_at, "sends": made.sends, "sent_at": made.sent_at, "tries": 0}
    connection.execute(insert(challenges).values(values))
    audit.changed(connection, Caller(asked.user_id), f"otp.ask.{purpose.lower()}", asked.user_id, made.challenge_id)
    if send:
        _post(connection, made)
    return made


_TEMPLATES = {Purpose.LOGIN: "login_otp", Purpose.PASSWORD: "password_otp"}


def _post(connection: Connection, made: Challenge) -> None:
    message.post(
        connection,
        key=f"otp-{made.challenge_id}-{made.sends}",
        template=_TEMPLATES[made.purpose],
        user_id=made.user_id,
        challenge_id=made.challenge_id,
        expires_at=made.expires_at,
    )


def wait_or_count(connection: Connection, slowed: dict[bytes, Slowing], now: datetime) -> int:
    """In how many seconds a message may be sent, or a paper read; 0 now, and then it is counted."""
    if wait := rules.wait_seconds(slowed, queries.failures(connection, slowed), now):
        return wait
    _failed(connection, slowed, now)
    return 0


def send_again(connection: Connection, challenge_id: UUID, key: bytes, now: datetime) -> Challenge | Refused:
    """The same one-time password once more, after a while."""
    made = queries.challenge_for_change(connection, challenge_id, now)
    if made is None:
        return rules.otp_wrong()
    early = (made.again_at() - now) // timedelta(seconds=1) + 1 if made.again_at() > now else 0
    if early or made.sends >= rules.OTP_SENDS_MAX:
        return rules.slow_down(early or int((made.expires_at - now).total_seconds()) + 1)
    own = made.device.device if _is_own(connection, made) else None
    if wait := wait_or_count(connection, rules.of_messages(key, made.purpose, made.user_id, own), now):
        return rules.slow_down(wait)
    again = replace(made, sends=made.sends + 1, sent_at=now)
    connection.execute(update(challenges).where(challenges.c.challenge_id == challenge_id).values(sends=again.sends, sent_at=now))
    audit.changed(connection, Caller(made.user_id), "otp.again", made.user_id, challenge_id, sends=again.sends)
    if made.purpose is Purpose.LOGIN or _is_user(connection, made.user_id):
        _post(connection, again)
    return again


def _is_user(connection: Connection, user_id: str) -> bool:
    who = queries.user(connection, user_id)
    return who is not None and who.status is user.Status.ACTIVE


def _is_own(connection: Connection, made: Challenge) -> bool:
    return rules.is_own(queries.known_device(connection, made.user_id, made.device.device))


def take_try(connection: Connection, tried: Tried, purpose: Purpose, key: bytes, now: datetime) -> Challenge | Refused:
    """Whether the one-time password is right; then it is used up. A wrong one counts as a wrong password does."""
    made = queries.challenge_for_change(connection, tried.challenge_id, now)
    if made is None or made.purpose is not purpose:
        return rules.otp_wrong()
    own, device = _is_own(connection, made), made.device.device
    slowed = rules.slowings(key, made.user_id, device, tried.address, own=own)
    if wait := rules.wait_seconds(slowed, queries.failures(connection, slowed), now):
        return rules.slow_down(wait)
    this = update(challenges).where(challenges.c.challenge_id == tried.challenge_id)
    if otp.is_right(otp.key_of(key), tried.challenge_id, tried.otp):
        connection.execute(this.values(used_at=now))
        return made
    connection.execute(this.values(tries=challenges.c.tries + 1))
    _failed_try(connection, "otp.fail", made.user_id, device, tried.address, key, now, tried.challenge_id, own=own)
    return rules.otp_wrong()


def confirm(connection: Connection, tried: Tried, limits: Limits, key: bytes, now: datetime) -> Begun | Refused:
    """The session that a one-time password begins; it has the challenge's id."""
    made = take_try(connection, tried, Purpose.LOGIN, key, now)
    if isinstance(made, Refused):
        return made
    who = queries.users_for_change(connection, [made.user_id]).get(made.user_id)
    held = rules.may_work(who, made.role)
    if who is None or held is None:
        audit.changed(connection, Caller(made.user_id), "login.fail", made.user_id)
        return rules.otp_wrong()
    asked = Asked(made.user_id, made.role, made.device, made.secret_hash, made.keep, made.language)
    _proved(connection, asked, key, now)
    return _begin(connection, asked, who, held, tried.challenge_id, limits, key, now)


def _proved(connection: Connection, asked: Asked, key: bytes, now: datetime) -> None:
    """The device is bound to the user from now on, and no other; the messages that it took count no more."""
    counted = [rules.of_messages(key, Purpose.LOGIN, asked.user_id, own) for own in (asked.device.device, None)]
    connection.execute(delete(attempts).where(attempts.c.key.in_([one for keys in counted for one in keys])))
    device, hers = asked.device, devices.c.user_id == asked.user_id
    connection.execute(update(devices).where(hers, devices.c.bound, devices.c.device != device.device).values(bound=False))
    facts = {"kind": device.kind, "name": device.name, "bound": True, "otp_at": now}
    statement = postgresql.insert(devices).values(user_id=asked.user_id, device=device.device, **facts)
    connection.execute(statement.on_conflict_do_update(index_elements=["user_id", "device"], set_=facts))


def _begin(connection: Connection, asked: Asked, who: User, held: Assignment, session_id: UUID, limits: Limits, key: bytes, now: datetime) -> Begun:
    before = queries.open_session(connection, who.user_id)
    if before:
        _end(connection, before, Caller(who.user_id), "another login", now)
        if before.device != asked.device.device:
            message.post(connection, key=f"device-{session_id}", template="device_changed", user_id=who.user_id)
    begun = Session(
        session_id,
        who.user_id,
        asked.role,
        asked.device.device,
        0,
        asked.secret_hash,
        None,
        rules.lasts_until(Role(asked.role), asked.device.kind, limits, now, keep=asked.keep),
    )
    values = {name: getattr(begun, name) for name in ("session_id", "user_id", "role", "device", "generation", "secret_hash", "ends_at")}
    connection.execute(insert(sessions).values(began_at=now, **values))
    if asked.language and asked.language != who.language:
        connection.execute(update(users).where(users.c.user_id == who.user_id).values(language=asked.language))
        who = replace(who, language=asked.language)
    connection.execute(delete(attempts).where(attempts.c.key.in_(rules.of_one_user(key, who.user_id, asked.device.device))))
    made = _begun(connection, who, held, begun, key)
    audit.changed(connection, made.caller, "login", who.user_id, session_id, ends_at=begun.ends_at.isoformat())
    return made


def _begun(connection: Connection, who: User, held: Assignment, session: Session, key: bytes) -> Begun:
    """The session as it now stands, and whom its tokens name."""
    caller = Caller(
        who.user_id,
        held.role,
        held.region,
        held.institution_ids,
        user.person(key, who.mobile),
        clusters=queries.cluster_gps(connection, held.cluster_ids),
        persons=frozenset(user.person(key, mobile) for mobile in queries.mobiles_of_devices(connection, who.user_id)),
        session=CallersSession(session.session_id, session.generation),
    )
    return Begun(session, caller, who, held)


def _failed_try(
    connection: Connection, action: str, user_id: str, device: bytes, address: str, key: bytes, now: datetime, *subjects: object, own: bool
) -> None:
    """Count a wrong password or one-time password, and put it on record: by the keyed hashes of device and address it can be told who tried."""
    _failed(connection, rules.slowings(key, user_id, device, address, own=own), now)
    facts = {"device": device.hex(), "address": rules.keyed(key, "address", address).hex()}
    audit.changed(connection, Caller(user_id), action, user_id, *subjects, **facts)


def _failed(connection: Connection, keys: Collection[bytes], now: datetime) -> None:
    """Count a failure against each, from one again where the last was long ago."""
    # In one order, so that two who fail at once never wait for each other in a ring.
    statement = postgresql.insert(attempts).values([{"key": key, "failures": 1, "last_at": now} for key in sorted(keys)])
    counted = case((attempts.c.last_at < now - rules.FORGOTTEN_AFTER, 1), else_=attempts.c.failures + 1)
    connection.execute(statement.on_conflict_do_update(index_elements=["key"], set_={"failures": counted, "last_at": now}))


# --- A session goes on, and ends.


def refresh(connection: Connection, session_id: UUID, secret: bytes, next_hash: bytes, key: bytes, now: datetime) -> Begun | Refused:
    """A new token for the session's secret, whose successor stands from now on; a secret out of turn ends the session."""
    session = queries.session_for_change(connection, session_id)
    if not rules.goes_on(session, now):
        return ended.session_ended()
    who = queries.user(connection, session.user_id)
    held = rules.may_work(who, session.role)
    if who is None or held is None:
        _end(connection, session, Caller(session.user_id), "may not work", now)
        return ended.session_ended()
    turn = rules.turn(session, secret, next_hash)
    if turn is Turn.STOLEN:
        _end(connection, session, Caller(session.user_id), "secret out of turn", now)
        return ended.session_ended()
    if turn is Turn.NEXT:
        taken = {"secret_hash": next_hash, "spent_hash": session.secret_hash}
        connection.execute(update(sessions).where(sessions.c.session_id == session_id).values(taken))
    return _begun(connection, who, held, session, key)


def switch_role(connection: Connection, caller: Caller, asked: Switch, limits: Limits, key: bytes, now: datetime) -> Begun | Refused:
    """The caller's session in another of her roles; tokens of the one before are worth nothing any more."""
    session = _must_go_on(connection, caller, now)
    who = queries.user(connection, caller.user_id)
    held = rules.may_work(who, asked.role)
    if who is None or held is None:
        raise Forbidden("ROLE_NOT_YOURS", "This is no role of yours.", field="role")
    if asked.role == session.role:
        return _begun(connection, who, held, session, key)
    before, now_in = (who.user_id, session.role), (who.user_id, asked.role)
    if unsent := _unsent(connection, caller, before, now_in, asked.unsent_items, discard=asked.discard_unsent):
        return unsent
    ends_at = rules.lasts_after_switch(Role(asked.role), session.ends_at, limits, now)
    switched = replace(_staled(connection, session, now), role=asked.role, ends_at=ends_at)
    connection.execute(update(sessions).where(sessions.c.session_id == session.session_id).values(role=asked.role, ends_at=ends_at))
    audit.changed(connection, caller, "session.switch", who.user_id, session.session_id, role=asked.role)
    return _begun(connection, who, held, switched, key)


def _must_go_on(connection: Connection, caller: Caller, now: datetime) -> Session:
    session = queries.session_for_change(connection, caller.session.session_id) if caller.session else None
    if not rules.goes_on(session, now):
        raise ended.session_ended()
    return session


def log_out(connection: Connection, caller: Caller, now: datetime) -> None:
    _end(connection, _must_go_on(connection, caller, now), caller, "logout", now)


def stale(connection: Connection, user_id: str) -> None:
    """What she may do has changed: her tokens are worth nothing from now on, and her session goes on with new ones."""
    now = datetime.now(UTC)
    _void(connection, user_id, now)
    session = queries.open_session(connection, user_id)
    if session and session.ends_at > now:
        _staled(connection, session, now)


def _staled(connection: Connection, session: Session, now: datetime) -> Session:
    _tell(connection, session.session_id, session.generation, now)
    connection.execute(update(sessions).where(sessions.c.session_id == session.session_id).values(generation=session.generation + 1))
    return replace(session, generation=session.generation + 1)


def end_all(connection: Connection, caller: Caller, user_id: str, why: str) -> None:
    """End whatever session a user has, and whatever login is on its way."""
    _void(connection, user_id, datetime.now(UTC))
    session = queries.open_session(connection, user_id)
    if session:
        _end(connection, session, caller, why, datetime.now(UTC))


def _void(connection: Connection, user_id: str, now: datetime) -> None:
    """One-time passwords on their way were asked for by whoever knew what she no longer is."""
    connection.execute(update(challenges).where(challenges.c.user_id == user_id, challenges.c.used_at.is_(None)).values(used_at=now))


def _end(connection: Connection, session: Session, caller: Caller, why: str, now: datetime) -> None:
    connection.execute(update(sessions).where(sessions.c.session_id == session.session_id).values(ended_at=now, ended_why=why))
    audit.changed(connection, caller, "session.end", session.user_id, session.session_id, why=why)
    if session.ends_at > now - SKEW:  # Else it had ended by itself, as every session of yesterday has in the morning, and no token is left of it.
        _tell(connection, session.session_id, ended.ENDED, now)


def _tell(connection: Connection, session_id: UUID, generation: int, now: datetime) -> None:
    """To every service, and to identity itself at once; until the last of those tokens ends by itself."""
    until = now + tokens.ACCESS_LIFE + SKEW
    ended.keep(connection, session_id, generation, until)
    told = SessionEnded(session_id=str(session_id), generation=generation)
    told.until.FromDatetime(until)
    tell(connection, told, subject=session_id, version=generation + 1)


# --- Passwords.


def forgot(connection: Connection, user_id: str, device: Device, address: str, key: bytes, now: datetime) -> Challenge | Refused:
    """A one-time password for a new password. Whether anything is sent, the answer does not tell."""
    if wait := wait_or_count(connection, rules.of_forgetting(key, user_id, address), now):
        return rules.slow_down(wait)
    asked = Asked(user_id, "", device, b"")
    return _challenge(connection, asked, Purpose.PASSWORD, now, send=_is_user(connection, user_id))


def prove_forgotten(connection: Connection, tried: Tried, new_password: str, key: bytes, now: datetime) -> str | Refused:
    """The user id whose new password this may be. The one-time password is used up by it, a password that will not do does not use it."""
    made = take_try(connection, tried, Purpose.PASSWORD, key, now)
    if isinstance(made, Refused):
        return made
    user.check_password(new_password, made.user_id, "new_password")
    if not _is_user(connection, made.user_id):
        return rules.otp_wrong()
    wiped = (*rules.of_one_user(key, made.user_id, made.device.device), *rules.of_messages(key, Purpose.PASSWORD, made.user_id))
    connection.execute(delete(attempts).where(attempts.c.key.in_(wiped)))
    return made.user_id


def set_forgotten(connection: Connection, user_id: str, password_hash: str) -> None:
    set_password(connection, Caller(user_id), user_id, password_hash)
    end_all(connection, Caller(user_id), user_id, "new password")


def look_at_own(connection: Connection, caller: Caller, address: str, key: bytes, now: datetime) -> tuple[str, int]:
    """What `look` answers, of a caller at work on her device."""
    return look(connection, caller.user_id, _must_go_on(connection, caller, now).device, address, key, now)


def change_password(
    connection: Connection, caller: Caller, before_hash: str, password_hash: str, address: str, key: bytes, now: datetime
) -> Refused | None:
    """Her new password, in place of the one that was looked at; none where what she gave was wrong, which counts as a failed login does."""
    queries.users_for_change(connection, [caller.user_id])
    device = _must_go_on(connection, caller, now).device
    if not password_hash or before_hash != queries.password_hash(connection, caller.user_id):
        _failed(connection, rules.slowings(key, caller.user_id, device, address, own=True), now)
        audit.changed(connection, caller, "password.fail", caller.user_id)
        return rules.login_failed()
    set_password(connection, caller, caller.user_id, password_hash)
    return None


def set_password(connection: Connection, caller: Caller, user_id: str, password_hash: str, action: str = "password.set") -> None:
    """Store it, and tell her. Logins on their way were begun with another one."""
    connection.execute(update(users).where(users.c.user_id == user_id).values(password_hash=password_hash))
    _void(connection, user_id, datetime.now(UTC))
    audit.changed(connection, caller, action, user_id)
    message.post(connection, key=f"password-{uuid7()}", template="password_changed", user_id=user_id)


def forget(connection: Connection, now: datetime) -> None:
    """What nobody asks for any more."""
    connection.execute(delete(attempts).where(attempts.c.last_at < now - rules.FORGOTTEN_AFTER))
    connection.execute(delete(challenges).where(challenges.c.expires_at < now - rules.FORGOTTEN_AFTER))
    connection.execute(delete(sessions).where(sessions.c.ends_at < now - KEPT))
    connection.execute(delete(devices).where(devices.c.otp_at < now - KEPT, ~devices.c.bound))
