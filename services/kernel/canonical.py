"""One hash for one content, in any language (decision 7). The rules are in docs/canonical.md, the vectors in tests/vectors."""

import hashlib
import json
import unicodedata
from collections.abc import Mapping, Sequence
from typing import Union

Content = Union[Mapping[str, "Content"], Sequence["Content"], str, int, bool, None]


def _plain(value: Content) -> object:
    """Text in NFC, integers as text (a browser's numbers end at 2^53), what is empty left out of mappings."""
    if isinstance(value, bool):
        return value
    if isinstance(value, int):
        return str(value)
    if isinstance(value, str):
        return unicodedata.normalize("NFC", value)
    if isinstance(value, Mapping):
        return {key: _plain(part) for key, part in value.items() if part}
    if isinstance(value, Sequence):
        return [_plain(part) for part in value]
    if value is None:
        return None
    raise TypeError(type(value))


def canonical_text(content: Mapping[str, Content]) -> str:
    return json.dumps(_plain(content), sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def content_hash(content: Mapping[str, Content]) -> bytes:
    """SHA-256 of the canonical text in UTF-8: 32 bytes."""
    return hashlib.sha256(canonical_text(content).encode()).digest()


def first_difference(one: Mapping[str, Content], other: Mapping[str, Content]) -> str:
    """The name of the first field, in alphabetical order, in which two contents differ; empty where none does."""
    left, right = _plain(one), _plain(other)
    assert isinstance(left, dict)
    assert isinstance(right, dict)
    return next((key for key in sorted(left.keys() | right.keys()) if left.get(key) != right.get(key)), "")
