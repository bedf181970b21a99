"""The figures on effective receptive fields. Each function returns the matplotlib figure."""

import math
from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from evalib.plots.style import BLUE, GRAY, ORANGE, STYLE
from evalib.receptive_fields.effective import effective_size, gaussian_fit

HEAT = "viridis"
Box = tuple[float, float, float, float]


def show_field_on_photo(photo: np.ndarray, field: np.ndarray, corner: tuple[int, int]) -> Figure:
    """Draw a field where it lies on a photograph, the piece as seen through it, and its middle row.

    The effective field is outlined by a square of `effective_size` around the middle.

    Args:
        photo: shape `(height, width)` or `(height, width, 3)`, uint8.
        field: the effective field over the whole theoretical field, maximum 1.
        corner: row and column of the photograph where the theoretical field begins.
    """
    (top, left), (rows, columns) = corner, field.shape
    piece = photo[top : top + rows, left : left + columns]
    strength = field.reshape(field.shape + (1,) * (photo.ndim - 2))
    with plt.rc_context(STYLE):
        figure, grid = plt.subplots(1, 3, figsize=(9.2, 2.9), width_ratios=[1, 1, 1.3])
        grid[0].imshow(photo, cmap="gray", vmin=0, vmax=255)
        grid[0].set_title("what it may see")
        grid[1].imshow((piece * strength + 255 * (1 - strength)).astype("uint8"), cmap="gray")
        grid[1].set_title("how strongly it sees it")
        for axes, (y, x) in zip(grid, (corner, (0, 0)), strict=False):
            axes.set_axis_off()
            _outline(axes, (y, x, rows, columns), ORANGE)
            _outline(axes, _centered((y + rows / 2, x + columns / 2), field), BLUE)
        _draw_profile(grid[2], field[rows // 2], gaussian_fit(field).sigma[1])
    return figure


def show_fields_by_depth(fields: Mapping[str, Mapping[int, np.ndarray]]) -> Figure:
    """Draw effective fields, a row a kind of network and a column a depth.

    Each picture is as wide as the theoretical field; the white square has `effective_size`.

    Args:
        fields: label to number of layers to field.
    """
    depths = list(next(iter(fields.values())))
    with plt.rc_context(STYLE):
        figure, grid = plt.subplots(
            len(fields),
            len(depths),
            figsize=(1.75 * len(depths) + 0.9, 1.75 * len(fields) + 0.3),
            squeeze=False,
        )
        for row, (label, by_depth) in zip(grid, fields.items(), strict=True):
            row[0].set_ylabel(label)
            for axes, (depth, field) in zip(row, by_depth.items(), strict=True):
                height, width = field.shape
                picture = axes.imshow(field, cmap=HEAT, vmin=0, vmax=1)
                axes.set(xticks=[], yticks=[])
                axes.spines[:].set_visible(False)
                _outline(axes, _centered((height / 2, width / 2), field), "white")
                if axes in grid[0]:
                    axes.set_title(f"{depth} layers\n{height}x{width} pixels")
        _add_scale(figure, picture, grid)
    return figure


def show_growth(
    depths: Sequence[int],
    theoretical: Sequence[float],
    measured: Mapping[str, Sequence[float]],
    predicted: Mapping[str, Sequence[float]],
) -> Figure:
    """Draw field sizes over depth, and their share of the theoretical side.

    Args:
        depths: numbers of layers.
        theoretical: the side of the theoretical field at each depth, in pixels.
        measured: label to effective size at each depth; drawn as points.
        predicted: label to what the theory says of it, under the same labels; drawn as a line.
    """
    sides = np.asarray(theoretical)
    with plt.rc_context(STYLE):
        figure, (left, right) = plt.subplots(1, 2, figsize=(8.6, 2.9))
        left.plot(depths, sides, color=GRAY, marker="s", ms=4, label="theoretical, 1 + 2n")
        right.plot(depths, np.ones(len(depths)), color=GRAY, marker="s", ms=4)
        for color, (label, sizes) in zip((BLUE, ORANGE), measured.items(), strict=False):
            left.plot(depths, sizes, "o", color=color, label=label)
            left.plot(depths, predicted[label], color=color, lw=1.2)
            right.plot(depths, np.asarray(sizes) / sides, "o", color=color)
            right.plot(depths, np.asarray(predicted[label]) / sides, color=color, lw=1.2)
        left.set(ylabel="side in pixels", ylim=(0, None), title="How wide?")
        right.set(ylabel="side / theoretical side", ylim=(0, 1.08), title="What share of it?")
        for axes in (left, right):
            axes.set(xlabel="layers n", xticks=depths)
            axes.grid(alpha=0.25)
        left.legend(frameon=False)
    return figure


def show_fields(fields: Mapping[str, np.ndarray], box: Box, *, columns: int = 3) -> Figure:
    """Draw effective fields over whole images, with the theoretical field outlined in orange.

    Under each stands `effective_size`, which the white square has too.

    Args:
        fields: title to field, shape `(height, width)`.
        box: the theoretical field as `(top, left, height, width)` in pixels.
        columns: fields a row.
    """
    top, left, height, width = box
    rows = math.ceil(len(fields) / columns)
    with plt.rc_context(STYLE):
        figure, grid = plt.subplots(
            rows, columns, figsize=(2.15 * columns + 0.7, 2.5 * rows), squeeze=False
        )
        for axes in grid.flat[len(fields) :]:
            axes.set_axis_off()
        for axes, (title, field) in zip(grid.flat, fields.items(), strict=False):
            picture = axes.imshow(field, cmap=HEAT, vmin=0, vmax=1)
            _outline(axes, box, ORANGE)
            _outline(axes, _centered((top + height / 2, left + width / 2), field), "white")
            axes.set(xticks=[], yticks=[], title=title)
            axes.spines[:].set_visible(False)
            axes.set_xlabel(f"{effective_size(field):.1f} of {height} pixels")
        _add_scale(figure, picture, grid)
    return figure


def _draw_profile(axes: Axes, values: np.ndarray, sigma: float) -> None:
    """The middle row of a field, a bell of the same width and the theoretical field's edges."""
    places = np.arange(len(values)) - len(values) // 2
    fine = np.linspace(places[0], places[-1], 200)
    bell = np.exp(-0.5 * (fine / sigma) ** 2)
    axes.bar(places, values, width=1, color=BLUE, alpha=0.35, label="middle row")
    axes.plot(fine, bell, color=BLUE, label=f"bell, σ = {sigma:.1f}")
    for side in (places[0] - 0.5, places[-1] + 0.5):
        axes.axvline(side, color=ORANGE, label="theoretical field" if side < 0 else None)
    axes.set(xlabel="pixels from the middle", ylabel="influence", yticks=[0, 0.5, 1])
    axes.legend(frameon=False, loc="lower center", bbox_to_anchor=(0.5, 1), ncols=3, fontsize=7.5)


def _centered(center: tuple[float, float], field: np.ndarray) -> Box:
    """A square of the effective size around a center, in pixels from the image's corner."""
    side = effective_size(field)
    return center[0] - side / 2, center[1] - side / 2, side, side


def _outline(axes: Axes, box: Box, color: str) -> None:
    top, left, height, width = box
    corner = (left - 0.5, top - 0.5)  # pixel 0 is drawn from -0.5 to 0.5
    axes.add_patch(Rectangle(corner, width, height, fill=False, ec=color, lw=1.6, clip_on=False))


def _add_scale(figure: Figure, picture: plt.cm.ScalarMappable, grid: np.ndarray) -> None:
    bar = figure.colorbar(picture, ax=grid, aspect=30, pad=0.01, ticks=[0, 0.5, 1])
    bar.set_label("influence")
    bar.outline.set_visible(False)  # type: ignore[operator]  # matplotlib types it as a float
