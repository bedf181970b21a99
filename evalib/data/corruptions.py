"""Digits made harder, to see what a network's accuracy is worth beyond the test set.

Each function takes digits as `prepare_images` does (with its errors), and returns float32 from 0 to
1 of shape `(n, height, width)`. Beyond the border everything is black.
"""

from typing import Any

import numpy as np
import scipy.ndimage

from evalib.data.mnist import prepare_images

# A pixel and its four neighbors.
_CROSS = np.array([[[0, 1, 0], [1, 1, 1], [0, 1, 0]]])


def rotate(digits: Any, degrees: float) -> np.ndarray:
    """Turn digits counterclockwise about their middle, with bilinear interpolation."""
    images = prepare_images(digits)[..., 0]
    return scipy.ndimage.rotate(images, degrees, axes=(2, 1), reshape=False, order=1)


def shift(digits: Any, down: float, right: float) -> np.ndarray:
    """Move digits by so many pixels down and to the right; up and to the left if negative.

    Example:
        >>> shift([[[0.0, 1.0], [0.0, 0.0]]], down=1, right=-1)[0].tolist()
        [[0.0, 0.0], [1.0, 0.0]]
    """
    return scipy.ndimage.shift(prepare_images(digits)[..., 0], (0, down, right), order=1)


def add_gaussian_noise(digits: Any, deviation: float, *, seed: int = 0) -> np.ndarray:
    """Add independent normal noise of a standard deviation to each pixel, and clip to [0, 1]."""
    images = prepare_images(digits)[..., 0]
    noise = np.random.default_rng(seed).normal(0, deviation, images.shape)
    return np.clip(images + noise, 0, 1).astype("float32")


def dilate(digits: Any) -> np.ndarray:
    """Make strokes a pixel wider on every side: the maximum of a pixel and its four neighbors."""
    images = prepare_images(digits)[..., 0]
    return scipy.ndimage.grey_dilation(images, footprint=_CROSS, mode="constant")


def erode(digits: Any) -> np.ndarray:
    """Make strokes a pixel narrower on every side: the minimum of a pixel and its neighbors."""
    images = prepare_images(digits)[..., 0]
    return scipy.ndimage.grey_erosion(images, footprint=_CROSS, mode="constant")


def corrupt(digits: Any) -> dict[str, np.ndarray]:
    """Apply all corruptions, in the strengths of the course's table.

    Returns:
        Titles to digits of the same shape. The first are the digits as they are.
    """
    return {
        "as they are": prepare_images(digits)[..., 0],
        "rotated by 20°": rotate(digits, 20),
        "rotated by -20°": rotate(digits, -20),
        "shifted by 4 pixels": shift(digits, 4, 0),
        "noise, deviation 0.3": add_gaussian_noise(digits, 0.3),
        "thickened": dilate(digits),
        "thinned": erode(digits),
    }
