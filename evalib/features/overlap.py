"""How often a convolution visits each pixel, and what uneven visits leave in pictures.

Odena, Dumoulin and Olah, *Deconvolution and Checkerboard Artifacts*, Distill 2016, show where the
pattern comes from: a window that moves on by `stride` visits pixels evenly only where the stride
divides its size. Far from the border pixel `i` of an axis is visited once for each `m` below the
kernel size with `m = i` modulo `stride`.
"""

from typing import Any

import numpy as np

from evalib.filters import as_array

Pair = int | tuple[int, int]


def kernel_overlap(
    size: Pair, kernel_size: Pair, stride: Pair = 1, transposed: bool = False
) -> np.ndarray:
    """Count how often a convolution without padding visits each pixel.

    A transposed convolution is counted on its output: how many products are added up in each
    pixel. Along an axis it has `(size - 1) * stride + max(kernel_size, stride)` pixels, as in Keras
    with padding "valid". The two are each other's gradient, so the patterns are the same.

    Args:
        size: height and width of the input in pixels; here and below one number if they are equal.
        kernel_size: of the window.
        stride: how many pixels the window moves on.
        transposed: count on the output of a transposed convolution instead.

    Returns:
        int64 counts, shape `(height, width)` of the input, or of the output if transposed.

    Raises:
        ValueError: a number is not a whole one from 1 up, or the kernel does not fit into the
            input of a convolution.

    Example:
        >>> kernel_overlap(5, 3).tolist()[0]
        [1, 2, 3, 2, 1]
        >>> kernel_overlap(3, 3, stride=2, transposed=True).tolist()[0]  # the checkerboard
        [1, 1, 2, 1, 2, 1, 1]
    """
    sizes, kernels, strides = _pair(size, "size"), _pair(kernel_size, "kernel"), _pair(stride)
    if not transposed and (kernels > sizes).any():
        extent, found = ("x".join(map(str, pair)) for pair in (sizes, kernels))
        raise ValueError(f"expected a kernel that fits into {extent} pixels, got {found}")
    rows, columns = (
        _axis_overlap(*numbers, transposed) for numbers in zip(sizes, kernels, strides, strict=True)
    )
    return np.outer(rows, columns)


def checkerboard_energy(image: Any, stride: int) -> float:
    """Measure how much of a picture is a pattern that repeats every `stride` pixels.

    This is the share of the energy of the discrete Fourier transform, mean left out, that lies at
    multiples of the frequency `1 / stride` along both axes. By Parseval's theorem it is the share
    of the pixels' variance that is explained by row and column modulo `stride`: 1 for a pattern
    that repeats exactly, and on average `(stride^2 - 1) / (pixels - 1)` for noise. Energies of
    several channels are added first.

    Args:
        image: shape `(height, width)` or `(height, width, channels)`, of any range. Rows and
            columns that do not fill a period are left out at the bottom and right.
        stride: the period in pixels, at least 2.

    Returns:
        From 0 to 1; 0 for a picture of one value.

    Raises:
        ValueError: the stride is below 2, or the image has another rank, fewer than two periods
            along an axis, or values that are not finite.
    """
    image = as_array(image, "an image")
    if isinstance(stride, bool) or not hasattr(stride, "__index__") or stride < 2:
        raise ValueError(f"expected a stride that is a whole number from 2 up, got {stride!r}")
    if image.ndim not in (2, 3) or image.size == 0 or min(image.shape[:2]) < 2 * stride:
        raise ValueError(
            f"expected an image of shape (height, width) or (height, width, channels) with at "
            f"least {2 * stride} rows and columns, got shape {image.shape}"
        )
    if not np.isfinite(image).all():
        raise ValueError("expected an image of finite numbers, got NaN or infinite ones")
    # Of a flat picture the mean's rounding would be all that is left.
    if (np.ptp(image, axis=(0, 1)) == 0).all():
        return 0.0
    height, width = (extent // stride for extent in image.shape[:2])
    values = image[: height * stride, : width * stride].astype("float64")
    energy = np.square(np.abs(np.fft.fft2(values - values.mean(axis=(0, 1)), axes=(0, 1))))
    energy[0, 0] = 0
    return float(energy[::height, ::width].sum() / energy.sum())


def _axis_overlap(size: int, kernel: int, stride: int, transposed: bool) -> np.ndarray:
    """Visits along one axis: each tap of the kernel visits every `stride`-th pixel."""
    steps = size if transposed else (size - kernel) // stride + 1
    extent = (size - 1) * stride + max(kernel, stride) if transposed else size
    counts = np.zeros(extent, np.int64)
    for tap in range(kernel):
        counts[tap : tap + (steps - 1) * stride + 1 : stride] += 1
    return counts


def _pair(value: Any, what: str = "stride") -> np.ndarray:
    """One or two whole numbers as two."""
    numbers = np.asarray(value)
    if numbers.shape not in ((), (2,)) or numbers.dtype.kind not in "iu" or (numbers < 1).any():
        raise ValueError(f"expected a {what} of one or two whole numbers from 1 up, got {value!r}")
    return np.broadcast_to(numbers, 2)
