"""Spreadsheets to be filled in or changed: a header, lists to choose from, a page that says how. `sheets` reads them when they come back."""

import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from services.chassis.sheets import ROWS_MAX

WIDTH = 26  # Of a column, in characters.
TEXT = "@"


@dataclass(frozen=True, slots=True)
class Column:
    """One column, and what may be chosen in it; whatever else is written there is asked about, and taken."""

    name: str
    choices: Sequence[str] = ()


def make(title: str, columns: Sequence[Column], instructions: Sequence[str], rows: Iterable[Sequence[str]] = ()) -> bytes:
    """The XLSX file, with these rows below its header. Its cells are text, so that an id or a number stays as it is typed."""
    import openpyxl
    from openpyxl.styles import Alignment, Font, PatternFill
    from openpyxl.utils import get_column_letter
    from openpyxl.worksheet.datavalidation import DataValidation

    book = openpyxl.Workbook()
    sheet, words, lists = book.worksheets[0], book.create_sheet("Instructions"), book.create_sheet("Lists")
    sheet.title = title
    sheet.freeze_panes = "A2"
    lists.sheet_state = "hidden"
    for number, column in enumerate(columns, 1):
        letter = get_column_letter(number)
        sheet.column_dimensions[letter].width = WIDTH
        sheet.column_dimensions[letter].number_format = TEXT
        head = sheet.cell(1, number, column.name)
        head.font, head.fill = Font(bold=True, color="FFFFFF"), PatternFill("solid", fgColor="1F4E79")
        head.alignment = Alignment(wrap_text=True, vertical="top")
        for row, choice in enumerate(column.choices, 1):
            listed = lists.cell(row, number, choice)
            listed.data_type = "s"  # Text, whatever it begins with.
        if column.choices:
            asks = DataValidation(
                type="list",
                formula1=f"Lists!${letter}$1:${letter}${len(column.choices)}",
                allow_blank=True,
                errorStyle="warning",
                showErrorMessage=True,
                errorTitle=column.name[:32],
                error="This is not one of the list. Several are parted by semicolons.",
            )
            asks.add(f"{letter}2:{letter}{ROWS_MAX + 1}")
            sheet.add_data_validation(asks)
    for row, texts in enumerate(rows, 2):
        for number, text in enumerate(texts, 1):
            cell = sheet.cell(row, number, text or None)
            cell.number_format = TEXT
            if text:
                cell.data_type = "s"  # As above.
    words.column_dimensions["A"].width = 110
    for row, line in enumerate(instructions, 1):
        words.cell(row, 1, line).alignment = Alignment(wrap_text=True, vertical="top")
    file = io.BytesIO()
    book.save(file)
    return file.getvalue()
