"""What members are to be told by SMS, until it is sent."""

import sqlalchemy as sa
from alembic import op

revision = "identity_0004"
down_revision = "identity_0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "alerts",
        sa.Column("loan_id", sa.Uuid(), nullable=False),
        sa.Column("mobile", sa.Text(), nullable=False),
        sa.Column("principal_paise", sa.BigInteger(), nullable=False),
        sa.Column("given_on", sa.Date(), nullable=False),
        sa.Column("institution_code", sa.Text(), nullable=False),
        sa.Column("approved_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("loan_id"),
    )
    op.create_index("alerts_approved", "alerts", ["approved_at"], unique=False)


def downgrade() -> None:
    op.drop_table("alerts")
