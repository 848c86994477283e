"""gRPC in: what the screenings found, for the officers who decide."""

from uuid import UUID

import grpc

from protos import dedup_pb2, dedup_pb2_grpc
from services.chassis import audit, database
from services.chassis.interceptors import caller, in_her_language
from services.dedup import commands, queries
from services.dedup.rules import Screening
from services.kernel.ids import parse_id
from services.kernel.page import page_size, page_unknown

SERVICE = "dedup"
transaction = database.of(SERVICE)


class Servicer(dedup_pb2_grpc.DedupServiceServicer):
    """Reads the request, runs one query, shows."""

    def __init__(self) -> None:
        self._reads = audit.Reads(SERVICE)

    def GetScreening(self, request: dedup_pb2.GetScreeningRequest, _context: grpc.ServicerContext) -> dedup_pb2.Screening:
        member_id = parse_id(request.member_id, "member_id")
        with transaction() as connection:
            found = queries.screening_in_sight(connection, caller(), member_id)
        self._reads.seen(caller(), "screening.get", _seen(found))
        return _show(found)

    def RefreshScreening(self, request: dedup_pb2.RefreshScreeningRequest, _context: grpc.ServicerContext) -> dedup_pb2.Screening:
        member_id = parse_id(request.member_id, "member_id")
        with transaction() as connection:
            found = queries.screening_in_sight(connection, caller(), member_id)
            if not queries.stands(connection, found):  # Mostly it does: nobody waits for locks then.
                commands.rescreen(connection, member_id)
                found = queries.screening_in_sight(connection, caller(), member_id)
        self._reads.seen(caller(), "screening.refresh", _seen(found))
        return _show(found)

    def ListFlagged(self, request: dedup_pb2.ListFlaggedRequest, _context: grpc.ServicerContext) -> dedup_pb2.ListFlaggedResponse:
        size, after = page_size(request.page.size), _after(request.page.after)
        with transaction() as connection:
            found = queries.flagged(connection, caller(), after, size)
        self._reads.seen(caller(), "screening.list", [member_id for each in found for member_id in _seen(each)])
        return dedup_pb2.ListFlaggedResponse(screenings=map(_show, found), next=str(found[-1].member_id) if len(found) == size else "")


def _after(text: str) -> UUID | None:
    try:
        return UUID(text) if text else None
    except ValueError:
        raise page_unknown() from None


def _seen(screening: Screening) -> list[UUID]:
    return [screening.member_id, *(match.other_id for match in screening.matches)]


def _show(screening: Screening) -> dedup_pb2.Screening:
    made = dedup_pb2.Screening(
        member_id=str(screening.member_id),
        revision=screening.revision,
        verdict=f"VERDICT_{screening.verdict}",
        matches=map(commands.show, screening.matches),
    )
    for match in made.matches:
        for clue in match.clues:
            clue.words = in_her_language(clue.words)
    return made
