"""The books know how often a group's members save what is compulsory."""

import sqlalchemy as sa
from alembic import op

revision = "transactions_0006"
down_revision = "transactions_0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("institutions", sa.Column("savings_frequency", sa.Text(), server_default="", nullable=False))
    # What is held lacks what is told from now on: a restatement, which says the version that was held, is to fill it.
    op.execute("update institutions set version = version - 1")


def downgrade() -> None:
    op.drop_column("institutions", "savings_frequency")
