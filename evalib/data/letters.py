"""Pages of drawn letters whose places are known, to count what a letter's kernel finds."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import matplotlib
import numpy as np
from PIL import Image, ImageDraw, ImageFont

_FINE = 4  # letters are drawn so many times larger, so that they stand at fractions of a pixel


class Line(NamedTuple):
    """Letters of a size in pixels, each turned to the left, in a font that matplotlib brings."""

    text: str
    size: int = 24
    degrees: float = 0
    font: str = "DejaVuSansMono"


class Letter(NamedTuple):
    """A letter that was drawn, the number of its line, and the middle of its ink in pixels."""

    character: str
    line: int
    row: float
    column: float


def draw_page(
    lines: Sequence[Line], *, width: int = 480, leading: int = 34
) -> tuple[np.ndarray, list[Letter]]:
    """Draw lines, with letters at an even pitch of 0.72 of their size.

    Returns the page from 0 for paper to 1 for ink, shape `(leading * len(lines), width)`, and its
    letters without the spaces. A line that is longer than the page is wide raises a ValueError.
    """
    page = Image.new("L", (_FINE * width, _FINE * leading * len(lines)))
    letters = []
    for number, (text, size, degrees, name) in enumerate(lines):
        if 16 + 0.72 * size * len(text) > width:
            raise ValueError(f"expected lines of at most {width} pixels, got {text!r}")
        file = Path(matplotlib.get_data_path(), "fonts", "ttf", f"{name}.ttf")
        font = ImageFont.truetype(file, _FINE * size, layout_engine=ImageFont.Layout.BASIC)
        for place, character in enumerate(text):
            sheet = Image.new("L", (4 * _FINE * size,) * 2)
            # The baseline lies below the middle by half the height of an x.
            start = sheet.width / 2, sheet.height / 2 + 0.27 * font.size
            ImageDraw.Draw(sheet).text(start, character, 255, font, anchor="ms")
            sheet = sheet.rotate(degrees, Image.Resampling.BICUBIC)
            left = round(_FINE * (8 + 0.72 * size * (place + 0.5)) - sheet.width / 2)
            top = round(_FINE * leading * (number + 0.5) - sheet.height / 2)
            page.paste(255, (left, top), sheet)
            if box := sheet.getbbox():  # a space has none
                column, row = (np.add(box[:2], box[2:]) / 2 + (left, top)) / _FINE
                letters.append(Letter(character, number, float(row), float(column)))
    return np.asarray(page.reduce(_FINE)) / 255, letters
