"""Images that are to be erased, and accounts that no bank answered about, are found by an index, however many there are."""

import sqlalchemy as sa
from alembic import op

revision = "profiles_0009"
down_revision = "profiles_0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index("images_due", "images", ["loose_since"], unique=False, postgresql_where=sa.text("loose_since IS NOT NULL AND erasing_at IS NULL"))
    op.create_index("images_erasing", "images", ["erasing_at"], unique=False, postgresql_where=sa.text("erasing_at IS NOT NULL"))
    unanswered = sa.text("outcome = 'UNKNOWN' AND next_at IS NULL")
    op.create_index("account_checks_unanswered", "account_checks", ["check_id"], unique=False, postgresql_where=unanswered)


def downgrade() -> None:
    op.drop_index("account_checks_unanswered", table_name="account_checks")
    op.drop_index("images_erasing", table_name="images")
    op.drop_index("images_due", table_name="images")
