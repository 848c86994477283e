"""Lists taken in row by row: the good rows become drafts, the others are refused; the same list again changes nothing."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, insert
from sqlalchemy.dialects import postgresql

from services.chassis import audit, places
from services.chassis.sheets import Row
from services.kernel.approval import Status
from services.kernel.caller import Caller
from services.kernel.canonical import Content
from services.kernel.errors import Invalid, Refused
from services.kernel.ids import derived, uuid7
from services.kernel.money import parse_rupees
from services.kernel.month import month_of
from services.kernel.region import Level, at_level, check_region
from services.profiles import queries
from services.profiles.commands import institution as institution_commands
from services.profiles.commands import member as member_commands
from services.profiles.commands import record
from services.profiles.commands.events import institutions_changed, members_changed, tell_all
from services.profiles.commands.lists import lists
from services.profiles.queries import MEMBER, AnyRow, Subject
from services.profiles.rules import institution as institution_rules
from services.profiles.rules import member as member_rules
from services.profiles.rules.form import Facts
from services.profiles.rules.institution import PARENT_OF, Kind, key, parse_kind
from services.profiles.tables import institutions, members, submissions

# The sheets' columns, by the fields that they fill.
INSTITUTION_COLUMNS = {
    "kind": "Kind",
    "name": "Name",
    "name_local": "Local name",
    "region": "Region",
    "formed_on": "Formed on",
    "parent_id": "Parent",
    "compulsory_savings_paise": "Compulsory savings (₹)",
}
MEMBER_COLUMNS = {
    "institution_id": "SHG",
    "region": "Village",
    "name": "Name",
    "name_local": "Local name",
    "gender": "Gender",
    "born_on": "Date of birth",
    "birth_year": "Birth year",
    "relation": "Relation",
    "relation_name": "Relation name",
    "social_category": "Social category",
    "mobile": "Mobile",
    "account_number": "Account number",
    "ifsc": "IFSC",
    "account_holding": "Account holding",
    "joined_on": "Joined on",
}


@dataclass(frozen=True, slots=True)
class Answer:
    """What became of a row: the id of what it made or found (none yet in a dry run), or why it was refused."""

    row: int
    id: UUID | None = None
    refused: Refused | None = None
    column: str = ""


def _answers(rows: Sequence[Row], columns: dict[str, str], take: Callable[[dict[str, str]], UUID]) -> list[Answer]:
    """Take in row by row what is no formula; `take` gets the cells by field."""
    answers = []
    for row in rows:
        try:
            taken = take({name: row.check().cells[column] for name, column in columns.items()})
            answers.append(Answer(row.number, taken))
        except Refused as refused:
            answers.append(Answer(row.number, None, refused, columns.get(refused.field, refused.field)))
    return answers


@dataclass(frozen=True, slots=True)
class _New:
    """A record that a row makes."""

    id: UUID
    listed_as: UUID
    kind: str
    institution_id: UUID
    region: str
    content: dict[str, Content]


@dataclass(slots=True)
class _Institutions:
    """The institutions of a block while its list is taken in: those held, and those that rows made."""

    caller: Caller
    facts: Facts
    ids: Iterator[UUID]
    listed: dict[UUID, UUID] = field(default_factory=dict)  # a row's key -> id
    named: dict[tuple[str, str, str], UUID] = field(default_factory=dict)  # region, kind, name -> id
    possible_parents: dict[tuple[str, str], list[tuple[UUID, str]]] = field(default_factory=dict)  # kind, name -> ids and regions
    new: list["_New"] = field(default_factory=list)

    def hold(self, institution_id: UUID, kind: str, name_key: str, region: str, listed_as: UUID | None) -> None:
        self.named[region, kind, name_key] = institution_id
        self.possible_parents.setdefault((kind, name_key), []).append((institution_id, region))
        if listed_as:
            self.listed[listed_as] = institution_id

    def take(self, cells: dict[str, str]) -> UUID:
        kind = parse_kind(cells["kind"])
        region = self._region(kind, cells["region"])
        name_key = key(cells["name"])
        listed_as = derived("institution", kind, region, name_key)
        held = self.named.get((region, kind, name_key)) or self.listed.get(listed_as)
        if held:
            return held
        said = cells | {
            "kind": kind.value,
            "region": region,
            "parent_id": str(self._parent(kind, key(cells["parent_id"]), region) or ""),
            "compulsory_savings_paise": parse_rupees(cells["compulsory_savings_paise"] or "0", "compulsory_savings_paise"),
        }
        content = institution_rules.read(said, self.facts, complete=False)
        institution_id = next(self.ids)
        self.hold(institution_id, kind, institution_rules.name_key(content), region, listed_as)
        self.new.append(_New(institution_id, listed_as, kind.value, institution_id, region, content))
        return institution_id

    def _region(self, kind: Kind, cell: str) -> str:
        """The path of an LGD code at the level of that kind; or a path, which it must be where a village lies in several Gram Panchayats."""
        path = places.geography().find(institution_rules.LEVEL_OF[kind], cell.strip(), self.facts.today)
        self.caller.must_see_region(path)
        return path

    def _parent(self, kind: Kind, name_key: str, region: str) -> UUID | None:
        """The VO or CLF of that name in the block; of several, the one of the same Gram Panchayat."""
        if not name_key:
            return None
        block, gp = at_level(region, Level.BLOCK), at_level(region, Level.GP)
        possible = self.possible_parents.get((PARENT_OF.get(kind, ""), name_key), [])
        possible = [one for one in possible if at_level(one[1], Level.BLOCK) == block]
        found = [one for one in possible if at_level(one[1], Level.GP) == gp] or possible
        if not found:
            raise Invalid("PARENT_UNKNOWN", "There is no such VO or CLF.", field="parent_id")
        if len(found) > 1:
            raise Invalid("PARENT_AMBIGUOUS", "Several in this block have that name; leave it empty and set it on the form.", field="parent_id")
        return found[0][0]


def take_institutions(connection: Connection, caller: Caller, rows: Sequence[Row], today: date, *, dry_run: bool) -> list[Answer]:
    """The institutions of a block, those above before those below, wherever they stand in the sheet."""
    institution_commands.lock_names(connection, at_level(caller.region, Level.BLOCK))
    block = _Institutions(caller, Facts(today, lists(connection)), _ids(len(rows)))
    for held in queries.institutions_within(connection, caller.regions):
        block.hold(held.id, held.kind, held.name_key, held.region, held.listed_as)
    order = {"CLF": 0, "VO": 1}
    by_kind = sorted(rows, key=lambda row: order.get(row.cells["Kind"].strip().upper(), 2))
    answers = sorted(_answers(by_kind, INSTITUTION_COLUMNS, block.take), key=lambda answer: answer.row)
    if dry_run:
        return _dry(answers, block.new)
    if block.new:
        values = [_draft(one, today) | institution_commands.columns(one.content) for one in block.new]
        made = connection.execute(insert(institutions).returning(institutions), values).all()
        found = _wait(connection, caller, made, block.new)
        tell_all(connection, institutions_changed(connection, found))
        audit.changed(connection, caller, "institution.upload", *(row.id for row in made), month=month_of(today))
    return answers


def take_members(connection: Connection, caller: Caller, rows: Sequence[Row], today: date, *, dry_run: bool) -> list[Answer]:
    """The members of the caller's SHGs."""
    facts = Facts(today, lists(connection))
    shgs: dict[tuple[str, str], list[Subject]] = {}
    for shg in _shgs(connection, caller):
        shgs.setdefault((shg.row.region.rpartition(".")[2], shg.row.name_key), []).append(shg)
    taken: dict[UUID, _New] = {}  # a row's key -> her
    ids = _ids(len(rows))

    def take(cells: dict[str, str]) -> UUID:
        village = cells["region"].strip()
        shg = _at(village, shgs.get((village.rpartition(".")[2].lstrip("0"), key(cells["institution_id"])), []), today)
        content = member_rules.read(_said(cells, shg.row.id), member_commands.shg_of(shg), facts, complete=False)
        born = content.get("born_on") or content.get("birth_year")
        listed_as = derived("member", shg.row.id, key(str(content["name"])), key(str(content.get("relation_name", ""))), born)
        if listed_as in taken:
            raise Invalid("ROW_TWICE", "This list names her in a row before; if she is another woman, tell them apart by birth date or relation.")
        taken[listed_as] = _New(next(ids), listed_as, MEMBER, shg.row.id, shg.row.region, content)
        return listed_as

    answers = _answers(rows, MEMBER_COLUMNS, take)
    held = queries.members_listed_as(connection, taken)
    if not dry_run:
        held |= _enrol(connection, caller, [one for listed_as, one in taken.items() if listed_as not in held], today)
    return [Answer(one.row, held.get(one.id) if one.id else None, one.refused, _CELLS.get(one.column, one.column)) for one in answers]


# A sheet has one phone and one account; where they are at fault, the cell is named.
_PHONE, _ACCOUNT = "phones[0]", "accounts[0]"
_CELLS = {
    **dict.fromkeys((_PHONE, f"{_PHONE}.number"), MEMBER_COLUMNS["mobile"]),
    **dict.fromkeys((_ACCOUNT, f"{_ACCOUNT}.account_number"), MEMBER_COLUMNS["account_number"]),
    f"{_ACCOUNT}.ifsc": MEMBER_COLUMNS["ifsc"],
    f"{_ACCOUNT}.holding": MEMBER_COLUMNS["account_holding"],
}


def _said(cells: dict[str, str], institution_id: UUID) -> dict[str, Any]:
    """A row as a form says it: a phone and an account are rows of hers, whose ids the same cells always give."""
    said: dict[str, Any] = cells | {"institution_id": str(institution_id)}
    if cells["mobile"].strip():
        row_id = derived("phone", institution_id, key(cells["name"]), cells["mobile"])
        said["phones"] = [{"row_id": str(row_id), "number": cells["mobile"], "is_default": "YES"}]
    account = {"account_number": cells["account_number"], "ifsc": cells["ifsc"], "holding": cells["account_holding"]}
    if any(cell.strip() for cell in account.values()):
        row_id = derived("account", institution_id, key(cells["name"]), cells["account_number"])
        said["accounts"] = [account | {"row_id": str(row_id), "is_default": "YES"}]
    return said


def _shgs(connection: Connection, caller: Caller) -> list[Subject]:
    return [shg for shg in queries.institutions_among(connection, caller.institutions) if shg.kind == Kind.SHG]


def _at(village: str, named: Sequence[Subject], today: date) -> Subject:
    """The one of these SHGs of one name that lies in a village, by its code or its path; the code may be in several Gram Panchayats."""
    geography = places.geography()
    found = named
    if "." in village:
        now = geography.now(check_region(village), today)
        found = [one for one in named if one.row.region in now]
    if not found:
        raise queries.unknown_institution()
    if len(found) > 1:
        raise geography.several(village, sorted(one.row.region for one in found), today, "region")
    return found[0]


def _enrol(connection: Connection, caller: Caller, new: Sequence[_New], today: date) -> dict[UUID, UUID]:
    """Insert the drafts; the ids by the keys of their rows, also of those that the same list sent at once has made."""
    if not new:
        return {}
    drafts = [_draft(one, today) | {"institution_id": one.institution_id, "region": one.region} for one in new]
    statement = postgresql.insert(members).on_conflict_do_nothing(index_elements=["listed_as"]).returning(members)
    made = connection.execute(statement, drafts).all()
    found = _wait(connection, caller, made, new)
    tell_all(connection, members_changed(connection, found))
    audit.changed(connection, caller, "member.upload", *(row.id for row in made), month=month_of(today))
    return queries.members_listed_as(connection, [one.listed_as for one in new])


def _wait(connection: Connection, caller: Caller, made: Sequence[AnyRow], new: Sequence[_New]) -> list[Subject]:
    """What the rows said of the records that they made, to be completed and handed in."""
    of = {one.id: one for one in new}
    if not made:
        return []
    rows = [
        record.draft(caller, record.waiting_row(row.id, one.kind, one.institution_id, one.region, one.content)) for row in made if (one := of[row.id])
    ]
    waiting = {row.record_id: row for row in connection.execute(insert(submissions).returning(submissions), rows)}
    return [Subject(of[row.id].kind, row, waiting[row.id]) for row in made]


def _ids(count: int) -> Iterator[UUID]:
    """Ids in order, so that what came in one list is shown in the list's order."""
    return iter(sorted(uuid7() for _ in range(count)))


def _draft(one: _New, today: date) -> dict[str, Any]:
    return record.first(one.id, "SHEET", today) | {"listed_as": one.listed_as, "status": Status.DRAFT.value}


def _dry(answers: Sequence[Answer], new: Sequence[_New]) -> list[Answer]:
    """What a dry run would make has no id."""
    made = {one.id for one in new}
    return [Answer(one.row, None if one.id in made else one.id, one.refused, one.column) for one in answers]
