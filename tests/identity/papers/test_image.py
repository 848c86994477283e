"""The QR on a picture that a stranger hands in: its text, or a refusal, within memory and time."""

import io
import struct
import zlib
from contextlib import suppress
from functools import cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageDraw

from services.identity.adapters import papers
from services.identity.adapters.papers import image
from services.kernel.errors import Invalid, Refused
from tests.identity.papers import made

TEXT = made.secure_qr()


def refusal(content):
    with pytest.raises(Invalid) as refused:
        image.qr_text(content)
    assert str(refused.value)
    return refused.value.code


@pytest.mark.parametrize(("kind", "more"), [("PNG", {}), ("JPEG", {"quality": 60}), ("WEBP", {"quality": 60}), ("MPO", {})])
@pytest.mark.parametrize("turned", [0, 90, 37])
def test_a_qr_is_read_in_each_kind_of_file_and_whichever_way_it_lies(kind, more, turned):
    content = made.file(made.picture(TEXT, 4).rotate(turned, Image.Resampling.BICUBIC, expand=True, fillcolor=255), kind, **more)
    assert image.is_picture(content)
    assert image.qr_text(content) == TEXT


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "I;16"])
def test_a_qr_is_read_whatever_its_colours(mode):
    assert image.qr_text(made.file(made.picture(TEXT).convert(mode))) == TEXT


def test_a_qr_on_nothing_is_read_as_on_paper():
    code = made.picture(TEXT)
    clear = Image.new("LA", code.size, (0, 0))
    clear.putalpha(code.point(lambda grey: 255 - grey))
    assert image.qr_text(made.file(clear)) == TEXT
    white_on_black = made.file(code.point(lambda grey: 255 - grey))
    assert image.qr_text(white_on_black) == TEXT


def beside(*texts):
    codes = [made.picture(text) for text in texts]
    sheet = Image.new("L", (sum(code.width + 40 for code in codes), max(code.height for code in codes) + 40), 255)
    for place, code in enumerate(codes):
        sheet.paste(code, (sum(one.width + 40 for one in codes[:place]), 20))
    return made.file(sheet)


def test_of_several_qrs_nobody_chooses_but_the_same_twice_is_one():
    assert refusal(beside(TEXT, made.secure_qr(name="Gita Testdevi"))) == "QR_SEVERAL"
    assert image.qr_text(beside(TEXT, TEXT)) == TEXT


def test_other_codes_are_not_looked_at():
    import zxingcpp

    bars = zxingcpp.create_barcode("100000000001", zxingcpp.BarcodeFormat.Code128).to_image(scale=3)
    strokes = Image.frombytes("L", bars.shape[::-1], bytes(memoryview(bars))).resize((600, 200))
    assert refusal(made.file(strokes)) == "QR_NOT_FOUND"


def test_what_shows_no_qr_is_refused():
    assert refusal(made.file(Image.new("L", (300, 300), 255))) == "QR_NOT_FOUND"
    assert refusal(made.file(Image.new("L", (1, 1)))) == "QR_NOT_FOUND"
    torn = made.picture(TEXT, 4)
    ImageDraw.Draw(torn).rectangle((0, 0, torn.width, torn.height // 2), fill=255)
    assert refusal(made.file(torn)) == "QR_NOT_FOUND"


# --- Pictures that are traps.


def claiming(width, height):
    """A small PNG whose header says that it is vast."""

    def chunk(name, body):
        return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(bytes(1_000_000))) + chunk(b"IEND", b"")


@cache
def vast():
    """One that truly is: 900 million pixels of white in half a megabyte."""
    return made.file(Image.new("1", (30_000, 30_000), 1), compress_level=1)


@pytest.mark.parametrize(
    "content",
    [
        lambda: claiming(30_000, 30_000),
        lambda: claiming(2**31 - 1, 2**31 - 1),
        lambda: claiming(1, image.SIDE_MAX + 1),
        lambda: claiming(5001, 5000),
        vast,
        lambda: made.file(Image.new("L", (image.SIDE_MAX + 1, 9), 1), "WEBP"),
        lambda: made.file(Image.new("L", (9, image.SIDE_MAX + 1), 1), "JPEG"),
    ],
)
def test_a_picture_larger_than_any_camera_s_is_refused_before_it_is_decoded(content):
    assert refusal(content()) == "QR_IMAGE_TOO_LARGE"


def with_vast_text():
    """A PNG whose comment unpacks to more than a gigabyte."""
    from PIL.PngImagePlugin import PngInfo

    info = PngInfo()
    info.add_text("Comment", "x" * 200_000_000, zip=True)
    return made.file(made.picture(TEXT), pnginfo=info)


@pytest.mark.parametrize(
    "content",
    [
        lambda: b"",
        lambda: b"\x89PNG\r\n\x1a\n",
        lambda: b"RIFF\xff\xff\xff\xffWEBPVP8 ",
        lambda: b"\xff\xd8\xff\xe0" * 1000,
        lambda: made.file(made.picture(TEXT))[:2000],
        lambda: made.file(made.picture(TEXT), "GIF"),
        lambda: made.file(made.picture(TEXT), "BMP"),
        lambda: made.file(made.picture(TEXT), "TIFF"),
        made.photo,
        lambda: b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n",
        with_vast_text,
    ],
)
def test_what_is_no_picture_of_the_three_kinds_is_refused(content):
    assert refusal(content()) == "QR_IMAGE_UNREADABLE"


SEEDS = [made.file(made.picture(made.secure_qr("V2"), 2), kind) for kind in ("PNG", "JPEG", "WEBP")]


@settings(deadline=None, max_examples=150)
@given(st.integers(0, 2**32), st.sampled_from(SEEDS))
def test_a_picture_that_is_changed_is_read_or_refused(seed, content):
    with suppress(Refused):
        assert image.qr_text(made.mutated(content, seed))


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (vast, "QR_IMAGE_TOO_LARGE"),
        (lambda: made.file(Image.new("RGBA", (5000, 5000))), "QR_NOT_FOUND"),  # The largest there may be fits into the child.
        (lambda: made.file(Image.effect_noise((5000, 400), 90), "JPEG"), "QR_NOT_FOUND"),
        (lambda: b"x" * (papers.CONTENT_BYTES_MAX + 1), "EVIDENCE_TOO_LARGE"),
        (lambda: b"", "EVIDENCE_MISSING"),
        (lambda: b"\0" * 1000, "QR_MALFORMED"),
        (with_vast_text, "QR_IMAGE_UNREADABLE"),
        (lambda: beside("100000000001"), "QR_NUMBER_ONLY"),
    ],
)
def test_the_child_says_why_it_refuses(content, code):
    with pytest.raises(Invalid) as refused:
        papers.read_qr(content(), made.trusted())
    assert (refused.value.code, refused.value.field) == (code, "content")


def test_the_child_reads_a_picture():
    one = papers.read_qr(made.file(made.picture(TEXT)), made.trusted(), mobile=made.MOBILE)
    assert (one.name, one.mobile_matches) == ("Sita Testdevi", True)
    assert Image.open(io.BytesIO(one.photo)).size == (60, 60)
