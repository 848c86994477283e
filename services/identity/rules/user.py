"""Users: their ids, passwords, places and roles (domain 7.1)."""

import hmac
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import date
from enum import StrEnum
from uuid import UUID

from services.kernel.caller import APPROVERS, COMMUNITY, LEVEL_OF, Caller, Role, may_create
from services.kernel.errors import Conflict, Invalid, NotFound
from services.kernel.geography import Geography
from services.kernel.names import clean_name
from services.kernel.phone import check_mobile
from services.kernel.region import Level, level
from services.kernel.statefile import StateFile

# R-USR-2; which prefix is this instance's own, its settings say.
_USER_ID = re.compile(r"[A-Z]{3}_[A-Z0-9]{3,20}")
_USER_ID_BEGINS = re.compile(r"[A-Z]{1,3}|[A-Z]{3}_[A-Z0-9]{0,20}")

PASSWORD_LENGTH_MIN = 10
PASSWORD_LENGTH_MAX = 128
PASSWORDS_OF_MANY = ("password", "qwertyuiop", "asdfghjkl", "abcdefgh", "iloveyou", "welcome", "bharat", "india", "lokos", "admin")
PASSWORD_LETTERS_MIN = 4  # How many different ones.

INSTITUTIONS_MAX = 200  # They travel in every token.
PERSON_LENGTH = 32
EMAIL_LENGTH_MAX = 254
REASON_LENGTH_MAX = 200

_EMAIL = re.compile(r"[A-Za-z0-9._%+'-]{1,64}@[A-Za-z0-9-]{1,63}(?:\.[A-Za-z0-9-]{1,63})+")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]+")


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


NOT_DELETED = frozenset(Status) - {Status.DELETED}


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


@dataclass(frozen=True, slots=True)
class Here:
    """An instance on a day: its places, and what its state's file says."""

    state: StateFile
    geography: Geography
    today: date

    def policy(self, name: str) -> int:
        return self.state.policies.value(name, self.today)


@dataclass(frozen=True, slots=True)
class Search:
    """Whom a list shows: users with one role that fits all of it. `roles` are those that do, each on its sides; None: any."""

    regions: tuple[str, ...]
    roles: Mapping[Role, frozenset[Side]] | None = None
    user_id_begins: str = ""
    mobile: str = ""
    statuses: frozenset[Status] = NOT_DELETED


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
    of_many = plain.isdecimal() or plain.rstrip("0123456789!@#$%&*._- ") in PASSWORDS_OF_MANY
    if of_many or user_id.casefold() in plain or plain == user_id.partition("_")[2].casefold() or len(set(plain)) < PASSWORD_LETTERS_MIN:
        raise Invalid("PASSWORD_WEAK", "This password is easily guessed; take one of several words, without the user id in it.", field=field)
    return password


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


def check_email(email: str, field: str = "email") -> str:
    """The address itself; empty where she has none."""
    if email and (len(email) > EMAIL_LENGTH_MAX or not _EMAIL.fullmatch(email)):
        raise Invalid("EMAIL_INVALID", "This is no mail address, as name@example.org is.", field=field)
    return email


def check_language(language: str, here: Here, field: str = "language") -> str:
    """The language itself; empty where she has chosen none."""
    if language and language not in here.state.languages:
        known = ", ".join(here.state.languages)
        raise Invalid("LANGUAGE_UNKNOWN", "The languages here are: {known}.", field=field, known=known)
    return language


def check_reason(reason: str) -> str:
    """The reason on one line."""
    if len(reason) > REASON_LENGTH_MAX:
        raise Invalid("REASON_TOO_LONG", "A reason has at most {most} characters.", field="reason", most=REASON_LENGTH_MAX)
    said = " ".join(_CONTROL.sub(" ", reason).split())
    if not said:
        raise Invalid("REASON_MISSING", "Say why.", field="reason")
    return said


def edited(user: User, here: Here, given: Mapping[str, str]) -> User:
    """The user with those of her name, mobile, mail address and language that are given."""
    return replace(
        user,
        full_name=clean_name(given["full_name"], "full_name") if "full_name" in given else user.full_name,
        mobile=check_mobile(given["mobile"], "mobile") if "mobile" in given else user.mobile,
        email=check_email(given["email"]) if "email" in given else user.email,
        language=check_language(given["language"], here) if "language" in given else user.language,
    )


def must_be_user_id(user_id: str) -> str:
    """The id of somebody who may be there."""
    if not is_user_id(user_id):
        raise unknown_user()
    return user_id


def unknown_user() -> NotFound:
    """The same where there is none and where she works outside the caller's region."""
    return NotFound("USER_UNKNOWN", "There is no such user in your region.", field="user_id")


def must_manage(caller: Caller, user: User | None) -> User:
    """The user, whom the caller may change and stop: she may create each of her roles, and sees each of her regions."""
    seen = must_see(caller, user)
    may_create(caller.role, sorted(seen.roles))
    for one in seen.assignments:
        caller.must_see_region(one.region, "user_id")
    return seen


def as_seen(caller: Caller, user: User) -> User:
    """The user with those of her assignments that lie in the caller's sight."""
    return replace(user, assignments=tuple(one for one in user.assignments if caller.sees_region(one.region)))


def must_see(caller: Caller, user: User | None) -> User:
    if user is None or not any(caller.sees_region(one.region) for one in user.assignments):
        raise unknown_user()
    return user


def must_not_be_deleted(user: User) -> None:
    if user.status is Status.DELETED:
        raise Conflict("USER_DELETED", "The user {user_id} is deleted for ever; make another one.", field="user_id", user_id=user.user_id)


def without(user: User, role: Role) -> User:
    """The user without a role; what she has not is not taken."""
    left = tuple(one for one in user.assignments if one.role != role)
    if not left:
        raise Conflict("ROLE_LAST", "This is her last role; make her inactive instead.", field="role")
    return replace(user, assignments=left)


_BY_CATEGORY: dict[str, dict[Role, frozenset[Side]]] = {
    **{
        category: {role: frozenset({Side.NONE}) for role, depth in LEVEL_OF.items() if depth == Level[name]}
        for category, name in (("NATIONAL", "NATION"), ("STATE", "STATE"), ("DISTRICT", "DISTRICT"), ("BLOCK", "BLOCK"))
    },
    "SHG": {Role.SHG_BOOKKEEPER: frozenset({Side.NONE})},
    "VO": {Role.VO_BOOKKEEPER: frozenset({Side.NONE}), Role.SHG_TRANS_APPROVER: frozenset({Side.VO})},
    "CLF": {Role.CLF_BOOKKEEPER: frozenset({Side.NONE}), **dict.fromkeys(sorted(APPROVERS), frozenset({Side.CLF}))},
}


def search(caller: Caller, region: str, category: str, role: str, user_id_or_mobile: str, status: Status | None) -> Search:
    """What a list of users is narrowed to (domain 7.1, R-USR-5); an empty filter does not narrow."""
    if region:
        caller.must_see_region(region)
    roles: Mapping[Role, frozenset[Side]] | None = None
    if category:
        if category not in _BY_CATEGORY:
            known = ", ".join(_BY_CATEGORY)
            raise Invalid("CATEGORY_UNKNOWN", "{category} is no category; these are: {known}.", field="category", category=category[:20], known=known)
        roles = _BY_CATEGORY[category]
    if role:
        wanted = parse_role(role)
        roles = {wanted: frozenset(Side) if roles is None else roles.get(wanted, frozenset())}
    typed = user_id_or_mobile.strip().upper()
    is_mobile = bool(typed) and not _USER_ID_BEGINS.fullmatch(typed)
    return Search(
        (region,) if region else caller.regions,
        roles,
        "" if is_mobile else typed,
        check_mobile(typed, "user_id_or_mobile") if is_mobile else "",
        frozenset({status}) if status else NOT_DELETED,
    )


def person(key: bytes, mobile: str) -> str:
    """A claim that two user ids of one woman share and that does not tell her number (decision 10)."""
    return hmac.new(key, mobile.encode(), "sha256").hexdigest()[:PERSON_LENGTH]
