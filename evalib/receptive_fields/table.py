"""A table of a model's layers: in the course's notation, in columns, as HTML and as records."""

import dataclasses
import html
import textwrap
from collections.abc import Iterator, Sequence
from typing import Any

from evalib.networks.graph import Call
from evalib.receptive_fields.arithmetic import ReceptiveField

Numbers = tuple[Any, ...]


@dataclasses.dataclass(frozen=True)
class LayerRow:
    """One call of a layer, `outer/inner` inside a nested model; `None` for what it does not have.

    Shapes are without the batch. The weights are in the course's notation, such as "(3x3x3)x32"; a
    layer that was listed before has 0 parameters. The field is `None` if an output pixel sees
    nothing, or if it is not known, for this reason.
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
        """The row as texts, as in `ReceptiveFieldTable.HEADINGS`."""
        field, own = self.receptive_field, (self.kernel, self.stride, self.dilation)
        seen = (None, None) if field is None or field.is_global else (field.stride, field.padding)
        window, output = map(format_shape, own), format_shape(self.output_shape)
        parameters, place = f"{self.parameters:,}", map(format_shape, seen)
        return (self.name, self.kind, output, *window, parameters, self._field(), *place)

    def record(self) -> dict[str, Any]:
        """The row as texts, numbers, lists of them and `None`, as JSON has them."""
        record = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        seen = record.pop("receptive_field")
        for name in ("size", "stride", "padding", "is_global", "aligned"):
            record[f"receptive_field_{name}"] = getattr(seen, name, None)
        for name, value in record.items():
            if isinstance(value, tuple):  # a fraction becomes a text such as "1/2"
                record[name] = [n if isinstance(n, int | None) else str(n) for n in value]
        return record

    def _field(self) -> str:
        if self.receptive_field is None:
            return "?" if self.reason else "–"
        return str(self.receptive_field) + ("" if self.receptive_field.aligned else "*")


@dataclasses.dataclass(frozen=True, repr=False)
class ReceptiveFieldTable:
    """A row for each call of a layer: prints in the course's notation, draws as HTML."""

    rows: tuple[LayerRow, ...]

    HEADINGS = (
        *("layer", "kind", "output", "kernel", "stride", "dilation", "parameters"),
        *("receptive field", "its stride", "its padding"),
    )
    # What a narrow terminal can do without, the first first.
    _LEFT_OUT = ("dilation", "stride", "kind", "parameters", "kernel", "its padding", "output")

    def __iter__(self) -> Iterator[LayerRow]:
        return iter(self.rows)

    def __len__(self) -> int:
        return len(self.rows)

    def __str__(self) -> str:
        width = max((len(row.name) for row in self.rows), default=0)
        return "\n".join(f"{row.name.ljust(width)}  {row}" for row in self.rows)

    __repr__ = __str__

    def columns(self, width: int = 80) -> str:
        """The table for a terminal of so many characters, without columns that do not fit, and
        under it what is not known and why."""
        cells = [row.cells() for row in self.rows]
        kept = [n for n, column in enumerate(zip(*cells, strict=True)) if any(column)]
        for name in ("", *self._LEFT_OUT):
            kept = [n for n in kept if self.HEADINGS[n] != name]
            lines = [[line[n] for n in kept] for line in (self.HEADINGS, *cells)]
            widths = [max(map(len, column)) + 2 for column in zip(*lines, strict=True)]
            widths[0] = min(widths[0], max(26, width + 2 - sum(widths[1:])))
            if sum(widths) <= width + 2:
                break
        text = []
        for line in lines:  # Of a name that is too long, what is in the middle is left out.
            fits, half = widths[0] - 2, (widths[0] - 2) // 2
            if len(line[0]) > fits:
                line[0] = f"{line[0][: fits - half - 1]}…{line[0][-half:]}"
            text.append("".join(map(str.ljust, line, widths)).rstrip())
        reasons: dict[str, list[str]] = {}
        for row in self.rows:
            reasons.setdefault(row.reason, []).append(row.name)
        notes = []
        for reason, (first, *more) in reasons.items():
            notes += [f"? {first}{f' and {len(more)} more' * bool(more)}: {reason}"] * bool(reason)
        if any(row.receptive_field and row.receptive_field.note for row in self.rows):
            notes.append("* branches that do not align have met: the extent of them all")
        for note in notes:
            text += textwrap.wrap(note, width, subsequent_indent="  ")
        return "\n".join(text)

    def _repr_html_(self) -> str:
        def line(tag: str, texts: Sequence[str], reason: str = "") -> str:
            cells = "".join(f"<{tag}>{html.escape(text)}</{tag}>" for text in texts)
            title = f' title="{html.escape(reason)}"' if reason else ""
            return f"<tr{title}>{cells}</tr>"

        body = "".join(line("td", row.cells(), row.reason) for row in self.rows)
        return f"<table><thead>{line('th', self.HEADINGS)}</thead><tbody>{body}</tbody></table>"


def make_row(call: Call, shapes: Any, field: Any, reason: str, counted: set[int]) -> LayerRow:
    """The row of a call; shapes are those of its first input and output, with the batch."""
    layer, axes = call.layer, len(shapes[1]) - 2
    kernel = getattr(layer, "kernel_size", None) or getattr(layer, "pool_size", None)

    def numbers(value: Any) -> Numbers | None:
        if not kernel:
            return None
        return tuple(value) if isinstance(value, (tuple, list)) else (value,) * axes

    strides, dilation = getattr(layer, "strides", None), getattr(layer, "dilation_rate", 1)
    ends = tuple(shapes[0][1:]), tuple(shapes[1][1:])
    window = numbers(kernel), numbers(strides or kernel), numbers(dilation)
    count = 0 if id(layer) in counted else getattr(layer, "count_params", lambda: 0)()
    counted.add(id(layer))
    name, kind = call.name, type(layer).__name__
    return LayerRow(name, kind, *ends, *window, _weights(layer), count, field, reason)


def format_shape(sizes: Sequence[Any] | None) -> str:
    """Numbers as `400x400x3`, an unknown one as `?`."""
    return "" if sizes is None else "x".join("?" if n is None else str(n) for n in sizes)


def _weights(layer: Any) -> str:
    """The shapes of a layer's kernels: `(height x width x channels) x how many`."""

    def kernels(shape: Sequence[int], depthwise: bool) -> str:
        *window, read, given = shape
        read, given = (1, read * given) if depthwise else (read, given)
        return f"({format_shape((*window, read))})x{given}"

    kind = type(layer).__name__
    if hasattr(layer, "pointwise_kernel"):
        spread = kernels(layer.depthwise_kernel.shape, True)
        return f"{spread} + {kernels(layer.pointwise_kernel.shape, False)}"
    shape = getattr(getattr(layer, "kernel", None), "shape", ())
    if not shape or not hasattr(layer, "kernel_size"):
        return ""
    if "Transpose" in kind:
        return f"{kernels((*shape[:-2], shape[-1], shape[-2]), False)} transposed"
    return kernels(shape, "Depthwise" in kind)
