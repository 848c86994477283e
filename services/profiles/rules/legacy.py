"""Rows of the old MIS's files, as forms read them: which columns there are, and what each says."""

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any
from uuid import UUID

from services.kernel.canonical import content_hash
from services.kernel.ids import derived
from services.kernel.money import parse_rupees
from services.profiles.rules import institution, kinds, member
from services.profiles.rules.form import Field, Form, is_empty, missing
from services.profiles.rules.institution import Kind

SYSTEM = "NRLM_MIS"  # In list EXTERNAL_SYSTEM.
CODE = "legacy_code"
SHG_CODE = "shg_legacy_code"
PARENT_CODE = "parent_legacy_code"
PLACE_LGD, PLACE_LEGACY = "place_lgd_code", "place_legacy_code"

Cells = Mapping[str, str]

# The one row of each that a file holds: its columns, and the fields that they fill.
_ROWS: Mapping[str, Mapping[str, str]] = MappingProxyType(
    {
        "addresses": {
            "address_kind": "kind",
            "address_area": "area",
            "address_line_1": "line_1",
            "address_line_2": "line_2",
            "pincode": "pincode",
        },
        "phones": {"mobile": "number", "mobile_owner": "owner"},
        "accounts": {
            "account_holder_name": "holder_name",
            "ifsc": "ifsc",
            "account_number": "account_number",
            "account_holding": "holding",
            "account_opened_on": "opened_on",
        },
        "documents": {"document_kind": "kind", "document_number": "number"},
    }
)
_ONE_IS_DEFAULT = frozenset({"phones", "accounts"})
# What names a record of ours, which no file of the old MIS knows; those of its own are columns apart.
_IDS = frozenset({"region", "area", "parent_id", "institution_id", "bookkeeper_member_id"})


def _fields(form: Form) -> Iterator[str]:
    for entry in form.entries:
        if isinstance(entry, Field) and entry.name not in _IDS and entry.kind is not kinds.image:
            yield entry.name


def _column(field: str) -> str:
    """Files hold rupees."""
    return field.removesuffix("_paise") + "_rupees" if field.endswith("_paise") else field


def _columns(*forms: Form) -> dict[str, str]:
    """The columns and the field that each fills, by the contract's names."""
    return {_column(name): name for form in forms for name in _fields(form)}


_INSTITUTION, _MEMBER = _columns(*institution.FORM_OF.values()), _columns(member.FORM)
_OF_ROWS = tuple(column for columns in _ROWS.values() for column in columns)

INSTITUTION_COLUMNS = (CODE, PLACE_LGD, PLACE_LEGACY, PARENT_CODE, *_INSTITUTION, *_OF_ROWS)
MEMBER_COLUMNS = (CODE, SHG_CODE, *_MEMBER, *_OF_ROWS)
# Without these no row of the file says anything.
INSTITUTION_NEEDED = (CODE, "kind", "name", "formed_on")
MEMBER_NEEDED = (CODE, SHG_CODE, "name")

# The column of the field that a form refuses.
_COLUMN_OF = {
    **{field: column for column, field in (_INSTITUTION | _MEMBER).items()},
    **{f"{name}[0].{field}": column for name, columns in _ROWS.items() for column, field in columns.items()},
    **{name: next(iter(columns)) for name, columns in _ROWS.items()},
    "external_ids[0].value": CODE,
    "region": PLACE_LGD,
    "parent_id": PARENT_CODE,
    "institution_id": SHG_CODE,
}


def column_of(field: str) -> str:
    return _COLUMN_OF.get(field, field)


def code(cells: Cells, column: str = CODE) -> str:
    """The old MIS's code in a cell: there are records of the same code among SHGs, VOs, CLFs and members, and none among each."""
    written = "".join(cells.get(column, "").split()).upper()
    if not written:
        raise missing(column)
    return written


def listed_as(kind: str, legacy_code: str) -> UUID:
    """By what a record of that kind (MEMBER, SHG, VO, CLF) is known again, whichever file it comes in."""
    return derived(SYSTEM, kind, legacy_code)


def row_hash(cells: Cells) -> bytes:
    """Of what a row says, in whatever order its columns stand."""
    return content_hash(dict(cells))


def institution_said(cells: Cells, region: str, parent_id: UUID | None) -> dict[str, Any]:
    """A row as the form of an SHG, a VO or a CLF reads it."""
    made = _said(cells, _INSTITUTION, cells["kind"].strip().upper())
    return made | {"region": region, "parent_id": str(parent_id or "")}


def member_said(cells: Cells) -> dict[str, Any]:
    """A row as a member's form reads it."""
    return _said(cells, _MEMBER, "MEMBER")


def _said(cells: Cells, columns: Mapping[str, str], kind: str) -> dict[str, Any]:
    said: dict[str, Any] = {columns[column]: _value(cell, column, columns[column]) for column, cell in cells.items() if column in columns}
    key = listed_as(kind, code(cells))
    for name, of in _ROWS.items():
        row = {field: cells.get(column, "") for column, field in of.items()}
        if not is_empty(row):
            said[name] = [row | {"row_id": str(derived(name, key))} | ({"is_default": kinds.YES} if name in _ONE_IS_DEFAULT else {})]
    said["external_ids"] = [{"row_id": str(derived("external_ids", key)), "system": SYSTEM, "value": code(cells)}]
    return said


def _value(cell: str, column: str, field: str) -> object:
    return parse_rupees(cell, column) if cell.strip() and column != field else cell


def kind_of(cells: Cells) -> Kind:
    return institution.parse_kind(cells.get("kind", ""))
