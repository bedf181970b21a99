"""A table of a model's layers: in the course's notation, in columns, as HTML and as records."""

import dataclasses
import html
import textwrap
from collections.abc import Iterator, Sequence
from typing import Any, ClassVar

from evalib.networks.graph import Call
from evalib.receptive_fields.arithmetic import ReceptiveField

Numbers = tuple[Any, ...]


@dataclasses.dataclass(frozen=True)
class LayerRow:
    """One call of a layer; `None` where the layer has no such thing.

    Attributes:
        name, kind: the layer's name, `outer/inner` inside a nested model, and its class.
        input_shape, output_shape: without the batch.
        kernel, stride, dilation: of its window along each axis.
        weights: its kernels in the course's notation, such as "(3x3x3)x32".
        parameters: the number of its weights, 0 where the layer was listed before.
        receptive_field: what an output pixel sees; `None` if nothing, or if that is not known.
        reason: why the field is not known; empty if it is.
    """

    name: str
    kind: str
    input_shape: Numbers
    output_shape: Numbers
    kernel: Numbers | None
    stride: Numbers | None
    dilation: Numbers | None
    weights: str
    parameters: int
    receptive_field: ReceptiveField | None
    reason: str = ""

    def __str__(self) -> str:
        """The row as the course writes it: `400x400x3 | (3x3x3)x32 | 398x398x32 | RF of 3x3`."""
        action = self.kind + (f"({format_shape(self.kernel)})" if self.kernel else "")
        field = self._field()
        seen = {"–": "no RF", "global": "RF global", "?": "RF ?"}.get(field, f"RF of {field}")
        shapes = format_shape(self.input_shape), format_shape(self.output_shape)
        return " | ".join([shapes[0], self.weights or action, shapes[1], seen])

    def cells(self) -> tuple[str, ...]:
        """The row as texts, one for each of `ReceptiveFieldTable.HEADINGS`."""
        field, own = self.receptive_field, (self.kernel, self.stride, self.dilation)
        seen = (None, None) if field is None or field.is_global else (field.stride, field.padding)
        return (
            self.name,
            self.kind,
            format_shape(self.output_shape),
            *map(format_shape, own),
            f"{self.parameters:,}",
            self._field(),
            *map(format_shape, seen),
        )

    def record(self) -> dict[str, Any]:
        """The row as texts, numbers, lists of them and `None`, as JSON has them."""
        record = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        seen = record.pop("receptive_field")
        for name in ("size", "stride", "padding", "is_global", "aligned"):
            record[f"receptive_field_{name}"] = getattr(seen, name, None)
        lists = {k: list(v) for k, v in record.items() if isinstance(v, tuple)}
        plain = (int, type(None))  # a fraction becomes a text such as "1/2"
        return record | {
            k: [n if isinstance(n, plain) else str(n) for n in v] for k, v in lists.items()
        }

    def _field(self) -> str:
        if self.receptive_field is None:
            return "?" if self.reason else "–"
        return str(self.receptive_field) + ("" if self.receptive_field.aligned else "*")


@dataclasses.dataclass(frozen=True, repr=False)
class ReceptiveFieldTable:
    """A row for each call of a layer: prints in the course's notation, draws as HTML."""

    rows: tuple[LayerRow, ...]

    HEADINGS: ClassVar = (
        *("layer", "kind", "output", "kernel", "stride", "dilation", "parameters"),
        *("receptive field", "its stride", "its padding"),
    )
    # What a narrow terminal can do without, the first first.
    _LEFT_OUT: ClassVar = (
        "dilation",
        "stride",
        "kind",
        "parameters",
        "kernel",
        "its padding",
        "output",
    )

    def __iter__(self) -> Iterator[LayerRow]:
        return iter(self.rows)

    def __len__(self) -> int:
        return len(self.rows)

    def __str__(self) -> str:
        width = max((len(row.name) for row in self.rows), default=0)
        return "\n".join(f"{row.name.ljust(width)}  {row}" for row in self.rows)

    __repr__ = __str__

    def columns(self, width: int = 80) -> str:
        """The table for a terminal of so many characters, and under it what is not known and why.

        Columns that do not fit are left out, and long names are cut in their middle.
        """
        cells = [row.cells() for row in self.rows]
        kept = [n for n, column in enumerate(zip(*cells, strict=True)) if any(column)]
        for name in ("", *self._LEFT_OUT):
            kept = [n for n in kept if self.HEADINGS[n] != name]
            lines = [[line[n] for n in kept] for line in (self.HEADINGS, *cells)]
            widths = [max(map(len, column)) + 2 for column in zip(*lines, strict=True)]
            widths[0] = min(widths[0], max(26, width + 2 - sum(widths[1:])))
            if sum(widths) <= width + 2:
                break
        text = [
            "".join(_cut(c, w - 2).ljust(w) for c, w in zip(line, widths, strict=True)).rstrip()
            for line in lines
        ]
        reasons: dict[str, list[str]] = {}
        for row in self.rows:
            reasons.setdefault(row.reason, []).append(row.name)
        notes = [
            f"? {names[0]}{f' and {len(names) - 1} more' * (len(names) > 1)}: {reason}"
            for reason, names in reasons.items()
            if reason
        ]
        if any(row.receptive_field and row.receptive_field.note for row in self.rows):
            notes.append("* branches that do not align have met: the extent of them all")
        for note in notes:
            text += textwrap.wrap(note, width, subsequent_indent="  ")
        return "\n".join(text)

    def _repr_html_(self) -> str:
        def line(tag: str, texts: Sequence[str], reason: str = "") -> str:
            cells = "".join(f"<{tag}>{html.escape(text)}</{tag}>" for text in texts)
            return (
                f'<tr title="{html.escape(reason)}">{cells}</tr>' if reason else f"<tr>{cells}</tr>"
            )

        body = "".join(line("td", row.cells(), row.reason) for row in self.rows)
        return f"<table><thead>{line('th', self.HEADINGS)}</thead><tbody>{body}</tbody></table>"


def make_row(
    call: Call,
    shapes: Sequence[Numbers],
    field: ReceptiveField | None,
    reason: str,
    *,
    counted: bool,
) -> LayerRow:
    """The row of a call whose first input and output have these shapes, with the batch. An earlier
    row may have counted its parameters."""
    layer, axes = call.layer, len(shapes[1]) - 2
    kernel = getattr(layer, "kernel_size", None) or getattr(layer, "pool_size", None)

    def numbers(value: Any) -> Numbers | None:
        if not kernel:
            return None
        return tuple(value) if isinstance(value, (tuple, list)) else (value,) * axes

    return LayerRow(
        name=call.name,
        kind=type(layer).__name__,
        input_shape=tuple(shapes[0][1:]),
        output_shape=tuple(shapes[1][1:]),
        kernel=numbers(kernel),
        stride=numbers(getattr(layer, "strides", None) or kernel),
        dilation=numbers(getattr(layer, "dilation_rate", 1)),
        weights=_weights(layer),
        parameters=0 if counted or not hasattr(layer, "count_params") else layer.count_params(),
        receptive_field=field,
        reason=reason,
    )


def format_shape(sizes: Sequence[Any] | None) -> str:
    """Numbers as `400x400x3`, an unknown one as `?`."""
    return "" if sizes is None else "x".join("?" if n is None else str(n) for n in sizes)


def _weights(layer: Any) -> str:
    """The shapes of a layer's kernels: `(height x width x channels) x how many`."""
    if hasattr(layer, "pointwise_kernel"):
        spread, mixed = layer.depthwise_kernel.shape, layer.pointwise_kernel.shape
        depthwise = f"({format_shape((*spread[:-2], 1))})x{spread[-2] * spread[-1]}"
        return f"{depthwise} + ({format_shape(mixed[:-1])})x{mixed[-1]}"
    kernel, kind = getattr(layer, "kernel", None), type(layer).__name__
    if kernel is None or not hasattr(layer, "kernel_size"):
        return ""
    shape = tuple(kernel.shape)
    if "Depthwise" in kind:
        return f"({format_shape((*shape[:-2], 1))})x{shape[-2] * shape[-1]}"
    if "Transpose" in kind:
        return f"({format_shape((*shape[:-2], shape[-1]))})x{shape[-2]} transposed"
    return f"({format_shape(shape[:-1])})x{shape[-1]}"


def _cut(text: str, width: int) -> str:
    """A text that is no longer than this: what is too much in its middle is left out."""
    half = width // 2
    return text if len(text) <= width else f"{text[: width - half - 1]}…{text[-half:]}"
