"""Spreadsheets from strangers: read in a child process with limits, row by row; formulas and macros never run.

The child is this module: it is given the columns in a line, then the file.
"""

import io
import json
import os
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any

from services.chassis import child
from services.kernel.errors import Invalid, Refused

SHEET_BYTES_MAX = 2 * 1024 * 1024
UNPACKED_BYTES_MAX = 200 * 1024 * 1024
ROWS_MAX = 10_000
CELL_LENGTH_MAX = 1_000
SECONDS_MAX = 30
MEMORY_BYTES_MAX = 1024 * 1024 * 1024
ANSWER_BYTES_MAX = 128 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Row:
    """A row that is not empty: its number as the spreadsheet counts (the header is row 1), its cells by column, all as text."""

    number: int
    cells: dict[str, str] = field(default_factory=dict)
    formula_in: str = ""

    def check(self) -> "Row":
        """The row itself, or a refusal where a cell holds a formula."""
        if self.formula_in:
            raise Invalid("SHEET_FORMULA", "The cell under {column} holds a formula; write its value.", field=self.formula_in, column=self.formula_in)
        return self


def read(workbook: bytes, columns: Sequence[str]) -> list[Row]:
    """The rows of the first sheet of an XLSX file, whose header must have these columns, in any order and case."""
    if not workbook:
        raise Invalid("SHEET_MISSING", "No spreadsheet was sent.", field="workbook")
    if len(workbook) > SHEET_BYTES_MAX:
        raise Invalid("SHEET_TOO_LARGE", "The spreadsheet is larger than {most} MiB; send it in parts.", field="workbook", most=SHEET_BYTES_MAX >> 20)
    request = json.dumps(list(columns)).encode() + b"\n" + workbook
    answer = child.ask(
        __name__, request, seconds=SECONDS_MAX, cpu_seconds=SECONDS_MAX, memory_bytes=MEMORY_BYTES_MAX, output_bytes_max=ANSWER_BYTES_MAX
    )
    if answer is None:
        raise Invalid("SHEET_UNREADABLE", "This is not a spreadsheet that can be read; save it as XLSX.", field="workbook")
    return [Row(*row) for row in answer["rows"]]


def _text(value: Any) -> str:  # noqa: ANN401 - whatever a cell holds
    if value is None:
        return ""
    if isinstance(value, datetime):
        return value.date().isoformat()
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value).strip()[: CELL_LENGTH_MAX + 1]


def _parse(workbook: bytes, columns: Sequence[str]) -> list[tuple[int, dict[str, str], str]]:
    import openpyxl

    try:
        with zipfile.ZipFile(io.BytesIO(workbook)) as packed:
            if sum(entry.file_size for entry in packed.infolist()) > UNPACKED_BYTES_MAX:
                raise Invalid("SHEET_TOO_LARGE", "The spreadsheet unpacks to more than it should.", field="workbook")
        sheet = openpyxl.load_workbook(io.BytesIO(workbook), read_only=True, data_only=False, keep_links=False).worksheets[0]
        sheet.reset_dimensions()  # A file may claim any size; its rows count.
    except Refused:
        raise
    except Exception:  # noqa: BLE001 - a stranger's file may break the library anywhere
        raise Invalid("SHEET_UNREADABLE", "This is not a spreadsheet that can be read; save it as XLSX.", field="workbook") from None
    rows = sheet.iter_rows()
    header = [" ".join(_text(cell.value).split()).casefold() for cell in next(rows, ())]
    missing = [column for column in columns if column.casefold() not in header]
    if missing:
        raise Invalid("SHEET_COLUMN_MISSING", "The spreadsheet has no column {columns}.", field="workbook", columns=", ".join(missing))
    places = {column: header.index(column.casefold()) for column in columns}
    read_rows: list[tuple[int, dict[str, str], str]] = []
    for number, row in enumerate(rows, 2):
        cells = {column: _text(row[place].value) if place < len(row) else "" for column, place in places.items()}
        if not any(cells.values()):
            continue
        if len(read_rows) == ROWS_MAX:
            raise Invalid("SHEET_ROWS_TOO_MANY", "The spreadsheet has more than {most} rows; send it in parts.", field="workbook", most=ROWS_MAX)
        formula_in = next((column for column, place in places.items() if place < len(row) and row[place].data_type == "f"), "")
        read_rows.append((number, cells, formula_in))
    if not read_rows:
        raise Invalid("SHEET_EMPTY", "The spreadsheet has no rows below its header.", field="workbook")
    return read_rows


def _rows(request: bytes) -> dict[str, Any]:
    columns, _, workbook = request.partition(b"\n")
    return {"rows": _parse(workbook, json.loads(columns))}


if __name__ == "__main__":
    os.environ["OPENPYXL_LXML"] = "False"  # Its other parser is held by defusedxml.
    child.answer(_rows, "openpyxl", "encodings.cp437")
