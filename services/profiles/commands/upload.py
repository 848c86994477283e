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
from services.kernel.errors import Invalid, Refused
from services.kernel.ids import derived, uuid7
from services.kernel.money import parse_rupees
from services.kernel.month import month_of
from services.kernel.region import Level, at_level
from services.profiles import queries
from services.profiles.commands import institution as institution_commands
from services.profiles.commands import member as member_commands
from services.profiles.commands.events import institution_changed, member_changed, tell_all
from services.profiles.queries import AnyRow
from services.profiles.rules import institution as institution_rules
from services.profiles.rules import member as member_rules
from services.profiles.rules.institution import PARENT_OF, Kind, key, parse_kind
from services.profiles.tables import institutions, members

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


@dataclass(slots=True)
class _Institutions:
    """The institutions of a block while its list is taken in: those held, and those that rows made."""

    caller: Caller
    today: date
    ids: Iterator[UUID]
    listed: dict[UUID, UUID] = field(default_factory=dict)  # a row's key -> id
    named: dict[tuple[str, str, str], UUID] = field(default_factory=dict)  # region, kind, name -> id
    possible_parents: dict[tuple[str, str], list[tuple[UUID, str]]] = field(default_factory=dict)  # kind, name -> ids and regions
    new: list[dict[str, Any]] = field(default_factory=list)

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
        held = self.listed.get(listed_as) or self.named.get((region, kind, name_key))
        if held:
            return held
        savings_paise = parse_rupees(cells["compulsory_savings_paise"] or "0", "compulsory_savings_paise")
        parent_id = self._parent(kind, key(cells["parent_id"]), region)
        made = institution_rules.parse(cells | {"region": region, "parent_id": str(parent_id or "")}, savings_paise, self.today)
        institution_id = next(self.ids)
        self.hold(institution_id, kind, made.name_key, region, listed_as)
        self.new.append(institution_commands.columns(made) | {"id": institution_id, "listed_as": listed_as})
        return institution_id

    def _region(self, kind: Kind, cell: str) -> str:
        """The path of an LGD code at the level of that kind; a path is as good, where a village lies in several Gram Panchayats."""
        geography = places.geography()
        path = cell if "." in cell else geography.path_of(institution_rules.LEVEL_OF[kind], cell.lstrip("0"))
        if not path:
            raise Invalid("REGION_UNKNOWN", "There is no place {path} in this state.", field="region", path=cell[:20])
        self.caller.must_see_region(geography.must_know(path, self.today))
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


def upload_institutions(connection: Connection, caller: Caller, rows: Sequence[Row], today: date, *, dry_run: bool) -> list[Answer]:
    """The institutions of a block, those above before those below, wherever they stand in the sheet."""
    institution_commands.lock_names(connection, at_level(caller.region, Level.BLOCK))
    block = _Institutions(caller, today, _ids(len(rows)))
    for held in queries.institutions_within(connection, caller.regions):
        block.hold(held.id, held.kind, held.name_key, held.region, held.listed_as)
    order = {"CLF": 0, "VO": 1}
    by_kind = sorted(rows, key=lambda row: order.get(row.cells["Kind"].strip().upper(), 2))
    answers = sorted(_answers(by_kind, INSTITUTION_COLUMNS, block.take), key=lambda answer: answer.row)
    if dry_run:
        return _dry(answers, block.new)
    if block.new:
        made = connection.execute(insert(institutions).returning(institutions), [_draft(caller, today) | values for values in block.new]).all()
        tell_all(connection, [institution_changed(row) for row in made])
        audit.changed(connection, caller, "institution.upload", *(row.id for row in made), month=month_of(today))
    return answers


def upload_members(connection: Connection, caller: Caller, rows: Sequence[Row], today: date, *, dry_run: bool) -> list[Answer]:
    """The members of the caller's SHGs."""
    shgs = {(row.region.rpartition(".")[2], row.name_key): row for row in _shgs(connection, caller)}
    taken: dict[UUID, dict[str, Any]] = {}  # a row's key -> her columns

    def take(cells: dict[str, str]) -> UUID:
        shg = shgs.get((cells["region"].rpartition(".")[2].lstrip("0"), key(cells["institution_id"])))
        if shg is None:
            raise queries.unknown_institution()
        made = member_rules.parse(cells, shg.id, shg.formed_on, today)
        listed_as = derived("member", shg.id, key(made.name), key(made.relation_name), made.born_on or made.birth_year)
        if listed_as in taken:
            raise Invalid("ROW_TWICE", "This list names her in a row before; if she is another woman, tell them apart by birth date or relation.")
        taken.setdefault(listed_as, member_commands.columns(made) | {"region": shg.region, "listed_as": listed_as})
        return listed_as

    answers = _answers(rows, MEMBER_COLUMNS, take)
    held = queries.members_listed_as(connection, taken)
    if not dry_run:
        held |= _enrol(connection, caller, [values for listed_as, values in taken.items() if listed_as not in held], today)
    return [Answer(one.row, held.get(one.id) if one.id else None, one.refused, one.column) for one in answers]


def _shgs(connection: Connection, caller: Caller) -> list[AnyRow]:
    return [row for row in queries.institutions_among(connection, caller.institutions) if row.kind == Kind.SHG]


def _enrol(connection: Connection, caller: Caller, new: Sequence[dict[str, Any]], today: date) -> dict[UUID, UUID]:
    """Insert the drafts; the ids by the keys of their rows, also of those that the same list sent at once has made."""
    if not new:
        return {}
    drafts = [_draft(caller, today) | {"id": member_id} | values for member_id, values in zip(_ids(len(new)), new, strict=True)]
    statement = postgresql.insert(members).on_conflict_do_nothing(index_elements=["listed_as"]).returning(members)
    made = connection.execute(statement, drafts).all()
    tell_all(connection, [member_changed(row) for row in made])
    audit.changed(connection, caller, "member.upload", *(row.id for row in made), month=month_of(today))
    return queries.members_listed_as(connection, [values["listed_as"] for values in new])


def _ids(count: int) -> Iterator[UUID]:
    """Ids in order, so that what came in one list is shown in the list's order."""
    return iter(sorted(uuid7() for _ in range(count)))


def _draft(caller: Caller, today: date) -> dict[str, Any]:
    return {
        "version": 1,
        "revision": 0,
        "status": Status.DRAFT.value,
        "maker_user": caller.user_id,
        "maker_person": caller.person,
        "entered_on": today,
    }


def _dry(answers: Sequence[Answer], new: Sequence[dict[str, Any]]) -> list[Answer]:
    """What a dry run would make has no id."""
    made = {values["id"] for values in new}
    return [Answer(one.row, None if one.id in made else one.id, one.refused, one.column) for one in answers]
