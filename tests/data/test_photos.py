"""Photographs against scikit-image's own arrays."""

from typing import Any

import numpy as np
import pytest
import skimage.data
import skimage.transform

from evalib.data.photos import PHOTOS, sample_photo


def test_a_photo_at_its_own_size_is_scikit_images_array():
    np.testing.assert_array_equal(sample_photo("astronaut", 512), skimage.data.astronaut())
    # 400 of 600 columns: the hundred on either side are cut off.
    np.testing.assert_array_equal(sample_photo("coffee", 400), skimage.data.coffee()[:, 100:500])
    gray = np.stack([skimage.data.camera()] * 3, axis=-1)
    np.testing.assert_array_equal(sample_photo("camera", 512), gray)
    floats = skimage.data.astronaut() / 255
    expected = 255 * skimage.transform.resize(floats, (256, 256), anti_aliasing=True)
    assert np.abs(sample_photo("astronaut", 256) - expected).max() <= 0.5001


@pytest.mark.parametrize("name", PHOTOS)
def test_every_photo_comes_from_the_wheel(name):
    # Pooch is no dependency of ours, and without it scikit-image looks in its wheel alone.
    photo = sample_photo(name, 32)
    assert (photo.shape, photo.dtype) == ((32, 32, 3), np.uint8)
    assert photo.max() > photo.min()


def test_photos_that_cannot_be_are_refused():
    with pytest.raises(ValueError, match=r"expected a photograph of astronaut, .*, got 'dog'"):
        sample_photo("dog")
    sizes: Any = (0, (100, 80))
    for size in sizes:
        with pytest.raises(ValueError, match="at least 1 pixel, as a whole number, got"):
            sample_photo("coins", size)
