"""What a member must be (domain 2.2, R-MEM-1). Whether she is enrolled already, dedup says."""

from dataclasses import dataclass
from datetime import date
from uuid import UUID

from services.kernel.canonical import Content
from services.kernel.errors import Invalid
from services.kernel.ids import parse_id
from services.profiles.rules import kinds, rows
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
    day_of,
    goes_with,
    live,
    rows_of,
    whole,
    within,
    word,
)
from services.profiles.rules.institution import Kind
from services.profiles.rules.lists import Lists

AGE_AT_JOINING_MIN_YEARS = 18
AGE_AT_JOINING_USUAL_MAX_YEARS = 60
BIRTH_YEAR_MIN = 1900
PHONES_MAX = 2
ACCOUNTS_MAX = 2
INSURANCES_MAX = 3
CADRE_POSTS_MAX = 5

# Whose disability may keep her from acting for herself: the four of the National Trust Act, 1999, under which a guardian may be
# appointed. Kinds say what may be, not what is, so that the lack of a guardian is shown to the checker and refuses nobody (PROPOSED).
GUARDIAN_USUAL = frozenset({"AUTISM", "CEREBRAL_PALSY", "INTELLECTUAL", "MULTIPLE"})

# What figures are made by, and the list of each: `categories` says it in the nation's words.
_LISTS = {
    "social_category": "SOCIAL_CATEGORY",
    "religion": "RELIGION",
    "marital_status": "MARITAL_STATUS",
    "pip_category": "PIP_CATEGORY",
    "wellbeing_category": "WELLBEING_CATEGORY",
    "disability": "DISABILITY",
    "education": "EDUCATION",
}
# What sheets say for it.
_GENDERS = {"F": "FEMALE", "M": "MALE", "T": "TRANSGENDER", "WOMAN": "FEMALE"}
_RELATIONS = {"F": "FATHER", "M": "MOTHER", "S": "SPOUSE", "HUSBAND": "SPOUSE", "WIFE": "SPOUSE"}


def _birth_year(said: object, at: At) -> int:
    text = kinds.said_text(said, at)
    if not (text.isascii() and text.isdecimal() and len(text) == 4):
        raise Invalid("BIRTH_INVALID", "A year of birth has four digits.", field=at.path)
    _check_born(int(text), str(at.facts.today.year) < text, at.path)
    return int(text)


def _born_on(said: object, at: At) -> str:
    day = kinds.day(said, at)
    _check_born(int(day[:4]), day > at.facts.today.isoformat(), at.path)
    return day


def _check_born(year: int, in_future: bool, path: str) -> None:  # noqa: FBT001 - what was found out, not a mode
    if in_future:
        raise Invalid("BIRTH_IN_FUTURE", "Nobody is born in the future.", field=path)
    if year < BIRTH_YEAR_MIN:
        raise Invalid("BIRTH_INVALID", "Nobody alive was born before {least}.", field=path, least=BIRTH_YEAR_MIN)


def _listed(name: str, also: dict[str, str] | None = None, needed: Needed = Needed.NEVER) -> Field:
    return Field(name, kinds.listed(_LISTS[name], also), needed=needed)


FORM = Form(
    (
        *within(
            Section.BASIC,
            Field("institution_id", kinds.record_id, needed=Needed.ALWAYS),
            Field("name", kinds.name(), needed=Needed.ALWAYS),
            Field("name_local", kinds.name()),
            Field("gender", kinds.choice("FEMALE", "MALE", "TRANSGENDER", also=_GENDERS), needed=Needed.TO_SUBMIT),
            Field("born_on", _born_on),
            Field("birth_year", _birth_year),
            Field("joined_on", kinds.past_day, needed=Needed.TO_SUBMIT),
            Field("replaces_minor", kinds.flag),
            Field("relation", kinds.choice("FATHER", "MOTHER", "SPOUSE", also=_RELATIONS), needed=Needed.TO_SUBMIT),
            Field("relation_name", kinds.name(), needed=Needed.TO_SUBMIT),
            Field("relation_name_local", kinds.name()),
            _listed("marital_status", needed=Needed.TO_SUBMIT),
            _listed("social_category", {"GENERAL": "OTHER"}, Needed.TO_SUBMIT),
            Field("pvtg", kinds.yes_or_no),
            Field("tribe", kinds.text(60)),
            _listed("religion", needed=Needed.TO_SUBMIT),
            Field("minority", kinds.yes_or_no, needed=Needed.TO_SUBMIT),
            Field("bpl", kinds.yes_or_no, needed=Needed.TO_SUBMIT),
            Field("bpl_number", rows.number(30)),
            _listed("pip_category"),
            Field("pip_on", kinds.past_day),
            _listed("wellbeing_category"),
            Field("head_of_family", kinds.listed("HEAD_OF_FAMILY")),
            Field("household_code", rows.number(30)),
            _listed("disability"),
            Field("disability_details", kinds.text(200)),
            Field("guardian_name", kinds.name()),
            Field("guardian_name_local", kinds.name()),
            Field("guardian_relation", kinds.listed("GUARDIAN_RELATION")),
            _listed("education"),
            Field("livelihoods", kinds.livelihoods),
            Field("defaulter_on", kinds.past_day),
            Field("messages_refused", kinds.flag),
        ),
        *within(Section.KYC, Field("no_document_reason", kinds.listed("NO_DOCUMENT"))),
        *within(Section.IMAGES, Field("photo", kinds.image), Field("consent_form", kinds.image)),
        rows.ADDRESSES,
        rows.phones(PHONES_MAX),
        rows.accounts(ACCOUNTS_MAX),
        rows.DOCUMENTS,
        Rows(
            "insurances",
            (rows.ROW_ID, Field("kind", kinds.listed("INSURANCE"), needed=Needed.ALWAYS), Field("valid_to", kinds.day), rows.ENDED_ON),
            Section.INSURANCE,
            INSURANCES_MAX,
        ),
        Rows(
            "cadre_posts",
            (
                rows.ROW_ID,
                Field("role", kinds.listed("CADRE"), needed=Needed.ALWAYS),
                Field("joined_on", kinds.past_day, needed=Needed.ALWAYS),
                rows.ENDED_ON,
            ),
            Section.CADRE,
            CADRE_POSTS_MAX,
            begins="joined_on",
            check=lambda posts, at: rows.none_twice(posts, at, "role"),
        ),
        rows.EXTERNAL_IDS,
    )
)


@dataclass(frozen=True, slots=True)
class InstitutionFacts:
    """What a member's rules need to know of her SHG: REGULAR or SPECIAL (empty: not said yet), and since when one may join it."""

    id: UUID
    formed_on: date
    type: str = ""
    kind: Kind = Kind.SHG
    revived_on: date | None = None

    @property
    def begins_on(self) -> date:
        """A revived SHG begins anew: whoever was in it before joins it again."""
        return self.revived_on or self.formed_on


def institution_id(said: Said) -> UUID:
    """Which SHG a form says she belongs to."""
    return parse_id(str(said.get("institution_id", "")), "institution_id")


def read(said: Said, institution: InstitutionFacts, facts: Facts, held: Held | None = None, *, complete: bool = True) -> dict[str, Content]:
    """A member's content, as Form.read; or the first refusal."""
    if institution.kind != Kind.SHG:
        raise Invalid("INSTITUTION_KIND", "Members belong to an SHG.", field="institution_id")
    content = FORM.read({**said, "institution_id": str(institution.id)}, facts, held, complete=complete)
    _settle_birth(content, complete=complete)
    _check_gender(content, institution, complete=complete)
    _check_joining(content, institution, held)
    _check_answers(content, facts.lists, complete=complete)
    return content


def _settle_birth(content: dict[str, Content], *, complete: bool) -> None:
    """The date where it is known, and the year alone where it is not."""
    if "born_on" not in content:
        if complete and "birth_year" not in content:
            raise Invalid("BIRTH_MISSING", "Give the date of birth, or the year where the date is not known.", field="born_on")
    elif content.pop("birth_year", birth_year(content)) != birth_year(content):
        raise Invalid("BIRTH_YEARS_DIFFER", "The year is another one than that of the date of birth.", field="birth_year")


def _check_gender(content: Held, institution: InstitutionFacts, *, complete: bool) -> None:
    """Special groups may be mixed (R-SHG-2); a draft may come before it is said of which type its SHG is."""
    known = complete or institution.type
    if known and institution.type != "SPECIAL" and content.get("gender", "FEMALE") != "FEMALE":
        raise Invalid("GENDER_NOT_HERE", "Only a special SHG has members who are not women.", field="gender")


def _check_joining(content: Held, institution: InstitutionFacts, held: Held | None) -> None:
    joined_on, defaulter_on = day_of(content, "joined_on"), day_of(content, "defaulter_on")
    if joined_on and joined_on < institution.begins_on:
        raise _joined_too_early("joined_on")
    # Who moved to another SHG brings along what was said of her before.
    news = defaulter_on != day_of(held or {}, "defaulter_on")
    if joined_on and defaulter_on and defaulter_on < joined_on and news:
        raise Invalid("DEFAULTER_TOO_EARLY", "Nobody is a defaulter before she joins.", field="defaulter_on")
    age_years = age_at_joining_years(content)
    if age_years is not None and age_years < AGE_AT_JOINING_MIN_YEARS:
        field = "born_on" if "born_on" in content else "birth_year"
        raise Invalid("BIRTH_TOO_YOUNG", "A member is at least {least} years old when she joins.", field=field, least=AGE_AT_JOINING_MIN_YEARS)


def _joined_too_early(field: str) -> Invalid:
    return Invalid("JOINED_TOO_EARLY", "Nobody joins an SHG before it was formed or revived.", field=field)


def check_move(content: Held, institution: InstitutionFacts, on: date) -> None:
    """Whether one who is live may go to another SHG that day."""
    _check_gender(content, institution, complete=True)
    if on < institution.begins_on:
        raise _joined_too_early("on")


def _check_answers(content: Held, lists: Lists, *, complete: bool) -> None:
    """What goes with what."""

    def goes(name: str, answer: str, *, when: bool, needed: bool = False) -> None:
        goes_with(content, name, answer, when=when, complete=complete, needed=needed)

    tribal = lists.national("SOCIAL_CATEGORY", word(content, "social_category")) == "ST"
    goes("pvtg", "social_category", when=tribal)
    goes("tribe", "social_category", when=tribal)
    goes("bpl_number", "bpl", when=word(content, "bpl") == kinds.YES)
    goes("pip_on", "pip_category", when="pip_category" in content)
    disabled = "disability" in content
    goes("disability_details", "disability", when=disabled)
    goes("guardian_name", "disability", when=disabled, needed="guardian_relation" in content)
    goes("guardian_relation", "disability", when=disabled, needed="guardian_name" in content)
    goes("guardian_name_local", "guardian_name", when="guardian_name" in content)
    goes("no_document_reason", "documents", when=not live(rows_of(content, "documents")))


def birth_year(content: Held) -> int:
    """0 where a draft does not say it."""
    born_on = day_of(content, "born_on")
    return born_on.year if born_on else whole(content, "birth_year")


def age_at_joining_years(content: Held) -> int | None:
    """The age in full years; where the year of birth alone is known, the one that she reached that year."""
    joined_on, born_on, year = day_of(content, "joined_on"), day_of(content, "born_on"), birth_year(content)
    if joined_on is None or not year:
        return None
    had_no_birthday = born_on is not None and (joined_on.month, joined_on.day) < (born_on.month, born_on.day)
    return joined_on.year - year - had_no_birthday


def warnings(content: Held, facts: Facts) -> list[Notice]:
    """What a checker should look at before she approves."""
    found = []
    age_years = age_at_joining_years(content)
    if age_years is not None and age_years > AGE_AT_JOINING_USUAL_MAX_YEARS:
        found.append(Notice("AGE_UNUSUAL", f"She joined at {age_years} years; members are usually {AGE_AT_JOINING_USUAL_MAX_YEARS} at most."))
    disability = facts.lists.national("DISABILITY", word(content, "disability"))
    if disability in GUARDIAN_USUAL and "guardian_name" not in content:
        found.append(Notice("GUARDIAN_MISSING", "With this disability a guardian may have to act for her, and none is named."))
    return found


def categories(content: Held, lists: Lists) -> dict[str, str]:
    """What figures are made by, in the nation's codes, so that states add up; empty where it is not said."""
    return {name: lists.national(listed, word(content, name)) for name, listed in _LISTS.items()}


def default_phone(content: Held) -> Held | None:
    return rows.default(content, "phones")


def default_account(content: Held) -> Held | None:
    return rows.default(content, "accounts")


# A ration card and a job card are a family's.
PERSONAL_DOCUMENTS = frozenset({"VOTER_ID", "PAN", "DRIVING_LICENCE", "PASSPORT"})


def personal_documents(content: Held) -> list[str]:
    """What she shows that nobody else has: the kind, a colon, the number."""
    shown = live(rows_of(content, "documents"))
    return [f"{word(row, 'kind')}:{word(row, 'number')}" for row in shown if word(row, "kind") in PERSONAL_DOCUMENTS]
