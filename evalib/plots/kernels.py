"""The figures about first-layer kernels before and after training."""

import math
from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.offsetbox import AnnotationBbox, OffsetImage

from evalib.plots.style import BLUE, GRAY, ORANGE, SIGNED, STYLE

# In the figure's pixels: about how high a kernel is, from one to the next, at least between them.
_SIDE, _PITCH, _GAP = 46, 53, 5
_SHADES = 32


def kernel_pictures(kernels: np.ndarray) -> np.ndarray:
    """Turn kernels into pictures, each on its own scale with zero in the middle.

    Args:
        kernels: shape `(height, width, channels, count)`, one channel or three.

    Returns:
        float of shape `(count, height, width, 3)`, 0 to 1. Three channels become red, green and
        blue, mid gray for zero; one becomes blue for negative, white for zero and red for positive.

    Raises:
        ValueError: the kernels are not of rank 4, or have neither one channel nor three.
    """
    if kernels.ndim != 4 or kernels.shape[2] not in (1, 3):
        raise ValueError(f"expected shape (height, width, 1 or 3, count), got {kernels.shape}")
    pictures = np.moveaxis(kernels, -1, 0).astype("float64")
    strongest = np.abs(pictures).max(axis=(1, 2, 3), keepdims=True)
    scaled = 0.5 + 0.5 * pictures / np.where(strongest > 0, strongest, 1)
    if kernels.shape[2] == 1:
        return plt.get_cmap(SIGNED)(scaled[..., 0])[..., :3]
    return np.rint(scaled * (_SHADES - 1)) / (_SHADES - 1)  # a few shades make a smaller file


def show_kernel_bands(bands: Mapping[str, np.ndarray], *, columns: int = 16) -> Figure:
    """Draw all kernels, a labeled band of rows for each group, as `kernel_pictures` paints them.

    Args:
        bands: label to kernels of shape `(height, width, channels, count)`, one channel or three;
            their sizes may differ, and all are drawn about equally large.
        columns: kernels a row.
    """
    mosaics = {label: _mosaic(kernel_pictures(one), columns) for label, one in bands.items()}
    head, margin = 22, 6
    across = max(mosaic.shape[1] for mosaic in mosaics.values()) + 2 * margin
    down = sum(mosaic.shape[0] + head for mosaic in mosaics.values()) + margin
    dots = STYLE["figure.dpi"]
    with plt.rc_context({**STYLE, "figure.constrained_layout.use": False}):
        figure = plt.figure(figsize=(across / dots, down / dots))
        top = down
        for label, mosaic in mosaics.items():
            height, width = mosaic.shape[:2]
            top -= head + height
            box = (margin / across, top / down, width / across, height / down)
            axes = figure.add_axes(box)
            axes.imshow(mosaic, interpolation="nearest", aspect="auto")
            axes.set_axis_off()
            axes.set_title(label, loc="left", pad=4)
    return figure


def show_named_kernels(kernels: Mapping[str, np.ndarray], notes: Sequence[str]) -> Figure:
    """Draw kernels in one row, each with a title above and a note below.

    Args:
        kernels: title to one kernel of shape `(height, width, channels)`, one channel or three.
        notes: one a kernel.
    """
    with plt.rc_context(STYLE):
        figure, row = plt.subplots(1, len(kernels), figsize=(1.05 * len(kernels), 1.95))
        for axes, (title, kernel), note in zip(
            np.atleast_1d(row), kernels.items(), notes, strict=True
        ):
            axes.imshow(kernel_pictures(kernel[..., np.newaxis])[0], interpolation="nearest")
            axes.set(xticks=[], yticks=[], title=title)
            axes.spines[:].set(visible=True, color=GRAY, linewidth=0.5)
            axes.set_xlabel(note, fontsize=8)
    return figure


def show_measures(
    measures: Mapping[str, Mapping[str, tuple[np.ndarray, np.ndarray]]],
    noise: Mapping[str, Sequence[float]],
) -> Figure:
    """Draw a dot a kernel, gray before training and blue after, a panel for each measure.

    Args:
        measures: title to, for each group of kernels, the numbers before and those after.
            Short lines are their means.
        noise: title to what noise has on average, one number a group; drawn as orange lines.
    """
    with plt.rc_context(STYLE):
        figure, row = plt.subplots(1, len(measures), figsize=(3 * len(measures), 3), squeeze=False)
        for axes, (title, groups) in zip(row[0], measures.items(), strict=True):
            for place, (pair, expected) in enumerate(
                zip(groups.values(), noise[title], strict=True)
            ):
                for shift, values, color in zip((-0.2, 0.2), pair, (GRAY, BLUE), strict=True):
                    # Spread sideways in a fixed pattern, so that dots do not hide each other.
                    spread = 0.13 * (2 * (np.arange(len(values)) * 0.618 % 1) - 1)
                    axes.scatter(place + shift + spread, values, 6, color=color, alpha=0.55, lw=0)
                    mean = np.mean(values)
                    axes.hlines(mean, place + shift - 0.18, place + shift + 0.18, "black", lw=1.5)
                axes.hlines(expected, place - 0.42, place + 0.42, ORANGE, lw=1.2, ls="--")
            axes.set_xticks(range(len(groups)), list(groups))
            axes.set(title=title)
            axes.grid(axis="y", alpha=0.25)
        marks = [
            Line2D([], [], color=GRAY, marker="o", ls="", label="before training"),
            Line2D([], [], color=BLUE, marker="o", ls="", label="after training"),
            Line2D([], [], color="black", label="mean"),
            Line2D([], [], color=ORANGE, ls="--", label="expected of noise"),
        ]
        figure.legend(handles=marks, loc="outside lower center", ncols=4, frameon=False)
    return figure


def show_kernel_plane(
    kernels: np.ndarray, x: np.ndarray, y: np.ndarray, *, x_label: str, y_label: str
) -> Figure:
    """Draw each kernel as a small picture at the place that two of its numbers give.

    Args:
        kernels: shape `(height, width, channels, count)`, one channel or three.
        x: one number a kernel.
        y: likewise.
        x_label: of the axis.
        y_label: likewise.
    """
    zoom = max(1, round(40 / kernels.shape[0]))
    with plt.rc_context(STYLE):
        figure, axes = plt.subplots(figsize=(9, 4.6))
        axes.scatter(x, y, s=0)  # for the limits of the axes
        for picture, across, up in zip(kernel_pictures(kernels), x, y, strict=True):
            enlarged = picture.repeat(zoom, axis=0).repeat(zoom, axis=1)
            # In points, of which 72 make an inch: one pixel of the figure for one of the picture.
            image = OffsetImage(enlarged, zoom=72 / STYLE["figure.dpi"], interpolation="nearest")
            axes.add_artist(AnnotationBbox(image, (across, up), frameon=False, pad=0))
        axes.margins(0.05, 0.1)
        axes.set(xlabel=x_label, ylabel=y_label)
        axes.grid(alpha=0.25)
    return figure


def _mosaic(pictures: np.ndarray, columns: int) -> np.ndarray:
    """Pictures side by side on white, each pixel of theirs a square of the figure's pixels."""
    count, height, width, _ = pictures.shape
    scale = max(1, round(_SIDE / height))
    columns = min(columns, count)
    step_down = scale * height + _GAP
    step_right = max(_PITCH, scale * width + _GAP)  # so that columns of different bands line up
    mosaic = np.ones((math.ceil(count / columns) * step_down, columns * step_right, 3))
    for number, picture in enumerate(pictures.repeat(scale, axis=1).repeat(scale, axis=2)):
        top, left = number // columns * step_down, number % columns * step_right
        mosaic[top : top + scale * height, left : left + scale * width] = picture
    return mosaic[:-_GAP]
