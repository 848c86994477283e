"""Consents, of which members something is kept, what is sent to them, and when what is kept was last looked through."""

import sqlalchemy as sa
from alembic import op

revision = "identity_0005"
down_revision = "identity_0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "members",
        sa.Column("member_id", sa.Uuid(), nullable=False),
        sa.Column("institution_id", sa.Uuid(), nullable=False),
        sa.Column("region", sa.Text(), nullable=False),
        sa.Column("version", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("left_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("held_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("held_reason", sa.Text(), server_default="", nullable=False),
        sa.Column("place", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("head", sa.LargeBinary(), nullable=False),
        sa.Column("erased_place", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("erased_hash", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("member_id"),
    )
    op.create_index("members_left", "members", ["left_at"], unique=False, postgresql_where=sa.text("left_at IS NOT NULL"))
    op.create_index("members_held", "members", ["member_id"], unique=False, postgresql_where=sa.text("held_at IS NOT NULL"))
    op.create_table(
        "consents",
        sa.Column("member_id", sa.Uuid(), nullable=False),
        sa.Column("place", sa.BigInteger(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("consent_id", sa.Uuid(), nullable=False),
        sa.Column("purpose", sa.Text(), nullable=False),
        sa.Column("notice_version", sa.Integer(), nullable=False),
        sa.Column("language", sa.Text(), nullable=False),
        sa.Column("notice_hash", sa.LargeBinary(), nullable=False),
        sa.Column("data_items", sa.ARRAY(sa.Text()), nullable=False),
        sa.Column("recipients", sa.ARRAY(sa.Text()), nullable=False),
        sa.Column("lawful_basis", sa.Text(), nullable=False),
        sa.Column("channel", sa.Text(), nullable=False),
        sa.Column("user_id", sa.Text(), nullable=False),
        sa.Column("role", sa.Text(), nullable=False),
        sa.Column("device_id", sa.Text(), nullable=False),
        sa.Column("proof", sa.Text(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("recorded_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("institution_id", sa.Uuid(), nullable=False),
        sa.Column("region", sa.Text(), nullable=False),
        sa.Column("prior_hash", sa.LargeBinary(), nullable=False),
        sa.Column("hash", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("member_id", "place"),
    )
    op.create_index("consents_recorded", "consents", ["recorded_at"], unique=False)
    op.create_index("consents_withdrawn", "consents", ["member_id"], unique=False, postgresql_where=sa.text("kind = 'WITHDRAWN'"))
    op.create_index("consents_ends", "consents", ["expires_at"], unique=False, postgresql_where=sa.text("kind = 'GIVEN'"))
    op.create_index("consents_given", "consents", ["consent_id"], unique=True, postgresql_where=sa.text("kind = 'GIVEN'"))
    op.create_table(
        "messages",
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("member_id", sa.Uuid(), nullable=False),
        sa.Column("template", sa.Text(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("key"),
    )
    op.create_index("messages_member", "messages", ["member_id"], unique=False)
    op.create_index("messages_at", "messages", ["at"], unique=False)
    op.create_table(
        "retention_runs",
        sa.Column("kept", sa.Text(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("erased", sa.BigInteger(), nullable=False),
        sa.Column("erased_ever", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("kept"),
    )
    op.add_column("alerts", sa.Column("member_id", sa.Uuid(), nullable=True))
    op.create_index("alerts_member", "alerts", ["member_id"], unique=False)
    op.add_column("kycs", sa.Column("consent_id", sa.Uuid(), nullable=True))
    for name in ("role", "last4"):
        op.add_column("kycs", sa.Column(name, sa.Text(), server_default="", nullable=False))
    op.add_column("kycs", sa.Column("number_erased_at", sa.DateTime(timezone=True), nullable=True))
    for name in ("member", "reference", "expires"):
        op.create_index(f"kycs_{name}", "kycs", [{"member": "member_id", "expires": "expires_at"}.get(name, name)], unique=False)
    op.create_index("kycs_number", "kycs", ["member_id"], unique=False, postgresql_where=sa.text("number_erased_at IS NULL"))


def downgrade() -> None:
    for name in ("number", "expires", "reference", "member"):
        op.drop_index(f"kycs_{name}", table_name="kycs")
    for name in ("number_erased_at", "last4", "role", "consent_id"):
        op.drop_column("kycs", name)
    op.drop_index("alerts_member", table_name="alerts")
    op.drop_column("alerts", "member_id")
    for name in ("retention_runs", "messages", "consents", "members"):
        op.drop_table(name)
