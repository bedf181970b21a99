"""Activation maximization: the image that a channel or a class responds to most.

The idea is Erhan, Bengio, Courville and Vincent, *Visualizing Higher-Layer Features of a Deep
Network*, 2009. Steps on waves and uncorrelated colors, and random movements before each step, give
pictures rather than noise: Olah, Mordvintsev and Schubert, *Feature Visualization*, Distill 2017.
"""

import functools
from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np
from keras import layers, ops

from evalib.features import parameterization
from evalib.filters import as_array
from evalib.networks.gradients import Trainer
from evalib.networks.graph import find_call, has_graph
from evalib.networks.layers import RandomAffine

Function = Callable[[Any], Any]

DEFAULT_SIZE = 128
BELOW_ZERO = 0.1  # how much values below zero count: less than those above, but not nothing

_KINDS = {"waves": parameterization.FourierImages, "pixels": parameterization.PixelImages}
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
    below_zero: float = BELOW_ZERO,
    negative: bool = False,
    diversity: float = 0.0,
    seed: int = 0,
) -> np.ndarray:
    """Draw, for each channel, an image that drives its mean value up, see `mean_values`.

    What is raised is the value before the layer's activation function, so that no channel stays
    at zero because a ReLU hides its slope. On waves, values below zero count in full at the start.
    The model runs as in inference, and neither it nor its weights change.

    Args:
        model: a functional or Sequential model that takes one image of any depth.
        layer: the layer's name; of a layer inside a nested model `outer/inner`.
        channels: indices into the last axis of the layer's output; one several times gives several
            images of it, each from its own noise.
        size: height and width in pixels; else of the start image, the model or `DEFAULT_SIZE`.
        start: an image of shape `(height, width, depth)`, uint8 or floats in [0, 1]; else noise.
        prepare: turns images in [0, 1] into what the model takes, with functions of `keras.ops`.
        parameters: what the steps are taken on, `"waves"` or `"pixels"`. By default waves for color
            images from noise, and pixels for gray ones and from a start image.
        movement: of the images, at random before each step; by default `default_movement`.
        steps: gradient steps, at least 1.
        learning_rate: above 0; for pixels Adam's, 0.1 by default; for waves about how far a step
            moves an image, in units of its logits, by default `18 / steps`.
        smoothness: the weight of a penalty on differences between neighboring pixels, at least 0;
            by default 0.5 for pixels and none for waves.
        below_zero: how much values below zero count; 1 raises the plain mean.
        negative: drive the mean value down instead.
        diversity: the weight of a penalty on images of one channel that resemble each other in
            what the layer finds in them, at least 0; 0.4 makes them differ.
        seed: of the noise and of the random movements. The same seed gives the same bits.

    Returns float32 in [0, 1], shape `(len(channels), height, width, depth)`. A ValueError says if
    the layer or a channel is not in the model, the size or the start image does not suit it, there
    are no such parameters, or a number is out of its range.
    """
    values, chosen = _find_channels(model, layer, channels)
    shape, picture = _image_shape(model, values, layer, size, start)
    name = parameters or ("waves" if picture is None and shape[-1] == 3 else "pixels")
    if name not in _KINDS:
        raise ValueError(f"expected the parameters {' or '.join(_KINDS)}, got {name!r}")
    images = _KINDS[name]((len(chosen), *shape))
    waves = name == "waves"
    rate = (18 / max(steps, 1) if waves else 0.1) if learning_rate is None else learning_rate
    penalty = images.smoothness if smoothness is None else smoothness
    if steps < 1 or not rate > 0 or not penalty >= 0 or not diversity >= 0:
        raise ValueError(
            "expected at least 1 step, a learning rate above 0, and smoothness and diversity of "
            f"at least 0, got {steps}, {rate}, {penalty} and {diversity}"
        )
    if picture is None:
        images.draw_noise(seed)
    else:
        images.copy(picture)
    movement = movement or default_movement(min(shape[:2]), seed, waves=waves)
    config = movement.get_config() | {"dtype": "float32"}
    config["seed"] = seed if config["seed"] is None else config["seed"]
    movement = type(movement).from_config(config)  # its own random state would go on
    network = prepare or (lambda images: images), values
    weights = -1.0 if negative else 1.0, below_zero, diversity, penalty
    given: Any = {"images": images, "movement": movement, "network": network, "chosen": chosen}
    trainer = Trainer(functools.partial(_loss, **given, weights=weights), [images, movement])
    # Of the noise that waves start from, the steps leave one part in twenty.
    fading = min(0.5, 3 / steps) if picture is None else 0.0
    trainer.compile(images.optimizer(rate, steps, fading))
    # The data is a clock: one row is one step, from 0 at the start to 1 at the end.
    clock = np.linspace(0, 1, steps, dtype="float32")[:, np.newaxis]
    trainer.fit(clock, batch_size=1, shuffle=False, verbose=0)
    return ops.convert_to_numpy(images.images())


def channel_gradient(
    model: keras.Model,
    layer: str,
    channels: Sequence[int] | np.ndarray | int,
    *,
    prepare: Function | None = None,
) -> Callable[[Any], np.ndarray]:
    """Make a function from images to gradients, to climb step by step with one's own loop.

    The arguments are those of `maximize_activation`. The function takes images, one for each
    channel, of shape `(n, height, width, depth)`, and gives the gradient of each channel's mean
    value (see `mean_values`) with respect to the pixels of its image: float32 of the same shape.
    It is compiled once for each shape: a step costs little more than the network itself. A
    ValueError says if the layer or a channel is not in the model, or if the images do not fit.
    """
    values, chosen = _find_channels(model, layer, channels)

    @functools.cache
    def build(shape: tuple[int, ...]) -> tuple[keras.Model, keras.Variable]:
        change = keras.Variable(np.zeros(shape), dtype="float32")

        def loss(images: Any) -> Any:
            moved = ops.cast(images, "float32") + change
            found = ops.cast(values(prepare(moved) if prepare else moved), "float32")
            return -ops.sum(ops.multiply(mean_values(found), chosen))

        trainer = Trainer(loss, change)
        # A step of rate 1 makes the change the gradient. TensorFlow's XLA compiles for long.
        optimizer = parameterization.on_one_device(keras.optimizers.SGD(1.0))
        trainer.compile(optimizer, jit_compile=keras.backend.backend() == "jax")
        return trainer, change

    def gradient(images: Any) -> np.ndarray:
        images = as_array(images, "images").astype("float32")
        if images.ndim != 4 or len(images) != len(chosen):
            raise ValueError(f"expected {len(chosen)} images, one a channel, got {images.shape}")
        trainer, change = build(images.shape)
        change.assign(np.zeros(images.shape, "float32"))
        trainer.train_on_batch(images)
        return np.array(ops.convert_to_numpy(change))

    return gradient


def default_movement(size: int, seed: int = 0, *, waves: bool = False) -> RandomAffine:
    """The random movements before each step, for images of `size` pixels.

    A picture that survives those of pixels has strokes in it rather than noise. Waves are smooth by
    themselves and need less.
    """
    if waves:
        return RandomAffine(rotation=1, scale=0.01, shear=0.0, shift=size / 48, seed=seed)
    return RandomAffine(rotation=5, scale=0.05, shear=0.0, shift=size / 16, seed=seed)


def mean_values(values: Any, below_zero: Any = BELOW_ZERO) -> Any:
    """What is raised: the mean over positions, in which values below zero count for a tenth.

    The mean of a linear map knows only the mean of the image. Counting low values for less rewards
    high ones somewhere, and has a slope everywhere. Values of shape `(n, ..., channels)` become
    `(n, channels)`. `below_zero` is another share than a tenth.
    """
    if len(values.shape) == 2:
        return values
    values = ops.maximum(values, below_zero * values)
    return ops.mean(values, axis=tuple(range(1, len(values.shape) - 1)))


def values_before_activation(model: keras.Model, name: str) -> Function:
    """What a layer gives before its activation function, as a function of the model's input.

    The activation may be the layer itself, or stand in a convolution or dense layer. The weights
    are the model's own, and nothing is added to the model. The function takes images, shape
    `(n, height, width, depth)`, and gives values, shape `(n, ..., channels)`. A ValueError says if
    the model has no graph, not one image of floats as input, or no such layer.
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
    layer, count = call.layer, call.outputs[0].shape[-1]
    inputs_of = find_call(model, call.name)[1]
    if isinstance(layer, (*_ACTIVATIONS, layers.Softmax)):
        return lambda images: inputs_of(images)[0], count
    linear = keras.activations.linear
    kernel = hasattr(layer, "kernel") or hasattr(layer, "depthwise_kernel")
    if not kernel or getattr(layer, "activation", linear) is linear:
        return lambda images: outputs_of(images)[0], count
    # The same layer with the same weights: copies of them would be as large as they are.
    copy = object.__new__(type(layer))
    state = {"activation": linear, "_inbound_nodes": [], "_outbound_nodes": []}
    copy.__dict__.update(layer.__dict__ | state)
    return lambda images: copy(inputs_of(images)[0]), count


def _find_channels(model: keras.Model, layer: str, channels: Any) -> tuple[Function, np.ndarray]:
    """The values before activation, and for each channel a row that is 1 at it."""
    values, count = _before_activation(model, layer)
    chosen = np.atleast_1d(channels)
    if chosen.dtype.kind not in "iu" or chosen.ndim != 1 or not set(chosen) <= set(range(count)):
        raise ValueError(f"expected channels 0 to {count - 1} of layer {layer!r}, got {channels}")
    return values, np.eye(count, dtype="float32")[chosen]


def _loss(
    clock: Any, images: Any, movement: Any, network: Any, chosen: np.ndarray, weights: Any
) -> Any:
    """What falls as the chosen channels rise; the clock goes from 0 to 1."""
    (prepare, values_of), (sign, below_zero, diversity, smoothness) = network, weights
    pictures = images.images()
    # Prepared first, then moved: what comes in from beyond the border of pixels is zero, just as
    # the network's own padding is. Waves go on beyond it.
    prepared = prepare(pictures)
    if images.periodic:
        # At first all of the map counts alike: no place is given up before it is tried.
        below_zero = ops.maximum(below_zero, 1 - 2.4 * ops.cast(clock[0, 0], "float32"))
        wrapped = movement(parameterization.wrap(prepared), training=True)
        moved = parameterization.crop(wrapped, pictures.shape)
    else:
        moved = movement(prepared, training=True)
    values = ops.cast(values_of(moved), "float32")
    scores = ops.sum(ops.multiply(mean_values(sign * values, below_zero), chosen), axis=-1)
    loss = -ops.sum(scores)
    if diversity:
        scale = diversity * ops.stop_gradient(ops.mean(ops.abs(scores)))
        loss += scale * _resemblance(values, chosen)
    return loss + smoothness * parameterization.roughness(pictures) if smoothness else loss


def _resemblance(values: Any, chosen: np.ndarray) -> Any:
    """How much images of one channel resemble each other: the sum over pairs, from 0 to 1 each.

    Compared are the channels active together (Gram matrices), as in Distill's "Diversity".
    """
    count, channels = chosen.shape
    active = ops.reshape(ops.relu(values), (count, -1, channels))
    styles = ops.reshape(ops.matmul(ops.transpose(active, (0, 2, 1)), active), (count, -1))
    styles = styles / (ops.norm(styles, axis=-1, keepdims=True) + 1e-9)
    pairs = np.triu(chosen @ chosen.T, k=1)
    return ops.sum(ops.matmul(styles, ops.transpose(styles)) * pairs)


def _image_shape(
    model: keras.Model, values: Function, layer: str, size: int | None, start: Any
) -> tuple[tuple[int, int, int], np.ndarray | None]:
    """Height, width and depth of the images, right for the model, and the start image."""
    height, width, depth = model.inputs[0].shape[1:]
    if size is not None and (not hasattr(size, "__index__") or size < 1):
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
