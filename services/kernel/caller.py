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

    @property
    def aliases(self) -> tuple[str, ...]:
        """What else the sources call it (domain 12)."""
        return _ALIASES.get(self, ())


_ALIASES = {
    **{role: (role.label.replace("Admin", "User Admin"),) for role in Role if role.endswith("_ADMIN")},
    Role.BLOCK_PROGRAM_MANAGER: ("Block Mission Manager", "BPM", "BMM"),
    Role.CLF_BOOKKEEPER: ("CLF User (Bookkeeper)",),
    Role.SHG_TRANS_APPROVER: ("SHG Meeting & Transaction Approver", "CLF User (SHG Trans Approver)"),
    Role.VO_TRANS_APPROVER: ("VO Meeting & Transaction Approver", "CLF User (VO Trans Approver)"),
}

BOOKKEEPERS = frozenset({Role.SHG_BOOKKEEPER, Role.VO_BOOKKEEPER, Role.CLF_BOOKKEEPER})
APPROVERS = frozenset({Role.SHG_TRANS_APPROVER, Role.VO_TRANS_APPROVER})
COMMUNITY = BOOKKEEPERS | APPROVERS


class Sight(StrEnum):
    """By what a role's sight is bounded."""

    REGION = "REGION"  # What lies in her region, or where she is in charge of clusters in those.
    MAPPED = "MAPPED"  # The institutions mapped to her.
    BELOW = "BELOW"  # The institutions below the federations mapped to her, and those themselves: her side is VO or CLF.


def sight_of(role: Role | None) -> Sight:
    return Sight.MAPPED if role in BOOKKEEPERS else Sight.BELOW if role in APPROVERS else Sight.REGION


# The level of the region that a role works in. A community role may sit at any level from the block down.
LEVEL_OF = {role: Level[role.split("_")[0].replace("NATIONAL", "NATION")] for role in Role if role not in COMMUNITY}

# Who may create whom, and so change and stop her. A State Admin comes by the National Admin's invitation, a door of its own.
CREATES: dict[Role, frozenset[Role]] = {
    Role.NATIONAL_ADMIN: frozenset({Role.NATIONAL_THEMATIC_USER, Role.NATIONAL_PROGRAM_MANAGER}),
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
class Session:
    """The online session that a token belongs to. What is told of a session ends its tokens up to a generation."""

    session_id: UUID
    generation: int


@dataclass(frozen=True, slots=True)
class Caller:
    """A user at work in one role, or another program that a scope of trust lets in.

    `region` is an LGD path ("" is the nation); `clusters` are paths of Gram Panchayats within it that narrow her sight, none
    where she sees all of it, NOWHERE where her clusters have none. `person` is a keyed claim that two user ids of one woman
    share; `persons` are the claims of all who used a device of hers.
    """

    user_id: str
    role: Role | None = None
    region: str = NATION
    institutions: frozenset[UUID] = frozenset()
    person: str = ""
    scopes: frozenset[str] = frozenset()
    clusters: tuple[str, ...] = ()
    persons: frozenset[str] = frozenset()
    session: Session | None = None

    @property
    def sight(self) -> Sight:
        return sight_of(self.role)

    @property
    def regions(self) -> tuple[str, ...]:
        """The regions that she sees, each an LGD path."""
        return self.clusters or (self.region,)

    def sees_region(self, region: str) -> bool:
        return any(contains(seen, region) for seen in self.regions)

    def sees(self, institution_id: UUID, region: str) -> bool:
        """Whether an institution that lies in `region` is in her sight, or for an approver mapped to her: what is below, a query finds."""
        return self.sees_region(region) if self.sight is Sight.REGION else institution_id in self.institutions

    def must_see_region(self, region: str, field: str = "region") -> None:
        if not self.sees_region(check_region(region, field)):
            raise Forbidden("REGION_NOT_YOURS", "The region {region} is not within yours.", field=field, region=region)

    def must_see(self, institution_id: UUID, region: str, field: str = "institution_id") -> None:
        if not self.sees(institution_id, region):
            raise Forbidden("INSTITUTION_NOT_YOURS", "This institution is not among yours.", field=field)

    def must_not_be(self, maker_person: str) -> None:
        """Nobody approves her own entry, nor through a second user id of hers (decision 10)."""
        if maker_person and maker_person in {self.person, *self.persons}:
            raise Forbidden("OWN_ENTRY", "Nobody approves her own entry: another officer must.")


# Whoever works at a command line and has not said who she is; the timers go on with what she began.
OPERATOR = Caller("operator")


def operator(by: str) -> Caller:
    """Whoever works at a command line, by the id that she gives, for the audit."""
    return Caller(f"operator {by}")


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
