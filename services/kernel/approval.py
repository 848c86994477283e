"""The maker-checker moves, as tables: of profiles (domain 7.3), of what life brings, of meetings (domain 7.4). What is not in them is refused."""

from collections.abc import Mapping
from enum import StrEnum
from typing import TypeVar

from services.kernel.errors import Conflict


class Status(StrEnum):
    """Of a profile. Screening, completeness and KYC are facts beside it, not statuses (decision 8)."""

    DRAFT = "DRAFT"
    SUBMITTED = "SUBMITTED"
    REJECTED = "REJECTED"
    ACTIVE = "ACTIVE"
    LEGACY = "LEGACY"  # Came from the old MIS by file: live, and to be verified.
    INACTIVE = "INACTIVE"  # She left, it was closed.
    WITHDRAWN = "WITHDRAWN"  # Its maker took it back before it was ever live; handed in again it goes on.


LIVE = frozenset({Status.ACTIVE, Status.LEGACY, Status.INACTIVE})  # A checker has let it in; what is handed in now waits beside it.
OVER = frozenset({Status.INACTIVE, Status.WITHDRAWN})  # Nobody enters it, and nothing is put under it.
IN_BOOKS = frozenset({Status.ACTIVE, Status.LEGACY})  # Of these those who are there, and which are open.


class Step(StrEnum):
    SUBMIT = "SUBMIT"
    APPROVE = "APPROVE"
    REJECT = "REJECT"
    WITHDRAW = "WITHDRAW"


class MeetingStatus(StrEnum):
    """Of a meeting that has left its device; OPEN is the device's alone (decision 8)."""

    CLOSED = "CLOSED"
    APPROVED = "APPROVED"
    REJECTED = "REJECTED"


MOVES: Mapping[tuple[Status, Step], Status] = {
    (Status.DRAFT, Step.SUBMIT): Status.SUBMITTED,
    (Status.SUBMITTED, Step.APPROVE): Status.ACTIVE,
    (Status.SUBMITTED, Step.REJECT): Status.REJECTED,
    (Status.REJECTED, Step.SUBMIT): Status.SUBMITTED,
    # What is with the checker stays with her until she has decided (R-APP-1).
    (Status.DRAFT, Step.WITHDRAW): Status.WITHDRAWN,
    (Status.REJECTED, Step.WITHDRAW): Status.WITHDRAWN,
    (Status.WITHDRAWN, Step.SUBMIT): Status.SUBMITTED,
}


class Act(StrEnum):
    """What is handed in: the profile itself, or what happens to somebody or something in the course of life (mission P14)."""

    PROFILE = "PROFILE"
    LEAVE = "LEAVE"
    DEATH = "DEATH"
    TRANSFER = "TRANSFER"
    SPLIT = "SPLIT"
    MERGE = "MERGE"
    CLOSE = "CLOSE"
    REVIVE = "REVIVE"
    REINSTATE = "REINSTATE"  # She did not die, or never left: it was noted wrongly.


# What an approved act makes of a record that is live; None: of one that is new. Who comes back and was never verified, is LEGACY again.
ACTS: Mapping[tuple[Status | None, Act], Status] = {
    (None, Act.PROFILE): Status.ACTIVE,
    (Status.ACTIVE, Act.PROFILE): Status.ACTIVE,
    (Status.LEGACY, Act.PROFILE): Status.ACTIVE,
    (Status.ACTIVE, Act.LEAVE): Status.INACTIVE,
    (Status.LEGACY, Act.LEAVE): Status.INACTIVE,
    (Status.ACTIVE, Act.DEATH): Status.INACTIVE,
    (Status.LEGACY, Act.DEATH): Status.INACTIVE,
    (Status.ACTIVE, Act.TRANSFER): Status.ACTIVE,
    (Status.ACTIVE, Act.SPLIT): Status.ACTIVE,
    (Status.ACTIVE, Act.MERGE): Status.INACTIVE,
    (Status.ACTIVE, Act.CLOSE): Status.INACTIVE,
    (Status.LEGACY, Act.CLOSE): Status.INACTIVE,
    (Status.INACTIVE, Act.REVIVE): Status.ACTIVE,
    (Status.INACTIVE, Act.REINSTATE): Status.ACTIVE,
}

MEETING_MOVES: Mapping[tuple[MeetingStatus, Step], MeetingStatus] = {
    (MeetingStatus.CLOSED, Step.APPROVE): MeetingStatus.APPROVED,
    (MeetingStatus.CLOSED, Step.REJECT): MeetingStatus.REJECTED,
    (MeetingStatus.REJECTED, Step.SUBMIT): MeetingStatus.CLOSED,
}


def move(status: Status, step: Step) -> Status:
    """Where the step leads, or a Conflict."""
    return _move(MOVES, status, step)


def outcome(live: Status | None, act: Act) -> Status:
    """What the record becomes once the act is approved, or a Conflict."""
    if (live, act) not in ACTS:
        state = live.lower() if live else "new"
        raise Conflict("ACT_NOT_ALLOWED", "What is {status} has no {act}.", status=state, act=act.lower())
    return ACTS[live, act]


def move_meeting(status: MeetingStatus, step: Step) -> MeetingStatus:
    """Where the step leads, or a Conflict."""
    return _move(MEETING_MOVES, status, step)


S = TypeVar("S", Status, MeetingStatus)


def _move(moves: Mapping[tuple[S, Step], S], status: S, step: Step) -> S:
    if (status, step) not in moves:
        raise Conflict(
            "MOVE_NOT_ALLOWED",
            "What is {status} cannot be {step}.",
            status=status.lower(),
            step={Step.SUBMIT: "submitted", Step.APPROVE: "approved", Step.REJECT: "rejected", Step.WITHDRAW: "withdrawn"}[step],
        )
    return moves[status, step]
