"""The figures about channels, kernels and stacks of them."""

from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import hsv_to_rgb
from matplotlib.figure import Figure

from evalib.plots.style import BLUE, GRAY, ORANGE, SIGNED, STYLE

_DPI = STYLE["figure.dpi"]
_SHADES = {"gray": 24, "gray_r": 5, "magma": 6, SIGNED: 13}
_MINUS = "\N{MINUS SIGN}"


def show_photo_channels(photo: np.ndarray) -> Figure:
    """Draw a photograph and its red, green and blue channel as three gray pictures.

    Args:
        photo: uint8, shape `(height, width, 3)`.
    """
    channels = {f"{name} channel": photo[..., i] for i, name in enumerate(("red", "green", "blue"))}
    return show_pictures({"photograph": photo, **channels})


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
        page: shape `(height, width)`, high values for ink.
        kernel: drawn blue for negative and red for positive.
        channel: shape of the page; what is below 0.4 is drawn black.
        marks: "found", "missed" and "false alarm", each as rows and columns of shape `(n, 2)`.
        spread: odd; each pixel of the channel shows the highest of so many by so many around it,
            so that single bright pixels can be seen.
    """
    padded = np.pad(channel, spread // 2)
    spread_channel = np.lib.stride_tricks.sliding_window_view(padded, (spread, spread)).max((2, 3))
    height = 480 * page.shape[0] / page.shape[1]
    left, head = 130, 24
    across, down = left + 480, 2 * (height + head)
    with plt.rc_context({**STYLE, "figure.constrained_layout.use": False}):
        figure = plt.figure(figsize=(across / _DPI, down / _DPI))

        def add(x: float, y: float, width: float, height: float) -> Axes:
            """Axes at a place that is given in pixels from the lower left."""
            return figure.add_axes((x / across, y / down, width / across, height / down))

        axes = add(left, height + head, 480, height)
        _draw_gray(axes, 1 - page, "", smooth=False)
        axes.set_title("page", loc="left")
        _draw_marks(axes, marks)
        limit = np.abs(kernel).max()
        axes = add(0, height + head, 100, height)
        _draw_gray(axes, kernel, "kernel", limits=(-limit, limit), color_map=SIGNED)
        axes = add(left, 0, 480, height)
        _draw_gray(axes, spread_channel, "", limits=(0.4, 1), color_map="magma", smooth=False)
        axes.set_title("its channel", loc="left")
        figure.colorbar(axes.images[0], cax=add(20, 0, 15, height), label="agreement")
    return figure


def show_letter_variants(
    page: np.ndarray, names: Sequence[str], marks: Mapping[str, np.ndarray]
) -> Figure:
    """Draw a page whose lines have names, and marks on its letters.

    Args:
        page: shape `(height, width)`, high values for ink; its lines are equally high.
        names: one a line.
        marks: at most four, what to write in the legend, to rows and columns of shape `(n, 2)`.
    """
    height, width = page.shape
    left, head = 120, 24
    across, down = left + width, height + head
    with plt.rc_context({**STYLE, "figure.constrained_layout.use": False}):
        figure = plt.figure(figsize=(across / _DPI, down / _DPI))
        axes = figure.add_axes((left / across, 0, width / across, height / down))
        _draw_gray(axes, page, "", color_map="gray_r", smooth=False)
        _draw_marks(axes, marks)
        leading = height / len(names)
        axes.set_yticks(leading * (np.arange(len(names)) + 0.5), names)
        axes.tick_params(length=0)
    return figure


def show_pictures(pictures: Mapping[str, np.ndarray], *, scale: int = 1) -> Figure:
    """Draw pictures of equal size beside each other, pixel by pixel.

    Args:
        pictures: title to uint8, or float from 0 to 1, of shape `(height, width)` or
            `(height, width, 3)`.
        scale: how many of the figure's pixels a pixel of theirs is high and wide.
    """
    return _draw_exactly([list(pictures.values())], titles=list(pictures), scale=scale)


def show_recolored(
    photos: Sequence[np.ndarray], recolored: Sequence[np.ndarray], edges: Sequence[np.ndarray]
) -> Figure:
    """Draw photographs, the same in other colors, and the edges of the latter: a row each.

    Args:
        photos: shape `(height, width, 3)`, uint8, or float from 0 to 1.
        recolored: likewise.
        edges: shape `(height, width)`, from 0; drawn dark where strong, each to its own full scale.
    """
    drawings = [1 - np.clip(edge / np.percentile(edge, 98), 0, 1) for edge in edges]
    rows = [list(photos), list(recolored), drawings]
    return _draw_exactly(rows, labels=("photograph", "recolored", "edges"), scale=2)


def show_filters(
    photo: np.ndarray, filtered: Mapping[str, tuple[np.ndarray, np.ndarray]]
) -> Figure:
    """Draw a gray photograph, and for each filter its kernel and its output.

    Blue is negative and red positive; each output has its own scale, and its one percent of most
    extreme values is drawn as if at the end of it.

    Args:
        photo: shape `(height, width)`.
        filtered: name to the kernel, of 3x3 whole numbers, and the output of shape
            `(height, width)`.
    """
    count = len(filtered)
    with plt.rc_context(STYLE):
        figure = plt.figure(figsize=(1.8 * (count + 1), 2.9))
        grid = figure.add_gridspec(2, count + 1, height_ratios=[1, 2.4])
        _draw_gray(figure.add_subplot(grid[1, 0]), photo, "photograph")
        for number, (name, (kernel, output)) in enumerate(filtered.items(), start=1):
            axes = figure.add_subplot(grid[0, number])
            limit = 2 * np.abs(kernel).max()
            _draw_gray(axes, kernel, name, limits=(-limit, limit), color_map=SIGNED)
            _write_numbers(axes, kernel)
            limit = np.percentile(np.abs(output), 99)
            axes = figure.add_subplot(grid[1, number])
            _draw_gray(axes, output, "", limits=(-limit, limit), color_map=SIGNED)
    return figure


def show_gradient(photo: np.ndarray, gx: np.ndarray, gy: np.ndarray, *, step: int = 4) -> Figure:
    """Draw gradients as arrows on a photograph, and their directions as hues with a key.

    Args:
        photo: gray, shape `(height, width)`.
        gx: the rise to the right, likewise.
        gy: the rise upward, likewise.
        step: how many pixels lie between arrows.
    """
    length = np.hypot(gx, gy)
    full = np.percentile(length[length > 0], 98) if length.any() else 1
    with plt.rc_context(STYLE):
        figure, (left, right, key) = plt.subplots(
            1, 3, figsize=(6.2, 2.7), width_ratios=[3.4, 3.4, 1.1]
        )
        _draw_gray(left, photo, "gradient as arrows")
        rows, columns = np.mgrid[
            step // 2 : photo.shape[0] : step, step // 2 : photo.shape[1] : step
        ]
        strong = length[rows, columns] > full / 4
        rows, columns = rows[strong], columns[strong]
        left.quiver(
            *(columns, rows, gx[rows, columns], gy[rows, columns]),
            color=ORANGE,
            angles="uv",
            scale_units="xy",
            scale=full / (2 * step),
            width=0.009,
        )
        _draw_gray(right, _hues(gx / full, gy / full), "direction as hue, strength as brightness")
        across, down = np.meshgrid(np.linspace(-1, 1, 201), np.linspace(-1, 1, 201))
        circle = _hues(across, -down)
        circle[np.hypot(across, down) > 1] = 1
        _draw_gray(key, circle, "brighter\nupward")
        key.set_xlabel("brighter\ndownward")
    return figure


def show_borders(photo: np.ndarray, margin: int) -> Figure:
    """Draw how each border continues a photograph; the photograph itself is framed.

    Args:
        photo: gray or color, `(height, width)` or `(height, width, 3)`, uint8.
        margin: how many pixels are added on each side.
    """
    # SciPy's names of borders, and NumPy's.
    names = {"reflect": "symmetric", "constant": "constant", "nearest": "edge"}
    names |= {"mirror": "reflect", "wrap": "wrap"}
    height, width = photo.shape[:2]
    with plt.rc_context(STYLE):
        figure, panels = plt.subplots(1, len(names), figsize=(7.6, 1.75))
        for (name, mode), axes in zip(names.items(), panels, strict=True):
            widths = [(margin, margin), (margin, margin), (0, 0)][: photo.ndim]
            extended = np.pad(photo, widths, mode=mode)  # type: ignore[call-overload]
            _draw_gray(axes, extended, name, limits=(0, 255))
            axes.add_patch(
                plt.Rectangle(
                    (margin - 0.5, margin - 0.5), width, height, fill=False, edgecolor=ORANGE
                )
            )
    return figure


def show_drift(
    pictures: Mapping[str, np.ndarray], dots: Mapping[str, np.ndarray], center: tuple[float, float]
) -> Figure:
    """Draw pictures in one row and dots in another, with lines through where the center was.

    Args:
        pictures: title to a gray picture of shape `(height, width)`, from 0 to 1.
        dots: likewise, each drawn from 0 to its maximum.
        center: the row and column to mark in the dots; in the pictures it is their own middle.
    """
    with plt.rc_context(STYLE):
        figure, grid = plt.subplots(2, len(pictures), figsize=(1.75 * len(pictures), 3.7))
        for axes, (title, picture) in zip(grid[0], pictures.items(), strict=True):
            _draw_gray(axes, picture, title, limits=(0, 1), count=100)
            _draw_cross(axes, ((picture.shape[0] - 1) / 2, (picture.shape[1] - 1) / 2))
        for axes, dot in zip(grid[1], dots.values(), strict=True):
            _draw_gray(axes, dot, "", limits=(0, dot.max()), color_map="gray_r")
            _draw_cross(axes, center)
    return figure


def show_stack_costs(
    sizes: Sequence[int],
    one: Mapping[str, Sequence[float]],
    stack: Mapping[str, Sequence[float]],
) -> Figure:
    """Draw what one large convolution costs beside a stack of 3x3 that sees as much.

    Args:
        sizes: height and width of what is seen, in pixels.
        one: what is counted, to its values for one convolution of each size.
        stack: the same for the stack.
    """
    with plt.rc_context(STYLE):
        figure, panels = plt.subplots(1, len(one), figsize=(8.4, 2.9), squeeze=False)
        for axes, (quantity, values) in zip(panels[0], one.items(), strict=True):
            axes.plot(sizes, values, color=GRAY, marker="o", label="one large kernel")
            axes.plot(sizes, stack[quantity], color=BLUE, marker="o", label="stack of 3x3")
            axes.set_xticks(sizes, [f"{size}x{size}" for size in sizes])
            axes.set(title=quantity, ylim=(0, 1.12 * max(values)))
            axes.grid(alpha=0.25)
            axes.yaxis.set_major_formatter(lambda value, _: _short(value))
        for size, large, small in zip(
            sizes, *(costs[next(iter(one))] for costs in (one, stack)), strict=True
        ):
            down = {"textcoords": "offset points", "ha": "center"}
            panels[0, 0].annotate(f"{large:,.0f}", (size, large), (-4, 7), color=GRAY, **down)
            panels[0, 0].annotate(f"{small:,.0f}", (size, small), (4, -14), color=BLUE, **down)
        panels[0, 0].set_ylim(bottom=-0.1 * max(next(iter(one.values()))))
        panels[0, 0].legend(loc="upper left", frameon=False)
        figure.supxlabel("pixels seen", fontsize=9)
    return figure


def show_rims(pictures: Mapping[str, np.ndarray]) -> Figure:
    """Draw a gray picture and outputs beside each other: blue below zero, white at it, red above.

    Args:
        pictures: title to values of shape `(height, width)`; the first is drawn in gray, the others
            on one scale for all.
    """
    (name, picture), *outputs = pictures.items()
    limit = max(np.percentile(np.abs(values), 99) for _, values in outputs)
    with plt.rc_context(STYLE):
        figure, panels = plt.subplots(1, len(pictures), figsize=(2.1 * len(pictures), 2.4))
        _draw_gray(panels[0], picture, name)
        for axes, (title, values) in zip(panels[1:], outputs, strict=True):
            _draw_gray(axes, values, title, limits=(-limit, limit), color_map=SIGNED)
    return figure


def show_kernel_fits(
    targets: Mapping[str, np.ndarray], fits: Sequence[np.ndarray], errors: Sequence[float]
) -> Figure:
    """Draw kernels and the nearest ones that were found, with what is left over.

    Args:
        targets: name to kernel.
        fits: one a target, of the same shape.
        errors: one a fit: the length of the difference, as a share of the target's.
    """
    with plt.rc_context(STYLE):
        figure, grid = plt.subplots(2, len(targets), figsize=(1.45 * len(targets), 3.5))
        for column, (name, target), fit, error in zip(
            grid.T, targets.items(), fits, errors, strict=True
        ):
            limit = np.abs(target).max()
            for axes, kernel in zip(column, (target, fit), strict=True):
                _draw_gray(axes, kernel, "", limits=(-limit, limit), color_map=SIGNED)
            column[0].set_title(name)
            column[1].set_xlabel(f"{100 * error:.0f} % left over")
        grid[0, 0].set_ylabel("wanted")
        grid[1, 0].set_ylabel("two 3x3")
    return figure


def show_chains(chains: Mapping[str, Sequence[int]]) -> Figure:
    """Draw how the side of a picture shrinks from layer to layer.

    Args:
        chains: name to the sides in pixels, the input's first.
    """
    with plt.rc_context(STYLE):
        figure, axes = plt.subplots(figsize=(8, 2.6))
        for (name, sides), color in zip(chains.items(), (BLUE, ORANGE, GRAY), strict=False):
            axes.plot(range(len(sides)), sides, color=color, marker=".", markersize=4, label=name)
            axes.annotate(
                f"{sides[-1]}x{sides[-1]} after {len(sides) - 1} layers",
                (len(sides) - 1, sides[-1]),
                (6, 6),
                textcoords="offset points",
                color=color,
            )
        longest = max(len(sides) for sides in chains.values())
        axes.set(xlabel="layers", ylabel="height and width in pixels", ylim=(0, None))
        axes.set_xlim(0, 1.25 * longest)
        axes.legend(frameon=False)
        axes.grid(alpha=0.25)
    return figure


def _draw_exactly(
    rows: Sequence[Sequence[np.ndarray]],
    *,
    titles: Sequence[str] = (),
    labels: Sequence[str] = (),
    scale: int = 1,
) -> Figure:
    """Draw rows of equally large pictures pixel by pixel, in a few shades, to keep files small."""
    height, width = (scale * size for size in rows[0][0].shape[:2])
    gap, head, side = 10, 18 if titles else 0, 18 if labels else 0
    across = side + len(rows[0]) * (width + gap) - gap
    down = head + len(rows) * (height + gap) - gap
    with plt.rc_context({**STYLE, "figure.constrained_layout.use": False}):
        figure = plt.figure(figsize=(across / _DPI, down / _DPI))
        for number, row in enumerate(rows):
            for place, picture in enumerate(row):
                left = side + place * (width + gap)
                bottom = down - head - height - number * (height + gap)
                axes = figure.add_axes(
                    (left / across, bottom / down, width / across, height / down)
                )
                full = 255 if picture.dtype == np.uint8 else 1
                shades = np.rint(31 * (picture / full)) / 31
                _draw_gray(axes, shades, "", limits=(0, 1), smooth=False)
                if titles and number == 0:
                    axes.set_title(titles[place], pad=3)
                if labels and place == 0:
                    axes.set_ylabel(labels[number])
    return figure


def _draw_gray(
    axes: Axes,
    picture: np.ndarray,
    title: str,
    *,
    limits: tuple[float, float] | None = None,
    color_map: str = "gray",
    smooth: bool = True,
    count: int | None = None,
) -> None:
    """Draw a picture without ticks and frame; unless smooth, no colors are made between pixels."""
    low, high = limits or (None, None)
    # A few shades are enough where much goes on, and make a much smaller file.
    shades = plt.get_cmap(color_map, count or _SHADES[color_map])
    interpolation = "auto" if smooth else "nearest"
    axes.imshow(
        picture,
        cmap=shades,
        vmin=low,
        vmax=high,
        interpolation=interpolation,
        interpolation_stage="data",
    )
    axes.set(xticks=[], yticks=[], title=title)
    for spine in axes.spines.values():
        spine.set_visible(False)


def _draw_marks(axes: Axes, marks: Mapping[str, np.ndarray]) -> None:
    """Draw each kind of mark in a form and color of its own, with its count in the legend."""
    forms = [("o", BLUE), ("s", ORANGE), ("x", "#c53030"), ("^", GRAY)]
    for (name, places), (form, color) in zip(marks.items(), forms, strict=False):
        rows, columns = np.reshape(places, (-1, 2)).T
        open_form: dict[str, Any] = {} if form == "x" else {"facecolors": "none"}
        axes.scatter(
            columns, rows, 150, marker=form, color=color, label=f"{name}: {len(rows)}", **open_form
        )
    axes.legend(loc="lower right", bbox_to_anchor=(1, 1), ncols=4, frameon=False, borderaxespad=0.1)


def _draw_cross(axes: Axes, center: tuple[float, float]) -> None:
    axes.axhline(center[0], color=ORANGE, linewidth=0.8)
    axes.axvline(center[1], color=ORANGE, linewidth=0.8)


def _hues(gx: np.ndarray, gy: np.ndarray) -> np.ndarray:
    """Colors of shape `(..., 3)`: the direction as hue, the length up to one as brightness.

    Both in steps: a few colors make a small file.
    """
    hue = (np.arctan2(gy, gx) / (2 * np.pi)) % 1
    brightness = np.rint(10 * np.clip(np.hypot(gx, gy), 0, 1)) / 10
    hue = np.rint(72 * hue) / 72
    return hsv_to_rgb(np.stack([hue, np.full_like(hue, 0.85), brightness], axis=-1))


def _write_numbers(axes: Axes, values: np.ndarray) -> None:
    for (row, column), value in np.ndenumerate(values):
        text = f"{value:.0f}".replace("-", _MINUS)
        axes.text(column, row, text, ha="center", va="center")


def _short(value: float) -> str:
    for scale, unit in ((1e9, " bn"), (1e6, " M"), (1e3, " k")):
        if value >= scale:
            return f"{value / scale:g}{unit}"
    return f"{value:g}"
