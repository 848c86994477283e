"""Loans are repaid in other ways too, are given to institutions, and may be rescheduled."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "transactions_0007"
down_revision = "transactions_0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.alter_column("loans", "member_id", new_column_name="borrower_id")
    op.alter_column("loans", "months", new_column_name="instalments")
    op.add_column("loans", sa.Column("agreed", postgresql.JSONB(), nullable=True))
    op.add_column("loans", sa.Column("earlier", postgresql.JSONB(), nullable=True))


def downgrade() -> None:
    raise NotImplementedError("what was agreed since fits no older layout")
