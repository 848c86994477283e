"""For operators: python -m services.transactions restate --to reporting; python -m services.transactions verify. For whoever checks our
schedules, on any machine and without any books: python -m services.transactions quote FILE.json.
"""

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from services.kernel.errors import Refused
from services.transactions.rules import quote

STANDARD_INPUT = "-"
SERVICE = "transactions"


def restate(hearer: str) -> int:
    """Tell every approved meeting again, and where all books stand, page by page; a hearer counts each once."""
    # Here, so that to quote a schedule needs neither database nor settings.
    from services.chassis.database import transaction
    from services.transactions.commands import upkeep

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
    from services.chassis.database import transaction
    from services.transactions import queries

    with transaction(SERVICE) as connection:
        connection.exec_driver_sql("set local statement_timeout = 0")
        adrift = queries.adrift(connection)
    for institution_id in adrift:
        sys.stdout.write(f"The position of {institution_id} is not the sum of its lines.\n")
    sys.stdout.write(f"{len(adrift)} institutions are adrift.\n")
    return 1 if adrift else 0


def quote_file(name: str, indent: int | None) -> int:
    """Print the schedule of each loan of a JSON list, or why it is refused, as a JSON list in the same order (docs/quote.md). It exits 1
    if any was refused, 2 if the file cannot be read as a list.
    """
    try:
        loans = json.loads(sys.stdin.buffer.read() if name == STANDARD_INPUT else Path(name).read_bytes())
    except OSError as error:
        return _unread(f"{name} cannot be read: {error.strerror}.")
    except (ValueError, RecursionError) as error:
        return _unread(f"{name} is no JSON: {error}.")
    if not isinstance(loans, list):
        return _unread(f"{name} is JSON, but no list of loans.")
    answers = [_answer(loan) for loan in loans]
    sys.stdout.write(json.dumps(answers, indent=indent) + "\n")
    return 1 if any("refusal" in answer for answer in answers) else 0


def _unread(sentence: str) -> int:
    sys.stderr.write(sentence + "\n")
    return 2


def _answer(loan: object) -> dict[str, Any]:
    try:
        return quote.plain(quote.quote(quote.read(loan)))
    except Refused as refused:
        return {"refusal": {"code": refused.code, "sentence": str(refused), "field": refused.field}}


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m services.transactions", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    restating = commands.add_parser("restate", help="tell the journal of approved meetings anew", description=restate.__doc__)
    restating.add_argument("--to", required=True, metavar="HEARER", choices=["reporting"], help="who shall hear it: reporting")
    commands.add_parser("verify", help="compare every position with the sum of its lines", description=verify.__doc__)
    quoting = commands.add_parser("quote", help="the schedules of a list of loans, for others to check", description=quote_file.__doc__)
    quoting.add_argument("file", metavar="FILE", help="a JSON list of loans (docs/quote.md); - is standard input")
    quoting.add_argument("--indent", action="store_const", const=2, help="over many lines, to be read by people")
    given = parser.parse_args()
    if given.command == "quote":
        return quote_file(given.file, given.indent)
    return restate(given.to) if given.command == "restate" else verify()


if __name__ == "__main__":
    sys.exit(main())
