"""Jobs that somebody waits for go first."""

import sqlalchemy as sa
from alembic import op

revision = "chassis_0005"
down_revision = "chassis_0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("jobs", sa.Column("urgent", sa.Boolean(), server_default="false", nullable=False))
    op.drop_index("jobs_due", table_name="jobs")
    op.create_index("jobs_due", "jobs", [sa.text("urgent DESC"), "run_at"], unique=False, postgresql_where=sa.text("done_at IS NULL"))


def downgrade() -> None:
    op.drop_index("jobs_due", table_name="jobs")
    op.drop_column("jobs", "urgent")
    op.create_index("jobs_due", "jobs", ["run_at"], unique=False, postgresql_where=sa.text("done_at IS NULL"))
