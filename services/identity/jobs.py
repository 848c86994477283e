"""Timers and outside effects: messages go out, each at most once; numbers that nobody proved, tries and sessions of long ago are forgotten."""

import logging
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from functools import cache
from uuid import UUID

from prometheus_client import Counter

from services.chassis import database, epochs, settings
from services.chassis.jobs import Arguments, NotBegun, job
from services.chassis.logs import describe
from services.identity import queries
from services.identity.adapters import inbox, mail, sms
from services.identity.commands import alert, session, sheet, vault
from services.identity.rules import message as rules
from services.identity.rules import otp
from services.identity.rules.kyc import UNCONFIRMED_KEPT
from services.identity.rules.message import Contact, Mail, Sms, Wording
from services.kernel.errors import Refused
from services.kernel.messages import TEMPLATES

log = logging.getLogger(__name__)

INBOX_KEPT = timedelta(days=7)
LOAN_ALERT = "loan_alert"  # A channel of its own: members' numbers, unlike users', were never tried.
MESSAGES = Counter("lokos_messages", "Messages to users and members, by what became of them: sent, failed, dropped", ["channel", "outcome"])

_sms, _mail = cache(sms.gateway), cache(mail.server)


def check() -> None:
    """Before the first job: whatever sending needs is there, or the process ends by its name; a sandbox says so."""
    _sms()
    _mail()
    settings.text("LOKOS_PERSON_KEY")
    for channel in ("sms", "mail", LOAN_ALERT):
        for outcome in ("sent", "failed", "dropped"):
            MESSAGES.labels(channel, outcome)


@job(effect=True)
def send_sms(service: str, arguments: Arguments) -> None:
    def send(to: Contact, words: Wording) -> str:
        is_otp = TEMPLATES[arguments["template"]].is_otp
        return _sms().send(Sms(arguments["key"], to.mobile, _filled(words, arguments), words.language, words.template_id, is_otp))

    _send("sms", service, arguments, send, registered_alone=_sms().takes_registered_alone)


@job(effect=True)
def send_mail(service: str, arguments: Arguments) -> None:
    def send(to: Contact, words: Wording) -> str:
        return _mail().send(Mail(arguments["key"], to.email, _filled(words, arguments), words.language))

    _send("mail", service, arguments, send)


@job(effect=True)
def send_loan_alert(service: str, arguments: Arguments) -> None:
    """Tell a member of a loan given in her name. It is taken out first: whatever happens then, nobody can send it again."""
    key = f"loan_given:{arguments['loan_id']}"
    facts = {"channel": LOAN_ALERT, "key": key, "template": "loan_given"}
    try:
        with database.transaction(service) as connection:
            taken, restored_at = alert.take(connection, UUID(arguments["loan_id"])), epochs.restored_at(connection)
    except Refused as busy:
        raise NotBegun from busy
    if taken is None or taken.is_late(datetime.now(UTC), restored_at):
        MESSAGES.labels(LOAN_ALERT, "dropped").inc()
        log.warning("an alert came too late", extra=facts)
        return

    def send(words: Wording) -> str:
        return _sms().send(Sms(key, taken.mobile, words.text.format(**taken.places), words.language, words.template_id, is_otp=False))

    _hand_over(facts, rules.languages_of_members(settings.state().languages), send, registered_alone=_sms().takes_registered_alone)


def _send(channel: str, service: str, arguments: Arguments, send: Callable[[Contact, Wording], str], *, registered_alone: bool = False) -> None:
    """Send one message of `commands.message.post`, and count what became of it. A one-time password that is over is dropped."""
    facts = {"channel": channel, "key": arguments["key"], "template": arguments["template"]}
    try:
        with database.reading(service) as connection:
            to = queries.contact(connection, arguments["user_id"])
    except Refused as busy:
        raise NotBegun from busy
    ends = arguments.get("expires_at")
    if to is None or (ends and datetime.fromisoformat(ends) <= datetime.now(UTC)):
        MESSAGES.labels(channel, "dropped").inc()
        log.warning("a message came too late, or its user is gone", extra=facts)
        return
    _hand_over(facts, (to.language, settings.state().languages[0]), lambda words: send(to, words), registered_alone=registered_alone)


def _hand_over(facts: dict[str, str], languages: Iterable[str], send: Callable[[Wording], str], *, registered_alone: bool) -> None:
    """Send the text of a message in the first of these languages that has one, and count what became of it."""
    try:
        words = rules.wording(settings.state().messages, facts["template"], languages, registered_alone=registered_alone)
        outside_id = send(words)
    except Exception as error:
        MESSAGES.labels(facts["channel"], "failed").inc()
        log.warning("a message was not sent", extra=facts | {"reason": str(error) if isinstance(error, Refused) else describe(error)})
        raise
    MESSAGES.labels(facts["channel"], "sent").inc()
    # By this id the gateway's own records can be asked.
    log.info("a message was sent", extra=facts | {"outside_id": outside_id})


def _filled(words: Wording, arguments: Arguments) -> str:
    places = {"user_id": arguments["user_id"]}
    if "challenge_id" in arguments:
        places["otp"] = otp.code(otp.key_of(settings.text("LOKOS_PERSON_KEY").encode()), UUID(arguments["challenge_id"]))
    return words.text.format(**places)


@job(every_seconds=3600)
def forget_messages(_service: str, _arguments: Arguments) -> None:
    if settings.text("LOKOS_MESSAGE_INBOX", ""):  # Which the real ones do not need.
        inbox.inbox().forget(datetime.now(UTC) - INBOX_KEPT)


@job(every_seconds=3600)
def forget_alerts(service: str, _arguments: Arguments) -> None:
    """A day later than they are too late to send, so that the one who drops them is the one who counts."""
    with database.transaction(service) as connection:
        alert.forget(connection, datetime.now(UTC) - rules.ALERT_KEPT - timedelta(days=1))


@job(every_seconds=3600)
def forget_unconfirmed(_service: str, _arguments: Arguments) -> None:
    with database.transaction("vault") as connection:
        vault.forget_unconfirmed(connection, datetime.now(UTC) - UNCONFIRMED_KEPT)


@job(every_seconds=3600)
def forget_logins(service: str, _arguments: Arguments) -> None:
    with database.transaction(service) as connection:
        session.forget(connection, datetime.now(UTC))


@job(every_seconds=3600)
def forget_progress(service: str, _arguments: Arguments) -> None:
    with database.transaction(service) as connection:
        sheet.forget_progress(connection, datetime.now(UTC) - sheet.PROGRESS_KEPT)
