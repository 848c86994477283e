"""Who let a member go to another block is in the history, beside who took her in."""

import sqlalchemy as sa
from alembic import op

revision = "profiles_0010"
down_revision = "profiles_0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("history", sa.Column("released_by", sa.Text(), server_default="", nullable=False))


def downgrade() -> None:
    op.drop_column("history", "released_by")
