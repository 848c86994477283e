"""The SMS gateway: what we need of it, C-DAC's Mobile Seva, and a sandbox that sends nothing."""

import hashlib
import http.client
import logging
import re
import ssl
from dataclasses import asdict, dataclass, field
from typing import Protocol
from urllib.parse import urlencode, urlsplit

from services.chassis import settings
from services.identity.adapters.inbox import Inbox, inbox
from services.identity.rules.message import Sms, unregistered
from services.kernel.errors import Unavailable

log = logging.getLogger(__name__)

SEND_SECONDS_MAX = 10
ANSWER_BYTES_MAX = 1000
PASSWORD_HASHES = ("sha1", "md5")
_TAKEN = re.compile(r"\s*402\s*,\s*MsgID\s*=\s*([\w.-]{1,100})")
_PLACE = re.compile(r"[A-Za-z0-9.-]+(:[0-9]{1,5})?")
_CODE = re.compile(r"\b[0-9]{3}\b")


class SmsGateway(Protocol):
    """Asked outside of any transaction. Raises Unavailable: SMS_AWAY where nobody knows whether it was sent, SMS_REFUSED where it was not."""

    takes_registered_alone: bool

    def send(self, message: Sms) -> str:
        """Hand over one message; gives the gateway's own id of it."""


class Sandbox:
    """Writes to the inbox."""

    takes_registered_alone = False

    def __init__(self, to: Inbox) -> None:
        self._inbox = to
        log.warning("SANDBOX SMS: nothing is sent; messages are files in LOKOS_MESSAGE_INBOX. Never use this for real users.")

    def send(self, message: Sms) -> str:
        self._inbox.put(message.key, {"channel": "sms"} | asdict(message))
        return f"sandbox-{message.key}"


@dataclass(frozen=True, slots=True)
class Account:
    """A department's account with Mobile Seva. The password is kept as its hash, which is what the gateway asks for."""

    username: str
    password_hash: str = field(repr=False)
    secure_key: str = field(repr=False)
    sender_id: str
    entity_id: str


class MobileSeva:
    """C-DAC's Mobile Seva, over HTTPS: one form a message."""

    takes_registered_alone = True

    def __init__(self, url: str, account: Account) -> None:
        parts = urlsplit(url)
        if parts.scheme != "https" or not _PLACE.fullmatch(parts.netloc):
            raise SystemExit("The setting LOKOS_SMS_URL must be an https address, such as https://host/esms/sendsmsrequestDLT.")
        self._place = parts.netloc
        self._path = parts.path or "/"
        self._account = account
        self._tls = ssl.create_default_context()

    def send(self, message: Sms) -> str:
        status, answer = self._post(urlencode(self._form(message)))
        taken = _TAKEN.match(answer)
        if status == http.client.OK and taken:
            return taken[1]
        # Of what it says its code alone: the rest may quote the number.
        code = _CODE.search(answer) if status == http.client.OK else None
        said = code[0] if code else f"HTTP {status} and none of its codes"
        raise Unavailable("SMS_REFUSED", "The SMS gateway did not take the message: it answered {answer}.", answer=said)

    def _form(self, message: Sms) -> dict[str, str]:
        account, plain = self._account, message.text.isascii()
        content = message.text if plain else "".join(f"&#{ord(letter)};" for letter in message.text)
        seal = hashlib.sha512(f"{account.username}{account.sender_id}{content}{account.secure_key}".encode())
        return {
            "username": account.username,
            "password": account.password_hash,
            "senderid": account.sender_id,
            "content": content,
            "smsservicetype": ("" if plain else "unicode") + ("otpmsg" if message.is_otp else "singlemsg" if plain else "msg"),
            "mobileno": message.mobile,
            "key": seal.hexdigest(),
            "templateid": message.template_id,
            "entityid": account.entity_id,
        }

    def _post(self, form: str) -> tuple[int, str]:
        """Follows no redirection: what it carries is for this address alone."""
        connection = http.client.HTTPSConnection(self._place, timeout=SEND_SECONDS_MAX, context=self._tls)
        try:
            connection.request("POST", self._path, form, {"Content-Type": "application/x-www-form-urlencoded"})
            answer = connection.getresponse()
            return answer.status, answer.read(ANSWER_BYTES_MAX).decode(errors="replace")
        except (OSError, http.client.HTTPException):
            raise Unavailable("SMS_AWAY", "The SMS gateway did not answer; whether it sent the message, its own records say.") from None
        finally:
            connection.close()


def gateway() -> SmsGateway:
    """The gateway that the setting LOKOS_SMS names. With the real one, a text that is not registered ends the process here."""
    named = settings.text("LOKOS_SMS")
    if named == "sandbox":
        return Sandbox(inbox())
    if named != "mobile-seva":
        raise SystemExit(f"The setting LOKOS_SMS is {named!r}; it must be sandbox or mobile-seva.")
    # In the pods and on the machines that send; no other process has them.
    url, username, password, secure_key = (settings.text(f"LOKOS_SMS_{name}") for name in ("URL", "USERNAME", "PASSWORD", "SECURE_KEY"))
    kind = settings.text("LOKOS_SMS_PASSWORD_HASH", PASSWORD_HASHES[0])
    if kind not in PASSWORD_HASHES:
        raise SystemExit(f"The setting LOKOS_SMS_PASSWORD_HASH is {kind!r}; it must be one of {', '.join(PASSWORD_HASHES)}.")
    state = settings.state()
    if missing := unregistered(state.messages, state.languages):
        raise SystemExit(
            f"LOKOS_SMS is {named}, which sends registered texts alone, and the state's file registers none of {', '.join(missing)}: "
            f"add [messages] and a [[messages.templates]] for each, in {state.languages[0]} (docs/operate.md, SMS and mail)."
        )
    password_hash = hashlib.new(kind, password.encode()).hexdigest()  # Weak, and what it asks for: TLS is what protects it.
    return MobileSeva(url, Account(username, password_hash, secure_key, state.messages.sender_id, state.messages.entity_id))
