"""What an auditor asks of an instance: python -m services.chassis.auditor verify | show

`verify` walks each service's chain from its beginning and names the first broken link; the exit code is 1 where there is
one. `show` tells who saw and who changed a subject, or what a user saw and changed. Both only read.
"""

import argparse
import csv
import heapq
import re
import sys
from collections.abc import Iterator, Sequence
from datetime import date, datetime, time, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import Row, Text, cast, select

from services.chassis import chain, database, logs, settings
from services.chassis.audit import ROWS_MAX, audit
from services.kernel.money import grouped, in_words
from services.kernel.month import IST

SHOWN_EVERY = 100_000
HEADER = ("time (IST)", "service", "user", "role", "action", "subjects", "facts", "request id")
# What a spreadsheet would run as a formula.
_RUN = ("=", "+", "-", "@", "\t", "\r")

Noted = tuple[str, int, bytes]


# --- Verify.


def verify(services: Sequence[str], noted: Sequence[Noted]) -> bool:
    """Walk the chains of these services and tell what was found; whether all fit."""
    found = [_verify(service, [(place, seal) for of, place, seal in noted if of == service]) for service in services]
    return all(found)


def _verify(service: str, noted: Sequence[tuple[int, bytes]]) -> bool:
    walked = 0

    def advance(rows: int) -> None:
        nonlocal walked
        if walked // SHOWN_EVERY != (walked := walked + rows) // SHOWN_EVERY:
            sys.stderr.write(f"{service}: {in_words(walked)} rows\n")

    with database.reading(service) as connection:
        connection.exec_driver_sql("set statement_timeout = 0")  # A long chain has its counts, and nobody else waits for them.
        made = chain.verify(connection, service, noted, advance)
    for fault in made.faults:
        sys.stdout.write(f"{service}: BROKEN at {fault}\n")
    if not made.faults:
        ids = f"; {grouped(made.missing_ids)} ids have no row" if made.missing_ids else ""
        sys.stdout.write(f"{service}: {in_words(made.rows)} rows fit{ids}; head {made.head or 'none yet'}\n")
    if made.unsealed:
        sys.stdout.write(f"{service}: {in_words(made.unsealed)} rows are not sealed yet\n")
    return not made.faults


def _head(text: str) -> Noted:
    match = re.fullmatch(r"([a-z]+):([1-9][0-9]{0,17}):([0-9a-f]{64})", text)
    if match is None or match[1] not in settings.services():
        raise argparse.ArgumentTypeError(f"{text[:100]!r} is no head; copy one as SERVICE:PLACE:SEAL from a log or from an earlier verify")
    return match[1], int(match[2]), bytes.fromhex(match[3])


# --- Show.


def show(services: Sequence[str], subject: str, user: str, days: tuple[date | None, date | None], *, as_csv: bool) -> None:
    """Write what is asked for to standard output, the oldest first."""
    lines = heapq.merge(*(_lines(service, subject, user, days) for service in services), key=lambda line: line[0])
    if as_csv:
        sys.stdout.write("\ufeff")  # By which a spreadsheet knows UTF-8.
        writer = csv.writer(sys.stdout)
        writer.writerow(HEADER)
        writer.writerows([cell(text) for text in line] for line in lines)
        return
    for line in lines:
        # What a terminal would obey is shown, not sent.
        sys.stdout.write("  ".join(text if text.isprintable() else ascii(text) for text in line if text) + "\n")


def _lines(service: str, subject: str, user: str, days: tuple[date | None, date | None]) -> Iterator[tuple[str, ...]]:
    with database.transaction(service) as connection:
        # All that an instance ever audited may take minutes to look through, and one service waits for the others.
        connection.exec_driver_sql("set transaction read only")
        connection.exec_driver_sql("set local statement_timeout = 0; set local idle_in_transaction_session_timeout = 0")
        with connection.execution_options(yield_per=ROWS_MAX).execute(_asked(subject, user, days)) as rows:
            for row in rows:
                yield _line(service, row)


def _asked(subject: str, user: str, days: tuple[date | None, date | None]) -> Any:  # noqa: ANN401 - a statement
    columns = (audit.c.user_id, audit.c.role, audit.c.action, audit.c.request_id, cast(audit.c.facts, Text).label("facts"))
    asked = select(chain.moment(audit.c.at).label("at"), cast(audit.c.subjects, Text).label("subjects"), *columns).order_by(audit.c.at, audit.c.id)
    if subject:
        asked = asked.where(audit.c.subjects.has_key(subject))
    if user:
        asked = asked.where(audit.c.user_id == user)
    first, last = days
    if first:
        asked = asked.where(audit.c.at >= datetime.combine(first, time(), IST))
    if last:
        asked = asked.where(audit.c.at < datetime.combine(last + timedelta(days=1), time(), IST))
    return asked


def _line(service: str, row: Row[Any]) -> tuple[str, ...]:
    return chain.local_time(row.at), service, row.user_id, row.role, row.action, row.subjects, row.facts, row.request_id


def cell(text: str) -> str:
    """A text as a spreadsheet shows it and does not run it."""
    return f"'{text}" if text.startswith(_RUN) else text


def _subject(text: str) -> str:
    """An id as the audit has it, however it is written."""
    try:
        return str(UUID(text))
    except ValueError:
        return text


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text[:20]!r} is no date; write it as 2026-01-31") from None


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m services.chassis.auditor", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    asks = parser.add_subparsers(dest="ask", required=True)
    verifying = asks.add_parser("verify", help="walk the chains, and name the first broken link of each")
    verifying.add_argument(
        "--head",
        dest="heads",
        action="append",
        default=[],
        type=_head,
        metavar="SERVICE:PLACE:SEAL",
        help="a head that was noted elsewhere; repeatable",
    )
    showing = asks.add_parser("show", help="who saw, who changed")
    showing.add_argument("--subject", default="", type=_subject, metavar="ID", help="a member, institution, meeting or user")
    showing.add_argument("--user", default="", metavar="USER", help="only what this user did")
    showing.add_argument("--from", dest="first", type=_day, metavar="DATE", help="from this day on, in India")
    showing.add_argument("--to", dest="last", type=_day, metavar="DATE", help="to this day, which is included")
    showing.add_argument("--csv", action="store_true", help="as CSV, for a spreadsheet")
    for one in (verifying, showing):
        one.add_argument("services", nargs="*", metavar="SERVICE", help=f"{', '.join(settings.services())}; all where none is named")
    return parser


def main() -> int:
    parser = _parser()
    given = parser.parse_args()
    services = given.services or settings.services()
    if unknown := [service for service in services if service not in settings.services()]:
        parser.error(f"there is no service {unknown[0]!r}; this instance has {', '.join(settings.services())}")
    logs.start("auditor")
    if given.ask == "verify":
        if missed := [of for of, _, _ in given.heads if of not in services]:
            parser.error(f"a head of {missed[0]} is given, and {missed[0]} is not to be verified")
        return 0 if verify(services, given.heads) else 1
    if not (given.subject or given.user):
        parser.error("name a --subject or a --user")
    if given.first and given.last and given.first > given.last:
        parser.error("--from is after --to")
    show(services, given.subject, given.user, (given.first, given.last), as_csv=given.csv)
    return 0


if __name__ == "__main__":
    sys.exit(main())
