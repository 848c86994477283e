"""What members withdrew, and by which consent their evidence was taken."""

import sqlalchemy as sa
from alembic import op

revision = "profiles_0016"
down_revision = "profiles_0015"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "withdrawals",
        sa.Column("member_id", sa.Uuid(), nullable=False),
        sa.Column("purpose", sa.Text(), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("stands", sa.Boolean(), nullable=False),
        sa.Column("withdrawn_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("consent_ids", sa.ARRAY(sa.Uuid()), server_default="{}", nullable=False),
        sa.PrimaryKeyConstraint("member_id", "purpose"),
    )
    for table in ("members", "submissions"):
        op.add_column(table, sa.Column("evidence_consent_id", sa.Uuid(), nullable=True))


def downgrade() -> None:
    for table in ("members", "submissions"):
        op.drop_column(table, "evidence_consent_id")
    op.drop_table("withdrawals")
