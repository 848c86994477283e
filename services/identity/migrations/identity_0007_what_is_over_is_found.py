"""Evidence that is over is found by an index."""

from alembic import op

revision = "identity_0007"
down_revision = "identity_0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index("evidence_verified", "evidence", ["verified_at"], unique=False)


def downgrade() -> None:
    op.drop_index("evidence_verified", "evidence")
