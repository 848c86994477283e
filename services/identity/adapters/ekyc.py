"""The e-KYC provider: what we need of it, and a sandbox of invented residents."""

import csv
import hmac
import logging
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from services.chassis import settings
from services.kernel.errors import Invalid, Unavailable

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class KycResult:
    """What the provider says of a resident who gave the right one-time password."""

    name: str
    birth_year: int
    gender: str


class EkycProvider(Protocol):
    """Asked outside of any transaction. Raises Unavailable EKYC_AWAY where it does not answer."""

    takes_never_issued: bool

    def request_otp(self, number: str) -> str:
        """Have the resident sent a one-time password; gives the provider's own id of this transaction."""

    def confirm(self, txn: str, otp: str) -> KycResult | None:
        """Who the resident is; None where the one-time password is wrong."""


class Sandbox:
    """Invented residents from a file; their one-time passwords stand in it too. Its numbers begin with 0 or 1."""

    takes_never_issued = True

    def __init__(self, file: Path) -> None:
        self._file = file
        log.warning("SANDBOX e-KYC: residents are invented, read from a file; nobody is verified. Never use this for real members.")

    def request_otp(self, number: str) -> str:
        """The id is the resident's line, so that any process can confirm, and so that it does not tell the number."""
        for line, resident in self._residents():
            if resident["number"] == number:
                return f"sandbox-{line}"
        raise Invalid("AADHAAR_INVALID", "The sandbox knows no such number; take one from its file of residents.", field="aadhaar_number")

    def confirm(self, txn: str, otp: str) -> KycResult | None:
        for line, resident in self._residents():
            if txn == f"sandbox-{line}" and hmac.compare_digest(resident["otp"].encode(), otp.encode()):
                return KycResult(resident["name"], int(resident["birth_year"]), resident["gender"])
        return None

    def _residents(self) -> Iterator[tuple[int, dict[str, str]]]:
        try:
            text = self._file.read_text(encoding="utf-8")
        except OSError:
            raise Unavailable("EKYC_AWAY", "The e-KYC provider does not answer; try again later.") from None
        return enumerate(csv.DictReader(line for line in text.splitlines() if not line.startswith("#")))


def provider() -> EkycProvider:
    """The provider that the setting LOKOS_EKYC names."""
    named = settings.text("LOKOS_EKYC")
    if named != "sandbox":
        raise SystemExit(f"The setting LOKOS_EKYC is {named!r}: only sandbox exists yet.")
    return Sandbox(Path(settings.text("LOKOS_SANDBOX_RESIDENTS_FILE")))
