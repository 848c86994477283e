"""A profile is one content; what waits for a checker stands beside it, also of a record that is live."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "profiles_0003"
down_revision = "profiles_0002"
branch_labels = None
depends_on = None

# The columns that went into the content, by the name that they have there too.
OF_INSTITUTION = ("name", "name_local", "region", "formed_on", "compulsory_savings_paise")
OF_MEMBER = ("name", "name_local", "gender", "born_on", "birth_year", "relation", "relation_name", "social_category", "joined_on")
WORK = ("reasons", "remark", "maker_user", "maker_person")
NOT_LIVE = "status in ('DRAFT', 'SUBMITTED', 'REJECTED')"


def _content(names: tuple[str, ...], *more: str) -> str:
    """What is empty is left out of a content."""
    pairs = ", ".join([*(f"'{name}', nullif({name}::text, '')" for name in names if name not in {"birth_year", "compulsory_savings_paise"}), *more])
    return f"jsonb_strip_nulls(jsonb_build_object({pairs}))"


def upgrade() -> None:
    op.create_table(
        "submissions",
        sa.Column("record_id", sa.Uuid(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("act", sa.Text(), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("institution_id", sa.Uuid(), nullable=False),
        sa.Column("region", sa.Text(), nullable=False),
        sa.Column("block", sa.Text(), nullable=False),
        sa.Column("gp", sa.Text(), nullable=False),
        sa.Column("content", postgresql.JSONB(), nullable=False),
        sa.Column("previous", postgresql.JSONB(), nullable=True),
        sa.Column("reviews", postgresql.JSONB(), server_default="{}", nullable=False),
        sa.Column("returns", sa.Integer(), server_default="0", nullable=False),
        sa.Column("reasons", postgresql.ARRAY(sa.Text()), server_default="{}", nullable=False),
        sa.Column("remark", sa.Text(), server_default="", nullable=False),
        sa.Column("maker_user", sa.Text(), nullable=False),
        sa.Column("maker_person", sa.Text(), nullable=False),
        sa.Column("submitted_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("open_questions", sa.Boolean(), nullable=False),
        sa.Column("identity_token", sa.Text(), nullable=True),
        sa.Column("attested_birth_year", sa.Integer(), server_default="0", nullable=False),
        sa.Column("attested_gender", sa.Text(), server_default="", nullable=False),
        sa.Column("identity_notes", postgresql.ARRAY(sa.Text()), server_default="{}", nullable=False),
        sa.Column("verdict", sa.Text(), nullable=True),
        sa.Column("screening_version", sa.BigInteger(), server_default="0", nullable=False),
        sa.PrimaryKeyConstraint("record_id"),
    )
    op.create_table(
        "history",
        sa.Column("record_id", sa.Uuid(), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("act", sa.Text(), nullable=False),
        sa.Column("content", postgresql.JSONB(), nullable=False),
        sa.Column("maker_user", sa.Text(), nullable=False),
        sa.Column("decided_by", sa.Text(), nullable=False),
        sa.Column("decided_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("record_id", "revision"),
    )
    op.create_table(
        "memberships",
        sa.Column("member_id", sa.Uuid(), nullable=False),
        sa.Column("to_on", sa.Date(), nullable=False),
        sa.Column("institution_id", sa.Uuid(), nullable=False),
        sa.Column("from_on", sa.Date(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("member_id", "to_on"),
    )
    op.create_index("memberships_institution", "memberships", ["institution_id"], unique=False)
    op.create_table(
        "mappings",
        sa.Column("child_id", sa.Uuid(), nullable=False),
        sa.Column("from_on", sa.Date(), nullable=False),
        sa.Column("parent_id", sa.Uuid(), nullable=False),
        sa.Column("to_on", sa.Date(), nullable=True),
        sa.PrimaryKeyConstraint("child_id", "from_on"),
    )
    op.create_index("mappings_one", "mappings", ["child_id"], unique=True, postgresql_where=sa.text("to_on is null"))
    for table in ("institutions", "members"):
        op.add_column(table, sa.Column("content", postgresql.JSONB(), nullable=True))
        op.add_column(table, sa.Column("source", sa.Text(), nullable=True))
        op.add_column(table, sa.Column("inactive_on", sa.Date(), nullable=True))
        op.add_column(table, sa.Column("inactive_reason", sa.Text(), server_default="", nullable=False))
    _fill("institutions", _content(OF_INSTITUTION, *_INSTITUTION), "kind", "id", "true", "")
    evidence = ", identity_token, attested_birth_year, attested_gender, identity_notes, verdict, screening_version"
    _fill(
        "members", _content(OF_MEMBER, *_MEMBER), "'MEMBER'", "institution_id", "verdict is distinct from 'CLEAR' or identity_notes <> '{}'", evidence
    )
    op.execute(
        "insert into mappings (child_id, from_on, parent_id)"  # noqa: S608 - our own names
        f" select id, coalesce(activated_on, entered_on), parent_id from institutions where parent_id is not null and not {NOT_LIVE}"
    )
    for name in ("block", "gp", "maker_user", "institution_id"):
        op.create_index(
            f"submissions_{name}",
            "submissions",
            [name, "kind", "submitted_at", "record_id"],
            unique=False,
            postgresql_where=sa.text("status = 'SUBMITTED'"),
        )
    op.drop_index("members_pending", table_name="members")
    for name in ("name_local", "formed_on", "compulsory_savings_paise", "content_hash", "remark", "maker_user", "maker_person"):
        op.drop_column("institutions", name)
    for name in (*OF_MEMBER, "mobile", "account_number", "ifsc", "account_holding", "content_hash", *WORK):
        op.drop_column("members", name)


_INSTITUTION = (
    "'kind', kind",
    "'parent_id', parent_id::text",
    "'compulsory_savings_paise', nullif(compulsory_savings_paise, 0)",
)
_MEMBER = (
    "'institution_id', institution_id::text",
    "'birth_year', case when born_on is null then nullif(birth_year, 0) end",
    """'phones', case when mobile <> '' then jsonb_build_array(
        jsonb_build_object('row_id', gen_random_uuid()::text, 'number', mobile, 'is_default', 'YES')) end""",
    """'accounts', case when account_number <> '' then jsonb_build_array(
        jsonb_build_object('row_id', gen_random_uuid()::text, 'ifsc', ifsc, 'account_number', account_number, 'holding', account_holding,
            'is_default', 'YES')) end""",
)


def _fill(table: str, content: str, kind: str, institution: str, open_questions: str, evidence: str) -> None:
    """What is live keeps its content; what is not waits. A page of My Task goes by when a record was made, since no more is known of it."""
    made_at = "to_timestamp(('x' || translate(left(id::text, 13), '-', ''))::bit(48)::bigint / 1000.0)"
    op.execute(
        "insert into submissions (record_id, kind, act, revision, status, institution_id, region, block, gp, content, reasons, remark,"  # noqa: S608
        f" maker_user, maker_person, submitted_at, open_questions{evidence})"
        f" select id, {kind}, 'PROFILE', revision, status, {institution}, region, array_to_string((string_to_array(region, '.'))[1:3], '.'),"
        f" array_to_string((string_to_array(region, '.'))[1:4], '.'), {content},"
        f" {'reasons' if table == 'members' else chr(39) + '{}' + chr(39)}, remark, maker_user, maker_person, {made_at}, {open_questions}{evidence}"
        f" from {table} where {NOT_LIVE}"
    )
    # Each row is written once: a large state has a crore of them.
    op.execute(
        f"update {table} set source = case when listed_as is null then 'FORM' else 'SHEET' end,"  # noqa: S608
        f" content = case when {NOT_LIVE} then null else {content} end, revision = case when {NOT_LIVE} then 0 else revision end"
    )
    op.alter_column(table, "source", nullable=False)


def downgrade() -> None:
    raise NotImplementedError("What a profile has gained since does not fit into the columns of before; go back by a backup.")
