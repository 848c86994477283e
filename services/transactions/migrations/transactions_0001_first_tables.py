"""First tables."""

from datetime import UTC, datetime
from uuid import UUID

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "transactions_0001"
down_revision = None
branch_labels = ("transactions",)
depends_on = None


def upgrade() -> None:
    op.create_table(
        "balances",
        sa.Column("institution_id", sa.Uuid(), nullable=False),
        sa.Column("member_id", sa.Uuid(), nullable=False),
        sa.Column("compulsory_paise", sa.BigInteger(), nullable=False),
        sa.Column("voluntary_paise", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("compulsory_paise >= 0 and voluntary_paise >= 0", name="balances_not_negative"),
        sa.PrimaryKeyConstraint("institution_id", "member_id"),
    )
    op.create_table(
        "chains",
        sa.Column("institution_id", sa.Uuid(), nullable=False),
        sa.Column("last_number", sa.Integer(), nullable=False),
        sa.Column("last_held_on", sa.Date(), nullable=True),
        sa.Column("approved_through", sa.Integer(), nullable=False),
        sa.Column("cash_paise", sa.BigInteger(), nullable=False),
        sa.Column("bank_paise", sa.BigInteger(), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("approved_through between 0 and last_number", name="chains_approved"),
        sa.CheckConstraint("cash_paise >= 0 and bank_paise >= 0", name="chains_not_negative"),
        sa.PrimaryKeyConstraint("institution_id"),
    )
    op.create_table(
        "drift",
        sa.Column("block", sa.Text(), nullable=False),
        sa.Column("members_told", sa.BigInteger(), nullable=False),
        sa.Column("fingerprint_told", sa.BigInteger(), nullable=False),
        sa.Column("members_held", sa.BigInteger(), nullable=False),
        sa.Column("found_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("block"),
    )
    op.create_table(
        "institutions",
        sa.Column("institution_id", sa.Uuid(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("region", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("parent_id", sa.Uuid(), nullable=True),
        sa.Column("formed_on", sa.Date(), nullable=True),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("institution_id"),
    )
    op.create_table(
        "lines",
        sa.Column("meeting_id", sa.Uuid(), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("line", sa.Integer(), nullable=False),
        sa.Column("institution_id", sa.Uuid(), nullable=False),
        sa.Column("member_id", sa.Uuid(), nullable=True),
        sa.Column("loan_id", sa.Uuid(), nullable=True),
        sa.Column("debit", sa.Text(), nullable=False),
        sa.Column("credit", sa.Text(), nullable=False),
        sa.Column("amount_paise", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("amount_paise > 0 and debit <> credit", name="lines_sound"),
        sa.PrimaryKeyConstraint("meeting_id", "revision", "line"),
        postgresql_partition_by="RANGE (meeting_id)",
    )
    op.create_table(
        "loans",
        sa.Column("loan_id", sa.Uuid(), nullable=False),
        sa.Column("institution_id", sa.Uuid(), nullable=False),
        sa.Column("member_id", sa.Uuid(), nullable=False),
        sa.Column("meeting_id", sa.Uuid(), nullable=False),
        sa.Column("principal_paise", sa.BigInteger(), nullable=False),
        sa.Column("outstanding_paise", sa.BigInteger(), nullable=False),
        sa.Column("annual_rate_basis_points", sa.Integer(), nullable=False),
        sa.Column("months", sa.Integer(), nullable=False),
        sa.CheckConstraint("outstanding_paise between 0 and principal_paise", name="loans_outstanding"),
        sa.PrimaryKeyConstraint("loan_id"),
    )
    op.create_index("loans_institution", "loans", ["institution_id"], unique=False)
    op.create_table(
        "meetings",
        sa.Column("meeting_id", sa.Uuid(), nullable=False),
        sa.Column("institution_id", sa.Uuid(), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("held_on", sa.Date(), nullable=False),
        sa.Column("content", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("content_hash", sa.LargeBinary(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("maker_user", sa.Text(), nullable=False),
        sa.Column("maker_person", sa.Text(), nullable=False),
        sa.Column("stored_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("remark", sa.Text(), server_default="", nullable=False),
        sa.Column("decided_by", sa.Text(), server_default="", nullable=False),
        sa.Column("decided_person", sa.Text(), server_default="", nullable=False),
        sa.Column("decided_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("region", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("meeting_id"),
    )
    op.create_index("meetings_number", "meetings", ["institution_id", "number"], unique=False)
    op.create_table(
        "members",
        sa.Column("member_id", sa.Uuid(), nullable=False),
        sa.Column("institution_id", sa.Uuid(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("region", sa.Text(), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("member_id"),
    )
    op.create_index("members_region", "members", ["region"], unique=False)
    # What no month takes: ids of the past, and of devices whose clock runs far ahead. Then this month and the next two.
    op.execute("create table lines_default partition of lines default")
    today = datetime.now(UTC)
    months = [divmod(today.year * 12 + today.month - 1 + ahead, 12) for ahead in range(4)]
    bounds = [UUID(int=int(datetime(year, month + 1, 1, tzinfo=UTC).timestamp()) * 1000 << 80) for year, month in months]
    for (year, month), first, beyond in zip(months, bounds, bounds[1:], strict=False):
        op.execute(f"create table lines_{year}_{month + 1:02} partition of lines for values from ('{first}') to ('{beyond}')")


def downgrade() -> None:
    for table in ("members", "meetings", "loans", "lines", "institutions", "drift", "chains", "balances"):
        op.drop_table(table)
