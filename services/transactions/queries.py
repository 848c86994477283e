"""What is read of the books, bounded by what the caller may see."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any
from uuid import UUID

from sqlalchemy import (
    ColumnElement,
    Connection,
    Label,
    Row,
    Select,
    Table,
    and_,
    any_,
    case,
    exists,
    func,
    lateral,
    literal,
    or_,
    select,
    true,
    tuple_,
)

from services.chassis import database, sight
from services.kernel.approval import MeetingStatus
from services.kernel.caller import Caller, Role
from services.kernel.errors import Conflict, NotFound
from services.kernel.page import page_unknown
from services.kernel.tally import total
from services.transactions.rules import loan, packed
from services.transactions.rules.agreed import terms_kept
from services.transactions.rules.anomaly import Mark, Wanted
from services.transactions.rules.books import Books, Chain, GivenOver, Institution, Loan, Member, Other, Recorded, Reversible, Span
from services.transactions.rules.heads import CHART, Head, SubLedger
from services.transactions.rules.journal import HAS_ACCOUNTS, Account, Held, Id, Line, added, effect, still_standing
from services.transactions.rules.meeting import brought_in, lent_to, payments_taken_back
from services.transactions.rules.record import Pending
from services.transactions.rules.schedule import Terms
from services.transactions.rules.sheet import LoanGiven, Reversal, Sheet, Transfer, leaving, named_borrowers, named_loans, named_members
from services.transactions.tables import (
    FLAGGED,
    allowed,
    balances,
    chains,
    contested,
    institutions,
    loans,
    meetings,
    members,
    refused,
    reversals,
    superseded,
    transfers,
)

ACTIVE = "ACTIVE"
WHOLE = UUID(int=0)  # In the column of_id: the head itself.

# One statement, and so one moment: all that the rules need of an institution's meetings.
_BOOKS = database.one_line(
    """
select i.kind, i.region, i.status, i.formed_on, i.since_on, i.ended, i.banks, i.compulsory_paise,
    c.last_number, c.last_meeting_id::text, c.last_held_on, c.approved_through, c.highest_number, c.version, c.lock,
    (select json_agg(json_build_array(b.head, b.of_id, b.paise, b.interest_paise, b.counted_through)) from balances b
        where b.institution_id = %(institution_id)s::uuid and (b.paise <> 0 or b.interest_paise <> 0)),
    (select json_agg(json_build_array(m.member_id, m.institution_id, m.status, m.since_on, m.ended)) from members m
        where m.member_id = any(%(member_ids)s::uuid[]) or m.institution_id = %(institution_id)s::uuid),
    (select json_agg(json_build_array(l.loan_id, l.institution_id, l.head, l.borrower_id, l.earlier, l.principal_paise,
            l.annual_rate_basis_points, l.instalments, l.given_on, l.rounding_paise, l.agreed)) from loans l
        where l.loan_id = any(%(loan_ids)s::uuid[])),
    (select json_agg(json_build_array(e.meeting_id, e.institution_id, e.revision, e.number, e.status, encode(e.content_hash, 'hex')))
        from meetings e where e.meeting_id = any(%(meeting_ids)s::uuid[])),
    (select json_agg(b.institution_id) from institutions b
        where b.institution_id = any(%(borrower_ids)s::uuid[]) and b.parent_id = %(institution_id)s::uuid and b.status = 'ACTIVE'),
    (select json_agg(d.member_id) from contested d where d.open and d.member_id = any(%(member_ids)s::uuid[]))
from (values (1)) as one
    left join institutions i on i.institution_id = %(institution_id)s::uuid
    left join chains c on c.institution_id = %(institution_id)s::uuid
"""
)


def books(connection: Connection, sheets: Collection[Sheet]) -> Books:
    """What the books hold of whatever these sheets of one institution name."""
    reversed_in = {one.meeting_id for sheet in sheets for one in sheet.reversals}
    seen = reversible(connection, reversed_in) if reversed_in else {}
    loan_ids = {of for was in seen.values() for of in (was.line.debit_of, was.line.credit_of) if of}
    institution_id = next(iter(sheets)).institution_id
    for sheet in sheets:
        loan_ids |= named_loans(sheet)
    sought = {
        "institution_id": institution_id,
        "member_ids": _array(set[Id]().union(*map(named_members, sheets))),
        "loan_ids": _array(loan_ids),
        "borrower_ids": _array(set[Id]().union(*map(named_borrowers, sheets))),
        "meeting_ids": _array({one for sheet in sheets for one in (sheet.meeting_id, sheet.previous_meeting_id) if one}),
    }
    row = connection.exec_driver_sql(_BOOKS, sought).one()
    (kind, lies_in, status, formed_on, since_on, ended, banks, compulsory), chain, (held, known, lent, stored, below, disputed) = (
        row[:8],
        row[8:15],
        row[15:],
    )
    stand_at = {Account(Head(head), "" if of == _WHOLE else of): paise for head, of, paise, _, _ in held or ()}
    memos = {of: (interest or 0, through) for _, of, _, interest, through in held or () if through}
    lent = [*(lent or ()), *_lent_to(connection, UUID(institution_id), {one for sheet in sheets for one in leaving(sheet)})]
    return Books(
        Institution(
            kind,
            lies_in,
            status == ACTIVE,
            formed_on,
            since_on,
            [_span(*days) for days in ended or ()],
            {one: date.fromisoformat(ended_on) if ended_on else None for one, ended_on in banks or ()},
            compulsory,
        )
        if kind
        else None,
        chain_of(chain) if chain[0] is not None else Chain(),
        stand_at,
        {one: _member(*rest) for one, *rest in known or ()},
        {one: _loan(one, rest, stand_at, memos) for one, *rest in lent},
        {one: Recorded(of, revision, number, MeetingStatus(state), bytes.fromhex(mark)) for one, of, revision, number, state, mark in stored or ()},
        seen,
        frozenset(disputed or ()),
        frozenset(below or ()),
        *_groups(connection, sheets),
        *_history(connection, UUID(institution_id), {one for sheet in sheets for one in payments_taken_back(sheet, seen)}),
    )


def _lent_to(connection: Connection, institution_id: UUID, member_ids: Collection[Id]) -> list[list[Any]]:
    """All loans of who leaves, as _BOOKS has them. Read after the chain, as _history."""
    if not member_ids:
        return []
    columns = [loans.c[name] for name in ("loan_id", "institution_id", "head", "borrower_id", "earlier", *TERMS)]
    of = (loans.c.institution_id == institution_id, sight.among(loans.c.borrower_id, [UUID(one) for one in member_ids]))
    return [[str(one) if isinstance(one, UUID) else one for one in row] for row in connection.execute(select(*columns).where(*of))]


def _groups(connection: Connection, sheets: Collection[Sheet]) -> tuple[Mapping[Id, Other], Mapping[Id, GivenOver]]:
    """The institutions that transfers and entries name and that are or were in being, and the transfers that are named and known."""
    moves = [one for sheet in sheets for one in (*sheet.transfers_out, *sheet.transfers_in)]
    named = {one.institution_id for one in moves} | {one.institution_id for sheet in sheets for one in sheet.entries if one.institution_id}
    if not named:
        return {}, {}
    of = select(institutions.c.institution_id, institutions.c.kind, institutions.c.status)
    begun = or_(institutions.c.status == ACTIVE, institutions.c.ended.is_not(None))
    rows = connection.execute(of.where(sight.among(institutions.c.institution_id, [UUID(one) for one in named]), begun))
    others = {str(row.institution_id): Other(row.kind, row.status == ACTIVE) for row in rows}
    found = connection.execute(_GIVEN_OVER.where(sight.among(transfers.c.transfer_id, [UUID(one.transfer_id) for one in moves])))
    return others, {str(row.transfer_id): _given_over(row) for row in found}


_GIVEN_OVER = select(transfers, meetings.c.status, meetings.c.held_on).join(meetings, meetings.c.meeting_id == transfers.c.meeting_id)


def _given_over(row: Row[Any]) -> GivenOver:
    to_id = str(row.to_id)
    return GivenOver(
        str(row.from_id),
        to_id,
        row.held_on,
        row.status == MeetingStatus.APPROVED,
        str(row.taken_in or ""),
        Transfer(str(row.transfer_id), to_id, **row.said),
        {
            loan_id: Loan(str(row.from_id), Head(head), row.said.get("member_id", ""), _terms(*agreed), _standing(*stood))
            for loan_id, *stood, agreed, head in row.loans
        },
    )


def _standing(left: int, interest: int, through: str) -> loan.Standing:
    return loan.Standing(left, interest, date.fromisoformat(through))


def _history(connection: Connection, institution_id: UUID, loan_ids: Collection[Id]) -> tuple[Mapping[Id, Id], Sequence[Held]]:
    """Of loans of which a line is taken back, in which meeting each was given, and the history from the first of these meetings on.

    Read after the chain, whose version guards what is written: had a meeting come since, it would be another.
    """
    if not loan_ids:
        return {}, ()
    where = and_(loans.c.institution_id == institution_id, sight.among(loans.c.loan_id, [UUID(one) for one in loan_ids]))
    rows = connection.execute(select(loans.c.loan_id, loans.c.meeting_id).where(where)).all()
    return {str(row.loan_id): str(row.meeting_id) for row in rows}, history_from(connection, institution_id, {row.meeting_id for row in rows})


_WHOLE = str(WHOLE)


def _array(ids: Collection[Id]) -> str:
    return "{" + ",".join(ids) + "}"


def chain_of(row: Sequence[Any]) -> Chain:
    number, meeting_id, *rest = row
    return Chain(number, str(meeting_id) if meeting_id else "", *rest)


def _member(of: str, status: str, since_on: str | None, ended: list[list[str]] | None) -> Member:
    stays = [(was_of, _span(*days)) for was_of, *days in ended or ()]
    return Member(of, status == ACTIVE, date.fromisoformat(since_on) if since_on else None, stays)


def _loan(loan_id: Id, row: Sequence[Any], held: Mapping[Account, int], memos: Mapping[Id, tuple[int, str]]) -> Loan:
    of, head, borrower, earlier, *agreed = row
    terms = _terms(*agreed)
    interest, through = memos.get(loan_id, (0, terms.given_on.isoformat()))
    stands = loan.Standing(held.get(Account(Head(head), loan_id), 0), interest, date.fromisoformat(through))
    return Loan(of, Head(head), borrower or "", terms, stands, _earlier(earlier))


def _terms(principal: int, rate: int, instalments: int, given_on: date | str, rounding: int, agreed: Mapping[str, Any] | None) -> Terms:
    day = date.fromisoformat(given_on) if isinstance(given_on, str) else given_on
    return terms_kept(principal, rate, instalments, day, rounding, agreed)


def _earlier(written: Sequence[Sequence[Any]] | None) -> tuple[tuple[Id, Terms], ...]:
    return tuple((meeting_id, _terms(*agreed)) for meeting_id, *agreed in written or ())


TERMS = ("principal_paise", "annual_rate_basis_points", "instalments", "given_on", "rounding_paise", "agreed")


def loan_of(row: Any, stands: loan.Standing) -> Loan:  # noqa: ANN401 - a row of loans
    terms = _terms(*(getattr(row, name) for name in TERMS))
    return Loan(str(row.institution_id), Head(row.head), str(row.borrower_id or ""), terms, stands, _earlier(row.earlier))


def reversible(connection: Connection, meeting_ids: Collection[Id]) -> dict[tuple[Id, int], Reversible]:
    """Every line of these meetings, and which were taken back already."""
    of = [UUID(one) for one in meeting_ids]
    back = select(reversals).where(sight.among(reversals.c.of_meeting_id, of))
    taken = {(str(row.of_meeting_id), row.of_line): str(row.meeting_id) for row in connection.execute(back)}
    return {
        (str(row.meeting_id), line.line): Reversible(
            line, str(row.institution_id), MeetingStatus(row.status), taken.get((str(row.meeting_id), line.line), ""), takes_back=back_to is not None
        )
        for row in connection.execute(select(meetings).where(sight.among(meetings.c.meeting_id, of)))
        for _, line, back_to in with_reversals(row)
    }


def recorded_sheet(connection: Connection, meeting_id: Id) -> Sheet:
    return packed.unpack_sheet(connection.execute(select(meetings).where(meetings.c.meeting_id == UUID(meeting_id))).one())


def earlier_revisions(connection: Connection, meeting_id: Id) -> dict[int, bytes]:
    """Of what was sent of it before and handed back, the hash of each revision."""
    of = select(superseded.c.revision, superseded.c.content_hash).where(superseded.c.meeting_id == UUID(meeting_id))
    return {row.revision: row.content_hash for row in connection.execute(of)}


def _span(from_on: str, to_on: str) -> Span:
    return Span(date.fromisoformat(from_on) if from_on else None, date.fromisoformat(to_on))


def in_sight(caller: Caller) -> ColumnElement[bool]:
    """The institutions that the caller may see."""
    return sight.in_sight(caller, institutions.c.institution_id, institutions.c.region, institutions)


def must_see(connection: Connection, caller: Caller, institution_id: UUID) -> tuple[Row[Any], Chain]:
    """The institution, and where its books stand."""
    statement = select(institutions, *_CHAIN).outerjoin(chains, chains.c.institution_id == institutions.c.institution_id)
    row = connection.execute(statement.where(institutions.c.institution_id == institution_id, in_sight(caller))).one_or_none()
    if row is None:
        raise NotFound("INSTITUTION_UNKNOWN", "There is no such institution among yours.", field="institution_id")
    stands = row[-len(_CHAIN) :]
    return row, Chain() if stands[0] is None else chain_of(stands)


_CHAIN = (
    chains.c.last_number,
    chains.c.last_meeting_id,
    chains.c.last_held_on,
    chains.c.approved_through,
    chains.c.highest_number,
    chains.c.version.label("chain_version"),
    chains.c.lock,
)


def meeting(connection: Connection, caller: Caller, meeting_id: UUID) -> Row[Any]:
    """The stored row of a meeting in sight."""
    statement = select(meetings).join(institutions, institutions.c.institution_id == meetings.c.institution_id)
    row = connection.execute(statement.where(meetings.c.meeting_id == meeting_id, in_sight(caller))).one_or_none()
    if row is None:
        raise no_meeting()
    return row


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


# What is to be decided, with all that the decision needs; no lock: whoever writes shows the version that was read.
_PENDING = database.one_line(
    """
select m.*, i.kind, i.region as lies_in, i.parent_id, f.kind as parent_kind, f.parent_id as grandparent_id,
    array(select d.member_id from contested d where d.open and d.member_id = any(m.ids) and not exists (
        select from allowed a where a.meeting_id = m.meeting_id and a.revision = m.revision and a.member_id = d.member_id)) as disputed,
    c.last_number, c.last_meeting_id, c.last_held_on, c.approved_through, c.highest_number, c.version as chain_version, c.lock
from meetings m join institutions i on i.institution_id = m.institution_id join chains c on c.institution_id = m.institution_id
    left join institutions f on f.institution_id = i.parent_id
where m.meeting_id = any(%(meeting_ids)s::uuid[])
"""
)


def pending(connection: Connection, caller: Caller, meeting_ids: Collection[UUID]) -> dict[UUID, tuple[Pending, Chain, Row[Any]]]:
    """Of those in sight: the meeting as its checker finds it, its chain, and the row itself with `lies_in`, where it lies now."""
    rows = connection.exec_driver_sql(_PENDING, {"meeting_ids": _array([str(one) for one in meeting_ids])}).all()
    of = {row.institution_id for row in rows}
    within = select(institutions.c.institution_id).where(sight.among(institutions.c.institution_id, of), in_sight(caller))
    seen = set(connection.execute(within).scalars())
    found = {}
    for row in rows:
        if row.institution_id not in seen:
            continue
        last = (row.last_number, row.last_meeting_id, row.last_held_on)
        chain = chain_of((*last, row.approved_through, row.highest_number, row.chain_version, row.lock))
        by_vo = row.parent_kind == "VO"
        found[row.meeting_id] = (
            Pending(
                str(row.meeting_id),
                str(row.institution_id),
                row.kind,
                row.parent_id if by_vo else None,
                row.grandparent_id if by_vo else row.parent_id,
                row.revision,
                row.number,
                row.held_on,
                MeetingStatus(row.status),
                row.flags,
                row.maker_user,
                row.maker_person,
                lent_to(packed.unpack_sheet(row), [str(one) for one in row.disputed]) if row.disputed else (),
            ),
            chain,
            row,
        )
    return found


def no_meeting() -> NotFound:
    return NotFound("MEETING_UNKNOWN", "There is no such meeting among yours.", field="meeting_id")


def undecided_from(connection: Connection, institution_id: UUID, number: int) -> Sequence[Row[Any]]:
    """The meetings not yet decided on, from a number on."""
    where = and_(meetings.c.institution_id == institution_id, meetings.c.status == MeetingStatus.CLOSED, meetings.c.number >= number)
    return connection.execute(select(meetings).where(where).order_by(meetings.c.number)).all()


def history_from(connection: Connection, institution_id: UUID, first_ids: Collection[UUID]) -> tuple[Held, ...]:
    """The meetings that count, approved or not, from the first of some of them on, by number, with the lines that still stand."""
    first = select(func.min(meetings.c.number)).where(sight.among(meetings.c.meeting_id, first_ids)).scalar_subquery()
    where = and_(meetings.c.institution_id == institution_id, meetings.c.status != MeetingStatus.REJECTED, meetings.c.number >= first)
    rows = connection.execute(select(*_OF_BOOKS, *_OF_SHEET).where(where).order_by(meetings.c.number)).all()
    taken_back: dict[Id, list[tuple[Id, int]]] = {}
    back = select(reversals).where(sight.among(reversals.c.meeting_id, [row.meeting_id for row in rows]))
    for row in connection.execute(back):
        taken_back.setdefault(str(row.meeting_id), []).append((str(row.of_meeting_id), row.of_line))
    gave: dict[UUID, dict[Id, loan.Standing]] = {}
    out = select(transfers.c.meeting_id, transfers.c.loans).where(
        sight.among(transfers.c.meeting_id, [row.meeting_id for row in rows if row.content])
    )
    for row in connection.execute(out):
        gave.setdefault(row.meeting_id, {}).update({loan_id: _standing(*stood) for loan_id, *stood, _, _ in row.loans})
    return still_standing([_held(row, gave.get(row.meeting_id, {})) for row in rows], taken_back)


# Of a cut-off, and of what comes from another group, the content is read: it says what interest was owed.
_OF_SHEET = [
    meetings.c.institution_id,
    meetings.c.revision,
    case((meetings.c.flags.overlap(["CUT_OFF", "TRANSFER"]), meetings.c.content)).label("content"),
]


def _held(row: Row[Any], gave: Mapping[Id, loan.Standing]) -> Held:
    stood = brought_in(packed.unpack_sheet(row)) if row.content else {}
    return Held(str(row.meeting_id), row.number, row.held_on, packed.unpack_lines(row), stood, gave)


def counted_at(connection: Connection, institution_id: UUID, number: int) -> Row[UUID, date] | None:
    """Of that number the meeting that counts: its id and day."""
    where = and_(meetings.c.institution_id == institution_id, meetings.c.number == number, meetings.c.status != MeetingStatus.REJECTED)
    return connection.execute(select(meetings.c.meeting_id, meetings.c.held_on).where(where)).one_or_none()


def waiting(connection: Connection, caller: Caller, after: tuple[UUID, int] | None, size: int, side: int) -> Sequence[Row[Any]]:
    """A page of what waits for an approver, by institution and number. `side` is the state's shg_approver_side, as record.must_decide has it."""
    behind = select(chains.c.institution_id, chains.c.approved_through).join(institutions, institutions.c.institution_id == chains.c.institution_id)
    hers = and_(in_sight(caller), institutions.c.kind == _decides_on(caller))
    if side and caller.role is Role.SHG_TRANS_APPROVER:
        hers = and_(hers, _on_side(caller, side))
    behind_ids = behind.where(hers, chains.c.last_number > chains.c.approved_through).subquery()
    statement = (
        select(meetings)
        .join(behind_ids, and_(behind_ids.c.institution_id == meetings.c.institution_id, meetings.c.number > behind_ids.c.approved_through))
        .where(meetings.c.status == MeetingStatus.CLOSED)
    )
    if after:
        statement = statement.where(tuple_(meetings.c.institution_id, meetings.c.number) > after)
    return connection.execute(statement.order_by(meetings.c.institution_id, meetings.c.number).limit(size)).all()


@dataclass(frozen=True, slots=True)
class ContestedLoan:
    """A loan to a contested member in a meeting that waits, which no supervisor has allowed."""

    meeting: Row[Any]
    place: int
    loan: LoanGiven


def contested_loans(connection: Connection, caller: Caller, after: UUID | None, size: int) -> tuple[list[ContestedLoan], UUID | None]:
    """Those of a page of meetings, and the last of these where more may follow. Looked for where each member is now."""
    key = (allowed.c.meeting_id == meetings.c.meeting_id, allowed.c.revision == meetings.c.revision, allowed.c.member_id == contested.c.member_id)
    let = select(allowed.c.member_id).where(*key).correlate(meetings, contested)
    hers = (contested.c.open, contested.c.member_id == any_(meetings.c.ids), ~exists(let))
    disputed = select(contested.c.member_id).where(*hers).correlate(meetings)
    of = select(members.c.institution_id).join(contested, contested.c.member_id == members.c.member_id).where(contested.c.open)
    statement = (
        select(meetings, func.array(disputed.scalar_subquery()).label("disputed"))
        .join(institutions, institutions.c.institution_id == meetings.c.institution_id)
        .join(chains, chains.c.institution_id == meetings.c.institution_id)
        .where(meetings.c.institution_id.in_(of), in_sight(caller), meetings.c.number > chains.c.approved_through)
        .where(meetings.c.status == MeetingStatus.CLOSED, exists(disputed))
    )
    if after:
        statement = statement.where(meetings.c.meeting_id > after)
    rows = connection.execute(statement.order_by(meetings.c.meeting_id).limit(size)).all()
    found = [
        ContestedLoan(row, place, one) for row in rows for place, one in lent_to(packed.unpack_sheet(row), [str(member) for member in row.disputed])
    ]
    return found, rows[-1].meeting_id if len(rows) == size else None


def is_allowed(connection: Connection, meeting_id: UUID, revision: int) -> bool:
    return connection.execute(select(exists().where(allowed.c.meeting_id == meeting_id, allowed.c.revision == revision))).scalar_one()


def _on_side(caller: Caller, side: int) -> ColumnElement[bool]:
    """SHGs whose federation of that side is hers: directly above is the VO, or where there is none the CLF; above a VO is its CLF."""
    if side == 1:
        return sight.among(institutions.c.parent_id, caller.institutions)
    vo = institutions.alias()
    clf = select(vo.c.parent_id).where(vo.c.institution_id == institutions.c.parent_id, vo.c.kind == "VO").scalar_subquery()
    return sight.among(func.coalesce(clf, institutions.c.parent_id), caller.institutions)


def _decides_on(caller: Caller) -> str:
    return str(caller.role or "").removesuffix("_TRANS_APPROVER")


def flagged(connection: Connection, caller: Caller, wanted: Wanted, after: Mark | None, size: int) -> Sequence[Row[Any]]:
    """A page of the meetings in the books that raised one of these flags, the newest day first, each with what its group saves."""
    if not wanted.flags:
        return []
    these = (FLAGGED, meetings.c.flags.overlap(list(wanted.flags)), meetings.c.status != MeetingStatus.REJECTED)
    first = _newest(caller, wanted, meetings, literal("").label("attempt"), these, after, size).subquery("first")
    ever = select(contested.c.member_id).where(contested.c.member_id == any_(meetings.c.ids)).scalar_subquery()
    rows = select(meetings, institutions.c.compulsory_paise, func.array(ever).label("contested"))
    rows = rows.join(first, first.c.meeting_id == meetings.c.meeting_id)
    rows = rows.join(institutions, institutions.c.institution_id == meetings.c.institution_id)
    return connection.execute(rows.order_by(meetings.c.held_on.desc(), meetings.c.meeting_id.desc())).all()


def attempts(connection: Connection, caller: Caller, wanted: Wanted, after: Mark | None, size: int) -> Sequence[Row[Any]]:
    """A page of what was refused, the newest day first; `attempt` is the last part of its mark."""
    if not wanted.refused:
        return []
    these = (sight.among(refused.c.code, wanted.refused),)
    attempt = func.concat(refused.c.code, ".", refused.c.revision).label("attempt")
    return connection.execute(_newest(caller, wanted, refused, attempt, these, after, size)).all()


def _newest(caller: Caller, wanted: Wanted, table: Table, attempt: Label[str], these: Sequence[Any], after: Mark | None, size: int) -> Select[Any]:
    """Of each institution in sight the newest rows, by its index, and of these the newest: a page costs what the region has of institutions,
    however much the state has of meetings.
    """
    of = select(institutions.c.institution_id).where(in_sight(caller))
    if wanted.region:
        of = of.where(sight.within(institutions.c.region, [wanted.region]))
    if wanted.institution_id:
        of = of.where(institutions.c.institution_id == wanted.institution_id)
    hers = of.subquery("hers")
    key = (table.c.held_on, table.c.meeting_id, attempt)
    whole = [column for column in table.c if column.name != "content"]
    rows = select(*whole, attempt).where(table.c.institution_id == hers.c.institution_id, *these)
    rows = rows.where(table.c.held_on >= wanted.from_on, table.c.held_on <= (min(wanted.to_on, after.held_on) if after else wanted.to_on))
    if after:
        rows = rows.where(tuple_(*key) < tuple_(*map(literal, after)))
    each = lateral(rows.order_by(*(column.desc() for column in key)).limit(size), "each_one")
    order = (each.c.held_on.desc(), each.c.meeting_id.desc(), each.c.attempt.desc())
    return select(each).select_from(hers.join(each, true())).order_by(*order).limit(size)


@dataclass(frozen=True, slots=True)
class Known:
    """What a device holds already: the chain's version and approved number, and the roster's mark. Zeros: nothing."""

    version: int = 0
    approved_through: int = 0
    roster: int = 0


@dataclass(frozen=True, slots=True)
class Standing:
    """Where an institution stands. Of `changed` accounts, `settled` loans, `members` and `decisions` only what is not known.

    `loans` are all on which anything is owed.
    """

    chain: Chain
    institution: Row[Any]
    balances: Mapping[Account, int]
    changed: frozenset[Account]
    provisional: Mapping[Account, int]
    loans: Mapping[Id, tuple[int, Loan]]
    settled: Sequence[Account]
    roster: int
    members: Sequence[Row[Any]]
    decisions: Sequence[Row[Any]]
    incoming: Sequence[GivenOver]


# Each balance, with the terms of the loan or borrowing whose it is.
_HELD = select(balances, *(loans.c[name] for name in ("borrower_id", "earlier", *TERMS))).outerjoin(
    loans, and_(loans.c.loan_id == balances.c.of_id, loans.c.head == balances.c.head, loans.c.institution_id == balances.c.institution_id)
)


def standing(connection: Connection, caller: Caller, institution_id: UUID, known: Known) -> Standing:
    """For a device, provisional meetings included; read in one moment."""
    institution, now = must_see(connection, caller, institution_id)
    held = connection.execute(_HELD.where(balances.c.institution_id == institution_id)).all()
    seen = min(known.approved_through, now.approved_through) if known.version else now.approved_through
    after = and_(meetings.c.institution_id == institution_id, meetings.c.number > seen)
    decided = connection.execute(select(meetings).where(after).order_by(meetings.c.number, meetings.c.meeting_id)).all()
    since = {account for row in decided for account in effect(packed.unpack_lines(row))}
    of = connection.execute(select(members).where(members.c.institution_id == institution_id).order_by(members.c.member_id)).all()
    roster = total([(institution_id, institution.version), *((row.member_id, row.version) for row in of)])
    stand_at = {_account(row): row for row in held}
    changed = {account for account, row in stand_at.items() if row.version > known.version}
    owed = {account: row for account, row in stand_at.items() if row.given_on and (row.paise or row.interest_paise)}
    return Standing(
        now,
        institution,
        {account: row.paise for account, row in stand_at.items()},
        frozenset(changed | (since & stand_at.keys())),
        effect(line for row in decided if row.status == MeetingStatus.CLOSED for line in packed.unpack_lines(row)),
        {account.of: (row.version, _owed(row)) for account, row in sorted(owed.items())},
        # Who holds nothing yet has no loan to drop.
        sorted(one for one in changed - owed.keys() if one.of and CHART[one.head].sub_ledger in _LENT) if known.version else (),
        roster,
        of if roster != known.roster else (),
        decided,
        [_given_over(row) for row in connection.execute(_GIVEN_OVER.where(_incoming(institution_id)).order_by(transfers.c.transfer_id))],
    )


def _incoming(institution_id: UUID) -> ColumnElement[bool]:
    return and_(transfers.c.to_id == institution_id, transfers.c.taken_in.is_(None), meetings.c.status == MeetingStatus.APPROVED)


def loan_in(connection: Connection, caller: Caller, institution_id: UUID, loan_id: UUID) -> Loan:
    """A loan or borrowing as it stands, provisional meetings included."""
    must_see(connection, caller, institution_id)
    where = and_(balances.c.institution_id == institution_id, balances.c.of_id == loan_id, loans.c.loan_id.is_not(None))
    row = connection.execute(_HELD.where(where)).one_or_none()
    if row is None:
        raise Conflict("LOAN_UNKNOWN", "This institution has no such loan.", field="loan_id")
    return _owed(row)


_LENT = (SubLedger.LOAN, SubLedger.BORROWING)


def _account(row: Row[Any]) -> Account:
    return Account(Head(row.head), "" if row.of_id == WHOLE else str(row.of_id))


def _owed(row: Row[Any]) -> Loan:
    return loan_of(row, loan.Standing(row.paise, row.interest_paise or 0, row.counted_through or row.given_on))


@dataclass(frozen=True, slots=True)
class Approved:
    """The position after the last approved meeting, and the approved meetings held from some day on."""

    chain: Chain
    now: Mapping[Account, int]
    meetings: Sequence[Held]


def approved_from(connection: Connection, caller: Caller, institution_id: UUID, from_on: date) -> Approved:
    """What a book of the days from then on is made of: however old the books, nothing before is read.

    What is provisional is taken off the latest position, so that books show what is final.
    """
    _, stands = must_see(connection, caller, institution_id)
    kept = connection.execute(select(balances).where(balances.c.institution_id == institution_id)).all()
    of = and_(meetings.c.institution_id == institution_id, meetings.c.status != MeetingStatus.REJECTED)
    # Days never go back from one number to the next, and numbers have an index: from the last one back, the first held before.
    before = select(meetings.c.number).where(of, meetings.c.held_on < from_on).order_by(meetings.c.number.desc()).limit(1).scalar_subquery()
    since = meetings.c.number > func.least(stands.approved_through, func.coalesce(before, 0))
    rows = connection.execute(select(*_OF_BOOKS).where(of, since).order_by(meetings.c.number)).all()
    provisional = effect(line for row in rows if row.number > stands.approved_through for line in packed.unpack_lines(row))
    held = [Held(str(row.meeting_id), row.number, row.held_on, packed.unpack_lines(row)) for row in rows if row.number <= stands.approved_through]
    return Approved(stands, added({_account(row): row.paise for row in kept}, provisional, -1), held)


# All but the content, which is the most of it.
_OF_BOOKS = [meetings.c[name] for name in ("meeting_id", "number", "held_on", "ids", "debit", "credit", "debit_of", "credit_of", "paise")]


def loans_of(connection: Connection, institution_id: UUID, member_id: UUID) -> list[Id]:
    """Every loan that the institution ever gave her; refused who neither is nor was of it, and has nothing in its books."""
    is_of = exists().where(members.c.member_id == member_id, members.c.institution_id == institution_id)
    has = exists().where(balances.c.institution_id == institution_id, balances.c.head.in_(_MEMBER_HEADS), balances.c.of_id == member_id)
    hers = select(loans.c.loan_id).where(loans.c.institution_id == institution_id, loans.c.borrower_id == member_id)
    known, lent = connection.execute(select(or_(is_of, has), func.array(hers.scalar_subquery()))).one()
    if not known:
        raise NotFound("MEMBER_UNKNOWN", "There is no such member in these books.", field="member_id")
    return [str(one) for one in lent]


_MEMBER_HEADS = [head for head, about in CHART.items() if about.sub_ledger is SubLedger.MEMBER]

JOURNAL_STEP = 25  # Meetings read at once for a page of their lines.


def journal(
    connection: Connection, caller: Caller, institution_id: UUID, after: tuple[int, int], size: int
) -> Sequence[tuple[Row[Any], Line, Reversal | None]]:
    """A page of the lines that count, by meeting and line, each with its meeting and what it takes back."""
    must_see(connection, caller, institution_id)
    found: list[tuple[Row[Any], Line, Reversal | None]] = []
    number, line = after
    while True:
        where = and_(meetings.c.institution_id == institution_id, meetings.c.status != MeetingStatus.REJECTED, meetings.c.number >= number)
        rows = connection.execute(select(meetings).where(where).order_by(meetings.c.number).limit(JOURNAL_STEP)).all()
        for row in rows:
            found += [one for one in with_reversals(row) if (row.number, one[1].line) > (number, line)]
        if len(rows) < JOURNAL_STEP or len(found) >= size:
            return found[:size]
        number, line = rows[-1].number, len(rows[-1].paise)


def with_reversals(row: Row[Any]) -> list[tuple[Row[Any], Line, Reversal | None]]:
    """The lines of a meeting; those that take back others are the last, in the order in which the sheet names these."""
    lines = packed.unpack_lines(row)
    back = packed.unpack_sheet(row).reversals
    none: tuple[Reversal | None, ...] = (None,) * (len(lines) - len(back))
    return [(row, line, of) for line, of in zip(lines, (*none, *back), strict=True)]


# Every balance is the sum of lines; this finds institutions where it is not. For operators and tests.
_ADRIFT = """
with halves as (
    select institution_id, debit as head, debit_of as of_id, amount_paise as paise from lines where status <> 'REJECTED'
    union all select institution_id, credit, credit_of, -amount_paise from lines where status <> 'REJECTED'
), summed as (
    select institution_id, head, coalesce(of_id, %(whole)s) as of_id, sum(paise) * case when left(head, 1) in ('A', 'E') then 1 else -1 end as paise
    from halves where of_id is not null and head = any(%(with_accounts)s) group by 1, 2, 3
    union all select institution_id, head, %(whole)s, sum(paise) * case when left(head, 1) in ('A', 'E') then 1 else -1 end from halves group by 1, 2
)
select distinct institution_id from balances b full join summed s using (institution_id, head, of_id)
where coalesce(b.paise, 0) <> coalesce(s.paise, 0)
"""


def adrift(connection: Connection) -> list[UUID]:
    """The institutions whose position is not the sum of their lines: none, ever."""
    return list(connection.exec_driver_sql(_ADRIFT, {"whole": WHOLE, "with_accounts": sorted(HAS_ACCOUNTS)}).scalars())


def approved_after(connection: Connection, after: UUID | None, size: int) -> Sequence[Row[Any]]:
    """A page of approved meetings by id, for a restatement."""
    statement = select(meetings).where(meetings.c.status == MeetingStatus.APPROVED)
    if after:
        statement = statement.where(meetings.c.meeting_id > after)
    return connection.execute(statement.order_by(meetings.c.meeting_id).limit(size)).all()


def chains_after(connection: Connection, after: UUID | None, size: int) -> Sequence[tuple[UUID, str, Chain]]:
    """A page of institutions by id, where they lie and how their books stand, for a restatement."""
    statement = select(chains.c.institution_id, institutions.c.region, *_CHAIN)
    statement = statement.join(institutions, institutions.c.institution_id == chains.c.institution_id)
    if after:
        statement = statement.where(chains.c.institution_id > after)
    rows = connection.execute(statement.order_by(chains.c.institution_id).limit(size)).all()
    return [(row[0], row[1], chain_of(row[2:])) for row in rows]


def tally(connection: Connection, block: str) -> tuple[int, int]:
    """How many active members the copy has in a block, and what their fingerprints add up to."""
    held = connection.execute(
        select(members.c.member_id, members.c.version).where(sight.within(members.c.region, [block]), members.c.status == ACTIVE)
    ).all()
    return len(held), total(held)
