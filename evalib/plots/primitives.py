"""The few kinds of figures that most others are made of. Each function returns its figure."""

import io
import math
from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import LogLocator, NullFormatter
from PIL import Image as Picture

from evalib.plots.style import BLUE, COLORS, DPI, ORANGE, SIGNED

Limits = tuple[float, float] | float | str | None
_SHADES = 21  # of each color: few keep a stored PNG small; an odd number has white at zero
_WIDTH, _LINE, _GAP = 800, 16, 8  # pixels: of a figure, of a line of text, between pictures


def to_unit_range(picture: Any) -> np.ndarray:
    """Scale a picture of any dtype to 0..1, from 0..1 or from 0..255, which uint8 always is.

    A ValueError says that it is neither or cannot be told: above 1, but below 64 of 255.
    """
    values = np.asarray(picture)
    low, high = float(values.min()), float(values.max())
    if values.dtype == np.uint8 or (low >= 0 and 64 <= high <= 255):
        return values / 255
    if low >= -1e-6 and high <= 1 + 1e-6:
        return np.clip(values.astype("float64"), 0, 1)
    raise ValueError(f"expected pictures from 0 to 1 or 255, or limits, got {low:g} to {high:g}")


def colorize(values: Any, color_map: str = SIGNED, limits: Limits = None) -> np.ndarray:
    """Turn numbers `(..., height, width)` into colors from 0 to 1, `(..., height, width, 3)`.

    Limits are the values at the ends of the map, where all beyond is drawn too; or how many percent
    of all values to take as them, such as 99. None takes the least and greatest, "each" those of
    each picture. `SIGNED` has zero in its middle, whatever the limits.
    """
    values = np.asarray(values, "float64")
    axes = (-2, -1) if limits == "each" else None
    low, high = values.min(axes, keepdims=True), values.max(axes, keepdims=True)
    if isinstance(limits, tuple):
        low, high = np.array(limits, "float64")
    elif isinstance(limits, int | float):
        low, high = np.percentile(values, (100 - limits, limits))
    if color_map == SIGNED:
        high = np.maximum(np.abs(low), np.abs(high))
        low = -high
    shares = 0.5 + (values - (low + high) / 2) / np.where(high > low, high - low, 1)
    return plt.get_cmap(color_map, _SHADES)(shares)[..., :3]


def show_images(
    images: Any,
    titles: Sequence[str] = (),
    *,
    labels: Sequence[str] = (),
    columns: int | None = None,
    side: float | None = None,
    color_map: str = "gray",
    limits: Limits = None,
) -> Figure:
    """Draw pictures in a grid, pixel by pixel; `figure.axes` are in the order of the pictures.

    Args:
        images: pictures, or title to picture, of shape `(height, width)`, `(height, width, 1)` or
            `(height, width, 3)`. Values are from 0 to 1 or from 0 to 255, of any dtype; in one
            channel they may be others where `limits` or `SIGNED` scale them; else a ValueError.
        titles, labels: one a picture or a column; one a row, on its left.
        columns: pictures a row; without it 10, or as many as the labels ask for.
        side: about how many pixels of the figure a picture is high or wide.
        color_map, limits: of pictures with one channel, see `colorize`.
    """
    if isinstance(images, Mapping):
        images, titles = list(images.values()), list(images)
    titles, labels = [str(title) for title in titles], [str(label) for label in labels]
    pictures = _color_pictures(images, color_map, limits)
    columns = columns or (math.ceil(len(pictures) / len(labels)) if labels else 10)
    columns = max(1, min(columns, len(pictures)))
    rows = math.ceil(len(pictures) / columns)
    if len(titles) not in (0, columns, len(pictures)) or len(labels) not in (0, rows) or not rows:
        found = f"{len(pictures)} with {len(titles)} titles and {len(labels)} labels of rows"
        raise ValueError(f"expected pictures in {rows} rows of {columns}, got {found}")
    side = side or min(130, _WIDTH / columns - _GAP)
    sizes = [_drawn_size(picture, side) for picture in pictures]
    height, width = np.max(sizes, axis=0)
    head = _LINE * max((1 + title.count("\n") for title in titles), default=0)
    left = 7 * max((len(line) for label in labels for line in label.split("\n")), default=0)
    step = height + _GAP + (head if len(titles) > columns else 0)
    across, down = left + columns * (width + _GAP), head + rows * step
    # Matplotlib rounds a figure's pixels down and a picture's up: keep clear of both.
    figure = plt.figure(figsize=((across + 1e-6) / DPI, (down + 1e-6) / DPI), layout="none")
    for number, (picture, (high, wide)) in enumerate(zip(pictures, sizes, strict=True)):
        row, column = divmod(number, columns)
        x = left + column * (width + _GAP) + (width - wide) // 2
        y = down - head - row * step - (height + high) // 2
        box = x / across, y / down, (wide - 1e-4) / across, (high - 1e-4) / down
        axes = figure.add_axes(box)
        axes.imshow(picture, interpolation="nearest" if high >= len(picture) else None)
        hide_axes(axes, titles[number] if number < len(titles) else "")
        if labels and column == 0:
            axes.set_ylabel(labels[row], rotation=0, ha="right", va="center")
    return figure


def show_lines(
    panels: Mapping[str, Any], *, x_label: str = "", y_label: str = "", log: str = ""
) -> Figure:
    """Draw curves: title to label to `x` and `y`, or for a single panel label to `x` and `y`.

    A `y` of shape `(seeds, n)` becomes its mean, with a band of one standard deviation to each
    side. The first panel has the `y_label`, all have the `x_label`; `scale_axes` explains `log`.
    """
    if not isinstance(next(iter(panels.values())), Mapping):
        panels = {"": panels}
    labels = list(dict.fromkeys(label for curves in panels.values() for label in curves))
    size = (min(9.2, 2.6 * len(panels) + 4.4), 2.7)
    figure, row = plt.subplots(1, len(panels), figsize=size, squeeze=False)
    for axes, (title, curves) in zip(row[0], panels.items(), strict=True):
        for label, (x, y) in curves.items():
            color, y = COLORS[labels.index(label) % len(COLORS)], np.asarray(y, "float64")
            if y.ndim == 2:
                y, spread = y.mean(axis=0), y.std(axis=0, ddof=1)
                axes.fill_between(x, y - spread, y + spread, color=color, alpha=0.2, lw=0)
            axes.plot(x, y, color=color, marker=".", label=label)
        axes.set(title=title, xlabel=x_label)
        scale_axes(axes, log)
    row[0, 0].set_ylabel(y_label)
    if len(labels) > 1:
        add_legend(figure)
    return figure


def show_numbers(
    arrays: Mapping[str, Any], *, color_map: str = "Blues", limits: Limits = None
) -> Figure:
    """Draw title to matrix as colored cells with numbers, on one scale; see `colorize`."""
    matrices = [np.asarray(values) for values in arrays.values()]
    limits = limits or (min(m.min() for m in matrices), max(m.max() for m in matrices))
    rows, columns = np.transpose([matrix.shape for matrix in matrices])
    size = (0.28 * (columns.sum() + len(matrices)), 0.28 * rows.max() + 0.4)
    figure, row = plt.subplots(1, len(matrices), figsize=size, width_ratios=columns, squeeze=False)
    for axes, title, matrix in zip(row[0], arrays, matrices, strict=True):
        write_numbers(axes, matrix, colorize(matrix, color_map, limits))
        axes.set_title(title)
    return figure


def write_numbers(axes: Axes, values: Any, colors: np.ndarray) -> None:
    """Draw a matrix in colors of shape `(height, width, 3)`, its numbers white where it is dark."""
    axes.imshow(colors, interpolation="nearest")
    luminance = colors @ (0.299, 0.587, 0.114)
    for place, value in np.ndenumerate(values):
        text = f"{value:g}".replace("-", "\N{MINUS SIGN}")
        color = "white" if luminance[place] < 0.5 else "black"
        axes.text(place[1], place[0], text, ha="center", va="center", color=color)
    hide_axes(axes, axes.get_title())


def show_bars(panels: Mapping[str, Mapping[str, float]], *, highlight: str = "") -> Figure:
    """Draw title to label to value as bars, those of `highlight` orange, all panels alike."""
    labels = list(next(iter(panels.values())))
    size = (9, 0.6 + 0.36 * len(labels))
    figure, row = plt.subplots(1, len(panels), figsize=size, sharey=True, squeeze=False)
    for axes, (title, values) in zip(row[0], panels.items(), strict=True):
        lengths = [values[label] for label in labels]
        colors = [ORANGE if label == highlight else BLUE for label in labels]
        bars = axes.barh(labels, lengths, color=colors, height=0.65)
        axes.bar_label(bars, [short_number(length) for length in lengths], padding=3)
        axes.set(title=title, xticks=[], xlim=(0, 1.3 * max(lengths)))
        axes.spines["bottom"].set_visible(False)
    row[0, 0].invert_yaxis()
    return figure


def outline(axes: Axes, box: Sequence[float], color: Any = ORANGE, **options: Any) -> None:
    """Frame pixels of a picture: `box` is their top, left, height and width."""
    top, left, height, width = box
    corner = (left - 0.5, top - 0.5)  # pixel 0 is drawn from -0.5 to 0.5
    options = {"fill": False, "lw": 1.6, "clip_on": False} | options
    axes.add_patch(Rectangle(corner, width, height, ec=color, **options))


def hide_axes(axes: Axes, title: str = "") -> None:
    """Take ticks and frame away, and leave the label of a row its place."""
    axes.set(xticks=[], yticks=[], title=title)
    axes.spines[:].set_visible(False)


def scale_axes(axes: Axes, log: str = "") -> None:
    """Draw a grid, and make the axes in `log`, "x", "y" or "xy", logarithmic with plain numbers."""
    axes.grid()
    for name in log:
        axes.set(**{f"{name}scale": "log"})
        axis = axes.xaxis if name == "x" else axes.yaxis
        low, high = axis.get_view_interval()
        if high / low < 60:  # otherwise powers of ten are enough
            axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axis.set_major_formatter("{x:g}")
        axis.set_minor_formatter(NullFormatter())


def add_legend(figure: Figure) -> None:
    """Put one legend for all panels on the right, each label once."""
    pairs = [axes.get_legend_handles_labels() for axes in figure.axes]
    handles = {label: handle for pair in pairs for handle, label in zip(*pair, strict=True)}
    figure.legend(list(handles.values()), list(handles), loc="outside right upper")


def short_number(value: float) -> str:
    """Write a number of any size in a few digits, with thousand, million and billion as units."""
    for least, scale, unit in ((1e9, 1e9, " bn"), (1e6, 1e6, " M"), (1e4, 1e3, " k")):
        if value >= least:
            return f"{value / scale:,.{0 if value >= 100 * scale else 1}f}{unit}"
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def animate(frames: Sequence[Any], *, seconds: float = 0.15, colors: int = 64) -> Any:
    """Make a moving picture, an `IPython.display.Image` that repeats forever.

    Two or more frames of one size, else a ValueError, are pictures as in `show_images`, each pixel
    drawn as one, or figures, which are closed. All together have at most 256 colors. Paper shows
    the first frame only.
    """
    from IPython.display import Image

    stills = [_still(frame) for frame in frames]
    sizes = [still.shape[:2] for still in stills]
    if len(sizes) < 2 or len(set(sizes)) > 1:
        raise ValueError(f"expected two or more frames of one size, got sizes {sizes}")
    # All frames share one palette: Pillow would write that of the first frame for all.
    strip = Picture.fromarray(np.concatenate(stills)).quantize(colors)
    height, width = sizes[0]
    tops = range(0, strip.height, height)
    first, *rest = (strip.crop((0, top, width, top + height)) for top in tops)
    file, milliseconds = io.BytesIO(), round(1000 * seconds)
    first.save(file, "PNG", save_all=True, append_images=rest, duration=milliseconds, loop=0)
    return Image(data=file.getvalue(), format="png")


def _color_pictures(images: Any, color_map: str, limits: Limits) -> list[np.ndarray]:
    """All pictures as colors from 0 to 1 in few shades, shape `(height, width, 3)`."""
    pictures = [np.asarray(image) for image in images]
    plain = [picture for picture in pictures if picture.shape[2:] in ((), (1,))]
    if plain and limits is None and color_map == SIGNED:
        limits = (min(picture.min() for picture in plain), max(picture.max() for picture in plain))
    colored = []
    for picture in pictures:
        if picture.ndim not in (2, 3) or picture.shape[2:] not in ((), (1,), (3,)):
            raise ValueError(f"expected pictures of 1 or 3 channels, got shape {picture.shape}")
        if picture.shape[2:] == (3,):
            colored.append(np.rint(to_unit_range(picture) * _SHADES) / _SHADES)
        else:
            values = (picture if limits else to_unit_range(picture)).reshape(picture.shape[:2])
            colored.append(colorize(values, color_map, limits or (0, 1)))
    return colored


def _still(frame: Any) -> np.ndarray:
    """A frame as uint8 of shape `(height, width, 3)`."""
    if isinstance(frame, Figure):
        file = io.BytesIO()
        frame.savefig(file, format="png", dpi=frame.dpi)
        plt.close(frame)
        return np.asarray(Picture.open(file).convert("RGB"))
    return np.rint(255 * _color_pictures([frame], "gray", None)[0]).astype("uint8")


def _drawn_size(picture: np.ndarray, side: float) -> tuple[int, int]:
    """Height and width in pixels of the figure: a whole number for each pixel, or fewer."""
    factor = side / max(picture.shape[:2])
    factor = math.floor(factor) if factor >= 1 else factor
    return round(factor * picture.shape[0]), round(factor * picture.shape[1])
