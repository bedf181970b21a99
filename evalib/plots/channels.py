"""Figures about channels: kernels with depth, 1x1 mixtures, and what channels cost."""

from collections.abc import Mapping, Sequence
from typing import Any

import keras
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import Colormap, LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from evalib.networks.costs import layer_costs
from evalib.plots.style import BLUE, GRAY, ORANGE, SIGNED, STYLE

CHANNELS = ("red", "green", "blue")
CHANNEL_COLORS = {"red": "#c53030", "green": "#2f855a", "blue": BLUE}
_MINUS = "\N{MINUS SIGN}"


def show_channel_sums(patch: np.ndarray, kernel: np.ndarray) -> Figure:
    """Draw how one output pixel comes about: products, a sum for each channel, and their sum.

    Args:
        patch: the 27 values that the kernel covers, integers of shape `(3, 3, 3)`, channels last.
        kernel: integers of the same shape.
    """
    products = patch.astype(int) * kernel.astype(int)
    sums = products.sum(axis=(0, 1))
    limit = np.abs(products).max()
    with plt.rc_context(STYLE):
        figure, grid = plt.subplots(
            3, 4, figsize=(7.4, 5.5), width_ratios=[1, 1, 1, 0.75], squeeze=False
        )
        for channel, (name, row) in enumerate(zip(CHANNELS, grid, strict=True)):
            color = CHANNEL_COLORS[name]
            tint = LinearSegmentedColormap.from_list(name, ["white", color])
            _draw_numbers(row[0], patch[..., channel], tint, (0, 400), "×")
            _draw_numbers(row[1], kernel[..., channel], SIGNED, (-3, 3), "=")
            _draw_numbers(row[2], products[..., channel], SIGNED, (-2 * limit, 2 * limit), "→")
            row[3].set_axis_off()
            row[3].text(0.5, 0.5, _signed(sums[channel]), color=color, fontsize=17, **_CENTERED)
            row[0].set_ylabel(name, color=color, fontsize=11)
        for axes, title in zip(grid[0], ("photograph", "kernel", "products", "sum"), strict=True):
            axes.set_title(title, fontsize=11)
        terms = " ".join([_signed(sums[0]), *(_signed(value, plus=True) for value in sums[1:])])
        figure.supxlabel(f"\none output pixel:  {terms} = {_signed(sums.sum())}", fontsize=13)
    return figure


def show_kernel_outputs(
    photo: np.ndarray, kernels: np.ndarray, outputs: np.ndarray, names: Sequence[str]
) -> Figure:
    """Draw a photograph; and for each kernel its red, green and blue slice and its output.

    Blue is negative, white zero and red positive; each kernel and each output has its own scale,
    and an output's one percent of most extreme values is drawn as if at the end of it.

    Args:
        photo: uint8, shape `(height, width, 3)`.
        kernels: shape `(3, 3, 3, count)`.
        outputs: shape `(height - 2, width - 2, count)`.
        names: one a kernel.
    """
    count = kernels.shape[-1]
    with plt.rc_context(STYLE):
        figure = plt.figure(figsize=(1.8 * (count + 1), 2.7))
        grid = figure.add_gridspec(2, count + 1, height_ratios=[1, 3.2])
        _draw_photo(figure.add_subplot(grid[1, 0]), photo, "photograph")
        for number, name in enumerate(names):
            (slices,) = grid[0, number + 1].subgridspec(1, 3).subplots(squeeze=False)
            limit = 1.3 * np.abs(kernels[..., number]).max()
            for channel, axes in enumerate(slices):
                _hide_ticks(axes)
                values = kernels[:, :, channel, number]
                axes.imshow(values, cmap=SIGNED, vmin=-limit, vmax=limit)
                for spine in axes.spines.values():
                    color = CHANNEL_COLORS[CHANNELS[channel]]
                    spine.set(visible=True, color=color, linewidth=1.5)
            slices[1].set_title(name)
            _draw_signed(figure.add_subplot(grid[1, number + 1]), outputs[..., number])
    return figure


def show_weighted_sums(
    channels: Mapping[str, np.ndarray],
    weights: np.ndarray,
    outputs: Mapping[str, np.ndarray],
    *,
    color_map: str = "gray",
) -> Figure:
    """Draw 1x1 convolutions as sums: a row an output, with a weight above each channel in it.

    Channels are drawn from 0 to 1, each output from 0 to its own maximum: what is below zero looks
    as it would behind a ReLU. Channels fade where their weight is small beside its row's largest.

    Args:
        channels: name to values in [0, 1] of shape `(height, width)`.
        weights: shape `(len(channels), len(outputs))`.
        outputs: name to values of shape `(height, width)`.
        color_map: a matplotlib color map.
    """
    with plt.rc_context(STYLE):
        figure, grid = plt.subplots(
            len(outputs),
            len(channels) + 1,
            figsize=(1.6 * (len(channels) + 1), 1.85 * len(outputs)),
            squeeze=False,
        )
        for row, strengths, (title, output) in zip(grid, weights.T, outputs.items(), strict=True):
            for axes in row:
                _hide_ticks(axes)
            for axes, weight, (name, values) in zip(
                row[:-1], strengths, channels.items(), strict=True
            ):
                strength = max(0.12, abs(weight) / np.abs(strengths).max())
                axes.imshow(values, cmap=color_map, vmin=0, vmax=1, alpha=strength)
                axes.set_title(f"{weight:.3f} × {name}".replace("-", _MINUS))
                sign = "=" if axes is row[-2] else "+"
                axes.text(
                    1.06, 0.5, sign, fontsize=13, color=GRAY, transform=axes.transAxes, **_CENTERED
                )
            row[-1].imshow(output, cmap=color_map, vmin=0, vmax=output.max())
            row[-1].set_title(title, fontweight="bold")
    return figure


def show_costs(quantities: Mapping[str, Mapping[str, float]]) -> Figure:
    """Draw costs as bars, a panel a quantity, each with its own scale from zero.

    Args:
        quantities: what is counted or measured, to the value of each competitor by name; the
            competitors are the same in each panel. The last one is drawn in orange.
    """
    competitors = list(next(iter(quantities.values())))
    with plt.rc_context(STYLE):
        figure, panels = plt.subplots(
            1,
            len(quantities),
            figsize=(9, 0.6 + 0.36 * len(competitors)),
            sharey=True,
            squeeze=False,
        )
        for axes, (title, values) in zip(panels[0], quantities.items(), strict=True):
            lengths = [values[name] for name in competitors]
            colors = [BLUE] * (len(lengths) - 1) + [ORANGE]
            bars = axes.barh(range(len(lengths)), lengths, color=colors, height=0.65)
            axes.bar_label(bars, [_short(value) for value in lengths], padding=3)
            axes.set(title=title, xticks=[], xlim=(0, 1.3 * max(lengths)))
            axes.spines["bottom"].set_visible(False)
        panels[0, 0].set_yticks(range(len(competitors)), competitors)
        panels[0, 0].invert_yaxis()
    return figure


def show_layer_costs(model: keras.Model) -> Figure:
    """Draw channels, parameters and multiplications of each layer whose output has pixels.

    Args:
        model: one of the course's networks, of 3x3 and 1x1 convolutions and poolings.
    """
    costs = [cost for cost in layer_costs(model) if len(cost.output_shape) == 3]
    positions = np.arange(len(costs))
    colors = [_layer_color(model.get_layer(cost.name)) for cost in costs]
    panels = {
        "channels": [cost.output_shape[-1] for cost in costs],
        "parameters": [cost.parameters for cost in costs],
        "multiplications": [cost.macs for cost in costs],
    }
    with plt.rc_context(STYLE):
        figure, grid = plt.subplots(3, 1, figsize=(8.5, 6), sharex=True, squeeze=False)
        for axes, (title, values) in zip(grid[:, 0], panels.items(), strict=True):
            bars = axes.bar(positions, values, color=colors, width=0.8)
            axes.bar_label(bars, [_short(v) if v else "" for v in values], fontsize=7, padding=1)
            axes.set(ylabel=title, yticks=[], ylim=(0, 1.12 * max(values)))
            axes.spines["left"].set_visible(False)
        names = [f"{cost.name}, {cost.output_shape[0]}x{cost.output_shape[1]}" for cost in costs]
        grid[-1, 0].set_xticks(positions, names, rotation=60, ha="right", rotation_mode="anchor")
        grid[0, 0].legend(
            handles=[Patch(color=color, label=label) for label, color in _LAYER_COLORS.items()],
            ncols=3,
            frameon=False,
            loc="lower left",
            bbox_to_anchor=(0, 1),
        )
    return figure


def _layer_color(layer: keras.Layer) -> str:
    kernel_size = getattr(layer, "kernel_size", None)
    if kernel_size is None:
        return _LAYER_COLORS["max pooling"]
    return _LAYER_COLORS["1x1 convolution" if max(kernel_size) == 1 else "3x3 convolution"]


def _draw_photo(axes: Axes, photo: np.ndarray, title: str) -> None:
    _hide_ticks(axes)
    axes.imshow(photo)
    axes.set_title(title)


def _draw_signed(axes: Axes, values: np.ndarray) -> None:
    """Draw an array with white at zero, blue below and red above."""
    limit = np.percentile(np.abs(values), 99)
    _hide_ticks(axes)
    axes.imshow(values, cmap=SIGNED, vmin=-limit, vmax=limit)


def _draw_numbers(
    axes: Axes,
    values: np.ndarray,
    color_map: str | Colormap,
    limits: tuple[float, float],
    sign: str,
) -> None:
    """Draw a small matrix as colored fields with their numbers, and a sign to its right."""
    _hide_ticks(axes)
    axes.imshow(values, cmap=color_map, vmin=limits[0], vmax=limits[1])
    for (row, column), value in np.ndenumerate(values):
        axes.text(column, row, _signed(value), fontsize=10, **_CENTERED)
    axes.text(1.12, 0.5, sign, fontsize=14, color=GRAY, transform=axes.transAxes, **_CENTERED)


def _hide_ticks(axes: Axes) -> None:
    axes.set(xticks=[], yticks=[])
    for spine in axes.spines.values():
        spine.set_visible(False)


def _short(value: float) -> str:
    """Write a number of any size in a few digits; the units are thousand, million and billion."""
    for least, scale, unit in ((1e9, 1e9, " bn"), (1e6, 1e6, " M"), (1e4, 1e3, " k")):
        if value >= least:
            # Not ".3g", which would turn 1,020 billion into "1.02e+03".
            return f"{value / scale:,.{0 if value >= 100 * scale else 1}f}{unit}"
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def _signed(value: float, *, plus: bool = False) -> str:
    """Write an integer with a true minus sign, as a term of a sum where a plus is asked for."""
    number = round(float(value))
    if plus:
        return f"{_MINUS if number < 0 else '+'} {abs(number):,}"
    return f"{_MINUS if number < 0 else ''}{abs(number):,}"


_CENTERED: dict[str, Any] = {"ha": "center", "va": "center"}
_LAYER_COLORS = {"3x3 convolution": BLUE, "1x1 convolution": ORANGE, "max pooling": GRAY}
