"""The list of reasons for which a member shows no document: nobody is denied for that."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from services.profiles.rules.list_edits import defaults

revision = "profiles_0018"
down_revision = "profiles_0017"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """A new state has the list since profiles_0004; where it is missing it is an edit of the lists, which devices then download."""
    names = ("list", "code", "national_code", "labels", "order", "active", "version")
    values = sa.table("list_values", *map(sa.column, names[:3]), sa.column("labels", postgresql.JSONB()), *map(sa.column, names[4:]))
    version = sa.table("lists_version", sa.column("version"), sa.column("stamp"))
    next_version = sa.select(version.c.version + 1).scalar_subquery()
    rows = [
        {
            "list": "NO_DOCUMENT",
            "code": code,
            "national_code": code,
            "labels": dict(entry.value.labels),
            "order": entry.order,
            "active": True,
            "version": next_version,
        }
        for code, entry in defaults()["NO_DOCUMENT"].items()
    ]
    added = op.get_bind().execute(postgresql.insert(values).values(rows).on_conflict_do_nothing().returning(values.c.code))
    if added.all():
        op.execute(version.update().values(version=version.c.version + 1, stamp=sa.func.gen_random_uuid()))


def downgrade() -> None:
    op.execute("delete from list_values where list = 'NO_DOCUMENT'")
