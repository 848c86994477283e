"""What the rooms of the servicer share: the transaction, this instance today, and how a user is shown."""

from collections.abc import Iterable
from datetime import UTC, datetime

from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp

from protos import common_pb2, identity_pb2
from services.chassis import database, places, settings
from services.chassis.interceptors import show_refusal
from services.identity.rules.assignment import warnings
from services.identity.rules.user import Assignment, Here, User
from services.kernel.errors import Invalid, Refused
from services.kernel.month import today

SERVICE = "identity"
transaction = database.of(SERVICE)


def here() -> Here:
    return Here(settings.state(), places.geography(), today())


def moment(request: Message, field: str) -> datetime | None:
    """What a request says in a field of its own, None where it says nothing."""
    if not request.HasField(field):
        return None
    try:
        said: datetime = getattr(request, field).ToDatetime(UTC)
    except (ValueError, OverflowError):
        raise Invalid("MOMENT_INVALID", "This is no moment between the years 1 and 9999.", field=field) from None
    return said


def stamp(moment: datetime | None) -> Timestamp | None:
    if moment is None:
        return None
    made = Timestamp()
    made.FromDatetime(moment)
    return made


def show(made: User) -> identity_pb2.User:
    return identity_pb2.User(
        user_id=made.user_id,
        full_name=made.full_name,
        mobile_masked=f"XXXXXX{made.mobile[-4:]}",
        email=made.email,
        language=made.language,
        assignments=map(show_assignment, made.assignments),
        status=f"USER_STATUS_{made.status}",
        warnings=show_warnings(warnings(made.assignments, here())),
    )


def show_assignment(one: Assignment) -> identity_pb2.Assignment:
    return identity_pb2.Assignment(
        role=one.role,
        region=one.region,
        side=one.side,
        institution_ids=sorted(map(str, one.institution_ids)),
        cluster_ids=sorted(map(str, one.cluster_ids)),
    )


def show_warnings(found: Iterable[Refused]) -> list[common_pb2.Refusal]:
    return [show_refusal(one) for one in found]
