"""Colors and matplotlib settings that all figures share."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from cycler import cycler
from matplotlib.axes import Axes
from matplotlib.figure import Figure

INK = "gray_r"  # for MNIST, whose 255 is ink: high values are drawn dark
SIGNED = "RdBu_r"  # blue below zero, white at zero, red above
SHADES = 24
# Any two of these differ for readers with each kind of color blindness (CIEDE2000 above 11).
BLUE, ORANGE, GRAY, GREEN, PURPLE, SKY = COLORS = (
    *("#2b6cb0", "#dd6b20", "#4a5568"),
    *("#009e73", "#cc79a7", "#7cc4f0"),
)
DPI = 90  # A notebook shows 96 pixels as an inch: 10 points at 90 dots are 9.4 as seen.
STYLE: dict[str, Any] = {
    "figure.dpi": DPI,
    "figure.constrained_layout.use": True,
    "font.size": 10,
    "axes.titlesize": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.prop_cycle": cycler(color=COLORS),
    "grid.alpha": 0.25,
    "image.cmap": "gray",
    "legend.frameon": False,
    "lines.markersize": 4,
}


def use_style() -> None:
    """Set matplotlib's defaults for a whole notebook, so that its cells can plot as they like."""
    plt.rcParams.update(STYLE)


def show_images(
    images: np.ndarray,
    titles: Sequence[str] = (),
    *,
    columns: int = 10,
    cell_size: float = 0.9,
    color_map: str = INK,
) -> Figure:
    """Draw gray images in a grid, each from 0 to its own kind's full scale.

    Args:
        images: shape `(n, height, width)` or `(n, height, width, 1)`, uint8, or float in [0, 1].
        titles: one a picture, or none.
        columns: pictures a row.
        cell_size: width of one picture in inches.
        color_map: a matplotlib color map.
    """
    images = images.reshape(images.shape[:3])
    columns = min(columns, len(images))
    rows = math.ceil(len(images) / columns)
    row_height = cell_size + (0.16 * (1 + titles[0].count("\n")) if titles else 0)
    with plt.rc_context(STYLE):
        figure, grid = plt.subplots(
            rows, columns, figsize=(columns * cell_size, rows * row_height), squeeze=False
        )
        for axes in grid.flat:
            axes.set_axis_off()
        full_scale = 255 if images.dtype == np.uint8 else 1
        for axes, image in zip(grid.flat, images, strict=False):
            axes.imshow(image, cmap=color_map, vmin=0, vmax=full_scale)
        for axes, title in zip(grid.flat, titles, strict=False):
            axes.set_title(title, fontsize=8)
    return figure


def show_history(history: Mapping[str, Sequence[float]]) -> Figure:
    """Draw loss and error rate over the epochs, both on a logarithmic scale.

    Args:
        history: `loss` and `accuracy` of each epoch.
    """
    epochs = np.arange(1, len(history["loss"]) + 1)
    with plt.rc_context(STYLE):
        figure, (left, right) = plt.subplots(1, 2, figsize=(8, 2.8))
        left.semilogy(epochs, history["loss"], color=BLUE, marker=".")
        left.set(xlabel="epoch", ylabel="loss", title="Cross-entropy, augmented training images")
        errors = 100 * (1 - np.asarray(history["accuracy"]))
        right.semilogy(epochs, errors, color=ORANGE, marker=".")
        right.set(xlabel="epoch", ylabel="errors in %", title="Errors, augmented training images")
        for axes in (left, right):
            axes.xaxis.get_major_locator().set_params(integer=True)
            axes.grid(which="both", alpha=0.25)
    return figure


def show_curve(x: np.ndarray, y: np.ndarray, *, x_label: str, y_label: str) -> Figure:
    """Draw one line."""
    with plt.rc_context(STYLE):
        figure, axes = plt.subplots(figsize=(5, 2.2))
        axes.plot(x, y, color=BLUE)
        axes.set(xlabel=x_label, ylabel=y_label)
        axes.grid(alpha=0.25)
    return figure


def show_seed_scores(
    accuracies: Sequence[float], seeds: Sequence[int], *, target: float = 0.994
) -> Figure:
    """Draw the final accuracy of each seed, their mean and the course's demand.

    Args:
        accuracies: final test accuracies, 0 to 1.
        seeds: the seeds they belong to.
        target: the accuracy to beat, 0 to 1.
    """
    percent = 100 * np.asarray(accuracies)
    mean, deviation = percent.mean(), percent.std(ddof=1)
    with plt.rc_context(STYLE):
        figure, axes = plt.subplots(figsize=(6.5, 1.9))
        axes.axvspan(mean - deviation, mean + deviation, color=BLUE, alpha=0.15, lw=0)
        axes.axvline(mean, color=BLUE, label=f"mean {mean:.2f} ± {deviation:.2f} %")
        axes.axvline(100 * target, color=ORANGE, ls="--", label=f"demanded {100 * target:.1f} %")
        axes.scatter(percent, np.arange(len(percent)), color=BLUE, zorder=3)
        axes.set_yticks(range(len(percent)), [f"seed {seed}" for seed in seeds])
        axes.set(xlabel="test accuracy after the last epoch, %", ylim=(-0.7, len(percent) - 0.3))
        axes.legend(loc="center left", bbox_to_anchor=(1, 0.5), frameon=False)
    return figure


def show_confusion_matrix(labels: np.ndarray, predictions: np.ndarray) -> Figure:
    """Draw how often each digit was taken for each; the right answers are left blank.

    Args:
        labels: what the digits are, integers 0 to 9, shape `(n,)`.
        predictions: what they were taken for, likewise.
    """
    counts = np.zeros((10, 10), int)
    np.add.at(counts, (labels, predictions), 1)
    wrong = np.where(np.eye(10, dtype=bool), 0, counts)
    with plt.rc_context(STYLE):
        figure, axes = plt.subplots(figsize=(4.2, 3.8))
        axes.imshow(wrong, cmap="Oranges", vmin=0)
        for row, column in zip(*np.nonzero(counts), strict=True):
            right = row == column
            axes.text(
                column,
                row,
                f"{counts[row, column]}",
                ha="center",
                va="center",
                fontsize=7 if right else 9,
                color=GRAY if right else "black",
            )
        axes.set(xticks=range(10), yticks=range(10), xlabel="taken for", ylabel="digit")
    return figure


def show_mistakes(images: np.ndarray, labels: np.ndarray, probabilities: np.ndarray) -> Figure:
    """Draw every digit whose most probable class is not its label, the surest mistake first.

    Args:
        images: shape `(n, 28, 28)`.
        labels: integers, shape `(n,)`.
        probabilities: shape `(n, 10)`.
    """
    predictions = probabilities.argmax(axis=1)
    wrong = np.flatnonzero(predictions != labels)
    if len(wrong) == 0:
        raise ValueError("expected at least one misclassified digit, found none")
    wrong = wrong[np.argsort(-probabilities[wrong].max(axis=1))]
    titles = [
        f"{labels[i]}, said {predictions[i]}\n{100 * probabilities[i].max():.0f} % sure"
        for i in wrong
    ]
    return show_images(images[wrong], titles, columns=8, cell_size=1.05)


def show_kernels(groups: Mapping[str, np.ndarray], *, columns: int = 16) -> Figure:
    """Draw the first slice of each kernel, a labeled band of rows for each group.

    Blue is negative, white zero and red positive, on one scale for all groups.

    Args:
        groups: label to kernels of shape `(height, width, input_channels, count)`.
        columns: kernels a row.
    """
    limit = max(np.abs(kernels[:, :, 0]).max() for kernels in groups.values())
    bands = {label: np.moveaxis(kernels[:, :, 0], -1, 0) for label, kernels in groups.items()}
    rows = {label: math.ceil(len(band) / columns) for label, band in bands.items()}
    with plt.rc_context(STYLE):
        figure = plt.figure(figsize=(0.62 * columns, 0.62 * sum(rows.values()) + 0.35 * len(rows)))
        parts = figure.subfigures(len(bands), height_ratios=[rows[label] for label in bands])
        for part, (label, band) in zip(np.atleast_1d(parts), bands.items(), strict=True):
            part.suptitle(label, fontsize=9, x=0.01, ha="left")
            grid = part.subplots(rows[label], columns, squeeze=False)
            for axes in grid.flat:
                axes.set_axis_off()
            for axes, kernel in zip(grid.flat, band, strict=False):
                axes.imshow(kernel, cmap=SIGNED, vmin=-limit, vmax=limit)
    return figure


def show_feature_maps(image: np.ndarray, maps: Mapping[str, np.ndarray], most: int = 12) -> Figure:
    """Draw an image and, a row a layer, the first channels of what the layers make of it.

    Each map is drawn from its own layer's least value to its greatest.

    Args:
        image: shape `(height, width)`.
        maps: layer name to an array of shape `(height, width, channels)`.
        most: how many channels of each layer to draw.
    """
    with plt.rc_context(STYLE):
        figure, grid = plt.subplots(
            len(maps), most + 1, figsize=(0.72 * (most + 1), 0.92 * len(maps)), squeeze=False
        )
        for axes in grid.flat:
            axes.set_axis_off()
        grid[0, 0].imshow(image, cmap=INK)
        grid[0, 0].set_title("input", fontsize=8)
        for row, (name, values) in zip(grid, maps.items(), strict=True):
            height, width, channels = values.shape
            for channel, axes in enumerate(row[1:][:channels]):
                axes.imshow(
                    values[..., channel], cmap="viridis", vmin=values.min(), vmax=values.max()
                )
            _label_row(row[1], f"{name}: {channels} maps of {height}x{width}")
    return figure


def _label_row(axes: Axes, text: str) -> None:
    """Write above a row's first picture, over the pictures beside it."""
    # Kept out of the layout, which would otherwise widen this picture's column for it.
    label = axes.text(0, 1.06, text, fontsize=8, va="bottom", transform=axes.transAxes)
    label.set_in_layout(False)


def exact_grid(
    rows: int,
    columns: int,
    height: int,
    width: int,
    *,
    left: int = 4,
    right: int = 0,
    gap: int = 8,
) -> tuple[Figure, np.ndarray]:
    """Axes of exactly so many of the figure's pixels, so that no pixel of a picture is resampled.

    Args:
        rows: of axes.
        columns: of axes.
        height: of each of the axes, in pixels.
        width: of each of the axes, in pixels.
        left: pixels for the labels of rows.
        right: pixels for what is written beside them.
        gap: pixels between two rows; 20 leave room for titles.
    """
    dots, beside, head = STYLE["figure.dpi"], 8, 20
    across = left + columns * (width + beside) + right
    down = head + beside + rows * height + (rows - 1) * gap
    grid = np.empty((rows, columns), object)
    with plt.rc_context({**STYLE, "figure.constrained_layout.use": False}):
        figure = plt.figure(figsize=(across / dots, down / dots))
        for row, column in np.ndindex(grid.shape):
            x, y = left + column * (width + beside), (rows - 1 - row) * (height + gap) + beside
            box = (x / across, y / down, width / across, height / down)
            grid[row, column] = figure.add_axes(box)
            hide_axes(grid[row, column])
    return figure, grid


def draw_picture(axes: Axes, picture: np.ndarray) -> None:
    """Draw in a few shades a channel, which keeps what a notebook stores small."""
    values = picture / 255 if picture.dtype == np.uint8 else np.clip(picture, 0, 1)
    few = np.rint(values * (SHADES - 1)) / (SHADES - 1)
    axes.imshow(few, cmap="gray", vmin=0, vmax=1, interpolation="nearest")


def hide_axes(axes: Axes, title: str = "") -> None:
    """Take ticks and frame away, and leave the label of a row its place."""
    axes.set(xticks=[], yticks=[])
    axes.spines[:].set_visible(False)
    axes.set_title(title)
