"""Logins, one-time passwords, devices and sessions, against a real PostgreSQL; each test is rolled back."""

import hashlib
import secrets
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import delete, func, select, update

from services.chassis import ended, tokens
from services.chassis.audit import audit
from services.chassis.jobs import jobs
from services.chassis.mailbox import outbox
from services.identity import queries
from services.identity.commands import password as passwords
from services.identity.commands import restored, session, user
from services.identity.rules import otp
from services.identity.rules import session as rules
from services.identity.rules.session import Challenge, DeviceKind, Limits, Turn
from services.identity.rules.user import Assignment, User
from services.identity.rules.user import Status as UserStatus
from services.identity.tables import attempts, challenges, sessions, users
from services.kernel.caller import COMMUNITY, Caller, Role
from services.kernel.errors import Exhausted, Forbidden, Invalid, Refused, Unauthenticated

SERVICE = "identity"
KEY = b"the key of this test"
PASSWORD = "three green parrots"
LIMITS = Limits(session_hours=24, keep_logged_in_days=7, otp_every_days=1)
NOW = datetime.now(UTC)
BLOCK = "9.178.1204"


@pytest.fixture(autouse=True)
def nobody_else(connection):
    """What flows left behind is away until the test is rolled back."""
    for table in (jobs, outbox, ended.ended_sessions, attempts, challenges):
        connection.execute(delete(table))


class Phone:
    """A device and what it remembers."""

    def __init__(self, kind="APP", user_id="IUP_SITA1", role="SHG_BOOKKEEPER"):
        self.device_id, self.kind, self.user_id, self.role = str(uuid4()), kind, user_id, role
        self.secret = secrets.token_bytes(32)

    def device(self, **changes):
        told = {"unsent_items": 0, "discard_unsent": False} | changes
        return rules.check_device(KEY, self.device_id, self.kind, "Redmi", **told)

    def asked(self, *, keep=False, role=None, address="ipv4:10.0.0.1", **device):
        return session.Asked(self.user_id, role or self.role, self.device(**device), self.hash, keep, "", address)

    @property
    def hash(self):
        return hashlib.sha256(self.secret).digest()

    def login(self, connection, now=NOW, given=PASSWORD, limits=LIMITS, **changes):
        """What Login answers: a session, a challenge, or a refusal."""
        asked = self.asked(**changes)
        stored, wait = session.look(connection, asked.user_id, asked.device.device, asked.address, KEY, now)
        if wait:
            return rules.slow_down(wait)
        return session.enter(connection, asked, limits, KEY, now, proved=stored if passwords.is_right(given, stored) else "")

    def enter(self, connection, now=NOW, limits=LIMITS, **changes):
        """A session, with the one-time password where it is asked for."""
        done = self.login(connection, now, limits=limits, **changes)
        if isinstance(done, Challenge):
            done = confirm(connection, done.challenge_id, code(done.challenge_id), now, limits)
        assert isinstance(done, session.Begun), done
        return done

    def refresh(self, connection, begun, now=NOW, secret=None, following=None):
        following = following or secrets.token_bytes(32)
        used = secret or self.secret
        done = session.refresh(connection, begun.session.session_id, used, hashlib.sha256(following).digest(), KEY, now)
        if not isinstance(done, Refused):
            self.secret = following
        return done


def tried(challenge_id, given):
    return session.Tried(challenge_id, given, "ipv4:10.0.0.1")


def confirm(connection, challenge_id, given, now=NOW, limits=LIMITS):
    return session.confirm(connection, tried(challenge_id, given), limits, KEY, now)


def code(challenge_id):
    return otp.code(otp.key_of(KEY), challenge_id)


def make(connection, user_id="IUP_SITA1", role=Role.SHG_BOOKKEEPER, mobile="9876543210", others=(), **changes):
    held = tuple(Assignment(one, BLOCK) for one in (role, *others))
    wanted = User(user_id, "Sita Devi", mobile, held, NOW.date(), **changes)
    return user.add(connection, Caller("IUP_BLOCK1", Role.BLOCK_ADMIN, BLOCK), wanted, passwords.hashed(PASSWORD))


def audited(connection):
    """What this test's own transaction put on record, the newest first."""
    ours = select(audit.c.action, audit.c.subjects).where(audit.c.at >= func.now()).order_by(audit.c.id.desc())
    return [(row.action, row.subjects[0]) for row in connection.execute(ours)]


def ended_events(connection):
    return connection.execute(select(func.count()).select_from(outbox).where(outbox.c.event == "SessionEnded")).scalar_one()


def messages(connection, template):
    of_it = jobs.c.arguments["template"].astext == template
    return connection.execute(select(jobs.c.arguments).where(of_it)).scalars().all()


# --- A login.


def test_a_new_device_needs_the_one_time_password_and_then_is_hers(connection):
    make(connection)
    phone = Phone()
    asked = phone.login(connection)
    assert isinstance(asked, Challenge)
    sent = messages(connection, "login_otp")
    assert [one["challenge_id"] for one in sent] == [str(asked.challenge_id)]
    assert code(asked.challenge_id) not in str(sent)
    begun = confirm(connection, asked.challenge_id, code(asked.challenge_id), NOW)
    assert begun.session.session_id == asked.challenge_id
    assert (begun.caller.role, begun.caller.region, begun.session.ends_at) == (Role.SHG_BOOKKEEPER, BLOCK, NOW + timedelta(hours=24))
    token, _ends = tokens.sign_caller(begun.caller, begun.session.ends_at)
    assert tokens.caller_of(token, "") == begun.caller
    assert audited(connection)[0] == ("login", "IUP_SITA1")
    later = phone.login(connection, NOW + timedelta(hours=23))
    assert isinstance(later, session.Begun)
    assert isinstance(phone.login(connection, NOW + timedelta(hours=24)), Challenge)


def test_two_devices_at_once_the_second_takes_over_by_its_one_time_password_alone(connection):
    make(connection)
    one, other = Phone(), Phone()
    first = one.enter(connection)
    asked = other.login(connection)
    assert isinstance(asked, Challenge)
    assert isinstance(one.refresh(connection, first), session.Begun)
    assert ended_events(connection) == 0
    second = confirm(connection, asked.challenge_id, code(asked.challenge_id), NOW)
    assert isinstance(second, session.Begun)
    assert [row.session_id for row in ended.standing(connection)] == [first.session.session_id]
    assert ended_events(connection) == 1
    assert one.refresh(connection, first).code == "SESSION_ENDED"
    assert len(messages(connection, "device_changed")) == 1
    assert isinstance(one.login(connection), Challenge), "the first device comes back by a one-time password too"


def test_a_session_of_yesterday_ends_without_telling_anybody(connection):
    make(connection)
    phone = Phone()
    phone.enter(connection)
    phone.enter(connection, NOW + timedelta(hours=25))
    assert ended_events(connection) == 0


@pytest.mark.parametrize(
    ("changes", "given"),
    [
        ({}, "three green parrot"),
        ({}, ""),
        ({}, "x" * 100_000),
        ({}, "\0"),
        ({"role": "VO_BOOKKEEPER"}, PASSWORD),
        ({"role": ""}, PASSWORD),
        ({"user_id": "IUP_NOBODY"}, PASSWORD),
        ({"user_id": ""}, PASSWORD),
        ({"user_id": "IUP_IDLE"}, PASSWORD),
        ({"user_id": "IUP_BLANK"}, ""),
    ],
)
def test_whatever_is_wrong_the_answer_is_the_same_and_on_record(connection, changes, given):
    make(connection)
    make(connection, "IUP_IDLE", status=UserStatus.INACTIVE)
    make(connection, "IUP_BLANK")
    connection.execute(update(users).where(users.c.user_id == "IUP_BLANK").values(password_hash=""))
    phone = Phone(user_id=changes.get("user_id", "IUP_SITA1"), role=changes.get("role", "SHG_BOOKKEEPER"))
    refused = phone.login(connection, given=given)
    assert isinstance(refused, Unauthenticated)
    assert (refused.code, refused.params) == ("LOGIN_FAILED", {})
    assert audited(connection)[0] == ("login.fail", phone.user_id)
    assert not messages(connection, "login_otp")


def test_two_ids_of_one_woman_are_one_person_by_mobile_and_by_device(connection):
    make(connection)
    make(connection, "IUP_SITA2", Role.SHG_TRANS_APPROVER)
    make(connection, "IUP_RITA", Role.SHG_TRANS_APPROVER, mobile="9876500000")
    maker = Phone().enter(connection).caller
    with pytest.raises(Forbidden):
        Phone(user_id="IUP_SITA2", role="SHG_TRANS_APPROVER").enter(connection).caller.must_not_be(maker.person)
    apart = Phone(user_id="IUP_RITA", role="SHG_TRANS_APPROVER")
    apart.enter(connection).caller.must_not_be(maker.person)
    shared = Phone(user_id="IUP_RITA", role="SHG_TRANS_APPROVER")
    borrowed = Phone()
    borrowed.device_id = shared.device_id
    borrowed.enter(connection)
    with pytest.raises(Forbidden):
        shared.enter(connection).caller.must_not_be(maker.person)


# --- One-time passwords.


def test_a_one_time_password_is_used_once_and_five_tries_are_all(connection):
    make(connection)
    phone = Phone()
    asked = phone.login(connection)
    right = code(asked.challenge_id)
    wrong = f"{(int(right) + 1) % 10**6:06}"
    for _ in range(4):
        assert confirm(connection, asked.challenge_id, wrong, NOW).code == "OTP_WRONG"
    assert isinstance(confirm(connection, asked.challenge_id, right, NOW), session.Begun)
    assert confirm(connection, asked.challenge_id, right, NOW).code == "OTP_WRONG"
    again = Phone().login(connection)
    right = code(again.challenge_id)
    for _ in range(5):
        assert confirm(connection, again.challenge_id, "", NOW).code == "OTP_WRONG"
    assert confirm(connection, again.challenge_id, right, NOW).code == "OTP_WRONG"
    assert [action for action, _ in audited(connection)].count("otp.fail") == 9


def test_a_one_time_password_is_too_old_after_five_minutes(connection):
    make(connection)
    asked = Phone().login(connection)
    late = NOW + rules.OTP_LIFE
    assert confirm(connection, asked.challenge_id, code(asked.challenge_id), late).code == "OTP_WRONG"


def test_a_one_time_password_guessed_at_random_stays_out(connection):
    """Somebody knows the password: what she may ask for and try within a day leaves her a chance of one in thousands."""
    make(connection)
    tries, now = 0, NOW
    while now < NOW + timedelta(days=1):
        asked = Phone().login(connection, now)
        if isinstance(asked, Exhausted):
            now += timedelta(seconds=asked.params["seconds"])
            continue
        for guess in range(rules.OTP_TRIES_MAX + 1):
            given = f"{guess:06}" if f"{guess:06}" != code(asked.challenge_id) else "xxxxxx"
            tries += confirm(connection, asked.challenge_id, given, now).code == "OTP_WRONG"
    assert 5 < tries < 400


def test_it_is_sent_again_after_a_while_and_not_for_ever(connection):
    make(connection)
    asked = Phone().login(connection)
    soon = session.send_again(connection, asked.challenge_id, KEY, NOW + timedelta(seconds=10))
    assert (soon.code, soon.params["seconds"]) == ("SLOW_DOWN", 21)
    for number in (1, 2):
        assert session.send_again(connection, asked.challenge_id, KEY, NOW + timedelta(seconds=31 * number)).sends == number + 1
    assert session.send_again(connection, asked.challenge_id, KEY, NOW + timedelta(seconds=120)).code == "SLOW_DOWN"
    assert len({one["key"] for one in messages(connection, "login_otp")}) == 3


# --- A session.


def test_a_secret_takes_turns_and_the_same_call_again_is_the_same(connection):
    make(connection)
    phone = Phone()
    begun = phone.enter(connection)
    first, second = phone.secret, secrets.token_bytes(32)
    assert isinstance(phone.refresh(connection, begun, secret=first, following=second), session.Begun)
    assert isinstance(phone.refresh(connection, begun, secret=first, following=second), session.Begun), "the answer was lost on its way"
    assert isinstance(phone.refresh(connection, begun, secret=second), session.Begun)


def test_a_stolen_secret_used_twice_ends_the_session(connection):
    make(connection)
    phone = Phone()
    begun = phone.enter(connection)
    stolen = phone.secret
    assert isinstance(phone.refresh(connection, begun), session.Begun)
    assert phone.refresh(connection, begun, secret=stolen).code == "SESSION_ENDED"
    assert phone.refresh(connection, begun).code == "SESSION_ENDED", "whoever of the two is the thief, both are out"
    assert [(row.session_id, row.generation) for row in ended.standing(connection)] == [(begun.session.session_id, ended.ENDED)]
    why = select(sessions.c.ended_why).where(sessions.c.session_id == begun.session.session_id)
    assert connection.execute(why).scalar_one() == "secret out of turn"


def test_a_client_that_missed_the_answer_to_its_one_time_password_goes_on_with_its_secret(connection):
    make(connection)
    phone = Phone()
    asked = phone.login(connection)
    begun = confirm(connection, asked.challenge_id, code(asked.challenge_id), NOW)
    assert isinstance(session.refresh(connection, asked.challenge_id, phone.secret, b"x" * 32, KEY, NOW), session.Begun)
    assert begun.session.session_id == asked.challenge_id


@pytest.mark.parametrize(
    ("role", "kind", "keep", "hours"),
    [
        (Role.SHG_BOOKKEEPER, "APP", False, 24),
        (Role.SHG_BOOKKEEPER, "BROWSER", True, 24),
        (Role.BLOCK_ADMIN, "BROWSER", False, 24),
        (Role.BLOCK_ADMIN, "APP", True, 24),
        (Role.BLOCK_ADMIN, "BROWSER", True, 7 * 24),
    ],
)
def test_a_session_lasts_a_day_and_longer_for_web_staff_alone(connection, role, kind, keep, hours):
    make(connection, role=role)
    phone = Phone(kind, role=role)
    begun = phone.enter(connection, keep=keep)
    assert begun.session.ends_at == NOW + timedelta(hours=hours)
    assert isinstance(phone.refresh(connection, begun, NOW + timedelta(hours=hours) - timedelta(seconds=1)), session.Begun)
    assert phone.refresh(connection, begun, NOW + timedelta(hours=hours)).code == "SESSION_ENDED"


def test_a_role_is_switched_once_everything_is_sent_or_knowingly_lost(connection):
    make(connection, role=Role.VO_BOOKKEEPER, others=[Role.SHG_TRANS_APPROVER])
    phone = Phone(role="VO_BOOKKEEPER")
    begun = phone.enter(connection)

    def switch(unsent, role="SHG_TRANS_APPROVER", *, discard=False):
        return session.switch_role(connection, begun.caller, session.Switch(role, unsent, discard), LIMITS, KEY, NOW)

    assert switch(3).code == "UNSENT_WORK"
    with pytest.raises(Forbidden):
        switch(0, "BLOCK_ADMIN")
    assert phone.login(connection, role="SHG_TRANS_APPROVER", unsent_items=2).code == "UNSENT_WORK"
    assert isinstance(phone.login(connection, unsent_items=2), session.Begun), "her own role again: nothing is in the way"
    begun = phone.enter(connection)
    switched = switch(3, discard=True)
    assert (switched.caller.role, switched.caller.session.generation) == (Role.SHG_TRANS_APPROVER, 1)
    assert (begun.session.session_id, 0) in [(row.session_id, row.generation) for row in ended.standing(connection)]
    assert ("work.discard", "IUP_SITA1") in audited(connection)


def test_another_user_on_the_phone_waits_for_what_is_unsent_too(connection):
    make(connection)
    make(connection, "IUP_SITA2", Role.VO_BOOKKEEPER)
    phone = Phone()
    phone.enter(connection)
    phone.user_id = "IUP_SITA2"
    refused = phone.login(connection, role="VO_BOOKKEEPER", unsent_items=1)
    assert (refused.code, refused.params) == ("UNSENT_WORK", {"count": 1})
    assert isinstance(phone.login(connection, role="VO_BOOKKEEPER", unsent_items=1, discard_unsent=True), Challenge)
    assert ("work.discard", "IUP_SITA2") in audited(connection)


def test_what_she_may_do_changes_with_the_next_token(connection):
    make(connection)
    phone = Phone()
    begun = phone.enter(connection)
    session.stale(connection, "IUP_SITA1")
    assert [(row.session_id, row.generation) for row in ended.standing(connection)] == [(begun.session.session_id, 0)]
    assert phone.refresh(connection, begun).caller.session.generation == 1


def test_whoever_is_stopped_is_out(connection):
    make(connection)
    phone = Phone()
    begun = phone.enter(connection)
    session.end_all(connection, Caller("IUP_BLOCK1"), "IUP_SITA1", "inactive")
    session.end_all(connection, Caller("IUP_BLOCK1"), "IUP_SITA1", "inactive")
    assert ended_events(connection) == 1
    assert phone.refresh(connection, begun).code == "SESSION_ENDED"
    other = Phone()
    begun = other.enter(connection)
    connection.execute(update(users).values(status="INACTIVE"))
    assert other.refresh(connection, begun).code == "SESSION_ENDED"


def test_after_a_restore_everybody_logs_in_anew(connection):
    make(connection)
    phone, waiting = Phone(), Phone()
    begun = phone.enter(connection)
    asked = waiting.login(connection)
    restored.settle(connection, 1)
    assert phone.refresh(connection, begun).code == "SESSION_ENDED"
    assert confirm(connection, asked.challenge_id, code(asked.challenge_id), NOW).code == "OTP_WRONG"


# --- Passwords.


def test_a_forgotten_password_is_set_by_a_one_time_password(connection):
    make(connection)
    begun = Phone().enter(connection)
    asked = session.forgot(connection, "IUP_SITA1", Phone().device(), "ipv4:10.0.0.1", KEY, NOW)
    assert confirm(connection, asked.challenge_id, code(asked.challenge_id), NOW).code == "OTP_WRONG", "it is for another end"
    with pytest.raises(Invalid) as weak, connection.begin_nested():
        session.prove_forgotten(connection, tried(asked.challenge_id, code(asked.challenge_id)), "iup_sita1", KEY, NOW)
    assert (weak.value.code, weak.value.field) == ("PASSWORD_WEAK", "new_password")
    proved = session.prove_forgotten(connection, tried(asked.challenge_id, code(asked.challenge_id)), "four blue parrots", KEY, NOW)
    assert proved == "IUP_SITA1"
    session.set_forgotten(connection, proved, passwords.hashed("four blue parrots"))
    assert passwords.is_right("four blue parrots", queries.password_hash(connection, "IUP_SITA1"))
    assert begun.session.session_id in [row.session_id for row in ended.standing(connection)]
    assert session.prove_forgotten(connection, tried(asked.challenge_id, code(asked.challenge_id)), "five red parrots", KEY, NOW).code == "OTP_WRONG"
    assert len(messages(connection, "password_changed")) == 1


def test_nobody_learns_from_a_forgotten_password_whether_there_is_such_a_user(connection):
    make(connection)
    hers, nobodys = (session.forgot(connection, one, Phone().device(), "ipv4:10.0.0.1", KEY, NOW) for one in ("IUP_SITA1", "IUP_NOBODY"))
    assert (hers.expires_at, hers.sends) == (nobodys.expires_at, nobodys.sends)
    assert [one["user_id"] for one in messages(connection, "password_otp")] == ["IUP_SITA1"]
    for asked in (hers, nobodys):
        assert session.prove_forgotten(connection, tried(asked.challenge_id, "000000x"), "four blue parrots", KEY, NOW).code == "OTP_WRONG"
    right = code(nobodys.challenge_id)
    assert session.prove_forgotten(connection, tried(nobodys.challenge_id, right), "four blue parrots", KEY, NOW).code == "OTP_WRONG"
    for one in ("IUP_SITA1", "IUP_NOBODY"):
        outcomes = [getattr(session.forgot(connection, one, Phone().device(), "ipv4:10.0.0.1", KEY, NOW), "code", "sent") for _ in range(4)]
        assert outcomes == ["sent", "sent", "SLOW_DOWN", "SLOW_DOWN"]


def test_whoever_asks_for_everybodys_one_time_password_is_slowed(connection):
    asked = [session.forgot(connection, f"IUP_USER{number:04}", Phone().device(), "ipv4:10.0.0.9", KEY, NOW) for number in range(102)]
    assert [getattr(one, "code", "sent") for one in asked[98:]] == ["sent", "sent", "SLOW_DOWN", "SLOW_DOWN"]
    assert isinstance(session.forgot(connection, "IUP_USER9999", Phone().device(), "ipv4:10.0.0.8", KEY, NOW), Challenge)


def test_her_own_new_password_counts_wrong_ones_as_a_login_does(connection):
    make(connection)
    caller = Phone().enter(connection).caller
    waits = []
    for _ in range(12):
        _, wait = session.look_at_own(connection, caller, "ipv4:10.0.0.1", KEY, NOW)
        waits.append(wait)
        if not wait:
            assert session.change_password(connection, caller, "", "", "ipv4:10.0.0.1", KEY, NOW).code == "LOGIN_FAILED"
    assert waits[:10] == [0] * 10
    assert waits[10] > 0
    before = queries.password_hash(connection, "IUP_SITA1")
    assert session.change_password(connection, caller, before, passwords.hashed("four blue parrots"), "", KEY, NOW) is None
    assert passwords.is_right("four blue parrots", queries.password_hash(connection, "IUP_SITA1"))


def test_a_password_that_changed_meanwhile_is_not_overwritten(connection):
    make(connection)
    caller = Phone().enter(connection).caller
    before = queries.password_hash(connection, "IUP_SITA1")
    session.set_password(connection, Caller("IUP_BLOCK1"), "IUP_SITA1", passwords.hashed("five red parrots"))
    assert session.change_password(connection, caller, before, passwords.hashed("four blue parrots"), "", KEY, NOW).code == "LOGIN_FAILED"
    session.end_all(connection, Caller("IUP_BLOCK1"), "IUP_SITA1", "password")
    with pytest.raises(Unauthenticated) as out:
        session.change_password(connection, caller, before, passwords.hashed("four blue parrots"), "", KEY, NOW)
    assert out.value.code == "SESSION_ENDED"
    assert passwords.is_right("five red parrots", queries.password_hash(connection, "IUP_SITA1"))


@pytest.mark.parametrize("what", ["password", "mobile", "stop"])
def test_a_login_under_way_ends_with_what_it_began_from(connection, what):
    make(connection)
    thief = Phone()
    stored = queries.password_hash(connection, "IUP_SITA1")
    asked = thief.login(connection)
    if what == "password":
        session.set_password(connection, Caller("IUP_BLOCK1"), "IUP_SITA1", passwords.hashed("five red parrots"))
        assert session.enter(connection, thief.asked(), LIMITS, KEY, NOW, proved=stored).code == "LOGIN_FAILED"
    elif what == "mobile":
        session.stale(connection, "IUP_SITA1")
    else:
        session.end_all(connection, Caller("IUP_BLOCK1"), "IUP_SITA1", "inactive")
    assert confirm(connection, asked.challenge_id, code(asked.challenge_id)).code == "OTP_WRONG"


def test_a_stranger_who_asks_for_her_one_time_password_keeps_her_from_nothing(connection):
    make(connection)
    hers = Phone()
    hers.enter(connection, NOW - timedelta(days=1))
    for minute in range(60):
        session.forgot(connection, "IUP_SITA1", Phone().device(), f"ipv4:10.0.1.{minute}", KEY, NOW + timedelta(minutes=minute))
    assert isinstance(hers.login(connection, NOW + timedelta(hours=1)), Challenge)
    assert isinstance(Phone().login(connection, NOW + timedelta(hours=1)), Challenge)


def test_what_somebody_waits_for_goes_before_whatever_was_asked_for_earlier(connection):
    make(connection)
    Phone().enter(connection, NOW - timedelta(days=1))
    Phone().login(connection)
    urgent = select(jobs.c.arguments["template"].astext, jobs.c.urgent).order_by(jobs.c.urgent.desc(), jobs.c.run_at)
    found = [tuple(row) for row in connection.execute(urgent)]
    assert set(found) == {("login_otp", True)}
    session.set_password(connection, Caller("IUP_BLOCK1"), "IUP_SITA1", passwords.hashed("five red parrots"))
    assert ("password_changed", False) in [tuple(row) for row in connection.execute(urgent)]


def test_those_who_mistype_their_user_ids_do_not_slow_each_other():
    assert rules.typed("iup_sita1") != rules.typed("iup_gita1")
    assert rules.typed("IUP_SITA1") == "IUP_SITA1"
    assert len(rules.typed("x" * 10_000)) < 30


# --- Guessing.


def test_ten_thousand_wrong_passwords_come_to_a_few_and_she_herself_still_gets_in(connection):
    make(connection)
    hers = Phone()
    hers.enter(connection)
    tried = refused = 0
    for number in range(10_000):
        stranger = Phone()
        asked = stranger.asked()
        _, wait = session.look(connection, asked.user_id, asked.device.device, asked.address, KEY, NOW + timedelta(milliseconds=10 * number))
        if wait:
            refused += 1
            continue
        tried += 1
        session.enter(connection, asked, LIMITS, KEY, NOW + timedelta(milliseconds=10 * number), proved="")
    assert (tried, refused) == (10, 9990)  # In 100 seconds: 5, and then after 2, 4, 8, 16 and 32 more.
    assert isinstance(hers.login(connection, NOW + timedelta(seconds=100)), session.Begun)


def test_one_password_tried_on_many_users_is_slowed_by_device_and_by_address(connection):
    phone = Phone()
    for number in range(rules.OF_DEVICE.free):
        phone.user_id = f"IUP_USER{number:04}"
        assert phone.login(connection).code == "LOGIN_FAILED"
    assert phone.login(connection).code == "SLOW_DOWN"
    for number in range(rules.OF_ADDRESS.free - rules.OF_DEVICE.free):
        assert Phone(user_id=f"IUP_OTHER{number:04}").asked().address
        session._failed(connection, rules.slowings(KEY, f"IUP_OTHER{number:04}", Phone().device().device, "ipv4:10.0.0.1", own=False), NOW)
    assert Phone(user_id="IUP_NEXT").login(connection).code == "SLOW_DOWN"
    assert Phone(user_id="IUP_NEXT").login(connection, address="ipv4:10.0.0.2").code == "LOGIN_FAILED"


def test_failures_are_forgotten_by_a_login_and_by_time(connection):
    make(connection)
    phone = Phone()
    for _ in range(4):
        phone.login(connection, given="wrong")
    phone.enter(connection)
    keys = rules.of_one_user(KEY, "IUP_SITA1", phone.device().device)
    assert queries.failures(connection, keys) == {}
    phone.login(connection, given="wrong")
    session.forget(connection, NOW + timedelta(hours=2))
    assert connection.execute(select(func.count()).select_from(attempts)).scalar_one() == 0
    assert connection.execute(select(func.count()).select_from(challenges)).scalar_one() == 0


@given(st.integers(0, 10_000))
def test_each_failure_waits_longer_up_to_the_longest(failures):
    for slowing in (rules.OF_USER, rules.OF_OWN_DEVICE, rules.OF_DEVICE, rules.OF_ADDRESS, rules.OF_MESSAGES, rules.OF_FORGETTING):
        assert timedelta(0) <= slowing.wait(failures) <= slowing.wait(failures + 1) <= slowing.longest
        assert bool(slowing.wait(failures)) is (failures >= slowing.free)


def test_what_is_forgotten_after_a_while_has_no_wait_left():
    """Else somebody would be let in earlier by waiting than by the wait itself."""
    for slowing in (rules.OF_USER, rules.OF_OWN_DEVICE, rules.OF_DEVICE, rules.OF_ADDRESS, rules.OF_MESSAGES, rules.OF_FORGETTING):
        assert slowing.longest <= rules.FORGOTTEN_AFTER


# --- Rules.


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"device_id": ""}, "device.device_id"),
        ({"device_id": "x"}, "device.device_id"),
        ({"kind": ""}, "device.kind"),
        ({"name": "x" * 61}, "device.name"),
        ({"unsent_items": -1}, "device.unsent_items"),
    ],
)
def test_a_device_says_what_it_is(changes, field):
    told = {"device_id": str(uuid4()), "kind": "APP", "name": "Redmi", "unsent_items": 0, "discard_unsent": False} | changes
    with pytest.raises(Invalid) as refused:
        rules.check_device(KEY, told.pop("device_id"), told.pop("kind"), told.pop("name"), told.pop("unsent_items"), **told)
    assert (refused.value.code, refused.value.field) == ("DEVICE_INVALID", field)


def test_a_device_is_stored_by_no_id_of_its_own():
    phone = Phone()
    assert UUID(phone.device_id).bytes not in phone.device().device
    assert phone.device().device == phone.device().device


@given(st.binary(max_size=40), st.binary(min_size=32, max_size=32))
def test_a_made_up_secret_is_never_in_turn(secret, following):
    held = rules.Session(uuid4(), "IUP_SITA1", "SHG_BOOKKEEPER", b"", 0, hashlib.sha256(b"hers").digest(), hashlib.sha256(b"before").digest(), NOW)
    assert rules.turn(held, secret, following) is Turn.STOLEN


@pytest.mark.parametrize("role", [role for role in Role if role in COMMUNITY])
def test_nobody_of_the_community_is_kept_logged_in(role):
    assert rules.lasts_after_switch(role, NOW + timedelta(days=7), LIMITS, NOW) == NOW + timedelta(hours=24)
    assert rules.lasts_after_switch(role, NOW + timedelta(hours=1), LIMITS, NOW) == NOW + timedelta(hours=1)
    assert rules.lasts_until(role, DeviceKind.BROWSER, LIMITS, NOW, keep=True) == NOW + timedelta(hours=24)
