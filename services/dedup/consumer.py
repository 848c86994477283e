"""Hears profiles: who and what was submitted, and what was decided; and identity: which sessions ended."""

from collections.abc import Iterable
from datetime import date
from uuid import UUID

from sqlalchemy import Connection

from protos.identity_pb2 import SessionEnded
from protos.profiles_pb2 import Decision, FindingDecision, FindingsDecided, InstitutionSubmitted, Kind, MemberDecided, MemberSubmitted
from protos.profiles_pb2 import Status as StatusMessage
from services.chassis import ended
from services.chassis.hears import Event, hears
from services.dedup import commands
from services.dedup.rules import Record
from services.dedup.rules.institution import group
from services.kernel.approval import Status


class Consumer:
    """One method an event, each runs one command."""

    @hears("profiles", MemberSubmitted)
    def member_submitted(self, connection: Connection, event: Event[MemberSubmitted]) -> None:
        body = event.body
        record = Record(
            member_id=UUID(body.member_id),
            revision=body.revision,
            institution_id=UUID(body.institution_id),
            region=body.region,
            name=body.name or body.name_local,
            relation_name=body.relation_name,
            born_on=date.fromisoformat(body.born_on) if body.born_on else None,
            birth_year=body.birth_year,
            mobile=body.mobile,
            ifsc=body.ifsc,
            account_number=body.account_number,
            account_holding=body.account_holding,
            identity_token=body.identity_token,
            documents=tuple(body.documents),
        )
        with commands.groups_following(connection, record.member_id):
            commands.screen(connection, record, event.version, identity_withdrawn=body.identity_withdrawn, papers_withdrawn=body.papers_withdrawn)

    @hears("profiles", MemberDecided)
    def member_decided(self, connection: Connection, event: Event[MemberDecided]) -> None:
        body = event.body
        status = Status(StatusMessage.Name(body.status).removeprefix("STATUS_"))
        with commands.groups_following(connection, UUID(body.member_id)):
            commands.decide(connection, UUID(body.member_id), body.revision, status, _by_finding(body.decisions), event.version, event.occurred_at)

    @hears("profiles", FindingsDecided)
    def findings_decided(self, connection: Connection, event: Event[FindingsDecided]) -> None:
        body = event.body
        commands.label(connection, UUID(body.member_id), body.revision, _by_finding(body.decisions), event.version, event.occurred_at)

    @hears("identity", SessionEnded)
    def session_ended(self, connection: Connection, event: Event[SessionEnded]) -> None:
        ended.heard(connection, event.body)

    @hears("profiles", InstitutionSubmitted)
    def institution_submitted(self, connection: Connection, event: Event[InstitutionSubmitted]) -> None:
        body = event.body
        made = group(
            UUID(body.institution_id),
            body.revision,
            Kind.Name(body.kind).removeprefix("KIND_"),
            body.region,
            body.name,
            date.fromisoformat(body.formed_on) if body.formed_on else None,
            [(account.ifsc, account.account_number) for account in body.accounts],
            Status(StatusMessage.Name(body.status).removeprefix("STATUS_")),
        )
        commands.screen_institution(connection, made, event.version)


def _by_finding(decisions: Iterable[FindingDecision]) -> dict[UUID, str]:
    return {UUID(each.finding_id): Decision.Name(each.decision).removeprefix("DECISION_") for each in decisions}
