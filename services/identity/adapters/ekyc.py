"""The provider of online e-KYC: what we need of it, and the one that the settings name."""

import logging
from typing import Protocol
from uuid import uuid4

from services.chassis import settings
from services.identity.adapters import uidai, uidai_sandbox
from services.identity.adapters.uidai import Confirmed
from services.identity.rules.uidai import TXN_PREFIX

log = logging.getLogger(__name__)


class EkycProvider(Protocol):
    """Asked outside of any transaction. Raises Refused: AADHAAR_INVALID, KYC_OTP_WRONG, KYC_EXPIRED, EKYC_* (EKYC_AWAY where it does not answer)."""

    takes_never_issued: bool

    def request_otp(self, number: str, txn: str) -> None:
        """Have the resident sent a one-time password."""

    def confirm(self, number: str, txn: str, otp: str) -> Confirmed:
        """Who the resident is, by that one-time password of that transaction."""


def new_txn() -> str:
    """The id of a transaction; it tells nothing of the number."""
    return f"{TXN_PREFIX}{uuid4().hex}"


def provider() -> EkycProvider:
    """The provider that the setting LOKOS_EKYC names."""
    named = settings.text("LOKOS_EKYC")
    if named == "sandbox":
        log.warning("SANDBOX e-KYC: residents are invented, read from a file; nobody is verified. Never use this for real members.")
        return uidai_sandbox.started().client()
    if named != "uidai":
        raise SystemExit(f"The setting LOKOS_EKYC is {named!r}; it must be sandbox or uidai.")
    return uidai.configured()
