"""Receptive fields of whole Keras models, exact."""

import dataclasses
import warnings
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

from evalib.networks.graph import Call, run_through_graph, tensors
from evalib.receptive_fields import inputs, layer_rules  # noqa: F401 -- rules are found by name
from evalib.receptive_fields.arithmetic import ReceptiveField
from evalib.receptive_fields.axis_maps import Shape
from evalib.receptive_fields.rules import SizeError, follow
from evalib.receptive_fields.table import ReceptiveFieldTable, make_row
from evalib.receptive_fields.tensor_fields import Operand, TensorField, UnknownFieldError

Answer = ReceptiveField | UnknownFieldError | None
# A tensor's name, its call, the shapes of that call's first input and output, what it sees.
Entry = tuple[str, Call | None, list[Shape], Answer]

# A model of any size is followed at several. The first two fit networks that halve and double; the
# others leave other rests at each halving. The larger ones are for networks that cut much away.
_SIZES = ((256, 320, 257, 303), (4096, 5120, 4097, 4911), (1 << 16, 5 << 14, 65537, 78537))


def receptive_field(
    model: keras.Model, layer: str | None = None, *, source: str | None = None, strict: bool = False
) -> ReceptiveField:
    """The part of the input that can influence one output pixel of a layer.

    Exact, as at inference (Araujo, Norris and Sim, Distill 2019). Where branches meet, it is the
    extent of them all; if they do not see the same places, a warning says so.

    Args:
        model: a Sequential or functional model; it may hold other models.
        layer: its name, `outer/inner` or `inner` in a nested model; by default the model's output.
        source: the name of the input to look back to. Without it all inputs of the same size
            count as one, as channels of one image would.
        strict: whether branches that do not align are an error.

    Returns:
        Size, stride and padding in input pixels, a number for each axis.

    Raises:
        ValueError: the model has no graph, or no such layer or input; the field is not known (see
            `register_layer`, `measure_receptive_field`); or branches do not align, with `strict`.
    """
    entries, name = _followed(model, source, strict), layer or "the output"
    named, count = [(entry[0], entry[3]) for entry in entries], len(model.outputs)
    answers = inputs.choose_layer(layer, dict(named[:-count]), named[-count:])
    for answer in answers:
        if isinstance(answer, UnknownFieldError):
            raise answer
        if answer != answers[0]:
            several = f"got {name} with several: {', '.join(map(str, answers))}"
            raise ValueError(f"expected a layer with one receptive field, {several}")
    if answers[0] is None:
        raise ValueError(f"{name} does not depend on the input {source or ''}")
    _warn(answers)
    return answers[0]  # type: ignore[return-value]


def receptive_field_table(
    model: keras.Model, *, source: str | None = None, strict: bool = False
) -> ReceptiveFieldTable:
    """Shapes, kernel, stride, dilation, parameters and receptive field of every layer.

    The arguments are those of `receptive_field`. There is a row for each call of a layer in the
    order of the graph, nested models included; where a field is not known, its row says why.

    Raises:
        ValueError: the model has no graph, or the input is not in it.
    """
    rows: list[Any] = []
    counted: set[int] = set()
    origins: dict[str, str] = {}
    for name, call, shapes, answer in (entries := _followed(model, source, strict)):
        if call is None:
            continue
        reason = str(answer) if isinstance(answer, UnknownFieldError) else ""
        origin = origins.setdefault(reason, name)
        reason = reason if not reason or origin == name else f"it reads {origin!r}"
        field = answer if isinstance(answer, ReceptiveField) else None
        rows.append(make_row(call, shapes, field, reason, counted))
    _warn([entry[3] for entry in entries if entry[1]])
    return ReceptiveFieldTable(tuple(rows))


def _followed(model: keras.Model, source: str | None, strict: bool) -> list[Entry]:
    """The entries of a walk through the model, or of several if its size is not known."""
    if not any(None in tensor.shape[1:] for tensor in tensors(model, "inputs")):
        return _walk(model, source, strict, 0)
    first: list[Entry] = []
    for sizes in _SIZES:
        entries: list[Entry] = []
        walks = [_walk(model, source, strict, size) for size in sizes]
        for several in zip(*walks, strict=True):
            names, calls, shapes, answers = zip(*several, strict=True)
            known = [_same(each) for each in zip(*shapes, strict=True)]
            entries.append((names[0], calls[0], known, _agreed(answers)))
        if not any(isinstance(entry[3], SizeError) for entry in entries):
            return entries
        first = first or entries
    return first


def _walk(model: keras.Model, source: str | None, strict: bool, size: int) -> list[Entry]:
    """An entry for each input of a model, for each call in it, and for each output."""
    count, chosen = len(tensors(model, "inputs")), inputs.choose_sources(model, source)
    axes = [inputs.position_axes(model, n) if n in chosen else None for n in range(count)]
    operands = [inputs.source_operand(t, size, a) for t, a in zip(model.inputs, axes, strict=True)]
    ends = zip(model.inputs, operands, strict=True)
    entries: list[Entry] = [(tensor.name, None, [], _answer(each)) for tensor, each in ends]

    def visit(call: Call, given: list[Operand]) -> list[Operand]:
        results = follow(call, given)
        before = [getattr(operand.field, "note", "") for operand in given]
        for number, result in enumerate(results):
            field: Any = result.field
            if isinstance(field, TensorField) and field.note not in ("", *before):
                paths = " and ".join(f"'{t._keras_history.operation.name}'" for t in call.inputs)
                note = f"{call.name!r} joins branches that do not align, {paths}: {field.note}"
                known = dataclasses.replace(field, note=note)
                field = UnknownFieldError(note) if strict else known
                results[number] = dataclasses.replace(result, field=field)
        shapes = [given[0].shape if given else (), results[0].shape]
        entries.append((call.name, call, shapes, _answer(results[0])))
        return results

    results = run_through_graph(model, operands, visit)
    for tensor, each in zip(model.outputs, results, strict=True):
        entries.append((tensor._keras_history.operation.name, None, [], _answer(each)))
    return entries


def _answer(operand: Operand) -> Answer:
    """What is said of a tensor: all its channels together are one position."""
    if not isinstance(field := operand.field, TensorField):
        return field
    whole = field if field.channel is None else field.gather([field.channel])
    return ReceptiveField.from_maps(whole.maps, field.note)


def _agreed(answers: Sequence[Answer]) -> Answer:
    """What holds for inputs of several sizes; at some of them a network may not fit together."""
    for answer in answers[:2]:
        if not isinstance(answer, ReceptiveField):
            return answer
    fields = [answer for answer in answers if isinstance(answer, ReceptiveField)]
    sizes, maps = [], []
    for axis, first in enumerate(fields[0].maps):
        here = [field.maps[axis] for field in fields]
        extents, differ = [each.extent for each in here], here[0].extent != here[1].extent
        if differ and not all(each.sees_all or each.extent >= each.pixels for each in here):
            return UnknownFieldError("its extent depends on the input's size, which is not known")
        sizes.append(None if differ else max(extents))
        if len({each.pixels for each in here}) > 1:
            clipped = np.empty([2] + [0] * (first.clipped.ndim - 1), np.int32)
            first = dataclasses.replace(first, clipped=clipped)
        maps.append(first)
    stride, padding = (_same([getattr(f, name) for f in fields]) for name in ("stride", "padding"))
    whole = all(field.is_global for field in fields)
    return ReceptiveField(tuple(sizes), stride, padding, whole, fields[0].note, tuple(maps))


def _same(several: Sequence[Sequence[Any]]) -> tuple[Any, ...]:
    """Numbers that are the same in all of several tuples, `None` in place of others."""
    return tuple(n[0] if len(set(n)) == 1 else None for n in zip(*several, strict=True))


def _warn(answers: Sequence[Answer]) -> None:
    notes = [each.note for each in answers if isinstance(each, ReceptiveField) and each.note]
    if notes:
        warnings.warn(f"{notes[0]}; strict=True refuses that", stacklevel=3)
