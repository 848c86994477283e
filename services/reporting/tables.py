"""Stores figures by region and month, what each subject adds to them, and how fresh they are."""

from sqlalchemy import BigInteger, Boolean, Column, Date, DateTime, Index, Integer, MetaData, PrimaryKeyConstraint, SmallInteger, Table, Text
from sqlalchemy.dialects.postgresql import JSONB

metadata = MetaData()

# A row for every level, so that a report is a lookup (decision 31). The level comes first: a report reads the regions of
# one level in the order of their paths. `region` is an LGD path, `measure` a number of rules.Measure.
figures = Table(
    "figures",
    metadata,
    Column("level", SmallInteger, primary_key=True),
    Column("region", Text, primary_key=True),
    Column("month", Text, primary_key=True),
    Column("measure", SmallInteger, primary_key=True),
    Column("amount", BigInteger, nullable=False),
    # Amounts change often and are in no index: with room left on the page, a change rewrites nothing else.
    postgresql_with={"fillfactor": 70},
)

# What was added for a subject, and so must be taken away when it changes; kept as cells, not as facts, since another
# version of the rules may count the same facts otherwise. `cells` is a list of [region, month, measure, amount]. `region` is of
# institutions and their books, which follow them; the last day is of books, since how long a group has not met no cell can say.
contributions = Table(
    "contributions",
    metadata,
    Column("subject", Text, primary_key=True),
    Column("version", BigInteger, nullable=False),
    Column("occurred_at", DateTime(timezone=True), nullable=False),
    Column("cells", JSONB, nullable=False),
    Column("tallied_in", Text, nullable=False, server_default=""),
    Column("region", Text),
    Column("last_held_on", Date),
    postgresql_with={"fillfactor": 80},
)
Index("contributions_tallied", contributions.c.tallied_in, postgresql_where=contributions.c.tallied_in != "")

# How many approved meetings of a month each bookkeeper kept the books of; `maker_user` is a user id, `block` the path of a block.
bookkeeping = Table(
    "bookkeeping",
    metadata,
    Column("block", Text, primary_key=True),
    Column("month", Text, primary_key=True),
    Column("maker_user", Text, primary_key=True),
    Column("meetings", Integer, nullable=False),
    postgresql_with={"fillfactor": 70},
)

# What was changed on a day of one due date of the loans under a head (portfolio.py): of blocks, districts and the state. Amounts in paise.
# A region's rows come over years, each day's beside those of all other regions; its key holds the amounts as well, so that an answer
# is read from one place of the index and not from a page a row.
ageing = Table(
    "ageing",
    metadata,
    Column("level", SmallInteger),
    Column("region", Text),
    Column("head", Text),
    Column("changed_on", Date),
    Column("due_on", Date),
    Column("scheduled", BigInteger, nullable=False),
    Column("collected", BigInteger, nullable=False),
    Column("loans", BigInteger, nullable=False),
    Column("outstanding", BigInteger, nullable=False),
    PrimaryKeyConstraint(*("level", "region", "head", "changed_on", "due_on"), postgresql_include=["scheduled", "collected", "loans", "outstanding"]),
)

# When the newest event heard from each source was told. A quiet night looks like a queue that stands still; which of the
# two it is, the metrics of the queue tell.
freshness = Table(
    "freshness",
    metadata,
    Column("source", Text, primary_key=True),
    Column("occurred_at", DateTime(timezone=True), nullable=False),
)

# What the owner said that the copies of a block's members must add up to, until they do. `differs` is drift: a work item.
tallies = Table(
    "tallies",
    metadata,
    Column("block", Text, primary_key=True),
    Column("told_at", DateTime(timezone=True), nullable=False),
    Column("members", BigInteger, nullable=False),
    Column("fingerprint", BigInteger, nullable=False),
    Column("differs", Boolean, nullable=False, server_default="false"),
)
