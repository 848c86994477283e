"""The rows that members and institutions both have: addresses, phones, bank accounts, documents, ids in other systems (domain 2.6)."""

import re
import unicodedata
from collections.abc import Sequence

from services.kernel.codes import is_checked
from services.kernel.errors import Invalid
from services.profiles.rules import kinds
from services.profiles.rules.account import check_ifsc, check_number
from services.profiles.rules.form import At, Field, Held, Kind, Needed, Rows, Section, live, rows_of, word

ADDRESSES_MAX = 3
DOCUMENTS_MAX = 10
EXTERNAL_IDS_MAX = 3

_PINCODE = re.compile(r"[1-9][0-9]{5}")
_PAN = re.compile(r"[A-Z]{5}[0-9]{4}[A-Z]")
_LIKE_AADHAAR = re.compile(r"[2-9][0-9]{11}")
# By national code, loosely: states and years differ. What is not here may have any number.
_DOCUMENTS = {
    "VOTER_ID": re.compile(r"[A-Z]{2,3}[A-Z0-9/]{6,17}"),
    "PAN": _PAN,
    "RATION_CARD": re.compile(r"[A-Z0-9/-]{6,25}"),
    "DRIVING_LICENCE": re.compile(r"[A-Z]{2}[A-Z0-9/-]{6,18}"),
    "PASSPORT": re.compile(r"[A-Z][0-9]{7}"),
}

ROW_ID = Field("row_id", kinds.row_key, needed=Needed.ALWAYS)
ENDED_ON = Field("ended_on", kinds.past_day)


def pan(said: object, at: At) -> str:
    number = _closed_up(said, at)
    if not _PAN.fullmatch(number):
        raise Invalid("PAN_INVALID", "A PAN has five letters, four digits and a letter.", field=at.path)
    return number


def number(longest: int) -> Kind:
    """A number on somebody's paper, in capitals and closed up; but never one that can be an Aadhaar number."""

    def read(said: object, at: At) -> str:
        closed_up = "".join(kinds.line(said, at, longest).upper().split())
        written = "".join(str(unicodedata.decimal(sign)) if sign.isdecimal() else sign for sign in closed_up)  # Of any script.
        digits = "".join(filter(str.isalnum, written))
        if _LIKE_AADHAAR.fullmatch(digits) and is_checked(digits):
            # Of other numbers of twelve digits one in twelve looks like one too; hence the way out.
            raise Invalid(
                "NUMBER_LIKE_AADHAAR",
                "This can be an Aadhaar number, which e-KYC alone may keep: leave it out; if it is another, write letters before it, as RC.",
                field=at.path,
            )
        return written

    return read


def _closed_up(said: object, at: At) -> str:
    return "".join(kinds.said_text(said, at).split()).upper()


def _pincode(said: object, at: At) -> str:
    digits = _closed_up(said, at)
    if not _PINCODE.fullmatch(digits):
        raise Invalid("PINCODE_INVALID", "A PIN code has six digits and does not begin with 0.", field=at.path)
    return digits


def _ifsc(said: object, at: At) -> str:
    return check_ifsc(kinds.said_text(said, at), at.path)


def _account_number(said: object, at: At) -> str:
    return check_number(kinds.said_text(said, at), at.path)


def none_twice(rows: Sequence[Held], at: At, *names: str) -> None:
    """Refuse the second of two rows that have not ended and agree in these fields."""
    seen = set()
    for place, row in enumerate(rows):
        said = tuple(word(row, name) for name in names)
        if "ended_on" not in row:
            if said in seen:
                raise Invalid("ROW_TWICE", "Another row says the same; end one of them.", field=f"{at.path}[{place}].{names[-1]}")
            seen.add(said)


def _one_default(rows: Sequence[Held], at: At) -> None:
    current = live(rows)
    if current and sum("is_default" in row for row in current) != 1:
        raise Invalid("DEFAULT_NOT_ONE", "Of those that have not ended exactly one is the default.", field=at.path)


def default(content: Held, name: str) -> Held | None:
    """The phone or account that counts; None where there is none."""
    return next((row for row in live(rows_of(content, name)) if "is_default" in row), None)


def _check_phones(rows: Sequence[Held], at: At) -> None:
    none_twice(rows, at, "number")
    _one_default(rows, at)


def _check_accounts(rows: Sequence[Held], at: At) -> None:
    none_twice(rows, at, "ifsc", "account_number")
    _one_default(rows, at)


def _check_documents(rows: Sequence[Held], at: At) -> None:
    none_twice(rows, at, "kind", "number")
    for place, row in enumerate(rows):
        shape = _DOCUMENTS.get(at.facts.lists.national("DOCUMENT", word(row, "kind")))
        if shape and not shape.fullmatch(word(row, "number")):
            raise Invalid("DOCUMENT_INVALID", "This is no number of such a document; see what is written on it.", field=f"{at.path}[{place}].number")
        if "valid_to" in row and word(row, "valid_to") < word(row, "valid_from"):
            raise Invalid("ENDED_TOO_EARLY", "The last day lies before the first.", field=f"{at.path}[{place}].valid_to")


def _check_external_ids(rows: Sequence[Held], at: At) -> None:
    none_twice(rows, at, "system")


ADDRESSES = Rows(
    "addresses",
    (
        ROW_ID,
        Field("kind", kinds.listed("ADDRESS_KIND"), needed=Needed.ALWAYS),
        Field("area", kinds.choice("RURAL", "URBAN")),
        Field("line_1", kinds.text(100), needed=Needed.ALWAYS),
        Field("line_2", kinds.text(100)),
        Field("pincode", _pincode),
        ENDED_ON,
    ),
    Section.ADDRESS,
    ADDRESSES_MAX,
)


def phones(most: int, *whose: Field) -> Rows:
    """`whose` is the field of an institution's that says which member's phone it is."""
    return Rows(
        "phones",
        (
            ROW_ID,
            Field("number", kinds.mobile, needed=Needed.ALWAYS),
            Field("owner", kinds.listed("PHONE_OWNER")),
            *whose,
            Field("is_default", kinds.flag),
            ENDED_ON,
        ),
        Section.PHONE,
        most,
        check=_check_phones,
    )


def accounts(most: int) -> Rows:
    return Rows(
        "accounts",
        (
            ROW_ID,
            Field("holder_name", kinds.name(60)),  # As in the passbook; empty: as in the profile.
            Field("ifsc", _ifsc, needed=Needed.ALWAYS),
            Field("account_number", _account_number, needed=Needed.ALWAYS),
            Field("holding", kinds.choice("SINGLE", "JOINT", "GROUP"), needed=Needed.ALWAYS),
            Field("opened_on", kinds.past_day),
            Field("linked_on", kinds.past_day),
            Field("passbook", kinds.image),
            Field("is_default", kinds.flag),
            ENDED_ON,
        ),
        Section.BANK,
        most,
        begins="opened_on",
        check=_check_accounts,
    )


DOCUMENTS = Rows(
    "documents",
    (
        ROW_ID,
        Field("kind", kinds.listed("DOCUMENT"), needed=Needed.ALWAYS),
        Field("number", number(50), needed=Needed.ALWAYS),
        Field("valid_from", kinds.past_day),
        Field("valid_to", kinds.day),
        Field("front", kinds.image),
        Field("rear", kinds.image),
        ENDED_ON,
    ),
    Section.KYC,
    DOCUMENTS_MAX,
    begins="valid_from",
    check=_check_documents,
)
EXTERNAL_IDS = Rows(
    "external_ids",
    (
        ROW_ID,
        Field("system", kinds.listed("EXTERNAL_SYSTEM"), needed=Needed.ALWAYS),
        Field("value", number(50), needed=Needed.ALWAYS),
        Field("valid_from", kinds.past_day),
        ENDED_ON,
    ),
    Section.EXTERNAL_ID,
    EXTERNAL_IDS_MAX,
    begins="valid_from",
    check=_check_external_ids,
)
