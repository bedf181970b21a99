"""What random initial kernels do to the signals of a deep network, measured and predicted.

Activations pass forward, gradients of the loss backward. The size of a signal is the mean of its
squares. Sources: Glorot and Bengio (2010, section 4.2); He et al. (*Delving Deep into Rectifiers*,
2015, section 2.2); for any activation function Poole et al. (*Exponential expressivity*, 2016,
section 2) and Schoenholz et al. (*Deep Information Propagation*, 2017).
"""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import keras
import numpy as np
from keras import layers, ops

from evalib.training.scoring import check_fit


def deep_network(activation: str, depth: int = 50, width: int = 256) -> keras.Sequential:
    """Build equal dense layers, `hidden1` and so on: 28x28x1 digits to ten probabilities."""
    if depth < 1 or width < 1:
        raise ValueError(f"expected depth and width of at least 1, got {depth} and {width}")
    stack = [keras.Input((28, 28, 1), name="digit"), layers.Flatten(name="flatten")]
    stack += [layers.Dense(width, activation, name=f"hidden{n}") for n in range(1, depth + 1)]
    stack.append(layers.Dense(10, "softmax", name="probabilities"))
    return keras.Sequential(stack, name=f"deep_{activation}")


def draw_kernels(
    model: keras.Model, initializer: keras.initializers.VarianceScaling, seed: int
) -> None:
    """Draw every kernel of a model anew, each with a seed of its own, and set biases to zero.

    One initializer object that several layers share would give equal layers the very same kernel.
    A layer with weights other than a kernel and a bias raises a ValueError.
    """
    config = initializer.get_config()
    seeds = np.random.default_rng(seed).integers(2**31, size=len(model.layers)).tolist()
    for layer, own_seed in zip(model.layers, seeds, strict=True):
        if not layer.weights:
            continue
        if not hasattr(layer, "kernel") or len(layer.weights) > 2:
            names = ", ".join(weight.name for weight in layer.weights)
            raise ValueError(f"expected a kernel and a bias, got {names} in {layer.name!r}")
        draw = type(initializer).from_config({**config, "seed": own_seed})
        layer.kernel.assign(draw(layer.kernel.shape, dtype="float32"))
        if layer.bias is not None:
            layer.bias.assign(np.zeros(layer.bias.shape, "float32"))


def kernel_variance(initializer: keras.initializers.VarianceScaling, shape: Sequence[int]) -> float:
    """The variance of the distribution that a kernel of a shape is drawn from: scale over fan.

    That is 1 over the mean of both fans for Glorot and Bengio (their equation 12), 2 over the fan
    in for He et al. (their equation 10).
    """
    fan_in, fan_out = fans(shape)
    fan = {"fan_in": fan_in, "fan_out": fan_out, "fan_avg": (fan_in + fan_out) / 2}
    return initializer.scale / fan[initializer.mode]


def fans(shape: Sequence[int]) -> tuple[int, int]:
    """How many products make one output, and how many outputs one input has a part in.

    The shape is that of a kernel in Keras: `(inputs, units)` or `(height, width, channels, count)`.
    """
    if len(shape) < 2:
        raise ValueError(f"expected the shape of a kernel, of two numbers or more, got {shape}")
    positions = math.prod(shape[:-2])
    return positions * shape[-2], positions * shape[-1]


class Signals(NamedTuple):
    """The two signals at each hidden layer: float32 of shape `(layers, images, units)`."""

    activations: np.ndarray  #: after its activation function
    gradients: np.ndarray  #: of each image's own loss, in nats, with respect to these
    activation_moments: np.ndarray  #: their mean squares, float64 of shape `(layers,)`
    gradient_moments: np.ndarray


def measure_signals(model: keras.Sequential, images: np.ndarray, labels: np.ndarray) -> Signals:
    """Send images forward through a network and the gradients of their losses backward.

    The model is Sequential, of equally wide hidden dense layers and a last one with softmax, and
    takes images of shape `(n, 28, 28, 1)` with labels of shape `(n,)`. The loss is the
    cross-entropy. The weights stay as they are. What is below 1e-38 becomes zero, as in float32.
    """
    images, labels = check_fit(model, np.asarray(images, "float32"), labels)
    probes = _Probes(model, len(images))
    activations, _ = probes.both(images)
    trainer = keras.Sequential([keras.Input(batch_shape=images.shape), probes])
    # The sum of the losses, so that each image has the gradient of its own.
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True, reduction="sum")
    # A step of rate one leaves minus the gradient behind. One step is not worth compiling.
    trainer.compile(keras.optimizers.SGD(1.0), loss, run_eagerly=True, jit_compile=False)
    trainer.train_on_batch(images, labels)
    values = np.stack([ops.convert_to_numpy(one) for one in activations])
    signals = values, -ops.convert_to_numpy(probes.changes)
    moments = [np.square(signal, dtype="float64").mean(axis=(1, 2)) for signal in signals]
    return Signals(*signals, *moments)


class _Probes(layers.Layer):
    """A network as one layer, with a trainable zero added to what each hidden layer gives."""

    def __init__(self, model: keras.Sequential, count: int) -> None:
        super().__init__()
        dense = [layer for layer in model.layers if isinstance(layer, layers.Dense)]
        widths = [layer.units for layer in dense[:-1]]
        if len(set(widths)) != 1:
            raise ValueError(f"expected hidden dense layers of one width, got {widths}")
        # In a function the network's own weights are not tracked, and stay out of training.
        self.network = lambda: (model.layers, dense)
        self.changes = self.add_weight((len(widths), count, widths[0]), "zeros", "float32")

    def both(self, values: Any) -> tuple[list[Any], Any]:
        """What each hidden layer gives, and the logits: their softmax could round to zero."""
        every, dense = self.network()
        activations: list[Any] = []
        for layer in every[: every.index(dense[-1])]:
            values = layer(values)
            if layer in dense:
                values = values + self.changes[len(activations)]
                activations.append(values)
        return activations, ops.matmul(values, dense[-1].kernel) + dense[-1].bias

    def call(self, values: Any) -> Any:
        return self.both(values)[1]


class Prediction(NamedTuple):
    """Second moments in infinitely wide layers, float64 of shape `(layers,)`."""

    activations: np.ndarray
    gradients: np.ndarray  #: relative to the last layer's


def predict_signals(
    activation: str, variances: Sequence[float], units: Sequence[int], start: float = 1.0
) -> Prediction:
    """Predict the second moments of both signals, layer by layer.

    A sum of `n` products with independent weights of variance `v` and mean zero has the variance
    `n v` times the second moment of what it reads, and is nearly normally distributed. So forward
    `q[l] = units[l-1] v[l] m[l-1]` and `m[l] = E[f(z)^2]`, where `z` has the variance `q[l]`;
    backward `g[l-1] = units[l] v[l] E[f'(z)^2] g[l]` (Poole et al.; Schoenholz et al.).

    The activation is one of `activation_moments`. Of each layer in order there are the kernel's
    variance and the units, before which comes how many numbers the first one reads; `start` is the
    second moment of these.
    """
    if len(units) != len(variances) + 1:
        wanted = f"{len(variances) + 1} numbers of units for {len(variances)} variances"
        raise ValueError(f"expected {wanted}, got {len(units)}")
    moments, slopes = [start], []
    for count, variance in zip(units, variances, strict=False):
        moment, slope = activation_moments(activation, count * variance * moments[-1])
        moments.append(moment)
        slopes.append(slope)
    gradients = [1.0]
    for count, variance, slope in zip(units[:1:-1], variances[:0:-1], slopes[:0:-1], strict=True):
        gradients.append(count * variance * slope * gradients[-1])
    return Prediction(np.array(moments[1:]), np.array(gradients[::-1]))


def activation_moments(activation: str, variance: float) -> tuple[float, float]:
    """`E[f(z)^2]` and `E[f'(z)^2]` for a normally distributed `z` of mean zero and some variance.

    A ReLU cuts one half off, so both are halved (He et al., section 2.2). The tanh is integrated
    numerically. Any function but `"linear"`, `"relu"` and `"tanh"` raises a ValueError.
    """
    if not variance >= 0:
        raise ValueError(f"expected a variance of at least 0, got {variance}")
    if activation in ("linear", "relu"):
        return (variance, 1.0) if activation == "linear" else (variance / 2, 0.5)
    if activation != "tanh":
        raise ValueError(f"expected linear, relu or tanh, got {activation!r}")
    points = np.linspace(-10, 10, 20_001)
    weights = np.exp(-0.5 * points**2)
    weights /= weights.sum()
    values = np.tanh(math.sqrt(variance) * points)
    return float(weights @ values**2), float(weights @ (1 - values**2) ** 2)
