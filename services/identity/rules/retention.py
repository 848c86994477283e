"""Retention: what is kept of members, for how long, from when, and by which law; and when it is over."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from services.identity.rules.kyc import UNCONFIRMED_KEPT
from services.identity.rules.message import ALERT_KEPT

# The job looks through all classes every hour. What is due for longer than this was forgotten.
GRACE = timedelta(days=1)

Days = Callable[[str], int]  # The value of a policy today.


@dataclass(frozen=True, slots=True)
class Class:
    """One class of what is kept. Its time is a policy of the state's in days, or fixed."""

    name: str
    what: str
    since: str
    why: str
    policy: str = ""
    fixed: timedelta = timedelta()

    def kept(self, days: Days) -> timedelta:
        return timedelta(days=days(self.policy)) if self.policy else self.fixed


_LOGS = "Aadhaar (Authentication) Regulations 2021: 2 years, then 5 in the archive"
CLASSES = {
    one.name: one
    for one in (
        Class(
            "UNCONFIRMED_NUMBERS",
            "Aadhaar numbers that nobody proved to be hers",
            "they were handed in",
            "no longer than they serve",
            fixed=UNCONFIRMED_KEPT,
        ),
        Class(
            "NUMBERS",
            "Aadhaar numbers",
            "she left or her consent ran out; at once where she withdrew",
            "DPDP Act s.8(7)",
            policy="number_kept_days",
        ),
        Class("EKYC_LOGS", "who asked for which e-KYC; without the number", "it was confirmed or ended", _LOGS, policy="ekyc_log_days"),
        Class("EVIDENCE_LOGS", "which member a signed paper verified; without the paper", "it did so", _LOGS, policy="ekyc_log_days"),
        Class("VAULT_USES", "who had the vault do what", "it was done", _LOGS, policy="ekyc_log_days"),
        Class(
            "CONSENTS",
            "records of consents",
            "the consent, and every one before it, ended",
            "as consent managers, DPDP Rules 2025 r.4: 7 years",
            policy="consent_kept_days",
        ),
        Class("MESSAGES", "that a message was sent", "it was sent", "DPDP Rules 2025 r.8(3): 1 year", policy="message_log_days"),
        Class(
            "ALERTS",
            "messages that could not be sent, with the number",
            "the meeting was approved",
            "no longer than they serve",
            fixed=ALERT_KEPT + timedelta(days=1),  # So that the one who drops them is the one who counts.
        ),
    )
}


@dataclass(frozen=True, slots=True)
class Standing:
    """How one class stands. `due` is over and not erased yet, `overdue` for longer than GRACE; `held` would be due, but for a legal hold."""

    rows: int
    oldest: datetime | None
    due: int
    overdue: int
    held: int
