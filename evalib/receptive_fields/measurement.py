"""Receptive fields by experiment: change a row of pixels, and look which outputs change.

A trained network would fool it: weights may be zero, a maximum may hide a change, a ReLU be off.
So only *what* has changed goes from layer to layer. Each layer runs twice with random weights and
values of its own, in float64 where it can: with changed values clearly larger, and clearly smaller.
"""

import dataclasses
import functools
import math
import sys
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from tqdm import tqdm

from evalib.networks.graph import Call, run_through_graph, tensors
from evalib.receptive_fields import inputs
from evalib.receptive_fields.arithmetic import ReceptiveField
from evalib.receptive_fields.axis_maps import FAR, AxisMap

_VALUES_AT_ONCE = 1 << 22
_ROUNDING = {"float64": 1e-10, "float32": 1e-5}


def measure_receptive_field(
    model: keras.Model, layer: str | None = None, *, source: str | None = None
) -> ReceptiveField:
    """Find by experiment which input pixels change an output pixel, whatever the layers are.

    The model's weights stay as they are: its layers run with others. Within one layer an influence
    below rounding stays unseen, so recurrent layers are refused. The arguments are those of
    `receptive_field`; the input's size must be known.

    Returns:
        The field of the middle output pixel, without what would lie past the border, and the
        regions found. Stride and padding are those of neighbors whose fields lie inside the image,
        `None` if these are too few. A single output that sees the whole image counts as global.

    Raises:
        ValueError: as for `receptive_field`; or the input's size is not known, a layer cannot be
            measured, or nothing changes the output.
    """
    read = tensors(model, "inputs")
    chosen = inputs.choose_sources(model, source)
    first, axes = read[chosen[0]], inputs.position_axes(model, chosen[0])
    if any(None in tensor.shape[1:] for tensor in read):
        raise ValueError(f"expected an input of known size, got {first.shape}: build it with one")
    target, needed = _target(model, layer)
    in_dtype = functools.cache(_in_dtype)
    reached: list[np.ndarray] = []

    def visit(call: Call, changed: list[np.ndarray]) -> list[np.ndarray]:
        if call.name not in needed:
            return [np.zeros(0, bool)] * len(call.outputs)
        results = _changes(call, changed, in_dtype)
        reached.extend(results[: call.name == target.name])
        return results

    pokes = [(axis, place) for axis in axes for place in range(first.shape[axis])]
    most = max(math.prod(n or 1 for n in call.outputs[0].shape[1:]) for call in needed.values())
    starts = range(0, len(pokes), at_once := max(1, _VALUES_AT_ONCE // most))
    for start in tqdm(starts, "measuring", leave=False, disable=not sys.stderr.isatty()):
        some = pokes[start : start + at_once]
        run_through_graph(model, [_poked(t, some, n in chosen) for n, t in enumerate(read)], visit)
    # A pixel has changed if any of its channels has; a vector is one pixel.
    rank = len(target.outputs[0].shape)
    channel = inputs.channel_axis_of(target.layer, rank)
    if channel is None:
        rest = set(range(1, rank)) - set(axes)
        channel = rest.pop() if rank == len(first.shape) and len(rest) == 1 else rank - 1
    hits = np.concatenate(reached).any(axis=channel, keepdims=True)
    return _summarize(hits, channel, [first.shape[axis] for axis in axes])


def _target(model: keras.Model, layer: str | None) -> tuple[Call, dict[str, Call]]:
    """The call that is asked for, and those that it needs, by their names."""
    calls: dict[str, Call] = {}
    before: dict[str, set[str]] = {}

    def visit(call: Call, sources: list[set[str]]) -> list[set[str]]:
        calls[call.name], before[call.name] = call, {call.name}.union(*sources)
        return [before[call.name]] * len(call.outputs)

    nothing: list[set[str]] = [set()] * len(model.inputs)
    results = run_through_graph(model, nothing, visit)
    ends = [tensor._keras_history.operation.name for tensor in model.outputs]
    needed = inputs.choose_layer(layer, before, [*zip(ends, results, strict=True)])[-1]
    target = next(name for name, each in before.items() if each == needed)
    return calls[target], {name: calls[name] for name in needed}


def _changes(call: Call, values: list[np.ndarray], in_dtype: Any) -> list[np.ndarray]:
    """Which results of a call change, `(pokes, ...)`, if its inputs change where these say."""
    inner = getattr(call.layer, "layer", call.layer)
    if isinstance(inner, (keras.layers.RNN, keras.layers.Bidirectional)):
        expected = "expected layers whose influence does not fade, got the recurrent"
        raise ValueError(f"{expected} {call.name!r}: receptive_field may know what it sees")
    for dtype in ("float64", "float32"):
        try:
            layer = in_dtype(call.layer, dtype)
            ways = [_changes_one_way(call, layer, values, dtype, sign) for sign in (1, -1)]
            return [one | other for one, other in zip(*ways, strict=True)]
        except Exception as error:  # some layers and backends know no float64
            reason = str(error).strip().splitlines()[0]
    raise ValueError(f"expected layers that can run alone, but {call.name!r} cannot: {reason}")


def _changes_one_way(
    call: Call, layer: Any, values: Any, dtype: str, sign: int
) -> list[np.ndarray]:
    random, pairs = np.random.default_rng(1 + sign), zip(values, call.inputs, strict=True)
    fresh = {id(t): _fresh(changed, t.dtype, dtype, random, sign) for changed, t in pairs}
    fresh = keras.tree.map_structure(keras.ops.convert_to_tensor, fresh)
    args, kwargs = keras.tree.map_structure(lambda v: fresh.get(id(v), v), call.arguments)
    if isinstance(layer, keras.layers.Layer):  # Its own weights stay.
        if not layer.built:
            layer(*args, **kwargs)
        variables = layer.trainable_variables, layer.non_trainable_variables
        weights = [[_random_weight(each, random) for each in some] for some in variables]
        results = layer.stateless_call(*weights, *args, **kwargs)[0]
    else:
        results = layer(*args, **kwargs)
    return [_differs(keras.ops.convert_to_numpy(result)) for result in keras.tree.flatten(results)]


def _in_dtype(layer: Any, dtype: str) -> Any:
    """A copy in this dtype of a layer of Keras or evalib; others as they are."""
    known = type(layer).__module__.split(".")[0] in ("keras", "evalib")
    if not known or isinstance(layer, keras.layers.Lambda) or not hasattr(layer, "weights"):
        return layer
    try:
        return type(layer).from_config({**layer.get_config(), "dtype": dtype})
    except (TypeError, ValueError, NotImplementedError):
        return layer


def _random_weight(variable: keras.Variable, random: np.random.Generator) -> Any:
    """Positive numbers that keep sums near one; the state of a random generator stays."""
    if not keras.backend.is_float_dtype(variable.dtype):
        return variable.value
    numbers = random.uniform(0.5, 1.5, variable.shape) / max(1, math.prod(variable.shape[:-1]))
    return keras.ops.convert_to_tensor(numbers, variable.dtype)


def _poked(tensor: Any, pokes: Sequence[tuple[int, int]], chosen: bool) -> np.ndarray:
    changed = np.zeros((len(pokes), *tensor.shape[1:]), bool)
    for number, (axis, place) in enumerate(pokes if chosen else ()):
        np.moveaxis(changed, axis, 1)[number, place] = True
    return changed


def _fresh(changed: np.ndarray, kind: str, dtype: str, random: Any, sign: int) -> np.ndarray:
    """A first image of random values, then one for each poke, moved where it is changed."""
    if not keras.backend.is_float_dtype(kind):  # one number or another: a class, a token, a choice
        first = np.full((1, *changed.shape[1:]), sign > 0)
        return np.concatenate([first, changed ^ first]).astype(kind)
    first = random.uniform(1, 2, (1, *changed.shape[1:]))
    moved = first + changed * (sign * random.uniform(2, 3, changed.shape[1:]))
    return np.concatenate([first, moved]).astype(dtype)


def _differs(results: np.ndarray) -> np.ndarray:
    """Where the others differ from the first by more than rounding can do."""
    if not np.issubdtype(results.dtype, np.inexact):
        return np.asarray(results[1:] != results[:1])
    tolerance = _ROUNDING[str(results.dtype)] * np.abs(results[:1]).max(initial=0)
    return ~(np.abs(results[1:] - results[:1]) <= tolerance)  # NaN counts as a change


def _summarize(reached: np.ndarray, channel: int, pixels: Sequence[int]) -> ReceptiveField:
    """The receptive field from which outputs each poke changed, shape `(pokes, *outputs)`."""
    places = [n for n in range(1, reached.ndim) if n != channel]
    maps, sizes = [], []
    for number, poked in enumerate(np.split(reached, np.cumsum(pixels)[:-1])):
        axis = places[number] if len(places) == len(pixels) else None
        index: list[Any] = [slice(None)] + [n // 2 for n in reached.shape[1:]]
        if axis is not None:
            index[axis] = slice(None)
            if not poked[tuple(index)].any():  # a gap of a transposed convolution in the middle
                poked = poked.any(tuple(n for n in places if n != axis), keepdims=True)
                index = [slice(None) if n in (0, axis) else 0 for n in range(reached.ndim)]
        reach = poked[tuple(index)].reshape(pixels[number], -1).T
        if not reach.any():
            raise ValueError("expected some pixel to change the output, but none does")
        maps.append(_axis_map(reach, axis or 1, reached.ndim))
        seen = np.flatnonzero(reach[len(reach) // 2])
        found = int(seen[-1] - seen[0] + 1) if len(seen) else 0
        sizes.append(found if maps[-1].axis is None else maps[-1].extent)
    return dataclasses.replace(ReceptiveField.from_maps(maps), size=tuple(sizes))


def _axis_map(reach: np.ndarray, axis: int, rank: int) -> AxisMap:
    """What the outputs along an axis see, and the period of those around the middle off the border,
    from which pixels reach them: `(outputs, pixels)`."""
    outputs, pixels = reach.shape
    ones = [1] * (rank - 1)
    found = np.stack([reach.argmax(1), reach[:, ::-1].argmax(1) + 1 - pixels])
    found = np.where(reach.any(axis=1), found, FAR)
    everywhere = found.reshape(2, *ones[1:axis], -1, *ones[axis:])
    clipped = everywhere.astype(np.int32)
    if reach.all():
        return AxisMap(pixels, np.full((2, *ones), -FAR), clipped.min(axis, keepdims=True))
    border = np.flatnonzero((found[0] == 0) | (found[1] == 1 - pixels))
    first = max(border[border < outputs // 2] + 1, default=0)
    inside = np.arange(first, min(border[border >= outputs // 2], default=outputs))
    listed = AxisMap(pixels, everywhere, clipped)
    even = dataclasses.replace(listed, endless=everywhere.take(inside, axis)).evenly(axis)
    if len(inside) < 2 or even.axis is None:
        return listed
    return dataclasses.replace(even, endless=even.at(np.arange(even.period) - first))
