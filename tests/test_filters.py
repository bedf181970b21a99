"""Filters against SciPy, scikit-image and arithmetic, on photographs and on random arrays."""

from typing import Any

import keras
import numpy as np
import pytest
import scipy.ndimage
import skimage.filters
from hypothesis import given, settings
from hypothesis import strategies as st
from keras import ops
from PIL import Image

from evalib import filters
from evalib.data.photos import sample_photo

SCIPY_BORDERS = [border for border in filters.BORDERS if border != "valid"]
# Continued by NumPy, so that the border is checked against something other than SciPy.
_MODES = ("symmetric", "constant", "edge", "reflect", "wrap")
PADDINGS: Any = dict(zip(SCIPY_BORDERS, _MODES, strict=True))
BYTES = np.random.default_rng(0).integers(0, 256, (12, 13), dtype=np.uint8)
SUMS = scipy.ndimage.correlate(BYTES.astype(float), filters.SOBEL_X)


def by_loop(image: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    """The sums at the positions where the kernel fits, a weight at a time."""
    rows, columns = image.shape[0] - kernel.shape[0] + 1, image.shape[1] - kernel.shape[1] + 1
    sums = np.zeros((rows, columns, *image.shape[2:]))
    for (row, column), weight in np.ndenumerate(kernel):
        sums += float(weight) * image[row : row + rows, column : column + columns]
    return sums


@settings(max_examples=60, deadline=None)
@given(
    kind=st.sampled_from([np.uint8, np.int16, np.int64]),
    shape=st.tuples(st.integers(7, 9), st.integers(7, 9), st.integers(1, 4)),
    size=st.tuples(st.integers(1, 7), st.integers(1, 7)),
    border=st.sampled_from(filters.BORDERS),
    convolve=st.booleans(),
)
def test_borders_are_those_of_numpys_padding(kind, shape, size, border, convolve):
    generator = np.random.default_rng(0)
    image, kernel = generator.integers(0, 99, shape, kind), generator.integers(-9, 9, size)
    padded = image
    if border != "valid":
        kernel = kernel[1 - size[0] % 2 :, 1 - size[1] % 2 :]  # of odd sizes
        widths = [(extent // 2, extent // 2) for extent in kernel.shape]
        padded = np.pad(image, [*widths, (0, 0)], mode=PADDINGS[border])
    filtered = filters.apply_kernel(image, kernel, border=border, convolve=convolve)
    expected = by_loop(padded, kernel[::-1, ::-1] if convolve else kernel)
    np.testing.assert_array_equal(filtered, expected)


def test_the_directional_filters_match_scikit_image_and_scipy():
    gray = sample_photo("camera", 120)[..., 0] / 255
    gx, gy = filters.sobel_gradients(gray)
    pairs = [
        (gx, scipy.ndimage.sobel(gray, axis=1)),
        (-gy, scipy.ndimage.sobel(gray, axis=0)),
        (filters.gradient_magnitude(gray) / 4 / 2**0.5, skimage.filters.sobel(gray)),
        (-filters.laplacian(gray), skimage.filters.laplace(gray)),
    ]
    for ours, theirs in pairs:
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-9)
    with pytest.raises(ValueError, match="read-only"):
        filters.SOBEL_X[0, 0] = 5


@pytest.mark.parametrize(
    "convert",
    [
        np.ndarray.tolist,
        Image.fromarray,
        ops.convert_to_tensor,
        lambda image: ops.cast(image, "bfloat16"),  # holds 256 whole numbers exactly
        lambda image: np.ma.masked_array(image, mask=False),
    ],
)
def test_what_people_have_is_taken(convert):
    filtered = filters.apply_kernel(convert(BYTES), filters.SOBEL_X.tolist())
    np.testing.assert_array_equal(filtered, SUMS)


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        *((kind, np.float32) for kind in (bool, np.uint8, np.int16, np.float16, ">f4")),
        *((kind, np.float64) for kind in (np.int32, np.uint64, np.float64, np.longdouble)),
    ],
)
def test_the_result_is_a_float_that_holds_the_image(kind, expected):
    image = np.eye(5).astype(kind)
    filtered = filters.laplacian(image)
    assert (filtered.dtype, filtered[2, 2]) == (expected, -4)
    np.testing.assert_array_equal(image, np.eye(5))


def test_more_than_four_channels_are_taken_with_a_warning():
    """It may be a stack of images."""
    image = np.random.default_rng(0).normal(size=(5, 6, 7))
    with pytest.warns(UserWarning, match=r"\(5, 6, 7\) is taken as channels"):
        filtered = filters.apply_kernel(image, filters.SOBEL_X)
    expected = scipy.ndimage.correlate(image, filters.SOBEL_X[..., np.newaxis])
    np.testing.assert_allclose(filtered, expected, atol=1e-12)
    with pytest.raises(ValueError, match=r"channels last, got shape \(3, 6, 7\)"):
        filters.apply_kernel(image[:3], filters.SOBEL_X)


def test_the_layer_keeps_its_weights_when_it_is_copied_and_drawn_anew():
    keras.config.set_image_data_format("channels_first")
    try:
        layer = filters.fixed_convolution(filters.SOBEL_Y, padding="same")
    finally:
        keras.config.set_image_data_format("channels_last")
    model = keras.Sequential([keras.Input((12, 13, 1)), layer])
    assert model.count_params() == 9
    assert model.trainable_weights == []
    expected = filters.apply_kernel(BYTES, filters.SOBEL_Y, border="constant")
    for network in (model, keras.models.clone_model(model)):
        (output,) = network.predict(BYTES[np.newaxis, ..., np.newaxis], verbose=0)
        np.testing.assert_array_equal(output[..., 0], expected)
    half = filters.fixed_convolution(filters.SOBEL_Y, convolve=True, dtype="mixed_float16")
    assert half.get_weights()[0][..., 0, 0].tolist() == filters.SOBEL_Y[::-1, ::-1].tolist()


IMAGE = np.zeros((5, 6))
NOISE = Image.fromarray(BYTES)


@pytest.mark.parametrize(
    ("image", "kernel", "border", "message"),
    [
        (np.zeros(5), filters.SOBEL_X, "reflect", r"of 2 or 3 axes .* got shape \(5,\)"),
        (np.full((5, 5), np.inf), filters.SOBEL_X, "reflect", "25 that are NaN or infinite"),
        ("photo.png", filters.SOBEL_X, "reflect", "integers or floats, got <U9"),
        ([[1, 2], [3]], filters.SOBEL_X, "reflect", "of numbers, got <class 'list'>"),
        (NOISE.convert("P"), filters.SOBEL_X, "reflect", "got a palette image"),
        (np.ma.masked_equal(BYTES, BYTES[0, 0]), filters.SOBEL_X, "reflect", "without a mask"),
        (IMAGE, np.array([[1, np.nan, 1]]), "reflect", "a kernel .* 1 that are NaN"),
        (IMAGE, np.ones((3, 4)), "constant", "of odd sizes for border 'constant', got 3x4"),
        (IMAGE, np.ones((7, 3)), "valid", "at most 5x6 for border 'valid', got 7x3"),
        (IMAGE, filters.SOBEL_X, "same", "reflect, .* wrap, valid, got 'same'"),
    ],
)
def test_wrong_arguments_are_named(image, kernel, border, message):
    with pytest.raises(ValueError, match=message):
        filters.apply_kernel(image, kernel, border=border)
