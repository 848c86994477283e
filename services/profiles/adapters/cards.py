"""Digital ids on paper: the QR of one, and cards of many to print, cut and laminate."""

from collections.abc import Iterable
from dataclasses import dataclass
from html import escape

import zxingcpp

LEVEL = "Q"  # A quarter of it may be scratched or under a thumb.
STYLE = """
@page { size: A4; margin: 10mm }
body { font-family: "Noto Sans", "Noto Sans Devanagari", sans-serif; margin: 0 }
.card { box-sizing: border-box; width: 86mm; height: 54mm; padding: 4mm; margin: 2mm; border: 0.3mm solid #888; border-radius: 3mm; float: left;
  page-break-inside: avoid; overflow: hidden }
.card svg { width: 28mm; height: 28mm; float: right; margin-left: 2mm }
.name { font-size: 12pt; font-weight: bold }
.local, .group { font-size: 10pt }
.code { font-size: 13pt; clear: both; letter-spacing: 0.3mm }
"""


@dataclass(frozen=True, slots=True)
class Card:
    """What is printed of one."""

    name: str
    name_local: str
    group: str
    printed: str
    qr_text: str


def qr_svg(text: str) -> str:
    """The QR with its quiet zone, to be put into a page: no prolog, and a size that the page sets."""
    drawn = zxingcpp.create_barcode(text, zxingcpp.BarcodeFormat.QRCode, ec_level=LEVEL).to_svg()
    svg: str = drawn[drawn.index("<svg") :]
    width = svg.split('"', 2)[1]
    return svg.replace("<svg ", f'<svg viewBox="0 0 {width} {width}" ', 1)


def sheet(cards: Iterable[Card], title: str) -> str:
    """A page of HTML that needs nothing from elsewhere."""
    shown = "\n".join(
        f'<div class="card">{qr_svg(one.qr_text)}<div class="name">{escape(one.name)}</div><div class="local">{escape(one.name_local)}</div>'
        f'<div class="group">{escape(one.group)}</div><div class="code">{escape(one.printed)}</div></div>'
        for one in cards
    )
    head = f'<meta charset="utf-8"><title>{escape(title)}</title><style>{STYLE}</style>'
    return f"<!DOCTYPE html>\n<html><head>{head}</head><body>\n{shown}\n</body></html>\n"
