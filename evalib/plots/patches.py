"""The figures about windows of photographs: what each shows, and which lights up a channel."""

import math
from collections.abc import Mapping, Sequence

import matplotlib.patheffects as effects
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from evalib.plots.style import BLUE, GRAY, ORANGE, STYLE

Place = tuple[int, int]  # row and column
Region = tuple[slice, ...]  # of rows and of columns

_SHADES = 16
_HEAD, _GAP, _LABEL = 20, 6, 18  # In the figure's pixels.
_LINES = (BLUE, ORANGE, "#2f855a", "#6b46c1", GRAY)
# Bright, and drawn on dark, so that they are seen on any photograph.
_FRAMES = ("#ffffff", "#f6e05e", "#68d391", "#63b3ed", "#f687b3")
_DARK = "#1a202c"


def show_windows(photo: np.ndarray, places: Mapping[str, Place], sizes: Sequence[int]) -> Figure:
    """Draw a photograph pixel by pixel, and windows cut from it, all enlarged to one size.

    Args:
        photo: shape `(height, width, 3)`, uint8.
        places: label to the row and column around which windows are cut: `size // 2` pixels lie
            before it, so that it is the middle of an odd window.
        sizes: heights and widths of the windows in pixels, a column each.

    Raises:
        ValueError: a window reaches beyond the photograph.
    """
    regions = {
        label: [_around(photo, place, size) for size in sizes] for label, place in places.items()
    }
    height, width = photo.shape[:2]
    side = (height - _GAP * (len(places) - 1)) // len(places)
    beside = width + _LABEL + len(sizes) * (side + _GAP)
    figure = _empty_figure(_HEAD + height, beside)
    whole = _add_axes(figure, (_HEAD, 0), (height, width))
    _draw_photo(whole, photo)
    whole.set_title(f"{height}x{width} pixels", fontsize=9)
    for row, (label, windows) in enumerate(regions.items()):
        for column, (size, region) in enumerate(zip(sizes, windows, strict=True)):
            corner = _HEAD + row * (side + _GAP), width + _LABEL + column * (side + _GAP)
            axes = _add_axes(figure, corner, (side, side))
            _draw_photo(axes, photo[region])
            axes.set_title("" if row else f"{size}x{size}", fontsize=9)
            axes.set_ylabel("" if column else label, fontsize=8, labelpad=3)
            _draw_frame(whole, region, _FRAMES[0], width=0.8)
        _write_beside(whole, windows[-1], label)
    return figure


def show_scores_by_size(
    sizes: Sequence[int], scores: Mapping[str, np.ndarray], *, chance: float, marked: int
) -> Figure:
    """Draw how often windows were told apart, over their size on a logarithmic scale.

    Lines are means over seeds; the bands around them reach one standard deviation to each side.

    Args:
        sizes: heights and widths of the windows in pixels.
        scores: at most five labels to shares from 0 to 1, shape `(seeds, len(sizes))`, at least
            two seeds.
        chance: the share that blind guesses get right, drawn as a dashed line.
        marked: a size to draw a dotted line at.
    """
    with plt.rc_context(STYLE):
        figure, axes = plt.subplots(figsize=(7.2, 3.1))
        axes.axvline(marked, color=GRAY, ls=":", lw=1)
        for (label, shares), color in zip(scores.items(), _LINES, strict=False):
            mean, spread = 100 * shares.mean(axis=0), 100 * shares.std(axis=0, ddof=1)
            axes.plot(sizes, mean, color=color, marker="o", ms=3.5, label=label)
            axes.fill_between(sizes, mean - spread, mean + spread, color=color, alpha=0.2, lw=0)
        axes.axhline(100 * chance, color=GRAY, ls="--", lw=1, label="chance")
        axes.set_xscale("log", base=2)
        axes.set_xticks(sizes, [f"{size}" for size in sizes])
        axes.minorticks_off()
        axes.set(xlabel="side of the window, pixels", ylabel="told right, %", ylim=(0, 100))
        axes.grid(alpha=0.25)
        axes.legend(loc="center left", bbox_to_anchor=(1, 0.5), frameon=False)
    return figure


def show_tour(
    photo: np.ndarray,
    maps: Mapping[str, np.ndarray],
    peaks: Mapping[str, Sequence[Place]],
    regions: Mapping[str, Sequence[Region]],
    *,
    side: int = 100,
) -> Figure:
    """Draw, a row a layer, feature maps with their peaks and what each peak sees.

    In front of each row stands the photograph with the row's patches framed and numbered. A map is
    drawn from zero to its own peak, the square root of the values, so that weak ones show too; of
    values that share a pixel the largest is drawn. A ring marks the peak.

    Args:
        photo: square, shape `(size, size, 3)`, uint8.
        maps: at most five labels to maps of shape `(count, height, width)`, square and at least 0;
            `count` is the same for all.
        peaks: for each map the row and column of its peak, where it is above 0.
        regions: for each map the part of the photograph that its peak sees.
        side: of each picture, in the figure's pixels.
    """
    columns = 1 + 2 * len(next(iter(maps.values())))
    left, step = 2 * _LABEL, side + _GAP
    figure = _empty_figure(_HEAD + len(maps) * step, left + columns * step)
    for row, (label, color) in enumerate(zip(maps, _FRAMES, strict=False)):
        whole, *cells = (
            _add_axes(figure, (_HEAD + row * step, left + column * step), (side, side))
            for column in range(columns)
        )
        _draw_photo(whole, photo)
        whole.set_ylabel(label, fontsize=7.5, labelpad=3)
        parts = zip(maps[label], peaks[label], regions[label], strict=True)
        for number, (values, peak, region) in enumerate(parts, start=1):
            lit, seen = cells[2 * number - 2 : 2 * number]
            _draw_map(lit, values, peak, color)
            _draw_photo(seen, photo[region])
            lit.set_title("" if row else f"map {number}", fontsize=9)
            seen.set_title("" if row else f"seen by peak {number}", fontsize=9)
            _draw_frame(whole, region, color, width=1.4)
            _write_beside(whole, region, f"{number}")
    return figure


def _empty_figure(height: int, width: int) -> Figure:
    """A figure of so many pixels, without a layout of its own."""
    dots = STYLE["figure.dpi"]
    with plt.rc_context({**STYLE, "figure.constrained_layout.use": False}):
        return plt.figure(figsize=(width / dots, height / dots))


def _add_axes(figure: Figure, corner: Place, extents: tuple[int, int]) -> Axes:
    """Axes of exactly so many of the figure's pixels, counted from its upper left corner."""
    across, down = np.rint(figure.get_size_inches() * figure.dpi)
    (top, left), (height, width) = corner, extents
    box = (left / across, (down - top - height) / down, width / across, height / down)
    with plt.rc_context(STYLE):
        axes = figure.add_axes(box)
        axes.set(xticks=[], yticks=[])
        axes.spines[:].set_visible(False)
    return axes


def _around(photo: np.ndarray, place: Place, size: int) -> Region:
    starts = [middle - size // 2 for middle in place]
    for start, extent in zip(starts, photo.shape, strict=False):
        if not 0 <= start <= extent - size:
            raise ValueError(
                f"expected windows inside of {photo.shape[0]}x{photo.shape[1]} pixels, got one of "
                f"{size}x{size} around {place}"
            )
    return tuple(slice(start, start + size) for start in starts)


def _draw_photo(axes: Axes, photo: np.ndarray) -> None:
    """Draw in a few shades a channel, which keeps what a notebook stores small."""
    pixels = _squares(photo, axes).mean(axis=(1, 3))
    few = np.rint(pixels / 255 * (_SHADES - 1)) / (_SHADES - 1)
    axes.imshow(few, interpolation="nearest", extent=_extent(photo))


def _draw_map(axes: Axes, values: np.ndarray, peak: Place, color: str) -> None:
    largest = np.sqrt(_squares(values, axes).max(axis=(1, 3)) / values[peak])
    shades = plt.get_cmap("magma", _SHADES // 2)
    axes.imshow(
        largest, cmap=shades, vmin=0, vmax=1, interpolation="nearest", extent=_extent(values)
    )
    axes.plot(peak[1], peak[0], "o", ms=9, mfc="none", mec=color, mew=1.2)


def _squares(values: np.ndarray, axes: Axes) -> np.ndarray:
    """Parts that are drawn as one pixel, on the second and fourth axis; what is over is left out.

    Args:
        values: shape `(height, width, ...)`.
        axes: what they are drawn on; with no more values than pixels each is a part by itself.
    """
    reach = math.ceil(values.shape[0] / round(axes.get_window_extent().height))
    rows, columns = (extent // reach for extent in values.shape[:2])
    cut = values[: rows * reach, : columns * reach]
    return cut.reshape(rows, reach, columns, reach, *values.shape[2:])


def _extent(values: np.ndarray) -> tuple[float, float, float, float]:
    """The corners of an image as matplotlib counts them: pixel 0 is drawn from -0.5 to 0.5."""
    height, width = values.shape[:2]
    return -0.5, width - 0.5, height - 0.5, -0.5


def _draw_frame(axes: Axes, region: Region, color: str, *, width: float) -> None:
    rows, columns = region
    frame = Rectangle(
        (columns.start - 0.5, rows.start - 0.5),  # pixel 0 is drawn from -0.5 to 0.5
        columns.stop - columns.start,
        rows.stop - rows.start,
        fill=False,
        ec=color,
        lw=width,
    )
    frame.set_path_effects([effects.withStroke(linewidth=width + 1, foreground=_DARK)])
    axes.add_patch(frame)


def _write_beside(axes: Axes, region: Region, text: str) -> None:
    """Write to the right of a frame, or to its left where the right is too near the border."""
    rows, columns = region
    wide = axes.get_xlim()[1]
    right = columns.stop < 0.8 * wide
    written = axes.annotate(
        text,
        (columns.stop if right else columns.start, (rows.start + rows.stop) / 2),
        (3 if right else -3, 0),
        textcoords="offset points",
        ha="left" if right else "right",
        va="center",
        fontsize=8,
        color="white",
    )
    written.set_path_effects([effects.withStroke(linewidth=2, foreground=_DARK)])
