"""How many meetings one process stores: python -m loadtests.bench_meetings [--seconds 3] [--members 12]

Through the command (fetch, decide, one statement, commit), and beside it the ceiling: the same statement and commit with
parameters made beforehand, through psycopg alone. Rounds of both alternate, so that what else the machine does hits both.
Needs an instance's settings: python3 -m deploy.machine with UP -- python -m loadtests.bench_meetings
"""

import argparse
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Any
from uuid import UUID

import psycopg
from sqlalchemy import text

from services.chassis import database
from services.kernel.caller import Caller, Role
from services.kernel.ids import uuid7
from services.kernel.policies import Policies
from services.transactions import queries
from services.transactions.commands import copies, sync
from services.transactions.rules.meeting import Attendance, Fine, Meeting, Repayment, Saving
from services.transactions.rules.record import admit

SERVICE = "transactions"
TODAY = date(2026, 10, 5)
ROUND_MEETINGS = 100
GROUPS = 20


@dataclass
class Group:
    """An SHG that saves, repays and is fined, so that a meeting of 12 members has about 35 lines."""

    members: int
    institution_id: UUID = field(default_factory=uuid7)
    number: int = 0
    cash_paise: int = 0

    def __post_init__(self) -> None:
        self.member_ids = [uuid7() for _ in range(self.members)]
        self.loan_ids = [uuid7() for _ in range(self.members // 2)]
        self.caller = Caller("IUP_BENCH", Role.SHG_BOOKKEEPER, "9", frozenset({self.institution_id}), "bench")

    def next_meeting(self) -> Meeting:
        self.number += 1
        saved = tuple(Saving(one, 50_00, 10_00) for one in self.member_ids)
        repaid = tuple(Repayment(one, 1, 1) for one in self.loan_ids)
        self.cash_paise += len(saved) * 60_00 + len(repaid) * 2 + 5_00
        attendance = tuple(Attendance(one, present=True) for one in self.member_ids)
        fines = (Fine(self.member_ids[0], 5_00),)
        key = (uuid7(), self.institution_id, 1, self.number, TODAY)
        return Meeting(*key, attendance, saved, repaid, (), fines, 0, 0, self.cash_paise, 0)


def prepare(groups: list[Group]) -> None:
    """Institutions and members as if profiles had told of them, and loans as if given earlier."""
    lend = text("insert into loans values (:loan, :institution, :member, :loan, 100000000, 100000000, 2400, 10)")
    with database.transaction(SERVICE) as connection:
        for group in groups:
            of = group.institution_id
            region = "9.178.1204.77.5"
            formed_on = TODAY - timedelta(days=365)
            copies.keep_institution(connection, of, 1, kind="SHG", region=region, status="ACTIVE", parent_id=None, formed_on=formed_on)
            for member_id in group.member_ids:
                copies.keep_member(connection, member_id, 1, institution_id=of, region=region, status="ACTIVE")
            for loan_id in group.loan_ids:
                connection.execute(lend, {"loan": loan_id, "institution": of, "member": group.member_ids[0]})


def clear(groups: list[Group]) -> None:
    """Take away what was stored; the audit stays, as it always does."""
    of = [group.institution_id for group in groups]
    with database.transaction(SERVICE) as connection:
        for table in ("institutions", "members", "chains", "meetings", "lines", "balances", "loans"):
            connection.execute(text(f"delete from {table} where institution_id = any(:of)"), {"of": of})  # noqa: S608 - our own names


def through_commands(groups: list[Group]) -> int:
    meetings = [(group, group.next_meeting()) for _ in range(ROUND_MEETINGS // GROUPS) for group in groups]
    return _timed(meetings, _store)


def _store(item: tuple[Group, Meeting]) -> None:
    group, meeting = item
    with database.transaction(SERVICE) as connection:
        sync.sync_meeting(connection, group.caller, meeting, Policies(), TODAY)


def ceiling(groups: list[Group], connection: psycopg.Connection[tuple[object, ...]]) -> int:
    """One meeting of each group at a time is made ready, then only these statements are timed."""
    spent = 0
    for _ in range(ROUND_MEETINGS // GROUPS):
        ready = []
        for group in groups:
            meeting = group.next_meeting()
            with database.transaction(SERVICE) as reader:
                books = queries.books(reader, meeting)
            posting = admit(meeting, books, group.caller, Policies(), TODAY)
            assert posting is not None
            ready.append(sync.parameters(group.caller, meeting, books, posting))

        def run(parameters: dict[str, object]) -> None:
            connection.execute(sync.STORE, parameters)
            connection.commit()

        spent += _timed(ready, run)
    return spent


def _timed(items: Sequence[Any], run: Callable[[Any], object]) -> int:
    started = time.perf_counter_ns()
    for item in items:
        run(item)
    return time.perf_counter_ns() - started


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m loadtests.bench_meetings", description=__doc__)
    parser.add_argument("--seconds", type=float, default=3.0, help="of measuring, both ways together")
    parser.add_argument("--members", type=int, default=12, help="of a group")
    given = parser.parse_args()
    groups = [Group(given.members) for _ in range(GROUPS)]
    ours, theirs, rounds = 0, 0, 0
    prepare(groups)
    address = database.engine(SERVICE).url.set(drivername="postgresql").render_as_string(hide_password=False)
    try:
        with psycopg.connect(address) as connection:
            through_commands(groups)
            ceiling(groups, connection)
            while ours + theirs < given.seconds * 1e9:
                ours += through_commands(groups)
                theirs += ceiling(groups, connection)
                rounds += 1
    finally:
        clear(groups)
    meetings = rounds * ROUND_MEETINGS * 1e9
    sys.stdout.write(
        f"bench-meetings meetings_per_second={meetings / ours:.0f} ceiling_per_second={meetings / theirs:.0f} ratio={theirs / ours:.2f}\n",
    )


if __name__ == "__main__":
    main()
