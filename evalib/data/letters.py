"""Pages of drawn letters whose places are known, to count what a letter's kernel finds."""

import dataclasses
import functools
from collections.abc import Sequence
from typing import Literal

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.patches import PathPatch
from matplotlib.path import Path
from matplotlib.textpath import TextPath
from matplotlib.transforms import Affine2D


@dataclasses.dataclass(frozen=True)
class Line:
    """A line of letters to draw: what, how large in pixels, and in which of matplotlib's fonts.

    Attributes:
        text: the letters.
        size: the font's size in pixels.
        turn: by how many degrees each letter is turned to the left.
        family, style, weight: the font, as matplotlib names it.
    """

    text: str
    size: float = 24
    turn: float = 0
    family: str = "DejaVu Sans Mono"
    style: Literal["normal", "italic", "oblique"] = "normal"
    weight: str = "normal"


@dataclasses.dataclass(frozen=True)
class Letter:
    """A letter that was drawn, the number of its line, and the pixel in its middle."""

    character: str
    line: int
    row: float
    column: float


def draw_page(
    lines: Sequence[Line], *, width: int = 480, leading: int = 34
) -> tuple[np.ndarray, list[Letter]]:
    """Draw lines of letters whose places are known.

    Letters stand at an even pitch of 0.72 of their size. That is seldom a whole number of pixels,
    so that the same letter is never drawn quite the same.

    Args:
        lines: from top to bottom.
        width: of the page in pixels.
        leading: from line to line in pixels.

    Returns:
        The page as float64 from 0 for paper to 1 for ink, shape
        `(leading * len(lines), width)`, and its letters, spaces left out.

    Raises:
        ValueError: a line is longer than the page is wide.
    """
    height = leading * len(lines)
    figure = Figure(figsize=(width / 100, height / 100), dpi=100)
    canvas = FigureCanvasAgg(figure)
    axes = figure.add_axes((0, 0, 1, 1), xlim=(0, width), ylim=(height, 0))
    axes.set_axis_off()
    letters = []
    for number, line in enumerate(lines):
        pitch, margin = 0.72 * line.size, 8
        if 2 * margin + pitch * len(line.text) > width:
            raise ValueError(f"expected lines of at most {width} pixels, got {line.text!r}")
        for place, character in enumerate(line.text):
            if character == " ":
                continue
            middle = margin + pitch * (place + 0.5), leading * (number + 0.5)
            outline = _outline(character, line).transformed(Affine2D().translate(*middle))
            axes.add_patch(PathPatch(outline, facecolor="black", linewidth=0))
            box = outline.get_extents()
            letters.append(Letter(character, number, (box.y0 + box.y1) / 2, (box.x0 + box.x1) / 2))
    canvas.draw()
    return 1 - np.asarray(canvas.buffer_rgba())[..., 0] / 255, letters


@functools.lru_cache(maxsize=1024)
def _outline(character: str, line: Line) -> Path:
    """A letter's outline, around the middle of its width and of the height of an x."""
    font = FontProperties(family=line.family, style=line.style, weight=line.weight)
    path = TextPath((0, 0), character, size=line.size, prop=font)
    box = path.get_extents()
    moves = Affine2D().translate(-(box.x0 + box.x1) / 2, -0.27 * line.size)
    # Rows count downward.
    return path.transformed(moves.rotate_deg(line.turn).scale(1, -1))
