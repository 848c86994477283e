"""Institutions, members and findings."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "profiles_0001"
down_revision = None
branch_labels = ("profiles",)
depends_on = None


SERIALS = ("member_serial", "shg_serial", "vo_serial", "clf_serial")


def upgrade() -> None:
    for serial in SERIALS:
        op.execute(sa.schema.CreateSequence(sa.Sequence(serial)))
    op.create_table(
        "institutions",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("name_key", sa.Text(), nullable=False),
        sa.Column("name_local", sa.Text(), nullable=False),
        sa.Column("region", sa.Text(), nullable=False),
        sa.Column("formed_on", sa.Date(), nullable=False),
        sa.Column("parent_id", sa.Uuid(), nullable=True),
        sa.Column("compulsory_savings_paise", sa.BigInteger(), nullable=False),
        sa.Column("code", sa.Text(), nullable=True),
        sa.Column("remark", sa.Text(), server_default="", nullable=False),
        sa.Column("maker_user", sa.Text(), nullable=False),
        sa.Column("maker_person", sa.Text(), nullable=False),
        sa.Column("content_hash", sa.LargeBinary(), nullable=False),
        sa.Column("listed_as", sa.Uuid(), nullable=True),
        sa.Column("entered_on", sa.Date(), nullable=False),
        sa.Column("activated_on", sa.Date(), nullable=True),
        sa.ForeignKeyConstraint(["parent_id"], ["institutions.id"]),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("code"),
        sa.UniqueConstraint("listed_as"),
    )
    op.create_index("institutions_named", "institutions", ["region", "kind", "name_key"], unique=True)
    op.create_table(
        "members",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("institution_id", sa.Uuid(), nullable=False),
        sa.Column("region", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("name_local", sa.Text(), nullable=False),
        sa.Column("gender", sa.Text(), nullable=False),
        sa.Column("born_on", sa.Date(), nullable=True),
        sa.Column("birth_year", sa.Integer(), nullable=False),
        sa.Column("relation", sa.Text(), nullable=False),
        sa.Column("relation_name", sa.Text(), nullable=False),
        sa.Column("social_category", sa.Text(), nullable=False),
        sa.Column("mobile", sa.Text(), nullable=False),
        sa.Column("account_number", sa.Text(), nullable=False),
        sa.Column("ifsc", sa.Text(), nullable=False),
        sa.Column("account_holding", sa.Text(), nullable=False),
        sa.Column("joined_on", sa.Date(), nullable=False),
        sa.Column("code", sa.Text(), nullable=True),
        sa.Column("reasons", postgresql.ARRAY(sa.Text()), server_default="{}", nullable=False),
        sa.Column("remark", sa.Text(), server_default="", nullable=False),
        sa.Column("identity_token", sa.Text(), nullable=True),
        sa.Column("attested_birth_year", sa.Integer(), server_default="0", nullable=False),
        sa.Column("attested_gender", sa.Text(), server_default="", nullable=False),
        sa.Column("identity_notes", postgresql.ARRAY(sa.Text()), server_default="{}", nullable=False),
        sa.Column("verdict", sa.Text(), nullable=True),
        sa.Column("screening_version", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("submitted_version", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("maker_user", sa.Text(), nullable=False),
        sa.Column("maker_person", sa.Text(), nullable=False),
        sa.Column("content_hash", sa.LargeBinary(), nullable=False),
        sa.Column("listed_as", sa.Uuid(), nullable=True),
        sa.Column("entered_on", sa.Date(), nullable=False),
        sa.Column("activated_on", sa.Date(), nullable=True),
        sa.ForeignKeyConstraint(["institution_id"], ["institutions.id"]),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("code"),
        sa.UniqueConstraint("listed_as"),
    )
    op.create_index("members_institution", "members", ["institution_id"], unique=False)
    op.create_index("members_pending", "members", ["region"], unique=False, postgresql_where=sa.text("status = 'SUBMITTED'"))
    op.create_index("members_region", "members", ["region"], unique=False)
    op.create_table(
        "findings",
        sa.Column("member_id", sa.Uuid(), nullable=False),
        sa.Column("member_revision", sa.Integer(), nullable=False),
        sa.Column("finding_id", sa.Text(), nullable=False),
        sa.Column("verdict", sa.Text(), nullable=False),
        sa.Column("other_member_id", sa.Uuid(), nullable=False),
        sa.Column("clues", postgresql.ARRAY(sa.Text()), nullable=False),
        sa.Column("weight_centibits", sa.Integer(), nullable=False),
        sa.Column("found_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("decision", sa.Text(), nullable=True),
        sa.Column("reason", sa.Text(), server_default="", nullable=False),
        sa.Column("decided_by", sa.Text(), nullable=True),
        sa.Column("decided_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["member_id"], ["members.id"]),
        sa.PrimaryKeyConstraint("member_id", "member_revision", "finding_id"),
    )


def downgrade() -> None:
    for table in ("findings", "members", "institutions"):
        op.drop_table(table)
    for serial in SERIALS:
        op.execute(sa.schema.DropSequence(sa.Sequence(serial)))
