"""Receptive fields of Keras models whose layers form one chain.

The arithmetic is that of Araujo, Norris and Sim, *Computing Receptive Fields of Convolutional
Neural Networks*, Distill 2019: a layer with kernel k, dilation d, stride s and padding p, read
by an input whose neighbors lie `stride` input pixels apart, gives

    size    += d (k - 1) * stride
    padding += p * stride
    stride  *= s
"""

import dataclasses
import html
from collections.abc import Callable, Iterator

import keras

Pair = tuple[int, int]

_PIXEL_BY_PIXEL = (
    keras.layers.InputLayer,
    keras.layers.Activation,
    keras.layers.BatchNormalization,
    keras.layers.Dropout,
    keras.layers.SpatialDropout2D,
    keras.layers.LeakyReLU,
    keras.layers.PReLU,
    keras.layers.ELU,
    keras.layers.ReLU,
    keras.layers.Softmax,
    keras.layers.Rescaling,
    keras.layers.Dense,
)
_GATHERING = (
    keras.layers.GlobalAveragePooling2D,
    keras.layers.GlobalMaxPooling2D,
    keras.layers.Flatten,
)
_WINDOWS = (
    keras.layers.Conv2D,
    keras.layers.DepthwiseConv2D,
    keras.layers.SeparableConv2D,
    keras.layers.MaxPooling2D,
    keras.layers.AveragePooling2D,
)


@dataclasses.dataclass(frozen=True)
class ReceptiveField:
    """What one output pixel sees of the input, each a `(height, width)` pair in input pixels.

    Attributes:
        size: the extent of the input that can influence one output pixel.
        stride: how far the fields of two neighboring output pixels lie apart.
        padding: how far the first output pixel's field reaches past the top left corner.
        is_global: whether the output sees the whole input at once. It has no neighbor then, and
            the stride is zero.
    """

    size: Pair
    stride: Pair
    padding: Pair
    is_global: bool = False

    def __str__(self) -> str:
        return "global" if self.is_global else _times(self.size)


@dataclasses.dataclass(frozen=True)
class Row:
    """One layer in a `Table`; a pair is `(height, width)`, `None` where the layer has no such."""

    name: str
    kind: str
    output_shape: tuple[int, ...]
    kernel: Pair | None
    stride: Pair | None
    parameters: int
    receptive_field: ReceptiveField

    def cells(self) -> tuple[str, ...]:
        """The row as texts."""
        return (
            self.name,
            self.kind,
            _times(self.kernel),
            _times(self.stride),
            _times(self.output_shape),
            f"{self.parameters:,}",
            str(self.receptive_field),
        )


@dataclasses.dataclass(frozen=True)
class Table:
    """A row a layer: prints as text, and draws as HTML in a notebook."""

    rows: tuple[Row, ...]

    HEADINGS = ("layer", "kind", "kernel", "stride", "output", "parameters", "receptive field")

    def records(self) -> list[dict[str, object]]:
        """The rows as plain dictionaries."""
        return [dataclasses.asdict(row) for row in self.rows]

    def __iter__(self) -> Iterator[Row]:
        return iter(self.rows)

    def __str__(self) -> str:
        lines = [self.HEADINGS, *(row.cells() for row in self.rows)]
        widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
        return "\n".join(
            "  ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)).rstrip()
            for line in lines
        )

    def _repr_html_(self) -> str:
        def line(tag: str, texts: tuple[str, ...]) -> str:
            cells = "".join(f"<{tag}>{html.escape(text)}</{tag}>" for text in texts)
            return f"<tr>{cells}</tr>"

        body = "".join(line("td", row.cells()) for row in self.rows)
        return f"<table><thead>{line('th', self.HEADINGS)}</thead><tbody>{body}</tbody></table>"


def receptive_field(model: keras.Model, layer: str | None = None) -> ReceptiveField:
    """The receptive field of one layer's output pixels.

    Args:
        model: a Sequential or functional model of 2-D layers that form one chain.
        layer: the layer's name; the last layer unless told otherwise.

    Returns:
        The field, marked `is_global` where the layer sees the whole input.

    Raises:
        ValueError: the layer is not in the model, the layers do not form one chain, or one of
            them is of a kind that is not known here.
    """
    rows = {row.name: row for row in receptive_field_table(model)}
    if layer is None:
        return list(rows.values())[-1].receptive_field
    if layer not in rows:
        raise ValueError(f"expected one of the layers {', '.join(rows)}, got {layer!r}")
    return rows[layer].receptive_field


def receptive_field_table(model: keras.Model) -> Table:
    """Kernel, stride, output, parameters and receptive field of every layer.

    Args:
        model: a Sequential or functional model of 2-D layers that form one chain.

    Returns:
        A row a layer, in the order in which the input passes them. The sizes in
        `output_shape` leave the batch out.

    Raises:
        ValueError: the layers do not form one chain, or one is of a kind not known here.
    """
    field = ReceptiveField((1, 1), (1, 1), (0, 0))
    rows = []
    for layer in _chain(model):
        field = _step(layer, field, whole_input=tuple(model.input_shape[1:3]))
        window = isinstance(layer, _WINDOWS)
        rows.append(
            Row(
                name=layer.name,
                kind=type(layer).__name__,
                output_shape=tuple(layer.output.shape[1:]),
                kernel=_kernel(layer) if window else None,
                stride=tuple(layer.strides) if window else None,
                parameters=layer.count_params(),
                receptive_field=field,
            )
        )
    return Table(tuple(rows))


def _chain(model: keras.Model) -> list[keras.layers.Layer]:
    """The model's layers without the input, if each reads exactly the one before it."""
    layers = [layer for layer in model.layers if not isinstance(layer, keras.layers.InputLayer)]
    source = model.inputs[0]
    for layer in layers:
        if layer.input is not source:
            raise ValueError(f"expected one chain of layers, but {layer.name!r} branches off")
        source = layer.output
    return layers


def _step(layer: keras.layers.Layer, field: ReceptiveField, whole_input: Pair) -> ReceptiveField:
    """The field after one more layer."""
    if isinstance(layer, _PIXEL_BY_PIXEL):
        return field
    if isinstance(layer, _GATHERING):
        # What gathers all pixels in one vector sees them all, unless there is only one.
        single_pixel = tuple(layer.input.shape[1:-1]) == (1, 1)
        everything = ReceptiveField(whole_input, (0, 0), (0, 0), is_global=True)
        return field if single_pixel else everything
    if not isinstance(layer, _WINDOWS):
        raise ValueError(f"layer {layer.name!r} is a {type(layer).__name__}, a kind not known here")
    if field.is_global:
        raise ValueError(f"layer {layer.name!r} stands behind a layer that sees the whole input")
    kernel, dilation = _kernel(layer), tuple(getattr(layer, "dilation_rate", (1, 1)))
    padding = _padding(layer, kernel, dilation)
    return ReceptiveField(
        size=_pair(lambda i: field.size[i] + dilation[i] * (kernel[i] - 1) * field.stride[i]),
        stride=_pair(lambda i: field.stride[i] * layer.strides[i]),
        padding=_pair(lambda i: field.padding[i] + padding[i] * field.stride[i]),
    )


def _padding(layer: keras.layers.Layer, kernel: Pair, dilation: Pair) -> Pair:
    """The zeros that a layer puts before the first row and column."""
    if layer.padding == "valid":
        return (0, 0)

    def before(axis: int) -> int:
        # "same" gives ceil(size / stride) outputs and puts the odd zero at the end.
        size, stride = layer.input.shape[axis + 1], layer.strides[axis]
        if size is None and stride > 1:
            raise ValueError(f"the padding of {layer.name!r} depends on the input size: give one")
        reach = dilation[axis] * (kernel[axis] - 1) + 1
        outputs = 1 if size is None else -(-size // stride)
        span = reach - 1 if size is None else (outputs - 1) * stride + reach - size
        return max(span, 0) // 2

    return _pair(before)


def _kernel(layer: keras.layers.Layer) -> Pair:
    return tuple(getattr(layer, "kernel_size", None) or layer.pool_size)


def _pair(value: Callable[[int], int]) -> Pair:
    return (value(0), value(1))


def _times(sizes: tuple[int, ...] | None) -> str:
    return "" if sizes is None else "x".join(map(str, sizes))
