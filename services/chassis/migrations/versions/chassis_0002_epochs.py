"""The instance's epochs, of which the first begins here."""

import sqlalchemy as sa
from alembic import op

revision = "chassis_0002"
down_revision = "chassis_0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "epochs",
        sa.Column("epoch", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("began_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("backup", sa.Text(), server_default="", nullable=False),
        sa.Column("queues_made_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("epoch"),
    )
    op.execute("insert into epochs (epoch, queues_made_at) values (1, now())")


def downgrade() -> None:
    op.drop_table("epochs")
