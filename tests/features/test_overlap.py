"""Overlap against brute force and Keras; the spectrum's measure on patterns of known energy."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from keras import ops

from evalib.features.overlap import checkerboard_energy, kernel_overlap

pairs = st.tuples(st.integers(1, 6), st.integers(1, 6))


@given(st.tuples(st.integers(6, 24), st.integers(6, 24)), pairs, pairs)
def test_overlap_is_what_a_moving_window_counts(size, kernel, stride):
    expected = np.zeros(size, int)
    for top in range(0, size[0] - kernel[0] + 1, stride[0]):
        for left in range(0, size[1] - kernel[1] + 1, stride[1]):
            expected[top : top + kernel[0], left : left + kernel[1]] += 1
    counts = kernel_overlap(size, kernel, stride)
    assert counts.dtype == np.int64
    np.testing.assert_array_equal(counts, expected)


@settings(max_examples=20, deadline=None)
@given(st.tuples(st.integers(1, 7), st.integers(1, 7)), pairs, st.integers(1, 5))
def test_transposed_overlap_is_a_transposed_convolution_of_ones(size, kernel, stride):
    ones = np.ones((1, *size, 1), "float32")
    weights = np.ones((*kernel, 1, 1), "float32")
    sums = ops.conv_transpose(ones, weights, stride, padding="valid", data_format="channels_last")
    counts = kernel_overlap(size, kernel, stride, transposed=True)
    np.testing.assert_array_equal(counts, ops.convert_to_numpy(sums)[0, ..., 0])


@given(st.integers(2, 5), st.integers(0, 2**32 - 1), st.sampled_from([(), (1,), (3,)]))
def test_checkerboard_energy_is_the_variance_explained_by_the_phase(stride, seed, channels):
    generator = np.random.default_rng(seed)
    image = generator.normal(size=(4 * stride, 3 * stride, *channels)) + generator.normal() * 10
    means = np.empty(image.shape)
    for row in range(stride):
        for column in range(stride):
            phase = np.s_[row::stride, column::stride]
            means[phase] = image[phase].mean(axis=(0, 1))
    deviations = image - image.mean(axis=(0, 1))
    explained = np.square(means - means.mean(axis=(0, 1))).sum() / np.square(deviations).sum()
    assert checkerboard_energy(image, stride) == pytest.approx(explained, rel=1e-9)


def test_checkerboard_energy_of_made_patterns():
    rows, columns = np.indices((48, 60))
    board = (rows + columns) % 2
    assert checkerboard_energy((100 + 7.0 * board).tolist(), 2) == pytest.approx(1)
    # Two waves of energies 3^2 and 1^2; only the second lies at a multiple of 1 / 3.
    slow, fast = np.cos(2 * np.pi * columns / 20), np.cos(2 * np.pi * rows / 3)
    assert checkerboard_energy(3 * slow + fast, 3) == pytest.approx(0.1)
    # The pattern that overlap itself is: exact, once the border is cut off.
    assert checkerboard_energy(kernel_overlap(63, 3, 2)[2:-3, 2:-3], 2) == pytest.approx(1)
    assert checkerboard_energy(np.full((8, 8, 3), 0.1), 2) == 0
    # What does not fill a period is left out.
    image = np.random.default_rng(0).integers(0, 256, (25, 31, 3), dtype=np.uint8)
    assert checkerboard_energy(image, 4) == checkerboard_energy(image[:24, :28], 4)


@pytest.mark.parametrize(
    ("measure", "arguments", "message"),
    [
        (kernel_overlap, (0, 3), "expected a size of one or two whole numbers from 1 up, got 0"),
        (kernel_overlap, (5, 2.5), "expected a kernel .* got 2.5"),
        (kernel_overlap, (5, 3, True), "expected a stride .* got True"),
        (kernel_overlap, ((5, 2), 3), r"a kernel that fits into \(5, 2\) pixels, got 3"),
        (checkerboard_energy, (np.ones((8, 8)), 1), "a whole number from 2 up, got 1"),
        (checkerboard_energy, (np.ones((8, 8)), 2.0), "a whole number from 2 up, got 2.0"),
        (checkerboard_energy, (np.ones((8, 5)), 3), r"at least 6 rows .* got shape \(8, 5\)"),
        (checkerboard_energy, (np.full((8, 8), np.nan), 2), "an image .* finite numbers"),
    ],
)
def test_what_cannot_be_measured_is_refused(measure, arguments, message):
    with pytest.raises(ValueError, match=message):
        measure(*arguments)
