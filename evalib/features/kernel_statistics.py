"""Numbers that tell a kernel with a pattern from a kernel of noise.

All measures leave the strength of a kernel out: twice the kernel has the same numbers. Kernels are
arrays or tensors of shape `(height, width, input_channels, count)`. One that is not finite, as
after a training that diverged, has NaN; a kernel of zeros has 0.
"""

from typing import Any

import numpy as np

from evalib.filters import as_array

# Frequencies per axis: the spectrum of a kernel is smooth, and these are several to a cycle.
_GRID = 32


def spatial_autocorrelation(kernels: Any) -> np.ndarray:
    """How alike weights are to their neighbors to the right and below, in the same channel.

    Twice the sum of the products of neighbors, over the sum of their squares: `sum 2ab / sum
    (a^2 + b^2)`. That is one minus the ratio of von Neumann (*Distribution of the ratio of the mean
    square successive difference to the variance*, Annals of Mathematical Statistics 12, 1941),
    about zero instead of the mean, so that a flat kernel is smooth.

    Args:
        kernels: at least 2x2.

    Returns:
        float64 of shape `(count,)`, -1 to 1: -1 for a checkerboard, 1 for equal weights. Its
        expectation is exactly 0 where the weights are independent and their distribution is
        symmetric: turning one sign around turns each product around and no square.

    Raises:
        ValueError: the kernels are not of rank 4, or smaller than 2x2.
    """
    weights = _checked(kernels, 2)
    products, squares = np.zeros(weights.shape[-1]), np.zeros(weights.shape[-1])
    for first, second in ((weights[1:], weights[:-1]), (weights[:, 1:], weights[:, :-1])):
        products += (2 * first * second).sum(axis=(0, 1, 2))
        squares += (first**2 + second**2).sum(axis=(0, 1, 2))
    return _ratio(products, squares)


def orientation_selectivity(kernels: Any) -> np.ndarray:
    """How much more a kernel responds to waves of one direction than of the others.

    The length of the mean of `exp(2i angle)` over all waves of up to the Nyquist frequency, each
    weighted by the energy of the kernel's response to it: one minus the circular variance of
    orientation (Ringach, Shapley and Hawken, *Orientation selectivity in macaque V1*, Journal of
    Neuroscience 22, 2002). Each channel's mean is taken off before, since what a kernel does to
    flat ground has no direction, and the channels' energies are added.

    Args:
        kernels: at least 3x3.

    Returns:
        float64 of shape `(count,)`, 0 to 1: 0 where a quarter turn changes no energy, as for
        rings and blots, and for flat kernels; 1 if there were waves of one direction only. Noise is
        above 0, the more so, the smaller the kernel: by chance one direction has more energy.

    Raises:
        ValueError: the kernels are not of rank 4, or smaller than 3x3.
    """
    resultant, total = _orientation_sums(kernels)
    return _ratio(np.abs(resultant), total)


def preferred_orientation(kernels: Any) -> np.ndarray:
    """The direction of the stripes and edges to which a kernel responds most.

    Args:
        kernels: as for `orientation_selectivity`.

    Returns:
        float64 of shape `(count,)`, degrees from 0 to below 180, counterclockwise as seen in the
        picture: 0 for horizontal stripes, 45 for stripes that rise to the right, 90 for vertical
        ones. It says little where the selectivity is near 0.

    Raises:
        ValueError: as for `orientation_selectivity`.
    """
    resultant, _ = _orientation_sums(kernels)
    # Stripes run across their wave, a quarter turn on.
    return (np.rad2deg(np.angle(resultant)) / 2 + 90) % 180


def color_share(kernels: Any) -> np.ndarray:
    """How much of a kernel's energy lies in differences between the channels.

    The mean of the channels at each position is the kernel's gray part, what is left its color
    part; the two are orthogonal, so that their energies, the sums of squares, add to the whole.

    Args:
        kernels: of at least two input channels.

    Returns:
        float64 of shape `(count,)`, 0 to 1: 0 for equal channels, 1 where they sum to zero
        everywhere. Its expectation is exactly `1 - 1 / input_channels` where the weights are
        independent and their distribution is symmetric.

    Raises:
        ValueError: the kernels are not of rank 4, or have one channel.
    """
    weights = _checked(kernels, 1)
    if weights.shape[2] < 2:
        raise ValueError(f"expected kernels of two channels or more, got shape {weights.shape}")
    differences = weights - weights.mean(axis=2, keepdims=True)
    return _ratio((differences**2).sum(axis=(0, 1, 2)), (weights**2).sum(axis=(0, 1, 2)))


def noise_kernels(size: int, channels: int, count: int, *, seed: int = 0) -> np.ndarray:
    """Kernels of independent weights, even between -1 and 1, to compare others with.

    Up to a factor that is how Keras starts a convolution (Glorot and Bengio, 2010).

    Args:
        size: height and width.
        channels: of the input.
        count: how many kernels.
        seed: which kernels these are.

    Returns:
        float64 of shape `(size, size, channels, count)`.

    Raises:
        ValueError: one of the numbers is below 1.
    """
    if min(size, channels, count) < 1:
        raise ValueError(f"expected numbers of at least 1, got {size}, {channels} and {count}")
    return np.random.default_rng(seed).uniform(-1, 1, (size, size, channels, count))


def _orientation_sums(kernels: Any) -> tuple[np.ndarray, np.ndarray]:
    """The sum of `energy * exp(2i angle)` over all waves, and that of the energy."""
    whole = _checked(kernels, 3)
    weights = whole - whole.mean(axis=(0, 1), keepdims=True)
    # What is left of a flat kernel is rounding, and has no direction.
    flat = (weights**2).sum(axis=(0, 1, 2)) <= 1e-24 * (whole**2).sum(axis=(0, 1, 2))
    weights = np.where(flat, 0, weights)
    grid = max(_GRID, 2 * max(weights.shape[:2]))
    spectrum = np.fft.fft2(weights, (grid, grid), axes=(0, 1))
    energy = np.square(np.abs(spectrum)).sum(axis=2)
    # Cycles per pixel; rows run downward, angles count upward.
    frequency = np.fft.fftfreq(grid)
    along, up = frequency[np.newaxis, :], -frequency[:, np.newaxis]
    # A disk: in the corners of the square there would be more frequencies of some directions. Its
    # rim is left out, since a grid of even size holds one only of each two opposite frequencies.
    inside = np.hypot(along, up) < 0.5
    turns = np.where(inside, np.exp(2j * np.arctan2(up, along)), 0)
    return np.tensordot(turns, energy, 2), np.tensordot(inside, energy, 2)


def _checked(kernels: Any, least: int) -> np.ndarray:
    """The kernels as float64."""
    weights = as_array(kernels, "kernels").astype("float64")
    if weights.ndim != 4:
        raise ValueError(
            f"expected shape (height, width, input_channels, count), got {weights.shape}"
        )
    if min(weights.shape[:2]) < least:
        found = "x".join(map(str, weights.shape[:2]))
        raise ValueError(f"expected kernels of at least {least}x{least}, got {found}")
    # Infinite weights have no numbers either, and would warn.
    return np.where(np.isfinite(weights).all(axis=(0, 1, 2)), weights, np.nan)


def _ratio(parts: np.ndarray, wholes: np.ndarray) -> np.ndarray:
    """The quotient, 0 where nothing is to be divided; NaN stays."""
    nothing = wholes == 0
    return np.where(nothing, 0.0, parts / np.where(nothing, 1, wholes))
