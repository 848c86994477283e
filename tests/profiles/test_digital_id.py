"""Digital ids: one a record and for ever, read from a card or typed, and linked to statuses alone."""

import re
from html.parser import HTMLParser

import numpy as np
import pytest
import zxingcpp
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageDraw, ImageFilter

from services.kernel import codes
from services.kernel.errors import Refused
from services.profiles.adapters import cards
from services.profiles.adapters.cards import Card
from services.profiles.rules import digital_id

CODES = st.builds(codes.issue, st.sampled_from(sorted(codes.LETTERS.values())), st.just(9), st.integers(1, codes.SERIAL_MAX))


def refusal(scanned):
    with pytest.raises(Refused) as refused:
        digital_id.read(scanned, 9)
    assert refused.value.field == "scanned"
    return refused.value.code


@given(code=CODES)
def test_what_is_printed_scanned_or_typed_is_the_code(code):
    for said in (code, code.lower(), digital_id.qr_text(code), digital_id.printed(code), f" {digital_id.printed(code).replace(' ', '-')} "):
        assert digital_id.read(said, 9) == code


@given(code=CODES, place=st.integers(1, codes.CODE_LENGTH - 1), digit=st.integers(0, 9))
def test_every_wrong_digit_and_every_swapped_pair_is_found(code, place, digit):
    wrong = code[:place] + str(digit) + code[place + 1 :]
    if wrong != code:
        assert refusal(wrong) == "CODE_INVALID"
    if place + 1 < len(code) and code[place] != code[place + 1]:
        assert refusal(code[:place] + code[place + 1] + code[place] + code[place + 2 :]) == "CODE_INVALID"


@pytest.mark.parametrize("said", ["", "LOKOS:", "M", "X090000000012", "M09000000001२", "9" * 100_000, "https://example.in/M090000000012", "🙂"])
def test_what_is_no_id_is_refused(said):
    assert refusal(said) == "CODE_INVALID"


def test_another_states_id_is_told_so():
    assert refusal(codes.issue("M", 10, 1)) == "DIGITAL_ID_ELSEWHERE"


def drawn(svg, millimetres=28, dots_per_inch=200):
    """The QR of an SVG as a printer sets it."""
    side = round(millimetres / 25.4 * dots_per_inch)
    width = int(re.search(r'viewBox="0 0 (\d+)', svg)[1])
    picture = Image.new("L", (side, side), 255)
    pen = ImageDraw.Draw(picture)
    for x, y, wide, high in re.findall(r"M(\d+) (\d+)h(\d+)v(\d+)h-\d+Z", svg):
        left, top, right, bottom = (int(one) * side / width for one in (x, y, int(x) + int(wide), int(y) + int(high)))
        pen.rectangle((left, top, right - 1, bottom - 1), fill=0)
    return picture


@pytest.mark.parametrize("blur", [0, 1, 2])
def test_a_printed_card_is_read_also_when_it_is_blurred_or_scratched(blur):
    code = codes.issue("M", 9, 1)
    picture = drawn(cards.qr_svg(digital_id.qr_text(code))).filter(ImageFilter.GaussianBlur(blur))
    ImageDraw.Draw(picture).line((picture.width // 2, picture.height, picture.width, picture.height // 2), fill=255, width=4)
    [found] = zxingcpp.read_barcodes(np.asarray(picture))
    assert digital_id.read(found.text, 9) == code


class Texts(HTMLParser):
    def __init__(self):
        super().__init__()
        self.tags, self.texts = [], []

    def handle_starttag(self, tag, _attributes):
        self.tags.append(tag)

    def handle_data(self, data):
        self.texts.append(data.strip())


def test_a_sheet_needs_nothing_from_elsewhere_and_a_name_is_only_a_name():
    hostile = "<script>alert(1)</script>\"'&"
    code = codes.issue("M", 9, 7)
    one = Card(hostile, "सीता देवी", "Ujala", digital_id.printed(code), digital_id.qr_text(code))
    html = cards.sheet([one] * 10, hostile)
    read = Texts()
    read.feed(html)
    assert "script" not in read.tags
    assert read.tags.count("svg") == 10
    assert {hostile, "सीता देवी", "Ujala", digital_id.printed(code)} <= set(read.texts)
    assert not re.search(r"(src|href)=|url\(|@import|<!DOCTYPE svg", html)
