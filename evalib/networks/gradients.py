"""Gradients by the pixels of the input and by the weights, through Keras alone, on every backend.

The gradient by the input is the step that one `fit` step of rate one takes; the gradients by the
weights are what an optimizer is given.
"""

from collections.abc import Callable, Sequence

import keras
import numpy as np
from keras import ops

Output = Callable[[keras.KerasTensor], keras.KerasTensor]


def input_gradient(
    model: keras.Model, images: np.ndarray, *, output: Output | None = None
) -> np.ndarray:
    """The gradient of the sum of a model's outputs by each pixel of its input.

    The network runs as in inference, and its weights stay as they are.

    Args:
        model: a functional or Sequential model with one input and one output.
        images: shape `(n, height, width, channels)`. All pass through it at once.
        output: picks the values to sum from the model's output; all of them unless told otherwise.

    Returns:
        float32, the shape of the images.

    Raises:
        ValueError: the images do not fit the model.
    """
    wanted = tuple(model.inputs[0].shape[1:])
    fits = [size in (None, given) for size, given in zip(wanted, images.shape[1:], strict=False)]
    if images.ndim != 1 + len(wanted) or not all(fits) or len(images) == 0:
        raise ValueError(f"expected images of shape {(None, *wanted)}, got {images.shape}")
    probe = _Probe(model, output or (lambda values: values))
    trainer = keras.Sequential([keras.Input(batch_shape=images.shape), probe])
    # A step of rate one leaves minus the gradient behind. One step is not worth compiling.
    trainer.compile(optimizer=keras.optimizers.SGD(1.0), run_eagerly=True, jit_compile=False)
    trainer.train_on_batch(np.asarray(images, "float32"))
    return -ops.convert_to_numpy(probe.change)


def weight_gradients(
    model: keras.Model, images: np.ndarray, labels: np.ndarray
) -> list[np.ndarray]:
    """The gradient of the mean cross-entropy by each trainable weight, as Keras has it.

    The network runs as in training, and all its weights stay as they are.

    Args:
        model: gives class probabilities.
        images: what the model takes, `n` of them, as one batch.
        labels: integers of shape `(n,)`.

    Returns:
        float32 arrays in nats per unit of weight, in the order and the shapes of
        `model.trainable_weights`.

    Raises:
        ValueError: there are not as many labels as images.
    """
    if len(images) != len(labels):
        raise ValueError(f"expected a label an image, got {len(images)} and {len(labels)}")
    before = model.get_weights()
    trainer = keras.Sequential([keras.Input(images.shape[1:]), model])
    recorder = GradientRecorder()
    trainer.compile(
        optimizer=recorder,
        loss="sparse_categorical_crossentropy",
        run_eagerly=True,
        jit_compile=False,
    )
    trainer.train_on_batch(images, np.asarray(labels))
    model.set_weights(before)
    return [ops.convert_to_numpy(value) for value in recorder.recorded]


class GradientRecorder(keras.optimizers.Optimizer):
    """An optimizer that moves nothing and keeps the last gradients in `recorded`."""

    def __init__(self) -> None:
        super().__init__(learning_rate=0.0, name="gradient_recorder")

    def build(self, variables: Sequence[keras.Variable]) -> None:
        super().build(variables)
        self.recorded = [
            self.add_variable_from_reference(variable, name="gradient") for variable in variables
        ]

    def update_step(
        self,
        gradient: keras.KerasTensor,
        variable: keras.Variable,
        learning_rate: keras.KerasTensor,
    ) -> None:
        self.assign(self.recorded[self._get_variable_index(variable)], gradient)


class _Probe(keras.layers.Layer):
    """A layer whose one weight is added to the images, and whose loss is the chosen output."""

    def __init__(self, model: keras.Model, output: Output) -> None:
        super().__init__()
        # A function is not tracked by Keras: the network's own weights stay out of training.
        self.function = lambda values: output(model(values, training=False))

    def build(self, input_shape: tuple[int, ...]) -> None:
        # Added to the images, not in their place: a pixel's value would round the gradient away.
        self.change = self.add_weight(shape=input_shape, initializer="zeros", dtype="float32")

    def call(self, images: keras.KerasTensor) -> keras.KerasTensor:
        self.add_loss(ops.sum(self.function(images + self.change)))
        return images
