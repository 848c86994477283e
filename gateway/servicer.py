"""gRPC in: reads the nation's question, asks the states, shows the sum and whose it is."""

from collections.abc import Mapping
from datetime import UTC, datetime

import grpc

from gateway import merge
from gateway.ask import Answer, Asker, Freshness
from gateway.registry import States
from protos import gateway_pb2_grpc, reporting_pb2
from protos.gateway_pb2 import NationalReportRequest, NationalReportResponse
from protos.reporting_pb2 import ReportRequest, ReportResponse
from services.chassis.discovery import Instance
from services.kernel import region as regions
from services.kernel.errors import Conflict, Invalid
from services.kernel.month import month_of, parse_period, today
from services.kernel.page import page_size, page_unknown
from services.kernel.region import Level

REPORT_NAME_MAX = 60


class Servicer(gateway_pb2_grpc.GatewayServiceServicer):
    """The nation's figures."""

    def __init__(self, states: States, asker: Asker) -> None:
        self._states = states
        self._asker = asker

    async def NationalReport(self, request: NationalReportRequest, context: grpc.aio.ServicerContext) -> NationalReportResponse:  # type: ignore[type-arg]  # noqa: N802 - the proto's name; of any request
        level = _check(request)
        if request.region:
            asked = [self._state_of(request.region)]
            question = ReportRequest(
                report=request.report,
                region=request.region,
                level=request.level,
                from_month=request.from_month,
                to_month=request.to_month,
                page=request.page,
            )
        else:
            asked = self._states.all()
            question = ReportRequest(report=request.report, level=Level.STATE.name, from_month=request.from_month, to_month=request.to_month)
        answers = await self._asker.ask([instance.code for instance in asked], question, context.time_remaining())
        _pass_refusals_on(answers, single=bool(request.region))
        whole = merge.merge({answer.state: _part(answer.report) for answer in answers if answer.report}, into_one=level is Level.NATION)
        if request.complete:
            _must_be_complete(answers, whole.missing)
        response = _show(asked, answers, whole)
        if request.region:
            response.next = answers[0].report.next if answers[0].report else ""
        else:
            _cut_page(response, page_size(request.page.size), request.page.after)
        return response

    def _state_of(self, region: str) -> Instance:
        state = self._states.of_region(region)
        if state is None:
            raise Invalid("REGION_UNKNOWN", "No state has the region {path}.", field="region", path=region)
        return state


def _check(request: NationalReportRequest) -> Level:
    """The level of the rows, or a refusal of what no state need be asked about."""
    if not 0 < len(request.report) <= REPORT_NAME_MAX:
        raise _report_unknown()
    regions.check_region(request.region)
    level = regions.parse_level(request.level)
    if not request.region and level > Level.STATE:
        raise Invalid("REGION_LEVEL", "For rows below the states give the region that they lie in.", field="region")
    if request.region and level < regions.level(request.region):
        raise Invalid("REGION_LEVEL", "The rows cannot be of a level above the region.", field="level")
    parse_period(request.from_month, request.to_month, month_of(today()))
    page_size(request.page.size)
    if not request.region and request.page.after and not (level is Level.STATE and request.page.after.isdecimal()):
        raise page_unknown()
    return level


def _report_unknown() -> Invalid:
    return Invalid("REPORT_UNKNOWN", "No state knows a report of this name.", field="report")


def _pass_refusals_on(answers: list[Answer], *, single: bool) -> None:
    """What the one state asked refuses, we refuse. Where many were asked, it costs that state's part alone."""
    if answers and all(answer.freshness is Freshness.UNSUPPORTED for answer in answers):
        raise _report_unknown()
    if single and answers[0].refused:
        raise answers[0].refused


def _must_be_complete(answers: list[Answer], missing: Mapping[str, tuple[str, ...]]) -> None:
    gaps = [f"{answer.state} ({answer.freshness.lower()})" for answer in answers if answer.freshness is not Freshness.FRESH]
    gaps += [f"{state} (without {', '.join(columns)})" for state, columns in missing.items() if columns]
    if gaps:
        raise Conflict("ANSWER_INCOMPLETE", "The answer has gaps: {gaps}.", field="complete", gaps="; ".join(gaps))


def _part(report: ReportResponse) -> merge.Part:
    kinds = reporting_pb2.ColumnKind.DESCRIPTOR.values_by_number
    return merge.Part(
        tuple(
            merge.Column(column.name, kinds[column.kind].name.removeprefix("COLUMN_KIND_") if column.kind in kinds else "", column.unit)
            for column in report.columns
        ),
        tuple(merge.Row(row.region, row.name, tuple(row.values)) for row in report.rows),
    )


def _show(asked: list[Instance], answers: list[Answer], whole: merge.Whole) -> NationalReportResponse:
    now = datetime.now(UTC)
    response = NationalReportResponse(
        columns=[reporting_pb2.Column(name=column.name, kind=f"COLUMN_KIND_{column.kind}", unit=column.unit) for column in whole.columns],
        rows=[reporting_pb2.Row(region=row.region, name=row.name, values=row.values) for row in whole.rows],
    )
    for instance, answer in zip(asked, answers, strict=True):
        # Its own answer knows best; the registry knows a state that was never heard.
        members = answer.report.registered_members if answer.report else instance.registered_members
        part = response.parts.add(
            state=answer.state,
            freshness=f"FRESHNESS_{answer.freshness}",
            reason=answer.reason,
            registered_members=members,
            version=instance.version,
            columns_missing=whole.missing.get(answer.state, ()),
            instance_epoch=answer.report.instance_epoch if answer.report else 0,
        )
        if answer.at:
            part.as_of.FromDatetime(answer.at)
            part.age_seconds = max(int((now - answer.at).total_seconds()), 0)
        response.members_registered += members
        if answer.report:
            response.members_covered += members
    return response


def _cut_page(response: NationalReportResponse, size: int, after: str) -> None:
    """The states' rows, by region; the nation's one row is a page of its own."""
    rows = [row for row in response.rows if not after or row.region > after]
    response.next = rows[size - 1].region if len(rows) > size else ""
    del response.rows[:]
    response.rows.extend(rows[:size])
