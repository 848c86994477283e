"""Institutions are compared too: what of each is, what was found, and who is in a group."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "dedup_0004"
down_revision = "dedup_0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "institutions",
        sa.Column("institution_id", sa.Uuid(), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("region", sa.Text(), nullable=False),
        sa.Column("place", sa.Text(), nullable=False),
        sa.Column("name_fold", sa.Text(), nullable=False),
        sa.Column("name_key", sa.Text(), nullable=False),
        sa.Column("formed_on", sa.Date(), nullable=True),
        sa.Column("accounts", postgresql.ARRAY(sa.Text()), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("institution_id"),
    )
    op.create_index("institutions_named", "institutions", ["place", "name_key", "kind", "formed_on"], unique=False)
    op.create_index("institutions_accounts", "institutions", ["accounts"], unique=False, postgresql_using="gin")
    op.create_table(
        "institution_screenings",
        sa.Column("institution_id", sa.Uuid(), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("verdict", sa.Text(), nullable=False),
        sa.Column("screened_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("institution_id"),
    )
    op.create_table(
        "institution_matches",
        sa.Column("institution_id", sa.Uuid(), nullable=False),
        sa.Column("other_id", sa.Uuid(), nullable=False),
        sa.Column("finding_id", sa.Uuid(), nullable=False),
        sa.Column("other_revision", sa.Integer(), nullable=False),
        sa.Column("verdict", sa.Text(), nullable=False),
        sa.Column("clues", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.PrimaryKeyConstraint("institution_id", "other_id"),
    )
    op.create_index("institution_matches_other", "institution_matches", ["other_id"], unique=False)
    op.create_index("people_institution", "people", ["institution_id"], unique=False)


def downgrade() -> None:
    op.drop_index("people_institution", table_name="people")
    for table in ("institution_matches", "institution_screenings", "institutions"):
        op.drop_table(table)
