"""Receptive fields by experiment: change a row of pixels, and look which outputs change.

A trained network would fool such an experiment: weights may be zero, an influence may be too small
for float32, a maximum may hide a change, a ReLU may be off. So each layer runs with positive random
weights, and after each one every value is set afresh: unchanged values to one random number,
changed values to a clearly larger and, in a second copy, to a clearly smaller one. An influence is
then either there or not, however deep the network.
"""

import sys
import zlib
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from tqdm import tqdm

from evalib.networks.graph import Call, run_through_graph, tensors
from evalib.receptive_fields.arithmetic import AxisField, Interval, ReceptiveField, Stride
from evalib.receptive_fields.inputs import choose_layer, choose_sources, position_axes

_VALUES_AT_ONCE = 1 << 23  # of the input; the layers behind it may hold some times as many
_ROUNDING = 1e-5


def measure_receptive_field(
    model: keras.Model, layer: str | None = None, *, source: str | None = None
) -> ReceptiveField:
    """Find by experiment which input pixels change an output pixel.

    The model's weights stay as they are; its layers run with others, on any backend. What a layer
    does need not be known, so this also answers for a `Lambda` or a layer of one's own.

    Args:
        model: a Sequential or functional model with an input of known size.
        layer: the layer's name; the model's output unless told otherwise.
        source: the name of the input to change; all inputs of the same size by default.

    Returns:
        The field of the middle output pixel, as far as the image shows it: what would lie past the
        border is not counted in. Stride and padding are told from the neighbors whose fields lie
        inside the image, `None` if there are too few of them. The regions are those found. A single
        output pixel that sees the whole image cannot be told from a global one.

    Raises:
        ValueError: the model has no graph, the input's size is not known, or the layer or the
            input is not in the model.
    """
    inputs = tensors(model, "inputs")
    chosen = choose_sources(model, inputs, source)
    first = inputs[chosen[0]]
    axes = position_axes(model, first)
    if None in first.shape[1:]:
        raise ValueError(f"expected an input of known size, got {first.shape}: build it with one")
    target, needed = _find_target(model, layer)
    experiment = _Experiment(target, needed)
    pokes = [(axis, place) for axis in axes for place in range(first.shape[axis])]
    at_once = max(1, _VALUES_AT_ONCE // (2 * int(np.prod(first.shape[1:]))))
    batches = [pokes[start : start + at_once] for start in range(0, len(pokes), at_once)]
    changed = []
    for batch in tqdm(batches, "measuring", leave=False, disable=not sys.stderr.isatty()):
        images = [
            _images(tensor, batch if number in chosen else [], len(batch))
            for number, tensor in enumerate(inputs)
        ]
        run_through_graph(model, images, experiment.visit)
        changed.append(experiment.changed)
    reached = np.concatenate(changed)
    # A pixel has changed if any of its channels has; a vector is one pixel.
    channels = set(range(1, reached.ndim)) - set(axes)
    if reached.ndim != len(first.shape):
        channels = {reached.ndim - 1}
    return _summarize(reached.any(axis=tuple(channels)), [first.shape[axis] for axis in axes])


def _find_target(model: keras.Model, layer: str | None) -> tuple[str, frozenset[str]]:
    """The name of the call that is asked for, and of those that it depends on."""
    before: dict[str, frozenset[str]] = {}

    def visit(call: Call, values: list[frozenset[str]]) -> list[frozenset[str]]:
        before[call.name] = frozenset({call.name}).union(*values)
        return [before[call.name]] * len(call.outputs)

    results = run_through_graph(model, [frozenset[str]()] * len(model.inputs), visit)
    names = [tensor._keras_history.operation.name for tensor in tensors(model, "outputs")]
    needed = choose_layer(layer, before, list(zip(names, results, strict=True)))[-1]
    return next(name for name, calls in before.items() if calls == needed), needed


class _Experiment:
    """Runs the layers of a model on images of which each differs from the first in some pixels."""

    def __init__(self, target: str, needed: frozenset[str]) -> None:
        self.target, self.needed = target, needed
        self.changed = np.zeros(0, bool)

    def visit(self, call: Call, values: list[np.ndarray]) -> list[np.ndarray]:
        """Run one call and set its values afresh."""
        if call.name not in self.needed:
            return [np.zeros(0)] * len(call.outputs)
        known = dict(zip(map(id, call.inputs), values, strict=True))
        arguments, options = keras.tree.map_structure(
            lambda value: known.get(id(value), value), call.arguments
        )
        results = keras.tree.flatten(_run(call.layer, arguments, options))
        fresh = []
        for number, result in enumerate(results):
            changed = _changed(keras.ops.convert_to_numpy(result))
            if call.name == self.target and number == 0:
                self.changed = changed
            fresh.append(_set_afresh(changed, f"{call.name}:{number}"))
        return fresh


def _run(layer: Any, arguments: Any, options: dict[str, Any]) -> Any:
    """Call a layer with positive random numbers in place of its weights, which stay as they are."""
    if not getattr(layer, "variables", None):
        return layer(*arguments, **options)
    random = np.random.default_rng(zlib.crc32(layer.name.encode()))
    trainable, others = (
        [_positive(variable, random) for variable in variables]
        for variables in (layer.trainable_variables, layer.non_trainable_variables)
    )
    results, _ = layer.stateless_call(trainable, others, *arguments, **options)
    return results


def _positive(variable: keras.Variable, random: np.random.Generator) -> Any:
    """Random numbers for a weight; the state of a random generator stays what it is."""
    if not keras.backend.is_float_dtype(variable.dtype):
        return variable.value
    return keras.ops.convert_to_tensor(random.uniform(0.5, 1.5, variable.shape), variable.dtype)


def _images(tensor: keras.KerasTensor, pokes: Sequence[tuple[int, int]], count: int) -> np.ndarray:
    """The image, and two for each poke in which the pixels at one place of one axis differ."""
    changed = np.zeros((count, *(size or 1 for size in tensor.shape[1:])), bool)
    for number, (axis, place) in enumerate(pokes):
        np.moveaxis(changed, axis, 1)[number, place] = True
    return _set_afresh(changed, tensor.name)


def _set_afresh(changed: np.ndarray, name: str) -> np.ndarray:
    """Values that depend on nothing but the name, and on what is changed: up once, down once."""
    random = np.random.default_rng(zlib.crc32(name.encode()))
    plain = random.uniform(1, 2, changed.shape[1:]).astype("float32")
    change = random.uniform(2, 3, changed.shape[1:]).astype("float32")
    return np.concatenate([plain[np.newaxis], plain + changed * change, plain - changed * change])


def _changed(results: np.ndarray) -> np.ndarray:
    """Where the copies differ from the first image by more than rounding can do."""
    plain = results[:1].astype("float32")
    copies = results[1:].reshape(2, -1, *results.shape[1:])
    tolerance = _ROUNDING * np.abs(plain).max(initial=0)
    # Written so that NaN counts as a change.
    return ~(np.abs(copies - plain) <= tolerance).all(axis=0)


def _summarize(positions: np.ndarray, input_size: Sequence[int]) -> ReceptiveField:
    """The receptive field from which pixels each poke changed, shape `(pokes, *positions)`."""
    shape = positions.shape[1:]
    middle = tuple(size // 2 for size in shape)
    same_axes = len(shape) == len(input_size)
    summaries = []
    for axis, poked in enumerate(np.split(positions, np.cumsum(input_size)[:-1])):
        here = axis if same_axes else None
        reach = _along(poked, here, middle)
        if not reach.any():
            # The middle lies in a gap that a transposed convolution left: look beside it.
            others = tuple(n for n in range(1, poked.ndim) if here is None or n != 1 + here)
            reach = _along(poked.any(axis=others, keepdims=True), here, (0,) * len(shape))
        summaries.append(_summarize_axis(reach, middle[axis] if same_axes else 0))
    if all(summary is None for summary in summaries):
        return ReceptiveField.from_axes([None] * len(input_size), input_size)
    return ReceptiveField(
        size=tuple(s[0] if s else n for s, n in zip(summaries, input_size, strict=True)),
        stride=tuple(s[1] if s else 0 for s in summaries),
        padding=tuple(s[2] if s else 0 for s in summaries),
        axes=tuple(s[3] if s else None for s in summaries),
    )


def _along(poked: np.ndarray, axis: int | None, middle: Sequence[int]) -> np.ndarray:
    """Which pokes reach which outputs on the line through the middle, shape `(outputs, pokes)`."""
    line: list[Any] = [slice(None), *middle]
    if axis is not None:
        line[1 + axis] = slice(None)
    return poked[tuple(line)].reshape(len(poked), -1).T


AxisSummary = tuple[int, Stride | None, int | None, AxisField]


def _summarize_axis(reach: np.ndarray, middle: int) -> AxisSummary | None:
    """Size, stride, padding and regions along one axis; `None` if every output sees all of it."""
    if reach.all():
        return None
    pixels = reach.shape[1]
    starts = np.where(reach.any(axis=1), reach.argmax(axis=1), pixels)
    stops = np.where(reach.any(axis=1), pixels - 1 - reach[:, ::-1].argmax(axis=1), -1)
    found = [(int(a), int(b)) for a, b in zip(starts, stops, strict=True)]
    pattern = _pattern(found, middle, pixels)
    if pattern is None:
        as_found = AxisField(tuple(found), pixels, len(found), seen=np.stack([starts, stops]))
        return max(0, found[middle][1] - found[middle][0] + 1), None, None, as_found
    intervals, step = pattern
    field = AxisField(intervals, step, len(found), seen=np.stack([starts, stops]))
    return field.extent, field.stride, field.padding, field


def _pattern(
    found: Sequence[Interval], middle: int, pixels: int
) -> tuple[tuple[Interval, ...], int] | None:
    """The shortest period that repeats along the outputs around the middle that see no border."""
    inside = [0 < each[0] <= each[1] < pixels - 1 or _empty(each) for each in found]
    if not inside[middle]:
        return None
    first, last = middle, middle
    while first > 0 and inside[first - 1]:
        first -= 1
    while last < len(found) - 1 and inside[last + 1]:
        last += 1
    for period in range(1, (last - first + 1) // 2 + 1):
        pairs = [(found[i], found[i + period]) for i in range(first, last - period + 1)]
        if any(_empty(earlier) != _empty(later) for earlier, later in pairs):
            continue
        seeing = [(earlier, later) for earlier, later in pairs if not _empty(earlier)]
        steps = {later[end] - earlier[end] for earlier, later in seeing for end in (0, 1)}
        if len(steps) == 1 and min(steps) > 0:
            step = steps.pop()
            return tuple(_moved(found, phase, first, period, step) for phase in range(period)), step
    return None


def _moved(found: Sequence[Interval], phase: int, first: int, period: int, step: int) -> Interval:
    """What position `phase` would see without a border, told from one further on."""
    periods = -(-(first - phase) // period)
    start, stop = found[phase + periods * period]
    return (start - periods * step, stop - periods * step) if start <= stop else (start, stop)


def _empty(interval: Interval) -> bool:
    return interval[0] > interval[1]
