"""Events in: the institutions, to which users are mapped, and what members are to be told."""

from sqlalchemy import Connection

from protos.profiles_pb2 import InstitutionChanged, LoanAlertDue
from services.chassis.hears import Event, hears
from services.identity.commands import alert, institution


class Consumer:
    """One method an event, each runs one command."""

    @hears("profiles", InstitutionChanged)
    def institution_changed(self, connection: Connection, event: Event[InstitutionChanged]) -> None:
        institution.keep(connection, event.version, event.body)

    @hears("profiles", LoanAlertDue)
    def loan_alert_due(self, connection: Connection, event: Event[LoanAlertDue]) -> None:
        alert.keep(connection, event.body, event.occurred_at)
