"""For operators: python -m services.profiles --help"""

import argparse
import sys
from datetime import date
from pathlib import Path
from uuid import UUID

from services.chassis import database, settings
from services.kernel import geography
from services.kernel.month import today
from services.profiles.commands import restate
from services.profiles.rules import geography as rules

SERVICE = "profiles"


def import_geography(folder: Path, on: date) -> int:
    """Take in LGD's CSV files; 0 where there are places to save, though rows may have been refused."""
    files = {file.name: file.read_text(encoding="utf-8-sig", errors="replace") for file in sorted(folder.glob("*.csv"))}
    places, bad = rules.places(rules.read(files, settings.state_lgd()))
    for one in bad:
        sys.stdout.write(f"refused: {one.file or folder}, row {one.row}: {one.reason}\n")
    if not places:
        sys.stdout.write(f"There are no places of the state {settings.state_lgd()} in {folder}; nothing was changed.\n")
        return 1
    path = Path(settings.text("LOKOS_GEOGRAPHY_FILE"))
    old = geography.read_places(path)
    revised = rules.revise(old, places, on)
    geography.save(path, revised)
    began, ended = len(set(revised) - set(old)), sum(place.valid_to == on for place in revised)
    counts = f"{len(places)} places stand, {began} lines are new, {ended} places end on {on}, {len(bad)} rows were refused"
    sys.stdout.write(f"{settings.instance()}: {counts}.\n")
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


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m services.profiles", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    about = "make this instance's geography file from LGD's CSV files: states, districts, blocks, villages and their mapping to Gram Panchayats"
    places = commands.add_parser("geography", help=about, description=f"{about}. The folder holds the whole state: what is missing in it ends.")
    places.add_argument("folder", type=Path, help="the folder of the CSV files, in LGD's own columns")
    places.add_argument("--on", type=date.fromisoformat, default=today(), help="the day from which changes hold (today)")
    about = "tell the current state anew to one hearer"
    anew = commands.add_parser("restate", help=about, description=about)
    anew.add_argument("--to", required=True, choices=sorted(restate.PAGES), help="who is to hear it")
    arguments = parser.parse_args()
    if arguments.command == "geography":
        if not arguments.folder.is_dir():
            parser.error(f"there is no folder {arguments.folder}")
        return import_geography(arguments.folder, arguments.on)
    tell_anew(arguments.to)
    return 0


if __name__ == "__main__":
    sys.exit(main())
