"""The figures on theoretical receptive fields and on architectures."""

import math
from collections.abc import Mapping

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from evalib.plots.style import BLUE, ORANGE, STYLE

Box = tuple[float, float, float, float]  # top, left, height, width


def show_growing_field(
    photo: np.ndarray, regions: Mapping[str, tuple[slice, ...]], printed: Mapping[str, int]
) -> Figure:
    """Draw what one pixel of each layer sees of a photograph, and what a table says of some.

    Args:
        photo: shape `(height, width, 3)`, uint8.
        regions: layer name to rows and columns of its field, the smallest field first.
        printed: layer name to the size in pixels that was printed for it; drawn dashed.
    """
    rows, columns = list(regions.values())[-1]
    middle = (rows.start + rows.stop) / 2, (columns.start + columns.stop) / 2
    colors = plt.get_cmap("viridis")(np.linspace(0, 0.95, len(regions)))
    with plt.rc_context(STYLE):
        figure = plt.figure(figsize=(9.4, 4.1))
        left, right = figure.subfigures(1, 2, width_ratios=[1, 1.35])
        whole = left.subplots()
        whole.imshow(photo)
        reach = max(printed.values()) * 0.62
        whole.set(
            xlim=(middle[1] - reach, middle[1] + reach), ylim=(middle[0] + reach, middle[0] - reach)
        )
        whole.set_axis_off()
        for color, (down, across) in zip(colors, regions.values(), strict=True):
            height, width = down.stop - down.start, across.stop - across.start
            _frame(whole, (down.start, across.start, height, width), color)
        for size in printed.values():
            _frame(whole, (middle[0] - size / 2, middle[1] - size / 2, size, size), ORANGE, "--")
        grid = right.subplots(3, math.ceil(len(regions) / 3), squeeze=False)
        for axes in grid.flat:
            axes.set_axis_off()
        for axes, color, (name, region) in zip(grid.flat, colors, regions.items(), strict=False):
            axes.imshow(photo[region])
            height, width = photo[region].shape[:2]
            axes.set_title(f"{name}\n{height}x{width}", fontsize=7.5)
            _frame(axes, (0, 0, height, width), color)
    return figure


def show_architectures(
    stages: Mapping[str, Mapping[int, int]],
    parameters: Mapping[str, tuple[int, int]],
    fields: Mapping[str, tuple[int, int]],
) -> Figure:
    """Draw how networks shrink a picture, where their parameters are, and what they see.

    Args:
        stages: network to the most channels at each size of the picture in pixels.
        parameters: network to its parameters before the head and in the head.
        fields: network to its largest receptive field and the size of its input, in pixels.
    """
    places = np.arange(len(parameters))
    with plt.rc_context(STYLE):
        figure, (way, weights, seen) = plt.subplots(
            1, 3, figsize=(9.6, 2.9), width_ratios=[1.25, 1, 1]
        )
        for name, found in stages.items():
            way.loglog(list(found), list(found.values()), marker="o", ms=3.5, label=name)
        way.invert_xaxis()
        sizes = [224, 112, 56, 28, 14, 7]
        way.set_xticks(sizes, [str(size) for size in sizes])
        way.set_xticks([], minor=True)
        way.set(xlabel="height and width", ylabel="channels", title="The way down")
        way.legend(frameon=False, fontsize=7.5)
        body, head = (np.array(part) / 1e6 for part in zip(*parameters.values(), strict=True))
        weights.barh(places, body, color=BLUE, label="convolutions")
        weights.barh(places, head, left=body, color=ORANGE, label="head")
        weights.set(xlabel="millions", title="Parameters")
        weights.legend(frameon=False, fontsize=7.5)
        field, picture = zip(*fields.values(), strict=True)
        seen.barh(places, field, color=BLUE)
        for place, size in zip(places, picture, strict=True):
            seen.plot([size, size], [place - 0.45, place + 0.45], color=ORANGE, lw=2)
        seen.plot([], [], color=ORANGE, lw=2, label="the picture")
        seen.set(xlabel="pixels", title="Receptive field at the end")
        seen.legend(frameon=False, fontsize=7.5)
        for axes in (weights, seen):
            axes.set_yticks(places, list(parameters))
            axes.invert_yaxis()
    return figure


def _frame(axes: Axes, box: Box, color: object, style: str = "-") -> None:
    top, left, height, width = box
    corner = (left - 0.5, top - 0.5)
    axes.add_patch(Rectangle(corner, width, height, fill=False, ec=color, lw=1.6, ls=style))
