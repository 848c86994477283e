"""Certificates that papers are signed by, and which paper verified which member."""

import sqlalchemy as sa
from alembic import op

revision = "identity_0006"
down_revision = "identity_0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "certificates",
        sa.Column("certificate_id", sa.Uuid(), nullable=False),
        *(sa.Column(name, sa.Text(), nullable=False) for name in ("kind", "fingerprint", "pem", "subject")),
        *(sa.Column(name, sa.DateTime(timezone=True), nullable=False) for name in ("valid_from", "valid_until", "trusted_from", "trusted_until")),
        *(sa.Column(name, sa.Text(), nullable=False) for name in ("added_by", "added_person")),
        sa.Column("added_at", sa.DateTime(timezone=True), nullable=False),
        *(sa.Column(name, sa.Text(), server_default="", nullable=False) for name in ("confirmed_by", "revoked_by", "revoke_reason")),
        *(sa.Column(name, sa.DateTime(timezone=True), nullable=True) for name in ("confirmed_at", "replaced_at", "revoked_at")),
        sa.PrimaryKeyConstraint("certificate_id"),
    )
    op.create_index("certificates_fingerprint", "certificates", ["fingerprint"], unique=False)
    op.create_table(
        "evidence",
        sa.Column("evidence_id", sa.Uuid(), nullable=False),
        sa.Column("member_id", sa.Uuid(), nullable=False),
        sa.Column("mode", sa.Text(), nullable=False),
        sa.Column("reference_key", sa.LargeBinary(), nullable=False),
        *(sa.Column(name, sa.DateTime(timezone=True), nullable=False) for name in ("referenced_at", "verified_at")),
        sa.Column("user_id", sa.Text(), nullable=False),
        sa.Column("role", sa.Text(), nullable=False),
        sa.Column("consent_id", sa.Uuid(), nullable=False),
        sa.Column("certificate", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("evidence_id"),
    )
    op.create_index("evidence_member", "evidence", ["member_id"], unique=False)
    op.create_index("evidence_reference", "evidence", ["reference_key"], unique=False)


def downgrade() -> None:
    op.drop_table("evidence")
    op.drop_table("certificates")
