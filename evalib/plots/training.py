"""Figures about training: the paths of optimizers, and one step with all its numbers."""

from collections.abc import Callable, Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from evalib.plots.style import BLUE, COLORS, GRAY, ORANGE


def show_paths(
    surface: Callable[[np.ndarray, np.ndarray], np.ndarray],
    panels: Mapping[str, Mapping[str, np.ndarray]],
    box: tuple[float, float, float, float],
) -> Figure:
    """Draw paths over a surface, darker where it is lower, from a circle to a dot.

    Args:
        surface: the height at arrays of `x` and `y`. The contours lie at equal distances of the
            square root of the height above the lowest point drawn.
        panels: title to label to a path of shape `(steps + 1, 2)`, three panels a row.
        box: the piece that is drawn, `(left, right, bottom, top)`.
    """
    x, y = np.meshgrid(np.linspace(*box[:2], 161), np.linspace(*box[2:], 121))
    height = surface(x, y)
    rows = -(-len(panels) // 3)
    size = (8.2, rows * (8.2 / 3 * (box[3] - box[2]) / (box[1] - box[0]) + 0.3))
    figure, grid = plt.subplots(rows, 3, figsize=size, sharex=True, sharey=True, squeeze=False)
    for axes, (title, paths) in zip(grid.flat, panels.items(), strict=False):
        axes.contourf(x, y, np.sqrt(height - height.min()), 10, cmap="Greys_r", alpha=0.35)
        for color, (label, path) in zip(COLORS, paths.items(), strict=False):
            axes.plot(*path.T, ".-", color=color, lw=1.2, ms=3.5, label=label)
            axes.plot(*path[0], "o", color="white", mec=color, ms=7)
            axes.plot(*path[-1], "o", color=color, mec="white", ms=7, zorder=4)
        axes.set(title=title, xlim=box[:2], ylim=box[2:])
    handles, labels = grid[0, 0].get_legend_handles_labels()
    if len(labels) > 1:
        figure.legend(handles, labels, loc="outside lower center", ncols=6)
    return figure


def show_tiny_network(
    values: Mapping[str, np.ndarray], gradients: Mapping[str, np.ndarray], names: Sequence[str]
) -> Figure:
    """Draw a network of two layers with every number that passes through it.

    Black is what goes forward: values in the nodes, weights on the arrows. Orange below it is the
    gradient of the loss by that number, which comes back.

    Args:
        values: `x`, `w1`, `b1`, `z1`, `a1`, `w2`, `b2`, `z2` and `p` of one picture, and `loss`;
            the vectors of shape `(2,)`, the kernels of shape `(2, 2)` from inputs to units.
        gradients: of `w1`, `z1`, `w2` and `z2`. That of a bias is the same as its node's.
        names: of the two inputs, then of the two outputs; the second is the right answer.
    """
    heights, left, middle, right, end = (0.9, -0.9), 0.0, 2.6, 5.2, 8.0
    figure, axes = plt.subplots(figsize=(9.2, 3.8))
    axes.set(xlim=(-1.5, 9.0), ylim=(-1.85, 1.85))
    axes.set_axis_off()
    for kernel, begin, finish in (("w1", left, middle), ("w2", middle, right)):
        for (i, j), weight in np.ndenumerate(values[kernel]):
            start, stop = (begin, heights[i]), (finish, heights[j])
            _draw_arrow(axes, start, stop, weight, gradients[kernel][i, j])
    for i, y in enumerate(heights):
        _draw_node(axes, (left, y), f"{values['x'][i]:.2f}", GRAY)
        axes.text(left - 0.55, y, names[i], ha="right", va="center")
        axes.text(right + 0.6, y, names[2 + i], ha="left", va="center")
        for layer, after, x in (("1", "a1", middle), ("2", "p", right)):
            sum_of_products = values["z" + layer][i]
            _draw_node(axes, (x, y), f"{sum_of_products:.2f}\n→ {values[after][i]:.2f}", BLUE)
            bias = f"bias {values['b' + layer][i]:.2f}"
            axes.text(x, y + 0.52, bias, ha="center", va="bottom")
            back = _signed(gradients["z" + layer][i])
            axes.text(x, y - 0.52, back, ha="center", va="top", color=ORANGE)
    # The loss reads the probability of the right answer, which is the second output.
    _draw_node(axes, (end, heights[1]), f"loss\n{values['loss']:.3f}", GRAY)
    line = {"arrowstyle": "->", "color": GRAY, "shrinkA": 0, "shrinkB": 28}
    axes.annotate("", (end, heights[1]), (right + 1.15, heights[1]), arrowprops=line)
    axes.text((right + end + 0.9) / 2, heights[1] + 0.06, "−ln", ha="center", va="bottom")
    axes.text(end, heights[0] + 0.1, "forward", ha="center", va="bottom")
    axes.text(end, heights[0] - 0.1, "gradient of the loss", ha="center", va="top", color=ORANGE)
    return figure


def _draw_node(axes: Axes, place: tuple[float, float], text: str, color: str) -> None:
    circle = {"boxstyle": "circle,pad=0.3", "fc": "white", "ec": color, "lw": 1.4}
    axes.text(*place, text.replace("-", "−"), ha="center", va="center", bbox=circle, zorder=3)


def _draw_arrow(
    axes: Axes,
    begin: tuple[float, float],
    end: tuple[float, float],
    weight: float,
    gradient: float,
) -> None:
    """An arrow with its weight in black and its gradient in orange, before it crosses another."""
    line = {"arrowstyle": "->", "color": GRAY, "shrinkA": 24, "shrinkB": 28, "lw": 1}
    axes.annotate("", end, begin, arrowprops=line)
    share = 0.45 if begin[1] == end[1] else 0.3
    x, y = (a + share * (b - a) for a, b in zip(begin, end, strict=True))
    paper = {"fc": "white", "ec": "none", "pad": 0.4}
    number = f"{weight:.2f}".replace("-", "−")
    axes.text(x, y, number, ha="center", va="bottom", bbox=paper, zorder=4)
    back = _signed(gradient)
    axes.text(x, y, back, ha="center", va="top", color=ORANGE, bbox=paper, zorder=4)


def _signed(value: float) -> str:
    return f"{value:+.3f}".replace("-", "−")
