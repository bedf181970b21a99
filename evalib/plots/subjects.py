"""Figures of one subject each: kernels, letters, receptive fields, training."""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.figure import Figure

from evalib.plots.primitives import colorize, hide_axes, outline, show_images
from evalib.plots.style import BLUE, COLORS, GRAY, ORANGE
from evalib.receptive_fields.effective import effective_size

Arrays = Mapping[str, np.ndarray]
_FORMS = ("o", BLUE), ("s", ORANGE), ("x", "#c53030"), ("^", GRAY)


def kernel_pictures(kernels: np.ndarray) -> np.ndarray:
    """Turn kernels, `(height, width, channels, count)`, into pictures, `(count, height, width, 3)`.

    Each has its own scale, floats from 0 to 1. Three channels become red, green and blue, mid gray
    for zero; one becomes blue below, white at and red above zero; others raise a ValueError.
    """
    if kernels.ndim != 4 or kernels.shape[2] not in (1, 3):
        raise ValueError(f"expected shape (height, width, 1 or 3, count), got {kernels.shape}")
    pictures = np.moveaxis(kernels, -1, 0)
    if kernels.shape[2] == 1:
        return colorize(pictures[..., 0], limits="each")
    strongest = np.abs(pictures).max(axis=(1, 2, 3), keepdims=True)
    return 0.5 + 0.5 * pictures / np.where(strongest > 0, strongest, 1)


def show_kernels(groups: Arrays, *, columns: int = 16) -> Figure:
    """Draw label to kernels, as many as `columns` or a multiple, as `kernel_pictures` does."""
    pictures, labels = [], []
    for label, kernels in groups.items():
        pictures += list(kernel_pictures(kernels))
        labels += [label, *[""] * (kernels.shape[-1] // columns - 1)]
    return show_images(pictures, labels=labels, columns=columns, side=45)


def show_letter_page(page: np.ndarray, marks: Arrays, names: Sequence[str] = ()) -> Figure:
    """Draw a page, from 0 for paper to 1 for ink, with names for its equally high lines.

    The marks, at most four kinds to rows and columns of shape `(n, 2)`, become rings, squares,
    crosses and triangles.
    """
    figure = show_images([1 - page], side=page.shape[1])
    (axes,) = figure.axes
    _draw_marks(axes, marks)
    leading = page.shape[0] / max(1, len(names))
    axes.set_yticks(leading * (np.arange(len(names)) + 0.5), names)
    axes.tick_params(length=0)
    return figure


def show_letter_channel(
    page: np.ndarray, kernel: np.ndarray, channel: np.ndarray, marks: Arrays, *, spread: int = 7
) -> Figure:
    """Draw a page as `show_letter_page` does, a kernel, and the channel that it makes of the page.

    Of the channel, what is below 0.4 is black, and each pixel shows the highest of `spread` by
    `spread` around it, an odd number, so that single bright pixels can be seen.
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


def show_paths(
    surface: Callable[..., np.ndarray], panels: Mapping[str, Arrays], box: Sequence[float]
) -> Figure:
    """Draw paths over a surface, darker where it is lower, from a circle to a dot.

    The surface is the height at arrays of `x` and `y`, with even contours of its square root;
    panels are title to label to path, `(steps + 1, 2)`; the box is `(left, right, bottom, top)`.
    """
    left, right, bottom, top = box
    x, y = np.meshgrid(np.linspace(left, right, 161), np.linspace(bottom, top, 121))
    height, rows = surface(x, y), math.ceil(len(panels) / 3)
    size = (8.2, rows * (8.2 / 3 * (top - bottom) / (right - left) + 0.3))
    figure, grid = plt.subplots(rows, 3, figsize=size, sharex=True, sharey=True, squeeze=False)
    for axes, (title, paths) in zip(grid.flat, panels.items(), strict=False):
        axes.contourf(x, y, np.sqrt(height - height.min()), 10, cmap="Greys_r", alpha=0.35)
        for color, (label, path) in zip(COLORS, paths.items(), strict=False):
            axes.plot(*path.T, ".-", color=color, lw=1.2, ms=3.5, label=label)
            axes.plot(*path[0], "o", color="white", mec=color, ms=7)
            axes.plot(*path[-1], "o", color=color, mec="white", ms=7, zorder=4)
        axes.set(title=title, xlim=(left, right), ylim=(bottom, top))
    handles, labels = grid[0, 0].get_legend_handles_labels()
    if len(labels) > 1:
        figure.legend(handles, labels, loc="outside lower center", ncols=6)
    return figure


def show_fields(fields: Arrays, box: Sequence[float] | None = None, *, columns: int = 3) -> Figure:
    """Draw title to effective field, of maximum 1, with a white square of its `effective_size`.

    The theoretical field is the orange box `(top, left, height, width)`, or the whole picture.
    """
    rows = math.ceil(len(fields) / columns)
    size = (2.1 * columns + 0.8, 2.5 * rows)
    figure, grid = plt.subplots(rows, columns, figsize=size, squeeze=False)
    for axes in grid.flat[len(fields) :]:
        axes.set_axis_off()
    for axes, (title, field) in zip(grid.flat, fields.items(), strict=False):
        picture = axes.imshow(field, cmap="viridis", vmin=0, vmax=1)
        hide_axes(axes, title)
        top, left, height, width = box or (0, 0, *field.shape)
        side = effective_size(field)
        outline(axes, (top + (height - side) / 2, left + (width - side) / 2, side, side), "white")
        if box:
            outline(axes, box)
        axes.set_xlabel(f"{side:.1f} of {height} pixels")
    bar = figure.colorbar(picture, ax=grid, aspect=30, pad=0.01, ticks=[0, 0.5, 1])
    bar.set_label("influence")
    bar.outline.set_visible(False)  # type: ignore[operator]  # matplotlib types it as a float
    return figure


def show_tiny_network(values: Arrays, gradients: Arrays, names: Sequence[str]) -> Figure:
    """Draw a network of two layers: black what goes forward, orange the gradient that comes back.

    Values are `x`, `w1`, `b1`, `z1`, `a1`, `w2`, `b2`, `z2`, `p` and `loss` of one picture: vectors
    of shape `(2,)`, kernels of shape `(2, 2)` from inputs to units. Gradients are those of the loss
    by `w1`, `z1`, `w2` and `z2`; names, of two inputs and two outputs, the second of them right.
    """
    heights, left, middle, right, end = (0.9, -0.9), 0.0, 2.6, 5.2, 8.0
    figure, axes = plt.subplots(figsize=(9.2, 3.8))
    axes.set(xlim=(-1.5, 9.0), ylim=(-1.85, 1.85))
    axes.set_axis_off()
    arrow = {"arrowstyle": "->", "color": GRAY, "shrinkA": 24, "shrinkB": 28}
    paper: Any = {"bbox": {"fc": "white", "ec": "none", "pad": 0.4}, "zorder": 4}
    for layer, after, begin, x in (("1", "a1", left, middle), ("2", "p", middle, right)):
        for (i, j), weight in np.ndenumerate(values["w" + layer]):
            axes.annotate("", (x, heights[j]), (begin, heights[i]), arrowprops=arrow)
            share = 0.45 if i == j else 0.3  # before it crosses another
            y = heights[i] + share * (heights[j] - heights[i])
            back = f"{gradients['w' + layer][i, j]:+.3f}"
            _write_pair(axes, begin + share * (x - begin), y, 0, f"{weight:.2f}", back, **paper)
        for i, y in enumerate(heights):
            total = values["z" + layer][i]
            _write(axes, x, y, f"{total:.2f}\n→ {values[after][i]:.2f}", ring=BLUE)
            bias, back = values["b" + layer][i], f"{gradients['z' + layer][i]:+.3f}"
            _write_pair(axes, x, y, 0.52, f"bias {bias:.2f}", back)
    for i, y in enumerate(heights):
        _write(axes, left, y, f"{values['x'][i]:.2f}", ring=GRAY)
        _write(axes, left - 0.55, y, names[i], ha="right")
        _write(axes, right + 0.6, y, names[2 + i], ha="left")
    # The loss reads the probability of the right answer, which is the second output.
    _write(axes, end, heights[1], f"loss\n{values['loss']:.3f}", ring=GRAY)
    place = right + 1.15, heights[1]
    axes.annotate("", (end, heights[1]), place, arrowprops=arrow | {"shrinkA": 0})
    _write(axes, (right + end + 0.9) / 2, heights[1] + 0.06, "−ln", va="bottom")
    _write_pair(axes, end, heights[0], 0.1, "forward", "gradient of the loss")
    return figure


def _draw_marks(axes: Axes, marks: Arrays) -> None:
    """Draw each kind in a form and color of its own, with its count in the legend."""
    for (name, places), (form, color) in zip(marks.items(), _FORMS, strict=False):
        rows, columns = np.reshape(places, (-1, 2)).T
        look = {"color": color, "mfc": "none", "ms": 150**0.5, "mew": 1.5 if form == "x" else 1}
        axes.plot(columns, rows, form, label=f"{name}: {len(rows)}", **look)
    axes.legend(loc="lower right", bbox_to_anchor=(1, 1), ncols=4, borderaxespad=0.1)


def _write_pair(axes: Axes, x: float, y: float, gap: float, *texts: str, **options: Any) -> None:
    """Write what goes forward in black above a place, and what comes back in orange below."""
    _write(axes, x, y + gap, texts[0], va="bottom", **options)
    _write(axes, x, y - gap, texts[1], va="top", color=ORANGE, **options)


def _write(axes: Axes, x: float, y: float, text: str, ring: str = "", **options: Any) -> None:
    if ring:
        circle = {"boxstyle": "circle,pad=0.3", "fc": "white", "ec": ring, "lw": 1.4}
        options = {"bbox": circle, "zorder": 3}
    axes.text(x, y, text.replace("-", "−"), **{"ha": "center", "va": "center"} | options)
