"""Receptive fields by experiment: change a row of pixels, and look which outputs change.

A trained network would fool such an experiment: weights may be zero, an influence may be too small
to see, a maximum may hide a change, a ReLU may be off, a sigmoid saturated. So only *what* has
changed goes from layer to layer. Each layer runs twice with random weights and values of its own,
in float64 where it can: once with changed values clearly larger, once clearly smaller.
"""

import dataclasses
import math
import re
import sys
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from tqdm import tqdm

from evalib.networks.graph import Call, has_graph, run_through_graph, tensors
from evalib.receptive_fields.arithmetic import ReceptiveField
from evalib.receptive_fields.axis_maps import FAR, AxisMap
from evalib.receptive_fields.inputs import (
    channel_axis_of,
    choose_layer,
    choose_sources,
    position_axes,
)

_VALUES_AT_ONCE = 1 << 22
_ROUNDING = {"float64": 1e-10, "float32": 1e-5}
# In a network of these layers alone one channel is as good as many, but for a softmax.
_ANY_CHANNELS = re.compile(
    "InputLayer|(Depthwise|Separable)?Conv[123]D(Transpose)?|(Global)?(Max|Average)Pooling[123]D|"
    "BatchNormalization|Activation|(Leaky|P)?ReLU|ELU|(Spatial)?Dropout([123]D)?|Add|Concatenate|"
    "Flatten|Dense|(UpSampling|ZeroPadding|Cropping)[123]D"
)


def measure_receptive_field(
    model: keras.Model, layer: str | None = None, *, source: str | None = None
) -> ReceptiveField:
    """Find by experiment which input pixels change an output pixel.

    What a layer does need not be known, so this also answers for a `Lambda` or a layer of one's
    own. The model's weights stay as they are: its layers run with others. Within one layer an
    influence below rounding stays unseen, so recurrent layers are refused.

    Args:
        model: a Sequential or functional model with an input of known size, or a subclass of one.
        layer: the layer's name; the model's output unless told otherwise.
        source: the name of the input to change; all inputs of the same size by default.

    Returns:
        The field of the middle output pixel, without what would lie past the border. Stride and
        padding are those of neighbors whose fields lie inside the image, `None` if these are too
        few. The regions are those found. A single output pixel that sees the whole image cannot be
        told from a global one.

    Raises:
        ValueError: the model has no graph, the input's size is not known, the layer or the
            input is not in the model, a layer cannot be measured, or nothing changes the output.
    """
    inputs = list(getattr(model, "inputs", None) or tensors(model, "inputs"))
    chosen = choose_sources(model, source)
    first, axes = inputs[chosen[0]], position_axes(model, chosen[0])
    if any(None in tensor.shape[1:] for tensor in inputs):
        raise ValueError(f"expected an input of known size, got {first.shape}: build it with one")
    experiment = _Experiment(model, inputs, layer)
    pokes = [(axis, place) for axis in axes for place in range(first.shape[axis])]
    starts = range(0, len(pokes), experiment.at_once)
    for start in tqdm(starts, "measuring", leave=False, disable=not sys.stderr.isatty()):
        some = pokes[start : start + experiment.at_once]
        experiment.run([_poked(t, some, n in chosen) for n, t in enumerate(inputs)])
    reached = np.concatenate(experiment.changed)
    # A pixel has changed if any of its channels has; a vector is one pixel.
    channel = channel_axis_of(experiment.target.layer, reached.ndim)
    if channel is None:
        rest = set(range(1, reached.ndim)) - set(axes)
        same = reached.ndim == len(first.shape) and len(rest) == 1
        channel = rest.pop() if same else reached.ndim - 1
    reached = reached.any(axis=channel, keepdims=True)
    return _summarize(reached, channel, [first.shape[axis] for axis in axes])


class _Experiment:
    """Runs a model's layers one by one, and keeps which values have changed.

    A tensor is known by a boolean array, `(pokes, ...)`: where it differs from what it would be
    if nothing had been poked.
    """

    def __init__(self, model: keras.Model, inputs: Sequence[Any], layer: str | None) -> None:
        self.model, self.inputs = model, inputs
        self.copies: dict[tuple[int, str], Any] = {}
        self.failed: dict[tuple[int, str], str] = {}
        self.changed: list[np.ndarray] = []
        before: dict[str, frozenset[str]] = {}
        calls: dict[str, Call] = {}

        def visit(call: Call, values: list[frozenset[str]]) -> list[frozenset[str]]:
            calls[call.name] = call
            before[call.name] = frozenset({call.name}).union(*values)
            return [before[call.name]] * len(call.outputs)

        results = self._walk([frozenset()] * len(inputs), visit)
        names = [tensor._keras_history.operation.name for tensor in model.outputs]
        self.needed = choose_layer(layer, before, list(zip(names, results, strict=True)))[-1]
        self.target = calls[next(name for name, each in before.items() if each == self.needed)]
        used = [calls[name] for name in self.needed]
        self.thin = all(_any_channels(call.layer) for call in used)
        shapes = [[n or 1 for n in call.outputs[0].shape[1:]] for call in used]
        most = max(math.prod(shape[:-1] if self.thin else shape) for shape in shapes)
        self.at_once = max(1, _VALUES_AT_ONCE // most)

    def run(self, changed: list[np.ndarray]) -> None:
        """Keep which values of the layer that is asked for change with these inputs."""
        self._walk(changed, self._visit)

    def _walk(self, values: list[Any], visit: Any) -> list[Any]:
        if has_graph(self.model):
            return run_through_graph(self.model, values, visit)
        read = self.inputs[0] if len(self.inputs) == 1 else list(self.inputs)
        ends = tuple(self.inputs), tuple(self.model.outputs)
        return visit(Call(self.model, self.model.name, *ends, ((read,), {})), values)

    def _visit(self, call: Call, values: list[np.ndarray]) -> list[np.ndarray]:
        if call.name not in self.needed:
            return [np.zeros(0, bool)] * len(call.outputs)
        inner = getattr(call.layer, "layer", call.layer)
        if isinstance(inner, (keras.layers.RNN, keras.layers.Bidirectional)):
            raise ValueError(
                f"expected layers whose influence does not fade, got the recurrent {call.name!r}: "
                "receptive_field computes what it sees"
            )
        both = [self._changes(call, values, sign) for sign in (1, -1)]
        results = [up | down for up, down in zip(*both, strict=True)]
        if call.name == self.target.name:
            self.changed.append(results[0])
        return results

    def _changes(self, call: Call, values: list[np.ndarray], sign: int) -> list[np.ndarray]:
        """Which results change, with weights and values that depend on nothing but the sign."""
        for dtype in ("float32",) if self.thin else ("float64", "float32"):
            if (id(call.layer), dtype) in self.failed:
                continue
            random = np.random.default_rng(1 + sign)
            fresh = {
                id(tensor): _fresh(changed, tensor.dtype, dtype, random, sign)
                for changed, tensor in zip(values, call.inputs, strict=True)
            }
            args, kwargs = keras.tree.map_structure(
                lambda value, known=fresh: known.get(id(value), value), call.arguments
            )
            try:
                results = keras.tree.flatten(self._run(call.layer, args, kwargs, dtype, random))
                return [_differs(keras.ops.convert_to_numpy(result)) for result in results]
            except Exception as error:  # some layers and backends know no float64
                self.failed[id(call.layer), dtype] = str(error).strip().splitlines()[0]
        reason = self.failed[id(call.layer), "float32"]
        raise ValueError(f"expected layers that can run alone, but {call.name!r} cannot: {reason}")

    def _run(self, layer: Any, args: Any, kwargs: Any, dtype: str, random: Any) -> Any:
        """Call a layer, or a copy of it, with random numbers in place of its weights."""
        if not isinstance(layer, keras.layers.Layer):
            return layer(*args, **kwargs)
        key = (id(layer), dtype)
        if key not in self.copies:
            self.copies[key] = _copy(layer, dtype, self.thin)
        copy = self.copies[key]
        if copy is not None:
            if not copy.built:
                copy(*args, **kwargs)
            for variable in copy.variables:
                variable.assign(_random_weight(variable, random))
            return copy(*args, **kwargs)
        variables = layer.trainable_variables, layer.non_trainable_variables
        weights = [[_random_weight(each, random) for each in some] for some in variables]
        return layer.stateless_call(*weights, *args, **kwargs)[0]


def _any_channels(layer: Any) -> bool:
    softmax = "softmax" in getattr(getattr(layer, "activation", None), "__name__", "")
    plain = getattr(layer, "groups", 1) == 1 and type(layer).__module__.startswith("keras.")
    return plain and not softmax and bool(_ANY_CHANNELS.fullmatch(type(layer).__name__))


def _copy(layer: Any, dtype: str, thin: bool) -> Any:
    """A layer of Keras in this dtype, with one channel if that will do; `None` for others."""
    known = type(layer).__module__.split(".")[0] in ("keras", "evalib")
    if not known or isinstance(layer, keras.layers.Lambda):
        return None
    try:
        config = {**layer.get_config(), "dtype": dtype}
        config |= {name: 1 for name in ("filters", "units") if thin and name in config}
        return type(layer).from_config(config)
    except (TypeError, ValueError, NotImplementedError):
        return None


def _random_weight(variable: keras.Variable, random: np.random.Generator) -> Any:
    """Positive numbers that keep sums near one; the state of a random generator stays."""
    if not keras.backend.is_float_dtype(variable.dtype):
        return variable.value
    numbers = random.uniform(0.5, 1.5, variable.shape) / max(1, math.prod(variable.shape[:-1]))
    return keras.ops.convert_to_tensor(numbers, variable.dtype)


def _poked(tensor: Any, pokes: Sequence[tuple[int, int]], chosen: bool) -> np.ndarray:
    """Which values of an input are changed: all at one place of one axis for each poke."""
    changed = np.zeros((len(pokes), *tensor.shape[1:]), bool)
    for number, (axis, place) in enumerate(pokes if chosen else ()):
        np.moveaxis(changed, axis, 1)[number, place] = True
    return changed


def _fresh(
    changed: np.ndarray, kind: str, dtype: str, random: np.random.Generator, sign: int
) -> np.ndarray:
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
    if str(results.dtype) not in _ROUNDING:
        raise ValueError(f"its results are {results.dtype}")
    tolerance = _ROUNDING[str(results.dtype)] * np.abs(results[:1]).max(initial=0)
    return ~(np.abs(results[1:] - results[:1]) <= tolerance)  # NaN counts as a change


def _summarize(reached: np.ndarray, channel: int, pixels: Sequence[int]) -> ReceptiveField:
    """The receptive field from which outputs each poke changed, shape `(pokes, *outputs)`."""
    places = [n for n in range(1, reached.ndim) if n != channel]
    maps, sizes = [], []
    for number, poked in enumerate(np.split(reached, np.cumsum(pixels)[:-1])):
        axis = places[number] if len(places) == len(pixels) else None
        index = [slice(None)] + [n // 2 for n in reached.shape[1:]]
        if axis is not None:
            index[axis] = slice(None)
            if not poked[
                tuple(index)
            ].any():  # the middle lies in a gap of a transposed convolution
                poked = poked.any(tuple(n for n in places if n != axis), keepdims=True)
                index = [slice(None) if n in (0, axis) else 0 for n in range(reached.ndim)]
        reach = poked[tuple(index)].reshape(pixels[number], -1).T
        if not reach.any():
            raise ValueError("expected some pixel to change the output, but none does")
        middle = len(reach) // 2
        maps.append(_axis_map(reach, axis or 1, reached.ndim, middle))
        seen = np.flatnonzero(reach[middle])
        found = int(seen[-1] - seen[0] + 1) if len(seen) else 0
        sizes.append(found if maps[-1].axis is None else maps[-1].extent)
    return dataclasses.replace(ReceptiveField.from_maps(maps), size=tuple(sizes))


def _axis_map(reach: np.ndarray, axis: int, rank: int, middle: int) -> AxisMap:
    """What the outputs on a line see, and the period of those around the middle off the border.

    Args:
        reach: which pixels reach which outputs, shape `(outputs, pixels)`.
        axis: the output's axis along which they lie, of so many axes.
        rank: the number of the output's axes.
        middle: the output in the middle.
    """
    outputs, pixels = reach.shape
    shape = [outputs if n == axis else 1 for n in range(1, rank)]
    found = np.stack([reach.argmax(1), reach[:, ::-1].argmax(1) + 1 - pixels])
    found = np.where(reach.any(axis=1), found, FAR)
    clipped = found.reshape(2, *shape).astype(np.int32)
    if reach.all():
        return AxisMap(
            pixels, np.full([2] + [1] * (rank - 1), -FAR), clipped.min(axis, keepdims=True)
        )
    border = np.flatnonzero((found[0] == 0) | (found[1] == 1 - pixels))
    first = max(border[border < middle] + 1, default=0)
    inside = np.arange(first, min(border[border >= middle], default=outputs))
    listed = AxisMap(pixels, found.reshape(2, *shape), clipped)
    if len(inside) < 2:
        return listed
    run = dataclasses.replace(listed, endless=listed.endless.take(inside, axis)).evenly(axis)
    if run.axis is None:
        return listed
    return dataclasses.replace(run, endless=run.at(np.arange(run.period) - first))
