"""Batch normalization folded into the layer before it: fewer numbers, the same outputs."""

import inspect
from collections import Counter
from typing import Any

import keras
import numpy as np
from keras import layers, ops

from evalib.networks.costs import acts_as
from evalib.networks.graph import Call, run_through_graph, tensors

_LINEAR = (layers.Conv2D, layers.DepthwiseConv2D, layers.SeparableConv2D, layers.Dense)
_MAXIMA = (layers.MaxPooling2D, layers.GlobalMaxPooling2D)


def fold_normalization(model: keras.Model) -> keras.Model:
    """Build the network for use after training: each batch normalization becomes a bias.

    After training it multiplies each channel by a number and adds one. The layer before it can do
    both: its kernels are multiplied by `gamma / sqrt(variance + epsilon)`, and its bias becomes
    `beta - mean * gamma / sqrt(variance + epsilon)` (Jacob et al., 2018, section 3.2). A max
    pooling may be between the two if no channel is multiplied by a negative number.

    Args:
        model: a Sequential or functional model; it stays as it is.

    Returns:
        A new functional model that gives what the model gives outside training, up to rounding.
        A batch normalization stays in it where the layer before is not a 2D convolution or dense
        layer without activation and with its channels last, where something else reads that layer,
        where one of the two is called twice, or where it normalizes another axis than the last.

    Raises:
        ValueError: the model has no graph, or one of its layers cannot be copied.

    Example:
        >>> from evalib.networks.course import s3_network
        >>> network = s3_network()
        >>> network.count_params(), fold_normalization(network).count_params()
        (18930, 18606)
    """
    folds = _find_folds(model)
    folded = {id(norm) for norm in folds.values()}
    copies: dict[int, Any] = {}

    def visit(call: Call, inputs: list[keras.KerasTensor]) -> list[keras.KerasTensor]:
        if id(call.layer) in folded:
            return inputs[:1]
        new = dict(zip(map(id, call.inputs), inputs, strict=True))
        args, kwargs = keras.tree.map_structure(lambda one: new.get(id(one), one), call.arguments)
        norm = folds.get(id(call.layer))
        if id(call.layer) not in copies:
            taken = {copy.name for copy in copies.values()}  # by a layer of another model inside
            name = f"{call.layer.name}_{len(copies)}" if call.layer.name in taken else None
            changes = {"use_bias": True} if norm else {}
            copies[id(call.layer)] = _copy(call.layer, changes | ({"name": name} if name else {}))
        copy = copies[id(call.layer)]
        outputs = list(keras.tree.flatten(copy(*args, **kwargs)))
        if norm:
            copy.set_weights(_folded_weights(call.layer, norm))
        elif isinstance(copy, layers.Layer):  # an operation of keras.ops has no weights
            copy.set_weights(call.layer.get_weights())
        if isinstance(copy, layers.Normalization):
            copy.finalize_state()  # it computes with what it derived from its weights
        return outputs

    old = tensors(model, "inputs")
    inputs = [keras.Input(batch_shape=one.shape, dtype=one.dtype, name=one.name) for one in old]
    outputs = run_through_graph(model, inputs, visit)
    sequential = isinstance(model, keras.Sequential)
    return keras.Model(
        inputs[0] if sequential else keras.tree.pack_sequence_as(model.input, inputs),
        outputs[0] if sequential else keras.tree.pack_sequence_as(model.output, outputs),
        name=f"{model.name}_folded",
    )


def _copy(layer: Any, changes: dict[str, Any]) -> Any:
    """A new layer or operation of the same configuration, without the weights."""
    kind = type(layer)
    try:
        config = layer.get_config() | changes
        try:
            return kind.from_config(config)
        except TypeError:  # no get_config: Keras remembers the arguments, and adds its own
            wanted = inspect.signature(kind.__init__).parameters
            return kind(**{name: value for name, value in config.items() if name in wanted})
    except (NotImplementedError, TypeError, ValueError) as error:
        raise ValueError(f"cannot copy layer {layer.name!r}: it needs a get_config()") from error


def _find_folds(model: keras.Model) -> dict[int, layers.BatchNormalization]:
    """For the `id` of each layer that can take it, the batch normalization that follows."""
    # A token stands for each value that is carried, through models inside, too.
    makers: dict[object, tuple[Any, list[object]]] = {}
    calls: list[tuple[Call, list[object]]] = []

    def visit(call: Call, inputs: list[object]) -> list[object]:
        made = [object() for _ in call.outputs]
        makers.update(dict.fromkeys(made, (call.layer, inputs)))
        calls.append((call, inputs))
        return made

    ends = run_through_graph(model, [object() for _ in tensors(model, "inputs")], visit)
    readers = Counter([*ends, *(value for _, inputs in calls for value in inputs)])
    times = Counter(id(call.layer) for call, _ in calls)
    folds = {}
    for call, inputs in calls:
        if not _normalizes_channels(call):
            continue
        value, pooled = inputs[0], False
        source, before = makers.get(value, (None, []))
        while readers[value] == 1 and isinstance(source, _MAXIMA) and _channels_last(source):
            value, pooled = before[0], True
            source, before = makers.get(value, (None, []))
        alone = readers[value] == times[id(source)] == times[id(call.layer)] == 1
        negative = (_scale_and_shift(call.layer)[0] < 0).any()
        if alone and _takes_it(source) and not (pooled and negative):
            folds[id(source)] = call.layer
    return folds


def _normalizes_channels(call: Call) -> bool:
    """Whether a call is a batch normalization of the last axis, with its running averages."""
    if type(call.layer) is not layers.BatchNormalization or call.arguments[1].get("training"):
        return False
    return call.layer.axis in (-1, len(call.inputs[0].shape) - 1)


def _takes_it(layer: Any) -> bool:
    """Whether a layer's outputs are a linear map with one kernel, and maybe a bias, per channel."""
    special = getattr(layer, "lora_enabled", None) or getattr(layer, "quantization_mode", None)
    linear = acts_as(layer, _LINEAR) and layer.activation is keras.activations.linear
    return linear and not special and _channels_last(layer)


def _channels_last(layer: Any) -> bool:
    return getattr(layer, "data_format", "channels_last") == "channels_last"


def _scale_and_shift(norm: layers.BatchNormalization) -> tuple[np.ndarray, np.ndarray]:
    """What a channel is multiplied by outside training, and what is added, as float64."""
    mean, variance, gamma, beta = (
        None if weight is None else ops.convert_to_numpy(weight).astype("float64")
        for weight in (norm.moving_mean, norm.moving_variance, norm.gamma, norm.beta)
    )
    scale = (1.0 if gamma is None else gamma) / np.sqrt(variance + norm.epsilon)
    return scale, (0.0 if beta is None else beta) - mean * scale


def _folded_weights(layer: Any, norm: layers.BatchNormalization) -> list[np.ndarray]:
    """The layer's weights with the normalization in them, a bias last."""
    scale, shift = _scale_and_shift(norm)
    weights = layer.get_weights()
    bias = weights.pop() if layer.use_bias else 0.0
    # The kernels of a depthwise convolution are (height, width, channels, multiplier).
    depthwise = isinstance(layer, layers.DepthwiseConv2D)
    factors = scale.reshape(weights[-1].shape[2:]) if depthwise else scale
    return [*weights[:-1], weights[-1] * factors, bias * scale + shift]
