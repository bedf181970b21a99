"""The figures on the family of activation functions and on how they fare in training."""

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
from keras import ops
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from evalib.networks.activations import Activation
from evalib.plots.style import BLUE, GRAY, ORANGE, STYLE

_COLORS = (BLUE, ORANGE, "#2f855a", "#b83280", "#6b46c1", GRAY, "#63b3ed")


def show_family(
    family: Mapping[str, Activation], *, columns: int = 5, limit: float = 4.0
) -> Figure:
    """Draw each activation function in blue and its derivative in orange, a panel each.

    Args:
        family: name to function; the derivative is the one that is written down there.
        columns: panels a row.
        limit: inputs are drawn from minus this to this.
    """
    x = np.linspace(-limit, limit, 320)  # an even number, so that zero is not among them
    rows = -(-len(family) // columns)
    with plt.rc_context(STYLE):
        figure, grid = plt.subplots(
            rows,
            columns,
            figsize=(1.95 * columns, 1.9 * rows + 0.2),
            sharex=True,
            sharey=True,
            squeeze=False,
        )
        for axes in grid.flat[len(family) :]:
            axes.set_axis_off()
        for axes, one in zip(grid.flat, family.values(), strict=False):
            _cross(axes)
            steps, slopes = _with_gaps(x, one.derivative(x), one.kinks)
            axes.plot(steps, slopes, color=ORANGE, lw=1.1, label="its derivative")
            values = ops.convert_to_numpy(one.function(ops.convert_to_tensor(x, "float32")))
            axes.plot(x, values, color=BLUE, lw=1.8, label="the function")
            axes.set_title(one.title, fontweight="bold", loc="left", pad=14)
            axes.text(0, 1.03, f"${one.formula}$", transform=axes.transAxes, fontsize=7.5)
            axes.set(xlim=(-limit, limit), ylim=(-2, limit))
        for axes in grid[:, 0]:
            axes.set_yticks([-2, 0, 2, 4])
        handles, labels = grid[0, 0].get_legend_handles_labels()
        figure.legend(
            handles[::-1], labels[::-1], loc="outside upper right", ncols=2, frameon=False
        )
    return figure


def show_depth(
    moments: Mapping[str, tuple[np.ndarray, np.ndarray]], *, floor: float = 1e-6, top: float = 1e3
) -> Figure:
    """Draw mean and variance of what each layer of deep networks gives.

    Args:
        moments: label to means and variances, each of shape `(layers,)`.
        floor: smaller variances are drawn as this.
        top: larger variances are drawn as this.
    """
    with plt.rc_context(STYLE):
        figure, (left, right) = plt.subplots(1, 2, figsize=(9, 2.9))
        for color, (label, (means, variances)) in zip(_COLORS, moments.items(), strict=False):
            layer = np.arange(1, len(means) + 1)
            left.plot(layer, means, color=color, lw=1.6)
            right.semilogy(layer, np.clip(variances, floor, top), color=color, lw=1.6, label=label)
        left.set(xlabel="layer", ylabel="mean", title="mean of the activations", ylim=(-1, 1.5))
        right.set(xlabel="layer", ylabel="variance", title="variance of the activations")
        right.set_ylim(floor, top)
        for axes, promise in ((left, 0), (right, 1)):
            axes.axhline(promise, color="black", lw=0.8, ls=":")
            axes.grid(alpha=0.25)
        figure.legend(loc="outside right upper", frameon=False)
    return figure


def show_learned(
    rows: Mapping[str, Mapping[str, tuple[np.ndarray, np.ndarray, np.ndarray]]],
) -> Figure:
    """Draw the curves that channels learned, a row a kind of function, a column a layer.

    Args:
        rows: label of the row to title of the panel to the inputs, shape `(n,)`, the curves of all
            channels, `(channels, n)`, and the curve that they began with, `(n,)`. Every panel has
            scales of its own.
    """
    columns = max(len(panels) for panels in rows.values())
    with plt.rc_context(STYLE):
        size = (2.2 * columns, 2.05 * len(rows))
        figure, grid = plt.subplots(len(rows), columns, figsize=size, squeeze=False)
        for line, (label, panels) in zip(grid, rows.items(), strict=True):
            line[0].set_ylabel(label)
            for axes in line[len(panels) :]:
                axes.set_axis_off()
            for axes, (title, (x, curves, start)) in zip(line, panels.items(), strict=False):
                _cross(axes)
                axes.plot(x, np.transpose(curves), color=BLUE, lw=0.8, alpha=0.45)
                axes.plot(x, start, color=ORANGE, lw=1.3, ls="--")
                axes.set(title=title, xlim=(x[0], x[-1]), ylim=(0.6 * x[0], 1.1 * x[-1]))
                for axis in (axes.xaxis, axes.yaxis):
                    axis.set_major_locator(MaxNLocator(4, steps=[1, 2, 5, 10]))
    return figure


def show_race(
    marks: Sequence[int],
    errors: Mapping[str, np.ndarray],
    highlighted: Sequence[str],
    target: float,
) -> Figure:
    """Draw the error on the way, the median of the seeds: some in color, the others in gray.

    Args:
        marks: steps at which the error was measured, from 1 up.
        errors: label to errors in percent, shape `(seeds, marks)`.
        highlighted: labels to draw in color, with an area from the best to the worst seed; the
            others share one color.
        target: an error in percent to mark with a dashed line.
    """
    with plt.rc_context(STYLE):
        figure, axes = plt.subplots(figsize=(7.6, 3.4))
        colors = dict(zip(highlighted, _COLORS, strict=False))
        others = "the others"
        for label in sorted(errors, key=lambda one: one in colors):
            middle = np.median(errors[label], axis=0)
            if label in colors:
                axes.loglog(marks, middle, color=colors[label], lw=1.9, label=label)
                low, high = errors[label].min(axis=0), errors[label].max(axis=0)
                axes.fill_between(marks, low, high, color=colors[label], alpha=0.15, lw=0)
            else:
                axes.loglog(marks, middle, color="#b8c0cc", lw=1.1, label=others)
                others = "_nolegend_"
        axes.axhline(target, color="black", lw=0.8, ls="--")
        axes.set(xlabel="step", ylabel="validation error in %")
        _plain_ticks(axes, "y", (1, 2, 3, 5, 10, 20, 50, 90))
        _plain_ticks(axes, "x", (20, 50, 100, 200, 500, 1000))
        axes.grid(alpha=0.25)
        figure.legend(loc="outside right upper", frameon=False)
    return figure


def show_ranking(
    panels: Mapping[str, Mapping[str, Sequence[float]]], *, reference: str, logarithmic: bool = True
) -> Figure:
    """Draw the result of every seed as a point and the mean as a stroke, a row a label.

    The rows come in the order of the first panel's means. A band marks one standard deviation on
    either side of the reference's mean.

    Args:
        panels: title of the panel to label to one value a seed. A seed without a value is left
            out, and "never" is written where none has one.
        reference: the label that has the band.
        logarithmic: whether the axes of the values are.
    """
    first = next(iter(panels.values()))
    order = sorted(first, key=lambda label: float(np.mean(first[label])))
    with plt.rc_context(STYLE):
        figure, row = plt.subplots(
            1,
            len(panels),
            figsize=(4.5 * len(panels), 0.6 + 0.24 * len(order)),
            width_ratios=[1.5] + [1] * (len(panels) - 1),
            sharey=True,
            squeeze=False,
        )
        for axes, (title, results) in zip(row[0], panels.items(), strict=True):
            middle, spread = np.mean(results[reference]), np.std(results[reference], ddof=1)
            axes.axvspan(middle - spread, middle + spread, color=ORANGE, alpha=0.18, lw=0)
            for place, label in enumerate(order):
                values = np.asarray(results[label], float)
                color = ORANGE if label == reference else BLUE
                if len(values) == 0:
                    axes.text(
                        0.98,
                        place,
                        "never",
                        transform=axes.get_yaxis_transform(),
                        ha="right",
                        va="center",
                        color=GRAY,
                    )
                    continue
                axes.plot(values, np.full(len(values), place), "o", color=color, ms=4, alpha=0.55)
                axes.plot(values.mean(), place, "|", color=color, ms=13, mew=2)
            if logarithmic:
                axes.set_xscale("log")
                _plain_ticks(axes, "x", (1, 1.5, 2, 3, 5, 10, 20, 50, 100, 200, 500))
            else:
                axes.xaxis.set_major_locator(MaxNLocator(5))
            axes.set_title(title)
            axes.grid(axis="x", alpha=0.25)
        row[0, 0].set_yticks(range(len(order)), order)
        row[0, 0].invert_yaxis()
    return figure


def _cross(axes: Axes) -> None:
    """The two axes through zero, instead of a frame."""
    axes.axhline(0, color="#cbd5e0", lw=0.8, zorder=0)
    axes.axvline(0, color="#cbd5e0", lw=0.8, zorder=0)
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0, labelsize=7, colors=GRAY)


def _with_gaps(
    x: np.ndarray, values: np.ndarray, places: Sequence[float]
) -> tuple[np.ndarray, np.ndarray]:
    """Break a line where it jumps: a value that is no number ends one piece and begins the next."""
    before = np.searchsorted(x, places)
    return np.insert(x, before, places), np.insert(values, before, np.nan)


def _plain_ticks(axes: Axes, which: str, ticks: Sequence[float]) -> None:
    """Plain numbers on a logarithmic axis."""
    axis = axes.xaxis if which == "x" else axes.yaxis
    low, high = axis.get_view_interval()
    kept = [tick for tick in ticks if low <= tick <= high]
    axis.set_ticks(kept, [f"{tick:g}" for tick in kept])
    axis.set_ticks([], minor=True)
