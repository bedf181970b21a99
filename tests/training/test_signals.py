"""Signals in deep networks against the chain rule in NumPy, closed formulas and SciPy."""

import itertools

import keras
import numpy as np
import pytest
from keras import layers
from scipy.integrate import quad
from scipy.stats import norm

from evalib.training.signals import (
    activation_moments,
    deep_network,
    draw_kernels,
    fans,
    kernel_variance,
    measure_signals,
    predict_signals,
)

noise = np.random.default_rng(0)
IMAGES = noise.normal(size=(6, 28, 28, 1)).astype("float32")
LABELS = np.array([3, 1, 4, 1, 5, 9])
HE, XAVIER = keras.initializers.HeNormal(), keras.initializers.GlorotNormal()


def softmax(logits: np.ndarray) -> np.ndarray:
    exponentials = np.exp(logits - logits.max(axis=1, keepdims=True))
    return exponentials / exponentials.sum(axis=1, keepdims=True)


def signals_by_hand(model: keras.Model, slope_of: str) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Activations and gradients by the chain rule, in float64."""
    weights = [weight.astype("float64") for weight in model.get_weights()]
    kernels, biases = weights[::2], weights[1::2]
    values, activations = IMAGES.reshape(6, -1).astype("float64"), []
    for kernel, bias in zip(kernels[:-1], biases[:-1], strict=True):
        sums = values @ kernel + bias
        values = np.tanh(sums) if slope_of == "tanh" else np.maximum(sums, 0)
        activations.append(values)
    back = (softmax(values @ kernels[-1] + biases[-1]) - np.eye(10)[LABELS]) @ kernels[-1].T
    gradients = [back]
    for kernel, values in zip(kernels[-2:0:-1], activations[:0:-1], strict=True):
        slope = 1 - values**2 if slope_of == "tanh" else values > 0
        back = (back * slope) @ kernel.T
        gradients.append(back)
    return activations, gradients[::-1]


@pytest.mark.parametrize("activation", ["tanh", "relu"])
def test_signals_are_those_of_the_chain_rule(activation):
    model = deep_network(activation, depth=4, width=12)
    draw_kernels(model, HE, seed=1)
    before = model.get_weights()
    signals = measure_signals(model, IMAGES, LABELS)
    activations, gradients = signals_by_hand(model, activation)
    np.testing.assert_allclose(signals.activations, activations, atol=1e-5)
    np.testing.assert_allclose(signals.gradients, gradients, atol=1e-5)
    for found, by_hand in (
        (signals.activation_moments, activations),
        (signals.gradient_moments, gradients),
    ):
        np.testing.assert_allclose(found, [np.mean(one**2) for one in by_hand], rtol=1e-4)
    assert all((a == b).all() for a, b in zip(before, model.get_weights(), strict=True))


def test_what_cannot_be_measured_is_refused():
    model = deep_network("relu", depth=2, width=4)
    with pytest.raises(ValueError, match="expected images of shape"):
        measure_signals(model, IMAGES[:, :20], LABELS)
    with pytest.raises(ValueError, match="labels from 0 to 9"):
        measure_signals(model, IMAGES, LABELS + 5)
    dense = [layers.Dense(units, "softmax") for units in (4, 5, 10)]
    uneven = keras.Sequential([keras.Input((28, 28, 1)), layers.Flatten(), *dense])
    with pytest.raises(ValueError, match=r"one width, got \[4, 5\]"):
        measure_signals(uneven, IMAGES, LABELS)
    with pytest.raises(ValueError, match="at least 1, got 0 and 4"):
        deep_network("relu", depth=0, width=4)


def test_each_layer_gets_a_kernel_of_its_own():
    model = deep_network("relu", depth=3, width=64)
    model.layers[2].bias.assign(np.ones(64))
    draw_kernels(model, HE, seed=0)
    _, _, second, bias, third, *_ = model.get_weights()
    assert not bias.any()
    assert abs(np.corrcoef(second.ravel(), third.ravel())[0, 1]) < 0.1
    draw_kernels(model, HE, seed=0)
    assert (model.get_weights()[2] == second).all()
    draw_kernels(model, HE, seed=1)
    assert (model.get_weights()[2] != second).any()


def test_only_kernels_and_biases_are_drawn():
    model = keras.Sequential([keras.Input((8,)), layers.BatchNormalization(name="normal")])
    with pytest.raises(ValueError, match="got gamma, beta, moving_mean, moving_variance in 'norm"):
        draw_kernels(model, HE, seed=0)


@pytest.mark.parametrize("shape", [(300, 500), (3, 3, 40, 60)])
@pytest.mark.parametrize(
    "initializer",
    [
        XAVIER,
        HE,
        keras.initializers.LecunUniform(),
        keras.initializers.VarianceScaling(0.25, "fan_out", "untruncated_normal"),
    ],
    ids=lambda one: type(one).__name__,
)
def test_the_variance_is_that_of_what_keras_draws(initializer, shape):
    drawn = keras.ops.convert_to_numpy(initializer(shape)).astype("float64")
    assert drawn.mean() == pytest.approx(0, abs=float(4 * drawn.std() / drawn.size**0.5))
    assert kernel_variance(initializer, shape) == pytest.approx(drawn.var(), rel=0.03)


def test_the_variances_are_those_of_the_papers():
    assert kernel_variance(XAVIER, (300, 500)) == 2 / (300 + 500)  # Glorot and Bengio, eq. 12
    assert kernel_variance(HE, (3, 3, 32, 64)) == 2 / (3 * 3 * 32)  # He et al., eq. 10
    assert fans((3, 3, 32, 64)) == (288, 576)
    assert fans((784, 10)) == (784, 10)
    with pytest.raises(ValueError, match="two numbers or more, got"):
        fans((7,))


@pytest.mark.parametrize("variance", [1e-8, 0.01, 1.0, 16.0, 1e4])
def test_tanh_is_integrated_rightly(variance):
    spread = np.sqrt(variance)
    points = [-1 / spread, 0, 1 / spread] if variance > 1 else None
    expected = [
        quad(lambda z, f=f: norm.pdf(z) * f(np.tanh(spread * z)), -9, 9, points=points, limit=500)[
            0
        ]
        for f in (np.square, lambda value: (1 - value**2) ** 2)
    ]
    assert activation_moments("tanh", variance) == pytest.approx(expected, rel=1e-6)


def test_relu_halves_the_second_moment_and_anything_else_is_refused():
    assert activation_moments("relu", 3.0) == (1.5, 0.5)
    assert activation_moments("linear", 3.0) == (3.0, 1.0)
    with pytest.raises(ValueError, match="linear, relu or tanh, got 'gelu'"):
        activation_moments("gelu", 1)
    for wrong in (-1.0, float("nan")):
        with pytest.raises(ValueError, match="at least 0, got"):
            activation_moments("relu", wrong)


def test_he_keeps_the_signal_and_xavier_halves_it():
    for scale, factor in ((2.0, 1.0), (1.0, 0.5)):
        prediction = predict_signals("relu", [scale / 100] * 10, [100] * 11)
        np.testing.assert_allclose(prediction.activations, factor ** np.arange(1, 11))
        np.testing.assert_allclose(prediction.gradients, factor ** np.arange(9, -1, -1))


def test_each_layer_counts_its_own_inputs_and_outputs():
    prediction = predict_signals("linear", [0.1, 0.2, 0.3], [5, 7, 11, 13], start=2.0)
    forward = [2 * 5 * 0.1, 2 * 5 * 0.1 * 7 * 0.2, 2 * 5 * 0.1 * 7 * 0.2 * 11 * 0.3]
    np.testing.assert_allclose(prediction.activations, forward)
    np.testing.assert_allclose(prediction.gradients, [13 * 0.3 * 11 * 0.2, 13 * 0.3, 1])
    with pytest.raises(ValueError, match="expected 3 numbers of units for 2 variances, got 2"):
        predict_signals("relu", [1, 1], [1, 1])


@pytest.mark.parametrize("activation", ["tanh", "relu"])
def test_a_wide_network_does_what_is_predicted(activation):
    model = deep_network(activation, depth=12, width=400)
    draw_kernels(model, HE, seed=0)
    images = IMAGES / np.sqrt(np.square(IMAGES).mean(axis=(1, 2, 3), keepdims=True))
    signals = measure_signals(model, images, LABELS)
    units = [784] + [400] * 12
    variances = [kernel_variance(HE, shape) for shape in itertools.pairwise(units)]
    prediction = predict_signals(activation, variances, units)
    relative = signals.gradient_moments / signals.gradient_moments[-1]
    # The width is not infinite: a layer may miss by a few percent, and twelve of them add up.
    for found, wanted in (
        (signals.activation_moments, prediction.activations),
        (relative, prediction.gradients),
    ):
        assert np.abs(np.log(found / wanted)).max() < np.log(2)
