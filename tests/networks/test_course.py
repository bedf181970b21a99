"""Parameters added up by hand, sizes of the course's tables, and the rules of the assignment."""

import itertools

import keras
import numpy as np
import pytest

from evalib.networks.course import (
    baseline_network,
    s3_network,
    session2_network,
    squeeze_expand_network,
    widening_network,
)
from tests.networks.conftest import SETTINGS


def test_the_courses_first_network_layer_by_layer():
    model = baseline_network()
    by_hand = {
        "conv1": 3 * 3 * 1 * 32 + 32,
        "conv2": 1 * 1 * 32 * 10 + 10,
        "conv3": 26 * 26 * 10 * 10 + 10,
        "flatten": 0,
        "probabilities": 0,
    }
    assert {layer.name: layer.count_params() for layer in model.layers} == by_hand
    assert model.count_params() == 68_260  # what the course's notebook printed


def test_our_network_by_hand_and_by_the_rules():
    model = s3_network()
    channels = [1, 16, 24, 24, 24, 20]
    kernels = sum(9 * a * b for a, b in itertools.pairwise(channels))
    normalization = sum(4 * c for c in channels[1:])  # scale, shift, moving mean, moving variance
    assert model.count_params() == kernels + normalization + (20 * 10 + 10) == 18_930
    sizes = [one.kernel_size for one in model.layers if isinstance(one, keras.layers.Conv2D)]
    assert sizes == [(3, 3)] * 5 + [(1, 1)]
    names = [layer.name for layer in model.layers]
    assert names == [layer.name for layer in s3_network().layers], "names change with each call"
    *_, last_linear, averages, softmax = model.layers
    assert last_linear.activation is keras.activations.linear
    assert isinstance(averages, keras.layers.GlobalAveragePooling2D)
    assert isinstance(softmax, keras.layers.Softmax)


@pytest.mark.parametrize("setting", SETTINGS)
@pytest.mark.parametrize("build", [baseline_network, s3_network, widening_network])
def test_every_setting_gives_the_same_network(generator, set_keras, build, setting):
    options = (
        {"input_size": 130, "width": 1 / 64, "classes": 5} if build is widening_network else {}
    )
    usual = build(**options)
    set_keras(setting)
    other = build(**options)
    other.set_weights(usual.get_weights())
    images = generator.random((3, *usual.input_shape[1:]), dtype=np.float32)
    first, second = (keras.ops.convert_to_numpy(one(images)) for one in (usual, other))
    assert second.dtype.itemsize >= 4  # JAX has no float64 by default
    np.testing.assert_allclose(second, first, atol=0.02)
    np.testing.assert_allclose(second.sum(axis=1), 1, atol=1e-6)


def convolution_parameters(*steps: tuple[int, int, int]) -> int:
    """Weights and biases of convolutions, each as (kernel size, channels in, channels out)."""
    return sum(size * size * inputs * outputs + outputs for size, inputs, outputs in steps)


def outputs_by_layer(model: keras.Model) -> list[tuple[str, int, int]]:
    """Name, height and channels of each layer that still has pixels."""
    shapes = [(layer.name, layer.output.shape) for layer in model.layers[1:]]
    return [(name, shape[1], shape[3]) for name, shape in shapes if len(shape) == 4]


GROWTH = [(3, 32, 64), (3, 64, 128), (3, 128, 256), (3, 256, 512)]
SQUEEZE = (1, 512, 32)


def test_the_networks_of_sessions_2_and_3_have_the_sizes_of_the_courses_tables():
    model = session2_network()
    sizes = [size for _, size, _ in outputs_by_layer(model)]
    assert sizes == [398, 396, 394, 392, 390, 195, 195, 193, 191, 189, 187]
    by_hand = convolution_parameters((3, 3, 32), *GROWTH, SQUEEZE, *GROWTH)
    assert model.count_params() == by_hand == 3_152_672
    model = squeeze_expand_network()
    rows = outputs_by_layer(model)
    sizes = [size for _, size, _ in rows]
    assert sizes[:7] == [398, 396, 394, 392, 390, 195, 195]
    assert sizes[7:] == [193, 191, 189, 187, 93, 93, 91, 89, 87, 85, 85]
    assert rows[6] == ("transition1_mix", 195, 32)
    assert rows[13] == ("block3_conv1", 91, 64)  # here the course's table ends
    steps = [(3, 3, 32), *GROWTH, SQUEEZE, *GROWTH, SQUEEZE, *GROWTH, (1, 512, 1000)]
    assert model.count_params() == convolution_parameters(*steps) == 5_249_768


def test_the_widening_network_differs_in_nothing_but_channels():
    widening = widening_network(130, classes=10)
    widths = (iter((64, 128, 256, 512)) for _ in range(4))  # an iterator is read once
    other = squeeze_expand_network(130, block_widths=widths, classes=10)
    sizes, other_sizes = (
        [(name, size) for name, size, _ in outputs_by_layer(model)] for model in (widening, other)
    )
    assert sizes == other_sizes
    blocks = [[32, *[width] * 4] for width in (64, 128, 256, 512)]
    convolutions = [(3, a, b) for channels in blocks for a, b in itertools.pairwise(channels)]
    squeezes = [(1, width, 32) for width in (64, 128, 256)]
    by_hand = convolution_parameters((3, 3, 32), *convolutions, *squeezes, (1, 512, 10))
    assert widening.count_params() == by_hand


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: session2_network(27), "at least 28, got 27"),
        (lambda: squeeze_expand_network(61), "at least 62, got 61"),
        (lambda: widening_network(129), "at least 130, got 129"),
        (lambda: session2_network(28, 0), "above 0 and up to 1, got 0"),
        (lambda: squeeze_expand_network(62, block_widths=[]), "at least one block"),
        (lambda: squeeze_expand_network(62, block_widths=[(4,), ()]), "positive whole numbers"),
    ],
)
def test_networks_that_cannot_be_are_refused(build, message):
    with pytest.raises(ValueError, match=message):
        build()
