"""The key of the ages of loans holds their amounts too. It holds the table while it is made anew."""

from alembic import op

revision = "reporting_0004"
down_revision = "reporting_0003"
branch_labels = None
depends_on = None

KEY = "alter table ageing drop constraint ageing_pkey, add constraint ageing_pkey primary key (level, region, head, changed_on, due_on)"


def upgrade() -> None:
    op.execute(f"{KEY} include (scheduled, collected, loans, outstanding)")
    op.execute("alter table ageing reset (fillfactor)")


def downgrade() -> None:
    op.execute(KEY)
    op.execute("alter table ageing set (fillfactor = 70)")
