"""Kernels as pictures."""

from collections.abc import Mapping

import numpy as np
from matplotlib.figure import Figure

from evalib.plots.primitives import colorize, show_images

Arrays = Mapping[str, np.ndarray]


def kernel_pictures(kernels: np.ndarray) -> np.ndarray:
    """Turn kernels, `(height, width, channels, count)`, into pictures, `(count, height, width, 3)`.

    Each has its own scale, floats from 0 to 1. Three channels become red, green and blue, mid gray
    for zero; one becomes blue below, white at and red above zero; others raise a ValueError.
    """
    if kernels.ndim != 4 or kernels.shape[2] not in (1, 3):
        raise ValueError(f"expected shape (height, width, 1 or 3, count), got {kernels.shape}")
    if not np.isfinite(kernels).all():
        raise ValueError("expected numbers as weights, got NaN or infinite: did training diverge?")
    pictures = np.moveaxis(kernels, -1, 0)
    if kernels.shape[2] == 1:
        return colorize(pictures[..., 0], limits="each")
    strongest = np.abs(pictures).max(axis=(1, 2, 3), keepdims=True)
    return 0.5 + 0.5 * pictures / np.where(strongest > 0, strongest, 1)


def show_kernels(groups: Arrays, *, columns: int = 16) -> Figure:
    """Draw label to kernels, as many as `columns` or a multiple, as `kernel_pictures` does."""
    pictures, labels = [], []
    for label, kernels in groups.items():
        pictures += list(kernel_pictures(kernels))
        labels += [label, *[""] * (kernels.shape[-1] // columns - 1)]
    return show_images(pictures, labels=labels, columns=columns, side=45)
