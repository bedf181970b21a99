"""Corrupted digits against scikit-image, NumPy, and by hand."""

import numpy as np
import pytest
import skimage.morphology
import skimage.transform

from evalib.data.corruptions import add_gaussian_noise, corrupt, dilate, erode, rotate, shift
from evalib.data.mnist import prepare_images


@pytest.fixture(scope="module")
def digits(mnist):
    return prepare_images(mnist[1][0][:20])[..., 0]


def test_rotation_is_counterclockwise_and_that_of_scikit_image(digits):
    for degrees in (20, -35):
        expected = [skimage.transform.rotate(digit, degrees, order=1) for digit in digits]
        np.testing.assert_allclose(rotate(digits, degrees), expected, atol=1e-5)
    np.testing.assert_allclose(rotate(digits, 90), np.rot90(digits, axes=(1, 2)), atol=1e-6)


def test_shifts_by_hand():
    picture = np.array([[[1, 2, 3], [4, 5, 6], [7, 8, 9]]], "uint8")
    ninths = np.round(255 * shift(picture, -1, 2)).astype(int)
    assert ninths.tolist() == [[[0, 0, 4], [0, 0, 7], [0, 0, 0]]]


def test_noise_has_its_deviation_and_its_seed():
    gray = np.full((50, 28, 28), 0.5, "float32")
    noisy, again, other = (add_gaussian_noise(gray, 0.1, seed=seed) for seed in (0, 0, 1))
    assert noisy.std() == pytest.approx(0.1, rel=0.02)
    assert (again == noisy).all()
    assert (other != noisy).any()


def test_strokes_are_dilated_and_eroded_by_a_cross(digits):
    cross = skimage.morphology.diamond(1)
    expected = [skimage.morphology.dilation(digit, cross) for digit in digits]
    np.testing.assert_array_equal(dilate(digits), expected)
    # Beyond the border is black, which erodes the outermost pixels.
    expected = [skimage.morphology.erosion(np.pad(digit, 1), cross) for digit in digits]
    np.testing.assert_array_equal(erode(digits), np.array(expected)[:, 1:-1, 1:-1])


def test_every_corruption_changes_every_digit_and_the_first_none(digits, mnist):
    every = corrupt(mnist[1][0][:20])  # bytes
    first, *others = every.values()
    np.testing.assert_array_equal(first, digits)
    assert len(others) == 6
    for changed in others:
        assert (changed.shape, changed.dtype) == (digits.shape, np.float32)
        assert (np.abs(changed - digits).mean(axis=(1, 2)) > 0.01).all()
        assert 0 <= changed.min() < changed.max() <= 1
