"""The bookkeeper mapping sheet: many users, a row each."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from sqlalchemy import Connection

from services.chassis.sheets import Row
from services.identity import queries
from services.identity.commands import password as passwords
from services.identity.commands import user as users
from services.identity.rules import sheet as rules
from services.identity.rules.user import User, check_password, is_user_id
from services.kernel.caller import Caller
from services.kernel.errors import Invalid, Refused
from services.kernel.geography import Geography


@dataclass(frozen=True, slots=True)
class Answer:
    """What became of a row."""

    row: int
    user_id: str
    refused: Refused | None = None


class _Upload:
    """One sheet on its way in: what was fetched for all rows, and whom the rows so far were about."""

    def __init__(self, connection: Connection, caller: Caller, user_ids: set[str], geography: Geography, *, dry_run: bool) -> None:
        self._connection = connection
        self._caller = caller
        self._geography = geography
        self._dry_run = dry_run
        self._known = rules.by_name(queries.institutions_within(connection, caller.region))
        self._users = queries.users_for_change(connection, user_ids)
        self._seen: set[str] = set()

    def answer(self, row: Row, prefix: str, today: date) -> Answer:
        """Every refusal comes before the row's first change, so a refused row leaves nothing behind."""
        try:
            wanted = rules.read(row.check().cells, self._caller.region, prefix, self._geography, self._known, today)
            if wanted.user_id in self._seen:
                raise Invalid("USER_TWICE", "This user has a row already; give her institutions in one.", field=rules.USER_ID)
            self._seen.add(wanted.user_id)
            self._take(wanted, row.cells[rules.PASSWORD])
        except Refused as refused:
            return Answer(row.number, "", refused)
        return Answer(row.number, wanted.user_id)

    def _take(self, wanted: User, password: str) -> None:
        user = self._users.get(wanted.user_id)
        if user is not None:
            remapped = rules.remap(user, wanted, self._caller.region)
            if remapped != user and not self._dry_run:
                users.change(self._connection, self._caller, "user.map", remapped)
            return
        if password:
            check_password(password, wanted.user_id, rules.PASSWORD)
        if not self._dry_run:
            # Without a password nobody logs in as her until she is given one. A hash takes its time: only a new user gets one.
            users.add(self._connection, self._caller, wanted, passwords.hashed(password) if password else "")


def upload(
    connection: Connection,
    caller: Caller,
    rows: Sequence[Row],
    geography: Geography,
    prefix: str,
    today: date,
    *,
    dry_run: bool,
) -> list[Answer]:
    """Answer each row; the good ones are in, unless it is a dry run."""
    ids = {row.cells[rules.USER_ID] for row in rows if is_user_id(row.cells[rules.USER_ID])}
    sheet = _Upload(connection, caller, ids, geography, dry_run=dry_run)
    return [sheet.answer(row, prefix, today) for row in rows]
