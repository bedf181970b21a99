"""The network of a configuration is the one that one would write by hand."""

from typing import Any

import keras
import numpy as np
import pytest

from evalib.networks.config import NetworkConfig, build_network
from evalib.networks.course import s3_network


def test_the_default_is_the_s3_network(generator):
    built, written = build_network(NetworkConfig()), s3_network()
    assert [w.shape for w in built.weights] == [w.shape for w in written.weights]
    built.set_weights(written.get_weights())
    digits = generator.random((5, 28, 28, 1), dtype=np.float32)
    expected = keras.ops.convert_to_numpy(written(digits))
    np.testing.assert_allclose(keras.ops.convert_to_numpy(built(digits)), expected, atol=1e-6)


@pytest.mark.parametrize(
    ("values", "parameters"),
    [
        # 4 kernels of 3x3 and 4 biases; 10 kernels of 26x26x4 and 10 biases.
        (
            {"channels": [4], "pool_after": [], "head": "convolution"},
            36 + 4 + 10 * 26 * 26 * 4 + 10,
        ),
        # 3x3 to 2 channels with biases, averages, 32 units, 10 classes.
        ({"channels": [2], "head": "dense"}, 2 * 9 + 2 + (2 * 32 + 32) + (32 * 10 + 10)),
        # 4 of 3x3, then 4 of 3x3 and a 1x1 from 4 to 6, each with biases; 6 to 10 maps.
        ({"channels": [4, 6], "convolution": "separable"}, 40 + (4 * 9 + 4 * 6 + 6) + 6 * 10 + 10),
    ],
)
def test_parameters_by_hand(values, parameters):
    model = build_network(NetworkConfig(**values, normalize=False))
    assert model.count_params() == parameters


def test_equal_configurations_have_one_form():
    channels: Any = np.array([3, 5])
    size: Any = 3
    arrays = NetworkConfig(channels, size, pool_after=[2, 1, 2], dropout=0)
    plain = NetworkConfig((3, 5), (3,), pool_after=(1, 2), dropout=0.0)
    assert (repr(arrays), arrays) == (repr(plain), plain)
    assert sum("pool" in layer.name for layer in build_network(plain).layers) == 2


def test_every_choice_ends_up_in_its_layer(set_keras):
    set_keras("channels_first")
    values: dict[str, Any] = {"activation": "elu", "initializer": "he_normal", "dropout": 0.25}
    values |= {"channels": [3, 5], "kernel_sizes": [3, 5], "pool_after": [1, 2]}
    model = build_network(NetworkConfig(padding="same", **values))
    assert [layer.kernel_size[0] for layer in model.layers if "conv" in layer.name] == [3, 5]
    assert isinstance(model.get_layer("conv1").kernel_initializer, keras.initializers.HeNormal)
    assert model.get_layer("activation2").activation is keras.activations.elu
    assert model.get_layer("dropout2").rate == 0.25
    # 28 pixels, halved twice.
    assert model.get_layer("norm2").output.shape == (None, 7, 7, 5)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"channels": [4, 2.5]}, "positive whole numbers as channels"),
        ({"channels": [4, 4, 4], "kernel_sizes": [3, 3]}, "one positive kernel size, or 3"),
        ({"pool_after": [6]}, "convolutions 1 to 5"),
        ({"head": "mean"}, "average.*convolution.*dense"),
        ({"dropout": 1.0}, "dropout from 0 to below 1"),
        ({"normalize": "no"}, "normalize True or False, got 'no'"),
        ({"activation": "wavy"}, "no activation 'wavy'"),
        ({"initializer": "perfect"}, "no initializer 'perfect'"),
        ({"kernel_sizes": [9]}, "conv3 needs maps of at least 9x9 pixels, and gets 2x2"),
        ({"channels": [4] * 6, "kernel_sizes": [1], "pool_after": range(1, 6)}, "pool5 needs"),
    ],
)
def test_bad_configurations_and_what_does_not_fit_are_refused(values, message):
    with pytest.raises(ValueError, match=message):
        build_network(NetworkConfig(**values))
