"""What the tables held before a profile was one content is there after the upgrade: live, waiting, handed back, or listed."""

from datetime import UTC, date, datetime
from uuid import UUID

import pytest
from alembic import command
from sqlalchemy import select, text

from services.chassis import migrate
from services.kernel.approval import Act, Status
from services.kernel.ids import uuid7
from services.profiles import queries
from services.profiles.queries import tasks
from services.profiles.tables import mappings
from tests.profiles.builders import BLOCK, GP, SERVICE, VILLAGE, manager

AT = datetime(2026, 3, 1, 10, 30, tzinfo=UTC)
ENTERED, ACTIVATED = date(2026, 3, 1), date(2026, 3, 9)


@pytest.fixture
def connection(connection):
    """With nothing but its own temporary schema in sight, so that the migrations run from the first one on."""
    connection.execute(text("set local search_path to pg_temp"))
    upgrade(connection, "profiles_0002")
    return connection


def upgrade(connection, revision, step=command.upgrade):
    made = migrate.config(SERVICE, SERVICE)
    made.attributes["connection"] = connection
    step(made, revision)


def insert(connection, table, **values):
    names = ", ".join(values)
    connection.execute(text(f"insert into {table} ({names}) values ({', '.join(f':{name}' for name in values)})"), values)
    return values


def made_at(at):
    """An id as a device made it then."""
    bits = f"{int(at.timestamp() * 1000):012x}7" + uuid7().hex[13:]
    return UUID(bits)


def institution(connection, kind, status, **changes):
    plain = {
        "id": made_at(AT),
        "version": 3,
        "revision": 0 if status == "DRAFT" else 2,
        "status": status,
        "kind": kind,
        "name": f"{kind} {status}",
        "name_key": f"{kind} {status}".casefold(),
        "name_local": "",
        "region": {"SHG": VILLAGE, "VO": GP, "CLF": BLOCK}[kind],
        "formed_on": date(2023, 4, 14),
        "parent_id": None,
        "compulsory_savings_paise": 0,
        "code": f"X{kind}{status}" if status == "ACTIVE" else None,
        "remark": "look again" if status == "REJECTED" else "",
        "maker_user": "IUP_BK",
        "maker_person": "bookkeeper",
        "content_hash": b"hash",
        "listed_as": None,
        "entered_on": ENTERED,
        "activated_on": ACTIVATED if status == "ACTIVE" else None,
    }
    return insert(connection, "institutions", **plain | changes)


def member(connection, shg, status, **changes):
    plain = {
        "id": made_at(AT),
        "version": 5,
        "revision": 0 if status == "DRAFT" else 3,
        "status": status,
        "institution_id": shg["id"],
        "region": VILLAGE,
        "name": f"Member {status}",
        "name_local": "",
        "gender": "FEMALE",
        "born_on": None,
        "birth_year": 1985,
        "relation": "SPOUSE",
        "relation_name": "Ramesh Kumar",
        "social_category": "OBC",
        "mobile": "",
        "account_number": "",
        "ifsc": "",
        "account_holding": "",
        "joined_on": date(2024, 1, 1),
        "code": f"M{status}" if status == "ACTIVE" else None,
        "reasons": ["NAME_WRONG", "OTHER"] if status == "REJECTED" else [],
        "remark": "look again" if status == "REJECTED" else "",
        "identity_token": None,
        "verdict": None,
        "screening_version": 0,
        "submitted_version": 4,
        "maker_user": "IUP_BK",
        "maker_person": "bookkeeper",
        "content_hash": b"hash",
        "listed_as": None,
        "entered_on": ENTERED,
        "activated_on": ACTIVATED if status == "ACTIVE" else None,
    }
    return insert(connection, "members", **plain | changes)


def content_of(row, **rows):
    """What its columns said, by the names of the form."""
    plain = {
        "institution_id": str(row["institution_id"]),
        "name": row["name"],
        "gender": "FEMALE",
        "relation": "SPOUSE",
        "relation_name": "Ramesh Kumar",
        "social_category": "OBC",
        "joined_on": "2024-01-01",
    }
    return plain | ({"born_on": str(row["born_on"])} if row["born_on"] else {"birth_year": row["birth_year"]}) | rows


def without_ids(content):
    """The rows' ids are made by the upgrade."""

    def plain(value):
        return [{name: part for name, part in row.items() if name != "row_id"} for row in value] if isinstance(value, list) else value

    return {name: plain(value) for name, value in content.items()}


def test_members_of_every_status_are_there_after_the_upgrade(connection):
    shg = institution(connection, "SHG", "ACTIVE")
    evidence = {"identity_token": "token-1", "attested_birth_year": 1984, "attested_gender": "F", "identity_notes": ["BIRTH_YEAR"]}
    account = {"account_number": "1000200917401", "ifsc": "ZZZZ0KLD001", "account_holding": "JOINT"}
    before = {
        "DRAFT": member(connection, shg, "DRAFT", listed_as=uuid7()),
        "SUBMITTED": member(connection, shg, "SUBMITTED", mobile="6000917401", **account, verdict="CLEAR", screening_version=7, **evidence),
        "REJECTED": member(connection, shg, "REJECTED", born_on=date(1988, 5, 4), birth_year=1988, name_local="सुनीता देवी"),
        "ACTIVE": member(connection, shg, "ACTIVE", mobile="6000917402", verdict="POTENTIAL", screening_version=9, **evidence),
    }
    insert(
        connection,
        "findings",
        member_id=before["ACTIVE"]["id"],
        member_revision=3,
        finding_id="f1",
        verdict="POTENTIAL",
        other_member_id=uuid7(),
        clues=["the same village"],
        weight_centibits=3000,
    )
    upgrade(connection, "profiles@head")

    found = {status: queries.member(connection, manager(), row["id"]) for status, row in before.items()}
    phone = {"number": "6000917401", "is_default": "YES"}
    kept_account = {"ifsc": "ZZZZ0KLD001", "account_number": "1000200917401", "holding": "JOINT", "is_default": "YES"}
    contents = {
        "DRAFT": content_of(before["DRAFT"]),
        "SUBMITTED": content_of(before["SUBMITTED"], phones=[phone], accounts=[kept_account]),
        "REJECTED": content_of(before["REJECTED"], name_local="सुनीता देवी"),
        "ACTIVE": content_of(before["ACTIVE"], phones=[phone | {"number": "6000917402"}]),
    }
    assert {status: without_ids(one.content) for status, one in found.items()} == contents
    for status, subject in found.items():
        row, waiting, was = subject.row, subject.waiting, before[status]
        same = ("status", "version", "code", "region", "institution_id", "listed_as", "entered_on", "activated_on", "submitted_version")
        assert {name: getattr(row, name) for name in same} == {name: was[name] for name in same}
        assert row.source == ("SHEET" if was["listed_as"] else "FORM")
        assert subject.held.revision == was["revision"]
        of_revision = row if status == "ACTIVE" else waiting
        assert (of_revision.identity_token, of_revision.verdict) == (was["identity_token"], was["verdict"])
        assert of_revision.screening_version == was["screening_version"]
        if status == "ACTIVE":
            assert (waiting, row.revision, subject.live) == (None, 3, Status.ACTIVE)
            assert (row.attested_birth_year, row.attested_gender, row.identity_notes) == (1984, "F", ["BIRTH_YEAR"])
        else:
            assert (row.content, row.revision, waiting.status, waiting.act) == (None, 0, status, Act.PROFILE)
            assert (waiting.remark, waiting.reasons, waiting.maker_user, waiting.maker_person) == (
                was["remark"],
                was["reasons"],
                "IUP_BK",
                "bookkeeper",
            )
    [finding] = queries.findings_of(connection, [found["ACTIVE"]])[before["ACTIVE"]["id"]]
    assert finding.finding_id == "f1"
    # What waited waits; her evidence says another year, which somebody is to look at.
    [task] = tasks.page(connection, manager(), tasks.Wanted(), None, 25)
    assert (task.record_id, task.kind, task.revision, task.submitted_at, task.live) == (before["SUBMITTED"]["id"], "MEMBER", 3, AT, False)
    assert (task.block, task.gp, task.name, task.institution_name, task.open_questions) == (BLOCK, GP, "Member SUBMITTED", "SHG ACTIVE", True)


def test_a_state_whose_lists_lack_the_duties_gets_them_as_an_edit(connection):
    upgrade(connection, "profiles_0010")
    before = connection.execute(text("select version, stamp from lists_version")).one()
    upgrade(connection, "profiles_0011")
    assert connection.execute(text("select version, stamp from lists_version")).one() == before  # A new state has them.
    upgrade(connection, "profiles_0010", command.downgrade)
    upgrade(connection, "profiles_0011")
    after = connection.execute(text("select version, stamp from lists_version")).one()
    assert (after.version, after.stamp != before.stamp) == (before.version + 1, True)
    added = connection.execute(text("select code, version from list_values where list = 'DUTY'")).all()
    assert {"AUDIT", "RETURN", "GENERAL_BODY"} <= {row.code for row in added}
    assert {row.version for row in added} == {after.version}


def test_institutions_of_every_kind_and_status_are_there_after_the_upgrade(connection):
    before = {}
    for kind, parent in (("CLF", None), ("VO", "CLF"), ("SHG", "VO")):
        for status in ("DRAFT", "SUBMITTED", "REJECTED", "ACTIVE"):
            parent_id = before[parent, "ACTIVE"]["id"] if parent else None
            changes = {"parent_id": parent_id, "compulsory_savings_paise": 10_000 if kind == "SHG" else 0}
            before[kind, status] = institution(connection, kind, status, **changes)
    upgrade(connection, "profiles@head")

    for (kind, status), was in before.items():
        subject = queries.institution(connection, manager(), was["id"])
        expected = {"kind": kind, "name": was["name"], "region": was["region"], "formed_on": "2023-04-14"}
        expected |= {"parent_id": str(was["parent_id"])} if was["parent_id"] else {}
        expected |= {"compulsory_savings_paise": 10_000} if kind == "SHG" else {}
        assert subject.content == expected
        same = ("status", "version", "code", "kind", "name", "name_key", "region", "parent_id", "entered_on", "activated_on")
        assert {name: getattr(subject.row, name) for name in same} == {name: was[name] for name in same}
        assert subject.held.revision == was["revision"]
        assert (subject.waiting is None) == (status == "ACTIVE")
        assert subject.waiting is None or (subject.waiting.status, subject.waiting.remark) == (status, was["remark"])
    mapped = connection.execute(select(mappings.c.child_id, mappings.c.parent_id, mappings.c.from_on, mappings.c.to_on)).all()
    assert set(mapped) == {
        (was["id"], was["parent_id"], ACTIVATED, None) for (kind, status), was in before.items() if status == "ACTIVE" and was["parent_id"]
    }
    # Nobody sits in them yet, for the checker to look at.
    waiting = tasks.page(connection, manager(), tasks.Wanted(), None, 25)
    assert {(one.kind, one.record_id, one.open_questions) for one in waiting} == {
        (kind, was["id"], True) for (kind, status), was in before.items() if status == "SUBMITTED"
    }
