"""The effective receptive field: how much each input pixel moves one output pixel (Luo, Li, Urtasun
and Zemel, *Understanding the Effective Receptive Field in Deep CNNs*, NIPS 2016)."""

import dataclasses
import math

import keras
import numpy as np

from evalib.networks.gradients import input_gradient
from evalib.networks.graph import find_call

CENTER_SHARE = 1 - 0.9545  # two standard deviations hold 95.45 % of a normal distribution


def effective_field(
    model: keras.Model, layer: str, images: np.ndarray, *, index: tuple[int, int] | None = None
) -> np.ndarray:
    """Measure how much each input pixel moves one output position of a layer, as in inference.

    As in the paper, the signal that is carried back is one in every channel of that position; of
    the absolute gradient the mean over images and input channels is taken.

    Args:
        model: a functional or Sequential model that takes one image.
        layer: the name of one whose output has the shape `(batch, height, width, channels)`.
        images: shape `(n, height, width, channels)`, in the range that the model takes.
        index: the output's row and column, by default `(height // 2, width // 2)`.

    Returns:
        float32 in [0, 1] with the maximum 1, shape `(height, width)` of the images.

    Raises:
        ValueError: images, layer or index do not fit, or no pixel has a finite influence above 0.
    """
    if len(getattr(model, "inputs", None) or ()) != 1:
        raise ValueError("expected a functional or Sequential model with one input")
    call, _ = find_call(model, layer, outputs=True)
    output = call.outputs[0]
    if "/" in call.name:
        raise ValueError(f"expected a layer of the model itself, got {call.name!r}: ask its model")
    if len(output.shape) != 4:
        raise ValueError(f"expected a layer with positions, got {layer!r} of shape {output.shape}")

    def middle(values: keras.KerasTensor) -> keras.KerasTensor:
        height, width = values.shape[1:3]
        row, column = index or (height // 2, width // 2)
        if not (0 <= row < height and 0 <= column < width):
            where = f"{height}x{width} positions of {layer!r}"
            raise ValueError(f"expected an index in the {where}, got {index}")
        return values[:, row, column]

    gradient = input_gradient(keras.Model(model.inputs[0], output), images, output=middle)
    field = np.abs(gradient).mean(axis=(0, 3), dtype="float64")
    if not 0 < (most := field.max()) < np.inf:
        found = f"at most {most:g}: a ReLU may shut {layer!r} in every image"
        raise ValueError(f"expected a finite gradient above zero, got {found}")
    return (field / field.max()).astype("float32")


def effective_size(field: np.ndarray, share: float = CENTER_SHARE) -> float:
    """The side in pixels of a square with as many pixels as lie above a share of the maximum (of
    the center in the paper). A bell of standard deviation s has `s * sqrt(-2 pi log(share))`.

    Raises:
        ValueError: the field is not `(height, width)`, or negative; or the share not in (0, 1).
    """
    _check_field(field)
    if not 0 < share < 1:
        raise ValueError(f"expected a share above 0 and below 1, got {share}")
    return math.sqrt(np.count_nonzero(field > share * field.max()))


@dataclasses.dataclass(frozen=True)
class GaussianFit:
    """A bell's standard deviations along height and width in pixels, and the share of a field's
    variance that it explains, at most 1."""

    sigma: tuple[float, float]
    r_squared: float


def gaussian_fit(field: np.ndarray) -> GaussianFit:
    """Fit a bell along the image's axes by the field's moments, and its height by least squares.

    Raises:
        ValueError: `field` is not `(height, width)` and not negative, or lies on one line.
    """
    _check_field(field)
    weights = np.asarray(field, "float64")
    curves, sigmas = [], []
    for axis in (1, 0):
        marginal = weights.sum(axis)
        places = np.arange(len(marginal)) - np.average(np.arange(len(marginal)), weights=marginal)
        sigmas.append(math.sqrt(np.average(places**2, weights=marginal)))
        if sigmas[-1] == 0:
            raise ValueError("expected a field that extends along both axes, got a line")
        curves.append(np.exp(-0.5 * (places / sigmas[-1]) ** 2))
    bell = np.outer(*curves)
    bell *= (bell * weights).sum() / np.square(bell).sum()
    unexplained = np.square(weights - bell).sum() / np.square(weights - weights.mean()).sum()
    return GaussianFit((sigmas[0], sigmas[1]), float(1 - unexplained))


def _check_field(field: np.ndarray) -> None:
    if field.ndim != 2 or not (field.min() >= 0 and field.max() > 0):
        raise ValueError(f"expected (height, width) of numbers from 0 up, got {field.shape}")
