"""Activation maximization: the image that a channel or a class responds to most.

The idea is Erhan, Bengio, Courville and Vincent, *Visualizing Higher-Layer Features of a Deep
Network*, 2009. How to get pictures rather than noise is from Olah, Mordvintsev and Schubert,
*Feature Visualization*, Distill 2017: steps on waves and on uncorrelated colors, see
`evalib.features.parameterization`, and random movements before each step.
"""

import operator
from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np
from keras import layers, ops

from evalib.features.parameterization import FourierImages, ImageParameters, PixelImages
from evalib.filters import as_array
from evalib.networks.graph import find_call, has_graph
from evalib.networks.layers import RandomAffine

Function = Callable[[Any], Any]

DEFAULT_SIZE = 128
BELOW_ZERO = 0.1  # how much values below zero count: less than those above, but not nothing

_KINDS = {"waves": FourierImages, "pixels": PixelImages}
_ACTIVATIONS = (layers.Activation, layers.ReLU, layers.LeakyReLU, layers.PReLU, layers.ELU)


def maximize_activation(
    model: keras.Model,
    layer: str,
    channels: Sequence[int] | np.ndarray | int,
    *,
    size: int | None = None,
    start: Any = None,
    prepare: Function | None = None,
    parameters: str | None = None,
    movement: RandomAffine | None = None,
    steps: int = 200,
    learning_rate: float | None = None,
    smoothness: float | None = None,
    seed: int = 0,
) -> np.ndarray:
    """Draw, for each channel, an image that drives its mean value up.

    What is raised is the value before the layer's activation function, so that no channel stays
    at zero because a ReLU hides its slope; in a map of values, those below zero count for a
    tenth. The model runs as in inference, and neither it nor its weights change.

    Args:
        model: a functional or Sequential model that takes one image of any depth.
        layer: the layer's name; of a layer inside a nested model `outer/inner`.
        channels: indices into the last axis of the layer's output.
        size: height and width of the images in pixels. By default that of the start image, else
            that of the model's input, else `DEFAULT_SIZE`.
        start: an image of shape `(height, width, depth)` to start from, uint8 or floats in [0, 1];
            faint noise if `None`.
        prepare: turns images in [0, 1] into what the model takes, with functions of `keras.ops`;
            by default nothing is done.
        parameters: what the steps are taken on: `"waves"` (with uncorrelated colors) or
            `"pixels"`, see `evalib.features.parameterization`. By default waves for color images
            from noise, and pixels for gray ones and from a start image.
        movement: how the images are moved at random before each step; see `default_movement`.
        steps: gradient steps, at least 1.
        learning_rate: of Adam, above 0; by default what suits the parameters.
        smoothness: the weight of a penalty on differences between neighboring pixels, at least 0;
            by default what suits the parameters, which is none for waves.
        seed: of the noise and of the random movements. The same seed gives the same bits.

    Returns:
        float32 in [0, 1], shape `(len(channels), height, width, depth)`.

    Raises:
        ValueError: the layer or a channel is not in the model, the size or the start image does
            not suit it, there are no such parameters, or a number is out of its range.
    """
    values, count = _before_activation(model, layer)
    chosen = np.atleast_1d(channels)
    if chosen.dtype.kind not in "iu" or chosen.ndim != 1 or not set(chosen) <= set(range(count)):
        raise ValueError(f"expected channels 0 to {count - 1} of layer {layer!r}, got {channels}")
    shape, picture = _image_shape(model, values, layer, size, start)
    name = parameters or ("waves" if picture is None and shape[-1] == 3 else "pixels")
    if name not in _KINDS:
        raise ValueError(f"expected the parameters {' or '.join(_KINDS)}, got {name!r}")
    images = _KINDS[name]((len(chosen), *shape))
    rate = images.learning_rate if learning_rate is None else learning_rate
    penalty = images.smoothness if smoothness is None else smoothness
    if steps < 1 or not rate > 0 or not penalty >= 0:
        raise ValueError(
            "expected at least 1 step, a learning rate above 0 and a smoothness of at least 0, "
            f"got {steps}, {rate} and {penalty}"
        )
    if picture is None:
        images.draw_noise(seed)
    else:
        images.copy(picture)
    if movement is None:
        movement = default_movement(min(shape[:2]), seed)
    config = movement.get_config() | {"dtype": "float32"}
    config["seed"] = seed if config["seed"] is None else config["seed"]
    movement = type(movement).from_config(config)  # its own random state would go on
    ascent = _Ascent(images, values, movement, prepare)
    ascent.chosen, ascent.penalty = np.eye(count, dtype="float32")[chosen], penalty
    trainer = keras.Sequential([keras.Input((1,), dtype="float32"), ascent])
    trainer.compile(optimizer=_Adam(rate))
    # The data is a clock: one row is one step, its value is not used.
    trainer.fit(np.zeros((steps, 1), "float32"), batch_size=1, shuffle=False, verbose=0)
    return ops.convert_to_numpy(images.images())


def default_movement(size: int, seed: int = 0) -> RandomAffine:
    """The random movements before each step: 5 degrees, 5 % of scale, a sixteenth of the size.

    A picture of `size` pixels that survives small movements has strokes in it rather than noise.
    """
    return RandomAffine(rotation=5, scale=0.05, shear=0.0, shift=size / 16, seed=seed)


def mean_values(values: Any) -> Any:
    """What is raised: the mean over positions, in which values below zero count for a tenth.

    The mean of a linear map knows only the mean of the image. Counting low values for less rewards
    high ones somewhere, and has a slope everywhere. Values of shape `(n, ..., channels)` become
    `(n, channels)`; without positions they stay as they are.
    """
    if len(values.shape) == 2:
        return values
    values = ops.maximum(values, BELOW_ZERO * values)
    return ops.mean(values, axis=tuple(range(1, len(values.shape) - 1)))


def values_before_activation(model: keras.Model, name: str) -> Function:
    """What a layer gives before its activation function, as a function of the model's input.

    The activation may be the layer itself, or stand in a convolution or dense layer. The weights
    are the model's own, and nothing is added to the model.

    Args:
        model: as for `maximize_activation`.
        name: the layer's name.

    Returns:
        A function from images, shape `(n, height, width, depth)`, to values `(n, ..., channels)`.

    Raises:
        ValueError: the model has no graph, not one image of floats as input, or no such layer.
    """
    return _before_activation(model, name)[0]


def _before_activation(model: keras.Model, name: str) -> tuple[Function, int]:
    """The same, and the number of channels."""
    inputs = list(getattr(model, "inputs", None) or [])
    if len(inputs) != 1 or len(inputs[0].shape) != 4 or "float" not in inputs[0].dtype:
        found = ", ".join(f"{each.shape} {each.dtype}" for each in inputs) or "no graph"
        raise ValueError(
            "expected a functional or Sequential model with one input of floats, of shape "
            f"(batch, height, width, channels), got {found}"
        )
    call, outputs_of = find_call(model, name, outputs=True)
    while has_graph(call.layer):  # a nested model: its last layer
        last = f"{call.name}/{call.layer.layers[-1].name}"
        call, outputs_of = find_call(model, last, outputs=True)
    layer, own = call.layer, getattr(call.layer, "activation", keras.activations.linear)
    count = call.outputs[0].shape[-1]
    kernel = hasattr(layer, "kernel") or hasattr(layer, "depthwise_kernel")
    if isinstance(layer, (*_ACTIVATIONS, layers.Softmax)):
        inputs_of = find_call(model, call.name)[1]
        return lambda images: inputs_of(images)[0], count
    if own is keras.activations.linear or not kernel:
        return lambda images: outputs_of(images)[0], count
    inputs_of = find_call(model, call.name)[1]
    # The same layer with the same weights: copies of them would be as large as they are.
    linear = object.__new__(type(layer))
    state = {"activation": keras.activations.linear, "_inbound_nodes": [], "_outbound_nodes": []}
    linear.__dict__.update(layer.__dict__ | state)
    return lambda images: linear(inputs_of(images)[0]), count


class _Adam(keras.optimizers.Adam):
    """Adam on one device. TensorFlow never frees what its sum over devices leaves behind."""

    def _all_reduce_sum_gradients(self, grads_and_vars: list[Any]) -> list[Any]:
        return grads_and_vars


class _Ascent(layers.Layer):
    """A layer whose one weight is the images, and whose loss falls as the channels rise."""

    chosen: np.ndarray  # one row for each image, 1 at its channel
    penalty: float

    def __init__(
        self,
        images: ImageParameters,
        values: Function,
        movement: RandomAffine,
        prepare: Function | None,
    ) -> None:
        super().__init__(dtype="float32")
        # A function is not tracked by Keras: the network's own weights stay out of training.
        self.values, self.images, self.movement = values, images, movement
        self.prepare = prepare or (lambda images: images)
        self.built = True

    def call(self, clock: Any) -> Any:
        images = self.images.images()
        # Prepared first, then moved: what comes in from beyond the border is zero, just as the
        # network's own padding is.
        values = self.values(self.movement(self.prepare(images), training=True))
        means = mean_values(ops.cast(values, "float32"))
        self.add_loss(-ops.sum(ops.multiply(means, self.chosen)))
        if self.penalty:
            self.add_loss(self.penalty * _roughness(images))
        return clock


def _roughness(images: Any) -> Any:
    """The sum over images of the mean squared difference between neighboring pixels."""
    down, across = images[:, 1:] - images[:, :-1], images[:, :, 1:] - images[:, :, :-1]
    pixels = images.shape[1] * images.shape[2]
    return (ops.sum(ops.square(down)) + ops.sum(ops.square(across))) / pixels


def _image_shape(
    model: keras.Model, values: Function, layer: str, size: int | None, start: Any
) -> tuple[tuple[int, int, int], np.ndarray | None]:
    """Height, width and depth of the images, right for the model, and the start image."""
    height, width, depth = model.inputs[0].shape[1:]
    if size is not None and (not hasattr(size, "__index__") or operator.index(size) < 1):
        raise ValueError(f"expected a size of at least 1 pixel, a whole number, got {size}")
    wanted = (size or height, size or width, depth)
    picture = None if start is None else as_array(start, "a start image")
    if picture is not None:
        fits = [each in (None, come) for each, come in zip(wanted, picture.shape, strict=False)]
        if picture.ndim != 3 or not all(fits):
            raise ValueError(f"expected a start image of shape {wanted}, got {picture.shape}")
        picture = picture / 255 if picture.dtype == np.uint8 else picture
        if not (picture.min() >= 0 and picture.max() <= 1):
            span = f"{picture.min():g} to {picture.max():g}"
            raise ValueError(f"expected a start image of uint8 or floats in [0, 1], got {span}")
        wanted = picture.shape
    shape = (wanted[0] or DEFAULT_SIZE, wanted[1] or DEFAULT_SIZE, depth)
    if height not in (None, shape[0]) or width not in (None, shape[1]):
        raise ValueError(f"expected the model's size, {height}x{width} pixels, got {size}")
    if not _is_taken(values, shape):
        smallest = next(s for s in range(1, 4097) if _is_taken(values, (s, s, depth)))
        found = f"{shape[0]}x{shape[1]}"
        raise ValueError(f"expected at least {smallest} pixels for layer {layer!r}, got {found}")
    return shape, picture


def _is_taken(values: Function, shape: tuple[int, ...]) -> bool:
    """Whether the layer has any position for images of this shape. Nothing is computed."""
    try:
        return all(layers.Lambda(values).compute_output_shape((1, *shape)))
    except (ValueError, NotImplementedError):
        return False
