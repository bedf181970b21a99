"""The graph of a Keras model, one call of a layer at a time, nested models opened up."""

import dataclasses
import difflib
import heapq
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

import keras

Value = TypeVar("Value")


@dataclasses.dataclass(frozen=True)
class Call:
    """One call of a layer, or of an operation of `keras.ops`, in a model's graph.

    Attributes:
        layer: what is called.
        name: the layer's name; inside a nested model `outer/inner`, and with the number of the
            call (`conv#2`) where a layer is called more than once.
        inputs: the symbolic tensors that the call reads.
        outputs: the symbolic tensors that it gives.
        arguments: the call's positional and keyword arguments, with symbolic tensors in them.
    """

    layer: Any
    name: str
    inputs: tuple[keras.KerasTensor, ...]
    outputs: tuple[keras.KerasTensor, ...]
    arguments: tuple[tuple[Any, ...], dict[str, Any]]


Visit = Callable[[Call, list[Value]], list[Value]]


def run_through_graph(
    model: keras.Model, values: Sequence[Value], visit: Visit[Value], prefix: str = ""
) -> list[Value]:
    """Carry values from a model's inputs to its outputs.

    Args:
        model: a Sequential or functional model; models inside it are run through in the same way.
        values: one for each input of the model.
        visit: takes a call and one value for each tensor that it reads, and returns one value for
            each tensor that it gives. Calls come in the order of the graph, as in the summary.
        prefix: what the names of the calls begin with.

    Returns:
        One value for each output of the model.

    Raises:
        ValueError: the model has no graph: it is a subclass with a `call` of its own, or a
            Sequential model without an input shape.
    """
    known = dict(zip(map(id, tensors(model, "inputs")), values, strict=True))
    for layer, number, node in _calls_in_order(model):
        inputs = tuple(node.input_tensors)
        arguments = [known[id(tensor)] for tensor in inputs]
        name = prefix + layer.name + (f"#{number}" if number else "")
        if has_graph(layer):
            results = run_through_graph(layer, arguments, visit, f"{name}/")
        else:
            symbolic = (node.arguments.args, node.arguments.kwargs)
            results = visit(Call(layer, name, inputs, tuple(node.outputs), symbolic), arguments)
        known.update(zip(map(id, node.outputs), results, strict=True))
    return [known[id(tensor)] for tensor in tensors(model, "outputs")]


def find_call(
    model: keras.Model, name: str, *, outputs: bool = False
) -> tuple[Call, Callable[[Any], list[Any]]]:
    """Find the call of a layer, and how what it reads comes from the model's input.

    The models' graphs alone are followed, so layers may have calls in other models as well, and
    nothing is added to any layer.

    Args:
        model: a Sequential or functional model.
        name: of a layer or a nested model, as in `Call.name`; `inner` alone does where no other
            layer is called so.
        outputs: ask for what the call gives instead of what it reads.

    Returns:
        The call, and a function from the model's input (a list, if there are several) to the
        values that the call reads or gives, as in inference.

    Raises:
        ValueError: the model has no graph, or the name is not that of one call.
    """
    tensors(model, "outputs")
    known = list(_named_calls(model, "", []))
    chosen = [one for one in known if one[0] == name]
    chosen = chosen or [one for one in known if one[0].rpartition("/")[2] == name]
    if len(chosen) != 1:
        names = [one[0] for one in known]
        several = [one for one in names if one.rpartition("/")[2].partition("#")[0] == name]
        close = several or difflib.get_close_matches(str(name), names, 3, 0.4) or names
        raise ValueError(f"expected the name of a layer such as {', '.join(close)}, got {name!r}")
    full_name, outside, layer, node = chosen[0]
    ends = [list(step.input_tensors) for _, step in outside]
    ends[-1] = list(node.outputs) if outputs else ends[-1]
    parts = [keras.Model(one.inputs, end) for (one, _), end in zip(outside, ends, strict=True)]

    def inputs_of(values: Any) -> list[Any]:
        values = list(values) if isinstance(values, list | tuple) else [values]
        for part in parts:
            values = keras.tree.flatten(part(values, training=False))
        return values

    arguments = (node.arguments.args, node.arguments.kwargs)
    call = Call(layer, full_name, tuple(node.input_tensors), tuple(node.outputs), arguments)
    return call, inputs_of


def _named_calls(
    model: keras.Model, prefix: str, outside: list[Any]
) -> Iterator[tuple[str, list[Any], Any, Any]]:
    """Each call as `(name, [(model, node), ...] from the outermost model, layer, node)`."""
    for layer, number, node in _calls_in_order(model):
        name = prefix + layer.name + (f"#{number}" if number else "")
        path = [*outside, (model, node)]
        yield name, path, layer, node
        if has_graph(layer):
            yield from _named_calls(layer, f"{name}/", path)


def has_graph(layer: Any) -> bool:
    """Whether a layer is a model that is made of other layers' calls, and adds nothing to them."""
    owner = next((kind for kind in type(layer).__mro__ if "call" in vars(kind)), object)
    is_built = isinstance(layer, keras.Model) and bool(getattr(layer, "inputs", None))
    return is_built and owner.__module__.startswith("keras.")


def tensors(model: keras.Model, which: str) -> list[keras.KerasTensor]:
    """The symbolic `inputs` or `outputs` of a model, or an error that says why there are none."""
    if has_graph(model):
        return list(getattr(model, which))
    if isinstance(model, keras.Sequential):
        raise ValueError(
            f"expected a model with an input shape, got {model.name!r} without one: begin it with "
            "keras.Input(...), or call its build(...) first"
        )
    built = bool(getattr(model, "inputs", None))
    raise ValueError(
        f"expected a Sequential or functional Keras model, got {model!r} of class "
        f"{type(model).__name__}, "
        + (
            "whose call may do more than its graph"
            if built
            else "which has no graph of layers to follow"
        )
    )


def _calls_in_order(model: keras.Model) -> Iterator[tuple[Any, int, Any]]:
    """The model's calls as `(layer, number, node)`: each after those that it reads from.

    Of the calls that could be next, the one that the model's summary lists first goes first. The
    number is 0 for a layer that is called once, and counts from 1 otherwise.
    """
    nodes = _nodes(model)
    listed = getattr(model, "operations", None) or model.layers
    place = {id(layer): position for position, layer in enumerate(listed)}
    by_layer: dict[int, list[int]] = {}
    for (layer_id, index), _ in sorted(nodes.items()):
        by_layer.setdefault(layer_id, []).append(index)
    readers: dict[tuple[int, int], list[tuple[int, int]]] = {key: [] for key in nodes}
    waiting = {}
    for key, (_, node) in nodes.items():
        sources = {_key(tensor) for tensor in node.input_tensors} & nodes.keys()
        waiting[key] = len(sources)
        for source in sources:
            readers[source].append(key)
    queue = [(place.get(key[0], len(place)), key) for key in nodes if not waiting[key]]
    heapq.heapify(queue)
    while queue:
        _, key = heapq.heappop(queue)
        layer, node = nodes[key]
        calls = by_layer[key[0]]
        yield layer, calls.index(key[1]) + 1 if len(calls) > 1 else 0, node
        for reader in readers[key]:
            waiting[reader] -= 1
            if not waiting[reader]:
                heapq.heappush(queue, (place.get(reader[0], len(place)), reader))


def _nodes(model: keras.Model) -> dict[tuple[int, int], tuple[Any, Any]]:
    """The calls between the model's inputs and outputs: `(layer, node)` by layer and call."""
    ends = {id(tensor) for tensor in model.inputs}
    found: dict[tuple[int, int], tuple[Any, Any]] = {}
    open_tensors = list(model.outputs)
    while open_tensors:
        tensor = open_tensors.pop()
        if id(tensor) in ends or _key(tensor) in found:
            continue
        layer, index, _ = tensor._keras_history
        node = layer._inbound_nodes[index]
        found[_key(tensor)] = (layer, node)
        open_tensors.extend(node.input_tensors)
    return found


def _key(tensor: keras.KerasTensor) -> tuple[int, int]:
    """Which call gave a tensor."""
    layer, index, _ = tensor._keras_history
    return id(layer), index
