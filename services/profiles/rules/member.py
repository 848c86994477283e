"""What a member must be (domain 2.2, R-MEM-1). Whether she is enrolled already, dedup says."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from uuid import UUID

from services.kernel.canonical import Content
from services.kernel.errors import Invalid
from services.kernel.ids import parse_id
from services.kernel.month import parse_date
from services.kernel.names import clean_name
from services.kernel.phone import check_mobile

AGE_AT_JOINING_MIN_YEARS = 18
BIRTH_YEAR_MIN = 1900

GENDERS = ("FEMALE", "MALE", "TRANSGENDER")
RELATIONS = ("FATHER", "MOTHER", "SPOUSE")
CATEGORIES = ("SC", "ST", "OBC", "OTHER")
HOLDINGS = ("SINGLE", "JOINT", "GROUP")

_IFSC = re.compile(r"[A-Z]{4}0[A-Z0-9]{6}")
_ACCOUNT = re.compile(r"[0-9]{6,18}")
# What sheets say for it.
_ALSO = {"F": "FEMALE", "M": "MALE", "WOMAN": "FEMALE", "HUSBAND": "SPOUSE", "WIFE": "SPOUSE", "GENERAL": "OTHER"}


@dataclass(frozen=True, slots=True)
class Member:
    """What her maker says of her. The names are those of the contract, so that a browser hashes the same content."""

    institution_id: UUID
    name: str
    name_local: str
    gender: str
    born_on: date | None
    birth_year: int
    relation: str
    relation_name: str
    social_category: str
    mobile: str
    account_number: str
    ifsc: str
    account_holding: str
    joined_on: date

    def content(self) -> dict[str, Content]:
        return {
            "institution_id": str(self.institution_id),
            "name": self.name,
            "name_local": self.name_local,
            "gender": self.gender,
            "born_on": self.born_on.isoformat() if self.born_on else "",
            "birth_year": self.birth_year,
            "relation": self.relation,
            "relation_name": self.relation_name,
            "social_category": self.social_category,
            "mobile": self.mobile,
            "account_number": self.account_number,
            "ifsc": self.ifsc,
            "account_holding": self.account_holding,
            "joined_on": self.joined_on.isoformat(),
        }


def institution_id(text: Mapping[str, str]) -> UUID:
    """Which SHG a form says she belongs to."""
    return parse_id(text["institution_id"], "institution_id")


def parse(text: Mapping[str, str], institution_id: UUID, formed_on: date, today: date) -> Member:
    """A member from the texts of a form or a sheet, by the contract's names; or the first refusal."""
    born_on, birth_year = _birth(text["born_on"], text["birth_year"], today)
    account_number, ifsc, account_holding = _account(text["account_number"], text["ifsc"], text["account_holding"])
    made = Member(
        institution_id=institution_id,
        name=clean_name(text["name"], "name"),
        name_local=clean_name(text["name_local"], "name_local", needed=False),
        gender=_one_of(text["gender"], GENDERS, "gender"),
        born_on=born_on,
        birth_year=birth_year,
        relation=_one_of(text["relation"], RELATIONS, "relation"),
        relation_name=clean_name(text["relation_name"], "relation_name"),
        social_category=_one_of(text["social_category"], CATEGORIES, "social_category"),
        mobile=check_mobile(text["mobile"], "mobile", needed=False),
        account_number=account_number,
        ifsc=ifsc,
        account_holding=account_holding,
        joined_on=parse_date(text["joined_on"], "joined_on"),
    )
    _check_joining(made, formed_on, today)
    return made


def _one_of(text: str, known: tuple[str, ...], field: str) -> str:
    word = _ALSO.get(text.strip().upper(), text.strip().upper())
    if word not in known:
        raise Invalid("VALUE_UNKNOWN", "This must be one of: {known}.", field=field, known=", ".join(known))
    return word


def _birth(born_text: str, year_text: str, today: date) -> tuple[date | None, int]:
    """The day and year; the day is None where only the year is known."""
    born_on = parse_date(born_text, "born_on") if born_text else None
    field = "born_on" if born_on else "birth_year"
    if not born_on and year_text in {"", "0"}:
        raise Invalid("BIRTH_MISSING", "Give the date of birth, or the year where the date is not known.", field="born_on")
    if year_text not in {"", "0"} and not (year_text.isascii() and year_text.isdecimal() and len(year_text) == 4):
        raise Invalid("BIRTH_INVALID", "A year of birth has four digits.", field="birth_year")
    year = born_on.year if born_on else int(year_text)
    if born_on and year_text not in {"", "0"} and int(year_text) != year:
        raise Invalid("BIRTH_YEARS_DIFFER", "The year is another one than that of the date of birth.", field="birth_year")
    if year > today.year or (born_on and born_on > today):
        raise Invalid("BIRTH_IN_FUTURE", "Nobody is born in the future.", field=field)
    if year < BIRTH_YEAR_MIN:
        raise Invalid("BIRTH_INVALID", "Nobody alive was born before {least}.", field=field, least=BIRTH_YEAR_MIN)
    return born_on, year


def _account(number_text: str, ifsc_text: str, holding_text: str) -> tuple[str, str, str]:
    """Her bank account, all of it or none of it."""
    number, ifsc = "".join(number_text.split()), "".join(ifsc_text.split()).upper()
    if not number and not ifsc and not holding_text.strip():
        return "", "", ""
    if not _ACCOUNT.fullmatch(number):
        raise Invalid("ACCOUNT_INVALID", "An account number has 6 to 18 digits.", field="account_number")
    if not _IFSC.fullmatch(ifsc):
        raise Invalid("IFSC_INVALID", "An IFSC has four letters, a zero, and six letters or digits.", field="ifsc")
    return number, ifsc, _one_of(holding_text, HOLDINGS, "account_holding")


def _check_joining(member: Member, formed_on: date, today: date) -> None:
    if member.joined_on > today:
        raise Invalid("JOINED_IN_FUTURE", "The day of joining has not come yet.", field="joined_on")
    if member.joined_on < formed_on:
        raise Invalid("JOINED_TOO_EARLY", "Nobody joins an SHG before it was formed.", field="joined_on")
    years = member.joined_on.year - member.birth_year
    born = member.born_on
    if born and (member.joined_on.month, member.joined_on.day) < (born.month, born.day):
        years -= 1
    if years < AGE_AT_JOINING_MIN_YEARS:
        field = "born_on" if born else "birth_year"
        raise Invalid("BIRTH_TOO_YOUNG", "A member is at least {least} years old when she joins.", field=field, least=AGE_AT_JOINING_MIN_YEARS)


def identity_notes(member: Member, birth_year: int, gender: str) -> list[str]:
    """Where her evidence says otherwise than her record: noted for the checker, no reason to refuse (nobody is denied)."""
    notes = []
    if birth_year and birth_year != member.birth_year:
        notes.append("BIRTH_YEAR")
    if gender and gender.upper()[0] != member.gender[0]:
        notes.append("GENDER")
    return notes
