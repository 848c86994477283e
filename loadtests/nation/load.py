"""Into an instance's schemas, each as its own role: what may be loaded over, what is dropped for the while and made again, and what is noted.

A load is noted in each schema's audit: `synthetic.begin` in the transaction that drops what slows a load, with the statements that
make it again, and `synthetic.end` when all is done. So whoever finds a begin without an end knows what to mend.
"""

import importlib
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, astuple, dataclass
from datetime import UTC, date, datetime
from typing import Any
from uuid import UUID

import psycopg
from psycopg import sql
from psycopg.types.json import Jsonb
from sqlalchemy import Connection, func, insert, text, update

from loadtests.nation.plan import Plan
from loadtests.nation.rows import MARK, Made, Rows, Waits, waiting_contribution
from services.chassis import audit, database
from services.dedup import queries as dedup_queries
from services.dedup import tables as dedup_tables
from services.dedup.rules import Override, Verdict
from services.identity.tables import OF_USERS
from services.kernel.caller import OPERATOR
from services.profiles import tables as profiles_tables
from services.reporting import commands as reporting_commands
from services.reporting.rules import Cells
from services.transactions.commands import upkeep

SERVICES = ("identity", "profiles", "transactions", "dedup", "reporting")
SCREENED_AT_ONCE = 500
LOADS = "lokos-load-"  # How the connections of a load are called, so that a second one knows of it.
FILLED = {"list_values", "lists_version"}
BEGIN, END, CLEAR = "synthetic.begin", "synthetic.end", "synthetic.clear"


class Refused(Exception):  # noqa: N818 - as the services call theirs
    """Something that the operator can put right; the message says how."""


def address(env: Mapping[str, str], service: str) -> str:
    return env[f"{service.upper()}_DATABASE_URL"].replace("postgresql+psycopg://", "postgresql://", 1)


@contextmanager
def connections(env: Mapping[str, str]) -> Iterator[dict[str, psycopg.Connection[Any]]]:
    """A connection a service, as its own role, for bulk work: a commit need not wait for the disk, since a load cut short begins anew."""
    with ExitStack() as stack:
        made = {}
        for service in SERVICES:
            made[service] = stack.enter_context(psycopg.connect(address(env, service), application_name=LOADS + service))
            made[service].autocommit = True
            for setting in ("synchronous_commit = off", "maintenance_work_mem = '512MB'", "jit = off"):
                made[service].execute(f"set {setting}")
        yield made


def copy(connection: psycopg.Connection[Any], rows: Rows) -> None:
    columns = sql.SQL(", ").join(map(sql.Identifier, rows.columns))
    statement = sql.SQL("copy {} ({}) from stdin").format(sql.Identifier(rows.table), columns)
    with connection.cursor() as cursor, cursor.copy(statement) as stream:
        for row in rows.rows:
            stream.write_row(row)


# --- What stands in the schemas.


def tables(service: str) -> list[str]:
    """The tables of the service itself: what the chassis keeps is not loaded, nor what a migration has filled."""
    return [table.name for table in importlib.import_module(f"services.{service}.tables").metadata.sorted_tables if table.name not in FILLED]


@dataclass(frozen=True, slots=True)
class Noted:
    """The last that a schema's audit says of a load."""

    action: str
    facts: dict[str, Any]


def noted(connection: psycopg.Connection[Any]) -> Noted:
    asked = "select action, facts from audit where action = any(%s) order by id desc limit 1"
    found = connection.execute(asked, [[BEGIN, END, CLEAR]]).fetchone()
    return Noted(*found) if found else Noted(CLEAR, {})


def _others(connection: psycopg.Connection[Any]) -> int:
    """How many institutions somebody else made."""
    found = connection.execute("select count(*) from institutions where source <> %s", [MARK]).fetchone()
    return int(found[0]) if found else 0


def standing(open_to: Mapping[str, psycopg.Connection[Any]], code: str) -> tuple[str, dict[str, Any]]:
    """EMPTY, CUT_SHORT or LOADED, and the facts of the load; Refused where somebody else's institutions stand there."""
    if others := _others(open_to["profiles"]):
        words = "holds an institution that was not made here" if others == 1 else f"holds {others} institutions that were not made here"
        raise Refused(
            f"{code} {words}. Synthetic members belong into an instance of their own: set LOKOS_RUN to a new folder, or choose another state."
        )
    notes = [noted(connection) for connection in open_to.values()]
    sessions = "select count(*) from pg_stat_activity where usename = current_user and application_name = %s and pid <> pg_backend_pid()"
    if open_to["profiles"].execute(sessions, [f"{LOADS}profiles"]).fetchone() != (0,):
        raise Refused(f"Another load of {code} is under way, or has just been ended; wait for it.")
    if any(note.action == BEGIN for note in notes):
        return "CUT_SHORT", {}
    ended = [note.facts for note in notes if note.action == END]
    if len(ended) == len(notes):
        return "LOADED", noted(open_to["profiles"]).facts
    return ("CUT_SHORT", {}) if ended else ("EMPTY", {})


# An index of a partitioned table is told as its own ONLY, and would be made again without those of the partitions.
_DROPPED = """
select format('alter table %%I drop constraint %%I', t.relname, c.conname),
    format('alter table %%I add constraint %%I %%s', t.relname, c.conname, pg_get_constraintdef(c.oid)), c.contype = 'f'
from pg_constraint c join pg_class t on t.oid = c.conrelid
where t.relnamespace = current_schema()::regnamespace and t.relname = any(%(tables)s) and c.contype in ('u', 'f')
union all
select format('drop index %%I', i.relname), replace(pg_get_indexdef(i.oid), ' ON ONLY ', ' ON '), false
from pg_index x join pg_class i on i.oid = x.indexrelid join pg_class t on t.oid = x.indrelid
where t.relnamespace = current_schema()::regnamespace and t.relname = any(%(tables)s) and not x.indisprimary
    and not exists (select from pg_constraint c where c.conindid = i.oid)
"""


def begin(connection: psycopg.Connection[Any], service: str, facts: Mapping[str, Any]) -> None:
    """Drop what slows the load, keys apart, and note how to make it again."""
    with connection.transaction():
        found = connection.execute(_DROPPED, {"tables": tables(service)}).fetchall()
        # Foreign keys lean on what is unique: they go first and come last.
        found.sort(key=lambda one: not one[2])
        for drop, _, _ in found:
            connection.execute(drop)
        _note(connection, BEGIN, {**facts, "make_again": [make for _, make, _ in reversed(found)]})


def make_again(connection: psycopg.Connection[Any]) -> None:
    """Whatever was dropped is there again, and the note says so."""
    with connection.transaction():
        facts = noted(connection).facts
        for make in facts.pop("make_again"):
            connection.execute(make)
        _note(connection, BEGIN, {**facts, "make_again": []})


def end(connection: psycopg.Connection[Any], facts: Mapping[str, Any]) -> None:
    """Note that the load is whole."""
    _note(connection, END, facts)


def clear(open_to: Mapping[str, psycopg.Connection[Any]]) -> None:
    """Take a load away, whole or cut short; of users only those that were made here."""
    for service, connection in open_to.items():
        with connection.transaction():
            note = noted(connection)
            emptied = [table for table in tables(service) if service != "identity" or table == "institutions"]
            if service == "identity":
                for table in (one.name for one in OF_USERS):
                    connection.execute(sql.SQL("delete from {} where user_id like %s").format(sql.Identifier(table)), [f"____{MARK}%"])
            connection.execute(sql.SQL("truncate {}").format(sql.SQL(", ").join(map(sql.Identifier, emptied))))
            if note.action == BEGIN:
                for make in note.facts["make_again"]:
                    connection.execute(make)
            if note.action != CLEAR:
                _note(connection, CLEAR, {})


def _note(connection: psycopg.Connection[Any], action: str, facts: Mapping[str, Any]) -> None:
    row = audit.row(OPERATOR, action, [], dict(facts))
    row |= {"subjects": Jsonb(row["subjects"]), "facts": Jsonb(row["facts"])}
    names = sql.SQL(", ").join(map(sql.Identifier, row))
    values = sql.SQL(", ").join(map(sql.Placeholder, row))
    connection.execute(sql.SQL("insert into audit ({}) values ({})").format(names, values), row)


# --- Beside the rows.


def make_partitions(months: Iterable[date]) -> None:
    """The years of the load apart from each other, as the service keeps years apart."""
    for month in months:
        with database.transaction("transactions") as connection:
            upkeep.make_partitions(connection, month)


def move_serials(open_to: Mapping[str, psycopg.Connection[Any]], plan: Plan) -> None:
    """Past every code that was given, and never back."""
    last = plan.blocks[-1]
    given = {
        "member": plan.inputs.members,
        "shg": last.first_shg + len(last.shg_sizes) - 1,
        "vo": last.first_vo + len(last.vo_gps) - 1,
        "clf": last.first_clf + last.clfs - 1,
    }
    for kind, serial in given.items():
        if serial:
            of_kind = sql.Identifier(f"{kind}_serial")
            greatest = "select setval({}, greatest(%s, (select last_value from {})))"
            open_to["profiles"].execute(sql.SQL(greatest).format(sql.Literal(f"{kind}_serial"), of_kind), [serial])


def mark_heard(open_to: Mapping[str, psycopg.Connection[Any]]) -> None:
    """Every meeting that was loaded is in the figures: told again, it must not be added again."""
    heard = (
        "insert into inbox_pruned (source, through, before) values ('transactions', 0, %s)"
        " on conflict (source) do update set before = greatest(inbox_pruned.before, excluded.before)"
    )
    open_to["reporting"].execute(heard, [datetime.now(UTC)])


def analyze(open_to: Mapping[str, psycopg.Connection[Any]]) -> None:
    for service, connection in open_to.items():
        connection.execute(sql.SQL("analyze {}").format(sql.SQL(", ").join(map(sql.Identifier, tables(service)))))


# --- What a process of its own does.

_ANY_WAIT = text("set local lock_timeout = 0")  # Another block may be adding to the state's own figures.


def load_block(env: Mapping[str, str], made: Made) -> int:
    """Copy a block into all schemas; returns how many rows."""
    count = 0
    with connections(env) as open_to:
        for rows in made.everything():
            copy(open_to[rows.service], rows)
            count += len(rows.rows)
    add_figures(made.figures)
    with database.transaction("reporting") as connection:
        connection.execute(_ANY_WAIT)
        reporting_commands.add_dues(connection, made.aged)
    return count


def add_figures(figures: Mapping[str, Cells]) -> None:
    """Into the figures of every level, as reporting adds them."""
    for source, cells in figures.items():
        if cells:
            with database.transaction("reporting") as connection:
                connection.execute(_ANY_WAIT)
                reporting_commands.add(connection, source, cells, datetime.now(UTC))


def screen(waiting: Sequence[Waits]) -> dict[str, int]:
    """Give pending members the screening that dedup gives them now, in all services that hold it; returns how many of each verdict."""
    verdicts: dict[str, int] = {}
    figures: Cells = Cells()
    rows: list[tuple[Any, ...]] = []
    with (
        database.transaction("dedup") as dedup,
        database.transaction("profiles") as profiles,
        database.transaction("reporting") as reporting,
    ):
        for waits in waiting:
            verdict = _screen_one(dedup, profiles, waits)
            verdicts[verdict] = verdicts.get(verdict, 0) + 1
            row, cells = waiting_contribution(waits, verdict)
            rows.append(row)
            figures.update(cells)
        reporting.execute(
            text(
                "insert into contributions (subject, version, occurred_at, cells, tallied_in)"
                " values (:subject, :version, :moment, cast(:cells as jsonb), :block)"
            ),
            [dict(zip(("subject", "version", "moment", "cells", "block"), row, strict=True)) for row in rows],
        )
    add_figures({"profiles": figures})
    return verdicts


def _screen_one(dedup: Connection, profiles: Connection, waits: Waits) -> str:
    held = dedup_queries.held(dedup, [waits.member_id])[waits.member_id]
    found = dedup_queries.screen(dedup, held[-1].person, dedup_queries.yardstick(dedup))
    of_member = {"member_id": found.member_id, "version": 1, "revision": found.revision}
    dedup.execute(insert(dedup_tables.screenings).values(**of_member, region=found.region, verdict=found.verdict))
    if found.matches:
        matches = [{**of_member, **asdict(match), "clues": [astuple(clue) for clue in match.clues]} for match in found.matches]
        dedup.execute(insert(dedup_tables.matches), matches)
        shown = [
            {
                "member_id": found.member_id,
                "member_revision": found.revision,
                "finding_id": str(match.finding_id),
                "verdict": match.verdict.value,
                "other_member_id": match.other_id,
                "override": match.override.value,
                "clues": [clue.words for clue in match.clues],
                "clue_codes": [clue.code for clue in match.clues],
                "clue_weights": [clue.weight_centibits for clue in match.clues],
                "weight_centibits": match.weight_centibits,
            }
            for match in found.matches
        ]
        profiles.execute(insert(profiles_tables.findings), shown)
        _contest(dedup, waits.member_id, [match.other_id for match in found.matches if match.verdict is Verdict.CONFIRMED])
    submissions = profiles_tables.submissions
    noted = {"verdict": found.verdict.value, "screening_version": 1, "open_questions": found.verdict is not Verdict.CLEAR or waits.warned}
    noted["for_supervisor"] = any(match.override is Override.SUPERVISOR for match in found.matches)
    profiles.execute(update(submissions).where(submissions.c.record_id == waits.member_id).values(noted))
    return found.verdict.value


def _contest(dedup: Connection, member_id: UUID, others: Sequence[UUID]) -> None:
    """An active member of whom a pending one is proved to be the double is contested."""
    people, contested = dedup_tables.people, dedup_tables.contested
    active = people.select().with_only_columns(people.c.member_id).where(people.c.member_id.in_(others), people.c.status == "ACTIVE")
    for other in dedup.execute(active).scalars().all():
        dedup.execute(insert(contested).values(member_id=other, other_id=member_id, since=func.now()))


def use(env: Mapping[str, str]) -> None:
    """Make this process one of the instance's from here on."""
    os.environ.update(env)
