"""Which rule turns what a layer's inputs see into what its outputs see, and whether the number of
positions that it predicts is the real one: if not, the field is unknown."""

import itertools
from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np

from evalib.networks.graph import Call, has_graph, run_through_graph
from evalib.receptive_fields.axis_maps import Shape, sliding
from evalib.receptive_fields.tensor_fields import LayerCall, Operand, TensorField, UnknownFieldError

Rule = Callable[[LayerCall], Any]  # a field, or a list of one for each output

LAYER_RULES: dict[str, Rule] = {}
OPERATION_RULES: dict[str, Rule] = {}
_registered: dict[Any, Rule] = {}

# What a class may override and still compute what its parent computes.
_HARMLESS = {"build", "get_config", "from_config", "get_build_config", "build_from_config"}
_HARMLESS |= {"compute_mask", "compute_output_shape", "compute_output_spec"}


class SizeError(UnknownFieldError):
    """A layer does not fit an input of the size that was tried."""


def rule(layers: str = "", operations: str = "") -> Callable[[Rule], Rule]:
    """Keep a rule for these classes of Keras, named without their modules; * is 1D, 2D or 3D."""

    def keep(function: Rule) -> Rule:
        for rules, names in ((LAYER_RULES, layers), (OPERATION_RULES, operations)):
            for kind in ("1D", "2D", "3D"):
                rules.update(dict.fromkeys(names.replace("*", kind).split(), function))
        return function

    return keep


def register_layer(
    kind: type | keras.layers.Layer,
    *,
    kernel: int | Sequence[int] | None = 1,
    stride: int | Sequence[int] = 1,
    padding: str | int | Sequence[int] = 0,
    dilation: int | Sequence[int] = 1,
) -> None:
    """Tell what a layer reads that is not known here, such as a `Lambda` or one of your own.

    Numbers are for all axes, or one for each; what does not fit the output's shape is not believed.

    Args:
        kind: a class, for all of its layers, or a single layer.
        kernel: the window's extent: 1 if each pixel is read alone, `None` if all are.
        stride, padding, dilation: in positions; the padding before and after, or "valid", "same".

    Raises:
        ValueError: a number is out of range, or the padding is none of these.
    """
    for given in (kernel, stride, dilation):
        if given is not None and min(each(given)) < 1:
            raise ValueError(f"expected numbers of at least 1, got {given}")
    if padding not in ("valid", "same") and (isinstance(padding, str) or min(each(padding)) < 0):
        raise ValueError(f'expected the padding "valid", "same" or numbers, got {padding!r}')

    def registered(call: LayerCall) -> TensorField:
        if kernel is None:
            whole = call.field.remove(range(1, len(call.shape)))
            return whole.insert(1, len(call.shapes[0]) - 1).with_channel(len(call.shapes[0]) - 1)
        field = call.field if len(call.shape) < 3 else call.field.mix_channels(call.channel)
        return slide(call, field, kernel, stride, dilation, padding)

    _registered[kind] = registered


def each(value: Any, count: int | None = None) -> tuple[Any, ...]:
    """One value for each of so many axes."""
    values = tuple(value) if isinstance(value, (tuple, list)) else (value,) * (count or 1)
    if count is not None and len(values) != count:
        raise ValueError(f"expected {count} numbers, one for each axis, got {value}")
    return values


def slide(call: LayerCall, field: TensorField, *options: Any, window: Any = sliding) -> TensorField:
    columns = [each(option, len(call.positions)) for option in options]
    rows = zip(call.positions, *columns, strict=True)
    return field.slide({axis: window(call.shape[axis], *numbers) for axis, *numbers in rows})


def evaluate(layer: Any, operands: Sequence[Operand], shapes: Sequence[Shape]) -> list[TensorField]:
    """What a layer inside another one sees, a model included; an error where that is unknown."""
    if has_graph(layer):
        findings: list[Any] = [one.field for one in run_through_graph(layer, operands, follow)]
    else:
        findings = _apply(LayerCall(layer, tuple(operands), {}, shapes))
    for finding in findings:
        if isinstance(finding, UnknownFieldError):
            raise finding
    return findings


def follow(call: Call, operands: Sequence[Operand]) -> list[Operand]:
    """What the tensors see that a call in a model's graph gives: `visit` of `run_through_graph`. A
    field may be an `UnknownFieldError`, which is handed on."""
    known = dict(zip(map(id, call.inputs), operands, strict=True))
    args, kwargs = keras.tree.map_structure(lambda v: known.get(id(v), v), call.arguments)
    shapes, findings = [tuple(tensor.shape) for tensor in call.outputs], [None] * len(call.outputs)
    fields: list[Any] = [operand.field for operand in operands]
    error = next((field for field in fields if isinstance(field, UnknownFieldError)), None)
    as_built = [tuple(t.shape[1:]) for t in call.inputs] == [o.shape[1:] for o in operands]
    try:
        if not as_built or any(None in shape[1:] for shape in shapes):
            shapes = _real_shapes(call.layer, args, kwargs)
        if any(fields) and not error:
            findings = _apply(LayerCall(call.layer, args, kwargs, shapes))
    except SizeError as size_error:
        error = error or size_error
    rows = zip(shapes, findings, call.outputs, strict=True)
    return [Operand(shape, error or finding, t.dtype) for shape, finding, t in rows]  # type: ignore[arg-type]


def _apply(call: LayerCall) -> list[Any]:
    """What each output of a call sees, or why that is not known."""
    name, count = call.layer.name, len(call.shapes)
    try:
        result = _find_rule(call.layer)(call)
        fields = result if isinstance(result, list) else [_activated(call.layer, result)]
        for field, shape in zip(fields, call.shapes, strict=False):
            _check_positions(field, shape)
    except (ValueError, TypeError, LookupError, AttributeError) as error:
        which = "" if isinstance(error, UnknownFieldError) else f" of class {call.kind}"
        return [UnknownFieldError(f"layer {name!r}{which}: {error}")] * count
    rest = UnknownFieldError(f"layer {name!r}: only its first output is known")
    return [*fields, *[rest] * (count - len(fields))]


def _real_shapes(layer: Any, args: Any, kwargs: Any) -> list[Shape]:
    """The shapes of a call's outputs for operands of other sizes than those in the graph."""

    def symbolic(value: Any) -> Any:
        return keras.KerasTensor(value.shape, value.dtype) if isinstance(value, Operand) else value

    args, kwargs = keras.tree.map_structure(symbolic, (args, kwargs))
    try:
        spec = layer.compute_output_spec(*args, **kwargs)
        if any(None in tensor.shape[1:] for tensor in keras.tree.flatten(spec)):
            spec = keras.Operation.compute_output_spec(layer, *args, **kwargs)
        shapes = [tuple(tensor.shape) for tensor in keras.tree.flatten(spec)]
        if any(size is None or size < 1 for shape in shapes for size in shape[1:]):
            raise ValueError("nothing would be left of it")
    except Exception as error:  # Keras and its backends raise what they like here
        reason, leaves = str(error).strip().splitlines()[0], keras.tree.flatten((args, kwargs))
        given = " and ".join(str(t.shape[1:]) for t in leaves if isinstance(t, keras.KerasTensor))
        text = f"layer {layer.name!r} does not take an input of shape {given}: {reason}"
        raise SizeError(text) from error
    return shapes


def _find_rule(layer: Any) -> Rule:
    """The rule of a layer, of its class, or of the class whose computation it inherits."""
    is_layer, name = isinstance(layer, keras.layers.Layer), type(layer).__name__
    known = LAYER_RULES if is_layer else OPERATION_RULES
    if layer in _registered:
        return _registered[layer]
    for kind, parent in itertools.pairwise(type(layer).__mro__):
        if kind in _registered:
            return _registered[kind]
        if kind.__name__ in known and kind.__module__.split(".")[0] in ("keras", "evalib"):
            return known[kind.__name__]
        own = [n for n in vars(kind).keys() - _HARMLESS if n == "__call__" or n[:2] != "__"]
        if any(callable(getattr(parent, attribute, None)) for attribute in own):
            break
    hint = f"say what it reads with ev.register_layer({name}, ...): kernel=1 if it works pixel by "
    hint += "pixel, kernel=None if it sees everything; or "
    what = f"its class {name} is not known here; {hint}" if is_layer else f"{name} is not known; "
    raise UnknownFieldError(f"{what}ev.measure_receptive_field finds out by experiment")


def _activated(layer: Any, field: TensorField) -> TensorField:
    """What is seen after a layer's activation function, which may mix channels."""
    function = getattr(layer, "activation", None)
    name = getattr(function, "__name__", type(function).__name__)
    if name in ("softmax", "log_softmax", "sparsemax"):
        return field.gather([field.rank - 1])
    libraries = ("keras", "evalib", "tensorflow", "jax", "torch")
    if function is None or str(getattr(function, "__module__", "")).split(".")[0] in libraries:
        return field
    # A function of somebody's own is tried: values alone must give what they give together.
    together = np.random.default_rng(0).normal(size=[1] + [3] * (field.rank - 1))
    given = map(
        keras.ops.convert_to_tensor, (together, together.reshape(-1, *[1] * (field.rank - 1)))
    )
    together, alone = (keras.ops.convert_to_numpy(function(each)).ravel() for each in given)
    if alone.shape != together.shape or not np.allclose(alone, together):
        raise UnknownFieldError(f"its activation {name!r} does not work value by value")
    return field


def _check_positions(field: TensorField | None, shape: Shape) -> None:
    for found in field.maps if field else ():
        if found.endless.ndim != len(shape):
            text = f"expected {found.endless.ndim} axes, but it gives {len(shape)}"
            raise UnknownFieldError(text)
        for axis in found.depends_on():
            size = found.clipped.shape[axis]
            size = size if axis == found.axis else max(size, found.endless.shape[axis])
            if size != shape[axis]:
                text = f"expected {size} positions on axis {axis}, but it gives {shape[axis]}"
                raise UnknownFieldError(text)
