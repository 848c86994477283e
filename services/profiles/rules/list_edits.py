"""What a state may change in its lists: it adds, renames, translates, reorders and retires; what a value means to the nation stays."""

import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from services.kernel.errors import Conflict, Invalid
from services.kernel.month import parse_date
from services.profiles.rules.lists import CLOSED, DEFAULTS, LOCKED, Value

LABEL_LENGTH_MAX = 120
ORDER_MAX = 9999
EDITS_MAX = 10_000
ENGLISH = "en"

_CODE = re.compile(r"[A-Z][A-Z0-9_]{0,39}")
# Its number lives in identity's vault alone, so no list asks for it as one document or system more. A Jan Aadhaar is a family's card.
_AADHAAR = re.compile(r"(?<!JAN.)(?<![A-Z])A+DHA+R(?![A-Z])|UIDAI|(?<!जन.)आधार(?![\u0900-\u097f])", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Entry:
    """A value as it is held: its place on the screen, and the version of the lists in which it last changed."""

    value: Value
    order: int
    version: int


@dataclass(frozen=True, slots=True)
class Edit:
    """A value as its editor wants it, and the version in which she saw it: 0 for one that she adds.

    Labels of languages that are not named stay; an empty one is taken away.
    """

    list: str
    code: str
    national_code: str
    labels: Mapping[str, str]
    order: int
    active: bool
    valid_from: str
    valid_to: str
    version: int


def languages(of_state: Iterable[str]) -> tuple[str, ...]:
    """The languages of labels: those of the national values, and those that the state's file adds."""
    return tuple(dict.fromkeys((ENGLISH, "hi", *of_state)))


def defaults() -> dict[str, dict[str, Entry]]:
    """The national values as every state begins: version 1, and room for others between two."""
    return {
        name: {code: Entry(value, 10 * place, 1) for place, (code, value) in enumerate(values.items(), 1)} for name, values in DEFAULTS.values.items()
    }


def decide(lists: Mapping[str, Mapping[str, Entry]], edit: Edit, languages: Sequence[str]) -> Entry | None:
    """The value as it is to be held, still with the version that the editor saw; None where it stands so already."""
    if edit.list not in lists:
        raise Invalid("LIST_UNKNOWN", "There is no such list; a state adds values, not lists.", field="list")
    held = lists[edit.list].get(edit.code)
    wanted = _wanted(edit, held.value.labels if held else {}, languages)
    if held and replace(held, version=edit.version) == wanted:
        return None
    if held is None:
        _check_new(lists[edit.list], edit, wanted.value)
    elif held.version != edit.version:
        raise Conflict("VALUE_CHANGED", "The list has this value otherwise than it was seen; look at it again.", field="version")
    else:
        _check_change(edit.list, held.value, wanted.value)
    return wanted


def _wanted(edit: Edit, labels: Mapping[str, str], languages: Sequence[str]) -> Entry:
    merged = dict(labels)
    for language, label in edit.labels.items():
        if language not in languages and language not in labels:
            raise Invalid("LANGUAGE_UNKNOWN", "The languages here are: {known}.", field="labels", known=", ".join(languages))
        merged[language] = _label(label)
    merged = {language: label for language, label in merged.items() if label}
    if ENGLISH not in merged:
        raise Invalid("LABEL_MISSING", "A value has an English label.", field="labels")
    if not 1 <= edit.order <= ORDER_MAX:
        raise Invalid("ORDER_INVALID", "The order is a number from 1 to {most}.", field="order", most=ORDER_MAX)
    valid_from = parse_date(edit.valid_from, "valid_from") if edit.valid_from else None
    valid_to = parse_date(edit.valid_to, "valid_to") if edit.valid_to else None
    if valid_from and valid_to and valid_to < valid_from:
        raise Invalid("VALIDITY_ORDER", "A value is valid to a day that is not before the one from which it is.", field="valid_to")
    return Entry(Value(edit.code, edit.national_code, valid_from, valid_to, edit.active, merged), edit.order, edit.version)


def _label(text: str) -> str:
    label = " ".join(unicodedata.normalize("NFC", text).split())
    if len(label) > LABEL_LENGTH_MAX or any(unicodedata.category(letter) in {"Cc", "Co", "Cs", "Cn"} for letter in label):
        raise Invalid("LABEL_INVALID", "A label is one line of at most {most} characters.", field="labels", most=LABEL_LENGTH_MAX)
    if _AADHAAR.search(label):
        raise _no_aadhaar("labels")
    return label


def _no_aadhaar(field: str) -> Invalid:
    return Invalid("AADHAAR_NOT_LISTED", "Aadhaar is verified by e-KYC, and is no value of a list.", field=field)


def _check_new(values: Mapping[str, Entry], edit: Edit, value: Value) -> None:
    if edit.version:
        raise Invalid("VALUE_UNKNOWN", "The list {list} has no such value; to add one, give no version.", field="code", list=edit.list)
    if edit.list in CLOSED:
        raise Conflict("LIST_CLOSED", "Nothing is added to the list {list}: the system counts on its values.", field="list", list=edit.list)
    if not _CODE.fullmatch(value.code):
        raise Invalid("VALUE_CODE_INVALID", "A code has up to 40 capital letters, digits and underscores, a letter first.", field="code")
    if _AADHAAR.search(value.code):
        raise _no_aadhaar("code")
    meant = values.get(value.national_code)
    if meant is None or meant.value.national_code != meant.value.code:
        raise Invalid("NATIONAL_CODE_UNKNOWN", "Name the national value of the list {list} that it counts as.", field="national_code", list=edit.list)


def _check_change(name: str, held: Value, wanted: Value) -> None:
    if wanted.national_code != held.national_code:
        raise Conflict(
            "NATIONAL_CODE_FIXED",
            "A value keeps its national code, under which it was counted; retire it and add another.",
            field="national_code",
        )
    if (name, held.code) in LOCKED and (not wanted.active or wanted.valid_from or wanted.valid_to):
        raise Conflict("VALUE_LOCKED", "{code} stays in use: the system counts on it.", field="active", code=held.code)


# The same as a sheet, which a state's team edits: a value a row. Its columns, by the fields that they fill.
COLUMNS = {
    "list": "List",
    "code": "Code",
    "national_code": "National code",
    "order": "Order",
    "active": "Active",
    "valid_from": "Valid from",
    "valid_to": "Valid to",
    "version": "Version",
}
INSTRUCTIONS = (
    "Each row is a value of a list. Change what you like and have the sheet imported; rows that stay as they are change nothing.",
    "To add a value: a new row without version. Its national code is the code of the national value as which it counts in national figures.",
    "To retire a value: NO under Active, or its last day under Valid to. No value is ever deleted; one whose row is left out stays as it is.",
    "Order is the place on the screen, the lowest first. Version stays as it is: by it the import knows whether the value has changed meanwhile.",
    "Labels: English is needed; where one of another language is empty, English is shown.",
)


def label_column(language: str) -> str:
    return f"Label ({language})"


def sheet_columns(languages: Sequence[str]) -> list[str]:
    return [*COLUMNS.values(), *map(label_column, languages)]


def to_sheet(name: str, entry: Entry, languages: Sequence[str]) -> list[str]:
    """The cells of a value's row, in the order of `sheet_columns`."""
    value = entry.value
    days = [day.isoformat() if day else "" for day in (value.valid_from, value.valid_to)]
    active = "YES" if value.active else "NO"
    labels = [value.labels.get(language, "") for language in languages]
    return [name, value.code, value.national_code, str(entry.order), active, *days, str(entry.version), *labels]


def from_sheet(cells: Mapping[str, str], languages: Sequence[str]) -> Edit:
    """The edit that a row asks for, from its cells by column."""
    text = {field: cells[column] for field, column in COLUMNS.items()}
    if text["active"].upper() not in {"YES", "NO"}:
        raise Invalid("ACTIVE_INVALID", "Write YES or NO.", field="active")
    return Edit(
        list=text["list"],
        code=text["code"],
        national_code=text["national_code"],
        labels={language: cells[label_column(language)] for language in languages},
        order=_whole(text["order"], "order"),
        active=text["active"].upper() == "YES",
        valid_from=text["valid_from"],
        valid_to=text["valid_to"],
        version=_whole(text["version"] or "0", "version"),
    )


def _whole(text: str, field: str) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) <= 18):
        raise Invalid("NUMBER_INVALID", "Write a whole number.", field=field)
    return int(text)
