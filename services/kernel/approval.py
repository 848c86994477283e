"""The maker-checker moves, as two tables: profiles (domain 7.3) and meetings (domain 7.4). What is not in them is refused."""

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


class Step(StrEnum):
    SUBMIT = "SUBMIT"
    APPROVE = "APPROVE"
    REJECT = "REJECT"


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
}

MEETING_MOVES: Mapping[tuple[MeetingStatus, Step], MeetingStatus] = {
    (MeetingStatus.CLOSED, Step.APPROVE): MeetingStatus.APPROVED,
    (MeetingStatus.CLOSED, Step.REJECT): MeetingStatus.REJECTED,
    (MeetingStatus.REJECTED, Step.SUBMIT): MeetingStatus.CLOSED,
}


def move(status: Status, step: Step) -> Status:
    """Where the step leads, or a Conflict."""
    return _move(MOVES, status, step)


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
            step={Step.SUBMIT: "submitted", Step.APPROVE: "approved", Step.REJECT: "rejected"}[step],
        )
    return moves[status, step]
