"""Lists on a real PostgreSQL: institutions and members row by row, the good ones in, the same list again and at once."""

import io
import os
import time
from collections import Counter
from datetime import UTC, date, datetime
from pathlib import Path
from uuid import UUID

import openpyxl
import pytest
from sqlalchemy import event

from protos import profiles_pb2
from services.chassis import database, sheets
from services.kernel import geography
from services.kernel.approval import Status
from services.kernel.errors import Invalid
from services.profiles import queries
from services.profiles.commands import institution, member, restate, sheet
from tests.profiles.builders import (
    BLOCK,
    GP,
    OTHER_GP,
    SERVICE,
    TODAY,
    VILLAGE,
    approve,
    at_once,
    bookkeeper,
    clerk,
    code_of,
    emptied,
    events,
    office,
    said_of,
    screen,
    submit,
)

ROOT = Path(__file__).parents[2]

pytestmark = pytest.mark.usefixtures("land")


@pytest.fixture
def connection(connection):
    return emptied(connection)


def workbook(columns, *rows):
    book = openpyxl.Workbook(write_only=True)
    sheet = book.create_sheet()
    for row in (columns, *rows):
        sheet.append(row)
    file = io.BytesIO()
    book.save(file)
    return file.getvalue()


def sample(name):
    return (ROOT / "samples" / f"{name}.xlsx").read_bytes()


def read(name, columns):
    return sheets.read(sample(name), list(columns.values()))


def uploaded(connection):
    """The samples of UP: the ids of institutions by name, and the bookkeeper of its SHGs."""
    rows = read("institutions_up", sheet.INSTITUTION_COLUMNS)
    answers = sheet.take_institutions(connection, clerk(), rows, TODAY, dry_run=False)
    assert [one.refused for one in answers] == [None] * 4
    ids = {row.cells["Name"]: one.id for row, one in zip(rows, answers, strict=True)}
    return ids, bookkeeper(ids["Roshni"], ids["Ujala"])


def test_the_samples_go_in_once(connection):
    rows = read("institutions_up", sheet.INSTITUTION_COLUMNS)
    dry = sheet.take_institutions(connection, clerk(), rows, TODAY, dry_run=True)
    assert [(one.id, one.refused) for one in dry] == [(None, None)] * 4
    assert events(connection) == []
    ids, maker = uploaded(connection)
    ujala = queries.institution(connection, maker, ids["Ujala"])
    assert (ujala.row.status, ujala.row.revision, ujala.row.parent_id, ujala.row.source) == ("DRAFT", 0, ids["Pragati Gram Sangathan"], "SHEET")
    assert (ujala.waiting.status, ujala.waiting.revision, ujala.content["compulsory_savings_paise"]) == ("DRAFT", 0, 10000)
    changed = {one.subject: profiles_pb2.InstitutionChanged.FromString(one.body) for one in events(connection, "InstitutionChanged")}
    assert len(changed) == 4
    of_ujala = changed[str(ids["Ujala"])]
    assert (of_ujala.compulsory_savings_paise, list(of_ujala.accounts)) == (10000, []), "a sheet has no column of accounts"
    assert uploaded(connection)[0] == ids
    assert len(events(connection, "InstitutionChanged")) == 4

    rows = read("members_up", sheet.MEMBER_COLUMNS)
    assert [one.id for one in sheet.take_members(connection, maker, rows, TODAY, dry_run=True)] == [None] * 19
    answers = sheet.take_members(connection, maker, rows, TODAY, dry_run=False)
    assert [(one.row, one.refused.code, one.column) for one in answers if one.refused] == [(20, "BIRTH_IN_FUTURE", "Birth year")]
    assert len({one.id for one in answers if one.id}) == 18
    assert sheet.take_members(connection, maker, rows, TODAY, dry_run=False)[:18] == answers[:18]
    assert queries.member_counts(connection, ids["Ujala"]) == {Status.DRAFT: 12}
    changed = [profiles_pb2.MemberChanged.FromString(one.body) for one in events(connection, "MemberChanged")]
    assert Counter(one.status for one in changed) == {profiles_pb2.STATUS_DRAFT: 18}


def test_a_listed_member_is_submitted_corrected_and_known_again_by_the_old_list(connection):
    ids, maker = uploaded(connection)
    rows = read("members_up", sheet.MEMBER_COLUMNS)
    answers = sheet.take_members(connection, maker, rows, TODAY, dry_run=False)
    mamta = answers[8].id
    assert rows[8].cells["Name"] == "Mamta Dvei"
    made = submit(connection, maker, ids["Ujala"], mamta, 1, name="Mamta Devi", joined_on="2024-01-01")
    assert (made.row.status, made.waiting.revision, made.content["name"]) == ("SUBMITTED", 1, "Mamta Devi")
    assert sheet.take_members(connection, maker, rows, TODAY, dry_run=False)[8].id == mamta
    screen(connection, made)
    assert approve(connection, mamta).row.source == "SHEET"
    assert sheet.take_members(connection, maker, rows, TODAY, dry_run=False)[8].id == mamta
    renamed = said_of(name="Ujala Nayi", parent_id=str(ids["Pragati Gram Sangathan"]), seats=office(mamta, *(answers[place].id for place in (9, 10))))
    institution.submit(connection, maker, ids["Ujala"], 1, renamed, TODAY)
    assert uploaded(connection)[0]["Ujala"] == ids["Ujala"]


def test_what_a_row_brings_is_what_the_form_begins_with(connection):
    """A draft may lack what a submission needs; a phone and an account become rows, the same ones each time."""
    _, maker = uploaded(connection)
    rows = read("members_up", sheet.MEMBER_COLUMNS)
    answers = sheet.take_members(connection, maker, rows, TODAY, dry_run=False)
    for row, answer in zip(rows[:18], answers, strict=False):
        held = queries.member(connection, maker, answer.id).content
        assert held["name"] == row.cells["Name"]
        assert [one["number"] for one in held.get("phones", [])] == [row.cells["Mobile"]] * bool(row.cells["Mobile"])
        assert [one["account_number"] for one in held.get("accounts", [])] == [row.cells["Account number"]] * bool(row.cells["Account number"])
        assert "marital_status" not in held
    half = dict(queries.member(connection, maker, answers[0].id).content)
    assert code_of(member.submit, connection, maker, answers[0].id, 1, half, None, TODAY) == "VALUE_MISSING"
    made = submit(connection, maker, UUID(half.pop("institution_id")), answers[0].id, **half)
    assert made.content["name"] == half["name"]


@pytest.mark.parametrize(
    ("changes", "code", "column"),
    [
        ({"Kind": "BANK"}, "KIND_UNKNOWN", "Kind"),
        ({"Region": "123"}, "REGION_UNKNOWN", "Region"),
        ({"Region": "881"}, "REGION_NOT_YOURS", "Region"),
        ({"Region": GP}, "REGION_LEVEL", "Region"),
        ({"Parent": "Nobody"}, "PARENT_UNKNOWN", "Parent"),
        ({"Formed on": "14/04/2023"}, "DATE_INVALID", "Formed on"),
        ({"Name": ""}, "VALUE_MISSING", "Name"),
        ({"Compulsory savings (₹)": "ten"}, "AMOUNT_INVALID", "Compulsory savings (₹)"),
        ({"Compulsory savings (₹)": "0.005"}, "AMOUNT_FRACTIONAL", "Compulsory savings (₹)"),
    ],
)
def test_a_bad_institution_is_refused_and_the_good_ones_go_in(connection, changes, code, column):
    plain = dict.fromkeys(sheet.INSTITUTION_COLUMNS.values(), "") | {"Kind": "SHG", "Name": "Asha", "Region": "999111", "Formed on": "2023-04-14"}
    rows = [sheets.Row(2, plain | changes), sheets.Row(3, plain), sheets.Row(4, plain | {"Name": "ASHA "})]
    bad, good, same = sheet.take_institutions(connection, clerk(), rows, TODAY, dry_run=False)
    assert (bad.refused.code, bad.column) == (code, column)
    assert good.id == same.id is not None


def test_two_parents_of_one_name_are_told_apart_by_the_gram_panchayat(connection):
    plain = dict.fromkeys(sheet.INSTITUTION_COLUMNS.values(), "") | {"Formed on": "2023-04-14"}
    vo = {"Kind": "VO", "Name": "Sangam"}
    rows = [
        sheets.Row(2, plain | {"Kind": "SHG", "Name": "Asha", "Region": "999111", "Parent": "sangam"}),
        sheets.Row(3, plain | vo | {"Region": "999011"}),
        sheets.Row(4, plain | vo | {"Region": "999012"}),
        sheets.Row(5, plain | {"Kind": "CLF", "Name": "Sankul", "Region": "1504"}),
        sheets.Row(6, plain | vo | {"Name": "Sangam Do", "Region": "999012", "Parent": "Sankul"}),
    ]
    answers = sheet.take_institutions(connection, clerk(), rows, TODAY, dry_run=False)
    assert [one.row for one in answers] == [2, 3, 4, 5, 6]
    parents = {row.id: row.parent_id for row in queries.institutions_within(connection, [BLOCK])}
    assert parents[answers[0].id] == answers[1].id
    assert parents[answers[4].id] == answers[3].id


def test_a_village_in_two_gram_panchayats_is_named_by_its_path(connection):
    twice = f"{OTHER_GP}.999111"
    path = Path(os.environ["LOKOS_GEOGRAPHY_FILE"])
    geography.save(path, [*geography.read_places(path), geography.Place(twice, twice, "", date(1900, 1, 1))])
    plain = dict.fromkeys(sheet.INSTITUTION_COLUMNS.values(), "") | {"Kind": "SHG", "Name": "Asha", "Formed on": "2023-04-14"}
    rows = [sheets.Row(number, plain | {"Region": region}) for number, region in enumerate(("999111", VILLAGE, twice), 2)]
    several, first, second = sheet.take_institutions(connection, clerk(), rows, TODAY, dry_run=False)
    assert (several.refused.code, several.column) == ("REGION_SEVERAL", "Region")
    assert several.refused.params["places"] == f"{VILLAGE} ({GP}); {twice} ({OTHER_GP})"

    her = dict.fromkeys(sheet.MEMBER_COLUMNS.values(), "") | {"SHG": "Asha", "Name": "Sunita", "Gender": "FEMALE", "Birth year": "1985"}
    her |= {"Relation": "SPOUSE", "Relation name": "Ramesh", "Social category": "OBC"}
    rows = [sheets.Row(number, her | {"Village": region}) for number, region in enumerate(("999111", VILLAGE, twice, f"{GP}.999112", "9.x"), 2)]
    answers = sheet.take_members(connection, bookkeeper(first.id, second.id), rows, TODAY, dry_run=False)
    assert [one.refused and one.refused.code for one in answers] == ["REGION_SEVERAL", None, None, "INSTITUTION_UNKNOWN", "REGION_INVALID"]
    assert answers[0].column == "Village"
    assert [queries.member_counts(connection, one.id) for one in (first, second)] == [{Status.DRAFT: 1}] * 2
    # Where she keeps the books of one of them alone, the code says enough.
    [one] = sheet.take_members(connection, bookkeeper(second.id), rows[:1], TODAY, dry_run=False)
    assert one.id == answers[2].id


def test_a_member_of_somebody_elses_shg_is_refused(connection):
    ids, _ = uploaded(connection)
    rows = read("members_up", sheet.MEMBER_COLUMNS)
    answers = sheet.take_members(connection, bookkeeper(ids["Ujala"]), rows, TODAY, dry_run=False)
    assert [one.refused.code for one in answers[:6]] == ["INSTITUTION_UNKNOWN"] * 6
    assert all(one.id for one in answers[6:18])


def test_formulas_are_refused_and_columns_are_needed(connection):
    _, maker = uploaded(connection)
    columns = list(sheet.MEMBER_COLUMNS.values())
    row = ["Ujala", 999111, "=1+1", "", "Female", "", 1990, "Spouse", "Ramesh", "OBC", "", "", "", "", date(2024, 1, 1)]
    fine = [*row[:2], "Rekha", *row[3:]]
    answers = sheet.take_members(connection, maker, sheets.read(workbook(columns, row, fine), columns), TODAY, dry_run=False)
    assert (answers[0].refused.code, answers[0].column, answers[1].refused) == ("SHEET_FORMULA", "Name", None)
    with pytest.raises(Invalid) as refused:
        sheets.read(workbook(columns[:-1], row[:-1]), columns)
    assert refused.value.code == "SHEET_COLUMN_MISSING"
    with pytest.raises(Invalid) as refused:
        sheets.read(workbook(columns, *(["Ujala"] for _ in range(100_000))), columns)
    assert refused.value.code == "SHEET_ROWS_TOO_MANY"


def test_ten_thousand_rows_take_seconds_and_few_statements(connection):
    ids, maker = uploaded(connection)
    plain = dict.fromkeys(sheet.MEMBER_COLUMNS.values(), "") | {
        "SHG": "Ujala",
        "Village": "999111",
        "Gender": "Female",
        "Birth year": "1990",
        "Relation": "Spouse",
        "Social category": "OBC",
        "Relation name": "Ramesh Kumar",
        "Joined on": "2024-01-01",
    }
    letters = "abcdefghij"
    rows = [sheets.Row(n + 2, plain | {"Name": "Asha " + "".join(letters[int(digit)] for digit in f"{n:05}")}) for n in range(10_000)]
    statements = []
    event.listen(connection, "before_cursor_execute", lambda *_: statements.append(1))
    started = time.monotonic()
    answers = sheet.take_members(connection, maker, rows, TODAY, dry_run=False)
    assert time.monotonic() - started < 30
    assert len(statements) < 100
    assert len({one.id for one in answers}) == 10_000
    assert queries.member_counts(connection, ids["Ujala"]) == {Status.DRAFT: 10_000}
    at = datetime.now(UTC)
    assert restate.tally(connection, at) == 1


# --- At once, on connections of their own


def test_the_same_list_twice_at_once_is_one(lasting):
    shg_id, maker = lasting
    with database.transaction(SERVICE) as connection:
        name = queries.institution(connection, maker, shg_id).row.name
    rows = [sheets.Row(row.number, row.cells | {"SHG": name, "Joined on": "2024-01-01"}) for row in read("members_up", sheet.MEMBER_COLUMNS)[:18]]
    one, two = at_once(*[lambda connection: [a.id for a in sheet.take_members(connection, maker, rows, TODAY, dry_run=False)]] * 2)
    assert one == two
    assert len(set(one)) == 18
