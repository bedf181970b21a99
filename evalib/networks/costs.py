"""What a Keras model costs before it runs: parameters and multiplications, layer by layer."""

import dataclasses
import math
from typing import Any

import keras
from keras import layers

from evalib.networks.graph import Call, run_through_graph, tensors
from evalib.networks.layers import SReLU

# These multiply their whole kernel once at each position of their output ...
_AT_OUTPUTS = (
    *(layers.Conv1D, layers.Conv2D, layers.Conv3D, layers.SeparableConv1D, layers.SeparableConv2D),
    *(layers.DepthwiseConv1D, layers.DepthwiseConv2D, layers.Dense),
)
# ... these at each position of their input, and these have weights that are no kernel.
_AT_INPUTS = (layers.Conv1DTranspose, layers.Conv2DTranspose, layers.Conv3DTranspose)
_NO_KERNEL = (layers.PReLU, SReLU, layers.LayerNormalization, layers.Embedding)


@dataclasses.dataclass(frozen=True)
class LayerCost:
    """What one call of a layer costs; the name is that of `Call`, the shape has no batch axis.

    `parameters` are Keras's count (zero from the second call of a layer on), and `macs` are
    multiplications, each with an addition, for one image, without biases.
    """

    name: str
    output_shape: tuple[int, ...]
    parameters: int
    macs: int


def layer_costs(model: keras.Model) -> list[LayerCost]:
    """List what each layer of a model costs for one image: one row per call, in the model's order.

    Counted are the products of weights with values in convolutions and dense layers, those with the
    zeros of a padding included; all else is zero. Models inside are opened up. A ValueError says if
    the model has no graph, or if a size or a layer is not known.
    """
    costs: list[LayerCost] = []
    counted: set[int] = set()

    def visit(call: Call, values: list[None]) -> list[None]:
        weights = [] if id(call.layer) in counted else getattr(call.layer, "weights", [])
        counted.add(id(call.layer))
        parameters = sum(math.prod(weight.shape) for weight in weights)
        shape = tuple(call.outputs[0].shape[1:])
        costs.append(LayerCost(call.name, shape, parameters, _count_macs(call)))
        return [None] * len(call.outputs)

    run_through_graph(model, [None] * len(tensors(model, "inputs")), visit)
    return costs


def macs(model: keras.Model) -> int:
    """Add up the multiplications of all layers for one image; `layer_costs` has the errors."""
    return sum(cost.macs for cost in layer_costs(model))


def acts_as(layer: Any, kinds: tuple[Any, ...]) -> bool:
    """Whether a layer is one of these, or a subclass that computes the same: with their `call`."""
    return any(isinstance(layer, kind) and type(layer).call is kind.call for kind in kinds)


def _count_macs(call: Call) -> int:
    layer = call.layer
    # Biases and the numbers of a normalization have one axis only.
    weights = getattr(layer, "weights", [])
    kernels = [one for one in weights if len(one.shape) > 1 and "lora" not in one.name]
    if not kernels or acts_as(layer, _NO_KERNEL):
        return 0
    if not acts_as(layer, _AT_INPUTS + _AT_OUTPUTS):
        raise ValueError(
            f"cannot count the multiplications of layer {call.name!r} ({type(layer).__name__}): "
            "expected convolutions, dense layers and layers without a kernel"
        )
    shape = (call.inputs if acts_as(layer, _AT_INPUTS) else call.outputs)[0].shape
    first = getattr(layer, "data_format", None) == "channels_first"
    positions = shape[2:] if first else shape[1:-1]
    if None in positions:
        raise ValueError(f"expected known sizes, got {shape} at layer {call.name!r}")
    return math.prod(positions) * sum(math.prod(kernel.shape) for kernel in kernels)
