"""The course's blocks as functions on Keras tensors, the augmentation layer, and SReLU."""

import math
import numbers
import operator
import sys
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import keras
import numpy as np
from keras import layers, ops

from evalib.filters import as_array

# The course's tensors are (batch, height, width, channels), whatever Keras is set to.
LAST: dict[str, Any] = {"data_format": "channels_last"}


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
    `{name}_conv1`, `{name}_norm1`, `{name}_relu1` and so on.

    Args:
        inputs: a symbolic tensor of shape `(batch, height, width, channels)`.
        filters: the number of kernels of each convolution, in order.
        name: what the layers' names begin with.
        kernel_size: height and width of the kernels.
        pool_first: put a 2x2 max pooling, named `{name}_pool`, between the first convolution and
            its normalization, which saves three quarters of the work. Pooling after the ReLU would
            give the same for fixed statistics and gammas of at least 0, but not in training: there
            the statistics are those of the pooled values.
        normalize: if not, convolutions have a bias and their own ReLU, and no layer follows them.

    Returns:
        The block's output; each convolution takes `kernel_size - 1` from height and width.

    Raises:
        ValueError: the tensor is not of rank 4, or `filters` are not positive whole numbers.
    """
    _check_images(inputs)
    outputs = inputs
    for number, kernels in enumerate(whole_numbers(filters, "filters"), start=1):
        convolution = layers.Conv2D(
            kernels,
            kernel_size,
            use_bias=not normalize,
            activation=None if normalize else "relu",
            name=f"{name}_conv{number}",
            **LAST,
        )
        outputs = convolution(outputs)
        if pool_first and number == 1:
            outputs = layers.MaxPooling2D(2, name=f"{name}_pool", **LAST)(outputs)
        if normalize:
            outputs = layers.BatchNormalization(name=f"{name}_norm{number}")(outputs)
            outputs = layers.ReLU(name=f"{name}_relu{number}")(outputs)
    return outputs


def transition_block(inputs: keras.KerasTensor, filters: int, *, name: str) -> keras.KerasTensor:
    """Halve height and width by max pooling, then mix the channels by a 1x1 convolution and ReLU.

    The layers are named `{name}_pool` and `{name}_mix`.

    Args:
        inputs: a symbolic tensor of shape `(batch, height, width, channels)`.
        filters: how many mixtures of the channels there are afterwards.
        name: what the layers' names begin with.

    Returns:
        A tensor of shape `(batch, height // 2, width // 2, filters)`.

    Raises:
        ValueError: the tensor is not of rank 4, or `filters` is not a positive whole number.
    """
    _check_images(inputs)
    (filters,) = whole_numbers([filters], "filters")
    pooled = layers.MaxPooling2D(2, name=f"{name}_pool", **LAST)(inputs)
    return layers.Conv2D(filters, 1, activation="relu", name=f"{name}_mix", **LAST)(pooled)


def whole_numbers(values: Any, what: str) -> list[int]:
    """Convert one number, a list, an array or an iterator to a list of integers from 1 up."""
    single = hasattr(values, "__index__") and np.ndim(values) == 0
    listed = [values] if single or not isinstance(values, Iterable) else list(values)
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


def _check_images(inputs: keras.KerasTensor) -> None:
    if len(inputs.shape) != 4:
        raise ValueError(f"expected (batch, height, width, channels), got shape {inputs.shape}")


def check_affine_bounds(
    rotation: float, scale: float, shear: float, shift: float, share: float
) -> None:
    """Raise a ValueError where a bound of `RandomAffine` is no number, or out of its range."""
    for name, bound, low, high in (
        ("a rotation from 0 to 180 degrees", rotation, 0, 180),
        ("a scale from 0 to below 1", scale, 0, math.nextafter(1, 0)),
        ("a finite shear of at least 0", shear, 0, sys.float_info.max),
        ("a finite shift of at least 0", shift, 0, sys.float_info.max),
        ("a share above 0 and up to 1", share, math.nextafter(0, 1), 1),
    ):
        if not isinstance(bound, numbers.Real) or not low <= bound <= high:
            raise ValueError(f"expected {name}, got {bound!r}")


@keras.saving.register_keras_serializable("evalib")
class RandomAffine(layers.Layer):
    """Turn, stretch, slant and move each training image by its own random amount.

    Every image draws six numbers, each uniform between minus and plus its bound. Outside
    training the images pass unchanged. Pixels from beyond the border are zero. A layer that is
    used again draws on; its `from_config(get_config())` begins again with the seed.

    Args:
        rotation: the largest angle, in degrees, 0 to 180.
        scale: the largest relative change of width and of height, drawn separately; 0 to below 1.
        shear: the largest horizontal slant, in pixels of shift per pixel of height.
        shift: the largest move along each axis, in pixels.
        share: the probability that an image is moved at all, above 0 to 1. Interpolation blurs a
            little; images that stay are as sharp as those after training.
        seed: an integer for the same amounts in every run; `None` follows Keras's global seed.

    Raises:
        ValueError: a bound is out of its range, or the images are not of rank 4.
    """

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

    def build(self, input_shape: tuple[int | None, ...]) -> None:
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
        center_y, center_x = ((ops.cast(size, "float32") - 1) / 2 for size in (height, width))
        transforms, dtype = self.transforms(uniform, center_y, center_x), images.dtype
        if keras.backend.is_float_dtype(dtype):  # TensorFlow has no gradient of it in bfloat16
            images = ops.cast(images, keras.backend.result_type(dtype, "float32"))
        moved = ops.image.affine_transform(images, transforms, fill_mode="constant", **LAST)
        return ops.cast(moved, dtype)

    def transforms(self, uniform: Any, center_y: Any, center_x: Any) -> Any:
        """Turn numbers from -1 to 1, shape `(batch, 6)`, into affine maps about a center in pixels.

        With angle t, scales p and q and shear k, an output pixel (x, y), measured from the center,
        is read at rotation(t) @ [[p, k q], [0, q]] @ (x, y) + shift. Returns shape `(batch, 8)` for
        `affine_transform` of Keras, which reads at (a0 x + a1 y + a2, b0 x + b1 y + b2).
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

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        return input_shape

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
    on it, which leaves every gradient as it is. The defaults start as a leaky ReLU of slope 0.2.
    The paper keeps that frozen for some epochs, and then sets `t_right` by the large inputs of each
    channel: train with `layer.trainable = False`, call `adapt`, and set it to `True`.

    Args:
        t_left_initializer: of the left threshold.
        a_left_initializer: of the slope left of it; by default 0.2.
        t_right_initializer: of the right threshold. It should not begin below the left one.
        a_right_initializer: of the slope right of it.
        shared_axes: axes of the input, counted from 1, whose positions share their weights; by
            default all but the last, so that each channel has its own.

    Raises:
        ValueError: an axis to share is not one of the input's, or one not shared has no size.
    """

    def __init__(
        self,
        *,
        t_left_initializer: Any = "zeros",
        a_left_initializer: Any = None,
        t_right_initializer: Any = "ones",
        a_right_initializer: Any = "ones",
        shared_axes: Sequence[int] | None = None,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        initializers = {
            "t_right": t_right_initializer,
            "a_right": a_right_initializer,
            "t_left": t_left_initializer,
            "a_left": a_left_initializer or keras.initializers.Constant(0.2),
        }
        self.initializers = {n: keras.initializers.get(one) for n, one in initializers.items()}
        self.shared_axes = None if shared_axes is None else [int(axis) for axis in shared_axes]
        self.supports_masking = True

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        axes = range(1, len(input_shape))
        shared = axes[:-1] if self.shared_axes is None else self.shared_axes
        if not set(shared) <= set(axes):
            raise ValueError(f"expected axes from 1 to {len(axes)} to share, got {shared}")
        shape = [1 if axis in shared else input_shape[axis] for axis in axes]
        if None in shape:
            raise ValueError(f"expected a size of each axis not shared, got shape {input_shape}")
        for name, initializer in self.initializers.items():
            limit = {"constraint": _NotBelow(lambda: self.t_left)} if name == "t_right" else {}
            setattr(self, name, self.add_weight(shape, initializer, name=name, **limit))

    def call(self, inputs: Any) -> Any:
        right = self.t_right + self.a_right * (inputs - self.t_right)
        left = self.t_left + self.a_left * (inputs - self.t_left)
        not_right = ops.where(inputs <= self.t_left, left, inputs)
        return ops.where(inputs >= self.t_right, right, not_right)

    def adapt(self, inputs: Any, share: float = 0.9) -> None:
        """Put `t_right` where a share of the inputs is below it, but not below `t_left`.

        Args:
            inputs: what the layer reads, shape `(n, ...)`; all examples count together.
            share: of the inputs that have the same weights, 0 to 1.

        Raises:
            ValueError: the share is out of its range, the layer has not been built, or the inputs
                do not fit it or are not finite.
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

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        return input_shape

    def get_config(self) -> dict[str, Any]:
        initializers = {
            f"{name}_initializer": keras.initializers.serialize(initializer)
            for name, initializer in self.initializers.items()
        }
        return {**super().get_config(), **initializers, "shared_axes": self.shared_axes}


class _NotBelow(keras.constraints.Constraint):
    """Optimizers put a weight with this constraint on another one where it fell below it."""

    def __init__(self, other: Callable[[], keras.Variable]) -> None:
        self.other = other

    def __call__(self, value: Any) -> Any:
        return ops.maximum(value, self.other())
