"""The bookkeeper mapping sheet (domain 12): what one row asks for."""

import unicodedata
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import date
from uuid import UUID

from services.identity.rules.user import Assignment, Status, User, check_institutions, check_user_id, parse_role
from services.kernel.caller import COMMUNITY
from services.kernel.errors import Conflict, Invalid, NotFound
from services.kernel.geography import Geography
from services.kernel.names import clean_name
from services.kernel.phone import check_mobile
from services.kernel.region import NO_GP, contains

USER_ID, NAME, MOBILE, ROLE = "User ID", "Bookkeeper name", "Mobile", "Role"
GP, VILLAGE = "Gram Panchayat", "Village"
PASSWORD = "Initial password"  # noqa: S105 - the name of a column
ASSIGNED = {"SHG": "SHGs (to be assigned)", "VO": "VO (to be assigned)", "CLF": "CLF (to be assigned)"}
COLUMNS = (USER_ID, NAME, MOBILE, ROLE, GP, VILLAGE, *ASSIGNED.values(), PASSWORD)
CELL_LENGTH_MAX = 1000


@dataclass(frozen=True, slots=True)
class Institution:
    """An institution as identity has heard of it."""

    institution_id: UUID
    kind: str
    name: str
    region: str


Known = Mapping[tuple[str, str], list[Institution]]


def name_key(name: str) -> str:
    """What two spellings of one institution's name share: case and spaces do not count."""
    return " ".join(unicodedata.normalize("NFC", name).casefold().split())


def by_name(institutions: Iterable[Institution]) -> Known:
    known: dict[tuple[str, str], list[Institution]] = {}
    for institution in institutions:
        known.setdefault((institution.kind, name_key(institution.name)), []).append(institution)
    return known


def read(cells: Mapping[str, str], block: str, prefix: str, geography: Geography, known: Known, today: date) -> User:
    """The user that a row of a block's sheet asks for.

    An SHG is looked for by its name in the row's village, or where the row names none in its Gram Panchayat; a VO in the
    Gram Panchayat, and among those that sit at the block; a CLF in the block.
    """
    for column, text in cells.items():
        if len(text) > CELL_LENGTH_MAX:
            raise Invalid("CELL_TOO_LONG", "A cell has at most {most} characters.", field=column, most=CELL_LENGTH_MAX)
    user_id = check_user_id(cells[USER_ID], prefix, USER_ID)
    full_name = clean_name(cells[NAME], NAME)
    mobile = check_mobile(cells[MOBILE], MOBILE)
    role = parse_role(cells[ROLE], COMMUNITY, ROLE)
    # The path begins with the caller's block, so that no row reaches into another one.
    gp = _below(block, cells[GP] or NO_GP, GP, geography, today)
    village = _below(gp, cells[VILLAGE], VILLAGE, geography, today) if cells[VILLAGE] else gp
    shgs = _assigned(cells, "SHG", known, lambda region: contains(village, region))
    vos = _assigned(cells, "VO", known, lambda region: contains(gp, region) or region == block)
    clfs = _assigned(cells, "CLF", known, lambda region: contains(block, region))
    # She works where the widest of her institutions lies.
    works_in = block if clfs else gp if vos else village
    mapped = check_institutions(role, [one.institution_id for one in (*shgs, *vos, *clfs)])
    return User(user_id, full_name, mobile, (Assignment(role, works_in, mapped),), today)


def _below(wider: str, code: str, column: str, geography: Geography, today: date) -> str:
    if not (code.isascii() and code.isdecimal()):
        raise Invalid("REGION_INVALID", "Give the LGD code of the place, as 77.", field=column)
    return geography.must_know(f"{wider}.{code}", today, column)


def _assigned(cells: Mapping[str, str], kind: str, known: Known, may_lie: Callable[[str], bool]) -> list[Institution]:
    """The institutions of one cell, whose names are parted by semicolons."""
    assigned = []
    for name in filter(None, map(name_key, cells[ASSIGNED[kind]].split(";"))):
        found = [one for one in known.get((kind, name), ()) if may_lie(one.region)]
        if not found:
            raise NotFound("INSTITUTION_UNKNOWN", "There is no {kind} {name} in this place.", field=ASSIGNED[kind], kind=kind, name=name[:60])
        if len(found) > 1:
            raise Conflict(
                "INSTITUTION_AMBIGUOUS",
                "There are {count} {kind}s {name} in this place; name the village, or map her by the institution's id.",
                field=ASSIGNED[kind],
                count=len(found),
                kind=kind,
                name=name[:60],
            )
        assigned += found
    return assigned


def remap(user: User, wanted: User, block: str) -> User:
    """The user with the institutions that a row gives her; a row maps, and never makes one woman into another."""
    same = (user.full_name, user.mobile, user.roles) == (wanted.full_name, wanted.mobile, wanted.roles)
    here = all(contains(block, one.region) for one in user.assignments)
    if not (same and user.status is Status.ACTIVE and here):
        raise Conflict("USER_EXISTS", "There already is a user {user_id}, and it is another one.", field=USER_ID, user_id=user.user_id)
    return replace(user, assignments=wanted.assignments)
