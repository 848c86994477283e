"""The books know until when a member was where, and an institution was in being."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "transactions_0003"
down_revision = "transactions_0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    for table in ("institutions", "members"):
        op.add_column(table, sa.Column("since_on", sa.Date(), nullable=True))
        op.add_column(table, sa.Column("ended", postgresql.JSONB(), nullable=True))


def downgrade() -> None:
    for table in ("institutions", "members"):
        op.drop_column(table, "ended")
        op.drop_column(table, "since_on")
