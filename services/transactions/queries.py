"""What is read of the books, bounded by what the caller may see."""

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Connection, Row, and_, func, select, tuple_, union_all

from services.chassis import sight
from services.kernel.approval import MeetingStatus
from services.kernel.caller import Caller
from services.kernel.errors import NotFound
from services.kernel.page import page_unknown
from services.kernel.tally import total
from services.transactions.rules.books import Books, Chain, Institution, Loan, Member, Recorded, Span
from services.transactions.rules.heads import Head
from services.transactions.rules.meeting import Line, Meeting
from services.transactions.rules.record import Pending
from services.transactions.tables import balances, chains, institutions, lines, loans, meetings, members

ACTIVE = "ACTIVE"

# One statement, and so one moment: all that the rules need of one meeting.
_BOOKS = """
select i.kind, i.region, i.status, i.formed_on, i.since_on, i.ended,
    c.last_number, c.last_held_on, c.approved_through, c.cash_paise, c.bank_paise, c.version,
    e.institution_id, e.revision, e.number, e.status, e.content_hash, e.content,
    (select json_agg(json_build_array(m.member_id, m.institution_id, m.status, b.compulsory_paise, b.voluntary_paise, m.since_on, m.ended))
        from members m left join balances b on b.institution_id = %(institution_id)s and b.member_id = m.member_id
        where m.member_id = any(%(member_ids)s::uuid[])),
    (select json_agg(json_build_array(l.loan_id, l.institution_id, l.member_id, l.outstanding_paise))
        from loans l where l.loan_id = any(%(loan_ids)s::uuid[]))
from (values (1)) as one
    left join institutions i on i.institution_id = %(institution_id)s
    left join chains c on c.institution_id = %(institution_id)s
    left join meetings e on e.meeting_id = %(meeting_id)s
"""


def books(connection: Connection, meeting: Meeting) -> Books:
    """What the books hold of whatever the meeting names."""
    member_ids = {entry.member_id for entries in (meeting.attendance, meeting.savings, meeting.loans, meeting.fines) for entry in entries}
    loan_ids = {loan.loan_id for loan in meeting.loans} | {repayment.loan_id for repayment in meeting.repayments}
    sought = {
        "institution_id": meeting.institution_id,
        "meeting_id": meeting.meeting_id,
        "member_ids": list(member_ids),
        "loan_ids": list(loan_ids),
    }
    row = connection.exec_driver_sql(_BOOKS, sought).one()
    kind, lies_in, status, formed_on, since_on, ended = row[:6]
    chain, (of, revision, number, state, content_hash, content), (known, lent) = row[6:12], row[12:18], row[18:]
    return Books(
        Institution(kind, lies_in, status == ACTIVE, formed_on, since_on, [_span(*days) for days in ended or ()]) if kind else None,
        Chain(*chain) if row.version else Chain(),
        {UUID(one): _member(*rest) for one, *rest in known or ()},
        {UUID(one): Loan(UUID(lender), UUID(borrower), outstanding) for one, lender, borrower, outstanding in lent or ()},
        Recorded(of, revision, number, MeetingStatus(state), bytes(content_hash), content) if of else None,
    )


def _member(of: str, status: str, compulsory: int | None, voluntary: int | None, since_on: str | None, ended: list[list[str]] | None) -> Member:
    stays = [(UUID(was_of), _span(*days)) for was_of, *days in ended or ()]
    return Member(UUID(of), status == ACTIVE, compulsory or 0, voluntary or 0, date.fromisoformat(since_on) if since_on else None, stays)


def _span(from_on: str, to_on: str) -> Span:
    return Span(date.fromisoformat(from_on) if from_on else None, date.fromisoformat(to_on))


def in_sight(caller: Caller) -> ColumnElement[bool]:
    """The institutions that the caller may see."""
    return sight.in_sight(caller, institutions.c.institution_id, institutions.c.region, institutions)


def must_see(connection: Connection, caller: Caller, institution_id: UUID) -> None:
    seen = select(institutions.c.institution_id).where(institutions.c.institution_id == institution_id, in_sight(caller))
    if connection.execute(seen).one_or_none() is None:
        raise NotFound("INSTITUTION_UNKNOWN", "There is no such institution among yours.", field="institution_id")


def meeting(connection: Connection, caller: Caller, meeting_id: UUID) -> Row[Any]:
    """The stored row of a meeting in sight."""
    statement = select(meetings).join(institutions, institutions.c.institution_id == meetings.c.institution_id)
    row = connection.execute(statement.where(meetings.c.meeting_id == meeting_id, in_sight(caller))).one_or_none()
    if row is None:
        raise _no_meeting()
    return row


def _no_meeting() -> NotFound:
    return NotFound("MEETING_UNKNOWN", "There is no such meeting among yours.", field="meeting_id")


def meetings_of(connection: Connection, caller: Caller, institution_id: UUID, status: str, after: UUID | None, size: int) -> Sequence[Row[Any]]:
    """A page of an institution's meetings by number; of one number, the one that was begun first."""
    must_see(connection, caller, institution_id)
    statement = select(meetings).where(meetings.c.institution_id == institution_id)
    if status:
        statement = statement.where(meetings.c.status == status)
    if after:
        mark = select(meetings.c.number, meetings.c.meeting_id).where(meetings.c.meeting_id == after, meetings.c.institution_id == institution_id)
        place = connection.execute(mark).one_or_none()
        if place is None:
            raise page_unknown()
        statement = statement.where(tuple_(meetings.c.number, meetings.c.meeting_id) > tuple(place))
    return connection.execute(statement.order_by(meetings.c.number, meetings.c.meeting_id).limit(size)).all()


def chain_for_update(connection: Connection, caller: Caller, meeting_id: UUID) -> tuple[UUID, Chain]:
    """Lock the chain of the meeting's institution; read the meeting only then, so that what is read stands."""
    statement = select(chains).join(institutions, institutions.c.institution_id == chains.c.institution_id)
    statement = statement.join(meetings, meetings.c.institution_id == chains.c.institution_id)
    row = connection.execute(statement.where(meetings.c.meeting_id == meeting_id, in_sight(caller)).with_for_update(of=chains)).one_or_none()
    if row is None:
        raise _no_meeting()
    return row.institution_id, Chain(*row[1:])


def pending(connection: Connection, meeting_id: UUID) -> tuple[Pending, Row[Any]]:
    """A meeting as its checker finds it, and the row itself with the region of its institution now as `lies_in`."""
    statement = select(meetings, institutions.c.kind, institutions.c.region.label("lies_in"))
    row = connection.execute(
        statement.join(institutions, institutions.c.institution_id == meetings.c.institution_id).where(meetings.c.meeting_id == meeting_id)
    ).one()
    return Pending(meeting_id, row.kind, row.revision, row.number, MeetingStatus(row.status), row.maker_user, row.maker_person), row


def line_of(row: Row[Any]) -> Line:
    return Line(row.line, row.debit, row.credit, row.amount_paise, row.member_id, row.loan_id)


def lines_of(connection: Connection, meeting_ids: Sequence[UUID]) -> Mapping[UUID, list[Line]]:
    """The lines of the newest revision of each meeting."""
    statement = select(lines).join(meetings, and_(meetings.c.meeting_id == lines.c.meeting_id, meetings.c.revision == lines.c.revision))
    found: dict[UUID, list[Line]] = {meeting_id: [] for meeting_id in meeting_ids}
    for row in connection.execute(statement.where(lines.c.meeting_id.in_(meeting_ids)).order_by(lines.c.meeting_id, lines.c.line)):
        found[row.meeting_id].append(line_of(row))
    return found


def closed_from(connection: Connection, institution_id: UUID, number: int) -> Sequence[UUID]:
    """The meetings not yet decided on, from a number on."""
    undecided = and_(meetings.c.institution_id == institution_id, meetings.c.status == MeetingStatus.CLOSED, meetings.c.number >= number)
    return connection.execute(select(meetings.c.meeting_id).where(undecided).order_by(meetings.c.number)).scalars().all()


def held_on(connection: Connection, institution_id: UUID, number: int) -> date | None:
    """The day of the meeting of that number which counts."""
    counts = and_(meetings.c.institution_id == institution_id, meetings.c.number == number, meetings.c.status != MeetingStatus.REJECTED)
    return connection.execute(select(meetings.c.held_on).where(counts)).scalar_one_or_none()


def position(connection: Connection, caller: Caller, institution_id: UUID) -> tuple[Chain, Sequence[Row[Any]], Sequence[Row[Any]]]:
    """Where an institution stands: its chain, its members' balances, and its loans not yet repaid."""
    must_see(connection, caller, institution_id)
    row = connection.execute(select(chains).where(chains.c.institution_id == institution_id)).one_or_none()
    saved = select(balances).where(balances.c.institution_id == institution_id).order_by(balances.c.member_id)
    lent = select(loans).where(loans.c.institution_id == institution_id, loans.c.outstanding_paise > 0).order_by(loans.c.loan_id)
    return Chain(*row[1:]) if row else Chain(), connection.execute(saved).all(), connection.execute(lent).all()


def journal(connection: Connection, caller: Caller, institution_id: UUID, after: tuple[int, int] | None, size: int) -> Sequence[Row[Any]]:
    """A page of the lines that count, by meeting and line."""
    must_see(connection, caller, institution_id)
    statement = (
        select(lines, meetings.c.number, meetings.c.held_on, meetings.c.status)
        .join(meetings, and_(meetings.c.meeting_id == lines.c.meeting_id, meetings.c.revision == lines.c.revision))
        .where(meetings.c.institution_id == institution_id, meetings.c.status != MeetingStatus.REJECTED)
    )
    if after:
        statement = statement.where(meetings.c.number >= after[0], tuple_(meetings.c.number, lines.c.line) > after)
    return connection.execute(statement.order_by(meetings.c.number, lines.c.line).limit(size)).all()


def trial_balance(connection: Connection, caller: Caller, institution_id: UUID) -> tuple[int, Mapping[Head, tuple[int, int]]]:
    """Through which meeting, and what was debited and credited to each head up to there."""
    must_see(connection, caller, institution_id)
    counts = and_(meetings.c.institution_id == institution_id, meetings.c.status == MeetingStatus.APPROVED)
    of = and_(meetings.c.meeting_id == lines.c.meeting_id, meetings.c.revision == lines.c.revision)
    posted = select(lines.c.debit, lines.c.credit, func.sum(lines.c.amount_paise).label("paise")).join(meetings, of).where(counts)
    pairs = posted.group_by(lines.c.debit, lines.c.credit).subquery()
    debits = select(pairs.c.debit.label("head"), pairs.c.paise.label("debit"), 0 * pairs.c.paise)
    credits_ = select(pairs.c.credit, 0 * pairs.c.paise, pairs.c.paise)
    both = union_all(debits, credits_).subquery()
    head, debit, credit = both.c
    rows = connection.execute(select(head, func.sum(debit), func.sum(credit)).group_by(head).order_by(head)).all()
    through = select(func.max(meetings.c.number)).where(counts)
    return connection.execute(through).scalar_one() or 0, {Head(code): (int(left), int(right)) for code, left, right in rows}


# Every position is the sum of lines; this finds institutions where it is not. For operators and tests.
_ADRIFT = """
with counted as (
    select l.* from lines l join meetings m on m.meeting_id = l.meeting_id and m.revision = l.revision where m.status <> 'REJECTED'
), halves as (
    select institution_id, member_id, loan_id, debit as head, amount_paise as paise from counted
    union all select institution_id, member_id, loan_id, credit, -amount_paise from counted
), cash as (
    select institution_id, sum(paise) filter (where head = 'A03') as cash, sum(paise) filter (where head = 'A05') as bank from halves group by 1
), saved as (
    select institution_id, member_id, -sum(paise) filter (where head = 'L01') as compulsory, -sum(paise) filter (where head = 'L02') as voluntary
    from halves where head in ('L01', 'L02') group by 1, 2
), lent as (
    select loan_id, institution_id, sum(paise) as outstanding from halves where head = 'A01' group by 1, 2
)
select institution_id from chains full join cash using (institution_id)
    where coalesce(cash_paise, 0) <> coalesce(cash, 0) or coalesce(bank_paise, 0) <> coalesce(bank, 0)
union select institution_id from balances full join saved using (institution_id, member_id)
    where coalesce(compulsory_paise, 0) <> coalesce(compulsory, 0) or coalesce(voluntary_paise, 0) <> coalesce(voluntary, 0)
union select institution_id from loans full join lent using (loan_id, institution_id) where outstanding_paise is distinct from outstanding
"""


def adrift(connection: Connection) -> list[UUID]:
    """The institutions whose position is not the sum of their lines: none, ever."""
    return list(connection.exec_driver_sql(_ADRIFT).scalars())


def approved_after(connection: Connection, after: UUID | None, size: int) -> Sequence[Row[Any]]:
    """A page of approved meetings by id, for a restatement."""
    statement = select(meetings).where(meetings.c.status == MeetingStatus.APPROVED)
    if after:
        statement = statement.where(meetings.c.meeting_id > after)
    return connection.execute(statement.order_by(meetings.c.meeting_id).limit(size)).all()


def tally(connection: Connection, block: str) -> tuple[int, int]:
    """How many active members the copy has in a block, and what their fingerprints add up to."""
    held = connection.execute(
        select(members.c.member_id, members.c.version).where(sight.within(members.c.region, [block]), members.c.status == ACTIVE)
    ).all()
    return len(held), total(held)
