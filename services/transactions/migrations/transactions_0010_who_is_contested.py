"""Whom another record proved to be, as the duplicate check tells, and which loans to them a supervisor let go on (decision 4)."""

import sqlalchemy as sa
from alembic import op

revision = "transactions_0010"
down_revision = "transactions_0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "contested",
        sa.Column("member_id", sa.Uuid(), nullable=False),
        sa.Column("open", sa.Boolean(), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("member_id"),
    )
    op.create_table(
        "allowed",
        sa.Column("meeting_id", sa.Uuid(), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("member_id", sa.Uuid(), nullable=False),
        sa.Column("allowed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("allowed_by", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("meeting_id", "revision", "member_id"),
    )


def downgrade() -> None:
    op.drop_table("allowed")
    op.drop_table("contested")
