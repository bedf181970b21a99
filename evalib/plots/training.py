"""The figures on initial kernels and on training. Each function returns the matplotlib figure."""

from collections.abc import Callable, Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from evalib.plots.style import BLUE, COLORS, GRAY, GREEN, ORANGE, SIGNED, STYLE

Curve = tuple[Sequence[float] | np.ndarray, Sequence[float] | np.ndarray]
Moments = Mapping[str, tuple[np.ndarray, np.ndarray]]


def show_signals(measured: Mapping[str, Moments], predicted: Mapping[str, Moments]) -> Figure:
    """Draw how large activations and gradients are in each layer, a row an activation function.

    Measured values are points, predicted ones lines. The prediction of the gradients is relative,
    so its line begins at the last layer's point.

    Args:
        measured: title of the row to label to the second moments of activations and gradients,
            each of shape `(layers,)`.
        predicted: likewise, under the same names.
    """
    with plt.rc_context(STYLE):
        figure, grid = plt.subplots(
            len(measured), 2, figsize=(8.4, 2.4 * len(measured)), sharex=True, squeeze=False
        )
        for row, (title, by_label) in zip(grid, measured.items(), strict=True):
            for color, (label, sizes) in zip(COLORS, by_label.items(), strict=False):
                lines = predicted[title][label]
                for axes, points, line, scale in zip(row, sizes, lines, (1, None), strict=True):
                    layer = np.arange(1, len(points) + 1)
                    scale = scale or points[-1]
                    axes.semilogy(layer, points, ".", ms=4, color=color)
                    axes.semilogy(layer, scale * line, lw=1, color=color, label=label)
            row[0].set(ylabel="mean square", title=f"{title}: activations, forward")
            row[1].set_title(f"{title}: gradients, backward")
            for axes in row:
                axes.grid(alpha=0.25)
        for axes in grid[-1]:
            axes.set_xlabel("layer")
        handles, labels = grid[0, 0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside right upper", frameon=False)
    return figure


def show_spreads(activations: Mapping[str, np.ndarray], limit: float = 1.0) -> Figure:
    """Draw the distribution of the activations of every layer, a picture a network.

    Each column is the histogram of one layer, dark where many values lie, scaled to its own
    highest bin.

    Args:
        activations: title to values of shape `(layers, ...)`.
        limit: values are drawn from minus this to this.
    """
    edges = np.linspace(-limit, limit, 62)  # an odd number of bins: zero has one to itself
    with plt.rc_context(STYLE):
        figure, grid = plt.subplots(
            1, len(activations), figsize=(2.3 * len(activations), 2.3), sharey=True, squeeze=False
        )
        for axes, (title, values) in zip(grid.flat, activations.items(), strict=True):
            counts = np.stack([np.histogram(layer, edges)[0] for layer in values], axis=1)
            axes.imshow(
                counts / counts.max(axis=0),
                cmap="Blues",
                aspect="auto",
                origin="lower",
                extent=(0.5, len(values) + 0.5, -limit, limit),
                vmin=0,
                vmax=1,
                interpolation="nearest",
            )
            axes.set(xlabel="layer", title=title, yticks=[-limit, 0, limit])
            axes.set_xticks(
                [1, *range(10, len(values), 20), len(values)]
                if len(values) > 9
                else range(1, len(values) + 1)
            )
        grid[0, 0].set_ylabel("activation")
    return figure


def show_losses(
    panels: Mapping[str, Mapping[str, Curve]], *, chance: float | None = None
) -> Figure:
    """Draw loss curves, a panel for each group. A curve that ends in a cross is no number there.

    Args:
        panels: title to label to the steps and the loss at each, in nats.
        chance: a loss to mark with a dashed line.
    """
    finite = [
        value
        for curves in panels.values()
        for _, losses in curves.values()
        for value in losses
        if np.isfinite(value)
    ]
    top = 1.05 * max(finite)
    with plt.rc_context(STYLE):
        figure, grid = plt.subplots(
            1, len(panels), figsize=(4.1 * len(panels) + 0.9, 2.8), sharey=True, squeeze=False
        )
        for axes, (title, curves) in zip(grid.flat, panels.items(), strict=True):
            if chance is not None:
                axes.axhline(chance, color="black", lw=0.8, ls="--", label="guessing")
            for number, (label, (steps, losses)) in enumerate(curves.items()):
                # Each a little thinner than the one before, so that equal curves all show.
                color, thick = COLORS[number], (6.5, 3.2, 1.8, 1.4, 1.4, 1.4)[number]
                axes.plot(steps, losses, color=color, lw=thick, label=label)
                lost = np.flatnonzero(~np.isfinite(losses))
                if len(lost):
                    place = steps[lost[0]], 0.96 * top
                    axes.plot(*place, "x", color=color, ms=8, mew=2)
                    axes.text(place[0], place[1], "   no number", color=color, va="center")
            axes.set(xlabel="step", title=title, ylim=(0, top))
            axes.grid(alpha=0.25)
        grid[0, 0].set_ylabel("loss in nats")
        handles, labels = grid[0, 0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside right upper", frameon=False)
    return figure


def show_weights(layers: Mapping[str, Mapping[str, np.ndarray]]) -> Figure:
    """Draw histograms of kernels, a panel a layer, the states of a layer over each other.

    Args:
        layers: title to label to weights of any shape. Two or more states share their bins.
    """
    with plt.rc_context(STYLE):
        figure, grid = plt.subplots(1, len(layers), figsize=(3.1 * len(layers), 2.5), squeeze=False)
        for axes, (title, states) in zip(grid.flat, layers.items(), strict=True):
            limit = max(np.abs(weights).max() for weights in states.values())
            edges = np.linspace(-limit, limit, 42)
            for color, (label, weights) in zip((GRAY, ORANGE), states.items(), strict=False):
                shown = weights.ravel()
                axes.hist(shown, edges, color=color, alpha=0.35)
                axes.hist(shown, edges, color=color, histtype="step", lw=1.4, label=label)
            axes.set(title=title, xlabel="weight", yticks=[])
            axes.spines["left"].set_visible(False)
        grid[0, 0].set_ylabel("how many")
        grid[0, 0].legend(frameon=False, loc="upper left", fontsize=8)
    return figure


def show_kernel_film(snapshots: Sequence[np.ndarray], titles: Sequence[str]) -> Figure:
    """Draw kernels as they change: a row a moment, a column a kernel.

    Blue is negative, white zero and red positive, on one scale for all. Only the slice of the
    first channel is drawn.

    Args:
        snapshots: the kernels at each moment, shape `(height, width, channels, count)`.
        titles: one a moment.
    """
    limit = max(np.abs(kernels[:, :, 0]).max() for kernels in snapshots)
    count = snapshots[0].shape[-1]
    with plt.rc_context(STYLE):
        figure, grid = plt.subplots(
            len(snapshots),
            count,
            figsize=(0.78 * count + 0.9, 0.78 * len(snapshots)),
            squeeze=False,
        )
        for row, kernels, title in zip(grid, snapshots, titles, strict=True):
            for number, axes in enumerate(row):
                axes.imshow(kernels[:, :, 0, number], cmap=SIGNED, vmin=-limit, vmax=limit)
                axes.set(xticks=[], yticks=[])
                axes.spines[:].set_visible(False)
            row[0].set_ylabel(title, rotation=0, ha="right", va="center")
    return figure


def show_tiny_network(
    values: Mapping[str, np.ndarray], gradients: Mapping[str, np.ndarray], names: Sequence[str]
) -> Figure:
    """Draw a network of two layers with every number that passes through it.

    Black is what goes forward: values in the nodes, weights on the arrows. Orange below it is the
    gradient of the loss by that number, which comes back.

    Args:
        values: `x`, `w1`, `b1`, `z1`, `a1`, `w2`, `b2`, `z2` and `p` of one picture, and `loss`;
            the vectors of shape `(units,)`, the kernels of shape `(inputs, units)`.
        gradients: of `w1`, `z1`, `w2` and `z2`. That of a bias is the same as its node's.
        names: of the two inputs, then of the two outputs; the second is the right answer.
    """
    heights = (0.9, -0.9)
    left, middle, right, end = 0.0, 2.6, 5.2, 7.4
    with plt.rc_context(STYLE):
        figure, axes = plt.subplots(figsize=(9.2, 3.7))
        axes.set(xlim=(-1.5, 9.0), ylim=(-1.85, 1.85))
        axes.set_axis_off()
        for weights, x, next_x in (("w1", left, middle), ("w2", middle, right)):
            for (i, j), weight in np.ndenumerate(values[weights]):
                begin, finish = (x, heights[i]), (next_x, heights[j])
                _draw_arrow(axes, begin, finish, weight, gradients[weights][i, j])
        for i, y in enumerate(heights):
            _draw_node(axes, (left, y), [f"{values['x'][i]:.2f}"], GRAY)
            axes.text(left - 0.55, y, names[i], ha="right", va="center")
            _draw_node(
                axes, (middle, y), [f"{values['z1'][i]:.2f}", f"→ {values['a1'][i]:.2f}"], BLUE
            )
            _draw_node(
                axes, (right, y), [f"{values['z2'][i]:.2f}", f"→ {values['p'][i]:.2f}"], BLUE
            )
            for layer, x in (("1", middle), ("2", right)):
                bias = f"bias {values['b' + layer][i]:.2f}"
                axes.text(x, y + 0.5, bias, ha="center", va="bottom", fontsize=7.5)
                back = _signed(gradients["z" + layer][i])
                axes.text(x, y - 0.5, back, ha="center", va="top", color=ORANGE, fontsize=8.5)
            axes.text(right + 0.55, y, names[2 + i], ha="left", va="center")
        # The loss reads the probability of the right answer, which is the second output.
        _draw_node(axes, (end + 0.6, heights[1]), ["loss", f"{values['loss']:.3f}"], GRAY)
        axes.annotate(
            "",
            (end + 0.6, heights[1]),
            (right + 1.15, heights[1]),
            arrowprops={"arrowstyle": "->", "color": GRAY, "shrinkA": 0, "shrinkB": 26},
        )
        axes.text((right + end + 1.4) / 2, heights[1] + 0.06, "−ln", ha="center", va="bottom")
        axes.text(end + 0.6, heights[0] + 0.1, "forward", ha="center", va="bottom")
        back = "gradient of the loss"
        axes.text(end + 0.6, heights[0] - 0.1, back, ha="center", va="top", color=ORANGE)
    return figure


def show_paths(
    surface: Callable[[np.ndarray, np.ndarray], np.ndarray],
    panels: Mapping[str, Mapping[str, np.ndarray]],
    box: tuple[float, float, float, float],
    *,
    columns: int = 3,
) -> Figure:
    """Draw the paths of optimizers over the contours of a surface.

    A circle is where a path begins, a dot where it ends. The contours lie at equal distances of
    the square root of the height above the lowest point drawn.

    Args:
        surface: the height at arrays of `x` and `y`.
        panels: title to label to a path of shape `(steps + 1, 2)`. One path has no legend.
        box: the piece that is drawn, `(left, right, bottom, top)`.
        columns: panels a row.
    """
    x, y = np.meshgrid(np.linspace(*box[:2], 161), np.linspace(*box[2:], 121))
    height = surface(x, y)
    heights = np.sqrt(height - height.min())
    columns = min(columns, len(panels))
    rows = -(-len(panels) // columns)
    wide = 8.2 / columns
    tall = wide * (box[3] - box[2]) / (box[1] - box[0])
    with plt.rc_context(STYLE):
        figure, grid = plt.subplots(
            rows,
            columns,
            figsize=(8.2, rows * (tall + 0.3)),
            sharex=True,
            sharey=True,
            squeeze=False,
        )
        for axes, (title, paths) in zip(grid.flat, panels.items(), strict=False):
            axes.contourf(x, y, heights, 10, cmap="Greys_r", alpha=0.35)
            palette = COLORS if len(paths) > 1 else (BLUE,)
            for color, (label, path) in zip(palette, paths.items(), strict=False):
                axes.plot(*path.T, ".-", color=color, lw=1.2, ms=3.5, label=label)
                axes.plot(*path[0], "o", color="white", mec=color, ms=7)
                axes.plot(*path[-1], "o", color=color, mec="white", ms=7, zorder=4)
            axes.set(title=title, xlim=box[:2], ylim=box[2:])
        handles, labels = grid[0, 0].get_legend_handles_labels()
        if len(labels) > 1:
            figure.legend(handles, labels, loc="outside lower center", ncols=6, frameon=False)
    return figure


def show_rates(losses: Mapping[str, Mapping[float, float]]) -> Figure:
    """Draw the final loss over the learning rate, a line for each optimizer, its best rate ringed.

    Args:
        losses: label to learning rate to loss in nats.
    """
    with plt.rc_context(STYLE):
        figure, axes = plt.subplots(figsize=(7.2, 3))
        for color, (label, by_rate) in zip(COLORS, losses.items(), strict=False):
            rates, values = np.array(sorted(by_rate.items())).T
            axes.loglog(rates, values, ".-", color=color, lw=1.6, ms=7, label=label)
            best = int(np.nanargmin(values))
            axes.plot(rates[best], values[best], "o", mfc="none", mec=color, ms=13, mew=1.5)
        axes.set(xlabel="learning rate", ylabel="validation loss in nats")
        _label_losses(axes)
        axes.grid(which="both", alpha=0.25)
        axes.legend(frameon=False, loc="center left", bbox_to_anchor=(1, 0.5))
    return figure


def show_optimizers(curves: Mapping[str, tuple[Sequence[int], np.ndarray]]) -> Figure:
    """Draw the loss curves of optimizers, and where each seed ends.

    Args:
        curves: label to the steps and the losses of all seeds in nats, shape `(seeds, steps)`.
            The line is their mean.
    """
    with plt.rc_context(STYLE):
        figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3), width_ratios=[1.35, 1])
        for place, (color, (label, (steps, losses))) in enumerate(
            zip(COLORS, curves.items(), strict=False)
        ):
            left.semilogy(steps, losses.mean(axis=0), color=color, lw=1.6, label=label)
            ends = losses[:, -1]
            right.plot(ends, np.full(len(ends), place), "o", color=color, mec="white", ms=8)
            right.plot(ends.mean(), place, "|", color=color, ms=20, mew=2)
        left.set(xlabel="step", ylabel="validation loss in nats", title="on the way, mean of seeds")
        _label_losses(left)
        left.grid(which="both", alpha=0.25)
        right.set_yticks(range(len(curves)), list(curves))
        right.set(xlabel="validation loss in nats", title="at the end, each seed a point")
        right.invert_yaxis()
        right.grid(axis="x", alpha=0.25)
        left.legend(frameon=False, fontsize=8)
    return figure


def show_gaps(runs: Mapping[str, tuple[Sequence[int], np.ndarray, np.ndarray]]) -> Figure:
    """Draw the loss on seen and on unseen images, a panel a network, the gap between them filled.

    Args:
        runs: title to steps, losses on the training images and losses on the validation images,
            each in nats.
    """
    with plt.rc_context(STYLE):
        figure, grid = plt.subplots(
            1, len(runs), figsize=(4 * len(runs) + 1, 2.9), sharey=True, squeeze=False
        )
        for axes, (title, (steps, seen, unseen)) in zip(grid.flat, runs.items(), strict=True):
            axes.plot(steps, seen, color=BLUE, label="images it was trained on")
            axes.plot(steps, unseen, color=ORANGE, label="images it never saw")
            axes.fill_between(steps, seen, unseen, color=ORANGE, alpha=0.12, lw=0, label="the gap")
            axes.set(xlabel="step", title=title)
            axes.grid(alpha=0.25)
        grid[0, 0].set_ylabel("loss in nats")
        grid[0, 0].set_ylim(0, None)
        grid[0, -1].legend(frameon=False, loc="upper right")
    return figure


def show_steps(steps: Mapping[str, Curve], marks: Sequence[float]) -> Figure:
    """Draw curves over the training steps on a logarithmic axis, with dotted lines at moments.

    Args:
        steps: label to steps from 1 up and values; each gets a panel of its own.
        marks: steps at which a dotted line stands.
    """
    with plt.rc_context(STYLE):
        figure, grid = plt.subplots(1, len(steps), figsize=(9, 2.5), squeeze=False)
        for axes, color, (label, (places, values)) in zip(
            grid.flat, (BLUE, ORANGE, GREEN), steps.items(), strict=False
        ):
            for mark in marks:
                axes.axvline(mark, color=GRAY, lw=0.8, ls=":")
            axes.semilogx(places, values, ".-", color=color, ms=4)
            axes.set(xlabel="step", title=label, ylim=(0, None))
            axes.grid(alpha=0.25)
    return figure


def _draw_node(axes: Axes, place: tuple[float, float], lines: Sequence[str], color: str) -> None:
    axes.text(
        *place,
        "\n".join(lines).replace("-", "−"),
        ha="center",
        va="center",
        fontsize=9,
        bbox={"boxstyle": "circle,pad=0.35", "fc": "white", "ec": color, "lw": 1.4},
        zorder=3,
    )


def _draw_arrow(
    axes: Axes,
    begin: tuple[float, float],
    end: tuple[float, float],
    weight: float,
    gradient: float,
) -> None:
    """An arrow with its weight in black and its gradient in orange, before it crosses another."""
    axes.annotate(
        "",
        end,
        begin,
        arrowprops={"arrowstyle": "->", "color": GRAY, "shrinkA": 22, "shrinkB": 26, "lw": 1},
    )
    share = 0.45 if begin[1] == end[1] else 0.3
    x, y = (a + share * (b - a) for a, b in zip(begin, end, strict=True))
    box = {"fc": "white", "ec": "none", "pad": 0.6}
    for text, align, color in (
        (f"{weight:.2f}", "bottom", "black"),
        (_signed(gradient), "top", ORANGE),
    ):
        text = text.replace("-", "−")
        axes.text(x, y, text, ha="center", va=align, fontsize=8, color=color, bbox=box, zorder=4)


def _signed(value: float) -> str:
    return f"{value:+.3f}".replace("-", "−")


def _label_losses(axes: Axes) -> None:
    """Plain numbers on a logarithmic axis of losses."""
    low, high = axes.get_ylim()
    ticks = [tick for tick in (0.1, 0.15, 0.2, 0.3, 0.5, 1, 2, 3) if low <= tick <= high]
    axes.set_yticks(ticks, [f"{tick:g}" for tick in ticks])
    axes.set_yticks([], minor=True)
