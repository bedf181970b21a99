"""Activation functions by name: formulas, curves, derivatives, layers, and a network to try them.

Derivatives are written out by hand in NumPy, to be checked against what a backend differentiates.
"""

import dataclasses
import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import keras
import numpy as np
from keras import activations, layers
from scipy.special import expit, ndtr

from evalib.networks.layers import LAST, SReLU, s_shaped, softmax_dtype

LEAK = 0.2  # the slope of a leaky ReLU below zero, as in keras.activations.leaky_relu
PRELU_START = 0.25  # where He et al. (2015, section 2.1) let PReLU's slope begin
SRELU_EXAMPLE = {"t_left": -1.0, "a_left": 0.2, "t_right": 1.5, "a_right": 0.4}
# Klambauer et al. (2017): with these two, mean 0 and variance 1 are a fixed point.
SELU_ALPHA, SELU_SCALE = 1.6732632423543772, 1.0507009873554805


@dataclasses.dataclass(frozen=True)
class Activation:
    """An activation function on tensors, and its derivative on float64 arrays.

    A formula in LaTeX that holds for x < 0 alone leaves the rest as x. The derivative jumps at the
    kinks, where it is the slope on one side. The source is who proposed it for networks.
    """

    title: str
    formula: str
    function: Callable[[Any], Any]
    derivative: Callable[[np.ndarray], np.ndarray]
    kinks: tuple[float, ...]
    source: str


def activation_layer(
    name: str, *, spatial_axes: int = 2, layer_name: str | None = None
) -> layers.Layer:
    """Make a new layer that applies an activation function, `name` of `FAMILY`.

    PReLU, from the slope 0.25, and SReLU, from the leaky ReLU, learn numbers for each channel. The
    input has `spatial_axes` between batch and channels: 2 for images, 0 after a dense layer.
    """
    if name not in FAMILY:
        raise ValueError(f"expected one of {', '.join(FAMILY)}, got {name!r}")
    options: Any = {"shared_axes": list(range(1, 1 + spatial_axes)), "name": layer_name}
    if name == "prelu":
        return layers.PReLU(keras.initializers.Constant(PRELU_START), **options)
    if name == "srelu":
        return SReLU(**options)
    if name == "leaky_relu":
        return layers.LeakyReLU(negative_slope=LEAK, name=layer_name)
    return layers.Activation(name, name=layer_name)


def kernel_initializer(name: str) -> str:
    """Keras's name for the initial kernels that suit an activation function, a key of `FAMILY`.

    LeCun's for SELU (Klambauer et al.), Glorot's for functions that are nearly the identity around
    zero, He's for those that cut the negative half.
    """
    if name == "selu":
        return "lecun_normal"
    return "glorot_normal" if name in ("linear", "sigmoid", "hard_sigmoid", "tanh") else "he_normal"


def small_network(name: str) -> keras.Sequential:
    """A small convolutional network without normalization: 28x28x1 digits to ten probabilities.

    Three 3x3 convolutions of 16, 24 and 32 kernels, of strides 2, 1 and 2, and a dense layer of
    64 units, each followed by the activation function `name` of `FAMILY` in a layer of its own,
    `activation1` to `activation4`.
    """
    start = {"kernel_initializer": kernel_initializer(name)}
    network = keras.Sequential([keras.Input((28, 28, 1), name="digit")], name=f"small_{name}")
    for number, (kernels, stride) in enumerate(((16, 2), (24, 1), (32, 2)), start=1):
        network.add(layers.Conv2D(kernels, 3, stride, name=f"conv{number}", **start, **LAST))
        network.add(activation_layer(name, layer_name=f"activation{number}"))
    network.add(layers.Flatten(name="flatten", **LAST))
    network.add(layers.Dense(64, name="dense", **start))
    network.add(activation_layer(name, spatial_axes=0, layer_name="activation4"))
    dtype = softmax_dtype()
    network.add(layers.Dense(10, activation="softmax", name="probabilities", dtype=dtype))
    return network


def steps_to_accuracy(
    marks: Sequence[int], accuracies: Sequence[float], target: float
) -> float | None:
    """After how many steps a training first had an accuracy, or `None` where it never had.

    The marks are steps, in rising order, at which the accuracies, 0 to 1, were measured. Between
    them are straight lines. A ValueError says if there is not one accuracy per mark.
    """
    if len(marks) != len(accuracies):
        raise ValueError(f"expected {len(marks)} accuracies, one per mark, got {len(accuracies)}")
    reached = np.flatnonzero(np.asarray(accuracies) >= target)
    if len(reached) == 0:
        return None
    around = slice(max(reached[0] - 1, 0), reached[0] + 1)
    return float(np.interp(target, accuracies[around], marks[around]))


_FUNCTIONS = {  # those that are not Keras's own
    "leaky_relu": functools.partial(activations.leaky_relu, negative_slope=LEAK),
    "prelu": functools.partial(activations.leaky_relu, negative_slope=PRELU_START),
    "srelu": functools.partial(s_shaped, **SRELU_EXAMPLE),
}
# fmt: off
_TABLE: Any = (
    ("linear", "linear", "x", np.ones_like, (), "no activation at all"),
    ("sigmoid", "sigmoid", r"1/(1+e^{-x})", lambda x: expit(x) * expit(-x), (),
        "the logistic curve"),
    ("hard_sigmoid", "hard sigmoid", r"\mathrm{clip}(x/6+1/2,\,0,\,1)",
        lambda x: (abs(x) < 3) / 6, (-3.0, 3.0), "Courbariaux et al., 2015, with other numbers"),
    ("tanh", "tanh", r"\tanh x", lambda x: 1 - np.tanh(x) ** 2, (), "the hyperbolic tangent"),
    ("relu", "ReLU", r"\max(0,\,x)",
        lambda x: np.where(x > 0, 1.0, 0.0), (0.0,), "Nair and Hinton, 2010"),
    ("relu6", "ReLU6", r"\min(\max(0,\,x),\,6)",
        lambda x: np.where((x > 0) & (x < 6), 1.0, 0.0), (0.0, 6.0), "Krizhevsky, 2010"),
    ("leaky_relu", "leaky ReLU", r"x<0:\ 0.2\,x",
        lambda x: np.where(x > 0, 1.0, LEAK), (0.0,), "Maas et al., 2013, with 0.01"),
    ("prelu", "PReLU", r"x<0:\ a\,x,\quad a\ \mathrm{learned}",
        lambda x: np.where(x > 0, 1.0, PRELU_START), (0.0,), "He et al., 2015"),
    ("elu", "ELU", r"x<0:\ e^x-1", lambda x: np.exp(np.minimum(x, 0)), (), "Clevert et al., 2016"),
    ("selu", "SELU", r"1.05\,x;\quad x<0:\ 1.76\,(e^x-1)",
        lambda x: SELU_SCALE * np.where(x > 0, 1.0, SELU_ALPHA * np.exp(np.minimum(x, 0))),
        (0.0,), "Klambauer et al., 2017"),
    ("srelu", "SReLU", r"\mathrm{slopes}\ a_l,\,1,\,a_r;\ \mathrm{bends\ at}\ t_l,\,t_r",
        lambda x: np.select([x >= 1.5, x <= -1], [0.4, 0.2], 1.0), (-1.0, 1.5), "Jin et al., 2016"),
    ("softplus", "softplus", r"\ln(1+e^x)", expit, (), "Dugas et al., 2001"),
    ("silu", "SiLU or Swish", r"x/(1+e^{-x})", lambda x: expit(x) * (1 + x * expit(-x)), (),
        "Elfwing et al., 2018; Ramachandran et al., 2017"),
    ("hard_silu", "hard SiLU or hard Swish", r"x\,\mathrm{clip}(x/6+1/2,\,0,\,1)",
        lambda x: np.where(abs(x) < 3, (2 * x + 3) / 6, x > 0), (-3.0, 3.0), "Howard et al., 2019"),
    ("gelu", "GELU", r"x\,\Phi(x)",
        lambda x: ndtr(x) + x * np.exp(-0.5 * x**2) / np.sqrt(2 * np.pi), (),
        "Hendrycks and Gimpel, 2016"),
    ("mish", "Mish", r"x\,\tanh(\ln(1+e^x))",
        lambda x: (gate := np.tanh(np.logaddexp(0, x))) + x * (1 - gate**2) * expit(x), (),
        "Misra, 2020"),
)
FAMILY: Mapping[str, Activation] = {
    name: Activation(title, formula, _FUNCTIONS.get(name) or getattr(activations, name), *rest)
    for name, title, formula, *rest in _TABLE
}
# fmt: on
