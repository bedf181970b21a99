"""Gradients by the input's pixels and by the weights, on every backend, as optimizers receive them.

The models stay as they are: weights, random states, compilation, and the readers of their layers.
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

    The model has one input, of floats, and one output, and runs as in inference. Images, shape
    `(n, height, width, channels)`, are one batch; a ValueError says if they do not fit. `output`
    picks the values to sum from the model's output. The result is float32, shaped as the images.
    """
    images = checked_images(model, images)
    for one in getattr(model, "inputs", ()):
        if not keras.backend.is_float_dtype(one.dtype):
            raise ValueError(f"expected a model that takes floats, got one for {one.dtype}")
    # Added to the images, not in their place: their own values would cost precision.
    change = keras.Variable(np.zeros(images.shape), dtype="float32")

    def total(batch: Any) -> Any:
        values = model(batch + change, training=False)
        values = values if output is None else output(values)
        return ops.sum(ops.cast(values, keras.backend.result_type(values.dtype, "float32")))

    return _record_gradients(total, change, images.astype("float32"))[0]


def weight_gradients(model: keras.Model, images: Any, labels: Any) -> list[np.ndarray]:
    """The gradient of the mean cross-entropy with respect to each trainable weight.

    The model gives class probabilities for images, one batch, and runs as in training. The labels
    are whole numbers, one per image. A ValueError says if something is not so. The result is
    float32, in nats per unit of weight, in the order and the shapes of `model.trainable_weights`.
    """
    images, labels = checked_images(model, images), as_array(labels, "labels")
    one = ops.convert_to_numpy(ops.cast(model(images[:1], training=False), "float32"))
    if one.ndim != 2 or (one < 0).any() or abs(one.sum() - 1) > 0.01:
        raise ValueError("expected a model that gives probabilities: does it lack a softmax?")
    if labels.shape != (len(images),) or not np.isin(labels, range(one.shape[1])).all():
        wanted = f"expected {len(images)} labels from 0 to {one.shape[1] - 1}, one per image"
        raise ValueError(f"{wanted}, got {labels.shape}: {np.unique(labels)}")

    def mean_entropy(batch: Any) -> Any:
        return keras.losses.SparseCategoricalCrossentropy()(labels, model(batch, training=True))

    before = [(variable, ops.convert_to_numpy(variable)) for variable in model.variables]
    try:
        # The scale keeps small gradients above zero in float16; a power of two rounds nothing.
        return _record_gradients(mean_entropy, model, images, scale=1024.0)
    finally:
        for variable, value in before:
            variable.assign(value)


def _record_gradients(
    loss: Callable[[Any], Any], trained: Any, images: np.ndarray, scale: float = 1.0
) -> list[np.ndarray]:
    """What an optimizer receives for a batch, as float32, by a model or a variable; no step."""
    recorded: list[np.ndarray] = []

    def apply(gradients: list[Any], _: Any = None) -> None:
        for gradient, variable in zip(gradients, trainer.trainable_variables, strict=True):
            values = np.zeros(variable.shape) if gradient is None else ops.cast(gradient, "float32")
            recorded.append((ops.convert_to_numpy(values) / scale).astype("float32"))

    optimizer = keras.optimizers.SGD(loss_scale_factor=scale)
    optimizer.apply = apply
    trainer = Trainer(loss, trained)
    # One batch is not worth compiling; scaling by itself would leave out steps that overflow.
    trainer.compile(optimizer, run_eagerly=True, jit_compile=False, auto_scale_loss=False)
    trainer.train_on_batch(images)
    return recorded


class Trainer(keras.Model):
    """Calls a model on real batches only: a symbolic call would add a reader to it for good."""

    def __init__(self, loss: Callable[[Any], Any], trained: Any) -> None:
        super().__init__(autocast=False, dtype="float32")
        self.loss_of, self.trained, self.built = loss, trained, True

    def call(self, images: Any) -> Any:
        self.add_loss(self.loss_of(images))
        return images


def checked_images(model: keras.Model, images: Any) -> np.ndarray:
    """Images as an array, or an error where they do not fit the model's one input."""
    images, inputs = as_array(images, "images"), getattr(model, "inputs", None) or []
    # A model with a call of its own may take anything.
    wanted = tuple(inputs[0].shape) if inputs else images.shape
    fits = [size in (None, came) for size, came in zip(wanted[1:], images.shape[1:], strict=False)]
    if len(inputs) > 1 or len(wanted) != images.ndim or not all(fits) or len(images) == 0:
        raise ValueError(f"expected images of shape {wanted} for one input, got {images.shape}")
    return images
