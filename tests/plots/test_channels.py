"""What the figures about channels say, read back from their parts."""

from typing import Any

import keras
import matplotlib.pyplot as plt
import numpy as np
import pytest

from evalib.networks.course import squeeze_expand_network
from evalib.plots import channels as channel_plots


def texts(figure: plt.Figure) -> list[str]:
    return [text.get_text() for axes in figure.axes for text in axes.texts]


def bars(axes: Any) -> list[Any]:
    """The axes' rectangles; matplotlib's types know them as patches only."""
    return list(axes.patches)


def titles(figure: plt.Figure) -> list[str]:
    return [axes.get_title() for axes in figure.axes if axes.get_title()]


def test_the_channel_sums_add_up():
    patch = np.arange(27).reshape(3, 3, 3)
    kernel = np.zeros((3, 3, 3), int)
    kernel[0, 0] = [1, 2, -3]  # on the values 0, 1 and 2
    kernel[2, 2] = [0, -1, 1]  # on the values 24, 25 and 26
    figure = channel_plots.show_channel_sums(patch, kernel)
    figure.canvas.draw()
    by_hand = [0, 2 - 25, -6 + 26]
    written = texts(figure)
    assert written.count("−23") == 1  # the green sum; the others' numbers occur elsewhere too
    assert "−25" in written
    assert sum(by_hand) == -3
    assert figure.get_supxlabel().strip() == "one output pixel:  0 − 23 + 20 = −3"


def test_each_kernel_shows_three_slices_and_its_output():
    generator = np.random.default_rng(0)
    photo = generator.integers(0, 256, (8, 8, 3), dtype=np.uint8)
    kernels, outputs = generator.normal(size=(3, 3, 3, 2)), generator.normal(size=(6, 6, 2))
    figure = channel_plots.show_kernel_outputs(photo, kernels, outputs, ["one", "two"])
    figure.canvas.draw()
    drawn = [np.asarray(image.get_array()) for axes in figure.axes for image in axes.images]
    assert len(drawn) == 1 + 2 * 4
    np.testing.assert_array_equal(drawn[0], photo)
    np.testing.assert_array_equal(drawn[3], kernels[:, :, 2, 0])
    np.testing.assert_array_equal(drawn[-1], outputs[..., 1])
    assert titles(figure) == ["photograph", "one", "two"]


def test_weighted_sums_write_the_weight_of_each_channel():
    channels = {"a": np.ones((4, 4)), "b": np.full((4, 4), 0.5)}
    outputs = {"sum": np.full((4, 4), 1.25), "difference": np.full((4, 4), 0.75)}
    figure = channel_plots.show_weighted_sums(
        channels, np.array([[1.0, 1.0], [0.5, -0.5]]), outputs
    )
    figure.canvas.draw()
    assert titles(figure) == [
        "1.000 × a", "0.500 × b", "sum", "1.000 × a", "−0.500 × b", "difference",
    ]  # fmt: skip
    assert texts(figure) == ["+", "=", "+", "="]


def test_a_channel_without_weight_fades():
    channels = {"a": np.ones((4, 4)), "b": np.ones((4, 4))}
    figure = channel_plots.show_weighted_sums(
        channels, np.array([[-2.0], [0.0]]), {"sum": np.ones((4, 4))}
    )
    first, second, _ = (axes.images[0].get_alpha() for axes in figure.axes)
    assert first == 1
    assert second is not None
    assert 0 < second < 0.2


def test_costs_are_bars_with_their_numbers():
    figure = channel_plots.show_costs(
        {"weights": {"3x3": 147_456, "1x1": 16_384}, "seconds": {"3x3": 0.25, "1x1": 0.0312}}
    )
    figure.canvas.draw()
    assert titles(figure) == ["weights", "seconds"]
    assert texts(figure) == ["147 k", "16.4 k", "0.25", "0.0312"]
    left, _ = figure.axes
    assert [bar.get_width() for bar in bars(left)] == [147_456, 16_384]
    assert [label.get_text() for label in left.get_yticklabels()] == ["3x3", "1x1"]


def test_layer_costs_draw_each_layer_that_has_pixels():
    model = squeeze_expand_network(62, 1 / 32, classes=5)
    figure = channel_plots.show_layer_costs(model)
    figure.canvas.draw()
    with_pixels = [layer for layer in model.layers[1:] if len(layer.output.shape) == 4]
    channels, parameters, _ = figure.axes
    assert [bar.get_height() for bar in bars(channels)] == [
        layer.output.shape[-1] for layer in with_pixels
    ]
    assert sum(bar.get_height() for bar in bars(parameters)) == model.count_params()
    colors = {
        layer.name: bar.get_facecolor()
        for layer, bar in zip(with_pixels, bars(channels), strict=True)
    }
    assert colors["transition1_mix"] == colors["class_maps"] != colors["block1_conv1"]
    assert isinstance(model.get_layer("transition1_pool"), keras.layers.MaxPooling2D)
    assert len(set(colors.values())) == 3


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.25, "0.25"), (93.81, "93.8"), (896, "896"), (1000, "1,000"), (16_384, "16.4 k"),
        (623_001_600, "623 M"), (5_607_014_400, "5.6 bn"), (1_434_862_196_096, "1,435 bn"),
    ],
)  # fmt: skip
def test_numbers_are_written_short(value, text):
    assert channel_plots._short(value) == text
