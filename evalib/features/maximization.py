"""Activation maximization: the picture that a channel or a class answers to most.

The idea is Erhan, Bengio, Courville and Vincent, *Visualizing Higher-Layer Features of a Deep
Network*, 2009. How to get pictures rather than noise is from Olah, Mordvintsev and Schubert,
*Feature Visualization*, Distill 2017: steps on waves and on uncorrelated colors, see
`evalib.features.parameterization`, and random movements before each step.
"""

import difflib
from collections.abc import Callable, Sequence

import keras
import numpy as np
from keras import ops

from evalib.features.parameterization import FourierImages, ImageParameters, PixelImages
from evalib.networks.layers import RandomAffine

Prepare = Callable[[keras.KerasTensor], keras.KerasTensor]

DEFAULT_SIZE = 128
# Values below zero count for so much: less than those above, but not for nothing.
BELOW_ZERO = 0.1

_ACTIVATION_LAYERS = (
    keras.layers.Activation,
    keras.layers.ReLU,
    keras.layers.LeakyReLU,
    keras.layers.PReLU,
    keras.layers.ELU,
    keras.layers.Softmax,
)


def maximize_activation(
    model: keras.Model,
    layer: str,
    channels: Sequence[int],
    *,
    size: int | None = None,
    start: np.ndarray | None = None,
    prepare: Prepare | None = None,
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
    tenth. The model runs as in inference, and its weights stay as they are.

    Args:
        model: a functional or Sequential model that takes one image of any depth.
        layer: the layer's name.
        channels: indices into the last axis of the layer's output.
        size: height and width of the images in pixels. Unless told otherwise it is that of the
            start image, else that of the model's input, else `DEFAULT_SIZE`.
        start: an image of shape `(height, width, depth)` in [0, 1] to start from; faint noise
            if `None`.
        prepare: turns images in [0, 1] into what the model takes, with functions of `keras.ops`;
            nothing is done unless told otherwise.
        parameters: what the steps are taken on: `"waves"` (with uncorrelated colors) or
            `"pixels"`, see `evalib.features.parameterization`. Unless told otherwise it is waves
            for color images from noise, and pixels for gray ones and from a start image.
        movement: how the images are moved at random before each step; see `default_movement`.
        steps: gradient steps, at least 1.
        learning_rate: of Adam; what suits the parameters unless told otherwise.
        smoothness: the weight of a penalty on differences between neighboring pixels; what suits
            the parameters unless told otherwise, which is none for waves.
        seed: of the noise and of the random movements. The same seed gives the same bits.

    Returns:
        float32 in [0, 1], shape `(len(channels), height, width, depth)`.

    Raises:
        ValueError: the layer or a channel is not in the model, the size or the shape of `start`
            does not suit it, there are no such parameters, or there are no steps.
    """
    features = values_before_activation(model, layer)
    _check_channels(features, layer, channels)
    if steps < 1:
        raise ValueError(f"expected at least 1 step, got {steps}")
    shape = _image_shape(features, layer, size, start)
    images = _parameters(parameters, (len(channels), *shape), start)
    if start is None:
        images.draw_noise(seed)
    else:
        images.copy(start)
    movement = movement or default_movement(min(shape[:2]), seed)
    smoothness = images.smoothness if smoothness is None else smoothness
    ascent = _Ascent(features, channels, images, movement, prepare=prepare, smoothness=smoothness)
    trainer = keras.Sequential([keras.Input((1,)), ascent])
    trainer.compile(optimizer=keras.optimizers.Adam(learning_rate or images.learning_rate))
    # The data is a clock: one row is one step, its value is not used.
    trainer.fit(np.zeros((steps, 1), "float32"), batch_size=1, shuffle=False, verbose=0)
    return ops.convert_to_numpy(images.images())


def default_movement(size: int, seed: int = 0) -> RandomAffine:
    """The random movements before each step: 5 degrees, 5 % of scale, a sixteenth of the size.

    A picture that survives small movements has strokes in it rather than noise.
    """
    return RandomAffine(rotation=5, scale=0.05, shear=0.0, shift=size / 16, seed=seed)


def mean_values(values: keras.KerasTensor) -> keras.KerasTensor:
    """What is raised: the mean over positions, in which values below zero count for a tenth.

    The mean of a linear map knows only the mean of the image. Counting low values for less rewards
    high ones somewhere, and has a slope everywhere.

    Args:
        values: shape `(n, ..., channels)`, an array or a tensor; without positions they are taken
            as they are.

    Returns:
        Shape `(n, channels)`.
    """
    if len(values.shape) == 2:
        return values
    values = ops.maximum(values, BELOW_ZERO * values)
    return ops.mean(values, axis=tuple(range(1, len(values.shape) - 1)))


def values_before_activation(model: keras.Model, name: str) -> keras.Model:
    """A model from the input to what a layer gives before its activation function.

    The activation may be the layer itself, or stand in a convolution or dense layer. The weights
    are the model's own, or copies of them.

    Args:
        model: a functional or Sequential model that takes one image.
        name: the layer's name.

    Raises:
        ValueError: the model has no graph, not one image as input, or no such layer.
    """
    inputs = list(getattr(model, "inputs", None) or [])
    if len(inputs) != 1 or len(inputs[0].shape) != 4:
        found = ", ".join(str(each.shape) for each in inputs) or "no graph"
        raise ValueError(
            "expected a functional or Sequential model with one input of shape "
            f"(batch, height, width, channels), got {found}"
        )
    names = [layer.name for layer in model.layers]
    if name not in names:
        close = difflib.get_close_matches(name, names, n=3, cutoff=0.4) or names
        raise ValueError(f"expected a layer of the model such as {', '.join(close)}, got {name!r}")
    layer = model.get_layer(name)
    if isinstance(layer, _ACTIVATION_LAYERS):
        return keras.Model(inputs[0], layer.input)
    if getattr(layer, "activation", keras.activations.linear) is keras.activations.linear:
        return keras.Model(inputs[0], layer.output)
    # Under another name, so that one model can hold both.
    changes = {"activation": "linear", "name": f"{name}_before_activation"}
    linear = type(layer).from_config({**layer.get_config(), **changes})
    features = keras.Model(inputs[0], linear(layer.input))
    linear.set_weights(layer.get_weights())
    return features


class _Ascent(keras.layers.Layer):
    """A layer whose one weight is the images, and whose loss falls as the channels rise."""

    def __init__(
        self,
        features: keras.Model,
        channels: Sequence[int],
        images: ImageParameters,
        movement: RandomAffine,
        *,
        prepare: Prepare | None,
        smoothness: float,
    ) -> None:
        super().__init__()
        # A function is not tracked by Keras: the network's own weights stay out of training.
        self.features = lambda images: features(images, training=False)
        self.chosen = np.eye(features.output_shape[-1], dtype="float32")[list(channels)]
        self.smoothness, self.images = smoothness, images
        self.prepare, self.movement = prepare or (lambda images: images), movement
        self.built = True

    def call(self, clock: keras.KerasTensor) -> keras.KerasTensor:
        images = self.images.images()
        # Prepared first, then moved: what comes in from beyond the border is zero, just as the
        # network's own padding is.
        values = self.features(self.movement(self.prepare(images), training=True))
        self.add_loss(-ops.sum(ops.multiply(mean_values(values), self.chosen)))
        if self.smoothness:
            self.add_loss(self.smoothness * _roughness(images))
        return clock


def _roughness(images: keras.KerasTensor) -> keras.KerasTensor:
    """The sum over images of the mean squared difference between neighboring pixels."""
    down = images[:, 1:] - images[:, :-1]
    across = images[:, :, 1:] - images[:, :, :-1]
    pixels = images.shape[1] * images.shape[2]
    return (ops.sum(ops.square(down)) + ops.sum(ops.square(across))) / pixels


def _parameters(
    name: str | None, shape: tuple[int, ...], start: np.ndarray | None
) -> ImageParameters:
    kinds = {"waves": FourierImages, "pixels": PixelImages}
    if name is None:
        name = "waves" if start is None and shape[-1] == 3 else "pixels"
    if name not in kinds:
        raise ValueError(f"expected the parameters {' or '.join(kinds)}, got {name!r}")
    return kinds[name](shape)


def _check_channels(features: keras.Model, layer: str, channels: Sequence[int]) -> None:
    count = features.output_shape[-1]
    wrong = [channel for channel in channels if not 0 <= channel < count]
    if wrong or not len(channels):
        raise ValueError(f"layer {layer!r} has the channels 0 to {count - 1}, got {list(channels)}")


def _image_shape(
    features: keras.Model, layer: str, size: int | None, start: np.ndarray | None
) -> tuple[int, int, int]:
    """Height, width and depth of the images, found right for the model."""
    height, width, depth = features.input_shape[1:]
    if size is not None and size < 1:
        raise ValueError(f"expected a size of at least 1 pixel, got {size}")
    wanted = (size or height, size or width, depth)
    if start is not None:
        fits = [each in (None, given) for each, given in zip(wanted, start.shape, strict=False)]
        if start.ndim != 3 or not all(fits):
            raise ValueError(f"expected a start image of shape {wanted}, got {start.shape}")
        wanted = start.shape
    shape = (wanted[0] or DEFAULT_SIZE, wanted[1] or DEFAULT_SIZE, depth)
    if height not in (None, shape[0]) or width not in (None, shape[1]):
        raise ValueError(f"expected the model's size, {height}x{width} pixels, got {size}")
    if not _is_taken(features, shape):
        smallest = next(s for s in range(1, 4097) if _is_taken(features, (s, s, depth)))
        given = f"{shape[0]}x{shape[1]}"
        raise ValueError(f"expected at least {smallest} pixels for layer {layer!r}, got {given}")
    return shape


def _is_taken(features: keras.Model, shape: tuple[int, ...]) -> bool:
    """Whether the layer has any position for images of this shape. Nothing is computed."""
    try:
        values = features.compute_output_shape((1, *shape))
    except ValueError:
        return False
    return all(values)
