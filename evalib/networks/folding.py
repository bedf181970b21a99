"""What a trained network becomes: its normalization folded away, or an average over shifts."""

import itertools
from collections import Counter
from typing import Any

import keras
import numpy as np
from keras import layers, ops

from evalib.networks.costs import acts_as
from evalib.networks.graph import Call, run_through_graph, tensors
from evalib.networks.layers import LAST, softmax_dtype, whole_numbers

_LINEAR = (layers.Conv2D, layers.DepthwiseConv2D, layers.SeparableConv2D, layers.Dense)
_MAXIMA = (layers.MaxPooling2D, layers.GlobalMaxPooling2D)


def fold_normalization(model: keras.Model) -> keras.Model:
    """Build the network for use after training: each batch normalization becomes a bias.

    After training it multiplies each channel by a number and adds one. The layer before it can do
    both: its kernels are multiplied by `gamma / sqrt(variance + epsilon)`, and its bias becomes
    `beta - mean * gamma / sqrt(variance + epsilon)` (Jacob et al., 2018, section 3.2). A max
    pooling may be between the two if no channel is multiplied by a negative number.

    The new functional model gives what the old one gives outside training, up to rounding. A batch
    normalization stays where the layer before is no linear 2D convolution or dense layer with its
    channels last, where something else reads that layer, where one of the two is called twice, or
    where it normalizes another axis. What cannot be copied or has no graph raises a ValueError.
    """
    folds = _find_folds(model)
    folded = {id(norm) for norm in folds.values()}
    copies: dict[int, Any] = {}

    def visit(call: Call, inputs: list[keras.KerasTensor]) -> list[keras.KerasTensor]:
        layer, norm = call.layer, folds.get(id(call.layer))
        if id(layer) in folded:
            return inputs[:1]
        new = dict(zip(map(id, call.inputs), inputs, strict=True))
        args, kwargs = keras.tree.map_structure(lambda one: new.get(id(one), one), call.arguments)
        if id(layer) not in copies:
            changes: dict[str, Any] = {"use_bias": True} if norm else {}
            if layer.name in {copy.name for copy in copies.values()}:  # of another model inside
                changes["name"] = f"{layer.name}_{len(copies)}"
            try:
                copies[id(layer)] = type(layer).from_config(layer.get_config() | changes)
            except (NotImplementedError, TypeError, ValueError) as error:
                message = f"cannot copy layer {layer.name!r}: it needs a get_config()"
                raise ValueError(message) from error
        copy = copies[id(layer)]
        outputs = list(keras.tree.flatten(copy(*args, **kwargs)))
        if isinstance(copy, layers.Layer):  # an operation of keras.ops has no weights
            copy.set_weights(_folded_weights(layer, norm) if norm else layer.get_weights())
        if isinstance(copy, layers.Normalization):
            copy.finalize_state()  # it computes with what it derived from its weights
        return outputs

    old = tensors(model, "inputs")
    inputs = [keras.Input(batch_shape=one.shape, dtype=one.dtype, name=one.name) for one in old]
    outputs = run_through_graph(model, inputs, visit)
    graph, pack = getattr(model, "_functional", model), keras.tree.pack_sequence_as
    ends = pack(graph.input, inputs), pack(graph.output, outputs)
    return keras.Model(*ends, name=f"{model.name}_folded")


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
        if type(call.layer) is not layers.BatchNormalization or call.arguments[1].get("training"):
            continue
        value, factors = inputs[0], _scale_and_shift(call.layer)[0]
        source, before = makers.get(value, (None, []))
        while readers[value] == 1 and isinstance(source, _MAXIMA):
            if (factors < 0).any() or source.data_format != "channels_last":
                break
            value = before[0]
            source, before = makers.get(value, (None, []))
        alone = readers[value] == times[id(source)] == times[id(call.layer)] == 1
        if alone and _takes_it(source) and call.layer.axis in (-1, len(call.inputs[0].shape) - 1):
            folds[id(source)] = call.layer
    return folds


def _takes_it(layer: Any) -> bool:
    """Whether a layer's outputs are a linear map with one kernel, and maybe a bias, per channel."""
    special = getattr(layer, "lora_enabled", None) or getattr(layer, "quantization_mode", None)
    linear = acts_as(layer, _LINEAR) and layer.activation is keras.activations.linear
    last = getattr(layer, "data_format", "channels_last") == "channels_last"
    return linear and last and not special


def _scale_and_shift(norm: layers.BatchNormalization) -> tuple[np.ndarray, np.ndarray]:
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


def shift_average(network: keras.Model, reach: int = 1, cross: bool = False) -> keras.Model:
    """Build a network that averages what another one says of an image and of its shifted copies.

    The image is padded with zeros by `reach` pixels, 1 or more, and every view of its size is
    cropped from that: `(2 * reach + 1) ** 2` of them, or with `cross` five, the image and its
    shifts along one axis. The result is the geometric mean of their probabilities. The network is
    Sequential or functional, from images `(batch, height, width, channels)` to a softmax, else a
    ValueError is raised. It is part of the result, so fold it first.
    """
    (reach,) = whole_numbers([reach], "reach")
    last = run_through_graph(network, [None], lambda call, _: [call.layer] * len(call.outputs))
    shape = network.inputs[0].shape
    softmax = keras.activations.softmax
    kinds = {type(one).__name__: getattr(one, "activation", None) for one in last}
    if len(shape) != 4 or len(last) != 1 or not ("Softmax" in kinds or softmax in kinds.values()):
        ends = ", ".join(getattr(one, "name", "its input") for one in last)
        raise ValueError(f"expected a model from images to one softmax, got {shape} to {ends}")
    image = keras.Input(batch_shape=shape, dtype=network.inputs[0].dtype, name="image")
    padded = layers.ZeroPadding2D(reach, name="padded", **LAST)(image)
    far = 2 * reach
    views = list(itertools.product(range(far + 1), repeat=2))
    if cross:
        views = [(reach, reach), (0, reach), (far, reach), (reach, 0), (reach, far)]
    logarithms = []
    for top, left in views:
        crop = ((top, far - top), (left, far - left))
        view = layers.Cropping2D(crop, name=f"view_{top}_{left}", **LAST)(padded)
        probabilities = ops.cast(network(view), softmax_dtype())
        # A probability that was rounded to zero has no logarithm.
        logarithms.append(ops.log(ops.maximum(probabilities, 1e-37)))
    mean = layers.Average(name="mean_logarithm", dtype=softmax_dtype())(logarithms)
    softmax = layers.Softmax(name="probabilities", dtype=softmax_dtype())
    return keras.Model(image, softmax(mean), name=f"{network.name}_shifted")
