"""The events of this service, made from rows: what each hearer is told, and nothing more."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from google.protobuf.message import Message
from sqlalchemy import Connection, insert

from protos import profiles_pb2
from services.chassis.mailbox import outbox, outbox_row
from services.kernel.month import month_of
from services.profiles.queries import AnyRow
from services.profiles.rules.review import Decided


@dataclass(frozen=True, slots=True)
class Told:
    """An event about a subject as it stood at a version."""

    message: Message
    subject: object
    version: int


def tell_all(connection: Connection, told: Sequence[Told], to: str | None = None) -> None:
    """Put many events into the outbox in one statement."""
    if told:
        connection.execute(insert(outbox), [outbox_row(one.message, one.subject, one.version, to=to) for one in told])


def institution_changed(row: AnyRow) -> Told:
    message = profiles_pb2.InstitutionChanged(
        institution_id=str(row.id),
        kind=f"KIND_{row.kind}",
        name=row.name,
        region=row.region,
        parent_id=str(row.parent_id) if row.parent_id else "",
        status=f"STATUS_{row.status}",
        code=row.code or "",
        month=month_of(row.activated_on or row.entered_on),
        formed_on=row.formed_on.isoformat(),
    )
    return Told(message, row.id, row.version)


def member_changed(row: AnyRow) -> Told:
    message = profiles_pb2.MemberChanged(
        member_id=str(row.id),
        institution_id=str(row.institution_id),
        region=row.region,
        status=f"STATUS_{row.status}",
        verdict=f"VERDICT_{row.verdict or 'UNSPECIFIED'}",
        gender=row.gender,
        social_category=row.social_category,
        birth_year=row.birth_year,
        identity_verified=row.identity_token is not None,
        account_known=bool(row.account_number),
        month=month_of(row.activated_on or row.entered_on),
    )
    return Told(message, row.id, row.version)


def member_submitted(row: AnyRow) -> Told:
    message = profiles_pb2.MemberSubmitted(
        member_id=str(row.id),
        revision=row.revision,
        institution_id=str(row.institution_id),
        region=row.region,
        name=row.name,
        name_local=row.name_local,
        gender=row.gender,
        born_on=row.born_on.isoformat() if row.born_on else "",
        birth_year=row.birth_year,
        relation_name=row.relation_name,
        mobile=row.mobile,
        account_number=row.account_number,
        ifsc=row.ifsc,
        account_holding=row.account_holding,
        identity_token=row.identity_token or "",
    )
    return Told(message, row.id, row.submitted_version)


def member_decided(row: AnyRow, decisions: Iterable[Decided]) -> Told:
    message = profiles_pb2.MemberDecided(
        member_id=str(row.id),
        revision=row.revision,
        status=f"STATUS_{row.status}",
        decisions=[
            profiles_pb2.FindingDecision(
                finding_id=decided.finding_id,
                decision=f"DECISION_{decided.decision}",
                reason=decided.reason,
            )
            for decided in decisions
        ],
    )
    return Told(message, row.id, row.version)
