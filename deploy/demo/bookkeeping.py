"""Ujala's books: taken to a phone, kept offline, handed back, put right by taking a line back, and read in every book."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from deploy.demo import books, meeting, screen
from deploy.demo.client import Client
from deploy.demo.ledger import Ledger
from protos import transactions_pb2 as pb
from services.kernel import month
from services.kernel.ids import uuid7
from services.kernel.money import rupees

PAGE = 500


def take_books(keeper: Client, institution_id: str) -> Ledger:
    """The group's books on this phone; whatever lies unsent on another is refused from now on."""
    taken = keeper(keeper.transactions.TakeBooks, pb.TakeBooksRequest(institution_id=institution_id, take_over=True), retry_seconds=30)
    kept = books.ledger(keeper, institution_id)
    kept.lock = taken.lock
    return kept


def offline(keeper: Client, approver: Client, kept: Ledger, member_ids: Sequence[str]) -> None:
    """Two meetings held without a network: sent in the wrong order, sent twice, handed back together, put right and let in."""
    told = books.position(keeper, kept.institution_id)
    first, second = (meeting.next_meeting(kept, told, member_ids) for _ in range(2))
    (early,) = _send(keeper, second)
    _must(early, "WAITING")
    screen.say(f"from offline, the later of two comes first: [yellow]{early.refusal.sentence}[/yellow] ({early.refusal.code})")
    for answer in _send(keeper, second, first):
        _must(answer, "APPLIED")
    for answer in _send(keeper, first, second):
        _must(answer, "ALREADY_APPLIED")
    screen.say(f"then both, the later one first, and once more: meetings {first.number} and {second.number} are in the books, once")
    reject = pb.RejectMeetingRequest(meeting_id=first.meeting_id, revision=1, reasons=["VOUCHER_MISSING"], remark="Show the bus tickets.")
    approver(approver.transactions.RejectMeeting, reject, retry_seconds=30)
    since = {"since_version": told.version, "since_approved_through": told.approved_through, "since_epoch": told.instance_epoch}
    decisions = keeper(keeper.transactions.Pull, pb.PullRequest(institution_id=kept.institution_id, **since), retry_seconds=30).decisions
    if {one.number for one in decisions if one.status == pb.MEETING_STATUS_REJECTED} != {first.number, second.number}:
        raise RuntimeError("handed back is not what stands on the meeting")
    for one in decisions:
        screen.say(f"handed back: meeting {one.number}, {', '.join(one.reasons)}: {one.remark}")
    for sheet in (first, second):
        sheet.revision = 2
    with screen.step("the tickets are shown; both come as revision 2 and are approved one by one, since whoever approves many sees no revised ones"):
        for answer in _send(keeper, first, second):
            _must(answer, "APPLIED")
        if "MEETING_FLAGGED" not in approve_waiting(approver):
            raise RuntimeError("a revised meeting went in among many")


def approve_waiting(approver: Client) -> list[str]:
    """All that waits: the clean ones at once, the others one by one; with which codes these were refused among many."""
    waiting = approver(approver.transactions.ListWaiting, pb.ListWaitingRequest(), retry_seconds=30).meetings
    wanted = [pb.ApproveMeetingRequest(meeting_id=one.meeting_id, revision=one.revision) for one in waiting]
    many = approver(approver.transactions.ApproveMeetings, pb.ApproveMeetingsRequest(meetings=wanted), retry_seconds=30).answers
    refused = [one for one in many if one.refusal.code]
    revisions = {one.meeting_id: one.revision for one in waiting}
    for one in refused:
        books.approve_meeting(approver, one.meeting_id, revisions[one.meeting_id])
    return [one.refusal.code for one in refused]


def take_back(keeper: Client, approver: Client, kept: Ledger) -> None:
    """The last fine was written down for the wrong woman: the next meeting takes that line back."""
    fines = [line for line in _journal(keeper, kept.institution_id) if line.credit == "I02"]
    wrong = fines[-1]
    sheet = kept.begin(str(uuid7()), month.today().isoformat(), reversals=[pb.Reversal(meeting_id=wrong.meeting_id, line=wrong.line)])
    kept.close(sheet, {(wrong.meeting_id, wrong.line): wrong})
    with screen.step(f"meeting {sheet.number} takes line {wrong.line} of meeting {wrong.number} back, a fine of {rupees(wrong.amount_paise)}"):
        (answer,) = _send(keeper, sheet)
        _must(answer, "APPLIED")
        books.approve_meeting(approver, sheet.meeting_id)


def must_tie(keeper: Client, institution_id: str) -> str:
    """Every book against the others, over the last year; what was compared, in words."""
    days: dict[str, Any] = {"institution_id": institution_id, "to_on": month.today().isoformat()}
    days["from_on"] = (month.today() - timedelta(days=365)).isoformat()
    transactions = keeper.transactions
    trial = keeper(transactions.TrialBalance, pb.TrialBalanceRequest(institution_id=institution_id))
    stands = {head.head: head.debit_paise or head.credit_paise for head in trial.heads}
    cash = keeper(transactions.CashBook, pb.CashBookRequest(**days))
    flows = keeper(transactions.ReceiptsAndPayments, pb.ReceiptsAndPaymentsRequest(**days))
    women = {one.of for one in books.position(keeper, institution_id).balances if one.head == "L01" and one.of}
    passbooks = [keeper(transactions.Passbook, pb.PassbookRequest(member_id=one, **days)) for one in sorted(women)]
    closing = {head: sum(place.closing_paise for place in cash.places if place.head == head) for head in ("A03", "A05")}
    saved, owed = (sum(one.closing_paise for book in passbooks for one in book.accounts if one.head == head) for head in ("L01", "A01"))
    received, paid = (sum(one.paise for one in of) for of in (flows.receipts, flows.payments))
    pairs = [
        (closing["A03"], stands.get("A03", 0)),
        (closing["A05"], stands.get("A05", 0)),
        (saved, stands.get("L01", 0)),
        (owed, stands.get("A01", 0)),
        (sum(place.closing_paise - place.opening_paise for place in flows.places), received - paid),
    ]
    if any(left != right for left, right in pairs):
        raise RuntimeError(f"the books do not tie: {pairs}")
    return (
        f"cash book {rupees(closing['A03'])} and bank {rupees(closing['A05'])}; {len(passbooks)} passbooks with savings of {rupees(saved)} and "
        f"loans of {rupees(owed)}; receipts {rupees(received)} less payments {rupees(paid)}: each book agrees with the others"
    )


def _journal(keeper: Client, institution_id: str) -> list[Any]:
    lines, request = [], pb.JournalRequest(institution_id=institution_id)
    request.page.size = PAGE
    while True:
        answer = keeper(keeper.transactions.Journal, request, retry_seconds=30)
        lines += answer.lines
        if not answer.next:
            return lines
        request.page.after = answer.next


def _send(keeper: Client, *sheets: Any) -> Sequence[Any]:  # noqa: ANN401 - MeetingSheets, and their answers
    return list(keeper(keeper.transactions.SyncMeetings, pb.SyncMeetingsRequest(meetings=sheets), retry_seconds=60).answers)


def _must(answer: Any, outcome: str) -> None:  # noqa: ANN401 - a MeetingAnswer
    if pb.Outcome.Name(answer.outcome) != f"OUTCOME_{outcome}":
        raise RuntimeError(f"should be {outcome}, and is {pb.Outcome.Name(answer.outcome)}: {answer.refusal.sentence} ({answer.refusal.code})")
