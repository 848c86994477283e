"""A name's title is compared too. Who was entered before has none until she is handed in again."""

import sqlalchemy as sa
from alembic import op

revision = "dedup_0002"
down_revision = "dedup_0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("people", sa.Column("name_title", sa.Text(), nullable=False, server_default=""))


def downgrade() -> None:
    op.drop_column("people", "name_title")
