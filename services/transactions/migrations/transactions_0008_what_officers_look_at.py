"""Meetings with a flag are found by an index of their own, the institutions of a region too; and what was refused is noted."""

import sqlalchemy as sa
from alembic import op

revision = "transactions_0008"
down_revision = "transactions_0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    flagged = sa.text("flags <> '{}'")
    op.create_index("meetings_flagged", "meetings", ["institution_id", "held_on", "meeting_id"], unique=False, postgresql_where=flagged)
    op.create_index("institutions_region", "institutions", ["region"], unique=False)
    op.create_table(
        "refused",
        sa.Column("institution_id", sa.Uuid(), nullable=False),
        sa.Column("meeting_id", sa.Uuid(), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("code", sa.Text(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("held_on", sa.Date(), nullable=False),
        sa.Column("field", sa.Text(), nullable=False),
        sa.Column("member_id", sa.Uuid(), nullable=True),
        sa.Column("maker_user", sa.Text(), nullable=False),
        sa.Column("refused_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("institution_id", "meeting_id", "revision", "code"),
    )
    op.create_index("refused_held", "refused", ["institution_id", "held_on", "meeting_id"], unique=False)


def downgrade() -> None:
    op.drop_table("refused")
    op.drop_index("institutions_region", table_name="institutions")
    op.drop_index("meetings_flagged", table_name="meetings")
