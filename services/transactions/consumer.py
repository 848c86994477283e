"""Events in: what profiles tells of institutions and members, whom the duplicate check contests, and which sessions ended."""

from datetime import UTC, date
from uuid import UUID

from sqlalchemy import Connection

from protos.dedup_pb2 import MemberContested
from protos.identity_pb2 import SessionEnded
from protos.profiles_pb2 import InstitutionChanged, Kind, MemberChanged, MembersTallied, Status
from services.chassis import ended
from services.chassis.hears import Event, hears
from services.transactions.commands import copies


def _day(written: str) -> date | None:
    return date.fromisoformat(written) if written else None


class Consumer:
    @hears("profiles", InstitutionChanged)
    def institution_changed(self, connection: Connection, event: Event[InstitutionChanged]) -> None:
        told = event.body
        copies.keep_institution(
            connection,
            UUID(told.institution_id),
            event.version,
            kind=Kind.Name(told.kind).removeprefix("KIND_"),
            region=told.region,
            status=Status.Name(told.status).removeprefix("STATUS_"),
            parent_id=UUID(told.parent_id) if told.parent_id else None,
            formed_on=_day(told.formed_on),
            since_on=_day(told.since_on),
            ended=[[period.from_on, period.to_on] for period in told.ended_periods] or None,
            banks=[[account.row_id, account.ended_on or None] for account in told.accounts] or None,
            compulsory_paise=told.compulsory_savings_paise,
            savings_frequency=told.savings_frequency,
        )

    @hears("profiles", MemberChanged)
    def member_changed(self, connection: Connection, event: Event[MemberChanged]) -> None:
        told = event.body
        status = Status.Name(told.status).removeprefix("STATUS_")
        copies.keep_member(
            connection,
            UUID(told.member_id),
            event.version,
            institution_id=UUID(told.institution_id),
            region=told.region,
            status=status,
            since_on=_day(told.since_on),
            ended=[[stay.institution_id, stay.from_on, stay.to_on] for stay in told.ended_stays] or None,
        )

    @hears("profiles", MembersTallied)
    def members_tallied(self, connection: Connection, event: Event[MembersTallied]) -> None:
        told = event.body
        copies.compare(connection, told.block, told.members, told.fingerprint, told.at.ToDatetime(UTC))

    @hears("dedup", MemberContested)
    def member_contested(self, connection: Connection, event: Event[MemberContested]) -> None:
        copies.keep_contested(connection, UUID(event.body.member_id), event.version, is_open=event.body.open)

    @hears("identity", SessionEnded)
    def session_ended(self, connection: Connection, event: Event[SessionEnded]) -> None:
        ended.heard(connection, event.body)
