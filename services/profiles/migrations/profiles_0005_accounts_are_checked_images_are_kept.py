"""What banks say of accounts is kept; images, and which records name them."""

import sqlalchemy as sa
from alembic import op

revision = "profiles_0005"
down_revision = "profiles_0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "account_checks",
        sa.Column("check_id", sa.Uuid(), nullable=False),
        sa.Column("record_id", sa.Uuid(), nullable=False),
        sa.Column("row_id", sa.Text(), nullable=False),
        sa.Column("ifsc", sa.Text(), nullable=False),
        sa.Column("account_number", sa.Text(), nullable=False),
        sa.Column("holder_name", sa.Text(), nullable=False),
        sa.Column("handed_in_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("outcome", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), server_default="", nullable=False),
        sa.Column("name_at_bank", sa.Text(), server_default="", nullable=False),
        sa.Column("name_match", sa.Integer(), server_default="0", nullable=False),
        sa.Column("checked_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("reference", sa.Uuid(), nullable=False),
        sa.Column("bank_reference", sa.Text(), server_default="", nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("tries", sa.Integer(), nullable=False),
        sa.Column("next_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("asked_on", sa.Date(), nullable=True),
        sa.Column("asked_times", sa.Integer(), server_default="0", nullable=False),
        sa.PrimaryKeyConstraint("check_id"),
    )
    op.create_index("account_checks_of", "account_checks", ["record_id", "row_id", "ifsc", "account_number"], unique=True)
    op.create_index("account_checks_next", "account_checks", ["next_at"], unique=False, postgresql_where=sa.text("next_at IS NOT NULL"))
    op.create_table(
        "images",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("institution_id", sa.Uuid(), nullable=False),
        sa.Column("region", sa.Text(), nullable=False),
        sa.Column("media_type", sa.Text(), nullable=False),
        sa.Column("size_bytes", sa.Integer(), nullable=False),
        sa.Column("sha256", sa.LargeBinary(), nullable=False),
        sa.Column("put_by", sa.Text(), nullable=False),
        sa.Column("put_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("stored_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("key_id", sa.Text(), server_default="", nullable=False),
        sa.Column("loose_since", sa.DateTime(timezone=True), nullable=True),
        sa.Column("erasing_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("images_content", "images", ["institution_id", "sha256"], unique=True, postgresql_where=sa.text("erasing_at IS NULL"))
    op.create_index("images_loose", "images", ["put_by", "loose_since"], unique=False, postgresql_where=sa.text("loose_since IS NOT NULL"))
    op.create_table(
        "image_uses",
        sa.Column("image_id", sa.Uuid(), nullable=False),
        sa.Column("record_id", sa.Uuid(), nullable=False),
        sa.ForeignKeyConstraint(["image_id"], ["images.id"]),
        sa.PrimaryKeyConstraint("image_id", "record_id"),
    )
    op.create_index("image_uses_record", "image_uses", ["record_id"], unique=False)


def downgrade() -> None:
    for table in ("image_uses", "images", "account_checks"):
        op.drop_table(table)
