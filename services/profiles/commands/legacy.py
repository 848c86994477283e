"""Records of the old MIS taken in from files: live as they come, and to be verified, which an approved edit does.

A row is known again by its kind and code, and says once what a record is: the same again changes nothing, another version
replaces what nobody has begun to verify.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, date, datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, Table, insert, text
from sqlalchemy.dialects import postgresql
from sqlalchemy.exc import IntegrityError

from services.chassis import audit, places
from services.kernel.approval import Status
from services.kernel.caller import Caller
from services.kernel.canonical import first_difference
from services.kernel.errors import Conflict, Invalid, Refused
from services.kernel.geography import Codes
from services.kernel.ids import uuid7
from services.profiles.commands import cutover, record
from services.profiles.commands import institution as institution_commands
from services.profiles.commands import member as member_commands
from services.profiles.commands.events import institutions_changed, member_submitted, members_changed, tell_all
from services.profiles.commands.lists import lists
from services.profiles.queries import MEMBER, AnyRow, Subject
from services.profiles.queries import legacy as queries
from services.profiles.rules import institution as institution_rules
from services.profiles.rules import legacy as rules
from services.profiles.rules import member as member_rules
from services.profiles.rules.form import Facts, missing
from services.profiles.rules.institution import PARENT_OF, Kind
from services.profiles.rules.legacy import Cells
from services.profiles.rules.revision import must_stay
from services.profiles.tables import institutions, mappings, members, provenance

BATCH = 1000  # Rows of one transaction.

Values = dict[str, Any]  # Of a record, by the columns of its table; its content among them.


@dataclass(frozen=True, slots=True)
class Source:
    """A file, and who brought it."""

    file_name: str
    file_sha256: bytes
    imported_by: str


@dataclass(frozen=True, slots=True)
class Row:
    """Its number counts as a spreadsheet does: the header is row 1."""

    number: int
    cells: Cells
    too_long: bool = False


class Outcome(StrEnum):
    MADE = "MADE"
    CHANGED = "CHANGED"
    SAME = "SAME"
    REFUSED = "REFUSED"


@dataclass(frozen=True, slots=True)
class Answer:
    row: int
    outcome: Outcome
    record_id: UUID | None = None
    refused: Refused | None = None


@dataclass(frozen=True, slots=True)
class _One:
    """A row that says something new: of which record, what it made before if it did, and what the record is to be."""

    row: Row
    listed_as: UUID
    kind: str
    before: AnyRow | None
    values: Values


@dataclass(slots=True)
class _Batch:
    """Rows of one table, and what is here of them already."""

    connection: Connection
    source: Source
    today: date
    table: Table
    kind_of: Callable[[Cells], str]
    fixed: tuple[str, ...]
    days: dict[str, date]
    held: Mapping[UUID, AnyRow] = field(default_factory=dict)
    waiting: Collection[UUID] = frozenset()
    said_by: Mapping[UUID, AnyRow] = field(default_factory=dict)
    taken: set[UUID] = field(default_factory=set)
    answers: dict[int, Answer] = field(default_factory=dict)
    said: list[tuple[UUID, Row]] = field(default_factory=list)  # What the records are from now on, and before, by this file.

    def begin(self, rows: Sequence[Row]) -> None:
        """Look up what is here. One import at a time, so that none makes what another is about to."""
        alone = self.connection.execute(text("select pg_try_advisory_xact_lock(hashtextextended('profiles legacy', 0))")).scalar_one()
        if not alone:
            raise Conflict("IMPORT_RUNNING", "Another import from the old MIS is running; run this one again when it has ended.")
        self.held = queries.held(self.connection, self.table, _keys(rows, self.kind_of))
        ids = [row.id for row in self.held.values()]
        self.waiting = queries.waiting(self.connection, list(self.held.values()))
        self.said_by = queries.provenances(self.connection, ids)

    def decide(self, row: Row, read: Callable[[Cells, str], Values]) -> _One | None:
        """What the row says that is new, or a refusal; None where it says what it said before."""
        if row.too_long:
            raise Invalid("ROW_TOO_LONG", "This row has more cells than the header; put a cell that holds a comma in quotes.")
        kind = self.kind_of(row.cells)
        key = rules.listed_as(kind, rules.code(row.cells))
        before = self.held.get(key)
        said_by = self.said_by[before.id] if before else None
        elsewhere = said_by is not None and said_by.file_sha256 == self.source.file_sha256 and said_by.row != row.number
        if key in self.taken or elsewhere:
            raise Invalid("CODE_TWICE", "This code stands in a row before, of another record; correct one of them.", field=rules.CODE)
        if before and said_by is not None and said_by.row_hash == rules.row_hash(row.cells):
            self._same(before, key, row, said_by)
            return None
        if before and (before.status != Status.LEGACY or before.id in self.waiting):
            raise Conflict("LEGACY_VERIFIED", "This record is verified, or about to be; correct it on its form.", field=rules.CODE)
        values = read(row.cells, kind)
        cutover.must_not_be_cut_over(self.days, values["region"], self.today)
        if before:
            must_stay(before.content, values["content"], *self.fixed)
            if not first_difference(before.content, values["content"]):
                self._same(before, key, row, None)
                return None
        self.taken.add(key)
        return _One(row, key, kind, before, values)

    def _same(self, before: AnyRow, key: UUID, row: Row, said_by: AnyRow | None) -> None:
        self.taken.add(key)
        self.answers[row.number] = Answer(row.number, Outcome.SAME, before.id)
        if said_by is None or said_by.file_sha256 != self.source.file_sha256:
            self.said.append((before.id, row))

    def refuse(self, row: Row, refused: Refused) -> None:
        self.answers[row.number] = Answer(row.number, Outcome.REFUSED, refused=refused)

    def take(self, rows: Sequence[Row], read: Callable[[Cells, str], Values]) -> list[Subject]:
        """Store what is new; the records that were made or changed."""
        ones = []
        for row in rows:
            try:
                one = self.decide(row, read)
            except Refused as refused:
                self.refuse(row, refused)
            else:
                ones += [one] if one else []
        return self._make([one for one in ones if one.before is None]) + self._change([one for one in ones if one.before is not None])

    def _make(self, ones: Sequence[_One]) -> list[Subject]:
        """In one statement. What is not made has the name of an institution that is there."""
        if not ones:
            return []
        same = {"version": 1, "revision": 0, "status": Status.LEGACY.value, "source": "LEGACY", "entered_on": self.today}
        same |= {"submitted_version": 1} if self.table is members else {}
        values = [same | one.values | {"id": uuid7(), "listed_as": one.listed_as} for one in ones]
        made = postgresql.insert(self.table).on_conflict_do_nothing().returning(self.table)
        rows = {row.listed_as: row for row in self.connection.execute(made, values)}
        for one in ones:
            if one.listed_as in rows:
                self._taken(one, rows[one.listed_as], Outcome.MADE)
            else:
                self.refuse(one.row, institution_commands.name_taken())
        return [Subject(one.kind, rows[one.listed_as], None) for one in ones if one.listed_as in rows]

    def _change(self, ones: Sequence[_One]) -> list[Subject]:
        changed = []
        for one in ones:
            assert one.before is not None
            told = {"submitted_version": one.before.version + 1} if self.table is members else {}
            try:
                with self.connection.begin_nested():
                    row = record.change(self.connection, self.table, one.before, **one.values, **told)
            except IntegrityError:  # Of what changes only a name stands once.
                self.refuse(one.row, institution_commands.name_taken())
            else:
                self._taken(one, row, Outcome.CHANGED)
                changed.append(Subject(one.kind, row, None))
        return changed

    def _taken(self, one: _One, row: AnyRow, outcome: Outcome) -> None:
        self.answers[one.row.number] = Answer(one.row.number, outcome, row.id)
        self.said.append((row.id, one.row))

    def end(self, caller: Caller, action: str, taken: Sequence[Subject]) -> list[Answer]:
        """Note where each record comes from, and who brought it."""
        of_file = {**asdict(self.source), "imported_at": datetime.now(UTC)}
        rows = [{**of_file, "record_id": record_id, "row": row.number, "row_hash": rules.row_hash(row.cells)} for record_id, row in self.said]
        if rows:
            made = postgresql.insert(provenance)
            newer = {name: made.excluded[name] for name in rows[0] if name != "record_id"}
            self.connection.execute(made.on_conflict_do_update(index_elements=["record_id"], set_=newer), rows)
        if taken:
            audit.changed(self.connection, caller, action, *(one.row.id for one in taken), file_sha256=self.source.file_sha256.hex())
        return [self.answers[number] for number in sorted(self.answers)]


Take = Callable[[Connection, Caller, Source, Sequence[Row], date], list[Answer]]


def take_institutions(connection: Connection, caller: Caller, source: Source, rows: Sequence[Row], today: date) -> list[Answer]:
    """A batch of SHGs, VOs or CLFs; those above them must have been taken in before."""
    batch = _Batch(connection, source, today, institutions, rules.kind_of, ("kind", "region"), cutover.days(connection))
    batch.begin(rows)
    parents = queries.institutions_listed_as(connection, _keys(rows, lambda cells: PARENT_OF[rules.kind_of(cells)], rules.PARENT_CODE))
    facts = Facts(today, lists(connection))

    def read(cells: Cells, kind: str) -> Values:
        region, parent = _place(cells, Kind(kind), today), _parent(cells, Kind(kind), parents)
        content = institution_rules.read(rules.institution_said(cells, region, parent.id if parent else None), facts, complete=False)
        institution_rules.check_parent(content, parent.content if parent else None)
        return institution_commands.columns(content) | {"content": content}

    taken = batch.take(rows, read)
    made = [one for one in taken if one.row.version == 1 and one.row.parent_id]
    if made:
        connection.execute(insert(mappings), [{"child_id": one.row.id, "from_on": today, "parent_id": one.row.parent_id} for one in made])
    for one in taken:
        if one.row.version > 1:
            institution_commands.map_to(connection, [one.row.id], one.row.parent_id, today)
    tell_all(connection, institutions_changed(connection, taken))
    return batch.end(caller, "legacy.institutions", taken)


def take_members(connection: Connection, caller: Caller, source: Source, rows: Sequence[Row], today: date) -> list[Answer]:
    """A batch of members, told to the duplicate check as they come."""
    batch = _Batch(connection, source, today, members, lambda _cells: MEMBER, ("institution_id",), cutover.days(connection))
    # Institutions are locked before members, here as everywhere.
    shgs = queries.institutions_listed_as(connection, _keys(rows, lambda _cells: Kind.SHG, rules.SHG_CODE))
    batch.begin(rows)
    facts = Facts(today, lists(connection))

    def read(cells: Cells, _kind: str) -> Values:
        row = shgs.get(rules.listed_as(Kind.SHG, rules.code(cells, rules.SHG_CODE)))
        if row is None:
            raise Invalid("LEGACY_SHG_UNKNOWN", "There is no SHG of this code from the old MIS; take it in first.", field=rules.SHG_CODE)
        if row.status == Status.INACTIVE:
            raise Conflict("INSTITUTION_INACTIVE", "This SHG is closed; nobody joins it.", field=rules.SHG_CODE)
        shg = member_commands.shg_of(Subject(row.kind, row, None))
        content = member_rules.read(rules.member_said(cells), shg, facts, complete=False)
        return {"institution_id": row.id, "region": row.region, "content": content}

    taken = batch.take(rows, read)
    tell_all(connection, [*map(member_submitted, taken), *members_changed(connection, taken)])
    return batch.end(caller, "legacy.members", taken)


def _keys(rows: Sequence[Row], kind_of: Callable[[Cells], str], column: str = rules.CODE) -> set[UUID]:
    """The keys of the codes in a column; a row in which they cannot be read is refused when its turn comes."""
    keys = set()
    for row in rows:
        try:
            keys.add(rules.listed_as(kind_of(row.cells), rules.code(row.cells, column)))
        except (Refused, KeyError):  # Nothing is above a CLF.
            continue
    return keys


def _parent(cells: Cells, kind: Kind, parents: Mapping[UUID, AnyRow]) -> AnyRow | None:
    if not cells.get(rules.PARENT_CODE, "").strip():
        return None
    code = rules.code(cells, rules.PARENT_CODE)
    parent = parents.get(rules.listed_as(PARENT_OF[kind], code)) if kind in PARENT_OF else None
    if parent is None:
        raise Invalid("PARENT_UNKNOWN", "There is no such VO or CLF.", field="parent_id")
    if parent.status == Status.INACTIVE:
        raise Conflict("INSTITUTION_INACTIVE", "That federation is closed; choose another.", field="parent_id")
    return parent


def _place(cells: Cells, kind: Kind, today: date) -> str:
    """By the LGD's code, or a path where a village lies in several Gram Panchayats; else by the old MIS's. Where it has moved, there."""
    depth = institution_rules.LEVEL_OF[kind]
    lgd, legacy = (cells.get(column, "").strip() for column in (rules.PLACE_LGD, rules.PLACE_LEGACY))
    if not lgd and not legacy:
        raise missing(rules.PLACE_LGD)
    if lgd:
        return places.geography().find(depth, lgd, today, rules.PLACE_LGD)
    return places.geography().find(depth, legacy, today, rules.PLACE_LEGACY, Codes.LEGACY)
