"""Reads figures, contributions and how fresh they are."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import Connection, func, select, text

from services.kernel import region as regions
from services.kernel.region import Level
from services.kernel.tally import total
from services.reporting.rules import MEMBER, MEMBERS_ACTIVE, Contribution, Question
from services.reporting.rules.portfolio import Asked, HeadRow
from services.reporting.tables import bookkeeping, contributions, figures, freshness, tallies


@dataclass(frozen=True, slots=True)
class Row:
    """One region's values, in the order of the question's measures."""

    region: str
    values: list[int]


# Written out, because it is asked more often than anything else here, and building it costs more than running it.
_SUMS = text(
    "select region, measure, cast(sum(amount) as bigint) from figures"
    " where level = :level and region = any(cast(:regions as text[])) and month <= :to_month"
    " and measure = any(cast(:measures as smallint[])) and (month >= :from_month or measure = any(cast(:stocks as smallint[])))"
    " group by region, measure",
)


def report(connection: Connection, question: Question) -> tuple[list[Row], str]:
    """The rows of a page, and where the next one begins. A region without figures has no row, except the one asked for."""
    page, after = _regions(connection, question)
    sums = connection.execute(
        _SUMS,
        {
            "level": int(question.level),
            "regions": page,
            "from_month": question.from_month,
            "to_month": question.to_month,
            "measures": [measure.number for measure in question.measures],
            "stocks": list(question.stocks),
        },
    )
    found = {(region, measure): amount for region, measure, amount in sums}
    return [Row(region, [found.get((region, measure.number), 0) for measure in question.measures]) for region in page], after


def _regions(connection: Connection, question: Question) -> tuple[list[str], str]:
    if question.level == regions.level(question.region):
        return ([] if question.after else [question.region]), ""
    # "/" comes right after "." in the order of bytes: between the two lies all that is below the region.
    lower = max(question.after, question.region + ".")
    below = (figures.c.level == question.level, figures.c.region > lower, figures.c.region < question.region + "/")
    page = select(figures.c.region).distinct().where(*below).order_by(figures.c.region).limit(question.size + 1)
    found = list(connection.execute(page).scalars())
    return found[: question.size], found[question.size - 1] if len(found) > question.size else ""


def registered_members(connection: Connection, state: str) -> int:
    """The active members of the state, as of now."""
    total = select(func.coalesce(func.sum(figures.c.amount), 0)).where(
        figures.c.level == Level.STATE,
        figures.c.region == state,
        figures.c.measure == MEMBERS_ACTIVE.number,
    )
    return int(connection.execute(total).scalar_one())


def as_of(connection: Connection) -> datetime | None:
    """When the newest event that is in the figures was told; None before the first one."""
    newest: datetime | None = connection.execute(select(func.max(freshness.c.occurred_at))).scalar_one()
    return newest


def held(connection: Connection, subjects: Iterable[str]) -> dict[str, Contribution]:
    """The contributions of those subjects that have one."""
    rows = connection.execute(select(contributions).where(contributions.c.subject == func.any(list(subjects))))
    return {
        row.subject: Contribution(
            row.subject,
            row.version,
            row.occurred_at,
            Counter({(region, month, measure): amount for region, month, measure, amount in row.cells}),
            row.tallied_in,
            row.region,
            row.last_held_on,
        )
        for row in rows
    }


def meetings_kept(connection: Connection, block: str, from_month: str, to_month: str) -> dict[str, int]:
    """How many approved meetings of a block each bookkeeper kept the books of, by user id; both months included."""
    kept = select(bookkeeping.c.maker_user, func.sum(bookkeeping.c.meetings)).where(
        bookkeeping.c.block == block, bookkeeping.c.month.between(from_month, to_month)
    )
    rows = connection.execute(kept.group_by(bookkeeping.c.maker_user).order_by(bookkeeping.c.maker_user))
    return {maker_user: int(meetings) for maker_user, meetings in rows}


@dataclass(frozen=True, slots=True)
class Tally:
    """What the members of a block add up to, and when that was so."""

    block: str
    members: int
    fingerprint: int
    at: datetime | None


def told(connection: Connection) -> list[Tally]:
    """What the owner said, of the blocks that we do not yet agree on."""
    rows = connection.execute(select(tallies).order_by(tallies.c.block))
    return [Tally(row.block, row.members, row.fingerprint, row.told_at) for row in rows]


def copied(connection: Connection, block: str) -> Tally:
    """What our copies of the block's active members add up to, as of the newest of them."""
    of_block = select(contributions.c.subject, contributions.c.version, contributions.c.occurred_at).where(contributions.c.tallied_in == block)
    rows = connection.execute(of_block).all()
    members = ((UUID(row.subject.removeprefix(MEMBER)), row.version) for row in rows)
    return Tally(block, len(rows), total(members), max((row.occurred_at for row in rows), default=None))


def drifted(connection: Connection) -> int:
    """How many blocks' copies differ from what their owner said."""
    return connection.execute(select(func.count()).select_from(tallies).where(tallies.c.differs)).scalar_one()


# Whatever day is asked, each row is read once: what was changed by then, by when it falls due.
_PORTFOLIO = text(
    """
    select head,
        sum(loans), sum(outstanding),
        sum(loans) filter (where due_on < :b), sum(outstanding) filter (where due_on < :b),
        sum(loans) filter (where due_on < :b - 30), sum(outstanding) filter (where due_on < :b - 30),
        sum(loans) filter (where due_on < :b - 60), sum(outstanding) filter (where due_on < :b - 60),
        sum(loans) filter (where due_on < :b - 90), sum(outstanding) filter (where due_on < :b - 90),
        sum(scheduled - collected) filter (where due_on < :b),
        sum(scheduled - collected) filter (where changed_on < :a and due_on < :a),
        sum(case when changed_on < :a then scheduled - collected else scheduled end) filter (where due_on between :a and :b),
        sum(scheduled) filter (where changed_on >= :a and due_on < :a),
        sum(collected) filter (where changed_on >= :a and due_on < :a),
        sum(collected) filter (where changed_on >= :a and due_on between :a and :b),
        sum(collected) filter (where changed_on >= :a and due_on > :b),
        sum(scheduled - collected) filter (where due_on <= :b),
        sum(scheduled) filter (where due_on between :a and :b),
        sum(collected) filter (where due_on between :a and :b and changed_on <= due_on)
    from ageing where level = :level and region = :region and changed_on <= :b
    group by head order by head
    """.replace(":a", "cast(:a as date)").replace(":b", "cast(:b as date)")
)


def portfolio(connection: Connection, asked: Asked) -> list[HeadRow]:
    """By head; none of a head under which nothing was ever lent."""
    said = {"level": int(regions.level(asked.region)), "region": asked.region, "a": asked.from_on, "b": asked.to_on}
    return [HeadRow(head, *(int(amount or 0) for amount in amounts)) for head, *amounts in connection.execute(_PORTFOLIO, said)]
