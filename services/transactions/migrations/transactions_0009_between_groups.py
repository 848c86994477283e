"""What goes from one group to another, and waits there to be taken in."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "transactions_0009"
down_revision = "transactions_0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "transfers",
        sa.Column("transfer_id", sa.Uuid(), nullable=False),
        sa.Column("from_id", sa.Uuid(), nullable=False),
        sa.Column("to_id", sa.Uuid(), nullable=False),
        sa.Column("meeting_id", sa.Uuid(), nullable=False),
        sa.Column("taken_in", sa.Uuid(), nullable=True),
        sa.Column("said", postgresql.JSONB(), nullable=False),
        sa.Column("loans", postgresql.JSONB(), nullable=False),
        sa.PrimaryKeyConstraint("transfer_id"),
    )
    op.create_index("transfers_meeting", "transfers", ["meeting_id"], unique=False)
    op.create_index("transfers_taken_in", "transfers", ["taken_in"], unique=False)
    op.create_index("transfers_to", "transfers", ["to_id"], unique=False, postgresql_where=sa.text("taken_in is null"))


def downgrade() -> None:
    op.drop_table("transfers")
