"""Filters against SciPy and scikit-image, on photographs and on random arrays."""

import hypothesis.extra.numpy as arrays
import keras
import numpy as np
import pytest
import scipy.ndimage
import skimage.filters
from hypothesis import given, settings
from hypothesis import strategies as st

from evalib import filters
from evalib.data.photos import sample_photo

SCIPY_BORDERS = [border for border in filters.BORDERS if border != "valid"]
KERNELS = {
    "Sobel-x": filters.SOBEL_X,
    "Sobel-y": filters.SOBEL_Y,
    "Laplacian": filters.LAPLACIAN,
    "lopsided": np.arange(15.0).reshape(3, 5) - 4,
}


@pytest.fixture(scope="module", params=["camera", "coins", "chelsea"])
def photo(request: pytest.FixtureRequest) -> np.ndarray:
    color = sample_photo(request.param, 120)
    return color if request.param == "chelsea" else color[..., 0]


def by_scipy(
    image: np.ndarray, kernel: np.ndarray, border: str, *, convolve: bool = False
) -> np.ndarray:
    """Each channel through SciPy, in float64."""
    function = scipy.ndimage.convolve if convolve else scipy.ndimage.correlate
    image = image.astype(np.float64)
    if image.ndim == 3:
        planes = [function(plane, kernel, mode=border) for plane in np.moveaxis(image, -1, 0)]
        return np.stack(planes, axis=-1)
    return function(image, kernel, mode=border)


def test_the_kernels_are_those_that_the_course_prints():
    assert filters.SOBEL_X.tolist() == [[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]]
    assert filters.SOBEL_Y.tolist() == [[1, 2, 1], [0, 0, 0], [-1, -2, -1]]
    assert filters.LAPLACIAN.tolist() == [[0, 1, 0], [1, -4, 1], [0, 1, 0]]
    with pytest.raises(ValueError, match="read-only"):
        filters.SOBEL_X[0, 0] = 5


@pytest.mark.parametrize("convolve", [False, True])
@pytest.mark.parametrize("border", SCIPY_BORDERS)
@pytest.mark.parametrize("name", KERNELS)
def test_photographs_agree_with_scipy(photo, name, border, convolve):
    kernel = KERNELS[name]
    expected = by_scipy(photo, kernel, border, convolve=convolve)
    # Bytes: sums of whole numbers, exact in every type of float.
    filtered = filters.apply_kernel(photo, kernel, border=border, convolve=convolve)
    np.testing.assert_array_equal(filtered, expected)
    assert filtered.dtype == np.float32
    # Floats from 0 to 1, as a network takes them.
    scaled = photo.astype(np.float32) / 255
    filtered = filters.apply_kernel(scaled, kernel, border=border, convolve=convolve)
    expected = by_scipy(scaled, kernel, border, convolve=convolve)
    np.testing.assert_allclose(filtered, expected, rtol=0, atol=1e-6 * max(1, expected.max()))


SIZES = st.tuples(st.integers(1, 9), st.integers(1, 9))
ODD_SIZES = st.sampled_from([1, 3, 5, 7])
AT_LEAST_FOUR, UP_TO_FOUR = st.integers(4, 9), st.integers(1, 4)
# Not floats of any size: SciPy drops weights below 2e-16.
VALUES = st.integers(-7000, 7000).map(lambda number: number / 7)


@settings(max_examples=60, deadline=None)
@given(
    image=arrays.arrays(np.float64, SIZES, elements=VALUES),
    kernel=arrays.arrays(np.float64, st.tuples(ODD_SIZES, ODD_SIZES), elements=VALUES),
    border=st.sampled_from(SCIPY_BORDERS),
    convolve=st.booleans(),
)
def test_random_arrays_agree_with_scipy(image, kernel, border, convolve):
    filtered = filters.apply_kernel(image, kernel, border=border, convolve=convolve)
    expected = by_scipy(image, kernel, border, convolve=convolve)
    assert filtered.dtype == np.float64
    scale = np.abs(image).max() * np.abs(kernel).sum()
    np.testing.assert_allclose(filtered, expected, rtol=0, atol=1e-6 * max(scale, 1e-30))


@settings(max_examples=30, deadline=None)
@given(
    image=arrays.arrays(np.uint8, st.tuples(AT_LEAST_FOUR, AT_LEAST_FOUR, UP_TO_FOUR)),
    kernel=arrays.arrays(np.int64, st.tuples(UP_TO_FOUR, UP_TO_FOUR), elements=st.integers(-9, 9)),
)
def test_valid_keeps_the_places_where_the_kernel_fits(image, kernel):
    filtered = filters.apply_kernel(image, kernel, border="valid")
    rows, columns = image.shape[0] - kernel.shape[0] + 1, image.shape[1] - kernel.shape[1] + 1
    assert filtered.shape == (rows, columns, image.shape[2])
    expected = sum(
        weight * image[row : row + rows, column : column + columns].astype(int)
        for (row, column), weight in np.ndenumerate(kernel)
    )
    np.testing.assert_array_equal(filtered, expected)


def test_the_directional_filters_match_scikit_image_and_scipy(photo):
    gray = photo[..., 0] if photo.ndim == 3 else photo
    gray = gray / 255
    gx, gy = filters.sobel_gradients(gray)
    np.testing.assert_allclose(gx / 4, skimage.filters.sobel_v(gray), rtol=0, atol=1e-6)
    np.testing.assert_allclose(-gy / 4, skimage.filters.sobel_h(gray), rtol=0, atol=1e-6)
    np.testing.assert_allclose(gx, scipy.ndimage.sobel(gray, axis=1), rtol=0, atol=1e-6)
    np.testing.assert_allclose(-gy, scipy.ndimage.sobel(gray, axis=0), rtol=0, atol=1e-6)
    magnitude = filters.gradient_magnitude(gray)
    np.testing.assert_allclose(
        magnitude / 4 / 2**0.5, skimage.filters.sobel(gray), rtol=0, atol=1e-6
    )
    np.testing.assert_allclose(
        -filters.laplacian(gray), skimage.filters.laplace(gray), rtol=0, atol=1e-6
    )
    np.testing.assert_allclose(
        filters.laplacian(gray), scipy.ndimage.laplace(gray), rtol=0, atol=1e-6
    )


def test_an_even_slope_has_the_slope_as_gradient():
    rows, columns = np.mgrid[:6, :7]
    gx, gy = filters.sobel_gradients(3 * columns - 2 * rows, border="valid")
    assert (gx == 8 * 3).all()  # brighter to the right
    assert (gy == 8 * 2).all()  # rows count downward, so that it gets brighter upward
    assert (filters.laplacian(3 * columns - 2 * rows, border="valid") == 0).all()


def test_bytes_neither_wrap_nor_clip():
    step = np.array([[255, 0, 255]] * 3, np.uint8)
    left = filters.apply_kernel(step, filters.SOBEL_X, border="constant")
    assert left[1].tolist() == [0, 0, 0]
    edge = np.array([[255, 255, 0, 0]] * 3, np.uint8)
    assert filters.apply_kernel(edge, filters.SOBEL_X)[1].tolist() == [0, -1020, -1020, 0]
    assert filters.laplacian(edge)[1].tolist() == [0, -255, 255, 0]
    assert filters.apply_kernel(edge, np.full((3, 3), 2))[1, 0] == 18 * 255


@pytest.mark.parametrize(
    ("given_type", "expected_type"),
    [
        (bool, np.float32),
        (np.uint8, np.float32),
        (np.int16, np.float32),
        (np.float16, np.float32),
        (np.float32, np.float32),
        (np.int32, np.float64),
        (np.float64, np.float64),
    ],
)
def test_the_result_is_a_float_that_holds_the_image(given_type, expected_type):
    image = np.eye(5).astype(given_type)
    before = image.copy()
    filtered = filters.laplacian(image)
    assert filtered.dtype == expected_type
    assert filtered[2, 2] == -4
    np.testing.assert_array_equal(image, before)


def test_each_channel_is_filtered_by_itself():
    image = np.zeros((5, 5, 2), np.uint8)
    image[2, 2] = [1, 10]
    filtered = filters.apply_kernel(image, filters.SOBEL_X)
    np.testing.assert_array_equal(filtered[..., 1], 10 * filtered[..., 0])
    np.testing.assert_array_equal(filtered[1:4, 1:4, 0], filters.SOBEL_X[::-1, ::-1])


def test_correlation_does_not_turn_the_kernel_and_convolution_does():
    dot = np.zeros((5, 5))
    dot[2, 2] = 1
    kernel = np.arange(9).reshape(3, 3)
    turned = filters.apply_kernel(dot, kernel)[1:4, 1:4]
    np.testing.assert_array_equal(turned, kernel[::-1, ::-1])
    same = filters.apply_kernel(dot, kernel, convolve=True)[1:4, 1:4]
    np.testing.assert_array_equal(same, kernel)


def test_the_layer_has_fixed_weights_and_fits_into_a_model():
    layer = filters.fixed_convolution(filters.SOBEL_Y, padding="same")
    model = keras.Sequential([keras.Input((8, 9, 1)), layer])
    assert model.count_params() == 9
    assert model.trainable_weights == []
    image = np.random.default_rng(0).uniform(size=(8, 9)).astype(np.float32)
    (output,) = model.predict(image[np.newaxis, ..., np.newaxis], verbose=0)
    expected = by_scipy(image, filters.SOBEL_Y, "constant")
    np.testing.assert_allclose(output[..., 0], expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize("border", SCIPY_BORDERS)
def test_the_border_is_continued_as_documented(border):
    letters = {"0": 0, "a": 1, "b": 2, "c": 3, "d": 4}
    documented = filters.extend_border.__doc__ or ""
    words = (
        documented.split(f'"{border}" ')[1]
        .splitlines()[0]
        .translate(str.maketrans("", "", ",."))
        .split()
    )
    expected = [letters[word] for word in words if word in letters]
    margin = (len(expected) - 4) // 2
    row = np.array([[1, 2, 3, 4]])
    assert filters.extend_border(row, (0, margin), border).tolist() == [expected]


IMAGE = np.zeros((5, 6))


@pytest.mark.parametrize(
    ("image", "kernel", "border", "message"),
    [
        (np.zeros(5), filters.SOBEL_X, "reflect", r"expected an image of shape .* got \(5,\)"),
        (np.zeros((1, 5, 5, 3)), filters.SOBEL_X, "valid", r"got \(1, 5, 5, 3\)"),
        (np.zeros((0, 5)), filters.SOBEL_X, "reflect", "at least one value, got shape"),
        (np.full((5, 5), np.nan), filters.SOBEL_X, "reflect", "25 of 25 that are NaN"),
        (np.full((5, 5), np.inf), filters.SOBEL_X, "reflect", "NaN or infinite"),
        (np.zeros((5, 5), complex), filters.SOBEL_X, "reflect", "got complex128"),
        (np.full((5, 5), "a"), filters.SOBEL_X, "reflect", "integers or floats, got <U1"),
        (IMAGE, np.zeros((3, 3, 3)), "reflect", r"\(rows, columns\), got \(3, 3, 3\)"),
        (IMAGE, np.zeros((0, 3)), "reflect", r"a kernel with at least one value"),
        (IMAGE, np.array([[1, np.nan, 1]]), "reflect", "a kernel of finite numbers, got 1 of 3"),
        (IMAGE, np.ones((2, 2)), "reflect", "with a center, of odd sizes, got 2x2"),
        (IMAGE, np.ones((3, 4)), "constant", "with a center, of odd sizes, got 3x4"),
        (IMAGE, np.ones((7, 3)), "valid", "the image of 5x6 under border 'valid', got 7x3"),
        (IMAGE, np.ones((3, 7)), "valid", "the image of 5x6 under border 'valid', got 3x7"),
        (IMAGE, filters.SOBEL_X, "same", "reflect, .* wrap, valid, got 'same'"),
    ],
)
def test_wrong_arguments_are_named(image, kernel, border, message):
    with pytest.raises(ValueError, match=message):
        filters.apply_kernel(image, kernel, border=border)


def test_wrong_margins_and_borders_are_named():
    with pytest.raises(ValueError, match=r"at least 0 pixels, got \(1, -1\)"):
        filters.extend_border(IMAGE, (1, -1), "wrap")
    with pytest.raises(ValueError, match="got 'valid'"):
        filters.extend_border(IMAGE, (1, 1), "valid")
    with pytest.raises(ValueError, match="a kernel of shape"):
        filters.fixed_convolution([1, 2, 1])
