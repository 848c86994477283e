"""Events in: the institutions, to which users are mapped."""

from sqlalchemy import Connection

from protos.profiles_pb2 import InstitutionChanged
from services.chassis.hears import Event, hears
from services.identity.commands import institution


class Consumer:
    """One method an event, each runs one command."""

    @hears("profiles", InstitutionChanged)
    def institution_changed(self, connection: Connection, event: Event[InstitutionChanged]) -> None:
        institution.keep(connection, event.version, event.body)
