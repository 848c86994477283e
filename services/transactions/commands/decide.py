"""Approve meetings, which makes them final, or hand one back, which undoes it and all that stands on it."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime
from itertools import takewhile
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, Row, bindparam, delete, select, update
from sqlalchemy.dialects.postgresql import insert

from services.chassis import audit, database, sight
from services.kernel.approval import MeetingStatus
from services.kernel.caller import Caller
from services.kernel.errors import Conflict, Exhausted, Refused
from services.kernel.policies import Policies
from services.transactions import queries
from services.transactions.commands.events import Told, approved, booked, moved, settled, tell_all
from services.transactions.rules import meeting, packed, record
from services.transactions.rules.books import Chain
from services.transactions.rules.journal import effect
from services.transactions.rules.loan import Standing
from services.transactions.tables import allowed, balances, chains, loans, meetings, reversals, transfers

TRIES_MAX = 5

# As STORE: what is not as it was read is not written, institution by institution.
APPROVE = database.one_line(
    """
with chain as (
    update chains c set approved_through = new.through, version = c.version + 1
    from unnest(%(institution_ids)s::uuid[], %(throughs)s::int[], %(versions)s::bigint[]) as new (institution_id, through, version)
    where c.institution_id = new.institution_id and c.version = new.version
    returning c.institution_id
), final as (
    update meetings m set status = 'APPROVED', decided_at = %(at)s, decided_by = %(user_id)s, decided_person = %(person)s, region = new.region
    from unnest(%(meeting_ids)s::uuid[], %(of)s::uuid[], %(regions)s::text[]) as new (meeting_id, institution_id, region)
        join chain on chain.institution_id = new.institution_id
    where m.meeting_id = new.meeting_id
), noted as (
    insert into audit (at, user_id, role, action, subjects, facts, request_id)
    select %(at)s, %(user_id)s, %(role)s, 'meeting.approve', jsonb_build_array(new.meeting_id), jsonb_build_object('revision', new.revision),
        %(request_id)s
    from unnest(%(meeting_ids)s::uuid[], %(of)s::uuid[], %(revisions)s::int[]) as new (meeting_id, institution_id, revision)
        join chain on chain.institution_id = new.institution_id
), told as (
    insert into outbox (event_id, event, subject, version, occurred_at, request_id, body)
    select new.event_id, new.event, new.subject, new.version, %(at)s, %(request_id)s, new.body
    from unnest(%(told_of)s::uuid[], %(event_ids)s::uuid[], %(events)s::text[], %(subjects)s::text[], %(event_versions)s::bigint[],
            %(bodies)s::bytea[]) as new (institution_id, event_id, event, subject, version, body)
        join chain on chain.institution_id = new.institution_id
)
select institution_id from chain
"""
)

Found = Mapping[UUID, tuple[record.Pending, Chain, Row[Any]]]


def approve_meetings(
    connection: Connection, caller: Caller, wanted: Mapping[UUID, int], policies: Policies, today: date, *, unseen: bool
) -> dict[UUID, Refused | None]:
    """What became of each meeting (by id, with the revision that was looked at): None where it is final now, or was before."""
    answers: dict[UUID, Refused | None] = {}
    left = dict(wanted)
    for _ in range(TRIES_MAX):
        found = queries.pending(connection, caller, left)
        advanced: dict[str, Chain] = {}
        final: list[UUID] = []
        for meeting_id in sorted(left, key=lambda one: (found[one][0].institution_id, found[one][0].number) if one in found else ("", 0)):
            answers[meeting_id] = None
            try:
                if meeting_id not in found:
                    raise queries.no_meeting()
                pending, chain, _row = found[meeting_id]
                record.must_decide(pending, left[meeting_id], caller, policies, today)
                if pending.status is not MeetingStatus.APPROVED:
                    advanced[pending.institution_id] = record.approve(pending, advanced.get(pending.institution_id, chain), unseen=unseen)
                    final.append(meeting_id)
            except Refused as refused:
                answers[meeting_id] = refused
        alerts = policies.value("loan_alerts", today) == 1
        written = _approve(connection, caller, {one: found[one] for one in final}, advanced, alerts=alerts)
        left = {one: left[one] for one in final if found[one][0].institution_id not in written}
        if not left:
            return answers
    raise Exhausted("BUSY", "These books are being written to; try again in a moment.")


def _approve(connection: Connection, caller: Caller, final: Found, advanced: Mapping[str, Chain], *, alerts: bool) -> set[str]:
    """The institutions whose books were as they were read, and have moved on."""
    if not final:
        return set()
    at = datetime.now(UTC)
    note = audit.row(caller, "meeting.approve", (), {})
    lies_in = {pending.institution_id: row.lies_in for pending, _, row in final.values()}
    told: list[tuple[str, Told]] = [(pending.institution_id, approved(row, row.lies_in, at)) for pending, _, row in final.values()]
    told += [(pending.institution_id, one) for pending, _, row in final.values() for one in settled(row, at)]
    if alerts:
        told += [(pending.institution_id, loan) for pending, _, row in final.values() for loan in booked(row, at)]
    told += [(one, moved(one, lies_in[one], replace(chain, version=chain.version + 1))) for one, chain in advanced.items()]
    done = connection.exec_driver_sql(
        APPROVE,
        {
            "institution_ids": list(advanced),
            "throughs": [chain.approved_through for chain in advanced.values()],
            "versions": [chain.version for chain in advanced.values()],
            "meeting_ids": list(final),
            "of": [pending.institution_id for pending, _, _ in final.values()],
            "regions": [row.lies_in for _, _, row in final.values()],
            "revisions": [pending.revision for pending, _, _ in final.values()],
            "told_of": [of for of, _ in told],
            "event_ids": [one["event_id"] for _, one in told],
            "events": [one["event"] for _, one in told],
            "subjects": [one["subject"] for _, one in told],
            "event_versions": [one["version"] for _, one in told],
            "bodies": [one["body"] for _, one in told],
            "at": at,
            "user_id": caller.user_id,
            "person": caller.person,
            "role": note["role"],
            "request_id": note["request_id"],
        },
    )
    return {str(one) for one in done.scalars()}


def allow_loans(connection: Connection, caller: Caller, meeting_id: UUID, revision: int, reason: str) -> None:
    """Let the loans of this revision to members who are contested now go on; the same said again changes nothing."""
    found = queries.pending(connection, caller, [meeting_id]).get(meeting_id)
    if found is None:
        raise queries.no_meeting()
    pending, _chain, _row = found
    reason = record.allow(pending, revision, caller, reason)
    if not pending.contested:
        if queries.is_allowed(connection, meeting_id, revision):
            return
        raise Conflict("LOANS_UNCONTESTED", "This meeting lends to nobody who is contested; it needs no supervisor.", field="meeting_id")
    members = sorted({UUID(one.member_id) for _, one in pending.contested})
    of = {"meeting_id": meeting_id, "revision": revision, "allowed_at": datetime.now(UTC), "allowed_by": caller.user_id, "reason": reason}
    connection.execute(insert(allowed).values([{**of, "member_id": member_id} for member_id in members]).on_conflict_do_nothing())
    audit.changed(connection, caller, "meeting.allow", meeting_id, *members, revision=revision)


def reject_meeting(
    connection: Connection, caller: Caller, meeting_id: UUID, revision: int, said: record.Handback, policies: Policies, today: date
) -> None:
    """The books stand as before the meeting; it and all after it are with their maker again."""
    said = record.check_handback(said)
    _lock(connection, meeting_id)
    found = queries.pending(connection, caller, [meeting_id]).get(meeting_id)
    if found is None:
        raise queries.no_meeting()
    pending, chain, row = found
    record.must_decide(pending, revision, caller, policies, today)
    if (pending.status, row.remark, row.reasons) == (MeetingStatus.REJECTED, said.remark, list(said.reasons)):
        return
    record.reject(pending)
    undone = queries.undecided_from(connection, row.institution_id, pending.number)
    at = datetime.now(UTC)
    by = {"decided_at": at, "decided_by": caller.user_id, "decided_person": caller.person}
    decided = {"status": MeetingStatus.REJECTED, "reasons": list(said.reasons), **by}
    others = [one.meeting_id for one in undone if one.meeting_id != meeting_id]
    below = f"Meeting {pending.number} was handed back, and this one stands on it."
    for ids, words in (([meeting_id], said.remark), (others, below)):
        connection.execute(update(meetings).where(sight.among(meetings.c.meeting_id, ids)).values(**decided, remark=words))
    last = queries.counted_at(connection, row.institution_id, pending.number - 1)
    chain = record.ended(chain, pending.number, last)
    stands = {
        "last_number": chain.last_number,
        "last_meeting_id": last.meeting_id if last else None,
        "last_held_on": chain.last_held_on,
        "approved_through": chain.approved_through,
        "highest_number": chain.highest_number,
        "version": chain.version,
    }
    connection.execute(update(chains).where(chains.c.institution_id == row.institution_id).values(stands))
    _undo(connection, row.institution_id, undone, chain.version)
    audit.changed(connection, caller, "meeting.reject", *(one.meeting_id for one in undone), revision=revision, reasons=list(said.reasons))
    tell_all(connection, [moved(pending.institution_id, row.lies_in, chain)])


def _lock(connection: Connection, meeting_id: UUID) -> None:
    """The chain of the meeting's institution first; what is read only then stands."""
    of = select(meetings.c.institution_id).where(meetings.c.meeting_id == meeting_id).scalar_subquery()
    connection.execute(select(chains.c.institution_id).where(chains.c.institution_id == of).with_for_update())


def _undo(connection: Connection, institution_id: UUID, undone: Sequence[Row[Any]], version: int) -> None:
    """Take back what the lines had changed. A loan that was given in them was never given; its balance stays, at nothing, so that
    whoever pulls is told.
    """
    ids = [row.meeting_id for row in undone]
    lines = [line for row in undone for line in packed.unpack_lines(row)]
    never = (loans.c.institution_id == institution_id, sight.among(loans.c.meeting_id, ids))  # By the institution, which has an index.
    given = set(connection.execute(delete(loans).where(*never).returning(loans.c.loan_id)).scalars())
    connection.execute(delete(reversals).where(sight.among(reversals.c.meeting_id, ids)))
    connection.execute(delete(transfers).where(sight.among(transfers.c.meeting_id, ids)))
    connection.execute(update(transfers).where(sight.among(transfers.c.taken_in, ids)).values(taken_in=None))
    of_account = (balances.c.institution_id == institution_id, balances.c.head == bindparam("b_head"), balances.c.of_id == bindparam("b_of"))
    for account, paise in effect(lines).items():
        key = {"b_head": account.head, "b_of": UUID(account.of) if account.of else queries.WHOLE}
        connection.execute(update(balances).where(*of_account).values(paise=balances.c.paise - paise, version=version), key)
    paid = {UUID(one) for one in meeting.payments(tuple(lines))} | _agreed_before(connection, institution_id, ids)
    paid -= given
    for row in connection.execute(select(loans).where(sight.among(loans.c.loan_id, paid))).all():
        _replay(connection, institution_id, row, version)


def _agreed_before(connection: Connection, institution_id: UUID, undone: Sequence[UUID]) -> set[UUID]:
    """The loans that were rescheduled by these meetings have the terms again that they had before."""
    anew = connection.execute(select(loans).where(loans.c.institution_id == institution_id, loans.c.earlier.is_not(None))).all()
    ended, restored = {str(one) for one in undone}, set()
    for row in anew:
        stays = list(takewhile(lambda one: one[0] not in ended, row.earlier))
        if len(stays) < len(row.earlier):
            before = dict(zip(queries.TERMS, row.earlier[len(stays)][1:], strict=True))
            before["given_on"] = date.fromisoformat(before["given_on"])
            connection.execute(update(loans).where(loans.c.loan_id == row.loan_id).values(**before, earlier=stays or None))
            restored.add(row.loan_id)
    return restored


def _replay(connection: Connection, institution_id: UUID, row: Row[Any], version: int) -> None:
    """What interest is owed of a loan, from all that was paid of it in the meetings that count."""
    history = queries.history_from(connection, institution_id, [row.meeting_id])
    loan = queries.loan_of(row, Standing(0, 0, row.given_on))
    standing = meeting.replayed(str(row.loan_id), str(row.meeting_id), loan, history)
    where = (balances.c.institution_id == institution_id, balances.c.head == row.head, balances.c.of_id == row.loan_id)
    memo = {"interest_paise": standing.interest_unpaid_paise, "counted_through": standing.accrued_through, "version": version}
    connection.execute(update(balances).where(*where).values(memo))
