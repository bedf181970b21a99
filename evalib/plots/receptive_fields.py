"""The figure of effective receptive fields."""

import math
from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure

from evalib.plots.primitives import hide_axes, outline
from evalib.receptive_fields.effective import effective_size


def show_fields(
    fields: Mapping[str, np.ndarray], box: Sequence[float] | None = None, *, columns: int = 3
) -> Figure:
    """Draw effective fields; the white square has `effective_size`, which stands below, too.

    Args:
        fields: title to field, shape `(height, width)`, maximum 1.
        box: the theoretical field as `(top, left, height, width)` in pixels, outlined in orange;
            without it, it is the whole picture.
        columns: fields a row.
    """
    rows = math.ceil(len(fields) / columns)
    size = (2.1 * columns + 0.8, 2.5 * rows)
    figure, grid = plt.subplots(rows, columns, figsize=size, squeeze=False)
    for axes in grid.flat[len(fields) :]:
        axes.set_axis_off()
    for axes, (title, field) in zip(grid.flat, fields.items(), strict=False):
        picture = axes.imshow(field, cmap="viridis", vmin=0, vmax=1)
        hide_axes(axes, title)
        top, left, height, width = box or (0, 0, *field.shape)
        side = effective_size(field)
        outline(axes, (top + (height - side) / 2, left + (width - side) / 2, side, side), "white")
        if box:
            outline(axes, box)
        axes.set_xlabel(f"{side:.1f} of {height} pixels")
    bar = figure.colorbar(picture, ax=grid, aspect=30, pad=0.01, ticks=[0, 0.5, 1])
    bar.set_label("influence")
    bar.outline.set_visible(False)  # type: ignore[operator]  # matplotlib types it as a float
    return figure
