"""Parameters added up by hand, sizes of the course's tables, and the rules of the assignment."""

import itertools

import keras
import numpy as np
import pytest

from evalib.networks.course import (
    baseline_network,
    bsconv_network,
    s3_network,
    session2_network,
    squeeze_expand_network,
)
from evalib.networks.folding import fold_normalization
from evalib.receptive_fields.compute import receptive_field
from tests.networks.conftest import SETTINGS


def test_the_courses_first_network_layer_by_layer():
    model = baseline_network()
    by_hand = {"conv1": 9 * 32 + 32, "conv2": 32 * 10 + 10, "conv3": 26 * 26 * 10 * 10 + 10}
    by_hand |= {"flatten": 0, "probabilities": 0}
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
    *_, last_linear, averages, softmax = model.layers
    assert last_linear.activation is keras.activations.linear
    assert isinstance(averages, keras.layers.GlobalAveragePooling2D)
    assert isinstance(softmax, keras.layers.Softmax)


@pytest.mark.parametrize("setting", SETTINGS)
@pytest.mark.parametrize("build", [baseline_network, s3_network, squeeze_expand_network])
def test_every_setting_gives_the_same_network(generator, set_keras, build, setting):
    small = {"input_size": 62, "width": 1 / 64, "classes": 5}
    options = small if build is squeeze_expand_network else {}
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
    expected = [398, 396, 394, 392, 390, 195, 195, 193, 191, 189, 187]
    assert [size for _, size, _ in outputs_by_layer(model)] == expected
    by_hand = convolution_parameters((3, 3, 32), *GROWTH, SQUEEZE, *GROWTH)
    assert model.count_params() == by_hand == 3_152_672
    model = squeeze_expand_network()
    rows = outputs_by_layer(model)
    assert [size for _, size, _ in rows] == [*expected, 93, 93, 91, 89, 87, 85, 85]
    assert rows[6] == ("transition1_mix", 195, 32)
    assert rows[13] == ("block3_conv1", 91, 64)  # here the course's table ends
    steps = [(3, 3, 32), *GROWTH, SQUEEZE, *GROWTH, SQUEEZE, *GROWTH, (1, 512, 1000)]
    assert model.count_params() == convolution_parameters(*steps) == 5_249_768


def test_other_widths_of_blocks_by_hand():
    blocks = [[32, *[width] * 4] for width in (64, 128, 256, 512)]
    convolutions = [(3, a, b) for channels in blocks for a, b in itertools.pairwise(channels)]
    squeezes = [(1, width, 32) for width in (64, 128, 256)]
    by_hand = convolution_parameters((3, 3, 32), *convolutions, *squeezes, (1, 512, 10))
    model = squeeze_expand_network(130, block_widths=[block[1:] for block in blocks], classes=10)
    assert model.count_params() == by_hand


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: session2_network(27), "at least 28, got 27"),
        (lambda: squeeze_expand_network(61), "at least 62, got 61"),
        (lambda: session2_network(28, 0), "above 0 and up to 1, got 0"),
        (lambda: squeeze_expand_network(62, block_widths=[]), "at least one block"),
        (
            lambda: squeeze_expand_network(62, block_widths=iter([(4,), ()])),
            "positive whole numbers",
        ),
        (lambda: bsconv_network(0, 4), "positive whole numbers"),
        (lambda: bsconv_network(4, 4, 7), "1 to 6 blocks, got 7"),
    ],
)
def test_networks_that_cannot_be_are_refused(build, message):
    with pytest.raises(ValueError, match=message):
        build()


def test_the_blueprint_network_by_hand():
    model = bsconv_network(8, 16, 4)
    kernels = 9 * 8 + (8 * 16 + 3 * 16 * 16) + 9 * 16 * 4 + 10 * 16 + 10
    assert model.count_params() == kernels + 4 * (8 + 4 * 16)
    assert fold_normalization(model).count_params() == kernels + 8 + 4 * 16
    # 3x3 at stride 1, 2x2 at stride 2, then 3x3 at a distance of two pixels each.
    model = bsconv_network(2, 2, 6)
    for number in range(1, 7):
        assert receptive_field(model, f"block{number}_relu").size == (4 + 4 * number,) * 2
    assert model.get_layer("block6_add").output.shape == (None, 1, 1, 2)


def test_mixture_and_window_are_one_convolution_of_rank_one_kernels(generator):
    model = bsconv_network(4, 3, 1)
    mix, window = model.get_layer("block1_mix").kernel, model.get_layer("block1_window").kernel
    kernels = keras.ops.transpose(window, (0, 1, 3, 2)) * mix  # (3, 3, inputs, channels)
    ends = [model.get_layer(name).output for name in ("strokes_relu", "block1_add")]
    digits = generator.random((2, 28, 28, 1), dtype=np.float32)
    maps, found = keras.Model(model.input, ends)(digits)
    expected = keras.ops.relu(model.get_layer("block1_norm")(keras.ops.conv(maps, kernels)))
    expected += keras.ops.conv(maps, mix)[:, 1:-1, 1:-1]
    found, expected = (keras.ops.convert_to_numpy(one) for one in (found, expected))
    np.testing.assert_allclose(found, expected, atol=1e-5)
