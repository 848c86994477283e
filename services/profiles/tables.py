"""Stores institutions, members and the findings about them. Holds names, phones and accounts; never an Aadhaar number."""

from sqlalchemy import (
    BigInteger,
    Column,
    Date,
    DateTime,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Sequence,
    Table,
    Text,
    Uuid,
    func,
)
from sqlalchemy.dialects.postgresql import ARRAY

metadata = MetaData()

# A code's serial, by what it is for (kernel.codes.LETTERS). A number that a rolled back approval took is never issued.
serials = {kind: Sequence(f"{kind.lower()}_serial", metadata=metadata) for kind in ("MEMBER", "SHG", "VO", "CLF")}

institutions = Table(
    "institutions",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("version", BigInteger, nullable=False),  # Counts every change that is told.
    Column("revision", Integer, nullable=False),  # Counts what the maker submitted; 0 is a row of a list.
    Column("status", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("name_key", Text, nullable=False),
    Column("name_local", Text, nullable=False),
    Column("region", Text, nullable=False),
    Column("formed_on", Date, nullable=False),
    Column("parent_id", ForeignKey("institutions.id")),
    Column("compulsory_savings_paise", BigInteger, nullable=False),
    Column("code", Text, unique=True),
    Column("remark", Text, nullable=False, server_default=""),
    Column("maker_user", Text, nullable=False),
    Column("maker_person", Text, nullable=False),
    Column("content_hash", LargeBinary, nullable=False),
    Column("listed_as", Uuid, unique=True),  # The row of a list that made it: kind, name and region as they stood there.
    Column("entered_on", Date, nullable=False),
    Column("activated_on", Date),
    # The sheets name institutions by name within a place, so a place has one of each name.
    Index("institutions_named", "region", "kind", "name_key", unique=True),
    Index("institutions_parent", "parent_id"),  # What an approver sees lies below her federations.
)

members = Table(
    "members",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("version", BigInteger, nullable=False),  # Counts every change that is told.
    Column("revision", Integer, nullable=False),  # Counts what the maker submitted; 0 is a row of a list.
    Column("status", Text, nullable=False),
    Column("institution_id", ForeignKey("institutions.id"), nullable=False),
    Column("region", Text, nullable=False),  # Her institution's.
    Column("name", Text, nullable=False),
    Column("name_local", Text, nullable=False),
    Column("gender", Text, nullable=False),
    Column("born_on", Date),
    Column("birth_year", Integer, nullable=False),
    Column("relation", Text, nullable=False),
    Column("relation_name", Text, nullable=False),
    Column("social_category", Text, nullable=False),
    Column("mobile", Text, nullable=False),
    Column("account_number", Text, nullable=False),
    Column("ifsc", Text, nullable=False),
    Column("account_holding", Text, nullable=False),
    Column("joined_on", Date, nullable=False),
    Column("code", Text, unique=True),
    Column("reasons", ARRAY(Text), nullable=False, server_default="{}"),
    Column("remark", Text, nullable=False, server_default=""),
    Column("identity_token", Text),  # Not unique: a second one is stored and flagged (decision 3).
    # What the evidence says, kept so that each revision is compared with it, and where they differ.
    Column("attested_birth_year", Integer, nullable=False, server_default="0"),
    Column("attested_gender", Text, nullable=False, server_default=""),
    Column("identity_notes", ARRAY(Text), nullable=False, server_default="{}"),
    # What the duplicate check last said of this revision; empty until it speaks of it.
    Column("verdict", Text),
    Column("screening_version", BigInteger, nullable=False, server_default="0"),
    Column("submitted_version", BigInteger, nullable=False, server_default="0"),  # The version at which she was last submitted.
    Column("maker_user", Text, nullable=False),
    Column("maker_person", Text, nullable=False),
    Column("content_hash", LargeBinary, nullable=False),
    Column("listed_as", Uuid, unique=True),  # The row of a list that made her: SHG, name, relation and birth as they stood there.
    Column("entered_on", Date, nullable=False),
    Column("activated_on", Date),
)
Index("members_institution", members.c.institution_id)
Index("members_region", members.c.region)
Index("members_pending", members.c.region, postgresql_where=members.c.status == "SUBMITTED")

# A finding is of one revision; those of earlier ones stay with what was decided about them, and are shown no more.
findings = Table(
    "findings",
    metadata,
    Column("member_id", ForeignKey("members.id"), primary_key=True),
    Column("member_revision", Integer, primary_key=True),
    Column("finding_id", Text, primary_key=True),
    Column("verdict", Text, nullable=False),
    Column("other_member_id", Uuid, nullable=False),
    Column("clues", ARRAY(Text), nullable=False),
    Column("weight_centibits", Integer, nullable=False),
    Column("found_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    Column("decision", Text),
    Column("reason", Text, nullable=False, server_default=""),
    Column("decided_by", Text),
    Column("decided_at", DateTime(timezone=True)),
)
