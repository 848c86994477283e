"""What an SHG, a VO or a CLF must be (domain 2.1, 2.3-2.5), and when one may be activated (R-SHG-1)."""

import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from uuid import UUID

from services.kernel.approval import Status
from services.kernel.caller import Role
from services.kernel.canonical import Content
from services.kernel.errors import Conflict, Forbidden, Invalid
from services.kernel.ids import parse_id
from services.kernel.money import check_amount
from services.kernel.month import parse_date
from services.kernel.names import clean_name
from services.kernel.region import Level, at_level, check_region, level

NAME_LENGTH_MAX = 200
ACTIVE_MEMBERS_MIN = 5
REMARK_LENGTH_MAX = 500


class Kind(StrEnum):
    SHG = "SHG"
    VO = "VO"
    CLF = "CLF"


LEVEL_OF = {Kind.SHG: Level.VILLAGE, Kind.VO: Level.GP, Kind.CLF: Level.BLOCK}
PARENT_OF = {Kind.SHG: Kind.VO, Kind.VO: Kind.CLF}
MAKER_OF = {Kind.SHG: Role.SHG_BOOKKEEPER, Kind.VO: Role.VO_BOOKKEEPER, Kind.CLF: Role.CLF_BOOKKEEPER}


@dataclass(frozen=True, slots=True)
class Institution:
    """What its maker says of it. The names are those of the contract, so that a browser hashes the same content."""

    kind: Kind
    name: str
    name_local: str
    region: str
    formed_on: date
    parent_id: UUID | None
    compulsory_savings_paise: int

    @property
    def name_key(self) -> str:
        return key(self.name)

    @property
    def block(self) -> str:
        return at_level(self.region, Level.BLOCK)

    def content(self) -> dict[str, Content]:
        return {
            "kind": self.kind.value,
            "name": self.name,
            "name_local": self.name_local,
            "region": self.region,
            "formed_on": self.formed_on.isoformat(),
            "parent_id": str(self.parent_id) if self.parent_id else "",
            "compulsory_savings_paise": self.compulsory_savings_paise,
        }


def key(name: str) -> str:
    """One key for a name in any case, spacing and way of composing its letters."""
    return " ".join(unicodedata.normalize("NFC", name).split()).casefold()


def parse_kind(text: str) -> Kind:
    try:
        return Kind(text.strip().upper())
    except ValueError:
        raise Invalid("KIND_UNKNOWN", "An institution is an SHG, a VO or a CLF.", field="kind") from None


def parse(text: Mapping[str, str], savings_paise: int, today: date) -> Institution:
    """An institution from the texts of a form or a sheet, by the contract's names; or the first refusal."""
    kind = parse_kind(text["kind"])
    made = Institution(
        kind=kind,
        name=clean_name(text["name"], "name", longest=NAME_LENGTH_MAX),
        name_local=clean_name(text["name_local"], "name_local", longest=NAME_LENGTH_MAX, needed=False),
        region=check_region(text["region"]),
        formed_on=parse_date(text["formed_on"], "formed_on"),
        parent_id=parse_id(text["parent_id"], "parent_id") if text["parent_id"] else None,
        compulsory_savings_paise=check_amount(savings_paise, "compulsory_savings_paise"),
    )
    if level(made.region) != LEVEL_OF[kind]:
        raise Invalid("REGION_LEVEL", "The place of a {kind} is a {level}.", field="region", kind=kind.value, level=LEVEL_OF[kind].name)
    if made.formed_on > today:
        raise Invalid("FORMED_IN_FUTURE", "The day of formation has not come yet.", field="formed_on")
    return made


def check_parent(child: Institution, parent: Institution | None) -> None:
    """An SHG belongs to a VO and a VO to a CLF of its own block (domain 2.5); it may belong to none yet."""
    if child.parent_id is None:
        return
    if parent is None:
        raise Invalid("PARENT_UNKNOWN", "There is no such VO or CLF.", field="parent_id")
    if PARENT_OF.get(child.kind) != parent.kind:
        raise Invalid("PARENT_KIND", "A {parent} cannot be over a {child}.", field="parent_id", parent=parent.kind.value, child=child.kind.value)
    if parent.block != child.block:
        raise Invalid("PARENT_ELSEWHERE", "Both must lie in the same block.", field="parent_id")


def check_maker(kind: Kind, role: Role | None) -> None:
    """Who enters a new institution keeps the books of that kind."""
    if role != MAKER_OF[kind]:
        raise Forbidden("KIND_NOT_YOURS", "A {kind} is entered by its own bookkeeper.", field="kind", kind=kind.value)


def check_members(kind: Kind, members: Mapping[Status, int]) -> None:
    """An SHG is activated after its members; who was rejected does not hold it up."""
    if kind != Kind.SHG:
        return
    if pending := members.get(Status.DRAFT, 0) + members.get(Status.SUBMITTED, 0):
        raise Conflict("MEMBERS_PENDING", "{pending} of its members are not decided yet.", pending=pending)
    if (active := members.get(Status.ACTIVE, 0)) < ACTIVE_MEMBERS_MIN:
        raise Conflict("MEMBERS_TOO_FEW", "An SHG needs {least} active members; this has {active}.", least=ACTIVE_MEMBERS_MIN, active=active)


def one_line(text: str) -> str:
    """Free text with single spaces, and without the one character that no database takes."""
    return " ".join(text.replace("\0", " ").split())


def check_remark(remark: str) -> str:
    """What a checker tells the maker when she hands a record back."""
    plain = one_line(remark)
    if not plain:
        raise Invalid("REMARK_MISSING", "Say in a remark what must be put right.", field="remark")
    if len(plain) > REMARK_LENGTH_MAX:
        raise Invalid("REMARK_TOO_LONG", "A remark has at most {most} characters.", field="remark", most=REMARK_LENGTH_MAX)
    return plain
