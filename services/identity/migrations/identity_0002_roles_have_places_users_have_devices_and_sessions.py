"""Roles have places of their own; users have devices and sessions, blocks have clusters."""

import sqlalchemy as sa
from alembic import op

revision = "identity_0002"
down_revision = "identity_0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    _roles_have_places()
    op.create_table(
        "clusters",
        sa.Column("cluster_id", sa.Uuid(), nullable=False),
        sa.Column("block", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("cluster_id"),
    )
    op.create_index("clusters_block", "clusters", ["block"], unique=False)
    op.create_table(
        "cluster_gps",
        sa.Column("gp", sa.Text(), nullable=False),
        sa.Column("cluster_id", sa.Uuid(), nullable=False),
        sa.ForeignKeyConstraint(["cluster_id"], ["clusters.cluster_id"]),
        sa.PrimaryKeyConstraint("gp"),
    )
    op.create_index("cluster_gps_cluster", "cluster_gps", ["cluster_id"], unique=False)
    op.create_table(
        "devices",
        sa.Column("user_id", sa.Text(), nullable=False),
        sa.Column("device", sa.LargeBinary(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("bound", sa.Boolean(), nullable=False),
        sa.Column("otp_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["user_id"], ["users.user_id"]),
        sa.PrimaryKeyConstraint("user_id", "device"),
    )
    op.create_index("devices_bound", "devices", ["user_id"], unique=True, postgresql_where=sa.text("bound"))
    op.create_index("devices_device", "devices", ["device"], unique=False)
    op.create_table(
        "sessions",
        sa.Column("session_id", sa.Uuid(), nullable=False),
        sa.Column("user_id", sa.Text(), nullable=False),
        sa.Column("role", sa.Text(), nullable=False),
        sa.Column("device", sa.LargeBinary(), nullable=False),
        sa.Column("generation", sa.Integer(), nullable=False),
        sa.Column("secret_hash", sa.LargeBinary(), nullable=False),
        sa.Column("spent_hash", sa.LargeBinary(), nullable=True),
        sa.Column("began_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ends_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("ended_why", sa.Text(), server_default="", nullable=False),
        sa.ForeignKeyConstraint(["user_id"], ["users.user_id"]),
        sa.PrimaryKeyConstraint("session_id"),
    )
    op.create_index("sessions_open", "sessions", ["user_id"], unique=True, postgresql_where=sa.text("ended_at IS NULL"))
    op.create_index("sessions_device", "sessions", ["device", "began_at"], unique=False)
    op.create_index("sessions_ends", "sessions", ["ends_at"], unique=False)
    op.create_table(
        "challenges",
        sa.Column("challenge_id", sa.Uuid(), nullable=False),
        sa.Column("purpose", sa.Text(), nullable=False),
        sa.Column("user_id", sa.Text(), nullable=False),
        sa.Column("role", sa.Text(), nullable=False),
        sa.Column("device", sa.LargeBinary(), nullable=False),
        sa.Column("device_kind", sa.Text(), nullable=False),
        sa.Column("device_name", sa.Text(), nullable=False),
        sa.Column("secret_hash", sa.LargeBinary(), nullable=False),
        sa.Column("keep", sa.Boolean(), nullable=False),
        sa.Column("language", sa.Text(), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("sends", sa.SmallInteger(), nullable=False),
        sa.Column("sent_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("tries", sa.SmallInteger(), nullable=False),
        sa.Column("used_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("challenge_id"),
    )
    op.create_index("challenges_expires", "challenges", ["expires_at"], unique=False)
    op.create_table(
        "attempts",
        sa.Column("key", sa.LargeBinary(), nullable=False),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("last_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("key"),
    )
    op.create_index("attempts_last", "attempts", ["last_at"], unique=False)
    op.create_table(
        "uploads",
        sa.Column("upload_id", sa.Uuid(), nullable=False),
        sa.Column("user_id", sa.Text(), nullable=False),
        sa.Column("rows", sa.Integer(), nullable=False),
        sa.Column("rows_done", sa.Integer(), nullable=False),
        sa.Column("begun_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("upload_id"),
    )


def _roles_have_places() -> None:
    op.add_column("user_roles", sa.Column("region", sa.Text(), nullable=True))
    op.add_column("user_roles", sa.Column("side", sa.Text(), server_default="", nullable=False))
    op.add_column("user_roles", sa.Column("institution_ids", sa.ARRAY(sa.Uuid()), server_default="{}", nullable=False))
    op.add_column("user_roles", sa.Column("cluster_ids", sa.ARRAY(sa.Uuid()), server_default="{}", nullable=False))
    op.execute("update user_roles r set region = u.region, institution_ids = u.institution_ids from users u where u.user_id = r.user_id")
    op.alter_column("user_roles", "region", nullable=False)
    op.create_index("user_roles_region", "user_roles", ["region"], unique=False, postgresql_ops={"region": "text_pattern_ops"})
    op.add_column("users", sa.Column("email", sa.Text(), server_default="", nullable=False))
    op.add_column("users", sa.Column("language", sa.Text(), server_default="", nullable=False))
    op.add_column("users", sa.Column("status", sa.Text(), nullable=True))
    op.execute("update users set status = case when active then 'ACTIVE' else 'INACTIVE' end")
    op.alter_column("users", "status", nullable=False)
    op.drop_index("users_region", table_name="users", postgresql_ops={"region": "text_pattern_ops"})
    for name in ("region", "institution_ids", "active"):
        op.drop_column("users", name)
    op.create_index("users_mobile", "users", ["mobile"], unique=False)


def downgrade() -> None:
    raise NotImplementedError("Which of her roles' places was the user's cannot be told any more; restore a backup.")
