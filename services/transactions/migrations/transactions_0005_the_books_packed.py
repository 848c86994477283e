"""A meeting is one row with its lines in arrays, and every balance has one place. Nothing is released: what was there goes."""

from datetime import UTC, datetime
from uuid import UUID

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import ARRAY

revision = "transactions_0005"
down_revision = "transactions_0004"
branch_labels = None
depends_on = None


def _of_meetings() -> list[sa.Column]:
    return [
        sa.Column("institution_id", sa.Uuid(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("held_on", sa.Date(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("content_hash", sa.LargeBinary(), nullable=False),
        sa.Column("ids", ARRAY(sa.Uuid()), nullable=False),
        sa.Column("content", sa.LargeBinary(), nullable=False),
        sa.Column("debit", ARRAY(sa.SmallInteger()), nullable=False),
        sa.Column("credit", ARRAY(sa.SmallInteger()), nullable=False),
        sa.Column("debit_of", ARRAY(sa.SmallInteger()), nullable=False),
        sa.Column("credit_of", ARRAY(sa.SmallInteger()), nullable=False),
        sa.Column("paise", ARRAY(sa.BigInteger()), nullable=False),
        sa.Column("flags", ARRAY(sa.Text()), nullable=False),
        sa.Column("maker_user", sa.Text(), nullable=False),
        sa.Column("maker_person", sa.Text(), nullable=False),
        sa.Column("stored_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("decided_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("decided_by", sa.Text(), nullable=True),
        sa.Column("decided_person", sa.Text(), nullable=True),
        sa.Column("reasons", ARRAY(sa.Text()), nullable=True),
        sa.Column("remark", sa.Text(), nullable=True),
        sa.Column("region", sa.Text(), nullable=True),
    ]


def upgrade() -> None:
    for table in ("lines", "meetings", "balances", "loans", "chains"):
        op.drop_table(table)
    op.create_table(
        "chains",
        sa.Column("institution_id", sa.Uuid(), nullable=False),
        sa.Column("last_number", sa.Integer(), nullable=False),
        sa.Column("last_meeting_id", sa.Uuid(), nullable=True),
        sa.Column("last_held_on", sa.Date(), nullable=True),
        sa.Column("approved_through", sa.Integer(), nullable=False),
        sa.Column("highest_number", sa.Integer(), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("lock", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("lock_session", sa.Uuid(), nullable=True),
        sa.CheckConstraint("approved_through between 0 and last_number and last_number <= highest_number", name="chains_in_order"),
        sa.PrimaryKeyConstraint("institution_id"),
    )
    op.create_table(
        "meetings",
        sa.Column("meeting_id", sa.Uuid(), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        *_of_meetings(),
        sa.CheckConstraint(
            "cardinality(debit) = cardinality(paise) and cardinality(credit) = cardinality(paise)"
            " and cardinality(debit_of) = cardinality(paise) and cardinality(credit_of) = cardinality(paise) and 0 < all (paise)",
            name="meetings_sound",
        ),
        sa.PrimaryKeyConstraint("meeting_id"),
        postgresql_partition_by="RANGE (meeting_id)",
    )
    op.create_index("meetings_number", "meetings", ["institution_id", "number"], unique=False)
    op.create_table(
        "superseded",
        sa.Column("meeting_id", sa.Uuid(), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        *_of_meetings(),
        sa.PrimaryKeyConstraint("meeting_id", "revision"),
    )
    op.create_table(
        "balances",
        sa.Column("institution_id", sa.Uuid(), nullable=False),
        sa.Column("head", sa.Text(), nullable=False),
        sa.Column("of_id", sa.Uuid(), nullable=False),
        sa.Column("paise", sa.BigInteger(), nullable=False),
        sa.Column("interest_paise", sa.BigInteger(), nullable=True),
        sa.Column("counted_through", sa.Date(), nullable=True),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("institution_id", "head", "of_id"),
        postgresql_with={"fillfactor": "60"},
    )
    op.create_table(
        "loans",
        sa.Column("loan_id", sa.Uuid(), nullable=False),
        sa.Column("institution_id", sa.Uuid(), nullable=False),
        sa.Column("meeting_id", sa.Uuid(), nullable=False),
        sa.Column("head", sa.Text(), nullable=False),
        sa.Column("member_id", sa.Uuid(), nullable=True),
        sa.Column("principal_paise", sa.BigInteger(), nullable=False),
        sa.Column("annual_rate_basis_points", sa.Integer(), nullable=False),
        sa.Column("months", sa.Integer(), nullable=False),
        sa.Column("given_on", sa.Date(), nullable=False),
        sa.Column("rounding_paise", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("loan_id"),
    )
    op.create_index("loans_institution", "loans", ["institution_id"], unique=False)
    op.create_table(
        "reversals",
        sa.Column("of_meeting_id", sa.Uuid(), nullable=False),
        sa.Column("of_line", sa.Integer(), nullable=False),
        sa.Column("meeting_id", sa.Uuid(), nullable=False),
        sa.PrimaryKeyConstraint("of_meeting_id", "of_line"),
    )
    op.create_index("reversals_meeting", "reversals", ["meeting_id"], unique=False)
    # What no year takes: ids of the past, and of devices whose clock runs far ahead. Then this year and the next.
    op.execute("create table meetings_default partition of meetings default")
    years = [datetime.now(UTC).year + ahead for ahead in range(3)]
    bounds = [UUID(int=int(datetime(year, 1, 1, tzinfo=UTC).timestamp()) * 1000 << 80) for year in years]
    for year, first, beyond in zip(years, bounds, bounds[1:], strict=False):
        op.execute(f"create table meetings_{year} partition of meetings for values from ('{first}') to ('{beyond}')")
    # The journal for whoever reads it by SQL: a row a line, of the newest revision of every meeting.
    op.execute("""
        create view lines as
        select m.meeting_id, m.revision, l.line::int as line, m.institution_id, m.number, m.held_on, m.status,
            substr('ALIE', l.debit / 100, 1) || lpad((l.debit % 100)::text, 2, '0') as debit, m.ids[l.debit_of] as debit_of,
            substr('ALIE', l.credit / 100, 1) || lpad((l.credit % 100)::text, 2, '0') as credit, m.ids[l.credit_of] as credit_of,
            l.amount_paise
        from meetings m cross join lateral unnest(m.debit, m.credit, m.debit_of, m.credit_of, m.paise)
            with ordinality as l (debit, credit, debit_of, credit_of, amount_paise, line)
    """)


def downgrade() -> None:
    raise NotImplementedError("what was sent since fits no older layout")
