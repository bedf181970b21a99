"""The figures on what an activation function makes possible, and what it does to signals."""

from collections.abc import Callable, Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from evalib.plots.style import (
    BLUE,
    GRAY,
    ORANGE,
    SIGNED,
    STYLE,
    draw_picture,
    exact_grid,
    hide_axes,
)

Panel = tuple[np.ndarray, np.ndarray, Callable[[np.ndarray], np.ndarray]]
_LINES = (BLUE, ORANGE, GRAY, "#2f855a", "#b83280")
_PALE_BLUE, _PALE_ORANGE = "#cfe0f3", "#fbdcc0"
_STEPS = 200  # of the lattice of points that a decision is asked for, along each side


def show_decision_regions(panels: Mapping[str, Panel]) -> Figure:
    """Draw points of two classes, and behind them where a classifier says which.

    Args:
        panels: title to the points, shape `(n, 2)`, their classes, 0 or 1, shape `(n,)`, and the
            classifier: from points of shape `(m, 2)`, float32, to `m` numbers that are above zero
            for class 1.
    """
    with plt.rc_context(STYLE):
        figure, row = plt.subplots(1, len(panels), figsize=(2.3 * len(panels), 2.6), squeeze=False)
        for axes, (title, (points, labels, decide)) in zip(row[0], panels.items(), strict=True):
            low, high = points.min(axis=0), points.max(axis=0)
            middle, half = (low + high) / 2, 0.6 * (high - low).max()
            (left, bottom), (right, top) = middle - half, middle + half
            across, up = np.meshgrid(
                np.linspace(left, right, _STEPS), np.linspace(bottom, top, _STEPS)
            )
            lattice = np.stack([across.ravel(), up.ravel()], axis=1).astype("float32")
            decisions = np.asarray(decide(lattice)).reshape(across.shape)
            axes.imshow(
                decisions > 0,
                cmap=ListedColormap([_PALE_BLUE, _PALE_ORANGE]),
                vmin=0,
                vmax=1,
                extent=(left, right, bottom, top),
                origin="lower",
                interpolation="nearest",
            )
            for label, color in ((0, BLUE), (1, ORANGE)):
                x, y = points[labels == label].T
                axes.plot(x, y, ".", color=color, ms=2.5)
            hide_axes(axes, title)
    return figure


def show_fits(
    x: np.ndarray,
    target: np.ndarray,
    fits: Mapping[str, Mapping[str, tuple[np.ndarray, np.ndarray]]],
) -> Figure:
    """Draw a curve, what was fitted to it, and where the fit bends, a panel for each fit.

    Args:
        x: places in rising order, shape `(n,)`.
        target: the curve there, likewise.
        fits: label of the row to title of the panel to the fitted values, shape `(n,)`, and the
            places where the fit bends.
    """
    columns = max(len(row) for row in fits.values())
    with plt.rc_context(STYLE):
        figure, grid = plt.subplots(
            len(fits),
            columns,
            figsize=(2.75 * columns, 1.75 * len(fits) + 0.4),
            sharex=True,
            sharey=True,
            squeeze=False,
        )
        for line, (label, row) in zip(grid, fits.items(), strict=True):
            line[0].set_ylabel(label)
            for axes, (title, (values, kinks)) in zip(line, row.items(), strict=True):
                axes.plot(x, target, color="#b8c0cc", lw=5, label="the curve")
                axes.plot(x, values, color=BLUE, lw=1.5, label="the network")
                heights = np.interp(kinks, x, values)
                axes.plot(kinks, heights, "o", color=ORANGE, ms=3.5, label="a kink", zorder=3)
                axes.set_title(title)
                axes.grid(alpha=0.25)
        handles, labels = grid[0, 0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside upper center", ncols=3, frameon=False)
    return figure


def show_saturation(
    x: np.ndarray, curves: Mapping[str, tuple[np.ndarray, np.ndarray]], *, share: float = 0.01
) -> Figure:
    """Draw functions with their derivatives; where these are next to nothing is shaded.

    Args:
        x: places in rising order, shape `(n,)`.
        curves: title to values and slopes, each of shape `(n,)`.
        share: a slope below this share of the greatest counts as next to nothing.
    """
    with plt.rc_context(STYLE):
        figure, row = plt.subplots(
            1, len(curves), figsize=(3.1 * len(curves), 2.3), sharey=True, squeeze=False
        )
        for axes, (title, (values, slopes)) in zip(row[0], curves.items(), strict=True):
            flat = slopes < share * slopes.max()
            edges = x[np.flatnonzero(np.diff(flat.astype(int))) + 1].tolist()
            starts = [*([x[0]] if flat[0] else []), *edges, *([x[-1]] if flat[-1] else [])]
            for left, right in zip(starts[::2], starts[1::2], strict=True):
                axes.axvspan(left, right, color=GRAY, alpha=0.2, lw=0)
            axes.plot(x, slopes, color=ORANGE, lw=1.2, label="its derivative")
            axes.plot(x, values, color=BLUE, lw=1.8, label="the function")
            # No numbers at the ends, where those of two panels would run into each other.
            axes.set(title=title, xlim=(x[0], x[-1]), xticks=np.linspace(x[0], x[-1], 5)[1:-1])
            axes.grid(alpha=0.25)
        handles, labels = row[0, 0].get_legend_handles_labels()
        figure.legend(
            handles[::-1], labels[::-1], loc="outside lower center", ncols=2, frameon=False
        )
    return figure


def show_gradient_sizes(
    measured: Mapping[str, np.ndarray], predicted: Mapping[str, np.ndarray]
) -> Figure:
    """Draw how large gradients are in each layer: measured as points, predicted as lines.

    Args:
        measured: label to the size in each layer, the first layer first, shape `(layers,)`.
        predicted: likewise, relative to the last layer, at which each line begins.
    """
    with plt.rc_context(STYLE):
        figure, axes = plt.subplots(figsize=(6.4, 3))
        for color, (label, sizes) in zip(_LINES, measured.items(), strict=False):
            layer = np.arange(1, len(sizes) + 1)
            axes.semilogy(layer, sizes[-1] * predicted[label], color=color, lw=1.2, label=label)
            axes.semilogy(layer, sizes, "o", color=color, ms=4)
        axes.set(xlabel="layer", ylabel="size of the gradient")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.grid(alpha=0.25)
        axes.legend(frameon=False, loc="center left", bbox_to_anchor=(1, 0.5))
    return figure


def show_number_maps(maps: Mapping[str, np.ndarray]) -> Figure:
    """Draw small maps as fields with their numbers: red above zero, blue below, white at zero.

    Args:
        maps: title to whole numbers of shape `(height, width)`, all on one scale.
    """
    limit = 1.6 * max(np.abs(values).max() for values in maps.values())
    with plt.rc_context(STYLE):
        figure, row = plt.subplots(1, len(maps), figsize=(1.75 * len(maps), 2), squeeze=False)
        for axes, (title, values) in zip(row[0], maps.items(), strict=True):
            hide_axes(axes, title)
            axes.imshow(values, cmap=plt.get_cmap(SIGNED, 33), vmin=-limit, vmax=limit)
            for (y, x), value in np.ndenumerate(values):
                text = f"{value:.0f}".replace("-", "\N{MINUS SIGN}")
                color = GRAY if value == 0 else "black"
                axes.text(x, y, text, ha="center", va="center", fontsize=10, color=color)
            edges = np.arange(-0.5, max(values.shape))
            axes.hlines(edges[: values.shape[0] + 1], -0.5, values.shape[1] - 0.5, "#cbd5e0", lw=1)
            axes.vlines(edges[: values.shape[1] + 1], -0.5, values.shape[0] - 0.5, "#cbd5e0", lw=1)
    return figure


def show_signed_maps(
    photo: np.ndarray, maps: Mapping[str, np.ndarray], *, columns: int = 4
) -> Figure:
    """Draw a gray photograph and maps of its size, pixel by pixel: red above zero, blue below.

    All maps have one scale, and the one percent of most extreme values is drawn as if at its end.

    Args:
        photo: shape `(height, width)`, 0 to 1.
        maps: title to shape `(height, width)`.
        columns: pictures a row.
    """
    limit = max(np.percentile(np.abs(values), 99) for values in maps.values())
    rows = -(-(len(maps) + 1) // columns)
    figure, grid = exact_grid(rows, min(columns, len(maps) + 1), *photo.shape, gap=22)
    with plt.rc_context(STYLE):
        draw_picture(grid.flat[0], photo)
        grid.flat[0].set_title("photograph")
        for axes, (title, values) in zip(grid.flat[1:], maps.items(), strict=False):
            shades = plt.get_cmap(SIGNED, 17)  # an odd number: zero is white
            axes.imshow(values, cmap=shades, vmin=-limit, vmax=limit, interpolation="nearest")
            axes.set_title(title)
    return figure


def show_rate_effects(
    panels: Mapping[str, Mapping[str, Mapping[float, Sequence[float]]]],
) -> Figure:
    """Draw what the learning rate does: a point for each seed, and a line through the means.

    Args:
        panels: label of the vertical axis to label of the line to learning rate to one value, in
            percent, for each seed.
    """
    with plt.rc_context(STYLE):
        size = (3.5 * len(panels) + 0.8, 2.6)
        figure, row = plt.subplots(1, len(panels), figsize=size, squeeze=False)
        for axes, (title, lines) in zip(row[0], panels.items(), strict=True):
            for color, (label, by_rate) in zip(_LINES, lines.items(), strict=False):
                rates = sorted(by_rate)
                means = [float(np.mean(by_rate[rate])) for rate in rates]
                axes.semilogx(rates, means, color=color, lw=1.6, label=label)
                for rate in rates:
                    values = by_rate[rate]
                    axes.plot([rate] * len(values), values, "o", color=color, ms=4, alpha=0.5)
            axes.set(xlabel="learning rate", ylabel=title, ylim=(-4, 104))
            axes.grid(alpha=0.25)
        handles, labels = row[0, 0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside right upper", frameon=False)
    return figure
