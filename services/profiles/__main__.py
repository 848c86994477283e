"""For operators: python -m services.profiles --help"""

import argparse
import hashlib
import io
import math
import os
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from datetime import date
from itertools import islice
from pathlib import Path
from uuid import UUID

from rich.console import Console
from rich.progress import Progress
from sqlalchemy import Connection

from services.chassis import database, places, settings, sheets, templates
from services.kernel import geography
from services.kernel.caller import operator
from services.kernel.errors import Invalid, Refused
from services.kernel.month import today
from services.kernel.region import Level
from services.profiles import jobs, queries
from services.profiles.adapters import ifsc
from services.profiles.adapters import legacy as old_files
from services.profiles.commands import account, cutover, lists, restate
from services.profiles.commands import legacy as old
from services.profiles.commands import places as place_commands
from services.profiles.rules import geography as rules
from services.profiles.rules import legacy as old_rules
from services.profiles.rules import list_edits

SERVICE = "profiles"


@contextmanager
def shown(what: str) -> Iterator[Callable[[int, int], None]]:
    """A bar that a person sees at a terminal, and nobody else."""
    console = Console(stderr=True)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task(what, total=None)
        yield lambda done, of: progress.update(task, advance=done, total=of)


def _lines(file: Path, advance: Callable[[int], None]) -> Iterator[str]:
    """The lines of a file; tells how many bytes of it were read meanwhile."""
    at = 0
    with file.open("rb") as raw, io.TextIOWrapper(raw, encoding="utf-8-sig", errors="replace", newline="") as text:
        for line in text:
            if raw.tell() != at:
                advance(raw.tell() - at)
                at = raw.tell()
            yield line


def import_geography(folder: Path, on: date, end_percent: float = rules.END_PERCENT_MAX) -> int:
    """Take in LGD's CSV files; 0 where there are places to save, though rows may have been refused."""
    files = sorted(folder.glob("*.csv"))
    size = sum(file.stat().st_size for file in files)
    with shown(f"reading {folder}") as advance:
        directory = rules.read({file.name: _lines(file, lambda read: advance(read, size)) for file in files}, settings.state_lgd())
    if directory.unreadable:
        for one in directory.unreadable:
            sys.stdout.write(f"refused: {one.file or folder}, row {one.row}: {one.reason}\n")
        sys.stdout.write("What such a file says is not known, so nothing was changed. Put it right, or take it out of the folder.\n")
        return 1
    path = Path(settings.text("LOKOS_GEOGRAPHY_FILE"))
    old = geography.read_places(path)
    places, bad = rules.places(directory, old)
    revised = rules.revise(old, places, directory, on) if places else rules.Revised()
    for one in [*bad, *revised.bad]:
        sys.stdout.write(f"refused: {one.file or folder}, row {one.row}: {one.reason}\n")
    if not places:
        sys.stdout.write(f"There are no places of the state {settings.state_lgd()} in {folder}; nothing was changed.\n")
        return 1
    if level := rules.missing(old, places):
        sys.stdout.write(f"The files in {folder} leave no {level} standing: one is missing or unknown by its columns; nothing was changed.\n")
        return 1
    if many := rules.ending(old, places, end_percent):
        counts = ", ".join(f"{gone} of {stood} of level {of}" for of, (gone, stood) in many.items())
        more = max(math.ceil(100 * gone / stood) for gone, stood in many.values())
        sys.stdout.write(f"These would end: {counts}. Where that is meant, say `--end-percent {more}`; nothing was changed.\n")
        return 1
    geography.save(path, revised.places)
    for place in revised.alone:
        sys.stdout.write(f"ended: {place.path} ({place.name}), and no file says what follows it\n")
    refused = len(bad) + len(revised.bad)
    counts = f"{len(places)} places stand, {revised.new_lines} lines are new, {revised.ended} places end on {on}"
    counts += f", {refused} rows were refused: what they are about stays as it was" if refused else ", no row was refused"
    sys.stdout.write(f"{settings.instance()}: {counts}.\n")
    return 0


def note_import(by: str, on: date) -> None:
    file_sha256 = hashlib.sha256(Path(settings.text("LOKOS_GEOGRAPHY_FILE")).read_bytes()).hexdigest()
    with database.transaction(SERVICE) as connection:
        place_commands.note_import(connection, operator(by), on, file_sha256)


def follow(by: str) -> None:
    """Bring institutions and members to where their places are now, and say what a person must decide."""
    with shown("institutions follow their places") as advance:
        done = jobs.follow(SERVICE, advance, operator(by))
    here, on = places.geography(), today()
    for path, (found, ids) in done.undecided.items():
        might = "; or ".join(f"{place} ({here.name(place, on)})" for place in found)
        sys.stdout.write(f"undecided: {path} stands no more. " + (f"It may be {might}: choose by" if found else "Name what follows it, or choose by"))
        sys.stdout.write(f" `place --to PATH {' '.join(map(str, ids))}`\n")
    for institution_id, path in done.hindered.items():
        sys.stdout.write(f"hindered: {institution_id} belongs to {path}, where another has its name: rename one, then import again\n")
    for path, ids in done.unserved.items():
        sys.stdout.write(f"undecided: {path} stands no more, and is served by {' '.join(map(str, ids))}. Name what follows it, or edit their area\n")
    for path, day in done.days.items():
        sys.stdout.write(f"undecided: {path} stands no more, and has the cut-over day {day}. ")
        sys.stdout.write(f"Give it to what follows, by `cutover BLOCK --on {day}`, or to none, then `cutover {path} --forget`\n")
    told = f"{done.institutions} institutions and {done.members} members followed their places"
    told += f", and {done.areas} federations' areas" if done.areas else ""
    told += f", and {done.blocks} blocks' cut-over days" if done.blocks else ""
    sys.stdout.write(f"{settings.instance()}: {told}.\n")


def take_in_geography(folder: Path, on: date, end_percent: float, by: str) -> int:
    failed = import_geography(folder, on, end_percent)
    if not failed:
        note_import(by, on)
        follow(by)
    return failed


def place(institution_ids: list[UUID], to: str, by: str) -> int:
    try:
        with database.transaction(SERVICE) as connection:
            moved = place_commands.place(connection, operator(by), institution_ids, to, today())
    except Refused as refused:
        sys.stdout.write(f"refused: {refused}\n")
        return 1
    for institution_id in moved.hindered:
        sys.stdout.write(f"hindered: {institution_id}: another has its name in {to}; rename one first\n")
    sys.stdout.write(f"{settings.instance()}: {moved.institutions} institutions and {moved.members} members are now in {to}.\n")
    return 1 if moved.hindered else 0


def install_branches(branches: Path, digits: Path | None) -> int:
    """Take in a list of bank branches; 0 where there are some, though rows may have been left out."""
    path = Path(settings.text("LOKOS_IFSC_FILE"))
    texts = [file.read_text(encoding="utf-8-sig", errors="replace") if file else "" for file in (branches, digits)]
    try:
        count, bad = ifsc.install(texts[0], texts[1], path)
    except ValueError:
        count, bad = 0, []
    for one in bad[: ifsc.BAD_SHOWN]:
        sys.stdout.write(f"left out: row {one.row}: {one.reason}\n")
    if not count:
        sys.stdout.write(f"{branches} holds no bank branches: it must be a CSV with a column IFSC, or an IFSC.json. Nothing was changed.\n")
        return 1
    sys.stdout.write(f"{settings.instance()}: {count} branches are known from now on, {len(bad)} rows were left out.\n")
    return 0


def ask_banks(by: str) -> int:
    """Have the banks asked again, a page a transaction. Cut short, it does the rest when it is run again."""
    asked, after, more = 0, None, True
    with database.reading(SERVICE) as connection:
        unanswered = queries.unanswered(connection)
    with shown("accounts") as advance:
        while more:
            with database.transaction(SERVICE) as connection:
                count, after = account.ask_all_again(connection, operator(by), after)
            asked += count
            more = after is not None
            advance(count, unanswered)
    sys.stdout.write(f"{settings.instance()}: the banks will be asked about {asked} accounts.\n")
    return 0


def tell_anew(hearer: str) -> None:
    """Tell the current state to one hearer, each page in a transaction of its own."""
    for what, page in restate.PAGES[hearer].items():
        after: UUID | None = None
        pages = 0
        while True:
            with database.transaction(SERVICE) as connection:
                after = page(connection, hearer, after)
            pages += 1
            if after is None:
                break
            sys.stdout.write(f"{what} to {hearer}: {pages} pages of {restate.PAGE}\n")
        sys.stdout.write(f"{what} to {hearer}: all told\n")


def export_masters(file: Path) -> int:
    """Write the lists as they stand, to be edited and imported."""
    languages = list_edits.languages(settings.state().languages)
    with database.transaction(SERVICE) as connection:
        held = lists.entries_by_list(connection)
    rows = [list_edits.to_sheet(name, entry, languages) for name, entries in held.items() for entry in entries.values()]
    choices = {list_edits.COLUMNS["list"]: list(held), list_edits.COLUMNS["active"]: ("YES", "NO")}
    columns = [templates.Column(name, choices.get(name, ())) for name in list_edits.sheet_columns(languages)]
    file.write_bytes(templates.make("Lists", columns, list_edits.INSTRUCTIONS, rows))
    sys.stdout.write(f"{settings.instance()}: {len(rows)} values of {len(held)} lists are in {file}.\n")
    return 0


def import_masters(file: Path, by: str, *, dry_run: bool) -> int:
    """Take in a sheet that was exported and edited; 1 where a row was refused, the others are in all the same."""
    languages = list_edits.languages(settings.state().languages)
    try:
        rows = sheets.read(file.read_bytes(), list_edits.sheet_columns(languages))
        with database.transaction(SERVICE) as connection:
            answers = lists.edit_by_sheet(connection, operator(by), rows, languages, dry_run=dry_run)
    except Invalid as refused:
        sys.stderr.write(f"{refused}\n")
        return 1
    for number, answer in answers:
        if answer.refused:
            column = list_edits.COLUMNS.get(answer.refused.field, answer.refused.field)
            sys.stdout.write(f"refused: row {number}, {column}: {answer.refused}\n")
    changed = sum(answer.changed for _, answer in answers)
    refusals = sum(answer.refused is not None for _, answer in answers)
    would = "would change" if dry_run else "have changed"
    as_is = len(answers) - changed - refusals
    sys.stdout.write(f"{settings.instance()}: {changed} values {would}, {as_is} are as they were, {refusals} rows are refused.\n")
    return 1 if refusals else 0


def write_templates(folder: Path) -> int:
    """Write the two files of the old MIS, empty."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, columns in ((old_files.INSTITUTIONS, old_rules.INSTITUTION_COLUMNS), (old_files.MEMBERS, old_rules.MEMBER_COLUMNS)):
        try:
            old_files.template(folder / name, columns)
        except FileExistsError:
            sys.stderr.write(f"{folder / name} is there already, and was left as it is.\n")
            return 1
    return 0


def _batches(file: old_files.File, columns: Sequence[str]) -> Iterator[list[old.Row]]:
    """The rows of a file, so many at a time; federations before those below them, wherever they stand. Of members there is one kind."""
    first, *later = ("CLF", "VO", "SHG") if file.path.name == old_files.INSTITUTIONS else ("",)
    for wanted in (first, *later):
        kinds = ((line.cells.get("kind", "").upper(), line) for line in old_files.lines(file, columns))
        # What is of no kind is refused with the first.
        rows = (old.Row(line.number, line.cells, line.too_long) for kind, line in kinds if kind == wanted or (wanted == first and kind not in later))
        while batch := list(islice(rows, old.BATCH)):
            yield batch


def import_legacy(folder: Path, by: str, *, dry_run: bool) -> int:
    """Take in what the old MIS had; 1 where a row was refused, the others are in all the same."""
    takes = (
        (old_files.INSTITUTIONS, old.take_institutions, old_rules.INSTITUTION_COLUMNS, old_rules.INSTITUTION_NEEDED),
        (old_files.MEMBERS, old.take_members, old_rules.MEMBER_COLUMNS, old_rules.MEMBER_NEEDED),
    )
    there = [one for one in takes if (folder / one[0]).is_file()]
    if not there:
        sys.stderr.write(f"There is neither {old_files.INSTITUTIONS} nor {old_files.MEMBERS} in {folder}.\n")
        return 1
    try:
        files = [(old_files.look(folder / name, columns, needed), take, columns) for name, take, columns, needed in there]
        # A dry run is the whole import, taken back at its end: so members find the SHGs that would be there.
        with database.transaction(SERVICE) if dry_run else nullcontext() as all_of_it:
            refusals = sum([_import_file(file, take, columns, by, all_of_it) for file, take, columns in files])
            if all_of_it is not None:
                all_of_it.rollback()
    except Refused as refused:
        sys.stderr.write(f"{refused}\n")
        return 1
    return 1 if refusals else 0


def _import_file(file: old_files.File, take: old.Take, columns: Sequence[str], by: str, all_of_it: Connection | None) -> int:
    """How many of its rows were refused; each batch is in a transaction of its own, unless one holds all of it."""
    name, counts, started = file.path.name, Counter[old.Outcome](), time.monotonic()
    if file.columns_unread:
        sys.stdout.write(f"{name}: these columns are not read: {', '.join(file.columns_unread)}\n")
    source = old.Source(name, file.sha256, by)
    with shown(name) as advance, old_files.answers(file.path) as write:
        for batch in _batches(file, columns):
            with nullcontext(all_of_it) if all_of_it is not None else database.transaction(SERVICE) as connection:
                answers = take(connection, operator(by), source, batch, today())
            codes = {row.number: row.cells.get(old_rules.CODE, "") for row in batch}
            for one in answers:
                counts[one.outcome] += 1
                why = (one.refused.code, old_rules.column_of(one.refused.field), one.refused) if one.refused else ("", "", "")
                write(one.row, codes[one.row], one.outcome, one.record_id or "", *why)
            advance(len(batch), file.rows)
    rate = file.rows / max(time.monotonic() - started, 0.001)
    made, changed = ("would be made", "would change") if all_of_it is not None else ("made", "changed")
    told = f"{counts[old.Outcome.MADE]} {made}, {counts[old.Outcome.CHANGED]} {changed}, {counts[old.Outcome.SAME]} as they were"
    refused = counts[old.Outcome.REFUSED]
    sys.stdout.write(f"{settings.instance()}: {name}: {told}, {refused} refused; {rate:.0f} rows a second. Row by row: {name[:-4]}.answers.csv\n")
    return refused


def cut_over(block: str, on: date | None, by: str, *, forget: bool) -> int:
    """From when on a block enters here; without a day, when each does."""
    with database.transaction(SERVICE) as connection:
        if not block and (on or forget):
            sys.stderr.write("Which block?\n")
            return 1
        if not block:
            for path, day in cutover.days(connection).items():
                sys.stdout.write(f"{path} {places.geography().name(path, today())}: {day}\n")
            return 0
        try:
            # One that stands no more may have kept a day that nothing else took.
            path = block if forget and block in cutover.days(connection) else places.geography().find(Level.BLOCK, block, today(), "block")
        except Refused as refused:
            sys.stderr.write(f"{refused}\n")
            return 1
        if forget:
            cutover.forget_day(connection, operator(by), path)
        elif on:
            cutover.set_day(connection, operator(by), path, on)
        stands = cutover.days(connection).get(path, "no day")
    sys.stdout.write(f"{settings.instance()}: {path} {places.geography().name(path, today())}: {stands}\n")
    return 0


def _add_by(parser: argparse.ArgumentParser) -> None:
    who = os.environ.get("USER") or f"uid {os.getuid()}"
    parser.add_argument("--by", default=who, metavar="WHO", help="who does it, for the audit: an id, no person's name (default: this machine's user)")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m services.profiles", description=__doc__)
    doing = parser.add_subparsers(dest="command", required=True)
    about = "make this instance's geography file from LGD's CSV files: states, districts, blocks, villages and their mapping to Gram Panchayats"
    further = (
        "The folder holds the whole state: what is missing in it ends. Two more files may lie in it: one of old codes (Level, LGD Code, Legacy Code) "
        "and one of what followed places that ended (Level, Code, Successor Codes, On). Institutions and members then follow their places; "
        "run it again whenever it was cut short."
    )
    importing = doing.add_parser("geography", help=about, description=f"{about}. {further}")
    importing.add_argument("folder", type=Path, help="the folder of the CSV files, in LGD's own columns")
    importing.add_argument("--on", type=date.fromisoformat, default=today(), help="the day from which changes hold (today)")
    about = f"change nothing where more than this share of a level's places would end, and more than {rules.HANDFUL} (%(default)s)"
    importing.add_argument("--end-percent", type=float, default=rules.END_PERCENT_MAX, metavar="PERCENT", help=about)
    _add_by(importing)
    importing.set_defaults(run=lambda asked: take_in_geography(_folder(importing, asked.folder), asked.on, asked.end_percent, asked.by))
    about = "move institutions, with their members, from a place that ended to the one that you choose"
    placing = doing.add_parser("place", help=about, description=about)
    placing.add_argument("--to", required=True, metavar="PATH", help="where they lie now, such as 9.178.1204.77.5")
    _add_by(placing)
    placing.add_argument("institutions", type=UUID, nargs="+", metavar="ID")
    placing.set_defaults(run=lambda asked: place(asked.institutions, asked.to, asked.by))
    about = "tell the current state anew to one hearer"
    anew = doing.add_parser("restate", help=about, description=about)
    anew.add_argument("--to", required=True, choices=sorted(restate.PAGES), help="who is to hear it")
    anew.set_defaults(run=lambda asked: tell_anew(asked.to))
    about = "take in a list of bank branches, which IFSC are looked up in from then on"
    branches = doing.add_parser("ifsc", help=about, description=f"{about}. The list is the whole list: what is not in it is unknown.")
    branches.add_argument("file", type=Path, help="a CSV with the columns IFSC, BANK, BRANCH, or Razorpay's IFSC.json, which has codes alone")
    branches.add_argument("--digits", type=Path, help="a CSV with BANK (the four letters) and DIGITS (11 or 11 14): how long its account numbers are")
    branches.set_defaults(run=lambda asked: install_branches(_file(branches, asked.file), _file(branches, asked.digits) if asked.digits else None))
    about = "ask the banks again about each account that they gave no answer about"
    further = "Each question costs what the service takes for it. Work asks them some at a time, beside what is handed in meanwhile."
    asking = doing.add_parser("ask-banks", help=about, description=f"{about}, such as when there is a bank to ask at last. {further}")
    _add_by(asking)
    asking.set_defaults(run=lambda asked: ask_banks(asked.by))
    about = "the lists that forms offer, as a spreadsheet: export it, edit it, import it"
    masters = doing.add_parser("masters", help=about, description=about)
    masters.add_argument("way", choices=("export", "import"), help="import answers row by row; the same sheet again changes nothing")
    masters.add_argument("file", type=Path, help="the XLSX file; an export replaces it")
    masters.add_argument("--dry-run", action="store_true", help="of an import: answer as if, change nothing")
    _add_by(masters)
    masters.set_defaults(
        run=lambda asked: (
            export_masters(asked.file) if asked.way == "export" else import_masters(_file(masters, asked.file), asked.by, dry_run=asked.dry_run)
        )
    )
    _of_the_old_mis(doing)
    return parser


def _of_the_old_mis(doing: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    about = "take in what the old MIS had, from institutions.csv and members.csv"
    further = "Each row is answered in a file beside. The same rows again change nothing; what has begun to be verified is changed no more."
    importing = doing.add_parser("legacy", help=about, description=f"{about}. {further}")
    importing.add_argument("folder", type=Path, help="where the files lie; answers go there too")
    way = importing.add_mutually_exclusive_group()
    way.add_argument("--template", action="store_true", help="write the two files there, empty")
    way.add_argument("--dry-run", action="store_true", help="answer as if, change nothing")
    _add_by(importing)
    importing.set_defaults(
        run=lambda asked: write_templates(asked.folder) if asked.template else import_legacy(asked.folder, asked.by, dry_run=asked.dry_run)
    )
    about = "from which day on a block enters here, and no more on the old MIS; without a block, the day of each"
    cutting = doing.add_parser("cutover", help=about, description=about)
    cutting.add_argument("block", nargs="?", default="", metavar="BLOCK", help="its LGD code, or its path such as 9.178.1204")
    when = cutting.add_mutually_exclusive_group()
    when.add_argument(
        "--on", type=date.fromisoformat, metavar="DATE", help="until then nothing is handed in here for it, from then on no file is taken"
    )
    when.add_argument("--forget", action="store_true", help="it never had another system")
    _add_by(cutting)
    cutting.set_defaults(run=lambda asked: cut_over(asked.block, asked.on, asked.by, forget=asked.forget))


def _file(parser: argparse.ArgumentParser, path: Path) -> Path:
    if not path.is_file():
        parser.error(f"there is no file {path}")
    return path


def _folder(parser: argparse.ArgumentParser, path: Path) -> Path:
    if not path.is_dir():
        parser.error(f"there is no folder {path}")
    return path


def main() -> int:
    arguments = _parser().parse_args()
    return int(arguments.run(arguments) or 0)  # What has nothing to refuse says nothing.


if __name__ == "__main__":
    sys.exit(main())
