"""Pages of letters, with marks on what a kernel found there."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.figure import Figure

from evalib.plots.primitives import colorize, hide_axes, show_images
from evalib.plots.style import BLUE, GRAY, ORANGE


def show_letter_page(
    page: np.ndarray, marks: Mapping[str, np.ndarray], names: Sequence[str] = ()
) -> Figure:
    """Draw a page with a ring, square, cross or triangle on each letter of a kind of mark.

    Args:
        page: shape `(height, width)`, from 0 for paper to 1 for ink.
        marks: at most four kinds to rows and columns of shape `(n, 2)`.
        names: one for each line of the page; the lines are equally high.
    """
    figure = show_images([1 - page], side=page.shape[1])
    (axes,) = figure.axes
    _draw_marks(axes, marks)
    leading = page.shape[0] / max(1, len(names))
    axes.set_yticks(leading * (np.arange(len(names)) + 0.5), names)
    axes.tick_params(length=0)
    return figure


def show_letter_channel(
    page: np.ndarray,
    kernel: np.ndarray,
    channel: np.ndarray,
    marks: Mapping[str, np.ndarray],
    *,
    spread: int = 7,
) -> Figure:
    """Draw a page, a kernel cut from it, and the channel that the kernel makes of the page.

    Args:
        page, marks: see `show_letter_page`.
        kernel: drawn blue for negative and red for positive.
        channel: shape of the page; what is below 0.4 is drawn black.
        spread: odd; each pixel of the channel shows the highest of so many by so many around it,
            so that single bright pixels can be seen.
    """
    padded = np.pad(channel, spread // 2)
    highest = np.lib.stride_tricks.sliding_window_view(padded, (spread, spread)).max((2, 3))
    pictures = [1 - page, colorize(highest, "magma", (0.4, 1))]
    side = page.shape[1] * max(1, 800 // page.shape[1])
    figure = show_images(pictures, ["", "its channel"], columns=1, side=side)
    above, below = figure.axes
    _draw_marks(above, marks)
    part = above.inset_axes((-0.25, 0.2, 0.22, 0.6))
    part.imshow(colorize(kernel), interpolation="nearest")
    hide_axes(part, "kernel")
    scale = ScalarMappable(cmap="magma")
    scale.set_clim(0.4, 1)
    figure.colorbar(scale, cax=below.inset_axes((-0.18, 0, 0.03, 1)), label="agreement")
    return figure


def _draw_marks(axes: Axes, marks: Mapping[str, np.ndarray]) -> None:
    """Draw each kind in a form and color of its own, with its count in the legend."""
    forms: list[tuple[str, dict[str, Any]]] = [
        ("o", {"facecolors": "none", "edgecolors": BLUE}),
        ("s", {"facecolors": "none", "edgecolors": ORANGE}),
        ("x", {"color": "#c53030"}),
        ("^", {"facecolors": "none", "edgecolors": GRAY}),
    ]
    for (name, places), (form, colors) in zip(marks.items(), forms, strict=False):
        rows, columns = np.reshape(places, (-1, 2)).T
        axes.scatter(columns, rows, 150, marker=form, label=f"{name}: {len(rows)}", **colors)
    axes.legend(loc="lower right", bbox_to_anchor=(1, 1), ncols=4, borderaxespad=0.1)
