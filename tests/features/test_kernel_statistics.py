"""Measures of kernels against made kernels, known expectations and other ways to compute them."""

import math

import keras
import numpy as np
import pytest

from evalib.features.kernel_statistics import (
    color_share,
    noise_kernels,
    orientation_selectivity,
    preferred_orientation,
    spatial_autocorrelation,
)

SIZES = (3, 5, 7, 11)
MEASURES = (spatial_autocorrelation, orientation_selectivity, preferred_orientation, color_share)


def plane(size: int) -> tuple[np.ndarray, np.ndarray]:
    """Places of the weights from the middle: to the right, and up."""
    reach = np.arange(size) - (size - 1) / 2
    return reach[np.newaxis, :], -reach[:, np.newaxis]


def gabor(size: int, degrees: float, *, period: float, phase: float = 0.0) -> np.ndarray:
    """Stripes of a direction, faded toward the border: shape (size, size, 1, 1)."""
    right, up = plane(size)
    angle = math.radians(degrees + 90)
    across = right * np.cos(angle) + up * np.sin(angle)
    fading = np.exp(-(right**2 + up**2) / (2 * (size / 4.5) ** 2))
    return (np.cos(2 * np.pi / period * across + phase) * fading)[..., np.newaxis, np.newaxis]


def blot(size: int, width: float) -> np.ndarray:
    right, up = plane(size)
    return np.exp(-(right**2 + up**2) / (2 * width**2))[:, :, np.newaxis, np.newaxis]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("channels", [1, 3])
def test_noise_is_on_average_not_smooth(size, channels):
    values = spatial_autocorrelation(noise_kernels(size, channels, 4000))
    assert abs(values.mean()) < 4 * values.std() / math.sqrt(4000)
    normal = np.random.default_rng(1).normal(size=(size, size, channels, 4000))
    assert abs(spatial_autocorrelation(normal).mean()) < 4 * values.std() / math.sqrt(4000)


def test_autocorrelation_by_hand_and_at_its_ends():
    # Neighbors: 1 2, 3 4 beside each other and 1 3, 2 4 below each other.
    kernel = np.array([[1, 2], [3, 4]])[:, :, np.newaxis, np.newaxis]
    expected = 2 * (2 + 12 + 3 + 8) / (5 + 25 + 10 + 20)
    assert spatial_autocorrelation(kernel) == pytest.approx(expected)
    rows, columns = np.indices((7, 5))
    board = ((-1.0) ** (rows + columns))[:, :, np.newaxis, np.newaxis]
    np.testing.assert_allclose(spatial_autocorrelation(board), [-1])
    np.testing.assert_allclose(spatial_autocorrelation(np.full((7, 5, 3, 2), -0.1)), [1, 1])


@pytest.mark.parametrize("period", [3, 4, 8])
def test_a_wave_is_as_smooth_as_its_cosine_says(period):
    # Along the stripes neighbors are equal, across them their products average to the cosine of a
    # pixel's share of the period.
    wave = np.cos(2 * np.pi * np.arange(240) / period)[:, np.newaxis] * np.ones((1, 240))
    expected = (1 + math.cos(2 * math.pi / period)) / 2
    found = spatial_autocorrelation(wave[:, :, np.newaxis, np.newaxis])
    assert found == pytest.approx(expected, abs=0.01)


@pytest.mark.parametrize("degrees", [0, 20, 45, 67.5, 90, 120, 175])
@pytest.mark.parametrize("phase", [0.0, math.pi / 2])
def test_made_stripes_are_selective_for_their_own_direction(degrees, phase):
    kernel = gabor(11, degrees, period=4, phase=phase)
    assert orientation_selectivity(kernel) > 0.85
    error = (preferred_orientation(kernel) - degrees + 90) % 180 - 90
    assert abs(error) < 1.5


@pytest.mark.parametrize("size", SIZES)
def test_blots_rings_flat_kernels_and_crossed_stripes_have_no_direction(size):
    ring = blot(size, 1.5) - 0.5 * blot(size, 0.7)
    for kernel in (blot(size, 1.0), ring, np.full((size, size, 1, 1), 0.1)):
        assert orientation_selectivity(kernel) < 1e-9
    across, down = gabor(size, 0, period=4), gabor(size, 90, period=4)
    assert orientation_selectivity(across + down) < 1e-9
    assert preferred_orientation(across + 2 * down) == pytest.approx(90)


def test_selectivity_is_that_of_the_responses_to_gratings(generator):
    kernels = generator.normal(size=(5, 5, 3, 4))
    rows, columns = np.indices((5, 5))
    resultant, total = np.zeros(4, complex), np.zeros(4)
    for up in range(-16, 16):
        for right in range(-16, 16):
            if not 0 < math.hypot(up, right) < 16:
                continue
            grating = np.exp(2j * np.pi * (right * columns - up * rows) / 32)
            response = np.einsum("yx,yxcn->cn", grating, kernels - kernels.mean(axis=(0, 1)))
            energy = (np.abs(response) ** 2).sum(axis=0)
            resultant += energy * np.exp(2j * math.atan2(up, right))
            total += energy
    np.testing.assert_allclose(orientation_selectivity(kernels), np.abs(resultant) / total)
    stripes = (np.rad2deg(np.angle(resultant)) / 2 + 90) % 180
    np.testing.assert_allclose(preferred_orientation(kernels), stripes)


def test_noise_is_the_more_selective_the_smaller_it_is():
    means = [orientation_selectivity(noise_kernels(size, 3, 1000)).mean() for size in SIZES]
    assert means == sorted(means, reverse=True)
    assert means[0] > 2 * means[-1] > 0


@pytest.mark.parametrize("channels", [2, 3, 5])
def test_noise_has_a_known_share_of_color(channels):
    values = color_share(noise_kernels(5, channels, 4000))
    error = 4 * values.std() / math.sqrt(4000)
    assert values.mean() == pytest.approx(1 - 1 / channels, abs=error)


def test_gray_kernels_have_no_color_and_opponents_nothing_else():
    gray = blot(5, 1) * np.ones((1, 1, 3, 1))
    opponent = blot(5, 1) * np.array([1, -1, 0])[:, np.newaxis]
    assert color_share(gray) == pytest.approx(0)
    assert color_share(opponent) == pytest.approx(1)
    # Orthogonal parts: the shares are those of the energies.
    mixed = 2 * gray / np.linalg.norm(gray) + opponent / np.linalg.norm(opponent)
    assert color_share(mixed) == pytest.approx(1 / 5)


@pytest.mark.parametrize("measure", MEASURES)
def test_each_kernel_is_measured_by_itself_whatever_its_strength(measure, generator):
    kernels = generator.normal(size=(5, 7, 3, 6)).astype("float32")
    values = measure(kernels)
    assert (values.shape, values.dtype) == ((6,), "float64")
    scaled = measure(kernels * np.array([1, -2, 1e-6, 3, 1e6, 1], "float32"))
    np.testing.assert_allclose(scaled, values, rtol=1e-4)
    np.testing.assert_allclose(measure(keras.ops.convert_to_tensor(kernels)), values)
    # What is no number has no measure, and the others keep theirs; zeros have zero.
    kernels[0, 0, 0, 1], kernels[..., 2] = np.nan, np.inf
    np.testing.assert_allclose(measure(kernels), [values[0], np.nan, np.nan, *values[3:]])
    if measure is not preferred_orientation:
        assert measure(np.zeros((3, 3, 3, 1))) == 0


def test_noise_kernels_repeat_by_seed_and_are_even():
    kernels = noise_kernels(11, 3, 50, seed=4)
    np.testing.assert_array_equal(kernels, noise_kernels(11, 3, 50, seed=4))
    assert not np.array_equal(kernels, noise_kernels(11, 3, 50, seed=5))
    assert kernels.var() == pytest.approx(1 / 3, rel=0.05)
    with pytest.raises(ValueError, match="at least 1, got 3, 0 and 8"):
        noise_kernels(3, 0, 8)


@pytest.mark.parametrize(
    ("measure", "shape", "message"),
    [
        (spatial_autocorrelation, (3, 3, 3), r"height, width, input_channels, count"),
        (spatial_autocorrelation, (1, 3, 3, 8), r"at least 2x2, got 1x3"),
        (orientation_selectivity, (2, 2, 3, 8), r"at least 3x3, got 2x2"),
        (preferred_orientation, (3, 1, 3, 8), r"at least 3x3, got 3x1"),
        (color_share, (3, 3, 1, 8), r"two channels or more"),
    ],
)
def test_kernels_that_cannot_be_measured_are_refused(measure, shape, message):
    with pytest.raises(ValueError, match=message):
        measure(np.ones(shape))
