"""The operator's command line of dedup: python -m services.dedup --help."""

import argparse
import sys
from uuid import UUID

from services.chassis import database, logs
from services.dedup import commands, queries
from services.kernel.region import check_region

transaction = database.of("dedup")


def restate(hearer: str) -> None:
    """Tell one hearer the screenings of all members, each page in a transaction of its own."""
    told, after = 0, None
    while True:
        with transaction() as connection:
            page = commands.restate(connection, hearer, after)
        if not page:
            sys.stdout.write(f"{told} screenings told to {hearer}\n")
            return
        told, after = told + len(page), page[-1]
        sys.stdout.write(f"{told} screenings told, as far as {after}\n")


def rescreen(region: str) -> None:
    """Screen everybody in a region again, each in a transaction of her own, so that nobody else waits long."""
    done = 0
    after: UUID | None = None
    while True:
        with transaction() as connection:
            page = queries.members_after(connection, region, after, commands.PAGE)
        if not page:
            sys.stdout.write(f"{done} members screened\n")
            return
        for member_id in page:
            with transaction() as connection:
                commands.rescreen(connection, member_id)
        done, after = done + len(page), page[-1]
        sys.stdout.write(f"{done} members screened, as far as {after}\n")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m services.dedup", description="Screens again, and tells again what was found.")
    doing = parser.add_subparsers(dest="doing", required=True, metavar="COMMAND")
    told = doing.add_parser("restate", help="tell a hearer all screenings again")
    told.add_argument("--to", required=True, choices=["profiles"], metavar="HEARER", help="profiles")
    again = doing.add_parser("rescreen", help="screen the members of a region again, as after a change of the rules")
    again.add_argument("--region", required=True, help='an LGD path such as 9.178.1204; "" is everywhere')
    given = parser.parse_args()
    logs.start("dedup")
    if given.doing == "restate":
        restate(given.to)
    else:
        rescreen(check_region(given.region))


if __name__ == "__main__":
    main()
