"""The figures on experiments and on mistakes. Each function returns the matplotlib figure."""

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullFormatter

from evalib.plots.style import BLUE, GRAY, ORANGE, STYLE
from evalib.training.diagnostics import Diagnosis, TrainingRun

LOWEST = 0.03  # nats; a loss below it leaves the picture, and the others their room
GUESSING = float(np.log(10))  # the loss of ten equal probabilities, in nats


def show_learning_curve(history: Mapping[str, Sequence[float]], verdict: Diagnosis) -> Figure:
    """Draw loss and errors over the epochs, and where the finished network stands.

    The lines are taken while the network learned, from the images as they were moved. The two
    marks at the end are those of the finished network: on its training images unmoved, and on
    unseen images with a bar of two standard errors either way.

    Args:
        history: `loss` and `accuracy` of each epoch.
        verdict: of the finished network.
    """
    epochs = np.arange(1, len(history["loss"]) + 1)
    # No error at all has no place on a logarithmic axis: half an image stands for it.
    floor = 50 / verdict.images
    errors = np.maximum(100 * (1 - np.asarray(history["accuracy"], float)), floor)
    end = epochs[-1]
    with plt.rc_context(STYLE):
        figure, (left, right) = plt.subplots(1, 2, figsize=(8.6, 3), width_ratios=[1, 1.45])
        left.semilogy(epochs, history["loss"], ".-", color=GRAY, ms=7)
        left.set(xlabel="epoch", ylabel="nats", title="loss while it learned")
        right.semilogy(epochs, errors, ".-", color=GRAY, ms=7, label="moved images, learning")
        seen = max(100 * (1 - verdict.seen), floor)
        right.plot(end + 0.3, seen, "o", color=BLUE, ms=8, label="training images, finished")
        unseen = max(100 * (1 - verdict.unseen), floor)
        bar = 200 * verdict.standard_error
        right.errorbar(
            end + 0.6,
            unseen,
            [[min(bar, unseen - floor)], [bar]],
            fmt="D",
            color=ORANGE,
            ms=7,
            capsize=4,
            label="unseen images, finished",
        )
        target = 100 * (1 - verdict.target)
        right.axhline(target, color="black", lw=0.8, ls="--", label=f"demanded: {target:.1f} %")
        right.set(xlabel="epoch", ylabel="%", title="errors")
        for axes in (left, right):
            axes.set_xlim(min(0.7, end - 0.6), end + 0.9 if axes is right else end + 0.3)
            axes.xaxis.get_major_locator().set_params(integer=True)
            _plain_ticks(axes)
            axes.grid(which="both", alpha=0.25)
        right.legend(frameon=False, loc="center left", bbox_to_anchor=(1, 0.5))
    return figure


def show_cases(
    cases: Mapping[str, tuple[TrainingRun, TrainingRun]],
    control: TrainingRun,
    *,
    columns: int = 5,
    mean_of: int = 5,
) -> Figure:
    """Draw the losses of trainings with a mistake, a panel each, beside those after its repair.

    Args:
        cases: title to the training with the mistake and the one after the repair. The share of
            unseen images that each names right stands in the panel.
        control: a healthy training, drawn in every panel.
        columns: panels a row.
        mean_of: over how many steps the losses are averaged.
    """
    columns = min(columns, len(cases))
    rows = -(-len(cases) // columns)
    with plt.rc_context(STYLE):
        figure, grid = plt.subplots(
            rows,
            columns,
            figsize=(1.95 * columns + 0.4, 2.1 * rows + 0.5),
            sharex=True,
            sharey=True,
            squeeze=False,
        )
        for axes in grid.flat[len(cases) :]:
            axes.set_axis_off()
        for axes, (title, (ill, healed)) in zip(grid.flat, cases.items(), strict=False):
            axes.axhline(GUESSING, color="black", lw=0.8, ls="--", label="guessing")
            for case, color, width, label in (
                (control, GRAY, 1.0, "control"),
                (healed, BLUE, 1.6, "after the repair"),
                (ill, ORANGE, 1.6, "with the mistake"),
            ):
                steps, losses = _block_means(case.losses, mean_of)
                axes.semilogy(steps, losses, color=color, lw=width, label=label)
            axes.set_title(title)
            for height, case, color in ((0.98, ill, ORANGE), (0.86, healed, BLUE)):
                axes.text(
                    0.97,
                    height,
                    f"{100 * case.unseen[1]:.1f} %",
                    color=color,
                    ha="right",
                    va="top",
                    transform=axes.transAxes,
                )
            axes.grid(alpha=0.25)
        low, high = grid[0, 0].get_ylim()  # the panels share their axis
        grid[0, 0].set_ylim(max(low, LOWEST), high)
        _plain_ticks(grid[0, 0])
        for axes in grid[:, 0]:
            axes.set_ylabel("loss in nats")
        for axes in grid[-1]:
            axes.set_xlabel("step")
        handles, labels = grid[0, 0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=4, frameon=False)
    return figure


def show_confidence(
    answers: Mapping[str, np.ndarray], *, bounds: Mapping[str, float] | None = None
) -> Figure:
    """Draw how sure networks are: histograms of the probability given to their own answer.

    Args:
        answers: title to probabilities of shape `(n, classes)`.
        bounds: title to a probability to mark with a dashed line.
    """
    edges = np.linspace(0, 1, 44)  # e/(e+9), the bound of two softmaxes, lies on one of them
    with plt.rc_context(STYLE):
        figure, grid = plt.subplots(
            1, len(answers), figsize=(2.05 * len(answers), 2.1), sharey=True, squeeze=False
        )
        for axes, (title, probabilities) in zip(grid.flat, answers.items(), strict=True):
            shares = np.histogram(probabilities.max(axis=1), edges)[0] / len(probabilities)
            axes.stairs(100 * shares, edges, fill=True, color=BLUE, alpha=0.8)
            if bounds and title in bounds:
                axes.axvline(bounds[title], color=ORANGE, ls="--", lw=1.4)
            axes.set(title=title, xlabel="probability", xlim=(0, 1), xticks=[0, 0.5, 1])
            axes.grid(axis="y", alpha=0.25)
        grid[0, 0].set_ylabel("% of the images")
    return figure


def show_likeness(distances: Sequence[int], likeness: np.ndarray) -> Figure:
    """Draw how alike images are against the places between them, even and odd numbers apart.

    Args:
        distances: in places, from small to large.
        likeness: of each distance; see `evalib.data.handwriting.likeness`.
    """
    apart = np.asarray(distances)
    with plt.rc_context(STYLE):
        figure, axes = plt.subplots(figsize=(8.6, 2.6))
        axes.axhline(0, color="black", lw=0.8)
        for parity, (color, title) in enumerate([(BLUE, "even"), (ORANGE, "odd")]):
            chosen = apart % 2 == parity
            label = f"an {title} number of places apart"
            axes.plot(apart[chosen], likeness[chosen], ".-", color=color, label=label)
        axes.set(xlabel="places apart in the file", ylabel="likeness of slant")
        axes.grid(alpha=0.25)
        axes.legend(frameon=False)
    return figure


def _block_means(losses: np.ndarray, length: int) -> tuple[np.ndarray, np.ndarray]:
    """The middle of each block of steps, counted from 1, and the mean of its losses."""
    length = min(length, len(losses))
    blocks = losses[: len(losses) // length * length].reshape(-1, length)
    return np.arange(len(blocks)) * length + (length + 1) / 2, blocks.mean(axis=1)


def _plain_ticks(axes: Axes) -> None:
    """Write 0.1, 1 and 10 on a logarithmic axis, and 2 and 5 between them where it is short."""
    low, high = axes.get_ylim()
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.yaxis.set_minor_formatter(NullFormatter())
    if high / low < 60:  # otherwise powers of ten are enough
        ticks = [digit * 10.0**power for power in range(-3, 3) for digit in (1, 2, 5)]
        axes.set_yticks([tick for tick in ticks if low <= tick <= high])
        axes.set_ylim(low, high)
