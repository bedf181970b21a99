"""The figure of a sweep: what each configuration scored, a dot a seed."""

import itertools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure

from evalib.plots.style import COLORS, STYLE
from evalib.results import atomic_replace

MOST_ROWS = 60


def show_sweep(scores: Sequence[tuple[Mapping[str, Any], Any]], *, title: str = "") -> Figure:
    """Draw accuracies in percent: a dot a seed, their mean and standard deviation.

    The scores are settings, of the same names in each, with accuracies from 0 to 1, maybe none.
    Where exactly one setting is a number that varies, it is the horizontal axis, and each
    combination of the others a line. Otherwise each configuration is a row; of many, the best are.
    """
    columns = {name: [settings[name] for settings, _ in scores] for name in scores[0][0]}
    numeric = [name for name, column in columns.items() if {*map(type, column)} <= {int, float}]
    varying = [name for name in numeric if len(set(columns[name])) > 1]
    axis = varying[0] if len(varying) == 1 else None
    if axis is None and len(scores) > MOST_ROWS:
        scores = sorted(scores, key=lambda one: -np.mean(one[1] or [0]))[:MOST_ROWS]
        title += f" (the best {MOST_ROWS})"
    labels = [", ".join(f"{n} {one[n]}" for n in one if n != axis) for one, _ in scores]
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(6.4, 3.4 if axis else 1.1 + 0.28 * len(scores)))
        axes = figure.subplots()
        # One line for each label along an axis of numbers, else one of all rows, drawn sideways.
        lines, way = (list(dict.fromkeys(labels)), 1) if axis else ([""], -1)
        for line, color in zip(lines, itertools.cycle(COLORS), strict=False):
            points = []
            for row, (settings, accuracies) in enumerate(scores):
                if len(accuracies) and line in ("", labels[row]):
                    place, percent = settings[axis] if axis else row, 100 * np.array(accuracies)
                    dots = np.full(len(percent), place), percent
                    axes.plot(*dots[::way], "o", color=color, alpha=0.35)
                    deviation = percent.std(ddof=1) if len(percent) > 1 else 0
                    points.append((place, percent.mean(), deviation))
            places, means, spread = np.reshape(sorted(points), (-1, 3)).T
            (x, y), (x_error, y_error) = (places, means)[::way], (None, spread)[::way]
            form = "o-" if axis else "o"
            axes.errorbar(x, y, y_error, x_error, form, color=color, capsize=3, label=line)
        if axis:
            values = sorted(set(columns[axis]))
            axes.set(xlabel=axis, ylabel="accuracy in %")
            axes.set_xscale("log" if values[0] > 0 and values[-1] >= 8 * values[0] else "linear")
            if len(values) <= 10:
                axes.set_xticks(values, map(str, values))
                axes.minorticks_off()
            if len(lines) > 1:
                figure.legend(loc="outside right center")
        else:
            axes.set_yticks(range(len(labels)), labels)
            axes.set(xlabel="accuracy in %", ylim=(len(labels) - 0.5, -0.5))
        figure.suptitle(title, x=0.01, ha="left", fontsize=9)
    return figure


def save_figure(figure: Figure, file: Path) -> None:
    """Write a figure as a picture, in one step."""
    with atomic_replace(file) as partial:
        figure.savefig(partial, dpi=120)
