"""A network from a few numbers: what an experiment can turn, checked before anything is built."""

import dataclasses
from collections.abc import Sequence

import keras
from keras import layers

CONVOLUTIONS = ("full", "separable")
HEADS = ("average", "convolution", "dense")
PADDINGS = ("valid", "same")


@dataclasses.dataclass(frozen=True)
class NetworkConfig:
    """A chain of convolutions with a head. The defaults are those of `s3_network`.

    Attributes:
        channels: the number of kernels of each convolution, in order.
        kernel_sizes: height and width of the kernels: one number for all, or one each.
        pool_after: the convolutions, counted from 1, that a 2x2 max pooling follows. It stands
            before normalization and activation, which costs a quarter and, for an activation
            function that rises everywhere, gives nearly the same.
        convolution: `"full"`, or `"separable"`: a kernel for each channel, then a 1x1 convolution
            (Chollet, *Xception*, 2017). The first convolution is full in both cases.
        padding: `"valid"` or `"same"`.
        normalize: whether batch normalization stands before each activation. Without it the
            convolutions have biases.
        dropout: the share of values that are set to zero behind each activation, 0 to below 1.
        activation: a name that Keras knows.
        initializer: of all kernels, a name that Keras knows.
        head: how maps become class scores. `"average"`: a 1x1 convolution to ten maps and their
            averages. `"convolution"`: a convolution as large as what is left of the image.
            `"dense"`: averages of the channels, then a dense layer of 32 units and one of ten.
    """

    channels: Sequence[int] = (16, 24, 24, 24, 20)
    kernel_sizes: Sequence[int] = (3,)
    pool_after: Sequence[int] = (1,)
    convolution: str = "full"
    padding: str = "valid"
    normalize: bool = True
    dropout: float = 0.0
    activation: str = "relu"
    initializer: str = "glorot_uniform"
    head: str = "average"

    def __post_init__(self) -> None:
        # Lists, as TOML and forms give them, become tuples, so that equal plans are equal.
        for name in ("channels", "kernel_sizes", "pool_after"):
            object.__setattr__(self, name, tuple(getattr(self, name)))
        count = len(self.channels)
        if not count or min(self.channels) < 1:
            raise ValueError(f"expected positive channels, got {list(self.channels)}")
        if len(self.kernel_sizes) not in (1, count) or min(self.kernel_sizes) < 1:
            raise ValueError(
                f"expected one positive kernel size, or {count}, got {list(self.kernel_sizes)}"
            )
        if any(number not in range(1, count + 1) for number in self.pool_after):
            raise ValueError(
                f"expected poolings after convolutions 1 to {count}, got {list(self.pool_after)}"
            )
        # In any order, and named twice, it is the same network.
        object.__setattr__(self, "pool_after", tuple(sorted(set(self.pool_after))))
        for name, known in (
            ("convolution", CONVOLUTIONS),
            ("padding", PADDINGS),
            ("head", HEADS),
        ):
            if getattr(self, name) not in known:
                expected = ", ".join(known)
                raise ValueError(f"expected {name} {expected}, got {getattr(self, name)!r}")
        if not 0 <= self.dropout < 1:
            raise ValueError(f"expected dropout from 0 to below 1, got {self.dropout}")
        for name, find in (
            ("activation", keras.activations.get),
            ("initializer", keras.initializers.get),
        ):
            try:
                find(getattr(self, name))
            except (TypeError, ValueError) as error:
                raise ValueError(f"Keras has no {name} {getattr(self, name)!r}") from error


def build_network(plan: NetworkConfig, *, name: str = "planned") -> keras.Model:
    """Build a network for digits: images of shape 28x28x1 in [0, 1] to ten probabilities.

    Layers are named `conv1`, `pool1`, `norm1`, `activation1`, `dropout1` and so on.

    Raises:
        ValueError: the image becomes too small for one of the layers; says which.

    Example:
        >>> build_network(NetworkConfig()).output_shape
        (None, 10)
    """
    digit = maps = keras.Input((28, 28, 1), name="digit")
    sizes = tuple(plan.kernel_sizes)
    sizes = sizes if len(sizes) > 1 else sizes * len(plan.channels)
    for number, (channels, size) in enumerate(zip(plan.channels, sizes, strict=True), start=1):
        if plan.padding == "valid":
            _check_size(maps, size, f"conv{number}")
        maps = _convolution(plan, number, channels, size)(maps)
        if number in plan.pool_after:
            _check_size(maps, 2, f"pool{number}")
            maps = layers.MaxPooling2D(2, name=f"pool{number}")(maps)
        if plan.normalize:
            maps = layers.BatchNormalization(name=f"norm{number}")(maps)
        maps = layers.Activation(plan.activation, name=f"activation{number}")(maps)
        if plan.dropout:
            maps = layers.Dropout(plan.dropout, name=f"dropout{number}")(maps)
    probabilities = layers.Softmax(name="probabilities")(_head(plan, maps))
    return keras.Model(digit, probabilities, name=name)


def _convolution(plan: NetworkConfig, number: int, channels: int, size: int) -> layers.Layer:
    """One convolution of the plan, not yet applied."""
    options = {"padding": plan.padding, "use_bias": not plan.normalize, "name": f"conv{number}"}
    if plan.convolution == "separable" and number > 1:
        return layers.SeparableConv2D(
            channels,
            size,
            depthwise_initializer=plan.initializer,
            pointwise_initializer=plan.initializer,
            **options,
        )
    return layers.Conv2D(channels, size, kernel_initializer=plan.initializer, **options)


def _head(plan: NetworkConfig, maps: keras.KerasTensor) -> keras.KerasTensor:
    """Maps to the ten scores before the softmax."""
    kernels = {"kernel_initializer": plan.initializer}
    if plan.head == "convolution":
        maps = layers.Conv2D(10, maps.shape[1:3], name="class_maps", **kernels)(maps)
        return layers.Flatten(name="class_scores")(maps)
    if plan.head == "average":
        maps = layers.Conv2D(10, 1, name="class_maps", **kernels)(maps)
        return layers.GlobalAveragePooling2D(name="class_averages")(maps)
    averages = layers.GlobalAveragePooling2D(name="averages")(maps)
    hidden = layers.Dense(32, name="hidden", **kernels)(averages)
    hidden = layers.Activation(plan.activation, name="hidden_activation")(hidden)
    return layers.Dense(10, name="class_scores", **kernels)(hidden)


def _check_size(maps: keras.KerasTensor, needed: int, layer: str) -> None:
    """Raise where a layer without padding is larger than the maps that reach it."""
    height, width = maps.shape[1:3]
    if min(height, width) < needed:
        raise ValueError(
            f"{layer} needs maps of at least {needed}x{needed} pixels, and gets {height}x{width}: "
            "take smaller kernels, fewer poolings, or padding 'same'"
        )
