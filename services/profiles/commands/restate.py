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
from services.profiles.commands.events import Told, institution_changed, member_changed, member_decided, member_submitted, tell_all
from services.profiles.queries import AnyRow
from services.profiles.rules.review import Decided, Decision

PAGE = 500

Page = Callable[[Connection, str, UUID | None], UUID | None]


def restate_institutions(connection: Connection, hearer: str, after: UUID | None) -> UUID | None:
    """Tell the next page of institutions; the id to go on after, or None at the end."""
    rows = queries.institutions_after(connection, after, PAGE)
    tell_all(connection, [institution_changed(row) for row in rows], hearer)
    return _last(rows)


def restate_members(connection: Connection, hearer: str, after: UUID | None) -> UUID | None:
    rows = queries.members_after(connection, after, PAGE)
    tell_all(connection, [member_changed(row) for row in rows], hearer)
    return _last(rows)


def restate_submissions(connection: Connection, hearer: str, after: UUID | None) -> UUID | None:
    """As restate_members, for dedup: what was submitted, and what was decided on it."""
    rows = queries.members_after(connection, after, PAGE)
    findings = queries.findings_of(connection, rows)
    told: list[Told] = []
    for row in rows:
        if row.revision:
            told.append(member_submitted(row))
        if row.status in {Status.ACTIVE, Status.REJECTED}:
            told.append(member_decided(row, [Decided(f.finding_id, Decision(f.decision), f.reason) for f in findings[row.id] if f.decision]))
    tell_all(connection, told, hearer)
    return _last(rows)


def _last(rows: Sequence[AnyRow]) -> UUID | None:
    return rows[-1].id if len(rows) == PAGE else None


# What each hearer keeps a copy of.
PAGES: Mapping[str, Mapping[str, Page]] = {
    "identity": {"institutions": restate_institutions},
    "transactions": {"institutions": restate_institutions, "members": restate_members},
    "reporting": {"institutions": restate_institutions, "members": restate_members},
    "dedup": {"submissions": restate_submissions},
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
