"""Enlarging inside a network by sub-pixel convolution, and its start without a pattern.

Shi et al., *Real-Time Single Image and Video Super-Resolution Using an Efficient Sub-Pixel
Convolutional Neural Network*, CVPR 2016; Aitken et al., *Checkerboard artifact free
sub-pixel convolution*, 2017 (arXiv:1707.02937).
"""

import operator
from typing import Any

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="evalib")
class SubPixel(keras.layers.Layer):
    """Turn channels into pixels: each pixel's channels become a square of `factor` by `factor`.

    Output channel `c` at row `factor * y + i`, column `factor * x + j` is input channel
    `(i * factor + j) * channels + c` at row `y`, column `x`, `channels` being those of the output.
    TensorFlow calls it depth to space, PyTorch pixel shuffle; the order is TensorFlow's.

    Takes `(batch, height, width, channels * factor ** 2)` and gives
    `(batch, height * factor, width * factor, channels)`.

    Args:
        factor: how many times higher and wider, at least 1.
        **options: name, dtype and what else a Keras layer takes.

    Raises:
        ValueError: the factor is not a whole number from 1 up, or, when built, its square does
            not divide the channels.
    """

    def __init__(self, factor: int = 2, **options: Any) -> None:
        super().__init__(**options)
        self.factor = _checked_factor(factor)

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        self.compute_output_shape(input_shape)

    def call(self, values: keras.KerasTensor) -> keras.KerasTensor:
        _, height, width, depth = ops.shape(values)
        factor, channels = self.factor, depth // self.factor**2
        squares = ops.reshape(values, (-1, height, width, factor, factor, channels))
        rows = ops.transpose(squares, (0, 1, 3, 2, 4, 5))
        return ops.reshape(rows, (-1, height * factor, width * factor, channels))

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        square = self.factor**2
        depth = input_shape[3] if len(input_shape) == 4 else None
        if depth is None or depth % square:
            raise ValueError(
                f"expected (batch, height, width, channels) with channels a multiple of {square}, "
                f"got {tuple(input_shape)}"
            )
        batch, height, width, _ = input_shape
        larger = (None if extent is None else extent * self.factor for extent in (height, width))
        return (batch, *larger, depth // square)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "factor": self.factor}


@keras.saving.register_keras_serializable(package="evalib")
class ICNR(keras.initializers.Initializer):
    """Start a sub-pixel convolution as a convolution that is followed by nearest-neighbor resize.

    The kernel of the convolution before `SubPixel(factor)` is drawn for the output's channels
    alone, and repeated for each of the `factor ** 2` pixels of a square. All pixels of a square
    then have the same value. From there on training may change each of them.

    Args:
        factor: that of the `SubPixel` layer.
        initializer: what draws the kernel, by name or as an object.

    Raises:
        ValueError: the factor is not a whole number from 1 up, or, when called, its square does
            not divide the number of kernels.
    """

    def __init__(self, factor: int = 2, initializer: Any = "glorot_uniform") -> None:
        self.factor = _checked_factor(factor)
        self.initializer = keras.initializers.get(initializer)

    def __call__(self, shape: tuple[int, ...], dtype: Any = None) -> keras.KerasTensor:
        square = self.factor**2
        if len(shape) < 2 or shape[-1] % square:
            raise ValueError(
                f"expected the shape of kernels whose number is a multiple of {square}, "
                f"got {tuple(shape)}"
            )
        kernel = self.initializer((*shape[:-1], shape[-1] // square), dtype=dtype)
        return ops.concatenate([kernel] * square, axis=-1)

    def get_config(self) -> dict[str, Any]:
        initializer = keras.initializers.serialize(self.initializer)
        return {"factor": self.factor, "initializer": initializer}


def _checked_factor(factor: Any) -> int:
    try:
        whole = operator.index(factor)
    except TypeError:
        whole = 0
    if whole < 1 or isinstance(factor, bool):
        raise ValueError(f"expected a factor that is a whole number from 1 up, got {factor!r}")
    return whole
