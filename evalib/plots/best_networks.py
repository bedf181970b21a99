"""The figure of the records: accuracy against the number of weights."""

from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from evalib.plots.style import BLUE, GRAY, ORANGE, STYLE
from evalib.training.best_networks import PublishedResult

DEMANDED = 99.4
_MARKS = (97, 98, 98.5, 99, 99.2, 99.4, 99.5, 99.6, 99.7)


def show_frontier(
    frontier: Mapping[str, Mapping[str, Any]],
    records: Mapping[str, Mapping[str, Any]],
    peers: Sequence[PublishedResult] = (),
) -> Figure:
    """Draw mean and standard deviation over seeds against parameters, with each run as a dot.

    The vertical axis is logarithmic in the errors: from 99.2 to 99.6 % half of them go.

    Args:
        frontier: title to an entry with `parameters` and `runs`, each of which has a
            `test_accuracy` from 0 to below 1; one line joins them.
        records: the same for networks that stand for themselves, by the name to show.
        peers: single runs of others, drawn as hollow points.
    """
    with plt.rc_context(STYLE):
        figure, axes = plt.subplots(figsize=(8.6, 4.4))
        axes.axhline(100 - DEMANDED, color="black", lw=0.8, ls="--")
        sizes, errors, bars = np.array([_point(entry) for entry in frontier.values()]).T
        order = np.argsort(sizes)
        _draw_runs(axes, frontier.values(), BLUE)
        axes.errorbar(
            sizes[order],
            errors[order],
            bars[order],
            fmt="o-",
            color=BLUE,
            capsize=4,
            label="one family of networks, mean ± standard deviation",
        )
        _draw_runs(axes, records.values(), ORANGE)
        for number, (name, entry) in enumerate(records.items()):
            size, error, bar = _point(entry)
            label = "records, mean ± standard deviation" if number == 0 else None
            axes.errorbar(size, error, bar, fmt="D", color=ORANGE, capsize=4, label=label)
            axes.annotate(
                name, (size, error), (-9, 0), textcoords="offset points", ha="right", va="center"
            )
        if peers:
            axes.plot(
                [peer.parameters for peer in peers],
                [100 - peer.percent for peer in peers],
                "o",
                mfc="none",
                color=GRAY,
                label="peers, one run each",
            )
        axes.set(xscale="log", yscale="log", xlabel="parameters", ylabel="test accuracy")
        axes.margins(y=0.08)
        axes.invert_yaxis()
        axes.yaxis.set_major_locator(FixedLocator([100 - mark for mark in _MARKS]))
        axes.yaxis.set_minor_locator(NullLocator())
        axes.yaxis.set_major_formatter(FuncFormatter(lambda error, _: f"{100 - error:.4g} %"))
        axes.xaxis.set_major_locator(FixedLocator([500, 1000, 2000, 5000, 10_000, 20_000]))
        axes.xaxis.set_minor_locator(NullLocator())
        axes.xaxis.set_major_formatter(FuncFormatter(lambda size, _: f"{size:,.0f}"))
        axes.grid(alpha=0.25)
        axes.legend(frameon=False, loc="lower right")
    return figure


def _errors(entry: Mapping[str, Any]) -> np.ndarray:
    """The test errors of an entry's runs, in percent."""
    return 100 - 100 * np.array([run["test_accuracy"] for run in entry["runs"]])


def _point(entry: Mapping[str, Any]) -> tuple[float, float, float]:
    """Parameters, mean error and its standard deviation, both in percent."""
    errors = _errors(entry)
    return entry["parameters"], float(errors.mean()), float(errors.std(ddof=1))


def _draw_runs(axes: plt.Axes, entries: Any, color: str) -> None:
    """One faint dot a run."""
    for entry in entries:
        errors = _errors(entry)
        axes.plot(np.full(len(errors), entry["parameters"]), errors, ".", color=color, alpha=0.3)
