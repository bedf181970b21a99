"""What gradient ascent on images takes its steps on: waves and uncorrelated colors, or pixels.

Where a network knows photographs, steps on pixels give noise. Steps on the amplitudes of waves,
long waves scaled up as in photographs, and on colors that vary independently of each other give
pictures: Olah, Mordvintsev and Schubert, *Feature Visualization*, Distill 2017, section
"Preconditioning and Parameterization". The constants are those of its code, lucid (Apache License
2.0, `lucid/optvis/param/color.py` and `spatial.py`).
"""

from collections.abc import Sequence

import keras
import numpy as np
from keras import ops

# A square root of the covariance of red, green and blue over ImageNet's pixels: one row a color of
# the image, one column an independent one (light and dark, warm and cold, green and purple).
COLOR_ROOT = np.array([[0.26, 0.09, 0.02], [0.27, 0.00, -0.05], [0.27, -0.09, 0.03]])

_CONTRAST = 0.25  # lucid divides its images by four before they are squeezed into [0, 1].
_DEVIATION = 0.01  # of lucid's first amplitudes
_SAFE = (0.02, 0.98)  # Closer to black or white an image's parameters would be too large to move.


def color_matrix(depth: int) -> np.ndarray:
    """The matrix that turns independent colors into correlated ones.

    Args:
        depth: channels of the image.

    Returns:
        Shape `(depth, depth)`; `independent @ matrix.T` is the image's color. For three channels it
        is `COLOR_ROOT`, scaled so that its longest column has the length 1; for any other number
        it is the identity, since nothing is known of these channels.
    """
    if depth != 3:
        return np.eye(depth)
    return COLOR_ROOT / np.linalg.norm(COLOR_ROOT, axis=0).max()


def fourier_basis(size: int) -> tuple[np.ndarray, np.ndarray]:
    """The waves that a line of pixels is a sum of: the real form of the Fourier transform.

    A matrix product with it works in the same way on every backend of Keras, and is quick at the
    sizes of images that are shown to networks.

    Args:
        size: the number of pixels, at least 1.

    Returns:
        The basis, shape `(size, size)`, whose columns are waves of length 1 at right angles to each
        other: the constant, then cosine and sine of each frequency; and the frequencies, shape
        `(size,)`, 0 to 0.5 waves a pixel.
    """
    places = np.arange(size)
    waves = (places + 1) // 2  # 0, 1, 1, 2, 2, ...: how often each column goes up and down
    phase = 2 * np.pi * np.outer(places, waves) / size
    basis = np.where(places % 2 == 1, np.cos(phase), np.sin(phase))
    basis[:, 0] = 1
    return basis / np.linalg.norm(basis, axis=0), waves / size


def fourier_scale(height: int, width: int, power: float = 1.0) -> np.ndarray:
    """How much each wave counts: one over its frequency, as in photographs.

    Args:
        height: of the image in pixels.
        width: likewise.
        power: of the frequency; 0 lets all waves count alike, more than 1 makes images smoother.

    Returns:
        Shape `(height, width)`, in the order of `fourier_basis` along both axes. The constant
        counts as the longest wave does.
    """
    down, across = fourier_basis(height)[1], fourier_basis(width)[1]
    frequency = np.hypot(down[:, np.newaxis], across[np.newaxis])
    return 1 / np.maximum(frequency, 1 / max(height, width)) ** power


class ImageParameters(keras.layers.Layer):
    """A layer whose one weight stands for images: what gradient ascent takes its steps on."""

    learning_rate: float  # of Adam, where images become clear in some hundred steps
    smoothness: float  # the weight of a penalty on differences between neighboring pixels

    def images(self) -> keras.KerasTensor:
        """The images, float32 in (0, 1), shape `(count, height, width, depth)`."""
        raise NotImplementedError

    def draw_noise(self, seed: int) -> None:
        """Start from faint noise; the same seed gives the same images."""
        raise NotImplementedError

    def copy(self, image: np.ndarray) -> None:
        """Start all images from a picture of shape `(height, width, depth)` in [0, 1].

        Values nearer than 0.02 to black or white are moved to that distance, where there is still
        a slope.
        """
        raise NotImplementedError

    def call(self, inputs: keras.KerasTensor) -> keras.KerasTensor:
        return self.images()


class FourierImages(ImageParameters):
    """Images as amplitudes of waves in independent colors, as suits photographs.

    Args:
        shape: `(count, height, width, depth)`.
        power: see `fourier_scale`.
    """

    learning_rate, smoothness = 0.05, 0.0

    def __init__(self, shape: Sequence[int], power: float = 1.0) -> None:
        super().__init__()
        _, height, width, depth = shape
        self.down, self.across = (
            fourier_basis(size)[0].astype("float32") for size in (height, width)
        )
        scale = _CONTRAST * fourier_scale(height, width, power)[np.newaxis, ..., np.newaxis]
        self.scale = scale.astype("float32")
        self.colors = color_matrix(depth).astype("float32")
        self.amplitudes = self.add_weight(shape=shape, initializer="zeros", name="amplitudes")
        self.built = True

    def images(self) -> keras.KerasTensor:
        waves = self.amplitudes * self.scale
        # Products of two matrices: TensorFlow 2.20 dies of some batched ones (oneDNN, one channel).
        lines = ops.tensordot(waves, self.across, axes=[[2], [1]])  # count, waves, depth, width
        pixels = ops.tensordot(lines, self.down, axes=[[1], [1]])  # count, depth, width, height
        colors = ops.tensordot(pixels, self.colors, axes=[[1], [1]])  # count, width, height, depth
        return ops.sigmoid(ops.transpose(colors, (0, 2, 1, 3)))

    def draw_noise(self, seed: int) -> None:
        noise = np.random.default_rng(seed).normal(0, _DEVIATION, self.amplitudes.shape)
        self.amplitudes.assign(noise.astype("float32"))

    def copy(self, image: np.ndarray) -> None:
        colors = _logits(image) @ np.linalg.inv(self.colors.T.astype("float64"))
        waves = self.down.T @ np.moveaxis(colors, -1, 0) @ self.across
        amplitudes = np.moveaxis(waves, 0, -1) / self.scale
        self.amplitudes.assign(np.broadcast_to(amplitudes, self.amplitudes.shape).astype("float32"))


class PixelImages(ImageParameters):
    """Images as pixels, as suits drawings in ink: large even areas and sharp borders.

    Args:
        shape: `(count, height, width, depth)`.
    """

    learning_rate, smoothness = 0.1, 0.5

    def __init__(self, shape: Sequence[int]) -> None:
        super().__init__()
        self.logits = self.add_weight(shape=shape, initializer="zeros", name="logits")
        self.built = True

    def images(self) -> keras.KerasTensor:
        return ops.sigmoid(self.logits)

    def draw_noise(self, seed: int) -> None:
        noise = np.random.default_rng(seed).normal(-1.0, 0.1, self.logits.shape)
        self.logits.assign(noise.astype("float32"))

    def copy(self, image: np.ndarray) -> None:
        logits = np.broadcast_to(_logits(image), self.logits.shape)
        self.logits.assign(logits.astype("float32"))


def _logits(image: np.ndarray) -> np.ndarray:
    inside = np.clip(np.asarray(image, "float64"), *_SAFE)
    return np.log(inside / (1 - inside))
