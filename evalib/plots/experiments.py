"""The figures of studies, which the front page shows as well, and the paths of optimizers."""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from evalib.plots.style import BLUE, COLORS, GRAY, ORANGE
from evalib.training.best_networks import PublishedResult

Entries = Mapping[str, Mapping[str, Any]]
Paths = Mapping[str, np.ndarray]
_MARKS = (97, 98, 98.5, 99, 99.2, 99.4, 99.5, 99.6, 99.7)
_SIZES = (500, 1000, 2000, 5000, 10_000, 20_000)


def show_seed_scores(accuracies: Any, seeds: Sequence[int], *, target: float = 0.994) -> Figure:
    """Draw the final test accuracies of seeds, their mean and the one to beat, all from 0 to 1."""
    percent = 100 * np.asarray(accuracies)
    if not ((percent >= 0) & (percent <= 100)).all():
        raise ValueError(f"expected accuracies from 0 to 1, got {np.asarray(accuracies).tolist()}")
    mean, spread = percent.mean(), ""
    figure, axes = plt.subplots(figsize=(8, 0.9 + 0.22 * len(percent)))
    if len(percent) > 1:
        deviation = percent.std(ddof=1)
        axes.axvspan(mean - deviation, mean + deviation, color=BLUE, alpha=0.15, lw=0)
        spread = f" ± {deviation:.2f}"
    axes.axvline(mean, color=BLUE, label=f"mean {mean:.2f}{spread} %")
    axes.axvline(100 * target, color=ORANGE, ls="--", label=f"demanded {100 * target:.1f} %")
    axes.scatter(percent, np.arange(len(percent)), color=BLUE, zorder=3)
    axes.set_yticks(range(len(percent)), [f"seed {seed}" for seed in seeds])
    axes.set(xlabel="test accuracy after the last epoch, %", ylim=(-0.7, len(percent) - 0.3))
    axes.legend(loc="center left", bbox_to_anchor=(1, 0.5), frameon=False)
    return figure


def show_frontier(
    frontier: Entries, records: Entries, peers: Sequence[PublishedResult] = ()
) -> Figure:
    """Draw mean and standard deviation over seeds against parameters, on logarithmic axes.

    The frontier is title to an entry with `parameters` and at least two `runs`, each of which has a
    `test_accuracy` from 0 to below 1 and is a dot; one line joins them. Records are the same for
    networks that stand for themselves; peers are single runs of others, drawn as hollow points.
    """
    figure, axes = plt.subplots(figsize=(8.6, 4.6))
    axes.axhline(0.6, color="black", lw=0.8, ls="--")
    _draw_entries(axes, frontier, "o-", BLUE, "one family of networks, mean ± standard deviation")
    _draw_entries(axes, records, "D", ORANGE, "records, mean ± standard deviation")
    for name, entry in records.items():
        place = entry["parameters"], _errors(entry).mean()
        axes.annotate(name, place, (-9, 0), textcoords="offset points", ha="right", va="center")
    if peers:
        places = np.array([(peer.parameters, 100 - peer.percent) for peer in peers])
        axes.plot(*places.T, "o", mfc="none", color=GRAY, label="peers, one run each")
    axes.set(xscale="log", yscale="log", xlabel="parameters", ylabel="test accuracy")
    axes.margins(y=0.08)
    axes.invert_yaxis()
    limits = axes.axis()
    axes.set_xticks(_SIZES, [f"{size:,}" for size in _SIZES])
    axes.set_yticks([100 - mark for mark in _MARKS], [f"{mark} %" for mark in _MARKS])
    axes.minorticks_off()
    axes.axis(limits)  # the marks beyond them would have widened the picture
    axes.grid(alpha=0.25)
    axes.legend(frameon=False, loc="lower right")
    return figure


def show_paths(
    surface: Callable[..., np.ndarray], panels: Mapping[str, Paths], box: Sequence[float]
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


def _draw_entries(axes: Axes, entries: Entries, style: str, color: str, label: str) -> None:
    """Draw each run as a faint dot, and the mean of each entry with its standard deviation."""
    points = []
    for entry in entries.values():
        errors = _errors(entry)
        axes.plot([entry["parameters"]] * len(errors), errors, ".", color=color, alpha=0.3)
        points.append((entry["parameters"], errors.mean(), errors.std(ddof=1)))
    sizes, means, deviations = np.array(sorted(points)).T
    axes.errorbar(sizes, means, deviations, fmt=style, color=color, ms=6, capsize=4, label=label)


def _errors(entry: Mapping[str, Any]) -> np.ndarray:
    """The test errors of an entry's runs, in percent."""
    return 100 - 100 * np.array([run["test_accuracy"] for run in entry["runs"]])
