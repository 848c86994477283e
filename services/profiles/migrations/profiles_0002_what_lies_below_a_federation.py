"""What lies below a federation is found by an index."""

from alembic import op

revision = "profiles_0002"
down_revision = "profiles_0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index("institutions_parent", "institutions", ["parent_id"], unique=False)


def downgrade() -> None:
    op.drop_index("institutions_parent", table_name="institutions")
