"""What whole tensors see, and the ways in which layers change it: slide, gather, merge, move."""

import dataclasses
import functools
import inspect
import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import keras
import numpy as np

from evalib.receptive_fields import axis_maps
from evalib.receptive_fields.axis_maps import FAR, AxisMap, Shape, Window

_MOST_LISTED = 1 << 22


class UnknownFieldError(ValueError):
    """Says why it is not known what a layer sees."""


@dataclasses.dataclass(frozen=True)
class TensorField:
    """What a tensor sees along each of the input's axes of positions, its own axis of channels,
    which together are one position, and where branches met that do not align, if any."""

    maps: tuple[AxisMap, ...]
    channel: int | None
    note: str = ""

    @property
    def rank(self) -> int:
        return self.maps[0].endless.ndim

    def each(self, change: Callable[[AxisMap], AxisMap]) -> "TensorField":
        return dataclasses.replace(self, maps=tuple(map(change, self.maps)))

    def along(self, axis: int, change: Callable[..., AxisMap], *arguments: Any) -> "TensorField":
        return self.each(lambda m: change(m, axis, *arguments) if axis in m.depends_on() else m)

    def slide(self, moves: Mapping[int, Window]) -> "TensorField":
        return functools.reduce(lambda f, a: f.along(a, AxisMap.slide, moves[a]), moves, self)

    def gather(self, axes: Iterable[int]) -> "TensorField":
        return functools.reduce(lambda field, a: field.along(a, AxisMap.gather), axes, self)

    def accumulate(self, axis: int) -> "TensorField":
        return self.along(axis, AxisMap.accumulate)

    def with_channel(self, axis: int | None) -> "TensorField":
        return dataclasses.replace(self, channel=axis)

    def move(self, change: Callable[[np.ndarray], np.ndarray]) -> "TensorField":
        channel = axis_maps.moved_axis(self.channel, self.rank, change)
        return self.each(lambda each: each.move(change)).with_channel(channel)

    def remove(self, axes: Iterable[int]) -> "TensorField":
        removed = tuple(axes)
        field = self.with_channel(None if self.channel in removed else self.channel)
        return field.gather(removed).move(lambda b: b.squeeze(removed))

    def insert(self, axis: int, count: int = 1) -> "TensorField":
        return self.move(lambda b: np.expand_dims(b, tuple(range(axis, axis + count))))

    def transpose(self, order: Sequence[int]) -> "TensorField":
        return self.move(lambda b: b.transpose(order))

    def select(self, axis: int, index: Any, shift: int | None = None) -> "TensorField":
        """Take positions in the order of an index; `shift` if away from the border all move so."""
        border = axis_maps.chosen(np.asarray(index, np.int64))
        window = border if shift is None else Window([-shift], [1], 1, border.size)
        field = self if window.step else self.along(axis, AxisMap.as_listed)
        return field.along(axis, AxisMap.slide, window, border)

    def reshape(self, old: Shape, new: Shape) -> "TensorField":
        """Follow a reshape; channels that are joined with positions, or split, are the last."""
        if math.prod(old[1:]) != math.prod(new[1:]):
            raise UnknownFieldError("it moves values between the batch and other axes")
        channel = None
        for before, after in axis_maps.blocks(old, new):
            channel = after[-1] if self.channel in before else channel
        channel = len(new) - 1 if len(new) == 2 or new[-1] == 1 else channel
        return self.each(lambda each: each.reshape(old, new)).with_channel(channel)

    def mix_channels(
        self, axis: int, groups: int = 1, size: int = 1, outputs: int = 1
    ) -> "TensorField":
        if groups == 1:
            return self.gather([axis]).with_channel(axis)
        starts = np.arange(outputs) // max(outputs // groups, 1) * (size // groups)
        window = Window(starts, np.full(outputs, size // groups), 0, outputs)
        listed = self.along(axis, AxisMap.as_listed)
        return listed.along(axis, AxisMap.slide, window).with_channel(axis)


@dataclasses.dataclass(frozen=True)
class Operand:
    """A tensor that a layer reads: its shape with the batch, and what it sees, if anything."""

    shape: Shape
    field: TensorField | None
    dtype: str = "float32"


class LayerCall:
    """One call of a layer or an operation: its arguments, with an `Operand` in place of each tensor
    of the graph, the shapes that it gives, and its first tensor's axes of channels and pixels."""

    def __init__(self, layer: Any, args: Any, kwargs: Any, shapes: Sequence[Shape]) -> None:
        self.layer, self.args, self.kwargs, self.shapes = layer, args, kwargs, shapes
        self.kind = type(layer).__name__
        leaves = keras.tree.flatten((args, dict(kwargs)))
        self.operands = [leaf for leaf in leaves if isinstance(leaf, Operand)]
        self.shape = self.operands[0].shape
        first = 2 if self.kind.startswith("ConvLSTM") else 1  # Its axis 1 is time.
        self.channel = first if channels_first(layer) else len(self.shape) - 1
        self.positions = [n for n in range(first, len(self.shape)) if n != self.channel] or [1]

    @property
    def field(self) -> TensorField:
        """What the first tensor sees, where no other sees anything."""
        self.check_only(self.operands[0])
        if self.operands[0].field is None:
            raise UnknownFieldError("it does not read the source through its first input")
        return self.operands[0].field

    def argument(self, name: str) -> Any:
        bound = inspect.signature(self.layer.call).bind(*self.args, **self.kwargs)
        return bound.arguments.get(name)

    def option(self, name: str, default: Any = None) -> Any:
        return getattr(self.layer, name, default)

    def check_only(self, *known: Any) -> None:
        """Refuse the call if it reads the source through other arguments than these."""
        numbers = {id(each) for each in keras.tree.flatten(known)}
        if any(each.field and id(each) not in numbers for each in self.operands):
            raise UnknownFieldError("it reads the source through an argument that is not followed")

    def axis(self, more: int = 0) -> int:
        if self.layer.axis is None:
            raise UnknownFieldError("it works on all axes at once, the batch among them")
        return int(self.layer.axis % (len(self.shape) + more))


def channels_first(layer: Any) -> bool:
    given = getattr(layer, "data_format", "channels_last") or keras.config.image_data_format()
    return bool(given == "channels_first")


def join(fields: Sequence[TensorField]) -> TensorField:
    """Position by position: each output sees what the same position of each input sees."""
    pairs = list(zip(*(field.maps for field in fields), strict=True))
    notes = [field.note for field in fields] + [_misaligned(maps) for maps in pairs]
    channel = next((field.channel for field in fields if field.channel is not None), None)
    maps = tuple(axis_maps.combine(maps) for maps in pairs)
    return TensorField(maps, channel, next(filter(None, notes), ""))


def merge(call: LayerCall) -> TensorField:
    """Element by element, with the smaller inputs broadcast."""
    shape, fields = call.shapes[0], []
    for operand in call.operands:
        if operand.field is not None:
            more = len(shape) - len(operand.shape)
            old, field = (None, *[1] * more, *operand.shape[1:]), operand.field.insert(1, more)
            fields.append(field.gather(n for n in range(1, len(shape)) if old[n] != shape[n]))
    return join(fields)


def end_to_end(operands: Sequence[Operand], axis: int) -> TensorField:
    fields = [operand.field for operand in operands if operand.field is not None]
    sizes, first = [operand.shape[axis] for operand in operands], fields[0]
    along = [each.clipped.size // each.clipped.shape[axis] for f in fields for each in f.maps]
    if axis == first.channel and max(along) * sum(sizes) > _MOST_LISTED:
        return join([field.gather([axis]) for field in fields])  # all channels as one
    blank = np.full((2, *[1] * (first.rank - 1)), FAR)
    notes, maps = [field.note for field in fields], []
    for number, pattern in enumerate(first.maps):
        nothing = AxisMap(pattern.pixels, blank, blank.astype(np.int32))
        pieces = [o.field.maps[number] if o.field else nothing for o in operands]
        notes.append(_misaligned(pieces) if axis == first.channel else "")
        maps.append(axis_maps.combine(pieces, sizes, axis))
    return TensorField(tuple(maps), first.channel, next(filter(None, notes), ""))


def einsum(terms: Sequence[Any], equation: str) -> TensorField:
    """Sums of products: an axis whose letter is not in the output is seen as a whole."""
    *inputs, output = re.split(r",|->", equation.replace(" ", ""))
    fields = []
    for term, letters in zip(terms, inputs, strict=False):
        if not isinstance(term, Operand) or term.field is None:
            continue
        dots = "ABCDEFGH"[: len(term.shape) - len(letters.replace("...", ""))]
        letters, result = letters.replace("...", dots), output.replace("...", dots)
        if letters[0] != result[0] or len(set(letters)) < len(letters):
            raise UnknownFieldError(f"the products {equation!r} are not known")
        field = term.field.remove(n for n, letter in enumerate(letters) if letter not in result)
        kept = [letter for letter in letters if letter in result]
        field = field.transpose([kept.index(letter) for letter in result if letter in kept])
        for n, letter in enumerate(result):
            field = field if letter in kept else field.insert(n)
        channel = len(result) - 1 if field.channel is None else field.channel
        fields.append(field.with_channel(channel))
    if len({field.rank for field in fields}) > 1:
        raise UnknownFieldError(f"the products {equation!r} are not known")
    return join(fields)


def attention(call: LayerCall, operands: Any, axes: Any, causal: Any, masks: Any) -> TensorField:
    """A query sees itself, and the keys and values along some axes that a mask lets it see."""
    call.check_only(operands)
    query, *others = operands
    if any(m is not None and not isinstance(m, Operand) for m in keras.tree.flatten(masks)):
        raise UnknownFieldError("attention with a mask of its own is not known")
    if causal and (tuple(axes) != (1,) or query.shape[1] != others[0].shape[1]):
        raise UnknownFieldError("a causal mask is known for one axis and as many keys as queries")
    fields = [query.field] if query.field else []
    for field in {id(other.field): other.field for other in others if other.field}.values():
        fields.append(field.accumulate(1) if causal else field.gather(axes))
    return join([field.gather([len(query.shape) - 1]) for field in fields])


def _misaligned(maps: Sequence[AxisMap]) -> str:
    """Why positions that meet do not see the same place, or nothing if they do."""
    even = [each for each in maps if each.axis is not None and each.clipped.shape[each.axis] > 1]
    even = [each for each in even if each.step and not (each.endless == -FAR).any()]
    strides = sorted({each.stride for each in even})
    if len(strides) > 1:
        return f"their strides differ: {', '.join(map(str, strides))}"
    found = set()
    for each in even:  # The middle of what the first position sees, on average over a period.
        bounds = np.moveaxis(each.endless, each.axis or 0, -1)
        middles = (bounds[0] - bounds[1]) / 2 - np.arange(each.period) * float(each.stride)
        found.add(float(middles[bounds[0] < FAR].mean()))
    centers = sorted(found)
    # Half a step is what padding "same" has to round by: the nearest position still matches.
    if centers and centers[-1] - centers[0] > abs(strides[0]) / 2:
        differ = ", ".join(f"{center:g}" for center in centers)
        return f"the centers of what their first positions see differ: {differ}"
    return ""
