"""Pictures from strangers: the text of the QR on one, and a portrait fit for a screen. Nothing is decoded before its size is known."""

import io

import zxingcpp
from PIL import Image

from services.kernel.errors import Invalid

PIXELS_MAX = 25_000_000
SIDE_MAX = 10_000
PORTRAIT_SIDE_MAX = 640
KINDS = ("PNG", "JPEG", "WEBP")
BEGINNINGS = (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"RIFF")

_QR = zxingcpp.BarcodeFormats(zxingcpp.BarcodeFormat.QRCode)

Image.MAX_IMAGE_PIXELS = None  # How many are too many is said here.
Image.init()  # Nothing can be imported once a picture is there.


def is_picture(content: bytes) -> bool:
    return content.startswith(BEGINNINGS)


def qr_text(content: bytes) -> str:
    """The text of the one QR on a PNG, JPEG or WebP."""
    picture = _grey(content)
    texts = _texts(picture)
    if not texts and picture.width * picture.height * 4 <= PIXELS_MAX:  # Where modules are of 2 or 3 pixels it reads more (docs/evidence.md).
        texts = _texts(picture.resize((picture.width * 2, picture.height * 2), Image.Resampling.BICUBIC))
    if not texts:
        raise Invalid("QR_NOT_FOUND", "No QR can be read on this picture; take it nearer, in good light, and sharp.", field="content")
    if len(texts) > 1:
        raise Invalid("QR_SEVERAL", "There are several QRs on this picture; take the large one of the Aadhaar letter or card alone.", field="content")
    return texts.pop()


def portrait(photo: bytes) -> bytes:
    """A photo that UIDAI has signed, as PNG; empty where it does not decode."""
    try:
        picture = Image.open(io.BytesIO(photo), formats=["JPEG2000", "JPEG"])
        if max(picture.size) > PORTRAIT_SIDE_MAX:
            return b""
        shown = io.BytesIO()
        picture.convert("RGB").save(shown, "PNG")
    except Exception:  # noqa: BLE001 - the library may break on it anywhere, and she is verified without it
        return b""
    return shown.getvalue()


def _texts(picture: Image.Image) -> set[str]:
    return {found.text for found in zxingcpp.read_barcodes(picture, formats=_QR, text_mode=zxingcpp.TextMode.Plain)}


def _grey(content: bytes) -> Image.Image:
    try:
        picture: Image.Image = Image.open(io.BytesIO(content), formats=KINDS)
    except Exception:  # noqa: BLE001 - a stranger's file may break the library anywhere
        raise _unreadable() from None
    if max(picture.size) > SIDE_MAX or picture.width * picture.height > PIXELS_MAX:
        raise Invalid("QR_IMAGE_TOO_LARGE", "This picture is too large; take it with fewer pixels.", field="content")
    try:
        if picture.has_transparency_data:  # A code on nothing is meant to be seen on paper.
            painted = picture.convert("RGBA")
            picture = Image.new("RGBA", painted.size, "white")
            picture.alpha_composite(painted)
        return picture.convert("L")
    except Exception:  # noqa: BLE001 - likewise
        raise _unreadable() from None


def _unreadable() -> Invalid:
    return Invalid("QR_IMAGE_UNREADABLE", "This picture cannot be read; send it as JPEG or PNG.", field="content")
