"""The figures about coverage and the checkerboard pattern."""

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
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

_LINES = (BLUE, ORANGE, GRAY, "#2f855a", "#6b46c1")


def show_coverage(counts: Mapping[str, np.ndarray]) -> Figure:
    """Draw how often each pixel is visited, as numbers on squares, dark where it is often.

    Args:
        counts: title to integers from 0 up, shape `(height, width)`, up to about 12x12.
    """
    widths = [values.shape[1] for values in counts.values()]
    height = max(values.shape[0] for values in counts.values())
    with plt.rc_context(STYLE):
        size = (0.27 * (sum(widths) + 2 * len(widths)), 0.27 * height + 0.45)
        figure, row = plt.subplots(1, len(counts), figsize=size, width_ratios=widths, squeeze=False)
        for axes, (title, values) in zip(row[0], counts.items(), strict=True):
            hide_axes(axes, title)
            most = values.max()
            axes.imshow(values, cmap="Blues", vmin=0, vmax=1.3 * most)
            for (y, x), count in np.ndenumerate(values):
                color = "white" if count > 0.75 * most else "black"
                axes.text(x, y, f"{count}", ha="center", va="center", fontsize=8, color=color)
    return figure


def show_closeups(pictures: Mapping[str, np.ndarray], corner: tuple[int, int], size: int) -> Figure:
    """Draw pictures pixel by pixel, and below each a square of it enlarged.

    Args:
        pictures: title to shape `(height, width)` or `(height, width, 3)`, uint8, or float from
            0 to 1; all of one size.
        corner: row and column of the square's upper left pixel.
        size: height and width of the square in pixels.
    """
    figure, grid = _closeup_grid(pictures, corner, size)
    for (above, below), picture in zip(grid, pictures.values(), strict=True):
        draw_picture(above, picture)
        draw_picture(below, _cut(picture, corner, size))
    return figure


def show_generated(
    images: Mapping[str, np.ndarray], notes: Mapping[str, str], *, scale: int = 2
) -> Figure:
    """Draw what generators make, a row each, and the spectrum of it.

    The spectrum is the mean over images and channels, each without its mean. Frequency zero is in
    the middle, and four powers of ten below the strongest are drawn.

    Args:
        images: label to float of shape `(n, height, width, 3)`, equal in all rows; each image is
            drawn from its own least value to its greatest.
        notes: label to what to write beside the spectrum.
        scale: how many of the figure's pixels a pixel of theirs is high and wide.
    """
    count, height, width, _ = next(iter(images.values())).shape
    extents = scale * height, scale * width
    figure, grid = exact_grid(len(images), count + 1, *extents, left=24, right=110)
    for row, (label, batch) in zip(grid, images.items(), strict=True):
        for axes, image in zip(row[:-1], batch, strict=True):
            low, high = image.min(), image.max()
            draw_picture(axes, (image - low) / max(high - low, 1e-12))
        row[0].set_ylabel(label, fontsize=8)
        spectrum = _mean_spectrum(batch)
        logarithm = np.log10(np.maximum(spectrum / max(spectrum.max(), 1e-300), 1e-9))
        shades = plt.get_cmap("magma", 16)
        row[-1].imshow(logarithm, cmap=shades, vmin=-4, vmax=0, interpolation="nearest")
        row[-1].annotate(
            notes[label],
            (1, 0.5),
            (6, 0),
            textcoords="offset points",
            va="center",
            xycoords="axes fraction",
            fontsize=8,
        )
    grid[0, -1].set_title("spectrum", fontsize=9)
    return figure


def show_gradients(
    gradients: Mapping[str, np.ndarray], corner: tuple[int, int], size: int
) -> Figure:
    """Draw gradients by an image, blue for negative and red for positive, and below a close-up.

    Each is drawn on its own scale, whose ends are the strongest one percent of its values.

    Args:
        gradients: title to shape `(height, width)`, all of one size.
        corner: row and column of the close-up's upper left pixel.
        size: height and width of the close-up in pixels.
    """
    figure, grid = _closeup_grid(gradients, corner, size)
    shades = plt.get_cmap(SIGNED, 13)
    for pair, values in zip(grid, gradients.values(), strict=True):
        limit = np.percentile(np.abs(values), 99)
        for axes, part in zip(pair, (values, _cut(values, corner, size)), strict=True):
            axes.imshow(part, cmap=shades, vmin=-limit, vmax=limit, interpolation="nearest")
    return figure


def show_enlarged(
    rows: Mapping[str, Mapping[str, np.ndarray]], *, contrast: Sequence[float] = (), scale: int = 2
) -> Figure:
    """Draw rows of pictures with equal columns, pixel by pixel.

    Args:
        rows: label to a mapping from title to float of shape `(height, width, 3)` from 0 to 1, all
            of one size. The first row's titles are drawn.
        contrast: for each row, how many times the differences from each picture's own mean are
            enlarged; 1 leaves a picture as it is, and is what is meant without this argument.
        scale: how many of the figure's pixels a pixel of theirs is high and wide.
    """
    titles = list(next(iter(rows.values())))
    height, width = (scale * extent for extent in next(iter(rows.values()))[titles[0]].shape[:2])
    figure, grid = exact_grid(len(rows), len(titles), height, width, left=24)
    factors = contrast or [1] * len(rows)
    for line, (label, pictures), factor in zip(grid, rows.items(), factors, strict=True):
        line[0].set_ylabel(label, fontsize=8)
        for axes, title in zip(line, titles, strict=True):
            picture = pictures[title]
            mean = picture.mean(axis=(0, 1))
            draw_picture(axes, mean + factor * (picture - mean))
    for axes, title in zip(grid[0], titles, strict=True):
        axes.set_title(title, fontsize=8)
    return figure


def show_pattern_history(
    steps: Sequence[float],
    values: Mapping[str, Sequence[float]],
    *,
    x_label: str,
    y_label: str,
    floor: float = 1e-4,
) -> Figure:
    """Draw how a measure of each network changes in training, on a logarithmic scale.

    Args:
        steps: where it was measured.
        values: at most five labels to one number a step, from 0 up.
        x_label: of the steps.
        y_label: of the numbers.
        floor: smaller numbers are drawn as this one.
    """
    with plt.rc_context(STYLE):
        figure, axes = plt.subplots(figsize=(6.5, 2.6))
        for (label, numbers), color in zip(values.items(), _LINES, strict=False):
            axes.semilogy(steps, np.maximum(numbers, floor), color=color, marker=".", label=label)
        axes.set(xlabel=x_label, ylabel=y_label)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.grid(alpha=0.25)
        axes.legend(loc="center left", bbox_to_anchor=(1, 0.5), frameon=False)
    return figure


def _closeup_grid(
    pictures: Mapping[str, np.ndarray], corner: tuple[int, int], size: int
) -> tuple[Figure, np.ndarray]:
    """Axes for pictures with titles and a frame, and for a close-up below each: `(n, 2)`."""
    height, width = next(iter(pictures.values())).shape[:2]
    figure, grid = exact_grid(2, len(pictures), height, width)
    for axes, title in zip(grid[0], pictures, strict=True):
        axes.set_title(title, fontsize=9)
        place = (corner[1] - 0.5, corner[0] - 0.5)
        axes.add_patch(Rectangle(place, size, size, fill=False, color=ORANGE))
    return figure, grid.T


def _cut(picture: np.ndarray, corner: tuple[int, int], size: int) -> np.ndarray:
    row, column = corner
    return picture[row : row + size, column : column + size]


def _mean_spectrum(images: np.ndarray) -> np.ndarray:
    """The energy at each frequency, zero in the middle: shape `(height, width)` of the images."""
    deviations = images.astype("float64") - images.mean(axis=(1, 2), keepdims=True)
    energy = np.square(np.abs(np.fft.fft2(deviations, axes=(1, 2)))).mean(axis=(0, 3))
    return np.fft.fftshift(energy)
