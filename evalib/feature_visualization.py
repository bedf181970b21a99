"""Activation maximization: the picture that a channel or a class answers to most.

The idea is Erhan, Bengio, Courville and Vincent, *Visualizing Higher-Layer Features of a Deep
Network*, 2009; random transformations against noise are from Olah, Mordvintsev and Schubert,
*Feature Visualization*, Distill 2017.
"""

from collections.abc import Sequence

import keras
import numpy as np
from keras import ops

from evalib.layers import RandomAffine

_ACTIVATION_LAYERS = (
    keras.layers.Activation,
    keras.layers.ReLU,
    keras.layers.LeakyReLU,
    keras.layers.ELU,
    keras.layers.Softmax,
)


def maximize_activation(
    model: keras.Model,
    layer: str,
    channels: Sequence[int],
    *,
    start: np.ndarray | None = None,
    steps: int = 200,
    learning_rate: float = 0.1,
    smoothness: float = 0.5,
    seed: int = 0,
) -> np.ndarray:
    """Draw, for each channel, an image that drives its mean value up.

    What is raised is the value before the layer's activation function, so that no channel stays
    at zero because a ReLU hides its slope; in a map of values, those below zero count for a
    tenth. The images start from faint noise, or from a picture.

    Args:
        model: a functional or Sequential model that takes one image of known size in [0, 1].
        layer: the layer's name.
        channels: indices into the last axis of the layer's output.
        start: an image of shape `(height, width, depth)` in [0, 1] to start from.
        steps: gradient steps.
        learning_rate: of Adam, on the logits of the pixels.
        smoothness: the weight of the penalty on differences between neighboring pixels.
        seed: of the noise and of the random movements.

    Returns:
        float32 in [0, 1], shape `(len(channels), height, width, depth)`.

    Raises:
        ValueError: the layer or a channel is not in the model, or `start` has another shape.
    """
    features = _values_before_activation(model, layer)
    _check_channels(features, layer, channels)
    shape = tuple(model.input_shape[1:])
    if start is not None and start.shape != shape:
        raise ValueError(f"expected a start image of shape {shape}, got {start.shape}")
    keras.utils.set_random_seed(seed)
    ascent = _Ascent(features, channels, smoothness)
    ascent.build_images(_starting_logits(seed, start, len(channels), shape))
    trainer = keras.Sequential([keras.Input((1,)), ascent])
    trainer.compile(optimizer=keras.optimizers.Adam(learning_rate))
    # The data is a clock: one row is one step, its value is not used.
    trainer.fit(np.zeros((steps, 1), "float32"), batch_size=1, verbose=0)
    return ops.convert_to_numpy(ops.sigmoid(ascent.logits))


class _Ascent(keras.layers.Layer):
    """A layer whose one weight is the images, and whose loss falls as the channels rise."""

    def __init__(self, features: keras.Model, channels: Sequence[int], smoothness: float) -> None:
        super().__init__()
        # A function is not tracked by Keras: the network's own weights stay out of training.
        self.features = lambda images: features(images, training=False)
        self.channels = list(channels)
        self.smoothness = smoothness
        # A picture that survives small movements has strokes in it rather than noise.
        self.movement = RandomAffine(rotation=5, scale=0.05, shear=0.0, shift=1.0)

    def build_images(self, logits: np.ndarray) -> None:
        self.logits = self.add_weight(
            shape=logits.shape, initializer=lambda *_, **__: ops.convert_to_tensor(logits)
        )
        self.built = True

    def call(self, clock: keras.KerasTensor) -> keras.KerasTensor:
        images = ops.sigmoid(self.logits)
        values = self.features(self.movement(images, training=True))
        if len(values.shape) > 2:
            # The mean of a linear map knows only the mean of the image. Counting low values for
            # a tenth rewards high ones somewhere, and has a slope everywhere.
            values = ops.maximum(values, 0.1 * values)
        by_image = ops.mean(values, axis=tuple(range(1, len(values.shape) - 1)))
        chosen = np.eye(by_image.shape[-1], dtype="float32")[self.channels]
        self.add_loss(-ops.sum(by_image * chosen))
        self.add_loss(self.smoothness * _roughness(images))
        return clock


def _roughness(images: keras.KerasTensor) -> keras.KerasTensor:
    """The sum over images of the mean squared difference between neighboring pixels."""
    down = images[:, 1:] - images[:, :-1]
    across = images[:, :, 1:] - images[:, :, :-1]
    pixels = images.shape[1] * images.shape[2]
    return (ops.sum(ops.square(down)) + ops.sum(ops.square(across))) / pixels


def _starting_logits(
    seed: int, start: np.ndarray | None, count: int, shape: tuple[int, ...]
) -> np.ndarray:
    """The logits of the first images: faint noise, or the start image."""
    if start is None:
        noise = np.random.default_rng(seed)
        return noise.normal(-1.0, 0.1, (count, *shape)).astype("float32")
    inside = np.clip(start, 0.02, 0.98)
    return np.repeat(np.log(inside / (1 - inside))[np.newaxis], count, axis=0).astype("float32")


def _values_before_activation(model: keras.Model, name: str) -> keras.Model:
    """A model from the input to what a layer gives before its activation function."""
    names = [layer.name for layer in model.layers]
    if name not in names:
        raise ValueError(f"expected one of the layers {', '.join(names)}, got {name!r}")
    layer = model.get_layer(name)
    if isinstance(layer, _ACTIVATION_LAYERS):
        return keras.Model(model.inputs, layer.input)
    if getattr(layer, "activation", keras.activations.linear) is keras.activations.linear:
        return keras.Model(model.inputs, layer.output)
    linear = type(layer).from_config({**layer.get_config(), "activation": "linear"})
    features = keras.Model(model.inputs, linear(layer.input))
    linear.set_weights(layer.get_weights())
    return features


def _check_channels(features: keras.Model, layer: str, channels: Sequence[int]) -> None:
    count = features.output_shape[-1]
    wrong = [channel for channel in channels if not 0 <= channel < count]
    if wrong or not channels:
        raise ValueError(f"layer {layer!r} has the channels 0 to {count - 1}, got {list(channels)}")
