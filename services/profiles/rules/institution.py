"""What an SHG, a VO or a CLF must be (domain 2.1, 2.3-2.5), and when one may be activated (R-SHG-1)."""

import re
import unicodedata
from collections.abc import Collection, Mapping
from enum import StrEnum

from services.kernel.approval import IN_BOOKS, Status
from services.kernel.caller import Role
from services.kernel.canonical import Content
from services.kernel.errors import Conflict, Forbidden, Invalid
from services.kernel.region import Level, at_level, contains
from services.profiles.rules import kinds, rows, seats
from services.profiles.rules.form import (
    At,
    Facts,
    Field,
    Form,
    Held,
    Needed,
    Notice,
    Rows,
    Said,
    Section,
    goes_with,
    is_empty,
    live,
    one_line,
    rows_of,
    within,
    word,
    words_of,
)
from services.profiles.rules.lists import Lists

NAME_LENGTH_MAX = 200
ACTIVE_MEMBERS_MIN = 5
USUAL_MEMBERS_MIN = 10
USUAL_MEMBERS_MAX = 20
REMARK_LENGTH_MAX = 500
PHONES_MAX = 3
ACCOUNTS_MAX = 10
AREA_MAX = 500
DUTIES_MAX = 100
TAGS_MAX = 10
TENURE_MONTHS_MAX = 60


class Kind(StrEnum):
    SHG = "SHG"
    VO = "VO"
    CLF = "CLF"


LEVEL_OF = {Kind.SHG: Level.VILLAGE, Kind.VO: Level.GP, Kind.CLF: Level.BLOCK}
PARENT_OF = {Kind.SHG: Kind.VO, Kind.VO: Kind.CLF}
MAKER_OF = {Kind.SHG: Role.SHG_BOOKKEEPER, Kind.VO: Role.VO_BOOKKEEPER, Kind.CLF: Role.CLF_BOOKKEEPER}
AREA_OF = {Kind.VO: (Level.GP, Level.VILLAGE), Kind.CLF: (Level.GP,)}

FREQUENCIES = ("WEEKLY", "FORTNIGHTLY", "MONTHLY")
WEEKDAYS = ("MONDAY", "TUESDAY", "WEDNESDAY", "THURSDAY", "FRIDAY", "SATURDAY", "SUNDAY")
# Of a weekday the weeks of the month in which it may be, and of days of the month how many there are.
_WEEKS: Mapping[str, tuple[list[int], ...]] = {"WEEKLY": ([],), "FORTNIGHTLY": ([1, 3], [2, 4]), "MONTHLY": ([1], [2], [3], [4])}
_DAYS = {"FORTNIGHTLY": 2, "MONTHLY": 1}
_TAN = re.compile(r"[A-Z]{4}[0-9]{5}[A-Z]")


def _tan(said: object, at: At) -> str:
    number = kinds.said_text(said, at).upper()
    if not _TAN.fullmatch(number):
        raise Invalid("TAN_INVALID", "A TAN has four letters, five digits and a letter.", field=at.path)
    return number


def _basic(kind: Kind) -> tuple[Field, ...]:
    of_an_shg = (
        Field("type", kinds.choice("REGULAR", "SPECIAL"), needed=Needed.TO_SUBMIT),
        Field("special_tags", kinds.several(kinds.listed("SPECIAL_TAG"), TAGS_MAX)),
        Field("special_other", kinds.text(100)),
    )
    return within(
        Section.BASIC,
        Field("kind", kinds.choice(kind), needed=Needed.ALWAYS),
        Field("name", kinds.name(NAME_LENGTH_MAX), needed=Needed.ALWAYS),
        Field("name_local", kinds.name(NAME_LENGTH_MAX)),
        Field("region", kinds.region(LEVEL_OF[kind]), needed=Needed.ALWAYS),
        Field("formed_on", kinds.past_day, needed=Needed.ALWAYS),
        *(of_an_shg if kind == Kind.SHG else ()),
        Field("origin", kinds.choice("NEW", "REVIVED", "COOPTED"), needed=Needed.TO_SUBMIT),
        Field("revived_on", kinds.past_day),
        Field("coopted_on", kinds.past_day),
        Field("promoted_by", kinds.listed("PROMOTED_BY"), needed=Needed.TO_SUBMIT),
        Field("promoter_name", kinds.name()),
        Field("funding_agency", kinds.name()),
        Field("bookkeeper", kinds.choice("INTERNAL", "EXTERNAL", "NONE"), needed=Needed.TO_SUBMIT),
        Field("bookkeeper_member_id", kinds.record_id),
        Field("bookkeeper_name", kinds.name(60)),
        Field("bookkeeper_mobile", kinds.mobile),
        Field("livelihoods", kinds.livelihoods),
    )


def _terms(kind: Kind) -> tuple[Field, ...]:
    of_a_federation = (Field("financial_intermediation", kinds.yes_or_no, needed=Needed.TO_SUBMIT),)
    return within(
        Section.TERMS,
        Field("election_tenure_months", kinds.count(1, TENURE_MONTHS_MAX)),
        Field("meeting_frequency", kinds.choice(*FREQUENCIES), needed=Needed.TO_SUBMIT),
        Field("meeting_weekday", kinds.choice(*WEEKDAYS)),
        Field("meeting_weeks", kinds.several(kinds.count(1, 4), 2)),
        Field("meeting_days", kinds.several(kinds.count(1, 31), 2)),
        *(of_a_federation if kind != Kind.SHG else ()),
        Field("savings_frequency", kinds.choice(*FREQUENCIES)),
        # Regular saving is what makes a group one (Panchasutra): 0 is no amount, but one that was not said.
        Field("compulsory_savings_paise", kinds.amount_paise),
        Field("savings_rate_basis_points", kinds.basis_points),
        Field("interloaning_rate_basis_points", kinds.basis_points),
        Field("voluntary_savings", kinds.yes_or_no),
        Field("voluntary_rate_basis_points", kinds.basis_points),
    )


# The calendar of what law and bylaws ask of it: what is due on which day, and when it was done (mission P9).
_DUTIES = Rows(
    "duties",
    (
        rows.ROW_ID,
        Field("kind", kinds.listed("DUTY"), needed=Needed.ALWAYS),
        Field("due_on", kinds.day, needed=Needed.ALWAYS),
        Field("done_on", kinds.past_day),
        rows.ENDED_ON,
    ),
    Section.REGISTRATION,
    DUTIES_MAX,
    check=lambda duties, at: rows.none_twice(duties, at, "kind", "due_on"),
)


def _form(kind: Kind) -> Form:
    area = () if kind == Kind.SHG else (Field("area", kinds.several(kinds.region(*AREA_OF[kind]), AREA_MAX)),)
    stands_for = () if kind == Kind.SHG else (seats.STANDS_FOR,)
    return Form(
        (
            *_basic(kind),
            *_terms(kind),
            *within(Section.FEDERATION, Field("parent_id", kinds.record_id), *area),
            *within(
                Section.REGISTRATION,
                Field("registration_number", kinds.text(50)),
                Field("registration_act", kinds.text(100)),
                Field("registered_on", kinds.past_day),
                Field("pan", rows.pan),
                Field("tan", _tan),
                Field("startup_cost_paise", kinds.amount_paise),
            ),
            _DUTIES,
            *within(Section.IMAGES, Field("resolution", kinds.image)),
            rows.ADDRESSES,
            rows.phones(PHONES_MAX, Field("member_id", kinds.record_id)),
            rows.accounts(ACCOUNTS_MAX),
            rows.DOCUMENTS,
            rows.EXTERNAL_IDS,
            seats.seats(*stands_for),
        )
    )


FORM_OF: Mapping[Kind, Form] = {kind: _form(kind) for kind in Kind}
_NAMES = {entry.name for form in FORM_OF.values() for entry in form.entries}


def parse_kind(text: str) -> Kind:
    try:
        return Kind(text.strip().upper())
    except ValueError:
        raise Invalid("KIND_UNKNOWN", "An institution is an SHG, a VO or a CLF.", field="kind") from None


def read(said: Said, facts: Facts, held: Held | None = None, *, complete: bool = True) -> dict[str, Content]:
    """An institution's content by the form of its kind, as Form.read; or the first refusal."""
    kind = parse_kind(str(said.get("kind", "")))
    form = FORM_OF[kind]
    for name in sorted(_NAMES - {entry.name for entry in form.entries}):
        if not is_empty(said.get(name)):
            raise Invalid("FIELD_NOT_OF_KIND", "A {kind} has no such field; leave it empty.", field=name, kind=kind.value)
    content = form.read(said, facts, held, complete=complete)
    _check_answers(content, facts.lists, complete=complete)
    _check_days(content)
    _check_meetings(content, complete=complete)
    _check_area(content)
    return content


def _check_answers(content: Held, lists: Lists, *, complete: bool) -> None:
    """What goes with what."""

    def goes(name: str, answer: str, *, when: bool, needed: bool = True) -> None:
        goes_with(content, name, answer, when=when, complete=complete, needed=needed)

    origin, bookkeeper = word(content, "origin"), word(content, "bookkeeper")
    goes("revived_on", "origin", when=origin == "REVIVED")
    goes("coopted_on", "origin", when=origin == "COOPTED")
    promoted_by = lists.national("PROMOTED_BY", word(content, "promoted_by"))
    if promoted_by == "NRLM" and origin == "COOPTED":
        raise Invalid("ORIGIN_OF_NRLM", "What NRLM itself promotes is new or revived, not co-opted.", field="origin")
    goes("promoter_name", "promoted_by", when=promoted_by != "NRLM", needed=promoted_by == "OTHER")
    goes("funding_agency", "promoted_by", when=promoted_by == "NGO")
    goes("special_tags", "type", when=word(content, "type") == "SPECIAL")
    tags = {lists.national("SPECIAL_TAG", tag) for tag in words_of(content, "special_tags")}
    goes("special_other", "special_tags", when="OTHER" in tags)
    goes("bookkeeper_member_id", "bookkeeper", when=bookkeeper == "INTERNAL")
    goes("bookkeeper_name", "bookkeeper", when=bookkeeper == "EXTERNAL")
    goes("bookkeeper_mobile", "bookkeeper", when=bookkeeper == "EXTERNAL")
    saves = word(content, "kind") == Kind.SHG or word(content, "financial_intermediation") == kinds.YES
    goes("savings_frequency", "financial_intermediation", when=saves)
    goes("compulsory_savings_paise", "financial_intermediation", when=saves)
    goes("voluntary_rate_basis_points", "voluntary_savings", when=word(content, "voluntary_savings") == kinds.YES, needed=False)


def _check_days(content: Held) -> None:
    for name in ("revived_on", "coopted_on", "registered_on"):
        if name in content and word(content, name) < word(content, "formed_on"):
            raise Invalid("BEFORE_FORMATION", "That was not before its formation.", field=name)


def _check_meetings(content: Held, *, complete: bool) -> None:
    """When it meets is said in one of the ways that its frequency has."""
    weeks, days = content.get("meeting_weeks", []), content.get("meeting_days", [])
    has_weekday = "meeting_weekday" in content
    if not complete and not (has_weekday or weeks or days):
        return
    frequency = word(content, "meeting_frequency")
    by_weekday = has_weekday and not days and weeks in _WEEKS.get(frequency, ())
    by_day = not has_weekday and not weeks and isinstance(days, list) and len(days) == _DAYS.get(frequency)
    if not by_weekday and not by_day:
        raise Invalid(
            "MEETING_PATTERN",
            "Weekly: a weekday. Fortnightly: a weekday in weeks 1 and 3 or 2 and 4, or two days of the month. "
            "Monthly: a weekday in one week, or one day of the month.",
            field="meeting_weekday",
        )


def _check_area(content: Held) -> None:
    """What it serves lies in its block, and its own place is served."""
    area, place = words_of(content, "area"), word(content, "region")
    if any(not contains(block(content), served) for served in area):
        raise Invalid("AREA_ELSEWHERE", "A federation serves places of its own block.", field="area")
    if area and not any(contains(served, place) or contains(place, served) for served in area):
        raise Invalid("AREA_WITHOUT_PLACE", "A VO serves its own Gram Panchayat or a village in it; add it.", field="area")


def key(name: str) -> str:
    """One key for a name in any case, spacing and way of composing its letters."""
    return " ".join(unicodedata.normalize("NFC", name).split()).casefold()


def name_key(content: Held) -> str:
    return key(word(content, "name"))


def block(content: Held) -> str:
    return at_level(word(content, "region"), Level.BLOCK)


def check_parent(child: Held, parent: Held | None) -> None:
    """An SHG belongs to a VO and a VO to a CLF of its own block that serves its place (domain 2.5); it may belong to none yet."""
    if "parent_id" not in child:
        return
    if parent is None:
        raise Invalid("PARENT_UNKNOWN", "There is no such VO or CLF.", field="parent_id")
    above, below = parse_kind(word(parent, "kind")), parse_kind(word(child, "kind"))
    if PARENT_OF.get(below) != above:
        raise Invalid("PARENT_KIND", "A {parent} cannot be over a {child}.", field="parent_id", parent=above.value, child=below.value)
    if block(parent) != block(child):
        raise Invalid("PARENT_ELSEWHERE", "Both must lie in the same block.", field="parent_id")
    area = words_of(parent, "area")
    if area and not any(contains(served, word(child, "region")) for served in area):
        raise Invalid("PARENT_ELSEWHERE", "That federation does not serve this place; have its area widened first.", field="parent_id")


def check_maker(kind: Kind, role: Role | None) -> None:
    """Who enters a new institution keeps the books of that kind."""
    if role != MAKER_OF[kind]:
        raise Forbidden("KIND_NOT_YOURS", "A {kind} is entered by its own bookkeeper.", field="kind", kind=kind.value)


def check_place(held: Held, content: Held, *, live: bool) -> None:
    """Until it is live an institution may lie anywhere; then its books and its federation stand in its block."""
    if live and block(held) != block(content):
        raise Conflict(
            "REGION_OTHER_BLOCK",
            "What is live stays in its block: enter it anew in the other one, have its members transferred, and have this one closed.",
            field="region",
        )


def check_members(kind: Kind, members: Mapping[Status, int]) -> None:
    """An SHG is activated after its members; who was rejected does not hold it up."""
    if kind != Kind.SHG:
        return
    if pending := members.get(Status.DRAFT, 0) + members.get(Status.SUBMITTED, 0):
        raise Conflict("MEMBERS_PENDING", "{pending} of its members are not decided yet.", pending=pending)
    if (active := members.get(Status.ACTIVE, 0)) < ACTIVE_MEMBERS_MIN:
        raise Conflict("MEMBERS_TOO_FEW", "An SHG needs {least} active members; this has {active}.", least=ACTIVE_MEMBERS_MIN, active=active)


def check_nobody_left(members: Mapping[Status, int]) -> None:
    """Nobody stays behind in an SHG that is withdrawn but who was handed back, and is her maker's to withdraw."""
    if left := sum(members.get(status, 0) for status in (Status.DRAFT, Status.SUBMITTED, *IN_BOOKS)):
        raise Conflict("MEMBERS_LEFT", "{left} members are entered in it still: withdraw each, or have her transferred.", left=left)


def named_members(content: Held) -> dict[str, str]:
    """The members who act for it, by the field that names each: who sits, and the bookkeeper if she is one of them."""
    sitting = {f"seats.{word(seat, 'row_id')}": word(seat, "member_id") for seat in live(rows_of(content, "seats"))}
    keeper = {"bookkeeper_member_id": word(content, "bookkeeper_member_id")} if "bookkeeper_member_id" in content else {}
    return sitting | keeper


def check_seats(content: Held, active: Collection[str]) -> None:
    """Who acts for an institution is an active member (R-SHG-5): of the SHG itself, or of one below the federation."""
    for field, member_id in named_members(content).items():
        if member_id not in active:
            raise Conflict("SEAT_NOT_ACTIVE", "Whoever holds a seat or keeps the books from inside is an active member.", field=field)


def check_stands_for(content: Held, under: Mapping[str, Collection[str]], children: Collection[str]) -> None:
    """Whoever sits in a federation stands for an institution of its own, in which she is active; `under` says of each what she belongs to."""
    for seat in live(rows_of(content, "seats")):
        child, field = word(seat, "institution_id"), f"seats.{word(seat, 'row_id')}"
        if child and child not in children:
            raise Conflict("SEAT_NOT_BELOW", "What she stands for does not belong to it, or is not live; have it mapped first.", field=field)
        if child and child not in under.get(word(seat, "member_id"), ()):
            raise Conflict("SEAT_NOT_FROM_THERE", "She is no active member of the institution that she stands for; choose another.", field=field)


def check_no_children_left(children: int) -> None:
    if children:
        raise Conflict("CHILDREN_LEFT", "{left} institutions belong to it still: have each mapped to another, or merge it.", left=children)


def warnings(kind: Kind, content: Held, active_members: int, facts: Facts, *, parent_live: bool = True) -> list[Notice]:
    """What a checker should look at before she approves."""
    found = questions(kind, content, facts)
    least = ACTIVE_MEMBERS_MIN if word(content, "type") == "SPECIAL" else USUAL_MEMBERS_MIN
    if kind == Kind.SHG and not least <= active_members <= USUAL_MEMBERS_MAX:
        found.append(Notice("SIZE_UNUSUAL", f"It has {active_members} active members; usual are {least} to {USUAL_MEMBERS_MAX}."))
    if not parent_live:
        found.append(Notice("PARENT_NOT_LIVE", "Its federation is not approved yet: it belongs to it from the day on which both are."))
    return found


def questions(kind: Kind, content: Held, facts: Facts) -> list[Notice]:
    """Of the warnings those that follow from what was handed in alone, and not from what becomes of others meanwhile."""
    found = seats.notices(content, facts)
    if kind == Kind.CLF and "registration_number" not in content:
        found.append(Notice("REGISTRATION_MISSING", "A CLF is usually registered; no registration is named."))
    overdue = sorted(word(duty, "due_on") for duty in live(rows_of(content, "duties")) if "done_on" not in duty)
    overdue = [due_on for due_on in overdue if due_on < facts.today.isoformat()]
    if overdue:
        found.append(Notice("DUTIES_OVERDUE", f"{len(overdue)} of its duties are overdue, the first one since {overdue[0]}."))
    if not live(rows_of(content, "accounts")):
        found.append(Notice("ACCOUNT_MISSING", "It has no bank account here."))
    return found


def check_remark(remark: str, *, needed: bool = True) -> str:
    """What a checker tells the maker when she hands a record back."""
    plain = one_line(remark)
    if needed and not plain:
        raise Invalid("REMARK_MISSING", "Say in a remark what must be put right.", field="remark")
    if len(plain) > REMARK_LENGTH_MAX:
        raise Invalid("REMARK_TOO_LONG", "A remark has at most {most} characters.", field="remark", most=REMARK_LENGTH_MAX)
    return plain
