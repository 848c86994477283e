"""Contested cases say where, why and how often they were told; the lists of flagged screenings have an index each; labels keep what was decided on.

Cases that are open already are told with `python -m services.dedup restate --to transactions`.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "dedup_0005"
down_revision = "dedup_0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    for column in (
        sa.Column("region", sa.Text(), nullable=False, server_default=""),
        sa.Column("version", sa.BigInteger(), nullable=False, server_default="0"),
        sa.Column("clues", postgresql.JSONB(), nullable=False, server_default="[]"),
    ):
        op.add_column("contested", column)
    op.execute("update contested c set region = p.region from people p where p.member_id = c.member_id")
    op.create_index("contested_open", "contested", ["region", "member_id", "other_id"], postgresql_where=sa.text("settled_at is null"))
    for name in ("supervisor", "fraud"):
        op.add_column("screenings", sa.Column(name, sa.Boolean(), nullable=False, server_default=sa.false()))
    op.execute(
        "update screenings s set"
        " supervisor = exists (select from matches m where m.member_id = s.member_id and m.version = s.version and m.override = 'SUPERVISOR'),"
        " fraud = exists (select from matches m where m.member_id = s.member_id and m.version = s.version"
        """ and m.clues @> '[["SAME_ACCOUNT"], ["IDENTITY_OTHER"]]')"""
        " where s.verdict <> 'CLEAR'"
    )
    for name, where in (("confirmed", "verdict = 'CONFIRMED'"), ("supervisor", "supervisor"), ("fraud", "fraud")):
        op.create_index(f"screenings_{name}", "screenings", ["region", "member_id"], postgresql_where=sa.text(where))
    for column in (
        sa.Column("decided_at", sa.DateTime(timezone=True), nullable=False, server_default=sa.func.now()),
        sa.Column("region", sa.Text(), nullable=False, server_default=""),
        sa.Column("other_id", sa.Uuid(), nullable=True),
        sa.Column("verdict", sa.Text(), nullable=True),
        sa.Column("override", sa.Text(), nullable=True),
        sa.Column("weight_centibits", sa.Integer(), nullable=True),
        sa.Column("codes", postgresql.ARRAY(sa.Text()), nullable=True),
    ):
        op.add_column("labels", column)
    op.execute(
        "update labels l set decided_at = l.heard_at, region = p.region, other_id = m.other_id, verdict = m.verdict, override = m.override,"
        " weight_centibits = m.weight_centibits, codes = array(select clue ->> 0 from jsonb_array_elements(m.clues) as clue)"
        " from matches m join people p on p.member_id = m.member_id where m.finding_id = l.finding_id"
    )
    op.create_index("labels_decided", "labels", ["region", "decided_at"])


def downgrade() -> None:
    op.drop_index("labels_decided", table_name="labels")
    for name in ("codes", "weight_centibits", "override", "verdict", "other_id", "region", "decided_at"):
        op.drop_column("labels", name)
    for name in ("fraud", "supervisor", "confirmed"):
        op.drop_index(f"screenings_{name}", table_name="screenings")
    for name in ("fraud", "supervisor"):
        op.drop_column("screenings", name)
    op.drop_index("contested_open", table_name="contested")
    for name in ("clues", "version", "region"):
        op.drop_column("contested", name)
