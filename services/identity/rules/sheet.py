"""The bookkeeper mapping sheet (domain 12): what it lets one choose from, and what one row asks for."""

import re
import unicodedata
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from services.identity.rules import assignment
from services.identity.rules.assignment import Institution
from services.identity.rules.user import Assignment, Here, Side, Status, User, check_user_id, parse_role
from services.kernel.caller import COMMUNITY, Role
from services.kernel.errors import Conflict, Invalid, NotFound
from services.kernel.names import clean_name
from services.kernel.phone import check_mobile
from services.kernel.region import Level, contains, level

USER_ID, NAME, MOBILE, ROLE = "User ID", "Bookkeeper name", "Mobile", "Role"
GP, VILLAGE = "Gram Panchayat", "Village"
ASSIGNED = {"SHG": "SHGs (to be assigned)", "VO": "VO (to be assigned)", "CLF": "CLF (to be assigned)"}
COLUMNS = (USER_ID, NAME, MOBILE, ROLE, GP, VILLAGE, *ASSIGNED.values())
CELL_LENGTH_MAX = 1000
_PLACES = {GP: Level.GP, VILLAGE: Level.VILLAGE}
_CODE = re.compile(r"(?:.*\()?0*([0-9]+)\)?", re.DOTALL)  # "Rampur (1204)", as the lists show it, or the code by itself.

# What the template says on a page of its own; {prefix} is the state's.
INSTRUCTIONS = (
    "One row for each user id and role. Rows below the header are read from the first sheet alone.",
    "User ID: {prefix} and then 3 to 20 capitals and digits. Nobody else may have it, nor ever have had it.",
    "Mobile: the ten digits of her own phone. One-time passwords go there.",
    "Role: choose one. Where the state keeps them apart, the bookkeeper of SHGs and of a VO has two user ids, and so two rows.",
    "Gram Panchayat and Village: choose one, or write its LGD code, or its name where the block has only one of that name.",
    "A bookkeeper is mapped to what she keeps: SHGs, VOs or CLFs, in that column alone.",
    "An SHG Trans Approver stands on the side of a VO or of a CLF: fill in one of the two. SHGs that are in no VO yet may be named besides.",
    "A VO Trans Approver stands on the side of a CLF. VOs that are in no CLF yet may be named besides.",
    "Several names in one cell: part them by semicolons. The program then asks whether you are sure; you are.",
    "SHGs are looked for by name in the row's village, or where it names none in its Gram Panchayat; VOs there or at the block; CLFs in the block.",
    "Write values, no formulas. Sending the sheet again changes nothing; a changed row changes that user's mapping in that role.",
    "There is no password here: each user sets her own with Forgot password.",
)


def name_key(name: str) -> str:
    """What two spellings of one name share: case and spaces do not count."""
    return " ".join(unicodedata.normalize("NFC", name).casefold().split())


class Block:
    """A block as its sheet speaks of it: places by code or name, institutions by name."""

    def __init__(self, path: str, here: Here, institutions: Iterable[Institution]) -> None:
        self.path = path
        self.here = here
        self._places: dict[tuple[Level, str], list[str]] = {}
        self._shown: dict[Level, list[str]] = {wanted: [] for wanted in _PLACES.values()}
        for place in filter(None, (here.geography.place(region, here.today) for region in here.geography.within(path))):
            code = place.path.rpartition(".")[2]
            self._shown[level(place.path)].append(f"{place.name} ({code})")
            for key in {code, name_key(place.name), name_key(place.name_local)} - {""}:
                self._places.setdefault((level(place.path), key), []).append(place.path)
        self._institutions: dict[tuple[str, str], list[Institution]] = {}
        for institution in institutions:
            self._institutions.setdefault((institution.kind, name_key(institution.name)), []).append(institution)

    def choices(self) -> dict[str, list[str]]:
        """What there is to choose from, by column."""
        named = {column: sorted({many[0].name for (of, _), many in self._institutions.items() if of == kind}) for kind, column in ASSIGNED.items()}
        places = {column: sorted(self._shown[wanted]) for column, wanted in _PLACES.items()}
        return {ROLE: [role.label for role in Role if role in COMMUNITY], **places, **named}

    def place(self, wider: str, cell: str, column: str) -> str:
        """The place of a cell, within `wider`, which is where the cell says nothing."""
        if not cell:
            return wider
        code = _CODE.fullmatch(cell)
        found = [path for path in self._places.get((_PLACES[column], code[1] if code else name_key(cell)), ()) if contains(wider, path)]
        place = self.here.geography.name(wider, self.here.today)
        if not found:
            raise Invalid("REGION_UNKNOWN", "There is no {column} {name} in {place}.", field=column, column=column, name=cell[:60], place=place)
        if len(found) > 1:
            raise Conflict(
                "REGION_AMBIGUOUS",
                "There are {count} places {name} in {place}; choose one from the list, with its code.",
                field=column,
                count=len(found),
                name=cell[:60],
                place=place,
            )
        return found[0]

    def named(self, cells: Mapping[str, str], kind: str, may_lie: Callable[[str], bool]) -> list[Institution]:
        """The institutions of one cell, whose names are parted by semicolons."""
        assigned = []
        column = ASSIGNED[kind]
        for name in filter(None, map(name_key, cells[column].split(";"))):
            found = [one for one in self._institutions.get((kind, name), ()) if may_lie(one.region)]
            if not found:
                raise NotFound("INSTITUTION_UNKNOWN", "There is no {kind} {name} in this place.", field=column, kind=kind, name=name[:60])
            if len(found) > 1:
                raise Conflict(
                    "INSTITUTION_AMBIGUOUS",
                    "There are {count} {kind}s {name} in this place; name the village, or map her by the institution's id.",
                    field=column,
                    count=len(found),
                    kind=kind,
                    name=name[:60],
                )
            assigned += found
        return assigned


@dataclass(frozen=True, slots=True)
class Row:
    """Whom a row is about, and what it gives her."""

    user_id: str
    full_name: str
    mobile: str
    assignment: Assignment


def read(cells: Mapping[str, str], block: Block) -> Row:
    """What a row of the block's sheet asks for."""
    for column, text in cells.items():
        if len(text) > CELL_LENGTH_MAX:
            raise Invalid("CELL_TOO_LONG", "A cell has at most {most} characters.", field=column, most=CELL_LENGTH_MAX)
    user_id = check_user_id(cells[USER_ID], block.here.state.user_prefix, USER_ID)
    full_name = clean_name(cells[NAME], NAME)
    mobile = check_mobile(cells[MOBILE], MOBILE)
    role = parse_role(cells[ROLE], COMMUNITY, ROLE)
    side = _side(role, cells)
    gp = block.place(block.path, cells[GP], GP)
    village = block.place(gp, cells[VILLAGE], VILLAGE)
    where: dict[str, Callable[[str], bool]] = {
        "SHG": lambda region: contains(village, region),
        "VO": lambda region: contains(gp, region) or region == block.path,
        "CLF": lambda region: contains(block.path, region),
    }
    named = {kind: block.named(cells, kind, may_lie) for kind, may_lie in where.items()}
    for kind, found in named.items():
        if found:
            assignment.check_kind(role, side, kind, ASSIGNED[kind])
    # She works where the widest of her institutions lies.
    works_in = block.path if named["CLF"] else gp if named["VO"] else village
    mapped = frozenset(one.institution_id for found in named.values() for one in found)
    made = Assignment(role, works_in, mapped, side)
    assignment.check_count(made, next(column for kind, column in ASSIGNED.items() if named[kind]) if mapped else ROLE)
    return Row(user_id, full_name, mobile, made)


def _side(role: Role, cells: Mapping[str, str]) -> Side:
    """An approver stands on the side whose column is filled."""
    sides = assignment.SIDES.get(role, (Side.NONE,))
    if len(sides) == 1:
        return sides[0]
    filled = [side for side in sides if cells[ASSIGNED[side]]]
    if len(filled) > 1:
        raise Invalid("SIDE_TWICE", "An approver stands on one side: fill in the VO or the CLF.", field=ASSIGNED["CLF"])
    return assignment.check_side(role, next(iter(filled), Side.NONE), ASSIGNED["VO"])


def wanted(there: User | None, row: Row, block: Block) -> User:
    """The user as a row wants her; a row maps, and never makes one woman into another."""
    if there is None:
        return User(row.user_id, row.full_name, row.mobile, (row.assignment,), block.here.today)
    same = (there.full_name, there.mobile) == (row.full_name, row.mobile)
    if not (
        same
        and there.status is not Status.DELETED
        and there.roles <= COMMUNITY
        and all(contains(block.path, one.region) for one in there.assignments)
    ):
        raise Conflict("USER_EXISTS", "There already is a user {user_id}, and it is another one.", field=USER_ID, user_id=there.user_id)
    if there.status is Status.INACTIVE:
        raise Conflict("USER_STOPPED", "The user {user_id} is stopped; make her active first.", field=USER_ID, user_id=there.user_id)
    before = there.assignment(row.assignment.role)
    if before and before.institution_ids and not row.assignment.institution_ids:
        # Three columns that were not pasted must not undo a block's mappings.
        raise Conflict(
            "INSTITUTIONS_MISSING",
            "This row names no institution, and she has {count}; name those that she keeps, or unlink them.",
            field=ASSIGNED["SHG"],
            count=len(before.institution_ids),
        )
    return assignment.given(there, row.assignment, block.here, ROLE)
