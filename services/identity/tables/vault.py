"""Stores Aadhaar numbers, sealed, in a schema that only the vault's own role reads; elsewhere there are references."""

from sqlalchemy import BigInteger, Column, DateTime, Index, LargeBinary, MetaData, Table, Text, Uuid

metadata = MetaData()

numbers = Table(
    "numbers",
    metadata,
    Column("reference", Uuid, primary_key=True),  # Random, so that it tells nothing of the number.
    Column("token", LargeBinary, nullable=False, unique=True),  # The blind index: the same number is the same row.
    Column("sealed", LargeBinary, nullable=False),
    Column("stored_at", DateTime(timezone=True), nullable=False),
    Column("confirmed_at", DateTime(timezone=True)),  # When she first proved that it is hers.
)
Index("numbers_unconfirmed", numbers.c.stored_at, postgresql_where=numbers.c.confirmed_at.is_(None))

# Who had the vault do what, and for which purpose: a row with each use, in its own transaction.
uses = Table(
    "uses",
    metadata,
    Column("id", BigInteger, primary_key=True, autoincrement=True),
    Column("at", DateTime(timezone=True), nullable=False),
    Column("reference", Uuid, nullable=False),
    Column("purpose", Text, nullable=False),
    Column("user_id", Text, nullable=False),
    Column("request_id", Text, nullable=False),
)
