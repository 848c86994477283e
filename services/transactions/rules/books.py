"""What the books hold before a meeting: all that the rules need, fetched at once (examples 17)."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Any
from uuid import UUID

from services.kernel.approval import MeetingStatus


@dataclass(frozen=True, slots=True)
class Institution:
    """As profiles told it; `kind` is SHG, VO or CLF."""

    kind: str
    region: str
    active: bool
    formed_on: date | None


@dataclass(frozen=True, slots=True)
class Chain:
    """Where an institution stands, meetings not yet approved included. Version 0: nothing is stored yet."""

    last_number: int = 0
    last_held_on: date | None = None
    approved_through: int = 0
    cash_paise: int = 0
    bank_paise: int = 0
    version: int = 0


@dataclass(frozen=True, slots=True)
class Member:
    """Whose she is, and what she has saved with the institution whose meeting it is."""

    institution_id: UUID
    active: bool
    compulsory_paise: int = 0
    voluntary_paise: int = 0


@dataclass(frozen=True, slots=True)
class Loan:
    """A loan given earlier."""

    institution_id: UUID
    member_id: UUID
    outstanding_paise: int


@dataclass(frozen=True, slots=True)
class Recorded:
    """A meeting of the same id, as it is stored."""

    institution_id: UUID
    revision: int
    number: int
    status: MeetingStatus
    content_hash: bytes
    content: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Books:
    """What is known of those that a meeting names; who is not known is not there."""

    institution: Institution | None = None
    chain: Chain = Chain()
    members: Mapping[UUID, Member] = field(default_factory=dict)
    loans: Mapping[UUID, Loan] = field(default_factory=dict)
    recorded: Recorded | None = None
