"""Signs of who wrote a digit: how it leans, and whether its neighbors in the file lean alike."""

from collections.abc import Sequence

import numpy as np


def slants(images: np.ndarray) -> np.ndarray:
    """How far each image leans: the slope of the line that its ink scatters about.

    Second central moments, the covariance of column and row divided by the variance of the row:
    what *deslanting* takes out (LeCun et al., *Gradient-Based Learning Applied to Document
    Recognition*, 1998).

    Args:
        images: shape `(n, height, width)`, ink above zero.

    Returns:
        float64 of shape `(n,)`, in columns to the right a row downward; below zero where an image
        leans to the right, as most writing does.

    Raises:
        ValueError: the images are not of rank 3, or the ink of one lies in no row or in one only.
    """
    if images.ndim != 3:
        raise ValueError(f"expected images of shape (n, height, width), got {images.shape}")
    ink = images.reshape(len(images), -1).astype("float64")
    rows, columns = (place.ravel() for place in np.indices(images.shape[1:]))
    with np.errstate(invalid="ignore", divide="ignore"):
        ink /= ink.sum(axis=1, keepdims=True)
        row, column = ink @ rows, ink @ columns
        spread = ink @ rows**2 - row**2
        found = (ink @ (rows * columns) - row * column) / spread
    if not (spread > 1e-9).all():
        raise ValueError(f"expected ink in two rows at least, got image {np.argmin(spread > 1e-9)}")
    return found


def within_class_autocorrelation(
    values: np.ndarray, labels: np.ndarray, distances: Sequence[int]
) -> np.ndarray:
    """How much images that lie so many places apart are alike, beyond showing the same digit.

    Args:
        values: a number for each image, in the order of the file, shape `(n,)`.
        labels: their classes; each class is brought to mean 0 and deviation 1 first.
        distances: in places, each at least 1 and less than `n`.

    Returns:
        float64 of shape `(len(distances),)`: the mean product of both images' values, near 1 for
        images that are alike and 0 for images that have nothing to do with each other.

    Raises:
        ValueError: the lengths differ, or a distance is out of its range.
    """
    if len(values) != len(labels):
        raise ValueError(f"expected a label a value, got {len(values)} and {len(labels)}")
    if not all(0 < distance < len(values) for distance in distances):
        raise ValueError(f"expected distances from 1 to {len(values) - 1}, got {list(distances)}")
    within = np.empty(len(values))
    for label in np.unique(labels):
        of_class = values[labels == label]
        within[labels == label] = (of_class - of_class.mean()) / (of_class.std() or 1.0)
    return np.array([np.mean(within[:-apart] * within[apart:]) for apart in distances])
