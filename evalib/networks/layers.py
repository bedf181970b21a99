"""The course's blocks as functions on Keras tensors, the augmentation layer, and SReLU."""

import math
from collections.abc import Callable, Sequence

import keras
import numpy as np
from keras import ops


def conv_block(
    inputs: keras.KerasTensor,
    filters: Sequence[int],
    *,
    name: str,
    kernel_size: int = 3,
    pool_first: bool = False,
    normalize: bool = True,
) -> keras.KerasTensor:
    """Stack convolutions, each followed by batch normalization and ReLU.

    The convolutions have no padding ("valid") and no bias: the normalization that follows would
    subtract it again. Layers are named `{name}_conv1`, `{name}_norm1`, `{name}_relu1` and so on.

    With `normalize=False` each convolution has a bias and its ReLU in itself, and the block
    consists of `{name}_conv1`, `{name}_conv2` and so on alone.

    Args:
        inputs: a tensor of shape `(batch, height, width, channels)`.
        filters: the number of kernels of each convolution, in order.
        name: what the layers' names begin with, `"block1"` for example.
        kernel_size: height and width of the kernels.
        pool_first: put a 2x2 max pooling, named `{name}_pool`, between the first convolution and
            its normalization. ReLU and max pooling may change places, so this gives what pooling
            at the end would give, for a quarter of the work.
        normalize: whether batch normalization and ReLU follow as layers. Without them,
            `pool_first` puts the pooling behind the first convolution's own ReLU.

    Returns:
        The block's output; each convolution takes `kernel_size - 1` from height and width.

    Raises:
        ValueError: the tensor is not of rank 4, or `filters` is empty or not positive.
    """
    _check_images(inputs)
    if not filters or min(filters) < 1:
        raise ValueError(f"expected one positive number a convolution, got {list(filters)}")
    outputs = inputs
    for number, kernels in enumerate(filters, start=1):
        convolution = keras.layers.Conv2D(
            kernels,
            kernel_size,
            use_bias=not normalize,
            activation=None if normalize else "relu",
            name=f"{name}_conv{number}",
        )
        outputs = convolution(outputs)
        if pool_first and number == 1:
            outputs = keras.layers.MaxPooling2D(2, name=f"{name}_pool")(outputs)
        if normalize:
            outputs = keras.layers.BatchNormalization(name=f"{name}_norm{number}")(outputs)
            outputs = keras.layers.ReLU(name=f"{name}_relu{number}")(outputs)
    return outputs


def transition_block(inputs: keras.KerasTensor, filters: int, *, name: str) -> keras.KerasTensor:
    """Halve height and width, then mix the channels down with a 1x1 convolution and ReLU.

    Layers are named `{name}_pool` (2x2 max pooling) and `{name}_mix` (the convolution).

    Args:
        inputs: a tensor of shape `(batch, height, width, channels)`.
        filters: how many mixtures of the channels there are afterwards.
        name: what the layers' names begin with, `"transition1"` for example.

    Returns:
        A tensor of shape `(batch, height // 2, width // 2, filters)`.

    Raises:
        ValueError: the tensor is not of rank 4, or `filters` is not positive.
    """
    _check_images(inputs)
    if filters < 1:
        raise ValueError(f"expected a positive number of filters, got {filters}")
    pooled = keras.layers.MaxPooling2D(2, name=f"{name}_pool")(inputs)
    return keras.layers.Conv2D(filters, 1, activation="relu", name=f"{name}_mix")(pooled)


def _check_images(inputs: keras.KerasTensor) -> None:
    if len(inputs.shape) != 4:
        raise ValueError(f"expected (batch, height, width, channels), got shape {inputs.shape}")


def check_affine_bounds(
    rotation: float, scale: float, shear: float, shift: float, share: float
) -> None:
    """Raise a ValueError where a bound of `RandomAffine` is out of its range."""
    if not 0 <= rotation <= 180:
        raise ValueError(f"expected a rotation from 0 to 180 degrees, got {rotation}")
    if not 0 <= scale < 1:
        raise ValueError(f"expected a scale from 0 to below 1, got {scale}")
    if not (0 <= shear < math.inf and 0 <= shift < math.inf):
        raise ValueError(
            f"expected a finite shear and shift of at least 0, got {shear} and {shift}"
        )
    if not 0 < share <= 1:
        raise ValueError(f"expected a share above 0 and up to 1, got {share}")


@keras.saving.register_keras_serializable("evalib")
class RandomAffine(keras.layers.Layer):
    """Turn, stretch, slant and move each training image by its own random amount.

    Every image draws six numbers, each uniform between minus and plus its bound. Outside
    training the images pass unchanged. Pixels that come from beyond the border are zero.

    Args:
        rotation: the largest angle, in degrees, 0 to 180.
        scale: the largest relative change of width and of height, drawn apart; 0 to below 1.
        shear: the largest horizontal slant, in pixels of shift a pixel of height.
        shift: the largest move along each axis, in pixels.
        share: the probability that an image is moved at all, above 0 to 1. Reading between pixels
            blurs a little; images that stay are as sharp as those that come after training.
        seed: an integer for the same amounts at every run; `None` follows Keras's global seed.

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
        **options: object,
    ) -> None:
        super().__init__(**options)
        check_affine_bounds(rotation, scale, shear, shift, share)
        self.rotation, self.scale, self.shear, self.shift = rotation, scale, shear, shift
        self.share, self.seed = share, seed
        # TensorFlow's XLA compiler has no kernel for the transformation.
        self.supports_jit = keras.backend.backend() != "tensorflow"
        self.seed_generator = keras.random.SeedGenerator(seed)

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        if len(input_shape) != 4:
            raise ValueError(f"expected (batch, height, width, channels), got shape {input_shape}")
        self.built = True

    def call(self, images: keras.KerasTensor, training: bool = False) -> keras.KerasTensor:
        if not training:
            return images
        _, height, width, _ = images.shape
        count = ops.shape(images)[0]
        uniform = keras.random.uniform((count, 6), -1.0, 1.0, seed=self.seed_generator)
        if self.share < 1:
            drawn = keras.random.uniform((count, 1), seed=self.seed_generator)
            uniform = uniform * ops.cast(drawn < self.share, uniform.dtype)
        return ops.image.affine_transform(
            images,
            self.transforms(uniform, (height - 1) / 2, (width - 1) / 2),
            interpolation="bilinear",
            fill_mode="constant",
        )

    def transforms(
        self, uniform: keras.KerasTensor, center_y: float, center_x: float
    ) -> keras.KerasTensor:
        """Turn uniform numbers into the coefficients of affine maps about a center.

        With angle t, scales p and q and shear k, an output pixel (x, y), measured from the center,
        is read at rotation(t) @ [[p, k q], [0, q]] @ (x, y) + shift.

        Args:
            uniform: shape `(batch, 6)`, each between -1 and 1.
            center_y: the row that stays in place, in pixels.
            center_x: the column that stays in place, in pixels.

        Returns:
            Shape `(batch, 8)`: the `a0, a1, a2, b0, b1, b2, 0, 0` of `affine_transform` in Keras,
            which reads output (x, y) at (a0 x + a1 y + a2, b0 x + b1 y + b2).
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

    def get_config(self) -> dict[str, object]:
        names = ("rotation", "scale", "shear", "shift", "share", "seed")
        return super().get_config() | {name: getattr(self, name) for name in names}


@keras.saving.register_keras_serializable("evalib")
class SReLU(keras.layers.Layer):
    """The S-shaped rectified linear unit: three straight pieces, four learned numbers a channel.

    With the weights `t_right`, `a_right`, `t_left` and `a_left` of a channel, an input x becomes

        t_right + a_right (x - t_right)   where x >= t_right,
        t_left + a_left (x - t_left)      where x <= t_left,
        x                                 between

    (Jin, Xu, Feng, Wei, Xiong and Yan, *Deep Learning with S-shaped Rectified Linear Activation
    Units*, AAAI 2016, arXiv:1512.07030). The gradients by the inputs and by the four weights are
    those of this formula.

    The thresholds stay in order: after each step of an optimizer, a `t_right` that fell below
    `t_left` is put on it. This leaves every gradient as it is. Learning the distance instead, as
    |d| or softplus(d), would drag `t_right` along with `t_left`, and could not meet zero and leave
    it again.

    The paper starts as a leaky ReLU, keeps that frozen for some epochs, and then sets `t_right` by
    the large inputs that each channel has got by then. The defaults here start as the same leaky
    ReLU, of slope 0.2: with `a_right` at one the place of `t_right` makes no difference. To go on
    as the paper does, train with `layer.trainable = False`, call `adapt`, and set it to `True`.

    Args:
        t_left_initializer: of the left threshold.
        a_left_initializer: of the slope left of it; 0.2 unless told otherwise.
        t_right_initializer: of the right threshold. It should not begin below the left one.
        a_right_initializer: of the slope right of it.
        shared_axes: axes of the input, counted from 1, along which all places share their four
            weights. `None` stands for all axes but the last, so that each channel has its own.

    Raises:
        ValueError: an axis to share is not one of the input's, or one not shared has no size.
    """

    def __init__(
        self,
        *,
        t_left_initializer: object = "zeros",
        a_left_initializer: object = None,
        t_right_initializer: object = "ones",
        a_right_initializer: object = "ones",
        shared_axes: Sequence[int] | None = None,
        **options: object,
    ) -> None:
        super().__init__(**options)
        if a_left_initializer is None:
            a_left_initializer = keras.initializers.Constant(0.2)
        self.initializers = {
            "t_right": keras.initializers.get(t_right_initializer),
            "a_right": keras.initializers.get(a_right_initializer),
            "t_left": keras.initializers.get(t_left_initializer),
            "a_left": keras.initializers.get(a_left_initializer),
        }
        self.shared_axes = None if shared_axes is None else list(shared_axes)
        self.supports_masking = True

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        rank = len(input_shape)
        shared = list(range(1, rank - 1)) if self.shared_axes is None else self.shared_axes
        if not set(shared) <= set(range(1, rank)):
            raise ValueError(f"expected axes from 1 to {rank - 1} to share, got {shared}")
        shape = [1 if axis in shared else input_shape[axis] for axis in range(1, rank)]
        if None in shape:
            raise ValueError(f"expected a size of each axis not shared, got shape {input_shape}")
        for name, initializer in self.initializers.items():
            constraint = _NotBelow(lambda: self.t_left) if name == "t_right" else None
            weight = self.add_weight(
                name=name, shape=shape, initializer=initializer, constraint=constraint
            )
            setattr(self, name, weight)

    def call(self, inputs: keras.KerasTensor) -> keras.KerasTensor:
        right = self.t_right + self.a_right * (inputs - self.t_right)
        left = self.t_left + self.a_left * (inputs - self.t_left)
        not_right = ops.where(inputs <= self.t_left, left, inputs)
        return ops.where(inputs >= self.t_right, right, not_right)

    def adapt(self, inputs: np.ndarray, share: float = 0.9) -> None:
        """Put `t_right` where a share of the inputs lies below it, but not below `t_left`.

        Args:
            inputs: what the layer reads, shape `(n, ...)`; all examples count together.
            share: of the inputs that have the same weights, 0 to 1.

        Raises:
            ValueError: the share is out of its range, or the layer has not been built.
        """
        if not 0 <= share <= 1:
            raise ValueError(f"expected a share from 0 to 1, got {share}")
        if not self.built:
            raise ValueError(f"expected a layer that has been built, got {self.name!r} before that")
        alone = self.t_right.shape
        together = (0, *(axis for axis, size in enumerate(alone, start=1) if size == 1))
        places = np.quantile(np.asarray(inputs), share, axis=together).reshape(alone)
        self.t_right.assign(self.t_right.constraint(places.astype("float32")))

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        return input_shape

    def get_config(self) -> dict[str, object]:
        initializers = {
            f"{name}_initializer": keras.initializers.serialize(initializer)
            for name, initializer in self.initializers.items()
        }
        return {**super().get_config(), **initializers, "shared_axes": self.shared_axes}


class _NotBelow(keras.constraints.Constraint):
    """Optimizers put a weight with this constraint on another one where it fell below it."""

    def __init__(self, other: Callable[[], keras.Variable]) -> None:
        self.other = other

    def __call__(self, value: keras.KerasTensor) -> keras.KerasTensor:
        return ops.maximum(value, self.other())
