"""What a signed paper says of a member, and what an online e-KYC says besides; each beside the other."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "profiles_0017"
down_revision = "profiles_0016"
branch_labels = None
depends_on = None


def upgrade() -> None:
    for table in ("members", "submissions"):
        for name in ("attested", "paper"):
            op.add_column(table, sa.Column(name, postgresql.JSONB(), nullable=True))


def downgrade() -> None:
    for table in ("members", "submissions"):
        for name in ("attested", "paper"):
            op.drop_column(table, name)
