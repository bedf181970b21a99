"""Slants against scikit-image's moments and lines drawn by hand; similarity against arithmetic."""

import numpy as np
from skimage.measure import moments_central

from evalib.data.handwriting import slants, within_class_autocorrelation


def test_a_line_leans_as_it_was_drawn():
    falling, upright = np.eye(9), np.zeros((9, 9))
    upright[:, 4] = 3
    found = slants(np.stack([falling, falling[:, ::-1], upright]))
    np.testing.assert_allclose(found, [1, -1, 0], atol=1e-12)


def test_slants_are_scikit_images_moments(mnist):
    images = mnist[0][0][:50]
    moments = [moments_central(image.astype("float64")) for image in images]
    expected = [m[1, 1] / m[2, 0] for m in moments]
    np.testing.assert_allclose(slants(images), expected, rtol=1e-9, atol=1e-12)


def test_two_hands_in_turns_are_alike_at_even_distances():
    values, labels = np.tile([3.0, 5.0], 50), np.zeros(100, int)
    found = within_class_autocorrelation(values, labels, [1, 2, 3, 4])
    np.testing.assert_allclose(found, [-1, 1, -1, 1])
    # What a class has in common does not count.
    classes = np.arange(100) % 4 > 1
    found = within_class_autocorrelation(values + 100 * classes, classes, [1, 2])
    np.testing.assert_allclose(found, [-1, 1])
