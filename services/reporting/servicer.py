"""gRPC in: reads the question, runs one query, shows the answer."""

from dataclasses import asdict
from datetime import datetime

import grpc

from protos import reporting_pb2, reporting_pb2_grpc
from services.chassis import audit, database, epochs, places, settings
from services.chassis.interceptors import caller
from services.kernel.month import today
from services.reporting import queries, rules
from services.reporting.queries import Row
from services.reporting.rules import Asked, Question, portfolio

SERVICE = "reporting"


class Servicer(reporting_pb2_grpc.ReportingServiceServicer):
    """A state's figures."""

    def __init__(self) -> None:
        self._reads = audit.Reads(SERVICE)

    def Report(self, request: reporting_pb2.ReportRequest, _context: grpc.ServicerContext) -> reporting_pb2.ReportResponse:
        state = str(settings.state_lgd())
        asked = Asked(request.report, request.region, request.level, request.from_month, request.to_month, request.page.size, request.page.after)
        question = rules.check(asked, state, places.geography(), today())
        caller().must_see_region(question.region)
        with database.reading(SERVICE) as connection:
            as_of = queries.as_of(connection)  # First: what comes between may make the figures newer than it says, never older.
            rows, after = queries.report(connection, question)
            registered = queries.registered_members(connection, state)
            epoch = epochs.current(connection)
        self._reads.seen(caller(), f"report.{request.report}", [question.region])
        return _show(question, rows, after, registered, epoch, as_of)

    def Portfolio(self, request: reporting_pb2.PortfolioRequest, _context: grpc.ServicerContext) -> reporting_pb2.PortfolioResponse:
        asked = portfolio.check(request.region, request.from_on, request.to_on, str(settings.state_lgd()), places.geography(), today())
        caller().must_see_region(asked.region)
        with database.reading(SERVICE) as connection:
            as_of = queries.as_of(connection)
            rows = queries.portfolio(connection, asked)
            epoch = epochs.current(connection)
        self._reads.seen(caller(), "report.portfolio", [asked.region])
        response = reporting_pb2.PortfolioResponse(
            region=asked.region,
            from_on=asked.from_on.isoformat(),
            to_on=asked.to_on.isoformat(),
            rows=[reporting_pb2.PortfolioRow(**asdict(row)) for row in rows],
            instance_epoch=epoch,
        )
        if as_of:
            response.as_of.FromDatetime(as_of)
        return response


def _show(question: Question, rows: list[Row], after: str, registered: int, epoch: int, as_of: datetime | None) -> reporting_pb2.ReportResponse:
    geography, on = places.geography(), today()
    response = reporting_pb2.ReportResponse(
        columns=[reporting_pb2.Column(name=measure.name, kind=f"COLUMN_KIND_{measure.kind}", unit=measure.unit) for measure in question.measures],
        rows=[reporting_pb2.Row(region=row.region, name=geography.name(row.region, on), values=row.values) for row in rows],
        next=after,
        registered_members=registered,
        instance_epoch=epoch,
    )
    if as_of:
        response.as_of.FromDatetime(as_of)
    return response
