"""Stores Aadhaar numbers, sealed, in a schema that only the vault's own role reads; elsewhere there are references."""

from sqlalchemy import BigInteger, Column, DateTime, ForeignKey, Index, Integer, LargeBinary, MetaData, Table, Text, Uuid

metadata = MetaData()

numbers = Table(
    "numbers",
    metadata,
    Column("reference", Uuid, primary_key=True),  # Random, so that it tells nothing of the number.
    # Her identity token, as random. Of a record of the first version it is what index key 1 makes of the number.
    Column("token", LargeBinary, nullable=False, unique=True),
    Column("sealed", LargeBinary, nullable=False),
    Column("stored_at", DateTime(timezone=True), nullable=False),
    Column("confirmed_at", DateTime(timezone=True)),  # When she first proved that it is hers.
    Column("version", Integer, nullable=False, server_default="0"),  # Counts its data keys; 0 has none of its own.
    Column("key_id", Integer, nullable=False, server_default="1"),  # Which key wraps the data key.
    Column("wrapped", LargeBinary),
    Column("sealed_at", DateTime(timezone=True)),  # Since when it has this data key.
)
Index("numbers_unconfirmed", numbers.c.stored_at, postgresql_where=numbers.c.confirmed_at.is_(None))

# The blind index: what an index key makes of a number. While the key is changed a number has two.
entries = Table(
    "entries",
    metadata,
    Column("key_id", Integer, primary_key=True),
    Column("entry", LargeBinary, primary_key=True),
    Column("reference", ForeignKey("numbers.reference", ondelete="CASCADE"), nullable=False),
)
Index("entries_of", entries.c.reference, entries.c.key_id, unique=True)

# What was erased: its reference stays, so that nobody wonders, and a restored backup can lose it again.
tombstones = Table(
    "tombstones",
    metadata,
    Column("reference", Uuid, primary_key=True),
    Column("erased_at", DateTime(timezone=True), nullable=False),
    Column("reason", Text, nullable=False),
)

# Who had the vault do what, and for which purpose: a row with each use, before anything of the number is given.
uses = Table(
    "uses",
    metadata,
    Column("id", BigInteger, primary_key=True, autoincrement=True),
    Column("at", DateTime(timezone=True), nullable=False),
    Column("reference", Uuid, nullable=False),
    Column("act", Text, nullable=False, server_default=""),
    Column("purpose", Text, nullable=False),
    Column("user_id", Text, nullable=False),
    Column("request_id", Text, nullable=False),
    Index("uses_reference", "reference"),
    Index("uses_at", "at"),
)

# Operators' walks over all records, each noted before it opens the first.
walks = Table(
    "walks",
    metadata,
    Column("id", BigInteger, primary_key=True, autoincrement=True),
    Column("what", Text, nullable=False),
    Column("key_id", Integer),  # What all are to be under.
    Column("user_id", Text, nullable=False),
    Column("begun_at", DateTime(timezone=True), nullable=False),
    Column("ended_at", DateTime(timezone=True)),
    Column("records", BigInteger, nullable=False, server_default="0"),
)
