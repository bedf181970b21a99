"""The effective receptive field: how much each input pixel moves one output pixel (Luo, Li, Urtasun
and Zemel, *Understanding the Effective Receptive Field in Deep CNNs*, NIPS 2016)."""

import keras
import numpy as np

from evalib.networks.gradients import input_gradient
from evalib.networks.graph import find_call


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
