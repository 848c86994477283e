"""Approve a meeting, which makes it final, or hand it back, which undoes it and all that stands on it."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, Row, delete, update

from protos.transactions_pb2 import MeetingApproved
from services.chassis import audit
from services.chassis.mailbox import tell
from services.kernel.approval import MeetingStatus
from services.kernel.caller import Caller
from services.kernel.ids import derived
from services.kernel.month import business_date, month_of
from services.transactions import queries
from services.transactions.rules import record
from services.transactions.rules.meeting import Effect, Line, effect
from services.transactions.tables import balances, chains, loans, meetings


def approve_meeting(connection: Connection, caller: Caller, meeting_id: UUID, revision: int) -> Row[Any]:
    """The meeting as it then stands; one that is approved already is the same answer."""
    institution_id, chain = queries.chain_for_update(connection, caller, meeting_id)
    pending, row = queries.pending(connection, meeting_id)
    record.must_decide(pending, revision, caller)
    if pending.status == MeetingStatus.APPROVED:
        return row
    status = record.approve(pending, chain)
    _set(connection, [meeting_id], caller, status, region=row.lies_in)
    advanced = {"approved_through": pending.number, "version": chain.version + 1}
    connection.execute(update(chains).where(chains.c.institution_id == institution_id).values(advanced))
    _, row = queries.pending(connection, meeting_id)
    tell_approved(connection, row, queries.lines_of(connection, [meeting_id])[meeting_id])
    audit.changed(connection, caller, "meeting.approve", meeting_id, revision=revision)
    return row


def tell_approved(connection: Connection, row: Row[Any], lines: Sequence[Line], to: str | None = None) -> None:
    """The figures of an approved meeting, which never change: told again, they are the same event."""
    totals = record.totals(lines)
    attendance = row.content["attendance"]
    message = MeetingApproved(
        meeting_id=str(row.meeting_id),
        institution_id=str(row.institution_id),
        region=row.region,
        month=month_of(row.held_on),
        approved_on=business_date(row.decided_at).isoformat(),
        members_present=sum(entry["present"] for entry in attendance),
        members_due=len(attendance),
        savings_paise=totals.savings_paise,
        loans_disbursed_paise=totals.loans_disbursed_paise,
        principal_repaid_paise=totals.principal_repaid_paise,
        interest_received_paise=totals.interest_received_paise,
        fines_paise=totals.fines_paise,
    )
    event_id = derived("MeetingApproved", row.meeting_id)
    tell(connection, message, subject=row.meeting_id, version=0, event_id=event_id, occurred_at=row.decided_at, to=to)


def reject_meeting(connection: Connection, caller: Caller, meeting_id: UUID, revision: int, remark: str) -> Row[Any]:
    """The meeting as it then stands, and the books as they stood before it."""
    remark = record.check_remark(remark)
    institution_id, chain = queries.chain_for_update(connection, caller, meeting_id)
    pending, row = queries.pending(connection, meeting_id)
    record.must_decide(pending, revision, caller)
    if pending.status == MeetingStatus.REJECTED and row.remark == remark:
        return row
    status = record.reject(pending)
    undone = queries.closed_from(connection, institution_id, pending.number)
    lines = queries.lines_of(connection, undone)
    change = effect(line for of_one in lines.values() for line in of_one)
    _set(connection, undone, caller, status, remark=f"Meeting {pending.number} was handed back, and this one stands on it.")
    _set(connection, [meeting_id], caller, status, remark=remark)
    back = {
        "last_number": pending.number - 1,
        "last_held_on": queries.held_on(connection, institution_id, pending.number - 1),
        "cash_paise": chain.cash_paise - change.cash_paise,
        "bank_paise": chain.bank_paise - change.bank_paise,
        "version": chain.version + 1,
    }
    connection.execute(update(chains).where(chains.c.institution_id == institution_id).values(back))
    _undo(connection, institution_id, undone, change)
    audit.changed(connection, caller, "meeting.reject", *undone, revision=revision)
    return queries.pending(connection, meeting_id)[1]


def _set(connection: Connection, meeting_ids: Sequence[UUID], caller: Caller, status: MeetingStatus, **more: object) -> None:
    decided = {"status": status, "decided_by": caller.user_id, "decided_person": caller.person, "decided_at": datetime.now(UTC), **more}
    connection.execute(update(meetings).where(meetings.c.meeting_id.in_(meeting_ids)).values(decided))


def _undo(connection: Connection, institution_id: UUID, undone: Sequence[UUID], change: Effect) -> None:
    """Take back what the lines had changed; a loan that was given in them was never given."""
    connection.execute(delete(loans).where(loans.c.institution_id == institution_id, loans.c.meeting_id.in_(undone)))
    for loan_id, paise in change.outstanding_paise.items():
        connection.execute(update(loans).where(loans.c.loan_id == loan_id).values(outstanding_paise=loans.c.outstanding_paise - paise))
    for member_id in change.compulsory_paise.keys() | change.voluntary_paise.keys():
        back = {
            "compulsory_paise": balances.c.compulsory_paise - change.compulsory_paise.get(member_id, 0),
            "voluntary_paise": balances.c.voluntary_paise - change.voluntary_paise.get(member_id, 0),
        }
        of_her = (balances.c.institution_id == institution_id) & (balances.c.member_id == member_id)
        connection.execute(update(balances).where(of_her).values(back))
