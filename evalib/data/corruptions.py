"""Digits made harder, to see what a network's accuracy is worth beyond the test set."""

from collections.abc import Callable

import numpy as np
import skimage.transform


def rotate(digits: np.ndarray, degrees: float) -> np.ndarray:
    """Turn digits counterclockwise about their middle; what comes from outside is black.

    Args:
        digits: float in [0, 1], shape `(n, height, width)`.
        degrees: by how much.

    Returns:
        float32 of the same shape, interpolated bilinearly.
    """
    turned = [skimage.transform.rotate(digit, degrees, order=1) for digit in digits]
    return np.stack(turned).astype("float32")


def shift(digits: np.ndarray, down: int, right: int) -> np.ndarray:
    """Move digits by whole pixels; what comes from outside is black.

    Args:
        digits: shape `(n, height, width)`, of any dtype.
        down: by how many pixels; up if negative.
        right: likewise, to the left if negative.

    Returns:
        The same shape and dtype.

    Example:
        >>> digit = np.zeros((1, 3, 3))
        >>> digit[0, 1, 1] = 1
        >>> shift(digit, down=1, right=-1)[0].tolist()
        [[0.0, 0.0, 0.0], [0.0, 0.0, 0.0], [1.0, 0.0, 0.0]]
    """
    height, width = digits.shape[1:]
    padded = np.pad(digits, ((0, 0), (abs(down),) * 2, (abs(right),) * 2))
    top, left = abs(down) - down, abs(right) - right
    return padded[:, top : top + height, left : left + width]


def add_gaussian_noise(digits: np.ndarray, deviation: float, *, seed: int = 0) -> np.ndarray:
    """Add independent normal noise to each pixel and cut to [0, 1].

    Args:
        digits: float in [0, 1], of any shape.
        deviation: the noise's standard deviation.
        seed: which noise.

    Returns:
        float32 of the same shape.
    """
    noise = np.random.default_rng(seed).normal(0, deviation, digits.shape)
    return np.clip(digits + noise, 0, 1).astype("float32")


def dilate(digits: np.ndarray) -> np.ndarray:
    """Make strokes a pixel wider on every side: the maximum of a pixel and its four neighbors.

    Args:
        digits: shape `(n, height, width)`, of any dtype.

    Returns:
        The same shape and dtype.
    """
    return _over_neighbors(digits, np.maximum)


def erode(digits: np.ndarray) -> np.ndarray:
    """Make strokes a pixel narrower on every side: the minimum of a pixel and its four neighbors.

    Args:
        digits: shape `(n, height, width)`, of any dtype.

    Returns:
        The same shape and dtype.
    """
    return _over_neighbors(digits, np.minimum)


def corrupt(digits: np.ndarray) -> dict[str, np.ndarray]:
    """All disturbances, in the strengths of the course's table.

    Args:
        digits: float in [0, 1], shape `(n, 28, 28)`.

    Returns:
        A title to digits of the same shape, float32. The first are the digits as they are.
    """
    every: dict[str, Callable[[np.ndarray], np.ndarray]] = {
        "as they are": lambda images: images.astype("float32"),
        "rotated by 20°": lambda images: rotate(images, 20),
        "rotated by -20°": lambda images: rotate(images, -20),
        "shifted by 4 pixels": lambda images: shift(images, 4, 0),
        "noise, deviation 0.3": lambda images: add_gaussian_noise(images, 0.3),
        "thickened": dilate,
        "thinned": erode,
    }
    return {title: change(digits).astype("float32") for title, change in every.items()}


def _over_neighbors(
    digits: np.ndarray, choose: Callable[[np.ndarray, np.ndarray], np.ndarray]
) -> np.ndarray:
    """The greatest or least of each pixel and its neighbors; beyond the border it is black."""
    chosen = digits
    for down, right in ((1, 0), (-1, 0), (0, 1), (0, -1)):
        chosen = choose(chosen, shift(digits, down, right))
    return chosen
