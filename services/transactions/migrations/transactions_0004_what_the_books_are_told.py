"""The books know an institution's bank accounts and its regular saving, and find its members by an index."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "transactions_0004"
down_revision = "transactions_0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("institutions", sa.Column("banks", postgresql.JSONB(), nullable=True))
    op.add_column("institutions", sa.Column("compulsory_paise", sa.BigInteger(), server_default="0", nullable=False))
    op.create_index("members_institution", "members", ["institution_id"], unique=False)
    # What is held lacks what is told from now on: a restatement, which says the version that was held, is to fill it.
    op.execute("update institutions set version = version - 1")


def downgrade() -> None:
    op.drop_index("members_institution", table_name="members")
    op.drop_column("institutions", "compulsory_paise")
    op.drop_column("institutions", "banks")
