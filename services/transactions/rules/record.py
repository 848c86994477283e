"""How a meeting comes into the books and becomes final: revisions, who may bring it, who may decide on it."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from uuid import UUID

from services.kernel.approval import MeetingStatus, Step, move_meeting
from services.kernel.caller import Caller
from services.kernel.canonical import content_hash, first_difference
from services.kernel.errors import Conflict, Forbidden, Invalid
from services.kernel.policies import Policies
from services.transactions.rules.books import Books, Chain, Institution
from services.transactions.rules.heads import Head
from services.transactions.rules.meeting import Line, Meeting, Waiting, check, content

MEETINGS_MAX = 20
REMARK_LENGTH_MAX = 500


class Outcome(StrEnum):
    """What became of one meeting of an upload."""

    STORED = "STORED"
    ALREADY = "ALREADY"
    WAITING = "WAITING"
    REFUSED = "REFUSED"


@dataclass(frozen=True, slots=True)
class Posting:
    """A meeting that may be stored: its content with its hash, and its lines."""

    content: dict[str, object]
    content_hash: bytes
    lines: list[Line]


@dataclass(frozen=True, slots=True)
class Totals:
    """What reports are told of an approved meeting."""

    savings_paise: int
    loans_disbursed_paise: int
    principal_repaid_paise: int
    interest_received_paise: int
    fines_paise: int


def must_be_hers(meeting: Meeting, caller: Caller) -> None:
    if meeting.institution_id not in caller.institutions:
        raise Forbidden("INSTITUTION_NOT_YOURS", "This institution is not among yours.", field="institution_id")


def admit(meeting: Meeting, books: Books, caller: Caller, policies: Policies, today: date) -> Posting | None:
    """What to store, or None where this very revision is stored already, whatever became of it since."""
    must_be_hers(meeting, caller)
    sent = content(meeting)
    sent_hash = content_hash(sent)
    if _is_recorded(meeting, books, sent_hash):
        return None
    institution = _in_being(books.institution, meeting.held_on)
    if caller.role != f"{institution.kind}_BOOKKEEPER":
        raise Forbidden(
            "BOOKKEEPER_KIND", "The meetings of a {kind} are kept by the {kind} Bookkeeper.", field="institution_id", kind=institution.kind
        )
    return Posting(dict(sent), sent_hash, check(meeting, books, policies, today))


def _in_being(institution: Institution | None, on: date) -> Institution:
    """The institution, where it was in being on that day: what was held before it was closed may be handed in after."""
    if institution and (closed_on := institution.closed_on(on)):
        raise Conflict(
            "INSTITUTION_CLOSED",
            "This institution was closed on {closed_on}; of its meetings those held until then are taken.",
            field="held_on",
            closed_on=closed_on.isoformat(),
        )
    was = institution is not None and any(span.holds(on) for span in institution.ended)
    if institution is None or not (institution.active or was):
        raise Waiting("INSTITUTION_WAITING", "This institution is not active yet; the meeting waits for it.", field="institution_id")
    return institution


def taken_elsewhere() -> Conflict:
    """The meeting's id is another institution's meeting."""
    return Conflict("REVISION_CONTENT", "This revision is stored already, with another {name}.", field="institution_id", name="institution_id")


def _is_recorded(meeting: Meeting, books: Books, sent_hash: bytes) -> bool:
    """Whether it was stored before; a refusal where it is no later revision of what is stored.

    A device may be ahead by more than one: books that came back from a backup do not know the revisions since.
    """
    recorded = books.recorded
    if recorded is not None and recorded.institution_id != meeting.institution_id:
        raise taken_elsewhere()
    if recorded is not None and meeting.revision == recorded.revision:
        if sent_hash == recorded.content_hash:
            return True
        field = first_difference(content(meeting), recorded.content)
        raise Conflict("REVISION_CONTENT", "This revision is stored already, with another {name}.", field=field, name=field)
    if meeting.revision < 1:
        raise Invalid("REVISION_INVALID", "The first revision is 1.", field="revision")
    if recorded is not None:
        if meeting.revision < recorded.revision:
            raise _old(meeting.revision, recorded.revision)
        move_meeting(recorded.status, Step.SUBMIT)
        if meeting.number != recorded.number:
            raise Conflict("MEETING_OUT_OF_SEQUENCE", "This meeting is number {number}, and stays so.", field="number", number=recorded.number)
    return False


def _old(given: int, current: int) -> Conflict:
    return Conflict(
        "REVISION_OLD", "Revision {given} is not the one that stands, {current}: look at that one.", field="revision", given=given, current=current
    )


@dataclass(frozen=True, slots=True)
class Pending:
    """A stored meeting as its checker finds it."""

    meeting_id: UUID
    kind: str
    revision: int
    number: int
    status: MeetingStatus
    maker_user: str
    maker_person: str


def must_decide(pending: Pending, revision: int, caller: Caller) -> None:
    """Whether this caller may decide on this revision; of her own entry nobody may."""
    if caller.role != f"{pending.kind}_TRANS_APPROVER":
        raise Forbidden(
            "APPROVER_KIND", "A {role} does not decide on the meetings of a {kind}.", role=caller.role.label if caller.role else "", kind=pending.kind
        )
    caller.must_not_be(pending.maker_person)
    if caller.user_id == pending.maker_user:
        raise Forbidden("OWN_ENTRY", "Nobody approves her own entry: another officer must.")
    if revision != pending.revision:
        raise _old(revision, pending.revision)


def approve(pending: Pending, chain: Chain) -> MeetingStatus:
    """Strictly in sequence: the books are final up to a number, not here and there."""
    status = move_meeting(pending.status, Step.APPROVE)
    if pending.number != chain.approved_through + 1:
        raise Conflict("APPROVAL_OUT_OF_SEQUENCE", "Meeting {next} must be approved first.", next=chain.approved_through + 1)
    return status


def reject(pending: Pending) -> MeetingStatus:
    return move_meeting(pending.status, Step.REJECT)


def check_remark(remark: str) -> str:
    """The remark without the spaces around it."""
    remark = remark.strip()
    if not remark:
        raise Invalid("REMARK_MISSING", "Say in a remark what is to be put right.", field="remark")
    if len(remark) > REMARK_LENGTH_MAX or "\0" in remark:
        raise Invalid("REMARK_TOO_LONG", "A remark has at most {most} letters.", field="remark", most=REMARK_LENGTH_MAX)
    return remark


def totals(lines: Iterable[Line]) -> Totals:
    """The figures of a meeting, from its lines alone."""
    debits: dict[str, int] = {}
    credits_: dict[str, int] = {}
    for line in lines:
        debits[line.debit] = debits.get(line.debit, 0) + line.amount_paise
        credits_[line.credit] = credits_.get(line.credit, 0) + line.amount_paise
    return Totals(
        savings_paise=credits_.get(Head.COMPULSORY_SAVINGS, 0) + credits_.get(Head.VOLUNTARY_SAVINGS, 0),
        loans_disbursed_paise=debits.get(Head.MEMBER_LOANS, 0),
        principal_repaid_paise=credits_.get(Head.MEMBER_LOANS, 0),
        interest_received_paise=credits_.get(Head.LOAN_INTEREST, 0),
        fines_paise=credits_.get(Head.FINES, 0),
    )
