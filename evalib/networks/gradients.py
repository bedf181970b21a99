"""Gradients with respect to the input's pixels and to the weights, on every backend.

Keras has no call for them, but its optimizers receive them. The models stay as they are: weights,
random states, what they were compiled with, and the readers of their layers.
"""

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
from keras import ops

from evalib.filters import as_array


def input_gradient(
    model: keras.Model, images: Any, *, output: Callable[[Any], Any] | None = None
) -> np.ndarray:
    """The gradient of the sum of a model's outputs with respect to each pixel of its input.

    Args:
        model: has one input, of floats, and one output. It runs as in inference.
        images: shape `(n, height, width, channels)`. All pass through it at once.
        output: picks the values to sum from the model's output, as a tensor; by default all.

    Returns:
        float32, the shape of the images.

    Raises:
        ValueError: the images do not fit the model, or it takes whole numbers or several inputs.
    """
    images = _checked_images(model, images)
    for one in getattr(model, "inputs", ()):
        if not keras.backend.is_float_dtype(one.dtype):
            raise ValueError(f"expected a model that takes floats, got one for {one.dtype}")
    probe = _Probe(model, output or (lambda values: values))
    trainer = keras.Sequential([keras.Input(batch_shape=images.shape, dtype="float32"), probe])
    return _record_gradients(trainer, keras.optimizers.SGD(), images.astype("float32"))[0]


def weight_gradients(model: keras.Model, images: Any, labels: Any) -> list[np.ndarray]:
    """The gradient of the mean cross-entropy with respect to each trainable weight.

    Args:
        model: gives class probabilities. It runs as in training.
        images: what the model takes, `n` of them, as one batch.
        labels: whole numbers of shape `(n,)`.

    Returns:
        float32 arrays in nats per unit of weight, in the order and the shapes of
        `model.trainable_weights`.

    Raises:
        ValueError: the images do not fit the model, its outputs are no probabilities, or there is
            not one label per image that is the number of a class.
    """
    images, labels = _checked_images(model, images), as_array(labels, "labels")
    one = ops.convert_to_numpy(ops.cast(model(images[:1], training=False), "float32"))
    if one.ndim != 2 or (one < 0).any() or abs(one.sum() - 1) > 0.01:
        raise ValueError("expected a model that gives probabilities: does it lack a softmax?")
    if labels.shape != (len(images),) or not np.isin(labels, range(one.shape[1])).all():
        raise ValueError(
            f"expected one label from 0 to {one.shape[1] - 1} per image, {len(images)} in all, got "
            f"shape {labels.shape}, from {labels.min()} to {labels.max()}"
        )
    before = [(variable, ops.convert_to_numpy(variable)) for variable in model.variables]
    # The scale keeps small gradients above zero in float16; a power of two rounds nothing.
    optimizer = keras.optimizers.SGD(loss_scale_factor=1024.0)
    try:
        return _record_gradients(_Trainer(model), optimizer, images, labels)
    finally:
        for variable, value in before:
            variable.assign(value)


def _record_gradients(trainer: keras.Model, optimizer: Any, *batch: np.ndarray) -> list[np.ndarray]:
    """What an optimizer receives for a batch, as float32. It takes no step."""
    recorded: list[np.ndarray] = []
    scale = optimizer.loss_scale_factor or 1

    def apply(gradients: list[Any], _: Any = None) -> None:
        for gradient, variable in zip(gradients, trainer.trainable_variables, strict=True):
            values = np.zeros(variable.shape) if gradient is None else ops.cast(gradient, "float32")
            recorded.append((ops.convert_to_numpy(values) / scale).astype("float32"))

    optimizer.apply = apply
    trainer.compile(
        optimizer,
        loss="sparse_categorical_crossentropy" if len(batch) == 2 else None,
        run_eagerly=True,  # one batch is not worth compiling
        jit_compile=False,
        auto_scale_loss=False,  # it would leave out a step whose gradients overflow
    )
    trainer.train_on_batch(*batch)
    return recorded


def _checked_images(model: keras.Model, images: Any) -> np.ndarray:
    """Images as an array, or an error where they do not fit the model's one input."""
    images, inputs = as_array(images, "images"), getattr(model, "inputs", None)
    if not inputs:  # a model with a call of its own may take anything
        return images
    wanted = tuple(inputs[0].shape[1:])
    fits = [size in (None, came) for size, came in zip(wanted, images.shape[1:], strict=False)]
    if len(inputs) > 1 or images.ndim != 1 + len(wanted) or not all(fits) or not len(images):
        raise ValueError(
            f"expected a model with one input and images of shape {(None, *wanted)}, got "
            f"{len(inputs)} and {images.shape}"
        )
    return images


class _Trainer(keras.Model):
    """Calls a model on real batches only: a symbolic call would add a reader to it for good."""

    def __init__(self, model: keras.Model) -> None:
        super().__init__(autocast=False)
        self.model = model

    def call(self, images: Any, training: bool = False) -> Any:
        return self.model(images, training=training)


class _Probe(keras.layers.Layer):
    """A layer whose one weight is added to the images, and whose loss is the chosen output."""

    def __init__(self, model: keras.Model, output: Callable[[Any], Any]) -> None:
        super().__init__(dtype="float32")
        # A function is not tracked by Keras: the network's own weights stay out of training.
        self.function = lambda values: output(model(values, training=False))

    def build(self, input_shape: tuple[int, ...]) -> None:
        # Added to the images, not in their place: their own values would cost precision.
        self.change = self.add_weight(shape=input_shape, initializer="zeros", dtype="float32")

    def call(self, images: Any) -> Any:
        values = self.function(images + self.change)
        self.add_loss(ops.sum(ops.cast(values, keras.backend.result_type(values.dtype, "float32"))))
        return images
