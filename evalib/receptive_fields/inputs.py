"""Which input and which layer of a model a question is about, and where positions lie in it."""

import contextlib
import difflib
import re
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

import keras

from evalib.networks.graph import Call, has_graph, run_through_graph
from evalib.receptive_fields.axis_maps import AxisMap
from evalib.receptive_fields.rules import follow
from evalib.receptive_fields.tensor_fields import Operand, TensorField, channels_first

Value = TypeVar("Value")


def choose_sources(model: keras.Model, source: str | None) -> list[int]:
    """The numbers of the inputs that count as the image: the one named, or all of highest rank."""
    names = [tensor.name for tensor in model.inputs]
    listed = ", ".join(names)
    if source in names:
        return [names.index(source)]
    if source is not None:
        raise ValueError(f"expected one of the inputs {listed}, got {source!r}")
    ranks = [len(tensor.shape) for tensor in model.inputs]
    images = [number for number, rank in enumerate(ranks) if rank == max(ranks)]
    sizes = [[model.inputs[n].shape[a] for a in position_axes(model, n)] for n in images]
    if any(size != sizes[0] for size in sizes):
        raise ValueError(f"expected source=, one of the inputs {listed}, which differ in size")
    return images


def source_operand(tensor: keras.KerasTensor, size: int, axes: Sequence[int] | None) -> Operand:
    """An input of a model, of this size if its own is not known. Each pixel sees itself along these
    axes of positions; `None` for an input that is not looked back to."""
    shape = (None, *(size if length is None else length for length in tensor.shape[1:]))
    if axes is None:
        return Operand(shape, None, tensor.dtype)
    others = [axis for axis in range(1, len(shape)) if axis not in axes]
    maps = tuple(AxisMap.identity(axis, shape) for axis in axes)
    channel = others[-1] if others else 1 if len(shape) == 2 else None
    return Operand(shape, TensorField(maps, channel), tensor.dtype)


def position_axes(model: keras.Model, number: int) -> tuple[int, ...]:
    """The axes of an input that hold positions: all but the batch and the channels.

    Which axis holds channels is told by the first layer that has to know, such as a convolution:
    its axis of channels is followed back to the input, unless it is a new one.
    """
    rank = len(model.inputs[number].shape)
    channel = 1 if keras.config.image_data_format() == "channels_first" and rank > 3 else rank - 1
    found: list[list[int]] = []

    def visit(call: Call, operands: list[Operand]) -> list[Operand]:
        field, axis = operands[0].field, channel_axis_of(call.layer, len(operands[0].shape))
        if axis is not None and isinstance(field, TensorField):
            on = [each.depends_on() for each in field.maps]
            found.append([n for n, axes in enumerate(on, start=1) if axes in ([], [axis])])
            raise StopIteration
        return follow(call, operands)

    if rank <= 2:
        return tuple(range(1, rank))
    operands = [
        source_operand(each, 256, range(1, len(each.shape)) if n == number else None)
        for n, each in enumerate(model.inputs)
    ]
    if has_graph(model):
        with contextlib.suppress(StopIteration):
            run_through_graph(model, operands, visit)
    for mixed in found:
        channel = channel if channel in mixed else [0, *mixed][-1]
    return tuple(axis for axis in range(1, rank) if axis != channel)


def channel_axis_of(layer: Any, rank: int) -> int | None:
    """Where a layer expects the channels of a tensor, if it says so, or the one that it wraps."""
    for name in ("forward_layer", "layer", "cell"):
        layer = getattr(layer, name, layer)
    if getattr(layer, "data_format", None) is None:
        return None
    size = getattr(layer, "kernel_size", None) or getattr(layer, "pool_size", None)
    positions = len(size) if isinstance(size, (tuple, list)) else rank - 2
    return rank - 1 - positions if channels_first(layer) else rank - 1


def choose_layer(
    layer: str | None, found: Mapping[str, Value], outputs: Sequence[tuple[str, Value]]
) -> list[Value]:
    """What was found for each call of a layer ("conv" finds "outer/conv#2", too), or the output."""
    if layer is None and len(outputs) > 1:
        names = ", ".join(name for name, _ in outputs)
        raise ValueError(f"the model has several outputs: name one with layer=, of {names}")
    if layer is None or layer in found:
        return [outputs[0][1] if layer is None else found[layer]]
    short = re.compile(rf"(.*/)?{re.escape(layer)}(#\d+)?")
    values = [value for name, value in found.items() if short.fullmatch(name)]
    if not values:
        names = ", ".join(difflib.get_close_matches(layer, found, 3, 0.4) or [*found][:8])
        raise ValueError(f"expected the name of a layer such as {names}; got {layer!r}")
    return values
