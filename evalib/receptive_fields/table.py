"""A table of a model's layers, in the course's notation, as HTML, and as plain records."""

import dataclasses
import html
from collections.abc import Iterator, Sequence
from typing import Any

from evalib.receptive_fields.arithmetic import ReceptiveField

Numbers = tuple[int, ...]


@dataclasses.dataclass(frozen=True)
class LayerRow:
    """One call of a layer; `None` where the layer has no such thing.

    Attributes:
        name: the layer's name; `outer/inner` inside a nested model.
        kind: its class.
        input_shape: what it reads first, without the batch.
        output_shape: what it gives, without the batch.
        kernel: the window's extent along each axis.
        stride: how far the window moves along each axis.
        dilation: the distance between two positions that the kernel reads.
        weights: the kernels in the course's notation, such as "(3x3x3)x32".
        parameters: the number of its weights, 0 where the layer was listed before.
        receptive_field: what an output pixel sees, `None` where it sees nothing of the input.
    """

    name: str
    kind: str
    input_shape: tuple[int | None, ...]
    output_shape: tuple[int | None, ...]
    kernel: Numbers | None
    stride: Numbers | None
    dilation: Numbers | None
    weights: str
    parameters: int
    receptive_field: ReceptiveField | None

    def __str__(self) -> str:
        """The row as the course writes it: `400x400x3 | (3x3x3)x32 | 398x398x32 | RF of 3x3`."""
        field = self.receptive_field
        seen = "no RF" if field is None else "RF global" if field.is_global else f"RF of {field}"
        return " | ".join(
            [
                format_shape(self.input_shape),
                self.weights or self._action(),
                format_shape(self.output_shape),
                seen,
            ]
        )

    def cells(self) -> tuple[str, ...]:
        """The row as texts, one for each of `ReceptiveFieldTable.HEADINGS`."""
        field = self.receptive_field
        seen = () if field is None or field.is_global else (field.stride, field.padding)
        return (
            self.name,
            self.kind,
            format_shape(self.output_shape),
            format_shape(self.kernel),
            format_shape(self.stride),
            format_shape(self.dilation),
            f"{self.parameters:,}",
            "–" if field is None else str(field),
            *(map(format_shape, seen) if seen else ("", "")),
        )

    def _action(self) -> str:
        return self.kind + (f"({format_shape(self.kernel)})" if self.kernel else "")


@dataclasses.dataclass(frozen=True, repr=False)
class ReceptiveFieldTable:
    """A row a layer: prints in the course's notation, and draws as HTML in a notebook."""

    rows: tuple[LayerRow, ...]

    HEADINGS = (
        "layer",
        "kind",
        "output",
        "kernel",
        "stride",
        "dilation",
        "parameters",
        "receptive field",
        "its stride",
        "its padding",
    )

    def records(self) -> list[dict[str, Any]]:
        """The rows as plain dictionaries of texts, numbers, tuples and `None`."""
        return [_record(row) for row in self.rows]

    def columns(self) -> str:
        """The table as text in columns, all headings included, for a terminal."""
        lines = [self.HEADINGS, *(row.cells() for row in self.rows)]
        used = [any(cells) for cells in zip(*lines[1:], strict=True)]
        kept = [[cell for cell, use in zip(line, used, strict=True) if use] for line in lines]
        widths = [max(map(len, column)) for column in zip(*kept, strict=True)]
        return "\n".join(
            "  ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)).rstrip()
            for line in kept
        )

    def select(self, names: Sequence[str] = (), kinds: Sequence[str] = ()) -> "ReceptiveFieldTable":
        """The rows of these layers, or of these kinds, in their order."""
        return ReceptiveFieldTable(
            tuple(row for row in self.rows if row.name in names or row.kind in kinds)
        )

    def __iter__(self) -> Iterator[LayerRow]:
        return iter(self.rows)

    def __len__(self) -> int:
        return len(self.rows)

    def __str__(self) -> str:
        width = max((len(row.name) for row in self.rows), default=0)
        return "\n".join(f"{row.name.ljust(width)}  {row}" for row in self.rows)

    __repr__ = __str__

    def _repr_html_(self) -> str:
        def line(tag: str, texts: Sequence[str]) -> str:
            cells = "".join(f"<{tag}>{html.escape(text)}</{tag}>" for text in texts)
            return f"<tr>{cells}</tr>"

        body = "".join(line("td", row.cells()) for row in self.rows)
        return f"<table><thead>{line('th', self.HEADINGS)}</thead><tbody>{body}</tbody></table>"


def make_row(
    layer: Any,
    name: str,
    shapes: tuple[Sequence[int | None], Sequence[int | None]],
    field: ReceptiveField | None,
    *,
    counted: bool,
) -> LayerRow:
    """One row of a table.

    Args:
        layer: a Keras layer or operation.
        name: what to call it.
        shapes: of its first input and its first output, without the batch.
        field: what its output sees.
        counted: whether an earlier row has counted its parameters.
    """
    kernel = getattr(layer, "kernel_size", None) or getattr(layer, "pool_size", None)
    axes = len(shapes[1]) - 1
    return LayerRow(
        name=name,
        kind=type(layer).__name__,
        input_shape=tuple(shapes[0]),
        output_shape=tuple(shapes[1]),
        kernel=_numbers(kernel, axes),
        stride=_numbers(getattr(layer, "strides", None) or kernel, axes) if kernel else None,
        dilation=_numbers(getattr(layer, "dilation_rate", 1), axes) if kernel else None,
        weights=_weights(layer),
        parameters=0 if counted or not hasattr(layer, "count_params") else layer.count_params(),
        receptive_field=field,
    )


def format_shape(sizes: Sequence[Any] | None) -> str:
    """Numbers as `400x400x3`, an unknown one as `?`."""
    return "" if sizes is None else "x".join("?" if n is None else str(n) for n in sizes)


def _weights(layer: Any) -> str:
    """The shapes of a layer's kernels: `(height x width x channels) x how many`."""
    if hasattr(layer, "pointwise_kernel"):
        spread, mixed = layer.depthwise_kernel.shape, layer.pointwise_kernel.shape
        single = (*spread[:-2], 1)
        depthwise = f"({format_shape(single)})x{spread[-2] * spread[-1]}"
        return f"{depthwise} + ({format_shape(mixed[:-1])})x{mixed[-1]}"
    kernel = getattr(layer, "kernel", None)
    if kernel is None or not hasattr(layer, "kernel_size"):
        return ""
    shape = tuple(kernel.shape)
    kind = type(layer).__name__
    if "Depthwise" in kind:
        return f"({format_shape((*shape[:-2], 1))})x{shape[-2] * shape[-1]}"
    if "Transpose" in kind:
        return f"({format_shape((*shape[:-2], shape[-1]))})x{shape[-2]} transposed"
    return f"({format_shape(shape[:-1])})x{shape[-1]}"


def _numbers(value: Any, axes: int) -> Numbers | None:
    if value is None:
        return None
    return tuple(value) if isinstance(value, (tuple, list)) else (value,) * axes


def _record(row: LayerRow) -> dict[str, Any]:
    record = {field.name: getattr(row, field.name) for field in dataclasses.fields(row)}
    seen = record.pop("receptive_field")
    for name in ("size", "stride", "padding", "is_global"):
        record[f"receptive_field_{name}"] = None if seen is None else getattr(seen, name)
    return record
