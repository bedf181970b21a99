"""The graph of a Keras model, one call of a layer at a time, nested models opened up."""

import dataclasses
import difflib
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

import keras

Value = TypeVar("Value")


@dataclasses.dataclass(frozen=True)
class Call:
    """One call of a layer, or of an operation of `keras.ops`, in a model's graph.

    It is named as the layer is; inside a nested model `outer/inner`, and with its number (`conv#2`)
    where a layer is called more than once. It reads the symbolic tensors `inputs` and gives
    `outputs`. The positional and keyword `arguments` have symbolic tensors in them.
    """

    layer: Any
    name: str
    inputs: tuple[keras.KerasTensor, ...]
    outputs: tuple[keras.KerasTensor, ...]
    arguments: tuple[tuple[Any, ...], dict[str, Any]]


def run_through_graph(
    model: keras.Model,
    values: Sequence[Value],
    visit: Callable[[Call, list[Value]], list[Value]],
    prefix: str = "",
) -> list[Value]:
    """Carry values, one for each, from a model's inputs to its outputs, through models inside it.

    `visit` takes a call and one value for each tensor that it reads, and returns one for each that
    it gives. Calls come in the order of the summary, with names that begin with the prefix. A
    ValueError says if the model has no graph: it has a `call` of its own, or no input shape.
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

    Nothing is added to any layer, which may have calls in other models as well. The name is as in
    `Call.name`; `inner` alone does where no other layer is called so. A ValueError says if there is
    not one. Returns the call, and a function from the model's input (a list, if there are several)
    to the values that the call reads, or with `outputs` gives, as in inference.
    """
    known = {path[-1][1].name: path for path in _paths(model, "")}
    chosen = [name] if name in known else [one for one in known if one.split("/")[-1] == name]
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
    got = f"got {model!r} of class {type(model).__name__}, whose call may do more than its graph"
    if isinstance(model, keras.Sequential):
        got = f"got {model.name!r} without one: begin it with keras.Input(...), or build(...) it"
    raise ValueError(f"expected a Sequential or functional model with an input shape, {got}")


def _calls_in_order(model: keras.Model, prefix: str) -> Iterator[Call]:
    """The model's calls, each after those that it reads from, and else as the summary has them."""
    graph = getattr(model, "_functional", model)  # inside a Sequential model
    depths = {node: depth for depth, nodes in graph._nodes_by_depth.items() for node in nodes}
    found = []
    for place, layer in enumerate(graph.operations):
        calls = [node for node in layer._inbound_nodes if node in depths]
        for number, node in enumerate(calls, start=1):
            name = prefix + layer.name + (f"#{number}" if len(calls) > 1 else "")
            arguments = (node.arguments.args, node.arguments.kwargs)
            call = Call(layer, name, (*node.input_tensors,), (*node.outputs,), arguments)
            found.append((-depths[node], place, number, call))
    return (call for *_, call in sorted(found, key=lambda one: one[:3]) if call.inputs)
