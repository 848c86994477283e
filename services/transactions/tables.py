"""What the books are kept in. The copies are told by profiles; of the rest this service is the owner."""

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    Date,
    DateTime,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    Uuid,
)
from sqlalchemy.dialects.postgresql import JSONB

metadata = MetaData()

# Copies. The version decides which news stands, never the order in which they come.
institutions = Table(
    "institutions",
    metadata,
    Column("institution_id", Uuid, primary_key=True),
    Column("kind", Text, nullable=False),
    Column("region", Text, nullable=False),
    Column("status", Text, nullable=False),
    Column("parent_id", Uuid),
    Column("formed_on", Date),
    # Since when it is in being again, and [from, to] of each time before; neither where it never ended.
    Column("since_on", Date),
    Column("ended", JSONB(none_as_null=True)),
    Column("version", BigInteger, nullable=False),
    Index("institutions_parent", "parent_id"),  # What an approver sees lies below her federations.
)

members = Table(
    "members",
    metadata,
    Column("member_id", Uuid, primary_key=True),
    Column("institution_id", Uuid, nullable=False),
    Column("status", Text, nullable=False),
    Column("region", Text, nullable=False),
    # Since when she is there, and [institution, from, to] of each stay before; neither where she was nowhere else.
    Column("since_on", Date),
    Column("ended", JSONB(none_as_null=True)),
    Column("version", BigInteger, nullable=False),
)
# For the nightly comparison, block by block.
Index("members_region", members.c.region)

# Where a copy of a block's members differed from what their owner said of them, until it is equal.
drift = Table(
    "drift",
    metadata,
    Column("block", Text, primary_key=True),
    Column("members_told", BigInteger, nullable=False),
    Column("fingerprint_told", BigInteger, nullable=False),
    Column("members_held", BigInteger, nullable=False),
    Column("found_at", DateTime(timezone=True), nullable=False),
)

# The latest position of an institution, meetings not yet approved included. Whoever changes anything of its books adds
# one to `version`, so that a writer knows whether what it read still stands.
chains = Table(
    "chains",
    metadata,
    Column("institution_id", Uuid, primary_key=True),
    Column("last_number", Integer, nullable=False),
    Column("last_held_on", Date),
    Column("approved_through", Integer, nullable=False),
    Column("cash_paise", BigInteger, nullable=False),
    Column("bank_paise", BigInteger, nullable=False),
    Column("version", BigInteger, nullable=False),
    CheckConstraint("cash_paise >= 0 and bank_paise >= 0", name="chains_not_negative"),
    CheckConstraint("approved_through between 0 and last_number", name="chains_approved"),
)

# One row a meeting, as its newest revision was sent.
meetings = Table(
    "meetings",
    metadata,
    Column("meeting_id", Uuid, primary_key=True),
    Column("institution_id", Uuid, nullable=False),
    Column("revision", Integer, nullable=False),
    Column("number", Integer, nullable=False),
    Column("held_on", Date, nullable=False),
    Column("content", JSONB, nullable=False),
    Column("content_hash", LargeBinary, nullable=False),
    Column("status", Text, nullable=False),
    Column("maker_user", Text, nullable=False),
    Column("maker_person", Text, nullable=False),
    Column("stored_at", DateTime(timezone=True), nullable=False),
    Column("remark", Text, nullable=False, server_default=""),
    Column("decided_by", Text, nullable=False, server_default=""),
    Column("decided_person", Text, nullable=False, server_default=""),
    Column("decided_at", DateTime(timezone=True)),
    # Where the institution lay when the meeting was approved: a restatement says the same.
    Column("region", Text),
)
Index("meetings_number", meetings.c.institution_id, meetings.c.number)

# Written once. The lines of a meeting's newest revision count, unless it is rejected; those of older ones stay to be
# read. Partitioned by the month in the meeting's id (decision 28). No foreign keys and no second index: lines are
# written in one statement with their meeting and found through it, and either would double the cost of writing.
lines = Table(
    "lines",
    metadata,
    Column("meeting_id", Uuid, primary_key=True),
    Column("revision", Integer, primary_key=True),
    Column("line", Integer, primary_key=True),
    Column("institution_id", Uuid, nullable=False),
    Column("member_id", Uuid),
    Column("loan_id", Uuid),
    Column("debit", Text, nullable=False),
    Column("credit", Text, nullable=False),
    Column("amount_paise", BigInteger, nullable=False),
    CheckConstraint("amount_paise > 0 and debit <> credit", name="lines_sound"),
    postgresql_partition_by="RANGE (meeting_id)",
)

# What lines come to, kept so that the next meeting need not add them all up; `verify` compares.
balances = Table(
    "balances",
    metadata,
    Column("institution_id", Uuid, primary_key=True),
    Column("member_id", Uuid, primary_key=True),
    Column("compulsory_paise", BigInteger, nullable=False),
    Column("voluntary_paise", BigInteger, nullable=False),
    CheckConstraint("compulsory_paise >= 0 and voluntary_paise >= 0", name="balances_not_negative"),
)

loans = Table(
    "loans",
    metadata,
    Column("loan_id", Uuid, primary_key=True),
    Column("institution_id", Uuid, nullable=False),
    Column("member_id", Uuid, nullable=False),
    Column("meeting_id", Uuid, nullable=False),
    Column("principal_paise", BigInteger, nullable=False),
    Column("outstanding_paise", BigInteger, nullable=False),
    Column("annual_rate_basis_points", Integer, nullable=False),
    Column("months", Integer, nullable=False),
    CheckConstraint("outstanding_paise between 0 and principal_paise", name="loans_outstanding"),
)
Index("loans_institution", loans.c.institution_id)
