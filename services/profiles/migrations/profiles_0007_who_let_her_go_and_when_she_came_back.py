"""Who let a member go to another block, and when one who had left came back."""

import sqlalchemy as sa
from alembic import op

revision = "profiles_0007"
down_revision = "profiles_0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    for name in ("released_by", "released_person"):
        op.add_column("submissions", sa.Column(name, sa.Text(), server_default="", nullable=False))
    op.add_column("memberships", sa.Column("back_on", sa.Date(), nullable=True))


def downgrade() -> None:
    op.drop_column("memberships", "back_on")
    for name in ("released_person", "released_by"):
        op.drop_column("submissions", name)
