"""Receptive fields of Keras models: exact for whole graphs.

`axis_maps` has the arithmetic, `layer_rules` and `operation_rules` say what each layer reads.
"""

import dataclasses
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np

from evalib.networks.graph import Call, run_through_graph, tensors
from evalib.receptive_fields import layer_rules  # noqa: F401 -- its rules are found by name
from evalib.receptive_fields.arithmetic import ReceptiveField
from evalib.receptive_fields.inputs import (
    choose_layer,
    choose_sources,
    position_axes,
    source_operand,
)
from evalib.receptive_fields.rules import SizeError, follow
from evalib.receptive_fields.table import ReceptiveFieldTable, make_row
from evalib.receptive_fields.tensor_fields import Operand, Shape, TensorField, UnknownFieldError

Answer = ReceptiveField | UnknownFieldError | None

# A model of any size is followed at several. The first two fit networks that halve and double; the
# others leave other rests at each halving. The larger ones are for networks that cut much away.
_SIZES = ((256, 320, 257, 303), (4096, 5120, 4097, 4911), (1 << 16, 5 << 14, 65537, 78537))


def receptive_field(
    model: keras.Model, layer: str | None = None, *, source: str | None = None, strict: bool = False
) -> ReceptiveField:
    """The part of the input that can influence one output pixel of a layer.

    Exact for convolutions, poolings, padding, resampling, reshaping, attention, recurrent layers,
    and all that works pixel by pixel, as at inference. Where branches meet, it is the extent of
    them all; if they do not see the same places, a warning says so, and `aligned` is false. The
    formulas are those of Araujo, Norris and Sim, Distill 2019.

    Args:
        model: a Sequential or functional model; it may hold other models.
        layer: the layer's name, `outer/inner` or just `inner` in a nested model; the model's
            output unless told otherwise.
        source: the name of the input to look back to. Without it all inputs of the same size
            count as one, as channels of one image would.
        strict: whether branches that do not align are an error.

    Returns:
        Size, stride and padding in input pixels, one number for each axis; "global" where the
        layer sees the whole input.

    Raises:
        ValueError: the model has no graph; the layer or the input is not in it; the field is not
            known, with the reason (see `register_layer` and `measure_receptive_field`); or
            branches do not align, with `strict`.

    Example:
        >>> from keras import Input, Sequential, layers
        >>> model = Sequential([Input((28, 28, 1)), layers.Conv2D(8, 3), layers.MaxPooling2D(2)])
        >>> field = receptive_field(model)
        >>> field.size, field.stride
        ((4, 4), (2, 2))
    """

    def pick(walk: _Walk) -> list[Answer]:
        found = walk.inputs | {name: results[0] for name, (_, _, results) in walk.calls.items()}
        return [_answer(each) for each in choose_layer(layer, found, walk.outputs)]

    answers, name = _followed(model, source, strict, pick), layer or "the output"
    for answer in answers:
        if isinstance(answer, UnknownFieldError):
            raise answer
        if answer != answers[0]:
            several = ", ".join(map(str, answers))
            raise ValueError(
                f"expected a layer with one receptive field, got {name} with several: {several}"
            )
    if answers[0] is None:
        raise ValueError(f"{name} does not depend on the input {source or ''}")
    _warn(answers)
    return answers[0]  # type: ignore[return-value]


def receptive_field_table(
    model: keras.Model, *, source: str | None = None, strict: bool = False
) -> ReceptiveFieldTable:
    """Shapes, kernel, stride, dilation, parameters and receptive field of every layer.

    Args:
        model, source: as for `receptive_field`.
        strict: whether fields of branches that do not align count as unknown.

    Returns:
        A row for each call of a layer in the order of the graph, the layers of nested models
        included. Where a field is not known, its row says why.

    Raises:
        ValueError: the model has no graph, or the input is not in it.
    """
    walks: list[list[tuple[Call, Shape, list[Operand]]]] = []

    def pick(walk: _Walk) -> list[Answer]:
        walks.append([*walk.calls.values()])
        return [_answer(results[0]) for _, _, results in walks[-1]]

    answers = _followed(model, source, strict, pick)
    rows: list[Any] = []
    counted: set[int] = set()
    origins: dict[str, str] = {}
    for number, answer in enumerate(answers):
        call = walks[0][number][0]
        shapes = [_same([walk[number][1] for walk in walks])]
        shapes.append(_same([walk[number][2][0].shape for walk in walks]))
        reason = ""
        if isinstance(answer, UnknownFieldError):
            origin = origins.setdefault(str(answer), call.name)
            reason = str(answer) if origin == call.name else f"it reads {origin!r}"
        field = answer if isinstance(answer, ReceptiveField) else None
        rows.append(make_row(call, shapes, field, reason, counted=id(call.layer) in counted))
        counted.add(id(call.layer))
    _warn(answers)
    return ReceptiveFieldTable(tuple(rows))


class _Walk:
    """One walk through a model's graph, and what each tensor was found to see."""

    def __init__(self, model: keras.Model, source: str | None, size: int, strict: bool) -> None:
        self.strict = strict
        self.calls: dict[str, tuple[Call, Shape, list[Operand]]] = {}
        inputs = tensors(model, "inputs")
        chosen = choose_sources(model, source)
        operands = [
            source_operand(tensor, size, position_axes(model, n) if n in chosen else None)
            for n, tensor in enumerate(inputs)
        ]
        self.inputs = {tensor.name: each for tensor, each in zip(inputs, operands, strict=True)}
        names = [tensor._keras_history.operation.name for tensor in tensors(model, "outputs")]
        results = run_through_graph(model, operands, self._visit)
        self.outputs = list(zip(names, results, strict=True))

    def _visit(self, call: Call, operands: list[Operand]) -> list[Operand]:
        results = follow(call, operands)
        before = [getattr(operand.field, "note", "") for operand in operands]
        for number, result in enumerate(results):
            field = result.field
            if isinstance(field, TensorField) and field.note not in ("", *before):
                ends = " and ".join(f"'{t._keras_history.operation.name}'" for t in call.inputs)
                note = f"{call.name!r} joins branches that do not align, {ends}: {field.note}"
                known = dataclasses.replace(field, note=note)
                field = UnknownFieldError(note) if self.strict else known  # type: ignore[assignment]
                results[number] = dataclasses.replace(result, field=field)
        self.calls[call.name] = (call, operands[0].shape if operands else (), results)
        return results


def _answer(operand: Operand) -> Answer:
    """What is said of a tensor: all its channels together are one position."""
    field = operand.field
    if not isinstance(field, TensorField):
        return field
    whole = field if field.channel is None else field.gather([field.channel])
    return ReceptiveField.from_maps(whole.maps, field.note)


def _followed(
    model: keras.Model, source: str | None, strict: bool, pick: Callable[[_Walk], list[Answer]]
) -> list[Answer]:
    """What is picked from a walk through the model, or from several if its size is not known."""
    if not any(None in tensor.shape[1:] for tensor in tensors(model, "inputs")):
        return pick(_Walk(model, source, 0, strict))
    tried: list[list[Answer]] = []
    for sizes in _SIZES:
        columns = [pick(_Walk(model, source, size, strict)) for size in sizes]
        tried.append([_agreed(each) for each in zip(*columns, strict=True)])
        if not any(isinstance(answer, SizeError) for answer in tried[-1]):
            return tried[-1]
    return tried[0]


def _agreed(answers: Sequence[Answer]) -> Answer:
    """What holds for inputs of several sizes; at some of them a network may not fit together."""
    for answer in answers[:2]:
        if not isinstance(answer, ReceptiveField):
            return answer
    fields = [answer for answer in answers if isinstance(answer, ReceptiveField)]
    sizes, maps = [], []
    for axis, first in enumerate(fields[0].maps):
        extents = [field.size[axis] or 0 for field in fields]
        pixels = [field.maps[axis].pixels for field in fields]
        whole = all(field.maps[axis].sees_all for field in fields)
        whole = whole or all(n >= size for n, size in zip(extents, pixels, strict=True))
        if extents[0] != extents[1] and not whole:
            return UnknownFieldError("its extent depends on the input's size, which is not known")
        sizes.append(None if extents[0] != extents[1] else max(extents))
        if len(set(pixels)) > 1:
            clipped = np.empty([2] + [0] * (first.clipped.ndim - 1), np.int32)
            first = dataclasses.replace(first, clipped=clipped)
        maps.append(first)
    return ReceptiveField(
        size=tuple(sizes),
        stride=_same([field.stride for field in fields]),
        padding=_same([field.padding for field in fields]),
        is_global=all(field.is_global for field in fields),
        note=fields[0].note,
        maps=tuple(maps),
    )


def _same(several: Sequence[Sequence[Any]]) -> tuple[Any, ...]:
    """Numbers that are the same in all of several tuples, `None` in place of others."""
    return tuple(n[0] if len(set(n)) == 1 else None for n in zip(*several, strict=True))


def _warn(answers: Sequence[Answer]) -> None:
    notes = [each.note for each in answers if isinstance(each, ReceptiveField) and each.note]
    if notes:
        warnings.warn(f"{notes[0]}; strict=True refuses that", stacklevel=3)
