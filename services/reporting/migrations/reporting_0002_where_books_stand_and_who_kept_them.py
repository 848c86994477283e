"""Where an institution and its books lie, when its last meeting was held, and how many meetings each bookkeeper kept."""

import sqlalchemy as sa
from alembic import op

revision = "reporting_0002"
down_revision = "reporting_0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("contributions", sa.Column("region", sa.Text(), nullable=True))
    op.add_column("contributions", sa.Column("last_held_on", sa.Date(), nullable=True))
    op.create_table(
        "bookkeeping",
        sa.Column("block", sa.Text(), nullable=False),
        sa.Column("month", sa.Text(), nullable=False),
        sa.Column("maker_user", sa.Text(), nullable=False),
        sa.Column("meetings", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("block", "month", "maker_user"),
        postgresql_with={"fillfactor": 70},
    )


def downgrade() -> None:
    op.drop_table("bookkeeping")
    op.drop_column("contributions", "last_held_on")
    op.drop_column("contributions", "region")
