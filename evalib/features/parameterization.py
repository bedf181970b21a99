"""What gradient ascent on images takes its steps on: waves and uncorrelated colors, or pixels.

Where a network knows photographs, steps on pixels give noise. Steps on the amplitudes of waves,
long ones scaled up, and on colors that vary independently, as in photographs, give pictures: Olah,
Mordvintsev and Schubert, *Feature Visualization*, Distill 2017, section "Preconditioning and
Parameterization". The covariance of colors is that of its code, lucid (Apache License 2.0,
`lucid/optvis/param/color.py`). Only a part of both preferences is used here: with all of them,
channels that look for fine or colorful things cannot get them.
"""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

# A square root of the covariance of red, green and blue over ImageNet's pixels: one row per color
# of the image, one column per independent one (light and dark, warm and cold, green and purple).
COLOR_ROOT = np.array([[0.26, 0.09, 0.02], [0.27, 0.00, -0.05], [0.27, -0.09, 0.03]])

_SAFE = (0.02, 0.98)  # Closer to black or white an image's parameters would be too large to move.


def color_matrix(depth: int) -> np.ndarray:
    """`independent @ matrix.T` is a color; for other channels than three, the identity.

    A root of the covariance, its longest column 1. Two products with it, one in the image and one
    in the gradient, make a third of the covariance's power.
    """
    if depth != 3:  # nothing is known of these channels
        return np.eye(depth)
    variances, directions = np.linalg.eigh(COLOR_ROOT @ COLOR_ROOT.T)
    root = directions * variances ** (1 / 6) @ directions.T
    return root / np.linalg.norm(root, axis=0).max()


def fourier_basis(size: int) -> tuple[np.ndarray, np.ndarray]:
    """The waves that a line of pixels is a sum of, and their frequencies, 0 to 0.5 per pixel.

    The columns, shape `(size, size)`, are orthonormal: the constant, then cosine and sine of each
    frequency. A product with them is a real Fourier transform on every backend of Keras.
    """
    places = np.arange(size)
    waves = (places + 1) // 2  # 0, 1, 1, 2, 2, ...: how often each column goes up and down
    phase = 2 * np.pi * np.outer(places, waves) / size
    basis = np.where(places % 2 == 1, np.cos(phase), np.sin(phase))
    basis[:, 0] = 1
    return basis / np.linalg.norm(basis, axis=0), waves / size


def fourier_scale(height: int, width: int, power: float = 1.0) -> np.ndarray:
    """How much each wave counts, shape `(height, width)`: one over its frequency to a power.

    A power of 1 is as in photographs. The constant counts as the longest wave does.
    """
    down, across = fourier_basis(height)[1], fourier_basis(width)[1]
    frequency = np.hypot(down[:, np.newaxis], across[np.newaxis])
    return 1 / np.maximum(frequency, 1 / max(height, width)) ** power


class ImageParameters(keras.layers.Layer):
    """A layer whose one weight stands for images of a shape `(count, height, width, depth)`."""

    smoothness: float  # the weight of a penalty on differences between neighboring pixels
    noise: tuple[float, float]  # mean and standard deviation of what the first images are made of
    periodic = False  # whether an image goes on beyond its border on the other side

    def __init__(self, shape: Sequence[int]) -> None:
        super().__init__(dtype="float32")
        self.values = self.add_weight(shape=shape, initializer="zeros", name="values")
        self.built = True

    def images(self) -> Any:
        """The images, float32 in (0, 1)."""
        raise NotImplementedError

    def optimizer(self, rate: float, steps: int, fading: float) -> keras.optimizers.Optimizer:
        """What takes the steps."""
        return on_one_device(keras.optimizers.Adam(rate))

    def draw_noise(self, seed: int) -> None:
        """Start from noise in which every pixel is independent; the same seed, the same images."""
        noise = np.random.default_rng(seed).normal(*self.noise, self.values.shape)
        self.values.assign(np.stack([self.from_logits(one) for one in noise]).astype("float32"))

    def copy(self, image: np.ndarray) -> None:
        """Start all images from one in [0, 1], in which black and white become 0.02 and 0.98."""
        inside = np.clip(np.asarray(image, "float64"), *_SAFE)
        values = self.from_logits(np.log(inside / (1 - inside)))
        self.values.assign(np.broadcast_to(values, self.values.shape).astype("float32"))

    def from_logits(self, logits: np.ndarray) -> np.ndarray:
        """The weights of one image whose sigmoid is asked for."""
        return logits


class FourierImages(ImageParameters):
    """Images as amplitudes of waves in independent colors; the power is that of `fourier_scale`."""

    smoothness, noise, periodic = 0.0, (0.0, 1.2), True

    def __init__(self, shape: Sequence[int], power: float = 0.5) -> None:
        super().__init__(shape)
        _, height, width, depth = shape
        self.down, self.across = (fourier_basis(n)[0].astype("float32") for n in (height, width))
        self.scale = fourier_scale(height, width, power)[..., np.newaxis].astype("float32")
        self.colors = color_matrix(depth).astype("float32")

    def images(self) -> Any:
        waves = self.values * self.scale
        # Products of two matrices: TensorFlow 2.20 dies of some batched ones (oneDNN, one channel).
        lines = ops.tensordot(waves, self.across, axes=[[2], [1]])  # count, waves, depth, width
        pixels = ops.tensordot(lines, self.down, axes=[[1], [1]])  # count, depth, width, height
        colors = ops.tensordot(pixels, self.colors, axes=[[1], [1]])  # count, width, height, depth
        return ops.sigmoid(ops.transpose(colors, (0, 2, 1, 3)))

    def from_logits(self, logits: np.ndarray) -> np.ndarray:
        colors = logits @ np.linalg.inv(self.colors.T.astype("float64"))
        waves = self.down.T @ np.moveaxis(colors, -1, 0) @ self.across
        return np.moveaxis(waves, 0, -1) / self.scale

    def optimizer(self, rate: float, steps: int, fading: float) -> keras.optimizers.Optimizer:
        return on_one_device(WaveAscent(rate, steps, fading, self.scale))


class PixelImages(ImageParameters):
    """Images as pixels, as suits drawings in ink: large even areas and sharp borders."""

    smoothness, noise = 0.5, (-1.0, 0.1)

    def images(self) -> Any:
        return ops.sigmoid(self.values)


def on_one_device(optimizer: keras.optimizers.Optimizer) -> keras.optimizers.Optimizer:
    """Skip TensorFlow's sum over devices: it never frees what this leaves."""
    optimizer._all_reduce_sum_gradients = lambda gradients: gradients
    return optimizer


class WaveAscent(keras.optimizers.Optimizer):
    """Steps along the gradient of waves, equally long for each image and shorter toward the end.

    Adam would make the steps of all waves equally long: those that nothing asks for turn into
    noise. And each step fades what is there: what the gradient does not renew goes away.
    """

    def __init__(self, rate: float, steps: int, fading: float, scale: np.ndarray) -> None:
        schedule = keras.optimizers.schedules.PolynomialDecay(1.1 * rate, steps, 0.1 * rate)
        super().__init__(learning_rate=schedule)
        self.fading, self.scale = fading, scale

    def build(self, variables: list[Any]) -> None:
        if not self.built:
            super().build(variables)
            self.momentums = [self.add_variable_from_reference(v, "momentum") for v in variables]

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        momentum = self.momentums[self._get_variable_index(variable)]
        square = ops.mean(ops.square(gradient * self.scale), axis=(1, 2, 3), keepdims=True)
        step = gradient / (ops.sqrt(square) + 1e-12)
        self.assign(momentum, 0.8 * momentum + 0.2 * step)
        rate = ops.cast(learning_rate, variable.dtype)
        self.assign(variable, (1 - self.fading) * variable - rate * momentum)


def wrap(images: Any) -> Any:
    """Images with a margin on each side that repeats the opposite side: waves have no border."""
    for axis in (1, 2):
        size, margin = images.shape[axis], _margin(images.shape[axis])
        images = ops.take(images, np.arange(-margin, size + margin) % size, axis=axis)
    return images


def crop(images: Any, shape: Sequence[int]) -> Any:
    """The middle of images that have a margin."""
    (top, left), (_, height, width, _) = map(_margin, shape[1:3]), shape
    return images[:, top : top + height, left : left + width]


def _margin(size: int) -> int:
    return max(1, size // 8)


def roughness(images: Any) -> Any:
    """The sum over images of the mean squared difference between neighboring pixels."""
    down, across = images[:, 1:] - images[:, :-1], images[:, :, 1:] - images[:, :, :-1]
    pixels = images.shape[1] * images.shape[2]
    return (ops.sum(ops.square(down)) + ops.sum(ops.square(across))) / pixels
