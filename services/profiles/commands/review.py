"""The checker's word on whatever waits: a new record, a change of one that is live, an act of its life; one by one or many."""

from collections.abc import Collection, Sequence
from datetime import date
from uuid import UUID

from sqlalchemy import Connection

from services.chassis import audit
from services.kernel.approval import Act, Status, Step, move
from services.kernel.caller import Caller
from services.kernel.errors import Conflict
from services.profiles import queries
from services.profiles.commands import institution, life, member
from services.profiles.commands.lists import lists
from services.profiles.queries import MEMBER, Subject
from services.profiles.rules import review
from services.profiles.rules.revision import must_be_current


def _subject(connection: Connection, caller: Caller, kind: str, record_id: UUID, others: Collection[UUID] = ()) -> Subject:
    """Locked, with other members whom the decision may change: of two checkers at once the second sees what the first decided."""
    life.hold(connection, record_id)
    if others:
        life.hold_members(connection, [record_id, *others])
    find = queries.member if kind == MEMBER else queries.institution
    return find(connection, caller, record_id, for_update=True)


def approve(
    connection: Connection, caller: Caller, kind: str, record_id: UUID, revision: int, decisions: Sequence[review.Decided], today: date
) -> Subject:
    """Let in what waits; again is the same answer."""
    subject = _subject(connection, caller, kind, record_id)
    waiting = subject.waiting
    if waiting is None:
        must_be_current(subject.row.revision, revision)
        if not subject.row.code:  # It came from the old MIS, and nobody has handed it in.
            raise _nothing_waits()
        return subject
    must_be_current(waiting.revision, revision)
    review.must_not_be_maker(caller, waiting.maker_user, waiting.maker_person)
    move(Status(waiting.status), Step.APPROVE)
    if waiting.act != Act.PROFILE:
        made = life.carry_out(connection, caller, subject, today)
        if made is subject:
            return subject
    elif kind == MEMBER:
        made = member.let_in(connection, caller, subject, decisions, today)
    else:
        made = institution.let_in(connection, caller, subject, decisions, today)
    said = {decided.finding_id: decided.decision.value for decided in decisions}
    audit.changed(connection, caller, f"{_noun(kind)}.approve", record_id, revision=revision, act=waiting.act, decisions=said)
    return made


def approve_plain(connection: Connection, caller: Caller, kind: str, record_id: UUID, revision: int, today: date) -> Subject:
    """As one of many, of which none is looked at by itself: nothing about it may be open."""
    subject = _subject(connection, caller, kind, record_id)
    if subject.waiting is not None and (subject.waiting.open_questions or institution.warned(connection, subject, today)):
        raise Conflict("QUESTIONS_OPEN", "There is something to look at; decide on this one by itself.")
    return approve(connection, caller, kind, record_id, revision, (), today)


def reject(
    connection: Connection,
    caller: Caller,
    kind: str,
    record_id: UUID,
    revision: int,
    words: review.HandedBack,
    decisions: Sequence[review.Decided],
    today: date,
) -> Subject:
    """Hand it back to its maker; again with the same words is the same answer."""
    goes_on = [one.finding_id for one in decisions if one.decision is review.Decision.DUPLICATE_TRANSFER]
    subject = _subject(connection, caller, kind, record_id, queries.goes_on_as(connection, record_id, goes_on) if kind == MEMBER else ())
    waiting = subject.waiting
    if waiting is None:
        must_be_current(subject.row.revision, revision)
        raise _nothing_waits()
    must_be_current(waiting.revision, revision)
    if waiting.status == Status.REJECTED and (waiting.reasons, waiting.remark, waiting.reviews) == (words.reasons, words.remark, words.reviews):
        return subject
    move(Status(waiting.status), Step.REJECT)
    if kind == MEMBER:
        weighed = member.weigh(connection, caller, subject, words, decisions)
        if weighed.stays:
            life.go_on_as(connection, caller, subject, weighed.stays, today)
        made = member.hand_back(connection, caller, subject, words, weighed)
    else:
        made = institution.hand_back(connection, caller, subject, words, decisions)
    said = {decided.finding_id: decided.decision.value for decided in decisions}
    audit.changed(connection, caller, f"{_noun(kind)}.reject", record_id, revision=revision, act=waiting.act, reasons=words.reasons, decisions=said)
    return made


def words(connection: Connection, reasons: Sequence[str], remark: str, sections: Sequence[review.SectionReview], today: date) -> review.HandedBack:
    """What the checker says, checked against the state's lists."""
    return review.hand_back(reasons, remark, sections, lists(connection), today)


def _nothing_waits() -> Conflict:
    return Conflict("NOTHING_WAITS", "Nothing of this record waits for you.")


def _noun(kind: str) -> str:
    return "member" if kind == MEMBER else "institution"
