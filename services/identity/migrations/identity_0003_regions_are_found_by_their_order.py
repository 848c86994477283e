"""A region and all in it is a range of paths, for which an index in the columns' own order serves."""

from alembic import op

revision = "identity_0003"
down_revision = "identity_0002"
branch_labels = None
depends_on = None

INDEXES = (("user_roles_region", "user_roles"), ("institutions_region", "institutions"))


def upgrade() -> None:
    for name, table in INDEXES:
        op.drop_index(name, table_name=table)
        op.create_index(name, table, ["region"], unique=False)


def downgrade() -> None:
    for name, table in INDEXES:
        op.drop_index(name, table_name=table)
        op.create_index(name, table, ["region"], unique=False, postgresql_ops={"region": "text_pattern_ops"})
