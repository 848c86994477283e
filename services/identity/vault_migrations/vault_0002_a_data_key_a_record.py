"""A data key a record, a blind index of its own, tombstones and walks. Records of before open as they are, until a walk seals them anew."""

import sqlalchemy as sa
from alembic import op

revision = "vault_0002"
down_revision = "vault_0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("numbers", sa.Column("version", sa.Integer(), server_default="0", nullable=False))
    op.add_column("numbers", sa.Column("key_id", sa.Integer(), server_default="1", nullable=False))
    op.add_column("numbers", sa.Column("wrapped", sa.LargeBinary(), nullable=True))
    op.add_column("numbers", sa.Column("sealed_at", sa.DateTime(timezone=True), nullable=True))
    op.create_table(
        "entries",
        sa.Column("key_id", sa.Integer(), nullable=False),
        sa.Column("entry", sa.LargeBinary(), nullable=False),
        sa.Column("reference", sa.Uuid(), nullable=False),
        sa.ForeignKeyConstraint(["reference"], ["numbers.reference"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("key_id", "entry"),
    )
    op.create_index("entries_of", "entries", ["reference", "key_id"], unique=True)
    op.create_table(
        "tombstones",
        sa.Column("reference", sa.Uuid(), nullable=False),
        sa.Column("erased_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("reference"),
    )
    op.add_column("uses", sa.Column("act", sa.Text(), server_default="", nullable=False))
    op.create_index("uses_reference", "uses", ["reference"], unique=False)
    op.create_index("uses_at", "uses", ["at"], unique=False)
    op.create_table(
        "walks",
        sa.Column("id", sa.BigInteger(), autoincrement=True, nullable=False),
        sa.Column("what", sa.Text(), nullable=False),
        sa.Column("key_id", sa.Integer(), nullable=True),
        sa.Column("user_id", sa.Text(), nullable=False),
        sa.Column("begun_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("records", sa.BigInteger(), server_default="0", nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )


def downgrade() -> None:
    op.drop_table("walks")
    for index in ("uses_at", "uses_reference"):
        op.drop_index(index, table_name="uses")
    op.drop_column("uses", "act")
    op.drop_table("tombstones")
    op.drop_index("entries_of", table_name="entries")
    op.drop_table("entries")
    for column in ("sealed_at", "wrapped", "key_id", "version"):
        op.drop_column("numbers", column)
