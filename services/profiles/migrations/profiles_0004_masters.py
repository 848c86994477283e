"""Masters: the lists that forms offer, with the national values.

A value that is added to the national ones later takes a migration that inserts it where it is missing: an older state lacks it, a new
one has it from here.
"""

from uuid import uuid4

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from services.profiles.rules.list_edits import defaults

revision = "profiles_0004"
down_revision = "profiles_0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    values = op.create_table(
        "list_values",
        sa.Column("list", sa.Text(), nullable=False),
        sa.Column("code", sa.Text(), nullable=False),
        sa.Column("national_code", sa.Text(), nullable=False),
        sa.Column("labels", postgresql.JSONB(), nullable=False),
        sa.Column("order", sa.Integer(), nullable=False),
        sa.Column("active", sa.Boolean(), nullable=False),
        sa.Column("valid_from", sa.Date(), nullable=True),
        sa.Column("valid_to", sa.Date(), nullable=True),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("list", "code"),
    )
    op.create_index("list_values_changed", "list_values", ["version", "list", "code"], unique=False)
    version = op.create_table(
        "lists_version",
        sa.Column("one", sa.Boolean(), sa.CheckConstraint("one"), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("stamp", sa.Uuid(), nullable=False),
        sa.PrimaryKeyConstraint("one"),
    )
    op.bulk_insert(version, [{"one": True, "version": 1, "stamp": uuid4()}])
    op.bulk_insert(
        values,
        [
            {
                "list": name,
                "code": code,
                "national_code": code,
                "labels": dict(entry.value.labels),
                "order": entry.order,
                "active": True,
                "version": entry.version,
            }
            for name, entries in defaults().items()
            for code, entry in entries.items()
        ],
    )


def downgrade() -> None:
    op.drop_table("lists_version")
    op.drop_table("list_values")
