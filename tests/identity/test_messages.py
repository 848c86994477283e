"""Messages to users and members: what is said, and that it goes out once, through a gateway and a mail server on this machine's loopback."""

import email
import email.policy
import html
import json
import os
import re
import signal
import stat
import subprocess
import sys
import threading
import time
from collections import Counter
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from uuid import UUID, uuid4

import pytest
from prometheus_client import REGISTRY
from sqlalchemy import delete, insert, select, update

from deploy.machine import keys
from deploy.machine.layout import Layout
from protos.common_pb2 import Envelope
from protos.profiles_pb2 import LoanAlertDue
from services.chassis import database, epochs, settings
from services.chassis.hears import hearings, run_new
from services.chassis.jobs import jobs as jobs_table
from services.chassis.mailbox import inbox as heard
from services.chassis.work import EFFECT_WORKERS, Worker
from services.identity import consumer, jobs
from services.identity.adapters import inbox, mail, sms
from services.identity.commands import message
from services.identity.rules import message as rules
from services.identity.rules import otp
from services.identity.rules.message import Alert, Mail, Sms
from services.identity.tables import alerts, users
from services.kernel.errors import Conflict, Invalid, Unavailable
from services.kernel.ids import derived, uuid7
from services.kernel.messages import TEMPLATES, Messages, Registered, places_of
from tests.identity import outside

SERVICE = "identity"
ROOT = Path(__file__).parents[2]
KEY = b"k" * 32
MOBILE, ADDRESS = "9876543210", "sita@village.example"
LANGUAGES = ("en", "hi")
REGISTERED = '[messages]\nsender_id = "LOKOSS"\nentity_id = "1001"\n' + "".join(
    f'[[messages.templates]]\ntemplate = "{name}"\nlanguage = "{language}"\ntemplate_id = "{number}"\n'
    for number, (name, language) in enumerate(((name, language) for name in TEMPLATES for language in LANGUAGES), 1007)
)

# Rules


@pytest.mark.parametrize("name", TEMPLATES)
def test_every_text_has_exactly_its_places_and_fits_a_message(name):
    template = TEMPLATES[name]
    assert set(template.texts) == set(LANGUAGES)
    for text in template.texts.values():
        assert sorted(places_of(text)) == sorted(template.places)
        longest = {"otp": "123456", "user_id": "IUP_" + "X" * 20, "amount": "12,34,567.50", "given_on": "31-12-2026", "shg": "S091234567890"}
        assert len(text.format(**longest)) <= (160 if text.isascii() else 3 * 67)
    assert template.texts["en"].isascii(), "in English it is one plain message"


def test_a_text_comes_in_her_language_or_the_states_or_english():
    def language(*asked, **more):
        return rules.wording(Messages(), "user_made", asked, **more).language

    assert [language("hi", "en"), language("ml", "hi"), language("ml", "ta"), language("", "en")] == ["hi", "hi", "en", "en"]


def test_what_a_state_has_registered_stands_above_ours():
    state = Messages("LOKOSS", "1001", {("user_made", "ml"): Registered("7", "{user_id}!")})
    assert rules.wording(state, "user_made", ("ml",), registered_alone=True) == rules.Wording("{user_id}!", "ml", "7")
    assert rules.wording(state, "user_made", ("hi", "ml")).template_id == ""
    assert rules.wording(state, "user_made", ("hi", "ml"), registered_alone=True).template_id == "7"
    with pytest.raises(Conflict) as refused:
        rules.wording(state, "login_otp", ("hi", "ml"), registered_alone=True)
    assert (refused.value.code, refused.value.params) == ("TEMPLATE_UNREGISTERED", {"template": "login_otp"})


def test_a_template_is_unregistered_unless_everybody_of_the_state_can_be_sent_it():
    def missing(*languages):
        return rules.unregistered(Messages("LOKOSS", "1", {("user_made", of): Registered("7", "{user_id}") for of in languages}), ("bn", "hi"))

    assert missing() == list(TEMPLATES)
    assert "user_made" in missing("hi")
    assert "user_made" not in missing("bn")
    assert "user_made" not in missing("en")


def test_one_time_passwords_are_six_digits_as_good_as_uniform():
    codes = [otp.code(KEY, UUID(int=number)) for number in range(20_000)]
    assert all(re.fullmatch("[0-9]{6}", code) for code in codes)
    assert len(set(codes)) > 19_500, "of 20,000 drawn out of a million some 200 come twice"
    for place in range(6):
        counts = Counter(code[place] for code in codes)
        # Nine degrees of freedom: beyond 40 is one chance in 100,000, and the codes are always the same ones.
        assert sum((counts[str(digit)] - 2000) ** 2 / 2000 for digit in range(10)) < 40


def test_a_one_time_password_is_right_for_its_challenge_and_key_alone():
    challenge, other = UUID(int=1), UUID(int=2)
    code = otp.code(KEY, challenge)
    assert otp.is_right(KEY, challenge, code)
    for wrong in ("", code[:5], code + "0", "".join(chr(ord(digit) - ord("0") + ord("०")) for digit in code), otp.code(KEY, other)):
        assert not otp.is_right(KEY, challenge, wrong)
    assert not otp.is_right(otp.key_of(KEY), challenge, code), "another end, another key"


# The SMS gateway


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    """Good for this machine; `ca.pem` is its authority."""
    instances = Layout(tmp_path_factory.mktemp("run"), 30000).instances()
    keys.make_keys(instances)
    return instances["UP"].keys


@pytest.fixture
def gateway(certificate, monkeypatch, tmp_path):
    """The gateway, and settings that lead to it, of a state that has registered all our texts."""
    state_file = tmp_path / "UP.toml"
    state_file.write_text((ROOT / "deploy/states/UP.toml").read_text() + REGISTERED)
    monkeypatch.setenv("LOKOS_STATE_FILE", str(state_file))
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate / "ca.pem"))
    with outside.gateway(certificate / "tls.pem", certificate / "tls.key") as made:
        names = {"": "mobile-seva", "_URL": made.url, "_USERNAME": outside.USERNAME, "_PASSWORD": outside.PASSWORD}
        for name, value in (names | {"_SECURE_KEY": outside.SECURE_KEY}).items():
            monkeypatch.setenv(f"LOKOS_SMS{name}", value)
        yield made


def short(text="Sita & co: 100%", is_otp=False):
    return Sms("k-1", MOBILE, text, "en", "1007", is_otp)


@pytest.mark.parametrize(
    ("text", "is_otp", "kind"),
    [
        ("Sita & co: 100%", False, "singlemsg"),
        ("123456 is it", True, "otpmsg"),
        ("सीता का", False, "unicodemsg"),
        ("पासवर्ड 123456 है।", True, "unicodeotpmsg"),
    ],
)
def test_the_gateway_gets_the_whole_form(gateway, text, is_otp, kind):
    assert sms.gateway().send(short(text, is_otp)) == "221120261010lokos-up"
    [(path, form)] = gateway.got
    assert path == "/esms/sendsmsrequestDLT"
    assert form.keys() == {"username", "password", "senderid", "content", "smsservicetype", "mobileno", "key", "templateid", "entityid"}
    assert html.unescape(form["content"]) == text
    assert (form["content"] == text) == text.isascii()
    rest = [form[name] for name in ("username", "senderid", "smsservicetype", "mobileno", "templateid", "entityid")]
    assert rest == [outside.USERNAME, "LOKOSS", kind, MOBILE, "1007", "1001"]


def test_a_letter_of_an_indian_script_is_its_number(gateway):
    sms.gateway().send(short("का"))
    assert gateway.got[0][1]["content"] == "&#2325;&#2366;"


def test_the_password_goes_as_the_hash_that_the_account_wants(gateway, monkeypatch):
    gateway.answer = lambda form: outside.checked(form, "md5")
    with pytest.raises(Unavailable) as refused:
        sms.gateway().send(short())
    assert refused.value.params == {"answer": "401"}
    monkeypatch.setenv("LOKOS_SMS_PASSWORD_HASH", "md5")
    assert sms.gateway().send(short())


@pytest.mark.parametrize(
    ("status", "body", "said"),
    [
        (200, f"406,Invalid number {MOBILE}", "406"),
        (200, "", "HTTP 200 and none of its codes"),
        (200, "<html>Please log in</html>", "HTTP 200 and none of its codes"),
        (200, "402", "402"),
        (200, "x" * 100_000, "HTTP 200 and none of its codes"),
        (302, "402,MsgID = 1", "HTTP 302 and none of its codes"),
        (307, "", "HTTP 307 and none of its codes"),
        (500, "402,MsgID = 1", "HTTP 500 and none of its codes"),
    ],
)
def test_whatever_is_not_402_with_an_id_is_a_refusal_that_says_its_code_alone(gateway, status, body, said):
    gateway.answer = lambda _form: (status, body)
    with pytest.raises(Unavailable) as refused:
        sms.gateway().send(short())
    assert (refused.value.code, refused.value.params) == ("SMS_REFUSED", {"answer": said})
    assert MOBILE not in str(refused.value)
    assert len(gateway.got) == 1, "no redirection is followed"


def test_a_gateway_that_does_not_answer_is_not_waited_for(gateway, monkeypatch):
    monkeypatch.setattr(sms, "SEND_SECONDS_MAX", 0.5)
    gateway.answer = lambda _form: None
    with pytest.raises(Unavailable) as refused:
        sms.gateway().send(short())
    assert refused.value.code == "SMS_AWAY"


def test_a_gateway_that_nobody_vouches_for_learns_nothing(gateway, monkeypatch):
    monkeypatch.delenv("SSL_CERT_FILE")
    with pytest.raises(Unavailable) as refused:
        sms.gateway().send(short())
    assert refused.value.code == "SMS_AWAY"
    assert gateway.got == []


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("LOKOS_SMS", "pigeon", "must be sandbox or mobile-seva"),
        ("LOKOS_SMS_URL", "http://127.0.0.1/esms", "must be an https address"),
        ("LOKOS_SMS_URL", "https://user:word@127.0.0.1/esms", "must be an https address"),
        ("LOKOS_SMS_SECURE_KEY", "", "LOKOS_SMS_SECURE_KEY is missing"),
        ("LOKOS_SMS_PASSWORD_HASH", "sha9", "one of sha1, md5"),
        ("LOKOS_STATE_FILE", str(ROOT / "deploy/states/UP.toml"), "registers none of login_otp, .*: add .messages. and .* in en"),
    ],
)
def test_a_gateway_that_could_not_send_ends_the_process_in_words(gateway, monkeypatch, name, value, says):
    monkeypatch.setenv(name, value)
    with pytest.raises(SystemExit, match=says):
        sms.gateway()


# The mail server


def smtp(monkeypatch, port, **more):
    names = {"": "smtp", "_HOST": "127.0.0.1", "_PORT": str(port), "_FROM": "lokos@state.example"}
    for name, value in (names | more).items():
        monkeypatch.setenv(f"LOKOS_MAIL{name}", value)
    return mail.server()


def letter(text="LokOS में आपका स्वागत है।"):
    return Mail("k-1", ADDRESS, text, "hi")


@pytest.mark.parametrize("at_once", [False, True])
def test_a_mail_goes_out_in_secret_and_whole(certificate, monkeypatch, at_once):
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate / "ca.pem"))
    with outside.mail_server(certificate / "tls.pem", certificate / "tls.key", at_once=at_once) as server:
        named = {"_USERNAME": "lokos", "_PASSWORD": "word", "_TLS": "tls" if at_once else "starttls"}
        sent_id = smtp(monkeypatch, server.port, **named).send(letter())
    assert "\0lokos\0word" in server.got
    assert {"mail FROM:<lokos@state.example>", f"rcpt TO:<{ADDRESS}>"} <= {str(got).partition(" size=")[0] for got in server.got}
    [body] = [got for got in server.got if isinstance(got, bytes)]
    mailed = email.message_from_bytes(body, policy=email.policy.default)
    assert (mailed["To"], mailed["From"], mailed["Subject"], mailed["Message-ID"]) == (ADDRESS, "lokos@state.example", "LokOS", sent_id)
    assert mailed.get_content().strip() == letter().text
    assert server.got.index(body) < server.got.index("QUIT")


@pytest.mark.parametrize(
    ("word", "reply", "code", "answer"),
    [
        ("rcpt", f"550 no {ADDRESS} here", "MAIL_REFUSED", 550),
        ("DATA", "451 later", "MAIL_REFUSED", 451),
        ("AUTH", "535 who", "MAIL_REFUSED", 535),
        ("STARTTLS", "454 no", "MAIL_REFUSED", 454),
        ("ehlo", "", "MAIL_AWAY", None),
    ],
)
def test_a_mail_that_is_not_taken_says_why_and_nobodys_address(certificate, monkeypatch, word, reply, code, answer):
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate / "ca.pem"))
    monkeypatch.setattr(mail, "SEND_SECONDS_MAX", 0.5 if code == "MAIL_AWAY" else 10)
    with outside.mail_server(certificate / "tls.pem", certificate / "tls.key") as server:
        server.answer = lambda command: reply if command.lower().startswith(word.lower()) else None
        with pytest.raises(Unavailable) as refused:
            smtp(monkeypatch, server.port, _USERNAME="lokos", _PASSWORD="word").send(letter())
    assert (refused.value.code, refused.value.params.get("answer")) == (code, answer)
    assert ADDRESS not in str(refused.value)


@pytest.mark.parametrize("address", ["a@b.example, c@d.example", "a@b.example\nBcc: c@d.example", "<a@b.example>", "a", ""])
def test_a_mail_goes_to_one_address_or_to_nobody(monkeypatch, address):
    with pytest.raises(Invalid) as refused:
        smtp(monkeypatch, 1).send(Mail("k-1", address, "Namaste", "en"))
    assert refused.value.code == "EMAIL_INVALID"


def test_nothing_is_mailed_in_the_clear(certificate, monkeypatch):
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate / "ca.pem"))
    with outside.mail_server(certificate / "tls.pem", certificate / "tls.key", offers_tls=False) as server, pytest.raises(Unavailable) as refused:
        smtp(monkeypatch, server.port).send(letter())
    assert refused.value.code == "MAIL_REFUSED"
    assert not any(str(got).startswith(("mail", "AUTH")) for got in server.got)


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [("", "pigeon", "must be sandbox or smtp"), ("_TLS", "none", "one of starttls, tls"), ("_FROM", "LokOS <a@b.example>", "a bare address")],
)
def test_a_mail_server_that_could_not_send_ends_the_process_in_words(monkeypatch, name, value, says):
    with pytest.raises(SystemExit, match=says):
        smtp(monkeypatch, 25, **{name: value})


# What work sends, each once


@pytest.fixture
def box(up, monkeypatch, tmp_path):
    """The sandbox's inbox of this test alone."""
    folder = tmp_path / "inbox"
    monkeypatch.setenv("LOKOS_MESSAGE_INBOX", str(folder))
    forget_adapters()
    yield folder
    forget_adapters()


def forget_adapters():
    jobs._sms.cache_clear()
    jobs._mail.cache_clear()


@pytest.fixture
def sita(up):
    """A user, committed, since work reads her in a transaction of its own; her messages go with her."""
    user_id = f"IUP_{uuid4().hex[:12].upper()}"
    plain = {"full_name": "Sita", "mobile": MOBILE, "password_hash": "", "status": "ACTIVE", "version": 1}
    ours = jobs_table.c.name.in_(["send_sms", "send_mail"])
    with database.transaction(SERVICE) as connection:
        connection.execute(delete(jobs_table).where(ours))
        connection.execute(insert(users).values(user_id=user_id, made_on=date(2026, 7, 1), **plain))
    yield user_id
    with database.transaction(SERVICE) as connection:
        connection.execute(delete(jobs_table).where(ours))
        connection.execute(delete(users).where(users.c.user_id == user_id))


def change(user_id, **values):
    with database.transaction(SERVICE) as connection:
        connection.execute(update(users).where(users.c.user_id == user_id).values(values))


def post(user_id, template="password_changed", key=None, **more):
    key = key or f"{template}-{uuid4()}"
    with database.transaction(SERVICE) as connection:
        message.post(connection, key=key, template=template, user_id=user_id, **more)
    return key


def post_otp(user_id, minutes=10):
    challenge_id = uuid4()
    ends = datetime.now(UTC) + timedelta(minutes=minutes)
    return post(user_id, "login_otp", challenge_id=challenge_id, expires_at=ends), challenge_id


def work():
    """Run what waits of messages; how many there were."""
    worker, done = Worker(SERVICE, threading.Event()), 0
    worker._jobs = {name: worker._jobs[name] for name in ("send_sms", "send_mail", "send_loan_alert")}
    while worker.step():
        done += 1
    return done


def sent(box):
    return {file.name: json.loads(file.read_text(encoding="utf-8")) for file in box.glob("*")} if box.exists() else {}


def row(key, name="send_sms"):
    with database.transaction(SERVICE) as connection:
        return connection.execute(select(jobs_table).where(jobs_table.c.name == name, jobs_table.c.key == key)).one()


def counted(channel, outcome):
    return REGISTRY.get_sample_value("lokos_messages_total", {"channel": channel, "outcome": outcome}) or 0


def test_a_one_time_password_goes_out_and_is_nowhere_in_the_database(box, sita):
    key, challenge_id = post_otp(sita)
    code = otp.code(otp.key_of(settings.text("LOKOS_PERSON_KEY").encode()), challenge_id)
    waiting = str(row(key))
    assert work() == 1
    assert sent(box) == {
        f"{key}.json": {
            "channel": "sms",
            "key": key,
            "mobile": MOBILE,
            "text": TEMPLATES["login_otp"].texts["en"].format(otp=code, user_id=sita),
            "language": "en",
            "template_id": "",
            "is_otp": True,
        }
    }
    for text in (waiting, str(row(key))):
        assert MOBILE not in text
        assert code not in text
    assert stat.S_IMODE(box.stat().st_mode) == 0o700
    assert stat.S_IMODE((box / f"{key}.json").stat().st_mode) == 0o600


def test_a_message_goes_out_once_however_often_it_is_posted(box, sita):
    key = post(sita)
    post(sita, key=key)
    assert work() == 1
    [file] = box.iterdir()
    file.unlink()
    post(sita, key=key)
    assert work() == 0
    assert sent(box) == {}


def test_a_message_of_what_did_not_happen_is_not_sent(box, sita):
    with database.transaction(SERVICE) as connection:
        message.post(connection, key="undone", template="password_changed", user_id=sita)
        connection.rollback()
    assert work() == 0


def test_who_has_an_address_gets_mail_besides_but_no_one_time_password(box, sita):
    change(sita, email=ADDRESS, language="hi")
    notice = post(sita, "device_changed")
    secret, _ = post_otp(sita)
    assert work() == 3
    found = sent(box)
    assert set(found) == {f"{notice}.json", f"{notice}.mail.json", f"{secret}.json"}
    text = TEMPLATES["device_changed"].texts["hi"].format(user_id=sita)
    assert found[f"{notice}.mail.json"] == {"channel": "mail", "key": notice, "address": ADDRESS, "text": text, "language": "hi"}
    assert found[f"{notice}.json"]["text"] == text


def test_who_was_stopped_is_told(box, sita):
    change(sita, status="INACTIVE")
    post(sita, "account_stopped")
    assert work() == 1
    assert len(sent(box)) == 1


def test_a_one_time_password_that_is_over_is_not_sent(box, sita):
    before = counted("sms", "dropped")
    key, _ = post_otp(sita, minutes=0)
    assert work() == 1
    assert sent(box) == {}
    assert counted("sms", "dropped") == before + 1
    assert (row(key).error, row(key).done_at is not None) == ("", True)


def test_a_message_to_nobody_is_dropped(box, sita):
    before = counted("sms", "dropped")
    post("IUP_NOBODY")
    assert work() == 1
    assert counted("sms", "dropped") == before + 1


def test_a_message_that_is_not_taken_ends_with_its_error_and_is_not_tried_again(box, sita):
    before = counted("sms", "failed"), counted("sms", "sent")
    box.write_text("no folder")
    key = post(sita)
    assert work() == 1
    assert (row(key).error, row(key).done_at is not None) == ("Unavailable: INBOX_AWAY", True)
    assert (counted("sms", "failed"), counted("sms", "sent")) == (before[0] + 1, before[1])
    box.unlink()
    post(sita, key=key)
    assert work() == 0


def test_the_real_gateway_gets_what_was_posted_with_its_registration(up, gateway, sita, caplog):
    forget_adapters()
    change(sita, language="hi")
    before = counted("sms", "sent")
    with caplog.at_level("INFO"):
        _key, challenge_id = post_otp(sita)
        assert work() == 1
    [(_, form)] = gateway.got
    code = otp.code(otp.key_of(settings.text("LOKOS_PERSON_KEY").encode()), challenge_id)
    assert html.unescape(form["content"]) == TEMPLATES["login_otp"].texts["hi"].format(otp=code, user_id=sita)
    assert (form["templateid"], form["smsservicetype"]) == ("1008", "unicodeotpmsg")
    assert counted("sms", "sent") == before + 1
    assert [record.outside_id for record in caplog.records if record.message == "a message was sent"] == ["221120261010lokos-up"]
    logged = "".join(str(vars(record)) for record in caplog.records)
    assert MOBILE not in logged
    assert code not in logged
    gateway.answer = lambda _form: (200, "403,Credits are not available")
    refused = post(sita)
    with caplog.at_level("WARNING"):
        work()
    assert row(refused).error == "Unavailable: SMS_REFUSED"
    assert any("403" in getattr(record, "reason", "") for record in caplog.records)
    forget_adapters()


@pytest.mark.parametrize(
    "wrong",
    [
        {"key": "../escape"},
        {"key": ""},
        {"template": "login_otp"},
        {"challenge_id": UUID(int=1), "expires_at": datetime(2026, 7, 1, tzinfo=UTC)},
        {"template": "login_otp", "challenge_id": UUID(int=1)},
    ],
)
def test_a_message_that_is_asked_for_wrongly_is_our_bug(up, wrong):
    with pytest.raises(ValueError, match=r"key of a message|one-time password"), database.transaction(SERVICE) as connection:
        message.post(connection, **{"key": "k", "template": "user_made", "user_id": "IUP_SITA1"} | wrong)


def test_the_sandbox_says_so_and_its_inbox_is_emptied_in_time(box, caplog):
    jobs.check()
    assert sum("SANDBOX" in record.message for record in caplog.records) == 2
    for name, days in {"old": 8, "young": 6}.items():
        inbox.inbox().put(name, {})
        written = time.time() - timedelta(days=days).total_seconds()
        os.utime(box / f"{name}.json", (written, written))
    jobs.forget_messages.function(SERVICE, {})
    assert set(sent(box)) == {"young.json"}


# The process itself


def start_work(**more):
    environment = {**os.environ, "METRICS_PORT": "0", **more}
    return subprocess.Popen([sys.executable, "-m", "services.chassis.work", SERVICE], cwd=ROOT, env=environment, stderr=subprocess.PIPE, text=True)


def test_work_ends_at_its_start_where_texts_are_not_registered(up, gateway):
    with start_work(LOKOS_STATE_FILE="deploy/states/UP.toml") as process:
        _, said = process.communicate(timeout=60)
    assert process.returncode == 1
    assert said.startswith("LOKOS_SMS is mobile-seva, which sends registered texts alone, and the state's file registers none of login_otp,")


def wait_until(found, seconds=60):
    ends = time.monotonic() + seconds
    while not (what := found()):
        assert time.monotonic() < ends
        time.sleep(0.1)
    return what


def test_a_gateway_that_hangs_holds_up_neither_other_messages_nor_what_is_done_inside(up, gateway, sita):
    gateway.answer = lambda _form: None
    sealing = jobs_table.c.name == "seal_audit"
    for _ in range(EFFECT_WORKERS):
        post(sita)
    with start_work() as process:
        wait_until(lambda: len(gateway.got) == EFFECT_WORKERS)
        with database.transaction(SERVICE) as connection:
            connection.execute(update(jobs_table).where(sealing).values(run_at=datetime.now(UTC), leased_until=None))
        asked_at = datetime.now(UTC)

        def is_sealed():
            with database.transaction(SERVICE) as connection:
                return connection.execute(select(jobs_table.c.run_at).where(sealing)).scalar_one() > asked_at + timedelta(seconds=1)

        wait_until(is_sealed)
        process.terminate()
        gateway.ended.set()
        process.communicate(timeout=60)
    assert process.returncode == 0
    with database.transaction(SERVICE) as connection:
        assert set(connection.execute(select(jobs_table.c.error).where(jobs_table.c.name == "send_sms")).scalars()) == {"Unavailable: SMS_AWAY"}


def test_a_worker_that_is_killed_while_it_sends_has_nothing_sent_twice(up, gateway, sita):
    gateway.answer = lambda _form: None
    cut_short = post(sita)
    with start_work() as process:
        assert gateway.came.wait(60)
        os.kill(process.pid, signal.SIGKILL)
        process.communicate()
    assert (row(cut_short).begun, row(cut_short).done_at) == (True, None)
    gateway.answer = outside.checked
    with database.transaction(SERVICE) as connection:  # The lease is not waited for.
        over = {"leased_until": datetime.now(UTC) - timedelta(seconds=1)}
        connection.execute(update(jobs_table).where(jobs_table.c.key == cut_short).values(over))
    after = post(sita)
    with start_work() as process:
        try:
            wait_until(lambda: row(cut_short).done_at and row(after).done_at)
        finally:
            process.terminate()
            process.communicate()
    assert "cut short" in row(cut_short).error
    assert row(after).error == ""
    assert len(gateway.got) == 2, "the one that was cut short, once, and the one after"


# Alerts to members

[ALERT_DUE] = [one for one in hearings(SERVICE) if one.event == "LoanAlertDue"]


@pytest.fixture
def no_alerts(up):
    """None waits but those of this test; they go with it, as does what was heard of them."""

    def clear():
        with database.transaction(SERVICE) as connection:
            connection.execute(delete(alerts))
            connection.execute(delete(jobs_table).where(jobs_table.c.name == "send_loan_alert"))

    clear()
    yield
    clear()


def alert_due(approved_at=None, **changes):
    """As the relay of profiles publishes it."""
    loan_id = str(uuid7())
    plain = {"loan_id": loan_id, "mobile": MOBILE, "principal_paise": 1_20_000_50, "given_on": "2026-11-18", "institution_code": "S091234567890"}
    message = LoanAlertDue(**plain | changes)
    envelope = Envelope(source="profiles", event="LoanAlertDue", event_id=str(derived("LoanAlertDue", loan_id)), subject=loan_id, sequence=1)
    envelope.body = message.SerializeToString()
    envelope.occurred_at.FromDatetime(approved_at or datetime.now(UTC))
    return envelope


def hear(*envelopes):
    with database.transaction(SERVICE) as connection:
        return run_new(ALERT_DUE, consumer.Consumer(), connection, envelopes)


def forget_hearing(envelope):
    """As after a rebuilding: what comes then comes as if for the first time."""
    with database.transaction(SERVICE) as connection:
        connection.execute(delete(heard).where(heard.c.event_id == UUID(envelope.event_id)))


def alerts_kept():
    with database.transaction(SERVICE) as connection:
        return connection.execute(select(alerts)).all()


def key_of(envelope):
    return f"loan_given:{envelope.subject}"


@pytest.mark.usefixtures("no_alerts")
def test_a_member_is_told_of_her_loan_once_however_often_it_is_told(box):
    came, before = alert_due(), counted("loan_alert", "sent")
    assert [hear(came, came, came), hear(came)] == [1, 0]
    assert len(alerts_kept()) == 1
    assert MOBILE not in str(row(key_of(came), "send_loan_alert"))
    assert work() == 1
    text = "LokOS: 18-11-2026 को समूह S091234567890 से आपके नाम पर 1,20,000.50 रुपये का ऋण दिया गया। यदि आपने नहीं लिया, तो अपने ब्लॉक कार्यालय को बताएँ।"
    sent_once = {"channel": "sms", "key": key_of(came), "mobile": MOBILE, "text": text, "language": "hi", "template_id": "", "is_otp": False}
    assert sent(box) == {f"{key_of(came)}.json": sent_once}
    assert alerts_kept() == [], "her number is not kept longer than it is needed"
    [file] = box.iterdir()
    file.unlink()
    forget_hearing(came)
    assert [hear(came), work()] == [1, 0], "the job is known to be done"
    assert sent(box) == {}
    assert counted("loan_alert", "sent") == before + 1


@pytest.mark.usefixtures("no_alerts")
def test_an_alert_that_is_a_week_old_is_dropped_and_counted(box):
    before = counted("loan_alert", "dropped")
    old, young = (alert_due(datetime.now(UTC) - timedelta(days=7) + timedelta(minutes=minutes)) for minutes in (-1, 10))
    hear(old, young)
    assert work() == 2
    assert set(sent(box)) == {f"{key_of(young)}.json"}
    assert counted("loan_alert", "dropped") == before + 1
    assert alerts_kept() == []


@pytest.mark.usefixtures("no_alerts")
def test_numbers_of_alerts_that_nobody_sends_are_forgotten(up):
    now = datetime.now(UTC)
    old, late = (alert_due(now - timedelta(days=days)) for days in (9, 7.5))
    hear(old, late)
    jobs.erase_what_is_over.function(SERVICE, {})
    assert [str(one.loan_id) for one in alerts_kept()] == [late.subject]


def test_after_a_restore_what_may_have_gone_out_before_it_is_not_sent(up):
    now = datetime.now(UTC)
    one = Alert(MOBILE, 100, date(2026, 11, 18), "S091", now - timedelta(hours=2))
    assert [one.is_late(now, at) for at in (None, now - timedelta(hours=3), now - timedelta(hours=1))] == [False, False, True]


@pytest.mark.usefixtures("no_alerts")
def test_alerts_look_when_the_books_came_back_from_a_backup(box, monkeypatch):
    came = alert_due()
    hear(came)
    monkeypatch.setattr(epochs, "restored_at", lambda _connection: datetime.now(UTC))
    assert work() == 1
    assert sent(box) == {}


@pytest.mark.usefixtures("no_alerts")
def test_the_gateway_gets_an_alert_with_its_registration_and_a_refusal_is_not_tried_again(up, gateway):
    forget_adapters()
    hear(alert_due())
    assert work() == 1
    [(_, form)] = gateway.got
    registered = [name for name in TEMPLATES for _ in LANGUAGES].index("loan_given") + 1007 + LANGUAGES.index("hi")
    assert (form["templateid"], form["smsservicetype"], form["mobileno"]) == (str(registered), "unicodemsg", MOBILE)
    gateway.answer = lambda _form: (200, "403,Credits are not available")
    before, came = counted("loan_alert", "failed"), alert_due()
    hear(came)
    assert [work(), work()] == [1, 0]
    assert row(key_of(came), "send_loan_alert").error == "Unavailable: SMS_REFUSED"
    assert counted("loan_alert", "failed") == before + 1
    assert alerts_kept() == []
    forget_adapters()


@pytest.mark.usefixtures("no_alerts")
def test_a_worker_that_is_killed_while_it_tells_a_member_tells_her_once(up, gateway):
    gateway.answer = lambda _form: None
    came = alert_due()
    hear(came)
    with start_work() as process:
        assert gateway.came.wait(60)
        os.kill(process.pid, signal.SIGKILL)
        process.communicate()
    assert alerts_kept() == []
    gateway.answer = outside.checked
    forget_hearing(came)
    hear(came)  # And the event comes once more, as after a kill of the consumer before it acked.
    with database.transaction(SERVICE) as connection:  # The lease is not waited for.
        over = {"leased_until": datetime.now(UTC) - timedelta(seconds=1)}
        connection.execute(update(jobs_table).where(jobs_table.c.key == key_of(came)).values(over))
    after = alert_due()
    hear(after)
    with start_work() as process:
        try:
            wait_until(lambda: all(row(key_of(one), "send_loan_alert").done_at for one in (came, after)))
        finally:
            process.terminate()
            process.communicate()
    assert "cut short" in row(key_of(came), "send_loan_alert").error
    assert len(gateway.got) == 2, "the one that was cut short, once, and the one after"


def test_members_are_written_to_in_the_states_own_language_before_english():
    assert rules.languages_of_members(["en", "hi"]) == ("hi", "en")
    assert rules.languages_of_members(["bn", "en", "hi"]) == ("bn", "hi", "en")
    assert rules.languages_of_members(["en"]) == ("en",)
