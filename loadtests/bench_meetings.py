"""How many meetings one state stores a second, how many bytes each takes, and how it holds a steady rate: python -m loadtests.bench_meetings

First at a rate: meetings of 12 members and 35 lines submitted one by one through SyncMeetings over TLS, approved in bulk by the VO's
approver, told to reporting, while passbooks are read; latency counts from when a call was due. Then as fast as it goes: four of a group
in a call as after a time offline, and one in a call; beside them, in turns, the ceiling: pgbench runs the very statement that stores a
meeting, with its values in it, as durably, with 1, 2, 4 and 8 connections, of which the best counts. It ends with 1 where a gate is
missed. It needs a machine of its own, as `make bench-meetings` makes it: the groups that it makes stay in it.
"""

import argparse
import asyncio
import os
import random
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from itertools import cycle
from pathlib import Path
from typing import Any, LiteralString
from uuid import UUID

import grpc
import numpy as np
import psycopg
from psycopg import ClientCursor
from psycopg.conninfo import conninfo_to_dict
from rich.progress import track

from deploy.machine import Machine, MachineError
from deploy.machine.setup import postgres_programs
from protos import transactions_pb2 as pb
from protos.transactions_pb2_grpc import TransactionsServiceStub
from services.chassis import database, settings, tokens
from services.kernel.caller import Caller, Role
from services.kernel.canonical import Content, content_hash
from services.kernel.ids import uuid7
from services.kernel.month import today
from services.transactions import queries
from services.transactions.commands import sync
from services.transactions.rules.record import APPROVALS_MAX, admit_all
from services.transactions.servicer.reading import read_upload

SERVICE = "transactions"
MEMBERS, LOANS = 12, 5
VOS = 40
GROUPS_A_KEEPER = 20
DEVICES = 8  # That send at once, as fast as they are answered.
CONNECTIONS = 4
TOKEN_SECONDS = 300
DEADLINE_SECONDS, TRIES = 30, 20
AGAIN = {grpc.StatusCode.RESOURCE_EXHAUSTED, grpc.StatusCode.UNAVAILABLE}  # As a device does; its wait counts.
APPROVED_EVERY_SECONDS = 5.0
FOUR = 4  # Meetings that a device brings after a time offline.
GROUPS_A_SECOND = 400  # That send their four: more than any state takes.
BACKLOG_SECONDS, HEARD_SECONDS = 600.0, 60.0  # That what went before, and what was told at a rate, may take to be heard.
IN_FLIGHT_MAX = 128  # Calls at once, below what is shed; a call that is due and must wait for another counts its wait.
FORGOTTEN_AT = 500  # Calls that are done are looked at when so many are kept.
SCRIPTS = 50  # Groups that the ceiling writes to.
RATIO_MIN, BYTES_MAX, P99_MS_MAX, DRAIN_SECONDS_MAX = 0.35, 6000, 250.0, 5.0
SAVED_PAISE, EXTRA_PAISE, LENT_PAISE, REPAID_PAISE, INTEREST_PAISE, FINE_PAISE = 50_00, 10_00, 100_00, 1_00, 20, 5_00


@dataclass(slots=True)
class Group:
    """An SHG whose members save, repay and are fined, as its device keeps its books."""

    keeper: Caller
    vo_id: UUID
    institution_id: str = field(default_factory=lambda: str(uuid7()))
    member_ids: list[str] = field(default_factory=lambda: [str(uuid7()) for _ in range(MEMBERS)])
    loan_ids: list[str] = field(default_factory=lambda: [str(uuid7()) for _ in range(LOANS)])
    number: int = 0
    last_meeting_id: str = ""
    balances: dict[str, int] = field(default_factory=dict)
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)  # A device sends its next meeting when the one before is answered.

    def next_meeting(self) -> pb.MeetingSheet:
        """12 compulsory and 12 voluntary savings, 5 repayments of principal and interest, a fine; the first gives the loans."""
        self.number += 1
        sheet = pb.MeetingSheet(
            meeting_id=str(uuid7()),
            institution_id=self.institution_id,
            revision=1,
            number=self.number,
            held_on=today().isoformat(),
            previous_meeting_id=self.last_meeting_id,
            attendance=[pb.Attendance(member_id=one, present=True) for one in self.member_ids],
            savings=[pb.Saving(member_id=one, compulsory_paise=SAVED_PAISE, voluntary_paise=EXTRA_PAISE) for one in self.member_ids],
            entries=[pb.Entry(item="FINE", amount_paise=FINE_PAISE, member_id=self.member_ids[0])],
        )
        moved = {"A03": MEMBERS * (SAVED_PAISE + EXTRA_PAISE) + FINE_PAISE, "L01": MEMBERS * SAVED_PAISE, "L02": MEMBERS * EXTRA_PAISE}
        moved |= {"I02": FINE_PAISE}
        moved |= {f"L01/{one}": SAVED_PAISE for one in self.member_ids} | {f"L02/{one}": EXTRA_PAISE for one in self.member_ids}
        if self.number == 1:
            for loan_id, member_id in zip(self.loan_ids, self.member_ids, strict=False):
                sheet.loans.add(loan_id=loan_id, member_id=member_id, principal_paise=LENT_PAISE, annual_rate_basis_points=2400, months=10)
            moved["A03"] -= LOANS * LENT_PAISE
            moved |= {"A01": LOANS * LENT_PAISE} | {f"A01/{one}": LENT_PAISE for one in self.loan_ids}
        else:
            for loan_id in self.loan_ids:
                sheet.repayments.add(loan_id=loan_id, principal_paise=REPAID_PAISE, interest_paise=INTEREST_PAISE)
            moved["A03"] += LOANS * (REPAID_PAISE + INTEREST_PAISE)
            moved |= {"A01": -LOANS * REPAID_PAISE, "I01": LOANS * INTEREST_PAISE} | {f"A01/{one}": -REPAID_PAISE for one in self.loan_ids}
        for account, paise in moved.items():
            self.balances[account] = self.balances.get(account, 0) + paise
        sheet.counted_cash_paise = self.balances["A03"]
        position: dict[str, Content] = {
            "institution_id": self.institution_id,
            "number": self.number,
            "held_on": sheet.held_on,
            "balances": self.balances,
        }
        sheet.closing_hash = content_hash(position).hex()
        self.last_meeting_id = sheet.meeting_id
        return sheet


def address(service: str) -> str:
    """As psycopg takes it."""
    return database.engine(service).url.set(drivername="postgresql").render_as_string(hide_password=False)


def found(count: int, formed_on: date | None = None) -> list[Group]:
    """So many groups below VOs, as if profiles had told of them."""
    region = f"{settings.state().lgd_code}.178.1204"
    vos = [uuid7() for _ in range(VOS)]
    keepers = (
        Caller(f"{settings.state().user_prefix}BENCH{number}", Role.SHG_BOOKKEEPER, region, person=f"keeper {number}") for number in range(count)
    )
    groups: list[Group] = []
    while len(groups) < count:
        keeper = next(keepers)
        of_one = [Group(keeper, vos[(len(groups) + number) % VOS]) for number in range(GROUPS_A_KEEPER)]
        mapped = Caller(keeper.user_id, keeper.role, keeper.region, frozenset(UUID(one.institution_id) for one in of_one), keeper.person)
        for one in of_one:
            one.keeper = mapped
        groups += of_one
    formed_on = formed_on or today() - timedelta(days=200)
    with psycopg.connect(address(SERVICE)) as connection, connection.cursor() as cursor:
        columns = "institution_id, kind, region, status, parent_id, formed_on, version, compulsory_paise"
        with cursor.copy(f"copy institutions ({columns}) from stdin") as rows:
            for vo in vos:
                rows.write_row((vo, "VO", f"{region}.77", "ACTIVE", None, formed_on, 1, 0))
            for group in groups:
                rows.write_row((group.institution_id, "SHG", f"{region}.77.5", "ACTIVE", group.vo_id, formed_on, 1, SAVED_PAISE))
        with cursor.copy("copy members (member_id, institution_id, status, region, version) from stdin") as rows:
            for group in groups:
                for member_id in group.member_ids:
                    rows.write_row((member_id, group.institution_id, "ACTIVE", f"{region}.77.5", 1))
        connection.commit()
    return groups


# --- On the wire.


class Wire:
    """Connections to the state, and a fresh token for whoever calls."""

    def __init__(self, stub: Callable[[grpc.aio.Channel], Any] = TransactionsServiceStub) -> None:
        credentials = grpc.ssl_channel_credentials(settings.file("LOKOS_TLS_CA_FILE").read_bytes())
        address = f"localhost:{settings.number('LOKOS_GRPC_PORT')}"
        options = (("grpc.use_local_subchannel_pool", 1),)
        self._channels = [grpc.aio.secure_channel(address, credentials, options) for _ in range(CONNECTIONS)]
        self._stubs = [stub(channel) for channel in self._channels]
        self._tokens: dict[str, tuple[float, str]] = {}
        self._turn = 0

    async def call(self, rpc: str, request: Any, caller: Caller) -> Any:  # noqa: ANN401 - of any RPC
        until, token = self._tokens.get(caller.user_id, (0.0, ""))
        if until < time.monotonic():
            token = tokens.sign_caller(caller)[0]
            self._tokens[caller.user_id] = (time.monotonic() + TOKEN_SECONDS, token)
        self._turn += 1
        method = getattr(self._stubs[self._turn % CONNECTIONS], rpc)
        for last in (*[False] * TRIES, True):
            try:
                return await method(request, metadata=(("authorization", f"Bearer {token}"),), timeout=DEADLINE_SECONDS)
            except grpc.aio.AioRpcError as error:
                if last or error.code() not in AGAIN:
                    raise
                await asyncio.sleep(1)
        raise AssertionError

    async def close(self) -> None:
        for channel in self._channels:
            await channel.close()


async def send(wire: Wire, group: Group, sheets: Sequence[pb.MeetingSheet]) -> None:
    """Meetings of one group in one call; whatever is not taken in ends the bench."""
    answer = await wire.call("SyncMeetings", pb.SyncMeetingsRequest(meetings=sheets), group.keeper)
    must_be_applied(answer)


def must_be_applied(answer: pb.SyncMeetingsResponse) -> None:
    for one in answer.answers:
        if one.outcome != pb.OUTCOME_APPLIED:
            raise MachineError(f"A meeting was not taken in: {one}")


async def as_fast_as_it_goes(wire: Wire, groups: Sequence[Group], at_once: int, seconds: float) -> float:
    """Meetings a second, DEVICES sending at once, each four of a group; the sheets were made before. The groups are used up."""
    ready = [(group, [group.next_meeting() for _ in range(FOUR)]) for group in track(groups, "sheets made", transient=True)]
    waiting, done, begun = iter(ready), 0, time.perf_counter()

    async def device() -> None:
        nonlocal done
        while time.perf_counter() - begun < seconds and (one := next(waiting, None)) is not None:
            group, sheets = one
            for start in range(0, FOUR, at_once):
                await send(wire, group, sheets[start : start + at_once])
                done += at_once

    await asyncio.gather(*(device() for _ in range(DEVICES)))
    took = time.perf_counter() - begun
    if took < seconds:
        raise MachineError(f"{len(groups)} groups were served in {took:.1f} s: give more --groups.")
    return done / took


# --- The ceiling.

_MILLISECONDS = "lpad(to_hex((extract(epoch from clock_timestamp()) * 1000)::bigint), 12, '0')"
_UUID7 = f"({_MILLISECONDS} || '7' || right(replace(gen_random_uuid()::text, '-', ''), 19))::uuid"


def scripts(groups: Sequence[Group]) -> list[str]:
    """For each group the statement that stores its next meeting, with all its values in it, so that only the database works.

    Run again and again, it takes new ids and does not ask whether the chain has moved on; the rows that it writes are the same.
    """
    written = []
    with database.reading(SERVICE) as reading, psycopg.connect(address(SERVICE)) as connection:
        cursor = ClientCursor(connection)
        for group in groups:
            upload = read_upload(group.next_meeting())
            books = queries.books(reading, [upload.sheet])
            answered = admit_all({0: upload}, books, group.keeper, settings.state().policies, today())
            values = sync.parameters(group.keeper, books, answered)
            statement = cursor.mogrify(sync.STORE, values)
            again = statement.replace(f"'{{{upload.sheet.meeting_id}}}'", "array[(select id from new)]")
            again = again.replace(f"'{values['event_id'].hex}'", "gen_random_uuid()")
            again = re.sub(r"where c\.version = \d+", "where true", again).replace(
                "with chain as", f"with new as materialized (select {_UUID7} as id), chain as", 1
            )
            written.append(" ".join(again.split()) + "\n")
    return written


def ceiling(written: Sequence[str], seconds: float) -> dict[int, float]:
    """Meetings a second by connections."""
    programs = postgres_programs()
    if programs is None or not (programs / "pgbench").exists():
        raise MachineError("This machine's PostgreSQL has no pgbench, by which the ceiling is measured; Debian's has it.")
    names = {"host": "PGHOST", "port": "PGPORT", "user": "PGUSER", "password": "PGPASSWORD", "dbname": "PGDATABASE", "options": "PGOPTIONS"}
    env = os.environ | {names[name]: str(value) for name, value in conninfo_to_dict(address(SERVICE)).items() if name in names}
    best = {}
    with tempfile.TemporaryDirectory() as folder:
        files = []
        for number, text in enumerate(written):
            file = Path(folder) / f"{number}.sql"
            file.write_text(text, encoding="utf-8")
            files.append(f"--file={file}")
        for clients in (1, 2, 4, 8):
            words = [
                str(programs / "pgbench"),
                "--no-vacuum",
                "--protocol=prepared",
                f"--client={clients}",
                "--jobs=2",
                f"--time={round(seconds)}",
                *files,
            ]
            done = subprocess.run(words, env=env, capture_output=True, text=True, check=False)  # noqa: S603 - PostgreSQL's own
            tps = re.search(r"tps = ([0-9.]+)", done.stdout)
            if done.returncode or not tps:
                raise MachineError(f"pgbench ended with {done.returncode}: {done.stderr[-2000:]}")
            best[clients] = float(tps[1])
    return best


# --- Bytes.

KEPT = ("meetings", "audit", "outbox", "balances", "chains", "loans")


def sizes() -> dict[str, int]:
    """Bytes on disk by table, its partitions and all indexes included."""
    asked = """
        select coalesce(parent.relname, c.relname), sum(pg_total_relation_size(c.oid))::bigint
        from pg_class c left join pg_inherits i on i.inhrelid = c.oid left join pg_class parent on parent.oid = i.inhparent
        where c.relkind = 'r' and c.relnamespace = current_schema()::regnamespace group by 1
    """
    with database.reading(SERVICE) as connection:
        return {name: total for name, total in connection.exec_driver_sql(asked) if name in KEPT}


# --- At a rate.


def checker(vo_id: UUID, region: str) -> Caller:
    who = f"{settings.state().user_prefix}CHECKER{vo_id.hex[-8:].upper()}"
    return Caller(who, Role.SHG_TRANS_APPROVER, region, frozenset({vo_id}), f"checker {vo_id}")


def approvals(meeting_ids: Sequence[str]) -> pb.ApproveMeetingsRequest:
    return pb.ApproveMeetingsRequest(meetings=[pb.ApproveMeetingRequest(meeting_id=one, revision=1) for one in meeting_ids])


def must_be_approved(answer: pb.ApproveMeetingsResponse) -> None:
    if bad := [one for one in answer.answers if one.refusal.code]:
        raise MachineError(f"A meeting was not approved: {bad[0]}")


class Steady:
    """Calls that are due at their rates, and how many milliseconds each took since it was due, by RPC."""

    def __init__(self, wire: Wire, groups: Sequence[Group]) -> None:
        self._wire, self._groups = wire, groups
        self._dice = random.Random(1)  # noqa: S311 - no secret
        self._come: dict[UUID, list[str]] = {group.vo_id: [] for group in groups}
        self._ended = False
        self._in_flight = asyncio.Semaphore(IN_FLIGHT_MAX)
        self.stored = 0
        self.milliseconds: dict[str, list[float]] = {}

    def p99(self, rpc: str) -> float:
        return float(np.percentile(self.milliseconds[rpc], 99))

    async def run(self, rate: float, seconds: float, passbooks: float) -> None:
        """Meetings and passbooks are due at their rates; every few seconds each VO's approver approves what has come."""
        pause = APPROVED_EVERY_SECONDS / len(self._come)
        approvers = [asyncio.create_task(self._approve(vo_id, place * pause)) for place, vo_id in enumerate(self._come)]
        turns = cycle(self._groups)
        due = [(number / rate, "meet") for number in range(int(rate * seconds))]
        due += [(number / passbooks, "read") for number in range(int(passbooks * seconds))]
        begun, tasks = time.perf_counter(), set[asyncio.Task[None]]()
        for at, what in track(sorted(due), "meetings, approvals, passbooks", transient=True):
            await asyncio.sleep(max(begun + at - time.perf_counter(), 0))
            work = self._meet(next(turns), begun + at) if what == "meet" else self._read(self._dice.choice(self._groups), begun + at)
            tasks.add(asyncio.create_task(work))
            if len(tasks) > FORGOTTEN_AT:
                done = {task for task in tasks if task.done()}
                await asyncio.gather(*done)
                tasks -= done
        await asyncio.gather(*tasks)
        self._ended = True
        await asyncio.gather(*approvers)

    async def _timed(self, rpc: str, request: Any, caller: Caller, due: float) -> Any:  # noqa: ANN401 - of any RPC
        async with self._in_flight:
            answer = await self._wire.call(rpc, request, caller)
        self.milliseconds.setdefault(rpc, []).append((time.perf_counter() - due) * 1000)
        return answer

    async def _meet(self, group: Group, due: float) -> None:
        async with group.turn:
            sheet = group.next_meeting()
            answer = await self._timed("SyncMeetings", pb.SyncMeetingsRequest(meetings=[sheet]), group.keeper, due)
        must_be_applied(answer)
        self.stored += 1
        self._come[group.vo_id].append(sheet.meeting_id)

    async def _approve(self, vo_id: UUID, after_seconds: float) -> None:
        """Each at her own time: they do not sit down to it at the same moment."""
        await asyncio.sleep(after_seconds)
        caller = checker(vo_id, self._groups[0].keeper.region)
        while not self._ended or self._come[vo_id]:
            due, waiting = time.perf_counter(), self._come[vo_id]
            batch, self._come[vo_id] = waiting[:APPROVALS_MAX], waiting[APPROVALS_MAX:]
            if batch:
                must_be_approved(await self._timed("ApproveMeetings", approvals(batch), caller, due))
            await asyncio.sleep(0 if self._ended else max(due + APPROVED_EVERY_SECONDS - time.perf_counter(), 0))

    async def _read(self, group: Group, due: float) -> None:
        days = {"from_on": (today() - timedelta(days=180)).isoformat(), "to_on": today().isoformat()}
        asked = pb.PassbookRequest(institution_id=group.institution_id, member_id=self._dice.choice(group.member_ids), **days)
        await self._timed("Passbook", asked, group.keeper, due)


def drained(patience_seconds: float) -> tuple[float, int]:
    """Seconds until reporting has heard all that the books told, and how many events it has not where that takes too long."""
    begun = time.perf_counter()
    with psycopg.connect(address(SERVICE), autocommit=True) as books, psycopg.connect(address("reporting"), autocommit=True) as reporting:
        while True:
            unsent = _one(books, "select count(*) from outbox where sent_at is null")
            left = unsent or _one(books, "select count(*) from outbox") - _one(reporting, "select count(*) from inbox where source = 'transactions'")
            took = time.perf_counter() - begun
            if not left or took > patience_seconds:
                return took, left
            time.sleep(0.1)


def _one(connection: psycopg.Connection[Any], asked: LiteralString) -> int:
    return int((connection.execute(asked).fetchone() or (0,))[0])


@dataclass(slots=True)
class Found:
    """What was measured, figure by figure."""

    ours: dict[int, float] = field(default_factory=dict)  # Meetings a second, by how many a call brings; the best round.
    best: dict[int, float] = field(default_factory=dict)  # Of the ceiling, by connections.
    bytes_by_table: dict[str, float] = field(default_factory=dict)  # Of a meeting.
    p99_ms: dict[float, float] = field(default_factory=dict)  # By rate.
    drain_seconds: dict[float, float] = field(default_factory=dict)

    @property
    def ratio(self) -> float:
        return self.ours[FOUR] / max(self.best.values())


async def measure(given: argparse.Namespace) -> Found:
    result, wire = Found(), Wire()
    of_round = int(given.seconds * GROUPS_A_SECOND)
    groups = found(SCRIPTS + 2 * given.rounds * of_round + given.groups)
    for start in track(range(0, len(groups), 100), "first meetings, in which the loans are given", transient=True):
        await asyncio.gather(*(send(wire, group, [group.next_meeting()]) for group in groups[start : start + 100]))
    fast, steady = groups[: -given.groups], groups[-given.groups :]
    for group in track(steady, "first meetings approved", transient=True):
        must_be_approved(await wire.call("ApproveMeetings", approvals([group.last_meeting_id]), checker(group.vo_id, group.keeper.region)))
    for rate, seconds in ((given.rate, given.minutes * 60), (given.stretch_rate, given.stretch_seconds)):
        if seconds:
            await _at_a_rate(wire, steady, rate, seconds, given.passbooks, result)
    drained(BACKLOG_SECONDS)
    await _as_fast_as_it_goes(wire, fast, given, result)
    await wire.close()
    return result


async def _as_fast_as_it_goes(wire: Wire, groups: Sequence[Group], given: argparse.Namespace, result: Found) -> None:
    """Rounds of ours and of the ceiling in turns, so that what else the machine does hits both."""
    written, left = scripts(groups[:SCRIPTS]), iter(groups[SCRIPTS:])
    of_round = (len(groups) - SCRIPTS) // (2 * given.rounds)
    for _ in range(given.rounds):
        for at_once in (1, FOUR):
            before, count_before = sizes(), _meetings()
            speed = await as_fast_as_it_goes(wire, [next(left) for _ in range(of_round)], at_once, given.seconds)
            result.ours[at_once] = max(result.ours.get(at_once, 0.0), speed)
            after, count = sizes(), _meetings() - count_before
            result.bytes_by_table = {name: (after[name] - before[name]) / count for name in KEPT}
        for clients, tps in ceiling(written, given.seconds / 2).items():
            result.best[clients] = max(result.best.get(clients, 0.0), tps)
    for at_once, speed in result.ours.items():
        said(f"{speed:.0f} meetings a second, {at_once} in a call")
    said("ceiling: " + ", ".join(f"{tps:.0f} with {clients}" for clients, tps in result.best.items()))
    said("bytes a meeting: " + ", ".join(f"{name} {size:.0f}" for name, size in result.bytes_by_table.items()))


async def _at_a_rate(wire: Wire, groups: Sequence[Group], rate: float, seconds: float, passbooks: float, result: Found) -> None:
    drained(BACKLOG_SECONDS)
    steady = Steady(wire, groups)
    await steady.run(rate, seconds, passbooks)
    took, missing = drained(HEARD_SECONDS)
    result.drain_seconds[rate], result.p99_ms[rate] = took, max(map(steady.p99, steady.milliseconds))
    each = ", ".join(f"{rpc} p50 {np.percentile(ms, 50):.0f} p99 {steady.p99(rpc):.0f}" for rpc, ms in sorted(steady.milliseconds.items()))
    said(f"at {rate:g} a second for {seconds:g} s: {steady.stored} stored and approved; ms: {each}; told {took:.1f} s after the end")
    if missing:
        raise MachineError(f"{missing} events were not heard.")


def _meetings() -> int:
    with database.reading(SERVICE) as connection:
        return int(connection.exec_driver_sql("select count(*) from meetings").scalar_one())


def said(words: str) -> None:
    sys.stdout.write(words + "\n")
    sys.stdout.flush()


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m loadtests.bench_meetings", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )

    def add(name: str, kind: type, default: object, about: str) -> None:
        parser.add_argument(name, type=kind, default=default, help=f"{about} (default: %(default)s)")

    add("--state", str, "UP", "which of this machine's states")
    add("--seconds", float, 8.0, "of each measuring as fast as it goes")
    add("--rounds", int, 2, "of these, ours and the ceiling in turns")
    add("--groups", int, 2000, "that meet at the rates")
    add("--rate", float, 100.0, "meetings a second that are due, which the gate asks for")
    add("--minutes", float, 10.0, "for so long; 0 leaves it out")
    add("--stretch-rate", float, 250.0, "the same beyond the gate")
    add("--stretch-seconds", float, 60.0, "for so long; 0 leaves it out")
    add("--passbooks", float, 10.0, "read a second meanwhile")
    given = parser.parse_args()
    try:
        machine = Machine.from_environment()
        if given.state not in machine.instances:
            raise MachineError(f"There is no state {given.state} on this machine.")
        os.environ.update(machine.instances[given.state].env)
        result = asyncio.run(measure(given))
    except MachineError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    p99_ms, bytes_ = result.p99_ms.get(given.rate, 0.0), sum(result.bytes_by_table.values())
    missed = [
        words
        for words, is_missed in {
            f"the ratio is below {RATIO_MIN}": result.ratio < RATIO_MIN,
            f"a meeting takes more than {BYTES_MAX} bytes": bytes_ > BYTES_MAX,
            f"p99 is above {P99_MS_MAX:g} ms": p99_ms > P99_MS_MAX,
            f"draining took longer than {DRAIN_SECONDS_MAX:g} s": result.drain_seconds.get(given.rate, 0.0) > DRAIN_SECONDS_MAX,
        }.items()
        if is_missed
    ]
    for words in missed:
        sys.stderr.write(f"Missed: {words}.\n")
    said(
        f"bench-meetings ours_per_second={result.ours[FOUR]:.0f} ceiling_per_second={max(result.best.values()):.0f} ratio={result.ratio:.2f} "
        f"p99_ms={p99_ms:.0f} bytes_a_meeting={bytes_:.0f}"
    )
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
