"""Phones that members of several SHGs carry are found by an index: the number that messages go to is a column of its own."""

import sqlalchemy as sa
from alembic import op

revision = "profiles_0012"
down_revision = "profiles_0011"
branch_labels = None
depends_on = None

DEFAULT_PHONE = '$."phones"[*]?(@."is_default" == "YES" && !(exists (@."ended_on")))."number"'
MOBILE = f"(jsonb_path_query_first(content, '{DEFAULT_PHONE}'::jsonpath) #>> '{{}}'::text[])"


def upgrade() -> None:
    op.add_column("members", sa.Column("mobile", sa.Text(), sa.Computed(MOBILE, persisted=True), nullable=True))
    in_books = sa.text("mobile IS NOT NULL AND status IN ('ACTIVE', 'LEGACY')")
    op.create_index("members_mobile", "members", ["region", "mobile", "institution_id", "id"], unique=False, postgresql_where=in_books)


def downgrade() -> None:
    op.drop_index("members_mobile", table_name="members")
    op.drop_column("members", "mobile")
