"""How many profiles one process takes in and lets in, and how long a checker waits for My Task: python -m loadtests.bench_profiles --state UP

Twice, first with a hundredth of the members (loadtests.nation) and then with a hundred such states beside each other, which differ in
their ids, codes and places: submissions of whole profiles and approvals over gRPC, against one `serve` process of profiles alone; the
first page of My Task of a block where few wait, and of one where very many do. Beside it the ceiling: the rows of a submission,
inserted by pgbench in one statement, as durably. It fails where the page of the many is slower than the gate with all present.
It needs a machine of its own, as `make bench-profiles` makes it: what is in the state is taken away afterwards.
"""

import argparse
import os
import random
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import cycle
from pathlib import Path
from typing import Any
from uuid import UUID

import grpc
import numpy as np
import psycopg
from google.protobuf import json_format
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict
from psycopg.rows import dict_row
from psycopg.types.json import Jsonb
from rich.progress import track

from deploy.machine import Machine, MachineError
from deploy.machine.setup import postgres_programs
from loadtests.bench_login import one_serve_process
from loadtests.journeys import new_member
from loadtests.nation import load, people
from loadtests.nation.__main__ import CRORE, LAKH, members, said
from loadtests.nation.rows import MARK, Rows
from protos import dedup_pb2, profiles_pb2, profiles_pb2_grpc
from services.chassis import database, settings, tokens
from services.kernel.caller import Caller, Role
from services.kernel.ids import uuid7
from services.kernel.region import Level, at_level
from services.profiles import tables as profiles_tables
from services.profiles.commands import record
from services.profiles.commands.member import note_screening
from services.profiles.queries import MEMBER

SERVICE = "profiles"
AT_ONCE = 16
SHGS = 20
SUBMISSIONS_A_SECOND = 400  # More than any process takes.
FEW, MANY = 200, 2 * LAKH  # Waiting rows of a block.
PAGES, PAGE_TASKS = 1000, 25
PAGES_BEFORE = 50  # Not counted.
START_SECONDS_MAX = 60
SMALLER, MEMBERS_MIN = 100, 100
RATIO_MAX = 1.5  # Of My Task's first page, crore over lakh.


@dataclass(frozen=True, slots=True)
class Measured:
    """With so many members present; pages in milliseconds."""

    submit_per_second: float
    ceiling_per_second: float
    approve_per_second: float
    page_p99_few: float
    page_p99_many: float


def measure(seconds: float) -> Measured:
    """In the instance whose settings the process has."""
    with database.reading(SERVICE) as connection:
        asked = "select id, region from institutions where kind = 'SHG' and status = 'ACTIVE' order by id limit %s"
        shgs = connection.exec_driver_sql(asked, (SHGS,)).all()
    block = at_level(shgs[0].region, Level.BLOCK)
    shgs = [shg for shg in shgs if at_level(shg.region, Level.BLOCK) == block]
    prefix = settings.state().user_prefix
    keeper = Caller(f"{prefix}BENCHKEEPER", Role.SHG_BOOKKEEPER, block, frozenset(shg.id for shg in shgs), "bench keeper")
    checker = Caller(f"{prefix}BENCHCHECKER", Role.BLOCK_PROGRAM_MANAGER, block, person="bench checker")
    crowded = [f"{at_level(block, Level.DISTRICT)}.{code}" for code in (999_998, 999_999)]
    for region, count in zip(crowded, (FEW, MANY), strict=True):
        _wait(region, count, shgs[0].id, keeper)
    credentials = grpc.ssl_channel_credentials(settings.file("LOKOS_TLS_CA_FILE").read_bytes())
    with one_serve_process(SERVICE) as (address, _), grpc.secure_channel(address, credentials) as channel:
        grpc.channel_ready_future(channel).result(START_SECONDS_MAX)
        stub = profiles_pb2_grpc.ProfilesServiceStub(channel)
        requests = list(_submissions([str(shg.id) for shg in shgs], int(seconds * SUBMISSIONS_A_SECOND)))
        submitted = _together(requests, _call(stub.SubmitMember, keeper), seconds)
        ceiling = _ceiling(submitted[-1].member.member_id, seconds)
        _screen(submitted)
        approvals = [profiles_pb2.ApproveMemberRequest(member_id=one.member.member_id, revision=1) for one in submitted]
        begun = time.perf_counter()
        approved = _together(approvals, _call(stub.ApproveMember, checker), seconds)
        approving = min(seconds, time.perf_counter() - begun)
        few, many = _pages(stub, [Caller(checker.user_id, checker.role, region) for region in crowded])
    return Measured(len(submitted) / seconds, ceiling, len(approved) / approving, few, many)


def _wait(block: str, count: int, institution_id: UUID, maker: Caller) -> None:
    """So many new members of a block, who wait for its checker since some time in the last sixty days."""
    dice, now = np.random.default_rng(count), datetime.now(UTC)
    moments = np.sort(dice.integers(0, 60 * 86_400_000, count)) + int((now - timedelta(days=60)).timestamp() * 1000)
    ids = people.uuid7s(dice, moments.astype(np.int64))
    region = f"{block}.999999.999999"
    example = new_member(str(institution_id), random.Random(count))  # noqa: S311 - no secret
    content = json_format.MessageToDict(example, preserving_proto_field_name=True)
    for name in ("member_id", "revision"):
        del content[name]
    said_of_all = record.waiting_row(uuid7(), MEMBER, institution_id, region, content) | {"content": Jsonb(content)}
    del said_of_all["record_id"]
    waits = {"act": "PROFILE", "revision": 1, "status": "SUBMITTED", "maker_user": maker.user_id, "maker_person": maker.person}
    waits |= {"open_questions": False, "verdict": "CLEAR", "screening_version": 1}
    of_all = (*said_of_all.values(), *waits.values())
    columns = ("id", "version", "revision", "status", "institution_id", "region", "submitted_version", "source", "entered_on")
    values = (2, 0, "SUBMITTED", institution_id, region, 1, MARK, now.date())
    with load.connections(os.environ) as open_to:
        load.copy(open_to[SERVICE], Rows(SERVICE, "members", columns, [(one, *values) for one in ids]))
        names = ("record_id", "submitted_at", *said_of_all, *waits)
        since = (datetime.fromtimestamp(one / 1000, UTC) for one in moments.tolist())
        rows = [(one, at, *of_all) for one, at in zip(ids, since, strict=True)]
        load.copy(open_to[SERVICE], Rows(SERVICE, "submissions", names, rows))
        for table in ("members", "submissions"):
            open_to[SERVICE].execute(sql.SQL("analyze {}").format(sql.Identifier(table)))


def _submissions(shg_ids: Sequence[str], count: int) -> Iterator[profiles_pb2.SubmitMemberRequest]:
    """Whole profiles, with a phone and an account."""
    dice = random.Random()  # noqa: S311 - no secret
    for shg_id, number in zip(cycle(shg_ids), range(count), strict=False):
        member = new_member(shg_id, dice)
        member.phones.add(row_id=str(uuid7()), number=f"6{number:09}", owner="SELF", is_default="YES")
        account = {"ifsc": f"{people.IFSC}000000", "account_number": str(10**11 + number), "holding": "SINGLE"}
        member.accounts.add(row_id=str(uuid7()), is_default="YES", **account)
        yield profiles_pb2.SubmitMemberRequest(member=member)


def _call(method: Any, caller: Caller) -> Callable[[Any], object]:  # noqa: ANN401 - a stub's method, and its request
    metadata = (("authorization", f"Bearer {tokens.sign_caller(caller)[0]}"),)
    return lambda request: method(request, metadata=metadata, timeout=60)


def _together(requests: Sequence[Any], call: Callable[[Any], object], seconds: float) -> list[Any]:
    """Those that were answered in that time, AT_ONCE at a time; what refuses ends the bench."""
    waiting, ends = iter(requests), time.perf_counter() + seconds

    def work() -> list[Any]:
        done = []
        while time.perf_counter() < ends and (one := next(waiting, None)) is not None:
            call(one)
            done.append(one)
        return done

    with ThreadPoolExecutor(AT_ONCE) as pool:
        return [one for future in [pool.submit(work) for _ in range(AT_ONCE)] for one in future.result()]


def _screen(submitted: Sequence[Any]) -> None:
    """What the duplicate check says of each: nothing."""
    for one in track(submitted, "screened", transient=True):
        screened = dedup_pb2.MemberScreened(member_id=one.member.member_id, revision=1, verdict=dedup_pb2.VERDICT_CLEAR)
        with database.transaction(SERVICE) as connection:
            note_screening(connection, 1, screened)


def _pages(stub: profiles_pb2_grpc.ProfilesServiceStub, checkers: Sequence[Caller]) -> list[float]:
    """The p99 of each checker's first page, in milliseconds; they ask in turn, so that what else the machine does hits each alike."""
    calls = [_call(stub.ListTasks, checker) for checker in checkers]
    took: list[list[float]] = [[] for _ in calls]
    for number in track(range(PAGES_BEFORE + PAGES), "pages of My Task", transient=True):
        for call, times in zip(calls, took, strict=True):
            begun = time.perf_counter()
            answer: Any = call(profiles_pb2.ListTasksRequest())
            if number >= PAGES_BEFORE:
                times.append((time.perf_counter() - begun) * 1000)
            if len(answer.tasks) != PAGE_TASKS:
                raise SystemExit(f"A page of My Task has {len(answer.tasks)} rows.")
    return [float(np.percentile(times, 99)) for times in took]


# --- The ceiling.

_ROWS = {
    "members": "id = %(id)s::uuid",
    "submissions": "record_id = %(id)s::uuid",
    "account_checks": "record_id = %(id)s::uuid",
    "audit": "action = 'member.submit' and subjects ? %(id)s",
    "outbox": "subject = %(id)s",
    "jobs": "name = 'check_account' and arguments ->> 'check_id' in (select check_id::text from account_checks where record_id = %(id)s::uuid)",
}
_MILLISECONDS = "lpad(to_hex((extract(epoch from clock_timestamp()) * 1000)::bigint), 12, '0')"
_UUID7 = f"({_MILLISECONDS} || '7' || right(replace(gen_random_uuid()::text, '-', ''), 19))"


def _ceiling(member_id: str, seconds: float) -> float:
    """Submissions a second, if all that they took were their rows: those of one that was made here, under new ids."""
    address = load.address(os.environ, SERVICE)
    with psycopg.connect(address, row_factory=dict_row) as connection, tempfile.TemporaryDirectory() as folder:
        rows = [
            (table, row)
            for table, which in _ROWS.items()
            for row in connection.execute(f"select * from {table} where {which}", {"id": member_id}).fetchall()  # noqa: S608 - our own names
        ]
        check_id = str(next(row["check_id"] for table, row in rows if table == "account_checks"))
        ids = {member_id: "new.id", check_id: "new.check_id"}
        ids |= {str(row["event_id"]): "gen_random_uuid()::text" for table, row in rows if table == "outbox"}
        inserts = ", ".join(f"row{number} as ({_insert(table, row, ids, connection)})" for number, (table, row) in enumerate(rows))
        script = Path(folder) / "submission.sql"
        script.write_text(f"with new as materialized (select {_UUID7} as id, {_UUID7} as check_id), {inserts} select;\n", encoding="utf-8")
        return _pgbench(script, address, seconds)


def _insert(table: str, row: dict[str, Any], ids: dict[str, str], connection: psycopg.Connection[Any]) -> str:
    """The same row again, under new ids; the database counts by itself."""
    values = {}
    for name, value in row.items():
        if name != "id" or table == "members":
            given = Jsonb(value) if isinstance(value, dict) or (isinstance(value, list) and name == "subjects") else value
            written = f"'{given}'::uuid" if isinstance(given, UUID) else sql.Literal(given).as_string(connection)
            plain, _, kind = written.rpartition("::") if "::" in written else (written, "", "")
            for old, new in ids.items():
                if old in plain:
                    plain = f"replace({plain}, '{old}', {new})"
            values[name] = f"{plain}::{kind}" if kind else plain
    return f"insert into {table} ({', '.join(values)}) select {', '.join(values.values())} from new"  # noqa: S608 - our own names and rows


def _pgbench(script: Path, address: str, seconds: float) -> float:
    programs = postgres_programs()
    if programs is None or not (programs / "pgbench").exists():
        raise MachineError("This machine's PostgreSQL has no pgbench, by which the ceiling is measured; Debian's has it.")
    words = [str(programs / "pgbench"), "--no-vacuum", f"--file={script}", f"--client={AT_ONCE}", f"--time={max(1, round(seconds))}"]
    names = {"host": "PGHOST", "port": "PGPORT", "user": "PGUSER", "password": "PGPASSWORD", "dbname": "PGDATABASE", "options": "PGOPTIONS"}
    env = os.environ | {names[name]: str(value) for name, value in conninfo_to_dict(address).items() if name in names}
    done = subprocess.run(words, env=env, capture_output=True, text=True, check=False)  # noqa: S603 - PostgreSQL's own
    found = re.search(r"tps = ([0-9.]+)", done.stdout)
    if done.returncode or not found:
        raise MachineError(f"pgbench ended with {done.returncode}: {done.stderr[-2000:]}")
    return float(found[1])


# --- The state, with so many members.


def _nation(state: str, *words: str) -> None:
    done = subprocess.run([sys.executable, "-m", "loadtests.nation", "--state", state, *words], check=False)  # noqa: S603 - our own
    if done.returncode:
        raise MachineError("The members could not be made; what stands above says why.")


def _differing(number: int) -> dict[str, dict[str, str]]:
    """Of what a load brings, what differs in each copy: ids, of the same age; places, in a district of its own; codes. Seats are left empty."""

    def new(name: str) -> str:
        return f"(left({name}::text, 15) || regexp_replace(md5({name} || '-{number}'), '^(...)(...)(.{{12}}).*', '\\1-a\\2-\\3'))::uuid"

    def moved(name: str) -> str:
        return f"regexp_replace({name}, '^([^.]+)[.][^.]+', '\\1.{800_000 + number}')"

    of_member = {"institution_id": new("institution_id"), "region": moved("region")}
    of_member["content"] = f"content || jsonb_build_object('institution_id', {new('institution_id')})"
    of_institution = {name: new(name) for name in ("id", "parent_id")} | {"region": moved("region")}
    parts = ", ".join(f"'{name}', {value}" for name, value in of_institution.items() if name != "id")
    of_institution["content"] = f"(content - 'seats') || jsonb_strip_nulls(jsonb_build_object({parts}))"
    code = {"code": f"code || '-{number}'"}
    return {
        "institutions": of_institution | code,
        "mappings": {name: new(name) for name in ("child_id", "parent_id")},
        "members": of_member | code | {"id": new("id")},
        "submissions": of_member | {"record_id": new("record_id")} | {name: moved(name) for name in ("block", "gp")},
    }


def _copy_members(times: int) -> None:
    """So many states in one, as far as profiles sees: making each anew would take a night, and the rows would look no different."""
    with load.connections(os.environ) as open_to:
        profiles = open_to[SERVICE]
        facts = load.noted(profiles).facts
        load.begin(profiles, SERVICE, facts)
        for name in _differing(0):
            profiles.execute(f"create temporary table one_{name} as table {name}")
        for number in track(range(1, times), "copies of the state", transient=True):
            with profiles.transaction():
                for name, differing in _differing(number).items():
                    columns = profiles_tables.metadata.tables[name].columns.keys()
                    values = (differing.get(column, column) for column in columns)
                    profiles.execute(f"insert into {name} ({', '.join(columns)}) select {', '.join(values)} from one_{name}")  # noqa: S608 - our own
        load.make_again(profiles)
        load.end(profiles, facts)


def _settle() -> None:
    """What PostgreSQL would do by itself after a load, and would do while it is measured."""
    with load.connections(os.environ) as open_to:
        for name in _differing(0):
            open_to[SERVICE].execute(f"vacuum (analyze) {name}")


def _clear(state: str) -> None:
    """The members, and what was to be told and done about them, which nobody here waits for."""
    _nation(state, "--clear")
    with database.transaction(SERVICE) as connection:
        connection.exec_driver_sql("delete from outbox where sent_at is null")
        connection.exec_driver_sql("delete from jobs where name = 'check_account'")


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m loadtests.bench_profiles", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--state", default="UP", help="which of this machine's states (UP)")
    parser.add_argument("--members", type=members, default=CRORE, help="in the larger of the two loads (1crore), from 10000 on")
    parser.add_argument("--seconds", type=float, default=10.0, help="of each measuring but the pages' (10)")
    given = parser.parse_args()
    if given.members // SMALLER < MEMBERS_MIN:
        parser.error(f"the smaller load is a {SMALLER}th of --members, and needs {MEMBERS_MIN}")
    try:
        machine = Machine.from_environment()
        if given.state not in machine.instances:
            raise MachineError(f"There is no state {given.state} on this machine.")
        load.use(machine.instances[given.state].env)
        measured = []
        for count in (given.members // SMALLER, given.members):
            _clear(given.state)
            _nation(given.state, "--members", str(given.members // SMALLER), "--months", "0", "--no-check")
            if count > given.members // SMALLER:
                _copy_members(SMALLER)
            _settle()
            measured.append(one := measure(given.seconds))
            sys.stdout.write(
                f"with {said(count)} members: {one.submit_per_second:.0f} submissions a second (rows alone: {one.ceiling_per_second:.0f}), "
                f"{one.approve_per_second:.0f} approvals; p99 of My Task's first page {one.page_p99_few:.1f} ms where {FEW} wait, "
                f"{one.page_p99_many:.1f} ms where {said(MANY)} do\n"
            )
        _clear(given.state)
    except MachineError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    lakh, crore = measured
    sys.stdout.write(
        f"bench-profiles submit_per_second={crore.submit_per_second:.0f} approve_per_second={crore.approve_per_second:.0f} "
        f"task_page_p99_ratio={crore.page_p99_many / lakh.page_p99_many:.2f}\n"
    )
    if crore.page_p99_many / lakh.page_p99_many > RATIO_MAX:
        sys.stderr.write(f"My Task's first page is more than {RATIO_MAX} times as slow with {said(given.members)} members.\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
