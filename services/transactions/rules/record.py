"""How a meeting comes into the books and becomes final: revisions, who may bring it, who may decide on it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum
from uuid import UUID

from services.kernel.approval import MeetingStatus, Step, move_meeting
from services.kernel.caller import APPROVERS, Caller
from services.kernel.canonical import Content, first_difference
from services.kernel.errors import Conflict, Forbidden, Invalid, Refused
from services.kernel.policies import Policies
from services.transactions.rules.books import Books, Chain, GivenOver, Institution, Recorded
from services.transactions.rules.cut_off import check_cut_off
from services.transactions.rules.heads import Head
from services.transactions.rules.journal import Id, Line, is_opening
from services.transactions.rules.meeting import Taken, Waiting, brought_in, history_after, take_in
from services.transactions.rules.settlement import check_settlements
from services.transactions.rules.sheet import LoanGiven, Sheet, check_line, check_sheet, content
from services.transactions.rules.transfer import check_transfers, is_transfer

MEETINGS_MAX = 80  # Of one upload: 20 groups of a bookkeeper,
UNSENT_MAX = 4  # each with the meetings that may be held offline (R-MTG-4).
APPROVALS_MAX = 100
REMARK_LENGTH_MAX = 500
REASONS = ("AMOUNT_WRONG", "MEMBER_WRONG", "ENTRY_MISSING", "VOUCHER_MISSING", "BANK_WRONG", "OTHER")


class Outcome(StrEnum):
    """What became of one meeting of an upload."""

    APPLIED = "APPLIED"
    ALREADY_APPLIED = "ALREADY_APPLIED"
    WAITING = "WAITING"
    REFUSED = "REFUSED"


@dataclass(frozen=True, slots=True)
class Upload:
    """A sheet as it came, its content as the canonical hash is of it, and the lock that its device had on the books."""

    sheet: Sheet
    lock: int
    content: Mapping[str, Content]
    content_hash: bytes


@dataclass(frozen=True, slots=True)
class Posting:
    """A meeting that may be stored, and what it adds to the books."""

    upload: Upload
    taken: Taken

    @property
    def sheet(self) -> Sheet:
        return self.upload.sheet

    @property
    def given(self) -> set[Id]:
        """The loans and borrowings that begin with it."""
        return {*(one.loan_id for one in self.sheet.loans), *(one.borrowing_id for one in self.sheet.borrowings), *brought_in(self.sheet)}


@dataclass(frozen=True, slots=True)
class Answered:
    """What became of each upload, and the postings to store, which stand one on the other."""

    outcomes: Mapping[int, Outcome | Refused]
    postings: Sequence[Posting]
    books: Books


@dataclass(frozen=True, slots=True)
class Totals:
    """What reports are told of an approved meeting. `openings` are what a cut-off brought in, or went from one group to another, and in none of
    the other figures.
    """

    savings_paise: int
    savings_withdrawn_paise: int
    loans_disbursed_paise: int
    loans_disbursed: int
    principal_repaid_paise: int
    interest_received_paise: int
    fines_paise: int
    heads: Mapping[Head, tuple[int, int]]
    openings: Mapping[Head, tuple[int, int]]


def admit_all(uploads: Mapping[int, Upload], books: Books, caller: Caller, policies: Policies, today: date) -> Answered:
    """Judge the uploads of one institution, in the order in which they stand on each other whatever the order they came in."""
    outcomes: dict[int, Outcome | Refused] = {}
    postings: list[Posting] = []
    circle = _circle(uploads)
    for place in _in_order(uploads):
        try:
            posting = admit(uploads[place], books, caller, policies, today)
        except Refused as refused:
            in_circle = isinstance(refused, Waiting) and uploads[place].sheet.meeting_id in circle
            outcomes[place] = _of_circle() if in_circle else refused
            continue
        if posting is None:
            outcomes[place] = Outcome.ALREADY_APPLIED
            continue
        outcomes[place] = Outcome.APPLIED
        postings.append(posting)
        books = after(posting, books)
    return Answered(outcomes, postings, books)


def _in_order(uploads: Mapping[int, Upload]) -> list[int]:
    """Each after the one that it stands on; those of a circle come last."""
    left, ordered = dict(uploads), list[int]()
    while left:
        sent = {upload.sheet.meeting_id for upload in left.values()}
        ready = [place for place, upload in left.items() if upload.sheet.previous_meeting_id not in sent - {upload.sheet.meeting_id}]
        for place in ready or list(left):
            ordered.append(place)
            del left[place]
    return ordered


def _circle(uploads: Mapping[int, Upload]) -> set[Id]:
    """The meetings that stand on themselves, by way of each other or at once: they would wait for ever."""
    below = {upload.sheet.meeting_id: upload.sheet.previous_meeting_id for upload in uploads.values()}
    found = set()
    for one in below:
        at = one
        for _ in below:
            at = below.get(at, "")
            if at == one:
                found.add(one)
    return found


def _of_circle() -> Conflict:
    sentence = "The meetings before this one lead back to it; name the one that was held before."
    return Conflict("PREVIOUS_CIRCLE", sentence, field="previous_meeting_id")


def after(posting: Posting, books: Books) -> Books:
    """The books with the meeting in them."""
    sheet, taken = posting.sheet, posting.taken
    first = not books.chain.last_number
    chain = replace(
        books.chain,
        last_number=sheet.number,
        last_meeting_id=sheet.meeting_id,
        last_held_on=sheet.held_on,
        highest_number=max(sheet.number, books.chain.highest_number + (sheet.number - 1 if first else 0)),
        approved_through=sheet.number - 1 if first else books.chain.approved_through,
        lock=max(posting.upload.lock, books.chain.lock),
    )
    recorded = Recorded(sheet.institution_id, sheet.revision, sheet.number, MeetingStatus.CLOSED, posting.upload.content_hash, sheet)
    back = {(one.meeting_id, one.line): replace(books.reversible[one.meeting_id, one.line], reversed_by=sheet.meeting_id) for one in sheet.reversals}
    return replace(
        books,
        chain=chain,
        balances={**books.balances, **taken.balances},
        loans={**books.loans, **taken.loans},
        recorded={**books.recorded, sheet.meeting_id: recorded},
        reversible={**books.reversible, **back},
        given_over={**books.given_over, **_taken_in(sheet, books), **gone(posting)},
        history=history_after(sheet, taken.lines, books, taken.carried) if books.history else (),
    )


def gone(posting: Posting) -> dict[Id, GivenOver]:
    """What goes to other groups with this meeting."""
    sheet, taken = posting.sheet, posting.taken
    found = {}
    for one in sheet.transfers_out:
        loan_ids = (of.loan_id for of in sheet.loans_out if of.transfer_id == one.transfer_id)
        loans = {of: replace(taken.loans[of], standing=taken.carried[of]) for of in loan_ids}
        found[one.transfer_id] = GivenOver(
            sheet.institution_id, one.institution_id, sheet.held_on, approved=False, taken_in="", said=one, loans=loans
        )
    return found


def _taken_in(sheet: Sheet, books: Books) -> dict[Id, GivenOver]:
    return {one.transfer_id: replace(books.given_over[one.transfer_id], taken_in=sheet.meeting_id) for one in sheet.transfers_in}


def admit(upload: Upload, books: Books, caller: Caller, policies: Policies, today: date) -> Posting | None:
    """What to store, or None where this very revision is stored already, whatever became of it since."""
    sheet = upload.sheet
    must_be_hers(sheet, caller)
    if _is_recorded(upload, books):
        return None
    check_sheet(sheet, policies)
    if sheet.cut_off:
        check_cut_off(sheet, sheet.cut_off, policies)
    check_settlements(sheet, policies)
    check_transfers(sheet, policies)
    institution = _in_being(books.institution, sheet)
    kind = institution.kind
    if caller.role != f"{kind}_BOOKKEEPER":
        raise Forbidden("BOOKKEEPER_KIND", "The meetings of a {kind} are kept by the {kind} Bookkeeper.", field="institution_id", kind=kind)
    if f"{kind}_TRANS_APPROVER" not in APPROVERS:  # Who checks a CLF's own books the sources do not say (domain 7.1).
        sentence = "No role approves the meetings of a {kind} yet, so that none are taken in."
        raise Conflict("APPROVER_MISSING", sentence, field="institution_id", kind=kind)
    _check_lock(upload.lock, books.chain.lock, today)
    return Posting(upload, take_in(sheet, books, policies, today))


def _check_lock(sent: int, held: int, today: date) -> None:
    """Locks grow with the clock. One newer than the books know of was taken after the backup from which they came back; one of days
    to come was never given, and would fence off whoever has the books.
    """
    if sent < held:
        sentence = "These books have been taken to another device since; what this one has not sent is refused. Pull, and enter it again."
        raise Conflict("LOCK_LOST", sentence, field="lock")
    if sent > held and sent >= datetime.combine(today + timedelta(days=2), time(), UTC).timestamp() * 1000:
        raise Invalid("LOCK_INVALID", "This is no lock that these books have given; take the books to this device.", field="lock")


def must_be_hers(sheet: Sheet, caller: Caller) -> None:
    if UUID(sheet.institution_id) not in caller.institutions:
        raise Forbidden("INSTITUTION_NOT_YOURS", "This institution is not among yours.", field="institution_id")


def _in_being(institution: Institution | None, sheet: Sheet) -> Institution:
    """The institution, where it was in being on that day: what was held before it was closed may be handed in after."""
    on = sheet.held_on
    if institution and (closed_on := institution.closed_on(on)):
        raise Conflict(
            "INSTITUTION_CLOSED",
            "This institution was closed on {closed_on}; of its meetings those held until then are taken.",
            field="held_on",
            closed_on=closed_on.isoformat(),
        )
    was = institution is not None and any(span.holds(on) for span in institution.ended)
    if institution is None or not (institution.active or was):
        sentence = "This institution is not active yet; the meeting waits for it."
        raise Waiting("INSTITUTION_WAITING", sentence, field="institution_id", awaited=sheet.institution_id)
    return institution


def taken_elsewhere() -> Conflict:
    """The meeting's id is another institution's meeting."""
    return Conflict("REVISION_CONTENT", "This revision is stored already, with another {name}.", field="institution_id", name="institution_id")


def _is_recorded(upload: Upload, books: Books) -> bool:
    """Whether it was stored before; a refusal where it is no later revision of what is stored.

    A device may be ahead by more than one: books that came back from a backup do not know the revisions since.
    """
    sheet = upload.sheet
    recorded = books.recorded.get(sheet.meeting_id)
    if recorded is not None and recorded.institution_id != sheet.institution_id:
        raise taken_elsewhere()
    if recorded is not None and sheet.revision == recorded.revision:
        if upload.content_hash == recorded.content_hash:
            return True
        field = first_difference(upload.content, content(recorded.sheet)) if recorded.sheet else ""
        raise Conflict("REVISION_CONTENT", "This revision is stored already, with another {name}.", field=field, name=field)
    if recorded is not None and recorded.earlier.get(sheet.revision) == upload.content_hash:
        return True
    if sheet.revision < 1:
        raise Invalid("REVISION_INVALID", "The first revision is 1.", field="revision")
    if recorded is not None:
        if sheet.revision < recorded.revision:
            raise _old(sheet.revision, recorded.revision)
        move_meeting(recorded.status, Step.SUBMIT)
    return False


def _old(given: int, current: int) -> Conflict:
    return Conflict(
        "REVISION_OLD", "Revision {given} is not the one that stands, {current}: look at that one.", field="revision", given=given, current=current
    )


@dataclass(frozen=True, slots=True)
class Pending:
    """A stored meeting as its checker finds it. `vo_id` and `clf_id` are the federations above its institution."""

    meeting_id: Id
    institution_id: Id
    kind: str
    vo_id: UUID | None
    clf_id: UUID | None
    revision: int
    number: int
    held_on: date
    status: MeetingStatus
    flags: Sequence[str]
    maker_user: str
    maker_person: str
    # The loans, by their places in the sheet, to members who are contested, as far as no supervisor has allowed them (decision 4).
    contested: Sequence[tuple[int, LoanGiven]] = ()


def must_decide(pending: Pending, revision: int, caller: Caller, policies: Policies, today: date) -> None:
    """Whether this caller may decide on this revision; of her own entry nobody may."""
    if caller.role != f"{pending.kind}_TRANS_APPROVER":
        raise Forbidden(
            "APPROVER_KIND", "A {role} does not decide on the meetings of a {kind}.", role=caller.role.label if caller.role else "", kind=pending.kind
        )
    if pending.kind == "SHG" and (side := policies.value("shg_approver_side", today)):
        above = (pending.vo_id, "VO"), (pending.clf_id, "CLF")
        # A group that has no federation of that level yet is not left without an approver.
        federation, name = next((one for one in (above if side == 1 else above[::-1]) if one[0]), (None, ""))
        if federation is None:
            raise Conflict("FEDERATION_MISSING", "This SHG is under no VO or CLF; put it under one, whose approver then decides.")
        if federation not in caller.institutions:
            raise Forbidden("APPROVER_SIDE", "In this state the approver of the {side} decides on the meetings of this SHG.", side=name)
    caller.must_not_be(pending.maker_person)
    if caller.user_id == pending.maker_user:
        raise Forbidden("OWN_ENTRY", "Nobody approves her own entry: another officer must.")
    if revision != pending.revision:
        raise _old(revision, pending.revision)


def approve(pending: Pending, chain: Chain, *, unseen: bool) -> Chain:
    """The chain with the meeting final: strictly in sequence, not here and there. `unseen`: it is approved among many."""
    move_meeting(pending.status, Step.APPROVE)
    if pending.number != chain.approved_through + 1:
        raise Conflict("APPROVAL_OUT_OF_SEQUENCE", "Meeting {next} must be approved first.", next=chain.approved_through + 1)
    if pending.contested:
        raise Conflict(
            "MEMBER_CONTESTED",
            "Another record proved to be the same woman as a member to whom this meeting lends. Until that is settled, a District or State Program "
            "Manager must allow it; or hand the meeting back.",
            field=f"loans[{pending.contested[0][0]}]",
        )
    if unseen and pending.flags:
        raise Conflict("MEETING_FLAGGED", "Look at this meeting and approve it by itself: {flags}.", flags=", ".join(pending.flags))
    return replace(chain, approved_through=pending.number)


def allow(pending: Pending, revision: int, caller: Caller, reason: str) -> str:
    """The reason without spaces around it, where this supervisor may let this revision's loans to contested members go on."""
    reason = reason.strip()
    if not reason:
        raise Invalid("REASON_MISSING", "Say why, in one line.", field="reason")
    check_line("reason", reason, REMARK_LENGTH_MAX)
    caller.must_not_be(pending.maker_person)
    if revision != pending.revision:
        raise _old(revision, pending.revision)
    move_meeting(pending.status, Step.APPROVE)
    return reason


def reject(pending: Pending) -> MeetingStatus:
    return move_meeting(pending.status, Step.REJECT)


def ended(chain: Chain, number: int, last: tuple[UUID, date] | None) -> Chain:
    """The chain without the meetings from that number on; `last` is the one before, id and day. Without one the books are empty,
    and may begin at another number: it may have been the number that was wrong. What was handed back is counted from there.
    """
    if last is None:
        return Chain(highest_number=chain.highest_number - number + 1, version=chain.version + 1, lock=chain.lock)
    last_id, held_on = last
    return replace(chain, last_number=number - 1, last_meeting_id=str(last_id), last_held_on=held_on, version=chain.version + 1)


@dataclass(frozen=True, slots=True)
class Handback:
    """Why a meeting is handed back: reasons of REASONS, and a remark."""

    remark: str
    reasons: tuple[str, ...] = ()


def check_handback(said: Handback) -> Handback:
    """The same without spaces around the remark; a reason of the list may stand for one."""
    remark = said.remark.strip()
    for place, reason in enumerate(said.reasons):
        if reason not in REASONS:
            raise Invalid("REASON_UNKNOWN", "The reasons are {reasons}.", field=f"reasons[{place}]", reasons=", ".join(REASONS))
    if not remark and not set(said.reasons) - {"OTHER"}:
        raise Invalid("REMARK_MISSING", "Say in a remark what is to be put right.", field="remark")
    if len(remark) > REMARK_LENGTH_MAX:
        raise Invalid("REMARK_TOO_LONG", "A remark has at most {most} letters.", field="remark", most=REMARK_LENGTH_MAX)
    check_line("remark", remark.replace("\n", " "), REMARK_LENGTH_MAX)
    return Handback(remark, said.reasons)


def totals(lines: Sequence[Line], reversals: int) -> Totals:
    """The figures of a meeting, from its lines alone. The last ones, `reversals` of them, take away what their lines had added."""
    debits: dict[Head, int] = {}
    credits_: dict[Head, int] = {}
    openings: dict[Head, tuple[int, int]] = {}
    given = lost = 0
    for place, line in enumerate(lines):
        back = place >= len(lines) - reversals
        debit, credit, paise = (line.credit, line.debit, -line.amount_paise) if back else (line.debit, line.credit, line.amount_paise)
        if is_transfer(line) or is_opening(line._replace(debit=debit, credit=credit)):
            for head, debited, credited in ((debit, paise, 0), (credit, 0, paise)):
                before = openings.get(head, (0, 0))
                openings[head] = before[0] + debited, before[1] + credited
            continue
        debits[debit] = debits.get(debit, 0) + paise
        credits_[credit] = credits_.get(credit, 0) + paise
        if debit == Head.MEMBER_LOANS:
            given += -1 if back else 1
        if debit == Head.WRITE_OFF and credit == Head.MEMBER_LOANS:
            lost += paise
    savings = (Head.COMPULSORY_SAVINGS, Head.VOLUNTARY_SAVINGS)
    return Totals(
        savings_paise=sum(credits_.get(head, 0) for head in savings),
        savings_withdrawn_paise=sum(debits.get(head, 0) for head in savings),
        loans_disbursed_paise=debits.get(Head.MEMBER_LOANS, 0),
        loans_disbursed=given,
        principal_repaid_paise=credits_.get(Head.MEMBER_LOANS, 0) - lost,
        interest_received_paise=credits_.get(Head.LOAN_INTEREST, 0),
        fines_paise=credits_.get(Head.FINES, 0),
        heads={head: (debits.get(head, 0), credits_.get(head, 0)) for head in sorted({*debits, *credits_})},
        openings={head: openings[head] for head in sorted(openings)},
    )
