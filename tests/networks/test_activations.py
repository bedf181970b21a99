"""Curves and slopes of the family against SciPy, autodiff and published numbers."""

import keras
import numpy as np
import pytest
from keras import ops
from scipy import special, stats

from evalib.networks import FAMILY, activation_layer, kernel_initializer, small_network
from evalib.networks.activations import steps_to_accuracy
from evalib.networks.gradients import input_gradient

X = np.linspace(-8, 8, 1601) + 1e-3  # off every kink
# Each function once more, from its definition.
BY_DEFINITION = {
    "linear": lambda x: x,
    "sigmoid": special.expit,
    "hard_sigmoid": lambda x: np.clip(x / 6 + 0.5, 0, 1),
    "tanh": np.tanh,
    "relu": lambda x: np.maximum(x, 0),
    "relu6": lambda x: np.clip(x, 0, 6),
    "leaky_relu": lambda x: np.maximum(x, 0.2 * x),
    "prelu": lambda x: np.maximum(x, 0.25 * x),
    "elu": lambda x: np.where(x > 0, x, special.expm1(x)),
    "selu": lambda x: (
        1.0507009873554805 * np.where(x > 0, x, 1.6732632423543772 * special.expm1(x))
    ),
    "srelu": lambda x: (
        np.clip(x, -1, 1.5) + 0.4 * np.clip(x - 1.5, 0, 9) + 0.2 * np.clip(x + 1, -9, 0)
    ),
    "softplus": lambda x: np.logaddexp(0, x),
    "silu": lambda x: x * special.expit(x),
    "hard_silu": lambda x: x * np.clip(x / 6 + 0.5, 0, 1),
    "gelu": lambda x: x * stats.norm.cdf(x),
    "mish": lambda x: x * np.tanh(np.logaddexp(0, x)),
}
each = pytest.mark.parametrize("name", [*FAMILY])


@each
def test_function_and_derivative_are_what_definition_and_backend_say(name):
    values = ops.convert_to_numpy(FAMILY[name].function(ops.convert_to_tensor(X, "float32")))
    np.testing.assert_allclose(values, BY_DEFINITION[name](X), atol=3e-6, rtol=1e-5)
    inputs = keras.Input(X.shape)
    model = keras.Model(inputs, keras.layers.Lambda(FAMILY[name].function)(inputs))
    derivative = FAMILY[name].derivative(X)
    np.testing.assert_allclose(input_gradient(model, X[np.newaxis])[0], derivative, atol=1e-5)


@each
def test_the_derivative_jumps_at_the_kinks_and_nowhere_else(name):
    fine = np.linspace(-8, 8, 16_001) + 3e-5
    jumps = np.abs(np.diff(FAMILY[name].derivative(fine))) > 0.02
    places = sorted(set((fine[:-1][jumps] + 5e-4).round(2).tolist()))
    assert places == pytest.approx(list(FAMILY[name].kinks), abs=0.01)


@each
def test_a_layer_begins_as_the_function(name):
    pictures = np.random.default_rng(0).normal(size=(2, 4, 5, 3)).astype("float32") * 3
    flat = pictures.reshape(2, 60)
    expected = BY_DEFINITION["leaky_relu" if name == "srelu" else name](np.float64(pictures))
    numbers = {"prelu": 1, "srelu": 4}.get(name, 0)
    for values, axes, channels in ((pictures, 2, 3), (flat, 0, 60)):
        layer = activation_layer(name, spatial_axes=axes)
        found = ops.convert_to_numpy(layer(values))
        np.testing.assert_allclose(found, expected.reshape(values.shape), atol=1e-5)
        assert layer.count_params() == channels * numbers


@pytest.mark.parametrize(("name", "numbers"), [("relu", 0), ("prelu", 1), ("srelu", 4)])
def test_the_small_network_counts_by_hand(name, numbers, set_keras):
    set_keras("channels_first")
    network = small_network(name)
    # 28 -> 13 -> 11 -> 5 pixels; the last 5 x 5 x 32 numbers are read by 64 units.
    kernels = 9 * (16 + 16 * 24 + 24 * 32) + 800 * 64 + 64 * 10
    channels = 16 + 24 + 32 + 64
    assert network.get_layer("activation3").output.shape[1:] == (5, 5, 32)
    assert network.count_params() == kernels + channels + 10 + numbers * channels


def test_kernels_start_with_the_variance_that_suits():
    starts = [kernel_initializer(name) for name in ("tanh", "selu", "relu", "gelu")]
    assert starts == ["glorot_normal", "lecun_normal", "he_normal", "he_normal"]
    kernel = small_network("relu").get_layer("dense").get_weights()[0]
    assert kernel.std() == pytest.approx(np.sqrt(2 / 800), rel=0.02)


def test_a_target_is_reached_on_the_line_between_two_marks():
    marks, accuracies = [0, 20, 40, 90], [0.1, 0.5, 0.9, 0.8]
    assert steps_to_accuracy(marks, accuracies, 0.7) == pytest.approx(30)
    assert steps_to_accuracy(marks, accuracies, 0.5) == pytest.approx(20)
    assert steps_to_accuracy(marks, accuracies, 0.05) == 0
    assert steps_to_accuracy(marks, accuracies, 0.95) is None
    with pytest.raises(ValueError, match="expected 2 accuracies, one per mark, got 1"):
        steps_to_accuracy([0, 1], [0.5], 0.5)
