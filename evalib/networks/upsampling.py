"""Enlarging inside a network by sub-pixel convolution, and its start without a pattern.

Shi et al., *Real-Time Single Image and Video Super-Resolution Using an Efficient Sub-Pixel
Convolutional Neural Network*, CVPR 2016; Aitken et al., *Checkerboard artifact free
sub-pixel convolution*, 2017 (arXiv:1707.02937).
"""

from typing import Any

import keras
from keras import ops

from evalib.networks.layers import whole_numbers


@keras.saving.register_keras_serializable(package="evalib")
class SubPixel(keras.layers.Layer):
    """Turn channels into pixels: each pixel's channels become a square of `factor` by `factor`.

    From `(batch, height, width, channels * factor ** 2)` to
    `(batch, height * factor, width * factor, channels)`. Output channel `c` at row
    `factor * y + i`, column `factor * x + j` is input channel `(i * factor + j) * channels + c` at
    row `y`, column `x`, which is the order of TensorFlow's depth to space.

    Args:
        factor: how many times higher and wider, at least 1.

    Raises:
        ValueError: the factor is not a whole number from 1 up, or, when built, its square does
            not divide the channels.
    """

    def __init__(self, factor: int = 2, **options: Any) -> None:
        super().__init__(**options)
        (self.factor,) = whole_numbers([factor], "the factor")

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        self.compute_output_shape(input_shape)

    def call(self, values: Any) -> Any:
        _, height, width, depth = ops.shape(values)
        factor, channels = self.factor, depth // self.factor**2
        squares = ops.reshape(values, (-1, height, width, factor, factor, channels))
        rows = ops.transpose(squares, (0, 1, 3, 2, 4, 5))
        return ops.reshape(rows, (-1, height * factor, width * factor, channels))

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        square, shape = self.factor**2, tuple(input_shape)
        if len(shape) != 4 or shape[3] is None or shape[3] % square:
            raise ValueError(
                f"expected (batch, height, width, a multiple of {square}), got {shape}"
            )
        larger = (None if size is None else size * self.factor for size in shape[1:3])
        return (shape[0], *larger, shape[3] // square)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "factor": self.factor}


@keras.saving.register_keras_serializable(package="evalib")
class ICNR(keras.initializers.Initializer):
    """Start a sub-pixel convolution as a convolution that is followed by nearest-neighbor resize.

    The kernel is drawn for the output's channels alone, and repeated for each of the
    `factor ** 2` pixels of a square.

    Args:
        factor: that of the `SubPixel` layer that follows the convolution.
        initializer: what draws the kernel, by name or as an object.

    Raises:
        ValueError: the factor is not a whole number from 1 up, or, when called, its square does
            not divide the number of kernels.
    """

    def __init__(self, factor: int = 2, initializer: Any = "glorot_uniform") -> None:
        (self.factor,) = whole_numbers([factor], "the factor")
        self.initializer = keras.initializers.get(initializer)

    def __call__(self, shape: tuple[int, ...], dtype: Any = None) -> Any:
        square = self.factor**2
        if len(shape) < 2 or shape[-1] % square:
            raise ValueError(
                f"expected kernels whose number is a multiple of {square}, got shape {tuple(shape)}"
            )
        kernel = self.initializer((*shape[:-1], shape[-1] // square), dtype=dtype)
        return ops.concatenate([kernel] * square, axis=-1)

    def get_config(self) -> dict[str, Any]:
        initializer = keras.initializers.serialize(self.initializer)
        return {"factor": self.factor, "initializer": initializer}
