"""Slants against scikit-image's moments and lines drawn by hand; likeness against arithmetic."""

import numpy as np
import pytest
from skimage.measure import moments_central

from evalib.data.handwriting import slants, within_class_autocorrelation


def test_a_line_leans_as_it_was_drawn():
    falling, upright = np.eye(9), np.zeros((9, 9))
    upright[:, 4] = 3
    steep = np.zeros((9, 9))
    for row in range(9):
        steep[row, 8 - row // 2] += 0.5  # half a column to the left a row, read off between two
        steep[row, 8 - (row + 1) // 2] += 0.5
    found = slants(np.stack([falling, falling[:, ::-1], upright, steep]))
    np.testing.assert_allclose(found, [1, -1, 0, -0.5], atol=1e-12)


def test_slants_are_scikit_images_moments(mnist):
    images = mnist[0][0][:50]
    expected = []
    for image in images:
        moments = moments_central(image.astype("float64"))
        expected.append(moments[1, 1] / moments[2, 0])
    np.testing.assert_allclose(slants(images), expected, rtol=1e-9, atol=1e-12)


def test_two_hands_in_turns_are_alike_at_even_distances():
    values, labels = np.tile([3.0, 5.0], 50), np.zeros(100, int)
    np.testing.assert_allclose(
        within_class_autocorrelation(values, labels, [1, 2, 3, 4]), [-1, 1, -1, 1]
    )
    # What a class has in common does not count.
    shifted = values + 100 * (np.arange(100) % 4 > 1)
    np.testing.assert_allclose(
        within_class_autocorrelation(shifted, np.arange(100) % 4 > 1, [1, 2]), [-1, 1]
    )


@pytest.mark.parametrize("apart", [0, 3])
def test_a_distance_out_of_range_is_refused(apart):
    with pytest.raises(ValueError, match="expected distances from 1 to 2"):
        within_class_autocorrelation(np.zeros(3), np.zeros(3), [apart])


def test_what_is_no_stack_of_digits_is_refused():
    with pytest.raises(ValueError, match=r"\(n, height, width\), got \(28, 28\)"):
        slants(np.ones((28, 28)))
    blank = np.ones((3, 4, 4))
    blank[1] = 0
    with pytest.raises(ValueError, match="got image 1"):
        slants(blank)
    with pytest.raises(ValueError, match="got 3 and 2"):
        within_class_autocorrelation(np.zeros(3), np.zeros(2), [1])
