"""Loads a synthetic nation: python -m loadtests.nation --state UP --members 1lakh

Places, groups, federations, women with their spellings and duplicates, users and months of balanced meetings are made by chance
from a seed, and stored in an instance on this machine as its services would have stored them. Same inputs, same rows. Nobody is
meant; mobile numbers are drawn by chance, so that nothing may ever be sent to them.
"""

import argparse
import csv
import multiprocessing
import os
import re
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

import psycopg
from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, SpinnerColumn, Task, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.text import Text

from deploy.machine import Instance, Machine, MachineError
from deploy.machine.keys import write_private
from deploy.machine.layout import STATES, read_state
from loadtests.client import People, Server, people_file, people_json
from loadtests.nation import load, measure, work
from loadtests.nation.load import Refused
from loadtests.nation.plan import RATES, Inputs, Plan, month_before
from loadtests.nation.work import Done
from services.kernel import geography
from services.kernel.errors import Invalid
from services.kernel.month import parse_month, today

CHECKED_MEMBERS_MAX = 20_000  # Up to here every load is checked unless told otherwise.
MEMBERS_MAX = 20_00_00_000
MONTHS_MAX = 60
PEOPLE_TOLD = 3000
LAKH, CRORE = 1_00_000, 1_00_00_000
# Thousandths of the nation's groups, by press figures of five states, older tables of eleven, and guesses for the rest.
WEIGHTS = {
    "WB": 131.1, "BR": 120.7, "AP": 94.1, "UP": 92.6, "MH": 70.4, "OD": 62.7, "TS": 52.2, "MP": 50.8, "AS": 39.5, "TN": 37.8, "JH": 33.0,
    "GJ": 32.2, "KL": 30.2, "CG": 30.1, "RJ": 30.1, "KA": 30.0, "JK": 11.0, "HR": 8.3, "UK": 8.3, "PB": 7.7, "HP": 6.1, "ML": 5.5, "TR": 4.7,
    "PY": 2.2, "GA": 2.2, "NL": 1.7, "MZ": 1.1, "DN": 0.9, "SK": 0.7, "AN": 0.7, "AR": 0.6, "LA": 0.6, "MN": 0.5, "LD": 0.1,
}  # fmt: skip

console = Console(highlight=False, soft_wrap=True, stderr=not sys.stdout.isatty())


def said(number: float) -> str:
    """A number as people say it: 14.2 lakh."""
    for unit, name in ((CRORE, "crore"), (LAKH, "lakh")):
        if number >= unit:
            return f"{number / unit:.4g} {name}"
    return f"{number:,.0f}"


def members(text: str) -> int:
    """1000, 1,00,000, 1lakh, 2.5crore."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?)(lakh|crore)?", text.replace(",", "").replace(" ", "").lower())
    units = {"lakh": LAKH, "crore": CRORE, None: 1}
    number = Decimal(found[1]) * units[found[2]] if found else Decimal(0)
    if number % 1 or not 100 <= number <= MEMBERS_MAX:
        raise argparse.ArgumentTypeError(
            f"{text!r} is no number of members; give 1000, 1lakh or 2.5crore: from 100 to 20 crore, and no part of a woman"
        )
    return int(number)


def share(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = -1.0
    if not 0 <= number <= 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no share; give a number from 0 to 1")
    return number


def rate(text: str) -> tuple[str, float]:
    name, _, number = text.partition("=")
    if name not in RATES:
        raise argparse.ArgumentTypeError(f"there is no rate {name!r}; these are: {', '.join(RATES)}")
    return name, share(number)


def months(text: str) -> int:
    if not text.isdecimal() or int(text) > MONTHS_MAX:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of months; give one from 0 to {MONTHS_MAX}")
    return int(text)


def month(text: str) -> str:
    try:
        return parse_month(text, "last_month", month_before(today()))
    except Invalid as invalid:
        raise argparse.ArgumentTypeError(f"{invalid} The last month that may be loaded is the one before this.") from None


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(prog="python -m loadtests.nation", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    where = made.add_mutually_exclusive_group(required=True)
    where.add_argument("--state", metavar="CODE", help="the state, such as UP")
    where.add_argument(
        "--nation", action="store_true", help="all states by their weight; those that are not on this machine are left out, or counted by --dry-run"
    )
    doing = made.add_mutually_exclusive_group()
    doing.add_argument("--dry-run", action="store_true", help="make everything and store nothing; count rows and bytes")
    doing.add_argument("--measure", action="store_true", help="print what the loaded state takes, as the rows of docs/capacity.md")
    doing.add_argument(
        "--clear",
        action="store_true",
        help="take a load and its files away; figures are emptied, so `make rebuild` tells those of earlier users anew",
    )
    made.add_argument("--members", type=members, help="how many: 1000, 1lakh, 10lakh, 1crore")
    made.add_argument("--months", type=months, default=3, help="of meetings, one a month (3)")
    made.add_argument("--last-month", type=month, default=month_before(today()), metavar="YYYY-MM", help="the last of them (the month before this)")
    made.add_argument("--seed", type=int, default=1, help="another one makes other people (1)")
    made.add_argument("--meetings-share", type=share, default=0.95, help="of the groups that meet (0.95)")
    made.add_argument("--pending-share", type=share, default=0.10, help="of the planted duplicates that await a decision (0.10)")
    made.add_argument(
        "--rate", type=rate, action="append", default=[], metavar="NAME=SHARE", help="another value for one of the rates that a run prints"
    )
    made.add_argument("--workers", type=int, default=min(2, os.cpu_count() or 1), help="processes (as many as cores, 2 at most)")
    made.add_argument("--people", type=Path, metavar="FILE", help="where the users for load tests are written (RUN/load/CODE.json)")
    made.add_argument(
        "--check",
        action=argparse.BooleanOptionalAction,
        help=f"check what must hold (up to {said(CHECKED_MEMBERS_MAX)} members it is done unless told otherwise)",
    )
    return made


# --- Progress.


class Rate(ProgressColumn):
    """How fast, in what is counted."""

    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        return Text(f"{said(speed)} a second" if speed else "")


@contextmanager
def progress(words: str, total: int) -> Iterator[Callable[[int], None]]:
    """A bar that is moved on by what is done."""
    columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[count]}"), Rate())
    with Progress(*columns, TimeElapsedColumn(), TextColumn("left"), TimeRemainingColumn(), console=console) as bar:
        task = bar.add_task(words, total=total, count=f"0 of {said(total)}")
        done = 0

        def on(more: int) -> None:
            nonlocal done
            done += more
            bar.update(task, completed=done, count=f"{said(done)} of {said(total)}")

        yield on


# --- One state.


def load_state(instance: Instance, inputs: Inputs, given: argparse.Namespace) -> None:
    """Load, check, and tell where the people are. Refused where it may not be."""
    env = instance.env
    with load.connections(env) as open_to:
        state, facts = load.standing(open_to, instance.code)
        if state == "LOADED":
            _must_be_the_same(instance.code, facts, inputs)
            console.print(f"{instance.code} holds these {said(inputs.members)} members already; nothing is loaded.")
        else:
            if state == "CUT_SHORT":
                console.print(f"An earlier load of {instance.code} was cut short: what it left is taken away first.")
                load.clear(open_to)
            _load(instance, inputs, given, open_to)
    if given.check if given.check is not None else inputs.members <= CHECKED_MEMBERS_MAX:
        _check(env, _files(instance.code, given)[1])


def _must_be_the_same(code: str, facts: Mapping[str, Any], inputs: Inputs) -> None:
    wanted = inputs.facts()
    differing = [name for name in wanted if facts.get(name) != wanted[name]]
    if differing:
        words = ", ".join(f"{name} {facts.get(name)}, not {wanted[name]}" for name in differing if name != "rates") or "other rates"
        raise Refused(f"{code} holds another synthetic load ({words}). Take it away first: --state {code} --clear.")


def _files(code: str, given: argparse.Namespace) -> tuple[Path, Path]:
    """Where the users for load tests are told, and the planted duplicates."""
    people: Path = given.people.resolve() if given.people else people_file(Machine.from_environment().run, code)
    return people, people.with_name(f"{code}-duplicates.csv")


def _load(instance: Instance, inputs: Inputs, given: argparse.Namespace, open_to: Mapping[str, psycopg.Connection[Any]]) -> None:
    began = time.monotonic()
    plan = Plan(inputs)
    show_inputs(plan)
    load.use(instance.env)
    for service, connection in open_to.items():
        load.begin(connection, service, inputs.facts())
    _save_places(plan, Path(instance.env["LOKOS_GEOGRAPHY_FILE"]))
    load.make_partitions(inputs.month_days)
    from services.identity.commands import password

    task = work.Task(inputs, instance.env, password.hashed(work.PASSWORD), max(1, PEOPLE_TOLD // len(plan.blocks)))
    with _pool(task, given.workers) as pool:
        done = _all_blocks(pool, plan)
        with console.status("indexes"):
            for connection in open_to.values():
                load.make_again(connection)
        load.analyze(open_to)
        verdicts = _screen(pool, done)
    load.move_serials(open_to, plan)
    load.mark_heard(open_to)
    seconds = round(time.monotonic() - began)
    meetings = sum(one.meetings for one in done)
    for connection in open_to.values():
        load.end(connection, {**inputs.facts(), "meetings": meetings, "seconds": seconds})
    _write(instance, done, given)
    found = ", ".join(f"{count} {verdict}" for verdict, count in sorted(verdicts.items())) or "none"
    console.print(f"{instance.code}: {said(inputs.members)} members and {said(meetings)} meetings in {seconds} s; pending: {found}.")


def show_inputs(plan: Plan) -> None:
    """What decides what is made: with the same of it, the same rows come again."""
    facts = plan.inputs.facts()
    rates = facts.pop("rates")
    console.print(f"{plan.inputs.state.code}: " + ", ".join(f"{name} {value}" for name, value in facts.items()))
    console.print("rates: " + ", ".join(f"{name} {value}" for name, value in rates.items()))
    last = plan.blocks[-1]
    counts = {
        "blocks": len(plan.blocks),
        "villages": len(plan.village_paths),
        "SHGs": len(plan.shg_sizes),
        "VOs": last.first_vo + len(last.vo_gps) - 1,
    }
    console.print(", ".join(f"{said(count)} {name}" for name, count in counts.items()))


def _save_places(plan: Plan, path: Path) -> None:
    """Beside those that are there already."""
    old = geography.read_places(path)
    known = {place.path for place in old}
    geography.save(path, [*old, *(place for place in plan.places() if place.path not in known)])


@contextmanager
def _pool(task: work.Task, workers: int) -> Iterator[ProcessPoolExecutor]:
    pool = ProcessPoolExecutor(workers, multiprocessing.get_context("spawn"), work.begin, (task,))
    try:
        yield pool
    finally:
        pool.shutdown(cancel_futures=True)


def _all_blocks(pool: ProcessPoolExecutor, plan: Plan) -> list[Done]:
    """Every block, in the order of their numbers."""
    done = []
    with progress(plan.inputs.state.code, plan.inputs.members) as on:
        for future in as_completed([pool.submit(work.block, block.number) for block in plan.blocks]):
            done.append(future.result())
            on(done[-1].members)
    return sorted(done, key=lambda one: one.number)


def _screen(pool: ProcessPoolExecutor, done: Sequence[Done]) -> Counter[str]:
    waiting = [waits for one in done for waits in one.waiting]
    verdicts: Counter[str] = Counter()
    parts = [waiting[first : first + load.SCREENED_AT_ONCE] for first in range(0, len(waiting), load.SCREENED_AT_ONCE)]
    with progress("pending members screened", len(waiting)) as on:
        for future in as_completed([pool.submit(work.screen, part) for part in parts]):
            verdicts.update(found := future.result())
            on(sum(found.values()))
    return verdicts


def _write(instance: Instance, done: Sequence[Done], given: argparse.Namespace) -> None:
    """The users for load tests, and what is true of the planted duplicates."""
    people, pairs = _files(instance.code, given)
    users = tuple(user for one in done for user in one.users)
    server = Server(instance.grpc_address, instance.ca_file, Path(instance.env["LOKOS_MESSAGE_INBOX"]))
    write_private(people, people_json(People(instance.code, server, users)))
    with pairs.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["member_id", "duplicate_of", "kind", "shares_identity", "shares_account", "pending"])
        for one in done:
            writer.writerows(
                [pair.member_id, pair.duplicate_of, pair.kind.name, int(pair.shares_identity), int(pair.shares_account), int(pair.pending)]
                for pair in one.pairs
            )
    console.print(f"users for load tests: {people} ({len(users)}); planted duplicates: {pairs}")


def _check(env: Mapping[str, str], pairs: Path) -> None:
    from loadtests.nation import check

    load.use(env)
    with console.status("checking what must hold"), pairs.open(encoding="utf-8") as file:
        faults = list(check.faults((row["member_id"], row["duplicate_of"]) for row in csv.DictReader(file)))
    if faults:
        raise Refused("What was loaded is not as it must be:\n" + "\n".join(faults))
    console.print("Checked: books, hashes, codes, copies, screenings and figures are as the services would have them.")


def count_state(inputs: Inputs, workers: int) -> Counter[str]:
    """Make a state and store nothing; the rows by table and bytes by service."""
    plan = Plan(inputs)
    show_inputs(plan)
    with _pool(work.Task(inputs, {}, "", 0), workers) as pool:
        done = _all_blocks(pool, plan)
    total: Counter[str] = Counter()
    for one in done:
        total += one.rows
        total += Counter({f"{service}, bytes": count for service, count in one.bytes.items()})
    return total


# --- The command.


def _instance(machine: Machine, code: str) -> Instance:
    if code not in machine.instances or machine.instances[code].is_nation:
        raise Refused(f"There is no state {code} on this machine; LOKOS_STATES names those that are: {', '.join(machine.layout.states)}.")
    return machine.instances[code]


def _must_be_still(machine: Machine, instance: Instance) -> None:
    running = [state.name for state in machine.states() if state.name.startswith(f"{instance.prefix}-") and state.pid]
    if running:
        raise Refused(
            f"{', '.join(running)} run, and would work on tables without their indexes. Stop them, and start the servers alone: "
            f"make down, then python3 -m deploy.machine provision {instance.code}"
        )


def _inputs(code: str, count: int, given: argparse.Namespace) -> Inputs:
    state = read_state(STATES / f"{code}.toml")
    return Inputs(state, count, given.months, given.last_month, given.seed, given.meetings_share, given.pending_share, {**RATES, **dict(given.rate)})


def one_state(given: argparse.Namespace) -> None:
    code: str = given.state
    if not (STATES / f"{code}.toml").exists():
        raise Refused(f"There is no state {code}; give its two letters, as UP.")
    if given.dry_run:
        for name, count in count_state(_inputs(code, given.members, given), given.workers).items():
            sys.stdout.write(f"{code} {name}: {said(count)}\n")
        return
    machine = Machine.from_environment()
    instance = _instance(machine, code)
    if given.measure:
        with load.connections(instance.env) as open_to:
            sys.stdout.write("\n".join(measure.rows(code, open_to)) + "\n")
        return
    _must_be_still(machine, instance)
    if given.clear:
        with load.connections(instance.env) as open_to:
            # What is there without a load is another's: the groups that `make load` made.
            if load.standing(open_to, code)[0] != "EMPTY":
                for file in _files(code, given):
                    file.unlink(missing_ok=True)
                load.clear(open_to)
        console.print(f"{code} holds no synthetic load.")
        return
    load_state(instance, _inputs(code, given.members, given), given)


def nation(given: argparse.Namespace, words: Sequence[str]) -> None:
    """Each state in a process of its own, as one by one would be."""
    here = Machine.from_environment().layout.states
    left_out = 0
    for code, weight in WEIGHTS.items():
        count = round(given.members * weight / sum(WEIGHTS.values()))
        if count < 100 or (code not in here and not given.dry_run):
            left_out += count
            continue
        command = [sys.executable, "-m", "loadtests.nation", "--state", code, "--members", str(count), *words]
        if subprocess.run(command, check=False).returncode:  # noqa: S603 - ourselves
            raise Refused(f"{code} was not loaded; what stands above says why.")
    if left_out:
        console.print(
            f"{said(left_out)} members are left out: of states that are not on this machine (--dry-run counts them), or with fewer than 100."
        )


def _words(given: argparse.Namespace) -> list[str]:
    """The options of the nation's run for the run of each state."""
    words = ["--months", str(given.months), "--last-month", given.last_month, "--seed", str(given.seed), "--workers", str(given.workers)]
    words += ["--meetings-share", str(given.meetings_share), "--pending-share", str(given.pending_share)]
    words += [part for name, number in given.rate for part in ("--rate", f"{name}={number}")]
    words += ["--dry-run"] if given.dry_run else []
    return words + ([] if given.check is None else ["--check" if given.check else "--no-check"])


def main() -> int:
    made = parser()
    given = made.parse_args()
    if not (given.measure or given.clear) and given.members is None:
        made.error("say how many: --members 1lakh")
    if given.nation and (given.measure or given.clear or given.people):
        made.error("--measure, --clear and --people are about one state: name it with --state")
    if given.workers < 1:
        made.error("there must be a worker: --workers 1")
    try:
        if given.nation:
            nation(given, _words(given))
        else:
            one_state(given)
    except (Refused, MachineError) as refused:
        sys.stderr.write(f"{refused}\n")
        return 1
    except psycopg.OperationalError:
        sys.stderr.write("The database does not answer. Start it and make its tables: python3 -m deploy.machine provision\n")
        return 1
    except KeyboardInterrupt:
        sys.stderr.write("Cut short; the same command takes away what is half there and begins anew.\n")
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
