"""Consents: given, withdrawn, and told to those who rely on them. A member's records are a chain under the lock of her row."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, delete, select, update
from sqlalchemy.dialects import postgresql

from protos.identity_pb2 import ConsentRenewed, ConsentWithdrawn
from services.chassis import audit
from services.chassis.jobs import enqueue
from services.chassis.mailbox import tell
from services.identity import queries
from services.identity.rules import consent as rules
from services.identity.rules.consent import Channel, Given, Kind, Purpose, Record, State
from services.identity.tables import alerts, consents, institutions, kycs, members
from services.kernel.caller import Caller
from services.kernel.errors import Conflict, Invalid, NotFound

PAGE = 500


@dataclass(frozen=True, slots=True)
class Withdrawing:
    """That a member withdraws, as the device says it. `at` is None where it is now."""

    consent_id: UUID
    channel: Channel
    device_id: str
    proof: str
    at: datetime | None


def give(connection: Connection, caller: Caller, institution_id: UUID, given: Given, now: datetime) -> State:
    """Record that she consents; the same again is the same answer."""
    given = rules.check_given(given, now)
    row = _member_for_change(connection, caller, given.member_id, institution_id)
    held = queries.consent(connection, given.consent_id)
    if held:
        _must_be_same(held.given, given)
        return held
    before = queries.consents_of(connection, given.member_id)
    record = Record(
        member_id=given.member_id,
        place=row.place + 1,
        kind=Kind.GIVEN,
        consent_id=given.consent_id,
        purpose=given.notice.purpose,
        notice_version=given.notice.version,
        language=given.notice.language,
        notice_hash=given.notice.hash,
        data_items=given.data_items,
        recipients=given.notice.recipients,
        lawful_basis=given.notice.lawful_basis,
        channel=given.channel,
        user_id=caller.user_id,
        role=caller.role or "",
        device_id=given.device_id,
        proof=given.proof,
        at=given.at,
        expires_at=given.expires_at,
        recorded_at=now,
        institution_id=row.institution_id,
        region=row.region,
        prior_hash=row.head,
    ).sealed()
    _append(connection, caller, record)
    # What is over of a chain was erased, and may have been a withdrawal.
    if row.erased_place or any(one.kind is Kind.WITHDRAWN and one.purpose is record.purpose for one in before):
        renewed = ConsentRenewed(member_id=str(record.member_id), purpose=record.purpose)
        tell(connection, renewed, subject=record.member_id, version=record.place)
    return State(record, None)


def withdraw(connection: Connection, caller: Caller, withdrawing: Withdrawing, now: datetime) -> State:
    """Record that she withdraws, and have all that relied on it forgotten; again is the same answer."""
    found = queries.consent(connection, withdrawing.consent_id)
    row = queries.member(connection, caller, found.given.member_id, for_update=True) if found else None
    if found is None or row is None:
        raise NotFound("CONSENT_UNKNOWN", "There is no such consent of a member among yours.", field="consent_id")
    at = withdrawing.at or now
    if not found.given.at <= at <= now + rules.CLOCK_SLACK:
        raise Invalid("WITHDRAWN_AT_INVALID", "A consent is withdrawn after it was given, and not in the future.", field="withdrawn_at")
    held = rules.states(queries.consents_of(connection, row.member_id))
    found = next(one for one in held if one.given.consent_id == withdrawing.consent_id)
    if found.withdrawn:
        return found
    ended = [one.given.consent_id for one in held if one.given.purpose is found.given.purpose and not one.withdrawn]
    record = replace(
        found.given,
        place=row.place + 1,
        kind=Kind.WITHDRAWN,
        channel=withdrawing.channel,
        user_id=caller.user_id,
        role=caller.role or "",
        device_id=withdrawing.device_id,
        proof=withdrawing.proof,
        at=at,
        expires_at=None,
        recorded_at=now,
        institution_id=row.institution_id,
        region=row.region,
        prior_hash=row.head,
    ).sealed()
    _append(connection, caller, record)
    if row.held_at is None:
        _let_go(connection, record, ended)
    return State(found.given, record)


def _let_go(connection: Connection, record: Record, ended: Sequence[UUID]) -> None:
    """What rests on these consents is stopped here, and forgotten by whoever has it."""
    _stop(connection, record.member_id, record.purpose, ended, record.recorded_at)
    message = ConsentWithdrawn(member_id=str(record.member_id), purpose=record.purpose, consent_ids=map(str, ended))
    message.withdrawn_at.FromDatetime(record.recorded_at)
    tell(connection, message, subject=record.member_id, version=record.place)


def let_go_of_withdrawn(connection: Connection, member_id: UUID, since: datetime) -> None:
    """At the end of a legal hold: what she withdrew while it was on, of which nobody was told."""
    held = rules.states(queries.consents_of(connection, member_id))
    for record in {one.withdrawn.place: one.withdrawn for one in held if one.withdrawn and one.withdrawn.recorded_at >= since}.values():
        _let_go(connection, record, [one.given.consent_id for one in held if one.withdrawn == record])


def must_hold(connection: Connection, member_id: UUID, consent_id: UUID, purpose: Purpose, now: datetime) -> State:
    """The consent, if it is this member's for this purpose and holds. It then holds until the transaction ends: who withdraws meanwhile waits."""
    connection.execute(select(members.c.member_id).where(members.c.member_id == member_id).with_for_update(read=True))
    found = queries.consent(connection, consent_id)
    return rules.must_hold(found if found and found.given.member_id == member_id else None, purpose, now)


def first_faults(connection: Connection, after: UUID | None) -> tuple[dict[UUID, str], UUID | None, int, int]:
    """What is wrong first with each chain of the next page of members; whom to go on after, None at the end; how many records and members."""
    asked = select(members).order_by(members.c.member_id).limit(PAGE)
    page = connection.execute(asked.where(members.c.member_id > after) if after else asked).all()
    chains = queries.chains(connection, [row.member_id for row in page])
    faults = {}
    for row in page:
        records = chains.get(row.member_id, [])
        fault = rules.first_fault(records, row.erased_place, row.erased_hash, row.head)
        # What she was told stands here still, word for word.
        known = rules.notices()
        for record in records:
            notice = known.get((record.purpose, record.notice_version, record.language))
            if not fault and (notice is None or notice.hash != record.notice_hash):
                fault = f"record {record.place} is of a notice that reads otherwise now"
        if fault:
            faults[row.member_id] = fault
    return faults, page[-1].member_id if len(page) == PAGE else None, sum(map(len, chains.values())), len(page)


def _member_for_change(connection: Connection, caller: Caller, member_id: UUID, institution_id: UUID) -> Any:  # noqa: ANN401 - a row of members
    """Her row, locked; of one who is new here it says what the caller says, of anybody else what profiles told."""
    region = connection.execute(select(institutions.c.region).where(institutions.c.institution_id == institution_id)).scalar()
    if region is None:
        raise NotFound("INSTITUTION_UNKNOWN", "There is no such institution among yours.", field="institution_id")
    caller.must_see(institution_id, region)
    first = {"member_id": member_id, "institution_id": institution_id, "region": region, "head": rules.GENESIS, "erased_hash": rules.GENESIS}
    connection.execute(postgresql.insert(members).values(first).on_conflict_do_nothing())
    row = connection.execute(select(members).where(members.c.member_id == member_id).with_for_update()).one()
    caller.must_see(row.institution_id, row.region, "member_id")
    return row


def _must_be_same(held: Record, given: Given) -> None:
    said = {
        "member_id": (held.member_id, given.member_id),
        "purpose": (held.purpose, given.notice.purpose),
        "notice_hash": (held.notice_hash, given.notice.hash),
        "data_items": (set(held.data_items), set(given.data_items)),
        "channel": (held.channel, given.channel),
        "device_id": (held.device_id, given.device_id),
        "proof": (held.proof, given.proof),
        "given_at": (held.at, given.at),
        "expires_at": (held.expires_at, given.expires_at),
    }
    for field, (one, other) in said.items():
        if one != other:
            raise Conflict("CONSENT_CONTENT", "This consent was sent before with another {field}.", field=field)


def _append(connection: Connection, caller: Caller, record: Record) -> None:
    """The next record of her chain. Its hash is in the audit too, whose own chain is under a key: who writes a chain anew leaves a trace there."""
    stored = postgresql.insert(consents).values(queries.columns_of(record)).on_conflict_do_nothing().returning(consents.c.place)
    if connection.execute(stored).scalar() is None:  # The id came at the same instant for another member.
        raise Conflict("CONSENT_CONTENT", "This consent was sent before with another {field}.", field="member_id")
    connection.execute(update(members).where(members.c.member_id == record.member_id).values(place=record.place, head=record.hash))
    facts = {"purpose": record.purpose, "place": record.place, "hash": record.hash.hex()}
    action = "consent.give" if record.kind is Kind.GIVEN else "consent.withdraw"
    audit.changed(connection, caller, action, record.member_id, record.consent_id, **facts)


def _stop(connection: Connection, member_id: UUID, purpose: Purpose, ended: Sequence[UUID], now: datetime) -> None:
    """What relies on it within identity."""
    if purpose is Purpose.MESSAGES:
        connection.execute(delete(alerts).where(alerts.c.member_id == member_id))
    of_hers = kycs.c.member_id == member_id, kycs.c.consent_id.in_(ended)
    under_way = kycs.c.confirmed_at.is_(None), kycs.c.expires_at > now
    connection.execute(update(kycs).where(*of_hers, *under_way).values(expires_at=now))
    if purpose is Purpose.AADHAAR_ONLINE:  # The vault is another role's: `work` erases, until it is done.
        enqueue(connection, "erase_numbers", f"{member_id}.{ended[-1]}", {"member_id": str(member_id)})
