"""Who calls, what she may see, and who may create whom (domain 7.1)."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from uuid import UUID

from services.kernel.errors import Forbidden
from services.kernel.region import NATION, Level, check_region, contains


class Role(StrEnum):
    """The 12 official roles and the 5 community roles [S0 p17-22]; the value is what travels."""

    NATIONAL_ADMIN = "NATIONAL_ADMIN"
    NATIONAL_THEMATIC_USER = "NATIONAL_THEMATIC_USER"
    NATIONAL_PROGRAM_MANAGER = "NATIONAL_PROGRAM_MANAGER"
    STATE_ADMIN = "STATE_ADMIN"
    STATE_THEMATIC_USER = "STATE_THEMATIC_USER"
    STATE_PROGRAM_MANAGER = "STATE_PROGRAM_MANAGER"
    DISTRICT_ADMIN = "DISTRICT_ADMIN"
    DISTRICT_THEMATIC_USER = "DISTRICT_THEMATIC_USER"
    DISTRICT_PROGRAM_MANAGER = "DISTRICT_PROGRAM_MANAGER"
    BLOCK_ADMIN = "BLOCK_ADMIN"
    BLOCK_THEMATIC_USER = "BLOCK_THEMATIC_USER"
    BLOCK_PROGRAM_MANAGER = "BLOCK_PROGRAM_MANAGER"
    SHG_BOOKKEEPER = "SHG_BOOKKEEPER"
    VO_BOOKKEEPER = "VO_BOOKKEEPER"
    CLF_BOOKKEEPER = "CLF_BOOKKEEPER"
    SHG_TRANS_APPROVER = "SHG_TRANS_APPROVER"
    VO_TRANS_APPROVER = "VO_TRANS_APPROVER"

    @property
    def label(self) -> str:
        """The role as screens show it: "Block Program Manager"."""
        return " ".join(word if word in {"SHG", "VO", "CLF"} else word.capitalize() for word in self.split("_"))


BOOKKEEPERS = frozenset({Role.SHG_BOOKKEEPER, Role.VO_BOOKKEEPER, Role.CLF_BOOKKEEPER})
COMMUNITY = BOOKKEEPERS | {Role.SHG_TRANS_APPROVER, Role.VO_TRANS_APPROVER}

# The level of the region that a role works in. A community role may sit at any level from the block down.
LEVEL_OF = {role: Level[role.split("_")[0].replace("NATIONAL", "NATION")] for role in Role if role not in COMMUNITY}

# Who may create whom. A State Admin comes by the National Admin's invitation, which is a door of its own.
CREATES: dict[Role, frozenset[Role]] = {
    Role.NATIONAL_ADMIN: frozenset({Role.STATE_ADMIN}),
    Role.STATE_ADMIN: frozenset(
        {
            Role.STATE_THEMATIC_USER,
            Role.STATE_PROGRAM_MANAGER,
            Role.DISTRICT_ADMIN,
            Role.DISTRICT_THEMATIC_USER,
            Role.DISTRICT_PROGRAM_MANAGER,
            Role.BLOCK_ADMIN,
            Role.BLOCK_THEMATIC_USER,
            Role.BLOCK_PROGRAM_MANAGER,
        },
    ),
    Role.DISTRICT_ADMIN: frozenset({Role.DISTRICT_THEMATIC_USER, Role.BLOCK_ADMIN}),
    Role.BLOCK_ADMIN: frozenset({Role.BLOCK_THEMATIC_USER}) | COMMUNITY,
}


@dataclass(frozen=True, slots=True)
class Caller:
    """A user at work in one role, or another program that a scope of trust lets in.

    `region` is an LGD path ("" is the nation). `person` is a keyed claim that two user ids of one woman share.
    """

    user_id: str
    role: Role | None = None
    region: str = NATION
    institutions: frozenset[UUID] = frozenset()
    person: str = ""
    scopes: frozenset[str] = frozenset()

    @property
    def by_institution(self) -> bool:
        """True where she sees the institutions mapped to her, and not a whole region."""
        return self.role in BOOKKEEPERS

    def sees_region(self, region: str) -> bool:
        return contains(self.region, region)

    def sees(self, institution_id: UUID, region: str) -> bool:
        """Whether an institution that lies in `region` is in her sight."""
        return institution_id in self.institutions if self.by_institution else self.sees_region(region)

    def must_see_region(self, region: str, field: str = "region") -> None:
        if not self.sees_region(check_region(region, field)):
            raise Forbidden("REGION_NOT_YOURS", "The region {region} is not within yours.", field=field, region=region)

    def must_see(self, institution_id: UUID, region: str, field: str = "institution_id") -> None:
        if not self.sees(institution_id, region):
            raise Forbidden("INSTITUTION_NOT_YOURS", "This institution is not among yours.", field=field)

    def must_not_be(self, maker_person: str) -> None:
        """Nobody approves her own entry, nor through a second user id of hers (decision 10)."""
        if self.person and self.person == maker_person:
            raise Forbidden("OWN_ENTRY", "Nobody approves her own entry: another officer must.")


def may_create(maker: Role | None, roles: Iterable[Role]) -> None:
    """Refuse where `maker` may not create a user of any of `roles`."""
    allowed = CREATES.get(maker, frozenset()) if maker else frozenset()
    for role in roles:
        if role not in allowed:
            raise Forbidden(
                "MAY_NOT_CREATE",
                "A {maker} may not create a {role}.",
                field="role",
                maker=maker.label if maker else "stranger",
                role=role.label,
            )
