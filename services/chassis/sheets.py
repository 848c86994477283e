"""Spreadsheets from strangers: read in a child process with limits, row by row; formulas and macros never run.

The child (`python -m services.chassis.sheets`) takes the file on its standard input and answers JSON: what a stranger
hands in shares no memory with keys or vault (decision 39).
"""

import io
import json
import resource
import subprocess
import sys
import threading
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from pathlib import Path
from typing import Any

from services.kernel.errors import Invalid, Refused, busy

SHEET_BYTES_MAX = 2 * 1024 * 1024
UNPACKED_BYTES_MAX = 200 * 1024 * 1024
ROWS_MAX = 10_000
CELL_LENGTH_MAX = 1_000
SECONDS_MAX = 30
MEMORY_BYTES_MAX = 1024 * 1024 * 1024
WAIT_SECONDS_MAX = 20

_children = threading.BoundedSemaphore(2)  # As many as may read at once: each may take a core and a gigabyte.


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
    if not _children.acquire(timeout=WAIT_SECONDS_MAX):
        raise busy()
    try:
        child = subprocess.run(
            [sys.executable, "-m", "services.chassis.sheets", *columns],
            input=workbook,
            capture_output=True,
            timeout=SECONDS_MAX,
            check=False,
            env={"PATH": "/usr/bin:/bin", "PYTHONPATH": str(Path(__file__).parents[2])},
        )
        answer = json.loads(child.stdout) if child.returncode == 0 else {}
    except (subprocess.TimeoutExpired, ValueError):
        answer = {}
    finally:
        _children.release()
    if "refused" in answer:
        raise Invalid(answer["refused"], answer["sentence"], field="workbook", **answer["params"])
    if "rows" not in answer:
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
        raise Invalid("SHEET_UNREADABLE", "This is not a spreadsheet that can be read; save it as XLSX.") from None
    rows = sheet.iter_rows()
    header = [" ".join(_text(cell.value).split()).casefold() for cell in next(rows, ())]
    missing = [column for column in columns if column.casefold() not in header]
    if missing:
        raise Invalid("SHEET_COLUMN_MISSING", "The spreadsheet has no column {columns}.", columns=", ".join(missing))
    places = {column: header.index(column.casefold()) for column in columns}
    read_rows: list[tuple[int, dict[str, str], str]] = []
    for number, row in enumerate(rows, 2):
        cells = {column: _text(row[place].value) if place < len(row) else "" for column, place in places.items()}
        if not any(cells.values()):
            continue
        if len(read_rows) == ROWS_MAX:
            raise Invalid("SHEET_ROWS_TOO_MANY", "The spreadsheet has more than {most} rows; send it in parts.", most=ROWS_MAX)
        formula_in = next((column for column, place in places.items() if place < len(row) and row[place].data_type == "f"), "")
        read_rows.append((number, cells, formula_in))
    if not read_rows:
        raise Invalid("SHEET_EMPTY", "The spreadsheet has no rows below its header.")
    return read_rows


def _child() -> None:
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES_MAX, MEMORY_BYTES_MAX))
    resource.setrlimit(resource.RLIMIT_CPU, (SECONDS_MAX, SECONDS_MAX))
    resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    try:
        answer: dict[str, Any] = {"rows": _parse(sys.stdin.buffer.read(), sys.argv[1:])}
    except Refused as refused:
        answer = {"refused": refused.code, "sentence": refused.sentence, "params": refused.params}
    sys.stdout.write(json.dumps(answer))


if __name__ == "__main__":
    _child()
