"""Reads: one function a question."""

from collections.abc import Collection
from dataclasses import fields
from datetime import datetime
from itertools import groupby
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Connection, Select, and_, any_, exists, false, func, literal, or_, select

from services.chassis.sight import among, in_sight, within
from services.identity.rules.assignment import Institution
from services.identity.rules.certificate import Certificate
from services.identity.rules.certificate import Status as Trust
from services.identity.rules.cluster import Cluster
from services.identity.rules.consent import Channel, Kind, Record, State, states
from services.identity.rules.consent import Purpose as ConsentPurpose
from services.identity.rules.kyc import Kyc
from services.identity.rules.message import Contact
from services.identity.rules.session import OTP_TRIES_MAX, PERSONS_MAX, Challenge, Device, DeviceKind, Failures, Known, Purpose, Session
from services.identity.rules.user import Assignment, Search, Side, Status, User
from services.identity.rules.verified import Mode
from services.identity.tables import (
    attempts,
    challenges,
    clusters,
    consents,
    devices,
    evidence,
    institutions,
    kycs,
    members,
    messages,
    sessions,
    uploads,
    user_roles,
    users,
)
from services.identity.tables import certificates as certificates_table
from services.identity.tables import cluster_gps as gps_of_clusters
from services.identity.tables.vault import uses
from services.kernel.caller import Caller, Role
from services.kernel.region import NOWHERE


def _assignments(connection: Connection, user_ids: Collection[str]) -> dict[str, list[Assignment]]:
    held: dict[str, list[Assignment]] = {}
    rows = connection.execute(select(user_roles).where(among(user_roles.c.user_id, user_ids)).order_by(user_roles.c.role))
    for row in rows:
        one = Assignment(Role(row.role), row.region, frozenset(row.institution_ids), Side(row.side), frozenset(row.cluster_ids))
        held.setdefault(row.user_id, []).append(one)
    return held


def _users(connection: Connection, asked: Select[Any]) -> list[User]:
    """The users of a statement on `users`, with all that they are assigned."""
    rows = connection.execute(asked).all()
    held = _assignments(connection, [row.user_id for row in rows])
    return [
        User(
            row.user_id,
            row.full_name,
            row.mobile,
            tuple(held.get(row.user_id, ())),
            row.made_on,
            Status(row.status),
            row.email,
            row.language,
            row.version,
        )
        for row in rows
    ]


def user(connection: Connection, user_id: str) -> User | None:
    return next(iter(_users(connection, select(users).where(users.c.user_id == user_id))), None)


def password_hash(connection: Connection, user_id: str) -> str:
    """Empty where there is no such user, and where she has been given no password."""
    return connection.execute(select(users.c.password_hash).where(users.c.user_id == user_id)).scalar() or ""


def users_of(connection: Connection, user_ids: Collection[str]) -> dict[str, User]:
    """These users, as they are just now."""
    return {one.user_id: one for one in _users(connection, select(users).where(among(users.c.user_id, user_ids)))}


def users_for_change(connection: Connection, user_ids: Collection[str]) -> dict[str, User]:
    """These users, in the order in which everybody locks them, held until the transaction ends."""
    held = select(users).where(among(users.c.user_id, user_ids)).order_by(users.c.user_id).with_for_update()
    return {one.user_id: one for one in _users(connection, held)}


def list_users(connection: Connection, search: Search, after: str, size: int) -> list[User]:
    """Whom a search shows whose id comes after `after`, by id. One role of hers must fit, not one the region and another the role."""
    fits = [user_roles.c.user_id == users.c.user_id, within(user_roles.c.region, search.regions)]
    if search.roles is not None:
        fits.append(or_(false(), *(and_(user_roles.c.role == role, user_roles.c.side.in_(sides)) for role, sides in search.roles.items())))
    asked = select(users).where(users.c.user_id > after, exists().where(*fits))
    if search.user_id_begins:
        # "~" comes after every character of a user id.
        asked = asked.where(users.c.user_id >= search.user_id_begins, users.c.user_id < search.user_id_begins + "~")
    if search.mobile:
        asked = asked.where(users.c.mobile == search.mobile)
    asked = asked.where(users.c.status.in_(search.statuses))
    return _users(connection, asked.order_by(users.c.user_id).limit(size))


def with_open_sessions(connection: Connection, user_ids: Collection[str]) -> list[str]:
    """Those of these users who are at work, or seem so."""
    return list(connection.execute(select(sessions.c.user_id).where(among(sessions.c.user_id, user_ids), sessions.c.ended_at.is_(None))).scalars())


def upload_progress(connection: Connection, upload_id: UUID, user_id: str) -> tuple[int, int] | None:
    """How many rows an upload of this user's has, and how many are done."""
    asked = select(uploads.c.rows, uploads.c.rows_done).where(uploads.c.upload_id == upload_id, uploads.c.user_id == user_id)
    row = connection.execute(asked).one_or_none()
    return (row.rows, row.rows_done) if row else None


def _institutions(connection: Connection, condition: ColumnElement[bool]) -> list[Institution]:
    known = select(institutions.c.institution_id, institutions.c.kind, institutions.c.name, institutions.c.region)
    known = known.where(condition, institutions.c.status.not_in(["REJECTED", "WITHDRAWN"]))
    return [Institution(*row) for row in connection.execute(known)]


def institutions_within(connection: Connection, region: str) -> list[Institution]:
    return _institutions(connection, within(institutions.c.region, [region]))


def institutions_of(connection: Connection, institution_ids: Collection[UUID]) -> list[Institution]:
    return _institutions(connection, among(institutions.c.institution_id, institution_ids))


def _clusters(connection: Connection, condition: ColumnElement[bool]) -> list[Cluster]:
    gps = select(func.array_agg(gps_of_clusters.c.gp)).where(gps_of_clusters.c.cluster_id == clusters.c.cluster_id).scalar_subquery()
    asked = select(clusters.c.cluster_id, clusters.c.block, clusters.c.name, gps).where(condition).order_by(clusters.c.name, clusters.c.cluster_id)
    return [Cluster(cluster_id, block, name, frozenset(held or ())) for cluster_id, block, name, held in connection.execute(asked)]


def clusters_of(connection: Connection, cluster_ids: Collection[UUID]) -> list[Cluster]:
    return _clusters(connection, among(clusters.c.cluster_id, cluster_ids))


def clusters_within(connection: Connection, block: str) -> list[Cluster]:
    return _clusters(connection, clusters.c.block == block)


def in_charge_of(connection: Connection, cluster: Cluster) -> list[str]:
    """The users who are in charge of a cluster."""
    here = (user_roles.c.region == cluster.block, literal(cluster.cluster_id) == any_(user_roles.c.cluster_ids))
    return list(connection.execute(select(user_roles.c.user_id).where(*here).order_by(user_roles.c.user_id)).scalars())


def cluster_gps(connection: Connection, cluster_ids: Collection[UUID]) -> tuple[str, ...]:
    """What a Caller in charge of these clusters is bound by: their GPs; where there is none in them, nowhere rather than everywhere."""
    if not cluster_ids:
        return ()
    held = select(gps_of_clusters.c.gp).where(among(gps_of_clusters.c.cluster_id, cluster_ids)).order_by(gps_of_clusters.c.gp)
    return tuple(connection.execute(held).scalars()) or (NOWHERE,)


def kyc_for_change(connection: Connection, kyc_id: UUID, user_id: str) -> Kyc | None:
    """The e-KYC that this user began, held until the transaction ends."""
    row = connection.execute(select(kycs).where(kycs.c.kyc_id == kyc_id, kycs.c.user_id == user_id).with_for_update()).one_or_none()
    if row is None:
        return None
    return Kyc(row.kyc_id, row.member_id, row.reference, row.provider_txn, row.expires_at, row.tries, row.confirmed_at is not None, row.consent_id)


def contact(connection: Connection, user_id: str) -> Contact | None:
    """Where a user is reached, be she stopped: that, too, she is told."""
    row = connection.execute(select(users.c.mobile, users.c.email, users.c.language).where(users.c.user_id == user_id)).one_or_none()
    return Contact(*row) if row else None


# --- Members and their consents.


def member(connection: Connection, caller: Caller, member_id: UUID, *, for_update: bool = False) -> Any | None:  # noqa: ANN401 - a row of members
    """The member, if something of hers is kept here and the caller sees where she is."""
    asked = select(members).where(members.c.member_id == member_id, in_sight(caller, members.c.institution_id, members.c.region, institutions))
    return connection.execute(asked.with_for_update() if for_update else asked).one_or_none()


_OF_RECORDS = [one.name for one in fields(Record)]


def columns_of(record: Record) -> dict[str, Any]:
    """A record as the table has it."""
    return {name: list(value) if isinstance(value := getattr(record, name), tuple) else value for name in _OF_RECORDS}


def _record(row: Any) -> Record:  # noqa: ANN401 - a row of consents
    said = {name: getattr(row, name) for name in _OF_RECORDS}
    said |= {"kind": Kind(row.kind), "purpose": ConsentPurpose(row.purpose), "channel": Channel(row.channel)}
    return Record(**said | {"data_items": tuple(row.data_items), "recipients": tuple(row.recipients)})


def chains(connection: Connection, member_ids: Collection[UUID]) -> dict[UUID, list[Record]]:
    """The records of these members, by place."""
    asked = select(consents).where(among(consents.c.member_id, member_ids)).order_by(consents.c.member_id, consents.c.place)
    found = map(_record, connection.execute(asked))
    return {member_id: list(records) for member_id, records in groupby(found, lambda one: one.member_id)}


def consents_of(connection: Connection, member_id: UUID) -> list[Record]:
    return chains(connection, [member_id]).get(member_id, [])


def consent(connection: Connection, consent_id: UUID) -> State | None:
    """The consent of that id, whoever's it is."""
    given = consents.c.consent_id == consent_id, consents.c.kind == Kind.GIVEN.value
    whose = connection.execute(select(consents.c.member_id).where(*given)).scalar()
    if whose is None:
        return None
    return next(one for one in states(consents_of(connection, whose)) if one.given.consent_id == consent_id)


def may_be_told(connection: Connection, member_id: UUID) -> bool:
    """Whether the last word of hers on messages was not that she withdraws."""
    hers = consents.c.member_id == member_id, consents.c.purpose == ConsentPurpose.MESSAGES.value
    last = select(consents.c.kind).where(*hers).order_by(consents.c.place.desc()).limit(1)
    return connection.execute(last).scalar() != Kind.WITHDRAWN.value


def kycs_of(connection: Connection, member_id: UUID) -> list[Any]:
    """Her e-KYCs, the oldest first."""
    return list(connection.execute(select(kycs).where(kycs.c.member_id == member_id).order_by(kycs.c.expires_at, kycs.c.kyc_id)))


def evidence_of(connection: Connection, member_id: UUID) -> list[Any]:
    """The papers that verified her, the oldest first."""
    return list(connection.execute(select(evidence).where(evidence.c.member_id == member_id).order_by(evidence.c.evidence_id)))


def messages_to(connection: Connection, member_id: UUID) -> list[Any]:
    return list(connection.execute(select(messages).where(messages.c.member_id == member_id).order_by(messages.c.at, messages.c.key)))


def uses_of(connection: Connection, references: Collection[UUID]) -> list[Any]:
    """What the vault did with these, on a connection of its own role; the oldest first."""
    return list(connection.execute(select(uses).where(among(uses.c.reference, references)).order_by(uses.c.id)))


# --- Who signs papers.


def certificates(connection: Connection, fingerprint: str | None = None, *, for_update: bool = False) -> list[Certificate]:
    """All proposals, or those of one certificate, the newest first."""
    asked = select(certificates_table).order_by(certificates_table.c.certificate_id.desc())
    if fingerprint is not None:
        asked = asked.where(certificates_table.c.fingerprint == fingerprint)
    rows = connection.execute(asked.with_for_update() if for_update else asked).mappings()
    return [Certificate(**{**row, "kind": Mode(row["kind"])}) for row in rows]


def trusted_certificates(connection: Connection, kind: Mode) -> list[Certificate]:
    """Those that papers of this kind may be signed by. A certificate that was revoked is trusted by no proposal of it."""
    held = certificates(connection)
    revoked = {one.fingerprint for one in held if one.revoked_at}
    return [one for one in held if one.kind is kind and one.status is Trust.TRUSTED and one.fingerprint not in revoked]


# --- Devices, sessions, one-time passwords.


def known_device(connection: Connection, user_id: str, device: bytes) -> Known | None:
    row = connection.execute(select(devices.c.bound, devices.c.otp_at).where(devices.c.user_id == user_id, devices.c.device == device)).one_or_none()
    return Known(*row) if row else None


def worked_before(connection: Connection, device: bytes) -> tuple[str, str] | None:
    """Who worked on a device last, and in which role."""
    last = select(sessions.c.user_id, sessions.c.role).where(sessions.c.device == device).order_by(sessions.c.began_at.desc()).limit(1)
    row = connection.execute(last).one_or_none()
    return (row.user_id, row.role) if row else None


def mobiles_of_devices(connection: Connection, user_id: str) -> list[str]:
    """The mobiles of others who used a device that she used."""
    hers, others = devices.alias(), devices.alias()
    shared = select(users.c.mobile).join(others, others.c.user_id == users.c.user_id).join(hers, hers.c.device == others.c.device)
    # Of very many on one browser those who were there last: of the others, entries are long decided.
    latest = func.max(others.c.otp_at).desc()
    asked = shared.where(hers.c.user_id == user_id, others.c.user_id != user_id).group_by(users.c.mobile).order_by(latest).limit(PERSONS_MAX)
    return list(connection.execute(asked).scalars())


def failures(connection: Connection, keys: Collection[bytes]) -> dict[bytes, Failures]:
    rows = connection.execute(select(attempts).where(attempts.c.key.in_(keys)))
    return {row.key: Failures(row.failures, row.last_at) for row in rows}


def _session(row: Any) -> Session:  # noqa: ANN401 - a row of sessions
    return Session(row.session_id, row.user_id, row.role, row.device, row.generation, row.secret_hash, row.spent_hash, row.ends_at, row.ended_at)


def session_for_change(connection: Connection, session_id: UUID) -> Session | None:
    """The session, held until the transaction ends."""
    row = connection.execute(select(sessions).where(sessions.c.session_id == session_id).with_for_update()).one_or_none()
    return _session(row) if row else None


def open_session(connection: Connection, user_id: str) -> Session | None:
    """The session of a user that has not been ended, held until the transaction ends."""
    held = select(sessions).where(sessions.c.user_id == user_id, sessions.c.ended_at.is_(None)).with_for_update()
    row = connection.execute(held).one_or_none()
    return _session(row) if row else None


def challenge_for_change(connection: Connection, challenge_id: UUID, now: datetime) -> Challenge | None:
    """A challenge that may still be met, held until the transaction ends."""
    live = challenges.c.used_at.is_(None) & (challenges.c.expires_at > now) & (challenges.c.tries < OTP_TRIES_MAX)
    row = connection.execute(select(challenges).where(challenges.c.challenge_id == challenge_id, live).with_for_update()).one_or_none()
    if row is None:
        return None
    return Challenge(
        row.challenge_id,
        Purpose(row.purpose),
        row.user_id,
        row.role,
        Device(row.device, DeviceKind(row.device_kind), row.device_name),
        row.secret_hash,
        row.keep,
        row.language,
        row.expires_at,
        row.sends,
        row.sent_at,
    )
