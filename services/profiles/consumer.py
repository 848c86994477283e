"""Events in: what the duplicate check found, and which sessions ended."""

from sqlalchemy import Connection

from protos.dedup_pb2 import MemberScreened
from protos.identity_pb2 import SessionEnded
from services.chassis import ended
from services.chassis.hears import Event, hears
from services.profiles.commands import member


class Consumer:
    @hears("dedup", MemberScreened)
    def member_screened(self, connection: Connection, event: Event[MemberScreened]) -> None:
        member.note_screening(connection, event.version, event.body)

    @hears("identity", SessionEnded)
    def session_ended(self, connection: Connection, event: Event[SessionEnded]) -> None:
        ended.heard(connection, event.body)
