"""gRPC in: My Task, what is let in among many, and whose phones are alike."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from uuid import UUID

import grpc

from protos import profiles_pb2
from services.chassis.audit import Reads
from services.chassis.interceptors import caller, show_refusal
from services.kernel.errors import Invalid, Refused
from services.kernel.ids import parse_id
from services.kernel.month import today
from services.kernel.page import page_size, page_unknown
from services.kernel.region import NOWHERE, Level, check_region, level
from services.profiles.commands import review
from services.profiles.queries import AnyRow, phones, tasks
from services.profiles.servicer.show import transaction

Context = grpc.ServicerContext
MANY_MAX = 100
GPS_MAX = 100
DAYS_MAX = 36_500


class Tasks:
    """The part of the servicer that a checker's day begins with."""

    reads: Reads

    def ListTasks(self, request: profiles_pb2.ListTasksRequest, _context: Context) -> profiles_pb2.ListTasksResponse:
        now = datetime.now(UTC)
        wanted = tasks.Wanted(
            kinds=[_kind(one) for one in request.kinds] or tasks.KINDS,
            region=request.region,
            gps=_gps(request.gps),
            until=now - timedelta(days=min(request.days_min, DAYS_MAX)) if request.days_min > 0 else None,
            maker_user=request.maker_user,
            institution_id=parse_id(request.institution_id, "institution_id") if request.institution_id else None,
            plain=request.plain,
            for_supervisor=request.for_supervisor,
        )
        size = page_size(request.page.size) if request.page.size else tasks.SIZE
        with transaction() as connection:
            rows = tasks.page(connection, caller(), wanted, _after(request.page.after), size)
        self.reads.seen(caller(), "task.list", [row.record_id for row in rows])
        return profiles_pb2.ListTasksResponse(tasks=[_show(row, now) for row in rows], next=_next(rows[-1]) if len(rows) == size else "")

    def CountTasks(self, request: profiles_pb2.CountTasksRequest, _context: Context) -> profiles_pb2.CountTasksResponse:
        if request.by not in tasks.GROUPINGS:
            known = ", ".join(filter(None, tasks.GROUPINGS))
            raise Invalid("GROUPING_UNKNOWN", "Tasks are counted by one of: {known}.", field="by", known=known)
        now = datetime.now(UTC)
        where = tasks.Wanted(region=request.region, gps=_gps(request.gps))
        with transaction() as connection:
            rows = tasks.counts(connection, caller(), where, request.by, now - timedelta(days=7), now - timedelta(days=30))
        return profiles_pb2.CountTasksResponse(
            counts=[
                profiles_pb2.TaskCount(
                    kind=f"TASK_KIND_{row.kind}",
                    of=row.of,
                    waiting=row.waiting,
                    over_7_days=row.over_7_days,
                    over_30_days=row.over_30_days,
                    plain=row.plain,
                    for_supervisor=row.for_supervisor,
                )
                for row in rows
            ]
        )

    def ApproveMany(self, request: profiles_pb2.ApproveManyRequest, _context: Context) -> profiles_pb2.ApproveManyResponse:
        if len(request.tasks) > MANY_MAX:
            raise Invalid("TASKS_TOO_MANY", "At most {most} at a time.", field="tasks", most=MANY_MAX)
        answers = [_approve(one) for one in request.tasks]
        return profiles_pb2.ApproveManyResponse(answers=answers, approved=sum(not answer.HasField("refusal") for answer in answers))

    def ListSharedPhones(self, request: profiles_pb2.ListSharedPhonesRequest, _context: Context) -> profiles_pb2.ListSharedPhonesResponse:
        size, after = page_size(request.page.size), _phone_mark(request.page.after)
        regions = [request.region] if request.region else caller().regions
        if any(level(region) < Level.BLOCK for region in regions if region != NOWHERE):
            raise Invalid("REGION_LEVEL", "Name a {level} or a place in one.", field="region", level=Level.BLOCK.name)
        with transaction() as connection:
            found = phones.shared(connection, regions, after, size)
        self.reads.seen(caller(), "member.shared_phones", dict.fromkeys(one for phone in found for carrier in phone.carriers for one in carrier))
        return profiles_pb2.ListSharedPhonesResponse(
            phones=map(_show_phone, found), next=f"{found[-1].mark.institutions}/{found[-1].mark.first_id}" if len(found) == size else ""
        )


def _show_phone(found: phones.Shared) -> profiles_pb2.SharedPhone:
    carriers = [profiles_pb2.Carrier(member_id=str(member_id), institution_id=str(shg_id)) for member_id, shg_id in found.carriers]
    return profiles_pb2.SharedPhone(ends_in=found.ends_in, members=found.members, institutions=found.mark.institutions, carriers=carriers)


def _phone_mark(text: str) -> phones.Mark | None:
    if not text:
        return None
    institutions, _, first_id = text.partition("/")
    try:
        if institutions.isascii() and institutions.isdecimal() and len(institutions) <= 9:
            return phones.Mark(int(institutions), UUID(first_id))
    except ValueError:
        pass
    raise page_unknown()


def _approve(one: profiles_pb2.TaskKey) -> profiles_pb2.TaskAnswer:
    """In a transaction of its own: what is refused takes nothing else with it."""
    try:
        kind, record_id = _kind(one.kind), parse_id(one.record_id, "record_id")
        with transaction() as connection:
            made = review.approve_plain(connection, caller(), kind, record_id, one.revision, today())
    except Refused as refused:
        return profiles_pb2.TaskAnswer(record_id=one.record_id, refusal=show_refusal(refused))
    return profiles_pb2.TaskAnswer(record_id=one.record_id, code=made.row.code)


def _kind(number: int) -> str:
    value = profiles_pb2.TaskKind.DESCRIPTOR.values_by_number.get(number) if number else None
    if value is None:
        raise Invalid("TASK_KIND_UNKNOWN", "A task is of a member, an SHG, a VO or a CLF.", field="kinds")
    return value.name.removeprefix("TASK_KIND_")


def _gps(paths: Sequence[str]) -> list[str]:
    if len(paths) > GPS_MAX:
        raise Invalid("GPS_TOO_MANY", "At most {most} Gram Panchayats at a time, as a cluster has.", field="gps", most=GPS_MAX)
    for path in paths:
        if level(check_region(path, "gps")) != Level.GP:
            raise Invalid("REGION_LEVEL", "This place must be a {level}.", field="gps", level=Level.GP.name)
    return list(dict.fromkeys(paths))


def _after(text: str) -> tasks.After | None:
    if not text:
        return None
    at, _, record_id = text.partition("/")
    try:
        return tasks.After(datetime.fromisoformat(at), parse_id(record_id, "page.after"))
    except (ValueError, Invalid):
        raise page_unknown() from None


def _next(row: AnyRow) -> str:
    return f"{row.submitted_at.isoformat()}/{row.record_id}"


def _show(row: AnyRow, now: datetime) -> profiles_pb2.Task:
    made = profiles_pb2.Task(
        kind=f"TASK_KIND_{row.kind}",
        record_id=str(row.record_id),
        revision=row.revision,
        act=f"ACT_{row.act}",
        institution_id=str(row.institution_id),
        institution_name=row.institution_name or "",
        region=row.region,
        name=row.name or "",
        maker_user=row.maker_user,
        days=(now - row.submitted_at).days,
        verdict=f"VERDICT_{row.verdict or 'UNSPECIFIED'}",
        open_questions=row.open_questions,
        live=row.live,
        again=row.returns > 0,
        for_supervisor=row.for_supervisor,
    )
    made.submitted_at.FromDatetime(row.submitted_at)
    return made
