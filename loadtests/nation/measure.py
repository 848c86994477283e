"""What a loaded state takes on the disk, by service and table: the rows of docs/capacity.md."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import psycopg

from loadtests.nation.load import END, noted, tables

# A partitioned table has no pages of its own: what its partitions take is counted with it.
_SIZES = """
select coalesce(p.inhparent::regclass, c.oid::regclass)::text, sum(pg_table_size(c.oid))::bigint, sum(pg_indexes_size(c.oid))::bigint
from pg_class c left join pg_inherits p on p.inhrelid = c.oid
where c.relnamespace = current_schema()::regnamespace and c.relkind in ('r', 'p')
group by 1
"""
BY_MEETING = ("meetings", "chains", "balances", "loans", "bookkeeping", "ageing")


@dataclass(frozen=True, slots=True)
class Size:
    """One table with all its indexes."""

    service: str
    table: str
    rows: int
    table_bytes: int
    index_bytes: int

    @property
    def bytes(self) -> int:
        return self.table_bytes + self.index_bytes


def sizes(open_to: Mapping[str, psycopg.Connection[Any]]) -> list[Size]:
    found = []
    for service, connection in open_to.items():
        taken = {name: (table, index) for name, table, index in connection.execute(_SIZES)}
        for table in tables(service):
            (rows,) = connection.execute(f"select count(*) from {table}").fetchone() or (0,)  # noqa: S608 - our own table's name
            if rows:
                found.append(Size(service, table, rows, *taken[table]))
    return found


def rows(code: str, open_to: Mapping[str, psycopg.Connection[Any]]) -> list[str]:
    """The page's rows for this load: each service's bytes a member, and the bytes a meeting; then table by table."""
    note = noted(open_to["profiles"])
    if note.action != END:
        return [f"{code} holds no synthetic load; nothing is measured."]
    members, found = int(note.facts["members"]), sizes(open_to)
    count = {size.table: size.rows for size in found}
    meetings = count.get("meetings", 0)
    of_members = [size for size in found if size.table not in BY_MEETING]
    services = list(dict.fromkeys(size.service for size in of_members))
    each = [sum(size.bytes for size in of_members if size.service == service) / members for service in services]
    of_meeting = sum(size.bytes for size in found if size.table in BY_MEETING) / meetings if meetings else 0
    seconds = note.facts["seconds"]
    lines = [
        f"| members | {' | '.join(f'{service}, bytes a member' for service in services)} | together | bytes a meeting | load, members a second |",
        f"|---|{'---|' * (len(services) + 3)}",
        f"| {members} | {' | '.join(f'{one:.0f}' for one in each)} | {sum(each):.0f} | {of_meeting:.0f} | {members / max(seconds, 1):.0f} |",
        "",
        "| table | rows | bytes a row, with its part of the pages | of that, indexes |",
        "|---|---|---|---|",
    ]
    lines += [f"| {size.service}.{size.table} | {size.rows} | {size.bytes / size.rows:.0f} | {size.index_bytes / size.rows:.0f} |" for size in found]
    return lines
