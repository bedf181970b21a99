"""Pictures of kernels, each on a scale of its own."""

from collections.abc import Mapping

import numpy as np
from matplotlib.figure import Figure

from evalib.plots.primitives import colorize, show_images


def kernel_pictures(kernels: np.ndarray) -> np.ndarray:
    """Turn kernels into pictures, each on its own scale with zero in the middle.

    Args:
        kernels: shape `(height, width, channels, count)`, one channel or three.

    Returns:
        float of shape `(count, height, width, 3)`, 0 to 1. Three channels become red, green and
        blue, mid gray for zero; one becomes blue for negative, white for zero and red for positive.

    Raises:
        ValueError: the kernels are not of rank 4, or have neither one channel nor three.
    """
    if kernels.ndim != 4 or kernels.shape[2] not in (1, 3):
        raise ValueError(f"expected shape (height, width, 1 or 3, count), got {kernels.shape}")
    pictures = np.moveaxis(kernels, -1, 0)
    if kernels.shape[2] == 1:
        return colorize(pictures[..., 0], limits="each")
    strongest = np.abs(pictures).max(axis=(1, 2, 3), keepdims=True)
    return 0.5 + 0.5 * pictures / np.where(strongest > 0, strongest, 1)


def show_kernels(groups: Mapping[str, np.ndarray], *, columns: int = 16) -> Figure:
    """Draw all kernels as `kernel_pictures` does, a label beside the first row of each group.

    Args:
        groups: label to kernels of shape `(height, width, channels, count)`; their sizes may
            differ, and all are drawn about equally large.
        columns: kernels a row; divides the number of kernels of each group.
    """
    pictures, labels = [], []
    for label, kernels in groups.items():
        pictures += list(kernel_pictures(kernels))
        labels += [label, *[""] * (kernels.shape[-1] // columns - 1)]
    return show_images(pictures, labels=labels, columns=columns, side=45)
