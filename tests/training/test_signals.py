"""Signals in deep networks against the chain rule in NumPy, closed formulas and SciPy."""

import keras
import numpy as np
import pytest
from keras import layers
from scipy.integrate import quad
from scipy.special import softmax
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

IMAGES = np.random.default_rng(0).normal(size=(6, 28, 28, 1)).astype("float32")
LABELS = np.array([3, 1, 4, 1, 5, 9])
HE, XAVIER = keras.initializers.HeNormal(), keras.initializers.GlorotNormal()


def signals_by_hand(model: keras.Model, slope_of: str) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Activations and gradients by the chain rule, in float64."""
    weights = [weight.astype("float64") for weight in model.get_weights()]
    kernels, biases = weights[::2], weights[1::2]
    values, activations = IMAGES.reshape(6, -1).astype("float64"), []
    for kernel, bias in zip(kernels[:-1], biases[:-1], strict=True):
        sums = values @ kernel + bias
        values = np.tanh(sums) if slope_of == "tanh" else np.maximum(sums, 0)
        activations.append(values)
    back = (softmax(values @ kernels[-1] + biases[-1], axis=1) - np.eye(10)[LABELS]) @ kernels[-1].T
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
    both = signals.activation_moments, signals.gradient_moments
    for found, by_hand in zip(both, (activations, gradients), strict=True):
        np.testing.assert_allclose(found, [np.mean(one**2) for one in by_hand], rtol=1e-4)
    assert all((a == b).all() for a, b in zip(before, model.get_weights(), strict=True))


def test_what_cannot_be_measured_is_refused():
    model = deep_network("relu", depth=2, width=4)
    stack = [layers.Flatten(), layers.Dense(4), layers.Dense(5), layers.Dense(10, "softmax")]
    uneven = keras.Sequential([keras.Input((28, 28, 1)), *stack])
    for network, images, labels, message in (
        (model, IMAGES[:, :20], LABELS, "expected images of shape"),
        (model, IMAGES, LABELS + 5, "labels from 0 to 9"),
        (uneven, IMAGES, LABELS, r"one width, got \[4, 5\]"),
    ):
        with pytest.raises(ValueError, match=message):
            measure_signals(network, images, labels)
    with pytest.raises(ValueError, match="at least 1, got 0 and 4"):
        deep_network("relu", depth=0, width=4)
    with pytest.raises(ValueError, match="two numbers or more, got"):
        fans((7,))


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
    model = keras.Sequential([keras.Input((8,)), layers.BatchNormalization(name="normal")])
    with pytest.raises(ValueError, match="got gamma, beta, moving_mean, moving_variance in 'norm"):
        draw_kernels(model, HE, seed=0)


@pytest.mark.parametrize("shape", [(300, 500), (3, 3, 40, 60)])
@pytest.mark.parametrize(
    "initializer",
    [
        *(XAVIER, HE, keras.initializers.LecunUniform()),
        keras.initializers.VarianceScaling(0.25, "fan_out", "untruncated_normal"),
    ],
)
def test_the_variance_is_that_of_what_keras_draws(initializer, shape):
    drawn = keras.ops.convert_to_numpy(initializer(shape)).astype("float64")
    assert kernel_variance(initializer, shape) == pytest.approx(drawn.var(), rel=0.03)


@pytest.mark.parametrize("variance", [1e-8, 0.01, 1.0, 16.0, 1e4])
def test_tanh_is_integrated_rightly(variance):
    spread = np.sqrt(variance)
    points = [-1 / spread, 0, 1 / spread] if variance > 1 else None
    expected = [
        quad(lambda z, f=f: norm.pdf(z) * f(np.tanh(spread * z)), -9, 9, points=points, limit=500)
        for f in (np.square, lambda value: (1 - value**2) ** 2)
    ]
    assert activation_moments("tanh", variance) == pytest.approx([e[0] for e in expected], rel=1e-6)


def test_relu_halves_the_second_moment_and_anything_else_is_refused():
    assert activation_moments("relu", 3.0) == (1.5, 0.5)
    assert activation_moments("linear", 3.0) == (3.0, 1.0)
    for name, variance in (("gelu", 1.0), ("relu", -1.0), ("tanh", float("nan"))):
        with pytest.raises(ValueError, match=r"linear, relu or tanh, got 'gelu'|at least 0, got"):
            activation_moments(name, variance)


def test_each_layer_counts_its_own_inputs_and_outputs():
    for scale, factor in ((2.0, 1.0), (1.0, 0.5)):  # He keeps a ReLU's signal and Xavier halves it
        prediction = predict_signals("relu", [scale / 100] * 10, [100] * 11)
        np.testing.assert_allclose(prediction.activations, factor ** np.arange(1, 11))
        np.testing.assert_allclose(prediction.gradients, factor ** np.arange(9, -1, -1))
    prediction = predict_signals("linear", [0.1, 0.2, 0.3], [5, 7, 11, 13], start=2.0)
    forward = [2 * 5 * 0.1, 2 * 5 * 0.1 * 7 * 0.2, 2 * 5 * 0.1 * 7 * 0.2 * 11 * 0.3]
    np.testing.assert_allclose(prediction.activations, forward)
    np.testing.assert_allclose(prediction.gradients, [13 * 0.3 * 11 * 0.2, 13 * 0.3, 1])
    with pytest.raises(ValueError, match="expected 3 numbers of units for 2 variances, got 2"):
        predict_signals("relu", [1, 1], [1, 1])
