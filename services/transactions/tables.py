"""What the books are kept in. The copies are told by profiles; of the rest this service is the owner."""

from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Date,
    DateTime,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    SmallInteger,
    Table,
    Text,
    Uuid,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

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
    # [row_id, last day or null] of each of its bank accounts; nothing where it has none.
    Column("banks", JSONB(none_as_null=True)),
    # What each member saves, and how often: WEEKLY, FORTNIGHTLY or MONTHLY.
    Column("compulsory_paise", BigInteger, nullable=False, server_default="0"),
    Column("savings_frequency", Text, nullable=False, server_default=""),
    Column("version", BigInteger, nullable=False),
    Index("institutions_parent", "parent_id"),  # What an approver sees lies below her federations,
    Index("institutions_region", "region"),  # and what an officer sees in her region.
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
# For the nightly comparison, block by block; and an institution's own, for a device.
Index("members_region", members.c.region)
Index("members_institution", members.c.institution_id)

# Copy of the duplicate check's cases: active members of whom another record proved to be the same woman, and whether that is open. Few; who
# once was stays, so that a flag tells of whom it was raised.
contested = Table(
    "contested",
    metadata,
    Column("member_id", Uuid, primary_key=True),
    Column("open", Boolean, nullable=False),
    Column("version", BigInteger, nullable=False),
)

# What a supervisor let go on all the same: the loans of one revision of a meeting to one such member.
allowed = Table(
    "allowed",
    metadata,
    Column("meeting_id", Uuid, primary_key=True),
    Column("revision", Integer, primary_key=True),
    Column("member_id", Uuid, primary_key=True),
    Column("allowed_at", DateTime(timezone=True), nullable=False),
    Column("allowed_by", Text, nullable=False),
    Column("reason", Text, nullable=False),
)

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

# Where an institution stands, meetings not yet approved included. Whoever changes anything of its books adds one to
# `version`, so that a writer knows whether what it read still stands.
chains = Table(
    "chains",
    metadata,
    Column("institution_id", Uuid, primary_key=True),
    Column("last_number", Integer, nullable=False),
    Column("last_meeting_id", Uuid),
    Column("last_held_on", Date),
    Column("approved_through", Integer, nullable=False),
    Column("highest_number", Integer, nullable=False),  # What lies above the last was handed back, and not sent again.
    Column("version", BigInteger, nullable=False),
    # Which session has the books on its device, and the number that its meetings must bring (TakeBooks).
    Column("lock", BigInteger, nullable=False, server_default="0"),
    Column("lock_session", Uuid),
    CheckConstraint("approved_through between 0 and last_number and last_number <= highest_number", name="chains_in_order"),
)


def _of_meetings() -> list[Column[Any]]:
    """A meeting as one revision of it was sent, its lines packed in arrays (rules/packed.py, docs/decisions/0015)."""
    return [
        Column("institution_id", Uuid, nullable=False),
        Column("number", Integer, nullable=False),
        Column("held_on", Date, nullable=False),
        Column("status", Text, nullable=False),
        Column("content_hash", LargeBinary, nullable=False),
        Column("ids", ARRAY(Uuid), nullable=False),
        Column("content", LargeBinary, nullable=False),
        Column("debit", ARRAY(SmallInteger), nullable=False),
        Column("credit", ARRAY(SmallInteger), nullable=False),
        Column("debit_of", ARRAY(SmallInteger), nullable=False),
        Column("credit_of", ARRAY(SmallInteger), nullable=False),
        Column("paise", ARRAY(BigInteger), nullable=False),
        Column("flags", ARRAY(Text), nullable=False),
        Column("maker_user", Text, nullable=False),
        Column("maker_person", Text, nullable=False),
        Column("stored_at", DateTime(timezone=True), nullable=False),
        Column("decided_at", DateTime(timezone=True)),
        Column("decided_by", Text),
        Column("decided_person", Text),
        Column("reasons", ARRAY(Text)),
        Column("remark", Text),
        # Where the institution lay when the meeting was approved: a restatement says the same.
        Column("region", Text),
    ]


# One row a meeting, of its newest revision; its lines count unless it is rejected. Partitioned by the year in the
# meeting's id (decision 28). No foreign keys: what a meeting names was looked up when it was taken in. Two indexes and no
# more: by the id, and by the institution, which whoever reads a book asks for; and one of the few that have a flag, which costs the
# others nothing.
meetings = Table(
    "meetings",
    metadata,
    Column("meeting_id", Uuid, primary_key=True),
    Column("revision", Integer, nullable=False),
    *_of_meetings(),
    CheckConstraint(
        "cardinality(debit) = cardinality(paise) and cardinality(credit) = cardinality(paise)"
        " and cardinality(debit_of) = cardinality(paise) and cardinality(credit_of) = cardinality(paise) and 0 < all (paise)",
        name="meetings_sound",
    ),
    postgresql_partition_by="RANGE (meeting_id)",
)
Index("meetings_number", meetings.c.institution_id, meetings.c.number)
FLAGGED = text("flags <> '{}'")
Index("meetings_flagged", meetings.c.institution_id, meetings.c.held_on, meetings.c.meeting_id, postgresql_where=FLAGGED)

# What was refused and is worth an officer's look (rules/anomaly.py): that it was tried, and by whom; nothing of the meeting itself is kept.
refused = Table(
    "refused",
    metadata,
    Column("institution_id", Uuid, primary_key=True),
    Column("meeting_id", Uuid, primary_key=True),
    Column("revision", Integer, primary_key=True),
    Column("code", Text, primary_key=True),
    Column("number", Integer, nullable=False),
    Column("held_on", Date, nullable=False),
    Column("field", Text, nullable=False),
    Column("member_id", Uuid),
    Column("maker_user", Text, nullable=False),
    Column("refused_at", DateTime(timezone=True), nullable=False),
    Index("refused_held", "institution_id", "held_on", "meeting_id"),
)

# What was sent before and handed back: kept as it was, and counted nowhere.
superseded = Table(
    "superseded",
    metadata,
    Column("meeting_id", Uuid, primary_key=True),
    Column("revision", Integer, primary_key=True),
    *_of_meetings(),
)

# What the lines that count come to, head by head (of_id all zeros) and account by account, on the side that the head grows on;
# kept so that the next meeting need not add them all up. `adrift` compares. A loan's has besides what interest is owed and
# unpaid, and through which day that was counted: a memo until it is received. `version` is the chain's when it last changed.
balances = Table(
    "balances",
    metadata,
    Column("institution_id", Uuid, primary_key=True),
    Column("head", Text, primary_key=True),
    Column("of_id", Uuid, primary_key=True),
    Column("paise", BigInteger, nullable=False),
    Column("interest_paise", BigInteger),
    Column("counted_through", Date),
    Column("version", BigInteger, nullable=False),
    # Every page has room for the next version of its rows, so that no index is touched when a meeting changes them.
    postgresql_with={"fillfactor": "60"},
)

# The terms of what was lent (heads A01, A02) and borrowed; how they stand is among the balances.
loans = Table(
    "loans",
    metadata,
    Column("loan_id", Uuid, primary_key=True),
    Column("institution_id", Uuid, nullable=False),
    Column("meeting_id", Uuid, nullable=False),
    Column("head", Text, nullable=False),
    Column("borrower_id", Uuid),
    Column("principal_paise", BigInteger, nullable=False),
    Column("annual_rate_basis_points", Integer, nullable=False),
    Column("instalments", Integer, nullable=False),
    Column("given_on", Date, nullable=False),
    Column("rounding_paise", Integer, nullable=False),
    # What of the terms is not as usual (agreed.kept); and [meeting, principal, rate, instalments, given_on, rounding, agreed] of the terms
    # before each time that it was rescheduled, by that meeting.
    Column("agreed", JSONB(none_as_null=True)),
    Column("earlier", JSONB(none_as_null=True)),
)
Index("loans_institution", loans.c.institution_id)

# What went to another group in one of its meetings, and the meeting there that took it in. `said` is the transfer as the sheet has it but for
# its id and group, `loans` each loan or borrowing that went with it: [id, outstanding, interest unpaid, counted through, terms as in `earlier`].
transfers = Table(
    "transfers",
    metadata,
    Column("transfer_id", Uuid, primary_key=True),
    Column("from_id", Uuid, nullable=False),
    Column("to_id", Uuid, nullable=False),
    Column("meeting_id", Uuid, nullable=False),
    Column("taken_in", Uuid),
    Column("said", JSONB, nullable=False),
    Column("loans", JSONB, nullable=False),
    Index("transfers_meeting", "meeting_id"),
    Index("transfers_taken_in", "taken_in"),
    # What waits to be taken in.
    Index("transfers_to", "to_id", postgresql_where=text("taken_in is null")),
)

# Which lines of approved meetings were taken back, and by which meeting.
reversals = Table(
    "reversals",
    metadata,
    Column("of_meeting_id", Uuid, primary_key=True),
    Column("of_line", Integer, primary_key=True),
    Column("meeting_id", Uuid, nullable=False),
)
Index("reversals_meeting", reversals.c.meeting_id)
