"""Events in: the institutions, to which users are mapped, where members are, and what they are to be told."""

from uuid import UUID

from sqlalchemy import Connection

from protos.profiles_pb2 import InstitutionChanged, LoanAlertDue, MemberChanged
from protos.profiles_pb2 import Status as StatusMessage
from services.chassis.hears import Event, hears
from services.identity.commands import alert, institution, retention
from services.kernel.approval import OVER, Status


class Consumer:
    """One method an event, each runs one command."""

    @hears("profiles", InstitutionChanged)
    def institution_changed(self, connection: Connection, event: Event[InstitutionChanged]) -> None:
        institution.keep(connection, event.version, event.body)

    @hears("profiles", MemberChanged)
    def member_changed(self, connection: Connection, event: Event[MemberChanged]) -> None:
        body = event.body
        status = Status(StatusMessage.Name(body.status).removeprefix("STATUS_"))
        # Who was handed back and never comes again, is as good as gone: her number goes some time after, like that of who left.
        left_at = event.occurred_at if status in OVER | {Status.REJECTED} else None
        place = {"institution_id": UUID(body.institution_id), "region": body.region}
        retention.heard(connection, UUID(body.member_id), place, event.version, left_at)

    @hears("profiles", LoanAlertDue)
    def loan_alert_due(self, connection: Connection, event: Event[LoanAlertDue]) -> None:
        alert.keep(connection, event.body, event.occurred_at)
