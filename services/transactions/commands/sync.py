"""Store a meeting: fetch once, decide without the database, write in one statement (examples 17)."""

import json
from datetime import date
from typing import Any
from uuid import UUID

from sqlalchemy import Connection

from services.chassis import audit
from services.kernel.caller import Caller
from services.kernel.errors import Exhausted
from services.kernel.policies import Policies
from services.transactions import queries
from services.transactions.rules.books import Books, Member
from services.transactions.rules.meeting import Effect, Line, Meeting, effect
from services.transactions.rules.record import Outcome, Posting, admit, taken_elsewhere

TRIES_MAX = 5

# All or nothing: where the chain has moved on since it was read, its row is not written, and without it nothing is.
# No lock is held while the rules think; two uploads for one institution at once are rare, and the later one reads again.
STORE = """
with chain as (
    insert into chains as c (institution_id, last_number, last_held_on, approved_through, cash_paise, bank_paise, version)
    values (%(institution_id)s, %(number)s, %(held_on)s, 0, %(cash_paise)s, %(bank_paise)s, 1)
    on conflict (institution_id) do update set last_number = excluded.last_number, last_held_on = excluded.last_held_on,
        cash_paise = excluded.cash_paise, bank_paise = excluded.bank_paise, version = c.version + 1
    where c.version = %(version)s
    returning institution_id
), meeting as (
    insert into meetings as m
        (meeting_id, institution_id, revision, number, held_on, content, content_hash, status, maker_user, maker_person, stored_at)
    select %(meeting_id)s, institution_id, %(revision)s, %(number)s, %(held_on)s, %(content)s::jsonb, %(content_hash)s, 'CLOSED',
        %(user_id)s, %(person)s, now() from chain
    on conflict (meeting_id) do update set revision = excluded.revision, held_on = excluded.held_on, content = excluded.content,
        content_hash = excluded.content_hash, status = excluded.status, maker_user = excluded.maker_user,
        maker_person = excluded.maker_person, stored_at = excluded.stored_at, remark = '', decided_by = '', decided_person = '',
        decided_at = null
    where m.institution_id = excluded.institution_id
    returning meeting_id
), posted as (
    insert into lines (meeting_id, revision, line, institution_id, member_id, loan_id, debit, credit, amount_paise)
    select %(meeting_id)s, %(revision)s, new.line, institution_id, new.member_id, new.loan_id, new.debit, new.credit, new.paise
    from chain, json_to_recordset(%(lines)s::json)
        as new (line int, member_id uuid, loan_id uuid, debit text, credit text, paise bigint)
), saved as (
    insert into balances as b (institution_id, member_id, compulsory_paise, voluntary_paise)
    select institution_id, new.member_id, new.compulsory, new.voluntary
    from chain, json_to_recordset(%(saved)s::json) as new (member_id uuid, compulsory bigint, voluntary bigint)
    on conflict (institution_id, member_id) do update
        set compulsory_paise = excluded.compulsory_paise, voluntary_paise = excluded.voluntary_paise
), lent as (
    insert into loans
        (loan_id, institution_id, member_id, meeting_id, principal_paise, outstanding_paise, annual_rate_basis_points, months)
    select new.loan_id, institution_id, new.member_id, %(meeting_id)s, new.principal_paise, new.principal_paise,
        new.annual_rate_basis_points, new.months
    from chain, json_to_recordset(%(loans)s::json)
        as new (loan_id uuid, member_id uuid, principal_paise bigint, annual_rate_basis_points int, months int)
), repaid as (
    update loans l set outstanding_paise = new.paise
    from chain, json_to_recordset(%(repaid)s::json) as new (loan_id uuid, paise bigint) where l.loan_id = new.loan_id
), noted as (
    insert into audit (at, user_id, role, action, subjects, facts, request_id)
    select %(at)s, %(user_id)s, %(role)s, %(action)s, %(subjects)s::jsonb, %(facts)s::jsonb, %(request_id)s from chain
)
select (select count(*) from chain), (select count(*) from meeting)
"""


def sync_meeting(connection: Connection, caller: Caller, meeting: Meeting, policies: Policies, today: date) -> Outcome:
    """STORED or ALREADY; what waits or is refused is raised."""
    for _ in range(TRIES_MAX):
        books = queries.books(connection, meeting)
        posting = admit(meeting, books, caller, policies, today)
        if posting is None:
            return Outcome.ALREADY
        chained, stored = connection.exec_driver_sql(STORE, parameters(caller, meeting, books, posting)).one()
        if chained and not stored:  # Another institution took this id at the same instant; what the chain did is rolled back.
            raise taken_elsewhere()
        if chained:
            return Outcome.STORED
    raise Exhausted("BUSY", "The books of this institution are being written to; try again in a moment.")


def parameters(caller: Caller, meeting: Meeting, books: Books, posting: Posting) -> dict[str, Any]:
    """What STORE is run with: the position after the meeting, in whole values, since the chain's version guards them."""
    change = effect(posting.lines)
    savers = change.compulsory_paise.keys() | change.voluntary_paise.keys()
    note = audit.row(caller, "meeting.store", [meeting.meeting_id], {"revision": meeting.revision, "content": posting.content_hash.hex()})
    return {
        "institution_id": meeting.institution_id,
        "meeting_id": meeting.meeting_id,
        "revision": meeting.revision,
        "number": meeting.number,
        "held_on": meeting.held_on,
        "version": books.chain.version,
        "cash_paise": books.chain.cash_paise + change.cash_paise,
        "bank_paise": books.chain.bank_paise + change.bank_paise,
        "content": _json(posting.content),
        "content_hash": posting.content_hash,
        "person": caller.person,
        "lines": _json([_line(line) for line in posting.lines]),
        "saved": _json([_saved(member_id, books.members[member_id], change) for member_id in savers]),
        "loans": _json(posting.content["loans"]),
        "repaid": _json(
            [{"loan_id": str(one), "paise": books.loans[one].outstanding_paise + change.outstanding_paise[one]} for one in _repaid(meeting, change)],
        ),
        **note,
        "subjects": _json(note["subjects"]),
        "facts": _json(note["facts"]),
    }


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)


def _line(line: Line) -> dict[str, object]:
    member_id, loan_id = line.member_id and str(line.member_id), line.loan_id and str(line.loan_id)
    return {"line": line.line, "member_id": member_id, "loan_id": loan_id, "debit": line.debit, "credit": line.credit, "paise": line.amount_paise}


def _saved(member_id: UUID, before: Member, change: Effect) -> dict[str, object]:
    compulsory = before.compulsory_paise + change.compulsory_paise.get(member_id, 0)
    return {"member_id": str(member_id), "compulsory": compulsory, "voluntary": before.voluntary_paise + change.voluntary_paise.get(member_id, 0)}


def _repaid(meeting: Meeting, change: Effect) -> list[UUID]:
    return [repayment.loan_id for repayment in meeting.repayments if repayment.loan_id in change.outstanding_paise]
