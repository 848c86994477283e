"""Spreadsheets from strangers."""

import io
import zipfile

import openpyxl
import pytest

from services.chassis import sheets
from services.kernel.errors import Invalid

COLUMNS = ["Name", "Mobile"]


def workbook(rows, header=("Name", "Mobile")):
    book = openpyxl.Workbook(write_only=True)
    sheet = book.create_sheet()
    sheet.append(header)
    for row in rows:
        sheet.append(row)
    file = io.BytesIO()
    book.save(file)
    return file.getvalue()


def test_rows_come_as_text_with_their_numbers_and_empty_ones_are_passed_over():
    rows = sheets.read(workbook([["Sita", 9876543210], [None, None], ["गीता", "98765 00000"]], header=("mobile ", " NAME")[::-1]), COLUMNS)
    assert [(row.number, row.cells) for row in rows] == [
        (2, {"Name": "Sita", "Mobile": "9876543210"}),
        (4, {"Name": "गीता", "Mobile": "98765 00000"}),
    ]


def test_a_formula_spoils_its_row_only():
    rows = sheets.read(workbook([["=1+1", "1"], ["Sita", "2"]]), COLUMNS)
    with pytest.raises(Invalid) as refused:
        rows[0].check()
    assert (refused.value.code, refused.value.field) == ("SHEET_FORMULA", "Name")
    assert rows[1].check().cells["Name"] == "Sita"


def bomb():
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as packed:
        packed.writestr("xl/workbook.xml", b"\0" * (sheets.UNPACKED_BYTES_MAX + 1))
    return file.getvalue()


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (lambda: b"", "SHEET_MISSING"),
        (lambda: b"name,mobile\nsita,1\n", "SHEET_UNREADABLE"),
        (lambda: b"PK\x03\x04broken", "SHEET_UNREADABLE"),
        (lambda: b"x" * (sheets.SHEET_BYTES_MAX + 1), "SHEET_TOO_LARGE"),
        (bomb, "SHEET_TOO_LARGE"),
        (lambda: workbook([["Sita"]], header=("Name",)), "SHEET_COLUMN_MISSING"),
        (lambda: workbook([]), "SHEET_EMPTY"),
        (lambda: workbook([["a", "1"]] * 100_000), "SHEET_ROWS_TOO_MANY"),
    ],
)
def test_what_cannot_be_taken_is_refused_in_words(content, code):
    with pytest.raises(Invalid) as refused:
        sheets.read(content(), COLUMNS)
    assert refused.value.code == code
    assert refused.value.field == "workbook"
    assert str(refused.value)
