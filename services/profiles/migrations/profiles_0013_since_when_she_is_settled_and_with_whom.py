"""Since when a member is settled, and with which institution: what the books tell before she leaves (R-MEM-3)."""

import sqlalchemy as sa
from alembic import op

revision = "profiles_0013"
down_revision = "profiles_0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("members", sa.Column("settled_on", sa.Date(), nullable=True))
    op.add_column("members", sa.Column("settled_with", sa.Uuid(), nullable=True))


def downgrade() -> None:
    op.drop_column("members", "settled_with")
    op.drop_column("members", "settled_on")
