"""Batch normalization folded into the layer before it: fewer numbers, the same answers."""

from collections import Counter
from typing import Any

import keras
import numpy as np
from keras import layers, ops

from evalib.networks.graph import Call, run_through_graph

_LINEAR = (layers.Conv2D, layers.DepthwiseConv2D, layers.SeparableConv2D, layers.Dense)
_MAXIMA = (layers.MaxPooling2D, layers.GlobalMaxPooling2D)


def fold_normalization(model: keras.Model) -> keras.Model:
    """Build the network for use after training: each batch normalization becomes a bias.

    After training a batch normalization multiplies each channel by a number and adds one. The layer
    before it can do both: its kernels are multiplied by `gamma / sqrt(variance + epsilon)`, and
    its bias becomes `beta - mean * gamma / sqrt(variance + epsilon)`. Four numbers a channel become
    one (Jacob et al., 2018, section 3.2).

    A max pooling may stand between the two if no channel is multiplied by a negative number.

    Args:
        model: a Sequential or functional model; left as it is.

    Returns:
        A new functional model without the batch normalizations that could be folded. It gives
        what the model gives outside training, to rounding. A batch normalization stays where the
        layer before it is not a convolution or dense layer without activation, where more than the
        batch normalization reads that layer, or where it does not normalize the last axis.

    Raises:
        ValueError: the model has no graph.

    Example:
        >>> from evalib.networks.course import s3_network
        >>> network = s3_network()
        >>> network.count_params(), fold_normalization(network).count_params()
        (18930, 18606)
    """
    folds = _find_folds(model)
    folded = {id(norm) for norm in folds.values()}
    twins: dict[int, layers.Layer] = {}

    def visit(call: Call, inputs: list[keras.KerasTensor]) -> list[keras.KerasTensor]:
        if id(call.layer) in folded:
            return inputs[:1]
        known = dict(zip(map(id, call.inputs), inputs, strict=True))
        args, kwargs = keras.tree.map_structure(
            lambda value: known.get(id(value), value), call.arguments
        )
        if not isinstance(call.layer, layers.Layer):  # an operation of keras.ops has no weights
            return list(keras.tree.flatten(call.layer(*args, **kwargs)))
        norm = folds.get(id(call.layer))
        if id(call.layer) not in twins:
            config = call.layer.get_config() | ({"use_bias": True} if norm else {})
            twins[id(call.layer)] = type(call.layer).from_config(config)
        twin = twins[id(call.layer)]
        outputs = list(keras.tree.flatten(twin(*args, **kwargs)))
        twin.set_weights(_folded_weights(call.layer, norm) if norm else call.layer.get_weights())
        return outputs

    inputs = [keras.Input(batch_shape=one.shape, dtype=one.dtype) for one in model.inputs]
    outputs = run_through_graph(model, inputs, visit)
    return keras.Model(
        inputs[0] if len(inputs) == 1 else inputs,
        outputs[0] if len(outputs) == 1 else outputs,
        name=f"{model.name}_folded",
    )


def _find_folds(model: keras.Model) -> dict[int, layers.BatchNormalization]:
    """For the `id` of each layer that can take it, the batch normalization that follows."""
    # A token stands for each value that is carried: through the borders of models inside, too.
    makers: dict[object, tuple[Call, list[object]]] = {}

    def visit(call: Call, inputs: list[object]) -> list[object]:
        made = [object() for _ in call.outputs]
        makers.update(dict.fromkeys(made, (call, inputs)))
        reads.extend(inputs)
        calls.append((call, inputs))
        return made

    calls: list[tuple[Call, list[object]]] = []
    reads: list[object] = []
    reads += run_through_graph(model, [object() for _ in model.inputs], visit)
    readers = Counter(reads)
    times = Counter(id(call.layer) for call, _ in calls)
    folds = {}
    for call, inputs in calls:
        if not _normalizes_channels(call):
            continue
        value, pooled = inputs[0], False
        while readers[value] == 1 and isinstance(_layer(makers, value), _MAXIMA):
            value, pooled = makers[value][1][0], True
        source = _layer(makers, value)
        alone = readers[value] == times[id(source)] == times[id(call.layer)] == 1
        takes_it = isinstance(source, _LINEAR) and source.activation is keras.activations.linear
        if alone and takes_it and not (pooled and (_scale_and_shift(call.layer)[0] < 0).any()):
            folds[id(source)] = call.layer
    return folds


def _normalizes_channels(call: Call) -> bool:
    """Whether a call is a batch normalization of the last axis, with its running averages."""
    if not isinstance(call.layer, layers.BatchNormalization):
        return False
    last = len(call.inputs[0].shape) - 1
    return call.layer.axis in (-1, last) and not call.arguments[1].get("training")


def _layer(makers: dict[object, tuple[Call, list[object]]], value: object) -> Any:
    """The layer that gives a value; None for an input of the model."""
    return makers[value][0].layer if value in makers else None


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
    *kernels, last = layer.get_weights()
    bias = 0.0
    if layer.use_bias:
        bias, last = last, kernels.pop()
    if isinstance(layer, layers.DepthwiseConv2D):
        # Its kernels have the shape (height, width, channels, multiplier).
        last = last * scale.reshape(last.shape[2:])
    else:
        last = last * scale
    return [*kernels, last, bias * scale + shift]
