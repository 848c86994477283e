"""A whole state compared with itself: how far each run is, and the pairs of the last that ended."""

import sqlalchemy as sa
from alembic import op

revision = "dedup_0003"
down_revision = "dedup_0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "batches",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("phase", sa.Text(), nullable=False),
        sa.Column("phases_done", sa.Integer(), server_default="0", nullable=False),
        sa.Column("phase_done", sa.Integer(), server_default="0", nullable=False),
        sa.Column("phase_of", sa.Integer(), server_default="0", nullable=False),
        sa.Column("starts", sa.Integer(), server_default="0", nullable=False),
        sa.Column("asked_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("taken_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("members", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("pairs", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("clusters", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("screened_again", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("model", sa.Text(), server_default="", nullable=False),
        sa.Column("error", sa.Text(), server_default="", nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("batches_running", "batches", ["state"], unique=True, postgresql_where=sa.text("state = 'RUNNING'"))
    op.create_table(
        "batch_pairs",
        sa.Column("batch_id", sa.Uuid(), nullable=False),
        sa.Column("one_id", sa.Uuid(), nullable=False),
        sa.Column("other_id", sa.Uuid(), nullable=False),
        sa.Column("one_revision", sa.Integer(), nullable=False),
        sa.Column("other_revision", sa.Integer(), nullable=False),
        sa.Column("one_region", sa.Text(), nullable=False),
        sa.Column("other_region", sa.Text(), nullable=False),
        sa.Column("weight_centibits", sa.Integer(), nullable=False),
        sa.Column("verdict", sa.Text(), nullable=False),
        sa.Column("override", sa.Text(), nullable=False),
        sa.Column("cluster_id", sa.Uuid(), nullable=True),
        sa.PrimaryKeyConstraint("one_id", "other_id"),
    )
    op.create_index("batch_pairs_one_region", "batch_pairs", ["one_region"], unique=False)
    op.create_index("batch_pairs_other_region", "batch_pairs", ["other_region"], unique=False)


def downgrade() -> None:
    op.drop_table("batch_pairs")
    op.drop_table("batches")
