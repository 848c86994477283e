"""Have a member told of a loan given in her name: the books know the loan, identity sends messages, and here is her phone."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import Connection

from protos.profiles_pb2 import LoanAlertDue
from protos.transactions_pb2 import LoanBooked
from services.chassis.mailbox import tell
from services.kernel.ids import derived
from services.profiles import queries
from services.profiles.rules import alert
from services.profiles.rules.alert import Outcome


def loan_booked(connection: Connection, booked: LoanBooked, approved_at: datetime) -> Outcome:
    """Tell identity where to send the alert of one loan; what is not sent is said by the outcome.

    The event keeps the moment of the approval, so that identity knows how old the news is however long it was on its way.
    """
    outcome, mobile = alert.reached(queries.live_content(connection, UUID(booked.member_id)))
    if (withdrawal := queries.withdrawn(connection, UUID(booked.member_id)).get("MESSAGES")) is not None and withdrawal.stands:
        outcome = Outcome.REFUSED
    if outcome is Outcome.TOLD:
        message = LoanAlertDue(
            loan_id=booked.loan_id,
            mobile=mobile,
            principal_paise=booked.principal_paise,
            given_on=booked.given_on,
            member_id=booked.member_id,
            institution_code=queries.code_of(connection, UUID(booked.institution_id)),
        )
        event_id = derived("LoanAlertDue", booked.loan_id)
        tell(connection, message, subject=booked.loan_id, version=0, event_id=event_id, occurred_at=approved_at)
    return outcome
