"""A finding says who may overrule it and why it was found; every decision is kept; which record of a woman stays."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "profiles_0015"
down_revision = "profiles_0014"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("findings", sa.Column("decided_role", sa.Text(), nullable=True))
    op.add_column("findings", sa.Column("override", sa.Text(), server_default="OFFICER", nullable=False))
    for name, kind in (("clue_codes", sa.Text()), ("clue_weights", sa.Integer())):
        op.add_column("findings", sa.Column(name, postgresql.ARRAY(kind), server_default="{}", nullable=False))
    op.add_column("findings", sa.Column("gone", sa.Boolean(), server_default="false", nullable=False))
    op.execute("update findings set override = 'NOBODY' where verdict = 'CONFIRMED'")
    op.create_index("findings_other", "findings", ["other_member_id"], unique=False)
    op.create_table(
        "finding_decisions",
        sa.Column("member_id", sa.Uuid(), nullable=False),
        sa.Column("member_revision", sa.Integer(), nullable=False),
        sa.Column("finding_id", sa.Text(), nullable=False),
        sa.Column("decided_at", sa.DateTime(timezone=True), server_default=sa.text("clock_timestamp()"), nullable=False),
        sa.Column("decision", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("decided_by", sa.Text(), nullable=False),
        sa.Column("decided_role", sa.Text(), server_default="", nullable=False),
        sa.PrimaryKeyConstraint("member_id", "member_revision", "finding_id", "decided_at"),
    )
    op.execute(
        "insert into finding_decisions (member_id, member_revision, finding_id, decided_at, decision, reason, decided_by)"
        " select member_id, member_revision, finding_id, coalesce(decided_at, found_at), decision, reason, coalesce(decided_by, '')"
        " from findings where decision is not null"
    )
    op.add_column("submissions", sa.Column("for_supervisor", sa.Boolean(), server_default="false", nullable=False))
    waits = sa.text("status = 'SUBMITTED' AND for_supervisor")
    op.create_index("submissions_supervisor", "submissions", ["block", "submitted_at", "record_id"], unique=False, postgresql_where=waits)
    op.add_column("members", sa.Column("merged_into", sa.Uuid(), nullable=True))
    op.create_index("members_merged", "members", ["merged_into"], unique=False, postgresql_where=sa.text("merged_into IS NOT NULL"))


def downgrade() -> None:
    op.drop_index("members_merged", table_name="members")
    op.drop_column("members", "merged_into")
    op.drop_index("submissions_supervisor", table_name="submissions")
    op.drop_column("submissions", "for_supervisor")
    op.drop_table("finding_decisions")
    op.drop_index("findings_other", table_name="findings")
    for name in ("gone", "clue_weights", "clue_codes", "override", "decided_role"):
        op.drop_column("findings", name)
