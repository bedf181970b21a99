"""Overlap against brute force and Keras; the spectrum's measure on patterns of known energy."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from keras import ops

from evalib.features.overlap import checkerboard_energy, kernel_overlap


def brute_force(size: tuple[int, int], kernel: tuple[int, int], stride: tuple[int, int]):
    """Lay the window everywhere it fits, one place after the other."""
    counts = np.zeros(size, int)
    for top in range(0, size[0] - kernel[0] + 1, stride[0]):
        for left in range(0, size[1] - kernel[1] + 1, stride[1]):
            counts[top : top + kernel[0], left : left + kernel[1]] += 1
    return counts


pairs = st.tuples(st.integers(1, 6), st.integers(1, 6))


@given(st.tuples(st.integers(6, 24), st.integers(6, 24)), pairs, pairs)
def test_overlap_is_what_a_moving_window_counts(size, kernel, stride):
    counts = kernel_overlap(size, kernel, stride)
    assert counts.dtype == np.int64
    np.testing.assert_array_equal(counts, brute_force(size, kernel, stride))


@settings(max_examples=40, deadline=None)
@given(st.tuples(st.integers(1, 7), st.integers(1, 7)), pairs, st.integers(1, 5))
def test_transposed_overlap_is_a_transposed_convolution_of_ones(size, kernel, stride):
    ones = np.ones((1, *size, 1), "float32")
    weights = np.ones((*kernel, 1, 1), "float32")
    sums = ops.conv_transpose(ones, weights, stride, padding="valid", data_format="channels_last")
    counts = kernel_overlap(size, kernel, stride, transposed=True)
    np.testing.assert_array_equal(counts, ops.convert_to_numpy(sums)[0, ..., 0])


@given(st.integers(1, 8), st.integers(1, 8))
def test_overlap_is_even_inside_exactly_where_the_stride_divides_the_kernel(kernel, stride):
    inside = kernel_overlap(16 * stride + kernel, kernel, stride)[
        8 * stride : 10 * stride, 8 * stride
    ]
    assert (len(set(inside.tolist())) == 1) == (kernel % stride == 0)


def test_the_counts_of_the_course():
    assert (kernel_overlap(5, 3) == 9).sum() == 1
    assert (kernel_overlap(400, 3) == 9).sum() == 396 * 396
    assert kernel_overlap(5, 3, 2)[2].tolist() == [2, 2, 4, 2, 2]
    assert kernel_overlap((1, 2), 2, 3, transposed=True).tolist() == [[1, 1, 0] * 2] * 2 + [[0] * 6]
    assert kernel_overlap(1, 3, transposed=True).tolist() == [[1] * 3] * 3  # larger than its input


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((0, 3), "expected a size of one or two whole numbers from 1 up, got 0"),
        (((4, 4, 3), 3), r"size .* got \(4, 4, 3\)"),
        ((5, 2.5), "expected a kernel of one or two whole numbers from 1 up, got 2.5"),
        ((5, 3, 0), "expected a stride .* got 0"),
        ((5, 3, True), "expected a stride .* got True"),
        (((5, 2), 3), "expected a kernel that fits into 5x2 pixels, got 3x3"),
    ],
)
def test_impossible_windows_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        kernel_overlap(*arguments)


def explained_variance(image: np.ndarray, stride: int) -> float:
    """The share of the variance that the means of row and column modulo the stride explain."""
    means = np.empty(image.shape)
    for row in range(stride):
        for column in range(stride):
            phase = np.s_[row::stride, column::stride]
            means[phase] = image[phase].mean(axis=(0, 1))
    deviations = image - image.mean(axis=(0, 1))
    return float(np.square(means - means.mean(axis=(0, 1))).sum() / np.square(deviations).sum())


@given(st.integers(2, 5), st.integers(0, 2**32 - 1), st.sampled_from([(), (1,), (3,)]))
def test_checkerboard_energy_is_the_variance_explained_by_the_phase(stride, seed, channels):
    generator = np.random.default_rng(seed)
    image = generator.normal(size=(4 * stride, 3 * stride, *channels)) + generator.normal() * 10
    assert checkerboard_energy(image, stride) == pytest.approx(
        explained_variance(image, stride), rel=1e-9
    )


def test_checkerboard_energy_of_made_patterns():
    rows, columns = np.indices((48, 60))
    board = (rows + columns) % 2
    assert checkerboard_energy(board, 2) == pytest.approx(1)
    assert checkerboard_energy(board, 4) == pytest.approx(1)  # what repeats every 2 repeats every 4
    assert checkerboard_energy(board, 3) == pytest.approx(0, abs=1e-20)
    # Neither mean nor scale matter.
    assert checkerboard_energy((100 + 7.0 * board).tolist(), 2) == pytest.approx(1)

    # Two waves of energies 3^2 and 1^2; only the second lies at a multiple of 1 / 3.
    slow, fast = np.cos(2 * np.pi * columns / 20), np.cos(2 * np.pi * rows / 3)
    assert checkerboard_energy(3 * slow + fast, 3) == pytest.approx(0.1)
    assert checkerboard_energy(np.stack([3 * slow, fast], axis=-1), 3) == pytest.approx(0.1)

    # The pattern that overlap itself is: exact, once the border is cut off.
    assert checkerboard_energy(kernel_overlap(63, 3, 2)[2:-3, 2:-3], 2) == pytest.approx(1)
    assert checkerboard_energy(np.full((8, 8, 3), 0.1), 2) == 0
    assert checkerboard_energy(kernel_overlap(64, 4, 2)[2:-2, 2:-2], 2) == 0


def test_checkerboard_energy_of_noise_is_its_share_of_the_frequencies():
    noise = np.random.default_rng(0).normal(size=(400, 30, 40))
    found = np.mean([checkerboard_energy(image, 2) for image in noise])
    assert found == pytest.approx(3 / 1199, rel=0.2)
    # What does not fill a period is left out.
    image = np.random.default_rng(0).integers(0, 256, (25, 31, 3), dtype=np.uint8)
    assert checkerboard_energy(image, 4) == checkerboard_energy(image[:24, :28], 4)


@pytest.mark.parametrize(
    ("image", "stride", "message"),
    [
        (np.ones((8, 8)), 1, "stride that is a whole number from 2 up, got 1"),
        (np.ones((8, 8)), 2.0, "stride that is a whole number from 2 up, got 2.0"),
        (np.ones(8), 2, r"with at least 4 rows and columns, got shape \(8,\)"),
        (np.ones((8, 5)), 3, r"with at least 6 rows and columns, got shape \(8, 5\)"),
        (np.ones((1, 8, 8, 3)), 2, r"got shape \(1, 8, 8, 3\)"),
        (np.full((8, 8), np.nan), 2, "expected an image of finite numbers"),
        (np.full((8, 8), "a"), 2, "expected an image of integers or floats, got <U1"),
    ],
)
def test_what_has_no_spectrum_is_refused(image, stride, message):
    with pytest.raises(ValueError, match=message):
        checkerboard_energy(image, stride)
