"""Retention: erases what is over, by the classes of rules.retention, and says how each class stands."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import (
    ColumnElement,
    Connection,
    FromClause,
    Select,
    Subquery,
    Table,
    case,
    delete,
    exists,
    false,
    func,
    or_,
    select,
    true,
    tuple_,
    update,
)
from sqlalchemy.dialects import postgresql

from protos.identity_pb2 import ConsentWithdrawn
from services.chassis import audit
from services.chassis.mailbox import tell
from services.chassis.sight import among
from services.identity.commands import consent, vault
from services.identity.rules.consent import GENESIS, Kind, Purpose
from services.identity.rules.kyc import UNCONFIRMED_KEPT
from services.identity.rules.retention import CLASSES, GRACE, Days, Standing
from services.identity.tables import alerts, consents, evidence, kycs, members, messages, retention_runs
from services.identity.tables.vault import numbers, uses
from services.kernel.caller import Caller
from services.kernel.errors import NotFound

BATCH = 500
TIMER = Caller("retention")  # Who erases, in the audit.
OF_THE_VAULT = frozenset({"UNCONFIRMED_NUMBERS", "VAULT_USES"})  # The vault's role alone reads these.


@dataclass(frozen=True, slots=True)
class Numbers:
    """e-KYCs whose numbers are over; of their references those that nobody else's e-KYC still needs."""

    kyc_ids: Sequence[UUID]
    references: Sequence[UUID]


@dataclass(frozen=True, slots=True)
class Run:
    """When a class was last looked through, and what was erased of it, then and ever."""

    at: datetime
    erased: int
    erased_ever: int


# --- What is over.

# Since when the rows of a class are kept, and which of its table's they are.
_SINCE: Mapping[str, tuple[str, ColumnElement[bool]]] = {
    "UNCONFIRMED_NUMBERS": ("stored_at", numbers.c.confirmed_at.is_(None)),
    "VAULT_USES": ("at", true()),
    "EKYC_LOGS": ("expires_at", true()),
    "EVIDENCE_LOGS": ("verified_at", true()),
    "MESSAGES": ("at", true()),
    "ALERTS": ("approved_at", true()),
}


def _rows(name: str, now: datetime, days: Days, held: Collection[UUID] = ()) -> Subquery:
    """All rows of a class: their key, since when they are kept, whether that is over, and for long, and whether a legal hold keeps them.

    `held` are the vault's references that are under one, which the vault's role cannot look up.
    """
    kept = CLASSES[name].kept(days)
    if name in {"NUMBERS", "CONSENTS"}:
        return (_numbers if name == "NUMBERS" else _consents)(now, days)
    of_member: dict[str, tuple[Table, str, ColumnElement[bool]]] = {
        "UNCONFIRMED_NUMBERS": (numbers, "reference", false()),
        "VAULT_USES": (uses, "id", func.coalesce(among(uses.c.reference, held), false())),
        "EKYC_LOGS": (kycs, "kyc_id", _is_held(kycs)),
        "EVIDENCE_LOGS": (evidence, "evidence_id", _is_held(evidence)),
        "MESSAGES": (messages, "key", _is_held(messages)),
        "ALERTS": (alerts, "loan_id", false()),
    }
    table, key, is_held = of_member[name]
    since, which = _SINCE[name]
    over = table.c[since] <= now - kept
    # While the vault has the number this row is all that tells whose it is.
    is_held = or_(is_held, kycs.c.number_erased_at.is_(None)) if table is kycs else is_held
    return _rated(table, table.c[since], over, table.c[since] <= now - kept - GRACE, is_held, table.c[key]).where(which).subquery()


def _rated(
    source: FromClause,
    since: ColumnElement[Any],
    over: ColumnElement[bool],
    long_over: ColumnElement[bool],
    held: ColumnElement[bool],
    *keys: ColumnElement[Any],
) -> Select[Any]:
    rated = since.label("since"), over.label("over"), long_over.label("long_over"), held.label("held")
    return select(*keys, *rated).select_from(source)


def _is_held(table: Table) -> ColumnElement[bool]:
    return exists().where(members.c.member_id == table.c.member_id, members.c.held_at.is_not(None))


def _numbers(now: datetime, days: Days) -> Subquery:
    """By e-KYC. It is over at once where she withdrew; else some time after she left or her last consent to it ran out.

    Only of those who can be over at all, so that the others are not looked at one by one.
    """
    kept = CLASSES["NUMBERS"].kept(days)
    given, later = consents.alias("given"), consents.alias("later")
    since_then = later.c.member_id == given.c.member_id, later.c.purpose == given.c.purpose, later.c.place >= given.c.place
    withdrawn_at = select(func.min(later.c.recorded_at)).where(*since_then, later.c.kind == Kind.WITHDRAWN.value).scalar_subquery()
    last_end = select(func.max(later.c.expires_at)).where(*since_then, later.c.kind == Kind.GIVEN.value).scalar_subquery()
    # Of before consents were recorded nobody knows how long she allowed it.
    unrecorded = case((kycs.c.consent_id.is_(None), kycs.c.confirmed_at + kept))
    ends_at = case(
        (kycs.c.confirmed_at.is_(None), func.least(withdrawn_at, kycs.c.expires_at + UNCONFIRMED_KEPT)),
        else_=func.least(withdrawn_at, members.c.left_at + kept, last_end + kept, unrecorded),
    )
    of_her = kycs.outerjoin(members, members.c.member_id == kycs.c.member_id).outerjoin(
        given, (given.c.consent_id == kycs.c.consent_id) & (given.c.kind == Kind.GIVEN.value)
    )
    over, long_over = (func.coalesce(ends_at <= moment, false()) for moment in (now, now - GRACE))
    keys = kycs.c.kyc_id, kycs.c.member_id, kycs.c.reference
    rows = _rated(of_her, kycs.c.expires_at, over, long_over, members.c.held_at.is_not(None), *keys).where(kycs.c.number_erased_at.is_(None))
    withdrew = select(consents.c.member_id).where(consents.c.kind == Kind.WITHDRAWN.value)
    ran_out = select(consents.c.member_id).where(consents.c.kind == Kind.GIVEN.value, consents.c.expires_at <= now - kept)
    left = select(members.c.member_id).where(members.c.left_at <= now - kept)
    may_be_over = kycs.c.confirmed_at.is_(None), kycs.c.consent_id.is_(None), *(kycs.c.member_id.in_(one) for one in (withdrew, ran_out, left))
    return rows.where(or_(*may_be_over)).subquery()


def _consents(now: datetime, days: Days) -> Subquery:
    """By record. One is over when the consent and all before it in the chain have ended long ago: a chain is erased from its beginning.

    Only of members of whom anything is that old.
    """
    kept = CLASSES["CONSENTS"].kept(days)
    later = consents.alias("later")
    after = later.c.member_id == consents.c.member_id, later.c.purpose == consents.c.purpose, later.c.place > consents.c.place
    withdrawn_at = select(func.min(later.c.recorded_at)).where(*after, later.c.kind == Kind.WITHDRAWN.value).scalar_subquery()
    own_end = func.coalesce(func.least(consents.c.expires_at, withdrawn_at), consents.c.recorded_at)  # A withdrawal ends when it is made.
    ended_at = func.max(own_end).over(partition_by=consents.c.member_id, order_by=consents.c.place)
    over, long_over = ended_at <= now - kept, ended_at <= now - kept - GRACE
    keys = consents.c.member_id, consents.c.place, consents.c.hash
    rows = _rated(consents, consents.c.recorded_at, over, long_over, _is_held(consents), *keys)
    ran_out = select(consents.c.member_id).where(consents.c.kind == Kind.GIVEN.value, consents.c.expires_at <= now - kept)
    withdrew = select(consents.c.member_id).where(consents.c.kind == Kind.WITHDRAWN.value, consents.c.recorded_at <= now - kept)
    return rows.where(or_(*(consents.c.member_id.in_(one) for one in (ran_out, withdrew)))).subquery()


def standing(connection: Connection, name: str, now: datetime, days: Days, held: Collection[UUID] = ()) -> Standing:
    """How a class stands, on a connection of whoever reads it."""
    row = _rows(name, now, days, held)
    free, count = ~row.c.held, func.count()
    how_many, since = count, func.min(row.c.since)
    over = count.filter(row.c.over, free), count.filter(row.c.long_over, free), count.filter(row.c.over, row.c.held)
    of_all = {"NUMBERS": (kycs, kycs.c.expires_at, kycs.c.number_erased_at.is_(None)), "CONSENTS": (consents, consents.c.recorded_at, true())}
    if name not in of_all:
        return Standing(*connection.execute(select(how_many, since, *over).select_from(row)).one())
    table, began, which = of_all[name]
    rows = connection.execute(select(how_many, func.min(began)).select_from(table).where(which)).one()
    judged = connection.execute(select(*over).select_from(row)).one()
    return Standing(rows[0], rows[1], *judged)


def runs(connection: Connection) -> dict[str, Run]:
    return {row.kept: Run(row.at, row.erased, row.erased_ever) for row in connection.execute(select(retention_runs))}


def held_references(connection: Connection) -> list[UUID]:
    """The vault's references of members under a legal hold."""
    of_held = select(kycs.c.reference).join(members, members.c.member_id == kycs.c.member_id).where(members.c.held_at.is_not(None))
    return list(connection.scalars(of_held.distinct()))


# --- What is erased.


def erase(connection: Connection, name: str, now: datetime, days: Days, held: Collection[UUID] = ()) -> list[str]:
    """Erase some of what is over of a class, but numbers; returns what they were, none where nothing is over."""
    if name == "CONSENTS":
        return _erase_records(connection, now, days)
    row = _rows(name, now, days, held)
    if name == "UNCONFIRMED_NUMBERS":
        due = select(row.c.reference).where(row.c.over, ~row.c.held).order_by(row.c.since).limit(BATCH)
        references, stored_before = list(connection.scalars(due)), now - CLASSES[name].kept(days)
        return list(map(str, vault.erase(connection, references, vault.UNPROVED, TIMER.user_id, stored_before, unproved_alone=True)))
    tables = {"VAULT_USES": uses, "EKYC_LOGS": kycs, "EVIDENCE_LOGS": evidence}
    table = (tables | {"MESSAGES": messages, "ALERTS": alerts})[name]
    key = next(iter(table.primary_key))
    some = select(row.c[key.name]).where(row.c.over, ~row.c.held).order_by(row.c.since).limit(BATCH)
    # What was confirmed or asked for anew while this waited for it is not over any more: a subquery is not judged again, these are.
    since, which = _SINCE[name]
    gone = delete(table).where(key.in_(some), table.c[since] <= now - CLASSES[name].kept(days), which)
    return [str(one) for one in connection.scalars(gone.returning(key))]


def _erase_records(connection: Connection, now: datetime, days: Days) -> list[str]:
    """The beginnings of chains; where each begins from now on is kept with its member, so that the rest can still be checked.

    What is over stays over, whatever is added behind it meanwhile: no chain needs to be locked.
    """
    record = _consents(now, days)
    due = select(record).where(record.c.over, ~record.c.held).order_by(record.c.member_id, record.c.place).limit(BATCH)
    rows = connection.execute(due).all()
    last = {row.member_id: row for row in rows}
    for member_id, row in last.items():
        begins = {"erased_place": row.place, "erased_hash": row.hash}
        connection.execute(update(members).where(members.c.member_id == member_id).values(begins))
    if rows:
        gone = [(row.member_id, row.place) for row in rows]
        connection.execute(delete(consents).where(tuple_(consents.c.member_id, consents.c.place).in_(gone)))
    return [f"{row.member_id}/{row.place}" for row in rows]


def due_numbers(connection: Connection, now: datetime, days: Days, member_id: UUID | None = None) -> Numbers:
    """Some of the e-KYCs whose numbers are over, of all or of one member."""
    row = _numbers(now, days)
    asked = select(row).where(row.c.over, ~row.c.held)
    due = connection.execute((asked.where(row.c.member_id == member_id) if member_id else asked).limit(BATCH)).all()
    kyc_ids, references = [one.kyc_id for one in due], {one.reference for one in due}
    # The same number may be another record's, whose consent stands.
    serves = kycs.c.number_erased_at.is_(None) & or_(kycs.c.confirmed_at.is_not(None), kycs.c.expires_at > now)
    others = select(kycs.c.reference).where(among(kycs.c.reference, references), serves, ~among(kycs.c.kyc_id, kyc_ids))
    return Numbers(kyc_ids, sorted(references - set(connection.scalars(others))))


def note_numbers(connection: Connection, kyc_ids: Sequence[UUID], now: datetime) -> None:
    """The vault has erased them: of each e-KYC its log stays, without the number, and whoever has her token forgets it.

    A token is hers while her number is here. Kept longer it would tell her apart from herself once she comes again.
    """
    erased = {"number_erased_at": now, "last4": ""}
    over = update(kycs).where(among(kycs.c.kyc_id, kyc_ids)).values(erased)
    rows = connection.execute(over.returning(kycs.c.member_id, kycs.c.consent_id, kycs.c.confirmed_at)).all()
    of_her: dict[UUID, list[UUID]] = {}
    for row in rows:
        if row.confirmed_at and row.consent_id:
            of_her.setdefault(row.member_id, []).append(row.consent_id)
    places = {row.member_id: row.place for row in connection.execute(select(members).where(among(members.c.member_id, of_her)))}
    for member_id, ended in of_her.items():
        message = ConsentWithdrawn(member_id=str(member_id), purpose=Purpose.AADHAAR_ONLINE, consent_ids=map(str, ended))
        message.withdrawn_at.FromDatetime(now)
        tell(connection, message, subject=member_id, version=places.get(member_id, 0))
    note(connection, "NUMBERS", list(map(str, kyc_ids)))


def note(connection: Connection, name: str, what: Sequence[str]) -> None:
    """That so much of a class was erased, in the chain of the audit."""
    audit.changed(connection, TIMER, "retention.erase", *what, kept=name, rows=len(what))


def note_run(connection: Connection, name: str, now: datetime, erased: int) -> None:
    """That a class was looked through."""
    made = postgresql.insert(retention_runs).values(kept=name, at=now, erased=erased, erased_ever=erased)
    again = {"at": now, "erased": erased, "erased_ever": retention_runs.c.erased_ever + erased}
    connection.execute(made.on_conflict_do_update(index_elements=["kept"], set_=again))


# --- Legal holds, and who left.


def hold(connection: Connection, caller: Caller, member_id: UUID, reason: str, now: datetime) -> None:
    """From now on nothing of hers is erased, here or elsewhere, whatever she withdraws, until she is released; what she withdraws is used no more."""
    _set_hold(connection, caller, member_id, "member.hold", reason, held_at=now, held_reason=reason)


def release(connection: Connection, caller: Caller, member_id: UUID, reason: str) -> None:
    """What was over meanwhile is erased in the next round, and what she withdrew is told and forgotten."""
    since = connection.execute(select(members.c.held_at).where(members.c.member_id == member_id).with_for_update()).scalar()
    _set_hold(connection, caller, member_id, "member.release", reason, held_at=None, held_reason="")
    if since:
        consent.let_go_of_withdrawn(connection, member_id, since)


def _set_hold(connection: Connection, caller: Caller, member_id: UUID, action: str, reason: str, **values: object) -> None:
    changed = update(members).where(members.c.member_id == member_id).values(values).returning(members.c.member_id)
    if connection.execute(changed).scalar() is None:
        raise NotFound("MEMBER_UNKNOWN", "There is no such member among yours.", field="member_id")
    audit.changed(connection, caller, action, member_id, reason=reason)


def heard(connection: Connection, member_id: UUID, place: dict[str, Any], version: int, left_at: datetime | None) -> None:
    """What profiles told of a member, unless something newer was heard: where she is, and whether she left.

    Of everybody: of whom nothing were known here, whoever speaks first could say that she is hers.
    """
    told = place | {"version": version, "left_at": left_at}
    made = postgresql.insert(members).values(told | {"member_id": member_id, "head": GENESIS, "erased_hash": GENESIS})
    again = told | {"left_at": func.coalesce(members.c.left_at, left_at) if left_at else None}
    newer = made.excluded.version > members.c.version
    connection.execute(made.on_conflict_do_update(index_elements=["member_id"], set_=again, where=newer))
