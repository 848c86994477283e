"""Bank accounts asked about: which, when again, and what the bank said. `jobs` asks; nothing here reaches outside."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import Connection, Text, cast, exists, func, select, update
from sqlalchemy.dialects import postgresql

from services.chassis import audit
from services.chassis.jobs import enqueue_all, jobs
from services.chassis.sight import among
from services.kernel.approval import Status
from services.kernel.caller import Caller
from services.kernel.errors import Exhausted
from services.kernel.ids import uuid7
from services.kernel.month import business_date
from services.profiles import queries
from services.profiles.queries import AnyRow
from services.profiles.rules import account as rules
from services.profiles.rules.account import Answer, Outcome
from services.profiles.rules.form import Held, rows_of, word
from services.profiles.tables import account_checks, submissions

JOB = "check_account"
# An attempt that was made, and of which nothing was noted until then, was cut short and is made again.
NOTED_WITHIN = timedelta(minutes=20)
DUE_MAX = 500
AGAIN_MAX = 1000


def ask_for_checks(connection: Connection, record_id: UUID, name: str, accounts: Sequence[Mapping[str, Any]]) -> None:
    """Have the bank asked about a record's accounts as they are handed in; one that was asked about before is not again.

    Part of the submission, in its transaction. `name` is the record's own, which an account without a holder's name is held in.
    """
    now = datetime.now(UTC)
    for account in rules.to_ask(accounts):
        number, ifsc = rules.account_of(account)
        said: dict[str, Any] = {"holder_name": account.get("holder_name") or name, "handed_in_at": now}
        key = {"record_id": record_id, "row_id": str(account["row_id"]), "ifsc": ifsc, "account_number": number}
        new = {"check_id": uuid7(), "reference": uuid4(), "outcome": Outcome.ASKED.value, "attempts": 1, "tries": 1, "next_at": now + NOTED_WITHIN}
        made = postgresql.insert(account_checks).values(key | said | new).on_conflict_do_nothing(index_elements=list(key))
        if row := connection.execute(made.returning(account_checks)).one_or_none():
            _enqueue(connection, [row])
        else:
            _hand_in_again(connection, key, said)


def _hand_in_again(connection: Connection, key: dict[str, Any], said: dict[str, Any]) -> None:
    """The account is the same; the name that it is handed in with may not be. One that the bank never answered about is asked for anew."""
    is_it = [account_checks.c[name] == value for name, value in key.items()]
    held = connection.execute(select(account_checks).where(*is_it).with_for_update()).one()
    if held.name_at_bank and said["holder_name"] != held.holder_name:
        said = said | {"name_match": rules.name_match(said["holder_name"], held.name_at_bank)}
    if held.outcome == Outcome.UNKNOWN and held.next_at is None:
        said = said | {"next_at": said["handed_in_at"], "tries": 0}
    connection.execute(update(account_checks).where(*is_it).values(said))


def check_again(connection: Connection, caller: Caller, record_id: UUID, row_id: str, now: datetime) -> AnyRow:
    """Have the bank asked once more where it gave no answer or said no; while it is being asked, and where it said yes, nothing happens."""
    held = queries.check_in_sight(connection, caller, record_id, row_id)
    if held.outcome in {Outcome.ASKED, Outcome.VALID}:
        return held
    day = business_date(now)
    times = held.asked_times if held.asked_on == day else 0
    if times >= rules.ASKED_A_DAY_MAX:
        raise Exhausted("CHECKS_TOO_MANY", "Today the bank was asked {times} times about this account; ask tomorrow.", times=times, seconds=3600)
    values: dict[str, Any] = {"outcome": Outcome.ASKED.value, "tries": 0, "asked_on": day, "asked_times": times + 1}
    if held.outcome == Outcome.INVALID:  # Which is an answer: this is another question.
        values |= {"reference": uuid4()}
    connection.execute(update(account_checks).where(account_checks.c.check_id == held.check_id).values(values))
    row = _ask(connection, [held.check_id], now)[0]
    audit.changed(connection, caller, "account.check", record_id, row_id=row_id)
    return row


def ask_due(connection: Connection, now: datetime) -> int:
    """Ask again what is due: unanswered, still to come, or cut short. How many there were.

    What still waits for its turn, or is being asked right now, is neither. No more than DUE_MAX wait for their turn by this, lest what is
    handed in meanwhile wait behind them all.
    """
    key = cast(account_checks.c.check_id, Text) + "." + cast(account_checks.c.attempts, Text)
    waits = (jobs.c.name == JOB, jobs.c.done_at.is_(None))
    under_way = exists().where(*waits, jobs.c.key == key)
    room = DUE_MAX - connection.execute(select(func.count()).select_from(jobs).where(*waits)).scalar_one()
    due = select(account_checks.c.check_id).where(account_checks.c.next_at <= now, ~under_way).order_by(account_checks.c.next_at)
    return len(_ask(connection, connection.scalars(due.limit(max(room, 0)).with_for_update(skip_locked=True, of=account_checks)).all(), now))


def ask_all_again(connection: Connection, caller: Caller, after: UUID | None) -> tuple[int, UUID | None]:
    """Have the bank asked about the next page of what is unanswered; how many they are, and the last of them: None when there are no more.

    Each is met once a round, however soon it is unanswered again.
    """
    beyond = [account_checks.c.check_id > after] if after else []
    page = select(account_checks.c.check_id).where(queries.UNANSWERED, *beyond).order_by(account_checks.c.check_id).limit(AGAIN_MAX)
    check_ids = connection.scalars(page.with_for_update()).all()
    if not check_ids:
        return 0, None
    connection.execute(update(account_checks).where(among(account_checks.c.check_id, check_ids)).values(next_at=datetime.now(UTC), tries=0))
    audit.changed(connection, caller, "account.check_all", accounts=len(check_ids))
    return len(check_ids), check_ids[-1]


def _ask(connection: Connection, check_ids: Sequence[UUID], now: datetime) -> list[AnyRow]:
    """One more attempt for each, with a job of its own."""
    values = {"attempts": account_checks.c.attempts + 1, "tries": account_checks.c.tries + 1, "next_at": now + NOTED_WITHIN}
    changed = update(account_checks).where(among(account_checks.c.check_id, check_ids)).values(values)
    rows = list(connection.execute(changed.returning(account_checks)))
    _enqueue(connection, rows)
    return rows


def _enqueue(connection: Connection, rows: Sequence[AnyRow]) -> None:
    if rows:
        arguments = {f"{row.check_id}.{row.attempts}": {"check_id": str(row.check_id), "attempt": row.attempts} for row in rows}
        enqueue_all(connection, JOB, arguments)


def note_answer(connection: Connection, check_id: UUID, attempt: int, answer: Answer | None, now: datetime) -> AnyRow | None:
    """Keep what the bank said at this attempt, None where there is nobody to ask; None where a later attempt was made already."""
    held = queries.check_at(connection, check_id, attempt)
    if held is None:
        return None
    pause = rules.pause_seconds(held.tries) if answer else None
    values: dict[str, Any] = {"checked_at": now, "next_at": now + timedelta(seconds=pause) if pause else None}
    if answer is None:
        values |= {"outcome": Outcome.UNKNOWN.value, "reason": "NOBODY_TO_ASK"}
    elif answer.outcome is Outcome.ASKED and pause:
        values |= {"bank_reference": answer.reference, "reason": answer.reason}
    elif answer.outcome in {Outcome.ASKED, Outcome.UNKNOWN}:
        values |= {"outcome": Outcome.UNKNOWN.value, "bank_reference": answer.reference, "reason": answer.reason}
    else:
        ours = rules.name_match(held.holder_name, answer.name_at_bank)
        values |= {
            "outcome": answer.outcome.value,
            "reason": answer.reason,
            "bank_reference": "",
            "name_at_bank": answer.name_at_bank,
            "name_match": ours if answer.score is None else answer.score,
            "next_at": None,
        }
    still = (account_checks.c.check_id == check_id, account_checks.c.attempts == attempt)
    noted = connection.execute(update(account_checks).where(*still).values(values).returning(account_checks)).one_or_none()
    if noted is not None and rules.is_doubtful(noted.outcome, noted.name_match):
        waits = submissions.c.record_id == noted.record_id, submissions.c.status == Status.SUBMITTED
        connection.execute(update(submissions).where(*waits).values(open_questions=True))
    return noted


def has_doubtful_account(connection: Connection, record_id: UUID, content: Held) -> bool:
    """Whether the bank said no, or another name, of an account that stands in this content."""
    checks = queries.checks_of(connection, [record_id])
    of_its = (checks.get((record_id, word(one, "row_id"), word(one, "ifsc"), word(one, "account_number"))) for one in rows_of(content, "accounts"))
    return any(check is not None and rules.is_doubtful(check.outcome, check.name_match) for check in of_its)
