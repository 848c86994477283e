"""For operators: python -m services.transactions restate --to reporting; python -m services.transactions verify."""

import argparse
import sys

from services.chassis.database import transaction
from services.transactions import queries
from services.transactions.commands import upkeep

SERVICE = "transactions"


def restate(hearer: str) -> int:
    """Tell every approved meeting again, and where all books stand, page by page; a hearer counts each once."""
    for words, page in (("approved meetings", upkeep.restate_approved), ("institutions' books", upkeep.restate_moved)):
        told, after, count = 0, None, -1
        while count:
            with transaction(SERVICE) as connection:
                after, count = page(connection, hearer, after)
            told += count
            sys.stdout.write(f"{told} {words} told to {hearer}\n")
    return 0


def verify() -> int:
    """Add up all lines and compare with the positions kept."""
    with transaction(SERVICE) as connection:
        connection.exec_driver_sql("set local statement_timeout = 0")
        adrift = queries.adrift(connection)
    for institution_id in adrift:
        sys.stdout.write(f"The position of {institution_id} is not the sum of its lines.\n")
    sys.stdout.write(f"{len(adrift)} institutions are adrift.\n")
    return 1 if adrift else 0


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m services.transactions", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    restating = commands.add_parser("restate", help="tell the journal of approved meetings anew", description=restate.__doc__)
    restating.add_argument("--to", required=True, metavar="HEARER", choices=["reporting"], help="who shall hear it: reporting")
    commands.add_parser("verify", help="compare every position with the sum of its lines", description=verify.__doc__)
    given = parser.parse_args()
    return restate(given.to) if given.command == "restate" else verify()


if __name__ == "__main__":
    sys.exit(main())
