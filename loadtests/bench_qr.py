"""How many dense QRs are read from pictures that were taken badly, and how long that takes: python -m loadtests.bench_qr [--codes 20]

Codes as dense as a Secure QR is, at 2 to 6 pixels a module, each spoilt in one way, and in all of them a little. A picture goes through what the
service reads pictures with, in this process.
"""

import argparse
import io
import random
import sys
import time
from collections.abc import Callable
from statistics import median

import zxingcpp
from PIL import Image, ImageChops, ImageFilter

from services.identity.adapters.papers import image
from services.kernel.errors import Refused

SCALES = (2, 3, 4, 6)
DIGITS = (2950, 3300)  # Of a Secure QR: version 26 at level L, 30 at M.
MARGIN = 60


def code(dice: random.Random) -> str:
    """As many digits as a Secure QR has."""
    return "".join(dice.choices("0123456789", k=dice.randint(*DIGITS)))


def drawn(text: str, scale: int, level: str) -> Image.Image:
    """The code on white paper, with some of the paper around it."""
    made = zxingcpp.create_barcode(text, zxingcpp.BarcodeFormat.QRCode, ec_level=level).to_image(scale=scale)
    rows, columns = made.shape
    paper = Image.new("L", (columns + 2 * MARGIN, rows + 2 * MARGIN), 255)
    paper.paste(Image.frombytes("L", (columns, rows), bytes(memoryview(made))), (MARGIN, MARGIN))  # type: ignore[arg-type]  # it has a buffer
    return paper


def noisy(picture: Image.Image, sigma: float) -> Image.Image:
    """Grain around what was there."""
    return ImageChops.add(picture, Image.effect_noise(picture.size, sigma), offset=-128)


def tilted(picture: Image.Image, share: float) -> Image.Image:
    """Seen from one side: the upper edge is shorter by that share at either end, the left one too."""
    width, height = picture.size
    x, y = width * share, height * share
    return picture.transform(
        picture.size,
        Image.Transform.QUAD,
        (-x, -y, -x / 2, height + y / 2, width + x, height, width + x / 2, 0),
        Image.Resampling.BICUBIC,
        fillcolor=255,
    )


def turned(picture: Image.Image, degrees: float) -> Image.Image:
    return picture.rotate(degrees, Image.Resampling.BICUBIC, expand=True, fillcolor=255)


def pale(picture: Image.Image, darkest: int, lightest: int) -> Image.Image:
    return picture.point(lambda grey: darkest + grey * (lightest - darkest) / 255)


def shaded(picture: Image.Image) -> Image.Image:
    """Light from one side."""
    light = Image.linear_gradient("L").rotate(90).resize(picture.size)
    return ImageChops.multiply(picture, pale(light, 120, 255))


def by_phone(picture: Image.Image) -> Image.Image:
    """A little of all: from one side, turned, shaded, pale, not quite sharp, with grain."""
    seen = turned(tilted(picture, 0.03), 7)
    return noisy(pale(shaded(seen), 30, 220).filter(ImageFilter.GaussianBlur(0.8)), 10)


def jpeg(picture: Image.Image, quality: int) -> bytes:
    file = io.BytesIO()
    picture.save(file, "JPEG", quality=quality)
    return file.getvalue()


def png(picture: Image.Image) -> bytes:
    file = io.BytesIO()
    picture.save(file, "PNG", compress_level=1)
    return file.getvalue()


SPOILT: dict[str, Callable[[Image.Image], bytes]] = {
    "as drawn": png,
    "blur 0.8 px": lambda picture: png(picture.filter(ImageFilter.GaussianBlur(0.8))),
    "blur 1.2 px": lambda picture: png(picture.filter(ImageFilter.GaussianBlur(1.2))),
    "noise 40": lambda picture: png(noisy(picture, 40)),
    "perspective 5 %": lambda picture: png(tilted(picture, 0.05)),
    "turned by 45": lambda picture: png(turned(picture, 45)),
    "contrast 100-155": lambda picture: png(pale(picture, 100, 155)),
    "JPEG 30": lambda picture: jpeg(picture, 30),
    "as by a phone": lambda picture: jpeg(by_phone(picture), 60),
}


def tried(spoil: Callable[[Image.Image], bytes], scale: int, codes: int) -> tuple[float, float]:
    """The share that is read, and the median milliseconds for one, read or not."""
    dice, read, took = random.Random(scale), 0, []  # noqa: S311 - the same codes each time
    for number in range(codes):
        text = code(dice)
        content = spoil(drawn(text, scale, "LM"[number % 2]))
        begun = time.perf_counter()
        try:
            found = image.qr_text(content)
        except Refused:
            found = ""
        took.append((time.perf_counter() - begun) * 1000)
        assert found in ("", text), "what is read is right"
        read += found == text
    return read / codes, median(took)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m loadtests.bench_qr", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--codes", type=int, default=20, help="in each cell of the table; half at level L, half at M")
    codes = parser.parse_args().codes
    sys.stdout.write(f"| {'share read, median ms':21} | {' | '.join(f'{scale} px a module' for scale in SCALES)} |\n|---|{'---|' * len(SCALES)}\n")
    for name, spoil in SPOILT.items():
        cells = [tried(spoil, scale, codes) for scale in SCALES]
        sys.stdout.write(f"| {name:21} | {' | '.join(f'{share:6.2f}, {took:3.0f} ms' for share, took in cells)} |\n")


if __name__ == "__main__":
    main()
