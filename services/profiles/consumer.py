"""Events in: what the duplicate check found."""

from sqlalchemy import Connection

from protos.dedup_pb2 import MemberScreened
from services.chassis.hears import Event, hears
from services.profiles.commands import member


class Consumer:
    @hears("dedup", MemberScreened)
    def member_screened(self, connection: Connection, event: Event[MemberScreened]) -> None:
        member.note_screening(connection, event.version, event.body)
