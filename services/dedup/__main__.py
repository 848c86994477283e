"""The operator's command line of dedup: python -m services.dedup --help."""

import argparse
import csv
import sys
from pathlib import Path
from uuid import UUID

from services.chassis import database, logs
from services.chassis.auditor import cell
from services.dedup import commands, jobs, queries
from services.dedup.adapters import batches
from services.dedup.rules import batch, model
from services.kernel.caller import OPERATOR
from services.kernel.ids import uuid7
from services.kernel.month import business_date, month_of, today
from services.kernel.names import NORMALISER_VERSION
from services.kernel.region import check_region

transaction = database.of("dedup")


def restate(hearer: str) -> None:
    """Tell one hearer the screenings of all members and institutions, each page in a transaction of its own."""
    told = 0
    for tell_page in (commands.restate, commands.restate_institutions):
        after: UUID | None = None
        while True:
            with transaction() as connection:
                page = tell_page(connection, hearer, after)
            if not page:
                break
            told, after = told + len(page), page[-1]
            sys.stdout.write(f"{told} screenings told, as far as {after}\n")
    sys.stdout.write(f"{told} screenings told to {hearer}\n")


def restate_contests(hearer: str) -> None:
    """Tell one hearer who is or was contested, each page in a transaction of its own."""
    told, after = 0, None
    while True:
        with transaction() as connection:
            page = commands.restate_contests(connection, hearer, after)
        told += len(page)
        if not page:
            sys.stdout.write(f"{told} members told to {hearer}\n")
            return
        after = page[-1]


LABEL_COLUMNS = ("finding_id", "member_id", "other_id", "verdict", "override", "weight_centibits", "codes", "decision", "month")


def labels(out: Path) -> None:
    """Write what officers decided as CSV, to learn from. Ids, codes and figures: neither names nor reasons."""
    written = 0
    after: UUID | None = None
    with out.open("w", encoding="utf-8-sig", newline="") as file:  # By the mark at its beginning a spreadsheet knows UTF-8.
        writer = csv.writer(file)
        writer.writerow(LABEL_COLUMNS)
        while True:
            with transaction() as connection:
                page = queries.labels_after(connection, after, commands.PAGE)
            if not page:
                break
            for row in page:
                month = month_of(business_date(row.decided_at))
                *ids, verdict, override, weight = (getattr(row, name) for name in LABEL_COLUMNS[:6])
                # The weight is a number, and may be below nothing; all else is text, of which none may be run.
                writer.writerow([*ids, verdict, override, weight, cell(" ".join(row.codes)), cell(row.decision), month])
            written, after = written + len(page), page[-1].finding_id
    sys.stdout.write(f"{out}: {written} labels\n")


def rescreen(region: str) -> None:
    """Screen everybody and every institution in a region again, each in a transaction of its own, so that nobody else waits long."""
    for what, page_after, again in (
        ("members", queries.members_after, commands.rescreen),
        ("institutions", queries.institutions_after, commands.rescreen_institution),
    ):
        done = 0
        after: UUID | None = None
        while True:
            with transaction() as connection:
                page = page_after(connection, region, after, commands.PAGE)
            if not page:
                break
            for record_id in page:
                with transaction() as connection:
                    again(connection, record_id)
            done, after = done + len(page), page[-1]
            sys.stdout.write(f"{done} {what} screened, as far as {after}\n")
        sys.stdout.write(f"{done} {what} screened\n")


def compare_all(*, start: bool) -> None:
    """Carry out the batch that runs; with `start` one is begun where none does."""
    with transaction() as connection:
        if start and batches.running(connection) is None:
            batches.start(connection, OPERATOR, uuid7())

    def report(phase: str, behind: int, done: int, of: int) -> None:
        inside = f", {done} of {of}" if of else ""
        sys.stdout.write(f"[{'#' * behind}{'.' * (len(batch.PHASES) - behind)}] {phase.lower()}{inside}\n")
        sys.stdout.flush()

    jobs.carry_out("dedup", report)
    with transaction() as connection:
        found = batches.find(connection, None)
    shown = {name: found[name] for name in ("state", "members", "pairs", "clusters", "screened_again", "model")}
    sys.stdout.write(f"batch {found['id']}: {', '.join(f'{name} {value}' for name, value in shown.items())} {found['error']}\n")


def train(members: Path, out: Path, name: str, trained_on: str, state: str, threads: int) -> None:
    """Learn a model from a file of members, without labels."""
    try:
        from services.dedup.adapters import linkage
    except ImportError as lacking:
        raise SystemExit(f"{lacking}. This is done by .venv-dedup/bin/python, which `python3 -m deploy.machine setup --dedup` makes.") from lacking
    people = linkage.read(members)
    artefact = linkage.train(people, name=name, state=state, trained_on=trained_on or members.name, trained_at=today(), threads=threads)
    out.write_bytes(model.dump(artefact))
    sys.stdout.write(f"{out}: {name}, from {len(people)} members; a pair in {1 / artefact.prior:,.0f} is one woman\n")


def use(file: Path) -> None:
    """Weigh by a model of a file from now on."""
    try:
        artefact = model.load(file)
    except model.ArtefactError as fault:
        raise SystemExit(str(fault)) from fault
    if artefact.normaliser != NORMALISER_VERSION:
        raise SystemExit(f"{file} was trained on names keyed otherwise (version {artefact.normaliser}, now {NORMALISER_VERSION}): train it anew.")
    with transaction() as connection:
        commands.put_to_use(connection, artefact)
    sys.stdout.write(
        f"{artefact.name} is in use. Run a batch: it fits the model to the state, and has screened again whoever it says otherwise of.\n"
    )


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m services.dedup", description="Screens again, tells again what was found, and learns.")
    doing = parser.add_subparsers(dest="doing", required=True, metavar="COMMAND")
    told = doing.add_parser("restate", help="tell a hearer all screenings again, or all contested cases")
    told.add_argument(
        "--to", required=True, choices=["profiles", "transactions"], metavar="HEARER", help="profiles: screenings; transactions: who is contested"
    )
    again = doing.add_parser("rescreen", help="screen the members of a region again, as after a change of the rules")
    again.add_argument("--region", required=True, help='an LGD path such as 9.178.1204; "" is everywhere')
    learn = doing.add_parser("train", help="learn a model from a file of members; under .venv-dedup")
    learn.add_argument("--members", type=Path, required=True, metavar="FILE", help=".parquet or .csv, with the columns of a rules.Record")
    learn.add_argument("--out", type=Path, required=True, metavar="FILE", help="where the model is written")
    learn.add_argument("--name", default="trained here", help="what the model says of itself")
    learn.add_argument("--trained-on", default="", metavar="WHAT", help="what the members are (default: the file's name)")
    learn.add_argument("--state", default="", metavar="CODE", help="whose members they are")
    learn.add_argument("--threads", type=int, default=1)
    used = doing.add_parser("use", help="weigh by a model that was trained")
    used.add_argument("model", type=Path, metavar="MODEL")
    kept = doing.add_parser("labels", help="write what officers decided, without a name, as CSV")
    kept.add_argument("--out", type=Path, required=True, metavar="FILE")
    whole = doing.add_parser("batch", help="compare a whole state with itself, from where it was left")
    whole.add_argument("--start", action="store_true", help="begin one where none runs")
    given = parser.parse_args()
    logs.start("dedup")
    if given.doing == "restate":
        (restate if given.to == "profiles" else restate_contests)(given.to)
    elif given.doing == "use":
        use(given.model)
    elif given.doing == "labels":
        labels(given.out)
    elif given.doing == "train":
        train(given.members, given.out, given.name, given.trained_on, given.state, given.threads)
    elif given.doing == "batch":
        compare_all(start=given.start)
    else:
        rescreen(check_region(given.region))


if __name__ == "__main__":
    main()
