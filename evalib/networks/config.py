"""A network from a few numbers: what an experiment can change, checked before anything is built."""

import dataclasses
from collections.abc import Sequence

import keras
from keras import layers

from evalib.networks.layers import LAST, softmax_dtype, whole_numbers

_CHOICES: dict[str, tuple[str, ...]] = {"head": ("average", "convolution", "dense")}
_CHOICES |= {"convolution": ("full", "separable"), "padding": ("valid", "same")}
_SEPARABLE = ("depthwise_initializer", "pointwise_initializer")


@dataclasses.dataclass(frozen=True)
class NetworkConfig:
    """A chain of convolutions with a head, checked. The defaults are those of `s3_network`.

    Attributes:
        channels: the number of kernels of each convolution, in order.
        kernel_sizes: height and width of the kernels: one number for all, or one each.
        pool_after: the convolutions, from 1, that a 2x2 max pooling follows, as with `pool_first`.
        convolution: `"full"`, or `"separable"`: a kernel for each channel, then a 1x1 convolution
            (Chollet, *Xception*, 2017). The first convolution is full in both cases.
        padding: `"valid"` or `"same"`.
        normalize: whether batch normalization, in place of a bias, comes before each activation.
        dropout: the share of values that are set to zero after each activation, 0 to below 1.
        activation: a name that Keras knows, as is the `initializer` of all kernels.
        head: `"average"`: a 1x1 convolution to ten maps and their averages; `"convolution"`: one as
            large as the maps; `"dense"`: averages, then dense layers of 32 and of ten units.
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
        # One form for equal configurations, whatever TOML, forms or arrays give.
        channels = tuple(whole_numbers(self.channels, "channels"))
        sizes = tuple(whole_numbers(self.kernel_sizes, "kernel_sizes"))
        chosen, count = list(self.pool_after), len(channels)
        poolings = sorted(set(whole_numbers(chosen, "pool_after"))) if chosen else []
        if len(sizes) not in (1, count):
            raise ValueError(f"expected one positive kernel size, or {count}, got {list(sizes)}")
        if poolings and poolings[-1] > count:
            raise ValueError(f"expected poolings after convolutions 1 to {count}, got {poolings}")
        for name, known in _CHOICES.items():
            if getattr(self, name) not in known:
                raise ValueError(f"expected {name} {known}, got {getattr(self, name)!r}")
        if not isinstance(self.normalize, bool):
            raise ValueError(f"expected normalize True or False, got {self.normalize!r}")
        if not 0 <= self.dropout < 1:
            raise ValueError(f"expected dropout from 0 to below 1, got {self.dropout}")
        for what in ("activation", "initializer"):
            try:
                getattr(keras, f"{what}s").get(getattr(self, what))
            except (TypeError, ValueError) as error:
                raise ValueError(f"Keras has no {what} {getattr(self, what)!r}") from error
        same = {"channels": channels, "kernel_sizes": sizes, "pool_after": tuple(poolings)}
        for name, value in {**same, "dropout": float(self.dropout)}.items():
            object.__setattr__(self, name, value)


def build_network(config: NetworkConfig, *, name: str = "planned") -> keras.Model:
    """Build a network for digits: images of shape 28x28x1 in [0, 1] to ten probabilities.

    Layers are named `conv1`, `pool1`, `norm1`, `activation1`, `dropout1` and so on. A ValueError
    says for which layer the image becomes too small.
    """
    digit = maps = keras.Input((28, 28, 1), name="digit")
    for number, channels in enumerate(config.channels, start=1):
        size = config.kernel_sizes[number - 1 if len(config.kernel_sizes) > 1 else 0]
        options = {"padding": config.padding, "use_bias": not config.normalize, **LAST}
        kind, kernels = layers.Conv2D, {"kernel_initializer": config.initializer}
        if config.convolution == "separable" and number > 1:
            kind, kernels = layers.SeparableConv2D, dict.fromkeys(_SEPARABLE, config.initializer)
        if config.padding == "valid":
            _check_size(maps, size, f"conv{number}")
        maps = kind(channels, size, name=f"conv{number}", **options, **kernels)(maps)
        if number in config.pool_after:
            _check_size(maps, 2, f"pool{number}")
            maps = layers.MaxPooling2D(2, name=f"pool{number}", **LAST)(maps)
        if config.normalize:
            maps = layers.BatchNormalization(name=f"norm{number}")(maps)
        maps = layers.Activation(config.activation, name=f"activation{number}")(maps)
        if config.dropout:
            maps = layers.Dropout(config.dropout, name=f"dropout{number}")(maps)
    softmax = layers.Softmax(name="probabilities", dtype=softmax_dtype())
    return keras.Model(digit, softmax(_head(config, maps)), name=name)


def _head(config: NetworkConfig, maps: keras.KerasTensor) -> keras.KerasTensor:
    kernels = {"kernel_initializer": config.initializer}
    if config.head == "dense":
        averages = layers.GlobalAveragePooling2D(name="averages", **LAST)(maps)
        hidden = layers.Dense(32, name="hidden", **kernels)(averages)
        hidden = layers.Activation(config.activation, name="hidden_activation")(hidden)
        return layers.Dense(10, name="class_scores", **kernels)(hidden)
    size = maps.shape[1:3] if config.head == "convolution" else 1
    maps = layers.Conv2D(10, size, name="class_maps", **kernels, **LAST)(maps)
    if config.head == "convolution":
        return layers.Flatten(name="class_scores", **LAST)(maps)
    return layers.GlobalAveragePooling2D(name="class_averages", **LAST)(maps)


def _check_size(maps: keras.KerasTensor, needed: int, layer: str) -> None:
    size = maps.shape[1]
    if size < needed:
        needs = f"{layer} needs maps of at least {needed}x{needed} pixels, and gets {size}x{size}"
        raise ValueError(f"{needs}: take smaller kernels, fewer poolings, or padding 'same'")
