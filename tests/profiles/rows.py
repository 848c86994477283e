"""Rows of profiles' tables for tests that are about something else: what a test does not name is anything that the table takes."""

from datetime import UTC, date, datetime
from uuid import UUID

from sqlalchemy import Boolean, Date, DateTime, Integer, LargeBinary, Text, Uuid, insert
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

from services.kernel.ids import uuid7
from services.profiles.tables import institutions, members, submissions

ANYTHING = (
    (Integer, 1),
    (Text, "X"),
    (Date, date(2023, 4, 14)),
    (DateTime, datetime(2026, 4, 1, tzinfo=UTC)),
    (LargeBinary, b""),
    (Boolean, False),
    (ARRAY, []),
    (JSONB, {}),
)


def anything(column):
    return uuid7() if isinstance(column.type, Uuid) else next(value for kind, value in ANYTHING if isinstance(column.type, kind))


def put(connection, table, **known) -> UUID:
    """A new row; its id."""
    needed = [column for column in table.columns if not (column.nullable or column.server_default is not None or column.name in known)]
    row = {column.name: anything(column) for column in needed} | known
    connection.execute(insert(table).values(row))
    return row.get("id") or row["record_id"]


def institution(connection, region, **known):
    return put(connection, institutions, region=region, name_key=str(uuid7()), status="ACTIVE", kind="SHG", content={"name": "X"}, **known)


def waiting_institution(connection, region, maker_user):
    """One that she has handed in, and that nobody has let in yet."""
    institution_id = put(connection, institutions, region=region, name_key=str(uuid7()), status="SUBMITTED", kind="SHG")
    about = {"institution_id": institution_id, "kind": "SHG", "region": region, "maker_user": maker_user, "status": "SUBMITTED"}
    put(connection, submissions, record_id=institution_id, **about)
    return institution_id


def member(connection, institution_id, region, **known):
    return put(connection, members, institution_id=institution_id, region=region, status="ACTIVE", content={"name": "X"}, **known)
