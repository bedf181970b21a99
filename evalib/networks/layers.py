"""The course's blocks as functions on Keras tensors, and layers of our own."""

import math
import numbers
import operator
import sys
from collections.abc import Iterable, Sequence
from typing import Any

import keras
import numpy as np
from keras import layers, ops

from evalib.filters import as_array

# The course's tensors are (batch, height, width, channels), whatever Keras is set to.
LAST: dict[str, Any] = {"data_format": "channels_last"}
Shape = tuple[int | None, ...]
_BOUNDS = (
    ("a rotation from 0 to 180 degrees", 0, 180),
    ("a scale from 0 to below 1", 0, math.nextafter(1, 0)),
    ("a finite shear of at least 0", 0, sys.float_info.max),
    ("a finite shift of at least 0", 0, sys.float_info.max),
    ("a share above 0 and up to 1", math.nextafter(0, 1), 1),
)


def conv_block(
    inputs: keras.KerasTensor,
    filters: Iterable[int],
    *,
    name: str,
    kernel_size: int = 3,
    pool_first: bool = False,
    normalize: bool = True,
) -> keras.KerasTensor:
    """Stack convolutions, each followed by batch normalization and ReLU.

    No padding, and no bias: the normalization would subtract it again. Layers are named
    `{name}_conv1`, `{name}_norm1`, `{name}_relu1` and so on. `filters` are the numbers of kernels
    of each; the tensor is `(batch, height, width, channels)`. If not to `normalize`, convolutions
    have a bias and their own ReLU, and no layer follows them.

    `pool_first` puts a 2x2 max pooling, `{name}_pool`, before the first normalization, which saves
    three quarters of the work. Pooling after the ReLU would give the same for fixed statistics and
    gammas of at least 0, but not in training.
    """
    outputs = inputs
    for number, kernels in enumerate(whole_numbers(filters, "filters"), start=1):
        options = {"activation": None if normalize else "relu", "use_bias": not normalize, **LAST}
        options["name"] = f"{name}_conv{number}"
        outputs = layers.Conv2D(kernels, kernel_size, **options)(outputs)
        if pool_first and number == 1:
            outputs = layers.MaxPooling2D(2, name=f"{name}_pool", **LAST)(outputs)
        if normalize:
            outputs = layers.BatchNormalization(name=f"{name}_norm{number}")(outputs)
            outputs = layers.ReLU(name=f"{name}_relu{number}")(outputs)
    return outputs


def transition_block(inputs: keras.KerasTensor, filters: int, *, name: str) -> keras.KerasTensor:
    """Halve height and width by max pooling, then mix the channels by a 1x1 convolution and ReLU.

    From `(batch, height, width, channels)` to `(batch, height // 2, width // 2, filters)`, by
    layers named `{name}_pool` and `{name}_mix`.
    """
    (filters,) = whole_numbers([filters], "filters")
    pooled = layers.MaxPooling2D(2, name=f"{name}_pool", **LAST)(inputs)
    return layers.Conv2D(filters, 1, activation="relu", name=f"{name}_mix", **LAST)(pooled)


def whole_numbers(values: Any, what: str) -> list[int]:
    """Convert one number, a list, an array or an iterator to a list of integers from 1 up."""
    listed = list(values) if np.iterable(values) else [values]
    try:
        converted = [operator.index(value) for value in listed]
    except TypeError:
        converted = []
    if not converted or min(converted) < 1:
        raise ValueError(f"expected positive whole numbers as {what}, got {listed}")
    return converted


def softmax_dtype() -> str:
    """The number type of a last softmax: at least float32, which half precision would blur."""
    return keras.backend.result_type(keras.config.dtype_policy().compute_dtype, "float32")


def check_affine_bounds(*bounds: float) -> None:
    """Refuse bounds of `RandomAffine`, in its order, that are no numbers or out of their ranges."""
    for bound, (name, low, high) in zip(bounds, _BOUNDS, strict=True):
        if not isinstance(bound, numbers.Real) or not low <= bound <= high:
            raise ValueError(f"expected {name}, got {bound!r}")


@keras.saving.register_keras_serializable("evalib")
class RandomAffine(layers.Layer):
    """Turn, stretch, slant and move each training image by its own random amount.

    Every image draws six numbers, each uniform between minus and plus its bound. Outside training
    images pass unchanged. Pixels from beyond the border are zero. A layer that is used again draws
    on; its `from_config(get_config())` begins again with the seed (`None`: Keras's global one).

    The bounds are of the angle, in degrees, 0 to 180; of the relative change of width and of
    height, 0 to below 1; of the horizontal slant, in pixels per pixel of height; and of the move
    along each axis, in pixels. An image is moved with the probability `share`, above 0 to 1.
    """

    compute_output_shape = layers.ReLU.compute_output_shape  # that of the input

    def __init__(
        self,
        rotation: float,
        scale: float,
        shear: float,
        shift: float,
        *,
        share: float = 1.0,
        seed: int | None = None,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        check_affine_bounds(rotation, scale, shear, shift, share)
        self.rotation, self.scale = float(rotation), float(scale)
        self.shear, self.shift, self.share = float(shear), float(shift), float(share)
        self.seed = None if seed is None else operator.index(seed)
        # TensorFlow's XLA compiler has no kernel for the transformation.
        self.supports_jit = keras.backend.backend() != "tensorflow"
        self.seed_generator = keras.random.SeedGenerator(self.seed)

    def build(self, input_shape: Shape) -> None:
        *_, last = input_shape
        first = keras.config.image_data_format() == "channels_first" and last not in (None, 1, 3)
        if len(input_shape) != 4 or (first and input_shape[1] in (1, 3)):
            raise ValueError(f"expected (batch, height, width, channels), got shape {input_shape}")
        self.built = True

    def call(self, images: Any, training: bool = False) -> Any:
        if not training:
            return images
        count, height, width, _ = ops.shape(images)
        draw = {"seed": self.seed_generator, "dtype": "float32"}
        uniform = keras.random.uniform((count, 6), -1.0, 1.0, **draw)
        if self.share < 1:
            moved = keras.random.uniform((count, 1), **draw) < self.share
            uniform = uniform * ops.cast(moved, "float32")
        centers = [(ops.cast(size, "float32") - 1) / 2 for size in (height, width)]
        transforms, dtype = self.transforms(uniform, *centers), images.dtype
        if keras.backend.is_float_dtype(dtype):  # TensorFlow has no gradient of it in bfloat16
            images = ops.cast(images, keras.backend.result_type(dtype, "float32"))
        moved = ops.image.affine_transform(images, transforms, fill_mode="constant", **LAST)
        return ops.cast(moved, dtype)

    def transforms(self, uniform: Any, center_y: Any, center_x: Any) -> Any:
        """Turn numbers from -1 to 1, shape `(batch, 6)`, into affine maps about a center in pixels.

        With angle t, scales p and q and shear k, a pixel (x, y), from the center, is read at
        rotation(t) @ [[p, k q], [0, q]] @ (x, y) + shift. The maps, `(batch, 8)`, are Keras's.
        """
        angle = uniform[:, 0] * (self.rotation * math.pi / 180)
        scale_x, scale_y = 1 + uniform[:, 1] * self.scale, 1 + uniform[:, 2] * self.scale
        shear = uniform[:, 3] * self.shear
        cosine, sine = ops.cos(angle), ops.sin(angle)
        a0, a1 = cosine * scale_x, (cosine * shear - sine) * scale_y
        b0, b1 = sine * scale_x, (sine * shear + cosine) * scale_y
        a2 = center_x - a0 * center_x - a1 * center_y + uniform[:, 4] * self.shift
        b2 = center_y - b0 * center_x - b1 * center_y + uniform[:, 5] * self.shift
        zero = ops.zeros_like(angle)
        return ops.stack([a0, a1, a2, b0, b1, b2, zero, zero], axis=1)

    def get_config(self) -> dict[str, Any]:
        names = ("rotation", "scale", "shear", "shift", "share", "seed")
        return super().get_config() | {name: getattr(self, name) for name in names}


@keras.saving.register_keras_serializable("evalib")
class SReLU(layers.Layer):
    """The S-shaped rectified linear unit: three straight pieces, four learned numbers per channel.

    With the weights `t_right`, `a_right`, `t_left` and `a_left` of a channel, an input x becomes

        t_right + a_right (x - t_right)   where x >= t_right,
        t_left + a_left (x - t_left)      where x <= t_left,
        x                                 between

    (Jin et al., *Deep Learning with S-shaped Rectified Linear Activation Units*, AAAI 2016,
    arXiv:1512.07030). After each step of an optimizer, a `t_right` that fell below `t_left` is put
    on it, which leaves every gradient as it is. Each weight has an option such as
    `t_right_initializer`; the defaults start as a leaky ReLU of slope 0.2.
    The paper keeps that frozen for some epochs, and then sets `t_right` by the large inputs: train
    with `layer.trainable = False`, call `adapt`, and set it to `True`. Along `shared_axes` of the
    input, counted from 1, weights are shared; by default all but the last.
    """

    compute_output_shape = layers.ReLU.compute_output_shape  # that of the input

    def __init__(self, *, shared_axes: Sequence[int] | None = None, **options: Any) -> None:
        starts: dict[str, Any] = {"t_right": "ones", "a_right": "ones", "t_left": "zeros"}
        starts["a_left"] = keras.initializers.Constant(0.2)
        starts = {name: options.pop(f"{name}_initializer", one) for name, one in starts.items()}
        super().__init__(**options)
        self.initializers = {name: keras.initializers.get(one) for name, one in starts.items()}
        self.shared_axes = None if shared_axes is None else [int(axis) for axis in shared_axes]
        self.supports_masking = True

    def build(self, input_shape: Shape) -> None:
        axes = range(1, len(input_shape))
        shared = axes[:-1] if self.shared_axes is None else self.shared_axes
        if not set(shared) <= set(axes):
            raise ValueError(f"expected axes from 1 to {len(axes)} to share, got {shared}")
        shape = [1 if axis in shared else input_shape[axis] for axis in axes]
        if None in shape:
            raise ValueError(f"expected a size of each axis not shared, got shape {input_shape}")

        class NotBelow(keras.constraints.Constraint):
            def __call__(_, value: Any) -> Any:
                return ops.maximum(value, self.t_left)

        for name, initializer in self.initializers.items():
            limit = {"constraint": NotBelow()} if name == "t_right" else {}
            setattr(self, name, self.add_weight(shape, initializer, name=name, **limit))

    def call(self, inputs: Any) -> Any:
        return s_shaped(inputs, **{name: getattr(self, name) for name in self.initializers})

    def adapt(self, inputs: Any, share: float = 0.9) -> None:
        """Put `t_right` where a share of the inputs is below it, but not below `t_left`.

        Inputs, finite and of shape `(n, ...)`, are what the built layer reads. The share, 0 to 1,
        is of those that have the same weights.
        """
        if not self.built or not 0 <= share <= 1:
            raise ValueError(f"expected a built layer and a share from 0 to 1, got {share}")
        inputs, sizes = as_array(inputs, "inputs"), tuple(self.t_right.shape)
        fits = all(mine in (1, size) for mine, size in zip(sizes, inputs.shape[1:], strict=False))
        finite = inputs.size > 0 and np.isfinite(inputs).all()
        if inputs.ndim != len(sizes) + 1 or not fits or not finite:
            raise ValueError(f"expected finite inputs for weights {sizes}, got {inputs.shape}")
        together = (0, *(axis for axis, size in enumerate(sizes, start=1) if size == 1))
        thresholds = np.quantile(inputs, share, axis=together).reshape(sizes)
        self.t_right.assign(ops.maximum(ops.cast(thresholds, self.t_right.dtype), self.t_left))

    def get_config(self) -> dict[str, Any]:
        starts = {f"{name}_initializer": one for name, one in self.initializers.items()}
        starts = {name: keras.initializers.serialize(one) for name, one in starts.items()}
        return super().get_config() | starts | {"shared_axes": self.shared_axes}


def s_shaped(x: Any, *, t_left: Any, a_left: Any, t_right: Any, a_right: Any) -> Any:
    """The curve of `SReLU`, for numbers or for the layer's weights."""
    not_right = ops.where(x <= t_left, t_left + a_left * (x - t_left), x)
    return ops.where(x >= t_right, t_right + a_right * (x - t_right), not_right)


@keras.saving.register_keras_serializable("evalib")
class SubPixel(layers.Layer):
    """Turn channels into pixels: each pixel's channels become a square of `factor` by `factor`.

    From `(batch, height, width, channels * factor ** 2)` to `(batch, height * factor, width *
    factor, channels)`: output channel `c` at row `factor * y + i`, column `factor * x + j` is input
    channel `(i * factor + j) * channels + c`, as in TensorFlow (Shi et al., CVPR 2016).
    """

    def __init__(self, factor: int = 2, **options: Any) -> None:
        super().__init__(**options)
        (self.factor,) = whole_numbers([factor], "the factor")

    def build(self, input_shape: Shape) -> None:
        self.compute_output_shape(input_shape)

    def call(self, values: Any) -> Any:
        _, height, width, depth = ops.shape(values)
        factor, channels = self.factor, depth // self.factor**2
        squares = ops.reshape(values, (-1, height, width, factor, factor, channels))
        rows = ops.transpose(squares, (0, 1, 3, 2, 4, 5))
        return ops.reshape(rows, (-1, height * factor, width * factor, channels))

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        square, shape = self.factor**2, tuple(input_shape)
        if len(shape) != 4 or shape[3] is None or shape[3] % square:
            raise ValueError(f"expected (batch, height, width, multiple of {square}), got {shape}")
        larger = (None if size is None else size * self.factor for size in shape[1:3])
        return (shape[0], *larger, shape[3] // square)

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"factor": self.factor}


@keras.saving.register_keras_serializable("evalib")
class ICNR(keras.initializers.Initializer):
    """Start a sub-pixel convolution as a convolution that is followed by nearest-neighbor resize.

    `initializer` draws the kernel for the output's channels alone, and it is repeated for each of
    the `factor ** 2` pixels of a square, whose number must divide that of the kernels (Aitken et
    al., *Checkerboard artifact free sub-pixel convolution*, 2017, arXiv:1707.02937).
    """

    def __init__(self, factor: int = 2, initializer: Any = "glorot_uniform") -> None:
        (self.factor,) = whole_numbers([factor], "the factor")
        self.initializer = keras.initializers.get(initializer)

    def __call__(self, shape: tuple[int, ...], dtype: Any = None) -> Any:
        square = self.factor**2
        if len(shape) < 2 or shape[-1] % square:
            raise ValueError(f"expected a multiple of {square} kernels, got shape {tuple(shape)}")
        kernel = self.initializer((*shape[:-1], shape[-1] // square), dtype=dtype)
        return ops.concatenate([kernel] * square, axis=-1)

    def get_config(self) -> dict[str, Any]:
        initializer = keras.initializers.serialize(self.initializer)
        return {"factor": self.factor, "initializer": initializer}
