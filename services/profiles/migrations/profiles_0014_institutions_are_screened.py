"""Institutions are screened as members are: what was found, and what was decided about it."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "profiles_0014"
down_revision = "profiles_0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("institutions", sa.Column("verdict", sa.Text(), nullable=True))
    op.add_column("institutions", sa.Column("screening_version", sa.BigInteger(), server_default="0", nullable=False))
    op.create_table(
        "institution_findings",
        sa.Column("institution_id", sa.Uuid(), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("finding_id", sa.Text(), nullable=False),
        sa.Column("verdict", sa.Text(), nullable=False),
        sa.Column("other_institution_id", sa.Uuid(), nullable=False),
        sa.Column("clues", postgresql.ARRAY(sa.Text()), nullable=False),
        sa.Column("found_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("decision", sa.Text(), nullable=True),
        sa.Column("reason", sa.Text(), server_default="", nullable=False),
        sa.Column("decided_by", sa.Text(), nullable=True),
        sa.Column("decided_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["institution_id"], ["institutions.id"]),
        sa.PrimaryKeyConstraint("institution_id", "revision", "finding_id"),
    )


def downgrade() -> None:
    op.drop_table("institution_findings")
    op.drop_column("institutions", "screening_version")
    op.drop_column("institutions", "verdict")
