"""The operator's command line: python -m services.reporting rebuild"""

import argparse
import sys

from services.chassis import database
from services.reporting import commands

OWNERS = ("identity", "profiles", "transactions")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m services.reporting", description="What an operator may do with the figures of this state.")
    verbs = parser.add_subparsers(dest="verb", required=True)
    verbs.add_parser("rebuild", help="empty all figures, so that the owners can tell their state again (make rebuild does both)")
    parser.parse_args()
    with database.transaction("reporting") as connection:
        commands.empty(connection)
    sys.stdout.write("The figures are empty. Have each owner tell its state again; until the last has, reports show less than there is:\n")
    sys.stdout.writelines(f"  python -m services.{owner} restate --to reporting\n" for owner in OWNERS)


if __name__ == "__main__":
    main()
