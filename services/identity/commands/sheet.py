"""The bookkeeper mapping sheet: many users, a row each."""

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import Connection, delete, text
from sqlalchemy.dialects import postgresql

from services.chassis.sheets import Row
from services.identity import queries
from services.identity.commands import message, session
from services.identity.commands import user as users
from services.identity.rules import assignment
from services.identity.rules import sheet as rules
from services.identity.rules.sheet import Block
from services.identity.rules.user import Here, User, is_user_id
from services.identity.tables import uploads
from services.kernel.caller import Caller
from services.kernel.errors import Invalid, Refused

PAGE = 500
PROGRESS_KEPT = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Answer:
    """What became of a row."""

    row: int
    user_id: str
    refused: Refused | None = None
    warnings: Sequence[Refused] = ()


class _Reading:
    """One sheet, row by row: `users` are those of its ids as they stand after the rows so far."""

    def __init__(self, block: Block, there: dict[str, User]) -> None:
        self._block = block
        self._seen: set[tuple[str, str]] = set()
        self.users = dict(there)

    def answer(self, row: Row) -> Answer:
        try:
            asked = rules.read(row.check().cells, self._block)
            key = (asked.user_id, asked.assignment.role)
            if key in self._seen:
                raise Invalid("USER_TWICE", "This user has a row for this role already; give her institutions in one.", field=rules.USER_ID)
            self._seen.add(key)
            self.users[asked.user_id] = rules.wanted(self.users.get(asked.user_id), asked, self._block)
        except Refused as refused:
            return Answer(row.number, "", refused)
        return Answer(row.number, asked.user_id, None, assignment.warnings([asked.assignment], self._block.here))


def upload(
    connection: Connection,
    caller: Caller,
    rows: Sequence[Row],
    here: Here,
    *,
    dry_run: bool,
    done: Callable[[int], None] = lambda _rows: None,
) -> list[Answer]:
    """Answer each row; the good ones are in, unless it is a dry run. `done` is told from time to time how many rows are."""
    block = Block(caller.region, here, queries.institutions_within(connection, caller.region))
    ids = {row.cells[rules.USER_ID] for row in rows if is_user_id(row.cells[rules.USER_ID])}
    # Read without a lock, which nobody has a right to on users of another block.
    there = queries.users_of(connection, ids)
    reading = _Reading(block, there)
    answers = [reading.answer(row) for row in rows]
    if dry_run:
        return answers
    changed = [user for user_id, user in reading.users.items() if user != there.get(user_id)]
    progress = _Progress(Counter(answer.user_id for answer in answers), done)
    progress.over({user.user_id for user in changed})
    held = queries.users_for_change(connection, {user.user_id for user in changed if user.user_id in there})
    taken = _make(connection, caller, [user for user in changed if user.user_id not in there], progress)
    taken |= {user_id for user_id, user in held.items() if user != there[user_id]}
    there |= held
    if taken:
        # Somebody made or changed these meanwhile: their rows are read once more.
        there |= queries.users_for_change(connection, taken)
        again = _Reading(block, {user_id: there[user_id] for user_id in taken})
        read = {row.number: again.answer(row) for row in rows if row.cells[rules.USER_ID] in taken}
        answers = [read.get(answer.row, answer) for answer in answers]
        reading.users |= again.users
    _map(connection, caller, [user for user_id, user in reading.users.items() if user_id in there and user != there[user_id]], progress)
    return answers


class _Progress:
    """Counts the rows that are done, by the users whom they are about, and tells of it."""

    def __init__(self, rows_of: Counter[str], done: Callable[[int], None]) -> None:
        self._rows_of = rows_of
        self._done = done
        self._rows = 0

    def over(self, to_write: Collection[str]) -> None:
        """All rows but those of users that are still to be written are done with."""
        self._count([user_id for user_id in self._rows_of if user_id not in to_write])

    def pages(self, users: Sequence[User]) -> Iterator[Sequence[User]]:
        for start in range(0, len(users), PAGE):
            page = users[start : start + PAGE]
            yield page
            self._count([user.user_id for user in page])

    def _count(self, user_ids: Iterable[str]) -> None:
        self._rows += sum(self._rows_of.pop(user_id, 0) for user_id in user_ids)
        self._done(self._rows)


def _make(connection: Connection, caller: Caller, new: Sequence[User], progress: _Progress) -> set[str]:
    """Make these users; the ids that somebody else has taken since."""
    # A connection that remembers the plan of a foreign key's check from when there was hardly a user would read all users for each role.
    connection.execute(text("set local plan_cache_mode = force_custom_plan"))
    taken = set()
    # In the order of their ids, so that of two sheets at once one waits for the other, and never each for each.
    for page in progress.pages(sorted(new, key=lambda user: user.user_id)):
        made = users.add_all(connection, caller, page)
        taken |= {user.user_id for user in page} - made
        message.post_all(connection, template="user_made", keys={user_id: users.made_key(user_id) for user_id in sorted(made)})
    return taken


def _map(connection: Connection, caller: Caller, changed: Sequence[User], progress: _Progress) -> None:
    for page in progress.pages(changed):
        users.change_all(connection, caller, "user.map", page)
        for user_id in queries.with_open_sessions(connection, [user.user_id for user in page]):
            session.stale(connection, user_id)


def note_progress(connection: Connection, caller: Caller, upload_id: UUID, rows: int, rows_done: int) -> None:
    """Keep how far an upload is; its own transaction, since the upload's is seen at its end alone."""
    statement = postgresql.insert(uploads).values(upload_id=upload_id, user_id=caller.user_id, rows=rows, rows_done=rows_done)
    stands = {"rows": statement.excluded.rows, "rows_done": statement.excluded.rows_done}
    hers = uploads.c.user_id == caller.user_id
    connection.execute(statement.on_conflict_do_update(index_elements=["upload_id"], set_=stands, where=hers))


def forget_progress(connection: Connection, before: datetime) -> None:
    connection.execute(delete(uploads).where(uploads.c.begun_at < before))
