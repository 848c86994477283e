"""gRPC in: reads a request, runs one command or query in a transaction, shows the answer."""

import logging
from collections.abc import Callable, Iterable
from typing import Any
from uuid import UUID

import grpc
from google.protobuf.json_format import ParseDict
from sqlalchemy import Row
from sqlalchemy.exc import DBAPIError

from protos import common_pb2
from protos import transactions_pb2 as pb
from protos.transactions_pb2_grpc import TransactionsServiceServicer
from services.chassis import audit, database, epochs, interceptors, settings
from services.kernel.approval import MeetingStatus
from services.kernel.caller import Caller
from services.kernel.errors import Exhausted, Invalid, Refused, Unavailable
from services.kernel.ids import parse_id
from services.kernel.month import parse_date, today
from services.kernel.page import page_size, page_unknown
from services.transactions import queries
from services.transactions.commands import decide, sync
from services.transactions.rules import meeting as rules
from services.transactions.rules.heads import TITLES
from services.transactions.rules.record import MEETINGS_MAX, Outcome

log = logging.getLogger(__name__)

SERVICE = "transactions"
INTEGER_MAX = 2**31 - 1  # Of a meeting's number and a line's, in the tables.
transaction = database.of(SERVICE)


class Servicer(TransactionsServiceServicer):
    def __init__(self) -> None:
        self._reads = audit.Reads(SERVICE)

    def _seen(self, action: str, *subjects: object) -> None:
        self._reads.seen(interceptors.caller(), action, subjects)

    def SyncMeetings(self, request: pb.SyncMeetingsRequest, _context: grpc.ServicerContext) -> pb.SyncMeetingsResponse:
        """Each meeting in a transaction of its own: one that fails takes no other with it."""
        if len(request.meetings) > MEETINGS_MAX:
            raise Invalid("MEETINGS_TOO_MANY", "Send at most {most} meetings at once.", field="meetings", most=MEETINGS_MAX)
        answers, held_up = [], set[str]()
        failed: DBAPIError | None = None
        for sent in request.meetings:
            try:
                answers.append(_answer(sent, interceptors.caller(), held_up))
            except DBAPIError as error:
                if database.is_away(error):
                    raise
                log.exception("a meeting could not be stored", extra={"meeting_id": sent.meeting_id})
                failed = error
        if failed is not None:
            raise Unavailable("MEETINGS_NOT_ALL", "Not every meeting could be stored; send them again.") from failed
        with transaction() as connection:
            return pb.SyncMeetingsResponse(answers=answers, instance_epoch=epochs.current(connection))

    def ApproveMeeting(self, request: pb.ApproveMeetingRequest, _context: grpc.ServicerContext) -> pb.Meeting:
        meeting_id = parse_id(request.meeting_id, "meeting_id")
        with transaction() as connection:
            made = decide.approve_meeting(connection, interceptors.caller(), meeting_id, request.revision)
        self._seen("meeting.get", meeting_id, *_members(made))  # Approved before, it changes nothing and is shown all the same.
        return _show(made)

    def RejectMeeting(self, request: pb.RejectMeetingRequest, _context: grpc.ServicerContext) -> pb.Meeting:
        meeting_id = parse_id(request.meeting_id, "meeting_id")
        with transaction() as connection:
            made = decide.reject_meeting(connection, interceptors.caller(), meeting_id, request.revision, request.remark)
        self._seen("meeting.get", meeting_id, *_members(made))
        return _show(made)

    def GetMeeting(self, request: pb.GetMeetingRequest, _context: grpc.ServicerContext) -> pb.Meeting:
        meeting_id = parse_id(request.meeting_id, "meeting_id")
        with transaction() as connection:
            found = queries.meeting(connection, interceptors.caller(), meeting_id)
        self._seen("meeting.get", meeting_id, *_members(found))
        return _show(found)

    def ListMeetings(self, request: pb.ListMeetingsRequest, _context: grpc.ServicerContext) -> pb.ListMeetingsResponse:
        institution_id = parse_id(request.institution_id, "institution_id")
        size = page_size(request.page.size)
        after = _page_after(request.page, UUID)
        status = pb.MeetingStatus.Name(request.status).removeprefix("MEETING_STATUS_") if request.status in pb.MeetingStatus.values() else None
        if status is None:
            raise Invalid("STATUS_UNKNOWN", "There is no such status.", field="status")
        wanted = "" if status == "UNSPECIFIED" else status
        with transaction() as connection:
            found = queries.meetings_of(connection, interceptors.caller(), institution_id, wanted, after, size)
        self._seen("meeting.list", *(row.meeting_id for row in found), *_members(*found))
        return pb.ListMeetingsResponse(meetings=map(_show, found), next=str(found[-1].meeting_id) if len(found) == size else "")

    def Pull(self, request: pb.PullRequest, _context: grpc.ServicerContext) -> pb.Position:
        institution_id = parse_id(request.institution_id, "institution_id")
        with database.reading(SERVICE, of_one_moment=True) as connection:
            chain, members, loans = queries.position(connection, interceptors.caller(), institution_id)
            epoch = epochs.current(connection)
        self._seen("books.pull", institution_id, *sorted({row.member_id for row in (*members, *loans)}))
        return pb.Position(
            institution_id=str(institution_id),
            last_number=chain.last_number,
            approved_through=chain.approved_through,
            cash_paise=chain.cash_paise,
            bank_paise=chain.bank_paise,
            members=[
                pb.MemberPosition(member_id=str(row.member_id), compulsory_paise=row.compulsory_paise, voluntary_paise=row.voluntary_paise)
                for row in members
            ],
            loans=[
                pb.LoanPosition(
                    loan_id=str(row.loan_id),
                    member_id=str(row.member_id),
                    principal_paise=row.principal_paise,
                    outstanding_paise=row.outstanding_paise,
                    annual_rate_basis_points=row.annual_rate_basis_points,
                )
                for row in loans
            ],
            instance_epoch=epoch,
        )

    def Journal(self, request: pb.JournalRequest, _context: grpc.ServicerContext) -> pb.JournalResponse:
        institution_id = parse_id(request.institution_id, "institution_id")
        size = page_size(request.page.size)
        after = _page_after(request.page, _meeting_and_line)
        with transaction() as connection:
            rows = queries.journal(connection, interceptors.caller(), institution_id, after, size)
        self._seen("books.journal", institution_id, *sorted({row.member_id for row in rows if row.member_id}))
        return pb.JournalResponse(lines=map(_show_line, rows), next=f"{rows[-1].number}.{rows[-1].line}" if len(rows) == size else "")

    def TrialBalance(self, request: pb.TrialBalanceRequest, _context: grpc.ServicerContext) -> pb.TrialBalanceResponse:
        institution_id = parse_id(request.institution_id, "institution_id")
        with database.reading(SERVICE, of_one_moment=True) as connection:
            through, heads = queries.trial_balance(connection, interceptors.caller(), institution_id)
        self._seen("books.trial_balance", institution_id)
        return pb.TrialBalanceResponse(
            heads=[pb.HeadBalance(head=head, name=TITLES[head], debit_paise=debit, credit_paise=credit) for head, (debit, credit) in heads.items()],
            debit_total_paise=sum(debit for debit, _ in heads.values()),
            credit_total_paise=sum(credit for _, credit in heads.values()),
            approved_through=through,
        )


def _answer(sent: pb.Meeting, caller: Caller, held_up: set[str]) -> pb.MeetingAnswer:
    """One item's answer. Once one meeting of an institution waits, so do its later ones, which stand on it."""
    try:
        if sent.institution_id in held_up:
            raise rules.Waiting("MEETING_WAITING", "The meeting before waits, and so does this one.", field="number")
        asked = _read(sent)
        with transaction() as connection:
            outcome = sync.sync_meeting(connection, caller, asked, settings.state().policies, today())
    except Exhausted:
        raise
    except Refused as refused:
        outcome = Outcome.WAITING if isinstance(refused, rules.Waiting) else Outcome.REFUSED
        if outcome == Outcome.WAITING:
            held_up.add(sent.institution_id)
        refusal = interceptors.show_refusal(refused)
        return pb.MeetingAnswer(meeting_id=sent.meeting_id, revision=sent.revision, outcome=_wire(outcome), refusal=refusal)
    return pb.MeetingAnswer(meeting_id=sent.meeting_id, revision=sent.revision, outcome=_wire(outcome))


def _wire(outcome: Outcome) -> str:
    """Name it as the proto does; a message takes an enum's name for its value."""
    return f"OUTCOME_{outcome}"


def _ids(name: str, key: str, entries: Iterable[Any]) -> list[UUID]:
    return [parse_id(getattr(entry, key), f"{name}[{place}].{key}") for place, entry in enumerate(entries)]


def _read(sent: pb.Meeting) -> rules.Meeting:
    """The device's part of the message; the server's fields are ignored."""
    return rules.Meeting(
        meeting_id=parse_id(sent.meeting_id, "meeting_id"),
        institution_id=parse_id(sent.institution_id, "institution_id"),
        revision=sent.revision,
        number=sent.number,
        held_on=parse_date(sent.held_on, "held_on"),
        attendance=tuple(
            rules.Attendance(member_id, a.present)
            for member_id, a in zip(_ids("attendance", "member_id", sent.attendance), sent.attendance, strict=True)
        ),
        savings=tuple(
            rules.Saving(member_id, s.compulsory_paise, s.voluntary_paise)
            for member_id, s in zip(_ids("savings", "member_id", sent.savings), sent.savings, strict=True)
        ),
        repayments=tuple(
            rules.Repayment(loan_id, r.principal_paise, r.interest_paise)
            for loan_id, r in zip(_ids("repayments", "loan_id", sent.repayments), sent.repayments, strict=True)
        ),
        loans=tuple(
            rules.LoanGiven(loan_id, member_id, loan.principal_paise, loan.annual_rate_basis_points, loan.months, loan.purpose)
            for loan_id, member_id, loan in zip(_ids("loans", "loan_id", sent.loans), _ids("loans", "member_id", sent.loans), sent.loans, strict=True)
        ),
        fines=tuple(rules.Fine(member_id, f.amount_paise) for member_id, f in zip(_ids("fines", "member_id", sent.fines), sent.fines, strict=True)),
        deposited_paise=sent.deposited_paise,
        withdrawn_paise=sent.withdrawn_paise,
        counted_cash_paise=sent.counted_cash_paise,
        passbook_bank_paise=sent.passbook_bank_paise,
    )


def _members(*rows: Row[Any]) -> list[str]:
    """The members that meetings name; a repayment names a loan, and not whose it is."""
    return sorted({entry["member_id"] for row in rows for name in ("attendance", "savings", "loans", "fines") for entry in row.content.get(name, ())})


def _show(row: Row[Any]) -> pb.Meeting:
    shown: pb.Meeting = ParseDict({**row.content, "status": f"MEETING_STATUS_{row.status}", "remark": row.remark}, pb.Meeting())
    if row.status == MeetingStatus.APPROVED:
        shown.approved_by = row.decided_by
        shown.approved_at.FromDatetime(row.decided_at)
    return shown


def _show_line(row: Row[Any]) -> pb.JournalLine:
    return pb.JournalLine(
        meeting_id=str(row.meeting_id),
        line=row.line,
        held_on=row.held_on.isoformat(),
        debit=row.debit,
        credit=row.credit,
        amount_paise=row.amount_paise,
        member_id=str(row.member_id or ""),
        loan_id=str(row.loan_id or ""),
        approved=row.status == MeetingStatus.APPROVED,
    )


def _page_after(page: common_pb2.Page, read: Callable[[str], Any]) -> Any:  # noqa: ANN401 - whatever this list is paged by
    try:
        return read(page.after) if page.after else None
    except ValueError:
        raise page_unknown() from None


def _meeting_and_line(text: str) -> tuple[int, int]:
    number, line = text.split(".")
    if not (number.isascii() and number.isdecimal() and line.isascii() and line.isdecimal() and len(text) <= 18):
        raise ValueError(text)
    if max(int(number), int(line)) > INTEGER_MAX:
        raise ValueError(text)
    return int(number), int(line)
