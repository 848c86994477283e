"""My Task finds what is plain, and what waits in a village, by an index too."""

import sqlalchemy as sa
from alembic import op

revision = "profiles_0008"
down_revision = "profiles_0007"
branch_labels = None
depends_on = None

BEFORE = ("block", "gp", "maker_user", "institution_id")


def upgrade() -> None:
    for name in BEFORE:
        op.drop_index(f"submissions_{name}", table_name="submissions")
    for name in (*BEFORE, "region"):
        _create(name, "kind", "open_questions")


def downgrade() -> None:
    for name in (*BEFORE, "region"):
        op.drop_index(f"submissions_{name}", table_name="submissions")
    for name in BEFORE:
        _create(name, "kind")


def _create(name: str, *lists: str) -> None:
    op.create_index(
        f"submissions_{name}",
        "submissions",
        [name, *lists, "submitted_at", "record_id"],
        unique=False,
        postgresql_where=sa.text("status = 'SUBMITTED'"),
    )
