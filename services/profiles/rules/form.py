"""A form: which fields a profile has, how each is read into one canonical content, and where two contents differ."""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from enum import Enum, StrEnum
from typing import Any

from services.kernel.canonical import Content
from services.kernel.errors import Conflict, Invalid
from services.profiles.rules.lists import Lists

ROWS_MAX = 1000  # With those that have ended: a bound against mischief, far above what decades bring.


class Section(StrEnum):
    """The parts of a profile that a checker accepts or hands back one by one; named as in the contract."""

    BASIC = "BASIC"
    TERMS = "TERMS"
    FEDERATION = "FEDERATION"
    REGISTRATION = "REGISTRATION"
    ADDRESS = "ADDRESS"
    PHONE = "PHONE"
    BANK = "BANK"
    KYC = "KYC"
    INSURANCE = "INSURANCE"
    CADRE = "CADRE"
    EXTERNAL_ID = "EXTERNAL_ID"
    SEATS = "SEATS"
    IMAGES = "IMAGES"


class Needed(Enum):
    """When a field must be filled in: a draft from a list may lack what a submission may not."""

    NEVER = 0
    TO_SUBMIT = 1
    ALWAYS = 2


Said = Mapping[str, Any]  # What was handed in, by the contract's names: a form's values, or a sheet's texts.
Held = Mapping[str, Content]  # Content, or a row of it, as it is kept.


@dataclass(frozen=True, slots=True)
class Facts:
    """What reading needs from outside."""

    today: date
    lists: Lists


@dataclass(frozen=True, slots=True)
class At:
    """Where a value is read: its path in what was said, what is known outside, and what is live in its place."""

    path: str
    facts: Facts
    kept: Content
    complete: bool

    def inner(self, part: str, kept: Content = None) -> "At":
        """A part of it; `part` is what follows in the path, as "[1]" or "ifsc"."""
        return At(self.path + part, self.facts, kept, self.complete)


Kind = Callable[[Any, At], Content]  # Reads what was said and is not empty into its one canonical form, or refuses.


@dataclass(frozen=True, slots=True)
class Field:
    name: str
    kind: Kind
    section: Section | None = None  # A row's field lies in the section of its rows.
    needed: Needed = Needed.NEVER

    def read(self, said: object, at: At) -> Content:
        value = None if is_empty(said) else self.kind(said, at)
        if not value and (self.needed == Needed.ALWAYS or (self.needed == Needed.TO_SUBMIT and at.complete)):
            raise missing(at.path)
        return value

    def parts(self, content: Held) -> dict[str, Content]:
        return {self.name: content[self.name]} if self.name in content else {}


@dataclass(frozen=True, slots=True)
class Rows:
    """Rows, each with its `row_id`, of which at most `most` have not ended. `begins` is the field that holds a row's first day."""

    name: str
    fields: tuple[Field, ...]
    section: Section
    most: int
    begins: str = ""
    check: Callable[[Sequence[Held], At], None] = field(default=lambda _rows, _at: None)  # What the rows must be together.

    def read(self, said: object, at: At) -> Content:
        """The rows by their ids, so that their order on a screen is no difference."""
        given = as_list(said, at.path) if not is_empty(said) else []
        if len(given) > ROWS_MAX:
            raise _too_many(at.path, ROWS_MAX)
        kept = {word(row, "row_id"): row for row in rows_in(at.kept)}
        rows = [self._read_row(one, at.inner(f"[{place}]"), kept) for place, one in enumerate(given)]
        ids = {word(row, "row_id") for row in rows}
        if len(ids) < len(rows):
            raise Invalid("ROW_ID_TWICE", "Each row has an id of its own.", field=at.path)
        if gone := kept.keys() - ids:
            raise Conflict("ROW_MISSING", "A row that was approved is not left out: give its last day instead.", field=f"{at.path}.{min(gone)}")
        if len(live(rows)) > self.most:
            raise _too_many(at.path, self.most)
        self.check(rows, at)
        return sorted(rows, key=lambda row: word(row, "row_id"))

    def _read_row(self, said: object, at: At, kept: Mapping[str, Held]) -> Held:
        if not isinstance(said, Mapping):
            raise ill_written(at.path)
        was = kept.get(str(said.get("row_id", "")).strip().lower(), {})
        row = dict(read_entries(self.fields, said, at.inner("."), was))
        if "ended_on" in was and row != was:
            raise Conflict("ROW_ENDED", "A row that has ended does not change; add another.", field=at.path)
        if self.begins in row and "ended_on" in row and word(row, "ended_on") < word(row, self.begins):
            raise Invalid("ENDED_TOO_EARLY", "The last day lies before the first.", field=f"{at.path}.ended_on")
        return row

    def parts(self, content: Held) -> dict[str, Content]:
        return {f"{self.name}.{row['row_id']}": {name: part for name, part in row.items() if name != "row_id"} for row in rows_of(content, self.name)}


def read_entries(entries: Sequence[Field | Rows], said: Said, at: At, held: Held) -> Iterator[tuple[str, Content]]:
    for entry in entries:
        value = entry.read(said.get(entry.name), at.inner(entry.name, held.get(entry.name)))
        if value:
            yield entry.name, value


@dataclass(frozen=True, slots=True)
class Difference:
    """`field` is a field's name, or the rows' name and a row's id; a text is empty where there was or is none."""

    section: Section
    field: str
    before_text: str
    after_text: str


@dataclass(frozen=True, slots=True)
class Form:
    entries: tuple[Field | Rows, ...]

    def read(self, said: Said, facts: Facts, held: Held | None = None, *, complete: bool = True) -> dict[str, Content]:
        """The content, in the form's order and without what is empty; or the first refusal. What the form does not know is the server's.

        `held` is the content that is live: what was approved in it is not lost. Without `complete` it is a draft: what
        is needed may be missing, what is there must be right.
        """
        return dict(read_entries(self.entries, said, At("", facts, None, complete), held or {}))

    def section_of(self, field: str) -> Section:
        """The section of a field, a row or a field of a row."""
        name = re.split(r"[.\[]", field, maxsplit=1)[0]
        section = next(entry.section for entry in self.entries if entry.name == name)
        assert section is not None
        return section

    def differences(self, before: Held, after: Held) -> list[Difference]:
        found = []
        for entry in self.entries:
            was, now = entry.parts(before), entry.parts(after)
            changed = [name for name in was | now if was.get(name) != now.get(name)]
            found += [Difference(self.section_of(name), name, _shown(was.get(name)), _shown(now.get(name))) for name in changed]
        return found


def within(section: Section, *fields: Field) -> tuple[Field, ...]:
    """The fields of one section."""
    return tuple(replace(one, section=section) for one in fields)


@dataclass(frozen=True, slots=True)
class Notice:
    """What a checker should look at; the contract's Warning, a word that Python has taken."""

    code: str
    words: str


# --- Content, read again.


def word(content: Held, name: str) -> str:
    value = content.get(name, "")
    assert isinstance(value, str)
    return value


def whole(content: Held, name: str) -> int:
    value = content.get(name, 0)
    assert isinstance(value, int)
    return value


def day_of(content: Held, name: str) -> date | None:
    written = word(content, name)
    return date.fromisoformat(written) if written else None


def rows_in(content: Content) -> list[Held]:
    return [row for row in content if isinstance(row, Mapping)] if isinstance(content, Sequence) and not isinstance(content, str) else []


def rows_of(content: Held, name: str) -> list[Held]:
    return rows_in(content.get(name))


def words_of(content: Held, name: str) -> list[str]:
    value = content.get(name, ())
    return [one for one in value if isinstance(one, str)] if isinstance(value, Sequence) and not isinstance(value, str) else []


def live(rows: Sequence[Held]) -> list[Held]:
    """The rows that have not ended."""
    return [row for row in rows if "ended_on" not in row]


def _shown(content: Content) -> str:
    if isinstance(content, Mapping):
        return "; ".join(f"{name}: {_shown(part)}" for name, part in content.items())
    if isinstance(content, Sequence) and not isinstance(content, str):
        return ", ".join(map(_shown, content))
    return "" if content is None else str(content)


# --- Refusals that several rules share.


def ill_written(path: str) -> Invalid:
    return Invalid("VALUE_INVALID", "This is not written as the form asks for it.", field=path)


def missing(path: str) -> Invalid:
    return Invalid("VALUE_MISSING", "This is needed; fill it in.", field=path)


def goes_with(content: Held, name: str, answer: str, *, when: bool, complete: bool, needed: bool = False) -> None:
    """Refuse a field that the answer to another leaves no room for, and the lack of one that it makes needed.

    What a draft does not answer yet leaves room for all.
    """
    if name in content and not when and (complete or answer in content):
        raise Invalid("VALUE_OUT_OF_PLACE", "This does not go with what is said as {answer}; leave it empty.", field=name, answer=answer)
    if name not in content and when and needed and complete:
        raise missing(name)


def _too_many(path: str, most: int) -> Invalid:
    return Invalid("ROWS_TOO_MANY", "There are at most {most} of these; end those that are over.", field=path, most=most)


# --- What was said.


def is_empty(said: object) -> bool:
    """As in a message: nothing, 0, no text, no list, and what holds nothing but that."""
    if isinstance(said, str):
        return not said.strip()
    if isinstance(said, Mapping):
        return all(is_empty(part) for part in said.values())
    return not said


def one_line(text: str) -> str:
    """Free text with single spaces, and without the one character that no database takes."""
    return " ".join(text.replace("\0", " ").split())


def as_list(said: object, path: str) -> Sequence[object]:
    if isinstance(said, Sequence) and not isinstance(said, str | bytes):
        return said
    raise ill_written(path)
