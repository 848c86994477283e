"""Spreadsheets from strangers."""

import io
import re
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


def rewritten(content, change, **more):
    """The same file with its parts changed, and some added, as another program may have written it."""
    file = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as packed, zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as made:
        for name in packed.namelist():
            made.writestr(name, change(name, packed.read(name).decode()))
        for name, body in more.items():
            made.writestr(name, body)
    return file.getvalue()


def with_macros(content):
    def enabled(name, body):
        if name == "[Content_Types].xml":
            body = body.replace("spreadsheetml.sheet.main+xml", "x").replace(
                "application/vnd.openxmlformats-officedocument.x", "application/vnd.ms-excel.sheet.macroEnabled.main+xml"
            )
        return body

    return rewritten(content, enabled, **{"xl/vbaProject.bin": b"Sub Auto_Open()"})


def with_external_links(content):
    def linked(name, body):
        if name == "xl/workbook.xml":
            named = 'xmlns:r="http://schemas.openxmlformats.org/officeDocument/2006/relationships"'
            body = body.replace("</sheets>", f'</sheets><externalReferences><externalReference {named} r:id="rId77"/></externalReferences>')
        if name == "xl/_rels/workbook.xml.rels":
            kind = "http://schemas.openxmlformats.org/officeDocument/2006/relationships/externalLink"
            body = body.replace(
                "</Relationships>", f'<Relationship Id="rId77" Type="{kind}" Target="externalLinks/externalLink1.xml"/></Relationships>'
            )
        return body

    return rewritten(content, linked)


def with_an_entity_of_a_file(content):
    def spread(name, body):
        if name == "xl/worksheets/sheet1.xml":
            body = f'<!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/passwd">]>{body}'.replace("Sita", "&e;")
        return body

    return rewritten(content, spread)


def with_a_formula_and_its_cached_value(content):
    def cached(name, body):
        if name == "xl/worksheets/sheet1.xml":
            body = re.sub("<f>1\\+1</f><v ?/>|<f>1\\+1</f><v></v>", "<f>1+1</f><v>9876543210</v>", body)
            assert "9876543210" in body
        return body

    return rewritten(content, cached)


def claiming_to_be_vast(content):
    def vast(name, body):
        return body.replace("<sheetData>", '<dimension ref="A1:XFD1048576"/><sheetData>') if name == "xl/worksheets/sheet1.xml" else body

    return rewritten(content, vast)


@pytest.mark.parametrize("disguise", [with_macros, with_external_links, claiming_to_be_vast])
def test_what_a_file_carries_besides_its_rows_is_not_looked_at(disguise):
    content = disguise(workbook([["Sita", "1"]]))
    assert [row.cells for row in sheets.read(content, COLUMNS)] == [{"Name": "Sita", "Mobile": "1"}]


def test_a_formula_is_refused_though_its_value_is_in_the_file():
    [row] = sheets.read(with_a_formula_and_its_cached_value(workbook([["Sita", "=1+1"]])), COLUMNS)
    with pytest.raises(Invalid) as refused:
        row.check()
    assert (refused.value.code, refused.value.field) == ("SHEET_FORMULA", "Mobile")


def lying_bomb():
    """One that says of itself that it unpacks to little."""
    content = bytearray(bomb())
    said, truly = (10).to_bytes(4, "little"), (sheets.UNPACKED_BYTES_MAX + 1).to_bytes(4, "little")
    assert content.count(truly) == 2
    return bytes(content.replace(truly, said))


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
        (lying_bomb, "SHEET_UNREADABLE"),
        (lambda: with_an_entity_of_a_file(workbook([["Sita", "1"]])), "SHEET_UNREADABLE"),
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
