"""Which input and which layer of a model a question is about."""

from collections.abc import Mapping, Sequence
from typing import TypeVar

import keras

from evalib.networks.graph import has_graph

Value = TypeVar("Value")
_MOST_NAMES = 40


def choose_sources(
    model: keras.Model, inputs: Sequence[keras.KerasTensor], source: str | None
) -> list[int]:
    """The numbers of the inputs that count as the image.

    Args:
        model: the model, for its name.
        inputs: its symbolic inputs.
        source: the name of one input; without it, all inputs of the highest rank.

    Raises:
        ValueError: there is no such input, or the sizes of several images differ.
    """
    names = [tensor.name for tensor in inputs]
    if source is not None:
        if source not in names:
            raise ValueError(f"expected one of the inputs {', '.join(names)}, got {source!r}")
        return [names.index(source)]
    rank = max(len(tensor.shape) for tensor in inputs)
    images = [number for number, tensor in enumerate(inputs) if len(tensor.shape) == rank]
    sizes = {
        tuple(inputs[n].shape[axis] for axis in position_axes(model, inputs[n])) for n in images
    }
    if len(sizes) > 1:
        raise ValueError(
            f"the inputs of {model.name!r} differ in size: name one with source=, of "
            + ", ".join(names)
        )
    return images


def position_axes(model: keras.Model, tensor: keras.KerasTensor) -> tuple[int, ...]:
    """The axes of an input that hold positions: all but the batch and the channels."""
    rank = len(tensor.shape)
    if rank <= 2:
        return tuple(range(1, rank))
    return tuple(range(2, rank)) if _channels_first(model) else tuple(range(1, rank - 1))


def choose_layer(
    layer: str | None, found: Mapping[str, Value], outputs: Sequence[tuple[str, Value]]
) -> list[Value]:
    """What was found for a layer, once for each of its calls, or for the model's outputs.

    Args:
        layer: a name as in the table, or the end of one: "conv" finds "outer/conv" and "conv#2".
        found: by the names of all calls.
        outputs: the model's outputs, each with the name of its layer.

    Raises:
        ValueError: there is no such layer, or none is named and the model has several outputs.
    """
    if layer is None:
        if len(outputs) > 1:
            names = ", ".join(name for name, _ in outputs)
            raise ValueError(f"the model has several outputs: name one with layer=, of {names}")
        return [outputs[0][1]]
    if layer in found:
        return [found[layer]]
    values = [
        value
        for name, value in found.items()
        if any(part == layer for part in (name.split("#")[0], *_endings(name)))
    ]
    if not values:
        known = list(found)
        listed = ", ".join(known[:_MOST_NAMES]) + (", ..." if len(known) > _MOST_NAMES else "")
        raise ValueError(f"expected one of the layers {listed}, got {layer!r}")
    return values


def _endings(name: str) -> list[str]:
    """What a nested layer may be called for short, with or without the number of the call."""
    parts = name.split("/")
    tails = ["/".join(parts[start:]) for start in range(1, len(parts))]
    return tails + [tail.split("#")[0] for tail in tails]


def _channels_first(model: keras.Model) -> bool:
    """Whether a layer anywhere in the model counts channels before positions."""
    return any(
        _channels_first(layer)
        if has_graph(layer)
        else getattr(layer, "data_format", None) == "channels_first"
        for layer in model.layers
    )
