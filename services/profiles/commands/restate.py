"""The current state told anew to one hearer, page by page, and what each block's members must add up to."""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy import Connection

from protos import profiles_pb2
from services.kernel.approval import Status
from services.kernel.tally import MODULUS, fingerprint
from services.profiles import queries
from services.profiles.commands.events import (
    Told,
    as_checked,
    findings_decided,
    institutions_copied,
    institutions_submitted,
    member_decided,
    member_submitted,
    members_changed,
    tell_all,
)
from services.profiles.queries import Subject
from services.profiles.rules.review import Decided, Decision

PAGE = 500

Page = Callable[[Connection, str, UUID | None], UUID | None]


def restate_institutions(connection: Connection, hearer: str, after: UUID | None) -> UUID | None:
    """Tell the next page of institutions; the id to go on after, or None at the end."""
    found = queries.institutions_after(connection, after, PAGE)
    tell_all(connection, institutions_copied(connection, found), hearer)
    return _last(found)


def restate_members(connection: Connection, hearer: str, after: UUID | None) -> UUID | None:
    found = queries.members_after(connection, after, PAGE)
    tell_all(connection, members_changed(connection, found), hearer)
    return _last(found)


def restate_submissions(connection: Connection, hearer: str, after: UUID | None) -> UUID | None:
    """As restate_members, for dedup: what was submitted, and what was decided on it. On who came from the old MIS nobody has yet."""
    found = queries.members_after(connection, after, PAGE)
    findings = queries.findings_of(connection, found)
    told: list[Told] = []
    for one in found:
        held = one.held
        if checked := as_checked(one):
            told.append(member_submitted(checked))
        decisions = [Decided(f.finding_id, Decision(f.decision), f.reason) for f in findings[one.row.id] if f.decision]
        if held.revision and held.status in {Status.REJECTED, Status.WITHDRAWN}:  # To the duplicate check one is as the other.
            told.append(member_decided(one, held.revision, one.live or Status.REJECTED, decisions))
        elif one.live and one.live is not Status.LEGACY:
            told.append(member_decided(one, one.row.revision, one.live, decisions))
        elif decisions:
            told.append(findings_decided(one, held.revision, decisions))
    tell_all(connection, told, hearer)
    return _last(found)


def restate_institutions_submitted(connection: Connection, hearer: str, after: UUID | None) -> UUID | None:
    """As restate_institutions, for dedup."""
    found = queries.institutions_after(connection, after, PAGE)
    tell_all(connection, institutions_submitted(found), hearer)
    return _last(found)


def _last(found: Sequence[Subject]) -> UUID | None:
    return found[-1].row.id if len(found) == PAGE else None


# What each hearer keeps a copy of.
PAGES: Mapping[str, Mapping[str, Page]] = {
    "identity": {"institutions": restate_institutions, "members": restate_members},
    "transactions": {"institutions": restate_institutions, "members": restate_members},
    "reporting": {"institutions": restate_institutions, "members": restate_members},
    "dedup": {"institutions": restate_institutions_submitted, "submissions": restate_submissions},
}


def tally(connection: Connection, at: datetime) -> int:
    """Tell of each block what its active members add up to; a block whose members all left tells 0. Returns how many blocks."""
    members: dict[str, int] = defaultdict(int)
    sums: dict[str, int] = defaultdict(int)
    for block, member_id, version, active in queries.members_by_block(connection):
        members[block] += active
        sums[block] += fingerprint(member_id, version) if active else 0
    told = []
    for block in sorted(members):
        message = profiles_pb2.MembersTallied(block=block, members=members[block], fingerprint=sums[block] % MODULUS, at=at)
        told.append(Told(message, block, int(at.timestamp())))
    tell_all(connection, told)
    return len(told)
