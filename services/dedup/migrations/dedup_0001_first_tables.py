"""First tables."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "dedup_0001"
down_revision = None
branch_labels = ("dedup",)
depends_on = None


def upgrade() -> None:
    op.create_table(
        "contested",
        sa.Column("member_id", sa.Uuid(), nullable=False),
        sa.Column("other_id", sa.Uuid(), nullable=False),
        sa.Column("since", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("settled_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("member_id", "other_id"),
    )
    op.create_index("contested_other", "contested", ["other_id"], unique=False, postgresql_where=sa.text("settled_at IS NULL"))
    op.create_table(
        "labels",
        sa.Column("finding_id", sa.Uuid(), nullable=False),
        sa.Column("member_id", sa.Uuid(), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("decision", sa.Text(), nullable=False),
        sa.Column("heard_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("finding_id"),
    )
    op.create_table(
        "matches",
        sa.Column("finding_id", sa.Uuid(), nullable=False),
        sa.Column("member_id", sa.Uuid(), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("other_id", sa.Uuid(), nullable=False),
        sa.Column("other_revision", sa.Integer(), nullable=False),
        sa.Column("verdict", sa.Text(), nullable=False),
        sa.Column("override", sa.Text(), nullable=False),
        sa.Column("weight_centibits", sa.Integer(), nullable=False),
        sa.Column("clues", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.PrimaryKeyConstraint("finding_id"),
    )
    op.create_index("matches_member", "matches", ["member_id", "version"], unique=False)
    op.create_index("matches_other", "matches", ["other_id"], unique=False)
    op.create_table(
        "people",
        sa.Column("member_id", sa.Uuid(), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("institution_id", sa.Uuid(), nullable=False),
        sa.Column("region", sa.Text(), nullable=False),
        sa.Column("block", sa.Integer(), nullable=True),
        sa.Column("village", sa.Integer(), nullable=True),
        sa.Column("name_fold", sa.Text(), nullable=False),
        sa.Column("name_skeleton", sa.Text(), nullable=False),
        sa.Column("name_first", sa.Text(), nullable=False),
        sa.Column("relation_fold", sa.Text(), nullable=False),
        sa.Column("relation_skeleton", sa.Text(), nullable=False),
        sa.Column("relation_first", sa.Text(), nullable=False),
        sa.Column("born_on", sa.Date(), nullable=True),
        sa.Column("birth_year", sa.SmallInteger(), nullable=True),
        sa.Column("mobile", sa.Text(), nullable=False),
        sa.Column("account", sa.Text(), nullable=False),
        sa.Column("identity_token", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("member_id"),
    )
    op.create_index("people_account", "people", ["account"], unique=False)
    op.create_index("people_birth_village", "people", ["born_on", "village"], unique=False)
    op.create_index("people_identity", "people", ["identity_token"], unique=False)
    op.create_index("people_mobile", "people", ["mobile"], unique=False)
    op.create_index("people_name_birth", "people", ["name_first", "born_on"], unique=False)
    op.create_index("people_name_relation", "people", ["name_first", "relation_first", "birth_year"], unique=False)
    op.create_index("people_name_relation_block", "people", ["name_first", "relation_first", "block"], unique=False)
    op.create_index("people_name_village", "people", ["name_first", "village"], unique=False)
    op.create_index("people_relation_village", "people", ["relation_first", "village", "birth_year"], unique=False)
    op.create_table(
        "screenings",
        sa.Column("member_id", sa.Uuid(), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("region", sa.Text(), nullable=False),
        sa.Column("verdict", sa.Text(), nullable=False),
        sa.Column("screened_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("member_id"),
    )
    op.create_index("screenings_flagged", "screenings", ["region", "member_id"], unique=False, postgresql_where=sa.text("verdict != 'CLEAR'"))
    op.create_table(
        "statuses",
        sa.Column("member_id", sa.Uuid(), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("member_id"),
    )


def downgrade() -> None:
    for table in ("statuses", "screenings", "people", "matches", "labels", "contested"):
        op.drop_table(table)
