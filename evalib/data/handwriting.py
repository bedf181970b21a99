"""Signs of who wrote a digit: how it leans, and whether its neighbors in the file lean alike."""

from collections.abc import Sequence

import numpy as np


def slants(images: np.ndarray) -> np.ndarray:
    """How far each image leans: the slope of the line that its ink scatters about.

    Second central moments, the covariance of column and row divided by the variance of the row:
    what *deslanting* removes (LeCun et al., *Gradient-Based Learning Applied to Document
    Recognition*, 1998).

    Args:
        images: shape `(n, height, width)`, each with ink, above zero, in two rows at least.

    Returns:
        Shape `(n,)`, in columns to the right per row downward; negative for most handwriting.
    """
    rows, columns = np.indices(images.shape[1:])
    ink = images / images.sum(axis=(1, 2), keepdims=True, dtype=float)
    row, column, product, square = (
        np.einsum("nij,ij->n", ink, values) for values in (rows, columns, rows * columns, rows**2)
    )
    return (product - row * column) / (square - row**2)


def within_class_autocorrelation(
    values: np.ndarray, labels: np.ndarray, lags: Sequence[int]
) -> np.ndarray:
    """How similar the values of images are that lie so far apart, apart from their digit.

    Args:
        values: a number for each image, in the order of the file, shape `(n,)`.
        labels: their classes, shape `(n,)`; each is brought to mean 0 and deviation 1 first.
        lags: distances in the file, each at least 1 and less than `n`.

    Returns:
        The mean product of both images' values for each lag: 1 for equal ones, 0 for unrelated.
    """
    within = np.empty(len(values))
    for label in np.unique(labels):
        of_class = values[labels == label]
        within[labels == label] = (of_class - of_class.mean()) / of_class.std()
    return np.array([np.mean(within[:-lag] * within[lag:]) for lag in lags])
