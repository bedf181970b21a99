"""Sobel, Laplacian and any other fixed kernel, laid over images by a Keras convolution.

The kernels stand as the course prints them and are laid over the image unturned: this is a
correlation, and it is what the layers of a network compute under the name of convolution.

Other libraries differ in three ways. Sign: here an upward gradient is positive, while the vertical
Sobel filters of OpenCV, scikit-image and SciPy are positive where it gets brighter downward; and
scikit-image's Laplacian is the negative of this one and of SciPy's. Scale: scikit-image divides
Sobel by 4, and takes bytes as 0 to 1. Border: see `extend_border`; SciPy's and scikit-image's usual
border is "reflect", OpenCV's "mirror", and a Keras layer with padding "same" has "constant".
"""

import keras
import numpy as np
from keras import layers, ops
from numpy.typing import ArrayLike

# Positive where the image gets brighter to the right.
SOBEL_X = np.array([[-1.0, 0.0, 1.0], [-2.0, 0.0, 2.0], [-1.0, 0.0, 1.0]])
# Positive where it gets brighter upward: the negative of OpenCV's and scikit-image's.
SOBEL_Y = np.array([[1.0, 2.0, 1.0], [0.0, 0.0, 0.0], [-1.0, -2.0, -1.0]])
# Positive where a pixel is darker than its four neighbors on average.
LAPLACIAN = np.array([[0.0, 1.0, 0.0], [1.0, -4.0, 1.0], [0.0, 1.0, 0.0]])
for _kernel in (SOBEL_X, SOBEL_Y, LAPLACIAN):
    _kernel.flags.writeable = False

# SciPy's names of borders, and NumPy's for the same.
_PADDINGS = {
    "reflect": "symmetric",
    "constant": "constant",
    "nearest": "edge",
    "mirror": "reflect",
    "wrap": "wrap",
}
BORDERS = (*_PADDINGS, "valid")


def apply_kernel(
    image: ArrayLike, kernel: ArrayLike, *, border: str = "reflect", convolve: bool = False
) -> np.ndarray:
    """Lay a kernel over an image: at each place, the sum of the products of weights and pixels.

    Equal to `scipy.ndimage.correlate`, or `scipy.ndimage.convolve` if asked to convolve, with the
    same border. The sums are a Keras convolution in float64, in float32 on JAX. They are neither
    clipped nor wrapped, so those of bytes may be negative or exceed 255.

    Args:
        image: gray `(height, width)` or color `(height, width, channels)`, of integers or floats
            of any range, bytes from 0 to 255 included. Each channel is filtered by itself.
        kernel: weights of shape `(rows, columns)`.
        border: what is assumed beyond the image's edge, see `extend_border`; or "valid" for
            nothing: then only places count where the kernel fits, and the result is smaller by
            the kernel's size less one. All others need a kernel with a center, of odd sizes.
        convolve: turn the kernel by half a turn first, as convolution in mathematics does. A
            network does not, and neither does this function unless told to.

    Returns:
        Sums in the image's units, not divided by anything; float32, or float64 where the image's
        type (float64, or integers of 32 bits and more) asks for it. The shape is the image's,
        unless the border is "valid".

    Raises:
        ValueError: image or kernel have the wrong rank, are empty, or hold something else than
            finite numbers; there is no such border; the kernel has no center but needs one, or
            does not fit into the image under "valid".

    Example:
        >>> apply_kernel(np.eye(3), [[1, 1], [1, 1]], border="valid").tolist()
        [[2.0, 1.0], [1.0, 2.0]]
    """
    image = _checked_image(image)
    kernel = _checked_kernel(kernel)
    if border == "valid":
        if kernel.shape[0] > image.shape[0] or kernel.shape[1] > image.shape[1]:
            raise ValueError(
                f"expected a kernel that fits into the image of {_size(image)} "
                f"under border 'valid', got {_size(kernel)}"
            )
        extended = image
    else:
        _check_border(border)
        if kernel.shape[0] % 2 == 0 or kernel.shape[1] % 2 == 0:
            raise ValueError(
                f"expected a kernel with a center, of odd sizes, got {_size(kernel)}: "
                f"only border 'valid' takes even ones, got {border!r}"
            )
        extended = extend_border(image, (kernel.shape[0] // 2, kernel.shape[1] // 2), border)
    # NumPy's own rule says which floats can hold the image's numbers.
    double = np.result_type(image.dtype, np.float32) != np.float32
    layer = fixed_convolution(kernel, convolve=convolve, dtype=_working_type())
    # Channels become a batch of gray images, so that one kernel of depth one filters each.
    gray = extended[np.newaxis] if extended.ndim == 2 else np.moveaxis(extended, -1, 0)
    sums = layer(ops.convert_to_tensor(gray[..., np.newaxis], dtype=_working_type()))
    filtered = ops.convert_to_numpy(sums)[..., 0].astype(np.float64 if double else np.float32)
    return filtered[0] if extended.ndim == 2 else np.ascontiguousarray(np.moveaxis(filtered, 0, -1))


def fixed_convolution(
    kernel: ArrayLike, *, padding: str = "valid", convolve: bool = False, dtype: str = "float32"
) -> layers.Conv2D:
    """Make the Keras layer that lays one kernel over images of one channel.

    Args:
        kernel: weights of shape `(rows, columns)`.
        padding: "valid", or "same" for zeros beyond the edge, as Keras means them. With an even
            kernel "same" puts one row and column of zeros more at the bottom and right.
        convolve: turn the kernel by half a turn first; no layer of Keras does so by itself.
        dtype: the layer's number type.

    Returns:
        A built layer without bias and activation, whose weights do not train; it takes and gives
        `(batch, height, width, 1)`.

    Raises:
        ValueError: the kernel has the wrong rank, is empty, or holds something else than finite
            numbers.
    """
    kernel = _checked_kernel(kernel)
    layer = layers.Conv2D(
        1,
        kernel.shape,
        padding=padding,
        use_bias=False,
        data_format="channels_last",
        trainable=False,
        dtype=dtype,
    )
    layer.build((None, None, None, 1))
    oriented = kernel[::-1, ::-1] if convolve else kernel
    layer.set_weights([oriented[..., np.newaxis, np.newaxis].astype(dtype)])
    return layer


def extend_border(image: ArrayLike, margin: tuple[int, int], border: str) -> np.ndarray:
    """Continue an image beyond its edge, as filters must that have no "valid" border.

    Args:
        image: gray `(height, width)` or color `(height, width, channels)`.
        margin: how many rows to add above and below, how many columns to the left and right.
        border: by SciPy's names, with the row a b c d as an example:
            "reflect" d c b a | a b c d | d c b a,
            "mirror" d c b | a b c d | c b a,
            "nearest" a a a | a b c d | d d d,
            "wrap" b c d | a b c d | a b c, and
            "constant" 0 0 0 | a b c d | 0 0 0.

    Returns:
        The image with its margin, of its own type.

    Raises:
        ValueError: the image has the wrong rank, is empty or not finite; a margin is below zero;
            there is no such border.
    """
    image = _checked_image(image)
    _check_border(border)
    if min(margin) < 0:
        raise ValueError(f"expected margins of at least 0 pixels, got {margin}")
    widths = [(pixels, pixels) for pixels in margin] + [(0, 0)] * (image.ndim - 2)
    # NumPy's types want the mode spelled out.
    return np.pad(image, widths, mode=_PADDINGS[border])  # type: ignore[call-overload]


def sobel_gradients(image: ArrayLike, *, border: str = "reflect") -> tuple[np.ndarray, np.ndarray]:
    """Measure by Sobel's kernels how brightness rises to the right and upward.

    Args:
        image: as for `apply_kernel`.
        border: as for `apply_kernel`.

    Returns:
        `(gx, gy)`, the sums of `SOBEL_X` and `SOBEL_Y`: each eight times the rise per pixel where
        brightness rises evenly. gy points up, against the direction in which rows are counted.

    Raises:
        ValueError: as `apply_kernel`.

    Example:
        >>> ramp = np.tile(np.arange(5.0), (5, 1))
        >>> to_the_right, upward = sobel_gradients(ramp)
        >>> to_the_right[2, 2], upward[2, 2]
        (np.float64(8.0), np.float64(0.0))
    """
    return (
        apply_kernel(image, SOBEL_X, border=border),
        apply_kernel(image, SOBEL_Y, border=border),
    )


def gradient_magnitude(image: ArrayLike, *, border: str = "reflect") -> np.ndarray:
    """The length of the gradient, `sqrt(gx ** 2 + gy ** 2)`: strong on edges of every direction.

    Args, type and errors are those of `apply_kernel`. `skimage.filters.sobel` is this divided by
    `4 * sqrt(2)`.
    """
    return np.hypot(*sobel_gradients(image, border=border))


def laplacian(image: ArrayLike, *, border: str = "reflect") -> np.ndarray:
    """The four neighbors less four times the pixel: where brightness bends.

    Args, type and errors are those of `apply_kernel`. `skimage.filters.laplace` is the negative.
    """
    return apply_kernel(image, LAPLACIAN, border=border)


def _working_type() -> str:
    """The type to compute in: JAX has no float64 unless it is switched on for everything."""
    return "float32" if keras.backend.backend() == "jax" else "float64"


def _checked_image(image: ArrayLike) -> np.ndarray:
    image = _numbers(image, "an image")
    if image.ndim not in (2, 3):
        raise ValueError(
            f"expected an image of shape (height, width) or (height, width, channels), "
            f"got {image.shape}"
        )
    return _checked_values(image, "an image")


def _checked_kernel(kernel: ArrayLike) -> np.ndarray:
    kernel = _numbers(kernel, "a kernel")
    if kernel.ndim != 2:
        raise ValueError(f"expected a kernel of shape (rows, columns), got {kernel.shape}")
    return _checked_values(kernel, "a kernel").astype(np.float64)


def _numbers(values: ArrayLike, what: str) -> np.ndarray:
    array = np.asarray(values)
    if array.dtype.kind not in "buif":
        raise ValueError(f"expected {what} of integers or floats, got {array.dtype}")
    return array


def _checked_values(array: np.ndarray, what: str) -> np.ndarray:
    if array.size == 0:
        raise ValueError(f"expected {what} with at least one value, got shape {array.shape}")
    not_finite = array.size - np.count_nonzero(np.isfinite(array))
    if not_finite:
        raise ValueError(
            f"expected {what} of finite numbers, got {not_finite:,} of {array.size:,} "
            "that are NaN or infinite"
        )
    return array


def _check_border(border: str) -> None:
    if border not in _PADDINGS:
        raise ValueError(f"expected a border of {', '.join(BORDERS)}, got {border!r}")


def _size(array: np.ndarray) -> str:
    return f"{array.shape[0]}x{array.shape[1]}"
