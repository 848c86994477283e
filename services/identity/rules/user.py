"""Users: their ids, passwords, places and roles (domain 7.1)."""

import hmac
import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace
from datetime import date
from enum import StrEnum
from uuid import UUID

from services.kernel.caller import COMMUNITY, LEVEL_OF, Role
from services.kernel.errors import Invalid
from services.kernel.region import Level, level

# R-USR-2; which prefix is this instance's own, its settings say.
_USER_ID = re.compile(r"[A-Z]{3}_[A-Z0-9]{3,20}")

PASSWORD_LENGTH_MIN = 10
PASSWORD_LENGTH_MAX = 128
PASSWORD_LETTERS_MIN = 4  # How many different ones.

INSTITUTIONS_MAX = 200  # They travel in every token.
PERSON_LENGTH = 32


class Side(StrEnum):
    """On which side an approver stands (domain 7.1): it is also the kind of the institutions that she is mapped to."""

    NONE = ""
    VO = "VO"
    CLF = "CLF"


class Status(StrEnum):
    """Whether a user may work. A deleted one stays on record, and her user id is never given again."""

    ACTIVE = "ACTIVE"
    INACTIVE = "INACTIVE"
    DELETED = "DELETED"


@dataclass(frozen=True, slots=True)
class Assignment:
    """One role of a user, and where she works in it. `clusters` are those of which a Block Program Manager is in charge."""

    role: Role
    region: str
    institution_ids: frozenset[UUID] = frozenset()
    side: Side = Side.NONE
    cluster_ids: frozenset[UUID] = frozenset()


@dataclass(frozen=True, slots=True)
class User:
    """A user as stored; `version` counts its changes. `email` and `language` are empty where they are not known."""

    user_id: str
    full_name: str
    mobile: str
    assignments: tuple[Assignment, ...]
    made_on: date
    status: Status = Status.ACTIVE
    email: str = ""
    language: str = ""
    version: int = 1

    @property
    def roles(self) -> frozenset[Role]:
        return frozenset(one.role for one in self.assignments)

    def assignment(self, role: str) -> Assignment | None:
        return next((one for one in self.assignments if one.role == role), None)

    def is_what_was_asked(self, wanted: "User") -> bool:
        """Whether the one who asks for `wanted` asks for this very user again."""
        return replace(self, made_on=wanted.made_on, version=wanted.version) == wanted


def is_user_id(text: str) -> bool:
    return _USER_ID.fullmatch(text) is not None


def check_user_id(user_id: str, prefix: str, field: str = "user_id") -> str:
    if not is_user_id(user_id) or not user_id.startswith(prefix):
        raise Invalid("USER_ID_INVALID", "A user id is {prefix} and then 3 to 20 capitals and digits.", field=field, prefix=prefix)
    return user_id


def check_password(password: str, user_id: str, field: str = "password") -> str:
    """The password itself, or a refusal where it is short, plain or says who she is."""
    if not PASSWORD_LENGTH_MIN <= len(password) <= PASSWORD_LENGTH_MAX:
        raise Invalid(
            "PASSWORD_WEAK",
            "A password has {shortest} to {longest} characters.",
            field=field,
            shortest=PASSWORD_LENGTH_MIN,
            longest=PASSWORD_LENGTH_MAX,
        )
    plain = password.casefold()
    if user_id.casefold() in plain or plain == user_id.partition("_")[2].casefold() or len(set(plain)) < PASSWORD_LETTERS_MIN:
        raise Invalid("PASSWORD_WEAK", "This password is easily guessed; take one without the user id in it.", field=field)
    return password


def check_language(language: str, known: Collection[str], field: str = "language") -> str:
    """A language of the state, or none."""
    if language and language not in known:
        raise Invalid("LANGUAGE_UNKNOWN", "This state has these languages: {languages}.", field=field, languages=", ".join(known))
    return language


def parse_role(text: str, among: Iterable[Role] = Role, field: str = "role") -> Role:
    """The role of that name, label or alias, in any case: "SHG_BOOKKEEPER", "SHG Bookkeeper", "BMM"."""
    name = _plain(text)
    for role in among:
        if name in map(_plain, (role, role.label, *role.aliases)):
            return role
    raise Invalid("ROLE_UNKNOWN", "{role} is no role that can be given here.", field=field, role=text[:40])


def _plain(name: str) -> str:
    return " ".join(name.replace("_", " ").split()).casefold()


def check_level(role: Role, region: str, field: str = "region") -> None:
    """Refuse a region of the wrong level: a district's officer sits in a district, the community from the block down."""
    fits = level(region) >= Level.BLOCK if role in COMMUNITY else level(region) == LEVEL_OF[role]
    if not fits:
        raise Invalid("REGION_LEVEL", "A {role} does not work in a {level}.", field=field, role=role.label, level=level(region).name)


def check_institutions(role: Role, institution_ids: list[UUID], field: str = "institution_ids") -> frozenset[UUID]:
    if institution_ids and role not in COMMUNITY:
        raise Invalid("INSTITUTIONS_NOT_HERS", "Only bookkeepers and approvers are mapped to institutions.", field=field)
    if len(institution_ids) > INSTITUTIONS_MAX:
        raise Invalid("INSTITUTIONS_TOO_MANY", "A user is mapped to at most {most} institutions.", field=field, most=INSTITUTIONS_MAX)
    return frozenset(institution_ids)


def person(key: bytes, mobile: str) -> str:
    """A claim that two user ids of one woman share and that does not tell her number (decision 10)."""
    return hmac.new(key, mobile.encode(), "sha256").hexdigest()[:PERSON_LENGTH]
