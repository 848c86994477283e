"""gRPC in: what the screenings found, for the officers who decide."""

from collections.abc import Mapping
from dataclasses import asdict
from functools import partial
from typing import Any
from uuid import UUID

import grpc

from protos import dedup_pb2, dedup_pb2_grpc
from services.chassis import audit, database
from services.chassis.interceptors import caller, in_her_language
from services.dedup import commands, queries, rules
from services.dedup.adapters import batches
from services.dedup.rules import Screening, batch
from services.kernel.errors import Invalid
from services.kernel.ids import parse_id
from services.kernel.month import month_of, today
from services.kernel.page import page_size, page_unknown

SERVICE = "dedup"
transaction, reading = database.of(SERVICE), partial(database.reading, SERVICE)


class Servicer(dedup_pb2_grpc.DedupServiceServicer):
    """Reads the request, runs one query, shows."""

    def __init__(self) -> None:
        self._reads = audit.Reads(SERVICE)

    def GetScreening(self, request: dedup_pb2.GetScreeningRequest, _context: grpc.ServicerContext) -> dedup_pb2.Screening:
        member_id = parse_id(request.member_id, "member_id")
        with reading() as connection:
            found = queries.screening_in_sight(connection, caller(), member_id)
        self._reads.seen(caller(), "screening.get", _seen(found))
        return _show(found)

    def RefreshScreening(self, request: dedup_pb2.RefreshScreeningRequest, _context: grpc.ServicerContext) -> dedup_pb2.Screening:
        member_id = parse_id(request.member_id, "member_id")
        with reading() as connection:
            found = queries.screening_in_sight(connection, caller(), member_id)
            stands = queries.stands(connection, found)
        if not stands:  # Mostly it does: nobody waits for locks then.
            with transaction() as connection:
                commands.rescreen(connection, member_id)
                found = queries.screening_in_sight(connection, caller(), member_id)
        self._reads.seen(caller(), "screening.refresh", _seen(found))
        return _show(found)

    def ListFlagged(self, request: dedup_pb2.ListFlaggedRequest, _context: grpc.ServicerContext) -> dedup_pb2.ListFlaggedResponse:
        size, after, kind = page_size(request.page.size), _after(request.page.after), _kind(request.kind)
        with reading() as connection:
            found = queries.flagged(connection, caller(), after, size, kind)
        self._reads.seen(caller(), "screening.list", [member_id for each in found for member_id in _seen(each)])
        return dedup_pb2.ListFlaggedResponse(screenings=map(_show, found), next=str(found[-1].member_id) if len(found) == size else "")

    def ListContested(self, request: dedup_pb2.ListContestedRequest, _context: grpc.ServicerContext) -> dedup_pb2.ListContestedResponse:
        size, after = page_size(request.page.size), _after_pair(request.page.after)
        with reading() as connection:
            found = queries.contests(connection, caller(), after, size)
        self._reads.seen(caller(), "contested.list", [member_id for case in found for member_id in (case.member_id, case.other_id)])
        following = f"{found[-1].member_id}.{found[-1].other_id}" if len(found) == size else ""
        return dedup_pb2.ListContestedResponse(cases=map(_show_contest, found), next=following)

    def PrecisionReport(self, request: dedup_pb2.PrecisionReportRequest, _context: grpc.ServicerContext) -> dedup_pb2.PrecisionReportResponse:
        months = rules.period(request.from_month, request.to_month, month_of(today()))
        with reading() as connection:
            found = queries.precision(connection, request.region, months, caller().regions)
        return dedup_pb2.PrecisionReportResponse(rows=map(_show_counted, found))

    def StartBatch(self, request: dedup_pb2.StartBatchRequest, _context: grpc.ServicerContext) -> dedup_pb2.Batch:
        batch_id = parse_id(request.batch_id, "batch_id")
        with transaction() as connection:
            batches.start(connection, caller(), batch_id)
            return _show_batch(batches.find(connection, batch_id))

    def GetBatch(self, request: dedup_pb2.GetBatchRequest, _context: grpc.ServicerContext) -> dedup_pb2.Batch:
        batch_id = parse_id(request.batch_id, "batch_id") if request.batch_id else None
        with reading() as connection:
            return _show_batch(batches.find(connection, batch_id))

    def ListBatchBlocks(self, _request: dedup_pb2.ListBatchBlocksRequest, _context: grpc.ServicerContext) -> dedup_pb2.ListBatchBlocksResponse:
        with reading() as connection:
            found = batches.blocks(connection, caller())
        names = ("pairs", "confirmed", "for_supervisors")
        return dedup_pb2.ListBatchBlocksResponse(
            blocks=[dedup_pb2.BatchBlock(region=row["block"], **{name: row[name] for name in names}) for row in found]
        )

    def ListBatchPairs(self, request: dedup_pb2.ListBatchPairsRequest, _context: grpc.ServicerContext) -> dedup_pb2.ListBatchPairsResponse:
        size, after = page_size(request.page.size), _after_batch_pair(request.page.after)
        with transaction() as connection:
            found = batches.pairs(connection, caller(), request.region, after, size)
        self._reads.seen(caller(), "batch.pairs", [row[name] for row in found for name in ("one_id", "other_id")])
        last = found[-1] if len(found) == size else None
        return dedup_pb2.ListBatchPairsResponse(
            pairs=map(_show_pair, found), next=f"{-last['weight_centibits']}/{last['one_id']}/{last['other_id']}" if last else ""
        )


def _kind(kind: int) -> str:
    if kind not in dedup_pb2.FlagKind.values():
        raise Invalid("KIND_UNKNOWN", "There is no such kind.", field="kind")
    return dedup_pb2.FlagKind.Name(dedup_pb2.FlagKind.ValueType(kind or dedup_pb2.FLAG_KIND_ALL)).removeprefix("FLAG_KIND_")


def _after_pair(text: str) -> tuple[UUID, UUID] | None:
    one, _, other = text.partition(".")
    try:
        return (UUID(one), UUID(other)) if text else None
    except ValueError:
        raise page_unknown() from None


def _show_contest(case: queries.Contest) -> dedup_pb2.ContestedCase:
    clues = [dedup_pb2.Clue(**asdict(clue)) for clue in case.clues]
    shown = dedup_pb2.ContestedCase(member_id=str(case.member_id), other_member_id=str(case.other_id), clues=clues)
    shown.since.FromDatetime(case.since)
    return shown


def _show_counted(row: queries.Counted) -> dedup_pb2.PrecisionRow:
    return dedup_pb2.PrecisionRow(
        month=row.month,
        region=row.region,
        verdict=f"VERDICT_{row.verdict}",
        override=f"OVERRIDE_{row.override}",
        band=f"WEIGHT_BAND_{row.band}",
        decided=row.decided,
        duplicates=row.duplicates,
        not_duplicates=row.not_duplicates,
        referred=row.referred,
    )


def _after_batch_pair(text: str) -> batches.Place | None:
    try:
        weight, one, other = text.split("/") if text else ("0", "", "")
        return (int(weight), UUID(one), UUID(other)) if text else None
    except ValueError:
        raise page_unknown() from None


def _show_batch(row: Mapping[Any, Any]) -> dedup_pb2.Batch:
    names = ("phase", "phases_done", "asked_at", "taken_at", "ended_at", "members", "pairs", "clusters", "screened_again", "model", "error")
    return dedup_pb2.Batch(
        batch_id=str(row["id"]),
        state=f"BATCH_STATE_{row['state']}",
        phases=len(batch.PHASES),
        steps_done=row["phase_done"],
        steps=row["phase_of"],
        **{name: row[name] for name in names},
    )


def _show_pair(row: Mapping[Any, Any]) -> dedup_pb2.BatchPair:
    names = ("one_revision", "other_revision", "override", "weight_centibits", "changed")
    return dedup_pb2.BatchPair(
        one_member_id=str(row["one_id"]),
        other_member_id=str(row["other_id"]),
        verdict=f"VERDICT_{row['verdict']}",
        cluster_id=str(row["cluster_id"] or ""),
        batch_id=str(row["batch_id"]),
        **{name: row[name] for name in names},
    )


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
