"""Alerts to members who let themselves be told: kept when they are told of, and taken out before they are sent, so that none is sent twice."""

from datetime import date, datetime
from uuid import UUID

from sqlalchemy import Connection, delete
from sqlalchemy.dialects import postgresql

from protos.profiles_pb2 import LoanAlertDue
from services.chassis.jobs import enqueue
from services.identity import queries
from services.identity.rules.message import Alert
from services.identity.tables import alerts, messages


def keep(connection: Connection, due: LoanAlertDue, approved_at: datetime) -> None:
    """Have it sent, once for this loan, unless she wants no messages. What waits in the jobs table does not tell the number."""
    member_id = UUID(due.member_id) if due.member_id else None
    if member_id and not queries.may_be_told(connection, member_id):
        return
    row = {
        "loan_id": UUID(due.loan_id),
        "mobile": due.mobile,
        "principal_paise": due.principal_paise,
        "given_on": date.fromisoformat(due.given_on),
        "institution_code": due.institution_code,
        "approved_at": approved_at,
        "member_id": member_id,
    }
    connection.execute(postgresql.insert(alerts).values(row).on_conflict_do_nothing())
    enqueue(connection, "send_loan_alert", f"loan_given:{due.loan_id}", {"loan_id": due.loan_id})


def take(connection: Connection, loan_id: UUID) -> Alert | None:
    """What is to be sent, which from here on nobody else finds; None where it was taken before, or she has withdrawn since."""
    columns = (alerts.c.mobile, alerts.c.principal_paise, alerts.c.given_on, alerts.c.institution_code, alerts.c.approved_at, alerts.c.member_id)
    row = connection.execute(delete(alerts).where(alerts.c.loan_id == loan_id).returning(*columns)).one_or_none()
    if row and row.member_id and not queries.may_be_told(connection, row.member_id):  # She withdrew at that very moment.
        return None
    return Alert(*row) if row else None


def note_sent(connection: Connection, key: str, template: str, member_id: UUID, at: datetime) -> None:
    """That she was sent a message: neither what it said nor where it went."""
    row = {"key": key, "member_id": member_id, "template": template, "at": at}
    connection.execute(postgresql.insert(messages).values(row).on_conflict_do_nothing())
