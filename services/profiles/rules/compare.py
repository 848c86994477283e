"""Two records that may be one woman, field by field: what tells two women apart, and nothing besides."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from services.profiles.rules.form import Held, one_line, word
from services.profiles.rules.member import birth_year, default_account, default_phone

LAST_DIGITS = 4

# The fields, and what the codes of the clues that rest on one have in them.
FIELDS = {
    "name": ("NAME",),
    "name_local": (),
    "gender": (),
    "born_on": ("BIRTH",),
    "relation": (),
    "relation_name": ("RELATION",),
    "relation_name_local": (),
    "marital_status": (),
    "joined_on": (),
    "village": ("VILLAGE", "BLOCK"),
    "mobile": ("MOBILE",),
    "account": ("ACCOUNT",),
    "identity": ("IDENTITY",),
    "paper": ("PAPER",),
}
MASKED = frozenset({"mobile", "account"})


class Agreement(StrEnum):
    SAME = "SAME"
    ALIKE = "ALIKE"
    OTHER = "OTHER"
    OPEN = "OPEN"


@dataclass(frozen=True, slots=True)
class Clue:
    """As the duplicate check gave it."""

    code: str
    words: str
    weight_centibits: int


@dataclass(frozen=True, slots=True)
class Side:
    """One of the records."""

    content: Held
    region: str
    identity_token: str
    paper_fingerprint: str = ""


@dataclass(frozen=True, slots=True)
class Field:
    """What both say in one field, as it is shown, and whether they agree."""

    name: str
    one: str
    other: str
    agreement: Agreement
    clue: Clue | None


def clues_of(words: Sequence[str], codes: Sequence[str], weights: Sequence[int]) -> list[Clue]:
    """As they are stored, side by side; of what was found before codes were kept the words alone are."""
    if len(codes) != len(words):
        return [Clue("", one, 0) for one in words]
    return [Clue(*one) for one in zip(codes, words, weights, strict=True)]


def compare(one: Side, other: Side, clues: Sequence[Clue]) -> list[Field]:
    """Every field that one of them says, in a form's order."""
    found = []
    for name, of_codes in FIELDS.items():
        hers, others = _says(one, name), _says(other, name)
        if not hers and not others:
            continue
        clue = next((clue for clue in clues if any(part in clue.code for part in of_codes)), None)
        found.append(Field(name, _shown(name, hers), _shown(name, others), _agreement(hers, others, clue), clue))
    return found


def _says(side: Side, name: str) -> str:
    content = side.content
    if name == "born_on":
        return word(content, name) or str(birth_year(content) or "")
    if name == "mobile":
        return word(default_phone(content) or {}, "number")
    if name == "account":
        account = default_account(content) or {}
        return " ".join(filter(None, (word(account, "ifsc"), word(account, "account_number"))))
    return {"village": side.region, "identity": side.identity_token, "paper": side.paper_fingerprint}.get(name) or word(content, name)


def _shown(name: str, text: str) -> str:
    if name in {"identity", "paper"}:
        return ""
    return text[-LAST_DIGITS:] if name in MASKED else text


def _agreement(one: str, other: str, clue: Clue | None) -> Agreement:
    if not one or not other:
        return Agreement.OPEN
    if one_line(one).casefold() == one_line(other).casefold():
        return Agreement.SAME
    return Agreement.ALIKE if clue and clue.weight_centibits > 0 else Agreement.OTHER
