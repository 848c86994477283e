"""Stores users, invitations redeemed, e-KYCs under way, and identity's copy of the institutions."""

from sqlalchemy import ARRAY, BigInteger, Boolean, Column, Date, DateTime, ForeignKey, Index, MetaData, SmallInteger, Table, Text, Uuid, func

metadata = MetaData()

users = Table(
    "users",
    metadata,
    Column("user_id", Text, primary_key=True),
    Column("full_name", Text, nullable=False),
    Column("mobile", Text, nullable=False),
    Column("password_hash", Text, nullable=False),  # Argon2id; empty where she has been given none, and so nobody logs in.
    Column("region", Text, nullable=False),
    Column("institution_ids", ARRAY(Uuid), nullable=False),
    Column("active", Boolean, nullable=False),
    Column("made_on", Date, nullable=False),
    Column("version", BigInteger, nullable=False),
    # Regions are asked for by the beginning of their path.
    Index("users_region", "region", postgresql_ops={"region": "text_pattern_ops"}),
)

user_roles = Table(
    "user_roles",
    metadata,
    Column("user_id", Text, ForeignKey("users.user_id"), primary_key=True),
    Column("role", Text, primary_key=True),
)

# An invitation makes one user: whoever writes its row first.
redeemed = Table(
    "redeemed",
    metadata,
    Column("invitation_id", Uuid, primary_key=True),
    Column("user_id", Text, nullable=False),
    Column("redeemed_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
)

kycs = Table(
    "kycs",
    metadata,
    Column("kyc_id", Uuid, primary_key=True),
    Column("member_id", Uuid, nullable=False),
    Column("reference", Uuid, nullable=False),  # The vault's; the number itself is nowhere in this schema.
    Column("provider_txn", Text, nullable=False),
    Column("user_id", Text, nullable=False),
    Column("consented_at", DateTime(timezone=True), nullable=False),
    Column("expires_at", DateTime(timezone=True), nullable=False),
    Column("tries", SmallInteger, nullable=False),
    Column("confirmed_at", DateTime(timezone=True)),
)

# As profiles tells them: to map users by an institution's name.
institutions = Table(
    "institutions",
    metadata,
    Column("institution_id", Uuid, primary_key=True),
    Column("kind", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("region", Text, nullable=False),
    Column("parent_id", Uuid),
    Column("status", Text, nullable=False),
    Column("version", BigInteger, nullable=False),
    Index("institutions_region", "region", postgresql_ops={"region": "text_pattern_ops"}),
)
