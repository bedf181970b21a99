"""What a Keras model costs before it runs: parameters and multiplications, layer by layer."""

import dataclasses
import math

import keras
from keras import layers

from evalib.networks.graph import Call, run_through_graph, tensors

# Each of these multiplies its whole kernel once at each position of its output ...
_AT_OUTPUT_POSITIONS = (
    layers.Conv1D,
    layers.Conv2D,
    layers.Conv3D,
    layers.DepthwiseConv1D,
    layers.DepthwiseConv2D,
    layers.SeparableConv1D,
    layers.SeparableConv2D,
    layers.Dense,
)
# ... and each of these at each position of its input.
_AT_INPUT_POSITIONS = (layers.Conv1DTranspose, layers.Conv2DTranspose, layers.Conv3DTranspose)


@dataclasses.dataclass(frozen=True)
class LayerCost:
    """What one call of a layer costs.

    Attributes:
        name: the layer's name, as `outer/inner` inside a nested model and with the number of the
            call (`conv#2`) where the layer is called more than once.
        output_shape: without the batch axis.
        parameters: Keras's count, biases included; zero from the second call of a layer on.
        multiplications: for one image, biases not included.
    """

    name: str
    output_shape: tuple[int, ...]
    parameters: int
    macs: int


def layer_costs(model: keras.Model) -> list[LayerCost]:
    """List what each layer of a model costs for one image, in the model's order.

    Counted are the products of weights with values in convolutions (depthwise, separable and
    transposed ones included) and dense layers: positions times kernel size. Products with the
    zeros of a padding count too. All other layers count as zero: pooling and ReLU multiply nothing,
    and a normalization's few products can be merged into the convolution before it. Operations
    of `keras.ops` count as zero too.

    Args:
        model: a functional or sequential model whose input sizes are known.

    Raises:
        ValueError: the model has no graph, a size is unknown, or a layer has a kernel that this
            function does not know.
    """
    costs: list[LayerCost] = []
    counted: set[int] = set()

    def visit(call: Call, values: list[None]) -> list[None]:
        weights = [] if id(call.layer) in counted else getattr(call.layer, "weights", [])
        counted.add(id(call.layer))
        parameters = sum(math.prod(weight.shape) for weight in weights)
        shape = tuple(call.outputs[0].shape[1:])
        costs.append(LayerCost(call.name, shape, parameters, _multiplications(call)))
        return [None] * len(call.outputs)

    run_through_graph(model, [None] * len(tensors(model, "inputs")), visit)
    return costs


def macs(model: keras.Model) -> int:
    """Add up the multiplications of all layers for one image; `layer_costs` says what counts.

    Example:
        >>> digit = keras.Input((28, 28, 1))
        >>> macs(keras.Model(digit, layers.Conv2D(10, 3)(digit)))  # 26 x 26 x 9 x 10
        60840
    """
    return sum(cost.macs for cost in layer_costs(model))


def _multiplications(call: Call) -> int:
    layer = call.layer
    # Biases and the numbers of a normalization have one axis only.
    kernels = [weight for weight in getattr(layer, "weights", []) if len(weight.shape) > 1]
    if not kernels:
        return 0
    if isinstance(layer, _AT_INPUT_POSITIONS):
        shape = call.inputs[0].shape
    elif isinstance(layer, _AT_OUTPUT_POSITIONS):
        shape = call.outputs[0].shape
    else:
        raise ValueError(
            f"cannot count the multiplications of layer {call.name!r} ({type(layer).__name__}): "
            "expected convolutions, dense layers and layers without a kernel"
        )
    channels_first = getattr(layer, "data_format", None) == "channels_first"
    positions = shape[2:] if channels_first else shape[1:-1]
    if None in positions:
        raise ValueError(f"expected known sizes, got {shape} at layer {call.name!r}")
    return math.prod(positions) * sum(math.prod(kernel.shape) for kernel in kernels)
