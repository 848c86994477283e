"""Whether an account is there and whose it is: what we need of the banks, and a penny-drop service in the JSON that these commonly speak."""

import http.client
import json
import logging
import time
from functools import partial
from typing import Any, Protocol
from urllib.parse import urlencode

from services.chassis import settings
from services.chassis.outside import Away, Outside
from services.profiles.adapters import bank_sandbox
from services.profiles.rules.account import Answer, Outcome

log = logging.getLogger(__name__)

ANSWER_SECONDS_MAX = 20
ANSWER_BYTES_MAX = 100_000
NAME_LENGTH_MAX = 200
# After so many calls in a row without an answer nobody is asked for a while: each of them would hold a worker up.
FAILURES_MAX, REST_SECONDS = 5, 60

_SAID = {
    "VALID": Outcome.VALID,
    "INVALID": Outcome.INVALID,
    **dict.fromkeys(("PENDING", "RECEIVED", "IN_PROCESS", "PROCESSING", "APPROVAL_PENDING", "PARTIALLY_APPROVED"), Outcome.ASKED),
}


class BankAccounts(Protocol):
    """Asked outside of any transaction. Where it does not answer, the outcome is UNKNOWN: nothing is raised."""

    def verify(self, number: str, ifsc: str, name: str, reference: str) -> Answer:
        """Ask about an account. The same `reference` is the same question, asked and paid for once."""

    def answer_to(self, reference: str) -> Answer:
        """What became of a question that was answered ASKED, by the bank's own reference."""


class PennyDrop:
    """A service that sends the account a rupee and tells what the bank says. Its answers to come are asked for, not pushed."""

    def __init__(self, service: Outside, client_id: str, client_secret: str, *, waits: bool = True) -> None:
        """`waits`: it answers at once, where it can; otherwise it takes the question and is asked for the answer later."""
        self._service = service
        self._headers = {"Content-Type": "application/json", "Accept": "application/json", "x-client-id": client_id, "x-client-secret": client_secret}
        self._waits = waits
        self._failures = 0
        self._rests_until = 0.0

    def verify(self, number: str, ifsc: str, name: str, reference: str) -> Answer:
        asked = {"bank_account": number, "ifsc": ifsc, "name": name, **({} if self._waits else {"user_id": reference})}
        path = "/bank-account/sync" if self._waits else "/bank-account/async"
        return self._ask("POST", path, json.dumps(asked).encode(), {"x-idempotency-key": reference})

    def answer_to(self, reference: str) -> Answer:
        return self._ask("GET", f"/bank-account?{urlencode({'reference_id': reference})}", b"", {}, reference)

    def _ask(self, method: str, path: str, body: bytes, headers: dict[str, str], reference: str = "") -> Answer:
        """Where there is no answer, `reference` stays what the next one is asked for by."""
        unknown = partial(Answer, Outcome.UNKNOWN, reference)
        if time.monotonic() < self._rests_until:
            return unknown(reason="RESTS")
        try:
            status, said = self._service.ask(method, path, body, self._headers | headers, bytes_max=ANSWER_BYTES_MAX)
        except Away:
            self._failed()
            return unknown(reason="AWAY")
        if status >= http.client.INTERNAL_SERVER_ERROR or status == http.client.TOO_MANY_REQUESTS:
            self._failed()
            return unknown(reason=f"HTTP_{status}")
        self._failures = 0
        if status == http.client.NOT_FOUND and reference:  # It forgot the question, which may be asked anew.
            return Answer(Outcome.UNKNOWN, reason="FORGOTTEN")
        if status not in {http.client.OK, http.client.CREATED, http.client.ACCEPTED}:
            log.error("the penny-drop service refused", extra={"status": status})
            return unknown(reason=f"HTTP_{status}")
        return _read(said) or unknown(reason="UNREADABLE")

    def _failed(self) -> None:
        self._failures += 1
        if self._failures >= FAILURES_MAX:
            self._failures, self._rests_until = 0, time.monotonic() + REST_SECONDS
            log.warning("the penny-drop service does not answer; nobody is asked for a while", extra={"seconds": REST_SECONDS})


def _read(said: bytes) -> Answer | None:
    """The answer in the service's JSON; None where it is none."""
    try:
        told: dict[str, Any] = json.loads(said)
        status = str(told.get("account_status") or told.get("status") or "").upper()
        reference = str(told.get("reference_id") or told.get("id") or "")
        name = " ".join(str(told.get("name_at_bank") or "").split())[:NAME_LENGTH_MAX]
        score = told.get("name_match_score")
        percent = None if score in {None, ""} else round(min(max(float(score), 0), 100))
        reason = str(told.get("account_status_code") or status)[:NAME_LENGTH_MAX]
    except (ValueError, TypeError, AttributeError):
        return None
    outcome = _SAID.get(status, Outcome.UNKNOWN)
    if outcome is Outcome.ASKED and not reference:  # There would be nothing to ask for it by.
        return None
    # Its reference serves an answer to come alone: whatever failed at the bank is asked anew.
    return Answer(outcome, reference if outcome is Outcome.ASKED else "", name, percent, reason)


def banks() -> BankAccounts | None:
    """The service that the setting LOKOS_BANK names; None where nobody is to be asked."""
    named = settings.text("LOKOS_BANK")
    seconds = settings.number("LOKOS_BANK_SECONDS_MAX", ANSWER_SECONDS_MAX)
    if named == "none":
        return None
    if named == "sandbox":
        service = Outside("LOKOS_BANK_URL", settings.text("LOKOS_BANK_URL", "") or bank_sandbox.started().url, seconds)
        if not service.is_loopback:
            raise SystemExit("LOKOS_BANK is sandbox, so LOKOS_BANK_URL must be on this machine's loopback: no real bank is asked from here.")
        log.warning("SANDBOX bank: accounts are not verified, answers are invented. Never use this for real members.")
        return PennyDrop(service, bank_sandbox.CLIENT_ID, bank_sandbox.CLIENT_SECRET, waits=_waits())
    if named != "penny-drop":
        raise SystemExit(f"The setting LOKOS_BANK is {named!r}; it must be none, sandbox or penny-drop.")
    # In the pods and on the machines that ask; no other process has them.
    url, client_id, client_secret = (settings.text(f"LOKOS_BANK_{name}") for name in ("URL", "CLIENT_ID", "CLIENT_SECRET"))
    return PennyDrop(Outside("LOKOS_BANK_URL", url, seconds), client_id, client_secret, waits=_waits())


def _waits() -> bool:
    way = settings.text("LOKOS_BANK_WAY", "sync")
    if way not in {"sync", "async"}:
        raise SystemExit(f"The setting LOKOS_BANK_WAY is {way!r}; it must be sync or async.")
    return way == "sync"
