"""Store meetings: fetch once, decide without the database, write in one statement (examples 17)."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import date
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, Exists, exists, select, update
from sqlalchemy.dialects.postgresql import insert

from services.chassis import audit, database, sight
from services.kernel.caller import Caller
from services.kernel.errors import Refused
from services.kernel.policies import Policies
from services.transactions import queries
from services.transactions.commands.events import moved
from services.transactions.commands.take import session_of
from services.transactions.rules.agreed import kept
from services.transactions.rules.books import Books, Chain, Loan, Recorded
from services.transactions.rules.journal import Account, Id
from services.transactions.rules.loan import Standing
from services.transactions.rules.packed import pack
from services.transactions.rules.record import Answered, Outcome, Posting, Upload, admit_all, gone
from services.transactions.rules.schedule import Terms
from services.transactions.tables import chains, loans, meetings, superseded, transfers

TRIES_MAX = 5


class NotStoredError(Exception):
    """Others wrote at the same time, again and again; of what was sent nothing is written."""


class IdTakenError(NotStoredError):
    """Between reading and writing another institution's meeting took an id."""


# All or nothing: where the chain has moved on since it was read, its row is not written, and without it nothing is.
# No lock is held while the rules think; two uploads for one institution at once are rare, and the later one reads again.
STORE = database.one_line(
    """
with chain as (
    insert into chains as c
        (institution_id, last_number, last_meeting_id, last_held_on, approved_through, highest_number, version)
    values (%(institution_id)s::uuid, %(last)s, %(last_id)s::uuid, %(last_held_on)s, %(through_number)s, %(highest)s, 1)
    on conflict (institution_id) do update set last_number = excluded.last_number, last_meeting_id = excluded.last_meeting_id,
        last_held_on = excluded.last_held_on, approved_through = excluded.approved_through, highest_number = excluded.highest_number,
        version = c.version + 1
    where c.version = %(version)s
    returning institution_id, version
), meeting as (
    insert into meetings as m
        (meeting_id, revision, institution_id, number, held_on, status, content_hash, ids, content,
         debit, credit, debit_of, credit_of, paise, flags, maker_user, maker_person, stored_at)
    select new.meeting_id, new.revision, institution_id, new.number, new.held_on, 'CLOSED', new.content_hash, new.ids::uuid[], new.content,
        new.debit::smallint[], new.credit::smallint[], new.debit_of::smallint[], new.credit_of::smallint[], new.paise::bigint[],
        new.flags::text[], %(user_id)s, %(person)s, %(at)s
    from chain, unnest(%(meeting_ids)s::uuid[], %(revisions)s::int[], %(numbers)s::int[], %(held_on)s::date[], %(hashes)s::bytea[],
            %(ids)s::text[], %(contents)s::bytea[], %(debits)s::text[], %(credits)s::text[], %(debits_of)s::text[], %(credits_of)s::text[],
            %(paise)s::text[], %(flags)s::text[])
        as new (meeting_id, revision, number, held_on, content_hash, ids, content, debit, credit, debit_of, credit_of, paise, flags)
    on conflict (meeting_id) do update set revision = excluded.revision, number = excluded.number, held_on = excluded.held_on,
        status = 'CLOSED', content_hash = excluded.content_hash, ids = excluded.ids, content = excluded.content, debit = excluded.debit,
        credit = excluded.credit, debit_of = excluded.debit_of, credit_of = excluded.credit_of, paise = excluded.paise,
        flags = excluded.flags, maker_user = excluded.maker_user, maker_person = excluded.maker_person, stored_at = excluded.stored_at,
        decided_at = null, decided_by = null, decided_person = null, reasons = null, remark = null
    where m.institution_id = excluded.institution_id
    returning meeting_id, revision, content_hash
), balanced as (
    insert into balances (institution_id, head, of_id, paise, interest_paise, counted_through, version)
    select institution_id, new.head, new.of_id, new.paise, new.interest, new.through, version
    from chain, unnest(%(heads)s::text[], %(of_ids)s::uuid[], %(stand_at)s::bigint[], %(interest)s::bigint[], %(through)s::date[])
        as new (head, of_id, paise, interest, through)
    on conflict (institution_id, head, of_id) do update set paise = excluded.paise, interest_paise = excluded.interest_paise,
        counted_through = excluded.counted_through, version = excluded.version
), lent as (
    insert into loans
    select new.* from chain, json_populate_recordset(null::loans, %(loans)s::json) as new
), taken_back as (
    insert into reversals (of_meeting_id, of_line, meeting_id)
    select new.of_meeting_id, new.of_line, new.meeting_id
    from chain, json_to_recordset(%(reversals)s::json) as new (of_meeting_id uuid, of_line int, meeting_id uuid)
), noted as (
    insert into audit (at, user_id, role, action, subjects, facts, request_id)
    select %(at)s, %(user_id)s, %(role)s, %(action)s, jsonb_build_array(meeting_id),
        jsonb_build_object('revision', revision, 'content', encode(content_hash, 'hex')), %(request_id)s
    from meeting
), told as (
    insert into outbox (event_id, event, subject, version, occurred_at, request_id, body)
    select %(event_id)s, %(event)s, %(subject)s, version, %(at)s, %(request_id)s, %(body)s from chain
)
select (select count(*) from chain), (select count(*) from meeting)
"""
)


def sync_meetings(
    connection: Connection, caller: Caller, uploads: Mapping[int, Upload], policies: Policies, today: date
) -> Mapping[int, Outcome | Refused]:
    """What became of each of one institution's uploads, by its place; those taken in are stored together."""
    sheets = [upload.sheet for upload in uploads.values()]
    for _ in range(TRIES_MAX):
        books = _with_contents(connection, queries.books(connection, sheets), uploads)
        answered = admit_all(uploads, books, caller, policies, today)
        if not answered.postings:
            return answered.outcomes
        _supersede(connection, books, answered.postings)
        if answered.books.chain.lock > books.chain.lock:
            _fence(connection, caller, books.chain, answered)
        _agree_anew(connection, books, answered)
        chained, stored = connection.exec_driver_sql(STORE, parameters(caller, books, answered)).one()
        if chained and stored < len(answered.postings):  # Another institution took an id at the same instant; all of this is rolled back.
            raise IdTakenError
        if chained:
            _transfer(connection, answered)
            return answered.outcomes
    raise NotStoredError


def _with_contents(connection: Connection, books: Books, uploads: Mapping[int, Upload]) -> Books:
    """The sheets too of what is stored under the same revision with another content: the refusal names the field. And of what comes
    as an earlier revision, what came before: a copy of it that was long on its way is answered as ever.
    """
    more: dict[Id, Recorded] = {}
    for upload in uploads.values():
        stored = more.get(upload.sheet.meeting_id) or books.recorded.get(upload.sheet.meeting_id)
        if stored and stored.revision == upload.sheet.revision and stored.content_hash != upload.content_hash:
            more[upload.sheet.meeting_id] = replace(stored, sheet=queries.recorded_sheet(connection, upload.sheet.meeting_id))
        elif stored and stored.revision > upload.sheet.revision:
            more[upload.sheet.meeting_id] = replace(stored, earlier=queries.earlier_revisions(connection, upload.sheet.meeting_id))
    return replace(books, recorded={**books.recorded, **more}) if more else books


def _supersede(connection: Connection, books: Books, postings: Sequence[Posting]) -> None:
    """Keep what was handed back as it was, before its next revision takes its place.

    Two devices may send that at once: the later one waits here, finds that the books have moved on, and keeps nothing.
    """
    again = [UUID(posting.sheet.meeting_id) for posting in postings if posting.sheet.meeting_id in books.recorded]
    if again:
        as_read = _as_read(connection, postings[0].sheet.institution_id, books)
        names = [column.name for column in superseded.c]
        kept = select(*(meetings.c[name] for name in names)).where(sight.among(meetings.c.meeting_id, again), as_read)
        connection.execute(insert(superseded).from_select(names, kept))


def _as_read(connection: Connection, institution_id: Id, books: Books) -> Exists:
    """Whether the books are still as they were read; from here on nobody else moves them."""
    of = chains.c.institution_id == UUID(institution_id)
    connection.execute(select(chains.c.version).where(of).with_for_update())
    return exists().where(of, chains.c.version == books.chain.version)


def _fence(connection: Connection, caller: Caller, read: Chain, answered: Answered) -> None:
    """Whoever brings a newer lock than the books know of has had them since the backup from which they came back."""
    none = {"last_number": 0, "approved_through": 0, "highest_number": 0, "version": 0}
    taken = {"lock": answered.books.chain.lock, "lock_session": session_of(caller)}
    row = insert(chains).values(institution_id=UUID(answered.postings[0].sheet.institution_id), **none, **taken)
    connection.execute(row.on_conflict_do_update(index_elements=["institution_id"], set_=taken, where=chains.c.version == read.version))


def parameters(caller: Caller, books: Books, answered: Answered) -> dict[str, Any]:
    """What STORE is run with: the position after the meetings, in whole values, since the chain's version guards them."""
    postings, after = answered.postings, answered.books
    institution = after.institution
    assert institution is not None
    sheets = [posting.sheet for posting in postings]
    rows = [pack(posting.upload.content, posting.taken.lines, posting.taken.unlisted, posting.taken.ageing) for posting in postings]
    note = audit.row(caller, "meeting.store", (), {})
    event = moved(sheets[0].institution_id, institution.region, _versioned(after.chain))
    return {
        "institution_id": sheets[0].institution_id,
        "version": books.chain.version,
        "last": after.chain.last_number,
        "last_id": after.chain.last_meeting_id,
        "last_held_on": after.chain.last_held_on,
        "through_number": after.chain.approved_through,
        "highest": after.chain.highest_number,
        "meeting_ids": _array(sheet.meeting_id for sheet in sheets),
        "revisions": _array(sheet.revision for sheet in sheets),
        "numbers": _array(sheet.number for sheet in sheets),
        "held_on": _array(sheet.held_on for sheet in sheets),
        "hashes": _quoted(_bytes(posting.upload.content_hash) for posting in postings),
        "ids": _quoted(_array(row.ids) for row in rows),
        "contents": _quoted(_bytes(row.content) for row in rows),
        "debits": _quoted(_array(row.debit) for row in rows),
        "credits": _quoted(_array(row.credit) for row in rows),
        "debits_of": _quoted(_array(row.debit_of) for row in rows),
        "credits_of": _quoted(_array(row.credit_of) for row in rows),
        "paise": _quoted(_array(row.paise) for row in rows),
        "flags": _quoted(_array(posting.taken.flags) for posting in postings),
        **_balances(postings, after),
        "loans": json.dumps([_loan(one, posting.sheet.meeting_id, after.loans[one]) for posting in postings for one in sorted(posting.given)]),
        "reversals": json.dumps(
            [{"of_meeting_id": one.meeting_id, "of_line": one.line, "meeting_id": sheet.meeting_id} for sheet in sheets for one in sheet.reversals]
        ),
        "person": caller.person,
        "at": note["at"],
        "user_id": note["user_id"],
        "role": note["role"],
        "action": note["action"],
        "request_id": note["request_id"],
        "event_id": event["event_id"],
        "event": event["event"],
        "subject": event["subject"],
        "body": event["body"],
    }


def _versioned(chain: Chain) -> Chain:
    return replace(chain, version=chain.version + 1)


def _balances(postings: Sequence[Posting], after: Books) -> dict[str, str]:
    """Whatever the meetings changed, as it is after all of them."""
    touched = {loan_id: after.loans[loan_id] for posting in postings for loan_id in posting.taken.loans}
    moved_by = [account for posting in postings for account in posting.taken.balances]
    accounts = dict.fromkeys([*moved_by, *(Account(loan.head, loan_id) for loan_id, loan in touched.items())])
    standing = [touched[account.of].standing if account.of in touched else None for account in accounts]
    return {
        "heads": _array(account.head for account in accounts),
        "of_ids": _array(account.of or queries.WHOLE for account in accounts),
        "stand_at": _array(after.balances.get(account, 0) for account in accounts),
        "interest": _array(one.interest_unpaid_paise if one else "NULL" for one in standing),
        "through": _array(one.accrued_through if one else "NULL" for one in standing),
    }


def _loan(loan_id: Id, given_in: Id, loan: Loan) -> dict[str, object]:
    of = {"loan_id": loan_id, "institution_id": loan.institution_id, "meeting_id": given_in, "head": loan.head}
    return {**of, "borrower_id": loan.borrower_id or None, **_agreed(loan)}


def _agreed(loan: Loan) -> dict[str, Any]:
    """The terms in force, and those before."""
    earlier = [[meeting_id, *_terms(before)] for meeting_id, before in loan.earlier]
    return {**dict(zip(queries.TERMS, _terms(loan.terms), strict=True)), "earlier": earlier or None}


def _terms(terms: Terms) -> list[Any]:
    """As queries.TERMS has them."""
    numbers = [terms.principal_paise, terms.annual_rate_basis_points, terms.instalments]
    return [*numbers, terms.given_on.isoformat(), terms.rounding_paise, kept(terms)]


def _agree_anew(connection: Connection, read: Books, answered: Answered) -> None:
    """New terms of loans that there were before. Rare, and so apart from STORE, as _supersede."""
    stored = {one.loan_id for posting in answered.postings for one in posting.sheet.reschedules} & read.loans.keys()
    if stored:
        as_read = _as_read(connection, answered.postings[0].sheet.institution_id, read)
        for loan_id in sorted(stored):
            values = _agreed(answered.books.loans[loan_id]) | {"given_on": answered.books.loans[loan_id].terms.given_on}
            connection.execute(update(loans).where(loans.c.loan_id == UUID(loan_id), as_read).values(**values))


def _transfer(connection: Connection, answered: Answered) -> None:
    """What goes to another group, and what has come from one. Rare as well; from STORE on nobody else moves these books."""
    for posting in (one for one in answered.postings if one.sheet.transfers_out or one.sheet.transfers_in):
        meeting_id = UUID(posting.sheet.meeting_id)
        for transfer_id, one in gone(posting).items():
            of = {"transfer_id": UUID(transfer_id), "from_id": UUID(one.from_id), "to_id": UUID(one.to_id), "meeting_id": meeting_id}
            lent = [[loan_id, *_stood(loan.standing), _terms(loan.terms), loan.head] for loan_id, loan in one.loans.items()]
            connection.execute(insert(transfers).values(**of, said=one.kept, loans=lent))
        came = sight.among(transfers.c.transfer_id, [UUID(one.transfer_id) for one in posting.sheet.transfers_in])
        connection.execute(update(transfers).where(came).values(taken_in=meeting_id))


def _stood(standing: Standing) -> list[object]:
    return [standing.outstanding_paise, standing.interest_unpaid_paise, standing.accrued_through.isoformat()]


def _array(values: Iterable[object]) -> str:
    """An array as PostgreSQL writes it, of what needs no quotes; psycopg takes ten times as long over a list."""
    return "{" + ",".join(map(str, values)) + "}"


def _quoted(values: Iterable[str]) -> str:
    """The same of what needs quotes, and has none of its own."""
    return '{"' + '","'.join(values) + '"}'


def _bytes(value: bytes) -> str:
    return "\\\\x" + value.hex()
