"""Parameters added up by hand, and the rules of the assignment."""

import itertools

import keras
import pytest

from evalib.networks.course import (
    baseline_network,
    s3_network,
    session2_network,
    squeeze_expand_network,
    widening_network,
)


def test_the_courses_first_network_layer_by_layer():
    model = baseline_network()
    by_hand = {
        "conv1": 3 * 3 * 1 * 32 + 32,  # 320
        "conv2": 1 * 1 * 32 * 10 + 10,  # 330
        "conv3": 26 * 26 * 10 * 10 + 10,  # 67,610
        "flatten": 0,
        "probabilities": 0,
    }
    assert {layer.name: layer.count_params() for layer in model.layers} == by_hand
    assert model.count_params() == 68_260  # what the course's notebook printed
    assert model.get_layer("conv3").output.shape[1:] == (1, 1, 10)


def test_our_network_layer_by_layer():
    model = s3_network()
    channels = [1, 16, 24, 24, 24, 20]
    kernels = sum(9 * a * b for a, b in itertools.pairwise(channels))
    normalization = sum(4 * c for c in channels[1:])  # scale, shift, moving mean, moving variance
    assert model.count_params() == kernels + normalization + (20 * 10 + 10) == 18_930
    assert model.count_params() < 20_000


def test_our_network_keeps_to_3x3_and_1x1():
    convolutions = [
        layer for layer in s3_network().layers if isinstance(layer, keras.layers.Conv2D)
    ]
    assert len(convolutions) == 6
    assert {layer.kernel_size for layer in convolutions} == {(3, 3), (1, 1)}


@pytest.mark.parametrize("network", [baseline_network, s3_network])
def test_nothing_stands_between_the_last_linear_layer_and_the_softmax(network):
    tail = []
    for layer in reversed(network().layers):
        tail.append(layer)
        if layer.count_params() > 0:
            break
    *between, last_linear = tail[1:]
    assert last_linear.activation is keras.activations.linear
    allowed = keras.layers.Flatten | keras.layers.GlobalAveragePooling2D
    assert all(isinstance(layer, allowed) for layer in between)


def test_a_notebook_can_ask_for_a_layer_by_name():
    names = [layer.name for layer in s3_network().layers]
    assert "block2_conv2" in names
    assert len(set(names)) == len(names)
    assert names == [layer.name for layer in s3_network().layers], "names change with each call"


def convolution_parameters(*steps: tuple[int, int, int]) -> int:
    """Weights and biases of convolutions, each as (kernel size, channels in, channels out)."""
    return sum(size * size * inputs * outputs + outputs for size, inputs, outputs in steps)


def outputs_by_layer(model: keras.Model) -> list[tuple[str, int, int]]:
    """Name, height and channels of each layer that still has pixels."""
    shapes = [(layer.name, layer.output.shape) for layer in model.layers[1:]]
    return [(name, shape[1], shape[3]) for name, shape in shapes if len(shape) == 4]


def test_the_network_of_session_2_has_the_sizes_of_the_courses_table():
    model = session2_network()
    assert outputs_by_layer(model) == [
        ("block1_conv1", 398, 32),
        ("block1_conv2", 396, 64),
        ("block1_conv3", 394, 128),
        ("block1_conv4", 392, 256),
        ("block1_conv5", 390, 512),
        ("transition1_pool", 195, 512),
        ("transition1_mix", 195, 32),
        ("block2_conv1", 193, 64),
        ("block2_conv2", 191, 128),
        ("block2_conv3", 189, 256),
        ("block2_conv4", 187, 512),
    ]
    growth = [(3, 32, 64), (3, 64, 128), (3, 128, 256), (3, 256, 512)]
    by_hand = convolution_parameters((3, 3, 32), *growth, (1, 512, 32), *growth)
    assert model.count_params() == by_hand == 3_152_672


def test_squeeze_and_expand_has_the_sizes_of_the_courses_table():
    model = squeeze_expand_network()
    assert outputs_by_layer(model) == [
        ("first_conv", 398, 32),
        ("block1_conv1", 396, 64),
        ("block1_conv2", 394, 128),
        ("block1_conv3", 392, 256),
        ("block1_conv4", 390, 512),
        ("transition1_pool", 195, 512),
        ("transition1_mix", 195, 32),
        ("block2_conv1", 193, 64),
        ("block2_conv2", 191, 128),
        ("block2_conv3", 189, 256),
        ("block2_conv4", 187, 512),
        ("transition2_pool", 93, 512),
        ("transition2_mix", 93, 32),
        ("block3_conv1", 91, 64),  # here the course's table ends
        ("block3_conv2", 89, 128),
        ("block3_conv3", 87, 256),
        ("block3_conv4", 85, 512),
        ("class_maps", 85, 1000),
    ]
    growth = [(3, 32, 64), (3, 64, 128), (3, 128, 256), (3, 256, 512)]
    squeeze = (1, 512, 32)
    by_hand = convolution_parameters(
        (3, 3, 32), *growth, squeeze, *growth, squeeze, *growth, (1, 512, 1000)
    )
    assert model.count_params() == by_hand == 5_249_768
    assert model.output_shape == (None, 1000)


def test_the_widening_network_differs_in_nothing_but_channels():
    widening = widening_network(130, classes=10)
    other = squeeze_expand_network(130, block_widths=[(64, 128, 256, 512)] * 4, classes=10)
    sizes, other_sizes = (
        [(name, size) for name, size, _ in outputs_by_layer(model)] for model in (widening, other)
    )
    assert sizes == other_sizes
    blocks = [[32, *[width] * 4] for width in (64, 128, 256, 512)]
    convolutions = [(3, a, b) for channels in blocks for a, b in itertools.pairwise(channels)]
    squeezes = [(1, width, 32) for width in (64, 128, 256)]
    by_hand = convolution_parameters((3, 3, 32), *convolutions, *squeezes, (1, 512, 10))
    assert widening.count_params() == by_hand


def test_a_narrow_network_keeps_the_sizes_and_runs():
    model = squeeze_expand_network(62, 1 / 32, classes=5)
    assert outputs_by_layer(model)[-2:] == [("block3_conv4", 1, 16), ("class_maps", 1, 5)]
    assert model.get_layer("transition1_mix").filters == 1
    probabilities = keras.ops.convert_to_numpy(model(keras.ops.ones((2, 62, 62, 3))))
    assert probabilities.sum(axis=1) == pytest.approx([1, 1])
    assert session2_network(28, 1 / 16).output_shape == (None, 1, 1, 32)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: session2_network(27), "at least 28, got 27"),
        (lambda: squeeze_expand_network(61), "at least 62, got 61"),
        (lambda: widening_network(129), "at least 130, got 129"),
        (lambda: session2_network(28, 0), "above 0 and up to 1, got 0"),
        (lambda: squeeze_expand_network(62, 1.5), "above 0 and up to 1, got 1.5"),
        (lambda: squeeze_expand_network(62, block_widths=[]), "at least one block"),
        (lambda: squeeze_expand_network(62, block_widths=[(4,), ()]), "positive number"),
    ],
)
def test_networks_that_cannot_be_are_refused(build, message):
    with pytest.raises(ValueError, match=message):
        build()
