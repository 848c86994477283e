"""One hash for one content, in any language (decision 7). The rules are in docs/canonical.md, the vectors in tests/vectors."""

import hashlib
import json
import re
import unicodedata
from collections.abc import Mapping, Sequence
from typing import Union

Content = Union[Mapping[str, "Content"], Sequence["Content"], str, int, bool, None]

DEPTH_MAX = 64
INTEGER_MIN, INTEGER_MAX = -(2**63), 2**63 - 1
_NAMES = re.compile(r"[A-Za-z0-9_/-]*")
_SURROGATE = re.compile("[\ud800-\udfff]")


def _plain(value: Content, depth: int = 1) -> object:
    """Text in NFC, integers as text (a browser's numbers end at 2^53), what is empty left out of mappings."""
    if isinstance(value, str):
        return value if value.isascii() else _composed(value)
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int):
        if not INTEGER_MIN <= value <= INTEGER_MAX:
            raise TypeError("An integer has at most 64 bits.")
        return str(value)
    if depth > DEPTH_MAX:
        raise TypeError(f"A content is at most {DEPTH_MAX} levels deep.")
    if type(value) is dict or isinstance(value, Mapping):
        return _plain_fields(value, depth)
    if type(value) is list or (isinstance(value, Sequence) and not isinstance(value, bytes | bytearray | memoryview)):
        return [_plain(part, depth + 1) for part in value]
    raise TypeError(type(value))


def _composed(text: str) -> str:
    if _SURROGATE.search(text):
        raise TypeError("Half of a surrogate pair is no text.")
    return unicodedata.normalize("NFC", text)


def _plain_fields(value: Mapping[str, Content], depth: int = 1) -> dict[str, object]:
    if type(value) is not dict and not isinstance(value, Mapping):
        raise TypeError("A content is a mapping.")
    if "" in value or not _NAMES.fullmatch("".join(value)):
        raise TypeError("A field's name is of ASCII letters, digits, _, - and /.")
    fields: dict[str, object] = {}
    for name, part in value.items():
        if type(part) is str and part.isascii():  # Most fields are such text or a number: spare them the call.
            plain: object = part
        elif type(part) is int and INTEGER_MIN <= part <= INTEGER_MAX:
            plain = str(part)
        else:
            plain = _plain(part, depth + 1)  # Before what is empty is left out: 0.0 and b"" are no content.
        if part:
            fields[name] = plain
    return fields


_JSON = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def canonical_text(content: Mapping[str, Content]) -> str:
    return _JSON.encode(_plain_fields(content))


def content_hash(content: Mapping[str, Content]) -> bytes:
    """SHA-256 of the canonical text in UTF-8: 32 bytes."""
    return hashlib.sha256(canonical_text(content).encode()).digest()


def first_difference(one: Mapping[str, Content], other: Mapping[str, Content]) -> str:
    """The name of the first field, in alphabetical order, in which two contents differ; empty where none does."""
    left, right = _plain_fields(one), _plain_fields(other)
    return next((name for name in sorted(left.keys() | right.keys()) if left.get(name) != right.get(name)), "")
