"""The graph of a Keras model, one call of a layer at a time, nested models opened up."""

import dataclasses
import difflib
import graphlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

import keras

Value = TypeVar("Value")


@dataclasses.dataclass(frozen=True)
class Call:
    """One call of a layer, or of an operation of `keras.ops`, in a model's graph.

    Attributes:
        layer: what is called.
        name: the layer's; inside a nested model `outer/inner`, and with the number of the call
            (`conv#2`) where a layer is called more than once.
        inputs: the symbolic tensors that the call reads.
        outputs: the symbolic tensors that it gives.
        arguments: positional and keyword arguments, with symbolic tensors in them.
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
    """Carry values from a model's inputs to its outputs, through models inside it, too.

    Args:
        model: a Sequential or functional model.
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
    for call in _calls_in_order(model, prefix):
        arguments = [known[id(tensor)] for tensor in call.inputs]
        if has_graph(call.layer):
            results = run_through_graph(call.layer, arguments, visit, f"{call.name}/")
        else:
            results = visit(call, arguments)
        known.update(zip(map(id, call.outputs), results, strict=True))
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
    known = {path[-1][1].name: path for path in _paths(model, "")}
    chosen = [one for one in known if one == name]
    chosen = chosen or [one for one in known if one.rpartition("/")[2] == name]
    if len(chosen) != 1:
        close = difflib.get_close_matches(str(name), known, 3, 0.4) or known
        raise ValueError(f"expected the name of a layer such as {', '.join(close)}, got {name!r}")
    path = known[chosen[0]]
    call = path[-1][1]
    ends = [step.inputs for _, step in path[:-1]] + [call.outputs if outputs else call.inputs]
    parts = [keras.Model(one.inputs, [*end]) for (one, _), end in zip(path, ends, strict=True)]

    def inputs_of(values: Any) -> list[Any]:
        values = list(values) if isinstance(values, list | tuple) else [values]
        for part in parts:
            values = keras.tree.flatten(part(values, training=False))
        return values

    return call, inputs_of


def _paths(model: keras.Model, prefix: str) -> Iterator[list[tuple[keras.Model, Call]]]:
    """The way to each call: the outermost model with a call of it, and so on to the innermost."""
    tensors(model, "outputs")
    for call in _calls_in_order(model, prefix):
        yield [(model, call)]
        if has_graph(call.layer):
            yield from ([(model, call), *path] for path in _paths(call.layer, f"{call.name}/"))


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
    raise ValueError(
        f"expected a Sequential or functional Keras model, got {model!r} of class "
        f"{type(model).__name__}, whose call may do more than its graph, if it has one"
    )


def _calls_in_order(model: keras.Model, prefix: str) -> Iterator[Call]:
    """The model's calls, each after those that it reads from.

    Of the calls that could be next, the one that the model's summary lists first goes first.
    """
    ends, nodes, waiting = set(map(id, model.inputs)), {}, list(model.outputs)
    while waiting:
        tensor = waiting.pop()
        if id(tensor) not in ends and (node := _node(tensor)) not in nodes:
            nodes[node] = {_node(source) for source in node.input_tensors}
            waiting.extend(node.input_tensors)
    listed = getattr(model, "operations", None) or model.layers
    place = {id(layer): position for position, layer in enumerate(listed)}

    def rank(node: Any) -> tuple[int, int]:
        layer = node.operation
        return place.get(id(layer), len(place)), layer._inbound_nodes.index(node)

    sorter = graphlib.TopologicalSorter(
        {node: sources & nodes.keys() for node, sources in nodes.items()}
    )
    sorter.prepare()
    ready: list[Any] = []
    while sorter.is_active():
        ready.extend(sorter.get_ready())
        node = min(ready, key=rank)
        ready.remove(node)
        sorter.done(node)
        layer = node.operation
        calls = [one for one in layer._inbound_nodes if one in nodes]
        name = prefix + layer.name + (f"#{calls.index(node) + 1}" if len(calls) > 1 else "")
        arguments = (node.arguments.args, node.arguments.kwargs)
        yield Call(layer, name, tuple(node.input_tensors), tuple(node.outputs), arguments)


def _node(tensor: keras.KerasTensor) -> Any:
    """The call that gave a tensor."""
    layer, index, _ = tensor._keras_history
    return layer._inbound_nodes[index]
