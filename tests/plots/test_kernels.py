"""What the figures of kernels say, read back from their parts."""

from typing import Any

import numpy as np
import pytest
from matplotlib.collections import LineCollection, PathCollection

from evalib.plots import kernels as kernel_plots

SHADE = 0.5 / 31 + 1e-9  # three-channel kernels are drawn in 32 shades


def test_color_kernels_have_mid_gray_for_zero_and_a_scale_of_their_own():
    kernels = np.zeros((3, 3, 3, 2))
    kernels[0, 0] = [[2, 20], [-2, -20], [0, 0]]
    weak, strong = kernel_plots.kernel_pictures(kernels)
    np.testing.assert_array_equal(weak, strong)
    np.testing.assert_allclose(weak[0, 0], [1, 0, 0.5], atol=SHADE)
    np.testing.assert_allclose(weak[1:], 0.5, atol=SHADE)


def test_gray_kernels_are_blue_white_and_red():
    kernel = np.array([[-1.0, 0.0, 1.0]])[:, :, np.newaxis, np.newaxis]
    negative, zero, positive = kernel_plots.kernel_pictures(kernel)[0, 0]
    assert negative[2] > negative[0]
    assert positive[0] > positive[2]
    assert zero.min() > 0.95


def test_kernels_of_zeros_can_be_drawn():
    np.testing.assert_allclose(
        kernel_plots.kernel_pictures(np.zeros((3, 3, 3, 1))), 0.5, atol=SHADE
    )


@pytest.mark.parametrize("shape", [(3, 3, 2, 8), (3, 3, 3)])
def test_kernels_of_other_shapes_are_refused(shape):
    with pytest.raises(ValueError, match="1 or 3, count"):
        kernel_plots.kernel_pictures(np.ones(shape))


def test_bands_hold_all_kernels_in_order_pixel_by_pixel(generator):
    small, large = generator.normal(size=(3, 3, 3, 5)), generator.normal(size=(11, 11, 1, 2))
    figure = kernel_plots.show_kernel_bands({"small": small, "large": large}, columns=4)
    figure.canvas.draw()
    assert [axes.get_title(loc="left") for axes in figure.axes] == ["small", "large"]
    for axes, kernels in zip(figure.axes, (small, large), strict=True):
        mosaic = np.asarray(axes.images[0].get_array())
        box = axes.get_window_extent()
        assert (round(box.height, 3), round(box.width, 3)) == mosaic.shape[:2]
        size = kernels.shape[0]
        scale = round(kernel_plots._SIDE / size)
        down = scale * size + kernel_plots._GAP
        right = max(kernel_plots._PITCH, down)
        for number, picture in enumerate(kernel_plots.kernel_pictures(kernels)):
            top, left = number // 4 * down, number % 4 * right
            cell = mosaic[top : top + scale * size, left : left + scale * size]
            np.testing.assert_array_equal(cell, picture.repeat(scale, 0).repeat(scale, 1))


def test_named_kernels_have_their_notes(generator):
    kernels = {"gray": generator.normal(size=(5, 5, 1)), "color": generator.normal(size=(5, 5, 3))}
    figure = kernel_plots.show_named_kernels(kernels, ["one", "two"])
    assert [axes.get_title() for axes in figure.axes] == ["gray", "color"]
    assert [axes.get_xlabel() for axes in figure.axes] == ["one", "two"]
    drawn = np.asarray(figure.axes[1].images[0].get_array())
    expected = kernel_plots.kernel_pictures(kernels["color"][..., np.newaxis])[0]
    np.testing.assert_array_equal(drawn, expected)


def test_measures_are_drawn_a_dot_a_kernel_beside_what_noise_has(generator):
    groups = {"3x3": (generator.uniform(size=6), np.ones(4)), "7x7": (np.zeros(2), np.zeros(3))}
    figure = kernel_plots.show_measures({"smoothness": groups}, {"smoothness": [0.25, 0.5]})
    axes = figure.axes[0]
    assert axes.get_title() == "smoothness"
    assert [tick.get_text() for tick in axes.get_xticklabels()] == ["3x3", "7x7"]
    collections: list[Any] = list(axes.collections)
    scattered = [one for one in collections if isinstance(one, PathCollection)]
    dots = [np.asarray(one.get_offsets()) for one in scattered]
    assert [len(one) for one in dots] == [6, 4, 2, 3]
    np.testing.assert_allclose(dots[0][:, 1], groups["3x3"][0])
    assert (np.abs(dots[3][:, 0] - 1.2) < 0.2).all()
    lines = [one for one in collections if isinstance(one, LineCollection)]
    heights = [float(one.get_segments()[0][0, 1]) for one in lines]
    np.testing.assert_allclose(heights, [groups["3x3"][0].mean(), 1, 0.25, 0, 0, 0.5])
    texts = [text.get_text() for text in figure.legends[0].get_texts()]
    assert texts == ["before training", "after training", "mean", "expected of noise"]


def test_kernels_stand_at_the_place_of_their_numbers(generator):
    kernels = generator.normal(size=(11, 11, 3, 4))
    x, y = np.array([0, 45, 90, 179]), generator.uniform(size=4)
    figure = kernel_plots.show_kernel_plane(kernels, x, y, x_label="direction", y_label="strength")
    figure.canvas.draw()
    axes = figure.axes[0]
    boxes: list[Any] = list(axes.artists)
    np.testing.assert_allclose([box.xy for box in boxes], np.stack([x, y], axis=1))
    pictures = kernel_plots.kernel_pictures(kernels)
    for box, picture in zip(boxes, pictures, strict=True):
        np.testing.assert_array_equal(box.offsetbox.get_data()[::4, ::4], picture)
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("direction", "strength")
    low, high = axes.get_xlim()
    assert low < 0
    assert high > 179
