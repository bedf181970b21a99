"""How an output of a model moves with each pixel of its input, through Keras alone.

It runs on every backend: the gradient is the step that one `fit` step of rate one takes.
"""

from collections.abc import Callable

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
