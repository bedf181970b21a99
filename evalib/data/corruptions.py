"""Digits made harder, to see what a network's accuracy is worth beyond the test set.

Each function takes digits as `prepare_images` does, with its errors, and returns float32 from 0 to
1 of shape `(n, height, width)`. Beyond the border everything is black.
"""

from typing import Any

import numpy as np
from scipy import ndimage

from evalib.data.mnist import prepare_images

_CROSS = np.array([[[0, 1, 0], [1, 1, 1], [0, 1, 0]]])  # a pixel and its four neighbors


def rotate(digits: Any, degrees: float) -> np.ndarray:
    """Turn digits counterclockwise about their middle, with bilinear interpolation."""
    return ndimage.rotate(prepare_images(digits)[..., 0], degrees, (2, 1), reshape=False, order=1)


def shift(digits: Any, down: float, right: float) -> np.ndarray:
    """Move digits by so many pixels down and to the right; up and to the left if negative."""
    return ndimage.shift(prepare_images(digits)[..., 0], (0, down, right), order=1)


def add_gaussian_noise(digits: Any, deviation: float, *, seed: int = 0) -> np.ndarray:
    """Add independent normal noise of a standard deviation to each pixel, and clip to [0, 1]."""
    images = prepare_images(digits)[..., 0]
    noise = np.random.default_rng(seed).normal(0, deviation, images.shape)
    return np.clip(images + noise, 0, 1).astype("float32")


def dilate(digits: Any) -> np.ndarray:
    """Make strokes a pixel wider on every side: the maximum of a pixel and its four neighbors."""
    return ndimage.grey_dilation(prepare_images(digits)[..., 0], footprint=_CROSS, mode="constant")


def erode(digits: Any) -> np.ndarray:
    """Make strokes a pixel narrower on every side: the minimum of a pixel and its neighbors."""
    return ndimage.grey_erosion(prepare_images(digits)[..., 0], footprint=_CROSS, mode="constant")


def corrupt(digits: Any) -> dict[str, np.ndarray]:
    """Titles to digits, first as they are, then with each corruption of the course's table."""
    return {
        "as they are": prepare_images(digits)[..., 0],
        "rotated by 20°": rotate(digits, 20),
        "rotated by -20°": rotate(digits, -20),
        "shifted by 4 pixels": shift(digits, 4, 0),
        "noise, deviation 0.3": add_gaussian_noise(digits, 0.3),
        "thickened": dilate(digits),
        "thinned": erode(digits),
    }
