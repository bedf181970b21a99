"""How often a convolution visits each pixel, and what uneven visits leave in pictures.

A window that moves on by `stride` visits pixels evenly only where the stride divides its size:
Odena, Dumoulin and Olah, *Deconvolution and Checkerboard Artifacts*, Distill 2016.
"""

from typing import Any

import numpy as np

from evalib.filters import finite_array

Pair = int | tuple[int, int]


def kernel_overlap(
    size: Pair, kernel_size: Pair, stride: Pair = 1, transposed: bool = False
) -> np.ndarray:
    """Count how often a convolution without padding visits each pixel of its input.

    A transposed one is counted on its output, of `(size - 1) * stride + max(kernel_size, stride)`
    pixels. Sizes are `(height, width)`, or one number if these are equal. Numbers that are not
    whole ones from 1 up, and windows that do not fit, raise a ValueError.

    Returns int64 counts of shape `(height, width)`.

    Example:
        >>> kernel_overlap(3, 3, stride=2, transposed=True).tolist()[0]  # the checkerboard
        [1, 1, 2, 1, 2, 1, 1]
    """
    sizes, kernels, strides = _pair(size, "size"), _pair(kernel_size, "kernel"), _pair(stride)
    if not transposed and (kernels > sizes).any():
        raise ValueError(f"expected a kernel that fits into {size} pixels, got {kernel_size}")
    axes = zip(sizes, kernels, strides, strict=True)
    return np.outer(*(_axis_overlap(*numbers, transposed) for numbers in axes))


def checkerboard_energy(image: Any, stride: int) -> float:
    """Measure from 0 to 1 how much of a picture is a pattern that repeats every `stride` pixels.

    This is the share of the energy of the discrete Fourier transform, mean left out, that lies at
    multiples of the frequency `1 / stride` along both axes. By Parseval's theorem it is the share
    of the pixels' variance that is explained by row and column modulo `stride`: 1 for a pattern
    that repeats exactly, on average `(stride^2 - 1) / (pixels - 1)` for noise, 0 for a flat image.

    The image, `(height, width)` or `(height, width, channels)`, has finite values and two periods
    of 2 pixels or more along each axis, else a ValueError. Energies of channels are added; rows and
    columns that do not fill a period are left out at the end.
    """
    image = finite_array(image, "an image", (2, 3))
    if isinstance(stride, bool) or not hasattr(stride, "__index__") or stride < 2:
        raise ValueError(f"expected a stride that is a whole number from 2 up, got {stride!r}")
    height, width = (extent // stride for extent in image.shape[:2])
    if min(height, width) < 2:
        wanted = f"at least {2 * stride} rows and columns"
        raise ValueError(f"expected an image with {wanted}, got shape {image.shape}")
    values = image[: height * stride, : width * stride].astype("float64")
    if not np.ptp(values, axis=(0, 1)).any():  # or the mean's rounding would be all that is left
        return 0.0
    energy = np.square(np.abs(np.fft.fft2(values - values.mean(axis=(0, 1)), axes=(0, 1))))
    energy[0, 0] = 0
    return float(energy[::height, ::width].sum() / energy.sum())


def _axis_overlap(size: int, kernel: int, stride: int, transposed: bool) -> np.ndarray:
    steps = size if transposed else (size - kernel) // stride + 1
    extent = (size - 1) * stride + max(kernel, stride) if transposed else size
    visited = stride * np.arange(steps)[:, np.newaxis] + np.arange(kernel)
    return np.bincount(visited.ravel(), minlength=extent)


def _pair(value: Any, what: str = "stride") -> np.ndarray:
    """One or two whole numbers as two."""
    numbers = np.asarray(value)
    if numbers.shape not in ((), (2,)) or numbers.dtype.kind not in "iu" or (numbers < 1).any():
        raise ValueError(f"expected a {what} of one or two whole numbers from 1 up, got {value!r}")
    return np.broadcast_to(numbers, 2)
