"""The figures about what channels look for."""

import math
from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure

from evalib.plots.style import draw_picture, exact_grid

Feature = tuple[str, np.ndarray, np.ndarray]


def show_features(rows: Mapping[str, Sequence[Feature]], *, side: int = 96) -> Figure:
    """Draw, a row a layer, what its channels look for, each beside a part of a photograph.

    Args:
        rows: label to as many features in each row: a title, the synthetic picture and the part of
            a photograph, float of shape `(height, width, 3)` from 0 to 1. Pictures may differ in
            size.
        side: height and width of a picture in pixels of the figure.
    """
    pairs = len(next(iter(rows.values())))
    figure, grid = exact_grid(len(rows), 2 * pairs, side, side, left=34, gap=20)
    for line, (label, features) in zip(grid, rows.items(), strict=True):
        line[0].set_ylabel(label, fontsize=8)
        for number, (title, picture, part) in enumerate(features):
            left, right = line[2 * number : 2 * number + 2]
            draw_picture(left, _enlarged(picture, side))
            draw_picture(right, _enlarged(part, side))
            left.set_title(title, fontsize=8)
    for right in grid[0, 1::2]:
        right.set_title("in a photograph", fontsize=8)
    return figure


def show_feature_rows(rows: Mapping[str, np.ndarray], titles: Sequence[str]) -> Figure:
    """Draw color pictures of one size in rows with equal columns, pixel by pixel.

    Args:
        rows: label to float of shape `(n, height, width, 3)` from 0 to 1.
        titles: one for each of the `n` columns.
    """
    height, width = next(iter(rows.values())).shape[1:3]
    figure, grid = exact_grid(len(rows), len(titles), height, width, left=24)
    for line, (label, pictures) in zip(grid, rows.items(), strict=True):
        line[0].set_ylabel(label, fontsize=8)
        for axes, picture in zip(line, pictures, strict=True):
            draw_picture(axes, picture)
    for axes, title in zip(grid[0], titles, strict=True):
        axes.set_title(title, fontsize=8)
    return figure


def _enlarged(picture: np.ndarray, side: int) -> np.ndarray:
    """Repeat pixels as often as they fit, so that a small picture is drawn in squares."""
    times = max(1, math.floor(side / max(picture.shape[:2])))
    return picture.repeat(times, axis=0).repeat(times, axis=1)
