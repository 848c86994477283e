"""Figures, contributions, freshness and tallies."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "reporting_0001"
down_revision = None
branch_labels = ("reporting",)
depends_on = None


def upgrade() -> None:
    op.create_table(
        "contributions",
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("occurred_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("cells", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("tallied_in", sa.Text(), server_default="", nullable=False),
        sa.PrimaryKeyConstraint("subject"),
        postgresql_with={"fillfactor": 80},
    )
    op.create_index("contributions_tallied", "contributions", ["tallied_in"], unique=False, postgresql_where=sa.text("tallied_in != ''"))
    op.create_table(
        "figures",
        sa.Column("level", sa.SmallInteger(), nullable=False),
        sa.Column("region", sa.Text(), nullable=False),
        sa.Column("month", sa.Text(), nullable=False),
        sa.Column("measure", sa.SmallInteger(), nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("level", "region", "month", "measure"),
        postgresql_with={"fillfactor": 70},
    )
    op.create_table(
        "freshness",
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("occurred_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("source"),
    )
    op.create_table(
        "tallies",
        sa.Column("block", sa.Text(), nullable=False),
        sa.Column("told_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("members", sa.BigInteger(), nullable=False),
        sa.Column("fingerprint", sa.BigInteger(), nullable=False),
        sa.Column("differs", sa.Boolean(), server_default="false", nullable=False),
        sa.PrimaryKeyConstraint("block"),
    )


def downgrade() -> None:
    op.drop_table("tallies")
    op.drop_table("freshness")
    op.drop_table("figures")
    op.drop_index("contributions_tallied", table_name="contributions", postgresql_where=sa.text("tallied_in != ''"))
    op.drop_table("contributions")
