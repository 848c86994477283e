"""A name's title is compared too, and her documents; who waits with an edit is known by both her records; and weights are a model's.

Who was entered before has no title until she is handed in again. Indexes hold only those whom they can find.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "dedup_0002"
down_revision = "dedup_0001"
branch_labels = None
depends_on = None

ARMS = {
    "identity": (["identity_token"], "identity_token <> ''"),
    "account": (["account"], "account <> ''"),
    "mobile": (["mobile"], "mobile <> ''"),
    "name_village": (["name_first", "village"], "name_first <> '' and village is not null"),
    "name_birth": (["name_first", "born_on"], "name_first <> '' and born_on is not null"),
    "name_relation": (["name_first", "relation_first", "birth_year"], "name_first <> '' and relation_first <> '' and birth_year is not null"),
    "name_relation_block": (["name_first", "relation_first", "block"], "name_first <> '' and relation_first <> '' and block is not null"),
    "relation_village": (["relation_first", "village"], "relation_first <> '' and village is not null and birth_year is not null"),
    "birth_village": (["born_on", "village"], "born_on is not null and village is not null"),
}


def upgrade() -> None:
    op.add_column("people", sa.Column("name_title", sa.Text(), nullable=False, server_default=""))
    op.add_column("people", sa.Column("documents", postgresql.ARRAY(sa.Text()), nullable=False, server_default="{}"))
    op.create_index("people_document", "people", ["documents"], postgresql_where=sa.text("documents <> '{}'"), postgresql_using="gin")
    op.add_column("people", sa.Column("waiting", sa.Boolean(), nullable=False, server_default=sa.false()))
    op.drop_constraint("people_pkey", "people")
    op.create_primary_key("people_pkey", "people", ["member_id", "waiting"])
    for name, (columns, found) in ARMS.items():
        op.drop_index(f"people_{name}", "people")
        op.create_index(f"people_{name}", "people", columns, postgresql_where=sa.text(found))
    op.create_table(
        "models",
        sa.Column("id", sa.Integer(), sa.Identity(), primary_key=True),
        sa.Column("content", sa.LargeBinary(), nullable=False),
        sa.Column("held_from", sa.DateTime(timezone=True), nullable=False, server_default=sa.func.now()),
    )


def downgrade() -> None:
    op.drop_table("models")
    op.execute("delete from people where waiting")
    for name, (columns, _) in ARMS.items():
        op.drop_index(f"people_{name}", "people")
        op.create_index(f"people_{name}", "people", columns)
    op.drop_constraint("people_pkey", "people")
    op.create_primary_key("people_pkey", "people", ["member_id"])
    op.drop_column("people", "waiting")
    op.drop_index("people_document", "people")
    op.drop_column("people", "documents")
    op.drop_column("people", "name_title")
