"""Timers and outside effects: messages go out, each at most once; what is over is erased, tries and sessions of long ago are forgotten."""

import logging
import time
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
from services.identity.commands import alert, retention, session, sheet, vault
from services.identity.rules import message as rules
from services.identity.rules import otp
from services.identity.rules.message import Contact, Mail, Sms, Wording
from services.identity.rules.retention import CLASSES
from services.kernel.errors import Refused
from services.kernel.messages import TEMPLATES
from services.kernel.month import today

log = logging.getLogger(__name__)

INBOX_KEPT = timedelta(days=7)
# Well within a worker's lease: what is left waits for the next round.
ERASING_SECONDS_MAX = 300
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
    if taken.member_id:
        with database.transaction(service) as connection:
            alert.note_sent(connection, key, "loan_given", taken.member_id, datetime.now(UTC))


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


def days(policy: str) -> int:
    """What a policy says today."""
    return settings.state().policies.value(policy, today())


@job(every_seconds=3600)
def erase_what_is_over(service: str, _arguments: Arguments) -> None:
    """Class by class, a batch a transaction, until nothing is over or its time is up: the rest is its next round's.

    One class that fails, such as the vault's while that is away, keeps none of the others.
    """
    ends, failed = time.monotonic() + ERASING_SECONDS_MAX, None
    for name in CLASSES:
        try:
            _erase_class(service, name, ends)
        except Exception as error:  # noqa: BLE001 - raised below, when the others had their turn
            log.warning("a class could not be erased", extra={"kept": name, "reason": describe(error)})
            failed = error
    if failed:
        raise failed


def _erase_class(service: str, name: str, ends: float) -> None:
    now, erased, more = datetime.now(UTC), 0, True
    while more and time.monotonic() < ends:
        gone = _erase_numbers(service, now) if name == "NUMBERS" else _erase(service, name, now)
        erased, more = erased + gone, gone > 0
    with database.transaction(service) as connection:
        retention.note_run(connection, name, now, erased)


def _erase(service: str, name: str, now: datetime) -> int:
    if name not in retention.OF_THE_VAULT:
        with database.transaction(service) as connection:
            gone = retention.erase(connection, name, now, days)
            if gone:
                retention.note(connection, name, gone)
        return len(gone)
    with database.reading(service) as connection:
        held = retention.held_references(connection)
    with database.transaction("vault") as connection:
        gone = retention.erase(connection, name, now, days, held)
    if gone:
        with database.transaction(service) as connection:
            retention.note(connection, name, gone)
    return len(gone)


def _erase_numbers(service: str, now: datetime, member_id: UUID | None = None) -> int:
    """First out of the vault, then noted: cut short between, they are erased once more."""
    with database.reading(service) as connection:
        due = retention.due_numbers(connection, now, days, member_id)
    if not due.kyc_ids:
        return 0
    with database.transaction("vault") as connection:
        vault.erase(connection, due.references, "retention", retention.TIMER.user_id, now)
    with database.transaction(service) as connection:
        retention.note_numbers(connection, due.kyc_ids, now)
    return len(due.kyc_ids)


@job()
def prove_number(_service: str, arguments: Arguments) -> None:
    """Her e-KYC is confirmed: the vault keeps her number for longer than a day."""
    with database.transaction("vault") as connection:
        vault.prove(connection, UUID(arguments["reference"]))


@job()
def erase_numbers(service: str, arguments: Arguments) -> None:
    """She withdrew: her number goes at once, unless a legal hold keeps it."""
    while _erase_numbers(service, datetime.now(UTC), UUID(arguments["member_id"])):
        pass


@job(every_seconds=3600)
def forget_logins(service: str, _arguments: Arguments) -> None:
    with database.transaction(service) as connection:
        session.forget(connection, datetime.now(UTC))


@job(every_seconds=3600)
def forget_progress(service: str, _arguments: Arguments) -> None:
    with database.transaction(service) as connection:
        sheet.forget_progress(connection, datetime.now(UTC) - sheet.PROGRESS_KEPT)
