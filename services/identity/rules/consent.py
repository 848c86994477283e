"""Consent: the notices that a member is told, the chain of what she said, and whether a consent holds."""

import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from datetime import UTC, date, datetime, timedelta
from enum import StrEnum
from functools import cache
from pathlib import Path
from typing import Any
from uuid import UUID

from services.kernel.canonical import Content, content_hash
from services.kernel.errors import Conflict, Invalid
from services.kernel.month import business_date

NOTICES = Path(__file__).parents[1] / "notices"
REFERENCE_LENGTH_MAX = 100
FALLBACK = "en"  # Which every notice is in.
CLOCK_SLACK = timedelta(minutes=5)  # Of a device whose clock is a little ahead.
GENESIS = b""  # What stands before the first record of a member.


class Purpose(StrEnum):
    """What a member may consent to, each by itself."""

    AADHAAR_QR = "AADHAAR_QR"
    AADHAAR_OFFLINE = "AADHAAR_OFFLINE"
    AADHAAR_ONLINE = "AADHAAR_ONLINE"
    PHOTO = "PHOTO"
    MESSAGES = "MESSAGES"
    BANK_SHARING = "BANK_SHARING"


class Channel(StrEnum):
    SELF = "SELF"  # She read and tapped it herself.
    ASSISTED = "ASSISTED"  # It was read to her, and somebody else tapped.


class Kind(StrEnum):
    GIVEN = "GIVEN"
    WITHDRAWN = "WITHDRAWN"


# --- Notices.


@dataclass(frozen=True, slots=True)
class Notice:
    """One version of a notice in one language. `retention` is the class by which what she consented to is kept (rules.retention)."""

    purpose: Purpose
    version: int
    language: str
    title: str
    text: str
    data_items: tuple[str, ...]
    recipients: tuple[str, ...]
    lawful_basis: str
    retention: str
    valid_from: date
    valid_days: int

    @property
    def hash(self) -> bytes:
        """Of all that it says, so that a record tells for ever what she was told."""
        return content_hash({name: str(one) if isinstance(one := getattr(self, name), date) else one for name in _NAMES})


_NAMES = tuple(one.name for one in fields(Notice))


def read_notices(files: Iterable[Mapping[str, Any]]) -> dict[tuple[Purpose, int, str], Notice]:
    """Notices as the files beside this service hold them."""
    found = [
        Notice(
            purpose=Purpose(file["purpose"]),
            version=version["version"],
            language=language,
            title=told["title"],
            text=told["text"].strip(),
            data_items=tuple(version["data_items"]),
            recipients=tuple(version["recipients"]),
            lawful_basis=version["lawful_basis"],
            retention=version["retention"],
            valid_from=version["valid_from"],
            valid_days=version["valid_days"],
        )
        for file in files
        for version in file["versions"]
        for language, told in version["texts"].items()
    ]
    return {(one.purpose, one.version, one.language): one for one in found}


@cache
def notices() -> Mapping[tuple[Purpose, int, str], Notice]:
    """Every notice that was ever told."""
    return read_notices(tomllib.loads(path.read_text(encoding="utf-8")) for path in sorted(NOTICES.glob("*.toml")))


def current(purpose: str, language: str, today: date) -> list[Notice]:
    """What is told today: of one purpose or of all, in one language or in all."""
    newest: dict[tuple[Purpose, str], Notice] = {}
    for (one, version, spoken), notice in notices().items():
        told = language in {"", spoken} or (spoken == FALLBACK and language not in _spoken(one))
        wanted = purpose in {"", one} and told and notice.valid_from <= today
        if wanted and ((one, spoken) not in newest or newest[one, spoken].version < version):
            newest[one, spoken] = notice
    return list(newest.values())


def _spoken(purpose: Purpose) -> set[str]:
    return {language for one, _, language in notices() if one is purpose}


def check_purpose(purpose: str) -> Purpose:
    if purpose not in set(Purpose):
        raise Invalid("PURPOSE_UNKNOWN", "There is no such purpose; a consent is for one of: {known}.", field="purpose", known=", ".join(Purpose))
    return Purpose(purpose)


# --- What a member says.


@dataclass(frozen=True, slots=True)
class Given:
    """That she consents, as the device says it. `until` is the end that she set, None where the notice's own stands."""

    consent_id: UUID
    member_id: UUID
    notice: Notice
    data_items: tuple[str, ...]
    channel: Channel
    device_id: str
    proof: str
    at: datetime
    until: datetime | None

    @property
    def expires_at(self) -> datetime:
        most = self.at + timedelta(days=self.notice.valid_days)
        return min(self.until, most) if self.until else most


def check_notice(purpose: str, version: int, language: str, told_hash: str) -> Notice:
    """The notice that she was told, word for word as it stands here."""
    notice = notices().get((check_purpose(purpose), version, language))
    if notice is None or notice.hash.hex() != told_hash.lower():
        raise Invalid("NOTICE_UNKNOWN", "There is no such notice, or it reads otherwise; fetch the notices again.", field="notice_version")
    return notice


def check_channel(channel: str) -> Channel:
    if channel not in set(Channel):
        raise Invalid("CHANNEL_UNKNOWN", "Say whether she did it herself (SELF) or somebody did it for her (ASSISTED).", field="channel")
    return Channel(channel)


def check_reference(said: str, field: str) -> str:
    """What names a device, or a proof."""
    if len(said) > REFERENCE_LENGTH_MAX:
        raise Invalid("REFERENCE_TOO_LONG", "This has at most {most} characters.", field=field, most=REFERENCE_LENGTH_MAX)
    return said.strip()


def check_given(given: Given, now: datetime) -> Given:
    """Refuse what was given in the future, before its notice was, to more than the notice names, or for no time at all."""
    if given.at > now + CLOCK_SLACK:
        raise Invalid("GIVEN_IN_FUTURE", "A consent cannot be given in the future; set the clock of the device right.", field="given_at")
    if business_date(given.at) < given.notice.valid_from:
        raise Invalid("GIVEN_BEFORE_NOTICE", "Nobody was told this notice before {first}.", field="given_at", first=given.notice.valid_from)
    if not given.data_items or not set(given.data_items) <= set(given.notice.data_items):
        raise Invalid("DATA_ITEMS_UNKNOWN", "Name what she consents to, of what the notice names.", field="data_items")
    if given.notice.purpose.startswith("AADHAAR_") and set(given.data_items) != set(given.notice.data_items):
        raise Invalid(
            "DATA_ITEMS_MISSING", "A verification reads all that its notice names; who does not want that is enrolled without it.", field="data_items"
        )
    if given.until and given.until <= given.at:
        raise Invalid("EXPIRES_BEFORE_GIVEN", "This consent would end before it begins.", field="expires_at")
    return replace(given, data_items=tuple(one for one in given.notice.data_items if one in given.data_items))


# --- The chain.


@dataclass(frozen=True, slots=True)
class Record:
    """One record of a member's chain: that she gave a consent, or withdrew. `at` is when she said so, `recorded_at` when we heard it.

    A withdrawal names the consent that she withdrew, and ends every consent for its purpose that stands before it in her chain.
    """

    member_id: UUID
    place: int
    kind: Kind
    consent_id: UUID
    purpose: Purpose
    notice_version: int
    language: str
    notice_hash: bytes
    data_items: tuple[str, ...]
    recipients: tuple[str, ...]
    lawful_basis: str
    channel: Channel
    user_id: str
    role: str
    device_id: str
    proof: str
    at: datetime
    expires_at: datetime | None
    recorded_at: datetime
    institution_id: UUID
    region: str
    prior_hash: bytes
    hash: bytes = field(default=b"", compare=False)

    def sealed(self) -> "Record":
        return replace(self, hash=self.computed())

    def computed(self) -> bytes:
        """The hash of all that it says, and of the record before it."""
        said: dict[str, Content] = {one.name: _plain(getattr(self, one.name)) for one in fields(self) if one.name != "hash"}
        return content_hash(said)


def _plain(value: object) -> Content:
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat(timespec="microseconds")
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, tuple):
        return [str(one) for one in value]
    return value if isinstance(value, int) else "" if value is None else str(value)


def first_fault(records: Sequence[Record], before_place: int, before_hash: bytes, head: bytes) -> str:
    """What is wrong first with a member's chain, whose records come by place; empty where nothing is.

    `before_*` tell the last record that was erased when its time was over, `head` the hash of the last record there is.
    """
    place, link = before_place, before_hash
    for record in records:
        if record.place != place + 1:
            return f"record {place + 1} is missing"
        if record.prior_hash != link:
            return f"record {record.place} does not follow the one before it"
        if record.computed() != record.hash:
            return f"record {record.place} was changed"
        place, link = record.place, record.hash
    return "" if link == head else f"what followed record {place} is missing"


@dataclass(frozen=True, slots=True)
class State:
    """A consent and what became of it."""

    given: Record
    withdrawn: Record | None

    @property
    def ended_at(self) -> datetime:
        """When it ends or ended."""
        assert self.given.expires_at
        return min(self.withdrawn.recorded_at, self.given.expires_at) if self.withdrawn else self.given.expires_at

    def holds(self, now: datetime) -> bool:
        return now < self.ended_at


def states(records: Sequence[Record]) -> list[State]:
    """Every consent of a member's chain, in its order, each with the first withdrawal of its purpose that came after it."""
    withdrawals = [one for one in records if one.kind is Kind.WITHDRAWN]
    return [
        State(given, next((one for one in withdrawals if one.purpose is given.purpose and one.place > given.place), None))
        for given in records
        if given.kind is Kind.GIVEN
    ]


def must_hold(found: State | None, purpose: Purpose, now: datetime) -> State:
    """Refuse where there is no such consent for this purpose, or it holds no more."""
    if found is None or found.given.purpose is not purpose:
        raise missing()
    if found.withdrawn:
        raise Conflict("CONSENT_WITHDRAWN", "She has withdrawn this consent; without another there is no verification.", field="consent_id")
    if not found.holds(now):
        raise Conflict("CONSENT_EXPIRED", "This consent has run out; ask her again.", field="consent_id")
    return found


def missing() -> Invalid:
    return Invalid("CONSENT_MISSING", "Ask the member first; without her consent to this very purpose there is no verification.", field="consent_id")
