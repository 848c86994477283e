"""The mail server: what we need of it, SMTP, and a sandbox that sends nothing."""

import logging
import re
import smtplib
import ssl
from dataclasses import asdict, dataclass, field
from email.message import EmailMessage
from email.utils import format_datetime, localtime, make_msgid
from typing import Protocol

from services.chassis import settings
from services.identity.adapters.inbox import Inbox, inbox
from services.identity.rules.message import Mail
from services.kernel.errors import Invalid, Unavailable

log = logging.getLogger(__name__)

SEND_SECONDS_MAX = 10
SUBJECT = "LokOS"
# How the connection becomes secret, and the port where that is usual.
PORTS = {"starttls": 587, "tls": 465}
_ADDRESS = re.compile(r"[^\s@<>(),;:\\\"]+@[A-Za-z0-9.-]+")


class MailServer(Protocol):
    """Asked outside of any transaction. Raises Unavailable: MAIL_AWAY where nobody knows whether it was sent, MAIL_REFUSED where it was not."""

    def send(self, message: Mail) -> str:
        """Hand over one message; gives its Message-ID."""


class Sandbox:
    """Writes to the inbox."""

    def __init__(self, to: Inbox) -> None:
        self._inbox = to
        log.warning("SANDBOX mail: nothing is sent; messages are files in LOKOS_MESSAGE_INBOX. Never use this for real users.")

    def send(self, message: Mail) -> str:
        self._inbox.put(f"{message.key}.mail", {"channel": "mail"} | asdict(message))
        return f"sandbox-{message.key}"


@dataclass(frozen=True, slots=True)
class Smtp:
    """A mail server that takes ours; without a username, one that knows us by our address."""

    host: str
    port: int
    tls: str
    sender: str
    username: str
    password: str = field(repr=False)

    def send(self, message: Mail) -> str:
        if not _ADDRESS.fullmatch(message.address):  # Two in one would be two who read it.
            raise Invalid("EMAIL_INVALID", "A mail address is one word, @ and a domain.", field="email")
        mail = EmailMessage()
        mail["From"], mail["To"], mail["Subject"] = self.sender, message.address, SUBJECT
        mail["Date"] = format_datetime(localtime())
        mail["Message-ID"] = make_msgid(domain=self._domain)
        mail["Auto-Submitted"] = "auto-generated"
        mail["Content-Language"] = message.language
        mail.set_content(message.text)
        try:
            with self._connect() as server:
                if self.username:
                    server.login(self.username, self.password)
                server.send_message(mail)
        except smtplib.SMTPRecipientsRefused as refused:
            raise _refused(next(iter(refused.recipients.values()))[0]) from None  # Its own words quote the address.
        except smtplib.SMTPResponseException as refused:
            raise _refused(refused.smtp_code) from None
        except smtplib.SMTPNotSupportedError:
            raise _refused("that it has no STARTTLS, or takes no such address") from None
        except OSError:  # Every other word of smtplib's is one, too.
            raise Unavailable("MAIL_AWAY", "The mail server did not answer as one; whether it sent the message, its own records say.") from None
        return str(mail["Message-ID"])

    @property
    def _domain(self) -> str:
        return self.sender.rpartition("@")[2]

    def _connect(self) -> smtplib.SMTP:
        context = ssl.create_default_context()
        if self.tls == "tls":
            return smtplib.SMTP_SSL(self.host, self.port, self._domain, timeout=SEND_SECONDS_MAX, context=context)
        server = smtplib.SMTP(self.host, self.port, self._domain, timeout=SEND_SECONDS_MAX)
        try:
            server.starttls(context=context)
        except BaseException:
            server.close()
            raise
        return server


def _refused(code: int | str) -> Unavailable:
    return Unavailable("MAIL_REFUSED", "The mail server did not take the message: it answered {answer}.", answer=code)


def server() -> MailServer:
    """The server that the setting LOKOS_MAIL names."""
    named = settings.text("LOKOS_MAIL")
    if named == "sandbox":
        return Sandbox(inbox())
    if named != "smtp":
        raise SystemExit(f"The setting LOKOS_MAIL is {named!r}; it must be sandbox or smtp.")
    host, sender = (settings.text(f"LOKOS_MAIL_{name}") for name in ("HOST", "FROM"))
    tls = settings.text("LOKOS_MAIL_TLS", "starttls")
    if tls not in PORTS:
        raise SystemExit(f"The setting LOKOS_MAIL_TLS is {tls!r}; it must be one of {', '.join(PORTS)}.")
    if not _ADDRESS.fullmatch(sender):
        raise SystemExit(f"The setting LOKOS_MAIL_FROM is {sender!r}; it must be a bare address, such as lokos@state.example.")
    port = settings.number("LOKOS_MAIL_PORT", PORTS[tls])
    return Smtp(host, port, tls, sender, settings.text("LOKOS_MAIL_USERNAME", ""), settings.text("LOKOS_MAIL_PASSWORD", ""))
