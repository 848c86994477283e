"""Changes figures: what a subject adds is replaced, what happened once is added."""

import json
from collections.abc import Mapping, Sequence
from datetime import datetime

from sqlalchemy import Connection, delete, func, text, update
from sqlalchemy.dialects.postgresql import insert

from services.chassis import mailbox
from services.kernel import region as regions
from services.kernel.tally import ON_THE_WAY
from services.reporting import queries, rules
from services.reporting.queries import Tally
from services.reporting.rules import Bookkeeping, Cells, Contribution, portfolio
from services.reporting.rules.portfolio import Amounts, Due
from services.reporting.tables import ageing, bookkeeping, contributions, figures, freshness, tallies

# Two batches that replace the same subject must not both take away the same old contribution. They would wait for each
# other anyway, at the state's own figures, where all of them end.
_ONE_AT_A_TIME = text("select pg_advisory_xact_lock(hashtext('lokos reporting contributions'))")

_KEEP = text(
    "insert into contributions (subject, version, occurred_at, cells, tallied_in, region, last_held_on)"
    " select subject, version, occurred_at, cast(cells as jsonb), tallied_in, region, last_held_on"
    " from unnest(cast(:subjects as text[]), cast(:versions as bigint[]), cast(:moments as timestamptz[]),"
    "   cast(:cells as text[]), cast(:blocks as text[]), cast(:regions as text[]), cast(:last_days as date[]))"
    "   as came (subject, version, occurred_at, cells, tallied_in, region, last_held_on)"
    " on conflict (subject) do update set"
    "   version = excluded.version, occurred_at = excluded.occurred_at, cells = excluded.cells, tallied_in = excluded.tallied_in,"
    "   region = excluded.region, last_held_on = excluded.last_held_on",
)

# In the order of the key, so that two batches wait for each other and never for a deadlock.
_ADD = text(
    "insert into figures (level, region, month, measure, amount)"
    " select level, region, month, measure, amount"
    " from unnest(cast(:levels as smallint[]), cast(:regions as text[]), cast(:months as text[]),"
    "   cast(:measures as smallint[]), cast(:amounts as bigint[])) as came (level, region, month, measure, amount)"
    " order by level, region, month, measure"
    " on conflict (level, region, month, measure) do update set amount = figures.amount + excluded.amount",
)

_ADD_KEPT = text(
    "insert into bookkeeping (block, month, maker_user, meetings)"
    " select block, month, maker_user, meetings"
    " from unnest(cast(:blocks as text[]), cast(:months as text[]), cast(:makers as text[]), cast(:meetings as integer[]))"
    "   as came (block, month, maker_user, meetings)"
    " order by block, month, maker_user"
    " on conflict (block, month, maker_user) do update set meetings = bookkeeping.meetings + excluded.meetings",
)

# In the order of the key, as the figures.
_ADD_DUES = text(
    "insert into ageing (level, region, head, changed_on, due_on, scheduled, collected, loans, outstanding)"
    " select level, region, head, changed_on, due_on, scheduled, collected, loans, outstanding"
    " from unnest(cast(:levels as smallint[]), cast(:regions as text[]), cast(:heads as text[]), cast(:changed_on as date[]),"
    "   cast(:due_on as date[]), cast(:scheduled as bigint[]), cast(:collected as bigint[]), cast(:loans as bigint[]),"
    "   cast(:outstanding as bigint[]))"
    "   as came (level, region, head, changed_on, due_on, scheduled, collected, loans, outstanding)"
    " order by level, region, head, changed_on, due_on"
    " on conflict (level, region, head, changed_on, due_on) do update set scheduled = ageing.scheduled + excluded.scheduled,"
    "   collected = ageing.collected + excluded.collected, loans = ageing.loans + excluded.loans,"
    "   outstanding = ageing.outstanding + excluded.outstanding",
)


def replace(connection: Connection, source: str, came: Sequence[Contribution]) -> None:
    """Let each subject add what its newest version adds, and no longer what an older one did."""
    connection.execute(_ONE_AT_A_TIME)
    held = queries.held(connection, {subject for contribution in came for subject in rules.of_one_institution(contribution.subject)})
    kept, change = rules.replace(held, came)
    if kept:
        connection.execute(
            _KEEP,
            {
                "subjects": [contribution.subject for contribution in kept],
                "versions": [contribution.version for contribution in kept],
                "moments": [contribution.occurred_at for contribution in kept],
                "cells": [json.dumps([[*cell, amount] for cell, amount in contribution.cells.items()]) for contribution in kept],
                "blocks": [contribution.tallied_in for contribution in kept],
                "regions": [contribution.region for contribution in kept],
                "last_days": [contribution.last_held_on for contribution in kept],
            },
        )
    _add(connection, change)
    _freshen(connection, source, max(contribution.occurred_at for contribution in came))


def add(connection: Connection, source: str, change: Cells, newest: datetime) -> None:
    """Add what happened; the inbox saw to it that it counts once."""
    _add(connection, change)
    _freshen(connection, source, newest)


def add_kept(connection: Connection, kept: Mapping[Bookkeeping, int]) -> None:
    """Add how many meetings each bookkeeper kept the books of; as above."""
    connection.execute(
        _ADD_KEPT,
        {
            "blocks": [one.block for one in kept],
            "months": [one.month for one in kept],
            "makers": [one.maker_user for one in kept],
            "meetings": list(kept.values()),
        },
    )


def add_dues(connection: Connection, change: Mapping[Due, Amounts]) -> None:
    """Add what happened, at every level; the inbox saw to it that it counts once."""
    rolled = portfolio.rolled_up(change)
    if rolled:
        keys, amounts = list(rolled), list(rolled.values())
        connection.execute(
            _ADD_DUES,
            {
                "levels": [int(regions.level(key.region)) for key in keys],
                "regions": [key.region for key in keys],
                "heads": [key.head for key in keys],
                "changed_on": [key.changed_on for key in keys],
                "due_on": [key.due_on for key in keys],
                **{name: [getattr(one, name) for one in amounts] for name in Amounts._fields},
            },
        )


def _add(connection: Connection, change: Cells) -> None:
    rolled = rules.rolled_up(change)
    if rolled:
        connection.execute(
            _ADD,
            {
                "levels": [int(regions.level(region)) for region, _, _ in rolled],
                "regions": [region for region, _, _ in rolled],
                "months": [month for _, month, _ in rolled],
                "measures": [measure for _, _, measure in rolled],
                "amounts": list(rolled.values()),
            },
        )


def _freshen(connection: Connection, source: str, newest: datetime) -> None:
    heard = insert(freshness).values(source=source, occurred_at=newest)
    later = func.greatest(freshness.c.occurred_at, heard.excluded.occurred_at)
    connection.execute(heard.on_conflict_do_update(index_elements=["source"], set_={"occurred_at": later}))


def note_tallies(connection: Connection, told: Sequence[Tally]) -> None:
    """Remember what the owner said of each block, the newest word only, until it is compared."""
    newest = {tally.block: tally for tally in sorted(told, key=lambda tally: (tally.block, tally.at))}
    rows = [{"block": tally.block, "told_at": tally.at, "members": tally.members, "fingerprint": tally.fingerprint} for tally in newest.values()]
    noted = insert(tallies).values(rows)
    new = {name: noted.excluded[name] for name in ("told_at", "members", "fingerprint")}
    connection.execute(
        noted.on_conflict_do_update(index_elements=["block"], set_=new, where=noted.excluded.told_at > tallies.c.told_at),
    )


def compare_tallies(connection: Connection, now: datetime) -> int:
    """Compare our copies with what the owner said of each block; returns in how many blocks they differ.

    A difference counts only when what was told before the tally has had time to come. Where a member changed after the
    tally, it no longer tells anything, and the next one will.
    """
    for said in queries.told(connection):
        ours = queries.copied(connection, said.block)
        assert said.at is not None
        if (ours.members, ours.fingerprint) == (said.members, said.fingerprint):
            connection.execute(delete(tallies).where(tallies.c.block == said.block))
        elif now - said.at > ON_THE_WAY and (ours.at is None or ours.at <= said.at):
            connection.execute(update(tallies).where(tallies.c.block == said.block).values(differs=True))
    return queries.drifted(connection)


def empty(connection: Connection) -> None:
    """Forget all figures, what they came from, and that it was ever heard, so that all of it may be told again."""
    # The inbox first: a batch under way holds it, and whoever waits there holds nothing yet.
    tables = (mailbox.inbox, mailbox.inbox_pruned, contributions, figures, ageing, bookkeeping, freshness, tallies)
    connection.execute(text(f"truncate {', '.join(table.name for table in tables)}"))
