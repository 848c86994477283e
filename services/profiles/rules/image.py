"""Images: what one is by its first bytes, pixels untouched, and which of them a profile names (decision 13)."""

import hashlib
import re
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

from services.kernel.canonical import Content
from services.kernel.errors import Invalid

BYTES_MAX = 1024 * 1024
SIDE_PIXELS_MIN, SIDE_PIXELS_MAX = 32, 8192
# An image that no record names is kept so long: the device hands in images first, and the profile after them.
LOOSE_KEPT = timedelta(days=7)
# So many a user may have put that no record names yet.
LOOSE_MAX = 2000

# What an image's frame tells: how wide and high it is, and where in the file it ends.
Frame = tuple[int, int, int]


@dataclass(frozen=True, slots=True)
class Found:
    """An image as it is known from here on. `sha256` is 32 bytes."""

    media_type: str
    size_bytes: int
    sha256: bytes


def inspect(content: bytes, field: str = "content") -> Found:
    """What these bytes are, or a refusal: JPEG, PNG or WebP, whole as far as its frame tells, of a sane size."""
    if len(content) > BYTES_MAX:
        raise Invalid("IMAGE_TOO_LARGE", "An image has at most {most} KiB.", field=field, most=BYTES_MAX // 1024)
    media_type, read = next(((media_type, read) for media_type, begins, read in _KINDS if content.startswith(begins)), ("", None))
    if read is None:
        raise Invalid("IMAGE_TYPE", "An image is a JPEG, PNG or WebP file.", field=field)
    try:
        *sides, end = read(content)
    except (IndexError, ValueError):
        raise Invalid("IMAGE_BROKEN", "The image is damaged or cut short; take it again.", field=field) from None
    if not all(SIDE_PIXELS_MIN <= side <= SIDE_PIXELS_MAX for side in sides):
        least, most = SIDE_PIXELS_MIN, SIDE_PIXELS_MAX
        raise Invalid("IMAGE_DIMENSIONS", "An image is {least} to {most} pixels wide and high.", field=field, least=least, most=most)
    # What follows could be a file of another kind, which somebody's program opens. Cameras fill up with zeros.
    if content[end:].strip(b"\0"):
        raise Invalid("IMAGE_TRAILED", "Something follows the image in this file; save it as a plain image.", field=field)
    return Found(media_type, len(content), hashlib.sha256(content).digest())


def _number(content: bytes, at: int, size: int, order: Any = "big") -> int:  # noqa: ANN401 - a literal of int.from_bytes
    part = content[at : at + size]
    if len(part) < size:
        raise IndexError
    return int.from_bytes(part, order)


_FRAMES = frozenset({*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC})  # Markers of a frame's header.
_ALONE = frozenset({0x01, *range(0xD0, 0xD9)})  # Markers that nothing belongs to.
_SCAN, _END = 0xDA, 0xD9
# Within a scan FF 00 is a byte of the picture and FF D0 to D7 a place to go on from; any other marker ends it.
_AFTER_SCAN = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")


def _jpeg(content: bytes) -> Frame:
    at, width, height = 2, 0, 0
    while content[at] == 0xFF:
        marker = content[at + 1]
        if marker == _END and width:
            return width, height, at + 2
        if marker in _FRAMES:
            width, height = _number(content, at + 7, 2), _number(content, at + 5, 2)
        if marker == 0xFF:  # A marker may be preceded by any number of these.
            at += 1
        elif marker in _ALONE:
            at += 2
        else:
            length = _number(content, at + 2, 2)
            if length < 2:
                raise ValueError
            at += 2 + length
            if marker == _SCAN:
                found = _AFTER_SCAN.search(content, at)
                if found is None:
                    raise ValueError
                at = found.start()
    raise ValueError


def _png(content: bytes) -> Frame:
    header = content[12:29]
    if content[8:16] != b"\0\0\0\x0dIHDR" or zlib.crc32(header) != _number(content, 29, 4):
        raise ValueError
    at, kind = 8, b""
    while kind != b"IEND":
        kind = content[at + 4 : at + 8]
        at += 12 + _number(content, at, 4)
    if at > len(content):
        raise ValueError
    return _number(content, 16, 4), _number(content, 20, 4), at


def _webp(content: bytes) -> Frame:
    end = _number(content, 4, 4, "little") + 8
    if content[8:12] != b"WEBP" or end > len(content):
        raise ValueError
    chunk = content[12:16]
    if chunk == b"VP8X":
        return _number(content, 24, 3, "little") + 1, _number(content, 27, 3, "little") + 1, end
    # A plain file is this one chunk, and a byte more where its size is odd.
    size = _number(content, 16, 4, "little")
    end = min(end, 20 + size + size % 2)
    if chunk == b"VP8 " and content[23:26] == b"\x9d\x01\x2a":
        return _number(content, 26, 2, "little") & 0x3FFF, _number(content, 28, 2, "little") & 0x3FFF, end
    if chunk == b"VP8L" and content[20] == 0x2F:
        bits = _number(content, 21, 4, "little")
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1, end
    raise ValueError


_KINDS = (("image/jpeg", b"\xff\xd8\xff", _jpeg), ("image/png", b"\x89PNG\r\n\x1a\n", _png), ("image/webp", b"RIFF", _webp))
MEDIA_TYPES = tuple(media_type for media_type, _, _ in _KINDS)


@dataclass(frozen=True, slots=True)
class Named:
    """An image as a profile names it, and where in it: "accounts[0].passbook"."""

    field: str
    said: Mapping[str, Any]


def names_of_images(content: Mapping[str, Content]) -> dict[UUID, Named]:
    """All images that a profile's content names, by id; of one that it names twice, the first place."""
    found: dict[UUID, Named] = {}
    for named in _walk(content, ""):
        try:
            found.setdefault(UUID(named.said["image_id"]), named)
        except ValueError:
            raise Invalid("ID_INVALID", "An id must be a UUID of version 7.", field=f"{named.field}.image_id") from None
    return found


def _walk(part: Content, field: str) -> Iterator[Named]:
    if isinstance(part, Mapping):
        if part.get("image_id"):
            yield Named(field, part)
        for name, inner in part.items():
            yield from _walk(inner, f"{field}.{name}" if field else name)
    elif isinstance(part, Sequence) and not isinstance(part, str):
        for place, inner in enumerate(part):
            yield from _walk(inner, f"{field}[{place}]")


def is_said_right(said: Mapping[str, Any], found: Found) -> bool:
    """Whether a profile says of an image what it is; what it leaves out is not wrong."""
    facts = {"media_type": found.media_type, "size_bytes": found.size_bytes, "sha256": found.sha256.hex()}
    return all(said.get(name) in {None, "", 0, fact} for name, fact in facts.items())
