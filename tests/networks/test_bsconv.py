"""The blueprint network: its sizes by hand, its convolution written out, its fold."""

import keras
import numpy as np
import pytest
from keras import ops

from evalib.networks.course import bsconv_block, bsconv_network
from evalib.networks.folding import fold_normalization
from evalib.receptive_fields.compute import receptive_field
from tests.networks.conftest import SETTINGS


def test_weights_are_counted_by_hand():
    mixtures, kernels = 8 * 16 + 3 * 16 * 16, 9 * 8 + 9 * 16 * 4 + 10 * 16 + 10
    model = bsconv_network(8, 16, 4)
    assert model.count_params() == mixtures + kernels + 4 * (8 + 4 * 16)
    assert fold_normalization(model).count_params() == mixtures + kernels + 8 + 4 * 16


def test_each_block_sees_four_pixels_more():
    """3x3 at stride 1, 2x2 at stride 2, then 3x3 at a distance of two pixels each."""
    model = bsconv_network(2, 2, 6)
    for number in range(1, 7):
        assert receptive_field(model, f"block{number}_add").size == (4 + 4 * number,) * 2
    assert model.get_layer("block6_add").output.shape == (None, 1, 1, 2)


def test_mixture_and_window_are_one_convolution_of_rank_one_kernels(generator):
    image = keras.Input((9, 9, 4))
    block = keras.Model(image, bsconv_block(image, 3, name="block"))
    mix, window = block.get_layer("block_mix").kernel, block.get_layer("block_window").kernel
    kernels = ops.transpose(window, (0, 1, 3, 2)) * mix  # (3, 3, inputs, channels)
    pictures = generator.normal(size=(2, 9, 9, 4)).astype("float32")
    convolved = ops.conv(pictures, kernels)
    norm = block.get_layer("block_norm")
    expected = ops.relu(norm(convolved)) + ops.conv(pictures, mix)[:, 1:-1, 1:-1]
    found = ops.convert_to_numpy(block(pictures))
    np.testing.assert_allclose(found, ops.convert_to_numpy(expected), atol=1e-5)


@pytest.mark.parametrize("setting", ["float32", *SETTINGS])
def test_folding_leaves_the_answers(generator, set_keras, setting):
    set_keras(setting)
    model = bsconv_network(4, 6, 3)
    for layer in model.layers:  # as if it had been trained
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.set_weights([generator.uniform(0.5, 1.5, w.shape) for w in layer.get_weights()])
    pictures = generator.uniform(size=(5, 28, 28, 1)).astype("float32")
    folded = fold_normalization(model)
    assert not any(isinstance(layer, keras.layers.BatchNormalization) for layer in folded.layers)
    first, second = (ops.convert_to_numpy(one(pictures)) for one in (model, folded))
    np.testing.assert_allclose(second, first, atol=0.05 if "16" in setting else 1e-5)


@pytest.mark.parametrize("sizes", [(0, 4, 2), (4, 0, 2), (4, 4, 0), (4, 4, 7), (4.0, 4, 4)])
def test_sizes_out_of_range_are_refused(sizes):
    with pytest.raises(ValueError, match="expected"):
        bsconv_network(*sizes)
