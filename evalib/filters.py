"""Sobel, Laplacian and any other fixed kernel, applied to images without turning them.

This is a correlation, which network layers compute under the name of convolution. Others differ in
sign (the vertical Sobel filters of OpenCV, scikit-image and SciPy are positive where it gets
brighter downward; scikit-image's Laplacian is the negative of this one and of SciPy's), in scale
(scikit-image divides Sobel by 4, and takes bytes as 0 to 1), and at the border (scikit-image and
SciPy have "reflect", OpenCV has "mirror", a Keras layer with padding "same" has "constant").
"""

import warnings
from typing import Any

import numpy as np
import scipy.ndimage

# Each is positive where the image gets, or is,
SOBEL_X = np.array([[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]], float)  # brighter to the right,
SOBEL_Y = np.array([[1, 2, 1], [0, 0, 0], [-1, -2, -1]], float)  # brighter upward,
LAPLACIAN = np.array([[0, 1, 0], [1, -4, 1], [0, 1, 0]], float)  # darker than its neighbors.
for _kernel in (SOBEL_X, SOBEL_Y, LAPLACIAN):
    _kernel.flags.writeable = False
BORDERS = ("reflect", "constant", "nearest", "mirror", "wrap", "valid")


def as_array(values: Any, what: str) -> np.ndarray:
    """Convert lists, tensors, pandas and PIL images to a NumPy array; bfloat16 becomes float32.

    What is not numbers, masked, or indices into a palette raises a ValueError, by the name `what`.
    """
    if getattr(values, "mode", None) == "P":
        raise ValueError(f'expected {what} of colors, got a palette image: .convert("RGB") it')
    if np.ma.is_masked(values):
        raise ValueError(f"expected {what} without a mask, got masked values: fill them first")
    try:
        array = np.asarray(values)
    except (TypeError, ValueError, RuntimeError) as error:
        raise ValueError(f"expected {what} of numbers, got {type(values)}: {error}") from error
    if array.dtype.name == "bfloat16":
        return array.astype(np.float32)
    if array.dtype.kind not in "buif":
        raise ValueError(f"expected {what} of integers or floats, got {array.dtype}")
    return array


def finite_array(values: Any, what: str, ranks: tuple[int, ...]) -> np.ndarray:
    """`as_array`, and refuse other ranks, no values, and values that are not finite."""
    array = as_array(values, what)
    wrong = array.size - np.count_nonzero(np.isfinite(array))
    if array.ndim not in ranks or array.size == 0 or wrong:
        wanted = f"{what} of {' or '.join(map(str, ranks))} axes and finite numbers"
        found = f"shape {array.shape} with {wrong:,} that are NaN or infinite"
        raise ValueError(f"expected {wanted}, got {found}")
    return array


def apply_kernel(
    image: Any, kernel: Any, *, border: str = "reflect", convolve: bool = False
) -> np.ndarray:
    """Apply a kernel to each channel of an image: sums of weights times pixels, as SciPy has them.

    Args:
        image: gray `(height, width)` or color `(height, width, channels)`, of any range.
        kernel: weights of shape `(rows, columns)`. SciPy takes those below 2e-16 as zero.
        border: what lies beyond the edge of a row a b c d: "reflect" b a | a b c d, "mirror" c b |
            a b c d, "nearest" a a | a b c d, "wrap" c d | a b c d, "constant" 0 0 | a b c d; or
            "valid": only positions where the kernel fits. The others need kernels of odd sizes.
        convolve: turn the kernel by 180 degrees first, as convolution in mathematics does.

    Returns unclipped sums in the image's units: float64 where the image is float64 or an integer of
    32 bits and more, else float32. What does not fit raises a ValueError.
    """
    image, kernel = finite_array(image, "an image", (2, 3)), _oriented(kernel, convolve)
    (height, width), (rows, columns) = image.shape[:2], kernel.shape
    if image.ndim == 3 and image.shape[2] > 4:
        if height in (1, 3, 4):
            raise ValueError(f"expected channels last, got shape {image.shape}")
        warnings.warn(f"the last axis of {image.shape} is taken as channels", stacklevel=2)
    if border not in BORDERS:
        raise ValueError(f"expected a border of {', '.join(BORDERS)}, got {border!r}")
    valid = border == "valid"
    if not (rows <= height and columns <= width if valid else rows % 2 and columns % 2):
        wanted = f"of at most {height}x{width}" if valid else "of odd sizes"
        raise ValueError(f"expected a kernel {wanted} for border {border!r}, got {rows}x{columns}")
    # NumPy's own rule says which float can hold the image's numbers. SciPy has no float16.
    output = np.float32 if np.result_type(image, np.float32) == np.float32 else np.float64
    image = image.astype(output, copy=False) if image.dtype.kind == "f" else image
    weights = kernel.astype(np.float64).reshape(rows, columns, *[1] * (image.ndim - 2))
    mode = "constant" if valid else border
    sums = scipy.ndimage.correlate(image, weights, output=output, mode=mode)
    below, right = height - (rows - 1) // 2, width - (columns - 1) // 2
    return sums[rows // 2 : below, columns // 2 : right] if valid else sums


def fixed_convolution(
    kernel: Any, *, padding: str = "valid", convolve: bool = False, dtype: Any = "float32"
) -> Any:
    """Make the `keras.layers.Conv2D` that applies one kernel to `(batch, height, width, 1)` images.

    Its weights do not train, and stay the same where they are drawn anew. `apply_kernel` explains
    `convolve` and errors; the padding "same" is zeros, more at bottom and right if sizes are even.
    """
    import keras  # here: who filters or loads images need not wait for a backend

    weights = _oriented(kernel, convolve)[..., np.newaxis, np.newaxis]
    options = {"padding": padding, "data_format": "channels_last", "dtype": dtype}
    options |= {"kernel_initializer": keras.initializers.Constant(weights.tolist())}
    layer = keras.layers.Conv2D(1, weights.shape[:2], use_bias=False, trainable=False, **options)
    layer.build((None, None, None, 1))
    return layer


def sobel_gradients(image: Any, *, border: str = "reflect") -> tuple[np.ndarray, np.ndarray]:
    """Apply `SOBEL_X` and `SOBEL_Y`; image, border and errors are those of `apply_kernel`.

    Returns `(gx, gy)`, each eight times the rise per pixel where brightness rises evenly. gy points
    up, against the direction in which rows are counted.
    """
    gx = apply_kernel(image, SOBEL_X, border=border)
    return gx, apply_kernel(image, SOBEL_Y, border=border)


def gradient_magnitude(image: Any, *, border: str = "reflect") -> np.ndarray:
    """The length of `sobel_gradients`: `4 * sqrt(2)` times what `skimage.filters.sobel` gives."""
    return np.hypot(*sobel_gradients(image, border=border))


def laplacian(image: Any, *, border: str = "reflect") -> np.ndarray:
    """Apply `LAPLACIAN`, strong where brightness bends; all else is that of `apply_kernel`."""
    return apply_kernel(image, LAPLACIAN, border=border)


def _oriented(kernel: Any, convolve: bool) -> np.ndarray:
    kernel = finite_array(kernel, "a kernel", (2,))
    return kernel[::-1, ::-1] if convolve else kernel
