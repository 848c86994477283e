"""gRPC in: reads a request, runs one command or query in a transaction, shows the answer."""

import logging
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID

import grpc
from sqlalchemy.exc import DBAPIError

from protos import common_pb2
from protos import transactions_pb2 as pb
from protos.transactions_pb2_grpc import TransactionsServiceServicer
from services.chassis import audit, database, epochs, interceptors, settings
from services.kernel.caller import Caller
from services.kernel.errors import Invalid, Refused
from services.kernel.ids import parse_id
from services.kernel.month import parse_date, today
from services.kernel.page import page_size, page_unknown
from services.transactions import queries
from services.transactions.commands import decide, refuse, sync, take
from services.transactions.rules import anomaly, quote, record, settlement, statements
from services.transactions.rules.loan import Order, split
from services.transactions.rules.meeting import Waiting
from services.transactions.rules.record import APPROVALS_MAX, MEETINGS_MAX, UNSENT_MAX, Outcome, Upload
from services.transactions.servicer import showing
from services.transactions.servicer.reading import read_loan, read_upload

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
        """Each institution in a transaction of its own: one that fails takes no other with it."""
        if len(request.meetings) > MEETINGS_MAX:
            raise Invalid("MEETINGS_TOO_MANY", "Send at most {most} meetings at once.", field="meetings", most=MEETINGS_MAX)
        outcomes: dict[int, Outcome | Refused] = {}
        uploads: dict[str, dict[int, Upload]] = {}
        for place, sent in enumerate(request.meetings):
            try:
                upload = read_upload(sent)
                uploads.setdefault(upload.sheet.institution_id, {})[place] = upload
            except Refused as refused:
                outcomes[place] = refused
        for institution_id, of_one in uploads.items():
            try:
                outcomes.update(_sync(of_one, interceptors.caller()))
            except (DBAPIError, sync.NotStoredError) as error:
                if database.is_away(error) or database.may_try_again(error):
                    raise
                log.exception("meetings could not be stored", extra={"institution_id": institution_id})
                # Not refused: what is refused a device puts before its user to be put right, and here nothing is wrong.
                sentence = "This meeting could not be stored, and nothing of it is kept; send it again."
                outcomes.update(dict.fromkeys(of_one, Waiting("NOT_STORED", sentence, awaited="")))
        with transaction() as connection:
            epoch = epochs.current(connection)
            for place, upload in ((place, one) for of_one in uploads.values() for place, one in of_one.items()):
                if isinstance(answered := outcomes[place], Refused):
                    refuse.note(connection, interceptors.caller(), upload.sheet, answered, datetime.now(UTC))
        return pb.SyncMeetingsResponse(answers=[_answer(sent, outcomes[place]) for place, sent in enumerate(request.meetings)], instance_epoch=epoch)

    def TakeBooks(self, request: pb.TakeBooksRequest, _context: grpc.ServicerContext) -> pb.TakeBooksResponse:
        institution_id = parse_id(request.institution_id, "institution_id")
        with transaction() as connection:
            lock = take.take_books(connection, interceptors.caller(), institution_id, take_over=request.take_over)
        return pb.TakeBooksResponse(lock=lock)

    def ApproveMeeting(self, request: pb.ApproveMeetingRequest, _context: grpc.ServicerContext) -> pb.Meeting:
        meeting_id, caller = parse_id(request.meeting_id, "meeting_id"), interceptors.caller()
        with transaction() as connection:
            policies, wanted = settings.state().policies, {meeting_id: request.revision}
            refused = decide.approve_meetings(connection, caller, wanted, policies, today(), unseen=False)[meeting_id]
            if refused:
                raise refused
            found = queries.meeting(connection, caller, meeting_id)
        self._seen("meeting.get", meeting_id, *showing.members_in(found))  # Approved before, it changes nothing and is shown all the same.
        return showing.meeting(found)

    def ApproveMeetings(self, request: pb.ApproveMeetingsRequest, _context: grpc.ServicerContext) -> pb.ApproveMeetingsResponse:
        if len(request.meetings) > APPROVALS_MAX:
            raise Invalid("MEETINGS_TOO_MANY", "Approve at most {most} meetings at once.", field="meetings", most=APPROVALS_MAX)
        wanted: dict[UUID, int] = {}
        for at, one in enumerate(request.meetings):
            field = f"meetings[{at}].meeting_id"
            meeting_id = parse_id(one.meeting_id, field)
            if meeting_id in wanted:
                raise Invalid("MEETING_TWICE", "This meeting is named before already; name each once.", field=field)
            wanted[meeting_id] = one.revision
        with transaction() as connection:
            answers = decide.approve_meetings(connection, interceptors.caller(), wanted, settings.state().policies, today(), unseen=True)
        return pb.ApproveMeetingsResponse(
            answers=[
                pb.ApprovalAnswer(meeting_id=str(one), refusal=interceptors.show_refusal(refused) if refused else None)
                for one, refused in ((one, answers[one]) for one in wanted)
            ]
        )

    def RejectMeeting(self, request: pb.RejectMeetingRequest, _context: grpc.ServicerContext) -> pb.Meeting:
        meeting_id, caller, policies = parse_id(request.meeting_id, "meeting_id"), interceptors.caller(), settings.state().policies
        said = record.Handback(request.remark, tuple(request.reasons))
        with transaction() as connection:
            decide.reject_meeting(connection, caller, meeting_id, request.revision, said, policies, today())
            found = queries.meeting(connection, caller, meeting_id)
        self._seen("meeting.get", meeting_id, *showing.members_in(found))
        return showing.meeting(found)

    def ListWaiting(self, request: pb.ListWaitingRequest, _context: grpc.ServicerContext) -> pb.ListWaitingResponse:
        size, after = page_size(request.page.size), _page_after(request.page, _institution_and_number)
        side = settings.state().policies.value("shg_approver_side", today())
        with database.reading(SERVICE) as connection:
            rows = queries.waiting(connection, interceptors.caller(), after, size, side)
        self._seen("meeting.list", *(row.meeting_id for row in rows))
        following = f"{rows[-1].institution_id}.{rows[-1].number}" if len(rows) == size else ""
        return pb.ListWaitingResponse(meetings=map(showing.waiting, rows), next=following)

    def ListAnomalies(self, request: pb.ListAnomaliesRequest, _context: grpc.ServicerContext) -> pb.ListAnomaliesResponse:
        size, after = page_size(request.page.size), _page_after(request.page, _anomaly_mark)
        institution_id = parse_id(request.institution_id, "institution_id") if request.institution_id else None
        wanted = anomaly.Wanted(*_days(request), request.region, institution_id, *anomaly.check_kinds(request.kinds))
        caller = interceptors.caller()
        with database.reading(SERVICE, of_one_moment=True) as connection:
            if institution_id:
                queries.must_see(connection, caller, institution_id)
            flagged = map(showing.flagged, queries.flagged(connection, caller, wanted, after, size))
            refused = map(showing.refused, queries.attempts(connection, caller, wanted, after, size))
            found = sorted([*flagged, *refused], key=lambda one: one[0], reverse=True)[:size]
        shown = [one for _, one in found]
        members = {reason.member_id for one in shown for reason in one.reasons if reason.member_id}
        self._seen("meeting.anomalies", *(one.meeting_id for one in shown), *sorted(members))
        return pb.ListAnomaliesResponse(anomalies=shown, next=_written(found[-1][0]) if len(found) == size else "")

    def ListContestedLoans(self, request: pb.ListContestedLoansRequest, _context: grpc.ServicerContext) -> pb.ListContestedLoansResponse:
        size, after = page_size(request.page.size), _page_after(request.page, UUID)
        with database.reading(SERVICE) as connection:
            found, last = queries.contested_loans(connection, interceptors.caller(), after, size)
        shown = [showing.contested_loan(one) for one in found]
        self._seen("meeting.contested", *sorted({of for one in shown for of in (one.meeting_id, one.member_id)}))
        return pb.ListContestedLoansResponse(loans=shown, next=str(last or ""))

    def AllowContestedLoans(self, request: pb.AllowContestedLoansRequest, _context: grpc.ServicerContext) -> pb.AllowContestedLoansResponse:
        meeting_id = parse_id(request.meeting_id, "meeting_id")
        with transaction() as connection:
            decide.allow_loans(connection, interceptors.caller(), meeting_id, request.revision, request.reason)
        return pb.AllowContestedLoansResponse()

    def GetMeeting(self, request: pb.GetMeetingRequest, _context: grpc.ServicerContext) -> pb.Meeting:
        meeting_id = parse_id(request.meeting_id, "meeting_id")
        with database.reading(SERVICE) as connection:
            found = queries.meeting(connection, interceptors.caller(), meeting_id)
        self._seen("meeting.get", meeting_id, *showing.members_in(found))
        return showing.meeting(found)

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
        self._seen("meeting.list", *(row.meeting_id for row in found), *showing.members_in(*found))
        return pb.ListMeetingsResponse(meetings=map(showing.meeting, found), next=str(found[-1].meeting_id) if len(found) == size else "")

    def Pull(self, request: pb.PullRequest, _context: grpc.ServicerContext) -> pb.Position:
        institution_id = parse_id(request.institution_id, "institution_id")
        on = parse_date(request.on, "on") if request.on else today()
        since_on = parse_date(request.since_on, "since_on") if request.since_on else None
        with database.reading(SERVICE, of_one_moment=True) as connection:
            epoch = epochs.current(connection)
            # Of books that came back from a backup, what a device knew of them before never was.
            same = request.since_epoch == epoch
            known = queries.Known(request.since_version, request.since_approved_through, request.since_roster) if same else queries.Known()
            found = queries.standing(connection, interceptors.caller(), institution_id, known)
        shown = showing.position(found, known.version, on, since_on if known.version else None, epoch, _repayment_order())
        shown.settlement_shares_surplus = _shares_surplus(on)
        self._seen("books.pull", institution_id, *showing.members_of(shown))
        return shown

    def SplitRepayment(self, request: pb.SplitRepaymentRequest, _context: grpc.ServicerContext) -> pb.SplitRepaymentResponse:
        institution_id, loan_id = parse_id(request.institution_id, "institution_id"), parse_id(request.loan_id, "loan_id")
        on = parse_date(request.on, "on") if request.on else today()
        with database.reading(SERVICE) as connection:
            found = queries.loan_in(connection, interceptors.caller(), institution_id, loan_id)
        self._seen("books.loan", institution_id, *([found.borrower_id] if found.borrower_id else []))
        return pb.SplitRepaymentResponse(**split(found.terms, found.standing, request.amount_paise, on, _repayment_order())._asdict())

    def QuoteSettlement(self, request: pb.QuoteSettlementRequest, _context: grpc.ServicerContext) -> pb.QuoteSettlementResponse:
        institution_id, member_id = parse_id(request.institution_id, "institution_id"), parse_id(request.member_id, "member_id")
        on = parse_date(request.on, "on") if request.on else today()
        with database.reading(SERVICE, of_one_moment=True) as connection:
            found = queries.standing(connection, interceptors.caller(), institution_id, queries.Known())
            queries.loans_of(connection, institution_id, member_id)  # Refused where she never was of it.
        self._seen("books.settlement", institution_id, member_id)
        lent = {loan_id: of for loan_id, (_, of) in found.loans.items()}
        return showing.settlement(settlement.quote(str(member_id), found.balances, lent, on, shared=_shares_surplus(on)))

    def Journal(self, request: pb.JournalRequest, _context: grpc.ServicerContext) -> pb.JournalResponse:
        institution_id = parse_id(request.institution_id, "institution_id")
        size = page_size(request.page.size)
        after = _page_after(request.page, _meeting_and_line) or (0, 0)
        with database.reading(SERVICE, of_one_moment=True) as connection:
            found = queries.journal(connection, interceptors.caller(), institution_id, after, size)
        self._seen("books.journal", institution_id, *sorted({of for _, line, _ in found for of in (line.debit_of, line.credit_of) if of}))
        following = f"{found[-1][0].number}.{found[-1][1].line}" if len(found) == size else ""
        return pb.JournalResponse(lines=[showing.line(*one) for one in found], next=following)

    def TrialBalance(self, request: pb.TrialBalanceRequest, _context: grpc.ServicerContext) -> pb.TrialBalanceResponse:
        institution_id = parse_id(request.institution_id, "institution_id")
        as_of = parse_date(request.as_of, "as_of") if request.as_of else today()
        statements.check_day(as_of, today(), "as_of")
        with database.reading(SERVICE, of_one_moment=True) as connection:
            books = queries.approved_from(connection, interceptors.caller(), institution_id, as_of + timedelta(days=1))
        self._seen("books.trial_balance", institution_id)
        return showing.trial_balance(statements.trial_balance(books.now, books.meetings, books.chain.approved_through))

    def CashBook(self, request: pb.CashBookRequest, _context: grpc.ServicerContext) -> pb.CashBookResponse:
        books, days = self._books(request)
        self._seen("books.cash_book", request.institution_id, *sorted({of for one in books.meetings for of in one.named}))
        return showing.cash_book(statements.cash_book(books.now, books.meetings, *days))

    def ReceiptsAndPayments(self, request: pb.ReceiptsAndPaymentsRequest, _context: grpc.ServicerContext) -> pb.ReceiptsAndPaymentsResponse:
        books, days = self._books(request)
        self._seen("books.receipts_and_payments", request.institution_id)
        return showing.receipts_and_payments(statements.receipts_and_payments(books.now, books.meetings, *days))

    def _books(self, request: pb.CashBookRequest | pb.ReceiptsAndPaymentsRequest) -> tuple[queries.Approved, tuple[date, date]]:
        institution_id, days = parse_id(request.institution_id, "institution_id"), _days(request)
        with database.reading(SERVICE, of_one_moment=True) as connection:
            return queries.approved_from(connection, interceptors.caller(), institution_id, days[0]), days

    def Passbook(self, request: pb.PassbookRequest, _context: grpc.ServicerContext) -> pb.PassbookResponse:
        institution_id, member_id = parse_id(request.institution_id, "institution_id"), parse_id(request.member_id, "member_id")
        days = _days(request)
        with database.reading(SERVICE, of_one_moment=True) as connection:
            books = queries.approved_from(connection, interceptors.caller(), institution_id, days[0])
            hers = dict.fromkeys(queries.loans_of(connection, institution_id, member_id), str(member_id))
        self._seen("books.passbook", institution_id, member_id)
        return showing.passbook(statements.passbook(books.now, books.meetings, str(member_id), hers, *days))

    def GetChart(self, _request: pb.GetChartRequest, _context: grpc.ServicerContext) -> pb.Chart:
        return showing.chart()

    def QuoteSchedule(self, request: pb.QuoteScheduleRequest, _context: grpc.ServicerContext) -> pb.QuoteScheduleResponse:
        if len(request.loans) > quote.LOANS_MAX:
            raise Invalid("LOANS_TOO_MANY", "Ask for at most {most} loans at once.", field="loans", most=quote.LOANS_MAX)
        return pb.QuoteScheduleResponse(schedules=[_quoted(sent) for sent in request.loans])


def _quoted(sent: pb.LoanTerms) -> pb.QuotedSchedule:
    try:
        return pb.QuotedSchedule(**quote.plain(quote.quote(quote.read(read_loan(sent)))))
    except Refused as refused:
        inner = refused.field in pb.Agreed.DESCRIPTOR.fields_by_name
        return pb.QuotedSchedule(refusal=interceptors.show_refusal(refused, f"agreed.{refused.field}" if inner else ""))


def _days(request: pb.CashBookRequest | pb.ReceiptsAndPaymentsRequest | pb.PassbookRequest | pb.ListAnomaliesRequest) -> tuple[date, date]:
    days = parse_date(request.from_on, "from_on"), parse_date(request.to_on, "to_on")
    statements.check_range(*days, today())
    return days


def _sync(uploads: Mapping[int, Upload], caller: Caller) -> Mapping[int, Outcome | Refused]:
    """One institution's uploads; more than may be held offline are refused, all of them, since none is the right one to leave out."""
    if len(uploads) > UNSENT_MAX:
        sentence = "Of one institution at most {most} meetings are held before they are sent."
        return dict.fromkeys(uploads, Invalid("UNSENT_TOO_MANY", sentence, field="meetings", most=UNSENT_MAX))
    try:
        return _store(uploads, caller)
    except sync.IdTakenError:  # Read again, and it is seen which one.
        return _store(uploads, caller)


def _store(uploads: Mapping[int, Upload], caller: Caller) -> Mapping[int, Outcome | Refused]:
    with transaction() as connection:
        return sync.sync_meetings(connection, caller, uploads, settings.state().policies, today())


def _shares_surplus(on: date) -> bool:
    return settings.state().policies.value("settlement_shares_surplus", on) == 1


def _repayment_order() -> Order:
    return Order(settings.state().policies.value("repayment_order", today()))


def _answer(sent: pb.MeetingSheet, outcome: Outcome | Refused) -> pb.MeetingAnswer:
    if isinstance(outcome, Outcome):
        return pb.MeetingAnswer(meeting_id=sent.meeting_id, revision=sent.revision, outcome=_wire(outcome))
    became = Outcome.WAITING if isinstance(outcome, Waiting) else Outcome.REFUSED
    refusal = interceptors.show_refusal(outcome)
    awaited = outcome.awaited if isinstance(outcome, Waiting) else ""
    return pb.MeetingAnswer(meeting_id=sent.meeting_id, revision=sent.revision, outcome=_wire(became), refusal=refusal, waiting_for=awaited)


def _wire(outcome: Outcome) -> str:
    """Name it as the proto does; a message takes an enum's name for its value."""
    return f"OUTCOME_{outcome}"


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


def _institution_and_number(text: str) -> tuple[UUID, int]:
    institution_id, _, number = text.partition(".")
    if not (number.isascii() and number.isdecimal() and len(number) <= 9):
        raise ValueError(text)
    return UUID(institution_id), int(number)


def _written(mark: anomaly.Mark) -> str:
    return f"{mark.held_on}/{mark.meeting_id}/{mark.attempt}"


def _anomaly_mark(text: str) -> anomaly.Mark:
    held_on, meeting_id, attempt = text.split("/")
    code, _, revision = attempt.partition(".")
    if attempt and not (code in anomaly.REFUSED and revision.isascii() and revision.isdecimal() and len(revision) <= 10):
        raise ValueError(text)
    return anomaly.Mark(date.fromisoformat(held_on), UUID(meeting_id), attempt)
