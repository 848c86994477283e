"""Events in: what the duplicate check found, which loans were given, who was settled, who withdrew, and which sessions ended."""

from prometheus_client import Counter
from sqlalchemy import Connection

from protos.dedup_pb2 import InstitutionScreened, MemberScreened
from protos.identity_pb2 import ConsentRenewed, ConsentWithdrawn, SessionEnded
from protos.transactions_pb2 import LoanBooked, MemberSettled
from services.chassis import ended
from services.chassis.hears import Event, hears
from services.profiles.commands import alert, consent, institution, life, member
from services.profiles.rules.alert import Outcome

ALERTS = Counter("lokos_loan_alerts", "Loans that members were to be told of: told to identity, refused by her, no_phone", ["outcome"])
for _outcome in Outcome:
    ALERTS.labels(_outcome.value)


class Consumer:
    @hears("dedup", MemberScreened)
    def member_screened(self, connection: Connection, event: Event[MemberScreened]) -> None:
        member.note_screening(connection, event.version, event.body)

    @hears("dedup", InstitutionScreened)
    def institution_screened(self, connection: Connection, event: Event[InstitutionScreened]) -> None:
        institution.note_screening(connection, event.version, event.body)

    @hears("transactions", LoanBooked)
    def loan_booked(self, connection: Connection, event: Event[LoanBooked]) -> None:
        outcome = alert.loan_booked(connection, event.body, event.occurred_at)
        ALERTS.labels(outcome.value).inc()

    @hears("transactions", MemberSettled)
    def member_settled(self, connection: Connection, event: Event[MemberSettled]) -> None:
        life.note_settlement(connection, event.body)

    @hears("identity", ConsentWithdrawn)
    def consent_withdrawn(self, connection: Connection, event: Event[ConsentWithdrawn]) -> None:
        consent.withdrawn(connection, event.version, event.body)

    @hears("identity", ConsentRenewed)
    def consent_renewed(self, connection: Connection, event: Event[ConsentRenewed]) -> None:
        consent.renewed(connection, event.version, event.body)

    @hears("identity", SessionEnded)
    def session_ended(self, connection: Connection, event: Event[SessionEnded]) -> None:
        ended.heard(connection, event.body)
