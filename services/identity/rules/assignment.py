"""Assignments: where a role may work, on which side, and for which institutions and clusters (domain 7.1)."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from uuid import UUID

from services.identity.rules.user import INSTITUTIONS_MAX, Assignment, Here, Side, User, check_level, parse_role
from services.kernel.caller import COMMUNITY, LEVEL_OF, Caller, Role, may_create
from services.kernel.errors import Conflict, Invalid, NotFound, Refused
from services.kernel.region import Level, at_level, contains

# On which sides an approver may stand. She approves for whom she federates: a VO its SHGs, a CLF its VOs and their SHGs.
SIDES: Mapping[Role, tuple[Side, ...]] = {Role.SHG_TRANS_APPROVER: (Side.VO, Side.CLF), Role.VO_TRANS_APPROVER: (Side.CLF,)}
# Whose records a community role keeps or approves.
_KIND = {role: role.partition("_")[0] for role in COMMUNITY}


@dataclass(frozen=True, slots=True)
class Institution:
    """An institution as identity has heard of it."""

    institution_id: UUID
    kind: str
    name: str
    region: str


@dataclass(frozen=True, slots=True)
class Asked:
    """An assignment as somebody asks for it."""

    role: str
    region: str
    side: str = ""
    institution_ids: frozenset[UUID] = frozenset()
    cluster_ids: frozenset[UUID] = frozenset()


def assign(caller: Caller, here: Here, asked: Asked, institutions: Iterable[Institution], cluster_blocks: Mapping[UUID, str]) -> Assignment:
    """The assignment, which the caller may give. `institutions` and the blocks of clusters are those known of what was asked for."""
    role = parse_role(asked.role, field="assignment.role")
    may_create(caller.role, [role])
    caller.must_see_region(asked.region, "assignment.region")
    check_level(role, here.geography.must_know(asked.region, here.today, "assignment.region"), "assignment.region")
    if LEVEL_OF.get(role) == Level.NATION and not here.state.is_nation:
        raise Conflict("NATION_ONLY", "Only the national instance has national users.", field="assignment.role")
    side = check_side(role, asked.side, "assignment.side")
    _check_clusters(role, asked, cluster_blocks)
    made = Assignment(role, asked.region, asked.institution_ids, side, asked.cluster_ids)
    _check_institutions(caller, made, asked.institution_ids, institutions, "assignment.institution_ids")
    return made


def check_side(role: Role, side: str, field: str) -> Side:
    may_be = SIDES.get(role, (Side.NONE,))
    if side in may_be:
        return Side(side)
    if role not in SIDES:
        raise Invalid("SIDE_NOT_HERS", "Only an approver stands on a side.", field=field)
    sides = " or ".join(may_be)
    raise Invalid("SIDE_MISSING", "Say on which side a {role} stands: {sides}.", field=field, role=role.label, sides=sides)


def _check_clusters(role: Role, asked: Asked, cluster_blocks: Mapping[UUID, str]) -> None:
    field = "assignment.cluster_ids"
    if asked.cluster_ids and role is not Role.BLOCK_PROGRAM_MANAGER:
        raise Invalid("CLUSTERS_NOT_HERS", "Only a Block Program Manager is in charge of clusters.", field=field)
    for cluster_id in asked.cluster_ids:
        if cluster_id not in cluster_blocks:
            raise NotFound("CLUSTER_UNKNOWN", "There is no such cluster.", field=field)
        if cluster_blocks[cluster_id] != asked.region:
            raise Invalid("CLUSTERS_ELSEWHERE", "This cluster is of another block.", field=field)


def _check_institutions(caller: Caller, made: Assignment, new: Collection[UUID], known: Iterable[Institution], field: str) -> None:
    """Whether the assignment may be for the institutions that are new in it."""
    if made.institution_ids and made.role not in COMMUNITY:
        raise Invalid("INSTITUTIONS_NOT_HERS", "Only bookkeepers and approvers are mapped to institutions.", field=field)
    check_count(made, field)
    by_id = {one.institution_id: one for one in known}
    block = at_level(made.region, Level.BLOCK)
    for institution_id in sorted(new):
        one = by_id.get(institution_id)
        if one is None or not caller.sees(one.institution_id, one.region):
            raise NotFound("INSTITUTION_UNKNOWN", "There is no such institution, or it has just been made; try again.", field=field)
        if not contains(block, one.region):
            raise Invalid("INSTITUTIONS_ELSEWHERE", "She is mapped to institutions of her own block only.", field=field)
        check_kind(made.role, made.side, one.kind, field)


def check_count(made: Assignment, field: str) -> None:
    if len(made.institution_ids) > INSTITUTIONS_MAX:
        raise Invalid(
            "INSTITUTIONS_TOO_MANY",
            "A user is mapped to at most {most} institutions; an approver of more is mapped to the federation that they belong to.",
            field=field,
            most=INSTITUTIONS_MAX,
        )


def check_kind(role: Role, side: Side, kind: str, field: str) -> None:
    """A bookkeeper is mapped to those whose books she keeps, an approver to federations of her side, or to whom she approves where none is."""
    if kind not in {_KIND[role], side}:
        raise Invalid("INSTITUTIONS_KIND", "A {role} is not mapped to a {kind}.", field=field, role=role.label, kind=kind)


def linked(caller: Caller, user: User, role: str, link: frozenset[UUID], unlink: frozenset[UUID], known: Iterable[Institution]) -> Assignment:
    """One assignment of a user with some institutions more and others less; `known` are those of `link`."""
    held = user.assignment(parse_role(role))
    if held is None:
        raise Conflict("ROLE_NOT_HERS", "She has not this role.", field="role")
    if both := link & unlink:
        raise Invalid("INSTITUTIONS_BOTH", "{count} institutions are to be linked and unlinked; say which.", field="unlink", count=len(both))
    made = replace(held, institution_ids=(held.institution_ids | link) - unlink)
    _check_institutions(caller, made, link - held.institution_ids, known, "link")
    return made


def given(user: User, made: Assignment, here: Here, field: str = "assignment.role") -> User:
    """The user with an assignment, in place of the one that she may have had in that role."""
    apart = here.policy("bookkeeper_ids_apart") and made.role not in user.roles
    if apart and user.roles | {made.role} >= {Role.SHG_BOOKKEEPER, Role.VO_BOOKKEEPER}:
        raise Conflict("ROLES_APART", "In this state the bookkeepers of SHGs and of VOs have user ids of their own.", field=field)
    others = [one for one in user.assignments if one.role != made.role]
    return replace(user, assignments=tuple(sorted([*others, made], key=lambda one: one.role)))


def warnings(assignments: Iterable[Assignment], here: Here) -> list[Refused]:
    """What is done all the same, and should be looked at (R-USR-6)."""
    most = {Role.SHG_BOOKKEEPER: here.policy("bookkeeper_shgs_max"), Role.VO_BOOKKEEPER: here.policy("bookkeeper_vos_max")}
    return [
        Conflict(
            "LOAD_HIGH",
            "She keeps the books of {count} {kind}s; here a bookkeeper has {most} at most.",
            field="institution_ids",
            count=len(one.institution_ids),
            kind=_KIND[one.role],
            most=most[one.role],
        )
        for one in assignments
        if one.role in most and len(one.institution_ids) > most[one.role]
    ]
