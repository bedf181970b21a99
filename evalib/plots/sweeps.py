"""The figure of a sweep: what each configuration scored, a dot a seed."""

import itertools
from collections.abc import Mapping, Sequence
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, NullLocator

from evalib.plots.style import BLUE, GRAY, ORANGE, STYLE
from evalib.results import atomic_replace
from evalib.tools.sweep_records import Configuration, short_name, text

MOST_ROWS = 60

_COLORS = (BLUE, ORANGE, "#2f855a", "#6b46c1", GRAY, "#b83280")
_LOGARITHMIC_FROM = 8  # times the least value


def show_sweep(configurations: Sequence[Configuration], *, title: str = "") -> Figure:
    """Draw the accuracy of each configuration: a dot a seed, their mean and standard deviation.

    Where exactly one of the varied settings is a number it is the horizontal axis, and each
    combination of the others a line. Otherwise each configuration has a row.

    Args:
        configurations: as `summarize` gives them, at least one; all have the same settings.
        title: of the figure.
    """
    numeric = _numeric_settings(configurations)
    if len(numeric) == 1:
        return _show_lines(configurations, numeric[0], title)
    return _show_rows(configurations, title)


def save_figure(figure: Figure, file: Path) -> None:
    """Write a figure in one step and close it."""
    with atomic_replace(file) as partial:
        figure.savefig(partial, dpi=120)
    plt.close(figure)


def _numeric_settings(configurations: Sequence[Configuration]) -> list[str]:
    """The settings that are numbers everywhere and take more than one value."""
    return [
        name
        for name in configurations[0].settings
        if all(type(one.settings[name]) in (int, float) for one in configurations)
        and len({one.settings[name] for one in configurations}) > 1
    ]


def _show_lines(configurations: Sequence[Configuration], name: str, title: str) -> Figure:
    """One setting along the horizontal axis, a line for each combination of the others."""
    groups: dict[str, list[Configuration]] = {}
    for one in configurations:
        others = {key: value for key, value in one.settings.items() if key != name}
        groups.setdefault(_label(others), []).append(one)
    values = sorted({one.settings[name] for one in configurations})
    with plt.rc_context(STYLE):
        figure, axes = plt.subplots(figsize=(6.4, 3.4))
        for (label, group), color in zip(groups.items(), itertools.cycle(_COLORS), strict=False):
            _draw_line(axes, sorted(group, key=lambda one: one.settings[name]), name, color, label)
        if values[0] > 0 and values[-1] >= _LOGARITHMIC_FROM * values[0]:
            axes.set_xscale("log")
        # Only the values that ran, unless they are too many to be read.
        if len(values) <= 10:
            axes.xaxis.set_major_locator(FixedLocator(values))
            axes.xaxis.set_minor_locator(NullLocator())
            axes.set_xticklabels([text(value) for value in values])
        axes.margins(x=0.08)
        axes.set(xlabel=short_name(name).replace("_", " "), ylabel="accuracy in %")
        figure.suptitle(title, x=0.01, ha="left", fontsize=9)
        axes.grid(axis="y", alpha=0.25)
        if len(groups) > 1:
            figure.legend(loc="outside right center", frameon=False)
    return figure


def _draw_line(
    axes: Axes, group: Sequence[Configuration], name: str, color: str, label: str
) -> None:
    ended = [one for one in group if one.accuracies]
    for one in ended:
        x = np.full(len(one.accuracies), one.settings[name])
        axes.plot(x, _percent(one), "o", color=color, alpha=0.35, ms=4, mew=0)
    axes.errorbar(
        [one.settings[name] for one in ended],
        [float(np.mean(_percent(one))) for one in ended],
        [100 * (one.deviation or 0) for one in ended],
        color=color,
        marker="o",
        ms=6,
        lw=1.2,
        capsize=3,
        label=label,
    )


def _show_rows(configurations: Sequence[Configuration], title: str) -> Figure:
    """A row for each configuration, in the sweep's order."""
    shown, note = _fewer(configurations)
    with plt.rc_context(STYLE):
        figure, axes = plt.subplots(figsize=(6.4, 1.1 + 0.28 * len(shown)))
        for row, one in enumerate(shown):
            if not one.accuracies:
                place = axes.get_yaxis_transform()
                axes.text(0.01, row, "failed", transform=place, va="center", color=GRAY)
                continue
            height = np.full(len(one.accuracies), row)
            axes.plot(_percent(one), height, "o", color=BLUE, alpha=0.35, ms=4, mew=0)
            mean, deviation = float(np.mean(_percent(one))), 100 * (one.deviation or 0)
            axes.errorbar(mean, row, xerr=deviation, color=BLUE, marker="o", ms=6, capsize=3)
        axes.set_yticks(range(len(shown)), [_label(one.settings) for one in shown])
        axes.set_ylim(len(shown) - 0.5, -0.5)
        axes.set(xlabel=f"accuracy in %{note}")
        figure.suptitle(title, x=0.01, ha="left", fontsize=9)
        axes.grid(axis="x", alpha=0.25)
        if not any(one.accuracies for one in shown):
            axes.set_xticks([])
    return figure


def _fewer(configurations: Sequence[Configuration]) -> tuple[Sequence[Configuration], str]:
    """At most as many configurations as can be read, and words about those left out."""
    if len(configurations) <= MOST_ROWS:
        return configurations, ""
    best = sorted(configurations, key=lambda one: -(one.mean or 0))[:MOST_ROWS]
    return best, f" (the best {MOST_ROWS} of {len(configurations)})"


def _label(settings: Mapping[str, object]) -> str:
    return ", ".join(f"{short_name(name)} {text(value)}" for name, value in settings.items())


def _percent(one: Configuration) -> np.ndarray:
    return 100 * np.asarray(one.accuracies)
