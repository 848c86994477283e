"""Alerts to members: kept when they are told of, and taken out before they are sent, so that none is sent twice."""

from datetime import date, datetime
from uuid import UUID

from sqlalchemy import Connection, delete
from sqlalchemy.dialects import postgresql

from protos.profiles_pb2 import LoanAlertDue
from services.chassis.jobs import enqueue
from services.identity.rules.message import Alert
from services.identity.tables import alerts


def keep(connection: Connection, due: LoanAlertDue, approved_at: datetime) -> None:
    """Have it sent, once for this loan. What waits in the jobs table does not tell the number."""
    row = {
        "loan_id": UUID(due.loan_id),
        "mobile": due.mobile,
        "principal_paise": due.principal_paise,
        "given_on": date.fromisoformat(due.given_on),
        "institution_code": due.institution_code,
        "approved_at": approved_at,
    }
    connection.execute(postgresql.insert(alerts).values(row).on_conflict_do_nothing())
    enqueue(connection, "send_loan_alert", f"loan_given:{due.loan_id}", {"loan_id": due.loan_id})


def take(connection: Connection, loan_id: UUID) -> Alert | None:
    """What is to be sent, which from here on nobody else finds; None where it was taken before."""
    columns = (alerts.c.mobile, alerts.c.principal_paise, alerts.c.given_on, alerts.c.institution_code, alerts.c.approved_at)
    row = connection.execute(delete(alerts).where(alerts.c.loan_id == loan_id).returning(*columns)).one_or_none()
    return Alert(*row) if row else None


def forget(connection: Connection, before: datetime) -> None:
    """Those that nobody took in time, with their numbers."""
    connection.execute(delete(alerts).where(alerts.c.approved_at < before))
