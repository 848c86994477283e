"""Kinds of fields: each reads what was said into its one canonical form, or refuses."""

import re
import unicodedata
from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from services.kernel import names
from services.kernel.canonical import Content
from services.kernel.errors import Invalid
from services.kernel.ids import parse_id
from services.kernel.money import check_amount
from services.kernel.month import parse_date
from services.kernel.phone import check_mobile
from services.kernel.region import Level, check_region, level
from services.profiles.rules.form import At, Field, Kind, Needed, as_list, ill_written, is_empty, one_line, read_entries
from services.profiles.rules.image import BYTES_MAX, MEDIA_TYPES

RATE_BASIS_POINTS_MAX = 6000
YES, NO = "YES", "NO"

_WHOLE = re.compile(r"-?[0-9]{1,18}")
_SHA256 = re.compile(r"[0-9a-f]{64}")


def said_text(said: object, at: At) -> str:
    """What was said as text without space around it."""
    if isinstance(said, str):
        return said.strip()
    if isinstance(said, int) and not isinstance(said, bool):
        return str(said)
    raise ill_written(at.path)


def _whole(said: object, at: At) -> int:
    text = said_text(said, at)
    if not _WHOLE.fullmatch(text):
        raise Invalid("NUMBER_INVALID", "This is a whole number.", field=at.path)
    return int(text)


def name(longest: int = names.NAME_LENGTH_MAX) -> Kind:
    return lambda said, at: names.clean_name(said_text(said, at), at.path, longest=longest)


def line(said: object, at: At, longest: int) -> str:
    """One line of free text."""
    written = one_line(unicodedata.normalize("NFC", said_text(said, at)))
    if len(written) > longest:
        raise Invalid("TEXT_TOO_LONG", "This has at most {longest} characters.", field=at.path, longest=longest)
    if any(unicodedata.category(letter) in {"Cc", "Cn", "Co", "Cs"} for letter in written):
        raise Invalid("TEXT_INVALID", "This holds a character that is no letter, digit or sign.", field=at.path)
    return written


def text(longest: int) -> Kind:
    return lambda said, at: line(said, at, longest)


def day(said: object, at: At) -> str:
    return parse_date(said_text(said, at), at.path).isoformat()


def past_day(said: object, at: At) -> str:
    """A day that has come: what has happened, not what is planned."""
    written = day(said, at)
    if written > at.facts.today.isoformat():
        raise Invalid("DATE_IN_FUTURE", "That day has not come yet.", field=at.path)
    return written


def choice(*words: str, also: Mapping[str, str] | None = None) -> Kind:
    """One of a few words on which rules stand. `also` is what sheets say for one."""

    def read(said: object, at: At) -> str:
        given = said_text(said, at).upper()
        chosen = (also or {}).get(given, given)
        if chosen not in words:
            raise Invalid("VALUE_UNKNOWN", "This must be one of: {known}.", field=at.path, known=", ".join(words))
        return chosen

    return read


yes_or_no = choice(YES, NO, also={"Y": YES, "N": NO})


def flag(said: object, at: At) -> Content:
    """YES, or nothing: NO says no more than an empty field."""
    return YES if yes_or_no(said, at) == YES else None


def listed(name: str, also: Mapping[str, str] | None = None) -> Kind:
    """A value of one of the state's lists; one that was retired stays where it is live."""

    def read(said: object, at: At) -> str:
        given = "_".join(said_text(said, at).upper().split())
        code = given if given in at.facts.lists.values[name] else (also or {}).get(given, given)
        kept = at.kept if isinstance(at.kept, Sequence) and not isinstance(at.kept, str) else [at.kept]
        return at.facts.lists.must_know(name, code, at.path, at.facts.today, kept=code if code in kept else "")

    return read


def mobile(said: object, at: At) -> str:
    return check_mobile(said_text(said, at), at.path)


def amount_paise(said: object, at: At) -> int:
    return check_amount(_whole(said, at), at.path)


def count(least: int, most: int) -> Kind:
    def read(said: object, at: At) -> int:
        whole = _whole(said, at)
        if not least <= whole <= most:
            raise Invalid("NUMBER_OUT_OF_RANGE", "This lies between {least} and {most}.", field=at.path, least=least, most=most)
        return whole

    return read


basis_points = count(0, RATE_BASIS_POINTS_MAX)


def record_id(said: object, at: At) -> str:
    """The id of another record."""
    return str(parse_id(said_text(said, at), at.path))


def row_key(said: object, at: At) -> str:
    """The id of a row or an image, which may also be derived from what it is."""
    given = said_text(said, at)
    try:
        key = str(UUID(given))
    except ValueError:
        key = ""
    if not key or key != given.lower():
        raise Invalid("ID_INVALID", "An id is a UUID, written with hyphens.", field=at.path)
    return key


def region(*levels: Level) -> Kind:
    def read(said: object, at: At) -> str:
        path = check_region(said_text(said, at), at.path)
        if level(path) not in levels:
            named = " or ".join(one.name for one in levels)
            raise Invalid("REGION_LEVEL", "This place must be a {level}.", field=at.path, level=named)
        return path

    return read


def image(said: object, at: At) -> Content:
    """The reference to an image that was taken in: id, type, size and hash."""
    if not isinstance(said, Mapping):
        raise ill_written(at.path)
    return dict(read_entries(_IMAGE, said, at.inner("."), {}))


def _sha256(said: object, at: At) -> str:
    digits = said_text(said, at).lower()
    if not _SHA256.fullmatch(digits):
        raise Invalid("HASH_INVALID", "A SHA-256 has 64 hexadecimal digits.", field=at.path)
    return digits


def _media_type(said: object, at: At) -> str:
    media_type = said_text(said, at).lower()
    if media_type not in MEDIA_TYPES:
        raise Invalid("VALUE_UNKNOWN", "This must be one of: {known}.", field=at.path, known=", ".join(MEDIA_TYPES))
    return media_type


_IMAGE = (
    Field("image_id", row_key, needed=Needed.ALWAYS),
    Field("media_type", _media_type, needed=Needed.ALWAYS),
    Field("size_bytes", count(1, BYTES_MAX), needed=Needed.ALWAYS),
    Field("sha256", _sha256, needed=Needed.ALWAYS),
)


def several(kind: Kind, most: int, *, ranked: bool = False) -> Kind:
    """A list of values: ranked ones keep their order, others are a set. A sheet writes them with commas."""

    def read(said: object, at: At) -> Content:
        given = said.split(",") if isinstance(said, str) else as_list(said, at.path)
        if len(given) > most:
            raise Invalid("VALUES_TOO_MANY", "There are at most {most} of these.", field=at.path, most=most)
        values: list[Any] = [kind(one, at.inner(f"[{place}]", at.kept)) for place, one in enumerate(given) if not is_empty(one)]
        if len(set(values)) < len(values):
            raise Invalid("VALUE_TWICE", "Each value stands once.", field=at.path)
        return values if ranked else sorted(values)

    return read


livelihoods = several(listed("LIVELIHOOD"), 3, ranked=True)  # Primary, secondary, tertiary.
